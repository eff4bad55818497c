"""Benchmarks about videos: which frames are shown, what is scored, what a run says about it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import made_items, scores_of, write_release
from releases.files import picture, put
from sphinx_x.cli.evaluation import evaluate as command
from sphinx_x.errors import DataError, ImageError
from sphinx_x.evaluation import run as running
from sphinx_x.evaluation.asking import Asking, prepare, shown_items
from sphinx_x.evaluation.clips import PictureFrame, with_frames
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.report import as_dict, as_markdown
from sphinx_x.evaluation.run import Options, choose, evaluate
from sphinx_x.evaluation.task import all_tasks
from sphinx_x.evaluation.tasks import mvbench, videobench
from sphinx_x.images import open_image
from videos import make_video, seen


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    for name in ("videobench", "mvbench"):
        write_release(name, folder)
    return folder


def shown(item) -> list[int]:
    return [seen(open_image(picture.read())) for picture in item.pictures]


def test_the_frame_in_the_middle_of_the_clip_is_shown(release):
    items = {item.kind: item for item in made_items("mvbench", release)}
    assert shown(items["action_antonym"]) == [10]  # of 20 frames in 2 s
    assert shown(items["action_sequence"]) == [10]  # from 0.5 s to 1.5 s
    assert shown(with_frames([items["action_sequence"]], 4)[0]) == [6, 8, 11, 13]  # at 0.625, 0.875, 1.125, 1.375 s
    assert shown(with_frames([items["action_antonym"]], 4)[0]) == [2, 7, 12, 17]


def test_a_folder_of_frames_is_a_video_of_three_a_second(release):
    item = next(item for item in made_items("mvbench", release) if item.kind == "episodic_reasoning")
    # 9 frames in 3 s: in the middle of 0.5 to 1.5 s the fourth is shown, from 1 s to 1.33 s
    assert open_image(item.pictures[0].read()).getpixel((0, 0)) == (80, 0, 0)
    two = with_frames([item], 2)[0]
    # at 0.75 s and 1.25 s
    assert [open_image(one.read()).getpixel((0, 0))[0] for one in two.pictures] == [60, 80]


def test_clips_that_are_cut_out_already_have_no_bounds(tmp_path):
    row = {"video": "a.avi", "question": "?", "candidates": ["x", "y"], "answer": "y", "start": 30.0, "end": 40.0}
    for kind in mvbench.PLACES:
        put(tmp_path / "MVBench" / "json" / f"{kind}.json", [row])
    for place in ("star/Charades_segment", "nturgbd_convert", "data0613/clevrer/video_validation"):
        (tmp_path / "MVBench" / "video" / place).mkdir(parents=True)
        make_video(tmp_path / "MVBench" / "video" / place / "a.mp4", 20)
    moving = tmp_path / "MVBench" / "video" / "data0613/clevrer/video_validation"
    (moving / "a.mp4").rename(moving / "a.avi")
    items = {item.kind: item for item in made_items("mvbench", tmp_path)}
    for kind in ("action_sequence", "fine_grained_pose", "moving_count"):
        assert shown(items[kind]) == [10]
    assert items["action_localization"].pictures[0].name == "sta/sta_video/a.avi 30-40 s (middle frame)"
    with pytest.raises(ImageError, match=r"sta/sta_video/a\.avi: no such video in"):
        items["action_localization"].pictures[0].read()


def test_a_broken_video_and_a_clip_behind_the_end_are_named(release, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(release / "MVBench", folder / "MVBench")
    broken = folder / "MVBench" / "video" / "ssv2_video" / "action_antonym.mp4"
    broken.write_bytes(broken.read_bytes()[:1000])
    rows = folder / "MVBench" / "json" / "action_sequence.json"
    put(rows, [{**json.loads(rows.read_text())[0], "start": 9, "end": 12}])
    items = {item.kind: item for item in made_items("mvbench", folder)}
    with pytest.raises(ImageError, match=r"action_antonym\.mp4: .*cut short"):
        items["action_antonym"].pictures[0].read()
    with pytest.raises(ImageError, match=r"nothing lies from 9 s to 12 s of a video of 2 s"):
        items["action_sequence"].pictures[0].read()
    (folder / "MVBench" / "empty").mkdir()
    with pytest.raises(ImageError, match="a folder without frames"):
        PictureFrame("empty", (folder / "MVBench",), rate=3.0).read()


@pytest.mark.parametrize(
    ("name", "file", "change", "says"),
    [
        (
            "mvbench",
            "MVBench/json/moving_count.json",
            {"answer": "Something"},
            "moving_count.json, entry 0: the answer",
        ),
        ("mvbench", "MVBench/json/moving_count.json", {"candidates": "yes"}, "moving_count.json, entry 0: options"),
        ("mvbench", "MVBench/json/action_sequence.json", {"start": "late"}, "action_sequence.json, entry 0: "),
        ("videobench", "Video-Bench/Eval_QA/MOT_QA_new.json", {"answer": "Z"}, "the answer 'Z' is not one of"),
        ("videobench", "Video-Bench/Eval_QA/MOT_QA_new.json", {"choices": {"A": "x"}}, "is not one of the options A"),
        ("videobench", "Video-Bench/Eval_QA/MOT_QA_new.json", {"vid_path": 3}, "vid_path must be a text"),
    ],
)
def test_entries_that_hold_something_else_are_named(release, tmp_path, name, file, change, says):
    top = file.split("/")[0]
    shutil.copytree(release / top, tmp_path / top)
    path = tmp_path / file
    rows = json.loads(path.read_text())
    (rows[0] if isinstance(rows, list) else next(iter(rows.values()))).update(change)
    put(path, rows)
    with pytest.raises(DataError, match=says):
        made_items(name, tmp_path)


def test_a_part_that_is_missing_is_named_and_one_part_is_read_alone(release, tmp_path):
    for name, file in (("mvbench", "MVBench/json/vlnqa.json"), ("videobench", "Video-Bench/Eval_QA/Other_QA_new.json")):
        put(tmp_path / file, [])
        with pytest.raises(DataError, match="its name is none of"):
            list(all_tasks()[name].read(tmp_path / file, ()))
    (one,) = all_tasks()["mvbench"].read(release / "MVBench" / "json" / "moving_count.json", ())
    assert one.kind == "moving_count" and shown(one) == [10]
    (one,) = all_tasks()["videobench"].read(release / "Video-Bench" / "Eval_QA" / "MOT_QA_new.json", ())
    assert one.kind == "MOT" and one.pictures[0].read()
    shutil.copytree(release / "MVBench" / "json", tmp_path / "MVBench" / "json", dirs_exist_ok=True)
    (tmp_path / "MVBench" / "json" / "moving_count.json").unlink()
    with pytest.raises(DataError, match=r"moving_count\.json: No such file"):
        made_items("mvbench", tmp_path)


def test_options_are_read_as_they_are_written(release):
    said = {
        0: "A) Something.",  # goes on from "Best option:("; right
        1: "(B) Nothing.",  # right
        2: "C",  # right
        3: "B",  # wrong
        4: "Nothing",  # the text of B; right
        5: "A) Nothing.",  # two at once: unreadable
        6: "",  # unreadable
        7: "perhaps B or C",  # unreadable
    }
    scored = scores_of("mvbench", release, said)
    assert [verdict.score for verdict in scored.verdicts[:8]] == [1, 1, 1, 0, 1, 0, 0, 0]
    assert scored.unreadable == [5, 6, 7] and scored.empty == [6]
    assert scored.headline[1].value == 4 / 20


def test_levels_of_video_bench_are_weighed_as_by_its_program(release):
    items = made_items("videobench", release)
    right = {"MSVD", "MOT", "NBA", "Driving-exam"}
    said = {item.index: item.references[0] if item.kind in right else "none of them" for item in items}
    scores = {name: figure.value for name, figure in scores_of("videobench", release, said).figures.items()}
    assert scores["mean of parts"] == pytest.approx(4 / 13)
    # 1 + 0.5 of 6.5; 1 of 3; 0.5 of 2.5
    levels = (1.5 / 6.5, 1 / 3, 0.5 / 2.5)
    names = list(videobench.LEVELS)
    assert [scores[name] for name in names] == pytest.approx(levels)
    assert scores["mean of levels"] == pytest.approx(sum(levels) / 3)
    assert scores["MOT"] == 1 and scores["TGIF"] == 0
    # options: 2, 3, 4, 5, 6 in turn
    counts = [2 + number % 5 for number in range(13)]
    assert all_tasks()["videobench"].chance(items) == pytest.approx(sum(1 / count for count in counts) / 13)


def test_the_papers_mean_is_that_of_its_parts():
    paper = all_tasks()["videobench"].paper
    assert round(np.mean([paper[part]["plus"] for part in videobench.PARTS]), 1) == paper[""]["plus"] == 45.1


def test_blind_and_shuffled_rows_show_no_frame_and_others(release):
    items = with_frames(made_items("videobench", release), 3)
    assert all(not item.pictures for item in shown_items(items, "blind"))
    for item, other in zip(items, shown_items(items, "shuffled"), strict=True):
        assert len(other.pictures) == 3 and other.pictures[0].name != item.pictures[0].name


def test_a_run_says_which_frames_were_shown_and_keeps_answers_apart(release, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "model_digest", lambda _: "0" * 16)
    tasks = choose(["videobench"], release)
    runs = {
        count: evaluate(tiny, tasks, release, tmp_path / "out", options=Options(frames=count, longest=2))
        for count in (None, 1, 3)
    }
    names = ["videobench (middle frame)"] * 2 + ["videobench (3 frames)"]
    for (count, run), name in zip(runs.items(), names, strict=True):
        assert f"| {name} |" in as_markdown(run)
        assert as_dict(run)["rows"][0]["frames"] == (count or 1)
        assert not run.rows[0].refused
    keys = {count: [answer.key for answer in run.rows[0].answers] for count, run in runs.items()}
    assert keys[None] == keys[1] and not set(keys[1]) & set(keys[3])
    assert [len(answer.pictures) for answer in runs[3].rows[0].answers] == [3] * 13


def test_still_videos_have_other_keys_for_other_numbers_of_frames(tiny, tmp_path):
    make_video(tmp_path / "still.mp4", 1)
    task = all_tasks()["videobench"]
    still = Item(0, "What?", (PictureFrame("still.mp4", (tmp_path,)),), ("A",))
    keys = {prepare(Asking(tiny, "model"), task, with_frames([still], count)[0]).key for count in (1, 2, 3)}
    assert len(keys) == 3 and all(keys)


def test_frames_are_refused_where_no_task_is_about_videos(tiny, tmp_path):
    folder = tmp_path / "docvqa" / "val"
    picture(folder / "documents" / "0.png")
    row = {"questionId": 0, "question": "What?", "image": "documents/0.png", "answers": ["x"]}
    put(folder / "val_v1.0.json", {"data": [row]})
    with pytest.raises(DataError, match="none of the tasks is about videos"):
        evaluate(tiny, choose(["docvqa"], tmp_path), tmp_path, tmp_path / "out", options=Options(frames=2))
    with pytest.raises(Exception, match="--frames goes with --tasks"):
        command("nano", frames=2)


def test_a_picture_of_a_folder_that_is_none_is_named(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    (folder / "00001.jpg").write_bytes(b"none")
    with pytest.raises(ImageError, match=r"00001\.jpg"):
        PictureFrame("clip", (tmp_path,), rate=3.0).read()
    Image.new("RGB", (8, 8)).save(folder / "00001.jpg")
    assert PictureFrame("clip", (tmp_path,), rate=3.0).read()
