"""Languages and scripts of texts and of the pages of a document."""

from __future__ import annotations

import pytest

from sphinx_x.engines.pdf.languages import language, settle_languages

LANGUAGES = {
    ("latin", "en"): "the cat sat on the mat and it was happy to be there with a friend",
    ("latin", "de"): "der Hund und die Katze sind nicht mit dem Vogel auf der Wiese",
    ("latin", "fr"): "le chat est dans la maison et les enfants ne sont pas avec lui",
    ("latin", "pl"): "nie jest to dla nas i do tego się nie nadaje na pewno",
    ("cyrillic", "ru"): "это не то что он хотел и как это было на самом деле",
    ("greek", "el"): "η γλώσσα αυτή είναι ελληνική",
    ("han", "ja"): "これは日本語の文章です。漢字も含まれています",
    ("han", "zh"): "这是中文的文章，没有假名",
    ("hangul", "ko"): "이것은 한국어 문장입니다",
    ("arabic", "ar"): "هذه جملة مكتوبة باللغة العربية",
    ("arabic", "fa"): "این یک جمله فارسی است که گچ و ژاله دارد",
    ("hebrew", "he"): "זה משפט בעברית",
    ("latin", "no"): "vi har ikke sett boken som lå på bordet i stua siden i går kveld",
    ("latin", "ca"): "aquest llibre explica com es feien els vaixells de fusta al nostre port",
    (
        "latin",
        "hr",
    ): "ova knjiga govori o tome kako su se gradili drveni brodovi u našoj luci, tko ih je gradio i što je "
    "svatko od njih morao znati o vjetru i moru prije nego što je smio isploviti",
    ("latin", "sl"): "ta knjiga pripoveduje o tem, kako so gradili lesene ladje v našem pristanišču",
    ("latin", "et"): "see raamat räägib sellest, kuidas meie sadamas puulaevu ehitati",
    ("latin", "lt"): "ši knyga pasakoja apie tai, kaip mūsų uoste buvo statomi mediniai laivai",
    ("latin", "fi"): "tämä kirja kertoo siitä, miten satamassamme rakennettiin puulaivoja",
    ("latin", "eu"): "liburu honek gure portuan zurezko itsasontziak nola egiten ziren kontatzen du",
    ("thai", "th"): "หนังสือเล่มนี้เล่าเรื่องการต่อเรือไม้ในท่าเรือของเรา",
    ("devanagari", "hi"): "यह पुस्तक बताती है कि हमारे बंदरगाह में लकड़ी की नावें कैसे बनाई जाती थीं",
    ("latin", "und"): "xqz wvt 12 brrk",
    ("none", "und"): "12 34 %",
}


@pytest.mark.parametrize("expected", LANGUAGES)
def test_languages(expected):
    assert language(LANGUAGES[expected]) == expected


def test_figures_and_code_are_in_no_language():
    rows = " ".join(f"A-{k} {k * 37 % 991} kg {k * 17 % 100}.{k % 10} mm No. {k}" for k in range(60))
    assert language(rows) == ("latin", "und")
    code = "\n".join(
        f"static int row_{k}(struct cell *c) {{ return c->v[{k}] == NULL ? -1 : {k}; }}" for k in range(30)
    )
    assert language(code) == ("latin", "und")


def test_a_long_text_is_told_by_all_of_it():
    """A title page's name and a table at the end do not decide, and neither does the length."""
    german = LANGUAGES["latin", "de"] + ". "
    assert language("Introduction to " + german * 100 + "12.5 kg " * 50) == ("latin", "de")
    assert language(german * 1000) == ("latin", "de")


def test_pages_take_the_language_of_their_document():
    def pages(*languages: str) -> list[dict]:
        return [{"script": name.split("/")[0], "language": name.split("/")[1]} for name in languages]

    def settled(*languages: str) -> list[str]:
        given = pages(*languages)
        settle_languages(given)
        return [page["language"] for page in given]

    assert settled("latin/de", "latin/und", "latin/de", "latin/en") == ["de", "de", "de", "en"]
    assert settled("latin/de", "latin/und", "latin/en") == ["de", "und", "en"]
    assert settled("cyrillic/ru", "latin/und", "cyrillic/und") == ["ru", "und", "ru"]
    given: list[dict] = [{"reason": "damaged page"}, *pages("latin/fr", "latin/und")]
    settle_languages(given)
    assert given == [{"reason": "damaged page"}, *pages("latin/fr", "latin/fr")]
