"""Questions about documents: made releases in the official layouts, values worked by hand."""

import json
from pathlib import Path

import pytest

from benchmarks import made_items, scores_of, write_release
from releases.documents import due_tabfact, due_wikitablequestions, ureader_deepform
from releases.files import put, put_lines
from sphinx_x.errors import DataError, ImageError
from sphinx_x.evaluation.task import Reading


def figures(scored) -> dict[str, float]:
    return {name: figure.value for name, figure in scored.figures.items()}


def test_deepform_asks_for_every_key_and_counts_values(tmp_path):
    write_release("deepform", tmp_path)
    items = made_items("deepform", tmp_path)
    # five keys of each document, and the further one that the second has
    assert [item.kind for item in items][:5] == [
        "advertiser",
        "contract_num",
        "flight_from",
        "flight_to",
        "gross_amount",
    ]
    assert [item.kind for item in items][5:] == [*[item.kind for item in items][:5], "tv_address"]
    assert sum(item.facts["values"] for item in items) == 5
    answers = {
        0: " otters for mayor inc ",  # a variant, in another case: right
        1: "None",  # nothing is there, nothing is claimed
        2: "none.",
        3: "02/01/20",  # claimed, but not there
        4: "63705",  # wrong
        5: "lakes",  # one of two values
        6: "",  # a wrong value: nothing can be read
        7: "None",
        8: "None",
        9: "None",
        10: "None",  # there is one
    }
    scored = scores_of("deepform", tmp_path, answers)
    # said: items 0, 3, 4, 5, 6; right: 0, 5; true values: 5
    assert figures(scored) == pytest.approx({"F1": 0.4, "precision": 0.4, "recall": 0.4})
    assert [v.score for v in scored.verdicts] == [1, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0]
    assert scored.unreadable == [6]
    script = scores_of("deepform", tmp_path, answers, how=Reading("script"))
    assert [v.score for v in script.verdicts][:3] == [0, 1, 0]
    assert figures(scores_of("deepform", tmp_path, {}))["F1"] == 0
    right = {item.index: item.references[0] for item in items}
    # the second value of a key cannot be said: recall 4 of 5
    assert figures(scores_of("deepform", tmp_path, right)) == pytest.approx(
        {"F1": 8 / 9, "precision": 1, "recall": 0.8}
    )
    assert items[0].pictures[0].read().startswith(b"\x89PNG")


def test_deepform_of_ureader(tmp_path):
    ureader_deepform(tmp_path)
    items = made_items("deepform", tmp_path)
    assert [(i.question, i.kind, i.references, i.facts["values"]) for i in items] == [
        ("What is the value for the advertiser?", "advertiser", ("Otters for Mayor",), 1),
        ("What is the value for the flight_to?", "flight_to", ("None",), 0),
    ]
    assert figures(scores_of("deepform", tmp_path, {0: "OTTERS FOR MAYOR", 1: "None"}))["F1"] == 1
    assert items[0].pictures[0].read()


def test_missing_pages_are_named(tmp_path):
    write_release("kleister_charity", tmp_path)
    items = made_items("kleister_charity", tmp_path)
    assert len(items) == 8
    next(tmp_path.rglob("1c0f.pdf")).unlink()
    with pytest.raises(ImageError, match=r"1c0f\.pdf: no such file"):
        items[0].pictures[0].read()


def test_values_of_wikitablequestions(tmp_path):
    write_release("wikitablequestions", tmp_path)
    items = made_items("wikitablequestions", tmp_path)
    assert items[1].question == "who were the first two|"
    answers = {0: "italy.", 1: "malaga, Boston, MA", 2: "1200"}
    assert figures(scores_of("wikitablequestions", tmp_path, answers)) == {"accuracy": 1}
    # UReader's program takes the answer for one value
    script = scores_of("wikitablequestions", tmp_path, answers, how=Reading("script"))
    assert [v.score for v in script.verdicts] == [1, 0, 1]
    wrong = scores_of("wikitablequestions", tmp_path, {0: "Spain", 1: "Boston, MA", 2: ""})
    assert figures(wrong) == {"accuracy": 0}
    assert wrong.unreadable == [2]
    assert items[0].pictures[0].read().startswith(b"\x89PNG")
    # without the tagged lines "1200" is not "1,200", as the release's evaluator has it
    next(tmp_path.rglob("*.tagged")).unlink()
    assert [v.score for v in scores_of("wikitablequestions", tmp_path, answers).verdicts] == [1, 1, 0]


def test_a_table_that_is_not_there_is_named(tmp_path):
    write_release("wikitablequestions", tmp_path)
    items = made_items("wikitablequestions", tmp_path)
    (tmp_path / "WikiTableQuestions" / "csv" / "203-csv" / "733.csv").unlink()
    with pytest.raises(ImageError, match=r"csv/203-csv/733\.csv"):
        items[0].pictures[0].read()


def test_wikitablequestions_of_due(tmp_path):
    due_wikitablequestions(tmp_path)
    assert made_items("wikitablequestions", tmp_path)[0].pictures[0].read()
    assert figures(scores_of("wikitablequestions", tmp_path, {0: "malaga|boston"})) == {"accuracy": 1}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Yes", "yes"),
        ("yes, it is.", "yes"),
        ("False.", "no"),
        ("No", "no"),
        ("", None),
        ("The table does not say", None),
        ("nothing", None),
    ],
)
def test_answers_about_statements(tmp_path, answer, said):
    write_release("tabfact", tmp_path)
    scored = scores_of("tabfact", tmp_path, {0: answer, 1: answer, 2: answer})
    # yes, no, yes
    assert [v.said for v in scored.verdicts] == [said] * 3
    assert [v.score for v in scored.verdicts] == {"yes": [1, 0, 1], "no": [0, 1, 0], None: [0, 0, 0]}[said]
    assert len({item.cluster for item in scored.items}) == 1


def test_tabfact_of_due(tmp_path):
    due_tabfact(tmp_path)
    items = made_items("tabfact", tmp_path)
    assert [item.question for item in items] == ["two are heavier, Yes or No?", "none is heavy, Yes or No?"]
    assert figures(scores_of("tabfact", tmp_path, {0: "Yes", 1: "No"})) == {"accuracy": 1}


def test_a_table_without_statements_is_named(tmp_path):
    write_release("tabfact", tmp_path)
    put(tmp_path / "Table-Fact-Checking" / "data" / "test_id.json", ["gone.csv"])
    with pytest.raises(DataError, match=r"test_id\.json, entry 0: gone\.csv: table without statements"):
        made_items("tabfact", tmp_path)


def test_sentences_of_visualmrc_have_their_cider(tmp_path):
    write_release("visualmrc", tmp_path)
    answers = {0: "it is about the otters of the river", 1: "In ponds", 2: ""}
    scored = scores_of("visualmrc", tmp_path, answers)
    # as pycocoevalcap 1.2 (PTBTokenizer and Cider) gives it to these
    assert [10 * v.score for v in scored.verdicts] == pytest.approx([10, 0.99996434, 0], abs=1e-8)
    assert figures(scored)["CIDEr"] == pytest.approx(366.6654778904373)
    assert scored.unreadable == [2]
    assert scored.items[0].pictures[0].read()


def test_infographics_have_the_similarity_of_the_closest_answer(tmp_path):
    write_release("infographicsvqa", tmp_path)
    assert figures(scores_of("infographicsvqa", tmp_path, {0: "Pinterest"})) == {"ANLS": 1}
    # one letter of ten differs
    assert figures(scores_of("infographicsvqa", tmp_path, {0: "pinterests"})) == {"ANLS": pytest.approx(0.9)}
    assert figures(scores_of("infographicsvqa", tmp_path, {0: "facebook"})) == {"ANLS": 0}


def test_lines_without_their_canonical_forms_are_named(tmp_path):
    write_release("wikitablequestions", tmp_path)
    path = next(tmp_path.rglob("*.tagged"))
    path.write_text("\n".join(path.read_text("utf-8").splitlines()[:-1]) + "\n", "utf-8")
    with pytest.raises(DataError, match=r"pristine-unseen-tables\.tsv, entry 2: has no 'nu-2'"):
        made_items("wikitablequestions", tmp_path)


BROKEN = {
    "deepform": "document.jsonl",
    "kleister_charity": "document.jsonl",
    "visualmrc": "test.jsonl",
    "tabfact": "r1_training_all.json",
    "infographicsvqa": "infographicsVQA_val_v1.0_withQT.json",
}


@pytest.mark.parametrize(("name", "file"), BROKEN.items())
def test_broken_files_are_named(name, file, tmp_path):
    write_release(name, tmp_path)
    path = next(tmp_path.rglob(file))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=file.replace(".", r"\.")):
        made_items(name, tmp_path)


def test_a_document_without_its_values_is_named(tmp_path):
    write_release("deepform", tmp_path)
    path = next(tmp_path.rglob("document.jsonl"))
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    del rows[1]["annotations"][0]["values"]
    put_lines(Path(path), rows)
    with pytest.raises(DataError, match=r"document\.jsonl, entry 1: has no 'values'"):
        made_items("deepform", tmp_path)
