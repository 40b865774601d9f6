"""Expectations over fresh samples, and that they run like finite sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import norm

from sgdnotes import expected_sgd, gradient_descent, sgd
from sgdnotes.problems import (
    GaussianLeastSquares,
    LeastSquares,
    NormalMedian,
    Population,
    check_problem,
)

COVARIANCE = np.array([[2.0, 0.6], [0.6, 1.0]])
STREAM = GaussianLeastSquares(COVARIANCE, [1.0, -2.0], 0.5)
MEDIAN = NormalMedian(1.5, 2.0)
POPULATIONS: list[Population] = [STREAM, MEDIAN]


@pytest.mark.parametrize("problem", POPULATIONS, ids=repr)
def test_gradient_and_constants(problem: Population) -> None:
    rng = np.random.default_rng(0)
    for x in 3 * rng.standard_normal((5, problem.dim)):
        numeric = approx_fprime(x, lambda y: float(problem.value(y)), 1e-7)
        np.testing.assert_allclose(problem.gradient(x), numeric, atol=1e-5)
        assert problem.value(x) - problem.minimum == pytest.approx(float(problem.gap(x)), abs=1e-12)
    assert problem.gap(problem.minimizer) == pytest.approx(0, abs=1e-15)
    points = 10 * rng.standard_normal((2, 2000, problem.dim))
    change = np.linalg.norm(problem.gradient(points[0]) - problem.gradient(points[1]), axis=1)
    slopes = change / np.linalg.norm(points[0] - points[1], axis=1)
    assert slopes.max() <= problem.smoothness * (1 + 1e-12)
    near = problem.minimizer + 1e-4 * rng.standard_normal((2000, problem.dim))
    steep = np.linalg.norm(problem.gradient(near), axis=1)
    ratio = steep / np.linalg.norm(near - problem.minimizer, axis=1)
    assert ratio.max() == pytest.approx(problem.smoothness, rel=1e-3)
    assert ratio.min() >= problem.strong_convexity * (1 - 1e-9)


def test_the_mean_distance_by_quadrature() -> None:
    for x in (-3.0, 1.5, 4.0):
        integral = quad(lambda w, x=x: abs(x - w) * norm.pdf(w, 1.5, 2.0), -20, 20, points=[x])[0]
        assert MEDIAN.value(np.array([x])) == pytest.approx(integral, rel=1e-8)


@pytest.mark.parametrize("problem", POPULATIONS, ids=repr)
def test_stochastic_gradients_are_unbiased(problem: Population) -> None:
    rng = np.random.default_rng(1)
    x = np.full((40_000, problem.dim), 0.7)
    gradients = problem.minibatch_gradient(x, problem.sample(rng, (40_000, 3)))
    error = gradients.std(axis=0, ddof=1) / np.sqrt(40_000)
    assert (np.abs(gradients.mean(axis=0) - problem.gradient(x[0])) <= 5 * error).all()


def test_samples_have_the_moments_asked_for() -> None:
    samples = STREAM.sample(np.random.default_rng(2), (100_000,))
    features, targets = samples[:, :-1], samples[:, -1]
    np.testing.assert_allclose(features.T @ features / 100_000, COVARIANCE, atol=5 * 3 / 316)
    residuals = targets - features @ STREAM.minimizer
    assert residuals.std() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(2e5))


def test_one_call_for_both_kinds_of_problem() -> None:
    finite = LeastSquares(np.eye(2), [1.0, 2.0])
    for problem in (finite, STREAM, MEDIAN):
        trace = sgd(problem, steps=2000, step_size=0.01, batch_size=2, replicates=50, rng=0)
        assert trace.success
        assert trace.gap[-1].mean() < 0.1 * trace.gap[0].mean()
        assert trace.n_gradients == 4000
    assert gradient_descent(STREAM, steps=3, step_size=0.1).n_gradients == 3


def test_the_stationary_variance_by_algebra() -> None:
    # With a = ±1 times a Gaussian in one dimension: δ⁺ = (1 - αa²)δ + αasξ, E a² = h, E a⁴ = 3h².
    h, s, alpha = 0.5, 0.8, 0.1
    stream = GaussianLeastSquares([[h]], [0.0], s)
    wanted = alpha**2 * h * s**2 / (2 * alpha * h - 3 * alpha**2 * h**2)
    trace = sgd(stream, steps=400, step_size=alpha, replicates=20_000, rng=4, record=[400])
    squares = trace.x[:, 0] ** 2
    assert abs(squares.mean() - wanted) <= 5 * squares.std() / np.sqrt(20_000)


@pytest.mark.parametrize("problem", POPULATIONS, ids=repr)
def test_what_a_replicate_sees_does_not_depend_on_company(problem: Population) -> None:
    options: dict[str, Any] = {"steps": 200, "step_size": 0.01, "rng": 7}
    many = sgd(problem, replicates=100, **options)
    few = sgd(problem, replicates=3, **options)
    np.testing.assert_allclose(few.x, many.x[:3], rtol=1e-10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sgdnotes.sampling.BLOCK", 7)
        short = sgd(problem, replicates=3, **options)
    np.testing.assert_allclose(short.x, few.x, rtol=1e-10)


def test_growing_batches_of_fresh_samples() -> None:
    trace = sgd(STREAM, steps=5, step_size=0.1, batch_size=lambda k: k + 1, rng=0)
    assert trace.n_gradients == 15


BAD: list[tuple[str, Any]] = [
    ("covariance", lambda: GaussianLeastSquares([[1.0, 2.0], [2.0, 1.0]], [0.0, 0.0], 1.0)),
    ("covariance", lambda: GaussianLeastSquares([[1.0, 0.5], [0.0, 1.0]], [0.0, 0.0], 1.0)),
    ("covariance", lambda: GaussianLeastSquares([[1.0]], [0.0, 0.0], 1.0)),
    ("noise", lambda: GaussianLeastSquares([[1.0]], [0.0], -1.0)),
    ("standard_deviation", lambda: NormalMedian(0.0, 0.0)),
    ("sampling", lambda: sgd(STREAM, steps=1, step_size=0.1, sampling="reshuffled")),
    ("sampling", lambda: sgd(STREAM, steps=1, step_size=0.1, sampling="without_replacement")),
    ("problem", lambda: check_problem(STREAM)),
    ("problem", lambda: sgd("stream", steps=1, step_size=0.1)),
    ("problem", lambda: expected_sgd(STREAM, steps=1, step_size=0.1)),
]


@pytest.mark.parametrize(("argument", "call"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_bad_input_is_refused_by_name(argument: str, call: Any) -> None:
    with pytest.raises(ValueError, match="wanted") as caught:
        call()
    assert str(caught.value).startswith(f"{argument}: ")
