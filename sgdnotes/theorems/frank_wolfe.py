r"""Frank–Wolfe with exact and with stochastic gradients (lecture 12).

Everything follows from one step, `lem-fw-step`, summed over a run in one of two ways: with the step
sizes as weights, or uniformly after division by the step sizes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.constraints import Box, Constraint
from sgdnotes.problems import (
    DeterministicQuadratic,
    GaussianQuadratic,
    TiltedQuadratic,
)
from sgdnotes.schedules import (
    BatchSchedule,
    Schedule,
    evaluate,
    evaluate_batches,
    frank_wolfe_steps,
    geometric_batches,
    power,
    step_decay,
)
from sgdnotes.theorems.assumptions import EXACT, FirstSampleOnly, convex
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem
from sgdnotes.theorems.constrained import (
    ConstrainedPoints,
    FrankWolfeRun,
    FrankWolfeStepFrom,
    ShortStepRun,
    gradient_variance,
    interval,
    is_random,
)
from sgdnotes.theorems.constrained_assumptions import (
    a_whole_period,
    bounded_noise,
    compact,
    constant_batch,
    constant_steps,
    decaying_steps,
    exact_gradients,
    harmonic_steps,
    open_loop_steps,
    points_in_set,
    smooth_on_set,
    start_in_set,
    step_at_most_one,
    unbiased_batches,
    whole_periods,
)
from sgdnotes.updates import frank_wolfe_gap

MEAN = "mean over t < T of E G(x_t)"


# ---- what is observed, and the two ways to sum ------------------------------------------------


def mean_gap(setting: FrankWolfeRun) -> FloatArray:
    r"""Return :math:`\frac1T\sum_{t<T}\mathbb E\mathcal G(x_t)` for T = 1, 2, ..., `steps`."""
    return np.asarray(np.cumsum(setting.expectation.gap[:-1]) / np.arange(1, setting.steps + 1))


def weighted_gap(setting: FrankWolfeRun) -> FloatArray:
    r"""Return the mean of :math:`\mathbb E\mathcal G(x_t)`, t < T, with the weights γ_t."""
    weights = setting.step_sizes
    return np.asarray(np.cumsum(weights * setting.expectation.gap[:-1]) / np.cumsum(weights))


def weighted_bound(setting: FrankWolfeRun) -> FloatArray:
    r"""Return the bound on `weighted_gap` for any step sizes in (0, 1] and any batch sizes.

    It is :math:`\bigl(\Delta_0 + D\sigma\sum_{t<T}\gamma_tb_t^{-1/2}
    + \frac{LD^2}2\sum_{t<T}\gamma_t^2\bigr) / \sum_{t<T}\gamma_t`.
    """
    sizes, total = setting.step_sizes, np.cumsum(setting.step_sizes)
    noise = np.cumsum(sizes / np.sqrt(setting.batch_sizes))
    paid = setting.initial_excess + bending(setting) * np.cumsum(sizes**2)
    return np.asarray((paid + noise_scale(setting) * noise) / total)


def uniform_bound(setting: FrankWolfeRun) -> FloatArray:
    r"""Return the bound on `mean_gap` for any non-increasing step sizes in (0, 1].

    It is :math:`\frac{\bar\Delta}{T\gamma_{T-1}} + \frac{D\sigma}T\sum_{t<T}b_t^{-1/2}
    + \frac{LD^2}{2T}\sum_{t<T}\gamma_t`.
    """
    sizes, count = setting.step_sizes, np.arange(1, setting.steps + 1)
    start = setting.largest_excess / (count * sizes)
    return np.asarray(start + mean_noise(setting) + bending(setting) * np.cumsum(sizes) / count)


def noise_scale(setting: FrankWolfeRun) -> float:
    r"""Return :math:`D\sigma`."""
    return setting.diameter * setting.standard_deviation


def bending(setting: FrankWolfeRun) -> float:
    r"""Return :math:`\frac12LD^2`."""
    return setting.smoothness * setting.diameter**2 / 2


def mean_noise(setting: FrankWolfeRun) -> FloatArray:
    r"""Return :math:`\frac{D\sigma}T\sum_{t<T}b_t^{-1/2}` for T = 1, 2, ..., `steps`."""
    mean = np.cumsum(1 / np.sqrt(setting.batch_sizes)) / np.arange(1, setting.steps + 1)
    return np.asarray(noise_scale(setting) * mean)


def value_scale(setting: FrankWolfeRun) -> float:
    """Return how large the numbers are that the excess over the infimum is the difference of."""
    return abs(setting.infimum) + abs(float(setting.problem.value(setting.start[0])))


def compared(
    setting: FrankWolfeRun, bound: FloatArray, observed: FloatArray, name: str
) -> Comparison:
    """Return the comparison of what is observed with a bound, for T = 1, 2, ..., `steps`.

    Parameters
    ----------
    setting : FrankWolfeRun
    bound, observed : ndarray of shape (steps,)
    name : str
        Of what is observed.
    """
    return Comparison(
        index=np.arange(1, setting.steps + 1),
        observed=observed,
        bound=bound,
        index_name="T",
        observed_name=name,
        magnitude=value_scale(setting) / np.cumsum(setting.step_sizes),
    )


# ---- where things break ------------------------------------------------------------------------

SEGMENT = Box([-1.0], [1.0])
HARMONIC = power(1.0, 1.0)


def parabola(
    curvature: float, minimizer: float = 0.0, tilts: tuple[float, ...] = (0.0,)
) -> TiltedQuadratic:
    """Return h/2 (x - c)² up to a constant, with additive noise.

    Parameters
    ----------
    curvature, minimizer : float
        h and c.
    tilts : tuple of float
        The noise of the samples' gradients.
    """
    if tilts == (0.0,):
        return DeterministicQuadratic([[curvature]], [curvature * minimizer])
    return TiltedQuadratic([[curvature]], [curvature * minimizer], [[tilt] for tilt in tilts])


def downhill(slope: float) -> DeterministicQuadratic:
    """Return the linear function of this slope in one variable."""
    return DeterministicQuadratic([[0.0]], [-slope])


# ---- the gap ----------------------------------------------------------------------------------


def _certificate(setting: ConstrainedPoints) -> Comparison:
    values = setting.problem.value(setting.x)
    gradient = setting.problem.gradient(setting.x)
    reach = np.abs(setting.x).max() + setting.constraint.diameter
    return Comparison(
        index=np.arange(len(values)),
        observed=np.maximum(values - setting.infimum, 0.0),
        bound=setting.gap,
        index_name="point",
        observed_name="max{0, f(x) - f*}",
        bound_name="G(x)",
        magnitude=np.abs(values) + abs(setting.infimum) + np.abs(gradient).max() * reach,
    )


frank_wolfe_certificate: Theorem[ConstrainedPoints] = Theorem(
    label="lem-fw-gap",
    title="The Frank–Wolfe gap",
    kind="inequality",
    lecture="12",
    statement=r"$\mathcal G(x) = \max_{v\in\Omega}\langle\nabla f(x), x - v\rangle \ge 0$ on "
    r"$\Omega$, with equality just at stationary points; if $f$ is convex, "
    r"$f(x) - f^* \le \mathcal G(x)$",
    assumptions=(convex, compact, points_in_set),
    compare=_certificate,
    tightness=r"Equality for linear functions.",
    counterexamples=(
        Counterexample(
            "convex",
            ConstrainedPoints(
                DeterministicQuadratic([[-1.0]], [0.0]), SEGMENT, points=[[0.0], [0.5]]
            ),
            "At the top of an upturned parabola the gap is zero, and the minima are elsewhere.",
        ),
        Counterexample(
            "points in the set",
            ConstrainedPoints(DeterministicQuadratic([[0.0]], [-1.0]), SEGMENT, points=[[-2.0]]),
            "Outside the set the gap may be negative.",
        ),
    ),
    references=("frankwolfe1956", "jaggi2013"),
)


def _one_step(setting: FrankWolfeStepFrom) -> Comparison:
    gamma, diameter = setting.step_size, setting.diameter
    values = setting.problem.value(setting.x)
    noise = diameter * np.sqrt(setting.variance / setting.batch_size)
    return Comparison(
        index=np.arange(len(values)),
        observed=gamma * setting.gap,
        bound=values
        - setting.expected_value_after
        + gamma * noise
        + setting.smoothness * diameter**2 * gamma**2 / 2,
        index_name="point",
        observed_name="γ G(x)",
        bound_name="f(x) - E f(x⁺) + γ D σ/√b + L D² γ²/2",
        magnitude=np.abs(values) + np.abs(setting.expected_value_after) + gamma * setting.gap,
    )


frank_wolfe_step: Theorem[FrankWolfeStepFrom] = Theorem(
    label="lem-fw-step",
    title="One stochastic Frank–Wolfe step",
    kind="inequality",
    lecture="12",
    statement=r"$\gamma\,\mathcal G(x) \le f(x) - \mathbb E f(x^+) + \gamma\frac{D\sigma}{\sqrt b} "
    r"+ \frac{LD^2\gamma^2}2$",
    assumptions=(
        smooth_on_set,
        compact,
        points_in_set,
        step_at_most_one,
        unbiased_batches,
        bounded_noise,
    ),
    compare=_one_step,
    tightness=r"Equality without noise for $\tfrac L2\|x\|^2$ where the step leads across the "
    r"whole set, $\|x - v\| = D$.",
    counterexamples=(
        Counterexample(
            "smooth",
            FrankWolfeStepFrom(
                parabola(10.0), SEGMENT, points=[[1.0]], step_size=0.5, claims={"smoothness": 1.0}
            ),
            "With the factor L left out the curvature is paid for by the tenth part only.",
        ),
        Counterexample(
            "compact",
            FrankWolfeStepFrom(
                parabola(1.0), SEGMENT, points=[[1.0]], step_size=0.5, claims={"diameter": 1.0}
            ),
            "The step leads across an interval of length 2, and D is 1.",
        ),
        Counterexample(
            "points in the set",
            FrankWolfeStepFrom(parabola(1.0), SEGMENT, points=[[5.0]], step_size=1.0),
            "From outside the way to the set is longer than its diameter.",
        ),
        Counterexample(
            "unbiased",
            FrankWolfeStepFrom(
                parabola(1.0, tilts=(2.0, -2.0)),
                SEGMENT,
                points=[[0.9]],
                step_size=0.1,
                batch_size=100,
                sampling=FirstSampleOnly(),
            ),
            "A batch that always holds sample 1 does not become exact by being large.",
        ),
        Counterexample(
            "variance",
            FrankWolfeStepFrom(
                parabola(1.0, tilts=(3.0, -3.0)),
                SEGMENT,
                points=[[0.9]],
                step_size=0.01,
                claims={"variance": 0.01},
            ),
            "The noise, thirty times what is claimed, decides where the step leads.",
        ),
    ),
    references=("satoiiduka2025",),
)


# ---- exact gradients --------------------------------------------------------------------------


def _convex_rate(setting: FrankWolfeRun) -> Comparison:
    count = np.arange(1, setting.steps + 1)
    return Comparison(
        index=count,
        observed=setting.expectation.value[1:] - setting.infimum,
        bound=4 * bending(setting) / (count + 2),
        index_name="t",
        observed_name="f(x_t) - f*",
        magnitude=value_scale(setting),
    )


_TWO_OVER = frank_wolfe_steps()

frank_wolfe_convex: Theorem[FrankWolfeRun] = Theorem(
    label="thm-fw-convex",
    title="Frank–Wolfe on convex functions",
    kind="inequality",
    lecture="12",
    statement=r"$f(x_t) - f^* \le \frac{2LD^2}{t+2}$ for $t \ge 1$",
    assumptions=(
        smooth_on_set,
        convex,
        compact,
        start_in_set,
        exact_gradients,
        open_loop_steps,
    ),
    compare=_convex_rate,
    tightness=r"On a parabola $\frac34$ of the bound is approached at $t = 1$.  The order $1/t$ "
    r"is right where the minimum lies inside a face of a polytope.",
    counterexamples=(
        Counterexample(
            "smooth",
            FrankWolfeRun(
                parabola(10.0, 0.9),
                SEGMENT,
                steps=5,
                step_size=_TWO_OVER,
                x0=[1.0],
                claims={"smoothness": 1.0},
            ),
            "With L understated tenfold the first step already lands above the bound.",
        ),
        Counterexample(
            "convex",
            FrankWolfeRun(
                DeterministicQuadratic([[-1.0]], [0.9]),
                Box([-2.0], [1.0]),
                steps=200,
                step_size=_TWO_OVER,
                x0=[-1.2],
            ),
            "The upturned parabola has a minimum at either end, and the run is drawn to the "
            "higher one.",
        ),
        Counterexample(
            "compact",
            FrankWolfeRun(
                parabola(1.0, 0.9),
                SEGMENT,
                steps=5,
                step_size=_TWO_OVER,
                x0=[1.0],
                claims={"diameter": 0.5},
            ),
            "The first step leads across an interval of length 2, and D is a quarter of that.",
        ),
        Counterexample(
            "exact gradients",
            FrankWolfeRun(
                GaussianQuadratic([[0.01]], [0.1], 1.0),
                SEGMENT,
                steps=60,
                step_size=_TWO_OVER,
            ),
            "Under noise the signs of the gradients, and with them the ends of the interval, are "
            "all but random.",
        ),
        Counterexample(
            "Frank–Wolfe steps",
            FrankWolfeRun(parabola(1.0, 1.0), SEGMENT, steps=60, step_size=0.001, x0=[-1.0]),
            "Steps that are too short leave the start where it was.",
        ),
    ),
    references=("jaggi2013",),
)


def _nonconvex_rate(setting: ShortStepRun) -> Comparison:
    count = np.arange(1, setting.steps + 2)
    size = max(2 * setting.initial_excess, setting.smoothness * setting.diameter**2)
    return Comparison(
        index=count - 1,
        observed=np.minimum.accumulate(np.maximum(setting.gap, 0.0)),
        bound=size / np.sqrt(count),
        index_name="t",
        observed_name="min over s ≤ t of G(x_s)",
        magnitude=abs(setting.infimum) + setting.gap[0],
    )


frank_wolfe_nonconvex: Theorem[ShortStepRun] = Theorem(
    label="thm-fw-nonconvex",
    title="Frank–Wolfe with short steps on any smooth function",
    kind="inequality",
    lecture="12",
    statement=r"$\min_{s\le t}\mathcal G(x_s) \le \frac{\max\{2\Delta_0, LD^2\}}{\sqrt{t+1}}$ with "
    r"the steps $\gamma_t = \min\{1, \mathcal G(x_t)/(L\|x_t - v_t\|^2)\}$",
    assumptions=(smooth_on_set, compact, start_in_set),
    compare=_nonconvex_rate,
    tightness=r"Equality at $t = 0$ on a parabola with its minimum at the far end of an interval.",
    counterexamples=(
        Counterexample(
            "smooth",
            ShortStepRun(parabola(10.0), SEGMENT, x0=[0.3], steps=200, claims={"smoothness": 1.0}),
            "With L understated tenfold the steps are too long, and the run jumps to and fro.",
        ),
        Counterexample(
            "compact",
            ShortStepRun(parabola(1.0), SEGMENT, x0=[1.0], steps=1, claims={"diameter": 0.5}),
            "The gap at the start is as large as the set is wide, and D is a quarter of that.",
        ),
    ),
    references=("lacostejulien2016",),
)


# ---- floors that are attained -----------------------------------------------------------------


def _parabola_alone(setting: FrankWolfeRun) -> Evidence:
    problem = setting.problem
    curvature = problem.smoothness if problem.dim == 1 else 0.0
    known = isinstance(problem, (TiltedQuadratic, GaussianQuadratic)) and problem.convex
    return Evidence(
        bool(known and curvature > 0), f"{problem!r} of curvature {curvature:.6g}, wanted > 0"
    )


parabola_on_interval: Assumption[Any] = Assumption(
    "parabola", r"$f(x) = \frac L2(x-c)^2$ on an interval $[-R, R]$, $L > 0$", _parabola_alone
)


def _centred(setting: FrankWolfeRun) -> Evidence:
    low, high = interval(setting.constraint)
    off = abs(float(setting.problem.minimizer[0]) - (low + high) / 2)
    return Evidence(
        off <= EXACT * (high - low), f"the minimiser is {off:.6g} from the centre of the interval"
    )


centred: Assumption[Any] = Assumption("centred", r"$c = 0$, the centre of the interval", _centred)


def _never_at_rest(setting: FrankWolfeRun) -> Evidence:
    if is_random(setting.problem):
        return Evidence(True, "a random run does not rest")
    low, high = interval(setting.constraint)
    nearest = float(np.abs(setting.expectation.mean - (low + high) / 2).min())
    return Evidence(nearest > 0, f"the run comes as close as {nearest:.6g} to the centre")


never_at_rest: Assumption[Any] = Assumption(
    "never at rest", r"$x_t \ne 0$ for all $t$", _never_at_rest
)


def step_floor(setting: FrankWolfeRun, step_size: float) -> float:
    r"""Return :math:`\frac{LD^2}2\cdot\frac{\gamma}{(2-\gamma)^2}`, where γ is the `step_size`.

    It is the gap of the cycle in which Frank–Wolfe ends on a centred parabola.
    """
    return setting.smoothness * setting.diameter**2 / 2 * step_size / (2 - step_size) ** 2


def _step_floor(setting: FrankWolfeRun) -> Comparison:
    floor = step_floor(setting, float(setting.step_sizes[0]))
    return Comparison(
        index=np.arange(setting.steps + 1),
        observed=setting.expectation.gap,
        bound=np.full(setting.steps + 1, floor),
        index_name="t",
        observed_name="G(x_t)",
        bound_name="L D² γ / (2 (2 - γ)²)",
        tolerance=1e-6 * setting.smoothness * setting.diameter**2,
    )


def _long(setting: FrankWolfeRun) -> Evidence:
    total = float(setting.step_sizes[0]) * setting.steps
    return Evidence(total >= 20, f"γT = {total:.6g}, wanted at least 20")


floor_of_step: Theorem[FrankWolfeRun] = Theorem(
    label="prop-fw-floor-step",
    title="With a constant step the gap has a floor",
    kind="limit",
    lecture="12",
    statement=r"$|x_t| \to \frac{\gamma R}{2-\gamma}$, with alternating signs, and "
    r"$\mathcal G(x_t) \to \frac{2LR^2\gamma}{(2-\gamma)^2} "
    r"= \frac{LD^2\gamma}{2(2-\gamma)^2}$",
    assumptions=(
        parabola_on_interval,
        centred,
        start_in_set,
        exact_gradients,
        step_at_most_one,
        constant_steps,
        never_at_rest,
        Assumption("long run", r"$T \ge 20/\gamma$", _long),
    ),
    compare=_step_floor,
    tightness=r"An identity in the limit; the bound of thm-sfw-constant is $\frac12LD^2\gamma$, "
    r"between one and four times as large.",
    counterexamples=(
        Counterexample(
            "centred",
            FrankWolfeRun(parabola(1.0, 1.5), SEGMENT, steps=100, step_size=0.5, x0=[-0.9]),
            "Drawn to an end of the interval the run converges linearly.",
        ),
        Counterexample(
            "exact gradients",
            FrankWolfeRun(
                GaussianQuadratic([[10.0]], [0.0], 100.0),
                SEGMENT,
                steps=30,
                step_size=0.98,
                x0=[1.0],
            ),
            "Noise takes the run out of step, and half of the time twice in the same direction.",
        ),
        Counterexample(
            "constant step",
            FrankWolfeRun(parabola(1.0), SEGMENT, steps=400, step_size=power(0.5, 1.0), x0=[0.7]),
            "Decreasing steps take the gap to zero.",
        ),
        Counterexample(
            "never at rest",
            FrankWolfeRun(parabola(1.0), SEGMENT, steps=100, step_size=0.5, x0=[0.0]),
            "Who starts at the minimum stays there.",
        ),
        Counterexample(
            "long run",
            FrankWolfeRun(parabola(1.0), SEGMENT, steps=5, step_size=0.1, x0=[1.0]),
            "After a few steps the run is still on its way from the end of the interval.",
        ),
    ),
)


def drift_root(setting: FrankWolfeRun) -> float:
    r"""Return the root of :math:`\theta = R\bigl(1 - 2\Phi(f'(\theta)\sqrt b/\sigma)\bigr)`.

    There a step leads back and forth in equal measure.
    """
    problem = setting.problem
    if not (isinstance(problem, GaussianQuadratic) and problem.dim == 1):
        raise ValueError(f"problem: wanted Gaussian noise in one variable, got {problem!r}")
    low, high = interval(setting.constraint)
    sharpness = math.sqrt(setting.batch_sizes[0]) / problem.scale

    def drift(x: float) -> float:
        left = float(ndtr(sharpness * problem.gradient(np.array([x]))[0]))
        return left * low + (1 - left) * high - x

    return float(brentq(drift, low, high, xtol=1e-15, rtol=1e-15))


def batch_floor(setting: FrankWolfeRun) -> float:
    """Return the Frank–Wolfe gap at `drift_root`, where the run ends with harmonic steps."""
    at = np.array([drift_root(setting)])
    return float(frank_wolfe_gap(setting.problem, setting.constraint, at))


def _gaussian(setting: FrankWolfeRun) -> Evidence:
    problem = setting.problem
    known = isinstance(problem, GaussianQuadratic) and problem.dim == 1
    noise = math.sqrt(float(gradient_variance(problem, setting.start)[0]))
    return Evidence(known, f"{problem!r}, of standard deviation {noise:.6g}")


gaussian_noise: Assumption[Any] = Assumption(
    "Gaussian noise", r"$g(x) - f'(x) \sim N(0, \sigma^2/b)$", _gaussian
)


def _batch_floor(setting: FrankWolfeRun) -> Comparison:
    floor, size = batch_floor(setting), setting.smoothness * setting.diameter**2
    return Comparison(
        index=np.arange(setting.steps + 1),
        observed=setting.expectation.gap,
        bound=np.full(setting.steps + 1, floor),
        index_name="t",
        observed_name="E G(x_t)",
        bound_name="G(θ_b)",
        tolerance=0.15 * size / math.sqrt(setting.steps),
    )


floor_of_batch: Theorem[FrankWolfeRun] = Theorem(
    label="prop-fw-floor-batch",
    title="With a constant batch the gap has a floor",
    kind="limit",
    lecture="12",
    statement=r"$\mathbb E\mathcal G(x_t) \to \mathcal G(\theta_b)$, where $\theta_b$ solves "
    r"$\theta = R\bigl(1 - 2\Phi(L(\theta-c)\sqrt b/\sigma)\bigr)$; for $0 < |c| < R$ this floor "
    r"is $\sim |u|\,(R-|c|)\frac\sigma{\sqrt b}$ as $b \to \infty$, with "
    r"$\Phi(u) = \frac{R-|c|}{2R}$",
    assumptions=(
        parabola_on_interval,
        gaussian_noise,
        start_in_set,
        harmonic_steps,
        constant_batch,
    ),
    compare=_batch_floor,
    tightness=r"$\mathbb E(x_t-\theta_b)^2 \le D^2/t$.  The exponent $\tfrac12$ depends on the "
    r"problem: for linear $f$ the floor falls exponentially in $b$, and for $c = 0$ it is zero.",
    counterexamples=(
        Counterexample(
            "harmonic steps",
            FrankWolfeRun(
                GaussianQuadratic([[1.0]], [0.5], 1.0),
                SEGMENT,
                steps=100,
                step_size=0.98,
                batch_size=1024,
            ),
            "Long steps jump across the minimum for ever.",
        ),
        Counterexample(
            "constant batch",
            FrankWolfeRun(
                GaussianQuadratic([[1.0]], [0.5], 1.0),
                SEGMENT,
                steps=400,
                step_size=HARMONIC,
                batch_size=geometric_batches(1, 1.05),
            ),
            "Growing batches take the gap to zero.",
        ),
    ),
)


# ---- step decay does not give 1/T -------------------------------------------------------------


def frozen_gap(gap: float, first: float, factor: float, period: int) -> float:
    r"""Return :math:`\mathcal G_0\prod_{t\ge0}(1 - \gamma\eta^{\lfloor t/K\rfloor})`.

    It is where the gap of a linear function ends with step decay of a fixed period.

    Parameters
    ----------
    gap : float
        :math:`\mathcal G_0`.
    first, factor : float
        :math:`\gamma \in (0, 1]` and :math:`\eta \in (0, 1)`.
    period : int
        K.
    """
    left = _validate.real("gap", gap, at_least=0)
    gamma, eta = _validate.real("first", first, above=0), _validate.real("factor", factor, above=0)
    times = _validate.integer("period", period, at_least=1)
    if gamma > 1 or eta >= 1:
        raise ValueError(f"factor: wanted γ ≤ 1 and η < 1, got γ = {gamma:g} and η = {eta:g}")
    while gamma > 1e-18:
        left *= (1 - gamma) ** times
        gamma *= eta
    return left


def _linear(setting: FrankWolfeRun) -> Evidence:
    size = setting.problem.smoothness
    return Evidence(size == 0, f"f has curvature {size:.6g}, wanted 0")


def _frozen_at(setting: FrankWolfeRun) -> float:
    gap = float(frank_wolfe_gap(setting.problem, setting.constraint, setting.start[0]))
    factor, period = setting.parameter("decay"), int(setting.parameter("decay_period"))
    return frozen_gap(gap, float(setting.step_sizes[0]), factor, period)


def _past(setting: FrankWolfeRun) -> Evidence:
    end, constant = _frozen_at(setting), setting.parameter("rate_constant")
    return Evidence(
        setting.steps * end > constant,
        f"T = {setting.steps}, C = {constant:.6g}, the gap freezes at {end:.6g}",
    )


def _supposed_rate(setting: FrankWolfeRun) -> Comparison:
    count = np.arange(1, setting.steps + 1)
    return Comparison(
        index=count,
        observed=mean_gap(setting),
        bound=setting.parameter("rate_constant") / count,
        index_name="T",
        observed_name=MEAN,
        bound_name="C/T",
    )


frozen: Theorem[FrankWolfeRun] = Theorem(
    label="prop-fw-frozen",
    title="Step decay with a fixed period freezes",
    kind="impossibility",
    lecture="12",
    statement=r"for no $C$ is $\frac1T\sum_{t<T}\mathcal G(x_t) \le \frac CT$ for all $T$: "
    r"$\mathcal G(x_t) = \mathcal G(x_0)\prod_{s<t}(1-\gamma_s) \to "
    r"\mathcal G(x_0)\prod_{p\ge0}(1-\gamma\eta^p)^K > 0$",
    assumptions=(
        Assumption("linear", r"$f$ is linear and $\mathcal G(x_0) > 0$", _linear),
        exact_gradients,
        start_in_set,
        step_at_most_one,
        decaying_steps,
        Assumption(
            "long run",
            r"$T\,\mathcal G(x_0)\prod_{p\ge0}(1-\gamma\eta^p)^K > C$",
            _past,
        ),
    ),
    compare=_supposed_rate,
    tightness=r"The gap is known exactly at every step.",
    counterexamples=(
        Counterexample(
            "linear",
            FrankWolfeRun(
                parabola(1.0),
                SEGMENT,
                steps=50,
                step_size=step_decay(0.5, 0.5, 1),
                x0=[1.0],
                claims={"decay": 0.5, "decay_period": 1.0, "rate_constant": 2.0},
            ),
            "The first step lands on the minimum of a parabola, and the run stays there.",
        ),
        Counterexample(
            "step decay",
            FrankWolfeRun(
                downhill(-1.0),
                SEGMENT,
                steps=50,
                step_size=0.2,
                x0=[-1.0],
                claims={"decay": 0.5, "decay_period": 1.0, "rate_constant": 10.0},
            ),
            "With a constant step the gap of a linear function falls geometrically.",
        ),
        Counterexample(
            "long run",
            FrankWolfeRun(
                downhill(-1.0),
                SEGMENT,
                steps=50,
                step_size=step_decay(0.05, 0.5, 10),
                x0=[-1.0],
                claims={"decay": 0.5, "decay_period": 10.0, "rate_constant": 1e4},
            ),
            "A large enough C is not exceeded for a while.",
        ),
    ),
)


def _stage_floors(setting: FrankWolfeRun) -> Comparison:
    count = whole_periods(setting)
    falling = float(setting.step_sizes[0]) * setting.parameter("decay") ** np.arange(len(count))
    floors = np.array([step_floor(setting, float(step)) for step in falling])
    moved = setting.parameter("decay_period") * falling[-1]
    return Comparison(
        index=count,
        observed=mean_gap(setting)[count - 1],
        bound=np.cumsum(floors) / np.arange(1, len(count) + 1),
        index_name="T",
        observed_name="mean over t < T of G(x_t)",
        bound_name="mean over p < P of L D² γ_p / (2 (2 - γ_p)²)",
        tolerance=setting.smoothness * setting.diameter**2 / (4 * max(moved, 200.0)),
    )


def _long_stages(setting: FrankWolfeRun) -> Evidence:
    moved = setting.parameter("decay_period") * float(setting.step_sizes[-1])
    return Evidence(moved >= 200, f"K γ η^(P-1) = {moved:.6g}, wanted at least 200")


floor_of_decay: Theorem[FrankWolfeRun] = Theorem(
    label="prop-fw-decay-floor",
    title="Step decay in a fixed number of stages has a floor",
    kind="limit",
    lecture="12",
    statement=r"With $P$ fixed and $K \to \infty$: $\frac1{KP}\sum_{t<KP}\mathcal G(x_t) \to "
    r"\frac1P\sum_{p<P}\frac{LD^2\gamma_p}{2(2-\gamma_p)^2}$ with $\gamma_p = \gamma\eta^p$, "
    r"which is no $O(1/T)$",
    assumptions=(
        parabola_on_interval,
        centred,
        start_in_set,
        exact_gradients,
        step_at_most_one,
        decaying_steps,
        never_at_rest,
        a_whole_period,
        Assumption("long stages", r"$K\gamma\eta^{P-1} \ge 200$", _long_stages),
    ),
    compare=_stage_floors,
    tightness=r"An identity in the limit; the last term of thm-sfw-step-decay is between one and "
    r"four times as large.",
    counterexamples=(
        Counterexample(
            "centred",
            FrankWolfeRun(
                parabola(1.0, 1.5),
                SEGMENT,
                steps=800,
                step_size=step_decay(1.0, 0.5, 400),
                x0=[-0.9],
                claims={"decay": 0.5, "decay_period": 400.0},
            ),
            "Drawn to an end of the interval the run converges linearly.",
        ),
        Counterexample(
            "step decay",
            FrankWolfeRun(
                parabola(1.0),
                SEGMENT,
                steps=800,
                step_size=1.0,
                x0=[1.0],
                claims={"decay": 0.5, "decay_period": 400.0},
            ),
            "Steps that do not fall keep the first floor to the end.",
        ),
        Counterexample(
            "never at rest",
            FrankWolfeRun(
                parabola(1.0),
                SEGMENT,
                steps=800,
                step_size=step_decay(1.0, 0.5, 400),
                x0=[0.0],
                claims={"decay": 0.5, "decay_period": 400.0},
            ),
            "Who starts at the minimum stays there.",
        ),
        Counterexample(
            "long stages",
            FrankWolfeRun(
                parabola(10.0),
                SEGMENT,
                steps=6,
                step_size=step_decay(0.4, 0.5, 2),
                x0=[0.9],
                claims={"decay": 0.5, "decay_period": 2.0},
            ),
            "Stages of two steps are over before the run has reached its cycle.",
        ),
    ),
)


# ---- what is needed in the worst case ---------------------------------------------------------


def hardest_slope() -> tuple[float, float]:
    r"""Return the u that maximises :math:`u\,\Phi(-u)`, and the maximum.

    A slope of u standard deviations of the noise keeps a run furthest from the minimum.
    """
    root = brentq(lambda u: ndtr(-u) - u * math.exp(-u * u / 2) / math.sqrt(2 * math.pi), 0.1, 2.0)
    return float(root), float(root * ndtr(-root))


@dataclass(frozen=True, eq=False)
class WorstCase:
    r"""Schedules of stochastic Frank–Wolfe, and two problems that are hard for them.

    Both are on an interval of the given diameter: a parabola of curvature L without noise, its
    vertex a little beside the centre, and a linear function whose slope is just too small for the
    noise of the largest batch.

    Attributes
    ----------
    steps : int
    step_size : float or callable
    batch_size : int or callable
    smoothness, diameter, standard_deviation : float
        :math:`L`, :math:`D` and :math:`\sigma` of the class of problems.
    claims : mapping of str to float
        A bound "least_step" on the step sizes, a bound "largest_batch" on the batch sizes; where
        they are not given, the extremes of the schedules.
    """

    steps: int
    step_size: float | Schedule
    batch_size: int | BatchSchedule = 1
    smoothness: float = 1.0
    diameter: float = 2.0
    standard_deviation: float = 1.0
    claims: Mapping[str, float] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        _validate.integer("steps", self.steps, at_least=1)
        for name in ("smoothness", "diameter", "standard_deviation"):
            _validate.real(name, getattr(self, name), above=0)
        for name, value in self.claims.items():
            _validate.one_of("claims", name, {"least_step", "largest_batch"})
            _validate.real(f"claims[{name!r}]", value, above=0)
        evaluate(self.step_size, 0, 1)
        evaluate_batches(self.batch_size, 0, 1)

    @cached_property
    def step_sizes(self) -> FloatArray:
        """The step sizes, shape ``(steps,)``."""
        return evaluate(self.step_size, 0, self.steps)

    @cached_property
    def batch_sizes(self) -> IntArray:
        """The batch sizes, shape ``(steps,)``."""
        return evaluate_batches(self.batch_size, 0, self.steps)

    @property
    def least_step(self) -> float:
        """The claimed lower bound on the step sizes, or the smallest of them."""
        return self.claims.get("least_step", float(self.step_sizes.min()))

    @property
    def largest_batch(self) -> float:
        """The claimed upper bound on the batch sizes, or the largest of them."""
        return self.claims.get("largest_batch", float(self.batch_sizes.max()))

    @property
    def interval(self) -> Constraint:
        """The set of both problems."""
        return Box([-self.diameter / 2], [self.diameter / 2])

    @cached_property
    def bent(self) -> FrankWolfeRun:
        r"""The run on the parabola, from the end of the interval.

        With the vertex at the centre the run may rest there for ever, as after the steps 1, ½.
        The proof allows a vertex c with :math:`(1-c/R)^2(1+\gamma/2) \ge 1`; a share of the
        largest that no schedule is likely to hit is taken.
        """
        radius = self.diameter / 2
        largest = -radius * math.expm1(-math.log1p(self.least_step / 2) / 2)
        vertex = largest / math.pi
        problem = DeterministicQuadratic([[self.smoothness]], [self.smoothness * vertex])
        return FrankWolfeRun(problem, self.interval, self.steps, self.step_size, x0=[radius])

    @cached_property
    def noisy(self) -> FrankWolfeRun:
        """The run on the linear function, from the wrong end of the interval."""
        slope = hardest_slope()[0] * self.standard_deviation / math.sqrt(self.largest_batch)
        return FrankWolfeRun(
            GaussianQuadratic([[0.0]], [-slope], self.standard_deviation),
            self.interval,
            steps=self.steps,
            step_size=self.step_size,
            batch_size=self.batch_size,
            x0=[self.diameter / 2],
        )

    @property
    def floor(self) -> float:
        """The lower bound of the theorem."""
        step = self.smoothness * self.diameter**2 * self.least_step / 8
        noise = self.diameter * self.standard_deviation / math.sqrt(self.largest_batch)
        return max(step, hardest_slope()[1] * noise)

    def __str__(self) -> str:
        sizes, many = self.step_sizes, self.batch_sizes
        claimed = "".join(f", claiming {name} = {v:g}" for name, v in self.claims.items())
        return (
            f"L = {self.smoothness:.3g}, D = {self.diameter:.3g}, "
            f"σ = {self.standard_deviation:.3g}, steps {sizes.max():.3g} to {sizes.min():.3g}, "
            f"batches {many.min()} to {many.max()}{claimed}"
        )


def _steps_not_below(setting: WorstCase) -> Evidence:
    least, true = setting.least_step, float(setting.step_sizes.min())
    return Evidence(least <= true * (1 + EXACT), f"smallest step {true:.6g}, γ = {least:.6g}")


def _batches_not_above(setting: WorstCase) -> Evidence:
    largest, true = setting.largest_batch, float(setting.batch_sizes.max())
    return Evidence(largest >= true * (1 - EXACT), f"largest batch {true:.6g}, b = {largest:.6g}")


def _worst_case(setting: WorstCase) -> Comparison:
    count = np.arange(1, setting.steps + 1)
    return Comparison(
        index=count,
        observed=np.full(setting.steps, setting.floor),
        bound=np.maximum(mean_gap(setting.bent), mean_gap(setting.noisy)),
        index_name="T",
        observed_name="max{L D² γ/8, 0.17 D σ/√b}",
        bound_name="mean over t < T of E G(x_t), the larger of two",
    )


minimax: Theorem[WorstCase] = Theorem(
    label="thm-sfw-minimax",
    title="In the worst case steps must fall and batches must grow",
    kind="inequality",
    lecture="12",
    statement=r"whatever the steps $\gamma_t \in [\gamma, 1]$ and the batches $b_t \le b$, some "
    r"problem with the constants $L$, $D$, $\sigma$ has "
    r"$\frac1T\sum_{t<T}\mathbb E\mathcal G(x_t) \ge "
    r"\max\bigl\{\frac{LD^2\gamma}8, c_0\frac{D\sigma}{\sqrt b}\bigr\}$ for all $T$, with "
    r"$c_0 = \max_u u\,\Phi(-u) = 0.1699\dots$",
    assumptions=(
        step_at_most_one,
        Assumption("steps at least γ", r"$\gamma_t \ge \gamma$ for all $t$", _steps_not_below),
        Assumption("batches at most b", r"$b_t \le b$ for all $t$", _batches_not_above),
    ),
    compare=_worst_case,
    tightness=r"With constant batches the second term is approached as $T \to \infty$ on the hard "
    r"problem; against the upper bound of thm-sfw-constant the two terms are smaller by the "
    r"factors 4 and 5.9.",
    counterexamples=(
        Counterexample(
            "steps at least γ",
            WorstCase(400, HARMONIC, 10**6, claims={"least_step": 0.8}),
            "Decreasing steps get below the floor of a constant step.",
        ),
        Counterexample(
            "batches at most b",
            WorstCase(400, HARMONIC, 10**6, claims={"largest_batch": 1.0}),
            "Large batches get below the floor of single samples.",
        ),
    ),
)
