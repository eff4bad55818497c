"""One token after another: keys that queries share are read once, and the answers stay what they are."""

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from sphinx_x.model.attention import GROUPED, attend_in_groups, grouped_attention


class Layer(nn.Module):
    num_key_value_groups = 4
    is_causal = True


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("tokens", [1, 3])
@pytest.mark.parametrize("batch", [1, 2])
def test_as_the_library_attends(batch, tokens, masked):
    torch.manual_seed(0)
    query, (key, value) = torch.randn(batch, 8, tokens, 16), torch.randn(2, batch, 2, 11, 16)
    mask = torch.rand(batch, 1, tokens, 11) > 0.3 if masked else None
    found, weights = grouped_attention(Layer(), query, key, value, mask, scaling=0.3, dropout=0.0)
    right, _ = sdpa_attention_forward(Layer(), query, key, value, mask, scaling=0.3, dropout=0.0)
    assert weights is None and found.shape == right.shape
    torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-6)


def test_every_query_reads_its_own_key():
    """Against a softmax by hand in float64, so that heads cannot be mixed up."""
    torch.manual_seed(0)
    query, (key, value) = torch.randn(1, 8, 1, 16), torch.randn(2, 1, 2, 11, 16)
    found, _ = grouped_attention(Layer(), query, key, value, None, scaling=0.3)
    for head in range(8):
        scores = 0.3 * key[0, head // 4].double() @ query[0, head, 0].double()
        right = scores.softmax(0) @ value[0, head // 4].double()
        torch.testing.assert_close(found[0, 0, head].double(), right, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sdpa", "eager"])
def test_a_model_that_asks_for_another_attention_keeps_it(name):
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2}
    model = LlamaModel(LlamaConfig(**sizes, intermediate_size=48, vocab_size=64, attn_implementation=name)).eval()
    ids = torch.arange(7)[None]

    def steps() -> torch.Tensor:
        cache, found = None, []
        for token in ids[0]:
            out = model(input_ids=token.view(1, 1), past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            found.append(out.last_hidden_state)
        return torch.cat(found, 1)

    with torch.inference_mode():
        whole, before = model(input_ids=ids).last_hidden_state, steps()
        attend_in_groups(model)
        assert model.config._attn_implementation == (GROUPED if name == "sdpa" else name)
        torch.testing.assert_close(steps(), before, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(steps(), whole, rtol=1e-4, atol=1e-5)
    assert "attn_implementation" not in model.config.to_json_string()
