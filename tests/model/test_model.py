"""The model as the library knows it: slots, logits, saving, generation, packs, mixtures of language experts."""

import copy
from dataclasses import replace
from functools import partial

import PIL.Image
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.trainer_pt_utils import LabelSmoother

from sphinx_x.data.loader import Example
from sphinx_x.family import new_model
from sphinx_x.inference import SphinxX
from sphinx_x.model.packed import PACKED, plan_pack
from sphinx_x.training.objective import pack_examples

QUESTION = "<|bos|><|user|><image>Read the text.<|assistant|>"


def picture(width: int, height: int = 12, seed: int = 0) -> PIL.Image.Image:
    generator = torch.Generator().manual_seed(seed)
    return PIL.Image.fromarray(
        torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8).numpy()
    )


def inputs_of(sphinx, width=100):
    return sphinx.processor(text=QUESTION, images=[picture(width)], return_tensors="pt")


def test_slots_and_features_must_agree(tiny):
    inputs = inputs_of(tiny)
    with pytest.raises(ValueError, match="18 image slots, the images fill 9"):
        tiny.model(input_ids=inputs.input_ids, pixel_values=inputs.pixel_values[:1])
    with pytest.raises(ValueError, match="18 image slots, the images fill 0"):
        tiny.model(input_ids=inputs.input_ids)


def test_image_tokens_cannot_be_sampled(tiny):
    inputs, never = inputs_of(tiny), list(tiny.model.config.image_tokens().all())
    drawn = tiny.model.generate(
        **inputs, do_sample=True, temperature=100.0, top_k=0, num_return_sequences=50, max_new_tokens=20
    )
    assert not torch.isin(drawn[:, inputs.input_ids.shape[1] :], torch.tensor(never)).any()
    logits = tiny.model(**inputs).logits
    assert (logits.softmax(-1)[..., never] == 0).all() and (logits.softmax(-1) > 0).sum(-1).eq(266 - 4).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_is_computed_from_all_logits_is_finite(tiny, dtype):
    """Label smoothing, entropy and divergence against the same values computed without the image tokens."""
    never = list(tiny.model.config.image_tokens().all())
    some = [k for k in range(266) if k not in never]
    hidden = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(0))
    head = copy.deepcopy(tiny.model).to(dtype)
    first, second = head.logits(hidden.to(dtype)), head.logits(-hidden.to(dtype))
    assert first.dtype == dtype and first.isfinite().all()
    p, q = first.log_softmax(-1), second.log_softmax(-1)
    assert p.isfinite().all() and q.isfinite().all()
    alone_p, alone_q = first[..., some].float().log_softmax(-1), second[..., some].float().log_softmax(-1)
    close = partial(torch.testing.assert_close, rtol=2e-2, atol=2e-2)
    close(-(p.exp() * p).sum(-1).float(), -(alone_p.exp() * alone_p).sum(-1))
    close((p.exp() * (p - q)).sum(-1).float(), (alone_p.exp() * (alone_p - alone_q)).sum(-1))
    # a smoothed loss: its gradient is that of the model without image tokens, which get none
    first = head.logits(hidden.to(dtype)).float().detach().requires_grad_()
    target = torch.tensor([some[5]] * 14)
    loss = F.cross_entropy(first.flatten(0, 1), target, label_smoothing=0.1)
    loss.backward()
    assert loss.isfinite() and loss < 0.1 * 4 / 266 * 2**14 + 20
    assert first.grad is not None and first.grad.isfinite().all()
    learned = LabelSmoother(epsilon=0.1)({"logits": first}, torch.randint(4, 200, (2, 7)))
    assert learned.isfinite() and learned > 0


def test_saved_and_loaded_is_the_same(tiny, tiny_folder):
    model = AutoModelForImageTextToText.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(tiny_folder)
    inputs = inputs_of(tiny)
    again = processor(text=QUESTION, images=[picture(100)], return_tensors="pt")
    assert all(torch.equal(inputs[name], again[name]) for name in ("input_ids", "pixel_values"))
    assert torch.equal(model(**again).logits, tiny.model(**inputs).logits)


def test_batch_gives_what_single_gives(tiny):
    pairs = [("Read the text.", picture(w, h, w)) for w, h in ((20, 9), (120, 12), (60, 30), (128, 128), (5, 5))]
    pairs += [("And without a picture?", None), ("Two <image> and <image>?", [picture(30), picture(90)])]
    single = [tiny.chat(question, images, max_new_tokens=12) for question, images in pairs]
    assert tiny.chat_batch(pairs, max_new_tokens=12) == single
    assert tiny.chat_batch(pairs, batch_size=2, max_new_tokens=12) == single


def test_cache_changes_nothing(tiny):
    inputs = inputs_of(tiny)
    settings = {"max_new_tokens": 8, "do_sample": False}
    cached = tiny.model.generate(**inputs, **settings)
    assert torch.equal(cached, tiny.model.generate(**inputs, use_cache=False, **settings))


def examples_of(processor, sizes):
    """Examples of unequal lengths, as the loader makes them; a size of None is a text without an image."""
    from sphinx_x.conversation import parse_messages
    from sphinx_x.model.processing import render_views

    builder, out = processor.prompt_builder(), []
    for number, size in enumerate(sizes):
        image = None if size is None else picture(*size, seed=number)
        layouts = [] if image is None else [processor.image_processor.layout(image)]
        messages = [
            {"role": "user", "content": [{"type": "image"}] * len(layouts) + [{"type": "text", "text": "Read."}]},
            {"role": "assistant", "content": "x" * (3 + number)},
        ]
        encoded = builder.encode(parse_messages(messages), layouts)
        views = torch.empty(0, 3, 16, 64, dtype=torch.uint8)
        if image is not None:
            views = torch.from_numpy(render_views(image, layouts[0]))
        none = torch.empty(0, dtype=torch.int64)
        out.append(Example(torch.tensor(encoded.ids), torch.tensor(encoded.labels()), views, none, 0, str(number)))
    return out


@pytest.mark.parametrize("llm", ["llama", "mixtral"])
def test_packed_equals_unpacked(tiny_member, llm):
    extra = {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}
    member = replace(tiny_member, llm={**tiny_member.llm, **extra}) if llm == "mixtral" else tiny_member
    model, processor = new_model(member, seed=3)
    examples = examples_of(processor, [(20, 9), None, (120, 12), (60, 30), None, (128, 100), (5, 5)])
    micro = pack_examples([examples], torch.device("cpu"))
    trunk = model.model
    alone = []
    for example in examples:
        views = example.views.float() / 255 if len(example.views) else None
        alone.append(model(input_ids=example.ids[None], pixel_values=views).logits[0])
    trunk.language_model.config._attn_implementation = PACKED
    embeddings = trunk.embed(micro.ids, trunk.features(micro.views.float() / 255)[: micro.view_count])
    pack = {"position_ids": micro.pack.position_ids, "pack": micro.pack, "use_cache": False}
    together = model.logits(trunk.language_model(inputs_embeds=embeddings, **pack).last_hidden_state[0])
    expected = torch.cat(alone)
    assert torch.allclose(together[: len(expected)], expected, atol=1e-5)
    # the targets lie where the answers are
    for row, target in zip(micro.rows[: micro.trained], micro.targets[: micro.trained], strict=True):
        assert micro.ids[0, row + 1] == target


def test_samples_of_a_pack_do_not_see_each_other():
    torch.manual_seed(0)
    from sphinx_x.model.packed import packed_attention

    pack = plan_pack([5, 40, 3], group_size=2, total=64)
    query, key, value = (torch.randn(1, 2, 64, 8) for _ in range(3))
    before, _ = packed_attention(torch.nn.Module(), query, key, value, None, pack=pack)
    value[:, :, 5:45] += 1  # the middle sample
    after, _ = packed_attention(torch.nn.Module(), query, key, value, None, pack=pack)
    changed = (before != after).any(-1).any(-1)[0]
    assert changed[5:45].all() and not changed[:5].any() and not changed[45:48].any()


def test_a_mixture_of_language_experts_learns(tiny_member):
    extra = {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}
    model, processor = new_model(replace(tiny_member, llm={**tiny_member.llm, **extra}))
    inputs = processor(text=QUESTION + "abc<|eot|>", images=[picture(100)], return_tensors="pt")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(6):
        loss = model(**inputs, labels=inputs.input_ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("causal", [False, True])
def test_short_attention_equals_the_library(causal):
    from sphinx_x.model.attention import attend

    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 9, 8), torch.randn(2, 2, 9, 8), torch.randn(2, 2, 9, 8)
    with torch.no_grad():
        fused = attend(query, key, value, causal)
    query.requires_grad_()
    assert torch.allclose(attend(query, key, value, causal), fused, atol=1e-6)


def test_half_precision_answers(tiny_folder):
    sphinx = SphinxX.load(tiny_folder, dtype=torch.bfloat16)
    assert sphinx.model.dtype == torch.bfloat16
    assert isinstance(sphinx.chat("Read the text.", picture(90), max_new_tokens=4), str)
