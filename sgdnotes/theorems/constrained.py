"""What theorems on Frank–Wolfe methods are checked on: problems on convex sets.

Whether a minibatch is random or not, a Frank–Wolfe step leads towards one of few points, and many
ways lead to the same place.  That is why the distribution of an iterate can be followed exactly,
place by place, over far more steps than there are sequences of minibatches to list.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import gammaln, ndtr

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.constraints import Box, Constraint, L1Ball, L2Ball, Simplex
from sgdnotes.engine import Trace, run
from sgdnotes.oracles import FullGradient
from sgdnotes.problems import (
    FiniteSum,
    GaussianQuadratic,
    Objective,
    QuadraticForm,
    TiltedQuadratic,
    check_objective,
)
from sgdnotes.sampling import Sampling, WithReplacement, resolve
from sgdnotes.schedules import BatchSchedule, Schedule, evaluate, evaluate_batches
from sgdnotes.updates import FrankWolfeStep, ProjectedStep, frank_wolfe_gap

PARAMETERS = {"batch_growth", "batch_period", "exponent", "decay", "decay_period", "rate_constant"}
CONSTANTS = {
    "smoothness",
    "mean_smoothness",
    "root_mean_square_smoothness",
    "diameter",
    "variance",
    "free_variance",
    "delay",
}
CLAIMS = CONSTANTS | PARAMETERS

MAX_PLACES = 2**17  # places that an iterate may be in, followed one by one
MAX_WAYS = 2**20  # ways to leave these places in one step, before some of them meet
MAX_BATCHES = 2**12  # different minibatches of one step
SAME = 1e-13  # places closer than this part of the diameter are one


# ---- extremes over a set ----------------------------------------------------------------------


def extremes(problem: Objective, constraint: Constraint) -> tuple[float, float]:
    """Return the infimum and the supremum of a function over a convex set.

    They are known exactly for quadratics on Euclidean balls, for functions of one variable on
    intervals (found on a fine grid, then refined, unless quadratic), and for quadratics with equal
    curvatures that are not negative on the other sets.

    Parameters
    ----------
    problem : Objective
    constraint : Constraint

    Raises
    ------
    ValueError
        If they are not known.
    """
    ball = _as_ball(problem, constraint)
    if isinstance(problem, QuadraticForm):
        if ball is not None:
            return problem.extremes_on_ball(ball.radius, ball.center)
        if 0 <= problem.curvatures[0] == problem.curvatures[-1]:
            corners = _corners(constraint, problem.dim)
            return _least_of_round(problem, constraint), float(problem.value(corners).max())
    if problem.dim == 1 and ball is not None:
        return _extremes_on_interval(problem, ball)
    raise ValueError(
        f"problem: wanted one whose extremes on {constraint} are known, such as a quadratic on "
        f"a ball or a function on an interval, got {problem!r}"
    )


def infimum(problem: Objective, constraint: Constraint) -> float:
    r"""Return the infimum of a function over a convex set, or a lower bound close to it.

    Where `extremes` does not know it and the function is convex, projected gradient descent finds
    a point whose Frank–Wolfe gap is 1e-9 of that at the start, or what 50 000 steps make of it.
    The value less the gap is a lower bound, and the gap is how far below the infimum it may be.

    Parameters
    ----------
    problem : Objective
    constraint : Constraint
    """
    if isinstance(problem, QuadraticForm) and _as_ball(problem, constraint) is None:
        if 0 <= problem.curvatures[0] == problem.curvatures[-1]:
            return _least_of_round(problem, constraint)
    elif isinstance(problem, QuadraticForm) or problem.dim == 1:
        return extremes(problem, constraint)[0]
    if not (problem.convex and math.isfinite(problem.smoothness)):
        raise ValueError(f"problem: wanted one whose infimum is known, got {problem!r}")
    start = constraint.project(np.zeros(problem.dim))
    scale = float(frank_wolfe_gap(problem, constraint, start)) or 1.0

    def certified(trace: Trace) -> None:
        if float(frank_wolfe_gap(problem, constraint, trace.x)[0]) <= 1e-9 * scale:
            raise StopIteration

    trace = run(
        problem,
        FullGradient(),
        ProjectedStep(constraint),
        x0=start,
        steps=50_000,
        step_size=1 / problem.smoothness,
        record=range(0, 50_000, 100),
        metrics={},  # the minimum on all of space need not be known, nor exist
        callback=certified,
    )
    return float(trace.fun[0] - frank_wolfe_gap(problem, constraint, trace.x)[0])


def _as_ball(problem: Objective, constraint: Constraint) -> L2Ball | None:
    """Return the set as a Euclidean ball, if it is one; intervals are."""
    if isinstance(constraint, L2Ball):
        return constraint
    if problem.dim > 1:
        return None
    low, high = interval(constraint)
    return L2Ball((high - low) / 2, [(low + high) / 2]) if low < high else None


def interval(constraint: Constraint) -> tuple[float, float]:
    """Return the ends of a constraint on a single variable."""
    ends = constraint.linear_minimizer(np.array([[1.0], [-1.0]]))
    return float(ends[0, 0]), float(ends[1, 0])


def _corners(constraint: Constraint, dim: int) -> FloatArray:
    match constraint:
        case Simplex(radius):
            return radius * np.eye(dim)
        case L1Ball(radius):
            return radius * np.concatenate([np.eye(dim), -np.eye(dim)])
        case Box(lower, upper):
            ends = zip(np.asarray(lower).tolist(), np.asarray(upper).tolist(), strict=True)
            return np.array(list(itertools.product(*ends)))
    raise ValueError(f"constraint: wanted a simplex, a box or an l1 ball, got {constraint}")


def _least_of_round(problem: QuadraticForm, constraint: Constraint) -> float:
    """Return the infimum of a quadratic whose curvatures are equal and not negative."""
    curvature = problem.curvatures[0]
    lowest = (
        constraint.project(problem.linear / curvature)
        if curvature > 0
        else constraint.linear_minimizer(-problem.linear)
    )
    return float(problem.value(lowest))


def _extremes_on_interval(problem: Objective, ball: L2Ball) -> tuple[float, float]:
    center = 0.0 if ball.center is None else float(np.asarray(ball.center)[0])
    grid = center + ball.radius * np.linspace(-1, 1, 4001)

    def least(sign: float) -> float:
        values = sign * problem.value(grid[:, None])
        at = int(values.argmin())
        refined = minimize_scalar(
            lambda x: sign * float(problem.value(np.array([x]))),
            bounds=(grid[max(at - 1, 0)], grid[min(at + 1, 4000)]),
            method="bounded",
            options={"xatol": 1e-12},
        )
        return sign * min(float(values[at]), float(refined.fun))

    return least(1.0), least(-1.0)


# ---- settings ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Constrained:
    """A function on a convex set, and what is claimed of them; what all settings here share.

    Attributes
    ----------
    problem : Objective
    constraint : Constraint
    claims : mapping of str to float
        Constants to take from here rather than from the problem and the set, and the parameters of
        schedules; the names are in `CLAIMS`.
    """

    problem: Objective
    constraint: Constraint
    claims: Mapping[str, float] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        check_objective(self.problem)
        if not callable(getattr(self.constraint, "linear_minimizer", None)):
            raise ValueError(
                f"constraint: wanted a Constraint such as L2Ball, got {self.constraint!r}"
            )
        for name, value in self.claims.items():
            _validate.one_of("claims", name, CLAIMS)
            _validate.real(f"claims[{name!r}]", value, at_least=0)

    @property
    def smoothness(self) -> float:
        """The claimed Lipschitz constant of the gradient, or the true one."""
        return self.claims.get("smoothness", self.problem.smoothness)

    @property
    def diameter(self) -> float:
        """The claimed diameter of the set, or the true one."""
        return self.claims.get("diameter", self.constraint.diameter)

    @cached_property
    def infimum(self) -> float:
        r""":math:`f^* = \inf_\Omega f`; see the function of this name."""
        return infimum(self.problem, self.constraint)

    @cached_property
    def supremum(self) -> float:
        r""":math:`\sup_\Omega f`."""
        return extremes(self.problem, self.constraint)[1]

    def parameter(self, name: str) -> float:
        """Return a claimed parameter, which must have been given."""
        if name not in self.claims:
            raise ValueError(f"claims: wanted {name!r} among them, got {sorted(self.claims)}")
        return self.claims[name]

    def _named(self) -> str:
        where = str(self.constraint)
        if self.problem.dim == 1:
            low, high = interval(self.constraint)
            where = f"[{low:.4g}, {high:.4g}]"
        return f"{self.problem!r} on {where}"

    def _claimed(self) -> str:
        return "".join(
            f", {name.replace('_', ' ')} {value:g}"
            if name in PARAMETERS
            else f", claiming {name.replace('_', ' ')} = {value:g}"
            for name, value in self.claims.items()
        )

    def __str__(self) -> str:
        return f"{self._named()}{self._claimed()}"


@dataclass(frozen=True, eq=False)
class ConstrainedPoints(Constrained):
    """Points at which a claim about the Frank–Wolfe gap is checked.

    Attributes
    ----------
    points : array_like of shape (m, dim)
    """

    points: ArrayLike

    def __post_init__(self) -> None:
        super().__post_init__()
        points = _validate.finite_array("points", self.points, ndim=2)
        if points.shape[1] != self.problem.dim:
            raise ValueError(f"points: wanted shape (m, {self.problem.dim}), got {points.shape}")
        object.__setattr__(self, "points", points)

    @property
    def x(self) -> FloatArray:
        """The points, shape ``(m, dim)``."""
        return np.asarray(self.points)

    @property
    def confined(self) -> FloatArray:
        """What of the points the set confines: all coordinates."""
        return self.x

    @cached_property
    def gap(self) -> FloatArray:
        """The Frank–Wolfe gaps, shape ``(m,)``."""
        return np.asarray(frank_wolfe_gap(self.problem, self.constraint, self.x))


@dataclass(frozen=True, eq=False)
class FrankWolfeStepFrom(ConstrainedPoints):
    """One stochastic Frank–Wolfe step from each of several points.

    Attributes
    ----------
    step_size : float
    batch_size : int
    sampling : str or Sampling
    """

    step_size: float = 0.1
    batch_size: int = 1
    sampling: str | Sampling = "with_replacement"

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.real("step_size", self.step_size, above=0)
        _validate.integer("batch_size", self.batch_size, at_least=1)
        resolve(self.sampling)

    @property
    def step_sizes(self) -> FloatArray:
        """The step size, shape ``(1,)``."""
        return np.array([self.step_size])

    @cached_property
    def expected_value_after(self) -> FloatArray:
        r""":math:`\mathbb E f(x^+)`, shape ``(m,)``."""
        towards, chances = targets(self, self.x, self.batch_size)
        after = self.x + self.step_size * (towards - self.x)
        return np.asarray((chances * self.problem.value(after)).sum(axis=0))

    @cached_property
    def true_variance(self) -> FloatArray:
        """The variances of a single gradient, shape ``(m,)``."""
        return gradient_variance(self.problem, self.x)

    @property
    def variance(self) -> FloatArray:
        """The claimed variance of a single gradient, or the true ones, shape ``(m,)``."""
        if "variance" in self.claims:
            return np.full(len(self.x), self.claims["variance"])
        return self.true_variance

    def __str__(self) -> str:
        return (
            f"{self._named()}, step {self.step_size:.3g}, batch {self.batch_size}{self._claimed()}"
        )


@dataclass(frozen=True, eq=False)
class FrankWolfeExpectation:
    r"""Expectations over all the randomness of a stochastic Frank–Wolfe run, for every step t.

    Attributes
    ----------
    gap : ndarray of shape (steps + 1,)
        The expected Frank–Wolfe gap :math:`\mathbb E\mathcal G(x_t)`.
    value : ndarray of shape (steps + 1,)
        :math:`\mathbb E f(x_t)`.
    variance : ndarray of shape (steps + 1,)
        The expected variance of a single gradient at :math:`x_t`.
    mean : ndarray of shape (steps + 1, dim)
        :math:`\mathbb E x_t`.
    places : ndarray of int, shape (steps + 1,)
        How many places :math:`x_t` may be in.
    """

    gap: FloatArray
    value: FloatArray
    variance: FloatArray
    mean: FloatArray
    places: IntArray


@dataclass(frozen=True, eq=False)
class FrankWolfeRun(Constrained):
    """A run of stochastic Frank–Wolfe from one starting point, in exact expectation.

    Nothing is computed before it is asked for: bounds need the schedules and constants only.

    Attributes
    ----------
    steps : int
    step_size : float or callable
    batch_size : int or callable
    x0 : array_like of shape (dim,), optional
        The origin when omitted.
    sampling : str or Sampling
    """

    steps: int
    step_size: float | Schedule
    batch_size: int | BatchSchedule = 1
    x0: ArrayLike | None = None
    sampling: str | Sampling = "with_replacement"

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.integer("steps", self.steps, at_least=1)
        _validate.starting_points(self.x0, self.problem.dim, 1)
        resolve(self.sampling)
        evaluate(self.step_size, 0, 1)
        evaluate_batches(self.batch_size, 0, 1)

    @cached_property
    def step_sizes(self) -> FloatArray:
        r"""The step sizes :math:`\gamma_t`, shape ``(steps,)``."""
        return evaluate(self.step_size, 0, self.steps)

    @cached_property
    def batch_sizes(self) -> IntArray:
        """The batch sizes, shape ``(steps,)``."""
        return evaluate_batches(self.batch_size, 0, self.steps)

    @property
    def start(self) -> FloatArray:
        """The starting point, shape ``(1, dim)``."""
        return _validate.starting_points(self.x0, self.problem.dim, 1)

    @property
    def initial_excess(self) -> float:
        r""":math:`\Delta_0 = f(x_0) - f^*`."""
        return float(self.problem.value(self.start[0])) - self.infimum

    @property
    def largest_excess(self) -> float:
        r""":math:`\bar\Delta = \sup_\Omega f - f^*`."""
        return self.supremum - self.infimum

    @cached_property
    def standard_deviation(self) -> float:
        r""":math:`\sigma`, from the claimed variance or the largest on the run."""
        variance = self.claims.get("variance")
        if variance is None and isinstance(self.problem, QuadraticForm):
            variance = float(gradient_variance(self.problem, self.start)[0])
        if variance is None:
            variance = float(self.expectation.variance[:-1].max())
        return math.sqrt(variance)

    @cached_property
    def expectation(self) -> FrankWolfeExpectation:
        """Exact expectations, from the distribution of every iterate.

        Raises
        ------
        ValueError
            If an iterate may be in too many places.
        """
        return _propagate(self)

    def __str__(self) -> str:
        sizes, batches = self.step_sizes, self.batch_sizes
        constant = sizes.min() == sizes.max()
        step = f"{sizes[0]:.3g}" if constant else f"{sizes[0]:.3g} to {sizes[-1]:.3g}"
        batch = f"{batches[0]}" if batches[0] == batches[-1] else f"{batches[0]} to {batches[-1]}"
        noise = f", batch {batch}" if is_random(self.problem) else ""
        return f"{self._named()}, step {step}{noise}{self._claimed()}"


@dataclass(frozen=True, eq=False)
class ShortStepRun(Constrained):
    r"""A run of Frank–Wolfe with exact gradients and short steps.

    The steps are :math:`\gamma_t = \min\{1, \mathcal G(x_t)/(L\|x_t - v_t\|^2)\}`.

    Attributes
    ----------
    steps : int
    x0 : array_like of shape (dim,), optional
        The origin when omitted.
    """

    steps: int
    x0: ArrayLike | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.integer("steps", self.steps, at_least=1)
        _validate.starting_points(self.x0, self.problem.dim, 1)

    @property
    def initial_excess(self) -> float:
        r""":math:`\Delta_0 = f(x_0) - f^*`."""
        start = _validate.starting_points(self.x0, self.problem.dim, 1)[0]
        return float(self.problem.value(start)) - self.infimum

    @property
    def start(self) -> FloatArray:
        """The starting point, shape ``(1, dim)``."""
        return _validate.starting_points(self.x0, self.problem.dim, 1)

    @cached_property
    def gap(self) -> FloatArray:
        """The Frank–Wolfe gaps of x_0, x_1, ..., shape ``(steps + 1,)``."""
        trace = run(
            self.problem,
            FullGradient(),
            FrankWolfeStep(self.constraint, curvature=self.smoothness),
            x0=self.x0,
            steps=self.steps,
            step_size=1.0,
            record="all",
            metrics={"gap": lambda problem, x: frank_wolfe_gap(problem, self.constraint, x)},
        )
        return trace.gap[:, 0]


# ---- the distribution of the iterates ---------------------------------------------------------


def is_random(problem: Objective) -> bool:
    """Return whether minibatch gradients of a problem are random at all."""
    return not (isinstance(problem, FiniteSum) and problem.n_samples == 1)


def single_gradients(problem: FiniteSum, x: FloatArray) -> FloatArray:
    """Return the gradients of all samples, shape ``(n_samples, m, dim)``.

    Parameters
    ----------
    problem : FiniteSum
    x : ndarray of shape (m, dim)
        Points.
    """
    return np.array(
        [
            problem.minibatch_gradient(x, np.full((len(x), 1), i, dtype=np.int64))
            for i in range(problem.n_samples)
        ]
    )


def gradient_variance(problem: Objective, x: FloatArray) -> FloatArray:
    """Return the variance of a single gradient, shape ``(m,)``.

    Parameters
    ----------
    problem : Objective
        A finite sum, or with Gaussian noise.
    x : ndarray of shape (m, dim)
        Points.
    """
    if isinstance(problem, (TiltedQuadratic, GaussianQuadratic)):
        return np.full(len(x), problem.standard_deviation**2)
    if not isinstance(problem, FiniteSum):
        raise ValueError(f"problem: wanted a finite sum or Gaussian noise, got {problem!r}")
    single = single_gradients(problem, x)
    return np.asarray(((single - single.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0))


def targets(
    setting: FrankWolfeStepFrom | FrankWolfeRun, x: FloatArray, batch_size: int
) -> tuple[FloatArray, FloatArray]:
    """Return the points towards which a step may go, and with which probabilities.

    Parameters
    ----------
    setting : FrankWolfeStepFrom or FrankWolfeRun
    x : ndarray of shape (m, dim)
        Where the step starts.
    batch_size : int

    Returns
    -------
    towards : ndarray of shape (count, m, dim)
    chances : ndarray of shape (count, m)
    """
    problem, constraint = setting.problem, setting.constraint
    if isinstance(problem, GaussianQuadratic):
        if problem.dim != 1:
            raise ValueError(
                f"problem: wanted Gaussian noise in one variable only, got {problem.dim}"
            )
        low, high = interval(constraint)
        slope = problem.gradient(x)[:, 0] * math.sqrt(batch_size) / problem.scale
        towards = np.broadcast_to(np.array([low, high])[:, None, None], (2, len(x), 1))
        return towards, np.array([ndtr(slope), ndtr(-slope)])
    if not isinstance(problem, FiniteSum):
        raise ValueError(f"problem: wanted a finite sum or Gaussian noise, got {problem!r}")
    counts, chances = batches(resolve(setting.sampling), problem.n_samples, batch_size)
    if len(x) * max(counts.shape) > MAX_WAYS:
        raise ValueError(
            f"steps: wanted at most {MAX_WAYS} ways to leave the places of an iterate, got "
            f"{len(x)} places and {len(counts)} different minibatches"
        )
    gradients = np.tensordot(counts / batch_size, single_gradients(problem, x), axes=1)
    towards = constraint.linear_minimizer(gradients)
    return towards, np.broadcast_to(chances[:, None], towards.shape[:2])


def batches(how: Sampling, n_samples: int, batch_size: int) -> tuple[IntArray, FloatArray]:
    """Return how often each sample occurs in the different minibatches, and their probabilities.

    Parameters
    ----------
    how : Sampling
    n_samples, batch_size : int

    Returns
    -------
    counts : ndarray of int, shape (count, n_samples)
    probabilities : ndarray of shape (count,)
    """
    if type(how) is WithReplacement:  # not one of the test's twins, biased on purpose
        many = math.comb(batch_size + n_samples - 1, n_samples - 1)
        if many > MAX_BATCHES:
            raise ValueError(
                f"batch_size: wanted at most {MAX_BATCHES} different minibatches, got {many}"
            )
        bars = np.array(
            list(itertools.combinations(range(batch_size + n_samples - 1), n_samples - 1)),
            dtype=np.int64,
        ).reshape(many, n_samples - 1)
        edges = np.full((many, 1), -1), bars, np.full((many, 1), batch_size + n_samples - 1)
        counts = np.diff(np.concatenate(edges, axis=1), axis=1) - 1
        logarithm = gammaln(batch_size + 1) - gammaln(counts + 1).sum(axis=1)
        chances = np.exp(logarithm - batch_size * math.log(n_samples))
        return counts, chances / chances.sum()
    listed = how.outcomes(n_samples, batch_size)
    counts = np.array([np.bincount(batch, minlength=n_samples) for batch in listed])
    return counts, np.full(len(counts), 1 / len(counts))


def _propagate(setting: FrankWolfeRun) -> FrankWolfeExpectation:
    problem, constraint = setting.problem, setting.constraint
    x, weights = setting.start, np.ones(1)
    ordinary = setting.step_sizes.max() <= 1 and constraint.contains(x).all()
    if ordinary and not is_random(problem):
        return _follow(setting)
    # Of a linear function the gap is affine, and a step depends on chance only: the mean will do.
    linear = isinstance(problem, QuadraticForm) and not problem.hessian.any()
    rows: list[tuple[Any, ...]] = []

    def record() -> None:
        rows.append(
            (
                weights @ frank_wolfe_gap(problem, constraint, x),
                weights @ problem.value(x),
                weights @ gradient_variance(problem, x),
                weights @ x,
                len(x),
            )
        )

    record()
    for step_size, batch_size in zip(setting.step_sizes, setting.batch_sizes, strict=True):
        towards, chances = targets(setting, x, int(batch_size))
        x = (x + step_size * (towards - x)).reshape(-1, problem.dim)
        weights = (chances * weights).ravel()
        if linear:
            x, weights = (weights @ x)[None], np.ones(1)
        else:
            x, weights = _merged(x, weights, SAME * constraint.diameter)
        if len(x) > MAX_PLACES:
            raise ValueError(
                f"steps: wanted a run whose iterates may be in at most {MAX_PLACES} places, got "
                f"{len(x)} after {len(rows)} of {setting.steps} steps"
            )
        record()
    gap, value, variance, mean, places = (np.array(column) for column in zip(*rows, strict=True))
    return FrankWolfeExpectation(gap, value, variance, mean, places)


def _follow(setting: FrankWolfeRun) -> FrankWolfeExpectation:
    """Return the expectations of a run in which nothing is random: what happens."""
    trace = run(
        setting.problem,
        FullGradient(),
        FrankWolfeStep(setting.constraint),
        x0=setting.x0,
        steps=setting.steps,
        step_size=setting.step_size,
        record="all",
        metrics={"x": lambda problem, x: x.copy()},
    )
    x = trace.history["x"][:, 0]
    return FrankWolfeExpectation(
        gap=frank_wolfe_gap(setting.problem, setting.constraint, x),
        value=setting.problem.value(x),
        variance=np.zeros(len(x)),
        mean=x,
        places=np.ones(len(x), dtype=np.int64),
    )


def _merged(x: FloatArray, weights: FloatArray, apart: float) -> tuple[FloatArray, FloatArray]:
    """Return places without those that are the same up to rounding, or that are never reached."""
    x, weights = x[weights > 0], weights[weights > 0]
    if len(x) == 1:
        return x, weights
    order = np.lexsort(np.rint(x / apart).T)
    cells = np.rint(x / apart)[order]
    # Neighbours may be rounded to neighbouring cells; such a pair, if sorted apart, stays two.
    new = np.concatenate([[True], (np.abs(np.diff(cells, axis=0)) > 1).any(axis=1)])
    return x[order][new], np.add.reduceat(weights[order], np.flatnonzero(new))
