"""Every built page, opened in a browser from its folder, with no server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from looking import accessibility, dead_controls, opened


def test_as_file(page_name: str, browser: Any, site: Path) -> None:
    """From the folder, with no server: the same page works."""
    problems: list[str] = []
    with opened(browser, (site / page_name).as_uri(), problems) as page:
        problems += page.evaluate("probe.math()")
        problems += dead_controls(page)
    assert not problems, "\n".join(problems)


def test_search_finds_a_page(browser: Any, site: Path) -> None:
    """The search page works as a file too."""
    problems: list[str] = []
    url = (site / "search.html").as_uri() + "?q=gradient"
    with opened(browser, url, problems) as page:
        page.wait_for_selector("#search-results li", timeout=10_000)
    assert not problems, "\n".join(problems)


def test_the_browser_checks_can_fail(browser: Any, site: Path, tmp_path: Path) -> None:
    """A page made wrong on purpose is caught in each respect."""
    bad = tmp_path / "bad.html"
    missing = (tmp_path / "missing.png").as_uri()
    bad.write_text(
        "<html><head><title>bad</title></head><body class='bd-main'><div class='bd-article'>"
        "<p>raw \\(x\\) and $y$</p><p class='math notranslate'>z</p>"
        f"<img src='{missing}' style='width: 2000px; height: 9px'><button></button>"
        "<img src='https://example.org/a.png' alt=''>"
        "<div class='widget-subarea'><div class='widget-play jupyter-widgets'><button>x</button>"
        "</div></div></div><script>throw new Error('broken')</script></body></html>",
        encoding="utf-8",
    )
    problems: list[str] = []
    with opened(browser, bad.as_uri(), problems) as page:
        problems += page.evaluate("probe.math()") + page.evaluate("probe.layout()")
        problems += accessibility(page)
        problems += dead_controls(page)
    text = "\n".join(problems)
    for sign in (
        "raw formula",
        "formula not drawn",
        "cut off",
        "the page is",
        "button-name",
        "image-alt",
        "request to another host",
        "failed request",
        "script error: broken",
        "play button changes nothing",
    ):
        assert sign in text, f"not caught: {sign}\n{text}"
