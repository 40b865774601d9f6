"""Take the outputs of a student's cells into a notebook: checked, and harmless in a page."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output

MAX_OUTPUTS = 200
# Colours and other orders to a terminal: a page needs none, and thousands make it slow to build.
_ORDERS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_PICTURES = ("image/png", "image/jpeg")


def clean(items: Any, secrets: dict[str, str] | None = None) -> list[NotebookNode]:
    """Return outputs in the form of notebooks; what has another form is left out.

    Only text and pictures are kept.  Scripts do not run in a picture, and a page shows text as it
    is, so that nothing of a student's runs in the instructor's browser.

    Parameters
    ----------
    items
        What the student's process sent.
    secrets
        Texts that are replaced, paths of this machine for example.
    """
    kept = []
    for item in items[:MAX_OUTPUTS] if isinstance(items, list) else []:
        if isinstance(item, dict) and (output := _output(item, secrets or {})) is not None:
            kept.append(output)
    return kept


def _text(value: Any, secrets: dict[str, str]) -> str:
    text = _ORDERS.sub("", value) if isinstance(value, str) else ""
    for secret, shown in secrets.items():
        text = text.replace(secret, shown)
    return text.encode("utf-8", "replace").decode()


def _output(item: dict[str, Any], secrets: dict[str, str]) -> NotebookNode | None:
    kind = item.get("output_type")
    if kind == "stream":
        name = "stderr" if item.get("name") == "stderr" else "stdout"
        return _new("stream", name=name, text=_text(item.get("text"), secrets))
    if kind == "error":
        lines = item.get("traceback")
        lines = lines if isinstance(lines, list) else []
        return _new(
            "error",
            ename=_text(item.get("ename"), secrets)[:200],
            evalue=_text(item.get("evalue"), secrets),
            traceback=[_text(line, secrets) for line in lines],
        )
    if kind in ("display_data", "execute_result"):
        data = item.get("data")
        shown = _data(data if isinstance(data, dict) else {}, secrets)
        count = {"execution_count": None} if kind == "execute_result" else {}
        return _new(str(kind), data=shown, **count) if shown else None
    return None


def _data(data: dict[Any, Any], secrets: dict[str, str]) -> dict[str, str]:
    shown = {}
    if text := _text(data.get("text/plain"), secrets):
        shown["text/plain"] = text
    if isinstance(svg := data.get("image/svg+xml"), str):
        shown["image/svg+xml"] = _text(svg, {})
    for mime in _PICTURES:
        if isinstance(encoded := data.get(mime), str):
            try:
                content = base64.b64decode(encoded)
            except (binascii.Error, ValueError):
                continue
            if content:
                shown[mime] = base64.b64encode(content).decode()
    return shown


def _new(kind: str, **fields: Any) -> NotebookNode:
    return new_output(kind, **fields)  # type: ignore[no-any-return]
