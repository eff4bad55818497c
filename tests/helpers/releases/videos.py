"""Questions about videos, which are made with PyAV."""

from pathlib import Path

from releases.files import picture, put
from sphinx_x.evaluation.tasks import mvbench, videobench
from videos import make_video, need_av


def _videobench(root: Path) -> None:
    """Every part with a question; the words of the options have a blank in front, as some of the release have."""
    need_av()
    for number, part in enumerate(videobench.PARTS):
        letters = "ABCDEF"[: 2 + number % 5]
        rows = {
            f"v_{number}": {
                "vid_path": f"Eval_video/{part}/{number}.mp4",
                "video_id": str(number),
                "question": f"What happens in part {part}?",
                "choices": {letter: f" thing {letter.lower()}" for letter in letters},
                "answer": letters[number % len(letters)],
            }
        }
        put(root / "Video-Bench" / "Eval_QA" / f"{part}_QA_new.json", rows)
        path = root / "Video-Bench" / "Eval_video" / part / f"{number}.mp4"
        path.parent.mkdir(parents=True)
        make_video(path, 3 + number % 3)


def _mvbench(root: Path) -> None:
    """Every task with one question; clips with bounds, a folder of frames, the rest whole videos."""
    need_av()
    folder = root / "MVBench"
    for number, (kind, place) in enumerate(mvbench.PLACES.items()):
        row = {
            "video": f"{kind}.mp4",
            "question": f"What is there in {kind}?",
            "candidates": ["Something.", "Nothing.", "not sure"],
            "answer": ("Something.", "Nothing.", "not sure")[number % 3],
        }
        path = folder / "video" / place / f"{kind}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        if place in mvbench.CUT:
            row |= {"start": 0.5, "end": 1.5}
        if kind == "episodic_reasoning":
            row["video"] = "friends_s01e01_seg02_clip_00"
            for frame in range(1, 10):  # at 3 a second
                picture(folder / "video" / place / str(row["video"]) / f"{frame:05d}.png", f"rgb({20 * frame}, 0, 0)")
        else:
            make_video(path, 20)
        put(folder / "json" / f"{kind}.json", [row])


RELEASES = {"videobench": _videobench, "mvbench": _mvbench}
