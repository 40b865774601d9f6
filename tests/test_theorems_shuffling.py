"""Orders: what the theorems of lecture 08 say, by independent means."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sgdnotes import sgd
from sgdnotes.epochs import EpochMoments
from sgdnotes.moments import SecondMoments
from sgdnotes.problems import LeastSquares, LogisticRegression, Ridge, ScalarQuadratics
from sgdnotes.theorems import ALL, AssumptionError, EpochRun, StationaryEpochs, TwoSteps
from sgdnotes.theorems.shuffling import (
    component_strong_convexity,
    reshuffling_floor,
    second_step_bias,
    sharp_reshuffling_floor,
    shuffling_radius,
    shuffling_radius_estimates,
    sorted_signs,
    sorted_signs_limit,
)

RNG = np.random.default_rng(4)
BOWL = Ridge(RNG.standard_normal((4, 2)), RNG.standard_normal(4), 0.3)
STEEP_AND_FLAT = LeastSquares([[0.7], [1.0], [-1.6]], [1.0, 0.3, 2.0])

# Four samples that share the minimiser (1, 1), in an order that is good and in one that diverges.
# Found by random search over rows and steps, then rounded to one decimal.
ROWS = np.array([[1.0, -1.2], [-0.1, -1.2], [1.1, -0.2], [1.4, 0.8]])
LONG_STEP, BAD_ORDER = 0.9, [0, 1, 3, 2]


# ---- the second sample of an order ------------------------------------------------------------


def test_the_bias_of_the_second_step_by_hand() -> None:
    # f_1 = x²/2, f_2 = 4(x - 1)²/2 from x = 1 with the step 0.1: after f_1 at 0.9, after f_2 at 1.
    problem = ScalarQuadratics([1.0, 4.0], [0.0, 1.0])
    setting = TwoSteps(problem, points=[[1.0]], step_size=0.1)
    bias = second_step_bias(setting)[0, :, 0]
    # At 0.9: f_2' = -0.4, f' = (0.9 - 0.4)/2 = 0.25.  At 1: f_1' = 1, f' = 0.5.
    np.testing.assert_allclose(bias, [-0.65, 0.5], rtol=1e-13)
    # γ/(n - 1) times the mean of (h_i - h) f_i'(x_0) = (-1.5 · 1 + 1.5 · 0)/2.
    assert bias.mean() == pytest.approx(0.1 * -0.75, rel=1e-13)
    assert ALL["prop-order-bias"].check(setting)


def test_the_mean_bias_is_seen_in_an_ensemble() -> None:
    setting = TwoSteps(STEEP_AND_FLAT, points=[[2.0]], step_size=0.3)
    problem, step = setting.problem, setting.step_size
    order = np.random.default_rng(1).permuted(np.tile(np.arange(3), (200_000, 1)), axis=1)
    first = np.array([problem.component_gradients(np.array([2.0]))[i, 0] for i in range(3)])
    x1 = 2.0 - step * first[order[:, 0]]
    second = problem.features[order[:, 1], 0] * (
        problem.features[order[:, 1], 0] * x1 - problem.targets[order[:, 1]]
    )
    difference = second - problem.gradient(x1[:, None])[:, 0]
    error = difference.std() / np.sqrt(len(difference))
    exact = second_step_bias(setting)[0].mean()
    assert abs(exact) > 20 * error
    assert abs(difference.mean() - exact) < 4 * error


def test_the_mean_bias_vanishes_where_hessians_agree_and_not_elsewhere() -> None:
    agree = TwoSteps(ScalarQuadratics([2.0, 2.0, 2.0], [0.0, 1.0, 5.0]), points=[[3.0]])
    assert abs(second_step_bias(agree).mean()) < 1e-15
    assert np.abs(second_step_bias(agree)).max() > 0.1  # given the first sample it does not
    differ = TwoSteps(STEEP_AND_FLAT, points=[[3.0]])
    assert abs(second_step_bias(differ).mean()) > 0.1


def test_the_bias_is_an_identity_beyond_quadratics() -> None:
    problem = LogisticRegression(RNG.standard_normal((5, 2)), [1.0, -1.0, 1.0, 1.0, -1.0], 0.1)
    assert ALL["prop-order-bias"].check(TwoSteps(problem, points=[[1.0, -2.0]], step_size=2.0))


def test_a_single_sample_has_no_second() -> None:
    lone = TwoSteps(LeastSquares([[1.0]], [1.0]), points=[[0.0]])
    with pytest.raises(AssumptionError, match="second sample from the rest"):
        ALL["prop-order-bias"].check(lone)


# ---- random reshuffling -----------------------------------------------------------------------


@pytest.mark.parametrize("problem", [BOWL, STEEP_AND_FLAT, sorted_signs(6)], ids=repr)
def test_the_shuffling_radius_by_walking_every_order(problem: Ridge) -> None:
    step, star = 0.2 / problem.max_smoothness, problem.minimizer
    gradients, n = problem.component_gradients(star), problem.n_samples
    divergence = np.zeros(n)
    orders = list(itertools.permutations(range(n)))
    for order in orders:
        x = star.copy()
        for place, sample in enumerate(order):
            offset = x - star
            row = problem.features[sample]
            bent = (row @ offset) ** 2 + problem.regularization * offset @ offset
            divergence[place] += bent / 2 / len(orders)
            x = x - step * gradients[sample]
    assert divergence[0] == 0
    assert shuffling_radius(problem, step) == pytest.approx(divergence.max() / step, rel=1e-12)


def test_the_shuffling_radius_lies_between_its_estimates() -> None:
    for number in range(30):
        rng = np.random.default_rng(number)
        n, lam = int(rng.integers(2, 7)), float(10 ** rng.uniform(-2, 0.5))
        problem = Ridge(rng.standard_normal((n, 2)), rng.standard_normal(n), lam)
        setting = EpochRun(problem, epochs=1, step_size=0.7 / problem.max_smoothness)
        low, high = shuffling_radius_estimates(setting)
        assert low <= shuffling_radius(problem, setting.step_size) <= high
        assert sharp_reshuffling_floor(setting) <= reshuffling_floor(setting)
        assert 2 * setting.step_size * high / lam == pytest.approx(reshuffling_floor(setting))


def test_the_shuffling_radius_attains_its_upper_estimate() -> None:
    # Two samples of one curvature: (γ L/2) (n²/(4 (n - 1))) σ² with n = 2 is γ L n σ²/4.
    setting = EpochRun(sorted_signs(2), epochs=1, step_size=0.3)
    radius = shuffling_radius(setting.problem, 0.3)
    assert radius == pytest.approx(shuffling_radius_estimates(setting)[1], rel=1e-13)


@pytest.mark.parametrize("order", ["reshuffled", "shuffled_once"])
@pytest.mark.parametrize("scaled", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("problem", [BOWL, STEEP_AND_FLAT], ids=repr)
def test_random_orders_stay_below_the_bound_with_the_shuffling_radius(
    problem: Ridge, scaled: float, order: str
) -> None:
    step = scaled / problem.max_smoothness
    start = np.full(problem.dim, 3.0)
    setting = EpochRun(problem, epochs=60, step_size=step, order=order, x0=start)
    verdict = ALL["thm-reshuffling"].check(setting)
    shrink = (1 - step * component_strong_convexity(problem)) ** problem.n_samples
    sharp = shrink**verdict.index * verdict.observed[0] + sharp_reshuffling_floor(setting)
    assert (verdict.observed[1:] < sharp[1:]).all()
    assert (sharp[1:] < verdict.bound[1:]).all()
    assert (verdict.observed[1:] < 0.9 * verdict.bound[1:]).all()


def test_the_reshuffling_bound_is_attained_by_two_parabolas() -> None:
    # With γ = 1 the last sample of an epoch decides: x² = 1, whatever came before.
    setting = EpochRun(sorted_signs(2), epochs=5, step_size=1.0, x0=[7.0])
    verdict = ALL["thm-reshuffling"].check(setting)
    np.testing.assert_allclose(verdict.observed[1:], 1, rtol=1e-12)
    np.testing.assert_allclose(verdict.bound[1:], 1, rtol=1e-12)
    assert sharp_reshuffling_floor(setting) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(
    ("problem", "step"), [(BOWL, 0.8 / BOWL.max_smoothness), (sorted_signs(2), 1.0)], ids=repr
)
def test_the_step_of_the_proof_that_random_orders_share(problem: Ridge, step: float) -> None:
    # An epoch in any order from any point: the squared distance to x* is at most (1 - γμ)^n times
    # the old one plus the divergences of the order's own walk, whatever came before.
    moments = EpochMoments(problem, step, "shuffled_once")
    matrices, offsets = moments.maps
    rate, basis = 1 - step * component_strong_convexity(problem), moments.moments.basis
    n, dim, weight = problem.n_samples, problem.dim, problem.regularization
    gradients = problem.component_gradients(problem.minimizer)
    deltas = 5 * np.random.default_rng(2).standard_normal((50, dim))
    for number, samples in enumerate(itertools.permutations(range(n))):
        allowance, walk = 0.0, np.zeros(dim)
        for place, sample in enumerate(samples):
            bent = (problem.features[sample] @ walk) ** 2 + weight * walk @ walk
            allowance += rate ** (n - 1 - place) * step * bent
            walk = walk - step * gradients[sample]
        np.testing.assert_allclose(walk, 0, atol=1e-13)
        ends = deltas @ basis.T @ matrices[number].T + offsets[number]
        bound = rate**n * (deltas**2).sum(axis=1) + allowance
        assert ((ends**2).sum(axis=1) <= bound * (1 + 1e-12)).all()


def test_the_reshuffling_theorem_refuses_a_fixed_order() -> None:
    with pytest.raises(AssumptionError, match="the order is cyclic"):
        ALL["thm-reshuffling"].check(EpochRun(BOWL, epochs=2, step_size=0.01, order="cyclic"))


def test_the_shuffling_radius_refuses_what_it_cannot_list() -> None:
    # One curvature: γ L/2 · i(n - i)/(n - 1) σ², largest at i = n/2.
    assert shuffling_radius(sorted_signs(12), 0.1) == pytest.approx(0.05 * 36 / 11, rel=1e-12)
    with pytest.raises(ValueError, match=r"n_samples: wanted an integer .* at most 16, got 18"):
        shuffling_radius(sorted_signs(18), 0.1)
    with pytest.raises(ValueError, match="problem: wanted a FiniteSum"):
        shuffling_radius(3, 0.1)  # type: ignore[arg-type]


def test_component_strong_convexity() -> None:
    assert component_strong_convexity(BOWL) == 0.3
    assert component_strong_convexity(STEEP_AND_FLAT) == pytest.approx(0.49)
    assert component_strong_convexity(LeastSquares(np.eye(2), [1.0, 2.0])) == 0
    assert component_strong_convexity(ScalarQuadratics([2.0, 0.5])) == 0.5
    assert component_strong_convexity(LogisticRegression([[1.0], [2.0]], [1.0, -1.0], 0.2)) == 0.2


def test_the_bounds_of_reshuffling_by_their_formulas() -> None:
    x0 = np.array([2.0, 2.0])
    distance = float(((x0 - BOWL.minimizer) ** 2).sum())
    noise, largest = BOWL.gradient_noise_at_minimum, BOWL.max_smoothness
    epochs, step = np.arange(6), 0.1 / largest
    setting = EpochRun(BOWL, epochs=5, step_size=step, x0=x0)
    floor = step**2 * largest * 4 * noise / (2 * 0.3)
    wanted = (1 - step * 0.3) ** (4 * epochs) * distance + floor
    np.testing.assert_allclose(ALL["thm-reshuffling"].check(setting).bound, wanted, rtol=1e-12)
    mu = BOWL.strong_convexity
    wanted = (1 - 2 * step * mu) ** epochs * distance + step**2 * largest / mu * 4 * noise
    np.testing.assert_allclose(
        ALL["thm-reshuffling-convex"].check(setting).bound, wanted, rtol=1e-12
    )


# ---- how the floors depend on the step --------------------------------------------------------


def slope(problem: Ridge, order: str) -> float:
    """The slope of the floor in the step, on logarithmic axes, from exact moments."""
    steps, moments = np.geomspace(0.002, 0.02, 7) / problem.max_smoothness, SecondMoments(problem)
    if order == "with_replacement":
        states = [moments.stationary(step) for step in steps]
    else:
        states = [EpochMoments(problem, step, order).stationary() for step in steps]
    floors = moments.distance_squared(np.array(states))
    return float(np.polyfit(np.log(steps), np.log(floors), 1)[0])


def test_floors_fall_with_the_step_or_with_its_square() -> None:
    assert slope(BOWL, "with_replacement") == pytest.approx(1, abs=0.1)
    assert slope(BOWL, "cyclic") == pytest.approx(2, abs=0.15)
    assert slope(BOWL, "reshuffled") >= 1.9


def test_where_hessians_agree_reshuffling_falls_with_the_cube() -> None:
    assert slope(sorted_signs(4), "reshuffled") == pytest.approx(3, abs=0.1)


# ---- sorted signs -----------------------------------------------------------------------------


def test_sorted_signs() -> None:
    problem = sorted_signs(6)
    assert problem.targets.tolist() == [1, 1, 1, -1, -1, -1]
    assert problem.minimizer == pytest.approx(0, abs=1e-15)
    for wrong in (0, 3):
        with pytest.raises(ValueError, match="n_samples: wanted"):
            sorted_signs(wrong)
        with pytest.raises(ValueError, match="n_samples: wanted"):
            sorted_signs_limit("cyclic", wrong, 0.1)
    with pytest.raises(ValueError, match="order: wanted one of"):
        sorted_signs_limit("shuffled_once", 6, 0.1)
    for step in (0.0, 2.0):
        with pytest.raises(ValueError, match="step_size: wanted numbers above 0 and below 2"):
            sorted_signs_limit("cyclic", 6, [0.1, step])


def test_the_reshuffled_limit_by_the_covariance_of_a_random_order() -> None:
    # The signs of a random order have covariance 1 on the diagonal and -1/(n - 1) beside it.
    n = 100
    covariance = (n * np.eye(n) - 1) / (n - 1)
    for gamma in (0.001, 0.05, 0.2, 1.5):
        weights = gamma * (1 - gamma) ** np.arange(n)
        wanted = weights @ covariance @ weights / (1 - (1 - gamma) ** (2 * n))
        assert sorted_signs_limit("reshuffled", n, gamma) == pytest.approx(wanted, rel=1e-10)


def test_the_reshuffled_limit_is_the_formula_of_the_statement() -> None:
    n, gamma = 8, 0.3
    r = 1 - gamma
    inner = (1 - r ** (2 * n)) / (1 - r**2) - ((1 - r**n) / gamma) ** 2 / n
    wanted = gamma**2 * n / (n - 1) * inner / (1 - r ** (2 * n))
    assert sorted_signs_limit("reshuffled", n, gamma) == pytest.approx(wanted, rel=1e-12)


def test_cyclic_order_of_sorted_signs_is_worse_than_sgd_and_shuffling_better() -> None:
    limits = {
        order: sorted_signs_limit(order, 100, np.array([0.001, 0.01, 0.05, 0.2]))
        for order in ("cyclic", "with_replacement", "reshuffled")
    }
    assert (limits["cyclic"] > limits["with_replacement"]).all()
    assert (limits["with_replacement"] > limits["reshuffled"]).all()
    at = {order: limit[2] for order, limit in limits.items()}
    assert at["cyclic"] == pytest.approx(0.735, abs=5e-4)
    assert at["with_replacement"] == pytest.approx(0.0256, abs=5e-5)
    assert at["reshuffled"] == pytest.approx(0.0159, abs=5e-5)
    at = {order: limit[0] for order, limit in limits.items()}
    assert at["cyclic"] == pytest.approx(6.3e-4, rel=0.01)
    assert at["with_replacement"] == pytest.approx(5.0e-4, rel=0.01)
    assert at["reshuffled"] == pytest.approx(4.2e-7, rel=0.01)


def test_below_a_short_step_cyclic_order_beats_sgd_even_on_sorted_signs() -> None:
    steps = np.linspace(5e-4, 1.2e-3, 200)
    worse = sorted_signs_limit("cyclic", 100, steps) > steps / (2 - steps)
    assert np.diff(worse.astype(int)).sum() == 1  # one crossing
    assert steps[worse.argmax()] == pytest.approx(8e-4, rel=0.05)


@pytest.mark.parametrize("order", ["cyclic", "with_replacement", "reshuffled"])
def test_sorted_signs_in_an_ensemble(order: str) -> None:
    trace = sgd(
        sorted_signs(100),
        steps=1000,
        step_size=0.05,
        sampling=order,
        replicates=4000,
        rng=2,
        metrics=["distance_squared"],
        record=[1000],
    )
    mean, error = trace.mean("distance_squared")
    exact = float(sorted_signs_limit(order, 100, 0.05))
    assert abs(mean[-1] - exact) <= 5 * error[-1] + 1e-9


def test_small_steps_on_sorted_signs() -> None:
    gamma, n = 1e-5, 20
    for order, wanted in {
        "cyclic": n**2 * gamma**2 / 16,
        "with_replacement": gamma / 2,
        "reshuffled": n * (n + 1) * gamma**3 / 24,
    }.items():
        assert sorted_signs_limit(order, n, gamma) == pytest.approx(wanted, rel=1e-3)
        if order != "reshuffled":
            assert ALL["prop-sorted-order"].check(
                StationaryEpochs(sorted_signs(n), step_sizes=[0.1, 1.9], order=order)
            )


# ---- a fixed order that diverges --------------------------------------------------------------


def radius(matrix: np.ndarray) -> float:
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def test_one_fixed_order_diverges_where_every_other_way_converges() -> None:
    problem = LeastSquares(ROWS, ROWS @ [1.0, 1.0])
    # An epoch in an order is a product of four matrices, written down without the library.
    steps = [np.eye(2) - LONG_STEP * np.outer(row, row) for row in ROWS]
    epochs = {
        order: np.linalg.multi_dot([steps[i] for i in reversed(order)])
        for order in itertools.permutations(range(4))
    }
    radii = {order: radius(matrix) for order, matrix in epochs.items()}
    assert radii[tuple(BAD_ORDER)] == pytest.approx(1.250, abs=5e-4)
    assert radii[(0, 1, 2, 3)] == pytest.approx(0.410, abs=5e-4)
    assert radii[(0, 2, 1, 3)] == pytest.approx(0.247, abs=5e-4)
    assert sum(r > 1 for r in radii.values()) == 8  # of 24: shuffled once, one run in three
    # Mean squares: the mean of the Kronecker squares.
    fresh = radius(np.mean([np.kron(m, m) for m in steps], axis=0))
    assert fresh == pytest.approx(SecondMoments(problem).spectral_radius(LONG_STEP), rel=1e-10)
    assert fresh == pytest.approx(0.928, abs=5e-4)
    again = radius(np.mean([np.kron(m, m) for m in epochs.values()], axis=0))
    assert again == pytest.approx(0.356, abs=5e-4)
    # A step up to 2/L_max lengthens no vector, in whatever order.
    assert 2 / problem.max_smoothness < LONG_STEP < 1 / problem.smoothness

    def gap(order: str, rows: list[int]) -> float:
        moments = EpochMoments(LeastSquares(ROWS[rows], ROWS[rows] @ [1.0, 1.0]), LONG_STEP, order)
        return float(moments.moments.gap(moments.evolve(None, 20)[-1]))

    assert gap("cyclic", BAD_ORDER) > 1e3
    assert gap("shuffled_once", [0, 1, 2, 3]) > 1e3
    assert gap("cyclic", [0, 1, 2, 3]) < 1e-15
    assert gap("reshuffled", BAD_ORDER) < 1e-8
