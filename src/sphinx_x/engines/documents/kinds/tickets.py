"""Tickets: for trains, buses, flights, concerts and matches; small fields in rows, and a code."""

from __future__ import annotations

import random

import numpy as np

from sphinx_x.engines.documents.faces import Faces
from sphinx_x.engines.documents.flow import Flow
from sphinx_x.engines.documents.kinds import Kind
from sphinx_x.engines.documents.made import dates, names, places
from sphinx_x.engines.documents.made.sales import money
from sphinx_x.engines.documents.pages import new_page
from sphinx_x.engines.documents.sheet import Drawing

TRAVEL = ("company", "origin", "destination", "travel date", "departure time", "passenger", "seat", "coach", "platform",
          "gate", "class", "price", "booking reference", "ticket number")  # fmt: skip
EVENT = (
    "event",
    "venue",
    "event date",
    "start time",
    "row",
    "seat",
    "block",
    "price",
    "ticket number",
    "holder",
    "entrance",
)
COMPANIES = ("Railways", "Airlines", "Air", "Bus Lines", "Express", "Ferries")
EVENTS = ("Festival", "Cup Final", "Orchestra", "Exhibition", "Fair", "Live")
LABELS = {
    "origin": "From|FROM|Departure|Origin",
    "destination": "To|TO|Arrival|Destination",
    "travel date": "Date|DATE|Travel Date",
    "event date": "Date|DATE|Day",
    "departure time": "Time|Dep.|Departs|Departure Time",
    "passenger": "Passenger|Name|Traveller",
    "seat": "Seat|SEAT|Seat No.",
    "coach": "Coach|Car|Carriage",
    "platform": "Platform|Track",
    "gate": "Gate|GATE",
    "class": "Class|CLASS",
    "price": "Price|Fare|Amount",
    "booking reference": "Booking Ref|PNR|Reservation",
    "ticket number": "Ticket No.|Ticket|No.",
    "venue": "Venue|Place|Location",
    "start time": "Start|Doors|Begins",
    "row": "Row|ROW",
    "block": "Block|Section|Stand",
    "holder": "Holder|Guest|Name",
    "entrance": "Entrance|Door",
}


def draw(rng: random.Random, faces: Faces) -> Drawing:
    """Draw a ticket."""
    land = rng.choice(places.LANDS)
    flow = new_page(rng, faces, (34, 56), (560, 1000))
    travel = rng.random() < 0.55
    values = _travel(rng, land) if travel else _event(rng, land)
    align = rng.choice("lm")
    if travel:
        company = f"{names.made_up_word(rng)} {rng.choice(COMPANIES)}"
        flow.say(company, align, flow.big(1.5, True), {"company": company})
        flow.say(rng.choice(("TICKET", "BOARDING PASS", "E-Ticket", "Reservation")), align)
    else:
        event = f"{names.made_up_word(rng)} {rng.choice(EVENTS)}"
        flow.say(event, align, flow.big(1.6, True), {"event": event})
    flow.gap(0.4)
    if rng.random() < 0.5:
        flow.rule("solid")
    names_ = list(values)
    across = rng.choice((2, 2, 3, 3, 4))
    stacked = rng.random() < 0.75
    while names_:
        row, names_ = names_[:across], names_[across:]
        parts = [flow.part(k / across, (k + 1) / across - 0.02) for k in range(len(row))]
        for part, name in zip(parts, row, strict=True):
            _field(part, rng, name, values[name], stacked)
        flow.below(*parts)
        flow.gap(0.5)
    _code(flow, rng)
    flow.gap(rng.uniform(0.5, 2))
    return flow.sheet.finish(flow.y, could=TRAVEL if travel else EVENT)


def _field(flow: Flow, rng: random.Random, name: str, value: str, stacked: bool) -> None:
    label = rng.choice(LABELS[name].split("|"))
    if stacked:
        flow.say(label, "l", flow.big(0.75))
        flow.say(value, "l", flow.big(1.15, True), {name: value})
    else:
        flow.say(f"{label}: {value}", facts={name: value})


def _some(rng: random.Random, values: dict[str, str], least: int) -> dict[str, str]:
    """Return at least so many of the values, in their order."""
    chosen = set(rng.sample(sorted(values), rng.randint(least, len(values))))
    return {name: value for name, value in values.items() if name in chosen}


def _travel(rng: random.Random, land: places.Land) -> dict[str, str]:
    values = {
        "origin": names.made_up_word(rng, 2),
        "destination": names.made_up_word(rng, 3),
        "passenger": names.person(rng, land),
        "travel date": dates.written(dates.day(rng), dates.date_form(rng, land)),
        "departure time": dates.time_of(rng, dates.day(rng)),
        "coach": rng.choice((str(rng.randint(1, 18)), rng.choice("ABCDEF"))),
        "seat": f"{rng.randint(1, 60)}{rng.choice(('', *'ABCDF'))}",
        "class": rng.choice(("Economy", "Business", "First", "Second", "Standard")),
        "price": rng.choice(land.money) + money(rng.randrange(300, 90000)),
        "booking reference": places.filled(rng, "@@?@#@"),
        "ticket number": places.filled(rng, rng.choice(("###-#######", "##########", "@@ #####"))),
    }
    place = rng.choice(("platform", "gate"))
    values[place] = f"{rng.randint(1, 40)}{rng.choice(('', *'AB'))}"
    return {"origin": values.pop("origin"), "destination": values.pop("destination")} | _some(rng, values, 4)


def _event(rng: random.Random, land: places.Land) -> dict[str, str]:
    values = {
        "venue": f"{names.made_up_word(rng)} {rng.choice(('Hall', 'Stadium', 'Theatre', 'Arena', 'Gallery'))}",
        "event date": dates.written(dates.day(rng), dates.date_form(rng, land)),
        "start time": dates.time_of(rng, dates.day(rng)),
        "block": rng.choice((rng.choice("ABCDEFGH"), str(rng.randint(100, 340)))),
        "row": str(rng.randint(1, 45)),
        "seat": str(rng.randint(1, 60)),
        "entrance": rng.choice(("North", "South", "East", "West")) + rng.choice(("", f" {rng.randint(1, 9)}")),
        "holder": names.person(rng, land),
        "price": rng.choice(land.money) + money(rng.randrange(500, 20000)),
        "ticket number": places.filled(rng, rng.choice(("####-####-####", "#########"))),
    }
    return _some(rng, values, 5)


def _code(flow: Flow, rng: random.Random) -> None:
    """Draw a bar code or a square code, or nothing."""
    kind = rng.choice(("bars", "squares", "none"))
    size = flow.style.size
    if kind == "bars":
        box = (flow.left, flow.y + size, flow.left + flow.wide * rng.uniform(0.4, 1), flow.y + size * rng.uniform(3, 5))
        flow.sheet.bars(box, [rng.randint(1, 4) for _ in range(rng.randrange(51, 91, 2))])
        flow.y = box[3]
    elif kind == "squares":
        side = size * rng.uniform(5, 8)
        x = rng.choice((flow.left, flow.middle - side / 2, flow.right - side))
        cells = np.random.default_rng(rng.getrandbits(32)).integers(0, 2, (29, 29))
        flow.sheet.squares((x, flow.y + size, x + side, flow.y + size + side), cells)
        flow.y += size + side


KIND = Kind("ticket", draw, 1)
