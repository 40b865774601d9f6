r"""How far the flows can be from ridge regression: constants and bounds in closed form.

The constants compare two filters at :math:`\lambda = 1/t`, where both depend on
:math:`x = ts_j` only: :math:`1 - e^{-x}` for gradient flow, :math:`\frac x{1 + x}` for ridge
regression.  The bounds on the loss and the covariance of stochastic gradient flow, with
:math:`c` the variance factor of the minibatch, use

.. math:: \mu = s_r, \quad \zeta = \max_ix_i^\top\Sigma x_i, \quad
    \omega_j = \max_i(v_j^\top x_i)^2, \quad \alpha = 2\mu - \eta c\zeta .
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.flow.designs import FixedDesign
from sgdnotes.problems import LeastSquares
from sgdnotes.sampling import Sampling, resolve

# ---- constants --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Maximum:
    """The largest value of a function of one variable and where it is taken.

    Attributes
    ----------
    value, at : float
    """

    value: float
    at: float


def _largest(function: Callable[[float], float]) -> Maximum:
    """Return the maximum over [0.1, 20] of a function that first rises and then falls there."""
    found = minimize_scalar(
        lambda x: -function(x), bounds=(0.1, 20.0), method="bounded", options={"xatol": 1e-12}
    )
    return Maximum(-float(found.fun), float(found.x))


@cache
def filter_ratio() -> Maximum:
    r"""Return :math:`c_0 = \max_x\frac{(1 - e^{-x})(1 + x)}x`.

    No coordinate of gradient flow is more than so many times that of ridge regression.
    """
    return _largest(lambda x: -np.expm1(-x) * (1 + x) / x)


@cache
def filter_gap() -> Maximum:
    r"""Return :math:`\max_x\bigl(\frac1{1 + x} - e^{-x}\bigr)`.

    No coordinate of gradient flow and of ridge regression differ by more than this part of that
    of the least-squares solution.
    """
    return _largest(lambda x: 1 / (1 + x) - np.exp(-x))


@cache
def tuned_risk_ratio() -> Maximum:
    r"""Return :math:`\max_x\bigl(e^{-2x} + \frac{(1 - e^{-x})^2}x\bigr)(1 + x)`.

    Under an isotropic prior the tuned risk of gradient flow is at most so many times that of
    tuned ridge regression.
    """
    return _largest(lambda x: (np.exp(-2 * x) + np.expm1(-x) ** 2 / x) * (1 + x))


# ---- bounds -----------------------------------------------------------------------------------


class FlowBounds:
    """Bounds on the loss and the covariance of stochastic gradient flow from the origin.

    They hold for every step size.  Where `alpha` is positive they stay bounded for all times;
    elsewhere they grow, although the flow itself may not.

    Parameters
    ----------
    data : LeastSquares or FixedDesign
        Fixed labels, or labels whose noise is averaged over.
    step_size : float
    batch_size : int, default 1
    sampling : {"with_replacement", "without_replacement"} or Sampling
    """

    def __init__(
        self,
        data: LeastSquares | FixedDesign,
        step_size: float,
        batch_size: int = 1,
        sampling: str | Sampling = "with_replacement",
    ) -> None:
        if not isinstance(data, (LeastSquares, FixedDesign)):
            raise ValueError(f"data: wanted LeastSquares or a FixedDesign, got {data!r}")
        self.data = data
        self.problem = data if isinstance(data, LeastSquares) else data.noiseless
        self.step_size = _validate.real("step_size", step_size, above=0)
        n = self.problem.n_samples
        batch = _validate.integer("batch_size", batch_size, at_least=1, at_most=n)
        self.noise_factor = resolve(sampling).variance_factor(n, batch)

    # ---- constants of the data ------------------------------------------------------------

    @cached_property
    def _squared_coordinates(self) -> FloatArray:
        """The squared coordinates of the rows in the eigenvectors, shape ``(n_samples, r)``."""
        return np.asarray((self.problem.features @ self.problem.row_space.T) ** 2)

    @property
    def zeta(self) -> float:
        r"""The largest :math:`x_i^\top\Sigma x_i`."""
        return float((self._squared_coordinates @ self.problem.spectrum).max())

    @property
    def omega(self) -> FloatArray:
        r"""The largest :math:`(v_j^\top x_i)^2` of each eigenvector, shape ``(r,)``."""
        return np.asarray(self._squared_coordinates.max(axis=0))

    @property
    def mu(self) -> float:
        r"""The smallest positive eigenvalue of :math:`\Sigma`."""
        return float(self.problem.spectrum[-1])

    @property
    def _noise(self) -> float:
        return self.step_size * self.noise_factor * self.zeta

    @property
    def alpha(self) -> float:
        r""":math:`2\mu - \eta c\zeta`, the rate at which the bounds approach their limits."""
        return 2 * self.mu - self._noise

    @property
    def largest_step(self) -> float:
        r""":math:`\frac{2\mu}{c\zeta}`, below which `alpha` is positive."""
        factor = self.noise_factor * self.zeta
        return 2 * self.mu / factor if factor > 0 else np.inf

    @property
    def first_loss(self) -> float:
        r""":math:`F(0)`; for a `FixedDesign` its expectation over the noise in the labels."""
        if isinstance(self.data, LeastSquares):
            return float(self.data.targets @ self.data.targets) / (2 * self.data.n_samples)
        signal = self.data.features @ self.data.coefficients
        return float(signal @ signal / self.data.n_samples + self.data.noise**2) / 2

    @property
    def least_loss(self) -> float:
        r""":math:`F_*`; for a `FixedDesign` its expectation, :math:`\sigma^2\frac{n - r}{2n}`."""
        if isinstance(self.data, LeastSquares):
            return float(self.data.minimum)
        n, rank = self.data.n_samples, len(self.data.eigenvalues)
        return float(self.data.noise**2 * (n - rank) / (2 * n))

    @property
    def limit(self) -> float:
        r""":math:`\gamma = \frac{2\mu}\alpha F_*`, the limit of `loss` for positive `alpha`."""
        if self.alpha == 0:
            return math.inf if self.least_loss > 0 else 0.0
        return 2 * self.mu / self.alpha * self.least_loss

    # ---- bounds ---------------------------------------------------------------------------

    def loss(self, times: ArrayLike) -> FloatArray:
        r"""Return the bound :math:`\gamma + (F_0 - \gamma)e^{-\alpha t}` on the expected loss.

        Parameters
        ----------
        times : array_like of shape (count,)
            At least 0, finite.
        """
        t = _validate.nonnegative("times", times, finite=True)
        with np.errstate(over="ignore"):
            # Where it is zero it must not meet a growth that is infinite.
            least = self.least_loss * self._noise * _rise(self.alpha, t) if self.least_loss else 0.0
            excess = (self.first_loss - self.least_loss) * np.exp(-self.alpha * t)
            return np.asarray(self.least_loss + excess + least)

    def covariance_terms(
        self, times: ArrayLike, *, seed_form: bool = False
    ) -> tuple[FloatArray, FloatArray]:
        r"""Return the two terms of the bound on each variance, each of shape ``(count, r)``.

        In eigenvector j they are :math:`\eta c\frac{\omega_j}{s_j}` times

        .. math:: (F_0 - \gamma)\frac{s_j}{s_j - \alpha/2}(e^{-\alpha t} - e^{-2ts_j})
            \quad\text{and}\quad \gamma(1 - e^{-2ts_j}).

        Parameters
        ----------
        times : array_like of shape (count,)
            At least 0, finite.
        seed_form : bool, default False
            Put the looser n for :math:`\omega_j/s_j`.
        """
        t = _validate.nonnegative("times", times, finite=True)[:, None]
        s = self.problem.spectrum
        weights = self._weights(seed_form)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            bracket = 2 * s * np.exp(-self.alpha * t) * _rise(2 * s - self.alpha, t)
            transient = (self.first_loss - self.limit) * bracket
            lasting = -self.limit * np.expm1(-2 * t * s)
        return np.asarray(weights * transient), np.asarray(weights * lasting)

    def covariance(
        self, times: ArrayLike, *, metric: str | ArrayLike = "estimation", seed_form: bool = False
    ) -> FloatArray:
        r"""Return the bound on the trace of the covariance, each variance weighted.

        Parameters
        ----------
        times : array_like of shape (count,)
            At least 0, finite.
        metric : {"estimation", "prediction"} or array_like of shape (dim, dim)
            A matrix with the eigenvectors of :math:`\Sigma`; see `FixedDesign.weights`.
        seed_form : bool, default False
            Put the looser n for :math:`\omega_j/s_j`.
        """
        t = _validate.nonnegative("times", times, finite=True)[:, None]
        s = self.problem.spectrum
        # The sum of both terms, without the limit, which is infinite where alpha is zero.
        with np.errstate(over="ignore", invalid="ignore"):
            fading = np.exp(-self.alpha * t) * _rise(2 * s - self.alpha, t)
            sums = (self.first_loss - self.least_loss) * 2 * s * fading
            sums += self.least_loss * -np.expm1(-2 * t * s)
            sums += self.least_loss * self._noise * (_rise(self.alpha, t) - fading)
        sums = np.where(np.isnan(sums), np.inf, sums)
        weights = self._weights(seed_form) * self._metric(metric)
        return np.asarray(sums[:, weights != 0] @ weights[weights != 0])

    def _weights(self, seed_form: bool) -> FloatArray:
        loose = np.full_like(self.omega, self.problem.n_samples)
        ratio = loose if seed_form else self.omega / self.problem.spectrum
        return np.asarray(self.step_size * self.noise_factor * ratio)

    def _metric(self, metric: str | ArrayLike) -> FloatArray:
        design = self.data
        if isinstance(design, LeastSquares):
            design = FixedDesign(design.features, design.minimizer, 0.0)
        basis = design.eigenvectors
        inside = basis @ design.weights(metric) @ basis.T
        if not commutes(design, metric):
            raise ValueError("metric: wanted a matrix with the eigenvectors of Σ, got another")
        return np.diagonal(inside)

    @property
    def peak_times(self) -> FloatArray:
        r"""Where :math:`e^{-\alpha t} - e^{-2ts_j}` is largest, shape ``(r,)``.

        At :math:`t_j^* = \frac{\ln(2s_j/\alpha)}{2s_j - \alpha}`, for positive `alpha`.
        """
        if self.alpha <= 0:
            raise ValueError(
                f"step_size: wanted one below {self.largest_step:.6g}, got {self.step_size:g}"
            )
        return peak_times(self.alpha, self.problem.spectrum)


def peak_times(alpha: float, eigenvalues: ArrayLike) -> FloatArray:
    r"""Return :math:`\frac{\ln(2s/\alpha)}{2s - \alpha}`, shape ``(r,)``.

    Parameters
    ----------
    alpha : float
        Positive.
    eigenvalues : array_like of shape (r,)
        Positive.
    """
    rate = _validate.real("alpha", alpha, above=0)
    s = _validate.finite_array("eigenvalues", eigenvalues, ndim=1)
    if not (s > 0).all():
        raise ValueError(f"eigenvalues: wanted numbers above 0, got {s.min():g}")
    ratio = 2 * s / rate - 1
    safe = np.where(ratio == 0, 1.0, ratio)
    return np.asarray(np.where(ratio == 0, 1.0, np.log1p(safe) / safe) / rate)


def commutes(design: FixedDesign, metric: str | ArrayLike) -> bool:
    r"""Return whether `metric` has the eigenvectors of :math:`\Sigma` of `design`."""
    if not isinstance(design, FixedDesign):
        raise ValueError(f"design: wanted a FixedDesign, got {design!r}")
    weights, sigma = design.weights(metric), design.noiseless.hessian
    twisted = weights @ sigma - sigma @ weights
    size = np.abs(weights).max() * np.abs(sigma).max()
    return bool(np.abs(twisted).max() <= 1e-9 * size)


def _rise(rate: float | FloatArray, t: FloatArray) -> FloatArray:
    r"""Return :math:`\int_0^te^{-\text{rate}\,\tau}d\tau` for a rate of any sign."""
    rate = np.asarray(rate, dtype=float)
    safe = np.where(rate == 0, 1.0, rate)
    return np.asarray(np.where(rate == 0, t, -np.expm1(-safe * t) / safe))
