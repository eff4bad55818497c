"""Images with several frames, and pages of PDFs."""

import io
import threading

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from pictures import BLUE, RED, encode, refuse
from sphinx_x import images
from sphinx_x.images import open_image


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
def test_frames(kind):
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)
    data = encode(first, kind, save_all=True, append_images=[second])
    assert open_image(data).getpixel((3, 3)) == RED
    assert open_image(data, page=2).getpixel((3, 3)) == BLUE
    refuse(data, "no page 3", "2", page=3)


def test_pages_of_a_single_picture(picture):
    for source in (encode(picture), picture, np.asarray(picture)):
        refuse(source, "no page 2", page=2)
        refuse(source, "no page 0", page=0)


@pytest.fixture(scope="module")
def pdf() -> bytes:
    """Two pages of 72 x 36 points: one red, one blue."""
    red, blue = Image.new("RGB", (72, 36), RED), Image.new("RGB", (72, 36), BLUE)
    return encode(red, "PDF", resolution=72, save_all=True, append_images=[blue])


def test_pdf_pages(tmp_path, pdf):
    path = tmp_path / "named.png"
    path.write_bytes(pdf)
    for source in (path, pdf, b"\xef\xbb\xbf\n" + pdf):
        for page, colour in ((1, RED), (2, BLUE)):
            opened = open_image(source, page=page)
            assert opened.size == (150, 75)
            assert np.abs(np.subtract(opened.getpixel((70, 30)), colour)).max() < 4
    assert open_image(pdf, dpi=72).size == (72, 36)
    refuse(path, "named.png", "no page 3", page=3)


def test_pdf_dpi_and_size(pdf):
    for dpi in (0, -1, float("nan"), float("inf")):
        refuse(pdf, "dpi", dpi=dpi)
    refuse(pdf, "20000 x 10000", "limit", dpi=20_000)


@pytest.mark.parametrize("part", [0.01, 0.3])
def test_broken_pdf(tmp_path, pdf, part):
    path = tmp_path / "broken.pdf"
    path.write_bytes(pdf[: int(len(pdf) * part)])
    refuse(path, "broken.pdf", "broken PDF")


def test_encrypted_pdf(tmp_path):
    path = tmp_path / "secret.pdf"
    path.write_bytes(encrypted_pdf())
    refuse(path, "secret.pdf", "encrypted")


def encrypted_pdf() -> bytes:
    """The smallest PDF that asks for a password: its key entries are noise, so the empty password is wrong."""
    noise = "<" + "5a" * 32 + ">"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 72 72] >>",
        f"<< /Filter /Standard /V 1 /R 2 /O {noise} /U {noise} /P -4 >>",
    ]
    text, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(text))
        text += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = "<< /Size 5 /Root 1 0 R /Encrypt 4 0 R /ID [<00> <00>] >>"
    return f"{text}xref\n0 5\n0000000000 65535 f \n{table}trailer\n{trailer}\nstartxref\n{len(text)}\n%%EOF\n".encode()


def test_pdf_with_no_page():
    document = pypdfium2.PdfDocument.new()
    stream = io.BytesIO()
    document.save(stream)
    refuse(stream.getvalue(), "image bytes")


def test_pdf_from_many_threads(pdf):
    """pdfium itself crashes when two threads are in it."""
    found = []
    threads = [threading.Thread(target=lambda: found.extend(open_image(pdf).size for _ in range(10))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(150, 75)] * 40


def test_pdfium_is_entered_by_one_thread_only(pdf, monkeypatch):
    real = pypdfium2.PdfDocument

    def document(stream):
        assert images._pdfium_lock.locked()
        return real(stream)

    monkeypatch.setattr(pypdfium2, "PdfDocument", document)
    open_image(pdf)
    assert not images._pdfium_lock.locked()
