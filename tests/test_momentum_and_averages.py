"""Momentum, projection and averages: in the engine and in exact expectation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_settings import SAMPLINGS
from test_exact import FIELDS, PROBLEMS, STEPS

from sgdnotes import enumerate_sgd, expected_sgd, gradient_descent, sgd
from sgdnotes.constraints import L2Ball
from sgdnotes.moments import MAX_RANK, SecondMoments
from sgdnotes.problems import LeastSquares, quadratic
from sgdnotes.schedules import evaluate, inverse_root
from sgdnotes.theorems import MomentumRun, ProjectedRun, Stationary, StochasticRun
from sgdnotes.updates import (
    BacktrackingStep,
    GradientStep,
    HeavyBall,
    LinearUpdate,
    Nesterov,
    ProjectedStep,
)

RNG = np.random.default_rng(6)
A = RNG.standard_normal((30, 4))
REGRESSION = LeastSquares(A, A @ np.ones(4) + RNG.standard_normal(30))
UPDATES: dict[str, LinearUpdate] = {
    "gradient step": GradientStep(),
    "heavy ball": HeavyBall(0.7),
    "Nesterov": Nesterov(0.8),
    "no momentum": HeavyBall(0.0),
}
WEIGHTS = {"equal": None, "rising": lambda k: k + 1.0, "later": lambda k: float(k >= 2)}


# ---- the updates ------------------------------------------------------------------------------


def test_heavy_ball_by_hand() -> None:
    alpha, beta = 0.1, 0.8
    x, before = np.full(4, 2.0), np.full(4, 2.0)
    for _ in range(20):
        x, before = x - alpha * REGRESSION.gradient(x) + beta * (x - before), x
    trace = gradient_descent(
        REGRESSION, np.full(4, 2.0), steps=20, step_size=alpha, update=HeavyBall(beta)
    )
    np.testing.assert_allclose(trace.x[0], x, rtol=1e-12)


def test_nesterov_by_hand() -> None:
    alpha, beta = 0.1, 0.8
    x = before = np.full(4, 2.0)
    for _ in range(20):
        y = x + beta * (x - before)
        x, before = y - alpha * REGRESSION.gradient(y), x
    trace = gradient_descent(
        REGRESSION, np.full(4, 2.0), steps=20, step_size=alpha, update=Nesterov(beta)
    )
    np.testing.assert_allclose(trace.x[0], x + beta * (x - before), rtol=1e-12)


@pytest.mark.parametrize("name", UPDATES)
def test_the_linear_form_is_what_the_update_does(name: str) -> None:
    update, alpha = UPDATES[name], 0.3
    x, gradient = RNG.standard_normal((2, 5, 3))
    remembered = None if len(update.gain) == 1 else RNG.standard_normal((5, 3))
    stacked = np.array([x] if remembered is None else [x, remembered])
    wanted = np.tensordot(update.mixing, stacked, axes=1)
    wanted -= alpha * update.gain[:, None, None] * gradient
    following, state = update.apply(REGRESSION, x, gradient, alpha, remembered)
    np.testing.assert_allclose(following, wanted[0], rtol=1e-13)
    if remembered is not None:
        np.testing.assert_allclose(state, wanted[1], rtol=1e-13)


def test_momentum_is_faster_where_there_is_no_noise() -> None:
    # κ = 100: tuned heavy ball needs about √κ/2 log(1/ε) steps, gradient descent κ/2 log(1/ε).
    bowl = LeastSquares(np.sqrt(2) * np.diag([0.1, 1.0]), [0.0, 0.0])
    kappa = bowl.smoothness / bowl.strong_convexity
    assert kappa == pytest.approx(100)
    root = np.sqrt(kappa)
    beta = ((root - 1) / (root + 1)) ** 2
    alpha = 4 / (np.sqrt(bowl.smoothness) + np.sqrt(bowl.strong_convexity)) ** 2
    heavy = gradient_descent(
        bowl, [1.0, 1.0], steps=150, step_size=alpha, update=HeavyBall(beta), record="all"
    )
    plain = gradient_descent(bowl, [1.0, 1.0], steps=1000, step_size=2 / 1.01, record="all")
    reached = [
        int((trace.gap[:, 0] <= 1e-6 * trace.gap[0, 0]).argmax()) for trace in (heavy, plain)
    ]
    assert 0 < reached[0] < reached[1] / 5


@given(
    st.integers(1, 4),
    st.floats(0.1, 10),
    st.integers(0, 2**32 - 1),
)
def test_projection_is_the_nearest_point(dim: int, radius: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ball = L2Ball(radius, rng.standard_normal(dim))
    x = 5 * rng.standard_normal((20, dim))
    nearest = ball.project(x)
    assert ball.contains(nearest).all()
    np.testing.assert_array_equal(nearest[ball.contains(x)], x[ball.contains(x)])
    # A point is the projection if and only if no point of the set lies beyond it.
    others = ball.project(5 * rng.standard_normal((20, dim)))
    products = np.einsum("ij,kij->ki", x - nearest, others[:, None] - nearest)
    assert (products <= 1e-9 * radius * (1 + np.abs(x).max())).all()
    assert ball.diameter == 2 * radius


def test_projection_of_a_point_far_away() -> None:
    assert L2Ball(1.0).project(np.array([[1e17], [-1e100]])).tolist() == [[1.0], [-1.0]]
    with pytest.raises(ValueError, match="center: wanted shape"):
        L2Ball(1.0, [0.0, 0.0]).project(np.ones((1, 1)))


def test_a_projected_run_stays_in_the_ball_and_ends_at_its_edge() -> None:
    ball = L2Ball(0.5)
    trace = sgd(
        REGRESSION,
        steps=300,
        step_size=0.05,
        update=ProjectedStep(ball),
        replicates=20,
        rng=0,
        record="all",
        metrics=["x"],
    )
    distances = np.linalg.norm(trace.history["x"], axis=-1)
    assert distances.max() <= 0.5 * (1 + 1e-12)
    assert (distances[-1] > 0.5 - 1e-9).mean() > 0.5  # the minimiser is outside


# ---- the engine -------------------------------------------------------------------------------


def test_a_step_size_for_each_replicate() -> None:
    sizes = np.array([0.01, 0.05, 0.1])
    together = sgd(REGRESSION, steps=50, step_size=sizes, replicates=3, rng=0)
    for replicate, size in enumerate(sizes):
        alone = sgd(REGRESSION, steps=50, step_size=float(size), replicates=3, rng=0)
        np.testing.assert_allclose(together.x[replicate], alone.x[replicate], rtol=1e-12)


def test_a_line_search_from_a_first_trial_for_each_replicate() -> None:
    trials = np.array([1.0, 8.0])
    together = gradient_descent(
        REGRESSION, np.ones(4), steps=3, step_size=trials, line_search=True, replicates=2
    )
    for replicate, trial in enumerate(trials):
        alone = gradient_descent(
            REGRESSION, np.ones(4), steps=3, step_size=float(trial), line_search=True
        )
        np.testing.assert_allclose(together.x[replicate], alone.x[0], rtol=1e-12)


def test_weighted_averages_of_the_iterates() -> None:
    for weights in (lambda k: k + 1.0, lambda k: float(k >= 130)):
        trace = sgd(
            REGRESSION,
            steps=300,
            step_size=0.05,
            replicates=3,
            rng=0,
            record="all",
            metrics=["x"],
            average=weights,
        )
        given_weights = np.array([weights(k) for k in range(300)])
        x, averages = trace.history["x"], trace.history["x_average"]
        for k in (1, 100, 131, 140, 300):
            total = given_weights[:k].sum()
            wanted = np.tensordot(given_weights[:k], x[:k], axes=1) / total if total else x[0]
            np.testing.assert_allclose(averages[k], wanted, rtol=1e-11)
        np.testing.assert_array_equal(trace.x_average, averages[-1])


# ---- exact expectations -----------------------------------------------------------------------


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("update", ["heavy ball", "Nesterov", "no momentum"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_momentum_moments_agree_with_enumeration(
    name: str, update: str, steps: str, sampling: str
) -> None:
    problem, batch_size = PROBLEMS[name], 2 if sampling == "without_replacement" else 1
    arguments: dict[str, Any] = {
        "steps": 7,
        "step_size": STEPS[steps],
        "batch_size": batch_size,
        "sampling": sampling,
        "update": UPDATES[update],
    }
    x0 = np.linspace(1, 2, problem.dim)
    moments = expected_sgd(problem, x0, **arguments)
    enumerated = enumerate_sgd(problem, x0, **arguments)
    for field in (*FIELDS, "average_gap"):
        exact, counted = getattr(moments, field), getattr(enumerated, field)
        scale = max(1.0, float(np.abs(counted).max()))
        np.testing.assert_allclose(exact, counted, rtol=1e-12, atol=1e-12 * scale)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("name", ["least squares", "ridge", "rank-deficient"])
def test_averaged_moments_agree_with_enumeration(name: str, update: str, weights: str) -> None:
    problem = PROBLEMS[name]
    arguments: dict[str, Any] = {
        "steps": 6,
        "step_size": inverse_root(0.3),
        "batch_size": 2,
        "sampling": "without_replacement",
        "update": UPDATES[update],
        "weights": WEIGHTS[weights],
    }
    x0 = np.linspace(1, 2, problem.dim)
    moments = expected_sgd(problem, x0, **arguments).average_gap
    enumerated = enumerate_sgd(problem, x0, **arguments).average_gap
    np.testing.assert_allclose(moments, enumerated, rtol=1e-12)
    assert moments[0] == pytest.approx(float(problem.gap(x0)), rel=1e-12)


def test_averaged_moments_agree_with_an_ensemble() -> None:
    exact = expected_sgd(REGRESSION, steps=400, step_size=0.05).average_gap
    trace = sgd(REGRESSION, steps=400, step_size=0.05, replicates=4000, rng=1, average=True)
    gaps = REGRESSION.gap(trace.history["x_average"])[1:]
    z = (gaps.mean(axis=1) - exact[trace.steps[1:]]) / (gaps.std(axis=1, ddof=1) / np.sqrt(4000))
    assert np.abs(z[1:]).max() < 5  # x_0 is the average of itself at k = 1
    assert gaps[0] == pytest.approx(exact[1], rel=1e-12)


@pytest.mark.parametrize("update", ["heavy ball", "Nesterov"])
def test_the_stationary_state_of_momentum_is_where_long_runs_end(update: str) -> None:
    moments = SecondMoments(REGRESSION, 2, "without_replacement", UPDATES[update])
    late = moments.evolve(moments.state(np.ones(4)), np.full(3000, 0.02))[-1]
    np.testing.assert_allclose(moments.stationary(0.02), late, rtol=1e-9, atol=1e-14)
    assert moments.spectral_radius(0.02) < 1


def test_momentum_halves_the_largest_rank() -> None:
    wide = LeastSquares(RNG.standard_normal((100, MAX_RANK // 2 + 1)), np.zeros(100))
    SecondMoments(wide)
    with pytest.raises(ValueError, match=f"at most {MAX_RANK // 2} directions"):
        SecondMoments(wide, update=HeavyBall(0.5))


# ---- settings ---------------------------------------------------------------------------------


def test_settings_know_their_updates() -> None:
    options: dict[str, Any] = {"steps": 6, "step_size": 0.2, "x0": [2.0]}
    problem = quadratic(1.0, [1.0, -1.0])
    plain = StochasticRun(problem, **options)
    heavy = MomentumRun(problem, update=HeavyBall(0.5), **options)
    inside = ProjectedRun(problem, radius=2.0, **options)
    free = ProjectedRun(problem, **options)
    assert heavy.expectation.gap[-1] != pytest.approx(plain.expectation.gap[-1])
    assert inside.expectation.gap[-1] < 2.0
    np.testing.assert_array_equal(free.expectation.gap, plain.expectation.gap)
    np.testing.assert_array_equal(plain.averaged_gap(), plain.expectation.average_gap)
    last_only = plain.averaged_gap(lambda k: float(k == 4))
    assert last_only[-1] == pytest.approx(plain.expectation.gap[4], rel=1e-12)
    assert "momentum=0.5" in str(heavy)
    assert "within 2 of the origin" in str(inside)
    assert Stationary(REGRESSION, step_sizes=[0.01], update=HeavyBall(0.5)).moments.blocks == 2


def test_a_start_outside_the_ball_is_refused() -> None:
    with pytest.raises(ValueError, match="x0: wanted a point within 1"):
        ProjectedRun(quadratic(1.0), steps=1, step_size=0.1, x0=[2.0], radius=1.0)
    with pytest.raises(ValueError, match="x0: wanted points of the ball"):
        sgd(REGRESSION, np.ones(4), steps=1, step_size=0.1, update=ProjectedStep(L2Ball(1.0)))


BAD: list[tuple[str, Any]] = [
    ("momentum", lambda: HeavyBall(1.0)),
    ("momentum", lambda: HeavyBall(-0.1)),
    ("momentum", lambda: Nesterov(float("nan"))),
    ("radius", lambda: L2Ball(0.0)),
    ("radius", lambda: L2Ball(float("nan"))),
    ("center", lambda: L2Ball(1.0, [[0.0]])),
    ("step_size", lambda: sgd(REGRESSION, steps=1, step_size=[0.1, 0.2], replicates=3)),
    ("step_size", lambda: sgd(REGRESSION, steps=1, step_size=[0.1, -0.2], replicates=2)),
    ("average", lambda: sgd(REGRESSION, steps=1, step_size=0.1, average="yes")),
    ("average at step 0", lambda: sgd(REGRESSION, steps=1, step_size=0.1, average=lambda k: -1.0)),
    (
        "weights at step 1",
        lambda: expected_sgd(REGRESSION, steps=2, step_size=0.1, weights=lambda k: 1.0 - 2 * k),
    ),
    ("weights", lambda: expected_sgd(REGRESSION, steps=2, step_size=0.1, weights=1.0)),
    ("weights", lambda: enumerate_sgd(REGRESSION, steps=1, step_size=0.1, weights=1.0)),
    ("update", lambda: sgd(REGRESSION, steps=1, step_size=0.1, update="momentum")),
    ("update", lambda: SecondMoments(REGRESSION, update=BacktrackingStep())),
    (
        "update",
        lambda: gradient_descent(REGRESSION, steps=1, line_search=True, update=HeavyBall(0.5)),
    ),
    ("first", lambda: inverse_root(0.0)),
]


@pytest.mark.parametrize(("argument", "call"), BAD, ids=[f"{i}" for i in range(len(BAD))])
def test_bad_input_is_refused_by_name(argument: str, call: Any) -> None:
    with pytest.raises(ValueError, match="wanted") as caught:
        call()
    assert str(caught.value).startswith(f"{argument}: ")


def test_the_root_schedule() -> None:
    np.testing.assert_allclose(evaluate(inverse_root(2.0), 0, 4), 2 / np.sqrt([1, 2, 3, 4]))
