"""Dates and times."""

from __future__ import annotations

import datetime
import random
import re

from sphinx_x.engines.documents.made.places import Land

MONTHS = re.findall(r"\w+", "January February March April May June July August September October November December")


def day(rng: random.Random) -> datetime.datetime:
    """Return a moment between 1998 and 2027 at which shops are open."""
    start = datetime.datetime(1998, 1, 1)
    return start + datetime.timedelta(
        days=rng.randrange(365 * 29), hours=rng.randint(7, 22), minutes=rng.randrange(60), seconds=rng.randrange(60)
    )


def date_form(rng: random.Random, land: Land) -> str:
    """Return a way to write dates, for `written`."""
    form = rng.choice(land.dates)
    return form.replace("%d", "%-d").replace("%m", "%-m") if rng.random() < 0.12 and "/" in form else form


def written(moment: datetime.datetime, form: str) -> str:
    """Return a date in English whatever the machine speaks, as receipts write it."""
    month = MONTHS[moment.month - 1]
    told = {
        "%-d": str(moment.day), "%-m": str(moment.month), "%d": f"{moment.day:02d}", "%m": f"{moment.month:02d}",
        "%y": f"{moment.year % 100:02d}", "%Y": str(moment.year), "%b": month[:3], "%B": month,
    }  # fmt: skip
    for mark, text in told.items():
        form = form.replace(mark, text)
    return form


def time_of(rng: random.Random, moment: datetime.datetime) -> str:
    """Return the time of day in one of the usual ways."""
    half = "AM" if moment.hour < 12 else "PM"
    twelve = moment.hour % 12 or 12
    return rng.choice(
        (
            f"{moment.hour:02d}:{moment.minute:02d}",
            f"{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d}",
            f"{twelve:02d}:{moment.minute:02d} {half}",
            f"{twelve}:{moment.minute:02d}:{moment.second:02d} {half}",
        )
    )
