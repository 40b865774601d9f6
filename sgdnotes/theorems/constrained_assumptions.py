"""What theorems on Frank–Wolfe methods assume, each able to say with numbers whether it holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.problems import FiniteSum
from sgdnotes.sampling import NAMED, resolve
from sgdnotes.theorems.assumptions import EXACT
from sgdnotes.theorems.base import Assumption, Evidence
from sgdnotes.theorems.constrained import (
    Constrained,
    ConstrainedPoints,
    FrankWolfeRun,
    FrankWolfeStepFrom,
    ShortStepRun,
    batches,
    gradient_variance,
    is_random,
)


def _smooth(setting: Constrained) -> Evidence:
    claimed, true = setting.smoothness, setting.problem.smoothness
    holds = math.isfinite(claimed) and claimed >= true * (1 - EXACT)
    return Evidence(holds, f"L = {claimed:.6g}, the smallest valid L is {true:.6g}")


smooth_on_set: Assumption[Any] = Assumption(
    "smooth", r"$\nabla f$ is $L$-Lipschitz on $\Omega$", _smooth
)


def _compact(setting: Constrained) -> Evidence:
    claimed, true = setting.diameter, setting.constraint.diameter
    holds = math.isfinite(claimed) and claimed >= true * (1 - EXACT)
    return Evidence(holds, f"D = {claimed:.6g}, the diameter is {true:.6g}")


compact: Assumption[Any] = Assumption(
    "compact", r"$\Omega$ is convex and compact, of diameter at most $D$", _compact
)


def _inside(setting: ConstrainedPoints | FrankWolfeRun | ShortStepRun) -> Evidence:
    points = setting.confined if isinstance(setting, ConstrainedPoints) else setting.start
    outside = int((~setting.constraint.contains(points)).sum())
    return Evidence(outside == 0, f"{outside} of {len(points)} points outside the set")


start_in_set: Assumption[Any] = Assumption("start in the set", r"$x_0 \in \Omega$", _inside)
points_in_set: Assumption[Any] = Assumption("points in the set", r"$x \in \Omega$", _inside)


def _at_most_one(setting: FrankWolfeRun | FrankWolfeStepFrom) -> Evidence:
    largest = float(setting.step_sizes.max())
    return Evidence(largest <= 1 + EXACT, f"largest step size {largest:.6g}, wanted at most 1")


step_at_most_one: Assumption[Any] = Assumption(
    "step at most 1", r"$0 < \gamma_t \le 1$", _at_most_one
)


def _unbiased(setting: FrankWolfeRun | FrankWolfeStepFrom) -> Evidence:
    how, problem = resolve(setting.sampling), setting.problem
    if not isinstance(problem, FiniteSum) or how in NAMED.values():
        return Evidence(True, "uniform by construction")
    first = setting.batch_size(0) if callable(setting.batch_size) else setting.batch_size
    counts, chances = batches(how, problem.n_samples, first)
    share = chances @ counts / first
    return Evidence(
        bool(np.ptp(share) <= EXACT),
        f"sample probabilities from {share.min():.6g} to {share.max():.6g}, "
        f"wanted 1/n = {1 / problem.n_samples:.6g} for all",
    )


unbiased_batches: Assumption[Any] = Assumption(
    "unbiased",
    r"given the past, the samples of a batch are independent (or distinct) and "
    r"$\mathbb E g(x) = \nabla f(x)$",
    _unbiased,
)


def _variance(setting: FrankWolfeRun | FrankWolfeStepFrom) -> Evidence:
    if isinstance(setting, FrankWolfeStepFrom):
        true, claimed = setting.true_variance, setting.variance
    else:
        true = setting.expectation.variance[:-1]
        claimed = np.full(len(true), setting.standard_deviation**2)
    at = int((true - claimed).argmax())
    return Evidence(
        bool((claimed >= true * (1 - EXACT) - 1e-300).all()),
        f"σ² = {claimed[at]:.6g}, the variance of a single gradient is {true[at]:.6g}",
    )


bounded_noise: Assumption[Any] = Assumption(
    "variance",
    r"$\mathbb E\|\nabla f_i(x) - \nabla f(x)\|^2 \le \sigma^2$ for a single sample $i$ at the "
    r"points $x$ where a gradient is taken",
    _variance,
)


def _exact(setting: FrankWolfeRun) -> Evidence:
    noise = float(np.sqrt(gradient_variance(setting.problem, setting.start)[0]))
    random = is_random(setting.problem)
    return Evidence(not random, f"noise of standard deviation {noise:.6g} at the start")


exact_gradients: Assumption[Any] = Assumption(
    "exact gradients", r"$\sigma = 0$: every step sees $\nabla f(x_t)$ itself", _exact
)


def follows(
    name: str, statement: str, wanted: Callable[[FrankWolfeRun, FloatArray], FloatArray]
) -> Assumption[Any]:
    """Return the assumption that the step sizes are the wanted function of t = 0, 1, ...

    Parameters
    ----------
    name, statement : str
        As in `Assumption`.
    wanted : callable
        From the setting and t to the step sizes.
    """

    def examine(setting: FrankWolfeRun) -> Evidence:
        want = wanted(setting, np.arange(setting.steps, dtype=float))
        error = float(np.abs(setting.step_sizes / want - 1).max())
        return Evidence(error <= EXACT, f"largest relative deviation of the steps {error:.3g}")

    return Assumption(name, statement, examine)


def _constant_batch(setting: FrankWolfeRun) -> Evidence:
    sizes = setting.batch_sizes
    return Evidence(
        bool((sizes == sizes[0]).all()), f"batch sizes from {sizes.min()} to {sizes.max()}"
    )


constant_batch: Assumption[Any] = Assumption(
    "constant batch", r"$b_t = b$ for all $t$", _constant_batch
)


def grown(
    name: str, statement: str, wanted: Callable[[FrankWolfeRun, FloatArray], FloatArray]
) -> Assumption[Any]:
    """Return the assumption that batches are at least the wanted function of t = 0, 1, ...

    Parameters
    ----------
    name, statement : str
        As in `Assumption`.
    wanted : callable
        From the setting and t to the least batch sizes.
    """

    def examine(setting: FrankWolfeRun) -> Evidence:
        want = wanted(setting, np.arange(setting.steps, dtype=float))
        share = setting.batch_sizes / want
        at = int(share.argmin())
        return Evidence(
            bool(share[at] >= 1 - EXACT),
            f"batch {setting.batch_sizes[at]} at t = {at}, wanted at least {want[at]:.6g}",
        )

    return Assumption(name, statement, examine)


def _geometric(setting: FrankWolfeRun, t: FloatArray) -> FloatArray:
    growth, period = setting.parameter("batch_growth"), setting.parameter("batch_period")
    if growth <= 1 or period < 1:
        return np.full(len(t), np.inf)
    return np.asarray(setting.batch_sizes[0] * growth ** np.floor(t / period))


growing_batches = grown(
    "growing batches",
    r"$b_t \ge b\lambda^{\lfloor t/E\rfloor}$ with $b = b_0$, $\lambda > 1$ and a fixed $E$",
    _geometric,
)
constant_steps = follows(
    "constant step", r"$\gamma_t = \gamma$ for all $t$", lambda s, t: 0 * t + s.step_sizes[0]
)
harmonic_steps = follows(
    "harmonic steps", r"$\gamma_t = \frac1{t+1}$ for $t = 0, 1, \dots$", lambda s, t: 1 / (t + 1)
)

open_loop_steps = follows(
    "Frank–Wolfe steps",
    r"$\gamma_t = \frac2{t+2}$ for $t = 0, 1, \dots$",
    lambda s, t: 2 / (t + 2),
)


def _decayed(setting: FrankWolfeRun, t: FloatArray) -> FloatArray:
    factor, period = setting.parameter("decay"), setting.parameter("decay_period")
    if not (0 < factor < 1 and period >= 1):
        return np.full(len(t), np.nan)
    return np.asarray(setting.step_sizes[0] * factor ** np.floor(t / period))


decaying_steps = follows(
    "step decay",
    r"$\gamma_t = \gamma\eta^{\lfloor t/K\rfloor}$ with $0 < \eta < 1$",
    _decayed,
)


def whole_periods(setting: FrankWolfeRun) -> IntArray:
    """Return K, 2K, ... up to the number of steps, for step decay of period K."""
    period = int(setting.parameter("decay_period"))
    return np.arange(period, setting.steps + 1, period)


def _one_period(setting: FrankWolfeRun) -> Evidence:
    period = setting.parameter("decay_period")
    return Evidence(setting.steps >= period, f"{setting.steps} steps, K = {period:g}")


a_whole_period: Assumption[Any] = Assumption("a whole period", r"$T \ge K$", _one_period)
