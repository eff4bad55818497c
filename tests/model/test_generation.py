"""Every way of the library's `generate` against rows computed alone: beams, samples, assistants, embeddings, chunks."""

from dataclasses import replace
from typing import Any

import PIL.Image
import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from lively import lively
from lively import noise as picture
from sphinx_x.errors import PromptError
from sphinx_x.inference import SphinxX
from sphinx_x.model.generation import IMAGES_IN_CHUNKS

STEPS = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False, "pad_token_id": 0}


ROWS: list[tuple[str, list[PIL.Image.Image]]] = [
    ("Read.", [picture(100, 30, 1)]),  # several views, the rest of the grid skipped
    ("No picture.", []),
    ("Compare <image> and <image>, then say.", [picture(20, 9, 2), picture(128, 40, 3)]),
    ("All of it.", [picture(128, 128, 4)]),  # nothing skipped
    ("What?", [picture(5, 5, 5)]),  # one view
]
"""Rows with no image, one or two, of 1 to 16 views."""


@pytest.fixture(scope="module")
def sphinx(tiny_member):
    return lively(tiny_member)


def inputs_of(sphinx: SphinxX, rows: list[tuple[str, list[PIL.Image.Image]]]) -> dict[str, torch.Tensor]:
    """Rows of unequal length, filled up on their left."""
    prompts = [sphinx.prompt_for(question, images) for question, images in rows]
    longest = max(len(prompt.ids) for prompt in prompts)
    ids = torch.tensor([[0] * (longest - len(prompt.ids)) + prompt.ids for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(p.ids)) + [1] * len(p.ids) for p in prompts])
    views = torch.cat([prompt.views for prompt in prompts]).float() / 255
    return {"input_ids": ids, "attention_mask": mask} | ({"pixel_values": views} if len(views) else {})


def run(sphinx: SphinxX, inputs: dict[str, Any], **options: Any) -> Any:
    options = {**STEPS, "return_dict_in_generate": True, "output_logits": True, **options}
    return sphinx.model.generate(**inputs, **options)  # pyright: ignore[reportAttributeAccessIssue]


def greedy(sphinx: SphinxX, inputs: dict[str, Any], **options: Any) -> tuple[list[list[int]], torch.Tensor]:
    """Five greedy ids of each row, and the logits (steps, B, vocabulary) that they were taken from."""
    out = run(sphinx, inputs, **options)
    return out.sequences[:, -5:].tolist(), torch.stack(out.logits)


def test_rows_say_different_things(sphinx):
    """What the other tests rest on: an answer depends on the pictures and on the order of their views."""
    _, logits = greedy(sphinx, inputs_of(sphinx, ROWS[:1]))
    other = inputs_of(sphinx, ROWS[:1])
    other["pixel_values"] = other["pixel_values"].flip(0)
    assert (logits - greedy(sphinx, other)[1]).abs().max() > 0.1
    assert len({tuple(greedy(sphinx, inputs_of(sphinx, [row]))[0][0]) for row in ROWS}) > 2


@pytest.mark.parametrize("answers", [1, 3])
def test_beams_equal_those_of_rows_alone(sphinx, answers):
    options = {"num_beams": 3, "num_return_sequences": answers, "output_scores": True}
    together = run(sphinx, inputs_of(sphinx, ROWS), **options)
    for k, row in enumerate(ROWS):
        alone = run(sphinx, inputs_of(sphinx, [row]), **options)
        mine = slice(k * answers, (k + 1) * answers)
        assert together.sequences[mine, -5:].tolist() == alone.sequences[:, -5:].tolist()
        torch.testing.assert_close(together.sequences_scores[mine], alone.sequences_scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("use_cache", [True, False])
def test_samples_are_drawn_from_what_the_row_alone_says(sphinx, use_cache):
    """The first ids come from the logits of the row alone, the next ones from those after the id that was drawn."""
    options = {"num_return_sequences": 2, "do_sample": True, "use_cache": use_cache}
    out = run(sphinx, inputs_of(sphinx, ROWS), **options)
    logits, drawn = torch.stack(out.logits), out.sequences[:, -5:]
    for k, row in enumerate(ROWS):
        alone = inputs_of(sphinx, [row])
        for sample in (2 * k, 2 * k + 1):
            ids = torch.cat([alone["input_ids"], drawn[sample : sample + 1]], 1)
            seen = sphinx.model(input_ids=ids, pixel_values=alone.get("pixel_values")).logits[0, -6:-1]
            torch.testing.assert_close(logits[:, sample], seen, rtol=1e-4, atol=1e-3)


def test_one_beam_search_in_chat_and_chat_batch(sphinx):
    options = {"max_new_tokens": 5, "num_beams": 3}
    alone = [sphinx.chat(question, images, **options) for question, images in ROWS]
    assert sphinx.chat_batch(ROWS, **options) == alone
    assert sphinx.chat_batch(ROWS, batch_size=2, **options) == alone


def test_several_answers_in_chat_and_chat_batch(sphinx):
    options = {"max_new_tokens": 5, "num_beams": 3, "num_return_sequences": 2}
    alone = [sphinx.chat(question, images, **options) for question, images in ROWS]
    assert all(len(answers) == 2 for answers in alone)
    assert sphinx.chat_batch(ROWS, batch_size=3, **options) == alone
    assert [first for first, _ in alone] == sphinx.chat_batch(ROWS, max_new_tokens=5, num_beams=3)
    session = sphinx.session()
    said = session.ask(*ROWS[0], **options)
    assert session.messages[-1].parts[0].text == said[0]
    with pytest.raises(PromptError, match="a stream gives one answer"):
        list(sphinx.chat(*ROWS[0], stream=True, do_sample=True, num_return_sequences=2, max_new_tokens=3))


def test_a_generation_config_is_honoured(sphinx):
    """What it leaves open is as ever; what it says holds, pads and several answers included."""
    question, images = ROWS[0]
    config = GenerationConfig(num_beams=3, num_return_sequences=2, max_new_tokens=5)
    wanted = sphinx.chat(question, images, num_beams=3, num_return_sequences=2, max_new_tokens=5)
    assert sphinx.chat(question, images, generation_config=config) == wanted
    sampled = GenerationConfig(do_sample=True, temperature=1e4, max_new_tokens=30)
    assert len({sphinx.chat(question, images, generation_config=sampled, pad_token_id=0) for _ in range(5)}) > 1
    assert sphinx.chat(question, images, max_new_tokens=5, return_dict_in_generate=True) == sphinx.chat(
        question, images, max_new_tokens=5
    )


def other_member(member) -> Any:
    """A smaller member of the family: another width, other experts, the same tokens."""
    return replace(member, llm={**member.llm, "hidden_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1})


def test_an_assistant_sees_the_pictures_and_changes_nothing(sphinx, tiny_member, monkeypatch):
    small = lively(other_member(tiny_member), seed=2)
    text_only = AutoModelForCausalLM.from_config(sphinx.model.config.text_config).eval()
    seen: list[torch.Tensor] = []
    fill = small.model.model._filled

    def watched(embeddings, slots, features):
        seen.extend([] if features is None else [features])
        return fill(embeddings, slots, features)

    monkeypatch.setattr(small.model.model, "_filled", watched)
    for row in ROWS[:3]:
        inputs = inputs_of(sphinx, [row])
        wanted, _ = greedy(sphinx, inputs)
        for assistant in (sphinx.model, small.model, text_only):
            assert run(sphinx, inputs, assistant_model=assistant).sequences[:, -5:].tolist() == wanted
        if row[1]:
            features = small.model.model.features(inputs["pixel_values"]).flatten(0, 1)
            torch.testing.assert_close(seen.pop(), features, msg="its own experts looked")
        assert run(sphinx, inputs, prompt_lookup_num_tokens=2).sequences[:, -5:].tolist() == wanted
        pieces = list(sphinx.chat(*row, stream=True, assistant_model=small.model, **STEPS))
        assert "".join(pieces) == sphinx.chat(*row, **STEPS)


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_nothing_is_looked_up_in_an_image(sphinx, row):
    """A prompt whose last token stands before an image as well, and one whose answer leads back to an image."""
    inputs = inputs_of(sphinx, [ROWS[row]])
    before = int((inputs["input_ids"][0] == sphinx.model.config.image_token_id).nonzero().min()) if row != 1 else 1
    led = {**inputs, "input_ids": torch.cat([inputs["input_ids"], inputs["input_ids"][:, before - 1 : before]], 1)}
    led["attention_mask"] = torch.ones_like(led["input_ids"])
    for given in (inputs, led):
        found = run(sphinx, given, prompt_lookup_num_tokens=4, max_matching_ngram_size=1).sequences
        assert torch.equal(found, run(sphinx, given).sequences)


@pytest.mark.parametrize("options", [{}, {"num_beams": 2}, {"num_return_sequences": 2, "num_beams": 2}])
def test_embeddings_in_place_of_ids(sphinx, options):
    inputs = inputs_of(sphinx, ROWS)
    ids, views, mask = inputs["input_ids"], inputs["pixel_values"], inputs["attention_mask"]
    trunk = sphinx.model.model
    wanted = run(sphinx, inputs, **options).sequences[:, -5:]
    filled = trunk.embed(ids, trunk.features(views))
    plain = trunk.get_input_embeddings()(ids)
    image = {"image": trunk.get_image_features(views)}
    for given in (
        {"inputs_embeds": filled},
        {"inputs_embeds": plain, "pixel_values": views},
        {"inputs_embeds": plain, "mm_encoder_outputs": image},
        {"input_ids": ids, "mm_encoder_outputs": image},
        {"input_ids": ids, "mm_encoder_outputs": image},  # the same output once more: it was left as it is
    ):
        found = run(sphinx, {**given, "attention_mask": mask}, **options).sequences[:, -5:]
        assert torch.equal(found, wanted), given.keys()


CHUNKS = pytest.mark.skipif(not IMAGES_IN_CHUNKS, reason="needs transformers 5.23")


@pytest.mark.slow
@CHUNKS
@pytest.mark.parametrize("size", [2, 7, 40, 1000])
def test_a_prompt_in_chunks(sphinx, size):
    """Chunks begin and end inside of images, and may hold none."""
    wanted, logits = greedy(sphinx, inputs_of(sphinx, ROWS[:3]))
    found, chunked = greedy(sphinx, inputs_of(sphinx, ROWS[:3]), prefill_chunk_size=size)
    assert found == wanted
    torch.testing.assert_close(chunked, logits, rtol=1e-4, atol=1e-3)
    beams = run(sphinx, inputs_of(sphinx, ROWS[:3]), num_beams=2, prefill_chunk_size=size)
    assert torch.equal(beams.sequences, run(sphinx, inputs_of(sphinx, ROWS[:3]), num_beams=2).sequences)


def test_a_fixed_cache(sphinx):
    wanted, _ = greedy(sphinx, inputs_of(sphinx, ROWS))
    assert greedy(sphinx, inputs_of(sphinx, ROWS), cache_implementation="static")[0] == wanted


@pytest.mark.parametrize("options", [{}, pytest.param({"prefill_chunk_size": 9}, marks=CHUNKS)])
def test_a_cache_goes_on_with_the_next_picture(sphinx, options):
    """The second turn brings its own picture only; that of the first is in the cache."""
    first, second = inputs_of(sphinx, ROWS[:1]), inputs_of(sphinx, ROWS[3:4])
    out = run(sphinx, first)
    ids = torch.cat([out.sequences, second["input_ids"]], 1)
    views = torch.cat([first["pixel_values"], second["pixel_values"]])
    wanted, logits = greedy(sphinx, {"input_ids": ids, "pixel_values": views})
    given = {"input_ids": ids, "pixel_values": second["pixel_values"], "past_key_values": out.past_key_values}
    found, continued = greedy(sphinx, given, **options)
    assert found == wanted
    torch.testing.assert_close(continued, logits, rtol=1e-4, atol=1e-3)


def test_outputs_as_tuples(sphinx, monkeypatch):
    inputs = inputs_of(sphinx, ROWS)
    labels = inputs["input_ids"]
    named = sphinx.model(**inputs, labels=labels)

    def check() -> None:
        loss, logits, cache = sphinx.model(**inputs, labels=labels, **given)[:3]
        assert torch.equal(loss, named.loss) and torch.equal(logits, named.logits)
        assert cache.get_seq_length() == labels.shape[1]
        hidden = sphinx.model.model(**inputs, **given)[0]
        assert torch.equal(sphinx.model.logits(hidden), named.logits)
        features = sphinx.model.get_image_features(inputs["pixel_values"], **given)
        assert isinstance(features, tuple) and features[0].ndim == 3

    given = {"return_dict": False}
    check()
    given = {}
    monkeypatch.setattr(sphinx.model.config, "return_dict", False)
    check()
    assert greedy(sphinx, inputs)[0]


@pytest.mark.parametrize("options", [{}, {"num_beams": 2}, pytest.param({"prefill_chunk_size": 10}, marks=CHUNKS)])
@pytest.mark.parametrize("views", [1, -1])
def test_images_and_slots_that_differ_are_told(sphinx, options, views):
    """One view too many or too few is an error in every way of generating, never a picture left out."""
    inputs = inputs_of(sphinx, ROWS[:3])
    pixels = inputs["pixel_values"]
    inputs["pixel_values"] = torch.cat([pixels, pixels[:1]]) if views > 0 else pixels[:-1]
    with pytest.raises(ValueError, match=f"99 image slots, the images fill {99 + 9 * (views > 0) - 9 * (views < 0)}"):
        run(sphinx, inputs, **options)


def test_what_contradicts_itself_is_refused(sphinx):
    inputs = inputs_of(sphinx, ROWS[:1])
    embeddings = sphinx.model.model.embed(inputs["input_ids"], sphinx.model.model.features(inputs["pixel_values"]))
    image = {"image": sphinx.model.get_image_features(inputs["pixel_values"])}
    for given, says in (
        ({**inputs, "inputs_embeds": embeddings}, "either input_ids or inputs_embeds"),
        ({}, "either input_ids or inputs_embeds"),
        ({**inputs, "mm_encoder_outputs": image}, "not both"),
        ({"inputs_embeds": embeddings, "pixel_values": inputs["pixel_values"]}, "0 image slots"),
    ):
        with pytest.raises(ValueError, match=says):
            sphinx.model(**given)
    with pytest.raises(ValueError, match="not both"):
        run(sphinx, {**inputs, "mm_encoder_outputs": image})
    with pytest.raises(ValueError, match="prefill_chunk_size cuts input_ids"):
        run(sphinx, {"inputs_embeds": embeddings}, prefill_chunk_size=8)


def compiled(model: Any) -> Any:
    """Raises where there is more than one graph."""
    return torch.compile(model, fullgraph=True, backend="eager", dynamic=False)


def exported(model: Any, inputs: dict[str, torch.Tensor]) -> Any:
    return torch.export.export(model, (), {**inputs, "use_cache": False}).module()


@pytest.mark.parametrize("form", [pytest.param("compiled", marks=pytest.mark.slow), "exported"])
def test_forward_is_one_graph(sphinx, form):
    """The same logits, and a mismatch of slots and images still stops."""
    inputs = inputs_of(sphinx, ROWS[:1])
    lost = {**inputs, "input_ids": inputs["input_ids"].clone()}
    lost["input_ids"][0, (inputs["input_ids"][0] == sphinx.model.config.image_token_id).nonzero()[0]] = 9
    with torch.no_grad():
        graph = compiled(sphinx.model) if form == "compiled" else exported(sphinx.model, inputs)
        logits = graph(**inputs, use_cache=False).logits
        torch.testing.assert_close(logits, sphinx.model(**inputs).logits)
        with pytest.raises(RuntimeError, match="ssertion"):
            graph(**lost, use_cache=False)


@pytest.mark.slow
def test_every_form_of_forward_is_one_graph(sphinx):
    inputs = inputs_of(sphinx, ROWS[:3])
    embeddings = sphinx.model.get_input_embeddings()(inputs["input_ids"]).detach()
    embedded = {"inputs_embeds": embeddings, **inputs}
    del embedded["input_ids"]
    text = {name: inputs[name][1:2, -10:] for name in ("input_ids", "attention_mask")}
    graph = compiled(sphinx.model)
    for given in (inputs, embedded, text, {**inputs, "labels": inputs["input_ids"]}):
        found, wanted = graph(**given), sphinx.model(**given)
        torch.testing.assert_close(found.logits, wanted.logits)
        assert found.loss is None or torch.isclose(found.loss, wanted.loss)
