"""Exact expectations of a whole run of SGD: no sampling error, no error bars.

Two ways lead to them.  On least squares and ridge regression the first two moments obey a linear
recursion (`expected_sgd`).  On any problem small enough, all index sequences can be run
(`enumerate_sgd`), which serves as an independent check of the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.engine import METRICS, Metric, Trace, run
from sgdnotes.moments import SecondMoments
from sgdnotes.oracles import Minibatch, check_batch_size
from sgdnotes.problems import FiniteSum, Objective, Ridge, check_problem
from sgdnotes.sampling import AllSequences, Sampling, WithReplacement, resolve
from sgdnotes.schedules import (
    BatchSchedule,
    Schedule,
    evaluate,
    evaluate_batches,
    evaluate_weights,
)
from sgdnotes.updates import GradientStep, LinearUpdate, Update

MAX_SEQUENCES = 2**21


@dataclass(frozen=True, eq=False)
class Expectation:
    r"""Expectations over all the randomness of a run, for every step k.

    Attributes
    ----------
    steps : ndarray of int, shape (steps + 1,)
        0, 1, ..., the number of steps.
    gap : ndarray of shape (steps + 1,)
        :math:`\mathbb E f(x_k) - f^*`.
    distance_squared : ndarray of shape (steps + 1,)
        :math:`\mathbb E\operatorname{dist}(x_k, X^*)^2`, which is
        :math:`\mathbb E\|x_k - x^*\|^2` where the minimiser is unique.
    gradient_norm_squared : ndarray of shape (steps + 1,)
        :math:`\mathbb E\|\nabla f(x_k)\|^2`.
    gradient_second_moment : ndarray of shape (steps + 1,)
        :math:`\mathbb E\|g_k\|^2` for the minibatch gradient :math:`g_k` at :math:`x_k`.
    mean : ndarray of shape (steps + 1, dim)
        :math:`\mathbb E x_k`.
    averaged : callable
        Returns `average_gap`, which costs more than the rest and is computed when it is needed.
    """

    steps: IntArray
    gap: FloatArray
    distance_squared: FloatArray
    gradient_norm_squared: FloatArray
    gradient_second_moment: FloatArray
    mean: FloatArray
    averaged: Callable[[], FloatArray] = field(repr=False)

    @cached_property
    def average_gap(self) -> FloatArray:
        r""":math:`\mathbb E f(\bar x_k) - f^*` for the averages, shape ``(steps + 1,)``.

        :math:`\bar x_k` is the weighted mean of :math:`x_0, \dots, x_{k-1}`; where no weight has
        been given yet, :math:`x_0`.
        """
        return self.averaged()


def expected_sgd(
    problem: Ridge,
    x0: ArrayLike | None = None,
    *,
    steps: int,
    step_size: float | Schedule,
    batch_size: int | BatchSchedule = 1,
    sampling: str | Sampling = "with_replacement",
    update: LinearUpdate = GradientStep(),
    weights: Schedule | None = None,
) -> Expectation:
    """Return the exact expectations of minibatch SGD on least squares or ridge regression.

    Parameters
    ----------
    problem : Ridge
        Least squares or ridge regression.
    x0 : array_like of shape (dim,), optional
        Starting point; the origin when omitted.
    steps : int
    step_size : float or callable
        A positive number or a schedule ``k -> positive number``.
    batch_size : int or callable, default 1
        A number or a schedule ``k -> number``, which is asked for the batch at the last point, too.
    sampling : {"with_replacement", "without_replacement"} or Sampling
    update : LinearUpdate, default GradientStep()
        `GradientStep`, `HeavyBall` or `Nesterov`.
    weights : callable, optional
        Weights ``k -> weight`` of the averages, at least 0; equal ones when omitted.

    Returns
    -------
    Expectation
        What is too large for floating point is infinite.

    Notes
    -----
    The cost does not depend on the randomness averaged over: a table of moments is built once in
    O(n r⁴) operations, r the rank, and every step multiplies by it.
    """
    steps = _validate.integer("steps", steps, at_least=0)
    fixed = 1 if callable(batch_size) else batch_size
    moments = SecondMoments(problem, fixed, sampling, update)
    factors = _factors(problem, batch_size, sampling, steps) if callable(batch_size) else None
    start = moments.state(x0)
    sizes = evaluate(step_size, 0, steps)
    states = moments.evolve(start, sizes, None if factors is None else factors[:-1])
    given = np.ones(steps) if weights is None else evaluate_weights("weights", weights, 0, steps)

    def averaged() -> FloatArray:
        squares = moments.averaged(states, sizes, given)
        return _or_infinity(squares @ moments.curvatures / 2)

    frozen = moments.mean(start) - _validate.starting_points(x0, problem.dim, 1)[0]
    with np.errstate(invalid="ignore", over="ignore"):
        return Expectation(
            steps=np.arange(steps + 1),
            gap=_square(moments.gap(states)),
            distance_squared=_square(moments.distance_squared(states)),
            gradient_norm_squared=_square(moments.gradient_norm_squared(states)),
            gradient_second_moment=_or_infinity(moments.gradient_second_moment(states, factors)),
            mean=_or_infinity(moments.mean(states) - frozen),
            averaged=averaged,
        )


def _factors(
    problem: FiniteSum, batch_size: BatchSchedule, sampling: str | Sampling, steps: int
) -> FloatArray:
    """Return the variance factors of the batches of steps 0, ..., `steps`."""
    how, sizes = resolve(sampling), evaluate_batches(batch_size, 0, steps + 1)
    if not isinstance(how, WithReplacement):
        for size in sizes:
            check_batch_size(int(size), problem)
    return np.array([how.variance_factor(problem.n_samples, int(size)) for size in sizes])


def enumerate_sgd(
    problem: FiniteSum,
    x0: ArrayLike | None = None,
    *,
    steps: int,
    step_size: float | Schedule,
    batch_size: int = 1,
    sampling: str | Sampling = "with_replacement",
    update: Update = GradientStep(),
    weights: Schedule | None = None,
) -> Expectation:
    """Return the exact expectations of minibatch SGD by running every sequence of batches.

    The number of sequences is the number of batches to the power `steps`; it must not exceed
    2²¹, which is enough for 3 samples and 13 steps.

    Parameters
    ----------
    problem : FiniteSum
    x0 : array_like of shape (dim,), optional
        Starting point; the origin when omitted.
    steps : int
    step_size : float or callable
        A positive number or a schedule ``k -> positive number``.
    batch_size : int, default 1
    sampling : {"with_replacement", "without_replacement"} or Sampling
    update : Update, default GradientStep()
    weights : callable, optional
        Weights ``k -> weight`` of the averages, at least 0; equal ones when omitted.

    Returns
    -------
    Expectation

    Raises
    ------
    ValueError
        If there are too many sequences, or if one of them diverges.
    """
    steps = _validate.integer("steps", steps, at_least=0)
    batch_size = check_batch_size(batch_size, check_problem(problem))
    base = resolve(sampling)
    batches = base.outcomes(problem.n_samples, batch_size)
    if len(batches) > 1 and steps > math.log(MAX_SEQUENCES, len(batches)):
        raise ValueError(
            f"steps: wanted at most {MAX_SEQUENCES} sequences of batches, got {steps} steps of "
            f"{len(batches)} batches each"
        )
    sequences = len(batches) ** steps

    def second_moment(_: Objective, x: FloatArray) -> FloatArray:
        total = np.zeros(len(x))
        for batch in batches:
            indices = np.broadcast_to(batch, (len(x), batch_size))
            total += (problem.minibatch_gradient(x, indices) ** 2).sum(axis=1)
        return total / len(batches)

    metrics = {**METRICS, "gradient_second_moment": second_moment}
    if weights is not None:
        evaluate_weights("weights", weights, 0, steps)
    average_gap: list[float] = []

    def take_average(trace: Trace) -> None:
        assert trace.x_average is not None
        average_gap.append(float(problem.gap(trace.x_average).mean()))

    trace = run(
        problem,
        Minibatch(batch_size, AllSequences(base)),
        update,
        x0=x0,
        steps=steps,
        step_size=step_size,
        replicates=sequences,
        record="all",
        # Averaged as they are recorded: the values of all sequences at all steps take gigabytes.
        metrics={name: _averaged(metric) for name, metric in metrics.items()},
        average=True if weights is None else weights,
        callback=take_average,
    )
    if not trace.success:
        raise ValueError(f"step_size: wanted one for which no sequence diverges; {trace.message}")
    averages = dict(trace.history)
    return Expectation(
        steps=trace.steps,
        mean=averages.pop("x"),
        averaged=lambda: np.array(average_gap),
        **averages,
    )


def _averaged(metric: Metric) -> Metric:
    # Summing along the contiguous axis is pairwise, which half a million terms need.
    return lambda problem, x: np.ascontiguousarray(metric(problem, x).T).mean(axis=-1)


def _square(values: FloatArray) -> FloatArray:
    """Return mean squares without the sign that rounding may give to a zero."""
    return np.maximum(_or_infinity(values), 0.0)


def _or_infinity(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, np.inf)
