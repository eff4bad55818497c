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
    "receipt number": "Receipt No|Invoice No|INV NO|Bill No|Doc No.|Receipt #|Trans|Slip No.|Ref No|Order #|INV#|Bill#"
    "|Document No|Invoice No.|Tax Invoice No",
    "date": "Date|DATE|Inv Date|Bill Date|Doc Date|Date||",
    "cashier": "Cashier|CASHIER|Served by|Staff|Operator|Salesperson|Cashier No.|Server",
    "table": "Table|TABLE|Table No",
    "subtotal": "Subtotal|SUB TOTAL|Sub-Total|Sub Total|Total Sales|SUBTOTAL",
    "without tax": "Total (Excluding {})|Total Sales (Excluding {})|Total Excl. {}|Amount Excl. {}|Total Excl {}",
    "with tax": "Total (Inclusive of {})|Total Sales (Inclusive of {})|Total Incl. {}|Total Incl. {}@6%"
    "|Total Sales Incl {}|Takeout Total (Incl {})|Total Inclusive {}|Total Amt Incl. {}",
    "own tax": "Total {}|{} Payable|{} Amount|Add {}",
    "discount": "Discount|DISC|Less Discount",
    "service charge": "Service Charge 10%|SVC CHG 10%|Service Charge|Serv. Charge",
    "unrounded": "Total|TOTAL|Total Amount|Net Amount",
    "rounding": "Rounding|ROUNDING|Rounding Adj|Round Adj.|Rounding Adjustment|Rounding Adj.|Bill Rounding",
    "total": "TOTAL|Total|Grand Total|NET TOTAL|Total Amount|Amount Due|TOTAL DUE|Total Payable|NETT|BALANCE DUE",
    "rounded": "Total Rounded|Rounded Total|NET TOTAL|Grand Total|Net Total|TOTAL AFTER ROUNDING|AMOUNT DUE|TOTAL"
    "|Net Total Rounded|Total Amt Rounded",
    "cash": "CASH|Cash|Tender|TENDERED|Cash Paid|Paid Cash|Amount Tendered|CASH|Cash Tendered|Payment",
    "change": "CHANGE|Change|Change Due|BALANCE|Change Given|CHANGE|Change Amt",
    "phone": "Tel|TEL|Phone|Tel No.|HP|T",
    "fax": "Fax|FAX",
}
PRINTED_AS = {"unrounded": "total before rounding", "rounded": "total", "without tax": "total without tax"}
"""Names of facts by those of labels, where they differ."""
ROOMY = 38
"""Digits of a row that has room for five columns."""


class Till:
    """Prints a random sale on a roll of paper.

    Args:
        rng: The source of randomness.
        faces: The typefaces.
    """

    def __init__(self, rng: random.Random, faces: Faces) -> None:
        self.rng = rng
        self.land = rng.choice(places.TILLS)
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
        self.unsure: set[str] = set()
        """Facts that are not asked for where they are not stated: what is printed could be taken for them."""
        self.indent = 0.0
        """By how much labels of sums are set in."""
        self.ends = 0.0
        """Where labels of sums end, right before the amounts; 0 if they begin at the left."""

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
        """Write the items in columns, with one for what is taken off and one for the tax's code where there is room."""
        flow, rng = self.flow, self.rng
        roomy = flow.sheet.length("0" * ROOMY, flow.style) <= flow.wide
        ends, extra = [flow.left + flow.wide * share for share in (0.5, 0.75, 1.0)], rng.choice(("", "", "tax", "off"))
        heads: list[str] = list(
            rng.choice((("Qty", "Price", "Amount"), ("QTY", "S/Price", "TOTAL"), ("Qty", "U.Price", "Amt")))
        )
        unit = self.mark.strip() if rng.random() < 0.15 else ""
        fixed: list[tuple[int, str]] = []
        if roomy and extra:
            shares = (0.42, 0.65, 0.88, 1.0) if extra == "tax" else (0.4, 0.62, 0.78, 1.0)
            ends = [flow.left + flow.wide * share for share in shares]
            heads.insert(3 if extra == "tax" else 2, "Tax" if extra == "tax" else rng.choice(("Disc", "Disc%")))
            fixed = [(3, rng.choice(("SR", "S", "T", "Z")))] if extra == "tax" else [(2, "0.00")]
            if extra == "off":
                self.unsure.add("discount")
        cells = [Cell(flow.left, rng.choice(("Item", "Description", "ITEM", "Code/Desc", "Item/Desc.")))]
        flow.row(cells + [Cell(x, text, "r") for x, text in zip(ends, heads, strict=True)])
        amounts = 2 if not fixed or fixed[0][0] == 3 else 3
        if unit:
            flow.row([Cell(ends[1], unit, "r"), Cell(ends[amounts], unit, "r")])
        self.rule_off()
        code_first = rng.random() < 0.4
        words: list[int] = []
        for item in self.sale.items:
            name = self.case(item.name)
            price, amount = money(item.price, self.thousands), money(item.amount, self.thousands)
            if not code_first:
                words += self.name(name, flow.say(name))
            row = [
                Cell(flow.left, flow.fits(item.code, flow.wide * (0.28 if fixed else 0.4))),
                Cell(ends[0], str(item.count), "r", {"item:quantity": str(item.count)}),
                Cell(ends[1], price, "r", {"item:unit price": price}),
                Cell(ends[amounts], amount, "r", {"item:amount": amount}),
            ]
            words += flow.row(sorted(row + [Cell(ends[k], text, "r") for k, text in fixed], key=_end), about=name)
            if code_first:
                words += self.name(name, flow.say(name))
        return words

    def totals(self) -> None:
        """Print the sums, and how it was paid."""
        rng, flow, bill = self.rng, self.flow, self.sale
        self.indent = rng.choice((0, 0, 0, 0.15, 0.35)) * flow.wide
        amounts = flow.right - flow.sheet.length(f"  {self.mark}{money(bill.subtotal + 10000)}", flow.big(1.25, True))
        self.ends = amounts if rng.random() < 0.25 else 0.0
        told = bill.rate and self.land.tax != "Tax" and rng.random() < 0.5  # without the tax, the tax, with it
        self._counted()
        if bill.discount or bill.service or (bill.tax and not bill.inside and not told) or rng.random() < 0.3:
            self._sum("subtotal", bill.subtotal)
            self.unsure.add("total without tax")  # it may be just that
        if bill.discount or rng.random() < 0.12:
            self._sum("discount", -bill.discount)
        if bill.service:
            self._sum("service charge", bill.service)
        if told:
            self.unsure.add("subtotal")
            self._sum("without tax", bill.unrounded - bill.tax, self._taxed("without tax"))
            self._sum("tax", bill.tax, self._taxed("own tax", f" ({bill.rate:g}%)" if rng.random() < 0.5 else ""))
        elif bill.rate and (not bill.inside or rng.random() < 0.4):
            self._sum("tax", bill.tax, self._rate())
        self._total(bool(told))
        if bill.given:
            self._sum("cash", bill.given)
            self._sum("change", bill.change)
        elif rng.random() < 0.7:
            card = rng.choice(("VISA", "MASTERCARD", "Debit Card", "Card Payment", "E-WALLET"))
            flow.pair(card, money(bill.total, self.thousands))

    def _taxed(self, name: str, more: str = "") -> str:
        """Return a label that names the tax."""
        label = self.rng.choice(LABELS[name].split("|")).replace("6%", f"{self.sale.rate:g}%")
        return self.case(label.format(self.land.tax) + more) + self.colon

    def _rate(self) -> str:
        """Return the label of the tax with its rate."""
        tax, rate = self.land.tax, f"{self.sale.rate:g}%"
        text = self.rng.choice((f"{tax} {rate}", f"{tax} @ {rate}", f"{tax} ({rate})"))
        return self.case(("Incl. " if self.sale.inside else "") + text + self.colon)

    def _counted(self) -> None:
        """Say how many things were sold, or not."""
        quantity, count = str(sum(item.count for item in self.sale.items)), len(self.sale.items)
        kind = self.rng.random()
        told = {"total quantity": quantity}
        if kind < 0.2:
            text = self.rng.choice(("Total Qty", "Qty", "Total Quantity", "No. of Units")) + self.colon
            self.flow.say(f"{self.case(text)} {quantity}", facts=told)
        elif kind < 0.27:
            self.flow.pair(f"Item(s) : {count}", f"Qty(s) : {quantity}", told)
        elif kind < 0.32:
            self.unsure.add("total quantity")  # some would say that this is it
            self.flow.say(self.case(self.rng.choice((f"Item Count {count}", f"{count} Item(s)", f"Items: {count}"))))

    def _sum(self, name: str, cents: int, label: str = "", style: Style | None = None) -> None:
        """Print a sum behind its label."""
        flow = self.flow
        text, value = label or self.label(name if name in LABELS else "total"), money(cents, self.thousands)
        shown = self.mark + value
        facts = {PRINTED_AS.get(name, name): value}
        if self.ends and flow.sheet.length(text, style or flow.style) < self.ends - flow.left:
            flow.row([Cell(self.ends, text, "r"), Cell(flow.right, shown, "r", facts)], style)
        else:
            flow.pair(text, shown, facts, style, self.indent)

    def _total(self, taxed: bool) -> None:
        """Print what is to be paid, before and after rounding where it is rounded."""
        rng, flow, bill = self.rng, self.flow, self.sale
        mark = self.mark.strip()
        tail = rng.choice(("", "", f" {mark}", f" ({mark})")) if mark else ""
        large = rng.choice((flow.style, flow.style, flow.big(1, True), flow.big(1.25, True)))
        if self.mono and rng.random() < 0.3:
            large = Style(flow.style.size, tall=2)
        including = taxed or (bill.inside and bill.rate and rng.random() < 0.3)
        label = self._taxed("with tax") if including else ""
        if bill.rounding or (self.land.nickel and rng.random() < 0.35):
            self._sum("unrounded", bill.unrounded, label)
            self._sum("rounding", bill.rounding)
            self._sum("rounded", bill.total, self.case(self.label("rounded", False)) + tail + self.colon, large)
        else:
            text = label or self.case(self.label("total", False)) + tail + self.colon
            self._sum("total", bill.total, text, large)

    def summary(self) -> None:
        """Write the tax summary: what was sold at which rate, without tax, and the tax, in a frame or not."""
        flow, bill, rng = self.flow, self.sale, self.rng
        self.unsure |= {"subtotal", "total without tax"}  # it prints what was sold without the tax
        flow.gap(0.6)
        framed, top = rng.random() < 0.35, flow.y
        if framed:
            flow.left, flow.right = flow.left + flow.style.size * 0.5, flow.right - flow.style.size * 0.5
        middle, rates = flow.left + flow.wide * 0.68, flow.left + flow.wide * 0.4
        unit = f"({self.mark.strip()})" if self.mark.strip() else ""
        title, heads = self.case(f"{self.land.tax} Summary"), rng.choice((("Amt", "Tax"), ("Amount", "Tax")))
        heads = [self.case(head) + unit for head in heads]
        parted = rng.random() < 0.35 and flow.left + flow.sheet.length("Tax Code  ", flow.style) < rates - 30
        if flow.left + flow.sheet.length(f"{title} {heads[0]} ", flow.style) > middle:
            title, heads = self.land.tax, ["Amt", "Tax"]
        room = (middle - rates if parted else middle - flow.left, flow.right - middle)
        if any(flow.sheet.length(head + " ", flow.style) > wide for head, wide in zip(heads, room, strict=True)):
            heads = ["Amt", "Tax"]
        if parted:
            flow.say(title)
            title = "Tax Code"
        cells = [Cell(middle, heads[0], "r"), Cell(flow.right, heads[1], "r")]
        flow.row([Cell(flow.left, title), *([Cell(rates, "%", "r")] if parted else []), *cells])
        told = any(fact.name == "tax" for fact in flow.sheet.facts)
        tax, base = money(bill.tax, self.thousands), money(bill.unrounded - bill.tax, self.thousands)
        code = rng.choice(("SR", "S", "GST S", "T1"))
        code = code if parted else f"{code}{rng.choice((' @', ' @ ', ' = '))}{bill.rate:g}%"
        sums = [Cell(middle, base, "r"), Cell(flow.right, tax, "r", {} if told else {"tax": tax})]
        flow.row([Cell(flow.left, code), *([Cell(rates, f"{bill.rate:g}", "r")] if parted else []), *sums])
        if rng.random() < 0.3:
            cells = [Cell(middle, base, "r"), Cell(flow.right, tax, "r")]
            flow.row([Cell(flow.left, self.case("Total") + self.colon), *cells])
        if framed:
            flow.left, flow.right = flow.left - flow.style.size * 0.5, flow.right + flow.style.size * 0.5
            flow.y += flow.style.size * 0.5
            frame = (flow.left, top + flow.style.size * 0.1, flow.right, flow.y)
            flow.sheet.bar(frame, frame=max(round(flow.style.size / 14), 1))


def _end(cell: Cell) -> float:
    """Return where a cell stands, to sort cells from left to right."""
    return cell.x
