"""Names of classes, from what releases write to what people say, also in the plural and for what is not there."""

from __future__ import annotations

import re

MISSPELT = {
    "moniter/tv": "monitor or TV",
    "bakset": "basket",
    "ballon": "balloon",
    "dinning table": "dining table",
    "trash bin can": "trash bin",
    "canned": "can",
    "soccer": "soccer ball",
    "skiboard": "ski board",
    "tea pot": "teapot",
    "billards": "billiards",
    "extention cord": "extension cord",
    "tong": "tongs",
    "tennis": "tennis ball",
    "hotair ballon": "hot air balloon",
    "hamimelon": "Hami melon",
    "mushroon": "mushroom",
    "tape measur/ ruler": "tape measure or ruler",
    "campel": "camel",
    "meat ball": "meatball",
    "buttefly": "butterfly",
    "noddles": "noodles",
    "table teniis paddle": "table tennis paddle",
    "curling": "curling stone",
    "table tennis": "table tennis ball",
    "formula 1": "Formula 1 car",
}
"""Names of Objects365 that are not good English, in lower case, and what they mean."""

PLURALS = {
    "person": "people",
    "child": "children",
    "mouse": "mice",
    "goose": "geese",
    "foot": "feet",
    "tooth": "teeth",
    "knife": "knives",
    "leaf": "leaves",
    "loaf": "loaves",
    "shelf": "shelves",
    "wolf": "wolves",
    "calf": "calves",
    "scarf": "scarves",
    "tomato": "tomatoes",
    "potato": "potatoes",
    "mango": "mangoes",
    "buffalo": "buffaloes",
    "ox": "oxen",
    "bus": "buses",
}
UNCHANGED = frozenset(
    """
    sheep deer fish goldfish jellyfish starfish swine bison moose shrimp squid salmon trout aircraft broccoli rice pasta
    bread corn lettuce garlic cheese asparagus sushi okra fruit food seafood luggage clothing footwear headgear
    sportswear jewelry furniture cutlery tableware kitchenware drinkware equipment hair soap toiletry oil
    paper notepaper lens series
    """.split()  # noqa: SIM905
)
MEN = re.compile(r"(?<!hu)(?<!otto)(?<!ger)(?<!talis)(?<!cai)(?<!ro)man$")


def spoken(name: str, lower: bool = False) -> str:
    """Return the name of a class as people say it, "" if it says nothing.

    Args:
        name: As the release writes it.
        lower: Whether it is in title case and is lowered (abbreviations stay).
    """
    words = ["TV" if word == "tv" else word for word in name.replace("_", " ").split()]
    if lower:
        joined = " ".join(words).lower()
        if joined in MISSPELT:
            return MISSPELT[joined]
        if joined.startswith("other ") or joined == "french":
            return ""
        words = [word if word.strip("()").isupper() else word.lower() for word in words]
    return re.sub(r"\s*/\s*", " or ", " ".join(words))


def plural(name: str) -> str:
    """Return the plural of a class, such as `traffic lights`; plurals and uncountable nouns stay."""
    if " or " in name:
        return " or ".join(map(plural, name.split(" or ")))
    for mark in (" (", " of ", " with ", " in "):
        head, found, rest = name.partition(mark)
        if found:
            return plural(head) + mark + rest
    rest, space, word = name.rpartition(" ")
    return rest + space + _plural_word(word)


def _plural_word(word: str) -> str:
    if word in PLURALS:
        return PLURALS[word]
    if word in UNCHANGED or re.search("[^su]s$", word):
        return word
    if MEN.search(word):
        return word[:-2] + "en"
    if re.search("(s|x|z|ch|sh)$", word):
        return word + "es"
    if re.search("[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + "s"


def not_there(name: str) -> str:
    """Return what is said if an image has nothing of a class."""
    several = name.endswith("s") and name.split()[-1] not in UNCHANGED and plural(name) == name
    return f"There {'are' if several else 'is'} no {name} in the image."
