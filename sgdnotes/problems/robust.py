"""Linear regression with a bounded loss, which gross errors in the targets cannot dominate."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.problems.linear_models import LinearModel


class RobustRegression(LinearModel):
    r"""Regression with the loss of Geman and McClure, which is smooth and bounded.

    .. math::

        f_i(x) = \frac{s^2}2\,\frac{r_i^2}{s^2 + r_i^2}, \qquad r_i = a_i^\top x - b_i.

    For residuals well below the scale s it is half their square, for residuals well above it
    nearly constant, so that a gross error has next to no slope.  The second derivative lies
    between -1/4 and 1: the sum is not convex, and its minimum is not known in general.

    Parameters
    ----------
    features : array_like of shape (n_samples, dim)
    targets : array_like of shape (n_samples,)
    scale : float
        :math:`s > 0`, the residual from which on an observation is distrusted.

    References
    ----------
    Geman and McClure (1987).

    Examples
    --------
    >>> problem = RobustRegression([[1.0], [1.0], [1.0]], [0.0, 0.0, 100.0], scale=1.0)
    >>> problem.value(np.array([0.0])).round(4)
    np.float64(0.1667)
    """

    loss_curvature = 1.0
    convex = False
    components_convex = False

    def __init__(self, features: ArrayLike, targets: ArrayLike, scale: float) -> None:
        super().__init__(features, targets)
        self.scale = _validate.real("scale", scale, above=0)
        self.name = f"robust regression with scale {self.scale:g}"

    def _weights(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        return np.asarray(1 / (1 + ((prediction - target) / self.scale) ** 2))

    def _loss(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        return 0.5 * (prediction - target) ** 2 * self._weights(prediction, target)

    def _loss_derivative(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        return (prediction - target) * self._weights(prediction, target) ** 2

    def _loss_second_derivative(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        weights = self._weights(prediction, target)
        return weights**2 * (4 * weights - 3)

    @property
    def minimum(self) -> float:
        """Unknown: raises ``ValueError``."""
        raise ValueError(f"problem: wanted one whose minimum is known, got {self.name}")

    @property
    def minimizer(self) -> FloatArray:
        """Unknown: raises ``ValueError``."""
        raise ValueError(f"problem: wanted one whose minimiser is known, got {self.name}")

    @property
    def strong_convexity(self) -> float:
        """Zero: the function is not convex."""
        return 0.0

    @property
    def pl_constant(self) -> float:
        """Zero: far from the data the function is flat."""
        return 0.0

    def distance_squared(self, x: FloatArray) -> FloatArray:
        """Raise ``ValueError``: no minimiser is known."""
        raise ValueError(f"problem: wanted one whose minimisers are known, got {self.name}")

    @cached_property
    def component_minima(self) -> FloatArray:
        """Zero, or the loss at 0 where a row of zeros leaves no choice."""
        stuck = self._loss(np.zeros_like(self.targets), self.targets)
        return np.where(self._row_norms_squared > 0, 0.0, stuck)
