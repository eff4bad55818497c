"""What a till prints of a sale: items in one of several layouts, sums, and the tax summary."""

from __future__ import annotations

import random

from sphinx_x.engines.documents.faces import Face, Faces
from sphinx_x.engines.documents.flow import Cell, Flow
from sphinx_x.engines.documents.made import dates, names, places
from sphinx_x.engines.documents.made.goods import Item
from sphinx_x.engines.documents.made.sales import Sale, money, sale
from sphinx_x.engines.documents.sheet import Fact, Sheet, Style

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


class Till:
    """Prints a random sale on a roll of paper.

    Args:
        rng: The source of randomness.
        faces: The typefaces.
    """

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
        """Return a label, with the colon that this till prints behind labels."""
        text = self.rng.choice(LABELS[name].split("|"))
        return self.case(text) + (self.colon if colon and text else "")

    def case(self, text: str) -> str:
        """Return a text in capitals if this till prints only capitals."""
        return text.upper() if self.upper else text

    def rule_off(self) -> None:
        """Print a rule, mostly."""
        if self.rng.random() < 0.85:
            self.flow.rule(self.rule)

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
        """Print the sums, and how it was paid."""
        rng, flow, bill = self.rng, self.flow, self.sale
        indent = rng.choice((0, 0, 0, 0.15, 0.35)) * flow.wide

        amounts = flow.right - flow.sheet.length(f"  {self.mark}{money(bill.subtotal + 10000)}", flow.big(1.25, True))
        ends = amounts if rng.random() < 0.25 else 0.0  # labels that end where the amounts begin

        def line(name: str, cents: int, label: str = "", style: Style | None = None) -> None:
            text = label or self.label(name if name in LABELS else "total")
            value = money(cents, self.thousands)
            shown = self.mark + value
            facts = {{"unrounded": "total before rounding", "rounded": "total"}.get(name, name): value}
            if ends and flow.sheet.length(text, style or flow.style) < ends - flow.left:
                flow.row([Cell(ends, text, "r"), Cell(flow.right, shown, "r", facts)], style)
            else:
                flow.pair(text, shown, facts, style, indent)

        rate = f"{bill.rate:g}%"
        tax = (
            rng.choice((f"{self.land.tax} {rate}", f"{self.land.tax} @ {rate}", f"{self.land.tax} ({rate})"))
            + self.colon
        )
        tail = rng.choice(("", "", " " + self.mark.strip(), f" ({self.mark.strip()})")) if self.mark.strip() else ""
        if rng.random() < 0.25:
            quantity = str(sum(item.count for item in bill.items))
            text = rng.choice(("Total Qty", "Qty", "Total Quantity", "No. of Units")) + self.colon
            flow.say(f"{self.case(text)} {quantity}", facts={"total quantity": quantity})
        if bill.discount or bill.service or (bill.tax and not bill.inside) or rng.random() < 0.4:
            line("subtotal", bill.subtotal)
        if bill.discount or rng.random() < 0.12:
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
        framed, top = self.rng.random() < 0.35, flow.y
        if framed:
            flow.left, flow.right = flow.left + flow.style.size * 0.5, flow.right - flow.style.size * 0.5
        middle = flow.left + flow.wide * 0.68
        unit = f"({self.mark.strip()})" if self.mark.strip() else ""
        title, heads = f"{self.land.tax} Summary", (f"Amt{unit}", f"Tax{unit}")
        if flow.left + flow.sheet.length(f"{title} {heads[0]} ", flow.style) > middle:
            title, heads = self.land.tax, ("Amt", "Tax")
        flow.row([Cell(flow.left, title), Cell(middle, heads[0], "r"), Cell(flow.right, heads[1], "r")])
        told = any(fact.name == "tax" for fact in flow.sheet.facts)
        tax = money(bill.tax, self.thousands)
        base = money(bill.unrounded - bill.tax, self.thousands)
        code = self.rng.choice(("SR", "S", "GST S", "T1")) + f" @{bill.rate:g}%"
        flow.row(
            [Cell(flow.left, code), Cell(middle, base, "r"), Cell(flow.right, tax, "r", {} if told else {"tax": tax})]
        )
        if framed:
            flow.left, flow.right = flow.left - flow.style.size * 0.5, flow.right + flow.style.size * 0.5
            flow.y += flow.style.size * 0.5
            frame = (flow.left, top + flow.style.size * 0.1, flow.right, flow.y)
            flow.sheet.bar(frame, frame=max(round(flow.style.size / 14), 1))
