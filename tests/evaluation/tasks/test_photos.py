"""The readers of VQAv2, TextVQA, VizWiz, DocVQA, ChartQA, MME and ScienceQA, on the official layouts."""

import pytest

from benchmarks import made_items, scores_of, write_release
from releases.files import picture, put
from releases.photos import docvqa
from sphinx_x.errors import DataError


def test_ten_answers_of_textvqa(tmp_path):
    write_release("textvqa", tmp_path)
    items = made_items("textvqa", tmp_path)
    assert [len(item.references) for item in items] == [10, 10]
    assert items[0].pictures[0].read()
    # 8 of 10, 1 of 10 (three annotators would do), none
    for answer, score in (("Dakota", 1.0), ("dakota digital", 0.3), ("canon", 0.0)):
        assert scores_of("textvqa", tmp_path, {0: answer}).verdicts[0].score == pytest.approx(score)


@pytest.mark.parametrize(("name", "prefix"), [("vqav2", "v2_"), ("okvqa", "")])
def test_answers_without_their_questions_are_named(tmp_path, name, prefix):
    write_release(name, tmp_path)
    questions = tmp_path / name / f"{prefix}OpenEnded_mscoco_val2014_questions.json"
    row = {"question_id": 9000, "image_id": 9, "question": "What is on the plate?"}
    put(questions, {"questions": [row]})
    with pytest.raises(DataError, match=r"annotations\.json, entry 1: the file of questions has none of the id 25000"):
        made_items(name, tmp_path)
    questions.unlink()
    with pytest.raises(DataError, match="the questions are not beside it"):
        made_items(name, tmp_path)


def test_vizwiz_in_its_folder_of_annotations(tmp_path):
    row = {
        "image": "VizWiz_val_00000001.jpg",
        "question": "Can you tell me what is in this can please?",
        "answers": [{"answer_confidence": "yes", "answer": "soda"}] * 10,
        "answer_type": "other",
        "answerable": 1,
    }
    put(tmp_path / "vizwiz" / "Annotations" / "val.json", [row])
    put(tmp_path / "other" / "val.json", {"of": "another benchmark"})
    picture(tmp_path / "vizwiz" / "val" / row["image"])
    assert made_items("vizwiz", tmp_path)[0].pictures[0].read()


@pytest.mark.parametrize("images", ["spdocvqa_images", "val/documents"])
def test_pages_of_docvqa_lie_where_the_download_has_them(tmp_path, images):
    docvqa(tmp_path, images)
    items = made_items("docvqa", tmp_path)
    assert items[0].references == ("0.28", ".28")
    assert items[0].pictures[0].read()
    assert scores_of("docvqa", tmp_path, {0: " .28"}).figures["ANLS"].value == 1


def test_both_parts_of_chartqa(tmp_path):
    write_release("chartqa_test", tmp_path)
    human, made = made_items("chartqa_test", tmp_path, "human"), made_items("chartqa_test", tmp_path, "augmented")
    assert [len(human), len(made)] == [2, 1]
    assert all(picture.read() for item in (*human, *made) for picture in item.pictures)
    answers = {0: "14.7", 1: "0.12"}
    assert [v.score for v in scores_of("chartqa_test", tmp_path, answers, "human").verdicts] == [1, 1]
    assert [v.score for v in scores_of("chartqa_test", tmp_path, {0: "14.71", 1: "12"}, "human").verdicts] == [0, 0]


def test_mme_with_a_further_folder_and_empty_lines(tmp_path):
    folder = tmp_path / "MME_Benchmark_release_version" / "MME_Benchmark" / "OCR"
    put(folder / "0001.txt", '\ufeffIs it "a"?\u2028Please answer yes or no.\tYes\r\nIs it b?\tNo\n\n')
    picture(folder / "0001.jpg")
    items = made_items("mme", tmp_path)
    assert [(item.question, item.references) for item in items] == [
        ('Is it "a"?\u2028Please answer yes or no.', ("Yes",)),
        ("Is it b?", ("No",)),
    ]
    assert items[0].pictures[0].read()
    put(folder / "0002.txt", "No tab here\n")
    with pytest.raises(DataError, match=r"0002\.txt, entry 0"):
        made_items("mme", tmp_path)


def test_a_problem_of_scienceqa_that_is_none_is_named(tmp_path):
    write_release("scienceqa", tmp_path)
    path = next(tmp_path.rglob("problems.json"))
    put(path, {"1": "what?"})
    with pytest.raises(DataError, match=r"problems\.json, entry 0"):
        made_items("scienceqa", tmp_path)
    put(path, {"1": {"image": "image.png"}})
    with pytest.raises(DataError, match=r"problems\.json, entry 0: has no 'split'"):
        made_items("scienceqa", tmp_path)
