"""A peer without a language model: RapidOCR's lines and regular expressions, or its own text of a page of print; of
photos, the objects that the detector names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from smol_parts.evidence import same_row
from smol_parts.photos import THERE, with_article
from sphinx_x.evaluation.items import Item
from sphinx_x.text_lines.line import TextLine

COMPANY = re.compile(
    r"\b(SDN\.? ?BHD|BHD|S/B|ENTERPRISE|TRADING|RESTAURANT|RESTORAN|CAFE|STORE|MART|LTD|LIMITED|INC|LLC|CO\.|CORP"
    r"|GMBH|HARDWARE|BAKERY|HOTEL|PHARMACY|SUPERMARKET|SHOP)\b",
    re.IGNORECASE,
)
MONTH = r"(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)[A-Z]*"
DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<!\d)\d{1,2}[/.-]\d{1,2}[/.-](?:20)?\d{2}(?!\d)",
        r"(?<!\d)20\d{2}[/.-]\d{1,2}[/.-]\d{1,2}(?!\d)",
        rf"(?<!\d)\d{{1,2}}[ /-]?{MONTH}[ /,-]*(?:20)?\d{{2}}(?!\d)",
        rf"{MONTH} ?\d{{1,2}},? ?20\d{{2}}",
    )
)
AMOUNT = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})*\.\d{2}(?!\d)|(?<![\d.,])\d+\.\d{2}(?!\d)")
TOTAL = (
    re.compile(
        r"\b(GRAND|NETT?|ROUNDED|FINAL) ?TOTAL|TOTAL ?(ROUNDED|AFTER)|AMOUNT DUE|TOTAL ?(AMOUNT|DUE|PAYABLE)", re.I
    ),
    re.compile(r"\bTOTAL ?(SALES|RM|\(RM\)|:)", re.IGNORECASE),
    re.compile(r"\bTOTAL", re.IGNORECASE),
)
"""Labels of a total, the surest first."""
NO_TOTAL = re.compile(r"SUB|QTY|QUANTITY|ITEM|GST|TAX|SAV|DISC|CHANGE|POINT|EXCL", re.IGNORECASE)
AFTER_ADDRESS = re.compile(
    r"\b(TEL|FAX|PHONE|GST|TAX|INVOICE|RECEIPT|DATE|CASH|BILL|TABLE|E-?MAIL|WWW|HTTP|REG|CO\.? ?NO|DOC|COUNTER)"
    r"|^\W*\(?\d{5,}-?[A-Z]\)?",
    re.IGNORECASE,
)
POSTCODE = re.compile(r"(?<!\d)\d{5}(?!\d)")
TOP = 8
"""Lines among which the company's name is looked for."""


def answer(field: str, lines: Sequence[TextLine]) -> str:
    """Return the value of a field of a receipt, empty where no rule finds one."""
    return {"company": company, "date": date, "address": address, "total": total}[field](lines)


def page(lines: Sequence[TextLine]) -> str:
    """Return all that was read, in reading order."""
    return " ".join(line.text for line in lines)


def company(lines: Sequence[TextLine]) -> str:
    """Return the first of the top lines that is a firm's name, else the first with three letters."""
    place = _company_at(lines)
    return "" if place is None else lines[place].text


def _company_at(lines: Sequence[TextLine]) -> int | None:
    top = range(min(TOP, len(lines)))
    firm = next((k for k in top if COMPANY.search(lines[k].text)), None)
    lettered = (k for k in top if sum(char.isalpha() for char in lines[k].text) >= 3)
    return next(lettered, None) if firm is None else firm


def date(lines: Sequence[TextLine]) -> str:
    """Return the first date, lines that say so first."""
    for line in sorted(lines, key=lambda line: "date" not in line.text.lower()):
        for pattern in DATES:
            if found := pattern.search(line.text):
                return found[0]
    return ""


def address(lines: Sequence[TextLine]) -> str:
    """Return the lines below the company's name, up to what follows an address."""
    start, found = _company_at(lines), []
    for line in lines[(-1 if start is None else start) + 1 :][:TOP]:
        if AFTER_ADDRESS.search(line.text):
            if found:
                break
            continue
        found.append(line.text)
        if POSTCODE.search(line.text) and len(found) > 1:
            break
    return " ".join(found)


def total(lines: Sequence[TextLine]) -> str:
    """Return the last amount of a row that says "total", of the surest label and the lowest such row."""
    for label in TOTAL:
        for line in reversed(lines):
            if label.search(line.text) and not NO_TOTAL.search(line.text):
                row = " ".join(other.text for other in lines if same_row(other.box, line.box))
                if amounts := AMOUNT.findall(row):
                    return amounts[-1]
    amounts = [amount for line in lines for amount in AMOUNT.findall(line.text)]
    return max(amounts, key=lambda amount: float(amount.replace(",", "")), default="")


def main_object(lines: Sequence[TextLine]) -> str:
    """Return the name of the largest object, which is the first one; nothing where there is none."""
    return next((line.text for line in lines if line.is_object), "")


def is_there(question: str, lines: Sequence[TextLine]) -> str:
    """Return whether an object that is asked for is among those that the detector names."""
    return "Yes" if any(THERE.format(with_article(line.text)) == question for line in lines if line.is_object) else "No"


PARTS: dict[str, Callable[[Item, Sequence[TextLine]], str]] = {
    "receipts": lambda item, lines: answer(item.kind, [line for line in lines if not line.is_object]),
    "paragraphs": lambda _, lines: page([line for line in lines if not line.is_object]),
    "photos, main object": lambda _, lines: main_object(lines),
    "photos, is there": lambda item, lines: is_there(item.question, lines),
}
"""The parts that it answers."""
