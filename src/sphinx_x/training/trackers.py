"""Where the numbers of a run go besides its log: TensorBoard, or an experiment tracker (extra `train`)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from sphinx_x.errors import MissingToolError


class Tracker(Protocol):
    """Takes the numbers of a step."""

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """numbers: name -> number; a slash in a name makes a group."""

    def close(self) -> None:
        """No more will come."""


class TensorBoard:
    """Event files in the run's folder, in `tensorboard/`."""

    def __init__(self, folder: Path, recipe: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"))
        self.writer.add_text("recipe", f"```\n{recipe}\n```")

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, number in numbers.items():
            self.writer.add_scalar(name, number, step)

    def close(self) -> None:
        """See `Tracker`."""
        self.writer.close()


class Trackio:
    """A run of the project `sphinx-x` in trackio's local store, under the name of the run's folder."""

    def __init__(self, folder: Path, recipe: Mapping[str, Any]) -> None:
        import trackio  # pyright: ignore[reportMissingImports]

        self.run = trackio.init(project="sphinx-x", name=folder.name, config=dict(recipe), resume="allow", embed=False)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self.run.log(dict(numbers), step=step)

    def close(self) -> None:
        """See `Tracker`."""
        self.run.finish()


KINDS: dict[str, type[TensorBoard] | type[Trackio]] = {"tensorboard": TensorBoard, "trackio": Trackio}


def open_trackers(names: Sequence[str], folder: Path, recipe: Mapping[str, Any]) -> list[Tracker]:
    """The trackers of those names; raises `MissingToolError` where a package is not there."""
    trackers: list[Tracker] = []
    for name in names:
        try:
            with warnings.catch_warnings(action="ignore"):
                trackers.append(KINDS[name](folder, recipe))
        except ImportError as error:
            raise MissingToolError(f"trackers: no {name} here (pip install 'sphinx-x[train]' {name})") from error
    return trackers


def flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a record by name, those of tables as `table/name`."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)):
            yield f"{prefix}{name}", float(value)
