"""Bills that add up: items, tax, rounding, payment. Money is in cents."""

from __future__ import annotations

import random
from dataclasses import dataclass

from sphinx_x.engines.documents.made.goods import Item, items
from sphinx_x.engines.documents.made.places import Land


@dataclass(frozen=True)
class Sale:
    """A bill.

    Attributes:
        items: What is sold.
        rate: Percent of tax, 0 for none.
        inside: Whether prices have the tax in them.
        subtotal: Sum of the items.
        discount: What is taken off.
        service: What is added for service.
        tax: The tax.
        rounding: What is added to round what is paid, mostly negative or 0.
        total: What is to be paid.
        given: Cash that was given, 0 where it was paid otherwise.
    """

    items: tuple[Item, ...]
    rate: float
    inside: bool
    subtotal: int
    discount: int
    service: int
    tax: int
    rounding: int
    total: int
    given: int

    @property
    def change(self) -> int:
        """The cash that is given back."""
        return self.given - self.total

    @property
    def unrounded(self) -> int:
        """What is to be paid before rounding."""
        return self.total - self.rounding


def money(cents: int, thousands: bool = True) -> str:
    """Return an amount as it is printed."""
    sign, cents = "-" if cents < 0 else "", abs(cents)
    whole = f"{cents // 100:,}" if thousands else str(cents // 100)
    return f"{sign}{whole}.{cents % 100:02d}"


def sale(rng: random.Random, land: Land, trade: str, number: int, dear: float = 1.0, cash: bool = True) -> Sale:
    """Return a bill of so many items.

    Args:
        rng: The source of randomness.
        land: The country, which has the taxes.
        trade: What is sold.
        number: Number of items.
        dear: Multiplies prices.
        cash: Whether it may be paid in cash (and rounded).
    """
    sold = tuple(items(rng, trade, number, dear))
    subtotal = sum(item.amount for item in sold)
    discount = round(subtotal * rng.choice((0.05, 0.1, 0.2))) if rng.random() < 0.12 else 0
    service = round(subtotal * 0.1) if trade == "food" and rng.random() < 0.3 else 0
    rate = rng.choice(land.rates) if rng.random() < 0.75 else 0
    inside = rng.random() < 0.5 and land.tax != "Tax"
    taxed = subtotal - discount + service
    tax = round(taxed * rate / (100 + rate)) if inside else round(taxed * rate / 100)
    total = taxed + (0 if inside else tax)
    paid_cash = cash and rng.random() < 0.7
    rounding = 0
    if land.nickel and paid_cash and rng.random() < 0.8:
        rounding = 5 * round(total / 5) - total
    total += rounding
    given = 0
    if paid_cash:
        notes = [note for note in (100, 500, 1000, 2000, 5000, 10000) if rng.random() < 0.8]
        given = total if rng.random() < 0.2 else min((-(-total // note) * note for note in notes), default=total)
    return Sale(sold, rate, inside, subtotal, discount, service, tax, rounding, total, given)
