"""The command line inside the process of a test."""

import sys

from sphinx_x import cli


def run(*arguments: str, capsys) -> tuple[int, str, str]:
    """Exit code, output and error output of a command."""
    before, sys.argv = sys.argv, ["sphinx-x", *map(str, arguments)]
    try:
        cli.main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.argv = before
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def one_line(error: str) -> bool:
    return error.startswith("error: ") and error.count("\n") == 1
