"""What theorems are checked on.

A setting may *claim* constants, as a reader of a paper would: a Lipschitz constant, a PL constant,
a bound on the noise.  A constant that is not claimed is taken from the problem.  The assumptions
compare claims with the truth, so that a wrong claim is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.constraints import L2Ball
from sgdnotes.engine import Trace
from sgdnotes.epochs import EpochMoments
from sgdnotes.exact import Expectation, enumerate_sgd, expected_sgd
from sgdnotes.methods import gradient_descent
from sgdnotes.moments import MAX_RANK, SecondMoments, directions
from sgdnotes.oracles import check_batch_size
from sgdnotes.problems import FiniteSum, Ridge, check_problem
from sgdnotes.sampling import NAMED, ORDERS, Cyclic, Order, Sampling, resolve
from sgdnotes.schedules import BatchSchedule, Schedule, evaluate, evaluate_batches
from sgdnotes.theorems.base import AssumptionError
from sgdnotes.updates import (
    BacktrackingStep,
    GradientStep,
    HeavyBall,
    LinearUpdate,
    ProjectedStep,
    Update,
)

CLAIMS = {
    "smoothness",
    "max_smoothness",
    "strong_convexity",
    "pl_constant",
    "minimum",
    "trajectory_second_moment",
    "ball_second_moment",
    "variance",
    "component_strong_convexity",
    "error_constant",
    "error_ratio",
}


@dataclass(frozen=True, eq=False)
class Claims:
    """A problem and what is claimed of it; the part that all settings share.

    Attributes
    ----------
    problem : FiniteSum
    claims : mapping of str to float
        Constants to take from here rather than from the problem; the names are in `CLAIMS`.
    """

    problem: FiniteSum
    claims: Mapping[str, float] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        check_problem(self.problem)
        if "global_second_moment" in self.claims:
            raise AssumptionError(
                "claims: a bound on the second moment of the stochastic gradient at every point "
                "of space forces a smooth PL function to be constant (thm-vacuity); wanted "
                "'trajectory_second_moment', a bound along the iterates"
            )
        for name, value in self.claims.items():
            _validate.one_of("claims", name, CLAIMS)
            _validate.real(f"claims[{name!r}]", value)

    def constant(self, name: str) -> float:
        """Return the claimed constant, or the problem's own."""
        return self.claims[name] if name in self.claims else float(getattr(self.problem, name))

    def __str__(self) -> str:
        return f"{self.problem!r}{self._claimed()}"

    def _claimed(self) -> str:
        return "".join(f", claiming {name} = {v:g}" for name, v in self.claims.items())


@dataclass(frozen=True, eq=False)
class Points(Claims):
    """A problem and points at which a pointwise claim is checked.

    Attributes
    ----------
    points : array_like of shape (m, dim)
    displacements : array_like of shape (m, dim), optional
        For claims about pairs of points: the second point is ``points + displacements``.
    """

    points: ArrayLike
    displacements: ArrayLike | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("points", "displacements"):
            value = getattr(self, name)
            if value is None:
                continue
            array = _validate.finite_array(name, value, ndim=2)
            if array.shape[1] != self.problem.dim:
                raise ValueError(f"{name}: wanted shape (m, {self.problem.dim}), got {array.shape}")
            object.__setattr__(self, name, array)
        if self.displacements is not None and self.delta.shape != self.x.shape:
            raise ValueError(
                f"displacements: wanted one for each of {len(self.x)} points, got {len(self.delta)}"
            )

    @property
    def x(self) -> FloatArray:
        """The points, shape ``(m, dim)``."""
        return np.asarray(self.points)

    @property
    def delta(self) -> FloatArray:
        """The displacements, shape ``(m, dim)``."""
        if self.displacements is None:
            raise ValueError("displacements: wanted one for each point, got None")
        return np.asarray(self.displacements)


@dataclass(frozen=True, eq=False)
class OneStep(Points):
    """One step of minibatch SGD from each of several points.

    Attributes
    ----------
    step_size : float or array_like of shape (m,)
        One step size for all points or one for each.
    batch_size : int
    sampling : str or Sampling
    """

    step_size: ArrayLike = 0.1
    batch_size: int = 1
    sampling: str | Sampling = "with_replacement"

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = _validate.finite_array("step_size", self.step_size)
        if sizes.shape not in {(), (len(self.x),)} or (sizes <= 0).any():
            raise ValueError(
                f"step_size: wanted one positive number or one for each of {len(self.x)} points, "
                f"got {self.step_size!r}"
            )
        check_batch_size(self.batch_size, self.problem)
        resolve(self.sampling)

    @property
    def step_sizes(self) -> FloatArray:
        """The step sizes, shape ``(m,)``."""
        return np.broadcast_to(np.asarray(self.step_size, dtype=float), (len(self.x),))

    @cached_property
    def _gradients(self) -> FloatArray:
        batches = resolve(self.sampling).outcomes(self.problem.n_samples, self.batch_size)
        return np.array(
            [
                self.problem.minibatch_gradient(
                    self.x, np.broadcast_to(batch, (len(self.x), self.batch_size))
                )
                for batch in batches
            ]
        )

    @cached_property
    def expected_gap_after(self) -> FloatArray:
        r""":math:`\mathbb E f(x^+) - f^*` over all batches, shape ``(m,)``."""
        steps = self.step_sizes[:, None] * self._gradients
        return np.asarray(self.problem.gap(self.x - steps).mean(axis=0))

    @cached_property
    def gradient_second_moment(self) -> FloatArray:
        r""":math:`\mathbb E\|g\|^2`, shape ``(m,)``."""
        return np.asarray((self._gradients**2).sum(axis=-1).mean(axis=0))

    @property
    def mean_gradient(self) -> FloatArray:
        r""":math:`\mathbb E g`, shape ``(m, dim)``."""
        return np.asarray(self._gradients.mean(axis=0))

    @cached_property
    def gradient_covariance(self) -> FloatArray:
        r""":math:`\operatorname{Cov}(g)`, shape ``(m, dim, dim)``."""
        spread = self._gradients - self.mean_gradient
        return np.asarray(np.einsum("bmi,bmj->mij", spread, spread) / len(spread))

    def __str__(self) -> str:
        return f"{self.problem!r}, {_batch(self)}{self._claimed()}"


@dataclass(frozen=True, eq=False)
class Run(Claims):
    """A run of some length from one starting point; see `Descent` and `StochasticRun`.

    Attributes
    ----------
    steps : int
    step_size : float or callable
    x0 : array_like of shape (dim,), optional
    """

    steps: int
    step_size: float | Schedule
    x0: ArrayLike | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.integer("steps", self.steps, at_least=1)
        _validate.starting_points(self.x0, self.problem.dim, 1)
        evaluate(self.step_size, 0, 1)

    @cached_property
    def step_sizes(self) -> FloatArray:
        """The step sizes used, shape ``(steps,)``."""
        return evaluate(self.step_size, 0, self.steps)

    def _steps_shown(self) -> str:
        if callable(self.step_size):
            sizes = self.step_sizes
            return f"steps from {sizes[0]:.3g} to {sizes[-1]:.3g}"
        return f"step {self.step_size:.3g}"


@dataclass(frozen=True, eq=False)
class Descent(Run):
    """A run of gradient descent.

    Attributes
    ----------
    line_search : BacktrackingStep, optional
        Finds every step by backtracking from `step_size`; without it the steps are as given.
    """

    line_search: BacktrackingStep | None = None

    @cached_property
    def trace(self) -> Trace:
        """The run, recorded at every step; shorter than asked for if it diverges."""
        return gradient_descent(
            self.problem,
            self.x0,
            steps=self.steps,
            step_size=self.step_size,
            line_search=self.line_search or False,
            record="all",
            metrics={
                "x": lambda problem, x: x.copy(),
                "gap": lambda problem, x: (
                    problem.value(x) - self.constant("minimum")
                    if "minimum" in self.claims
                    else problem.gap(x)
                ),
                "gradient_norm_squared": lambda problem, x: (problem.gradient(x) ** 2).sum(axis=-1),
            },
        )

    @cached_property
    def accepted_steps(self) -> FloatArray:
        """The sizes of the steps that were taken from x_0, x_1, ..., shape ``(nit,)``."""
        if self.line_search is None:
            return self.step_sizes[: self.trace.nit]
        x = self.trace.history["x"][: self.trace.nit]
        search, problem = self.line_search, self.problem
        accepted = [
            search.apply(problem, at, problem.gradient(at), float(trial), search.init(problem, at))[
                1
            ]
            for at, trial in zip(x, self.step_sizes, strict=False)
        ]
        return np.concatenate(accepted)

    def __str__(self) -> str:
        searched = "line search from " if self.line_search else ""
        return f"{self.problem!r}, {searched}{self._steps_shown()}{self._claimed()}"


@dataclass(frozen=True, eq=False)
class _SampledRun(Run):
    """A run along minibatch gradients, in exact expectation; subclasses say how points move.

    Attributes
    ----------
    batch_size : int
    sampling : str or Sampling
    """

    batch_size: int = 1
    sampling: str | Sampling = "with_replacement"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_batch_size(self.batch_size, self.problem)
        resolve(self.sampling)

    @property
    def _update(self) -> Update:
        raise NotImplementedError

    @cached_property
    def expectation(self) -> Expectation:
        """Exact expectations: by moments where they close, else by enumeration."""
        return self._expectation(None)

    def averaged_gap(self, weights: Schedule | None = None) -> FloatArray:
        r"""Return :math:`\mathbb E f(\bar x_k) - f^*`, with :math:`\bar x_k` the weighted mean.

        Parameters
        ----------
        weights : callable, optional
            The mean of :math:`x_0, \dots, x_{k-1}` has weights ``k -> weight``, at least 0; equal
            ones when omitted.

        Returns
        -------
        ndarray of shape (steps + 1,)
            The gap of :math:`x_0` as long as no weight has been given.
        """
        if weights is None:
            return self.expectation.average_gap
        return self._expectation(weights).average_gap

    def _expectation(self, weights: Schedule | None) -> Expectation:
        arguments = {
            "steps": self.steps,
            "step_size": self.step_size,
            "batch_size": self.batch_size,
            "sampling": self.sampling,
            "update": self._update,
            "weights": weights,
        }
        # The moment recursion knows the two named samplings; any other is taken at its batches.
        closed = resolve(self.sampling) in NAMED.values() and isinstance(self.problem, Ridge)
        if closed and isinstance(self._update, LinearUpdate):
            directions_moved = directions(self.problem) * len(self._update.gain)  # type: ignore[arg-type]
            if directions_moved <= MAX_RANK:
                return expected_sgd(self.problem, self.x0, **arguments)  # type: ignore[arg-type]
        return enumerate_sgd(self.problem, self.x0, **arguments)  # type: ignore[arg-type]

    @property
    def noise_factor(self) -> float:
        """The variance of the minibatch gradient relative to a single-sample gradient."""
        return resolve(self.sampling).variance_factor(self.problem.n_samples, self.batch_size)

    @property
    def trajectory_second_moment(self) -> float:
        r"""The largest :math:`\mathbb E\|g_k\|^2` before the last step."""
        return float(self.expectation.gradient_second_moment[:-1].max())

    def __str__(self) -> str:
        return f"{self.problem!r}, {self._steps_shown()}, {_batch(self)}{self._claimed()}"


@dataclass(frozen=True, eq=False)
class StochasticRun(_SampledRun):
    """A run of minibatch SGD, in exact expectation.

    Attributes
    ----------
    batch_size : int
    sampling : str or Sampling
    """

    @property
    def _update(self) -> Update:
        return GradientStep()


@dataclass(frozen=True, eq=False)
class ProjectedRun(_SampledRun):
    """A run of the projected stochastic subgradient method, in exact expectation.

    Attributes
    ----------
    batch_size : int
    sampling : str or Sampling
    radius : float
        Iterates are projected onto the ball of this radius around the origin; infinity for none.
    """

    radius: float = np.inf

    def __post_init__(self) -> None:
        super().__post_init__()
        start = _validate.starting_points(self.x0, self.problem.dim, 1)
        if not L2Ball(self.radius).contains(start).all():
            raise ValueError(f"x0: wanted a point within {self.radius:g} of the origin")

    @property
    def _update(self) -> Update:
        return ProjectedStep(L2Ball(self.radius)) if self.radius < np.inf else GradientStep()

    def __str__(self) -> str:
        ball = f", within {self.radius:g} of the origin" if self.radius < np.inf else ""
        return f"{super().__str__()}{ball}"


@dataclass(frozen=True, eq=False)
class MomentumRun(_SampledRun):
    """A run of SGD with momentum, in exact expectation.

    Attributes
    ----------
    batch_size : int
    sampling : str or Sampling
    update : HeavyBall or Nesterov
    """

    update: LinearUpdate = HeavyBall(0.9)

    @property
    def _update(self) -> Update:
        return self.update

    def __str__(self) -> str:
        return f"{super().__str__()}, {self.update}"


@dataclass(frozen=True, eq=False)
class GrowingRun(Run):
    """A run of SGD on least squares or ridge regression with any batch sizes, in expectation.

    Attributes
    ----------
    batch_size : int or callable
        A number or a schedule ``k -> number``.
    sampling : {"with_replacement", "without_replacement"}
    """

    batch_size: int | BatchSchedule = 1
    sampling: str = "with_replacement"

    def __post_init__(self) -> None:
        super().__post_init__()
        _quadratic(self.problem)
        _validate.one_of("sampling", self.sampling, NAMED)
        largest = int(self.batch_sizes.max())
        if self.sampling == "without_replacement":
            check_batch_size(largest, self.problem)

    @cached_property
    def expectation(self) -> Expectation:
        """Exact expectations, by moments."""
        return expected_sgd(
            _quadratic(self.problem),
            self.x0,
            steps=self.steps,
            step_size=self.step_size,
            batch_size=self.batch_size,
            sampling=self.sampling,
        )

    @cached_property
    def batch_sizes(self) -> IntArray:
        """The batch sizes used, shape ``(steps,)``."""
        return evaluate_batches(self.batch_size, 0, self.steps)

    @cached_property
    def error_second_moment(self) -> FloatArray:
        r""":math:`\mathbb E\|e_k\|^2`, :math:`e_k = g_k - \nabla f(x_k)`, shape ``(steps,)``."""
        moments, how = SecondMoments(_quadratic(self.problem)), NAMED[self.sampling]
        factors = np.array(
            [how.variance_factor(self.problem.n_samples, int(size)) for size in self.batch_sizes]
        )
        states = moments.evolve(moments.state(self.x0), self.step_sizes, factors)[:-1]
        # The factor comes last: next to the gradient's square the noise of large batches would
        # be lost to rounding.
        single = moments.gradient_second_moment(states) - moments.gradient_norm_squared(states)
        return np.asarray(factors * np.maximum(single, 0.0))

    def __str__(self) -> str:
        least, most = self.batch_sizes.min(), self.batch_sizes.max()
        shown = f"{least}" if least == most else f"{least} to {most}"
        sampling = self.sampling.replace("_", " ")
        return f"{self.problem!r}, {self._steps_shown()}, batch {shown} {sampling}{self._claimed()}"


@dataclass(frozen=True, eq=False)
class EpochRun(Claims):
    """A run of SGD that goes through the samples in an order, in exact expectation.

    Attributes
    ----------
    epochs : int
    step_size : float
    order : {"cyclic", "shuffled_once", "reshuffled"} or Order
    x0 : array_like of shape (dim,), optional
    """

    epochs: int
    step_size: float
    order: str | Order = "reshuffled"
    x0: ArrayLike | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _quadratic(self.problem)
        _validate.integer("epochs", self.epochs, at_least=1)
        _validate.starting_points(self.x0, self.problem.dim, 1)
        _ = self.moments

    @cached_property
    def moments(self) -> EpochMoments:
        """The exact moments at the ends of epochs."""
        return EpochMoments(_quadratic(self.problem), self.step_size, self.order)

    @cached_property
    def distance_squared(self) -> FloatArray:
        r""":math:`\mathbb E\operatorname{dist}(x, X^*)^2` after 0, 1, ... epochs."""
        states = self.moments.evolve(self.x0, self.epochs)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.nan_to_num(self.moments.moments.distance_squared(states), nan=np.inf)

    def __str__(self) -> str:
        order = self.moments.order.name.replace("_", " ")
        return (
            f"{self.problem!r}, {self.epochs} epochs, {order}, "
            f"step {self.step_size:.3g}{self._claimed()}"
        )


@dataclass(frozen=True, eq=False)
class TwoSteps(Points):
    """The first two steps of SGD, a single sample each, from several points.

    Attributes
    ----------
    step_size : float
    sampling : str or Sampling
        An order, or a sampling that draws afresh at every step.
    """

    step_size: float = 0.1
    sampling: str | Sampling = "reshuffled"

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.real("step_size", self.step_size, above=0)
        resolve(self.sampling)

    def second_samples(self, first: int) -> IntArray:
        """Return the equally likely second samples after the sample `first`, counted from 0."""
        everyone = np.arange(self.problem.n_samples)
        how = resolve(self.sampling)
        if isinstance(how, Cyclic):
            return everyone[[(first + 1) % len(everyone)]]
        return np.delete(everyone, first) if isinstance(how, Order) else everyone

    def __str__(self) -> str:
        sampling = resolve(self.sampling).name.replace("_", " ")
        return f"{self.problem!r}, {sampling}, step {self.step_size:.3g}{self._claimed()}"


@dataclass(frozen=True, eq=False)
class StationaryEpochs(Claims):
    """Constant-step SGD on a quadratic, single samples, after infinitely many epochs.

    Attributes
    ----------
    step_sizes : array_like of shape (m,)
    order : {"cyclic", "shuffled_once", "reshuffled", "with_replacement"}
    """

    step_sizes: ArrayLike
    order: str = "reshuffled"

    def __post_init__(self) -> None:
        super().__post_init__()
        _quadratic(self.problem)
        sizes = _validate.finite_array("step_sizes", self.step_sizes, ndim=1)
        if (sizes <= 0).any():
            raise ValueError(f"step_sizes: wanted positive numbers, got {sizes.min():g}")
        object.__setattr__(self, "step_sizes", sizes)
        _validate.one_of("order", self.order, {"with_replacement", *ORDERS})

    @cached_property
    def distance_squared(self) -> FloatArray:
        r""":math:`\mathbb E\operatorname{dist}(x, X^*)^2` at the ends of epochs, shape ``(m,)``."""
        problem = _quadratic(self.problem)
        moments, sizes = SecondMoments(problem), np.asarray(self.step_sizes).tolist()
        if self.order == "with_replacement":
            states = [moments.stationary(size) for size in sizes]
        else:
            states = [EpochMoments(problem, size, self.order).stationary() for size in sizes]
        return moments.distance_squared(np.array(states))

    def __str__(self) -> str:
        return f"{self.problem!r}, {self.order.replace('_', ' ')}{self._claimed()}"


@dataclass(frozen=True, eq=False)
class BatchChoice(Claims):
    r"""A strongly convex finite sum and the accuracy that SGD is to reach on it.

    Attributes
    ----------
    accuracy : float
        The wanted bound on :math:`\mathbb E\|x_k - x^*\|^2`.
    """

    accuracy: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.real("accuracy", self.accuracy, above=0)

    def __str__(self) -> str:
        return f"{self.problem!r} to accuracy {self.accuracy:g}{self._claimed()}"


@dataclass(frozen=True, eq=False)
class Stationary(Claims):
    """Constant-step SGD on a quadratic in its stationary state.

    Attributes
    ----------
    step_sizes : array_like of shape (m,)
    batch_size : int
    sampling : str or Sampling
    update : LinearUpdate
        The gradient step, or one with momentum.
    """

    step_sizes: ArrayLike
    batch_size: int = 1
    sampling: str | Sampling = "with_replacement"
    update: LinearUpdate = GradientStep()

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = _validate.finite_array("step_sizes", self.step_sizes, ndim=1)
        if (sizes <= 0).any():
            raise ValueError(f"step_sizes: wanted positive numbers, got {sizes.min():g}")
        object.__setattr__(self, "step_sizes", sizes)

    @cached_property
    def moments(self) -> SecondMoments:
        """The moment recursion of the problem."""
        return SecondMoments(_quadratic(self.problem), self.batch_size, self.sampling, self.update)

    def __str__(self) -> str:
        momentum = "" if isinstance(self.update, GradientStep) else f", {self.update}"
        return f"{self.problem!r}, {_batch(self)}{momentum}"


@dataclass(frozen=True, eq=False)
class GlobalBound(Claims):
    r"""The claim that :math:`\mathbb E\|\nabla f_i(x)\|^2 \le G^2` at every point x of space.

    Attributes
    ----------
    second_moment : float
        The claimed :math:`G^2`.
    """

    second_moment: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.real("second_moment", self.second_moment, above=0)

    def __str__(self) -> str:
        return f"{self.problem!r} with G² = {self.second_moment:g}{self._claimed()}"


@dataclass(frozen=True, eq=False)
class Sequences:
    """Two sequences of numbers.

    Attributes
    ----------
    potential : array_like of shape (m + 1,)
    decrease : array_like of shape (m,)
    """

    potential: ArrayLike
    decrease: ArrayLike

    def __post_init__(self) -> None:
        potential = _validate.finite_array("potential", self.potential, ndim=1)
        decrease = _validate.finite_array("decrease", self.decrease, ndim=1)
        if len(potential) != len(decrease) + 1:
            raise ValueError(
                f"decrease: wanted {len(potential) - 1} entries, one fewer than potential, "
                f"got {len(decrease)}"
            )
        object.__setattr__(self, "potential", potential)
        object.__setattr__(self, "decrease", decrease)

    def __str__(self) -> str:
        return f"a pair of sequences of length {len(np.asarray(self.decrease))}"


def _quadratic(problem: FiniteSum) -> Ridge:
    if not isinstance(problem, Ridge):
        raise ValueError(f"problem: wanted least squares or ridge regression, got {problem!r}")
    return problem


def _batch(setting: OneStep | _SampledRun | Stationary) -> str:
    sampling = resolve(setting.sampling).name.replace("_", " ")
    return f"batch {setting.batch_size} {sampling}"
