"""The words of questions about documents. `{}` in the name of a fact's wording is what the fact is about."""

from __future__ import annotations

import random

NOT_THERE = "Not in the document."
"""The answer to a question whose answer is not in the document."""

NOUNS = {
    "company": "the name of the company",
    "address": "the address of the company",
    "phone": "the phone number",
    "fax": "the fax number",
    "email": "the e-mail address",
    "website": "the website",
    "tax number": "the tax registration number",
    "registration number": "the company's registration number",
    "date": "the date",
    "time": "the time",
    "receipt number": "the receipt number",
    "cashier": "the cashier",
    "table": "the table number",
    "subtotal": "the subtotal",
    "discount": "the discount",
    "service charge": "the service charge",
    "tax": "the amount of tax",
    "rounding": "the rounding adjustment",
    "total before rounding": "the total before rounding",
    "total": "the total",
    "cash": "the cash given",
    "change": "the change",
    "item:amount": 'the amount for "{}"',
    "item:quantity": 'the quantity of "{}"',
    "item:unit price": 'the unit price of "{}"',
}
"""What each fact is, as a part of a sentence."""

ASKED = {
    "company": (
        "Which company is it from?",
        "Which company?",
        "What is the name of the company?",
        "Who issued this document?",
        "Which shop or company issued it?",
        "What is the company name?",
    ),
    "address": ("What is the address?", "What is the address of the company?", "Which address?"),
    "phone": ("What is the phone number?", "Which number can be called?", "What is the telephone number?"),
    "date": ("What is the date?", "Which date?", "What date is on it?", "When was it issued?", "What date?"),
    "time": ("At what time was it issued?", "What time is on it?", "What is the time?"),
    "receipt number": ("What is the receipt or invoice number?", "What is the number of this receipt?"),
    "cashier": ("Who is the cashier?", "Which cashier served the customer?"),
    "table": ("Which table is it for?", "What is the table number?"),
    "subtotal": ("What is the subtotal?", "How much is it before taxes and charges?"),
    "tax": ("How much is the tax?", "What is the tax amount?", "How much tax is there?"),
    "discount": ("How much is taken off?", "What is the discount?"),
    "rounding": ("By how much is the total rounded?", "What is the rounding adjustment?"),
    "total": (
        "What is the total?",
        "How much is to be paid?",
        "What is the total amount?",
        "How much is the total?",
        "What is the grand total?",
        "Which total?",
    ),
    "cash": ("How much cash was given?", "How much did the customer hand over?"),
    "change": ("How much change is given back?", "What is the change?"),
    "item:amount": ('How much is charged for "{}"?', 'What is the amount for "{}"?', 'How much does "{}" come to?'),
    "item:quantity": ('How many "{}" are there?', 'What is the quantity of "{}"?'),
    "item:unit price": ('What is the unit price of "{}"?', 'What does one "{}" cost?'),
}
"""Questions for facts that have their own beside those of `GENERAL`."""

GENERAL = ("What is {noun}?", "Give {noun}.", "Read {noun}.", "{Noun}?")
EVIDENCE = ("Where does it stand?", "Where is that written?", "Show where.", "Give its box.")
WHERE_TEXT = ('Where is the text "{}"?', 'Locate the text "{}".', 'Give the box of the line "{}".')
WHERE_FACT = ("Where is {noun}?", "Where does {noun} stand?", "Give the box of {noun}.", "Locate {noun}.")
REGION = ("What is written in {}?", "Read the text in the region {}.", "What does it say at {}?", "What text is in {}?")
IS_VALUE = ("Is {noun} {value}?", 'Is {noun} "{value}"?', "Does it say that {noun} is {value}?")
IS_THERE = ("Does the document give {noun}?", "Is {noun} in the document?", "Does it state {noun}?")
LISTED = ('Is "{}" in the list?', 'Does the document list "{}"?', 'Is there an entry "{}"?')
COUNT = ("How many {} are listed?", "How many {} are there?", "Count the {}.")
ROWS = ("How many lines does {noun} take?", "On how many lines is {noun} written?")
WHICH = {
    "item:amount": ("Which item comes to {}?", "For which item is the amount {}?"),
    "item:unit price": ("Which item has the unit price {}?", "Which item costs {} each?"),
    "item:quantity": ("Of which item are there {}?",),
}
"""Questions for what a value belongs to."""
FIRST = ("Which item is listed first?", "What is the first item?")
LAST = ("Which item is listed last?", "What is the last item?")
AFTER = ('Which item comes right after "{}"?', 'What is listed directly below "{}"?')
MOST = ("Which item has the highest amount?", "What is the most expensive item by its amount?")
READ = ("Read the first {} lines.", "What do the first {} lines say?")


def noun(name: str, about: str = "") -> str:
    """Return what a fact is, as a part of a sentence."""
    return NOUNS[name].format(about)


def filled(rng: random.Random, wordings: tuple[str, ...], name: str, about: str = "", value: str = "") -> str:
    """Return one of some wordings about a fact."""
    said = noun(name, about)
    return rng.choice(wordings).format(noun=said, Noun=said[0].upper() + said[1:], value=value)


def asked_for(rng: random.Random, name: str, about: str = "") -> str:
    """Return a question for a fact."""
    own = ASKED.get(name, ())
    if own and rng.random() < 0.75:
        return rng.choice(own).format(about)
    return filled(rng, GENERAL, name, about)
