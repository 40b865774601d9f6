r"""Gradient flow and ridge regression on least squares, and their risks.

With :math:`F(\beta) = \frac1{2n}\|X\beta - y\|^2` and the eigenvalues :math:`s_j` of
:math:`\Sigma = \frac1nX^\top X`, every method here multiplies the coordinates of the least-squares
solution :math:`X^+y` in the eigenvectors by a *filter*:

- gradient flow at time t by :math:`1 - e^{-ts}`;
- gradient descent after k steps of size :math:`\eta` by :math:`1 - (1 - \eta s)^k`;
- ridge regression, :math:`\min_\beta\frac1n\|X\beta - y\|^2 + \lambda\|\beta\|^2`, by
  :math:`\frac s{s + \lambda}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.problems import LeastSquares


def flow_filter(times: ArrayLike, eigenvalues: ArrayLike) -> FloatArray:
    """Return :math:`1 - e^{-ts}`, shape ``(count, r)``.

    Parameters
    ----------
    times : array_like of shape (count,)
        At least 0; infinity is allowed.
    eigenvalues : array_like of shape (r,)
    """
    t = _validate.nonnegative("times", times)[:, None]
    s = _validate.nonnegative("eigenvalues", eigenvalues, finite=True)
    with np.errstate(over="ignore"):
        return np.asarray(-np.expm1(-np.where(s > 0, t, 0.0) * np.where(s > 0, s, 1.0)))


def descent_filter(step_size: float, steps: ArrayLike, eigenvalues: ArrayLike) -> FloatArray:
    r"""Return :math:`1 - (1 - \eta s)^k`, shape ``(count, r)``.

    Parameters
    ----------
    step_size : float
    steps : array_like of int, shape (count,)
    eigenvalues : array_like of shape (r,)
    """
    eta = _validate.real("step_size", step_size, above=0)
    k = _validate.nonnegative("steps", steps)[:, None]
    if not (np.isfinite(k) & (k == np.floor(k))).all():
        raise ValueError(f"steps: wanted whole numbers, got {steps!r}")
    s = _validate.nonnegative("eigenvalues", eigenvalues, finite=True)
    with np.errstate(over="ignore"):
        return np.asarray(1 - (1 - eta * s) ** k)


def ridge_filter(penalties: ArrayLike, eigenvalues: ArrayLike) -> FloatArray:
    r"""Return :math:`\frac s{s + \lambda}`, zero where s is zero; penalties may be infinite.

    Parameters
    ----------
    penalties : array_like of shape (count,)
        :math:`\lambda \ge 0`.
    eigenvalues : array_like of shape (r,)
    """
    penalty = _validate.nonnegative("penalties", penalties)[:, None]
    s = _validate.nonnegative("eigenvalues", eigenvalues, finite=True)
    return np.asarray(np.where(s > 0, s, 0.0) / (np.where(s > 0, s, 1.0) + penalty))


def gradient_flow(
    problem: LeastSquares, times: ArrayLike, x0: ArrayLike | None = None
) -> FloatArray:
    r"""Return the gradient flow :math:`\dot\beta = -\nabla F(\beta)` at some times.

    Parameters
    ----------
    problem : LeastSquares
        Of any rank and shape.
    times : array_like of shape (count,)
        At least 0; infinity is allowed.
    x0 : array_like of shape (dim,), optional
        The origin when omitted.

    Returns
    -------
    ndarray of shape (count, dim)
    """
    problem = check_least_squares(problem)
    start = _validate.starting_points(x0, problem.dim, 1)[0]
    moved = flow_filter(times, problem.spectrum)
    along = problem.row_space @ (problem.minimizer - start)
    return np.asarray(start + (moved * along) @ problem.row_space)


def ridge_path(problem: LeastSquares, penalties: ArrayLike) -> FloatArray:
    r"""Return :math:`\arg\min_\beta\frac1n\|X\beta - y\|^2 + \lambda\|\beta\|^2` for each penalty.

    Parameters
    ----------
    problem : LeastSquares
    penalties : array_like of shape (count,)
        :math:`\lambda \ge 0`; for 0 the least-squares solution of least norm.

    Returns
    -------
    ndarray of shape (count, dim)
    """
    problem = check_least_squares(problem)
    shrunk = ridge_filter(penalties, problem.spectrum)
    return np.asarray((shrunk * (problem.row_space @ problem.minimizer)) @ problem.row_space)


@dataclass(frozen=True, eq=False)
class Risk:
    r"""The mean squared error of an estimator and its parts, each of shape ``(count,)``.

    Attributes
    ----------
    bias_squared : ndarray
        From the part of the signal that is not yet fitted.
    variance : ndarray
        From the noise in the labels.
    sampling : ndarray
        From the randomness of the method, zero for a deterministic one.
    """

    bias_squared: FloatArray
    variance: FloatArray
    sampling: FloatArray

    @property
    def total(self) -> FloatArray:
        """The sum of the parts."""
        return self.bias_squared + self.variance + self.sampling


class FixedDesign:
    r"""Data :math:`y = X\beta_* + \varepsilon` with fixed features.

    The noise :math:`\varepsilon` has independent entries of mean zero and variance
    :math:`\sigma^2`; every expectation over it is in closed form.

    Parameters
    ----------
    features : array_like of shape (n_samples, dim)
        X, of any rank.
    coefficients : array_like of shape (dim,)
        :math:`\beta_*`.
    noise : float
        :math:`\sigma \ge 0`.
    """

    def __init__(self, features: ArrayLike, coefficients: ArrayLike, noise: float) -> None:
        self.coefficients = _validate.finite_array("coefficients", coefficients, ndim=1)
        self.noise = _validate.real("noise", noise, at_least=0)
        given = _validate.finite_array("features", features, ndim=2)
        if given.shape[1] != self.coefficients.size:
            raise ValueError(
                f"coefficients: wanted one for each of the {given.shape[1]} columns of features, "
                f"got {self.coefficients.size}"
            )
        self.noiseless = LeastSquares(given, given @ self.coefficients)
        self.features = self.noiseless.features
        self.n_samples, self.dim = self.features.shape

    @property
    def eigenvalues(self) -> FloatArray:
        r"""The nonzero eigenvalues of :math:`\Sigma`, decreasing, shape ``(rank,)``."""
        return self.noiseless.spectrum

    @property
    def eigenvectors(self) -> FloatArray:
        """Those that belong to them, shape ``(rank, dim)``."""
        return self.noiseless.row_space

    @cached_property
    def signal(self) -> FloatArray:
        r"""The coordinates of :math:`\beta_*` in the eigenvectors, shape ``(rank,)``."""
        return np.asarray(self.eigenvectors @ self.coefficients)

    @cached_property
    def annihilator(self) -> FloatArray:
        """I minus the hat matrix, which takes labels to residuals, shape ``(n, n)``."""
        if len(self.eigenvalues) == self.n_samples:
            return np.zeros((self.n_samples, self.n_samples))
        scale = np.sqrt(self.n_samples * self.eigenvalues)
        left = self.features @ self.eigenvectors.T / scale
        return np.asarray(np.eye(self.n_samples) - left @ left.T)

    def problem(self, rng: int | np.random.Generator | None = None) -> LeastSquares:
        """Return least squares with Gaussian noise in the labels.

        Parameters
        ----------
        rng : None, int or numpy.random.Generator
        """
        noise = _validate.generator(rng).standard_normal(self.n_samples)
        return LeastSquares(self.features, self.features @ self.coefficients + self.noise * noise)

    # ---- risks ----------------------------------------------------------------------------

    def weights(self, metric: str | ArrayLike = "estimation") -> FloatArray:
        r"""Return the matrix W of the loss :math:`(\beta - \beta_*)^\top W(\beta - \beta_*)`.

        Parameters
        ----------
        metric : {"estimation", "prediction"} or array_like of shape (dim, dim)
            The identity; :math:`\Sigma`, for predictions at the given features; or the covariance
            of new features, for predictions at those.
        """
        if isinstance(metric, str):
            _validate.one_of("metric", metric, ["estimation", "prediction"])
            return np.eye(self.dim) if metric == "estimation" else self.noiseless.hessian
        return check_semidefinite("metric", metric, self.dim)

    def risk_of_filter(self, filters: FloatArray, metric: str | ArrayLike = "estimation") -> Risk:
        r"""Return the risk of the estimator that filters the least-squares solution.

        Parameters
        ----------
        filters : ndarray of shape (count, rank)
        metric : {"estimation", "prediction"} or array_like of shape (dim, dim)

        Returns
        -------
        Risk
        """
        weights, rank = self.weights(metric), len(self.eigenvalues)
        if np.ndim(filters) != 2 or np.shape(filters)[1] != rank:
            raise ValueError(f"filters: wanted shape (count, {rank}), got {np.shape(filters)}")
        with np.errstate(over="ignore", invalid="ignore"):
            bias = (filters * self.signal) @ self.eigenvectors - self.coefficients
            spread = np.vecdot(self.eigenvectors @ weights, self.eigenvectors) / self.eigenvalues
            variance = self.noise**2 / self.n_samples * (filters**2 @ spread)
            squared = np.vecdot(bias @ weights, bias)
        # Filters that have outgrown floating point, or whose squares have, leave infinite risks.
        squared = np.where(np.isnan(squared), np.inf, squared)
        variance = np.where(np.isnan(variance), np.inf if self.noise else 0.0, variance)
        return Risk(squared, variance, np.zeros(len(filters)))

    def ridge_risk(self, penalties: ArrayLike, metric: str | ArrayLike = "estimation") -> Risk:
        r"""Return the risk of ridge regression.

        Parameters
        ----------
        penalties : array_like of shape (count,)
            :math:`\lambda \ge 0`.
        metric : {"estimation", "prediction"} or array_like of shape (dim, dim)
        """
        return self.risk_of_filter(ridge_filter(penalties, self.eigenvalues), metric)

    def gradient_flow_risk(self, times: ArrayLike, metric: str | ArrayLike = "estimation") -> Risk:
        """Return the risk of the gradient flow from the origin.

        Parameters
        ----------
        times : array_like of shape (count,)
            At least 0; infinity is allowed.
        metric : {"estimation", "prediction"} or array_like of shape (dim, dim)
        """
        return self.risk_of_filter(flow_filter(times, self.eigenvalues), metric)

    def gradient_descent_risk(
        self, step_size: float, steps: ArrayLike, metric: str | ArrayLike = "estimation"
    ) -> Risk:
        """Return the risk of gradient descent from the origin.

        Parameters
        ----------
        step_size : float
        steps : array_like of int, shape (count,)
        metric : {"estimation", "prediction"} or array_like of shape (dim, dim)
        """
        return self.risk_of_filter(descent_filter(step_size, steps, self.eigenvalues), metric)

    def __repr__(self) -> str:
        return f"fixed design (n = {self.n_samples}, p = {self.dim}, noise {self.noise:g})"


def check_least_squares(problem: object) -> LeastSquares:
    """Return `problem` when it is least squares; ridge regression, for one, is not."""
    if not isinstance(problem, LeastSquares):
        raise ValueError(f"problem: wanted least squares, got {problem!r}")
    return problem


def check_semidefinite(name: str, value: ArrayLike, dim: int) -> FloatArray:
    """Return a matrix when it is positive semidefinite, up to rounding.

    Parameters
    ----------
    name : str
        What messages call it.
    value : array_like of shape (dim, dim)
    dim : int
    """
    matrix = _validate.finite_array(name, value, ndim=2)
    if matrix.shape != (dim, dim):
        raise ValueError(f"{name}: wanted shape ({dim}, {dim}), got {matrix.shape}")
    rounding = 1e-10 * np.abs(matrix).max()
    if np.abs(matrix - matrix.T).max() > rounding or np.linalg.eigvalsh(matrix)[0] < -rounding:
        raise ValueError(f"{name}: wanted a positive semidefinite matrix, got another")
    return matrix
