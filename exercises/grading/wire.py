"""Carry values between processes that do not trust each other.

What comes from a student's process is decoded here and nowhere else: plain data only, never
pickle.  A value is a tree in JSON, in which arrays refer to raw buffers that follow it.
"""

from __future__ import annotations

import json
import math
import re
import struct
from typing import Any

import numpy as np

MAX_DEPTH = 40
_DTYPE = re.compile(r"[<>|=]?[?biufcUS]\d*")
_LENGTH = struct.Struct("!Q")


class NotPlainError(ValueError):
    """A value that is not plain data, or bytes that do not hold any."""


def encode(value: Any) -> bytes:
    """Return the bytes of a plain value.

    Plain are None, bool, int, float, complex, str, NumPy scalars and arrays of these, and
    lists, tuples and dicts of plain values.

    Raises
    ------
    NotPlainError
        If the value is of another type, or nested too deeply.
    """
    buffers: list[bytes] = []
    tree = json.dumps(_tree(value, buffers, 0)).encode()
    parts = [tree, *buffers]
    sizes = b"".join(_LENGTH.pack(len(part)) for part in parts)
    return _LENGTH.pack(len(parts)) + sizes + b"".join(parts)


def _tree(value: Any, buffers: list[bytes], depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise NotPlainError(f"the value is nested more than {MAX_DEPTH} deep")
    if value is None or type(value) in (bool, str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.kind not in "biufcUS":
            raise NotPlainError(f"arrays of type {array.dtype} are not plain data")
        buffers.append(np.ascontiguousarray(array).tobytes())
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {kind: [array.dtype.str, list(array.shape), len(buffers)]}
    if isinstance(value, int | float | complex | str):
        # Exact: hexadecimal digits have no limit, repr gives a float back bit by bit.
        if isinstance(value, str):
            return str(value)
        if isinstance(value, int):
            return {"int": hex(value)}
        if isinstance(value, float):
            return {"float": float.__repr__(value)}
        return {"complex": [repr(value.real), repr(value.imag)]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_tree(item, buffers, depth + 1) for item in value]}
    if isinstance(value, dict):
        pairs = [[_tree(item, buffers, depth + 1) for item in pair] for pair in value.items()]
        return {"dict": pairs}
    raise NotPlainError(
        f"a {type(value).__name__} is not plain data: give back numbers, strings, None, NumPy "
        "arrays, or lists, tuples and dicts of these"
    )


def decode(data: bytes) -> Any:
    """Return the value that `encode` wrote, whoever wrote the bytes.

    Raises
    ------
    NotPlainError
        If the bytes hold anything but one plain value.
    """
    try:
        parts = _split(data)
        return _value(json.loads(parts[0]), parts, 0)
    except NotPlainError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError) as error:
        raise NotPlainError("the answer could not be read") from error
    except (struct.error, MemoryError, AttributeError) as error:
        raise NotPlainError("the answer could not be read") from error


def _split(data: bytes) -> list[bytes]:
    (count,) = _LENGTH.unpack_from(data)
    if count < 1 or count * _LENGTH.size > len(data):
        raise NotPlainError("the answer could not be read")
    sizes = [_LENGTH.unpack_from(data, _LENGTH.size * (k + 1))[0] for k in range(count)]
    start = _LENGTH.size * (count + 1)
    if start + sum(sizes) != len(data):
        raise NotPlainError("the answer could not be read")
    parts = []
    for size in sizes:
        parts.append(data[start : start + size])
        start += size
    return parts


def _value(tree: Any, parts: list[bytes], depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise NotPlainError(f"the value is nested more than {MAX_DEPTH} deep")
    if tree is None or isinstance(tree, bool | str):
        return tree
    if not (isinstance(tree, dict) and len(tree) == 1):
        raise NotPlainError("the answer could not be read")
    ((kind, content),) = tree.items()
    if kind == "int":
        return int(content, 16)
    if kind == "float":
        return float(content)
    if kind == "complex":
        return complex(float(content[0]), float(content[1]))
    if kind in ("list", "tuple"):
        items = [_value(item, parts, depth + 1) for item in content]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        return {_value(k, parts, depth + 1): _value(v, parts, depth + 1) for k, v in content}
    if kind in ("array", "scalar"):
        array = _array(content, parts)
        return array if kind == "array" else array[()]
    raise NotPlainError("the answer could not be read")


def _array(content: Any, parts: list[bytes]) -> Any:
    name, shape, index = content
    if not (isinstance(name, str) and _DTYPE.fullmatch(name)):
        raise NotPlainError("the answer could not be read")
    dtype = np.dtype(name)
    sizes_are_good = all(type(size) is int and size >= 0 for size in shape) and len(shape) <= 32
    buffer = parts[index] if type(index) is int and index > 0 else None
    if buffer is None or not sizes_are_good or dtype.kind not in "biufcUS":
        raise NotPlainError("the answer could not be read")
    if len(buffer) != math.prod(shape) * dtype.itemsize:
        raise NotPlainError("the answer could not be read")
    if not buffer:
        return np.empty(shape, dtype)
    return np.frombuffer(buffer, dtype).reshape(shape).copy()
