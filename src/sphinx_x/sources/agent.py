"""Screenshots of web pages: where an element is, and what is at a place (SeeClick)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sphinx_x.sources.base import Draft, Expected, Raw, Record, Source, UnusedError, grouped
from sphinx_x.sources.dialogue import Content, box, dialogue, pick, point, rng_of

COMMAND = 'In this UI screenshot, what is the position of the element corresponding to the command "{}" (with '
POINT, BOX = COMMAND + "point)?", COMMAND + "bbox)?"
KINDS = {
    "text": ("What is the text of the element at {}?", "What does the element at {} say?"),
    "hover": ("What is the element at {} for?", "What does clicking the element at {} do?"),
}
LONGEST = 60
SMALLEST = 0.001
"""Share of the width or height of the screenshot."""


def read_seeclick(raw: Raw) -> Iterator[Record]:
    """Yield one record for each screenshot of a JSON list of `{"img_filename", "url", "elements"}`."""
    return grouped(raw.json("seeclick_web.json"), "img_filename")


def build_seeclick(record: Record, raw: Raw) -> Draft:
    """Ask about every element once, in random order and one of four random directions (text and point or box).

    A name that several elements of a page share cannot be searched for: such elements are only asked for their name.
    """
    left_out: Counter[str] = Counter()
    usable = []
    for element in (element for entry in record.data for element in entry["elements"]):
        problem = element_problem(element)
        if problem:
            left_out[problem] += 1
        else:
            usable.append(element)
    if not usable:
        raise UnusedError("page without usable elements")
    names = Counter(element["instruction"] for element in usable)
    chance = rng_of(record.id)
    chance.shuffle(usable)
    turns = []
    for element in usable:
        as_point, by_name = chance.random() < 0.5, chance.random() < 0.5
        turns.append(_turn(element, as_point, by_name and names[element["instruction"]] == 1))
    return Draft(dialogue(turns), [raw.picture(record.id)], unit=1, left_out=left_out)


def element_problem(element: Mapping[str, Any]) -> str:
    """Return why an element is left out, as in the preprocessing of SeeClick, or an empty text."""
    name, (left, top, right, bottom) = element["instruction"], element["bbox"]
    right, bottom = min(right, 1), min(bottom, 1)
    if min(left, top, right, bottom) < 0 or left > 1 or top > 1:
        return "element outside the screenshot"
    if right - left < SMALLEST or bottom - top < SMALLEST:
        return "empty box"
    if not name.strip():
        return "element without text"
    if len(name) > LONGEST or "{" in name or "}" in name or not name.isascii():
        return "text long, with braces or not in English"
    return "" if element["data_type"] in KINDS else "element of an unknown kind"


def _turn(element: Mapping[str, Any], as_point: bool, by_name: bool) -> tuple[Content, Content]:
    name, (left, top, right, bottom) = element["instruction"].strip(), element["bbox"]
    right, bottom = min(right, 1), min(bottom, 1)
    place = point([(left + right) / 2, (top + bottom) / 2]) if as_point else box([left, top, right, bottom])
    if by_name:
        return (POINT if as_point else BOX).format(name), place
    before, after = pick(KINDS[element["data_type"]], f"{name} {left} {top}").split("{}")
    return [before, place, after], name


SOURCES = (
    Source(
        name="seeclick",
        title="SeeClick (web)",
        task="agent",
        home="https://github.com/njucckevin/SeeClick/blob/main/readme_data.md",
        licence="not stated; screenshots of web pages under their owners' terms",
        files=(
            Expected("seeclick_web.json", "elements of each page: text, box, kind"),
            Expected("seeclick_web_imgs/*", "screenshots"),
        ),
        unit="pages",
        count={},
        layout="njucckevin/SeeClick readme_data.md, pretrain/pretrain_process.py",
        prompts=(POINT, BOX, *KINDS["text"], *KINDS["hover"]),
        read=read_seeclick,
        build=build_seeclick,
        note="About 270,000 pages. Elements are left out as SeeClick does (long, not in English, outside); a page "
        "where none remains is left out. Questions for a place are worded as in "
        "ScreenSpot. The mobile data (Widget Captioning, RICOSCA, Screen2Words) are not read.",
    ),
)
