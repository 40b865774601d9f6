"""Look for what students must not see: solutions, hidden tests, wrong solutions."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from .notebook import HIDDEN, SOLUTION, ProblemSet, blank
from .percent import read_replacements

SHORTEST = 24
MARKS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN TESTS", "END HIDDEN TESTS")


def bare(text: str, markup: bool = False) -> str:
    """Return text without spaces, and without HTML's markup, to find a line wherever it stands."""
    if markup:
        text = html.unescape(re.sub(r"</?[A-Za-z][^<>]*>", "", text))
    return re.sub(r"\s+", "", text)


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if len(line.strip()) >= SHORTEST:
            yield line.strip()


def secret_lines(source: ProblemSet, exercises: Path | None = None) -> set[str]:
    """Return the lines that only the author's version of a set has, the short ones left out.

    Parameters
    ----------
    source
        The set with solutions and hidden tests.
    exercises
        If given, the folder from which alternatives and wrong solutions are read as well.
    """
    shown = bare("\n".join(blank(cell.source) for cell in source))
    secret: set[str] = set()
    for cell in source:
        for pattern in (SOLUTION, HIDDEN):
            for match in pattern.finditer(cell.source):
                secret.update(_lines(match[0]))
    if exercises is not None:
        for folder in ("alternatives", "mutants"):
            for item in read_replacements(exercises / folder / f"{source.name}.py"):
                secret.update(_lines(item.code))
    return {line for line in secret if bare(line) not in shown and line[:4] != "### "}


def find_leaks(text: str, secret: Iterable[str], markup: bool = False) -> list[str]:
    """Return the secret lines, and the marks around them, that stand in a text or HTML page."""
    shown = bare(text, markup)
    return sorted(line for line in {*secret, *MARKS} if bare(line) in shown)
