"""Stochastic Frank–Wolfe with the step sizes and batch sizes of the source (lecture 12)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from sgdnotes._validate import FloatArray
from sgdnotes.constraints import Box
from sgdnotes.problems import GaussianQuadratic
from sgdnotes.schedules import (
    BatchSchedule,
    Schedule,
    geometric_batches,
    inverse_root,
    polynomial_batches,
    step_decay,
)
from sgdnotes.theorems.assumptions import FirstSampleOnly
from sgdnotes.theorems.base import Comparison, Counterexample, Theorem
from sgdnotes.theorems.constrained import FrankWolfeRun
from sgdnotes.theorems.constrained_assumptions import (
    a_whole_period,
    bounded_noise,
    compact,
    constant_batch,
    constant_steps,
    decaying_steps,
    follows,
    growing_batches,
    grown,
    harmonic_steps,
    smooth_on_set,
    start_in_set,
    step_at_most_one,
    unbiased_batches,
    whole_periods,
)
from sgdnotes.theorems.frank_wolfe import (
    HARMONIC,
    MEAN,
    SEGMENT,
    bending,
    compared,
    downhill,
    mean_gap,
    mean_noise,
    noise_scale,
    parabola,
    value_scale,
    weighted_gap,
)

WEIGHTED_MEAN = "weighted mean over t < T of E G(x_t)"
NOTHING: Mapping[str, float] = {}

_STANDING = (
    smooth_on_set,
    compact,
    start_in_set,
    unbiased_batches,
    bounded_noise,
)


# ---- settings that break things ---------------------------------------------------------------


def _broken(
    step_size: float | Schedule,
    grow: Callable[[int], int | BatchSchedule] = lambda first: first,
    claims: Mapping[str, float] = NOTHING,
) -> tuple[Counterexample[FrankWolfeRun], ...]:
    """Return counterexamples to the standing assumptions for runs with the given schedules.

    Parameters
    ----------
    step_size : float or callable
    grow : callable
        From the first batch size to the schedule.
    claims : mapping of str to float
        The parameters of the schedules.
    """
    return (
        Counterexample(
            "smooth",
            FrankWolfeRun(
                parabola(10.0, 0.9),
                SEGMENT,
                steps=2,
                step_size=step_size,
                batch_size=grow(1),
                x0=[1.0],
                claims={**claims, "smoothness": 0.01},
            ),
            "With L understated a thousandfold the first steps cost more than the bound has put "
            "aside for the curvature.",
        ),
        Counterexample(
            "compact",
            FrankWolfeRun(
                parabola(1.0, 9.0),
                Box([-10.0], [10.0]),
                steps=2,
                step_size=step_size,
                batch_size=grow(1),
                x0=[10.0],
                claims={**claims, "diameter": 1.0},
            ),
            "The steps reach across the whole interval, and D measures a small part of it.",
        ),
        Counterexample(
            "start in the set",
            FrankWolfeRun(
                parabola(1.0),
                SEGMENT,
                steps=8,
                step_size=step_size,
                batch_size=grow(1),
                x0=[100.0],
                claims=claims,
            ),
            "From far outside the way to the set is much longer than its diameter.",
        ),
        Counterexample(
            "unbiased",
            FrankWolfeRun(
                parabola(1.0, tilts=(2.0, -2.0)),
                SEGMENT,
                steps=200,
                step_size=step_size,
                batch_size=grow(100),
                sampling=FirstSampleOnly(),
                claims=claims,
            ),
            "A batch that always holds sample 1 leads to the wrong end of the interval, however "
            "large it is.",
        ),
        Counterexample(
            "variance",
            FrankWolfeRun(
                GaussianQuadratic([[0.0]], [-0.1], 1.0),
                SEGMENT,
                steps=100,
                step_size=step_size,
                batch_size=grow(1),
                x0=[-1.0],
                claims={**claims, "variance": 1e-4},
            ),
            "The noise drowns the slope, and is claimed to be a hundredth of what it is.",
        ),
    )


def _beyond_one(
    step_size: float | Schedule,
    grow: Callable[[int], int | BatchSchedule] = lambda first: first,
    claims: Mapping[str, float] = NOTHING,
) -> Counterexample[FrankWolfeRun]:
    return Counterexample(
        "step at most 1",
        FrankWolfeRun(
            parabola(1.0),
            SEGMENT,
            steps=40,
            step_size=step_size,
            batch_size=grow(1),
            x0=[0.5],
            claims=claims,
        ),
        "Steps of 2 leave the interval and go further out each time.",
    )


_FREEZING = step_decay(0.2, 0.3, 1)


def _too_short(
    drops: str,
    grow: Callable[[int], int | BatchSchedule] = lambda first: first,
    step_size: float | Schedule = _FREEZING,
    claims: Mapping[str, float] = NOTHING,
) -> Counterexample[FrankWolfeRun]:
    return Counterexample(
        drops,
        FrankWolfeRun(
            downhill(-1.0),
            SEGMENT,
            steps=100,
            step_size=step_size,
            batch_size=grow(1),
            x0=[-1.0],
            claims=claims,
        ),
        "Steps whose sum is finite freeze the run on its way.",
    )


def _stays_small(
    drops: str, step_size: float | Schedule, claims: Mapping[str, float] = NOTHING
) -> Counterexample[FrankWolfeRun]:
    return Counterexample(
        drops,
        FrankWolfeRun(
            GaussianQuadratic([[0.0]], [-0.1], 1.0),
            SEGMENT,
            steps=1000,
            step_size=step_size,
            batch_size=lambda t: 10_000 if t == 0 else 1,
            x0=[-1.0],
            claims=claims,
        ),
        "A large first batch says nothing of the small ones that follow.",
    )


# ---- constant steps ---------------------------------------------------------------------------


def _constant_rate(setting: FrankWolfeRun) -> Comparison:
    gamma, count = float(setting.step_sizes[0]), np.arange(1, setting.steps + 1)
    noise = noise_scale(setting) / math.sqrt(setting.batch_sizes[0])
    bound = setting.initial_excess / (gamma * count) + (noise + bending(setting) * gamma)
    return compared(setting, np.asarray(bound), mean_gap(setting), MEAN)


constant_step_rate: Theorem[FrankWolfeRun] = Theorem(
    label="thm-sfw-constant",
    title="Stochastic Frank–Wolfe with constant steps and batches",
    kind="inequality",
    lecture="12",
    statement=r"$\frac1T\sum_{t<T}\mathbb E\mathcal G(x_t) \le \frac{\Delta_0}{\gamma T} "
    r"+ \frac{D\sigma}{\sqrt b} + \frac{LD^2\gamma}2$",
    assumptions=(*_STANDING, step_at_most_one, constant_steps, constant_batch),
    compare=_constant_rate,
    tightness=r"Equality at $T = 1$ for a parabola whose minimum the first step hits from the far "
    r"end.  In the worst case both floors have the right order (thm-sfw-minimax).",
    counterexamples=(
        *_broken(0.25),
        _beyond_one(2.0),
        _too_short("constant step"),
        _stays_small("constant batch", 0.01),
    ),
    references=("satoiiduka2025",),
)


def _growing_noise(setting: FrankWolfeRun) -> float:
    root = math.sqrt(setting.parameter("batch_growth"))
    factor = setting.parameter("batch_period") * root / (root - 1)
    return noise_scale(setting) * factor / math.sqrt(setting.batch_sizes[0])


def _growing_rate(setting: FrankWolfeRun) -> Comparison:
    gamma, count = float(setting.step_sizes[0]), np.arange(1, setting.steps + 1)
    once = setting.initial_excess / gamma + _growing_noise(setting)
    bound = once / count + bending(setting) * gamma
    return compared(setting, np.asarray(bound), mean_gap(setting), MEAN)


def _slowly(first: int) -> BatchSchedule:
    return geometric_batches(first, 1.02)


_GROWTH = {"batch_growth": 1.02, "batch_period": 1.0}
_DOUBLING = {"batch_growth": 2.0, "batch_period": 1.0}

growing_batch_rate: Theorem[FrankWolfeRun] = Theorem(
    label="thm-sfw-growing",
    title="Stochastic Frank–Wolfe with constant steps and growing batches",
    kind="inequality",
    lecture="12",
    statement=r"$\frac1T\sum_{t<T}\mathbb E\mathcal G(x_t) \le \frac{\Delta_0}{\gamma T} "
    r"+ \frac{D\sigma}{T\sqrt b}\cdot\frac{E\sqrt\lambda}{\sqrt\lambda-1} + \frac{LD^2\gamma}2$",
    assumptions=(*_STANDING, step_at_most_one, constant_steps, growing_batches),
    compare=_growing_rate,
    tightness=r"As thm-sfw-constant without noise.  With $E$ fixed the noise term is "
    r"$O(1/T)$ at the price of $b_T$ exponential in $T$; with $T/E$ fixed it is a floor.",
    counterexamples=(
        *_broken(0.25, _slowly, claims=_GROWTH),
        _beyond_one(2.0, _slowly, claims=_GROWTH),
        _too_short("constant step", _slowly, claims=_GROWTH),
        _stays_small("growing batches", 0.01, claims=_DOUBLING),
    ),
    references=("satoiiduka2025",),
)


# ---- harmonic steps ---------------------------------------------------------------------------


def _harmonic_numbers(steps: int) -> FloatArray:
    return np.asarray(np.cumsum(1 / np.arange(1, steps + 1)))


def _harmonic_start(setting: FrankWolfeRun) -> float:
    return setting.initial_excess + math.pi**2 / 6 * bending(setting)


def _harmonic_rate(setting: FrankWolfeRun) -> Comparison:
    start = _harmonic_start(setting) / _harmonic_numbers(setting.steps)
    noise = noise_scale(setting) / math.sqrt(setting.batch_sizes[0])
    return compared(setting, np.asarray(start + noise), weighted_gap(setting), WEIGHTED_MEAN)


harmonic_rate: Theorem[FrankWolfeRun] = Theorem(
    label="thm-sfw-harmonic",
    title="Stochastic Frank–Wolfe with harmonic steps and constant batches",
    kind="inequality",
    lecture="12",
    statement=r"With $H_T = \sum_{t\le T}\frac1t$: "
    r"$\frac1{H_T}\sum_{t<T}\frac{\mathbb E\mathcal G(x_t)}{t+1} \le "
    r"\frac{\Delta_0 + \frac{\pi^2}{12}LD^2}{H_T} + \frac{D\sigma}{\sqrt b}$",
    assumptions=(*_STANDING, harmonic_steps, constant_batch),
    compare=_harmonic_rate,
    tightness=r"Equality at $T = 1$ for linear functions without noise.  The first term falls "
    r"like $1/\log T$ only, and the source's table shows the second alone.",
    counterexamples=(
        *_broken(HARMONIC),
        _too_short("harmonic steps"),
        _stays_small("constant batch", HARMONIC),
    ),
    references=("satoiiduka2025",),
)


def _harmonic_growing_rate(setting: FrankWolfeRun) -> Comparison:
    growth, period = setting.parameter("batch_growth"), int(setting.parameter("batch_period"))
    weight = _harmonic_numbers(period)[-1] - math.log1p(-1 / math.sqrt(growth))
    noise = noise_scale(setting) / math.sqrt(setting.batch_sizes[0]) * weight
    bound = (_harmonic_start(setting) + noise) / _harmonic_numbers(setting.steps)
    return compared(setting, bound, weighted_gap(setting), WEIGHTED_MEAN)


harmonic_growing_rate: Theorem[FrankWolfeRun] = Theorem(
    label="thm-sfw-harmonic-growing",
    title="Stochastic Frank–Wolfe with harmonic steps and growing batches",
    kind="inequality",
    lecture="12",
    statement=r"$\frac1{H_T}\sum_{t<T}\frac{\mathbb E\mathcal G(x_t)}{t+1} \le "
    r"\frac1{H_T}\Bigl(\Delta_0 + \frac{\pi^2}{12}LD^2 + \frac{D\sigma}{\sqrt b}"
    r"\bigl(H_E - \ln(1-\lambda^{-1/2})\bigr)\Bigr)$",
    assumptions=(*_STANDING, harmonic_steps, growing_batches),
    compare=_harmonic_growing_rate,
    tightness=r"As thm-sfw-harmonic.  The source's table leaves this case out.",
    counterexamples=(
        *_broken(HARMONIC, _slowly, claims=_GROWTH),
        _too_short("harmonic steps", _slowly, claims=_GROWTH),
        _stays_small("growing batches", HARMONIC, claims=_DOUBLING),
    ),
)


# ---- powers -----------------------------------------------------------------------------------


def _powers(setting: FrankWolfeRun, t: FloatArray) -> FloatArray:
    a = setting.parameter("exponent")
    return (t + 1) ** -a if 0 < a < 1 else np.full(len(t), np.nan)


power_steps = follows(
    "power steps", r"$\gamma_t = (t+1)^{-a}$ for $t = 0, 1, \dots$ with $0 < a < 1$", _powers
)


def _power_rate(setting: FrankWolfeRun) -> Comparison:
    a, count = setting.parameter("exponent"), np.arange(1.0, setting.steps + 1)
    start = setting.largest_excess / count ** (1 - a)
    curved = bending(setting) / ((1 - a) * count**a)
    return compared(setting, start + mean_noise(setting) + curved, mean_gap(setting), MEAN)


_ROOT = inverse_root(1.0)
_HALF = {"exponent": 0.5}

power_rate: Theorem[FrankWolfeRun] = Theorem(
    label="thm-sfw-power",
    title="Stochastic Frank–Wolfe with steps that fall like a power",
    kind="inequality",
    lecture="12",
    statement=r"$\frac1T\sum_{t<T}\mathbb E\mathcal G(x_t) \le \frac{\bar\Delta}{T^{1-a}} "
    r"+ \frac{D\sigma}T\sum_{t<T}\frac1{\sqrt{b_t}} + \frac{LD^2}{2(1-a)T^a}$ with "
    r"$\bar\Delta = \sup_\Omega f - f^*$",
    assumptions=(*_STANDING, power_steps),
    compare=_power_rate,
    tightness=r"Equality at $T = 1$ for linear functions without noise; without noise the best "
    r"exponent is $a = \tfrac12$.  The source's restriction $a \ge \tfrac12$ is not needed.",
    counterexamples=(
        *_broken(_ROOT, claims=_HALF),
        _too_short("power steps", claims=_HALF),
    ),
    references=("satoiiduka2025",),
)


def _polynomial_rate(setting: FrankWolfeRun) -> Comparison:
    count = np.arange(1.0, setting.steps + 1)
    noise = 2 * noise_scale(setting) / math.sqrt(setting.batch_sizes[0])
    total = setting.largest_excess + noise + 2 * bending(setting)
    return compared(setting, total / np.sqrt(count), mean_gap(setting), MEAN)


polynomial_rate: Theorem[FrankWolfeRun] = Theorem(
    label="thm-sfw-polynomial",
    title="Batches that grow linearly are enough",
    kind="inequality",
    lecture="12",
    statement=r"$\frac1T\sum_{t<T}\mathbb E\mathcal G(x_t) \le "
    r"\frac{\bar\Delta + 2D\sigma b_0^{-1/2} + LD^2}{\sqrt T}$, with "
    r"$\frac12b_0T(T+1)$ samples if $b_t = b_0(t+1)$",
    assumptions=(
        *_STANDING,
        follows(
            "root steps",
            r"$\gamma_t = (t+1)^{-1/2}$ for $t = 0, 1, \dots$",
            lambda setting, t: (t + 1) ** -0.5,
        ),
        grown(
            "linear batches",
            r"$b_t \ge b_0(t+1)$",
            lambda setting, t: setting.batch_sizes[0] * (t + 1),
        ),
    ),
    compare=_polynomial_rate,
    tightness=r"Equality at $T = 1$ for linear functions without noise.  It is thm-sfw-power with "
    r"sums replaced by their bounds.",
    counterexamples=(
        *_broken(_ROOT, polynomial_batches),
        _too_short("root steps", polynomial_batches),
        _stays_small("linear batches", _ROOT),
    ),
)


# ---- step decay -------------------------------------------------------------------------------


def _decay_rate(setting: FrankWolfeRun) -> Comparison:
    count, period = whole_periods(setting), setting.parameter("decay_period")
    factor, gamma = setting.parameter("decay"), float(setting.step_sizes[0])
    stages = count / period
    start = setting.largest_excess / (count * gamma * factor ** (stages - 1))
    total = period * gamma * -np.expm1(stages * math.log(factor)) / (1 - factor)
    bound = start + mean_noise(setting)[count - 1] + bending(setting) * total / count
    return Comparison(
        index=count,
        observed=mean_gap(setting)[count - 1],
        bound=bound,
        index_name="T",
        observed_name=MEAN,
        magnitude=value_scale(setting) / (count * setting.step_sizes[count - 1]),
    )


_DECAY = {"decay": 0.9, "decay_period": 2.0}

step_decay_rate: Theorem[FrankWolfeRun] = Theorem(
    label="thm-sfw-step-decay",
    title="Stochastic Frank–Wolfe with step decay",
    kind="inequality",
    lecture="12",
    statement=r"For $T = KP$: $\frac1T\sum_{t<T}\mathbb E\mathcal G(x_t) \le "
    r"\frac{\bar\Delta}{T\gamma\eta^{P-1}} + \frac{D\sigma}T\sum_{t<T}\frac1{\sqrt{b_t}} "
    r"+ \frac{LD^2\gamma(1-\eta^P)}{2P(1-\eta)}$",
    assumptions=(
        *_STANDING,
        step_at_most_one,
        decaying_steps,
        a_whole_period,
    ),
    compare=_decay_rate,
    tightness=r"Equality at $T = K = 1$.  For $T \to \infty$ with $K$ fixed the first term "
    r"explodes, with $P$ fixed the last stays; with $P = \log_{1/\eta}T$ the bound is "
    r"$O(1/\log T)$, which is the best it gives.",
    counterexamples=(
        *_broken(step_decay(1.0, 0.9, 2), claims=_DECAY),
        _beyond_one(step_decay(2.0, 0.9, 2), claims=_DECAY),
        _too_short(
            "step decay",
            step_size=step_decay(0.2, 0.1, 2),
            claims={"decay": 0.99, "decay_period": 2.0},
        ),
    ),
    references=("satoiiduka2025",),
)
