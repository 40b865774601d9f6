"""The zoo of stochastic Frank–Wolfe methods: every variant against what its source says of it."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from benchmarks import frank_wolfe as benchmark
from sgdnotes import LeastSquares, LogisticRegression, Ridge, run
from sgdnotes.constraints import (
    Box,
    Constraint,
    L1Ball,
    L2Ball,
    NuclearBall,
    Simplex,
    SparsePolytope,
)
from sgdnotes.engine import Trace
from sgdnotes.methods import frank_wolfe
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
    affordable_steps,
    estimates_along,
)
from sgdnotes.problems import (
    DeterministicQuadratic,
    FiniteSum,
    LinearModel,
    NormalMedian,
    RobustRegression,
    quadratic,
)
from sgdnotes.sampling import AllSequences, Sampling, WithoutReplacement, WithReplacement, resolve
from sgdnotes.schedules import (
    SMALLEST,
    constant,
    evaluate,
    evaluate_batches,
    frank_wolfe_steps,
    geometric_batches,
    piecewise,
    polynomial_batches,
    power,
    step_decay,
)
from sgdnotes.updates import (
    AdaptiveFrankWolfeStep,
    BlockStep,
    FrankWolfeStep,
    GradientStep,
    Update,
    frank_wolfe_gap,
)

FEW = "without_replacement"


def data(n: int, dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n, dim))
    signal = np.where(np.arange(dim) < (dim + 1) // 2, 1.0, -0.2)
    return features, features @ signal + rng.standard_normal(n)


def sparse_logistic(n: int, dim: int) -> LogisticRegression:
    rng = np.random.default_rng(0)
    features, signal = rng.standard_normal((n, dim)), np.zeros(dim)
    signal[:5] = [3, -2, 1.5, 2, -1]
    return LogisticRegression(features, np.sign(features @ signal + rng.standard_normal(n)), 0.0)


def logistic(n: int, dim: int, regularization: float = 0.0, seed: int = 0) -> LogisticRegression:
    features, targets = data(n, dim, seed)
    return LogisticRegression(features, np.sign(targets), regularization)


SMALL: dict[str, LinearModel] = {
    "logistic": logistic(12, 5),
    "logistic with a penalty": logistic(12, 5, 0.3),
    "least squares": LeastSquares(*data(12, 5, 1)),
}
SETS: dict[str, Constraint] = {
    "l1 ball": L1Ball(3.0),
    "l2 ball": L2Ball(1.0),
    "simplex": Simplex(3.0),
    "box": Box([-1.0] * 5, [0.5] * 5),
}


def fw_run(
    problem: FiniteSum, constraint: Constraint, oracle: Oracle, update: Update, **options: Any
) -> Trace:
    options = {"steps": 60, "step_size": frank_wolfe_steps(), "record": "all", **options}
    x0 = constraint.project(np.zeros(problem.dim))
    return run(problem, oracle, update, x0=x0, metrics=["x"], **options)


# ---- every variant's own limit is plain Frank–Wolfe -------------------------------------------

N = 12
FULL_BATCH = Minibatch(N, FEW)
ORACLE_LIMITS: dict[str, Oracle] = {
    "Reddi et al., full batch": FULL_BATCH,
    "SCG, weight 1, full batch": Momentum(FULL_BATCH, 1.0),
    "SVFW, a snapshot every step": Snapshot(1, period=1),
    "SVFW, full batch": Snapshot(N, FEW, period=7),
    "SAGAFW, full batch": GradientTable(N),
    "SAGAFW of slopes, full batch": SlopeTable(N, unbiased=True),
    "Négiar et al., full batch": SlopeTable(N),
    "AsySFW, delay 0, full batch": Delayed(FULL_BATCH, 0),
    "AsySFW, random delay 0, full batch": Delayed(FULL_BATCH, 0, random=True),
    "loopless SVRG, full batch": LooplessSnapshot(N, FEW, probability=0.3),
    "SARAH, always restarted": Recursive(1, probability=1),
    "SARAH, full batch": Recursive(N, FEW, probability=0.2),
}
UPDATE_LIMITS: dict[str, Callable[[Constraint], Update]] = {
    "FW-SD, no free coordinate": lambda c: BlockStep(FrankWolfeStep(c), []),
    "AdaSFW, one inner step, no curvature": lambda c: AdaptiveFrankWolfeStep(c, math.inf, 1),
    "AdaSFW, one inner step, little curvature": lambda c: AdaptiveFrankWolfeStep(c, 1e9, 1),
}


def agree(got: Trace, wanted: Trace) -> None:
    assert got.success
    assert wanted.success
    assert np.abs(got.history["x"] - wanted.history["x"]).max() <= 1e-12
    # A run that soon rests at a vertex would tell nothing.
    assert (np.abs(np.diff(wanted.history["x"][:15, 0], axis=0)).max(axis=1) > 1e-6).all()


@pytest.mark.parametrize("constraint", SETS)
@pytest.mark.parametrize("problem", SMALL)
@pytest.mark.parametrize("name", ORACLE_LIMITS)
def test_in_its_limit_an_oracle_is_exact(name: str, problem: str, constraint: str) -> None:
    where = SMALL[problem], SETS[constraint]
    step = FrankWolfeStep(where[1])
    plain = fw_run(*where, FullGradient(), step)
    agree(fw_run(*where, ORACLE_LIMITS[name], step, rng=3, replicates=2), plain)


@pytest.mark.parametrize("oracle", ["AdaSFW", "AdaCSFW"])
@pytest.mark.parametrize("constraint", SETS)
@pytest.mark.parametrize("problem", SMALL)
@pytest.mark.parametrize("name", UPDATE_LIMITS)
def test_in_its_limit_an_update_is_plain(
    name: str, problem: str, constraint: str, oracle: str
) -> None:
    where = SMALL[problem], SETS[constraint]
    estimates = {"AdaSFW": FULL_BATCH, "AdaCSFW": SlopeTable(N)}[oracle]
    plain = fw_run(*where, FullGradient(), FrankWolfeStep(where[1]))
    agree(fw_run(*where, estimates, UPDATE_LIMITS[name](where[1]), rng=3), plain)


def test_the_limits_are_not_reached_on_the_way_there() -> None:
    problem, constraint = SMALL["logistic"], SETS["l2 ball"]
    plain = fw_run(problem, constraint, FullGradient(), FrankWolfeStep(constraint)).history["x"]
    nearly: list[tuple[Oracle, Update]] = [
        (Minibatch(11, FEW), FrankWolfeStep(constraint)),
        (Momentum(FULL_BATCH, 0.9), FrankWolfeStep(constraint)),
        (Snapshot(1, period=2), FrankWolfeStep(constraint)),
        (GradientTable(11), FrankWolfeStep(constraint)),
        (SlopeTable(11), FrankWolfeStep(constraint)),
        (Delayed(FULL_BATCH, 1), FrankWolfeStep(constraint)),
        (Delayed(FULL_BATCH, 1, random=True), FrankWolfeStep(constraint)),
        (LooplessSnapshot(11, FEW, probability=0.3), FrankWolfeStep(constraint)),
        (Recursive(1, probability=0.9), FrankWolfeStep(constraint)),
        (FULL_BATCH, AdaptiveFrankWolfeStep(constraint, math.inf, 2)),
        (FULL_BATCH, AdaptiveFrankWolfeStep(constraint, 0.1, 1)),
        (FULL_BATCH, BlockStep(FrankWolfeStep(constraint), [0])),
    ]
    for oracle, update in nearly:
        other = fw_run(problem, constraint, oracle, update, rng=3).history["x"]
        assert np.abs(other - plain).max() > 1e-6, (oracle, update)


# ---- bias and variance, exactly, by listing the draws -----------------------------------------


@dataclass(frozen=True)
class Law:
    """All estimates that a draw can lead to, after a common past, with their probabilities."""

    problem: FiniteSum
    oracle: Oracle
    past: list[tuple[np.ndarray, list[int]]]
    now: np.ndarray
    draws: list[list[int]]
    weights: np.ndarray

    def estimates(self) -> np.ndarray:
        def rows(value: Any) -> np.ndarray:
            return np.tile(np.asarray(value), (len(self.draws), 1))

        state = self.oracle.init(self.problem, rows(self.past[0][0]))
        for point, draw in self.past:
            _, state = self.oracle.gradient(self.problem, rows(point), rows(draw), state)
        return self.oracle.gradient(self.problem, rows(self.now), np.array(self.draws), state)[0]

    @property
    def mean(self) -> np.ndarray:
        return self.weights @ self.estimates()

    @property
    def variance(self) -> float:
        return float(self.weights @ ((self.estimates() - self.mean) ** 2).sum(axis=1))


LISTED: dict[str, FiniteSum] = {
    "logistic": logistic(5, 3),
    "ridge": Ridge(*data(5, 3, 2), 0.4),
    "quadratic": LeastSquares(*data(5, 3, 3)),
}
PATH = np.random.default_rng(5).standard_normal((4, 3)) / 2
PAST = [[0, 1], [3, 1], [4, 0]]  # what was drawn at the first three points


def listed(
    name: str, oracle: Oracle, sampling: Sampling, extra: dict[int, float] | None = None
) -> Law:
    """List the fourth estimate; `extra` are the values of a last column, with probabilities."""
    batches = sampling.outcomes(5, 2).tolist()
    columns = {None: 1.0} if extra is None else extra
    tails = [[] if value is None else [value] for value in columns]
    draws = [[*batch, *tail] for batch, tail in itertools.product(batches, tails)]
    chances = [chance / len(batches) for _, chance in itertools.product(batches, columns.values())]
    past = [(x, draw + ([] if extra is None else [0])) for x, draw in zip(PATH, PAST, strict=False)]
    return Law(LISTED[name], oracle, past, PATH[3], draws, np.array(chances))


def spread(vectors: np.ndarray) -> float:
    return float(((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1).mean())


SAMPLINGS: list[Sampling] = [WithReplacement(), WithoutReplacement()]
near = pytest.approx


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=lambda s: s.name)
@pytest.mark.parametrize("name", LISTED)
class TestLaw:
    """Bias and variance given the past."""

    def test_minibatch(self, name: str, sampling: Sampling) -> None:
        law = listed(name, Minibatch(2, sampling), sampling)
        g = law.problem.component_gradients(PATH[3])
        assert law.mean == near(g.mean(axis=0))
        assert law.variance == near(sampling.variance_factor(5, 2) * spread(g))

    def test_snapshot(self, name: str, sampling: Sampling) -> None:
        law = listed(name, Snapshot(2, sampling, period=2), sampling)  # the anchor is PATH[2]
        g, old = (law.problem.component_gradients(PATH[k]) for k in (3, 2))
        assert law.mean == near(g.mean(axis=0))
        assert law.variance == near(sampling.variance_factor(5, 2) * spread(g - old))

    def test_loopless_snapshot(self, name: str, sampling: Sampling) -> None:
        oracle = LooplessSnapshot(2, sampling, probability=0.25)
        law = listed(name, oracle, sampling, {0: 0.75, 1: 0.25})  # the anchor is still PATH[0]
        g, old = (law.problem.component_gradients(PATH[k]) for k in (3, 0))
        assert law.mean == near(g.mean(axis=0))
        assert law.variance == near(sampling.variance_factor(5, 2) * spread(g - old))

    def test_recursive(self, name: str, sampling: Sampling) -> None:
        p = 0.25
        law = listed(name, Recursive(2, sampling, probability=p), sampling, {0: 1 - p, 1: p})
        g = [law.problem.component_gradients(x) for x in PATH]
        last = g[0].mean(axis=0)  # exact at first, then two changes
        for k in (1, 2):
            last = last + (g[k] - g[k - 1])[PAST[k]].mean(axis=0)
        error = last - g[2].mean(axis=0)
        assert np.abs(error).max() > 1e-3
        assert law.mean - g[3].mean(axis=0) == near((1 - p) * error)
        within = (1 - p) * sampling.variance_factor(5, 2) * spread(g[3] - g[2])
        assert law.variance == near(within + p * (1 - p) * (error @ error))

    def test_momentum(self, name: str, sampling: Sampling) -> None:
        weight = power(1, 2 / 3, shift=8)
        law = listed(name, Momentum(Minibatch(2, sampling)), sampling)
        g = [law.problem.component_gradients(x) for x in PATH]
        mean = np.zeros(3)
        for k in range(3):
            rho = 4 / (k + 8) ** (2 / 3)
            assert weight(k) == near(rho)
            mean = (1 - rho) * mean + rho * g[k][PAST[k]].mean(axis=0)
        rho, exact = 4 / 11 ** (2 / 3), g[3].mean(axis=0)
        assert law.mean - exact == near((1 - rho) * (mean - exact))
        assert law.variance == near(rho**2 * sampling.variance_factor(5, 2) * spread(g[3]))

    @pytest.mark.parametrize("delay", [0, 1, 3])
    def test_delayed(self, name: str, sampling: Sampling, delay: int) -> None:
        law = listed(name, Delayed(Minibatch(2, sampling), delay), sampling)
        g = law.problem.component_gradients(PATH[3 - delay])
        assert law.mean == near(g.mean(axis=0))
        assert law.variance == near(sampling.variance_factor(5, 2) * spread(g))

    def test_random_delay(self, name: str, sampling: Sampling) -> None:
        oracle = Delayed(Minibatch(2, sampling), 2, random=True)
        law = listed(name, oracle, sampling, dict.fromkeys(range(3), 1 / 3))
        g = [law.problem.component_gradients(PATH[k]) for k in (3, 2, 1)]
        means = np.array([each.mean(axis=0) for each in g])
        assert law.mean == near(means.mean(axis=0))
        within = np.mean([sampling.variance_factor(5, 2) * spread(each) for each in g])
        assert law.variance == near(float(within) + spread(means))


def newest() -> list[int]:
    """At which point of PATH each sample was last drawn, -1 for never."""
    return [max((k for k in range(3) if i in PAST[k]), default=-1) for i in range(5)]


@pytest.mark.parametrize("name", LISTED)
def test_law_of_the_gradient_table(name: str) -> None:
    law = listed(name, GradientTable(2), WithoutReplacement())
    g = [law.problem.component_gradients(x) for x in PATH]
    table = np.array([g[max(k, 0)][i] for i, k in enumerate(newest())])
    assert law.mean == near(g[3].mean(axis=0))
    factor = WithoutReplacement().variance_factor(5, 2)
    assert law.variance == near(factor * spread(g[3] - table))


@pytest.mark.parametrize("start", ["zero", "gradient"])
@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("name", LISTED)
def test_law_of_the_slope_table(name: str, unbiased: bool, start: str) -> None:
    oracle = SlopeTable(2, unbiased=unbiased, start=start)
    law = listed(name, oracle, WithoutReplacement())
    penalty = getattr(law.problem, "regularization", 0.0)
    g = [law.problem.component_gradients(x) - penalty * x for x in PATH]
    drawn = [0 if k < 0 and start == "gradient" else k for k in newest()]
    assert min(drawn) == (-1 if start == "zero" else 0)  # one sample was never drawn
    table = np.array([g[k][i] if k >= 0 else np.zeros(3) for i, k in enumerate(drawn)])
    bias = law.mean - law.problem.gradient(PATH[3])
    factor = WithoutReplacement().variance_factor(5, 2) * spread(g[3] - table)
    if unbiased:
        assert bias == near(np.zeros(3), abs=1e-12)
        assert law.variance == near(factor)
    else:
        assert bias == near((1 - 2 / 5) * (table - g[3]).mean(axis=0))
        assert law.variance == near((2 / 5) ** 2 * factor)


def test_law_of_momentum_over_a_whole_history() -> None:
    problem, steps, rho = LISTED["logistic"], 4, 0.6
    replicates = 5**steps
    path = np.broadcast_to(PATH[0], (steps, replicates, 3))
    oracle = Momentum(Minibatch(1, AllSequences(WithReplacement())), rho)
    last = estimates_along(problem, oracle, path)[-1]
    weights = rho * (1 - rho) ** np.arange(steps)
    g = problem.component_gradients(PATH[0])
    assert last.mean(axis=0) == near(weights.sum() * g.mean(axis=0))
    assert spread(last) == near((weights**2).sum() * spread(g))


def test_law_of_a_snapshot_over_a_whole_run() -> None:
    problem, constraint = LISTED["logistic"], L2Ball(1.0)
    oracle = Snapshot(1, AllSequences(WithReplacement()), period=5)
    trace = fw_run(problem, constraint, oracle, FrankWolfeStep(constraint), steps=4, replicates=625)
    x = trace.history["x"]
    errors = estimates_along(problem, oracle, x[:-1]) - problem.gradient(x[:-1])
    assert np.abs(errors[1:]).max() > 1e-3
    assert np.abs(errors.mean(axis=1)).max() <= 1e-14
    anchor = problem.component_gradients(x[0, 0])
    for k in range(4):
        expected = np.mean([spread(problem.component_gradients(z) - anchor) for z in x[k]])
        assert (errors[k] ** 2).sum(axis=1).mean() == near(float(expected))


# ---- what is drawn, what is remembered, what it costs -----------------------------------------

MODEL = logistic(30, 4)
BALL = L1Ball(1.0)
STOCHASTIC: dict[str, Oracle] = {
    "minibatch": Minibatch(2),
    "growing minibatch": Minibatch(polynomial_batches(1)),
    "momentum": Momentum(Minibatch(1)),
    "momentum over slopes": Momentum(SlopeTable(2)),
    "snapshot": Snapshot(2, period=5),
    "growing snapshot": Snapshot(geometric_batches(1, 2, every=9), period=5),
    "reshuffled snapshot": Snapshot(3, "reshuffled", period=10),
    "loopless snapshot": LooplessSnapshot(2, probability=0.2),
    "recursive": Recursive(2, probability=0.2),
    "gradient table": GradientTable(2),
    "slope table": SlopeTable(2),
    "reshuffled slope table": SlopeTable(3, "reshuffled"),
    "unbiased slope table": SlopeTable(2, unbiased=True, start="gradient"),
    "delayed": Delayed(Minibatch(2), 3),
    "randomly delayed": Delayed(Minibatch(2), 3, random=True),
    "randomly delayed snapshot": Delayed(LooplessSnapshot(2, probability=0.3), 2, random=True),
    "momentum over delayed": Momentum(Delayed(Minibatch(1), 2, random=True), 0.5),
}
UPDATES: dict[str, Update] = {
    "plain": FrankWolfeStep(BALL),
    "short": FrankWolfeStep(BALL, MODEL.smoothness),
    "adaptive": AdaptiveFrankWolfeStep(BALL, 0.5, 3),
    "block": BlockStep(FrankWolfeStep(BALL), [1], power(0.5, 1)),
    "adaptive block": BlockStep(AdaptiveFrankWolfeStep(BALL, 0.5), [3, 0]),
}


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_replicate_does_not_depend_on_how_many_run_together(name: str) -> None:
    for update in (FrankWolfeStep(BALL), GradientStep()):
        few, many = (
            fw_run(MODEL, BALL, STOCHASTIC[name], update, steps=40, replicates=count, rng=9)
            for count in (3, 130)
        )
        assert np.abs(few.history["x"] - many.history["x"][:, :3]).max() <= 1e-10
    assert len(np.unique(many.x, axis=0)) == 130  # and no two replicates draw alike


@pytest.mark.parametrize("block", [1, 50])
@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_run_does_not_depend_on_how_many_draws_come_at_a_time(name: str, block: int) -> None:
    def iterates() -> np.ndarray:
        options: dict[str, Any] = {"steps": 40, "replicates": 70, "rng": 9}
        return fw_run(MODEL, BALL, STOCHASTIC[name], GradientStep(), **options).history["x"]

    wanted = iterates()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sgdnotes.sampling.BLOCK", block)
        assert np.abs(iterates() - wanted).max() <= 1e-10


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_run_does_not_depend_on_when_it_is_recorded(name: str) -> None:
    oracle, update = STOCHASTIC[name], UPDATES["adaptive block"]
    runs = [
        fw_run(MODEL, BALL, oracle, update, steps=45, replicates=5, rng=4, record=record).x
        for record in ("all", [0], [7, 21])
    ]
    assert np.array_equal(runs[0], runs[1])
    assert np.array_equal(runs[0], runs[2])


@pytest.mark.parametrize("name", STOCHASTIC)
def test_affordable_steps_spend_a_budget_and_not_more(name: str) -> None:
    oracle = STOCHASTIC[name]
    for budget in (1, 30, 31, 100, 1777):
        steps = affordable_steps(MODEL, oracle, budget)
        assert oracle.cost(MODEL, steps + 1) > budget
        assert steps == 0 or oracle.cost(MODEL, steps) <= budget
    assert affordable_steps(MODEL, oracle, 0) == 0
    with pytest.raises(ValueError, match=r"^budget: wanted"):
        affordable_steps(MODEL, oracle, -1)


def test_affordable_steps_of_simple_methods() -> None:
    assert affordable_steps(MODEL, FullGradient(), 299) == 9
    assert affordable_steps(MODEL, Minibatch(7), 70) == 10
    assert affordable_steps(MODEL, Minibatch(geometric_batches(1, 2.0, every=1)), 10**6) == 19


def arrays(state: Any) -> Iterator[np.ndarray]:
    if isinstance(state, np.ndarray):
        yield state
    elif isinstance(state, tuple):
        for part in state:
            yield from arrays(part)


SIZES = {  # numbers that 6 replicates remember, with 30 samples and 4 coordinates
    "minibatch": 0,
    "momentum": 6 * 4,
    "momentum over slopes": 6 * (4 + 30 + 4),
    "snapshot": 6 * 2 * 4,
    "loopless snapshot": 6 * 2 * 4,
    "recursive": 6 * 2 * 4,
    "gradient table": 6 * (30 * 4 + 4),
    "slope table": 6 * (30 + 4),
    "unbiased slope table": 6 * (30 + 4),
    "delayed": 6 * 4 * 4,
    "randomly delayed snapshot": 6 * (3 + 2) * 4,
}


@pytest.mark.parametrize("name", STOCHASTIC)
def test_states_are_replaced_and_of_the_size_announced(name: str) -> None:
    oracle, x = STOCHASTIC[name], BALL.random_point(np.random.default_rng(0), (6, 4))
    blocks = oracle.draws(MODEL, 6, np.random.default_rng(1))
    state = oracle.init(MODEL, x)
    for draw in itertools.islice(itertools.chain.from_iterable(blocks), 12):
        before = [array.copy() for array in arrays(state)]
        point = x.copy()
        _, following = oracle.gradient(MODEL, x, draw, state)
        assert np.array_equal(x, point)
        for now, then in zip(arrays(state), before, strict=True):
            assert np.array_equal(now, then)
        state, x = following, BALL.project(x + 0.1)
        assert sum(array.size for array in arrays(state)) == SIZES.get(
            name, sum(array.size for array in before)
        )


@pytest.mark.parametrize("name", UPDATES)
def test_updates_change_nothing_in_place(name: str) -> None:
    update, rng = UPDATES[name], np.random.default_rng(0)
    x = BALL.random_point(rng, (6, 4))
    state = update.init(MODEL, x)
    for _ in range(3):
        g = MODEL.gradient(x)
        before = [array.copy() for array in (x, g, *arrays(state))]
        following, later = update.apply(MODEL, x, g, 0.5, state)
        for now, then in zip((x, g, *arrays(state)), before, strict=True):
            assert np.array_equal(now, then)
        x, state = following, later


def test_costs_count_gradients_of_single_samples() -> None:
    steps, n = 20, 30
    b = 2
    costs = {
        "minibatch": b * steps,
        "growing minibatch": steps * (steps + 1) // 2,
        "momentum": steps,
        "momentum over slopes": b * steps,
        "snapshot": 4 * n + 2 * b * 16,
        "growing snapshot": 4 * n + 2 * (1 * 7 + 2 * 7 + 4 * 2),
        "loopless snapshot": n + 2 * b * steps + round(0.2 * steps * n),
        "recursive": round(n * (1 + 0.2 * 19) + 0.8 * 19 * 2 * b),
        "gradient table": n + b * steps,
        "slope table": b * steps,
        "unbiased slope table": n + b * steps,
        "delayed": b * steps,
        "randomly delayed": b * steps,
    }
    for name, cost in costs.items():
        assert STOCHASTIC[name].cost(MODEL, steps) == cost, name
        trace = fw_run(MODEL, BALL, STOCHASTIC[name], UPDATES["plain"], steps=steps, rng=0)
        assert trace.n_gradients == cost
    assert Recursive(2, probability=0.5).cost(MODEL, 0) == 0


class Counted(L1Ball):
    """An l1 ball that counts how often it is asked for a minimiser."""

    calls: ClassVar[int] = 0

    def linear_minimizer(self, gradient: np.ndarray) -> np.ndarray:
        Counted.calls += 1
        return super().linear_minimizer(gradient)


@pytest.mark.parametrize(
    ("update", "minimizations"),
    [
        (FrankWolfeStep(Counted(1.0)), 1),
        (AdaptiveFrankWolfeStep(Counted(1.0), 0.5, 3), 3),
        (BlockStep(FrankWolfeStep(Counted(1.0)), [1]), 1),
        (BlockStep(AdaptiveFrankWolfeStep(Counted(1.0), 0.5, 2), [1]), 2),
    ],
)
def test_minimizations_are_counted(update: Any, minimizations: int) -> None:
    assert update.minimizations == minimizations
    Counted.calls = 0
    fw_run(MODEL, BALL, FullGradient(), update, steps=7)
    assert Counted.calls == 7 * minimizations


def test_coins_and_delays_have_the_law_announced() -> None:
    def last_column(oracle: Oracle) -> np.ndarray:
        blocks = oracle.draws(MODEL, 200, np.random.default_rng(2))
        drawn = itertools.islice(itertools.chain.from_iterable(blocks), 300)
        return np.array([draw[:, -1] for draw in drawn])

    for p in (0.1, 0.7):
        for oracle in (LooplessSnapshot(1, probability=p), Recursive(3, probability=p)):
            coins = last_column(oracle)
            assert set(np.unique(coins)) == {0, 1}
            assert abs(coins.mean() - p) <= 5 * math.sqrt(p * (1 - p) / coins.size)
            # Neither steps nor replicates know of each other.
            centred = coins - coins.mean()
            for product in (centred[1:] * centred[:-1], centred[:, 1:] * centred[:, :-1]):
                assert abs(product.mean()) <= 5 * p * (1 - p) / math.sqrt(product.size)
    delays = last_column(Delayed(Minibatch(2), 3, random=True))
    shares = np.bincount(delays.ravel(), minlength=4) / delays.size
    assert np.abs(shares - 0.25).max() <= 5 * math.sqrt(3 / 16 / delays.size)


def test_a_loopless_snapshot_renews_its_anchor_where_the_coin_falls() -> None:
    oracle, x = LooplessSnapshot(1, probability=0.5), np.array([[0.1] * 4, [0.2] * 4])
    state = oracle.init(MODEL, x)
    _, (anchor, full) = oracle.gradient(MODEL, x + 1, np.array([[3, 1], [4, 0]]), state)
    assert np.array_equal(anchor, [[1.1] * 4, [0.2] * 4])
    assert full == near(MODEL.gradient(anchor))


def test_random_delays_read_the_points_they_name() -> None:
    oracle = Delayed(FullGradient(), 2, random=True)
    points = np.random.default_rng(0).standard_normal((5, 3, 4))
    state = oracle.init(MODEL, points[0])
    for k in range(5):
        estimate, state = oracle.gradient(MODEL, points[k], np.array([[0], [1], [2]]), state)
        for r in range(3):
            assert estimate[r] == near(MODEL.gradient(points[max(k - r, 0), r]))


def test_the_two_tables_say_the_same() -> None:
    slopes, gradients = (
        fw_run(MODEL, BALL, oracle, FrankWolfeStep(BALL), steps=300, rng=0, replicates=3)
        for oracle in (SlopeTable(3, unbiased=True, start="gradient"), GradientTable(3))
    )
    assert np.abs(slopes.history["x"] - gradients.history["x"]).max() <= 1e-11


def test_the_running_mean_of_a_slope_table_does_not_drift() -> None:
    oracle = SlopeTable(1)
    state = oracle.init(MODEL, np.zeros((2, 4)))
    rng = np.random.default_rng(0)
    for _ in range(5000):
        x = BALL.random_point(rng, (2, 4))
        _, state = oracle.gradient(MODEL, x, rng.integers(30, size=(2, 1)), state)
    slopes, mean = state
    assert np.abs(mean - slopes @ MODEL.features / 30).max() <= 1e-13


def test_estimates_along_the_iterates_are_those_that_a_run_used() -> None:
    step = GradientStep()
    for oracle in (Momentum(Minibatch(2)), Recursive(2, probability=0.3)):
        options: dict[str, Any] = {"steps": 9, "step_size": 0.3, "rng": 5, "replicates": 4}
        trace = run(MODEL, oracle, step, record="all", metrics=["x"], **options)
        x = trace.history["x"]
        used = (x[:-1] - x[1:]) / 0.3
        assert np.abs(estimates_along(MODEL, oracle, x[:-1], rng=5) - used).max() <= 1e-12


# ---- Négiar et al. against a loop of its own ---------------------------------------------------


def negiar(
    features: np.ndarray, labels: np.ndarray, radius: float, batches: np.ndarray
) -> list[np.ndarray]:
    """Négiar et al. (2020) on the l1 ball, one number after the other, as the paper writes it."""
    n, d = features.shape
    w, alpha, r = np.zeros(d), np.zeros(n), np.zeros(d)
    iterates = [w]
    for t, batch in enumerate(batches):
        for i in batch:
            margin = labels[i] * (features[i] @ w)
            new = -labels[i] / (1 + math.exp(margin)) / n
            r = r + (new - alpha[i]) * features[i]
            alpha[i] = new
        s = np.zeros(d)
        j = int(np.argmax(np.abs(r)))
        s[j] = -radius * np.sign(r[j])
        w = w + 2 / (t + 2) * (s - w)
        iterates.append(w)
    return iterates


@pytest.mark.parametrize("batch_size", [1, 7])
def test_negiar_against_a_loop(batch_size: int) -> None:
    problem, constraint = logistic(60, 9), L1Ball(3.0)
    rng = np.random.default_rng(1)
    batches = np.array([rng.choice(60, batch_size, replace=False) for _ in range(400)])
    oracle = SlopeTable(batch_size, benchmark.Given(batches))
    trace = fw_run(problem, constraint, oracle, FrankWolfeStep(constraint), steps=400)
    wanted = negiar(problem.features, problem.targets, 3.0, batches)
    assert np.abs(trace.history["x"][:, 0] - wanted).max() <= 1e-12


# ---- the updates against their definitions ------------------------------------------------------


def test_the_adaptive_step_against_its_definition() -> None:
    rng = np.random.default_rng(0)
    features, targets = data(8, 3)
    problem, radius, eta, offset = LeastSquares(features, targets), 1.2, 3.0, 1e-3
    update = AdaptiveFrankWolfeStep(L1Ball(radius), eta, inner_steps=4, offset=offset)
    x, squares = np.zeros(3), np.zeros(3)
    state = update.init(problem, x[None])
    limited = 0
    for k in range(20):
        cap, g = min(0.9, 4 / (k + 2)), rng.standard_normal(3)
        got, state = update.apply(problem, x[None], g[None], cap, state)
        squares = squares + g**2
        metric = np.diag(offset + np.sqrt(squares))
        y = x
        for _ in range(4):
            slope = g + metric @ (y - x) / eta
            v = np.zeros(3)
            j = int(np.argmax(np.abs(slope)))
            v[j] = -radius * np.sign(slope[j])
            gamma = eta * (slope @ (y - v)) / ((y - v) @ metric @ (y - v))
            limited += gamma > cap
            y = y + min(max(gamma, 0.0), cap) * (v - y)
        assert got[0] == near(y, rel=1e-12, abs=1e-14)
        x = y
    assert 0 < limited < 80  # both bounds are met


def test_inner_steps_decrease_the_model() -> None:
    problem, constraint, eta = MODEL, L2Ball(1.0), 0.2
    rng = np.random.default_rng(3)
    x, g = constraint.random_point(rng, (40, 4)), rng.standard_normal((40, 4))
    metric = 1e-8 + np.abs(g)
    models = []
    for inner in (1, 2, 5, 20, 200):
        update = AdaptiveFrankWolfeStep(constraint, eta, inner)
        y, _ = update.apply(problem, x, g, 1.0, update.init(problem, x))
        models.append(np.vecdot(g, y - x) + np.vecdot(metric, (y - x) ** 2) / (2 * eta))
    assert (np.diff(models, axis=0) <= 1e-15).all()
    assert (models[0] < 0).all()


def test_a_block_step_moves_each_block_by_its_own_rule() -> None:
    rng = np.random.default_rng(4)
    x, g = rng.uniform(-0.2, 0.2, (5, 4)), rng.standard_normal((5, 4))
    update = BlockStep(FrankWolfeStep(L1Ball(1.0)), [2, 0], power(0.8, 1))
    state = update.init(MODEL, x)
    for k in range(3):
        following, state = update.apply(MODEL, x, g, 0.25, state)
        assert following[:, [0, 2]] == near(x[:, [0, 2]] - 0.8 / (k + 1) * g[:, [0, 2]])
        vertex = L1Ball(1.0).linear_minimizer(g[:, [1, 3]])
        assert following[:, [1, 3]] == near(0.75 * x[:, [1, 3]] + 0.25 * vertex)


def test_a_block_step_keeps_the_memory_of_the_other_step() -> None:
    rng, adaptive = np.random.default_rng(4), AdaptiveFrankWolfeStep(L1Ball(1.0), 0.4)
    block, kept = BlockStep(adaptive, [1]), [0, 2, 3]
    x = np.zeros((5, 4))
    alone, states = x[:, kept], (block.init(MODEL, x), adaptive.init(MODEL, x[:, kept]))
    for _ in range(5):
        g = rng.standard_normal((5, 4))
        x, first = block.apply(MODEL, x, g, 0.5, states[0])
        alone, second = adaptive.apply(MODEL, alone, g[:, kept], 0.5, states[1])
        states = first, second
        assert np.array_equal(x[:, kept], alone)


def test_only_the_constrained_block_need_be_feasible() -> None:
    update = BlockStep(FrankWolfeStep(L1Ball(1.0)), [3])
    options: dict[str, Any] = {"steps": 400, "step_size": frank_wolfe_steps(), "metrics": ["x"]}
    trace = run(MODEL, FullGradient(), update, x0=[0.0, 0, 0, 50.0], **options)
    assert L1Ball(1.0).contains(trace.x[:, :3]).all()
    # The free coordinate ends where its slope is zero, the others where the gap is.
    slope = MODEL.gradient(trace.x)[0]
    start = MODEL.gradient(np.array([0.0, 0, 0, 50.0]))
    assert abs(slope[3]) < 0.05 * abs(start[3])
    vertex = L1Ball(1.0).linear_minimizer(slope[:3])
    assert slope[:3] @ (trace.x[0, :3] - vertex) < 0.02
    with pytest.raises(ValueError, match=r"^x0: wanted points of the l1 ball"):
        run(MODEL, FullGradient(), update, x0=[2.0, 0, 0, 0], **options)


# ---- schedules -------------------------------------------------------------------------------


def test_schedules_are_what_they_say() -> None:
    assert evaluate(power(2, 0.5), 0, 4) == near(2 / np.sqrt([1, 2, 3, 4]))
    assert evaluate(power(3, 1, shift=5), 0, 3) == near([3, 3 * 5 / 6, 3 * 5 / 7])
    assert evaluate(power(0.1, 0), 7, 9) == near([0.1, 0.1])
    assert evaluate(frank_wolfe_steps(), 0, 4) == near([1, 2 / 3, 2 / 4, 2 / 5])
    assert evaluate(step_decay(0.4, 0.5, 3), 0, 8) == near([0.4] * 3 + [0.2] * 3 + [0.1] * 2)
    assert evaluate(step_decay(0.5, 0.5, 1), 5000, 5001) == [SMALLEST]  # positive for ever
    assert evaluate(piecewise([2, 3], [1, 0.5, 0.1]), 0, 5).tolist() == [1, 1, 0.5, 0.1, 0.1]
    assert evaluate(piecewise([], [0.3]), 0, 2).tolist() == [0.3, 0.3]
    geometric = geometric_batches(3, 2, largest=20, every=2)
    assert evaluate_batches(geometric, 0, 8).tolist() == [3, 3, 6, 6, 12, 12, 20, 20]
    assert geometric_batches(1, 1.5, every=10)(10**9) == 10**15
    assert evaluate_batches(geometric_batches(2, 1, every=3), 0, 5).tolist() == [2] * 5
    assert evaluate_batches(polynomial_batches(3), 0, 4).tolist() == [3, 6, 9, 12]
    assert evaluate_batches(polynomial_batches(1, 2), 0, 5).tolist() == [1, 4, 9, 16, 25]
    assert evaluate_batches(polynomial_batches(2, 0.5, 5), 0, 9).tolist() == [
        min(5, math.ceil(2 * math.sqrt(k + 1) - 1e-9)) for k in range(9)
    ]
    assert polynomial_batches(1, 3)(10**9) == polynomial_batches(1, 40)(10**9) == 10**15
    assert polynomial_batches(7, 0)(10**9) == 7
    assert polynomial_batches(1, 0.4)(1023) == 16  # though 1024 ** 0.4 is rounded up


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: power(0, 1), "first: wanted"),
        (lambda: power(1, -0.5), "exponent: wanted"),
        (lambda: power(1, 1, shift=0), "shift: wanted"),
        (lambda: step_decay(-1, 0.5, 2), "first: wanted"),
        (lambda: step_decay(1, 0, 2), "factor: wanted"),
        (lambda: step_decay(1, 1.5, 2), "factor: wanted .* at most 1, got 1.5"),
        (lambda: step_decay(1, 0.5, 0), "every: wanted"),
        (lambda: step_decay(1, 0.5, 2.0), "every: wanted"),  # type: ignore[arg-type]
        (lambda: piecewise([5, 3], [1, 1, 1]), r"switches: wanted increasing .* got \[5, 3\]"),
        (lambda: piecewise([3, 3], [1, 1, 1]), "switches: wanted increasing"),
        (lambda: piecewise([0], [1, 1]), "switches: wanted"),
        (lambda: piecewise(3, [1, 1]), "switches: wanted a sequence"),  # type: ignore[arg-type]
        (lambda: piecewise([3], 1), "values: wanted a sequence"),  # type: ignore[arg-type]
        (lambda: piecewise([3], [1]), "values: wanted 2, one more than switches, got 1"),
        (lambda: piecewise([3], [1, math.nan]), "values: wanted"),
        (lambda: geometric_batches(1, 2, every=0), "every: wanted"),
        (lambda: geometric_batches(5, 2, largest=4), "largest: wanted"),
        (lambda: polynomial_batches(0), "first: wanted"),
        (lambda: polynomial_batches(1, -1), "exponent: wanted"),
        (lambda: polynomial_batches(9, 1, 8), "largest: wanted"),
        (lambda: polynomial_batches(10**16), "first: wanted"),
        (lambda: polynomial_batches(1, 1, 10**16), "largest: wanted"),
        (lambda: geometric_batches(10**16, 2), "first: wanted"),
    ],
)
def test_bad_schedules_are_refused(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        wrong()


# ---- frank_wolfe: one call ---------------------------------------------------------------------


def test_frank_wolfe_puts_the_parts_together() -> None:
    problem, constraint = SMALL["logistic"], SETS["simplex"]
    options: dict[str, Any] = {"steps": 30, "rng": 1, "replicates": 3}
    pairs: list[tuple[dict[str, Any], Oracle, Update, Any]] = [
        ({}, FullGradient(), FrankWolfeStep(constraint), frank_wolfe_steps()),
        ({"step_size": 0.1}, FullGradient(), FrankWolfeStep(constraint), 0.1),
        ({"batch_size": 3}, Minibatch(3), FrankWolfeStep(constraint), frank_wolfe_steps()),
        (
            {"batch_size": 3, "sampling": "reshuffled"},
            Minibatch(3, "reshuffled"),
            FrankWolfeStep(constraint),
            frank_wolfe_steps(),
        ),
        ({"oracle": SlopeTable(2)}, SlopeTable(2), FrankWolfeStep(constraint), frank_wolfe_steps()),
        (
            {"short_steps": True},
            FullGradient(),
            FrankWolfeStep(constraint, problem.smoothness),
            1.0,
        ),
        ({"short_steps": 1e-3}, FullGradient(), FrankWolfeStep(constraint, 1e-3), 1.0),
        (
            {"short_steps": 7.0, "step_size": constant(0.4)},
            FullGradient(),
            FrankWolfeStep(constraint, 7.0),
            0.4,
        ),
    ]
    for arguments, oracle, update, step_size in pairs:
        trace = frank_wolfe(problem, constraint, **arguments, **options)
        x0 = constraint.project(np.zeros(5))
        wanted = run(problem, oracle, update, x0=x0, step_size=step_size, metrics=["x"], **options)
        assert np.array_equal(trace.x, wanted.x)
        assert trace.n_gradients == wanted.n_gradients
        assert trace.history["value"][-1] == near(problem.value(trace.x))
        gap = frank_wolfe_gap(problem, constraint, trace.x)
        assert trace.history["frank_wolfe_gap"][-1] == near(gap)


def test_frank_wolfe_takes_a_start_and_metrics() -> None:
    problem, constraint = SMALL["least squares"], SETS["l2 ball"]
    trace = frank_wolfe(problem, constraint, [0.5, 0, 0, 0, 0], steps=0, metrics=["x"])
    assert trace.history["x"].tolist() == [[[0.5, 0, 0, 0, 0]]]


# ---- convergence -------------------------------------------------------------------------------

SPARSE = sparse_logistic(200, 20)
SPARSE_BALL = L1Ball(2.0)
GAPS: dict[str, tuple[Oracle, Update, float, float]] = {  # least and largest mean gap at the end
    "SFW, batch 1": (Minibatch(1), FrankWolfeStep(SPARSE_BALL), 0.25, math.inf),
    "SFW, growing": (
        Minibatch(polynomial_batches(1, 1, 500)),
        FrankWolfeStep(SPARSE_BALL),
        0,
        0.05,
    ),
    "AsySFW": (
        Delayed(Minibatch(geometric_batches(1, 2, 512, every=100)), 4),
        FrankWolfeStep(SPARSE_BALL),
        0,
        0.05,
    ),
    "AdaSFW": (
        Minibatch(geometric_batches(1, 2, 512, every=100)),
        AdaptiveFrankWolfeStep(SPARSE_BALL, 0.5),
        0,
        0.05,
    ),
    "SCG": (Momentum(Minibatch(1)), FrankWolfeStep(SPARSE_BALL), 0, 0.1),
    "Négiar et al.": (SlopeTable(1), FrankWolfeStep(SPARSE_BALL), 0, 0.01),
    "SVFW": (Snapshot(1, period=50), FrankWolfeStep(SPARSE_BALL), 0, 0.005),
    "SAGAFW": (SlopeTable(1, unbiased=True), FrankWolfeStep(SPARSE_BALL), 0, 0.005),
    "loopless SVRG": (LooplessSnapshot(1, probability=0.02), FrankWolfeStep(SPARSE_BALL), 0, 0.005),
    "SARAH": (Recursive(1, probability=0.02), FrankWolfeStep(SPARSE_BALL), 0, 0.01),
    "AsySVFW": (
        Delayed(Snapshot(1, period=50), 4, random=True),
        FrankWolfeStep(SPARSE_BALL),
        0,
        0.01,
    ),
    "AdaCSFW": (SlopeTable(8), AdaptiveFrankWolfeStep(SPARSE_BALL, 0.5), 0, 0.005),
}


@pytest.mark.parametrize("name", GAPS)
def test_convergence_on_sparse_logistic_regression(name: str) -> None:
    oracle, update, least, largest = GAPS[name]
    trace = run(
        SPARSE,
        oracle,
        update,
        steps=10_000,
        step_size=frank_wolfe_steps(),
        replicates=4,
        rng=0,
        record=[100, 1000, 10_000],
        metrics={
            "gap": lambda problem, x: frank_wolfe_gap(SPARSE, SPARSE_BALL, x),
            "feasible": lambda problem, x: SPARSE_BALL.contains(x),
        },
    )
    gaps = trace.history["gap"].mean(axis=1)
    assert least < gaps[-1] < largest, gaps
    if not least:
        assert gaps[-1] < gaps[0] / 3
    assert trace.history["feasible"].all()


MATRIX = LeastSquares(*data(40, 12, 6))
WHOLE: dict[str, tuple[FiniteSum, Constraint]] = {
    **{name: (SMALL["logistic"], constraint) for name, constraint in SETS.items()},
    "sparse polytope": (SMALL["logistic"], SparsePolytope(2, 0.7)),
    "nuclear ball": (MATRIX, NuclearBall(3, 4, 2.0)),
}


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("where", WHOLE)
@pytest.mark.parametrize("name", STOCHASTIC)
def test_iterates_stay_feasible(name: str, where: str, adaptive: bool) -> None:
    problem, constraint = WHOLE[where]
    update: Update = FrankWolfeStep(constraint)
    if adaptive:
        update = AdaptiveFrankWolfeStep(constraint, 0.5)
    oracle = STOCHASTIC[name]
    if name.startswith(("growing", "reshuffled")):
        oracle = SlopeTable(2)
    trace = fw_run(problem, constraint, oracle, update, steps=150, replicates=2, rng=0)
    x = trace.history["x"]
    assert np.abs(constraint.project(x) - x).max() <= 1e-10


def without_convexity() -> tuple[FiniteSum, Constraint]:
    features, targets = data(120, 8, 7)
    targets[:12] += 30.0  # gross errors
    return RobustRegression(features, targets, scale=1.0), L1Ball(2.0)


def completion() -> tuple[FiniteSum, Constraint]:
    """A matrix of rank one, seen with noise at 60 random entries."""
    rng = np.random.default_rng(8)
    matrix = np.outer(rng.standard_normal(6), rng.standard_normal(5)).ravel()
    seen = rng.integers(30, size=60)
    targets = matrix[seen] + 0.1 * rng.standard_normal(60)
    ball = NuclearBall(6, 5, 0.8 * float(np.linalg.norm(matrix)))
    return LeastSquares(np.eye(30)[seen], targets), ball


def tumours() -> tuple[FiniteSum, Constraint]:
    """Real data: which of 569 tumours are benign, by 30 measurements of each."""
    raw, benign = load_breast_cancer(return_X_y=True)
    features = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    return LogisticRegression(features, np.where(benign, 1.0, -1.0), 0.0), L1Ball(5.0)


@pytest.mark.parametrize("instance", [tumours, without_convexity, completion])
@pytest.mark.parametrize("name", GAPS)
def test_convergence_on_other_problems(
    name: str, instance: Callable[[], tuple[FiniteSum, Constraint]]
) -> None:
    problem, constraint = instance()
    oracle, update, _, _ = GAPS[name]
    if isinstance(update, AdaptiveFrankWolfeStep):
        update = AdaptiveFrankWolfeStep(constraint, 0.5)
    else:
        update = FrankWolfeStep(constraint)
    trace = run(
        problem,
        oracle,
        update,
        steps=3000,
        step_size=frank_wolfe_steps(),
        replicates=4,
        rng=0,
        record=[],
        metrics={"gap": lambda problem, x: frank_wolfe_gap(problem, constraint, x)},
    )
    first, last = trace.history["gap"].mean(axis=1)
    if name == "SFW, batch 1":
        assert last > first / 10
    else:
        assert last < first / (3 if name == "SCG" else 10)


def with_intercept(problem: FiniteSum) -> LinearModel:
    """The same model with a constant feature more, and an intercept to find where there was 0."""
    assert isinstance(problem, LinearModel)
    features = np.column_stack([problem.features, np.ones(problem.n_samples)])
    if isinstance(problem, LogisticRegression):
        return LogisticRegression(features, problem.targets, 0.0)
    if isinstance(problem, RobustRegression):
        return RobustRegression(features, problem.targets + 1, problem.scale)
    return LeastSquares(features, problem.targets + 1)


@pytest.mark.parametrize("instance", [tumours, without_convexity, completion])
def test_convergence_of_blocks(
    instance: Callable[[], tuple[FiniteSum, Constraint]],
) -> None:
    """FW-SD: a constrained block and a free intercept, by the gap of both."""
    without, constraint = instance()
    problem, dim = with_intercept(without), without.dim

    def gap(problem: Any, x: np.ndarray) -> np.ndarray:
        slope = problem.gradient(x)
        towards = constraint.linear_minimizer(slope[:, :dim])
        return np.vecdot(slope[:, :dim], x[:, :dim] - towards) + slope[:, dim] ** 2

    trace = run(
        problem,
        SlopeTable(8),
        BlockStep(FrankWolfeStep(constraint), [dim], power(0.5, 0.5)),
        steps=3000,
        step_size=frank_wolfe_steps(),
        replicates=4,
        rng=0,
        record=[],
        metrics={"gap": gap},
    )
    first, last = trace.history["gap"].mean(axis=1)
    assert last < first / 20
    assert (np.abs(trace.x[:, dim]) > 0.1).all()


# ---- bad input -----------------------------------------------------------------------------------


class Broken(Minibatch):
    """An oracle that fails after a while."""

    def gradient(self, problem: Any, x: Any, draw: Any, state: Any) -> tuple[np.ndarray, Any]:
        return np.full_like(x, np.nan), None


PROBLEM = SMALL["logistic"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Snapshot(1, period=0), "period: wanted"),
        (lambda: Snapshot(0, period=3), "batch_size: wanted"),
        (lambda: LooplessSnapshot(1, probability=0), "probability: wanted"),
        (lambda: LooplessSnapshot(1, probability=1.2), "probability: wanted"),
        (lambda: Recursive(1, probability=-0.1), "probability: wanted"),
        (lambda: Momentum(0.9), "oracle: wanted"),  # type: ignore[arg-type]
        (lambda: Momentum(Minibatch(1), 0), "weight: wanted"),
        (lambda: Momentum(Minibatch(1), 1.1), "weight: wanted"),
        (lambda: Delayed(None, 1), "oracle: wanted"),  # type: ignore[arg-type]
        (lambda: Delayed(Minibatch(1), -1), "delay: wanted"),
        (lambda: Delayed(Minibatch(1), 1.5), "delay: wanted"),  # type: ignore[arg-type]
        (lambda: SlopeTable(2, "with_replacement"), "sampling: wanted batches of distinct"),
        (lambda: GradientTable(2, WithReplacement()), "sampling: wanted batches of distinct"),
        (
            lambda: GradientTable(2, AllSequences(WithReplacement())),
            "sampling: wanted batches of distinct",
        ),
        (lambda: SlopeTable(1, start="one"), "start: wanted one of 'gradient', 'zero'"),
        (lambda: AdaptiveFrankWolfeStep(None, 1.0), "constraint: wanted"),  # type: ignore[arg-type]
        (lambda: AdaptiveFrankWolfeStep(BALL, 0.0), "model_step: wanted"),
        (lambda: AdaptiveFrankWolfeStep(BALL, 1.0, 0), "inner_steps: wanted"),
        (lambda: AdaptiveFrankWolfeStep(BALL, 1.0, offset=0), "offset: wanted"),
        (lambda: BlockStep(GradientStep(), [0]), "constrained: wanted"),  # type: ignore[arg-type]
        (lambda: BlockStep(FrankWolfeStep(BALL), [0, 0]), "free: wanted each coordinate once"),
        (lambda: BlockStep(FrankWolfeStep(BALL), [-1]), "free: wanted"),
        (lambda: BlockStep(FrankWolfeStep(BALL), 1), "free: wanted"),  # type: ignore[arg-type]
        (lambda: BlockStep(FrankWolfeStep(BALL), [0], 0.0), "free_step: wanted"),
        (lambda: L1Ball(0), "radius: wanted"),
        (lambda: L1Ball(-1), "radius: wanted"),
    ],
)
def test_bad_parts_are_refused(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        wrong()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x0": [2.0, 0, 0, 0, 0]}, "x0: wanted points of the l1 ball"),
        ({"step_size": 1.5}, "step_size: wanted at most 1 for a Frank–Wolfe step, got 1.5"),
        ({"step_size": power(2, 1)}, "step_size: wanted at most 1 for a Frank–Wolfe step, got 2"),
        ({"step_size": 0.0}, "step_size: wanted"),
        ({"oracle": Broken(1)}, "gradient: wanted finite numbers"),
        ({"oracle": Minibatch(1), "batch_size": 2}, "batch_size: wanted None beside an oracle"),
        ({"oracle": Minibatch(1), "sampling": FEW}, "sampling: wanted None beside an oracle"),
        ({"sampling": FEW}, "sampling: wanted a batch_size beside it"),
        ({"batch_size": 13, "sampling": FEW}, "batch_size: wanted"),
        ({"short_steps": -1.0}, "short_steps: wanted"),
        ({"x0": [0.0, 0, 0]}, "x0: wanted shape"),
        ({"step_size": [0.5, 1.2], "replicates": 2}, "step_size: wanted at most 1 for a Fr"),
        ({"oracle": 3}, "oracle: wanted"),
        (
            {"oracle": Momentum(Minibatch(1), lambda k: 1.0 - k), "steps": 3},
            "weight at step 1: wanted",
        ),
    ],
)
def test_bad_calls_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        frank_wolfe(PROBLEM, L1Ball(1.5), **{"steps": 2, **arguments})


def test_short_steps_need_a_curvature() -> None:
    slope = DeterministicQuadratic(np.zeros((2, 2)), [1.0, 2.0])
    with pytest.raises(ValueError, match=r"^short_steps: wanted a number, because the gradient"):
        frank_wolfe(slope, L1Ball(1.0), steps=3, short_steps=True)
    trace = frank_wolfe(slope, L1Ball(1.0), steps=3, short_steps=1.0)
    assert trace.x.tolist() == [[0.0, 1.0]]


def test_updates_refuse_what_a_frank_wolfe_step_refuses() -> None:
    adaptive = AdaptiveFrankWolfeStep(BALL, 0.5)
    for update in (adaptive, BlockStep(adaptive, [0]), BlockStep(FrankWolfeStep(BALL), [0])):
        x = np.zeros((1, 4))
        state = update.init(MODEL, x)
        with pytest.raises(ValueError, match=r"^step_size: wanted at most 1"):
            update.apply(MODEL, x, x, 1.01, state)
        with pytest.raises(ValueError, match=r"^gradient: wanted finite"):
            update.apply(MODEL, x, x * np.nan, 0.5, state)
    with pytest.raises(ValueError, match=r"^x0: wanted points of the l1 ball"):
        adaptive.init(MODEL, np.full((1, 4), 2.0))
    for free in ([4], [0, 1, 2, 3]):
        with pytest.raises(ValueError, match=r"^free: wanted coordinates below 4, but not all"):
            BlockStep(FrankWolfeStep(BALL), free).init(MODEL, np.zeros((1, 4)))


def test_oracles_refuse_problems_that_they_are_not_for() -> None:
    median = NormalMedian()
    with pytest.raises(ValueError, match=r"^sampling: wanted 'with_replacement', as samples"):
        run(median, GradientTable(1), GradientStep(), steps=1, step_size=0.1)
    for oracle in (
        GradientTable(1, "with_replacement"),
        LooplessSnapshot(1, probability=0.5),
        Recursive(1, probability=0.5),
        Delayed(Minibatch(1), 2, random=True),
    ):
        with pytest.raises(ValueError, match=r"^problem: wanted a FiniteSum"):
            run(median, oracle, GradientStep(), steps=1, step_size=0.1)
    with pytest.raises(ValueError, match=r"^problem: wanted a linear model"):
        run(quadratic(1.0), SlopeTable(1), GradientStep(), steps=1, step_size=0.1)
    with pytest.raises(ValueError, match=r"^problem: wanted a table of at most"):
        GradientTable(1).init(MODEL, np.broadcast_to(np.zeros(4), (2**21, 4)))
    # A fixed delay and momentum need no indices.
    for oracle in (Delayed(Minibatch(1), 2), Momentum(Minibatch(2))):
        assert run(median, oracle, GradientStep(), steps=5, step_size=0.1, rng=0).success


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (np.zeros((2, 4)), "path: wanted 3 dimension"),
        (np.zeros((2, 1, 3)), "path: wanted points of 4 coordinates, got 3"),
        (np.full((2, 1, 4), np.nan), "path: wanted finite"),
    ],
)
def test_bad_paths_are_refused(path: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        estimates_along(MODEL, Minibatch(1), path)


def test_samplings_are_resolved_by_name() -> None:
    assert SlopeTable(2).sampling == resolve(FEW)
    assert SlopeTable(1, "with_replacement").sampling == WithReplacement()


# ---- the benchmark -------------------------------------------------------------------------------


def test_the_benchmark_compares_the_same_iterates() -> None:
    case, problem = benchmark.QUICK, benchmark.QUICK.problem
    own = benchmark.library(case, problem, 2, benchmark.Given(case.batches))
    assert np.abs(own - benchmark.plain_loop(case, problem, case.batches)).max() <= 1e-12
    assert np.abs(own - benchmark.library(case, problem)).max() > 1e-3  # other batches
    full = benchmark.Case()
    assert (full.n_samples, full.dim, full.batch_size) == (1000, 500, 32)


def test_the_benchmark_prints_times_and_distances(capsys: pytest.CaptureFixture[str]) -> None:
    benchmark.main(["--quick"])
    printed = capsys.readouterr().out
    for row in ("this library, one run", "this library, 4 runs", "plain loop"):
        assert re.search(rf"^  {row} +[\d.]+ (ms|µs|ns) +[\d.]+$", printed, re.MULTILINE)
    assert re.search(r"^  plain loop +\d\.\de[-+]\d+$", printed, re.MULTILINE)
