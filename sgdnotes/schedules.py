"""Step sizes and batch sizes as functions of the step number k, counted from 0.

A schedule is anything that maps k to a positive number; a plain number stands for the constant
schedule.  The functions here build the schedules that the lectures analyse.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray

Schedule = Callable[[int], float]
BatchSchedule = Callable[[int], int]

LARGEST = 10**15  # batch size


def constant(step_size: float) -> Schedule:
    """Return the schedule ``k -> step_size``."""
    value = _validate.real("step_size", step_size, above=0)
    return lambda k: value


def inverse_time(pl_constant: float) -> Schedule:
    r"""Return :math:`\alpha_k = \frac{2k+1}{2\mu(k+1)^2}`, the decreasing step of the PL theorem.

    Parameters
    ----------
    pl_constant : float
        The constant :math:`\mu > 0` of the PL inequality.
    """
    mu = _validate.real("pl_constant", pl_constant, above=0)
    return lambda k: (2 * k + 1) / (2 * mu * (k + 1) ** 2)


def constant_then_inverse_time(max_smoothness: float, strong_convexity: float) -> Schedule:
    r"""Return the schedule of Gower et al. (2019, Theorem 3.2).

    It is :math:`\frac{1}{2L_{\max}}` for :math:`k < 4\lceil L_{\max}/\mu\rceil` and
    :math:`\frac{2k+1}{\mu(k+1)^2}` from then on.  (The paper switches one step later; here the
    decreasing steps start where the guarantee of the constant ones ends.)

    Parameters
    ----------
    max_smoothness, strong_convexity : float
        :math:`L_{\max} \ge \mu > 0`.
    """
    mu = _validate.real("strong_convexity", strong_convexity, above=0)
    # Where all curvatures agree, the two constants may differ by rounding.
    largest = _validate.real("max_smoothness", max_smoothness, at_least=mu * (1 - 1e-9))
    switch = 4 * math.ceil(largest / mu)
    return lambda k: 1 / (2 * largest) if k < switch else (2 * k + 1) / (mu * (k + 1) ** 2)


def inverse_root(first: float) -> Schedule:
    r"""Return :math:`\alpha_k = \alpha_0/\sqrt{k+1}`, the decreasing step without strong convexity.

    Parameters
    ----------
    first : float
        :math:`\alpha_0 > 0`.
    """
    alpha = _validate.real("first", first, above=0)
    return lambda k: alpha / math.sqrt(k + 1)


def geometric_batches(first: int, ratio: float, largest: int | None = None) -> BatchSchedule:
    r"""Return the batch sizes :math:`B_k = \min\{\lceil B_0\,r^k\rceil, B_{\max}\}`.

    Parameters
    ----------
    first : int
        :math:`B_0 \ge 1`.
    ratio : float
        :math:`r \ge 1`.
    largest : int, optional
        :math:`B_{\max}`, at most :math:`10^{15}`, which is also what it is when omitted.
    """
    start = _validate.integer("first", first, at_least=1, at_most=LARGEST)
    growth = _validate.real("ratio", ratio, at_least=1)
    wanted = LARGEST if largest is None else largest
    cap = _validate.integer("largest", wanted, at_least=start, at_most=LARGEST)
    # The logarithm tells when the cap is reached before the power overflows; the tiny reduction
    # keeps rounding from turning a whole number into the next one.
    reached = math.inf if growth == 1 else math.log(cap / start) / math.log(growth)
    return lambda k: cap if k > reached else min(cap, math.ceil(start * growth**k * (1 - 1e-12)))


def capped(schedule: Schedule, cap: float) -> Schedule:
    """Return ``k -> min(cap, schedule(k))``."""
    largest = _validate.real("cap", cap, above=0)
    return lambda k: min(largest, schedule(k))


def evaluate(step_size: float | Schedule, start: int, stop: int) -> FloatArray:
    """Return the steps ``start, ..., stop - 1`` of a schedule, each checked to be positive.

    Raises
    ------
    ValueError
        If `step_size` is neither a positive number nor callable, or if it returns something that
        is not a positive finite number; the message names the step.
    """
    if not callable(step_size):
        return np.full(stop - start, _validate.real("step_size", step_size, above=0))
    return np.array(
        [
            _validate.real(f"step_size at step {k}", step_size(k), above=0)
            for k in range(start, stop)
        ]
    )


def evaluate_batches(batch_size: int | BatchSchedule, start: int, stop: int) -> IntArray:
    """Return the batch sizes of the steps ``start, ..., stop - 1``, each checked to be positive."""
    if not callable(batch_size):
        size = _validate.integer("batch_size", batch_size, at_least=1, at_most=LARGEST)
        return np.full(stop - start, size)
    return np.array(
        [
            _validate.integer(f"batch_size at step {k}", batch_size(k), at_least=1, at_most=LARGEST)
            for k in range(start, stop)
        ],
        dtype=np.int64,
    )


def evaluate_weights(name: str, weights: Schedule, start: int, stop: int) -> FloatArray:
    """Return the weights of the steps ``start, ..., stop - 1``, each checked to be at least 0.

    Parameters
    ----------
    name : str
        What the argument is called in messages.
    weights : callable
        ``k -> weight``.
    start, stop : int
    """
    if not callable(weights):
        raise ValueError(f"{name}: wanted a function of the step number, got {weights!r}")
    return np.array(
        [_validate.real(f"{name} at step {k}", weights(k), at_least=0) for k in range(start, stop)]
    )
