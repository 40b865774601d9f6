"""Feedback pages that open without a network and show no hidden test."""

from __future__ import annotations

import base64
import functools
import re
import secrets
from pathlib import Path
from typing import Any

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbformat import NotebookNode
from nbgrader.preprocessors import ClearHiddenTests, GetGrades, NbGraderPreprocessor

from .notebook import EXERCISES

MATHJAX = EXERCISES.parent / "book" / "_static" / "vendor" / "mathjax"
_MATH = re.compile(r"<!-- Load mathjax -->.*?<!-- End of mathjax configuration -->", re.S)
_ICONS = re.compile(r"@font-face\s*\{[^{}]*url\((?!['\"]?data:)[^{}]*\}")
_FONT = re.compile(r"%%URL%%/([\w-]+\.woff)")
_ENTRY = re.compile(r'(<li><a href="#[\w-]+?-(?P<name>task[\w-]*)">)Test cell(</a>)')
_STYLE = "<style>th, td {padding: 0 .5em}</style>\n</head>"
_SETTINGS = """\
window.MathJax = {
  tex: {
    inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]],
    processEscapes: true,
    tags: "ams",
    packages: {"[-]": ["autoload", "require"]}
  },
  options: {enableMenu: false, enableAssistiveMml: false}
};
"""


def preprocessors() -> list[type]:
    """Return nbgrader's steps in making feedback, and two that make the page safe to make."""
    return [GetGrades, ClearHiddenTests, PlainText, CSSHTMLHeaderPreprocessor]


class PlainText(NbGraderPreprocessor):  # type: ignore[misc]
    """Shows a text that cannot be set as it was written, so that a student never lacks a page."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Try to set the text of a cell."""
        if cell.cell_type != "markdown":
            return cell, resources
        try:
            renderer = IPythonRenderer(escape=False, attachments=cell.get("attachments", {}))
            MarkdownWithMath(renderer=renderer).render(cell.source)
        except Exception:  # a strange text makes the program that sets it raise anything
            cell.source = "\n".join(f"    {line}" for line in cell.source.splitlines())
        return cell, resources


@functools.cache
def mathjax() -> str:
    """Return MathJax with its fonts, as one script that loads nothing."""

    def font(match: re.Match[str]) -> str:
        (path,) = MATHJAX.rglob(match[1])
        return "data:font/woff;base64," + base64.b64encode(path.read_bytes()).decode()

    script = (MATHJAX / "tex-chtml.js").read_text(encoding="utf-8")
    return _FONT.sub(font, script).replace("</script", "<\\/script")


def make_offline(path: Path) -> None:
    """Rewrite a feedback page so that it loads nothing and runs no script but MathJax.

    A page that was rewritten before is left as it is.

    Raises
    ------
    ValueError
        If the page is not as nbgrader makes it.
    """
    page = path.read_text(encoding="utf-8")
    if "Content-Security-Policy" in page[:1000]:
        return
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; "
        "img-src data:; font-src data:"
    )
    head = f'<head>\n<meta http-equiv="Content-Security-Policy" content="{policy}">'
    script = f'<script nonce="{nonce}">\n{_SETTINGS}{mathjax()}\n</script>'
    page, found = _MATH.subn(lambda _: script, page, count=1)
    if not found or "<head>" not in page:
        raise ValueError(f"{path.name} is not as nbgrader makes it: MathJax was not found in it")
    page = _ICONS.sub("", page.replace("<head>", head, 1), count=1)
    # The list of contents calls all tests "Test cell".
    page = _ENTRY.sub(r"\1Test \g<name>\3", page)
    page = page.replace("</head>", _STYLE, 1)
    path.write_text(page, encoding="utf-8")
