"""Held-out samples of the package's own format."""

from pathlib import Path
from typing import Any

from releases.files import picture, put_lines


def _samples(root: Path) -> None:
    def turn(question: str, answer: object, images: int = 0, **more: Any) -> list[dict[str, Any]]:
        asked = [{"type": "image"}] * images + [{"type": "text", "text": question}]
        return [{"role": "user", "content": asked}, {"role": "assistant", "content": answer} | more]

    def sample(name: str, image: str, *turns: list[dict[str, Any]], source: str = "") -> dict[str, Any]:
        images = [{"path": f"pictures/{image}", "width": 100, "height": 50}]
        return {"id": name, "images": images, "source": source, "messages": [one for turn in turns for one in turn]}

    box = [{"type": "box", "image": 0, "box": [10, 5, 60, 45]}]
    first = sample(
        "one",
        "a.png",
        turn("Read it.", "four words", 1),
        turn("Where is it?", box),
        turn("Is it red?", "Yes, it is."),
        turn("Which mark?", "<Mark 2>."),
        turn("Not asked about.", "never", train=False),
        source="book.pdf#page=3",
    )
    second = sample("two", "b.png", turn("How many?", "2", 1, references=["2", "two", "2"]), source="book.pdf#page=4")
    put_lines(root / "held-00000.jsonl", [first])
    put_lines(root / "held-00001.jsonl", [second])
    for name in ("a.png", "b.png"):
        picture(root / "pictures" / name, "gray", 100, 50)


RELEASES = {"samples": _samples}
