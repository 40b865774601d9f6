"""Give nbgrader the outputs of a submission that was run beforehand, in place of running it."""

from __future__ import annotations

from typing import Any, ClassVar

from nbformat import NotebookNode
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    LimitOutput,
    NbGraderPreprocessor,
    SaveAutoGrades,
)

from .outputs import clean
from .submission import Result


class Replay(NbGraderPreprocessor):  # type: ignore[misc]
    """Stands where nbgrader's Execute stands, so that nothing is ever executed there.

    A submission that was not run beforehand is refused: only `make grade` knows the set's own
    cells, and a notebook that a student made must not say what runs outside the sandbox.
    """

    results: ClassVar[dict[tuple[str, str], Result]] = {}

    @classmethod
    def preprocessors(cls) -> list[type]:
        """Return nbgrader's steps of grading, with this one for executing."""
        return [
            cls,
            LimitOutput,
            SaveAutoGrades,
            AssignLatePenalties,
            CheckCellMetadata,
        ]

    def preprocess(
        self, notebook: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Fill in the outputs of all code cells."""
        names = resources["nbgrader"]
        result = self.results.get((names["assignment"], names["student"]))
        if result is None:
            raise RuntimeError(
                f"{names['student']}, {names['assignment']}: nothing was run. Submissions are "
                "graded by make grade, not by nbgrader's own commands and buttons"
            )
        for index, outputs in enumerate(result.outputs):
            if notebook.cells[index].cell_type == "code":
                notebook.cells[index].outputs = clean(outputs, result.secrets)
        return notebook, resources
