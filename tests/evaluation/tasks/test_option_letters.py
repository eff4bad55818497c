"""Letters of options: MMBench, CCBench, SEED-Bench, IconQA, MMVP, AesBench, AI2D."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import made_items, made_splits, scores_of, write_release
from releases.files import base64_picture, pixels, put, put_tsv
from releases.options import mmbench_row
from sphinx_x.errors import DataError, ImageError
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.run import limited
from sphinx_x.evaluation.scoring.choice import read_option
from sphinx_x.evaluation.task import all_tasks


def test_a_question_of_mmbench_counts_where_all_of_its_rotations_are_right(tmp_path):
    """Two questions: the first has three rotations (rows 0, 2, 3), the second two (rows 1, 4)."""
    write_release("mmbench", tmp_path)
    scored = scores_of("mmbench", tmp_path, {0: "B", 2: "A.", 3: "C. blue", 1: "yes", 4: "A"})
    assert [verdict.score for verdict in scored.verdicts] == [1, 1, 1, 1, 0]
    assert {name: figure.value for name, figure in scored.figures.items()} == {"circular": 0.5, "plain": 1.0}
    # always the same letter is right once at most
    scored = scores_of("mmbench", tmp_path, dict.fromkeys(range(5), "A"))
    assert {name: figure.value for name, figure in scored.figures.items()} == {"circular": 0.0, "plain": 0.5}


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("A. red\nB. blue\nC. green\nD. white", None), ("(A) red, (B) blue", None), ("B) blue or A) red", None),
        ("The answer is A. Or B.", None), ("A. B. C. D.", None),
        ("A. red", "A"), ("B. It is blue, as the sky is.", "B"), ("(C) green", "C"), ("D. A white one.", "D"),
        ("The answer is B. A sky is blue.", "B"), ("C: green, as D. H. Lawrence had it", "C"),
    ],
)  # fmt: skip
def test_an_answer_that_goes_on_to_another_option_takes_none(answer, letter):
    """A model that repeats the list has not taken its first one."""
    assert read_option(answer, {"A": "red", "B": "blue", "C": "green", "D": "white"}) == letter


def test_a_limit_takes_questions_with_all_of_their_rotations(tmp_path):
    """Clusters of three and of two rows: a limit of four holds one of them, never a part of both."""
    write_release("mmbench", tmp_path)
    items = made_items("mmbench", tmp_path)
    taken = {limit: [item.index for item in limited(items, limit, whole=True)] for limit in range(1, 7)}
    assert taken[4] == taken[3] == taken[1] == [0, 2, 3]
    assert taken[5] == taken[6] == [0, 1, 2, 3, 4]
    assert all(all_tasks()[name].whole for name in ("mmbench", "ccbench", "mmvp", "hallusion_bench", "mme"))
    assert not all_tasks()["mmbench_plain"].whole


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=30), limit=st.integers(1, 60))
def test_whole_clusters_are_as_many_as_go_into_the_limit(sizes, limit):
    clusters = [str(number) for number, size in enumerate(sizes) for _ in range(size)]
    items = [Item(index, "", cluster=cluster) for index, cluster in enumerate(clusters)]
    taken = limited(items, limit, whole=True)
    assert [item.index for item in taken] == sorted({item.index for item in taken})
    kept = {item.cluster for item in taken}
    assert taken == [item for item in items if item.cluster in kept]
    assert len(taken) <= limit or len(kept) == 1


def test_chance_of_a_circular_question_is_that_of_all_rotations(tmp_path):
    write_release("mmbench", tmp_path)
    tasks, items = all_tasks(), made_items("mmbench", tmp_path)
    assert tasks["mmbench"].chance(items) == pytest.approx((1 / 27 + 1 / 4) / 2)
    assert tasks["mmbench_plain"].chance(made_items("mmbench_plain", tmp_path)) == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_each_question_once_leaves_rotations_out(tmp_path):
    write_release("mmbench", tmp_path)
    scored = scores_of("mmbench_plain", tmp_path, {0: "B", 1: "B"})
    assert (len(scored.items), scored.headline[0], scored.headline[1].value) == (2, "accuracy", 0.5)


def test_rotations_that_the_table_lacks_are_asked_after_its_rows(tmp_path):
    """CCBench as made has none: 4 and 2 options make 6 items, and a model that finds the text is right in all."""
    write_release("ccbench", tmp_path)
    items = made_items("ccbench", tmp_path)
    assert [item.id for item in items] == ["0", "1", "1000000", "2000000", "3000000", "1000001"]
    scored = scores_of("ccbench", tmp_path, dict(enumerate(["月饼", "长城", "月饼", "月饼", "月饼", "长城"])))
    assert {name: figure.value for name, figure in scored.figures.items()} == {"circular": 1.0, "plain": 1.0}
    letters = {item.index: item.references[0] for item in items}
    assert letters == {0: "C", 1: "A", 2: "B", 3: "A", 4: "D", 5: "B"}


def test_a_picture_may_be_told_by_the_index_of_another_row(tmp_path):
    write_release("mmbench", tmp_path)
    items = made_items("mmbench", tmp_path)
    assert items[2].pictures[0].read() == items[0].pictures[0].read() == pixels("blue")
    assert items[4].pictures[0].read() == pixels("red")
    assert len({item.cluster for item in items}) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (mmbench_row(0, "What?", "red blue", "nan", base64_picture()), "entry 0: the answer 'nan' is none of"),
        (mmbench_row(0, "What?", "red blue", "C", base64_picture()), "entry 0: the answer 'C' is none of the options"),
        (mmbench_row(0, "What?", "red blue", "A", "17"), "entry 0: image must be base64, or the index of a row"),
        (mmbench_row(0, "What?", "red blue", "A", base64_picture()) | {"index": "x"}, "entry 0: invalid literal"),
        ({"question": "What?"}, "entry 0: has no 'index'"),
    ],
)
def test_broken_rows_of_a_table_are_named(tmp_path, row, message):
    put_tsv(tmp_path / "MMBench_DEV_EN.tsv", [row])
    with pytest.raises(DataError, match=message):
        made_items("mmbench", tmp_path)


def test_a_picture_that_is_no_base64_is_named_when_it_is_shown(tmp_path):
    put_tsv(tmp_path / "CCBench.tsv", [mmbench_row(0, "What?", "red blue", "A", "#" * 80)])
    (picture,) = made_items("ccbench_plain", tmp_path)[0].pictures
    with pytest.raises(ImageError, match="CCBench/0"):
        picture.read()


def test_a_cell_that_says_nan_is_no_option_and_no_hint(tmp_path):
    row = mmbench_row(0, "What?", "red blue", "B", base64_picture(), "nan") | {"C": "nan", "D": "nan"}
    put_tsv(tmp_path / "mmbench_dev_20230712.tsv", [row])
    item = made_items("mmbench_plain", tmp_path)[0]
    assert dict(item.options) == {"A": "red", "B": "blue"}
    assert item.question == "What?\nA. red\nB. blue"


def test_seed_bench_has_a_score_for_every_dimension_and_no_videos(tmp_path):
    """Two questions of counting, one of reading."""
    write_release("seed_bench", tmp_path)
    scored = scores_of("seed_bench", tmp_path, {0: "A", 1: "It is a towel", 2: "Two"})
    assert (len(scored.items), scored.unreadable) == (3, [1])
    figures = {name: figure.value for name, figure in scored.figures.items()}
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert (figures["Instances Counting"], figures["Text Understanding"]) == (0.5, 1.0)


def test_iconqa_is_read_from_its_folders_as_well(tmp_path):
    write_release("iconqa", tmp_path)
    listed = made_items("iconqa", tmp_path)
    folder = tmp_path / "iconqa_data" / "iconqa" / "test" / "choose_txt"
    put(folder / "7" / "data.json", {"question": "How many?", "choices": ["1", "2", "3"], "answer": 0})
    put(folder / "19" / "data.json", {"question": "What time is it?", "choices": ["morning", "evening"], "answer": 1})
    for name in ("problems.json", "pid_splits.json"):
        (tmp_path / "iconqa_data" / name).unlink()
    found = made_items("iconqa", tmp_path)
    assert [item.question for item in found] == [item.question for item in listed]
    assert [item.references for item in found] == [("A",), ("B",)]
    assert scores_of("iconqa", tmp_path, {0: "2", 1: "evening"}).headline[1].value == 0.5


def test_a_pair_of_mmvp_counts_where_both_are_right(tmp_path):
    write_release("mmvp", tmp_path)
    scored = scores_of("mmvp", tmp_path, {0: "(a) Open", 1: "(b)", 2: "Right", 3: "(b)"})
    assert {name: figure.value for name, figure in scored.figures.items()} == {"pairs": 0.5, "accuracy": 0.75}
    assert all_tasks()["mmvp"].chance(scored.items) == 0.25


def test_the_heading_of_mmvp_may_be_spelt_rightly(tmp_path):
    write_release("mmvp", tmp_path)
    released = made_items("mmvp", tmp_path)
    file = tmp_path / "MMVP" / "Questions.csv"
    file.write_text(file.read_text().replace("lndex", "Index"))
    assert made_items("mmvp", tmp_path) == released


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,Open?,(a) Open (b) Closed,(c)", "entry 0: the answer '.c.' is none of the options"),
        ("one,Open?,(a) Open (b) Closed,(a)", "entry 0: invalid literal"),
        ("1,Open?,(a) Open (b) Closed", "row 2: 3 values for 4 columns"),
    ],
)
def test_broken_lines_of_mmvp_are_named(tmp_path, line, message):
    put(tmp_path / "Questions.csv", f"Index,Question,Options,Correct Answer\n{line}\n")
    with pytest.raises(DataError, match=f"Questions.csv, {message}"):
        made_items("mmvp", tmp_path)


def test_aesbench_has_three_parts(tmp_path):
    """Two images, three questions each; the answer to the first is another for the second image."""
    write_release("aesbench", tmp_path)
    scored = scores_of("aesbench", tmp_path, {0: "A) Yes", 1: "B", 2: "Low", 3: "A) Yes", 4: "it is fine", 5: "Medium"})
    figures = {name: figure.value for name, figure in scored.figures.items()}
    assert figures == pytest.approx({"mean of kinds": 0.5, "perception": 0.5, "empathy": 0.5, "assessment": 0.5})
    assert scored.unreadable == [4]


def test_aesbench_without_its_answers_says_where_they_belong(tmp_path):
    write_release("aesbench", tmp_path)
    (tmp_path / "EAPD_release" / "AesBench_GT.json").unlink()
    with pytest.raises(DataError, match=r"AesBench_evaluation.json, entry 0: no answer to AesP: the release has none"):
        made_items("aesbench", tmp_path)


def test_ai2d_takes_the_text_of_an_option_before_its_letter(tmp_path):
    """Options of the first question: D, B, C, A. "A" is the text of the fourth and the letter of the first."""
    question = {"abcLabel": True, "answerTexts": ["D", "B", "C", "A"], "correctAnswer": 3, "questionId": "1.png-0"}
    other = {"abcLabel": False, "answerTexts": ["owl", "cow"], "correctAnswer": 1, "questionId": "1.png-1"}
    put(tmp_path / "questions" / "1.png.json", {"imageName": "1.png", "questions": {"Which?": question, "Who?": other}})
    put(tmp_path / "ai2d_test_ids.csv", "1\n")
    for first, second, scores in (("A", "cow", [1, 1]), ("D", "B", [0, 1]), ("the root", "A", [0, 0])):
        scored = scores_of("ai2d", tmp_path, {0: first, 1: second})
        assert [verdict.score for verdict in scored.verdicts] == scores


@pytest.mark.parametrize("options", ["no", 3, None, [True, False], {"A": "no"}])
def test_options_that_are_no_list_of_texts_are_named(tmp_path, options):
    row = {"img_path": "1.jpg", "question": "Blurred?", "candidates": options, "correct_ans": "no"}
    put(tmp_path / "llvisionqa_dev.json", [row])
    with pytest.raises(DataError, match=r"llvisionqa_dev.json, entry 0: "):
        made_items("qbench", tmp_path)


def test_ai2d_asks_about_the_images_of_the_test_only(tmp_path):
    write_release("ai2d", tmp_path)
    assert [item.id for item in made_items("ai2d", tmp_path)] == ["11.png-0", "11.png-1", "10.png-0"]


def test_pictures_lie_in_a_folder_images_beside_the_questions(tmp_path):
    write_release("qbench", tmp_path)
    (chosen,) = made_splits("qbench", tmp_path)
    assert tmp_path / "qbench" / "images" in chosen.files.folders(tmp_path, tmp_path / "qbench" / "llvisionqa_dev.json")
