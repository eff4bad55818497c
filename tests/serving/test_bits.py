"""Conversations in 8 and 4 bits: how nearly all ways to an answer say the same, and what quantising changes."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from fifty import FIFTY, openai_messages
from lively import forgetful, new_memory
from served import Served
from sphinx_x.conversation import parse_messages
from sphinx_x.model.cpu_linear import Int4Linear, Int8Linear
from sphinx_x.model.cpu_quantizer import replace_linears
from talkers import talking

STEPS = {"max_new_tokens": 16}
TALKS = FIFTY[::3]  # 17; of all fifty, 50, 50 and 28 were the same in 8 bits, and 49, 50 and 14 in 4


def same(found, expected):
    return sum(a == b for a, b in zip(found, expected, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("kind, alike, to_whole", [(Int8Linear, 15, 6), (Int4Linear, 14, 2)])
def test_all_ways_say_nearly_the_same(tiny_member, kind, alike, to_whole):
    """Numbers that lie between two steps fall to either side by the last bits, and a random model is easily moved."""
    sphinx = talking(tiny_member, 3)
    prompts = [sphinx.prompt(parse_messages(talk.messages(None)), talk.images) for talk in TALKS]
    whole = forgetful(sphinx).answers(prompts, batch_size=1, **STEPS)
    replace_linears(sphinx.model.model.language_model, kind)
    alone = [forgetful(sphinx).answers([prompt], **STEPS)[0] for prompt in prompts]
    batched = new_memory(sphinx).answers(prompts, batch_size=7, **STEPS)
    with Served(new_memory(sphinx)) as server, ThreadPoolExecutor(16) as pool:

        def ask(talk):
            keys = {"model": "tiny", "messages": openai_messages(talk), "max_tokens": STEPS["max_new_tokens"]}
            return server.client().chat.completions.create(**keys).choices[0].message.content

        served = list(pool.map(ask, TALKS))
    counts = same(batched, alone), same(served, alone), same(alone, whole)
    assert min(counts[:2]) >= alike and counts[2] >= to_whole, counts
