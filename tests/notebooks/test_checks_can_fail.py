"""The checks of notebooks must turn red when something is wrong, and stay green when nothing is.

One small notebook draws a figure of every kind.  It is executed twice, then run through nbval in
four versions: as it is; with the order of every sum reversed; with every number in its code 1 %
larger; and with 1 % added to one stored curve of every figure, one stored digit and one line of
algebra changed.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nbformat
import nbval_curves
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parents[2]

SETUP = """\
import numpy as np
import sympy
from sgdnotes.plots import Picture, band, curve
from sgdnotes.widgets import slider

scale, order = 1.0, slice(None)
rng = np.random.default_rng(0)
ALT = "A small figure that exists to be changed by one per cent."

def total(m):
    \"\"\"Sum in single precision, so that the order of the sum shows in the seventh digit.\"\"\"
    terms = rng.exponential(size=(999, m)).astype(np.float32)
    return scale * terms[order].sum(axis=0)

def picture(**options):
    return Picture(ALT, xlabel="index (1)", ylabel="total (1)", **options)

p = picture()
i = np.arange(12)"""

# Kind of figure: the code that makes it, then the stored array that is changed.
FIGURES: dict[str, tuple[str, Callable[[Any], tuple[Any, str]]]] = {
    "line": ("curve(p.ax, i, total(12))", lambda c: (c["axes"][0]["curves"][0], "y")),
    "band": (
        "band(p.ax, i, total(12), 2 * total(12))",
        lambda c: (c["axes"][0]["curves"][0], "y"),
    ),
    "scatter": ("p.ax.scatter(i, total(12))", lambda c: (c["axes"][0]["curves"][0], "y")),
    "bar": ("p.ax.bar(i, total(12))", lambda c: (c["axes"][0]["curves"][0], "height")),
    "errorbar": (
        "p.ax.errorbar(i, i, yerr=total(12))",
        lambda c: (next(e for e in c["axes"][0]["curves"] if e["kind"] == "segments"), "y"),
    ),
    "contour": (
        "p.ax.contour(i, i, i**2 + np.add.outer(total(12), i**2), levels=[1020, 1060])",
        lambda c: (c["axes"][0]["curves"][0], "length"),
    ),
    "image": (
        "p.ax.imshow(total(12).reshape(3, 4))",
        lambda c: (c["axes"][0]["curves"][0], "value"),
    ),
    "quiver": (
        "p.ax.quiver(i, i, total(12), total(12))",
        lambda c: (c["axes"][0]["curves"][0], "v"),
    ),
    "histogram": ("p.ax.hist(total(99))", lambda c: (c["axes"][0]["curves"][0], "x")),
    "annotation": (
        "p.ax.annotate('here', (1, total(1)[0]))",
        lambda c: (c["axes"][0]["curves"][0], "y"),
    ),
    "panels": (
        "p = picture(panels=2)\ncurve(p.axes[0], i, i)\ncurve(p.axes[1], i, total(12))",
        lambda c: (c["axes"][1]["curves"][0], "y"),
    ),
}
SLIDER = """\
pictures = [picture() for _ in range(2)]
for p in pictures:
    curve(p.ax, i, total(12))
slider(pictures, ["1%", "2%"], label="share")"""
ALGEBRA = 'a, b = sympy.symbols("a b")\nsympy.expand((a + b)**2)'
CHANGING = [*FIGURES, "slider", "digits"]


def make_notebook() -> Any:
    cells = [new_markdown_cell("# Everything once"), new_code_cell(SETUP)]
    cells += [new_code_cell(f"p = picture()\n{code}\np") for code, _ in FIGURES.values()]
    cells += [new_code_cell(SLIDER), new_code_cell('print(f"{total(1)[0]:.1f}")')]
    cells += [new_code_cell(ALGEBRA)]
    cells += [
        new_code_cell("Picture('too short')", metadata={"tags": ["raises-exception"]}),
    ]
    return new_notebook(cells=cells)


def code_cells(notebook: Any) -> dict[str, Any]:
    """Return the code cells by what they show."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return dict(zip(["setup", *CHANGING, "algebra", "error"], cells, strict=True))


def one_per_cent_more(numbers: str) -> str:
    return " ".join(f"{1.01 * float(word):.10g}" for word in numbers.split())


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("notebooks") / "clean.ipynb"
    nbformat.write(make_notebook(), path)
    run_python("tools/execute.py", str(path))
    return path


@pytest.fixture(scope="module")
def outcomes(executed: Path) -> dict[str, dict[str, str]]:
    """Run nbval on all versions; for each, what failed and what was said about it."""
    clean = nbformat.read(executed, as_version=4)

    permuted = copy.deepcopy(clean)
    code_cells(permuted)["setup"].source = SETUP.replace("slice(None)", "slice(None, None, -1)")

    scaled = copy.deepcopy(clean)
    code_cells(scaled)["setup"].source = SETUP.replace("scale, order = 1.0", "scale, order = 1.01")

    tampered = copy.deepcopy(clean)
    cells = code_cells(tampered)
    for kind, (_, find) in FIGURES.items():
        entry, key = find(cells[kind].outputs[0].data[nbval_curves.CURVES_MIME])
        entry[key] = one_per_cent_more(entry[key])
    frame = cells["slider"].outputs[0].data[nbval_curves.CURVES_MIME]["frames"][1]
    entry = frame["axes"][0]["curves"][0]
    entry["y"] = one_per_cent_more(entry["y"])
    text = cells["digits"].outputs[0].text
    cells["digits"].outputs[0].text = text.replace(text[-2], str((int(text[-2]) + 1) % 10))
    cells["algebra"].source = ALGEBRA.replace("a + b", "a - b")

    versions = {"clean": clean, "permuted": permuted, "scaled": scaled, "tampered": tampered}
    for name, notebook in versions.items():
        nbformat.write(notebook, executed.parent / f"{name}.ipynb")
    return run_nbval(executed.parent, list(versions))


def run_python(*arguments: str, check: bool = True) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def run_nbval(folder: Path, names: list[str]) -> dict[str, dict[str, str]]:
    settings, report = folder / "pytest.ini", folder / "report.xml"
    settings.write_text("[pytest]\n")
    said = run_python(
        *("-m", "pytest", "-c", str(settings), "--rootdir", str(folder), "-p", "no:cacheprovider"),
        *("-p", "tests.notebooks.nbval_curves", "--nbval", "--nbval-current-env", "--color=no"),
        *("--junit-xml", str(report), *(str(folder / f"{name}.ipynb") for name in names)),
        check=False,
    )
    assert report.exists(), said
    kinds = list(code_cells(make_notebook()))
    failures: dict[str, dict[str, str]] = {name: {} for name in names}
    count = 0
    for case in ElementTree.parse(report).iter("testcase"):
        count += 1
        for failure in [*case.findall("failure"), *case.findall("error")]:
            notebook = next(name for name in names if name in str(case.get("classname")))
            kind = kinds[int(str(case.get("name")).removeprefix("Cell "))]
            failures[notebook][kind] = f"{failure.get('message')}\n{failure.text}"
    assert count == len(names) * len(kinds), said
    return failures


def test_executing_twice_leaves_the_bytes_alone(executed: Path) -> None:
    before = executed.read_bytes()
    said = run_python("tools/execute.py", str(executed))
    assert "unchanged" in said
    assert executed.read_bytes() == before


def test_a_clean_notebook_passes(outcomes: dict[str, dict[str, str]]) -> None:
    assert outcomes["clean"] == {}


def test_another_order_of_summation_passes(outcomes: dict[str, dict[str, str]]) -> None:
    assert outcomes["permuted"] == {}


@pytest.mark.parametrize("kind", CHANGING)
def test_one_per_cent_in_the_code_fails(kind: str, outcomes: dict[str, dict[str, str]]) -> None:
    assert kind in outcomes["scaled"]


@pytest.mark.parametrize("kind", [*CHANGING, "algebra"])
def test_one_per_cent_in_one_stored_curve_fails(
    kind: str, outcomes: dict[str, dict[str, str]]
) -> None:
    assert kind in outcomes["tampered"]
    if kind not in ("digits", "algebra"):
        assert "0.99 %" in outcomes["tampered"][kind], "the message must say by how much"


def test_nothing_else_fails(outcomes: dict[str, dict[str, str]]) -> None:
    assert set(outcomes["scaled"]) == set(CHANGING)
    assert set(outcomes["tampered"]) == {*CHANGING, "algebra"}


def spoilt() -> Iterator[tuple[str, str, Callable[[Any, Any], None], str]]:
    def data(cell: Any) -> Any:
        return cell.outputs[0].data

    def tag(cell: Any, notebook: Any) -> None:
        cell.metadata["tags"] = ["nbval-skip"]

    def unexecuted(cell: Any, notebook: Any) -> None:
        cell.execution_count = None

    def no_curves(cell: Any, notebook: Any) -> None:
        del data(cell)[nbval_curves.CURVES_MIME]

    def other_drawing(cell: Any, notebook: Any) -> None:
        data(cell)["image/svg+xml"] = data(cell)["image/svg+xml"].replace("L 1", "L 2", 1)

    def other_alt(cell: Any, notebook: Any) -> None:
        cell.metadata["mystnb"]["image"]["alt"] += " Not."

    def no_alt(cell: Any, notebook: Any) -> None:
        del cell.metadata["mystnb"]

    def two(cell: Any, notebook: Any) -> None:
        cell.outputs.append(copy.deepcopy(cell.outputs[0]))

    def other_frame(cell: Any, notebook: Any) -> None:
        for model in notebook.metadata["widgets"][nbval_curves.STATE_MIME]["state"].values():
            value = model["state"].get("value", "")
            if isinstance(value, str):
                model["state"]["value"] = value.replace("L 1", "L 2")

    def no_state(cell: Any, notebook: Any) -> None:
        del notebook.metadata["widgets"]

    def untagged(cell: Any, notebook: Any) -> None:
        cell.metadata["tags"] = []

    def stderr(cell: Any, notebook: Any) -> None:
        cell.outputs[0].name = "stderr"

    def text(addition: str) -> Callable[[Any, Any], None]:
        def change(cell: Any, notebook: Any) -> None:
            cell.outputs[0].text += addition

        return change

    yield "exempt", "line", tag, "exempt"
    yield "unexecuted", "digits", unexecuted, "never executed"
    yield "no curves", "line", no_curves, "no curves"
    yield "no curves in a control", "slider", no_curves, "no curves"
    yield "another drawing", "line", other_drawing, "not the one"
    yield "another alt", "line", other_alt, "alt"
    yield "no alt", "line", no_alt, "alt"
    yield "two pictures", "line", two, "one picture"
    yield "another frame", "slider", other_frame, "lacks the picture"
    yield "no state", "slider", no_state, "not stored"
    yield "untagged error", "error", untagged, "the stored cell failed"
    yield "stderr", "digits", stderr, "stderr"
    yield "address", "digits", text("<object at 0x7f12ab34cd56>"), "memory address"
    yield "process", "digits", text("ipykernel_4711"), "process number"
    yield "path", "digits", text("in /some/folder/file.py"), "absolute path"


@pytest.mark.parametrize(
    ("kind", "spoil", "complaint"),
    [pytest.param(*case, id=name) for name, *case in spoilt()],
)
def test_unsound_stored_output_fails(
    kind: str, spoil: Callable[[Any, Any], None], complaint: str, executed: Path
) -> None:
    notebook = nbformat.read(executed, as_version=4)
    cell = code_cells(notebook)[kind]
    assert nbval_curves.stored_faults(cell, notebook.metadata) == []
    spoil(cell, notebook)
    faults = nbval_curves.stored_faults(cell, notebook.metadata)
    assert any(complaint in fault for fault in faults), faults


def test_structure_is_compared_exactly() -> None:
    panel = {
        "title": "t",
        "xlim": "0 1",
        "curves": [{"kind": "line", "label": "a", "x": "0 1 nan", "y": "1e-20 1 inf"}],
    }
    old = {"alt": "x", "axes": [panel]}
    changes: list[tuple[str, str, bool]] = [
        ("y", "1e-20 1.0009 inf", True),
        ("y", "0 1 inf", True),  # below rounding on this axis
        ("y", "1e-20 1.002 inf", False),
        ("y", "1e-20 1 -inf", False),
        ("y", "1e-20 1 nan", False),
        ("y", "1e-20 1", False),
        ("label", "b", False),
        ("kind", "area", False),
    ]
    for key, value, same in changes:
        new = copy.deepcopy(old)
        new["axes"][0]["curves"][0][key] = value  # type: ignore[index]
        differences = nbval_curves.compare_pictures(old, new)
        assert (not differences) == same, (key, value, differences)


@pytest.mark.parametrize("text", ["1/2/3", "</td></tr>", "a/b/c", "https://a.org/b/c", "x = 0x1"])
def test_ordinary_text_is_no_path(text: str) -> None:
    assert not any(pattern.search(text) for pattern in nbval_curves.UNSTABLE.values())
