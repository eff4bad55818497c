"""Questions about photos and rendered scenes with answers of a word or a phrase."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from sphinx_x.images import open_image
from sphinx_x.sources.base import Draft, Expected, Malformed, Raw, Record, Source, grouped
from sphinx_x.sources.dialogue import SHORT, Answer, Content, answer_of, dialogue, short

PROMPT = "{}\n" + SHORT
EMPTY = "question or answer empty"
PHRASE = 5
"""Most words of a phrase; longer answers are asked for without requesting a short one."""

NO_ANSWER = ("", "answering does not require reading text in the image", "no text in image", "not a question")
"""What TextVQA's annotators could say of a question instead of answering it."""

ROTATIONS = "train-images-boxable-with-rotation.csv"


Turns = list[tuple[Content, Content | Answer]]


def short_turns(pairs: Iterable[tuple[str, str | Answer]], left_out: Counter[str]) -> Turns:
    """Return turns that ask for a word or a phrase; `left_out` counts pairs with an empty question or answer."""
    turns: Turns = []
    for question, answer in pairs:
        said = (answer.said if isinstance(answer, Answer) else answer).strip()
        if question.strip() and said:
            turns.append((short(question.strip()), replace(answer, said=said) if isinstance(answer, Answer) else said))
        else:
            left_out[EMPTY] += 1
    return turns


def most_given(answers: list[str]) -> str:
    """Return the most frequent answer; of equally frequent ones, the first."""
    return max(answers, key=answers.count, default="")


def joined(record: Record, data: Callable[[list[dict]], Any]) -> Record:
    """Return a record of `grouped` with its entries replaced by `data` of them, unless it will be set aside."""
    return record if isinstance(record.data, Malformed) else replace(record, data=data(record.data))


def build_questions(record: Record, raw: Raw, picture: str) -> Draft:
    """Ask entries with `question` and `answer` about one image.

    Args:
        record: The entries.
        raw: The release.
        picture: Name of the image, with `{split}` and `{id}`.
    """
    left_out: Counter[str] = Counter()
    turns = short_turns(((entry["question"], entry["answer"]) for entry in record.data), left_out)
    return Draft(dialogue(turns), [raw.picture(picture.format(split=raw.split, id=record.id))], left_out=left_out)


def read_vqa(raw: Raw, prefix: str) -> Iterator[Record]:
    """Yield one record for each image from two JSON files, questions and annotations, that share question ids."""
    annotations = raw.json(f"{prefix}mscoco_{{split}}2014_annotations.json", "annotations")
    answers = {entry["question_id"]: entry for entry in annotations}
    questions = raw.json(f"{prefix}OpenEnded_mscoco_{{split}}2014_questions.json", "questions")
    for record in grouped(questions, "image_id"):
        yield joined(record, lambda entries: [(entry, answers.get(entry.get("question_id"))) for entry in entries])


def build_vqa(record: Record, raw: Raw, answer: Callable[[dict], str]) -> Draft:
    """Ask the questions about one image of COCO 2014, with the votes of all annotators; `answer` picks one of them."""
    left_out: Counter[str] = Counter()
    known = [(entry, annotation) for entry, annotation in record.data if annotation is not None]
    left_out["question without annotation"] += len(record.data) - len(known)
    pairs = ((entry["question"], answer_of(answer(annotation), votes(annotation))) for entry, annotation in known)
    turns = short_turns(pairs, left_out)
    picture = raw.picture(f"COCO_{raw.split}2014_{int(record.id):012d}.jpg")
    return Draft(dialogue(turns), [picture], left_out=left_out)


def votes(annotation: dict) -> list[str]:
    """Return what every annotator said, in their own wording."""
    return [vote.get("raw_answer", vote["answer"]) for vote in annotation["answers"]]


def okvqa_answer(annotation: dict) -> str:
    """Return the most frequent word stem, in its most frequent wording."""
    stem = most_given([entry["answer"] for entry in annotation["answers"]])
    return most_given([entry["raw_answer"] for entry in annotation["answers"] if entry["answer"] == stem])


def read_gqa(raw: Raw) -> Iterator[Record]:
    """Yield the balanced questions, an object keyed by question id, as one record for each image."""
    yield from grouped(raw.json("{split}_balanced_questions.json").values(), "imageId")


def read_visual_genome(raw: Raw) -> Iterator[Record]:
    """Yield the questions of each image with any; `image_data.json` tells which of two folders has the image."""
    places = {entry["image_id"]: "/".join(entry["url"].split("/")[-2:]) for entry in raw.json("image_data.json")}
    for number, entry in enumerate(raw.json("question_answers.json")):
        try:
            image, questions = entry["id"], entry["qas"]
            record = Record(str(image), (places.get(image), questions), len(questions))
        except (LookupError, TypeError):
            record = Record(f"entry-{number}", Malformed("malformed record"))
        if record.count:
            yield record


def build_visual_genome(record: Record, raw: Raw) -> Draft:
    """Ask for short answers in VQA's form, in lower case without a full stop; for sentences, just ask."""
    place, questions = record.data
    left_out: Counter[str] = Counter()
    turns = []
    for entry in questions:
        question, answer = entry["question"].strip(), entry["answer"].strip()
        if question and len(answer.split()) > PHRASE:
            turns.append((question, answer))
        else:
            turns += short_turns([(question, answer.rstrip(". ").lower())], left_out)
    return Draft(dialogue(turns), [raw.picture(place or f"{record.id}.jpg")], left_out=left_out)


def read_clevr(raw: Raw) -> Iterator[Record]:
    """Yield all questions about each rendered scene."""
    yield from grouped(raw.json("CLEVR_{split}_questions.json", "questions"), "image_filename")


def read_textvqa(raw: Raw) -> Iterator[Record]:
    """Yield all questions about each OpenImages image, and the degrees by which to rotate it, if known."""
    rows = [] if not raw.files(ROTATIONS) else raw.table(ROTATIONS)
    turned = {row["ImageID"]: row["Rotation"] for row in rows if row["Rotation"] not in ("", "0", "0.0")}
    for record in grouped(raw.json("TextVQA_0.5.1_{split}.json", "data"), "image_id"):
        yield joined(record, lambda entries, image=record.id: (entries, turned.get(image)))


def build_textvqa(record: Record, raw: Raw) -> Draft:
    """Give the answer of most of the ten annotators; those without an answer have no vote."""
    entries, degrees = record.data
    left_out: Counter[str] = Counter()
    pairs = []
    for entry in entries:
        answers = [answer.strip() for answer in entry["answers"]]
        answers = [answer for answer in answers if answer.lower() not in NO_ANSWER]
        pairs.append((entry["question"], answer_of(most_given(answers), answers)))
    path = raw.picture(f"train_images/{record.id}.jpg")
    picture = partial(turned_picture, path, float(degrees)) if degrees else path
    return Draft(dialogue(short_turns(pairs, left_out)), [picture], left_out=left_out)


def turned_picture(path: Path, degrees: float) -> bytes:
    """Return a picture rotated counterclockwise, as JPEG."""
    content = io.BytesIO()
    open_image(path).rotate(degrees, expand=True).save(content, "JPEG", quality=95)
    return content.getvalue()


def _coco(count: dict[str, int]) -> Expected:
    return Expected("{split}2014/COCO_{split}2014_*.jpg", "images of COCO 2014", count)


VQA = partial(Source, task="vqa", unit="questions", prompts=(PROMPT,))

SOURCES = (
    VQA(
        name="vqav2",
        title="VQA v2.0",
        home="https://visualqa.org/download.html",
        licence="CC-BY-4.0 (annotations); COCO images under Flickr's terms",
        files=(
            Expected("v2_OpenEnded_mscoco_{split}2014_questions.json", "questions"),
            Expected("v2_mscoco_{split}2014_annotations.json", "answers"),
            _coco({"train": 82_783, "val": 40_504}),
        ),
        count={"train": 443_757, "val": 214_354},
        layout="https://visualqa.org/download.html; google-research/big_vision big_vision/datasets/vqa/vqa.py",
        read=partial(read_vqa, prefix="v2_"),
        build=partial(build_vqa, answer=itemgetter("multiple_choice_answer")),
        note="Images are COCO's train2014 and val2014, available there.",
    ),
    VQA(
        name="okvqa",
        title="OK-VQA",
        home="https://okvqa.allenai.org/download.html",
        licence="not stated (annotations); COCO images under Flickr's terms",
        files=(
            Expected("OpenEnded_mscoco_{split}2014_questions.json", "questions"),
            Expected("mscoco_{split}2014_annotations.json", "answers of version 1.1, stemmed and raw"),
            _coco({"train": 82_783, "val": 40_504}),
        ),
        count={"train": 9_009, "val": 5_046},
        layout="google-research/big_vision big_vision/datasets/okvqa/okvqa.py; phiyodr/vqaloader README.md",
        read=partial(read_vqa, prefix=""),
        build=partial(build_vqa, answer=okvqa_answer),
        note="The split `val` is the benchmark's test split. Votes are counted by stem; the answer is a raw one.",
    ),
    VQA(
        name="gqa",
        title="GQA",
        home="https://cs.stanford.edu/people/dorarad/gqa/download.html",
        licence="see its home page (questions); images of Visual Genome under Flickr's terms",
        files=(
            Expected("{split}_balanced_questions.json", "questions and answers, version 1.2"),
            Expected("images/*.jpg", "images"),
        ),
        count={"train": 943_000, "val": 132_062, "testdev": 12_578},
        layout="https://cs.stanford.edu/people/dorarad/gqa/download.html; "
        "google-research/big_vision big_vision/datasets/gqa/gqa.py",
        read=read_gqa,
        build=partial(build_questions, picture="images/{id}.jpg"),
        note="The balanced questions are used, with their short answers; scene graphs and full answers are not.",
    ),
    VQA(
        name="visual-genome-qa",
        title="Visual Genome QA",
        home="https://homes.cs.washington.edu/~ranjay/visualgenome/",
        licence="CC-BY-4.0 (annotations); images under Flickr's terms",
        files=(
            Expected("question_answers.json", "questions and answers"),
            Expected("image_data.json", "the folder of every image"),
            Expected("VG_100K*/*.jpg", "images, in VG_100K and VG_100K_2"),
        ),
        count={},
        layout="ranjaykrishna/visual_genome_python_driver visual_genome/utils.py and local.py; "
        "open-mmlab/mmpretrain mmpretrain/datasets/visual_genome.py",
        prompts=(PROMPT, "{}"),
        read=read_visual_genome,
        build=build_visual_genome,
        note="There is one split. Short answers are in lower case without a full stop, like VQA's; "
        f"those of more than {PHRASE} words follow the bare question.",
    ),
    VQA(
        name="clevr",
        title="CLEVR v1.0",
        home="https://cs.stanford.edu/people/jcjohns/clevr/",
        licence="CC-BY-4.0",
        files=(
            Expected("questions/CLEVR_{split}_questions.json", "questions, answers and programs"),
            Expected("images/{split}/CLEVR_{split}_*.png", "images", {"train": 70_000, "val": 15_000}),
        ),
        count={"train": 699_989, "val": 149_991},
        layout="README.txt of the release (https://huggingface.co/datasets/laion/clevr-webdataset)",
        read=read_clevr,
        build=partial(build_questions, picture="images/{split}/{id}"),
        note="Programs and scenes are not used.",
    ),
    VQA(
        name="textvqa",
        title="TextVQA v0.5.1",
        home="https://textvqa.org/dataset/",
        licence="CC-BY-4.0 (annotations); images of OpenImages: CC-BY-2.0",
        files=(
            Expected("TextVQA_0.5.1_{split}.json", "questions with ten answers each"),
            Expected("train_images/*.jpg", "images of training and validation"),
        ),
        count={"train": 34_602, "val": 5_000},
        layout="google-research/big_vision big_vision/datasets/textvqa/textvqa.py; "
        "https://huggingface.co/datasets/facebook/textvqa; phiyodr/vqaloader README.md",
        read=read_textvqa,
        build=build_textvqa,
        note="Some images lie on their side. They are turned upright, and copied into the shards, if OpenImages' "
        "train-images-boxable-with-rotation.csv is in the folder. Rosetta's OCR tokens are not used.",
    ),
)
