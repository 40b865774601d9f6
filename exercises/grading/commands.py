"""What can be typed, and what it calls."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from .check import report
from .notebook import EXERCISES, set_names


def check(options: argparse.Namespace) -> int:
    """Check problem sets against their solutions, alternatives and wrong solutions."""
    names = options.sets or set_names(options.exercises)
    results = [
        report(name, options.seed, options.task, options.verbose, options.exercises)
        for name in names
    ]
    return 0 if results and all(results) else 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="python -m grading", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="command")
    one = commands.add_parser("check", help="try all solutions, right and wrong, without nbgrader")
    one.add_argument("sets", nargs="*", help="ps1 ps2 ..., by default all")
    one.add_argument("--task", default="", help="only this task, for example ps1-task2")
    one.add_argument("--seed", type=int, action="append", help="class seed, may be repeated")
    one.add_argument("-v", "--verbose", action="store_true", help="print every message")
    one.add_argument("--exercises", type=Path, default=EXERCISES, help="the folder of the sets")
    one.set_defaults(run=check)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a mistake of the user's is one line, not a traceback."""
    top = parser()
    options = top.parse_args(arguments)
    try:
        return int(options.run(options))
    except ValueError as error:
        top.exit(2, f"{error}\n")
    return 2
