"""Submissions of ps0 of every kind, right, wrong and malicious, for the tests of grading."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import nbformat
from grading.notebook import grade_id
from grading.percent import read_replacements
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

RIGHT_1 = "def average(x):\n    return x.mean()\n"
RIGHT_2 = """\
def twice_the_step():
    return 2 * step


def gradient(problem, x):
    return problem.gradient(x)
"""
SLOW_2 = """\
def twice_the_step():
    while True:
        pass


def gradient(problem, x):
    return problem.gradient(x)
"""
STUBBORN_2 = """\
import time

def twice_the_step():
    while True:
        try:
            while True:
                time.sleep(0.01)
        except BaseException:
            time.sleep(0.01)


def gradient(problem, x):
    return problem.gradient(x)
"""
HOSTILE_1 = """\
import builtins
import sys

import numpy.testing

np.allclose = np.isclose = lambda *a, **k: True
numpy.testing.assert_allclose = lambda *a, **k: None
builtins.AssertionError = type("AssertionError", (Exception,), {})
builtins.abs = lambda x: 0
LeastSquares.gradient = lambda self, x: 0 * x


class Equal(float):
    def __eq__(self, other):
        return True

    __lt__ = __le__ = __gt__ = __ge__ = __eq__
    __hash__ = None


def average(x):
    frame, found = sys._getframe(), []
    while frame:
        found.append(str(frame.f_locals)[:5000] + str(frame.f_globals.get("__file__")))
        frame = frame.f_back
    print(found)
    return Equal(0.0)
"""
HOSTILE_2 = """\
import glob
import os
import pathlib
import resource
import signal
import socket
import subprocess
import threading

FOUND = []


def attempt(what, action):
    try:
        FOUND.append((what, str(action())[:2000]))
    except BaseException as error:
        FOUND.append((what, "REFUSED " + type(error).__name__))


def gradient(problem, x):
    return np.zeros(2)


def twice_the_step():
    return 2 * step


for place in {places!r}:
    attempt("list", lambda: os.listdir(place))
    attempt("tree", lambda: glob.glob(place + "/**/*", recursive=True) or 1 / 0)
for file in {files!r}:
    attempt("read", lambda: open(file, "rb").read())
    attempt("write", lambda: open(file, "ab").write(b"hostile"))
    attempt("replace", lambda: os.replace(file, file + ".gone"))
    attempt("remove", lambda: os.remove(file))
    attempt("mode", lambda: os.chmod(file, 0o777))
    attempt("time", lambda: os.utime(file, (0, 0)))
if {files!r}:
    attempt("make", lambda: pathlib.Path({places!r}[0], "hostile").write_text("hostile"))
    attempt("own name", lambda: os.symlink({files!r}[0], "link") or open("link").read())
    attempt("start", lambda: subprocess.Popen(["sleep", "1000"]))
    attempt("fork", lambda: os.fork() or os.execvp("sleep", ["sleep", "1000"]))
    attempt("signal", lambda: os.kill(os.getppid(), signal.SIGTERM))
    attempt("memory of another", lambda: open(f"/proc/{{os.getppid()}}/mem", "rb"))
    attempt("network", lambda: socket.create_connection(("127.0.0.1", 9), timeout=1))
    attempt("limits", lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)))
"""
HOSTILE_LAST = "print(FOUND)\nprint('secret', sorted(os.environ))"


def answered(released: NotebookNode, answers: Mapping[str, str]) -> NotebookNode:
    """Return a student's notebook with answers in place, by grade_id."""
    notebook = copy.deepcopy(released)
    for cell in notebook.cells:
        cell.source = answers.get(grade_id(cell), cell.source)
    return notebook


def write_all(folder: Path, released: NotebookNode, exercises: Path, targets: list[Path]) -> None:
    """Write one submission of each kind into a folder.

    Parameters
    ----------
    folder
        Where.
    released
        The notebook that students got.
    exercises
        The folder with alternatives and wrong solutions.
    targets
        Files that the hostile submission goes for.
    """
    right = {"ps0-task1": RIGHT_1, "ps0-task2": RIGHT_2}

    def put(student: str, notebook: NotebookNode, name: str = "ps0.ipynb") -> None:
        path = folder / student / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)

    def with_answers(student: str, **changed: str) -> None:
        answers = right | {f"ps0-{task}": code for task, code in changed.items()}
        put(student, answered(released, answers))

    def with_change(student: str, change: Callable[[NotebookNode], object]) -> None:
        notebook = answered(released, right)
        change(notebook)
        put(student, notebook)

    def with_cell(student: str, source: str, place: int = 3) -> None:
        with_change(student, lambda nb: nb.cells.insert(place, new_code_cell(source)))

    with_answers(
        "correct", **{"task3-text": "Because the errors <script>alert(1)</script> cancel."}
    )
    put("blank", released)
    alternatives = {
        item.task: item.code for item in read_replacements(exercises / "alternatives" / "ps0.py")
    }
    put("alternative", answered(released, alternatives))
    by_task: dict[str, list[str]] = {}
    for item in read_replacements(exercises / "mutants" / "ps0.py"):
        by_task.setdefault(item.task, []).append(item.code)
    for k, codes in enumerate(zip(*by_task.values(), strict=True)):
        put(f"mutant-{k}", answered(released, dict(zip(by_task, codes, strict=True))))
    with_answers("hard-coded", task2=RIGHT_2.replace("2 * step", "0.298"))
    with_cell("looping", "while True:\n    pass")
    with_answers("slow", task2=SLOW_2)
    with_answers("stubborn", task2=STUBBORN_2)
    with_cell("crashing", "import ctypes\nctypes.string_at(0)")
    with_cell("failing", "1 / 0")
    with_cell("leaving", "exit()")
    with_cell("killing", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with_answers("hungry", task1="def average(x):\n    return bytearray(10**12)\n")
    with_cell("talkative", "for k in range(10**6):\n    print('x' * 100)")
    with_answers("odd-values", task1="def average(x):\n    return {1, 2}\n")

    def tamper(notebook: NotebookNode) -> None:
        for cell in notebook.cells:
            if grade_id(cell) == "ps0-task2-test-gradient":
                cell.source, cell.metadata["nbgrader"]["points"] = "pass", 1000
            if grade_id(cell) == "ps0-class":
                cell.source = "CLASS = 1999\nstep = 0.0\nrows = np.ones((6, 2))"
            if grade_id(cell) == "ps0-task1":
                cell.source = "def average(x):\n    return 0.0\n"

    with_change("tampered", tamper)
    answers = {
        "ps0-task1": HOSTILE_1,
        "ps0-task2": HOSTILE_2.format(
            places=sorted({str(path.parent) for path in targets}),
            files=[str(path) for path in targets],
        ),
    }
    hostile = answered(released, answers)
    hostile.cells.append(new_code_cell(HOSTILE_LAST))
    put("hostile", hostile)

    def lose(notebook: NotebookNode) -> None:
        lost = ("ps0-setup", "ps0-task1", "ps0-task2-test-number", "ps0-task3-text")
        notebook.cells = [cell for cell in notebook.cells if grade_id(cell) not in lost]

    with_change("missing-cells", lose)
    with_change("repeated", lambda nb: nb.cells.append(copy.deepcopy(nb.cells[4])))

    def forget(notebook: NotebookNode) -> None:
        for cell in notebook.cells:
            cell.metadata = NotebookNode()

    with_change("nameless", forget)
    put("wrong-name", answered(released, right), "Untitled (1).ipynb")
    kernel = answered(released, right)
    kernel.metadata["kernelspec"] = {"name": "python2", "display_name": "Old", "language": "python"}
    put("old-kernel", kernel)
    (folder / "old-format").mkdir()
    old = nbformat.convert(answered(released, right), 3)
    (folder / "old-format" / "ps0.ipynb").write_text(nbformat.v3.writes_json(old), "utf-8")
    strange = json.loads(nbformat.writes(answered(released, right)))
    strange["cells"][4]["outputs"] = "none"
    strange["cells"][0]["metadata"] = {"nbgrader": {"grade_id": "ps0-task1", "grade": True}}
    (folder / "strange").mkdir()
    (folder / "strange" / "ps0.ipynb").write_text(json.dumps(strange), "utf-8")
    for student, text in (("not-json", "PK\x03\x04"), ("no-cells", "{}"), ("empty-file", "")):
        (folder / student).mkdir()
        (folder / student / "ps0.ipynb").write_text(text, "utf-8")
    (folder / "empty-folder").mkdir()
    (folder / "only-pdf").mkdir()
    (folder / "only-pdf" / "ps0.pdf").write_text("%PDF", "utf-8")
    (folder / "notes.txt").write_text("not a submission", "utf-8")
    nbformat.write(answered(released, right), folder / "flat_ps0.ipynb")
    scripted = answered(released, right)
    scripted.cells.append(new_markdown_cell("<img src=x onerror=alert(1)> and <script>1</script>"))
    nbformat.write(scripted, folder / "Jörg Ähm_ps0.ipynb")
