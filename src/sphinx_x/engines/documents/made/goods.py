"""Things that are sold, and what they cost."""

from __future__ import annotations

import random
from dataclasses import dataclass

from sphinx_x.engines.documents.made.names import made_up_word

NOUNS = {
    "food": (
        "Fried Rice|Chicken Rice|Iced Tea|Iced Lemon Tea|Mineral Water|Roti Canai|Fish Curry|"
        "Noodle Soup|Steamed Fish|Burger|French Fries|Latte|Espresso|Cappuccino|Toast Set|"
        "Spring Roll|Garden Salad|Grilled Lamb|Apple Pie|Milk Shake|Beef Rendang|Satay 10 pcs|"
        "Prawn Mee|Fruit Juice|Hot Chocolate|Club Sandwich|Mushroom Soup|Pancakes|Draft Beer"
    ),
    "hardware": (
        "Padlock|Hammer|Wall Paint|Paint Brush|Sandpaper|Cable Tie|PVC Pipe|Hose Clip|Door Hinge|"
        "Drill Bit|Wood Screw|Tape Measure|Extension Cord|LED Bulb|Light Switch|Silicone Sealant|"
        "Spray Paint|Steel Wire|Cement|Water Tap|Bucket|Battery AAA|Wrench|Pliers|Glue Gun|"
        "Nylon Rope|Hinge Set|Wire Mesh|Garden Hose|Grease"
    ),
    "grocery": (
        "Fresh Milk|White Bread|Brown Eggs|Cooking Oil|Sugar|Wheat Flour|Instant Noodle|Green Tea|"
        "Ground Coffee|Butter|Cheddar Cheese|Yoghurt|Bananas|Red Apples|Onions|Potatoes|Carrots|"
        "Tomatoes|Tissue Roll|Dish Soap|Shampoo|Toothpaste|Biscuits|Dark Chocolate|Orange Juice|"
        "Sardines|Soy Sauce|Basmati Rice|Frozen Peas|Cereal"
    ),
    "stationery": (
        "Ball Pen|Marker Pen|A4 Paper|Notebook|Exercise Book|Glue Stick|Stapler|Staples|Envelope|"
        "Ruler|Eraser|Correction Tape|Ring File|Calculator|Pencil 2B|Colour Pencil|Sticky Note|"
        "Gift Wrap|Drawing Block|Scissors|Story Book|Dictionary|Index Divider|Binder Clip|Whiteboard"
    ),
    "pharmacy": (
        "Vitamin C|Cough Syrup|Face Mask|Bandage|Hand Cream|Sun Lotion|Eye Drops|Paracetamol|"
        "Fish Oil|Cotton Buds|Thermometer|Antiseptic|Lip Balm|Face Wash|Body Scrub|Zinc Tablets|"
        "Milk Thistle|Throat Lozenge|Hand Gel"
    ),
    "clothes": (
        "T-Shirt|Polo Shirt|Jeans|Socks|Leather Belt|Running Shoes|Sandals|Rain Jacket|Cap|Scarf|"
        "Wool Sweater|Skirt|Shorts|Gloves|Backpack|Dress Shirt|Trousers|Handbag"
    ),
    "service": (
        "Engine Oil|Wheel Alignment|Car Wash|Tyre|Oil Filter|Dry Cleaning|Shirt Ironing|Photocopy|"
        "Colour Print|Binding|Labour Charge|Parking Fee|Brake Pads|Delivery|Air Filter|Wiper Blade|"
        "Coolant|Courier Bag|Installation|Inspection"
    ),
}
"""Goods by trade, parted by `|`."""
ADDED = "Small|Large|Red|Blue|Black|White|Premium|Classic|Original|Extra|Mini|Jumbo|Organic|Deluxe|Spicy|Plain|Twin"
SIZES = "500ml|1L|250g|1kg|10pcs|12s|2m|4L|(S)|(L)|40x60|A5|3in1|1.5L|100g|6x4|20cm|M8|5kg|50's"


@dataclass(frozen=True)
class Item:
    """A line of a bill; money in cents."""

    name: str
    code: str
    count: int
    price: int

    @property
    def amount(self) -> int:
        """What it costs in all."""
        return self.count * self.price


def goods(rng: random.Random, trade: str, number: int) -> list[str]:
    """Return names of so many different goods; none is a part of another one."""
    found: list[str] = []
    nouns = _parts(NOUNS[trade])
    while len(found) < number:
        name = rng.choice(nouns)
        if rng.random() < 0.35:
            name = f"{rng.choice(_parts(ADDED))} {name}"
        if rng.random() < 0.25:
            name = f"{made_up_word(rng)} {name}"
        if rng.random() < 0.35:
            name = f"{name} {rng.choice(_parts(SIZES))}"
        if not any(name in other or other in name for other in found):
            found.append(name)
    return found


def items(rng: random.Random, trade: str, number: int, dear: float = 1.0) -> list[Item]:
    """Return items of a bill; `dear` multiplies prices."""
    length = rng.choice((4, 5, 6, 8, 13))
    letters = rng.choice(("", "", "", "A", "SR ", "P-"))
    made = []
    for name in goods(rng, trade, number):
        price = max(round(dear * 100 * rng.lognormvariate(2.0, 1.0)), 10)
        price = round(price, -1) if rng.random() < 0.7 else price
        code = letters + "".join(str(rng.randrange(10)) for _ in range(length))
        made.append(Item(name, code, rng.choice((1, 1, 1, 1, 2, 2, 3, 4, 5, 10, 12)), price))
    return made


def _parts(text: str) -> list[str]:
    return text.split("|")
