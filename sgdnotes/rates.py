r"""The rate table, measured: how many steps each method needs on the hardest instance of a family.

The table has three classes of functions (PL, convex, non-convex) and two oracles (the gradient,
the gradient plus noise of variance :math:`\sigma^2`).  Each of its six *cells* is an object that
knows a family of instances in its class and the exact expected error of the method on each of
them, in closed form; `Cell.error` is the error on the worst instance and `Cell.steps_to` the number
of steps after which it is at most :math:`\varepsilon`.

The families contain instances of every difficulty, and which one is the worst depends on
:math:`\varepsilon`.  It has to be so: on one fixed parabola gradient descent converges linearly,
whatever class one counts the parabola to.  A rate of a class is a statement about the worst of its
members, for each accuracy anew, just as in a lower bound.

>>> for cell in TABLE:
...     print(fit(cell, [1e-2, 1e-3, 1e-4]))
PL, gradient: 4.78 steps per unit of log(1/ε), predicted 4.75
PL, stochastic gradient: steps ~ (1/ε)^1.00, predicted 1
convex, gradient: steps ~ (1/ε)^1.00, predicted 1
convex, stochastic gradient: steps ~ (1/ε)^2.00, predicted 2
non-convex, gradient: steps ~ (1/ε)^1.00, predicted 1
non-convex, stochastic gradient: steps ~ (1/ε)^2.00, predicted 2
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.problems import Landscape, huber

MOST_STEPS = 2**60
"""Where `Cell.steps_to` gives up."""


@dataclass(frozen=True)
class Cell(abc.ABC):
    r"""A cell of the rate table: a class of functions, an oracle, a method, a family of instances.

    Attributes
    ----------
    functions, oracle : str
        The row and the column of the table.
    measure : str
        What is to be made as small as :math:`\varepsilon`.
    exponent : float
        The power of :math:`1/\varepsilon` that theory predicts for the number of steps; zero where
        the number grows like :math:`\log(1/\varepsilon)`.
    """

    functions: ClassVar[str]
    oracle: ClassVar[str]
    measure: ClassVar[str]
    exponent: ClassVar[float]

    def __post_init__(self) -> None:
        for field in fields(self):
            _validate.real(field.name, getattr(self, field.name), above=0)

    @abc.abstractmethod
    def error(self, steps: int) -> float:
        """Return the exact expected error on the worst instance after so many `steps`."""

    @property
    def predicted(self) -> float:
        """What `fit` should find: the exponent, or steps per unit of the logarithm."""
        return self.exponent

    def steps_to(self, accuracy: float) -> int:
        r"""Return the number of steps after which the worst error is at most :math:`\varepsilon`.

        Parameters
        ----------
        accuracy : float
            The :math:`\varepsilon > 0`.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If the error is still larger after 2⁶⁰ steps.

        Notes
        -----
        The error on the worst instance decreases with the number of steps, so that bisection finds
        the first number that suffices.
        """
        wanted = _validate.real("accuracy", accuracy, above=0)
        low, high = 0, 1
        while not self.error(high) <= wanted:
            low, high = high, 2 * high
            if high > MOST_STEPS:
                raise ValueError(
                    f"accuracy: wanted one that {self} reaches, got {wanted:g}, still "
                    f"{self.error(low):.3g} away after {low} steps"
                )
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.error(middle) <= wanted else (middle, high)
        return high

    def cost(self, accuracy: float, n_samples: int) -> int:
        """Return the component gradients spent to reach an accuracy on a sum of n functions.

        Parameters
        ----------
        accuracy : float
        n_samples : int
            A gradient of the sum costs this many; a stochastic gradient costs one.
        """
        each = _validate.integer("n_samples", n_samples, at_least=1)
        return self.steps_to(accuracy) * (each if self.oracle == "gradient" else 1)

    def __str__(self) -> str:
        return f"{self.functions}, {self.oracle}"


@dataclass(frozen=True)
class PLDeterministic(Cell):
    r"""Gradient descent with step 1/L on parabolas of curvature in [μ, L], all with one gap.

    The gap of the parabola of curvature h is :math:`(1 - h/L)^{2k}\Delta_0` after k steps; the
    flattest is the worst.

    Parameters
    ----------
    smoothness, strong_convexity : float
        L and μ, with L above μ.
    initial_gap : float
        :math:`\Delta_0 = f(x_0) - f^*`.
    """

    functions = "PL"
    oracle = "gradient"
    measure = "f(x_k) − f*"
    exponent = 0.0

    smoothness: float = 1.0
    strong_convexity: float = 0.1
    initial_gap: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.real("smoothness", self.smoothness, above=self.strong_convexity)

    @property
    def predicted(self) -> float:
        r"""Steps for each unit of :math:`\log(1/\varepsilon)`: about half of κ = L/μ."""
        return -0.5 / math.log1p(-self.strong_convexity / self.smoothness)

    def error(self, steps: int) -> float:
        """Return the gap of the parabola of curvature μ."""
        return self.initial_gap * math.exp(-steps / self.predicted)


@dataclass(frozen=True)
class PLStochastic(Cell):
    r"""SGD with decreasing steps on parabolas of curvature in [μ, L], all with one gap.

    The steps are :math:`\alpha_k = \frac1{L+\mu k}`.  On the flattest parabola
    :math:`(k+\kappa-1)x_k` is then :math:`(\kappa-1)x_0` plus a sum of k independent terms:

    .. math::

        \mathbb E f(x_k) - f^*
        = \frac{(\kappa-1)^2\Delta_0 + k\sigma^2/(2\mu)}{(k+\kappa-1)^2}.

    At the accuracies of the lecture no other parabola of the family is worse.

    Parameters
    ----------
    smoothness, strong_convexity : float
        L and μ, with L at least μ.
    initial_gap : float
        :math:`\Delta_0`.
    noise : float
        :math:`\sigma`, the standard deviation of the stochastic gradient.
    """

    functions = "PL"
    oracle = "stochastic gradient"
    measure = "E f(x_k) − f*"
    exponent = 1.0

    smoothness: float = 1.0
    strong_convexity: float = 0.1
    initial_gap: float = 1.0
    noise: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.real("smoothness", self.smoothness, at_least=self.strong_convexity)

    def error(self, steps: int) -> float:
        """Return the expected gap of the parabola of curvature μ."""
        excess = self.smoothness / self.strong_convexity - 1
        if steps + excess == 0:
            return self.initial_gap
        noise = steps * self.noise**2 / (2 * self.strong_convexity)
        return (excess**2 * self.initial_gap + noise) / (steps + excess) ** 2

    def step_size(self, k: int) -> float:
        r"""Return :math:`\alpha_k = \frac1{L+\mu k}` at step `k`."""
        return 1 / (self.smoothness + self.strong_convexity * k)


@dataclass(frozen=True)
class ConvexDeterministic(Cell):
    r"""Gradient descent with step 1/L on parabolas of curvature in (0, L], all at one distance.

    The worst after N steps has curvature :math:`\frac L{2N+1}`: flatter ones start with a smaller
    gap, steeper ones lose theirs sooner.

    Parameters
    ----------
    smoothness : float
        L.
    radius : float
        :math:`R = \|x_0 - x^*\|`.
    """

    functions = "convex"
    oracle = "gradient"
    measure = "f(x_k) − f*"
    exponent = 1.0

    smoothness: float = 1.0
    radius: float = 1.0

    def expected_error(self, curvature: ArrayLike, steps: int) -> FloatArray:
        """Return the gap after so many `steps` on the parabola of this `curvature`."""
        h = np.asarray(curvature, dtype=float)
        return np.asarray(h / 2 * self.radius**2 * (1 - h / self.smoothness) ** (2 * steps))

    def error(self, steps: int) -> float:
        """Return the gap of the parabola that is the worst for this number of `steps`."""
        return float(self.expected_error(self.smoothness / (2 * steps + 1), steps))


class _Tuned(Cell):
    """A cell whose method has a constant step, tuned to the number of steps it will take."""

    smoothness: float

    @abc.abstractmethod
    def expected_error(self, curvature: ArrayLike, step_size: float, steps: int) -> FloatArray:
        """Return the exact expected error on parabolas of some curvatures."""

    @abc.abstractmethod
    def theory_step(self, steps: int) -> float:
        """Return the step size that the theorem of the row recommends for so many steps."""

    def worst(self, step_size: float, steps: int) -> tuple[float, float]:
        """Return the curvature that is the worst for a step size, and the error there.

        Parameters
        ----------
        step_size : float
            In (0, 1/L].
        steps : int
        """
        # Flatter than this, a parabola hardly moves in so many steps.
        flattest = min(1e-3 / (step_size * steps), 1e-3 * self.smoothness)
        grid = np.geomspace(flattest, self.smoothness, 200)
        errors = self.expected_error(grid, step_size, steps)
        best = int(errors.argmax())
        # Twice a finer grid between the neighbours leaves an error far below that of a fit.
        for _ in range(2):
            grid = np.geomspace(grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)], 41)
            errors = self.expected_error(grid, step_size, steps)
            best = int(errors.argmax())
        return float(grid[best]), float(errors[best])

    def tuned(self, steps: int) -> tuple[float, float]:
        """Return the step size in (0, 1/L] with the smallest worst error, and that error.

        Parameters
        ----------
        steps : int
            The length of the run that the step size is tuned to.
        """

        def worst(log_step: float) -> float:
            return self.worst(math.exp(log_step), steps)[1]

        longest = -math.log(self.smoothness)
        about = min(longest, math.log(self.theory_step(steps)))
        found = minimize_scalar(
            worst,
            bounds=(about - 3, min(about + 3, longest)),
            method="bounded",
            options={"xatol": 1e-6},
        )
        # The search never tries the ends of its interval, and 1/L may be the best of all.
        return min(((math.exp(x), worst(x)) for x in (found.x, longest)), key=lambda pair: pair[1])

    def error(self, steps: int) -> float:
        """Return the smallest worst error that a constant step can have after `steps` steps."""
        return self.tuned(steps)[1]


@dataclass(frozen=True)
class ConvexStochastic(_Tuned):
    r"""Averaged SGD with the best constant step on parabolas of curvature in (0, L].

    All start at one distance, and :math:`\bar x_T` is the mean of :math:`x_0, \dots, x_{T-1}`.
    With :math:`q = 1 - \alpha h`, on the parabola of curvature h,

    .. math::

        \mathbb E f(\bar x_T) - f^* = \frac h2\Bigl(\frac{1-q^T}{\alpha hT}\Bigr)^2R^2
        + \frac{\sigma^2}{2hT^2}\sum_{m<T}(1-q^m)^2.

    Parameters
    ----------
    smoothness : float
        L.
    radius : float
        :math:`R = \|x_0 - x^*\|`.
    noise : float
        :math:`\sigma`.
    """

    functions = "convex"
    oracle = "stochastic gradient"
    measure = "E f(x̄_k) − f*"
    exponent = 2.0

    smoothness: float = 1.0
    radius: float = 1.0
    noise: float = 1.0

    def theory_step(self, steps: int) -> float:
        r"""Return :math:`\frac R{\sigma\sqrt T}` for a run of `steps` steps."""
        return self.radius / (self.noise * math.sqrt(steps))

    def expected_error(self, curvature: ArrayLike, step_size: float, steps: int) -> FloatArray:
        r"""Return the expected gap of the averaged iterate on parabolas.

        Parameters
        ----------
        curvature : array_like
            Positive; the digits of the sum cancel where :math:`\alpha hT` is below 1e-4 or so.
        step_size : float
            In (0, 1/L].
        steps : int
            At least 1.
        """
        h = np.asarray(curvature, dtype=float)
        u = step_size * h
        gone, gone_twice = _one_minus_power(u, steps), _one_minus_power(u, 2 * steps)
        bias = h / 2 * (gone / (u * steps)) ** 2 * self.radius**2
        total = steps - 2 * gone / u + gone_twice / (u * (2 - u))
        return np.asarray(bias + self.noise**2 * total / (2 * h * steps**2))


@dataclass(frozen=True)
class NonconvexDeterministic(Cell):
    r"""Gradient descent with step 1/L on ramps: the slope is constant until shortly before the end.

    A ramp of slope s is :math:`s|x| - \frac{s^2}{2L}` outside of :math:`|x| \le s/L`, where a
    parabola closes it.  All start with the gap :math:`\Delta_0`.  A step lowers the ramp by
    :math:`s^2/L`, and :math:`\|\nabla f\|^2 = s^2` until it ends: slopes with
    :math:`L\Delta_0/s^2 \ge N + \frac12` are still on the ramp after N steps.

    Parameters
    ----------
    smoothness : float
        L.
    initial_gap : float
        :math:`\Delta_0`.
    """

    functions = "non-convex"
    oracle = "gradient"
    measure = "min ‖∇f(x_k)‖²"
    exponent = 1.0

    smoothness: float = 1.0
    initial_gap: float = 1.0

    def error(self, steps: int) -> float:
        """Return the squared slope of the steepest ramp that has not ended after `steps` steps."""
        return self.smoothness * self.initial_gap / (steps + 0.5)

    def instance(self, accuracy: float) -> tuple[Landscape, float]:
        r"""Return a ramp whose slope is just above :math:`\sqrt\varepsilon`, and where to start.

        Parameters
        ----------
        accuracy : float
            The :math:`\varepsilon`, below twice :math:`L\Delta_0`; only for L = 1.
        """
        if self.smoothness != 1:
            raise ValueError(f"smoothness: wanted 1, got {self.smoothness:g}")
        most = 2 * self.initial_gap
        slope = math.sqrt(_validate.real("accuracy", accuracy, above=0, at_most=most)) * (1 + 1e-9)
        return huber(slope), self.initial_gap / slope + slope / 2


@dataclass(frozen=True)
class NonconvexStochastic(_Tuned):
    r"""SGD with the best constant step on parabolas of curvature in (0, L], all with one gap.

    What must become small is the average of :math:`\mathbb E f'(x_t)^2` over :math:`t < T`, which
    is :math:`\mathbb E f'(\hat x)^2` for an iterate :math:`\hat x` drawn uniformly from the run.
    With :math:`q = 1 - \alpha h` and :math:`S = \frac1T\sum_{t<T}q^{2t}` it is

    .. math:: 2\Delta_0hS + \frac{\alpha h\sigma^2}{2-\alpha h}(1-S).

    The first term is the price of the descent, about :math:`\frac{\Delta_0}{\alpha T}` on all
    parabolas that the run has time to descend; the noise is the largest on the steepest of them.

    Parameters
    ----------
    smoothness : float
        L.
    initial_gap : float
        :math:`\Delta_0`.
    noise : float
        :math:`\sigma`.
    """

    functions = "non-convex"
    oracle = "stochastic gradient"
    measure = "average of E‖∇f(x_t)‖²"
    exponent = 2.0

    smoothness: float = 1.0
    initial_gap: float = 1.0
    noise: float = 1.0

    def theory_step(self, steps: int) -> float:
        r"""Return :math:`\sqrt{\frac{2\Delta_0}{L\sigma^2T}}` for a run of `steps` steps."""
        return math.sqrt(2 * self.initial_gap / (self.smoothness * steps)) / self.noise

    def expected_error(self, curvature: ArrayLike, step_size: float, steps: int) -> FloatArray:
        """Return the average over the run of the expected squared derivative, on parabolas.

        Parameters
        ----------
        curvature : array_like
            Positive.
        step_size : float
            In (0, 1/L].
        steps : int
            At least 1.
        """
        h = np.asarray(curvature, dtype=float)
        u = step_size * h
        left = _one_minus_power(u, 2 * steps) / (u * (2 - u) * steps)
        floor = u * self.noise**2 / (2 - u)
        return np.asarray(2 * self.initial_gap * h * left + floor * (1 - left))


@dataclass(frozen=True)
class NonconvexLastIterate(NonconvexStochastic):
    r"""The same parabolas, with the method judged by its last iterate.

    On the parabola of curvature h the error is
    :math:`2\Delta_0hq^{2T} + \frac{\alpha h\sigma^2}{2-\alpha h}(1-q^{2T})`.  Now two kinds of
    instances are needed: on the flat ones a short step has not yet arrived, and the noise of the
    steep ones forbids a long step.
    """

    measure = "E‖∇f(x_T)‖²"

    def expected_error(self, curvature: ArrayLike, step_size: float, steps: int) -> FloatArray:
        """Return the expected squared derivative at the last iterate.

        Parameters
        ----------
        curvature : array_like
        step_size : float
        steps : int
            As for `NonconvexStochastic`.
        """
        h = np.asarray(curvature, dtype=float)
        u = step_size * h
        gone = _one_minus_power(u, 2 * steps)
        floor = u * self.noise**2 / (2 - u)
        return np.asarray(2 * self.initial_gap * h * (1 - gone) + floor * gone)


TABLE: tuple[Cell, ...] = (
    PLDeterministic(),
    PLStochastic(),
    ConvexDeterministic(),
    ConvexStochastic(),
    NonconvexDeterministic(),
    NonconvexStochastic(),
)
"""The six cells with L = 1, μ = 0.1 and all other constants 1, row by row."""


@dataclass(frozen=True, eq=False)
class Fit:
    r"""What the numbers of steps say about the rate.

    Attributes
    ----------
    cell : Cell
    accuracies : ndarray of shape (m,)
    steps : ndarray of shape (m,)
        `Cell.steps_to` at each accuracy.
    measured, predicted : float
        The exponent of :math:`1/\varepsilon`; for a cell of exponent zero the number of steps for
        each unit of :math:`\log(1/\varepsilon)`.
    """

    cell: Cell
    accuracies: FloatArray
    steps: FloatArray
    measured: float
    predicted: float

    @property
    def deviation(self) -> float:
        """How far the exponent is from the prediction; for exponent zero, the relative error."""
        scale = 1.0 if self.cell.exponent else self.predicted
        return abs(self.measured - self.predicted) / scale

    def __str__(self) -> str:
        if self.cell.exponent:
            return f"{self.cell}: steps ~ (1/ε)^{self.measured:.2f}, predicted {self.predicted:g}"
        return (
            f"{self.cell}: {self.measured:.2f} steps per unit of log(1/ε), "
            f"predicted {self.predicted:.2f}"
        )

    __repr__ = __str__


def fit(cell: Cell, accuracies: ArrayLike) -> Fit:
    r"""Measure a rate: count steps on a ladder of accuracies and fit a line by least squares.

    Parameters
    ----------
    cell : Cell
    accuracies : array_like of shape (m,)
        At least two different positive numbers.

    Returns
    -------
    Fit
        Its line is the logarithm of the steps against :math:`\log(1/\varepsilon)`, and for a cell
        of exponent zero the steps themselves.
    """
    _cell("cell", cell)
    ladder = _validate.finite_array("accuracies", accuracies, ndim=1)
    if len(set(ladder)) < 2:
        raise ValueError(f"accuracies: wanted two different ones or more, got {accuracies!r}")
    steps = np.array([cell.steps_to(accuracy) for accuracy in ladder], dtype=float)
    heights = np.log(steps) if cell.exponent else steps
    slope = float(np.polyfit(-np.log(ladder), heights, 1)[0])
    return Fit(cell, ladder, steps, slope, cell.predicted)


def _cell(name: str, value: object) -> None:
    if not isinstance(value, Cell):
        raise ValueError(f"{name}: wanted a cell of the rate table, got {value!r}")


def crossing(deterministic: Cell, stochastic: Cell, n_samples: int) -> float:
    """Return the accuracy at which both methods of a row cost the same.

    Parameters
    ----------
    deterministic, stochastic : Cell
        Two cells of one row.
    n_samples : int
        Number of components; at least 2.

    Returns
    -------
    float
        Coarser accuracies cost less with stochastic gradients, finer ones with gradients.

    Raises
    ------
    ValueError
        If the two are no row.
    """
    _cell("deterministic", deterministic)
    _cell("stochastic", stochastic)
    _validate.integer("n_samples", n_samples, at_least=2)
    if (deterministic.oracle, stochastic.oracle) != ("gradient", "stochastic gradient"):
        raise ValueError(
            f"stochastic: wanted a stochastic cell after a deterministic one, got "
            f"{deterministic} and {stochastic}"
        )

    # Along the steps T of the stochastic method its error falls and the cost of reaching that error
    # by gradients rises, but more slowly than T.
    def stochastic_cheaper(steps: int) -> bool:
        return steps < deterministic.cost(stochastic.error(steps), n_samples)

    low, high = 1, 2
    while stochastic_cheaper(high):
        low, high = high, 2 * high
    while high - low > max(1, 1e-6 * low):
        middle = (low + high) // 2
        low, high = (middle, high) if stochastic_cheaper(middle) else (low, middle)
    return stochastic.error(low)


def _one_minus_power(u: FloatArray, power: int) -> FloatArray:
    """Return 1 - (1 - u)^power for u in (0, 1] without cancellation for small u."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(power * np.log1p(-u)))
