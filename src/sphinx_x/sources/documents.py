"""Questions about documents: scanned pages, infographics, web pages, forms, reports and tables."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sphinx_x.errors import DataError, one_line
from sphinx_x.sources.base import Draft, Expected, Malformed, PdfPage, Raw, Record, Source, grouped
from sphinx_x.sources.dialogue import SHORT, answer_of, dialogue, short
from sphinx_x.sources.tables import draw_table, drawable
from sphinx_x.sources.vqa import EMPTY, short_turns

PROMPT = "{}\n" + SHORT
VALUE = "What is the value for the {}?"
NO_VALUE = "None"
YES_NO = "{}, Yes or No?"
FORM_KEYS = ("advertiser", "contract_num", "flight_from", "flight_to", "gross_amount")
CHARITY_KEYS = (
    "address__post_town",
    "address__postcode",
    "address__street_line",
    "charity_name",
    "charity_number",
    "income_annually_in_british_pounds",
    "report_date",
    "spending_annually_in_british_pounds",
)
DUE_LAYOUT = (
    "due-benchmark/du-schema schema/document.json; reader due-benchmark/baselines "
    "benchmarker/data/reader/benchmark_dataset.py; a document in retrieva/DUE-Benchmark "
    "examples/{}/train/document.jsonl; archives and their folders: nttmdlab-nlp/InstructDoc download_scripts/due.sh, "
    "saifullah3396/docdjinn-base-datasets src/atria_datasets/vqa/due.py; question and `None`: arXiv 2307.02499, 3.2"
)
DUE_NOTE = (
    "The release of the DUE benchmark, which UReader (and so the paper) took: unpack its archives due/datasets and "
    "due/pdfs. Only the first page of a document is shown, as there (X-PLUG/mPLUG-DocOwl issue 5), though all keys "
    "are asked about: a value may stand on a later page. documents_content.jsonl (OCR) is not used."
)
DRAWN = (
    "The release has tables as text: we draw them, where UReader (and so the paper) has the pages of the DUE "
    "benchmark. Tables of more than some 120 rows or 30 columns are set aside."
)


def read_pages(raw: Raw, pattern: str, image: str) -> Iterator[Record]:
    """Yield questions of the DocVQA challenges; `image` is the field that names the page."""
    return grouped(raw.json(pattern, "data"), image)


def build_page(record: Record, raw: Raw) -> Draft:
    """Give the first of the answers; the others are spellings of it. The record's id is the name of the image."""
    left_out: Counter[str] = Counter()
    pairs = [(entry["question"], answer_of((entry["answers"] or [""])[0], entry["answers"])) for entry in record.data]
    picture = raw.picture(record.id.rsplit("/", 1)[-1])  # downloads differ in their folders
    return Draft(dialogue(short_turns(pairs, left_out)), [picture], left_out=left_out)


def read_visualmrc(raw: Raw) -> Iterator[Record]:
    """Yield one web page per line."""
    return grouped(raw.jsonl("data/{split}.jsonl"), "id")


def build_visualmrc(record: Record, raw: Raw) -> Draft:
    """Answer in sentences, which are the annotators' own words."""
    left_out: Counter[str] = Counter()
    turns = []
    for pair in (pair for page in record.data for pair in page["qa_data"]):
        question, answer = pair["question"]["text"].strip(), pair["answer"]["text"].strip()
        if question and answer:
            turns.append((question, answer))
        else:
            left_out[EMPTY] += 1
    return Draft(dialogue(turns), [raw.picture(record.data[0]["image_filename"])], left_out=left_out)


def read_due(raw: Raw, folder: str) -> Iterator[Record]:
    """Yield documents of the DUE benchmark, one per line; `folder` is that of the set in the archive."""
    return grouped(raw.jsonl(folder + "/{split}/document.jsonl"), "name")


def build_keys(record: Record, raw: Raw, keys: tuple[str, ...]) -> Draft:
    """Ask for every key that documents of this set may have; the answer is `None` if this one has no value for it."""
    left_out: Counter[str] = Counter()
    found: dict[str, list[str]] = {}
    for annotation in (annotation for document in record.data for annotation in document["annotations"]):
        key = annotation["key"]
        for value in annotation["values"]:
            if key not in keys:
                left_out["value of an unknown key"] += 1
            else:
                if key in found:
                    left_out["further value of a key"] += 1
                found.setdefault(key, []).extend([value["value"], *value.get("value_variants", ())])
    if not found:
        raise DataError("no value for any key")
    texts = {key: found.get(key, [NO_VALUE]) for key in keys}
    turns = [(VALUE.format(key), answer_of(values[0], dict.fromkeys(values))) for key, values in texts.items()]
    document = raw.file(record.id.removesuffix(".pdf") + ".pdf")
    return Draft(dialogue(turns), [PdfPage(document, 1)], left_out=left_out)


def read_wikitablequestions(raw: Raw) -> Iterator[Record]:
    """Yield one record for each table, from lines of tab-separated fields in which quotation marks mean nothing."""
    return grouped(wikitable_questions(raw.file("data/{split}ing.tsv")), "context")


def wikitable_questions(path: Path) -> Iterator[dict[str, str]]:
    """Yield the lines of a file of questions, by column."""
    with path.open(encoding="utf-8", newline="\n") as file:
        columns, *rows = (line.rstrip("\r\n").split("\t") for line in file)
    return (dict(zip(columns, row, strict=False)) for row in rows)


def build_wikitablequestions(record: Record, raw: Raw) -> Draft:
    """Join several answers with commas. The record's id is the name of the table."""
    left_out: Counter[str] = Counter()
    turns = []
    for entry in record.data:
        answer = ", ".join(wikitable_values(entry["targetValue"]))
        if all(map(drawable, answer)):
            turns.append((short(wikitable_text(entry["utterance"])), answer))
        else:
            left_out["answer in letters that cannot be drawn"] += 1
    return Draft(dialogue(turns), [draw_wikitable(raw.file(record.id))], left_out=left_out)


def draw_wikitable(path: Path) -> bytes:
    """The picture of a table of WikiTableQuestions."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, doublequote=False, escapechar="\\"))
    except csv.Error as error:
        raise DataError(f"table is no CSV: {one_line(error)}") from error
    return draw_table(rows)


def wikitable_values(field: str) -> list[str]:
    """Return the values of an answer."""
    return [wikitable_text(value) for value in field.split("|")]


def wikitable_text(text: str) -> str:
    """Return a field of a TSV file of WikiTableQuestions without the escapes that its README describes."""
    return re.sub(r"\\([np\\])", lambda escape: {"n": " ", "p": "|"}.get(escape[1], escape[1]), text)


def read_tabfact(raw: Raw) -> Iterator[Record]:
    """Yield statements of both rounds of collection (a few tables are in both) for the tables of the split."""
    tables: dict[str, list] = {}
    for part in ("r1", "r2"):
        for table, entry in raw.json(f"collected_data/{part}_training_all.json").items():
            tables.setdefault(table, []).append(entry)
    for table in raw.json("data/{split}_id.json"):
        yield Record(str(table), tables.get(table) or Malformed("table without statements"))


def build_tabfact(record: Record, raw: Raw) -> Draft:
    """Ask whether statements about a table are true. The record's id is the name of the table."""
    left_out: Counter[str] = Counter()
    turns = []
    for statements, labels, _ in record.data:
        for statement, label in zip(statements, labels, strict=True):
            if label not in (0, 1):
                raise DataError(f"label is neither 0 nor 1: {label!r}")
            text = statement.strip().rstrip(" .")
            if text:
                turns.append((short(YES_NO.format(text)), "Yes" if label else "No"))
            else:
                left_out["empty statement"] += 1
    picture = draw_tabfact(raw.file(f"data/all_csv/{record.id}"), record.data[0][2])
    return Draft(dialogue(turns), [picture], left_out=left_out)


def draw_tabfact(path: Path, caption: str) -> bytes:
    """The picture of a table of TabFact."""
    content = path.read_text(encoding="utf-8")
    return draw_table([line.split("#") for line in content.strip("\n").split("\n")], caption)


def _challenge(
    name: str, title: str, files: tuple[Expected, ...], image: str, count: dict[str, int], layout: str, licence: str
) -> Source:
    """Return a set of the DocVQA challenges; the first of its files has the questions."""
    return Source(
        name=name,
        title=title,
        task="vqa",
        home="https://rrc.cvc.uab.es/?ch=17&com=downloads",
        licence=licence,
        files=files,
        unit="questions",
        count=count,
        layout=layout,
        prompts=(PROMPT,),
        read=partial(read_pages, pattern=files[0].pattern, image=image),
        build=build_page,
        note="Downloads need an account. OCR files and question types are not used.",
    )


def _due(name: str, title: str, folder: str, keys: tuple[str, ...], count: dict[str, int], licence: str) -> Source:
    """Return a set of the DUE benchmark whose documents have values for keys."""
    return Source(
        name=name,
        title=title,
        task="vqa",
        home="https://duebenchmark.com/data",
        licence=licence,
        files=(
            Expected(folder + "/{split}/document.jsonl", "keys and values"),
            Expected("*.pdf", "documents of all splits"),
        ),
        unit="documents",
        count=count,
        layout=DUE_LAYOUT.format(folder),
        prompts=(VALUE,),
        read=partial(read_due, folder=folder),
        build=partial(build_keys, keys=keys),
        note=DUE_NOTE,
    )


SOURCES: tuple[Source, ...] = (
    _challenge(
        "docvqa",
        "DocVQA (single page)",
        (Expected("{split}_v1.0*.json", "questions; _withQT in newer downloads"), Expected("*.png", "pages")),
        image="image",
        count={"train": 39_463, "val": 5_349},
        layout="google-research/big_vision big_vision/datasets/docvqa/docvqa.py; "
        "https://huggingface.co/datasets/lmms-lab/DocVQA",
        licence="not stated (annotations); UCSF Industry Documents Library's terms (pages)",
    ),
    _challenge(
        "infographicsvqa",
        "InfographicsVQA",
        (
            Expected("infographicsVQA_{split}_v1.0*.json", "questions; _withQT for val"),
            Expected("*.jpeg", "infographics of all splits"),
        ),
        image="image_local_name",
        count={"train": 23_946, "val": 2_801},
        layout="google-research/big_vision big_vision/datasets/infovqa/infovqa.py",
        licence="not stated; infographics of the web",
    ),
    Source(
        name="visualmrc",
        title="VisualMRC",
        task="vqa",
        home="https://github.com/nttmdlab-nlp/VisualMRC",
        licence="not stated (annotations); web pages under their own licences",
        files=(
            Expected("data/{split}.jsonl", "questions and regions; splits train, dev, test"),
            Expected("*.[jp]*g", "web pages, by the name in image_filename"),
        ),
        unit="pages",
        count={},
        layout="README of nttmdlab-nlp/VisualMRC; reader of its authors, nttmdlab-nlp/InstructDoc "
        "data_preprocessors/visualmrc.py",
        prompts=("{}",),
        read=read_visualmrc,
        build=build_visualmrc,
        note="Regions, their text and the relevant ones for an answer are not used.",
    ),
    _due("deepform", "DeepForm", "DeepForm", FORM_KEYS, {}, "not stated; public files of the FCC"),
    _due(
        "kleister-charity",
        "Kleister Charity",
        "kleister-charity",
        CHARITY_KEYS,
        {"train": 1_729, "dev": 440, "test": 609},
        "not stated; reports published by the Charity Commission for England and Wales",
    ),
    Source(
        name="wikitablequestions",
        title="WikiTableQuestions",
        task="vqa",
        home="https://github.com/ppasupat/WikiTableQuestions",
        licence="CC-BY-SA-4.0",
        files=(Expected("data/{split}ing.tsv", "questions"), Expected("csv/*-csv/*.csv", "tables of all splits")),
        unit="questions",
        count={"train": 14_152},
        layout="README of ppasupat/WikiTableQuestions, and data/random-split-1-dev.tsv there",
        prompts=(PROMPT,),
        read=read_wikitablequestions,
        build=build_wikitablequestions,
        note=f"{DRAWN} train is the only split with a file of this name, training.tsv.",
    ),
    Source(
        name="tabfact",
        title="TabFact",
        task="vqa",
        home="https://github.com/wenhuchen/Table-Fact-Checking",
        licence="CC-BY-4.0",
        files=(
            Expected("collected_data/r1_training_all.json", "simple statements of all splits"),
            Expected("collected_data/r2_training_all.json", "complex statements of all splits"),
            Expected("data/{split}_id.json", "names of the split's tables"),
            Expected("data/all_csv/*.csv", "tables of all splits"),
        ),
        unit="tables",
        count={"train": 13_182, "val": 1_696, "test": 1_695},
        layout="README, code/preprocess_data.py, data/train_id.json and data/all_csv of wenhuchen/Table-Fact-Checking; "
        "question: arXiv 2307.02499, 3.2",
        prompts=(f"{YES_NO}\n{SHORT}",),
        read=read_tabfact,
        build=build_tabfact,
        note=f"{DRAWN} The statements are those written, not the lemmatized ones of tokenized_data.",
    ),
)
