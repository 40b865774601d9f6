"""A tiny problem set, ps0, in the form of the real ones, written into a folder of its own."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

SETUP = """\
import numpy as np

from sgdnotes.problems import LeastSquares"""

CLASS = """\
CLASS = 2026
rng = np.random.default_rng([CLASS, 1])
step = round(float(rng.uniform(0.1, 0.2)), 3)
rows = rng.standard_normal((6, 2)).round(2)
print("step =", step)"""

TASK1 = '''\
def average(x: np.ndarray) -> float:
    """Return the mean of the entries of `x`, shape (n,)."""
    ### BEGIN SOLUTION
    total = 0.0  # solution-of-task-one
    for entry in x:
        total += entry
    return total / len(x)
    ### END SOLUTION'''

TEST1 = """\
assert np.ndim(average(np.ones(3))) == 0, "average must give back one number"
### BEGIN HIDDEN TESTS
for n in (2, 5, 9):  # hidden-test-of-task-one
    x = np.random.default_rng(n).standard_normal(n)
    assert np.isclose(average(x), x.mean()), "average is not linear: constants must be kept"
### END HIDDEN TESTS"""

TASK2 = '''\
def twice_the_step() -> float:
    """Return two times the step that the cell above shows."""
    ### BEGIN SOLUTION
    return 2 * step  # solution-of-task-two
    ### END SOLUTION


def gradient(problem: LeastSquares, x: np.ndarray) -> np.ndarray:
    """Return the gradient of `problem` at `x`, shape (d,)."""
    ### BEGIN SOLUTION
    return average_of_rows(problem, x)


def average_of_rows(problem, x):
    A, b = problem.features, problem.targets
    return A.T @ (A @ x - b) / len(b)
    ### END SOLUTION'''

TEST2_NUMBER = """\
assert twice_the_step() > 0, "a step is positive"
### BEGIN HIDDEN TESTS
value = twice_the_step()
assert abs(value - 2 * step) < 1e-12, "the number does not belong to your class's step"
### END HIDDEN TESTS"""

TEST2_GRADIENT = """\
problem = LeastSquares(rows, np.ones(6))
assert np.shape(gradient(problem, np.zeros(2))) == (2,), "a gradient has the shape of x"
### BEGIN HIDDEN TESTS
for seed in range(3):  # hidden-test-of-task-two
    x = np.random.default_rng(seed).standard_normal(2)
    mine, wanted = gradient(problem, x), problem.gradient(x)
    assert mine @ wanted > 0, "the gradient points downhill: check its sign"
    assert np.allclose(mine, wanted, rtol=1e-9), "the gradient is not that of the mean: its length"
### END HIDDEN TESTS"""

TEXT = """\
### BEGIN SOLUTION
Because the mean of the errors is zero: model-answer-of-the-text.

Rubric: 2 points for the mean, 1 for the word unbiased.
### END SOLUTION"""

ALTERNATIVES = """\
# %% ps0-task1
def average(x):
    return float(np.mean(x))

# %% ps0-task2
from sgdnotes.problems import LeastSquares as Anything

def twice_the_step():
    return step + step

gradient = Anything.gradient

def gradient(problem, x):
    pairs = list(zip(problem.features, problem.targets))
    return sum(a * (a @ x - b) for a, b in pairs) / len(pairs)
"""

MUTANTS = """\
# %% ps0-task1 sums instead of averaging
# test: ps0-task1-test
# message: constants must be kept
def average(x):
    return float(np.sum(x))  # mutant-of-task-one

# %% ps0-task1 divides by n - 1
# test: ps0-task1-test
# message: constants must be kept
def average(x):
    return float(np.sum(x) / (len(x) - 1))

# %% ps0-task1 averages too early
# test: ps0-task1-test
# message: one number
def average(x):
    return x / len(x)

# %% ps0-task2 forgets the factor two
# test: ps0-task2-test-number
# message: does not belong to your class's step
def twice_the_step():
    return step

def gradient(problem, x):
    return problem.gradient(x)

# %% ps0-task2 steps uphill
# test: ps0-task2-test-gradient
# message: check its sign
def twice_the_step():
    return 2 * step

def gradient(problem, x):
    return -problem.gradient(x)

# %% ps0-task2 sums the gradients
# test: ps0-task2-test-gradient
# message: its length
def twice_the_step():
    return 2 * step

def gradient(problem, x):
    return len(problem.targets) * problem.gradient(x)
"""


def _marks(name: str, **roles: object) -> dict[str, dict[str, object]]:
    marks = {"grade": False, "solution": False, "locked": False, "task": False, **roles}
    return {"nbgrader": {**marks, "grade_id": f"ps0-{name}", "schema_version": 3}}


def _locked(name: str, source: str) -> nbformat.NotebookNode:
    return new_code_cell(source, metadata=_marks(name, locked=True))


def _solution(name: str, source: str) -> nbformat.NotebookNode:
    return new_code_cell(source, metadata=_marks(name, solution=True))


def _test(name: str, source: str, points: int) -> nbformat.NotebookNode:
    return new_code_cell(source, metadata=_marks(name, grade=True, locked=True, points=points))


def source_notebook() -> nbformat.NotebookNode:
    """Return the source of ps0: 2 + 1 + 4 points of code and 3 of prose."""
    statement = new_markdown_cell(
        "## Task 1: an average\n\nIt is $\\bar x$.", metadata=_marks("one", locked=True)
    )
    text = new_markdown_cell(
        TEXT, metadata=_marks("task3-text", solution=True, grade=True, points=3)
    )
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# Problem set 0"),
            _locked("setup", SETUP),
            _locked("class", CLASS),
            statement,
            _solution("task1", TASK1),
            _test("task1-test", TEST1, 2),
            _solution("task2", TASK2),
            _test("task2-test-number", TEST2_NUMBER, 1),
            _test("task2-test-gradient", TEST2_GRADIENT, 4),
            text,
        ]
    )
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    return notebook


def write_exercises(folder: Path) -> Path:
    """Write source, alternatives and mutants of ps0 into a folder and return it."""
    path = folder / "source" / "ps0" / "ps0.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(source_notebook(), path)
    for name, text in (("alternatives", ALTERNATIVES), ("mutants", MUTANTS)):
        (folder / name).mkdir()
        (folder / name / "ps0.py").write_text(text, encoding="utf-8")
    return folder
