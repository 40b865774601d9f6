"""Every case of an optimal value: the answers on paper against the functions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sgdnotes.problems import ConstrainedProblem, every_case

CASES = {problem.name: problem for problem in every_case()}


def grid(problem: ConstrainedProblem) -> np.ndarray:
    axes = [np.linspace(-4, 4, 161)] * problem.dim
    return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, problem.dim)


def test_the_five_cases_differ() -> None:
    kinds = {
        (math.isfinite(p.optimal_value), p.optimal_value > 0, len(p.solutions))
        for p in CASES.values()
    }
    assert len(CASES) == len(kinds) == 5


@pytest.mark.parametrize("problem", CASES.values(), ids=CASES)
def test_no_feasible_point_is_below_the_optimal_value(problem: ConstrainedProblem) -> None:
    points = grid(problem)
    feasible = problem.is_feasible(points)
    assert feasible.any() == (problem.optimal_value < math.inf)
    assert (problem.objective(points[feasible]) >= problem.optimal_value).all()


@pytest.mark.parametrize("problem", CASES.values(), ids=CASES)
def test_a_sequence_of_feasible_points_tends_to_the_optimal_value(
    problem: ConstrainedProblem,
) -> None:
    if problem.approach is None:
        assert problem.optimal_value == math.inf
        return
    points = np.array([problem.approach(k) for k in (1, 10, 100)], dtype=float)
    assert problem.is_feasible(points).all()
    values = problem.objective(points)
    assert (np.diff(values) <= 0).all()
    if math.isfinite(problem.optimal_value):
        assert values[-1] == pytest.approx(problem.optimal_value, abs=0.05)
    else:
        assert values[-1] == -100


@pytest.mark.parametrize("problem", CASES.values(), ids=CASES)
def test_solutions_are_exactly_where_the_value_is_attained(problem: ConstrainedProblem) -> None:
    for solution in problem.solutions:
        assert problem.is_solution(solution)
    found = grid(problem)[problem.is_solution(grid(problem))]
    expected = {"attained, not uniquely": 41, "attained uniquely": 1}.get(problem.name, 0)
    assert len(found) == expected


def test_feasibility_needs_every_constraint() -> None:
    problem = CASES["attained uniquely"]
    on_line_too_far_left, off_the_line, feasible = [1.0, 1.0], [2.0, 2.0], [2.0, 0.0]
    assert not problem.is_feasible(on_line_too_far_left)
    assert not problem.is_feasible(off_the_line)
    assert problem.is_feasible(feasible)
    assert not problem.is_solution(feasible)
    assert not problem.is_solution([1.0, 1.0])  # a lower value, but not feasible
    below = [2.0, 1e-7]
    assert not problem.is_feasible(below)
    assert problem.is_feasible(below, tolerance=1e-6)


@pytest.mark.parametrize("x", [[1.0], 1.0, [[1.0, 2.0, 3.0]], [math.nan, 1.0]])
def test_points_of_the_wrong_kind_are_refused(x: object) -> None:
    with pytest.raises(ValueError, match=r"^x: wanted"):
        CASES["attained uniquely"].is_feasible(x)


def test_a_negative_tolerance_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^tolerance: wanted"):
        CASES["attained uniquely"].is_feasible([1.5, 0.5], tolerance=-1)
