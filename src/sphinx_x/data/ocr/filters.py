"""Which pages are no good to learn from, each under one reason; and which script and language a page is in.

When in doubt a page is kept. A language is told for the report and for whoever wants to sort; no page is left out for
it. The limits were set on some hundred pages of manuals in 16 languages; every reason is counted.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict

from sphinx_x.data.ocr.page import Page


class Limits(BaseModel):
    """What a page must have. Shares are of its characters.

    letters: least number of letters and digits; broken: characters without trusted text (private use, replacement,
    control, a wrong map); hidden: invisible, off the page, or without ink; slanted: neither upright nor by quarters;
    fields: of a form; size: median em in pixels; figures: share of the page under images and drawings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    letters: int = 60
    broken: float = 0.05
    hidden: float = 0.2
    slanted: float = 0.1
    fields: int = 2
    size: float = 5.0


def judge(page: Page, limits: Limits) -> str | None:
    """The reason to leave a page out, the first that applies; None for one to keep."""
    total = max(len(page.chars), 1)
    hidden = sum(page.left_out[reason] for reason in ("invisible", "off the page", "without ink"))
    seen = ~page.chars.hidden
    if hidden > limits.hidden * total and hidden >= limits.letters:
        return "hidden or off-page text"
    if not seen.any() and is_blank(page.image):
        return "blank page"
    letters = sum(text[0].isalnum() for text, good in zip(page.chars.text, seen, strict=True) if good)
    if letters < limits.letters:
        return "scan without text" if page.shapes.scan else "too little text"
    if page.fields >= limits.fields:
        return "form"
    broken = int((page.chars.broken & seen).sum())
    if broken > limits.broken * seen.sum():
        return "broken Unicode"
    if page.left_out["slanted"] > limits.slanted * total:
        return "slanted text"
    if float(np.median(page.chars.size[seen])) < limits.size:
        return "text too small to read"
    if not page.lines:
        return "text only in figures"
    return None


SHADES = 24


def is_blank(image: Image.Image) -> bool:
    """Whether a picture is of one shade."""
    low, high = image.convert("L").getextrema()
    return high - low < SHADES  # pyright: ignore[reportOperatorIssue] (of one channel these are numbers)


SCRIPTS = (
    ("han", re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")),
    ("kana", re.compile("[\u3040-\u30ff\u31f0-\u31ff]")),
    ("hangul", re.compile("[\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f]")),
    ("cyrillic", re.compile("[\u0400-\u052f]")),
    ("greek", re.compile("[\u0370-\u03ff\u1f00-\u1fff]")),
    ("arabic", re.compile("[\u0600-\u06ff\u0750-\u077f]")),
    ("hebrew", re.compile("[\u0590-\u05ff]")),
    ("latin", re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")),
)
WORDS: Mapping[str, str] = {
    "en": "the of and to in is that for it as with be on this are by from or an at which have not you can",
    "de": "der die das und ist nicht ein eine zu den mit von auf für dem sich werden wird auch sind im oder als",
    "fr": "le la les des et est une un dans pour que qui sur pas par avec du ce sont plus il au vous",
    "es": "el los las y es una un en para que por con del se no como más su al lo este",
    "pt": "o os as e é uma um em para que por com do da não se como mais dos na no ao",
    "it": "il lo la gli e è una un di che per con del della non si come più nel sono alla",
    "nl": "de het een en is van in dat niet te voor met op zijn aan wordt ook door bij als of",
    "sv": "och att det som en är på för av med den till inte ett om har kan",
    "da": "og at det som en er på for af med den til ikke et om har kan der",
    "pl": "i w na z się nie do jest to że o po jak dla od przez są lub oraz",
    "cs": "a v na se je že to s do pro z jako nebo které který není lze jsou při",
    "sk": "a v na sa je že to s do pre z ako alebo ktoré ktorý nie možno sú pri",
    "hu": "a az és hogy nem is egy van meg ez el vagy csak mint de ha",
    "fi": "ja on ei että se joka ovat tai myös kun oli sen voi jos",
    "tr": "ve bir bu için ile da de olarak olan daha çok en gibi ya",
    "vi": "và của là có được các cho trong không một với này khi để",
    "ro": "și în a la cu de pe nu este să un o din pentru care mai",
    "la": "et in est non ad ut cum sed quod ex qui per si sunt",
    "ru": "и в не на что с по как это для из к а от или при его то",
    "uk": "і в не на що з як це для та до у або за при є від",
    "bg": "и в не на че с по като това за от е се да са или при",
    "sr": "и у не на да је се са као за од или су то би",
    "mn": "нь байна юм бол энэ ба дээр гэж болно",
}
BY_SCRIPT = {"cyrillic": ("ru", "uk", "bg", "sr", "mn")}
OWN = {"greek": "el", "hangul": "ko", "kana": "ja", "han": "zh", "hebrew": "he"}
ARABIC = {"fa": re.compile("[\u06af\u0686\u067e\u0698\u06cc\u06a9]"), "ar": re.compile("[\u0629\u064a\u0643\u0649]")}
_SETS = {language: frozenset(words.split()) for language, words in WORDS.items()}
SURE = 0.08
"""Share of function words from which a language is told."""
KANA, HANGUL, OTHER_SCRIPT = 0.05, 0.1, 0.3
"""Shares of letters from which a page is Japanese or Korean, or in another script than Latin, as manuals quote code."""


def language(text: str) -> tuple[str, str]:
    """The main script of a text and its language, by script and function words; `und` where it cannot be told."""
    counts = Counter({name: len(pattern.findall(text)) for name, pattern in SCRIPTS})
    total = sum(counts.values())
    if not total:
        other = Counter(_script_word(char) for char in text if char.isalpha())
        return (other.most_common(1)[0][0].lower() if other else "none"), "und"
    east = counts["han"] + counts["kana"] + counts["hangul"]
    if counts["kana"] > KANA * total and counts["kana"] > 0.1 * east:
        return "han", "ja"
    if counts["hangul"] > HANGUL * total:
        return "hangul", "ko"
    if counts["han"] > HANGUL * total:
        return "han", "zh"
    for script in ("cyrillic", "greek", "arabic", "hebrew"):
        if counts[script] > OTHER_SCRIPT * total:
            return script, _told(script, text)
    return "latin", _told("latin", text)


def _script_word(char: str) -> str:
    return unicodedata.name(char, "other").split()[0]


def _told(script: str, text: str) -> str:
    if script in OWN:
        return OWN[script]
    if script == "arabic":
        found = {name: len(pattern.findall(text)) for name, pattern in ARABIC.items()}
        return "fa" if found["fa"] > found["ar"] else "ar"
    words = re.findall(r"[^\W\d_]+", text.lower())
    names = BY_SCRIPT.get(script) or [name for name in WORDS if name not in BY_SCRIPT["cyrillic"]]
    scores = {name: sum(word in _SETS[name] for word in words) for name in names}
    best = max(sorted(scores), key=lambda name: scores[name])
    return best if words and scores[best] >= max(SURE * len(words), 3) else "und"
