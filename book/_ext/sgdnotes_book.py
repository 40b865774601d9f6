"""A Sphinx extension for what this book needs beyond its configuration.

``REPOSITORY`` and ``BRANCH`` in the environment turn on the source button and, for the services
that Binder knows, the launch button.  Without them no button is made, so none can be dead.

The finished pages are mended in the few places where a theme or an extension leaves no other way.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx_proof.nodes import proof_node

BINDER = "https://mybinder.org"


def repository_options(repository: str, branch: str) -> dict[str, Any]:
    """Return the theme options for the buttons of a repository.

    Parameters
    ----------
    repository : str
        Address of the repository, ``https://host/owner/name``; empty for no buttons.
    branch : str
        The branch that the buttons open.
    """
    if not repository:
        return {}
    address = repository.strip().rstrip("/").removesuffix(".git")
    scheme, _, rest = address.partition("://")
    if scheme not in {"http", "https"} or rest.count("/") < 2:
        raise ExtensionError(f"REPOSITORY must be https://host/owner/name, not {repository!r}")
    host = rest.split("/")[0]
    options: dict[str, Any] = {
        "repository_url": address,
        "repository_branch": branch,
        "repository_provider": "gitlab" if "gitlab" in host else "github",
        "use_repository_button": True,
        "use_source_button": True,
    }
    if host in {"github.com", "gitlab.com"}:
        options["launch_buttons"] = {
            "binderhub_url": BINDER,
            "notebook_interface": "jupyterlab",
        }
    return options


def add_repository(_app: Sphinx, config: Config) -> None:
    """Add the buttons that the environment asks for to the theme's options."""
    options = repository_options(
        os.environ.get("REPOSITORY", ""), os.environ.get("BRANCH", "") or "main"
    )
    config.html_theme_options = {**config.html_theme_options, **options}


FIRST_PAGE = r"""<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>SGD Notes</title>
    <link rel="icon" href="data:,">
    <meta http-equiv="refresh" content="0; url=\1">
  </head>
  <body><p><a href="\1">SGD Notes</a></p></body>
</html>
"""

REPAIRS = (
    # The address of the book leads on to its first page, and is itself a whole page.
    (re.compile(r'^<meta http-equiv="Refresh" content="0; url=([^"]*)" />\n$'), FIRST_PAGE),
    # A font is loaded without credentials, so a page opened as a file fails to fetch it ahead.
    (re.compile(r'<link rel="preload" as="font"[^>]*>\n?'), ""),
    # The theme's icon script must not replace icons under the widgets' hands, which breaks Play.
    (
        re.compile(r'<script (src="[^"]*fontawesome/[^"]*/js/all\.min\.js)'),
        r'<script data-observe-mutations="false" \1',
    ),
    # Every proof, exercise and solution has the same id, and an id must be unique in its page.
    (re.compile(r' id="(?:proof|(?:proof|exercise|solution)-content)"'), ""),
    # The word that opens a proof, so that the stylesheet can set it apart.
    (
        re.compile(r'(<div class="proof admonition">\s*<p>)Proof\. '),
        r'\1<span class="proof-word">Proof.</span> ',
    ),
    # The label of a folded cell hides, from whoever hears the page, the words that others read.
    (re.compile(r'<summary aria-label="Toggle hidden content">'), "<summary>"),
    # The bibliography is a list of entries, each with a back link, which no role describes.
    (re.compile(r'(<div role="list" class="citation-list">)'), '<div class="citation-list">'),
    # A line must not break between a formula and the full stop that follows it.
    (
        re.compile(r'(<span class="math notranslate nohighlight">[^<]*</span>[.,;:!?)’”]+)'),
        r'<span class="nobreak">\1</span>',
    ),
)


def repair(page: str) -> str:
    """Return the text of a finished page with the known defects mended."""
    for pattern, replacement in REPAIRS:
        page = pattern.sub(replacement, page)
    return page


def repair_pages(app: Sphinx, exception: Exception | None) -> None:
    """Mend all pages once they are written."""
    if exception is None and app.builder.format == "html":
        for path in Path(app.outdir).rglob("*.html"):
            text = path.read_text(encoding="utf-8")
            mended = repair(text)
            if mended != text:
                path.write_text(mended, encoding="utf-8")


def open_proof(translator: Any, node: proof_node) -> None:
    """Write the places that links to a proof lead to, which its own extension drops."""
    translator.body += [f'<span id="{name}"></span>' for name in node["ids"]]


def close_proof(_translator: Any, _node: proof_node) -> None:
    """Write nothing: the box inside the node closes itself."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the extension to Sphinx."""
    app.add_node(proof_node, override=True, html=(open_proof, close_proof))
    app.connect("config-inited", add_repository, priority=100)
    app.connect("build-finished", repair_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
