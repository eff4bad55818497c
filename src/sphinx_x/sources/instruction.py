"""Visual instructions in LLaVA's conversation format: LLaVA, LVIS-Instruct4V and LLaVAR."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sphinx_x.conversation import IMAGE
from sphinx_x.errors import DataError
from sphinx_x.sources.base import Draft, Expected, Malformed, Raw, Record, Source, grouped
from sphinx_x.sources.dialogue import dialogue

COCO_END = 600_000
"""Greater than the number of any COCO image; LLaVAR's images have invented COCO names with larger numbers."""


def paired(said: Sequence[str], left_out: Counter[str]) -> list[tuple[str, str]]:
    """Pair the texts of two speakers as questions and answers; a last question without an answer is left out."""
    left_out["question without answer"] += len(said) % 2
    return list(zip(said[::2], said[1::2], strict=False))


def turns_of(conversation: Sequence[Mapping[str, Any]], left_out: Counter[str]) -> list[tuple[str, str]]:
    """Return the questions and answers of a list of `{"from": "human" or "gpt", "value": text}`."""
    said = [turn["value"] for turn in conversation]
    if [turn["from"] for turn in conversation] != (["human", "gpt"] * len(said))[: len(said)]:
        raise DataError("speakers do not take turns")
    return paired(said, left_out)


def read_conversations(pattern: str, raw: Raw) -> Iterator[Record]:
    """Yield one record for each image of a JSON list of `{"id", "image", "conversations"}`."""
    return grouped(raw.json(pattern), "image")


def build_conversations(record: Record, raw: Raw) -> Draft:
    """Join all conversations about one image; the image comes first, as in LLaVA's own code."""
    left_out: Counter[str] = Counter()
    turns: dict[str, str] = {}
    for entry in record.data:
        for question, answer in turns_of(entry["conversations"], left_out):
            question = question.replace(IMAGE, "").strip()
            left_out["question asked before"] += question in turns
            turns.setdefault(question, answer)
    return Draft(dialogue(list(turns.items())), [raw.picture(record.data[0]["image"])], left_out=left_out)


def read_llavar(raw: Raw) -> Iterator[Record]:
    """Yield LLaVAR's own records; LLaVA's, which its file repeats, are only counted, with the first of them."""
    entries = raw.json("llava_instruct_150k_llavar_*k.json")
    own = [entry for entry in entries if not _of_llava(entry)]
    repeated = len(entries) - len(own)
    for record in grouped(own, "image"):
        if isinstance(record.data, Malformed):
            yield record
        else:
            yield Record(record.id, (record.data, repeated), record.count + repeated)
            repeated = 0


def _of_llava(entry: Any) -> bool:
    name = entry.get("image") if isinstance(entry, dict) else None
    number = name.split(".")[0] if isinstance(name, str) else ""
    return number.isdecimal() and int(number) < COCO_END


def build_llavar(record: Record, raw: Raw) -> Draft:
    """Do as `build_conversations`, and count LLaVA's records that were passed over."""
    entries, repeated = record.data
    draft = build_conversations(Record(record.id, entries), raw)
    draft.left_out["record of LLaVA-Instruct-150K"] = repeated
    return draft


FORM = "haotian-liu/LLaVA llava/train/train.py (LazySupervisedDataset, preprocess_multimodal)"

SOURCES = (
    Source(
        name="llava",
        title="LLaVA-Instruct-150K",
        task="instruction",
        home="https://huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K",
        licence="CC-BY-NC-4.0, under OpenAI's terms (texts); COCO images under Flickr's terms",
        files=(
            Expected("llava_instruct_150k.json", "conversations, descriptions and reasoning"),
            Expected("train2017/*.jpg", "images of COCO train2017", {"train": 118_287}),
        ),
        unit="conversations",
        count={"train": 157_712},
        layout=f"haotian-liu/LLaVA docs/Data.md; {FORM}; count: OpenGVLab/InternVL "
        "internvl_chat/shell/data/data_yi34b_finetune.json (the translated set)",
        prompts=("{}",),
        read=partial(read_conversations, "llava_instruct_150k.json"),
        build=build_conversations,
        note="Conversations about the same image become one sample.",
    ),
    Source(
        name="lvis-instruct4v",
        title="LVIS-Instruct4V",
        task="instruction",
        home="https://huggingface.co/datasets/X2FD/LVIS-Instruct4V",
        licence="MIT, under OpenAI's terms (texts); COCO images under Flickr's terms",
        files=(
            Expected("lvis_instruct4v_220k.json", "conversations and descriptions by GPT-4V"),
            Expected("coco/train2017/*.jpg", "images of COCO train2017", {"train": 118_287}),
            Expected("coco/val2017/*.jpg", "images of COCO val2017", {"train": 5_000}),
        ),
        unit="conversations",
        count={},
        layout="https://huggingface.co/datasets/X2FD/LVIS-Instruct4V/tree/main (file); TRI-ML/prismatic-vlms "
        f"scripts/additional-datasets/lvis_instruct_4v.py (images); {FORM}",
        prompts=("{}",),
        read=partial(read_conversations, "lvis_instruct4v_220k.json"),
        build=build_conversations,
        note="About 220,000 conversations; those about the same image become one sample. LVIS has images "
        "of COCO's val2017, too.",
    ),
    Source(
        name="llavar",
        title="LLaVAR",
        task="instruction",
        home="https://huggingface.co/datasets/SALT-NLP/LLaVAR",
        licence="CC-BY-NC-4.0 (texts); images of LAION-5B under their owners' terms",
        files=(
            Expected("llava_instruct_150k_llavar_*k.json", "conversations: LLaVA's and LLaVAR's own", {"train": 1}),
            Expected("finetune/*.jpg", "images of finetune.zip"),
        ),
        unit="conversations",
        count={},
        layout=f"SALT-NLP/LLaVAR README.md; https://huggingface.co/datasets/SALT-NLP/LLaVAR/tree/main (files); {FORM}",
        prompts=("{}",),
        read=read_llavar,
        build=build_llavar,
        note="Whichever of the two instruction files, 16k or 20k, exists is read. LLaVA's 158,000 records, which "
        "come first in both, are left out: take them from `llava`. chat_llavar.json (pre-training) is not used.",
    ),
)
