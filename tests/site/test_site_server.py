"""Every built page, opened in a browser from a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from looking import AXE, NARROW, accessibility, dead_controls, follows_theme, opened


def test_over_http(page_name: str, browser: Any, address: str) -> None:
    """From a server: requests, scripts, math, controls, both themes, both widths."""
    if not AXE.exists():
        pytest.skip("axe-core is not in tests/site/vendor: run make vendor")
    problems: list[str] = []
    with opened(browser, f"{address}/{page_name}", problems) as page:
        problems += page.evaluate("probe.math()")
        problems += page.evaluate("probe.layout()")
        problems += accessibility(page)
        problems += dead_controls(page)
        if not follows_theme(page, "dark"):
            problems.append("the page does not follow the reader's dark theme")
        # The dark theme changes colours and nothing else, a narrow window what scrolls and shows.
        problems += [f"dark: {line}" for line in accessibility(page, ["color-contrast"])]
        page.set_viewport_size(NARROW)
        problems += [f"390 px: {line}" for line in page.evaluate("probe.layout()")]
        narrow = ["scrollable-region-focusable", "button-name", "link-name"]
        # The theme makes boxes focusable that scroll, a while after the window has changed.
        late = accessibility(page, narrow, patience=20)
        problems += [f"390 px: {line}" for line in late]
        follows_theme(page, "light")
        problems += [f"390 px: {line}" for line in page.evaluate("probe.layout()")]
    assert not problems, "\n".join(problems)


def test_every_lecture_has_a_control(site: Path) -> None:
    """A lecture has something to move."""
    lectures = sorted((site / "lectures").glob("[0-9][0-9]-*.html"))
    assert lectures
    still = [
        path.name
        for path in lectures
        if "application/vnd.jupyter.widget-view+json" not in path.read_text(encoding="utf-8")
    ]
    assert not still, f"no control in {still}"
