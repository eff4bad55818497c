"""The script and language of a text: the script from its letters, the language from py3langid.

They are used in the report, for the wording of questions, and by anyone who wants to sort; no page is left out for
them.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from sphinx_x.errors import needs_extra

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

SCRIPTS: Mapping[str, Sequence[tuple[str, str]]] = {
    "han": (("\u3400", "\u4dbf"), ("\u4e00", "\u9fff"), ("\uf900", "\ufaff")),
    "kana": (("\u3040", "\u30ff"), ("\u31f0", "\u31ff")),
    "hangul": (("\uac00", "\ud7a3"), ("\u1100", "\u11ff"), ("\u3130", "\u318f")),
    "cyrillic": (("\u0400", "\u052f"),),
    "greek": (("\u0370", "\u03ff"), ("\u1f00", "\u1fff")),
    "arabic": (("\u0600", "\u06ff"), ("\u0750", "\u077f")),
    "hebrew": (("\u0590", "\u05ff"),),
    "latin": (("A", "Z"), ("a", "z"), ("\u00c0", "\u024f"), ("\u1e00", "\u1eff")),
}
"""First and last letters of ranges."""
UNKNOWN, NO_LANGUAGE = "und", "zxx"
"""ISO 639 codes for a language that cannot be told, and for text in no language (figures, code)."""
RELATIVES = ("bs", "nn")
"""Languages that the library confuses with others: Bosnian with Croatian, Nynorsk with Bokmål."""
SURE = 0.8
"""Least probability of a language. Of 1,680 messages of programs in 28 languages, one line each, 89% get a language,
0.1% a wrong one (with 0.9: 83%, 0.1%); of 2,179 texts of 250 characters and more, all get one."""
PIECES, LONG = 4, 150
"""A long text is judged by this many pieces of this many characters, evenly spread: more would only take longer."""
KANA, HANGUL, OTHER_SCRIPT = 0.05, 0.1, 0.3
"""Shares of letters from which a page is Japanese, Korean, or in a script other than Latin, since manuals quote code.
"""
_WORDS: Mapping[str, str] = {
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
COMMON = frozenset(word for words in _WORDS.values() for word in words.split() if len(word) > 2)
"""The commonest words of many languages with at least three letters: a text without any was hardly read correctly."""


def language(text: str) -> tuple[str, str]:
    """Return the main script of a text and its language, `und` if it cannot be told.

    Args:
        text: Of any length.

    Returns:
        The script (`latin`, `han`, ...; `none` without letters) and the language as an ISO 639 code.

    Raises:
        MissingToolError: py3langid is not installed.
    """
    counts: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for char, number in Counter(text).items():
        script = _script(char)
        if script:
            counts[script] += number
        elif char.isalpha():
            others[_script_word(char).lower()] += number
    total = counts.total()
    if not total:
        return (others.most_common(1)[0][0], _told(text)) if others else ("none", UNKNOWN)
    # the library takes Chinese and Japanese manuals for the code and the options that they quote
    east = counts["han"] + counts["kana"] + counts["hangul"]
    if counts["kana"] > KANA * total and counts["kana"] > 0.1 * east:
        return "han", "ja"
    if counts["hangul"] > HANGUL * total:
        return "hangul", "ko"
    if counts["han"] > HANGUL * total:
        return "han", "zh"
    script = next((s for s in ("cyrillic", "greek", "arabic", "hebrew") if counts[s] > OTHER_SCRIPT * total), "latin")
    return script, _told(text)


@cache
def _script(char: str) -> str:
    return next((name for name, ranges in SCRIPTS.items() if any(a <= char <= b for a, b in ranges)), "")


def _script_word(char: str) -> str:
    return unicodedata.name(char, "other").split()[0]


def _told(text: str) -> str:
    if len(text) > PIECES * LONG:
        step = (len(text) - LONG) // (PIECES - 1)
        text = " ".join(text[k * step : k * step + LONG] for k in range(PIECES))
    found, probability = load_languages().classify(text)
    return UNKNOWN if probability < SURE or found == NO_LANGUAGE else found


@cache
def load_languages() -> LanguageIdentifier:
    """Return the model for all languages with two-letter codes, which takes a second to load and 80 MB.

    Call it before starting processes, so that they share it.

    Raises:
        MissingToolError: py3langid is not installed.
    """
    with needs_extra("data", "telling languages"):
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    # those of three letters are ancient or local forms of others, which get a share of every page in them
    known = [name for name in model.labels if len(name) == 2 and name not in RELATIVES]
    model.set_languages([*known, NO_LANGUAGE])
    return model


def settle_languages(pages: Sequence[dict]) -> None:
    """Give pages whose language is `und` the language of most other pages of their document.

    Only pages of the same script count, and only a language of more than half of those whose language is known.

    Args:
        pages: The pages' `script` and `language`, which is changed in place.
    """
    told: dict[str, Counter[str]] = {}
    for page in pages:
        if page.get("language", UNKNOWN) != UNKNOWN:
            told.setdefault(page["script"], Counter())[page["language"]] += 1
    for page in pages:
        if page.get("language") == UNKNOWN and page["script"] in told:
            spoken, count = told[page["script"]].most_common(1)[0]
            if 2 * count > told[page["script"]].total():
                page["language"] = spoken
