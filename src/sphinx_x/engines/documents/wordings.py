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
    "travel date": "the date of travel",
    "event date": "the date of the event",
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
    "total without tax": "the total without tax",
    "total": "the total",
    "total quantity": "the total quantity",
    "cash": "the cash given",
    "change": "the change",
    "invoice number": "the invoice number",
    "due date": "the due date",
    "purchase order": "the purchase order number",
    "customer number": "the customer number",
    "payment terms": "the payment terms",
    "customer": "the name of the customer",
    "customer address": "the address of the customer",
    "bank account": "the bank account number",
    "full name": "the full name",
    "date of birth": "the date of birth",
    "home address": "the home address",
    "identity number": "the identity number",
    "nationality": "the nationality",
    "occupation": "the occupation",
    "employer": "the employer",
    "department": "the department",
    "start date": "the start date",
    "policy number": "the policy number",
    "emergency contact": "the emergency contact",
    "amount claimed": "the amount claimed",
    "marital status": "the marital status",
    "sex": "the sex",
    "payment method": "the payment method",
    "type of leave": "the type of leave",
    "venue": "the venue",
    "start time": "the start time",
    "row": "the row",
    "seat": "the seat",
    "block": "the block or section",
    "entrance": "the entrance",
    "coach": "the coach",
    "platform": "the platform",
    "gate": "the gate",
    "class": "the class",
    "price": "the price",
    "booking reference": "the booking reference",
    "ticket number": "the ticket number",
    "passenger": "the name of the passenger",
    "event": "the name of the event",
    "departure time": "the departure time",
    "destination": "the destination",
    "tracking number": "the tracking number",
    "weight": "the weight",
    "service": "the delivery service",
    "ship date": "the ship date",
    "order number": "the order number",
    "product": "the name of the product",
    "net weight": "the net weight",
    "lot number": "the lot number",
    "country of origin": "the country of origin",
    "ingredients": "the ingredients",
    "subject": "the subject",
    "deadline": "the deadline",
    "meeting time": "the meeting time",
    "meeting place": "the meeting place",
    "table title": "the title of the table",
    "chart title": "the title of the chart",
    "legend": "the entries of the legend",
    "x axis": "the label of the horizontal axis",
    "y axis": "the label of the vertical axis",
    "table number": "the number of the table",
    "source": "the source of the figures",
    "recipient": "the name of the recipient",
    "reference": "the reference number",
    "vehicle plate": "the vehicle's registration",
    "signed by": "the name of the person who signed",
    "date signed": "the date of the signature",
    "delivery": "the way of delivery",
    "recipient address": "the address of the recipient",
    "amount owed": "the outstanding amount",
    "position": "the position of the person who signed",
    "origin": "the place of departure",
    "holder": "the name of the holder",
    "sender": "the name of the sender",
    "sender address": "the address of the sender",
    "best before": "the best-before date",
    "storage": "the advice on storage",
    "heading:after": 'the heading after "{}"',
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
        "What is the company?",
        "Who is the seller?",
        "Which shop is this from?",
    ),
    "address": (
        "What is the address?",
        "What is the address of the company?",
        "Which address?",
        "Where is the shop?",
        "What address is given for the company?",
    ),
    "phone": ("What is the phone number?", "Which number can be called?", "What is the telephone number?"),
    "date": (
        "What is the date?",
        "Which date?",
        "What date is on it?",
        "When was it issued?",
        "What date?",
        "What is the date of this document?",
        "On which day was it issued?",
    ),
    "travel date": ("On which day is the journey?", "What is the date of travel?", "What is the date?", "Which date?"),
    "event date": ("On which day is it?", "When does it take place?", "What is the date?", "Which date?"),
    "time": ("At what time was it issued?", "What time is on it?", "What is the time?"),
    "receipt number": ("What is the receipt or invoice number?", "What is the number of this receipt?"),
    "cashier": ("Who is the cashier?", "Which cashier served the customer?"),
    "table": ("Which table is it for?", "What is the table number?"),
    "subtotal": ("What is the subtotal?", "How much is it before taxes and charges?"),
    "total without tax": ("How much is it without tax?", "What is the total excluding tax?"),
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
        "What total?",
        "How much was paid in total?",
        "How much does it come to?",
        "What is the final amount?",
    ),
    "cash": ("How much cash was given?", "How much did the customer hand over?"),
    "change": ("How much change is given back?", "What is the change?"),
    "due date": ("When is it due?", "By which date must it be paid?", "What is the due date?"),
    "customer": ("Who is the customer?", "Who is billed?", "To whom is it addressed?"),
    "invoice number": ("What is the invoice number?", "Which invoice number is it?"),
    "bank account": ("To which account is it to be paid?", "What is the bank account number?"),
    "signed by": ("Who signed it?", "Whose name is at the signature?"),
    "recipient": ("To whom is it addressed?", "Who is the recipient?"),
    "sender": ("Who sends it?", "Who is the sender?"),
    "subject": ("What is it about?", "What is the subject?"),
    "deadline": ("By when is an answer wanted?", "What is the deadline?"),
    "origin": ("Where does the journey begin?", "What is the place of departure?"),
    "destination": ("Where does the journey go?", "What is the destination?"),
    "venue": ("Where does it take place?", "What is the venue?"),
    "start time": ("When does it start?", "At what time does it begin?"),
    "departure time": ("When does it leave?", "What is the departure time?"),
    "price": ("What does it cost?", "What is the price?"),
    "seat": ("Which seat?", "What is the seat number?"),
    "best before": ("Until when is it good?", "What is the best-before date?"),
    "product": ("What product is it?", "What is the name of the product?"),
    "chart title": ("What is the title of the chart?", "What is the title?", "What does the chart show?"),
    "legend": ("What does the legend say?", "Which series are in the legend?", "What is in the legend?"),
    "x axis": ("What is on the horizontal axis?", "What is the label of the x axis?"),
    "y axis": ("What is on the vertical axis?", "What is the label of the y axis?"),
    "table title": ("What is the title?", "What is the table about?"),
    "heading:after": (
        'Which heading comes after "{}"?',
        'What is the next heading below "{}"?',
        'After the heading "{}", which one comes next?',
    ),
    "item:amount": ('How much is charged for "{}"?', 'What is the amount for "{}"?', 'How much does "{}" come to?'),
    "item:quantity": ('How many "{}" are there?', 'What is the quantity of "{}"?'),
    "item:unit price": ('What is the unit price of "{}"?', 'What does one "{}" cost?'),
}
"""Questions for facts that have their own beside those of `GENERAL`."""

PLAIN = {
    "address": ("What is the address?", "Which address?"),
    "date": ("What is the date?", "Which date?", "What date is on it?", "What date?"),
}
"""Questions for facts that could mean another address or date of the same page, as the customer's or the due date."""
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
}
"""Questions for what a value belongs to."""
WHICH_CELL = ('Which row has "{value}" under "{head}"?', 'For which row is "{head}" {value}?')
FIRST = ("Which {} is listed first?", "What is the first {}?")
LAST = ("Which {} is listed last?", "What is the last {}?")
AFTER = ('Which {} comes right after "{}"?', 'What is the {} directly below "{}"?')
MOST = {
    "item:amount": ("Which item has the {} amount?", "Which item has the {} amount in the list?"),
    "item:unit price": ("Which item has the {} unit price?",),
}
MOST_CELL = ('Which row has the {} "{head}"?', 'For which entry is "{head}" the {}?')
CELL = (
    'What is the "{head}" of "{about}"?',
    'In the row "{about}", what stands under "{head}"?',
    'Look up "{head}" for "{about}".',
)
"""Questions about a cell of a table, whose fact is called `cell:` and the head of its column."""
CELL_ALONE = (
    "What is the value of {about}?",
    "How much is {about}?",
    "What value does {about} have?",
    'What is the value for "{about}"?',
    "Give the value of {about}.",
)
"""The same where there is one column only, which need not be named."""
MOST_ALONE = (
    "Which one is the {}?",
    "Which has the {} value?",
    "What has the {} value?",
    "Which label has the {} value?",
)
DIFFERENCE_ALONE = ("What is the difference between {one} and {other}?", "By how much do {one} and {other} differ?")
DIFFERENCE = (
    'What is the difference of "{head}" between "{one}" and "{other}"?',
    'By how much does "{head}" differ between "{one}" and "{other}"?',
)
AS_TABLE = ("Give the figures as a table.", "Turn it into a table.", "Write all figures as a table, one row a line.")
BLOCK = (
    "Read the paragraph in {}.",
    "What is written in the block {}?",
    "Copy the text in {}, line by line.",
    "Read all lines in {}.",
)
READ = ("Read the first {} lines.", "What do the first {} lines say?")
READ_ALL = (
    "Read the text.",
    "What is written here?",
    "Read what it says.",
    "What does the picture say?",
    "Copy the text.",
)


def noun(name: str, about: str = "") -> str:
    """Return what a fact is, as a part of a sentence."""
    if column := head(name):
        return f'the "{column}" of "{about}"'
    return NOUNS[name].format(about)


def is_cell(name: str) -> bool:
    """Return whether a fact is a cell of a table or a value of a chart."""
    return bool(head(name))


def difference(rng: random.Random, name: str, one: str, other: str, alone: bool = False) -> str:
    """Return a question for the difference of two values of a column; `alone` if there is no other column."""
    if alone and rng.random() < 0.6:
        return rng.choice(DIFFERENCE_ALONE).format(one=one, other=other)
    return rng.choice(DIFFERENCE).format(head=head(name), one=one, other=other)


def head(name: str) -> str:
    """Return the head of the column in which a fact stands, empty if it is not a cell's."""
    return name.removeprefix("cell:") if name.startswith("cell:") else ""


def has_which(name: str) -> bool:
    """Return whether it can be asked what a value of this name belongs to."""
    return name in WHICH or bool(head(name))


def which(rng: random.Random, name: str, value: str) -> str:
    """Return a question for what a value belongs to."""
    if column := head(name):
        return rng.choice(WHICH_CELL).format(head=column, value=value)
    return rng.choice(WHICH[name]).format(value)


def has_most(name: str) -> bool:
    """Return whether it can be asked what has the highest or the lowest value of this name."""
    return name in MOST or bool(head(name))


def most(rng: random.Random, name: str, highest: bool, alone: bool = False) -> str:
    """Return a question for what has the highest or the lowest value; `alone` if there is no other column."""
    said = rng.choice(("highest", "largest") if highest else ("lowest", "smallest"))
    if alone and head(name) and rng.random() < 0.6:
        return rng.choice(MOST_ALONE).format(said)
    if column := head(name):
        return rng.choice(MOST_CELL).format(said, head=column)
    return rng.choice(MOST[name]).format(said)


def filled(rng: random.Random, wordings: tuple[str, ...], name: str, about: str = "", value: str = "") -> str:
    """Return one of some wordings about a fact."""
    said = noun(name, about)
    return rng.choice(wordings).format(noun=said, Noun=said[0].upper() + said[1:], value=value)


SHOWN = ("chart title", "x axis", "y axis", "table title")
"""Facts whose own questions can be answered by what a picture shows, even where no such text is written."""


def is_rival(name: str, other: str) -> bool:
    """Return whether a plain question for a fact, as "Which date?", could as well mean another one, as the due date."""
    return name in PLAIN and (other.endswith(f" {name}") or (name, other) == ("date", "deadline"))


def asked_for_missing(rng: random.Random, name: str, about: str = "", alone: bool = False, rivals: bool = False) -> str:
    """Return a question for a fact that is not there, which nothing else in the picture answers."""
    return filled(rng, GENERAL, name, about) if name in SHOWN else asked_for(rng, name, about, alone, rivals)


def asked_for(rng: random.Random, name: str, about: str = "", alone: bool = False, rivals: bool = False) -> str:
    """Return a question for a fact.

    Args:
        rng: The source of randomness.
        name: The fact's name.
        about: What it is about.
        alone: Whether its column is the only one.
        rivals: Whether plain questions for it could mean another fact as well (`is_rival`).
    """
    if rivals:
        return rng.choice([one for one in ASKED[name] if one not in PLAIN[name]])
    if alone and head(name) and rng.random() < 0.6:
        return rng.choice(CELL_ALONE).format(about=about)
    if column := head(name):
        return rng.choice(CELL).format(head=column, about=about)
    own = ASKED.get(name, ())
    if own and rng.random() < 0.75:
        return rng.choice(own).format(about)
    return filled(rng, GENERAL, name, about)
