"""Step sizes and batch sizes as functions of the step number k, counted from 0.

A schedule is anything that maps k to a positive number; a plain number stands for the constant
schedule.  The functions here build the schedules that the lectures analyse.
"""

from __future__ import annotations

import bisect
import itertools
import math
import sys
from collections.abc import Callable, Sequence

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray

Schedule = Callable[[int], float]
BatchSchedule = Callable[[int], int]

LARGEST = 10**15  # batch size
SMALLEST = sys.float_info.min  # step size


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


def power(first: float, exponent: float, *, shift: float = 1) -> Schedule:
    r"""Return :math:`\alpha_k = \alpha_0\left(\frac{s}{k+s}\right)^a`.

    With the shift :math:`s = 1` it is :math:`\alpha_0/(k+1)^a`.

    Parameters
    ----------
    first : float
        :math:`\alpha_0 > 0`.
    exponent : float
        :math:`a \ge 0`; at 0 the schedule is constant.
    shift : float, default 1
        :math:`s > 0`, the step number at which :math:`\alpha_k` has fallen by :math:`2^{-a}`.
    """
    alpha = _validate.real("first", first, above=0)
    a = _validate.real("exponent", exponent, at_least=0)
    s = _validate.real("shift", shift, above=0)
    return lambda k: float(alpha * (s / (k + s)) ** a)


def frank_wolfe_steps() -> Schedule:
    r"""Return :math:`\gamma_k = \frac{2}{k+2}`, the steps of the Frank–Wolfe theorem."""
    return power(1, 1, shift=2)


def step_decay(first: float, factor: float, every: int) -> Schedule:
    r"""Return :math:`\alpha_k = \alpha_0\,\eta^{\lfloor k/K\rfloor}`, which falls every K steps.

    Parameters
    ----------
    first : float
        :math:`\alpha_0 > 0`.
    factor : float
        :math:`\eta \in (0, 1]`.
    every : int
        :math:`K \ge 1`.
    """
    alpha = _validate.real("first", first, above=0)
    eta = _validate.real("factor", factor, above=0, at_most=1)
    period = _validate.integer("every", every, at_least=1)
    # The power underflows in the end, where a step must still be positive.
    return lambda k: max(float(alpha * eta ** (k // period)), SMALLEST)


def piecewise(switches: Sequence[int], values: Sequence[float]) -> Schedule:
    r"""Return the schedule that takes one value after the other.

    Parameters
    ----------
    switches : sequence of int
        The steps, increasing, at which the next value takes over.
    values : sequence of float
        One more than there are switches, all above 0.
    """
    if np.ndim(switches) != 1:
        raise ValueError(f"switches: wanted a sequence of step numbers, got {switches!r}")
    at = [_validate.integer("switches", k, at_least=1) for k in switches]
    if any(later <= earlier for earlier, later in itertools.pairwise(at)):
        raise ValueError(f"switches: wanted increasing step numbers, got {list(switches)!r}")
    if np.ndim(values) != 1:
        raise ValueError(f"values: wanted a sequence of numbers, got {values!r}")
    taken = [_validate.real("values", value, above=0) for value in values]
    if len(taken) != len(at) + 1:
        raise ValueError(f"values: wanted {len(at) + 1}, one more than switches, got {len(taken)}")
    return lambda k: taken[bisect.bisect_right(at, k)]


def geometric_batches(
    first: int, ratio: float, largest: int | None = None, every: int = 1
) -> BatchSchedule:
    r"""Return :math:`B_k = \min\{\lceil B_0\,r^{\lfloor k/E\rfloor}\rceil, B_{\max}\}`.

    Parameters
    ----------
    first : int
        :math:`B_0 \ge 1`.
    ratio : float
        :math:`r \ge 1`.
    largest : int, optional
        :math:`B_{\max}`, at most :math:`10^{15}`, which is also what it is when omitted.
    every : int, default 1
        :math:`E \ge 1`: the size grows every E steps.
    """
    start, cap = _range_of_batches(first, largest)
    growth = _validate.real("ratio", ratio, at_least=1)
    period = _validate.integer("every", every, at_least=1)
    # The logarithm tells when the cap is reached before the power overflows; the tiny reduction
    # keeps rounding from turning a whole number into the next one.
    reached = math.inf if growth == 1 else math.log(cap / start) / math.log(growth)

    def batch_size(k: int) -> int:
        times = k // period
        if times > reached:
            return cap
        return min(cap, math.ceil(start * growth**times * (1 - 1e-12)))

    return batch_size


def polynomial_batches(
    first: int, exponent: float = 1, largest: int | None = None
) -> BatchSchedule:
    r"""Return the batch sizes :math:`B_k = \min\{\lceil B_0(k+1)^q\rceil, B_{\max}\}`.

    Parameters
    ----------
    first : int
        :math:`B_0 \ge 1`.
    exponent : float, default 1
        :math:`q \ge 0`.
    largest : int, optional
        :math:`B_{\max}`, at most :math:`10^{15}`, which is also what it is when omitted.
    """
    start, cap = _range_of_batches(first, largest)
    q = _validate.real("exponent", exponent, at_least=0)
    reached = math.inf if q == 0 else math.log(cap / start) / q  # of the logarithm of k + 1

    def batch_size(k: int) -> int:
        if math.log(k + 1) > reached:
            return cap
        return min(cap, math.ceil(start * math.pow(k + 1, q) * (1 - 1e-12)))

    return batch_size


def _range_of_batches(first: int, largest: int | None) -> tuple[int, int]:
    start = _validate.integer("first", first, at_least=1, at_most=LARGEST)
    wanted = LARGEST if largest is None else largest
    return start, _validate.integer("largest", wanted, at_least=start, at_most=LARGEST)


def capped(schedule: Schedule, cap: float) -> Schedule:
    """Return ``k -> min(cap, schedule(k))``."""
    largest = _validate.real("cap", cap, above=0)
    return lambda k: min(largest, schedule(k))


def evaluate(
    step_size: float | Schedule, start: int, stop: int, name: str = "step_size"
) -> FloatArray:
    """Return the steps ``start, ..., stop - 1`` of a schedule, each checked to be positive.

    Parameters
    ----------
    step_size : float or callable
    start, stop : int
    name : str, default "step_size"
        What the argument is called in messages.

    Raises
    ------
    ValueError
        If `step_size` is neither a positive number nor callable, or if it returns something that
        is not a positive finite number; the message names the step.
    """
    if not callable(step_size):
        return np.full(stop - start, _validate.real(name, step_size, above=0))
    return np.array(
        [_validate.real(f"{name} at step {k}", step_size(k), above=0) for k in range(start, stop)]
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
