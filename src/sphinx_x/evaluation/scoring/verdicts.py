"""The verdicts that tasks share: an item, an answer and how it is read -> what it is worth."""

from __future__ import annotations

from collections.abc import Callable

from sphinx_x.boxes import contains, iou
from sphinx_x.errors import DataError
from sphinx_x.evaluation.counts import Errors, closest
from sphinx_x.evaluation.items import NOT_SCORED, UNREADABLE, Item, Verdict
from sphinx_x.evaluation.metrics import character_errors, word_errors
from sphinx_x.evaluation.scoring import boxes, choice, text, vqa, yes_no
from sphinx_x.evaluation.task import Reading
from sphinx_x.model.views import plan_views


def graded(score: float, answer: str) -> Verdict:
    """The verdict about a text: an empty one says nothing, unless nothing is what was asked for."""
    said = answer.strip()
    return Verdict(score, said if said or score else None)


def vqa_accuracy(item: Item, answer: str, how: Reading) -> Verdict:
    """Agreement with ten people."""
    return graded(vqa.vqa_accuracy(answer, item.references, "script" if how.rule == "script" else "official"), answer)


def same_text(item: Item, answer: str, how: Reading) -> Verdict:
    """Equal to one of the true answers."""
    return graded(text.same_text(answer, item.references), answer)


def same_letters_and_digits(item: Item, answer: str, how: Reading) -> Verdict:
    """Letters and digits equal to those of one of the true answers; `strict`: the very text."""
    if how.rule == "strict":
        return graded(float(answer.strip() in item.references), answer)
    return graded(text.same_letters_and_digits(answer, item.references), answer)


def anls(item: Item, answer: str, how: Reading) -> Verdict:
    """Normalised Levenshtein similarity."""
    return graded(text.anls(answer, item.references, "script" if how.rule == "script" else "official"), answer)


def relaxed(item: Item, answer: str, how: Reading) -> Verdict:
    """Numbers within 5 %."""
    rule = "script" if how.rule == "script" else "official"
    return graded(text.relaxed_accuracy(answer, item.references, rule), answer)


def correct_share(errors: Errors) -> Callable[[Item, str, Reading], Verdict]:
    """Make the verdict whose score is what is left of 1 without the errors' share of the closest true text."""

    def verdict(item: Item, answer: str, how: Reading) -> Verdict:
        wrong, length = closest(errors, answer, item.references)
        return graded(max(0.0, 1 - wrong / max(length, 1)), answer)

    return verdict


characters = correct_share(character_errors)
words = correct_share(word_errors)


def option(item: Item, answer: str, how: Reading) -> Verdict:
    """The letter of the true option, or its text. `strict`: the letter alone."""
    if how.rule == "strict":
        bare = answer.strip().removesuffix(".")
        said = bare if bare in item.options else None
    else:
        said = choice.read_option(answer, item.options)
    return UNREADABLE if said is None else Verdict(float(said == item.references[0].strip()), said)


def word(read: Callable[[str], str | None] = yes_no.read_yes_no) -> Callable[[Item, str, Reading], Verdict]:
    """Yes or no, by a way to read it."""

    def verdict(item: Item, answer: str, how: Reading) -> Verdict:
        said = read(answer)
        return UNREADABLE if said is None else Verdict(float(said == item.references[0].strip().lower()), said)

    return verdict


def box(item: Item, answer: str, how: Reading) -> Verdict:
    """A box that overlaps the true one by half at least, in the frame that the model declares."""
    found = boxes.read_box(answer)
    if found is None:
        return UNREADABLE
    assert item.box is not None and item.size is not None
    placed = plan_views(*item.size, how.frame).from_square(found)
    return Verdict(float(iou(placed, item.box) >= boxes.OVERLAP), ", ".join(f"{number:g}" for number in found))


def not_scored(item: Item, answer: str, how: Reading) -> Verdict:
    """None: only a judge could tell."""
    return NOT_SCORED


def inside(item: Item, answer: str, how: Reading) -> Verdict:
    """A point, or the centre of a box, inside the true box (its edges included), in the frame that the model declares.

    Raises `DataError` where the size of the image is not known.
    """
    found = boxes.read_point(answer)
    if found is None:
        return UNREADABLE
    if item.size is None:
        shown = ", ".join(picture.name for picture in item.pictures)
        raise DataError(f"item {item.index}: a place is a share of the picture, and {shown} cannot be read")
    assert item.box is not None
    x, y = plan_views(*item.size, how.frame).from_square(found)
    return Verdict(float(contains(item.box, (x, y))), f"{found[0]:g}, {found[1]:g}")


def holds_word(item: Item, answer: str, how: Reading) -> Verdict:
    """Holds one of the true answers as whole words, both sides normalised as for VQA (Tiny LVLM-eHub)."""
    return graded(text.holds_word(answer, item.references), answer)
