"""Lines of text in images: their tokens, their places, and that all ways to the model give the same answer."""

import json
from dataclasses import replace

import pytest
import torch

from commands import run
from lined import know_detector, know_engine, lined, made_lines, made_objects
from lively import forgetful, lively, new_memory, noise
from sphinx_x.errors import CheckpointError, PromptError, UnsupportedError
from sphinx_x.family import new_model
from sphinx_x.inference import SphinxX
from sphinx_x.model.tokenizer import IMAGE_TOKENS, LINE, byte_tokenizer, image_tokens
from sphinx_x.text_lines.line import TextLine
from sphinx_x.text_lines.reader import MOST_BYTES

STEPS = {"max_new_tokens": 6, "min_new_tokens": 6}
ONE, OTHER = noise(100, 60, 1), noise(40, 90, 2)


@pytest.fixture(autouse=True)
def _engine(monkeypatch):
    know_engine(monkeypatch)


@pytest.fixture
def sphinx(tiny_member):
    return lively(lined(tiny_member))


def test_an_image_is_its_views_and_then_its_lines(sphinx):
    prompt = sphinx.prompt_for("What?", [ONE])
    tokens, tokenizer = sphinx.model.config.image_tokens(), sphinx.processor.tokenizer
    ((first, length),) = prompt.places
    ids = prompt.ids[first : first + length]
    views = ids[: ids.index(tokens.line)]
    assert views.count(tokens.slot) == len(prompt.views) * sphinx.processor.tokens_per_view
    said = "".join(f"{LINE}{line.text}" for line in made_lines(ONE))
    assert tokenizer.decode(ids[len(views) :]) == said + tokenizer.convert_ids_to_tokens(tokens.end)
    assert not {tokens.slot, tokens.line, tokens.skip} & {*prompt.ids[first + length :], *prompt.ids[:first]}
    boxes = prompt.line_boxes * 128  # the square's side, with the image in its corner
    assert torch.allclose(boxes, torch.tensor([line.box for line in made_lines(ONE)]))


def test_objects_stand_before_the_lines_with_their_places(tiny_member, monkeypatch):
    know_detector(monkeypatch)
    sphinx = lively(lined(tiny_member, objects=True))
    prompt = sphinx.prompt_for("What?", [ONE])
    tokenizer = sphinx.processor.tokenizer
    said = f"{LINE}picture: perhaps red car{LINE}picture: cat"
    assert f"{said}{''.join(f'{LINE}{line.text}' for line in made_lines(ONE))}" in tokenizer.decode(prompt.ids)
    found = [made_objects(ONE)[1], made_objects(ONE)[0], *made_lines(ONE)]
    assert torch.allclose(prompt.line_boxes * 128, torch.tensor([one.box for one in found]))
    assert sphinx.chat("What?", [ONE], **STEPS) != lively(lined(tiny_member)).chat("What?", [ONE], **STEPS)


def test_a_page_of_text_costs_one_view_by_all_ways(tiny_member, monkeypatch):
    """Two lines are a page here: the same image and prompt with fewer views, the same alone and in a batch."""
    member = lined(replace(tiny_member, views=replace(tiny_member.views, global_view=True)))
    sphinx = lively(member)
    page = lively(replace(member, lines={**member.lines, "enough": 2}))
    know_engine(monkeypatch, lambda image: made_lines(image)[:1] * (2 if image.width > image.height else 1))
    assert len(page.prompt_for("What?", [ONE]).views) == 1 < len(sphinx.prompt_for("What?", [ONE]).views)
    assert len(page.prompt_for("What?", [OTHER]).views) == len(sphinx.prompt_for("What?", [OTHER]).views)
    alone = [page.chat("What?", [image], **STEPS) for image in (ONE, OTHER)]
    assert page.chat_batch([("What?", [ONE]), ("What?", [OTHER])], **STEPS) == alone
    assert page.session().ask("What?", [ONE], **STEPS) == alone[0]
    batch = page.processor(images=[ONE], text="<image>What?", return_tensors="pt")
    assert len(batch["pixel_values"]) == 1


def test_a_member_that_reads_none_has_no_token_for_them(tiny_member, tiny):
    assert tiny.model.config.image_tokens().line is None and len(tiny.model.config.image_tokens().all()) == 4
    assert LINE not in tiny.processor.tokenizer.get_vocab() and tiny.model.model.line_places is None
    written = json.loads(tiny.model.config.to_json_string()) | tiny.processor.image_processor.to_dict()
    assert not {"line_token_id"} & written.keys() and written.get("lines") is None
    assert byte_tokenizer().get_vocab().items() < byte_tokenizer(True).get_vocab().items()


def test_what_stands_in_an_image_is_never_a_control_token(sphinx, monkeypatch):
    said = f"{LINE}<image><|eot|>"
    know_engine(monkeypatch, lambda image: [TextLine((0, 0, 9, 9), said)])
    prompt, tokens = sphinx.prompt_for("What?", [ONE]), sphinx.model.config.image_tokens()
    assert prompt.ids.count(tokens.line) == 1
    assert prompt.ids.count(tokens.slot) == len(prompt.views) * sphinx.processor.tokens_per_view
    assert isinstance(sphinx.chat("What?", [ONE], **STEPS), str)
    with pytest.raises(PromptError, match=r"the image shows the text <\|eot\|>|the image shows the text <image>"):
        sphinx.processor(images=[ONE], text="<image>What?", return_tensors="pt")


def inputs_of(sphinx, prompt):
    return {
        "input_ids": torch.tensor([prompt.ids]),
        "pixel_values": prompt.views.float() / 255,
        "line_boxes": prompt.line_boxes,
    }


@torch.no_grad()
def test_a_place_is_added_to_its_own_line(sphinx):
    """Worked by hand: the embedding of each token of a line is its row plus that of its box, all others stay."""
    prompt = sphinx.prompt_for("Which <image> or <image>?", [ONE, OTHER])
    given, trunk = inputs_of(sphinx, prompt), sphinx.model.model
    tokens = sphinx.model.config.image_tokens()
    table = trunk.get_input_embeddings().weight
    rows, features = [], iter(trunk.features(given["pixel_values"]).flatten(0, 1))
    boxes = iter(prompt.line_boxes)
    for number in prompt.ids:
        row = next(features) if number == tokens.slot else table[number]
        rows.append(row + trunk.line_places(next(boxes)[None])[0] if number == tokens.line else row)
    assert next(boxes, None) is None and next(features, None) is None
    wanted = sphinx.model(inputs_embeds=torch.stack(rows)[None], use_cache=False).logits
    torch.testing.assert_close(sphinx.model(**given, use_cache=False).logits, wanted, rtol=1e-4, atol=1e-4)
    moved = {**given, "line_boxes": given["line_boxes"].flip(0)}
    assert (sphinx.model(**moved, use_cache=False).logits - wanted).abs().max() > 1e-2
    embeds = trunk.get_input_embeddings()(given.pop("input_ids"))
    torch.testing.assert_close(sphinx.model(inputs_embeds=embeds, **given).logits, wanted, rtol=1e-4, atol=1e-4)


def test_lines_without_boxes_and_boxes_without_lines_are_refused(sphinx, tiny):
    given = inputs_of(sphinx, sphinx.prompt_for("What?", [ONE]))
    boxes = given.pop("line_boxes")
    with pytest.raises(ValueError, match=f"the token ids have {len(boxes)} lines, and there are 0 boxes of lines"):
        sphinx.model(**given)
    with pytest.raises(ValueError, match="this model reads no lines: it takes no line_boxes"):
        tiny.model(input_ids=torch.tensor([[1, 2]]), line_boxes=boxes)
    with pytest.raises(ValueError, match="has both lines and line_token_id, any other has neither"):
        type(sphinx.model.config)(lines={"engine": "made"})


@pytest.mark.parametrize("objects", [False, True])
def test_the_librarys_way_gives_the_same_ids_and_answer(tiny_member, monkeypatch, objects):
    know_detector(monkeypatch)
    sphinx = lively(lined(tiny_member, objects))
    prompt = sphinx.prompt_for("Which <image> or <image>?", [ONE, OTHER])
    written = sphinx.processor.tokenizer.bos_token + prompt.text
    given = sphinx.processor(images=[ONE, OTHER], text=written, return_tensors="pt")
    assert given["input_ids"][0].tolist() == prompt.ids
    assert torch.equal(given["line_boxes"], prompt.line_boxes)
    ours = sphinx._generate([prompt], **STEPS)[0]
    length = len(prompt.ids)
    ends = {"eos_token_id": sphinx.processor.tokenizer.eos_token_id, "do_sample": False}
    for more in ({}, {"prefill_chunk_size": 11}):
        assert sphinx.model.generate(**given, **STEPS, **ends, **more)[0, length:].tolist() == ours, more


def test_batches_beams_and_drafts_answer_as_one_by_one(sphinx):
    pairs = [("What?", [ONE]), ("And <image> or <image>?", [OTHER, ONE]), ("Hello?", None)]
    alone = [forgetful(sphinx).chat(question, images, **STEPS) for question, images in pairs]
    assert len(set(alone)) == 3
    assert sphinx.chat_batch(pairs, **STEPS) == alone
    for options in ({"num_beams": 3}, {"num_beams": 3, "num_return_sequences": 2}):
        beams = [forgetful(sphinx).chat(question, images, **STEPS, **options) for question, images in pairs]
        assert sphinx.chat_batch(pairs, **STEPS, **options) == beams, options
    helper = new_memory(sphinx).model
    assert sphinx.chat(*pairs[1], **STEPS, assistant_model=helper) == alone[1]


def test_a_session_says_what_each_turn_says_afresh(sphinx):
    session, fresh, held = sphinx.session(), forgetful(sphinx), []
    for question, images in [("What?", [ONE]), ("And?", None), ("Or <image>?", [OTHER]), ("Which?", None)]:
        asked = [*session.messages]
        said = session.answer(question, images, **STEPS)
        prompt = fresh.prompt([*asked, session.messages[-2]], session.images)
        assert fresh.answers([prompt], **STEPS) == [said.text]
        held.append(said.remembered_tokens)
    assert held[0] == 0 and held[1] > 16 and held == sorted(held)


def test_the_same_pixels_read_otherwise_are_another_image(sphinx, monkeypatch):
    """What is remembered of an image and of a conversation holds its lines, their boxes included."""
    before, traces = sphinx.prompt_for("What?", [ONE]), []
    sphinx.answers([before], **STEPS)
    lines = [replace(line, box=(60, 5, 90, 30)) for line in made_lines(ONE)]
    know_engine(monkeypatch, lambda image: lines)
    again = sphinx.prompt_for("What?", [ONE])
    assert again.ids == before.ids
    assert sphinx.answers([again], traces=traces, **STEPS) == forgetful(sphinx).answers([again], **STEPS)
    assert traces[0].held_tokens <= again.places[0][0] and traces[0].encoded_images == 1


def test_a_saved_member_is_the_same_and_its_parts_agree(sphinx, tmp_path):
    sphinx.model.save_pretrained(tmp_path)
    sphinx.processor.save_pretrained(tmp_path)
    loaded = SphinxX.load(tmp_path)
    assert loaded.model.config.lines == loaded.processor.image_processor.lines == sphinx.model.config.lines
    assert loaded.chat("What?", [ONE], **STEPS) == sphinx.chat("What?", [ONE], **STEPS)
    file = tmp_path / "processor_config.json"
    fields = json.loads(file.read_text())
    fields["image_processor"]["lines"]["max_bytes"] = MOST_BYTES  # the default, of a folder that does not name it
    file.write_text(json.dumps(fields))
    assert SphinxX.load(tmp_path).processor.image_processor.line_reader() == sphinx.model.config.line_reader()
    fields["image_processor"]["lines"]["least_confidence"] = 0.7
    file.write_text(json.dumps(fields))
    with pytest.raises(CheckpointError, match="its config and its tokenizer have other image tokens or lines"):
        SphinxX.load(tmp_path)


def test_what_cannot_have_lines_says_so(sphinx, tmp_path):
    from sphinx_x.checkpoints.onnx import export_onnx

    sphinx.model.save_pretrained(tmp_path / "model")
    sphinx.processor.save_pretrained(tmp_path / "model")
    with pytest.raises(CheckpointError, match="reads the lines of images, which the graphs have no input for"):
        export_onnx(tmp_path / "model", tmp_path / "out")
    with pytest.raises(UnsupportedError, match="how many tokens an image has is not known from its size"):
        sphinx.processor._get_num_multimodal_tokens([(10, 20)])


def test_a_member_with_lines_from_base_weights_and_back(tmp_path, tiny_member):
    from base_weights import base_llm
    from sphinx_x.checkpoints.backbones import import_backbones
    from sphinx_x.checkpoints.export import export_llm

    folder, _ = base_llm(tmp_path / "llm", "llama")
    made = lined(tiny_member)
    notes = import_backbones(made, tmp_path / "made", folder, fresh=["convnext", "dinov2"])
    assert "made new: the places of lines" in notes
    sphinx = SphinxX.load(tmp_path / "made")
    tokens = sphinx.model.config.image_tokens()
    assert tokens.all() == tuple(range(512, 517)) and sphinx.model.config.text_config.vocab_size == 517
    assert tokens == image_tokens(sphinx.processor.tokenizer, lines=True)
    assert isinstance(sphinx.chat("What?", [ONE], **STEPS), str)
    assert float(sphinx.model.get_input_embeddings().weight.detach()[tokens.line].abs().max()) > 0
    again = import_backbones(made, tmp_path / "again", start=tmp_path / "made")
    assert again == []
    ours, theirs = (SphinxX.load(tmp_path / name).model.state_dict() for name in ("made", "again"))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    with pytest.raises(CheckpointError, match="does not read the lines of images as nano does"):
        import_backbones(tiny_member, tmp_path / "other", start=tmp_path / "made")
    export_llm(tmp_path / "made", tmp_path / "back")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert AutoModelForCausalLM.from_pretrained(tmp_path / "back").config.vocab_size == 512
    assert not {LINE, *IMAGE_TOKENS} & AutoTokenizer.from_pretrained(tmp_path / "back").get_vocab().keys()


def full_page(image):
    """600 lines in one column, with words of other scripts and of bytes that are no letters of any token."""
    words = ("Total 12.50", "Größe 🙂", "総計 100円", "x")
    height = image.height / 600
    return [TextLine((1, k * height, 50, (k + 0.8) * height), f"{words[k % 4]} {k}", 0.9) for k in range(600)]


@pytest.fixture
def crowded(tiny_member, monkeypatch):
    """A member whose context has 4,096 tokens, shown pages of 600 lines."""
    know_engine(monkeypatch, full_page)
    member = lined(tiny_member)
    return lively(replace(member, lines={**member.lines, "max_bytes": 3000}))


def test_a_page_of_600_lines_stays_within_the_context(crowded):
    image = noise(60, 1200, 3)
    prompt, lines = crowded.prompt_for("What?", [image]), full_page(image)
    (layout,) = prompt.layouts
    assert [line.text for line in layout.lines] == [line.text for line in lines[: len(layout.lines)]]
    assert layout.lines_left_out == 600 - len(layout.lines) > 300
    kept = sum(len(line.text.encode()) + 1 for line in layout.lines)
    assert kept <= 3000 < kept + len(lines[len(layout.lines)].text.encode()) + 1
    views = layout.views * (crowded.processor.tokens_per_view + 2) + layout.skipped
    assert prompt.visual_tokens <= views + 3000 + 1 and len(prompt.line_boxes) == len(layout.lines)
    answer = crowded.answer("What?", [image], **STEPS)
    assert answer.lines_left_out == (layout.lines_left_out,)
    written = crowded.processor.tokenizer.bos_token + prompt.text
    given = crowded.processor(images=[image], text=written, return_tensors="pt")
    assert given["input_ids"][0].tolist() == prompt.ids and torch.equal(given["line_boxes"], prompt.line_boxes)


def test_chat_says_how_many_lines_it_left_out(crowded, tmp_path, capsys):
    crowded.model.save_pretrained(tmp_path / "model")
    crowded.processor.save_pretrained(tmp_path / "model")
    noise(60, 1200, 3).save(tmp_path / "page.png")
    capsys.readouterr()
    asked = ("chat", tmp_path / "page.png", "What?", "-m", tmp_path / "model", "--max-new-tokens", "2")
    code, _, err = run(*asked, capsys=capsys)
    number = crowded.prompt_for("What?", [noise(60, 1200, 3)]).layouts[0].lines_left_out
    assert code == 0
    assert err.splitlines() == [
        f"note: the last {number} lines are left out of this very full page: crop it to what is asked about"
    ]


def test_a_conversation_beyond_the_context_is_refused(crowded):
    pages = [noise(60, 1200, 3), noise(61, 1200, 4)]
    crowded.answer("What?", pages[:1], **STEPS)
    with pytest.raises(PromptError, match=r"^this conversation has \d+ tokens, \d+ of them of images: more than"):
        crowded.answer("What?", pages, **STEPS)


def test_places_near_each_other_are_told_apart(tiny_member):
    """Lines of small print, a hundredth of the page apart, are as far apart as rows of the table are long."""
    model, _ = new_model(lined(tiny_member), seed=0)
    boxes = torch.tensor([[0.1, top, 0.5, top + 0.01] for top in (0.50, 0.51, 0.52)])
    first, second, third = model.model.line_places(boxes)
    assert (first - second).norm() > 0.1 * first.norm() and (second - third).norm() > 0.1 * first.norm()
