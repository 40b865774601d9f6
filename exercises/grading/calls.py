"""Call a student's function from another process, as the tests do.

Arguments travel as a pickle, which only the student's process opens; what comes back is plain data
(see `wire`).  An error of the student's is raised again on the side of the tests, by its name.
"""

from __future__ import annotations

import builtins
import linecache
import pickle
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .wire import NotPlainError, decode, encode

MAX_TEXT = 2000
# Errors that need more than a message to be made again are raised as StudentError.
_ERRORS: dict[str, type[Exception]] = {
    name: error
    for name, error in vars(builtins).items()
    if isinstance(error, type)
    and issubclass(error, Exception)
    and not issubclass(error, UnicodeError | ExceptionGroup | StopIteration | StopAsyncIteration)
} | {"LinAlgError": np.linalg.LinAlgError}


class StudentError(Exception):
    """An error in a student's code that has no counterpart here."""


def pack(arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> bytes:
    """Return a call's arguments as bytes that only a student's process will open."""
    try:
        return pickle.dumps((arguments, dict(keywords)))
    except Exception as error:
        raise TypeError(
            f"a test may pass only what can be pickled to a student's function ({error})"
        ) from error


def serve(namespace: Mapping[str, Any], name: str, payload: bytes) -> bytes:
    """Call a function of the student's, in the student's process, and return its answer."""
    if name not in namespace:
        text = f"`{name}` is not defined: its cell is missing, was renamed or stopped with an error"
        return encode({"error": "NameError", "text": text, "where": ""})
    try:
        arguments, keywords = pickle.loads(payload)
        value = namespace[name](*arguments, **keywords)
        return encode({"value": value})
    except NotPlainError as error:
        return encode({"error": "TypeError", "text": f"`{name}`: {error}", "where": ""})
    except Exception as error:
        return encode(
            {
                "error": type(error).__name__,
                "text": str(error)[:MAX_TEXT],
                "where": _where(error),
            }
        )


def _where(error: BaseException) -> str:
    """Return the line of the student's code in which an error arose."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith(("<ipython-input", "<cell")) and frame.lineno:
            line = linecache.getline(frame.filename, frame.lineno).strip()
            return f"in `{frame.name}`, line {frame.lineno} of the cell: {line}"[:MAX_TEXT]
    return ""


def proxy(name: str, ask: Callable[[str, bytes], bytes]) -> Callable[..., Any]:
    """Return a function that asks for the answers of a student's function.

    Parameters
    ----------
    name
        The student's function.
    ask
        Carries its name and packed arguments over and brings the bytes of the answer back.
    """

    def call(*arguments: Any, **keywords: Any) -> Any:
        reply = decode(ask(name, pack(arguments, keywords)))
        if not isinstance(reply, dict):
            raise StudentError(f"`{name}` gave no answer that could be read")
        if "value" in reply:
            return reply["value"]
        raise _error(name, reply)

    call.__name__ = call.__qualname__ = name
    return call


def _error(name: str, reply: Mapping[Any, Any]) -> Exception:
    kind, text = str(reply.get("error", "")), str(reply.get("text", ""))[:MAX_TEXT]
    if kind == "NotImplementedError":
        return NotImplementedError(text or f"`{name}` has no answer yet")
    error = _ERRORS[kind](text) if kind in _ERRORS else StudentError(f"{kind[:80]}: {text}")
    where = str(reply.get("where", ""))[:MAX_TEXT]
    error.add_note(where or f"in `{name}`")
    return error
