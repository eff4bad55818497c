"""MVBench: 20 tasks about what happens in videos, 200 questions each, one letter of two to five options."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.chances import guessed_option
from sphinx_x.evaluation.clips import PictureFrame
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import ByKind
from sphinx_x.evaluation.readers import Folders, entry, lettered, rows_of, text_of
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task

CHARADES, CLEVRER, PERCEPTION = "star/Charades_v1_480", "clevrer/video_validation", "perception/videos"
PLACES = {
    "action_sequence": CHARADES,
    "action_prediction": CHARADES,
    "action_antonym": "ssv2_video",
    "fine_grained_action": "Moments_in_Time_Raw/videos",
    "unexpected_action": "FunQA_test/test",
    "object_existence": CLEVRER,
    "object_interaction": CHARADES,
    "object_shuffle": PERCEPTION,
    "moving_direction": CLEVRER,
    "action_localization": "sta/sta_video",
    "scene_transition": "scene_qa/video",
    "action_count": PERCEPTION,
    "moving_count": CLEVRER,
    "moving_attribute": CLEVRER,
    "state_change": PERCEPTION,
    "fine_grained_pose": "nturgbd",
    "character_order": PERCEPTION,
    "egocentric_navigation": "vlnqa",
    "episodic_reasoning": "tvqa/frames_fps3_hq",
    "counterfactual_inference": CLEVRER,
}
"""The folder of each task's videos; its questions are in TASK.json."""
CUT = {
    CHARADES: "star/Charades_segment",
    "sta/sta_video": "sta/sta_video_segment",
    "tvqa/frames_fps3_hq": "tvqa/video_fps3_hq_segment",
}
"""The folders of a later release that has the clips cut out, so that their bounds mean nothing there."""
CONVERTED = {"ssv2_video": "ssv2_video_mp4", "nturgbd": "nturgbd_convert"}
"""The folders of that release with the same videos in another format."""
FRAMES_A_SECOND = 3.0
"""Of TVQA, which is given as folders of frames."""
ASK = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of "
    "objects, and the action and pose of persons. Based on your observations, select the best option that accurately "
    "addresses the question.\n{}\nOnly give the best option."
)


def clip(kind: str, row: Mapping[str, Any], folders: Folders) -> PictureFrame:
    """The part of a video that a question is about, in whichever release is there."""
    place, name = PLACES[kind], text_of(row, "video")
    start, end = (float(row["start"]), float(row["end"])) if place in CUT else (0.0, None)
    whole = PictureFrame(f"{place}/{name}", folders, start, end, FRAMES_A_SECOND)
    others = [PictureFrame(f"data0613/{place}/{name}", folders, start, end)]
    for folder in (CUT.get(place), CONVERTED.get(place)):
        if folder is not None:
            stem = name.rsplit(".", 1)[0] if "." in name else name
            others += [PictureFrame(f"{folder}/{called}", folders) for called in (name, f"{stem}.mp4")]
    return next((found for found in (whole, *others) if found.find() is not None), whole)


def item(kind: str, row: Mapping[str, Any], number: int, place: int, folders: Folders) -> Item:
    """A question of the release (video, question, candidates, answer, and start and end of a clip)."""
    options = lettered(row["candidates"])
    right = [letter for letter, text in options.items() if text == row["answer"]]
    if not right:
        raise DataError(f"the answer {row['answer']!r} is not one of the candidates")
    listed = "\n".join(f"({letter}) {text}" for letter, text in options.items())
    question = f"Question: {text_of(row, 'question')}\nOptions:\n{listed}"
    shown = clip(kind, row, folders)
    return Item(number, question, (shown,), (right[0],), f"{kind}/{place}", kind, shown.video, options)


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """All tasks of the folder `json`; or one task's file."""
    if path.is_file() and path.stem not in PLACES:
        raise DataError(f"{path}: its name is none of TASK.json, for a TASK of {', '.join(PLACES)}")
    files = {kind: path / f"{kind}.json" for kind in PLACES} if path.is_dir() else {path.stem: path}
    root = path.parent if path.is_dir() else path.parent.parent
    number = 0
    for kind, file in files.items():
        for place, row in enumerate(rows_of(file)):
            with entry(file, place):
                yield item(kind, row, number, place, (root / "video", root, *folders))
            number += 1


TASKS = [
    Task(
        "mvbench",
        "MVBench",
        {"all": Files(("**/MVBench/json", "**/mvbench/json", "json"), ("**/MVBench/video", "**/mvbench/video"), 4000)},
        read,
        verdicts.option,
        ByKind(tuple(PLACES), "accuracy", whole="items"),
        prompt=ASK,
        prefix="Best option:(",
        chance=guessed_option,
        licence="MIT",
        address="https://huggingface.co/datasets/OpenGVLab/MVBench",
        layout="the benchmark's mvbench.ipynb; the folders with clips cut out: lmms-eval's loader",
        paper={"": {"plus": 39.7}},
        note="the notebook also takes an answer that only begins like an option; here one has to be named",
        video=True,
    )
]
