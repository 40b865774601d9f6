r"""Constrained problems, and one example of everything that an optimal value can do.

These few small problems carry their answers with them.  They are there to give the words of the
first lecture something to refer to; the methods of the course run on `FiniteSum`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.problems.landscapes import exponential, flat_bottom, linear

Function = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class ConstrainedProblem:
    r"""Minimise :math:`f(x)` over :math:`\mathbb R^p`, with :math:`h_i(x) = 0, g_j(x) \le 0`.

    All functions take points of shape ``(..., dim)`` and return values of shape ``(...)``.

    Attributes
    ----------
    name : str
    dim : int
        :math:`p`.
    objective : callable
        :math:`f`.
    equalities, inequalities : tuple of callable
        The :math:`h_i` and the :math:`g_j`; none in an unconstrained problem.
    optimal_value : float
        :math:`f^* = \inf\{f(x) : x \text{ feasible}\}`, found on paper: infinite if there is no
        feasible point, minus infinity if the values have no lower bound.
    solutions : tuple of tuple of float
        Some of the points where the optimal value is attained; empty if there is none.
    approach : callable, optional
        ``k -> point``: feasible points whose values tend to the optimal value as k = 1, 2, ...
        grows, which an infimum always admits; None if there is no feasible point.
    """

    name: str
    dim: int
    objective: Function
    equalities: tuple[Function, ...] = ()
    inequalities: tuple[Function, ...] = ()
    optimal_value: float = -math.inf
    solutions: tuple[tuple[float, ...], ...] = ()
    approach: Callable[[int], ArrayLike] | None = None

    def is_feasible(self, x: ArrayLike, tolerance: float = 1e-9) -> np.bool_ | np.ndarray:
        """Return whether `x` satisfies all constraints, shape ``(...)`` for ``(..., dim)``.

        Parameters
        ----------
        x : array_like of shape (..., dim)
        tolerance : float, default 1e-9
            How far a constraint may be missed; rounding alone misses most equalities.
        """
        points = self._points(x)
        slack = _validate.real("tolerance", tolerance, at_least=0)
        feasible = np.ones(points.shape[:-1], dtype=bool)
        for equality in self.equalities:
            feasible &= np.abs(equality(points)) <= slack
        for inequality in self.inequalities:
            feasible &= inequality(points) <= slack
        return feasible[()]

    def is_solution(self, x: ArrayLike, tolerance: float = 1e-9) -> np.bool_ | np.ndarray:
        """Return whether `x` is feasible and attains the optimal value, shape ``(...)``."""
        attained = self.objective(self._points(x)) <= self.optimal_value + tolerance
        return self.is_feasible(x, tolerance) & attained

    def _points(self, x: ArrayLike) -> FloatArray:
        points = _validate.finite_array("x", x)
        if points.ndim == 0 or points.shape[-1] != self.dim:
            raise ValueError(f"x: wanted shape (..., {self.dim}), got {points.shape}")
        return points


def infeasible() -> ConstrainedProblem:
    r"""Return: minimise :math:`x^2` with :math:`x \ge 1` and :math:`x \le -1`, no x has both."""
    return ConstrainedProblem(
        "infeasible",
        1,
        lambda x: x[..., 0] ** 2,
        inequalities=(lambda x: 1 - x[..., 0], lambda x: x[..., 0] + 1),
        optimal_value=math.inf,
    )


def unbounded() -> ConstrainedProblem:
    """Return: minimise x, which has no lower bound."""
    return ConstrainedProblem(
        "unbounded below", 1, linear().value, optimal_value=-math.inf, approach=lambda k: [-k]
    )


def not_attained() -> ConstrainedProblem:
    r"""Return: minimise :math:`e^x`, whose infimum 0 is no value."""
    return ConstrainedProblem(
        "finite, not attained",
        1,
        exponential().value,
        optimal_value=0.0,
        approach=lambda k: [-k],
    )


def many_solutions() -> ConstrainedProblem:
    r"""Return: minimise :math:`\max(0, |x| - 1)`, solved by every point of [-1, 1]."""
    return ConstrainedProblem(
        "attained, not uniquely",
        1,
        flat_bottom().value,
        optimal_value=0.0,
        solutions=((-1.0,), (0.0,), (1.0,)),
        approach=lambda k: [1 / k],
    )


def one_solution() -> ConstrainedProblem:
    r"""Return: minimise :math:`x_1^2 + x_2^2` with :math:`x_1 + x_2 = 2` and :math:`x_1 \ge 1.5`.

    On the line, f is 2 + 2(x_1 - 1)², which grows from x_1 = 1.5 on.
    """
    return ConstrainedProblem(
        "attained uniquely",
        2,
        lambda x: (x**2).sum(axis=-1),
        equalities=(lambda x: x[..., 0] + x[..., 1] - 2,),
        inequalities=(lambda x: 1.5 - x[..., 0],),
        optimal_value=2.5,
        solutions=((1.5, 0.5),),
        approach=lambda k: [1.5 + 1 / k, 0.5 - 1 / k],
    )


def every_case() -> tuple[ConstrainedProblem, ...]:
    """Return the five problems of this module, one for each case, infeasible first."""
    return (infeasible(), unbounded(), not_attained(), many_solutions(), one_solution())
