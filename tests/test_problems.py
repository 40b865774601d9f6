"""Problems: gradients against finite differences, constants against independent computations."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from random_settings import CONVEX, LINEAR, PL, SMOOTH, features, pick, points
from scipy.optimize import minimize, minimize_scalar
from sklearn.linear_model import LogisticRegression as SklearnLogistic
from sklearn.linear_model import Ridge as SklearnRidge

from sgdnotes.problems import (
    FiniteSum,
    Landscape,
    LeastSquares,
    LinearModel,
    LogisticRegression,
    Ridge,
    ScalarQuadratics,
    double_well,
    exponential,
    flat_bottom,
    gaussian_dip,
    linear,
    quadratic,
    quartic,
    sine_valley,
    soft_absolute,
)

LANDSCAPES: dict[str, Landscape] = {
    "quadratic": quadratic(3.0, [1.0, -2.0, 1.0]),
    "sine valley": sine_valley([0.5, -0.5]),
    "double well": double_well([1.0, -1.0]),
    "quartic": quartic(),
    "linear": linear(-2.0),
    "exponential": exponential(),
    "flat bottom": flat_bottom(),
    "gaussian dip": gaussian_dip(),
    "soft absolute": soft_absolute([0.3, -0.3]),
}

thoroughly = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@st.composite
def linear_models(draw: st.DrawFn) -> LinearModel:
    """Any linear model: one sample, one column, collinear, constant, repeated, low rank, wide."""
    n, p = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    a = rng.standard_normal((n, p))
    kind = draw(
        st.sampled_from(
            ["generic", "constant", "collinear", "low rank", "repeated", "zero row", "all ones"]
        )
    )
    if kind == "constant":
        a[:, 0] = draw(st.floats(0.1, 10))
    elif kind == "collinear" and p > 1:
        a[:, -1] = draw(st.floats(-3, 3)) * a[:, 0]
    elif kind == "low rank":
        a = np.outer(rng.standard_normal(n), rng.standard_normal(p))
    elif kind == "repeated":
        a[:] = a[0]
    elif kind == "zero row" and n > 1:
        a[0] = 0
    elif kind == "all ones":
        a = np.ones((n, p))
    if not a.any():
        a[0, 0] = 1.0
    a = a * 10 ** draw(st.floats(-2, 2))
    size = np.linalg.norm(a, 2) ** 2 / n
    regularization = size * draw(st.floats(1e-3, 10))
    model = draw(st.sampled_from(["least squares", "ridge", "logistic"]))
    if model == "logistic":
        return LogisticRegression(a, rng.choice([-1.0, 1.0], size=n), regularization)
    b = rng.standard_normal(n) * 10 ** draw(st.floats(-2, 2))
    return LeastSquares(a, b) if model == "least squares" else Ridge(a, b, regularization)


def central_differences(problem: FiniteSum, x: np.ndarray, component: int | None) -> np.ndarray:
    """Derivatives by central differences, extrapolated once to fourth order."""

    def value(point: np.ndarray) -> float:
        if component is None:
            return float(problem.value(point))
        return float(problem.component_values(point)[component])

    def differences(h: float) -> np.ndarray:
        slopes = []
        for unit in np.eye(problem.dim):
            ahead, behind = value(x + h * unit), value(x - h * unit)
            slopes.append((ahead - behind) / (2 * h))
        return np.array(slopes)

    curvature = problem.max_smoothness
    scale = 1 / math.sqrt(curvature) if 0 < curvature < math.inf else 1.0
    h = 1e-3 * max(scale, float(np.abs(x).max()) * 1e-1)
    return (4 * differences(h / 2) - differences(h)) / 3


def assert_gradients(problem: FiniteSum, x: np.ndarray, rng: np.random.Generator) -> None:
    gradient = problem.gradient(x)
    components = problem.component_gradients(x)
    assert gradient.shape == (problem.dim,)
    assert components.shape == (problem.n_samples, problem.dim)
    for numeric, exact, values in (
        (central_differences(problem, x, None), gradient, np.array([problem.value(x)])),
        (
            np.array([central_differences(problem, x, i) for i in range(problem.n_samples)]),
            components,
            problem.component_values(x),
        ),
    ):
        # Relative to the largest component gradient: near a minimum f' itself is a difference.
        scale = np.abs(components).max() + 1e-7 * np.abs(values).max()
        np.testing.assert_allclose(numeric, exact, rtol=1e-6, atol=1e-6 * scale)
    size = int(rng.integers(1, problem.n_samples + 2))
    indices = rng.integers(problem.n_samples, size=(5, size))
    batch = problem.minibatch_gradient(np.tile(x, (5, 1)), indices)
    np.testing.assert_allclose(
        batch, components[indices].mean(axis=1), rtol=1e-12, atol=1e-12 * np.abs(components).max()
    )


@thoroughly
@given(linear_models(), st.floats(-2, 2), st.integers(0, 10**6))
def test_gradients_of_linear_models(model: LinearModel, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reach = 10**scale / math.sqrt(model.max_smoothness)
    assert_gradients(model, reach * rng.standard_normal(model.dim), rng)


@pytest.mark.parametrize("x", [-3.1, -0.7, 0.2, 1.9])
@pytest.mark.parametrize("name", LANDSCAPES)
def test_gradients_of_landscapes(name: str, x: float) -> None:
    assert_gradients(LANDSCAPES[name], np.array([x]), np.random.default_rng(1))


@thoroughly
@given(st.integers(0, 10**6))
def test_gradients_of_scalar_quadratics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    h = rng.uniform(-2, 3, size=int(rng.integers(1, 5)))
    h[0] += max(0.0, 0.1 - h.sum())
    problem = ScalarQuadratics(h, rng.standard_normal(h.size))
    # Its value is that of the average only up to what the components are at the minimum.
    assert_gradients(problem, 3 * rng.standard_normal(1), rng)


# ---- values, gradients, batches of points -----------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_a_finite_sum_is_the_mean_of_its_components(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = pick(rng, SMOOTH)
    many = points(rng, problem, 6)
    values, gradients = problem.value(many), problem.gradient(many)
    assert values.shape == (6,)
    assert gradients.shape == (6, problem.dim)
    assert problem.value(many.reshape(2, 3, -1)).shape == (2, 3)
    assert problem.gradient(many.reshape(2, 3, -1)).shape == (2, 3, problem.dim)
    np.testing.assert_array_equal(
        problem.gradient(many.reshape(2, 3, -1)).reshape(6, -1), gradients
    )
    for x, value, gradient in zip(many, values, gradients, strict=True):
        parts, slopes = problem.component_values(x), problem.component_gradients(x)
        assert value == pytest.approx(parts.mean(), rel=1e-12, abs=1e-12 * np.abs(parts).max())
        np.testing.assert_allclose(
            gradient, slopes.mean(axis=0), rtol=1e-12, atol=1e-12 * np.abs(slopes).max()
        )
        full = np.arange(problem.n_samples)[None]
        np.testing.assert_allclose(
            problem.minibatch_gradient(x[None], full)[0],
            gradient,
            rtol=1e-12,
            atol=1e-12 * np.abs(slopes).max(),
        )
        assert problem.gradient_second_moment(x) == pytest.approx((slopes**2).sum() / len(slopes))
        squared = float((slopes.mean(axis=0) ** 2).sum())
        assert problem.gradient_variance(x) == pytest.approx(
            problem.gradient_second_moment(x) - squared,
            rel=1e-9,
            abs=1e-9 * problem.gradient_second_moment(x),
        )
        assert float(problem.gap(x)) == pytest.approx(
            float(value) - problem.minimum, rel=1e-9, abs=1e-11 * max(1.0, abs(float(value)))
        )


def test_large_ensembles_are_cut_into_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    model = LeastSquares(rng.standard_normal((7, 3)), rng.standard_normal(7))
    x = rng.standard_normal((50, 3))
    value, gradient = model.value(x), model.gradient(x)
    spectrum, minimizer = model.spectrum, model.minimizer
    monkeypatch.setattr("sgdnotes.problems.linear_models.SLICE", 20)
    sliced = LeastSquares(model.features, model.targets)
    np.testing.assert_allclose(sliced.spectrum, spectrum, rtol=1e-12)
    np.testing.assert_allclose(sliced.minimizer, minimizer, rtol=1e-11)
    np.testing.assert_allclose(model.value(x), value, rtol=1e-13)
    np.testing.assert_allclose(model.gradient(x), gradient, rtol=1e-12, atol=1e-14)


# ---- constants of linear models ---------------------------------------------------------------


def hessian_of_losses(model: LinearModel) -> np.ndarray:
    return np.asarray(model.features.T @ model.features / model.n_samples)


@thoroughly
@given(linear_models())
def test_smoothness_of_linear_models(model: LinearModel) -> None:
    quarter = 0.25 if isinstance(model, LogisticRegression) else 1.0
    eigenvalues = np.linalg.eigvalsh(hessian_of_losses(model))
    assert model.smoothness == pytest.approx(
        quarter * eigenvalues[-1] + model.regularization, rel=1e-10
    )
    of_each = [quarter * float(row @ row) + model.regularization for row in model.features]
    assert model.max_smoothness == pytest.approx(max(of_each), rel=1e-12)
    assert model.average_smoothness == pytest.approx(np.mean(of_each), rel=1e-12)
    chain = [
        model.smoothness,
        model.average_smoothness,
        model.max_smoothness,
        model.n_samples * model.smoothness,
    ]
    assert all(a <= b * (1 + 1e-12) for a, b in itertools.pairwise(chain))


@thoroughly
@given(linear_models())
def test_spectrum_of_linear_models(model: LinearModel) -> None:
    matrix = hessian_of_losses(model)
    rank = np.linalg.matrix_rank(model.features)
    assert model.spectrum.shape == (rank,)
    assert model.row_space.shape == (rank, model.dim)
    np.testing.assert_allclose(
        model.row_space @ model.row_space.T, np.eye(rank), rtol=0, atol=1e-12
    )
    rebuilt = (model.row_space.T * model.spectrum) @ model.row_space
    np.testing.assert_allclose(rebuilt, matrix, rtol=0, atol=1e-12 * model.spectrum[0])
    assert (np.diff(model.spectrum) <= 0).all()


@pytest.mark.parametrize(("ratio", "rank"), [(1e-6, 2), (1e-13, 2), (1e-17, 1)])
def test_a_direction_counts_as_long_as_it_is_above_rounding(ratio: float, rank: int) -> None:
    # The eigenvalues of A'A would lose the second direction at a ratio of 1e-8 already.
    problem = LeastSquares([[1.0, 0.0], [0.0, ratio], [0.0, 0.0]], [1.0, ratio, 1.0])
    assert len(problem.spectrum) == rank
    if rank == 2:
        assert problem.pl_constant == pytest.approx(ratio**2 / 3, rel=1e-9)
        np.testing.assert_allclose(problem.minimizer, [1.0, 1.0], rtol=1e-9)
    else:
        np.testing.assert_allclose(problem.minimizer, [1.0, 0.0], atol=1e-15)


@thoroughly
@given(linear_models())
def test_strong_convexity_of_linear_models(model: LinearModel) -> None:
    if isinstance(model, LogisticRegression):
        assert model.strong_convexity == model.pl_constant == model.regularization
        return
    rank = np.linalg.matrix_rank(model.features)
    eigenvalues = np.linalg.eigvalsh(hessian_of_losses(model))
    smallest = max(0.0, eigenvalues[0]) if rank == model.dim else 0.0
    assert model.strong_convexity == pytest.approx(
        smallest + model.regularization, rel=1e-8, abs=1e-12 * eigenvalues[-1]
    )
    nonzero = eigenvalues[-rank:]
    wanted = model.strong_convexity if model.regularization else nonzero[0]
    assert model.pl_constant == pytest.approx(wanted, rel=1e-6)
    np.testing.assert_allclose(
        model.hessian,
        hessian_of_losses(model) + model.regularization * np.eye(model.dim),
        rtol=0,
        atol=1e-12 * model.smoothness,
    )


@thoroughly
@given(linear_models())
def test_minimizers_of_linear_models(model: LinearModel) -> None:
    x = model.minimizer
    assert x.shape == (model.dim,)
    if isinstance(model, LogisticRegression):
        assert np.linalg.norm(model.gradient(x)) <= 1e-12 * max(1.0, math.sqrt(model.smoothness))
    elif model.regularization:
        n, p = model.features.shape
        stacked = np.vstack([model.features, math.sqrt(n * model.regularization) * np.eye(p)])
        wanted = np.linalg.lstsq(stacked, np.concatenate([model.targets, np.zeros(p)]))[0]
        np.testing.assert_allclose(x, wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())
    else:
        wanted = np.linalg.pinv(model.features) @ model.targets
        np.testing.assert_allclose(x, wanted, rtol=1e-8, atol=1e-8 * np.abs(wanted).max())
        off = model.row_space @ x @ model.row_space - x  # of least norm: in the row space
        assert np.abs(off).max() <= 1e-10 * (np.abs(x).max() + 1e-300)
    assert model.minimum == pytest.approx(float(model.component_values(x).mean()), rel=1e-12)
    rng = np.random.default_rng(0)
    nearby = x + 1e-2 / math.sqrt(model.smoothness) * rng.standard_normal((20, model.dim))
    assert (model.value(nearby) >= model.minimum * (1 - 1e-12) - 1e-14).all()
    noise = float((model.component_gradients(x) ** 2).sum(axis=1).mean())
    assert model.gradient_noise_at_minimum == pytest.approx(noise, rel=1e-12)


def sample_model(n: int = 60, p: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, p)) * [1.0, 0.8, 0.6, 0.5, 0.4][:p]
    return a, a @ rng.standard_normal(p) + rng.standard_normal(n)


def test_least_squares_against_numpy() -> None:
    a, b = sample_model()
    problem = LeastSquares(a, b)
    wanted, residual, *_ = np.linalg.lstsq(a, b)
    np.testing.assert_allclose(problem.minimizer, wanted, rtol=1e-12)
    assert problem.minimum == pytest.approx(residual[0] / 120, rel=1e-12)
    np.testing.assert_allclose(problem.gradient(problem.minimizer), 0, atol=1e-14)


@pytest.mark.parametrize("regularization", [1e-3, 0.1, 10.0])
def test_ridge_against_scikit_learn(regularization: float) -> None:
    a, b = sample_model()
    reference = SklearnRidge(alpha=60 * regularization, fit_intercept=False, tol=1e-12)
    np.testing.assert_allclose(
        Ridge(a, b, regularization).minimizer, reference.fit(a, b).coef_, rtol=1e-10
    )


@pytest.mark.parametrize("regularization", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize(("n", "p"), [(60, 5), (10, 30), (1, 1), (40, 1)])
def test_logistic_minimizer_against_scikit_learn(n: int, p: int, regularization: float) -> None:
    rng = np.random.default_rng(n + p)
    a = rng.standard_normal((n, p))
    labels = np.where(a[:, 0] + 0.5 * rng.standard_normal(n) > 0, 1.0, -1.0)
    problem = LogisticRegression(a, labels, regularization)
    assert np.linalg.norm(problem.gradient(problem.minimizer)) < 1e-12
    if np.ptp(labels) == 0:  # scikit-learn wants both classes: a mirrored copy of the data
        a, labels = np.vstack([a, -a]), np.concatenate([labels, -labels])
    reference = SklearnLogistic(
        C=1 / (len(a) * regularization),
        fit_intercept=False,
        solver="newton-cholesky",
        tol=1e-12,
        max_iter=1000,
    ).fit(a, labels)
    np.testing.assert_allclose(problem.minimizer, reference.coef_[0], rtol=1e-6, atol=1e-8)


@thoroughly
@given(st.integers(0, 10**6))
def test_newton_reaches_the_logistic_minimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(1, 30)), int(rng.integers(1, 10))
    a = features(rng, n, p)
    problem = LogisticRegression(a, rng.choice([-1.0, 1.0], size=n), 10 ** rng.uniform(-6, 1))
    x = problem.minimizer
    # The gradient is a sum of terms of the size of a, so that is the scale of its rounding.
    assert np.linalg.norm(problem.gradient(x)) < 1e-12 * max(1.0, float(np.abs(a).max()))
    hessian = problem.hessian_at(x)
    np.testing.assert_allclose(hessian, hessian.T)
    assert np.linalg.eigvalsh(hessian)[0] >= problem.strong_convexity * (1 - 1e-9)
    assert np.linalg.eigvalsh(hessian)[-1] <= problem.smoothness * (1 + 1e-9)


def unregularized(
    n: int, p: int, seed: int, columns: ArrayLike = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Data that no direction separates: labels at odds with every direction."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, p)) * columns
    return a, np.where(rng.random(n) < 1 / (1 + np.exp(-a @ np.ones(p))), 1.0, -1.0)


@pytest.mark.parametrize(("n", "p"), [(200, 5), (60, 1), (400, 12)])
def test_logistic_without_regularization_against_scikit_learn(n: int, p: int) -> None:
    a, labels = unregularized(n, p, 3)
    problem = LogisticRegression(a, labels, 0)
    reference = SklearnLogistic(
        C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-13, max_iter=1000
    ).fit(a, labels)
    assert not problem.separable
    np.testing.assert_allclose(problem.minimizer, reference.coef_[0], rtol=1e-7)
    assert np.linalg.norm(problem.gradient(problem.minimizer)) < 1e-14
    assert problem.strong_convexity == problem.pl_constant == 0
    assert problem.minimum == pytest.approx(float(problem.value(reference.coef_[0])), rel=1e-13)
    assert np.linalg.eigvalsh(problem.hessian_at(1e4 * np.ones(p)))[0] < 1e-12


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_rank_deficient_logistic_regression_has_a_minimiser_of_least_norm(size: float) -> None:
    rng = np.random.default_rng(5)
    slim, labels = unregularized(150, 3, 5)
    wide = slim @ rng.standard_normal((3, 6)) * size
    wide[:, 4] = 0  # two dimensions too many, and a column of zeros
    problem = LogisticRegression(wide, labels, 0)
    x = problem.minimizer
    found = minimize(
        problem.value, np.zeros(6), jac=problem.gradient, method="BFGS", options={"gtol": 1e-9}
    )
    # Started at the origin, BFGS stays in the row space, where the minimiser is unique.
    np.testing.assert_allclose(problem.value(found.x), problem.minimum, rtol=1e-12)
    np.testing.assert_allclose(x, found.x, rtol=1e-4, atol=1e-4 * np.abs(x).max())
    assert x[4] == 0
    assert np.linalg.norm(x - problem.row_space.T @ (problem.row_space @ x)) < 1e-12 / size
    smallest = np.linalg.eigvalsh(problem.hessian_at(x))
    assert (np.abs(smallest[:3]) < 1e-12 * size**2).all()
    assert smallest[3] > 1e-4 * size**2
    beside = x + (np.eye(6) - problem.row_space.T @ problem.row_space) @ rng.standard_normal(6)
    assert problem.distance_squared(beside) < 1e-20 * (beside @ beside)
    assert problem.gap(beside) == pytest.approx(0, abs=1e-14)
    along = x + 2.0 * problem.row_space[0]
    assert problem.distance_squared(along) == pytest.approx(4, rel=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_separable_data_are_told_from_others_by_the_minimiser_that_runs_away(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(1, 15)), int(rng.integers(1, 5))
    # Rounding makes ties, hence data that a direction separates only in part.
    a = np.round(2 * rng.standard_normal((n, p))) / 2
    a[0, 0] += 1 - a[0].any()
    labels = rng.choice([-1.0, 1.0], size=n)
    problem = LogisticRegression(a, labels, 0)
    norms = [np.linalg.norm(LogisticRegression(a, labels, x).minimizer) for x in (1e-3, 1e-5, 1e-7)]
    runs_away = norms[2] - norms[1] > 0.3 * (norms[1] - norms[0])
    assert problem.separable == runs_away
    if runs_away:
        with pytest.raises(ValueError, match="separable data"):
            _ = problem.minimizer
    else:
        np.testing.assert_allclose(np.linalg.norm(problem.minimizer), norms[2], rtol=1e-4)


def test_component_minima_without_regularization() -> None:
    problem = LogisticRegression([[1.0, 2.0], [0.0, 0.0], [-1.0, 1.0]], [1.0, -1.0, 1.0], 0)
    np.testing.assert_allclose(problem.component_minima, [0.0, math.log(2), 0.0])


def test_logistic_smoothness_is_attained_at_the_origin_and_convexity_far_away() -> None:
    a, b = sample_model()
    problem = LogisticRegression(a, np.where(b > 0, 1.0, -1.0), 0.1)
    at_origin = np.linalg.eigvalsh(problem.hessian_at(np.zeros(5)))
    assert problem.smoothness == pytest.approx(at_origin[-1], rel=1e-12)
    far = np.linalg.eigvalsh(problem.hessian_at(1e6 * np.ones(5)))
    np.testing.assert_allclose(far, problem.strong_convexity, rtol=1e-6)


def test_logistic_hessian_by_differences_of_the_gradient() -> None:
    a, b = sample_model()
    problem = LogisticRegression(a, np.where(b > 0, 1.0, -1.0), 0.1)
    x = np.linspace(-1, 1, 5)
    columns = [
        (problem.gradient(x + 1e-5 * unit) - problem.gradient(x - 1e-5 * unit)) / 2e-5
        for unit in np.eye(5)
    ]
    np.testing.assert_allclose(problem.hessian_at(x), columns, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 1e4, 1e-4])
def test_extreme_margins_stay_finite(scale: float) -> None:
    problem = LogisticRegression([[1.0], [-2.0]], [1.0, 1.0], 0.1)
    for x in ([1e5 * scale], [-1e5 * scale]):
        assert np.isfinite(problem.value(np.array(x)))
        assert np.isfinite(problem.gradient(np.array(x))).all()


# ---- the PL constant --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_the_pl_inequality_is_never_violated(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = pick(rng, PL)
    x = points(rng, problem, 50)
    left = 0.5 * (problem.gradient(x) ** 2).sum(axis=-1)
    right = problem.pl_constant * problem.gap(x)
    assert problem.pl_constant > 0
    assert (right <= left * (1 + 1e-9) + 1e-20).all()


@pytest.mark.parametrize("regularization", [0.0, 0.2])
def test_the_pl_constant_of_least_squares_is_attained_along_an_eigenvector(
    regularization: float,
) -> None:
    rng = np.random.default_rng(3)
    a = rng.standard_normal((20, 3)) @ rng.standard_normal((3, 6))  # rank 3 in six dimensions
    problem = Ridge(a, rng.standard_normal(20), regularization)
    if regularization:
        # The orthogonal complement of the rows is curved by the regularisation alone.
        direction = np.linalg.svd(a)[2][-1]
        assert problem.pl_constant == pytest.approx(regularization, rel=1e-9)
    else:
        direction = problem.row_space[-1]
        assert problem.strong_convexity == 0
        assert problem.pl_constant == problem.spectrum[-1] > 1e-3
    for distance in (0.01, 1.0, 100.0):
        x = problem.minimizer + distance * direction
        ratio = 0.5 * (problem.gradient(x) ** 2).sum() / problem.gap(x)
        assert ratio == pytest.approx(problem.pl_constant, rel=1e-6)


def test_the_pl_constant_of_the_sine_valley() -> None:
    problem = sine_valley()
    mu = problem.pl_constant
    assert mu == pytest.approx(0.17553099, abs=1e-8)
    for sign in (1, -1):
        x = np.array([sign * 2.201709])
        ratio = float(problem.gradient(x)[0] ** 2 / (2 * problem.gap(x)))
        assert ratio == pytest.approx(mu, rel=1e-9)
    grid = np.concatenate([np.linspace(1e-6, 30, 400_001), np.geomspace(30, 1e6, 10_001)])[:, None]
    ratios = problem.gradient(grid)[:, 0] ** 2 / (2 * problem.gap(grid))
    assert ratios.min() >= mu * (1 - 1e-12)
    assert ratios.min() == pytest.approx(mu, rel=1e-8)
    assert mu > 5 / 32 > 1 / 32
    curvature = np.diff(problem.gradient(grid[:400_001])[:, 0]) / np.diff(grid[:400_001, 0])
    assert curvature.max() == pytest.approx(8, rel=1e-6)
    assert curvature.max() <= problem.smoothness
    assert curvature.min() == pytest.approx(-4, rel=1e-6)
    assert not problem.convex


# ---- infima of components, noise, interpolation -----------------------------------------------


@pytest.mark.parametrize("seed", range(25))
def test_component_minima_against_a_numerical_minimiser(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = pick(rng, LINEAR)
    wanted = problem.minimum - sum(problem.component_minima) / problem.n_samples
    assert problem.interpolation_gap == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    for i, claimed in enumerate(problem.component_minima):
        found = minimize(
            lambda x, i=i: problem.component_values(x)[i],
            np.zeros(problem.dim),
            jac=lambda x, i=i: problem.component_gradients(x)[i],
            method="BFGS",
            options={"gtol": 1e-10},
        ).fun
        assert claimed <= found + 1e-12 * max(1.0, found)
        assert claimed == pytest.approx(found, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", ["quadratic", "sine valley", "soft absolute"])
def test_component_minima_of_tilted_landscapes(name: str) -> None:
    make = {
        "quadratic": lambda c: quadratic(3.0, c),
        "sine valley": sine_valley,
        "soft absolute": soft_absolute,
    }[name]
    for tilt in (0.1, 0.6, 0.95, 3.0):
        problem = make([tilt, -tilt])
        if name == "soft absolute" and tilt > 1:
            assert np.isneginf(problem.component_minima).all()
            assert problem.interpolation_gap == math.inf
            continue
        grid = np.linspace(-10, 10, 200_001)[:, None]
        for c, claimed in zip(problem.tilts, problem.component_minima, strict=True):
            values = problem.value(grid) + c * grid[:, 0]
            assert claimed <= values.min() + 1e-12
            assert claimed == pytest.approx(values.min(), abs=1e-7)


def test_noise_and_gap_of_least_squares_at_the_minimum() -> None:
    a, b = sample_model()
    problem = LeastSquares(a, b)
    residuals = b - a @ np.linalg.lstsq(a, b)[0]
    noise = float(((a**2).sum(axis=1) * residuals**2).mean())
    assert problem.gradient_noise_at_minimum == pytest.approx(noise, rel=1e-12)
    assert problem.interpolation_gap == pytest.approx(float(residuals @ residuals) / 120, rel=1e-12)
    assert problem.interpolation_gap == pytest.approx(problem.minimum, rel=1e-12)
    assert noise <= 2 * problem.max_smoothness * problem.interpolation_gap


@pytest.mark.parametrize("seed", range(40))
def test_noise_at_the_minimum_is_bounded_by_the_interpolation_gap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = pick(rng, CONVEX)
    assert problem.interpolation_gap >= 0
    bound = 2 * problem.max_smoothness * problem.interpolation_gap
    assert problem.gradient_noise_at_minimum <= bound * (1 + 1e-9) + 1e-12


def test_overparametrised_least_squares_interpolates() -> None:
    rng = np.random.default_rng(0)
    problem = LeastSquares(rng.standard_normal((10, 30)), rng.standard_normal(10))
    assert problem.minimum < 1e-28
    assert problem.gradient_noise_at_minimum < 1e-26
    assert problem.interpolation_gap < 1e-28
    assert problem.strong_convexity == 0
    assert problem.pl_constant == problem.spectrum[-1] > 0
    x = rng.standard_normal((4, 30))
    projector = np.linalg.pinv(problem.features) @ problem.features
    wanted = (((x - problem.minimizer) @ projector) ** 2).sum(axis=1)
    np.testing.assert_allclose(problem.distance_squared(x), wanted, rtol=1e-10)


def test_distance_to_the_minimiser_of_ridge_is_the_plain_one() -> None:
    problem = Ridge([[1.0, 1.0]], [1.0], 0.1)
    x = np.array([3.0, -4.0])
    assert problem.distance_squared(x) == pytest.approx(((x - problem.minimizer) ** 2).sum())


def test_a_gap_keeps_its_digits_near_the_minimum() -> None:
    a, b = sample_model()
    problem = LeastSquares(a, b)
    tiny = 1e-9 * problem.row_space[0]
    assert problem.gap(problem.minimizer + tiny) == pytest.approx(
        0.5e-18 * problem.smoothness, rel=1e-5
    )


# ---- landscapes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "quadratic",
        "sine valley",
        "double well",
        "quartic",
        "flat bottom",
        "gaussian dip",
        "soft absolute",
    ],
)
def test_the_minimum_of_a_landscape(name: str) -> None:
    problem = LANDSCAPES[name]
    grid = np.linspace(-6, 6, 120_001)[:, None]
    values = problem.value(grid)
    assert problem.minimum <= values.min() + 1e-12
    assert problem.minimum == pytest.approx(values.min(), abs=1e-7)
    best = problem.minimizer
    assert best.shape == (1,)
    assert float(problem.value(best)) == pytest.approx(problem.minimum, abs=1e-12)
    assert problem.gradient(best)[0] == pytest.approx(0, abs=1e-12)
    assert problem.distance_squared(best) == 0
    # Both ways: distance zero exactly where f is minimal.
    away = problem.distance_squared(grid)
    assert (away[values > problem.minimum + 1e-6] > 0).all()


@pytest.mark.parametrize("name", ["quadratic", "sine valley", "gaussian dip", "soft absolute"])
def test_the_smoothness_of_a_landscape_is_exact(name: str) -> None:
    problem = LANDSCAPES[name]
    grid = np.linspace(-20, 20, 400_001)[:, None]
    curvature = np.abs(np.diff(problem.gradient(grid)[:, 0]) / np.diff(grid[:, 0]))
    assert curvature.max() <= problem.smoothness * (1 + 1e-6)
    assert curvature.max() == pytest.approx(problem.smoothness, rel=1e-5)
    assert problem.smoothness == problem.max_smoothness == problem.average_smoothness


@pytest.mark.parametrize("name", ["quartic", "exponential", "double well", "flat bottom"])
def test_landscapes_without_a_lipschitz_gradient_say_so(name: str) -> None:
    assert LANDSCAPES[name].smoothness == math.inf


@pytest.mark.parametrize("name", LANDSCAPES)
def test_convexity_of_landscapes(name: str) -> None:
    problem = LANDSCAPES[name]
    grid = np.linspace(-4, 4, 8001)[:, None]
    slopes = np.diff(problem.gradient(grid)[:, 0])
    assert problem.convex == bool((slopes >= -1e-12).all())


def test_minimisers_of_special_landscapes() -> None:
    flat = flat_bottom()
    assert flat.minimizer.tolist() == [0.0]
    np.testing.assert_allclose(
        flat.distance_squared(np.array([[-3.0], [-1.0], [0.5], [1.5]])), [4.0, 0.0, 0.0, 0.25]
    )
    well = double_well()
    assert well.minimizer[0] < 0
    left = minimize_scalar(lambda x: float(well.value(np.array([x]))), bounds=(-2, 0)).fun
    right = minimize_scalar(lambda x: float(well.value(np.array([x]))), bounds=(0, 2)).fun
    assert well.minimum == pytest.approx(left, abs=1e-9)
    assert left < right - 0.5
    assert linear().minimum == -math.inf
    assert exponential().minimum == 0
    for problem in (linear(), exponential()):
        for ask in (lambda p: p.minimizer, lambda p: p.distance_squared(np.zeros(1))):
            with pytest.raises(ValueError, match=r"problem: wanted one whose minimum is attained"):
                ask(problem)


def test_scalar_quadratics() -> None:
    problem = ScalarQuadratics([4.0, -1.0, 3.0], [1.0, 2.0, -1.0])
    assert problem.smoothness == problem.strong_convexity == problem.pl_constant == 2
    assert problem.max_smoothness == 4
    assert problem.average_smoothness == pytest.approx(8 / 3)
    assert problem.minimizer[0] == pytest.approx((4 - 2 - 3) / 6)
    assert problem.convex
    assert not problem.components_convex
    assert problem.component_minima.tolist() == [0, -math.inf, 0]
    assert problem.interpolation_gap == math.inf
    x = np.array([[0.0], [3.0]])
    explicit = (2 * (x - 1) ** 2 - 0.5 * (x - 2) ** 2 + 1.5 * (x + 1) ** 2)[:, 0] / 3
    np.testing.assert_allclose(problem.value(x), explicit, rtol=1e-13)
    np.testing.assert_allclose(problem.gap(x), explicit - problem.minimum, rtol=1e-12)
    assert ScalarQuadratics([5.0, -3.0]).centers.tolist() == [0, 0]


# ---- size -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "p"), [(1_000_000, 10), (100_000, 100)])
def test_many_samples_take_memory_in_proportion(n: int, p: int) -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((n, p))
    b = a[:, 0] + rng.standard_normal(n)
    labels = np.where(b > 0, 1.0, -1.0)
    tracemalloc.start()
    try:
        squares = LeastSquares(a, b)
        assert 0.9 < squares.pl_constant <= squares.smoothness < 1.1
        assert squares.minimizer[0] == pytest.approx(1, abs=0.01)
        assert np.linalg.norm(squares.gradient(squares.minimizer)) < 1e-12
        x = rng.standard_normal((64, p))
        indices = rng.integers(n, size=(64, 10))
        assert squares.minibatch_gradient(x, indices).shape == (64, p)
        assert squares.value(x).shape == (64,)
        assert squares.gradient_noise_at_minimum == pytest.approx(p, rel=0.05)
        assert squares.interpolation_gap == pytest.approx(0.5, rel=0.05)
        logistic = LogisticRegression(a, labels, 0.1)
        assert np.linalg.norm(logistic.gradient(logistic.minimizer)) < 1e-12
        assert logistic.max_smoothness > logistic.smoothness
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * a.nbytes  # against n × n, which would be thousands of times more


def test_names_and_reprs() -> None:
    assert repr(LeastSquares([[1.0]], [1.0])) == "least squares (n = 1, p = 1)"
    assert "λ = 0.5" in repr(Ridge([[1.0]], [1.0], 0.5))
    assert "λ = 0.5" in repr(LogisticRegression([[1.0]], [1.0], 0.5))
    assert repr(sine_valley([1.0, -1.0])) == "x² + 3 sin² x (n = 2, p = 1)"


def test_data_is_not_changed_and_lists_are_welcome() -> None:
    a, b = [[1, 2], [3, 4], [5, 7]], [1, 0, 1]
    problem = LeastSquares(a, b)
    assert problem.features.dtype == np.float64
    array = np.array([[1.0, 2.0], [3.0, 4.0]])
    frozen = array.copy()
    for model in (LeastSquares(array, [1.0, 2.0]), LogisticRegression(array, [1.0, -1.0], 0.1)):
        x = np.ones((3, 2))
        model.value(x), model.gradient(x), model.minibatch_gradient(x, np.zeros((3, 1), dtype=int))
        _ = model.minimizer, model.minimum, model.component_minima, model.spectrum
        np.testing.assert_array_equal(x, 1)
    np.testing.assert_array_equal(array, frozen)
