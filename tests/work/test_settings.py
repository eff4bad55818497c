"""YAML in which a key that occurs twice is an error, and a merged mapping is none."""

import pytest
import yaml

from sphinx_x.work.settings import load_yaml

MERGED = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b, y: 3}\nd: *b"


def test_what_is_merged_may_be_overridden():
    assert load_yaml(MERGED) == yaml.safe_load(MERGED)


@pytest.mark.parametrize("text", ["a: 1\na: 2", "a: {b: 1, c: 2, b: 3}", "- {x: 1, x: 1}"])
def test_a_key_that_is_there_twice_is_named(text):
    with pytest.raises(yaml.YAMLError, match="is there twice"):
        load_yaml(text)
