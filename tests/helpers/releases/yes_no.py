"""Questions that are answered with yes or no."""

from pathlib import Path

from releases.files import picture, put, put_lines


def _mme(root: Path) -> None:
    folder = root / "MME_Benchmark_release_version"
    for kind, name, lines in (
        ("existence", "000000000009", "Is there a plate here? Please answer yes or no.\tYes\n"),
        ("code_reasoning", "0001", "Is the output 6? Please answer yes or no.\tNo\n"),
    ):
        put(folder / kind / f"{name}.txt", lines + lines.replace("Is", "Really, is"))
        picture(folder / kind / f"{name}.jpg")
    posters = folder / "posters"
    put(posters / "questions_answers_YN" / "tt01.txt", "Is this film a comedy?\tYes\nIs this film a tragedy?\tNo\n")
    picture(posters / "images" / "tt01.jpg")


def _vsr(root: Path) -> None:
    rows = [
        {"image": "000000000025.jpg", "caption": "The giraffe is left of the tree.", "label": 1, "relation": "left of"},
        {"image": "000000000025.jpg", "caption": "The giraffe is under the tree.", "label": 0, "relation": "under"},
    ]
    put_lines(root / "vsr" / "test.jsonl", rows)
    picture(root / "vsr" / "images" / "000000000025.jpg")


RELEASES = {"mme": _mme, "vsr": _vsr}
