"""Receipts of shops and restaurants, as tills print them."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np

from sphinx_x.engines.documents.faces import Faces
from sphinx_x.engines.documents.flow import Cell
from sphinx_x.engines.documents.kinds import Kind
from sphinx_x.engines.documents.made import dates, names, places
from sphinx_x.engines.documents.made.goods import goods
from sphinx_x.engines.documents.sheet import Drawing, Style
from sphinx_x.engines.documents.till import Till

COULD = (
    *("company", "address", "phone", "fax", "tax number", "registration number", "date", "time", "receipt number"),
    *("cashier", "table", "subtotal", "discount", "service charge", "tax", "rounding", "total", "cash", "change"),
    *("total quantity", "total without tax"),
    *("item:amount", "item:quantity", "item:unit price"),
)
TITLES = [
    "TAX INVOICE",
    "Tax Invoice",
    "RECEIPT",
    "CASH BILL",
    "CASH SALES",
    "INVOICE",
    "SIMPLIFIED TAX INVOICE",
    "Receipt",
    "OFFICIAL RECEIPT",
    "- TAX INVOICE -",
    "Sales Receipt",
]
ENDS = [
    "THANK YOU, PLEASE COME AGAIN",
    "Thank you!",
    "Goods sold are not returnable, thank you.",
    "EXCHANGE WITHIN 7 DAYS WITH RECEIPT",
    "STRICTLY NO CASH REFUND",
    "Have a nice day",
    "See you again",
    "Please retain receipt as proof of purchase",
    "ALL PRICES ARE INCLUSIVE OF TAX",
    "CUSTOMER COPY",
    "Powered by {}",
    "Like us on Facebook",
    "*** THANK YOU ***",
    "{} loyalty members earn points",
    "GOODS SOLD ARE NOT RETURNABLE OR EXCHANGEABLE",
    "Please come again",
    "Keep the invoice for applicable returns",
    "Customer Service Hotline : 1-300-##-####",
    "Goods sold are non-refundable but exchangeable in resaleable condition with this receipt.",
]
BARE = 0.55
"""Share of the receipts whose date has no label, and none of those that are empty."""
LATE = 0.3
"""Share of the receipts that have the date, the number and the cashier below the total."""
REVERSED = 0.3
"""Share of the dates without a label that stand behind the time."""
COUNTED = 0.4
"""Share of the dates without a label that stand between numbers of the till."""
APART = 0.3
"""Share of the other dates without a label whose time stands at the other end of the row, a number between or not."""
COUNTS = [
    *(
        "CHK #### {}",
        "Order ##-### {}",
        "#### REG# {}",
        "No. ###### {}",
        "TRX## POS# {}",
        "{} SHIFT# TILL##",
        "{} ####",
    ),
    *("{} S## T##", "{} ####-##", "## {} POS-0#"),
]
"""What stands in the row of a date without a label."""


def draw(rng: random.Random, faces: Faces) -> Drawing:
    """Draw a receipt."""
    return _Receipt(rng, faces).drawn()


class _Receipt(Till):
    def __init__(self, rng: random.Random, faces: Faces) -> None:
        super().__init__(rng, faces)
        self.typed = Style(round(self.flow.style.size * rng.uniform(1, 2), 1), True, face=faces.choose(rng, mono=False))

    def drawn(self) -> Drawing:
        rng, flow = self.rng, self.flow
        if rng.random() < 0.15:  # typed above it by whoever filed it
            note = rng.choice(
                (
                    names.person(rng).lower(),
                    str(rng.randrange(10**6, 10**7)),
                    f"{rng.randrange(1, 9)}-{rng.randrange(10**5, 10**7)}",
                )
            )
            flow.say(note, rng.choice("lm"), self.typed)
            flow.gap(rng.uniform(0.3, 3))
        self.header()
        titled = rng.random() < 0.75
        if titled:
            flow.gap(rng.choice((0.2, 0.6, 1)))
            flow.say(self.case(rng.choice(TITLES)), "m", rng.choice((flow.style, flow.big(1, True))))
        flow.gap(rng.choice((0.1, 0.5)))
        late = rng.random() < LATE
        if not late:
            self.meta()
        self.rule_off()
        count = self.items()
        self.rule_off()
        self.totals()
        if rng.random() < 0.35 and self.sale.rate:
            self.summary()
        if late:
            self.rule_off()
            self.meta()
        self.footer()
        flow.gap(rng.uniform(0.5, 4))
        things = tuple(map(self.case, goods(rng, self.trade, 4)))
        stated = {fact.name for fact in flow.sheet.facts}
        could = tuple(name for name in COULD if name in stated or name not in self.unsure)
        return flow.sheet.finish(flow.y, could=could, things=things, counts=(count,), listed=tuple(self.listed))

    def header(self) -> None:
        rng, flow, align = self.rng, self.flow, "m" if self.centred else "l"
        legal = names.company(rng, self.land, self.trade)
        legal = legal.upper() if rng.random() < 0.75 else legal
        if rng.random() < 0.2:
            flow.say(names.made_up_word(rng).upper(), align, Style(round(flow.style.size * 1.4), True))
        name = rng.choice((flow.style, flow.big(1, True), flow.big(1.2, True), flow.big(1.4)))
        if self.mono and rng.random() < 0.3:
            name = Style(flow.style.size, wide=rng.choice((1, 2)), tall=2)
        number = places.filled(rng, self.land.registered)
        place = rng.random()
        if place < 0.25:
            text = f"{legal} ({number})"
            flow.say(text, align, name, {"company": legal, "registration number": number})
        else:
            flow.say(legal, align, name, {"company": legal})
            if place < 0.55:
                text = rng.choice(("({})", "Co. Reg. No. {}", "(CO.REG :{})", "Reg No: {}", "({})")).format(number)
                flow.say(text, align, facts={"registration number": number})
        if rng.random() < 0.08:
            other = names.company(rng, self.land, self.trade)
            flow.say(rng.choice(("Licensee of {}", "(Formerly known as {})", "A member of {}")).format(other), align)
        lines = places.address(rng, self.land, names.made_up_word(rng), names.made_up_word(rng))
        words = [word for line in lines for word in flow.say(line, align)]
        flow.sheet.find(words, {"address": flow.sheet.said(words)})
        if rng.random() < 0.15:
            branch = f"{names.made_up_word(rng)} {rng.choice(('Mall', 'Branch', 'City', 'Square', 'Plaza', 'Outlet'))}"
            text = rng.choice(("({})", "Branch: {}", f"{rng.randint(100, 2000)}-{{}}", "{}")).format(branch)
            flow.say(self.case(text), align)
        self.contact(align)

    def contact(self, align: str) -> None:
        rng, flow = self.rng, self.flow
        rows: list[tuple[str, Mapping[str, str]]] = []
        if rng.random() < 0.65:
            pattern = rng.choice(self.land.phone)
            phone = places.filled(rng, pattern)
            text, facts = f"{self.label('phone')} {phone}", {"phone": phone}
            if rng.random() < 0.25:
                facts["fax"] = places.filled(rng, pattern)
                text += f"  {self.label('fax')} {facts['fax']}"
            rows.append((text, facts))
        if self.sale.rate and rng.random() < 0.7:
            label, pattern = rng.choice(self.land.tax_number)
            number = places.filled(rng, pattern)
            text = f"{label}{self.colon} {number}"
            rows.append((rng.choice((text, f"({text})")), {"tax number": number}))
        rng.shuffle(rows)
        for text, facts in rows:
            flow.say(text, align, facts=facts)

    def meta(self) -> None:
        rng, flow = self.rng, self.flow
        number = rng.choice(("", "", "CS", "INV-", "R", "A", "OR", "#")) + str(rng.randrange(10 ** rng.randint(3, 10)))
        rows = self.dated()
        if rng.random() < 0.85:
            rows.append((f"{self.label('receipt number')} {number}", {"receipt number": number}))
        if rng.random() < 0.5:
            name = self.case(rng.choice((names.person(rng).split()[0], f"POS{rng.randint(1, 9)}", names.person(rng))))
            rows.append((f"{self.label('cashier')} {name}", {"cashier": name}))
        if self.trade == "food" and rng.random() < 0.5:
            table = rng.choice(("", "A", "G", "T")) + str(rng.randint(1, 60))
            rows.append((f"{self.label('table')} {table}", {"table": table}))
        if rng.random() < 0.15:
            rows.append((f"{rng.choice(('Ref.', 'Member', 'Remark', 'Member ID'))}{self.colon}", {}))
        if rng.random() < 0.15:
            more = rng.choice(("Pax{} {}", "Counter{} C{}", "POS No{} {}", "Terminal{} {}", "Reg #{} {}"))
            rows.append((self.case(more.format(self.colon, rng.randint(1, 9))), {}))
        rng.shuffle(rows)
        if self.colon and rng.random() < 0.35:
            self.aligned(rows)
            return
        align = rng.choice("lllm")
        while rows:
            text, facts = rows.pop()
            beside = rows[-1] if rows else None
            if beside and align == "l" and rng.random() < 0.4:
                both = flow.sheet.length(f"{text}     {beside[0]}", flow.style)
                if both < flow.wide:
                    rows.pop()
                    flow.row([Cell(flow.left, text, "l", facts), Cell(flow.right, beside[0], "r", beside[1])])
                    continue
            flow.say(text, align, facts=facts)

    def dated(self) -> list[tuple[str, Mapping[str, str]]]:
        """Return the row of the date, with the time or not; one whose parts stand apart is written at once."""
        rng, flow = self.rng, self.flow
        moment = {"date": dates.written(self.moment, self.form)}
        if rng.random() < 0.7:
            moment["time"] = dates.time_of(rng, self.moment)
        if rng.random() >= BARE:
            text = f"{self.label('date')} {moment['date']}".strip()
            return [(text + f" {rng.choice(('', '', 'Time: '))}{moment['time']}" if "time" in moment else text, moment)]
        parts = list(moment.items())
        if rng.random() < REVERSED:
            parts.reverse()
        texts = [text for _, text in parts]
        if rng.random() < COUNTED:  # in the midst of what the till counts
            between = rng.choice((" ", " ", " ###### ", "  ##  ", " ####-# "))
            text = self.case(places.filled(rng, rng.choice(COUNTS))).format(places.filled(rng, between).join(texts))
            self.unsure.update(("receipt number", "table", "time"))
            return [(text, moment)]
        number = places.filled(rng, "######") if rng.random() < 0.4 else ""
        halves = [2 * flow.sheet.length(f"{text}  ", flow.style) for text in texts]
        if len(parts) == 2 and rng.random() < APART and max(halves) + flow.sheet.length(number, flow.style) < flow.wide:
            ends = ((flow.left, "l"), (flow.right, "r"))
            cells = [Cell(x, text, side, {name: text}) for (x, side), (name, text) in zip(ends, parts, strict=True)]
            flow.row([cells[0], *([Cell(flow.middle, number, "m")] if number else []), cells[1]])
            if number:
                self.unsure.update(("receipt number", "table"))
            return []
        return [(" ".join(texts), moment)]

    def aligned(self, rows: list[tuple[str, Mapping[str, str]]]) -> None:
        """Write labels below each other, and what they say in a column behind their colons."""
        flow, mark = self.flow, self.colon.strip()
        parted = [(text.partition(mark), facts) for text, facts in rows]
        labels = [label.strip() for (label, _, _), _ in parted if not _has_digits(label)]
        column = flow.left + max((flow.sheet.length(f"{label}  ", flow.style) for label in labels), default=0.0)
        for (label, colon, value), facts in parted:
            text = f"{mark} {value.strip()}"
            inside = column + flow.sheet.length(text, flow.style) < flow.right
            if colon and value.strip() and inside and not _has_digits(label):
                flow.row([Cell(flow.left, label.strip()), Cell(column, text, "l", facts)])
            else:
                flow.say(label + colon + value, facts=facts)

    def footer(self) -> None:
        rng, flow = self.rng, self.flow
        flow.gap(rng.choice((0.3, 1, 1.5)))
        called = any(fact.name == "phone" for fact in flow.sheet.facts)
        for text in rng.sample(ENDS, rng.choice((0, 1, 2, 3, 4))):
            if "Hotline" in text and called:  # there is one number to call
                continue
            flow.say(self.case(places.filled(rng, text.format(names.made_up_word(rng)))), "m")
            if "Hotline" in text:
                self.unsure.add("phone")
        if rng.random() < 0.2:
            top, wide = flow.y + flow.style.size, flow.wide * rng.uniform(0.4, 0.9)
            box = (flow.middle - wide / 2, top, flow.middle + wide / 2, top + rng.uniform(35, 80))
            flow.sheet.bars(box, [rng.randint(1, 4) for _ in range(rng.randrange(41, 81, 2))])
            flow.y = box[3]
        elif rng.random() < 0.06:
            side = rng.uniform(80, 140)
            cells = np.random.default_rng(rng.getrandbits(32)).integers(0, 2, (25, 25))
            flow.sheet.squares((flow.middle - side / 2, flow.y + 12, flow.middle + side / 2, flow.y + 12 + side), cells)
            flow.y += side + 12


def _has_digits(text: str) -> bool:
    return any(char.isdigit() for char in text)


KIND = Kind("receipt", draw, 4)
