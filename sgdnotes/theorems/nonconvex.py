"""Smooth functions that need not be convex: SGD makes the gradient small (lecture 05)."""

from __future__ import annotations

import numpy as np

from sgdnotes.problems import quadratic
from sgdnotes.theorems.assumptions import (
    FirstSampleOnly,
    bounded_below,
    bounded_variance,
    components_bounded_below,
    components_smooth,
    constant_step,
    smooth,
    uniform,
)
from sgdnotes.theorems.base import Comparison, Counterexample, Theorem
from sgdnotes.theorems.convex import UNEVEN_ROWS, claimed_variance
from sgdnotes.theorems.pl import step_at_most_inverse_smoothness
from sgdnotes.theorems.settings import StochasticRun
from sgdnotes.theorems.stochastic import independent_or_distinct

_ONE_SIDED = Counterexample(
    "uniform indices",
    StochasticRun(
        quadratic(1.0, [3.0, -3.0]), x0=[-3.0], steps=60, step_size=0.1, sampling=FirstSampleOnly()
    ),
    "The one sample ever seen has its minimum at -3, where the gradient of f is not small.",
)


def _variance(setting: StochasticRun) -> Comparison:
    alpha, size = float(setting.step_sizes[0]), setting.constant("smoothness")
    steps = np.arange(1, setting.steps + 1)
    expectation = setting.expectation
    gap = expectation.gap[0] + setting.problem.minimum - setting.constant("minimum")
    return Comparison(
        index=steps,
        observed=np.cumsum(expectation.gradient_norm_squared[:-1]) / steps,
        bound=2 * gap / (alpha * steps) + size * alpha * claimed_variance(setting),
        index_name="T",
        observed_name="mean over t < T of E‖∇f(x_t)‖²",
    )


sgd_nonconvex: Theorem[StochasticRun] = Theorem(
    label="thm-sgd-nonconvex",
    title="SGD on smooth functions with bounded variance",
    kind="inequality",
    lecture="05",
    statement=r"$\frac1T\sum_{t<T}\mathbb E\|\nabla f(x_t)\|^2 \le "
    r"\frac{2(f(x_0)-f^*)}{\alpha T} + L\alpha\sigma^2$",
    assumptions=(
        smooth,
        bounded_below,
        bounded_variance,
        constant_step,
        step_at_most_inverse_smoothness,
        uniform,
        independent_or_distinct,
    ),
    compare=_variance,
    tightness=r"Approached as $T \to \infty$ on a noisy parabola with $\alpha = 1/L$, where from "
    r"$x_1$ on the iterates are nothing but noise.",
    counterexamples=(
        _ONE_SIDED,
        Counterexample(
            "smooth",
            StochasticRun(
                quadratic(10.0, [1.0, -1.0]),
                x0=[1.0],
                steps=8,
                step_size=0.5,
                claims={"smoothness": 1.0},
            ),
            "With L understated tenfold the run diverges.",
        ),
        Counterexample(
            "bounded below",
            StochasticRun(
                quadratic(1.0), x0=[1.0], steps=30, step_size=0.5, claims={"minimum": 0.5}
            ),
            "A claimed lower bound that f attains at the start leaves nothing to descend.",
        ),
        Counterexample(
            "bounded variance",
            StochasticRun(
                UNEVEN_ROWS,
                x0=[30.0],
                steps=60,
                step_size=1 / UNEVEN_ROWS.smoothness,
                claims={"variance": UNEVEN_ROWS.gradient_noise_at_minimum},
            ),
            "One heavy row: the noise grows with the distance, and the variance at the minimum "
            "says nothing of it.",
        ),
        Counterexample(
            "constant step",
            StochasticRun(
                quadratic(1.0, [0.0, 0.0]),
                x0=[1.0],
                steps=16,
                step_size=lambda k: 0.2 / (k + 1) ** 3,
            ),
            "Steps whose sum is finite stop where the gradient is not small.",
        ),
        Counterexample(
            "step at most 1/L",
            StochasticRun(quadratic(1.0, [1.0, -1.0]), x0=[1.0], steps=10, step_size=2.5),
            "Beyond 2/L the run diverges.",
        ),
    ),
    references=("ghadimi2013nonconvex",),
)


def _expected_smoothness(setting: StochasticRun) -> Comparison:
    alpha, steps = float(setting.step_sizes[0]), np.arange(1, setting.steps + 1)
    scale = setting.constant("smoothness") * setting.constant("max_smoothness")
    paid = -np.expm1(-steps * np.log1p(scale * alpha**2))  # 1 - q^-T without cancellation
    expectation, excess = setting.expectation, setting.problem.interpolation_gap
    return Comparison(
        index=steps,
        observed=np.minimum.accumulate(expectation.gradient_norm_squared[:-1]),
        bound=scale * alpha * (expectation.gap[0] / paid + excess),
        index_name="T",
        observed_name="min over t < T of E‖∇f(x_t)‖²",
    )


sgd_nonconvex_expected_smoothness: Theorem[StochasticRun] = Theorem(
    label="thm-sgd-nonconvex-expected-smoothness",
    title="SGD on smooth functions, noise measured by the interpolation gap",
    kind="inequality",
    lecture="05",
    statement=r"$\min_{t<T}\mathbb E\|\nabla f(x_t)\|^2 \le "
    r"LL_{\max}\alpha\Bigl(\frac{f(x_0)-f^*}{1-q^{-T}} + \Delta_*\Bigr) \le "
    r"\frac{q^T}{\alpha T}(f(x_0)-f^*) + LL_{\max}\alpha\Delta_*$ with "
    r"$q = 1 + LL_{\max}\alpha^2$",
    assumptions=(smooth, components_smooth, components_bounded_below, constant_step, uniform),
    compare=_expected_smoothness,
    tightness=r"The first bound is approached as $T \to \infty$ by equal parabolas started at the "
    r"stationary variance, for every stable $\alpha$.  The second, the customary form, grows "
    r"without end: its last step replaces a geometric sum by $T$ times the smallest term.",
    counterexamples=(
        _ONE_SIDED,
        Counterexample(
            "smooth",
            StochasticRun(
                quadratic(4.0), x0=[1.0], steps=3, step_size=0.5, claims={"smoothness": 1.0}
            ),
            "With L understated fourfold the gradient at the start is already too large.",
        ),
        Counterexample(
            "components smooth",
            StochasticRun(
                quadratic(4.0), x0=[1.0], steps=3, step_size=0.5, claims={"max_smoothness": 1.0}
            ),
            "With L_max understated fourfold the gradient at the start is already too large.",
        ),
        Counterexample(
            "constant step",
            StochasticRun(
                quadratic(1.0), x0=[1.0], steps=300, step_size=lambda k: 0.1 / (k + 1) ** 3
            ),
            "Steps whose sum is finite stop where the gradient is not small.",
        ),
    ),
    references=("khaled2020",),
)
