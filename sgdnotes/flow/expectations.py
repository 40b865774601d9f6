r"""Exact means and covariances of the diffusions, of their Euler schemes and of SGD.

The drift of a process is linear and its factor :math:`A` affine in the residuals, so that mean and
second moment of :math:`\delta_t = \beta_t - X^+y` obey a linear equation of their own,

.. math:: \dot u = -\Sigma u, \qquad
    \dot M = -\Sigma M - M\Sigma + \mathbb E\,A(\beta_t)A(\beta_t)^\top ,

which a matrix exponential solves.  A step of the Euler scheme and a step of SGD are linear maps of
the same state.  What the noise adds is computed from the process's own factor in the first two
cases, and from the covariance of a minibatch gradient in the third.

Everything is computed for given labels, or on average over the labels of a `FixedDesign`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.flow.designs import FixedDesign, Risk, _nonnegative
from sgdnotes.flow.processes import Process, StochasticGradientFlow
from sgdnotes.moments import SecondMoments
from sgdnotes.problems import LeastSquares


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
        inside = np.trace(self.covariance, axis1=1, axis2=2)
        return np.asarray(np.maximum(inside, 0.0) + self.outside)

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
    Every run starts at the origin.  With r the rank of the features a state has r(r + 3)/2 + 1
    entries; a matrix exponential of that size is computed for each time.
    """

    def __init__(self, data: LeastSquares | FixedDesign, process: Process) -> None:
        if not isinstance(data, (LeastSquares, FixedDesign)):
            raise ValueError(f"data: wanted LeastSquares or a FixedDesign, got {data!r}")
        if not isinstance(process, Process):
            raise ValueError(f"process: wanted one such as StochasticGradientFlow, got {process!r}")
        self.data, self.process = data, process
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
            coordinates = problem.features @ basis.T / np.sqrt(problem.spectrum * problem.n_samples)
            for i in range(problem.n_samples):
                unit = np.eye(1, problem.n_samples, i)[0]
                residual = self.data.noise * (unit - coordinates @ coordinates[i])
                single = factor(residual) - constant
                matrix[:pairs, -1] += (single @ single.T)[upper]
        return matrix

    @cached_property
    def _gradient_noise(self) -> FloatArray:
        """The same from the covariance of a minibatch gradient, for a step of SGD of unit size."""
        matrix = self._moments.noise_factor * self._moments.noise
        if isinstance(self.data, FixedDesign):
            rows = self.problem.features @ self.problem.row_space.T
            variances = self.data.noise**2 * (1 - self.data.leverage)
            expected = (rows.T * variances) @ rows / self.problem.n_samples
            upper = np.triu_indices(len(expected))
            matrix = matrix.copy()
            matrix[: len(upper[0]), -1] += self._moments.noise_factor * expected[upper]
        return matrix

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
        h, moments = time_step, self._moments
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

    def flow(self, times: ArrayLike) -> ProcessMoments:
        """Return the moments of the process.

        Parameters
        ----------
        times : array_like of shape (count,)
            At least 0, finite.
        """
        at = _nonnegative("times", times)
        if not np.isfinite(at).all():
            raise ValueError("times: wanted finite numbers, got an infinite one; see `stationary`")
        states = np.array([expm(t * self.generator) @ self.state for t in at])
        shrink = np.exp(-at[:, None] * self.problem.spectrum)
        return self._moments_of(at, states.reshape(len(at), len(self.state)), shrink)

    def euler(self, time_step: float, steps: int) -> ProcessMoments:
        """Return the moments of the Euler scheme after 0, 1, ..., `steps` steps.

        Parameters
        ----------
        time_step : float
        steps : int
        """
        h = _validate.real("time_step", time_step, above=0)
        return self._iterated(self.euler_step(h), h, steps)

    def sgd(self, steps: int) -> ProcessMoments:
        """Return the moments of SGD after 0, 1, ..., `steps` steps.

        Parameters
        ----------
        steps : int
        """
        return self._iterated(self.sgd_step(), self._sgd.step_size, steps)

    def _iterated(self, step: FloatArray, size: float, steps: int) -> ProcessMoments:
        steps = _validate.integer("steps", steps, at_least=0)
        states = np.empty((steps + 1, len(self.state)))
        states[0] = self.state
        for k in range(steps):
            states[k + 1] = step @ states[k]
        counts = np.arange(steps + 1)
        shrink = np.asarray((1 - size * self.problem.spectrum) ** counts[:, None])
        return self._moments_of(np.asarray(size * counts, dtype=float), states, shrink)

    def _moments_of(
        self, times: FloatArray, states: FloatArray, shrink: FloatArray
    ) -> ProcessMoments:
        second, _ = self._start
        explained = shrink[:, :, None] * second * shrink[:, None, :]
        found = self._moments.second_moment(states)
        directions = self.problem.dim - len(self.problem.spectrum)
        return ProcessMoments(
            times=times,
            second_moment=found,
            covariance=found - explained,
            mean=self._moments.mean_offset(states),
            shrink=shrink,
            outside=self.process.outside * directions * times,
            eigenvalues=self.problem.spectrum,
            eigenvectors=self.problem.row_space,
        )

    # ---- stability ------------------------------------------------------------------------

    @property
    def growth(self) -> float:
        """The rate at which second moments of the process grow in the long run, if positive."""
        pairs = len(self.state) - len(self.problem.spectrum) - 1
        return float(np.linalg.eigvals(self.generator[:pairs, :pairs]).real.max())

    def stationary(self) -> FloatArray:
        """Return the second moment that the process tends to, shape ``(r, r)``.

        Raises
        ------
        ValueError
            If its second moments grow without bound.
        """
        if self.growth >= 0:
            raise ValueError(
                f"process: wanted one whose moments stay bounded, got {self.process!r}, "
                f"which grow at the rate {self.growth:.6g}"
            )
        inner = self.generator[:-1]
        fixed = np.append(np.linalg.solve(inner[:, :-1], -inner[:, -1]), 1.0)
        return self._moments.second_moment(fixed)

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
        # The mean is linear in the labels, so bias and variance are those of a filter.
        linear = self.data.risk_of_filter(1 - moments.shrink, metric)
        weights = self.data.weights(metric)
        inside = self.problem.row_space @ weights @ self.problem.row_space.T
        sampling = np.einsum("tjk,jk->t", moments.covariance, inside)
        directions = self.problem.dim - len(self.problem.spectrum)
        if directions:
            share = (np.trace(weights) - np.trace(inside)) / directions
            sampling = sampling + share * moments.outside
        return Risk(linear.bias_squared, linear.variance, np.asarray(sampling))
