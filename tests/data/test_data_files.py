"""Data files as people have them: lists of the reference, tables, blank lines, files of another kind, ids twice."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from excerpts.files import picture, put
from messages import dicts
from sphinx_x.data.check import check
from sphinx_x.data.mixture import Share, split_meta
from sphinx_x.data.repack import repack
from sphinx_x.data.sample import ImageRef, Sample
from sphinx_x.data.shards import SampleReader, write_shard
from sphinx_x.data.stats import count
from sphinx_x.errors import DataError, SampleError
from sphinx_x.sources.base import Raw
from sphinx_x.sources.coco import said

TALK = {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}
ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    "\n\n### Instruction:\nSay {a}.\n\n### Response:"
)
ALPACA_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
    "\n\n### Instruction:\nSay {a}.\n\n### Input:\n{instruction}\n\n### Response:"
)
"""Stanford Alpaca's prompts, as the reference's `format_prompt` writes them."""


def turns(sample: Sample) -> list[str]:
    return [message["content"] for message in dicts(sample.messages)]


def meta(folder: Path, *entries: object) -> Path:
    put(folder / "meta.yaml", {"META": list(entries)})
    return folder / "meta.yaml"


@pytest.mark.parametrize(
    ("prompt", "more", "asked"),
    [
        ({}, "", [ALPACA]),
        ({}, " \n", [ALPACA]),
        ({}, "{instruction}", [ALPACA_INPUT]),
        ({"prompt_type": "alpaca"}, "", [ALPACA]),
        ({"prompt_type": "None"}, "more", ["Say {a}."]),
        ({"prompt_type": None}, "more", ["Say {a}."]),
        ({"prompt_type": "caption"}, "more", []),
        ({"prompt_type": "qg"}, "", ["Generate a question whose answer is:\nSay {a}.\n\nQuestion:\n"]),
        ({"prompt_type": "shortqa"}, "", [ALPACA.replace("request.", "request using a single word or phrase.")]),
    ],
)
def test_instructions_of_a_list_are_asked_as_the_reference_asks(tmp_path, prompt, more, asked):
    record = {"instruction": "Say {a}.", "input": more, "output": "a"}
    put(tmp_path / "a.json", [record, TALK, {"instruction": None, "input": None, "output": "x"}])
    entry = {"path": "a.json", "type": "text"} | prompt
    reader = SampleReader(meta(tmp_path, entry if prompt else ["a.json", "text"]))
    assert turns(reader[0]) == [*asked, "a"]
    assert turns(reader[1]) == ["Q", "A"]
    if prompt.get("prompt_type") != "caption":
        with pytest.raises(SampleError, match="instruction: is missing"):
            reader[2]


def test_instructions_without_a_list_are_asked_as_they_are(tmp_path):
    record = {"instruction": "Add.", "input": "1 2", "output": "3", "history": [["Hi", "Ho"]], "system": "Short."}
    query = {"query": "<image>What?", "response": "Red", "images": ["red.png"]}
    picture(tmp_path / "red.png")
    put(tmp_path / "a.json", [record, query, {"instruction": "a", "query": "b", "output": "c"}])
    reader = SampleReader(tmp_path / "a.json")
    assert [m.role for m in reader[0].messages] == ["system", "user", "assistant", "user", "assistant"]
    assert turns(reader[0]) == ["Short.", "Hi", "Ho", "Add.\n1 2", "3"]
    assert turns(reader[1]) == ["<image>What?", "Red"] and len(reader[1].images) == 1
    with pytest.raises(SampleError, match="query: stands beside instruction"):
        reader[2]


def test_paths_of_a_list_begin_where_one_works_or_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "images" / "a.png", 30, 20)
    picture(tmp_path / "lists" / "data" / "b.png", 20, 30)
    for name in ("data/work.json", "lists/data/beside.json"):
        put(tmp_path / name, [TALK | {"image": "images/a.png"}, TALK | {"image": "b.png"}])
    path = meta(tmp_path / "lists", {"path": "data/work.json"}, {"path": "data/beside.json"})
    reader = SampleReader(path)
    assert [reader.image_size(reader[k]) for k in (0, 2, 3)] == [(30, 20), (30, 20), (20, 30)]
    with pytest.raises(SampleError, match="image missing"):
        reader.image_bytes(reader[1])
    rooted = meta(tmp_path / "lists", {"path": "data/beside.json", "root": "data"})
    picture(tmp_path / "lists" / "data" / "images" / "a.png", 9, 9)
    (tmp_path / "data" / "work.json").rename(tmp_path / "work.json")
    (tmp_path / "data").rmdir()
    assert SampleReader(rooted).image_size(SampleReader(rooted)[0]) == (9, 9)
    with pytest.raises(SampleError, match="are there twice: give a root"):
        SampleReader(meta(tmp_path / "lists", {"path": "data/beside.json"}))[0]
    put(tmp_path / "data" / "beside.json", [TALK])
    with pytest.raises(DataError, match="is there twice"):
        SampleReader(path)


def test_tables_and_preprocessing_of_a_list(tmp_path):
    picture(tmp_path / "red.png")
    rows = (
        "image\tinstruction\toutput\n"
        + f'{tmp_path}/red.png\tA 12" "plate"?\t"two\nlines\tand ""tabs"""\n\n\tB\tb\n\tC\n'
    )
    (tmp_path / "a.csv").write_text("\ufeff" + rows, encoding="utf-8")
    put(tmp_path / "b.json", [TALK | {"image": "red.png"}, {"conversations": TALK["conversations"] * 3}])
    put(tmp_path / "c.jsonl", json.dumps({"url": "red.png", "caption": ["a", "b"]}) + "\n")
    first = {"path": "b.json", "prompt_type": "None", "preprocess": "single_turn_llava"}
    captions = {"path": "c.jsonl", "prompt_type": "caption", "preprocess": "caption"}
    reader = SampleReader(meta(tmp_path, {"path": "a.csv", "prompt_type": "None"}, first, captions))
    assert len(reader) == 6
    assert turns(reader[0]) == ['<image>\nA 12" "plate"?', 'two\nlines\tand "tabs"'] and turns(reader[1]) == ["B", "b"]
    with pytest.raises(SampleError, match="row 3: not as many fields as the heading"):
        reader[2]
    assert [turns(reader[k]) for k in (3, 4)] == [["<image>\nQ", "A"], ["Q", "A"]]
    assert turns(reader[5])[0] in ("<image>a", "<image>b") and len(reader[5].images) == 1
    assert [f.where.split(": ")[1] for f in check(reader, workers=1)[0]] == ["row 3"]
    shares = split_meta({"mine": Share((tmp_path / "meta.yaml",))})
    assert turns(SampleReader(shares["mine.0"].paths)[1]) == ["B", "b"]


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x0b", "\x0c", "\x1e"])
def test_rows_of_a_table_end_where_lines_do_and_nowhere_else(tmp_path, mark):
    picture(tmp_path / "p.png")
    (tmp_path / "c.csv").write_text(f"url\tcaption\np.png\tA cat{mark}on a mat\np.png\tA dog\n", encoding="utf-8")
    entry = {"path": "c.csv", "prompt_type": "caption", "preprocess": "caption"}
    reader = SampleReader(meta(tmp_path, entry))
    said = [turns(reader[k])[-1].replace("<image>", "") for k in range(len(reader))]
    assert said == [f"A cat{mark}on a mat", "A dog"]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"prompt_type": "vicuna"}, r"prompt_type: must be one of alpaca, shortqa, qg, caption, None, not 'vicuna'"),
        ({"preprocess": "shuffle"}, "preprocess: must be one of single_turn_llava, caption"),
        ({"preprocess": "caption"}, "prompt_type: must be caption"),
        ({"boxes": "percent"}, "boxes: must be one of"),
        ({"ignore": "x"}, "ignore: must be a list"),
    ],
)
def test_what_a_list_says_is_honoured_or_refused(tmp_path, entry, says):
    put(tmp_path / "a.json", [TALK])
    with pytest.raises(DataError, match=rf"META\[0\].{says}"):
        SampleReader(meta(tmp_path, {"path": "a.json"} | entry))


@settings(deadline=None, max_examples=30)
@given(
    lines=st.lists(st.sampled_from(["sample", "", "  ", "\t", "\r"]), max_size=12),
    end=st.sampled_from(["", "\n"]),
    bom=st.booleans(),
    kept=st.booleans(),
)
def test_blank_lines_are_no_samples(tmp_path_factory, lines, end, bom, kept):
    folder = tmp_path_factory.mktemp("blank")
    written = [json.dumps(TALK | {"id": str(k)}) if line == "sample" else line for k, line in enumerate(lines)]
    (folder / "a.jsonl").write_bytes((b"\xef\xbb\xbf" if bom else b"") + ("\n".join(written) + end).encode())
    there = [k for k, line in enumerate(lines) if line == "sample"]
    for _ in range(2):
        reader = SampleReader(folder / "a.jsonl", tables=folder if kept else None)
        assert [reader[k].id for k in range(len(reader))] == [str(k) for k in there]
        assert [reader.where(k).split()[-1] for k in range(len(reader))] == [str(k + 1) for k in there]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", json.dumps([TALK]).encode("utf-16"), "is UTF-16 or UTF-32 text: save it as UTF-8"),
        ("a.jsonl", json.dumps(TALK).encode("utf-16-le"), "is UTF-16"),
        ("a.jsonl", json.dumps(TALK).encode("utf-16-be"), "is UTF-16"),
        ("a.json", json.dumps([TALK]).encode("utf-32"), "is UTF-16 or UTF-32"),
        (
            "a.json",
            json.dumps(TALK, indent=1).encode(),
            "one JSON object over several lines: put the samples into a list",
        ),
        ("a.jsonl", b"\n\n" + json.dumps(TALK, indent=4).encode() * 3, "one JSON object over several lines"),
        ("a.json", json.dumps({"data": [TALK] * 2}, indent=1).encode(), r"they stand under 'data'"),
        ("a.json", json.dumps({"data": [TALK]}).encode(), "a dictionary, .* stands under 'data'"),
        ("a.jsonl", json.dumps({"version": 1, "annotations": [TALK]}).encode(), "stands under 'annotations'"),
        ("a.json", json.dumps({"1": TALK, "2": TALK}).encode(), "a dictionary of objects"),
        ("a.json", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a Git LFS pointer"),
        ("a.json", b"<!DOCTYPE html>\n<html></html>", "a web page"),
        ("a.jsonl", b"\x1f\x8b\x08\x00\x00", "is packed"),
        ("a.jsonl", b"PAR1\x15\x04", "is a Parquet file"),
    ],
)
def test_a_file_of_another_kind_is_told_in_one_line(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        SampleReader(tmp_path / name)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_one_sample_on_one_line_is_a_file(tmp_path):
    put(tmp_path / "a.json", TALK)
    assert len(SampleReader(tmp_path / "a.json")) == 1 and turns(SampleReader(tmp_path / "a.json")[0]) == ["Q", "A"]


@pytest.mark.parametrize("workers", [1, 2])
def test_ids_that_occur_twice_are_named(tmp_path, workers, monkeypatch):
    monkeypatch.setattr("sphinx_x.data.check.CHUNK", 2)
    rows = [TALK | {"id": name} for name in ("a", 7, "b", "a", "7", "a")] + [TALK, TALK]
    put(tmp_path / "a.json", rows)
    findings, tally = check(SampleReader(tmp_path / "a.json"), workers)
    assert [str(f).split(": ", 1)[1] for f in findings] == [
        f"item {k}: id: occurs twice: {name!r} is also in {tmp_path}/a.json: item {first}"
        for k, name, first in ((4, "a", 1), (5, "7", 2), (6, "a", 1))
    ]
    assert (tally.records, tally.samples, tally.set_aside["occurs twice"]) == (8, 5, 3)


def test_a_dialogue_that_begins_with_its_answer_is_named(tmp_path):
    said = [
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "B"},
    ]
    system = {"role": "system", "content": "S"}
    put(tmp_path / "a.json", [{"messages": said}, {"messages": [system, *said]}, {"messages": [system, *said[1:]]}])
    findings, tally = check(SampleReader(tmp_path / "a.json"), workers=1)
    assert [str(f).split(": ", 1)[1] for f in findings] == [
        f"item {k + 1}: messages[{k}]: begins with its answer: nothing is asked before it" for k in range(2)
    ]
    assert tally.samples == 1


NAMES = [
    "../../out",
    "/etc/passwd",
    "a/b",
    "..",
    "x",
    "X",
    "x",
    ".hidden",
    "v1.5",
    "C:\\a",
    "",
    "n" * 300,
    "\u00e9\n",
    "~",
]


def test_members_of_an_archive_have_names_of_their_own_and_stay_in_the_folder(tmp_path):
    pixels = io.BytesIO()
    Image.new("RGB", (8, 8)).save(pixels, "PNG")
    said = [{"role": "user", "content": "<image><image>Q"}, {"role": "assistant", "content": "A"}]
    samples = [(Sample(name or "-", [ImageRef(), ImageRef()], said), [pixels.getvalue()] * 2) for name in NAMES]
    write_shard(tmp_path / "shards", "s", samples)
    with tarfile.open(tmp_path / "shards" / "s.tar") as archive:
        names = [member.name for member in archive.getmembers()]
        assert all(member.isreg() for member in archive.getmembers())
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert len({name.lower() for name in names}) == len(names) == 2 * len(NAMES)
    assert all("/" not in name and "\\" not in name and not name.startswith(".") for name in names)
    keys = [name.split(".")[0] for name in names]  # what tools group members by
    assert keys[::2] == keys[1::2] and len(set(keys)) == len(NAMES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shards", "unpacked"]
    reader = SampleReader(tmp_path / "shards")
    assert [reader[k].id for k in range(len(reader))] == [name or "-" for name in NAMES]
    assert all(reader.image_bytes(reader[k], n) == pixels.getvalue() for k in range(len(reader)) for n in range(2))


def test_a_sample_that_is_not_trained_stays_so_in_shards(tmp_path):
    said = [*TALK["conversations"], {"from": "human", "value": "R"}, {"from": "gpt", "value": "B", "loss": False}]
    put(tmp_path / "a.json", [{"conversations": said}])
    repack(SampleReader(tmp_path / "a.json"), tmp_path / "out", "mine", 1)
    assert [m.trained for m in SampleReader(tmp_path / "out")[0].messages] == [True, True, True, False]


def test_a_box_outside_its_image_is_set_aside_whoever_looks(tmp_path, tiny):
    """Also where a record does not say how large its image is."""
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    box = {"type": "box", "box": [5, 5, 300, 9]}
    said = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Where?"}]},
        {"role": "assistant", "content": [box]},
    ]
    record = {"id": "1", "images": [{"path": "a.png"}], "messages": said}
    (tmp_path / "a.jsonl").write_text(json.dumps(record) + "\n")
    reader = SampleReader(tmp_path / "a.jsonl")
    tally = repack(reader, tmp_path / "out", "mine", 1, max_bad=1)
    assert (tally.samples, list(tally.set_aside)) == (0, ["messages.box: box outside its image"])
    counts = count(reader, tiny.processor, workers=1)["-"]
    assert counts.samples == 0 and sum(counts.unusable.values()) == 1


def test_a_document_is_one_row_whatever_its_pages(tmp_path, tiny):
    names = ["a.pdf#page=1", "a.pdf#page=12", "a.pdf", "b#page=x.pdf#page=3", "photos", ""]
    put(tmp_path / "a.json", [TALK | {"source": name} for name in names])
    counts = count(SampleReader(tmp_path / "a.json"), tiny.processor, workers=1)
    assert {name: found.samples for name, found in counts.items()} == {
        "-": 1,
        "a.pdf": 3,
        "b#page=x.pdf": 1,
        "photos": 1,
    }


@pytest.mark.parametrize(
    ("value", "crowd"), [(0, 0), (1, 1), ("0", 0), ("1", 1), (None, 0), (False, 0), (True, 1), (0.0, 0)]
)
def test_a_flag_of_a_release_may_be_a_text(value, crowd):
    assert said({"iscrowd": value}, "iscrowd") is bool(crowd)


def test_a_flag_that_says_nothing_is_refused():
    assert said({}, "iscrowd") is False
    for value in ("no", 2, [1]):
        with pytest.raises(DataError, match="iscrowd is neither 0 nor 1"):
            said({"iscrowd": value}, "iscrowd")


def test_broken_text_of_a_release_is_no_sample(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n{"a": "\xff"}\n')
    first, second = Raw(tmp_path).jsonl("a.jsonl")
    assert first == {"a": 1} and second.reason == "not JSON"
