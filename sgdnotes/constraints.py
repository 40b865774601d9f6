r"""Convex sets to which iterates are confined.

Every set can project points onto itself and minimise a linear function over itself; the latter is
all that Frank–Wolfe asks for and is often much cheaper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray

BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

EDGE = 1e-12  # relative distance by which rounding may put a point outside


class Constraint(Protocol):
    """A convex set; points come as arrays whose last axis is that of the coordinates."""

    @property
    def diameter(self) -> float:
        """The largest Euclidean distance between two points of the set."""

    def project(self, x: FloatArray) -> FloatArray:
        """Return the nearest points of the set, shape ``(..., dim)``."""

    def contains(self, x: FloatArray) -> BoolArray:
        """Return whether points lie in the set, up to rounding, shape ``(...)``."""

    def linear_minimizer(self, gradient: FloatArray) -> FloatArray:
        r"""Return points :math:`v` of the set with the least :math:`\langle g, v\rangle`.

        The same shape as `gradient`.  Where many are least, one of them.
        """

    def random_point(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Return random points of the set, of a shape ``(..., dim)``."""


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
        return np.asarray(x - _of_length("center", cast(FloatArray, self.center), x.shape[-1]))

    def project(self, x: FloatArray) -> FloatArray:
        """Return `x`, with points outside pulled straight towards the centre."""
        offset = self._offset(x)
        distance = np.linalg.norm(offset, axis=-1, keepdims=True)
        outside = distance > self.radius
        pull = np.divide(self.radius, distance, out=np.ones_like(distance), where=outside)
        center = 0.0 if self.center is None else np.asarray(self.center)
        return np.asarray(np.where(outside, center + pull * offset, x))

    def contains(self, x: FloatArray) -> BoolArray:
        """Return whether points lie in the ball."""
        distance = np.linalg.norm(self._offset(x), axis=-1)
        # Far from the origin the coordinates have fewer digits to spare.
        away = 0.0 if self.center is None else float(np.linalg.norm(np.asarray(self.center)))
        return np.asarray(distance <= self.radius + EDGE * (self.radius + away))

    def linear_minimizer(self, gradient: FloatArray) -> FloatArray:
        """Return the ends of the ball against the gradients; the centre where these are zero."""
        if self.radius == np.inf:
            raise ValueError("radius: wanted a finite one to minimise a linear function, got inf")
        length = np.linalg.norm(gradient, axis=-1, keepdims=True)
        direction = np.divide(gradient, length, out=np.zeros(gradient.shape), where=length > 0)
        center = 0.0 if self.center is None else np.asarray(self.center)
        return np.asarray(center - self.radius * direction)

    def random_point(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Return uniformly random points of the ball.

        Parameters
        ----------
        rng : numpy.random.Generator
        shape : tuple of int
            ``(..., dim)``.
        """
        direction = rng.standard_normal(shape)
        direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
        length = self.radius * rng.random((*shape[:-1], 1)) ** (1 / shape[-1])
        center = 0.0 if self.center is None else np.asarray(self.center)
        return np.asarray(center + length * direction)

    def __str__(self) -> str:
        center = "0" if self.center is None else str(np.asarray(self.center))
        return f"the ball of radius {self.radius:g} around {center}"


@dataclass(frozen=True)
class L1Ball:
    r"""The ball :math:`\{x : \|x\|_1 \le r\}`, whose vertices are :math:`\pm re_j`.

    Parameters
    ----------
    radius : float
        :math:`r > 0`.
    """

    radius: float

    def __post_init__(self) -> None:
        _validate.real("radius", self.radius, above=0)

    @property
    def diameter(self) -> float:
        """Twice the radius."""
        return 2 * self.radius

    def project(self, x: FloatArray) -> FloatArray:
        """Return `x`, with the coordinates of points outside pulled towards zero alike."""
        outside = np.abs(x).sum(axis=-1, keepdims=True) > self.radius
        return np.asarray(np.where(outside, np.sign(x) * _lowered(np.abs(x), self.radius), x))

    def contains(self, x: FloatArray) -> BoolArray:
        """Return whether points lie in the ball."""
        return np.asarray(np.abs(x).sum(axis=-1) <= self.radius * (1 + EDGE))

    def linear_minimizer(self, gradient: FloatArray) -> FloatArray:
        """Return the vertices against the largest coordinates of the gradients."""
        rows = gradient.reshape(-1, gradient.shape[-1])
        largest = np.arange(len(rows)), np.abs(rows).argmax(axis=1)
        vertices = np.zeros(rows.shape)
        # With a zero gradient every vertex will do.
        vertices[largest] = np.where(rows[largest] > 0, -self.radius, self.radius)
        return vertices.reshape(gradient.shape)

    def random_point(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Return uniformly random points of the ball, of a shape ``(..., dim)``."""
        # A Dirichlet vector with one coordinate too many is uniform over the corner of the ball.
        weights = rng.dirichlet(np.ones(shape[-1] + 1), shape[:-1])[..., :-1]
        return np.asarray(self.radius * weights * rng.choice([-1.0, 1.0], shape))

    def __str__(self) -> str:
        return f"the l1 ball of radius {self.radius:g}"


@dataclass(frozen=True, eq=False)
class Box:
    r"""The box :math:`\{x : l \le x \le u\}`; `linf_ball` makes those around a point.

    Parameters
    ----------
    lower, upper : array_like of shape (dim,)
        l and u, with :math:`l \le u`.
    """

    lower: ArrayLike
    upper: ArrayLike

    def __post_init__(self) -> None:
        lower = _validate.finite_array("lower", self.lower, ndim=1)
        upper = _validate.finite_array("upper", self.upper, ndim=1)
        if lower.shape != upper.shape:
            raise ValueError(f"upper: wanted shape {lower.shape}, got {upper.shape}")
        if (lower > upper).any():
            at = int((lower > upper).argmax())
            raise ValueError(
                f"upper: wanted at least lower, got {upper[at]:g} below {lower[at]:g} at {at}"
            )
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    def _ends(self, dim: int) -> tuple[FloatArray, FloatArray]:
        lower = _of_length("lower, upper", cast(FloatArray, self.lower), dim)
        return lower, cast(FloatArray, self.upper)

    @property
    def diameter(self) -> float:
        """The length of the diagonal."""
        return float(np.linalg.norm(np.subtract(self.upper, self.lower)))

    def project(self, x: FloatArray) -> FloatArray:
        """Return `x` with every coordinate clipped."""
        return np.asarray(np.clip(x, *self._ends(x.shape[-1])))

    def contains(self, x: FloatArray) -> BoolArray:
        """Return whether points lie in the box."""
        lower, upper = self._ends(x.shape[-1])
        slack = EDGE * np.maximum(np.abs(lower), np.abs(upper))
        return np.asarray(((x >= lower - slack) & (x <= upper + slack)).all(axis=-1))

    def linear_minimizer(self, gradient: FloatArray) -> FloatArray:
        """Return the corners against the gradients; halfway where a coordinate is zero."""
        lower, upper = self._ends(gradient.shape[-1])
        corner = np.where(gradient > 0, lower, upper)
        return np.asarray(np.where(gradient == 0, (lower + upper) / 2, corner))

    def random_point(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Return uniformly random points of the box, of a shape ``(..., dim)``."""
        return rng.uniform(*self._ends(shape[-1]), size=shape)

    def __str__(self) -> str:
        return f"a box of diagonal {self.diameter:g}"


def linf_ball(
    radius: float, center: ArrayLike, lower: float = -np.inf, upper: float = np.inf
) -> Box:
    r"""Return the box of the points within `radius` of a centre in every coordinate.

    Parameters
    ----------
    radius : float
        Above 0.
    center : array_like of shape (dim,)
    lower, upper : float, optional
        Bounds that every coordinate obeys besides, such as 0 and 1 for pixels.
    """
    size = _validate.real("radius", radius, above=0)
    middle = _validate.finite_array("center", center, ndim=1)
    if ((middle < lower) | (middle > upper)).any():
        raise ValueError(f"center: wanted coordinates between {lower:g} and {upper:g}, got others")
    return Box(np.maximum(middle - size, lower), np.minimum(middle + size, upper))


@dataclass(frozen=True)
class Simplex:
    r"""The simplex :math:`\{x \ge 0 : \sum_jx_j = r\}`, whose vertices are :math:`re_j`.

    Parameters
    ----------
    radius : float, default 1
        :math:`r > 0`; with 1 the points are probabilities.
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        _validate.real("radius", self.radius, above=0)

    @property
    def diameter(self) -> float:
        """The length of an edge."""
        return float(np.sqrt(2) * self.radius)

    def project(self, x: FloatArray) -> FloatArray:
        """Return `x` shifted by a constant, with what is negative then set to zero."""
        return _lowered(x, self.radius)

    def contains(self, x: FloatArray) -> BoolArray:
        """Return whether points lie in the simplex."""
        slack = EDGE * self.radius * np.sqrt(x.shape[-1])
        near = np.abs(x.sum(axis=-1) - self.radius) <= slack
        return np.asarray(near & (x >= -slack).all(axis=-1))

    def linear_minimizer(self, gradient: FloatArray) -> FloatArray:
        """Return the vertices at the smallest coordinates of the gradients."""
        rows = gradient.reshape(-1, gradient.shape[-1])
        vertices = np.zeros(rows.shape)
        vertices[np.arange(len(rows)), rows.argmin(axis=1)] = self.radius
        return vertices.reshape(gradient.shape)

    def random_point(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Return uniformly random points of the simplex, of a shape ``(..., dim)``."""
        return np.asarray(self.radius * rng.dirichlet(np.ones(shape[-1]), shape[:-1]))

    def __str__(self) -> str:
        return f"the simplex of sum {self.radius:g}"


@dataclass(frozen=True)
class SparsePolytope:
    r"""The convex hull of the vectors with at most K entries :math:`\pm\tau` and zeros otherwise.

    It is :math:`\{x : \|x\|_\infty \le \tau,\ \|x\|_1 \le K\tau\}`.

    Parameters
    ----------
    sparsity : int
        :math:`K \ge 1`, at most the number of coordinates.
    radius : float
        :math:`\tau > 0`.
    """

    sparsity: int
    radius: float

    def __post_init__(self) -> None:
        _validate.integer("sparsity", self.sparsity, at_least=1)
        _validate.real("radius", self.radius, above=0)

    @property
    def diameter(self) -> float:
        r"""The distance :math:`2\tau\sqrt K` of opposite vertices."""
        return float(2 * self.radius * np.sqrt(self.sparsity))

    def _checked(self, x: FloatArray) -> FloatArray:
        if x.shape[-1] < self.sparsity:
            raise ValueError(
                f"sparsity: wanted at most the {x.shape[-1]} coordinates, got {self.sparsity}"
            )
        return x

    def project(self, x: FloatArray) -> FloatArray:
        """Return `x`, pulled towards zero alike as far as needed and then clipped."""
        size = np.abs(self._checked(x))
        clipped = np.minimum(size, self.radius)
        outside = clipped.sum(axis=-1, keepdims=True) > self.sparsity * self.radius
        pulled = _lowered(size, self.radius, self.sparsity)
        return np.asarray(np.sign(x) * np.where(outside, pulled, clipped))

    def contains(self, x: FloatArray) -> BoolArray:
        """Return whether points lie in the polytope."""
        size = np.abs(self._checked(x))
        total = self.sparsity * self.radius
        small = size.max(axis=-1) <= self.radius * (1 + EDGE)
        return np.asarray(small & (size.sum(axis=-1) <= total * (1 + EDGE)))

    def linear_minimizer(self, gradient: FloatArray) -> FloatArray:
        """Return the vertices against the K largest coordinates of the gradients."""
        size = np.abs(self._checked(gradient))
        at = np.argpartition(-size, self.sparsity - 1, axis=-1)[..., : self.sparsity]
        vertex = np.zeros(gradient.shape)
        signs = -self.radius * np.sign(np.take_along_axis(gradient, at, axis=-1))
        np.put_along_axis(vertex, at, signs, axis=-1)
        return vertex

    def random_point(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Return random points of the polytope: projections of points around it."""
        return self.project(rng.uniform(-2 * self.radius, 2 * self.radius, size=shape))

    def __str__(self) -> str:
        return f"the {self.sparsity}-sparse polytope of radius {self.radius:g}"


@dataclass(frozen=True)
class NuclearBall:
    r"""Matrices whose singular values sum to at most r, flattened row by row.

    Parameters
    ----------
    rows, columns : int
    radius : float
        :math:`r > 0`.
    """

    rows: int
    columns: int
    radius: float

    def __post_init__(self) -> None:
        _validate.integer("rows", self.rows, at_least=1)
        _validate.integer("columns", self.columns, at_least=1)
        _validate.real("radius", self.radius, above=0)

    @property
    def diameter(self) -> float:
        """Twice the radius."""
        return 2 * self.radius

    def _matrices(self, x: FloatArray) -> FloatArray:
        if x.shape[-1] != self.rows * self.columns:
            raise ValueError(
                f"rows, columns: wanted {x.shape[-1]} entries in all, got "
                f"{self.rows} times {self.columns}"
            )
        return x.reshape(*x.shape[:-1], self.rows, self.columns)

    def project(self, x: FloatArray) -> FloatArray:
        """Return `x` with its singular values projected onto the l1 ball."""
        left, values, right = np.linalg.svd(self._matrices(x), full_matrices=False)
        inside = values.sum(axis=-1, keepdims=True) <= self.radius
        shrunk = L1Ball(self.radius).project(values)
        moved = ((left * shrunk[..., None, :]) @ right).reshape(x.shape)
        return np.asarray(np.where(inside, x, moved))

    def contains(self, x: FloatArray) -> BoolArray:
        """Return whether points lie in the ball."""
        values = np.linalg.svd(self._matrices(x), compute_uv=False)
        return np.asarray(values.sum(axis=-1) <= self.radius * (1 + 100 * EDGE))

    def linear_minimizer(self, gradient: FloatArray) -> FloatArray:
        """Return the matrices of rank one against the leading singular vectors."""
        left, _, right = np.linalg.svd(self._matrices(gradient), full_matrices=False)
        vertex = -self.radius * left[..., :, :1] * right[..., :1, :]
        return np.asarray(vertex.reshape(gradient.shape))

    def random_point(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Return random points of the ball, of a shape ``(..., rows * columns)``."""
        points = rng.standard_normal(shape)
        values = np.linalg.svd(self._matrices(points), compute_uv=False)
        scale = self.radius * rng.random((*shape[:-1], 1)) / values.sum(axis=-1, keepdims=True)
        return np.asarray(scale * points)

    def __str__(self) -> str:
        return f"{self.rows} x {self.columns} matrices of nuclear norm at most {self.radius:g}"


@dataclass(frozen=True)
class ColumnSparseMatrices:
    r"""The convex hull of the matrices with at most K columns of length τ and zeros otherwise.

    It is :math:`\{X : \max_j\|X_j\|_2 \le \tau,\ \sum_j\|X_j\|_2 \le K\tau\}`, with matrices
    flattened row by row: a `SparsePolytope` of the lengths of the columns.

    Parameters
    ----------
    rows, columns : int
    sparsity : int
        K, at most `columns`.
    radius : float
        :math:`\tau > 0`.
    """

    rows: int
    columns: int
    sparsity: int
    radius: float

    def __post_init__(self) -> None:
        _validate.integer("rows", self.rows, at_least=1)
        _validate.integer("columns", self.columns, at_least=1)
        _validate.integer("sparsity", self.sparsity, at_least=1, at_most=self.columns)
        _validate.real("radius", self.radius, above=0)

    @property
    def _lengths(self) -> SparsePolytope:
        return SparsePolytope(self.sparsity, self.radius)

    @property
    def diameter(self) -> float:
        r"""The distance :math:`2\tau\sqrt K` of opposite extreme points."""
        return self._lengths.diameter

    def _split(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the lengths of the columns, and the columns at length one, or zero."""
        if x.shape[-1] != self.rows * self.columns:
            raise ValueError(
                f"rows, columns: wanted {x.shape[-1]} entries in all, got "
                f"{self.rows} times {self.columns}"
            )
        matrices = x.reshape(*x.shape[:-1], self.rows, self.columns)
        lengths = np.linalg.norm(matrices, axis=-2)
        by = lengths[..., None, :]
        empty = np.zeros(matrices.shape)
        return lengths, np.divide(matrices, by, out=empty, where=by > 0)

    def _joined(self, lengths: FloatArray, directions: FloatArray) -> FloatArray:
        matrices = lengths[..., None, :] * directions
        return np.asarray(matrices.reshape(*matrices.shape[:-2], -1))

    def project(self, x: FloatArray) -> FloatArray:
        """Return `x` with the lengths of its columns projected onto the k-sparse polytope."""
        lengths, directions = self._split(x)
        inside = self.contains(x)[..., None]
        return np.asarray(
            np.where(inside, x, self._joined(self._lengths.project(lengths), directions))
        )

    def contains(self, x: FloatArray) -> BoolArray:
        """Return whether points lie in the set."""
        return self._lengths.contains(self._split(x)[0])

    def linear_minimizer(self, gradient: FloatArray) -> FloatArray:
        """Return the points against the K longest columns of the gradients."""
        lengths, directions = self._split(gradient)
        return self._joined(self._lengths.linear_minimizer(lengths), directions)

    def random_point(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Return random points of the set: projections of points around it."""
        return self.project(self.radius * rng.standard_normal(shape))

    def __str__(self) -> str:
        return (
            f"{self.rows} x {self.columns} matrices, {self.sparsity}-sparse in their columns, "
            f"of radius {self.radius:g}"
        )


@dataclass(frozen=True)
class Product:
    r"""Points whose successive blocks of coordinates lie each in a set of its own.

    A linear function is a sum over the blocks, and so is a squared distance.  So both are
    minimised block by block.

    Parameters
    ----------
    parts : sequence of (int, Constraint)
        How many coordinates a block has, and the set that it lies in.

    Examples
    --------
    >>> both = Product([(2, L1Ball(1.0)), (3, SparsePolytope(2, 0.5))])
    >>> both.linear_minimizer(np.array([1.0, -2.0, 3.0, 0.1, -1.0]))
    array([ 0. ,  1. , -0.5,  0. ,  0.5])
    """

    parts: Sequence[tuple[int, Constraint]]

    def __post_init__(self) -> None:
        if not len(self.parts):
            raise ValueError("parts: wanted one or more, got none")
        for part in self.parts:
            if not _is_pair(part):
                raise ValueError(f"parts: wanted pairs of a number and a set, got {part!r}")
            _validate.integer("parts", part[0], at_least=1)
        object.__setattr__(self, "parts", tuple(tuple(part) for part in self.parts))

    @property
    def diameter(self) -> float:
        """The root of the sum of the squared diameters."""
        return float(np.linalg.norm([part.diameter for _, part in self.parts]))

    def blocks(self, x: FloatArray) -> list[tuple[Constraint, FloatArray]]:
        """Return each set with the coordinates of `x` that belong to it."""
        ends = np.cumsum([size for size, _ in self.parts])
        if x.shape[-1] != ends[-1]:
            raise ValueError(f"parts: wanted {x.shape[-1]} coordinates in all, got {ends[-1]}")
        split = np.split(x, ends[:-1], axis=-1)
        return [(part, block) for (_, part), block in zip(self.parts, split, strict=True)]

    def project(self, x: FloatArray) -> FloatArray:
        """Return `x` with every block projected onto its set."""
        return np.concatenate([part.project(block) for part, block in self.blocks(x)], axis=-1)

    def contains(self, x: FloatArray) -> BoolArray:
        """Return whether all blocks lie in their sets."""
        inside = [part.contains(block) for part, block in self.blocks(x)]
        return np.asarray(np.all(inside, axis=0))

    def linear_minimizer(self, gradient: FloatArray) -> FloatArray:
        """Return the linear minimisers of the blocks side by side."""
        return np.concatenate(
            [part.linear_minimizer(block) for part, block in self.blocks(gradient)], axis=-1
        )

    def random_point(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Return random points of the product: projections of points around it."""
        return self.project(self.diameter * rng.standard_normal(shape) / np.sqrt(shape[-1]))

    def __str__(self) -> str:
        return "the product of " + ", ".join(str(part) for _, part in self.parts)


def _of_length(name: str, ends: FloatArray, dim: int) -> FloatArray:
    """Return what describes a set when it has as many coordinates as the points."""
    if ends.shape != (dim,):
        raise ValueError(f"{name}: wanted shape ({dim},), got {ends.shape}")
    return ends


def _lowered(values: FloatArray, cap: float, count: int = 1) -> FloatArray:
    r"""Return :math:`\min\{\max\{v_j - \lambda, 0\}, c\}` with the :math:`\lambda` of sum Kc.

    As :math:`\lambda` falls the sum grows piecewise linearly, with one more unit of slope below
    each :math:`v_j` and one less below each :math:`v_j - c`.  It is too small at the K-th largest
    value, and large enough at c less.

    Parameters
    ----------
    values : ndarray of shape (..., dim)
    cap : float
        c.
    count : int, default 1
        K, at most the number of values.

    Returns
    -------
    ndarray of shape (..., dim)
    """
    # What is further than c from the K-th largest value ends at c or 0 in any case.  Measured from
    # there, values that are far too large lose no digits.
    pivot = -np.partition(-values, count - 1, axis=-1)[..., count - 1 : count]
    values = np.clip(values - pivot, -cap, cap)
    places, slopes = values, np.ones_like(values)
    if count > 1:  # a single value reaches the cap only where the sum is reached
        places = np.concatenate([values, values - cap], axis=-1)
        slopes = np.concatenate([slopes, -slopes], axis=-1)
    order = np.argsort(-places, axis=-1, kind="stable")
    places = np.take_along_axis(places, order, axis=-1)
    slopes = np.cumsum(np.take_along_axis(slopes, order, axis=-1), axis=-1)
    grown = np.cumsum(-np.diff(places, axis=-1) * slopes[..., :-1], axis=-1)
    sums = np.concatenate([np.zeros_like(places[..., :1]), grown], axis=-1)
    # The last place where the sum is not yet reached, from where it grows on a straight line.
    at = np.maximum((sums < count * cap).sum(axis=-1, keepdims=True) - 1, 0)
    missing = count * cap - np.take_along_axis(sums, at, axis=-1)
    slope = np.maximum(np.take_along_axis(slopes, at, axis=-1), 1)
    level = np.take_along_axis(places, at, axis=-1) - missing / slope
    return np.asarray(np.clip(values - level, 0, cap))


def _is_pair(part: object) -> bool:
    return isinstance(part, Sequence) and len(part) == 2 and hasattr(part[1], "linear_minimizer")
