"""Smooth convex functions: gradient descent, SGD, and what no method can beat (lecture 05)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.problems import (
    Landscape,
    LeastSquares,
    Ridge,
    ScalarQuadratics,
    gaussian_dip,
    huber,
    quadratic,
)
from sgdnotes.theorems.assumptions import (
    EXACT,
    FirstSampleOnly,
    attained,
    bounded_variance,
    components_convex,
    components_smooth,
    constant_step,
    constant_variance,
    convex,
    smooth,
    step_at_most,
    uniform,
)
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem
from sgdnotes.theorems.pl import (
    batch_noise,
    batch_smoothness,
    step_at_most_inverse_smoothness,
)
from sgdnotes.theorems.settings import Descent, MomentumRun, Run, StochasticRun
from sgdnotes.theorems.stochastic import independent_or_distinct

GAP = "f(x_k) - f*"
AVERAGE = "E f(x̄_T) - f*"


def start_distance_squared(setting: Run) -> float:
    """Return the squared distance from the start of a run to the set of minimisers."""
    start = _validate.starting_points(setting.x0, setting.problem.dim, 1)
    return float(setting.problem.distance_squared(start)[0])


def weights_from(values: FloatArray) -> Callable[[int], float]:
    """Return the weights ``k -> values[k]`` of an average."""
    return lambda k: float(values[k])


# ---- gradient descent -------------------------------------------------------------------------


def _descent_gaps(setting: Descent) -> tuple[FloatArray, FloatArray]:
    # From the minimum itself: the claim does not hold above a lower bound that is only claimed.
    gaps = setting.problem.gap(setting.trace.history["x"])[1:, 0]
    return np.arange(1.0, len(gaps) + 1), gaps


def _gd_convex(setting: Descent) -> Comparison:
    steps, gaps = _descent_gaps(setting)
    return Comparison(
        index=steps,
        observed=gaps,
        bound=start_distance_squared(setting) / (2 * float(setting.step_sizes[0]) * steps),
        index_name="k",
        observed_name=GAP,
    )


_STUCK = Counterexample[Descent](
    "convex",
    Descent(gaussian_dip(), steps=40, step_size=0.5, x0=[3.0]),
    "On the plateau of 1 - exp(-x²) the gradient all but vanishes, and the run never leaves it.",
)
_TOO_STEEP = Counterexample[Descent](
    "smooth",
    Descent(quadratic(10.0), steps=8, step_size=0.5, x0=[1.0], claims={"smoothness": 1.0}),
    "With L understated tenfold the run diverges.",
)
_FADING_DESCENT = Counterexample[Descent](
    "constant step",
    Descent(quadratic(1.0), steps=40, step_size=lambda k: 0.5 / (k + 1) ** 3, x0=[1.0]),
    "Steps whose sum is finite stop short of the minimum.",
)

gd_convex: Theorem[Descent] = Theorem(
    label="thm-gd-convex",
    title="Gradient descent on convex functions",
    kind="inequality",
    lecture="05",
    statement=r"$f(x_k) - f^* \le \frac{R^2}{2\alpha k}$ for $k \ge 1$, with "
    r"$R = \operatorname{dist}(x_0, X^*)$",
    assumptions=(convex, smooth, attained, constant_step, step_at_most_inverse_smoothness),
    compare=_gd_convex,
    tightness=r"The order $1/k$ is right and the constant twice too large as $k \to \infty$, see "
    r"the tight version.",
    counterexamples=(
        _STUCK,
        _TOO_STEEP,
        _FADING_DESCENT,
        Counterexample(
            "step at most 1/L",
            Descent(quadratic(1.0), steps=10, step_size=1.9, x0=[1.0]),
            "Just below 2/L every step overshoots, and f falls more slowly than the bound.",
        ),
    ),
    references=("nesterov2018",),
)


def _gd_convex_tight(setting: Descent) -> Comparison:
    steps, gaps = _descent_gaps(setting)
    alpha, size = float(setting.step_sizes[0]), setting.constant("smoothness")
    return Comparison(
        index=steps,
        observed=gaps,
        bound=start_distance_squared(setting) / (4 * alpha * steps + 2 / size),
        index_name="k",
        observed_name=GAP,
    )


gd_convex_tight: Theorem[Descent] = Theorem(
    label="thm-gd-convex-tight",
    title="The tight rate of gradient descent on convex functions",
    kind="inequality",
    lecture="05",
    statement=r"$f(x_k) - f^* \le \frac{R^2}{4\alpha k + 2/L}$, which at $\alpha = 1/L$ is "
    r"$\frac{LR^2}{4k+2}$",
    assumptions=(convex, smooth, attained, constant_step, step_at_most_inverse_smoothness),
    compare=_gd_convex_tight,
    tightness=r"Attained for every $k$ and every $\alpha \le 1/L$, on Huber's function with slope "
    r"$\frac R{2k\alpha+1}$ and $L = 1$: no smaller bound is true.",
    counterexamples=(
        _STUCK,
        _TOO_STEEP,
        _FADING_DESCENT,
        Counterexample(
            "step at most 1/L",
            Descent(quadratic(1.0), steps=10, step_size=1.9, x0=[1.0]),
            "Just below 2/L every step overshoots, and f falls more slowly than the bound.",
        ),
    ),
    references=("drori2014",),
    proved=False,
)


# ---- SGD, noise measured at the minimum -------------------------------------------------------


def convex_weights(setting: StochasticRun) -> FloatArray:
    r"""Return :math:`w_t = \alpha_t(1 - 2\alpha_t\mathcal L(B))`, shape ``(steps,)``."""
    sizes = setting.step_sizes
    return np.asarray(sizes * (1 - 2 * sizes * batch_smoothness(setting)))


def _sgd_convex(setting: StochasticRun) -> Comparison:
    weights = convex_weights(setting)
    total, squares = np.cumsum(weights), np.cumsum(setting.step_sizes**2)
    # Beyond the longest step all weights of a constant step are negative; the mean is the same.
    average = setting.averaged_gap(weights_from(np.abs(weights)))
    return Comparison(
        index=np.arange(1, setting.steps + 1),
        observed=average[1:],
        bound=start_distance_squared(setting) / (2 * total)
        + batch_noise(setting) * squares / total,
        index_name="T",
        observed_name=AVERAGE,
    )


step_below_half_inverse_batch_smoothness = step_at_most(
    "step below 1/(2 𝓛(B))",
    r"$0 < \alpha_t < \tfrac1{2\mathcal L(B)}$",
    "1/(2 𝓛(B))",
    lambda s: 1 / (2 * batch_smoothness(s)),
    strict=True,
)

sgd_convex: Theorem[StochasticRun] = Theorem(
    label="thm-sgd-convex",
    title="SGD on convex functions, noise measured at the minimum",
    kind="inequality",
    lecture="05",
    statement=r"$\mathbb E f(\bar x_T) - f^* \le \frac{R^2}{2\sum_{t<T}w_t} "
    r"+ \frac{\sigma_*^2(B)\sum_{t<T}\alpha_t^2}{\sum_{t<T}w_t}$ for the average $\bar x_T$ of "
    r"$x_0, \dots, x_{T-1}$ with the weights $w_t = \alpha_t(1-2\alpha_t\mathcal L(B))$",
    assumptions=(
        components_convex,
        components_smooth,
        attained,
        step_below_half_inverse_batch_smoothness,
        uniform,
        independent_or_distinct,
    ),
    compare=_sgd_convex,
    tightness=r"Approached without noise on Huber's function with $L = 1$ and slope "
    r"$\frac R{\alpha(T-1)+1}$, by many small steps: the ratio is "
    r"$\frac{\alpha(1-2\alpha)T}{\alpha(T-1)+1}$.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            StochasticRun(
                quadratic(1.0, [3.0, -3.0]),
                x0=[0.0],
                steps=60,
                step_size=0.1,
                sampling=FirstSampleOnly(),
            ),
            "The one sample ever seen has its minimum at -3, and there the run ends.",
        ),
        Counterexample(
            "components convex",
            StochasticRun(gaussian_dip(), x0=[3.0], steps=200, step_size=0.125),
            "On the plateau of 1 - exp(-x²) the run never gets under way.",
        ),
        Counterexample(
            "components smooth",
            StochasticRun(
                quadratic(10.0, [1.0, -1.0]),
                x0=[1.0],
                steps=8,
                step_size=0.4,
                claims={"max_smoothness": 1.0},
            ),
            "With L_max understated tenfold the step is beyond 2/L.",
        ),
        Counterexample(
            "step below 1/(2 𝓛(B))",
            StochasticRun(quadratic(1.0, [1.0, -1.0]), x0=[1.0], steps=8, step_size=2.5),
            "Beyond 2/L the run diverges, and the weights are negative, and with them the bound.",
        ),
    ),
    references=("garrigos2023", "gower2019"),
)


# ---- SGD, bounded variance --------------------------------------------------------------------


def claimed_variance(setting: StochasticRun) -> float:
    """Return the claimed bound on the variance of the minibatch gradient, or the true one."""
    variance = setting.claims.get("variance", constant_variance(setting))
    return np.inf if variance is None else variance


def _sgd_convex_variance(setting: StochasticRun) -> Comparison:
    alpha, size = float(setting.step_sizes[0]), setting.constant("smoothness")
    # The mean of x_1, ..., x_T stands at index T + 1; that of x_1 alone needs only one step.
    average = setting.averaged_gap(lambda k: float(k > 0))[3:]
    observed = np.append(setting.expectation.gap[1], average)
    steps = np.arange(1, len(observed) + 1)
    return Comparison(
        index=steps,
        observed=observed,
        bound=start_distance_squared(setting) / (2 * alpha * steps)
        + alpha * claimed_variance(setting) * (1 + alpha * size) / 2,
        index_name="T",
        observed_name=AVERAGE,
    )


UNEVEN_ROWS = LeastSquares([[1.05], [0.05], [0.05], [0.05]], [0.3, 0.0, 0.1, -0.1])

sgd_convex_variance: Theorem[StochasticRun] = Theorem(
    label="thm-sgd-convex-variance",
    title="SGD on convex functions with bounded variance",
    kind="inequality",
    lecture="05",
    statement=r"$\mathbb E f(\bar x_T) - f^* \le \frac{R^2}{2\alpha T} "
    r"+ \frac{\alpha\sigma^2(1+\alpha L)}2$ for the mean $\bar x_T$ of $x_1, \dots, x_T$",
    assumptions=(
        convex,
        smooth,
        attained,
        bounded_variance,
        constant_step,
        step_at_most_inverse_smoothness,
        uniform,
        independent_or_distinct,
    ),
    compare=_sgd_convex_variance,
    tightness=r"Approached without noise on Huber's function with $L = 1$, $\alpha = 1$ and slope "
    r"$\frac R{T+2}$: the ratio is $\frac T{T+2}$.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            StochasticRun(
                quadratic(1.0, [3.0, -3.0]),
                x0=[0.0],
                steps=60,
                step_size=0.1,
                sampling=FirstSampleOnly(),
            ),
            "The one sample ever seen has its minimum at -3, and there the run ends.",
        ),
        Counterexample(
            "convex",
            StochasticRun(gaussian_dip(), x0=[3.0], steps=60, step_size=0.5),
            "On the plateau of 1 - exp(-x²) the run never gets under way.",
        ),
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
            "Steps whose sum is finite stop short of the minimum.",
        ),
        Counterexample(
            "step at most 1/L",
            StochasticRun(quadratic(1.0, [1.0, -1.0]), x0=[1.0], steps=10, step_size=2.5),
            "Beyond 2/L the run diverges.",
        ),
    ),
    references=("garrigos2023",),
)


# ---- what no linear method can beat -----------------------------------------------------------

LinearRun = StochasticRun | MomentumRun


def _parabola(setting: LinearRun) -> Evidence:
    problem = setting.problem
    flattest, steepest = problem.strong_convexity, problem.smoothness
    holds = (
        isinstance(problem, (Ridge, ScalarQuadratics, Landscape))
        and problem.dim == 1
        and flattest >= steepest * (1 - EXACT)
        and steepest > 0
    )
    return Evidence(holds, f"p = {problem.dim}, curvatures from {flattest:.6g} to {steepest:.6g}")


parabola: Assumption[LinearRun] = Assumption(
    "parabola", r"$f(x) = f^* + \tfrac h2(x-x^*)^2$ with one variable $x$", _parabola
)


def least_variance(setting: LinearRun) -> float:
    """Return the least variance that the minibatch gradient has anywhere, for a parabola.

    The gradients of the components are straight lines, so that their spread around their mean is
    a parabola in x; its lowest value is what remains of the noise at the minimum once the part
    proportional to the spread of the slopes is taken away.
    """
    problem = setting.problem
    there = problem.minimizer
    noise, moved = (problem.component_gradients(x)[:, 0] for x in (there, there + 1))
    noise = noise - noise.mean()
    spread = moved - noise
    spread = spread - spread.mean()
    if np.abs(spread).max() > EXACT * problem.max_smoothness:
        noise = noise - (noise @ spread) / (spread @ spread) * spread
    return float(setting.noise_factor * (noise**2).mean())


def _noise_everywhere(setting: LinearRun) -> Evidence:
    least = least_variance(setting)
    claimed = setting.claims.get("variance", least)
    return Evidence(
        claimed <= least * (1 + EXACT), f"s² = {claimed:.6g}, the least variance is {least:.6g}"
    )


noise_everywhere: Assumption[LinearRun] = Assumption(
    "noise everywhere", r"$\mathbb E(g(x) - f'(x))^2 \ge s^2$ for all $x$", _noise_everywhere
)


def _lower_bound(setting: LinearRun) -> Comparison:
    h = setting.problem.smoothness
    variance = setting.claims.get("variance")
    variance = least_variance(setting) if variance is None else variance
    distance = start_distance_squared(setting)
    size = float(np.abs(setting.problem.minimizer).max())
    steps = setting.expectation.steps[1:]
    least = np.zeros(len(steps))
    if variance > 0 and distance > 0:
        least += h / 2 / (1 / distance + steps * h**2 / variance)
    return Comparison(
        index=steps,
        observed=least,
        bound=setting.expectation.gap[1:],
        index_name="k",
        observed_name="(h/2) / (1/R² + k h²/s²)",
        bound_name="E f(x_k) - f*",
        # A gap near zero is known to the digits of the largest so far, and x - x* to those of x*.
        magnitude=np.maximum.accumulate(setting.expectation.gap)[1:] + h * np.sqrt(distance) * size,
    )


lower_bound: Theorem[LinearRun] = Theorem(
    label="thm-lower-bound",
    title="No method averages the noise away faster",
    kind="inequality",
    lecture="05",
    statement=r"$\mathbb E f(x_k) - f^* \ge \frac h2\Bigl(\frac1{R^2}+\frac{kh^2}{s^2}\Bigr)^{-1}$ "
    r"for $k \ge 1$, for every method $x_k = x_0 - \sum_{j<k}\gamma_{kj}g_j$ with numbers "
    r"$\gamma_{kj}$ fixed in advance",
    assumptions=(parabola, noise_everywhere, uniform),
    compare=_lower_bound,
    tightness=r"Equality for every $k$ at once when the noise has variance $s^2$ everywhere and "
    r"$\alpha_k = \frac1{h(k+1)+s^2/(hR^2)}$.",
    counterexamples=(
        Counterexample(
            "noise everywhere",
            StochasticRun(
                LeastSquares([[1.0], [0.5]], [1.0, 0.5]),
                x0=[3.0],
                steps=20,
                step_size=0.8,
                claims={"variance": 0.1},
            ),
            "One point solves both equations: the noise fades on the way there, and the error "
            "falls geometrically.",
        ),
        Counterexample(
            "parabola",
            StochasticRun(huber(0.01, [1.0, -1.0]), x0=[1.0], steps=1, step_size=0.01),
            "Where f is flatter than h, being far from the minimum costs less.",
        ),
        Counterexample(
            "uniform indices",
            StochasticRun(
                quadratic(1.0, [3.0, -3.0]),
                x0=[3.0],
                steps=1,
                step_size=0.5,
                sampling=FirstSampleOnly(),
            ),
            "A gradient that errs always the same way may hit the minimum by luck.",
        ),
    ),
)
