"""Run the notebook of one student, in processes of their own, and keep what it showed."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from .limits import Limits
from .notebook import EXERCISES, ProblemSet, bound_names, grade_id, role
from .process import kill_family, library

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
    slow_calls
        How many calls of the student's functions took too long.
    failed
        How many of the student's cells stopped with an error of their own.
    """

    outputs: list[Any]
    ended: str = ""
    slow: int = 0
    missing: list[str] = field(default_factory=list)
    seconds: float = 0.0
    secrets: dict[str, str] = field(default_factory=dict)
    slow_calls: int = 0
    failed: int = 0


@functools.cache
def font_list() -> str:
    """Return the path of matplotlib's list of fonts, which importing it makes if need be."""
    import matplotlib
    import matplotlib.font_manager

    lists = sorted(Path(matplotlib.get_cachedir()).glob("fontlist-*.json"))
    return str(lists[-1]) if lists else ""


def run_notebook(
    notebook: NotebookNode,
    source: ProblemSet | None = None,
    limits: Limits | None = None,
    pool: Pool | None = None,
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
    pool
        The supervising processes; without one, one is started for this notebook.

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
    }
    with contextlib.ExitStack() as stack:
        result = (pool or stack.enter_context(Pool())).run(job, limits)
    outputs: list[Any] = [[] for _ in notebook.cells]
    for index, shown in zip(student, result["cells"], strict=True):
        outputs[index] = shown
    for index, cell in enumerate(notebook.cells):
        if role(cell) == "test":
            outputs[index] = result["tests"][grade_id(cell)]
    secrets = {
        f"{result['packages']}/": "",
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
        result["late_calls"],
        sum(map(_failed, result["cells"])),
    )


def _failed(outputs: list[Any]) -> bool:
    """Return whether a cell stopped with an error, other than for a gap or for what is told."""
    names = {
        str(item.get("ename"))
        for item in outputs
        if isinstance(item, dict) and item.get("output_type") == "error"
    }
    return bool(names - {"NotImplementedError", "Timeout", "NotRun", "ProcessEnded", "TooMuch"})


class Pool:
    """Supervising processes, started when they are needed, each doing one job at a time.

    One that fails is replaced, and its job is tried once more.
    """

    def __init__(self) -> None:
        self._idle: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        while True:
            try:
                process = self._idle.get_nowait()
            except queue.Empty:
                return
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

    def run(self, job: dict[str, Any], limits: Limits) -> dict[str, Any]:
        """Do a job and return its result.

        Raises
        ------
        NotRunError
            If it cannot be done, through no fault of the student's.
        """
        try:
            result = self._attempt(job, limits)
        except NotRunError:
            result = self._attempt(job, limits)
        if "failed" in result:
            raise NotRunError(str(result["failed"]))
        return result

    def _attempt(self, job: dict[str, Any], limits: Limits) -> dict[str, Any]:
        try:
            process = self._idle.get_nowait()
        except queue.Empty:
            process = self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(limits.total + GRACE, kill_family, [process.pid])
        timer.start()
        try:
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            result: dict[str, Any] = json.loads(process.stdout.readline())
        except (OSError, ValueError, RecursionError):
            process.kill()
            process.wait()
            raise NotRunError("the process that supervises it ended") from None
        finally:
            timer.cancel()
        self._idle.put(process)
        return result

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        path = os.pathsep.join([str(EXERCISES), str(library().parent)])
        return subprocess.Popen(
            [sys.executable, "-X", "utf8", "-B", "-m", "grading.supervise", font_list()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
            encoding="utf-8",
        )
