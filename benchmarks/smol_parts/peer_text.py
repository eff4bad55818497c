"""A peer: a language model that gets RapidOCR's text of a picture in its prompt, in place of the picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sphinx_x.conversation import Image, Message, Part, Place, Text, format_places
from sphinx_x.images import Source
from sphinx_x.inference import Prompt, SphinxX
from sphinx_x.model.views import Layout
from sphinx_x.sources.dialogue import SHORT

TEXT = "This is the text of a document:\n{}\n\n"
NOTHING = "This is a picture without text.\n\n"


LEAD = re.compile(r"\s*(?:the|this|its?)\b[^.:\n]{0,60}?\b(?:is|was|are)(?: called)?\b:?\s*", re.IGNORECASE)


def without_lead(answer: str) -> str:
    """Return an answer without what it begins with where it is a sentence: "The total is 9.00." is "9.00."."""
    lead = LEAD.match(answer)
    return answer if lead is None else answer[lead.end() :]


class TextPeer(SphinxX):
    """Answers from the read lines of pictures alone, as text of the question, in reading order, one line each."""

    def prompt(self, messages: Sequence[Message], images: Sequence[Source], answer_begins: str = "") -> Prompt:
        """Build the prompt with text in place of each picture; the last question asks for a word or a phrase."""
        layouts = [self.processor.image_processor.layout_of(image) for image in images]
        upcoming = iter(layouts)
        said = [replace(m, parts=tuple(self._spelled(part, upcoming, layouts) for part in m.parts)) for m in messages]
        if images and not any(SHORT in part.text for part in said[-1].parts if isinstance(part, Text)):
            said[-1] = replace(said[-1], parts=(*said[-1].parts, Text(f"\n{SHORT}")))
        return super().prompt(said, [], answer_begins)

    def answers(self, *given: Any, **named: Any) -> list[str]:
        """Answer without the lead of a sentence, "The total is": it is judged by what it says."""
        return [without_lead(answer) for answer in super().answers(*given, **named)]

    def _spelled(self, part: Part, upcoming: Any, layouts: Sequence[Layout]) -> Part:
        if isinstance(part, Image):
            lines = "\n".join(line.text for line in next(upcoming).lines if not line.is_object)
            return Text(TEXT.format(lines) if lines else NOTHING)
        if isinstance(part, Place):
            squares = [layouts[part.image].to_square(place) for place in part.places]
            return Text(format_places(squares, self.processor.box_decimals))
        return part
