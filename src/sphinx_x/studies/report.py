"""All figures and tables of a study, from its results alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sphinx_x.errors import DataError, one_line
from sphinx_x.studies import figures
from sphinx_x.studies.declaration import Study
from sphinx_x.studies.held_out import SHOWN
from sphinx_x.studies.law import Fit
from sphinx_x.studies.pairs import Effect, counts, effects_of
from sphinx_x.studies.plan import Plan, plan_of, scaling_runs
from sphinx_x.studies.results import Line, read_results
from sphinx_x.studies.scaling import ALL, Prediction, fit_of, halved, loss_of, predictions
from sphinx_x.work.files import write_atomic

REPORT = "report.md"


@dataclass(frozen=True)
class Part:
    """A section of the report: its heading, and paragraphs, tables and pictures."""

    heading: str
    blocks: list[str]

    def __str__(self) -> str:
        return "\n\n".join([f"## {self.heading}", *self.blocks])


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_report(results: Sequence[str | Path], out: str | Path, studies: Mapping[str, Study]) -> Path:
    """Write `report.md` and its pictures into a folder, and return the file.

    Args:
        results: Files of results.
        out: The folder.
        studies: The declarations by the names in the results.

    Raises:
        DataError: There is no result, or one of a study that is not declared.
    """
    lines, out = read_results(results), Path(out)
    if not lines:
        raise DataError(f"{results[0]}: no results yet")
    parts: list[Part] = []
    for name in dict.fromkeys(line["study"] for line in lines):
        if name not in studies:
            raise DataError(f"{name}: results of a study that is not declared (--study)")
        own = [line for line in lines if line["study"] == name]
        plan = plan_of(studies[name])
        parts += scaling_parts(plan, own, out) + comparison_parts(plan, own, out)
    write_atomic(out / REPORT, "\n\n".join(["# Results", *map(str, parts)]) + "\n")
    return out / REPORT


# --- sizes by amounts


def scaling_parts(plan: Plan, lines: Sequence[Line], out: Path) -> list[Part]:
    """Return the sections of sizes by amounts, none if a study is not about that."""
    study = plan.study
    if study.scaling is None:
        return []
    runs = {run.name for run in scaling_runs(study)}
    own = [line for line in lines if line["run"] in runs]
    if not own:
        return []
    skills = list(study.held_out.skills)
    blocks = [f"{len(own)} results of {len({line['run'] for line in own})} runs.", results_table(own, skills)]
    blocks += ["After how many samples a loss is half of what chance gives:", halved_table(own, skills)]
    try:
        fits = {skill: fit_of(own, skill) for skill in (ALL, *skills)}
        found = {skill: predictions(own, skill) for skill in (ALL, *skills)}
    except DataError as error:
        return [Part(study.title, [*blocks, f"No law is fitted yet: {one_line(error)}."])]
    shipped = None
    if study.scaling.shipped is not None:
        size, samples = study.scaling.shipped
        shipped = next(((line["parameters"], samples) for line in own if line["size"] == size), None)
    figures.draw_scaling(own, fits[ALL], out / "scaling.png", shipped)
    figures.draw_skills(own, skills, out / "skills.png")
    figures.draw_predictions(found, out / "predictions.png")
    return [
        Part(
            study.title,
            ["![Loss over operations](scaling.png)", *blocks, "![Loss and errors by skill](skills.png)"],
        ),
        Part("The law", [law_table(fits), "![Predictions of the largest size](predictions.png)", errors_table(found)]),
    ]


def results_table(lines: Sequence[Line], skills: Sequence[str]) -> str:
    """Return the losses and errors of all results; in brackets those with white and with shuffled images."""
    rows = []
    for line in sorted(lines, key=lambda x: (x["parameters"], x["samples"], x["seed"])):
        cells = [_shown(line, metric, skill) for skill in skills for metric in ("loss", "error")]
        numbers = f"{line['parameters'] / 1e6:.2f} M", f"{line['samples']:,}", line["seed"], f"{line['flops']:.3g}"
        rows.append([*numbers, f"{line['seconds'] / 60:.1f}", f"{loss_of(line, ALL):.3f}", *cells])
    chance = lines[0]["chance"] if lines else {}
    if chance:
        values = [f"{chance[skill][metric]:.3f}" for skill in skills for metric in ("loss", "error")]
        rows.append(["chance", "", "", "", "", f"{sum(x['loss'] for x in chance.values()) / len(chance):.3f}", *values])
    heads = [f"{skill}, {metric}" for skill in skills for metric in ("loss", "error")]
    return table(["parameters", "samples", "seed", "FLOP", "minutes", "mean loss", *heads], rows)


def _shown(line: Line, metric: str, skill: str) -> str:
    true, *others = (line[metric][skill][shown] for shown in SHOWN)
    return f"{true:.3f} ({', '.join(f'{other:.3f}' for other in others)})"


def law_table(fits: Mapping[str, Fit]) -> str:
    """Return the numbers of the laws, with their intervals."""
    names = {
        "e": "E",
        "a": "A",
        "b": "B",
        "alpha": "alpha",
        "beta": "beta",
        "size": "size ~ C^",
        "amount": "samples ~ C^",
    }
    rows = []
    for skill, fit in fits.items():
        values = {name: getattr(fit.law, name) for name in ("e", "a", "b", "alpha", "beta")}
        values |= dict(zip(("size", "amount"), fit.law.exponents, strict=True))
        told = [f"{values[n]:.3g} ({fit.intervals[n][0]:.3g} to {fit.intervals[n][1]:.3g})" for n in names]
        limited = ", ".join(names[name] for name in fit.limited) or "-"
        rows.append([skill, *told, f"{100 * fit.off:.0f} %", limited])
    return table(["loss of", *names.values(), "off by (root mean square)", "at a limit of the search"], rows)


def halved_table(lines: Sequence[Line], skills: Sequence[str]) -> str:
    """Return after how many samples losses are half of what chance gives, of runs with at least three amounts."""
    rows, least = [], f"before {min(line['samples'] for line in lines):,}"
    for run in dict.fromkeys(line["run"] for line in sorted(lines, key=lambda x: (x["parameters"], x["seed"]))):
        own = sorted((line for line in lines if line["run"] == run), key=lambda line: line["samples"])
        if len(own) < 3:  # a line between far points tells nothing
            continue
        found = [halved(own, skill) for skill in skills]
        cells = [
            least if one is None else "later" if one == float("inf") else f"{round(one, -2):,.0f}" for one in found
        ]
        rows.append([f"{own[0]['parameters'] / 1e6:.2f} M", own[0]["seed"], *cells])
    return table(["parameters", "seed", *skills], rows)


def errors_table(found: Mapping[str, Sequence[Prediction]]) -> str:
    """Return what the smaller sizes predict of the largest, and by how much they are wrong."""
    rows = [
        [skill, one.point, f"{one.predicted:.3f}", f"{one.measured:.3f}", f"{100 * one.error:+.1f} %"]
        for skill, own in found.items()
        for one in own
    ]
    return table(["loss of", "result", "predicted without the largest size", "measured", "error"], rows)


# --- comparisons


def comparison_parts(plan: Plan, lines: Sequence[Line], out: Path) -> list[Part]:
    """Return a section for each comparison that has results."""
    effects, parts = effects_of(plan, lines), []
    for name, comparison in plan.study.comparisons.items():
        own = [effect for effect in effects if effect.comparison == name]
        if not own:
            continue
        picture = f"{name}.png"
        figures.draw_effects(own, comparison.question, out / picture)
        told = (
            f"Differences from `{comparison.reference}`, in pairs, with 95 % intervals over documents and seeds; "
            "those of one seed say nothing about another."
        )
        blocks = [f"![{comparison.question}]({picture})", told, effects_table(own, list(plan.study.sizes))]
        parts.append(Part(comparison.question, [*blocks, arms_table(plan, name, lines)]))
    return parts


def effects_table(effects: Sequence[Effect], sizes: Sequence[str]) -> str:
    """Return the effects of a comparison, and which of them count."""
    rows = []
    for one in effects:
        change = f"{one.difference:+.3f} ({one.low:+.3f} to {one.high:+.3f})"
        cost = f"{one.samples[1]:,} of {one.samples[0]:,}", f"{one.flops[1] / one.flops[0]:.2f}"
        where = one.arm, one.size, one.repeats, one.match
        rows.append([*where, *cost, one.skill, one.metric, f"{one.reference:.3f}", change, counts(one, effects, sizes)])
    heads = [
        "arm",
        "size",
        "seeds",
        "same",
        "samples",
        "FLOP, times",
        "skill",
        "of",
        "reference",
        "difference",
        "counts",
    ]
    return table(heads, rows)


def arms_table(plan: Plan, name: str, lines: Sequence[Line]) -> str:
    """Return each arm's own losses and errors (mean over seeds) with true, white and shuffled images, and chance."""
    comparison, by_run = plan.study.comparisons[name], {line["run"]: line for line in lines}
    skills = comparison.skills or list(plan.study.held_out.skills)
    groups: dict[tuple[str, str, str], list[Line]] = {}
    for cell in plan.cells:
        if cell.comparison == name and cell.run in by_run:
            groups.setdefault((cell.arm, cell.size, cell.match), []).append(by_run[cell.run])
    rows = []
    for (arm, size, match), own in groups.items():
        for shown in SHOWN:
            means = [
                sum(line[metric][skill][shown] for line in own) / len(own)
                for skill in skills
                for metric in ("loss", "error")
            ]
            rows.append([arm, size, match, shown, *(f"{mean:.3f}" for mean in means)])
    chance = next(iter(groups.values()))[0]["chance"]
    rows.append(["chance", "", "", "", *(f"{chance[s][metric]:.3f}" for s in skills for metric in ("loss", "error"))])
    heads = [f"{skill}, {metric}" for skill in skills for metric in ("loss", "error")]
    return table(["arm", "size", "same", "images", *heads], rows)
