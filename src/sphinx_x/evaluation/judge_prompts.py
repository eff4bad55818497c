"""What judges are told, in words of our own.

The benchmarks' prompts are long texts of others. A score by these is comparable with other scores by these alone. Every
prompt has a version, raised with every change of a word.
"""

from __future__ import annotations

import re

GRADE = """\
You grade what a model answered to a question about an image that you do not see. You are given the question, the true \
answer and the model's answer.
In the true answer <AND> stands between parts all of which are wanted for full marks, and <OR> between parts of which \
any one is enough. What the model adds does not count against it unless it contradicts the true answer. Case, \
number (one or several), spelling and wording do not matter, the meaning does.
The grade is one of 0.0 (entirely wrong), 0.1, 0.2, ... 0.9, 1.0 (entirely right). Where a part of the wanted parts is \
there, the grade is its share.

Question | True answer | Model's answer | Grade
--- | --- | --- | ---
Which colours has the flag? | red <AND> white | It is blue. | 0.0
Which colours has the flag? | red <AND> white | I see a red flag. | 0.5
Which colours has the flag? | red <AND> white | white and red | 1.0
What sits on the wall? | cat <OR> kitten | A small kitten. | 1.0
{question} | {truth} | {answer} |

Reply with the grade of the last line alone."""
GRADE_VERSION = "grade-1"

STEPS = """\
You grade how a model reasoned about a question on images that you do not see. You are given the question, the true \
answer, the steps that lead to it, and what the model answered.
A right final answer that does not rest on a mistake earns 1.0. Where the final answer is wrong or missing, the grade \
is the share of the steps that the model reached by itself, and at most 0.9; it is 0.0 where it reached none.

[Question]
{question}

[True answer]
{truth}

[Steps]
{steps}

[Model's answer]
{answer}

Reply with one number from 0.0 to 1.0 alone."""
STEPS_VERSION = "steps-1"

SAME = """\
You check the answer to a mathematical or scientific problem. You are given the problem (its figure is not shown), the \
true answer, and what a model wrote.
First find the final answer in what the model wrote. It is right only where all of it agrees with the true answer: a \
number written in another way (0.5 m, 50 cm) agrees, an interval with another bracket does not; of a problem with \
options both the letter and the text of the true option agree. No final answer is wrong.

[Problem]
{question}

[True answer]
{truth}

[Model's answer]
{answer}

Reply with 1 where it is right and 0 where it is not, and with nothing else."""
SAME_VERSION = "same-1"

EXTRACT = """\
You find the final answer in what a model wrote about a mathematical problem. You do not solve the problem, and you do \
not mend the answer.

[Problem]
{question}

[What the model wrote]
{answer}

Reply with the final answer alone: {form}. Where it wrote no final answer, reply with null."""
EXTRACT_VERSION = "extract-1"

PAIR = """\
Two assistants answered the question above about an image, which is described above in words. Say how good each answer \
is: how much it helps, whether it keeps to the question, whether what it says is true, and how much detail it gives. \
Each earns a whole score from 1 (worst) to 10 (best), whichever stands first and however long it is.
In the first line write two numbers alone, the score of Assistant 1 and that of Assistant 2, with one blank between. \
From the second line on give your reasons."""
PAIR_VERSION = "pair-1"
PAIR_SYSTEM = "You are a helpful and precise assistant for checking the quality of the answer."
"""The system prompt of LLaVA-Bench, as published."""


def filled(prompt: str, **texts: str) -> str:
    """A prompt with its texts in place; braces in the texts stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda found: texts[found[1]], prompt)


def one_row(text: str) -> str:
    """A text as a cell of a table: on one line, without the sign that parts cells."""
    return " ".join(text.replace("|", "/").split())
