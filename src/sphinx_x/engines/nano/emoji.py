"""Pictures with one to four emoji at known places: what is there, where it is, whether something is there."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFont
from PIL import ImageDraw as Draw

from sphinx_x.boxes import Box, overlaps, sides
from sphinx_x.conversation import Message, Place
from sphinx_x.data.sample import OBJECTS, Sample
from sphinx_x.data.shards import write_shard
from sphinx_x.engines.nano.lines import encode
from sphinx_x.errors import DataError
from sphinx_x.sources.dialogue import Content, dialogue

KNOWN = (
    "🐶🐱🐭🐹🐰🐻🐼🐯🐮🐷🐸🐵🐔🐧🐦🐤🐺🐗🐴🐝🐛🐌🐞🐜🐢🐍🐙🐠🐟🐡🐬🐳🐋🐊🐆🐅🐃🐂🐄🐪🐘🐎🐖🐏🐑🐐🐓🐕🐈🐇🐁🐀🐉🐲🐚🦀🦁🦂🦃🦄🦅🦆🦇🦈🦉🦊🦋🦌🦍🦎🦏🦒"
    "🍏🍎🍐🍊🍋🍌🍉🍇🍓🍒🍑🍍🍅🍆🌽🍄🌰🍞🍔🍕🍖🍗🍟🍝🍣🍙🍚🍜🍲🍦🍨🍩🍪🎂🍰🍫🍬🍭🍮🍯🍼☕🍵🍷🍸🍹🍺🥑🥒🥕🥔🥝🥚🥛🥐"
    "⚽🏀🏈🎾🎱🎣🎿🎯🎲🎳🎮🎸🎹🎺🎻🥁🎨🎤🎧🎬🎈🎁🎀🎃🎄🎓🎩👑👒👓👔👕👖👗👙👜👞👟👠👢💄💍💎💼🌂"
    "🚗🚕🚌🚑🚒🚓🚚🚜🚲🚂🚀🚁🚢🚤⛵✈⚓⛺🏠🏰🏥🏦🏨🏫⛪⛲🗽🗿🗼🌋"
    "⌚📱💻📷📺📻🔦💡📕📎📏📌✂🔒🔑🔨🔫🔪💣💰💊🚪🚽🛁🔔📞🔋🔌🔍🔭🔬🕯🗝🛒🧲⏰⌛"
    "🌞🌛⭐🌈☁☂⛄❄🔥💧🌊🌵🌲🌳🌴🌱🌷🌹🌻🌺🌸🍀🍁🍂🌍👻👽🤖💀👀👂👃👄👅👍👎✊✋👋👣❤💔⚡☀☎✉⚙"
)
NAMES = {
    "🐻": "bear", "🐼": "panda", "❤": "heart", "🎁": "present", "☕": "coffee", "🚗": "car",
    "⛄": "snowman", "☎": "telephone", "☁": "cloud", "☂": "umbrella", "☀": "sun", "✂": "scissors",
    "🏠": "house", "🐤": "chick", "🍊": "orange", "🌞": "sun face", "⚡": "lightning", "⭐": "star",
    "👗": "dress", "🎤": "microphone", "🍵": "tea", "🐛": "caterpillar", "🍕": "pizza", "🎃": "pumpkin",
    "💰": "money bag", "📻": "radio", "🎹": "piano", "🏥": "hospital", "🏦": "bank", "📕": "book",
    "🌍": "globe", "💡": "light bulb", "👻": "ghost", "👽": "alien", "🕯": "candle", "🗝": "old key",
    "🛒": "shopping cart", "🧲": "magnet", "⌛": "hourglass", "🔍": "magnifying glass", "🐞": "ladybug",
    "⚙": "gear", "✉": "envelope", "🍸": "cocktail", "🍹": "tropical drink", "🐦": "bird",
    "🍙": "rice ball", "🍚": "bowl of rice", "🍜": "noodles", "🍍": "pineapple", "🎿": "skis",
    "🎯": "dart board", "🎳": "bowling", "🎱": "billiard ball", "⚽": "soccer ball", "🏈": "football",
    "🏀": "basketball", "🎾": "tennis ball", "🐍": "snake", "🎮": "video game", "🎨": "palette",
    "🌋": "volcano", "🦒": "giraffe", "🏰": "castle", "👞": "shoe", "👢": "boots", "👒": "hat",
    "🎲": "dice", "🔪": "knife", "🗿": "stone head", "🌳": "tree", "🗼": "tower", "🐪": "camel",
    "💻": "computer", "🔦": "flashlight", "🍗": "chicken leg", "🍆": "eggplant", "🦊": "fox",
    "🦁": "lion", "🦄": "unicorn", "🤖": "robot", "🐺": "wolf", "🐸": "frog", "🐹": "hamster",
    "🌊": "wave", "🍮": "pudding", "🌽": "corn", "🥁": "drum", "🐳": "blue whale", "🚂": "locomotive",
    "📏": "ruler", "🎧": "headphones",
}  # fmt: skip
"""Common names for emoji whose Unicode name is long or odd."""
FULL = 109
"""The only size of the colour bitmaps."""
SIDE = (64, 256)
DECOYS = 0.3
"""Share of the pictures with a question about something that may not be there."""


def emoji_names() -> dict[str, str]:
    """Return the emoji in use by name; names have at most two words and are unique."""
    names: dict[str, str] = {}
    for char in dict.fromkeys(KNOWN):
        name = NAMES.get(char) or unicodedata.name(char, "").lower()
        if name and len(name.split()) <= 2:
            names.setdefault(name, char)
    return names


class EmojiSheet:
    """The emoji of a font as pictures, cropped to their visible part."""

    def __init__(self, path: str) -> None:
        try:
            font = ImageFont.truetype(path, FULL)
        except OSError as error:
            raise DataError(f"{path}: not a font with bitmaps of size {FULL}: {error}") from error
        self.pictures: dict[str, Image.Image] = {}
        for name, char in emoji_names().items():
            picture = Image.new("RGBA", (160, 160))
            Draw.Draw(picture).text((8, 8), char, font=font, embedded_color=True)
            box = picture.getbbox()
            if box and min(sides(box)) > 20:
                self.pictures[name] = picture.crop(box)
        if not self.pictures:
            raise DataError(f"{path}: the font shows none of the emoji")
        self.names = sorted(self.pictures)


def draw_picture(sheet: EmojiSheet, rng: random.Random) -> tuple[Image.Image, list[tuple[str, Box]]]:
    """Return a picture of emoji that do not touch, and these from left to right with their visible boxes."""
    width, height = rng.randint(*SIDE), rng.randint(*SIDE)
    picture = _background(width, height, rng)
    things: list[tuple[str, Box]] = []
    wanted = rng.choices((1, 2, 3, 4), (4, 3, 2, 1))[0]
    for name in rng.sample(sheet.names, wanted):
        for _ in range(8):
            side = rng.uniform(24, max(30, min(110, 0.7 * min(width, height))))
            stamp = sheet.pictures[name]
            ratio = side / max(stamp.size)
            w, h = max(round(stamp.width * ratio), 8), max(round(stamp.height * ratio), 8)
            if w > width or h > height:
                continue
            x, y = rng.randint(0, width - w), rng.randint(0, height - h)
            place = (x, y, x + w, y + h)
            if not any(overlaps(place, other) for _, other in things):
                small = stamp.resize((w, h), Image.Resampling.LANCZOS)
                picture.paste(small, (x, y), small)
                things.append((name, place))
                break
    things.sort(key=lambda thing: (thing[1][0] + thing[1][2], thing[1][1]))
    return picture, things


def _background(width: int, height: int, rng: random.Random) -> Image.Image:
    light = rng.random() < 0.7
    first, second = ([rng.randint(170, 255) if light else rng.randint(0, 200) for _ in range(3)] for _ in range(2))
    kind = rng.random()
    if kind < 0.4:
        return Image.new("RGB", (width, height), (255, 255, 255) if rng.random() < 0.4 else tuple(first))
    if kind < 0.75:
        angle = rng.uniform(0, 2 * np.pi)
        y, x = np.mgrid[0:height, 0:width]
        slope = np.cos(angle) * x / width + np.sin(angle) * y / height
        slope = (slope - slope.min()) / max(float(np.ptp(slope)), 1e-6)
        colours = np.asarray(first) + slope[..., None] * (np.asarray(second) - np.asarray(first))
    else:
        noise = np.random.default_rng(rng.randrange(1 << 32))
        colours = np.asarray(first) + noise.normal(0, rng.uniform(4, 25), (height, width, 3))
    return Image.fromarray(np.clip(np.rint(colours), 0, 255).astype(np.uint8))


def ask_about_picture(things: list[tuple[str, Box]], names: list[str], rng: random.Random) -> list[Message]:
    """Return one to four turns: what is there, where, how many, and whether something is there."""
    turns: list[tuple[Content, Content]] = []
    text = ", ".join(name for name, _ in things)
    if rng.random() < 0.7:
        turns.append(("What is in the picture?", text))
    for name, box in rng.sample(things, rng.randint(0 if turns else 1, min(2, len(things)))):
        turns.append((f"Where is the {name}?", Place(0, (tuple(box),))))
    if rng.random() < DECOYS:
        there = {name for name, _ in things}
        # a dog face is a dog, and a palm tree a tree
        others = [name for name in names if not any(set(name.split()) < set(one.split()) for one in there)]
        name = rng.choice(sorted(there)) if rng.random() < 0.5 else rng.choice(others)
        article = "an" if name[0] in "aeiou" and not name.startswith("uni") else "a"
        turns.append((f"Is there {article} {name} in the picture?", "Yes" if name in there else "No"))
    return dialogue(turns)


def make_shard(out: str, name: str, size: int, seed: str, font: str, package: str) -> int:
    """Write one shard of emoji pictures, which depends only on the seed, and return its number of samples."""
    rng = random.Random(seed)
    sheet = EmojiSheet(font)
    licence = f"Debian main, /usr/share/doc/{package}/copyright"

    def samples() -> Iterator[tuple[Sample, list[bytes]]]:
        for number in range(size):
            picture, things = draw_picture(sheet, rng)
            messages = ask_about_picture(things, sheet.names, rng)
            regions = [{"text": thing, "box": list(box)} for thing, box in things]
            sample = Sample(f"{name}-{number:05d}", [], messages, package, licence, regions, OBJECTS)
            yield sample, [encode(picture)]

    return write_shard(out, name, samples())
