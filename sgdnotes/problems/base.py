"""What every problem offers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray


class Objective(ABC):
    r"""A function :math:`f` on :math:`\mathbb R^p` with stochastic gradients.

    `FiniteSum` and `Population` say where the randomness comes from.  Points come as arrays whose
    last axis has length `dim`; every leading axis is a batch.  Constants are exact up to rounding;
    where a constant does not exist (the smoothness of :math:`x^4`, the minimum of :math:`-x`) it is
    infinite, and a `minimizer` that does not exist raises ``ValueError``.

    Attributes
    ----------
    dim : int
        :math:`p`.
    convex : bool
    """

    name: str
    dim: int
    convex: bool

    @property
    @abstractmethod
    def smoothness(self) -> float:
        r""":math:`L`, the smallest Lipschitz constant of :math:`\nabla f`."""

    @property
    @abstractmethod
    def strong_convexity(self) -> float:
        r"""The largest :math:`\mu \ge 0` for which :math:`f` is :math:`\mu`-strongly convex."""

    @property
    @abstractmethod
    def pl_constant(self) -> float:
        r"""The largest :math:`\mu \ge 0` with :math:`\frac12\|\nabla f\|^2 \ge \mu (f - f^*)`."""

    @property
    @abstractmethod
    def minimum(self) -> float:
        r""":math:`f^* = \inf f`."""

    @property
    @abstractmethod
    def minimizer(self) -> FloatArray:
        """A minimiser :math:`x^*`, shape ``(dim,)``; the one of least norm where there are many."""

    @abstractmethod
    def value(self, x: FloatArray) -> FloatArray:
        """Return :math:`f(x)`, shape ``(...)`` for `x` of shape ``(..., dim)``."""

    @abstractmethod
    def gradient(self, x: FloatArray) -> FloatArray:
        r"""Return :math:`\nabla f(x)`, shape ``(..., dim)``."""

    @abstractmethod
    def minibatch_gradient(self, x: FloatArray, samples: Any) -> FloatArray:
        """Return the mean gradient of one minibatch of samples for each replicate.

        Parameters
        ----------
        x : ndarray of shape (replicates, dim)
        samples : ndarray of shape (replicates, B) or (replicates, B, width)
            Indices of a finite sum; what a population's `sample` returned.
        """

    def gap(self, x: FloatArray) -> FloatArray:
        r"""Return the suboptimality :math:`f(x) - f^*`, shape ``(...)``."""
        return np.asarray(self.value(x) - self.minimum)

    def distance_squared(self, x: FloatArray) -> FloatArray:
        r"""Return the squared distance from `x` to the set of minimisers, shape ``(...)``."""
        return np.asarray(((x - self.minimizer) ** 2).sum(axis=-1))

    @property
    @abstractmethod
    def gradient_cost(self) -> int:
        """What an evaluation of `gradient` counts, in gradients of single samples."""


class FiniteSum(Objective):
    r"""A finite sum :math:`f = \frac1n\sum_{i=1}^n f_i` on :math:`\mathbb R^p`.

    Attributes
    ----------
    n_samples, dim : int
        :math:`n` and :math:`p`.
    convex, components_convex : bool
        Whether :math:`f`, and whether every :math:`f_i`, is convex.
    """

    n_samples: int
    components_convex: bool

    @property
    def gradient_cost(self) -> int:
        """The number of samples."""
        return self.n_samples

    @property
    @abstractmethod
    def max_smoothness(self) -> float:
        r""":math:`L_{\max} = \max_i L_i`."""

    @property
    @abstractmethod
    def average_smoothness(self) -> float:
        r""":math:`\frac1n\sum_i L_i`."""

    @property
    @abstractmethod
    def component_minima(self) -> FloatArray:
        r"""The infima :math:`\inf f_i`, shape ``(n_samples,)``."""

    @abstractmethod
    def minibatch_gradient(self, x: FloatArray, indices: IntArray) -> FloatArray:
        r"""Return :math:`\frac1B\sum_b \nabla f_{i_b}(x)`, shape ``(replicates, dim)``.

        Parameters
        ----------
        x : ndarray of shape (replicates, dim)
        indices : ndarray of int, shape (replicates, B)
            One minibatch for each replicate.
        """

    @abstractmethod
    def component_values(self, x: FloatArray) -> FloatArray:
        """Return all :math:`f_i(x)` at one point, shape ``(n_samples,)``."""

    @abstractmethod
    def component_gradients(self, x: FloatArray) -> FloatArray:
        r"""Return all :math:`\nabla f_i(x)` at one point, shape ``(n_samples, dim)``."""

    def gradient_second_moment(self, x: FloatArray) -> float:
        r"""Return :math:`\frac1n\sum_i\|\nabla f_i(x)\|^2` at one point."""
        return float((self.component_gradients(x) ** 2).sum(axis=1).mean())

    def gradient_variance(self, x: FloatArray) -> float:
        r"""Return :math:`\frac1n\sum_i\|\nabla f_i(x) - \nabla f(x)\|^2` at one point."""
        gradients = self.component_gradients(x)
        return float(((gradients - gradients.mean(axis=0)) ** 2).sum(axis=1).mean())

    def max_second_moment(self, radius: float = math.inf) -> float:
        r"""Return a bound on :math:`\frac1n\sum_i\|g_i(x)\|^2` over a ball around the origin.

        Here :math:`g_i` is the (sub)gradient of :math:`f_i` that the problem returns.  Where a
        problem knows no bound it is infinite.

        Parameters
        ----------
        radius : float, default infinity
            Of the ball; infinity stands for the whole space.
        """
        check_radius(radius)
        return math.inf

    @property
    def gradient_noise_at_minimum(self) -> float:
        r""":math:`\sigma_*^2 = \frac1n\sum_i\|\nabla f_i(x^*)\|^2`."""
        return self.gradient_second_moment(self.minimizer)

    @property
    def interpolation_gap(self) -> float:
        r""":math:`\Delta_* = f^* - \frac1n\sum_i\inf f_i`."""
        return max(0.0, self.minimum - float(np.mean(self.component_minima)))

    def __repr__(self) -> str:
        return f"{self.name} (n = {self.n_samples}, p = {self.dim})"


def check_radius(radius: float) -> float:
    """Return `radius` when it is at least 0, infinity included."""
    return math.inf if radius == math.inf else _validate.real("radius", radius, at_least=0)


class Population(Objective):
    r"""An expectation :math:`f(x) = \mathbb E f_\omega(x)` over fresh samples :math:`\omega`.

    There are no indices: a stochastic gradient is taken at samples drawn from a distribution.
    """

    @property
    def gradient_cost(self) -> int:
        """One: the exact gradient of an expectation is known in theory only."""
        return 1

    @abstractmethod
    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> FloatArray:
        """Return independent samples, shape ``(*size, width)``.

        All of them must come from one call of a method of `rng`, so that what is drawn does not
        depend on how draws are cut into blocks.
        """

    def __repr__(self) -> str:
        return f"{self.name} (p = {self.dim})"


def check_objective(problem: object) -> Objective:
    """Return `problem` when it is a finite sum or a population."""
    if not isinstance(problem, Objective):
        text = f"an object of type {type(problem).__name__}"
        raise ValueError(f"problem: wanted an Objective such as LeastSquares, got {text}")
    return problem


def check_problem(problem: object) -> FiniteSum:
    """Return `problem` when it is a finite sum."""
    if not isinstance(problem, FiniteSum):
        text = f"an object of type {type(problem).__name__}"
        raise ValueError(f"problem: wanted a FiniteSum such as LeastSquares, got {text}")
    return problem
