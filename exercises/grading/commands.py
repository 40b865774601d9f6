"""Hand out problem sets, grade what comes back, and check the sets themselves."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from .notebook import EXERCISES, set_names


def check(options: argparse.Namespace) -> int:
    """Check problem sets against their solutions, alternatives and wrong solutions."""
    from .check import report

    names = options.sets or set_names(options.exercises)
    results = [
        report(name, options.seed, options.task, options.verbose, options.exercises)
        for name in names
    ]
    return 0 if results and all(results) else 1


def assignment(options: argparse.Namespace) -> int:
    """Make the student version of a set."""
    from .assignment import assign
    from .course import Course
    from .late import sentence

    course = Course(options.course.resolve(), options.exercises.resolve())
    folder = assign(course, options.set, options.seed, options.due, options.late)
    settings = course.settings(options.set)
    assert settings is not None
    print(f"Class {settings.seed}, due {settings.due or 'never'}.  {sentence(settings.late)}")
    print(f"Hand out the files in {folder}")
    return 0


def grade(options: argparse.Namespace) -> int:
    """Grade the submissions in a folder."""
    from .course import Course
    from .grade import grade as run
    from .limits import Limits

    report = run(
        Course(options.course.resolve(), options.exercises.resolve()),
        options.set,
        options.submissions,
        due=options.due,
        late=options.late,
        limits=Limits(cell=options.timeout, total=options.total, memory=options.memory),
        jobs=options.jobs,
    )
    print(report.summary)
    return 0


def companion(options: argparse.Namespace) -> int:
    """Split a public and a private tree off the repository."""
    from .companion import split

    public, private = split(EXERCISES.parent, options.folder)
    print(f"For students and the site: {public}\nFor a private repository: {private}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    limits_help = {
        "--timeout": (30.0, "seconds for a cell, and for a call of a student's function"),
        "--total": (300.0, "seconds for a whole submission"),
        "--memory": (4.0, "gigabytes of memory for a submission"),
    }
    top = argparse.ArgumentParser(prog="python -m grading", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="command")

    one = commands.add_parser("check", help="try all solutions, right and wrong, without nbgrader")
    one.add_argument("sets", nargs="*", help="ps1 ps2 ..., by default all")
    one.add_argument("--task", default="", help="only this task, for example ps1-task2")
    one.add_argument("--seed", type=int, action="append", help="class seed, may be repeated")
    one.add_argument("-v", "--verbose", action="store_true", help="print every message")
    one.set_defaults(run=check)

    two = commands.add_parser("assignment", help="make the version that students get")
    two.add_argument("--seed", type=_whole, help="the class, a number such as the year")
    two.set_defaults(run=assignment)

    three = commands.add_parser("grade", help="grade the submissions in a folder")
    three.add_argument("submissions", type=Path, help="the folder")
    three.add_argument("--jobs", type=_whole, default=os.cpu_count(), help="submissions at a time")
    for name, (default, text) in limits_help.items():
        three.add_argument(name, type=float, default=default, help=f"{text} (default {default:g})")
    three.set_defaults(run=grade)

    for command in (two, three):
        command.add_argument("--set", required=True, help="the problem set, for example ps1")
        command.add_argument("--course", type=Path, default=Path("course"), help="course folder")
        command.add_argument("--due", help="when it is due, '2027-03-01 23:59' in UTC")
        command.add_argument("--late", help="none, zero, or per cent of the marks a day")
    for command in (one, two, three):
        command.add_argument("--exercises", type=Path, default=EXERCISES, help="folder of the sets")

    four = commands.add_parser("companion", help="split a public and a private tree off")
    four.add_argument("folder", type=Path, help="a new folder")
    four.set_defaults(run=companion)
    return top


def _whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got {text}")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a mistake of the user's is one line, not a traceback."""
    top = parser()
    options = top.parse_args(arguments)
    try:
        return int(options.run(options))
    except ValueError as error:
        top.exit(2, f"{error}\n")
    return 2
