"""Assumptions that several theorems share, each able to say with numbers whether it holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sgdnotes._validate import IntArray
from sgdnotes.problems import Landscape, Ridge, ScalarQuadratics
from sgdnotes.sampling import NAMED, WithReplacement, resolve
from sgdnotes.theorems.base import Assumption, Evidence
from sgdnotes.theorems.settings import Claims, OneStep, ProjectedRun, Run, StochasticRun

EXACT = 1e-9  # relative error allowed in comparing constants


def _smooth(setting: Claims) -> Evidence:
    claimed, true = setting.constant("smoothness"), setting.problem.smoothness
    holds = math.isfinite(claimed) and claimed >= true * (1 - EXACT)
    return Evidence(holds, f"L = {claimed:.6g}, the smallest valid L is {true:.6g}")


smooth: Assumption[Any] = Assumption(
    "smooth",
    r"$\nabla f$ is $L$-Lipschitz",
    _smooth,
)


def _components_smooth(setting: Claims) -> Evidence:
    claimed, true = setting.constant("max_smoothness"), setting.problem.max_smoothness
    holds = math.isfinite(claimed) and claimed >= true * (1 - EXACT)
    return Evidence(holds, f"L_max = {claimed:.6g}, the smallest valid L_max is {true:.6g}")


components_smooth: Assumption[Any] = Assumption(
    "components smooth",
    r"every $\nabla f_i$ is $L_{\max}$-Lipschitz",
    _components_smooth,
)


def _bounded_below(setting: Claims) -> Evidence:
    claimed, true = setting.constant("minimum"), setting.problem.minimum
    holds = math.isfinite(true) and claimed <= true + EXACT * max(1.0, abs(true))
    return Evidence(holds, f"claimed lower bound {claimed:.6g}, inf f = {true:.6g}")


bounded_below: Assumption[Any] = Assumption(
    "bounded below", r"$f^* = \inf f > -\infty$", _bounded_below
)


def _components_bounded_below(setting: Claims) -> Evidence:
    gap = setting.problem.interpolation_gap
    return Evidence(math.isfinite(gap), f"Δ_* = f* - mean of inf f_i = {gap:.6g}")


components_bounded_below: Assumption[Any] = Assumption(
    "components bounded below", r"every $\inf f_i > -\infty$", _components_bounded_below
)


def _pl(setting: Claims) -> Evidence:
    claimed, true = setting.constant("pl_constant"), setting.problem.pl_constant
    holds = 0 < claimed <= true * (1 + EXACT)
    return Evidence(holds, f"μ = {claimed:.6g}, the largest valid PL constant is {true:.6g}")


pl: Assumption[Any] = Assumption(
    "PL", r"$\tfrac12\|\nabla f(x)\|^2 \ge \mu(f(x) - f^*)$ for all $x$, with $\mu > 0$", _pl
)


def _strongly_convex(setting: Claims) -> Evidence:
    claimed, true = setting.constant("strong_convexity"), setting.problem.strong_convexity
    holds = 0 < claimed <= true * (1 + EXACT)
    return Evidence(
        holds, f"μ = {claimed:.6g}, the largest valid strong convexity constant is {true:.6g}"
    )


strongly_convex: Assumption[Any] = Assumption(
    "strongly convex", r"$f$ is $\mu$-strongly convex, $\mu > 0$", _strongly_convex
)


def _convex(setting: Claims) -> Evidence:
    holds = setting.problem.convex
    return Evidence(holds, "f is convex" if holds else "f is not convex")


convex: Assumption[Any] = Assumption("convex", r"$f$ is convex", _convex)


def _attained(setting: Claims) -> Evidence:
    try:
        minimizer = setting.problem.minimizer
    except ValueError as error:
        return Evidence(False, f"there is no minimiser ({error})")
    return Evidence(True, f"a minimiser of norm {float(np.linalg.norm(minimizer)):.6g}")


attained: Assumption[Any] = Assumption(
    "minimum attained", r"$f$ has a minimiser, $X^* \ne \emptyset$", _attained
)


def _components_convex(setting: Claims) -> Evidence:
    holds = setting.problem.components_convex
    return Evidence(holds, "every f_i is convex" if holds else "some f_i is not convex")


components_convex: Assumption[Any] = Assumption(
    "components convex", r"every $f_i$ is convex", _components_convex
)


def _quadratic(setting: Claims) -> Evidence:
    holds = isinstance(setting.problem, (Ridge, ScalarQuadratics))
    return Evidence(holds, f"the problem is {setting.problem.name}")


quadratic: Assumption[Any] = Assumption("quadratic", r"every $f_i$ is quadratic", _quadratic)


def _interpolation(setting: Claims) -> Evidence:
    noise = setting.problem.gradient_noise_at_minimum
    scale = setting.problem.gradient_second_moment(np.zeros(setting.problem.dim))
    holds = noise <= 1e-20 * scale  # relative, for gradients may be measured in any unit
    return Evidence(holds, f"σ*² = {noise:.3g}")


interpolation: Assumption[Any] = Assumption(
    "interpolation", r"$\sigma_*^2 = 0$: one $x^*$ minimises every $f_i$", _interpolation
)


class FirstSampleOnly(WithReplacement):
    """Batches that always hold the first sample: random in name only."""

    name = "first_sample_only"

    def outcomes(self, n_samples: int, batch_size: int) -> IntArray:
        """Return the only batch there is."""
        return np.zeros((1, batch_size), dtype=np.int64)


def _uniform(setting: OneStep | StochasticRun) -> Evidence:
    if resolve(setting.sampling) in NAMED.values():
        return Evidence(True, "uniform by construction")
    batches = resolve(setting.sampling).outcomes(setting.problem.n_samples, setting.batch_size)
    counts = np.bincount(batches.ravel(), minlength=setting.problem.n_samples)
    share = counts / counts.sum()
    return Evidence(
        bool(np.ptp(counts) == 0),
        f"sample probabilities from {share.min():.6g} to {share.max():.6g}, "
        f"wanted 1/n = {1 / setting.problem.n_samples:.6g} for all",
    )


uniform: Assumption[Any] = Assumption(
    "uniform indices", r"every index of a batch is uniform on $\{1, \dots, n\}$", _uniform
)


def step_at_most(
    name: str, statement: str, formula: str, largest: Callable[[Any], float], strict: bool = False
) -> Assumption[Any]:
    """Return the assumption that no step size of a run exceeds `largest(setting)`.

    Parameters
    ----------
    name, statement : str
        As in `Assumption`.
    formula : str
        How the messages write the bound, such as ``"1/L"``.
    largest : callable
    strict : bool
        Whether equality is excluded.
    """

    def examine(setting: Run) -> Evidence:
        limit, step = largest(setting), float(setting.step_sizes.max())
        holds = step < limit * (1 - EXACT) if strict else step <= limit * (1 + EXACT)
        return Evidence(holds, f"largest step size {step:.6g}, {formula} = {limit:.6g}")

    return Assumption(name, statement, examine)


def _constant_step(setting: Run) -> Evidence:
    if getattr(setting, "line_search", None):
        return Evidence(False, f"a line search from {float(setting.step_sizes[0]):.6g} finds them")
    sizes = setting.step_sizes
    holds = bool((sizes == sizes[0]).all())
    return Evidence(holds, f"step sizes from {sizes.min():.6g} to {sizes.max():.6g}")


constant_step: Assumption[Any] = Assumption(
    "constant step", r"$\alpha_k = \alpha$ for all $k$", _constant_step
)


def _trajectory_second_moment(setting: StochasticRun) -> Evidence:
    true = setting.trajectory_second_moment
    claimed = setting.claims.get("trajectory_second_moment", true)
    holds = math.isfinite(claimed) and claimed >= true * (1 - EXACT)
    return Evidence(holds, f"G² = {claimed:.6g}, the largest E‖g_k‖² on the run is {true:.6g}")


trajectory_second_moment: Assumption[Any] = Assumption(
    "second moment along the run",
    r"$\mathbb E\|g_k\|^2 \le G^2$ for the iterates of this run",
    _trajectory_second_moment,
)


def ball_second_moment(setting: ProjectedRun) -> float:
    """Return the claimed bound on the second moment over the ball of a run, or the true one."""
    true = setting.problem.max_second_moment(setting.radius)
    return setting.claims.get("ball_second_moment", true)


def _second_moment_on_the_ball(setting: ProjectedRun) -> Evidence:
    claimed = ball_second_moment(setting)
    true = setting.problem.max_second_moment(setting.radius)
    holds = math.isfinite(claimed) and claimed >= true * (1 - EXACT)
    return Evidence(holds, f"G² = {claimed:.6g}, a valid bound on the ball is {true:.6g}")


second_moment_on_the_ball: Assumption[Any] = Assumption(
    "second moment on the ball",
    r"$\frac1n\sum_i\|g_i(x)\|^2 \le G^2$ for all $x$ in the ball (all of space if there is none)",
    _second_moment_on_the_ball,
)


def _minimizer_in_the_ball(setting: ProjectedRun) -> Evidence:
    try:
        distance = float(np.linalg.norm(setting.problem.minimizer))
    except ValueError as error:
        return Evidence(False, f"there is no minimiser ({error})")
    return Evidence(
        distance <= setting.radius * (1 + EXACT),
        f"the nearest minimiser is {distance:.6g} from the centre of the ball, "
        f"whose radius is {setting.radius:.6g}",
    )


minimizer_in_the_ball: Assumption[Any] = Assumption(
    "minimiser in the ball", r"the ball contains a minimiser $x^*$ of $f$", _minimizer_in_the_ball
)


def _bounded_variance(setting: StochasticRun) -> Evidence:
    if (variance := constant_variance(setting)) is None:
        return Evidence(False, "the variance of the gradient is not bounded on all of space")
    claimed = setting.claims.get("variance", variance)
    return Evidence(
        claimed >= variance * (1 - EXACT) - 1e-300,
        f"σ² = {claimed:.6g}, the variance of the minibatch gradient is {variance:.6g} everywhere",
    )


bounded_variance: Assumption[Any] = Assumption(
    "bounded variance",
    r"$\mathbb E\|g(x) - \nabla f(x)\|^2 \le \sigma^2$ for all $x$",
    _bounded_variance,
)


def constant_variance(setting: StochasticRun) -> float | None:
    """Return the variance of the minibatch gradient where it is the same at all points.

    The gradients of two components of a quadratic differ by a constant if and only if their
    Hessians agree.  For rows, whose Hessians are outer products, this means that they agree up to
    their signs.  If some Hessians differ, the variance grows without bound.  Components of a
    landscape differ by their tilts, that is, by linear functions.
    """
    problem = setting.problem
    if isinstance(problem, Ridge):
        longest = problem.features[np.vecdot(problem.features, problem.features).argmax()]
        aligned = np.sign(problem.features @ longest)[:, None] * problem.features
        difference, size = aligned - longest, np.abs(longest).max()
    elif isinstance(problem, ScalarQuadratics):
        difference = problem.curvatures - problem.curvatures[0]
        size = np.abs(problem.curvatures).max()
    elif isinstance(problem, Landscape):
        difference, size = np.zeros(1), 0.0
    else:
        return None
    if np.abs(difference).max() > EXACT * size:
        return None
    return setting.noise_factor * problem.gradient_variance(np.zeros(problem.dim))
