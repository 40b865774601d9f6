"""A pytest plugin that teaches nbval to look at figures, and to distrust stored outputs.

nbval executes a notebook and compares texts.  It skips images, so a wrong curve would pass.  Here
the numbers that every picture stores beside its drawing (see `sgdnotes.plots.Picture`) are compared
instead, with a tolerance wide enough for another processor and too narrow for a change of 1 %.
And before a cell runs, what is stored with it is examined on its own: see `stored_faults`.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

CURVES_MIME = "application/vnd.sgdnotes.curves+json"
VIEW_MIME = "application/vnd.jupyter.widget-view+json"
STATE_MIME = "application/vnd.jupyter.widget-state+json"
DRAWINGS = ("image/svg+xml", "image/png", "image/jpeg")

RELATIVE = 1e-3
ABSOLUTE = 1e-9
"""Of the largest number on the axis: what lies below is rounding, drawn or not."""

UNSTABLE = {
    "a memory address": re.compile(r"\b0x[0-9a-f]{5,}"),
    "a process number": re.compile(r"ipykernel_\d+"),
    "an absolute path": re.compile(r"(?<![\w/.:<\\])(?:/[\w.+-]+){2,}|\b[A-Z]:\\\w"),
}


# --- nbval, extended --------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Any, parent: Any) -> Any:
    collectors = yield
    return [
        CheckedNotebook.from_parent(parent, path=file_path) if type(found) is IPyNbFile else found
        for found in collectors
    ]


class CheckedNotebook(IPyNbFile):
    """A notebook whose cells are compared with their figures."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.skip_compare = (*self.skip_compare, *DRAWINGS, CURVES_MIME)

    def collect(self) -> Iterator[CheckedCell]:
        for item in super().collect():
            yield CheckedCell.from_parent(
                self, name=item.name, cell_num=item.cell_num, cell=item.cell, options=item.options
            )


class CheckedCell(IPyNbCell):
    """A cell that fails when what it stores is unsound, or when it draws something else."""

    def runtest(self) -> None:
        faults = stored_faults(self.cell, self.parent.nb.metadata)
        super().runtest()
        if faults:
            self.raise_cell_error("Stored output is unsound", "\n".join(faults))

    def compare_outputs(self, test: Any, ref: Any, skip_compare: Any = None) -> bool:
        same = super().compare_outputs(test, ref, skip_compare)
        differences = compare_outputs(stored=ref, fresh=test)
        self.comparison_traceback += [
            f"{self.colors.FAIL}{difference}{self.colors.ENDC}" for difference in differences
        ]
        return same and not differences


# --- What is stored ---------------------------------------------------------------------------


def stored_faults(cell: Any, notebook_metadata: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a stored code cell, without running it."""
    faults = []
    tags = set(cell.metadata.get("tags", []))
    exempt = re.search(r"#\s*(?:NBVAL_SKIP|NBVAL_IGNORE_OUTPUT)\b", cell.source)
    if exempt or tags & {"nbval-skip", "nbval-ignore-output"}:
        faults.append("no cell is exempt from comparison: remove the nbval tag or comment")
    if cell.execution_count is None:
        faults.append("the stored cell was never executed: run `make execute`")
    pictures = []
    for output in cell.outputs:
        faults += _output_faults(output, tags)
        data = output.get("data", {})
        curves = data.get(CURVES_MIME)
        drawing = next((data[mime] for mime in DRAWINGS if mime in data), None)
        if curves is None:
            if drawing is not None or VIEW_MIME in data:
                faults.append("a stored picture or control has no curves: show a sgdnotes Picture")
            continue
        if drawing is not None:
            pictures.append(curves)
            if curves.get("drawing") != _fingerprint(drawing):
                faults.append("the stored drawing is not the one its curves were stored with")
        if VIEW_MIME in data:
            faults += _control_faults(data[VIEW_MIME], curves, notebook_metadata)
    if len(pictures) > 1:
        faults.append(f"a cell may show one picture, this one shows {len(pictures)}")
    alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
    if alt != (pictures[0]["alt"] if pictures else None):
        faults.append(f"the cell's metadata.mystnb.image.alt is not its picture's: {alt!r}")
    return faults


def _output_faults(output: Any, tags: set[str]) -> Iterator[str]:
    if output.output_type == "error" and "raises-exception" not in tags:
        yield f"the stored cell failed: {output.ename}: {output.evalue}"
    if output.output_type == "stream" and output.name == "stderr":
        yield f"the stored cell wrote to stderr: {output.text.strip()[:200]}"
    texts = [output.get("text", ""), output.get("evalue", ""), *output.get("traceback", [])]
    texts += [text for mime, text in output.get("data", {}).items() if mime.startswith("text/")]
    for text in texts:
        for what, pattern in UNSTABLE.items():
            found = pattern.search(text)
            if found:
                yield f"the stored text holds {what}, which changes: {found.group()!r}"


def _control_faults(
    view: Mapping[str, Any], curves: Mapping[str, Any], notebook_metadata: Mapping[str, Any]
) -> Iterator[str]:
    """Check that the pictures a control shows in the page are those its curves describe."""
    state = notebook_metadata.get("widgets", {}).get(STATE_MIME, {}).get("state", {})
    if view["model_id"] not in state:
        yield "the state of the control is not stored in the notebook: run `make execute`"
        return
    shown = set()
    for model in state.values():
        for source in re.findall(r'<img src="([^"]*)"', str(model["state"].get("value", ""))):
            shown.add(_fingerprint(html.unescape(source)))
    for frame in curves["frames"]:
        if frame["drawing"] not in shown:
            yield f"the stored control lacks the picture of its curves at {frame['value']}"


def _fingerprint(drawing: str) -> str:
    return hashlib.sha256(drawing.encode()).hexdigest()[:16]


# --- What is drawn ----------------------------------------------------------------------------


def compare_outputs(stored: Any, fresh: Any) -> list[str]:
    """Return the differences between the pictures of two lists of cell outputs."""
    old, new = ([o.data[CURVES_MIME] for o in outputs if CURVES_MIME in o.get("data", {})]
                for outputs in (stored, fresh))  # fmt: skip
    if len(old) != len(new):
        return [f"{len(old)} pictures are stored, the cell shows {len(new)}"]
    return [
        difference
        for number, (before, after) in enumerate(zip(old, new, strict=True), start=1)
        for difference in compare_pictures(before, after, f"picture {number}")
    ]


def compare_pictures(old: Any, new: Any, where: str = "picture") -> list[str]:
    """Return the differences between the stored curves of two pictures or controls."""
    differences = list(_differences(old, new, where, {}))
    return differences[:12] + ["..."] * (len(differences) > 12)


def _differences(old: Any, new: Any, where: str, scales: Mapping[str, float]) -> Iterator[str]:
    """Compare two trees: structure and words exactly, numbers with the tolerance."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        if set(old) != set(new):
            yield f"{where}: has {sorted(new)}, stored {sorted(old)}"
            return
        if "kind" in old:
            where = f"{where} ({old['kind']}{' ' + repr(old['label']) if old['label'] else ''})"
        if "curves" in old:
            scales = _scales(old)
        for key in old:
            # The drawing is tied to the curves stored with it, not to another machine's.
            if key == "drawing":
                continue
            label = key == "value" and "drawing" in old  # of a control's picture, such as "90%"
            if key in VECTORS and not label:
                yield from _number_differences(old[key], new[key], f"{where}, {key}", scales, key)
            else:
                yield from _differences(old[key], new[key], f"{where}, {key}", scales)
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{where}: {len(new)} items, stored {len(old)}"
            return
        for number, (before, after) in enumerate(zip(old, new, strict=True), start=1):
            yield from _differences(before, after, f"{where} {number}", scales)
    elif old != new:
        yield f"{where}: {new!r}, stored {old!r}"


VECTORS = {
    *("x", "y", "xlim", "ylim", "dx", "dy", "width", "height", "u", "v", "size", "value", "limits"),
    *("extent", "slope", "levels", "length", "area", "left", "right", "bottom", "top"),
}


def _numbers(text: str) -> np.ndarray:
    return np.array([float(word) for word in text.split()])


def _scales(panel: Mapping[str, Any]) -> dict[str, float]:
    """Return the largest finite number that a panel draws along each axis."""
    scales = {}
    for key in ("x", "y"):
        arrays = [_numbers(curve[key]) for curve in panel["curves"] if key in curve]
        values = np.concatenate(arrays) if arrays else np.empty(0)
        scales[key] = float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0))
    return scales | {"xlim": scales["x"], "ylim": scales["y"]}


def _number_differences(
    old_text: str, new_text: str, where: str, scales: Mapping[str, float], key: str
) -> Iterator[str]:
    old, new = _numbers(old_text), _numbers(new_text)
    if old.shape != new.shape:
        yield f"{where}: {new.size} numbers, stored {old.size}"
        return
    finite = np.isfinite(old) & np.isfinite(new)
    same = (old == new) | (np.isnan(old) & np.isnan(new))
    largest = np.max(np.abs(old[finite]), initial=0.0)
    allowed = RELATIVE * np.abs(old) + ABSOLUTE * max(scales.get(key, 0.0), largest)
    with np.errstate(invalid="ignore"):
        wrong = ~same & ~(finite & (np.abs(new - old) <= allowed))
        ratio = np.where(finite, np.abs(new - old) / np.maximum(np.abs(old), 1e-300), np.inf)
    if wrong.any():
        worst = int(np.argmax(np.where(wrong, ratio, -1.0)))
        yield (
            f"{where}: {wrong.sum()} of {old.size} numbers differ by more than {RELATIVE:g}; "
            f"the most at index {worst}: {new[worst]:.6g}, stored {old[worst]:.6g} "
            f"({100 * ratio[worst]:.3g} %)"
        )
