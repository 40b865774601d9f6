"""The theorems on the zoo: exact expectations and formulas by independent means, and tightness."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from random_zoo import ZOO
from scipy.stats import norm

from sgdnotes.constraints import Box, Constraint, L1Ball, L2Ball, Simplex
from sgdnotes.engine import run
from sgdnotes.oracles import (
    Delayed,
    FullGradient,
    GradientTable,
    LooplessSnapshot,
    Minibatch,
    Momentum,
    Oracle,
    Recursive,
    SlopeTable,
    Snapshot,
    estimates_along,
)
from sgdnotes.problems import (
    DeterministicQuadratic,
    FiniteSum,
    GaussianQuadratic,
    LeastSquares,
    LogisticRegression,
    Ridge,
    RobustRegression,
    ScalarQuadratics,
    TiltedQuadratic,
    saddle,
)
from sgdnotes.sampling import AllSequences, WithoutReplacement, WithReplacement, resolve
from sgdnotes.schedules import frank_wolfe_steps, power
from sgdnotes.theorems import ALL, AssumptionError, BlockStepFrom, FrankWolfeRun, OracleRun
from sgdnotes.theorems.assumptions import FirstSampleOnly
from sgdnotes.theorems.constrained import infimum
from sgdnotes.theorems.frank_wolfe import batch_floor, drift_root
from sgdnotes.theorems.zoo import running_mean_constant, running_weights, table_bound
from sgdnotes.theorems.zoo_settings import (
    anchors,
    component_smoothness,
    described,
    possible_draws,
)
from sgdnotes.updates import FrankWolfeStep, frank_wolfe_gap

SEGMENT = Box([-1.0], [1.0])
OPEN_LOOP = frank_wolfe_steps()
FEW = "without_replacement"
near = pytest.approx


def signs(n: int = 3, dim: int = 2, regularization: float = 0.0) -> LogisticRegression:
    rng = np.random.default_rng(n)
    features = 2 * rng.standard_normal((n, dim))
    return LogisticRegression(features, np.sign(rng.standard_normal(n)), regularization)


def robust(n: int = 3, dim: int = 2) -> RobustRegression:
    rng = np.random.default_rng(n)
    return RobustRegression(rng.standard_normal((n, dim)), rng.standard_normal(n), 0.7)


# ---- what a run consists of -------------------------------------------------------------------

WITH, WITHOUT = AllSequences(WithReplacement()), AllSequences(WithoutReplacement())
LISTED: dict[str, tuple[Oracle, Oracle]] = {
    "minibatch": (Minibatch(2), Minibatch(2, WITH)),
    "distinct": (Minibatch(2, FEW), Minibatch(2, WITHOUT)),
    "snapshot": (Snapshot(1, period=2), Snapshot(1, WITH, period=2)),
    "slopes": (SlopeTable(1), SlopeTable(1, WITHOUT)),
    "SAGA": (GradientTable(2), GradientTable(2, WITHOUT)),
    "mean": (Momentum(Minibatch(1)), Momentum(Minibatch(1, WITH))),
    "delay": (Delayed(Minibatch(1), 2), Delayed(Minibatch(1, WITH), 2)),
    "nested": (
        Momentum(Delayed(SlopeTable(2), 1), 0.4),
        Momentum(Delayed(SlopeTable(2, WITHOUT), 1), 0.4),
    ),
}


@pytest.mark.parametrize("constraint", [L2Ball(0.8), L1Ball(2.0), Simplex(1.0)], ids=str)
@pytest.mark.parametrize("name", LISTED)
def test_a_run_is_that_of_the_engine_over_all_sequences(name: str, constraint: Constraint) -> None:
    problem, (oracle, listing) = signs(3, 2, 0.2), LISTED[name]
    x0 = constraint.project(np.array([0.3, 0.4]))
    setting = OracleRun(problem, constraint, steps=3, step_size=OPEN_LOOP, x0=x0, oracle=oracle)
    count = len(setting.weights)
    trace = run(
        problem,
        listing,
        FrankWolfeStep(constraint),
        steps=3,
        step_size=OPEN_LOOP,
        x0=x0,
        replicates=count,
        record="all",
        metrics={
            "x": lambda problem, x: x.copy(),
            "gap": lambda problem, x: frank_wolfe_gap(problem, constraint, x),
        },
    )
    path = trace.history["x"]
    errors = estimates_along(problem, listing, path[:-1]) - problem.gradient(path[:-1])
    np.testing.assert_allclose(setting.weights, 1 / count)
    np.testing.assert_allclose(setting.paths, path, atol=1e-13)
    np.testing.assert_allclose(setting.gap, trace.history["gap"].mean(axis=1), atol=1e-13)
    np.testing.assert_allclose(setting.value, problem.value(path).mean(axis=1), atol=1e-13)
    length = np.linalg.norm(errors, axis=-1)
    np.testing.assert_allclose(setting.errors, length.mean(axis=1), atol=1e-13)
    np.testing.assert_allclose(setting.square_errors, (length**2).mean(axis=1), atol=1e-13)


def test_a_run_with_minibatches_is_that_of_lecture_twelve() -> None:
    problem, ball = saddle(3, 3), L2Ball(1.0)
    options: dict[str, Any] = {"steps": 4, "step_size": OPEN_LOOP, "x0": [0.1, 0.2, 0.3]}
    for how in ("with_replacement", FEW):
        old = FrankWolfeRun(problem, ball, batch_size=2, sampling=how, **options)
        new = OracleRun(problem, ball, oracle=Minibatch(2, how), **options)
        for name in ("gap", "value", "variance", "mean"):
            wanted = getattr(old.expectation, name)
            np.testing.assert_allclose(getattr(new.expectation, name), wanted, atol=1e-13)


def vertex(constraint: Constraint, gradient: np.ndarray) -> np.ndarray:
    return constraint.linear_minimizer(gradient)


def test_coins_by_a_tree_of_cases() -> None:
    problem, ball, p, gamma = signs(2), L2Ball(0.8), 0.3, 0.4
    square: dict[str, list[float]] = {"SARAH": [0.0] * 4, "L-SVRG": [0.0] * 4}
    length: dict[str, list[float]] = {"SARAH": [0.0] * 4, "L-SVRG": [0.0] * 4}

    def note(name: str, t: int, chance: float, error: np.ndarray) -> None:
        square[name][t] += chance * float(error @ error)
        length[name][t] += chance * math.sqrt(error @ error)

    def sarah(t: int, chance: float, x: np.ndarray, last: np.ndarray, d: np.ndarray) -> None:
        cases = [(chance * p, problem.gradient(x))]
        for i in range(2):
            change = problem.component_gradients(x)[i] - problem.component_gradients(last)[i]
            cases.append((chance * (1 - p) / 2, d + change))
        for weight, estimate in cases:
            note("SARAH", t, weight, estimate - problem.gradient(x))
            if t < 3:
                sarah(t + 1, weight, x + gamma * (vertex(ball, estimate) - x), x, estimate)

    def loopless(t: int, chance: float, x: np.ndarray, anchor: np.ndarray) -> None:
        for i, renewed in itertools.product(range(2), (True, False)):
            weight = chance * (p if renewed else 1 - p) / 2
            change = problem.component_gradients(x)[i] - problem.component_gradients(anchor)[i]
            estimate = problem.gradient(anchor) + change
            note("L-SVRG", t, weight, estimate - problem.gradient(x))
            if t < 3:
                following = x + gamma * (vertex(ball, estimate) - x)
                loopless(t + 1, weight, following, x if renewed else anchor)

    start = np.array([0.1, 0.5])
    sarah(0, 1.0, start, start, problem.gradient(start))
    loopless(0, 1.0, start, start)
    oracles: dict[str, Oracle] = {
        "SARAH": Recursive(1, probability=p),
        "L-SVRG": LooplessSnapshot(1, probability=p),
    }
    for name, oracle in oracles.items():
        setting = OracleRun(problem, ball, steps=4, step_size=gamma, x0=start, oracle=oracle)
        assert setting.weights.sum() == near(1)
        assert np.ptp(setting.weights) > 0
        assert max(square[name]) > 1e-3
        np.testing.assert_allclose(setting.square_errors, square[name], atol=1e-14)
        np.testing.assert_allclose(setting.errors, length[name], atol=1e-14)


def test_random_delays_by_a_tree_of_cases() -> None:
    problem, ball, gamma = signs(2), L2Ball(0.8), 0.4
    wanted = [0.0] * 4

    def follow(chance: float, path: list[np.ndarray]) -> None:
        t, x = len(path) - 1, path[-1]
        for i, late in itertools.product(range(2), range(3)):
            estimate = problem.component_gradients(path[max(t - late, 0)])[i]
            wanted[t] += chance / 6 * float(np.linalg.norm(estimate - problem.gradient(x)))
            if t < 3:
                follow(chance / 6, [*path, x + gamma * (vertex(ball, estimate) - x)])

    follow(1.0, [np.array([0.1, 0.5])])
    oracle = Delayed(Minibatch(1), 2, random=True)
    setting = OracleRun(problem, ball, steps=4, step_size=gamma, x0=[0.1, 0.5], oracle=oracle)
    np.testing.assert_allclose(setting.errors, wanted, atol=1e-14)


def test_given_the_past() -> None:
    problem = signs(3)
    setting = OracleRun(
        problem, L2Ball(0.8), steps=3, step_size=0.4, oracle=LooplessSnapshot(1, probability=0.2)
    )
    assert setting.counts.tolist() == [1, 6, 36, 216]
    for t in range(3):
        bias = setting.given_past(t, setting.deviations[t])
        assert bias.shape == (setting.counts[t], 2)
        np.testing.assert_allclose(bias, 0, atol=1e-14)
        # The law of total expectation, over what came before.
        before = (
            OracleRun(problem, L2Ball(0.8), steps=t, step_size=0.4, oracle=setting.oracle).weights
            if t
            else np.ones(1)
        )
        squares = (setting.deviations[t] ** 2).sum(axis=-1)
        mean = before @ setting.given_past(t, squares)
        assert mean == near(setting.square_errors[t], abs=1e-15)
    running = OracleRun(problem, L2Ball(0.8), steps=3, step_size=0.4, oracle=Momentum(Minibatch(1)))
    assert np.abs(running.given_past(1, running.deviations[1])).max() > 1e-2


def test_draws_and_their_chances() -> None:
    draws, chances = possible_draws(Recursive(1, probability=0.25), 2, 0)
    assert sorted(map(tuple, draws.tolist())) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert chances[draws[:, 1] == 1].tolist() == [0.125, 0.125]
    for p in (0, 1):
        draws, chances = possible_draws(Recursive(1, probability=p), 2, 0)
        assert (draws[:, 1] == p).all()
        assert chances.tolist() == [0.5, 0.5]
    draws, chances = possible_draws(Minibatch(lambda k: k + 1), 2, 1)
    assert draws.shape == (4, 2)
    assert chances.tolist() == [0.25] * 4
    assert possible_draws(FullGradient(), 5, 0)[0].shape == (1, 0)


def test_growing_batches_are_followed() -> None:
    problem = signs(2)
    oracle = Minibatch(lambda k: k + 1)
    setting = OracleRun(problem, L2Ball(0.8), steps=3, step_size=0.4, oracle=oracle)
    assert setting.counts.tolist() == [1, 2, 8, 64]
    old = FrankWolfeRun(problem, L2Ball(0.8), 3, 0.4, lambda k: k + 1)
    np.testing.assert_allclose(setting.gap, old.expectation.gap, atol=1e-14)


def test_names_of_oracles() -> None:
    said = {
        described(oracle)
        for oracle in (
            *(oracle for oracle, _ in LISTED.values()),
            FullGradient(),
            LooplessSnapshot(1, probability=0.25),
            Recursive(1, probability=0.25),
            Delayed(Minibatch(lambda k: k + 1), 2, random=True),
            SlopeTable(1, unbiased=True, start="gradient"),
        )
    }
    assert len(said) >= len(LISTED) + 4
    assert "a running mean of a table of slopes, batch 2 without replacement delayed by 1" in said
    assert "minibatches, batch growing with replacement delayed by up to 2" in said
    assert not any("0x" in text or "{" in text for text in said)


class Uneven(DeterministicQuadratic):
    """A sum that says no more of its smoothness than two unequal constants."""

    @property
    def average_smoothness(self) -> float:
        return self.smoothness / 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: OracleRun(signs(), SEGMENT, steps=1, step_size=0.1, oracle=None), "oracle"),
        (
            lambda: (
                OracleRun(signs(4), L2Ball(1.0), steps=9, step_size=0.1, oracle=Minibatch(1)).counts
            ),
            "at most 131072 sequences of draws, got 262,144",
        ),
        (
            lambda: (
                OracleRun(
                    GaussianQuadratic([[1.0]], [0.5], 1.0),
                    SEGMENT,
                    steps=2,
                    step_size=0.1,
                    oracle=Minibatch(1),
                ).gap
            ),
            "FiniteSum",
        ),
        (
            lambda: (
                OracleRun(
                    signs(4), L2Ball(1.0), steps=2, step_size=0.1, oracle=Minibatch(1, "reshuffled")
                ).gap
            ),
            "order",
        ),
        (
            lambda: BlockStepFrom(
                saddle(3, 2), SEGMENT, points=[[0.0, 0, 0]], free=[0, 1], free_step=0.0
            ),
            "free_step",
        ),
        (
            lambda: (
                BlockStepFrom(
                    saddle(3, 2), SEGMENT, points=[[0.0, 0, 0]], free=[0, 3], free_step=0.1
                ).expected_value_after
            ),
            "free",
        ),
        (lambda: component_smoothness(Uneven([[1.0]], [0.0])), "L_i"),
        (lambda: possible_draws(object(), 2, 0), "listed"),  # type: ignore[arg-type]
    ],
)
def test_bad_settings_are_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


@pytest.mark.parametrize(
    "problem",
    [signs(4, 3, 0.3), robust(4, 3), ScalarQuadratics([2.0, -1.0]), saddle(3, 2)],
    ids=repr,
)
def test_smoothness_of_components(problem: FiniteSum) -> None:
    sizes = component_smoothness(problem)
    assert sizes.max() == near(problem.max_smoothness)
    assert sizes.mean() == near(problem.average_smoothness)
    rng = np.random.default_rng(0)
    for _ in range(200):
        x = rng.standard_normal(problem.dim)
        y = x + 1e-3 * rng.standard_normal(problem.dim)
        change = problem.component_gradients(x) - problem.component_gradients(y)
        ratio = np.linalg.norm(change, axis=1) / np.linalg.norm(x - y)
        assert (ratio <= sizes * (1 + 1e-9)).all()
    if isinstance(problem, ScalarQuadratics):
        np.testing.assert_allclose(ratio, sizes)


def test_the_infimum_on_a_ball_of_a_function_without_minimiser() -> None:
    problem = signs(2)
    assert problem.separable
    ball = L2Ball(1.0)
    angles = np.linspace(0, 2 * math.pi, 100_001)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    assert infimum(problem, ball) == near(float(problem.value(circle).min()), abs=1e-7)


# ---- rates from errors ------------------------------------------------------------------------


def test_without_errors_the_convex_rate_is_that_of_lecture_twelve() -> None:
    problem = LeastSquares([[1.0, 0.5], [0.2, 2.0]], [1.0, -3.0])
    setting = OracleRun(problem, L2Ball(1.0), steps=30, step_size=OPEN_LOOP, oracle=FullGradient())
    assert not setting.errors.any()
    same = ALL["thm-any-estimates-convex"].check(setting)
    for other in ("thm-fw-convex", "thm-slope-table"):
        where = problem
        if other == "thm-fw-convex":
            where = DeterministicQuadratic(problem.hessian, -problem.gradient(np.zeros(2)))
        run_ = OracleRun(where, L2Ball(1.0), steps=30, step_size=OPEN_LOOP, oracle=_whole(where))
        np.testing.assert_allclose(ALL[other].check(run_).bound, same.bound)


def _whole(problem: FiniteSum) -> Oracle:
    return SlopeTable(2) if isinstance(problem, LeastSquares) else FullGradient()


def test_the_weights_of_the_convex_rate() -> None:
    # What the proof adds up: (t+1)/(t+2) is at most the growth of t(t+1)/(t+2), and just.
    t = np.arange(200.0)
    growth = (t + 1) * (t + 2) / (t + 3) - t * (t + 1) / (t + 2)
    np.testing.assert_allclose(growth - (t + 1) / (t + 2), (t + 1) / ((t + 2) * (t + 3)))


def misled(steps: int, step_size: Any) -> OracleRun:
    """A slope of 1, and estimates of length 1e-6 that point the other way."""
    return OracleRun(
        TiltedQuadratic([[0.0]], [-1.0], [[1 + 1e-6], [-1 - 1e-6]]),
        SEGMENT,
        steps=steps,
        step_size=step_size,
        x0=[1.0],
        oracle=Minibatch(1, FirstSampleOnly()),
    )


def test_the_factor_of_the_errors_is_attained() -> None:
    verdict = ALL["thm-any-estimates"].check(misled(2000, 1.0))
    ratio = verdict.observed / verdict.bound
    np.testing.assert_allclose(ratio, 1 / (1 + 1e-6 + 1 / verdict.index), rtol=1e-9)
    convex = ALL["thm-any-estimates-convex"].check(misled(50, OPEN_LOOP))
    np.testing.assert_allclose(convex.observed / convex.bound, 1 / (1 + 1e-6), rtol=1e-9)


def test_a_parabola_attains_the_first_step_of_any_estimates() -> None:
    setting = OracleRun(
        DeterministicQuadratic([[2.0]], [0.8]),
        SEGMENT,
        steps=3,
        step_size=0.3,
        x0=[1.0],
        oracle=FullGradient(),
    )
    verdict = ALL["thm-any-estimates"].check(setting)
    assert verdict.observed[0] == near(verdict.bound[0])
    assert verdict.observed[1] < 0.9 * verdict.bound[1]


# ---- one oracle after the other ---------------------------------------------------------------


def test_both_terms_of_a_delay_are_attained() -> None:
    theorem, parabola = ALL["prop-delayed-gradients"], DeterministicQuadratic([[2.0]], [0.0])
    for delay in (1, 3):
        late = Delayed(Minibatch(1), delay)
        crossing = OracleRun(parabola, SEGMENT, steps=4, step_size=1.0, x0=[1.0], oracle=late)
        verdict = theorem.check(crossing)
        assert verdict.observed[1] == near(4.0)  # L D γ
        assert verdict.bound.tolist() == near([4.0 * min(t, delay) for t in range(4)])
        assert verdict.observed[1] == near(verdict.bound[1])
    even = TiltedQuadratic([[1.0]], [0.0], [[0.5], [-0.5]])
    noisy = OracleRun(even, SEGMENT, steps=4, step_size=0.1, oracle=Delayed(Minibatch(1), 0))
    verdict = theorem.check(noisy)
    np.testing.assert_allclose(verdict.observed, verdict.bound)
    np.testing.assert_allclose(verdict.observed, 0.5)


@pytest.mark.parametrize("sampling", ["with_replacement", FEW])
@pytest.mark.parametrize("problem", [signs(3), robust(3), ScalarQuadratics([2.0, -1.0, 0.5])])
def test_variance_of_a_snapshot(problem: FiniteSum, sampling: str) -> None:
    ball: Constraint = SEGMENT if problem.dim == 1 else L2Ball(1.0)
    x0 = [0.3] + [0.1] * (problem.dim - 1)
    for oracle in (
        Snapshot(2, sampling, period=3),
        LooplessSnapshot(2, sampling, probability=0.5),
    ):
        setting = OracleRun(problem, ball, steps=3, step_size=0.4, x0=x0, oracle=oracle)
        anchor, factor = anchors(setting), resolve(sampling).variance_factor(3, 2)
        verdict = ALL["prop-snapshot-error"].check(setting)
        assert len(verdict.index) == setting.counts[:-1].sum()
        at, nonzero = 0, 0
        for t in range(3):
            bias = setting.given_past(t, setting.deviations[t])
            np.testing.assert_allclose(bias, 0, atol=1e-14)
            for past in range(setting.counts[t]):
                x, old = setting.paths[t, past], anchor[t, past]
                z = problem.component_gradients(x) - problem.component_gradients(old)
                spread = ((z - z.mean(axis=0)) ** 2).sum(axis=1).mean()
                assert verdict.observed[at] == near(factor * spread, abs=1e-14)
                nonzero += spread > 1e-6
                bound = factor * (component_smoothness(problem) ** 2).mean()
                assert verdict.bound[at] == near(bound * ((x - old) ** 2).sum(), abs=1e-14)
                at += 1
        assert nonzero > 2


def test_anchors_move_when_they_should() -> None:
    problem = signs(2)
    fixed = OracleRun(problem, L2Ball(1.0), steps=4, step_size=0.4, oracle=Snapshot(1, period=2))
    for t, s in enumerate([0, 0, 2, 2]):
        np.testing.assert_array_equal(anchors(fixed)[t], fixed.paths[s])
    always = OracleRun(
        problem, L2Ball(1.0), steps=4, step_size=0.4, oracle=LooplessSnapshot(1, probability=1)
    )
    for t, s in enumerate([0, 0, 1, 2]):
        np.testing.assert_array_equal(anchors(always)[t], always.paths[s])


def opposed(oracle: Oracle) -> OracleRun:
    problem = ScalarQuadratics([1 + 1e-6, -1.0], [0.0, 0.0])
    return OracleRun(problem, SEGMENT, steps=3, step_size=1.0, x0=[1.0], oracle=oracle)


def test_opposed_parabolas_approach_the_bounds_on_changes() -> None:
    snapshot = ALL["prop-snapshot-error"].check(opposed(Snapshot(1, period=4)))
    assert snapshot.worst == near(1, abs=1e-6)
    assert snapshot.observed.max() == near(4, rel=1e-5)
    sarah = ALL["prop-sarah-error"].check(opposed(Recursive(1, probability=0.25)))
    assert sarah.observed[1] / sarah.bound[1] == near(1, abs=1e-6)
    assert sarah.observed[1] == near(0.75 * 4, rel=1e-5)


def test_gradients_that_differ_by_constants_make_snapshots_exact() -> None:
    setting = OracleRun(
        saddle(2, 3), L2Ball(1.0), steps=3, step_size=0.4, oracle=Snapshot(1, period=4)
    )
    assert setting.square_errors.max() < 1e-28
    assert ALL["prop-snapshot-error"].check(setting).worst == 0


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
def test_bound_on_sarah_for_any_steps_and_for_constant_ones(p: float) -> None:
    problem, gamma = signs(2), 0.3
    falling = OracleRun(
        problem, L2Ball(0.7), steps=5, step_size=OPEN_LOOP, oracle=Recursive(1, probability=p)
    )
    scale = (component_smoothness(problem) ** 2).mean() * 1.4**2
    wanted = [
        scale * sum((1 - p) ** (t - s) * (2 / (s + 2)) ** 2 for s in range(t)) for t in range(5)
    ]
    np.testing.assert_allclose(ALL["prop-sarah-error"].check(falling).bound, wanted)
    if p:
        constant = OracleRun(
            problem, L2Ball(0.7), steps=5, step_size=gamma, oracle=Recursive(1, probability=p)
        )
        bound = ALL["prop-sarah-error"].check(constant).bound
        assert (bound <= (1 - p) / p * scale * gamma**2 * (1 + 1e-12)).all()


# ---- a table ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2])
def test_bias_and_unbiasedness_of_tables(size: int) -> None:
    problem, ball, n = signs(4), L2Ball(1.0), 4
    options: dict[str, Any] = {"steps": 3, "step_size": 0.4, "x0": [0.3, 0.2]}
    sag = OracleRun(problem, ball, oracle=SlopeTable(size), **options)
    saga = OracleRun(problem, ball, oracle=GradientTable(size), **options)
    batches = list(itertools.combinations(range(n), size))
    for t in range(3):
        np.testing.assert_allclose(saga.given_past(t, saga.deviations[t]), 0, atol=1e-14)
        found = sag.given_past(t, sag.deviations[t])
        for past in range(len(batches) ** t):
            table = np.zeros((n, 2))
            for s in range(t):  # the draws of a past are the digits of its number
                drawn = list(batches[past // len(batches) ** s % len(batches)])
                table[drawn] = problem.component_gradients(sag.paths[s, past])[drawn]
            exact = problem.gradient(sag.paths[t, past])
            wanted = (1 - size / n) * (table.mean(axis=0) - exact)
            np.testing.assert_allclose(found[past], wanted, atol=1e-14)
            assert np.abs(wanted).max() > 1e-3


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_proof_for_tables_step_by_step(size: int) -> None:
    problem, n, steps = signs(3), 3, 5
    setting = OracleRun(
        problem, L2Ball(0.5), steps=steps, step_size=OPEN_LOOP, oracle=SlopeTable(size)
    )
    q, nu, diameter = 1 - size / n, n / size - 1, 1.0
    mean = component_smoothness(problem).mean()
    start = np.linalg.norm(problem.component_gradients(np.zeros(2)), axis=1).mean()
    # u_t: how wrong the entries are on average, after those of step t have been renewed.
    wrong = []
    for t in range(steps):
        gradients = np.array([problem.component_gradients(x) for x in setting.paths[t]])
        slopes = setting.memories[t + 1][0] if t + 1 < steps else None
        if slopes is None:
            break
        entries = slopes[:, :, None] * problem.features
        each = np.linalg.norm(entries - gradients, axis=2).mean(axis=1)
        wrong.append(float(setting.weights @ each))
    assert wrong[0] == near(q * start)
    for t in range(1, len(wrong)):
        assert wrong[t] <= q * (wrong[t - 1] + 2 * mean * diameter / (t + 1)) * (1 + 1e-12)
    assert (setting.errors[: len(wrong)] <= np.array(wrong) + 1e-14).all()
    for T in range(1, steps):
        u = sum((t + 1) * wrong[t] for t in range(T))
        harmonic = sum(1 / t for t in range(1, T + 1))
        bound = (nu + 1) ** 2 * q * start + 2 * nu**2 * mean * diameter * harmonic
        assert u <= bound + 2 * nu * mean * diameter * T + 1e-14
        final = table_bound(setting)[T - 1]
        assert final == near(
            2 * problem.smoothness / (T + 2)
            + 2 / (T * (T + 1)) * (bound + 2 * nu * mean * diameter * T)
        )


def test_a_penalty_is_not_tabulated() -> None:
    plain, penalised = signs(3), signs(3, regularization=0.5)
    x0 = [0.3, 0.1]
    bounds = [
        OracleRun(problem, L2Ball(0.5), steps=1, step_size=OPEN_LOOP, x0=x0, oracle=SlopeTable(1))
        for problem in (plain, penalised)
    ]
    first, second = (float(table_bound(setting)[0]) for setting in bounds)
    # L and the mean of L_i grow by λ; G_0 stays as it is.
    nu, rise = 2, 0.5
    assert second - first == near(2 * rise / 3 + 2 * nu * rise + nu * 2 * nu * rise)


def test_the_order_of_the_table_is_one_over_t() -> None:
    rng = np.random.default_rng(5)
    features = rng.standard_normal((12, 3))
    problem = LeastSquares(features, features @ [1.0, -2.0, 1.5] + rng.standard_normal(12))
    ball = L1Ball(2.0)
    lowest = infimum(problem, ball)
    trace = run(
        problem,
        SlopeTable(1),
        FrankWolfeStep(ball),
        steps=8000,
        step_size=OPEN_LOOP,
        replicates=40,
        rng=0,
        record=[80, 800, 8000],
        metrics={"excess": lambda problem, x: problem.value(x) - lowest},
    )
    excess = trace.mean("excess")[0][1:]
    assert (excess[1:] < excess[:-1] / 5).all()
    setting = OracleRun(problem, ball, steps=8000, step_size=OPEN_LOOP, oracle=SlopeTable(1))
    bound = table_bound(setting)
    assert (excess < bound[[79, 799, 7999]]).all()
    assert bound[7999] * 8000 < 1.2 * bound[799] * 800
    assert bound[7999] * 8000 == near(
        setting.diameter**2 * (2 * problem.smoothness + 44 * problem.average_smoothness), rel=0.05
    )


# ---- a running mean ---------------------------------------------------------------------------


def test_error_of_a_running_mean_by_its_recursion() -> None:
    # Of a linear function errors are those of the noise alone, and follow a recursion exactly.
    slope = TiltedQuadratic(np.zeros((2, 2)), [0.4, 0.1], [[1.0, 0.0], [-0.5, 1.0], [-0.5, -1.0]])
    for weight in (1.0, 0.3, power(1, 2 / 3, shift=8)):
        oracle = Momentum(Minibatch(2, FEW), weight)
        setting = OracleRun(slope, L2Ball(1.0), steps=5, step_size=0.3, oracle=oracle)
        rho, noise = running_weights(setting), slope.standard_deviation**2 / 4  # c_2 = 1/4
        error = [0.4**2 + 0.1**2, 0.0]  # bias squared, variance
        for t in range(5):
            error = [(1 - rho[t]) ** 2 * error[0], (1 - rho[t]) ** 2 * error[1]]
            error[1] += rho[t] ** 2 * noise
            assert setting.square_errors[t] == near(sum(error))


def test_a_running_mean_that_forgets_attains_its_bound() -> None:
    even = TiltedQuadratic([[1.0]], [0.2], [[0.5], [-0.5]])
    setting = OracleRun(even, SEGMENT, steps=5, step_size=0.3, oracle=Momentum(Minibatch(1), 1.0))
    verdict = ALL["prop-running-mean"].check(setting)
    np.testing.assert_allclose(verdict.observed, verdict.bound)
    np.testing.assert_allclose(verdict.bound, 0.25)


@pytest.mark.parametrize("rho", [0.1, 0.5])
def test_a_running_mean_that_lags_behind_comes_close_to_its_bound(rho: float) -> None:
    setting = OracleRun(
        DeterministicQuadratic([[3.0]], [-3.0]),
        SEGMENT,
        steps=100,
        step_size=1e-6,
        x0=[1.0],
        oracle=Momentum(Minibatch(1), lambda k: 1.0 if k == 0 else rho),
    )
    verdict = ALL["prop-running-mean"].check(setting)
    left = (1 - rho) / (1 - rho + rho**2)
    assert verdict.observed[-1] / verdict.bound[-1] == near(left, rel=1e-3)


@pytest.mark.parametrize(("noise", "reach"), [(1.0, 0.0), (0.0, 1.0)])
def test_the_recursion_of_a_running_mean_stays_below_its_rate(noise: float, reach: float) -> None:
    # Both the recursion and C are linear in σ² and L²D², so that two cases say all.
    error, constant, closest = noise, 16 / 3 * noise + 27 / 4 * reach, 0.0
    for t in range(1, 20_000):
        rho, gamma = 4 / (t + 8) ** (2 / 3), 2 / (t + 1)
        error = (1 - rho) * (error + reach * gamma**2 / rho) + rho**2 * noise
        ratio = error / (constant / (t + 8) ** (2 / 3))
        assert ratio <= 1
        closest = max(closest, ratio)
    assert closest > 0.05


def test_the_rate_of_a_running_mean_on_a_run() -> None:
    problem = signs(2)
    setting = OracleRun(
        problem, L2Ball(1.0), steps=8, step_size=OPEN_LOOP, oracle=Momentum(Minibatch(1))
    )
    constant = running_mean_constant(setting)
    noise = 16 / 3 * setting.standard_deviation**2
    assert constant == near(noise + 27 / 4 * (problem.smoothness * 2) ** 2)
    assert (setting.square_errors <= constant * (np.arange(8) + 8.0) ** (-2 / 3)).all()
    halved = OracleRun(
        problem, L2Ball(1.0), steps=1, step_size=OPEN_LOOP, oracle=Momentum(Minibatch(2))
    )
    assert constant - running_mean_constant(halved) == near(noise / 2)


# ---- the erratum: a gap that vanishes with single samples -------------------------------------


def slopes_of_two_signs() -> TiltedQuadratic:
    """The function x on [-1, 1], whose samples have the slopes 2, 2 and -1."""
    return TiltedQuadratic([[0.0]], [-1.0], [[-1.0], [-1.0], [2.0]])


def test_single_samples_without_memory_have_a_floor_and_with_memory_have_none() -> None:
    problem, steps = slopes_of_two_signs(), 3000
    plain = FrankWolfeRun(problem, SEGMENT, steps=steps, step_size=OPEN_LOOP)
    # Every third step leads to the wrong end, so that E G(x_t) = 2/3 for ever.
    np.testing.assert_allclose(plain.expectation.gap[1:], 2 / 3)
    rho = np.array([4 / (t + 8) ** (2 / 3) for t in range(steps)])
    spread, wrong = 0.0, []
    for weight in rho:  # Cantelli's inequality for the sign of the running mean, of mean 1 - bias
        spread = (1 - weight) ** 2 * spread + weight**2 * 2.0
        wrong.append(spread / (spread + 1))  # ρ_0 = 1: the mean is unbiased from the start
    t = np.arange(steps)
    weights = 2 * (t + 1) / (steps * (steps + 1))
    assert 2 * weights @ np.array(wrong) < 0.12  # below the floor, and that is a proof
    trace = run(
        problem,
        Momentum(Minibatch(1)),
        FrankWolfeStep(SEGMENT),
        steps=steps,
        step_size=OPEN_LOOP,
        replicates=200,
        rng=0,
        record=[30, 300],
        metrics={"gap": lambda problem, x: frank_wolfe_gap(problem, SEGMENT, x)},
    )
    mean, error = trace.mean("gap")
    assert (mean[1:] + 5 * error[1:] < [0.6, 0.3, 0.01]).all()
    short = OracleRun(problem, SEGMENT, steps=9, step_size=OPEN_LOOP, oracle=Momentum(Minibatch(1)))
    assert short.gap[9] < 0.6  # exactly, over 3^9 sequences


def test_the_same_on_a_parabola() -> None:
    problem = GaussianQuadratic([[1.0]], [0.5], 1.0)
    plain = FrankWolfeRun(problem, SEGMENT, steps=1, step_size=power(1, 1))
    floor, root = batch_floor(plain), drift_root(plain)
    assert root == near(1 - 2 * norm.cdf(root - 0.5))
    gaps = {}
    for name, oracle in {"plain": Minibatch(1), "mean": Momentum(Minibatch(1))}.items():
        trace = run(
            problem,
            oracle,
            FrankWolfeStep(SEGMENT),
            steps=4000,
            step_size=OPEN_LOOP,
            replicates=200,
            rng=0,
            record=[],
            metrics={"gap": lambda problem, x: frank_wolfe_gap(problem, SEGMENT, x)},
        )
        gaps[name] = float(trace.history["gap"][-1].mean())
    assert gaps["plain"] == near(floor, rel=0.1)
    assert gaps["mean"] < 0.25 * floor


# ---- blocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["with_replacement", FEW])
def test_a_block_step_by_listing_batches(sampling: str) -> None:
    problem, free, others = robust(3, 4), [0, 2], [1, 3]
    ball, gamma, alpha = L2Ball(0.6), 0.35, 0.1
    x = np.array([1.0, 0.2, -2.0, 0.4])
    setting = BlockStepFrom(
        problem,
        ball,
        points=[x],
        step_size=gamma,
        batch_size=2,
        sampling=sampling,
        free=free,
        free_step=alpha,
    )
    single, exact = problem.component_gradients(x), problem.gradient(x)
    pairs = (
        list(itertools.product(range(3), repeat=2))
        if sampling != FEW
        else list(itertools.combinations(range(3), 2))
    )
    values = []
    for pair in pairs:
        g, after = single[list(pair)].mean(axis=0), x.copy()
        after[others] += gamma * (-0.6 * g[others] / np.linalg.norm(g[others]) - x[others])
        after[free] -= alpha * g[free]
        values.append(problem.value(after))
    assert setting.expected_value_after[0] == near(np.mean(values))
    gap = exact[others] @ x[others] + 0.6 * np.linalg.norm(exact[others])
    assert setting.gap[0] == near(gap)
    verdict = ALL["prop-block-step"].check(setting)
    assert verdict.observed[0] == near(gamma * gap + alpha / 2 * (exact[free] ** 2).sum())
    spread = ((single - exact) ** 2).mean(axis=0)
    noise = gamma * 1.2 * math.sqrt(spread[others].sum() / 2)
    noise += problem.smoothness * alpha**2 * spread[free].sum() / 4
    fall = problem.value(x) - np.mean(values) + problem.smoothness / 2 * (1.2 * gamma) ** 2
    assert verdict.bound[0] == near(fall + noise)


@pytest.mark.parametrize("size", [1, 3])
def test_a_round_parabola_attains_the_block_step(size: int) -> None:
    setting = BlockStepFrom(
        TiltedQuadratic(2 * np.eye(3), np.zeros(3), [[0.0, 0.0, 3.0], [0.0, 0.0, -3.0]]),
        L2Ball(1.0),
        points=[[0.6, 0.8, 5.0]],
        step_size=0.4,
        batch_size=size,
        free=[2],
        free_step=0.5,
    )
    verdict = ALL["prop-block-step"].check(setting)
    assert verdict.observed[0] == near(verdict.bound[0])


def test_only_the_confined_coordinates_must_be_in_the_set() -> None:
    options: dict[str, Any] = {"free": [0], "free_step": 0.1}
    fine = BlockStepFrom(saddle(2, 2), SEGMENT, points=[[9.0, 0.5]], **options)
    assert ALL["prop-block-step"].check(fine)
    outside = BlockStepFrom(saddle(2, 2), SEGMENT, points=[[0.5, 9.0]], **options)
    with pytest.raises(AssumptionError, match="points in the set"):
        ALL["prop-block-step"].check(outside)


# ---- the right theorem for the right oracle ---------------------------------------------------


@pytest.mark.parametrize(
    ("label", "oracle"),
    [
        ("prop-delayed-gradients", Minibatch(1)),
        ("prop-delayed-gradients", Delayed(Snapshot(1, period=2), 1)),
        ("prop-snapshot-error", Recursive(1, probability=0.5)),
        ("prop-sarah-error", Snapshot(1, period=2)),
        ("thm-slope-table", SlopeTable(1, unbiased=True)),
        ("thm-slope-table", SlopeTable(1, start="gradient")),
        ("thm-slope-table", GradientTable(1)),
        ("prop-running-mean", Minibatch(1)),
        ("prop-running-mean", Momentum(SlopeTable(1))),
    ],
)
def test_another_oracle_is_refused(label: str, oracle: Oracle) -> None:
    setting = OracleRun(
        Ridge([[1.0], [2.0]], [1.0, 0.0], 0.1), SEGMENT, steps=2, step_size=OPEN_LOOP, oracle=oracle
    )
    with pytest.raises(AssumptionError, match="the oracle is"):
        ALL[label].check(setting)


@pytest.mark.parametrize(
    ("label", "oracle", "name", "true"),
    [
        ("thm-slope-table", SlopeTable(1), "mean_smoothness", 2.5),
        (
            "prop-sarah-error",
            Recursive(1, probability=0.5),
            "root_mean_square_smoothness",
            8.5**0.5,
        ),
        ("prop-snapshot-error", Snapshot(1, period=2), "root_mean_square_smoothness", 8.5**0.5),
        ("prop-delayed-gradients", Delayed(Minibatch(1), 2), "delay", 2.0),
        ("prop-running-mean", Momentum(Minibatch(1)), "smoothness", 2.5),
        ("thm-any-estimates", Minibatch(1), "diameter", 2.0),
    ],
)
def test_a_constant_is_refused_where_it_is_too_small(
    label: str, oracle: Oracle, name: str, true: float
) -> None:
    def claiming(value: float) -> OracleRun:
        return OracleRun(
            LeastSquares([[1.0], [2.0]], [1.0, 0.0]),
            SEGMENT,
            steps=3,
            step_size=OPEN_LOOP,
            oracle=oracle,
            claims={name: value},
        )

    assert ALL[label].check(claiming(true))
    with pytest.raises(AssumptionError, match=r"smooth|compact|delay"):
        ALL[label].check(claiming(0.99 * true))


@pytest.mark.parametrize("label", ZOO)
def test_random_settings_are_not_trivial(label: str) -> None:
    rng = np.random.default_rng(7)
    verdicts = [ALL[label].check(ZOO[label](rng)) for _ in range(40)]
    assert sum(verdict.observed.max() > 1e-9 for verdict in verdicts) >= 25
