r"""Exact first and second moments of SGD on least squares and ridge regression.

For these problems :math:`\delta_k = x_k - x^*` obeys an affine recursion with random matrices, so
that its mean :math:`u` and second moment :math:`M = \mathbb E\,\delta\delta^\top` obey a linear
one.  With features :math:`a_i`, residuals :math:`r_i = a_i^\top x^* - b_i` and Hessian :math:`H`,

.. math::

    u^+ &= (I - \alpha H)u, \\
    M^+ &= (I - \alpha H)M(I - \alpha H) + \alpha^2 c\,\mathcal C(u, M),

where :math:`c` is the variance factor of the minibatch and :math:`\mathcal C(u, M)` the expected
covariance of a single-sample gradient.  Here the pair :math:`(u, M)` and a constant 1 are stacked
into one vector ``z``, on which a step is the matrix :math:`I + \alpha D + \alpha^2(S + cN)`.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.problems import Ridge
from sgdnotes.sampling import Sampling, resolve

MAX_RANK = 60  # the matrices have about rank**4 / 4 entries
SLICE = 2**22  # entries of the table of products formed at a time


def directions(problem: Ridge) -> int:
    """Return the number of directions in which SGD on `problem` moves."""
    return problem.dim if problem.regularization else len(problem.spectrum)


class SecondMoments:
    """The linear recursion of the moments of minibatch SGD.

    Parameters
    ----------
    problem : Ridge
        Least squares or ridge regression.  Least squares is reduced to the row space of the
        features, in which all the motion takes place.
    batch_size : int, default 1
    sampling : {"with_replacement", "without_replacement"} or Sampling

    Notes
    -----
    States are vectors of length r(r + 1)/2 + r + 1 with r the number of directions; building the
    recursion costs O(n r⁴) operations once, whatever the number of steps.
    """

    def __init__(
        self,
        problem: Ridge,
        batch_size: int = 1,
        sampling: str | Sampling = "with_replacement",
    ) -> None:
        if not isinstance(problem, Ridge):
            raise ValueError(
                f"problem: wanted least squares or ridge regression, whose moments close, "
                f"got {problem!r}"
            )
        batch = _validate.integer("batch_size", batch_size, at_least=1, at_most=problem.n_samples)
        self.problem = problem
        self.noise_factor = resolve(sampling).variance_factor(problem.n_samples, batch)
        self.rank = directions(problem)
        if self.rank > MAX_RANK:
            raise ValueError(
                f"problem: wanted at most {MAX_RANK} directions for exact moments, got {self.rank}"
            )
        self.basis = np.eye(problem.dim) if problem.regularization else problem.row_space
        self._upper = np.triu_indices(self.rank)
        self._pairs = len(self._upper[0])
        self.hessian = self.basis @ problem.hessian @ self.basis.T

    # ---- states ---------------------------------------------------------------------------

    def state(self, x0: ArrayLike | None = None) -> FloatArray:
        """Return the state of the point `x0`, shape ``(dim,)``, without any randomness."""
        point = _validate.starting_points(x0, self.problem.dim, 1)[0]
        offset = self.basis @ (point - self.problem.minimizer)
        return self._pack(np.outer(offset, offset), offset, 1.0)

    def _pack(self, second: FloatArray, first: FloatArray, one: float) -> FloatArray:
        return np.concatenate([second[self._upper], first, [one]])

    def second_moment(self, states: FloatArray) -> FloatArray:
        r"""Return :math:`\mathbb E\,\delta\delta^\top` in the basis, shape ``(..., r, r)``."""
        full = np.empty((*states.shape[:-1], self.rank, self.rank))
        full[..., self._upper[0], self._upper[1]] = states[..., : self._pairs]
        full[..., self._upper[1], self._upper[0]] = states[..., : self._pairs]
        return full

    def mean_offset(self, states: FloatArray) -> FloatArray:
        r"""Return :math:`\mathbb E\,\delta` in the basis, shape ``(..., r)``."""
        return states[..., self._pairs : -1]

    # ---- the recursion --------------------------------------------------------------------

    @cached_property
    def _features(self) -> FloatArray:
        return self.problem.features @ self.basis.T

    @cached_property
    def _residuals(self) -> FloatArray:
        return self.problem.features @ self.problem.minimizer - self.problem.targets

    @cached_property
    def drift(self) -> FloatArray:
        r"""The part of a step that is linear in the step size: :math:`D`."""
        hessian = self.hessian
        return self._matrix(lambda m: -(hessian @ m + m @ hessian), lambda u: -hessian @ u)

    @cached_property
    def square(self) -> FloatArray:
        r"""The noiseless part that is quadratic in the step size: :math:`S`."""
        hessian = self.hessian
        return self._matrix(lambda m: hessian @ m @ hessian, lambda u: np.zeros_like(u))

    def _matrix(self, on_second: object, on_first: object) -> FloatArray:
        size = self._pairs + self.rank + 1
        matrix = np.zeros((size, size))
        for column in range(self._pairs):
            unit = self.second_moment(np.eye(1, size, column)[0])
            matrix[: self._pairs, column] = on_second(unit)[self._upper]  # type: ignore[operator]
        matrix[self._pairs : -1, self._pairs : -1] = on_first(np.eye(self.rank))  # type: ignore[operator]
        return matrix

    @cached_property
    def noise(self) -> FloatArray:
        r"""The expected covariance of a single-sample gradient as a matrix: :math:`N`.

        With :math:`\rho_i = a_i^\top\delta + r_i` it is
        :math:`\frac1n\sum_i\mathbb E\rho_i^2\,a_ia_i^\top - \mathbb E\,mm^\top`, where
        :math:`m = \frac1n\sum_i\rho_ia_i = \Sigma\delta - \lambda x^*`.
        """
        size, upper, pairs = self._pairs + self.rank + 1, self._upper, self._pairs
        multiplicity = np.where(upper[0] == upper[1], 1.0, 2.0)
        matrix = np.zeros((size, size))
        for rows in self._slices():
            features, residuals = self._features[rows], self._residuals[rows]
            products = features[:, upper[0]] * features[:, upper[1]]
            weighted = products.T / self.problem.n_samples
            matrix[:pairs, :pairs] += weighted @ (products * multiplicity)
            matrix[:pairs, pairs:-1] += 2 * (weighted * residuals) @ features
            matrix[:pairs, -1] += weighted @ residuals**2
        sigma = self.hessian - self.problem.regularization * np.eye(self.rank)
        constant = -self.problem.regularization * (self.basis @ self.problem.minimizer)
        for column in range(pairs):
            unit = self.second_moment(np.eye(1, size, column)[0])
            matrix[:pairs, column] -= (sigma @ unit @ sigma)[upper]
        for column in range(self.rank):
            cross = np.outer(sigma[:, column], constant)
            matrix[:pairs, pairs + column] -= (cross + cross.T)[upper]
        matrix[:pairs, -1] -= np.outer(constant, constant)[upper]
        return matrix

    def _slices(self) -> list[slice]:
        length = max(1, SLICE // max(1, self._pairs))
        return [slice(i, i + length) for i in range(0, self.problem.n_samples, length)]

    def step(self, step_size: float) -> FloatArray:
        r"""Return the matrix :math:`I + \alpha D + \alpha^2(S + cN)` of one step."""
        quadratic = self.square + self.noise_factor * self.noise
        return np.eye(len(self.drift)) + step_size * self.drift + step_size**2 * quadratic

    def evolve(self, state: FloatArray, step_sizes: FloatArray) -> FloatArray:
        """Return the states before, between and after the steps, shape ``(steps + 1, size)``.

        Moments too large for floating point are returned as infinity.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            if len(step_sizes) and (step_sizes == step_sizes[0]).all():
                states = self._evolve_constant(state, step_sizes[0], len(step_sizes))
            else:
                states = np.empty((len(step_sizes) + 1, len(state)))
                states[0] = state
                quadratic = self.square + self.noise_factor * self.noise
                for k, alpha in enumerate(step_sizes.tolist()):
                    z = states[k]
                    states[k + 1] = z + alpha * (self.drift @ z + alpha * (quadratic @ z))
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

    # ---- what is read off a state ---------------------------------------------------------

    def distance_squared(self, states: FloatArray) -> FloatArray:
        r"""Return :math:`\mathbb E\operatorname{dist}(x, X^*)^2`, shape ``(...)``."""
        return np.asarray(states @ self._functional(np.eye(self.rank)))

    def gap(self, states: FloatArray) -> FloatArray:
        r"""Return :math:`\mathbb E f(x) - f^*`."""
        return np.asarray(states @ self._functional(self.hessian / 2))

    def gradient_norm_squared(self, states: FloatArray) -> FloatArray:
        r"""Return :math:`\mathbb E\|\nabla f(x)\|^2`."""
        return np.asarray(states @ self._functional(self.hessian @ self.hessian))

    def gradient_second_moment(self, states: FloatArray) -> FloatArray:
        r"""Return :math:`\mathbb E\|g\|^2` for the minibatch gradient :math:`g` at :math:`x`."""
        trace_of_noise = self._functional(np.eye(self.rank)) @ self.noise
        variance = self.noise_factor * (states @ trace_of_noise)
        return np.asarray(self.gradient_norm_squared(states) + variance)

    def mean(self, states: FloatArray) -> FloatArray:
        r"""Return :math:`\mathbb E x`, shape ``(..., dim)``, up to the part that never moves."""
        return np.asarray(self.problem.minimizer + self.mean_offset(states) @ self.basis)

    def _functional(self, weights: FloatArray) -> FloatArray:
        """Return the vector v with ``state @ v`` the inner product of `weights` with M."""
        doubled = np.where(self._upper[0] == self._upper[1], 1.0, 2.0) * weights[self._upper]
        return np.concatenate([doubled, np.zeros(self.rank + 1)])
