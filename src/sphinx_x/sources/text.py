"""Text without images: dialogue (UltraChat, Flan-mini, OpenOrca), mathematics (MetaMathQA, MathInstruct) and code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sphinx_x.errors import DataError
from sphinx_x.sources.base import Draft, Expected, Raw, Record, Source
from sphinx_x.sources.dialogue import dialogue
from sphinx_x.sources.instruction import paired, turns_of

ULTRACHAT = "train_*.jsonl"
FLAN = "chunk_*.parquet"
OPENORCA = "*-Augmented.parquet"


def read_list(pattern: str, raw: Raw) -> Iterator[Record]:
    """Yield the entries of one JSON list, named by their index."""
    for number, entry in enumerate(raw.json(pattern)):
        yield Record(str(number), entry)


def build_pair(question: str, answer: str, record: Record, raw: Raw) -> Draft:
    """Return one question and one answer, from the fields of these names."""
    return Draft(dialogue([(record.data[question], record.data[answer])], images=0))


def _files(pattern: str, raw: Raw) -> list[Path]:
    found = raw.files(pattern)
    if not found:
        raise DataError(f"file missing: {pattern} in {raw.root}")
    return found


def read_ultrachat(raw: Raw) -> Iterator[Record]:
    """Yield ten files of JSON lines, `{"id", "data": [alternating texts]}`; ids are file and line."""
    for path in _files(ULTRACHAT, raw):
        for number, entry in enumerate(raw.jsonl(path.name)):
            yield Record(f"{path.stem}/{number}", entry)


def build_ultrachat(record: Record, raw: Raw) -> Draft:
    """Let the user speak first; a last question without an answer is left out."""
    left_out: Counter[str] = Counter()
    turns = paired(record.data["data"], left_out)
    return Draft(dialogue(turns, images=0), left_out=left_out)


def read_flan_mini(raw: Raw) -> Iterator[Record]:
    """Yield the Parquet files, or the one JSON file with the same records: `{"id", "source", "conversations"}`."""
    entries = raw.parquet(FLAN) if raw.files(FLAN) else raw.json("flan_mini.json")
    for number, entry in enumerate(entries):
        yield Record(str(number), entry)


def build_flan_mini(record: Record, raw: Raw) -> Draft:
    """Return the turns as they are."""
    left_out: Counter[str] = Counter()
    turns = turns_of(record.data["conversations"], left_out)
    return Draft(dialogue(turns, images=0), left_out=left_out)


def read_openorca(raw: Raw) -> Iterator[Record]:
    """Yield two Parquet files, answers of GPT-4 and of GPT-3.5; ids are file and row."""
    for path in _files(OPENORCA, raw):
        for number, row in enumerate(raw.parquet(path.name)):
            yield Record(f"{path.stem}/{number}", row)


def build_openorca(record: Record, raw: Raw) -> Draft:
    """Return a question with its system prompt, which may be empty."""
    row = record.data
    return Draft(dialogue([(row["question"], row["response"])], images=0, system=row["system_prompt"] or ""))


DIALOGUE = (
    Source(
        name="ultrachat",
        title="UltraChat",
        task="dialogue",
        home="https://huggingface.co/datasets/stingning/ultrachat",
        licence="MIT",
        files=(Expected(ULTRACHAT, "dialogues, JSON lines", {"train": 10}),),
        unit="dialogues",
        count={},
        layout="https://huggingface.co/datasets/stingning/ultrachat (card and file list); "
        "hiyouga/LLaMA-Factory data/ultra_chat/ultra_chat.py",
        prompts=("{}",),
        read=read_ultrachat,
        build=build_ultrachat,
        note="About 1.47 million dialogues. The paper takes 1.8 million from UltraChat, Flan-mini and OpenOrca "
        "together; it does not say which.",
    ),
    Source(
        name="flan-mini",
        title="Flan-mini",
        task="dialogue",
        home="https://huggingface.co/datasets/declare-lab/flan-mini",
        licence="Creative Commons (variant not stated); parts under the terms of their own sets",
        files=(Expected(FLAN, "instructions, Parquet", {"train": 10}),),
        unit="dialogues",
        count={"train": 1_340_153},
        layout="https://huggingface.co/datasets/declare-lab/flan-mini (card and file list); "
        "declare-lab/flacuna data/README.md, fastchat/train/train.py",
        prompts=("{}",),
        read=read_flan_mini,
        build=build_flan_mini,
        note="flan_mini.json (from flan_mini.json.zip) is read if there are no Parquet files; it needs much more "
        "memory.",
    ),
    Source(
        name="openorca",
        title="OpenOrca",
        task="dialogue",
        home="https://huggingface.co/datasets/Open-Orca/OpenOrca",
        licence="MIT",
        files=(Expected(OPENORCA, "questions of FLAN, answered by GPT-4 and by GPT-3.5", {"train": 2}),),
        unit="questions",
        count={},
        layout="https://huggingface.co/datasets/Open-Orca/OpenOrca (card and file list); "
        "hiyouga/LLaMA-Factory data/dataset_info.json",
        prompts=("{}",),
        read=read_openorca,
        build=build_openorca,
        note="About 1 million answers of GPT-4 and 3.2 million of GPT-3.5. To take one kind only, leave the other file "
        "(1M-GPT4-Augmented.parquet, 3_5M-GPT3_5-Augmented.parquet) out of the folder.",
    ),
)

SOURCES = (
    *DIALOGUE,
    Source(
        name="metamathqa",
        title="MetaMathQA",
        task="math",
        home="https://huggingface.co/datasets/meta-math/MetaMathQA",
        licence="MIT",
        files=(Expected("MetaMathQA-395K.json", "questions made from the training sets of GSM8K and MATH"),),
        unit="questions",
        count={"train": 395_000},
        layout="https://huggingface.co/datasets/meta-math/MetaMathQA (file list); meta-math/MetaMath README.MD; "
        "Draconis98/msc_g codes/template/metamathqa.py (fields)",
        prompts=("{}",),
        read=partial(read_list, "MetaMathQA-395K.json"),
        build=partial(build_pair, "query", "response"),
    ),
    Source(
        name="mathinstruct",
        title="MathInstruct",
        task="math",
        home="https://huggingface.co/datasets/TIGER-Lab/MathInstruct",
        licence="MIT; parts under the terms of their own sets",
        files=(Expected("MathInstruct.json", "questions, answered in prose or as a program"),),
        unit="questions",
        count={},
        layout="https://huggingface.co/datasets/TIGER-Lab/MathInstruct (file list); "
        "hiyouga/LLaMA-Factory data/dataset_info.json (fields)",
        prompts=("{}",),
        read=partial(read_list, "MathInstruct.json"),
        build=partial(build_pair, "instruction", "output"),
        note="About 262,000 questions.",
    ),
    Source(
        name="wizardcoder",
        title="WizardCoder (Evol-Instruct-Code-80k)",
        task="code",
        home="https://huggingface.co/datasets/nickrosh/Evol-Instruct-Code-80k-v1",
        licence="CC-BY-NC-SA-4.0",
        files=(Expected("EvolInstruct-Code-80k.json", "instructions, evolved from Code Alpaca"),),
        unit="instructions",
        count={},
        layout="https://huggingface.co/datasets/nickrosh/Evol-Instruct-Code-80k-v1 (file list); "
        "nickrosh/evol-teacher README.md, train.py",
        prompts=("{}",),
        read=partial(read_list, "EvolInstruct-Code-80k.json"),
        build=partial(build_pair, "instruction", "output"),
        note="WizardCoder's own data were never published; this is the public set made in the same way, of the size "
        "that the paper names (80,000).",
    ),
)
