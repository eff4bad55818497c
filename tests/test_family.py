"""The family's figures against what is published of its parts."""

import pytest

from sphinx_x.errors import SphinxXError
from sphinx_x.family import IMAGE_VOCABULARY, MEMBERS, build_config, describe, get_member, new_model

PROJECTOR = {"tiny": 9.4e6, "intern2": 18.9e6, "plus": 23.6e6, "plus-2k": 23.6e6, "moe": 18.9e6}


@pytest.mark.parametrize("name", PROJECTOR)
def test_parameters_are_the_sum_of_the_published_parts(name):
    member = get_member(name)
    facts = describe(member)
    llm, *experts = member.published.values()
    assert facts.llm == llm + 2 * IMAGE_VOCABULARY * member.llm["hidden_size"]
    assert facts.experts == pytest.approx(sum(experts), rel=1e-3)
    assert facts.projector == pytest.approx(PROJECTOR[name], rel=5e-3)
    assert facts.parameters == facts.llm + facts.experts + facts.projector


def test_nano_is_small_enough_to_ship():
    facts = describe(get_member("nano"))
    assert facts.parameters <= 10e6
    assert 2 * facts.parameters <= 20e6


def test_skipping_figures_of_the_paper():
    assert describe(get_member("tiny")).typical["2:1"] == 779
    two_k = describe(get_member("plus-2k"))
    assert (two_k.tokens, two_k.typical["3:2"], two_k.typical["3:1"]) == (2590, 1816, 1042)


def test_configurations_survive_a_round_trip():
    for member in MEMBERS.values():
        config = build_config(member)
        again = type(config).from_dict(config.to_dict())
        assert again.group_configs() == config.group_configs()
        assert again.view_grid() == member.views


def test_moe_routes_two_of_eight():
    text = build_config(get_member("moe")).text_config
    assert (text.num_local_experts, text.num_experts_per_tok) == (8, 2)


def test_unknown_and_weightless_members_are_refused():
    with pytest.raises(SphinxXError, match="unknown member 'huge'"):
        get_member("huge")
    with pytest.raises(SphinxXError, match="starts from the weights"):
        new_model(get_member("plus"))


def test_the_table_of_needs_is_what_is_counted():
    from pathlib import Path

    text = (Path(__file__).parents[1] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    for member in MEMBERS.values():
        facts = describe(member)
        needs = (2 * facts.parameters / 1e9, facts.run, facts.run8, facts.run4, facts.train)
        row = f"| {member.name} | {facts.parameters / 1e9:.3g} | " + " | ".join(f"{need:.3g}" for need in needs) + " |"
        assert row in text, row


def test_fewer_bits_need_less():
    for member in MEMBERS.values():
        facts = describe(member)
        assert facts.run > facts.run8 > facts.run4 > 0.25 * facts.run
