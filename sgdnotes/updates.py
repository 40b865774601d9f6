"""Update rules: from a point and a gradient to the next point.

An update that must remember something carries it as explicit state: `init` makes the state at the
start, `apply` returns the next point together with the next state.  Points and states are replaced
and never changed in place: the engine may return to earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.constraints import Constraint
from sgdnotes.problems import Objective

StepSize = float | FloatArray  # one for all replicates, or a column of shape (replicates, 1)


class Update(Protocol):
    """Something that moves points along gradients."""

    def init(self, problem: Objective, x: FloatArray) -> Any:
        """Return the state at the start, None for an update without memory."""

    def apply(
        self,
        problem: Objective,
        x: FloatArray,
        gradient: FloatArray,
        step_size: StepSize,
        state: Any,
    ) -> tuple[FloatArray, Any]:
        """Return the next points, shape ``(replicates, dim)``, and the next state."""


@runtime_checkable
class LinearUpdate(Update, Protocol):
    r"""An update that is linear in the point, in what it remembers, and in the gradient.

    The point and m - 1 remembered vectors, stacked into :math:`z \in (\mathbb R^p)^m` with the
    point first, move by :math:`z^+ = Kz - \alpha\,(b \otimes g)`.  Remembered differences start at
    zero; remembered points start at the starting point.
    """

    @property
    def mixing(self) -> FloatArray:
        """The matrix K, shape ``(m, m)``."""

    @property
    def gain(self) -> FloatArray:
        """The vector b, shape ``(m,)``."""

    @property
    def remembers_points(self) -> bool:
        """Whether what is remembered are points, which start at x_0, or differences (at 0)."""


@dataclass(frozen=True)
class GradientStep:
    r"""The step :math:`x^+ = x - \alpha g`."""

    @property
    def mixing(self) -> FloatArray:
        """The matrix (1)."""
        return np.eye(1)

    @property
    def gain(self) -> FloatArray:
        """The vector (1)."""
        return np.ones(1)

    @property
    def remembers_points(self) -> bool:
        """False: nothing is remembered."""
        return False

    def init(self, problem: Objective, x: FloatArray) -> None:
        """Return None: nothing is remembered."""

    def apply(
        self,
        problem: Objective,
        x: FloatArray,
        gradient: FloatArray,
        step_size: StepSize,
        state: None,
    ) -> tuple[FloatArray, None]:
        """Return the points after one step."""
        return x - step_size * gradient, None


def _check_momentum(momentum: float) -> None:
    if _validate.real("momentum", momentum, at_least=0) >= 1:
        raise ValueError(f"momentum: wanted a number below 1, got {momentum:g}")


@dataclass(frozen=True)
class HeavyBall:
    r"""Polyak's momentum, :math:`x_{k+1} = x_k - \alpha g(x_k) + \beta(x_k - x_{k-1})`.

    What is remembered is the last difference :math:`x_k - x_{k-1}`, zero at the start.

    Parameters
    ----------
    momentum : float
        :math:`\beta \in [0, 1)`.
    """

    momentum: float

    def __post_init__(self) -> None:
        _check_momentum(self.momentum)

    @property
    def mixing(self) -> FloatArray:
        """The matrix that moves the point and the last difference where the gradient is zero."""
        return np.array([[1.0, self.momentum], [0.0, self.momentum]])

    @property
    def gain(self) -> FloatArray:
        """The vector (1, 1): a gradient moves the point and the difference alike."""
        return np.ones(2)

    @property
    def remembers_points(self) -> bool:
        """False: a difference is remembered."""
        return False

    def init(self, problem: Objective, x: FloatArray) -> FloatArray:
        """Return the last differences: zero, shape ``(replicates, dim)``."""
        return np.zeros_like(x)

    def apply(
        self,
        problem: Objective,
        x: FloatArray,
        gradient: FloatArray,
        step_size: StepSize,
        state: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the points after one step and the differences from the points before it."""
        difference = self.momentum * state - step_size * gradient
        return x + difference, difference


@dataclass(frozen=True)
class Nesterov:
    r"""Nesterov's momentum, whose gradients are taken at an extrapolated point.

    With :math:`y_0 = z_0`,

    .. math::

        z_{k+1} = y_k - \alpha g(y_k), \qquad y_{k+1} = z_{k+1} + \beta(z_{k+1} - z_k).

    The point that the engine moves and records is :math:`y_k`, where the gradient is taken; what
    is remembered is :math:`z_k`.

    Parameters
    ----------
    momentum : float
        :math:`\beta \in [0, 1)`.
    """

    momentum: float

    def __post_init__(self) -> None:
        _check_momentum(self.momentum)

    @property
    def mixing(self) -> FloatArray:
        """The matrix that moves y and z where the gradient is zero."""
        return np.array([[1 + self.momentum, -self.momentum], [1.0, 0.0]])

    @property
    def gain(self) -> FloatArray:
        r"""The vector :math:`(1 + \beta, 1)`."""
        return np.array([1 + self.momentum, 1.0])

    @property
    def remembers_points(self) -> bool:
        """True: z is a point."""
        return True

    def init(self, problem: Objective, x: FloatArray) -> FloatArray:
        """Return the points before extrapolation: the starting points."""
        return x

    def apply(
        self,
        problem: Objective,
        x: FloatArray,
        gradient: FloatArray,
        step_size: StepSize,
        state: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the next extrapolated points and the points that they extrapolate from."""
        following = x - step_size * gradient
        return following + self.momentum * (following - state), following


@dataclass(frozen=True)
class ProjectedStep:
    r"""The step :math:`x^+ = \Pi_C(x - \alpha g)`, projected onto a convex set C.

    Parameters
    ----------
    constraint : Constraint
        The set; a start outside it is refused.
    """

    constraint: Constraint

    def __post_init__(self) -> None:
        _check_constraint(self.constraint)

    def init(self, problem: Objective, x: FloatArray) -> None:
        """Check that the starting points lie in the set; nothing is remembered."""
        _check_start(self.constraint, x)

    def apply(
        self,
        problem: Objective,
        x: FloatArray,
        gradient: FloatArray,
        step_size: StepSize,
        state: None,
    ) -> tuple[FloatArray, None]:
        """Return the points of the set nearest to where a gradient step leads."""
        return self.constraint.project(x - step_size * gradient), None


@dataclass(frozen=True)
class FrankWolfeStep:
    r"""The step :math:`x^+ = x + \gamma(v - x)` towards the point v of a convex set C.

    Here v minimises :math:`\langle g, v\rangle` over C, and the step size :math:`\gamma` is at most
    1, so that :math:`x^+` lies between two points of C and nothing need be projected.

    Parameters
    ----------
    constraint : Constraint
        The bounded set; a start outside it is refused.
    curvature : float, optional
        A bound L on the smoothness of f.  With it the given step sizes are upper bounds only, and
        the *short step* :math:`\gamma = \langle g, x-v\rangle/(L\|x-v\|^2)` is taken where it is
        shorter: the best step for the quadratic model with curvature L.
    """

    constraint: Constraint
    curvature: float | None = None

    def __post_init__(self) -> None:
        _check_constraint(self.constraint)
        if self.curvature is not None:
            _validate.real("curvature", self.curvature, above=0)

    def init(self, problem: Objective, x: FloatArray) -> None:
        """Check that the starting points lie in the set; nothing is remembered."""
        _check_start(self.constraint, x)

    def apply(
        self,
        problem: Objective,
        x: FloatArray,
        gradient: FloatArray,
        step_size: StepSize,
        state: None,
    ) -> tuple[FloatArray, None]:
        """Return the points on the way to those that minimise the linear model."""
        if np.max(step_size) > 1:
            raise ValueError(
                f"step_size: wanted at most 1 for a Frank–Wolfe step, got {np.max(step_size):g}"
            )
        if not np.isfinite(gradient).all():
            raise ValueError("gradient: wanted finite numbers for a Frank–Wolfe step, got others")
        ahead = self.constraint.linear_minimizer(gradient) - x
        if self.curvature is not None:
            slope, length = -np.vecdot(gradient, ahead), self.curvature * np.vecdot(ahead, ahead)
            short = np.divide(slope, length, out=np.zeros_like(slope), where=length > 0)
            step_size = np.clip(short[:, None], 0.0, step_size)
        return x + step_size * ahead, None


def frank_wolfe_gap(problem: Objective, constraint: Constraint, x: FloatArray) -> FloatArray:
    r"""Return the Frank–Wolfe gap :math:`\max_{v\in C}\langle\nabla f(x), x - v\rangle`.

    At points of C it is at least 0, and 0 just where no feasible direction descends.  If f is
    convex it certifies how good a point is: :math:`f(x) - \min_Cf` is at most the gap.

    Parameters
    ----------
    problem : Objective
    constraint : Constraint
        The bounded set C.
    x : ndarray of shape (..., dim)

    Returns
    -------
    ndarray of shape (...)
    """
    gradient = problem.gradient(x)
    return np.asarray(np.vecdot(gradient, x - constraint.linear_minimizer(gradient)))


def _check_constraint(constraint: object) -> None:
    if not callable(getattr(constraint, "project", None)):
        raise ValueError(f"constraint: wanted a Constraint such as L2Ball, got {constraint!r}")


def _check_start(constraint: Constraint, x: FloatArray) -> None:
    if not constraint.contains(x).all():
        raise ValueError(f"x0: wanted points of {constraint}, got one outside it")


@dataclass(frozen=True)
class BacktrackingStep:
    r"""A gradient step whose size is found by backtracking line search.

    Starting from the scheduled step size, the trial step is multiplied by `shrink` until Armijo's
    condition :math:`f(x - \alpha g) \le f(x) - c\,\alpha\|g\|^2` holds.  It is meant for full
    gradients: along a stochastic gradient the condition may fail for every step.

    Parameters
    ----------
    decrease : float, default 0.5
        The constant :math:`c \in (0, 1)`.
    shrink : float, default 0.5
        Factor in (0, 1).
    max_trials : int, default 60
        After so many trials the step is taken as it is, shrunk once more.
    """

    decrease: float = 0.5
    shrink: float = 0.5
    max_trials: int = 60

    def __post_init__(self) -> None:
        for name in ("decrease", "shrink"):
            value = _validate.real(name, getattr(self, name), above=0)
            if value >= 1:
                raise ValueError(f"{name}: wanted a number below 1, got {value:g}")
        _validate.integer("max_trials", self.max_trials, at_least=1)

    def init(self, problem: Objective, x: FloatArray) -> FloatArray:
        """Return the accepted steps so far: none, shape ``(replicates,)``."""
        return np.full(len(x), np.nan)

    def apply(
        self,
        problem: Objective,
        x: FloatArray,
        gradient: FloatArray,
        step_size: StepSize,
        state: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the points after one step and the accepted step sizes, one a replicate."""
        value = problem.value(x)
        slope = self.decrease * (gradient**2).sum(axis=1)
        accepted = np.ones(len(x)) * np.ravel(step_size)
        for _ in range(self.max_trials):
            trial = x - accepted[:, None] * gradient
            too_long = ~(problem.value(trial) <= value - accepted * slope)
            if not too_long.any():
                break
            accepted = np.where(too_long, self.shrink * accepted, accepted)
        return x - accepted[:, None] * gradient, accepted
