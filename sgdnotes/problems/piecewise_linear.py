"""Losses of linear predictions with a kink: absolute deviations and support vector machines."""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdnotes._validate import FloatArray
from sgdnotes.problems.base import check_radius
from sgdnotes.problems.linear_models import LinearModel, check_labels

NOT_REACHED = (
    "features, labels: the interior-point method did not reach the minimiser; "
    "wanted better-scaled features or a larger regularization"
)


class PiecewiseLinearModel(LinearModel):
    r"""Losses of two straight pieces each, with a kink where :math:`a_i^\top x` is the target.

    Without regularization the minimisers form a polyhedron, which a solution of the dual linear
    program describes.

    Parameters
    ----------
    features : array_like of shape (n_samples, dim)
    targets : array_like of shape (n_samples,)
        Where the kinks are.
    regularization : float, default 0
        :math:`\lambda \ge 0`.
    """

    loss_curvature = math.inf

    @abstractmethod
    def _dual(self) -> FloatArray:
        """Return multipliers y in [-1, 1] that describe all minimisers when λ = 0.

        A point minimises f if and only if each of its residuals a_i'x - b_i is zero where
        |y_i| < 1 and has the sign of y_i, or is zero, elsewhere.
        """

    @cached_property
    def _minimizers(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """One minimiser, the directions along which there may be more, and what bounds them."""
        dual = self._dual()
        zero = np.abs(dual) < 1 - 1e-7
        rows, targets = self.features[zero], self.targets[zero]
        found = np.linalg.lstsq(rows, targets, rcond=None)[0] if zero.any() else 0.0
        point = np.zeros(self.dim) + found
        free = _null_space(rows, 1e-12 * np.abs(self.features).max())
        sign = np.sign(dual[~zero])
        slopes = sign[:, None] * self.features[~zero]
        return point, free, slopes @ free.T, sign * self.targets[~zero] - slopes @ point

    def _nearest_minimizer(self, x: FloatArray) -> FloatArray:
        # Among point + t @ free with slopes @ t >= levels, the nearest to x solves a problem of
        # least distance, which one with non-negative unknowns replaces (Lawson and Hanson, 1974,
        # chapter 23): it names the inequalities that hold with equality, and these give the point.
        from scipy.optimize import nnls  # imported late: only the minimiser needs it

        point, free, slopes, levels = self._minimizers
        start = free @ (x - point)
        missing = levels - slopes @ start
        slack = 1e-11 * (np.abs(levels).max(initial=0) + np.abs(slopes).max(initial=0))
        if not len(free) or (missing <= slack).all():
            return point + start @ free
        scale = np.abs(missing).max()
        table = np.vstack([slopes.T, (missing - slack) / scale])
        active = nnls(table, np.eye(len(table))[-1])[0] > 0
        step = np.linalg.lstsq(slopes[active], missing[active], rcond=None)[0]
        return np.asarray(point + (start + step) @ free)

    def distance_squared(self, x: FloatArray) -> FloatArray:
        if self.regularization or not len(self._minimizers[1]):
            return np.asarray(((x - self.minimizer) ** 2).sum(axis=-1))
        points = x.reshape(-1, self.dim)
        nearest = np.array([self._nearest_minimizer(point) for point in points])
        return np.asarray(((points - nearest) ** 2).sum(axis=-1).reshape(x.shape[:-1]))

    @property
    def strong_convexity(self) -> float:
        return self.regularization

    @property
    def pl_constant(self) -> float:
        return self.regularization


class LeastAbsoluteDeviations(PiecewiseLinearModel):
    r"""Least absolute deviations, :math:`f_i(x) = |a_i^\top x - b_i|`, convex and not smooth.

    The subgradient of :math:`f_i` is :math:`\operatorname{sign}(a_i^\top x - b_i)\,a_i`, zero at
    the kink.  With a single column of ones the minimisers are the medians of the targets.

    Parameters
    ----------
    features : array_like of shape (n_samples, dim)
    targets : array_like of shape (n_samples,)
    """

    def __init__(self, features: ArrayLike, targets: ArrayLike) -> None:
        super().__init__(features, targets)
        self.name = "least absolute deviations"

    def _loss(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        return np.abs(prediction - target)

    def _loss_derivative(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        return np.sign(prediction - target)

    def max_second_moment(self, radius: float = math.inf) -> float:
        check_radius(radius)
        return float(self._row_norms_squared.mean())

    def _dual(self) -> FloatArray:
        # Strong duality: y maximises -b'y with A'y = 0 and -1 <= y_i <= 1.
        from scipy.optimize import linprog  # imported late: only the minimiser needs it

        size, height = np.abs(self.features).max(), np.abs(self.targets).max() or 1.0
        return np.asarray(
            linprog(
                self.targets / height,
                A_eq=self.features.T / size,
                b_eq=np.zeros(self.dim),
                bounds=(-1, 1),
            ).x
        )

    @cached_property
    def minimizer(self) -> FloatArray:
        """The minimiser of least norm, by linear programming."""
        return self._nearest_minimizer(np.zeros(self.dim))

    @cached_property
    def component_minima(self) -> FloatArray:
        return np.where(self._row_norms_squared > 0, 0.0, np.abs(self.targets))


class SupportVectorMachine(PiecewiseLinearModel):
    r"""The linear support vector machine without intercept, convex and not smooth.

    .. math::

        f_i(x) = \max(0, 1 - y_ia_i^\top x) + \frac\lambda2\|x\|^2.

    The subgradient of the first term is :math:`-y_ia_i` where the margin :math:`y_ia_i^\top x` is
    below 1, and zero elsewhere, the kink included.  Without regularization there is always a
    minimiser; where the data are separable, the one of least norm has the largest margin.

    Parameters
    ----------
    features : array_like of shape (n_samples, dim)
    labels : array_like of shape (n_samples,)
        Every label is -1 or 1.
    regularization : float
        :math:`\lambda \ge 0`.
    """

    targets_name = "labels"

    def __init__(self, features: ArrayLike, labels: ArrayLike, regularization: float) -> None:
        super().__init__(features, check_labels(labels), regularization)
        self.name = f"support vector machine with λ = {self.regularization:g}"

    def _loss(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        return np.maximum(0.0, 1 - target * prediction)

    def _loss_derivative(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        return np.where(target * prediction < 1, -target, 0.0)

    def max_second_moment(self, radius: float = math.inf) -> float:
        end = check_radius(radius)
        if not self.regularization:
            return float(self._row_norms_squared.mean())
        return float(((np.sqrt(self._row_norms_squared) + self.regularization * end) ** 2).mean())

    def _dual(self) -> FloatArray:
        # Strong duality: the sum of the weights w is as large as w'(yA) = 0 and 0 <= w_i <= 1
        # allow.  A margin is above 1, or equal, where w_i = 0, and below, or equal, where w_i = 1.
        from scipy.optimize import linprog  # imported late: only the minimiser needs it

        size = np.abs(self.features).max()
        weights = linprog(
            -np.ones(self.n_samples),
            A_eq=(self.targets[:, None] * self.features).T / size,
            b_eq=np.zeros(self.dim),
            bounds=(0, 1),
        ).x
        return np.asarray(self.targets * (1 - 2 * weights))

    @cached_property
    def minimizer(self) -> FloatArray:
        """The minimiser; the one of least norm if there is no regularization.

        With regularization it is found by an interior-point method for the dual problem, which
        tells the margins below, at, and above 1 apart, and then exactly from these three sets.
        """
        if not self.regularization:
            return self._nearest_minimizer(np.zeros(self.dim))
        rows = self.targets[:, None] * (self.features @ self.row_space.T)
        stiffness = self.n_samples * self.regularization
        weights, below, at = _sort_margins(rows, stiffness)
        # The gradient of the margins below 1 and of the penalty must vanish along all directions
        # in which the margins at 1 stay there.
        z = rows[below].sum(axis=0) / stiffness
        if at.any():
            free = _null_space(rows[at], 1e-12 * np.abs(rows).max())
            z = np.linalg.lstsq(rows[at], np.ones(at.sum()), rcond=1e-12)[0] + free.T @ (free @ z)
        x = np.asarray(z @ self.row_space)
        # No value of f is below a value of the dual problem.
        reached = float(self.component_values(x).mean())
        lowest = weights.mean() - ((weights @ rows) ** 2).sum() / (2 * stiffness * self.n_samples)
        if not reached - lowest <= 1e-9 * reached + 1e-14:
            raise ValueError(NOT_REACHED)
        return x

    @cached_property
    def component_minima(self) -> FloatArray:
        reach, weight = self._row_norms_squared, self.regularization
        if not weight:
            return np.where(reach > 0, 0.0, 1.0)
        # Along a_i the margin m costs λm²/(2‖a_i‖²), and the best one is min(1, ‖a_i‖²/λ).
        margin = np.minimum(1.0, reach / weight)
        return np.asarray(
            np.where(margin < 1, 1 - margin / 2, weight / 2 / np.maximum(reach, weight))
        )


def _null_space(rows: FloatArray, size: float) -> FloatArray:
    """Return an orthonormal basis of what is orthogonal to the rows, up to the given size."""
    p = rows.shape[1]
    triangle = np.linalg.qr(np.vstack([rows, np.zeros((p, p))]), mode="r")
    _, singular, right = np.linalg.svd(triangle)
    return np.asarray(right[int((singular > size).sum()) :])


def _sort_margins(
    rows: FloatArray, stiffness: float
) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.bool_]]:
    r"""Return the weights of the rows, and where the margin is below 1 and where it is 1.

    The dual problem is to minimise :math:`\|Z^\top w\|^2/(2c) - \sum_i w_i` over
    :math:`0 \le w_i \le 1`, with the rows :math:`z_i` of Z and the stiffness :math:`c = n\lambda`;
    its solution gives :math:`x = Z^\top w/c`.  With :math:`s, t \ge 0` for what a margin exceeds 1
    by and falls short of it by, :math:`Zx - 1 = s - t`, and :math:`w_is_i = (1 - w_i)t_i = 0`.  An
    interior-point method keeps everything positive and drives these products to zero together.
    """
    n, p = rows.shape
    largest = float(np.linalg.norm(rows, 2))
    scale = min(1.0, stiffness / largest**2)  # of weights that make margins about 1
    w = np.full(n, scale / 2)
    u = 1 - w  # kept apart: near 0 it has digits that 1 - w has lost
    margin = rows @ (w @ rows) / stiffness
    s, t = np.maximum(margin - 1, 0) + 1, np.maximum(1 - margin, 0) + 1
    ridge = math.sqrt(stiffness) * np.eye(p)
    for _ in range(200):
        product = float(w @ s + u @ t) / (2 * n)
        if product < 1e-15 * scale:
            below, above = u < t, w < scale * s
            return w, below, ~(below | above)
        goal = product / 10
        fall, rise = goal / w - s, goal / u - t  # steps of s and t if w stood still
        ease = 1 / (s / w + t / u)
        # The step of x is that of a weighted ridge regression on how far the two disagree.
        root = np.sqrt(ease)
        table = np.vstack([root[:, None] * rows, ridge])
        wanted = np.concatenate([root * (fall - rise), np.zeros(p)])
        dw = ease * (fall - rise - rows @ np.linalg.lstsq(table, wanted, rcond=0)[0])
        ds, dt = fall - s / w * dw, rise + t / u * dw
        # As far as nothing passes 99 % of the way to zero.
        ratio = max((-dw / w).max(), (dw / u).max(), (-ds / s).max(), (-dt / t).max())
        step = 0.99 / max(0.99, float(ratio))
        w, u, s, t = w + step * dw, u - step * dw, s + step * ds, t + step * dt
    raise ValueError(NOT_REACHED)
