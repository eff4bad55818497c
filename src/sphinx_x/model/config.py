"""The configuration of a member: expert groups, views and LLM, all of it data (paper, sections 3.1 and 3.4)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from sphinx_x.model.abilities import Abilities
from sphinx_x.model.auto import NamesItsPackage
from sphinx_x.model.experts.base import ExpertConfig, as_tuples, read_expert
from sphinx_x.model.experts.convnext import ConvNextConfig
from sphinx_x.model.experts.dinov2 import DinoV2Config
from sphinx_x.model.views import ViewGrid
from sphinx_x.text_lines.reader import LineReader


@dataclass(frozen=True)
class GroupConfig:
    """Experts whose maps are resized to one grid and concatenated by channel.

    Attributes:
        experts: Configurations of the experts.
        tokens: The grid, (rows, columns).
        global_token: Whether the experts' global tokens come first.
        resize: How a map with another grid is resized: "bilinear" (antialiased) or "nearest".
    """

    experts: tuple[ExpertConfig, ...] = (ConvNextConfig(), DinoV2Config())
    tokens: tuple[int, int] = (16, 16)
    global_token: bool = True
    resize: str = "bilinear"

    @property
    def length(self) -> int:
        """Number of tokens per view: the global token and the map."""
        return self.global_token + self.tokens[0] * self.tokens[1]


def _group(value: GroupConfig | dict[str, Any]) -> GroupConfig:
    if isinstance(value, GroupConfig):
        return value
    fields = [expert if isinstance(expert, dict) else asdict(expert) for expert in value["experts"]]
    experts = tuple(read_expert(expert) for expert in fields)
    if value.get("resize", "bilinear") not in ("bilinear", "nearest"):
        raise ValueError(f"resize is bilinear or nearest, not {value['resize']!r}")
    return GroupConfig(experts, **{k: as_tuples(v) for k, v in value.items() if k != "experts"})


@dataclass(frozen=True)
class ImageTokens:
    """Ids of the vocabulary tokens that make up an image: an embedding slot, and the learned start, end and skip.

    A member that reads lines has one more, in front of what a line says: a learned row, to which its place is added.
    """

    slot: int
    start: int
    end: int
    skip: int
    line: int | None = None

    def all(self) -> tuple[int, ...]:
        """Return the ids, none of which can be generated."""
        return self.slot, self.start, self.end, self.skip, *(() if self.line is None else (self.line,))


def _check_views(groups: tuple[GroupConfig, ...], grid: ViewGrid) -> None:
    whole = [expert.kind for group in groups for expert in group.experts if expert.resample != "antialias"]
    if whole and grid.skip:
        raise ValueError(f"{whole[0]} takes its views from the whole canvas: none may be skipped (views.skip)")


@dataclass
class _Defaults:
    groups: tuple[GroupConfig, ...] = (GroupConfig(),)
    views: ViewGrid = field(default_factory=ViewGrid)


class SphinxXConfig(NamesItsPackage, PreTrainedConfig):
    """Configuration of a SPHINX-X model.

    Args:
        text_config: Configuration of the LLM, any causal language model of the Transformers library.
        groups: Groups of visual experts. Each group has its own projector, and the tokens of a view are those of all
            groups in turn. An empty list makes a model without visual experts.
        views: Fields of the grid (`ViewGrid`).
        image_token_id: See `ImageTokens`, as for the other three token ids.
        abilities: What the member declares that it can take (`Abilities`); None if it declares nothing.
        lines: How lines of text in images are read, and objects found, as fields of a `LineReader` without its folder;
            None for a member that reads none.
        line_token_id: The fifth token id, of a member that reads lines.
    """

    model_type = "sphinx_x"
    auto_classes = {  # noqa: RUF012 (a class default)
        "AutoConfig": "SphinxXConfig",
        "AutoModel": "SphinxXModel",
        "AutoModelForCausalLM": "SphinxXForConditionalGeneration",
        "AutoModelForImageTextToText": "SphinxXForConditionalGeneration",
        "AutoImageProcessor": "SphinxXImageProcessor",
        "AutoProcessor": "SphinxXProcessor",
    }
    sub_configs = {"text_config": AutoConfig}  # noqa: RUF012  # pyright: ignore[reportAssignmentType]
    attribute_map = {"image_token_index": "image_token_id"}  # noqa: RUF012 (the library's own convention)

    lines = None
    line_token_id = None

    def __init__(
        self,
        text_config: PreTrainedConfig | dict[str, Any] | None = None,
        groups: Any = None,
        views: ViewGrid | dict[str, Any] | None = None,
        image_token_id: int = 0,
        start_token_id: int = 1,
        end_token_id: int = 2,
        skip_token_id: int = 3,
        abilities: Abilities | dict[str, Any] | None = None,
        lines: dict[str, Any] | None = None,
        line_token_id: int | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(text_config, PreTrainedConfig):
            fields = dict(text_config or {})
            text_config = CONFIG_MAPPING[fields.pop("model_type", "llama")](**fields)
        self.text_config = text_config
        defaults = _Defaults()
        self.groups = [asdict(_group(group)) for group in (defaults.groups if groups is None else groups)]
        self.views = asdict(views) if isinstance(views, ViewGrid) else dict(views or asdict(defaults.views))
        self.image_token_id = image_token_id
        self.start_token_id, self.end_token_id, self.skip_token_id = start_token_id, end_token_id, skip_token_id
        if (lines is None) != (line_token_id is None):
            raise ValueError("a member that reads lines has both lines and line_token_id, any other has neither")
        if lines is not None:  # the others' files stay as they always were
            self.lines, self.line_token_id = lines, line_token_id
            self.line_reader()
        _check_views(self.group_configs(), self.view_grid())
        self.abilities = (abilities if isinstance(abilities, Abilities) else Abilities.from_dict(abilities)).to_dict()
        kwargs.setdefault("tie_word_embeddings", bool(getattr(text_config, "tie_word_embeddings", False)))
        super().__init__(**kwargs)

    def group_configs(self) -> tuple[GroupConfig, ...]:
        """Return the groups as typed objects."""
        return tuple(_group(group) for group in self.groups)

    def view_grid(self) -> ViewGrid:
        """Return the views as a typed object."""
        return ViewGrid(**self.views)

    def ability(self) -> Abilities:
        """Return what the member declares that it can take, as a typed object."""
        return Abilities.from_dict(self.abilities)

    def image_tokens(self) -> ImageTokens:
        """Return the ids of the image tokens."""
        ids = self.image_token_id, self.start_token_id, self.end_token_id, self.skip_token_id
        return ImageTokens(*ids, self.line_token_id)

    def line_reader(self) -> LineReader | None:
        """Return how the lines of an image are read, or None for a member that reads none."""
        return None if self.lines is None else LineReader(**self.lines)

    @property
    def tokens_per_view(self) -> int:
        """Number of embedding slots of one view, without its start and end tokens."""
        return sum(group.length for group in self.group_configs())
