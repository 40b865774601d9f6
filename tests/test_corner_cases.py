"""Where a careless library would go wrong without a word: odd units, odd shapes, overflow."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from sgdnotes import expected_sgd, sgd
from sgdnotes.engine import METRICS
from sgdnotes.moments import MAX_RANK
from sgdnotes.oracles import Minibatch
from sgdnotes.problems import (
    LeastSquares,
    Ridge,
    ScalarQuadratics,
    double_well,
    linear,
    quadratic,
    sine_valley,
)
from sgdnotes.sampling import resolve
from sgdnotes.theorems import (
    ALL,
    AssumptionError,
    Claims,
    Comparison,
    Descent,
    StochasticRun,
    Verdict,
)
from sgdnotes.theorems.assumptions import constant_variance, interpolation
from sgdnotes.theorems.pl import batch_smoothness
from sgdnotes.updates import BacktrackingStep

# ---- verdicts ---------------------------------------------------------------------------------


def judge(kind: str, observed: list[float], bound: list[float]) -> Verdict:
    theorem = dataclasses.replace(
        ALL["lem-unbiased"],
        kind=kind,
        assumptions=(),
        compare=lambda s: Comparison(np.arange(len(observed)), observed, bound, "k", "o"),
    )
    return theorem.check(Claims(quadratic(1.0)))


def test_what_is_not_a_number_proves_nothing() -> None:
    assert judge("impossibility", [0, 2], [1, 1])
    assert not judge("impossibility", [math.nan, 2], [1, 1])
    assert not judge("impossibility", [math.nan, 0], [1, 1])
    verdict = judge("inequality", [1, 1], [1, math.nan])
    assert not verdict
    assert verdict.worst == math.inf


def test_a_bound_below_zero_is_violated_without_limit() -> None:
    for observed in (0.0, -0.5):
        verdict = judge("inequality", [observed, 1], [-1, 1])
        assert not verdict
        assert (verdict.worst, verdict.worst_at) == (math.inf, 0)


def test_a_run_that_grows_later_excuses_nothing_earlier() -> None:
    assert not judge("inequality", [1, 1e20], [0.5, 1e21])
    assert judge("inequality", [1e20, 1], [1e20, 0.5])  # lost to the rounding of what came before


def test_digits_that_a_processor_decides_are_not_printed() -> None:
    assert str(judge("identity", [1.0], [1 + 1e-11])).endswith("difference below 1e-09")
    assert str(judge("identity", [1.0], [1 + 1e-14])).endswith("difference below 1e-12")
    assert "2.0e-09" in str(judge("identity", [1.0], [1 + 2e-9]))


# ---- assumptions ------------------------------------------------------------------------------


def run_of(problem: Any, **more: Any) -> StochasticRun:
    return StochasticRun(problem, steps=3, step_size=0.1, **more)


def test_a_variance_that_grows_slowly_is_not_bounded() -> None:
    slow = LeastSquares([[1e-5], [5e-6]], [1.0, 1.0])
    far = slow.minimizer + np.array([1e9])
    assert slow.gradient_variance(far) > 1e3 * slow.gradient_variance(slow.minimizer)
    assert constant_variance(run_of(slow)) is None
    one_zero_row = LeastSquares([[1.0, 0.0], [0.0, 0.0]], [1.0, 1.0])
    orthogonal = LeastSquares([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0])
    for problem in (one_zero_row, orthogonal, ScalarQuadratics([1.0, 1.1])):
        assert constant_variance(run_of(problem)) is None


@pytest.mark.parametrize(
    "problem",
    [
        LeastSquares([[1.0, 2.0], [-1.0, -2.0], [1.0, 2.0]], [1.0, 0.0, 5.0]),
        Ridge([[1e-6, 0.0], [-1e-6, 0.0]], [1.0, 0.5], 0.1),
        ScalarQuadratics([2.0, 2.0], [1.0, -3.0]),
        sine_valley([2.0, -2.0]),
    ],
)
def test_a_constant_variance_is_that_of_every_point(problem: Any) -> None:
    variance = constant_variance(run_of(problem))
    for scale in (1.0, 100.0):
        point = problem.minimizer + scale
        assert problem.gradient_variance(point) == pytest.approx(variance, rel=1e-9)


def test_small_units_are_not_interpolation() -> None:
    for unit in (1.0, 1e-8):
        conflict = LeastSquares([[unit], [unit]], [unit, -2 * unit])
        assert not interpolation.examine(Claims(conflict)).holds
        agreement = LeastSquares([[unit], [2 * unit]], [unit, 2 * unit])
        assert interpolation.examine(Claims(agreement)).holds


def test_a_claim_that_no_assumption_examines_changes_nothing() -> None:
    claimed = Descent(quadratic(1.0), steps=5, step_size=0.5, x0=[1.0], claims={"minimum": -1.0})
    assert ALL["thm-gd-pl"].check(claimed)
    heavy = LeastSquares([[1.0], [2.0], [0.5]], [1.0, 0.0, 3.0])
    bold = run_of(heavy, batch_size=3, claims={"smoothness": 1e-3})
    assert batch_smoothness(bold) == batch_smoothness(run_of(heavy, batch_size=3))


def test_a_search_that_gives_up_early_is_refused() -> None:
    search = BacktrackingStep(shrink=0.98)
    setting = Descent(quadratic(1000.0), steps=5, step_size=1.0, x0=[1.0], line_search=search)
    for label in ("lem-backtracking", "prop-backtracking"):
        with pytest.raises(AssumptionError, match=r"“backtracking”.*last trial 0\.298"):
            ALL[label].check(setting)
    patient = dataclasses.replace(
        setting, line_search=BacktrackingStep(shrink=0.98, max_trials=400)
    )
    assert ALL["prop-backtracking"].check(patient)


# ---- exact expectations -----------------------------------------------------------------------


def test_a_direction_that_blows_up_but_is_never_entered() -> None:
    problem = LeastSquares(np.diag([math.sqrt(2), math.sqrt(6)]), [0.0, 0.0])
    step = 1.2  # stable along the first axis without noise, far from it along the second
    full = {"batch_size": 2, "sampling": "without_replacement"}
    exact = expected_sgd(problem, [1.0, 0.0], steps=2000, step_size=step, **full)
    k = np.arange(2001)
    np.testing.assert_allclose(exact.gap, 0.5 * 0.04**k, rtol=1e-9, atol=1e-300)


def test_wide_ridge_regression_is_enumerated() -> None:
    rng = np.random.default_rng(0)
    wide = Ridge(rng.standard_normal((3, MAX_RANK + 20)), [1.0, 2.0, 3.0], 0.1)
    assert np.isfinite(run_of(wide).expectation.gap).all()


# ---- sizes and types --------------------------------------------------------------------------


def test_batch_sizes_may_be_numpy_integers() -> None:
    with pytest.raises(ValueError, match="batch_size: wanted at most"):
        resolve("with_replacement").outcomes(10, np.int64(50))  # 10⁵⁰ overflows to less than zero
    problem = LeastSquares(np.eye(3), np.ones(3))
    small = sgd(problem, steps=3, step_size=0.1, batch_size=np.int8(2), rng=0)  # type: ignore[arg-type]
    assert isinstance(Minibatch(np.int8(2)).batch_size, int)  # type: ignore[arg-type]
    np.testing.assert_array_equal(
        small.x, sgd(problem, steps=3, step_size=0.1, batch_size=2, rng=0).x
    )


def test_a_slope_survives_whole_numbers() -> None:
    assert linear(0.5).gradient(np.array([[1], [2]])).tolist() == [[0.5], [0.5]]


def test_text_is_no_step_size() -> None:
    with pytest.raises(ValueError, match=r"step_size: wanted a real number, got '0\.1'"):
        sgd(quadratic(1.0), steps=1, step_size="0.1")  # type: ignore[arg-type]


def test_the_mean_of_a_vector_metric() -> None:
    for replicates in (1, 3):
        trace = sgd(
            LeastSquares(np.eye(2), np.ones(2)),
            steps=4,
            step_size=0.1,
            replicates=replicates,
            metrics=["x"],
            record="all",
        )
        mean, error = trace.mean("x")
        assert mean.shape == error.shape == (5, 2)
    assert "x" in METRICS


# ---- landscapes -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [sine_valley, double_well])
@pytest.mark.parametrize("tilt", [0.5, 2.0, 30.0, 1e4])
def test_the_infimum_of_a_tilted_component(make: Any, tilt: float) -> None:
    problem = make([tilt, -tilt])
    around = 2 + 2 * (tilt if make is sine_valley else tilt ** (1 / 3))
    grid = np.linspace(-around, around, 200_001)[:, None]
    for slope, lowest in zip(problem.tilts, problem.component_minima, strict=True):
        seen = (problem.value(grid) + slope * grid[:, 0]).min()
        spacing = 2 * around / 200_000
        curvature = 8 if make is sine_valley else 12 * around**2
        assert lowest <= seen + 1e-9 * (1 + abs(seen))
        assert lowest >= seen - curvature * spacing**2 - 1e-9 * (1 + abs(seen))
