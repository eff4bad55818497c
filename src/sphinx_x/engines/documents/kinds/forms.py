"""Forms that somebody has filled in: labels, boxes or lines what was typed there, options with ticks."""

from __future__ import annotations

import random
from collections.abc import Callable

from sphinx_x.engines.documents.faces import Faces
from sphinx_x.engines.documents.flow import Flow
from sphinx_x.engines.documents.kinds import Kind
from sphinx_x.engines.documents.made import dates, names, places
from sphinx_x.engines.documents.made.places import Land
from sphinx_x.engines.documents.pages import new_page
from sphinx_x.engines.documents.sheet import Drawing, Style

Maker = Callable[[random.Random, Land], str]


def _date(rng: random.Random, land: Land) -> str:
    return dates.written(dates.day(rng), dates.date_form(rng, land))


def _place(rng: random.Random, land: Land) -> str:
    return " ".join(places.address(rng, land, names.made_up_word(rng), names.made_up_word(rng)))


FIELDS: dict[str, tuple[str, Maker]] = {
    "full name": ("Full Name|Name|Applicant|Name of Applicant", names.person),
    "date of birth": ("Date of Birth|Born on|D.O.B.", _date),
    "home address": ("Home Address|Address|Residential Address", _place),
    "phone": ("Telephone|Phone|Contact No.|Mobile", lambda rng, land: places.filled(rng, rng.choice(land.phone))),
    "email": (
        "Email|E-mail Address",
        lambda rng, land: f"{names.made_up_word(rng).lower()}@{names.made_up_word(rng).lower()}.com",
    ),
    "identity number": ("ID Number|Identity Card No.|Passport No.", lambda rng, land: places.filled(rng, "@#######")),
    "nationality": (
        "Nationality|Citizenship",
        lambda rng, land: rng.choice(
            ["Malaysian", "British", "American", "Australian", "Indian", "Kenyan", "Chilean", "Danish"]
        ),
    ),
    "occupation": (
        "Occupation|Profession|Position",
        lambda rng, land: rng.choice(
            ["Teacher", "Engineer", "Nurse", "Driver", "Cook", "Clerk", "Farmer", "Painter", "Lawyer", "Baker"]
        ),
    ),
    "employer": ("Employer|Company|Name of Employer", lambda rng, land: names.company(rng, land, "service")),
    "department": (
        "Department|Section|Unit",
        lambda rng, land: rng.choice(
            ["Finance", "Sales", "Purchasing", "Logistics", "Research", "Quality", "Legal", "Security"]
        ),
    ),
    "start date": ("Start Date|From|Date of Joining", _date),
    "reference": ("Reference No.|File No.|Case Number", lambda rng, land: places.filled(rng, "@@-?###/##")),
    "vehicle plate": ("Vehicle No.|Licence Plate|Registration Mark", lambda rng, land: places.filled(rng, "@@@ ?###")),
    "policy number": ("Policy Number|Policy No.", lambda rng, land: places.filled(rng, "P?#######")),
    "emergency contact": ("Emergency Contact|Next of Kin", names.person),
    "amount claimed": (
        "Amount Claimed|Claim Amount",
        lambda rng, land: f"{rng.randrange(20, 9000)}.{rng.randrange(100):02d}",
    ),
    "signed by": ("Signed by|Approved by|Name of Officer", names.person),
    "date signed": ("Date Signed|Date of Signature", _date),
}
"""Fields by fact: labels and what makes a value."""
OPTIONS = {
    "marital status": ("Marital Status", ("Single", "Married", "Divorced", "Widowed")),
    "sex": ("Sex", ("Male", "Female")),
    "payment method": ("Payment by", ("Cheque", "Bank Transfer", "Credit Card", "Cash")),
    "type of leave": ("Type of Leave", ("Annual", "Medical", "Unpaid", "Study")),
    "delivery": ("Delivery", ("Collect", "Courier", "Post")),
}
TITLES = (
    "APPLICATION FORM|Membership Application|Leave Application|INSURANCE CLAIM FORM|Registration Form|EMPLOYEE RECORD|"
    "Visitor Registration|Change of Address|CUSTOMER INFORMATION SHEET|Vehicle Pass Application|EXPENSE CLAIM"
)
COULD = (*FIELDS, *OPTIONS)


def draw(rng: random.Random, faces: Faces) -> Drawing:
    """Draw a form that is filled in, except for some fields."""
    land = rng.choice(places.LANDS)
    flow = new_page(rng, faces, (50, 78), (700, 1100))
    if rng.random() < 0.6:
        flow.say(names.company(rng, land, "service"), rng.choice("lm"), flow.big(1.1, True))
    flow.say(rng.choice(TITLES.split("|")), rng.choice("lm"), flow.big(rng.uniform(1.2, 1.7), True))
    flow.gap(rng.uniform(0.4, 1))
    typed = Style(flow.style.size, face=faces.choose(rng, mono=True)) if rng.random() < 0.6 else flow.style
    if rng.random() < 0.3:
        typed = flow.big(1, True)
    typed = Style(round(typed.size * rng.uniform(0.95, 1.15), 1), typed.bold, face=typed.face)
    chosen = rng.sample(sorted(FIELDS), rng.randint(6, 12))
    look = rng.choice(("boxes", "lines", "plain"))
    upper = rng.random() < 0.4
    while chosen:
        pair = chosen[:2] if rng.random() < 0.5 and "home address" not in chosen[:2] else chosen[:1]
        chosen = chosen[len(pair) :]
        parts = [flow.part(k / len(pair), (k + 1) / len(pair) - 0.03 * (len(pair) > 1)) for k in range(len(pair))]
        for part, name in zip(parts, pair, strict=True):
            labels, make = FIELDS[name]
            value = "" if rng.random() < 0.15 else make(rng, land)
            value = value.upper() if upper and "@" not in value else value
            _field(part, name, rng.choice(labels.split("|")), value, typed, look)
        flow.below(*parts)
        flow.gap(0.35)
    for name in rng.sample(sorted(OPTIONS), rng.randint(0, 3)):
        _option(flow, rng, name)
    flow.gap(rng.uniform(1, 5))
    return flow.sheet.finish(flow.y, could=COULD)


def _field(flow: Flow, name: str, label: str, value: str, typed: Style, look: str) -> None:
    """Write a label and, below it, what was typed, in a box or on a line."""
    small = flow.big(0.8)
    pad = flow.style.size * 0.35
    top = flow.y + pad
    flow.left, flow.right, flow.y = flow.left + pad, flow.right - pad, flow.y + pad
    flow.say(label if look != "plain" else f"{label}:", "l", small)
    if value:
        flow.say(value, "l", typed, {name: value})
    else:
        flow.down(typed)
    flow.left, flow.right = flow.left - pad, flow.right + pad
    flow.y += pad
    if look == "boxes":
        flow.sheet.bar((flow.left, top, flow.right, flow.y + pad * 0.4), frame=max(round(flow.style.size / 16), 1))
    elif look == "lines":
        flow.sheet.rule(flow.y, flow.left, flow.right)


def _option(flow: Flow, rng: random.Random, name: str) -> None:
    """Write options with boxes before them, one of which is ticked."""
    label, options = OPTIONS[name]
    ticked = rng.randrange(len(options) + 1) if rng.random() < 0.15 else rng.randrange(len(options))
    flow.say(f"{label}:")
    y, size, x = flow.down(), flow.style.size, flow.left
    for number, option in enumerate(options):
        if x + size * 1.2 + flow.sheet.length(option, flow.style) > flow.right:
            x, y = flow.left, flow.down()
        side = round(size * 0.8)
        flow.sheet.bar((x, y - side, x + side, y), frame=max(round(size / 14), 1))
        if number == ticked:
            flow.sheet.cross((x, y - side, x + side, y), max(round(size / 9), 2))
        words = flow.sheet.write(x + size * 1.2, y, option, flow.style)
        if number == ticked:
            flow.sheet.find(words, {name: option})
        x += size * 3 + flow.sheet.length(option, flow.style)
    flow.gap(0.4)


KIND = Kind("form", draw, 1)
