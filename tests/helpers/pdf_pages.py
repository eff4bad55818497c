"""Small PDFs for tests, written by hand: pages of operators, and a font of boxes that can say any text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BOXES = "F9"
"""A font without letters: code k of it is a filled box half an em wide that means the k-th text of `meanings`."""


@dataclass
class PageOf:
    """A page's operators, the size of its sheet, its rotation, and further entries of its dictionary."""

    operators: Sequence[str]
    size: tuple[float, float] = (595, 842)
    rotate: int = 0
    more: str = ""


@dataclass
class Pdf:
    """A PDF file. meanings: texts of the font of boxes; claims: what the text layer says that letters of F1 are; root:
    more entries of the catalogue; objects: further ones."""

    pages: Sequence[PageOf]
    meanings: Sequence[str] = ()
    claims: Mapping[str, str] = field(default_factory=dict)
    root: str = ""
    trailer: str = ""
    objects: Sequence[bytes] = field(default_factory=tuple)

    def write(self, path: Path) -> Path:
        """Writes the file and gives its path."""
        count = len(self.pages)
        first = 20
        kids = " ".join(f"{first + 2 * k} 0 R" for k in range(count))
        numbered: dict[int, bytes] = {
            1: f"<</Type/Catalog/Pages 2 0 R {self.root}>>".encode(),
            2: f"<</Type/Pages/Kids[{kids}]/Count {count}>>".encode(),
            3: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding%s>>"
            % (b"/ToUnicode 10 0 R" if self.claims else b""),
            4: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica-Bold/Encoding/WinAnsiEncoding>>",
            5: b"<</Type/Font/Subtype/Type1/BaseFont/Courier/Encoding/WinAnsiEncoding>>",
        } | self._font_of_boxes()
        if self.claims:
            numbered[10] = _to_unicode((ord(letter), text) for letter, text in self.claims.items())
        for k, page in enumerate(self.pages):
            fonts = f"<</F1 3 0 R/F2 4 0 R/F3 5 0 R{f'/{BOXES} 6 0 R' if self.meanings else ''}>>"
            numbered[first + 2 * k] = (
                f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {page.size[0]} {page.size[1]}]/Rotate {page.rotate}"
                f"/Contents {first + 2 * k + 1} 0 R/Resources<</Font{fonts}>>{page.more}>>"
            ).encode()
            numbered[first + 2 * k + 1] = _stream("\n".join(page.operators).encode("latin-1"))
        for k, body in enumerate(self.objects):
            numbered[1000 + k] = body
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_assembled(numbered, self.trailer))
        return path

    def _font_of_boxes(self) -> dict[int, bytes]:
        if not self.meanings:
            return {}
        codes = range(1, len(self.meanings) + 1)
        names = " ".join(f"/g{k}" for k in codes)
        procs = " ".join(f"/g{k} 8 0 R" for k in codes)
        widths = " ".join("500" for _ in codes)
        font = (
            f"<</Type/Font/Subtype/Type3/Name/Boxes/FontBBox[0 -200 500 800]/FontMatrix[0.001 0 0 0.001 0 0]"
            f"/FirstChar 1/LastChar {len(codes)}/Widths[{widths}]/Encoding<</Differences[1 {names}]>>"
            f"/CharProcs<<{procs}>>/ToUnicode 7 0 R/Resources<<>>>>"
        )
        return {
            6: font.encode(),
            7: _to_unicode(enumerate(self.meanings, 1)),
            8: _stream(b"500 0 20 0 480 700 d1 20 0 460 700 re f"),
        }


def _to_unicode(meanings: Iterable[tuple[int, str]]) -> bytes:
    """The map from codes to texts of a font."""
    lines = [f"<{code:02x}> <{text.encode('utf-16-be').hex()}>" for code, text in meanings]
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def\n"
        "1 begincodespacerange <00> <ff> endcodespacerange\n"
        f"{len(lines)} beginbfchar\n" + "\n".join(lines) + "\nendbfchar endcmap end end"
    )
    return _stream(cmap.encode())


def _stream(content: bytes) -> bytes:
    return b"<</Length %d>>stream\n%s\nendstream" % (len(content), content)


def _assembled(numbered: dict[int, bytes], trailer: str) -> bytes:
    data, places = b"%PDF-1.7\n", {}
    for number, body in sorted(numbered.items()):
        places[number] = len(data)
        data += b"%d 0 obj %s endobj\n" % (number, body)
    start = len(data)
    data += b"xref\n0 1\n0000000000 65535 f \n"
    for number, place in places.items():
        data += b"%d 1\n%010d 00000 n \n" % (number, place)
    data += b"trailer<</Size %d/Root 1 0 R %s>>\n" % (max(numbered) + 1, trailer.encode())
    return data + b"startxref\n%d\n%%%%EOF" % start


def show(text: str, x: float, y: float, size: float = 10, font: str = "F1", matrix: str = "1 0 0 1") -> str:
    """The operators that set a text of Western Europe at a point."""
    escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"BT /{font} {size} Tf {matrix} {x} {y} Tm ({escaped}) Tj ET"


def show_codes(codes: Sequence[int], x: float, y: float, size: float = 10) -> str:
    """The same for codes of the font of boxes."""
    return f"BT /{BOXES} {size} Tf 1 0 0 1 {x} {y} Tm <{bytes(codes).hex()}> Tj ET"


def paragraph(
    lines: Sequence[str], x: float, y: float, size: float = 10, font: str = "F1", lead: float = 12
) -> list[str]:
    """Lines one below the other."""
    return [show(line, x, y - lead * k, size, font) for k, line in enumerate(lines)]
