r"""Exact expectations of SGD that goes through the samples in an order, epoch by epoch.

On least squares and ridge regression a step with the batch :math:`B` and the step size
:math:`\alpha` maps :math:`\delta = x - x^*` to :math:`(I - \alpha H_B)\delta - \alpha g_B`, where
:math:`H_B` and :math:`g_B` are the batch's Hessian and its gradient at :math:`x^*`.  A whole epoch
is therefore an affine map :math:`\delta \mapsto A_\pi\delta + b_\pi` that depends on the order
:math:`\pi`.  For few samples all orders can be listed:

- in a fixed order the epoch is one such map, and the run is deterministic;
- shuffled once, the run is one of n! deterministic ones, and expectations are their averages;
- reshuffled, it is a new one in every epoch, independent of where the epoch starts, so that mean
  and second moment obey the average of the maps' linear recursions.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.moments import SecondMoments
from sgdnotes.problems import Ridge
from sgdnotes.sampling import ORDERS, Order, Reshuffled


class EpochMoments:
    """The affine maps of an epoch, and the moments at the ends of epochs.

    Parameters
    ----------
    problem : Ridge
        Least squares or ridge regression with at most 8 samples, any number in cyclic order.
    step_size : float
        The same in every step.
    order : {"cyclic", "shuffled_once", "reshuffled"} or Order
    batch_size : int, default 1
        A divisor of the number of samples.

    Attributes
    ----------
    moments : SecondMoments
        Reads expectations off states.
    steps : int
        Steps in an epoch.
    """

    def __init__(
        self,
        problem: Ridge,
        step_size: float,
        order: str | Order = "reshuffled",
        batch_size: int = 1,
    ) -> None:
        if not isinstance(order, Order):
            order = ORDERS[_validate.one_of("order", order, ORDERS)]
        batch = _validate.integer("batch_size", batch_size, at_least=1)
        self.order, self.moments = order, SecondMoments(problem)
        self.step_size = _validate.real("step_size", step_size, above=0)
        self.steps = order.epoch(problem.n_samples, batch)
        self._batches = order.permutations(problem.n_samples).reshape(-1, self.steps, batch)

    @cached_property
    def maps(self) -> tuple[FloatArray, FloatArray]:
        """The matrices and offsets of all orders, shapes ``(orders, r, r)`` and ``(orders, r)``."""
        moments, problem = self.moments, self.moments.problem
        basis, rank = moments.basis, moments.rank
        rows = problem.features @ basis.T
        hessians = rows[:, :, None] * rows[:, None, :] + problem.regularization * np.eye(rank)
        gradients = problem.component_gradients(problem.minimizer) @ basis.T
        matrix = np.broadcast_to(np.eye(rank), (len(self._batches), rank, rank))
        offset = np.zeros((len(self._batches), rank))
        with np.errstate(over="ignore", invalid="ignore"):
            for batches in self._batches.swapaxes(0, 1):
                step = np.eye(rank) - self.step_size * hessians[batches].mean(axis=1)
                matrix = step @ matrix
                offset = np.matvec(step, offset) - self.step_size * gradients[batches].mean(axis=1)
        return matrix, offset

    @cached_property
    def matrix(self) -> FloatArray:
        """What an epoch in an order drawn afresh does to the states of `moments`."""
        matrices, offsets = self.maps
        moments, orders = self.moments, len(offsets)
        size = moments.rank * (moments.rank + 1) // 2 + moments.rank + 1
        result = np.empty((size, size))
        for column in range(size):
            unit = np.eye(1, size, column)[0]
            second, first, one = moments.second_moment(unit), moments.mean_offset(unit), unit[-1]
            moved = matrices @ first + one * offsets
            cross = np.einsum("ki,kj->ij", matrices @ first, offsets) / orders
            squared = np.einsum("kij,jl,kml->im", matrices, second, matrices, optimize=True)
            spread = one * np.einsum("ki,kj->ij", offsets, offsets)
            moved_second = squared / orders + cross + cross.T + spread / orders
            result[:, column] = moments.pack(moved_second, moved.mean(axis=0), one)
        return result

    def evolve(self, x0: ArrayLike | None, epochs: int) -> FloatArray:
        """Return the states after 0, 1, ..., `epochs` epochs, shape ``(epochs + 1, size)``.

        Moments too large for floating point are returned as infinity.
        """
        epochs = _validate.integer("epochs", epochs, at_least=0)
        start = self.moments.state(x0)
        states = np.empty((epochs + 1, len(start)))
        states[0] = start
        with np.errstate(over="ignore", invalid="ignore"):
            if isinstance(self.order, Reshuffled):
                for epoch in range(1, epochs + 1):
                    states[epoch] = self.matrix @ states[epoch - 1]
            else:
                matrices, offsets = self.maps
                points = np.tile(self.moments.mean_offset(start), (len(offsets), 1))
                for epoch in range(1, epochs + 1):
                    points = np.matvec(matrices, points) + offsets
                    states[epoch] = self._state_of(points)
        states[~np.isfinite(states)] = np.inf
        return states

    def stationary(self) -> FloatArray:
        """Return the state at the ends of epochs after infinitely many of them.

        Raises
        ------
        ValueError
            If the moments grow without bound.
        """
        if not isinstance(self.order, Reshuffled):
            matrices, offsets = self.maps
            self._check_stable(matrices)
            fixed = np.linalg.solve(np.eye(self.moments.rank) - matrices, offsets[..., None])
            return self._state_of(np.asarray(fixed[..., 0]))
        with np.errstate(over="ignore", invalid="ignore"):
            inner = self.matrix[:-1, :-1]
        self._check_stable(inner)
        return np.append(np.linalg.solve(np.eye(len(inner)) - inner, self.matrix[:-1, -1]), 1.0)

    def _check_stable(self, matrices: FloatArray) -> None:
        finite = np.isfinite(matrices).all()
        radius = float(np.abs(np.linalg.eigvals(matrices)).max()) if finite else math.inf
        if radius >= 1:
            raise ValueError(
                f"step_size: wanted one for which the moments stay bounded, got "
                f"{self.step_size:g} with spectral radius {radius:.6g}"
            )

    def _state_of(self, points: FloatArray) -> FloatArray:
        """Return the state of equally likely offsets, shape ``(count, r)``."""
        second = points.T @ points / len(points)
        return self.moments.pack(second, points.mean(axis=0), 1.0)
