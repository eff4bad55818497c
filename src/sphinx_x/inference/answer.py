"""`Answer`: what a model said, what it points at, and what that took."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from sphinx_x.inference.evidence import Evidence, find_evidence
from sphinx_x.inference.pointing import Found, find_places
from sphinx_x.inference.prompts import Prompt
from sphinx_x.inference.running import Trace


@dataclass(frozen=True)
class Answer:
    """An answer with everything that is known about it.

    Attributes:
        text: What was said.
        boxes: Boxes that it points at, in pixels of the original images, as are the next three.
        points: Points.
        key_points: Points with a name, of a body or a thing.
        marks: Places of the marks that it cites.
        evidence: Lines of text and objects that say what it says, of a member that reads lines, with boxes in pixels.
        image_sizes: (width, height) of each image of the conversation, in pixels.
        lines_left_out: Number of lines of each image for which there was no room, at the end of a very full page.
        prompt_tokens: Number of tokens of the conversation before the answer, those of its images included.
        image_tokens: Number of tokens of its images, skip tokens included.
        skipped_tokens: Number of tokens that its images would take besides, had no sub-image been skipped.
        generated_tokens: Number of tokens of the answer, with those that end it.
        remembered_tokens: Number of the prompt's tokens that did not have to be computed again.
        views: Number of views that were kept, of all images.
        skipped_views: Number of sub-images that were skipped.
        encoded_images: Number of images that the experts looked at; the others were remembered.
        encode_seconds: Time to open the images and to get their features.
        prefill_seconds: Time from then to the first token.
        decode_seconds: Time for all further tokens.
        finish_reason: `stop` where the answer ended by itself or at a stop text, `length` where it was cut off.
        probability: Mean probability of its tokens, or None where there is no measure for it (beams, drafts).
        no_reuse: Why no tokens could be remembered, or None where they could.
    """

    text: str
    boxes: tuple[Found, ...]
    points: tuple[Found, ...]
    key_points: tuple[Found, ...]
    marks: tuple[Found, ...]
    evidence: tuple[Evidence, ...]
    image_sizes: tuple[tuple[int, int], ...]
    lines_left_out: tuple[int, ...]
    prompt_tokens: int
    image_tokens: int
    skipped_tokens: int
    generated_tokens: int
    remembered_tokens: int
    views: int
    skipped_views: int
    encoded_images: int
    encode_seconds: float
    prefill_seconds: float
    decode_seconds: float
    finish_reason: Literal["stop", "length"]
    probability: float | None
    no_reuse: str | None

    @property
    def points_at_something(self) -> bool:
        """Whether there is anything to draw."""
        return bool(self.says_where or self.evidence)

    @property
    def says_where(self) -> bool:
        """Whether its own words say where something is."""
        return bool(self.boxes or self.points or self.key_points or self.marks)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in JSON types."""
        return cast(dict[str, Any], _plain(asdict(self)))


def build_answer(prompt: Prompt, text: str, trace: Trace, probability: float | None) -> Answer:
    """Put together what is known of one answer.

    Args:
        prompt: What was answered.
        text: What was said.
        trace: How it came about.
        probability: Mean probability of its tokens.
    """
    places = find_places(text, prompt.layouts, prompt.text)
    return Answer(
        text=text,
        boxes=places.boxes,
        points=places.points,
        key_points=places.key_points,
        marks=places.marks,
        evidence=find_evidence(text, prompt.layouts, prompt.question),
        image_sizes=tuple((layout.width, layout.height) for layout in prompt.layouts),
        lines_left_out=tuple(layout.lines_left_out for layout in prompt.layouts),
        prompt_tokens=len(prompt.ids),
        image_tokens=prompt.visual_tokens,
        skipped_tokens=prompt.unskipped_tokens - prompt.visual_tokens,
        generated_tokens=len(trace.ids),
        remembered_tokens=trace.held_tokens,
        views=sum(layout.views for layout in prompt.layouts),
        skipped_views=sum(layout.skipped for layout in prompt.layouts),
        encoded_images=trace.encoded_images,
        encode_seconds=trace.encode_seconds,
        prefill_seconds=trace.prefill_seconds,
        decode_seconds=trace.decode_seconds,
        finish_reason=trace.finish,
        probability=probability,
        no_reuse=trace.no_reuse,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
