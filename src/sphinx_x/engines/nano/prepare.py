"""Make SPHINX-Nano's training data from open packages: document lines, words, rendered lines and emoji pictures.

`prepare` downloads and unpacks Debian packages without root, then writes shards of samples. It may be stopped at any
time: a second call continues after the last whole shard, and the bytes are the same as those of one call. Documents are
read in separate processes with a limit of CPU time, so that no broken PDF can stop the run.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader, write_shard
from sphinx_x.engines.nano import emoji
from sphinx_x.engines.nano import fonts as rendered
from sphinx_x.engines.nano.lines import Crop, crop_sample, read_document
from sphinx_x.engines.nano.pages import MarksConfig, PagesConfig, make_marks, make_parts
from sphinx_x.errors import DataError, MissingToolError, RecipeError
from sphinx_x.work.files import content_key, write_atomic
from sphinx_x.work.runs import claim
from sphinx_x.work.sandbox import run_apart

PACKAGES = (
    "texlive-latex-base-doc",
    "texlive-latex-recommended-doc",
    "texlive-latex-extra-doc",
    "texlive-pictures-doc",
    "texlive-publishers-doc",
    "texlive-science-doc",
    "texlive-humanities-doc",
    "texlive-metapost-doc",
    "texlive-lang-english",
)
FONTS = (
    "fonts-liberation",
    "fonts-dejavu-core",
    "fonts-dejavu-extra",
    "fonts-freefont-ttf",
    "fonts-urw-base35",
    "fonts-noto-core",
    "fonts-noto-mono",
    "fonts-lato",
    "fonts-open-sans",
    "fonts-roboto-unhinted",
    "fonts-crosextra-carlito",
    "fonts-crosextra-caladea",
    "fonts-linuxlibertine",
    "fonts-lmodern",
    "fonts-inconsolata",
    "fonts-hack",
    "fonts-texgyre",
    "fonts-cmu",
    "fonts-ebgaramond",
    "fonts-sil-charis",
)
EMOJI_FONT = "fonts-noto-color-emoji"
DOCUMENT_KINDS = ("lines", "words")


class Counts(BaseModel):
    """How many samples of each kind."""

    model_config = ConfigDict(extra="forbid")
    lines: NonNegativeInt = 400_000
    words: NonNegativeInt = 100_000
    fonts: NonNegativeInt = 200_000
    emoji: NonNegativeInt = 20_000


class DataConfig(BaseModel):
    """The data section of a recipe: where text and fonts come from, and how much is made of them."""

    model_config = ConfigDict(extra="forbid")
    packages: list[str] = list(PACKAGES)
    fonts: list[str] = list(FONTS)
    emoji_font: str = EMOJI_FONT
    pdf_folder: Path | None = None
    """A folder of PDF files to use instead of packages."""
    licence: str = "see the source"
    """The licence of the files in `pdf_folder`."""
    counts: Counts = Counts()
    pages: dict[str, PagesConfig] = {}
    """Parts of pages, by the name of the folder to write."""
    marks: dict[str, MarksConfig] = {}
    """Samples about marks, by the name of their folder, made from what is named before them."""
    seed: int = 0
    shard_size: PositiveInt = 10_000
    lines_per_page: PositiveInt = 40
    lines_per_document: PositiveInt = 160
    pages_per_document: PositiveInt = 60
    words_per_document: PositiveInt = 60
    repeats: PositiveInt = 3
    """How often the same text may occur among the samples of a kind."""
    cpu_seconds: PositiveInt = 60
    """Limit per document; documents that take longer are named in the report."""
    workers: PositiveInt = 2


class _Stock:
    """Downloaded and unpacked packages in a cache folder."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache.resolve()  # commands run in other folders

    def unpack(self, package: str) -> Path:
        """Return the folder with the files of a package, after downloading and unpacking it if needed."""
        target = self.cache / "unpacked" / package
        if target.is_dir():
            return target
        archives = self.cache / "debs"
        archives.mkdir(parents=True, exist_ok=True)
        if not list(archives.glob(f"{package}_*.deb")):
            print(f"fetching {package}", flush=True)
            _run(["apt-get", "download", package], archives)
        archive = sorted(archives.glob(f"{package}_*.deb"))[-1]
        temporary = target.with_name(f".{package}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _run(["dpkg-deb", "-x", str(archive), str(temporary)], self.cache)
        temporary.rename(target)
        return target

    def files(self, package: str, *endings: str) -> list[Path]:
        """Return the files of a package with these endings, in a fixed order."""
        return sorted(p for p in self.unpack(package).rglob("*") if p.suffix.lower() in endings and p.is_file())


def _run(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise MissingToolError(
            f"no {command[0]} on this machine: give a folder with PDF files instead (data: {{pdf_folder: ...}})"
        )
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MissingToolError(f"{' '.join(command)}: {last}")


class _Report:
    """What was made and what was left out, in `report.json`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def put(self, kind: str, **facts: object) -> None:
        """Set facts about a kind, and write the file."""
        self.data.setdefault(kind, {}).update(facts)
        _write_json(self.path, self.data)


def _write_json(path: Path, data: object) -> None:
    write_atomic(path, json.dumps(data, indent=1, ensure_ascii=False))


def check_data(fields: Mapping[str, Any]) -> DataConfig:
    """Read the `data` section of a recipe.

    Raises:
        RecipeError: A field is wrong; the message names it.
    """
    try:
        return DataConfig.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(("data", *map(str, first["loc"])))
        raise RecipeError(f"{field}: {first['msg'].removeprefix('Value error, ')}") from error


def prepare(config: DataConfig, out: str | Path, cache: str | Path | None = None) -> Path:
    """Make all requested shards in the folder `out`, continuing an earlier call, and return the folder.

    Args:
        config: What to make.
        out: The folder to write.
        cache: Folder for downloaded packages.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    stock = _Stock(Path(cache) if cache else out / "cache")
    settings = config.model_dump(mode="json", exclude={"counts", "pages", "marks", "workers", "cpu_seconds"})
    if config.pdf_folder is not None:  # how far a run has come is told by the places of documents among all
        settings["documents"] = content_key(sorted(config.pdf_folder.rglob("*.pdf")), config.pdf_folder)
    claim(out, settings, "settings.json", empty=False)
    report = _Report(out / "report.json")
    wanted = config.counts.model_dump()
    for kind, count in wanted.items():
        _check_count(out, kind, count)
    if wanted["lines"] or wanted["words"]:
        documents = list_documents(config, stock)
        for kind in DOCUMENT_KINDS:
            if wanted[kind]:
                _DocumentKind(config, out, kind, documents, report).make(wanted[kind])
    if wanted["fonts"]:
        _make_fonts(config, out, stock, report)
    if wanted["emoji"]:
        _make_emoji(config, out, stock, report)
    for name, pages in config.pages.items():
        files = {package: stock.files(package, ".pdf") for package in pages.packages}
        made = make_parts(pages, files, stock.cache / "pages" / name, out / name, config.seed)
        report.put(name, made=made.samples, left_out=dict((made.left_out + made.set_aside).most_common()))
    for name, marks in config.marks.items():
        made = make_marks(marks, out, stock.cache / "marks" / name, out / name, config.seed)
        report.put(name, made=made.samples, left_out=dict((made.left_out + made.set_aside).most_common()))
    return out


def _check_count(out: Path, kind: str, count: int) -> None:
    """Refuse a folder with more samples of a kind than requested, since all would be used.

    Raises:
        DataError: There are more.
    """
    there = sum(len(SampleReader(shard)) for shard in sorted(out.glob(f"{kind}-*.jsonl")))
    if there > count:
        raise DataError(
            f"{out}: holds {there:,} samples of {kind}, and counts asks for {count:,}: "
            f"take another folder, or delete its {kind}-*"
        )


def list_documents(config: DataConfig, stock: _Stock) -> list[tuple[str, str, str]]:
    """Return path, source and licence of every distinct PDF, shuffled with the seed."""
    found: list[tuple[Path, str, str]] = []
    if config.pdf_folder is not None:
        for path in sorted(config.pdf_folder.rglob("*.pdf")):
            found.append((path, str(path.relative_to(config.pdf_folder)), config.licence))
    else:
        for package in config.packages:
            root = stock.unpack(package)
            licence = f"Debian main, /usr/share/doc/{package}/copyright"
            for path in stock.files(package, ".pdf"):
                found.append((path, f"{package}:{path.relative_to(root)}", licence))
    if not found:
        raise DataError(f"{config.pdf_folder or ', '.join(config.packages)}: no PDF file there")
    sizes = Counter(path.stat().st_size for path, _, _ in found)
    seen: set[bytes] = set()
    documents = []
    for path, source, licence in found:
        if sizes[path.stat().st_size] > 1:
            key = hashlib.sha256(path.read_bytes()).digest()
            if key in seen:
                continue
            seen.add(key)
        documents.append((str(path), source, licence))
    random.Random(f"{config.seed} documents").shuffle(documents)
    return documents


class _DocumentKind:
    """The shards of one kind made from documents, in one pass over the shuffled documents."""

    def __init__(
        self, config: DataConfig, out: Path, kind: str, documents: list[tuple[str, str, str]], report: _Report
    ) -> None:
        self.config, self.out, self.kind, self.report = config, out, kind, report
        self.documents = list(documents)
        random.Random(f"{config.seed} {kind}").shuffle(self.documents)
        self.shards, self.made = 0, 0
        self.texts: Counter = Counter()
        self.drops: Counter = Counter()
        self.bad: dict[str, str] = {}
        self.next, self.taken = 0, 0
        """The next document to read, and how many of its crops are used already."""
        self.seconds = 0.0

    def _name(self, number: int) -> str:
        return f"{self.kind}-{number:05d}"

    def _resume(self) -> None:
        """Restore the state after the last whole shard."""
        while (self.out / f"{self._name(self.shards)}.jsonl").exists():
            reader = SampleReader(self.out / f"{self._name(self.shards)}.jsonl")
            for index in range(len(reader)):
                self.texts[_text_key(" ".join(region["text"] for region in reader[index].regions))] += 1
            self.made += len(reader)
            self.shards += 1
        if self.shards:
            state = json.loads((self.out / f".{self._name(self.shards - 1)}.state.json").read_text())
            self.next, self.taken, self.bad = state["next"], state["taken"], state["bad"]
            self.drops, self.seconds = Counter(state["drops"]), state["seconds"]

    def make(self, count: int) -> None:
        """Write shards until there are `count` samples or no more documents."""
        self._resume()
        if self.made >= count:
            return
        config = self.config
        limit = config.lines_per_document if self.kind == "lines" else config.words_per_document
        per_page = config.lines_per_page if self.kind == "lines" else 20
        tasks = [
            (Path(path), self.kind, f"{config.seed} {source}", per_page, limit, config.pages_per_document)
            for path, source, _ in self.documents
        ]
        start, before = time.monotonic(), self.seconds
        shard: list[tuple[Sample, list[bytes]]] = []
        stream = run_apart(read_document, tasks[self.next :], config.workers, config.cpu_seconds, self.next)
        for number, result in stream:
            _, source, licence = self.documents[number]
            skip = self.taken if number == self.next else 0
            crops: list[Crop] = []
            if isinstance(result, str):
                self.bad[source] = result
            else:
                crops, drops = result
                if not skip:
                    self.drops += drops
            self.next, self.taken = number, skip
            for index in range(skip, len(crops)):
                self.taken = index + 1
                sample = self._sample(crops[index], number, index, source, licence)
                if sample is None:
                    continue
                shard.append((sample, [crops[index].png]))
                if len(shard) == min(config.shard_size, count - self.made):
                    self.seconds = before + time.monotonic() - start
                    self._write(shard, count)
                    shard = []
                    if self.made >= count:
                        stream.close()
                        return
            self.next, self.taken = number + 1, 0
        self.seconds = before + time.monotonic() - start
        if shard:
            self._write(shard, count)
        print(f"{self.kind}: no more documents: {self.made} of {count} made", flush=True)

    def _sample(self, crop: Crop, document: int, index: int, source: str, licence: str) -> Sample | None:
        key = _text_key(crop.text)
        if self.texts[key] >= self.config.repeats:
            self.drops["the same text too often"] += 1
            return None
        self.texts[key] += 1
        name = f"{self.kind}-{document:05d}-{index:04d}"
        rng = random.Random(f"{self.config.seed} {name}")
        return crop_sample(crop, name, rng, source, licence, only_read=self.kind == "words")

    def _write(self, shard: list[tuple[Sample, list[bytes]]], count: int) -> None:
        """Write a shard in random order, preceded by the state from which the next call continues."""
        name = self._name(self.shards)
        random.Random(f"{self.config.seed} {name}").shuffle(shard)
        state = {
            "next": self.next,
            "taken": self.taken,
            "bad": self.bad,
            "drops": dict(self.drops),
            "seconds": round(self.seconds, 1),
        }
        _write_json(self.out / f".{name}.state.json", state)
        write_shard(self.out, name, shard)
        self.made += len(shard)
        self.shards += 1
        self.report.put(
            self.kind,
            made=self.made,
            asked=count,
            documents=self.next + 1,
            documents_there=len(self.documents),
            seconds=round(self.seconds, 1),
            left_out=dict(self.drops.most_common()),
            bad_documents=self.bad,
        )
        rate = self.made / max(self.seconds, 1e-9)
        print(f"{name}: {self.made} of {count} samples, {self.next + 1} documents, {rate:.0f}/s", flush=True)


def _text_key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _make_fonts(config: DataConfig, out: Path, stock: _Stock, report: _Report) -> None:
    """Write rendered lines; shard k takes its texts from shard k of the document lines, modulo their number."""
    faces = [[str(path) for path in stock.files(package, ".ttf", ".otf", ".t1", ".pfb")] for package in config.fonts]
    usable = rendered.usable_faces(dict(zip(config.fonts, faces, strict=True)))
    texts = sorted(out.glob("lines-*.jsonl"))
    tasks = []
    for number, size in _shards(config.counts.fonts, config.shard_size):
        source = str(texts[number % len(texts)]) if texts else None
        tasks.append((str(out), f"fonts-{number:05d}", size, f"{config.seed} fonts {number}", usable, source))
    report.put("fonts", faces={package: len(paths) for package, paths in usable.items()})
    _make_shards("fonts", rendered.make_shard, tasks, config, out, report)


def _make_emoji(config: DataConfig, out: Path, stock: _Stock, report: _Report) -> None:
    found = stock.files(config.emoji_font, ".ttf")
    if not found:
        raise DataError(f"{config.emoji_font}: no .ttf font in this package")
    tasks = [
        (str(out), f"emoji-{number:05d}", size, f"{config.seed} emoji {number}", str(found[0]), config.emoji_font)
        for number, size in _shards(config.counts.emoji, config.shard_size)
    ]
    _make_shards("emoji", emoji.make_shard, tasks, config, out, report)


def _shards(count: int, size: int) -> list[tuple[int, int]]:
    return [(number, min(size, count - start)) for number, start in enumerate(range(0, count, size))]


def _made(shard: Path) -> int:
    """Return the number of samples of a shard, 0 if there is none."""
    return len(SampleReader(shard)) if shard.exists() else 0


def _make_shards(kind: str, work: Callable, tasks: list[tuple], config: DataConfig, out: Path, report: _Report) -> None:
    # a shard that an earlier call with a smaller count ended with is made again, longer
    todo = [task for task in tasks if _made(out / f"{task[1]}.jsonl") != task[2]]
    made = sum(task[2] for task in tasks) - sum(task[2] for task in todo)
    start, new = time.monotonic(), 0
    for number, result in run_apart(work, todo, config.workers, 100 * config.cpu_seconds):
        if isinstance(result, str):
            raise DataError(f"{todo[number][1]}: {result}")
        new += result
        rate = new / (time.monotonic() - start)
        report.put(kind, made=made + new, asked=getattr(config.counts, kind))
        print(f"{todo[number][1]}: {made + new} of {getattr(config.counts, kind)} samples, {rate:.0f}/s", flush=True)
