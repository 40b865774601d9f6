"""Controls: what they demand, what they store, and that all pictures are in them."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from sgdnotes.plots import CURVES_MIME, Picture
from sgdnotes.widgets import VIEW_MIME, Control, player, slider

pytest.importorskip("ipywidgets", reason="controls need ipywidgets")


def pictures(count: int = 3) -> list[Picture]:
    made = []
    for number in range(count):
        alt = f'Line number {number} rises & falls; it is called "a < b".'
        picture = Picture(alt, xlabel="step k", ylabel="error")
        picture.ax.plot([0, 1], [number, 1])
        made.append(picture)
    return made


def widgets(control: Control, name: str) -> list[Any]:
    """Return the control's widgets of one class, from the outside in."""
    found, waiting = [], [control.widget]
    while waiting:
        widget = waiting.pop(0)
        waiting += getattr(widget, "children", [])
        found += [widget] if type(widget).__name__ == name else []
    return found


def test_a_slider_holds_every_picture_with_its_description() -> None:
    control = slider(pictures(), [0.1, 0.2, 0.4], label="step size", description="Move it.")
    (stack,) = widgets(control, "Stack")
    (choice,) = widgets(control, "SelectionSlider")
    assert [label for label, _ in choice.options] == ["0.1", "0.2", "0.4"]
    assert choice.description == "step size"
    assert len(stack.children) == 3
    assert stack.selected_index == choice.index == 0
    for child, picture in zip(stack.children, control.pictures, strict=True):
        image = ElementTree.fromstring(child.value.replace('100%; height: auto">', '100%"/>'))
        assert image.get("alt") == picture.alt
        kind, drawing = str(image.get("src")).split(",", 1)
        assert kind == "data:image/svg+xml"
        assert ElementTree.fromstring(unquote(drawing)).tag.endswith("svg")


def test_what_is_displayed_has_a_view_curves_and_a_stable_text() -> None:
    control = slider(pictures(), ["a", "b", "c"], label="start")
    bundle = control._repr_mimebundle_()
    assert bundle[VIEW_MIME]["model_id"] == control.widget.model_id
    assert bundle["text/plain"] == "Slider: start in a, b, c (3 pictures)"
    frames = bundle[CURVES_MIME]["frames"]
    assert [frame["value"] for frame in frames] == ["a", "b", "c"]
    assert [frame["alt"] for frame in frames] == [picture.alt for picture in control.pictures]
    again = slider(pictures(), ["a", "b", "c"], label="start")
    assert again._repr_mimebundle_()[CURVES_MIME] == bundle[CURVES_MIME]


def test_a_player_has_a_button_and_does_not_start_by_itself() -> None:
    control = player(pictures(5), range(5), label="step k", interval=250)
    (play,) = widgets(control, "Play")
    assert (play.min, play.max, play.interval, play.playing) == (0, 4, 250, False)
    assert repr(control) == "Player: step k in 0, 1, …, 4 (5 pictures)"


@pytest.mark.parametrize(
    ("arguments", "options", "name"),
    [
        ((pictures(1), [1]), {"label": "k"}, "pictures"),
        ((pictures(2), [1]), {"label": "k"}, "values"),
        ((pictures(2), [1, 1]), {"label": "k"}, "values"),
        ((pictures(2), [1, 2]), {"label": " "}, "label"),
        ((pictures(2), [1, 2]), {"label": "k", "interval": 0}, "interval"),
    ],
)
def test_bad_input(arguments: Any, options: Any, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        player(*arguments, **options)


def test_without_ipywidgets_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match="sgdnotes\\[lectures\\]"):
        slider(pictures(2), [1, 2], label="k")
