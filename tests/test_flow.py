"""Gradient flow, ridge, and the diffusions of SGD, by independent means."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad, quad_vec, solve_ivp
from scipy.linalg import expm, solve_continuous_lyapunov
from scipy.optimize import brentq

from sgdnotes import enumerate_sgd, gradient_descent
from sgdnotes.flow import (
    ConstantCovarianceFlow,
    FixedDesign,
    FlowBounds,
    FlowMoments,
    Langevin,
    Process,
    StochasticGradientFlow,
    commutes,
    descent_filter,
    euler_maruyama,
    filter_gap,
    filter_ratio,
    flow_filter,
    gradient_flow,
    peak_times,
    ridge_filter,
    ridge_path,
    stability_thresholds,
    tuned_risk_ratio,
)
from sgdnotes.flow.expectations import _convolution
from sgdnotes.problems import LeastSquares, Ridge

SAMPLINGS = ("with_replacement", "without_replacement")


def gaussian(n: int, p: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, p))


def data(n: int, p: int, seed: int = 0, rank: int | None = None) -> LeastSquares:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, p))
    if rank is not None:
        a = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, p))
    return LeastSquares(a, rng.standard_normal(n))


def design(n: int, p: int, seed: int = 0, noise: float = 0.7) -> FixedDesign:
    rng = np.random.default_rng(seed)
    return FixedDesign(rng.standard_normal((n, p)), rng.standard_normal(p), noise)


SHAPES = {
    "tall": data(20, 4),
    "square": data(5, 5, 1),
    "wide": data(5, 12, 2),
    "rank-deficient": data(12, 5, 3, rank=2),
    "one column": data(9, 1, 4),
    "one row": data(1, 4, 5),
    "one number": LeastSquares([[2.0]], [3.0]),
    "very wide": LeastSquares(gaussian(3, 400, 6) / 10, gaussian(3, 1, 7)[:, 0]),
}
PROCESSES: tuple[Process, ...] = (
    StochasticGradientFlow(0.05),
    ConstantCovarianceFlow(0.05, residual_variance=0.6),
    Langevin(0.02),
)


def in_full(problem: LeastSquares, matrices: np.ndarray) -> np.ndarray:
    """Matrices given in the eigenvectors, in the coordinates of the coefficients."""
    basis = problem.row_space
    return np.asarray(basis.T @ matrices @ basis)


# ---- gradient flow and ridge -----------------------------------------------------------------


@pytest.mark.parametrize("name", SHAPES)
def test_gradient_flow_solves_its_equation(name: str) -> None:
    problem = SHAPES[name]
    x0 = np.random.default_rng(1).standard_normal(problem.dim)
    times = np.array([0.0, 0.03, 0.4, 2.0]) / problem.smoothness
    solved = solve_ivp(
        lambda t, x: -problem.gradient(x), (0, times[-1]), x0, t_eval=times, rtol=1e-11, atol=1e-12
    ).y.T
    found = gradient_flow(problem, times, x0)
    np.testing.assert_allclose(found, solved, rtol=0, atol=1e-8 * np.abs(solved).max())
    np.testing.assert_array_equal(found[0], x0)
    assert not gradient_flow(problem, [0.0]).any()


@pytest.mark.parametrize("name", SHAPES)
def test_gradient_flow_ends_in_the_nearest_solution(name: str) -> None:
    problem = SHAPES[name]
    end = gradient_flow(problem, [np.inf, 1e6 / problem.spectrum[-1]])
    least_norm = np.linalg.pinv(problem.features) @ problem.targets
    np.testing.assert_allclose(end, [least_norm, least_norm], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_ridge_solves_its_equation(name: str) -> None:
    problem = SHAPES[name]
    n, a, b = problem.n_samples, problem.features, problem.targets
    penalties = np.array([1e-3, 0.1, 30.0])
    direct = [
        np.linalg.solve(a.T @ a / n + penalty * np.eye(problem.dim), a.T @ b / n)
        for penalty in penalties
    ]
    found = ridge_path(problem, penalties)
    np.testing.assert_allclose(found, direct, rtol=1e-8, atol=1e-10)
    # The penalty belongs to the mean of the squares, whose gradient is twice that of F.
    for penalty, x in zip(penalties, found, strict=True):
        gradient = 2 / n * a.T @ (a @ x - b) + 2 * penalty * x
        assert np.abs(gradient).max() < 1e-10 * max(1, np.abs(a).max() ** 2)
    np.testing.assert_allclose(ridge_path(problem, [0.0])[0], np.linalg.pinv(a) @ b, atol=1e-10)
    assert not ridge_path(problem, [np.inf]).any()


def test_filters() -> None:
    s = np.array([2.0, 1e-3, 0.0])
    np.testing.assert_allclose(
        flow_filter([0.0, 1e-12, 3.0, np.inf], s),
        [[0, 0, 0], [2e-12, 1e-15, 0], [-np.expm1(-6), -np.expm1(-3e-3), 0], [1, 1, 0]],
        rtol=1e-11,
    )
    np.testing.assert_allclose(
        ridge_filter([0.0, 2.0, np.inf], s), [[1, 1, 0], [0.5, 1e-3 / 2.001, 0], [0, 0, 0]]
    )
    problem = data(12, 3, 8)
    trace = gradient_descent(
        problem,
        steps=17,
        step_size=0.3,
        record="all",
        metrics={"x": lambda problem, x: x.copy()},
    )
    along = descent_filter(0.3, [0, 5, 17], problem.spectrum) * (
        problem.row_space @ problem.minimizer
    )
    np.testing.assert_allclose(
        along @ problem.row_space, trace.history["x"][[0, 5, 17], 0], atol=1e-13
    )


# ---- risks of filters -------------------------------------------------------------------------


METRICS: tuple[Any, ...] = ("estimation", "prediction", "elsewhere")


def metric_matrix(metric: Any, features: np.ndarray) -> np.ndarray:
    n, p = features.shape
    if metric == "estimation":
        return np.eye(p)
    if metric == "prediction":
        return np.asarray(features.T @ features / n)
    root = gaussian(p, p, 99)
    return np.asarray(root @ root.T)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", [(15, 4), (4, 9), (1, 3), (6, 1)])
def test_risks_by_explicit_matrices(shape: tuple[int, int], metric: Any) -> None:
    of = design(*shape)
    n, p = shape
    weights = metric_matrix(metric, of.features)
    given = metric if isinstance(metric, str) and metric != "elsewhere" else weights
    sigma = of.features.T @ of.features / n
    values, vectors = np.linalg.eigh(sigma)
    t, penalty, eta, k = 1.7, 0.4, 0.2 / values[-1], 6
    safe = np.where(values > 1e-12, values, 1.0)
    smoothers = {
        "flow": (vectors * np.where(values > 1e-12, -np.expm1(-t * values) / safe, t)) @ vectors.T,
        "ridge": np.linalg.inv(sigma + penalty * np.eye(p)),
        "descent": sum(
            (eta * np.linalg.matrix_power(np.eye(p) - eta * sigma, j) for j in range(k)),
            np.zeros((p, p)),
        ),
    }
    found = {
        "flow": of.gradient_flow_risk([t], given),
        "ridge": of.ridge_risk([penalty], given),
        "descent": of.gradient_descent_risk(eta, [k], given),
    }
    for name, smoother in smoothers.items():
        linear = smoother @ of.features.T / n  # the estimator is this matrix times the labels
        bias = linear @ of.features @ of.coefficients - of.coefficients
        variance = of.noise**2 * np.trace(weights @ linear @ linear.T)
        assert found[name].bias_squared[0] == pytest.approx(bias @ weights @ bias, rel=1e-9)
        assert found[name].variance[0] == pytest.approx(variance, rel=1e-9)
        assert found[name].sampling[0] == 0
        assert found[name].total[0] == pytest.approx(bias @ weights @ bias + variance, rel=1e-9)


def test_a_fixed_design() -> None:
    of = design(7, 3)
    hat = of.features @ np.linalg.pinv(of.features)
    np.testing.assert_allclose(of.annihilator, np.eye(7) - hat, atol=1e-14)
    assert not design(3, 5).annihilator.any()
    assert of.problem(0).targets == pytest.approx(of.problem(0).targets)
    residuals = np.array([of.problem(i).targets for i in range(4000)]) - of.noiseless.targets
    assert residuals.std() == pytest.approx(of.noise, rel=0.03)
    assert "n = 7, p = 3, noise 0.7" in repr(of)


# ---- factors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("name", SHAPES)
def test_the_factor_is_a_root_of_the_covariance(name: str, sampling: str) -> None:
    problem, eta = SHAPES[name], 0.3
    n, batch = problem.n_samples, min(2, problem.n_samples)
    rng = np.random.default_rng(4)
    x = rng.standard_normal((3, problem.dim))
    residuals = x @ problem.features.T - problem.targets
    process = StochasticGradientFlow(eta, batch, sampling)
    factor = process.factor(problem.features, residuals)
    assert factor.shape == (3, problem.dim, n)
    assert process.width(n, problem.dim) == n
    c = 1 / batch if sampling == "with_replacement" else (n - batch) / (batch * max(n - 1, 1))
    for k in range(3):
        gradients = residuals[k][:, None] * problem.features
        covariance = np.cov(gradients.T, bias=True).reshape(problem.dim, problem.dim)
        np.testing.assert_allclose(
            factor[k] @ factor[k].T, eta * c * covariance, atol=1e-12 * np.abs(covariance).max()
        )


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("name", SHAPES)
def test_diffusing_is_multiplying_by_the_factor(name: str, process: Process) -> None:
    problem = SHAPES[name]
    rng = np.random.default_rng(5)
    residuals = rng.standard_normal((6, problem.n_samples))
    normals = rng.standard_normal((6, process.width(problem.n_samples, problem.dim)))
    wanted = np.einsum("kiw,kw->ki", process.factor(problem.features, residuals), normals)
    found = process.diffuse(problem.features, residuals, normals)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


def test_the_other_covariances() -> None:
    a = gaussian(8, 3)
    zeros = np.zeros(8)
    constant = ConstantCovarianceFlow(0.2, batch_size=4, residual_variance=3.0).factor(a, zeros)
    np.testing.assert_allclose(constant @ constant.T, 0.2 / 4 * 3 * a.T @ a / 8, rtol=1e-12)
    langevin = Langevin(0.3).factor(a, zeros)
    np.testing.assert_allclose(langevin @ langevin.T, 0.3 * np.eye(3), rtol=1e-12)


# ---- moments of the flow ----------------------------------------------------------------------


def noise_matrix(problem: LeastSquares, u: np.ndarray, m: np.ndarray) -> np.ndarray:
    """The expected covariance of a single gradient, sample by sample, as the lecture writes it."""
    n, a = problem.n_samples, problem.features
    left = problem.targets - a @ problem.minimizer
    total = np.zeros((problem.dim, problem.dim))
    for row, r in zip(a, left, strict=True):
        total += (r**2 - 2 * r * row @ u + row @ m @ row) * np.outer(row, row) / n
    sigma = a.T @ a / n
    return np.asarray(total - sigma @ m @ sigma)


@pytest.mark.parametrize("name", ["tall", "wide", "rank-deficient", "one column"])
def test_flow_moments_solve_the_moment_equation(name: str) -> None:
    problem = SHAPES[name]
    process = StochasticGradientFlow(0.08, 2, "without_replacement")
    p, n = problem.dim, problem.n_samples
    sigma = problem.features.T @ problem.features / n
    c = 0.08 * (n - 2) / (2 * (n - 1))

    def rate(t: float, z: np.ndarray) -> np.ndarray:
        u, m = z[:p], z[p:].reshape(p, p)
        drift = -sigma @ m - m @ sigma + c * noise_matrix(problem, u, m)
        return np.concatenate([-sigma @ u, drift.ravel()])

    first = -problem.minimizer
    times = np.array([0.0, 0.05, 0.6, 3.0])
    z = solve_ivp(
        rate,
        (0, 3.0),
        np.concatenate([first, np.outer(first, first).ravel()]),
        t_eval=times,
        rtol=1e-10,
        atol=1e-12,
    ).y.T
    moments = FlowMoments(problem, process).flow(times)
    second = z[:, p:].reshape(-1, p, p)
    size = np.abs(second).max()
    np.testing.assert_allclose(
        in_full(problem, moments.second_moment), second, rtol=0, atol=1e-7 * size
    )
    np.testing.assert_allclose(moments.mean @ problem.row_space, z[:, :p], atol=1e-7)
    np.testing.assert_allclose(
        moments.trace_covariance,
        np.trace(second, axis1=1, axis2=2) - (z[:, :p] ** 2).sum(axis=1),
        atol=1e-7 * size,
    )
    gap = np.einsum("tij,ij->t", second, sigma) / 2
    np.testing.assert_allclose(moments.gap, gap, atol=1e-7 * size)
    assert moments.trace_covariance[0] == 0


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("name", SHAPES)
def test_flow_moments_are_the_matrix_exponential(name: str, process: Process) -> None:
    moments = FlowMoments(SHAPES[name], process)
    rank = len(moments.problem.spectrum)
    pairs = rank * (rank + 1) // 2
    times = np.array([1e-2, 0.3, 4.0, 50.0]) / moments.problem.smoothness
    found = moments.flow(times).second_moment
    for t, second in zip(times, found, strict=True):
        packed = expm(t * moments.generator) @ moments.state
        size = max(np.abs(moments.state).max(), np.abs(packed).max())
        np.testing.assert_allclose(
            second[np.triu_indices(rank)], packed[:pairs], rtol=0, atol=1e-11 * size
        )


def test_times_from_tiny_to_huge() -> None:
    problem = data(30, 6, 7)
    moments = FlowMoments(problem, StochasticGradientFlow(0.05))
    times = np.geomspace(1e-8, 1e4, 60)
    found = moments.flow(times).trace_covariance
    # Early on the covariance is t times what the noise adds at the origin, to first order in t.
    gradients = problem.targets[:, None] * problem.features
    start = 0.05 * (np.trace(np.cov(gradients.T, bias=True)))
    assert found[0] / times[0] == pytest.approx(start, rel=1e-6)
    assert found[-1] == pytest.approx(np.trace(moments.stationary()), rel=1e-12)
    # The order of the times does not matter, nor which others are asked for.
    assert moments.flow(times[::-1]).trace_covariance[::-1] == pytest.approx(found, rel=1e-13)
    assert moments.flow([times[30]]).trace_covariance[0] == pytest.approx(found[30], rel=1e-13)


def test_constant_covariance_and_langevin_in_closed_form() -> None:
    problem = data(25, 5, 9)
    s = problem.spectrum
    t = np.array([0.0, 1e-6, 0.2, 3.0, 1e3])
    fading = -np.expm1(-2 * t[:, None] * s)
    constant = FlowMoments(problem, ConstantCovarianceFlow(0.1, 4, 1.7)).flow(t)
    wanted = 0.1 * 1.7 / (2 * 4) * fading
    found = np.einsum("tjj->tj", constant.covariance)
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-20)
    langevin = FlowMoments(problem, Langevin(0.3)).flow(t)
    found = np.einsum("tjj->tj", langevin.covariance)
    np.testing.assert_allclose(found, 0.3 / (2 * s) * fading, rtol=1e-10, atol=1e-20)


def test_stationary_covariances_solve_lyapunov_equations() -> None:
    problem = data(25, 4, 10)
    sigma, eta = problem.hessian, 0.1
    process = StochasticGradientFlow(eta, 3)
    moments = FlowMoments(problem, process)
    flow = in_full(problem, moments.stationary())
    noise = eta / 3 * noise_matrix(problem, np.zeros(4), flow)
    np.testing.assert_allclose(flow, solve_continuous_lyapunov(sigma, noise), rtol=1e-10)
    sgd = in_full(problem, moments.sgd(3000).covariance[-1])
    noise = eta / 3 * noise_matrix(problem, np.zeros(4), sgd)
    left = sigma @ sgd + sgd @ sigma - eta * sigma @ sgd @ sigma
    np.testing.assert_allclose(left, noise, rtol=0, atol=1e-10 * np.abs(noise).max())
    assert np.trace(sgd) > 1.02 * np.trace(flow)  # the flow does not share the covariance of SGD


@pytest.mark.parametrize("shape", [(4, 2), (4, 4), (3, 5), (4, 1), (1, 2)])
@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_averages_over_labels_are_averages_over_labels(
    shape: tuple[int, int], process: Process
) -> None:
    """Signs have the two moments that matter, and all of them can be gone through."""
    of = design(*shape, seed=11)
    n = shape[0]
    times, steps = np.array([0.1, 1.0, 8.0]), 6
    runs: dict[str, list[Any]] = {"flow": [], "euler": [], "sgd": []}
    for signs in itertools.product([-1.0, 1.0], repeat=n):
        labels = of.features @ of.coefficients + of.noise * np.array(signs)
        each = FlowMoments(LeastSquares(of.features, labels), process)
        runs["flow"].append(each.flow(times))
        runs["euler"].append(each.euler(0.05, steps))
        if isinstance(process, StochasticGradientFlow):
            runs["sgd"].append(each.sgd(steps))
    averaged = FlowMoments(of, process)
    found: dict[str, Any] = {"flow": averaged.flow(times), "euler": averaged.euler(0.05, steps)}
    if isinstance(process, StochasticGradientFlow):
        found["sgd"] = averaged.sgd(steps)
    for name, moments in found.items():
        basis = of.eigenvectors
        for part in ("covariance", "trace_covariance"):
            values = [getattr(run, part) for run in runs[name]]
            if part == "covariance":  # eigenvectors are the same up to their signs
                values = [
                    (basis @ run.eigenvectors.T) @ v @ (basis @ run.eigenvectors.T).T
                    for v, run in zip(values, runs[name], strict=True)
                ]
            wanted = np.mean(values, axis=0)
            np.testing.assert_allclose(
                getattr(moments, part), wanted, rtol=1e-9, atol=1e-13 * np.abs(wanted).max() + 1e-28
            )
        # The whole risk: the mean squared distance from the true coefficients.
        outside = of.dim - len(of.eigenvalues)
        risk = averaged.risk(moments)
        distances = []
        for run, signs in zip(runs[name], itertools.product([-1.0, 1.0], repeat=n), strict=True):
            labels = of.features @ of.coefficients + of.noise * np.array(signs)
            solution = np.linalg.pinv(of.features) @ labels
            centre = solution + run.mean @ run.eigenvectors
            distances.append(((centre - of.coefficients) ** 2).sum(axis=1) + run.trace_covariance)
        np.testing.assert_allclose(risk.total, np.mean(distances, axis=0), rtol=1e-9)
        np.testing.assert_allclose(
            moments.outside, process.outside * outside * moments.times, rtol=1e-12
        )


# ---- SGD and the Euler scheme -----------------------------------------------------------------


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_three_steps_by_enumeration_and_quadrature(sampling: str) -> None:
    problem, eta, batch, steps = data(4, 2, 12), 0.2, 2, 3
    exact = FlowMoments(problem, StochasticGradientFlow(eta, batch, sampling))
    sgd, euler = exact.sgd(steps), exact.euler(eta, steps)
    enumerated = enumerate_sgd(
        problem, np.zeros(2), steps=steps, step_size=eta, batch_size=batch, sampling=sampling
    )
    np.testing.assert_allclose(sgd.gap, enumerated.gap, rtol=1e-12)
    mean = problem.minimizer + sgd.mean @ problem.row_space
    np.testing.assert_allclose(mean, enumerated.mean, atol=1e-13)
    # Two nodes for each normal integrate the squares of a step exactly: 16 for a step, 4096 in all.
    nodes = np.array(list(itertools.product([-1.0, 1.0], repeat=4)))
    process = StochasticGradientFlow(eta, batch, sampling)
    x = np.zeros((1, 2))
    for k in range(1, steps + 1):
        residuals = x @ problem.features.T - problem.targets
        factor = process.factor(problem.features, residuals)
        moved = x - eta * problem.gradient(x)
        x = (moved[:, None] + np.sqrt(eta) * np.einsum("kiw,sw->ksi", factor, nodes)).reshape(-1, 2)
        np.testing.assert_allclose(
            in_full(problem, euler.covariance[k]), np.cov(x.T, bias=True), rtol=0, atol=1e-14
        )
    assert len(x) == 4096
    # The third moments of the two differ: the lemma says no more than it should.  (Half of the
    # samples and the other half deviate from the mean by opposites, so that those agree, too.)
    path = run_all(problem, eta, batch, sampling, steps)
    third = ((path - path.mean(axis=0)) ** 3).mean(axis=0)
    other = ((x - x.mean(axis=0)) ** 3).mean(axis=0)
    differ = np.abs(third - other).max() > 0.01 * np.abs(third).max()
    assert differ == (sampling == "with_replacement")


def run_all(problem: LeastSquares, eta: float, batch: int, sampling: str, steps: int) -> np.ndarray:
    """The last points of all equally likely runs of SGD from the origin."""
    n = problem.n_samples
    draws = (
        list(itertools.product(range(n), repeat=batch))
        if sampling == "with_replacement"
        else list(itertools.permutations(range(n), batch))
    )
    x = np.zeros((1, problem.dim))
    for _ in range(steps):
        moved = []
        for draw in draws:
            rows, labels = problem.features[list(draw)], problem.targets[list(draw)]
            moved.append(x - eta * (x @ rows.T - labels) @ rows / batch)
        x = np.concatenate(moved)
    return x


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("shape", [(100, 10), (6, 9), (40, 1)])
def test_sgd_and_the_euler_scheme_share_two_moments(
    shape: tuple[int, int], averaged: bool, sampling: str
) -> None:
    of = design(*shape, seed=13)
    subject = of if averaged else of.problem(1)
    problem = of.noiseless
    eta = 0.3 * stability_thresholds(problem, 3, sampling).sgd
    moments = FlowMoments(subject, StochasticGradientFlow(eta, 3, sampling))
    sgd, euler = moments.sgd(1000), moments.euler(eta, 1000)
    # Where all labels can be fitted both fall below the rounding of the residuals.
    tiny = 1e-20 * sgd.trace_covariance.max()
    np.testing.assert_allclose(euler.trace_covariance, sgd.trace_covariance, rtol=1e-11, atol=tiny)
    np.testing.assert_allclose(euler.gap, sgd.gap, rtol=1e-11, atol=tiny)
    np.testing.assert_array_equal(euler.mean, sgd.mean)
    size = np.abs(sgd.covariance).max(axis=(1, 2), keepdims=True)
    assert (np.abs(euler.covariance - sgd.covariance) <= 1e-11 * size + tiny).all()
    # Half the step twice is another scheme.
    half = moments.euler(eta / 2, 20).trace_covariance[::2]
    assert np.abs(half - sgd.trace_covariance[:11]).max() > 0.005 * sgd.trace_covariance[:11].max()


def test_the_steps_as_matrices() -> None:
    problem = data(10, 3, 14)
    moments = FlowMoments(problem, StochasticGradientFlow(0.1, 2))
    pairs = 6
    for step, found in [
        (moments.sgd_step(), moments.sgd(5)),
        (moments.euler_step(0.03), moments.euler(0.03, 5)),
    ]:
        state = np.linalg.matrix_power(step, 5) @ moments.state
        packed = found.second_moment[-1][np.triu_indices(3)]
        np.testing.assert_allclose(packed, state[:pairs], rtol=1e-10, atol=1e-14)


def test_the_flow_differs_from_sgd_in_proportion_to_the_step() -> None:
    problem, t = data(100, 10, 15), 5.0
    gaps = []
    steps = np.array([0.025, 0.0125, 0.00625])
    for eta in steps:
        moments = FlowMoments(problem, StochasticGradientFlow(eta, 10))
        sgd = moments.sgd(round(t / eta)).trace_covariance[-1]
        flow = moments.flow([t]).trace_covariance[0]
        gaps.append(abs(flow - sgd) / sgd)
    orders = np.diff(np.log(gaps)) / np.diff(np.log(steps))
    assert np.abs(orders - 1).max() <= 0.05
    assert 1e-3 < gaps[0] < 0.1


def test_smaller_steps_help_the_flow_and_no_constant_covariance() -> None:
    of = FixedDesign(gaussian(100, 10, 2), np.ones(10) / np.sqrt(10), 1.0)
    problem = of.problem(0)
    square = 2 * problem.minimum
    for t in (0.5, 20.0):
        gaps = []
        for eta in (0.025, 0.0125):
            own = FlowMoments(problem, StochasticGradientFlow(eta, 10))
            wanted = own.sgd(round(t / eta)).covariance[-1]
            rivals = (
                StochasticGradientFlow(eta, 10),
                ConstantCovarianceFlow(eta, 10),
                ConstantCovarianceFlow(eta, 10, square),
                Langevin(eta * square / 10),
            )
            found = [FlowMoments(problem, rival).flow([t]).covariance[0] for rival in rivals]
            gaps.append([np.linalg.norm(k - wanted) / np.linalg.norm(wanted) for k in found])
        coarse, fine = np.array(gaps)
        assert np.log2(coarse[0] / fine[0]) == pytest.approx(1, abs=0.05)
        assert fine[0] < 0.03
        assert (fine[1:] > 0.15).all()
        assert (np.abs(fine[1:] / coarse[1:] - 1) < 0.05).all()


# ---- stability --------------------------------------------------------------------------------


def test_the_noise_keeps_semidefinite_matrices_so_but_is_not_semidefinite() -> None:
    moments = FlowMoments(LeastSquares(np.eye(2), [1.0, -1.0]), StochasticGradientFlow(1.0))
    noise = moments.noise[:3, :3]  # on the entries (1, 1), (1, 2), (2, 2)
    swap = noise @ [0.0, 1.0, 0.0]
    assert 2 * swap[1] == pytest.approx(-0.5)  # the inner product of the swap with its image
    rng = np.random.default_rng(0)
    for w in rng.standard_normal((50, 2)):
        image = noise @ [w[0] ** 2, w[0] * w[1], w[1] ** 2]
        assert np.linalg.eigvalsh([[image[0], image[1]], [image[1], image[2]]])[0] > -1e-12


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("name", ["tall", "square", "wide", "rank-deficient", "one column"])
def test_thresholds_by_kronecker_products(name: str, sampling: str) -> None:
    problem, batch = SHAPES[name], 2
    n = problem.n_samples
    rows = problem.features @ problem.row_space.T
    sigma, unit = np.diag(problem.spectrum), np.eye(len(problem.spectrum))
    double = np.einsum("ij,ik->ijk", rows, rows).reshape(n, -1)
    spread = double.T @ double / n - np.kron(sigma, sigma)
    c = 1 / batch if sampling == "with_replacement" else (n - batch) / (batch * (n - 1))

    def sgd(eta: float) -> float:
        shrink = unit - eta * sigma
        return float(
            np.abs(np.linalg.eigvals(np.kron(shrink, shrink) + eta**2 * c * spread)).max() - 1
        )

    def flow(eta: float) -> float:
        drift = -np.kron(sigma, unit) - np.kron(unit, sigma)
        return float(np.linalg.eigvals(drift + eta * c * spread).real.max())

    found = stability_thresholds(problem, batch, sampling)
    for of, value in ((sgd, found.sgd), (flow, found.flow)):
        assert brentq(of, 0.3 * value, 3 * value) == pytest.approx(value, rel=1e-9)
        assert of(0.99 * value) < 0 < of(1.01 * value)
    process = StochasticGradientFlow(0.9 * found.flow, batch, sampling)
    assert FlowMoments(problem, process).growth == pytest.approx(flow(0.9 * found.flow), rel=1e-8)


def test_thresholds_in_closed_form() -> None:
    a = np.array([1.0, 2.0, 3.0])
    s, fourth = (a**2).mean(), (a**4).mean()
    found = stability_thresholds(LeastSquares(a[:, None], np.ones(3)))
    assert found.sgd == pytest.approx(2 * s / fourth)
    assert found.flow == pytest.approx(2 * s / (fourth - s**2))
    alone = stability_thresholds(LeastSquares([[2.0, 1.0]], [1.0]))
    assert (alone.sgd, alone.flow) == (pytest.approx(2 / 5), np.inf)
    for seed in range(20):  # whatever the rounding of a single row leaves
        assert stability_thresholds(data(1, 3, seed)).flow == np.inf
    whole = stability_thresholds(data(6, 2), 6, "without_replacement")
    assert (whole.sgd, whole.flow) == (pytest.approx(2 / data(6, 2).smoothness), np.inf)


def test_beyond_the_threshold() -> None:
    problem = data(20, 3, 16)
    limit = stability_thresholds(problem).flow
    above = FlowMoments(problem, StochasticGradientFlow(1.05 * limit))
    assert above.growth > 0
    late = above.flow([0.0, 10.0, 100.0, 1e6]).trace_covariance
    assert (np.diff(late) > 0).all()
    assert late[-1] == np.inf  # too large for floating point, and not a NaN
    assert (
        FlowMoments(design(20, 3, 16), StochasticGradientFlow(1.05 * limit))
        .risk(FlowMoments(design(20, 3, 16), StochasticGradientFlow(1.05 * limit)).flow([1e6]))
        .total[0]
        == np.inf
    )
    for ask in (above.stationary, lambda: above.flow([np.inf])):
        with pytest.raises(ValueError, match="process: wanted one whose moments stay bounded"):
            ask()
    below = FlowMoments(problem, StochasticGradientFlow(0.95 * limit))
    assert below.growth < 0
    assert np.isfinite(below.flow([1e6, np.inf]).trace_covariance).all()
    sgd = stability_thresholds(problem).sgd
    assert sgd < limit
    assert FlowMoments(problem, StochasticGradientFlow(1.02 * sgd)).growth < 0
    assert FlowMoments(problem, StochasticGradientFlow(1.02 * sgd)).sgd(4000).gap[-1] > 1e3


def test_moments_that_outgrow_floating_point_are_infinite_and_never_nan() -> None:
    moments = FlowMoments(DESIGN, StochasticGradientFlow(5.0))
    run = moments.sgd(5000)
    assert not np.isnan(run.second_moment).any()
    assert not np.isnan(run.mean).any()
    for metric in ("estimation", "prediction"):
        assert moments.risk(run, metric).total[-1] == np.inf
        risk = DESIGN.gradient_descent_risk(5.0, [0, 5000], metric)
        assert (risk.bias_squared[1], risk.variance[1]) == (np.inf, np.inf)
    # Who starts at the solution and sees no noise stays, whatever the step.
    still = FlowMoments(LeastSquares([[1.0], [3.0]], [0.0, 0.0]), StochasticGradientFlow(5.0))
    assert still.growth > 0
    for found in (still.flow([1.0, 1e6]), still.sgd(5000), still.euler(5.0, 5000)):
        assert not found.second_moment.any()
        assert not found.mean.any()
    # Where all labels can be fitted the bound on the loss has one growing term only.
    wide = FixedDesign(gaussian(3, 6), np.ones(6), 0.0)
    bounds = FlowBounds(wide, 2 * FlowBounds(wide, 1.0).largest_step)
    assert bounds.alpha < 0
    assert bounds.loss([1e9])[0] == np.inf


# ---- paths ------------------------------------------------------------------------------------


def z_scores(samples: np.ndarray, exact: float) -> tuple[float, float]:
    """The distance of a mean from what is exact in standard errors, and their relative size."""
    error = samples.std(ddof=1) / np.sqrt(len(samples))
    return abs(samples.mean() - exact) / error, error / abs(exact)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("shape", [(15, 4), (4, 6)])
def test_paths_agree_with_the_moments_of_the_flow(shape: tuple[int, int], process: Process) -> None:
    problem = data(*shape, seed=17)
    h, steps = 0.01, 100
    trace = euler_maruyama(
        problem,
        process,
        steps=steps,
        time_step=h,
        rng=3,
        replicates=8000,
        record=[0, steps],
        metrics={"x": lambda problem, x: x.copy()},
    )
    x = trace.history["x"][-1]
    moments = FlowMoments(problem, process)
    flow, scheme = moments.flow([h * steps]), moments.euler(h, steps)
    squares = ((x - problem.minimizer - scheme.mean[-1] @ problem.row_space) ** 2).sum(axis=1)
    z, error = z_scores(squares, scheme.trace_covariance[-1])
    assert z <= 5
    assert error < 0.02
    # The steps are small enough for the moments of the flow itself.
    bias = abs(flow.trace_covariance[0] / scheme.trace_covariance[-1] - 1)
    assert bias < 2 * error
    squares = ((x - problem.minimizer - flow.mean[0] @ problem.row_space) ** 2).sum(axis=1)
    z, _ = z_scores(squares, flow.trace_covariance[0])
    assert z <= 5
    deviation = np.abs(x.mean(axis=0) - problem.minimizer - scheme.mean[-1] @ problem.row_space)
    assert (deviation <= 5 * x.std(axis=0) / np.sqrt(len(x)) + 1e-12).all()


def test_paths_stay_in_the_row_space_and_can_start_anywhere() -> None:
    problem = data(4, 7, 18)
    x0 = np.random.default_rng(0).standard_normal((5, 7))
    trace = euler_maruyama(
        problem,
        StochasticGradientFlow(0.1),
        x0,
        steps=30,
        time_step=0.05,
        rng=0,
        replicates=5,
        record="all",
        metrics={"x": lambda problem, x: x.copy()},
    )
    assert trace.success
    assert len(trace.history["x"]) == 31
    moved = trace.history["x"][-1] - x0
    inside = moved @ problem.row_space.T @ problem.row_space
    np.testing.assert_allclose(moved, inside, atol=1e-12)
    again = euler_maruyama(
        problem, StochasticGradientFlow(0.1), x0, steps=30, time_step=0.05, rng=0, replicates=5
    )
    np.testing.assert_array_equal(again.x, trace.x)


def simulated_risk(
    of: FixedDesign, eta: float, batch: int, steps: int, h: float | None, weights: np.ndarray
) -> np.ndarray:
    """Squared errors of SGD, or of Euler steps h, each run with labels of its own."""
    rng = np.random.default_rng(19)
    runs, n = 8000, of.n_samples
    signal = of.features @ of.coefficients
    labels = signal + of.noise * rng.standard_normal((runs, n))
    x = np.zeros((runs, of.dim))
    for _ in range(steps):
        residuals = x @ of.features.T - labels
        if h is None:
            drawn = rng.integers(n, size=(runs, batch))
            rows = of.features[drawn]
            chosen = np.take_along_axis(residuals, drawn, axis=1)
            x = x - eta * np.einsum("kb,kbp->kp", chosen, rows) / batch
        else:
            gradients = residuals[:, :, None] * of.features
            mean = gradients.mean(axis=1)
            w = rng.standard_normal((runs, n))
            noise = np.einsum("kn,knp->kp", w, gradients - mean[:, None])
            x = x - h * mean + np.sqrt(h * eta / (batch * n)) * noise
    error = x - of.coefficients
    return np.asarray(np.einsum("kp,pq,kq->k", error, weights, error))


@pytest.mark.parametrize("scheme", ["SGD", "flow"])
@pytest.mark.parametrize("kind", ["tall", "wide", "correlated"])
def test_risks_agree_with_simulated_labels_and_sampling(kind: str, scheme: str) -> None:
    rng = np.random.default_rng(20)
    if kind == "tall":
        of, metric = FixedDesign(rng.standard_normal((20, 4)), np.ones(4) / 2, 1.0), "estimation"
    elif kind == "wide":
        of, metric = FixedDesign(rng.standard_normal((5, 8)), np.ones(8) / 3, 0.5), "prediction"
    else:
        root = np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4))))
        of = FixedDesign(rng.standard_normal((15, 4)) @ root.T, np.array([1.0, 0, 0, -1]), 1.0)
        metric = "elsewhere"
    weights = metric_matrix(metric, of.features)
    given: Any = weights if metric == "elsewhere" else metric
    eta, batch, t = 0.1, 2, 2.0
    moments = FlowMoments(of, StochasticGradientFlow(eta, batch))
    if scheme == "SGD":
        steps = round(t / eta)
        exact = moments.risk(moments.sgd(steps), given).total[-1]
        samples = simulated_risk(of, eta, batch, steps, None, weights)
    else:
        exact = moments.risk(moments.flow([t]), given).total[0]
        samples = simulated_risk(of, eta, batch, 100, t / 100, weights)
    z, error = z_scores(samples, exact)
    assert z <= 5
    assert error < 0.02


# ---- corners ----------------------------------------------------------------------------------


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("name", SHAPES)
def test_corners(name: str, process: Process) -> None:
    problem = SHAPES[name]
    of = FixedDesign(problem.features, np.ones(problem.dim), 0.5)
    with np.errstate(all="raise", under="ignore"):
        for subject in (problem, of):
            moments = FlowMoments(subject, process)
            found = moments.flow([0.0, 1.0, 3.0])
            assert not found.covariance[0].any()
            assert found.trace_covariance[0] == 0
            assert (found.trace_covariance >= 0).all()
            assert np.isfinite(found.second_moment).all()
            assert np.isfinite(moments.euler(1e-3, 5).trace_covariance).all()
        risk = moments.risk(found)
        start = of.coefficients @ of.coefficients
        assert risk.total[0] == pytest.approx(start)
        assert (risk.sampling[0], risk.variance[0]) == (0, 0)
        trace = euler_maruyama(problem, process, steps=5, time_step=1e-3, rng=0, replicates=2)
    assert trace.success
    if name in {"one row", "one number"} and isinstance(process, StochasticGradientFlow):
        assert not found.trace_covariance.any()  # a single sample makes no noise
        assert not FlowMoments(problem, process).sgd(9).trace_covariance.any()


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (4, 2), (3, 6)])
def test_a_batch_of_all_samples_makes_no_noise_without_replacement(
    shape: tuple[int, int], sampling: str
) -> None:
    n = shape[0]
    of = design(*shape, seed=26)
    for subject in (of, of.problem(0)):
        process = StochasticGradientFlow(0.05, n, sampling)
        moments = FlowMoments(subject, process)
        found = (moments.flow([0.0, 1.0, np.inf]), moments.sgd(5), moments.euler(0.05, 5))
        quiet = sampling == "without_replacement" or n == 1
        assert all(part.trace_covariance.any() != quiet for part in found)
        bounds = FlowBounds(subject, 0.05, n, sampling)
        if sampling == "without_replacement":
            assert bounds.largest_step == np.inf
            assert not bounds.covariance([0.0, 1.0]).any()


def test_samples_that_agree_make_no_noise() -> None:
    rows, labels = np.tile([0.3, -1.1, 0.7], (5, 1)), np.full(5, 1.3)
    for subject in (LeastSquares(rows, labels), FixedDesign(rows, [1.0, 2.0, 3.0], 0.0)):
        moments = FlowMoments(subject, StochasticGradientFlow(0.1))
        assert not moments.sgd(20).trace_covariance.any()
        assert moments.flow([1.0, 9.0]).trace_covariance == pytest.approx([0, 0], abs=1e-30)
    # With labels of their own, or features, samples make noise again.
    for subject in (FixedDesign(rows, np.ones(3), 1.0), LeastSquares(rows, np.arange(5.0))):
        assert FlowMoments(subject, StochasticGradientFlow(0.1)).sgd(3).trace_covariance[-1] > 1e-3


def test_metrics_with_rounding_are_taken_as_what_they_are() -> None:
    turn = np.linalg.qr(gaussian(7, 7, 27))[0]
    of = FixedDesign(gaussian(3, 7), np.ones(7), 0.5)
    found = of.ridge_risk([1.0], turn.T @ (3 * turn)).total  # 3 I up to rounding
    assert found == pytest.approx(3 * of.ridge_risk([1.0]).total)


def test_a_singular_covariance_never_raises() -> None:
    problem = LeastSquares(np.ones((4, 3)), np.ones(4))  # Q is zero at the solution
    for start in (np.zeros(3), problem.minimizer):
        trace = euler_maruyama(
            problem, StochasticGradientFlow(0.1), start, steps=50, time_step=0.1, rng=1
        )
        assert trace.success
    assert trace.x[0] == pytest.approx(problem.minimizer, abs=1e-14)
    # Of rank one in three dimensions, and not zero: what moves is the sum of the coefficients.
    problem = LeastSquares(np.ones((4, 3)), [1.0, -1.0, 2.0, 0.0])
    moved = [
        euler_maruyama(problem, StochasticGradientFlow(0.1), steps=50, time_step=0.1, rng=seed).x[0]
        for seed in (1, 2)
    ]
    assert abs(moved[0][0] - moved[1][0]) > 1e-3
    assert np.ptp(moved, axis=1) == pytest.approx([0, 0], abs=1e-12)


def test_under_interpolation_the_noise_dies_out() -> None:
    rng = np.random.default_rng(21)
    n, p = 30, 60
    a = rng.standard_normal((n, p))
    signal = rng.standard_normal(p)
    of = FixedDesign(a, 2 * signal / np.linalg.norm(signal), 1.0)
    moments = FlowMoments(of, StochasticGradientFlow(0.02, 5))
    found = moments.flow([1.0, 60.0, 200.0, 2000.0])
    assert found.trace_covariance[0] > 1e-3
    assert found.trace_covariance[1] < 1e-9
    # Far below rounding of the first values it still falls at the rate that it should.
    rate = np.log(found.trace_covariance[3] / found.trace_covariance[2]) / 1800
    assert rate == pytest.approx(moments.growth, rel=1e-2)
    faded = found.mean[1] / found.mean[0]
    np.testing.assert_allclose(faded, np.exp(-59 * of.eigenvalues), rtol=1e-10)
    assert FlowBounds(of, 0.02, 5).least_loss == 0
    noisy = FlowMoments(of, ConstantCovarianceFlow(0.02, 5)).flow([2000.0])
    assert noisy.trace_covariance[0] > 0.01


def test_langevin_moves_where_no_feature_is() -> None:
    a, tau, t = gaussian(3, 7, 22), 0.04, 2.5
    of = FixedDesign(a, np.ones(7), 0.3)
    moments = FlowMoments(of, Langevin(tau))
    found = moments.flow([0.0, t])
    s = of.eigenvalues
    inside = (tau / (2 * s) * -np.expm1(-2 * t * s)).sum()
    assert found.outside == pytest.approx([0, 4 * tau * t])
    assert found.trace_covariance[1] == pytest.approx(inside + 4 * tau * t)
    risk = moments.risk(found)
    assert risk.sampling[1] == pytest.approx(inside + 4 * tau * t)
    assert moments.risk(found, "prediction").sampling[1] == pytest.approx(
        (tau / 2 * -np.expm1(-2 * t * s)).sum()
    )
    # Anywhere else, by the covariance of all coefficients.
    weights = metric_matrix("elsewhere", a)
    basis = of.eigenvectors
    whole = basis.T @ found.covariance[1] @ basis + tau * t * (np.eye(7) - basis.T @ basis)
    # Weights count in the other directions by their mean there, which the noise makes exact.
    assert moments.risk(found, weights).sampling[1] == pytest.approx(np.sum(weights * whole))
    late = moments.flow([np.inf])
    assert late.trace_covariance[0] == np.inf
    assert moments.risk(late).total[0] == np.inf
    # Predictions at the given features do not see those directions.
    assert moments.risk(late, "prediction").sampling[0] == pytest.approx(3 * tau / 2)
    with pytest.raises(ValueError, match="SGD"):
        moments.sgd(3)


# ---- constants and bounds ---------------------------------------------------------------------


def test_the_constants_solve_their_equations() -> None:
    x = brentq(lambda x: np.exp(x) - 1 - x - x**2, 1, 3, xtol=1e-14)
    assert filter_ratio().at == pytest.approx(x, abs=1e-6)
    assert filter_ratio().value == pytest.approx((1 + x) ** 2 / (1 + x + x**2), rel=1e-13)
    assert filter_ratio().value ** 2 == pytest.approx(1.68590906, abs=1e-8)
    x = brentq(lambda x: np.exp(x) - (1 + x) ** 2, 1, 4, xtol=1e-14)
    assert filter_gap().at == pytest.approx(x, abs=1e-6)
    assert filter_gap().value == pytest.approx(1 / (1 + x) - np.exp(-x), rel=1e-13)
    x = np.geomspace(1e-4, 1e4, 200_001)
    flow, ridge = -np.expm1(-x), x / (1 + x)
    assert (flow / ridge).max() == pytest.approx(filter_ratio().value, rel=1e-8)
    assert (flow - ridge).max() == pytest.approx(filter_gap().value, rel=1e-8)
    ratio = (np.exp(-2 * x) + flow**2 / x) * (1 + x)
    assert ratio.max() == pytest.approx(tuned_risk_ratio().value, rel=1e-8)
    assert x[ratio.argmax()] == pytest.approx(tuned_risk_ratio().at, rel=1e-3)
    assert ratio.max() <= tuned_risk_ratio().value * (1 + 1e-12)


@pytest.mark.parametrize("share", [0.3, 0.999, 1.0, 2.5])
@pytest.mark.parametrize("shape", [(12, 3), (3, 6), (8, 1)])
def test_bounds_by_their_integrals(shape: tuple[int, int], share: float) -> None:
    problem = data(*shape, seed=23)
    n, s = problem.n_samples, problem.spectrum
    eta = share * FlowBounds(problem, 1.0, 2).largest_step
    bounds = FlowBounds(problem, eta, 2)
    coordinates = problem.features @ problem.row_space.T
    zeta = max(row @ problem.hessian @ row for row in problem.features)
    omega = (coordinates**2).max(axis=0)
    assert bounds.zeta == pytest.approx(zeta)
    assert bounds.omega == pytest.approx(omega)
    assert (omega <= n * s * (1 + 1e-12)).all()
    first = problem.targets @ problem.targets / (2 * n)
    least = problem.minimum
    assert bounds.first_loss == pytest.approx(first)
    alpha = 2 * s[-1] - eta / 2 * zeta
    assert bounds.alpha == pytest.approx(alpha, abs=1e-12 * s[-1])
    times = np.array([0.0, 0.2, 3.0, 9.0])

    def rate(t: float, phi: np.ndarray) -> np.ndarray:
        return -2 * s[-1] * (phi - least) + eta / 2 * zeta * phi

    solved = solve_ivp(rate, (0, 9.0), [first], t_eval=times, rtol=1e-11, atol=1e-13).y[0]
    np.testing.assert_allclose(bounds.loss(times), solved, rtol=1e-8, atol=1e-10 * first)
    for t, total in zip(times, bounds.covariance(times), strict=True):
        integral, _ = quad_vec(
            lambda tau, t=t: (
                2 * np.exp(-2 * (t - tau) * s) * bounds.loss([tau])[0]  # type: ignore[operator]
            ),
            0,
            t,
            epsrel=1e-10,
        )
        assert total == pytest.approx(eta / 2 * omega @ integral, rel=1e-8)
    loose = bounds.covariance(times, seed_form=True)
    assert (bounds.covariance(times) <= loose * (1 + 1e-12)).all()
    second, third = bounds.covariance_terms(times)
    if share != 1.0:
        np.testing.assert_allclose(
            (second + third).sum(axis=1), bounds.covariance(times), rtol=1e-9, atol=1e-15
        )
        np.testing.assert_allclose(
            bounds.covariance(times, metric="prediction"), (second + third) @ s, rtol=1e-9
        )
    if share < 1:
        assert bounds.loss([1e9])[0] == pytest.approx(bounds.limit, abs=1e-12 * first)


def test_bounds_averaged_over_labels() -> None:
    of = design(4, 2, 24)
    times = np.array([0.1, 1.0, 5.0])
    each = [
        FlowBounds(LeastSquares(of.features, of.noiseless.targets + of.noise * np.array(e)), 0.05)
        for e in itertools.product([-1.0, 1.0], repeat=4)
    ]
    averaged = FlowBounds(of, 0.05)
    assert averaged.least_loss == pytest.approx(np.mean([b.least_loss for b in each]))
    assert averaged.first_loss == pytest.approx(np.mean([b.first_loss for b in each]))
    np.testing.assert_allclose(averaged.loss(times), np.mean([b.loss(times) for b in each], axis=0))
    np.testing.assert_allclose(
        averaged.covariance(times), np.mean([b.covariance(times) for b in each], axis=0)
    )


def test_where_the_second_term_peaks() -> None:
    problem = data(30, 4, 25)
    bounds = FlowBounds(problem, 0.4 * FlowBounds(problem, 1.0).largest_step)
    t = np.linspace(0, 8 / bounds.alpha, 400_001)[:, None]
    term = np.exp(-bounds.alpha * t) - np.exp(-2 * t * problem.spectrum)
    found = bounds.peak_times
    np.testing.assert_allclose(t[term.argmax(axis=0), 0], found, rtol=0, atol=2 * t[1, 0])
    second, _ = bounds.covariance_terms(np.append(found, [0.0]))
    assert not second[-1].any()
    assert peak_times(1.0, [0.5])[0] == pytest.approx(1.0)  # the limit where both rates agree
    assert peak_times(1.0, [0.5 + 1e-9])[0] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="step_size: wanted one below"):
        _ = FlowBounds(problem, 1.1 * bounds.largest_step).peak_times


def test_the_tuned_flow_beats_tuned_ridge_for_one_signal() -> None:
    """The source's claim for a fixed signal fails on two very different directions."""
    a = np.column_stack([np.ones(100), 0.1 * (-1.0) ** np.arange(100)])
    of = FixedDesign(a, [1.0, 0.0], np.sqrt(0.2))
    assert of.eigenvalues == pytest.approx([1, 0.01])
    ridge = of.ridge_risk(np.geomspace(1e-6, 1e3, 100_001)).total.min()
    assert ridge == pytest.approx(0.009035, abs=1e-6)
    assert of.gradient_flow_risk([4.58]).total[0] == pytest.approx(0.002465, abs=1e-6)
    for eta, flow, sgd in (
        (0.05, None, None),
        (0.01, 0.00359, 0.003587),
        (0.001, 0.00258, 0.002577),
    ):
        moments = FlowMoments(of, StochasticGradientFlow(eta))
        found = (
            moments.risk(moments.flow(np.linspace(3, 8, 51))).total.min(),
            moments.risk(moments.sgd(round(10 / eta))).total.min(),
        )
        assert max(found) < ridge
        if flow is not None:
            assert found == (pytest.approx(flow, abs=1e-5), pytest.approx(sgd, abs=1e-6))


# ---- bad input --------------------------------------------------------------------------------


PROBLEM = data(6, 2)
DESIGN = design(6, 2)
BAD: dict[str, tuple[str, Any]] = {
    "negative time": ("times: wanted", lambda: gradient_flow(PROBLEM, [-1.0])),
    "time not a number": ("times: wanted", lambda: gradient_flow(PROBLEM, [np.nan])),
    "times as a number": ("times: wanted", lambda: flow_filter(1.0, [1.0])),
    "negative penalty": ("penalties: wanted", lambda: ridge_path(PROBLEM, [-0.1])),
    "time as text": ("times: wanted", lambda: gradient_flow(PROBLEM, ["soon"])),
    "complex time": ("times: wanted", lambda: gradient_flow(PROBLEM, [1j])),
    "ragged times": ("times: wanted", lambda: gradient_flow(PROBLEM, [[1.0, 2.0], [3.0]])),
    "flow of ridge regression": (
        "problem: wanted least squares",
        lambda: gradient_flow(Ridge(gaussian(5, 2), np.ones(5), 0.1), [1.0]),  # type: ignore[arg-type]
    ),
    "ridge path of a design": (
        "problem: wanted least squares",
        lambda: ridge_path(DESIGN, [1.0]),  # type: ignore[arg-type]
    ),
    "infinite eigenvalue": ("eigenvalues: wanted", lambda: flow_filter([1.0], [np.inf])),
    "start of another shape": ("x0: wanted", lambda: gradient_flow(PROBLEM, [1.0], np.ones(3))),
    "half a step": ("steps: wanted whole", lambda: descent_filter(0.1, [0.5], [1.0])),
    "infinitely many steps": ("steps: wanted whole", lambda: descent_filter(0.1, [np.inf], [1.0])),
    "no step size": ("step_size: wanted", lambda: StochasticGradientFlow(0.0)),
    "no batch": ("batch_size: wanted", lambda: StochasticGradientFlow(0.1, 0)),
    "sampling": ("sampling", lambda: StochasticGradientFlow(0.1, 1, "bootstrap")),
    "residual variance": (
        "residual_variance: wanted",
        lambda: ConstantCovarianceFlow(0.1, residual_variance=-1.0),
    ),
    "temperature": ("temperature: wanted", lambda: Langevin(-1.0)),
    "large batch": (
        "batch_size: wanted",
        lambda: FlowMoments(PROBLEM, StochasticGradientFlow(0.1, 7)),
    ),
    "large batch on a path": (
        "batch_size: wanted",
        lambda: euler_maruyama(PROBLEM, StochasticGradientFlow(0.1, 7), steps=1, time_step=0.1),
    ),
    "large batch of a bound": ("batch_size: wanted", lambda: FlowBounds(PROBLEM, 0.1, 7)),
    "time step": (
        "time_step: wanted",
        lambda: euler_maruyama(PROBLEM, Langevin(0.1), steps=1, time_step=0.0),
    ),
    "ridge regression": (
        "data: wanted",
        lambda: FlowMoments(Ridge(gaussian(5, 2), np.ones(5), 0.1), Langevin(0.1)),  # type: ignore[arg-type]
    ),
    "ridge regression on a path": (
        "problem: wanted least squares",
        lambda: euler_maruyama(
            Ridge(gaussian(5, 2), np.ones(5), 0.1),  # type: ignore[arg-type]
            Langevin(0.1),
            steps=1,
            time_step=0.1,
        ),
    ),
    "no process on a path": (
        "process: wanted",
        lambda: euler_maruyama(PROBLEM, None, steps=1, time_step=0.1),  # type: ignore[arg-type]
    ),
    "step of the scheme": (
        "time_step: wanted",
        lambda: FlowMoments(PROBLEM, Langevin(0.1)).euler_step(-0.1),
    ),
    "filters": ("filters: wanted shape", lambda: DESIGN.risk_of_filter(np.ones((2, 3)))),
    "moments of another design": (
        "moments: wanted those of this design",
        lambda: FlowMoments(DESIGN, Langevin(0.1)).risk(
            FlowMoments(design(6, 2, 1), Langevin(0.1)).flow([1.0])
        ),
    ),
    "an order": (
        "sampling: wanted batches drawn afresh",
        lambda: FlowMoments(PROBLEM, StochasticGradientFlow(0.1, 1, "reshuffled")),
    ),
    "eigenvectors of nothing": (
        "design: wanted",
        lambda: commutes(PROBLEM, "estimation"),  # type: ignore[arg-type]
    ),
    "no process": ("process: wanted", lambda: FlowMoments(PROBLEM, 0.1)),  # type: ignore[arg-type]
    "bounds on nothing": ("data: wanted", lambda: FlowBounds(None, 0.1)),  # type: ignore[arg-type]
    "thresholds of nothing": (
        "problem: wanted least squares",
        lambda: stability_thresholds(None),  # type: ignore[arg-type]
    ),
    "coefficients": ("coefficients: wanted", lambda: FixedDesign(gaussian(4, 2), np.ones(3), 1.0)),
    "noise": ("noise: wanted", lambda: FixedDesign(gaussian(4, 2), np.ones(2), -1.0)),
    "metric": ("metric: wanted one of", lambda: DESIGN.ridge_risk([1.0], "test error")),
    "metric's shape": ("metric: wanted shape", lambda: DESIGN.ridge_risk([1.0], np.eye(3))),
    "metric's sign": ("metric: wanted a positive", lambda: DESIGN.ridge_risk([1.0], -np.eye(2))),
    "metric's symmetry": (
        "metric: wanted a positive",
        lambda: DESIGN.ridge_risk([1.0], [[1.0, 0.5], [0.0, 1.0]]),
    ),
    "metric of a bound": (
        "metric: wanted a matrix with the eigenvectors",
        lambda: FlowBounds(DESIGN, 0.1).covariance([1.0], metric=np.diag([1.0, 2.0])),
    ),
    "infinite time of a bound": (
        "times: wanted a list of finite",
        lambda: FlowBounds(DESIGN, 0.1).loss([np.inf]),
    ),
    "risk of fixed labels": (
        "data: wanted a FixedDesign",
        lambda: FlowMoments(PROBLEM, Langevin(0.1)).risk(
            FlowMoments(PROBLEM, Langevin(0.1)).flow([1.0])
        ),
    ),
    "steps": ("steps: wanted", lambda: FlowMoments(PROBLEM, StochasticGradientFlow(0.1)).sgd(-1)),
    "peak": ("alpha: wanted", lambda: peak_times(0.0, [1.0])),
    "peak of nothing": ("eigenvalues: wanted", lambda: peak_times(1.0, [1.0, 0.0])),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    message, ask = BAD[name]
    with pytest.raises(ValueError, match=message):
        ask()


def test_a_process_whose_noise_is_not_symmetric_is_refused() -> None:
    class Lopsided(StochasticGradientFlow):
        def factor(self, features: np.ndarray, residuals: np.ndarray) -> np.ndarray:
            turned = super().factor(features, residuals).copy()
            turned[..., 0, :] *= 3
            return turned

    with pytest.raises(ValueError, match="symmetric map"):
        FlowMoments(PROBLEM, Lopsided(0.1)).flow([1.0])


def test_which_metrics_share_the_eigenvectors() -> None:
    assert commutes(DESIGN, "estimation")
    assert commutes(DESIGN, "prediction")
    assert commutes(DESIGN, 3 * DESIGN.noiseless.hessian + np.eye(2))
    assert not commutes(DESIGN, np.diag([1.0, 2.0]))


def test_rates_that_agree() -> None:
    t, same = 1.7, np.array([0.0, 1e-17, 1e-9])
    found = _convolution(np.full(3, -0.4), same, t)
    np.testing.assert_allclose(found, t * np.exp(-0.4 * t), rtol=1e-8)
    # The covariance fades at the rate of the mean, which feeds it.
    problem = LeastSquares([[1.0], [3.0]], [1.0, -1.0])
    moments = FlowMoments(problem, StochasticGradientFlow(5 / 16))
    assert moments.growth == pytest.approx(-problem.spectrum[0])
    packed = expm(t * moments.generator) @ moments.state
    assert moments.flow([t]).second_moment[0, 0, 0] == pytest.approx(packed[0], rel=1e-12)


def test_the_covariance_is_what_quad_says() -> None:
    """A direct look at the convolution behind all times: one direction, one exponential."""
    problem = LeastSquares([[1.0], [2.0]], [1.0, -1.0])
    moments = FlowMoments(problem, StochasticGradientFlow(0.1))
    s, u = problem.spectrum[0], -problem.minimizer[0]
    a, r = problem.features[:, 0], problem.targets - problem.features[:, 0] * problem.minimizer[0]
    spread = (a**4).mean() - s**2

    def source(tau: float) -> float:
        mean = u * np.exp(-s * tau)
        return float(0.1 * ((r**2 * a**2).mean() - 2 * (r * a**3).mean() * mean + spread * mean**2))

    growth = -2 * s + 0.1 * spread
    for t in (0.01, 1.0, 7.0):
        wanted, _ = quad(lambda tau, t=t: np.exp(growth * (t - tau)) * source(tau), 0, t)
        assert moments.flow([t]).trace_covariance[0] == pytest.approx(wanted, rel=1e-9)
