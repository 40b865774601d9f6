"""Figures that carry their own data and their own description.

A `Picture` is a matplotlib figure with three promises.  It has an **alternative text**, so a reader
who does not see it still gets the message.  It **stores the numbers it draws** beside the drawing,
read off the artists, so that a test can tell a changed curve from a changed font.  And it is
**deterministic**: the same data give the same bytes.

>>> picture = Picture(
...     "A straight line: the error falls from 1 to 0 in ten steps.",
...     title="The error falls linearly",
...     xlabel="step k",
...     ylabel="error",
... )
>>> _ = curve(picture.ax, range(11), [1 - k / 10 for k in range(11)], role="exact", label="error")
>>> picture
Picture: The error falls linearly (1 curve)

Nothing here touches matplotlib's global state: no ``pyplot``, no changed ``rcParams``.
"""

from __future__ import annotations

import functools
import hashlib
import io
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.collections import (
    Collection,
    LineCollection,
    PatchCollection,
    PathCollection,
    PolyCollection,
    QuadMesh,
    TriMesh,
)
from matplotlib.colorbar import Colorbar
from matplotlib.container import BarContainer
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.legend import Legend
from matplotlib.lines import AxLine, Line2D
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from matplotlib.path import Path
from matplotlib.quiver import Quiver, QuiverKey
from matplotlib.spines import Spine
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FixedFormatter
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from sgdnotes.theorems.base import Verdict

__all__ = [
    "CURVES_MIME",
    "ROLES",
    "Picture",
    "Role",
    "band",
    "curve",
    "direct_label",
    "draw",
    "read_numbers",
]

CURVES_MIME = "application/vnd.sgdnotes.curves+json"
"""The media type under which a picture stores the data it draws."""

SIGNIFICANT_DIGITS = 10
LONGEST = 2000
"""Arrays longer than this are stored as the means of at most half as many consecutive blocks."""


# --- Style -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Role:
    """How curves of one meaning look: never told apart by colour alone."""

    color: str
    linestyle: Any = "-"
    marker: str = ""
    linewidth: float = 1.8
    alpha: float = 1.0
    zorder: float = 2.0


# After the palette of Okabe and Ito, its light colours darkened to 3 : 1 or more on white.
BLUE, VERMILION, GREEN = "#0072b2", "#c44e00", "#00795a"
PURPLE, OCHRE, BLACK, GREY = "#a3457f", "#9a6b00", "#1a1a1a", "#757575"

ROLES: Mapping[str, Role] = {
    "exact": Role(BLUE, "-", linewidth=2.2),
    "bound": Role(BLACK, (0, (5, 2)), zorder=2.5),
    "theory": Role(BLACK, (0, (5, 2)), zorder=2.5),
    "sample": Role(GREY, "-", linewidth=0.8, alpha=0.55, zorder=1.5),
    "mean": Role(VERMILION, "-", "o"),
    "gd": Role(GREEN, (0, (7, 2, 1.5, 2)), "s"),
    "sgd": Role(VERMILION, "-"),
    "other": Role(PURPLE, (0, (2.5, 1.2)), "^"),
    "third": Role(OCHRE, (0, (4, 1.2, 1, 1.2, 1, 1.2)), "D"),
    "floor": Role(PURPLE, (0, (1, 1.5)), linewidth=2.0),
    "violation": Role(VERMILION, (0, (3, 1.5)), "X", linewidth=2.0, zorder=3.0),
    "reference": Role(GREY, (0, (1, 1.5)), linewidth=1.4, zorder=1.6),
}
"""The meaning a curve has, and its look."""

_CYCLE = [ROLES[name] for name in ("exact", "sgd", "gd", "other", "third", "reference")]

STYLE: Mapping[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#8c8c8c",
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "axes.grid": True,
    "axes.grid.which": "both",
    "axes.labelcolor": "#333333",
    "axes.labelsize": 11,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": cycler(
        color=[role.color for role in _CYCLE],
        linestyle=[role.linestyle for role in _CYCLE],
    ),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "errorbar.capsize": 3,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "figure.facecolor": "white",
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "image.cmap": "cividis",
    "legend.borderpad": 0.35,
    "legend.edgecolor": "none",
    "legend.fontsize": 10,
    "legend.framealpha": 0.85,
    "legend.handlelength": 2.6,
    "legend.labelspacing": 0.35,
    "lines.dash_capstyle": "butt",
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "mathtext.fontset": "dejavusans",
    "patch.linewidth": 0.8,
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "sgdnotes",
    "xtick.color": "#8c8c8c",
    "xtick.labelcolor": "#333333",
    "xtick.labelsize": 10,
    "ytick.color": "#8c8c8c",
    "ytick.labelcolor": "#333333",
    "ytick.labelsize": 10,
}
"""Settings in force while a picture is made, drawn on and saved, and at no other time."""


def house_style() -> AbstractContextManager[None]:
    """Return a context in which matplotlib draws in the style of these notes."""
    settings: Any = dict(STYLE)
    return mpl.rc_context(settings)


def _styled(method: Callable[..., Any]) -> Callable[..., Any]:
    """Run a method under the house style."""

    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with house_style():
            return method(*args, **kwargs)

    return wrapper


def _without_grid(method: Callable[..., Any]) -> Callable[..., Any]:
    """Remove the grid, which has no business on top of a field of colours."""

    @functools.wraps(method)
    def wrapper(ax: Axes, *args: Any, **kwargs: Any) -> Any:
        ax.grid(False)
        return method(ax, *args, **kwargs)

    return wrapper


class _StyledAxes(Axes):
    """Axes whose plotting methods use the house style without setting it for anyone else."""


_STYLED_METHODS = (
    "annotate arrow axhline axhspan axline axvline axvspan bar barh contour errorbar fill "
    "fill_between fill_betweenx hist hlines inset_axes legend loglog plot quiver scatter semilogx "
    "semilogy set_title set_xlabel set_xscale set_ylabel set_yscale stairs stem step streamplot "
    "text twinx twiny vlines "
)
_COVERING_METHODS = "contourf imshow pcolormesh"
for _name in _STYLED_METHODS.split():
    setattr(_StyledAxes, _name, _styled(getattr(Axes, _name)))
for _name in _COVERING_METHODS.split():
    setattr(_StyledAxes, _name, _without_grid(_styled(getattr(Axes, _name))))


# --- The picture -----------------------------------------------------------------------------


class Picture:
    """A matplotlib figure with an alternative text and with its data attached.

    Parameters
    ----------
    alt : str
        What a reader who cannot see the figure should know: what is plotted and what it shows.
    title : str
        The message of the figure, in one sentence; broken into lines as needed.
    xlabel, ylabel : str
        Axis labels of every panel: what is measured, and the unit.
    panels : int or (int, int)
        A number stacks that many panels, which stays legible on a telephone;
        a pair (rows, columns) makes a grid.
    size : (float, float), optional
        Width and height in inches.
    sharex, sharey : bool
        Whether the panels share an axis; then only the outer panels show its label.
    axis_off : bool
        Draw no axes: for schematic drawings, which need no axis labels.

    Raises
    ------
    ValueError
        If the alternative text is missing or too short to describe anything; when the picture is
        shown, also if a panel has data but lacks an axis label.
    TypeError
        When the picture is shown, if it holds an artist whose data cannot be read.
    """

    def __init__(
        self,
        alt: str,
        title: str = "",
        *,
        xlabel: str = "",
        ylabel: str = "",
        panels: int | tuple[int, int] = 1,
        size: tuple[float, float] | None = None,
        sharex: bool = False,
        sharey: bool = False,
        axis_off: bool = False,
    ) -> None:
        alt = " ".join(alt.split()) if isinstance(alt, str) else ""
        if len(alt) < 20:
            raise ValueError(
                f"alt must describe the figure in a sentence (20 characters or more), got {alt!r}"
            )
        rows, columns = (panels, 1) if isinstance(panels, int) else panels
        if rows < 1 or columns < 1:
            raise ValueError(f"panels must be positive, got {panels!r}")
        if size is None:
            size = (5.8 if columns == 1 else 7.2, 3.6 if rows == 1 else 0.6 + 2.6 * rows)
        self.alt = alt
        self.title = " ".join(title.split())
        with house_style():
            self.figure = Figure(figsize=size, layout="constrained")
            grid = self.figure.subplots(
                rows,
                columns,
                sharex=sharex,
                sharey=sharey,
                squeeze=False,
                subplot_kw={"axes_class": _StyledAxes},
            )
            self.axes: list[Axes] = list(grid.flat)
            self._places: dict[Axes, Bbox] = {}
            if title:
                message = _wrap(self.title, characters=round(size[0] * 8.7))
                if len(self.axes) == 1:
                    self.ax.set_title(message)
                else:
                    self.figure.suptitle(message, x=0.01, ha="left")
            for row in range(rows):
                for column in range(columns):
                    ax = grid[row, column]
                    if axis_off:
                        ax.set_axis_off()
                    if xlabel and (row == rows - 1 or not sharex):
                        ax.set_xlabel(xlabel)
                    if ylabel and (column == 0 or not sharey):
                        ax.set_ylabel(ylabel)

    @property
    def ax(self) -> Axes:
        """The first panel, the only one of an ordinary picture."""
        return self.axes[0]

    def colorbar(self, mappable: ScalarMappable, label: str, ax: Axes | None = None) -> Colorbar:
        """Add the legend of a colour map; `label` says what the colours measure."""
        with house_style():
            return self.figure.colorbar(mappable, ax=ax or self.ax, label=label)

    def curves(self) -> dict[str, Any]:
        """Return everything the picture draws, as numbers.

        Returns
        -------
        dict
            ``{"version": 1, "alt": ..., "axes": [{"title", "xlabel", ..., "curves": [...]}]}``,
            fit for JSON; arrays are strings of numbers in ten significant digits, see
            `read_numbers`.
        """
        figure = self.figure
        loose = [*figure.lines, *figure.patches, *figure.images, *figure.artists, *figure.subfigs]
        if loose:
            raise TypeError(f"draw on the axes, not on the figure: {loose[0]!r}")
        panels = [ax for outer in figure.axes for ax in (outer, *outer.child_axes)]
        with house_style():
            return {
                "version": 1,
                "alt": self.alt,
                "title": self.title,
                "texts": [text.get_text() for text in figure.texts],
                "axes": [_read_axes(ax) for ax in panels],
            }

    def svg(self) -> str:
        """Return the drawing as SVG, the same bytes for the same data."""
        with house_style():
            for ax in self.figure.axes:
                # A layout starts from where the last one ended; let every one start afresh.
                ax.set_position(self._places.setdefault(ax, Bbox(ax.get_position().get_points())))
                ax.set_in_layout(True)
            buffer = io.StringIO()
            nothing = dict.fromkeys(["Date", "Creator", "Format", "Type"])
            self.figure.savefig(buffer, format="svg", metadata=nothing, dpi=200)
        # A hundredth of a point does not show; the digits beyond it are a third of the file.
        return re.sub(
            r' (?:d|x|y)="[^"]+"',
            lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match.group()),
            buffer.getvalue(),
        )

    def save(self, path: str | FilePath, *, dpi: float = 200) -> None:
        """Write the drawing to a file; the suffix of the name says in which format."""
        with house_style():
            self.figure.savefig(path, dpi=dpi)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        curves, drawing = self.curves(), self.svg()
        curves["drawing"] = fingerprint(drawing)
        return {"image/svg+xml": drawing, "text/plain": repr(self), CURVES_MIME: curves}

    def __repr__(self) -> str:
        count = count_curves(self.curves())
        return f"Picture: {self.title or self.alt} ({count} curve{'s' * (count != 1)})"


def fingerprint(drawing: str) -> str:
    """Return a short digest that ties stored curves to the drawing stored with them."""
    return hashlib.sha256(drawing.encode()).hexdigest()[:16]


def count_curves(curves: Mapping[str, Any]) -> int:
    """Return how many artists with data there are in what `Picture.curves` returned."""
    return sum(entry["kind"] != "text" for ax in curves["axes"] for entry in ax["curves"])


def _wrap(text: str, characters: int) -> str:
    """Break a title into lines, never inside a formula, each counted as wide as it looks."""
    formulas = re.findall(r"\$[^$]*\$", text)
    seen = (re.sub(r"[${}_^ ]", "", re.sub(r"\\[a-zA-Z]+", "x", formula)) for formula in formulas)
    blocks = re.sub(r"\$[^$]*\$", lambda _: "\ue000" * len(next(seen)) + "\ue001", text)
    lines = textwrap.wrap(blocks, characters, break_long_words=False, break_on_hyphens=False)
    found = iter(formulas)
    return re.sub("\ue000+\ue001", lambda _: next(found), "\n".join(lines))


# --- Drawing ---------------------------------------------------------------------------------


def _role(name: str) -> Role:
    if name not in ROLES:
        raise ValueError(f"role must be one of {', '.join(ROLES)}; got {name!r}")
    return ROLES[name]


def curve(
    ax: Axes, x: ArrayLike, y: ArrayLike, *, role: str = "exact", label: str = "", **style: Any
) -> Line2D:
    """Draw a line with the look that belongs to its meaning.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    x, y : array_like, shape (n,)
        The points.
    role : str
        A key of `ROLES`: ``"exact"``, ``"bound"``, ``"sample"``, ``"mean"``, ``"gd"``, ...
    label : str
        Entry of the legend; none when empty.
    **style
        Passed on to ``ax.plot``, over the role's own settings.
    """
    look = _role(role)
    settings: dict[str, Any] = {
        "color": look.color,
        "linestyle": look.linestyle,
        "linewidth": look.linewidth,
        "alpha": look.alpha,
        "zorder": look.zorder,
        "label": label or None,
    }
    if look.marker:
        # Markers at equal distances along the drawn line, however many points there are.
        points = np.size(x)
        settings |= {"marker": look.marker, "markevery": 0.12 if points > 12 else 1}
    (line,) = ax.plot(np.asarray(x), np.asarray(y), **(settings | style))
    return line


def band(
    ax: Axes,
    x: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    role: str = "exact",
    label: str = "",
    **style: Any,
) -> PolyCollection:
    """Shade between two curves, in the colour of the role, paler than its line."""
    look = _role(role)
    settings: dict[str, Any] = {
        "color": look.color,
        "alpha": 0.2,
        "linewidth": 0,
        "label": label or None,
        "zorder": 1.2,
    }
    return ax.fill_between(np.asarray(x), np.asarray(low), np.asarray(high), **(settings | style))


def direct_label(ax: Axes, line: Line2D, text: str | None = None, **style: Any) -> Annotation:
    """Write a curve's name at its right end, in its colour, which reads better than a legend."""
    x, y = (np.asarray(values, dtype=float) for values in line.get_data(orig=False))
    last = np.flatnonzero(np.isfinite(x) & np.isfinite(y))[-1]
    if text is None:
        text = str(line.get_label())
    settings: dict[str, Any] = {"color": line.get_color(), "va": "center", "fontsize": 10}
    return ax.annotate(
        text,
        (x[last], y[last]),
        xytext=(5, 0),
        textcoords="offset points",
        annotation_clip=False,
        **(settings | style),
    )


def draw(verdict: Verdict) -> Picture:
    """Draw both sides of a theorem's claim, the outcome as title.

    Parameters
    ----------
    verdict : Verdict
        What ``theorem.check(setting)`` returned.

    Returns
    -------
    Picture
        What was observed as a solid line, the claim dashed; logarithmic where all is positive
        and spans more than a factor of 30.
    """
    outcome = _outcome(verdict)
    first, last = verdict.index[0], verdict.index[-1]
    name = verdict.observed_name
    picture = Picture(
        f"{verdict.title}, checked on {verdict.setting}. Against {verdict.index_name} from "
        f"{first:g} to {last:g}: {name} (solid), and {verdict.bound_name} (dashed). {outcome}.",
        title=f"{verdict.title}: {outcome[0].lower()}{outcome[1:]}",
        xlabel=verdict.index_name,
        ylabel="\n".join(textwrap.wrap(name, 32)),
    )
    ax = picture.ax
    path = bool(np.all(np.diff(verdict.index) > 0))
    style: dict[str, Any] = {} if path else {"linestyle": "", "marker": "o", "markevery": 1}
    curve(
        ax,
        verdict.index,
        verdict.observed,
        role="exact" if verdict.holds else "violation",
        label=name,
        **style,
    )
    claim = style | ({} if path else {"marker": "_", "markersize": 9})
    curve(ax, verdict.index, verdict.bound, role="bound", label=verdict.bound_name, **claim)
    values = np.concatenate([verdict.observed, verdict.bound])
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > 30 * values.min():
        ax.set_yscale("log")
    if path and first > 0 and last > 300 * first:
        ax.set_xscale("log")
    ax.legend()
    return picture


def _outcome(verdict: Verdict) -> str:
    """Say in words whether the claim holds and by what margin, in digits that do not flicker."""
    worst = "below 1e-12" if 0 < verdict.worst < 1e-12 else f"{verdict.worst:.3g}"
    match verdict.kind:
        case "identity":
            close = "to rounding" if verdict.worst <= 1e-12 else "up to 1e-9 of the largest"
            return f"Both sides agree {close}" if verdict.holds else f"The sides differ by {worst}"
        case "limit":
            verb = "is reached" if verdict.holds else "is not reached"
            return f"The limit {verb}, distance at the end {worst}"
        case "impossibility":
            verb = "is exceeded" if verdict.holds else "is not exceeded"
            return f"The supposed bound {verb}, largest ratio {worst}"
        case _:
            verb = "holds" if verdict.holds else "fails"
            return f"The bound {verb}, largest ratio {worst}"


# --- Reading the data back -------------------------------------------------------------------


def read_numbers(text: str) -> np.ndarray:
    """Return the array that a string of a picture's stored data stands for."""
    return np.array([float(word) for word in text.split()])


def _floats(values: Any) -> np.ndarray:
    """Return an array of floats with gaps where the values are masked."""
    masked: Any = np.ma.asarray(values, dtype=float)
    return np.asarray(masked.filled(np.nan))


def _numbers(values: Any) -> str:
    """Write an array on one line, block by block when it is long.

    One line an array keeps a stored notebook small and its differences readable, and unlike a JSON
    list it can hold infinities and gaps.
    """
    array = _floats(values).ravel()
    if array.size > LONGEST:
        block = -(-array.size // (LONGEST // 2))
        starts = np.arange(0, array.size, block)
        sizes = np.diff(np.append(starts, array.size))
        array = np.add.reduceat(array, starts) / sizes
    # Adding zero turns -0.0 into 0.0.
    return " ".join(f"{value + 0.0:.{SIGNIFICANT_DIGITS}g}" for value in array)


def _xy(points: Any) -> dict[str, str]:
    array = _floats(points).reshape(-1, 2)
    return {"x": _numbers(array[:, 0]), "y": _numbers(array[:, 1])}


def _joined(pieces: Iterable[Any]) -> np.ndarray:
    """Put polygons or segments one after the other, a gap between two."""
    gap = np.full((1, 2), np.nan)
    parts = [part for piece in pieces for part in (np.asarray(piece, dtype=float), gap)]
    return np.concatenate(parts[:-1]) if parts else np.empty((0, 2))


def _read_axes(ax: Any) -> dict[str, Any]:
    """Return labels, scales, limits and all artists of one panel."""
    title = " ".join(filter(None, (ax.get_title(loc=at) for at in ("left", "center", "right"))))
    is_colorbar = ax.get_label() == "<colorbar>"
    curves = [] if is_colorbar else list(_read_artists(ax))
    xlabel, ylabel = ax.get_xlabel(), ax.get_ylabel()
    has_data = any(entry["kind"] != "text" for entry in curves)
    if has_data and ax.axison:
        for name, siblings in (
            ("xlabel", ax.get_shared_x_axes().get_siblings(ax)),
            ("ylabel", ax.get_shared_y_axes().get_siblings(ax)),
        ):
            if not any(getattr(other, f"get_{name}")() for other in siblings):
                raise ValueError(
                    f"{name} must say what the axis measures; panel {title!r} has none"
                )
    if is_colorbar and not (xlabel or ylabel):
        raise ValueError("the colour bar must have a label that says what it measures")
    return {
        "title": title.replace("\n", " "),
        "xlabel": xlabel,
        "ylabel": ylabel,
        "xscale": ax.get_xscale(),
        "yscale": ax.get_yscale(),
        "xlim": _numbers(ax.get_xlim()),
        "ylim": _numbers(ax.get_ylim()),
        "xticklabels": _fixed_labels(ax.xaxis),
        "yticklabels": _fixed_labels(ax.yaxis),
        "curves": curves,
    }


def _fixed_labels(axis: Axis) -> list[str]:
    """Return tick labels that the author wrote; those that matplotlib computes are no data."""
    formatter = axis.get_major_formatter()
    return list(formatter.seq) if isinstance(formatter, FixedFormatter) else []


def _read_artists(ax: Any) -> Iterator[dict[str, Any]]:
    furniture = {id(ax.patch), id(ax.title), id(ax._left_title), id(ax._right_title)}
    grouped: dict[int, BarContainer] = {}
    for container in ax.containers:
        if isinstance(container, BarContainer):
            grouped |= {id(rectangle): container for rectangle in container.patches}
    done: set[int] = set()
    for artist in ax.get_children():
        if id(artist) in furniture or isinstance(artist, (Spine, Axis, Legend, QuiverKey, Axes)):
            continue
        container = grouped.get(id(artist))
        if container is None:
            entry = _read_artist(artist)
        elif id(container) in done:
            continue
        else:
            done.add(id(container))
            entry = _read_bars(container)
        if entry is not None:
            yield {"kind": entry.pop("kind"), "label": _label(container or artist), **entry}


def _label(artist: Any) -> str:
    """Return the legend entry; names that start with an underscore are matplotlib's own."""
    label = str(artist.get_label() or "")
    return "" if label.startswith("_") else label


def _read_bars(container: BarContainer) -> dict[str, Any]:
    boxes = [box for box in container.patches if isinstance(box, Rectangle)]
    return {
        "kind": "bar",
        "x": _numbers([box.get_x() for box in boxes]),
        "y": _numbers([box.get_y() for box in boxes]),
        "width": _numbers([box.get_width() for box in boxes]),
        "height": _numbers([box.get_height() for box in boxes]),
    }


def _read_artist(artist: Any) -> dict[str, Any] | None:
    """Return what one artist draws, or None if it draws nothing."""
    match artist:
        case AxLine():
            through = [xy for xy in (artist.get_xy1(), artist.get_xy2()) if xy is not None]
            slope = artist.get_slope()
            return {
                "kind": "line",
                **_xy(through),
                "slope": "" if slope is None else _numbers(slope),
            }
        case Line2D():
            x, y = artist.get_data(orig=False)
            return {"kind": "line", "x": _numbers(x), "y": _numbers(y)}
        case Annotation():
            return {"kind": "text", "text": artist.get_text(), **_xy(artist.xy)}
        case Text():
            if not artist.get_text():
                return None
            return {"kind": "text", "text": artist.get_text(), **_xy(artist.get_position())}
        case ContourSet():
            return {"kind": "contour", **_read_contours(artist)}
        case Quiver():
            return {
                "kind": "quiver",
                **_xy(artist.get_offsets()),
                "u": _numbers(artist.U),
                "v": _numbers(artist.V),
                **_colors(artist),
            }
        case QuadMesh():
            return {"kind": "mesh", **_xy(artist.get_coordinates()), **_colors(artist)}
        case PathCollection():
            return {
                "kind": "scatter",
                **_xy(artist.get_offsets()),
                "size": _numbers(artist.get_sizes()),
                **_colors(artist),
            }
        case LineCollection():
            return {"kind": "segments", **_xy(_joined(artist.get_segments())), **_colors(artist)}
        case PolyCollection() | PatchCollection():
            outlines = [path.vertices for path in artist.get_paths()]
            offsets = np.asarray(artist.get_offsets(), dtype=float)
            moved = {"dx": _numbers(offsets[:, 0]), "dy": _numbers(offsets[:, 1])}
            entry = {"kind": "area", **_xy(_joined(outlines)), **_colors(artist)}
            return entry | (moved if offsets.any() else {})
        case TriMesh():
            triangles = artist._triangulation  # type: ignore[attr-defined]
            points = np.column_stack([triangles.x, triangles.y])
            return {"kind": "mesh", **_xy(points), **_colors(artist)}
        case AxesImage():
            extent = _numbers(artist.get_extent())
            return {"kind": "image", "extent": extent, **_colors(artist)}
        case FancyArrowPatch():
            ends = getattr(artist, "_posA_posB", None)
            return {"kind": "arrow", **_xy(artist.get_path().vertices if ends is None else ends)}
        case Patch():
            outline = artist.get_patch_transform().transform_path(artist.get_path())
            return {"kind": "area", **_xy(outline.vertices)}
    raise TypeError(f"cannot read the data of {type(artist).__name__}: a picture must store it")


def _colors(artist: Collection | AxesImage) -> dict[str, str]:
    """Return the values that a colour map turns into colours, with the limits of the map."""
    array = artist.get_array()
    if array is None:
        return {}
    low, high = artist.get_clim()
    if low is None or high is None:
        return {"value": _numbers(array)}
    return {"value": _numbers(array), "limits": _numbers([low, high])}


def _read_contours(contours: ContourSet) -> dict[str, str]:
    """Describe each contour by its length, the area it encloses and the box around it.

    Unlike its vertices these do not depend on where a closed curve starts or on whether it meets
    a grid point exactly, which rounding decides.
    """
    rows = [_describe(path) for path in contours.get_paths()]
    table = np.array(rows, dtype=float).reshape(-1, 6)
    names = ["length", "area", "left", "right", "bottom", "top"]
    described = {name: _numbers(table[:, column]) for column, name in enumerate(names)}
    return {"levels": _numbers(contours.levels), **described}


def _describe(path: Path) -> tuple[float, ...]:
    """Return length, area and box (left, right, bottom, top) of the pieces of one contour."""
    vertices = np.asarray(path.vertices, dtype=float)
    if not vertices.size:
        return (0.0,) * 6
    length = area = 0.0
    opened: Any = [] if path.codes is None else np.flatnonzero(path.codes == Path.MOVETO)[1:]
    for piece in np.split(vertices, opened):
        along = np.diff(piece, axis=0)
        length += float(np.hypot(along[:, 0], along[:, 1]).sum())
        x, y = piece.T
        area += 0.5 * float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())
    (left, bottom), (right, top) = vertices.min(axis=0), vertices.max(axis=0)
    return (length, area, float(left), float(right), float(bottom), float(top))
