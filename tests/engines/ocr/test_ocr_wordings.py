"""Questions in the page's language, and answers in which a count and its noun agree."""

from __future__ import annotations

import random
import re
from dataclasses import fields
from pathlib import Path

import pypdfium2 as pdfium
import pytest

from messages import dicts
from pdf_pages import PageOf, Pdf, paragraph, show
from som_said import faults
from sphinx_x.engines.ocr.parts import PartSettings
from sphinx_x.engines.ocr.pdfs import OcrSettings
from sphinx_x.engines.ocr.questions import CLASSES, KINDS, QuestionSettings, ask
from sphinx_x.engines.ocr.wordings import WORDINGS, Wordings, wordings_of
from sphinx_x.engines.pdf.page import Page, read_page
from sphinx_x.sources.base import UnusedError
from sphinx_x.sources.layout import counted

PAGES = {
    "en": (
        "The ship left the harbour in the morning and the people on",
        "the quay waved until it was out of sight. There was not a",
        "cloud in the sky, and the sea lay as if it had been painted.",
    ),
    "de": (
        "Das Schiff verließ den Hafen am Morgen, und die Leute auf dem",
        "Kai winkten, bis es nicht mehr zu sehen war. Es war eine der",
        "Fahrten, von denen man sich noch lange mit Freude erzählt.",
    ),
    "fr": (
        "Le navire quitta le port au matin, et les gens sur le quai",
        "agitaient la main pour dire adieu. Il n'y avait pas un nuage",
        "dans le ciel, et la mer est plus belle que dans une image.",
    ),
    "es": (
        "El barco salió del puerto por la mañana y la gente en el",
        "muelle saludaba con la mano. No había una nube en el cielo,",
        "y el mar es como un cuadro para los que lo miran de lejos.",
    ),
    "it": (
        "La nave lasciò il porto di mattina e la gente sulla banchina",
        "salutava con la mano. Non si vede una nuvola nel cielo, e il",
        "mare è come un quadro per chi lo guarda di lontano, più che mai.",
    ),
    "pt": (
        "O navio saiu do porto pela manhã e as pessoas no cais não se",
        "cansavam de acenar com a mão. É um dia sem uma nuvem no céu,",
        "e o mar é como um quadro para os que o olham de longe da costa.",
    ),
    "nl": (
        "Het schip verliet de haven in de ochtend en de mensen op de",
        "kade zwaaiden tot het niet meer te zien was. Het is een van",
        "de reizen van het jaar die met vreugde wordt verteld door ons.",
    ),
}


def page_in(tmp_path: Path, name: str, blocks: int = 2) -> Page:
    lines = PAGES[name]
    operators = [show("1881", 60, 780, 18)]
    for k in range(blocks):
        operators += paragraph([f"{k + 1} {lines[0]}", *lines[1:]], 60, 740 - 60 * k)
    document = pdfium.PdfDocument(Pdf([PageOf(operators)]).write(tmp_path / f"{name}.pdf"))
    try:
        return read_page(document, 0, 1024)
    finally:
        document.close()


def asked_in(page: Page, **more: object) -> list[tuple[str, list[dict]]]:
    """Questions as text, places as `{}`, and the parts of their answers; of all kinds, over many draws."""
    found = []
    for kind in KINDS:
        for seed in range(8):
            settings = QuestionSettings(weights={kind: 1}, **more)  # type: ignore[arg-type]
            try:
                question, answer = dicts(ask(page, settings, random.Random(seed)).messages)
            except UnusedError:
                continue
            shown = "".join(part.get("text", "{}") for part in question["content"] if part["type"] != "image")
            found.append((shown, answer["content"]))
    return found


def belongs(question: str, words: Wordings) -> bool:
    forms = [form for one in fields(words) for form in getattr(words, one.name) if one.name in QUESTIONS]
    return any(re.fullmatch(re.escape(form).replace(r"\{\}", ".+"), question, re.DOTALL) for form in forms)


QUESTIONS = {one.name for one in fields(Wordings)} - {
    *("nouns", "there_is", "there_are", "none", "words", "numbers", "conjunction", "two")
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_asked_about_in_its_language(tmp_path, name):
    """In Dutch there are no wordings, so a Dutch page is asked about in English."""
    page = page_in(tmp_path, name)
    spoken = name if name in WORDINGS else "en"
    found = asked_in(page)
    assert len(found) > 30
    for question, _ in found:
        assert [key for key, words in WORDINGS.items() if belongs(question, words)] == [spoken], question
    for question, _ in asked_in(page, language="fr"):
        assert belongs(question, WORDINGS["fr"])


def test_a_part_is_asked_about_in_the_language_of_its_page(tmp_path):
    from sphinx_x.data.shards import SampleReader
    from sphinx_x.engines.ocr.engine import make_ocr

    for k in range(4):
        page_in(tmp_path / "pdfs" / str(k), "de", blocks=k + 3)
    questions = QuestionSettings(turns=1, weights={"read_page": 1})
    settings = OcrSettings(long_edge=1024, part=PartSettings(lines=1, width=1024), questions=questions, near=1.0)
    make_ocr(tmp_path / "pdfs", tmp_path / "out", settings, workers=1)
    reader = SampleReader(tmp_path / "out")
    said = {reader[k].messages[0].parts[1].text for k in range(len(reader))}
    assert said and said <= set(WORDINGS["de"].read_page)


def written(parts: list) -> str:
    return "".join(part if isinstance(part, str) else "[]" for part in parts)


BOX = (1.0, 2.0, 30.0, 40.0)
SAID = {
    "en": (
        "There are 14 text blocks[], two figures[] and one title[] in the image.",
        "There is one text block[] in the image.",
        "There is no table in the image.",
        "There is a[] in the image.",
        "There are a[], i[] and i[] in the image.",
    ),
    "de": (
        "Es gibt 14 Textblöcke[], zwei Abbildungen[] und einen Titel[] im Bild.",
        "Es gibt einen Textblock[] im Bild.",
        "Es gibt keine Tabelle im Bild.",
        "Im Bild steht a[].",
        "Im Bild stehen a[], i[] und i[].",
    ),
    "fr": (
        "Il y a 14 blocs de texte[], deux figures[] et un titre[] dans l'image.",
        "Il y a un bloc de texte[] dans l'image.",
        "Il n'y a pas de tableau dans l'image.",
        "Il y a a[] dans l'image.",
        "Il y a a[], i[] et i[] dans l'image.",
    ),
    "es": (
        "Hay 14 bloques de texto[], dos figuras[] y un título[] en la imagen.",
        "Hay un bloque de texto[] en la imagen.",
        "No hay ninguna tabla en la imagen.",
        "En la imagen está a[].",
        "En la imagen están a[], i[] e i[].",
    ),
    "it": (
        "Ci sono 14 blocchi di testo[], due figure[] e un titolo[] nell'immagine.",
        "C'è un blocco di testo[] nell'immagine.",
        "Non c'è nessuna tabella nell'immagine.",
        "C'è a[] nell'immagine.",
        "Ci sono a[], i[] e i[] nell'immagine.",
    ),
    "pt": (
        "Há 14 blocos de texto[], duas figuras[] e um título[] na imagem.",
        "Há um bloco de texto[] na imagem.",
        "Não há nenhuma tabela na imagem.",
        "Na imagem está a[].",
        "Na imagem estão a[], i[] e i[].",
    ),
}


@pytest.mark.parametrize("name", WORDINGS)
def test_counts_and_nouns_agree(name):
    """Written by hand in each language; the comma and the bracket stand as in the paper's example."""
    words = wordings_of(name)
    many = words.counted({"title": [BOX], "text": [BOX] * 14, "figure": [BOX] * 2})
    said = [written(many), written(words.counted({"text": [BOX]})), written(words.counted({"table": []}))]
    place = {"type": "box", "image": 0, "box": [1, 2, 3, 4]}
    said += [written(words.spotted([["a", place]])), written(words.spotted([["a", place], ["i", place], ["i", place]]))]
    assert tuple(said) == SAID[name]
    assert set(words.nouns) == set(CLASSES)


def test_the_joint_of_spanish():
    words = wordings_of("es")
    joints = {"índice": " e ", "hijo": " e ", "hierro": " y ", "iones": " y ", "Isla": " e ", "yo": " y ", "uno": " y "}
    assert {word: words.listing([["x"], [word]])[1] for word in joints} == joints


def test_numbers_up_to_twelve_are_words():
    for name, words in WORDINGS.items():
        assert len({words.number(k) for k in range(2, 13)}) == 11, name
        assert words.number(13) == "13"
    assert wordings_of("xx") is WORDINGS["en"]


@pytest.mark.parametrize("name", [*WORDINGS])
def test_no_faults_in_dialogues(tmp_path, name):
    page = page_in(tmp_path, name, blocks=6)
    for question, answer in asked_in(page):
        text = "".join(part.get("text", "[]") for part in answer)
        assert not faults(question), question
        if name == "en" and any(part["type"] != "text" for part in answer):
            assert not faults(text), text


def test_dots_that_lead_to_a_page_number_are_no_words(tmp_path):
    entries = [f"Part {name} . . . . . . . . . . {k}" for k, name in enumerate(("one", "two", "six"), 7)]
    document = pdfium.PdfDocument(Pdf([PageOf(paragraph(entries, 60, 740))]).write(tmp_path / "contents.pdf"))
    page = read_page(document, 0, 1024)
    (_, answer) = dicts(ask(page, QuestionSettings(weights={"spot_words": 1}), random.Random(0)).messages)
    words = [part["text"].strip(", ") for part in answer["content"] if part["type"] == "text"]
    assert len(words) == 10 and not {".", "..."} & set(words), words


def test_layouts_of_public_sets_agree_as_well():
    box = [1.0, 2.0, 3.0, 4.0]
    assert written(counted({"text": [box] * 2, "list item": [box] * 3, "title": [box]})) == (
        "There are three list items[], two text blocks[] and one title[] in the image."
    )
    assert written(counted({"text": [box]})) == "There is one text block[] in the image."
    assert written(counted({"text": []})) == "There is no text block in the image."
