"""Stochastic Frank–Wolfe: exact expectations, floors and bounds by independent means."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from random_constrained import growing, on_ball, on_interval, on_polytope, pair, point
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import norm

from sgdnotes.constraints import Box, Constraint, L1Ball, L2Ball, Simplex
from sgdnotes.engine import run
from sgdnotes.oracles import FullGradient, Minibatch
from sgdnotes.problems import (
    DeterministicQuadratic,
    GaussianQuadratic,
    LogisticRegression,
    QuadraticForm,
    TiltedQuadratic,
    saddle,
    sine_valley,
)
from sgdnotes.sampling import AllSequences, WithoutReplacement, WithReplacement
from sgdnotes.schedules import (
    frank_wolfe_steps,
    geometric_batches,
    inverse_root,
    polynomial_batches,
    power,
    step_decay,
)
from sgdnotes.theorems import (
    ALL,
    AssumptionError,
    ConstrainedPoints,
    FrankWolfeRun,
    FrankWolfeStepFrom,
    ShortStepRun,
    WorstCase,
)
from sgdnotes.theorems import constrained as engine_room
from sgdnotes.theorems.constrained import batches, extremes, infimum
from sgdnotes.theorems.frank_wolfe import (
    batch_floor,
    drift_root,
    frozen_gap,
    hardest_slope,
    mean_gap,
    step_floor,
    uniform_bound,
    weighted_bound,
    weighted_gap,
)
from sgdnotes.updates import FrankWolfeStep, frank_wolfe_gap

Array = NDArray[np.float64]
SEGMENT = Box([-1.0], [1.0])


def gap_of(constraint: Constraint) -> dict[str, Any]:
    return {"gap": lambda problem, x: frank_wolfe_gap(problem, constraint, x)}


# ---- quadratics and their extremes ------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_minimiser_on_a_ball_meets_the_conditions_of_optimality(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dim = int(rng.integers(1, 6))
    root = rng.normal(size=(dim, dim))
    hessian = np.diag(rng.integers(-2, 3, size=dim)) if seed % 3 == 0 else root + root.T
    linear = rng.normal(size=dim) * (rng.random(dim) < 0.6)
    problem = DeterministicQuadratic(hessian, linear)
    radius, center = 10 ** rng.uniform(-1, 1), rng.normal(size=dim)
    x = problem.minimizer_on_ball(radius, center)
    s, gradient = x - center, problem.gradient(x)
    length, scale = np.linalg.norm(s), np.linalg.norm(hessian, 2) * radius + np.linalg.norm(linear)
    assert length <= radius * (1 + 1e-12)
    multiplier = max(0.0, float(-gradient @ s / (s @ s)) if length > 0 else 0.0)
    np.testing.assert_allclose(gradient + multiplier * s, 0, atol=1e-7 * max(scale, 1))
    assert multiplier * (radius - length) <= 1e-7 * max(scale, 1)
    assert np.linalg.eigvalsh(hessian)[0] + multiplier >= -1e-7 * max(scale, 1)


def test_the_hard_case_and_the_flat_one() -> None:
    hard = DeterministicQuadratic(np.diag([-1.0, 1.0]), [0.0, 1.0])
    x = hard.minimizer_on_ball(2.0)
    assert x[1] == pytest.approx(0.5)
    assert np.linalg.norm(x) == pytest.approx(2.0)
    flat = DeterministicQuadratic(np.zeros((2, 2)), [0.0, 0.0])
    assert flat.extremes_on_ball(1.0) == (0.0, 0.0)
    slope = DeterministicQuadratic(np.zeros((2, 2)), [3.0, 4.0])
    assert slope.extremes_on_ball(2.0) == pytest.approx((-10, 10))


@pytest.mark.parametrize("seed", range(40))
def test_the_hard_case_in_any_direction(seed: int) -> None:
    # The slope along the lowest curvature is zero but for rounding.
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    hessian = (axes * np.array([-2.0, -1.0, 0.5, 3.0])) @ axes.T
    linear = np.array([0.0, *rng.uniform(0.1, 0.5, size=3)])
    problem = DeterministicQuadratic((hessian + hessian.T) / 2, axes @ linear)
    x = problem.minimizer_on_ball(2.0)
    assert np.linalg.norm(x) == pytest.approx(2)
    along = linear[1:] / np.array([1.0, 2.5, 5.0])
    wanted = np.array([math.sqrt(4 - along @ along), *along])
    np.testing.assert_allclose(np.abs(axes.T @ x), np.abs(wanted), atol=1e-7)


def test_the_saddle_of_the_lecture() -> None:
    problem = saddle()
    assert problem.smoothness == pytest.approx(1)
    np.testing.assert_allclose(problem.curvatures, np.linspace(-1, 1, 10), atol=1e-12)
    assert problem.standard_deviation == pytest.approx(1)
    low, high = problem.extremes_on_ball(1.0)
    starts = np.random.default_rng(0).normal(size=(200, 10))
    ends = []
    for sign in (1, -1):
        x = starts / np.linalg.norm(starts, axis=1, keepdims=True)
        for _ in range(4000):
            x = L2Ball(1.0).project(x - 0.5 * sign * problem.gradient(x))
        ends.append(problem.value(x))
    assert ends[0].min() == pytest.approx(low, abs=1e-9)
    assert ends[1].max() == pytest.approx(high, abs=1e-9)


def test_constants_of_quadratics() -> None:
    problem = TiltedQuadratic(np.diag([3.0, 1.0]), [3.0, 2.0], [[1.0, 2.0], [-1.0, -2.0]])
    assert (problem.smoothness, problem.strong_convexity, problem.pl_constant) == (3, 1, 1)
    assert problem.convex
    np.testing.assert_allclose(problem.minimizer, [1, 2])
    assert problem.minimum == pytest.approx(-3.5)
    assert problem.gradient_variance(np.ones(2)) == pytest.approx(5)
    assert problem.standard_deviation == pytest.approx(math.sqrt(5))
    components = [
        DeterministicQuadratic(problem.hessian, problem.linear + z) for z in problem.tilts
    ]
    np.testing.assert_allclose(problem.component_minima, [c.minimum for c in components])
    x = np.array([0.3, -0.7])
    np.testing.assert_allclose(problem.component_values(x), [c.value(x) for c in components])
    np.testing.assert_allclose(problem.component_gradients(x), [c.gradient(x) for c in components])
    assert problem.value(x) == pytest.approx(problem.component_values(x).mean())
    singular = DeterministicQuadratic(np.diag([1.0, 0.0]), [1.0, 0.0])
    assert (singular.minimum, singular.pl_constant) == (-0.5, 1)
    for unbounded in (saddle(), DeterministicQuadratic(np.diag([1.0, 0.0]), [0.0, 1.0])):
        assert (unbounded.minimum, unbounded.pl_constant) == (-math.inf, 0)
        with pytest.raises(ValueError, match="attained"):
            _ = unbounded.minimizer


def test_gaussian_quadratics_are_expectations() -> None:
    problem = GaussianQuadratic(np.diag([2.0, -1.0]), [1.0, 0.0], 0.5)
    z = problem.sample(np.random.default_rng(0), (1, 200_000))
    x = np.array([[0.3, -0.2]])
    gradients = problem.minibatch_gradient(np.repeat(x, 200_000, 0), z.reshape(-1, 1, 2))
    spread = np.sqrt(((gradients - problem.gradient(x)) ** 2).sum(axis=1).mean())
    assert spread == pytest.approx(problem.standard_deviation, rel=5e-3)
    np.testing.assert_allclose(gradients.mean(axis=0), problem.gradient(x)[0], atol=5e-3)
    assert problem.minibatch_gradient(x, z[:, :4]).shape == (1, 2)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: DeterministicQuadratic(np.eye(2), [1.0]), "hessian: wanted shape"),
        (lambda: DeterministicQuadratic([[0.0, 1.0], [0.0, 0.0]], [0.0, 0.0]), "symmetric"),
        (lambda: TiltedQuadratic([[1.0]], [0.0], [[1.0], [2.0]]), "tilts: wanted mean zero"),
        (lambda: TiltedQuadratic([[1.0]], [0.0], [[1.0, -1.0]]), "tilts: wanted shape"),
        (lambda: GaussianQuadratic([[1.0]], [0.0], 0.0), "scale"),
        (lambda: saddle(1), "dim"),
        (lambda: saddle(noise=0.0), "noise"),
        (lambda: saddle().minimizer_on_ball(-1.0), "radius"),
        (lambda: saddle().minimizer_on_ball(1.0, [0.0, 0.0]), "^center: wanted shape"),
        (lambda: FrankWolfeRun(saddle(), L2Ball(1.0), 3, 0.1, claims={"depth": 1.0}), "claims"),
        (lambda: FrankWolfeRun(saddle(), L2Ball(1.0), 0, 0.1), "steps"),
        (lambda: FrankWolfeRun(saddle(), L2Ball(1.0), 3, -0.1), "step_size"),
        (lambda: FrankWolfeRun(saddle(), L2Ball(1.0), 3, 0.1, 0), "batch_size"),
        (lambda: FrankWolfeRun(saddle(), None, 3, 0.1), "constraint"),  # type: ignore[arg-type]
        (lambda: FrankWolfeRun(saddle(), L2Ball(1.0), 4, 0.1).expectation, "places"),
        (lambda: FrankWolfeRun(saddle(3, 2), L2Ball(1.0), 20, 0.1).expectation, "places"),
        (lambda: FrankWolfeRun(saddle(), L2Ball(1.0), 3, 0.1, 9).expectation, "batch_size"),
        (lambda: FrankWolfeRun(saddle(), L2Ball(math.inf), 3, 0.1).expectation, "radius"),
        (lambda: ConstrainedPoints(saddle(), L2Ball(1.0), points=[[1.0]]), "points"),
        (lambda: extremes(saddle(), Simplex()), "extremes"),
        (lambda: infimum(saddle(), Simplex()), "infimum"),
        (lambda: WorstCase(3, 0.1, diameter=0.0), "diameter"),
        (lambda: WorstCase(3, 0.1, claims={"smoothness": 1.0}), "claims"),
        (lambda: frozen_gap(1.0, 0.1, 1.0, 3), "factor"),
        (lambda: drift_root(FrankWolfeRun(saddle(), L2Ball(1.0), 3, 0.1)), "Gaussian"),
    ],
)
def test_bad_input(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()


def test_a_schedule_without_its_parameter_is_refused() -> None:
    setting = FrankWolfeRun(saddle(3, 2), L2Ball(1.0), steps=3, step_size=inverse_root(1.0))
    with pytest.raises(ValueError, match="exponent"):
        ALL["thm-sfw-power"].check(setting)


@pytest.mark.parametrize("seed", range(30))
def test_extremes_over_a_set(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem, constraint = (on_interval, on_ball, on_polytope)[seed % 3](rng)
    low, high = extremes(problem, constraint)
    points = np.array([point(rng, constraint, problem.dim) for _ in range(3000)])
    values = problem.value(points)
    scale = max(high - low, 1e-12)
    assert values.min() >= low - 1e-9 * scale
    assert values.max() <= high + 1e-9 * scale
    assert values.min() <= low + 0.2 * scale
    assert values.max() >= high - 0.2 * scale
    if problem.dim == 1:
        grid = np.linspace(*engine_room.interval(constraint), 20_001)[:, None]
        assert problem.value(grid).min() == pytest.approx(low, abs=1e-6 * scale)
        assert problem.value(grid).max() == pytest.approx(high, abs=1e-6 * scale)


@pytest.mark.parametrize(
    ("scales", "radius"),
    [([1.0, 1.0, 1.0, 1.0], 0.7), ([3.0, 1.0, 0.3, 0.1], 6.0)],  # found soon, and late
)
def test_a_certified_infimum(scales: list[float], radius: float) -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(30, 4))
    labels = np.where(features @ np.ones(4) + rng.normal(size=30) > 0, 1.0, -1.0)
    problem = LogisticRegression(features * scales, labels, 0.01)
    found = infimum(problem, L1Ball(radius))
    split = minimize(  # x = u - v with u, v >= 0 makes the l1 ball a simplex
        lambda w: float(problem.value(w[:4] - w[4:])),
        np.full(8, 0.01),
        bounds=[(0, None)] * 8,
        constraints={"type": "ineq", "fun": lambda w: radius - w.sum()},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert found <= split.fun + 1e-12
    assert found == pytest.approx(split.fun, abs=1e-7)
    x, ball = np.zeros(4), L1Ball(radius)
    for _ in range(5000):
        x = ball.project(x - problem.gradient(x) / problem.smoothness)
    if radius > 1:  # what is left of the gap is taken off, to be on the safe side
        assert 1e-12 < problem.value(x) - found < 1e-8


def test_an_infimum_on_a_set_where_there_is_none_without_it() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(10, 3))
    separable = LogisticRegression(features, np.where(features[:, 0] > 0, 1.0, -1.0), 0.0)
    found = infimum(separable, L1Ball(1.0))
    values = separable.value(L1Ball(1.0).random_point(rng, (20_000, 3)))
    assert values.min() - 0.01 < found <= values.min()


# ---- the gap ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_gap_by_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem, constraint = pair(rng)
    x = np.array([point(rng, constraint, problem.dim) for _ in range(3)])
    gap = frank_wolfe_gap(problem, constraint, x)
    others = np.array([point(rng, constraint, problem.dim) for _ in range(2000)])
    slopes = np.vecdot(problem.gradient(x)[:, None], x[:, None] - others)
    scale = np.abs(slopes).max() + 1e-12
    assert (gap >= slopes.max(axis=1) - 1e-9 * scale).all()
    assert (gap <= slopes.max(axis=1) + 0.2 * scale).all()
    assert (gap >= -1e-12 * scale).all()


def test_gap_is_zero_at_a_solution_and_undefined_without_bounds() -> None:
    problem, ball = saddle(), L2Ball(1.0)
    x = problem.minimizer_on_ball(1.0)
    assert frank_wolfe_gap(problem, ball, x) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="radius"):
        frank_wolfe_gap(problem, L2Ball(math.inf), x)


# ---- exact expectations -----------------------------------------------------------------------


def exact_and_listed(
    problem: TiltedQuadratic, constraint: Constraint, steps: int, batch_size: int, how: Any
) -> tuple[Array, Array]:
    schedule, x0 = power(0.9, 0.4), point(np.random.default_rng(1), constraint, problem.dim)
    setting = FrankWolfeRun(problem, constraint, steps, schedule, batch_size, x0, sampling=how)
    sequences = len(how.outcomes(problem.n_samples, batch_size)) ** steps
    trace = run(
        problem,
        Minibatch(batch_size, AllSequences(how)),
        FrankWolfeStep(constraint),
        x0=x0,
        steps=steps,
        step_size=schedule,
        replicates=sequences,
        record="all",
        metrics=gap_of(constraint),
    )
    return setting.expectation.gap, trace.gap.mean(axis=1)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("batch_size", "steps"), [(1, 7), (2, 4)])
def test_the_distribution_agrees_with_all_sequences(seed: int, batch_size: int, steps: int) -> None:
    problem, constraint = (on_ball, on_polytope)[seed % 2](np.random.default_rng(seed))
    assert isinstance(problem, TiltedQuadratic)
    np.testing.assert_allclose(
        *exact_and_listed(problem, constraint, steps, batch_size, WithReplacement()), rtol=1e-10
    )


def test_the_distribution_with_three_samples_and_without_replacement() -> None:
    tilts = [[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]
    problem = TiltedQuadratic(np.diag([1.0, -0.5]), [0.2, 0.1], tilts)
    for how, batch_size, steps in (
        (WithReplacement(), 2, 4),
        (WithoutReplacement(), 2, 7),
        (WithoutReplacement(), 3, 5),
    ):
        np.testing.assert_allclose(
            *exact_and_listed(problem, L2Ball(1.0), steps, batch_size, how), rtol=1e-10
        )


def test_probabilities_of_batches() -> None:
    for n, b in ((1, 5), (2, 3), (3, 4)):
        counts, chances = batches(WithReplacement(), n, b)
        listed: dict[tuple[int, ...], float] = {}
        for batch in itertools.product(range(n), repeat=b):
            key = tuple(np.bincount(batch, minlength=n))
            listed[key] = listed.get(key, 0) + n**-b
        assert {tuple(row): pytest.approx(p) for row, p in zip(counts, chances, strict=True)} == (
            listed
        )


def test_merging_places_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = TiltedQuadratic([[1.0]], [0.3], [[1.0], [-1.0]])
    arguments: dict[str, Any] = {"steps": 12, "step_size": power(1.0, 1.0), "x0": [1.0]}
    merged = FrankWolfeRun(problem, SEGMENT, **arguments).expectation
    monkeypatch.setattr(engine_room, "_merged", lambda x, weights, apart: (x, weights))
    every = FrankWolfeRun(problem, SEGMENT, **arguments).expectation
    assert every.places[-1] == 2**12
    assert merged.places[-1] <= 13
    np.testing.assert_allclose(merged.gap, every.gap, rtol=1e-12)
    np.testing.assert_allclose(merged.value, every.value, rtol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 9, geometric_batches(1, 2.0, every=5)])
def test_gaussian_noise_by_simulation(batch_size: Any) -> None:
    problem = GaussianQuadratic([[1.0]], [0.5], 1.0)
    setting = FrankWolfeRun(
        problem, SEGMENT, steps=40, step_size=power(1.0, 1.0), batch_size=batch_size
    )
    trace = run(
        problem,
        Minibatch(batch_size),
        FrankWolfeStep(SEGMENT),
        steps=40,
        step_size=power(1.0, 1.0),
        replicates=20_000,
        rng=5,
        record=[1, 5, 20, 40],
        metrics=gap_of(SEGMENT),
    )
    mean, error = trace.mean()
    exact = setting.expectation.gap[trace.steps]
    assert (np.abs(mean[1:] - exact[1:]) <= 5 * error[1:]).all()
    assert (error[1:] < 0.01).all()


def test_a_linear_function_by_its_closed_form() -> None:
    slope, noise, batch = 0.4, 2.0, 9
    problem = GaussianQuadratic([[0.0]], [-slope], noise)
    setting = FrankWolfeRun(problem, SEGMENT, 60, power(0.8, 0.6), batch, x0=[0.3])
    floor = 2 * slope * norm.cdf(-slope * math.sqrt(batch) / noise)
    left = np.concatenate([[1], np.cumprod(1 - setting.step_sizes)])
    np.testing.assert_allclose(
        setting.expectation.gap, floor + left * (slope * 1.3 - floor), rtol=1e-12
    )
    assert (setting.expectation.places == 1).all()


def test_runs_without_noise_are_what_the_engine_does() -> None:
    problem, ball = saddle(4, 2), L2Ball(1.0)
    exact = DeterministicQuadratic(problem.hessian, problem.linear)
    setting = FrankWolfeRun(exact, ball, steps=50, step_size=frank_wolfe_steps())
    trace = run(
        problem,
        FullGradient(),
        FrankWolfeStep(ball),
        steps=50,
        step_size=frank_wolfe_steps(),
        record="all",
        metrics=gap_of(ball),
    )
    np.testing.assert_allclose(setting.expectation.gap, trace.gap[:, 0], rtol=1e-9, atol=1e-14)
    x = np.zeros(4)
    for gamma in setting.step_sizes:  # and by hand
        gradient = exact.hessian @ x - exact.linear
        x = (1 - gamma) * x - gamma * gradient / np.linalg.norm(gradient)
    np.testing.assert_allclose(setting.expectation.mean[-1], x, atol=1e-12)


# ---- bounds by their formulas -----------------------------------------------------------------


def test_bounds_by_their_formulas() -> None:
    problem = GaussianQuadratic([[2.0]], [1.0], 3.0)  # x² - x, sd 3
    line, x0 = Box([-2.0], [1.0]), [1.0]
    size, diameter, sigma = 2.0, 3.0, 3.0
    lowest, highest = -0.25, 6.0
    excess, spread = 0.0 - lowest, highest - lowest
    count = np.arange(1, 9)
    bend = size * diameter**2 / 2

    def bound(label: str, step_size: Any, batch_size: Any = 4, **claims: float) -> Array:
        setting = FrankWolfeRun(problem, line, 8, step_size, batch_size, x0, claims=claims)
        assert (setting.initial_excess, setting.largest_excess) == pytest.approx((excess, spread))
        verdict = ALL[label].check(setting)
        assert verdict
        return verdict.bound

    def same(label: str, wanted: Any, *arguments: Any, **claims: float) -> None:
        np.testing.assert_allclose(bound(label, *arguments, **claims), wanted, rtol=1e-12)

    noise = diameter * sigma / 2
    same("thm-sfw-constant", excess / (0.2 * count) + noise + bend * 0.2, 0.2)
    growth = {"batch_growth": 3.0, "batch_period": 2.0}
    staircase = geometric_batches(4, 3.0, every=2)
    root = math.sqrt(3)
    wanted = excess / (0.2 * count) + noise / count * 2 * root / (root - 1) + bend * 0.2
    same("thm-sfw-growing", wanted, 0.2, staircase, **growth)
    harmonic = np.array([sum(1 / j for j in range(1, t + 1)) for t in count])
    start = excess + math.pi**2 / 12 * size * diameter**2
    same("thm-sfw-harmonic", start / harmonic + noise, power(1.0, 1.0))
    wanted = (start + noise * (1.5 - math.log(1 - 3**-0.5))) / harmonic
    same("thm-sfw-harmonic-growing", wanted, power(1.0, 1.0), staircase, **growth)
    sizes = np.array([4, 4, 12, 12, 36, 36, 108, 108])
    mean = diameter * sigma * np.array([(sizes[:t] ** -0.5).mean() for t in count])
    wanted = spread / count**0.3 + mean + bend / (0.3 * count**0.7)
    same("thm-sfw-power", wanted, power(1.0, 0.7), staircase, exponent=0.7)
    wanted = (spread + 2 * noise + 2 * bend) / np.sqrt(count)
    same("thm-sfw-polynomial", wanted, inverse_root(1.0), polynomial_batches(4))
    stages = np.arange(1, 5)
    wanted = spread / (2 * stages * 0.8 * 0.6 ** (stages - 1)) + mean[1::2]
    wanted += bend * 0.8 * (1 - 0.6**stages) / (stages * 0.4)
    schedule = step_decay(0.8, 0.6, 2)
    same("thm-sfw-step-decay", wanted, schedule, staircase, decay=0.6, decay_period=2.0)


def test_bounds_without_noise_by_their_formulas() -> None:
    problem = DeterministicQuadratic([[2.0]], [1.0])
    line, t = Box([-2.0], [1.0]), np.arange(1, 31)
    setting = FrankWolfeRun(problem, line, 30, frank_wolfe_steps(), x0=[1.0])
    np.testing.assert_allclose(ALL["thm-fw-convex"].check(setting).bound, 36 / (t + 2))
    short = ShortStepRun(problem, line, 29, x0=[-2.0])
    np.testing.assert_allclose(ALL["thm-fw-nonconvex"].check(short).bound, 18 / np.sqrt(t))
    far = ShortStepRun(DeterministicQuadratic([[0.1]], [-5.0]), line, 3, x0=[1.0])
    start = 2 * (0.05 + 5 - (0.2 - 10))
    assert ALL["thm-fw-nonconvex"].check(far).bound[0] == pytest.approx(start)


def test_short_steps_minimise_the_model() -> None:
    problem, ball = saddle(3, 2), L2Ball(1.0)
    setting = ShortStepRun(problem, ball, steps=1, x0=[0.3, 0.2, -0.5])
    x = np.array([0.3, 0.2, -0.5])
    gradient = problem.gradient(x)
    ahead = -gradient / np.linalg.norm(gradient) - x
    model = minimize_scalar(
        lambda g: g * gradient @ ahead + g * g * problem.smoothness / 2 * ahead @ ahead,
        bounds=(0, 1),
        method="bounded",
        options={"xatol": 1e-10},
    )
    after = frank_wolfe_gap(problem, ball, x + model.x * ahead)
    assert setting.gap[1] == pytest.approx(after, rel=1e-6)


@pytest.mark.parametrize("seed", range(100))
def test_both_ways_to_sum_hold_for_any_schedules(seed: int) -> None:
    rng = np.random.default_rng(seed)
    constraint: Constraint = SEGMENT
    problem: Any = GaussianQuadratic(
        [[rng.choice([-1.0, 1.0, 0.0]) * 10 ** rng.uniform(-1, 1)]],
        [rng.normal()],
        10 ** rng.uniform(-1, 1),
    )
    if seed % 3 == 0:
        problem, constraint = on_ball(rng)
    sizes = np.sort(rng.random(9))[::-1]  # non-increasing, as the uniform sum needs
    setting = FrankWolfeRun(
        problem,
        constraint,
        steps=9,
        step_size=lambda t: float(sizes[t]),
        batch_size=1 if seed % 3 == 0 else growing(rng)[0],
        x0=point(rng, constraint, problem.dim),
    )
    assert (weighted_gap(setting) <= weighted_bound(setting) * (1 + 1e-9)).all()
    assert (mean_gap(setting) <= uniform_bound(setting) * (1 + 1e-9)).all()


def test_special_cases_are_the_general_sums_or_above() -> None:
    problem, x0 = GaussianQuadratic([[-1.0]], [0.3], 0.7), [0.9]

    def pair_of(label: str, general: Any, *arguments: Any, **claims: float) -> tuple[Array, Array]:
        setting = FrankWolfeRun(problem, SEGMENT, 12, *arguments, x0, claims=claims)
        return ALL[label].check(setting).bound, general(setting)

    np.testing.assert_allclose(*pair_of("thm-sfw-constant", weighted_bound, 0.3, 5))
    decays = {"decay": 0.5, "decay_period": 1.0}
    np.testing.assert_allclose(
        *pair_of("thm-sfw-step-decay", uniform_bound, step_decay(0.7, 0.5, 1), 3, **decays)
    )
    staircase, growth = geometric_batches(2, 2.0, every=3), {"batch_growth": 2, "batch_period": 3}
    for label, general, arguments, claims in (
        ("thm-sfw-growing", weighted_bound, (0.3, staircase), growth),
        ("thm-sfw-harmonic", weighted_bound, (power(1.0, 1.0), 5), {}),
        ("thm-sfw-harmonic-growing", weighted_bound, (power(1.0, 1.0), staircase), growth),
        ("thm-sfw-power", uniform_bound, (power(1.0, 0.4), staircase), {"exponent": 0.4}),
        ("thm-sfw-polynomial", uniform_bound, (inverse_root(1.0), polynomial_batches(2)), {}),
    ):
        special, sums = pair_of(label, general, *arguments, **claims)
        assert (special >= sums * (1 - 1e-12)).all()
        assert special[-1] <= 2 * sums[-1]


def test_weighted_sum_of_step_decay_in_closed_form() -> None:
    setting = FrankWolfeRun(
        DeterministicQuadratic([[1.0]], [0.0]), SEGMENT, 12, step_decay(0.8, 0.6, 3), x0=[1.0]
    )
    stages = np.arange(1, 5)
    total = 3 * 0.8 * (1 - 0.6**stages) / 0.4
    wanted = 0.5 / total + 2 * 0.8 * (1 + 0.6**stages) / 1.6
    np.testing.assert_allclose(weighted_bound(setting)[2::3], wanted, rtol=1e-12)


# ---- the non-convex problem with a known answer -----------------------------------------------

SCHEDULES: dict[str, tuple[Any, Any, dict[str, float]]] = {
    "thm-sfw-constant": (0.05, 16, {}),
    "thm-sfw-growing": (
        0.05,
        geometric_batches(8, 2.0, every=50),
        {"batch_growth": 2.0, "batch_period": 50.0},
    ),
    "thm-sfw-harmonic": (power(1.0, 1.0), 16, {}),
    "thm-sfw-harmonic-growing": (
        power(1.0, 1.0),
        geometric_batches(8, 2.0, every=50),
        {"batch_growth": 2.0, "batch_period": 50.0},
    ),
    "thm-sfw-power": (power(1.0, 0.5), 16, {"exponent": 0.5}),
    "thm-sfw-polynomial": (inverse_root(1.0), polynomial_batches(2), {}),
    "thm-sfw-step-decay": (step_decay(0.5, 0.5, 75), 16, {"decay": 0.5, "decay_period": 75.0}),
}


@pytest.mark.parametrize("noise", [0.1, 1.0])
@pytest.mark.parametrize("label", SCHEDULES)
def test_bounds_hold_on_the_saddle(label: str, noise: float) -> None:
    step_size, batch_size, claims = SCHEDULES[label]
    problem, ball, steps = saddle(noise=noise), L2Ball(1.0), 300
    x0 = np.zeros(10)
    trace = run(
        problem,
        Minibatch(batch_size),
        FrankWolfeStep(ball),
        x0=x0,
        steps=steps,
        step_size=step_size,
        replicates=64,
        rng=1,
        record="all",
        metrics=gap_of(ball),
    )
    # Only the schedules and constants of the setting are used: its distribution is out of reach.
    setting = FrankWolfeRun(problem, ball, steps, step_size, batch_size, x0, claims=claims)
    weights = setting.step_sizes if "harmonic" in label else np.ones(steps)
    means = np.cumsum(weights[:, None] * trace.gap[:-1], axis=0) / np.cumsum(weights)[:, None]
    observed, error = means.mean(axis=1), means.std(axis=1) / 8
    expected = {
        "gap": np.append(np.diff(observed * np.cumsum(weights), prepend=0) / weights, 0.0),
        "variance": np.full(steps + 1, noise**2),
    }
    object.__setattr__(setting, "expectation", type("Measured", (), expected)())
    verdict = ALL[label].check(setting)
    assert verdict
    at = verdict.index.astype(int) - 1
    np.testing.assert_allclose(verdict.observed, observed[at], rtol=1e-9)
    assert (observed[at] + 5 * error[at] <= verdict.bound).all()


# ---- floors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [1.0, 0.5, 0.2, 0.1, 0.05, 0.01])
@pytest.mark.parametrize("start", [0.9, 0.37])
def test_floor_of_the_step(gamma: float, start: float) -> None:
    size, radius = 3.0, 2.0
    setting = FrankWolfeRun(
        DeterministicQuadratic([[size]], [0.0]),
        Box([-radius], [radius]),
        steps=math.ceil(25 / gamma),
        step_size=gamma,
        x0=[radius * start],
    )
    floor = 2 * size * radius**2 * gamma / (2 - gamma) ** 2
    assert step_floor(setting, gamma) == pytest.approx(floor, rel=1e-12)
    assert setting.expectation.gap[-1] == pytest.approx(floor, rel=1e-6)
    x = setting.expectation.mean[-2:, 0]
    np.testing.assert_allclose(x, np.sign(x) * radius * gamma / (2 - gamma), rtol=1e-6)
    assert x.prod() < 0
    assert ALL["prop-fw-floor-step"].check(setting)


def test_the_floor_is_proportional_to_the_step() -> None:
    steps = np.array([0.2, 0.1, 0.05, 0.01])
    floors = [
        FrankWolfeRun(
            DeterministicQuadratic([[1.0]], [0.0]), SEGMENT, math.ceil(25 / g), float(g), x0=[1.0]
        ).expectation.gap[-1]
        for g in steps
    ]
    np.testing.assert_allclose(floors, 2 * steps / (2 - steps) ** 2, atol=1e-6)
    slope = np.polyfit(np.log(steps[-2:]), np.log(floors[-2:]), 1)[0]
    assert slope == pytest.approx(1, abs=0.05)


def toy(batch_size: Any, steps: int = 2000, step_size: Any = None) -> FrankWolfeRun:
    return FrankWolfeRun(
        GaussianQuadratic([[1.0]], [0.5], 1.0),
        SEGMENT,
        steps=steps,
        step_size=step_size or power(1.0, 1.0),
        batch_size=batch_size,
    )


FLOORS = {1: 0.2181, 4: 0.1361, 16: 0.0766, 64: 0.0404, 256: 0.0207, 1024: 0.0105}


@pytest.mark.parametrize("batch_size", FLOORS)
def test_floor_of_the_batch(batch_size: int) -> None:
    setting = toy(batch_size)
    floor = batch_floor(setting)
    assert floor == pytest.approx(FLOORS[batch_size], abs=6e-5)
    gap = setting.expectation.gap
    assert gap[-1] == pytest.approx(floor, rel=1e-2)
    assert 2 * gap[2000] - gap[1000] == pytest.approx(floor, rel=1e-3)  # the rest is like 1/t
    root = drift_root(setting)
    assert root == pytest.approx(1 - 2 * norm.cdf((root - 0.5) * math.sqrt(batch_size)), abs=1e-12)
    assert floor == pytest.approx((0.5 - root) * (1 - root), rel=1e-10)
    verdict = ALL["prop-fw-floor-batch"].check(setting)
    assert verdict.worst < 4e-3 * floor / FLOORS[1] + 1e-3


def test_the_floor_falls_like_the_root_of_the_batch() -> None:
    sizes = np.array([256, 512, 1024])
    measured = [float(toy(int(b)).expectation.gap[-1]) for b in sizes]
    assert np.polyfit(np.log(sizes), np.log(measured), 1)[0] == pytest.approx(-0.5, abs=0.03)
    solved = [batch_floor(toy(int(b))) for b in (256, 512, 1024)]
    slope = np.polyfit(np.log(sizes), np.log(solved), 1)[0]
    assert slope == pytest.approx(-0.493, abs=1.5e-3)
    u = norm.ppf(0.25)
    assert batch_floor(toy(10**10)) * 10**5 == pytest.approx(abs(u) / 2, rel=1e-4)


@pytest.mark.parametrize("batch_size", [1, 16, 256])
def test_floor_of_the_batch_by_simulation(batch_size: int) -> None:
    # The mean of b samples is Gaussian with the standard deviation divided by √b.
    problem = GaussianQuadratic([[1.0]], [0.5], 1 / math.sqrt(batch_size))
    trace = run(
        problem,
        Minibatch(1),
        FrankWolfeStep(SEGMENT),
        steps=2000,
        step_size=power(1.0, 1.0),
        replicates=4000,
        rng=2,
        record=[2000],
        metrics=gap_of(SEGMENT),
    )
    mean, error = trace.mean()
    assert abs(mean[-1] - toy(batch_size).expectation.gap[-1]) <= 5 * error[-1]
    assert error[-1] < 0.01 * mean[-1]


def test_the_exponent_depends_on_the_problem() -> None:
    linear = [
        FrankWolfeRun(
            GaussianQuadratic([[0.0]], [-0.3], 1.0), SEGMENT, 200, power(1.0, 1.0), b
        ).expectation.gap[-1]
        for b in (1, 100, 400)
    ]
    assert linear[1] == pytest.approx(0.6 * norm.cdf(-3), rel=1e-9)
    assert linear[2] < 1e-9
    even = GaussianQuadratic([[1.0]], [0.0], 1.0)
    assert batch_floor(FrankWolfeRun(even, SEGMENT, 5, power(1.0, 1.0), 1)) < 1e-12


def test_the_hardest_slope_is_a_maximum() -> None:
    at, value = hardest_slope()
    found = minimize_scalar(lambda u: -2 * u * norm.cdf(-u), bounds=(0, 3), method="bounded")
    assert at == pytest.approx(found.x, abs=1e-4)
    assert 2 * value == pytest.approx(-found.fun, abs=1e-9)
    assert (round(at, 4), round(2 * value, 4)) == (0.7518, 0.3399)


@pytest.mark.parametrize("batch_size", [1, 16, 256])
def test_the_hardest_slope_by_simulation(batch_size: int) -> None:
    u, value = hardest_slope()
    scale = 1 / math.sqrt(batch_size)
    problem = GaussianQuadratic([[0.0]], [-u * scale], scale)
    trace = run(
        problem,
        Minibatch(1),
        FrankWolfeStep(SEGMENT),
        steps=500,
        step_size=power(1.0, 1.0),
        replicates=4000,
        rng=3,
        record=[500],
        metrics=gap_of(SEGMENT),
    )
    mean, error = trace.mean()
    assert abs(mean[-1] - 2 * value * scale) <= 5 * error[-1]
    assert error[-1] < 0.01 * mean[-1]


def test_worst_case_by_its_formula() -> None:
    step = WorstCase(40, 0.5, 10**6, smoothness=3.0, diameter=4.0, standard_deviation=1.0)
    assert step.floor == pytest.approx(3 * 16 * 0.5 / 8)
    noise = WorstCase(2000, power(1.0, 1.0), 9, 3.0, 4.0, 2.0)
    assert noise.floor == pytest.approx(hardest_slope()[1] * 4 * 2 / 3)
    verdict = ALL["thm-sfw-minimax"].check(noise)
    assert verdict.worst > 0.99
    assert mean_gap(noise.noisy)[-1] < 1.01 * noise.floor
    # Around a vertex at the centre this run would hit the minimum in one step and rest there.
    cycle = 3 * 16 / 2 * 0.5 / 1.5**2
    assert step.bent.expectation.gap[-2:].mean() == pytest.approx(cycle)
    assert step.floor < cycle


def test_no_schedule_rests_in_the_worst_case() -> None:
    # After the steps 1, 1/2 every start would be at a vertex in the centre.
    for step_size in (power(1.0, 1.0), 0.5, 1.0, step_decay(1.0, 0.5, 1)):
        setting = WorstCase(12, step_size, 10**6)
        assert setting.bent.expectation.gap.min() > 1e-6
        assert (mean_gap(setting.bent) >= setting.smoothness / 2 * setting.least_step).all()


# ---- step decay -------------------------------------------------------------------------------


def test_step_decay_with_a_fixed_period_freezes() -> None:
    setting = FrankWolfeRun(
        DeterministicQuadratic([[0.0]], [1.0]),
        SEGMENT,
        steps=4000,
        step_size=step_decay(0.05, 0.5, 10),
        x0=[-1.0],
        claims={"decay": 0.5, "decay_period": 10.0, "rate_constant": 500.0},
    )
    gap = setting.expectation.gap
    left = np.concatenate([[1], np.cumprod(1 - setting.step_sizes)])
    np.testing.assert_allclose(gap, 2 * left, rtol=1e-12)
    limit = frozen_gap(2.0, 0.05, 0.5, 10)
    assert limit == pytest.approx(0.72324, abs=5e-6)
    assert gap[-1] == pytest.approx(limit, rel=1e-12)
    average = mean_gap(setting)
    assert average[9] == pytest.approx(1.605, abs=6e-4)
    assert average[399] == pytest.approx(0.762, abs=6e-4)
    assert abs(average[-1] - limit) < 5e-3
    # T times the average grows without end: no bound C/T.
    assert average[3999] * 4000 > 9 * average[399] * 400
    assert ALL["prop-fw-frozen"].check(setting)


@pytest.mark.parametrize(
    ("period", "average"), [(100, 0.130096), (1000, 0.129482), (10_000, 0.129421)]
)
def test_step_decay_in_a_fixed_number_of_stages_has_a_floor(period: int, average: float) -> None:
    setting = FrankWolfeRun(
        DeterministicQuadratic([[1.0]], [0.0]),
        SEGMENT,
        steps=4 * period,
        step_size=step_decay(0.4, 0.5, period),
        x0=[0.3],
        claims={"decay": 0.5, "decay_period": float(period)},
    )
    measured = mean_gap(setting)[-1]
    limit = np.mean([2 * g / (2 - g) ** 2 for g in (0.4, 0.2, 0.1, 0.05)])
    assert limit == pytest.approx(0.129414, abs=5e-7)
    assert measured == pytest.approx(limit, abs=0.1 / period)
    assert measured == pytest.approx(average, abs=6e-7)
    if period == 10_000:
        assert ALL["prop-fw-decay-floor"].check(setting)


def test_the_bound_of_step_decay_is_of_order_one_over_log() -> None:
    def bound(steps: float, stages: float) -> float:
        gamma, eta = 0.5, 0.5
        start = 1 / (steps * gamma * eta ** (stages - 1))
        return start + 4 * gamma * (1 - eta**stages) / (2 * stages * (1 - eta))

    best = {
        steps: min(bound(steps, stages) for stages in range(1, 200))
        for steps in (1e2, 1e4, 1e6, 1e8, 1e12)
    }
    products = [value * math.log(steps) for steps, value in best.items()]
    assert products == sorted(products, reverse=True)
    assert 1.0 < products[-1] < products[0] < 4.0
    assert best[1e12] * 1e12 > 1e9 * best[1e2] * 1e2
    assert bound(400, 30) > 1e3


# ---- errata of the source ---------------------------------------------------------------------


def test_growing_batches_cost_exponentially_many_samples() -> None:
    batch = geometric_batches(8, 2.0, every=10)
    assert batch(399) == pytest.approx(4.4e12, rel=1e-2)
    for every in (100, 1000):  # four stages, however long: a floor
        sizes = np.array([geometric_batches(8, 2.0, every=every)(t) for t in range(4 * every)])
        assert (sizes**-0.5).mean() == pytest.approx(0.226, abs=5e-4)


def test_the_constant_of_the_fixed_horizon() -> None:
    """With b = T and γ = √(2Δ₀/(TLD²β)) half of the customary second term is enough."""
    problem = TiltedQuadratic([[1.0]], [0.3], [[1.0], [-1.0]])
    horizon, beta = 40, 2.0
    probe = FrankWolfeRun(problem, SEGMENT, horizon, 0.1, horizon, x0=[-1.0])
    excess, size, diameter, sigma = probe.initial_excess, 1.0, 2.0, 1.0
    gamma = math.sqrt(2 * excess / (horizon * size * diameter**2 * beta))
    setting = FrankWolfeRun(problem, SEGMENT, horizon, gamma, horizon, x0=[-1.0])
    second = (1 + beta) * math.sqrt(size * excess / (2 * beta))
    proved = diameter / math.sqrt(horizon) * (sigma + second)
    assert weighted_bound(setting)[-1] == pytest.approx(proved, rel=1e-12)


def test_the_uniform_bound_of_harmonic_steps_never_vanishes() -> None:
    setting = toy(16, steps=3000)
    assert uniform_bound(setting)[-1] > setting.largest_excess
    assert weighted_bound(setting)[-1] < weighted_bound(setting)[10]
    # The exact identity behind it, with the values in place of the gaps.
    values, count = setting.expectation.value, 200
    falls = sum((t + 1) * (values[t] - values[t + 1]) for t in range(count)) / count
    assert falls == pytest.approx(values[:count].mean() - values[count], abs=1e-12)


def test_the_weighted_gap_exceeds_the_noise_term_alone() -> None:
    problem = saddle()
    trace = run(
        problem,
        Minibatch(16),
        FrankWolfeStep(L2Ball(1.0)),
        x0=np.eye(10)[0],
        steps=100,
        step_size=power(1.0, 1.0),
        replicates=256,
        rng=4,
        record="all",
        metrics=gap_of(L2Ball(1.0)),
    )
    weights = 1 / np.arange(1, 101)
    means = weights @ trace.gap[:-1] / weights.sum()
    alone = 2 * problem.standard_deviation / 4
    assert means.mean() - 5 * means.std() / 16 > alone


def test_polynomial_batches_reach_the_rate_at_polynomial_cost() -> None:
    noisy = GaussianQuadratic([[1.0]], [0.0], 1.0)
    gaps = []
    for steps in (10, 14):
        setting = FrankWolfeRun(
            noisy, SEGMENT, steps, inverse_root(1.0), polynomial_batches(4), x0=[1.0]
        )
        assert setting.batch_sizes.sum() == 4 * steps * (steps + 1) // 2
        gaps.append(mean_gap(setting)[-1])
    assert gaps[1] < gaps[0]


def test_the_gap_may_vanish_without_both() -> None:
    """Constant steps, or constant batches, where the worst case is not met."""
    corner = FrankWolfeRun(DeterministicQuadratic([[1.0]], [2.0]), SEGMENT, 60, 0.3, x0=[-1.0])
    rate = corner.expectation.gap[1:50] / corner.expectation.gap[:49]
    assert rate.max() < 0.75  # a vertex: linear convergence with a constant step
    exact = FrankWolfeRun(
        DeterministicQuadratic([[1.0]], [0.3]), SEGMENT, 4000, power(1.0, 1.0), x0=[-1.0]
    )
    assert exact.expectation.gap[-1] < 2e-3  # no noise, no growing batch
    easy = TiltedQuadratic([[0.0]], [1.0], [[0.5], [-0.5]])
    assert FrankWolfeRun(easy, SEGMENT, 60, 0.3, x0=[-1.0]).expectation.gap[-1] < 1e-8


def test_steps_above_one_leave_the_set() -> None:
    setting = FrankWolfeRun(DeterministicQuadratic([[1.0]], [0.0]), SEGMENT, 20, 2.0, x0=[0.5])
    assert not SEGMENT.contains(setting.expectation.mean[1:]).any()
    with pytest.raises(AssumptionError, match="step at most 1"):
        ALL["thm-sfw-constant"].check(setting)


# ---- limits of the certificate ----------------------------------------------------------------


def test_the_certificate_bounds_a_convex_function() -> None:
    problem = DeterministicQuadratic(np.diag([1.0, 0.1]), [0.9, 0.3])
    ball = L2Ball(1.0)
    points = ball.random_point(np.random.default_rng(0), (200, 2))
    verdict = ALL["lem-fw-gap"].check(ConstrainedPoints(problem, ball, points=points))
    assert 0.5 < verdict.worst <= 1
    linear = DeterministicQuadratic(np.zeros((2, 2)), [0.9, 0.3])
    equality = ALL["lem-fw-gap"].check(ConstrainedPoints(linear, ball, points=points))
    np.testing.assert_allclose(equality.observed, equality.bound, atol=1e-12)


def test_one_step_is_attained() -> None:
    setting = FrankWolfeStepFrom(
        DeterministicQuadratic([[2.0]], [0.0]), SEGMENT, points=[[1.0]], step_size=0.7
    )
    verdict = ALL["lem-fw-step"].check(setting)
    np.testing.assert_allclose(verdict.observed, verdict.bound, rtol=1e-12)


def test_one_step_by_hand() -> None:
    problem = TiltedQuadratic([[1.0]], [0.0], [[1.0], [-1.0]])
    setting = FrankWolfeStepFrom(problem, SEGMENT, points=[[0.5]], step_size=0.2, batch_size=2)
    # The mean tilt is ±1 with probability 1/4 and 0 otherwise; only +1 turns the sign.
    after = 0.25 * 0.5 * 0.6**2 + 0.75 * 0.5 * 0.2**2
    assert setting.expected_value_after[0] == pytest.approx(after)
    verdict = ALL["lem-fw-step"].check(setting)
    assert verdict.observed[0] == pytest.approx(0.2 * 0.75)
    wanted = 0.125 - after + 0.2 * 2 / math.sqrt(2) + 4 * 0.04 / 2
    assert verdict.bound[0] == pytest.approx(wanted)


def test_landscapes_on_an_interval() -> None:
    valley = sine_valley([1.0, -1.0])
    line = Box([-2.0], [1.0])
    setting = FrankWolfeRun(valley, line, steps=10, step_size=0.1)
    assert setting.infimum == pytest.approx(0, abs=1e-12)
    assert setting.supremum == pytest.approx(4 + 3 * math.sin(2) ** 2)
    assert setting.standard_deviation == pytest.approx(1)
    assert isinstance(saddle(), QuadraticForm)
