"""Read the source of a problem set: its cells, their roles, and the class it is drawn for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

EXERCISES = Path(__file__).resolve().parent.parent
SOLUTION = re.compile(
    r"^(?P<indent>[ \t]*)### BEGIN SOLUTION.*?### END SOLUTION[^\n]*$", re.M | re.S
)
HIDDEN = re.compile(r"^[ \t]*### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS[^\n]*\n?", re.M | re.S)
CLASS_LINE = re.compile(r"\ACLASS = (\d+)")
STUB = "# YOUR CODE HERE\nraise NotImplementedError()"
TEXT_STUB = "YOUR ANSWER HERE"


def role(cell: NotebookNode) -> str:
    """Say what a cell is for: "solution", "test", "text", "locked" or "other".

    "text" is a manually graded answer; "locked" is code or prose that students must not change.
    """
    marks = cell.metadata.get("nbgrader", {})
    if marks.get("solution"):
        return "text" if marks.get("grade") else "solution"
    if marks.get("grade"):
        return "test"
    return "locked" if marks.get("locked") else "other"


def grade_id(cell: NotebookNode) -> str:
    """Return the name of a cell in the grade book, or "" if it has none."""
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def points(cell: NotebookNode) -> float:
    """Return what a cell is worth, 0 if it is not graded."""
    marks = cell.metadata.get("nbgrader", {})
    return float(marks.get("points", 0)) if marks.get("grade") else 0.0


def blank(source: str, markdown: bool = False) -> str:
    """Return a cell as students get it, without the solution and without the hidden tests."""

    def stub(match: re.Match[str]) -> str:
        lines = (TEXT_STUB if markdown else STUB).split("\n")
        return "\n".join(match["indent"] + line for line in lines)

    return HIDDEN.sub("", SOLUTION.sub(stub, source))


def bound_names(source: str) -> dict[str, bool]:
    r"""Return the names that code binds at its top level, and whether each is a function.

    Examples
    --------
    >>> bound_names("def mean(x):\n    return x\nlimit, other = 1, 2")
    {'mean': True, 'limit': False, 'other': False}
    """
    names: dict[str, bool] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            names[node.name] = True
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for leaf in ast.walk(target):
                    if isinstance(leaf, ast.Name):
                        names[leaf.id] = False
    return names


@dataclass(frozen=True)
class ProblemSet:
    """The source of one problem set, with solutions and hidden tests.

    Parameters
    ----------
    name
        The name of the set and of its notebook, for example "ps1".
    notebook
        The source notebook.
    """

    name: str
    notebook: NotebookNode

    @classmethod
    def read(cls, name: str, exercises: Path = EXERCISES) -> ProblemSet:
        """Read a set from ``exercises/source``."""
        path = exercises / "source" / name / f"{name}.ipynb"
        if not path.is_file():
            hint = "none (in a private folder? name it: EXERCISES=../private)"
            known = ", ".join(set_names(exercises)) or hint
            raise ValueError(f"there is no problem set {name!r}; the sets here are: {known}")
        notebook = nbformat.read(path, as_version=4)
        return cls(name, notebook)

    def __iter__(self) -> Iterator[NotebookNode]:
        return iter(self.notebook.cells)

    def cells(self, *roles: str) -> list[NotebookNode]:
        """Return the cells that have one of these roles, in order."""
        return [cell for cell in self if role(cell) in roles]

    @property
    def locked_code(self) -> list[NotebookNode]:
        """The instructor's own code, which every process runs first."""
        return [cell for cell in self.cells("locked") if cell.cell_type == "code"]

    @property
    def class_seed(self) -> int:
        """The class that the set is drawn for."""
        for cell in self.locked_code:
            if match := CLASS_LINE.match(cell.source):
                return int(match[1])
        raise ValueError(f"{self.name} has no locked cell whose first line is CLASS = <year>")

    def for_class(self, seed: int) -> ProblemSet:
        """Return the same set for another class: one line differs, all outputs are dropped."""
        assert self.class_seed >= 0
        copy = deepcopy(self.notebook)
        for cell in copy.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
                if role(cell) == "locked":
                    cell.source = CLASS_LINE.sub(f"CLASS = {seed:d}", cell.source)
        return ProblemSet(self.name, copy)

    def task_of(self, test: str) -> str:
        """Return the grade_id of the solution cell that a test cell belongs to.

        Raises
        ------
        ValueError
            If no solution cell has a name with which the name of the test begins.
        """
        names = (grade_id(cell) for cell in self.cells("solution"))
        fitting = [name for name in names if test.startswith(f"{name}-test")]
        if not fitting:
            raise ValueError(f"the test cell {test!r} belongs to no solution cell of {self.name}")
        return max(fitting, key=len)

    def names_of_students(self) -> dict[str, bool]:
        """Return the names that solution cells bind, and whether each is a function."""
        return {
            name: is_function
            for cell in self.cells("solution")
            for name, is_function in bound_names(cell.source).items()
        }


def set_names(exercises: Path = EXERCISES) -> list[str]:
    """Return the names of the sets whose source is here."""
    return sorted(path.stem for path in exercises.glob("source/*/*.ipynb"))
