"""Linear stability: the limits computed from curvature separate what happens on either side."""

from __future__ import annotations

import math

import numpy as np
import pytest
from random_settings import near_a_minimum
from scipy.optimize import brentq
from scipy.stats import binomtest

from sgdnotes.exact import enumerate_sgd
from sgdnotes.methods import gradient_descent, sgd
from sgdnotes.moments import SecondMoments
from sgdnotes.problems import (
    LeastSquares,
    ScalarQuadratics,
    SharedMinima,
    StrictSaddle,
    WellInBowl,
    gaussian_tilts,
    quadratic,
    rippled_gaussian,
)
from sgdnotes.theorems import ALL, AssumptionError, LocalDescent, StochasticRun

WELL = WellInBowl()
WIDE, NARROW = WELL.minima[:, 0]
BARRIER = float(WELL.saddle[0])
LIMIT = 2 / float(WELL.sharpness(WELL.minima[1]))
PAIR = SharedMinima([[2.0, 0.2], [2.0, 3.8]], [0.0, 1.0])


def interval(hits: np.ndarray) -> tuple[float, float]:
    found = binomtest(int(hits.sum()), hits.size).proportion_ci(method="wilson")
    return found.low, found.high


# ---- gradient descent in the well -------------------------------------------------------------


def regimes(step_size: float, steps: int = 4000) -> dict[str, np.ndarray]:
    """Where 401 starts in the well end: at the narrow or the wide minimum, or trapped."""
    starts = np.linspace(BARRIER + 0.005, 2.15, 401)[:, None]
    trace = gradient_descent(
        WELL,
        starts,
        steps=steps,
        step_size=step_size,
        replicates=401,
        record=range(steps - 30, steps + 1),
        metrics=["x"],
    )
    last = trace.history["x"][1:, :, 0]
    narrow = (np.abs(last - NARROW) < 1e-6).all(axis=0)
    return {
        "narrow": narrow,
        "wide": (np.abs(last - WIDE) < 1e-6).all(axis=0),
        "trapped": (last > BARRIER).all(axis=0) & ~narrow,
    }


@pytest.mark.parametrize(
    ("factor", "where"),
    [(0.5, "narrow"), (0.99, "narrow"), (1.01, "trapped"), (1.2, "trapped"), (2.0, "wide")],
)
def test_the_curvature_separates_the_regimes(factor: float, where: str) -> None:
    ends = regimes(factor * LIMIT)
    assert ends[where].all()
    assert sum(int(hits.sum()) for hits in ends.values()) == 401


def test_the_wide_minimum_has_its_own_limit() -> None:
    assert regimes(3.8)["wide"].all()
    assert not regimes(4.05, 600)["wide"].any()


def test_half_way_the_starts_decide() -> None:
    ends = regimes(1.5 * LIMIT)
    assert 0.27 <= ends["wide"].mean() <= 0.41
    assert ends["trapped"].mean() == pytest.approx(1 - ends["wide"].mean(), abs=1e-12)
    assert not ends["narrow"].any()


def step(x: float, alpha: float) -> float:
    return x - alpha * float(WELL.gradient(np.array([x]))[0])


def turning_points(alpha: float) -> tuple[float, float]:
    def excess(x: float) -> float:
        return float(WELL.hessian(np.array([x]))[0, 0]) - 1 / alpha

    return brentq(excess, BARRIER, NARROW), brentq(excess, NARROW, 2.3)


def test_how_long_the_well_holds_its_runs() -> None:
    every = brentq(lambda a: step(turning_points(a)[1], a) - BARRIER, LIMIT, 1.5 * LIMIT)
    some = brentq(lambda a: step(step(turning_points(a)[0], a), a) - BARRIER, LIMIT, 1.75 * LIMIT)
    assert every / LIMIT == pytest.approx(1.2384, abs=1e-4)
    assert some / LIMIT == pytest.approx(1.6455, abs=1e-4)
    starts = np.linspace(BARRIER, 2.3, 3001)[1:, None]

    def held(alpha: float, x0: np.ndarray) -> np.ndarray:
        trace = gradient_descent(
            WELL, x0, steps=3000, step_size=alpha, replicates=len(x0), record=[3000]
        )
        return np.asarray(trace.x[:, 0] > BARRIER)

    assert held(0.999 * every, starts).all()
    assert not held(1.002 * every, starts).all()
    at_the_minimum = np.linspace(NARROW - 0.02, NARROW + 0.02, 200)[:, None]
    assert held(0.998 * some, at_the_minimum).all()
    assert not held(1.02 * some, at_the_minimum).any()


def test_the_larger_curvature_decides_in_the_plane() -> None:
    plane = WellInBowl(0.5, 0.8, [2.0, 0.0], 0.3)
    across, along = 2 / np.linalg.eigvalsh(plane.hessian(plane.minima[1]))[::-1]
    assert across < along
    between = 0.5 * (across + along)

    def distance(step_size: float, y0: float) -> float:
        trace = gradient_descent(plane, [2.0, y0], steps=4000, step_size=step_size)
        return float(np.linalg.norm(trace.x - plane.minima[1]))

    assert distance(0.99 * across, 1e-9) < 1e-10
    assert distance(1.01 * across, 1e-9) > 1e-2
    assert distance(between, 1e-9) > 1e-2
    assert distance(between, 0.0) < 1e-10  # the exceptional starts: those on the axis
    assert distance(1.01 * along, 0.0) > 1e-2


def test_the_reach_is_not_vain() -> None:
    """A bound that holds from far beyond the reach would make the assumption look silly."""
    problem = LocalDescent(WELL, steps=1, step_size=0.5 * LIMIT, x0=[NARROW], at=[NARROW])
    assert 0.02 < problem.reach < NARROW - BARRIER


def test_without_the_half_the_rate_would_be_wrong() -> None:
    rng, broken = np.random.default_rng(4), 0
    for _ in range(200):
        setting = near_a_minimum(rng)
        rate = 1 - setting.step_sizes[0] * setting.margin
        k = np.arange(len(setting.distances))
        allowed = rate**k * setting.distances[0] * (1 + 1e-9) + 1e-12
        broken += bool((setting.distances > allowed).any())
    assert broken > 5


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match=r"^problem: wanted one with a Hessian"):
        LocalDescent(quadratic(1.0), steps=3, step_size=0.1)
    with pytest.raises(ValueError, match=r"^at: wanted shape \(1,\)"):
        LocalDescent(WELL, steps=3, step_size=0.1, at=[1.0, 2.0])
    at_the_saddle = LocalDescent(StrictSaddle(), steps=3, step_size=0.1, at=[0.0, 0.0])
    with pytest.raises(AssumptionError, match="strict minimum"):
        ALL["prop-gd-stability"].check(at_the_saddle)
    assert LocalDescent(WELL, steps=3, step_size=0.1).minimum_at == pytest.approx([0], abs=1e-12)


# ---- SGD around a shared minimum --------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch_size", "sampling"),
    [(1, "with_replacement"), (2, "with_replacement"), (2, "without_replacement")],
)
def test_second_moments_turn_at_the_limit(batch_size: int, sampling: str) -> None:
    problem = ScalarQuadratics([0.2, 3.8, 2.0])
    a, variance = 2.0, problem.curvatures.var()
    c = 1 / batch_size if sampling == "with_replacement" else (3 - 2) / (2 * 2)
    limit = 2 * a / (a**2 + c * variance)
    for factor, sign in ((0.99, -1), (1.0, 0), (1.01, 1)):
        setting = StochasticRun(
            problem,
            steps=4,
            step_size=factor * limit,
            x0=[1.0],
            batch_size=batch_size,
            sampling=sampling,
        )
        assert ALL["prop-sgd-stability"].check(setting)
        growth = np.diff(setting.expectation.distance_squared)
        assert (np.sign(np.where(np.abs(growth) < 1e-13, 0, growth)) == sign).all()


def test_the_criterion_in_several_variables() -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((6, 3))
    problem = LeastSquares(rows, rows @ rng.standard_normal(3))
    moments = SecondMoments(problem)

    def radius(alpha: float) -> float:
        factors = [np.eye(3) - alpha * np.outer(row, row) for row in rows]
        mean = np.mean([np.kron(factor, factor) for factor in factors], axis=0)
        return float(np.abs(np.linalg.eigvals(mean)).max())

    for alpha in (0.01, 0.1, 0.3, 0.6):
        assert moments.spectral_radius(alpha) == pytest.approx(radius(alpha), rel=1e-10)
    limit = brentq(lambda alpha: radius(alpha) - 1, 0.05, 5)
    for factor, grows in ((0.95, False), (1.05, True)):
        run = enumerate_sgd(problem, problem.minimizer + 1, steps=7, step_size=factor * limit)
        exact = moments.evolve(moments.state(problem.minimizer + 1), np.full(4000, factor * limit))
        distances = moments.distance_squared(exact)
        np.testing.assert_allclose(distances[:8], run.distance_squared, rtol=1e-10)
        assert (distances[-1] > distances[0]) == grows


def test_the_two_samples() -> None:
    rng = np.random.default_rng(0)
    starts = 1 + 1e-3 * rng.standard_normal((4000, 1))

    def ends(alpha: float, descent: bool = False) -> np.ndarray:
        if descent:
            trace = gradient_descent(PAIR, starts, steps=2000, step_size=alpha, replicates=4000)
        else:
            trace = sgd(PAIR, starts, steps=2000, step_size=alpha, replicates=4000, rng=1)
        return np.asarray(trace.x[:, 0])

    assert (np.abs(ends(0.54) - 1) < 1e-3).all()
    assert (np.abs(ends(0.57)) < 0.1).mean() > 0.99
    assert (np.abs(ends(0.7, descent=True) - 1) < 1e-12).all()


def log_factor(alpha: float, curvatures: np.ndarray) -> float:
    return float(np.log(np.abs(1 - alpha * curvatures)).mean())


def test_almost_every_run_goes_by_the_logarithm() -> None:
    """With batches of two the mean-square limit, 0.71, and the other, 0.86, are far apart."""
    curvatures = np.array([0.2, 2.0, 2.0, 3.8])
    mean_square = 2 * 2 / (4 + 3.24 / 2)
    almost_sure = brentq(lambda a: log_factor(a, curvatures), 0.6, 0.99)
    assert (mean_square, almost_sure) == pytest.approx((0.7117, 0.8639), abs=1e-4)
    starts = np.full((2000, 1), 1 + 1e-3)
    reach = 1 / (1 + math.sqrt(1.9))

    def left(alpha: float) -> np.ndarray:
        trace = sgd(PAIR, starts, steps=3000, step_size=alpha, batch_size=2, replicates=2000, rng=2)
        return np.asarray(np.abs(trace.x[:, 0] - 1) >= reach)

    assert left(0.75).mean() < 0.005  # beyond the mean-square limit
    assert left(0.9).mean() > 0.99
    for alpha in (0.8, 0.83):
        kappa = brentq(lambda k, a=alpha: (np.abs(1 - a * curvatures) ** k).mean() - 1, 0.05, 20)
        bound = (1e-3 / reach) ** kappa
        low, high = interval(left(alpha))
        assert low <= bound
        assert high >= bound / 10  # and not far below


# ---- noise ------------------------------------------------------------------------------------


def test_noise_leaves_the_first_ripple() -> None:
    options = {"steps": 300, "step_size": 0.1, "record": "all", "metrics": ["x"]}
    descent = gradient_descent(rippled_gaussian(), [1.9], **options)
    assert descent.x[0, 0] == pytest.approx(0.873, abs=1e-3)
    crowd = sgd(
        rippled_gaussian(gaussian_tilts(1000, 0.9)), [1.9], replicates=8000, rng=0, **options
    )
    assert (crowd.history["x"].min(axis=0) < 1).mean() > 0.9
    assert (crowd.fun < descent.fun[0]).mean() > 0.85
    assert 0.01 < (np.abs(crowd.x) > 3).mean() < 0.05
    escaped = []
    for deviation in (0.05, 0.1, 0.3):
        noisy = rippled_gaussian(gaussian_tilts(1000, deviation))
        trace = sgd(noisy, [1.9], steps=3000, step_size=0.1, replicates=600, rng=1, record=[3000])
        escaped.append((trace.x[:, 0] < 0.78582).mean())
    assert escaped[0] < 0.01
    assert 0.03 < escaped[1] < 0.15
    assert escaped[2] > 0.99


def test_escape_takes_as_long_as_kramers_says() -> None:
    alpha, exponent = 0.01, 4.0
    height = float(WELL.value(WELL.saddle) - WELL.value(WELL.minima[1]))
    curving = math.sqrt(2 / LIMIT * -WELL.hessian(WELL.saddle)[0, 0])
    expected = 2 * math.pi / (alpha * curving) * math.exp(exponent)
    noisy = WellInBowl(tilts=gaussian_tilts(1000, math.sqrt(2 * height / (alpha * exponent))))
    steps = int(12 * expected)
    trace = sgd(
        noisy,
        [NARROW],
        steps=steps,
        step_size=alpha,
        replicates=500,
        rng=3,
        record=range(0, steps, 5),
        metrics={"out": lambda problem, x: x[:, 0] < BARRIER - 0.2},
    )
    out = trace.history["out"]
    assert out.any(axis=0).all()
    wait = trace.steps[out.argmax(axis=0)]
    assert 0.95 < wait.mean() / expected < 1.3
    assert np.median(wait) / wait.mean() == pytest.approx(math.log(2), abs=0.08)


def test_saddles_are_avoided_but_for_a_line() -> None:
    problem = StrictSaddle()
    starts = np.random.default_rng(0).uniform(-1, 1, size=(4000, 2))
    ends = gradient_descent(problem, starts, steps=400, step_size=0.1, replicates=4000).x
    assert (problem.distance_squared(ends) < 1e-12).all()
    np.testing.assert_array_equal(np.sign(ends[:, 1]), np.sign(starts[:, 1]))
    on_axis = gradient_descent(problem, [0.8, 0.0], steps=400, step_size=0.1).x
    assert np.abs(on_axis).max() < 1e-12
    shaken = sgd(
        StrictSaddle(np.outer(gaussian_tilts(100, 0.01), [0, 1])),
        [0.8, 0.0],
        steps=400,
        step_size=0.1,
        replicates=2000,
        rng=1,
    ).x
    assert (problem.distance_squared(shaken) < 0.01).all()
    low, high = interval(shaken[:, 1] > 0)
    assert low < 0.5 < high
