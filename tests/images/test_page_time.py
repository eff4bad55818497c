"""Pages of PDFs are drawn as pypdfium2 draws them, and for a limited time."""

import time
import zlib

import pypdfium2
import pytest

from sphinx_x import images
from sphinx_x.errors import ImageError
from sphinx_x.images import open_image


def page(content):
    """A PDF of one page of 100 x 100 points with a yellow note and a text field, and this content."""
    packed = zlib.compress(content)
    field = b"/Subtype/Widget/FT/Tx/T(a)/V(word)/DA(/F 12 Tf 0 g)/Rect[10 10 90 30]/AP<</N 6 0 R>>"
    shown = b"/Tx BMC 1 0 0 rg 0 0 40 10 re f EMC"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[5 0 R]>>>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]/Contents 4 0 R/Annots[5 0 R]>>",
        b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(packed), packed),
        b"<</Type/Annot" + field + b">>",
        b"<</Type/XObject/Subtype/Form/BBox[0 0 80 20]/Length %d>>stream\n%s\nendstream" % (len(shown), shown),
    ]
    out, starts = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        starts.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(out))
    return out + head + table + end


def test_a_page_is_drawn_as_the_library_draws_it():
    content = page(b"0 0 1 rg 20 40 50 30 re f 0 0 m 100 100 l S")
    with pypdfium2.PdfDocument(content) as document:
        document.init_forms()
        want = document[0].render(scale=150 / 72).to_pil().convert("RGB")
    got = open_image(content, dpi=150)
    assert got.tobytes() == want.tobytes() and len(got.getcolors(100_000)) > 3


def test_a_page_that_takes_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(images, "RENDER_SECONDS", 0.2)
    began = time.monotonic()
    with pytest.raises(ImageError, match=r"longer than 0\.2 seconds"):
        open_image(page(b"0 0 m 100 100 l S " * 30_000))
    assert time.monotonic() - began < 10
    assert open_image(page(b"0 0 m 100 100 l S")).size[0] > 50
