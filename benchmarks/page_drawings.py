"""Pages with known text for `benchmarks/reading_pages.py`: drawn with Pillow and fonts of core dependencies alone.

Every page is the same on every machine: fonts are those that matplotlib brings, what is random has the page's number as
its seed. Text is given in the order in which a person would read it: rows of tables and receipts from left to right,
columns of prose one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
import pypdfium2 as pdfium
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from sphinx_x.engines.pdf.page import read_page

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
SANS, BOLD, MONO, SERIF, TIMES = "DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif", "STIXGeneral"
LEDGER = Path(__file__).parents[1] / "examples" / "ledger-introduction.pdf"
LONG_EDGE = 1650
"""Of a letter page at 150 dots an inch."""

PROSE = (
    "The harbour office opens at seven in the morning and closes when the last ferry has left. Tickets are sold at "
    "both counters, and a family of four pays no more than two adults and one child would. Dogs travel free of "
    "charge if they are kept on a lead. Bicycles need a ticket of their own, which costs half of the price for an "
    "adult and is valid for the whole day.",
    "Whoever wants to go on by train finds the station behind the market hall, eight minutes on foot from the pier. "
    "Trains to the north leave every hour at twelve minutes past, and those to the south at forty-one minutes past. "
    "In winter (from November 3 to March 15) the first two trains of the morning do not run on Sundays.",
    "Luggage may be left in the lockers of the waiting room. A small one takes 2.50 for six hours, a large one 4.00; "
    "after that the price doubles. What has not been fetched within three days is brought to the lost property "
    "office, 17 Mill Lane, where it is kept for another eight weeks.",
    "The island has two inns, a bakery and a shop that sells nearly everything. Rooms should be booked in advance "
    "between June and September. A list of private rooms hangs in the window of the tourist office; it is brought "
    "up to date every Monday, and copies of it are sent by post to anyone who asks.",
)


@dataclass
class Sheet:
    """A page that is being drawn, and what stands on it."""

    width: int
    height: int
    paper: str = "white"
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.image = Image.new("RGB", (self.width, self.height), self.paper)
        self.draw = ImageDraw.Draw(self.image)

    def write(
        self, x: float, y: float, text: str, font: str, size: int, ink: str = "black", right: bool = False
    ) -> float:
        """One line with its upper left (or right) corner at (x, y); returns its width in pixels."""
        face = ImageFont.truetype(FONTS / f"{font}.ttf", size)
        width = self.draw.textlength(text, font=face)
        self.draw.text((x - width if right else x, y), text, fill=ink, font=face)
        self.lines.append(text)
        return width

    def paragraph(
        self, x: int, y: int, width: int, text: str, font: str, size: int, leading: float, ink: str = "black"
    ) -> int:
        """Text broken into lines of at most `width` pixels; returns where the next line would begin."""
        face, line = ImageFont.truetype(FONTS / f"{font}.ttf", size), ""
        for word in [*text.split(), ""]:
            if word and face.getlength(f"{line} {word}".strip()) <= width:
                line = f"{line} {word}".strip()
            else:
                self.write(x, y, line, font, size, ink)
                y, line = y + round(size * leading), word
        return y

    @property
    def text(self) -> str:
        """All text, in reading order."""
        return "\n".join(self.lines)


@dataclass(frozen=True)
class Page:
    """A picture of a page and its text."""

    name: str
    image: Image.Image
    text: str


# What happens to pages


def turned(image: Image.Image, degrees: float, around: str | tuple[int, int, int] = "white") -> Image.Image:
    """Turned counter-clockwise, on a sheet large enough."""
    return image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=around)


def noisy(image: Image.Image, deviation: float, seed: int) -> Image.Image:
    """With noise of a normal distribution, the same in all three colours."""
    noise = np.random.default_rng(seed).normal(0, deviation, (image.height, image.width, 1))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def faint(image: Image.Image, dark: int, light: int) -> Image.Image:
    """With black and white moved to `dark` and `light`."""
    return Image.fromarray((dark + np.asarray(image, np.float32) / 255 * (light - dark)).astype(np.uint8))


def lit_from_the_side(image: Image.Image, least: float) -> Image.Image:
    """As under a lamp: the light falls from 1 at the upper left to `least` at the lower right."""
    x, y = np.linspace(0, 1, image.width), np.linspace(0, 1, image.height)
    light = 1 - (1 - least) * (0.7 * x[None, :, None] + 0.3 * y[:, None, None]) ** 1.5
    return Image.fromarray((np.asarray(image) * light).astype(np.uint8))


def thermal(image: Image.Image, seed: int) -> Image.Image:
    """Printed by a receipt printer: rows of the head that print faintly, dots left out, grey ink on grey paper."""
    rng = np.random.default_rng(seed)
    pixels = np.asarray(image.convert("L"), np.float32)
    strength = 0.55 + 0.3 * rng.random((pixels.shape[0], 1)) * np.ones_like(pixels)
    strength *= 0.35 + 0.65 * (rng.random(pixels.shape) < 0.93)
    grey = 238 - (255 - pixels) * strength * 0.8 + rng.normal(0, 5, pixels.shape)
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6)).convert("RGB")


# Pages


def ledger(change: Callable[[Image.Image], Image.Image]) -> tuple[Image.Image, str]:
    """The page of the example document, changed."""
    page = read_page(pdfium.PdfDocument(LEDGER), 0, LONG_EDGE)
    return change(page.image.convert("RGB")), page.text


def letter(font: str, size: int) -> Sheet:
    """A page of prose with a heading, short lines and a foot."""
    sheet = Sheet(1240, 1300)
    for row, text in enumerate(("Harbour Office", "4 Pier Road", "Northport")):
        sheet.write(1120, 70 + 34 * row, text, font, size, right=True)
    sheet.write(120, 220, "Travelling to the island", font, round(1.5 * size))
    y = 290
    for text in PROSE:
        y = sheet.paragraph(120, y, 1000, text, font, size, 1.4) + size
    sheet.write(120, y + 30, "Yours faithfully,", font, size)
    sheet.write(620, 1240, "1", font, size)
    return sheet


ITEMS = [
    ("Oat biscuits 250 g", "2", "1.79", "3.58"), ("Green tea, 20 bags", "1", "2.49", "2.49"),
    ("Tomatoes on the vine", "3", "0.85", "2.55"), ("Whole milk 1 l", "4", "1.15", "4.60"),
    ("Dish soap lemon", "1", "1.95", "1.95"), ("Batteries AA x8", "1", "6.99", "6.99"),
]  # fmt: skip


def receipt(mono: str, size: int, tight: float) -> Sheet:
    """A till's receipt: names on the left, prices on the right."""
    sheet = Sheet(24 * size, round(27 * size * tight * 1.25), "white")
    step, y, wide = round(size * tight), size, sheet.width
    for text in ("CORNER MARKET", "17 MILL LANE, NORTHPORT", "TEL 0555-201938"):
        width = ImageFont.truetype(FONTS / f"{mono}.ttf", size).getlength(text)
        sheet.write((wide - width) / 2, y, text, mono, size)
        y += step
    y += step
    for left, right in (("Receipt 004817", "Till 3"), ("12/08/2024", "17:42:09")):
        sheet.write(size, y, left, mono, size)
        sheet.write(wide - size, y, right, mono, size, right=True)
        y += step
    for x in range(size, wide - size, 12):
        sheet.draw.line((x, y + 8, x + 7, y + 8), "black", 2)
    y += step
    for name, count, each, total in ITEMS:
        sheet.write(size, y, name, mono, size)
        sheet.write(2 * size, y + step, f"{count} x {each}", mono, size)
        sheet.write(wide - size, y + step, total, mono, size, right=True)
        y += 2 * step
    sheet.draw.line((size, y + 4, wide - size, y + 4), "black", 2)
    y += round(0.6 * step)
    for left, right in (("TOTAL", "22.16"), ("CASH", "25.00"), ("CHANGE", "2.84")):
        sheet.write(size, y, left, mono, size)
        sheet.write(wide - size, y, right, mono, size, right=True)
        y += step
    sheet.write(size, y + step, "Thank you, please come again!", mono, round(size * 0.9))
    return sheet


def screenshot(paper: str, side: str, ink: str, muted: str, accent: str) -> Sheet:
    """A window at 96 dots an inch: a bar, a list on the left, a letter on the right, buttons."""
    sheet = Sheet(1100, 640, paper)
    sheet.draw.rectangle((0, 0, 1100, 40), fill=accent)
    sheet.write(16, 11, "Northport Mail", BOLD, 15, "white")
    sheet.draw.rectangle((0, 41, 220, 640), fill=side)
    for row, (name, count) in enumerate([("Inbox", "12"), ("Starred", "3"), ("Sent", "148"), ("Drafts", "2")]):
        sheet.write(20, 60 + 34 * row, name, SANS, 14, ink)
        sheet.write(200, 60 + 34 * row, count, SANS, 12, muted, right=True)
    sheet.write(250, 60, "Timetable for the winter season", SANS, 22, ink)
    sheet.write(250, 96, "From: harbour office <office@northport.example>", SANS, 13, muted)
    sheet.draw.line((250, 124, 1070, 124), muted, 1)
    y = 140
    for text in PROSE[:3]:
        y = sheet.paragraph(250, y, 800, text, SANS, 14, 1.5, ink) + 12
    for x, label in ((250, "Reply"), (360, "Forward")):
        sheet.draw.rounded_rectangle((x, y, x + 96, y + 34), 6, fill=accent)
        sheet.write(x + 18, y + 8, label, BOLD, 14, "white")
    return sheet


CODE = """import csv
from pathlib import Path

def total(path: Path) -> float:
    # the third column holds the price
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    return sum(float(row[2]) for row in rows[1:])

if __name__ == "__main__":
    print(f"sum: {total(Path('sales.csv')):.2f}")"""


def editor() -> Sheet:
    """Code in colours on a dark ground, with numbers of lines and a bar below."""
    sheet = Sheet(900, 420, "#1e1e1e")
    colors = ["#9cdcfe", "#ce9178", "#dcdcaa", "#6a9955", "#d4d4d4", "#c586c0"]
    for row, line in enumerate(CODE.splitlines()):
        if line:
            sheet.write(44, 16 + 26 * row, str(row + 1), MONO, 14, "#858585", right=True)
            x = 64 + 8.43 * (len(line) - len(line.lstrip()))
            sheet.write(x, 16 + 26 * row, line.strip(), MONO, 14, colors[row % len(colors)])
    sheet.draw.rectangle((0, 390, 900, 420), fill="#007acc")
    sheet.write(12, 397, "main   Ln 7, Col 22   UTF-8", SANS, 13, "white")
    return sheet


ROWS = [
    ("Station", "Departs", "Arrives", "Fare"), ("Northport", "06:12", "07:45", "12.40"),
    ("Saltmarsh", "07:12", "08:31", "10.90"), ("Mill Bridge", "08:41", "09:50", "9.60"),
    ("Old Quarry", "09:12", "10:58", "14.20"), ("Castle Road", "11:41", "12:49", "8.80"),
    ("Lakeside East", "13:12", "15:03", "15.70"), ("Hollow Tree", "16:41", "17:58", "11.30"),
]  # fmt: skip


def table(head: str | None, shaded: str | None, font: str, size: int, thick: int) -> Sheet:
    """A table with a frame and lines between its cells; head: the colour below its first row, else white."""
    sheet = Sheet(1000, 640)
    sheet.write(60, 30, "Trains from the harbour", BOLD, 26)
    widths, high, top = (320, 180, 180, 180), round(size * 2.1), 90
    for row, cells in enumerate(ROWS):
        y, x = top + row * high, 60
        ground = head if row == 0 else shaded if row % 2 == 0 else None
        if ground:
            sheet.draw.rectangle((60, y, 60 + sum(widths), y + high), fill=ground)
        for cell, width in zip(cells, widths, strict=True):
            sheet.draw.rectangle((x, y, x + width, y + high), outline="black", width=thick)
            sheet.write(x + 10, y + high * 0.22, cell, font, size, "white" if head and row == 0 else "black")
            x += width
    sheet.write(60, top + len(ROWS) * high + 20, "Fares are for one adult, second class.", font, size)
    return sheet


def form() -> Sheet:
    """Labels, fields in boxes and on lines, and boxes to tick."""
    sheet = Sheet(1200, 760)
    sheet.write(60, 36, "Application for a resident's card", SERIF, 30)
    y = 110
    for label, value in [
        ("Family name", "Vandermeer"), ("Given names", "Ada Louise"), ("Date of birth", "14 March 1987"),
        ("Street and number", "29 Orchard Street"), ("Town", "Northport 4417"),
    ]:  # fmt: skip
        sheet.write(60, y + 10, label, SANS, 19)
        sheet.draw.rectangle((330, y, 860, y + 44), outline="#444444", width=2)
        sheet.write(342, y + 9, value, TIMES, 24)
        y += 58
    for label, ticked in (("I own a boat", True), ("I rent a mooring", False), ("I keep a stall", True)):
        sheet.draw.rectangle((62, y + 8, 84, y + 30), outline="black", width=2)
        if ticked:
            sheet.draw.line((65, y + 11, 81, y + 27), "black", 3)
            sheet.draw.line((65, y + 27, 81, y + 11), "black", 3)
        sheet.write(100, y + 7, label, SANS, 19)
        y += 42
    for label, value, x in (("Date", "2 May 2024", 60), ("Signed", "A. L. Vandermeer", 460)):
        width = sheet.write(x, y + 30, label, SANS, 19)
        sheet.draw.line((x + width + 10, y + 56, x + 360, y + 56), "black", 2)
        sheet.write(x + width + 24, y + 27, value, TIMES, 24)
    return sheet


def boxed() -> Sheet:
    """Paragraphs in frames, one of them dark, one grey with round corners."""
    sheet = Sheet(1240, 900)
    looks = [(None, "black", "black"), ("#22304a", "white", "#22304a"), ("#e4e4e4", "black", "#999999")]
    y = 50
    for text, (ground, ink, edge) in zip(PROSE, looks, strict=False):
        sheet.draw.rounded_rectangle((60, y, 1180, y + 200), 14, fill=ground, outline=edge, width=3)
        sheet.paragraph(84, y + 22, 1070, text, SANS, 22, 1.45, ink)
        y += 240
    return sheet


def columns(font: str, size: int, leading: float) -> Sheet:
    """A heading over two columns of prose."""
    sheet = Sheet(1240, 1000)
    sheet.write(80, 50, "News from the island", BOLD, 44)
    for x, texts in ((80, PROSE[:2]), (650, PROSE[2:])):
        y = 150
        for text in texts:
            y = sheet.paragraph(x, y, 510, text, font, size, leading) + 16
    return sheet


def headings() -> Sheet:
    """Large letters above small ones."""
    sheet = Sheet(1240, 1000)
    sheet.write(70, 40, "Summer Fair", BOLD, 110)
    sheet.write(74, 190, "Saturday, 14 June, at the old pier", SERIF, 52)
    y = sheet.paragraph(74, 300, 1090, PROSE[0], SERIF, 24, 1.5) + 20
    sheet.write(74, y, "HOW TO GET THERE", SANS, 38)
    sheet.paragraph(74, y + 70, 1090, PROSE[1], SERIF, 24, 1.5)
    return sheet


def small_print() -> Sheet:
    """Small letters close together, some underlined."""
    sheet = Sheet(900, 520)
    y = 40
    for number, text in enumerate(PROSE):
        width = sheet.write(50, y, f"{number + 1}. Conditions of carriage", SANS, 15)
        sheet.draw.line((50, y + 17, 50 + width, y + 17), "black", 1)
        y = sheet.paragraph(50, y + 22, 800, text, TIMES, 16, 1.12) + 8
    return sheet


def poster() -> Sheet:
    """Light letters on a ground that changes from blue to green."""
    sheet = Sheet(1000, 700)
    x, y = np.linspace(0, 1, 1000)[None, :, None], np.linspace(0, 1, 700)[:, None, None]
    ground = np.array([20, 40, 110]) * (1 - x) + np.array([10, 90, 70]) * x - 15 * y
    sheet.image.paste(Image.fromarray(ground.clip(0, 255).astype(np.uint8)))
    sheet.write(60, 50, "Night of the lanterns", BOLD, 56, "#ffe9a8")
    sheet.paragraph(60, 170, 880, PROSE[3], SANS, 26, 1.5, "white")
    sheet.write(60, 470, "Free entry, no booking", SERIF, 40, "#ffe9a8")
    return sheet


def contents() -> Sheet:
    """A table of contents with dots up to the numbers."""
    sheet = Sheet(1240, 640)
    sheet.write(90, 50, "Contents", BOLD, 36)
    chapters = ["Before you leave", "Tickets and fares", "The ferry", "Trains to the north", "Trains to the south",
                "Luggage and bicycles", "Rooms on the island", "Lost property"]  # fmt: skip
    face = ImageFont.truetype(FONTS / f"{TIMES}.ttf", 26)
    for row, chapter in enumerate(chapters):
        y, number = 130 + 52 * row, str(3 + 7 * row)
        sheet.write(90, y, f"{row + 1}  {chapter}", TIMES, 26)
        first = 90 + face.getlength(f"{row + 1}  {chapter} ")
        for x in np.arange(first, 1090, 13):
            sheet.draw.text((x, y), ".", fill="black", font=face)
        sheet.write(1140, y, number, TIMES, 26, right=True)
    return sheet


def readable_pages() -> list[Page]:
    """The pages that are read."""
    pages: list[Page] = []

    def add(name: str, image: Image.Image, text: str) -> None:
        pages.append(Page(name, image, text))

    def sheet(name: str, drawn: Sheet, change: Callable[[Image.Image], Image.Image] = lambda image: image) -> None:
        add(name, change(drawn.image), drawn.text)

    add("page turned by 2, noise", *ledger(lambda image: noisy(turned(image, 2), 12, 1)))
    sheet("page turned by -0.7", letter(TIMES, 25), lambda image: turned(image, -0.7))
    sheet("page turned by 5", letter(SERIF, 21), lambda image: turned(image, 5))
    add("page out of focus", *ledger(lambda image: image.filter(ImageFilter.GaussianBlur(1.2))))
    sheet("page faint, lit from the side", letter(SANS, 20), lambda i: lit_from_the_side(faint(i, 110, 225), 0.55))
    add("page with strong noise", *ledger(lambda image: noisy(image, 30, 6)))
    sheet("thermal receipt", receipt(MONO, 22, 1.25), lambda image: thermal(image, 7))
    sheet("receipt turned by -1.5 on black", receipt(SANS, 20, 1.2), lambda i: turned(thermal(i, 8), -1.5, "black"))
    sheet("screenshot, light", screenshot("white", "#f1f3f5", "#202124", "#5f6368", "#1a73e8"))
    sheet("screenshot, dark", screenshot("#202124", "#2b2c30", "#e8eaed", "#9aa0a6", "#3f51b5"))
    sheet("code editor, dark", editor())
    sheet("framed table", table(None, None, SANS, 22, 2))
    sheet("framed table, dark head, turned by 1", table("#26364d", "#e8edf3", SERIF, 21, 1), lambda i: turned(i, 1))
    sheet("form", form())
    sheet("text in boxes", boxed())
    sheet("two columns", columns(SERIF, 20, 1.4))
    sheet("two columns turned by -3, noise", columns(TIMES, 24, 1.25), lambda i: noisy(turned(i, -3), 10, 17))
    sheet("large headings", headings())
    sheet("small print, underlined", small_print())
    sheet("poster, light on dark", poster())
    sheet("table of contents", contents())
    return pages


def unreadable_pages() -> list[Page]:
    """What no reader of printed lines can read: these are to be refused."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (16, 20, 3), np.uint8)).resize((800, 640), Image.Resampling.BICUBIC)
    static = Image.fromarray(rng.integers(0, 255, (400, 600), np.uint8)).convert("RGB")
    strokes = Image.new("RGB", (900, 600), "white")
    draw = ImageDraw.Draw(strokes)
    for row in range(8):
        x, y = 60.0, 60.0 + 65 * row
        points = [(x, y)]
        for _ in range(180):
            x, y = x + rng.uniform(-1, 9), y + rng.uniform(-14, 14)
            points.append((x, min(max(y, 40.0 + 65 * row), 85.0 + 65 * row)))
        draw.line(points, "black", 3)
    blurred = columns(SERIF, 20, 1.4).image.filter(ImageFilter.GaussianBlur(5))
    tiny = columns(SERIF, 20, 1.4).image.resize((310, 250), Image.Resampling.LANCZOS)
    pictures: Sequence[tuple[str, Image.Image]] = [
        ("patches of colour", coarse), ("static", static), ("scrawl", strokes),
        ("page far out of focus", blurred), ("page at 38 dots an inch", tiny),
    ]  # fmt: skip
    return [Page(name, image, "") for name, image in pictures]
