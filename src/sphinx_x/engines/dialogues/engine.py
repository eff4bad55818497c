"""The dialogues engine: prompts without a picture, answered by a member itself, in whole shards.

The output folder holds dialogues-00000.jsonl, ... and, written last, `report.json`. Prompt k depends on the seed, its
number and the sources alone; answers depend on the model besides (and, where they are drawn, on the shard).
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import write_part
from sphinx_x.engines.dialogues.prompts import Prompt, draw_prompts
from sphinx_x.engines.documents.engine import ranges
from sphinx_x.errors import DataError
from sphinx_x.inference import SphinxX
from sphinx_x.inference.running import Trace
from sphinx_x.sources.dialogue import dialogue
from sphinx_x.work.files import alone_in, sha256, write_atomic
from sphinx_x.work.runs import Parts, claim
from sphinx_x.work.tally import Tally

NAME = "dialogues"


class DialogueSettings(BaseModel):
    """How dialogues are made.

    Attributes:
        count: Number of prompts; answers that do not end in time are left out.
        seed: Seed of all random choices.
        held: Whether prompts are about the topics that are held back for measuring, or about the others.
        shares: How often each source of prompts is drawn from, relative to the others.
        wordnet: The folder with WordNet's files, if that source has a share.
        max_tokens: Tokens of the longest answer.
        temperature: 0 takes the most probable token always, more draws tokens.
        dtype: PyTorch's name of the type in which the member computes.
        batch_size: Number of prompts that are answered at once.
        shard_size: Number of prompts of a shard.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: PositiveInt = 1000
    seed: NonNegativeInt = 0
    held: bool = False
    shares: dict[str, float] = {"written": 1.0}
    wordnet: Path | None = None
    max_tokens: PositiveInt = 90
    temperature: Annotated[float, Field(ge=0)] = 0.0
    dtype: Literal["float32", "bfloat16"] = "float32"
    batch_size: PositiveInt = 32
    shard_size: PositiveInt = 96


@dataclass(frozen=True)
class Job:
    """What every shard needs."""

    out: Path
    model: Path
    settings: DialogueSettings
    prompts: tuple[Prompt, ...]


def make_dialogues(
    model: str | Path,
    out: str | Path,
    settings: DialogueSettings | None = None,
    progress: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Write dialogues that a member answers into a folder, continuing an interrupted run.

    Args:
        model: The member's folder: one whose language model is as it was before training.
        out: The folder to write.
        settings: How they are made.
        progress: Called after every shard.

    Raises:
        CheckpointError: The member cannot be loaded.
        DataError: The settings make nothing, or the folder holds something else.
        MissingToolError: A source of prompts is not installed.
    """
    settings, model = settings or DialogueSettings(), Path(model)
    prompts = draw_prompts(settings.count, settings.seed, settings.shares, settings.wordnet, settings.held)
    facts: dict[str, Any] = {"engine": NAME, "model": _identity(model), "settings": settings.model_dump(mode="json")}
    # which WordNet and which reasoning_gym they come from
    facts["prompts"] = hashlib.sha256("\n".join(prompt.text for prompt in prompts).encode()).hexdigest()[:16]
    job = Job(Path(out), model, settings, tuple(prompts))
    with alone_in(job.out):
        claim(job.out, json.loads(json.dumps(facts)))
        tasks = list(enumerate(ranges(settings.count, settings.shard_size)))
        total = Parts(job.out, NAME).run(make_shard, job, tasks, workers=1, progress=progress)
        write_atomic(job.out / "report.json", json.dumps(facts | vars(total), indent=1, ensure_ascii=False) + "\n")
    return total


def make_shard(job: Job, task: tuple[int, range]) -> Tally:
    """Answer the prompts of one shard and write it and, last, its tally."""
    number, numbers = task
    tally = Tally()
    return write_part(Parts(job.out, NAME), number, _samples(job, number, numbers, tally), tally, [])


def _samples(job: Job, shard: int, numbers: range, tally: Tally) -> Iterator[tuple[Sample, list[bytes]]]:
    """Yield the samples of a shard; answers that do not end in time, or are empty, are counted and left out."""
    settings = job.settings
    member = _loaded(job.model, settings.dtype)
    asked = [member.prompt_for(job.prompts[number].text) for number in numbers]
    traces: list[Trace] = []
    drawn: dict[str, Any] = {"temperature": settings.temperature} if settings.temperature else {}
    with torch.random.fork_rng(devices=[]):
        # not by `seed`, with which every answer would be drawn with the same numbers
        torch.manual_seed(settings.seed * 10_000 + shard)
        answers = member.answers(asked, settings.batch_size, traces=traces, max_new_tokens=settings.max_tokens, **drawn)
    for number, answer, trace in zip(numbers, answers, traces, strict=True):
        tally.records += 1
        prompt = job.prompts[number]
        if trace.finish != "stop":
            tally.left_out[f"answer of more than {settings.max_tokens} tokens"] += 1
            continue
        if not answer.strip():
            tally.left_out["empty answer"] += 1
            continue
        messages = dialogue([(prompt.text, answer.strip())], images=0)
        sample = Sample(f"{NAME}/{number}", [], messages, f"{NAME}/{prompt.source}", prompt.licence, [], NAME)
        tally.samples += 1
        tally.turns += 1
        yield Sample.from_dict(sample.to_dict()).check(), []


@functools.cache
def _loaded(model: Path, dtype: str) -> SphinxX:
    return SphinxX.load(model, dtype=getattr(torch, dtype))


def _identity(model: Path) -> str:
    """Return a hash of the member's files, on which the answers depend.

    Raises:
        DataError: There are no weights in the folder.
    """
    files = sorted(path for path in model.glob("*") if path.suffix in (".json", ".safetensors", ".jinja"))
    if not any(path.suffix == ".safetensors" for path in files):
        raise DataError(f"{model}: no member's folder with weights")
    return " ".join(sha256(path)[:12] for path in files)
