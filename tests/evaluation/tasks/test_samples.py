"""Held-out samples as a benchmark: what is asked, what each kind of answer is worth, what cannot be shown."""

import json

import pytest

from benchmarks import made_items, scores_of, write_release
from sphinx_x.conversation import Image, Place, Text, parse_boxes
from sphinx_x.errors import DataError, ImageError
from sphinx_x.evaluation import run as running
from sphinx_x.evaluation.asking import Asking, prepare, shown_items
from sphinx_x.evaluation.report import as_dict
from sphinx_x.evaluation.run import Options, choose, evaluate
from sphinx_x.inference import SphinxX


def figures(scored) -> dict[str, float]:
    return {name: figure.value for name, figure in scored.figures.items()}


def test_every_answer_is_asked_after_the_true_ones_before_it(tmp_path):
    write_release("samples", tmp_path)
    items = made_items("samples", tmp_path)
    assert [item.kind for item in items] == ["text", "box", "yes or no", "mark", "one of several"]
    assert {item.cluster for item in items} == {"book.pdf"}
    assert items[0].messages[-1].parts == (Image(), Text("Read it."))
    assert items[1].messages[1].parts == (Text("four words"),)
    assert isinstance(items[2].messages[3].parts[0], Place)
    assert [len(item.pictures) for item in items] == [1] * 5
    assert items[4].references == ("2", "two", "2")


def test_every_kind_of_answer_is_scored_in_its_own_way(tmp_path):
    write_release("samples", tmp_path)
    # 100 x 50: 25 pixels of margin above; the box (10, 5, 60, 45) is (0.1, 0.3, 0.6, 0.7) of the square
    right = {0: "four words", 1: "[0.10, 0.30, 0.60, 0.70]", 2: "yes", 3: " <Mark 2>.", 4: "Two."}
    scored = scores_of("samples", tmp_path, right)
    assert [v.score for v in scored.verdicts] == [1.0] * 5
    assert figures(scored) == {
        "mean score": 1,
        "text: character error rate": 0,
        "box: wrong": 0,
        "mark: wrong": 0,
        "yes or no: wrong": 0,
        "one of several: wrong": 0,
    }
    # one character of ten is wrong; the box is half off; nothing, another mark, a number that is not there
    wrong = {0: "for words", 1: "[0.50, 0.30, 1.00, 0.70]", 2: "", 3: "<Mark 3>.", 4: "3"}
    scored = scores_of("samples", tmp_path, wrong)
    assert [v.score for v in scored.verdicts] == pytest.approx([0.9, 0, 0, 0, 0])
    assert scored.unreadable == [2]
    assert figures(scored)["text: character error rate"] == pytest.approx(0.1)
    assert figures(scored)["mean score"] == pytest.approx(0.18)
    # longer than what is true: more errors than characters
    babble = scores_of("samples", tmp_path, {0: "no" * 20})
    assert babble.verdicts[0].score == 0 and figures(babble)["text: character error rate"] > 1
    assert figures(scores_of("samples", tmp_path, {}))["text: character error rate"] == 1


def test_kinds_that_do_not_occur_have_no_figure(tmp_path):
    write_release("samples", tmp_path)
    (tmp_path / "held-00000.jsonl").unlink()
    assert list(figures(scores_of("samples", tmp_path, {0: "two"}))) == ["mean score", "one of several: wrong"]


def test_a_missing_picture_is_named_and_its_box_unreadable(tmp_path):
    write_release("samples", tmp_path)
    shard, file = tmp_path / "held-00000.jsonl", tmp_path / "pictures" / "a.png"
    line = json.loads(shard.read_text("utf-8"))
    del line["images"][0]["width"], line["images"][0]["height"]
    shard.write_text(json.dumps(line) + "\n", "utf-8")
    file.unlink()
    items = made_items("samples", tmp_path)
    with pytest.raises(ImageError, match=r"one#0: .*image missing"):
        items[0].pictures[0].read()
    assert scores_of("samples", tmp_path, {1: "[0.10, 0.30, 0.60, 0.70]"}).unreadable == [1]


def test_broken_samples_are_named(tmp_path):
    write_release("samples", tmp_path)
    (tmp_path / "held-00001.jsonl").write_text('{"id": "two", "messages": []}\n', "utf-8")
    with pytest.raises(DataError, match=r"held-00001\.jsonl.*messages"):
        made_items("samples", tmp_path)


def test_without_images_no_placeholder_is_left(tmp_path):
    write_release("samples", tmp_path)
    for item in shown_items(made_items("samples", tmp_path), "blind"):
        assert not any(isinstance(part, Image) for message in item.messages for part in message.parts)


@pytest.mark.slow
def test_nano_is_asked_held_out_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "model_digest", lambda _: "0" * 16)
    write_release("samples", tmp_path / "data")
    sphinx = SphinxX.load("nano", device="cpu")
    chosen = choose(["samples"], tmp_path / "data")
    run = evaluate(sphinx, chosen, tmp_path / "data", tmp_path / "run", "nano", ("images", "blind"), Options(longest=4))
    images, blind = as_dict(run)["rows"]
    assert images["items"] == blind["items"] == 5 and not images["refused"]
    assert not blind["refused"]
    items = made_items("samples", tmp_path / "data")
    how, [one] = Asking(sphinx, ""), chosen
    written = [
        [parse_boxes(prepare(how, one.task, item).prompt.text) for item in shown_items(items, shown)]
        for shown in ("images", "blind")
    ]
    assert written[0] == written[1] and any(written[0]), "places are told as they are with the image"
