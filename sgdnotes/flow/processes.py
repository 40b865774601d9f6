r"""Diffusions that stand for SGD on least squares, and their simulation.

All of them follow the gradient flow and add noise,

.. math:: d\beta_t = -\nabla F(\beta_t)\,dt + A(\beta_t)\,dW_t, \qquad
    F(\beta) = \tfrac1{2n}\|X\beta - y\|^2 .

They differ in the factor :math:`A`.  It is never found by taking the square root of the covariance
:math:`Q = AA^\top`: each process has a factor in closed form, which is as good when Q is singular.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.engine import Trace, run
from sgdnotes.flow.designs import check_least_squares
from sgdnotes.problems import LeastSquares, Objective
from sgdnotes.sampling import Sampling, fresh, resolve
from sgdnotes.updates import GradientStep


class Process(ABC):
    r"""The noise of a diffusion along the gradient flow of least squares.

    The factor :math:`A` depends on the point through the residuals :math:`\rho = X\beta - y` only,
    and is affine in them.
    """

    @abstractmethod
    def factor(self, features: FloatArray, residuals: FloatArray) -> FloatArray:
        r"""Return the factor, shape ``(..., dim, width)``, where the residuals are these.

        Parameters
        ----------
        features : ndarray of shape (n_samples, dim)
        residuals : ndarray of shape (..., n_samples)
        """

    @abstractmethod
    def diffuse(
        self, features: FloatArray, residuals: FloatArray, normals: FloatArray
    ) -> FloatArray:
        """Return the factor times normals, without forming the factor.

        Parameters
        ----------
        features : ndarray of shape (n_samples, dim)
        residuals : ndarray of shape (replicates, n_samples)
        normals : ndarray of shape (replicates, width)

        Returns
        -------
        ndarray of shape (replicates, dim)
        """

    def width(self, n_samples: int, dim: int) -> int:
        """Return the dimension of the Brownian motion."""
        return n_samples

    @property
    def outside(self) -> float:
        """The variance that a unit of time adds in each direction that no feature has."""
        return 0.0


@dataclass(frozen=True)
class StochasticGradientFlow(Process):
    r"""The diffusion whose noise is that of minibatch SGD, wherever it is.

    With c the variance factor of the minibatch and :math:`\eta` the step size of SGD,

    .. math:: A(\beta) = \sqrt{\tfrac{\eta c}n}\, X^\top\operatorname{diag}(\rho)
        \bigl(I - \tfrac1n\mathbf 1\mathbf 1^\top\bigr), \qquad \rho = X\beta - y,

    and :math:`AA^\top = \eta c\,C(\beta)` with the covariance C of a single sample's gradient.

    Parameters
    ----------
    step_size : float
        :math:`\eta`.
    batch_size : int, default 1
    sampling : {"with_replacement", "without_replacement"} or Sampling
    """

    step_size: float
    batch_size: int = 1
    sampling: str | Sampling = "with_replacement"

    def __post_init__(self) -> None:
        _validate.real("step_size", self.step_size, above=0)
        _validate.integer("batch_size", self.batch_size, at_least=1)
        resolve(self.sampling)

    def _scale(self, n_samples: int) -> float:
        batch = _validate.integer("batch_size", self.batch_size, at_least=1, at_most=n_samples)
        factor = resolve(self.sampling).variance_factor(n_samples, batch)
        return math.sqrt(self.step_size * factor / n_samples)

    def factor(self, features: FloatArray, residuals: FloatArray) -> FloatArray:
        """Return the factor at these residuals, shape ``(..., dim, width)``."""
        weighted = features.T * residuals[..., None, :]
        centered = weighted - weighted.mean(axis=-1, keepdims=True)
        return np.asarray(self._scale(len(features)) * centered)

    def diffuse(
        self, features: FloatArray, residuals: FloatArray, normals: FloatArray
    ) -> FloatArray:
        """Return the factor times `normals`, shape ``(replicates, dim)``."""
        centered = normals - normals.mean(axis=-1, keepdims=True)
        return np.asarray(self._scale(len(features)) * ((residuals * centered) @ features))


@dataclass(frozen=True)
class ConstantCovarianceFlow(Process):
    r"""The diffusion whose covariance is :math:`\frac{\eta v}m\,\frac1nX^\top X` at every point.

    Parameters
    ----------
    step_size : float
        :math:`\eta`.
    batch_size : int, default 1
        m.
    residual_variance : float, default 1
        v, the variance of the residuals that the process assumes.
    """

    step_size: float
    batch_size: int = 1
    residual_variance: float = 1.0

    def __post_init__(self) -> None:
        _validate.real("step_size", self.step_size, above=0)
        _validate.integer("batch_size", self.batch_size, at_least=1)
        _validate.real("residual_variance", self.residual_variance, at_least=0)

    def _scale(self, n_samples: int) -> float:
        return math.sqrt(self.step_size * self.residual_variance / (self.batch_size * n_samples))

    def factor(self, features: FloatArray, residuals: FloatArray) -> FloatArray:
        """Return the factor at these residuals, shape ``(..., dim, width)``."""
        factor = self._scale(len(features)) * features.T
        return np.broadcast_to(factor, (*residuals.shape[:-1], *factor.shape))

    def diffuse(
        self, features: FloatArray, residuals: FloatArray, normals: FloatArray
    ) -> FloatArray:
        """Return the factor times `normals`, shape ``(replicates, dim)``."""
        return np.asarray(self._scale(len(features)) * (normals @ features))


@dataclass(frozen=True)
class Langevin(Process):
    r"""Stochastic gradient Langevin dynamics: the same noise :math:`\sqrt\tau\,dW` everywhere.

    Parameters
    ----------
    temperature : float
        :math:`\tau \ge 0`.
    """

    temperature: float

    def __post_init__(self) -> None:
        _validate.real("temperature", self.temperature, at_least=0)

    def factor(self, features: FloatArray, residuals: FloatArray) -> FloatArray:
        """Return the factor at these residuals, shape ``(..., dim, width)``."""
        factor = math.sqrt(self.temperature) * np.eye(features.shape[1])
        return np.broadcast_to(factor, (*residuals.shape[:-1], *factor.shape))

    def diffuse(
        self, features: FloatArray, residuals: FloatArray, normals: FloatArray
    ) -> FloatArray:
        """Return the factor times `normals`, shape ``(replicates, dim)``."""
        return math.sqrt(self.temperature) * normals

    def width(self, n_samples: int, dim: int) -> int:
        """Return the number of coefficients."""
        return dim

    @property
    def outside(self) -> float:
        """The temperature."""
        return self.temperature


@dataclass(frozen=True)
class _DiffusedGradient:
    """The gradient minus the noise of one Euler–Maruyama step, as an oracle."""

    process: Process
    time_step: float

    def cost(self, problem: Objective, steps: int) -> int:
        return steps * problem.gradient_cost

    def draws(self, problem: Objective, replicates: int, rng: np.random.Generator) -> Iterator[Any]:
        width = self.process.width(check_least_squares(problem).n_samples, problem.dim)

        def draw(group: np.random.Generator, size: tuple[int, ...]) -> FloatArray:
            return group.standard_normal(size)

        return fresh(draw, width, replicates, rng)

    def init(self, problem: Objective, x: FloatArray) -> None:
        return None

    def gradient(
        self, problem: Objective, x: FloatArray, draw: FloatArray, state: None
    ) -> tuple[FloatArray, None]:
        fit = check_least_squares(problem)
        residuals = x @ fit.features.T - fit.targets
        noise = self.process.diffuse(fit.features, residuals, draw)
        gradient = residuals @ fit.features / fit.n_samples
        return gradient - noise / math.sqrt(self.time_step), None


def euler_maruyama(
    problem: LeastSquares,
    process: Process,
    x0: ArrayLike | None = None,
    *,
    steps: int,
    time_step: float,
    rng: int | np.random.Generator | None = None,
    **options: Any,
) -> Trace:
    r"""Simulate a process: :math:`\beta^+ = \beta - h\nabla F(\beta) + \sqrt h\,A(\beta)\xi`.

    Parameters
    ----------
    problem : LeastSquares
    process : Process
        `StochasticGradientFlow`, `ConstantCovarianceFlow` or `Langevin`.
    x0 : array_like of shape (dim,) or (replicates, dim), optional
        Starting points; the origin when omitted.
    steps : int
    time_step : float
        h; step k is at time kh.
    rng : None, int or numpy.random.Generator
    **options
        Passed on to `sgdnotes.engine.run`: `replicates`, `record`, `metrics`, `progress`, ...

    Returns
    -------
    Trace
    """
    time_step = _validate.real("time_step", time_step, above=0)
    fit = check_least_squares(problem)
    check_process(process).factor(fit.features, fit.targets)  # refuses a batch larger than n
    return run(
        fit,
        _DiffusedGradient(process, time_step),
        GradientStep(),
        x0=x0,
        steps=steps,
        step_size=time_step,
        rng=rng,
        **options,
    )


def check_process(process: object) -> Process:
    """Return `process` when it is one."""
    if not isinstance(process, Process):
        raise ValueError(f"process: wanted one such as StochasticGradientFlow, got {process!r}")
    return process
