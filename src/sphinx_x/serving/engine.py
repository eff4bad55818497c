"""The engine: a thread that owns the model and gives many answers at once (continuous batching).

Between two steps of the answers in progress, pieces of work are done for the prompts that are being processed, in turn
(see `filling`). So a long prompt, or one with many images, delays the others by little at a time, and answers begin and
end without waiting for each other. What fails takes nothing from the others: a batch that fails is tried again one by
one, and whatever else goes wrong in a round ends the answers of that round, but not the thread.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from sphinx_x.errors import UnsupportedError
from sphinx_x.inference import SphinxX
from sphinx_x.inference.features import Features
from sphinx_x.inference.prefix import Prefixes
from sphinx_x.serving.faults import Faults
from sphinx_x.serving.filling import Filling
from sphinx_x.serving.formats import FormatError
from sphinx_x.serving.jobs import Event, Job, Progress
from sphinx_x.serving.metrics import Metrics
from sphinx_x.serving.rows import Rows, shared_window
from sphinx_x.serving.sampling import Chosen, Sampler, Scores
from sphinx_x.serving.settings import Settings
from sphinx_x.serving.text import TextStream

NEUTRAL = {
    **{"repetition_penalty": 1.0, "encoder_repetition_penalty": 1.0, "length_penalty": 1.0, "guidance_scale": 1.0},
    **{"no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0, "min_length": 0, "min_new_tokens": 0},
    **{"num_beams": 1, "num_beam_groups": 1, "num_return_sequences": 1, "diversity_penalty": 0.0},
}
"""Settings of a model's own `generation_config` that change its greedy answers, with the values that do not."""
HARMLESS = {
    *("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "max_length", "max_new_tokens"),
    *("do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "top_h"),
    *("use_cache", "cache_implementation", "cache_config", "return_dict_in_generate", "output_scores"),
    *("output_logits", "output_attentions", "output_hidden_states", "renormalize_logits", "transformers_version"),
    *("early_stopping", "compile_config", "disable_compile", "prefill_chunk_size", "low_memory"),
}
"""Settings that do not, as the server has its own of them, or none of what they are about."""


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
        self._faults = Faults(metrics.failure)
        self._share, window = shared_window(sphinx.model)
        self._rows = Rows(window, settings.cache_tokens)
        self._waiting: deque[Job] = deque()
        self._filling = Filling(sphinx, settings, metrics, self._faults, self._share)
        self._running: list[Progress] = []  # in the order of the rows
        self._working: list[Progress] = []  # these and the prompts, wherever they are in a round
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
    def features(self) -> Features:
        """What is remembered of images."""
        return self._filling.features

    @property
    def prefixes(self) -> Prefixes:
        """What is remembered of prompts."""
        return self._filling.prefixes

    @property
    def failures(self) -> int:
        """Number of faults so far; each is in the log."""
        return self._faults.number

    @property
    def load(self) -> tuple[int, int]:
        """Numbers of jobs that are worked on and that wait."""
        return len(self._working), len(self._waiting)

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
                try:
                    self.turn()
                except Exception as error:
                    self._faults.note("round", error)
                    self._recover(error)
        finally:
            self._closed = True
            self._abandon(ClosedError("the server is stopping"))

    def _wait(self) -> bool:
        """Wait until there is work; return whether there is."""
        with self._news:
            while not (self._waiting or self._filling.prompts or self._running or self._closed):
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
            self._step()
        stepped = time.monotonic()
        end = stepped + self.settings.preparing * (stepped - began)
        while self._filling.prompts:
            self._prepare()
            if time.monotonic() >= end:
                break
        self._metrics.load(*self.load)  # as nothing is told while there is no work

    def _prepare(self) -> None:
        """Do one piece of work for the prompts, and begin the answers of those that are ready."""
        for progress, logits in self._filling.work():
            if isinstance(logits, Exception):
                self._end(progress, Event(error=logits))
            else:
                self._begin(progress, logits)

    def _drop(self) -> None:
        now = time.monotonic()
        with self._news:
            gone = [job for job in self._waiting if job.cancelled.is_set() or now > job.deadline]
            for job in gone:
                self._waiting.remove(job)
        for job in gone:
            job.seconds.queue = time.monotonic() - job.begun
            self._report(job, Event(reason=_why(job)))
        for progress in [p for p in self._filling.prompts if p.job.cancelled.is_set() or now > p.job.deadline]:
            self._filling.drop(progress)
            self._end(progress, Event(reason=_why(progress.job)))
        for progress in [p for p in self._running if p.job.cancelled.is_set() or now > p.job.deadline]:
            self._keep(progress)
            self._leave(progress)
            self._end(progress, Event(progress.text.end(), reason=_why(progress.job)))

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0]):
            with self._news:
                job = self._waiting.popleft()
            job.seconds.queue = time.monotonic() - job.begun
            try:
                # a form says itself where it ends; what ends other answers may stand within one of its texts
                stops = [self._builder.stop_text(), *job.sampling.stop] if job.sampling.form is None else []
                text = TextStream(self.sphinx.processor.tokenizer, stops)
                progress = Progress(job, Sampler(job.sampling), text)
                self._filling.add(progress)
                self._working.append(progress)
            except Exception as error:
                self._faults.note("begin", error)
                self._report(job, Event(error=error))

    def _fits(self, job: Job) -> bool:
        """Whether there is a row, and room in the cache for the longest that the answers may become."""
        working = [progress.job for progress in self._working]
        if not working:
            return True
        longest = max(len(one.ids) + one.sampling.max_tokens for one in (*working, job))
        return len(working) < self.settings.rows and (len(working) + 1) * longest <= self.settings.cache_tokens

    def _begin(self, progress: Progress, logits: Tensor) -> None:
        """Take the first token of an answer, and give the answer a row if it goes on."""
        job, now = progress.job, time.monotonic()
        progress.first, progress.slots = now, None
        job.seconds.first = now - job.begun
        try:
            event = self._take(progress, self._score(logits[None])[0])
            if not event.last:
                if self._share:
                    self._rows.join(progress.cache, progress.place, progress.done)
                    progress.cache = None
                    if progress.start is not None:  # it would be held twice
                        progress.start = replace(progress.start, cache=DynamicCache())
                self._running.append(progress)
        except Exception as error:
            self._faults.note("answer", error)
            event = Event(error=error)
        if event.reason is not None:
            self._remember(progress, lambda: self._filling.own_cache(progress))
        self._tell(progress, event)

    def _step(self) -> None:
        """Generate the next token of each answer in progress."""
        running = list(self._running)
        if self._share:
            scores = self._faults.apart("step", range(len(running)), self._shared)
            self._rows.grown()
        else:
            scores = [self._faults.apart("step", [one], self._single)[0] for one in running]
        events = [self._next(progress, row) for progress, row in zip(running, scores, strict=True)]
        # those whose answers go on are told first
        for progress, event in sorted(zip(running, events, strict=True), key=lambda pair: pair[1].last):
            if event.last:
                if event.error is None:
                    self._keep(progress)
                self._leave(progress)
            self._tell(progress, event)

    def _shared(self, rows: Sequence[int]) -> Sequence[Scores]:
        """Return the scores of the next tokens of all answers, or of one."""
        model, only = self.sphinx.model, rows[0] if len(rows) < len(self._running) else None
        inputs = self._rows.inputs([self._running[row].ids[-1] for row in rows], model.device, only)
        return self._score(model(**inputs, use_cache=True, logits_to_keep=1).logits[:, -1])

    def _single(self, answers: Sequence[Progress]) -> Sequence[Scores]:
        """Return the same for one answer with a cache of its own."""
        model, progress = self.sphinx.model, answers[0]
        at = len(progress.job.ids) + len(progress.ids) - 1
        out: Any = model(
            input_ids=torch.tensor([progress.ids[-1:]], device=model.device),
            past_key_values=progress.cache,
            position_ids=torch.tensor([[at]], device=model.device),
            use_cache=True,
            logits_to_keep=1,
        )
        return self._score(out.logits[:, -1])

    def _score(self, logits: Tensor) -> list[Scores]:
        """Return the scores of rows of logits (rows, vocabulary)."""
        best = logits.argmax(-1)
        finite = logits.gather(-1, best[:, None])[:, 0].isfinite()
        shares = logits.float().softmax(-1).amax(-1).tolist() if self._watch else itertools.repeat(0.0)
        return [Scores(*one) for one in zip(logits, best.tolist(), finite.tolist(), shares, strict=False)]

    def _next(self, progress: Progress, scores: Scores | Exception) -> Event:
        """Return what a step brings an answer."""
        if isinstance(scores, Exception):
            return Event(error=scores)
        try:
            return self._take(progress, scores)
        except Exception as error:
            self._faults.note("answer", error)
            return Event(error=error)

    def _take(self, progress: Progress, scores: Scores) -> Event:
        """Choose the next token of an answer."""
        text = progress.text
        try:
            chosen = progress.sampler.take(scores)
        except FormatError as error:  # the request's own fault
            return Event(error=error)
        if self._watch:
            best = chosen.id == scores.best
            share = scores.share if best else float(scores.logits.float().softmax(-1)[chosen.id])
            progress.probabilities.append(share)
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
        """Whether the last token is none of an answer, but ends it.

        An end of several tokens is a text: the stream, which holds back what may become a part of it, finds it.
        """
        return progress.ids[-1] == self._eos or progress.ids[-1:] == self._stop

    def _leave(self, progress: Progress) -> None:
        """Free the row of an answer."""
        row = self._running.index(progress)
        last = self._running.pop()
        if last is not progress:
            self._running[row] = last
        if self._share:
            self._rows.leave(row)

    def _keep(self, progress: Progress) -> None:
        """Remember the keys and values of an answer in progress."""
        row = self._running.index(progress)
        self._remember(progress, lambda: self._rows.copy(row) if self._share else progress.cache)

    def _remember(self, progress: Progress, cache: Callable[[], DynamicCache]) -> None:
        if progress.start is None:
            return
        try:
            self._filling.keep(progress, cache())
        except Exception as error:  # such as no memory for a copy: the answer is there all the same
            self._faults.note("keep", error)

    def _tell(self, progress: Progress, event: Event) -> None:
        if event.last:
            self._end(progress, event)
        elif event.piece or event.tokens:
            self._emit(progress.job, event)

    def _end(self, progress: Progress, event: Event) -> None:
        job = progress.job
        self._working.remove(progress)
        job.text = progress.text.text.strip()
        if progress.first:
            if progress.probabilities:  # none where the first token could not be taken
                job.probability = sum(progress.probabilities) / len(progress.probabilities)
            job.seconds.decode = time.monotonic() - progress.first
        self._report(job, event)

    def _report(self, job: Job, event: Event) -> None:
        job.images = []
        try:
            self._metrics.answer(job, event.reason or "error")
        except Exception as error:  # whoever waits for the answer is told all the same
            self._faults.note("metrics", error)
        self._emit(job, event)

    def _emit(self, job: Job, event: Event) -> None:
        try:
            job.emit(event)
        except Exception as error:  # nobody can be told any more
            self._faults.note("emit", error)
            job.cancel()

    def _recover(self, error: Exception) -> None:
        """End what a round with a fault was at work on, and begin with an empty cache.

        That is the answers in progress and the prompts, or where there are none, what waits: so a fault that comes
        back in each round is told to everybody whom it concerns.
        """
        concerned = list(self._working)
        self._running = []
        self._filling.prompts.clear()
        self._rows.clear()
        for progress in concerned:
            self._end(progress, Event(error=error))
        if not concerned:
            self._refuse(error)
        self._metrics.load(*self.load)

    def _refuse(self, error: Exception) -> None:
        with self._news:
            jobs = list(self._waiting)
            self._waiting.clear()
        for job in jobs:
            self._report(job, Event(error=error))

    def _abandon(self, error: Exception) -> None:
        self._refuse(error)
        self._recover(error)


def _why(job: Job) -> str:
    return "cancelled" if job.cancelled.is_set() else "timeout"


def check_generation_config(sphinx: SphinxX) -> None:
    """Check that a model's own generation settings leave greedy answers as they are, as the engine applies none.

    Raises:
        UnsupportedError: A setting changes them.
    """
    for name, value in sphinx.model.generation_config.to_diff_dict().items():
        nothing = value is None or value is False or value in ([], {}) or value == NEUTRAL.get(name)
        if not (nothing or name in HARMLESS or name.startswith("_")):
            raise UnsupportedError(f"generation_config.json: {name}: the server does not apply it; remove it")
