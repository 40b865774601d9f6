"""Update rules: from a point and a gradient to the next point.

An update that must remember something carries it as explicit state: `init` makes the state at the
start, `apply` returns the next point together with the next state.  Points and states are replaced
and never changed in place: the engine may return to earlier ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.constraints import Constraint
from sgdnotes.problems import Objective
from sgdnotes.schedules import Schedule, evaluate

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
        _check_constraint(self.constraint, "project")

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
class ShrinkingStep:
    r"""A gradient step, after which every coordinate moves towards zero: proximal SGD with l1.

    With :math:`y = x - \alpha g` it is :math:`x^+_j = \operatorname{sign}(y_j)\max\{0, |y_j| -
    \alpha\lambda_j\}`, the minimiser of :math:`\frac1{2\alpha}\|x - y\|^2 + \sum_j\lambda_j|x_j|`.

    Parameters
    ----------
    penalty : array_like of shape () or (dim,)
        :math:`\lambda_j \ge 0`, one for all coordinates or one for each.
    """

    penalty: ArrayLike

    def __post_init__(self) -> None:
        penalty = _validate.finite_array("penalty", np.atleast_1d(self.penalty), ndim=1)
        if (penalty < 0).any():
            raise ValueError(f"penalty: wanted numbers of at least 0, got {penalty.min():g}")
        object.__setattr__(self, "penalty", penalty)

    def init(self, problem: Objective, x: FloatArray) -> None:
        """Check that there is a penalty for each coordinate; nothing is remembered."""
        count = len(np.asarray(self.penalty))
        if count not in (1, x.shape[1]):
            raise ValueError(f"penalty: wanted 1 or {x.shape[1]} numbers, got {count}")

    def apply(
        self,
        problem: Objective,
        x: FloatArray,
        gradient: FloatArray,
        step_size: StepSize,
        state: None,
    ) -> tuple[FloatArray, None]:
        """Return the points after the step and the shrinking."""
        ahead = x - step_size * gradient
        size = np.maximum(np.abs(ahead) - step_size * np.asarray(self.penalty), 0.0)
        return np.copysign(size, ahead), None


@dataclass(frozen=True)
class SupportStep:
    """A gradient step of the coordinates that were not zero at the start; the others stay zero.

    What is remembered are the places of the former, in each replicate for itself.
    """

    def init(self, problem: Objective, x: FloatArray) -> FloatArray:
        """Return ones where the starting points are not zero, and zeros elsewhere."""
        return np.asarray(x != 0, dtype=float)

    def apply(
        self,
        problem: Objective,
        x: FloatArray,
        gradient: FloatArray,
        step_size: StepSize,
        state: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the points after one step, and the places."""
        return x - step_size * state * gradient, state


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
        _check_constraint(self.constraint, "linear_minimizer")
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
        _check_frank_wolfe(step_size, gradient)
        ahead = self.constraint.linear_minimizer(gradient) - x
        if self.curvature is not None:
            slope, length = -np.vecdot(gradient, ahead), self.curvature * np.vecdot(ahead, ahead)
            short = np.divide(slope, length, out=np.zeros_like(slope), where=length > 0)
            step_size = np.clip(short[:, None], 0.0, step_size)
        return x + step_size * ahead, None

    @property
    def minimizations(self) -> int:
        """One: the linear minimisations of a step."""
        return 1


@dataclass(frozen=True)
class AdaptiveFrankWolfeStep:
    r"""Frank–Wolfe steps on an adaptive quadratic model: AdaSFW, and AdaCSFW with a `SlopeTable`.

    With the metric :math:`H_k = \operatorname{diag}(\delta + \sqrt{\textstyle\sum_{j\le k}g_j^2})`
    the model at the point :math:`x` is

    .. math::

        Q(y) = \langle g, y\rangle + \frac{1}{2\eta}\langle y - x, H_k(y - x)\rangle.

    From :math:`y = x` on, K times in a row, :math:`v` minimises :math:`\langle\nabla Q(y),
    v\rangle` over C and y moves towards v to where Q is least, but not by more than the step size
    :math:`\gamma` of the way; then :math:`x^+ = y`.  What is remembered are the sums
    :math:`\sum_jg_j^2`.

    Parameters
    ----------
    constraint : Constraint
        The bounded set; a start outside it is refused.
    model_step : float
        :math:`\eta > 0`; infinity stands for the linear model, which does not limit the steps.
    inner_steps : int, default 2
        :math:`K \ge 1`.
    offset : float, default 1e-8
        :math:`\delta > 0`.

    References
    ----------
    Combettes, Spiegel and Pokutta (2020).
    """

    constraint: Constraint
    model_step: float
    inner_steps: int = 2
    offset: float = 1e-8

    def __post_init__(self) -> None:
        _check_constraint(self.constraint, "linear_minimizer")
        if self.model_step != np.inf:
            _validate.real("model_step", self.model_step, above=0)
        _validate.integer("inner_steps", self.inner_steps, at_least=1)
        _validate.real("offset", self.offset, above=0)

    @property
    def minimizations(self) -> int:
        """K: the linear minimisations of a step."""
        return self.inner_steps

    def init(self, problem: Objective, x: FloatArray) -> FloatArray:
        """Check that the starting points lie in the set, and return the sums of squares: zero."""
        _check_start(self.constraint, x)
        return np.zeros_like(x)

    def apply(
        self,
        problem: Objective,
        x: FloatArray,
        gradient: FloatArray,
        step_size: StepSize,
        state: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the points after K steps on the model, and the sums of squares."""
        _check_frank_wolfe(step_size, gradient)
        squares = state + gradient**2
        metric = (self.offset + np.sqrt(squares)) / self.model_step
        point = x
        for _ in range(self.inner_steps):
            slope = gradient + metric * (point - x)
            ahead = self.constraint.linear_minimizer(slope) - point
            fall, bend = -np.vecdot(slope, ahead), np.vecdot(metric, ahead**2)
            best = np.divide(fall, bend, out=np.full_like(fall, np.inf), where=bend > 0)
            point = point + np.clip(best[:, None], 0.0, step_size) * ahead
        return point, squares


@dataclass(frozen=True)
class BlockStep:
    r"""A Frank–Wolfe step for some coordinates and a gradient step for the others: FW-SD.

    The same gradient serves both: :math:`x_C^+ = x_C + \gamma(v - x_C)` with v the minimiser of
    :math:`\langle g_C, v\rangle`, and :math:`x_F^+ = x_F - \alpha g_F` for the free coordinates F.
    What is remembered is the step number.

    Parameters
    ----------
    constrained : FrankWolfeStep or AdaptiveFrankWolfeStep
        The step for the constrained coordinates; the engine's step sizes are its.
    free : sequence of int
        F, the coordinates that move freely; with none of them the step is `constrained`.
    free_step : float or callable, default 1
        :math:`\alpha > 0`, a number or a schedule.

    References
    ----------
    Grigas, Lobos and Vermeersch (2019).
    """

    constrained: FrankWolfeStep | AdaptiveFrankWolfeStep
    free: Sequence[int]
    free_step: float | Schedule = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.constrained, (FrankWolfeStep, AdaptiveFrankWolfeStep)):
            raise ValueError(
                f"constrained: wanted a FrankWolfeStep or an AdaptiveFrankWolfeStep, "
                f"got {self.constrained!r}"
            )
        if np.ndim(self.free) != 1:
            raise ValueError(f"free: wanted a sequence of coordinates, got {self.free!r}")
        free = tuple(_validate.integer("free", j, at_least=0) for j in self.free)
        if len(set(free)) < len(free):
            raise ValueError(f"free: wanted each coordinate once, got {self.free!r}")
        object.__setattr__(self, "free", free)
        if not callable(self.free_step):
            _validate.real("free_step", self.free_step, above=0)

    @property
    def minimizations(self) -> int:
        """The linear minimisations of a step for the constrained coordinates."""
        return self.constrained.minimizations

    def _split(self, dim: int) -> tuple[IntArray, IntArray]:
        if any(j >= dim for j in self.free) or len(self.free) >= dim:
            raise ValueError(
                f"free: wanted coordinates below {dim}, but not all of them, got {self.free!r}"
            )
        free = np.array(self.free, dtype=np.int64)
        return np.delete(np.arange(dim), free), free

    def init(self, problem: Objective, x: FloatArray) -> tuple[int, Any]:
        """Check the starting points; return the step number and the state of the other step."""
        constrained, _ = self._split(x.shape[1])
        return 0, self.constrained.init(problem, x[:, constrained])

    def apply(
        self,
        problem: Objective,
        x: FloatArray,
        gradient: FloatArray,
        step_size: StepSize,
        state: tuple[int, Any],
    ) -> tuple[FloatArray, tuple[int, Any]]:
        """Return the points after both steps."""
        k, memory = state
        constrained, free = self._split(x.shape[1])
        free_step = float(evaluate(self.free_step, k, k + 1, "free_step")[0])
        following = np.empty_like(x)
        following[:, free] = x[:, free] - free_step * gradient[:, free]
        following[:, constrained], memory = self.constrained.apply(
            problem, x[:, constrained], gradient[:, constrained], step_size, memory
        )
        return following, (k + 1, memory)


def _check_frank_wolfe(step_size: StepSize, gradient: FloatArray) -> None:
    largest = step_size.max() if isinstance(step_size, np.ndarray) else step_size
    if largest > 1:
        raise ValueError(f"step_size: wanted at most 1 for a Frank–Wolfe step, got {largest:g}")
    if not np.isfinite(gradient).all():
        raise ValueError("gradient: wanted finite numbers for a Frank–Wolfe step, got others")


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


def _check_constraint(constraint: object, method: str) -> None:
    if not all(callable(getattr(constraint, name, None)) for name in (method, "contains")):
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
