"""The command line: a thin layer in which each verb calls one function that Python users can call as well.

Heavy libraries are imported inside the verbs, so that `--help` is fast.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.exceptions import Abort, TyperException

from sphinx_x import __version__
from sphinx_x.cli import early
from sphinx_x.cli.chatting import Seed, Stop, Temperature, TopP, check_drawing, open_pictures, say
from sphinx_x.cli.data import data
from sphinx_x.cli.engines import box_numbers, mark
from sphinx_x.cli.evaluation import evaluation, score
from sphinx_x.cli.folders import export, importing, merge
from sphinx_x.cli.options import Fast
from sphinx_x.cli.renamed import keep_old_name
from sphinx_x.cli.serving import serve
from sphinx_x.cli.study import study
from sphinx_x.cli.tables import family, recipes
from sphinx_x.errors import SphinxXError, one_line, plain

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="SPHINX-X: makes, trains, runs and measures a family of multi-modal language models.",
)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"sphinx-x {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


Model = Annotated[
    str, typer.Option("--model", "-m", help="A built-in name, a model folder, or the hub's owner/name or hf://...")
]
Page = Annotated[int, typer.Option(help="Which page of a PDF, from 1.")]
Tokens = Annotated[int | None, typer.Option(min=1, help="Longest answer, in tokens (256).")]
Device = Annotated[
    str | None,
    typer.Option(help="A PyTorch device, by default an accelerator if there is one; `auto` spreads the model."),
]
Bits = Annotated[
    Literal[4, 8] | None,
    typer.Option(help="Quantise the language model, so that it fits a small GPU, or is faster on a CPU."),
]


@app.command()
def chat(
    image: Annotated[str | None, typer.Argument(help="An image, a PDF or a video; `-` or nothing: text only.")] = None,
    question: Annotated[str | None, typer.Argument(help="The question; without one, a chat of several turns.")] = None,
    model: Model = "nano",
    page: Page = 1,
    frames: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Of a video: so many, spread evenly; by default the one in its middle."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Draw what the answer points at into this image.")
    ] = None,
    max_new_tokens: Tokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    seed: Seed = None,
    stop: Stop = None,
    device: Device = None,
    bits: Bits = None,
    fast: Fast = False,
) -> None:
    """Ask about an image, stream the answer, and list what it points at (in pixels; a PDF: at 150 dpi)."""
    # faults in the input are reported before the model is loaded
    pictures = open_pictures(None if image == "-" else image, page, frames)
    sizes = [picture.size for picture in pictures]
    if out is not None:
        check_drawing(out, image, pictures)
    if question is not None and not question.strip():
        raise SphinxXError("the question is empty")
    early.refuse(model, sizes)
    with early.imports():
        from sphinx_x.inference import SphinxX

    sphinx = SphinxX.load(model, device=device, bits=bits, fast=fast)
    limits = {"max_new_tokens": max_new_tokens, "stop": stop or None}
    given = limits | {"temperature": temperature, "top_p": top_p, "seed": seed}
    options = {name: value for name, value in given.items() if value is not None}
    session = sphinx.session()
    if question is not None:
        say(session, question, pictures, out, options)
        return
    sphinx.check(sizes)  # nothing was known before about a hub id
    print("Ask; an empty line or Ctrl-D ends.", file=sys.stderr)
    failed = False
    while True:
        try:
            question = input("> ")
        except EOFError:
            break
        if not question.strip():
            break
        try:
            say(session, question, pictures, out, options)
        except SphinxXError as error:  # the conversation is as it was
            failed = True
            print(f"error: {plain(str(error))}", file=sys.stderr)
            most = sphinx.model.config.ability().turns
            if most is not None and len(session.messages) >= 2 * most:
                break  # any further question would be refused as well
            continue
        pictures = []
    if failed:
        raise typer.Exit(2)


Document = Annotated[str, typer.Argument(help="An image or a PDF.")]


@app.command()
def read(
    image: Document,
    box: Annotated[
        str | None, typer.Option(help="x1,y1,x2,y2 in pixels (a PDF: at 150 dpi); by default all of it.")
    ] = None,
    model: Model = "nano",
    page: Page = 1,
    device: Device = None,
) -> None:
    """Read the lines in a box of a page, or on the whole page."""
    from sphinx_x.images import open_image

    picture = open_image(image, page=page)
    region = box_numbers(box) if box is not None else [0, 0, picture.width, picture.height]
    with early.imports():
        from sphinx_x.inference import SphinxX
        from sphinx_x.reading import ReadLine, read_region

    left_out: list[ReadLine] = []
    print(read_region(SphinxX.load(model, device=device), picture, region, left_out))
    if left_out:
        what = "1 line is" if len(left_out) == 1 else f"{len(left_out)} lines are"
        print(f"note: {what} left out, which the model held improbable", file=sys.stderr)


@app.command()
def find(
    image: Document,
    text: Annotated[str, typer.Argument(help="The text to look for, at most one line.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Draw the box into this image.")] = None,
    model: Model = "nano",
    page: Page = 1,
    device: Device = None,
) -> None:
    """Find the box of a text on a page, in pixels (a PDF: at 150 dpi)."""
    from sphinx_x.drawing import Mark, check_output, draw_boxes, save_picture
    from sphinx_x.images import open_image

    if out is not None:
        check_output(out, image)
    picture = open_image(image, page=page)
    if not text.strip():
        raise SphinxXError("the text to find is empty")
    with early.imports():
        from sphinx_x.inference import SphinxX
        from sphinx_x.reading import find_text

    found = find_text(SphinxX.load(model, device=device), picture, text)
    if found is None:
        raise SphinxXError(f"{text!r} was not found")
    print(",".join(map(str, found.box)))
    if out is not None:
        save_picture(draw_boxes(picture, [Mark(found.box, text)]), out)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The image to write.")] = Path("demo.png"),
    model: Model = "nano",
    answers: Annotated[
        bool, typer.Option(help="Let SPHINX-Smol answer about four pictures as well; at first it fetches 280 MB.")
    ] = True,
) -> None:
    """Let SPHINX-Nano read regions of a real page and find a text, and SPHINX-Smol answer about four pictures."""
    from sphinx_x.drawing import picture_form

    picture_form(out)  # reported before a model is loaded
    with early.imports():
        from sphinx_x.demo import run_demo

    run_demo(out, model, answers)


app.command()(family)
app.command()(recipes)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a packaged one.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The run's folder; by default runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in that folder.")] = False,
    device: Device = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what the run needs.")] = False,
    ranks: Annotated[
        int | None, typer.Option(min=1, help="With --dry-run: number of processes, one device each.")
    ] = None,
    memory: Annotated[float | None, typer.Option(min=0, help="With --dry-run: GB of each device.")] = None,
    export: Annotated[Path | None, typer.Option(help="Only write the newest state, as this model folder.")] = None,
) -> None:
    """Train a member with a recipe."""
    from sphinx_x.recipe import load_recipe

    loaded, folder = load_recipe(recipe), out or Path("runs") / Path(recipe).stem
    if loaded.data is not None:
        from sphinx_x.engines.nano.prepare import check_data

        try:
            check_data(loaded.data)
        except SphinxXError as error:
            raise SphinxXError(f"{recipe}: {error}") from error
    if dry_run:
        from sphinx_x.planning.report import CannotFitError
        from sphinx_x.planning.report import dry_run as tell
        from sphinx_x.training.trial import try_steps

        try:
            print(tell(loaded, folder, ranks, device, memory, try_steps))
        except CannotFitError as error:
            print(error.table, flush=True)
            raise
        return
    if ranks is not None or memory is not None:
        raise SphinxXError("--ranks and --memory go with --dry-run; torchrun starts the ranks of a run")
    from sphinx_x.training.trainer import train as run

    trained = run(loaded, folder, resume, device, export)
    if os.environ.get("RANK", "0") == "0":
        print(f"model written to {trained}")


app.add_typer(importing, name="import")
app.add_typer(data, name="data")
app.add_typer(evaluation, name="eval")
app.add_typer(study, name="study")
app.command()(score)
app.command()(serve)
app.command()(mark)
keep_old_name(app, mark, "som", "sphinx-x mark")
app.command()(export)
app.command()(merge)

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(name="transformers", context_settings=PASSED_ON, add_help_option=False)
def transformers_cli(context: typer.Context) -> None:
    """Run the Transformers library's own command line (`serve`, `chat`, ...), with the family registered."""
    from sphinx_x.serving import transformers_cli as run

    run(context.args)


def _leave(number: int, _: object) -> None:
    """Turn a request to end into an exception, so that nothing half-made is left (training has its own way)."""
    raise SystemExit(128 + number)


def _usage(error: TyperException) -> str:
    """Return what is wrong with a command line, and whose help tells more, in one line."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "sphinx-x"
    # a group without a command has already printed its help, and its error has no message
    said = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "") or "a command is missing"
    return plain(f"{said} (see {command} --help)")


class _Notes(logging.Handler):
    """Prints what the package logs, as plain lines on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """See the base class."""
        print(self.format(record), file=sys.stderr)


def _log_plainly() -> None:
    logger = logging.getLogger("sphinx_x")
    if not any(isinstance(handler, _Notes) for handler in logger.handlers):
        logger.addHandler(_Notes())
    logger.setLevel(logging.INFO)


def main() -> None:
    """Run the command line: a user's error is one line on standard error and exit code 2."""
    _log_plainly()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _leave)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # a number if a command raised typer.Exit, otherwise the command's return value: None
        raise SystemExit(app(standalone_mode=False) or 0)
    except TyperException as error:
        print(f"error: {_usage(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    except SphinxXError as error:
        print(f"error: {plain(str(error))}", file=sys.stderr)
        raise SystemExit(2) from None
    except (KeyboardInterrupt, Abort):
        raise SystemExit(130) from None
    except BrokenPipeError:
        # the reader of our output is gone; nothing more can be written there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:  # the disk or the network, not the program
        print(f"error: {plain(str(error.filename or 'input or output'))}: {one_line(error)}", file=sys.stderr)
        raise SystemExit(2) from None
