"""Random problems, and for every theorem random settings that satisfy its assumptions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from random_attacks import ATTACKS
from random_constrained import CONSTRAINED
from random_pruning import PRUNING
from random_zoo import ZOO

from sgdnotes.flow import FixedDesign, FlowBounds, stability_thresholds
from sgdnotes.moments import SecondMoments
from sgdnotes.problems import (
    FiniteSum,
    LeastAbsoluteDeviations,
    LeastSquares,
    LogisticRegression,
    Ridge,
    ScalarQuadratics,
    WellInBowl,
    absolute,
    flat_bottom,
    gaussian_dip,
    huber,
    quadratic,
    sine_valley,
    soft_absolute,
)
from sgdnotes.sampling import resolve
from sgdnotes.schedules import (
    constant_then_inverse_time,
    geometric_batches,
    inverse_root,
    inverse_time,
)
from sgdnotes.theorems import (
    BatchChoice,
    Claims,
    Descent,
    DiffusionRun,
    EpochRun,
    EulerRun,
    FlowRiskRun,
    GlobalBound,
    GradientFlowRun,
    GrowingRun,
    LocalDescent,
    MomentumRun,
    OneStep,
    OracleTuning,
    Points,
    ProjectedRun,
    RiskComparison,
    Sequences,
    Stationary,
    StationaryEpochs,
    StochasticRun,
    TwoSteps,
)
from sgdnotes.theorems.averaging import averaging_constants
from sgdnotes.theorems.convex import least_variance, start_distance_squared
from sgdnotes.theorems.pl import batch_smoothness
from sgdnotes.theorems.shuffling import component_strong_convexity, sorted_signs
from sgdnotes.theorems.stochastic import descent_threshold
from sgdnotes.updates import BacktrackingStep, GradientStep, HeavyBall, LinearUpdate, Nesterov

Rng = np.random.Generator
SAMPLINGS = ("with_replacement", "without_replacement")
MAX_RUNS = 1024  # sequences enumerated for one setting


# ---- problems ---------------------------------------------------------------------------------


def features(rng: Rng, n: int, p: int) -> np.ndarray:
    """Rows of one of the kinds that tend to break things, scaled by a random power of ten."""
    a = rng.standard_normal((n, p))
    kind = rng.integers(7)
    if kind == 1:  # low rank
        rank = int(rng.integers(1, min(n, p) + 1))
        a = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, p))
    elif kind == 2:  # a constant column
        a[:, 0] = 1.0
    elif kind == 3:  # collinear columns
        a[:, -1] = 2 * a[:, 0]
    elif kind == 4:  # columns of different sizes
        a *= 10 ** rng.uniform(-0.7, 0, size=p)
    elif kind == 5:  # repeated rows
        a = a[rng.integers(n, size=n)]
    elif kind == 6:  # a zero row, and one heavy row
        a[0] *= 3
        if n > 1:
            a[-1] = 0
    return np.asarray(a * 10 ** rng.uniform(-1, 1))


def shape(rng: Rng, most_samples: int = 9, most_columns: int = 5) -> tuple[int, int]:
    """A number of samples and of columns, either of them often 1."""
    n = 1 if rng.random() < 0.1 else int(rng.integers(1, most_samples + 1))
    p = 1 if rng.random() < 0.2 else int(rng.integers(1, most_columns + 1))
    return n, p


def least_squares(rng: Rng, most_samples: int = 9) -> LeastSquares:
    """Least squares of any rank; sometimes every residual at the minimum is zero."""
    n, p = shape(rng, most_samples)
    a = features(rng, n, p)
    b = a @ rng.standard_normal(p) + rng.choice([0.0, 0.1, 1.0]) * rng.standard_normal(n)
    return LeastSquares(a, b)


def ridge(rng: Rng, most_samples: int = 9) -> Ridge:
    """Ridge regression with a regularisation comparable to the largest curvature or smaller."""
    n, p = shape(rng, most_samples)
    a = features(rng, n, p)
    size = np.linalg.norm(a, 2) ** 2 / n
    return Ridge(a, rng.standard_normal(n), float(size * 10 ** rng.uniform(-1.5, 0)))


def logistic(rng: Rng, most_samples: int = 9) -> LogisticRegression:
    """Logistic regression with random labels, separable or not."""
    n, p = shape(rng, most_samples)
    a = features(rng, n, p)
    size = np.linalg.norm(a, 2) ** 2 / n
    labels = rng.choice([-1.0, 1.0], size=n)
    return LogisticRegression(a, labels, float(size * 10 ** rng.uniform(-2, 0)))


def tilts(rng: Rng, largest: float = 2.0) -> np.ndarray:
    """Two or three numbers of mean zero, at most `largest` in size."""
    c = rng.uniform(-1, 1, size=int(rng.integers(2, 4)))
    c -= c.mean()
    return np.asarray(largest * rng.random() * c / np.abs(c).max())


def parabola(rng: Rng) -> FiniteSum:
    """A parabola with noise."""
    return quadratic(float(10 ** rng.uniform(-1, 1)), tilts(rng))


def valley(rng: Rng) -> FiniteSum:
    """The sine valley with noise."""
    return sine_valley(tilts(rng))


def soft(rng: Rng) -> FiniteSum:
    """The soft absolute value with noise, every component bounded below."""
    return soft_absolute(tilts(rng, 0.99))


def dip(rng: Rng) -> FiniteSum:
    """The Gaussian dip."""
    return gaussian_dip()


def scalars(rng: Rng) -> ScalarQuadratics:
    """Parabolas with curvatures of any sign but a positive mean."""
    h = rng.uniform(-2, 3, size=int(rng.integers(1, 5)))
    h[0] += max(0.0, 0.3 * h.size - h.sum())
    return ScalarQuadratics(h, rng.standard_normal(h.size))


def convex_scalars(rng: Rng) -> ScalarQuadratics:
    """Parabolas that are all convex, some perhaps flat."""
    h = rng.uniform(0.2, 3, size=int(rng.integers(1, 4)))
    if h.size > 1 and rng.random() < 0.3:
        h[-1] = 0.0
    return ScalarQuadratics(h, rng.standard_normal(h.size))


def interpolating(rng: Rng) -> FiniteSum:
    """A quadratic finite sum all of whose components share a minimiser."""
    if rng.random() < 0.2:
        h = rng.uniform(0.2, 3, size=3)
        return ScalarQuadratics(h, np.full(3, rng.standard_normal()))
    n, p = shape(rng)
    a = features(rng, n, p)
    return LeastSquares(a, a @ rng.standard_normal(p))


Maker = Callable[[Rng], FiniteSum]
LINEAR: tuple[Maker, ...] = (least_squares, ridge, logistic)
CONVEX: tuple[Maker, ...] = (*LINEAR, parabola, soft, convex_scalars)
SMOOTH: tuple[Maker, ...] = (*CONVEX, valley, dip, scalars)
PL: tuple[Maker, ...] = (*LINEAR, parabola, valley, convex_scalars, scalars)
BOUNDED_BELOW: tuple[Maker, ...] = (*LINEAR, parabola, valley, soft, dip)
STRONGLY_CONVEX: tuple[Maker, ...] = (ridge, logistic, parabola, convex_scalars)


def pick(rng: Rng, makers: Sequence[Maker]) -> FiniteSum:
    """A problem of a random kind."""
    return makers[int(rng.integers(len(makers)))](rng)


# ---- the rest of a setting --------------------------------------------------------------------


def points(rng: Rng, problem: FiniteSum, count: int = 4) -> np.ndarray:
    """Points at all distances from the minimiser."""
    scale = 10 ** rng.uniform(-2, 2, size=(count, 1))
    return np.asarray(problem.minimizer + scale * rng.standard_normal((count, problem.dim)))


def start(rng: Rng, problem: FiniteSum) -> np.ndarray:
    """A starting point, near or far."""
    return np.asarray(points(rng, problem, 1)[0])


def below(rng: Rng, limit: float, strict: bool = False) -> float:
    """A step size up to `limit`, often at it."""
    kind = rng.random()
    if kind < 0.3:
        return limit * (0.999 if strict else 1.0)
    return float(limit * (rng.uniform(0.9, 0.999) if kind < 0.5 else rng.uniform(0.02, 0.9)))


def valid_claims(rng: Rng, problem: FiniteSum, *names: str) -> dict[str, float]:
    """Sometimes weaker constants than the true ones, which the theorems allow as well."""
    claims = {}
    for name in names:
        if rng.random() < 0.2:
            slack = 1 + rng.random()
            true = float(getattr(problem, name))
            claims[name] = (
                true / slack if name in {"pl_constant", "strong_convexity"} else (true * slack)
            )
    if "smoothness" in claims and "max_smoothness" in claims:
        claims["max_smoothness"] = max(claims.values())
    return claims


def batch(rng: Rng, problem: FiniteSum) -> dict[str, Any]:
    """A batch size and a sampling with few enough different batches."""
    sampling = str(rng.choice(SAMPLINGS))
    size = int(rng.integers(1, problem.n_samples + 1))
    while size > 1 and len(outcomes(problem, size, sampling)) > 200:
        size -= 1
    return {"batch_size": size, "sampling": sampling}


def outcomes(problem: FiniteSum, size: int, sampling: str) -> Sequence[Any]:
    """The different batches, counted cheaply where there are many."""
    if sampling == "with_replacement" and problem.n_samples**size > 10_000:
        return range(problem.n_samples**size)
    return resolve(sampling).outcomes(problem.n_samples, size)


def run_length(rng: Rng, problem: FiniteSum, chosen: dict[str, Any], most: int = 60) -> int:
    """A number of steps whose expectation can be computed exactly."""
    if not isinstance(problem, Ridge):
        count = len(outcomes(problem, chosen["batch_size"], chosen["sampling"]))
        most = min(most, int(math.log(MAX_RUNS) / math.log(count)) if count > 1 else most)
    return int(rng.integers(1, most + 1))


def small(maker: Maker) -> Maker:
    """The same kind of problem with at most three samples unless its moments close."""
    if maker is logistic:
        return lambda rng: logistic(rng, 3)
    if maker is scalars:
        return lambda rng: _few(scalars, rng)
    return maker


def _few(maker: Maker, rng: Rng) -> FiniteSum:
    while (problem := maker(rng)).n_samples > 3:
        pass
    return problem


def stochastic(
    rng: Rng,
    makers: Sequence[Maker],
    limit: Callable[[StochasticRun], float],
    *claimable: str,
    strict: bool = False,
) -> StochasticRun:
    """A run of constant-step SGD with a step up to `limit`."""
    problem = pick(rng, [small(maker) for maker in makers])
    chosen = batch(rng, problem)
    arguments: dict[str, Any] = {
        "steps": run_length(rng, problem, chosen),
        "x0": start(rng, problem),
        "claims": valid_claims(rng, problem, *claimable),
        **chosen,
    }
    probe = StochasticRun(problem, step_size=1e-9, **arguments)
    return StochasticRun(problem, step_size=below(rng, limit(probe), strict), **arguments)


def one_step(rng: Rng, makers: Sequence[Maker], *claimable: str) -> OneStep:
    """One step from several points, with a step size up to 3/L at each."""
    problem = pick(rng, makers)
    return OneStep(
        problem,
        points=points(rng, problem),
        step_size=3 * rng.random(4) / problem.smoothness,
        claims=valid_claims(rng, problem, *claimable),
        **batch(rng, problem),
    )


def pointwise(rng: Rng, makers: Sequence[Maker], *claimable: str) -> Points:
    """Points and displacements."""
    problem = pick(rng, makers)
    return Points(
        problem,
        points=points(rng, problem),
        displacements=10 ** rng.uniform(-2, 2) * rng.standard_normal((4, problem.dim)),
        claims=valid_claims(rng, problem, *claimable),
    )


def descent(
    rng: Rng, makers: Sequence[Maker], limit: float, *claimable: str, strict: bool = True
) -> Descent:
    """A run of gradient descent with a step up to `limit` / L."""
    problem = pick(rng, makers)
    claims = valid_claims(rng, problem, *claimable)
    size = claims.get("smoothness", problem.smoothness)
    if rng.random() < 0.2:
        claims["minimum"] = problem.minimum - rng.random()
    if "pl_constant" in claimable:
        claims.pop("minimum", None)
    return Descent(
        problem,
        steps=int(rng.integers(1, 40)),
        step_size=below(rng, limit / size, strict),
        x0=start(rng, problem),
        claims=claims,
    )


# ---- a generator for every theorem ------------------------------------------------------------


def gradient_vanishes(rng: Rng) -> Descent:
    """A run long enough for the theory to promise a small gradient."""
    while True:
        problem = pick(rng, (*LINEAR, parabola, valley))
        scaled = below(rng, 2.0, strict=True)
        rate = scaled * (2 - scaled) * problem.pl_constant / problem.smoothness
        # f - f* falls by the factor 1 - rate and its square root bounds the gradient.
        needed = 2 * math.log(1e5 * math.sqrt(problem.smoothness / problem.pl_constant)) / rate
        if needed < 400:
            return Descent(
                problem,
                steps=math.ceil(needed),
                step_size=scaled / problem.smoothness,
                x0=start(rng, problem),
            )


def summability(rng: Rng) -> Sequences:
    """A decreasing non-negative potential and decreases that it pays for, often exactly."""
    potential = np.cumsum(rng.exponential(size=int(rng.integers(2, 30))))[::-1]
    potential = potential - rng.choice([0.0, 1.0]) * potential[-1]
    paid = -np.diff(potential)
    return Sequences(potential, paid * (1 if rng.random() < 0.5 else rng.random(paid.size)))


def expected_descent(rng: Rng) -> OneStep:
    """Steps up to the threshold."""
    probe = one_step(rng, SMOOTH, "smoothness")
    return OneStep(
        probe.problem,
        points=probe.x,
        step_size=[below(rng, min(float(limit), 1e3)) for limit in descent_threshold(probe)],
        batch_size=probe.batch_size,
        sampling=probe.sampling,
        claims=probe.claims,
    )


def moment_recursion(rng: Rng) -> StochasticRun:
    """A run of least squares so short that all its sequences can be enumerated."""
    while True:
        problem = pick(rng, (least_squares, ridge))
        chosen = batch(rng, problem)
        count = len(outcomes(problem, chosen["batch_size"], chosen["sampling"]))
        steps = int(math.log(MAX_RUNS) / math.log(count)) if count > 1 else 10
        if steps:
            return StochasticRun(
                problem,
                steps=int(rng.integers(1, min(steps, 10) + 1)),
                step_size=below(rng, 2 / problem.max_smoothness),
                x0=start(rng, problem),
                **chosen,
            )


def vacuity(rng: Rng) -> GlobalBound:
    """Any claimed bound, however large."""
    problem = pick(rng, PL)
    return GlobalBound(
        problem,
        second_moment=float(10 ** rng.uniform(-2, 8)),
        claims=valid_claims(rng, problem, "smoothness", "pl_constant"),
    )


def with_second_moment(rng: Rng, setting: StochasticRun) -> StochasticRun:
    """The same run, sometimes claiming more than its largest second moment."""
    if rng.random() < 0.7:
        return setting
    claims = {
        **setting.claims,
        "trajectory_second_moment": setting.trajectory_second_moment * (1 + rng.random()),
    }
    return StochasticRun(
        setting.problem,
        steps=setting.steps,
        step_size=setting.step_size,
        x0=setting.x0,
        batch_size=setting.batch_size,
        sampling=setting.sampling,
        claims=claims,
    )


def decreasing(rng: Rng) -> StochasticRun:
    """A run with the decreasing schedule."""
    constant = stochastic(rng, PL, lambda s: 1.0, "smoothness", "pl_constant")
    return with_second_moment(
        rng,
        StochasticRun(
            constant.problem,
            steps=constant.steps,
            step_size=inverse_time(constant.constant("pl_constant")),
            x0=constant.x0,
            batch_size=constant.batch_size,
            sampling=constant.sampling,
            claims=constant.claims,
        ),
    )


def constant_step(rng: Rng) -> StochasticRun:
    """A constant step up to 1/(2 mu), which may be far beyond stability."""
    return with_second_moment(
        rng,
        stochastic(
            rng, PL, lambda s: 1 / (2 * s.constant("pl_constant")), "smoothness", "pl_constant"
        ),
    )


def equal_rows(rng: Rng) -> LeastSquares:
    """Least squares whose rows agree up to sign, so that its noise is the same everywhere."""
    row = rng.standard_normal(int(rng.integers(1, 4)))
    signs = rng.choice([-1.0, 1.0], size=int(rng.integers(1, 7)))
    return LeastSquares(np.outer(signs, row), rng.standard_normal(signs.size))


def flat_curvature(rng: Rng) -> ScalarQuadratics:
    """Parabolas of one curvature."""
    return ScalarQuadratics(np.full(3, 0.2 + rng.random()), rng.standard_normal(3))


def bounded_variance(rng: Rng) -> StochasticRun:
    """Noise of constant variance."""
    setting = stochastic(
        rng,
        (parabola, valley, equal_rows, flat_curvature),
        lambda s: 1 / s.constant("smoothness"),
        "smoothness",
        "pl_constant",
    )
    if rng.random() < 0.3:
        true = setting.noise_factor * setting.problem.gradient_noise_at_minimum
        setting.claims["variance"] = true * (1 + rng.random())  # type: ignore[index]
    return setting


def repaired(rng: Rng) -> StochasticRun:
    """A run past the switch of the schedule."""
    while True:
        problem = pick(rng, (ridge, least_squares, flat_curvature, parabola))
        if not problem.strong_convexity > problem.max_smoothness / 60:
            continue
        claims = valid_claims(rng, problem, "max_smoothness", "strong_convexity")
        largest = claims.get("max_smoothness", problem.max_smoothness)
        mu = claims.get("strong_convexity", problem.strong_convexity)
        switch = 4 * math.ceil(largest / mu)
        chosen = batch(rng, problem)
        steps = switch + int(rng.integers(0, 200))
        if not isinstance(problem, Ridge):
            if switch > 8:
                continue
            chosen = {"batch_size": problem.n_samples, "sampling": "without_replacement"}
            if problem.n_samples == 2 and rng.random() < 0.7:
                chosen["batch_size"], steps = 1, switch + int(rng.integers(0, 3))
        return StochasticRun(
            problem,
            steps=steps,
            step_size=constant_then_inverse_time(largest, mu),
            x0=start(rng, problem),
            claims=claims,
            **chosen,
        )


def stationary(rng: Rng) -> Stationary:
    """Steps for which SGD is stable."""
    problem = pick(rng, (least_squares, ridge))
    limit = 1.95 / problem.max_smoothness
    return Stationary(
        problem, step_sizes=limit * rng.uniform(0.01, 1, size=3), **batch(rng, problem)
    )


def line_search(rng: Rng) -> Descent:
    """A run with backtracking whose trials often just miss the longest safe step."""
    plain = descent(rng, SMOOTH, 2.0, "smoothness")
    search = BacktrackingStep(
        decrease=0.5 if rng.random() < 0.4 else rng.uniform(0.05, 0.95),
        shrink=rng.uniform(0.3, 0.98),
    )
    safe = 2 * (1 - search.decrease) / plain.constant("smoothness")
    first = safe * search.shrink ** -float(rng.integers(4)) * (1 + rng.choice([1e-6, 0.1, -0.1]))
    return dataclasses.replace(plain, step_size=first, line_search=search)


def from_the_row_space(rng: Rng) -> StochasticRun:
    """A run of SGD on least squares from a combination of the rows, stable or not."""
    problem = least_squares(rng)
    assert isinstance(problem, LeastSquares)
    weights = 10 ** rng.uniform(-1, 1) * rng.standard_normal(problem.n_samples)
    return StochasticRun(
        problem,
        steps=int(rng.integers(1, 40)),
        step_size=float(rng.uniform(0.05, 2.5)) / problem.max_smoothness,
        x0=None if rng.random() < 0.3 else weights @ problem.features,
        **batch(rng, problem),
    )


def momentum(rng: Rng) -> LinearUpdate:
    """Heavy ball or Nesterov's method, sometimes with no momentum at all."""
    beta = 0.0 if rng.random() < 0.1 else float(rng.uniform(0, 0.98))
    return HeavyBall(beta) if rng.random() < 0.5 else Nesterov(beta)


def momentum_recursion(rng: Rng) -> MomentumRun:
    """A short run with momentum."""
    plain = moment_recursion(rng)
    return MomentumRun(
        plain.problem,
        steps=plain.steps,
        step_size=plain.step_size,
        x0=plain.x0,
        update=momentum(rng),
        batch_size=plain.batch_size,
        sampling=plain.sampling,
    )


def momentum_floor(rng: Rng) -> Stationary:
    """Steps for which the method with momentum is stable."""
    problem = pick(rng, (least_squares, ridge))
    update = GradientStep() if rng.random() < 0.1 else momentum(rng)
    chosen = batch(rng, problem)
    moments = SecondMoments(problem, **chosen, update=update)  # type: ignore[arg-type]
    limit = 2 / problem.max_smoothness
    while moments.spectral_radius(limit) >= 1:
        limit *= 0.7
    return Stationary(
        problem, step_sizes=limit * rng.uniform(0.05, 1, size=3), update=update, **chosen
    )


def averaged_least_squares(rng: Rng) -> StochasticRun:
    """Single samples and a step below 1/R², sometimes from the minimum."""
    problem = least_squares(rng)
    assert isinstance(problem, LeastSquares)
    return StochasticRun(
        problem,
        steps=int(rng.integers(1, 200)),
        step_size=below(rng, 1 / averaging_constants(problem)[0], strict=True),
        x0=problem.minimizer if rng.random() < 0.3 else start(rng, problem),
        sampling=str(rng.choice(SAMPLINGS)),
    )


def averaging_limit(rng: Rng) -> StochasticRun:
    """A run long enough to forget its start, which is as far away as the noise ball is wide."""
    while True:
        problem = pick(rng, (least_squares, ridge))
        step, chosen = below(rng, 1 / problem.max_smoothness), batch(rng, problem)
        moments = SecondMoments(problem, **chosen)  # type: ignore[arg-type]
        forgotten = 1 - moments.spectral_radius(step)
        steps = math.ceil(200 / min(step * problem.pl_constant, forgotten))
        if steps < 6000:
            spread = float(moments.distance_squared(moments.stationary(step)))
            if spread < 1e-12:  # without noise the limit is 0, of which 5 % is nothing
                continue
            width = math.sqrt(spread)
            offset = rng.standard_normal(problem.dim)
            x0 = problem.minimizer + width * offset / np.linalg.norm(offset)
            return StochasticRun(problem, steps=steps, step_size=step, x0=x0, **chosen)


def well(rng: Rng) -> WellInBowl:
    """A well in a bowl, in one to three variables and any units, deep enough for two minima."""
    while True:
        direction = rng.standard_normal(int(rng.integers(1, 4)))
        distance, size, height = 10 ** rng.uniform(-1, 1, size=3)
        try:
            return WellInBowl(
                curvature=height * rng.uniform(0.1, 2) / distance**2,
                depth=height,
                center=distance * direction / np.linalg.norm(direction),
                width=distance * rng.uniform(0.03, 0.4) * min(1.0, size),
            )
        except ValueError:  # without a second minimum
            continue


def near_a_minimum(rng: Rng) -> LocalDescent:
    """Gradient descent from within the reach of one of the two minima."""
    problem = well(rng)
    minimum = problem.minima[int(rng.integers(2))]
    probe = LocalDescent(
        problem,
        steps=1,
        step_size=below(rng, 2 / float(problem.sharpness(minimum)), strict=True),
        x0=minimum,
        at=minimum,
    )
    offset = rng.standard_normal(problem.dim)
    length = probe.reach * (0.999 if rng.random() < 0.3 else 10 ** rng.uniform(-4, 0))
    return dataclasses.replace(
        probe,
        steps=int(rng.integers(1, 60)),
        x0=minimum + length * offset / np.linalg.norm(offset),
    )


def shared_minimum(rng: Rng) -> StochasticRun:
    """Parabolas with one minimum, some perhaps upside down, and a step of any size."""
    curvatures = rng.uniform(-1, 3, size=int(rng.integers(1, 4)))
    curvatures[0] += max(0.0, 0.3 * curvatures.size - curvatures.sum())
    problem = ScalarQuadratics(curvatures, np.full(curvatures.size, rng.standard_normal()))
    chosen = batch(rng, problem)
    return StochasticRun(
        problem,
        steps=run_length(rng, problem, chosen, 20),
        step_size=float(rng.uniform(0.05, 3)) / problem.smoothness,
        x0=start(rng, problem),
        **chosen,
    )


def rounded(rng: Rng) -> FiniteSum:
    """Huber's function with noise, every component bounded below."""
    slope = float(10 ** rng.uniform(-1.5, 0.5))
    return huber(slope, tilts(rng, 0.99 * slope))


SMOOTH_CONVEX: tuple[Maker, ...] = (*CONVEX, rounded)


def convex_descent(rng: Rng) -> Descent:
    """Gradient descent with a step up to 1/L, often where it is slowest."""
    if rng.random() < 0.8:
        setting = descent(rng, SMOOTH_CONVEX, 1.0, "smoothness", strict=False)
        return dataclasses.replace(
            setting, claims={k: v for k, v in setting.claims.items() if k != "minimum"}
        )
    steps, alpha = int(rng.integers(1, 60)), below(rng, 1.0)
    distance = float(10 ** rng.uniform(-2, 2))
    slope = distance / (2 * steps * alpha + 1)
    return Descent(huber(slope), steps=steps, step_size=alpha, x0=[distance])


def decreasing_steps(rng: Rng, setting: Any) -> Any:
    """The same run, sometimes with steps that fall like one over the square root."""
    if rng.random() < 0.5:
        return setting
    return dataclasses.replace(setting, step_size=inverse_root(float(setting.step_size)))


def sgd_convex(rng: Rng) -> StochasticRun:
    """Constant or decreasing steps below 1/(2 L(B)), sometimes without noise and very long."""
    if rng.random() < 0.1:
        steps = int(rng.integers(500, 1500))
        alpha, distance = 0.5 / math.sqrt(steps), float(10 ** rng.uniform(-2, 2))
        slope = distance / (alpha * (steps - 1) + 1)
        return StochasticRun(huber(slope), steps=steps, step_size=alpha, x0=[distance])
    return decreasing_steps(
        rng,
        stochastic(
            rng,
            SMOOTH_CONVEX,
            lambda s: 1 / (2 * batch_smoothness(s)),
            "max_smoothness",
            strict=True,
        ),
    )


def with_variance(rng: Rng, setting: StochasticRun) -> StochasticRun:
    """The same run, sometimes claiming more than its variance."""
    if rng.random() < 0.7:
        return setting
    true = setting.noise_factor * setting.problem.gradient_variance(setting.problem.minimizer)
    claims = {**setting.claims, "variance": true * (1 + rng.random())}
    return dataclasses.replace(setting, claims=claims)


def sgd_convex_variance(rng: Rng) -> StochasticRun:
    """Convex problems with noise of constant variance, sometimes zero."""
    if rng.random() < 0.1:
        steps, distance = int(rng.integers(10, 100)), float(10 ** rng.uniform(-2, 2))
        return StochasticRun(
            huber(distance / (steps + 1)), steps=steps, step_size=1.0, x0=[distance]
        )
    makers = (parabola, soft, rounded, equal_rows, flat_curvature)
    return with_variance(
        rng, stochastic(rng, makers, lambda s: 1 / s.constant("smoothness"), "smoothness")
    )


def kinked(rng: Rng) -> FiniteSum:
    """The absolute value with noise, strongly convex or not."""
    return absolute(float(rng.choice([0.0, rng.uniform(0.1, 2)])), tilts(rng))


def sharp(rng: Rng) -> FiniteSum:
    """The absolute value with a parabola added, and noise."""
    return absolute(float(10 ** rng.uniform(-1, 1)), tilts(rng))


def deviations(rng: Rng) -> LeastAbsoluteDeviations:
    """Least absolute deviations of at most three samples, with a unique minimiser or many."""
    n, p = shape(rng, 3, 3)
    a = features(rng, n, p)
    return LeastAbsoluteDeviations(a, a @ rng.standard_normal(p) + rng.standard_normal(n))


def projected(rng: Rng, makers: Sequence[Maker]) -> ProjectedRun:
    """A run in a ball that holds a minimiser, or in all of space where slopes are bounded."""
    problem = pick(rng, makers)
    chosen = batch(rng, problem)
    nearest = float(np.linalg.norm(problem.minimizer))
    radius = math.inf
    if problem.max_second_moment() == math.inf or rng.random() < 0.5:
        radius = nearest + 1e-9 if rng.random() < 0.1 else nearest + 10 ** rng.uniform(-1, 1)
    x0 = start(rng, problem)
    if (length := float(np.linalg.norm(x0))) > radius:
        x0 = x0 * (radius / length * (1 if rng.random() < 0.5 else rng.random()))
    steps = run_length(rng, problem, chosen, 30)
    if isinstance(problem, LeastAbsoluteDeviations):  # distances to many minimisers take time
        steps = min(steps, 3)
    second_moment = problem.max_second_moment(radius) or 1.0  # on a flat bottom, any step will do
    distance = math.sqrt(float(problem.distance_squared(x0))) + 1e-3
    step = distance / math.sqrt(second_moment * steps) * 10 ** rng.uniform(-1, 1)
    claims = {"ball_second_moment": second_moment * (1 + rng.random())}
    return decreasing_steps(
        rng,
        ProjectedRun(
            problem,
            steps=steps,
            step_size=step,
            x0=x0,
            radius=radius,
            claims=claims if rng.random() < 0.2 else {},
            **chosen,
        ),
    )


NONSMOOTH: tuple[Maker, ...] = (
    kinked,
    deviations,
    soft,
    rounded,
    parabola,
    convex_scalars,
    lambda rng: flat_bottom(),
)


def subgradient(rng: Rng) -> ProjectedRun:
    """Any steps; sometimes the slope of |x| downhill all the way."""
    if rng.random() < 0.9:
        return projected(rng, NONSMOOTH)
    steps, distance = int(rng.integers(1, 40)), float(10 ** rng.uniform(-2, 2))
    return ProjectedRun(absolute(), steps=steps, step_size=distance / steps, x0=[distance])


def subgradient_best(rng: Rng) -> ProjectedRun:
    """Any steps; sometimes jumps to and fro over the kink of |x|."""
    if rng.random() < 0.9:
        return projected(rng, NONSMOOTH)
    steps, distance = int(rng.integers(1, 40)), float(10 ** rng.uniform(-2, 2))
    return ProjectedRun(absolute(), steps=steps, step_size=2 * distance, x0=[distance])


def subgradient_strongly_convex(rng: Rng) -> ProjectedRun:
    """Strongly convex problems in a ball, with the schedule of the theorem."""
    setting = projected(rng, (sharp, parabola, convex_scalars))
    claims = {**setting.claims, **valid_claims(rng, setting.problem, "strong_convexity")}
    mu = claims.get("strong_convexity", setting.problem.strong_convexity)
    return dataclasses.replace(setting, claims=claims, step_size=lambda t: 2 / (mu * (t + 2)))


def sgd_nonconvex(rng: Rng) -> StochasticRun:
    """Problems of any shape with noise of constant variance, bounded below as is or more."""
    makers = (parabola, valley, equal_rows, flat_curvature, soft, rounded, dip)
    setting = with_variance(
        rng, stochastic(rng, makers, lambda s: 1 / s.constant("smoothness"), "smoothness")
    )
    if rng.random() < 0.2:
        claims = {**setting.claims, "minimum": setting.problem.minimum - rng.random()}
        return dataclasses.replace(setting, claims=claims)
    return setting


def linear_method(rng: Rng) -> StochasticRun | MomentumRun:
    """A linear method on a parabola: the best steps, any other steps, or momentum."""

    def one_column(rng: Rng) -> FiniteSum:
        a = features(rng, int(rng.integers(1, 7)), 1)
        b = rng.standard_normal(len(a))
        return Ridge(a, b, float(rng.choice([0.0, rng.random()])))

    problem = pick(rng, (parabola, flat_curvature, convex_scalars, one_column))
    chosen = batch(rng, problem)
    arguments: dict[str, Any] = {
        "steps": run_length(rng, problem, chosen),
        "x0": start(rng, problem),
        **chosen,
    }
    h = problem.smoothness
    plain = StochasticRun(problem, step_size=below(rng, 1.5 / problem.max_smoothness), **arguments)
    least = least_variance(plain)
    if rng.random() < 0.2:
        plain = dataclasses.replace(plain, claims={"variance": least * rng.random()})
    kind = rng.random()
    if kind < 0.4:
        prior = least / (h * max(start_distance_squared(plain), 1e-12))
        return dataclasses.replace(plain, step_size=lambda k: 1 / (h * (k + 1) + prior))
    if kind < 0.7:
        return decreasing_steps(rng, plain)
    return MomentumRun(
        problem,
        step_size=float(plain.step_size) / 3,  # type: ignore[arg-type]
        update=momentum(rng),
        claims=plain.claims,
        **arguments,
    )


def growing(rng: Rng) -> GrowingRun:
    """The step 1/L with batches that grow geometrically, in jumps, or not at all."""
    problem = pick(rng, (least_squares, ridge))
    assert isinstance(problem, Ridge)
    sampling = str(rng.choice(SAMPLINGS))
    first = int(rng.integers(1, problem.n_samples + 1))
    largest = problem.n_samples if sampling == "without_replacement" else None
    kind = rng.integers(3)
    if kind == 0:
        size: Any = geometric_batches(first, 1 + 2 * rng.random(), largest)
    elif kind == 1:
        sizes = rng.integers(1, problem.n_samples + 1, size=7).tolist()
        size = lambda k: sizes[k % 7]  # noqa: E731
    else:
        size = first
    claims = valid_claims(rng, problem, "smoothness", "pl_constant")
    return GrowingRun(
        problem,
        steps=int(rng.integers(1, 80)),
        step_size=1 / claims.get("smoothness", problem.smoothness),
        x0=start(rng, problem),
        batch_size=size,
        sampling=sampling,
        claims=claims,
    )


def shrinking_errors(rng: Rng) -> GrowingRun:
    """The same, claiming the least constant for some ratio, which may be the rate of descent."""
    setting = growing(rng)
    errors = setting.error_second_moment
    ratio = float(rng.uniform(0.3, 0.99))
    descent = 1 - setting.constant("pl_constant") / setting.constant("smoothness")
    if rng.random() < 0.2 and descent > 0.1:
        ratio = descent * (1 if rng.random() < 0.5 else 1 - 1e-9)
    least = float((errors / ratio ** np.arange(len(errors))).max())
    claims = {"error_constant": least or 1e-12, "error_ratio": ratio}
    return dataclasses.replace(setting, claims={**setting.claims, **claims})


def one_curvature(rng: Rng) -> LeastSquares:
    """Least squares of one variable whose curvatures agree."""
    n = int(rng.integers(1, 7))
    return LeastSquares(np.full((n, 1), 0.2 + rng.random()), rng.standard_normal(n))


def batch_choice(rng: Rng) -> BatchChoice:
    """Any accuracy, from where noise does not matter to where it is all that matters."""
    problem = pick(rng, (ridge, logistic, parabola, convex_scalars, one_curvature))
    accuracy = float(10 ** rng.uniform(-8, 3))
    return BatchChoice(problem, accuracy, claims=valid_claims(rng, problem, "strong_convexity"))


def two_steps(rng: Rng) -> TwoSteps:
    """The first two samples of a shuffled order, the step of any size."""
    while (problem := pick(rng, SMOOTH)).n_samples < 2:
        pass
    return TwoSteps(
        problem,
        points=points(rng, problem, 2),
        step_size=3 * rng.random() / problem.smoothness + 1e-9,
        sampling=str(rng.choice(["reshuffled", "shuffled_once"])),
    )


def few_samples(rng: Rng) -> Claims:
    """A problem so small that all orders can be listed."""
    while (problem := pick(rng, SMOOTH)).n_samples > 6:
        pass
    return Claims(problem)


def epochs(
    rng: Rng,
    makers: Sequence[Maker],
    limit: Callable[[EpochRun], float],
    *claimable: str,
    orders: Sequence[str] = ("reshuffled",),
) -> EpochRun:
    """Epochs with a step up to `limit`, near and far from the minimum."""
    while (problem := pick(rng, makers)).n_samples > 5:
        pass
    probe = EpochRun(
        problem,
        epochs=int(rng.integers(1, 30)),
        step_size=1e-9,
        order=str(rng.choice(orders)),
        x0=start(rng, problem),
        claims=valid_claims(rng, problem, *claimable),
    )
    return dataclasses.replace(probe, step_size=below(rng, limit(probe)))


def one_variable(rng: Rng) -> LeastSquares:
    """Least squares of one variable without a zero row."""
    n = int(rng.integers(1, 6))
    signs = rng.choice([-1.0, 1.0], size=n)
    a = (signs * 10 ** rng.uniform(-0.7, 0.7, size=n))[:, None]
    return LeastSquares(a, rng.standard_normal(n))


def reshuffled(rng: Rng) -> EpochRun:
    """Components that are all strongly convex, sometimes claimed to be less so."""
    setting = epochs(
        rng,
        (ridge, one_variable, one_curvature),
        lambda s: 1 / s.constant("max_smoothness"),
        "max_smoothness",
        orders=("reshuffled", "shuffled_once"),
    )
    if rng.random() < 0.2:
        true = component_strong_convexity(setting.problem)
        claims = {**setting.claims, "component_strong_convexity": true / (1 + rng.random())}
        return dataclasses.replace(setting, claims=claims)
    return setting


def independent_columns(rng: Rng) -> LeastSquares:
    """Least squares with a unique minimiser."""
    while (problem := least_squares(rng, 6)).strong_convexity <= 1e-3 * problem.smoothness:
        pass
    return problem


def sorted_samples(rng: Rng) -> StationaryEpochs:
    """Sorted signs in one of the three orders, few of them where all orders are listed."""
    order = str(rng.choice(["cyclic", "with_replacement", "reshuffled"]))
    half = int(rng.integers(1, 4 if order == "reshuffled" else 40))
    return StationaryEpochs(
        sorted_signs(2 * half), step_sizes=10 ** rng.uniform(-2, 0.28, size=3), order=order
    )


# ---- flows ------------------------------------------------------------------------------------


def moving(rng: Rng) -> LeastSquares:
    """Least squares of any rank, sometimes as simple as can be or fitted without residuals."""
    kind = rng.random()
    if kind < 0.15:  # rows of equal length along a line, and often no gradient at the origin
        n = int(rng.integers(2, 8))
        signs = rng.choice([-1.0, 1.0], size=n)
        b = rng.standard_normal(n)
        if rng.random() < 0.7:
            b = signs * (b - b.mean())
        return LeastSquares(signs[:, None] * float(10 ** rng.uniform(-0.5, 0.5)), b)
    if kind < 0.3:  # no residuals
        a = features(rng, *shape(rng, 5, 8))
        return LeastSquares(a, a @ rng.standard_normal(a.shape[1]))
    n, p = shape(rng, 9, 4)
    return LeastSquares(features(rng, n, p), rng.standard_normal(n))


def diffusion(rng: Rng, problem: LeastSquares, most: float = 0.95) -> dict[str, Any]:
    """A batch, a sampling, a step up to the threshold of SGD, and times around a unit of it."""
    size = int(rng.integers(1, problem.n_samples + 1)) if rng.random() < 0.5 else 1
    sampling = str(rng.choice(SAMPLINGS))
    limit = stability_thresholds(problem, size, sampling).sgd
    return {
        "step_size": float(limit * rng.uniform(0.02, most)),
        "batch_size": size,
        "sampling": sampling,
        "times": np.sort(4 * rng.random(3)) / problem.smoothness,
    }


def diffusion_run(rng: Rng) -> DiffusionRun:
    """Any flow, at times that the fastest direction sees."""
    problem = moving(rng)
    return DiffusionRun(problem, **diffusion(rng, problem))


def euler_run(rng: Rng) -> EulerRun:
    """Any flow, sometimes with a step too large for SGD."""
    problem = moving(rng)
    return EulerRun(problem, steps=int(rng.integers(1, 60)), **diffusion(rng, problem, 1.1))


def bounded_flow(rng: Rng, below: float = 1.5) -> DiffusionRun:
    """A step around the one from which the bound grows, at times from early to late."""
    problem = moving(rng)
    chosen = diffusion(rng, problem)
    largest = FlowBounds(problem, 1.0, chosen["batch_size"], chosen["sampling"]).largest_step
    if np.isfinite(largest):
        chosen["step_size"] = float(largest * rng.uniform(0.02, below))
    times = np.append(0.0, np.geomspace(1e-3, 1e2, 31)) / problem.smoothness
    return DiffusionRun(problem, **{**chosen, "times": times})


def noisy_flow(rng: Rng) -> DiffusionRun:
    """A step for which the bound has a limit, and minibatches that make noise."""
    while True:
        setting = bounded_flow(rng, 0.97)
        if 0 < setting.bounds.alpha < 2 * setting.bounds.mu:
            return setting


def quiet_flow(rng: Rng) -> DiffusionRun:
    """Labels that can be fitted, a stable step and a time by which all is over."""
    a = features(rng, *shape(rng, 4, 6))
    problem = LeastSquares(a, a @ rng.standard_normal(a.shape[1]))
    chosen = diffusion(rng, problem)
    growth = DiffusionRun(problem, **chosen).moments.growth
    return DiffusionRun(problem, **{**chosen, "times": np.linspace(0, 40, 21) / -growth})


def flow_solution(rng: Rng) -> GradientFlowRun:
    """Any features, and times up to fifty units."""
    problem = least_squares(rng)
    return GradientFlowRun(problem, times=np.append(0, 50 * rng.random(4)) / problem.smoothness)


def single_scale(rng: Rng, n: int, p: int) -> np.ndarray:
    """Features whose singular values all agree."""
    left, _, right = np.linalg.svd(rng.standard_normal((n, p)), full_matrices=False)
    return np.asarray(left @ right * 10 ** rng.uniform(-1, 1))


def flow_and_ridge(rng: Rng) -> GradientFlowRun:
    """Any features, often of a single scale, over a wide grid of times."""
    n, p = shape(rng)
    a = single_scale(rng, n, p) if rng.random() < 0.3 else features(rng, n, p)
    problem = LeastSquares(a, rng.standard_normal(n))
    times = np.append(0, np.geomspace(1e-2, 1e4, 241)) / problem.smoothness
    return GradientFlowRun(problem, times)


def design(rng: Rng, most_columns: int = 6) -> FixedDesign:
    """More rows than columns or fewer; Gaussian, correlated, heavy-tailed, equal or odd rows."""
    n = int(rng.integers(1, 16))
    p = int(rng.integers(1, most_columns + 1))
    kind = rng.integers(5)
    if kind == 0:
        a = rng.standard_normal((n, p))
    elif kind == 1:  # neighbouring columns correlated
        distances = np.abs(np.subtract.outer(np.arange(p), np.arange(p)))
        a = rng.standard_normal((n, p)) @ np.linalg.cholesky(0.7**distances).T
    elif kind == 2:
        a = rng.standard_t(3, size=(n, p))
    elif kind == 3:
        a = single_scale(rng, n, p)
    else:
        a = features(rng, n, p)
    noise = float(rng.choice([0.0, 0.1, 1.0, 10.0]))
    return FixedDesign(a, rng.standard_normal(p) / math.sqrt(p), noise)


def weighting(rng: Rng, of: FixedDesign) -> Any:
    """Estimation, prediction, or any weights along the eigenvectors."""
    kind = rng.integers(3)
    if kind < 2:
        return ("estimation", "prediction")[kind]
    return (of.eigenvectors.T * rng.random(len(of.eigenvalues))) @ of.eigenvectors


WIDE_TIMES = np.geomspace(1e-2, 1e4, 61)


def risk_comparison(rng: Rng) -> RiskComparison:
    """Any design over a wide grid of times."""
    chosen = design(rng)
    times = np.append(0, np.geomspace(1e-2, 1e4, 241)) / chosen.noiseless.smoothness
    return RiskComparison(chosen, times, weighting(rng, chosen))


def flow_risk(rng: Rng) -> FlowRiskRun:
    """Any design, a step around the one from which the bound grows, and times without units."""
    chosen = design(rng)
    n = chosen.n_samples
    size = int(rng.integers(1, n + 1)) if rng.random() < 0.5 else 1
    sampling = str(rng.choice(SAMPLINGS))
    largest = FlowBounds(chosen, 1.0, size, sampling).largest_step
    share = 10 ** rng.uniform(-3, 0.1)
    return FlowRiskRun(
        chosen,
        WIDE_TIMES,
        weighting(rng, chosen),
        step_size=float(share * largest) if np.isfinite(largest) else 0.1,
        batch_size=size,
        sampling=sampling,
    )


def tuning(rng: Rng) -> OracleTuning:
    """An isotropic prior, sometimes on a design of a single scale that is hardest for the flow."""
    chosen = design(rng, 4)
    n, p = chosen.n_samples, chosen.dim
    variance = float(10 ** rng.uniform(-2, 2))
    noise = math.sqrt(variance * chosen.noiseless.smoothness * n) * float(10 ** rng.uniform(-1, 1))
    largest = stability_thresholds(chosen.noiseless).flow
    return OracleTuning(
        chosen.features,
        noise,
        variance * np.eye(p),
        times=np.geomspace(1e-3, 1e3, 13) / chosen.noiseless.smoothness,
        step_size=float(10 ** rng.uniform(-3, -0.5)) * (largest if np.isfinite(largest) else 1.0),
    )


GENERATORS: dict[str, Callable[[Rng], Any]] = {
    "lem-smoothness-chain": lambda rng: Claims(pick(rng, CONVEX)),
    "prop-minimum-norm": from_the_row_space,
    "prop-least-squares": lambda rng: pointwise(rng, (least_squares, ridge, scalars)),
    "lem-descent": lambda rng: pointwise(rng, SMOOTH, "smoothness"),
    "lem-summability": summability,
    "thm-gd-limit": gradient_vanishes,
    "thm-gd-rate": lambda rng: descent(rng, SMOOTH, 2.0, "smoothness"),
    "thm-gd-tight": lambda rng: descent(rng, SMOOTH, math.sqrt(3), "smoothness", strict=False),
    "lem-backtracking": line_search,
    "prop-backtracking": line_search,
    "thm-gd-pl": lambda rng: descent(rng, PL, 2.0, "smoothness", "pl_constant"),
    "lem-unbiased": lambda rng: one_step(rng, SMOOTH),
    "lem-minibatch-variance": lambda rng: one_step(rng, SMOOTH),
    "lem-one-step": lambda rng: one_step(rng, SMOOTH, "smoothness"),
    "lem-expected-descent": expected_descent,
    "prop-descent-threshold": lambda rng: one_step(rng, (least_squares, ridge, scalars)),
    "prop-moment-recursion": moment_recursion,
    "lem-pl-one-step": lambda rng: one_step(rng, PL, "smoothness", "pl_constant"),
    "thm-vacuity": vacuity,
    "thm-sgd-pl-decreasing": decreasing,
    "thm-sgd-pl-constant": constant_step,
    "thm-sgd-pl-variance": bounded_variance,
    "lem-expected-smoothness": lambda rng: pointwise(rng, CONVEX, "max_smoothness"),
    "lem-expected-smoothness-nonconvex": lambda rng: pointwise(
        rng, (*BOUNDED_BELOW, convex_scalars), "max_smoothness"
    ),
    "thm-sgd-strongly-convex": lambda rng: stochastic(
        rng,
        STRONGLY_CONVEX,
        lambda s: 1 / (2 * batch_smoothness(s)),
        "max_smoothness",
        "strong_convexity",
    ),
    "thm-sgd-pl-expected-smoothness": lambda rng: stochastic(
        rng,
        (*LINEAR, parabola, valley, convex_scalars),
        lambda s: (
            s.constant("pl_constant") / (s.constant("smoothness") * s.constant("max_smoothness"))
        ),
        "smoothness",
        "max_smoothness",
        "pl_constant",
    ),
    "thm-sgd-decreasing-repaired": repaired,
    "prop-quadratic-floor": stationary,
    "thm-sgd-interpolation": lambda rng: stochastic(
        rng,
        (interpolating,),
        lambda s: 2 / s.constant("max_smoothness"),
        "max_smoothness",
        "pl_constant",
        strict=True,
    ),
    "prop-momentum-recursion": momentum_recursion,
    "prop-momentum-floor": momentum_floor,
    "thm-averaged-least-squares": averaged_least_squares,
    "prop-averaging-limit": averaging_limit,
    "lem-gradient-error": lambda rng: pointwise(rng, SMOOTH, "smoothness"),
    "thm-gradient-error": growing,
    "thm-geometric-batches": shrinking_errors,
    "prop-best-batch": batch_choice,
    "prop-order-bias": two_steps,
    "lem-partial-sums": few_samples,
    "thm-reshuffling": reshuffled,
    "thm-reshuffling-convex": lambda rng: epochs(
        rng,
        (ridge, one_variable, one_curvature, independent_columns),
        lambda s: 1 / (math.sqrt(2) * s.constant("max_smoothness") * s.problem.n_samples),
        "max_smoothness",
        "strong_convexity",
        orders=("reshuffled", "shuffled_once"),
    ),
    "prop-sorted-order": sorted_samples,
    "prop-gd-stability": near_a_minimum,
    "prop-sgd-stability": shared_minimum,
    "thm-gd-convex": convex_descent,
    "thm-gd-convex-tight": convex_descent,
    "thm-sgd-convex": sgd_convex,
    "thm-sgd-convex-variance": sgd_convex_variance,
    "thm-subgradient": subgradient,
    "thm-subgradient-best": subgradient_best,
    "thm-subgradient-strongly-convex": subgradient_strongly_convex,
    "thm-sgd-nonconvex": sgd_nonconvex,
    "thm-sgd-nonconvex-expected-smoothness": lambda rng: stochastic(
        rng,
        (*BOUNDED_BELOW, rounded, convex_scalars),
        lambda s: 1.8 / s.constant("max_smoothness"),
        "smoothness",
        "max_smoothness",
    ),
    "thm-lower-bound": linear_method,
    "thm-flow-moments": diffusion_run,
    "lem-euler-moments": euler_run,
    "prop-flow-stability": diffusion_run,
    "thm-gradient-flow": flow_solution,
    "thm-flow-ridge": risk_comparison,
    "prop-flow-ridge-coefficients": flow_and_ridge,
    "lem-flow-loss": bounded_flow,
    "thm-flow-covariance": bounded_flow,
    "thm-excess-risk": flow_risk,
    "prop-second-term-peak": noisy_flow,
    "prop-third-term": quiet_flow,
    "thm-oracle-tuning": tuning,
    **CONSTRAINED,
    **ZOO,
    **ATTACKS,
    **PRUNING,
}
