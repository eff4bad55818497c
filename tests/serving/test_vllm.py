"""vLLM, offline and as a server, beside this package: the same prompts, and the same greedy answers.

vLLM needs another version of the Transformers library than the rest of the tests, so it has a Python of its own: the
environment variable `VLLM_PYTHON` says where (docs/serving.md tells how to install it).
"""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import openai
import PIL.Image
import pytest

from fifty import openai_messages, within
from lively import noise
from paths import ROOT
from sphinx_x.checkpoints.accessory import import_accessory
from sphinx_x.conversation import Image, Message, Text, parse_messages
from sphinx_x.inference import BUILT_IN, SphinxX
from vllm_members import ending, official, two_groups

pytestmark = pytest.mark.slow
STEPS = 16
HELPERS = ROOT / "tests" / "helpers"
EAGER = {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 8, "max_model_len": 2048}


def vllm_python() -> str:
    found = os.environ.get("VLLM_PYTHON") or (sys.executable if importlib.util.find_spec("vllm") else None)
    if found is None:
        pytest.skip("vLLM is not installed: install it as docs/serving.md says, and set VLLM_PYTHON to its Python")
    return found


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "src"), str(HELPERS)])
    return {**os.environ, "PYTHONPATH": path, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "WARNING"}


def ask_offline(work: Path, model: Path, **asked: Any) -> dict[str, Any]:
    """What `vllm_offline` answers."""
    (work / "asked.json").write_text(json.dumps({"model": str(model), **asked}))
    command = [vllm_python(), HELPERS / "vllm_offline.py", work / "asked.json", work / "answered.json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((work / "answered.json").read_text())


@dataclass
class Asked:
    """A conversation as vLLM gets it, and what this package makes of it."""

    name: str
    messages: list[dict[str, Any]]
    prompt: list[int]
    text: str


@dataclass
class Member:
    """A model folder and what is asked of it."""

    sphinx: SphinxX
    folder: Path
    asked: list[Asked] = field(default_factory=list)

    def ask(self, name: str, messages: list[dict[str, Any]], ours: list[Message], images: list[Any]) -> None:
        prompt = self.sphinx.prompt(ours, images)
        text = self.sphinx.answers([prompt], max_new_tokens=STEPS)[0]
        self.asked.append(Asked(name, messages, prompt.ids, text))

    def ask_the_fifty(self) -> None:
        for talk in within(self.sphinx):
            self.ask(talk.name, openai_messages(talk), parse_messages(talk.messages()), talk.images)


def saved(sphinx: SphinxX, folder: Path) -> Member:
    sphinx.model.config.tie_word_embeddings = False  # the output layer of talkers is their own
    sphinx.model.save_pretrained(folder)
    sphinx.processor.save_pretrained(folder)
    return Member(SphinxX.load(folder), folder)


def odd_images() -> dict[str, bytes]:
    """Images that every decoder has a mind of its own about."""
    turned, clear = PIL.Image.Exif(), noise(60, 30, 1).convert("RGBA")
    turned[0x0112] = 6
    clear.putalpha(PIL.Image.linear_gradient("L").resize(clear.size))
    deep = PIL.Image.effect_noise((50, 50), 90).convert("I").point(lambda value: value * 257).convert("I;16")
    few = noise(70, 20, 2).convert("P", palette=PIL.Image.Palette.ADAPTIVE, colors=8)
    kinds: dict[str, tuple[PIL.Image.Image, dict[str, Any]]] = {
        "turned": (noise(90, 40, 3), {"format": "JPEG", "exif": turned, "quality": 95}),
        "clear": (clear, {"format": "PNG"}),
        "grey and clear": (clear.convert("LA"), {"format": "PNG"}),
        "16 bits": (deep, {"format": "PNG"}),
        "palette": (few, {"format": "PNG", "transparency": 3}),
        "ink": (noise(64, 64, 4).convert("CMYK"), {"format": "JPEG", "quality": 95}),
        "two frames": (noise(40, 40, 5), {"format": "GIF", "save_all": True, "append_images": [noise(40, 40, 6)]}),
    }
    found = {}
    for name, (image, options) in kinds.items():
        image.save(stream := BytesIO(), **options)
        found[name] = stream.getvalue()
    return found


def image_part(content: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + b64encode(content).decode()}}


def text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def compared(member: Member, answers: list[dict[str, Any]]) -> Counter:
    """How many prompts and texts are the same; each that is not is a failure that says which."""
    count: Counter = Counter()
    for asked, found in zip(member.asked, answers, strict=True):
        assert "error" not in found, (asked.name, found)
        assert found["prompt"] == asked.prompt, asked.name
        assert found["text"].strip() == asked.text, asked.name
        count.update(prompts=1, texts=1)
    return count


def check_offline(member: Member, work: Path, **engine: Any) -> Counter:
    calls = [{"messages": one.messages} for one in member.asked]
    sampling = {"temperature": 0, "max_tokens": STEPS}
    options = {"engine": {**EAGER, **engine}, "sampling": sampling, "calls": calls, "together": len(calls)}
    found = ask_offline(work, member.folder, **options)
    assert [text.strip() for text in found["together"]] == [one.text for one in member.asked]
    return compared(member, found["answers"])


def test_a_member_that_skips_views_and_has_two_groups(tiny_member, tmp_path):
    member = saved(two_groups(tiny_member), tmp_path / "model")
    member.ask_the_fifty()
    assert len({one.text for one in member.asked}) > 35, "other conversations, other answers"
    for name, content in odd_images().items():
        said = [Message("user", (Image(), Text("What is it?")))]
        member.ask(name, [user(image_part(content), text_part("What is it?"))], said, [content])
    typed = "What do <image>, <|user|> and </s> mean?"
    member.ask("typed", [user(text_part(typed))], [Message("user", (Text(typed),))], [])
    told = [Message("system", (Text("Be <image> brief."),)), Message("user", (Text("Hi"),))]
    for role in ("system", "developer"):
        member.ask(role, [{"role": role, "content": "Be <image> brief."}, user(text_part("Hi"))], told, [])
    assert check_offline(member, tmp_path) == {"prompts": 60, "texts": 60}


@pytest.mark.parametrize("kind", ["llama_ens", "mixtral_sparse_ens"])
def test_imported_members_with_four_experts_in_two_groups(tmp_path, kind):
    import_accessory([official(tmp_path / "official", kind)], tmp_path / "model")
    member = Member(SphinxX.load(tmp_path / "model"), tmp_path / "model")
    member.ask_the_fifty()
    assert len({one.text for one in member.asked}) > 35
    assert check_offline(member, tmp_path) == {"prompts": 50, "texts": 50}


def test_nano_compiled(tmp_path):
    """As `vllm serve` runs it: with the language model compiled."""
    member = Member(SphinxX.load("nano"), BUILT_IN / "nano")
    member.ask_the_fifty()
    assert check_offline(member, tmp_path, enforce_eager=False) == {"prompts": 15, "texts": 15}


def test_answers_that_end_at_a_text(tiny_member, tmp_path):
    """What two letters most answers have becomes what ends them."""
    plain = saved(two_groups(tiny_member), tmp_path / "plain")
    plain.ask_the_fifty()
    pairs = Counter(pair for one in plain.asked for pair in {one.text[k : k + 2] for k in range(3, len(one.text) - 1)})
    member = saved(ending(plain.sphinx, pairs.most_common(1)[0][0]), tmp_path / "model")
    member.ask_the_fifty()
    assert sum(len(one.text) < STEPS - 1 for one in member.asked) > 5
    assert check_offline(member, tmp_path) == {"prompts": 50, "texts": 50}


def hi(**more: Any) -> dict[str, Any]:
    return {"messages": [user(text_part("Hi"))], **more}


def seen(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [user(*parts, text_part("What?"))]}


def told(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [user(text_part("Hi")), *messages]}


PICTURE = image_part(odd_images()["clear"])
REFUSED = [
    ("1 image placeholders but 0 images", {"prompt": "<image> What?"}),
    ("1 image placeholders but 0 images", {"prompt": {"prompt_token_ids": [1, 6, 40]}}),
    ("image tokens other than", {"prompt": {"prompt_token_ids": [1, 8, 40]}}),
    ("uuid", seen({**PICTURE, "uuid": "mine"})),
    ("a part is empty", seen({"type": "text", "text": None})),
    ("an image is a picture", seen({"type": "image_url", "image_url": {"url": ""}})),
    ("image_embeds", seen({"type": "image_embeds", "image_embeds": None})),
    ("video", seen({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}})),
    ("mm_processor_kwargs", hi(mm_processor_kwargs={"padding_color": [0, 0, 0]})),
    ("mm_processor_kwargs", {**seen(PICTURE), "mm_processor_kwargs": {"padding_color": [0, 0, 0]}}),
    ("chat_template", hi(chat_template="{{ messages }}")),
    ("add_generation_prompt", hi(add_generation_prompt=False)),
    ("add_generation_prompt", hi(add_generation_prompt=False, continue_final_message=True)),
    ("enable_thinking", hi(chat_template_kwargs={"enable_thinking": True})),
    ("tools", hi(tools=[{"type": "function", "function": {"name": "f"}}])),
    ("a system message comes first", told({"role": "system", "content": "No."}, user(text_part("Hi")))),
    ("the last one has to be the user's", told({"role": "assistant", "content": "Ho"})),
    ("the role 'tool'", told({"role": "tool", "content": "1"}, user(text_part("Hi")))),
    ("only the user's messages", told({"role": "assistant", "content": [PICTURE]}, user(text_part("Hi")))),
    ("name", told({**user(text_part("Hi")), "name": "Ada"})),
    ("(user) is empty", {"messages": [user(text_part("  "))]}),
]
LOADS = {
    "--model-impl transformers": {"model_impl": "transformers"},
    "--mm-processor-kwargs": {"mm_processor_kwargs": {"padding_color": [0, 0, 0]}},
    "--media-io-kwargs": {"media_io_kwargs": {"image": {"image_mode": "L"}}},
    "--enable-prompt-embeds": {"enable_prompt_embeds": True},
    "--enable-mm-embeds": {"enable_mm_embeds": True},
    "--enable-lora": {"enable_lora": True},
    "--tokenizer": {"tokenizer": str(ROOT)},
    "--tokenizer-mode hf": {"tokenizer_mode": "hf"},
}


def test_what_would_change_answers_is_refused_by_name(tiny_member, tmp_path):
    member = saved(two_groups(tiny_member), tmp_path / "model")
    options = {"engine": EAGER, "sampling": {"temperature": 0, "max_tokens": 4}, "loads": list(LOADS.values())}
    found = ask_offline(tmp_path, member.folder, **options, calls=[*(call for _, call in REFUSED), hi()])
    *refused, last = found["answers"]
    assert "error" not in last
    errors = [answer.get("error", "answered") for answer in refused]
    assert [(why, error) for (why, _), error in zip(REFUSED, errors, strict=True) if why not in error] == []
    loads = dict(zip(LOADS, found["loads"], strict=True))
    assert {name: one for name, one in loads.items() if name not in one} == {}


class Serve:
    """`vllm serve` in a process group of its own, while it is needed."""

    def __init__(self, model: Path, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = log
        program = Path(vllm_python()).parent / "vllm"
        self.command = [program, "serve", model, "--dtype", "float32", "--enforce-eager", "--max-model-len", "2048"]
        self.command += ["--host", "127.0.0.1", "--port", str(self.port), "--served-model-name", "it"]

    def __enter__(self) -> openai.OpenAI:
        with self.log.open("w") as log:
            options = {"stdout": log, "stderr": subprocess.STDOUT, "env": environment(), "start_new_session": True}
            self.process = subprocess.Popen(list(map(str, self.command)), **options)
        address, end = f"http://127.0.0.1:{self.port}", time.monotonic() + 300
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if httpx.get(f"{address}/health", trust_env=False).status_code == 200:
                    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120)
            except httpx.HTTPError:
                time.sleep(0.5)
        self.__exit__()
        raise AssertionError(self.log.read_text()[-3000:])

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(60)


@pytest.mark.parametrize("name", ["nano", "llama_ens"])
def test_the_server(tmp_path, name):
    folder = BUILT_IN / name if name == "nano" else tmp_path / "model"
    if name != "nano":
        import_accessory([official(tmp_path / "official", name)], folder)
    member = Member(SphinxX.load(folder), folder)
    member.ask_the_fifty()
    with Serve(folder, tmp_path / "log") as client:

        def ask(messages: Any, **more: Any) -> Any:
            wanted = {"model": "it", "messages": messages, "max_tokens": STEPS, "temperature": 0}
            return client.chat.completions.create(**wanted, **more)

        answers = []
        for one in member.asked:
            found = ask(one.messages, extra_body={"return_token_ids": True})
            answers.append({"prompt": found.prompt_token_ids, "text": found.choices[0].message.content})
        assert compared(member, answers)["texts"] == {"nano": 15, "llama_ens": 50}[name]
        one = member.asked[-1]
        pieces = [chunk.choices[0].delta.content or "" for chunk in ask(one.messages, stream=True) if chunk.choices]
        assert "".join(pieces).strip() == one.text
        with pytest.raises(openai.BadRequestError, match="the last one has to be the user's"):
            ask([*one.messages, {"role": "assistant", "content": "So"}])
        if name == "nano":
            with pytest.raises(openai.BadRequestError, match="takes no text alone"):
                ask([{"role": "user", "content": "Hi"}])
