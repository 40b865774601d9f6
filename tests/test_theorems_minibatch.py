"""Minibatches: what the theorems of lecture 07 say, by independent means."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from scipy.linalg import solve

from sgdnotes import expected_sgd
from sgdnotes.moments import SecondMoments
from sgdnotes.problems import LeastSquares, Ridge, quadratic
from sgdnotes.schedules import geometric_batches
from sgdnotes.theorems import ALL, BatchChoice, Claims, GrowingRun, Points, StochasticRun
from sgdnotes.theorems.minibatch import (
    best_batch_size,
    cheapest_step,
    geometric_sum,
    gradients_needed,
)

SAMPLINGS = ("with_replacement", "without_replacement")


def regression(seed: int, n: int, scales: list[float]) -> LeastSquares:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, len(scales))) * scales
    return LeastSquares(a, a @ rng.standard_normal(len(scales)) + rng.standard_normal(n))


FIT = regression(0, 200, [1.0, 0.8, 0.6, 0.5, 0.4])
START = np.full(5, 3.0)
STEP = 1 / FIT.smoothness


def growing(steps: int, batch_size: Any, sampling: str = "with_replacement") -> GrowingRun:
    return GrowingRun(
        FIT, steps=steps, step_size=STEP, x0=START, batch_size=batch_size, sampling=sampling
    )


# ---- one step with an error -------------------------------------------------------------------


def test_the_error_step_is_attained_by_a_parabola_for_every_error() -> None:
    errors = np.array([[0.0], [1.0], [-7.0], [100.0]])
    verdict = ALL["lem-gradient-error"].check(
        Points(quadratic(3.0), points=[[2.0]] * 4, displacements=errors)
    )
    np.testing.assert_allclose(verdict.observed, verdict.bound, rtol=1e-12)


def test_an_error_against_the_gradient_stops_the_descent() -> None:
    problem = quadratic(3.0)
    gradient = problem.gradient(np.array([[2.0]]))
    verdict = ALL["lem-gradient-error"].check(
        Points(problem, points=[[2.0]], displacements=-gradient)
    )
    assert verdict.observed[0] == verdict.bound[0] == problem.gap(np.array([[2.0]]))[0]


# ---- errors of batches ------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_errors_along_a_run_by_enumeration(sampling: str) -> None:
    problem = Ridge([[1.0, 0.0], [0.5, -1.0], [2.0, 1.0]], [1.0, 0.0, -1.0], 0.1)
    run = GrowingRun(
        problem, steps=5, step_size=0.1, x0=[1.0, 2.0], batch_size=2, sampling=sampling
    )
    counted = StochasticRun(
        problem, steps=5, step_size=0.1, x0=[1.0, 2.0], batch_size=2, sampling=sampling
    ).expectation
    wanted = (counted.gradient_second_moment - counted.gradient_norm_squared)[:-1]
    np.testing.assert_allclose(run.error_second_moment, wanted, rtol=1e-11)
    first = 1 / 2 if sampling == "with_replacement" else (3 - 2) / (2 * 2)
    assert run.error_second_moment[0] == pytest.approx(
        first * problem.gradient_variance(np.array([1.0, 2.0])), rel=1e-12
    )


def test_the_errors_of_huge_batches_are_not_lost_to_rounding() -> None:
    run = growing(60, geometric_batches(1, 2.0))
    late = run.error_second_moment[-1] * run.batch_sizes[-1]
    assert late == pytest.approx(FIT.gradient_noise_at_minimum, rel=0.05)


# ---- the error along a run --------------------------------------------------------------------


def test_the_bound_is_attained_at_every_step_by_a_parabola() -> None:
    problem = LeastSquares(np.full((4, 1), 2.0), [1.0, 0.0, -3.0, 5.0])
    for batch_size in (1, 3, geometric_batches(1, 1.5)):
        verdict = ALL["thm-gradient-error"].check(
            GrowingRun(problem, steps=20, step_size=0.25, x0=[9.0], batch_size=batch_size)
        )
        np.testing.assert_allclose(verdict.observed, verdict.bound, rtol=1e-9)


def test_the_bound_by_its_formula() -> None:
    run = growing(30, geometric_batches(2, 1.2))
    q = 1 - FIT.pl_constant / FIT.smoothness
    errors, gap = run.error_second_moment, float(FIT.gap(START))
    for steps in (0, 1, 7, 30):
        paid = sum(q ** (steps - 1 - j) * errors[j] for j in range(steps))
        wanted = q**steps * gap + paid / (2 * FIT.smoothness)
        assert ALL["thm-gradient-error"].check(run).bound[steps] == pytest.approx(wanted, rel=1e-12)


def test_a_fixed_batch_ends_on_the_plateau_of_a_linear_system() -> None:
    # The stationary second moment by vectorisation: M = P M P + α² c C(M), all without the library.
    a, n = FIT.features, 200
    residuals = a @ FIT.minimizer - FIT.targets
    hessian, batch = a.T @ a / n, 10
    shrink = np.eye(5) - STEP * hessian
    squares = np.einsum("ni,nj,nk,nl->ijkl", a, a, a, a, optimize=True).reshape(25, 25) / n
    mean = np.kron(hessian, hessian)
    matrix = np.kron(shrink, shrink) + STEP**2 / batch * (squares - mean)
    noise = STEP**2 / batch * np.einsum("n,ni,nj->ij", residuals**2, a, a).ravel() / n
    second = solve(np.eye(25) - matrix, noise).reshape(5, 5)
    plateau = float(np.trace(hessian @ second)) / 2
    run = growing(200, 10)
    assert run.expectation.gap[-1] == pytest.approx(plateau, rel=1e-6)
    moments = SecondMoments(FIT, 10)
    assert moments.gap(moments.stationary(STEP)) == pytest.approx(plateau, rel=1e-9)
    assert run.expectation.gap[-1] == pytest.approx(run.expectation.gap[-50], rel=0.05)
    bound = ALL["thm-gradient-error"].check(run).bound[-1]
    assert 2 < bound / plateau < 20


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_growing_batches_reach_machine_precision(sampling: str) -> None:
    capped = growing(150, geometric_batches(10, 1.1, 200), sampling)
    if sampling == "without_replacement":
        assert capped.expectation.gap[150] < 1e-12
        assert capped.expectation.gap[60] < 1e-5
    else:  # the full batch drawn with replacement is still noisy
        assert capped.expectation.gap[150] > 1e-4
    verdict = ALL["thm-gradient-error"].check(capped)
    assert verdict
    ratio = verdict.bound / verdict.observed
    print(f"{sampling}: bound / exact {ratio[30]:.3g} at k = 30, {ratio[60]:.3g} at k = 60")
    assert ratio[60] > 1.5


@pytest.mark.parametrize("rho", [0.5, 0.7, 0.8, 0.9, 0.95])
def test_the_slower_of_noise_and_descent_sets_the_factor(rho: float) -> None:
    run = growing(400, geometric_batches(10, 1 / rho))
    gap = run.expectation.gap
    q = 1 - FIT.pl_constant * STEP
    k = np.arange(len(gap))
    # Late enough to forget the start, early enough not to reach the largest batch.
    end = min(400, int(30 / -math.log(rho)))
    late = slice(int(0.6 * end), end)
    factor = math.exp(np.polyfit(k[late], np.log(gap[late]), 1)[0])
    assert factor == pytest.approx(max(rho, q**2), rel=0.02)
    assert ALL["thm-gradient-error"].check(run)


def test_the_factor_of_the_bound_is_slower_than_that_of_the_run() -> None:
    q = 1 - FIT.pl_constant * STEP
    verdict = ALL["thm-gradient-error"].check(growing(120, geometric_batches(10, 2.0)))
    for values, wanted in ((verdict.bound, q), (verdict.observed, q**2)):
        factor = math.exp(np.polyfit(np.arange(25), np.log(values[-65:-40]), 1)[0])
        assert factor == pytest.approx(wanted, rel=0.02)


# ---- errors that shrink geometrically ---------------------------------------------------------


def test_the_geometric_sum_by_its_definition() -> None:
    steps = np.array([0, 1, 2, 9, 40])
    for q, rho in ((0.9, 0.5), (0.5, 0.9), (0.8, 0.8), (0.0, 0.4), (0.8, 0.8 + 1e-9)):
        wanted = [sum(q ** (k - 1 - j) * rho**j for j in range(k)) for k in steps]
        np.testing.assert_allclose(geometric_sum(q, rho, steps), wanted, rtol=1e-13)
    closed = (0.9**40 - 0.5**40) / 0.4
    assert geometric_sum(0.9, 0.5, np.array([40.0]))[0] == pytest.approx(closed, rel=1e-12)


def test_at_the_rate_of_descent_the_bound_gains_a_factor_k() -> None:
    # Errors that shrink as fast as the error-free bound: a_(k+1) = q a_k + q^k is k q^(k - 1).
    steps = np.array([1, 10, 100])
    q = 0.9
    grown = (q**steps + geometric_sum(q, q, steps)) / q**steps
    np.testing.assert_allclose(grown, 1 + steps / q, rtol=1e-12)


def test_the_geometric_bound_lies_above_the_bound_with_the_errors_themselves() -> None:
    run = growing(60, geometric_batches(5, 1.25))
    errors = run.error_second_moment
    claims = {"error_constant": float((errors * 1.25 ** np.arange(60)).max()), "error_ratio": 0.8}
    claimed = dataclasses.replace(run, claims=claims)
    coarse = ALL["thm-geometric-batches"].check(claimed)
    fine = ALL["thm-gradient-error"].check(run)
    assert (coarse.bound >= fine.bound * (1 - 1e-12)).all()
    assert (fine.bound[1:] < coarse.bound[1:]).any()


def test_without_claims_there_is_no_geometric_bound() -> None:
    with pytest.raises(ValueError, match="error_constant and error_ratio are not claimed"):
        ALL["thm-geometric-batches"].check(growing(5, 10))


def test_growing_runs_refuse_what_their_moments_do_not_know() -> None:
    with pytest.raises(ValueError, match="problem: wanted least squares"):
        GrowingRun(quadratic(1.0), steps=1, step_size=1.0)
    with pytest.raises(ValueError, match="sampling: wanted"):
        growing(1, 10, "cyclic")
    with pytest.raises(ValueError, match=r"batch_size: wanted .* at least 1"):
        growing(1, 0)
    with pytest.raises(ValueError, match="batch_size at step 2: wanted"):
        growing(3, lambda k: 2 - k)
    with pytest.raises(ValueError, match=r"batch_size: wanted .* at most 200, got 512"):
        growing(10, geometric_batches(1, 2.0), "without_replacement")


def test_growing_runs_show_all_sizes() -> None:
    assert "batch 7 with replacement" in str(growing(3, 7))
    assert "batch 1 to 8 with replacement" in str(growing(4, geometric_batches(1, 2.0)))
    assert "batch 1 to 5 with replacement" in str(growing(3, lambda k: [1, 5, 1][k]))


# ---- the batch size that costs least ----------------------------------------------------------


def needed(problem: Ridge, accuracy: float, size: np.ndarray) -> np.ndarray:
    """B times the steps of the bound over 2 log(2R²/ε), from the constants of a minibatch."""
    n, mu = problem.n_samples, problem.strong_convexity
    expected = n * (size - 1) / (size * (n - 1)) * problem.smoothness
    expected = expected + (n - size) / (size * (n - 1)) * problem.max_smoothness
    noise = (n - size) / (size * (n - 1)) * problem.gradient_noise_at_minimum
    return np.asarray(size * np.maximum(expected / mu, 2 * noise / (accuracy * mu**2)))


def test_the_best_batch_of_a_thousand_samples() -> None:
    problem = regression(2, 1000, [1.0, 0.9, 0.8, 0.7])
    size, largest = problem.smoothness, problem.max_smoothness
    # The accuracy at which the two terms meet at 153.39, and the grid decides for 153.
    meeting = 153.39
    q = (meeting * (1000 * size - largest) + 1000 * (largest - size)) / (1000 - meeting)
    noise = problem.gradient_noise_at_minimum
    setting = BatchChoice(problem, 2 * noise / (q * problem.strong_convexity))
    assert best_batch_size(setting) == pytest.approx(meeting, rel=1e-10)
    grid = np.arange(1.0, 1001)
    cost = needed(problem, setting.accuracy, grid)
    np.testing.assert_allclose(gradients_needed(setting, grid), cost, rtol=1e-12)
    assert grid[cost.argmin()] == 153
    assert ALL["prop-best-batch"].check(setting)


def test_the_best_batch_at_both_ends() -> None:
    assert best_batch_size(BatchChoice(FIT, 1e6)) == 1
    assert best_batch_size(BatchChoice(FIT, 1e-9)) == pytest.approx(200, rel=1e-6)
    assert best_batch_size(BatchChoice(quadratic(1.0), 0.1)) == 1
    solvable = LeastSquares([[2.0], [0.0]], [2.0, 0.0])  # L_max = n L, and no noise
    assert best_batch_size(BatchChoice(solvable, 0.1)) == 1


def test_steps_are_counted_as_a_run_takes_them() -> None:
    setting = BatchChoice(FIT, 0.05)
    for batch_size, sampling in ((1, SAMPLINGS[0]), (20, SAMPLINGS[1]), (200, SAMPLINGS[1])):
        best = cheapest_step(setting, batch_size, START, sampling)
        arguments: dict[str, Any] = {"batch_size": batch_size, "sampling": sampling}
        distance = expected_sgd(
            FIT, START, steps=best.steps, step_size=best.step_size, **arguments
        ).distance_squared
        assert (distance[:-1] > 0.05).all()
        assert distance[-1] <= 0.05
        assert best.gradients == batch_size * best.steps
        # No step on a fine grid is faster.
        for step in np.geomspace(best.step_size / 3, min(3 * best.step_size, 1.99 * STEP), 60):
            run = expected_sgd(FIT, START, steps=best.steps - 1, step_size=step, **arguments)
            assert not (run.distance_squared <= 0.05).any()


def test_the_bound_asks_for_more_than_is_needed() -> None:
    for accuracy in (0.1, 0.01):
        setting = BatchChoice(FIT, accuracy)
        log = 2 * math.log(2 * float(FIT.distance_squared(START)) / accuracy)
        for batch_size in (1, 8, 64, 200):
            bound = log * float(gradients_needed(setting, np.array(float(batch_size))))
            assert cheapest_step(setting, batch_size, START).gradients < bound


def test_nothing_to_do_takes_no_steps() -> None:
    assert cheapest_step(BatchChoice(FIT, 1.0), 4, FIT.minimizer).steps == 0
    flat = LeastSquares([[1.0, 1.0]], [1.0])
    with pytest.raises(ValueError, match="problem: wanted strongly convex"):
        cheapest_step(BatchChoice(flat, 0.1), 1)


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="accuracy: wanted one that floating point reaches"):
        cheapest_step(BatchChoice(FIT, 1e-30), 1)
    for size in (0.0, 201.0):
        with pytest.raises(ValueError, match="batch_size: wanted numbers from 1 to 200"):
            gradients_needed(BatchChoice(FIT, 0.1), np.array([1.0, size]))


def test_claims_of_error_constants_have_names() -> None:
    with pytest.raises(ValueError, match="claims"):
        Claims(FIT, claims={"error": 1.0})
