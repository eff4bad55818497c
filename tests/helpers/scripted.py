"""A server whose answers are written beforehand: all but the model's part is the real one."""

import threading
import time

from sphinx_x.serving.jobs import Event


class Script:
    """Answers the jobs of a server; install it before the first request.

    Attributes:
        answer: The next answer, a list of pieces.
        pause: Seconds between two pieces.
        end: How it ends.
        asked: Prompts of the jobs, as texts.
        jobs: The jobs.
        sphinx: The model that does not answer.
    """

    def __init__(self, served):
        self.answer, self.pause, self.end = ["Yes."], 0.0, Event(reason="stop")
        self.jobs, self.asked = [], []
        served.service.engine.submit = self._submit
        self.sphinx = served.service._sphinx
        tokenizer = self.sphinx.processor.tokenizer
        self._text = lambda ids: tokenizer.decode(ids, skip_special_tokens=True)

    def _submit(self, job):
        self.jobs.append(job)
        self.asked.append(self._text(job.ids))
        threading.Thread(target=self._tell, args=(job, list(self.answer), self.end), daemon=True).start()

    def _tell(self, job, pieces, end):
        for name, value in {"queue": 0.001, "encode": 0.02, "prefill": 0.01, "decode": 0.3, "first": 0.031}.items():
            setattr(job.seconds, name, value)
        for number, piece in enumerate(pieces):
            time.sleep(self.pause)
            if job.cancelled.is_set():
                pieces, end = pieces[:number], Event(reason="cancelled")
                break
            job.generated += 1
            job.emit(Event(piece))
        job.text = "".join(pieces).strip()  # as the engine does, when the answer has ended
        job.emit(end)
