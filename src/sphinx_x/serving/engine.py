"""The engine: a thread that owns the model and gives many answers at once (continuous batching).

Between two steps of the answers in progress, pieces of work are done for those that are being prepared, in turn: one
image is encoded, or one chunk of a prompt is processed. So a long prompt, or one with many images, delays the others by
little at a time, and answers begin and end without waiting for each other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Any

import torch
from transformers import DynamicCache

from sphinx_x.errors import UnsupportedError
from sphinx_x.inference import SphinxX
from sphinx_x.serving.formats import FormatError
from sphinx_x.serving.inputs import encode_images
from sphinx_x.serving.jobs import Event, Job, Progress
from sphinx_x.serving.metrics import Metrics
from sphinx_x.serving.rows import Rows, shared_window
from sphinx_x.serving.sampling import Chosen, Sampler
from sphinx_x.serving.settings import Settings
from sphinx_x.serving.text import TextStream

log = logging.getLogger(__name__)

CHANGES = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "encoder_repetition_penalty": 1.0, "num_beams": 1}
"""Settings of a model's own `generation_config` that change its greedy answers, with the values that do not."""
LISTS = ("bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "sequence_bias", "forced_bos_token_id")


class ClosedError(Exception):
    """The engine takes no more work."""


class Engine:
    """Answers jobs in a thread of its own.

    Attributes:
        sphinx: The model.
        settings: The server's settings.
    """

    def __init__(self, sphinx: SphinxX, settings: Settings, metrics: Metrics) -> None:
        check_generation_config(sphinx)
        self.sphinx, self.settings, self._metrics = sphinx, settings, metrics
        self._builder = sphinx.processor.prompt_builder()
        self._eos, self._stop = sphinx.processor.tokenizer.eos_token_id, self._builder.stop_ids()
        self._watch = sphinx.model.config.ability().probable is not None
        self._share, window = shared_window(sphinx.model)
        self._rows = Rows(window)
        self._waiting: deque[Job] = deque()
        self._filling: deque[Progress] = deque()
        self._running: list[Progress] = []  # in the order of the rows
        self._news = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="sphinx-x engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether jobs are being worked on."""
        return self._thread.is_alive() and not self._closed

    @property
    def load(self) -> tuple[int, int]:
        """Numbers of jobs that are worked on and that wait."""
        return len(self._running) + len(self._filling), len(self._waiting)

    def submit(self, job: Job) -> None:
        """Add a job; its events come in the engine's thread.

        Raises:
            ClosedError: The engine is closed, or its thread has died.
        """
        with self._news:
            if not self.alive:
                raise ClosedError("the engine is not running")
            self._waiting.append(job)
            self._news.notify()

    def close(self, seconds: float = 10.0) -> None:
        """End the thread; jobs that have not ended are cancelled."""
        with self._news:
            self._closed = True
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)

    # --- in the engine's thread

    def _work(self) -> None:
        try:
            while self._wait():
                self.turn()
        finally:
            self._closed = True
            self._abandon(ClosedError("the server is stopping"))

    def _wait(self) -> bool:
        """Wait until there is work; return whether there is."""
        with self._news:
            while not (self._waiting or self._filling or self._running or self._closed):
                self._news.wait()
            return not self._closed

    @torch.inference_mode()
    def turn(self) -> None:
        """Do one round: drop what nobody waits for, take on jobs, one step of all answers, some preparation."""
        self._drop()
        self._admit()
        self._metrics.load(*self.load)
        began = time.monotonic()
        if self._running:
            try:
                self._step()
            except Exception as error:
                log.exception("a step failed")
                self._fail_running(error)
        stepped = time.monotonic()
        end = stepped + self.settings.preparing * (stepped - began)
        while self._filling:
            self._prepare_one()
            if time.monotonic() >= end:
                break

    def _prepare_one(self) -> None:
        """Do one piece of work for the request that has waited longest for it."""
        progress = self._filling.popleft()
        try:
            ready = self._prepare(progress)
        except Exception as error:
            log.exception("a prompt failed")
            self._end(progress, Event(error=error))
            return
        if ready is None:
            self._filling.append(progress)
        else:
            self._begin(progress, ready)

    def _drop(self) -> None:
        now = time.monotonic()
        with self._news:
            gone = [job for job in self._waiting if job.cancelled.is_set() or now > job.deadline]
            for job in gone:
                self._waiting.remove(job)
        for job in gone:
            self._report(job, Event(reason=_why(job)))
        for progress in [p for p in self._filling if p.job.cancelled.is_set() or now > p.job.deadline]:
            self._filling.remove(progress)
            self._end(progress, Event(reason=_why(progress.job)))
        for progress in [p for p in self._running if p.job.cancelled.is_set() or now > p.job.deadline]:
            self._leave(progress)
            self._end(progress, Event(progress.text.end(), reason=_why(progress.job)))

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0]):
            with self._news:
                job = self._waiting.popleft()
            job.seconds.queue = time.monotonic() - job.begun
            # a form says itself where it ends; what ends other answers may stand within one of its texts
            stops = [self._builder.stop_text(), *job.sampling.stop] if job.sampling.form is None else []
            text = TextStream(self.sphinx.processor.tokenizer, stops)
            encoder = encode_images(self.sphinx, job.images) if job.images else None
            self._filling.append(Progress(job, Sampler(job.sampling), text, encoder))

    def _fits(self, job: Job) -> bool:
        """Whether there is a row, and room in the cache for the longest that the answers may become."""
        working = [progress.job for progress in (*self._running, *self._filling)]
        if not working:
            return True
        longest = max(len(one.ids) + one.sampling.max_tokens for one in (*working, job))
        return len(working) < self.settings.rows and (len(working) + 1) * longest <= self.settings.cache_tokens

    def _prepare(self, progress: Progress) -> torch.Tensor | None:
        """Do one piece of work for a prompt; return its logits (vocabulary,) once it is processed."""
        job, began = progress.job, time.monotonic()
        if progress.encoder is not None:
            image = next(progress.encoder, None)
            if image is not None:
                progress.features.append(image)
                job.seconds.encode += time.monotonic() - began
                return None
            progress.slots, progress.encoder = torch.cat(progress.features), None
            progress.features = []
            job.images = []  # their pixels are not needed any more
        logits = self._prefill(progress)
        job.seconds.prefill += time.monotonic() - began
        return logits

    def _prefill(self, progress: Progress) -> torch.Tensor | None:
        """Process the next chunk of a prompt."""
        model, ids = self.sphinx.model, progress.job.ids
        if progress.cache is None:
            # of whole length where it is copied into a row; else as the library keeps it for this model
            progress.cache = DynamicCache() if self._share else DynamicCache(config=model.config)
        first = progress.done
        last = min(len(ids), first + self.settings.chunk)
        chunk = torch.tensor([ids[first:last]], device=model.device)
        slots = int(model.model.find_slots(chunk).sum())
        features = None
        if progress.slots is not None:
            features = progress.slots[progress.filled : progress.filled + slots]
        out = model(
            inputs_embeds=model.model.embed(chunk, features),
            past_key_values=progress.cache,
            position_ids=torch.arange(first, last, device=model.device)[None],
            use_cache=True,
            logits_to_keep=1,
        )
        progress.done, progress.filled = last, progress.filled + slots
        return out.logits[0, -1] if last == len(ids) else None

    def _begin(self, progress: Progress, logits: torch.Tensor) -> None:
        """Take the first token of an answer, and give the answer a row if it goes on."""
        job, now = progress.job, time.monotonic()
        progress.first, progress.slots = now, None
        job.seconds.first = now - job.begun
        try:
            event = self._take(progress, logits)
            if not event.last:
                if self._share:
                    self._rows.join(progress.cache)
                    progress.cache = None
                self._running.append(progress)
        except Exception as error:
            log.exception("an answer failed")
            event = Event(error=error)
        self._tell(progress, event)

    def _step(self) -> None:
        """Generate the next token of each answer in progress."""
        model, ids = self.sphinx.model, [progress.ids[-1] for progress in self._running]
        if self._share:
            inputs = self._rows.inputs(ids, model.device)
            logits = model(**inputs, use_cache=True, logits_to_keep=1).logits[:, -1]
            self._rows.grown()
        else:
            logits = [self._single(progress) for progress in self._running]
        events: list[tuple[Progress, Event]] = []
        for progress, row in zip(list(self._running), logits, strict=True):
            try:
                event = self._take(progress, row)
            except Exception as error:
                log.exception("an answer failed")
                event = Event(error=error)
            if event.last:
                self._leave(progress)
            events.append((progress, event))
        for progress, event in events:
            self._tell(progress, event)

    def _single(self, progress: Progress) -> torch.Tensor:
        """Return the logits (vocabulary,) of the next token of an answer with a cache of its own."""
        model = self.sphinx.model
        at = len(progress.job.ids) + len(progress.ids) - 1
        out: Any = model(
            input_ids=torch.tensor([progress.ids[-1:]], device=model.device),
            past_key_values=progress.cache,
            position_ids=torch.tensor([[at]], device=model.device),
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[0, -1]

    def _take(self, progress: Progress, logits: torch.Tensor) -> Event:
        """Choose the next token of an answer by its logits (vocabulary,)."""
        text = progress.text
        try:
            chosen = progress.sampler.choose(logits)
        except FormatError as error:  # the request's own fault
            return Event(error=error)
        if self._watch:
            progress.probabilities.append(float(logits.float().softmax(-1)[chosen.id]))
        progress.ids.append(chosen.id)
        progress.job.generated += 1
        before = len(text.text)
        ended = self._ends(progress)
        piece = text.end() if ended else text.add(chosen.id)
        reason = "stop" if ended or text.stopped or progress.sampler.ended else None
        if reason is None and len(progress.ids) >= progress.job.sampling.max_tokens:
            reason = "length"
        if reason is not None and not ended:
            piece += text.end()
        tokens: list[Chosen] = []
        if progress.job.sampling.top_logprobs is not None:
            progress.held.append((chosen, before))
            # a token that begins behind the text belongs to what ended the answer, or may yet do so
            certain = len(text.text) if reason else text.certain
            while progress.held and progress.held[0][1] < certain:
                tokens.append(progress.held.pop(0)[0])
        return Event(piece, tuple(tokens), reason)

    def _ends(self, progress: Progress) -> bool:
        """Whether the last token is none of an answer, but ends it."""
        if progress.job.sampling.form is not None and len(self._stop) > 1:
            return progress.ids[-1] == self._eos  # the others may be part of a text
        return progress.ids[-1] == self._eos or progress.ids[-len(self._stop) :] == self._stop

    def _leave(self, progress: Progress) -> None:
        """Free the row of an answer."""
        row = self._running.index(progress)
        last = self._running.pop()
        if last is not progress:
            self._running[row] = last
        if self._share:
            self._rows.leave(row)

    def _tell(self, progress: Progress, event: Event) -> None:
        if event.last:
            self._end(progress, event)
        elif event.piece or event.tokens:
            progress.job.emit(event)

    def _end(self, progress: Progress, event: Event) -> None:
        job = progress.job
        job.images, job.text = [], progress.text.text.strip()
        if progress.first:
            job.probability = sum(progress.probabilities) / len(progress.ids) if self._watch else None
            job.seconds.decode = time.monotonic() - progress.first
        self._report(job, event)

    def _report(self, job: Job, event: Event) -> None:
        self._metrics.answer(job, event.reason or "error")
        job.emit(event)

    def _fail_running(self, error: Exception) -> None:
        """End all answers in progress with an error, and begin with an empty cache."""
        failed, self._running = self._running, []
        self._rows.clear()
        for progress in failed:
            self._end(progress, Event(error=error))

    def _abandon(self, error: Exception) -> None:
        with self._news:
            jobs = list(self._waiting)
            self._waiting.clear()
        for job in jobs:
            self._report(job, Event(error=error))
        for progress in (*self._filling, *self._running):
            self._end(progress, Event(error=error))
        self._filling.clear()
        self._running.clear()


def _why(job: Job) -> str:
    return "cancelled" if job.cancelled.is_set() else "timeout"


def check_generation_config(sphinx: SphinxX) -> None:
    """Check that a model's own generation settings leave greedy answers as they are, as the engine applies none.

    Raises:
        UnsupportedError: A setting changes them.
    """
    config = sphinx.model.generation_config
    for name, neutral in CHANGES.items():
        if getattr(config, name, None) not in (None, neutral):
            raise UnsupportedError(f"generation_config.json: {name}: the server does not apply it; remove it")
    for name in LISTS:
        if getattr(config, name, None):
            raise UnsupportedError(f"generation_config.json: {name}: the server does not apply it; remove it")
