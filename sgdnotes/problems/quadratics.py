r"""Quadratic functions of any curvature, with noise that is the same everywhere.

On all of space :math:`f(x) = \frac12x^\top Ax - b^\top x` need not even be bounded below.  On a
ball its extremes are known all the same, and a method can be judged against them.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.problems.base import FiniteSum, Objective, Population

FLAT = 1e-12  # curvatures below this part of the largest are zero but for rounding


class QuadraticForm(Objective):
    r"""The function :math:`f(x) = \frac12x^\top Ax - b^\top x`.

    Parameters
    ----------
    hessian : array_like of shape (dim, dim)
        :math:`A`, symmetric.
    linear : array_like of shape (dim,)
        :math:`b`.
    """

    def __init__(self, hessian: ArrayLike, linear: ArrayLike) -> None:
        self.hessian = _validate.finite_array("hessian", hessian, ndim=2)
        self.linear = _validate.finite_array("linear", linear, ndim=1)
        self.dim = self.linear.size
        if self.hessian.shape != (self.dim, self.dim):
            raise ValueError(
                f"hessian: wanted shape ({self.dim}, {self.dim}), got {self.hessian.shape}"
            )
        if not np.allclose(self.hessian, self.hessian.T, rtol=1e-10, atol=0):
            raise ValueError("hessian: wanted a symmetric matrix, got another")
        self.convex = bool(self.curvatures[0] >= 0)
        if self.dim == 1:
            curvature, slope = float(self.hessian[0, 0]), float(self.linear[0])
            parts = [f"{curvature:.3g}/2 x²"] * bool(curvature) + [f"{-slope:+.3g} x"] * bool(slope)
            self.name = " ".join(parts).removeprefix("+") or "0"

    @cached_property
    def _eigen(self) -> tuple[FloatArray, FloatArray]:
        values, vectors = np.linalg.eigh(self.hessian)
        flat = np.abs(values) <= FLAT * np.abs(values).max()
        return np.where(flat, 0.0, values), vectors

    @property
    def curvatures(self) -> FloatArray:
        """The eigenvalues of the Hessian, in increasing order."""
        return self._eigen[0]

    def value(self, x: FloatArray) -> FloatArray:
        return np.asarray(np.vecdot(x, x @ self.hessian / 2 - self.linear))

    def gradient(self, x: FloatArray) -> FloatArray:
        return np.asarray(x @ self.hessian - self.linear)

    @property
    def smoothness(self) -> float:
        return float(np.abs(self.curvatures).max())

    @property
    def strong_convexity(self) -> float:
        return max(0.0, float(self.curvatures[0]))

    @property
    def pl_constant(self) -> float:
        if self.minimum == -math.inf:
            return 0.0
        return float(self.curvatures[self.curvatures > 0].min(initial=math.inf))

    @cached_property
    def _stationary(self) -> FloatArray | None:
        """The minimiser of least norm, if there is one."""
        values, vectors = self._eigen
        slope = self.linear @ vectors
        bent = values > 0
        if not self.convex or np.abs(slope[~bent]).max(initial=0.0) > FLAT * np.abs(slope).max():
            return None
        return np.asarray(vectors[:, bent] @ (slope[bent] / values[bent]))

    @property
    def minimum(self) -> float:
        return -math.inf if self._stationary is None else float(self.value(self._stationary))

    @property
    def minimizer(self) -> FloatArray:
        if self._stationary is None:
            raise ValueError(f"problem: wanted one whose minimum is attained, got {self.name}")
        return self._stationary

    def minimizer_on_ball(self, radius: float, center: ArrayLike | None = None) -> FloatArray:
        r"""Return a minimiser over the ball :math:`\|x - c\| \le r`, convex or not.

        This is the trust-region subproblem: :math:`c + s` is a minimiser if and only if
        :math:`(A + \nu I)s = -\nabla f(c)` for some :math:`\nu \ge 0` with :math:`A + \nu I`
        positive semidefinite, and :math:`\nu = 0` unless :math:`\|s\| = r`.

        Parameters
        ----------
        radius : float
            r, above 0.
        center : array_like of shape (dim,), optional
            The origin when omitted.
        """
        given = np.zeros(self.dim) if center is None else center
        middle = _validate.finite_array("center", given, ndim=1)
        if middle.size != self.dim:
            raise ValueError(f"center: wanted shape ({self.dim},), got {middle.shape}")
        size = _validate.real("radius", radius, above=0)
        return np.asarray(middle + _trust_region(*self._eigen, self.gradient(middle), size))

    def extremes_on_ball(
        self, radius: float, center: ArrayLike | None = None
    ) -> tuple[float, float]:
        """Return the least and the largest value on a ball; see `minimizer_on_ball`.

        Parameters
        ----------
        radius : float
            Above 0.
        center : array_like of shape (dim,), optional
            The origin when omitted.
        """
        lowest = self.minimizer_on_ball(radius, center)
        upside_down = DeterministicQuadratic(-self.hessian, -self.linear)
        highest = upside_down.minimizer_on_ball(radius, center)
        return float(self.value(lowest)), float(self.value(highest))


def _trust_region(
    values: FloatArray, vectors: FloatArray, gradient: FloatArray, radius: float
) -> FloatArray:
    slope = gradient @ vectors
    scale = max(float(np.abs(values).max()), float(np.abs(slope).max()) / radius)
    if scale == 0:
        return np.zeros_like(gradient)
    slope = np.where(np.abs(slope) <= FLAT * scale * radius, 0.0, slope)

    def step(shift: float) -> FloatArray:
        bent = values + shift
        moved = np.zeros_like(slope)
        return -np.divide(slope, bent, out=moved, where=(slope != 0))

    least = max(0.0, -float(values[0]))
    with np.errstate(divide="ignore"):
        inside = float(np.linalg.norm(step(least))) <= radius
    if inside:
        s = step(least)
        if least > 0:  # the hard case: along the lowest curvature either way is as good
            s[0] += math.sqrt(max(0.0, radius**2 - float(s @ s)))
        return np.asarray(vectors @ s)

    def excess(shift: float) -> float:
        with np.errstate(divide="ignore"):
            return 1 / radius - 1 / float(np.linalg.norm(step(shift)))

    most = least + float(np.linalg.norm(slope)) / radius
    shift = brentq(excess, least, most * (1 + 1e-12), xtol=1e-16 * scale, rtol=1e-15)
    s = step(float(shift))
    return np.asarray(vectors @ (s * radius / np.linalg.norm(s)))


class TiltedQuadratic(QuadraticForm, FiniteSum):
    r"""The finite sum of :math:`f_i(x) = \frac12x^\top Ax - (b + z_i)^\top x`.

    The tilts :math:`z_i` have mean zero, so that the variance of a single gradient,
    :math:`\frac1n\sum_i\|z_i\|^2`, is the same at all points.

    Parameters
    ----------
    hessian : array_like of shape (dim, dim)
        :math:`A`, symmetric.
    linear : array_like of shape (dim,)
        :math:`b`.
    tilts : array_like of shape (n_samples, dim), optional
        A single zero when omitted: no noise.
    """

    name = "tilted quadratic"

    def __init__(
        self, hessian: ArrayLike, linear: ArrayLike, tilts: ArrayLike | None = None
    ) -> None:
        super().__init__(hessian, linear)
        given = np.zeros((1, self.dim)) if tilts is None else tilts
        self.tilts = _validate.finite_array("tilts", given, ndim=2)
        if self.tilts.shape[1] != self.dim:
            raise ValueError(f"tilts: wanted shape (n_samples, {self.dim}), got {self.tilts.shape}")
        _validate.mean_zero("tilts", self.tilts)
        self.n_samples = len(self.tilts)
        self.components_convex = self.convex

    def minibatch_gradient(self, x: FloatArray, indices: IntArray) -> FloatArray:
        return np.asarray(self.gradient(x) - self.tilts[indices].mean(axis=-2))

    def component_values(self, x: FloatArray) -> FloatArray:
        return np.asarray(self.value(x) - self.tilts @ x)

    def component_gradients(self, x: FloatArray) -> FloatArray:
        return np.asarray(self.gradient(x) - self.tilts)

    @property
    def max_smoothness(self) -> float:
        return self.smoothness

    @property
    def average_smoothness(self) -> float:
        return self.smoothness

    @property
    def component_minima(self) -> FloatArray:
        tilted = (DeterministicQuadratic(self.hessian, self.linear + z) for z in self.tilts)
        return np.array([component.minimum for component in tilted])

    @property
    def standard_deviation(self) -> float:
        r""":math:`\sigma`, the root of the variance of a single gradient."""
        return math.sqrt(float((self.tilts**2).sum(axis=1).mean()))


class GaussianQuadratic(QuadraticForm, Population):
    r"""The expectation of :math:`\frac12x^\top Ax - (b + z)^\top x` over Gaussian z.

    The z are standard normal times :math:`s`, so that the variance of a single gradient is
    :math:`s^2p` at all points.

    Parameters
    ----------
    hessian : array_like of shape (dim, dim)
        :math:`A`, symmetric.
    linear : array_like of shape (dim,)
        :math:`b`.
    scale : float
        :math:`s > 0`.
    """

    name = "quadratic"

    def __init__(self, hessian: ArrayLike, linear: ArrayLike, scale: float) -> None:
        super().__init__(hessian, linear)
        self.scale = _validate.real("scale", scale, above=0)

    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> FloatArray:
        """Return the z, shape ``(*size, dim)``."""
        return np.asarray(self.scale * rng.standard_normal((*size, self.dim)))

    def minibatch_gradient(self, x: FloatArray, samples: FloatArray) -> FloatArray:
        return np.asarray(self.gradient(x) - samples.mean(axis=-2))

    def __repr__(self) -> str:
        return f"{self.name} with Gaussian noise (p = {self.dim})"

    @property
    def standard_deviation(self) -> float:
        r""":math:`\sigma = s\sqrt p`, the root of the variance of a single gradient."""
        return self.scale * math.sqrt(self.dim)


class DeterministicQuadratic(TiltedQuadratic):
    r"""The function :math:`\frac12x^\top Ax - b^\top x` itself, without noise.

    Parameters
    ----------
    hessian : array_like of shape (dim, dim)
        :math:`A`, symmetric.
    linear : array_like of shape (dim,)
        :math:`b`.
    """

    name = "quadratic"

    def __init__(self, hessian: ArrayLike, linear: ArrayLike) -> None:
        super().__init__(hessian, linear)


def saddle(
    dim: int = 10,
    n_samples: int = 50,
    *,
    noise: float = 1.0,
    rng: int | np.random.Generator | None = 0,
) -> TiltedQuadratic:
    r"""Return a quadratic whose curvatures run from -1 to 1, in random directions, with noise.

    It has :math:`L = 1`, is neither convex nor concave, and on a ball its extremes are known:
    a non-convex problem with a known answer.

    Parameters
    ----------
    dim, n_samples : int
        At least 2.
    noise : float, default 1
        :math:`\sigma > 0`, the root of the variance of a single gradient.
    rng : None, int or numpy.random.Generator, default 0
        Seed of the directions, of b and of the tilts.
    """
    p = _validate.integer("dim", dim, at_least=2)
    n = _validate.integer("n_samples", n_samples, at_least=2)
    sigma = _validate.real("noise", noise, above=0)
    generator = _validate.generator(rng)
    rotation = np.linalg.qr(generator.standard_normal((p, p)))[0]
    hessian = (rotation * np.linspace(-1, 1, p)) @ rotation.T
    linear = generator.standard_normal(p) / (3 * math.sqrt(p))
    tilts = generator.standard_normal((n, p))
    tilts -= tilts.mean(axis=0)
    tilts *= sigma / math.sqrt((tilts**2).sum(axis=1).mean())
    return TiltedQuadratic((hessian + hessian.T) / 2, linear, tilts)
