"""What is attacked: classifiers with gradients in their images, and losses of their logits."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.problems import check_classes, cross_entropy, cross_entropy_slope

BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

BLOCK = 64  # images that a classifier sees at a time
TINY = 1e-12  # added to the denominator of the ratio of logits, as its authors do


class Classifier(Protocol):
    """Something that gives logits, and gradients in the images.

    `NetworkClassifier` is one, and so is a `TorchClassifier` around a PyTorch module.
    """

    def logits(self, images: FloatArray) -> FloatArray:
        """Return logits, shape ``(n, classes)``, of images of shape ``(n, pixels)``."""

    def pullback(self, images: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradient of the sum of `cotangent` times the logits, shaped like `images`."""


class Loss(Protocol):
    """A loss of logits that an attack makes large."""

    @property
    def least_classes(self) -> int:
        """The number of classes below which the loss is not defined."""

    def value(self, logits: FloatArray, labels: IntArray) -> FloatArray:
        """Return the losses, shape ``(n,)``, of `logits` of shape ``(n, classes)``."""

    def slope(self, logits: FloatArray, labels: IntArray) -> FloatArray:
        """Return the derivatives of the losses for `labels` in the `logits`, shaped like them."""


class CrossEntropy:
    r"""The cross-entropy :math:`\log\sum_ce^{z_c} - z_y`."""

    least_classes = 2

    def value(self, logits: FloatArray, labels: IntArray) -> FloatArray:
        """Return the losses, shape ``(n,)``."""
        return cross_entropy(logits, labels)

    def slope(self, logits: FloatArray, labels: IntArray) -> FloatArray:
        """Return the derivatives of the losses in the logits, shape ``(n, classes)``."""
        return cross_entropy_slope(logits, labels)

    def __repr__(self) -> str:
        return "cross-entropy"


class DifferenceOfLogitsRatio:
    r"""The loss :math:`-(z_y - \max_{c\ne y}z_c)/(z_{\pi_1} - z_{\pi_3})` of at least 3 classes.

    Here :math:`z_{\pi_1} \ge z_{\pi_2} \ge z_{\pi_3}` are the largest logits.  Neither an offset
    nor a factor common to all logits changes the loss, so that a classifier cannot hide its
    gradients by being very sure of itself.  The loss is above 0 just where the image is misread.

    References
    ----------
    Croce and Hein (2020).
    """

    least_classes = 3

    def _parts(self, logits: FloatArray, labels: IntArray) -> tuple[IntArray, FloatArray, IntArray]:
        order = np.argsort(-logits, axis=-1, kind="stable")
        rival = np.where(order[:, 0] == labels, order[:, 1], order[:, 0])
        ends = order[:, [0, 2]]
        tops = np.take_along_axis(logits, ends, axis=-1)
        return rival, tops[:, 0] - tops[:, 1] + TINY, ends

    def value(self, logits: FloatArray, labels: IntArray) -> FloatArray:
        """Return the losses, shape ``(n,)``."""
        rival, spread, _ = self._parts(logits, labels)
        rows = np.arange(len(labels))
        return np.asarray((logits[rows, rival] - logits[rows, labels]) / spread)

    def slope(self, logits: FloatArray, labels: IntArray) -> FloatArray:
        """Return the derivatives of the losses in the logits, shape ``(n, classes)``."""
        rival, spread, ends = self._parts(logits, labels)
        rows, values = np.arange(len(labels)), self.value(logits, labels)
        slope = np.zeros_like(logits)
        slope[rows, rival] += 1
        slope[rows, labels] -= 1
        slope[rows, ends[:, 0]] -= values
        slope[rows, ends[:, 1]] += values
        return slope / spread[:, None]

    def __repr__(self) -> str:
        return "difference of logits ratio"


LOSSES: dict[str, Loss] = {"cross_entropy": CrossEntropy(), "dlr": DifferenceOfLogitsRatio()}


def resolve_loss(loss: str | Loss) -> Loss:
    """Return the `loss`, looked up in `LOSSES` if it is a name."""
    if isinstance(loss, str):
        return LOSSES[_validate.one_of("loss", loss, LOSSES)]
    methods = (getattr(loss, name, None) for name in ("value", "slope"))
    if isinstance(loss, type) or not all(callable(method) for method in methods):
        raise ValueError(f"loss: wanted a name or a Loss such as CrossEntropy(), got {loss!r}")
    return loss


def check_images(images: ArrayLike) -> FloatArray:
    """Return `images` as rows of pixels from 0 to 1."""
    rows = _validate.finite_array("images", images, ndim=2)
    if rows.min() < 0 or rows.max() > 1:
        raise ValueError(f"images: wanted pixels from 0 to 1, got {rows.min():g} to {rows.max():g}")
    return rows


class Attacked:
    """The losses of a classifier on given labels, as functions of the images.

    Images are shown to the classifier in blocks of constant shape, the last one filled up: what is
    computed for an image then does not depend on how many follow it, not even in the last digit.

    Parameters
    ----------
    classifier : Classifier
    labels : ndarray of int, shape (n,)
    loss : Loss
    """

    def __init__(self, classifier: Classifier, labels: IntArray, loss: Loss) -> None:
        if not all(callable(getattr(classifier, name, None)) for name in ("logits", "pullback")):
            raise ValueError(
                f"classifier: wanted something with logits and pullback, got {classifier!r}"
            )
        self.classifier, self.labels, self.loss = classifier, labels, loss

    def __call__(
        self, images: FloatArray, *, gradients: bool = True
    ) -> tuple[FloatArray, FloatArray, IntArray]:
        """Return losses ``(n,)``, their `gradients` in `images` or zeros, predictions ``(n,)``."""
        values, predictions = np.empty(len(images)), np.empty(len(images), dtype=np.int64)
        slopes = np.zeros_like(images)
        for start in range(0, len(images), BLOCK):
            rows = slice(start, start + BLOCK)
            shown = np.resize(np.arange(start, min(start + BLOCK, len(images))), BLOCK)
            block, labels = images[shown], self.labels[shown]
            here = len(values[rows])
            logits = self._logits(block)
            values[rows] = self._checked("values", self.loss.value(logits, labels), labels)[:here]
            predictions[rows] = logits.argmax(axis=1)[:here]
            if gradients:
                slope = self._checked("slopes", self.loss.slope(logits, labels), logits)
                slopes[rows] = self._pullback(block, slope)[:here]
        return values, slopes, predictions

    def _logits(self, block: FloatArray) -> FloatArray:
        logits = np.asarray(self.classifier.logits(block), dtype=np.float64)
        if logits.ndim != 2 or len(logits) != len(block):
            raise ValueError(
                f"classifier: wanted logits of shape ({len(block)}, classes), got {logits.shape}"
            )
        if not np.isfinite(logits).all():
            raise ValueError("classifier: wanted finite logits, got NaN or infinite ones")
        classes = logits.shape[1]
        if classes < self.loss.least_classes:
            raise ValueError(
                f"loss: wanted at least {self.loss.least_classes} classes for the "
                f"{self.loss!r}, got {classes}"
            )
        if self.labels.max() >= classes:
            raise ValueError(
                f"labels: wanted numbers below the {classes} classes, got {self.labels.max()}"
            )
        return logits

    @staticmethod
    def _checked(what: str, given: FloatArray, like: FloatArray | IntArray) -> FloatArray:
        array = np.asarray(given, dtype=np.float64)
        if array.shape != like.shape:
            raise ValueError(f"loss: wanted {what} of shape {like.shape}, got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"loss: wanted finite {what}, got NaN or infinite ones")
        return array

    def _pullback(self, block: FloatArray, slope: FloatArray) -> FloatArray:
        gradient = np.asarray(self.classifier.pullback(block, slope), dtype=np.float64)
        if gradient.shape != block.shape:
            raise ValueError(
                f"classifier: wanted gradients of shape {block.shape}, got {gradient.shape}"
            )
        if not np.isfinite(gradient).all():
            raise ValueError("classifier: wanted finite gradients, got NaN or infinite ones")
        return gradient


def check_labels(labels: ArrayLike, images: FloatArray) -> IntArray:
    """Return `labels` as integers, one for each of the `images`."""
    return check_classes("labels", labels, len(images))
