"""Invoices of companies to customers: a letterhead, the customer, numbers and dates, items, sums, payment."""

from __future__ import annotations

import datetime
import random

from sphinx_x.engines.documents.faces import Faces
from sphinx_x.engines.documents.flow import Flow
from sphinx_x.engines.documents.grid import Column, Grid
from sphinx_x.engines.documents.kinds import Kind
from sphinx_x.engines.documents.made import dates, names, places
from sphinx_x.engines.documents.made.goods import goods
from sphinx_x.engines.documents.made.sales import Sale, money, sale
from sphinx_x.engines.documents.pages import HEAD, block, letterhead, new_page
from sphinx_x.engines.documents.sheet import Drawing

COULD = (
    *(*HEAD, "invoice number", "date", "due date", "purchase order", "customer number", "payment terms"),
    *("customer", "customer address", "subtotal", "discount", "service charge", "tax", "total", "bank account"),
)
TITLES = ("INVOICE", "Invoice", "TAX INVOICE", "Commercial Invoice", "SALES INVOICE")
LABELS = {
    "invoice number": ("Invoice No.", "Invoice #", "Invoice Number", "Number", "Our Ref"),
    "date": ("Date", "Invoice Date", "Issue Date", "Date of Issue"),
    "due date": ("Due Date", "Payment Due", "Due"),
    "purchase order": ("P.O. Number", "PO #", "Purchase Order", "Your Order"),
    "customer number": ("Customer No.", "Customer ID", "Account No."),
    "payment terms": ("Terms", "Payment Terms"),
}


def draw(rng: random.Random, faces: Faces) -> Drawing:
    """Draw an invoice."""
    land = rng.choice(places.LANDS)
    flow = new_page(rng, faces)
    trade = rng.choice(sorted(names.TRADES))
    bill = sale(rng, land, trade, rng.randint(1, 12), rng.choice((1, 3, 10)), cash=False)
    mark = rng.choice(land.money)
    title = rng.choice(TITLES)
    if rng.random() < 0.5:
        left, right = flow.part(0, 0.6), flow.part(0.62, 1)
        letterhead(left, rng, land)
        right.say(title, "r", right.big(1.9, True))
        flow.below(left, right)
    else:
        letterhead(flow, rng, land, rng.choice("lm"))
        flow.gap(0.6)
        flow.say(title, rng.choice("lm"), flow.big(1.6, True))
    if rng.random() < 0.5:
        flow.rule("solid")
    flow.gap(0.8)
    _parties(flow, rng, land)
    flow.gap(0.8)
    grid = _items(flow, rng, bill)
    flow.gap(0.5)
    _sums(flow, rng, bill, land.tax, mark)
    flow.gap(1)
    if rng.random() < 0.5:
        account = "".join(str(rng.randrange(10)) for _ in range(rng.randint(8, 12)))
        bank = f"{names.made_up_word(rng)} Bank"
        flow.say(f"Please pay to {bank}, account {account}.", facts={"bank account": account})
    for text in rng.sample(
        ("Thank you for your business.", "Goods remain our property until paid in full.", "E. & O.E.",
         "This is a computer generated invoice, no signature is required.", "Interest is charged on late payment."),
        rng.randint(0, 2),
    ):  # fmt: skip
        flow.say(text)
    flow.gap(rng.uniform(1, 6))
    things = tuple(goods(rng, trade, 4))
    return flow.sheet.finish(
        flow.y, could=COULD, things=things, counts=(grid.count("items"),), listed=tuple(grid.listed)
    )


def _parties(flow: Flow, rng: random.Random, land: places.Land) -> None:
    """Write the customer on one side and the numbers and dates of the invoice on the other."""
    customer, facts = (
        (flow.part(0, 0.5), flow.part(0.56, 1)) if rng.random() < 0.8 else (flow.part(0.5, 1), flow.part(0, 0.44))
    )
    customer.say(rng.choice(("Bill To:", "Invoice to", "Sold to:", "CUSTOMER", "To:")), "l", customer.big(1, True))
    name = names.company(rng, land, rng.choice(sorted(names.TRADES))) if rng.random() < 0.6 else names.person(rng, land)
    customer.say(name, facts={"customer": name})
    lines = places.address(rng, land, names.made_up_word(rng), names.made_up_word(rng))
    block(customer, lines, "customer address")
    moment, form = dates.day(rng), dates.date_form(rng, land)
    days = rng.choice((7, 14, 30, 45, 60))
    values = {
        "invoice number": rng.choice(("", "INV-", "IN", "2-", "A/")) + str(rng.randrange(100, 10**7)),
        "date": dates.written(moment, form),
    }
    if rng.random() < 0.6:
        values["due date"] = dates.written(moment + datetime.timedelta(days=days), form)
    if rng.random() < 0.4:
        values["purchase order"] = rng.choice(("PO-", "", "45")) + str(rng.randrange(1000, 10**6))
    if rng.random() < 0.4:
        values["customer number"] = rng.choice(("C", "", "D-")) + str(rng.randrange(100, 10**5))
    if rng.random() < 0.4:
        values["payment terms"] = rng.choice((f"Net {days} days", f"{days} days", "Cash on delivery"))
    for key in rng.sample(sorted(values), len(values)):
        facts.pair(rng.choice(LABELS[key]) + rng.choice((":", "")), values[key], {key: values[key]})
    flow.below(customer, facts)


def _items(flow: Flow, rng: random.Random, bill: Sale) -> Grid:
    amount = rng.choice(("Amount", "Total", "Line Total", "Net"))
    columns = [
        Column(rng.choice(("Description", "Item", "Product", "Details")), 0.46),
        Column(rng.choice(("Qty", "Quantity", "Units")), 0.16, rng.choice("rm"), "item:quantity"),
        Column(rng.choice(("Unit Price", "Price", "Rate", "Each")), 0.19, "r", "item:unit price"),
        Column(amount, 0.19, "r", "item:amount"),
    ]
    key = 0
    coded = rng.random() < 0.4
    if coded:
        columns = [Column("Code", 0.18), Column(columns[0].head, 0.34), *columns[1:]]
        columns[2:] = [Column(c.head, 0.16, c.anchor, c.fact) for c in columns[2:]]
        key = 1
    grid = Grid(flow, columns, rng.choice(("grid", "rows", "head", "none")), key, rng.uniform(0.3, 0.6))
    grid.heads(flow.big(1, rng.random() < 0.7))
    for item in bill.items:
        texts = [item.name, str(item.count), money(item.price), money(item.amount)]
        grid.row([item.code[:8], *texts] if coded else texts)
    grid.finish()
    return grid


def _sums(flow: Flow, rng: random.Random, bill: Sale, tax: str, mark: str) -> None:
    part = flow.part(rng.choice((0.45, 0.55)), 1)
    if bill.discount or bill.service or bill.rate or rng.random() < 0.5:
        part.pair(
            rng.choice(("Subtotal", "Sub-Total", "Subtotal:")),
            mark + money(bill.subtotal),
            {"subtotal": money(bill.subtotal)},
        )
    if bill.discount:
        part.pair("Discount", mark + money(-bill.discount), {"discount": money(-bill.discount)})
    if bill.service:
        part.pair("Service charge", mark + money(bill.service), {"service charge": money(bill.service)})
    if bill.rate:
        label = f"{'incl. ' if bill.inside else ''}{tax} {bill.rate:g}%"
        part.pair(label, mark + money(bill.tax), {"tax": money(bill.tax)})
    if rng.random() < 0.5:
        part.rule("solid")
    label = rng.choice(("Total", "TOTAL", "Amount Due", "Total Due", "Grand Total", "Balance Due"))
    part.pair(label, mark + money(bill.total), {"total": money(bill.total)}, part.big(rng.choice((1, 1.2)), True))
    flow.below(part)


KIND = Kind("invoice", draw, 2)
