"""What holds for every benchmark with a made release: whole, broken, without pictures, without answers."""

import shutil

import pytest

from benchmarks import RELEASES, made_splits, write_release
from releases import courses, general, options, videos, yes_no
from sphinx_x.errors import DataError, ImageError
from sphinx_x.evaluation.items import PictureCell, PictureFile
from sphinx_x.evaluation.scores import read_items, score_answers
from sphinx_x.evaluation.task import UNVERIFIED, all_tasks

EXACT = [
    name
    for group in (courses, general, options, videos, yes_no)
    for name in group.RELEASES
    if name != "screenspot"  # its answers are places in the model's frame
]


@pytest.fixture(params=RELEASES)
def made(request, tmp_path):
    """The splits of a made release, and its folder."""
    write_release(request.param, tmp_path)
    return made_splits(request.param, tmp_path), tmp_path


def test_a_made_release_is_whole(made):
    splits, root = made
    assert splits
    for chosen in splits:
        items = read_items(chosen, root)
        assert [item.index for item in items] == list(range(len(items)))
        assert all(picture.read() for item in items for picture in item.pictures)
        assert all(item.cluster for item in items if item.pictures)


def test_the_folder_of_the_release_itself_is_found_as_well(made):
    splits, root = made
    for chosen in splits:
        found = chosen.files.find(root)
        if found.is_dir():
            assert [item.question for item in read_items(chosen, found)] == [
                item.question for item in read_items(chosen, root)
            ]


def test_answers_that_are_missing_or_empty_are_wrong_and_break_nothing(made):
    splits, root = made
    for chosen in splits:
        items = read_items(chosen, root)
        silent = score_answers(chosen, items, {})
        assert silent.missing == list(range(len(items)))
        assert not any(verdict.score for verdict in silent.verdicts)
        assert all(figure.low <= figure.value <= figure.high for figure in silent.figures.values())
        assert score_answers(chosen, items, dict.fromkeys(range(len(items)), " ")).empty == list(range(len(items)))


def test_a_missing_picture_is_named_when_it_is_shown(made):
    splits, root = made
    for chosen in splits:
        shown = [picture for item in read_items(chosen, root) for picture in item.pictures]
        for picture in shown:
            if isinstance(picture, PictureFile):
                if picture.find() is not None:  # the splits of POPE share their photos
                    picture.find().unlink()
                with pytest.raises(ImageError, match=picture.name):
                    picture.read()
                break
        assert read_items(chosen, root)


def test_a_broken_file_is_named(made):
    splits, root = made
    for chosen in splits:
        path = chosen.files.find(root)
        if path.is_dir():
            shutil.rmtree(path)
            path.mkdir()
        else:
            path.write_text('{"a": [', encoding="utf-8")
        with pytest.raises(DataError, match=f"{path.name}|{path.parent.name}"):
            read_items(chosen, root)


@pytest.mark.parametrize("name", EXACT)
def test_true_answers_are_right(name, tmp_path):
    write_release(name, tmp_path)
    for chosen in made_splits(name, tmp_path):
        items = read_items(chosen, tmp_path)
        scored = score_answers(chosen, items, {item.index: item.references[0] for item in items})
        assert [verdict.score for verdict in scored.verdicts] == [1.0] * len(items)
        assert scored.unreadable == []


@pytest.mark.parametrize("name", EXACT)
def test_chance_is_a_score_of_the_measure(name, tmp_path):
    write_release(name, tmp_path)
    task = all_tasks()[name]
    for chosen in made_splits(name, tmp_path):
        if task.chance is not None:
            assert 0 < task.chance(read_items(chosen, tmp_path)) < task.measure.scale


@pytest.mark.parametrize("name", ["vsr", "pope", "cmmmu"])
def test_a_last_line_that_is_cut_short_is_named_and_not_left_out(name, tmp_path):
    write_release(name, tmp_path)
    (file,) = [*tmp_path.rglob("test.jsonl"), *tmp_path.rglob("*_random.json"), *tmp_path.rglob("business.jsonl")]
    file.write_text(file.read_text("utf-8").rstrip()[:-9], encoding="utf-8")
    count = len(file.read_text("utf-8").splitlines())
    with pytest.raises(DataError, match=f"{file.name}, line {count}: not JSON"):
        read_items(made_splits(name, tmp_path)[0], tmp_path)


def test_every_task_says_where_it_comes_from():
    for task in all_tasks().values():
        assert task.address.startswith("https://"), task.name
        assert (task.layout == UNVERIFIED) == (task.name in ("infimm", "sciverse")), task.name


def test_a_picture_of_a_parquet_file_that_is_none_is_named(tmp_path):
    write_release("mmmu", tmp_path)
    file = tmp_path / "MMMU" / "Physics" / "validation-00000-of-00001.parquet"
    with pytest.raises(ImageError, match="image_7 holds no picture"):
        PictureCell(file, "x", 0, "image_7").read()
