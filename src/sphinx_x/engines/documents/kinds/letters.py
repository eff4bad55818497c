"""Letters of companies and offices: sender, date, who it is for, subject, text with facts in it, who signed."""

from __future__ import annotations

import datetime
import random

from sphinx_x.engines.documents.faces import Faces
from sphinx_x.engines.documents.kinds import Kind
from sphinx_x.engines.documents.made import dates, names, places
from sphinx_x.engines.documents.made.sales import money
from sphinx_x.engines.documents.pages import HEAD, block, letterhead, new_page
from sphinx_x.engines.documents.sheet import Drawing

COULD = (*HEAD, "date", "recipient", "recipient address", "subject", "reference", "amount owed", "deadline",
         "meeting time", "meeting place", "signed by", "position")  # fmt: skip
SUBJECTS = (
    "Reminder of payment|Your order|Change of terms|Invitation to a meeting|Confirmation of your booking|"
    "Delayed delivery|Renewal of your contract|Complaint about a delivery|Maintenance of the lift|"
    "Minutes of the last meeting|Price list"
)
OPENING = (
    "Thank you for your letter, which reached us last week.",
    "We refer to our conversation on the telephone.",
    "We are writing to you about the above.",
    "I hope that this letter finds you well.",
    "We regret the delay in answering you.",
)
FILLING = (
    "Our staff will be glad to answer any question that you may have.",
    "Please keep this letter with your records.",
    "The goods are ready and will be sent as soon as we hear from you.",
    "We have looked into the matter with care and found no fault on our side.",
    "All other terms remain as they were agreed.",
    "If you have already replied, please disregard this letter.",
    "Our office is closed on public holidays.",
    "A copy of the form is enclosed for your convenience.",
    "We would be grateful for an early reply.",
    "The work is carried out by {word} and takes about {number} days.",
    "Around {number} members of the {word} committee have agreed to it.",
)
CLOSING = ("Yours sincerely,", "Yours faithfully,", "Kind regards,", "Best regards,", "With best wishes,")
POSITIONS = (
    "Managing Director|Sales Manager|Head of Accounts|Secretary|Office Manager|Customer Service|Chairman|Treasurer"
)


def draw(rng: random.Random, faces: Faces) -> Drawing:
    """Draw a letter."""
    land = rng.choice(places.LANDS)
    flow = new_page(rng, faces, (64, 90))
    letterhead(flow, rng, land, rng.choice("lmr"))
    flow.gap(rng.uniform(1, 2))
    moment, form = dates.day(rng), dates.date_form(rng, land)
    date = dates.written(moment, form)
    name = names.person(rng, land)
    to = [f"{rng.choice(('Mr. ', 'Ms. ', ''))}{name}"]
    where = places.address(rng, land, names.made_up_word(rng), names.made_up_word(rng))
    early = rng.random() < 0.5
    align = rng.choice("lr")
    if early:
        flow.say(f"{rng.choice(('', '', 'Date: '))}{date}", align, facts={"date": date})
        flow.gap(0.8)
    flow.say(to[0], facts={"recipient": name})
    block(flow, where, "recipient address")
    flow.gap(0.8)
    if not early:
        flow.say(date, align, facts={"date": date})
        flow.gap(0.8)
    if rng.random() < 0.5:
        number = places.filled(rng, rng.choice(("@@/##/###", "#####", "@-####-##")))
        flow.say(f"{rng.choice(('Our ref:', 'Reference:', 'Ref.'))} {number}", facts={"reference": number})
    flow.say(f"Dear {name},")
    flow.gap(0.5)
    subject = f"{rng.choice(SUBJECTS.split('|'))}{rng.choice(('', f' - {names.made_up_word(rng)}'))}"
    flow.say(
        f"{rng.choice(('', 'Re: ', 'Subject: '))}{subject}", rng.choice("lm"), flow.big(1, True), {"subject": subject}
    )
    flow.gap(0.5)
    for text, facts in _paragraphs(rng, moment, form, rng.choice(land.money)):
        flow.say(text, facts=facts)
        flow.gap(0.6)
    flow.say(rng.choice(CLOSING))
    flow.gap(rng.uniform(0.5, 3))
    signer = names.person(rng, land)
    flow.say(signer, facts={"signed by": signer})
    if rng.random() < 0.7:
        position = rng.choice(POSITIONS.split("|"))
        flow.say(position, facts={"position": position})
    flow.gap(rng.uniform(1, 8))
    return flow.sheet.finish(flow.y, could=COULD)


def _paragraphs(
    rng: random.Random, moment: datetime.datetime, form: str, mark: str
) -> list[tuple[str, dict[str, str]]]:
    """Return paragraphs, each with the facts that it states."""
    stated: list[tuple[str, dict[str, str]]] = []
    later = dates.written(moment + datetime.timedelta(days=rng.randint(5, 60)), form)
    if rng.random() < 0.5:
        owed = money(rng.randrange(2000, 900000))
        stated.append((f"There is still an amount of {mark}{owed} outstanding on your account.", {"amount owed": owed}))
    if rng.random() < 0.5:
        text = rng.choice(
            ("Please let us have your answer by {} at the latest.", "Please reply before {}, if you can.")
        )
        stated.append((text.format(later), {"deadline": later}))
    if rng.random() < 0.4:
        time, room = dates.time_of(rng, dates.day(rng)), f"Room {rng.randint(1, 40)}{rng.choice('ABC')}"
        text = f"We would like to discuss this with you in {room} at {time}."
        stated.append((text, {"meeting place": room, "meeting time": time}))
    paragraphs: list[tuple[str, dict[str, str]]] = [(rng.choice(OPENING), {})]
    rng.shuffle(stated)
    fillings = rng.sample(FILLING, rng.randint(2, 6))
    while stated or fillings:
        text, facts = stated.pop() if stated and (rng.random() < 0.5 or not fillings) else (fillings.pop(), {})
        text = text.format(word=names.made_up_word(rng), number=rng.randint(2, 90)) if not facts else text
        if rng.random() < 0.5:
            paragraphs[-1] = (f"{paragraphs[-1][0]} {text}", paragraphs[-1][1] | facts)
        else:
            paragraphs.append((text, facts))
    return paragraphs


KIND = Kind("letter", draw, 1)
