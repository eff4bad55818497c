"""Printed text lines: one in each picture, to be read. A small set comes with the package and needs no download."""

from collections.abc import Iterator
from pathlib import Path

from sphinx_x.evaluation.counts import ErrorRate
from sphinx_x.evaluation.items import Item, Picture, PictureFile, PictureMember
from sphinx_x.evaluation.lines import LONGEST_ANSWER, PACKAGED, load_line_set
from sphinx_x.evaluation.metrics import character_errors
from sphinx_x.evaluation.readers import Folders
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task
from sphinx_x.reading import READ


class LineFiles(Files):
    """A line set below the data folder, or else the packaged one."""

    def find(self, root: Path) -> Path | None:
        """Return the file of the lines."""
        return super().find(root) or PACKAGED / "lines.jsonl"


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """Yield the lines of a set; the cluster is the document that a line is from."""
    line_set = load_line_set(path.parent)
    archive = line_set.folder / "images.zip"
    for number, line in enumerate(line_set.lines):
        picture: Picture = PictureFile(line.image, (line_set.folder,))
        if archive.is_file():
            picture = PictureMember(archive, line.image)
        yield Item(number, "", (picture,), (line.text,), line.image, cluster=line.document)


TASKS = [
    Task(
        "lines",
        "Text lines",
        {"all": LineFiles(("lines.jsonl", "*/lines.jsonl"))},
        read,
        verdicts.characters,
        ErrorRate(character_errors),
        prompt=READ,
        max_new_tokens=LONGEST_ANSWER,
        licence="permissive licences and CC BY-SA, by document (LICENCES.md beside the set)",
        address="https://arxiv.org/abs/2402.05935",
        layout="this package's own form",
        note="`sphinx-x eval MODEL` alone prints the figures of this task",
    )
]
