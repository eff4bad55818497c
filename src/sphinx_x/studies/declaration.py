"""What a study compares, as data: one YAML file, packaged (`scaling`, `ablations`) or the user's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, PrivateAttr, ValidationError, model_validator

from sphinx_x.errors import RecipeError, one_line
from sphinx_x.recipe import Recipe, Strict, load_recipe
from sphinx_x.work.files import read_lines
from sphinx_x.work.settings import load_yaml

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
Change = dict[str, Any]
"""Fields of a recipe; a mapping changes the fields in it, and null takes a field away."""


class Stage(Strict):
    """A part of a run that goes on from the model of the one before, with a schedule of its own.

    Attributes:
        share: Its share of the run's samples.
        change: How it differs from the arm's recipe.
    """

    share: float = Field(gt=0, le=1)
    change: Change = Field(default_factory=dict)


class Arm(Strict):
    """A side of a comparison: how its recipe differs, and its stages if it has several."""

    change: Change = Field(default_factory=dict)
    stages: list[Stage] = Field(default_factory=list)

    @model_validator(mode="after")
    def _whole(self) -> Arm:
        if self.stages and abs(sum(stage.share for stage in self.stages) - 1) > 1e-9:
            raise ValueError("stages: their shares must be 1 together")
        return self


class Comparison(Strict):
    """A question with an answer for each arm.

    Attributes:
        question: In words, for the report.
        change: How the recipes of all its arms differ from the study's.
        arms: The arms by name.
        reference: The arm that the others are compared with.
        match: What arms have in common: the samples, or the operations (an arm that costs more then sees fewer).
        same_order: Whether all arms see the same samples in the same order, which is checked.
        skills: The skills that it is about, by default all.
        sizes: Where it is run, by default wherever the study repeats its comparisons.
        samples: Number of samples of its reference arm, by default that of the study.
    """

    question: str
    change: Change = Field(default_factory=dict)
    arms: dict[Name, Arm] = Field(min_length=2)
    reference: str
    match: tuple[Literal["samples", "flops"], ...] = ("samples", "flops")
    same_order: bool = True
    skills: list[str] = Field(default_factory=list)
    sizes: list[str] = Field(default_factory=list)
    samples: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _known(self) -> Comparison:
        if self.reference not in self.arms:
            raise ValueError(f"reference: {self.reference!r} is not one of {', '.join(self.arms)}")
        return self


class Skill(Strict):
    """Held-out answers of a kind.

    Attributes:
        of: Shards OF-*.jsonl of the held-out data, or those in the folder OF.
        kinds: Kinds of answers (`sphinx_x.evaluation.samples.KINDS`).
    """

    of: str
    kinds: list[Literal["text", "box", "mark", "yes or no", "one of several"]] = Field(min_length=1)


class HeldOut(Strict):
    """What is measured: answers about documents and pictures that no run learns from.

    Attributes:
        folder: Where they are.
        data: What is made there, as the field of a recipe; by default nothing, they are there.
        skills: The skills by name.
        items: Number of answers of each skill whose loss is measured.
        asked: How many of them a run is also asked for, as that takes longer.
        longest: Longest answer in tokens.
    """

    folder: Path
    data: dict[str, Any] | None = None
    skills: dict[Name, Skill] = Field(min_length=1)
    items: int = Field(default=128, ge=2)
    asked: int = Field(default=48, ge=2)
    longest: int = Field(default=100, gt=0)


class Typical(Strict):
    """A sample of a source as it is on average, for what a run costs before its data is there.

    Attributes:
        width: Width of its image in pixels, as for height.
        question: Tokens of text that are not learned.
        answer: Tokens that are.
    """

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    question: int = Field(gt=0)
    answer: int = Field(gt=0)


class Scaling(Strict):
    """Sizes by amounts.

    Attributes:
        amounts: Numbers of samples; one run a size goes through all of them.
        seed: Its seed.
        corner_seeds: Further seeds of the smallest and the largest size, at the smallest and the largest amount.
        shipped: The size of the shipped member, and the samples that it was trained on, to be marked in the figure.
    """

    amounts: list[int] = Field(min_length=1)
    seed: int = 0
    corner_seeds: list[int] = Field(default_factory=list)
    shipped: tuple[str, int] | None = None


class Study(Strict):
    """A study.

    Attributes:
        title: In words, for the report.
        base: The recipe that all runs are based on.
        recipe: How they differ from it.
        sizes: Changes by size, the smallest first.
        held_out: What is measured.
        typical: Samples of every source on average.
        scaling: Sizes by amounts, if the study is about that.
        comparisons: Comparisons by name.
        samples: Number of samples of a comparison's reference arm.
        repeats: Seeds of the comparisons by size.
    """

    title: str
    base: str
    recipe: Change = Field(default_factory=dict)
    sizes: dict[Name, Change] = Field(min_length=1)
    held_out: HeldOut
    typical: dict[str, Typical] = Field(min_length=1)
    scaling: Scaling | None = None
    comparisons: dict[Name, Comparison] = Field(default_factory=dict)
    samples: int = Field(default=0, ge=0)
    repeats: dict[str, list[int]] = Field(default_factory=dict)

    _base: dict[str, Any] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        named = [*self.repeats, *(size for c in self.comparisons.values() for size in c.sizes)]
        named += [self.scaling.shipped[0]] if self.scaling and self.scaling.shipped else []
        for size in named:
            if size not in self.sizes:
                raise ValueError(f"{size!r} is not one of the sizes ({', '.join(self.sizes)})")
        for name, comparison in self.comparisons.items():
            if missing := [size for size in comparison.sizes if size not in self.repeats]:
                raise ValueError(f"comparisons.{name}.sizes: {missing[0]!r} has no repeats, so it would never be run")
            for skill in comparison.skills:
                if skill not in self.held_out.skills:
                    raise ValueError(f"comparisons.{name}.skills: {skill!r} is not held out")
        if self.comparisons and not (self.samples and self.repeats):
            raise ValueError("comparisons need samples, and repeats by size")
        if not self.comparisons and not self.scaling:
            raise ValueError("nothing is compared: scaling or comparisons")
        return self

    def recipe_of(self, *changes: Mapping[str, Any]) -> Recipe:
        """Return the study's recipe with changes, the later over the earlier ones.

        Raises:
            RecipeError: A field is wrong.
        """
        if self._base is None:
            self._base = load_recipe(self.base).model_dump(mode="json", exclude_unset=True)
        # these are of the model that the base makes
        of_model = ("name", "licence", "abilities", "validation")
        fields = {name: value for name, value in self._base.items() if name not in of_model}
        for change in (self.recipe, *changes):
            fields = changed(fields, change)
        try:
            return Recipe.model_validate(fields)
        except ValidationError as error:
            raise RecipeError(f"{self.title}: {_first(error)}") from error


def changed(fields: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields with a change: mappings are merged, null takes a field away."""
    out = dict(fields)
    for name, value in change.items():
        if value is None:
            out.pop(name, None)
        elif isinstance(value, Mapping):
            before = out.get(name)
            out[name] = changed(before if isinstance(before, Mapping) else {}, value)
        else:
            out[name] = value
    return out


def load_study(name: str | Path) -> Study:
    """Read a study's file, or a packaged study by its name.

    Raises:
        RecipeError: There is none, or a field is wrong; the message names it.
    """
    path = Path(name)
    packaged = resources.files("sphinx_x") / "studies" / f"{name}.yaml"
    if not path.is_file() and not (path.name == str(name) and packaged.is_file()):
        raise RecipeError(f"{name}: no such study")
    try:
        fields = load_yaml((path if path.is_file() else packaged).read_text(encoding="utf-8"))
        return Study.model_validate(fields)
    except ValidationError as error:
        raise RecipeError(f"{name}: {_first(error)}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"{name}: not a study: {one_line(error)}") from error


def multiplied(study: Study, times: int) -> Study:
    """Return a study with so many times the samples, and as many times the data that is made for them."""
    if times == 1:
        return study
    scaling = study.scaling
    if scaling is not None:
        scaling = scaling.model_copy(update={"amounts": [n * times for n in scaling.amounts]})
    comparisons = {
        name: one.model_copy(update={"samples": one.samples and one.samples * times})
        for name, one in study.comparisons.items()
    }
    changes = {"recipe": _with_more_data(study.recipe, times), "scaling": scaling, "comparisons": comparisons}
    return study.model_copy(update=changes | {"samples": study.samples * times})


def _with_more_data(recipe: Change, times: int) -> Change:
    """Return a recipe that makes so many times the data, in a folder of its own.

    Raises:
        RecipeError: It leaves to its base where the data is, or how much there is.
    """
    data = recipe.get("data")
    if not data:
        return recipe
    there = {"folder": recipe, "sources": recipe, "counts": data}
    missing = next((name for name, fields in there.items() if name not in fields), None)
    if missing:
        raise RecipeError(f"recipe: data without {missing} cannot be multiplied: how much is made where is not known")
    counts = {kind: count * times for kind, count in data["counts"].items()}
    pages = {name: one | {"documents": one.get("documents", 0) * times} for name, one in data.get("pages", {}).items()}
    before = str(recipe["folder"])
    folder = f"{before}-x{times}"
    sources = {
        name: one | {"path": folder + one["path"].removeprefix(before)}
        if one and str(one.get("path", "")).startswith(f"{before}/")
        else one
        for name, one in recipe["sources"].items()
    }
    return recipe | {"folder": folder, "data": data | {"counts": counts, "pages": pages}, "sources": sources}


def declarations(results: Iterable[Path], files: Iterable[Path]) -> dict[str, Study]:
    """Return the declarations of the studies that results name: files by their stems, or packaged ones.

    Raises:
        RecipeError: A study is not known.
    """
    known = {path.stem: path for path in files}
    found = {}
    for name in dict.fromkeys(line.get("study", "") for path in results for line in read_lines(path)):
        stem, _, times = name.rpartition("-x")
        many = times.isdigit() and name not in known
        named = stem if many else name
        study = load_study(known.get(named) or named)
        found[name] = multiplied(study, int(times)) if many else study
    return found


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    return ": ".join(filter(None, (field, first["msg"].removeprefix("Value error, "))))
