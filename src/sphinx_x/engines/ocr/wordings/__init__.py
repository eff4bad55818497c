"""How a page is asked about, one file for each language.

Pages in a language that has no file, or whose language cannot be told, are asked about in English. Text is quoted
with `"` in every language: the quotation is a key to search for, not typography, and no text that contains such a sign
is quoted.
"""

from collections.abc import Mapping

from sphinx_x.engines.ocr.wordings import english, french, german, italian, portuguese, spanish
from sphinx_x.engines.ocr.wordings.base import Noun, Wordings

__all__ = ["WORDINGS", "Noun", "Wordings", "wordings_of"]

WORDINGS: Mapping[str, Wordings] = {
    "en": english.WORDINGS,
    "de": german.WORDINGS,
    "fr": french.WORDINGS,
    "es": spanish.WORDINGS,
    "it": italian.WORDINGS,
    "pt": portuguese.WORDINGS,
}
"""The wordings by language, as `languages.language` names it."""


def wordings_of(language: str) -> Wordings:
    """Return the wordings of a language, or the English ones where there are none."""
    return WORDINGS.get(language, WORDINGS["en"])
