"""Run the notebook of one student, in processes of their own, and keep what it showed."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from .limits import Limits
from .notebook import EXERCISES, ProblemSet, bound_names, grade_id, role
from .process import library

GRACE = 120.0
HOME = Path.home()


class NotRunError(Exception):
    """A submission that could not be run, for reasons that are not the student's."""


@dataclass
class Result:
    """What came of running a notebook.

    Parameters
    ----------
    outputs
        For every cell its outputs, as the processes sent them.
    ended
        Why the student's process ended early, "" if it did not.
    slow
        How many cells took too long.
    missing
        The protections that this system lacks.
    seconds
        How long it took.
    secrets
        Texts that outputs must not show, with what stands for them.
    """

    outputs: list[Any]
    ended: str = ""
    slow: int = 0
    missing: list[str] = field(default_factory=list)
    seconds: float = 0.0
    secrets: dict[str, str] = field(default_factory=dict)


@functools.cache
def font_list() -> str:
    """Return the path of matplotlib's list of fonts, which importing it makes if need be."""
    import matplotlib
    import matplotlib.font_manager

    lists = sorted(Path(matplotlib.get_cachedir()).glob("fontlist-*.json"))
    return str(lists[-1]) if lists else ""


def run_notebook(
    notebook: NotebookNode, source: ProblemSet | None = None, limits: Limits | None = None
) -> Result:
    """Run a mended notebook.

    Parameters
    ----------
    notebook
        The student's notebook.
    source
        The problem set whose own cells and tests are run; by default those in the notebook.
    limits
        What it may use.

    Raises
    ------
    NotRunError
        If the fault is not the student's: a locked cell fails, or a process cannot be started.
    """
    limits = limits or Limits()
    source = source or ProblemSet("", notebook)
    student = [
        index
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and role(cell) != "test"
    ]
    names: dict[str, bool] = {}
    for cell in source.cells("solution"):
        try:
            names |= bound_names(cell.source)
        except SyntaxError:
            continue
    job = {
        "cells": [notebook.cells[index].source for index in student],
        "locked": [cell.source for cell in source.locked_code],
        "tests": {grade_id(cell): cell.source for cell in source.cells("test")},
        "functions": [name for name, is_function in names.items() if is_function],
        "values": [name for name, is_function in names.items() if not is_function],
        "limits": asdict(limits),
        "fonts": font_list(),
    }
    result = _supervised(job, limits)
    outputs: list[Any] = [[] for _ in notebook.cells]
    for index, shown in zip(student, result["cells"], strict=True):
        outputs[index] = shown
    for index, cell in enumerate(notebook.cells):
        if role(cell) == "test":
            outputs[index] = result["tests"][grade_id(cell)]
    secrets = {
        f"{result['folder']}/student/packages/": "",
        f"{result['folder']}/student/home": "~",
        sys.prefix: "python",
        sys.base_prefix + "/lib": "python/lib",
        str(HOME): "~",
    }
    return Result(
        outputs,
        result["ended"],
        len(result["late_cells"]),
        result["missing"],
        result["seconds"],
        {secret: shown for secret, shown in secrets.items() if len(secret) > 2},
    )


def _supervised(job: dict[str, Any], limits: Limits) -> dict[str, Any]:
    path = os.pathsep.join([str(EXERCISES), str(library().parent)])
    try:
        done = subprocess.run(
            [sys.executable, "-X", "utf8", "-B", "-m", "grading.supervise"],
            input=json.dumps(job),
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=limits.total + GRACE,
            check=True,
        )
        result: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise NotRunError("it could not be stopped in time") from None
    except subprocess.CalledProcessError as error:
        lines = str(error.stderr).strip().splitlines()
        raise NotRunError(f"the supervising process failed: {lines[-1:]}") from None
    except ValueError:
        raise NotRunError("the supervising process gave no answer") from None
    if "failed" in result:
        raise NotRunError(str(result["failed"]))
    return result
