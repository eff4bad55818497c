"""What judges are asked: golden files, so that a change of a prompt is seen in review, and its version raised."""

import pytest

from benchmarks import made_items, write_release
from golden import golden_text
from releases.judged import RELEASES
from sphinx_x.evaluation.judge_prompts import filled, one_row
from sphinx_x.evaluation.task import all_tasks


@pytest.mark.golden
@pytest.mark.parametrize("name", RELEASES)
def test_a_judge_is_asked_what_people_have_looked_at(name, tmp_path):
    write_release(name, tmp_path)
    judging = all_tasks()[name].judging
    assert judging is not None
    lines = [f"prompt {judging.prompt_of(made_items(name, tmp_path)[0])}"]
    for item in made_items(name, tmp_path)[:2]:
        for role, text in judging.ask(item, "It is {so}, I | think.") or []:
            lines += [f"=== item {item.index}, {role}", text]
    text = "\n".join([*lines, f"=== asked again: {judging.again}", ""])
    assert text == golden_text(f"judges/{name}.txt", text)


def test_braces_and_lines_of_texts_stay_what_they_are():
    assert filled("{a} and {b}", a="{b}", b="{a}") == "{b} and {a}"
    assert one_row(" two\nlines | and  blanks ") == "two lines / and blanks"
