"""`sphinx-x eval` and `sphinx-x score`: models on benchmarks, and saved answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from sphinx_x.cli import early
from sphinx_x.cli.options import Fast, Frame, check_out
from sphinx_x.errors import SphinxXError

if TYPE_CHECKING:
    from sphinx_x.evaluation.judge import Judge
    from sphinx_x.evaluation.routing.analysis import Plan
    from sphinx_x.evaluation.run import Options

RUN = "run"
JUDGEMENTS = "judgements"
Rules = Literal["official", "script", "strict"]
RuleOption = Annotated[
    Rules | None,
    typer.Option(
        help="official (so by default): the benchmark's definition; script: its released program; strict: as asked for."
    ),
]
JudgeOption = Annotated[
    str | None,
    typer.Option("--judge", help="Judges free answers: https://host/v1 (OpenAI-compatible), a settings FILE, or none."),
]
JudgeModel = Annotated[str | None, typer.Option("--judge-model", help="The judge's name at its endpoint.")]
JudgeKey = Annotated[str | None, typer.Option("--judge-key", help="The environment VARIABLE that holds its key.")]


class RunByDefault(TyperGroup):
    """`eval MODEL ...` is `eval run MODEL ...`; a model folder that is called like a command is `./tasks`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the name of the default command in front where none is named."""
        if not args or args[0] not in self.commands:
            args = [RUN, *args]
        return super().parse_args(ctx, args)


evaluation = typer.Typer(cls=RunByDefault, help="Measures a model on benchmarks, text lines or held-out samples.")


@evaluation.command(
    name=RUN,
    hidden=True,
    epilog="sphinx-x eval tasks lists the benchmarks; sphinx-x eval compare RUN_A RUN_B tells how two runs differ.",
)
def evaluate(
    model: Annotated[str, typer.Argument(help="A built-in name, a model folder, or the hub's owner/name.")] = "nano",
    tasks: Annotated[
        str | None, typer.Option("--tasks", "-t", help="Benchmarks with commas between (see eval tasks).")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The folder below which the benchmarks' files lie; by default this one.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The run's folder (report, every answer); of --lines and --samples a file."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Items of a benchmark at most, spread over it.")] = None,
    blind: Annotated[bool, typer.Option("--blind", help="A row without any image as well.")] = False,
    shuffled: Annotated[bool, typer.Option("--shuffled", help="A row with another item's image as well.")] = False,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Questions at once (8); it changes no answer.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="In place of the benchmarks' own limits.")] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Of videos: so many, spread evenly; by default the one in the middle."),
    ] = None,
    rule: RuleOption = None,
    routing: Annotated[
        bool, typer.Option("--routing", help="As well: how tokens are routed to the experts of a sparse mixture.")
    ] = False,
    active: Annotated[
        str | None, typer.Option(help="Numbers of active experts that --routing tries: 1,2,4 or none.")
    ] = None,
    removed: Annotated[
        str | None, typer.Option(help="Numbers of experts that --routing removes from each layer: 1,2 or none.")
    ] = None,
    draws: Annotated[int | None, typer.Option(min=1, help="How often --routing draws them (3).")] = None,
    judge: JudgeOption = None,
    judge_model: JudgeModel = None,
    judge_key: JudgeKey = None,
    lines: Annotated[Path | None, typer.Option(help="A folder of text lines; by default the packaged set.")] = None,
    samples: Annotated[list[Path] | None, typer.Option(help="Held-out samples to be answered; repeatable.")] = None,
    against: Annotated[str | None, typer.Option(help="Another model, to compare with on the same samples.")] = None,
    device: Annotated[str | None, typer.Option(help="As PyTorch names it, by default an accelerator.")] = None,
    bits: Annotated[
        Literal[4, 8] | None, typer.Option(help="Quantise its language model (not that of --against).")
    ] = None,
    fast: Fast = False,
) -> None:
    """Measures a model on benchmarks (--tasks), on text lines, or on samples that it was not trained on."""
    loading = {"device": device, "bits": bits, "fast": fast}
    if sum(chosen is not None and chosen != [] for chosen in (tasks, lines, samples)) > 1:
        raise SphinxXError("give one of --tasks, --lines and --samples")
    if against is not None and not samples:
        raise SphinxXError("--against goes with --samples")
    if tasks is None:
        given = {
            "--data": data,
            "--limit": limit,
            "--blind": blind,
            "--shuffled": shuffled,
            "--batch-size": batch_size,
            "--rule": rule,
            "--max-new-tokens": max_new_tokens,
            "--frames": frames,
            "--routing": routing,
            "--active": active,
            "--removed": removed,
            "--draws": draws,
        }
        given |= {"--judge": judge, "--judge-model": judge_model, "--judge-key": judge_key}
        for option, value in given.items():
            if value:
                raise SphinxXError(f"{option} goes with --tasks")
        _without_tasks(model, against, samples, lines, out, loading)
        return
    if tasks == "list":
        list_tasks()
        return
    if out is None:
        raise SphinxXError("--tasks needs --out, the folder of the run")
    data = data or Path()
    plan = _routing_plan(routing, active, removed, draws)
    asked = _judge(judge, judge_model, judge_key, out / JUDGEMENTS)
    with early.imports():
        from sphinx_x.evaluation.run import DEFAULTS, Options

    how = batch_size or DEFAULTS.batch_size, rule or DEFAULTS.rule
    options = Options(limit, *how, max_new_tokens, frames)
    _run_tasks(model, tasks, data, out, options, _Asked(blind, shuffled, asked, plan), loading)


@dataclass(frozen=True)
class _Asked:
    """What a run on benchmarks is for, beside its options; `plan` is that of an analysis of the routing."""

    blind: bool
    shuffled: bool
    judge: Judge | None
    plan: Plan | None


def _routing_plan(routing: bool, active: str | None, removed: str | None, draws: int | None) -> Plan | None:
    if not routing:
        for option, value in {"--active": active, "--removed": removed, "--draws": draws}.items():
            if value is not None:
                raise SphinxXError(f"{option} goes with --routing")
        return None
    with early.imports():
        from sphinx_x.evaluation.routing.analysis import Plan
        from sphinx_x.evaluation.routing.plots import check_plots

    check_plots()  # reported before anything is loaded
    return Plan(_numbers("--active", active), _numbers("--removed", removed), 3 if draws is None else draws)


def _numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    if text is None or text.strip().lower() == "none":
        return None if text is None else ()
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError as error:
        raise SphinxXError(f"{option} takes numbers with commas between, or none, not {text!r}") from error


def _without_tasks(
    model: str,
    against: str | None,
    samples: list[Path] | None,
    lines: Path | None,
    out: Path | None,
    loading: Mapping[str, Any],
) -> None:
    with early.imports():
        from sphinx_x.data.dialects import Form
        from sphinx_x.data.meta import data_files
        from sphinx_x.evaluation.lines import LINES, load_line_set
        from sphinx_x.evaluation.runner import print_line_figures, print_sample_figures

    if out is not None:
        sets = [entry.path for path in samples or () for entry in data_files(path, None, Form())]
        check_out(out, sets or [load_line_set(lines).folder / LINES])
        if out.is_dir():
            raise SphinxXError(f"{out}: is a folder; answers about --samples and --lines are one file")
    if samples:
        print_sample_figures(model, against, samples, out, **loading)
    else:
        print_line_figures(model, lines, out, **loading)


def _run_tasks(
    model: str,
    tasks: str,
    data: Path,
    out: Path,
    options: Options,
    how: _Asked,
    loading: Mapping[str, Any],
) -> None:
    with early.imports():
        from sphinx_x.evaluation.page import write_page
        from sphinx_x.evaluation.ranks import joined
        from sphinx_x.evaluation.report import write_report
        from sphinx_x.evaluation.results import write_results
        from sphinx_x.evaluation.routing.analysis import Analyst
        from sphinx_x.evaluation.routing.tables import as_section, write_analysis
        from sphinx_x.evaluation.run import choose, evaluate, missing_splits
        from sphinx_x.evaluation.runner import called
        from sphinx_x.inference import SphinxX

    names = [name for name in tasks.split(",") if name.strip()]
    chosen = choose(names, data)
    for absent in missing_splits(chosen, names):
        print(f"note: no files of {absent.name} below {data}: it is left out", file=sys.stderr)
    options.check(chosen)
    if how.judge is not None and all(one.task.judging is None for one in chosen):
        raise SphinxXError("--judge: none of these tasks wants a judge")
    shown: list[Any] = ["images", *(["blind"] if how.blind else []), *(["shuffled"] if how.shuffled else [])]
    analysis = None
    with joined() as rank, _progress(rank.number == 0) as told:
        sphinx = SphinxX.load(model, **{**loading, "device": rank.device(loading["device"])})
        model = called(model, loading["bits"], loading["fast"])
        rest = (options, rank, how.judge, told)
        try:
            if how.plan is not None:
                # first, as its answers of the model as it is are those of the run, which need not be asked again
                analysis = Analyst(sphinx, chosen, data, out, *rest).analyse(how.plan, model)
            run = evaluate(sphinx, chosen, data, out, model, shown, *rest)
        finally:
            if rank.number == 0:
                tell_judge(how.judge)
    if run is not None:
        write_results(run, out)
        write_report(run, out)
        if analysis is not None:
            write_analysis(analysis, out)
        write_page(run, out, () if analysis is None else [as_section(analysis, out)])
        print((out / "report.md").read_text("utf-8"), end="")
        print(f"\nreport written to {out / 'report.html'}", file=sys.stderr)
        if how.judge is not None:
            how.judge.check_answered()  # last: what was answered and scored is kept and told


def _judge(place: str | None, model: str | None, key: str | None, folder: Path) -> Judge | None:
    """The judge that the options name; None for none."""
    if place in (None, "none"):
        for option, value in {"--judge-model": model, "--judge-key": key}.items():
            if value is not None:
                raise SphinxXError(f"{option} goes with --judge")
        return None
    with early.imports():
        from sphinx_x.evaluation.judge import read_judge

    return read_judge(place, model, key, folder)


def tell_judge(judge: Judge | None) -> None:
    """Says what judging cost."""
    if judge is not None:
        print(judge.account(), file=sys.stderr)


@contextmanager
def _progress(shown: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar with the time left on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown or not sys.stderr.isatty()) as bars:
        numbers: dict[str, Any] = {}

        def tell(name: str, done: int, total: int) -> None:
            if name not in numbers:
                numbers[name] = bars.add_task(name, total=total)
            bars.update(numbers[name], completed=done, total=total)

        yield tell


@evaluation.command(name="tasks")
def list_tasks(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with everything that is declared.")] = False,
) -> None:
    """Lists the benchmarks: items, prompt, metric, release, and the paper's scores."""
    with early.imports():
        from sphinx_x.evaluation.listing import as_table, described

    if as_json:
        print(json.dumps(described(), indent=1, ensure_ascii=False))
    else:
        as_table()


@evaluation.command(name="compare")
def compare_runs(
    first: Annotated[Path, typer.Argument(help="The folder of a run.")],
    second: Annotated[Path, typer.Argument(help="That of another on the same items.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with every item that changed.")] = False,
) -> None:
    """Tells how two runs differ: paired differences with intervals, and the items that changed."""
    with early.imports():
        from sphinx_x.evaluation.compare import as_text, compare

    changes = compare(first, second)
    told = json.dumps([change.to_dict() for change in changes], indent=1, ensure_ascii=False)
    print(told if as_json else as_text(changes))


def score(
    task: Annotated[str, typer.Argument(help="A benchmark or one of its splits (see eval tasks).")],
    annotation: Annotated[Path, typer.Argument(help="Its file of questions, or the folder that has it.")],
    predictions: Annotated[Path, typer.Argument(help="Answers as JSON lines: index (position in it) and answer.")],
    rule: RuleOption = None,
    judge: JudgeOption = None,
    judge_model: JudgeModel = None,
    judge_key: JudgeKey = None,
    judgements: Annotated[
        Path | None, typer.Option(help="The folder where a judge's words are kept, by default beside the answers.")
    ] = None,
    frame: Annotated[
        Frame | None,
        typer.Option(help="Where the picture lies in the square that places are shares of: center by default."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Score, figures and every item as JSON.")] = False,
) -> None:
    """Scores saved answers of any model, without loading one."""
    with early.imports():
        from sphinx_x.evaluation.scores import as_text, find_split, read_answers, read_items, score_answers
        from sphinx_x.evaluation.task import Reading
        from sphinx_x.model.views import ViewGrid

    chosen = find_split(task, annotation)
    rule = rule or "official"
    chosen.task.check_rule(rule)
    items = read_items(chosen, annotation)
    answers, repeated = read_answers(predictions, len(items))
    if judge is not None and judge != "none" and chosen.task.judging is None:
        raise SphinxXError(f"--judge: {chosen.name} is scored by rule and wants no judge")
    asked = _judge(judge, judge_model, judge_key, judgements or predictions.with_suffix(f".{JUDGEMENTS}"))
    if judgements is not None and asked is None:
        raise SphinxXError("--judgements goes with --judge")
    placed = any(item.box is not None for item in items)
    if frame is not None and not placed:
        raise SphinxXError(f"--frame: {chosen.name} asks for no places")
    reading = Reading(rule, ViewGrid(padding=frame or "center"))
    if placed:
        said = "in the middle" if reading.frame.padding == "center" else "in the upper left corner"
        print(f"places are read as shares of a square with the picture {said} (--frame)", file=sys.stderr)
    try:
        scored = score_answers(chosen, items, answers, reading, repeated, asked)
    finally:
        tell_judge(asked)
    print(json.dumps(scored.to_dict(), ensure_ascii=False) if as_json else as_text(scored))
    if asked is not None:
        asked.check_answered()
