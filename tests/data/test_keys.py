"""Records of other people: what is not to be trained is not, and no key that changes what is learned is lost."""

import json
import re
from pathlib import Path

import pytest

from excerpts.files import picture
from messages import dicts
from paths import ROOT
from sphinx_x.data.check import check
from sphinx_x.data.dialects import Form
from sphinx_x.data.keys import FLAGS, MESSAGE_METADATA, METADATA, PART_METADATA, REFUSED
from sphinx_x.data.lengths import Limits
from sphinx_x.data.mixture import Share, open_mixture
from sphinx_x.data.packs import Budget
from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.som.samples import build_sample, read_samples
from sphinx_x.errors import DataError, SampleError
from sphinx_x.recipe import load_recipe, shares_of
from sphinx_x.sources.base import Raw


def opened(folder: Path, *records: dict, **form) -> SampleReader:
    """A reader of a file of these records beside two pictures of 40 x 20 and 30 x 60 pixels."""
    picture(folder / "one.png", 40, 20)
    picture(folder / "two.png", 30, 60)
    (folder / "mine.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return SampleReader(folder / "mine.jsonl", form=Form(**form))


def trained_text(reader: SampleReader, processor, number: int = 0) -> str:
    """What of a sample without images is learned."""
    builder = processor.prompt_builder()
    encoded = builder.encode(reader[number].messages, [])
    return builder.tokenizer.decode([i for i, t in zip(encoded.ids, encoded.trained, strict=True) if t])


def messages(**flags) -> dict:
    """Two turns, the first answer with these fields."""
    said = [("user", "A", {}), ("assistant", "WRONG", flags), ("user", "B", {}), ("assistant", "RIGHT", {})]
    return {"messages": [{"role": role, "content": text} | more for role, text, more in said]}


def conversations(**flags) -> dict:
    """The same in ShareGPT's form."""
    said = [("human", "A", {}), ("gpt", "WRONG", flags), ("human", "B", {}), ("gpt", "RIGHT", {})]
    return {"conversations": [{"from": speaker, "value": text} | more for speaker, text, more in said]}


NOT_TRAINED = [
    *({key: value} for key in ("weight", "loss_mask") for value in (0, 0.0)),
    *({key: False} for key in ("train", "training", "trainable", "loss", "loss_mask")),
    {"masked": True},
    {"weight": 0, "train": False, "loss": None},
]


@pytest.mark.parametrize("flags", NOT_TRAINED)
@pytest.mark.parametrize("form", [messages, conversations])
def test_what_is_not_to_be_trained_is_read_only(tmp_path, tiny, form, flags):
    plain, masked = form(), form(**flags)
    reader = opened(tmp_path, plain, masked)
    assert "WRONG" in trained_text(reader, tiny.processor) and "RIGHT" in trained_text(reader, tiny.processor)
    assert "WRONG" not in trained_text(reader, tiny.processor, 1) and "RIGHT" in trained_text(reader, tiny.processor, 1)
    ids = [tiny.processor.prompt_builder().encode(reader[k].messages, []).ids for k in range(2)]
    assert ids[0] == ids[1]
    (tmp_path / "again.jsonl").write_text(json.dumps(reader[1].to_dict()))
    again = SampleReader(tmp_path / "again.jsonl")
    assert "WRONG" not in trained_text(again, tiny.processor)


def test_references_are_kept_and_never_learned(tmp_path, tiny):
    reader = opened(tmp_path, messages(), messages(references=["WRONG", "FALSE"]))
    plain, more = reader[0], reader[1]
    assert more.messages[1].references == ("WRONG", "FALSE") and plain.messages[1].references == ()
    builder = tiny.processor.prompt_builder()
    assert builder.encode(plain.messages, []) == builder.encode(more.messages, [])
    assert Sample.from_dict(more.to_dict()) == more
    assert opened(tmp_path, messages(references=["x"]), ignore=("references",))[0].messages == plain.messages


@pytest.mark.parametrize("wrong", ["WRONG", [1], {"a": "b"}])
def test_references_that_are_no_texts_are_refused_by_name(tmp_path, wrong):
    with pytest.raises(SampleError, match=r"messages\[1\]\.references: must be a non-empty list of texts"):
        opened(tmp_path, messages(references=wrong))[0]


def test_a_long_dialogue_is_cut_without_pieces_that_teach_nothing(tmp_path, tiny):
    masked = messages(train=False)["messages"] + messages()["messages"]
    opened(tmp_path, {"messages": masked}, {"messages": masked[:2] * 3})
    limits, budget = Limits(12, 8), Budget(64, 8, 8)
    shares = {"mine": Share((tmp_path / "mine.jsonl",), 1)}
    mixture = open_mixture(shares, tiny.processor, limits, budget, 3, tmp_path / "index", max_bad=1, workers=1)
    tally = mixture.tallies["mine"]
    assert (tally.turns, len(mixture.examples.pieces[0])) == (3, 3)
    assert tally.left_out["a piece without an answer that is trained"] == 1
    assert dict(tally.set_aside) == {"messages: no answer that is trained": 1}
    assert all((mixture.examples.example(k).labels >= 0).any() for k in range(3))


def test_a_record_may_say_it_for_all_answers(tmp_path, tiny):
    history = {"instruction": "B", "output": "RIGHT", "history": [["A", "WRONG"]], "mask_history": True}
    reader = opened(tmp_path, conversations() | {"mask_history": True}, history, messages() | {"train": False})
    for number in range(2):
        assert "WRONG" not in trained_text(reader, tiny.processor, number)
        assert "RIGHT" in trained_text(reader, tiny.processor, number)
    assert reader[2].problems() == [("messages", "no answer that is trained")]


@pytest.mark.parametrize("form", [messages, conversations])
def test_a_system_text_of_a_record_is_read(tmp_path, form):
    reader = opened(tmp_path, form() | {"system": "Be short."}, form() | {"system": ["x"]}, form() | {"system": ""})
    assert dicts(reader[0].messages)[0] == {"role": "system", "content": "Be short."} and len(reader[2].messages) == 4
    with pytest.raises(SampleError, match="system: must be a text"):
        reader[1]


@pytest.mark.parametrize("form", [messages, conversations])
@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"weight": 0.5}, "weight: must be true or false, 1 or 0: 0.5"),
        ({"train": "no"}, "train: must be true or false"),
        ({"loss_mask": [0, 1]}, "loss_mask: must be true or false"),
        ({"weight": 1, "train": False}, "contradicts"),
        ({"masked": True, "loss": True}, "contradicts"),
        ({"tool_calls": [{"id": 1}]}, "tool_calls: calls of tools"),
        ({"reasoning_content": "Hm."}, "reasoning_content: what is thought"),
        ({"train_detail": [{"begin_offset": 0}]}, "train_detail: a part of an answer"),
        ({"name": "Bob"}, "name: names of speakers"),
        ({"loud": True}, "loud: unknown key"),
    ],
)
def test_what_a_turn_says_that_cannot_be_kept_is_refused_by_name(tmp_path, form, flags, says):
    reader = opened(tmp_path, form(**flags))
    with pytest.raises(SampleError, match=says) as caught:
        reader[0]
    assert "[1]" in str(caught.value)


def test_only_answers_can_be_trained(tmp_path):
    asked = messages()
    asked["messages"][0]["train"] = True
    reader = opened(tmp_path, asked)
    with pytest.raises(SampleError, match=r"messages\[0\].train: only answers are trained"):
        reader[0]


@pytest.mark.parametrize("form", [messages, conversations, lambda: {"instruction": "A", "output": "b"}])
def test_every_key_of_a_record_is_read_described_or_refused(tmp_path, form):
    """An empty one says nothing, whatever its name."""
    others = [key for key in REFUSED if key not in METADATA]
    reader = opened(tmp_path, *(form() | {key: [{"a": 1}]} for key in others), form() | {"x": 1})
    for number, key in enumerate(others):
        with pytest.raises(SampleError, match=f"line {number + 1}: {key}: "):
            reader[number]
    with pytest.raises(SampleError, match="x: unknown key"):
        reader[len(others)]
    described = {key: "said" for key in METADATA if key not in ("licence", "task", "source")}
    empty = dict(zip(others, [None, "", [], {}] * len(others), strict=False))
    reader = opened(
        tmp_path, form() | described, form() | empty, form() | {"x": 1, "tools": ["f"]}, ignore=("x", "tools")
    )
    assert [reader[k].answers for k in range(3)] == [reader[1].answers] * 3
    wanted = reader[1].answers
    foreign = opened(tmp_path, form() | {"source": ["a"], "id": {"b": 1}}, ignore=("source", "id"))
    assert foreign[0].answers == wanted and not foreign[0].source


EMPTY = [None, "", " ", [], {}, "[]", "{}", "null", [None], [""], {"a": None, "b": []}, [{"a": [None]}]]


@pytest.mark.parametrize("value", EMPTY, ids=repr)
def test_what_tables_fill_in_says_nothing(tmp_path, value):
    """A set with some rows of tools, videos or boxes has empty ones in all others, in whatever form."""
    told = dict.fromkeys(("tools", "videos", "audios", "objects", "loss", "unheard_of"), value)
    turn = dict.fromkeys(("tool_calls", "function_call", "audio", "weight", "name"), value)
    part = dict.fromkeys(("image", "video", "text", "url"), value) | {"type": "image", "index": None}
    image = [{"role": "user", "content": [part, {"type": "text", "text": "A", "image": value}]}]
    answer = [{"role": "assistant", "content": "b"}]
    records = [messages(**turn) | told, conversations(**turn) | told, {"instruction": "A", "output": "b"} | told]
    reader = opened(tmp_path, *records, {"messages": image + answer, "images": ["two.png"]} | told)
    assert [reader[k].answers for k in range(4)] == [2, 2, 1, 1]
    assert all(message.trained for k in range(4) for message in reader[k].messages)
    assert reader[3].images[0].path == str(tmp_path / "two.png")


def test_a_table_loses_no_column(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [messages() | {"videos": None, "score": 1}, messages() | {"videos": ["a.mp4"], "score": 2}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    reader = SampleReader(tmp_path / "rows.parquet")
    assert reader[0].answers == 2
    with pytest.raises(SampleError, match="row 2: videos: only text and images"):
        reader[1]


def parted(*parts: dict) -> dict:
    """A question in parts with its answer; the list holds both pictures."""
    said = [{"role": "user", "content": [*parts, {"type": "text", "text": "Which?", "index": None}]}]
    return {"images": ["one.png", "two.png"], "messages": [*said, {"role": "assistant", "content": "so"}]}


def numbered(*numbers: int | None) -> list[dict]:
    return [{"type": "image", "index": number, "text": None} for number in numbers]


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (1, 0, 1)])
def test_images_come_in_the_order_of_their_numbers(tmp_path, order):
    reader = opened(tmp_path, parted(*numbered(*order)))
    sample = reader[0]
    sizes = [reader.image_size(sample, k) for k in range(len(order))]
    assert sizes == [((40, 20), (30, 60))[k] for k in order]
    assert dicts(sample.messages)[0]["content"][: len(order)] == [{"type": "image"}] * len(order)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (numbered(0, 2), r"content\[1\].index: there is no such image: 2"),
        (numbered(0, True), "there is no such image"),
        (numbered(1), "an image of the list is not shown: number 0"),
        (numbered(1, None), "some images have a number and others have none"),
        ([*numbered(1, 0), {"type": "box", "image": 0, "box": [2, 2, 9, 9]}], "which image a box is in"),
        ([{"type": "image", "image": "one.png", "url": "two.png"}], "more than one image"),
        ([{"type": "image", "image": "one.png", "index": 1}], "stands beside an image of its own"),
        ([{"type": "image", "min_pixels": 9}], "min_pixels: unknown key"),
        ([{"type": "image", "id": 1}, {"type": "image", "id": 0}], "id: unknown key"),
        ([{"type": "image_url", "image_url": {"url": "one.png", "detail": "low"}}], "always read in full"),
        ([{"type": "video", "video": "a.mp4"}], "not a text, image.*video"),
        ([{"type": "text", "text": "a", "weight": 0}], "weight: unknown key"),
        ([{"type": "input_audio", "input_audio": {"data": "AA=="}}], "not a text, image"),
    ],
)
def test_parts_that_cannot_be_kept_are_refused_by_name(tmp_path, parts, says):
    reader = opened(tmp_path, parted(*parts))
    with pytest.raises(SampleError, match=says):
        reader[0]


def placed(kind: str, places: object, **more) -> dict:
    """A sample about the picture of 40 x 20 pixels with one part of places in its answer."""
    said = [
        {"role": "user", "content": "<image>Where?"},
        {"role": "assistant", "content": [{"type": kind, kind: places}]},
    ]
    return {"images": ["one.png"], "messages": said} | more


PIXELS = [4.0, 5.0, 20.0, 18.0]
"""A box in the picture of 40 x 20; its corner comes as a point."""


@pytest.mark.parametrize(("unit", "side"), [("0..1", 1.0), ("0..1000", 1000.0)])
@pytest.mark.parametrize("by", ["file", "record"])
def test_boxes_of_every_unit_are_the_same_pixels(tmp_path, unit, side, by):
    share = [n / s * side for n, s in zip(PIXELS, (40, 20, 40, 20), strict=True)]
    said = {"boxes": unit} if by == "record" else {}
    region = {"regions": [{"text": "a", "box": share}]}
    records = [placed("box", share, **region), placed("points", [share[:2], share[2:]])]
    reader = opened(tmp_path, *(r | said for r in records), boxes="" if said else unit)
    box, points = (dicts(reader[k].check().messages)[1]["content"][0] for k in range(2))
    assert box["box"] == pytest.approx(PIXELS) == reader[0].regions[0]["box"]
    assert points["points"] == [pytest.approx(PIXELS[:2]), pytest.approx(PIXELS[2:])]
    assert reader[0].boxes == "pixels" and not check(reader, workers=1)[0]
    (tmp_path / "again.jsonl").write_text(json.dumps(reader[0].to_dict()))
    assert SampleReader(tmp_path / "again.jsonl")[0].messages == reader[0].messages


@pytest.mark.parametrize(
    ("record", "unit", "says"),
    [
        (placed("box", [0.1, 0.2, 0.5, 0.9]), "", "looks relative"),
        (placed("box", [0, 0, 1, 1]), "", "looks relative"),
        (placed("box", [-0.1, 0.2, 0.5, 1.1]), "", "looks relative"),
        (placed("points", [[0.3, 0.7], [1, 1]]), "", "looks relative"),
        (placed("boxes", [[9, 9, 20, 20], [0.1, 0.2, 0.5, 1.0]]), "", "looks relative"),
        (placed("point", [0.3, 0.7]), "", "looks relative"),
        (placed("box", [9, 9, 20, 20], regions=[{"text": "a", "box": [0, 0, 0.5, 0.5]}]), "", "looks relative"),
        (placed("box", [0.1, 0.2, 0.5, 0.9]), "0..1000", "looks relative"),
        (placed("box", [4, 5, 20, 18]), "0..1", "does not lie in 0..1"),
        (placed("box", [4, 5, 20, 1018]), "0..1000", "does not lie in 0..1000"),
        (placed("box", [4, 5, 20, 18], boxes="percent"), "", "boxes: must be one of pixels, 0..1, 0..1000"),
    ],
)
def test_a_box_of_another_unit_is_refused_by_name(tmp_path, record, unit, says):
    findings, _ = check(opened(tmp_path, record, boxes=unit), workers=1)
    assert len(findings) == 1 and says in str(findings[0])


def test_regions_of_another_unit_get_no_marks(tmp_path):
    region = {"regions": [{"text": "a", "box": [0.1, 0.2, 0.5, 0.9]}]}
    opened(tmp_path, placed("box", PIXELS, **region), placed("box", [0.1, 0.2, 0.5, 0.9], boxes="0..1", **region))
    first, second = read_samples(Raw(tmp_path))
    with pytest.raises(SampleError, match=r"line 1: regions\[0\].box: looks relative"):
        build_sample(first, Raw(tmp_path))
    assert build_sample(second, Raw(tmp_path)).regions[0].box == (4, 4, 20, 18)


def test_pixels_stay_pixels(tmp_path):
    reader = opened(
        tmp_path, placed("box", PIXELS), placed("point", [1, 0]), placed("box", [0, 0, 1, 1]), boxes="pixels"
    )
    assert not check(reader, workers=1)[0]
    reader = opened(tmp_path, placed("box", PIXELS), placed("point", [1, 0]), placed("points", [[0.5, 0.5], [9, 9]]))
    assert not check(reader, workers=1)[0]


def test_a_recipe_and_a_list_say_how_a_source_is_read(tmp_path):
    opened(tmp_path, placed("box", [0.1, 0.2, 0.5, 0.9], x=1))
    (tmp_path / "r.yaml").write_text(
        f"{{member: nano, samples: 1, folder: {tmp_path}, sources: {{a: {{path: {tmp_path}/mine.jsonl, "
        "boxes: 0..1, ignore: [x]}}}"
    )
    recipe = load_recipe(tmp_path / "r.yaml")
    share = shares_of(recipe, recipe.sources)["a"]
    (tmp_path / "meta.yaml").write_text("META:\n- {path: mine.jsonl, boxes: 0..1, ignore: [x]}\n")
    for reader in (SampleReader(share.paths, form=share.form), SampleReader(tmp_path / "meta.yaml")):
        assert dicts(reader[0].messages)[1]["content"][0]["box"] == [4, 4, 20, 18]
    with pytest.raises(DataError, match="boxes: must be one of"):
        SampleReader(tmp_path / "mine.jsonl", form=Form("percent"))


def test_the_docs_list_every_key_that_is_known():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    rows = {row.split("|")[-2].strip(): row for row in text.splitlines() if row.startswith("| ")}
    lists = {"refused, with the reason": REFUSED, "pass: they only describe it": METADATA}
    for says, keys in (lists | {"pass": {*MESSAGE_METADATA, *PART_METADATA}}).items():
        assert set(re.findall(r"`(\w+)`", rows[says])) == set(keys)
    assert all(f"`{key}`" in text for key in FLAGS)


def test_the_shared_cases(shared_dir, tiny):
    reader = SampleReader(shared_dir / "cases" / "json" / "quirks.jsonl")
    assert len(reader) == 7
    for number in range(2):
        assert "WRONG" not in trained_text(reader, tiny.processor, number)
        assert "RIGHT" in trained_text(reader, tiny.processor, number)
    assert [Path(str(image.path)).name for image in reader[2].images] == ["two.png", "one.png"]
    found = {str(finding).split(": ", 2)[1]: str(finding).split(": ", 2)[2] for finding in check(reader, workers=1)[0]}
    assert list(found) == ["line 5", "line 6", "line 7", "line 8"]
    words = ("video", "objects", "tools", "looks relative")
    assert all(word in text for word, text in zip(words, found.values(), strict=True))
