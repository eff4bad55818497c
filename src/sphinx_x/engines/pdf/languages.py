"""Which script and language a text is in, by its letters and its commonest words.

It is told for the report and for whoever wants to sort; no page is left out for it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

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
COMMON = frozenset(word for words in WORDS.values() for word in words.split() if len(word) > 2)
"""The commonest words of all these languages, those of at least three letters."""
_SETS = {language: frozenset(words.split()) for language, words in WORDS.items()}
UNKNOWN = "und"
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
        return (other.most_common(1)[0][0].lower() if other else "none"), UNKNOWN
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
    return best if words and scores[best] >= max(SURE * len(words), 3) else UNKNOWN


def settle_languages(pages: Sequence[dict]) -> None:
    """Gives the pages of a document (their `script`, `language`) that are `und` the language of most of the others.

    Only pages of the same script count, and only a language that more than half of those that can be told are in.
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
