"""What lies over a page and is drawn with it without being its content: form fields, comments, stamps, markup.

None of their text is in pdfium's text layer. If any has text, all that are drawn become content of the page (in
memory), so that the picture and the text layer show the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from sphinx_x.engines.pdf.tuned import MOST_ANNOTATIONS

NOT_DRAWN = raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW
NEVER_DRAWN = (raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP)


@dataclass(frozen=True)
class Annotations:
    """The annotations of a page.

    Attributes:
        fields: Whether there are form fields, drawn or not.
        places: Left, bottom, right and top of each drawn annotation, in points.
        text: Whether any of them has text.
    """

    fields: int = 0
    places: Sequence[tuple[float, float, float, float]] = ()
    text: bool = False


def read_annotations(page: pdfium.PdfPage) -> Annotations:
    """Return the annotations of a rendered page; only while rendering does pdfium create missing appearances."""
    fields, text = 0, False
    places, around = [], raw.FS_RECTF()
    for handle in _annotations(page):
        kind = raw.FPDFAnnot_GetSubtype(handle)
        field = kind == raw.FPDF_ANNOT_WIDGET
        fields += field
        if kind not in NEVER_DRAWN and _is_drawn(page, handle, field):
            text = text or _has_text(handle)
            if raw.FPDFAnnot_GetRect(handle, around):
                places.append((around.left, around.bottom, around.right, around.top))
    return Annotations(fields, places, text)


def flattened(document: pdfium.PdfDocument, number: int, page: pdfium.PdfPage) -> pdfium.PdfPage:
    """Reload a page with its drawn annotations as content; the page that was given is closed."""
    for handle in _annotations(page):
        # pdfium's flattening shows those of no view and leaves out invisible ones, unlike its rendering
        shown = _is_drawn(page, handle, raw.FPDFAnnot_GetSubtype(handle) == raw.FPDF_ANNOT_WIDGET)
        raw.FPDFAnnot_SetFlags(handle, raw.FPDF_ANNOT_FLAG_PRINT if shown else raw.FPDF_ANNOT_FLAG_HIDDEN)
    done = raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY)
    page.close()
    if done == raw.FLATTEN_FAIL:
        raise pdfium.PdfiumError("annotations cannot be read")
    return document[number]


def _annotations(page: pdfium.PdfPage) -> Iterator[Any]:
    for number in range(min(raw.FPDFPage_GetAnnotCount(page), MOST_ANNOTATIONS)):
        handle = raw.FPDFPage_GetAnnot(page, number)
        if handle:
            yield handle
            raw.FPDFPage_CloseAnnot(handle)


def _is_drawn(page: pdfium.PdfPage, handle: Any, field: bool) -> bool:
    """Return whether an annotation is drawn; fields are drawn only if the document has a form environment."""
    return not raw.FPDFAnnot_GetFlags(handle) & NOT_DRAWN and not (field and page.formenv is None)


def _has_text(handle: Any) -> bool:
    """Return whether the appearance of an annotation has text, or a nested object that may have some."""
    count = max(raw.FPDFAnnot_GetObjectCount(handle), 0)
    kinds = (raw.FPDFPageObj_GetType(raw.FPDFAnnot_GetObject(handle, k)) for k in range(count))
    return any(kind in (raw.FPDF_PAGEOBJ_TEXT, raw.FPDF_PAGEOBJ_FORM) for kind in kinds)
