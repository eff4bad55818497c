"""The plug-in of lmms-eval gives the answers of `chat_batch`: with a stand-in for its base class where it is not
installed, and in a true run of it where it is."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from PIL import Image, ImageDraw

from sphinx_x.errors import MissingToolError, SphinxXError
from sphinx_x.inference import SphinxX
from videos import make_video, need_av

INSTALLED = importlib.util.find_spec("lmms_eval") is not None
QUESTIONS = ["Read the text."] * 3 + ["What is the text?", "What does it say?"]
LENGTH = 8


@dataclass(frozen=True)
class Manifest:
    """What lmms-eval's registry takes."""

    model_id: str
    chat_class_path: str


@pytest.fixture
def plugin(monkeypatch):
    """The module of the plug-in, over lmms-eval's base class or one that has what it has."""
    if not INSTALLED:

        class Base:
            def __init__(self) -> None:
                self._rank, self._world_size, self.task_dict = 0, 1, {}

        made: dict[str, dict[str, object]] = {
            "lmms_eval": {},
            "lmms_eval.api": {},
            "lmms_eval.api.model": {"lmms": Base},
            "lmms_eval.models": {},
            "lmms_eval.models.registry_v2": {"ModelManifest": Manifest},
        }
        for name, contents in made.items():
            module = ModuleType(name)
            vars(module).update(contents)
            monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "sphinx_x.evaluation.lmms", raising=False)
    yield importlib.import_module("sphinx_x.evaluation.lmms")
    sys.modules.pop("sphinx_x.evaluation.lmms", None)


def pictures() -> list[Image.Image]:
    """Lines of print: of others SPHINX-Nano says little."""
    found = []
    for text in ("hello world", "A cat, a dog", "12.50 EUR", "Nothing", "Rue 14"):
        found.append(Image.new("RGB", (40 + 10 * len(text), 20), "white"))
        ImageDraw.Draw(found[-1]).text((4, 4), text, fill="black")
    return found


@pytest.fixture(scope="module")
def nano() -> SphinxX:
    return SphinxX.load("nano", device="cpu")


def as_messages(doc: dict) -> list[dict]:
    images = [{"type": "image", "url": image} for image in doc["images"]]
    return [{"role": "user", "content": [*images, {"type": "text", "text": doc["question"]}]}]


def requests(count: int, generation: dict | None = None, messages=as_messages) -> list[SimpleNamespace]:
    given = {"max_new_tokens": LENGTH, "temperature": 0.0, "do_sample": False, "until": ["\n\n"]}
    given = given if generation is None else generation
    return [SimpleNamespace(args=("", messages, dict(given), number, "made", "test")) for number in range(count)]


def model(plugin, docs, **more):
    found = plugin.LmmsSphinxX(pretrained="nano", device="cpu", **more)
    found.task_dict = {"made": {"test": docs}}
    return found


@pytest.mark.parametrize("size", [1, "2", 16])
def test_answers_are_those_of_chat_batch(plugin, nano, size):
    docs = [{"question": q, "images": [image]} for q, image in zip(QUESTIONS, pictures(), strict=True)]
    docs.append({"question": "And both?", "images": pictures()[:2]})
    expected = nano.chat_batch([(doc["question"], doc["images"]) for doc in docs], max_new_tokens=LENGTH)
    said = model(plugin, docs, batch_size=size).generate_until(requests(len(docs)))
    assert said == [answer.split("\n\n")[0] for answer in expected] and sum(map(bool, said)) > 4


def test_the_manifest_names_the_class(plugin):
    from sphinx_x.serving import lmms_manifest

    manifest = lmms_manifest()
    module, name = manifest.chat_class_path.rsplit(".", 1)
    assert manifest.model_id == "sphinx_x" and getattr(importlib.import_module(module), name) is plugin.LmmsSphinxX
    assert plugin.LmmsSphinxX.is_simple is False


def test_requests_with_different_options_keep_their_order(plugin, nano):
    docs = [{"question": q, "images": []} for q in QUESTIONS]
    asked = requests(5)
    for number in (1, 3):
        asked[number].args[2]["max_new_tokens"] = 3
    said = model(plugin, docs, batch_size=4).generate_until(asked)
    for number, question in enumerate(QUESTIONS):
        length = 3 if number in (1, 3) else LENGTH
        assert said[number] == nano.chat_batch([(question, None)], max_new_tokens=length)[0].split("\n\n")[0]


def test_a_conversation_with_examples_is_asked_as_it_stands(plugin, nano):
    first, second = pictures()[:2]
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        *as_messages({"images": [first], "question": "What?"}),
        {"role": "assistant", "content": [{"type": "text", "text": "Noise."}]},
        *as_messages({"images": [second], "question": "And this?"}),
    ]
    from sphinx_x.conversation import parse_messages

    read = [
        {**m, "content": [{"type": "image"} if p["type"] == "image" else p for p in m["content"]]} for m in messages
    ]
    expected = nano.answers([nano.prompt(parse_messages(read), [first, second])], max_new_tokens=LENGTH)
    found = model(plugin, [{}]).generate_until(requests(1, messages=lambda _: messages))
    assert found == [expected[0].split("\n\n")[0]]


def test_of_a_video_the_frames_are_shown_that_were_asked_for(plugin, nano, tmp_path):
    from sphinx_x.video import sample_frames

    need_av()
    clip = make_video(tmp_path / "clip.mp4")
    content = {"type": "video", "url": str(clip), "start_time": 0.5, "end_time": None}
    messages = [{"role": "user", "content": [content, {"type": "text", "text": "What happens?"}]}]
    for count in (1, 3):
        frames = sample_frames(clip, count, 0.5)
        expected = nano.chat_batch([("What happens?", frames)], max_new_tokens=LENGTH)[0]
        found = model(plugin, [{}], frames=count)
        assert found.generate_until(requests(1, messages=lambda _: messages)) == [expected.split("\n\n")[0]]


@pytest.mark.parametrize(
    ("given", "options", "stops"),
    [
        # as POPE of lmms-eval gives them, with what it adds itself
        (
            {
                "max_new_tokens": 128,
                "temperature": 0.0,
                "top_p": 1.0,
                "num_beams": 1,
                "do_sample": False,
                "until": ["x"],
            },
            {"max_new_tokens": 128, "num_beams": 1, "do_sample": False},
            ["x"],
        ),
        ({"until": None, "do_sample": False}, {"do_sample": False}, []),
        ({"until": "stop", "top_p": None, "image_aspect_ratio": "original"}, {"do_sample": False}, ["stop"]),
        ({"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2, "top_p": 0.9, "do_sample": True}, []),
        ({"do_sample": True, "top_k": 5}, {"do_sample": True, "top_k": 5}, []),
        ({"temperature": 0.2, "do_sample": False}, {"do_sample": False}, []),
        ({"temperature": 0, "do_sample": True, "until": ["", "a"]}, {"do_sample": False}, ["a"]),
    ],
)
def test_options_of_generation_are_those_of_the_task(plugin, given, options, stops):
    assert plugin.generation_options(given) == (options, stops)


def test_answers_end_at_the_first_stop(plugin):
    assert plugin.cut("yes\nno. more", ["more", "\n"]) == "yes"
    assert plugin.cut("yes", []) == plugin.cut("yes", ["x"]) == "yes"


def test_what_is_not_answered_is_refused_in_one_line(plugin):
    asked = model(plugin, [{"question": "What?", "images": []}])
    with pytest.raises(SphinxXError, match="max_words: no option of generate"):
        asked.generate_until(requests(1, {"max_words": 3}))
    sound = [{"role": "user", "content": [{"type": "audio", "url": "x.wav"}]}]
    with pytest.raises(SphinxXError, match="not 'audio'"):
        asked.generate_until(requests(1, messages=lambda _: sound))
    for refused in (asked.loglikelihood, asked.generate_until_multi_round):
        with pytest.raises(SphinxXError, match="members answer tasks of generate_until"):
            refused([])
    for size in ("auto", 0, -1):
        with pytest.raises(SphinxXError, match="batch_size"):
            model(plugin, [], batch_size=size)


@pytest.mark.skipif(INSTALLED, reason="lmms-eval is installed")
def test_without_lmms_eval_one_line_names_the_extra():
    sys.modules.pop("sphinx_x.evaluation.lmms", None)
    with pytest.raises(MissingToolError, match=r"needs lmms_eval \(pip install 'sphinx-x\[lmms-eval\]'\)"):
        importlib.import_module("sphinx_x.evaluation.lmms")


TASK = """\
task: made_colours
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: generate_until
doc_to_visual: !function colours.doc_to_visual
doc_to_text: !function colours.doc_to_text
doc_to_target: answer
generation_kwargs:
  max_new_tokens: 8
  temperature: 0
  do_sample: false
process_results: !function colours.process_results
metric_list:
  - metric: right
    aggregation: mean
    higher_is_better: true
"""
CODE = """\
import io

from PIL import Image, ImageDraw


def doc_to_visual(doc):
    return [Image.open(io.BytesIO(doc["image"]))]


def doc_to_text(doc):
    return doc["question"]


def process_results(doc, results):
    return {"right": float(results[0] == doc["answer"])}
"""


@pytest.mark.slow
def test_a_run_of_lmms_eval_gives_the_answers_of_chat_batch(nano, tmp_path):
    """A task of its own, offline: the true answers of half of the questions are those of the member."""
    if not INSTALLED:
        pytest.skip("needs lmms-eval (an environment of 2.5 GB: the extra `lmms-eval`)")
    import io

    import pyarrow
    import pyarrow.parquet

    expected = nano.chat_batch(list(zip(QUESTIONS, pictures(), strict=True)), max_new_tokens=LENGTH)
    expected = [answer.split("\n\n")[0].strip() for answer in expected]
    assert all(expected)
    rows = []
    for number, (question, image) in enumerate(zip(QUESTIONS, pictures(), strict=True)):
        content = io.BytesIO()
        image.save(content, "PNG")
        answer = expected[number] if number % 2 else "something else"
        rows.append({"question": question, "image": content.getvalue(), "answer": answer})
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tasks / "test.parquet")
    (tasks / "made_colours.yaml").write_text(TASK.format(file=tasks / "test.parquet"))
    (tasks / "colours.py").write_text(CODE)
    command = [sys.executable, "-m", "lmms_eval", "--model", "sphinx_x", "--model_args", "pretrained=nano"]
    command += ["--tasks", "made_colours", "--include_path", str(tasks), "--batch_size", "2", "--log_samples"]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(
        [*command, "--output_path", str(tmp_path / "out")],
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (tmp_path / "out").is_dir(), done.stderr[-3000:]  # it leaves with 0 after errors as well
    (samples,) = Path(tmp_path / "out").rglob("*samples_made_colours.jsonl")
    lines = sorted(map(json.loads, samples.read_text().splitlines()), key=lambda line: line["doc_id"])
    assert [line["filtered_resps"] for line in lines] == expected
    (result,) = Path(tmp_path / "out").rglob("*results.json")
    assert json.loads(result.read_text())["results"]["made_colours"]["right,none"] == pytest.approx(2 / 5)
