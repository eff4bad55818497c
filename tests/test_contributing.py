"""The steps of CONTRIBUTING.md are followed, and what it and docs/architecture.md name is there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module

import pytest
import torch

from commands import run
from paths import ROOT
from sphinx_x import sources
from sphinx_x.data.shards import SampleReader
from sphinx_x.sources.base import Draft, Expected, Raw, Record, Source
from sphinx_x.sources.dialogue import dialogue

NAMING = ("CONTRIBUTING.md", "docs/architecture.md")
PAGES = ("README.md", *NAMING, *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")))
WORD = re.compile(r"`([^`\n]+)`")
PACKAGE = ROOT / "src" / "sphinx_x"
ROOMS = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}


def named(page: str) -> Iterator[str]:
    """What a page names in code, outside of its blocks."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    yield from WORD.findall(text)


@pytest.mark.parametrize("page", dict.fromkeys(PAGES))
def test_every_file_and_room_that_is_named_is_there(page):
    seen = 0
    for name in named(page):
        if re.fullmatch(r"(src|tests|docs|benchmarks|examples)(/[\w.-]+)*/?", name):
            assert (ROOT / name).exists(), f"{page}: {name}"
        elif page in NAMING and re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", name) and name.split(".")[0] in ROOMS:
            place = PACKAGE.joinpath(*name.split("."))
            assert place.is_dir() or place.with_suffix(".py").is_file(), f"{page}: {name} is no module"
        else:
            continue
        seen += 1
    assert seen > 10 or page not in NAMING


@pytest.mark.parametrize("page", NAMING)
def test_what_a_page_names_in_a_room_is_there(page):
    """As `KINDS` in `engines.ocr.questions`: a function, class or constant of a module."""
    pairs = re.findall(r"`(\w+)`\s+(?:in|of)\s+`([a-z_]+(?:\.[a-z_]+)*)`", (ROOT / page).read_text(encoding="utf-8"))
    for name, room in pairs:
        if room.split(".")[0] in ROOMS:
            module = import_module(f"sphinx_x.{room}")
            assert hasattr(module, name), f"{page}: {room} has no {name}"
    assert pairs


def test_every_room_is_in_the_table():
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## Decisions")[0]
    there = {room for room in ROOMS if not room.startswith("_") and (PACKAGE / room / "__init__.py").is_file()}
    there |= {room for room in ROOMS if not room.startswith("_") and (PACKAGE / f"{room}.py").is_file()}
    assert there <= set(WORD.findall(table)), there - set(WORD.findall(table))


def test_a_visual_expert_is_added(monkeypatch):
    """Steps 1 and 3: a kind of its own, and a configuration that names it."""
    from sphinx_x.model import experts
    from sphinx_x.model.config import GroupConfig
    from sphinx_x.model.experts import base
    from sphinx_x.model.mixture import MixtureOfVisualExperts
    from sphinx_x.model.views import ViewGrid

    monkeypatch.setattr(base, "_KINDS", dict(base._KINDS))  # it is gone after this test

    @dataclass(frozen=True)
    class MeanConfig(experts.ExpertConfig):
        kind: str = "mean-color"
        height: int = 8
        width: int = 8
        channels: int = 3

    @experts.register(MeanConfig)
    class Mean(experts.Expert):
        """The mean colour of patches of four pixels."""

        def __init__(self, config: MeanConfig) -> None:
            super().__init__(config)
            self.pool = torch.nn.Conv2d(3, 3, 4, 4)

        def features(self, pixels_B3HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            found = self.pool(pixels_B3HW)
            return found.mean((2, 3)), found

    grid = ViewGrid(2, 2, 8, 8)
    read = experts.read_expert({"kind": "mean-color"})
    mixture = MixtureOfVisualExperts((GroupConfig((read, read), tokens=(2, 2)),), grid, 5)
    assert mixture(torch.rand(3, 3, 8, 8)).shape == (3, 1 + 2 * 2, 5)


def test_a_data_set_is_added(tmp_path, monkeypatch, capsys):
    """Steps 1 to 3: a source with its reader, known by its name, converted from an excerpt."""

    def read(raw: Raw) -> Iterator[Record]:
        for entry in raw.json("sayings.json"):
            yield Record(entry["id"], entry)

    def build(record: Record, raw: Raw) -> Draft:
        return Draft(dialogue([("Go on: " + record.data["start"], record.data["end"])], images=0))

    source = Source(
        name="sayings",
        title="Sayings",
        task="dialogue",
        home="https://example.org/sayings",
        licence="CC0-1.0",
        files=(Expected("sayings.json", "sayings"),),
        unit="sayings",
        count={},
        layout="made for this test",
        prompts=("Go on: {}",),
        read=read,
        build=build,
    )
    monkeypatch.setitem(sources.SOURCES, source.name, source)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "sayings.json").write_text('[{"id": "1", "start": "A stitch in time", "end": "saves nine."}]')
    arguments = ("data", "convert", "sayings", tmp_path / "raw", "-o", tmp_path / "out", "--workers", "1")
    code, out, err = run(*arguments, capsys=capsys)
    assert code == 0 and "1 samples with 1 answers" in out, err
    sample = SampleReader(tmp_path / "out")[0]
    assert (sample.source, sample.messages[-1].parts[0].text) == ("sayings", "saves nine.")


def test_a_measure_is_added():
    """Steps 1 and 2: a measure of its own is one more function on what answers give."""
    from sphinx_x.evaluation.metrics import interval
    from sphinx_x.evaluation.samples import Asked, Score

    def long_answers(scores: list[Score]) -> float:
        return sum(len(score.answer) > 3 for score in scores) / len(scores)

    asked = Asked("1", "d", 1, "text", (), "true")
    assert long_answers([Score(asked, "four", 0, 4), Score(asked, "two", 2, 4)]) == 0.5
    assert interval(torch.linspace(0, 1, 101).numpy()) == pytest.approx((0.025, 0.975))


def test_a_question_kind_is_added(tmp_path, monkeypatch):
    """Steps 1 to 3, on a page that is made here."""
    import random

    import pypdfium2

    from pdf_pages import PageOf, Pdf, paragraph
    from sphinx_x.engines.ocr import questions
    from sphinx_x.engines.pdf.page import read_page

    class Asker(questions._Asker):
        def _count_blocks(self) -> questions.Turn | None:
            return ("How many blocks of text are there?", str(len(self.blocks))) if self.blocks else None

    monkeypatch.setattr(questions, "KINDS", (*questions.KINDS, "count_blocks"))
    monkeypatch.setattr(questions, "_Asker", Asker)
    lines = [f"The walnut of row {row} weighs {17 * row} grams" for row in range(6)]
    path = tmp_path / "page.pdf"
    Pdf([PageOf(paragraph(lines, 60, 740))]).write(path)
    document = pypdfium2.PdfDocument(path)
    page = read_page(document, 0, 512)
    settings = questions.QuestionSettings(weights={"count_blocks": 1})
    asked = questions.ask(page, settings, random.Random(0))
    assert asked.kinds == ["count_blocks"]
    assert asked.messages[-1].parts[-1].text == str(len(page.blocks)) and len(page.blocks) == 1
    document.close()


def test_a_language_model_is_added(tiny_member):
    """Step 1: any causal model of the library, here one with another architecture, is a member without new code."""
    from sphinx_x.family import describe, new_model

    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    kept = {name: tiny_member.llm[name] for name in ("vocab_size", "pad_token_id", "bos_token_id", "eos_token_id")}
    qwen = {"model_type": "qwen3", **small, "intermediate_size": 48, "head_dim": 16, **kept}
    member = replace(tiny_member, llm_name="a small Qwen3", llm=qwen)
    model, processor = new_model(member)
    inner = model.model.language_model
    assert describe(member).llm == sum(p.numel() for p in (*inner.parameters(), *model.lm_head.parameters()))
    assert type(model.model.language_model).__name__ == "Qwen3Model" and processor.tokens_per_view == 9
