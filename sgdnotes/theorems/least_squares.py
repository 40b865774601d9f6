"""Finite sums and least squares: what holds exactly (lecture 01)."""

from __future__ import annotations

import numpy as np

from sgdnotes._validate import starting_points
from sgdnotes.engine import METRICS
from sgdnotes.methods import sgd
from sgdnotes.problems import LeastSquares, ScalarQuadratics, flat_bottom, quartic
from sgdnotes.theorems.assumptions import components_convex, quadratic
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem
from sgdnotes.theorems.settings import Claims, Points, StochasticRun


def _expansion(setting: Points) -> Comparison:
    problem, x = setting.problem, setting.x
    offset = x - problem.minimizer
    return Comparison(
        index=np.arange(len(x)),
        observed=problem.value(x),
        bound=problem.minimum + 0.5 * (problem.gradient(x) * offset).sum(axis=1),
        index_name="point",
        observed_name="f(x)",
        bound_name="f* + ⟨∇f(x), x - x*⟩/2",
    )


least_squares_expansion: Theorem[Points] = Theorem(
    label="prop-least-squares",
    title="Normal equations and the exact expansion of least squares",
    kind="identity",
    lecture="01",
    statement=r"$x^*$ minimises $f(x) = \frac1{2n}\|Ax-b\|^2$ if and only if "
    r"$A^\top Ax^* = A^\top b$, and then "
    r"$f(x) = f^* + \tfrac12\langle\nabla f(x), x-x^*\rangle = f^* + \tfrac1{2n}\|A(x-x^*)\|^2$",
    assumptions=(quadratic,),
    compare=_expansion,
    tightness="An identity.",
    counterexamples=(
        Counterexample(
            "quadratic",
            Points(quartic(), points=[[1.0]]),
            "On x⁴ half the product of slope and distance is 2, not 1.",
        ),
    ),
    references=("ryu2022",),
)


def _least_squares(setting: StochasticRun) -> Evidence:
    return Evidence(
        isinstance(setting.problem, LeastSquares), f"the problem is {setting.problem.name}"
    )


def _start_in_row_space(setting: StochasticRun) -> Evidence:
    problem = setting.problem
    x0 = starting_points(setting.x0, problem.dim, 1)[0]
    # Where there are no rows, nothing is said about the start.
    outside = (
        np.linalg.norm(x0 - x0 @ problem.row_space.T @ problem.row_space)
        if isinstance(problem, LeastSquares)
        else 0.0
    )
    holds = outside <= 1e-12 * max(1.0, float(np.linalg.norm(x0)))
    return Evidence(bool(holds), f"the distance of x_0 from the row space is {outside:.3g}")


def _minimum_norm(setting: StochasticRun) -> Comparison:
    trace = sgd(
        setting.problem,
        setting.x0,
        steps=setting.steps,
        step_size=setting.step_size,
        batch_size=setting.batch_size,
        sampling=setting.sampling,
        rng=0,
        record="all",
        metrics={
            "distance_squared": METRICS["distance_squared"],
            "to_least_norm": lambda problem, x: ((x - problem.minimizer) ** 2).sum(axis=-1),
        },
    )
    return Comparison(
        index=trace.steps,
        observed=np.sqrt(trace.history["to_least_norm"][:, 0]),
        bound=np.sqrt(trace.history["distance_squared"][:, 0]),
        index_name="k",
        observed_name="‖x_k - A⁺b‖",
        bound_name="dist(x_k, X*)",
    )


minimum_norm: Theorem[StochasticRun] = Theorem(
    label="prop-minimum-norm",
    title="Gradient methods find the minimiser of least norm",
    kind="identity",
    lecture="01",
    statement=r"the minimisers of least squares are $X^* = A^+b + \ker A$; if $x_0$ lies in the "
    r"row space of $A$, then for every choice of step sizes and of samples "
    r"$\|x_k - A^+b\| = \operatorname{dist}(x_k, X^*)$ for all $k$, so that the only minimiser to "
    r"which the run can converge is $A^+b$",
    assumptions=(
        Assumption("least squares", r"$f_i(x) = \tfrac12(a_i^\top x - b_i)^2$", _least_squares),
        Assumption(
            "start in the row space", r"$x_0$ is orthogonal to $\ker A$", _start_in_row_space
        ),
    ),
    compare=_minimum_norm,
    tightness="An identity. The object follows one run of SGD, with the seed 0.",
    counterexamples=(
        Counterexample(
            "least squares",
            StochasticRun(flat_bottom(), steps=9, step_size=0.5, x0=[4.0]),
            "On max(0, |x| - 1) the descent stops at 1, the end of the interval at which it "
            "arrives, and not at 0.",
        ),
        Counterexample(
            "start in the row space",
            StochasticRun(LeastSquares([[1.0, 1.0]], [2.0]), steps=20, step_size=0.5, x0=[1, -1]),
            "Started at (1, -1) the run ends at (2, 0), farther from the origin than (1, 1).",
        ),
    ),
)


def _chain(setting: Claims) -> Comparison:
    problem = setting.problem
    return Comparison(
        index=[1, 2, 3],
        observed=[problem.smoothness, problem.average_smoothness, problem.max_smoothness],
        bound=[
            problem.average_smoothness,
            problem.max_smoothness,
            problem.n_samples * problem.smoothness,
        ],
        index_name="link of the chain",
        observed_name="L, mean L_i, L_max",
        bound_name="mean L_i, L_max, nL",
    )


smoothness_chain: Theorem[Claims] = Theorem(
    label="lem-smoothness-chain",
    title="Smoothness of a sum and of its components",
    kind="inequality",
    lecture="01",
    statement=r"$L \le \frac1n\sum_iL_i \le L_{\max} \le nL$ for twice continuously "
    r"differentiable components; the last link needs convex components",
    assumptions=(components_convex,),
    compare=_chain,
    tightness=r"$L = L_{\max}$ when all samples are equal, $L_{\max} = nL$ when all but one "
    r"vanish.",
    counterexamples=(
        Counterexample(
            "components convex",
            Claims(ScalarQuadratics([5.0, -3.0])),
            "An upside-down component cancels curvature in the sum: L = 1, L_max = 5 > 2L.",
        ),
    ),
)
