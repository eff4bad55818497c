"""What the server counts and measures, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sphinx_x.serving.jobs import Job

STAGES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Bounds of the histograms, in seconds."""


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        stage = {
            name: self._histogram(f"{name}_seconds", what)
            for name, what in (
                ("queue", "Time that an answer waited before work on it began"),
                ("encode", "Time to encode the images of an answer"),
                ("prefill", "Time to process the prompt of an answer"),
                ("decode", "Time from the first token of an answer to its last"),
                ("first", "Time from a request to the first token of its answer"),
            )
        }
        self._stages = stage
        self._requests = self._counter("requests", "Requests answered, by route and status", ["route", "status"])
        self._ended = self._counter("answers", "Answers, by how they ended", ["reason"])
        self._prompt = self._counter("prompt_tokens", "Tokens of prompts, images included")
        self._image = self._counter("image_tokens", "Visual tokens of prompts, skip tokens included")
        self._skipped = self._counter("skipped_views", "Sub-images that were skipped, as they were padding only")
        self._generated = self._counter("answer_tokens", "Tokens generated")
        self._hits = self._counter("cache_hits", "What was found in a cache (features, prefix)", ["cache"])
        self._misses = self._counter("cache_misses", "What was not found in a cache", ["cache"])
        self._failures = self._counter("failures", "Faults inside the server, by where they came up", ["stage"])
        self._running = Gauge("sphinx_x_running", "Answers in progress", registry=self.registry)
        self._waiting = Gauge("sphinx_x_waiting", "Requests that wait for a row", registry=self.registry)

    def load(self, running: int, waiting: int) -> None:
        """Record how many answers are in progress and how many requests wait."""
        self._running.set(running)
        self._waiting.set(waiting)

    def request(self, route: str, status: int) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()

    def answer(self, job: Job, reason: str) -> None:
        """Count an answer that has ended, and record what its stages took; how long it waited, if none was reached."""
        self._ended.labels(reason).inc()
        self._stages["queue"].observe(job.seconds.queue)
        if not job.generated:
            return
        self._prompt.inc(len(job.ids))
        self._image.inc(job.image_tokens)
        self._skipped.inc(job.skipped)
        self._generated.inc(job.generated)
        for name in self._stages.keys() - {"queue"}:
            self._stages[name].observe(getattr(job.seconds, name))

    def cache(self, name: str, hit: bool) -> None:
        """Count a look into a cache (`features`, `prefix`)."""
        (self._hits if hit else self._misses).labels(name).inc()

    def failure(self, stage: str) -> None:
        """Count a fault inside the server, in a stage of the work (`encode`, `prefill`, `step`, `answer`, ...)."""
        self._failures.labels(stage).inc()

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self.registry)

    def _histogram(self, name: str, what: str) -> Histogram:
        return Histogram(f"sphinx_x_{name}", what, buckets=STAGES, registry=self.registry)

    def _counter(self, name: str, what: str, labels: list[str] | None = None) -> Counter:
        return Counter(f"sphinx_x_{name}", what, labels or (), registry=self.registry)
