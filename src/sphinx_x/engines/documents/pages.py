"""What pages of offices have in common: paper, letterheads, blocks of lines."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sphinx_x.engines.documents.faces import Faces
from sphinx_x.engines.documents.flow import Flow
from sphinx_x.engines.documents.made import names, places
from sphinx_x.engines.documents.made.places import Land
from sphinx_x.engines.documents.sheet import Sheet, Style

HEAD = ("company", "address", "phone", "email", "website", "tax number")
"""Facts that a letterhead may state."""


def new_page(
    rng: random.Random, faces: Faces, letters: tuple[int, int] = (62, 92), width: tuple[int, int] = (800, 1200)
) -> Flow:
    """Return a page to write on.

    Args:
        rng: The source of randomness.
        faces: The typefaces.
        letters: Least and most letters of a row.
        width: Least and most width in pixels.
    """
    face = faces.choose(rng, mono=rng.random() < 0.15)
    wide = rng.randint(*width)
    margin = round(wide * rng.uniform(0.05, 0.11))
    size = (wide - 2 * margin) / rng.uniform(*letters) / (face.font(100).getlength("n0aE ") / 500)
    style = Style(round(max(size, 11.5), 1))
    return Flow(Sheet(wide, face), margin, wide - margin, margin * rng.uniform(0.5, 1), style, rng.uniform(1.15, 1.45))


def block(flow: Flow, lines: Sequence[str], name: str = "", align: str = "l", style: Style | None = None) -> list[int]:
    """Write lines below each other; all of them together are a fact if they have a name."""
    words = [word for line in lines for word in flow.say(line, align, style)]
    if name:
        flow.sheet.state(name, flow.sheet.said(words), words)
    return words


def letterhead(flow: Flow, rng: random.Random, land: Land, align: str = "l") -> str:
    """Write the head of a company's page and return the company's name."""
    trade = rng.choice(sorted(names.TRADES))
    company = names.company(rng, land, trade)
    company = company.upper() if rng.random() < 0.4 else company
    flow.say(company, align, flow.big(rng.uniform(1.1, 1.7), rng.random() < 0.8), {"company": company})
    block(flow, places.address(rng, land, names.made_up_word(rng), names.made_up_word(rng)), "address", align)
    site = f"{names.made_up_word(rng).lower()}.{rng.choice(('com', 'net', 'co', 'biz', 'example'))}"
    if rng.random() < 0.7:
        phone = places.filled(rng, rng.choice(land.phone))
        flow.say(f"{rng.choice(('Tel', 'Phone', 'Tel.', 'T'))}: {phone}", align, facts={"phone": phone})
    if rng.random() < 0.5:
        email = f"{rng.choice(('info', 'sales', 'office', 'accounts', 'hello'))}@{site}"
        flow.say(f"{rng.choice(('Email: ', 'E-mail: ', ''))}{email}", align, facts={"email": email})
    if rng.random() < 0.35:
        flow.say(f"www.{site}", align, facts={"website": f"www.{site}"})
    if rng.random() < 0.4:
        label, pattern = rng.choice(land.tax_number)
        number = places.filled(rng, pattern)
        flow.say(f"{label.rstrip(':')}: {number}", align, facts={"tax number": number})
    return company
