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
from .submission import Result, run_notebook


class Replay(NbGraderPreprocessor):  # type: ignore[misc]
    """Stands where nbgrader's Execute stands, so that nothing is ever executed there.

    When nbgrader's own programs grade a submission that was not run, it is run here, protected in
    the same way.
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
            result = run_notebook(notebook)
        for index, outputs in enumerate(result.outputs):
            if notebook.cells[index].cell_type == "code":
                notebook.cells[index].outputs = clean(outputs, result.secrets)
        return notebook, resources
