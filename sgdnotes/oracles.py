"""Gradient oracles: from a point to a (stochastic) gradient.

An oracle says what it draws at random, ahead of time and in blocks, and turns a point and one
draw into a gradient estimate.  What it must remember between steps it carries as explicit state,
which is replaced and never changed in place: the engine may return to an earlier one.

Some oracles reduce the variance of minibatch gradients by what they remember: a gradient at an
earlier point (`Snapshot`, `LooplessSnapshot`), the last estimate (`Recursive`), or what every
sample contributed when it was last drawn (`GradientTable`, `SlopeTable`).  Others take an oracle
and change what it says: `Momentum` averages its estimates, `Delayed` asks it at old points.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.problems import (
    FiniteSum,
    LinearModel,
    Objective,
    Population,
    check_objective,
    check_problem,
)
from sgdnotes.sampling import (
    BLOCK,
    AllSequences,
    Order,
    Sampling,
    WithReplacement,
    fresh,
    resolve,
)
from sgdnotes.schedules import BatchSchedule, Schedule, evaluate_batches, power

Stream = Callable[[int, np.random.Generator], Iterator[IntArray]]

LARGEST_TABLE = 2**27  # numbers, which take 1 GiB


class Oracle(Protocol):
    """Something that estimates gradients of a finite sum or of a population."""

    def cost(self, problem: Objective, steps: int) -> int:
        """Return how many gradients of single samples the estimates of so many steps take.

        Where chance decides, it is the expected number, rounded.
        """

    def draws(self, problem: Objective, replicates: int, rng: np.random.Generator) -> Iterator[Any]:
        """Yield blocks of draws; the first axis counts steps, the second replicates."""

    def init(self, problem: Objective, x: FloatArray) -> Any:
        """Return the state at the start, None for an oracle without memory."""

    def gradient(
        self, problem: Objective, x: FloatArray, draw: Any, state: Any
    ) -> tuple[FloatArray, Any]:
        """Return the estimates at `x`, shape ``(replicates, dim)``, and the next state."""


@dataclass(frozen=True)
class FullGradient:
    """The exact gradient; for a finite sum at the cost of `n_samples` component gradients."""

    def cost(self, problem: Objective, steps: int) -> int:
        """Return the cost of a gradient times the number of steps."""
        return steps * problem.gradient_cost

    def draws(
        self, problem: Objective, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield empty draws: nothing is random."""
        nothing = np.empty((BLOCK, replicates, 0), dtype=np.int64)
        while True:
            yield nothing

    def init(self, problem: Objective, x: FloatArray) -> None:
        """Return None: nothing is remembered."""

    def gradient(
        self, problem: Objective, x: FloatArray, draw: IntArray, state: None
    ) -> tuple[FloatArray, None]:
        """Return the gradients at `x`."""
        return problem.gradient(x), None


@dataclass(frozen=True)
class Minibatch:
    """The average gradient of a few samples.

    Parameters
    ----------
    batch_size : int or callable, default 1
        How many samples, or a schedule ``k -> how many``.
    sampling : str or Sampling, default "with_replacement"
        How the samples of a batch are chosen; see `sgdnotes.sampling`.  The samples of a population
        are always fresh.
    """

    batch_size: int | BatchSchedule = 1
    sampling: str | Sampling = field(default="with_replacement")

    def __post_init__(self) -> None:
        if not callable(self.batch_size):
            size = _validate.integer("batch_size", self.batch_size, at_least=1)
            object.__setattr__(self, "batch_size", size)
        object.__setattr__(self, "sampling", resolve(self.sampling))

    def cost(self, problem: Objective, steps: int) -> int:
        """Return the sum of the batch sizes."""
        return int(evaluate_batches(self.batch_size, 0, steps).sum())

    def draws(
        self, problem: Objective, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield the minibatches: indices of a finite sum, samples of a population."""
        stream = self._stream(problem, replicates)
        if callable(self.batch_size):
            return _scheduled(self.batch_size, stream, rng)
        return stream(self.batch_size, rng)

    def _stream(self, problem: Objective, replicates: int) -> Stream:
        sampling = resolve(self.sampling)
        independent = isinstance(sampling, WithReplacement)
        scheduled = callable(self.batch_size)
        if scheduled and isinstance(sampling, (Order, AllSequences)):
            raise ValueError(
                f"batch_size: wanted one number with the sampling {sampling.name!r}, got a schedule"
            )
        if isinstance(problem, Population):
            if not independent:
                raise ValueError(
                    f"sampling: wanted 'with_replacement', as samples of a population are fresh, "
                    f"got {sampling.name!r}"
                )
            return lambda size, rng: fresh(problem.sample, size, replicates, rng)

        def stream(size: int, rng: np.random.Generator) -> Iterator[IntArray]:
            finite_sum = check_problem(problem)
            if not (independent and scheduled):  # a growing batch may outgrow the sum
                check_batch_size(size, finite_sum)
            return sampling.stream(finite_sum.n_samples, size, replicates, rng)

        return stream

    def init(self, problem: Objective, x: FloatArray) -> Any:
        """Return None: nothing is remembered."""
        return None

    def gradient(
        self, problem: Objective, x: FloatArray, draw: IntArray, state: Any
    ) -> tuple[FloatArray, Any]:
        """Return the minibatch gradients at `x`."""
        return problem.minibatch_gradient(x, draw), None


@dataclass(frozen=True)
class LinearizedMinibatch(Minibatch):
    """The minibatch gradient of a quadratic model of the sum, for linear models of smooth losses.

    The losses are replaced by their second-order Taylor polynomials around an anchor; see
    `linearized_gradient` of `LinearModel`.  What is remembered is the sum of the points that the
    anchor is the mean of, and their number.

    Parameters
    ----------
    batch_size : int, default 1
    sampling : str or Sampling, default "with_replacement"
        How the samples of a batch are chosen; see `sgdnotes.sampling`.
    anchor : {"start", "average"}, default "start"
        Where the model touches the sum: the starting point of the run, so that the model stays
        fixed; or the mean of the iterates so far, the present one included, which it follows.
    """

    anchor: str = "start"

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.one_of("anchor", self.anchor, ["start", "average"])

    def init(self, problem: Objective, x: FloatArray) -> tuple[FloatArray, int]:
        """Return the starting points as a mean of one, or the sum of no points."""
        linear_model(problem)
        return (x, 1) if self.anchor == "start" else (np.zeros_like(x), 0)

    def gradient(
        self, problem: Objective, x: FloatArray, draw: IntArray, state: tuple[FloatArray, int]
    ) -> tuple[FloatArray, tuple[FloatArray, int]]:
        """Return the minibatch gradients of the model at `x`."""
        total, count = state
        if self.anchor == "average":
            total, count = total + x, count + 1
        return linear_model(problem).linearized_gradient(x, total / count, draw), (total, count)


@dataclass(frozen=True)
class Snapshot(Minibatch):
    r"""Gradients corrected by a snapshot: SVRG, which with Frank–Wolfe steps is SVFW.

    Every m steps the exact gradient is taken and its point kept as the anchor :math:`\tilde x`.
    In between the estimate is :math:`\nabla f(\tilde x) + \frac1B\sum_{i\in B_k}[\nabla
    f_i(x_k)-\nabla f_i(\tilde x)]`, which is unbiased, and the more exact the closer the anchor.

    What is remembered are the anchors, the gradients there, and the step number.  A step with a
    snapshot costs `n_samples` gradients, any other 2B.

    Parameters
    ----------
    batch_size : int or callable, default 1
    sampling : str or Sampling, default "with_replacement"
    period : int
        m.

    References
    ----------
    Johnson and Zhang (2013); Reddi, Sra, Póczos and Smola (2016) for Frank–Wolfe.
    """

    period: int = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.integer("period", self.period, at_least=1)

    def cost(self, problem: Objective, steps: int) -> int:
        """Return the cost of the snapshots and twice the batches in between."""
        sizes = evaluate_batches(self.batch_size, 0, steps)
        between = np.arange(steps) % self.period != 0
        return int(2 * sizes[between].sum() + (~between).sum() * problem.gradient_cost)

    def init(self, problem: Objective, x: FloatArray) -> tuple[FloatArray, FloatArray, int]:
        """Return anchors and gradients that the first step replaces, and 0."""
        return x, np.zeros_like(x), 0

    def gradient(
        self,
        problem: Objective,
        x: FloatArray,
        draw: IntArray,
        state: tuple[FloatArray, FloatArray, int],
    ) -> tuple[FloatArray, tuple[FloatArray, FloatArray, int]]:
        """Return the exact gradients where a snapshot is due, else the corrected ones."""
        anchor, full, k = state
        if k % self.period == 0:
            full = problem.gradient(x)
            return full, (x, full, k + 1)
        return full + _change(problem, anchor, x, draw), (anchor, full, k + 1)


@dataclass(frozen=True)
class _RenewedByChance(Minibatch):
    """What the estimators share that are renewed by chance, in each replicate for itself."""

    probability: float = field(kw_only=True)

    def draws(
        self, problem: Objective, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield the minibatches with a last column that says where to renew."""
        finite_sum, (batches, coins) = check_problem(problem), rng.spawn(2)
        stream = super().draws(finite_sum, replicates, batches)
        return _with_column(stream, _coins(self.probability, replicates, coins))

    def init(self, problem: Objective, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the starting points and the gradients there."""
        return x, problem.gradient(x)


@dataclass(frozen=True)
class LooplessSnapshot(_RenewedByChance):
    r"""Gradients corrected by a snapshot that is renewed by chance: loopless SVRG.

    The estimate is that of `Snapshot`; after every step the anchor moves to the present point with
    probability p, in each replicate for itself.

    What is remembered are the anchors and the gradients there.  A run costs `n_samples` gradients
    at the start, 2B a step, and `n_samples` for each renewal; `cost` returns the expected number.

    Parameters
    ----------
    batch_size : int or callable, default 1
    sampling : str or Sampling, default "with_replacement"
    probability : float
        p in (0, 1].

    References
    ----------
    Kovalev, Horváth and Richtárik (2020); Nazykov et al. (2024) for Frank–Wolfe.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.real("probability", self.probability, above=0, at_most=1)

    def cost(self, problem: Objective, steps: int) -> int:
        """Return the expected cost, rounded."""
        renewals = 1 + self.probability * steps
        return 2 * super().cost(problem, steps) + round(renewals * problem.gradient_cost)

    def gradient(
        self,
        problem: Objective,
        x: FloatArray,
        draw: IntArray,
        state: tuple[FloatArray, FloatArray],
    ) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
        """Return the corrected gradients at `x`, and move anchors where the draw says so."""
        anchor, full = state
        estimate = full + _change(problem, anchor, x, draw[:, :-1])
        renewed = draw[:, -1] == 1
        if renewed.any():
            anchor, full = np.where(renewed[:, None], x, anchor), full.copy()
            full[renewed] = problem.gradient(x[renewed])
        return estimate, (anchor, full)


@dataclass(frozen=True)
class Recursive(_RenewedByChance):
    r"""Estimates that follow the gradient by its changes: SARAH, restarted by chance.

    With probability p the estimate is the exact gradient, in each replicate for itself; otherwise
    it is the last estimate plus the change :math:`\frac1B\sum_{i\in B_k}[\nabla f_i(x_k)-\nabla
    f_i(x_{k-1})]`.  It is biased: what was wrong in the last estimate stays wrong in this one.

    What is remembered are the last points and the last estimates; the first estimate is exact.  A
    step costs `n_samples` gradients or 2B; `cost` returns the expected number.

    Parameters
    ----------
    batch_size : int or callable, default 1
    sampling : str or Sampling, default "with_replacement"
    probability : float
        p in [0, 1].

    References
    ----------
    Nguyen et al. (2017); Beznosikov, Dobre and Gidel (2024) and Nazykov et al. (2024) for
    Frank–Wolfe.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.real("probability", self.probability, at_least=0, at_most=1)

    def cost(self, problem: Objective, steps: int) -> int:
        """Return the expected cost, rounded."""
        if steps == 0:
            return 0
        changes = super().cost(problem, steps) - super().cost(problem, 1)
        exact = 1 + self.probability * (steps - 1)
        return round(2 * (1 - self.probability) * changes + exact * problem.gradient_cost)

    def gradient(
        self,
        problem: Objective,
        x: FloatArray,
        draw: IntArray,
        state: tuple[FloatArray, FloatArray],
    ) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
        """Return the exact gradients where the draw says so, else the last plus the change."""
        last, estimate = state
        restarted = draw[:, -1] == 1
        if restarted.all():
            estimate = problem.gradient(x)
        else:
            estimate = estimate + _change(problem, last, x, draw[:, :-1])
            if restarted.any():
                estimate[restarted] = problem.gradient(x[restarted])
        return estimate, (x, estimate)


@dataclass(frozen=True)
class GradientTable(Minibatch):
    r"""Gradients corrected by a table of old ones: SAGA, which with Frank–Wolfe steps is SAGAFW.

    The table holds for every sample the gradient :math:`g_i` taken when it was last drawn, at
    first that at the starting point.  The estimate is :math:`\frac1n\sum_ig_i +
    \frac1B\sum_{i\in B_k}[\nabla f_i(x_k) - g_i]`; then the new gradients enter the table.

    What is remembered are the table and its mean: `n_samples` times `dim` numbers for each
    replicate, replaced at every step, so that this is for small problems; `SlopeTable` does the
    same for linear models with `n_samples` numbers.  A run costs `n_samples` gradients at the
    start and B a step.

    Parameters
    ----------
    batch_size : int, default 1
    sampling : str or Sampling, default "without_replacement"
        The samples of a batch must be distinct.

    References
    ----------
    Defazio, Bach and Lacoste-Julien (2014); Reddi, Sra, Póczos and Smola (2016) for Frank–Wolfe.
    """

    sampling: str | Sampling = "without_replacement"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_distinct(self)

    def cost(self, problem: Objective, steps: int) -> int:
        """Return the cost of filling the table plus the sum of the batch sizes."""
        return problem.gradient_cost + super().cost(problem, steps)

    def init(self, problem: Objective, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the gradients of all samples at the starting points, and their means."""
        finite_sum = check_problem(problem)
        wanted = len(x) * finite_sum.n_samples * finite_sum.dim
        if wanted > LARGEST_TABLE:
            raise ValueError(
                f"problem: wanted a table of at most {LARGEST_TABLE:,} numbers, got "
                f"{len(x)} replicates times {finite_sum.n_samples} samples times "
                f"{finite_sum.dim} coordinates"
            )
        table = np.array([finite_sum.component_gradients(point) for point in x])
        return table, table.mean(axis=1)

    def gradient(
        self,
        problem: Objective,
        x: FloatArray,
        draw: IntArray,
        state: tuple[FloatArray, FloatArray],
    ) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
        """Return the corrected gradients at `x`, and enter the new ones in the table."""
        table, mean = state
        count = draw.shape[1]
        each = problem.minibatch_gradient(x.repeat(count, axis=0), draw.reshape(-1, 1))
        drawn = np.arange(len(x))[:, None], draw
        change = each.reshape(*draw.shape, -1) - table[drawn]
        table = table.copy()
        table[drawn] += change
        total = change.sum(axis=1)
        return mean + total / count, (table, mean + total / table.shape[1])


@dataclass(frozen=True)
class SlopeTable(Minibatch):
    r"""A table of slopes for a linear model: Négiar et al., or SAGA at little memory.

    For :math:`f = \frac1n\sum_i\phi_i(a_i^\top x) + \frac\lambda2\|x\|^2` the table holds the
    slope :math:`s_i = \phi_i'(a_i^\top x)` at the point where sample i was last drawn.  The slopes
    of the batch are renewed first, and the estimate is the mean of the table,
    :math:`\frac1n\sum_is_ia_i + \lambda x_k`.  It is biased towards the past, but its error
    vanishes as the iterates settle, whatever the batch size.

    What is remembered are the slopes and :math:`\frac1n\sum_is_ia_i`: `n_samples` + `dim` numbers
    for each replicate.  A step costs B gradients.

    Parameters
    ----------
    batch_size : int, default 1
    sampling : str or Sampling, default "without_replacement"
        The samples of a batch must be distinct.
    unbiased : bool, default False
        Whether to weigh the change of the batch n/B times as much, as SAGA does.
    start : {"zero", "gradient"}, default "zero"
        What the table holds at first: zeros, at no cost; or the slopes at the starting points, at
        the cost of `n_samples` gradients.

    References
    ----------
    Négiar, Dresdner, Tsai, El Ghaoui, Locatello, Freund and Pedregosa (2020); Schmidt, Le Roux and
    Bach (2017) for the same estimate in gradient steps, SAG.
    """

    sampling: str | Sampling = "without_replacement"
    unbiased: bool = field(default=False, kw_only=True)
    start: str = field(default="zero", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_distinct(self)
        _validate.one_of("start", self.start, ["zero", "gradient"])

    def cost(self, problem: Objective, steps: int) -> int:
        """Return the sum of the batch sizes, and what filling the table costs."""
        filled = problem.gradient_cost if self.start == "gradient" else 0
        return filled + super().cost(problem, steps)

    def init(self, problem: Objective, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the slopes and their combinations of the rows."""
        model = linear_model(problem)
        if self.start == "zero":
            return np.zeros((len(x), model.n_samples)), np.zeros_like(x)
        everyone = np.broadcast_to(np.arange(model.n_samples), (len(x), model.n_samples))
        slopes = model.loss_derivative(x @ model.features.T, everyone)
        return slopes, slopes @ model.features / model.n_samples

    def gradient(
        self,
        problem: Objective,
        x: FloatArray,
        draw: IntArray,
        state: tuple[FloatArray, FloatArray],
    ) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
        """Return the estimates at `x`, and enter the new slopes in the table."""
        model, (slopes, mean) = linear_model(problem), state
        rows = model.features.take(draw, axis=0)
        renewed = model.loss_derivative(np.matvec(rows, x), draw)
        drawn = np.arange(len(x))[:, None], draw
        change = renewed - slopes[drawn]
        slopes = slopes.copy()
        slopes[drawn] = renewed
        total = np.vecmat(change, rows)
        following = mean + total / model.n_samples
        estimate = mean + total / draw.shape[1] if self.unbiased else following
        if model.regularization:
            estimate = estimate + model.regularization * x
        return estimate, (slopes, following)


@dataclass(frozen=True)
class Momentum:
    r"""A running mean :math:`d_k = (1-\rho_k)d_{k-1}+\rho_kg_k` of another oracle's estimates.

    It is biased, since old estimates belong to old points, but with weights that fall slower than
    the steps its error vanishes even where the estimates keep their variance.  With the default
    weights and Frank–Wolfe steps this is the stochastic conditional gradient method (SCG).

    What is remembered are :math:`d_{k-1}`, at first 0, the step number, and what the other oracle
    remembers.

    Parameters
    ----------
    oracle : Oracle
        Where :math:`g_k` comes from.
    weight : float or callable, optional
        :math:`\rho_k \in (0, 1]`, a number or a schedule; :math:`4/(k+8)^{2/3}` when omitted, which
        starts at 1.

    References
    ----------
    Mokhtari, Hassani and Karbasi (2020).
    """

    oracle: Oracle
    weight: float | Schedule = field(default_factory=lambda: power(1, 2 / 3, shift=8))

    def __post_init__(self) -> None:
        check_oracle(self.oracle)
        if not callable(self.weight):
            _validate.real("weight", self.weight, above=0, at_most=1)

    def cost(self, problem: Objective, steps: int) -> int:
        """Return the cost of the other oracle."""
        return self.oracle.cost(problem, steps)

    def draws(
        self, problem: Objective, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield the draws of the other oracle."""
        return self.oracle.draws(problem, replicates, rng)

    def init(self, problem: Objective, x: FloatArray) -> tuple[FloatArray, int, Any]:
        """Return zeros, the step number and the state of the other oracle."""
        return np.zeros_like(x), 0, self.oracle.init(problem, x)

    def gradient(
        self,
        problem: Objective,
        x: FloatArray,
        draw: IntArray,
        state: tuple[FloatArray, int, Any],
    ) -> tuple[FloatArray, tuple[FloatArray, int, Any]]:
        """Return the running means."""
        last, k, memory = state
        weight = self.weight
        if callable(weight):
            weight = _validate.real(f"weight at step {k}", weight(k), above=0, at_most=1)
        estimate, memory = self.oracle.gradient(problem, x, draw, memory)
        mean = (1 - weight) * last + weight * estimate
        return mean, (mean, k + 1, memory)


@dataclass(frozen=True)
class Delayed:
    r"""The estimates of another oracle at points that are some steps old.

    This is what a worker contributes that read the point, computed, and came back when others had
    already moved it: asynchronous methods in slow motion, such as AsySFW.  Before there are so many
    steps, the starting point is read.

    What is remembered are the last points, and what the other oracle remembers.

    Parameters
    ----------
    oracle : Oracle
    delay : int
        How many steps old, at least 0.
    random : bool, default False
        Whether the delay is drawn at every step, uniformly from 0 to `delay`, in each replicate for
        itself; for finite sums only.

    References
    ----------
    Gu, Xian and Huang (2019).
    """

    oracle: Oracle
    delay: int
    random: bool = False

    def __post_init__(self) -> None:
        check_oracle(self.oracle)
        _validate.integer("delay", self.delay, at_least=0)

    def cost(self, problem: Objective, steps: int) -> int:
        """Return the cost of the other oracle."""
        return self.oracle.cost(problem, steps)

    def draws(
        self, problem: Objective, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield the draws of the other oracle, with random delays in a last column."""
        if not self.random:
            return self.oracle.draws(problem, replicates, rng)
        finite_sum, (inner, delays) = check_problem(problem), rng.spawn(2)

        def draw(group: np.random.Generator, size: tuple[int, ...]) -> IntArray:
            return group.integers(self.delay + 1, size=size)

        stream = self.oracle.draws(finite_sum, replicates, inner)
        return _with_column(stream, fresh(draw, 1, replicates, delays))

    def init(self, problem: Objective, x: FloatArray) -> tuple[FloatArray, Any]:
        """Return the starting points as if they had been there for long, newest first."""
        return np.repeat(x[None], self.delay + 1, axis=0), self.oracle.init(problem, x)

    def gradient(
        self, problem: Objective, x: FloatArray, draw: IntArray, state: tuple[FloatArray, Any]
    ) -> tuple[FloatArray, tuple[FloatArray, Any]]:
        """Return the estimates at the old points."""
        points, memory = state
        points = np.concatenate([x[None], points[:-1]])
        if self.random:
            draw, delays = draw[:, :-1], draw[:, -1]
            old = points[delays, np.arange(len(x))]
        else:
            old = points[-1]
        estimate, memory = self.oracle.gradient(problem, old, draw, memory)
        return estimate, (points, memory)


def estimates_along(
    problem: Objective,
    oracle: Oracle,
    path: FloatArray,
    *,
    rng: int | np.random.Generator | None = None,
) -> FloatArray:
    """Return what an oracle says at given points, one after the other, without taking steps.

    Asked along the iterates of a run, with the seed of that run, it returns the estimates that the
    run used; the mean square of their distance from the gradients is what analyses bound.

    Parameters
    ----------
    problem : Objective
    oracle : Oracle
    path : ndarray of shape (steps, replicates, dim)
        Where the oracle is asked, such as ``history["x"][:-1]`` of a trace recorded at all steps.
    rng : None, int or numpy.random.Generator

    Returns
    -------
    ndarray of shape (steps, replicates, dim)
    """
    check_objective(problem)
    check_oracle(oracle)
    path = _validate.finite_array("path", path, ndim=3)
    if path.shape[2] != problem.dim:
        raise ValueError(f"path: wanted points of {problem.dim} coordinates, got {path.shape[2]}")
    blocks = oracle.draws(problem, path.shape[1], _validate.generator(rng))
    state, estimates = oracle.init(problem, path[0]), np.empty_like(path)
    for k, draw in enumerate(itertools.islice(itertools.chain.from_iterable(blocks), len(path))):
        estimates[k], state = oracle.gradient(problem, path[k], draw, state)
    return estimates


def affordable_steps(problem: Objective, oracle: Oracle, budget: int) -> int:
    """Return how many steps an oracle can make its estimates for with so many gradients.

    Methods whose steps cost differently are compared fairly at equal budgets.  An expected cost, of
    an oracle that renews something by chance, counts as the cost.

    Parameters
    ----------
    problem : Objective
    oracle : Oracle
    budget : int
        How many gradients of single samples may be taken, at least 0.

    Returns
    -------
    int
        The largest number of steps with ``oracle.cost(problem, steps) <= budget``.
    """
    check_objective(problem)
    check_oracle(oracle)
    _validate.integer("budget", budget, at_least=0)
    end = 1
    while oracle.cost(problem, end) <= budget:
        end *= 2  # not the budget at once: growing batches may be too large to add up by then
    return bisect.bisect_right(range(1, end), budget, key=lambda k: oracle.cost(problem, k))


def _change(problem: Objective, old: FloatArray, new: FloatArray, draw: IntArray) -> FloatArray:
    """Return by how much the minibatch gradients at new points exceed those at old ones."""
    both = np.concatenate([new, old])
    gradients = problem.minibatch_gradient(both, np.concatenate([draw, draw]))
    return gradients[: len(new)] - gradients[len(new) :]


def _coins(probability: float, replicates: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """Yield blocks of ones with a probability and zeros otherwise."""

    def draw(group: np.random.Generator, size: tuple[int, ...]) -> IntArray:
        return (group.random(size) < probability).astype(np.int64)

    return fresh(draw, 1, replicates, rng)


def _with_column(blocks: Iterator[IntArray], extra: Iterator[IntArray]) -> Iterator[IntArray]:
    """Yield blocks of draws with a last column from another stream."""
    left = next(extra)
    for block in blocks:
        while len(left) < len(block):
            left = np.concatenate([left, next(extra)])
        yield np.concatenate([block, left[: len(block)]], axis=-1)
        left = left[len(block) :]


def _check_distinct(oracle: Minibatch) -> None:
    """Refuse batches in which a sample may come twice: it would enter the table twice."""
    sampling = resolve(oracle.sampling)
    if isinstance(sampling, AllSequences):
        sampling = sampling.base
    if isinstance(sampling, WithReplacement) and oracle.batch_size != 1:
        raise ValueError(
            "sampling: wanted batches of distinct samples for a table, such as "
            f"'without_replacement', got {sampling.name!r} with batch size {oracle.batch_size!r}"
        )


def check_oracle(oracle: object) -> None:
    """Refuse an `oracle` that has no gradients to offer."""
    if not callable(getattr(oracle, "gradient", None)):
        raise ValueError(f"oracle: wanted an Oracle such as Minibatch(), got {oracle!r}")


def linear_model(problem: Objective) -> LinearModel:
    """Return `problem` when it is a linear model."""
    if not isinstance(problem, LinearModel):
        raise ValueError(
            f"problem: wanted a linear model such as LogisticRegression, got {problem.name}"
        )
    return problem


def _scheduled(
    batch_size: BatchSchedule, stream: Stream, rng: np.random.Generator
) -> Iterator[IntArray]:
    """Yield one step's batches at a time, from a new stream whenever the size changes."""
    current, left = 0, np.empty((0, 0, 0), dtype=np.int64)
    for k in itertools.count():
        size = int(evaluate_batches(batch_size, k, k + 1)[0])
        if size != current:
            # One child a stream, however many replicates share it.
            blocks = stream(size, rng.spawn(1)[0])
            current, left = size, left[:0]
        if not len(left):
            left = next(blocks)
        yield left[:1]
        left = left[1:]


def check_batch_size(batch_size: int, problem: FiniteSum) -> int:
    """Return `batch_size` when it is an integer from 1 to the number of samples of `problem`."""
    return _validate.integer("batch_size", batch_size, at_least=1, at_most=problem.n_samples)
