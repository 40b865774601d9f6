"""Convex sets to which iterates are confined."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray

EDGE = 1e-12  # relative distance by which rounding may put a point outside


class Constraint(Protocol):
    """A convex set; points come as arrays whose last axis is that of the coordinates."""

    @property
    def diameter(self) -> float:
        """The largest distance between two points of the set."""

    def project(self, x: FloatArray) -> FloatArray:
        """Return the nearest points of the set, shape ``(..., dim)``."""

    def contains(self, x: FloatArray) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Return whether points lie in the set, up to rounding, shape ``(...)``."""


@dataclass(frozen=True, eq=False)
class L2Ball:
    r"""The Euclidean ball :math:`\{x : \|x - c\|_2 \le r\}`.

    Parameters
    ----------
    radius : float
        :math:`r > 0`; infinity stands for the whole space.
    center : array_like of shape (dim,), optional
        The origin when omitted.
    """

    radius: float
    center: ArrayLike | None = field(default=None)

    def __post_init__(self) -> None:
        if self.radius != np.inf:
            _validate.real("radius", self.radius, above=0)
        if self.center is not None:
            center = _validate.finite_array("center", self.center, ndim=1)
            object.__setattr__(self, "center", center)

    @property
    def diameter(self) -> float:
        """Twice the radius."""
        return 2 * self.radius

    def _offset(self, x: FloatArray) -> FloatArray:
        if self.center is None:
            return x
        center = np.asarray(self.center)
        if center.shape != x.shape[-1:]:
            raise ValueError(f"center: wanted shape {x.shape[-1:]}, got {center.shape}")
        return np.asarray(x - center)

    def project(self, x: FloatArray) -> FloatArray:
        """Return `x`, with points outside pulled straight towards the centre."""
        offset = self._offset(x)
        distance = np.linalg.norm(offset, axis=-1, keepdims=True)
        outside = distance > self.radius
        pull = np.divide(self.radius, distance, out=np.ones_like(distance), where=outside)
        center = 0.0 if self.center is None else np.asarray(self.center)
        return np.asarray(np.where(outside, center + pull * offset, x))

    def contains(self, x: FloatArray) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Return whether points lie in the ball."""
        distance = np.linalg.norm(self._offset(x), axis=-1)
        return np.asarray(distance <= self.radius * (1 + EDGE))

    def __str__(self) -> str:
        center = "0" if self.center is None else str(np.asarray(self.center))
        return f"the ball of radius {self.radius:g} around {center}"
