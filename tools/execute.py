"""Execute notebooks in place so that the same code always gives the same bytes.

Usage: ``python tools/execute.py [notebook ...]``, by default all of ``lectures/*.ipynb``.

Everything that differs between two runs of the same code is removed or renumbered: times, random
identifiers of cells and widgets, the version of Python, tracebacks with paths.  The alternative
text of each picture is copied to where the book looks for it.  A notebook is written only when all
of its cells ran; a cell that is meant to fail carries the tag ``raises-exception``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

LECTURES = Path(__file__).resolve().parent.parent / "lectures"
CURVES_MIME = "application/vnd.sgdnotes.curves+json"
WIDGET_STATE_MIME = "application/vnd.jupyter.widget-state+json"
TIMEOUT = 300


def execute(path: Path) -> bool:
    """Execute one notebook in place; return whether its bytes changed.

    Raises
    ------
    CellExecutionError, CellTimeoutError, DeadKernelError
        If a cell fails; the file is then left as it was.
    ValueError
        If a cell shows more than one picture, for it has room for one alternative text.
    """
    before = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(before, as_version=4)
    identify(notebook)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            settle(cell)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata["language_info"] = {"name": "python"}
    renumber_widgets(notebook)
    nbformat.validate(notebook)
    after = nbformat.writes(notebook).rstrip("\n") + "\n"
    if after != before:
        path.write_text(after, encoding="utf-8")
    return after != before


def identify(notebook: NotebookNode) -> None:
    """Name every cell after its content, so that names neither clash nor change by themselves."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def settle(cell: NotebookNode) -> None:
    """Remove what differs from run to run, and describe the picture that the cell shows."""
    cell.metadata.pop("execution", None)
    pictures = []
    for output in cell.outputs:
        if output.output_type == "error":
            # The lines between name the files of one machine.
            output["traceback"] = [f"{output.ename}: {output.evalue}"]
        data = output.get("data", {})
        if CURVES_MIME in data and "image/svg+xml" in data:
            pictures.append(data[CURVES_MIME])
    if len(pictures) > 1:
        raise ValueError(
            f"a cell may show one picture, this one shows {len(pictures)}:\n{cell.source}"
        )
    image = cell.metadata.get("mystnb", {}).get("image", {})
    image.pop("alt", None)
    if pictures:
        image["alt"] = pictures[0]["alt"]
        cell.metadata.setdefault("mystnb", {})["image"] = image
    elif not image and "mystnb" in cell.metadata:
        cell.metadata["mystnb"].pop("image", None)
        if not cell.metadata["mystnb"]:
            del cell.metadata["mystnb"]


def renumber_widgets(notebook: NotebookNode) -> None:
    """Give widgets the numbers 1, 2, ... in the order in which they were made."""
    state = notebook.metadata.get("widgets", {}).get(WIDGET_STATE_MIME, {}).get("state", {})
    if not state:
        notebook.metadata.pop("widgets", None)
        return
    for model in state.values():
        # What a layout or a style leaves unset is most of the text, and the browser knows it.
        if model["model_name"].endswith(("LayoutModel", "StyleModel")):
            kept = {name: value for name, value in model["state"].items() if value is not None}
            model["state"] = kept
    number = {model: f"{count:032x}" for count, model in enumerate(state, start=1)}
    pattern = re.compile("|".join(map(re.escape, number)))

    def renumbered(node: NotebookNode) -> NotebookNode:
        text = json.dumps(node)
        return nbformat.from_dict(json.loads(pattern.sub(lambda m: number[m.group()], text)))

    notebook.metadata["widgets"] = renumbered(notebook.metadata["widgets"])
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell["outputs"] = [renumbered(output) for output in cell.outputs]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Execute notebooks in place, byte-stably.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all lectures")
    notebooks = parser.parse_args(arguments).notebooks or sorted(LECTURES.glob("*.ipynb"))
    for path in notebooks:
        if not path.is_file():
            parser.error(f"there is no notebook {path}")
    failed = 0
    for path in notebooks:
        started = time.perf_counter()
        print(f"{path.name} ... ", end="", flush=True)
        try:
            outcome = "changed" if execute(path) else "unchanged"
        except (CellExecutionError, CellTimeoutError, DeadKernelError, ValueError) as error:
            failed += 1
            outcome = f"FAILED, left as it was\n{error}"
        print(f"{outcome} ({time.perf_counter() - started:.1f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
