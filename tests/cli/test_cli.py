"""The command line: bad input gets one line and exit code 2, odd but readable input gets an answer."""

import io
import os
import shutil
import struct
import subprocess
import sys
import zlib

import PIL.Image
import pytest
import torch

from commands import one_line, run
from shards import write_lines
from sphinx_x.inference.generation import DEFAULTS


def gray(width=60, height=12):
    return PIL.Image.linear_gradient("L").resize((width, height))


def saved(image, name, **options):
    def write(folder):
        image.save(folder / name, **options)
        return folder / name

    return write


def content(data: bytes, name: str):
    def write(folder):
        (folder / name).write_bytes(data)
        return folder / name

    return write


def huge_png(folder):
    """A PNG that says it has 20,000 x 20,000 pixels."""
    header = struct.pack(">IIBBBBB", 20000, 20000, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    (folder / "huge.png").write_bytes(data)
    return folder / "huge.png"


def png_bytes() -> bytes:
    out = io.BytesIO()
    gray().save(out, "PNG")
    return out.getvalue()


EXIF = PIL.Image.Exif()
EXIF[0x0112] = 6
READABLE = {
    "one pixel": saved(PIL.Image.new("RGB", (1, 1)), "a.png"),
    "very wide": saved(gray(9000, 1), "a.png"),
    "alpha": saved(gray().convert("RGBA"), "a.png"),
    "palette": saved(gray().convert("P"), "a.png"),
    "CMYK": saved(gray().convert("CMYK"), "a.jpg"),
    "EXIF rotation": saved(gray(), "a.jpg", exif=EXIF),
    "16 bits": saved(PIL.Image.new("I;16", (30, 8), 40000), "a.png"),
    "animated GIF": saved(gray(), "a.gif", save_all=True, append_images=[gray(60, 12).rotate(180)]),
    "PDF": saved(gray().convert("RGB"), "a.pdf"),
    "PNG named .jpg": content(png_bytes(), "a.jpg"),
}
UNREADABLE = {
    "missing": lambda folder: folder / "none.png",
    "folder": lambda folder: folder,
    "text named .png": content(b"just text", "a.png"),
    "empty file": content(b"", "a.png"),
    "cut short": content(png_bytes()[:60], "a.png"),
    "20,000 x 20,000": huge_png,
    "broken PDF": content(b"%PDF-1.4 nothing", "a.pdf"),
    "address": lambda folder: "https://example.org/a.png",
}


@pytest.mark.parametrize("kind", READABLE)
def test_readable_images_get_an_answer(kind, tmp_path, tiny_folder, capsys):
    code, out, err = run(
        "chat", READABLE[kind](tmp_path), "Read.", "-m", tiny_folder, "--max-new-tokens", "3", capsys=capsys
    )
    assert (code, err) == (0, "") and out.endswith("\n")


@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable_images_get_one_line(kind, tmp_path, tiny_folder, capsys):
    code, out, err = run("chat", UNREADABLE[kind](tmp_path), "Read.", "-m", tiny_folder, capsys=capsys)
    assert (code, out) == (2, "") and one_line(err), err


@pytest.fixture
def image(tmp_path):
    return saved(gray(), "a.png")(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["chat", "IMAGE", " "], "the question is empty"),
        (["chat", "IMAGE", "<image> <image> a", "-m", "MODEL"], "2 image placeholders but 1 images"),
        (["chat", "IMAGE", "a", "-m", "nothing"], "no such model"),
        (["chat", "IMAGE", "a", "-m", "plus"], "not in the package"),
        (["chat", "IMAGE", "a", "--page", "2"], "page"),
        (["chat", "-", "a", "--page", "2", "-m", "MODEL"], "--page goes with a PDF"),
        (["serve", "MODEL", "--media-host", "https://good.example"], "a host is name or name:port"),
        (["read", "IMAGE", "--box", "1,2,3"], "four numbers"),
        (["read", "IMAGE", "--box", "5,5,5,9", "-m", "MODEL"], "no area"),
        (["read", "IMAGE", "--box", "nan,0,9,9", "-m", "MODEL"], "four numbers"),
        (["find", "IMAGE", "a", "-o", "IMAGE", "-m", "MODEL"], "is the picture itself"),
        (["chat", "IMAGE", "a", "-o", "IMAGE", "-m", "MODEL"], "is the picture itself"),
        (["find", "IMAGE", ""], "the text to find is empty"),
        (["train", "nowhere.yaml"], "no such recipe"),
        (["eval", "MODEL", "--lines", "FOLDER"], "no lines.jsonl"),
    ],
)
def test_wrong_arguments_get_one_line(arguments, says, image, tiny_folder, tmp_path, capsys):
    names = {"IMAGE": image, "MODEL": tiny_folder, "FOLDER": tmp_path}
    code, out, err = run(*[names.get(a, a) for a in arguments], capsys=capsys)
    assert (code, out) == (2, "") and one_line(err) and says in err, err


def test_an_answer_that_is_cut_off_says_so_unless_its_length_was_asked_for(image, tiny_folder, capsys, monkeypatch):
    monkeypatch.setitem(DEFAULTS, "max_new_tokens", 5)
    code, _, err = run("chat", image, "Read.", "-m", tiny_folder, capsys=capsys)
    assert (code, err) == (0, "note: the answer is cut off after 5 tokens; --max-new-tokens allows more\n")
    code, _, err = run("chat", image, "Read.", "-m", tiny_folder, "--max-new-tokens", "5", capsys=capsys)
    assert (code, err) == (0, "")


def test_an_altered_model_is_refused(image, tiny_folder, tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / "tokenizer.json").write_text("{}")
    code, _, err = run("chat", image, "a", "-m", folder, capsys=capsys)
    assert code == 2 and one_line(err) and "tokenizer.json" in err


def test_a_session_goes_on_until_an_empty_line(image, tiny_folder, monkeypatch, capsys):
    asked = iter(["Read.", "Again?", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(asked))
    code, out, err = run("chat", image, "-m", tiny_folder, "--max-new-tokens", "2", capsys=capsys)
    assert code == 0 and out.count("\n") >= 2 and "error" not in err


def test_a_question_that_is_refused_does_not_end_a_session(image, tiny_folder, monkeypatch, capsys):
    asked = iter(["<image> <image> a", "Read.", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(asked))
    code, out, err = run("chat", image, "-m", tiny_folder, "--max-new-tokens", "2", capsys=capsys)
    assert code == 2 and "2 image placeholders but 1 images" in err and err.count("error: ") == 1
    assert out.count("\n") >= 1  # the same image is still asked about


def test_text_only(tiny_folder, capsys):
    code, out, _ = run("chat", "-", "Hello?", "-m", tiny_folder, "--max-new-tokens", "2", capsys=capsys)
    assert code == 0 and out.endswith("\n")


def test_family_table(capsys):
    code, out, _ = run("family", capsys=capsys)
    assert code == 0 and "Mixtral-8x7B" in out and "779" in out


def test_eval_prints_the_error_rate(tiny_folder, tmp_path, capsys):
    lines = tmp_path / "lines"
    lines.mkdir()
    gray().save(lines / "0.png")
    (lines / "lines.jsonl").write_text('{"image": "0.png", "text": "abc", "document": "d"}\n')
    out_file = tmp_path / "answers.jsonl"
    code, out, _ = run("eval", tiny_folder, "--lines", lines, "-o", out_file, capsys=capsys)
    assert code == 0 and "character error rate" in out and "1 lines of 1 documents" in out
    assert '"text": "abc"' in out_file.read_text()


@pytest.mark.parametrize("bits", ["4", "8"])
def test_bits(tiny_folder, tmp_path, capsys, monkeypatch, bits):
    """Every command that takes the option loads its model so."""
    from sphinx_x.inference import SphinxX
    from sphinx_x.model.cpu_linear import Int4Linear, Int8Linear

    loaded, load = [], SphinxX.load

    def spied(*arguments, **options):
        loaded.append(load(*arguments, **options))
        return loaded[-1]

    monkeypatch.setattr(SphinxX, "load", spied)
    gray().save(tmp_path / "0.png")
    (tmp_path / "lines.jsonl").write_text('{"image": "0.png", "text": "abc", "document": "d"}\n')
    write_lines(tmp_path, "few", 2)
    for command in (
        ("chat", tmp_path / "0.png", "Hi", "-m", tiny_folder, "--max-new-tokens", "2"),
        ("eval", tiny_folder, "--lines", tmp_path),
        ("eval", tiny_folder, "--samples", tmp_path / "few-00000.jsonl", "--against", tiny_folder),
    ):
        code, out, err = run(*command, "--bits", bits, "--device", "cpu", capsys=capsys)
        assert code == 0, err
        layer = loaded[-1].model.model.language_model.layers[0].self_attn.q_proj
        assert type(layer) is {"4": Int4Linear, "8": Int8Linear}[bits]
    assert f"| {tiny_folder} | {tiny_folder} in {bits} bits |" in out
    assert type(loaded[-2].model.model.language_model.layers[0].self_attn.q_proj) is torch.nn.Linear


def test_help_imports_nothing_heavy():
    script = (
        "import sys\nfrom sphinx_x import cli\nsys.argv = ['sphinx-x', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'transformers', 'numpy', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    assert done.stdout.strip().endswith("[]")
