"""Open a page in a browser and ask what a reader would find wrong with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).parent
AXE = HERE / "vendor" / "axe-core" / "axe.min.js"
PROBE = (HERE / "probe.js").read_text(encoding="utf-8")
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
AREA = ".widget-subarea"


@contextmanager
def opened(browser: Any, url: str, problems: list[str]) -> Iterator[Any]:
    """Open a page, wait until it is drawn, and note every request and script that fails."""
    home = urlsplit(url)
    context = browser.new_context(viewport=WIDE, color_scheme="light", reduced_motion="reduce")
    context.add_init_script(PROBE)
    page = context.new_page()

    def on_request(request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob"} and parts[:2] != home[:2]:
            problems.append(f"request to another host: {request.url}")

    def on_response(response: Any) -> None:
        if response.status >= 400:
            problems.append(f"answer {response.status}: {response.url}")

    def on_console(message: Any) -> None:
        if message.type == "error":
            problems.append(f"error in the console: {message.text}")

    page.on("request", on_request)
    page.on("requestfailed", lambda request: problems.append(f"failed request: {request.url}"))
    page.on("response", on_response)
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on("console", on_console)
    try:
        page.goto(url, wait_until="load")
        # The first page only leads on to another; wait until that one has arrived.
        page.wait_for_function("document.querySelector('.bd-main') && window.probe")
        page.wait_for_load_state("load")
        if late := page.evaluate("probe.ready()"):
            problems.append(late)
        yield page
    finally:
        context.close()


def accessibility(page: Any, rules: list[str] | None = None, *, patience: float = 0.0) -> list[str]:
    """Return the serious and critical findings of axe-core that stay for `patience` seconds."""
    until = time.monotonic() + patience
    while (found := _violations(page, rules)) and time.monotonic() < until:
        page.wait_for_timeout(200)
    return found


def _violations(page: Any, rules: list[str] | None) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    if rules:
        options["runOnly"] = rules
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [
        f"accessibility, {violation['impact']}: {violation['id']} at {node['target']}"
        for violation in found
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


def changes(page: Any, area: Any, before: str, wait: int) -> bool:
    """Tell whether what the area shows becomes something else than ``before``."""
    try:
        page.wait_for_function(
            "([area, before]) => probe.shown(area) !== before", arg=[area, before], timeout=wait
        )
    except Exception:
        return False
    return True


def follows_theme(page: Any, theme: str) -> bool:
    """Switch the reader's system to a theme and tell whether the page follows."""
    page.emulate_media(color_scheme=theme)
    try:
        page.wait_for_function(
            "theme => document.documentElement.dataset.theme === theme", arg=theme, timeout=30_000
        )
    except Exception:
        return False
    return True


def dead_controls(page: Any) -> list[str]:
    """Move every slider, press every play button, and return those that change nothing."""
    found = []
    for number, area in enumerate(page.query_selector_all(AREA), start=1):
        for handle in area.query_selector_all(".noUi-handle"):
            if not handle.is_visible():
                continue
            before = page.evaluate("area => probe.shown(area)", area)
            at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
            handle.press("ArrowLeft" if at_end else "ArrowRight")
            if not changes(page, area, before, 20_000):
                found.append(f"control {number}: its slider changes nothing")
        for play in area.query_selector_all(".widget-play"):
            before = page.evaluate("area => probe.shown(area)", area)
            start, *_ = play.query_selector_all("button")
            start.click()
            if not changes(page, area, before, 20_000):
                found.append(f"control {number}: its play button changes nothing")
            start.click()
    return found
