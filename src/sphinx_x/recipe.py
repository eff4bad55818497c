"""A recipe: everything a training run needs, as one YAML file (paper, section 3.3 and appendix).

Parts of a model are named as in `sphinx_x.model.parts`: `experts`, `projector`, `language_model`, or a pattern.
Settings have the field's usual names; those of the previous release are still read, and a log line gives the new name.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sphinx_x.data.dialects import Form
from sphinx_x.data.lengths import Limits
from sphinx_x.data.loader import shards_of
from sphinx_x.data.mixture import Share
from sphinx_x.data.packs import Budget
from sphinx_x.errors import RecipeError, one_line
from sphinx_x.family import MEMBERS
from sphinx_x.model.abilities import Abilities
from sphinx_x.work.settings import load_yaml

logger = logging.getLogger(__name__)

RENAMED = {
    "recompute": "activation_checkpointing",
    "at_once": "micro_batch_size",
    "batch": "packs_per_step",
    "samples": "total_samples",
    "clip": "max_grad_norm",
    "balance": "router_aux_loss_coef",
    "rates": "lr_multipliers",
    "moments": "optimizer_state_dtype",
    "over_long": "overflow",
    "max_holes": "max_bad_samples",
    "bad_steps": "max_nonfinite_steps",
    "letters": "extra_tokens",
}
"""Former names of a recipe's fields, and their present names."""
DATA_FIELDS = frozenset(
    {
        *("packages", "fonts", "emoji_font", "pdf_folder", "licence", "counts", "pages", "marks", "seed", "shard_size"),
        *("lines_per_page", "lines_per_document", "pages_per_document", "words_per_document", "repeats", "cpu_seconds"),
        "workers",
    }
)
"""Fields of a recipe's `data`, which `sphinx_x.engines.nano.prepare` reads; for a hint if one is misplaced."""


def with_new_names(fields: Mapping[str, Any], tell: bool = True) -> dict[str, Any]:
    """Rename the fields of a recipe from their former to their present names.

    Args:
        fields: The fields as written.
        tell: Whether to log a line for each old name.

    Returns:
        The same values in the same order.

    Raises:
        ValueError: A field is given under both of its names.
    """
    found: dict[str, Any] = {}
    for name, value in fields.items():
        new = RENAMED.get(name, name)
        if new != name and new in fields:
            raise ValueError(f"{name}: is called {new} now, and that is given as well")
        if new != name and tell:
            logger.warning("recipe: %s is called %s now; the old name will not be read any more one day", name, new)
        found[new] = value
    return found


class Strict(BaseModel):
    """A part of a recipe: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SourceRecipe(Strict):
    """A source of the mixture.

    Attributes:
        path: A file or folder of samples, or a YAML file with a META list; by default the shards NAME-*.jsonl of the
            recipe's folder.
        root: Where the paths of its images begin.
        weight: Its share relative to the others (1 by default).
        end: Its share at the end of the run.
        ratio: Instead of a weight, how often each of its samples comes relative to those of others.
        boxes: Unit of its boxes and points, if its records do not say.
        ignore: Keys of its records that do not matter.
    """

    path: Path | None = None
    root: Path | None = None
    weight: float | None = Field(default=None, ge=0)
    end: float | None = Field(default=None, ge=0)
    ratio: float | None = Field(default=None, gt=0)
    boxes: Literal["pixels", "0..1", "0..1000"] | None = None
    ignore: list[str] = []

    @model_validator(mode="after")
    def _one_share(self) -> SourceRecipe:
        if self.ratio is not None and (self.weight is not None or self.end is not None):
            raise ValueError("a source has a weight or a ratio, not both")
        return self


class PackRecipe(Strict):
    """Limits of a pack (a row that is computed at once), and how many samples are fitted into packs together."""

    tokens: int = Field(default=16384, gt=0)
    views: int = Field(default=64, gt=0)
    window: int = Field(default=2048, gt=0)


class AugmentRecipe(Strict):
    """Random changes of images, see `sphinx_x.data.loader.Augmentation`."""

    scale: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (1.0, 1.0)
    contrast: float = Field(default=1.0, gt=0, le=1)
    noise: float = Field(default=0.0, ge=0)
    margin: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> AugmentRecipe:
        if self.scale[0] > self.scale[1]:
            raise ValueError("scale: the smaller factor comes first")
        return self


class AlignRecipe(Strict):
    """The alignment loss, see `sphinx_x.training.objective`; a weight of 0 disables it."""

    weight: float = Field(default=0.0, ge=0)
    frames: int = Field(default=2, ge=1)


class ParallelRecipe(Strict):
    """How the ranks of a run, whose number `torchrun` sets, share the work.

    All ranks that share neither matrices nor experts share the data, and each of them holds a slice of weights and
    moments.

    Attributes:
        tensor: Number of ranks that share every layer's matrices.
        expert: Number of ranks that divide a mixture's experts among themselves and send each other tokens.
        zero_stage: 2 keeps weights whole between forward and backward pass; 3 gathers them twice.
    """

    tensor: int = Field(default=1, ge=1)
    expert: int = Field(default=1, ge=1)
    zero_stage: Literal[2, 3] = 2

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, fields: Any) -> Any:
        if not isinstance(fields, Mapping) or "keep_whole" not in fields:
            return fields
        if "zero_stage" in fields:
            raise ValueError("keep_whole: is called zero_stage now, and that is given as well")
        whole = fields["keep_whole"]
        if not isinstance(whole, bool):
            raise ValueError("keep_whole: must be true or false; it is called zero_stage now (2 or 3)")
        stage = 2 if whole else 3
        logger.warning("recipe: parallel.keep_whole is called zero_stage now (%s: %d)", str(whole).lower(), stage)
        return {name: value for name, value in fields.items() if name != "keep_whole"} | {"zero_stage": stage}


class LoraRecipe(Strict):
    """Low-rank adapters instead of whole matrices, see `sphinx_x.training.lora`.

    Attributes:
        rank: As in PEFT's `LoraConfig`, like alpha and dropout.
        targets: Names of the layers that get an adapter.
        whole: Parts that are trained whole beside the adapters, and are saved with them: `projector`, `lines`, or
            patterns as in `freeze`.
        save_dtype: Type in which all of it is saved.
        start: Finished adapters that training goes on with, in place of fresh ones: a folder of adapters over the
            recipe's own `start`, with the same rank, alpha, layers and parts.
    """

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: list[str] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    whole: list[str] = []
    save_dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    start: str | None = None


class ValidationRecipe(Strict):
    """Loss on samples that are not trained on; the best model is kept in `best/`.

    Attributes:
        sources: As in a recipe, each sample once.
        every: Number of steps between two measurements.
        samples: Largest number of samples from each source, a random choice of them.
    """

    sources: dict[Annotated[str, Field(pattern=r"^[\w.-]+$")], SourceRecipe] = Field(min_length=1)
    every: int = Field(default=500, gt=0)
    samples: int = Field(default=1000, gt=0)

    @model_validator(mode="after")
    def _counts_each_once(self) -> ValidationRecipe:
        for name, source in self.sources.items():
            given = next((key for key in ("weight", "end", "ratio") if getattr(source, key) is not None), None)
            if given:
                raise ValueError(f"sources.{name}.{given}: each sample is measured once, so there are no shares")
        return self


class VariantRecipe(Strict):
    """Changes of a member that starts from fresh weights, for studies; see `sphinx_x.family.vary`."""

    width: float = Field(default=1.0, gt=0)
    experts: list[Literal["convnext", "dinov2"]] | None = None
    grid: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] | None = None
    canvas: int | None = Field(default=None, gt=0)
    skip: Literal[True, False, "drop"] | None = None


ADDED: dict[str, Any] = {
    "projector_start": None,
    "variant": VariantRecipe().model_dump(mode="json"),
    "lr_schedule": "cosine",
    "cooldown": 0.0,
    "packed": True,
}
"""Fields that states of earlier releases do not name, with what they stood for."""
ADDED_TO_LORA: dict[str, Any] = {"whole": [], "save_dtype": "float32", "start": None}
"""The same for the fields of `lora`."""


def as_of_now(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a recipe that a run wrote down, by an earlier release perhaps, as they are written today."""
    recipe = ADDED | with_new_names(fields, tell=False)
    if recipe.get("lora") is not None:
        recipe["lora"] = ADDED_TO_LORA | recipe["lora"]
    return recipe


class Recipe(Strict):
    """One training run.

    Attributes:
        name: The model's name on its card; by default that of the run's folder, or of the member if training starts
            from fresh weights.
        licence: The model's licence, as the hub writes it (`apache-2.0`); unknown by default.
        start: The model to continue from: a built-in name, a folder or a hub id. Without it, training starts from fresh
            weights (only for members that need no base LLM).
        variant: Changes of the member's shape, if training starts from fresh weights.
        padding: Where images lie in their square from now on, see `sphinx_x.model.padding`.
        extra_tokens: Letters that get a token each, see `sphinx_x.model.letters`.
        projector_start: `words` lets the projector behind a classifier begin with the words for what that says, see
            `sphinx_x.training.word_start`; by default it begins as it is in `start`.
        freeze: Parts that are not trained.
        feature_cache: Folder where features of frozen experts are stored by an image's content, for this run and others
            with the same experts; by default they are computed each time.
        lr_multipliers: Factors of the learning rate by part.
        lora: Adapters to train instead of the weights.
        abilities: What the result declares that it can take, see `sphinx_x.model.abilities`; the declaration of `start`
            is not inherited.
        total_samples: Number of samples of the mixture to train on.
        pack: Limits of a row that is computed at once.
        packs_per_step: Number of packs in a step, over all ranks.
        micro_batch_size: Number of packs that a rank computes at once.
        packed: Whether the samples of a pack lie in one row; otherwise each has a row of its own, padded to the
            longest, which computes the same and takes longer.
        max_tokens: Length of the longest sample.
        overflow: What happens to longer samples.
        max_bad_samples: Share of a run's samples that may be unusable.
        data: Data to make before the run, as `sphinx_x.engines.nano.prepare.DataConfig` (checked there).
        warmup: Share of the run during which the learning rate rises.
        lr_schedule: What follows: a cosine to 0, or a constant rate.
        cooldown: Share of the run at its end during which a constant rate falls to 0.
        max_grad_norm: Largest norm of the gradient.
        dtype: Type of the computation (master weights are float32).
        optimizer_state_dtype: Type of Adam's moments.
        router_aux_loss_coef: Weight of a mixture's load-balancing loss, by default the model's own.
        activation_checkpointing: Whether activations are recomputed in the backward pass instead of kept.
        compile: Whether layers are compiled.
        max_nonfinite_steps: Number of consecutive steps without a finite loss that end a run.
        save_every: Number of steps between two saved states.
        save_minutes: Minutes after which a state is saved in any case.
        keep: Number of states to keep.
        log_every: Number of steps between two lines of the log.
    """

    member: str
    name: str | None = Field(default=None, min_length=1, max_length=100, pattern=r"^[^\n]+$")
    licence: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.+-]*$")
    start: str | None = None
    variant: VariantRecipe = VariantRecipe()
    padding: Literal["corner", "center"] | None = None
    extra_tokens: str = ""
    projector_start: Literal["words"] | None = None
    seed: int = Field(default=0, ge=0, lt=2**32)
    total_samples: int = Field(gt=0)
    packs_per_step: int = Field(default=1, gt=0)
    micro_batch_size: int = Field(default=1, gt=0)
    packed: bool = True
    pack: PackRecipe = PackRecipe()
    max_tokens: int = Field(default=4096, gt=0)
    overflow: Literal["split", "aside"] = "split"
    learning_rate: float = Field(default=2e-5, gt=0)
    lr_multipliers: dict[str, Annotated[float, Field(ge=0)]] = {}
    warmup: float = Field(default=0.01, ge=0, lt=1)
    lr_schedule: Literal["cosine", "constant"] = "cosine"
    cooldown: float = Field(default=0.0, ge=0, lt=1)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.95)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=8.0, gt=0)
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    optimizer_state_dtype: Literal["float32", "bfloat16"] = "float32"
    freeze: list[str] = ["experts"]
    lora: LoraRecipe | None = None
    abilities: dict[str, Any] | None = None
    router_aux_loss_coef: float | None = Field(default=None, ge=0)
    activation_checkpointing: bool = False
    compile: bool = False
    parallel: ParallelRecipe = ParallelRecipe()
    align: AlignRecipe = AlignRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    feature_cache: Path | None = None
    folder: Path
    data: dict[str, Any] | None = None
    sources: dict[Annotated[str, Field(pattern=r"^[\w.-]+$")], SourceRecipe] = Field(min_length=1)
    validation: ValidationRecipe | None = None
    workers: int = Field(default=1, ge=0)
    save_every: int = Field(default=500, gt=0)
    save_minutes: float = Field(default=10.0, gt=0)
    keep: int = Field(default=2, gt=0)
    log_every: int = Field(default=10, gt=0)
    trackers: list[Literal["tensorboard", "trackio"]] = []
    max_bad_samples: float = Field(default=0.001, ge=0, le=1)
    max_nonfinite_steps: int = Field(default=3, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, fields: Any) -> Any:
        return with_new_names(fields) if isinstance(fields, Mapping) else fields

    @property
    def limits(self) -> Limits:
        """Limits of a sample's length."""
        return Limits(self.max_tokens, self.pack.views, self.overflow)

    @property
    def budget(self) -> Budget:
        """Limits of a pack."""
        return Budget(self.pack.tokens, self.pack.views, self.pack.window)

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        if self.feature_cache is not None and self.augment != AugmentRecipe():
            raise ValueError("feature_cache: features are stored for images as they are: no augment")
        if self.max_tokens > self.pack.tokens:
            raise ValueError("max_tokens: a sample may not be longer than a pack (pack.tokens)")
        if self.variant != VariantRecipe() and self.start is not None:
            raise ValueError("variant: only a member that starts from fresh weights has one, not a model (start)")
        if self.cooldown and self.lr_schedule != "constant":
            raise ValueError("cooldown: only a constant rate has one (lr_schedule: constant); a cosine falls by itself")
        if self.warmup + self.cooldown > 1:
            raise ValueError("cooldown: begins before the warm-up has ended")
        if self.lora and self.start is None:
            raise ValueError("lora: adapters need a model to lie over (start)")
        if self.lora and set(self.freeze) - {"experts"}:
            raise ValueError("freeze: with lora everything is frozen but adapters and lora.whole: leave it away")
        if self.lora and self.extra_tokens:
            raise ValueError("lora: adapters cannot hold the new rows of the embedding table that extra_tokens need")
        if self.lora and self.padding:
            raise ValueError("lora: a folder of adapters has no config that could hold padding")
        if self.lora and self.abilities:
            raise ValueError("lora: a folder of adapters has no config that could hold abilities")
        if self.projector_start and self.start is None:
            raise ValueError("projector_start: words: of a model that has the weights of its classifier (start)")
        if self.projector_start and self.lora and "projector" not in self.lora.whole:
            raise ValueError("projector_start: with lora, the projector is to be trained and saved (lora.whole)")
        Abilities.from_dict(self.abilities)
        return self


def shares_of(recipe: Recipe, sources: Mapping[str, SourceRecipe]) -> dict[str, Share]:
    """Return a recipe's sources in the form that the mixture takes."""
    return {
        name: Share(
            (s.path,) if s.path else tuple(shards_of(recipe.folder, name)),
            *(s.weight, s.end, s.ratio, s.root),
            form=Form(s.boxes or "", tuple(s.ignore)),
        )
        for name, s in sources.items()
    }


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe file, or a packaged recipe by its name (`recipes/nano.yaml` or `nano`).

    `base: NAME` in a file inherits all fields that the file does not set from another recipe, a packaged one or a file
    next to it.

    Raises:
        RecipeError: A field is wrong; the message names the file and the field.
    """
    path = Path(path)
    try:
        recipe = Recipe.model_validate(_fields(path))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(name) for name in first["loc"])
        says = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden" and field in DATA_FIELDS:
            says += f"; it belongs to `data`: data: {{{field}: ...}}"
        raise RecipeError(": ".join(filter(None, (str(path), field, says)))) from error
    if recipe.member not in MEMBERS:
        raise RecipeError(f"{path}: member: {recipe.member!r} is not one of {', '.join(MEMBERS)}")
    return recipe


def _fields(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the fields of a recipe file and of its bases; `above` has the files that are based on it."""
    packaged = resources.files("sphinx_x") / "recipes" / f"{path.stem}.yaml"
    by_name = str(path.parent) in (".", "recipes") and path.suffix in ("", ".yaml")
    if not path.is_file() and not (by_name and packaged.is_file()):
        raise RecipeError(f"{above[-1]}: base: {path}: no such recipe" if above else f"{path}: no such recipe")
    try:
        text = (path if path.is_file() else packaged).read_text(encoding="utf-8")
        fields: Any = load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: not YAML: {one_line(error)}") from error
    if not isinstance(fields, dict):
        raise RecipeError(f"{path}: not a recipe")
    try:
        fields = with_new_names(fields)  # before a file is merged with its base, which may use the other name
    except ValueError as error:
        raise RecipeError(f"{path}: {error}") from error
    if "base" not in fields:
        return fields
    base = fields.pop("base")
    if not isinstance(base, str) or not base:
        raise RecipeError(f"{path}: base: must be the name of a recipe")
    beside = path.parent / base
    base = beside if beside.is_file() else Path(base)
    if base in above or base == path:
        raise RecipeError(f"{path}: base: {base} is based on this recipe itself")
    # the name and the licence are not inherited
    below = {name: value for name, value in _fields(base, (*above, path)).items() if name not in ("name", "licence")}
    return below | fields
