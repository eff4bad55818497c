"""What `sphinx-x chat` does: it opens what is asked about, streams answers, and shows what they point at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sphinx_x.errors import SphinxXError

Temperature = Annotated[
    float | None, typer.Option(min=0, help="Draw tokens at this temperature; 0, and by default: the most probable.")
]
TopP = Annotated[
    float | None, typer.Option(min=0, max=1, help="Draw from the most probable tokens with this share together.")
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of what is drawn.")]
Stop = Annotated[
    list[str] | None, typer.Option(help="End the answer before this text (as it is: no escapes); repeatable.")
]


def check_drawing(out: Path, image: str | None, pictures: list[Any]) -> None:
    """Check that what an answer points at can be drawn; raise `SphinxXError` where it cannot."""
    from sphinx_x.drawing import check_output

    check_output(out, image)
    if len(pictures) != 1:
        many = f"are {len(pictures)}" if pictures else "is none"
        raise SphinxXError(f"--out draws into one image, and there {many}")


def open_pictures(image: str | None, page: int, frames: int | None) -> list[Any]:
    """Return the images that the model is shown of a file: the image, a page, or frames."""
    from sphinx_x.images import open_image
    from sphinx_x.video import is_video, sample_frames

    moving = image is not None and is_video(image)
    if frames is not None and not moving:
        raise SphinxXError("--frames goes with a video")
    if image is None:
        if page != 1:
            raise SphinxXError("--page goes with a PDF, and there is none")
        return []
    if frames is not None and page == 1:
        return sample_frames(image, frames)
    if moving and page == 1:
        print("note: the model sees the frame in the middle of the video (--frames N: so many of it)", file=sys.stderr)
    return [open_image(image, page=page)]


def say(session: Any, question: str, pictures: list[Any], out: Path | None, options: dict[str, Any]) -> None:
    """Ask a question, and print the answer as it comes, what it points at, and doubts about it.

    Args:
        session: The conversation.
        question: The question.
        pictures: Its images.
        out: The image to draw what the answer points at into, if any.
        options: Options of the answer.
    """
    from sphinx_x.drawing import save_picture
    from sphinx_x.inference.showing import describe_places, draw_answer
    from sphinx_x.text_lines.line import left_out

    for piece in session.ask(question, pictures, stream=True, **options):
        print(piece, end="", flush=True)
    print(flush=True)
    for line in describe_places(session.last):
        print(line, flush=True)
    if session.last.finish_reason == "length" and "max_new_tokens" not in options:
        told = f"the answer is cut off after {session.last.generated_tokens} tokens; --max-new-tokens allows more"
        print(f"note: {told}", file=sys.stderr)
    doubt = session.sphinx.model.config.ability().doubt(session.probability)
    if doubt is not None:
        print(f"note: {doubt}", file=sys.stderr)
    for number in range(len(session.images) - len(pictures), len(session.images)):
        note = left_out(session.last.lines_left_out[number])
        if note is not None:
            print(f"note: {note}", file=sys.stderr)
    if out is not None and session.last.points_at_something:
        save_picture(draw_answer(session.images[0], session.last), out)
    elif out is not None:
        print(f"note: the answer points at nothing, {out} is not written", file=sys.stderr)
