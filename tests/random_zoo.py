"""Random settings for the theorems of lecture 13: small sums, and oracles of all kinds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from random_constrained import (
    Pair,
    Rng,
    generous,
    interval,
    on_ball,
    on_interval,
    on_polytope,
    point,
    polytope,
    size,
    step,
    tight,
    tilts,
)

from sgdnotes.constraints import Constraint, L2Ball
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
)
from sgdnotes.problems import (
    DeterministicQuadratic,
    FiniteSum,
    LeastSquares,
    LinearModel,
    LogisticRegression,
    Ridge,
    RobustRegression,
    ScalarQuadratics,
    TiltedQuadratic,
)
from sgdnotes.schedules import Schedule, frank_wolfe_steps, power
from sgdnotes.theorems import BlockStepFrom, OracleRun
from sgdnotes.theorems.assumptions import FirstSampleOnly
from sgdnotes.theorems.zoo_settings import possible_draws

MOST_SEQUENCES = 1100
OPEN_LOOP = frank_wolfe_steps()


# ---- problems ---------------------------------------------------------------------------------


def rows(rng: Rng, dim: int) -> np.ndarray:
    """Two to four rows of features."""
    return np.asarray(size(rng) ** 0.5 * rng.standard_normal((int(rng.integers(2, 5)), dim)))


def convex_model(rng: Rng, dim: int | None = None) -> LinearModel:
    """A convex linear model of a few samples."""
    features = rows(rng, dim or int(rng.integers(1, 4)))
    noise, kind = rng.standard_normal(len(features)), rng.integers(4)
    if kind == 0 and features.shape[1] == 1:  # where data are separable, minima are slow to find
        return LogisticRegression(features, np.sign(noise), 0.0)
    if kind <= 1:
        return LogisticRegression(features, np.sign(noise), size(rng))
    return Ridge(features, noise, size(rng)) if kind == 2 else LeastSquares(features, noise)


def any_model(rng: Rng, dim: int | None = None) -> LinearModel:
    """A linear model, convex or not."""
    if rng.random() < 0.7:
        return convex_model(rng, dim)
    features = rows(rng, dim or int(rng.integers(1, 4)))
    return RobustRegression(features, rng.standard_normal(len(features)), size(rng))


def scalars(rng: Rng) -> ScalarQuadratics:
    """Parabolas of one variable, some of them upside down."""
    curvatures = size(rng) * rng.standard_normal(int(rng.integers(2, 4)))
    curvatures[0] += max(0.0, -curvatures.sum()) * 1.5
    return ScalarQuadratics(curvatures, rng.standard_normal(len(curvatures)))


def somewhere(rng: Rng, dim: int) -> Constraint:
    """A ball or a polytope, or an interval."""
    if dim == 1:
        return interval(rng)
    if rng.random() < 0.5:
        return L2Ball(size(rng), rng.normal(size=dim) if rng.random() < 0.5 else None)
    return polytope(rng, dim)


def any_sum(rng: Rng) -> Pair:
    """Any small finite sum on any set; its infimum need not be known."""
    kind = rng.integers(6)
    if kind < 2:
        problem: Any = any_model(rng)
        return problem, somewhere(rng, problem.dim)
    if kind == 2:
        return scalars(rng), interval(rng)
    while True:
        problem, constraint = (on_ball, on_interval, on_polytope)[kind - 3](rng)
        if isinstance(problem, FiniteSum):
            return problem, constraint


def bounded_sum(rng: Rng) -> Pair:
    """A small finite sum on a set, whose infimum there is known."""
    while True:
        problem, constraint = any_sum(rng)
        if not (isinstance(problem, RobustRegression) and problem.dim > 1):
            return problem, constraint


def convex_sum(rng: Rng) -> Pair:
    """The same, and convex."""
    while True:
        problem, constraint = any_sum(rng)
        if problem.convex and math.isfinite(problem.smoothness):
            return problem, constraint


# ---- oracles ----------------------------------------------------------------------------------


def few(rng: Rng, n: int) -> dict[str, Any]:
    """Mostly batches of one or two samples, with a sampling."""
    if rng.random() < 0.1:
        return {"batch_size": n, "sampling": "without_replacement"}
    how = ("with_replacement", "without_replacement")[rng.integers(2)]
    return {"batch_size": 2 if n > 2 and rng.random() < 0.3 else 1, "sampling": how}


def minibatch(rng: Rng, n: int) -> Minibatch:
    """Minibatches."""
    return Minibatch(**few(rng, n))


def delayed(rng: Rng, n: int) -> Delayed:
    """Minibatches of old points."""
    return Delayed(minibatch(rng, n), int(rng.integers(3)), random=bool(rng.random() < 0.5))


def snapshots(rng: Rng, n: int) -> Snapshot | LooplessSnapshot:
    """Snapshots, with a period or by chance."""
    if rng.random() < 0.5:
        return Snapshot(**few(rng, n), period=int(rng.integers(1, 5)))
    return LooplessSnapshot(**few(rng, n), probability=probability(rng))


def probability(rng: Rng) -> float:
    """A probability, sometimes 1."""
    return 1.0 if rng.random() < 0.1 else float(rng.uniform(0.05, 0.95))


def recursive(rng: Rng, n: int) -> Recursive:
    """SARAH, sometimes without restarts."""
    chance = 0.0 if rng.random() < 0.1 else probability(rng)
    return Recursive(**few(rng, n), probability=chance)


def distinct(rng: Rng, n: int) -> int:
    """A batch size for a table."""
    return int(rng.integers(1, n + 1))


def table(rng: Rng, n: int) -> SlopeTable:
    """The table of Négiar et al."""
    return SlopeTable(distinct(rng, n))


def weight(rng: Rng) -> float | Schedule:
    """Constant or falling weights of a running mean."""
    return (probability(rng), 1.0, power(1, 2 / 3, shift=8))[rng.integers(3)]


def averaged(rng: Rng, n: int) -> Momentum:
    """A running mean of minibatches."""
    return Momentum(minibatch(rng, n), weight(rng))


def any_oracle(rng: Rng, problem: FiniteSum) -> Oracle:
    """Any oracle there is, sometimes one about another."""
    n = problem.n_samples
    if rng.random() < 0.15:
        return Momentum(any_oracle(rng, problem), weight(rng))
    if rng.random() < 0.1:
        return Delayed(any_oracle(rng, problem), int(rng.integers(3)))
    if isinstance(problem, LinearModel) and rng.random() < 0.4:
        if rng.random() < 0.5:
            return table(rng, n)
        return SlopeTable(distinct(rng, n), unbiased=True, start="gradient")
    if rng.random() < 0.15:
        return GradientTable(distinct(rng, n))
    return (minibatch, delayed, snapshots, recursive, averaged)[rng.integers(5)](rng, n)


# ---- runs -------------------------------------------------------------------------------------


def length(rng: Rng, oracle: Oracle, n: int, most: int = 12) -> int:
    """A number of steps with few enough sequences of draws."""
    count, steps = 1, 0
    while steps < most:
        count *= len(possible_draws(oracle, n, steps)[1])
        if count > MOST_SEQUENCES:
            break
        steps += 1
    return max(min(steps, 3), steps - int(rng.integers(3)))


def run(
    rng: Rng,
    where: Pair,
    oracle: Oracle,
    step_size: float | Schedule,
    *names: str,
    steps: int | None = None,
) -> OracleRun:
    """A run from any point of the set, sometimes claiming weaker constants of these names."""
    problem, constraint = where
    assert isinstance(problem, FiniteSum)
    return OracleRun(
        problem,
        constraint,
        steps=steps or length(rng, oracle, problem.n_samples),
        step_size=step_size,
        x0=point(rng, constraint, problem.dim),
        oracle=oracle,
        claims=generous(rng, problem, constraint, *names),
    )


def weaker(setting: OracleRun, **claims: float) -> OracleRun:
    """The same run with more claims."""
    return dataclasses.replace(setting, claims={**setting.claims, **claims})


def steps_of_any_kind(rng: Rng) -> float | Schedule:
    """Constant steps, or steps that fall."""
    first = step(rng)
    return (first, power(first, float(rng.uniform(0, 1))), OPEN_LOOP)[rng.integers(3)]


def misled(rng: Rng, step_size: float | Schedule) -> OracleRun:
    """Estimates of almost no length that point the wrong way on a slope."""
    constraint, slope = interval(rng), size(rng)
    problem = TiltedQuadratic([[0.0]], [-slope], [[slope * (1 + 1e-6)], [-slope * (1 + 1e-6)]])
    return OracleRun(
        problem,
        constraint,
        steps=int(rng.integers(1, 60)),
        step_size=step_size,
        x0=np.asarray(constraint.upper),
        oracle=Minibatch(1, FirstSampleOnly()),
    )


def any_estimates(rng: Rng) -> OracleRun:
    """Any oracle on any problem."""
    step_size, chance = steps_of_any_kind(rng), rng.random()
    if chance < 0.1:
        close = tight(rng, step_size, 1, 1)
        return OracleRun(
            close.problem,
            close.constraint,
            steps=close.steps,
            step_size=step_size,
            x0=close.x0,
            oracle=FullGradient(),
        )
    if chance < 0.2:
        return misled(rng, step_size)
    where = bounded_sum(rng)
    oracle = any_oracle(rng, where[0])
    return run(rng, where, oracle, step_size, "smoothness", "diameter")


def any_estimates_convex(rng: Rng) -> OracleRun:
    """Any oracle on any convex problem."""
    if rng.random() < 0.15:
        return misled(rng, OPEN_LOOP)
    where = convex_sum(rng)
    oracle = any_oracle(rng, where[0])
    return run(rng, where, oracle, OPEN_LOOP, "smoothness", "diameter")


def crossing(rng: Rng, oracle: Oracle) -> OracleRun:
    """Steps of 1 on a parabola without noise, from end to end."""
    constraint, curvature = interval(rng), size(rng)
    low, high = float(np.asarray(constraint.lower)[0]), float(np.asarray(constraint.upper)[0])
    problem = DeterministicQuadratic([[curvature]], [curvature * (low + high) / 2])
    return OracleRun(problem, constraint, steps=5, step_size=1.0, x0=[high], oracle=oracle)


def even_noise(rng: Rng, oracle: Oracle) -> OracleRun:
    """Noise of the same length whatever is drawn."""
    constraint, noise = interval(rng), size(rng)
    problem = TiltedQuadratic([[size(rng)]], [rng.normal()], [[noise], [-noise]])
    return run(rng, (problem, constraint), oracle, step(rng), steps=6)


def old_points(rng: Rng) -> OracleRun:
    """Delayed minibatches."""
    chance = rng.random()
    if chance < 0.1:
        return crossing(rng, Delayed(Minibatch(1), int(rng.integers(1, 3))))
    if chance < 0.2:
        return even_noise(rng, Delayed(Minibatch(1), int(rng.integers(3))))
    where = any_sum(rng)
    oracle = delayed(rng, where[0].n_samples)
    setting = run(rng, where, oracle, steps_of_any_kind(rng), "smoothness", "diameter")
    if rng.random() < 0.2:
        setting = weaker(setting, delay=oracle.delay + int(rng.integers(1, 3)))
    return setting


def opposed(rng: Rng, oracle: Oracle) -> OracleRun:
    """Two parabolas that all but cancel, and steps from end to end."""
    constraint, curvature = interval(rng), size(rng)
    middle = float((np.asarray(constraint.lower) + np.asarray(constraint.upper))[0]) / 2
    problem = ScalarQuadratics([curvature * (1 + 1e-6), -curvature], [middle, middle])
    start = np.asarray(constraint.upper)
    return OracleRun(problem, constraint, steps=4, step_size=1.0, x0=start, oracle=oracle)


def changes(
    rng: Rng, make: Callable[[Rng, int], Snapshot | LooplessSnapshot | Recursive], *names: str
) -> OracleRun:
    """An oracle that corrects what it said by changes of gradients."""
    if rng.random() < 0.1:
        return opposed(rng, make(rng, 2))
    model = scalars(rng) if rng.random() < 0.3 else any_model(rng)
    where = model, somewhere(rng, model.dim)
    setting = run(rng, where, make(rng, where[0].n_samples), steps_of_any_kind(rng), *names)
    if rng.random() < 0.1:
        claim = 1.5 * setting.root_mean_square_smoothness
        setting = weaker(setting, root_mean_square_smoothness=claim)
    return setting


def slopes(rng: Rng) -> OracleRun:
    """A table on a convex linear model."""
    if rng.random() < 0.15:
        constraint, curvature, n = interval(rng), size(rng), int(rng.integers(1, 4))
        low, high = float(np.asarray(constraint.lower)[0]), float(np.asarray(constraint.upper)[0])
        root, minimum = math.sqrt(curvature), high - 1e-6 * (high - low)
        problem = LeastSquares([[root]] * n, [root * minimum] * n)
        return OracleRun(
            problem,
            constraint,
            steps=int(rng.integers(1, 40)),
            step_size=OPEN_LOOP,
            x0=[high],
            oracle=SlopeTable(n),
        )
    model = convex_model(rng)
    where, oracle = (model, somewhere(rng, model.dim)), table(rng, model.n_samples)
    setting = run(rng, where, oracle, OPEN_LOOP, "smoothness", "diameter")
    if rng.random() < 0.1:
        setting = weaker(setting, mean_smoothness=1.5 * setting.mean_smoothness)
    return setting


def lagging(rng: Rng) -> OracleRun:
    """A mean that lags behind on a slow way down a parabola."""
    constraint, curvature, rho = interval(rng), size(rng), float(rng.uniform(0.05, 0.4))
    low, high = float(np.asarray(constraint.lower)[0]), float(np.asarray(constraint.upper)[0])
    return OracleRun(
        DeterministicQuadratic([[curvature]], [curvature * low]),
        constraint,
        steps=int(rng.integers(20, 100)),
        step_size=float(rng.uniform(1e-5, 1e-3)),
        x0=[high],
        oracle=Momentum(Minibatch(1), lambda k: 1.0 if k == 0 else rho),
    )


def running_mean(rng: Rng) -> OracleRun:
    """A running mean of minibatches."""
    chance = rng.random()
    if chance < 0.1:
        return even_noise(rng, Momentum(Minibatch(1), weight(rng)))
    if chance < 0.2:
        return lagging(rng)
    where = any_sum(rng)
    oracle = averaged(rng, where[0].n_samples)
    step_size = OPEN_LOOP if rng.random() < 0.5 else steps_of_any_kind(rng)
    return run(rng, where, oracle, step_size, "smoothness", "diameter")


def round_blocks(rng: Rng) -> BlockStepFrom:
    """A parabola, with noise in the free block, and a step across the whole ball."""
    dim, curvature, n = int(rng.integers(2, 5)), size(rng), int(rng.integers(1, 3))
    free = [int(rng.integers(dim))]
    others = [j for j in range(dim) if j not in free]
    noise = np.zeros((2, dim))
    noise[:, free] = tilts(rng, 2, 1)
    ball, x = L2Ball(size(rng)), rng.standard_normal(dim)
    x[others] *= ball.radius / np.linalg.norm(x[others])
    return BlockStepFrom(
        TiltedQuadratic(curvature * np.eye(dim), np.zeros(dim), noise),
        ball,
        points=[x],
        step_size=step(rng),
        batch_size=n,
        free=free,
        free_step=1 / curvature,
    )


def blocks(rng: Rng) -> BlockStepFrom:
    """A step in two blocks from a few points."""
    if rng.random() < 0.1:
        return round_blocks(rng)
    dim = int(rng.integers(2, 5))
    if rng.random() < 0.4:
        root = rng.standard_normal((dim, dim))
        noise = tilts(rng, 2, dim)
        problem: FiniteSum = TiltedQuadratic(root + root.T, rng.normal(size=dim), noise)
    else:
        problem = any_model(rng, dim)
    free = sorted(rng.permutation(dim)[: int(rng.integers(1, dim))].tolist())
    confined = dim - len(free)
    constraint, points = somewhere(rng, confined), size(rng) * rng.standard_normal((4, dim))
    others = [j for j in range(dim) if j not in free]
    points[:, others] = [point(rng, constraint, confined) for _ in points]
    return BlockStepFrom(
        problem,
        constraint,
        points=points,
        step_size=step(rng),
        **few(rng, problem.n_samples),
        free=free,
        free_step=float(rng.uniform(0.05, 1)) / problem.smoothness,
        claims=generous(rng, problem, constraint, "diameter"),
    )


ZOO: dict[str, Callable[[Rng], Any]] = {
    "thm-any-estimates": any_estimates,
    "thm-any-estimates-convex": any_estimates_convex,
    "prop-delayed-gradients": old_points,
    "prop-snapshot-error": lambda rng: changes(rng, snapshots),
    "prop-sarah-error": lambda rng: changes(rng, recursive, "diameter"),
    "thm-slope-table": slopes,
    "prop-running-mean": running_mean,
    "prop-block-step": blocks,
}
