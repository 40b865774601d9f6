"""Orders: what shuffling changes (lecture 08)."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from sgdnotes.problems import FiniteSum, Landscape, LeastSquares, Ridge, ScalarQuadratics
from sgdnotes.sampling import MAX_PERMUTED
from sgdnotes.theorems.assumptions import EXACT, components_smooth
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem
from sgdnotes.theorems.settings import Claims, EpochRun

DISTANCE = "E dist(x_T, X*)²"


def _listable(setting: Claims) -> Evidence:
    n = setting.problem.n_samples
    return Evidence(n <= MAX_PERMUTED, f"{n} samples, at most {MAX_PERMUTED} can be listed")


listable: Assumption[Any] = Assumption(
    "few samples", rf"$n \le {MAX_PERMUTED}$, so that all orders can be listed", _listable
)


# ---- sums along a shuffled order --------------------------------------------------------------


def _partial_sums(setting: Claims) -> Comparison:
    problem = setting.problem
    n, gradients = problem.n_samples, problem.component_gradients(np.zeros(problem.dim))
    centered = gradients - gradients.mean(axis=0)
    orders = np.array(list(itertools.permutations(range(n))))
    sums = np.cumsum(centered[orders], axis=1)
    counts = np.arange(1, n + 1)
    variance = float((centered**2).sum(axis=1).mean())
    return Comparison(
        index=counts,
        observed=(sums**2).sum(axis=-1).mean(axis=0),
        bound=counts * (n - counts) / max(n - 1, 1) * variance,
        index_name="i",
        observed_name="E‖X_π1 + … + X_πi‖²",
        bound_name="i(n-i)/(n-1) V",
        magnitude=np.full(n, n * float((gradients**2).sum(axis=1).max())),
    )


partial_sums: Theorem[Claims] = Theorem(
    label="lem-partial-sums",
    title="Sums along a shuffled order",
    kind="identity",
    lecture="08",
    statement=r"For vectors with $\sum_j X_j = 0$, $V = \frac1n\sum_j\|X_j\|^2$ and a uniformly "
    r"random order $\pi$: $\mathbb E\|X_{\pi_1} + \dots + X_{\pi_i}\|^2 = \frac{i(n-i)}{n-1}V$",
    assumptions=(listable,),
    compare=_partial_sums,
    tightness="An identity; the number of samples is limited only by the listing of all orders.",
)


# ---- random reshuffling -----------------------------------------------------------------------


def component_strong_convexity(problem: FiniteSum) -> float:
    """Return the largest constant with which every component of `problem` is strongly convex.

    A row of more than one column leaves directions in which only the regularisation bends.
    """
    if isinstance(problem, Ridge):
        single = problem.features[:, 0] ** 2 if problem.dim == 1 else np.zeros(1)
        return float(single.min()) + problem.regularization
    if isinstance(problem, ScalarQuadratics):
        return float(problem.curvatures.min())
    return problem.strong_convexity if isinstance(problem, Landscape) else 0.0


def _mu(setting: EpochRun) -> float:
    true = component_strong_convexity(setting.problem)
    return setting.claims.get("component_strong_convexity", true)


def _components_strongly_convex(setting: EpochRun) -> Evidence:
    claimed, true = _mu(setting), component_strong_convexity(setting.problem)
    return Evidence(
        0 < claimed <= true * (1 + EXACT),
        f"μ = {claimed:.6g}, every f_i is {true:.6g}-strongly convex and not more",
    )


components_strongly_convex: Assumption[Any] = Assumption(
    "components strongly convex",
    r"every $f_i$ is $\mu$-strongly convex, $\mu > 0$",
    _components_strongly_convex,
)


def _step_at_most_smoothness(setting: EpochRun) -> Evidence:
    limit = 1 / setting.constant("max_smoothness")
    return Evidence(
        setting.step_size <= limit * (1 + EXACT),
        f"step size {setting.step_size:.6g}, 1/L_max = {limit:.6g}",
    )


def _shuffled(setting: EpochRun) -> Evidence:
    order = setting.order if isinstance(setting.order, str) else setting.order.name
    return Evidence(order == "reshuffled", f"the order is {order.replace('_', ' ')}")


def reshuffling_floor(setting: EpochRun) -> float:
    r"""Return :math:`\gamma^2L_{\max}n\sigma_*^2/(2\mu)`, the floor of the reshuffling theorem."""
    problem = setting.problem
    noise = problem.n_samples * problem.gradient_noise_at_minimum
    return setting.step_size**2 * setting.constant("max_smoothness") * noise / (2 * _mu(setting))


def _reshuffling(setting: EpochRun) -> Comparison:
    distance = setting.distance_squared
    epochs = np.arange(len(distance))
    contraction = 1 - setting.step_size * _mu(setting)
    shrink = np.asarray(contraction ** (setting.problem.n_samples * epochs))
    return Comparison(
        index=epochs,
        observed=distance,
        bound=shrink * distance[0] + reshuffling_floor(setting),
        index_name="T",
        observed_name=DISTANCE,
    )


_SORTED = LeastSquares(np.ones((8, 1)), np.repeat([1.0, -1.0], 4))
_TWO = LeastSquares([[1.0], [2.0]], [1.0, -2.0])

reshuffling: Theorem[EpochRun] = Theorem(
    label="thm-reshuffling",
    title="Random reshuffling",
    kind="inequality",
    lecture="08",
    statement=r"After T epochs in random orders, $\mathbb E\|x_T-x^*\|^2 \le "
    r"(1-\gamma\mu)^{nT}\|x_0-x^*\|^2 + \frac{\gamma^2L_{\max}n\sigma_*^2}{2\mu}$",
    assumptions=(
        components_smooth,
        components_strongly_convex,
        Assumption(
            "step at most 1/L_max", r"$0 < \gamma \le \tfrac1{L_{\max}}$", _step_at_most_smoothness
        ),
        Assumption("reshuffled", "the order of every epoch is drawn afresh, uniformly", _shuffled),
    ),
    compare=_reshuffling,
    tightness=r"The order $\gamma^2$ is right; the constant is loose, the more so the larger "
    r"$n\,L_{\max}/\mu$.",
    counterexamples=(
        Counterexample(
            "reshuffled",
            EpochRun(_SORTED, epochs=40, step_size=0.2, order="cyclic"),
            "All samples that pull to the right come first, in every epoch.",
        ),
        Counterexample(
            "step at most 1/L_max",
            EpochRun(_TWO, epochs=10, step_size=0.9, x0=[5.0]),
            "A step that is too long for the steeper component diverges.",
        ),
        Counterexample(
            "components smooth",
            EpochRun(_TWO, epochs=10, step_size=0.9, x0=[5.0], claims={"max_smoothness": 1.0}),
            "With L_max understated the step is too long for the steeper component.",
        ),
        Counterexample(
            "components strongly convex",
            EpochRun(
                _SORTED,
                epochs=3,
                step_size=0.01,
                x0=[50.0],
                claims={"component_strong_convexity": 1.0 + math.sqrt(2)},
            ),
            "A constant too large promises a decrease that does not happen.",
        ),
    ),
    references=("mishchenko2020",),
)
