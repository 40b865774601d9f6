"""Read alternative and wrong solutions, which are kept as plain Python files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_HEAD = re.compile(r"^# %% +(?P<task>\S+)(?: +(?P<name>.*\S))?\s*$", re.M)
_FIELD = re.compile(r"^# (?P<key>test|message): *(?P<value>.*\S)\s*$")


@dataclass(frozen=True)
class Replacement:
    """Code that stands in for the solution cell of a task.

    Parameters
    ----------
    task
        The grade_id of the solution cell.
    code
        Its complete replacement.
    name
        What is different; for a wrong solution, the misconception.
    test
        The grade_id of the test cell that a wrong solution must fail; "" for a right one.
    message
        A part of what the student must then read.
    """

    task: str
    code: str
    name: str = ""
    test: str = ""
    message: str = ""


def read_replacements(path: Path) -> list[Replacement]:
    """Read a file of alternatives or mutants; a missing file holds none.

    Raises
    ------
    ValueError
        If code stands before the first ``# %%`` line.
    """
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    heads = list(_HEAD.finditer(text))
    start = heads[0].start() if heads else len(text)
    for line in text[:start].splitlines():
        if line.strip() and not line.startswith(("#", '"')):
            raise ValueError(f"{path.name}: code before the first '# %%' line: {line!r}")
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return [
        _replacement(head, text[head.end() : end]) for head, end in zip(heads, ends, strict=True)
    ]


def _replacement(head: re.Match[str], body: str) -> Replacement:
    lines = body.strip("\n").split("\n")
    fields = {}
    while lines and (match := _FIELD.match(lines[0])):
        fields[match["key"]] = match["value"]
        lines.pop(0)
    code = "\n".join(lines).strip("\n") + "\n"
    return Replacement(head["task"], code, head["name"] or "", **fields)
