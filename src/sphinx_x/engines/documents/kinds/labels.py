"""Labels: of parcels, with sender and addressee, and of products, with contents, dates and numbers."""

from __future__ import annotations

import datetime
import random

from sphinx_x.engines.documents.faces import Faces
from sphinx_x.engines.documents.flow import Flow
from sphinx_x.engines.documents.kinds import Kind
from sphinx_x.engines.documents.made import dates, goods, names, places
from sphinx_x.engines.documents.made.sales import money
from sphinx_x.engines.documents.pages import block, new_page
from sphinx_x.engines.documents.sheet import Drawing

PARCEL = ("sender", "sender address", "recipient", "recipient address", "phone", "tracking number", "weight", "service",
          "ship date", "order number")  # fmt: skip
PRODUCT = ("product", "company", "ingredients", "net weight", "best before", "lot number", "price", "country of origin",
           "storage")  # fmt: skip
INGREDIENTS = (
    "Water|Sugar|Salt|Wheat Flour|Palm Oil|Cocoa|Milk Powder|Citric Acid|Yeast|Corn Starch|Egg|Soy Lecithin|Onion|"
    "Garlic|Vinegar|Tomato Paste|Rice|Pepper|Vanilla|Honey|Oats|Almonds|Sesame|Glucose Syrup|Vegetable Fat"
)


def draw(rng: random.Random, faces: Faces) -> Drawing:
    """Draw a label."""
    land = rng.choice(places.LANDS)
    flow = new_page(rng, faces, (28, 46), (480, 860))
    parcel = rng.random() < 0.5
    top = flow.y
    (_parcel if parcel else _product)(flow, rng, land)
    flow.gap(0.8)
    if rng.random() < 0.4:
        edge = flow.style.size * 0.4
        frame = (flow.left - edge, max(top - edge, 1), flow.right + edge, flow.y)
        flow.sheet.bar(frame, frame=max(round(flow.style.size / 9), 1))
    flow.gap(rng.uniform(0.5, 1.5))
    return flow.sheet.finish(flow.y, could=PARCEL if parcel else PRODUCT)


def _address(rng: random.Random, land: places.Land) -> list[str]:
    return places.address(rng, land, names.made_up_word(rng), names.made_up_word(rng))


def _bars(flow: Flow, rng: random.Random) -> None:
    size = flow.style.size
    box = (
        flow.left,
        flow.y + size * 0.7,
        flow.left + flow.wide * rng.uniform(0.5, 1),
        flow.y + size * rng.uniform(3, 5),
    )
    flow.sheet.bars(box, [rng.randint(1, 4) for _ in range(rng.randrange(51, 91, 2))])
    flow.y = box[3]


def _parcel(flow: Flow, rng: random.Random, land: places.Land) -> None:
    if rng.random() < 0.7:
        service = f"{names.made_up_word(rng)} {rng.choice(('Express', 'Economy', 'Overnight', 'Parcel'))}"
        flow.say(service.upper(), "l", flow.big(1.5, True), {"service": service.upper()})
        flow.rule("solid")
    sender = names.company(rng, land, rng.choice(sorted(names.TRADES)))
    flow.say(rng.choice(("FROM:", "Sender:", "Ship From")), "l", flow.big(0.8))
    flow.say(sender, "l", flow.big(0.85), {"sender": sender})
    block(flow, _address(rng, land), "sender address", style=flow.big(0.85))
    flow.gap(0.5)
    to = names.person(rng, land)
    flow.say(rng.choice(("TO:", "Ship To:", "Deliver to")), "l", flow.big(0.8))
    flow.say(to, "l", flow.big(1.15, True), {"recipient": to})
    block(flow, _address(rng, land), "recipient address", style=flow.big(1.1, rng.random() < 0.5))
    values = {
        "phone": ("Tel", places.filled(rng, rng.choice(land.phone))),
        "weight": ("Weight", f"{rng.uniform(0.1, 30):.1f} kg"),
        "ship date": ("Ship Date", dates.written(dates.day(rng), dates.date_form(rng, land))),
        "order number": ("Order", places.filled(rng, "?#####")),
    }
    for name in rng.sample(sorted(values), rng.randint(0, 4)):
        label, value = values[name]
        flow.say(f"{label}: {value}", facts={name: value})
    if rng.random() < 0.8:
        _bars(flow, rng)
        number = places.filled(rng, rng.choice(("@@#########@@", "#### #### ####", "1Z###@##########")))
        flow.say(f"{rng.choice(('', 'Tracking # ', 'Tracking No: '))}{number}", facts={"tracking number": number})


def _product(flow: Flow, rng: random.Random, land: places.Land) -> None:
    (product,) = goods.goods(rng, rng.choice(("food", "grocery", "pharmacy")), 1)
    flow.say(product, rng.choice("lm"), flow.big(1.7, True), {"product": product})
    moment, form = dates.day(rng), dates.date_form(rng, land)
    parts = rng.sample(INGREDIENTS.split("|"), rng.randint(3, 9))
    company = names.company(rng, land, "food")
    made = rng.choice(("Italy", "Malaysia", "Thailand", "France", "Brazil", "Kenya", "Japan", "Poland"))
    amount = f"{rng.choice((50, 100, 150, 250, 400, 500, 750))} {rng.choice(('g', 'ml'))}"
    keep = rng.choice(("Store in a cool dry place.", "Keep refrigerated.", "Protect from sunlight."))
    before = dates.written(moment + datetime.timedelta(days=300), form)
    lot = places.filled(rng, rng.choice(("L####", "@@###", "##/###")))
    price = rng.choice(land.money) + money(rng.randrange(50, 6000))
    rows = {
        "ingredients": ("Ingredients: ", ", ".join(parts)),
        "net weight": (rng.choice(("Net weight: ", "Net Wt. ", "Contents: ")), amount),
        "best before": (rng.choice(("Best before: ", "Use by: ", "EXP ")), before),
        "lot number": (rng.choice(("Lot: ", "Batch No. ")), lot),
        "company": (rng.choice(("Made by ", "Packed for ", "Distributor: ")), company),
        "country of origin": ("Product of ", made),
        "storage": ("", keep),
        "price": (rng.choice(("Price: ", "", "RRP ")), price),
    }
    for name in rng.sample(sorted(rows), rng.randint(4, len(rows))):
        label, value = rows[name]
        style = flow.big(1.5, True) if name == "price" and rng.random() < 0.5 else flow.style
        flow.say(f"{label}{value}", "l", style, {name: value})
        flow.gap(0.25)
    if rng.random() < 0.6:
        _bars(flow, rng)


KIND = Kind("label", draw, 1)
