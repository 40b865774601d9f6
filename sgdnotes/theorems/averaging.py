"""Averaged constant-step SGD on least squares, without strong convexity (lecture 06)."""

from __future__ import annotations

import numpy as np

from sgdnotes.moments import SecondMoments
from sgdnotes.problems import LeastSquares
from sgdnotes.theorems.assumptions import EXACT, FirstSampleOnly, constant_step, uniform
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem
from sgdnotes.theorems.settings import StochasticRun
from sgdnotes.theorems.stochastic import (
    OneSampleRepeated,
    independent_or_distinct,
    linear_gradients,
)

AVERAGED = "E f(mean of x_0..x_(N-1)) - f*"


# ---- the bound of Bach and Moulines -----------------------------------------------------------


def averaging_constants(problem: LeastSquares) -> tuple[float, float]:
    r"""Return :math:`R^2` and :math:`s^2` of a least squares problem.

    They are the smallest numbers with
    :math:`\frac1n\sum_i\|a_i\|^2a_ia_i^\top \preceq R^2H` and
    :math:`\frac1n\sum_ir_i^2a_ia_i^\top \preceq s^2H`, where :math:`r_i` is the residual of
    sample i at a minimiser.
    """
    # In coordinates in which H is the identity on the row space, they are largest eigenvalues.
    whitened = problem.features @ problem.row_space.T / np.sqrt(problem.spectrum)
    residuals = problem.features @ problem.minimizer - problem.targets

    def largest(weights: np.ndarray) -> float:
        matrix = (whitened.T * weights) @ whitened / problem.n_samples
        return max(0.0, float(np.linalg.eigvalsh(matrix)[-1]))

    return largest(np.vecdot(problem.features, problem.features)), largest(residuals**2)


def _least_squares(setting: StochasticRun) -> Evidence:
    return Evidence(
        isinstance(setting.problem, LeastSquares), f"the problem is {setting.problem.name}"
    )


def _single(setting: StochasticRun) -> Evidence:
    return Evidence(setting.batch_size == 1, f"batches of {setting.batch_size}")


def _below_inverse_radius(setting: StochasticRun) -> Evidence:
    assert isinstance(setting.problem, LeastSquares)
    limit = 1 / averaging_constants(setting.problem)[0]
    step = float(setting.step_sizes.max())
    return Evidence(step < limit * (1 - EXACT), f"step size {step:.6g}, 1/R² = {limit:.6g}")


def _averaged_least_squares(setting: StochasticRun) -> Comparison:
    problem, expectation = setting.problem, setting.expectation
    assert isinstance(problem, LeastSquares)
    squared_radius, squared_noise = averaging_constants(problem)
    step, count = float(setting.step_sizes[0]), expectation.steps[1:]
    noise = np.sqrt(squared_noise * len(problem.spectrum)) / (1 - np.sqrt(step * squared_radius))
    start = np.sqrt(expectation.distance_squared[0] / step)
    return Comparison(
        index=count,
        observed=expectation.average_gap[1:],
        bound=(noise + start) ** 2 / (2 * count),
        index_name="N",
        observed_name=AVERAGED,
    )


_THREE_ROWS = LeastSquares([[1.0, 0.0], [0.0, 0.5], [1.0, 0.5]], [1.0, 0.0, 2.0])

averaged_least_squares: Theorem[StochasticRun] = Theorem(
    label="thm-averaged-least-squares",
    title="Averaged SGD with a constant step on least squares",
    kind="inequality",
    lecture="06",
    statement=r"$\mathbb E f(\bar x_N) - f^* \le \frac1{2N}\Bigl[\frac{s\sqrt d}"
    r"{1-\sqrt{\gamma R^2}} + \frac{\operatorname{dist}(x_0, X^*)}{\sqrt\gamma}\Bigr]^2$ for "
    r"$\bar x_N = \frac1N\sum_{k<N}x_k$, with $d$ the rank of $H$, "
    r"$\frac1n\sum_i\|a_i\|^2a_ia_i^\top \preceq R^2H$ and "
    r"$\frac1n\sum_ir_i^2a_ia_i^\top \preceq s^2H$",
    assumptions=(
        Assumption("least squares", r"$f_i(x) = \tfrac12(a_i^\top x - b_i)^2$", _least_squares),
        Assumption("single samples", "every step sees one sample", _single),
        uniform,
        constant_step,
        Assumption("step below 1/R²", r"$0 < \gamma < \tfrac1{R^2}$", _below_inverse_radius),
    ),
    compare=_averaged_least_squares,
    tightness=r"Equality at $N = 1$ without noise in one dimension as $\gamma \to 1/R^2$; for "
    r"small $\gamma$ and large $N$ the leading term $\frac{s^2d}{2N}$ is attained when the noise "
    r"at the minimum has covariance $s^2H$.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            StochasticRun(_THREE_ROWS, steps=400, step_size=0.5, sampling=FirstSampleOnly()),
            "The one sample ever seen is fitted, and the average goes there.",
        ),
        Counterexample(
            "constant step",
            StochasticRun(_THREE_ROWS, steps=60, step_size=lambda k: 0.1 * 0.5**k, x0=[9.0, 9.0]),
            "Steps that are halved every time come to a stop far from the minimum.",
        ),
        Counterexample(
            "step below 1/R²",
            StochasticRun(_THREE_ROWS, steps=60, step_size=2.5, x0=[9.0, 9.0]),
            "The run diverges, and so does its average.",
        ),
    ),
    references=("bach2013",),
)


# ---- the limit --------------------------------------------------------------------------------


def averaging_limit_of(setting: StochasticRun) -> float:
    r"""Return :math:`\frac1\gamma\operatorname{tr}M_\infty - \frac12\operatorname{tr}HM_\infty`.

    It is infinite where the step is too long for a stationary state.
    """
    moments = SecondMoments(setting.problem, setting.batch_size, setting.sampling)  # type: ignore[arg-type]
    step = float(setting.step_sizes[0])
    if moments.spectral_radius(step) >= 1:
        return np.inf
    state = moments.stationary(step)
    return float(moments.distance_squared(state) / step - moments.gap(state))


def _stable(setting: StochasticRun) -> Evidence:
    moments = SecondMoments(setting.problem, setting.batch_size, setting.sampling)  # type: ignore[arg-type]
    radius = moments.spectral_radius(float(setting.step_sizes[0]))
    return Evidence(radius < 1, f"spectral radius {radius:.6g}, wanted below 1")


def _averaging_limit(setting: StochasticRun) -> Comparison:
    expectation, limit = setting.expectation, averaging_limit_of(setting)
    count = expectation.steps[1:]
    observed = count * expectation.average_gap[1:]
    return Comparison(
        index=count,
        observed=observed,
        bound=np.full(len(count), limit),
        index_name="N",
        observed_name="N " + AVERAGED,
        bound_name="tr M/γ - tr HM/2",
        # The start is forgotten like 1/N; where the limit is next to zero, it is all there is.
        tolerance=0.05 * max(limit, 0.01 * float(observed.max())) if limit < np.inf else 0.0,
    )


_TWO_OPINIONS = LeastSquares([[1.0], [1.0]], [3.0, -3.0])

averaging_limit: Theorem[StochasticRun] = Theorem(
    label="prop-averaging-limit",
    title="What averaging leaves of the error",
    kind="limit",
    lecture="06",
    statement=r"$N\bigl(\mathbb E f(\bar x_N) - f^*\bigr) \to "
    r"\frac1\gamma\operatorname{tr}M_\infty - \frac12\operatorname{tr}HM_\infty "
    r"= \frac12\operatorname{tr}(H^{-1}C_\infty)$, where $M_\infty$ is the stationary second "
    r"moment of $x - x^*$ and $C_\infty$ the stationary covariance of the gradient",
    assumptions=(
        linear_gradients,
        uniform,
        independent_or_distinct,
        constant_step,
        Assumption("stable", r"SGD with step $\gamma$ is mean-square stable", _stable),
    ),
    compare=_averaging_limit,
    tightness=r"An identity in the limit; the distance from it is $O(1/N)$. With "
    r"noise of constant covariance the limit does not depend on the step.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            StochasticRun(_THREE_ROWS, steps=400, step_size=0.5, sampling=FirstSampleOnly()),
            "The average converges to what fits the first sample, so that N times its error grows.",
        ),
        Counterexample(
            "independent or distinct",
            StochasticRun(
                _TWO_OPINIONS,
                steps=16,
                step_size=0.5,
                batch_size=2,
                sampling=OneSampleRepeated(),
            ),
            "A batch that repeats its sample has twice the noise, and so has the average.",
        ),
        Counterexample(
            "constant step",
            StochasticRun(_THREE_ROWS, steps=400, step_size=lambda k: 0.5**k / 4, x0=[9.0, 9.0]),
            "Steps that are halved every time come to a stop far from the minimum.",
        ),
        Counterexample(
            "stable",
            StochasticRun(_THREE_ROWS, steps=40, step_size=2.5, x0=[9.0, 9.0]),
            "There is no stationary state, and the error of the average grows.",
        ),
    ),
)
