"""What a run keeps of every benchmark's items is enough for its measure: `compare` sums up from there."""

import pytest

from benchmarks import RELEASES, made_splits, write_release
from sphinx_x.evaluation.measures import figures
from sphinx_x.evaluation.results import read_results, write_results
from sphinx_x.evaluation.run import Row, Run
from sphinx_x.evaluation.scores import read_items, score_answers


@pytest.mark.parametrize("name", RELEASES)
def test_kept_results_give_the_same_figures(name, tmp_path):
    write_release(name, tmp_path / "data")
    for chosen in made_splits(name, tmp_path / "data"):
        items = read_items(chosen, tmp_path / "data")
        # every third item right (where the true text is an answer), one empty, one without
        answers = {item.index: item.references[0] for item in items[::3]} | {item.index: "" for item in items[1::3]}
        scored = score_answers(chosen, items, answers)
        write_results(Run("model", "0" * 16, [Row("images", scored, [])]), tmp_path / "run")
        read, results = read_results(tmp_path / "run", chosen.name)
        assert read == chosen
        assert figures(chosen.task.measure, [result.judged for result in results]) == scored.figures
