"""From sources on disk to the packs of a run: readers, lengths, the weighted mixture, the plan of packs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sphinx_x.data.augment import Augmentation
from sphinx_x.data.blend import Blend, Weighted
from sphinx_x.data.dialects import Form
from sphinx_x.data.features import FeatureStore
from sphinx_x.data.lengths import Limits, Meter, measure_lengths, processor_key
from sphinx_x.data.loader import Examples
from sphinx_x.data.meta import DataFile, read_meta
from sphinx_x.data.packs import Budget, PackPlan
from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import DataError
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.work.tally import Tally


@dataclass(frozen=True)
class Share:
    """Samples of a source and how often they come.

    Attributes:
        paths: What a `SampleReader` reads.
        weight: Its share relative to the other sources.
        end: Its share at the end of the run.
        ratio: Instead of a weight, how often each of its samples comes relative to the samples of other sources.
        root: Where the paths of its images begin.
        form: How it is read.
    """

    paths: tuple[Path | DataFile, ...]
    weight: float | None = None
    end: float | None = None
    ratio: float | None = None
    root: Path | None = None
    form: Form = field(default_factory=Form)


@dataclass(frozen=True)
class Mixture:
    """The examples of a run, the plan of their packs, and the tally of each source."""

    examples: Examples
    plan: PackPlan
    tallies: Mapping[str, Tally]


def split_meta(shares: Mapping[str, Share]) -> dict[str, Share]:
    """Replace sources that are lists in the reference's format by one source per file, whose ratio sets its share."""
    out: dict[str, Share] = {}
    for name, share in shares.items():
        path = share.paths[0] if len(share.paths) == 1 else None
        if not isinstance(path, Path) or path.suffix not in (".yaml", ".yml"):
            out[name] = share
            continue
        if share.weight is not None or share.end is not None:
            raise DataError(f"source {name}: the files of a META list have ratios: give it no weight")
        for number, file in enumerate(read_meta(path, share.root, share.form)):
            if f"{name}.{number}" in shares:
                raise DataError(f"source {name}.{number}: the name is needed for a file of {name}")
            out[f"{name}.{number}"] = Share((file,), ratio=file.ratio * (share.ratio or 1.0))
    return out


def check_paths(shares: Mapping[str, Share]) -> None:
    """Raise `DataError`, naming the source, if files of sources do not exist."""
    paths = [(name, path) for name, share in shares.items() for path in share.paths if isinstance(path, Path)]
    missing = [(name, path) for name, path in paths if not path.exists()]
    if missing:
        more = f" (nor are those of {len(missing) - 1} more sources)" if len(missing) > 1 else ""
        name, path = missing[0]
        raise DataError(f"source {name}: {path}: not there{more}; docs/data.md says how sources are made")


def check_weights(shares: Mapping[str, Share]) -> None:
    """Raise `DataError` if some sources have a weight and others a ratio, which cannot be compared."""
    by_ratio = next((name for name, share in shares.items() if share.ratio is not None), None)
    by_weight = next((name for name, share in shares.items() if (share.weight, share.end) != (None, None)), None)
    if by_ratio is not None and by_weight is not None:
        raise DataError(
            f"sources: {by_weight} has a weight, a share of all samples, and {by_ratio} a ratio, times its own: "
            "give all of them the one or the other"
        )


def weighted(shares: Mapping[str, Share], sizes: Mapping[str, int]) -> list[Weighted]:
    """Return the sources of a blend: each has its weight, or its ratio times its samples.

    One with neither counts 1: as a weight, or as a ratio if others have ratios.
    """
    by_ratio = any(share.ratio is not None for share in shares.values())

    def weight(name: str, share: Share) -> float:
        if by_ratio:
            return (1.0 if share.ratio is None else share.ratio) * sizes[name]
        return 1.0 if share.weight is None else share.weight

    return [Weighted(name, sizes[name], weight(name, share), share.end) for name, share in shares.items()]


def open_mixture(
    shares: Mapping[str, Share],
    processor: SphinxXProcessor,
    limits: Limits,
    budget: Budget,
    samples: int,
    folder: Path,
    seed: int = 0,
    augmentation: Augmentation | None = None,
    max_bad: float = 0.001,
    workers: int | None = None,
    progress: Callable[[str, Tally], None] = lambda *_: None,
    store: FeatureStore | None = None,
    readings: Path | None = None,
) -> Mixture:
    """Open sources, measure those without a table in `folder`, and plan `samples` samples in packs.

    What a member reads in images is kept in `readings`, by default a folder in `folder`.

    Raises:
        DataError: A source has more than a share `max_bad` of unusable samples, or no usable ones.
    """
    if limits.tokens > budget.tokens or limits.views > budget.views:
        raise DataError("the longest sample is longer than a pack")
    check_paths(shares)
    readers, lengths = [], {}
    key, builder, grid = processor_key(processor), processor.prompt_builder(), processor.image_processor.grid()
    lines = processor.image_processor.line_reader()
    lines = None if lines is None else replace(lines, folder=readings or folder / "readings")
    shares = split_meta(shares)
    check_weights(shares)
    for name, share in shares.items():
        reader = SampleReader(share.paths, share.root, folder, share.form)
        meter = Meter(name, reader, builder, grid, limits, folder, lines)
        found = measure_lengths(meter, key, workers, max_bad=max_bad, progress=progress)
        if not len(found.pieces):
            reasons = "; ".join(f"{count} x {reason}" for reason, count in found.tally.left_out.most_common(3))
            raise DataError(
                f"source {name}: none of its {found.tally.records} samples can be used ({reasons or 'empty'})"
            )
        readers.append(reader)
        lengths[name] = found
    blend = Blend(weighted(shares, {name: len(found.pieces) for name, found in lengths.items()}), samples, seed)
    pieces = [found.pieces for found in lengths.values()]
    examples = Examples(readers, pieces, blend, processor, augmentation or Augmentation(), limits, lines, store)
    plan = PackPlan(examples.costs, samples, budget, seed)
    return Mixture(examples, plan, {name: found.tally for name, found in lengths.items()})
