"""Random problems on convex sets, and settings for the theorems of lecture 12."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sgdnotes.constraints import Box, Constraint, L1Ball, L2Ball, Simplex
from sgdnotes.problems import (
    DeterministicQuadratic,
    FiniteSum,
    GaussianQuadratic,
    Objective,
    TiltedQuadratic,
    gaussian_dip,
    sine_valley,
    soft_absolute,
)
from sgdnotes.schedules import (
    BatchSchedule,
    Schedule,
    frank_wolfe_steps,
    geometric_batches,
    inverse_root,
    polynomial_batches,
    power,
    step_decay,
)
from sgdnotes.theorems import (
    ConstrainedPoints,
    FrankWolfeRun,
    FrankWolfeStepFrom,
    ShortStepRun,
    WorstCase,
)
from sgdnotes.updates import frank_wolfe_gap

Rng = np.random.Generator
Pair = tuple[Objective, Constraint]
MOST_PLACES = 4096


# ---- problems on sets -------------------------------------------------------------------------


def size(rng: Rng) -> float:
    """A positive number of any order of magnitude between a tenth and ten."""
    return float(10 ** rng.uniform(-1, 1))


def tilts(rng: Rng, n: int, dim: int) -> np.ndarray:
    """Vectors of mean zero."""
    z = size(rng) * rng.standard_normal((n, dim))
    return np.asarray(z - z.mean(axis=0))


def interval(rng: Rng) -> Box:
    """An interval anywhere near the origin."""
    low = rng.normal()
    return Box([low], [low + 2 * size(rng)])


def on_interval(rng: Rng) -> Pair:
    """A function of one variable with noise of two or three atoms, or Gaussian."""
    chosen, n = interval(rng), int(rng.integers(2, 4))
    kind = rng.integers(5)
    if kind == 0:
        z = tilts(rng, n, 1)[:, 0]
        maker = (sine_valley, soft_absolute, gaussian_dip)[rng.integers(3)]
        return maker() if maker is gaussian_dip else maker(z), chosen
    curvature = rng.choice([0.0, 1.0, 1.0, -1.0]) * size(rng)
    linear = [float(curvature * chosen.random_point(rng, (1,))[0] + 0.3 * rng.normal())]
    if kind == 1:
        return GaussianQuadratic([[curvature]], linear, size(rng)), chosen
    return TiltedQuadratic([[curvature]], linear, tilts(rng, n, 1)), chosen


def on_ball(rng: Rng) -> Pair:
    """A quadratic with curvatures of any sign on a ball, with noise of two atoms."""
    dim = int(rng.integers(2, 5))
    root = rng.standard_normal((dim, dim))
    ball = L2Ball(size(rng), rng.normal(size=dim) if rng.random() < 0.5 else None)
    return TiltedQuadratic(root + root.T, rng.normal(size=dim), tilts(rng, 2, dim)), ball


def polytope(rng: Rng, dim: int) -> Constraint:
    """A polytope with few corners."""
    kind = rng.integers(3)
    if kind == 0:
        return Simplex(size(rng))
    return L1Ball(size(rng)) if kind == 1 else Box(-rng.random(dim), rng.random(dim))


def on_polytope(rng: Rng) -> Pair:
    """A round quadratic, or a linear function, on a polytope, with noise of two atoms."""
    dim = int(rng.integers(2, 4))
    curvature = size(rng) if rng.random() < 0.7 else 0.0
    return (
        TiltedQuadratic(curvature * np.eye(dim), rng.normal(size=dim), tilts(rng, 2, dim)),
        polytope(rng, dim),
    )


def without_noise(problem: Objective) -> FiniteSum:
    """The same quadratic as a sum of one."""
    assert isinstance(problem, (TiltedQuadratic, GaussianQuadratic))
    return DeterministicQuadratic(problem.hessian, problem.linear)


def pair(rng: Rng) -> Pair:
    """Any of these, sometimes without noise."""
    problem, constraint = (on_interval, on_ball, on_polytope)[rng.integers(3)](rng)
    quadratic = isinstance(problem, (TiltedQuadratic, GaussianQuadratic))
    if rng.random() < 0.15 and quadratic and problem.smoothness > 0:
        return without_noise(problem), constraint
    return problem, constraint


def point(rng: Rng, constraint: Any, dim: int) -> np.ndarray:
    """A point of the set, often a corner of it."""
    if rng.random() < 0.5:
        return np.asarray(constraint.linear_minimizer(rng.normal(size=dim)))
    if isinstance(constraint, Simplex):
        return np.asarray(constraint.project(rng.normal(size=dim)))
    return np.asarray(constraint.random_point(rng, (dim,)))


def generous(rng: Rng, problem: Objective, constraint: Constraint, *names: str) -> dict[str, float]:
    """Sometimes weaker constants than the true ones."""
    true = {"smoothness": problem.smoothness, "diameter": constraint.diameter}
    return {name: true[name] * (1 + rng.random()) for name in names if rng.random() < 0.15}


# ---- runs -------------------------------------------------------------------------------------


def corners(constraint: Constraint, dim: int) -> float:
    """How many points a step may lead towards."""
    match constraint:
        case L2Ball():
            return math.inf
        case Simplex():
            return dim
        case L1Ball():
            return 2 * dim
    return 2.0**dim


def length(
    rng: Rng, problem: Objective, constraint: Constraint, batch_size: Any, most: int = 40
) -> int:
    """A number of steps after which the iterate is in few enough places."""
    n = problem.n_samples if isinstance(problem, FiniteSum) else 2
    places, steps = 1.0, 0
    while steps < most:
        b = batch_size(steps) if callable(batch_size) else batch_size
        different = math.comb(int(b) + n - 1, n - 1) if isinstance(problem, FiniteSum) else 2
        places *= min(different, corners(constraint, problem.dim))
        if places > MOST_PLACES or different > 500 or b > 10**12:
            break
        steps += 1
    return int(rng.integers(1, max(steps, 1) + 1))


def run(
    rng: Rng,
    step_size: float | Schedule,
    batch_size: int | BatchSchedule = 1,
    shortest: int = 1,
    **parameters: float,
) -> FrankWolfeRun:
    """A run with the given schedules on any problem; sometimes one that attains the bound."""
    if rng.random() < 0.15:
        return tight(rng, step_size, batch_size, shortest, **parameters)
    while True:
        problem, constraint = pair(rng)
        steps = length(rng, problem, constraint, batch_size)
        if steps >= shortest:
            break
    claims = {**parameters, **generous(rng, problem, constraint, "smoothness", "diameter")}
    return FrankWolfeRun(
        problem,
        constraint,
        steps=steps,
        step_size=step_size,
        batch_size=batch_size,
        x0=point(rng, constraint, problem.dim),
        claims=claims,
    )


def tight(
    rng: Rng,
    step_size: float | Schedule,
    batch_size: int | BatchSchedule,
    shortest: int,
    **parameters: float,
) -> FrankWolfeRun:
    """A parabola whose minimum the first step hits from the far end of an interval, or a slope."""
    constraint, curvature = interval(rng), size(rng)
    low, high = float(np.asarray(constraint.lower)[0]), float(np.asarray(constraint.upper)[0])
    first = step_size(0) if callable(step_size) else step_size
    minimum = high - first * (high - low)
    problem = DeterministicQuadratic([[curvature]], [curvature * minimum])
    if rng.random() < 0.4:
        problem = DeterministicQuadratic([[0.0]], [-curvature])
    return FrankWolfeRun(
        problem,
        constraint,
        steps=max(shortest, int(rng.integers(1, 5))),
        step_size=step_size,
        batch_size=batch_size,
        x0=[high],
        claims=parameters,
    )


def step(rng: Rng) -> float:
    """A step size up to 1, often 1 itself."""
    return 1.0 if rng.random() < 0.15 else float(rng.uniform(0.02, 1))


def small_batch(rng: Rng) -> int:
    """A batch size."""
    return int(rng.integers(1, 5))


def growing(rng: Rng) -> tuple[BatchSchedule, dict[str, float]]:
    """Batches that grow geometrically every few steps, and the parameters to claim."""
    ratio, every = float(rng.uniform(1.2, 4)), int(rng.integers(1, 5))
    batches = geometric_batches(small_batch(rng), ratio, every=every)
    return batches, {"batch_growth": ratio, "batch_period": every}


def grown(rng: Rng, step_size: Callable[[Rng], float | Schedule]) -> FrankWolfeRun:
    """A run with growing batches."""
    batches, parameters = growing(rng)
    return run(rng, step_size(rng), batches, **parameters)


def powers(rng: Rng) -> FrankWolfeRun:
    """A run whose steps fall like a power, with constant or growing batches."""
    a = float(rng.uniform(0.02, 0.98))
    batches = small_batch(rng) if rng.random() < 0.5 else growing(rng)[0]
    return run(rng, power(1.0, a), batches, exponent=a)


def decays(rng: Rng) -> FrankWolfeRun:
    """A run with step decay, with constant or growing batches."""
    factor, every = float(rng.uniform(0.3, 0.95)), int(rng.integers(1, 5))
    batches = small_batch(rng) if rng.random() < 0.5 else growing(rng)[0]
    schedule = step_decay(step(rng), factor, every)
    return run(rng, schedule, batches, every, decay=factor, decay_period=every)


def any_convex(rng: Rng) -> Pair:
    """A convex quadratic without noise."""
    if rng.random() < 0.1:  # where only a certified lower bound is known
        dim = int(rng.integers(2, 4))
        root = rng.standard_normal((dim + 2, dim))
        return DeterministicQuadratic(root.T @ root, rng.normal(size=dim)), polytope(rng, dim)
    while True:
        problem, constraint = pair(rng)
        if isinstance(problem, (TiltedQuadratic, GaussianQuadratic)) and problem.smoothness > 0:
            if not problem.convex:
                root = problem.hessian
                return DeterministicQuadratic(root @ root, problem.linear), constraint
            return without_noise(problem), constraint


def convex(rng: Rng) -> FrankWolfeRun:
    """Frank–Wolfe on a convex function; sometimes thrown as far as possible by the first step."""
    claims = {}
    if rng.random() < 0.2:
        constraint, curvature = interval(rng), size(rng)
        low, high = float(np.asarray(constraint.lower)[0]), float(np.asarray(constraint.upper)[0])
        minimum = high - 1e-6 * (high - low)
        problem: Objective = DeterministicQuadratic([[curvature]], [curvature * minimum])
        start = np.array([high])
    else:
        problem, constraint = any_convex(rng)
        start = point(rng, constraint, problem.dim)
        claims = generous(rng, problem, constraint, "smoothness", "diameter")
    return FrankWolfeRun(
        problem,
        constraint,
        steps=int(rng.integers(1, 60)),
        step_size=frank_wolfe_steps(),
        x0=start,
        claims=claims,
    )


def short(rng: Rng) -> ShortStepRun:
    """Short steps on any problem."""
    if rng.random() < 0.15:
        constraint, curvature = interval(rng), size(rng)
        low, high = float(np.asarray(constraint.lower)[0]), float(np.asarray(constraint.upper)[0])
        problem: Objective = DeterministicQuadratic([[curvature]], [curvature * low])
        return ShortStepRun(problem, constraint, steps=int(rng.integers(1, 30)), x0=[high])
    while True:
        problem, constraint = pair(rng)
        if problem.smoothness > 0:
            break
    return ShortStepRun(
        problem,
        constraint,
        steps=int(rng.integers(1, 60)),
        x0=point(rng, constraint, problem.dim),
        claims=generous(rng, problem, constraint, "smoothness", "diameter"),
    )


# ---- points -----------------------------------------------------------------------------------


def certificate(rng: Rng) -> ConstrainedPoints:
    """Points of a set, and a convex function."""
    problem, constraint = any_convex(rng)
    points = [point(rng, constraint, problem.dim) for _ in range(4)]
    return ConstrainedPoints(problem, constraint, points=points)


def one_step(rng: Rng) -> FrankWolfeStepFrom:
    """A step from points of a set."""
    gamma = step(rng)
    if rng.random() < 0.15:
        probe = tight(rng, gamma, 1, 1)
        return FrankWolfeStepFrom(
            probe.problem, probe.constraint, points=probe.start, step_size=gamma
        )
    problem, constraint = pair(rng)
    return FrankWolfeStepFrom(
        problem,
        constraint,
        points=[point(rng, constraint, problem.dim) for _ in range(4)],
        step_size=gamma,
        batch_size=small_batch(rng),
        sampling="with_replacement",
        claims=generous(rng, problem, constraint, "smoothness", "diameter"),
    )


# ---- floors -----------------------------------------------------------------------------------


def centred(rng: Rng) -> tuple[FiniteSum, Box]:
    """A parabola with its minimum in the middle of an interval."""
    constraint, curvature = interval(rng), size(rng)
    middle = float((np.asarray(constraint.lower) + np.asarray(constraint.upper))[0]) / 2
    return DeterministicQuadratic([[curvature]], [curvature * middle]), constraint


def cycling(rng: Rng) -> FrankWolfeRun:
    """Constant steps on a centred parabola."""
    problem, constraint = centred(rng)
    gamma = float(rng.uniform(0.05, 1))
    return FrankWolfeRun(
        problem,
        constraint,
        steps=math.ceil(20 / gamma * (1 + rng.random())),
        step_size=gamma,
        x0=point(rng, constraint, 1),
    )


def balanced(rng: Rng) -> FrankWolfeRun:
    """Harmonic steps on a parabola with Gaussian noise."""
    constraint, curvature = interval(rng), size(rng)
    minimum = float(point(rng, constraint, 1)[0] + 0.3 * rng.normal())
    return FrankWolfeRun(
        GaussianQuadratic([[curvature]], [curvature * minimum], size(rng)),
        constraint,
        steps=int(rng.integers(150, 300)),
        step_size=power(1.0, 1.0),
        batch_size=int(10 ** rng.uniform(0, 4)),
        x0=point(rng, constraint, 1),
    )


def freezing(rng: Rng) -> FrankWolfeRun:
    """Step decay on a linear function, and a constant that the rate 1/T does not keep to."""
    while True:
        problem, constraint = pair(rng)
        if not isinstance(problem, TiltedQuadratic):
            continue
        linear = DeterministicQuadratic(0 * problem.hessian, problem.linear)
        x0 = point(rng, constraint, problem.dim)
        gap = float(frank_wolfe_gap(linear, constraint, x0))
        factor, every = float(rng.uniform(0.2, 0.7)), int(rng.integers(1, 4))
        first, steps = float(rng.uniform(0.05, 0.9)), int(rng.integers(20, 80))
        left = gap * math.prod((1 - first * factor**p) ** every for p in range(200))
        if left > 1e-6 * constraint.diameter:
            break
    return FrankWolfeRun(
        linear,
        constraint,
        steps=steps,
        step_size=step_decay(first, factor, every),
        x0=x0,
        claims={
            "decay": factor,
            "decay_period": every,
            "rate_constant": left * steps * rng.uniform(0.05, 0.99),
        },
    )


def staged(rng: Rng) -> FrankWolfeRun:
    """A few long stages of step decay on a centred parabola."""
    problem, constraint = centred(rng)
    stages, last = int(rng.integers(1, 4)), float(rng.uniform(0.25, 0.6))
    factor = float(rng.uniform(last, 0.9)) if stages > 1 else 0.5
    factor = max(factor, last ** (1 / max(stages - 1, 1)))
    first = last / factor ** (stages - 1)
    every = math.ceil(200 / last * (1 + 1e-9))
    return FrankWolfeRun(
        problem,
        constraint,
        steps=stages * every,
        step_size=step_decay(min(first, 1.0), factor, every),
        x0=point(rng, constraint, 1),
        claims={"decay": factor, "decay_period": every},
    )


def worst(rng: Rng) -> WorstCase:
    """Schedules of any kind."""
    first = step(rng)
    steps: list[float | Schedule] = [
        first,
        first,
        power(first, float(rng.uniform(0, 1))),
        step_decay(first, float(rng.uniform(0.3, 0.95)), int(rng.integers(1, 20))),
    ]
    batches: list[int | BatchSchedule] = [
        int(10 ** rng.uniform(0, 3)),
        int(10 ** rng.uniform(0, 3)),
        growing(rng)[0],
        polynomial_batches(small_batch(rng)),
    ]
    return WorstCase(
        int(rng.integers(1, 300)),
        steps[rng.integers(4)],
        batches[rng.integers(4)],
        size(rng),
        size(rng),
        size(rng),
    )


CONSTRAINED: dict[str, Callable[[Rng], Any]] = {
    "lem-fw-gap": certificate,
    "lem-fw-step": one_step,
    "thm-fw-convex": convex,
    "thm-fw-nonconvex": short,
    "thm-sfw-constant": lambda rng: run(rng, step(rng), small_batch(rng)),
    "thm-sfw-growing": lambda rng: grown(rng, step),
    "thm-sfw-harmonic": lambda rng: run(rng, power(1.0, 1.0), small_batch(rng)),
    "thm-sfw-harmonic-growing": lambda rng: grown(rng, lambda _: power(1.0, 1.0)),
    "thm-sfw-power": powers,
    "thm-sfw-polynomial": lambda rng: run(
        rng, inverse_root(1.0), polynomial_batches(small_batch(rng))
    ),
    "thm-sfw-step-decay": decays,
    "prop-fw-floor-step": cycling,
    "prop-fw-floor-batch": balanced,
    "prop-fw-frozen": freezing,
    "prop-fw-decay-floor": staged,
    "thm-sfw-minimax": worst,
}
