"""A small neural network as a finite sum that is neither convex nor differentiable everywhere."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.problems.base import FiniteSum
from sgdnotes.problems.linear_models import SLICE, check_labels

LOSSES = ("squared", "logistic")


class Rectified(FiniteSum):
    """What networks with kinks share: no constant of the theory is positive and finite."""

    convex = False
    components_convex = False

    @property
    def smoothness(self) -> float:
        return math.inf

    @property
    def max_smoothness(self) -> float:
        return math.inf

    @property
    def average_smoothness(self) -> float:
        return math.inf

    @property
    def strong_convexity(self) -> float:
        return 0.0

    @property
    def pl_constant(self) -> float:
        return 0.0

    def distance_squared(self, x: FloatArray) -> FloatArray:
        """Raise ``ValueError``: weights can be permuted and rescaled, and more is not known."""
        raise ValueError(f"problem: wanted one whose minimisers are all known, got {self.name}")


class ReluNetwork(Rectified):
    r"""A network with one hidden layer of rectified linear units, and a loss of its prediction.

    With weights :math:`w_1, \dots, w_m \in \mathbb R^d` and :math:`v \in \mathbb R^m` the
    prediction for the features :math:`a_i` is

    .. math::

        \hat b_i = \sum_{j=1}^m v_j\max(0, w_j^\top a_i),

    and the loss is :math:`\frac12(\hat b_i - b_i)^2`, or :math:`\log(1 + e^{-b_i\hat b_i})` for
    labels :math:`b_i = \pm1`.  A column of ones among the features gives every unit an offset.
    A point is :math:`x = (w_1, \dots, w_m, v)`, flattened; at the kinks the derivative of
    :math:`\max(0, \cdot)` is taken to be 0.

    The origin is stationary without being a minimum in general, so start at `initial_weights`.
    The minimum is known for data that a network made (see `from_teacher`), and only then.

    Parameters
    ----------
    features : array_like of shape (n_samples, d)
    targets : array_like of shape (n_samples,)
        With the logistic loss every target is -1 or 1.
    hidden : int
        Number m of hidden units.
    loss : {"squared", "logistic"}, default "squared"

    Attributes
    ----------
    dim : int
        :math:`m(d + 1)`.
    """

    def __init__(
        self, features: ArrayLike, targets: ArrayLike, hidden: int, *, loss: str = "squared"
    ) -> None:
        self.features = _validate.finite_array("features", features, ndim=2)
        self.hidden = _validate.integer("hidden", hidden, at_least=1)
        self.loss = _validate.one_of("loss", loss, LOSSES)
        if loss == "logistic":
            self.targets = check_labels(targets)
        else:
            self.targets = _validate.finite_array("targets", targets, ndim=1)
        self.n_samples, self._inputs = self.features.shape
        self.dim = self.hidden * (self._inputs + 1)
        if self.targets.shape != (self.n_samples,):
            raise ValueError(
                f"{'labels' if loss == 'logistic' else 'targets'}: wanted one for each of the "
                f"{self.n_samples} rows of features, got {self.targets.size}"
            )
        if not self.features.any():
            raise ValueError("features: wanted a nonzero entry, otherwise f is constant, got zeros")
        self.name = f"ReLU network of {self.hidden} units, {loss} loss"
        self._teacher: FloatArray | None = None

    @classmethod
    def from_teacher(cls, features: ArrayLike, weights: ArrayLike) -> ReluNetwork:
        """Return the network whose targets are the predictions of given weights.

        Its loss is the squared one, its minimum 0, and the given weights are a minimiser.

        Parameters
        ----------
        features : array_like of shape (n_samples, d)
        weights : array_like of shape (m * (d + 1),)
            A point: the weights of the m units, then the output weights.
        """
        rows = _validate.finite_array("features", features, ndim=2)
        teacher = _validate.finite_array("weights", weights, ndim=1)
        hidden, rest = divmod(teacher.size, rows.shape[1] + 1)
        if rest:
            raise ValueError(
                f"weights: wanted a multiple of {rows.shape[1] + 1} numbers, got {teacher.size}"
            )
        problem = cls(rows, np.zeros(len(rows)), hidden)
        problem.targets = problem.predictions(teacher)
        problem._teacher = teacher
        return problem

    def initial_weights(self, rng: int | np.random.Generator, replicates: int = 1) -> FloatArray:
        r"""Return random points to start from, shape ``(replicates, dim)``.

        The entries are independent and normal with mean zero.  The hidden weights have variance
        :math:`2/d`, so that features of size 1 give units of size 1, and the output weights
        :math:`1/m` (He et al., 2015).

        Parameters
        ----------
        rng : int or numpy.random.Generator
        replicates : int, default 1
        """
        count = _validate.integer("replicates", replicates, at_least=1)
        points = _validate.generator(rng).standard_normal((count, self.dim))
        points[:, : -self.hidden] *= math.sqrt(2 / self._inputs)
        points[:, -self.hidden :] *= math.sqrt(1 / self.hidden)
        return points

    # ---- the network ----------------------------------------------------------------------

    def _split(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        hidden = x[..., : -self.hidden].reshape(*x.shape[:-1], self.hidden, self._inputs)
        return hidden, x[..., -self.hidden :]

    def preactivations(self, x: FloatArray) -> FloatArray:
        r"""Return all :math:`w_j^\top a_i`, shape ``(..., n_samples, hidden)``: zero at kinks."""
        return np.asarray(self.features @ np.swapaxes(self._split(x)[0], -1, -2))

    def predictions(self, x: FloatArray) -> FloatArray:
        r"""Return all :math:`\hat b_i`, shape ``(..., n_samples)``."""
        return np.asarray(np.matvec(np.maximum(self.preactivations(x), 0.0), self._split(x)[1]))

    def _losses(self, prediction: FloatArray) -> FloatArray:
        if self.loss == "squared":
            return np.asarray((prediction - self.targets) ** 2 / 2)
        return np.logaddexp(0.0, -self.targets * prediction)

    def _slopes(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        if self.loss == "squared":
            return prediction - target
        return np.asarray(-target * expit(-target * prediction))

    def _mean_gradient(self, x: FloatArray, rows: FloatArray, target: FloatArray) -> FloatArray:
        """Return the mean gradient over rows of shape (points or nothing, B, d)."""
        weights, output = self._split(x)
        before = rows @ np.swapaxes(weights, -1, -2)
        units = np.maximum(before, 0.0)
        slope = self._slopes(np.matvec(units, output), target) / rows.shape[-2]
        back = slope[..., None] * output[..., None, :] * (before > 0)
        hidden = np.swapaxes(back, -1, -2) @ rows
        return np.concatenate([hidden.reshape(len(x), -1), np.vecmat(slope, units)], axis=-1)

    def value(self, x: FloatArray) -> FloatArray:
        means = [self._losses(self.predictions(part)).mean(axis=-1) for part in self._slices(x)]
        return np.concatenate(means).reshape(x.shape[:-1])

    def gradient(self, x: FloatArray) -> FloatArray:
        means = [self._mean_gradient(part, self.features, self.targets) for part in self._slices(x)]
        return np.concatenate(means).reshape(x.shape)

    def _slices(self, x: FloatArray) -> list[FloatArray]:
        points = x.reshape(-1, self.dim)
        rows = max(1, SLICE // (self.n_samples * self.hidden))
        return [points[start : start + rows] for start in range(0, max(1, len(points)), rows)]

    def minibatch_gradient(self, x: FloatArray, indices: IntArray) -> FloatArray:
        rows = self.features.take(indices, axis=0)
        return self._mean_gradient(x, rows, self.targets.take(indices))

    def component_values(self, x: FloatArray) -> FloatArray:
        return self._losses(self.predictions(x))

    def component_gradients(self, x: FloatArray) -> FloatArray:
        points = np.broadcast_to(x, (self.n_samples, self.dim))
        return self._mean_gradient(points, self.features[:, None], self.targets[:, None])

    # ---- constants ------------------------------------------------------------------------

    @property
    def minimum(self) -> float:
        """Zero, if a teacher made the data; unknown otherwise, which raises ``ValueError``."""
        self._taught("minimum is")
        return 0.0

    @property
    def minimizer(self) -> FloatArray:
        """The weights of the teacher, one of many minimisers; ``ValueError`` without a teacher."""
        return self._taught("minimisers are")

    def _taught(self, what: str) -> FloatArray:
        if self._teacher is None:
            raise ValueError(
                f"problem: wanted a network from_teacher, whose {what} known, got {self.name}, "
                "whose lowest value nobody knows: compare values instead"
            )
        return self._teacher

    @property
    def component_minima(self) -> FloatArray:
        # A single sample can be met exactly, or as nearly as one likes, unless its row is zero.
        alone = self._losses(np.zeros(self.n_samples))
        return np.where(self.features.any(axis=1), 0.0, alone)
