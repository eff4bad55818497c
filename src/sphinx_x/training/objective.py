"""What a training step minimises: packs of examples become one row on the device, and a loss for each trained token.

Next to it stands the alignment loss, so that visual tokens learn early which characters they show. A vision-language
model trained from scratch first learns the language of its labels and discovers the image late. This loss reads the
text of a line from the visual tokens themselves, by connectionist temporal classification (CTC): each token of the
line's map, from left to right, yields a few frames of character scores. It only shapes the visual tokens: its one
linear layer is dropped when training ends, and answers come from the LLM alone.

One module holds the model and the alignment head, so that sharding, which gathers the weights of a module when it is
called, sees one call for all of it.

Shapes: V views, N tokens of a view, n trained tokens, T tokens of the row, D width of the LLM, F frames of a view, S
size of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sphinx_x.data.features import FeatureStore, Seen
from sphinx_x.data.loader import Example
from sphinx_x.errors import UnsupportedError
from sphinx_x.model.mixture import ExpertGroup
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.model.moe import install_experts
from sphinx_x.model.packed import PACKED, ROWS, TOKENS, VIEWS, Pack, check_packable, plan_pack, round_up
from sphinx_x.model.routing import balance_from, recorded_routing, routing_sums

BLANK = 0
"""The CTC blank: the id of the padding token, which occurs in no text."""


class AlignmentHead(nn.Module):
    """One linear layer from a visual token to `frames` frames of vocabulary scores."""

    def __init__(self, width: int, vocabulary: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.scores = nn.Linear(width, frames * vocabulary)

    def forward(self, features_VND: Tensor, examples: Sequence[Example]) -> tuple[Tensor, int]:
        """Compute the loss of the examples' views.

        Args:
            features_VND: Features of the views, in order.
            examples: The examples.

        Returns:
            The summed loss, and the number of characters it is summed over.
        """
        # the global token comes first in a view and shows no place in the line
        scores_VFS = self.scores(features_VND[:, 1:]).unflatten(-1, (self.frames, -1)).flatten(1, 2)
        counts = [example.view_count for example in examples]
        pieces = scores_VFS[: sum(counts)].split(counts)
        chosen = [k for k, example in enumerate(examples) if len(example.line)]
        if not chosen:
            return 0.0 * scores_VFS.float().sum(), 0  # the gradient has to reach the layer's weights on every rank
        scores = nn.utils.rnn.pad_sequence([pieces[k].flatten(0, 1) for k in chosen])
        texts = [examples[k].line for k in chosen]
        loss = F.ctc_loss(
            scores.float().log_softmax(-1),
            torch.cat(texts).to(scores.device),
            torch.tensor([counts[k] * scores_VFS.shape[1] for k in chosen]),
            torch.tensor([len(text) for text in texts]),
            blank=BLANK,
            reduction="sum",
            zero_infinity=True,
        )
        return loss, sum(len(text) for text in texts)


IGNORED = -100


@dataclass
class MicroBatch:
    """Examples in one row of T tokens, padded at its end.

    Attributes:
        examples: The examples.
        pools: Number of tokens of each pack in the row.
        ids: Token ids (1, T).
        views: Views (V, 3, H, W) uint8.
        view_count: How many of them are real; in a run that stores features, those of stored ones are not among them.
        rows: Positions that predict a trained token.
        targets: Those tokens; padding is ignored.
        trained: How many rows and targets are real.
        pack: How the examples lie in the row.
        line_boxes: Boxes (L, 4) of the lines of all images.
        seen: All images in order, in a run that stores features.
    """

    examples: list[Example]
    pools: list[int]
    ids: Tensor
    views: Tensor
    view_count: int
    rows: Tensor
    targets: Tensor
    trained: int
    pack: Pack
    line_boxes: Tensor = field(default_factory=lambda: torch.empty(0, 4))
    seen: list[Seen] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Number of real tokens of the row."""
        return sum(len(example.ids) for example in self.examples)

    def by_example(self, losses: Tensor) -> Iterator[tuple[Example, Tensor]]:
        """Yield each example with the losses of its trained tokens, taken from those of all (trained,)."""
        return zip(self.examples, losses.split([trained_tokens(e) for e in self.examples]), strict=True)

    @property
    def characters(self) -> int:
        """Number of characters that the alignment loss learns from."""
        return sum(len(example.line) for example in self.examples)

    @property
    def attended(self) -> int:
        """Number of rows that attention computes, its padding included."""
        return sum(count * longest for count, longest in self.pack.groups)


def trained_tokens(example: Example) -> int:
    """Return how many tokens are learned."""
    return int((example.labels != IGNORED).sum())


def pack_examples(
    packs: Sequence[Sequence[Example]],
    device: torch.device,
    always_views: bool = False,
    view: tuple[int, int] = (48, 384),
) -> MicroBatch:
    """Put the examples of packs into one row on `device`; without examples, a row that nothing is learned from.

    Args:
        packs: The packs.
        device: The device.
        always_views: Whether to add black views if no example has an image, so that ranks that wait for each other all
            take the same path.
        view: Height and width of such views.
    """
    examples = [example for pack in packs for example in pack]
    none = torch.empty(0, dtype=torch.int64)
    ids, labels = torch.cat([none, *(e.ids for e in examples)]), torch.cat([none, *(e.labels for e in examples)])
    views = _joined([e.views for e in examples], view, 1 if always_views else 0)
    # an example begins with an untrained token, so no position predicts across examples
    rows = (labels[1:] != IGNORED).nonzero()[:, 0]
    targets = labels[1:][rows]
    return MicroBatch(
        examples,
        [sum(len(example.ids) for example in pack) for pack in packs],
        _filled(ids, TOKENS, 0)[None].to(device),
        views.to(device),
        sum(len(e.views) for e in examples),
        _filled(rows, ROWS, 0).to(device),
        _filled(targets, ROWS, IGNORED).to(device),
        len(rows),
        plan_pack([len(e.ids) for e in examples] or [1], total=max(round_up(len(ids), TOKENS), TOKENS), device=device),
        torch.cat([torch.empty(0, 4), *(e.line_boxes for e in examples)]).to(device),
        [one for e in examples for one in e.seen],
    )


def _joined(views: list[Tensor], size: tuple[int, int], least: int) -> Tensor:
    """Return all views in one tensor, padded with black ones; each is copied once, in memory order."""
    count = sum(map(len, views))
    shape = (round_up(max(count, least), VIEWS), 3, *(views[0].shape[2:] if views else size))
    out = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
    if count:
        torch.cat(views, out=out[:count])
    out[count:] = 0
    return out


def _filled(tensor: Tensor, multiple: int, value: int) -> Tensor:
    """Return the tensor with its first dimension padded to a multiple, and to at least one."""
    missing = max(round_up(len(tensor), multiple), multiple) - len(tensor)
    return torch.cat([tensor, tensor.new_full((missing, *tensor.shape[1:]), value)]) if missing else tensor


class Losses(NamedTuple):
    """The losses of a micro-batch.

    Attributes:
        tokens: (n,) float32.
        align: Summed over its characters.
        balance: The load-balancing loss times the number of tokens.
        routed: Number of tokens that went to each expert (layers, experts).
    """

    tokens: Tensor
    align: Tensor
    balance: Tensor
    routed: Tensor


class Objective(nn.Module):
    """The model with packed attention and grouped experts, and the head of the alignment loss if there is one.

    Args:
        balance: Weight of a mixture's load-balancing loss, by default the model's own.
        store: Where features of frozen experts are stored, and found by the loader.
        packed: Whether samples lie in one row; otherwise each has a row of its own, as in a padded batch.

    Raises:
        UnsupportedError: The language model cannot be trained on packed samples.
    """

    def __init__(
        self,
        model: SphinxXForConditionalGeneration,
        head: AlignmentHead | None,
        balance: float | None = None,
        store: FeatureStore | None = None,
        packed: bool = True,
    ) -> None:
        super().__init__()
        self.model, self.align, self.store, self.packed = model, head, store, packed
        check_packable(model.model.language_model)
        self.in_training = PACKED if packed else "sdpa"
        self.attention(self.in_training)
        own = getattr(model.config.text_config, "router_aux_loss_coef", 0.0)
        self.mixture = install_experts(model.model.language_model) > 0
        if self.mixture and not packed:
            raise UnsupportedError("packed: false: the load-balancing loss of a mixture counts the tokens of packs")
        self.balance = (own if balance is None else balance) if self.mixture else 0.0

    def attention(self, name: str) -> None:
        """Choose the LLM's attention, by the library's name."""
        self.model.model.language_model.config._attn_implementation = name

    def recompute(self) -> None:
        """Recompute the activations of the LLM's layers in the backward pass instead of keeping them."""
        llm: Any = self.model.model.language_model
        # the library renamed it, and the old name causes a warning
        enable = getattr(llm, "activation_checkpointing_enable", None) or llm.gradient_checkpointing_enable
        enable({"use_reentrant": False})

    def forward(self, micro: MicroBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the fields of `Losses`."""
        trunk: Any = self.model.model
        features, align = None, torch.zeros((), device=micro.ids.device)
        if micro.seen:
            features = self._stored(micro)
            if self.align is not None:
                align, _ = self.align(features, micro.examples)
        elif len(micro.views):
            features = trunk.get_image_features(micro.views.float() / 255).pooler_output
            if self.align is not None:
                align, _ = self.align(features, micro.examples)
            # padding views have zero gradients, which must still reach every weight on every rank
            align = align + 0.0 * features[micro.view_count :].sum()
            features = features[: micro.view_count] if micro.view_count else None
        places = None
        if trunk.line_places is not None:
            # a further box has zero gradients, which must reach every weight on every rank
            places = trunk.places(torch.cat([micro.line_boxes, micro.line_boxes.new_zeros(1, 4)]))
            align, places = align + 0.0 * places[-1].sum(), places[:-1]
        embeddings = trunk.embed(micro.ids, features, places)
        with recorded_routing(trunk.language_model) as routers:
            hidden = self._hidden(embeddings, micro)
        logits = self.model.logits(hidden.index_select(0, micro.rows)).float()
        losses = F.cross_entropy(logits, micro.targets, reduction="none", ignore_index=IGNORED)
        return losses[: micro.trained], align, *self._routing(routers, micro)

    def _hidden(self, embeddings_1TD: Tensor, micro: MicroBatch) -> Tensor:
        """Return the last hidden states (T, D) of the row."""
        llm: Any = self.model.model.language_model
        if self.packed or not micro.examples:
            options = {"position_ids": micro.pack.position_ids, "pack": micro.pack} if self.packed else {}
            return llm(inputs_embeds=embeddings_1TD, use_cache=False, **options).last_hidden_state[0]
        lengths = [len(example.ids) for example in micro.examples]
        rows_BTD = nn.utils.rnn.pad_sequence(list(embeddings_1TD[0, : sum(lengths)].split(lengths)), batch_first=True)
        places = torch.arange(rows_BTD.shape[1], device=rows_BTD.device)
        mask = (places < torch.tensor(lengths, device=rows_BTD.device)[:, None]).long()
        hidden_BTD = llm(inputs_embeds=rows_BTD, attention_mask=mask, use_cache=False).last_hidden_state
        return torch.cat([row[:length] for row, length in zip(hidden_BTD, lengths, strict=True)])

    def _stored(self, micro: MicroBatch) -> Tensor:
        """Return the features (V, N, D) of all images: what the experts give is stored, or computed and stored."""
        store, vision = self.store, self.model.model.vision
        assert store is not None
        groups = [cast(ExpertGroup, group) for group in vision.groups]
        unknown = {one.key: one.views for one in micro.seen if one.features is None}
        fused: dict[str, tuple[Tensor, ...]] = {}
        if micro.view_count:
            with torch.no_grad():
                pixels = micro.views.float() / 255
                parts = [group.fuse(pixels, vision.grid)[: micro.view_count] for group in groups]
            counts = [one.views for one in micro.seen if one.features is None]
            images = zip(*(part.split(counts) for part in parts), strict=True)
            keys = (one.key for one in micro.seen if one.features is None)
            fused = dict(zip(keys, images, strict=True))
        for key in unknown:
            store.put(key, fused[key])
        device = micro.ids.device
        found = [fused[one.key] if one.features is None else one.features for one in micro.seen]
        whole = [torch.cat([image[k].to(device) for image in found]) for k in range(len(groups))]
        return torch.cat([group.projector(part) for group, part in zip(groups, whole, strict=True)], dim=1)

    def _routing(self, routers: list[Tensor], micro: MicroBatch) -> tuple[Tensor, Tensor]:
        if not routers:
            return torch.zeros((), device=micro.ids.device), torch.empty(0, device=micro.ids.device)
        k = self.model.config.text_config.num_experts_per_tok
        sums = routing_sums(routers, k, micro.pools or [0])
        return balance_from(sums, k, tokens=1.0), sums.counts.sum(0)
