"""What every benchmark asks of its made release: golden files, so that a change of a prompt is seen in review."""

import pytest

from benchmarks import RELEASES, prompts_text, write_release
from golden import golden_text


@pytest.mark.golden
@pytest.mark.parametrize("name", RELEASES)
def test_a_benchmark_asks_what_people_have_looked_at(name, tmp_path):
    write_release(name, tmp_path)
    text = prompts_text(name, tmp_path)
    assert text == golden_text(f"prompts/{name}.txt", text)
