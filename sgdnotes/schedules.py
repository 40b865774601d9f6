"""Step sizes as functions of the step number k, counted from 0.

A schedule is anything that maps k to a positive number; a plain float stands for the constant
schedule.  The functions here build the schedules that the lectures analyse.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray

Schedule = Callable[[int], float]


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
