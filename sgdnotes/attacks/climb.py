"""The climb that all attacks share: what is kept, and when an automatic step size is halved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.attacks.models import Attacked, BoolArray
from sgdnotes.attacks.perturbations import Perturbations

# (step number, points, the points before, gradients, step sizes) -> the next points
Move = Callable[[int, FloatArray, FloatArray, FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class AttackResult:
    """What an attack found.

    Attributes
    ----------
    images : ndarray of shape (n, pixels)
        For each image the misread one of the largest loss that was met; where none was misread,
        the one of the largest loss.
    predictions : ndarray of int, shape (n,)
        Their classes according to the classifier.
    success : ndarray of bool, shape (n,)
        Whether they are misread.  An image that is misread as it is counts as a success.
    loss : ndarray of shape (n,)
        The largest losses met along the runs.
    history : ndarray of shape (steps + 1, n)
        The largest losses so far; the first row is the start.
    halvings : ndarray of int, shape (n,)
        How often the step size was halved.
    originals : ndarray of shape (n, pixels)
    labels, clean_predictions : ndarray of int, shape (n,)
    n_gradients : int
        Gradients of the classifier that each image took.
    """

    images: FloatArray = field(repr=False)
    predictions: IntArray = field(repr=False)
    success: BoolArray = field(repr=False)
    loss: FloatArray = field(repr=False)
    history: FloatArray = field(repr=False)
    halvings: IntArray = field(repr=False)
    originals: FloatArray = field(repr=False)
    labels: IntArray = field(repr=False)
    clean_predictions: IntArray = field(repr=False)
    n_gradients: int

    @property
    def perturbations(self) -> FloatArray:
        """What was added to the original images, shape ``(n, pixels)``."""
        return self.images - self.originals

    @property
    def robust_accuracy(self) -> float:
        """The fraction of images that are still read as their labels: low for a strong attack."""
        return float((~self.success).mean())

    @property
    def clean_accuracy(self) -> float:
        """The fraction of original images that are read as their labels."""
        return float((self.clean_predictions == self.labels).mean())


# ---- when to halve the step ---------------------------------------------------------------------


def checkpoints(steps: int) -> list[int]:
    r"""Return the step numbers :math:`w_j = \lceil p_jN\rceil` at which the step size is reviewed.

    The shares are :math:`p_0 = 0`, :math:`p_1 = 0.22` and :math:`p_{j+1} = p_j + \max\{p_j -
    p_{j-1} - 0.03, 0.06\}`, as long as they are at most 1.  At 0 there is nothing to review.

    Parameters
    ----------
    steps : int
        N.

    Examples
    --------
    >>> checkpoints(100)
    [0, 22, 41, 57, 70, 80, 87, 93, 99]
    """
    total = _validate.integer("steps", steps, at_least=0)
    percent, gap, found = 0, 22, []
    while percent <= 100:
        found.append(-(-percent * total // 100))  # in whole numbers nothing is rounded up wrongly
        percent, gap = percent + gap, max(gap - 3, 6)
    return sorted(set(found))


def rises_too_rarely(values: FloatArray, share: float = 0.75) -> BoolArray:
    r"""Return where fewer than a `share` of the steps between checkpoints raised the loss.

    This is Condition 1, :math:`\sum_i\mathbf 1[f(x_{i+1}) > f(x_i)] < \rho(w_j - w_{j-1})`.

    Parameters
    ----------
    values : ndarray of shape (w + 1, n)
        The losses :math:`f(x_i)` from one checkpoint to the next, both included.
    share : float, default 0.75
        :math:`\rho`.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    rises = (np.diff(values, axis=0) > 0).sum(axis=0)
    return np.asarray(rises < share * (len(values) - 1))


def stands_still(halved: BoolArray | bool, best_before: FloatArray, best: FloatArray) -> BoolArray:
    """Return where the best loss is what it was, though the last checkpoint kept the step size.

    This is Condition 2.

    Parameters
    ----------
    halved : ndarray of bool, shape (n,), or bool
        Whether the last checkpoint halved the step size.
    best_before, best : ndarray of shape (n,)
        The largest losses at the last checkpoint and now.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    return np.asarray(~np.asarray(halved) & (best == best_before))


# ---- the climb ----------------------------------------------------------------------------------


class _Best:
    """The best points met so far."""

    def __init__(self, points: FloatArray, predictions: IntArray, labels: IntArray) -> None:
        self.labels = labels
        count = len(labels)
        self.points, self.gradients = points.copy(), np.zeros_like(points)
        self.values = np.full(count, -np.inf)
        self.found, self.predictions = points.copy(), predictions.copy()
        self.found_values = np.full(count, -np.inf)
        self.success = predictions != labels

    def see(
        self, points: FloatArray, values: FloatArray, gradients: FloatArray, predictions: IntArray
    ) -> None:
        better = values > self.values
        self.points[better], self.gradients[better] = points[better], gradients[better]
        self.values[better] = values[better]
        # To misread comes first, a large loss second.
        wrong = predictions != self.labels
        first = wrong & ~self.success
        taken = first | ((wrong == self.success) & (values > self.found_values))
        self.found[taken], self.found_values[taken] = points[taken], values[taken]
        self.predictions[taken] = predictions[taken]
        self.success |= wrong


def climb(
    attacked: Attacked,
    nearby: Perturbations,
    start: FloatArray,
    move: Move,
    *,
    steps: int,
    sizes: Callable[[int], float] | float,
    decrease: float | None = None,
) -> AttackResult:
    """Climb the losses of all images at once, and remember the best points.

    Parameters
    ----------
    attacked : Attacked
    nearby : Perturbations
    start : ndarray of shape (n, pixels)
    move : callable
        ``(k, points, points before, gradients, sizes) -> next points``.
    steps : int
    sizes : float or callable
        The step size, at first or as a function of the step.
    decrease : float, optional
        The share of steps that must raise the loss for the size to be kept at a checkpoint; when
        omitted, sizes are as given.
    """
    clean, _, clean_predictions = attacked(nearby.images, gradients=False)
    best = _Best(nearby.images, clean_predictions, attacked.labels)
    best.found_values = np.where(best.success, clean, -np.inf)
    values, gradients, predictions = attacked(start, gradients=steps > 0)
    best.see(start, values, gradients, predictions)
    history, window = [best.values.copy()], [values]
    points = before = start
    count = len(start)
    size = np.full(count, 0.0 if callable(sizes) else sizes)
    halvings, halved = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=bool)
    last_best = best.values.copy()
    reviews = set(checkpoints(steps)) - {0}
    for k in range(steps):
        if callable(sizes):
            size = np.full(count, sizes(k))
        following = move(k, points, before, gradients, size[:, None])
        before, points = points, following
        values, gradients, predictions = attacked(points, gradients=k + 1 < steps)
        best.see(points, values, gradients, predictions)
        history.append(best.values.copy())
        window.append(values)
        if decrease is not None and k + 1 in reviews:
            halved = rises_too_rarely(np.array(window), decrease) | stands_still(
                halved, last_best, best.values
            )
            size = np.where(halved, size / 2, size)
            halvings += halved
            last_best = best.values.copy()
            points = np.where(halved[:, None], best.points, points)
            gradients = np.where(halved[:, None], best.gradients, gradients)
            window = [np.where(halved, best.values, values)]
    return AttackResult(
        images=best.found,
        predictions=best.predictions,
        success=best.success,
        loss=best.values,
        history=np.array(history),
        halvings=halvings,
        originals=nearby.images,
        labels=attacked.labels,
        clean_predictions=clean_predictions,
        n_gradients=steps,
    )
