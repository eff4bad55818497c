"""Charts of tables: bars, lines, pies, with the boxes of their texts and the values as they can be read."""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass
from typing import Any

from PIL import Image

from sphinx_x.boxes import Box, clip, intersection, sides
from sphinx_x.engines.charts.tables import LEAST, MOST, Table
from sphinx_x.engines.documents.sheet import ORDERS, Drawing, Fact, Word
from sphinx_x.errors import DataError, needs_extra

KINDS = ("bar", "horizontal bar", "line", "pie")
COULD = ("chart title", "x axis", "y axis", "legend")
FONTS = ("DejaVu Sans", "DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono")
"""Families of `tables.FONTS`, one of them more often."""
PALETTES = ("tab10", "Set2", "Dark2", "Paired", "Accent", "tab20c", "viridis", "Greys")
MOST_PRINTED = 16
"""Most values that are printed in a chart."""
READABLE = 0.02
"""Smallest value, as a share of the largest, of which the height can be read."""
DIGITS = 3
"""Digits of a value: more cannot be read from a chart."""


@dataclass(frozen=True)
class Chosen:
    """What a chart shows: a part of a table.

    Attributes:
        table: The table.
        labels: The labels.
        series: The numbers by the name of their column, rounded.
        absent: Labels and columns of the table that are not shown.
    """

    table: Table
    labels: tuple[str, ...]
    series: tuple[tuple[str, tuple[float, ...]], ...]
    absent: tuple[str, ...]


def choose(rng: random.Random, table: Table) -> Chosen:
    """Return some neighbouring rows and up to three columns of numbers of one size."""
    count = min(len(table.labels), rng.randint(LEAST, MOST))
    start = rng.randrange(len(table.labels) - count + 1)
    part = slice(start, start + count)
    first = rng.choice(table.columns)
    size = max(map(abs, first[1])) or 1.0
    alike = [
        column for column in table.columns if column != first and 0.1 < (max(map(abs, column[1])) or 1.0) / size < 10
    ]
    others = rng.sample(alike, min(len(alike), rng.choice((0, 0, 0, 1, 2))))
    series = tuple((head, tuple(rounded(value) for value in values[part])) for head, values in (first, *others))
    absent = tuple(label for label in table.labels if label not in table.labels[part])
    return Chosen(table, table.labels[part], series, absent[:6])


def rounded(value: float) -> float:
    """Return a number with `DIGITS` digits, years and the like whole."""
    if not value:
        return 0.0
    places = DIGITS - 1 - math.floor(math.log10(abs(value)))
    return round(value, places)


def written(value: float) -> str:
    """Return a number as charts print it."""
    return f"{value:,.0f}" if value == int(value) else f"{value:.10f}".rstrip("0").rstrip(".")


def draw_chart(rng: random.Random, table: Table) -> tuple[str, Drawing, bytes]:
    """Draw a chart of a part of a table.

    Returns:
        The kind of chart, the truth about it, and the picture.

    Raises:
        DataError: The part has no numbers that make a chart.
    """
    chosen = choose(rng, table)
    values = [value for _, column in chosen.series for value in column]
    if len(set(values)) < 2:
        raise DataError("all numbers are the same")
    if any(float(written(value).replace(",", "")) != value for value in values):
        raise DataError("a number is too small to be written")
    kinds = ["bar", "bar", "horizontal bar"] + ["line", "line"] * table.ordered
    if len(chosen.series) == 1 and min(values) > 0 and not table.ordered and len(values) <= 7:
        kinds.append("pie")
    return _Chart(rng, chosen, rng.choice(kinds)).drawn()


class _Chart:
    def __init__(self, rng: random.Random, chosen: Chosen, kind: str) -> None:
        with needs_extra("data", "drawing charts"):
            import matplotlib
            import matplotlib.style
        self.matplotlib = matplotlib
        self.rng, self.chosen, self.kind = rng, chosen, kind
        values = [abs(value) for _, column in chosen.series for value in column]
        self.printed = kind == "pie" or (len(values) <= MOST_PRINTED and rng.random() < 0.5)
        if not self.printed and min(values) < READABLE * max(values):
            raise DataError("a value is too small to be read from the chart")
        self.texts: list[tuple[Any, str, str]] = []
        """Texts with the name of the fact that they say and what it is about, both empty for none."""
        self.figure: Any
        self.canvas: Any
        self.axes: Any

    def _begin(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        rng = self.rng
        self.figure = Figure(figsize=(rng.uniform(5, 9), rng.uniform(3.6, 6.5)), dpi=rng.choice((80, 100, 120)))
        self.canvas = FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_subplot()

    def drawn(self) -> tuple[str, Drawing, bytes]:
        rng = self.rng
        style: dict[Any, Any] = {
            "font.family": rng.choice(FONTS),
            "font.size": rng.uniform(8, 13),
            "axes.grid": rng.random() < 0.4,
            "axes.axisbelow": True,
            "axes.unicode_minus": False,  # as values are written
            "text.parse_math": False,
        }
        # what is made inside looks as by default, whatever a user's own style says
        with self.matplotlib.style.context(["default", style]):
            self._begin()
            self._plot()
            self._titles()
            self.figure.tight_layout()
            picture = io.BytesIO()
            self.figure.savefig(picture, format="png", dpi=self.figure.dpi)
            image = Image.open(picture).convert("RGB")
            drawing = self._truth(image)
        jpeg = io.BytesIO()
        image.save(jpeg, "JPEG", quality=rng.randint(75, 95))
        return self.kind, drawing, jpeg.getvalue()

    def _colours(self, count: int) -> list:
        palette = self.matplotlib.colormaps[self.rng.choice(PALETTES)]
        if palette.N < 30:
            return [palette(k % palette.N) for k in range(count)]
        return [palette(0.2 + 0.6 * k / max(count - 1, 1)) for k in range(count)]

    def _plot(self) -> None:
        labels, series = self.chosen.labels, self.chosen.series
        places = list(range(len(labels)))
        if self.kind == "pie":
            ((head, values),) = series
            _, names, *_ = self.axes.pie(values, labels=labels, colors=self._colours(len(labels)), labeldistance=1.15)
            for text, label in zip(names, labels, strict=True):
                self.texts.append((text, "label", label))
            self._pie_values(head)
            return
        colours = self._colours(len(series))
        wide = 0.8 / len(series)
        for k, (head, values) in enumerate(series):
            at = [place + (k - (len(series) - 1) / 2) * wide for place in places]
            if self.kind == "line":
                at = [float(place) for place in places]
                self.axes.plot(at, values, color=colours[k], marker=self.rng.choice("os^D"), label=head)
            elif self.kind == "bar":
                self.axes.bar(at, values, wide, color=colours[k], label=head)
            else:
                self.axes.barh(at, values, wide, color=colours[k], label=head)
            if self.printed:
                self._values(head, at, values)
        if self.kind == "horizontal bar":
            self.axes.invert_yaxis()  # the first label on top, where one begins to read
        axis = self.axes.yaxis if self.kind == "horizontal bar" else self.axes.xaxis
        long = max(map(len, labels)) * len(labels) > 40 and self.kind != "horizontal bar"
        axis.set_ticks(places, labels, **({"rotation": 90} if long else {}))
        for text, label in zip(axis.get_ticklabels(), labels, strict=True):
            self.texts.append((text, "label", label))
        if len(series) > 1:
            for text, (head, _) in zip(self.axes.legend().get_texts(), series, strict=True):
                self.texts.append((text, "legend", head))

    def _values(self, head: str, at: list[float], values: tuple[float, ...]) -> None:
        for place, value, label in zip(at, values, self.chosen.labels, strict=True):
            flat = self.kind == "horizontal bar"
            way = 3 if value >= 0 else -3
            text = self.axes.annotate(
                written(value), (value, place) if flat else (place, value), (way, 0) if flat else (0, way),
                textcoords="offset points", ha=("left" if value >= 0 else "right") if flat else "center",
                va="center" if flat else "bottom" if value >= 0 else "top", fontsize="small",
            )  # fmt: skip
            self.texts.append((text, f"cell:{head}", label))
        self.axes.margins(**{"x" if self.kind == "horizontal bar" else "y": 0.15})

    def _pie_values(self, head: str) -> None:
        """Print the numbers of a pie in its pieces."""
        (_, values), total, turned = self.chosen.series[0], sum(self.chosen.series[0][1]), 0.0
        for label, value in zip(self.chosen.labels, values, strict=True):
            angle = 2 * math.pi * (turned + value / 2) / total
            turned += value
            text = self.axes.text(
                0.7 * math.cos(angle), 0.7 * math.sin(angle), written(value), ha="center", va="center"
            )
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
            self.texts.append((text, f"cell:{head}", label))

    def _titles(self) -> None:
        rng, table, series = self.rng, self.chosen.table, self.chosen.series
        head = series[0][0] if len(series) == 1 else rng.choice(("Value", "Amount", "Figures"))
        if rng.random() < 0.85 or self.kind == "pie":
            shown = " and ".join(name for name, _ in series)
            title = rng.choice((f"{shown} by {table.key}", f"{table.name}: {shown}", f"{shown} ({table.name})"))
            words = title.split()
            while words and len(" ".join(words)) > 60:
                words.pop()
            self.texts.append((self.axes.set_title(" ".join(words)), "chart title", ""))
        if self.kind == "pie":
            return
        names = [("x axis", table.key), ("y axis", head)]
        if self.kind == "horizontal bar":
            names = [("x axis", head), ("y axis", table.key)]
        for (name, text), put in zip(names, (self.axes.set_xlabel, self.axes.set_ylabel), strict=True):
            if rng.random() < 0.75:
                self.texts.append((put(text), name, ""))

    def _scale(self) -> list[Any]:
        """Return the texts of the axis of values in a chart that is drawn: numbers, and what they are multiplied by."""
        if self.kind == "pie":
            return []
        axis = self.axes.xaxis if self.kind == "horizontal bar" else self.axes.yaxis
        low, high = sorted(axis.get_view_interval())
        shown = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        return [text for text in (*shown, axis.get_offset_text()) if text.get_text()]

    def _truth(self, image: Image.Image) -> Drawing:
        """Return the truth: a word for each text, in the box where the renderer put it."""
        renderer = self.canvas.get_renderer()
        words: list[Word] = []
        found: dict[tuple[str, str], int] = {}
        facts: list[Fact] = []
        boxes: list[Box] = []
        for text, name, about in [*self.texts, *((text, "", "") for text in self._scale())]:
            extent = text.get_window_extent(renderer)
            box: Box = (extent.x0, image.height - extent.y1, extent.x1, image.height - extent.y0)
            box = clip(tuple(round(float(n), 1) for n in box), image.size)  # pyright: ignore[reportArgumentType]
            if box[2] - box[0] < 2 or box[3] - box[1] < 2:
                raise DataError("a text of the chart is outside the picture")
            if any(min(sides(intersection(box, other))) > 1 for other in boxes):
                raise DataError("texts of the chart overlap")
            boxes.append(box)
            found[name, about] = len(words)
            words.append(Word(text.get_text(), box, box[3] + len(words) * 1e-6, self.figure.dpi / 7))
            if name in COULD and name != "legend":
                facts.append(Fact(name, text.get_text(), (found[name, about],)))
        if shown := tuple(found["legend", head] for head, _ in self.chosen.series if ("legend", head) in found):
            facts.append(Fact("legend", ", ".join(words[k].text for k in shown), shown))
        listed = tuple(Fact("listed", label, (found["label", label],)) for label in self.chosen.labels)
        for head, values in self.chosen.series:
            for label, value in zip(self.chosen.labels, values, strict=True):
                name = f"cell:{head}"
                told = found.get((name, label))
                facts.append(
                    Fact(
                        name,
                        written(value),
                        (found["label", label] if told is None else told,),
                        label,
                        told is not None,
                    )
                )
        orders = () if self.kind == "pie" else ORDERS  # nobody sees where a pie begins
        counts = (Fact("labels", str(len(listed)), tuple(fact.words[0] for fact in listed)),)
        return Drawing(image.convert("L"), words, facts, [], COULD, self.chosen.absent, counts, listed, orders)
