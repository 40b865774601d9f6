"""Convex functions with kinks: the projected stochastic subgradient method (lecture 05)."""

from __future__ import annotations

import math

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.problems import (
    LeastAbsoluteDeviations,
    ScalarQuadratics,
    absolute,
    gaussian_dip,
    quadratic,
)
from sgdnotes.theorems.assumptions import (
    EXACT,
    FirstSampleOnly,
    ball_second_moment,
    convex,
    minimizer_in_the_ball,
    second_moment_on_the_ball,
    strongly_convex,
    uniform,
)
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem
from sgdnotes.theorems.convex import AVERAGE, start_distance_squared, weights_from
from sgdnotes.theorems.settings import ProjectedRun


def distance_within_ball_squared(setting: ProjectedRun) -> float:
    """Return the squared distance from the start to a minimiser in the ball.

    Without a ball it is the nearest minimiser; with one it is that of least norm, because the
    nearest may lie outside.
    """
    if setting.radius == math.inf:
        return start_distance_squared(setting)
    start = _validate.starting_points(setting.x0, setting.problem.dim, 1)[0]
    return float(((start - setting.problem.minimizer) ** 2).sum())


def _bound(setting: ProjectedRun) -> FloatArray:
    total, squares = np.cumsum(setting.step_sizes), np.cumsum(setting.step_sizes**2)
    moved = distance_within_ball_squared(setting) + ball_second_moment(setting) * squares
    return np.asarray(moved / (2 * total))


def _average(setting: ProjectedRun) -> Comparison:
    return Comparison(
        index=np.arange(1, setting.steps + 1),
        observed=setting.averaged_gap(weights_from(setting.step_sizes))[1:],
        bound=_bound(setting),
        index_name="T",
        observed_name=AVERAGE,
    )


def _best(setting: ProjectedRun) -> Comparison:
    return Comparison(
        index=np.arange(1, setting.steps + 1),
        observed=np.minimum.accumulate(setting.expectation.gap[:-1]),
        bound=_bound(setting),
        index_name="T",
        observed_name="min over t < T of E f(x_t) - f*",
    )


_COUNTEREXAMPLES = (
    Counterexample(
        "uniform indices",
        ProjectedRun(
            absolute(tilts=[2.0, -2.0]),
            x0=[-1.0],
            steps=40,
            step_size=0.1,
            sampling=FirstSampleOnly(),
        ),
        "The one sample ever seen, |x| + 2x, falls without end to the left.",
    ),
    Counterexample(
        "convex",
        ProjectedRun(gaussian_dip(), x0=[3.0], steps=60, step_size=0.5),
        "On the plateau of 1 - exp(-x²) the run never gets under way.",
    ),
    Counterexample(
        "second moment on the ball",
        ProjectedRun(
            quadratic(10.0, [1.0, -1.0]),
            x0=[1.0],
            steps=8,
            step_size=0.5,
            claims={"ball_second_moment": 1.0},
        ),
        "The gradients of a parabola have no bound, and steps that are too long find the large "
        "ones.",
    ),
    Counterexample(
        "minimiser in the ball",
        ProjectedRun(LeastAbsoluteDeviations([[1.0]], [5.0]), steps=60, step_size=0.5, radius=1.0),
        "The run ends at the edge of the ball, and the minimiser is outside.",
    ),
)

subgradient: Theorem[ProjectedRun] = Theorem(
    label="thm-subgradient",
    title="The stochastic subgradient method",
    kind="inequality",
    lecture="05",
    statement=r"$\mathbb E f(\bar x_T) - f^* \le \frac{R^2 + G^2\sum_{t<T}\alpha_t^2}"
    r"{2\sum_{t<T}\alpha_t}$ for the average $\bar x_T$ of $x_0, \dots, x_{T-1}$ with the weights "
    r"$\alpha_t$, with $R = \|x_0 - x^*\|$ for a minimiser $x^*$ in the ball",
    assumptions=(convex, second_moment_on_the_ball, minimizer_in_the_ball, uniform),
    compare=_average,
    tightness=r"Attained for every $T$: on $|x|$ from $x_0 = R$ with the constant step "
    r"$\alpha = R/T$ both sides are $\frac{R+\alpha}2$.",
    counterexamples=_COUNTEREXAMPLES,
    references=("nemirovski2009",),
)

subgradient_best: Theorem[ProjectedRun] = Theorem(
    label="thm-subgradient-best",
    title="The best iterate of the stochastic subgradient method",
    kind="inequality",
    lecture="05",
    statement=r"$\min_{t<T}\mathbb E f(x_t) - f^* \le \frac{R^2 + G^2\sum_{t<T}\alpha_t^2}"
    r"{2\sum_{t<T}\alpha_t}$",
    assumptions=(convex, second_moment_on_the_ball, minimizer_in_the_ball, uniform),
    compare=_best,
    tightness=r"Approached as $T \to \infty$: on $|x|$ from $x_0 = \tfrac\alpha2$ with the step "
    r"$\alpha$ the iterates jump between $\pm\tfrac\alpha2$ for ever.",
    counterexamples=_COUNTEREXAMPLES,
    references=("nesterov2018", "nemirovski2009"),
)


# ---- strong convexity -------------------------------------------------------------------------


def _strongly_convex(setting: ProjectedRun) -> Comparison:
    mu, count = setting.constant("strong_convexity"), np.arange(1, setting.steps + 1)
    return Comparison(
        index=count,
        observed=setting.averaged_gap(lambda t: float(t + 1))[1:],
        bound=2 * ball_second_moment(setting) / (mu * (count + 1)),
        index_name="T",
        observed_name=AVERAGE,
    )


def _harmonic_schedule(setting: ProjectedRun) -> Evidence:
    wanted = 2 / (setting.constant("strong_convexity") * np.arange(2, setting.steps + 2))
    error = float(np.abs(setting.step_sizes / wanted - 1).max())
    return Evidence(error <= EXACT, f"largest relative deviation from the schedule {error:.3g}")


subgradient_strongly_convex: Theorem[ProjectedRun] = Theorem(
    label="thm-subgradient-strongly-convex",
    title="The stochastic subgradient method on strongly convex functions",
    kind="inequality",
    lecture="05",
    statement=r"$\mathbb E f(\bar x_T) - f^* \le \frac{2G^2}{\mu(T+1)}$ for the average $\bar x_T$ "
    r"of $x_0, \dots, x_{T-1}$ with the weights $t + 1$",
    assumptions=(
        strongly_convex,
        second_moment_on_the_ball,
        minimizer_in_the_ball,
        Assumption(
            "harmonic schedule",
            r"$\alpha_t = \frac2{\mu(t+2)}$ for $t = 0, 1, \dots$",
            _harmonic_schedule,
        ),
        uniform,
    ),
    compare=_strongly_convex,
    tightness=r"The order $1/T$ is right; $f - f^* \le \frac{G^2}{2\mu}$ makes the bound at least "
    r"twice too large at $T = 1$.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            ProjectedRun(
                quadratic(1.0, [3.0, -3.0]),
                x0=[0.0],
                steps=60,
                step_size=lambda t: 2 / (t + 2),
                radius=5.0,
                sampling=FirstSampleOnly(),
            ),
            "The one sample ever seen has its minimum at -3, and there the run ends.",
        ),
        Counterexample(
            "strongly convex",
            ProjectedRun(
                absolute(),
                x0=[100.0],
                steps=10,
                step_size=lambda t: 2 / (t + 2),
                radius=100.0,
                claims={"strong_convexity": 1.0},
            ),
            "The slope of |x| does not grow with the distance, and the steps shrink too soon.",
        ),
        Counterexample(
            "second moment on the ball",
            ProjectedRun(
                absolute(1.0),
                x0=[10.0],
                steps=3,
                step_size=lambda t: 2 / (t + 2),
                radius=10.0,
                claims={"ball_second_moment": 1.0},
            ),
            "The slope at the kink says nothing of the slopes at the edge of the ball.",
        ),
        Counterexample(
            "minimiser in the ball",
            ProjectedRun(
                ScalarQuadratics([1.0], [5.0]),
                steps=30,
                step_size=lambda t: 2 / (t + 2),
                radius=1.0,
            ),
            "The run ends at the edge of the ball, and the minimiser is outside.",
        ),
        Counterexample(
            "harmonic schedule",
            ProjectedRun(absolute(1.0), x0=[10.0], steps=60, step_size=0.001, radius=10.0),
            "Steps that are too short leave the start where it was.",
        ),
    ),
    references=("lacostejulien2012",),
)
