"""What `sphinx-x eval tasks` prints is whole and fits, whatever the width of the terminal."""

import pytest

from sphinx_x.evaluation.listing import as_table
from sphinx_x.evaluation.task import all_tasks


@pytest.mark.parametrize("width", [80, 200])
def test_nothing_of_the_list_is_cut_off(width, capsys):
    as_table(width)
    out = capsys.readouterr().out
    *lines, _ = out.splitlines()
    assert max(map(len, lines)) <= width and "\N{HORIZONTAL ELLIPSIS}" not in out
    # what is folded goes on below, in the same column: the letters alone are compared
    for task in all_tasks().values():
        assert task.name in out
        if width == 80:
            letters = "".join(out.split())
            for fact in (task.address, task.licence, task.layout):
                assert "".join(fact.split()) in letters, fact
