"""Reading data files: every form gives the same samples, by number, with line and field of what is wrong."""

import base64
import io
import json
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from excerpts.files import picture
from messages import dicts
from sphinx_x.data import offsets
from sphinx_x.data.mixture import Share, split_meta
from sphinx_x.data.repack import repack
from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import DataError
from sphinx_x.work.files import read_lines

PIXELS = io.BytesIO()
Image.new("RGB", (12, 8), "red").save(PIXELS, "PNG")

LLAVA = [
    {
        "id": "a",
        "image": "red.png",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat colour?"},
            {"from": "gpt", "value": "Red \u2713 [1, 2] {x}"},
        ],
    },
    {"id": 7, "conversations": [{"from": "human", "value": 'Say "}{".'}, {"from": "gpt", "value": "\\}{\\"}]},
    {"image": "red.png", "conversations": [{"from": "human", "value": "And?"}, {"from": "gpt", "value": "so"}]},
]


def messages_form(image: object) -> list[dict]:
    """The same dialogues as messages."""
    out = []
    for record in LLAVA:
        said = [turn["value"] for turn in record["conversations"]]
        if "image" in record and "<image>" not in said[0]:
            said[0] = "<image>\n" + said[0]
        messages = [{"role": role, "content": text} for role, text in zip(("user", "assistant"), said, strict=True)]
        out.append({"id": record.get("id"), "images": [image] if "image" in record else [], "messages": messages})
    return out


def parts_form() -> list[dict]:
    """The same with images inside the messages, as OpenAI's interface has them."""
    data = "data:image/png;base64," + base64.b64encode(PIXELS.getvalue()).decode()
    out = messages_form("")
    for record in out:
        text = record["messages"][0]["content"]
        if record.pop("images"):
            parts = [
                {"type": "image_url", "image_url": {"url": data}},
                {"type": "text", "text": text.replace("<image>", "")},
            ]
            record["messages"][0]["content"] = parts
    return out


@pytest.fixture
def forms(tmp_path):
    """The same three samples in every form that is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "red.png").write_bytes(PIXELS.getvalue())
    path = {"path": "pictures/red.png"}
    (tmp_path / "llava.json").write_text(json.dumps(LLAVA, indent=1), encoding="utf-8")
    (tmp_path / "bom.json").write_text("\ufeff \n" + json.dumps(LLAVA, ensure_ascii=False), encoding="utf-8")
    (tmp_path / "llava.jsonl").write_text("\n".join(map(json.dumps, LLAVA)), encoding="utf-8")
    (tmp_path / "messages.jsonl").write_text("\n".join(map(json.dumps, messages_form(path))), encoding="utf-8")
    (tmp_path / "parts.json").write_text(json.dumps(parts_form()), encoding="utf-8")
    rows = messages_form({"bytes": PIXELS.getvalue(), "path": None})
    for row in rows:
        row["id"] = None if row["id"] is None else str(row["id"])
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet", row_group_size=2)
    (tmp_path / "meta.yaml").write_text("META:\n- {path: llava.json, type: image_text, root: pictures}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "root"),
    [
        ("llava.json", "pictures"),
        ("bom.json", "pictures"),
        ("llava.jsonl", "pictures"),
        ("messages.jsonl", None),
        ("parts.json", None),
        ("rows.parquet", None),
        ("meta.yaml", None),
    ],
)
def test_every_form_gives_the_same_samples(forms, name, root, monkeypatch):
    monkeypatch.chdir(forms)
    reader = SampleReader(name, root)
    assert len(reader) == 3
    for which in (reader, pickle.loads(pickle.dumps(reader))):
        for index in (2, 0, 1):
            sample = which[index]
            stem = name.split(".")[0] if name != "meta.yaml" else "llava"
            assert sample.id == ("a", "7", f"{stem}-3")[index]
            said = [
                m["content"] if isinstance(m["content"], str) else m["content"][-1]["text"]
                for m in dicts(sample.messages)
            ]
            plain = [turn["value"] for turn in LLAVA[index]["conversations"]]
            assert [text.replace("<image>", "").strip() for text in said] == [t.replace("<image>\n", "") for t in plain]
            assert len(sample.images) == (1, 0, 1)[index]
            if sample.images:
                assert which.image_bytes(sample) == PIXELS.getvalue() and which.image_size(sample) == (12, 8)


VALUES = st.recursive(st.text() | st.none(), lambda inner: st.lists(inner, max_size=3))


@settings(deadline=None, max_examples=150)
@given(
    records=st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=6),
    indent=st.sampled_from([None, 1]),
    block=st.integers(1, 40),
)
def test_objects_of_an_array_are_found_without_building_them(tmp_path_factory, records, indent, block):
    path = tmp_path_factory.mktemp("array") / "a.json"
    path.write_text(json.dumps(records, indent=indent, ensure_ascii=False), encoding="utf-8")
    before, offsets.BLOCK = offsets.BLOCK, block
    try:
        reader = SampleReader(path)
    finally:
        offsets.BLOCK = before
    assert [reader._parse(0, line, "") for line in range(len(reader))] == records


@pytest.mark.parametrize("workers", [1, 2])
def test_any_form_is_packed_into_shards(forms, tmp_path, workers):
    for name in ("rows.parquet", "parts.json", "messages.jsonl"):
        out = tmp_path / "out" / name
        reader = SampleReader(forms / name)
        tally = repack(reader, out, "mine", workers, size=2)
        again = SampleReader(out)
        assert (len(again), tally.samples, tally.turns) == (3, 3, 3)
        for index in range(3):
            before, after = reader[index], again[index]
            assert (before.id, before.messages) == (after.id, after.messages)
            assert [reader.image_bytes(before, k) for k in range(len(before.images))] == [
                again.image_bytes(after, k) for k in range(len(after.images))
            ]
    assert repack(reader, out, "mine", workers, size=2) == tally  # it is whole already
    with pytest.raises(DataError, match="with other settings"):
        repack(reader, out, "mine")
    (forms / "pictures" / "red.png").unlink()
    tally = repack(SampleReader(forms / "llava.json", forms / "pictures"), tmp_path / "less", "mine", max_bad=1)
    assert (tally.samples, tally.bad) == (1, 2)
    lines = read_lines(tmp_path / "less" / "quarantine.jsonl")
    assert [line["where"].split(": ")[1] for line in lines] == ["item 1", "item 3"]


def test_a_picture_that_is_none_costs_its_sample_whatever_size_it_says(tmp_path):
    said = {"messages": [{"role": "user", "content": "<image> What?"}, {"role": "assistant", "content": "A."}]}
    Image.new("RGB", (8, 8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no picture")
    rows = [
        said | {"id": name, "images": [{"path": f"{name}.png", "width": 8, "height": 8}]} for name in ("good", "bad")
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tally = repack(SampleReader(tmp_path / "rows.jsonl"), tmp_path / "out", "mine", max_bad=0.5)
    assert (tally.samples, tally.bad) == (1, 1)
    assert [line["where"].split(": ")[-1] for line in read_lines(tmp_path / "out" / "quarantine.jsonl")] == ["line 2"]


def test_tables_of_offsets_are_kept_and_renewed(forms, tmp_path):
    tables = tmp_path / "tables"
    first = SampleReader(forms / "llava.jsonl", tables=tables)
    assert isinstance(first._offsets[0].starts, np.memmap) and len(list(tables.iterdir())) == 1
    content = (forms / "llava.jsonl").read_bytes()
    (forms / "llava.jsonl").write_bytes(content + b"\n" + content)
    os.utime(forms / "llava.jsonl", ns=(1, 1))
    assert len(SampleReader(forms / "llava.jsonl", tables=tables)) == 6


def test_a_meta_list_becomes_sources_with_shares(forms):
    text = "META:\n- {path: llava.json, type: image_text, root: pictures, ratio: 0.5}\n- {path: parts.json}\n"
    (forms / "meta.yaml").write_text(text)
    shares = split_meta({"mine": Share((forms / "meta.yaml",), ratio=2.0), "other": Share((forms / "llava.json",), 1)})
    assert {name: share.ratio for name, share in shares.items()} == {"mine.0": 1.0, "mine.1": 2.0, "other": None}
    with pytest.raises(DataError, match="the name is needed"):
        split_meta({"mine": Share((forms / "meta.yaml",)), "mine.0": Share((forms / "llava.json",), 1)})
    with pytest.raises(DataError, match="give it no weight"):
        split_meta({"mine": Share((forms / "meta.yaml",), 1)})


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", "hello", "samples are read from"),
        ("a.json", "[1, 2]", "not a JSON array of objects"),
        ("a.json", '["x", {}]', "not a JSON array of objects"),
        ("a.json", "[[{}]]", "not a JSON array of objects"),
        ("a.json", '[{"id": "a"},', "the file is cut short"),
        ("none.yaml", None, "no such file"),
        ("a.yaml", "META:\n- {path: llava.json, root: 3}", r"META\[0\].root"),
        ("a.yaml", "DATA: []", "META: must be a list"),
        ("a.yaml", "META:\n- {path: none.json}", r"META\[0\].path: no such file"),
        ("a.yaml", "META:\n- {path: llava.json, ratio: -1}", r"META\[0\].ratio"),
        ("a.yaml", "META:\n- {path: llava.json, weight: 1}", "unknown field weight"),
        ("a.yaml", "META: [", "not YAML"),
        ("a.parquet", "not parquet", "a.parquet: "),
    ],
)
def test_wrong_files_are_told(forms, name, content, says):
    if content is not None:
        (forms / name).write_text(content)
    with pytest.raises(DataError, match=says):
        SampleReader(forms / name)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (
            {"conversations": [{"from": "narrator", "value": "x"}]},
            r"item 1: conversations\[0\].from: must be one of human",
        ),
        ({"conversations": [{"from": "human"}]}, r"item 1: conversations\[0\].value: must be a text"),
        ({"conversations": 3}, "item 1: conversations: must be a list"),
        ({"messages": [{"role": "user", "content": "a"}], "images": [3]}, r"item 1: images\[0\]: must be a path"),
        ({"messages": [{"role": "user", "content": "a"}], "image": "ftp.jpg"}, "image parts and images differ"),
        ({"messages": [{"role": "user", "content": "a"}], "images": ["data:image/png,xx"]}, "must be base64"),
    ],
)
def test_what_is_wrong_in_another_form_is_named(tmp_path, record, says):
    (tmp_path / "a.json").write_text(json.dumps([record]))
    with pytest.raises(DataError, match=says):
        SampleReader(tmp_path / "a.json")[0]


def test_an_upright_image_is_measured_as_it_is_shown(tmp_path):
    turned = Image.new("RGB", (30, 20))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    picture(tmp_path / "plain.jpg", 30, 20)
    ask = {"role": "user", "content": "<image><image>Which?"}
    record = {"images": ["turned.jpg", "plain.jpg"], "messages": [ask, {"role": "assistant", "content": "a"}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    reader = SampleReader(tmp_path / "a.jsonl")
    assert [reader.image_size(reader[0], k) for k in range(2)] == [(20, 30), (30, 20)]
