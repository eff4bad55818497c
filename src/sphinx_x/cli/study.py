"""The verb `study`: many small runs, and what they say together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

study = typer.Typer(no_args_is_help=True, help="Studies of scaling and of single choices: docs/scaling.md.")

Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="The study's folder; by default runs/NAME. One process works in it.")
]
Names = Annotated[list[str] | None, typer.Option("--run", help="Only the run of this name; repeatable.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only list the runs, with their operations, and their time on this machine.")
]
Device = Annotated[str | None, typer.Option(help="A PyTorch device, by default an accelerator if there is one.")]
Times = Annotated[
    int,
    typer.Option(min=1, help="Multiply all numbers of samples, for a faster machine; the results are another study's."),
]


@study.command()
def scaling(
    out: Out = None, run: Names = None, dry_run: DryRun = False, device: Device = None, times: Times = 1
) -> None:
    """Train sizes of SPHINX-Nano by amounts of data."""
    _run("scaling", out, run, dry_run, device, times)


@study.command()
def ablations(
    out: Out = None, run: Names = None, dry_run: DryRun = False, device: Device = None, times: Times = 1
) -> None:
    """Train pairs of SPHINX-Nano that differ in one choice."""
    _run("ablations", out, run, dry_run, device, times)


@study.command("run")
def run_(
    file: Annotated[Path, typer.Argument(help="A declaration as those in sphinx_x/studies.")],
    out: Out = None,
    run: Names = None,
    dry_run: DryRun = False,
    device: Device = None,
    times: Times = 1,
) -> None:
    """Run a study of your own."""
    _run(str(file), out, run, dry_run, device, times)


def _run(name: str, out: Path | None, runs: list[str] | None, dry_run: bool, device: str | None, times: int) -> None:
    from sphinx_x.studies.declaration import load_study, multiplied

    loaded, stem = multiplied(load_study(name), times), Path(name).stem + (f"-x{times}" if times > 1 else "")
    folder = out or Path("runs") / stem
    if dry_run:
        from sphinx_x.studies.outlook import outlook

        print(outlook(loaded, runs or [], device))
        return
    from sphinx_x.studies.runner import Runner

    print(f"results in {Runner(loaded, stem, folder, device).run(runs or [])}")


Results = Annotated[list[Path], typer.Argument(help="Files of results, results.jsonl.")]


@study.command()
def join(results: Results, out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")]) -> None:
    """Join the results of several machines, each once."""
    from sphinx_x.studies.results import join_results

    print(f"{join_results(results, out)} results in {out}")


@study.command()
def report(
    results: Results,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")] = Path("report"),
    declared: Annotated[
        list[Path] | None, typer.Option("--study", help="The declaration of a study of your own; repeatable.")
    ] = None,
) -> None:
    """Draw all figures and tables of results."""
    from sphinx_x.studies.declaration import declarations
    from sphinx_x.studies.report import write_report

    print(f"written to {write_report(results, out, declarations(results, declared or []))}")
