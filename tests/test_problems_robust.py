"""Robust regression: values, slopes and constants by independent means."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from scipy.optimize import check_grad

from sgdnotes.problems.robust import RobustRegression

RNG = np.random.default_rng(0)
FEATURES, TARGETS = RNG.standard_normal((30, 4)), 3 * RNG.standard_normal(30)
PROBLEM = RobustRegression(FEATURES, TARGETS, 1.5)
POINTS = RNG.standard_normal((20, 4))


def test_value_is_the_mean_of_the_losses() -> None:
    for x in POINTS:
        losses = []
        for row, target in zip(FEATURES, TARGETS, strict=True):
            square = (float(row @ x) - target) ** 2
            losses.append(1.5**2 / 2 * square / (1.5**2 + square))
        assert PROBLEM.value(x) == pytest.approx(np.mean(losses), rel=1e-12)
        assert PROBLEM.component_values(x) == pytest.approx(losses, rel=1e-12)


def test_gradient_is_the_slope_of_the_value() -> None:
    for x in POINTS:
        assert check_grad(lambda z: float(PROBLEM.value(z)), PROBLEM.gradient, x) < 1e-6
    indices = np.arange(30)[None].repeat(20, axis=0)
    assert PROBLEM.minibatch_gradient(POINTS, indices) == pytest.approx(PROBLEM.gradient(POINTS))


def test_second_derivative_and_its_bounds() -> None:
    r, s = sp.symbols("r s", positive=True)
    bend = sp.diff(s**2 / 2 * r**2 / (s**2 + r**2), r, 2)
    formula = sp.lambdify((r, s), bend)
    residuals = np.linspace(0, 30, 3001)
    got = PROBLEM._loss_second_derivative(residuals, np.zeros_like(residuals))
    assert got == pytest.approx(formula(residuals, 1.5), abs=1e-12)
    assert got.max() == pytest.approx(PROBLEM.loss_curvature)
    assert got.min() == pytest.approx(-0.25, abs=1e-6)  # at r = s


def test_the_gradient_is_lipschitz_with_the_smoothness_stated() -> None:
    other = POINTS[::-1] + 0.1
    change = np.linalg.norm(PROBLEM.gradient(POINTS) - PROBLEM.gradient(other), axis=1)
    assert (change <= PROBLEM.smoothness * np.linalg.norm(POINTS - other, axis=1)).all()
    exact = np.linalg.eigvalsh(FEATURES.T @ FEATURES / 30)[-1]
    assert PROBLEM.smoothness == pytest.approx(exact)
    # With all residuals 0 the Hessian is that of least squares, so nothing smaller would do.
    easy = RobustRegression(FEATURES, FEATURES @ POINTS[0], 1.5)
    near = POINTS[0] + 1e-5 * np.linalg.eigh(FEATURES.T @ FEATURES)[1][:, -1]
    assert np.linalg.norm(easy.gradient(near)) == pytest.approx(1e-5 * exact, rel=1e-6)


def test_it_is_bounded_and_not_convex() -> None:
    far = 1e6 * POINTS
    assert (PROBLEM.value(far) <= 1.5**2 / 2).all()
    single = RobustRegression([[1.0]], [0.0], 1.0)
    ends = single.value(np.array([[1.0], [3.0]])).mean()
    assert single.value(np.array([2.0])) > ends
    assert not single.convex
    assert not single.components_convex
    assert single.strong_convexity == single.pl_constant == 0


def test_what_is_unknown_is_refused() -> None:
    for name in ("minimum", "minimizer"):
        with pytest.raises(ValueError, match="problem: wanted"):
            getattr(PROBLEM, name)
    with pytest.raises(ValueError, match="problem: wanted"):
        PROBLEM.distance_squared(POINTS)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_bad_scale_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        RobustRegression(FEATURES, TARGETS, scale)


def test_infima_of_the_components() -> None:
    problem = RobustRegression([[0.0, 0.0], [1.0, 0.0]], [2.0, 5.0], 2.0)
    assert problem.component_minima == pytest.approx([1.0, 0.0])
