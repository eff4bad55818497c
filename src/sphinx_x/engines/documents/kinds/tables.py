"""Tables with a title: figures by town, product, person or year, some with a printed sum."""

from __future__ import annotations

import random
from collections.abc import Callable

from sphinx_x.engines.documents.faces import Faces
from sphinx_x.engines.documents.grid import Column, Grid
from sphinx_x.engines.documents.kinds import Kind
from sphinx_x.engines.documents.made import goods, names
from sphinx_x.engines.documents.pages import new_page
from sphinx_x.engines.documents.sheet import ORDERS, Drawing

COULD = ("table title", "table number", "source")


def _unique(make: Callable[[], str], count: int) -> list[str]:
    """Return different names, none of which is a part of another."""
    found: list[str] = []
    while len(found) < count:
        name = make()
        if not any(name in other or other in name for other in found):
            found.append(name)
    return found


def _years(rng: random.Random, count: int) -> list[str]:
    first = rng.randint(1950, 2024 - count)
    return [str(first + k) for k in range(count)]


THINGS: dict[str, tuple[str, Callable[[random.Random, int], list[str]]]] = {
    "towns": ("Town|City|District", lambda rng, n: _unique(lambda: names.made_up_word(rng, rng.choice((2, 3))), n)),
    "people": ("Name|Member|Player|Student", lambda rng, n: _unique(lambda: names.person(rng), n)),
    "products": ("Product|Article|Item", lambda rng, n: goods.goods(rng, rng.choice(sorted(goods.NOUNS)), n)),
    "years": ("Year", _years),
    "companies": (
        "Company|Supplier|Branch",
        lambda rng, n: _unique(lambda: f"{names.made_up_word(rng)} {names.made_up_word(rng, 1)}", n),
    ),
}
"""What rows are about: heads of the first column, and what makes names."""
MEASURES = {
    "towns": "Population|Area (km2)|Schools|Rainfall (mm)|Altitude (m)|Visitors|Households|Budget",
    "people": "Points|Age|Score|Games|Wins|Hours|Rank|Absent",
    "products": "Stock|Sold|Price|Returned|Weight (g)|Ordered|Margin (%)",
    "years": "Sales|Costs|Staff|Exports|Imports|Profit|Members|Births",
    "companies": "Turnover|Employees|Branches|Founded|Orders|Claims|Share (%)",
}
NOT_SUMMED = {"Age", "Rank", "Price", "Founded", "Margin (%)", "Share (%)", "Altitude (m)"}
TITLES = "Overview|Annual figures|Summary|Report on the year|Statistics|List|Comparison|Results"


def draw(rng: random.Random, faces: Faces) -> Drawing:
    """Draw a table."""
    flow = new_page(rng, faces, (48, 80), (600, 1150))
    kind = rng.choice(sorted(THINGS))
    heads, make = THINGS[kind]
    measures = rng.sample(MEASURES[kind].split("|"), rng.randint(2, 5))
    things = make(rng, rng.randint(3, 14) + 3)
    things, absent = things[:-3], things[-3:]
    if rng.random() < 0.85:
        title = f"{rng.choice(TITLES.split('|'))}: {kind} of {names.made_up_word(rng)}"
        number = f"{rng.randint(1, 30)}{rng.choice(('', '.1', '.2', 'a'))}"
        numbered = rng.random() < 0.5
        text = f"Table {number}: {title}" if numbered else title
        facts = {"table title": title} | ({"table number": number} if numbered else {})
        flow.say(text, rng.choice("lm"), flow.big(rng.uniform(1, 1.4), True), facts)
        flow.gap(0.5)
    first = rng.uniform(0.25, 0.4)
    share = (1 - first) / len(measures)
    anchor = rng.choice("rrm")
    columns = [Column(rng.choice(heads.split("|")), first)]
    columns += [Column(measure, share, anchor, f"cell:{measure}") for measure in measures]
    grid = Grid(flow, columns, rng.choice(("grid", "grid", "rows", "head", "none")), 0, rng.uniform(0.25, 0.6))
    grid.heads(flow.big(1, rng.random() < 0.8))
    sizes = _sizes(rng, measures)
    figures = [[_figure(rng, measure, size) for measure, size in zip(measures, sizes, strict=True)] for _ in things]
    for thing, row in zip(things, figures, strict=True):
        grid.row([thing, *map(_printed, row)])
    summed = rng.random() < 0.5 and not NOT_SUMMED.intersection(measures)
    if summed:
        sums = [_printed(sum(column)) for column in zip(*figures, strict=True)]
        cells = grid.row(["Total", *sums], flow.big(1, True), listed=False)
        for measure, text, words in zip(measures, sums, cells[1:], strict=True):
            flow.sheet.state(f"cell:{measure}", text, words, "Total")
    grid.finish()
    if rng.random() < 0.4:
        source = f"{names.made_up_word(rng)} {rng.choice(('Institute', 'Office', 'Bureau', 'Council'))}"
        flow.gap(0.3)
        flow.say(f"Source: {source}", "l", flow.big(0.85), {"source": source})
    flow.gap(rng.uniform(1, 4))
    # is the sum a row, and the last one? Both may be said
    counts, orders = ((), ("first", "after")) if summed else ((grid.count("rows"),), ORDERS)
    more = {"counts": counts, "listed": tuple(grid.listed), "orders": orders, "ranked": not summed}
    return flow.sheet.finish(flow.y, could=COULD, things=tuple(absent), **more)


def _sizes(rng: random.Random, measures: list[str]) -> list[float]:
    return [10 ** rng.uniform(1, 5) for _ in measures]


def _figure(rng: random.Random, measure: str, size: float) -> float:
    if "%" in measure or measure == "Price":
        return round(rng.uniform(0.5, 99), 1 if "%" in measure else 2)
    if measure == "Founded":
        return float(rng.randint(1850, 2020))
    if measure in ("Age", "Rank", "Wins", "Games"):
        return float(rng.randint(1, 90))
    return float(max(round(size * rng.uniform(0.1, 1)), 1))


def _printed(figure: float) -> str:
    if figure == int(figure):
        return f"{int(figure):,}" if figure >= 10000 else str(int(figure))
    return f"{figure:.2f}".rstrip("0")


KIND = Kind("table", draw, 1.5)
