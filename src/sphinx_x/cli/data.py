"""`sphinx-x data`: checks, shows, counts, converts and packs data. Heavy libraries are imported inside the verbs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sphinx_x.cli.options import check_out
from sphinx_x.cli.renamed import keep_old_name
from sphinx_x.errors import SphinxXError, needs_extra, plain

if TYPE_CHECKING:
    from sphinx_x.data.shards import SampleReader
    from sphinx_x.work.tally import Tally

data = typer.Typer(no_args_is_help=True, help="Check, show, count and convert data.")

Samples = Annotated[Path, typer.Argument(help="A .jsonl, .json or .parquet file, a folder of shards, or a META .yaml.")]
Root = Annotated[Path | None, typer.Option(help="Where the paths of images begin, if not next to the file.")]
Member = Annotated[
    str,
    typer.Option("--model", "-m", help="The member that reads: a built-in name, a folder, or the hub's owner/name."),
]
Workers = Annotated[int | None, typer.Option(min=1, max=1024, help="Number of processes; by default one per core.")]
MaxBad = Annotated[float, typer.Option(min=0, max=1, help="Share of samples that may be unusable.")]
Boxes = Annotated[
    Literal["pixels", "0..1", "0..1000"] | None,
    typer.Option(help="Unit of boxes where records do not give one: pixels, or fractions of each side."),
]
Ignore = Annotated[list[str] | None, typer.Option(help="A key of the records that does not matter; repeatable.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")]


@data.command()
def validate(
    file: Samples,
    root: Root = None,
    boxes: Boxes = None,
    ignore: Ignore = None,
    workers: Workers = None,
    most: Annotated[int, typer.Option(min=1, help="Number of findings to print.")] = 50,
) -> None:
    """Read every sample and decode every image of a data file; report line, field and reason of every fault."""
    from sphinx_x.data.check import check

    reader = _reader([file], root, boxes, ignore)
    findings, tally = check(reader, workers, _counter("checked"))
    for finding in findings[:most]:
        print(plain(str(finding), 400))
    if findings:
        more = f", {len(findings) - most} findings not shown" if len(findings) > most else ""
        reasons = "; ".join(f"{count} x {reason}" for reason, count in tally.set_aside.most_common(5))
        raise SphinxXError(f"{tally.records - tally.samples} of {tally.records} samples are wrong ({reasons}){more}")
    if not tally.records:
        raise SphinxXError(f"{file}: has no samples")
    print(f"{tally.samples} samples, {tally.turns} answers: nothing is wrong with them")


@data.command()
def show(
    file: Samples,
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path("samples.html"),
    root: Root = None,
    boxes: Boxes = None,
    ignore: Ignore = None,
    count: Annotated[int, typer.Option(min=1, help="Number of samples, spread evenly over the file.")] = 12,
    first: Annotated[
        int | None, typer.Option(min=1, help="Start at this sample instead and show consecutive ones.")
    ] = None,
    model: Member = "nano",
) -> None:
    """Write an HTML page with images, boxes and points, and the trained tokens in colour."""
    reader = _reader([file], root, boxes, ignore)
    if not len(reader):
        raise SphinxXError(f"{file}: has no samples")
    check_out(out, reader.files)
    if first is None:
        numbers = sorted({k * len(reader) // count for k in range(min(count, len(reader)))})
        numbers = list(range(len(reader))) if count >= len(reader) else numbers
    else:
        numbers = list(range(first - 1, min(first - 1 + count, len(reader))))
        if not numbers:
            raise SphinxXError(f"--first {first}: {file} has {len(reader)} samples")
    from sphinx_x.data.show import show as write
    from sphinx_x.inference import load_processor

    wrong = write(reader, load_processor(model), out, numbers, str(file))
    print(f"{len(numbers)} of {len(reader)} samples written to {out}")
    if wrong:
        raise SphinxXError(f"{len(wrong)} of these samples cannot be used; the first: {wrong[0]}")


@data.command()
def stats(
    files: Annotated[list[Path], typer.Argument(help="Files or folders of samples.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file for plots (PNG).")] = None,
    root: Root = None,
    boxes: Boxes = None,
    ignore: Ignore = None,
    model: Member = "nano",
    workers: Workers = None,
) -> None:
    """Count samples, tokens, views, image shapes and skipped views of every source."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from sphinx_x.data.stats import HEADINGS, count, draw_stats
    from sphinx_x.inference import load_processor

    reader = _reader(files, root, boxes, ignore)
    if out is not None:
        check_out(out, reader.files)
        with needs_extra("data", "drawing plots"):  # reported before everything is counted
            import matplotlib  # noqa: F401
    counts = count(reader, load_processor(model), workers, _counter("counted"))
    if not counts:
        raise SphinxXError(f"{files[0]}: has no samples")
    table = Table(*HEADINGS)
    for name, found in counts.items():
        table.add_row(*map(escape, found.row(name)))
    Console(width=max(Console().width, 140)).print(table)
    for name, found in counts.items():
        for reason, number in found.unusable.most_common():
            print(plain(f"{name}: {number} unusable: {reason}"))
    if not any(found.samples for found in counts.values()):
        raise SphinxXError(f"{files[0]}: no sample of it can be used")
    if out is not None:
        draw_stats(counts, out)
        print(f"plots written to {out}")


@data.command()
def pack(
    file: Samples,
    out: Out,
    name: Annotated[str, typer.Option(help="Prefix of the shards' names.")] = "samples",
    root: Root = None,
    boxes: Boxes = None,
    ignore: Ignore = None,
    max_bad: MaxBad = 0.01,
    workers: Workers = None,
) -> None:
    """Pack a data file of any format into shards with the images inside, for training on large sets."""
    from sphinx_x.data.repack import repack

    reader = _reader([file], root, boxes, ignore)
    tally = repack(reader, out, name, workers, max_bad=max_bad, progress=lambda t: _counter("packed")(t.records))
    tell_tally(tally, out)


keep_old_name(data, pack, "shard", "sphinx-x data pack")


@data.command()
def read(
    file: Samples,
    out: Annotated[Path, typer.Option("--out", "-o", help="The recipe's `folder`; readings lie in `readings` there.")],
    member: Annotated[str, typer.Option(help="The member whose reader of lines reads.")] = "smol",
    made: Annotated[
        bool, typer.Option("--made", help="Make up the lines of what is known to be written, instead of reading them.")
    ] = False,
    made_objects: Annotated[
        bool,
        typer.Option("--made-objects", help="Make up objects of the regions, which must be things by their names."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the faults of made-up readings.")] = 0,
    root: Root = None,
    boxes: Boxes = None,
    ignore: Ignore = None,
    max_bad: MaxBad = 0.01,
) -> None:
    """Read the lines of all images of a set in advance, and find their objects; a run with that folder takes both."""
    from sphinx_x.data.readings import READINGS, keep_readings
    from sphinx_x.family import get_member
    from sphinx_x.text_lines.reader import LineReader

    lines = get_member(member).lines
    if lines is None:
        raise SphinxXError(f"{member} reads no lines")
    samples, reader = _reader([file], root, boxes, ignore), LineReader(**lines, folder=out / READINGS)
    written, tally = keep_readings(samples, reader, made, made_objects, seed, max_bad, _counter("read"))
    for reason, count in tally.set_aside.most_common():
        print(f"set aside: {count} x {reason}")
    print(f"{written} readings written to {out / READINGS}")


@data.command()
def sources(
    name: Annotated[str | None, typer.Argument(help="Show everything about one set.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the whole table as Markdown.")] = False,
) -> None:
    """List the public sets that can be converted."""
    from sphinx_x.sources import get_source
    from sphinx_x.sources.table import as_markdown, details, short_table

    if name is not None:
        print(details(get_source(name)))
    elif markdown:
        print(as_markdown(), end="")
    else:
        short_table()


@data.command()
def convert(
    name: Annotated[str, typer.Argument(help="A set listed by `data sources`.")],
    raw: Annotated[Path, typer.Argument(help="The folder of its unpacked release.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The folder to write.")] = None,
    split: Annotated[str, typer.Option(help="The split, as the release names it.")] = "train",
    images: Annotated[list[Path] | None, typer.Option(help="Another folder with images; repeatable.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only compare the release with its known contents.")] = False,
    inside: Annotated[bool, typer.Option("--inside", help="Copy the images into the shards.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Decode every image once.")] = False,
    max_bad: MaxBad = 0.01,
    workers: Workers = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Run on this machine's cores, or on a cluster.")
    ] = "local",
) -> None:
    """Convert a public set to dialogue; an interrupted run is continued."""
    from sphinx_x.sources import get_source
    from sphinx_x.sources.base import Raw
    from sphinx_x.sources.convert import Job, check_files, check_release
    from sphinx_x.sources.convert import convert as run

    source = get_source(name)
    release = Raw(raw, split, images or [])
    if check:
        _tell_check(*check_release(source, release), name)
        return
    if out is None:
        raise SphinxXError("give a folder to write with -o, or --check")

    for what, wanted, found, good in check_files(source, release):
        if not good:
            print(f"note: {found} of {wanted} {what}", file=sys.stderr)

    def tell(tally: Tally) -> None:
        print(f"{name}: {tally.records} {source.unit}, {tally.samples} samples, {tally.bad} aside", file=sys.stderr)

    tally = run(Job(source, release, out, inside, verify), workers, max_bad=max_bad, engine=engine, progress=tell)
    expected = source.count.get(split)
    if expected not in (None, tally.records):
        print(f"note: {tally.records:,} {source.unit}, but the release should hold {expected:,}", file=sys.stderr)
    tell_tally(tally, out)


def _reader(files: list[Path], root: Path | None, boxes: str | None, ignore: list[str] | None) -> SampleReader:
    from sphinx_x.data.dialects import Form
    from sphinx_x.data.shards import SampleReader

    return SampleReader(files, root, form=Form(boxes or "", tuple(ignore or ())))


def tell_tally(tally: Tally, out: Path) -> None:
    """Print what was set aside or left out, and what was written."""
    for reason, count in tally.set_aside.most_common():
        print(f"set aside: {count} x {reason}")
    for reason, count in tally.left_out.most_common():
        print(f"left out: {count} x {reason}")
    print(f"{tally.samples} samples with {tally.turns} answers written to {out}")


def _tell_check(rows: list[tuple[str, str, str, bool]], tally: Tally, name: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "expected", "found", "")
    for what, expected, found, good in rows:
        table.add_row(what, expected, found, "ok" if good else "differs")
    Console().print(table)
    for reason, count in tally.left_out.most_common():
        print(f"would be left out: {count} x {reason}")
    wrong = [what for what, _, _, good in rows if not good]
    if wrong:
        raise SphinxXError(f"the release of {name} differs in {len(wrong)} points; the first: {wrong[0]}")


def _counter(word: str):
    """Return a function that shows the progress on a terminal."""

    def tell(done: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{word} {done}", end="", file=sys.stderr, flush=True)

    return tell
