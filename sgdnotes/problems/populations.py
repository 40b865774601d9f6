"""Expectations over fresh samples, where no sample is ever seen twice."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.problems.base import Population


class GaussianLeastSquares(Population):
    r"""Least squares over an endless stream, :math:`f(x) = \frac12\mathbb E(a^\top x - b)^2`.

    The features :math:`a` are Gaussian with mean zero, and :math:`b = a^\top x^* + s\xi` with a
    standard Gaussian :math:`\xi` of its own, so that
    :math:`f(x) = \frac12(x - x^*)^\top\Sigma(x - x^*) + \frac12s^2`.

    Parameters
    ----------
    covariance : array_like of shape (dim, dim)
        :math:`\Sigma`, positive definite.
    coefficients : array_like of shape (dim,)
        :math:`x^*`.
    noise : float
        :math:`s \ge 0`.
    """

    name = "least squares over a Gaussian population"
    convex = True

    def __init__(self, covariance: ArrayLike, coefficients: ArrayLike, noise: float) -> None:
        self.coefficients = _validate.finite_array("coefficients", coefficients, ndim=1)
        self.covariance = _validate.finite_array("covariance", covariance, ndim=2)
        self.noise = _validate.real("noise", noise, at_least=0)
        self.dim = self.coefficients.size
        if self.covariance.shape != (self.dim, self.dim):
            raise ValueError(
                f"covariance: wanted shape ({self.dim}, {self.dim}), got {self.covariance.shape}"
            )
        symmetric = np.allclose(self.covariance, self.covariance.T, rtol=1e-10, atol=0)
        if not symmetric or np.linalg.eigvalsh(self.covariance)[0] <= 0:
            raise ValueError("covariance: wanted a symmetric positive definite matrix, got another")

    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> FloatArray:
        """Return features and, in the last place, targets, shape ``(*size, dim + 1)``."""
        standard = rng.standard_normal((*size, self.dim + 1))
        features = np.matvec(self._root, standard[..., :-1])  # unlike @, the same in any block
        targets = features @ self.coefficients + self.noise * standard[..., -1]
        return np.concatenate([features, targets[..., None]], axis=-1)

    @cached_property
    def _root(self) -> FloatArray:
        return np.asarray(np.linalg.cholesky(self.covariance))

    def value(self, x: FloatArray) -> FloatArray:
        return self.gap(x) + self.minimum

    def gap(self, x: FloatArray) -> FloatArray:
        offset = x - self.coefficients
        return np.asarray(np.vecdot(offset @ self.covariance, offset) / 2)

    def gradient(self, x: FloatArray) -> FloatArray:
        return np.asarray((x - self.coefficients) @ self.covariance)

    def minibatch_gradient(self, x: FloatArray, samples: FloatArray) -> FloatArray:
        features, targets = samples[..., :-1], samples[..., -1]
        residuals = np.matvec(features, x) - targets
        return np.asarray(np.vecmat(residuals, features) / samples.shape[-2])

    @cached_property
    def _spectrum(self) -> FloatArray:
        return np.asarray(np.linalg.eigvalsh(self.covariance))

    @property
    def smoothness(self) -> float:
        return float(self._spectrum[-1])

    @property
    def strong_convexity(self) -> float:
        return float(self._spectrum[0])

    @property
    def pl_constant(self) -> float:
        return self.strong_convexity

    @property
    def minimum(self) -> float:
        return self.noise**2 / 2

    @property
    def minimizer(self) -> FloatArray:
        return self.coefficients


class NormalMedian(Population):
    r"""The median of a stream as a minimiser, :math:`f(x) = \mathbb E|x - \omega|`.

    For normal :math:`\omega` of mean :math:`m` and standard deviation :math:`s` the gradient is
    :math:`2\Phi((x - m)/s) - 1`, while the gradient at a sample is the sign of :math:`x - \omega`:
    the expectation is smooth, although no sample's loss is.

    Parameters
    ----------
    mean : float, default 0
    standard_deviation : float, default 1
        Above 0.
    """

    name = "mean distance to a normal variable"
    convex = True
    dim = 1
    strong_convexity = 0.0
    pl_constant = 0.0

    def __init__(self, mean: float = 0.0, standard_deviation: float = 1.0) -> None:
        self.mean = _validate.real("mean", mean)
        self.standard_deviation = _validate.real("standard_deviation", standard_deviation, above=0)

    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> FloatArray:
        """Return samples, shape ``(*size, 1)``."""
        return self.mean + self.standard_deviation * rng.standard_normal((*size, 1))

    def _standard(self, x: FloatArray) -> FloatArray:
        return (x - self.mean) / self.standard_deviation

    def value(self, x: FloatArray) -> FloatArray:
        z = self._standard(x[..., 0])
        density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return np.asarray(self.standard_deviation * (2 * density + z * (2 * ndtr(z) - 1)))

    def gradient(self, x: FloatArray) -> FloatArray:
        return np.asarray(2 * ndtr(self._standard(x)) - 1)

    def minibatch_gradient(self, x: FloatArray, samples: FloatArray) -> FloatArray:
        return np.asarray(np.sign(x[:, None] - samples).mean(axis=1))

    @property
    def smoothness(self) -> float:
        return float(np.sqrt(2 / np.pi) / self.standard_deviation)

    @property
    def minimum(self) -> float:
        return float(self.standard_deviation * np.sqrt(2 / np.pi))

    @property
    def minimizer(self) -> FloatArray:
        return np.array([self.mean])
