"""Checks at the door: every public function validates its arguments once, here, in one voice.

Each function returns the checked value in the form the library works with and raises
``ValueError`` naming the argument, what was given and what is wanted.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def finite_array(name: str, value: ArrayLike, *, ndim: int | None = None) -> FloatArray:
    """Return `value` as a float64 array, refusing NaN, infinities and the wrong dimension."""
    try:
        if np.iscomplexobj(value):
            raise TypeError("complex numbers")
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: wanted an array of real numbers, got {_shown(value)}") from error
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name}: wanted {ndim} dimension(s), got an array of shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name}: wanted at least one entry, got an array of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: wanted finite numbers, got NaN or infinite entries")
    return array


def nonnegative(name: str, value: ArrayLike, *, finite: bool = False) -> FloatArray:
    """Return `value` as a list, perhaps empty, of numbers of at least 0, which may be infinite."""
    wanted = f"a list of {'finite ' if finite else ''}numbers of at least 0"
    try:
        if np.iscomplexobj(value):
            raise TypeError("complex numbers")
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: wanted {wanted}, got {_shown(value)}") from error
    if array.ndim != 1 or not (array >= 0).all() or (finite and np.isinf(array).any()):
        raise ValueError(f"{name}: wanted {wanted}, got {_shown(value)}")
    return array


def mean_zero(name: str, array: FloatArray) -> FloatArray:
    """Return `array` when its mean over the first axis is zero up to rounding."""
    off = float(np.abs(array.mean(axis=0)).max())
    if off > 1e-12 * max(1.0, float(np.abs(array).max())):
        raise ValueError(f"{name}: wanted mean zero, got a mean of size {off:g}")
    return array


def real(
    name: str,
    value: float,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    at_most: float = math.inf,
) -> float:
    """Return `value` as a finite float above `above` and in ``[at_least, at_most]``."""
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError("text, which float would read")
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: wanted a real number, got {_shown(value)}") from error
    wanted = "a finite number"
    if above > -math.inf:
        wanted += f" above {above:g}"
    if at_least > -math.inf:
        wanted += f" of at least {at_least:g}"
    if at_most < math.inf:
        wanted += f" of at most {at_most:g}"
    if not (math.isfinite(number) and number > above and at_least <= number <= at_most):
        raise ValueError(f"{name}: wanted {wanted}, got {_shown(value)}")
    return number


def integer(name: str, value: int, *, at_least: int, at_most: int | None = None) -> int:
    """Return `value` as an int in ``[at_least, at_most]``; floats, even whole ones, are refused."""
    wanted = f"an integer of at least {at_least}"
    if at_most is not None:
        wanted += f" and at most {at_most}"
    try:
        number = operator.index(value)
    except TypeError as error:
        raise ValueError(f"{name}: wanted {wanted}, got {_shown(value)}") from error
    if isinstance(value, bool) or number < at_least or (at_most is not None and number > at_most):
        raise ValueError(f"{name}: wanted {wanted}, got {_shown(value)}")
    return number


def one_of(name: str, value: object, choices: Iterable[str]) -> str:
    """Return `value` when it is one of the strings `choices`."""
    known = sorted(choices)
    if not isinstance(value, str) or value not in known:
        raise ValueError(
            f"{name}: wanted one of {', '.join(map(repr, known))}, got {_shown(value)}"
        )
    return value


def starting_points(x0: ArrayLike | None, dim: int, replicates: int) -> FloatArray:
    """Return starting points of shape ``(replicates, dim)`` as a new array.

    `x0` may be None (the origin), one point of shape ``(dim,)`` shared by all replicates, or one
    point for each replicate.
    """
    if x0 is None:
        return np.zeros((replicates, dim))
    points = finite_array("x0", x0)
    if points.shape not in {(dim,), (1, dim), (replicates, dim)}:
        raise ValueError(
            f"x0: wanted shape ({dim},) or ({replicates}, {dim}), got shape {points.shape}"
        )
    return np.broadcast_to(points, (replicates, dim)).copy()


def generator(rng: int | np.random.Generator | None) -> np.random.Generator:
    """Normalise `rng` as SPEC 7 asks: None, a seed or a Generator."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None or (isinstance(rng, (int, np.integer)) and not isinstance(rng, bool)):
        if rng is not None and rng < 0:
            raise ValueError(f"rng: wanted a non-negative seed, got {rng}")
        return np.random.default_rng(rng)
    raise ValueError(f"rng: wanted None, an integer seed or a Generator, got {_shown(rng)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
