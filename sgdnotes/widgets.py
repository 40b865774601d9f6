"""Controls that work in a page without a kernel and in a live notebook alike.

All pictures are drawn beforehand; the control only chooses which one is shown, and that link runs
in the browser.  So a page never shows a slider that does nothing.

The objects need `ipywidgets`, which comes with the extra ``sgdnotes[lectures]``.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from sgdnotes.plots import CURVES_MIME, Picture, fingerprint

__all__ = ["Control", "player", "slider"]

VIEW_MIME = "application/vnd.jupyter.widget-view+json"


class Control:
    """A row of pictures and the control that chooses one; made by `slider` and `player`.

    Attributes
    ----------
    widget : ipywidgets.VBox
        What is displayed.
    pictures : list of Picture
        What it chooses from.
    values : list of str
        What the control reads at each picture.
    """

    def __init__(
        self,
        kind: str,
        pictures: Sequence[Picture],
        values: Sequence[object],
        label: str,
        description: str,
        interval: int | None,
    ) -> None:
        if len(pictures) < 2:
            raise ValueError(f"pictures must be two or more, got {len(pictures)}")
        if len(values) != len(pictures):
            raise ValueError(
                f"values must be one for each of the {len(pictures)} pictures, got {len(values)}"
            )
        if not label.strip():
            raise ValueError(f"label must say what the control changes, got {label!r}")
        self.kind = kind
        self.label = label
        self.pictures = list(pictures)
        self.values = [value if isinstance(value, str) else f"{value:g}" for value in values]
        if len(set(self.values)) < len(self.values):
            raise ValueError(f"values must read differently, got {self.values}")
        self._sources = [_source(picture) for picture in pictures]
        self.widget = self._assemble(description, interval)

    def _assemble(self, description: str, interval: int | None) -> Any:
        """Put the control above the stack of pictures and link the two in the browser."""
        ipywidgets = _ipywidgets()
        shared = ipywidgets.Layout(max_width="100%", overflow="hidden")
        frames = [
            ipywidgets.HTML(
                f'<img src="{html.escape(source)}" alt="{html.escape(picture.alt)}" '
                f'width="{96 * picture.figure.get_figwidth():.0f}" '
                'style="max-width: 100%; height: auto">',
                layout=shared,
            )
            for source, picture in zip(self._sources, self.pictures, strict=True)
        ]
        stack = ipywidgets.Stack(frames, selected_index=0, layout=shared)
        choice = ipywidgets.SelectionSlider(
            options=[(value, index) for index, value in enumerate(self.values)],
            index=0,
            description=self.label,
            style={"description_width": "initial"},
            layout=ipywidgets.Layout(width="auto", flex="1 1 14em"),
        )
        ipywidgets.jslink((choice, "index"), (stack, "selected_index"))
        row = [choice]
        if interval is not None:
            play = ipywidgets.Play(min=0, max=len(frames) - 1, interval=interval, show_repeat=False)
            ipywidgets.jslink((play, "value"), (choice, "index"))
            row.insert(0, play)
        controls = ipywidgets.HBox(
            row,
            layout=ipywidgets.Layout(
                flex_flow="row wrap", align_items="center", max_width="100%", width="35em"
            ),
        )
        above = [ipywidgets.HTML(f"<p>{html.escape(description)}</p>")] if description else []
        return ipywidgets.VBox([*above, controls, stack], layout=shared)

    def curves(self) -> dict[str, Any]:
        """Return what all the pictures draw, as numbers; see `Picture.curves`."""
        frames = [
            {"value": value, "drawing": fingerprint(source), **picture.curves()}
            for value, source, picture in zip(
                self.values, self._sources, self.pictures, strict=True
            )
        ]
        return {"version": 1, "label": self.label, "frames": frames}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        view = self.widget._repr_mimebundle_()[VIEW_MIME]
        return {VIEW_MIME: view, "text/plain": repr(self), CURVES_MIME: self.curves()}

    def __repr__(self) -> str:
        shown = self.values if len(self.values) <= 4 else [*self.values[:2], "…", self.values[-1]]
        return f"{self.kind}: {self.label} in {', '.join(shown)} ({len(self.pictures)} pictures)"


def slider(
    pictures: Sequence[Picture], values: Sequence[object], *, label: str, description: str = ""
) -> Control:
    """Return a slider that moves through pictures.

    Parameters
    ----------
    pictures : sequence of Picture
        One for each position; draw them all with the same axis limits.
    values : sequence of float or str
        What the slider reads at each picture; numbers are written with ``:g``.
    label : str
        What the slider changes; its name on the page and for a screen reader.
    description : str
        A sentence above the slider: what to try, what to look at.

    Raises
    ------
    ValueError
        If there are fewer than two pictures, not one value for each, or no label.
    ImportError
        If `ipywidgets` is missing.
    """
    return Control("Slider", pictures, values, label, description, interval=None)


def player(
    pictures: Sequence[Picture],
    values: Sequence[object],
    *,
    label: str,
    description: str = "",
    interval: int = 400,
) -> Control:
    """Return a slider with a play button that moves through pictures in time.

    Parameters
    ----------
    pictures, values, label, description
        As for `slider`.
    interval : int
        Milliseconds between two pictures.  Nothing moves until the reader presses play.
    """
    if interval < 50:
        raise ValueError(f"interval must be 50 milliseconds or more, got {interval!r}")
    return Control("Player", pictures, values, label, description, interval)


def _source(picture: Picture) -> str:
    """Return a picture as an address that holds the drawing itself, sharp at any size."""
    drawing = picture.svg()
    # Quotes and line ends exchanged for what an address may hold: a third shorter than encoding.
    drawing = drawing[drawing.index("<svg") :].replace('"', "'").replace("\n", " ")
    return "data:image/svg+xml," + quote(drawing, safe=" !$'()*+,/:;=?@[]^{|}~-")


def _ipywidgets() -> Any:
    try:
        import ipywidgets
    except ImportError as error:
        raise ImportError(
            "controls need ipywidgets: install it with pip install 'sgdnotes[lectures]'"
        ) from error
    return ipywidgets
