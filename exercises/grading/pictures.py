"""Pictures that students paste into their written answers."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

MAX_PICTURE = 5_000_000
_BEGINNINGS = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg"}
_REFERENCE = re.compile(
    r"!\[(?P<text>[^\]\n]*)\]\(\s*<?attachment:(?P<name>[^)>\n\"]+?)\s*>?"
    r"(?:\s*\"[^\"\n]*\")?\s*\)"
)
_REST = re.compile(r"attachment:(?=\S)(?!picture-\d+\.(?:png|jpg)\))")
Pictures = dict[str, dict[str, str]]


def checked(attachments: Any) -> Pictures:
    """Return those attachments of a cell that are PNG or JPEG pictures of a reasonable size."""
    kept: Pictures = {}
    for name, forms in attachments.items() if isinstance(attachments, Mapping) else ():
        for mime, beginning in _BEGINNINGS.items():
            data = forms.get(mime) if isinstance(forms, Mapping) else None
            text = "".join(map(str, data)) if isinstance(data, list) else data
            if not isinstance(text, str):
                continue
            try:
                content = base64.b64decode("".join(text.split()), validate=True)
            except (binascii.Error, ValueError):
                continue
            if content.startswith(beginning) and len(content) <= MAX_PICTURE:
                kept.setdefault(str(name), {})[mime] = base64.b64encode(content).decode()
    return kept


def refer(source: str, pictures: Pictures) -> tuple[str, Pictures]:
    """Return text that refers only to pictures that are there, and those, under simple names.

    A page cannot be made from a text that refers to a missing picture, or to one whose name is
    written differently in an address.

    Examples
    --------
    >>> refer("Look: ![](attachment:gone.png)", {})
    ('Look: [picture gone.png]', {})
    """
    shown: Pictures = {}

    def simple(match: re.Match[str]) -> str:
        name = match["name"]
        forms = pictures.get(name) or pictures.get(unquote(name))
        if not forms:
            return f"[picture {name}]"
        new = f"picture-{len(shown) + 1}.{_ENDINGS[next(iter(forms))]}"
        shown[new] = forms
        return f"![{match['text']}](attachment:{new})"

    source = _REFERENCE.sub(simple, source)
    return _REST.sub("attachment ", source), shown
