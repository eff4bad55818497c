"""Questions about photos: VQAv2 and OK-VQA, which share a release format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sphinx_x.data.sources.base import Draft, Expected, Raw, Record, Source, grouped
from sphinx_x.data.sources.dialogue import SHORT, dialogue, short

PROMPT = "{}\n" + SHORT
LAYOUT = (
    "format description of the VQA challenge (https://visualqa.org/download.html) and its reader, "
    "GT-Vision-Lab/VQA PythonHelperTools/vqaTools/vqa.py"
)


def read_vqa(raw: Raw) -> Iterator[Record]:
    """Questions and annotations in two JSON files that share question ids; one record an image."""
    annotations = raw.json("*mscoco_{split}2014_annotations.json", "annotations")
    answers = {entry["question_id"]: entry for entry in annotations}
    for record in grouped(raw.json("*OpenEnded_mscoco_{split}2014_questions.json", "questions"), "image_id"):
        pairs = [(entry, answers.get(entry.get("question_id"))) for entry in record.data]
        yield Record(record.id, pairs, record.count)


def build_vqa(record: Record, raw: Raw) -> Draft:
    """The most frequent answer of the ten annotators; question after question about one image."""
    left_out: Counter[str] = Counter()
    turns = []
    for question, annotation in record.data:
        if annotation is None:
            left_out["question without annotation"] += 1
        else:
            turns.append((short(question["question"]), annotation["multiple_choice_answer"]))
    picture = raw.picture(f"COCO_{raw.split}2014_{int(record.id):012d}.jpg")
    return Draft(dialogue(turns), [picture], left_out=left_out)


def _images(count: dict[str, int]) -> Expected:
    return Expected("{split}2014/COCO_{split}2014_*.jpg", "images of COCO 2014", count)


SOURCES = (
    Source(
        name="vqav2",
        title="VQA v2.0",
        task="vqa",
        home="https://visualqa.org/download.html",
        licence="CC-BY-4.0 (annotations); COCO images under Flickr's terms",
        files=(
            Expected("v2_OpenEnded_mscoco_{split}2014_questions.json", "questions"),
            Expected("v2_mscoco_{split}2014_annotations.json", "answers"),
            _images({"train": 82_783, "val": 40_504}),
        ),
        unit="questions",
        count={"train": 443_757, "val": 214_354},
        layout=LAYOUT,
        prompts=(PROMPT,),
        read=read_vqa,
        build=build_vqa,
    ),
    Source(
        name="okvqa",
        title="OK-VQA",
        task="vqa",
        home="https://okvqa.allenai.org/download.html",
        licence="not stated (annotations); COCO images under Flickr's terms",
        files=(
            Expected("OpenEnded_mscoco_{split}2014_questions.json", "questions"),
            Expected(
                "mscoco_{split}2014_annotations.json", "answers, stemmed: the first raw answer given most is taken"
            ),
            _images({"train": 82_783, "val": 40_504}),
        ),
        unit="questions",
        count={"train": 9_009, "val": 5_046},
        layout=LAYOUT,
        prompts=(PROMPT,),
        read=read_vqa,
        build=build_vqa,
    ),
)
