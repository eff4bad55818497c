"""Builds the static page that reads pages with SPHINX-Nano in a browser, into `dist` next to this file.

    python examples/web/build.py
    python -m http.server -d examples/web/dist

It needs the extra `onnx` and `npm`, which fetches onnxruntime-web once; nothing else is fetched, and nothing of the
result asks another machine for anything.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from sphinx_x import __version__
from sphinx_x.checkpoints.onnx import export_onnx
from sphinx_x.checkpoints.writer import new_folder
from sphinx_x.conversation import Image, Message, Text
from sphinx_x.errors import MissingToolError, SphinxXError
from sphinx_x.images import open_image
from sphinx_x.inference import BUILT_IN
from sphinx_x.inference.onnx import GRAPHS, OnnxModel
from sphinx_x.model.prompt import view_ids
from sphinx_x.model.views import plan_views
from sphinx_x.reading import READ

HERE = Path(__file__).parent
PACKAGE = "onnxruntime-web@1.30.0"
INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""SHA-512 of the package's archive, as the registry gives it; checked here again, whatever npm does."""
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
EXAMPLE = HERE.parent / "ledger-introduction.pdf"
BYTES = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
"""Bytes that a byte-level vocabulary writes as the character of the same number; the others follow from 256 on."""


def fetch_runtime(folder: Path) -> None:
    """Put onnxruntime-web's files for WebAssembly into a folder.

    Raises:
        MissingToolError: npm is not installed, or the registry does not give the package.
        SphinxXError: The archive is not the one that is named here.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise MissingToolError("npm is not installed (https://nodejs.org), and onnxruntime-web comes from its registry")
    with tempfile.TemporaryDirectory() as aside:
        fetched = subprocess.run([npm, "pack", PACKAGE, "--silent"], cwd=aside, capture_output=True, text=True)
        if fetched.returncode:
            told = (fetched.stderr.strip() or fetched.stdout.strip()).splitlines()
            raise MissingToolError(f"npm does not get {PACKAGE}: {told[0] if told else fetched.returncode}")
        (archive,) = Path(aside).glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != INTEGRITY:
            raise SphinxXError(f"{PACKAGE}: its archive has the SHA-512 {found}, not {INTEGRITY}")
        with tarfile.open(archive) as packed:
            for name in RUNTIME:
                member = packed.extractfile(f"package/dist/{name}")
                assert member is not None
                (folder / name).write_bytes(member.read())


def bytes_of_pieces(vocabulary: dict[str, int], special: set[int]) -> list[list[int]]:
    """Return the bytes of each id of a byte-level vocabulary; none of the control tokens."""
    characters = {chr(number): number for number in BYTES}
    characters |= {chr(256 + k): number for k, number in enumerate(sorted(set(range(256)) - set(BYTES)))}
    pieces: list[list[int]] = [[] for _ in range(max(vocabulary.values()) + 1)]
    for text, number in vocabulary.items():
        if number not in special:
            pieces[number] = [characters[character] for character in text]
    return pieces


def settings(model: OnnxModel) -> dict[str, Any]:
    """Return what the page has to know of a model: sizes, views, the prompt around a picture, the vocabulary."""
    processor = model.processor
    grid, tokenizer, builder = processor.image_processor.grid(), processor.tokenizer, processor.prompt_builder()
    if grid.global_view or grid.padding != "corner" or grid.max_upscale != 1 or grid.skip is not True:
        told = "that put a picture into the corner, unscaled, without a global view, and skip padding by tokens"
        raise SphinxXError(f"the page shows members {told}")
    layout = plan_views(100, 20, grid)
    image = view_ids(layout, builder.image_tokens, processor.tokens_per_view)
    ids = builder.encode([Message("user", (Image(), Text(READ)))], [layout], answer_next=True).ids
    start = next(k for k in range(len(ids)) if ids[k : k + len(image)] == image)
    tokens = builder.image_tokens
    return {
        "version": __version__,
        "sizes": model.sizes,
        "grid": {name: getattr(grid, name) for name in ("rows", "columns", "view_height", "view_width")},
        "image_tokens": {name: getattr(tokens, name) for name in ("start", "slot", "end", "skip")},
        "prompt": {"before": ids[:start], "after": ids[start + len(image) :]},
        "stop": tokenizer.eos_token_id,
        "pieces": bytes_of_pieces(tokenizer.get_vocab(), set(tokenizer.all_special_ids)),
    }


def build(out: Path, exported: Path) -> None:
    """Build the page around an export to ONNX into a folder, which is either complete or absent."""
    with new_folder(out) as folder:
        shutil.copytree(HERE / "page", folder, dirs_exist_ok=True)
        (folder / "ort").mkdir()
        fetch_runtime(folder / "ort")
        (folder / "nano").mkdir()
        (folder / "nano" / "nano.json").write_text(json.dumps(settings(OnnxModel(exported))), encoding="utf-8")
        for name in GRAPHS:
            shutil.copyfile(exported / f"{name}.onnx", folder / "nano" / f"{name}.onnx")
        open_image(EXAMPLE).save(folder / "example.png", optimize=True)


def main() -> None:
    """Build the page anew."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("-o", "--out", type=Path, default=HERE / "dist", help="the folder to write, by default dist")
    parser.add_argument("--model", type=Path, default=BUILT_IN / "nano", help="a folder fine-tuned from SPHINX-Nano")
    given = parser.parse_args()
    if given.out == HERE / "dist":
        shutil.rmtree(given.out, ignore_errors=True)  # nothing but what this made
    try:
        with tempfile.TemporaryDirectory() as aside:
            export_onnx(given.model, Path(aside) / "nano", int8=True)
            build(given.out, Path(aside) / "nano")
    except SphinxXError as error:
        sys.exit(f"error: {error}")
    size = sum(file.stat().st_size for file in given.out.rglob("*") if file.is_file())
    print(f"{given.out}: {size / 1e6:.1f} MB; `python -m http.server -d {given.out}` shows it at http://127.0.0.1:8000")


if __name__ == "__main__":
    main()
