"""Turn whatever a student submitted into a notebook that can be graded, and say what was done.

Only the sources of cells are taken from the submission; roles, points, order and the instructor's
own cells are those of the notebook that was handed out.
"""

from __future__ import annotations

import json
import re
import warnings
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from .notebook import bound_names, grade_id, role
from .pictures import checked, refer

MAX_BYTES = 30_000_000
# What follows is several times what a set needs; colouring strange code takes quadratic time.
MAX_CELLS, MAX_CELL, MAX_TEXT = 500, 20_000, 300_000
GONE = "# The answer to {name} was missing from the notebook that was submitted."
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


class UnreadableError(ValueError):
    """A submission that is no notebook; the text says what it is."""


@dataclass
class Mended:
    """A submission in order.

    Parameters
    ----------
    notebook
        The notebook to grade.
    remarks
        What was found and done, each a short phrase.
    """

    notebook: NotebookNode
    remarks: list[str] = field(default_factory=list)


def parse(data: bytes) -> tuple[NotebookNode, list[str]]:
    """Read a notebook of any version, written by anyone.

    Raises
    ------
    UnreadableError
        If the bytes are no notebook.
    """
    if not data.strip():
        raise UnreadableError("the file is empty")
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"the file has more than {MAX_BYTES // 10**6} MB")
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise UnreadableError("not a notebook: the file is not JSON") from None
    if not isinstance(content, dict) or not ({"cells", "worksheets"} & content.keys()):
        raise UnreadableError("not a notebook: it is JSON, but has no cells")
    version = content.get("nbformat")
    if not isinstance(version, int) or not 2 <= version <= 4:
        raise UnreadableError(f"not a notebook of a known format (nbformat {version!r})")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if version < 4:
                content = nbformat.reads(json.dumps(content), as_version=4)
        cells = [_cell(cell) for cell in content["cells"]]
        language = _language(content["metadata"])
    except Exception as error:  # the converters raise anything when the content is strange
        raise UnreadableError(f"not a notebook: {type(error).__name__} in reading it") from None
    lengths = [len(cell.source) for cell in cells]
    if len(cells) > MAX_CELLS:
        raise UnreadableError(f"the notebook has more than {MAX_CELLS} cells")
    if max(lengths, default=0) > MAX_CELL or sum(lengths) > MAX_TEXT:
        raise UnreadableError(
            f"the notebook has a cell of more than {MAX_CELL} or cells of more than {MAX_TEXT} "
            "characters"
        )
    notebook = _notebook(cells)
    remarks = [] if version == 4 else [f"old notebook format {version}, converted"]
    if language:
        remarks.append(f"written for the kernel {language!r}, run with Python 3")
    return notebook, remarks


def _language(metadata: dict[str, Any]) -> str:
    """Return the kernel that a notebook names if it is not a Python 3, else ""."""
    spec, info = (metadata.get(name) or {} for name in ("kernelspec", "language_info"))
    name = str(spec.get("name", "python3"))[:40]
    language = str(spec.get("language", info.get("name", "python"))).lower()
    is_python_3 = not str(info.get("version", "3")).startswith("2") and name != "python2"
    return "" if language == "python" and is_python_3 else name


def _cell(cell: dict[str, Any]) -> NotebookNode:
    """Return a new cell with source, grade_id and pictures of a strange one, and nothing else."""
    source = cell.get("source", "")
    source = source if isinstance(source, str) else "".join(map(str, source))
    source = source.encode("utf-8", "replace").decode()
    metadata = cell.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = marks.get("grade_id") if isinstance(marks, dict) else None
    kept = {"nbgrader": {"grade_id": name}} if isinstance(name, str) and name else {}
    if cell.get("cell_type") == "code":
        return _code(source, kept)
    new = _markdown(source, kept)
    new.attachments = NotebookNode(checked(cell.get("attachments")))
    return new


def _code(source: str, metadata: dict[str, Any]) -> NotebookNode:
    return new_code_cell(source, metadata=metadata)  # type: ignore[no-any-return]


def _markdown(source: str, metadata: dict[str, Any]) -> NotebookNode:
    return new_markdown_cell(source, metadata=metadata)  # type: ignore[no-any-return]


def _notebook(cells: list[NotebookNode]) -> NotebookNode:
    return new_notebook(cells=cells)  # type: ignore[no-any-return]


def mend(data: bytes, released: NotebookNode) -> Mended:
    """Put a submission in order.

    Parameters
    ----------
    data
        The bytes that were submitted.
    released
        The notebook that was handed out, without solutions and hidden tests.

    Raises
    ------
    UnreadableError
        If the bytes are no notebook.
    """
    submitted, remarks = parse(data)
    known = {grade_id(cell): cell for cell in released.cells if grade_id(cell)}
    _keep_last_of_each(submitted, known, remarks)
    _recognise(submitted, known, remarks)
    _restore(submitted, known, remarks)
    _add_missing(submitted, released, remarks)
    for cell in submitted.cells:
        if cell.cell_type == "markdown" and role(cell) in ("text", "other"):
            source, pictures = refer(cell.source, cell.pop("attachments", {}))
            # A page must show what a student wrote, not run it: no tag begins "< s".
            cell.source = _TAG.sub("< ", source)
            if pictures:
                cell.attachments = pictures
    submitted.metadata = deepcopy(released.metadata)
    return Mended(submitted, remarks)


def _keep_last_of_each(
    notebook: NotebookNode, known: dict[str, NotebookNode], remarks: list[str]
) -> None:
    seen, twice = set(), set()
    for cell in reversed(notebook.cells):
        name = grade_id(cell)
        if name in seen or name not in known:
            if name in seen:
                twice.add(name)
            cell.metadata = NotebookNode()
        elif name:
            seen.add(name)
    if twice:
        remarks.append(f"more than once, the last counts: {_listed(twice)}")


def _recognise(notebook: NotebookNode, known: dict[str, NotebookNode], remarks: list[str]) -> None:
    """Find cells that lost their names, as some editors make them do."""
    there = {grade_id(cell) for cell in notebook.cells}
    found = []
    for name, original in known.items():
        if name in there:
            continue
        for cell in notebook.cells:
            if not grade_id(cell) and _is_same(cell, original):
                cell.metadata["nbgrader"] = {"grade_id": name}
                found.append(name)
                break
    if any(role(known[name]) in ("solution", "text") for name in found):
        remarks.append("cells had lost their names and were recognised")


def _is_same(cell: NotebookNode, original: NotebookNode) -> bool:
    if cell.cell_type != original.cell_type:
        return False
    if role(original) in ("locked", "test"):
        return bool(cell.source.strip() == original.source.strip())
    if role(original) == "solution":
        try:
            wanted, there = bound_names(original.source), bound_names(cell.source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
        return bool(wanted) and wanted.keys() <= there.keys()
    return False


def _restore(notebook: NotebookNode, known: dict[str, NotebookNode], remarks: list[str]) -> None:
    """Give every known cell its role, and the instructor's cells their text."""
    changed = []
    for index, cell in enumerate(notebook.cells):
        if not (original := known.get(grade_id(cell))):
            continue
        new = deepcopy(original)
        if role(original) in ("solution", "text"):
            new.source = cell.source
            if "attachments" in cell:
                new.attachments = cell.attachments
        elif cell.source.strip() != original.source.strip():
            changed.append(grade_id(cell))
        notebook.cells[index] = new
    if changed:
        remarks.append(f"changed locked cells, restored: {_listed(changed)}")


def _add_missing(notebook: NotebookNode, released: NotebookNode, remarks: list[str]) -> None:
    """Put missing cells where they stood, after the nearest one before them that is there."""
    there = {grade_id(cell) for cell in notebook.cells}
    place, missing = 0, []
    for original in released.cells:
        name = grade_id(original)
        if not name:
            continue
        if name in there:
            place = 1 + next(k for k, cell in enumerate(notebook.cells) if grade_id(cell) == name)
            continue
        new = deepcopy(original)
        if role(new) == "solution":
            # No stub: the answer may stand in a cell of another name.
            new.source = GONE.format(name=name)
        notebook.cells.insert(place, new)
        place += 1
        missing.append(name)
    if missing:
        remarks.append(f"missing cells, put back: {_listed(missing)}")


def _listed(names: list[str] | set[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
