"""Problems with kinks or without curvature: values, subgradients, minimisers, second moments."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from random_settings import features, shape
from scipy.optimize import linprog, minimize

from sgdnotes.problems import (
    FiniteSum,
    Landscape,
    LeastAbsoluteDeviations,
    LeastSquares,
    ScalarQuadratics,
    absolute,
    exponential,
    flat_bottom,
    gaussian_dip,
    huber,
    linear,
    quadratic,
    quartic,
    soft_absolute,
)


def random_deviations(seed: int) -> LeastAbsoluteDeviations:
    """Rows of every awkward kind; targets often repeated, zero, or met exactly."""
    rng = np.random.default_rng(seed)
    a = features(rng, *shape(rng, 12))
    n, p = a.shape
    kind = seed % 4
    b = rng.standard_normal(n) * 10 ** rng.uniform(-2, 2)
    if kind == 1:
        b = np.round(b / np.abs(b).max())
        a = np.round(2 * a / np.abs(a).max())
        a[0, 0] = 1.0
    elif kind == 2:
        b = a @ rng.standard_normal(p)
    elif kind == 3:
        b = np.zeros(n)
    return LeastAbsoluteDeviations(a, b)


def primal(problem: LeastAbsoluteDeviations) -> tuple[float, np.ndarray, np.ndarray]:
    """The minimum by the primal program in (x, t), and its constraints."""
    n, p = problem.features.shape
    matrix = np.block([[problem.features, -np.eye(n)], [-problem.features, -np.eye(n)]])
    offsets = np.concatenate([problem.targets, -problem.targets])
    cost = np.concatenate([np.zeros(p), np.full(n, 1 / n)])
    return linprog(cost, A_ub=matrix, b_ub=offsets, bounds=(None, None)).fun, matrix, offsets


# ---- least absolute deviations ----------------------------------------------------------------


@pytest.mark.parametrize("seed", range(80))
def test_the_minimum_of_least_absolute_deviations(seed: int) -> None:
    problem = random_deviations(seed)
    minimum, _, _ = primal(problem)
    scale = 1e-9 * (np.abs(problem.targets).max() + 1e-6)
    assert problem.minimum == pytest.approx(minimum, rel=1e-9, abs=scale)
    assert problem.gap(problem.minimizer) == pytest.approx(0, abs=1e-15 * (1 + problem.minimum))
    rng = np.random.default_rng(seed)
    spread = 10 ** rng.uniform(-8, 2, size=(200, 1)) * rng.standard_normal((200, problem.dim))
    assert (problem.gap(problem.minimizer + spread) >= -1e-12 * (1 + problem.minimum)).all()


@pytest.mark.parametrize("seed", range(60))
def test_the_nearest_minimizer_of_least_absolute_deviations(seed: int) -> None:
    problem = random_deviations(seed)
    rng = np.random.default_rng(seed)
    size = 1 + np.abs(problem.minimizer).max()
    near_zero = float(problem.minimizer @ problem.minimizer)
    assert problem.distance_squared(np.zeros(problem.dim)) == pytest.approx(near_zero, abs=1e-12)
    for x in size * rng.standard_normal((5, problem.dim)):
        nearest = problem._nearest_minimizer(x)
        assert problem.gap(nearest) <= 1e-12 * (1 + problem.minimum)
        # No minimiser lies in the open ball around x: the nearest point p of a convex set has
        # <x - p, z - p> <= 0 for all its points z, and a linear program finds the worst z.
        _, matrix, offsets = primal(problem)
        n, p = problem.features.shape
        cost = np.concatenate([nearest - x, np.zeros(n)])
        optimal = np.concatenate([np.zeros(p), np.full(n, 1 / n)])
        worst = linprog(
            cost,
            A_ub=np.vstack([matrix, optimal]),
            b_ub=np.append(offsets, problem.minimum + 1e-12 * (1 + problem.minimum)),
            bounds=(None, None),
        )
        if worst.status == 0:
            found = float((x - nearest) @ (worst.x[:p] - nearest))
            assert found <= 1e-5 * size * (size + np.linalg.norm(x))
    stack = size * rng.standard_normal((2, 3, problem.dim))
    assert problem.distance_squared(stack).shape == (2, 3)
    assert problem.distance_squared(stack[1, 2]) == pytest.approx(
        problem.distance_squared(stack)[1, 2]
    )


def test_medians_minimise_absolute_deviations() -> None:
    targets = [3.0, 1.0, 8.0, 4.0]
    problem = LeastAbsoluteDeviations(np.ones((4, 1)), targets)
    np.testing.assert_allclose(problem.minimizer, [3.0], rtol=1e-14)
    x = np.array([[0.0], [3.0], [3.5], [4.0], [9.0]])
    np.testing.assert_allclose(problem.distance_squared(x), [9, 0, 0, 0, 25], atol=1e-13)
    assert problem.minimum == 2.0
    odd = LeastAbsoluteDeviations(np.ones((3, 1)), targets[:3])
    assert odd.minimizer == pytest.approx([3.0])
    assert odd.distance_squared(np.array([5.0])) == pytest.approx(4.0)


def test_the_least_norm_minimizer_of_a_flat_family() -> None:
    # A parallelogram of minimisers: x_1 in [-1, 1] and x_1 + x_2 in [1, 2].
    problem = LeastAbsoluteDeviations([[1, 0], [1, 0], [1, 1], [1, 1]], [-1, 1, 1, 2])
    np.testing.assert_allclose(problem.minimizer, [0.5, 0.5], atol=1e-14)
    assert problem.distance_squared(np.array([2.0, 0.5])) == pytest.approx(1.0)
    assert problem.distance_squared(np.array([3.0, 4.0])) == pytest.approx(2 * 2.5**2)
    assert problem.distance_squared(np.array([3.0, -4.0])) == pytest.approx(4 + 16)


@pytest.mark.parametrize("seed", range(20))
def test_subgradients_of_least_absolute_deviations(seed: int) -> None:
    problem = random_deviations(seed)
    rng = np.random.default_rng(seed)
    for x, z in rng.standard_normal((20, 2, problem.dim)):
        above = problem.component_values(z) - problem.component_values(x)
        slope = problem.component_gradients(x) @ (z - x)
        assert (above >= slope - 1e-12 * (1 + np.abs(slope) + np.abs(problem.targets))).all()
    x = rng.standard_normal(problem.dim)
    np.testing.assert_allclose(
        problem.gradient(x), problem.component_gradients(x).mean(axis=0), rtol=1e-12, atol=1e-15
    )
    one = problem.minibatch_gradient(x[None], np.zeros((1, 1), dtype=np.int64))
    np.testing.assert_allclose(one[0], problem.component_gradients(x)[0])
    assert problem.value(x) == pytest.approx(problem.component_values(x).mean())


def test_constants_of_least_absolute_deviations() -> None:
    problem = LeastAbsoluteDeviations([[3.0, 4.0], [0.0, 0.0]], [1.0, -2.0])
    assert problem.smoothness == problem.max_smoothness == problem.average_smoothness == math.inf
    assert problem.strong_convexity == problem.pl_constant == 0
    assert problem.components_convex
    np.testing.assert_array_equal(problem.component_minima, [0.0, 2.0])
    assert problem.max_second_moment() == problem.max_second_moment(0.5) == 12.5
    np.testing.assert_allclose(problem.minimizer, [3 / 25, 4 / 25], rtol=1e-13)
    assert problem.minimum == pytest.approx(1.0)


# ---- landscapes -------------------------------------------------------------------------------

LANDSCAPES: list[Landscape] = [
    absolute(),
    absolute(0.5, [0.3, -0.3]),
    absolute(0.5, [3.0, -3.0]),
    absolute(tilts=[0.5, 0.5, -1.0]),
    huber(0.3),
    huber(2.0, [1.0, -1.0]),
]


@pytest.mark.parametrize("landscape", LANDSCAPES, ids=repr)
def test_landscapes_are_what_their_constants_say(landscape: Landscape) -> None:
    grid = np.linspace(-6, 6, 2001)[:, None]
    values, slopes = landscape.value(grid), landscape.gradient(grid)[:, 0]
    step = grid[1, 0] - grid[0, 0]
    # Convexity and strong convexity: the slope rises at least by mu, and at most by L, per length.
    rise = np.diff(slopes) / step
    assert rise.min() >= landscape.strong_convexity - 1e-9
    assert rise.max() <= landscape.smoothness * (1 + 1e-9)
    assert rise.min() == pytest.approx(landscape.strong_convexity, abs=1e-9)
    if landscape.smoothness < math.inf:
        assert rise.max() == pytest.approx(landscape.smoothness)
    # Every line through a point with the slope returned there lies below the function.
    lines = values[:, None] + slopes[:, None] * (grid[:, 0] - grid)
    assert (lines <= values + 1e-12).all()
    assert values.min() == landscape.minimum == landscape.value(landscape.minimizer)
    assert landscape.pl_constant == landscape.strong_convexity
    for tilt, lowest in zip(landscape.tilts, landscape.component_minima, strict=True):
        wide = np.linspace(-50, 50, 400001)
        seen = (landscape.value(wide[:, None]) + tilt * wide).min()
        assert seen == pytest.approx(lowest, abs=1e-6) or (lowest == -math.inf and seen < -1)


def test_the_pl_constant_of_a_strongly_convex_kink() -> None:
    landscape, x = absolute(0.5), 10 ** np.linspace(-3, 6, 500)[:, None]
    ratio = landscape.gradient(x)[:, 0] ** 2 / (2 * landscape.value(x))
    assert ratio.min() >= 0.5
    assert ratio[-1] == pytest.approx(0.5, rel=1e-5)


# ---- second moments ---------------------------------------------------------------------------

BOUNDED = [
    (absolute(tilts=[1.0, -1.0]), 2.0),
    (soft_absolute([1.0, -1.0]), 2.0),
    (huber(0.3, [2.0, -2.0]), 4.09),
    (flat_bottom(), 1.0),
    (linear(-3.0), 9.0),
    (gaussian_dip(), 2 / math.e),
    (quadratic(2.0), math.inf),
    (absolute(0.1), math.inf),
    (quartic(), math.inf),
    (exponential(), math.inf),
    (ScalarQuadratics([1.0, -0.5], [1.0, 0.0]), math.inf),
    (LeastSquares([[1.0]], [1.0]), math.inf),
]


@pytest.mark.parametrize(("problem", "bound"), BOUNDED, ids=[repr(p) for p, _ in BOUNDED])
def test_second_moments_over_all_of_space(problem: FiniteSum, bound: float) -> None:
    assert problem.max_second_moment() == pytest.approx(bound)
    far = max(problem.gradient_second_moment(np.array([x])) for x in np.linspace(-300, 300, 9001))
    assert far <= bound * (1 + 1e-12)
    assert far >= 0.99 * min(bound, 1)


WITHIN: list[FiniteSum] = [
    absolute(0.7, [1.0, -1.0]),
    absolute(),
    huber(0.3, [2.0, -2.0]),
    huber(3.0),
    flat_bottom(),
    quadratic(2.0, [0.5, -0.5]),
    quartic(),
    exponential(),
    soft_absolute(),
    linear(2.0),
    ScalarQuadratics([1.0, -0.5], [1.0, 3.0]),
    LeastAbsoluteDeviations([[1.0], [-2.0]], [0.1, 0.2]),
]


@pytest.mark.parametrize(
    ("problem", "radius"),
    list(itertools.product(WITHIN, [0.4, 2.0])),
    ids=lambda value: repr(value),
)
def test_second_moments_over_a_ball(problem: FiniteSum, radius: float) -> None:
    grid = np.linspace(-radius, radius, 4001)
    seen = max(problem.gradient_second_moment(np.array([x])) for x in grid)
    assert problem.max_second_moment(radius) == pytest.approx(seen, rel=1e-9)


@pytest.mark.parametrize("radius", [-1.0, math.nan, "1"])
def test_a_bad_radius_is_refused(radius: float) -> None:
    for problem in (
        absolute(),
        LeastSquares([[1.0]], [1.0]),
        ScalarQuadratics([1.0]),
        LeastAbsoluteDeviations([[1.0]], [1.0]),
    ):
        with pytest.raises(ValueError, match=r"radius: wanted a (finite|real) number"):
            problem.max_second_moment(radius)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="slope: wanted a finite number above 0, got 0"):
        huber(0)
    with pytest.raises(ValueError, match="strong_convexity: wanted a finite number of at least 0"):
        absolute(-1)
    with pytest.raises(ValueError, match="targets: wanted one for each of the 1 rows"):
        LeastAbsoluteDeviations([[1.0]], [1.0, 2.0])


def test_minimisers_agree_with_a_general_solver() -> None:
    rng = np.random.default_rng(3)
    problem = LeastAbsoluteDeviations(rng.standard_normal((31, 2)), rng.standard_normal(31))
    found = minimize(problem.value, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-10})
    np.testing.assert_allclose(found.x, problem.minimizer, atol=1e-6)
