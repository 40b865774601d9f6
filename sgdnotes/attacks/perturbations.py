"""The sets that attacks search: images near given ones, with pixels from 0 to 1.

Each image has a set of its own, and all are treated at once: row i of an argument belongs to
image i.  What is returned lies in the set as computed in floating point, not only up to rounding.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.attacks.models import check_images

GROUP = 64  # images that share one random generator
FOREVER = 1e300  # later than any time that matters


class Perturbations(Protocol):
    """Images within `epsilon` of `images` in some norm, with pixels from 0 to 1."""

    images: FloatArray
    epsilon: float

    def project(self, points: FloatArray) -> FloatArray:
        """Return the nearest images of the sets to `points`, shape ``(n, pixels)``."""

    def settle(self, points: FloatArray) -> FloatArray:
        """Return `points` that lie in the sets up to rounding, moved inside."""

    def linear_maximizer(self, gradients: FloatArray) -> FloatArray:
        r"""Return images v of the sets with the largest :math:`\langle g, v\rangle`.

        In a pixel where all v are as good, that is where g is zero, v is the original image.
        """

    def steepest(self, gradients: FloatArray) -> FloatArray:
        """Return the directions of length 1 in the norm that ascend most along `gradients`."""

    def random(self, rng: np.random.Generator) -> FloatArray:
        """Return random images of the sets, drawn with `rng`; those of an image never change."""


def _distance(epsilon: float) -> float:
    return _validate.real("epsilon", epsilon, at_least=0)


def _groups(rng: np.random.Generator, count: int) -> list[np.random.Generator]:
    return rng.spawn(-(-count // GROUP))


class LinfPerturbations:
    r"""Images with :math:`\|x - x_0\|_\infty \le \varepsilon` and pixels from 0 to 1: boxes.

    Parameters
    ----------
    images : array_like of shape (n, pixels)
        :math:`x_0`.
    epsilon : float
        :math:`\varepsilon \ge 0`.
    """

    def __init__(self, images: ArrayLike, epsilon: float) -> None:
        self.images, self.epsilon = check_images(images), _distance(epsilon)
        self.lower = np.maximum(self.images - self.epsilon, 0.0)
        self.upper = np.minimum(self.images + self.epsilon, 1.0)
        # Rounding may have put an end too far out; it is off by one or two in the last place.
        while (far := self.images - self.lower > self.epsilon).any():
            self.lower[far] = np.nextafter(self.lower[far], 1.0)
        while (far := self.upper - self.images > self.epsilon).any():
            self.upper[far] = np.nextafter(self.upper[far], 0.0)

    def project(self, points: FloatArray) -> FloatArray:
        """Return `points` with every pixel clipped."""
        return np.asarray(np.clip(points, self.lower, self.upper))

    def settle(self, points: FloatArray) -> FloatArray:
        """Return `points` with every pixel clipped."""
        return self.project(points)

    def linear_maximizer(self, gradients: FloatArray) -> FloatArray:
        """Return the corners along the signs of `gradients`; the original where these are 0."""
        corner = np.where(gradients > 0, self.upper, self.lower)
        return np.asarray(np.where(gradients == 0, self.images, corner))

    def steepest(self, gradients: FloatArray) -> FloatArray:
        """Return the signs of `gradients`."""
        return np.sign(gradients)

    def random(self, rng: np.random.Generator) -> FloatArray:
        """Return uniformly random images of the boxes, drawn with `rng`."""
        count, pixels = self.images.shape
        drawn = [group.random((GROUP, pixels)) for group in _groups(rng, count)]
        share = np.concatenate(drawn)[:count]
        return self.project(self.lower + share * (self.upper - self.lower))


class L2Perturbations:
    r"""Images with :math:`\|x - x_0\|_2 \le \varepsilon` and pixels from 0 to 1.

    Both the projection of a point and the linear maximiser are of the form
    :math:`\operatorname{clip}(x_0 + td, 0, 1)`, with d the way to the point or the gradient; t is
    found exactly, because the squared distance from :math:`x_0` is piecewise quadratic in t.

    Parameters
    ----------
    images : array_like of shape (n, pixels)
        :math:`x_0`.
    epsilon : float
        :math:`\varepsilon \ge 0`.
    """

    def __init__(self, images: ArrayLike, epsilon: float) -> None:
        self.images, self.epsilon = check_images(images), _distance(epsilon)

    def project(self, points: FloatArray) -> FloatArray:
        """Return the nearest images of the sets to `points`."""
        way = points - self.images
        if self.epsilon == 0:
            return self.images.copy()
        with np.errstate(over="ignore"):
            return self._along(way, np.abs(way).max(axis=1, keepdims=True) / self.epsilon)

    def linear_maximizer(self, gradients: FloatArray) -> FloatArray:
        """Return the images that lie farthest along `gradients`; the original where these are 0."""
        return self._along(gradients, np.full((len(gradients), 1), FOREVER))

    def steepest(self, gradients: FloatArray) -> FloatArray:
        """Return `gradients` scaled to length 1, or 0 where they are 0."""
        scaled = self._scaled(gradients)
        length = np.linalg.norm(scaled, axis=1, keepdims=True)
        unit = np.divide(scaled, length, out=np.zeros_like(scaled), where=length > 0)
        return np.asarray(unit)

    def random(self, rng: np.random.Generator) -> FloatArray:
        """Return uniformly random points of the balls, drawn with `rng`, with pixels clipped."""
        count, pixels = self.images.shape
        parts = []
        for group in _groups(rng, count):
            way = group.standard_normal((GROUP, pixels))
            way /= np.linalg.norm(way, axis=1, keepdims=True)
            parts.append(way * group.random((GROUP, 1)) ** (1 / pixels))
        return self.settle(self.images + self.epsilon * np.concatenate(parts)[:count])

    @staticmethod
    def _scaled(gradients: FloatArray) -> FloatArray:
        """Divide rows by their largest entry, so that no square is lost to underflow."""
        largest = np.abs(gradients).max(axis=1, keepdims=True)
        scaled = np.divide(gradients, largest, out=np.zeros_like(gradients), where=largest > 0)
        return np.asarray(scaled)

    def _along(self, way: FloatArray, limit: FloatArray) -> FloatArray:
        """Return the images clip(x0 + t way) with the largest t that the ball and `limit` allow.

        Lengths are measured in epsilon, and t such that the fastest pixel moves by t epsilon.
        """
        if self.epsilon == 0:
            return self.images.copy()
        wide = np.where(way > 0, 1 - self.images, self.images)
        room = np.minimum(wide, 2 * self.epsilon) / self.epsilon  # more than 1 is never used
        speed = np.abs(self._scaled(way))
        speed[speed < 1e-150] = 0.0  # the square of which is 0
        # A pixel moves with its speed up to the wall; `wall` are the times when it is there.
        wall = np.divide(room, speed, out=np.full_like(room, FOREVER), where=speed > 0)
        room = np.where(speed > 0, room, 0.0)
        order = np.argsort(wall, axis=1)
        times = np.take_along_axis(wall, order, axis=1)
        resting = np.cumsum(np.take_along_axis(room, order, axis=1) ** 2, axis=1)
        squares = np.take_along_axis(speed, order, axis=1) ** 2
        moving = np.cumsum(squares[:, ::-1], axis=1)[:, ::-1]
        # While pixels j, j + 1, ... of the order move, the squared distance is, at the time t,
        # that of the resting ones plus t squared times the moving ones' squared speeds.
        resting = np.concatenate([np.zeros_like(resting[:, :1]), resting[:, :-1]], axis=1)
        reached = resting + np.where(moving > 0, times, 0.0) ** 2 * moving
        outside = reached > 1
        first = outside.argmax(axis=1)[:, None]
        missing = np.maximum(1 - np.take_along_axis(resting, first, axis=1), 0.0)
        pace = np.take_along_axis(moving, first, axis=1)
        time = np.sqrt(np.divide(missing, pace, out=np.zeros_like(pace), where=pace > 0))
        time = np.where(outside.any(axis=1, keepdims=True), time, FOREVER)
        time = np.minimum(time, limit)
        far = np.where(wall <= time, room, time * speed)
        return self.settle(self.images + self.epsilon * np.copysign(far, way))

    def settle(self, points: FloatArray) -> FloatArray:
        """Return `points` clipped, and pulled towards the original as far as rounding asks for."""
        points = np.clip(points, 0.0, 1.0)
        # Whatever the order in which squares are summed, the distance then is at most epsilon.
        most = self.epsilon * (1 - (points.shape[1] + 8) * np.finfo(float).eps / 2)
        for attempt in range(53):
            way = points - self.images
            length = np.linalg.norm(way, axis=1, keepdims=True)
            if not (far := length > most).any():
                break
            factor = np.divide(most, length, out=np.ones_like(length), where=far)
            factor[far] *= 1 - 2.0 ** (attempt - 52)
            points = np.where(far, np.clip(self.images + factor * way, 0.0, 1.0), points)
        return points


NORMS: dict[str, type[LinfPerturbations] | type[L2Perturbations]] = {
    "linf": LinfPerturbations,
    "l2": L2Perturbations,
}
