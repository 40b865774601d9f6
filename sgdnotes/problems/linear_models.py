"""Finite sums of losses of linear predictions: least squares, ridge, logistic regression."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.problems.base import FiniteSum

SLICE = 2**22  # numbers computed at a time, which bounds the memory that is needed


class LinearModel(FiniteSum):
    r"""Components :math:`f_i(x) = \phi_i(a_i^\top x) + \frac\lambda2\|x\|^2` with convex losses.

    Subclasses give the loss :math:`\phi_i`, its derivative and the bound `loss_curvature` of its
    second derivative; everything else follows from the rows :math:`a_i`.

    Parameters
    ----------
    features : array_like of shape (n_samples, dim)
        The rows :math:`a_i`.
    targets : array_like of shape (n_samples,)
        What each row is to predict.
    regularization : float, default 0
        :math:`\lambda \ge 0`.
    """

    loss_curvature: float
    targets_name = "targets"
    convex = True
    components_convex = True

    def __init__(self, features: ArrayLike, targets: ArrayLike, regularization: float = 0) -> None:
        self.features = _validate.finite_array("features", features, ndim=2)
        self.targets = _validate.finite_array("targets", targets, ndim=1)
        self.regularization = _validate.real("regularization", regularization, at_least=0)
        self.n_samples, self.dim = self.features.shape
        if self.targets.shape != (self.n_samples,):
            raise ValueError(
                f"{self.targets_name}: wanted one for each of the {self.n_samples} rows of "
                f"features, got {self.targets.size}"
            )
        largest = np.abs(self.features).max()
        if largest**2 == 0:
            raise ValueError(
                "features: wanted an entry whose square is above 0, otherwise f is constant, "
                f"got none larger than {largest:g}"
            )

    @abstractmethod
    def _loss(self, prediction: FloatArray, target: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _loss_derivative(self, prediction: FloatArray, target: FloatArray) -> FloatArray: ...

    def _loss_second_derivative(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        raise ValueError(f"problem: wanted a loss with a second derivative, got {self.name}")

    # ---- values and gradients -------------------------------------------------------------

    def value(self, x: FloatArray) -> FloatArray:
        points = x.reshape(-1, self.dim)
        rows = max(1, SLICE // self.n_samples)
        losses = [
            self._loss(points[start : start + rows] @ self.features.T, self.targets).mean(axis=1)
            for start in range(0, len(points), rows)
        ]
        penalty = self.regularization / 2 * (x**2).sum(axis=-1)
        return np.asarray(np.concatenate(losses).reshape(x.shape[:-1]) + penalty)

    def gradient(self, x: FloatArray) -> FloatArray:
        points = x.reshape(-1, self.dim)
        rows = max(1, SLICE // self.n_samples)
        sums = [
            self._loss_derivative(points[start : start + rows] @ self.features.T, self.targets)
            @ self.features
            for start in range(0, len(points), rows)
        ]
        mean = np.concatenate(sums).reshape(x.shape) / self.n_samples
        return mean + self.regularization * x

    def minibatch_gradient(self, x: FloatArray, indices: IntArray) -> FloatArray:
        rows = self.features.take(indices, axis=0)
        slopes = self._loss_derivative(np.matvec(rows, x), self.targets.take(indices))
        mean = np.vecmat(slopes, rows) / indices.shape[-1]
        return np.asarray(mean + self.regularization * x if self.regularization else mean)

    def loss_derivative(self, prediction: FloatArray, indices: IntArray) -> FloatArray:
        r"""Return the slopes :math:`\phi_i'` of the losses of some samples.

        Parameters
        ----------
        prediction : ndarray
            Where each slope is taken; :math:`a_i^\top x` gives that of :math:`f_i` at x.
        indices : ndarray of int, of the same shape
        """
        return self._loss_derivative(prediction, self.targets.take(indices))

    def linearized_gradient(
        self, x: FloatArray, anchor: FloatArray, indices: IntArray
    ) -> FloatArray:
        r"""Return minibatch gradients of the quadratic model of :math:`f` around an anchor.

        The model replaces each loss by its second-order Taylor polynomial, so that with the
        anchor :math:`z` the result is the mean over the batch of

        .. math::

            [\phi_i'(a_i^\top z) + \phi_i''(a_i^\top z)\,a_i^\top(x - z)]\,a_i + \lambda x.

        The cost is that of a minibatch gradient; no matrix is formed.

        Parameters
        ----------
        x : ndarray of shape (replicates, dim)
        anchor : ndarray of shape (replicates, dim)
            Where the losses are expanded.
        indices : ndarray of int, shape (replicates, B)
            One minibatch for each replicate.
        """
        rows = self.features.take(indices, axis=0)
        targets = self.targets.take(indices)
        prediction = np.matvec(rows, anchor)
        slopes = self._loss_derivative(prediction, targets)
        curvatures = self._loss_second_derivative(prediction, targets)
        slopes = slopes + curvatures * np.matvec(rows, x - anchor)
        mean = np.vecmat(slopes, rows) / indices.shape[-1]
        return np.asarray(mean + self.regularization * x if self.regularization else mean)

    def component_values(self, x: FloatArray) -> FloatArray:
        penalty = self.regularization / 2 * (x**2).sum()
        return np.asarray(self._loss(self.features @ x, self.targets) + penalty)

    def component_gradients(self, x: FloatArray) -> FloatArray:
        slopes = self._loss_derivative(self.features @ x, self.targets)
        return slopes[:, None] * self.features + self.regularization * x

    # ---- constants ------------------------------------------------------------------------

    @cached_property
    def _triangle(self) -> FloatArray:
        # The triangular factor of [A b] holds everything that least squares needs to know of the
        # data in at most p + 1 rows, without squaring the condition number as A'A would.  Taking
        # in the rows a slice at a time spares a copy of the data.
        rows = max(1, SLICE // (self.dim + 1))
        triangle = np.empty((0, self.dim + 1))
        for start in range(0, self.n_samples, rows):
            part = slice(start, start + rows)
            block = np.column_stack([self.features[part], self.targets[part]])
            triangle = np.asarray(np.linalg.qr(np.vstack([triangle, block]), mode="r"))
        return triangle

    @cached_property
    def _svd(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        left, singular, right = np.linalg.svd(self._triangle[:, :-1], full_matrices=False)
        rank = int((singular > singular[0] * max(self.features.shape) * np.finfo(float).eps).sum())
        return left[:, :rank], singular[:rank], right[:rank]

    @property
    def spectrum(self) -> FloatArray:
        r"""The nonzero eigenvalues of :math:`A^\top A/n`, decreasing, shape ``(rank,)``."""
        return self._svd[1] ** 2 / self.n_samples

    @property
    def row_space(self) -> FloatArray:
        """An orthonormal basis of the row space, shape ``(rank, dim)``, matching `spectrum`."""
        return self._svd[2]

    @cached_property
    def _row_norms_squared(self) -> FloatArray:
        return np.asarray(np.vecdot(self.features, self.features))

    @cached_property
    def smoothness(self) -> float:
        return float(self.loss_curvature * self.spectrum[0] + self.regularization)

    @cached_property
    def max_smoothness(self) -> float:
        return float(self.loss_curvature * self._row_norms_squared.max() + self.regularization)

    @cached_property
    def average_smoothness(self) -> float:
        return float(self.loss_curvature * self._row_norms_squared.mean() + self.regularization)

    @cached_property
    def minimum(self) -> float:
        return float(self.component_values(self.minimizer).mean())


def check_labels(labels: ArrayLike) -> FloatArray:
    """Return `labels` as an array when every one of them is -1 or 1."""
    array = _validate.finite_array("labels", labels, ndim=1)
    if not np.isin(array, (-1.0, 1.0)).all():
        raise ValueError(f"labels: wanted -1 and 1 only, got {np.unique(array)[:5]}")
    return array


class Ridge(LinearModel):
    r"""Ridge regression, :math:`f_i(x) = \frac12(a_i^\top x - b_i)^2 + \frac\lambda2\|x\|^2`.

    Parameters
    ----------
    features : array_like of shape (n_samples, dim)
    targets : array_like of shape (n_samples,)
    regularization : float
        :math:`\lambda \ge 0`; at 0 this is least squares.
    """

    loss_curvature = 1.0

    def __init__(self, features: ArrayLike, targets: ArrayLike, regularization: float) -> None:
        super().__init__(features, targets, regularization)
        self.name = f"ridge regression with λ = {self.regularization:g}"

    def _loss(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        return 0.5 * (prediction - target) ** 2

    def _loss_derivative(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        return prediction - target

    def _loss_second_derivative(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        return np.ones_like(prediction)

    @cached_property
    def minimizer(self) -> FloatArray:
        left, singular, right = self._svd
        shrunk = singular / (singular**2 + self.n_samples * self.regularization)
        return np.asarray(right.T @ (shrunk * (left.T @ self._triangle[:, -1])))

    @cached_property
    def hessian(self) -> FloatArray:
        r""":math:`\frac1nA^\top A + \lambda I`, shape ``(dim, dim)``."""
        weighted = self.row_space.T * self.spectrum
        return weighted @ self.row_space + self.regularization * np.eye(self.dim)

    def gap(self, x: FloatArray) -> FloatArray:
        # The quadratic form loses no digits near the minimum, where f(x) - f* would.
        offset = x - self.minimizer
        along = (offset @ self.row_space.T) ** 2
        return np.asarray(
            0.5 * (along @ self.spectrum + self.regularization * (offset**2).sum(axis=-1))
        )

    @cached_property
    def strong_convexity(self) -> float:
        full_rank = len(self.spectrum) == self.dim
        return float(self.spectrum[-1] if full_rank else 0.0) + self.regularization

    @cached_property
    def pl_constant(self) -> float:
        if self.regularization:
            return self.strong_convexity
        return float(self.spectrum[-1])

    @cached_property
    def component_minima(self) -> FloatArray:
        reachable = self._row_norms_squared
        return np.divide(
            self.targets**2 * self.regularization / 2,
            reachable + self.regularization,
            out=np.where(reachable > 0, 0.0, self.targets**2 / 2),
            where=(reachable > 0) & (self.regularization > 0),
        )

    def distance_squared(self, x: FloatArray) -> FloatArray:
        offset = x - self.minimizer
        if not self.regularization:  # minimisers differ by what is orthogonal to the rows
            offset = offset @ self.row_space.T
        return np.asarray((offset**2).sum(axis=-1))


class LeastSquares(Ridge):
    r"""Least squares, :math:`f_i(x) = \frac12(a_i^\top x - b_i)^2`, of any rank and shape.

    The minimiser reported is the one of least norm, :math:`A^+b`, to which gradient methods
    started at the origin converge.

    Parameters
    ----------
    features : array_like of shape (n_samples, dim)
    targets : array_like of shape (n_samples,)

    Examples
    --------
    >>> problem = LeastSquares([[1.0, 0.0], [0.0, 2.0]], [1.0, 2.0])
    >>> problem.smoothness, problem.max_smoothness, problem.minimum
    (2.0, 4.0, 0.0)
    """

    def __init__(self, features: ArrayLike, targets: ArrayLike) -> None:
        super().__init__(features, targets, 0.0)
        self.name = "least squares"


class LogisticRegression(LinearModel):
    r"""Logistic regression, :math:`f_i(x) = \log(1 + e^{-y_ia_i^\top x}) + \frac\lambda2\|x\|^2`.

    Without regularization there is a minimiser exactly if no :math:`w` separates the data, that
    is, if no :math:`w` has :math:`y_ia_i^\top w \ge 0` for all i and not only zeros; the one
    reported is then that of least norm, and `strong_convexity` and `pl_constant` are 0, because
    the curvature vanishes far away.  Separable data are refused where the minimiser, or anything
    that depends on it, is asked for.

    Parameters
    ----------
    features : array_like of shape (n_samples, dim)
    labels : array_like of shape (n_samples,)
        Every label is -1 or 1.
    regularization : float
        :math:`\lambda \ge 0`.
    """

    loss_curvature = 0.25
    targets_name = "labels"

    def __init__(self, features: ArrayLike, labels: ArrayLike, regularization: float) -> None:
        super().__init__(features, check_labels(labels), regularization)
        self.name = f"logistic regression with λ = {self.regularization:g}"

    def _loss(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        return np.logaddexp(0.0, -target * prediction)

    def _loss_derivative(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        return np.asarray(-target * expit(-target * prediction))

    def _loss_second_derivative(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        return np.asarray(expit(prediction) * expit(-prediction))

    def hessian_at(self, x: FloatArray) -> FloatArray:
        r"""Return :math:`\nabla^2f(x)` at one point, shape ``(dim, dim)``."""
        weights = self._loss_second_derivative(self.features @ x, self.targets) / self.n_samples
        curvature = (self.features.T * weights) @ self.features
        return np.asarray(curvature + self.regularization * np.eye(self.dim))

    @property
    def separable(self) -> bool:
        r"""Whether some :math:`w` has :math:`y_ia_i^\top w \ge 0` for all i, not only zeros.

        Decided by a linear program, whose tolerance of 1e-7 counts as separable what a vanishing
        change of the features would separate.
        """
        from scipy.optimize import linprog  # imported late: only this needs it

        margins = self.targets[:, None] * (self.features @ self._whitening.T)
        size = np.linalg.norm(margins, axis=1, keepdims=True)
        margins = np.divide(margins, size, out=np.zeros_like(margins), where=size > 0)
        # With every margin between 0 and 1 the largest sum is 0 if only w = 0 is feasible, and at
        # least 1 otherwise, since w can be stretched until its largest margin is 1.
        found = linprog(
            -margins.sum(axis=0),
            A_ub=np.vstack([margins, -margins]),
            b_ub=np.repeat([1.0, 0.0], self.n_samples),
            bounds=(None, None),
        )
        return bool(-found.fun > 0.5)

    @cached_property
    def _whitening(self) -> FloatArray:
        # Coordinates z of the row space, x = z @ whitening, in which A'A/n is the identity.
        return np.asarray(self.row_space / np.sqrt(self.spectrum)[:, None])

    @cached_property
    def minimizer(self) -> FloatArray:
        """The minimiser of least norm, by Newton's method.

        Raises ``ValueError`` when the data are separable and there is no regularization.
        """
        if self.regularization:
            basis = np.eye(self.dim)
        elif self.separable:
            raise ValueError(
                "labels: wanted some that no direction separates, because regularization is 0, got "
                "separable data, for which f falls for ever along a direction: it has no minimiser"
            )
        else:
            basis = self._whitening
        z = np.zeros(len(basis))
        for _ in range(200):
            x = z @ basis
            gradient = basis @ self.gradient(x)
            step = np.linalg.solve(basis @ self.hessian_at(x) @ basis.T, gradient)
            # The last Newton steps are below the rounding of f, where a line search sees only
            # noise, so their size is what tells when to stop.
            if np.linalg.norm(step) <= 1e-13 * (1 + np.linalg.norm(z)):
                return np.asarray((z - step) @ basis)
            decrement = gradient @ step
            size = 1.0
            while decrement > 1e-12 and self.value((z - size * step) @ basis) > self.value(x) - (
                size * decrement / 4
            ):
                size /= 2
            z = z - size * step
        raise ValueError(
            "features, labels: Newton's method did not reach the minimiser to 1e-12; "
            "wanted better-scaled features or a larger regularization"
        )

    @property
    def strong_convexity(self) -> float:
        return self.regularization

    @property
    def pl_constant(self) -> float:
        return self.regularization

    def distance_squared(self, x: FloatArray) -> FloatArray:
        offset = x - self.minimizer
        if not self.regularization:  # minimisers differ by what is orthogonal to the rows
            offset = offset @ self.row_space.T
        return np.asarray((offset**2).sum(axis=-1))

    @cached_property
    def component_minima(self) -> FloatArray:
        if not self.regularization:  # each falls towards 0 along y_i a_i; a zero row costs log 2
            return np.where(self._row_norms_squared > 0, 0.0, np.log(2.0))
        # Along a_i the prediction m = y_i a_i'x costs λ m²/(2‖a_i‖²); the best m solves
        # m = ‖a_i‖² expit(-m) / λ, whose right side falls in m, so bisection cannot miss it.
        ratio = self._row_norms_squared / self.regularization
        low, high = np.zeros_like(ratio), ratio / 2
        for _ in range(200):
            middle = (low + high) / 2
            below = middle < ratio * expit(-middle)
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        # At the optimum λ m²/(2‖a‖²) = m expit(-m)/2, which needs no division by ‖a‖².
        return np.asarray(np.logaddexp(0.0, -low) + low * expit(-low) / 2)
