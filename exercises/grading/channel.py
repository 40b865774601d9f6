"""Messages over a pair of connected sockets: a header in JSON and a payload of bytes."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from typing import Any

_SIZES = struct.Struct("!II")
_CHUNK = 1 << 20
_HEADER = 1 << 24


class ClosedError(Exception):
    """The other side is gone, or does not keep to the form of messages."""


def send(end: socket.socket, header: dict[str, Any], payload: bytes = b"") -> None:
    """Send one message."""
    text = json.dumps(header).encode()
    try:
        end.sendall(_SIZES.pack(len(text), len(payload)) + text)
        end.sendall(payload)
    except OSError as error:
        raise ClosedError("the other side is gone") from error


def receive(
    end: socket.socket,
    limit: int = (1 << 32) - 1,
    wait: Callable[[], None] = lambda: None,
) -> tuple[dict[str, Any], bytes]:
    """Receive one message.

    Parameters
    ----------
    end
        This side's socket.
    limit
        Bytes that header and payload may have together; a header has 16 MB at most.
    wait
        Called before every reading; it may wait for something to read, and raise.

    Raises
    ------
    ClosedError
        If the other side is gone, or sends something else.
    """
    text_size, payload_size = _SIZES.unpack(_exactly(end, _SIZES.size, wait))
    if text_size > _HEADER or text_size + payload_size > limit:
        raise ClosedError("the answer is too long")
    try:
        header = json.loads(_exactly(end, text_size, wait))
    except (ValueError, RecursionError) as error:
        raise ClosedError("the answer could not be read") from error
    if not isinstance(header, dict):
        raise ClosedError("the answer could not be read")
    return header, _exactly(end, payload_size, wait)


def _exactly(end: socket.socket, size: int, wait: Callable[[], None]) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        wait()
        try:
            part = end.recv(min(_CHUNK, size - len(parts)))
        except OSError as error:
            raise ClosedError("the other side is gone") from error
        if not part:
            raise ClosedError("the other side is gone")
        parts += part
    return bytes(parts)
