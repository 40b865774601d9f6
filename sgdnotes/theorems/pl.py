"""SGD under the PL inequality, and the right assumption on the noise (lecture 04)."""

from __future__ import annotations

import math

import numpy as np

from sgdnotes.problems import LeastSquares, LinearModel, ScalarQuadratics, quadratic, soft_absolute
from sgdnotes.schedules import constant_then_inverse_time, inverse_time
from sgdnotes.theorems.assumptions import (
    EXACT,
    FirstSampleOnly,
    bounded_variance,
    components_bounded_below,
    components_convex,
    components_smooth,
    constant_step,
    constant_variance,
    interpolation,
    pl,
    smooth,
    step_at_most,
    strongly_convex,
    trajectory_second_moment,
    uniform,
)
from sgdnotes.theorems.assumptions import (
    quadratic as is_quadratic,
)
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem
from sgdnotes.theorems.settings import GlobalBound, Points, Stationary, StochasticRun

GAP = "E f(x_k) - f*"
DISTANCE = "E dist(x_k, X*)²"


def _second_moment(setting: StochasticRun) -> float:
    claimed = setting.claims.get("trajectory_second_moment")
    return setting.trajectory_second_moment if claimed is None else claimed


# ---- a second moment bounded everywhere -------------------------------------------------------


def _along_a_ray(setting: GlobalBound) -> Comparison:
    problem = setting.problem
    direction = (
        problem.row_space[0] if isinstance(problem, LinearModel) else np.eye(1, problem.dim)[0]
    )
    distances = 2.0 ** np.arange(-2, 40)
    moments = [
        problem.gradient_second_moment(problem.minimizer + distance * direction)
        for distance in distances
    ]
    return Comparison(
        index=distances,
        observed=moments,
        bound=np.full(len(distances), setting.second_moment),
        index_name="distance from x*",
        observed_name="mean of ‖∇f_i‖²",
        bound_name="claimed G²",
    )


vacuity: Theorem[GlobalBound] = Theorem(
    label="thm-vacuity",
    title="A second moment bounded everywhere leaves nothing to optimise",
    kind="impossibility",
    lecture="04",
    statement=r"If $\mathbb E\|\nabla f_i(x)\|^2 \le G^2 < \infty$ for all $x \in \mathbb R^p$, "
    r"then $f$ is constant",
    assumptions=(smooth, pl),
    compare=_along_a_ray,
    tightness="No non-constant instance exists, for any $G$.",
    counterexamples=(
        Counterexample(
            "PL",
            GlobalBound(soft_absolute(), second_moment=1.0, claims={"pl_constant": 0.5}),
            "√(1+x²) has slopes below 1 everywhere and is not constant, but it is not PL.",
        ),
    ),
)


# ---- the two theorems of the source, along the trajectory -------------------------------------

step_at_most_half_inverse_pl = step_at_most(
    "step at most 1/(2μ)",
    r"$0 < \alpha \le \tfrac1{2\mu}$",
    "1/(2μ)",
    lambda s: 1 / (2 * s.constant("pl_constant")),
)


def _decreasing(setting: StochasticRun) -> Comparison:
    size, mu = setting.constant("smoothness"), setting.constant("pl_constant")
    steps = setting.expectation.steps[1:]
    return Comparison(
        index=steps,
        observed=setting.expectation.gap[1:],
        bound=size * _second_moment(setting) / (2 * mu**2 * steps),
        index_name="k",
        observed_name=GAP,
    )


def _inverse_time_schedule(setting: StochasticRun) -> Evidence:
    wanted = [inverse_time(setting.constant("pl_constant"))(k) for k in range(setting.steps)]
    error = float(np.abs(setting.step_sizes / np.array(wanted) - 1).max())
    return Evidence(error <= EXACT, f"largest relative deviation from the schedule {error:.3g}")


_decreasing_schedule: Assumption[StochasticRun] = Assumption(
    "decreasing schedule", r"$\alpha_k = \frac{2k+1}{2\mu(k+1)^2}$", _inverse_time_schedule
)

sgd_pl_decreasing: Theorem[StochasticRun] = Theorem(
    label="thm-sgd-pl-decreasing",
    title="SGD on PL functions with decreasing steps",
    kind="inequality",
    lecture="04",
    statement=r"$\mathbb E f(x_k) - f^* \le \frac{LG^2}{2\mu^2k}$ for $k \ge 1$",
    assumptions=(smooth, pl, trajectory_second_moment, _decreasing_schedule, uniform),
    compare=_decreasing,
    tightness=r"The order $1/k$ is right.  On least squares the first step $\tfrac1{2\mu}$ may "
    r"blow up $G^2$ and with it the bound, a thousandfold and more.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            StochasticRun(
                quadratic(1.0, [3.0, -3.0]),
                x0=[0.0],
                steps=20,
                step_size=inverse_time(1.0),
                sampling=FirstSampleOnly(),
            ),
            "The one sample ever seen has its minimum at -3, and there the run ends.",
        ),
        Counterexample(
            "second moment along the run",
            StochasticRun(
                quadratic(1.0, [1.0, -1.0]),
                x0=[100.0],
                steps=10,
                step_size=inverse_time(1.0),
                claims={"trajectory_second_moment": 1.0},
            ),
            "With the noise at the minimum in place of G² the bound forgets the distance to go.",
        ),
        Counterexample(
            "PL",
            StochasticRun(
                soft_absolute([0.5, -0.5]),
                x0=[200.0],
                steps=10,
                step_size=inverse_time(0.5),
                claims={"pl_constant": 0.5},
            ),
            "Far away √(1+x²) has slope 1; the steps 1/k cover the way too slowly.",
        ),
        Counterexample(
            "smooth",
            StochasticRun(
                quadratic(10.0, [0.0, 0.0]),
                x0=[1.0],
                steps=1,
                step_size=inverse_time(1.0),
                claims={"smoothness": 1.0, "pl_constant": 1.0},
            ),
            "With L understated tenfold the first step overshoots by more than the bound.",
        ),
        Counterexample(
            "decreasing schedule",
            StochasticRun(quadratic(1.0, [1.0, -1.0]), x0=[1.0], steps=10, step_size=0.001),
            "Steps that are too short leave the start where it was.",
        ),
    ),
    references=("merkulov", "karimi2016"),
)


def _constant(setting: StochasticRun) -> Comparison:
    size, mu = setting.constant("smoothness"), setting.constant("pl_constant")
    alpha = float(setting.step_sizes[0])
    factor = (1 - 2 * alpha * mu) ** setting.expectation.steps
    floor = size * _second_moment(setting) * alpha / (4 * mu)
    return Comparison(
        index=setting.expectation.steps,
        observed=setting.expectation.gap,
        bound=factor * setting.expectation.gap[0] + floor * (1 - factor),
        index_name="k",
        observed_name=GAP,
    )


sgd_pl_constant: Theorem[StochasticRun] = Theorem(
    label="thm-sgd-pl-constant",
    title="SGD on PL functions with a constant step",
    kind="inequality",
    lecture="04",
    statement=r"$\mathbb E f(x_k)-f^* \le (1-2\alpha\mu)^k(f(x_0)-f^*) "
    r"+ \frac{LG^2\alpha}{4\mu}\bigl(1-(1-2\alpha\mu)^k\bigr)$",
    assumptions=(
        smooth,
        pl,
        trajectory_second_moment,
        constant_step,
        step_at_most_half_inverse_pl,
        uniform,
    ),
    compare=_constant,
    tightness=r"Equality for $\tfrac\mu2x^2$ in the stationary state.  With the stationary second "
    r"moment in place of $G^2$, the floor is $\kappa = L/\mu$ times too large on every quadratic.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            StochasticRun(
                quadratic(1.0, [3.0, -3.0]),
                x0=[0.0],
                steps=12,
                step_size=0.5,
                sampling=FirstSampleOnly(),
            ),
            "The one sample ever seen has its minimum at -3, and there the run ends.",
        ),
        Counterexample(
            "second moment along the run",
            StochasticRun(
                quadratic(1.0, [1.0, -1.0]),
                x0=[100.0],
                steps=10,
                step_size=0.3,
                claims={"trajectory_second_moment": 1.0},
            ),
            "With the noise at the minimum in place of G² the bound falls faster than the run.",
        ),
        Counterexample(
            "PL",
            StochasticRun(
                soft_absolute([0.5, -0.5]),
                x0=[200.0],
                steps=10,
                step_size=1.0,
                claims={"pl_constant": 0.5},
            ),
            "Far away √(1+x²) has slope 1 however large it is.",
        ),
        Counterexample(
            "smooth",
            StochasticRun(
                quadratic(10.0, [0.0, 0.0]),
                x0=[1.0],
                steps=8,
                step_size=0.5,
                claims={"smoothness": 1.0, "pl_constant": 1.0},
            ),
            "With L understated tenfold the run diverges faster than G² admits.",
        ),
        Counterexample(
            "step at most 1/(2μ)",
            StochasticRun(quadratic(1.0, [1.0, -1.0]), x0=[10.0], steps=10, step_size=1.5),
            "Beyond 1/(2μ) the factor 1 - 2αμ is negative, and the bound with it.",
        ),
    ),
    references=("merkulov", "karimi2016"),
)


# ---- the repairs ------------------------------------------------------------------------------

step_at_most_inverse_smoothness = step_at_most(
    "step at most 1/L",
    r"$0 < \alpha \le \tfrac1L$",
    "1/L",
    lambda s: 1 / s.constant("smoothness"),
)


def _variance(setting: StochasticRun) -> Comparison:
    size, mu = setting.constant("smoothness"), setting.constant("pl_constant")
    alpha = float(setting.step_sizes[0])
    variance = setting.claims.get("variance")
    if variance is None:
        variance = constant_variance(setting)
    if variance is None:
        variance = math.inf
    return Comparison(
        index=setting.expectation.steps,
        observed=setting.expectation.gap,
        bound=(1 - alpha * mu) ** setting.expectation.steps * setting.expectation.gap[0]
        + alpha * size * variance / (2 * mu),
        index_name="k",
        observed_name=GAP,
    )


_UNEVEN_ROWS = LeastSquares([[1.05], [0.05], [0.05], [0.05]], [0.3, 0.0, 0.1, -0.1])

sgd_pl_variance: Theorem[StochasticRun] = Theorem(
    label="thm-sgd-pl-variance",
    title="SGD on PL functions with bounded variance",
    kind="inequality",
    lecture="04",
    statement=r"$\mathbb E f(x_k)-f^* \le (1-\alpha\mu)^k(f(x_0)-f^*) "
    r"+ \frac{\alpha L\sigma^2}{2\mu}$",
    assumptions=(
        smooth,
        pl,
        bounded_variance,
        constant_step,
        step_at_most_inverse_smoothness,
        uniform,
    ),
    compare=_variance,
    tightness=r"For small steps the floor is $2\kappa$ times too large on quadratics; the rate "
    r"$1-\alpha\mu$ gives away a factor 2 in the exponent.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            StochasticRun(
                quadratic(1.0, [3.0, -3.0]),
                x0=[0.0],
                steps=12,
                step_size=0.5,
                sampling=FirstSampleOnly(),
            ),
            "The one sample ever seen has its minimum at -3, and there the run ends.",
        ),
        Counterexample(
            "bounded variance",
            StochasticRun(
                _UNEVEN_ROWS,
                x0=[30.0],
                steps=60,
                step_size=1 / _UNEVEN_ROWS.smoothness,
                claims={"variance": _UNEVEN_ROWS.gradient_noise_at_minimum},
            ),
            "One heavy row: the noise grows with the distance, and the variance at the minimum "
            "says nothing of it.",
        ),
        Counterexample(
            "PL",
            StochasticRun(
                soft_absolute([0.5, -0.5]),
                x0=[200.0],
                steps=12,
                step_size=1.0,
                claims={"pl_constant": 0.5},
            ),
            "Far away √(1+x²) has slope 1 however large it is.",
        ),
        Counterexample(
            "smooth",
            StochasticRun(
                quadratic(10.0, [0.0, 0.0]),
                x0=[1.0],
                steps=8,
                step_size=0.5,
                claims={"smoothness": 1.0, "pl_constant": 1.0},
            ),
            "With L understated tenfold the run diverges.",
        ),
        Counterexample(
            "step at most 1/L",
            StochasticRun(quadratic(1.0, [1.0, -1.0]), x0=[10.0], steps=10, step_size=2.5),
            "Beyond 2/L the run diverges.",
        ),
    ),
    references=("garrigos2023",),
)


def _expected_smoothness(setting: Points) -> Comparison:
    problem = setting.problem
    largest = setting.constant("max_smoothness")
    return Comparison(
        index=np.arange(len(setting.x)),
        observed=[problem.gradient_second_moment(x) for x in setting.x],
        bound=4 * largest * problem.gap(setting.x) + 2 * problem.gradient_noise_at_minimum,
        index_name="point",
        observed_name="mean of ‖∇f_i‖²",
        bound_name="4 L_max (f - f*) + 2 σ*²",
    )


expected_smoothness: Theorem[Points] = Theorem(
    label="lem-expected-smoothness",
    title="Expected smoothness, convex components",
    kind="inequality",
    lecture="04",
    statement=r"$\frac1n\sum_i\|\nabla f_i(x)\|^2 \le 4L_{\max}(f(x)-f^*) + 2\sigma_*^2$",
    assumptions=(components_convex, components_smooth),
    compare=_expected_smoothness,
    tightness=r"Within a factor 2: for one sample $\|\nabla f\|^2 = 2L(f-f^*)$ on a parabola.",
    counterexamples=(
        Counterexample(
            "components convex",
            Points(ScalarQuadratics([5.0, -3.0]), points=[[1.0]]),
            "Two parabolas, one upside down: gradients cancel in the sum, their squares do not.",
        ),
        Counterexample(
            "components smooth",
            Points(quadratic(4.0), points=[[1.0]], claims={"max_smoothness": 1.0}),
            "With L_max understated fourfold the parabola itself is steeper than the bound.",
        ),
    ),
    references=("gower2019",),
)


def _expected_smoothness_nonconvex(setting: Points) -> Comparison:
    problem = setting.problem
    largest = setting.constant("max_smoothness")
    return Comparison(
        index=np.arange(len(setting.x)),
        observed=[problem.gradient_second_moment(x) for x in setting.x],
        bound=2 * largest * (problem.gap(setting.x) + problem.interpolation_gap),
        index_name="point",
        observed_name="mean of ‖∇f_i‖²",
        bound_name="2 L_max (f - f* + Δ_*)",
    )


expected_smoothness_nonconvex: Theorem[Points] = Theorem(
    label="lem-expected-smoothness-nonconvex",
    title="Expected smoothness without convexity",
    kind="inequality",
    lecture="04",
    statement=r"$\frac1n\sum_i\|\nabla f_i(x)\|^2 \le 2L_{\max}(f(x)-f^*) + 2L_{\max}\Delta_*$",
    assumptions=(components_smooth, components_bounded_below),
    compare=_expected_smoothness_nonconvex,
    tightness=r"Equality when all $f_i$ are $\tfrac{L}2\|x-b_i\|^2$ with one $L$.",
    counterexamples=(
        Counterexample(
            "components smooth",
            Points(quadratic(4.0), points=[[1.0]], claims={"max_smoothness": 1.0}),
            "With L_max understated fourfold the parabola itself is steeper than the bound.",
        ),
    ),
    references=("khaled2020",),
)

step_at_most_half_inverse_max_smoothness = step_at_most(
    "step at most 1/(2 𝓛(B))",
    r"$0 < \alpha \le \tfrac1{2\mathcal L(B)}$",
    "1/(2 𝓛(B))",
    lambda s: 1 / (2 * batch_smoothness(s)),
)


def batch_smoothness(setting: StochasticRun) -> float:
    r"""Return :math:`\mathcal L(B)`, the expected smoothness constant of a minibatch.

    With c the variance factor of the batch it is :math:`(1-c)L + cL_{\max}`, which is
    :math:`L_{\max}` for single samples and :math:`L` for the full batch (Gower et al., 2019).
    Here L is the problem's own, because no assumption of the theorem examines a claim about it.
    """
    c = setting.noise_factor
    return (1 - c) * setting.problem.smoothness + c * setting.constant("max_smoothness")


def batch_noise(setting: StochasticRun) -> float:
    r"""Return :math:`\sigma_*^2(B)`, the variance of the minibatch gradient at the minimum."""
    return setting.noise_factor * setting.problem.gradient_noise_at_minimum


def _strongly_convex(setting: StochasticRun) -> Comparison:
    mu, alpha = setting.constant("strong_convexity"), float(setting.step_sizes[0])
    expectation = setting.expectation
    return Comparison(
        index=expectation.steps,
        observed=expectation.distance_squared,
        bound=(1 - alpha * mu) ** expectation.steps * expectation.distance_squared[0]
        + 2 * alpha * batch_noise(setting) / mu,
        index_name="k",
        observed_name=DISTANCE,
    )


_ONE_PARABOLA = ScalarQuadratics([1.0, 1.0], [1.0, -1.0])

sgd_strongly_convex: Theorem[StochasticRun] = Theorem(
    label="thm-sgd-strongly-convex",
    title="SGD with a constant step, noise measured at the minimum",
    kind="inequality",
    lecture="04",
    statement=r"$\mathbb E\|x_k-x^*\|^2 \le (1-\alpha\mu)^k\|x_0-x^*\|^2 "
    r"+ \frac{2\alpha\sigma_*^2(B)}\mu$",
    assumptions=(
        components_convex,
        components_smooth,
        strongly_convex,
        constant_step,
        step_at_most_half_inverse_max_smoothness,
        uniform,
    ),
    compare=_strongly_convex,
    tightness=r"For small steps on quadratics the floor is between 4 and $4\kappa$ times too "
    r"large.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            StochasticRun(
                quadratic(1.0, [3.0, -3.0]),
                x0=[0.0],
                steps=30,
                step_size=0.25,
                sampling=FirstSampleOnly(),
            ),
            "The one sample ever seen has its minimum at -3, and there the run ends.",
        ),
        Counterexample(
            "components convex",
            StochasticRun(ScalarQuadratics([5.0, -3.0]), x0=[1.0], steps=12, step_size=0.1),
            "An upside-down component stretches as often as the other one shrinks.",
        ),
        Counterexample(
            "strongly convex",
            StochasticRun(
                soft_absolute([0.5, -0.5]),
                x0=[100.0],
                steps=12,
                step_size=0.5,
                claims={"strong_convexity": 0.5},
            ),
            "Far away √(1+x²) is all but straight.",
        ),
        Counterexample(
            "step at most 1/(2 𝓛(B))",
            StochasticRun(_ONE_PARABOLA, x0=[10.0], steps=12, step_size=2.5),
            "Beyond 2/L the run diverges.",
        ),
        Counterexample(
            "components smooth",
            StochasticRun(
                ScalarQuadratics([10.0, 10.0], [1.0, -1.0]),
                x0=[10.0],
                steps=8,
                step_size=0.5,
                claims={"max_smoothness": 1.0, "smoothness": 1.0, "strong_convexity": 1.0},
            ),
            "With L_max understated tenfold the step is far too long.",
        ),
    ),
    references=("gower2019",),
)

step_at_most_pl_over_smoothness = step_at_most(
    "step at most μ/(L L_max)",
    r"$0 < \alpha \le \tfrac\mu{LL_{\max}}$",
    "μ/(L L_max)",
    lambda s: s.constant("pl_constant") / (s.constant("smoothness") * s.constant("max_smoothness")),
)


def _pl_expected_smoothness(setting: StochasticRun) -> Comparison:
    size, mu = setting.constant("smoothness"), setting.constant("pl_constant")
    largest, alpha = setting.constant("max_smoothness"), float(setting.step_sizes[0])
    expectation = setting.expectation
    floor = alpha * size * largest * setting.problem.interpolation_gap / mu
    return Comparison(
        index=expectation.steps,
        observed=expectation.gap,
        bound=(1 - alpha * mu) ** expectation.steps * expectation.gap[0] + floor,
        index_name="k",
        observed_name=GAP,
    )


sgd_pl_expected_smoothness: Theorem[StochasticRun] = Theorem(
    label="thm-sgd-pl-expected-smoothness",
    title="SGD on PL functions, noise measured by the interpolation gap",
    kind="inequality",
    lecture="04",
    statement=r"$\mathbb E f(x_k)-f^* \le (1-\alpha\mu)^k(f(x_0)-f^*) "
    r"+ \frac{\alpha LL_{\max}\Delta_*}\mu$",
    assumptions=(
        smooth,
        components_smooth,
        components_bounded_below,
        pl,
        constant_step,
        step_at_most_pl_over_smoothness,
        uniform,
    ),
    compare=_pl_expected_smoothness,
    tightness=r"Always applicable, and loose: the step is $\kappa$ times shorter than "
    r"$1/L_{\max}$.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            StochasticRun(
                quadratic(1.0, [3.0, -3.0]),
                x0=[0.0],
                steps=12,
                step_size=0.5,
                sampling=FirstSampleOnly(),
            ),
            "The one sample ever seen has its minimum at -3, and there the run ends.",
        ),
        Counterexample(
            "PL",
            StochasticRun(
                soft_absolute([0.5, -0.5]),
                x0=[100.0],
                steps=12,
                step_size=0.5,
                claims={"pl_constant": 0.5},
            ),
            "Far away √(1+x²) is all but straight.",
        ),
        Counterexample(
            "step at most μ/(L L_max)",
            StochasticRun(_ONE_PARABOLA, x0=[10.0], steps=12, step_size=2.5),
            "Beyond 2/L the run diverges.",
        ),
        Counterexample(
            "components smooth",
            StochasticRun(
                ScalarQuadratics([0.1, 3.9]),
                x0=[10.0],
                steps=12,
                step_size=1.0,
                claims={"max_smoothness": 1.0},
            ),
            "With L_max understated fourfold the step stretches along the steep component.",
        ),
    ),
    references=("khaled2020",),
)


# ---- decreasing steps, repaired ---------------------------------------------------------------


def _switch(setting: StochasticRun) -> int:
    return math.ceil(setting.constant("max_smoothness") / setting.constant("strong_convexity"))


def _decreasing_repaired(setting: StochasticRun) -> Comparison:
    mu, rounded = setting.constant("strong_convexity"), _switch(setting)
    expectation = setting.expectation
    steps = expectation.steps[4 * rounded :]
    start = 16 * rounded**2 / (math.e**2 * steps**2) * expectation.distance_squared[0]
    return Comparison(
        index=steps,
        observed=expectation.distance_squared[4 * rounded :],
        bound=8 * batch_noise(setting) / (mu**2 * steps) + start,
        index_name="k",
        observed_name=DISTANCE,
    )


def _switched_schedule(setting: StochasticRun) -> Evidence:
    mu, largest = setting.constant("strong_convexity"), setting.constant("max_smoothness")
    steps = np.arange(setting.steps)
    wanted = np.where(
        steps < 4 * _switch(setting), 1 / (2 * largest), (2 * steps + 1) / (mu * (steps + 1) ** 2)
    )
    error = float(np.abs(setting.step_sizes / wanted - 1).max())
    return Evidence(error <= EXACT, f"largest relative deviation from the schedule {error:.3g}")


def _long_enough(setting: StochasticRun) -> Evidence:
    needed = 4 * _switch(setting)
    return Evidence(setting.steps >= needed, f"{setting.steps} steps, 4⌈L_max/μ⌉ = {needed}")


sgd_decreasing_repaired: Theorem[StochasticRun] = Theorem(
    label="thm-sgd-decreasing-repaired",
    title="SGD with a constant, then decreasing step",
    kind="inequality",
    lecture="04",
    statement=r"$\mathbb E\|x_k-x^*\|^2 \le \frac{8\sigma_*^2(B)}{\mu^2k} "
    r"+ \frac{16\lceil\mathcal K\rceil^2}{e^2k^2}\|x_0-x^*\|^2$ for "
    r"$k \ge 4\lceil\mathcal K\rceil$, "
    r"$\mathcal K = L_{\max}/\mu$",
    assumptions=(
        components_convex,
        components_smooth,
        strongly_convex,
        Assumption(
            "switched schedule",
            r"$\alpha_k = \tfrac1{2L_{\max}}$ for $k < 4\lceil\mathcal K\rceil$, then "
            r"$\tfrac{2k+1}{\mu(k+1)^2}$",
            _switched_schedule,
        ),
        Assumption("long enough", r"$k \ge 4\lceil\mathcal K\rceil$", _long_enough),
        uniform,
    ),
    compare=_decreasing_repaired,
    tightness=r"The order $1/k$ is right; on least squares the bound is measured 10 to 30 times "
    r"too large.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            StochasticRun(
                quadratic(1.0, [3.0, -3.0]),
                x0=[0.0],
                steps=30,
                step_size=constant_then_inverse_time(1.0, 1.0),
                sampling=FirstSampleOnly(),
            ),
            "The one sample ever seen has its minimum at -3, and there the run ends.",
        ),
        Counterexample(
            "switched schedule",
            StochasticRun(_ONE_PARABOLA, x0=[10.0], steps=12, step_size=0.001),
            "Steps that are too short leave the start where it was.",
        ),
    ),
    references=("gower2019",),
)


# ---- what is exactly true of quadratics -------------------------------------------------------


def _floor(setting: Stationary) -> Comparison:
    moments = setting.moments
    sizes = np.asarray(setting.step_sizes)
    states = np.array([moments.stationary(float(alpha)) for alpha in sizes])
    return Comparison(
        index=sizes,
        observed=moments.gap(states),
        bound=sizes / 4 * moments.gradient_second_moment(states),
        index_name="α",
        observed_name="stationary E f(x) - f*",
        bound_name="α E‖g‖²/4",
    )


def _stable(setting: Stationary) -> Evidence:
    radii = [setting.moments.spectral_radius(float(a)) for a in np.asarray(setting.step_sizes)]
    return Evidence(max(radii) < 1, f"largest spectral radius {max(radii):.6g}, wanted below 1")


stable: Assumption[Stationary] = Assumption(
    "stable", r"the method with step $\alpha$ is mean-square stable", _stable
)


quadratic_floor: Theorem[Stationary] = Theorem(
    label="prop-quadratic-floor",
    title="The noise floor of quadratics",
    kind="identity",
    lecture="04",
    statement=r"In the stationary state $\mathbb E[f(x)-f^*] = \tfrac\alpha4\,\mathbb E\|g\|^2$",
    assumptions=(
        is_quadratic,
        stable,
    ),
    compare=_floor,
    tightness="An identity.",
)


# ---- interpolation ----------------------------------------------------------------------------


def _interpolating(setting: StochasticRun) -> Comparison:
    mu, largest = setting.constant("pl_constant"), setting.constant("max_smoothness")
    alpha, expectation = float(setting.step_sizes[0]), setting.expectation
    factor = 1 - alpha * mu * (2 - alpha * largest)
    return Comparison(
        index=expectation.steps,
        observed=expectation.distance_squared,
        bound=factor**expectation.steps * expectation.distance_squared[0],
        index_name="k",
        observed_name=DISTANCE,
    )


_SOLVABLE = LeastSquares([[1.0, 0.0], [0.0, 2.0]], [1.0, 2.0])
_UNSOLVABLE = LeastSquares([[1.0], [1.0]], [1.0, -1.0])

sgd_interpolation: Theorem[StochasticRun] = Theorem(
    label="thm-sgd-interpolation",
    title="SGD converges linearly under interpolation",
    kind="inequality",
    lecture="04",
    statement=r"$\mathbb E\operatorname{dist}(x_k, X^*)^2 \le "
    r"\bigl(1-\alpha\mu(2-\alpha L_{\max})\bigr)^k\operatorname{dist}(x_0, X^*)^2$, with "
    r"$\mu$ the smallest nonzero eigenvalue of the Hessian",
    assumptions=(
        is_quadratic,
        components_convex,
        interpolation,
        components_smooth,
        pl,
        constant_step,
        step_at_most(
            "step below 2/L_max",
            r"$0 < \alpha < \tfrac2{L_{\max}}$",
            "2/L_max",
            lambda s: 2 / s.constant("max_smoothness"),
            strict=True,
        ),
        uniform,
    ),
    compare=_interpolating,
    tightness=r"Equality when all $\|a_i\|$ are equal and the Hessian is a multiple of a "
    r"projection.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            StochasticRun(
                _SOLVABLE,
                x0=[5.0, 5.0],
                steps=40,
                step_size=0.2,
                sampling=FirstSampleOnly(),
            ),
            "The first sample says nothing of the second coordinate, which never moves.",
        ),
        Counterexample(
            "interpolation",
            StochasticRun(_UNSOLVABLE, x0=[5.0], steps=40, step_size=0.5),
            "Two samples that disagree: the iterates end in a noise ball.",
        ),
        Counterexample(
            "components convex",
            StochasticRun(ScalarQuadratics([5.0, -3.0]), x0=[1.0], steps=12, step_size=0.1),
            "An upside-down component stretches as often as the other one shrinks.",
        ),
        Counterexample(
            "step below 2/L_max",
            StochasticRun(_SOLVABLE, x0=[5.0, 5.0], steps=40, step_size=1.2),
            "The longer row overshoots.",
        ),
        Counterexample(
            "components smooth",
            StochasticRun(
                _SOLVABLE, x0=[5.0, 5.0], steps=40, step_size=1.2, claims={"max_smoothness": 1.0}
            ),
            "With L_max understated fourfold the longer row overshoots.",
        ),
    ),
    references=("strohmer2009",),
)
