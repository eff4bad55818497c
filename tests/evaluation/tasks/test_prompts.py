"""What every benchmark asks of its made release: golden files, so that a change of a prompt is seen in review."""

import pytest

from benchmarks import RELEASES, made_splits, prompts_text, write_release
from golden import golden_text
from sphinx_x.evaluation.scores import read_items
from sphinx_x.evaluation.task import all_tasks


@pytest.mark.golden
@pytest.mark.parametrize("name", RELEASES)
def test_a_benchmark_asks_what_people_have_looked_at(name, tmp_path):
    write_release(name, tmp_path)
    text = prompts_text(name, tmp_path)
    assert text == golden_text(f"prompts/{name}.txt", text)


@pytest.mark.parametrize("name", RELEASES)
def test_a_made_release_is_whole(name, tmp_path):
    write_release(name, tmp_path)
    assert all_tasks().keys() >= {name}
    splits = made_splits(name, tmp_path)
    assert splits
    for chosen in splits:
        items = read_items(chosen, tmp_path)
        assert [item.index for item in items] == list(range(len(items)))
        assert all(picture.read() for item in items for picture in item.pictures)
