"""Momentum and averaging: the recursion of pairs, floors and limits by independent means."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import eigh, solve_discrete_lyapunov

from sgdnotes.exact import enumerate_sgd, expected_sgd
from sgdnotes.moments import SecondMoments
from sgdnotes.problems import LeastSquares, Ridge
from sgdnotes.theorems import (
    MomentumRun,
    Stationary,
    StochasticRun,
    averaged_least_squares,
    averaging_limit,
    momentum_floor,
    momentum_recursion,
)
from sgdnotes.theorems.averaging import averaging_constants, averaging_limit_of
from sgdnotes.theorems.momentum import stationary_variance
from sgdnotes.updates import GradientStep, HeavyBall, LinearUpdate, Nesterov

Array = NDArray[np.float64]


def rank_deficient(kappa: float = 100.0) -> LeastSquares:
    """The problem of lecture 06: six curvatures from 1 to 1/κ, two directions without any."""
    rng = np.random.default_rng(6)
    curvatures = np.geomspace(1, 1 / kappa, 6)
    left, right = (np.linalg.qr(rng.normal(size=(rows, 6)))[0] for rows in (60, 8))
    features = np.sqrt(60) * left * np.sqrt(curvatures) @ right.T
    return LeastSquares(features, features @ rng.normal(size=8) + rng.normal(size=60))


# ---- the recursion of the pair ----------------------------------------------------------------

RNG = np.random.default_rng(0)
PROBLEMS = {
    "tall": LeastSquares(RNG.normal(size=(4, 2)), RNG.normal(size=4)),
    "wide": LeastSquares(RNG.normal(size=(3, 5)), RNG.normal(size=3)),
    "low rank": LeastSquares(np.outer([1.0, -2.0, 0.5], [1.0, 2.0]), [1.0, 0.0, 2.0]),
    "ridge": Ridge(RNG.normal(size=(3, 4)), RNG.normal(size=3), 0.3),
}
BATCHES = [(1, "with_replacement"), (2, "with_replacement"), (2, "without_replacement")]
UPDATES: list[LinearUpdate] = [HeavyBall(0.9), HeavyBall(0.3), Nesterov(0.9), Nesterov(0.3)]


@pytest.mark.parametrize("update", UPDATES, ids=str)
@pytest.mark.parametrize(("batch_size", "sampling"), BATCHES)
@pytest.mark.parametrize("name", PROBLEMS)
def test_pair_moments_agree_with_all_sequences(
    name: str, batch_size: int, sampling: str, update: LinearUpdate
) -> None:
    problem = PROBLEMS[name]
    arguments: dict[str, Any] = {
        "steps": 4 if problem.n_samples**batch_size < 10 else 3,
        "step_size": lambda k: 0.4 / (k + 1) / problem.smoothness,
        "batch_size": batch_size,
        "sampling": sampling,
        "update": update,
        "weights": lambda k: (k + 1) ** 2,
    }
    x0 = np.linspace(-1, 2, problem.dim)
    recursion = expected_sgd(problem, x0, **arguments)
    sequences = enumerate_sgd(problem, x0, **arguments)
    names = ("gap", "distance_squared", "gradient_norm_squared", "gradient_second_moment", "mean")
    for name in (*names, "average_gap"):
        ours, theirs = (getattr(result, name) for result in (recursion, sequences))
        assert np.abs(ours - theirs).max() <= 1e-12 * max(1.0, np.abs(theirs).max()), name


@pytest.mark.parametrize("update", [HeavyBall(0.6), Nesterov(0.6)], ids=str)
def test_the_recursion_object_is_exact_and_sees_the_update(update: LinearUpdate) -> None:
    problem = PROBLEMS["tall"]
    verdict = momentum_recursion.check(MomentumRun(problem, 5, 0.2, update=update))
    assert verdict.worst < 1e-12
    other = Nesterov(0.6) if isinstance(update, HeavyBall) else HeavyBall(0.6)
    recursion = expected_sgd(problem, steps=5, step_size=0.2, update=other)
    assert np.abs(recursion.gradient_second_moment / verdict.observed - 1).max() > 0.01


# ---- the floor --------------------------------------------------------------------------------


@pytest.mark.parametrize("update", [GradientStep(), *UPDATES], ids=str)
@pytest.mark.parametrize(("step_size", "curvature"), [(0.1, 0.5), (1.0, 1.0), (0.7, 1.9)])
def test_floor_formula_solves_the_lyapunov_equation(
    update: LinearUpdate, step_size: float, curvature: float
) -> None:
    gain = update.gain[:, None]
    step = update.mixing - step_size * curvature * gain @ np.eye(1, len(gain))
    if np.abs(np.linalg.eigvals(step)).max() >= 1:
        step_size /= 3
        step = update.mixing - step_size * curvature * gain @ np.eye(1, len(gain))
    noise = 1.7
    second = solve_discrete_lyapunov(step, step_size**2 * noise * gain @ gain.T)
    formula = stationary_variance(update, step_size, np.array([curvature]), np.array([noise]))
    assert formula[0] == pytest.approx(second[0, 0], rel=1e-10)


@pytest.mark.parametrize("update", [HeavyBall(0.9), Nesterov(0.9)], ids=str)
def test_momentum_is_a_longer_step_to_first_order(update: LinearUpdate) -> None:
    curvatures, ones = np.geomspace(0.01, 1, 50), np.ones(50)
    for step_size in (1e-3, 1e-4):
        ours = stationary_variance(update, step_size, curvatures, ones)
        plain = stationary_variance(GradientStep(), 10 * step_size, curvatures, ones)
        assert np.abs(ours / plain - 1).max() < 20 * step_size
    # The floors of SGD with step 0.02 and of momentum with 0.002 and β = 0.9.
    floors = [
        float((curvatures / 2 * stationary_variance(u, a, curvatures, ones)).sum())
        for u, a in ((GradientStep(), 0.02), (update, 0.002))
    ]
    assert floors == pytest.approx([0.25, 0.25], rel=0.01)


@pytest.mark.parametrize("ratio", [0.3, 0.03])
def test_at_equal_speed_heavy_ball_saves_less_than_a_factor_of_four(ratio: float) -> None:
    rng = np.random.default_rng(1)
    curvatures = np.geomspace(ratio, 1, 7)
    least = math.inf
    for _ in range(3000):
        noise, beta = rng.exponential(size=7), rng.uniform(0, 0.99)
        step = float(rng.uniform(0.001, 2 * (1 + beta)))
        roots = np.roots([1, -(1 + beta - step * ratio), beta])
        rho = np.abs(roots).max()
        if rho >= 1:
            continue
        heavy = (
            curvatures / 2 * stationary_variance(HeavyBall(beta), step, curvatures, noise)
        ).sum()
        bound = (1 - rho) / (1 + rho) * noise.sum() / (4 * ratio)
        assert heavy >= bound * (1 - 1e-9)
        least = min(least, heavy / bound)
        plain_step = (1 - rho) / ratio
        if plain_step <= 1:
            plain = stationary_variance(GradientStep(), plain_step, curvatures, noise)
            assert (curvatures / 2 * plain).sum() < 4 * bound
    assert least < 1.3  # the bound is not idle


def test_floor_object_sees_a_wrong_momentum() -> None:
    setting = Stationary(rank_deficient(), step_sizes=[0.01], update=HeavyBall(0.9))
    assert momentum_floor.check(setting)
    honest = momentum_floor.compare(setting)
    curvatures = setting.moments.curvatures
    noise = np.asarray(honest.bound) / stationary_variance(
        HeavyBall(0.9), 0.01, curvatures, np.ones(6)
    )
    wrong = stationary_variance(Nesterov(0.9), 0.01, curvatures, noise)
    assert np.abs(wrong / np.asarray(honest.observed) - 1).max() > 0.01


# ---- averaging --------------------------------------------------------------------------------


def test_averaging_constants_are_generalised_eigenvalues() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(20, 4)) * [1.0, 2.0, 0.3, 1.0]
    problem = LeastSquares(features, rng.normal(size=20))
    residuals = features @ problem.minimizer - problem.targets
    for found, weights in zip(
        averaging_constants(problem), ((features**2).sum(axis=1), residuals**2), strict=True
    ):
        matrix = (features.T * weights) @ features / 20
        assert found == pytest.approx(eigh(matrix, problem.hessian)[0][-1], rel=1e-10)
    radius, noise = averaging_constants(problem)
    assert problem.smoothness <= radius <= problem.max_smoothness
    assert noise <= residuals.max() ** 2 + residuals.min() ** 2


def test_the_bound_is_attained_without_noise() -> None:
    one_row = LeastSquares([[2.0]], [1.0])
    setting = StochasticRun(one_row, steps=1, step_size=0.25 * (1 - 1e-6), x0=[5.0])
    verdict = averaged_least_squares.check(setting)
    assert verdict.observed[0] / verdict.bound[0] == pytest.approx(1, rel=1e-5)


def test_the_leading_term_is_attained_for_small_steps() -> None:
    equal = LeastSquares([[1.0], [1.0]], [2.0, -2.0])  # noise covariance exactly s²H
    step = 1e-4
    noise = averaging_constants(equal)[1]
    limit = averaging_limit_of(StochasticRun(equal, steps=1, step_size=step))
    assert limit == pytest.approx(noise / 2, rel=1e-9)
    assert limit / (noise / 2 / (1 - math.sqrt(step)) ** 2) > 0.97


def test_the_limit_is_the_sum_of_all_autocovariances() -> None:
    problem = rank_deficient(5.0)
    step = 0.1
    moments = SecondMoments(problem)
    second = moments.second_moment(moments.stationary(step))
    hessian = np.diag(moments.curvatures)
    shrink = np.eye(6) - step * hessian
    total, power = np.zeros((6, 6)), np.eye(6)
    for lag in range(3000):
        total += power @ second * (1 if lag == 0 else 2)
        power = power @ shrink
    limit = averaging_limit_of(StochasticRun(problem, steps=1, step_size=step))
    assert limit == pytest.approx(np.trace(hessian @ total) / 2, rel=1e-9)


def test_the_limit_tends_to_the_optimal_constant() -> None:
    problem = rank_deficient()
    gradients = problem.component_gradients(problem.minimizer)
    noise = gradients.T @ gradients / problem.n_samples
    optimal = np.trace(np.linalg.pinv(problem.hessian, rcond=1e-10) @ noise) / 2
    for step in (1e-2, 1e-3):
        limit = averaging_limit_of(StochasticRun(problem, steps=1, step_size=step))
        assert 1 < limit / optimal < 1 + 2 * step


def test_the_instance_of_the_lecture() -> None:
    problem = rank_deficient()
    eigenvalues = np.linalg.eigvalsh(problem.hessian)
    assert np.abs(eigenvalues[:2]).max() < 1e-12 < eigenvalues[2]
    step = 1 / (2 * averaging_constants(problem)[0])
    setting = StochasticRun(problem, steps=40_000, step_size=step)
    verdict = averaged_least_squares.check(setting)
    assert verdict.holds
    scaled = averaging_limit.check(setting)
    outside = np.flatnonzero(np.abs(scaled.observed / scaled.bound - 1) > 0.05)
    assert outside[-1] + 2 == pytest.approx(20_367, rel=1e-3)  # the N that the lecture states
    # The last iterate stalls at its floor.
    gap, moments = setting.expectation.gap, SecondMoments(problem)
    assert np.abs(gap[5000:] / moments.gap(moments.stationary(step)) - 1).max() < 0.01
    assert setting.expectation.average_gap[-1] < gap[-1] / 500


def test_a_wrong_limit_is_seen() -> None:
    problem = rank_deficient(5.0)
    setting = StochasticRun(problem, steps=4000, step_size=0.25)
    assert averaging_limit.check(setting)

    def forgotten_term(setting: StochasticRun) -> Any:
        moments = SecondMoments(problem)
        wrong = moments.distance_squared(moments.stationary(0.25)) / 0.25
        return dataclasses.replace(
            averaging_limit.compare(setting), bound=np.full(setting.steps, wrong)
        )

    assert not dataclasses.replace(averaging_limit, compare=forgotten_term).check(setting)


def test_decreasing_steps_keep_their_slope_with_momentum() -> None:
    problem = rank_deficient(5.0)
    gaps: list[Array] = [
        expected_sgd(
            problem, steps=20_000, step_size=lambda k, s=share: 5 * s / (k + 50), update=update
        ).gap
        for share, update in ((1.0, GradientStep()), (0.2, HeavyBall(0.8)), (0.2, Nesterov(0.8)))
    ]
    for gap in gaps:
        assert np.log2(gap[-1] / gap[10_000]) == pytest.approx(-1, abs=0.02)
        assert gap[-1] == pytest.approx(gaps[0][-1], rel=0.01)
