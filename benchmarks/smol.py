"""SPHINX-Smol measured: receipts, documents, charts, photos, paragraphs, text alone, time and memory, beside peers.

    python benchmarks/smol.py --model smol -o runs/smol --receipts SROIE --photos COCO128 --data FOLDER
    python benchmarks/smol.py --model FOLDER -o runs/look --receipts SROIE --data FOLDER --limit 20 --peers none

FOLDER has `documents-held`, `screens-held`, `charts-held`, `pictures-held`, `marks-held` (those that are there are
asked) and `dialogues-held` (text alone), as `sphinx-x data documents` and the others write them; their seed must not be
that of the training data. Every answer is kept in the run's folder, so that a run that was stopped goes on where it
was. It writes `smol.json` and `smol.md` there.

Peers: `blind` (no picture), `plain` (RapidOCR's text in a prompt of the language model without adapters: --base, or the
model below a folder of adapters), `rules` (RapidOCR and regular expressions; of photos, the detector), `lines` (the
text of RapidOCR alone for the same language model and adapters). `--without dinov2` is a further row: the model with
something taken away.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from smol_parts.part import Answers, Part

    from sphinx_x.evaluation.task import Reading
    from sphinx_x.inference import SphinxX

PEERS = ("blind", "plain", "rules", "lines")
HELD = ("documents", "screens", "charts", "pictures", "marks")
PARTS = ("receipts", *HELD, "photos", "paragraphs", "text", "speed")


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Measures SPHINX-Smol.")
    parser.add_argument("--model", default="smol", help="a name, a model folder or a folder of adapters")
    parser.add_argument("--base", help="the model without what was trained; by default the one below adapters")
    parser.add_argument("--out", "-o", type=Path, required=True, help="folder of answers and results")
    parser.add_argument("--receipts", type=Path, help="folder in SROIE's layout (img, box, key)")
    parser.add_argument("--photos", type=Path, help="folder with instances.json and images")
    parser.add_argument("--data", type=Path, help="folder with documents-held, charts-held, ...")
    parser.add_argument("--parts", help=f"of {', '.join(PARTS)}; by default all, with --limit all but the last two")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"of {', '.join(PEERS)}; or none")
    parser.add_argument("--without", action="append", default=[], help="views, lines, boxes or a kind of expert")
    parser.add_argument("--readings", type=Path, help="folder of lines that were read; by default in the run's folder")
    parser.add_argument("--limit", type=int, help="items of each part at most, whole pictures spread over it")
    parser.add_argument("--fast", action="store_true", help="as `sphinx-x chat --fast`")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--max-new-tokens", type=int, help="in place of the parts' own limits")
    options = parser.parse_args(arguments)
    options.readings = options.readings or options.out / "readings"
    options.parts = options.parts.split(",") if options.parts else PARTS[: -2 if options.limit else None]
    options.peers = [] if options.peers == "none" else options.peers.split(",")
    for name, known in (("parts", PARTS), ("peers", PEERS)):
        if unknown := set(getattr(options, name)) - set(known):
            parser.error(f"--{name}: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return options


@dataclass
class Measurement:
    """A measurement as it goes on.

    Attributes:
        options: Those of the command line.
        parts: What is asked.
        answers: The answers by the names of the part and of the way.
        refused: How many questions could not be asked, likewise.
        left_out: Parts that are not measured, with the reason.
        losses: The model's losses on texts, if they are measured.
    """

    options: argparse.Namespace
    parts: list[Part] = field(default_factory=list)
    answers: dict[str, dict[str, Answers]] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    losses: dict[str, np.ndarray] | None = None

    def ask(
        self,
        way: str,
        sphinx: SphinxX,
        digest: str,
        around: Callable[..., AbstractContextManager[Any]] = nullcontext,
        blind: bool = False,
        parts: Sequence[Part] | None = None,
    ) -> None:
        """Ask all parts in one way; answers that are kept are not asked again."""
        from sphinx_x.evaluation.answers import Store
        from sphinx_x.evaluation.asking import Asking, ask, shown_items

        how = Asking(sphinx, digest, self.options.batch_size, self.options.max_new_tokens, around=around)
        folder = self.options.out / "answers"
        folder.mkdir(parents=True, exist_ok=True)
        for part in self.parts if parts is None else parts:
            name = f"{part.name.replace(', ', '-').replace(' ', '-')}.{way.replace(' ', '-')}"
            store, items = Store(folder, name), shown_items(part.items, "blind" if blind else "images")
            found = ask(how, part.task, items, store, partial(_told, f"{part.name}, {way}"))
            store.hand_in(0, found.values())
            store.finish(1)
            self.take(part, way, {k: a.answer for k, a in found.items() if not a.refused})
            if count := sum(bool(answer.refused) for answer in found.values()):
                self.refused[f"{part.name}, {way}"] = count

    def take(self, part: Part, way: str, answers: Answers) -> None:
        """Keep the answers of one way to a part."""
        self.answers.setdefault(part.name, {})[way] = answers


def _told(what: str, done: int, of: int) -> None:
    end = "\n" if done == of else ""
    print(f"\r{what}: {done} of {of}", end=end, file=sys.stderr, flush=True)


def build_parts(options: argparse.Namespace, reader: Any) -> tuple[list[Part], dict[str, str]]:
    """Return the parts whose files are there, and why others are not."""
    from smol_parts import held, paragraphs, photos, receipts

    from sphinx_x.evaluation.run import limited

    found: list[Part] = []
    left_out: dict[str, str] = {}

    def add(name: str, folder: Path | None, option: str, make: Callable[[Path], Part | list[Part]]) -> None:
        if name not in options.parts:
            return
        if folder is None or not folder.is_dir():
            left_out[name] = f"no {option}" if folder is None else f"no folder {folder.name}"
            return
        made = make(folder)
        found.extend(made if isinstance(made, list) else [made])

    add("receipts", options.receipts, "--receipts", lambda folder: receipts.receipts(folder, reader))
    makers: dict[str, Callable[[Path], Part]] = {"charts": held.charts}
    makers |= {name: partial(held.documents, name, reader=reader) for name in ("documents", "screens")}
    for name in HELD:
        folder = None if options.data is None else options.data / f"{name}-held"
        add(name, folder, "--data", makers.get(name, partial(held.samples, name)))
    add("photos", options.photos, "--photos", photos.photos)
    if "paragraphs" in options.parts:
        found.append(paragraphs.paragraphs())
    # whole pictures, as every fourth question of receipts is about the same field
    return [replace(part, items=limited(part.items, options.limit, whole=True)) for part in found], left_out


def keep_readings(sphinx: SphinxX, folder: Path) -> None:
    """Let a model keep the lines that it reads in a folder, so that no way reads a picture again."""
    images = sphinx.processor.image_processor
    if images.lines is not None:
        images.lines = {**images.lines, "folder": folder}


def ask_model(measurement: Measurement) -> tuple[str, Reading]:
    """Ask the model, and every peer that is made of it; return its digest and how its answers are read."""
    from smol_parts import peer_lines
    from smol_parts.results import BLIND, LINES, MODEL
    from smol_parts.text_loss import losses

    from sphinx_x import SphinxX
    from sphinx_x.evaluation.answers import model_digest
    from sphinx_x.evaluation.task import Reading

    options = measurement.options
    sphinx = SphinxX.load(options.model, base=_base_of(options), fast=options.fast)
    digest = model_digest(sphinx)
    keep_readings(sphinx, options.readings)
    measurement.ask(MODEL, sphinx, digest)
    if "blind" in options.peers:
        measurement.ask(BLIND, sphinx, digest, blind=True)
    taken = {f"without {name}": [name] for name in options.without}
    if "lines" in options.peers and sphinx.model.config.lines is not None:
        taken[LINES] = list(peer_lines.TEXT_ALONE)
    for way, names in taken.items():
        less = peer_lines.Without(sphinx, names)
        some = [part for part in measurement.parts if part.text] if way == LINES else None
        measurement.ask(way, less, f"{digest} without {', '.join(names)}", less.zeroed, parts=some)
    if "text" in options.parts:
        measurement.losses = losses(sphinx, text_folder(options))
    return digest, Reading(frame=sphinx.model.config.view_grid())


def _base_of(options: argparse.Namespace) -> str | None:
    """Return what the model's adapters lie over, if it is adapters and that is said."""
    return options.base if _is_adapter(options.model) else None


def _is_adapter(model: str) -> bool:
    from sphinx_x.checkpoints.adapters import is_adapter

    return is_adapter(model)


def base_of(options: argparse.Namespace) -> str | None:
    """Return the model without what was trained: `--base`, or the one below a folder of adapters."""
    from sphinx_x.inference import find_adapters

    if options.base is not None:
        return options.base
    below, adapters = find_adapters(options.model)
    return str(below) if adapters else None


def text_folder(options: argparse.Namespace) -> Path | None:
    """Return the folder of dialogues without pictures, if there is one."""
    folder = None if options.data is None else options.data / "dialogues-held"
    return folder if folder is not None and folder.is_dir() else None


def ask_base(measurement: Measurement) -> dict[str, Any] | None:
    """Ask the language model without adapters, fed RapidOCR's text; return both losses on text."""
    from smol_parts.peer_text import TextPeer
    from smol_parts.results import TEXT
    from smol_parts.text_loss import compared, losses

    from sphinx_x.evaluation.answers import model_digest

    options = measurement.options
    own = measurement.losses
    if own is None and "plain" not in options.peers:
        return None
    base = base_of(options)
    if base is None:
        measurement.left_out["text, and the peer plain"] = "no --base (the model without what was trained)"
        return None
    sphinx = TextPeer.load(base, fast=options.fast)
    digest = model_digest(sphinx)
    keep_readings(sphinx, options.readings)
    if "plain" in options.peers:
        measurement.ask(TEXT, sphinx, f"{digest} text", parts=[p for p in measurement.parts if p.text])
    return None if own is None else compared(own, losses(sphinx, text_folder(options)))


def ask_rules(measurement: Measurement, reader: Any) -> None:
    """Let rules answer what they are made for: the fields of receipts, pages of print, and which objects there are."""
    from smol_parts import peer_rules
    from smol_parts.results import RULES

    for part in measurement.parts:
        if part.name in peer_rules.PARTS:
            say = peer_rules.PARTS[part.name]
            found = {item.index: reader.read_file(item.pictures[0].read()).lines for item in part.items}
            measurement.take(part, RULES, {item.index: say(item, found[item.index]) for item in part.items})


def write(measurement: Measurement, digest: str, how: Reading, more: Mapping[str, Any]) -> None:
    """Write `smol.json` and `smol.md`."""
    from smol_parts.results import MODEL, WAYS, as_markdown, part_rows

    from sphinx_x.work.files import write_atomic

    options = measurement.options
    rows = [row for part in measurement.parts for row in part_rows(part, measurement.answers[part.name], how)]
    ways = dict.fromkeys(way for some in measurement.answers.values() for way in some) or {MODEL: None}
    content = {
        "model": Path(options.model).name,
        "weights": digest,
        "limit": options.limit,
        "fast": options.fast,
        "ways": {way: WAYS.get(way, way) for way in ways},
        "rows": rows,
        "notes": {part.name: part.note for part in measurement.parts if part.note},
        "left_out": measurement.left_out,
        "refused": measurement.refused,
        **more,
    }
    write_atomic(options.out / "smol.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    write_atomic(options.out / "smol.md", as_markdown(content))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    options = options_of(arguments)
    from smol_parts import speed

    from sphinx_x.family import get_member
    from sphinx_x.text_lines.reader import LineReader

    options.out.mkdir(parents=True, exist_ok=True)
    reader = LineReader(**get_member("smol").lines or {}, folder=options.readings)
    parts, left_out = build_parts(options, reader)
    measurement = Measurement(options, parts, left_out=left_out)
    digest, how = ask_model(measurement)
    write(measurement, digest, how, {})  # so that something is there if the peers are stopped
    gc.collect()  # the model, before the next one is loaded
    more: dict[str, Any] = {"text": ask_base(measurement)}
    if "rules" in options.peers:
        ask_rules(measurement, reader)
    if "speed" in options.parts and options.receipts is not None:
        pictures = sorted((options.receipts / "img").iterdir())[:6]
        more["speed"] = speed.measured(options.model, pictures, _base_of(options), options.fast)
    write(measurement, digest, how, {name: value for name, value in more.items() if value is not None})
    print((options.out / "smol.md").read_text("utf-8"))


if __name__ == "__main__":
    main()
