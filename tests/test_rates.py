"""The rate table: closed forms by independent means, exponents, wrong methods caught."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from sgdnotes.exact import enumerate_sgd, expected_sgd
from sgdnotes.methods import gradient_descent
from sgdnotes.problems import LeastSquares, quadratic
from sgdnotes.rates import (
    TABLE,
    Cell,
    ConvexDeterministic,
    ConvexStochastic,
    NonconvexDeterministic,
    NonconvexLastIterate,
    NonconvexStochastic,
    PLDeterministic,
    PLStochastic,
    crossing,
    fit,
)

LADDER = np.geomspace(1e-2, 1e-4, 7)


def tolerance(cell: Cell) -> float:
    return 0.1 if cell.functions == "PL" else 0.15


def parabola(curvature: float, noise: float) -> LeastSquares:
    """Two samples whose mean is h/2 x² + const and whose gradients are hx ± noise."""
    root = math.sqrt(curvature)
    return LeastSquares([[root], [root]], np.array([1.0, -1.0]) * noise / root)


# ---- the exponents ------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [*TABLE, NonconvexLastIterate()], ids=str)
def test_exponents_are_as_predicted(cell: Cell) -> None:
    assert fit(cell, LADDER).deviation < tolerance(cell)


@pytest.mark.parametrize("condition", [3.0, 30.0, 300.0])
def test_the_first_cell_is_proportional_to_the_condition_number(condition: float) -> None:
    cell = PLDeterministic(strong_convexity=1 / condition)
    assert fit(cell, LADDER).measured == pytest.approx(condition / 2, rel=0.2)
    assert fit(cell, LADDER).deviation < 0.1


def test_other_constants_have_the_same_exponents() -> None:
    for cell in (
        PLStochastic(smoothness=3.0, strong_convexity=0.5, initial_gap=2.0, noise=0.5),
        ConvexDeterministic(smoothness=3.0, radius=2.0),
        ConvexStochastic(smoothness=3.0, radius=2.0, noise=5.0),
        NonconvexDeterministic(initial_gap=7.0),
        NonconvexStochastic(smoothness=0.5, initial_gap=2.0, noise=0.7),
    ):
        assert fit(cell, LADDER / 10).deviation < tolerance(cell)


# ---- wrong methods are caught -------------------------------------------------------------------


@dataclass(frozen=True)
class FixedStep(ConvexStochastic):
    """The step is not tuned to the accuracy."""

    def error(self, steps: int) -> float:
        return self.worst(0.05, steps)[1]


@dataclass(frozen=True)
class FixedStepNonconvex(NonconvexStochastic):
    def error(self, steps: int) -> float:
        return self.worst(0.05, steps)[1]


@dataclass(frozen=True)
class LongestStepLast(NonconvexLastIterate):
    """The last iterate of the step 1/L."""

    def error(self, steps: int) -> float:
        return self.worst(1 / self.smoothness, steps)[1]


@pytest.mark.parametrize("cell", [FixedStep(), FixedStepNonconvex(), LongestStepLast()], ids=repr)
def test_a_step_that_is_not_tuned_never_arrives(cell: Cell) -> None:
    with pytest.raises(ValueError, match=r"still .* away after"):
        fit(cell, LADDER)


@dataclass(frozen=True)
class NoNoise(ConvexStochastic):
    """Gradient descent in the place of SGD."""

    def error(self, steps: int) -> float:
        return ConvexDeterministic(self.smoothness, self.radius).error(steps)


@dataclass(frozen=True)
class NoNoiseNonconvex(NonconvexStochastic):
    def error(self, steps: int) -> float:
        return NonconvexDeterministic(self.smoothness, self.initial_gap).error(steps)


@dataclass(frozen=True)
class RootSteps(PLStochastic):
    """Steps like 1/√k where they should be like 1/k: the gap is like the last step."""

    def error(self, steps: int) -> float:
        problem = parabola(self.strong_convexity, self.noise)
        run = expected_sgd(
            problem,
            [math.sqrt(2 * self.initial_gap / self.strong_convexity)],
            steps=steps,
            step_size=lambda k: 1 / math.sqrt(k + 1),
        )
        return float(run.gap[-1])


@dataclass(frozen=True)
class OneRamp(NonconvexDeterministic):
    """One fixed instance instead of a family."""

    def error(self, steps: int) -> float:
        return 2 * self.initial_gap * 0.9 ** (2 * steps)


@dataclass(frozen=True)
class OneParabola(ConvexDeterministic):
    def error(self, steps: int) -> float:
        return float(self.expected_error(0.1, steps))


@dataclass(frozen=True)
class NormInsteadOfSquare(NonconvexDeterministic):
    def error(self, steps: int) -> float:
        return math.sqrt(super().error(steps))


@dataclass(frozen=True)
class WrongCondition(PLDeterministic):
    """Judged by the rate of the bound, 1 - μ/L a step, which is half of what happens."""

    @property
    def predicted(self) -> float:
        return 2 * super().predicted

    def error(self, steps: int) -> float:
        return PLDeterministic().error(steps)


@pytest.mark.parametrize(
    ("cell", "ladder"),
    [
        (NoNoise(), LADDER),
        (NoNoiseNonconvex(), LADDER),
        (RootSteps(strong_convexity=1.0), [0.1, 0.05, 0.02, 0.01]),
        (OneRamp(), LADDER),
        (OneParabola(), LADDER),
        (NormInsteadOfSquare(), LADDER),
        (WrongCondition(), LADDER),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_wrong_method_has_a_wrong_exponent(cell: Cell, ladder: list[float]) -> None:
    assert fit(cell, ladder).deviation > 2 * tolerance(cell)


# ---- the closed forms ---------------------------------------------------------------------------


@pytest.mark.parametrize("curvature", [0.1, 0.5, 1.0])
def test_gradient_descent_on_parabolas(curvature: float) -> None:
    trace = gradient_descent(quadratic(curvature), [2.0], steps=30, step_size=1.0, record="all")
    convex = ConvexDeterministic(radius=2.0)
    expected = [float(convex.expected_error(curvature, k)) for k in range(31)]
    np.testing.assert_allclose(trace.gap[:, 0], expected, rtol=1e-12, atol=1e-300)
    if curvature < 1:
        pl = PLDeterministic(strong_convexity=curvature, initial_gap=2 * curvature)
        np.testing.assert_allclose(trace.gap[:, 0], [pl.error(k) for k in range(31)], rtol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 7, 50, 1000])
def test_the_worst_parabola_of_gradient_descent(steps: int) -> None:
    cell = ConvexDeterministic(smoothness=2.0, radius=3.0)
    grid = np.geomspace(1e-5, 2.0, 200_001)
    most = cell.expected_error(grid, steps).max()
    assert cell.error(steps) == pytest.approx(most, rel=1e-6)
    assert cell.error(steps) >= most


@pytest.mark.parametrize("condition", [1.0, 4.0, 10.0])
def test_decreasing_steps_by_exact_moments(condition: float) -> None:
    cell = PLStochastic(strong_convexity=1 / condition, initial_gap=3.0, noise=0.7)
    run = expected_sgd(
        parabola(1 / condition, 0.7),
        [math.sqrt(6.0 * condition)],
        steps=200,
        step_size=cell.step_size,
    )
    np.testing.assert_allclose([cell.error(k) for k in range(201)], run.gap, rtol=1e-11)


def test_the_flattest_parabola_is_the_worst_for_decreasing_steps() -> None:
    cell = PLStochastic()
    for curvature in np.geomspace(0.1, 1.0, 12)[1:]:
        run = expected_sgd(
            parabola(curvature, 1.0),
            [math.sqrt(2 / curvature)],
            steps=5000,
            step_size=cell.step_size,
        )
        flattest = np.array([cell.error(k) for k in range(20, 5001)])
        assert (run.gap[20:] <= flattest * (1 + 1e-9)).all()


@pytest.mark.parametrize("curvature", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("step_size", [0.03, 0.4, 1.0])
def test_stochastic_closed_forms_by_exact_moments(curvature: float, step_size: float) -> None:
    steps, noise = 40, 1.3
    cell = ConvexStochastic(radius=2.0, noise=noise)
    gap = 2.0 * curvature  # of the start at 2
    average = NonconvexStochastic(initial_gap=gap, noise=noise)
    last = NonconvexLastIterate(initial_gap=gap, noise=noise)
    run = expected_sgd(parabola(curvature, noise), [2.0], steps=steps, step_size=step_size)
    slopes = run.gradient_norm_squared
    for T in range(1, steps + 1):
        assert float(cell.expected_error(curvature, step_size, T)) == pytest.approx(
            run.average_gap[T], rel=1e-10, abs=1e-14
        )
        assert float(average.expected_error(curvature, step_size, T)) == pytest.approx(
            slopes[:T].mean(), rel=1e-11
        )
        assert float(last.expected_error(curvature, step_size, T)) == pytest.approx(
            slopes[T], rel=1e-11, abs=1e-14
        )


def test_stochastic_closed_forms_by_enumeration() -> None:
    run = enumerate_sgd(quadratic(0.6, tilts=[1.3, -1.3]), [2.0], steps=10, step_size=0.7)
    convex = ConvexStochastic(radius=2.0, noise=1.3)
    nonconvex = NonconvexStochastic(initial_gap=1.2, noise=1.3)
    for T in range(1, 11):
        assert abs(float(convex.expected_error(0.6, 0.7, T)) - run.average_gap[T]) < 1e-12
        observed = run.gradient_norm_squared[:T].mean()
        assert abs(float(nonconvex.expected_error(0.6, 0.7, T)) - observed) < 1e-12


@pytest.mark.parametrize(
    "cell",
    [
        ConvexStochastic(),
        ConvexStochastic(smoothness=4.0, radius=0.1, noise=3.0),
        NonconvexStochastic(),
        NonconvexLastIterate(noise=2.0),
    ],
    ids=repr,
)
@pytest.mark.parametrize("steps", [1, 3, 30, 3000])
def test_the_tuned_step_is_the_best_of_a_fine_grid(
    cell: ConvexStochastic | NonconvexStochastic, steps: int
) -> None:
    L = cell.smoothness
    step_sizes = np.geomspace(1e-5 / L, 1 / L, 600)
    curvatures = np.geomspace(1e-6, 1, 3000) * L
    best = min(cell.expected_error(curvatures, a, steps).max() for a in step_sizes)
    step_size, error = cell.tuned(steps)
    assert 0 < step_size <= 1 / L
    assert 0.99 * best < error <= best * (1 + 1e-4)  # the grid misses the best step a little


@pytest.mark.parametrize("accuracy", [0.3, 0.1, 0.031, 0.01, 0.0017])
def test_the_ramp_is_counted_by_running_on_it(accuracy: float) -> None:
    cell = NonconvexDeterministic()
    ramp, start = cell.instance(accuracy)
    assert float(ramp.gap(np.array([start]))) == pytest.approx(1.0)
    steps = cell.steps_to(accuracy)
    trace = gradient_descent(
        ramp, [start], steps=steps + 2, step_size=1.0, record="all", metrics=["x"]
    )
    slopes = ramp.gradient(trace.history["x"][:, 0])[:, 0] ** 2
    assert int((slopes <= accuracy).argmax()) == steps
    assert slopes[steps] <= accuracy


def test_no_ramp_is_worse_than_the_formula_says() -> None:
    cell = NonconvexDeterministic()
    for accuracy in np.geomspace(0.05, 1.5, 60):
        ramp, start = cell.instance(float(accuracy))
        trace = gradient_descent(
            ramp, [start], steps=12, step_size=1.0, record="all", metrics=["x"]
        )
        slopes = ramp.gradient(trace.history["x"][:, 0])[:, 0] ** 2
        least = np.minimum.accumulate(slopes)
        assert (least <= [cell.error(k) * (1 + 1e-6) for k in range(13)]).all()


# ---- counting and costs -------------------------------------------------------------------------


@pytest.mark.parametrize("cell", TABLE, ids=str)
def test_steps_are_the_first_that_suffice(cell: Cell) -> None:
    for accuracy in (0.3, 0.02, 0.004):
        steps = cell.steps_to(accuracy)
        assert isinstance(steps, int)
        assert cell.error(steps) <= accuracy < cell.error(steps - 1) or steps == 1


@pytest.mark.parametrize("cell", TABLE, ids=str)
def test_the_worst_error_decreases(cell: Cell) -> None:
    errors = [cell.error(k) for k in [*range(1, 40), 100, 1000, 10_000]]
    assert (np.diff(errors) <= 1e-9 * np.array(errors[1:])).all()


def test_a_gradient_costs_n_and_a_stochastic_gradient_one() -> None:
    for deterministic, stochastic in zip(TABLE[::2], TABLE[1::2], strict=True):
        assert deterministic.cost(0.01, 1000) == 1000 * deterministic.steps_to(0.01)
        assert stochastic.cost(0.01, 1000) == stochastic.steps_to(0.01)


@pytest.mark.parametrize("n_samples", [10**3, 10**6])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_costs_cross_where_it_is_said(row: int, n_samples: int) -> None:
    deterministic, stochastic = TABLE[2 * row : 2 * row + 2]
    at = crossing(deterministic, stochastic, n_samples)
    for factor in (3, 30):
        if at * factor < 0.3:
            coarse = at * factor
            assert stochastic.cost(coarse, n_samples) < deterministic.cost(coarse, n_samples)
        fine = at / factor
        assert stochastic.cost(fine, n_samples) > deterministic.cost(fine, n_samples)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="noise: wanted a finite number above 0, got 0"):
        ConvexStochastic(noise=0)
    with pytest.raises(ValueError, match="smoothness: wanted"):
        PLDeterministic(smoothness=0.1, strong_convexity=0.1)
    with pytest.raises(ValueError, match="smoothness: wanted"):
        PLStochastic(smoothness=0.1, strong_convexity=0.2)
    with pytest.raises(ValueError, match="accuracy: wanted"):
        TABLE[0].steps_to(0.0)
    with pytest.raises(ValueError, match="accuracies: wanted two"):
        fit(TABLE[0], [0.1, 0.1])
    with pytest.raises(ValueError, match="cell: wanted"):
        fit("convex", [0.1, 0.2])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="deterministic: wanted"):
        crossing(3, TABLE[1], 10)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_samples"):
        TABLE[0].cost(0.1, 0)
    with pytest.raises(ValueError, match="stochastic: wanted"):
        crossing(TABLE[1], TABLE[0], 10)
    with pytest.raises(ValueError, match="n_samples: wanted"):
        crossing(TABLE[2], TABLE[3], 1)
    with pytest.raises(ValueError, match="smoothness: wanted 1"):
        NonconvexDeterministic(smoothness=2.0).instance(0.1)
