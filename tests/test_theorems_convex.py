"""The rate table: convex, non-smooth and non-convex bounds, attained where the texts say so."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from sgdnotes.methods import sgd
from sgdnotes.problems import (
    FiniteSum,
    LeastAbsoluteDeviations,
    LeastSquares,
    LogisticRegression,
    ScalarQuadratics,
    absolute,
    exponential,
    huber,
    quadratic,
    sine_valley,
    soft_absolute,
)
from sgdnotes.schedules import inverse_root
from sgdnotes.theorems import (
    ALL,
    AssumptionError,
    Claims,
    Descent,
    MomentumRun,
    ProjectedRun,
    StochasticRun,
)
from sgdnotes.theorems.assumptions import attained
from sgdnotes.theorems.convex import convex_weights, least_variance
from sgdnotes.theorems.nonsmooth import distance_within_ball_squared
from sgdnotes.theorems.pl import batch_noise, batch_smoothness
from sgdnotes.updates import HeavyBall, Nesterov


def check(label: str, setting: Any) -> Any:
    """The verdict, which must be that the claim holds."""
    verdict = ALL[label].check(setting)
    assert verdict.holds, str(verdict)
    return verdict


def by_hand(
    problem: FiniteSum,
    x0: Sequence[float],
    steps: Sequence[float],
    weights: Sequence[float],
    radius: float = math.inf,
) -> float:
    """E f(average) - f* of single-sample SGD, one loop for every sequence of indices."""
    gaps = []
    for indices in itertools.product(range(problem.n_samples), repeat=len(steps)):
        x, total = np.array(x0, dtype=float), np.zeros(problem.dim)
        for i, step, weight in zip(indices, steps, weights, strict=True):
            total += weight * x
            x = x - step * problem.component_gradients(x)[i]
            if np.linalg.norm(x) > radius:
                x = radius * x / np.linalg.norm(x)
        gaps.append(float(problem.value(total / sum(weights))) - problem.minimum)
    return float(np.mean(gaps))


def flat_least_squares() -> LeastSquares:
    """Least squares of rank 3 in 6 variables: convex, and no more."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 6))
    return LeastSquares(a, a @ rng.standard_normal(6) + rng.standard_normal(40))


# ---- gradient descent -------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 7, 40])
@pytest.mark.parametrize(("alpha", "start"), [(1.0, 1.0), (0.6, 3.0), (0.05, -0.2)])
def test_the_tight_rate_on_convex_functions_is_attained(
    steps: int, alpha: float, start: float
) -> None:
    slope = abs(start) / (2 * steps * alpha + 1)
    verdict = check(
        "thm-gd-convex-tight", Descent(huber(slope), steps=steps, step_size=alpha, x0=[start])
    )
    assert verdict.observed[-1] / verdict.bound[-1] == pytest.approx(1, rel=1e-12)
    assert verdict.bound[-1] == pytest.approx(start**2 / (4 * alpha * steps + 2))


@pytest.mark.parametrize(("steps", "worst"), [(1, 0.166667), (5, 0.045454)])
def test_the_tight_rate_equals_worst_cases_found_by_semidefinite_programming(
    steps: int, worst: float
) -> None:
    # The worst cases over all convex functions with L = R = 1 in any dimension, from PEPit.
    verdict = check("thm-gd-convex-tight", Descent(huber(0.1), steps=steps, step_size=1, x0=[1.0]))
    assert verdict.bound[-1] == pytest.approx(worst, abs=1e-6)


def test_the_plain_rate_is_twice_the_tight_one() -> None:
    setting = Descent(flat_least_squares(), steps=30, step_size=0.01, x0=np.ones(6))
    plain, tight = (check(label, setting) for label in ("thm-gd-convex", "thm-gd-convex-tight"))
    problem = flat_least_squares()
    distance = problem.row_space @ (np.ones(6) - problem.minimizer)
    k = np.arange(1, 31)
    np.testing.assert_allclose(plain.bound, distance @ distance / (0.02 * k), rtol=1e-12)
    np.testing.assert_allclose(
        plain.bound / tight.bound, 2 + 1 / (0.01 * problem.smoothness * k), rtol=1e-12
    )


def test_a_minimum_that_is_not_attained_is_refused() -> None:
    assert attained.examine(Claims(quadratic(1.0))).holds
    for problem in (exponential(), LogisticRegression([[1.0], [2.0]], [1.0, 1.0], 0.0)):
        evidence = attained.examine(Claims(problem))
        assert not evidence.holds
        assert "there is no minimiser" in evidence.numbers
    separable = LogisticRegression([[1.0], [2.0]], [1.0, 1.0], 0.0)
    with pytest.raises(AssumptionError, match="“minimum attained” does not hold"):
        ALL["thm-gd-convex"].check(Descent(separable, steps=3, step_size=0.1))


# ---- SGD on convex functions ------------------------------------------------------------------


@pytest.mark.parametrize("step_size", [0.05, inverse_root(0.05)])
def test_the_average_and_its_bound_by_hand(step_size: Any) -> None:
    problem = LeastSquares([[1.0, 0.5], [2.0, 1.0], [-1.0, -0.5]], [1.0, 0.0, 2.0])  # rank 1
    setting = StochasticRun(problem, steps=5, step_size=step_size, x0=[2.0, -1.0])
    verdict = check("thm-sgd-convex", setting)
    alpha = setting.step_sizes
    largest, noise = problem.max_smoothness, problem.gradient_noise_at_minimum
    weights = alpha * (1 - 2 * alpha * largest)
    assert verdict.observed[-1] == pytest.approx(
        by_hand(problem, [2.0, -1.0], alpha, weights), rel=1e-10
    )
    distance = problem.row_space @ (np.array([2.0, -1.0]) - problem.minimizer)
    wanted = (distance @ distance / 2 + noise * (alpha**2).sum()) / weights.sum()
    assert verdict.bound[-1] == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("batch_size", "sampling"), [(4, "with_replacement"), (7, "without_replacement")]
)
def test_minibatches_average_with_their_own_constants(batch_size: int, sampling: str) -> None:
    problem = flat_least_squares()
    setting = StochasticRun(
        problem, steps=50, step_size=0.02, x0=np.ones(6), batch_size=batch_size, sampling=sampling
    )
    weight = 0.02 * (1 - 0.04 * batch_smoothness(setting))
    np.testing.assert_allclose(convex_weights(setting), weight)
    verdict = check("thm-sgd-convex", setting)
    distance = float(problem.distance_squared(np.ones(6)))
    T = np.arange(1, 51)
    np.testing.assert_allclose(
        verdict.bound,
        distance / (2 * weight * T) + 0.02**2 * batch_noise(setting) / weight,
        rtol=1e-12,
    )


@pytest.mark.parametrize("scaled_step", [0.05, 0.1])
def test_the_convex_bound_is_at_best_a_few_times_the_error(scaled_step: float) -> None:
    problem = flat_least_squares()
    setting = StochasticRun(problem, steps=2000, step_size=scaled_step / problem.max_smoothness)
    verdict = check("thm-sgd-convex", setting)
    ratio = verdict.bound / verdict.observed
    assert 2.1 < ratio.min() < 4.1
    # The average goes on improving on least squares, the second term of the bound does not.
    assert ratio[-1] > 1.5 * ratio.min()
    setting = StochasticRun(
        problem, steps=2000, step_size=inverse_root(0.25 / problem.max_smoothness)
    )
    verdict = check("thm-sgd-convex", setting)
    assert 2.1 < verdict.bound[-1] / verdict.observed[-1] < 4.1


def test_both_averages_approach_their_bounds_on_huber_s_function() -> None:
    steps, alpha = 1000, 0.02
    start = 3.0
    slow = huber(start / (alpha * (steps - 1) + 1))
    verdict = check("thm-sgd-convex", StochasticRun(slow, steps=steps, step_size=alpha, x0=[start]))
    ratio = alpha * (1 - 2 * alpha) * steps / (alpha * (steps - 1) + 1)
    assert verdict.observed[-1] / verdict.bound[-1] == pytest.approx(ratio)
    assert ratio > 0.9

    count = steps - 1  # of the iterates x_1, ..., x_T
    slow = huber(start / (count + 2))
    verdict = check(
        "thm-sgd-convex-variance", StochasticRun(slow, steps=steps, step_size=1.0, x0=[start])
    )
    assert verdict.index[-1] == count
    assert verdict.observed[-1] / verdict.bound[-1] == pytest.approx(count / (count + 2))


def test_the_average_without_its_start_by_hand() -> None:
    problem = soft_absolute([0.5, -0.5])
    setting = StochasticRun(problem, steps=6, step_size=0.7, x0=[1.5])
    verdict = check("thm-sgd-convex-variance", setting)
    np.testing.assert_array_equal(verdict.index, [1, 2, 3, 4, 5])
    for count in (1, 2, 5):
        weights = [0.0] + [1.0] * count
        assert verdict.observed[count - 1] == pytest.approx(
            by_hand(problem, [1.5], [0.7] * (count + 1), weights), rel=1e-12
        )
        wanted = 1.5**2 / (1.4 * count) + 0.7 * 0.25 * 1.7 / 2
        assert verdict.bound[count - 1] == pytest.approx(wanted, rel=1e-12)
    one = check("thm-sgd-convex-variance", dataclasses.replace(setting, steps=1))
    assert one.observed[0] == pytest.approx(verdict.observed[0])


# ---- subgradients -----------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 9, 100])
def test_the_subgradient_bound_is_attained(steps: int) -> None:
    start = 3.0
    setting = ProjectedRun(absolute(), steps=steps, step_size=start / steps, x0=[start])
    verdict = check("thm-subgradient", setting)
    assert verdict.observed[-1] == pytest.approx((start + start / steps) / 2)
    assert verdict.bound[-1] == pytest.approx(verdict.observed[-1], rel=1e-12)


def test_the_best_iterate_approaches_its_bound() -> None:
    setting = ProjectedRun(absolute(), steps=300, step_size=0.4, x0=[0.2])
    verdict = check("thm-subgradient-best", setting)
    np.testing.assert_allclose(verdict.observed, 0.2, rtol=1e-9)
    assert verdict.bound[-1] == pytest.approx(0.2 + 0.04 / (2 * 300 * 0.4))


@pytest.mark.parametrize("radius", [math.inf, 2.5])
def test_projected_averages_by_hand(radius: float) -> None:
    problem = LeastAbsoluteDeviations([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]], [1.0, 0.5, -2.0])
    x0, steps = [-2.0, 1.0], 5
    setting = ProjectedRun(problem, steps=steps, step_size=inverse_root(1.0), x0=x0, radius=radius)
    sizes = setting.step_sizes
    average, best = (check(label, setting) for label in ("thm-subgradient", "thm-subgradient-best"))
    assert average.observed[-1] == pytest.approx(
        by_hand(problem, x0, sizes, sizes, radius), rel=1e-10
    )
    distance = float(((np.array(x0) - problem.minimizer) ** 2).sum())
    squares = problem.max_second_moment() * (sizes**2).sum()
    assert average.bound[-1] == pytest.approx((distance + squares) / (2 * sizes.sum()))
    assert best.bound[-1] == average.bound[-1]
    # The first T iterates are x_0, ..., x_(T-1).
    gaps = [by_hand(problem, x0, sizes, np.eye(steps)[t], radius) for t in range(steps)]
    np.testing.assert_allclose(best.observed, np.minimum.accumulate(gaps), rtol=1e-10)


@pytest.mark.parametrize("steps", [100, 1000])
def test_the_horizon_step_on_least_absolute_deviations(steps: int) -> None:
    rng = np.random.default_rng(1)
    a = rng.standard_normal((60, 4))
    problem = LeastAbsoluteDeviations(a, a @ np.ones(4) + rng.standard_normal(60))
    distance = float(np.linalg.norm(problem.minimizer))
    slope = math.sqrt(problem.max_second_moment())
    bound = distance * slope / math.sqrt(steps)
    trace = sgd(
        problem,
        steps=steps,
        step_size=distance / (slope * math.sqrt(steps)),
        replicates=200,
        rng=0,
        record=[steps],
        average=True,
    )
    assert trace.x_average is not None
    error = float(problem.gap(trace.x_average).mean())
    assert 0.1 * bound < error < 0.5 * bound


def test_the_distance_is_measured_to_a_minimiser_in_the_ball() -> None:
    # Every point with x_2 = 0.9 is a minimiser; the one nearest to (1, 0) is outside the ball.
    problem = LeastAbsoluteDeviations([[0.0, 1.0]], [0.9])
    free = ProjectedRun(problem, steps=1, step_size=0.1, x0=[1.0, 0.0])
    assert distance_within_ball_squared(free) == pytest.approx(0.81)
    confined = dataclasses.replace(free, radius=1.0)
    assert distance_within_ball_squared(confined) == pytest.approx(1 + 0.81)
    check("thm-subgradient", confined)


def test_the_strongly_convex_schedule_by_hand() -> None:
    problem, mu = absolute(0.5, [1.0, -1.0]), 0.5
    setting = ProjectedRun(
        problem, steps=8, step_size=lambda t: 2 / (mu * (t + 2)), x0=[2.0], radius=2.0
    )
    verdict = check("thm-subgradient-strongly-convex", setting)
    t = np.arange(8)
    wanted = by_hand(problem, [2.0], 2 / (mu * (t + 2)), t + 1.0, 2.0)
    assert verdict.observed[-1] == pytest.approx(wanted, rel=1e-10)
    second_moment = (1 + mu * 2) ** 2 + 1
    assert verdict.bound[-1] == pytest.approx(2 * second_moment / (mu * 9))
    # What the proof gives besides.
    distances = setting.expectation.distance_squared[1:]
    assert (distances <= 4 * second_moment / (mu**2 * (t + 2))).all()


def test_one_step_of_the_strongly_convex_bound_is_half_attained_on_a_parabola() -> None:
    setting = ProjectedRun(
        quadratic(2.0), steps=1, step_size=lambda t: 1 / (t + 2), x0=[3.0], radius=3.0
    )
    verdict = check("thm-subgradient-strongly-convex", setting)
    assert verdict.observed[0] / verdict.bound[0] == pytest.approx(0.5)


def test_a_strongly_convex_function_needs_a_ball() -> None:
    setting = ProjectedRun(absolute(1.0), steps=3, step_size=lambda t: 2 / (t + 2), x0=[1.0])
    with pytest.raises(AssumptionError, match=r"“second moment on the ball” .* G² = inf"):
        ALL["thm-subgradient-strongly-convex"].check(setting)


# ---- non-convex functions ---------------------------------------------------------------------


def test_the_mean_squared_gradient_approaches_its_bound_on_a_noisy_parabola() -> None:
    problem = LeastSquares([[2.0], [-2.0]], [1.0, 1.0])  # h = 4, σ² = 4
    setting = StochasticRun(problem, steps=2000, step_size=0.25, x0=[5.0])
    verdict = check("thm-sgd-nonconvex", setting)
    assert verdict.bound[-1] == pytest.approx(2 * 50 / (0.25 * 2000) + 4)
    assert verdict.observed[-1] / verdict.bound[-1] > 0.999
    quiet = check(
        "thm-sgd-nonconvex", StochasticRun(quadratic(4.0), steps=1, step_size=0.25, x0=[5])
    )
    assert quiet.worst == pytest.approx(1)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 1.5])
def test_expected_smoothness_is_sharp_at_the_stationary_variance(alpha: float) -> None:
    problem = LeastSquares([[1.0], [-1.0]], [1.0, 1.0])  # (x - 1)²/2 and (x + 1)²/2
    start = math.sqrt(alpha / (2 - alpha))
    setting = StochasticRun(problem, steps=5000, step_size=alpha, x0=[start])
    verdict = check("thm-sgd-nonconvex-expected-smoothness", setting)
    np.testing.assert_allclose(setting.expectation.gradient_norm_squared, start**2, rtol=1e-9)
    assert verdict.observed[-1] / verdict.bound[-1] == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("alpha", [0.02, 0.1, 0.3])
def test_only_the_customary_form_of_the_bound_explodes(alpha: float) -> None:
    problem, steps = sine_valley([1.0, -1.0]), 14
    setting = StochasticRun(problem, steps=steps, step_size=alpha, x0=[3.0])
    verdict = check("thm-sgd-nonconvex-expected-smoothness", setting)
    count, scale = np.arange(1, steps + 1), 64.0
    q = 1 + scale * alpha**2
    gap, excess = float(problem.gap(np.array([3.0]))), problem.interpolation_gap
    # The weights q^-(t+1) of the proof, summed term by term.
    sums = np.array([sum(q ** -(t + 1.0) for t in range(T)) for T in count])
    np.testing.assert_allclose(verdict.bound, gap / (alpha * sums) + scale * alpha * excess)
    customary = q**count * gap / (alpha * count) + scale * alpha * excess
    assert (verdict.bound <= customary * (1 + 1e-12)).all()
    assert (verdict.bound >= scale * alpha * (gap + excess)).all()
    if alpha == 0.3:
        assert customary[-1] > 1e6 * verdict.bound[-1]
        assert verdict.bound[-1] < 1.01 * scale * alpha * (gap + excess)


# ---- the lower bound --------------------------------------------------------------------------


def best_schedule(h: float, variance: float, distance_squared: float) -> Callable[[int], float]:
    return lambda k: 1 / (h * (k + 1) + variance / (h * distance_squared))


@pytest.mark.parametrize(("h", "noise", "start"), [(1.0, 1.0, 3.0), (4.0, 0.1, -0.5), (0.2, 5, 9)])
def test_the_lower_bound_is_attained_at_every_step(h: float, noise: float, start: float) -> None:
    root = math.sqrt(h)
    problem = LeastSquares([[root], [-root]], [noise / root, noise / root])
    setting = StochasticRun(
        problem, steps=500, step_size=best_schedule(h, noise**2, start**2), x0=[start]
    )
    assert least_variance(setting) == pytest.approx(noise**2)
    verdict = check("thm-lower-bound", setting)
    np.testing.assert_allclose(verdict.observed, verdict.bound, rtol=1e-9)
    k = np.arange(1, 501)
    np.testing.assert_allclose(verdict.observed, h / 2 / (1 / start**2 + k * h**2 / noise**2))


PARALLEL = LeastSquares([[1.0], [-1.0]], [1.0, 1.0])
METHODS: dict[str, StochasticRun | MomentumRun] = {
    "constant": StochasticRun(PARALLEL, steps=100, step_size=0.1, x0=[3.0]),
    "too long": StochasticRun(PARALLEL, steps=100, step_size=1.9, x0=[3.0]),
    "square root": StochasticRun(PARALLEL, steps=100, step_size=inverse_root(0.8), x0=[3.0]),
    "heavy ball": MomentumRun(PARALLEL, steps=100, step_size=0.2, x0=[3.0], update=HeavyBall(0.8)),
    "nesterov": MomentumRun(PARALLEL, steps=100, step_size=0.5, x0=[3.0], update=Nesterov(0.5)),
    "heavy ball, decreasing": MomentumRun(
        PARALLEL, steps=100, step_size=lambda k: 1 / (k + 2), x0=[3.0], update=HeavyBall(0.3)
    ),
}


@pytest.mark.parametrize("name", METHODS)
def test_no_linear_method_and_no_average_beats_the_lower_bound(name: str) -> None:
    setting = METHODS[name]
    verdict = check("thm-lower-bound", setting)
    assert verdict.worst < 1
    for weights in (lambda k: 1.0, lambda k: k + 1.0, lambda k: float(k >= 50)):
        averaged = setting.averaged_gap(weights)[1:]
        assert (averaged >= verdict.observed * (1 - 1e-12)).all()


@pytest.mark.parametrize("name", METHODS)
def test_the_identity_behind_the_lower_bound(name: str) -> None:
    """x_k - x* is c (x_0 - x*) - sum w_j ξ_j with 1 - c = h sum w_j; c and w by impulses."""
    setting, h = METHODS[name], 1.0

    def end(start: float, noise: np.ndarray) -> float:
        x, state = np.array([[start]]), setting._update.init(PARALLEL, np.array([[start]]))
        for step, xi in zip(setting.step_sizes, noise, strict=True):
            x, state = setting._update.apply(PARALLEL, x, h * x + xi, step, state)
        return float(x[0, 0])

    silence = np.zeros(setting.steps)
    c = end(1.0, silence)
    w = np.array([-end(0.0, impulse) for impulse in np.eye(setting.steps)])
    assert 1 - c == pytest.approx(h * w.sum(), rel=1e-9)
    exact = h / 2 * (9 * c**2 + (w**2).sum())
    assert setting.expectation.gap[-1] == pytest.approx(exact, rel=1e-9)


def test_no_four_steps_do_better_than_the_best() -> None:
    start, h, variance = 1.3, 1.0, 1.0

    def error(sizes: np.ndarray) -> float:
        bias, noise = start, 0.0
        for size in sizes:
            bias, noise = (1 - size * h) * bias, (1 - size * h) ** 2 * noise + size**2 * variance
        return h / 2 * (bias**2 + noise)

    found = minimize(error, np.full(4, 0.5), method="BFGS", options={"gtol": 1e-12})
    schedule = best_schedule(h, variance, start**2)
    np.testing.assert_allclose(found.x, [schedule(k) for k in range(4)], atol=1e-5)
    assert found.fun == pytest.approx(h / 2 / (1 / start**2 + 4), rel=1e-9)


def test_the_bayes_risk_of_an_adaptive_method_is_the_lower_bound() -> None:
    rng = np.random.default_rng(0)
    h, noise, width, steps, runs = 2.0, 1.5, 0.7, 6, 200_000
    target = width * rng.standard_normal(runs)
    x, total = np.zeros(runs), np.zeros(runs)
    for k in range(steps):
        gradient = h * (x - target) + noise * rng.standard_normal(runs)
        total += x - gradient / h  # what one gradient says of the minimum, wherever it was asked
        precision = 1 / width**2 + (k + 1) * h**2 / noise**2
        x = total * h**2 / noise**2 / precision
    risk = h / 2 * ((x - target) ** 2).mean()
    assert risk == pytest.approx(h / 2 / precision, rel=0.02)


def test_the_hardest_parabola_gives_the_convex_lower_bound() -> None:
    noise, distance, k = 2.0, 3.0, 400
    h = np.geomspace(1e-4, 10, 200_001)
    values = h / 2 / (1 / distance**2 + k * h**2 / noise**2)
    assert values.max() == pytest.approx(noise * distance / (4 * math.sqrt(k)), rel=1e-6)
    assert h[values.argmax()] == pytest.approx(noise / (distance * math.sqrt(k)), rel=1e-3)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_the_least_variance_anywhere(batch_size: int, sampling: str) -> None:
    rng = np.random.default_rng(batch_size)
    for problem in (
        LeastSquares(rng.standard_normal((3, 1)), rng.standard_normal(3)),
        ScalarQuadratics([1.0, -0.5, 2.0], rng.standard_normal(3)),
        quadratic(2.0, [1.0, 0.5, -1.5]),
    ):
        setting = StochasticRun(
            problem, steps=1, step_size=0.1, batch_size=batch_size, sampling=sampling
        )
        grid = np.linspace(-200, 200, 800_001)
        ends = [problem.component_gradients(np.array([x]))[:, 0] for x in (-200.0, 200.0)]
        share = (grid + 200) / 400
        gradients = ends[0][:, None] * (1 - share) + ends[1][:, None] * share
        least = setting.noise_factor * gradients.var(axis=0).min()
        assert least_variance(setting) == pytest.approx(least, rel=1e-3, abs=1e-7)


def test_the_best_constant_step_pays_one_over_the_square_root() -> None:
    """The exponent of the convex entry of the table, over parabolas with unit noise."""
    h = np.geomspace(1e-5, 1, 400)

    def worst(alpha: float, count: int) -> float:
        # The mean of x_0, ..., x_(T-1): noise j moves it by α (1 + q + ... ) / T.
        q = 1 - alpha * h
        geometric = (1 - q**count) / (alpha * h)
        moved = [(1 - q**left) / h / count for left in range(count)]
        return float((h / 2 * ((geometric / count) ** 2 + np.square(moved).sum(axis=0))).max())

    horizons = np.array([30, 120, 480])
    best = [min(worst(alpha, T) for alpha in np.geomspace(0.005, 1, 40)) for T in horizons]
    slope = np.polyfit(np.log(horizons), np.log(best), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.06)
    # No better than the lower bound, no worse than the theorem with bounded variance.
    assert (best >= 1 / (4 * np.sqrt(horizons))).all()
