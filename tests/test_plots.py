"""Pictures: what they demand, what they store, and that the same data give the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnchoredText

from sgdnotes import plots
from sgdnotes.plots import CURVES_MIME, Picture, band, curve, direct_label, draw, read_numbers

ALT = "A curve falls from one to zero within ten steps."


def make(**options: Any) -> Picture:
    return Picture(ALT, xlabel="step k", ylabel="error", **options)


def only(picture: Picture) -> dict[str, Any]:
    (entry,) = picture.curves()["axes"][0]["curves"]
    return dict(entry)


# What each kind of artist is stored as: how to draw it at scale s, and the array that must follow.
GRID = np.linspace(-1, 1, 41)
BOWL = np.add.outer(GRID**2, GRID**2)
KINDS: dict[str, tuple[Callable[[Axes, float], object], str, str]] = {
    "plot": (lambda ax, s: ax.plot([0, 1], [s, 2 * s]), "line", "y"),
    "axhline": (lambda ax, s: ax.axhline(s), "line", "y"),
    "axline": (lambda ax, s: ax.axline((0, 0), slope=s), "line", "slope"),
    "fill_between": (lambda ax, s: ax.fill_between([0, 1], [0, 0], [s, s]), "area", "y"),
    "fill": (lambda ax, s: ax.fill([0, 1, 1], [0, 0, s]), "area", "y"),
    "axhspan": (lambda ax, s: ax.axhspan(s, 2 * s), "area", "y"),
    "scatter": (lambda ax, s: ax.scatter([0, 1], [s, s]), "scatter", "y"),
    "scatter sizes": (lambda ax, s: ax.scatter([0, 1], [1, 2], s=[9 * s, 4]), "scatter", "size"),
    "scatter colors": (lambda ax, s: ax.scatter([0, 1], [1, 2], c=[s, 4]), "scatter", "value"),
    "bar": (lambda ax, s: ax.bar([0, 1], [s, s]), "bar", "height"),
    "hist": (lambda ax, s: ax.hist(s * GRID), "bar", "x"),
    "step hist": (lambda ax, s: ax.hist(s * GRID, histtype="step"), "area", "x"),
    "stairs": (lambda ax, s: ax.stairs([s, 2 * s]), "area", "y"),
    "errorbar": (lambda ax, s: ax.errorbar([0, 1], [2, 2], yerr=s, fmt="none"), "segments", "y"),
    "vlines": (lambda ax, s: ax.vlines([0, 1], 0, s), "segments", "y"),
    "contour": (lambda ax, s: ax.contour(GRID, GRID, s * BOWL, [0.2, 0.4]), "contour", "area"),
    "contourf": (lambda ax, s: ax.contourf(GRID, GRID, s * BOWL, [0, 0.2, 3]), "contour", "area"),
    "imshow": (lambda ax, s: ax.imshow(s * BOWL), "image", "value"),
    "pcolormesh": (lambda ax, s: ax.pcolormesh(GRID, GRID, s * BOWL), "mesh", "value"),
    "quiver": (lambda ax, s: ax.quiver([0, 1], [0, 1], [s, 1], [1, 1]), "quiver", "u"),
    "arrow": (lambda ax, s: ax.arrow(0, 0, 1, s), "area", "y"),
    "text": (lambda ax, s: ax.text(s, 0, "here"), "text", "x"),
    "annotate": (lambda ax, s: ax.annotate("here", (s, 0)), "text", "x"),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_artist_is_stored_and_a_change_of_one_per_cent_shows(name: str) -> None:
    drawing, kind, key = KINDS[name]
    arrays = []
    for scale in (1.0, 1.01):
        picture = make()
        drawing(picture.ax, scale)
        entries = picture.curves()["axes"][0]["curves"]
        entry = next(entry for entry in entries if entry["kind"] == kind)
        arrays.append(read_numbers(entry[key]))
        json.dumps(picture.curves(), allow_nan=False)
    change = np.abs(arrays[1] - arrays[0]) / np.maximum(np.abs(arrays[0]), 1e-300)
    assert np.nanmax(change) == pytest.approx(0.01, rel=0.35)


@pytest.mark.parametrize("n", [2001, 100_000])
def test_long_curves_are_thinned_but_a_change_of_one_per_cent_shows(n: int) -> None:
    x = np.linspace(0, 1, n)
    stored = []
    for scale in (1.0, 1.01):
        picture = make()
        picture.ax.plot(x, scale * (1 + x))
        stored.append(read_numbers(only(picture)["y"]))
    assert stored[0].size <= plots.LONGEST // 2
    np.testing.assert_allclose(stored[1], 1.01 * stored[0], rtol=1e-8)


def test_numbers_survive_with_ten_digits_gaps_and_infinities() -> None:
    values = np.array([1 / 3, -0.0, np.nan, np.inf, -np.inf, 1e-300])
    picture = make()
    picture.ax.plot(range(6), values)
    np.testing.assert_allclose(read_numbers(only(picture)["y"]), values, rtol=1e-9)
    assert "-0 " not in only(picture)["y"]


def test_an_artist_that_cannot_be_read_is_refused() -> None:
    picture = make()
    picture.ax.add_artist(AnchoredText("0.93", loc="upper left"))
    with pytest.raises(TypeError, match="AnchoredText"):
        picture.curves()
    picture = make()
    picture.figure.add_artist(mpl.lines.Line2D([0, 1], [0, 1]))
    with pytest.raises(TypeError, match="on the axes"):
        picture.curves()


@pytest.mark.parametrize("alt", ["", "   ", "too short", " " * 40])
def test_alternative_text_is_compulsory(alt: str) -> None:
    with pytest.raises(ValueError, match="alt"):
        Picture(alt)


@pytest.mark.parametrize(("missing", "label"), [("xlabel", "ylabel"), ("ylabel", "xlabel")])
def test_axis_labels_are_compulsory_once_there_are_data(missing: str, label: str) -> None:
    picture = Picture(ALT, **{label: "error"})  # type: ignore[arg-type]
    picture.curves()
    picture.ax.plot([0, 1])
    with pytest.raises(ValueError, match=missing):
        picture._repr_mimebundle_()


def test_schematic_and_shared_axes_need_no_label_of_their_own() -> None:
    schema = Picture(ALT, axis_off=True)
    schema.ax.plot([0, 1])
    schema.curves()
    shared = make(panels=(2, 2), sharex=True, sharey=True)
    for ax in shared.axes:
        ax.plot([0, 1])
    assert [panel["xlabel"] for panel in shared.curves()["axes"]] == ["", "", "step k", "step k"]


def test_a_color_bar_needs_a_label() -> None:
    picture = make()
    image = picture.ax.imshow(BOWL)
    picture.colorbar(image, "")
    with pytest.raises(ValueError, match="colour bar"):
        picture.curves()


def full() -> Picture:
    picture = make(title="The error $f(x_k) - f^\\star$ falls " + "and falls " * 9, panels=2)
    line = curve(picture.axes[0], range(30), 0.9 ** np.arange(30), role="mean", label="mean")
    direct_label(picture.axes[0], line)
    band(picture.axes[0], range(30), np.zeros(30), np.ones(30), label="band")
    field_ = picture.axes[1].contourf(GRID, GRID, BOWL)
    picture.colorbar(field_, "height (1)", picture.axes[1])
    picture.axes[0].legend()
    return picture


def test_the_same_data_give_the_same_bytes() -> None:
    picture = full()
    once = picture._repr_mimebundle_()
    assert picture._repr_mimebundle_() == once, "drawing twice must not move anything"
    assert full()._repr_mimebundle_() == once
    svg = once["image/svg+xml"]
    assert once[CURVES_MIME]["drawing"] == plots.fingerprint(svg)
    assert "<text" not in svg
    assert "date" not in svg.lower()
    assert once["text/plain"] == repr(picture)
    assert repr(picture).endswith("(3 curves)")


def test_titles_break_between_words_and_never_inside_a_formula() -> None:
    lines = plots._wrap("one two $a + b = \\frac{1}{2}$ three four", 11).split("\n")
    assert lines == ["one two", "$a + b = \\frac{1}{2}$", "three four"]


def test_roles_differ_without_color() -> None:
    # Same meaning, same look: these share a dash pattern by intent.
    roles = {k: r for k, r in plots.ROLES.items() if k not in ("theory", "sample", "sgd")}
    looks = {(str(role.linestyle), role.marker, role.linewidth) for role in roles.values()}
    assert len(looks) == len(roles)
    with pytest.raises(ValueError, match="role"):
        curve(make().ax, [0], [0], role="exakt")


def test_no_global_state() -> None:
    code = (
        "import sys, matplotlib as mpl; import sgdnotes.plots as p;"
        "look = lambda: {key: mpl.rcParams[key] for key in p.STYLE}; before = look();"
        "q = p.Picture('A picture that nobody looks at.');"
        "p.curve(q.ax, [0, 1], [0, 1]); q.ax.set(xlabel='x', ylabel='y'); q._repr_mimebundle_();"
        "assert look() == before;"
        "bad = {'matplotlib.pyplot', 'IPython', 'ipywidgets', 'sgdnotes.theorems'};"
        "assert not bad & set(sys.modules), bad & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@dataclass
class Outcome:
    """As much of a verdict as drawing needs."""

    kind: str = "inequality"
    holds: bool = True
    worst: float = 0.9
    label: str = "thm-x"
    title: str = "A theorem"
    setting: str = "a small problem"
    index: Any = field(default_factory=lambda: np.arange(50.0))
    observed: Any = field(default_factory=lambda: 0.8 ** np.arange(50))
    bound: Any = field(default_factory=lambda: 0.9 ** np.arange(50))
    index_name: str = "step k"
    observed_name: str = "E f(x_k) − f*"
    bound_name: str = "bound"
    worst_at: float = 0.0


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        (Outcome(), "the bound holds, largest ratio 0.9"),
        (Outcome(holds=False, worst=2.5), "the bound fails, largest ratio 2.5"),
        (Outcome("identity", worst=3e-15), "both sides agree to rounding"),
        (Outcome("identity", False, 0.5), "the sides differ by 0.5"),
        (Outcome("limit", worst=0.01), "the limit is reached, distance at the end 0.01"),
        (Outcome("impossibility", worst=3.0), "the supposed bound is exceeded, largest ratio 3"),
        (Outcome(index=np.array([3.0, 1.0]), observed=np.ones(2), bound=np.ones(2)), "holds"),
        (Outcome(observed=np.full(50, np.inf)), "holds"),
    ],
)
def test_a_verdict_is_drawn_with_its_outcome_as_title(verdict: Any, message: str) -> None:
    picture = draw(verdict)
    stored = picture._repr_mimebundle_()[CURVES_MIME]
    assert message in picture.title
    assert "a small problem" in picture.alt
    observed, bound = stored["axes"][0]["curves"]
    np.testing.assert_allclose(read_numbers(observed["y"]), verdict.observed, rtol=1e-9)
    np.testing.assert_allclose(read_numbers(bound["y"]), verdict.bound, rtol=1e-9)
