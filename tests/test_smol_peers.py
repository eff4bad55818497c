"""Models from which something is taken away: peers of SPHINX-Smol, and the starts and recipes of its ablation."""

import json
import sys

import pytest
import torch

from lined import ENGINE, know_detector, know_engine, lined, made_lines
from lively import lively, noise
from paths import ROOT
from sphinx_x.errors import SphinxXError
from sphinx_x.inference import SphinxX
from sphinx_x.text_lines import reader

sys.path.insert(0, str(ROOT / "benchmarks"))
import smol
import smol_ablations as ablations
import smol_card as card
from smol_parts import peer_lines, peer_text

PICTURE = noise(100, 60, 1)
STEPS = {"max_new_tokens": 4, "min_new_tokens": 4}


@pytest.fixture(autouse=True)
def _engine(monkeypatch):
    know_engine(monkeypatch)


@pytest.fixture
def sphinx(tiny_member):
    return lively(lined(tiny_member))


def test_lines_alone_are_what_a_picture_is_without_views_and_places(sphinx):
    less = peer_lines.Without(sphinx, peer_lines.TEXT_ALONE)
    prompt, tokens = less.prompt_for("What?", [PICTURE]), sphinx.model.config.image_tokens()
    ((first, length),) = prompt.places
    said = "".join(f"<|line|>{line.text}" for line in made_lines(PICTURE))
    decode, end = sphinx.processor.tokenizer.decode, sphinx.processor.tokenizer.convert_ids_to_tokens(tokens.end)
    assert decode(prompt.ids[first : first + length]) == said + end
    assert prompt.images == [] and tokens.slot not in prompt.ids
    with less.zeroed():
        assert not less.model.get_line_features(prompt.line_boxes).pooler_output.any()
        assert isinstance(less.answers([prompt], **STEPS)[0], str)
    assert less.model.get_line_features(prompt.line_boxes).pooler_output.any()


def test_without_lines_a_prompt_is_that_of_a_member_that_reads_none(sphinx, tiny):
    less = peer_lines.Without(sphinx, ["lines"])
    assert less.prompt_for("What?", [PICTURE]).ids == tiny.prompt_for("What?", [PICTURE]).ids


def test_objects_are_no_text(tiny_member, tiny, monkeypatch):
    """They are taken away by themselves, and a peer that reads is not given them."""
    know_engine(monkeypatch)
    know_detector(monkeypatch)
    plain, seeing = lively(lined(tiny_member)), lively(lined(tiny_member, objects=True))
    less = peer_lines.Without(seeing, ["objects"])
    assert less.prompt_for("What?", [PICTURE]).ids == plain.prompt_for("What?", [PICTURE]).ids
    less = peer_lines.Without(seeing, ["lines"])
    said = "<|line|>picture: perhaps red car<|line|>picture: cat"
    assert f"{said}<|" in seeing.processor.tokenizer.decode(less.prompt_for("What?", [PICTURE]).ids)
    texts = [
        peer_text.TextPeer(one.model, one.processor).prompt_for("What?", [PICTURE]).text for one in (plain, seeing)
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("kind", ["convnext", "dinov2"])
def test_an_expert_gives_zeros_as_long_as_it_is_taken_away(sphinx, kind):
    less, pixels = peer_lines.Without(sphinx, [kind]), torch.rand(2, 3, 16, 64)
    group = sphinx.model.model.vision.groups[0]
    before = group.fuse(pixels, sphinx.model.config.view_grid())
    with less.zeroed():
        fused = group.fuse(pixels, sphinx.model.config.view_grid())
    own = {"convnext": slice(0, 16), "dinov2": slice(16, 32)}[kind]
    zeros = before.clone()
    zeros[..., own] = 0
    assert torch.equal(fused, zeros) and before[..., own].any()
    assert torch.equal(group.fuse(pixels, sphinx.model.config.view_grid()), before)


def test_what_cannot_be_taken_away_is_named(sphinx):
    with pytest.raises(SphinxXError, match="siglip: there are views, lines, objects, boxes, convnext, dinov2"):
        peer_lines.Without(sphinx, ["siglip"])


def test_text_in_place_of_a_picture(sphinx):
    peer = peer_text.TextPeer(sphinx.model, sphinx.processor)
    prompt = peer.prompt_for("What?", [PICTURE])
    lines = "\n".join(line.text for line in made_lines(PICTURE))
    assert peer_text.TEXT.format(lines) in prompt.text and prompt.text.count(peer_text.SHORT) == 1
    assert prompt.images == [] and sphinx.model.config.image_tokens().line not in prompt.ids


@pytest.fixture
def folder(sphinx, tmp_path):
    sphinx.model.save_pretrained(tmp_path / "start")
    sphinx.processor.save_pretrained(tmp_path / "start")
    from sphinx_x.work.files import write_manifest

    write_manifest(tmp_path / "start")
    return tmp_path / "start"


def test_a_start_without_an_expert_has_the_columns_of_the_other(folder, tmp_path):
    ablations.write_start(str(folder), "convnext", tmp_path / "less")
    whole, less = SphinxX.load(folder), SphinxX.load(tmp_path / "less")
    before, after = (one.model.model.vision.groups[0] for one in (whole, less))
    assert torch.equal(after.projector[0].weight, before.projector[0].weight[:, 16:])
    pixels, grid = torch.rand(2, 3, 16, 64), whole.model.config.view_grid()
    assert torch.equal(after.fuse(pixels, grid), before.fuse(pixels, grid)[..., 16:])
    assert isinstance(less.chat("What?", PICTURE, **STEPS), str)


def test_a_start_without_lines_reads_none(folder, tmp_path):
    ablations.write_start(str(folder), "lines", tmp_path / "less")
    less = SphinxX.load(tmp_path / "less")
    assert less.model.config.lines is None and less.prompt_for("What?", [PICTURE]).line_boxes.shape == (0, 4)
    assert isinstance(less.chat("What?", PICTURE, **STEPS), str)


@pytest.fixture
def data(tmp_path):
    """Receipts, photos, documents and dialogues, two or three of each."""
    from benchmarks import write_release

    write_release("sroie", tmp_path)
    receipts = tmp_path / "SROIE2019" / "data"
    (receipts / "box").mkdir()
    (receipts / "box" / "000.csv").write_text("1,1,29,1,29,9,1,9,OTTER & SONS\n1,20,29,20,29,29,1,29,9.00\n", "utf-8")
    (tmp_path / "photos").mkdir()
    kinds = {1: "dog", 2: "cat"}
    for number in kinds:
        noise(60, 40, number).save(tmp_path / "photos" / f"{number}.png")
    content = {
        "categories": [{"id": number, "name": name} for number, name in kinds.items()],
        "images": [{"id": number, "file_name": f"{number}.png"} for number in kinds],
        "annotations": [{"id": k, "image_id": k, "category_id": k, "bbox": [0, 0, 9, 9]} for k in kinds],
    }
    (tmp_path / "photos" / "instances.json").write_text(json.dumps(content), "utf-8")
    asked = {"What is the total?": "9.00", "What is the fax number?": "Not in the document.", "Is the date 3?": "No"}
    for name, image in (("documents", [{"type": "image"}]), ("dialogues", [])):
        folder = tmp_path / f"{name}-held"
        folder.mkdir()
        noise(80, 60).save(folder / "a.png")
        lines = []
        for number, (question, answer) in enumerate(asked.items()):
            messages = [
                {"role": "user", "content": [*image, {"type": "text", "text": question}]},
                {"role": "assistant", "content": answer},
            ]
            regions = [{"text": "9.00", "box": [1, 1, 9, 9], "answers": [0]}] if answer == "9.00" and image else []
            sample = {"id": f"{name}/{number}", "messages": messages, "regions": regions}
            lines.append(json.dumps(sample | {"images": ["a.png"] if image else []}))
        (folder / f"{name}-00000.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return tmp_path


@pytest.mark.slow
def test_all_of_it_and_again_from_what_was_kept(folder, data, monkeypatch, capsys):
    monkeypatch.setitem(reader.READERS, "pp-ocrv6", reader.READERS[ENGINE])
    places = ["--receipts", str(data / "SROIE2019" / "data"), "--photos", str(data / "photos"), "--data", str(data)]
    options = ["--model", str(folder), "--base", str(folder), "-o", str(data / "out"), *places, "--limit", "4"]
    options += ["--max-new-tokens", "3", "--without", "dinov2"]
    options += ["--parts", "receipts,documents,screens,photos,paragraphs,text"]
    smol.main(options)
    files = [data / "out" / name for name in ("smol.json", "smol.md")]
    first, content = [file.read_bytes() for file in files], json.loads(files[0].read_bytes())
    assert set(content["ways"]) == {"model", "blind", "lines", "plain", "rules", "without dinov2"}
    assert content["left_out"] == {"screens": "no folder screens-held"} and not content["refused"]
    figures = {(row["part"], row["figure"]): row for row in content["rows"]}
    assert figures["receipts", "total"]["items"] == 1 and figures["documents", "field"]["items"] == 1
    said = "'not in the document' where it is not"
    assert figures["documents", said]["value"][0] in (0, 1) and figures["documents", said]["least"] == 0.8
    assert set(figures["receipts", "company"]["peers"]) == set(content["ways"]) - {"model"}
    assert figures["paragraphs", "error beside RapidOCR's own"]["most"] == pytest.approx(4 / 3)
    assert {kind: text["increase"][0] for kind, text in content["text"].items()} == {"prose": 0, "dialogues": 0}
    assert capsys.readouterr().out.strip() == first[1].decode().strip()
    text = "<!-- goals: begin --><!-- goals: end --><!-- figures: begin -->\n<!-- figures: end -->"
    (data / "card.md").write_text(text, "utf-8")
    card.main(["--results", str(files[0]), "--card", str(data / "card.md")])
    assert first[1].decode().strip() in (data / "card.md").read_text("utf-8")

    def asked_again(*_, **__):
        raise AssertionError("asked again")

    monkeypatch.setattr(SphinxX, "answers", asked_again)
    smol.main(options)
    assert [file.read_bytes() for file in files] == first


def test_runs_of_equal_length(tmp_path):
    runs = ablations.runs_of(1000, ["documents", "photos", "marks"], ["dinov2", "lines"], ["documents"], ["marks"])
    names = ["full", "without-dinov2", "without-lines", "without-ocr", "without-marks", "projector-first-1"]
    assert [run.name for run in runs] == [*names, "projector-first-2"]
    assert [run.samples for run in runs] == [1000] * 5 + [200, 800]
    lora = {"rank": 4, "whole": ["projector", "lines"]}
    base = {"start": "s", "lora": lora, "lr_multipliers": {"projector": 2, "lines": 2}}
    base["sources"] = {name: {} for name in ("documents", "photos", "marks")}
    made = {run.name: ablations.recipe_of(run, base, 3, tmp_path) for run in runs}
    assert list(made["without-ocr"]["sources"]) == ["photos", "marks"]
    assert "lora" not in made["projector-first-1"] and made["projector-first-2"]["lora"] == lora
    less = made["without-lines"]
    assert less["lora"]["whole"] == ["projector"] and less["lr_multipliers"] == {"projector": 2}
    assert made["full"]["lora"] == lora and len(made["full"]["lr_multipliers"]) == 2
    assert made["projector-first-2"]["start"] == str(tmp_path / "runs" / "projector-first-1-3" / "model")
    assert {fields["seed"] for name, fields in made.items() if name != "projector-first-2"} == {3}
    assert made["projector-first-2"]["seed"] != 3, "it sees others than the run before"
    with pytest.raises(SystemExit, match="not charts"):
        ablations.runs_of(1000, ["documents", "marks"], [], ["charts"], [])


def test_hours_by_the_log_of_a_run(tmp_path):
    records = [{"samples": 100, "seconds": 150}, {"samples": 200, "seconds": 250}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records), "utf-8")
    assert ablations.rate_of(tmp_path) == 0.5  # 200 samples in 400 seconds
    text = ablations.table([ablations.Run("full", 1800)], 2, 0.5)
    assert "| full | 1,800 | 2 | 2.0 |" in text


def result(value):
    row = {"part": "receipts", "figure": "total", "scale": 1, "least": 0.5, "most": None, "items": 4}
    return {"rows": [row | {"value": [value, 0.1, 0.9], "reached": value >= 0.5, "peers": {}}]}


def test_a_card_has_what_was_measured_between_its_markers():
    text = card.filled("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n", "x", "new")
    assert text == "a\n<!-- x: begin -->\nnew\n<!-- x: end -->\nb\n"
    assert card.filled(text, "x", "new") == text
    with pytest.raises(SystemExit, match="y: begin"):
        card.filled(text, "y", "new")
    goals = "| receipts | total | 50.0 % or more | 40.0 % (10.0 % to 90.0 %) | missed, -10.0 % |"
    assert goals in card.goals(result(0.4))


def test_ablations_are_differences_of_the_same_items_and_seeds():
    def losses(*values):  # nats a token of items of 10 and of 30 tokens
        return {"charts": [[10 * values[0], 10], [30 * values[1], 30]]}

    full = {0: losses(1.0, 2.0), 1: losses(1.2, 2.2)}
    results = {"full": full, "without-lines": {0: losses(2.0, 3.0), 1: losses(2.2, 3.2)}}
    lines = card.ablations(results).splitlines()
    assert lines[-2] == "| full | 2 | 1.850 |"  # (10 + 60 + 12 + 66) / 80
    assert lines[-1] == "| without-lines | 2 | +1.000 (+1.000 to +1.000) |"
    with pytest.raises(SystemExit, match="no full run of the seed 2"):
        card.ablations({"full": full, "without-lines": {2: losses(1, 1)}})
    with pytest.raises(SystemExit, match="no results of full-SEED"):
        card.ablations({})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("The total is 9.00.", "9.00."),
        ("The date of this receipt is: 12/03/2019", "12/03/2019"),
        ("9.00", "9.00"),
        ("THE ISLAND STORE SDN BHD", "THE ISLAND STORE SDN BHD"),
        ("Nothing. The total is 9.00", "Nothing. The total is 9.00"),
    ],
)
def test_a_plain_peer_is_judged_by_what_its_sentence_says(answer, said):
    assert peer_text.without_lead(answer) == said
