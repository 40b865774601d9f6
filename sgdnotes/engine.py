"""The loop: one engine runs every method, on many independent replicates at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.oracles import Oracle
from sgdnotes.problems import Objective, check_objective
from sgdnotes.schedules import Schedule, evaluate, evaluate_weights
from sgdnotes.updates import StepSize, Update

Metric = Callable[[Objective, FloatArray], FloatArray]

METRICS: dict[str, Metric] = {
    "gap": lambda problem, x: problem.gap(x),
    "distance_squared": lambda problem, x: problem.distance_squared(x),
    "gradient_norm_squared": lambda problem, x: (problem.gradient(x) ** 2).sum(axis=-1),
    "x": lambda problem, x: x.copy(),
}

FAR = 1e75  # beyond this the square and the fourth power of a number are near overflow


@dataclass(frozen=True, eq=False)
class Trace:
    """What a run of the engine returns.

    Attributes
    ----------
    x : ndarray of shape (replicates, dim)
        The last iterates.
    fun : ndarray of shape (replicates,)
        Their function values.
    nit : int
        Steps taken.
    success : bool
        False if the run diverged; `message` then names the step.
    message : str
    steps : ndarray of int, shape (records,)
        The step numbers k at which the metrics were recorded; 0 is the starting point.
    history : dict of str to ndarray of shape (records, replicates, ...)
        The recorded metrics; with averaging and metrics given by name, also `x_average`, the
        averages so far.
    n_gradients : int
        Component gradients that each replicate spent.
    x_average : ndarray of shape (replicates, dim) or None
        The weighted mean of x_0, ..., x_{nit-1} if it was asked for; as long as all weights are
        zero, x_0.
    """

    x: FloatArray
    fun: FloatArray
    nit: int
    success: bool
    message: str
    steps: IntArray
    history: dict[str, FloatArray] = field(repr=False)
    n_gradients: int
    x_average: FloatArray | None = field(default=None, repr=False)

    @property
    def gap(self) -> FloatArray:
        r"""Recorded suboptimalities :math:`f(x_k) - f^*`, shape ``(records, replicates)``."""
        return self.history["gap"]

    def mean(self, metric: str = "gap") -> tuple[FloatArray, FloatArray]:
        """Return the average over replicates of a metric, and its standard error.

        Both have the shape of the record without its axis of replicates.  With one replicate the
        standard error is infinite.
        """
        values = self.history[_validate.one_of("metric", metric, self.history)]
        replicates = values.shape[1]
        if replicates == 1:
            return values[:, 0], np.full_like(values[:, 0], np.inf)
        return values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(replicates)


def record_steps(steps: int, record: int | str | Sequence[int]) -> IntArray:
    """Return the increasing step numbers at which to record, from 0 to `steps`.

    Parameters
    ----------
    steps : int
        Length of the run.
    record : int, "all" or sequence of int
        How many records, spaced evenly on a logarithmic scale; every step; or which steps.
    """
    _validate.integer("steps", steps, at_least=0)
    if isinstance(record, str):
        _validate.one_of("record", record, ["all"])
        return np.arange(steps + 1)
    if np.ndim(record) == 0:
        count = _validate.integer("record", record, at_least=1)  # type: ignore[arg-type]
        spaced = np.rint(np.geomspace(1, steps + 1, count)).astype(np.int64) - 1
        return np.unique(np.concatenate([[0], spaced, [steps]]))
    wanted = [_validate.integer("record", k, at_least=0, at_most=steps) for k in record]  # type: ignore[union-attr]
    return np.unique(np.array([0, *wanted, steps]))


def run(
    problem: Objective,
    oracle: Oracle,
    update: Update,
    *,
    steps: int,
    step_size: float | ArrayLike | Schedule,
    x0: ArrayLike | None = None,
    replicates: int = 1,
    rng: int | np.random.Generator | None = None,
    record: int | str | Sequence[int] = 60,
    metrics: Sequence[str] | Mapping[str, Metric] = ("gap",),
    average: bool | Schedule = False,
    progress: bool = False,
    callback: Callable[[Trace], None] | None = None,
) -> Trace:
    """Run `steps` steps of a method on `replicates` independent copies.

    Parameters
    ----------
    problem : Objective
    oracle, update : Oracle, Update
        The method: how gradients are estimated and how points move along them.
    steps : int
        Number of steps, at least 0.
    step_size : float, array_like of shape (replicates,) or callable
        A positive number, one for each replicate, or a schedule ``k -> positive number`` with k
        from 0.
    x0 : array_like of shape (dim,) or (replicates, dim), optional
        Starting points; the origin when omitted.
    replicates : int, default 1
    rng : None, int or numpy.random.Generator
        Seed.  A replicate's draws do not depend on how many replicates run together.
    record : int, "all" or sequence of int, default 60
        When to record; see `record_steps`.
    metrics : sequence of str, or mapping of str to callable, default ("gap",)
        What to record: names from `METRICS`, or functions ``(problem, x) -> values``.
    average : bool or callable, default False
        Keep the running mean of the iterates, or their mean with the weights ``k -> weight``.
    progress : bool, default False
        Show a progress bar.
    callback : callable, optional
        Called with the trace so far after each record; may raise ``StopIteration`` to stop.

    Returns
    -------
    Trace

    Raises
    ------
    ValueError
        For any argument out of range; the message names it.
    """
    check_objective(problem)
    steps = _validate.integer("steps", steps, at_least=0)
    replicates = _validate.integer("replicates", replicates, at_least=1)
    x = _validate.starting_points(x0, problem.dim, replicates)
    chosen = _metrics(metrics)
    schedule = record_steps(steps, record)
    draws = _Draws(oracle.draws(problem, replicates, _validate.generator(rng)))
    if not callable(getattr(update, "apply", None)):
        raise ValueError(f"update: wanted an Update such as GradientStep(), got {update!r}")
    if not (callback is None or callable(callback)):
        raise ValueError(f"callback: wanted a function of the trace, got {callback!r}")
    step_sizes = _step_sizes(step_size, replicates)
    step_sizes(0, 1)  # a bad first step is refused before any work is done
    weights = _weights(average)
    if average and not isinstance(metrics, Mapping):
        chosen["x_average"] = lambda problem, x: run_state.average

    run_state = _State(
        x, oracle.init(problem, x), update.init(problem, x), x, np.zeros_like(x), 0.0
    )
    recorded: dict[str, list[FloatArray]] = {name: [] for name in chosen}
    k, records, message = 0, 0, f"took all {steps} steps"
    success = True

    def trace() -> Trace:
        return Trace(
            x=run_state.x,
            fun=problem.value(run_state.x),
            nit=k,
            success=success,
            message=message,
            steps=schedule[:records],
            history={name: np.array(values) for name, values in recorded.items()},
            n_gradients=oracle.cost(problem, k),
            x_average=run_state.average if average else None,
        )

    with np.errstate(over="ignore", invalid="ignore"), _bar(steps, progress) as bar:
        for target in schedule:
            while k < target and success:
                indices = draws.take(int(target) - k)
                stop = k + len(indices)
                block = _Block(indices, step_sizes(k, stop), weights(k, stop))
                following = _advance(problem, oracle, update, run_state, block)
                if _bounded(following.x):
                    run_state, k = following, stop
                else:
                    run_state, taken = _advance_while_bounded(
                        problem, oracle, update, run_state, block
                    )
                    k += taken
                    success = False
                    message = (
                        f"diverged: step {k + 1} left the ball of radius {FAR:g}; "
                        f"x is the iterate after step {k}"
                    )
                bar.update(k - bar.n)
            if not success:
                break
            for name, metric in chosen.items():
                recorded[name].append(np.asarray(metric(problem, run_state.x)))
            records += 1
            if callback is not None:
                try:
                    callback(trace())
                except StopIteration:
                    message = f"stopped by the callback after step {k}"
                    break
        return trace()


@dataclass(frozen=True, eq=False)
class _State:
    x: FloatArray
    oracle: Any
    update: Any
    start: FloatArray
    total: FloatArray  # the weighted sum of the iterates before x
    weight: float  # the sum of their weights

    @property
    def average(self) -> FloatArray:
        return self.total / self.weight if self.weight else self.start


@dataclass(frozen=True, eq=False)
class _Block:
    """What the next few steps need."""

    draws: IntArray
    step_sizes: Sequence[StepSize]
    weights: Sequence[float]  # zero where nothing is averaged

    def one(self, number: int) -> _Block:
        at = slice(number, number + 1)
        return _Block(self.draws[at], self.step_sizes[at], self.weights[at])


def _advance(
    problem: Objective, oracle: Oracle, update: Update, state: _State, block: _Block
) -> _State:
    """Advance all replicates over a block of draws; the one place where steps are taken."""
    x, memory, carried = state.x, state.oracle, state.update
    averaging = any(block.weights)
    total = state.total.copy() if averaging else state.total
    for draw, step_size, weight in zip(block.draws, block.step_sizes, block.weights, strict=True):
        if averaging:
            total += weight * x
        gradient, memory = oracle.gradient(problem, x, draw, memory)
        x, carried = update.apply(problem, x, gradient, step_size, carried)
    return _State(x, memory, carried, state.start, total, state.weight + math.fsum(block.weights))


def _advance_while_bounded(
    problem: Objective, oracle: Oracle, update: Update, state: _State, block: _Block
) -> tuple[_State, int]:
    """Repeat a block that diverged one step at a time, up to the last bounded iterate."""
    for taken in range(len(block.draws)):
        following = _advance(problem, oracle, update, state, block.one(taken))
        if not _bounded(following.x):
            return state, taken
        state = following
    raise AssertionError("a block that diverged must diverge again when it is repeated")


def _step_sizes(
    step_size: float | ArrayLike | Schedule, replicates: int
) -> Callable[[int, int], Sequence[StepSize]]:
    """Return a function from a range of steps to their sizes."""
    if callable(step_size) or np.ndim(step_size) == 0:
        scheduled: float | Schedule = step_size  # type: ignore[assignment]
        return lambda start, stop: evaluate(scheduled, start, stop).tolist()
    each = _validate.finite_array("step_size", step_size, ndim=1)
    if each.shape != (replicates,) or not (each > 0).all():
        raise ValueError(
            f"step_size: wanted one positive number for each of {replicates} replicates, "
            f"got {step_size!r}"
        )
    return lambda start, stop: [each[:, None]] * (stop - start)


def _weights(average: bool | Schedule) -> Callable[[int, int], Sequence[float]]:
    """Return a function from a range of steps to the weights of their iterates."""
    if isinstance(average, bool):
        return lambda start, stop: [float(average)] * (stop - start)
    if not callable(average):
        raise ValueError(f"average: wanted a bool or a function of the step, got {average!r}")
    return lambda start, stop: evaluate_weights("average", average, start, stop).tolist()


def _bounded(x: FloatArray) -> bool:
    return bool((np.abs(x) <= FAR).all())  # False for NaN, too


class _Draws:
    """A stream of blocks, read in pieces of any length."""

    def __init__(self, blocks: Iterator[IntArray]) -> None:
        self._blocks = blocks
        self._left: IntArray = np.empty((0, 0, 0), dtype=np.int64)

    def take(self, at_most: int) -> IntArray:
        """Return the next draws, at least one and at most `at_most`."""
        if not len(self._left):
            self._left = next(self._blocks)
        taken, self._left = self._left[:at_most], self._left[at_most:]
        return taken


def _metrics(metrics: Sequence[str] | Mapping[str, Metric]) -> dict[str, Metric]:
    if isinstance(metrics, Mapping):
        for name, metric in metrics.items():
            if not callable(metric):
                raise ValueError(f"metrics: wanted functions, got {metric!r} for {name!r}")
        return dict(metrics)
    if isinstance(metrics, str):
        raise ValueError(f"metrics: wanted a sequence of names, got the string {metrics!r}")
    return {name: METRICS[_validate.one_of("metrics", name, METRICS)] for name in metrics}


def _bar(total: int, shown: bool) -> Any:
    from tqdm.auto import tqdm  # imported late: it costs more than all the rest of this module

    return tqdm(total=total, disable=not shown, unit="step")
