r"""Exact first and second moments of SGD on least squares and ridge regression.

For these problems :math:`\delta_k = x_k - x^*` obeys an affine recursion with random matrices, so
that its mean :math:`u` and second moment :math:`M = \mathbb E\,\delta\delta^\top` obey a linear
one.  With features :math:`a_i`, residuals :math:`r_i = a_i^\top x^* - b_i` and Hessian :math:`H`,

.. math::

    u^+ &= (I - \alpha H)u, \\
    M^+ &= (I - \alpha H)M(I - \alpha H) + \alpha^2 c\,\mathcal C(u, M),

where :math:`c` is the variance factor of the minibatch and :math:`\mathcal C(u, M)` the expected
covariance of a single-sample gradient.

Methods with momentum move a pair :math:`w = (\delta, v)` of where they are and what they remember.
As :math:`w^+ = (K \otimes I)w - \alpha\,b \otimes g(\delta)` is again affine with random matrices,
the moments of the pair obey

.. math::

    \mathcal K &= K \otimes I - \alpha\,(b e_1^\top) \otimes H, \qquad
    u^+ = \mathcal K u, \\
    M^+ &= \mathcal K M \mathcal K^\top
        + \alpha^2 c\,(bb^\top) \otimes \mathcal C(u_\delta, M_{\delta\delta}).

The gradient step is the case K = b = 1.  The pair :math:`(u, M)` and a constant 1 are stacked
into one vector ``z``, on which a step is the matrix :math:`C + \alpha D + \alpha^2(S + cN)`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.problems import Ridge
from sgdnotes.sampling import Sampling, resolve
from sgdnotes.updates import GradientStep, LinearUpdate

MAX_RANK = 60  # directions times blocks: the matrices have about the fourth power / 4 entries
SLICE = 2**22  # entries of the table of products formed at a time


def directions(problem: Ridge) -> int:
    """Return the number of directions in which SGD on `problem` moves."""
    return problem.dim if problem.regularization else len(problem.spectrum)


class SecondMoments:
    """The linear recursion of the moments of minibatch SGD, with or without momentum.

    Parameters
    ----------
    problem : Ridge
        Least squares or ridge regression.  Least squares is reduced to the row space of the
        features, in which all the motion takes place.
    batch_size : int, default 1
    sampling : {"with_replacement", "without_replacement"} or Sampling
    update : LinearUpdate, default GradientStep()
        `GradientStep`, `HeavyBall` or `Nesterov`.

    Notes
    -----
    States are vectors of length d(d + 1)/2 + d + 1, where d = mr, r is the number of directions and
    m the number of blocks, 1 for the gradient step and 2 with momentum.  Building the recursion
    costs O(n r⁴ + d⁵) operations once, whatever the number of steps.

    Coordinates are those of `basis`, whose rows are eigenvectors of the Hessian.
    """

    def __init__(
        self,
        problem: Ridge,
        batch_size: int = 1,
        sampling: str | Sampling = "with_replacement",
        update: LinearUpdate = GradientStep(),
    ) -> None:
        if not isinstance(problem, Ridge):
            raise ValueError(
                f"problem: wanted least squares or ridge regression, whose moments close, "
                f"got {problem!r}"
            )
        if not isinstance(update, LinearUpdate):
            raise ValueError(
                f"update: wanted a linear one such as GradientStep or HeavyBall, got {update!r}"
            )
        batch = _validate.integer("batch_size", batch_size, at_least=1, at_most=problem.n_samples)
        self.problem, self.update = problem, update
        self.noise_factor = resolve(sampling).variance_factor(problem.n_samples, batch)
        self.rank = directions(problem)
        self.blocks = len(self.update.gain)
        if self.rank * self.blocks > MAX_RANK:
            raise ValueError(
                f"problem: wanted at most {MAX_RANK // self.blocks} directions for exact moments "
                f"with {self.blocks} block(s), got {self.rank}"
            )
        if problem.regularization:
            self.curvatures, columns = np.linalg.eigh(problem.hessian)
            self.basis = columns.T
        else:
            self.curvatures, self.basis = problem.spectrum, problem.row_space
        self._upper = np.triu_indices(self.rank * self.blocks)
        self._pairs = len(self._upper[0])

    # ---- states ---------------------------------------------------------------------------

    def state(self, x0: ArrayLike | None = None) -> FloatArray:
        """Return the state of the point `x0`, shape ``(dim,)``, without any randomness."""
        point = _validate.starting_points(x0, self.problem.dim, 1)[0]
        offset = self.basis @ (point - self.problem.minimizer)
        remembered = offset if self.update.remembers_points else np.zeros_like(offset)
        stacked = np.concatenate([offset, *[remembered] * (self.blocks - 1)])
        return self.pack(np.outer(stacked, stacked), stacked, 1.0)

    def pack(self, second: FloatArray, first: FloatArray, one: float) -> FloatArray:
        """Return the state with these moments of all blocks in the basis."""
        return np.concatenate([second[self._upper], first, [one]])

    def _unpack(self, states: FloatArray) -> FloatArray:
        """Return the second moment of all blocks, shape ``(..., d, d)``."""
        size = self.rank * self.blocks
        full = np.empty((*states.shape[:-1], size, size))
        full[..., self._upper[0], self._upper[1]] = states[..., : self._pairs]
        full[..., self._upper[1], self._upper[0]] = states[..., : self._pairs]
        return full

    def second_moment(self, states: FloatArray) -> FloatArray:
        r"""Return :math:`\mathbb E\,\delta\delta^\top` in the basis, shape ``(..., r, r)``."""
        return self._unpack(states)[..., : self.rank, : self.rank]

    def mean_offset(self, states: FloatArray) -> FloatArray:
        r"""Return :math:`\mathbb E\,\delta` in the basis, shape ``(..., r)``."""
        return states[..., self._pairs : self._pairs + self.rank]

    # ---- the recursion --------------------------------------------------------------------

    @cached_property
    def _features(self) -> FloatArray:
        return np.asarray(self.problem.features @ self.basis.T)

    @cached_property
    def _residuals(self) -> FloatArray:
        return self.problem.features @ self.problem.minimizer - self.problem.targets

    @cached_property
    def _still(self) -> FloatArray:
        """What a step does to the blocks where the gradient is zero, shape ``(d, d)``."""
        return np.asarray(np.kron(self.update.mixing, np.eye(self.rank)))

    @cached_property
    def _pull(self) -> FloatArray:
        """What the mean gradient does to the blocks, per unit of step size, shape ``(d, d)``."""
        first = np.outer(self.update.gain, np.eye(1, self.blocks)[0])
        return np.asarray(np.kron(first, np.diag(self.curvatures)))

    @cached_property
    def constant(self) -> FloatArray:
        r"""The part of a step that does not depend on the step size: :math:`C`."""
        still = self._still
        matrix = self._matrix(lambda m: still @ m @ still.T, still)
        matrix[-1, -1] = 1.0
        return matrix

    @cached_property
    def drift(self) -> FloatArray:
        r"""The part of a step that is linear in the step size: :math:`D`."""
        still, pull = self._still, self._pull
        return self._matrix(lambda m: -(pull @ m @ still.T + still @ m @ pull.T), -pull)

    @cached_property
    def square(self) -> FloatArray:
        r"""The noiseless part that is quadratic in the step size: :math:`S`."""
        pull = self._pull
        return self._matrix(lambda m: pull @ m @ pull.T, np.zeros_like(pull))

    def _matrix(
        self, on_second: Callable[[FloatArray], FloatArray], on_first: FloatArray
    ) -> FloatArray:
        size = self._pairs + len(on_first) + 1
        matrix = np.zeros((size, size))
        for column in range(self._pairs):
            unit = self._unpack(np.eye(1, size, column)[0])
            matrix[: self._pairs, column] = on_second(unit)[self._upper]
        matrix[self._pairs : -1, self._pairs : -1] = on_first
        return matrix

    @cached_property
    def gradient_covariance(self) -> FloatArray:
        r"""The expected covariance of a single-sample gradient as a linear map of the state.

        The rows are those of its upper triangle.  With :math:`\rho_i = a_i^\top\delta + r_i` and
        :math:`m = \frac1n\sum_i\rho_ia_i = \Sigma\delta - \lambda x^*` the covariance is
        :math:`\frac1n\sum_i\mathbb E\rho_i^2\,a_ia_i^\top - \mathbb E\,mm^\top`.
        """
        upper = np.triu_indices(self.rank)
        at_second, multiplicity = self._places(upper)
        first = slice(self._pairs, self._pairs + self.rank)
        matrix = np.zeros((len(upper[0]), self._pairs + self.rank * self.blocks + 1))
        for rows in self._slices():
            features, residuals = self._features[rows], self._residuals[rows]
            products = features[:, upper[0]] * features[:, upper[1]]
            weighted = products.T / self.problem.n_samples
            matrix[:, at_second] += weighted @ (products * multiplicity)
            matrix[:, first] += 2 * (weighted * residuals) @ features
            matrix[:, -1] += weighted @ residuals**2
        sigma = self.curvatures - self.problem.regularization
        constant = -self.problem.regularization * (self.basis @ self.problem.minimizer)
        matrix[np.arange(len(upper[0])), at_second] -= sigma[upper[0]] * sigma[upper[1]]
        for column in range(self.rank):
            cross = np.outer(np.eye(1, self.rank, column)[0] * sigma, constant)
            matrix[:, self._pairs + column] -= (cross + cross.T)[upper]
        matrix[:, -1] -= np.outer(constant, constant)[upper]
        return matrix

    def _places(self, upper: tuple[IntArray, IntArray]) -> tuple[IntArray, FloatArray]:
        """Return where the entries of the first block are in a state, and how often they count."""
        place = np.empty((self.rank * self.blocks, self.rank * self.blocks), dtype=np.int64)
        place[self._upper] = np.arange(self._pairs)
        return place[upper], np.where(upper[0] == upper[1], 1.0, 2.0)

    @cached_property
    def noise(self) -> FloatArray:
        r"""What the noise adds for a single sample and the unit step: :math:`N`."""
        covariance, gain = self.gradient_covariance, self.update.gain
        upper = np.triu_indices(self.rank)
        matrix = np.zeros((covariance.shape[1], covariance.shape[1]))
        for column in range(covariance.shape[1]):
            single = np.zeros((self.rank, self.rank))
            single[upper] = single.T[upper] = covariance[:, column]
            matrix[: self._pairs, column] = np.kron(np.outer(gain, gain), single)[self._upper]
        return matrix

    def _slices(self) -> list[slice]:
        length = max(1, SLICE // max(1, self._pairs))
        return [slice(i, i + length) for i in range(0, self.problem.n_samples, length)]

    def step(self, step_size: float) -> FloatArray:
        r"""Return the matrix :math:`C + \alpha D + \alpha^2(S + cN)` of one step."""
        quadratic = self.square + self.noise_factor * self.noise
        return self.constant + step_size * self.drift + step_size**2 * quadratic

    def evolve(
        self, state: FloatArray, step_sizes: FloatArray, noise_factors: FloatArray | None = None
    ) -> FloatArray:
        """Return the states before, between and after the steps, shape ``(steps + 1, size)``.

        Moments too large for floating point are returned as infinity.

        Parameters
        ----------
        state : ndarray of shape (size,)
        step_sizes : ndarray of shape (steps,)
        noise_factors : ndarray of shape (steps,), optional
            The variance factor of every step's minibatch; that of `batch_size` when omitted.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            same = len(step_sizes) and (step_sizes == step_sizes[0]).all()
            if same and noise_factors is None:
                states = self._evolve_constant(state, step_sizes[0], len(step_sizes))
            else:
                states = np.empty((len(step_sizes) + 1, len(state)))
                states[0] = state
                constant, drift, quadratic = self.constant, self.drift, self.square
                if noise_factors is None:
                    quadratic = quadratic + self.noise_factor * self.noise
                for k, alpha in enumerate(step_sizes.tolist()):
                    z = states[k]
                    bent = quadratic @ z
                    if noise_factors is not None:
                        bent += noise_factors[k] * (self.noise @ z)
                    states[k + 1] = constant @ z + alpha * (drift @ z + alpha * bent)
        states[~np.isfinite(states)] = np.inf
        return states

    def _evolve_constant(self, state: FloatArray, alpha: float, steps: int) -> FloatArray:
        # Doubling: the states of steps m, ..., 2m - 1 are those of 0, ..., m - 1 moved on by the
        # m-th power of the step, so that a few large products do the work of many small ones.
        # Where the next power would overflow, infinity times zero would make moments that are small
        # look infinite, so that from there on all go by the last one.
        states, power, length = state[None], self.step(alpha), 1
        while len(states) <= steps:
            states = np.concatenate([states, states[-length:] @ power.T])
            squared = power @ power
            if np.isfinite(squared).all():
                power, length = squared, 2 * length
        return states[: steps + 1]

    def stationary(self, step_size: float) -> FloatArray:
        """Return the state that a constant step leaves unchanged.

        Raises
        ------
        ValueError
            If SGD with this step size is not mean-square stable.
        """
        radius = self.spectral_radius(step_size)
        if radius >= 1:
            raise ValueError(
                f"step_size: wanted one for which SGD is mean-square stable, got {step_size:g} "
                f"with spectral radius {radius:.6g}"
            )
        matrix = self.step(step_size)[:-1]
        fixed = np.linalg.solve(np.eye(len(matrix)) - matrix[:, :-1], matrix[:, -1])
        return np.append(fixed, 1.0)

    def spectral_radius(self, step_size: float) -> float:
        """Return the factor by which second moments shrink in a step in the long run."""
        block = self.step(step_size)[: self._pairs, : self._pairs]
        return float(np.abs(np.linalg.eigvals(block)).max())

    # ---- averages -------------------------------------------------------------------------

    def averaged(
        self, states: FloatArray, step_sizes: FloatArray, weights: FloatArray
    ) -> FloatArray:
        r"""Return the mean squares of the average's coordinates, shape ``(steps + 1, r)``.

        The average obeys :math:`s_{k+1} = (1 - \theta_k)s_k + \theta_k\delta_k`, where
        :math:`\theta_k` is the share of the weight of step k in the sum of the weights so far.
        In the eigenvectors of the Hessian each coordinate's :math:`\mathbb E s_{k+1}w_k` moves by
        the mean of a step, and :math:`\mathbb E s_{k+1}^2` follows by expanding the square.  Where
        no weight has been given yet, :math:`\delta_0` stands for the average.

        Parameters
        ----------
        states : ndarray of shape (steps + 1, size)
            What `evolve` returned for these step sizes.
        step_sizes, weights : ndarray of shape (steps,)
            Weights of at least zero.
        """
        places = np.array(
            [
                self._places((np.arange(self.rank), block * self.rank + np.arange(self.rank)))[0]
                for block in range(self.blocks)
            ]
        ).T
        mixing, gain = self.update.mixing, self.update.gain
        pull = self.curvatures[:, None, None] * np.outer(gain, np.eye(1, self.blocks)[0])
        cross, square = np.zeros((self.rank, self.blocks)), np.zeros(self.rank)
        moments = states[:, places]  # E of the point's coordinate times the block's
        result, total = np.empty((len(states), self.rank)), 0.0
        result[0] = moments[0, :, 0]
        with np.errstate(over="ignore", invalid="ignore"):
            for k, (alpha, weight) in enumerate(
                zip(step_sizes.tolist(), weights.tolist(), strict=True)
            ):
                here = moments[k]
                # Averages rather than sums, which weights that grow fast would overflow.
                total += weight
                share = weight / total if total else 0.0
                kept = 1 - share
                square = kept**2 * square + share * (2 * kept * cross[:, 0] + share * here[:, 0])
                cross = np.matvec(mixing - alpha * pull, kept * cross + share * here)
                result[k + 1] = square if total else result[0]
        return result

    # ---- what is read off a state ---------------------------------------------------------

    def distance_squared(self, states: FloatArray) -> FloatArray:
        r"""Return :math:`\mathbb E\operatorname{dist}(x, X^*)^2`, shape ``(...)``."""
        return np.asarray(states @ self._functional(np.eye(self.rank)))

    def gap(self, states: FloatArray) -> FloatArray:
        r"""Return :math:`\mathbb E f(x) - f^*`."""
        return np.asarray(states @ self._functional(np.diag(self.curvatures / 2)))

    def gradient_norm_squared(self, states: FloatArray) -> FloatArray:
        r"""Return :math:`\mathbb E\|\nabla f(x)\|^2`."""
        return np.asarray(states @ self._functional(np.diag(self.curvatures**2)))

    def gradient_second_moment(
        self, states: FloatArray, noise_factors: FloatArray | None = None
    ) -> FloatArray:
        r"""Return :math:`\mathbb E\|g\|^2` for the minibatch gradient :math:`g` at :math:`x`."""
        factor = self.noise_factor if noise_factors is None else noise_factors
        diagonal = np.equal(*np.triu_indices(self.rank))
        trace_of_noise = self.gradient_covariance[diagonal].sum(axis=0)
        variance = factor * (states @ trace_of_noise)
        return np.asarray(self.gradient_norm_squared(states) + variance)

    def mean(self, states: FloatArray) -> FloatArray:
        r"""Return :math:`\mathbb E x`, shape ``(..., dim)``, up to the part that never moves."""
        return np.asarray(self.problem.minimizer + self.mean_offset(states) @ self.basis)

    def _functional(self, weights: FloatArray) -> FloatArray:
        """Return the vector v with ``state @ v`` the inner product of `weights` with M."""
        upper = np.triu_indices(self.rank)
        places, multiplicity = self._places(upper)
        vector = np.zeros(self._pairs + self.rank * self.blocks + 1)
        vector[places] = multiplicity * weights[upper]
        return vector
