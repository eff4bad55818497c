"""VQA accuracy: agreement with ten people, after the benchmark's own normalisation (Antol et al. 2015, visualqa.org).

The normalisation has its oddities (a hyphen vanishes where any blank stands beside one, else it becomes a blank), and
they are kept: every published number rests on them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

Rule = Literal["official", "script"]

_NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split())}
ARTICLES = frozenset(("a", "an", "the"))
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
_MOST_STOPS = 32
"""Full stops that the released script takes out at most."""

_WORDS = """
ain't aren't can't could've couldn't couldn'tve couldnt've didn't doesn't don't hadn't hadnt've hadn'tve hasn't haven't
he'd he'dve he's how'd how'll how's I'd've I'dve I'm I've isn't it'd it'dve it'll let's ma'am mightn't mightnt've
mightn'tve might've mustn't must've needn't not've o'clock oughtn't ow's'at 'ow's'at shan't she'd've she'dve she's
should've shouldn't shouldnt've shouldn'tve somebody'd somebodyd've somebody'dve somebody'll somebody's someone'd
someoned've someone'dve someone'll someone's something'd somethingd've something'dve something'll that's there'd
thered've there'dve there're there's they'd theyd've they'dve they'll they're they've 'twas wasn't we'd've we'dve we've
weren't what'll what're what's what've when's where'd where's where've who'd whod've who'dve who'll who's who've why'll
why're why's won't would've wouldn't wouldnt've wouldn'tve y'all y'all'll y'allll y'all'd've y'alld've y'all'dve you'd
youd've you'dve you'll you're you've
"""
CONTRACTIONS = {word.replace("'", ""): word for word in _WORDS.split() if word != word.replace("'", "")}
"""Apostrophes that the benchmark adds where they are missing. Keys keep their capitals, so "im" stays as it is."""


def punctuation_removed(text: str) -> str:
    """The benchmark's punctuation step, as it is defined."""
    number = bool(_COMMA_IN_NUMBER.search(text))
    out = text
    for sign in PUNCTUATION:
        blank_beside = f"{sign} " in text or f" {sign}" in text
        out = out.replace(sign, "" if blank_beside or number else " ")
    return _FULL_STOP.sub("", out, count=_MOST_STOPS)


def words_unified(text: str) -> str:
    """Lower case, number words as digits, no articles, apostrophes where they belong."""
    words = [NUMBERS.get(word, word) for word in text.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def normalise(text: str) -> str:
    """An answer as it is compared."""
    return words_unified(punctuation_removed(_flat(text)))


def _flat(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def vqa_accuracy(prediction: str, answers: Sequence[str], rule: Rule = "official") -> float:
    """Mean over the annotators of min(1, how many of the others gave this answer / 3).

    rule: `official`: prediction and answers are always normalised, as the definition says; `script`: neither is where
    all annotators wrote the same, as the released program does it.
    """
    if rule == "script":
        prediction, *answers = (_flat(answer) for answer in (prediction, *answers))
    if rule == "official" or len(set(answers)) > 1:
        prediction, *answers = (normalise(answer) for answer in (prediction, *answers))
    same = [answer == prediction for answer in answers]
    others = (sum(same) - own for own in same)
    return sum(min(1.0, count / 3) for count in others) / len(answers)
