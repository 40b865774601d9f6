"""Run one submission: the student's cells in one process, the tests in another.

``python -m grading.supervise`` reads jobs from its input, a line of JSON each, and writes results
to its output.  It is a process apart from the grading, which goes on whatever happens to it; and it
ends every process that a submission left before it takes the next one.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import wire
from .limits import GUARDS, Limits
from .process import (
    EndedError,
    Process,
    Stable,
    TimedOutError,
    adopt_orphans,
    kill_descendants,
    scratch,
)

Output = dict[str, Any]
# Errors come on top of what a shell may show, and a hostile process does not count at all.
ROOM = 4


def run(job: dict[str, Any], stable: Stable) -> dict[str, Any]:
    """Run a submission.

    Parameters
    ----------
    stable
        Where processes come from.
    job
        ``cells``, the student's code, a list of strings; ``locked`` and ``tests``, the
        instructor's, the latter by name; ``functions`` and ``values``, the names that a student
        defines; ``limits``; ``guards``, the protections that are asked for, by default all.

    Returns
    -------
    result
        ``cells``, a list of outputs for each cell; ``tests``, the same by name; ``ended``, why the
        student's process ended early, or ""; ``late_cells``, which cells took too long;
        ``late_calls``, how many calls of functions did;
        ``missing``, the protections that this system lacks; ``seconds``; ``folder`` and
        ``packages``, where the process ran and from where it imported.
    """
    started = time.monotonic()
    limits = Limits(**job["limits"])
    with scratch() as root:
        run_of = _Run(root, stable, limits, job.get("guards", GUARDS))
        try:
            result = run_of.everything(job)
        finally:
            run_of.student.kill()
            run_of.tests.kill()
            kill_descendants(stable.nursery)
    seconds = round(time.monotonic() - started, 2)
    packages = str(stable.packages)
    return {**result, "folder": str(root), "packages": packages, "seconds": seconds}


class _Run:
    def __init__(self, folder: Path, stable: Stable, limits: Limits, guards: Sequence[str]) -> None:
        self.limits = limits
        self.room = ROOM * limits.output
        self.late_calls = 0
        self.deadline = time.monotonic() + limits.total
        self.student = Process(folder / "student", stable, limits, self.deadline, True, guards)
        # The tests may go on for a moment after the student's process was stopped.
        self.tests = Process(folder / "tests", stable, limits, self.deadline + 30, False)

    def everything(self, job: dict[str, Any]) -> dict[str, Any]:
        self.tests.ready()
        for source in job["locked"]:
            header, _ = self.tests.ask({"do": "run", "source": source, "silent": True})
            if failure := _failure(header["outputs"]):
                raise RuntimeError(f"a locked cell of the problem set failed: {failure}")
        missing, late, cells = [], [], []
        try:
            missing = self.student.ready()
        except (EndedError, TimedOutError) as error:
            raise RuntimeError(f"the student's process did not start: {error}") from error
        for index, source in enumerate(job["cells"]):
            outputs, is_late = self._student_cell(source)
            cells.append(outputs)
            if is_late:
                late.append(index)
        bind = {"do": "bind", "functions": job["functions"], "values": job["values"]}
        tests: dict[str, list[Output]] = {}
        ended = ""
        try:
            self.tests.ask(bind, relay=self._relay)
            for name, source in job["tests"].items():
                order = {"do": "run", "source": source}
                header, _ = self.tests.ask(order, relay=self._relay)
                tests[name] = [_brief(output) for output in header["outputs"]]
        except (EndedError, TimedOutError) as error:
            ended = f"the tests were stopped: {error}"
        for name in job["tests"]:
            text = f"The test was not run to its end: {self.student.ended or ended}."
            tests.setdefault(name, [_error("TestStopped", text)])
        return {
            "cells": cells,
            "tests": tests,
            "ended": self.student.ended or ended,
            "late_cells": late,
            "late_calls": self.late_calls,
            "missing": missing,
        }

    def _student_cell(self, source: str) -> tuple[list[Output], bool]:
        if self.student.ended:
            text = f"This cell was not run, for the process of the notebook ended: {self.why}."
            return [_error("NotRun", text)], False
        try:
            header, _ = self.student.ask({"do": "run", "source": source}, seconds=self.limits.cell)
        except TimedOutError:
            text = f"This cell took longer than {self.limits.cell:g} s and was stopped."
            return [_error("Timeout", text)], True
        except EndedError:
            return [
                _error("ProcessEnded", f"The process of the notebook ended: {self.why}.")
            ], False
        outputs = header.get("outputs")
        if not isinstance(outputs, list) or not _is_shallow(outputs):
            return [], False
        self.room -= len(json.dumps(outputs))
        if self.room < 0:
            outputs = [_error("TooMuch", "The notebook shows too much: the rest is left out.")]
        return outputs, False

    @property
    def why(self) -> str:
        return self.student.ended

    def _relay(self, header: dict[str, Any], payload: bytes) -> bytes:
        """Carry a question of the tests to the student's process."""
        order = {"do": header["ask"], "name": header["name"]}
        try:
            _, answer = self.student.ask(order, payload, seconds=self.limits.cell)
        except TimedOutError:
            self.late_calls += 1
            text = f"`{header['name']}` took longer than {self.limits.cell:g} s"
            return wire.encode({"error": "TimeoutError", "text": text, "where": ""})
        except EndedError:
            text = f"the process of the notebook has ended: {self.why}"
            return wire.encode({"error": "ProcessEnded", "text": text, "where": ""})
        return answer


def _is_shallow(value: Any, levels: int = 6) -> bool:
    """Return whether a value is nested no deeper than outputs are, so that any program reads it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_is_shallow(item, levels - 1) for item in inner)


def _failure(outputs: list[Output]) -> str:
    errors = [output for output in outputs if output["output_type"] == "error"]
    return f"{errors[0]['ename']}: {errors[0]['evalue']}" if errors else ""


def _error(name: str, text: str, notes: list[str] | None = None) -> Output:
    lines = [f"{name}: {text}", *(notes or [])]
    return {"output_type": "error", "ename": name, "evalue": text, "traceback": lines}


def _brief(output: Output) -> Output:
    """Keep of a failed test what the student should read, not the lines of hidden tests."""
    if output["output_type"] == "stream":
        # nbgrader takes what a test wrote to stderr, a warning for example, for its failure.
        return {**output, "name": "stdout"}
    if output["output_type"] != "error":
        return output
    notes = [line for line in output["traceback"] if line.startswith("in `")]
    return _error(output["ename"], output["evalue"], notes)


def main() -> None:
    """Do the jobs that stand in the input, until it ends."""
    adopt_orphans()
    fonts = Path(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1] else None
    with scratch() as folder:
        stable = Stable(folder, fonts)
        try:
            for line in sys.stdin:
                try:
                    result = json.dumps(run(json.loads(line), stable))
                except RuntimeError as error:
                    result = json.dumps({"failed": str(error)})
                print(result, flush=True)
        finally:
            kill_descendants()


if __name__ == "__main__":
    main()
