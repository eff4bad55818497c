"""Receipts of shops and restaurants, as tills print them."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np

from sphinx_x.engines.documents.faces import Face, Faces
from sphinx_x.engines.documents.flow import Cell, Flow
from sphinx_x.engines.documents.kinds import Kind
from sphinx_x.engines.documents.made import dates, names, places
from sphinx_x.engines.documents.made.goods import Item, goods
from sphinx_x.engines.documents.made.sales import Sale, money, sale
from sphinx_x.engines.documents.sheet import Drawing, Fact, Sheet, Style

COULD = (
    *("company", "address", "phone", "fax", "tax number", "registration number", "date", "time", "receipt number"),
    *("cashier", "table", "subtotal", "discount", "service charge", "tax", "rounding", "total", "cash", "change"),
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
LABELS = {
    "receipt number": "Receipt No|Invoice No|INV NO|Bill No|Doc No.|Receipt #|Trans|Slip No.|Ref No|Order #",
    "date": "Date|DATE|Inv Date|Bill Date|Doc Date|",
    "cashier": "Cashier|CASHIER|Served by|Staff|Operator|Salesperson",
    "table": "Table|TABLE|Table No",
    "subtotal": "Subtotal|SUB TOTAL|Sub-Total|Sub Total|Total Sales|SUBTOTAL",
    "discount": "Discount|DISC|Less Discount",
    "service charge": "Service Charge 10%|SVC CHG 10%|Service Charge|Serv. Charge",
    "unrounded": "Total|TOTAL|Total Amount|Net Amount",
    "rounding": "Rounding|ROUNDING|Rounding Adj|Round Adj.|Rounding Adjustment",
    "total": "TOTAL|Total|Grand Total|NET TOTAL|Total Amount|Amount Due|TOTAL DUE|Total Payable|NETT|BALANCE DUE",
    "rounded": "Total Rounded|Rounded Total|NET TOTAL|Grand Total|Net Total|TOTAL AFTER ROUNDING|AMOUNT DUE",
    "cash": "CASH|Cash|Tender|TENDERED|Cash Paid|Paid Cash|Amount Tendered",
    "change": "CHANGE|Change|Change Due|BALANCE|Change Given",
    "phone": "Tel|TEL|Phone|Tel No.|HP|T",
    "fax": "Fax|FAX",
}
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
    "Goods sold are non-refundable but exchangeable in resaleable condition with this receipt.",
]


def draw(rng: random.Random, faces: Faces) -> Drawing:
    """Draw a receipt."""
    return _Receipt(rng, faces).drawn()


class _Receipt:
    def __init__(self, rng: random.Random, faces: Faces) -> None:
        self.rng = rng
        self.land = rng.choice(places.LANDS)
        self.trade = rng.choice(sorted(names.TRADES))
        number = min(1 + int(rng.expovariate(0.28)), 18)
        self.sale: Sale = sale(rng, self.land, self.trade, number)
        self.mono = rng.random() < 0.6
        self.face: Face = faces.choose(rng, mono=self.mono, serif=None if self.mono else False)
        self.mark = rng.choice(self.land.money)
        self.thousands = rng.random() < 0.85
        self.upper = rng.random() < (0.5 if self.mono else 0.25)
        self.colon = rng.choice((":", ":", " :", ""))
        self.rule = rng.choice("--------==*.__#####")
        self.times = rng.choice((" x ", " X ", " @ "))
        self.centred = rng.random() < 0.85
        self.flow = self._flow()
        self.form = dates.date_form(rng, self.land)
        self.moment = dates.day(rng)
        self.listed: list[Fact] = []

    def _flow(self) -> Flow:
        columns = self.rng.choice((30, 34, 38, 40, 42, 46)) * (1 if self.mono else 1.15)
        width = self.rng.randint(430, 760)
        margin = round(width * self.rng.choice((0.02, 0.04, 0.08)))
        per_size = self.face.font(100).getlength("n0aE ") / 500
        size = max((width - 2 * margin) / columns / per_size, 11)
        leading = self.rng.uniform(1.1, 1.5)
        sheet = Sheet(width, self.face, dots=self.mono and self.rng.random() < 0.12)
        return Flow(sheet, margin, width - margin, self.rng.uniform(0, 60), Style(round(size, 1)), leading)

    def label(self, name: str, colon: bool = True) -> str:
        text = self.rng.choice(LABELS[name].split("|"))
        return self.case(text) + (self.colon if colon and text else "")

    def case(self, text: str) -> str:
        return text.upper() if self.upper else text

    def amount(self, cents: int) -> str:
        return self.mark + money(cents, self.thousands)

    def drawn(self) -> Drawing:
        rng, flow = self.rng, self.flow
        if rng.random() < 0.12:  # typed above it by whoever filed it
            flow.say(rng.choice((names.person(rng).lower(), str(rng.randrange(10**6, 10**7)))), "m", flow.big(1.3))
            flow.gap(rng.uniform(0.3, 2))
        self.header()
        titled = rng.random() < 0.75
        if titled:
            flow.gap(rng.choice((0.2, 0.6, 1)))
            flow.say(self.case(rng.choice(TITLES)), "m", rng.choice((flow.style, flow.big(1, True))))
        flow.gap(rng.choice((0.1, 0.5)))
        self.meta()
        self.rule_off()
        count = self.items()
        self.rule_off()
        self.totals()
        if rng.random() < 0.35 and self.sale.rate:
            self.summary()
        self.footer()
        flow.gap(rng.uniform(0.5, 4))
        things = tuple(map(self.case, goods(rng, self.trade, 4)))
        return flow.sheet.finish(flow.y, could=COULD, things=things, counts=(count,), listed=tuple(self.listed))

    def rule_off(self) -> None:
        if self.rng.random() < 0.85:
            self.flow.rule(self.rule)

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
        lines = places.address(rng, self.land, names.made_up_word(rng), names.made_up_word(rng))
        words = [word for line in lines for word in flow.say(line, align)]
        flow.sheet.find(words, {"address": flow.sheet.said(words)})
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
        date = dates.written(self.moment, self.form)
        number = rng.choice(("", "", "CS", "INV-", "R", "A", "OR", "#")) + str(rng.randrange(10 ** rng.randint(3, 10)))
        rows: list[tuple[str, Mapping[str, str]]] = []
        moment: dict[str, str] = {"date": date}
        text = f"{self.label('date')} {date}".strip()
        if rng.random() < 0.7:
            moment["time"] = dates.time_of(rng, self.moment)
            text = f"{text} {rng.choice(('', '', 'Time: '))}{moment['time']}"
        rows.append((text, moment))
        if rng.random() < 0.85:
            rows.append((f"{self.label('receipt number')} {number}", {"receipt number": number}))
        if rng.random() < 0.5:
            name = self.case(rng.choice((names.person(rng).split()[0], f"POS{rng.randint(1, 9)}", names.person(rng))))
            rows.append((f"{self.label('cashier')} {name}", {"cashier": name}))
        if self.trade == "food" and rng.random() < 0.5:
            table = rng.choice(("", "A", "G", "T")) + str(rng.randint(1, 60))
            rows.append((f"{self.label('table')} {table}", {"table": table}))
        rng.shuffle(rows)
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

    def items(self) -> Fact:
        """Write the items and return how many there are."""
        flow, rng = self.flow, self.rng
        amounts = flow.right - flow.sheet.length("9,999.99 S", flow.style)
        shown = {flow.fits(self.case(item.name), amounts - flow.left - 4 * flow.style.size) for item in self.sale.items}
        whole = shown == {self.case(item.name) for item in self.sale.items}
        layout = rng.choice(("line", "two", "two", "columns") if whole else ("two", "columns"))
        tail = rng.choice(("", "", "", " S", " SR", " T", " *"))
        words: list[int] = []
        if layout == "columns":
            words += self._columns()
        else:
            if rng.random() < 0.4:
                heads = rng.choice(
                    (("Qty Item", "Amount"), ("Description", "Total"), ("ITEM", self.mark.strip() or "AMT"))
                )
                flow.pair(*heads)
                self.rule_off()
            code = rng.random() < 0.5
            for item in self.sale.items:
                name = self.case(item.name)
                if layout == "line":
                    words += self._one_row(item, name, code, tail)
                else:
                    words += self.name(name, flow.say(name))
                    words += self._second(item, name, code, tail)
        return Fact("items", str(len(self.sale.items)), tuple(words))

    def name(self, name: str, words: list[int]) -> list[int]:
        """Note that these words name something listed."""
        self.listed.append(Fact("listed", name, tuple(words)))
        return words

    def _one_row(self, item: Item, name: str, counted: bool, tail: str) -> list[int]:
        """Write an item on one row: how many if that is said, its name, and the amount."""
        sheet, y = self.flow.sheet, self.flow.down()
        words = sheet.write(self.flow.left, y, f"{item.count} {name}" if counted else name, self.flow.style)
        self.name(name, words[1:] if counted else words)
        if counted:
            sheet.state("item:quantity", str(item.count), words[:1], name)
        amount = money(item.amount, self.thousands)
        facts = {"item:amount": amount}
        return words + sheet.write(self.flow.right, y, amount + tail, self.flow.style, "r", facts, name)

    def _second(self, item: Item, name: str, code: bool, tail: str) -> list[int]:
        """Write the row below an item's name: its code, how many at which price, and the amount."""
        flow = self.flow
        price, amount = money(item.price, self.thousands), money(item.amount, self.thousands)
        told = f"{item.count}{self.times}{price}"
        y = flow.down()
        indent = flow.style.size * (0 if code else 2)
        words = flow.sheet.write(flow.left + indent, y, item.code if code else told, flow.style)
        counted = words
        if code:
            room = flow.right - flow.sheet.length("99,999.99 SR ", flow.style)
            left = flow.left + flow.sheet.length(item.code + "  ", flow.style)
            if room - left < flow.sheet.length(told, flow.style):
                y = flow.down()
            counted = flow.sheet.write(room, y, told, flow.style, "r")
        words = [*words, *counted]
        flow.sheet.state("item:quantity", str(item.count), counted[:1], name)
        flow.sheet.find(counted, {"item:unit price": price}, name)
        words += flow.sheet.write(flow.right, y, amount + tail, flow.style, "r", {"item:amount": amount}, name)
        return words

    def _columns(self) -> list[int]:
        flow = self.flow
        ends = [flow.left + flow.wide * share for share in (0.5, 0.75, 1.0)]
        heads = self.rng.choice((("Qty", "Price", "Amount"), ("QTY", "S/Price", "TOTAL"), ("Qty", "U.Price", "Amt")))
        flow.row(
            [Cell(flow.left, self.rng.choice(("Item", "Description", "ITEM")))]
            + [Cell(x, text, "r") for x, text in zip(ends, heads, strict=True)]
        )
        self.rule_off()
        code_first = self.rng.random() < 0.4
        words: list[int] = []
        for item in self.sale.items:
            name = self.case(item.name)
            price, amount = money(item.price, self.thousands), money(item.amount, self.thousands)
            if not code_first:
                words += self.name(name, flow.say(name))
            words += flow.row(
                [
                    Cell(flow.left, flow.fits(item.code, flow.wide * 0.4)),
                    Cell(ends[0], str(item.count), "r", {"item:quantity": str(item.count)}),
                    Cell(ends[1], price, "r", {"item:unit price": price}),
                    Cell(ends[2], amount, "r", {"item:amount": amount}),
                ],
                about=name,
            )
            if code_first:
                words += self.name(name, flow.say(name))
        return words

    def totals(self) -> None:
        rng, flow, bill = self.rng, self.flow, self.sale
        indent = rng.choice((0, 0, 0, 0.15, 0.35)) * flow.wide

        def line(name: str, cents: int, label: str = "", style: Style | None = None) -> None:
            text = label or self.label(name if name in LABELS else "total")
            value = money(cents, self.thousands)
            shown = self.mark + value
            facts = {{"unrounded": "total before rounding", "rounded": "total"}.get(name, name): value}
            flow.pair(text, shown, facts, style, indent)

        rate = f"{bill.rate:g}%"
        tax = (
            rng.choice((f"{self.land.tax} {rate}", f"{self.land.tax} @ {rate}", f"{self.land.tax} ({rate})"))
            + self.colon
        )
        tail = rng.choice(("", "", " " + self.mark.strip(), f" ({self.mark.strip()})")) if self.mark.strip() else ""
        if bill.discount or bill.service or (bill.tax and not bill.inside) or rng.random() < 0.4:
            line("subtotal", bill.subtotal)
        if bill.discount:
            line("discount", -bill.discount)
        if bill.service:
            line("service charge", bill.service)
        if bill.rate and (not bill.inside or rng.random() < 0.4):
            line("tax", bill.tax, self.case(("Incl. " if bill.inside else "") + tax))
        large = rng.choice((flow.style, flow.style, flow.big(1, True), flow.big(1.25, True)))
        if self.mono and rng.random() < 0.3:
            large = Style(flow.style.size, tall=2)
        if bill.rounding or (self.land.nickel and rng.random() < 0.25):
            line("unrounded", bill.unrounded)
            line("rounding", bill.rounding)
            line("rounded", bill.total, style=large)
        else:
            included = f"Total Incl. {self.land.tax}" if bill.inside and bill.rate and rng.random() < 0.3 else ""
            line("total", bill.total, self.case(included or self.label("total", False)) + tail + self.colon, large)
        if bill.given:
            line("cash", bill.given)
            line("change", bill.change)
        elif rng.random() < 0.7:
            flow.pair(
                rng.choice(("VISA", "MASTERCARD", "Debit Card", "Card Payment", "E-WALLET")),
                money(bill.total, self.thousands),
            )

    def summary(self) -> None:
        """Write the tax summary: rate, amount without tax, tax."""
        flow, bill = self.flow, self.sale
        flow.gap(0.6)
        middle = flow.left + flow.wide * 0.68
        unit = f"({self.mark.strip()})" if self.mark.strip() else ""
        flow.row(
            [
                Cell(flow.left, f"{self.land.tax} Summary"),
                Cell(middle, f"Amt{unit}", "r"),
                Cell(flow.right, f"Tax{unit}", "r"),
            ]
        )
        told = any(fact.name == "tax" for fact in flow.sheet.facts)
        tax = money(bill.tax, self.thousands)
        base = money(bill.unrounded - bill.tax, self.thousands)
        code = self.rng.choice(("SR", "S", "GST S", "T1")) + f" @{bill.rate:g}%"
        flow.row(
            [Cell(flow.left, code), Cell(middle, base, "r"), Cell(flow.right, tax, "r", {} if told else {"tax": tax})]
        )

    def footer(self) -> None:
        rng, flow = self.rng, self.flow
        flow.gap(rng.choice((0.3, 1, 1.5)))
        for text in rng.sample(ENDS, rng.choice((0, 1, 2, 3, 4))):
            flow.say(self.case(text.format(names.made_up_word(rng))), "m")
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


KIND = Kind("receipt", draw, 4)
