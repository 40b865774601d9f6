"""Losses that are differentiable almost everywhere: hinge, reverse Huber, Cantor, networks."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from random_settings import features, shape
from scipy.optimize import linprog, lsq_linear, minimize_scalar
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression as SklearnLogistic
from sklearn.svm import SVC, LinearSVC

from sgdnotes import LogisticRegression, gradient_descent, sgd
from sgdnotes.problems import (
    LeastAbsoluteDeviations,
    LeastSquares,
    ReluNetwork,
    SupportVectorMachine,
    cantor,
    reverse_huber,
)

# ---- support vector machines ------------------------------------------------------------------


def random_machine(seed: int, regularized: bool = True) -> SupportVectorMachine:
    """Rows of every awkward kind, labels at random, separable, or all the same."""
    rng = np.random.default_rng(seed)
    a = features(rng, *shape(rng, 20, 6))
    n, p = a.shape
    y = rng.choice([-1.0, 1.0], size=n)
    if seed % 3 == 1:
        y = np.where(a @ rng.standard_normal(p) >= 0, 1.0, -1.0)
    elif seed % 12 == 2:
        y[:] = 1.0
    size = np.linalg.norm(a, 2) ** 2 / n
    weight = size * 10 ** rng.uniform(-6, 1.5) if regularized else 0.0
    return SupportVectorMachine(a, y, float(weight))


@pytest.mark.parametrize("seed", range(150))
def test_the_minimizer_of_a_support_vector_machine(seed: int) -> None:
    problem = random_machine(seed)
    x, n = problem.minimizer, problem.n_samples
    rows = problem.targets[:, None] * problem.features
    margins = rows @ x
    # Zero is a subgradient: λx is the mean of the rows whose margin is below 1, and of those with
    # margin 1 in some part between 0 and 1.
    near = np.abs(margins - 1) < 1e-8
    wanted = n * problem.regularization * x - rows[margins < 1 - 1e-8].sum(axis=0)
    scale = np.abs(rows).max()
    if near.any():
        found = lsq_linear(rows[near].T / scale, wanted / scale, bounds=(0, 1), tol=1e-14)
        wanted = wanted - rows[near].T @ found.x
    assert np.abs(wanted).max() <= 1e-6 * scale
    rng = np.random.default_rng(seed)
    spread = 10 ** rng.uniform(-8, 1, size=(200, 1)) * rng.standard_normal((200, problem.dim))
    growth = problem.regularization / 2 * (spread**2).sum(axis=1)
    above = problem.gap(x + spread / scale)
    assert (above >= growth / scale**2 - 1e-13 * (1 + above)).all()
    assert problem.gap(x) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("seed", range(25))
def test_support_vector_machines_against_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((40, 4))
    y = np.where(a @ rng.standard_normal(4) + rng.standard_normal(40) >= 0, 1.0, -1.0)
    weight = 10 ** rng.uniform(-2, 0)
    problem = SupportVectorMachine(a, y, weight)
    machine = LinearSVC(
        loss="hinge", dual=True, fit_intercept=False, C=1 / (40 * weight), tol=1e-9, max_iter=10**6
    )
    found = machine.fit(a, y).coef_[0]
    np.testing.assert_allclose(problem.minimizer, found, rtol=0, atol=1e-5)
    assert -1e-15 <= problem.gap(found) <= 1e-8


@pytest.mark.parametrize("seed", range(60))
def test_support_vector_machines_without_regularization(seed: int) -> None:
    problem = random_machine(seed, regularized=False)
    n, p = problem.features.shape
    rows = problem.targets[:, None] * problem.features
    scale = np.abs(rows).max()
    cost = np.concatenate([np.zeros(p), np.full(n, 1 / n)])
    bounds = [(None, None)] * p + [(0, None)] * n
    found = linprog(cost, -np.hstack([rows / scale, np.eye(n)]), -np.ones(n), bounds=bounds)
    assert problem.minimum == pytest.approx(found.fun, abs=1e-9)
    # Of least norm: the limit of the regularized minimisers, which are unique.
    weight = 1e-6 * np.linalg.norm(rows, 2) ** 2 / n
    limit = SupportVectorMachine(problem.features, problem.targets, weight).minimizer
    size = np.linalg.norm(problem.minimizer)
    np.testing.assert_allclose(problem.minimizer, limit, rtol=0, atol=1e-8 * size + 1e-300)
    assert problem.distance_squared(problem.minimizer) <= 1e-20 * size**2
    x = np.random.default_rng(seed).standard_normal((3, p)) * size
    reached = [problem._nearest_minimizer(point) for point in x]
    assert problem.gap(np.array(reached)).max() <= 1e-9
    distances = [((point - near) ** 2).sum() for point, near in zip(x, reached, strict=True)]
    np.testing.assert_allclose(problem.distance_squared(x), distances, rtol=1e-9, atol=1e-18)


def test_separable_data_give_the_largest_margin() -> None:
    rng = np.random.default_rng(4)
    a = rng.standard_normal((30, 3))
    y = np.where(a @ [1.0, -2.0, 0.5] >= 0, 1.0, -1.0)
    a += 0.2 * y[:, None] * [1.0, -2.0, 0.5]
    problem = SupportVectorMachine(a, y, 0.0)
    assert problem.minimum == pytest.approx(0.0, abs=1e-14)
    assert (y * (a @ problem.minimizer)).min() == pytest.approx(1.0)
    # scikit-learn fits an intercept, which data symmetric about the origin make zero.
    machine = SVC(kernel="linear", C=1e8, tol=1e-10).fit(np.vstack([a, -a]), np.append(y, -y))
    assert machine.intercept_[0] == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(problem.minimizer, machine.coef_[0], rtol=1e-5)
    assert problem.distance_squared(3 * problem.minimizer) == pytest.approx(0, abs=1e-20)
    far = -np.linalg.norm(problem.minimizer) * problem.minimizer
    assert problem.distance_squared(far) > 0


@pytest.mark.parametrize("seed", range(30))
def test_subgradients_of_support_vector_machines(seed: int) -> None:
    problem = random_machine(seed)
    rng = np.random.default_rng(seed)
    reach = 1 / np.abs(problem.features).max()
    for x, z in reach * rng.standard_normal((20, 2, problem.dim)):
        above = problem.component_values(z) - problem.component_values(x)
        slope = problem.component_gradients(x) @ (z - x)
        bend = problem.regularization / 2 * ((z - x) ** 2).sum()
        assert (above >= slope + bend - 1e-12 * (1 + np.abs(slope))).all()
    x = reach * rng.standard_normal(problem.dim)
    slopes = problem.component_gradients(x)
    np.testing.assert_allclose(problem.gradient(x), slopes.mean(axis=0), rtol=1e-10, atol=1e-14)
    batches = rng.integers(problem.n_samples, size=(5, 3))
    np.testing.assert_allclose(
        problem.minibatch_gradient(np.tile(x, (5, 1)), batches),
        slopes[batches].mean(axis=1),
        rtol=1e-12,
        atol=1e-14 * np.abs(slopes).max(),
    )
    assert problem.value(x) == pytest.approx(problem.component_values(x).mean())
    # Away from the kinks the components are smooth, so differences give the same slopes.
    margins = problem.targets * (problem.features @ x)
    h = 1e-6 * reach
    safe = np.abs(margins - 1) > 2 * h * np.abs(problem.features).max()
    for j, unit in enumerate(np.eye(problem.dim)):
        ahead, behind = (problem.component_values(x + s * h * unit) for s in (1, -1))
        numeric = (ahead - behind) / (2 * h)
        tolerance = 1e-7 * np.abs(slopes).max()
        np.testing.assert_allclose(numeric[safe], slopes[safe, j], rtol=0, atol=tolerance)


def test_the_subgradient_at_margin_one_is_that_of_the_penalty() -> None:
    problem = SupportVectorMachine([[2.0, 0.0], [0.0, 1.0]], [1.0, -1.0], 0.5)
    at_kink = problem.component_gradients(np.array([0.5, -1.0]))
    np.testing.assert_array_equal(at_kink, [[0.25, -0.5], [0.25, -0.5]])
    just_below = problem.component_gradients(np.array([0.49, -1.0]))
    np.testing.assert_allclose(just_below[0], [-2 + 0.245, -0.5])


@pytest.mark.parametrize("seed", range(30))
def test_constants_of_support_vector_machines(seed: int) -> None:
    problem = random_machine(seed, regularized=seed % 4 != 0)
    weight = problem.regularization
    assert problem.smoothness == problem.max_smoothness == problem.average_smoothness == math.inf
    assert problem.strong_convexity == problem.pl_constant == weight
    assert problem.convex
    assert problem.components_convex
    for row, lowest in zip(problem.features, problem.component_minima, strict=True):
        reach = np.linalg.norm(row)  # the best point lies along the row, at this distance
        if not weight or not reach:
            assert lowest == (0.0 if reach else 1.0)
            continue

        def along(d: float, reach: float = reach) -> float:
            return max(0.0, 1 - reach * d) + weight / 2 * d**2

        found = minimize_scalar(along, bounds=(0, 1 / reach), options={"xatol": 1e-14 / reach})
        assert lowest == pytest.approx(min(found.fun, along(1 / reach)), rel=1e-7)
    # The second moment over a ball is below the bound, and over all of space it is infinite.
    rng = np.random.default_rng(seed)
    radius = 10 ** rng.uniform(-2, 1) / np.abs(problem.features).max()
    x = rng.standard_normal((100, problem.dim))
    x *= radius / np.linalg.norm(x, axis=1, keepdims=True)
    seen = max(problem.gradient_second_moment(point) for point in x)
    assert seen <= problem.max_second_moment(radius) * (1 + 1e-12)
    if weight:
        assert problem.max_second_moment() == math.inf
        far = 1e9 / np.abs(problem.features).max() * x[0] / radius * (1 + 1 / weight)
        ratio = (problem.gradient(far) ** 2).sum() / (2 * problem.gap(far))
        assert ratio == pytest.approx(weight, rel=1e-6)  # the PL constant, far away
    else:
        at_zero = problem.gradient_second_moment(np.zeros(problem.dim))
        assert problem.max_second_moment() == pytest.approx(at_zero)
    pairs = rng.standard_normal((200, problem.dim)) / np.abs(problem.features).max()
    slack = 1e-12 * (1 + problem.value(pairs))
    assert ((problem.gradient(pairs) ** 2).sum(-1) / 2 >= weight * problem.gap(pairs) - slack).all()


def test_the_second_moment_bound_is_attained_by_one_sample() -> None:
    problem = SupportVectorMachine([[3.0]], [1.0], 0.5)
    found = problem.gradient_second_moment(np.array([-2.0]))
    assert problem.max_second_moment(2.0) == pytest.approx(found) == pytest.approx(16.0)


# ---- reverse Huber ----------------------------------------------------------------------------


@pytest.mark.parametrize("tilts", [[0.0], [0.5, -0.5], [3.0, -3.0]])
def test_the_reverse_huber_function(tilts: list[float]) -> None:
    problem = reverse_huber(tilts)
    grid = np.linspace(-5, 5, 20001)[:, None]
    values, slopes = problem.value(grid), problem.gradient(grid)[:, 0]
    formula = [abs(x) - 0.5 if abs(x) < 1 else x**2 / 2 for x in grid[:, 0]]
    np.testing.assert_allclose(values, formula, atol=1e-15)
    lines = values[::40, None] + slopes[::40, None] * (grid[:, 0] - grid[::40])
    assert (lines <= values + 1e-12).all()  # convex, and the slopes are subgradients
    numeric = np.gradient(values, grid[:, 0])
    away = np.abs(grid[:, 0]) > 1e-3
    np.testing.assert_allclose(numeric[away], slopes[away], atol=1e-3)
    assert problem.value(problem.minimizer) == problem.minimum == values.min() == -0.5
    assert problem.gradient(np.zeros(1)) == 0.0
    ratio = slopes[away] ** 2 / (2 * problem.gap(grid[away]))
    assert ratio.min() == pytest.approx(problem.pl_constant, rel=1e-12)
    assert problem.smoothness == math.inf
    assert problem.strong_convexity == 0.0
    for tilt, lowest in zip(problem.tilts, problem.component_minima, strict=True):
        assert (values + tilt * grid[:, 0]).min() == pytest.approx(lowest, abs=1e-6)


def test_a_step_of_size_one_hits_the_kink_from_two_thirds_of_the_points() -> None:
    starts = np.linspace(-3, 3, 30001)[:, None]
    run = gradient_descent(reverse_huber(), starts, steps=5, step_size=1.0, replicates=len(starts))
    hit = run.x[:, 0] == 0
    assert (hit == (np.abs(starts[:, 0]) >= 1) | (starts[:, 0] == 0)).all()
    assert hit.mean() == pytest.approx(2 / 3, abs=1e-4)


# ---- the Cantor function ----------------------------------------------------------------------


def exact_cantor(x: Fraction, iterate: int) -> Fraction:
    """The iterate by its definition, in exact arithmetic."""
    if x <= 0 or x >= 1:
        return Fraction(int(x >= 1))
    if not iterate:
        return x
    if 3 * x <= 1:
        return exact_cantor(3 * x, iterate - 1) / 2
    if 3 * x >= 2:
        return Fraction(1, 2) + exact_cantor(3 * x - 2, iterate - 1) / 2
    return Fraction(1, 2)


@pytest.mark.parametrize("iterate", range(9))
def test_iterates_of_the_cantor_function(iterate: int) -> None:
    problem = cantor(iterate)
    x = np.concatenate([np.linspace(-0.5, 1.5, 801), np.random.default_rng(0).random(200)])
    exact = [float(exact_cantor(Fraction(float(point)), iterate)) for point in x]
    np.testing.assert_allclose(problem.value(x[:, None]), exact, rtol=0, atol=1e-13)
    # Cells of width 3^-k, seen from their middles: 2^k of the 3^k have slope (3/2)^k.
    cells = 3**iterate
    middles = (np.arange(cells)[:, None] + 0.5) / cells
    slopes = problem.gradient(middles)[:, 0]
    assert (slopes > 0).sum() == 2**iterate
    assert (slopes == 0).mean() == pytest.approx(1 - (2 / 3) ** iterate)
    h = 0.2 / cells
    numeric = (problem.value(middles + h) - problem.value(middles - h)) / (2 * h)
    np.testing.assert_allclose(numeric, slopes, rtol=1e-8, atol=1e-8)
    assert set(slopes) <= {0.0, 1.5**iterate}
    assert problem.max_second_moment() == pytest.approx(1.5 ** (2 * iterate))
    np.testing.assert_array_equal(problem.gradient(np.array([[-1.0], [0.0], [1.0], [2.0]])), 0)
    limit = cantor().value(x[:, None])
    assert np.abs(problem.value(x[:, None]) - limit).max() <= 2.0**-iterate / 3 + 1e-9


def test_the_cantor_function() -> None:
    problem = cantor()
    x = np.array([[-1.0], [0.0], [1 / 4], [1 / 3], [0.5], [2 / 3], [3 / 4], [0.9], [1.0], [7.0]])
    wanted = [0, 0, 1 / 3, 1 / 2, 1 / 2, 1 / 2, 2 / 3, 4 / 5, 1, 1]
    np.testing.assert_allclose(problem.value(x), wanted, atol=1e-9)
    grid = np.linspace(-0.2, 1.2, 5001)[:, None]
    values = problem.value(grid)
    assert (np.diff(values) >= 0).all()
    np.testing.assert_allclose(values + problem.value(1 - grid), 1, atol=1e-9)
    np.testing.assert_array_equal(problem.gradient(grid), 0)
    assert problem.max_second_moment() == 0
    assert problem.minimum == 0
    assert problem.minimizer == 0.0
    np.testing.assert_allclose(problem.distance_squared(np.array([[-3.0], [0.5]])), [0, 0.25])
    assert not problem.convex


def test_gradient_descent_stalls_on_the_cantor_function() -> None:
    starts = np.random.default_rng(1).random((1000, 1))
    options = {"steps": 20, "step_size": 0.1, "replicates": 1000}
    run = gradient_descent(cantor(), starts, **options)
    np.testing.assert_array_equal(run.x, starts)
    assert run.gap[-1].min() > 0
    moved = gradient_descent(cantor(5), starts, **{**options, "steps": 1}).x != starts
    assert moved.mean() == pytest.approx((2 / 3) ** 5, abs=0.05)


# ---- networks ---------------------------------------------------------------------------------


def random_network(seed: int) -> tuple[ReluNetwork, np.ndarray]:
    """A network of some size and a point away from its kinks."""
    rng = np.random.default_rng(seed)
    n, d, m = (int(k) for k in rng.integers(1, 6, size=3))
    a = rng.standard_normal((n, d))
    if seed % 3 == 0:
        a[:, -1] = 1.0
    if seed % 2:
        problem = ReluNetwork(a, rng.choice([-1.0, 1.0], size=n), m, loss="logistic")
    else:
        problem = ReluNetwork(a, rng.standard_normal(n), m)
    return problem, problem.initial_weights(rng)[0]


def by_hand(problem: ReluNetwork, x: np.ndarray, i: int) -> tuple[float, np.ndarray]:
    """Value and gradient of one component, one unit at a time."""
    m, d = problem.hidden, problem.features.shape[1]
    a, b = problem.features[i], problem.targets[i]
    weights, output = x[: m * d].reshape(m, d), x[m * d :]
    units = [max(0.0, float(w @ a)) for w in weights]
    prediction = sum(v * u for v, u in zip(output, units, strict=True))
    if problem.loss == "squared":
        value, slope = (prediction - b) ** 2 / 2, prediction - b
    else:
        value, slope = math.log1p(math.exp(-b * prediction)), -b / (1 + math.exp(b * prediction))
    inner = [slope * v * a if u > 0 else 0 * a for v, u in zip(output, units, strict=True)]
    return value, np.concatenate([*inner, slope * np.array(units)])


@pytest.mark.parametrize("seed", range(40))
def test_gradients_of_networks(seed: int) -> None:
    problem, x = random_network(seed)
    n = problem.n_samples
    pairs = [by_hand(problem, x, i) for i in range(n)]
    values, slopes = np.array([v for v, _ in pairs]), np.array([g for _, g in pairs])
    close = {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(problem.component_values(x), values, **close)
    np.testing.assert_allclose(problem.component_gradients(x), slopes, **close)
    np.testing.assert_allclose(problem.value(x), values.mean(), **close)
    np.testing.assert_allclose(problem.gradient(x), slopes.mean(axis=0), **close)
    rng = np.random.default_rng(seed)
    batches = rng.integers(n, size=(6, 4))
    found = problem.minibatch_gradient(np.tile(x, (6, 1)), batches)
    np.testing.assert_allclose(found, slopes[batches].mean(axis=1), **close)
    # Against differences; a kink closer than h would show, and none is.
    h = 1e-6
    assert np.abs(problem.preactivations(x)).min() > 10 * h
    for j, unit in enumerate(np.eye(problem.dim)):
        numeric = (problem.value(x + h * unit) - problem.value(x - h * unit)) / (2 * h)
        assert numeric == pytest.approx(problem.gradient(x)[j], abs=1e-7)


@pytest.mark.parametrize("seed", range(10))
def test_networks_take_points_of_every_shape(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, _ = random_network(seed)
    x = problem.initial_weights(seed, 12)
    values, gradients = problem.value(x), problem.gradient(x)
    assert problem.value(x.reshape(3, 4, -1)).shape == (3, 4)
    assert problem.gradient(x.reshape(3, 4, -1)).shape == x.reshape(3, 4, -1).shape
    np.testing.assert_array_equal(problem.gradient(x.reshape(3, 4, -1)).reshape(12, -1), gradients)
    np.testing.assert_allclose(
        problem.predictions(x.reshape(3, 4, -1)),
        [[problem.predictions(p) for p in q] for q in x.reshape(3, 4, -1)],
        rtol=1e-12,
        atol=1e-14,
    )
    monkeypatch.setattr("sgdnotes.problems.networks.SLICE", 1)
    np.testing.assert_allclose(problem.value(x), values, rtol=1e-13)
    np.testing.assert_allclose(problem.gradient(x), gradients, rtol=1e-12, atol=1e-14)
    assert problem.value(x[:0]).shape == (0,)
    # A replicate's gradient does not depend on the company it keeps.
    batches = np.random.default_rng(seed).integers(problem.n_samples, size=(12, 3))
    together = problem.minibatch_gradient(x, batches)
    for r in range(12):
        alone = problem.minibatch_gradient(x[r : r + 1], batches[r : r + 1])[0]
        np.testing.assert_allclose(alone, together[r], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement", "reshuffled"])
def test_networks_train(sampling: str) -> None:
    rng = np.random.default_rng(2)
    a = np.column_stack([rng.standard_normal((40, 2)), np.ones(40)])
    teacher = ReluNetwork(a, np.zeros(40), 2).initial_weights(3)[0]
    problem = ReluNetwork.from_teacher(a, teacher)
    x0 = problem.initial_weights(4, 8)
    run = sgd(
        problem,
        x0,
        steps=1000,
        step_size=0.1,
        batch_size=8,
        sampling=sampling,
        replicates=8,
        rng=0,
        record=[0, 1000],
    )
    assert np.median(run.gap[-1]) < 0.05 * np.median(run.gap[0])
    assert run.gap[-1].min() > 0


def test_a_teacher_is_a_minimiser() -> None:
    rng = np.random.default_rng(0)
    a, weights = rng.standard_normal((30, 3)), rng.standard_normal(20)
    problem = ReluNetwork.from_teacher(a, weights)
    assert (problem.hidden, problem.dim) == (5, 20)
    assert problem.minimum == problem.value(weights) == problem.gap(weights) == 0
    np.testing.assert_array_equal(problem.minimizer, weights)
    np.testing.assert_array_equal(problem.gradient(weights), 0)
    assert problem.gradient_noise_at_minimum == pytest.approx(0, abs=1e-25)
    assert problem.interpolation_gap == 0
    # Another order of the units, or 2w and v/2, predicts the same: no distance can be told.
    hidden, output = weights[:15].reshape(5, 3), weights[15:]
    other = np.concatenate([2 * hidden[::-1].ravel(), output[::-1] / 2])
    assert problem.value(other) == pytest.approx(0, abs=1e-28)
    with pytest.raises(ValueError, match="problem: wanted one whose minimisers are all known"):
        problem.distance_squared(other)


def test_without_a_teacher_the_minimum_is_unknown() -> None:
    problem = ReluNetwork([[1.0], [2.0]], [1.0, -1.0], 3, loss="logistic")
    for ask in ("minimum", "minimizer", "interpolation_gap", "gradient_noise_at_minimum"):
        with pytest.raises(ValueError, match=r"problem: wanted a network from_teacher.*got ReLU"):
            getattr(problem, ask)
    with pytest.raises(ValueError, match="from_teacher"):
        problem.gap(np.zeros(6))
    options = {"steps": 5, "step_size": 0.1, "rng": 0}
    with pytest.raises(ValueError, match="from_teacher"):
        sgd(problem, **options)
    values = sgd(problem, metrics={"value": lambda p, x: p.value(x)}, **options).history["value"]
    assert values.shape == (6, 1)


def test_constants_of_networks() -> None:
    problem = ReluNetwork([[1.0, 1.0], [0.0, 0.0]], [0.5, 3.0], 2)
    assert problem.smoothness == problem.max_smoothness == problem.average_smoothness == math.inf
    assert problem.strong_convexity == problem.pl_constant == 0
    assert problem.max_second_moment(1.0) == math.inf
    assert not problem.convex
    assert not problem.components_convex
    np.testing.assert_array_equal(problem.component_minima, [0.0, 4.5])
    logistic = ReluNetwork([[1.0, 1.0], [0.0, 0.0]], [1.0, -1.0], 2, loss="logistic")
    np.testing.assert_allclose(logistic.component_minima, [0.0, math.log(2)])
    far = 20 * np.ones(6)
    assert logistic.component_values(far)[0] < 1e-100  # an infimum that is not attained
    # Not convex: the mean of two perfect points is not perfect.
    first, second = np.array([1, 0, 0, 0, 0.5, 0]), np.array([0, 0, 1, 0, 0, 0.5])
    np.testing.assert_allclose(problem.component_values(np.array([first, second])[0])[0], 0)
    assert problem.component_values((first + second) / 2)[0] > 0.01
    # The origin is stationary, which rules out PL, and no bound on the curvature holds: the
    # gradient jumps across a kink.
    np.testing.assert_array_equal(problem.gradient(np.zeros(6)), 0)
    kink = np.array([1.0, -1.0, 0, 0, 1.0, 0])
    for h in (1e-3, 1e-9):
        ahead, behind = (kink + s * h * np.eye(6)[0] for s in (1, -1))
        jump = np.linalg.norm(problem.gradient(ahead) - problem.gradient(behind))
        assert jump == pytest.approx(0.25 * math.sqrt(2), rel=1e-2)
    np.testing.assert_array_equal(problem.gradient(kink), 0)  # the convention at the kink
    assert problem.preactivations(kink)[0, 0] == 0


def test_initial_weights_have_the_promised_variances() -> None:
    problem = ReluNetwork(np.ones((3, 4)), np.zeros(3), 10)
    x = problem.initial_weights(0, 4000)
    assert x.shape == (4000, 50)
    assert x.mean() == pytest.approx(0, abs=0.01)
    assert x[:, :40].var() == pytest.approx(0.5, rel=0.02)
    assert x[:, 40:].var() == pytest.approx(0.1, rel=0.02)
    np.testing.assert_array_equal(x, problem.initial_weights(np.random.default_rng(0), 4000))


# ---- real data --------------------------------------------------------------------------------


def breast_cancer() -> tuple[np.ndarray, np.ndarray]:
    """The standardised data with a column of ones; 560 rows, because 569 is prime."""
    raw, benign = load_breast_cancer(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(raw))[:560]
    standardised = (raw[rows] - raw[rows].mean(axis=0)) / raw[rows].std(axis=0)
    return np.column_stack([standardised, np.ones(560)]), 2.0 * benign[rows] - 1


@pytest.mark.parametrize("weight", [1e-3, 1e-1])
def test_classifiers_of_real_data(weight: float) -> None:
    a, y = breast_cancer()
    options = {"fit_intercept": False, "C": 1 / (560 * weight), "max_iter": 10**6}
    machine = SupportVectorMachine(a, y, weight)
    wanted = LinearSVC(loss="hinge", dual=True, tol=1e-10, **options).fit(a, y).coef_[0]
    np.testing.assert_allclose(machine.minimizer, wanted, rtol=0, atol=1e-7)
    logistic = LogisticRegression(a, y, weight)
    wanted = SklearnLogistic(solver="newton-cholesky", tol=1e-12, **options).fit(a, y).coef_[0]
    np.testing.assert_allclose(logistic.minimizer, wanted, rtol=0, atol=1e-7)
    for problem in (machine, logistic):
        schedule = {"batch_size": 8, "sampling": "reshuffled", "rng": 0}
        run = sgd(problem, steps=700, step_size=2e-3, record=[0, 700], **schedule)
        assert run.gap[-1] < 0.5 * run.gap[0]


def test_real_data_without_a_penalty() -> None:
    a, y = breast_cancer()
    assert SupportVectorMachine(a, y, 0.0).minimum == pytest.approx(0, abs=1e-12)
    assert LogisticRegression(a, y, 0.0).separable
    raw, progression = load_diabetes(return_X_y=True)
    rows = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    targets = (progression - progression.mean()) / progression.std()
    squares = LeastSquares(rows, targets)
    explained = 1 - 2 * squares.minimum  # the well-known R² of this data set
    assert explained == pytest.approx(0.5177, abs=1e-4)
    deviations = LeastAbsoluteDeviations(rows, targets)
    assert deviations.minimum <= deviations.value(squares.minimizer)
    signs = np.sign(rows @ deviations.minimizer - targets)
    fitted = np.abs(rows @ deviations.minimizer - targets) < 1e-10
    assert fitted.sum() == 10  # a vertex: as many residuals vanish as there are unknowns
    push = np.linalg.solve(rows[fitted].T, -(rows[~fitted].T @ signs[~fitted]))
    assert np.abs(push).max() <= 1
