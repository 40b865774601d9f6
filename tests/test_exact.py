"""Exact expectations against enumeration, against simulation and against algebra."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from random_settings import SAMPLINGS, features

from sgdnotes import enumerate_sgd, expected_sgd, sgd
from sgdnotes.moments import MAX_RANK, SecondMoments
from sgdnotes.problems import (
    FiniteSum,
    LeastSquares,
    LogisticRegression,
    Ridge,
    ScalarQuadratics,
    quadratic,
    sine_valley,
)
from sgdnotes.sampling import resolve
from sgdnotes.schedules import inverse_time

FIELDS = (
    "gap",
    "distance_squared",
    "gradient_norm_squared",
    "gradient_second_moment",
    "mean",
)
STEPS = {
    "constant": 0.15,
    "varying": lambda k: 0.3 / (k + 1),
    "long": 0.9,
}


def small_problems() -> dict[str, Ridge]:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((3, 2))
    b = rng.standard_normal(3)
    rank_one = np.outer([1.0, -2.0, 0.5], [1.0, 2.0])
    wide = rng.standard_normal((3, 5)) / 2
    return {
        "least squares": LeastSquares(a, b),
        "ridge": Ridge(a, b, 0.3),
        "rank-deficient": LeastSquares(rank_one, b),
        "rank-deficient ridge": Ridge(rank_one, b, 0.1),
        "overparametrised": LeastSquares(wide, b),
        "overparametrised ridge": Ridge(wide, b, 0.2),
        "one column": LeastSquares(a[:, :1], b),
        "constant column": LeastSquares(np.column_stack([np.ones(3), a[:, 0]]), b),
    }


PROBLEMS = small_problems()


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("batch_size", [1, 2, 3])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_moments_agree_with_enumeration(
    name: str, steps: str, batch_size: int, sampling: str
) -> None:
    problem = PROBLEMS[name]
    x0 = np.linspace(1, 2, problem.dim)
    # Six steps of nine batches are half a million sequences, which two cases are worth.
    patient = (name, steps) in {("least squares", "varying"), ("ridge", "constant")}
    length = {3: 6, 1: 6, 9: 6 if patient else 4, 27: 3}[
        len(resolve(sampling).outcomes(3, batch_size))
    ]
    arguments = {
        "steps": length,
        "step_size": STEPS[steps],
        "batch_size": batch_size,
        "sampling": sampling,
    }
    moments = expected_sgd(problem, x0, **arguments)
    enumerated = enumerate_sgd(problem, x0, **arguments)
    for field in FIELDS:
        exact, counted = getattr(moments, field), getattr(enumerated, field)
        assert exact.shape == counted.shape
        np.testing.assert_allclose(
            exact, counted, rtol=1e-12, atol=1e-12 * max(1.0, float(np.abs(counted).max()))
        )
    np.testing.assert_array_equal(moments.steps, np.arange(length + 1))
    np.testing.assert_array_equal(moments.steps, enumerated.steps)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_enumeration_agrees_with_a_loop_over_sequences(sampling: str) -> None:
    problem = LogisticRegression([[1.0, 0.0], [0.5, -1.0], [2.0, 1.0]], [1.0, -1.0, 1.0], 0.1)
    batches = (
        list(itertools.product(range(3), repeat=2))
        if sampling == "with_replacement"
        else list(itertools.combinations(range(3), 2))
    )
    x0 = np.array([1.0, -1.0])
    schedule = [0.5, 0.25, 0.125]
    gaps = []
    for sequence in itertools.product(batches, repeat=3):
        x = x0.copy()
        for alpha, batch in zip(schedule, sequence, strict=True):
            gradients = problem.component_gradients(x)[list(batch)]
            x = x - alpha * gradients.mean(axis=0)
        gaps.append(float(problem.value(x)) - problem.minimum)
    expectation = enumerate_sgd(
        problem, x0, steps=3, step_size=lambda k: schedule[k], batch_size=2, sampling=sampling
    )
    assert expectation.gap[-1] == pytest.approx(np.mean(gaps), rel=1e-12)


def test_the_two_ways_agree_on_a_parabola_outside_least_squares() -> None:
    # f_i = h/2 (x - b_i)² written once as least squares and once as scalar quadratics.
    h, b = 1.7, np.array([0.0, 1.0, 3.0])
    scalar = ScalarQuadratics(np.full(3, h), b)
    rows = LeastSquares(np.full((3, 1), np.sqrt(h)), np.sqrt(h) * b)
    one = enumerate_sgd(scalar, [2.0], steps=6, step_size=0.2)
    two = expected_sgd(rows, [2.0], steps=6, step_size=0.2)
    for field in FIELDS:
        np.testing.assert_allclose(getattr(one, field), getattr(two, field), rtol=1e-12)


def regression(n: int = 30, p: int = 4, seed: int = 0) -> LeastSquares:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, p))
    return LeastSquares(a, a @ rng.standard_normal(p) + rng.standard_normal(n))


@pytest.mark.parametrize(
    ("kind", "batch_size", "sampling", "step"),
    [
        ("least squares", 1, "with_replacement", 0.05),
        ("least squares", 5, "without_replacement", 0.2),
        ("ridge", 2, "with_replacement", 0.05),
        ("rank-deficient", 3, "without_replacement", 0.02),
        ("decreasing", 2, "without_replacement", None),
    ],
)
def test_moments_agree_with_an_ensemble(
    kind: str, batch_size: int, sampling: str, step: float | None
) -> None:
    problem: Ridge = regression()
    if kind == "ridge":
        problem = Ridge(problem.features, problem.targets, 0.5)
    if kind == "rank-deficient":
        features = problem.features.copy()
        features[:, 3] = features[:, 0] - features[:, 1]
        problem = LeastSquares(features, problem.targets)
    schedule = step if step is not None else (lambda k: 0.1 / (1 + 0.1 * k))
    x0 = problem.minimizer + 1.0
    arguments = {"batch_size": batch_size, "sampling": sampling, "step_size": schedule}
    exact = expected_sgd(problem, x0, steps=200, **arguments)
    trace = sgd(
        problem,
        x0,
        steps=200,
        replicates=20_000,
        rng=2026,
        record=[1, 3, 10, 30, 100, 200],
        metrics=["gap", "distance_squared", "gradient_norm_squared"],
        **arguments,
    )
    for metric in trace.history:
        mean, error = trace.mean(metric)
        wanted = getattr(exact, metric)[trace.steps]
        later = trace.steps > 0
        assert (error[later] < 0.02 * wanted[later]).all()
        assert (np.abs(mean - wanted)[later] <= 5 * error[later] + 1e-12).all()
    center = trace.x.mean(axis=0) - exact.mean[-1]
    spread = trace.x.std(axis=0, ddof=1) / np.sqrt(len(trace.x))
    assert (np.abs(center) <= 5 * spread + 1e-12).all()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_stationary_state_is_where_long_runs_end(sampling: str) -> None:
    problem = regression()
    for batch_size in (1, 7):
        moments = SecondMoments(problem, batch_size, sampling)
        alpha = 0.8 / problem.max_smoothness
        states = moments.evolve(moments.state([3.0] * 4), np.full(5000, alpha))
        limit = moments.stationary(alpha)
        np.testing.assert_allclose(states[-1], limit, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(moments.step(alpha) @ limit, limit, rtol=1e-10, atol=1e-14)


def test_the_stationary_state_of_ridge_regression() -> None:
    base = regression()
    problem = Ridge(base.features, base.targets, 0.4)
    moments = SecondMoments(problem, 2)
    states = moments.evolve(moments.state(), np.full(3000, 0.05))
    np.testing.assert_allclose(states[-1], moments.stationary(0.05), rtol=1e-9, atol=1e-12)


def test_one_dimension_by_hand() -> None:
    # f = h/2 x², noise of variance s² in the gradient: E x² = α s²/(h (2 - α h)).
    a = np.sqrt(2.0)
    problem = LeastSquares([[a], [a]], [1 / a, -1 / a])  # gradients 2x - 1 and 2x + 1
    moments = SecondMoments(problem)
    for alpha in (0.01, 0.3, 0.9):
        state = moments.stationary(alpha)
        variance = alpha * 1 / (2 * (2 - 2 * alpha))
        assert moments.distance_squared(state) == pytest.approx(variance, rel=1e-12)
        assert moments.gap(state) == pytest.approx(variance, rel=1e-12)
        assert moments.gradient_norm_squared(state) == pytest.approx(4 * variance, rel=1e-12)
        assert moments.gradient_second_moment(state) == pytest.approx(4 * variance + 1, rel=1e-12)
        assert moments.spectral_radius(alpha) == pytest.approx((1 - 2 * alpha) ** 2, rel=1e-9)


def kronecker_step(problem: LeastSquares, alpha: float, factor: float) -> np.ndarray:
    """The step of the second moment in full, without the symmetry that the library uses."""
    a = problem.features
    n, p = a.shape
    sigma = a.T @ a / n
    contraction = np.eye(p) - alpha * sigma
    fourth = sum(np.kron(np.outer(r, r), np.outer(r, r)) for r in a) / n
    return np.kron(contraction, contraction) + alpha**2 * factor * (fourth - np.kron(sigma, sigma))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_spectral_radius_by_kronecker_products(sampling: str) -> None:
    problem = regression(100, 4)
    for batch_size in (1, 10):
        moments = SecondMoments(problem, batch_size, sampling)
        factor = resolve(sampling).variance_factor(100, batch_size)
        for alpha in (0.01, 0.1, 0.5, 1.0):
            full = np.abs(np.linalg.eigvals(kronecker_step(problem, alpha, factor))).max()
            assert moments.spectral_radius(alpha) == pytest.approx(full, rel=1e-9)


def test_sgd_is_unstable_long_before_gradient_descent() -> None:
    problem = regression(100, 10)
    moments = SecondMoments(problem, 10)
    low, high = 0.0, 2 / problem.smoothness
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if moments.spectral_radius(middle) < 1 else (low, middle)
    # For a design of this kind the limit of SGD is measured at about two thirds of 2/L.
    assert 0.5 < low / (2 / problem.smoothness) < 0.85
    grown = moments.evolve(moments.state(), np.full(4000, 1.02 * low))
    shrunk = moments.evolve(moments.state(), np.full(4000, 0.98 * low))
    assert moments.gap(grown)[-1] > 1e3 * moments.gap(grown)[0]
    assert moments.gap(shrunk)[-1] < 1e3 * moments.gap(shrunk)[0]
    with pytest.raises(ValueError, match=r"step_size: .*mean-square stable.*spectral radius"):
        moments.stationary(1.02 * low)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 100, 1023])
def test_doubling_equals_stepping(length: int) -> None:
    problem = regression(20, 3)
    moments = SecondMoments(problem, 2)
    alpha = 0.4 / problem.max_smoothness
    doubled = moments.evolve(moments.state([1.0, 2.0, 3.0]), np.full(length, alpha))
    state = moments.state([1.0, 2.0, 3.0])
    step = moments.step(alpha)
    for k in range(length + 1):
        np.testing.assert_allclose(doubled[k], state, rtol=1e-11, atol=1e-13)
        state = step @ state
    # A schedule that is constant but for its last step takes the other path.
    sizes = np.append(np.full(length, alpha), alpha / 2)
    np.testing.assert_allclose(
        moments.evolve(moments.state([1.0, 2.0, 3.0]), sizes)[:-1], doubled, rtol=1e-11, atol=1e-13
    )


def test_second_moments_are_positive_semidefinite() -> None:
    rng = np.random.default_rng(9)
    for _ in range(30):
        n, p = int(rng.integers(1, 7)), int(rng.integers(1, 5))
        problem = LeastSquares(features(rng, n, p), rng.standard_normal(n))
        moments = SecondMoments(problem)
        sizes = np.full(50, 0.9 / problem.max_smoothness)
        states = moments.evolve(moments.state(rng.standard_normal(p)), sizes)
        second, first = moments.second_moment(states), moments.mean_offset(states)
        covariance = second - first[..., :, None] * first[..., None, :]
        lowest = np.linalg.eigvalsh(covariance).min(axis=-1)
        assert (lowest >= -1e-10 * (1 + np.abs(second).max(axis=(-1, -2)))).all()


def test_what_never_moves_stays() -> None:
    problem = LeastSquares([[1.0, 1.0], [2.0, 2.0]], [1.0, 0.0])
    exact = expected_sgd(problem, [3.0, -1.0], steps=50, step_size=0.1)
    np.testing.assert_allclose(exact.mean @ [1.0, -1.0], 4.0, rtol=1e-13)
    np.testing.assert_allclose(exact.mean[0], [3.0, -1.0], rtol=1e-13)


def test_expectations_too_large_are_infinite_and_never_nan() -> None:
    problem = regression(10, 2)
    exact = expected_sgd(problem, [1.0, 1.0], steps=3000, step_size=50.0)
    varying = expected_sgd(problem, [1.0, 1.0], steps=3000, step_size=lambda k: 50.0 + k % 2)
    for expectation in (exact, varying):
        for field in ("gap", "distance_squared", "gradient_second_moment"):
            values = getattr(expectation, field)
            assert not np.isnan(values).any()
            assert np.isinf(values[-1])
            assert np.isfinite(values[0])
        assert not np.isnan(expectation.mean).any()


def test_zero_steps() -> None:
    exact = expected_sgd(regression(), [1.0] * 4, steps=0, step_size=0.1)
    assert exact.gap.shape == (1,)
    assert exact.gap[0] == pytest.approx(float(regression().gap(np.ones(4))))
    counted = enumerate_sgd(quadratic(1.0, [1.0, -1.0]), [2.0], steps=0, step_size=0.1)
    assert counted.gap.tolist() == [2.0]


@pytest.mark.parametrize(
    "problem", [LogisticRegression([[1.0]], [1.0], 1.0), quadratic(1.0), sine_valley()]
)
def test_moments_close_on_least_squares_only(problem: FiniteSum) -> None:
    with pytest.raises(ValueError, match=r"problem: wanted least squares or ridge"):
        expected_sgd(problem, steps=3, step_size=0.1)  # type: ignore[arg-type]


def test_limits_of_size_are_stated() -> None:
    rng = np.random.default_rng(0)
    wide = LeastSquares(rng.standard_normal((MAX_RANK + 5, MAX_RANK + 1)), np.ones(MAX_RANK + 5))
    with pytest.raises(ValueError, match=rf"problem: .*{MAX_RANK} directions"):
        expected_sgd(wide, steps=1, step_size=0.1)
    with pytest.raises(ValueError, match=r"steps: .*sequences"):
        enumerate_sgd(regression(), steps=6, step_size=0.1)
    with pytest.raises(ValueError, match=r"step_size: .*diverges"):
        enumerate_sgd(PROBLEMS["least squares"], [1e70, 1e70], steps=6, step_size=1e9)


def test_rank_counts_not_columns() -> None:
    rng = np.random.default_rng(4)
    a = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 100))
    problem = LeastSquares(a, rng.standard_normal(40))
    exact = expected_sgd(problem, steps=10, step_size=1e-3)
    assert exact.mean.shape == (11, 100)
    narrow = LeastSquares(a @ problem.row_space.T, problem.targets)
    np.testing.assert_allclose(
        exact.gap, expected_sgd(narrow, steps=10, step_size=1e-3).gap, rtol=1e-10
    )


def test_decreasing_steps_reach_where_constant_steps_stall() -> None:
    problem = regression()
    constant = expected_sgd(problem, steps=4000, step_size=0.05)
    shrinking = inverse_time(problem.pl_constant)
    decreasing = expected_sgd(problem, steps=4000, step_size=lambda k: min(0.05, shrinking(k)))
    assert decreasing.gap[-1] < constant.gap[-1] / 10
