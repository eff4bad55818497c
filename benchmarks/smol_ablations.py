"""The runs that tell what each part of SPHINX-Smol is good for: paired recipes of equal length.

    python benchmarks/smol_ablations.py smol -o runs/ablations --samples 6000 --seeds 0,1,2 --ocr documents,screens \\
        --marks marks --held documents=data/documents-held --held marks=data/marks-held --like runs/smol --dry-run

For every seed one run with everything, and one with a part taken away: each visual expert and the reader of lines (a
start folder without it is made here; of an expert the columns of the projector are taken out), OCR data, marks; and
projector first (a fifth of the samples for projector and places of lines alone), against one stage. All see as many
samples, mixed by the same seed. The runs are trained here one after another, and the loss of every held-out answer is
written to `results`; a command that was stopped goes on. `--only full,without-lines` trains some of them. `--dry-run`
writes nothing and prints how long it takes, by the log of a run that is alike (--like).
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    import torch

FIRST_SHARE = 0.2
"""Share of the samples of the run that trains the projector first."""
AFTER = 1000
"""What is added to the seed of a run that goes on from another one."""
FULL, FIRST, LINES = "full", "projector-first", "lines"


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        name: Of its folder, without the seed.
        samples: How many it sees.
        fields: What its recipe has otherwise than the one that it is based on.
        without: The kind of expert that its start folder lacks, or `lines`.
        after: The run whose model it starts from.
        measured: Whether its model is one to measure.
    """

    name: str
    samples: int
    fields: dict[str, Any] = field(default_factory=dict)
    without: str = ""
    after: str = ""
    measured: bool = True


def runs_of(
    samples: int, sources: Sequence[str], experts: Sequence[str], ocr: Sequence[str], marks: Sequence[str]
) -> list[Run]:
    """Return the runs of one seed.

    Args:
        samples: How many each run sees, two stages together.
        sources: The recipe's sources.
        experts: What its start folder may lack: kinds of visual experts, `lines`.
        ocr: Sources that are read from pictures with text.
        marks: Sources about marks.

    Raises:
        SystemExit: A source to be taken away is not in the recipe, or nothing would be left.
    """
    runs = [Run(FULL, samples), *(Run(f"without-{name}", samples, without=name) for name in experts)]
    for name, taken in (("without-ocr", ocr), ("without-marks", marks)):
        unknown = [source for source in taken if source not in sources]
        if unknown or set(taken) == set(sources):
            raise SystemExit(f"{name}: the recipe has the sources {', '.join(sources)}, not {', '.join(unknown)}")
        if taken:
            runs.append(Run(name, samples, {"sources": [source for source in sources if source not in taken]}))
    first = round(FIRST_SHARE * samples)
    alone = {"lora": None, "freeze": ["experts", "language_model"]}
    runs.append(Run(f"{FIRST}-1", first, alone, measured=False))
    return [*runs, Run(f"{FIRST}-2", samples - first, after=f"{FIRST}-1")]


def chosen(runs: Sequence[Run], only: str) -> list[Run]:
    """Return the runs with these names, commas between, in their order; without names all.

    Raises:
        SystemExit: There is no such run.
    """
    names = [name for name in only.split(",") if name]
    unknown = set(names) - {run.name for run in runs}
    if unknown:
        raise SystemExit(f"no runs {', '.join(sorted(unknown))}: there are {', '.join(run.name for run in runs)}")
    return [run for run in runs if not names or run.name in names]


def recipe_of(run: Run, base: dict[str, Any], seed: int, folder: Path) -> dict[str, Any]:
    """Return the fields of a run's recipe: those of the base but for the run's own."""
    fields = {**base, **run.fields, "seed": seed, "total_samples": run.samples}
    if "sources" in run.fields:
        fields["sources"] = {name: base["sources"][name] for name in run.fields["sources"]}
    if run.without:
        fields["start"] = str(folder / "starts" / f"without-{run.without}")
    if run.without == LINES:  # what is learned of them is not there
        lora, rates = fields.get("lora") or {}, fields.get("lr_multipliers") or {}
        if LINES in lora.get("whole", []):
            fields["lora"] = lora | {"whole": [part for part in lora["whole"] if part != LINES]}
        if LINES in rates:
            fields["lr_multipliers"] = {part: rate for part, rate in rates.items() if part != LINES}
    if run.after:
        fields["start"] = str(folder / "runs" / f"{run.after}-{seed}" / "model")
        fields["seed"] = seed + AFTER  # other samples than those of the run before
    return {name: value for name, value in fields.items() if value is not None}


def write_start(start: str, without: str, out: Path) -> None:
    """Write a model folder without a kind of visual expert, or without the reader of lines.

    Raises:
        SystemExit: No group has another expert beside it.
    """
    import torch

    from sphinx_x import SphinxX
    from sphinx_x.checkpoints.writer import finish, new_folder, write_weights
    from sphinx_x.model.modeling import SphinxXForConditionalGeneration

    sphinx = SphinxX.load(start, dtype="auto", device="cpu")
    state, config = dict(sphinx.model.state_dict()), copy.deepcopy(sphinx.model.config)
    if config.text_config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    if without == LINES:
        config.lines = config.line_token_id = sphinx.processor.image_processor.lines = None
        state = {name: tensor for name, tensor in state.items() if not name.startswith("model.line_places.")}
    else:
        config.groups = [
            _less(state, f"model.vision.groups.{number}.", group, without) for number, group in enumerate(config.groups)
        ]
    with torch.device("meta"):
        wanted = SphinxXForConditionalGeneration(config).state_dict()
    for name, tensor in state.items():
        assert wanted[name].shape == tensor.shape, name
    with new_folder(out, sources=[start]) as folder:
        hashes = write_weights(folder, state, state.items())
        finish(folder, config, sphinx.processor, sphinx.model.dtype, hashes)


def _less(state: dict[str, torch.Tensor], head: str, group: dict[str, Any], without: str) -> dict[str, Any]:
    """Take an expert out of the weights of a group, which begin with `head`; return the group without it."""
    import torch

    from sphinx_x.model.experts import read_expert

    experts = [read_expert(fields) for fields in group["experts"]]
    kept = [number for number, expert in enumerate(experts) if expert.kind != without]
    if not kept:
        raise SystemExit(f"{without} is the only expert of a group")
    widths = [expert.token_channels for expert in experts]
    columns = torch.cat([torch.arange(sum(widths[:k]), sum(widths[: k + 1])) for k in kept])
    name = f"{head}projector.0.weight"
    state[name] = state[name][:, columns].contiguous()
    for key in [key for key in state if key.startswith(f"{head}experts.")]:
        tensor, (place, rest) = state.pop(key), key.removeprefix(f"{head}experts.").split(".", 1)
        if int(place) in kept:
            state[f"{head}experts.{kept.index(int(place))}.{rest}"] = tensor
    return {**group, "experts": [group["experts"][k] for k in kept]}


def train_and_measure(run: Run, seed: int, folder: Path, held: Mapping[str, Path], items: int) -> None:
    """Train a run, if it is not finished, and write the loss of every held-out item to `results/NAME-SEED/losses.json`.

    Args:
        run: The run; its recipe is in `recipes`.
        seed: Its seed.
        folder: The ablation's.
        held: Held-out samples by name.
        items: How many of each are taken.
    """
    from sphinx_x.recipe import SourceRecipe, load_recipe
    from sphinx_x.studies.measure import item_losses
    from sphinx_x.training.checkpoint import saved_states
    from sphinx_x.training.trainer import Trainer
    from sphinx_x.work.files import write_atomic

    name = f"{run.name}-{seed}"
    out, result = folder / "runs" / name, folder / "results" / name / "losses.json"
    if result.exists() or (not run.measured and (out / "model" / "manifest.json").exists()):
        return
    print(f"{name}: {run.samples:,} samples", flush=True)
    trainer = Trainer(load_recipe(folder / "recipes" / f"{name}.yaml"), out, bool(saved_states(out / "state")))
    trainer.run()
    if run.measured:
        found = item_losses(trainer, {k: SourceRecipe(path=v) for k, v in held.items()}, items, out / "index" / "held")
        result.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(result, json.dumps({kind: list(losses.values()) for kind, losses in found.items()}))


def rate_of(run: Path) -> float:
    """Return the samples per second of a run, by its log.

    Raises:
        SystemExit: It has none.
    """
    path = run / "log.jsonl"
    if not path.is_file():
        raise SystemExit(f"{run}: no log.jsonl, so the time cannot be told")
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    if not records:
        raise SystemExit(f"{path}: no line yet")
    return records[-1]["samples"] / sum(record["seconds"] for record in records)


def table(runs: Sequence[Run], seeds: int, rate: float | None) -> str:
    """Return the runs with their samples and, by a rate in samples per second, their hours."""
    lines = ["| run | samples | seeds | hours |", "|---|---|---|---|"]
    for run in runs:
        hours = "" if rate is None else f"{seeds * run.samples / rate / 3600:.1f}"
        lines.append(f"| {run.name} | {run.samples:,} | {seeds} | {hours} |")
    total = seeds * sum(run.samples for run in runs)
    hours = "" if rate is None else f"{total / rate / 3600:.1f}"
    return "\n".join([*lines, f"| all | {total:,} | | {hours} |"])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Makes the recipes of SPHINX-Smol's ablation.")
    parser.add_argument("recipe", help="the recipe that all are based on: a file or a packaged one")
    parser.add_argument("--out", "-o", type=Path, required=True)
    parser.add_argument("--samples", type=int, required=True, help="of every run")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--ocr", default="", help="sources of pictures with text, with commas between")
    parser.add_argument("--marks", default="", help="sources about marks")
    parser.add_argument("--like", type=Path, help="a run's folder, by whose log the time is told")
    parser.add_argument("--only", default="", help="names of runs, with commas between; by default all")
    parser.add_argument("--held", action="append", default=[], metavar="NAME=PATH", help="held-out samples")
    parser.add_argument("--items", type=int, default=16, help="how many of each held-out set")
    parser.add_argument("--dry-run", action="store_true", help="print runs and time, write nothing")
    options = parser.parse_args(arguments)
    from sphinx_x.planning.outline import config_of
    from sphinx_x.recipe import load_recipe

    recipe = load_recipe(options.recipe)
    if recipe.start is None:
        raise SystemExit(f"{options.recipe}: no start")
    config = config_of(recipe)
    experts = [expert.kind for group in config.group_configs() if len(group.experts) > 1 for expert in group.experts]
    experts += [] if config.lines is None else [LINES]
    split = [[name for name in text.split(",") if name] for text in (options.ocr, options.marks)]
    runs = chosen(runs_of(options.samples, list(recipe.sources), experts, *split), options.only)
    held = dict(one.split("=", 1) for one in options.held)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    print(table(runs, len(seeds), None if options.like is None else rate_of(options.like)))
    if options.dry_run:
        return
    base = recipe.model_dump(mode="json", exclude_unset=True)
    for run in runs:
        start = options.out / "starts" / f"without-{run.without}"
        if run.without and not start.exists():
            write_start(recipe.start, run.without, start)
        for seed in seeds:
            path = options.out / "recipes" / f"{run.name}-{seed}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(recipe_of(run, base, seed, options.out), sort_keys=False), "utf-8")
    for seed in seeds:
        for run in runs:
            train_and_measure(run, seed, options.out, {name: Path(path) for name, path in held.items()}, options.items)


if __name__ == "__main__":
    main()
