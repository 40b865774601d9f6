"""What the built pages say about themselves: links, buttons, and nothing of this machine."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

ADDRESSES = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src"}


@functools.cache
def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@functools.cache
def anchors(path: Path) -> frozenset[str]:
    tags = soup(path).find_all(id=True)
    named = soup(path).find_all("a", attrs={"name": True})
    return frozenset([tag["id"] for tag in tags] + [tag["name"] for tag in named])


def test_internal_links_and_anchors_resolve(page_name: str, site: Path) -> None:
    page = site / page_name
    broken = []
    for tag, attribute in ADDRESSES.items():
        for element in soup(page).find_all(tag, attrs={attribute: True}):
            address = urlsplit(element[attribute])
            if address.scheme or address.netloc:
                continue
            target = (page.parent / unquote(address.path)).resolve() if address.path else page
            if not target.is_file():
                broken.append(f"no file: {element[attribute]}")
            elif target.suffix == ".html" and address.fragment:
                place = unquote(address.fragment)
                broken += [] if place in anchors(target) else [f"no such place: {place}"]
    assert not broken, "\n".join(sorted(set(broken)))


def test_nothing_is_loaded_from_elsewhere(page_name: str, site: Path) -> None:
    loading = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src"}
    for tag, attribute in loading.items():
        for element in soup(site / page_name).find_all(tag, attrs={attribute: True}):
            assert not urlsplit(element[attribute]).netloc, f"{tag} from {element[attribute]}"
    for element in soup(site / page_name).find_all("link", href=True):
        loads = {"stylesheet", "preload", "icon", "modulepreload", "preconnect"}
        if loads & set(element.get("rel", [])):
            assert not urlsplit(element["href"]).netloc, f"link to {element['href']}"


def test_ids_are_unique(page_name: str, site: Path) -> None:
    ids = [tag["id"] for tag in soup(site / page_name).find_all(id=True)]
    # The theme puts its search field on the search page a second time.
    twice = sorted({name for name in ids if ids.count(name) > 1} - {"search-input"})
    assert not twice, f"the same id more than once: {twice}"


def test_every_picture_has_an_alternative_text(page_name: str, site: Path) -> None:
    article = soup(site / page_name).find("article")
    for picture in article.find_all("img") if article else []:
        text = picture.get("alt", "")
        assert text.strip(), f"no alternative text: {picture.get('src')}"
        assert not text.startswith("../"), f"a file name is not a text: {text}"


def test_launch_and_source_buttons(page_name: str, site: Path) -> None:
    """Without REPOSITORY no page offers to launch or to show its source."""
    text = (site / page_name).read_text(encoding="utf-8")
    if not os.environ.get("REPOSITORY"):
        assert "mybinder.org" not in text
        for label in ("launch-buttons", "source-buttons", "repository-button"):
            assert label not in text


def test_no_path_of_the_building_machine(site: Path, root: Path) -> None:
    private = re.compile(
        "|".join(
            [re.escape(str(root)), re.escape(str(Path.home())) + r"\b", r"/tmp/\w", r"file:///\w"]
        )
    )
    for path in site.rglob("*"):
        if path.suffix in {".html", ".ipynb", ".md", ".json", ".txt"} and path.is_file():
            if "_static" in path.relative_to(site).parts:
                continue
            found = private.search(path.read_text(encoding="utf-8"))
            assert not found, f"{path.relative_to(site)} holds {found.group() if found else ''}"
