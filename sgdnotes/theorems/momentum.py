"""Momentum in the presence of noise: exact moments of the pair, and the floor (lecture 06)."""

from __future__ import annotations

import numpy as np

from sgdnotes._validate import FloatArray
from sgdnotes.problems import LeastSquares
from sgdnotes.theorems.assumptions import FirstSampleOnly, uniform
from sgdnotes.theorems.base import Comparison, Counterexample, Theorem
from sgdnotes.theorems.pl import stable
from sgdnotes.theorems.settings import MomentumRun, Stationary
from sgdnotes.theorems.stochastic import (
    OneSampleRepeated,
    independent_or_distinct,
    linear_gradients,
    recursion_and_enumeration,
)
from sgdnotes.updates import HeavyBall, LinearUpdate, Nesterov

# ---- the recursion of the pair ----------------------------------------------------------------


_SLOPES = LeastSquares([[1.0], [2.0], [-1.0]], [1.0, 0.0, 3.0])

momentum_recursion: Theorem[MomentumRun] = Theorem(
    label="prop-momentum-recursion",
    title="The moment recursion of SGD with momentum",
    kind="identity",
    lecture="06",
    statement=r"$U_{k+1} = T_kU_k$ and $P_{k+1} = T_kP_kT_k^\top + \alpha_k^2c\,(bb^\top)\otimes"
    r"\mathcal C(u_k, M_k)$ with $T_k = K\otimes I - \alpha_k\,(be_1^\top)\otimes H$, where "
    r"$U_k$ and $P_k$ are the first and second moments of the pair of $x_k - x^*$ and what is "
    r"remembered, and $u_k$, $M_k$ their first blocks",
    assumptions=(linear_gradients, uniform, independent_or_distinct),
    compare=recursion_and_enumeration,
    tightness="An identity.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            MomentumRun(
                _SLOPES, steps=3, step_size=0.1, update=HeavyBall(0.5), sampling=FirstSampleOnly()
            ),
            "One sample, drawn for ever, makes the run deterministic.",
        ),
        Counterexample(
            "independent or distinct",
            MomentumRun(
                _SLOPES,
                steps=3,
                step_size=0.1,
                update=Nesterov(0.5),
                batch_size=2,
                sampling=OneSampleRepeated(),
            ),
            "The recursion halves the noise of a batch of two; repeating a sample does not.",
        ),
    ),
)


# ---- the floor --------------------------------------------------------------------------------


def stationary_variance(
    update: LinearUpdate,
    step_size: float,
    curvatures: FloatArray,
    noise_variances: FloatArray,
) -> FloatArray:
    r"""Return :math:`\operatorname{Var}_\infty` of the iterate on :math:`\frac h2x^2`.

    Parameters
    ----------
    update : GradientStep, HeavyBall or Nesterov
        For Nesterov's method the iterate is the point at which the gradient is taken.
    step_size : float
        :math:`\alpha`, for which the method is stable on every curvature.
    curvatures : array_like of shape (m,)
        :math:`h > 0`.
    noise_variances : array_like of shape (m,)
        :math:`s^2`, the variance of the noise added to the gradient.

    Returns
    -------
    ndarray of shape (m,)
    """
    beta = update.momentum if isinstance(update, (HeavyBall, Nesterov)) else 0.0
    scaled = step_size * np.asarray(curvatures)
    if isinstance(update, Nesterov):
        factor = (1 + beta + scaled * beta * (1 + 2 * beta)) / (
            (1 - beta + scaled * beta) * (2 * (1 + beta) - scaled * (1 + 2 * beta))
        )
    else:
        factor = (1 + beta) / ((1 - beta) * (2 * (1 + beta) - scaled))
    return np.asarray(step_size * np.asarray(noise_variances) / curvatures * factor)


def _momentum_floor(setting: Stationary) -> Comparison:
    moments = setting.moments
    diagonal = np.equal(*np.triu_indices(moments.rank))
    observed, predicted = [], []
    for alpha in np.asarray(setting.step_sizes).tolist():
        state = moments.stationary(alpha)
        noise = moments.noise_factor * (moments.gradient_covariance[diagonal] @ state)
        observed.append(np.diag(moments.second_moment(state)))
        predicted.append(stationary_variance(setting.update, alpha, moments.curvatures, noise))
    return Comparison(
        index=np.arange(np.size(observed)),
        observed=np.ravel(observed),
        bound=np.ravel(predicted),
        index_name="step size and eigenvector",
        observed_name="stationary variance",
        bound_name="the formula",
    )


momentum_floor: Theorem[Stationary] = Theorem(
    label="prop-momentum-floor",
    title="The noise floor of momentum on quadratics",
    kind="identity",
    lecture="06",
    statement=r"in the stationary state the variance along an eigenvector of $H$ with eigenvalue "
    r"$h > 0$, where the gradient has noise of variance $s^2$, is "
    r"$\frac{\alpha s^2(1+\beta)}{h(1-\beta)(2(1+\beta)-\alpha h)}$ for heavy ball and "
    r"$\frac{\alpha s^2(1+\beta+\alpha h\beta(1+2\beta))}"
    r"{h(1-\beta+\alpha h\beta)(2(1+\beta)-\alpha h(1+2\beta))}$ for Nesterov's method, at the "
    r"point where the gradient is taken",
    assumptions=(
        linear_gradients,
        uniform,
        independent_or_distinct,
        stable,
    ),
    compare=_momentum_floor,
    tightness=r"An identity. To first order in $\alpha$ both are the $\frac{\alpha s^2}{2h}$ of "
    r"plain SGD with $\alpha$ replaced by $\frac\alpha{1-\beta}$.",
    references=("polyak1964", "nesterov1983"),
)
