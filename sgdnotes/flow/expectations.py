r"""Exact means and covariances of the diffusions, of their Euler schemes and of SGD.

The drift of a process is linear and its factor :math:`A` affine in the residuals, so that mean and
second moment of :math:`\delta_t = \beta_t - X^+y` obey a linear equation of their own,

.. math:: \dot u = -\Sigma u, \qquad
    \dot M = -\Sigma M - M\Sigma + \mathbb E\,A(\beta_t)A(\beta_t)^\top ,

whose matrix exponential the eigenvectors of a symmetric matrix give at all times at once.  A step
of the Euler scheme and a step of SGD are linear maps of the same state.  What the noise adds is
computed from the process's own factor in the first two cases, and from the covariance of a
minibatch gradient in the third.

Everything is computed for given labels, or on average over the labels of a `FixedDesign`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.flow.designs import FixedDesign, Risk, check_least_squares
from sgdnotes.flow.processes import Process, StochasticGradientFlow, check_process
from sgdnotes.moments import SecondMoments
from sgdnotes.problems import LeastSquares
from sgdnotes.sampling import Sampling


@dataclass(frozen=True, eq=False)
class ProcessMoments:
    r"""Moments at some times, in the eigenvectors of :math:`\Sigma`.

    Attributes
    ----------
    times : ndarray of shape (count,)
        For schemes and SGD, the number of steps times the size of a step.
    second_moment : ndarray of shape (count, r, r)
        :math:`\mathbb E\,\delta\delta^\top`.
    covariance : ndarray of shape (count, r, r)
        The covariance given the labels, averaged over the labels where these are random.
    mean : ndarray of shape (count, r)
        :math:`\mathbb E\,\delta`.
    shrink : ndarray of shape (count, r)
        The factor that is left of the first mean offset.
    outside : ndarray of shape (count,)
        The sum of the variances in the directions that no feature has.
    eigenvalues : ndarray of shape (r,)
    eigenvectors : ndarray of shape (r, dim)
    """

    times: FloatArray
    second_moment: FloatArray
    covariance: FloatArray
    mean: FloatArray
    shrink: FloatArray
    outside: FloatArray
    eigenvalues: FloatArray
    eigenvectors: FloatArray

    @property
    def trace_covariance(self) -> FloatArray:
        """The sum of the variances of all coefficients, shape ``(count,)``."""
        return np.asarray(np.trace(self.covariance, axis1=1, axis2=2) + self.outside)

    @property
    def gap(self) -> FloatArray:
        r""":math:`\mathbb E F(\beta) - F_*`, shape ``(count,)``."""
        return np.asarray(np.einsum("tjj,j->t", self.second_moment, self.eigenvalues) / 2)


class FlowMoments:
    """The moment equations of a process on given labels, or on average over random ones.

    Parameters
    ----------
    data : LeastSquares or FixedDesign
        Fixed labels, or labels whose noise is averaged over.
    process : Process

    Notes
    -----
    Every run starts at the origin.  With r the rank of the features a covariance has r(r + 1)/2
    entries; eigenvectors of a matrix of that size are found once, for all times.
    """

    def __init__(self, data: LeastSquares | FixedDesign, process: Process) -> None:
        if not isinstance(data, (LeastSquares, FixedDesign)):
            raise ValueError(f"data: wanted LeastSquares or a FixedDesign, got {data!r}")
        self.data, self.process = data, check_process(process)
        self.problem = data if isinstance(data, LeastSquares) else data.noiseless
        sgd = isinstance(process, StochasticGradientFlow)
        batch = (process.batch_size, process.sampling) if sgd else (1, "with_replacement")  # type: ignore[attr-defined]
        self._moments = SecondMoments(self.problem, *batch)
        # Built here, so that a batch larger than the data is refused at the door.
        self.process.factor(self.problem.features, self.problem.targets)

    # ---- where a run starts ---------------------------------------------------------------

    @cached_property
    def _start(self) -> tuple[FloatArray, FloatArray]:
        """The second moment and the mean of the first offset."""
        mean = -(self.problem.row_space @ self.problem.minimizer)
        second = np.outer(mean, mean)
        if isinstance(self.data, FixedDesign):
            spread = self.data.noise**2 / (self.problem.n_samples * self.problem.spectrum)
            second = second + np.diag(spread)
        return second, mean

    @cached_property
    def state(self) -> FloatArray:
        """The state at time 0, as those of `SecondMoments`."""
        return self._moments.pack(*self._start, 1.0)

    # ---- what the noise adds --------------------------------------------------------------

    @cached_property
    def noise(self) -> FloatArray:
        r"""The map from a state to :math:`\mathbb E\,AA^\top`, from the factor of the process."""
        problem, basis = self.problem, self.problem.row_space

        def factor(residuals: FloatArray) -> FloatArray:
            return np.asarray(basis @ self.process.factor(problem.features, residuals))

        constant = factor(np.zeros(problem.n_samples))
        along = factor((problem.features @ basis.T).T) - constant  # (r, r, width), by direction
        left = constant
        if isinstance(self.data, LeastSquares):
            left = factor(problem.features @ problem.minimizer - problem.targets)
        rank, size = len(basis), len(self.state)
        upper = np.triu_indices(rank)
        pairs = len(upper[0])
        matrix = np.zeros((size, size))
        for column, (j, k) in enumerate(zip(*upper, strict=True)):
            product = along[j] @ along[k].T
            if j != k:
                product = product + product.T
            matrix[:pairs, column] = product[upper]
        for direction in range(rank):
            cross = left @ along[direction].T
            matrix[:pairs, pairs + direction] = (cross + cross.T)[upper]
        matrix[:pairs, -1] = (left @ left.T)[upper]
        if isinstance(self.data, FixedDesign):
            # The residuals at the solution are sigma (I - H) times independent standard variables.
            for column in self.data.noise * self.data.annihilator:
                single = factor(column) - constant
                matrix[:pairs, -1] += (single @ single.T)[upper]
        return matrix

    @cached_property
    def _gradient_noise(self) -> FloatArray:
        """The same from the covariance of a minibatch gradient, for a step of SGD of unit size."""
        if self._samples_agree:
            return np.zeros_like(self._moments.constant)  # of the difference only rounding is left
        matrix = self._moments.noise_factor * self._moments.noise
        if isinstance(self.data, FixedDesign):
            rows = self.problem.features @ self.problem.row_space.T
            variances = self.data.noise**2 * np.diagonal(self.data.annihilator)
            expected = (rows.T * variances) @ rows / self.problem.n_samples
            upper = np.triu_indices(len(expected))
            matrix = matrix.copy()
            matrix[: len(upper[0]), -1] += self._moments.noise_factor * expected[upper]
        return matrix

    @property
    def _samples_agree(self) -> bool:
        """Whether all minibatches are the same, because the samples are."""
        first, labels = self.problem.features[0], self.problem.targets
        alike = (self.problem.features == first).all() and (labels == labels[0]).all()
        noisy = isinstance(self.data, FixedDesign) and self.data.noise > 0
        return bool(alike) and (len(labels) == 1 or not noisy)

    # ---- equations ------------------------------------------------------------------------

    @cached_property
    def generator(self) -> FloatArray:
        """The matrix Z of the moment equation, the derivative of the state being Z times it."""
        return self._moments.drift + self.noise

    def euler_step(self, time_step: float) -> FloatArray:
        """Return what a step of the Euler scheme does to a state.

        Parameters
        ----------
        time_step : float
        """
        h, moments = _validate.real("time_step", time_step, at_least=0), self._moments
        return moments.constant + h * moments.drift + h**2 * moments.square + h * self.noise

    def sgd_step(self) -> FloatArray:
        """Return what a step of SGD, with the step size of the process, does to a state."""
        eta, moments = self._sgd.step_size, self._moments
        return (
            moments.constant
            + eta * moments.drift
            + eta**2 * (moments.square + self._gradient_noise)
        )

    @property
    def _sgd(self) -> StochasticGradientFlow:
        if not isinstance(self.process, StochasticGradientFlow):
            raise ValueError(
                f"process: wanted a StochasticGradientFlow for SGD, got {self.process!r}"
            )
        return self.process

    # ---- moments --------------------------------------------------------------------------

    @cached_property
    def _modes(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        r"""The rates and the modes of covariances, and how each part of the first state feeds them.

        The mean falls by known exponentials.  The covariance K obeys :math:`\dot K = LK + f` with
        an f that is a sum of them, and L is symmetric once entries off the diagonal count
        :math:`\sqrt2` times; its eigenvectors part the equation into one for each mode.
        """
        rank = len(self.problem.spectrum)
        pairs = rank * (rank + 1) // 2
        scale = np.where(np.equal(*np.triu_indices(rank)), 1.0, math.sqrt(2))
        operator = self.generator[:pairs, :pairs] * scale[:, None] / scale
        size = np.abs(operator).max()
        if np.abs(operator - operator.T).max() > 1e-8 * size:
            raise ValueError(
                f"process: wanted one whose noise depends on second moments by a symmetric map, "
                f"got {self.process!r}"
            )
        rates, vectors = np.linalg.eigh((operator + operator.T) / 2)
        fed = vectors.T @ (scale[:, None] * self.noise[:pairs] * self.state)
        return rates, vectors / scale[:, None], fed

    def flow(self, times: ArrayLike) -> ProcessMoments:
        """Return the moments of the process.

        Parameters
        ----------
        times : array_like of shape (count,)
            At least 0; infinity is allowed if the moments stay bounded.
        """
        at = _validate.nonnegative("times", times)
        rates, modes, fed = self._modes
        if np.isinf(at).any():
            self._check_bounded()
        decay = -np.diagonal(self._moments.drift)
        slower = np.maximum(rates[:, None], -decay)
        apart = np.abs(rates[:, None] + decay)
        packed = np.zeros((len(at), len(rates)))
        with np.errstate(over="ignore", invalid="ignore"):
            for row, t in enumerate(at):
                grown = np.where(fed == 0, 0.0, fed * _convolution(slower, apart, t))
                packed[row] = modes @ grown.sum(axis=1)
        shrink = np.exp(-at[:, None] * self.problem.spectrum)
        return self._moments_of(at, packed, shrink)

    def euler(self, time_step: float, steps: int) -> ProcessMoments:
        """Return the moments of the Euler scheme after 0, 1, ..., `steps` steps.

        Parameters
        ----------
        time_step : float
        steps : int
        """
        h = _validate.real("time_step", time_step, above=0)
        return self._iterated(h * self.noise, h, steps)

    def sgd(self, steps: int) -> ProcessMoments:
        """Return the moments of SGD after 0, 1, ..., `steps` steps.

        Parameters
        ----------
        steps : int
        """
        eta = self._sgd.step_size
        return self._iterated(eta**2 * self._gradient_noise, eta, steps)

    def _iterated(self, noise: FloatArray, size: float, steps: int) -> ProcessMoments:
        """Iterate steps of this size, of which each adds `noise` times the state."""
        steps = _validate.integer("steps", steps, at_least=0)
        moments = self._moments
        still = np.diagonal(moments.constant + size * moments.drift + size**2 * moments.square)
        pairs = len(still) - len(self.problem.spectrum) - 1
        # The covariance and what the mean contributes to the state are moved separately: their
        # sum would hide a covariance that is small next to the square of the mean.
        packed, steady = np.zeros((steps + 1, pairs)), self.state
        with np.errstate(over="ignore", invalid="ignore"):
            for k in range(steps):
                added = noise[:pairs, :pairs] @ packed[k] + noise[:pairs] @ steady
                packed[k + 1] = still[:pairs] * packed[k] + added
                steady = still * steady
            counts = np.arange(steps + 1)
            shrink = np.asarray((1 - size * self.problem.spectrum) ** counts[:, None])
        return self._moments_of(np.asarray(size * counts, dtype=float), packed, shrink)

    def _moments_of(
        self, times: FloatArray, packed: FloatArray, shrink: FloatArray
    ) -> ProcessMoments:
        second, mean = self._start
        packed = np.where(np.isfinite(packed), packed, np.inf)
        covariance = self._moments.second_moment(
            np.hstack([packed, np.zeros((len(times), len(mean) + 1))])
        )
        directions = self.problem.dim - len(second)
        with np.errstate(over="ignore", invalid="ignore"):
            # What starts at zero stays there, whatever it is multiplied by.
            faded = np.where(second == 0, 0.0, shrink[:, :, None] * second * shrink[:, None, :])
            mean = np.where(mean == 0, 0.0, shrink * mean)
            total = covariance + faded
        return ProcessMoments(
            times=times,
            second_moment=np.where(np.isnan(total), np.inf, total),
            covariance=covariance,
            mean=mean,
            shrink=shrink,
            outside=(
                self.process.outside * directions * times
                if self.process.outside * directions
                else np.zeros(len(times))
            ),
            eigenvalues=self.problem.spectrum,
            eigenvectors=self.problem.row_space,
        )

    # ---- stability ------------------------------------------------------------------------

    @property
    def growth(self) -> float:
        """The rate at which second moments of the process grow in the long run, if positive."""
        return float(self._modes[0].max())

    def _check_bounded(self) -> None:
        if self.growth >= 0:
            raise ValueError(
                f"process: wanted one whose moments stay bounded, got {self.process!r}, "
                f"which grow at the rate {self.growth:.6g}"
            )

    def stationary(self) -> FloatArray:
        """Return the second moment that the process tends to, shape ``(r, r)``.

        Raises
        ------
        ValueError
            If its second moments grow without bound.
        """
        return np.asarray(self.flow([np.inf]).second_moment[0])

    # ---- risks ----------------------------------------------------------------------------

    def risk(self, moments: ProcessMoments, metric: str | ArrayLike = "estimation") -> Risk:
        """Return the risk at the times of `moments`, which this object computed.

        Parameters
        ----------
        moments : ProcessMoments
        metric : {"estimation", "prediction"} or array_like of shape (dim, dim)
            See `FixedDesign.weights`.
        """
        if not isinstance(self.data, FixedDesign):
            raise ValueError("data: wanted a FixedDesign for a risk, got fixed labels")
        if not isinstance(moments, ProcessMoments) or not np.array_equal(
            moments.eigenvectors, self.problem.row_space
        ):
            raise ValueError("moments: wanted those of this design, got others")
        # The mean is linear in the labels, so bias and variance are those of a filter.
        linear = self.data.risk_of_filter(1 - moments.shrink, metric)
        weights = self.data.weights(metric)
        inside = self.problem.row_space @ weights @ self.problem.row_space.T
        with np.errstate(invalid="ignore"):
            sampling = np.asarray(np.einsum("tjk,jk->t", moments.covariance, inside))
        sampling = np.where(np.isfinite(moments.covariance).all(axis=(1, 2)), sampling, np.inf)
        directions = self.problem.dim - len(self.problem.spectrum)
        left = np.trace(weights) - np.trace(inside)
        if directions and left > 1e-12 * np.trace(weights):  # otherwise it is rounding
            sampling = sampling + left / directions * moments.outside
        return Risk(linear.bias_squared, linear.variance, np.asarray(sampling))


@dataclass(frozen=True)
class Thresholds:
    """The step sizes from which second moments grow without bound.

    Attributes
    ----------
    sgd : float
        For SGD.
    flow : float
        For its stochastic gradient flow; infinite without noise.
    """

    sgd: float
    flow: float


def stability_thresholds(
    problem: LeastSquares,
    batch_size: int = 1,
    sampling: str | Sampling = "with_replacement",
) -> Thresholds:
    r"""Return up to which step size second moments of SGD and of its flow stay bounded.

    On symmetric matrices let :math:`S` take M to :math:`\Sigma M + M\Sigma` and :math:`cB` to what
    it adds to the covariance of a minibatch gradient.  The flow moves M by
    :math:`-S + \eta cB`, a step of SGD by :math:`I - \eta S + \eta^2(\Sigma\otimes\Sigma + cB)`.
    All these maps are symmetric, and what moves M keeps it positive semidefinite, so that its
    eigenvalue of largest modulus, or largest real part, is its largest one.  The thresholds are
    therefore the reciprocals of the largest generalised eigenvalues.

    Parameters
    ----------
    problem : LeastSquares
    batch_size : int, default 1
    sampling : {"with_replacement", "without_replacement"} or Sampling

    Returns
    -------
    Thresholds
    """
    moments = SecondMoments(check_least_squares(problem), batch_size, sampling)
    pairs = moments.rank * (moments.rank + 1) // 2
    upper = np.triu_indices(moments.rank)
    # Entries off the diagonal count sqrt(2) times, in which scale the maps are symmetric.
    scale = np.where(np.equal(*upper), 1.0, math.sqrt(2))
    root = np.sqrt(-np.diagonal(moments.drift)[:pairs])
    noise = moments.noise_factor * moments.noise[:pairs, :pairs] * scale[:, None] / scale
    square = np.diagonal(moments.square)[:pairs]

    def threshold(growth: FloatArray) -> float:
        largest = float(np.linalg.eigvalsh(growth / root[:, None] / root)[-1])
        # What is left of no noise at all is rounding.
        return 1 / largest if largest > 1e-13 * problem.smoothness else math.inf

    return Thresholds(sgd=threshold(np.diag(square) + noise), flow=threshold(noise))


def _convolution(slower: FloatArray, apart: FloatArray, t: float) -> FloatArray:
    r"""Return :math:`\int_0^te^{a(t - \tau)}e^{b\tau}d\tau`, max(a, b) and abs(a - b) given."""
    gap = np.where(apart > 0, apart, 1.0)
    if np.isinf(t):  # wanted only where a < 0 and b <= 0
        return np.asarray(np.where(slower == 0, 1 / gap, 0.0))
    length = np.where(apart > 0, -np.expm1(-t * gap) / gap, t)
    return np.asarray(np.exp(t * slower) * length)
