"""Wells, ripples and saddles: against finite differences, scipy's optimisers and dense grids."""

from __future__ import annotations

import math

import numpy as np
import pytest
from random_settings import well
from scipy.optimize import minimize
from scipy.stats import norm

from sgdnotes.problems import (
    FiniteSum,
    LeastSquares,
    SharedMinima,
    StrictSaddle,
    Tilted,
    WellInBowl,
    gaussian_tilts,
    local_minima,
    quadratic,
    rippled_gaussian,
    stationary_points,
)

TILTS = np.array([[0.3, -1.0], [-0.7, 0.4], [0.4, 0.6]])
PROBLEMS: dict[str, FiniteSum] = {
    "well": WellInBowl(tilts=[0.5, -0.2, -0.3]),
    "well in the plane": WellInBowl(0.5, 0.8, [2.0, 0.5], 0.3, TILTS),
    "saddle": StrictSaddle(TILTS),
    "ripples": rippled_gaussian([0.2, -0.2]),
    "shared minima": SharedMinima([[2.0, 0.2, 1.0], [2.0, 3.8, 0.5]], [0.0, 1.0, 2.5]),
}
SMOOTH = {name: p for name, p in PROBLEMS.items() if isinstance(p, Tilted)}


def points(problem: FiniteSum, count: int = 7) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1.5, 2.5, size=(count, problem.dim))


def slope(function: object, x: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Derivatives of a function of one point by central differences, along a new last axis."""
    units = h * np.eye(x.size)
    return np.stack([(function(x + e) - function(x - e)) / (2 * h) for e in units], axis=-1)  # type: ignore[operator]


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradients(name: str) -> None:
    problem = PROBLEMS[name]
    for x in points(problem):
        scale = 1 + np.abs(problem.component_gradients(x)).max()
        np.testing.assert_allclose(slope(problem.value, x), problem.gradient(x), atol=1e-7 * scale)
        np.testing.assert_allclose(
            slope(problem.component_values, x), problem.component_gradients(x), atol=1e-7 * scale
        )


@pytest.mark.parametrize("name", PROBLEMS)
def test_shapes_and_means(name: str) -> None:
    problem = PROBLEMS[name]
    many = points(problem, 6)
    n = problem.n_samples
    assert problem.value(many.reshape(2, 3, -1)).shape == (2, 3)
    np.testing.assert_array_equal(
        problem.gradient(many.reshape(2, 3, -1)).reshape(6, -1), problem.gradient(many)
    )
    indices = np.random.default_rng(0).integers(n, size=(6, 4))
    batches = problem.minibatch_gradient(many, indices)
    assert batches.shape == many.shape
    for x, rows, batch in zip(many, indices, batches, strict=True):
        np.testing.assert_allclose(problem.component_values(x).mean(), problem.value(x), atol=1e-14)
        parts = problem.component_gradients(x)
        assert parts.shape == (n, problem.dim)
        np.testing.assert_allclose(parts.mean(axis=0), problem.gradient(x), atol=1e-14)
        np.testing.assert_allclose(parts[rows].mean(axis=0), batch, atol=1e-14)


@pytest.mark.parametrize("name", SMOOTH)
def test_hessians(name: str) -> None:
    problem = SMOOTH[name]
    for x in points(problem):
        numeric = slope(problem.gradient, x)
        np.testing.assert_allclose(problem.hessian(x), numeric, atol=1e-6 * np.abs(numeric).max())
    many = points(problem)
    assert problem.hessian(many).shape == (7, problem.dim, problem.dim)
    assert problem.sharpness(many) == pytest.approx(
        [np.linalg.eigvalsh(problem.hessian(x))[-1] for x in many]
    )


@pytest.mark.parametrize("name", SMOOTH)
def test_minima_and_saddle(name: str) -> None:
    problem = SMOOTH[name]
    for x in problem.minima:
        np.testing.assert_allclose(problem.gradient(x), 0, atol=1e-13)
        assert np.linalg.eigvalsh(problem.hessian(x))[0] > 0
        found = minimize(problem.value, x + 0.01, jac=problem.gradient, method="BFGS", tol=1e-10).x
        np.testing.assert_allclose(found, x, atol=1e-6)
    np.testing.assert_allclose(problem.gradient(problem.saddle), 0, atol=1e-13)
    curvatures = np.linalg.eigvalsh(problem.hessian(problem.saddle))
    assert curvatures[0] < 0
    assert (curvatures[1:] > 0).all()
    assert problem.minimum == problem.value(problem.minima).min()
    assert float(problem.distance_squared(problem.minimizer)) == 0
    assert not problem.convex
    assert problem.strong_convexity == problem.pl_constant == 0


@pytest.mark.parametrize("name", PROBLEMS)
def test_component_minima(name: str) -> None:
    problem = PROBLEMS[name]
    if name == "ripples":
        assert (problem.component_minima == -np.inf).all()
        return
    grid = np.linspace(-5, 5, 41)
    starts = np.stack(np.meshgrid(*[grid] * problem.dim), axis=-1).reshape(-1, problem.dim)
    values = np.array([problem.component_values(x) for x in starts])
    for i, claimed in enumerate(problem.component_minima):
        lowest = min(
            minimize(lambda x, i=i: problem.component_values(x)[i], starts[at], tol=1e-12).fun
            for at in values[:, i].argsort()[:3]
        )
        assert claimed == pytest.approx(lowest, abs=1e-7)


# ---- the well ---------------------------------------------------------------------------------


def test_the_well_of_the_lecture() -> None:
    problem = WellInBowl()
    wide, narrow = problem.minima[:, 0]
    assert wide == pytest.approx(0, abs=1e-12)
    assert narrow == pytest.approx(1.96520, abs=5e-6)
    assert problem.saddle[0] == pytest.approx(1.80736, abs=5e-6)
    assert problem.sharpness(problem.minima) == pytest.approx([0.5, 25.318], abs=5e-4)
    assert problem.value(problem.minima) == pytest.approx([0, 0.6831], abs=5e-5)
    np.testing.assert_allclose(
        stationary_points(problem, -1, 3)[-2:], [problem.saddle[0], narrow], atol=1e-12
    )
    np.testing.assert_allclose(local_minima(problem, -1, 3), [0, narrow], atol=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_wells_of_all_sizes(seed: int) -> None:
    problem = well(np.random.default_rng(seed))
    direction = problem.center / np.linalg.norm(problem.center)
    line = (np.linspace(-0.2, 1.2, 20_001) * np.linalg.norm(problem.center))[:, None] * direction
    slopes = problem.gradient(line) @ direction
    changes = np.flatnonzero(np.diff(np.sign(slopes)) != 0)
    stationary = np.array([problem.minima[0], problem.saddle, problem.minima[1]])
    scale = problem.smoothness * np.linalg.norm(problem.center)
    np.testing.assert_allclose(problem.gradient(stationary), 0, atol=1e-12 * scale)
    along = stationary @ direction
    assert (np.diff(along) > 0).all()
    step = float(np.linalg.norm(line[1] - line[0]))
    for x in along:  # nothing found by the grid is missing, and the other way round
        assert np.abs((line @ direction)[changes] - x).min() <= 2 * step
    for at in changes:
        assert np.abs(along - (line @ direction)[at]).min() <= 2 * step
    # No curvature exceeds L in size; it is attained at the centre of the well.
    curvatures = np.linalg.eigvalsh(problem.hessian(line))
    assert np.abs(curvatures).max() <= problem.smoothness * (1 + 1e-12)
    at_center = np.linalg.eigvalsh(problem.hessian(problem.center))
    assert at_center[-1] == pytest.approx(problem.smoothness, rel=1e-12)
    # The Hessian changes at most at the claimed rate, and somewhere at 99 per cent of it.
    fine = problem.center + np.linspace(-3, 3, 6001)[:, None] * problem.width * direction
    jumps = np.linalg.norm(np.diff(problem.hessian(fine), axis=0), ord=2, axis=(1, 2))
    rates = jumps / np.linalg.norm(np.diff(fine, axis=0), axis=1)
    assert 0.99 * problem.hessian_lipschitz <= rates.max() <= problem.hessian_lipschitz * (1 + 1e-6)


def test_the_hessian_changes_no_faster_in_other_directions() -> None:
    problem, rng = WellInBowl(0.5, 0.8, [2.0, 0.5, 0.0], 0.3), np.random.default_rng(0)
    x = problem.center + 0.6 * rng.normal(size=(4000, 3))
    y = x + 1e-4 * rng.normal(size=(4000, 3))
    change = np.linalg.norm(problem.hessian(y) - problem.hessian(x), ord=2, axis=(1, 2))
    assert (change <= problem.hessian_lipschitz * np.linalg.norm(y - x, axis=1)).all()


def test_the_well_completes_the_square() -> None:
    problem = WellInBowl(tilts=gaussian_tilts(9, 1.5))
    line = np.linspace(-8, 8, 400_001)[:, None]
    for tilt, claimed in zip(problem.tilts[:, 0], problem.component_minima, strict=True):
        assert claimed == pytest.approx((problem.value(line) + tilt * line[:, 0]).min(), abs=1e-8)


def test_a_well_far_out_has_its_wide_minimum_at_zero() -> None:
    problem = WellInBowl(1.0, 40.0, 40.0, 0.5)
    assert 0 <= problem.minima[0, 0] < 1e-300
    assert problem.minima[1, 0] == pytest.approx(39, abs=1)


# ---- ripples, saddle, shared minima, tilts -----------------------------------------------------


def test_the_rippled_gaussian() -> None:
    problem = rippled_gaussian()
    minima = local_minima(problem, -2, 2)
    assert len(minima) == 6
    assert minima[-1] == pytest.approx(0.873, abs=5e-4)
    assert float(problem.value(minima[-1:])) == pytest.approx(-0.282, abs=5e-4)
    assert problem.minimizer[0] == pytest.approx(0.098, abs=5e-4)
    assert problem.minimum == pytest.approx(-0.4247, abs=5e-5)
    line = np.linspace(-9, 9, 450_001)
    np.testing.assert_allclose(
        problem.value(line[:1000, None]),
        -norm.pdf(line[:1000]) * (1 + 0.07 * np.sin(15 * line[:1000])),
    )
    assert problem.minimum == pytest.approx(problem.value(line[:, None]).min(), abs=1e-9)
    bend = np.abs(np.gradient(problem.gradient(line[:, None])[:, 0], line)).max()
    assert problem.smoothness == pytest.approx(bend, rel=1e-6)


def test_the_saddle() -> None:
    problem = StrictSaddle()
    assert problem.minimum == -0.25
    assert problem.smoothness == math.inf
    assert problem.distance_squared(np.array([[0.0, 1.0], [0.0, -1.0], [3.0, -1.0]])).tolist() == [
        0,
        0,
        9,
    ]
    assert np.linalg.eigvalsh(problem.hessian(problem.saddle)).tolist() == [-1, 1]


def test_the_two_samples() -> None:
    problem = SharedMinima([[2.0, 0.2], [2.0, 3.8]], [0.0, 1.0])
    x = np.linspace(-2, 3, 101)
    first = np.minimum(x**2, 0.1 * (x - 1) ** 2)
    second = np.minimum(x**2, 1.9 * (x - 1) ** 2)
    parts = np.array([problem.component_values(np.array([at])) for at in x])
    np.testing.assert_allclose(parts.T, [first, second], atol=1e-15)
    assert problem.mean_curvatures == pytest.approx([2, 2])
    assert problem.curvature_variances == pytest.approx([0, 3.24])
    assert problem.gradient_noise_at_minimum == problem.interpolation_gap == 0
    assert problem.distance_squared(np.array([[1.0], [0.0], [1.5]])).tolist() == [0, 0, 0.25]


@pytest.mark.parametrize("seed", range(12))
def test_the_pl_constant_of_shared_minima(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 5))
    centers = np.cumsum(rng.uniform(0.2, 2, size=count)) - 3
    problem = SharedMinima(rng.uniform(0.1, 4, size=(int(rng.integers(1, 4)), count)), centers)
    line = np.linspace(centers[0] - 30, centers[-1] + 30, 200_001)[:, None]
    value = problem.value(line)
    quotient = (problem.gradient(line)[:, 0] ** 2 / (2 * np.maximum(value, 1e-300)))[value > 1e-6]
    claimed = problem.pl_constant
    assert claimed <= quotient.min() * (1 + 1e-9)
    assert claimed == pytest.approx(quotient.min(), rel=2e-2, abs=1e-3)


@pytest.mark.parametrize("n", [2, 5, 100, 1001])
def test_gaussian_tilts(n: int) -> None:
    tilts = gaussian_tilts(n, 0.9)
    assert tilts.shape == (n,)
    assert tilts.mean() == pytest.approx(0, abs=1e-16)
    assert tilts.std() == pytest.approx(0.9, rel=1e-14)
    assert (np.diff(tilts) > 0).all()
    if n == 1001:
        share = (np.abs(tilts) < 0.9).mean()
        assert share == pytest.approx(norm.cdf(1) - norm.cdf(-1), abs=0.01)
    assert not gaussian_tilts(n, 0.0).any()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: WellInBowl(depth=0.001), r"^depth: wanted enough for a second minimum, got 0.001"),
        (lambda: WellInBowl(width=0.0), r"^width: "),
        (lambda: WellInBowl(curvature=-1.0), r"^curvature: "),
        (lambda: WellInBowl(center=[[1.0]]), r"^center: "),
        (lambda: WellInBowl(center=[0.0, 0.0]), r"^center: "),
        (lambda: WellInBowl(tilts=[1.0]), r"^tilts: wanted mean zero"),
        (lambda: WellInBowl(center=[2.0, 0.0], tilts=[1.0, -1.0]), r"^tilts: wanted shape"),
        (lambda: StrictSaddle([[1.0, 2.0]]), r"^tilts: wanted mean zero"),
        (lambda: SharedMinima([[1.0, -1.0]], [0.0, 1.0]), r"^curvatures: wanted positive"),
        (lambda: SharedMinima([[1.0, 1.0]], [1.0, 0.0]), r"^centers: "),
        (lambda: SharedMinima([[1.0, 1.0]], [0.0, 1.0, 2.0]), r"^curvatures: wanted one column"),
        (lambda: gaussian_tilts(1, 1.0), r"^n_samples: "),
        (lambda: gaussian_tilts(5, -1.0), r"^standard_deviation: "),
        (lambda: local_minima(LeastSquares([[1.0, 2.0]], [1.0]), 0, 1), r"^problem: wanted a fun"),
        (lambda: stationary_points(quadratic(1.0), 1, 0), r"^high: "),
        (lambda: stationary_points(quadratic(1.0), 0, 1, resolution=0), r"^resolution: "),
    ],
)
def test_bad_input_is_named(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()  # type: ignore[operator]


def test_a_zero_of_the_slope_on_the_grid_is_found_once() -> None:
    assert stationary_points(quadratic(1.0), -1, 1, resolution=2) == pytest.approx([0], abs=1e-14)
    assert local_minima(quadratic(1.0), -1, 1, resolution=2) == pytest.approx([0], abs=1e-14)
