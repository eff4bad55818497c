"""Lines of text in an image: where they are and what they say, as an OCR engine reads them."""

from sphinx_x.text_lines.line import TextLine
from sphinx_x.text_lines.reader import READERS, LineReader

__all__ = ["READERS", "LineReader", "TextLine"]
