"""Networks that sort small images into classes: finite sums, and what attacks are made on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.problems.linear_models import SLICE
from sgdnotes.problems.networks import Rectified


def cross_entropy(logits: FloatArray, labels: IntArray) -> FloatArray:
    r"""Return :math:`\log\sum_ce^{z_c} - z_y`, shape ``(...)``, exact also where it is tiny.

    Parameters
    ----------
    logits : ndarray of shape (..., classes)
        z.
    labels : ndarray of int, shape (...)
        y.
    """
    margins = logits - _at(logits, labels)
    top = margins.max(axis=-1)  # at least the 0 of the label itself
    others = np.exp(margins - top[..., None])
    np.put_along_axis(others, labels[..., None], 0.0, axis=-1)
    rest = others.sum(axis=-1)
    return np.asarray(np.where(top > 0, top + np.log(rest + np.exp(-top)), np.log1p(rest)))


def cross_entropy_slope(logits: FloatArray, labels: IntArray) -> FloatArray:
    """Return the derivative of `cross_entropy` in the `logits` for `labels`, shaped like them."""
    losses = cross_entropy(logits, labels)
    slope = np.exp(logits - _at(logits, labels) - losses[..., None])
    np.put_along_axis(slope, labels[..., None], 0.0, axis=-1)
    # What the others gain the label loses; 1 minus its probability would lose all digits.
    np.put_along_axis(slope, labels[..., None], -slope.sum(axis=-1, keepdims=True), axis=-1)
    return slope


def _at(logits: FloatArray, labels: IntArray) -> FloatArray:
    return np.asarray(np.take_along_axis(logits, labels[..., None], axis=-1))


def check_classes(name: str, labels: ArrayLike, count: int | None = None) -> IntArray:
    """Return class labels as integers from 0, refusing others.

    Parameters
    ----------
    name : str
        Of the argument, for the message.
    labels : array_like of int, shape (n,)
    count : int, optional
        How many there must be.
    """
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not array.size or array.min() < 0:
        raise ValueError(f"{name}: wanted a list of integers of at least 0, got {labels!r}")
    if count is not None and len(array) != count:
        raise ValueError(f"{name}: wanted one for each of {count} images, got {len(array)}")
    return array.astype(np.int64)


@dataclass(frozen=True)
class Convolution:
    """A layer that looks at every square patch of an image with the same weights.

    Patches lie inside the image, which therefore shrinks; rectified linear units follow.

    Parameters
    ----------
    channels : int
        How many numbers are computed from each patch.
    size : int, default 3
        Height and width of a patch.
    stride : int, default 1
        Distance from one patch to the next.
    """

    channels: int
    size: int = 3
    stride: int = 1

    def __post_init__(self) -> None:
        for name in ("channels", "size", "stride"):
            _validate.integer(name, getattr(self, name), at_least=1)


@dataclass(frozen=True)
class Block:
    """Where one layer's weights are in the parameters of a `Network`.

    Attributes
    ----------
    weights, offsets : slice
        Coordinates of the weight matrix, row by row, and of the offsets.
    shape : tuple of int
        Of the weight matrix: numbers that a unit sees, units.  A column belongs to one unit.
    """

    weights: slice
    offsets: slice
    shape: tuple[int, int]


class _Layer:
    """A dense layer: one patch, which is all that the layer before gives."""

    positions = 1

    def __init__(self, inputs: int, units: int) -> None:
        self.inputs, self.outputs = inputs, units
        self.shape = (inputs, units)

    def patches(self, values: FloatArray) -> FloatArray:
        """Return ``(..., images * positions, rows)`` from values ``(..., images, inputs)``."""
        return values

    def spread(self, back: FloatArray) -> FloatArray:
        """Return the transpose of `patches`, applied to an array of the shape of its result."""
        return back


class _Convolution(_Layer):
    def __init__(self, grid: tuple[int, int, int], layer: Convolution) -> None:
        self.grid, self.layer = grid, layer
        height, width, channels = grid
        self.above = (
            (height - layer.size) // layer.stride + 1,
            (width - layer.size) // layer.stride + 1,
        )
        if min(height, width) < layer.size:
            raise ValueError(
                f"hidden: wanted patches that fit into {height} x {width}, got size {layer.size}"
            )
        self.positions = self.above[0] * self.above[1]
        super().__init__(height * width * channels, self.positions * layer.channels)
        self.shape = (layer.size**2 * channels, layer.channels)

    def _corners(self) -> Iterator[tuple[slice, slice]]:
        """Give, for each place in a patch, the pixels that are at this place of some patch."""
        stride, (rows, columns) = self.layer.stride, self.above
        for i in range(self.layer.size):
            for j in range(self.layer.size):
                down = slice(i, i + stride * (rows - 1) + 1, stride)
                yield down, slice(j, j + stride * (columns - 1) + 1, stride)

    def patches(self, values: FloatArray) -> FloatArray:
        lead, images = values.shape[:-2], values.shape[-2]
        pixels = values.reshape(*lead, images, *self.grid)
        parts = [pixels[..., down, across, :] for down, across in self._corners()]
        return np.stack(parts, axis=-2).reshape(*lead, images * self.positions, self.shape[0])

    def spread(self, back: FloatArray) -> FloatArray:
        lead, images = back.shape[:-2], back.shape[-2] // self.positions
        parts = back.reshape(*lead, images, *self.above, self.layer.size**2, self.grid[2])
        pixels = np.zeros((*lead, images, *self.grid))
        for number, (down, across) in enumerate(self._corners()):
            pixels[..., down, across, :] += parts[..., number, :]
        return pixels.reshape(*lead, images, self.inputs)


class Network(Rectified):
    r"""A network that sorts images into classes, and its mean cross-entropy on labelled ones.

    Layers of rectified linear units, each :math:`h^+ = \max(0, W^\top h + b)`, lead from an image
    to the *logits* :math:`z = W^\top h + b`, one for each class; the largest is the prediction,
    and the loss is :math:`\log\sum_ce^{z_c} - z_y` for the label y.  Without hidden layers this is
    a linear classifier, which is convex and has a known L.  A point holds W, row by row, and b,
    layer by layer; `blocks` says where.  At kinks the derivative of :math:`\max(0, \cdot)` is 0.

    Parameters
    ----------
    images : array_like of shape (n_samples, pixels)
        Pixels run row by row; with several channels, those of a pixel stand together.
    labels : array_like of int, shape (n_samples,)
        From 0.
    hidden : sequence of int or Convolution, default ()
        The hidden layers: an integer stands for so many units that see all of the layer before.
    classes : int, optional
        One more than the largest label when omitted.
    image_shape : tuple of int, optional
        Height, width and, unless it is 1, the number of channels; only convolutions ask for it.
        When omitted, images are square and grey.

    Attributes
    ----------
    images, labels : ndarray
    hidden : tuple of int or Convolution
    classes : int
    image_shape : tuple of int, or None
        Height, width and channels, where they are known.
    blocks : tuple of Block
    dim : int
        Number of weights and offsets.

    Examples
    --------
    >>> network = Network([[0.0, 1.0], [1.0, 0.0]], [0, 1], [3])
    >>> network.dim, [block.shape for block in network.blocks]
    (17, [(2, 3), (3, 2)])
    >>> network.logits(np.zeros(17))
    array([[0., 0.],
           [0., 0.]])
    """

    def __init__(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        hidden: Sequence[int | Convolution] = (),
        *,
        classes: int | None = None,
        image_shape: Sequence[int] | None = None,
    ) -> None:
        self.images = _validate.finite_array("images", images, ndim=2)
        self.n_samples, self.pixels = self.images.shape
        self.labels = check_classes("labels", labels, self.n_samples)
        given = int(self.labels.max()) + 1
        if classes is None:
            classes = max(2, given)
        self.classes = _validate.integer("classes", classes, at_least=max(2, given))
        if isinstance(hidden, (str, bytes)) or not isinstance(hidden, Sequence):
            raise ValueError(f"hidden: wanted a sequence of layers, got {hidden!r}")
        self.hidden = tuple(hidden)
        self.image_shape = self._grid(image_shape)
        self._layers = self._stack()
        self.blocks = tuple(self._blocks())
        self.dim = self.blocks[-1].offsets.stop
        self.convex = self.components_convex = not hidden
        sizes = "–".join(str(layer.outputs) for layer in self._layers)
        self.name = f"network {self.pixels}–{sizes}" if hidden else "linear classifier"

    def _stack(self) -> list[_Layer]:
        layers: list[_Layer] = []
        inputs, grid = self.pixels, self.image_shape
        for layer in self.hidden:
            if isinstance(layer, Convolution):
                if grid is None:
                    what = "before layers that see all, and an image_shape unless images are square"
                    raise ValueError(f"hidden: wanted convolutions {what}, got {self.hidden!r}")
                layers.append(convolution := _Convolution(grid, layer))
                grid = (*convolution.above, layer.channels)
            else:
                units = _validate.integer("hidden", layer, at_least=1)
                layers.append(_Layer(inputs, units))
                grid = None
            inputs = layers[-1].outputs
        return [*layers, _Layer(inputs, self.classes)]

    def _grid(self, image_shape: Sequence[int] | None) -> tuple[int, int, int] | None:
        if image_shape is None:
            side = math.isqrt(self.pixels)
            return (side, side, 1) if side**2 == self.pixels else None
        if np.ndim(image_shape) != 1:
            raise ValueError(f"image_shape: wanted a sequence of sizes, got {image_shape!r}")
        shape = tuple(_validate.integer("image_shape", size, at_least=1) for size in image_shape)
        if len(shape) not in (2, 3) or math.prod(shape) != self.pixels:
            raise ValueError(
                f"image_shape: wanted height, width and channels of {self.pixels} pixels, "
                f"got {image_shape!r}"
            )
        return shape[0], shape[1], shape[2] if len(shape) == 3 else 1

    def _blocks(self) -> Iterator[Block]:
        start = 0
        for layer in self._layers:
            middle = start + layer.shape[0] * layer.shape[1]
            stop = middle + layer.shape[1]
            yield Block(slice(start, middle), slice(middle, stop), layer.shape)
            start = stop

    def initial_weights(self, rng: int | np.random.Generator, replicates: int = 1) -> FloatArray:
        r"""Return random points to start from, shape ``(replicates, dim)``.

        Weights are independent and normal with mean zero.  A unit that sees k numbers has weights
        of variance :math:`2/k`, or :math:`1/k` in the last layer (He et al., 2015); offsets are 0.

        Parameters
        ----------
        rng : int or numpy.random.Generator
        replicates : int, default 1
        """
        count = _validate.integer("replicates", replicates, at_least=1)
        points = _validate.generator(rng).standard_normal((count, self.dim))
        for block in self.blocks:
            seen = block.shape[0]
            points[:, block.weights] *= math.sqrt((1 if block is self.blocks[-1] else 2) / seen)
            points[:, block.offsets] = 0.0
        return points

    def _matrices(self, x: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        lead = x.shape[:-1]
        return [
            (x[..., block.weights].reshape(*lead, *block.shape), x[..., None, block.offsets])
            for block in self.blocks
        ]

    def _forward(self, x: FloatArray, images: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        """Return, layer by layer, the patches that it sees and what it makes of them."""
        done: list[tuple[FloatArray, FloatArray]] = []
        values, count = images, images.shape[-2]
        for layer, (weights, offsets) in zip(self._layers, self._matrices(x), strict=True):
            patches = layer.patches(values)
            after = patches @ weights + offsets
            done.append((patches, after))
            values = np.maximum(after, 0.0).reshape(*after.shape[:-2], count, layer.outputs)
        return done

    def _backward(
        self, x: FloatArray, done: list[tuple[FloatArray, FloatArray]], cotangent: FloatArray
    ) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Yield, from the last layer down, derivatives in what it computes and in what it sees."""
        back = cotangent
        for number in reversed(range(len(self._layers))):
            layer, (patches, after) = self._layers[number], done[number]
            back = back.reshape(after.shape)
            if number < len(self._layers) - 1:
                back = back * (after > 0)
            yield back, patches
            if number:
                back = layer.spread(back @ np.swapaxes(self._matrices(x)[number][0], -1, -2))

    def logits(self, x: FloatArray, images: FloatArray | None = None) -> FloatArray:
        """Return the logits, shape ``(..., images, classes)``, at points ``(..., dim)``.

        Parameters
        ----------
        x : ndarray of shape (..., dim)
        images : ndarray of shape (images, pixels) or (..., images, pixels), optional
            The same for all points, or some for each; the problem's own when omitted.
        """
        return self._forward(x, self.images if images is None else images)[-1][1]

    def accuracy(
        self, x: FloatArray, images: ArrayLike | None = None, labels: ArrayLike | None = None
    ) -> FloatArray:
        """Return the fraction of images whose largest logit is the label's, shape ``(...)``.

        Parameters
        ----------
        x : ndarray of shape (..., dim)
        images, labels : array_like of shape (m, pixels) and (m,), optional
            The problem's own when omitted.
        """
        if (images is None) != (labels is None):
            raise ValueError("labels: wanted both images and labels, or neither, got one")
        if images is None or labels is None:
            rows, wanted = self.images, self.labels
        else:
            rows = self._checked(images)
            wanted = check_classes("labels", labels, len(rows))
            if wanted.max() >= self.classes:
                raise ValueError(
                    f"labels: wanted numbers below the {self.classes} classes, got {wanted.max()}"
                )
        points = x.reshape(-1, self.dim)
        parts = [
            (self.logits(part, rows).argmax(axis=-1) == wanted).mean(axis=-1)
            for part in self._slices(points, len(rows))
        ]
        return np.asarray(np.concatenate(parts).reshape(x.shape[:-1]))

    def _checked(self, images: ArrayLike) -> FloatArray:
        rows = _validate.finite_array("images", images, ndim=2)
        if rows.shape[1] != self.pixels:
            raise ValueError(f"images: wanted {self.pixels} pixels each, got {rows.shape[1]}")
        return rows

    def classifier(self, x: FloatArray) -> NetworkClassifier:
        """Return what one point `x` makes of images, with gradients in the images."""
        return NetworkClassifier(self, x)

    # ---- the finite sum -------------------------------------------------------------------

    def gradient_at(self, x: FloatArray, images: FloatArray, labels: IntArray) -> FloatArray:
        """Return the mean gradients over given images, which need not be the problem's own.

        Parameters
        ----------
        x : ndarray of shape (replicates, dim)
        images : ndarray of shape (images, pixels) or (replicates, images, pixels)
        labels : ndarray of int, shape (images,) or (replicates, images)

        Returns
        -------
        ndarray of shape (replicates, dim)
        """
        done = self._forward(x, images)
        logits = done[-1][1]
        slope = cross_entropy_slope(logits, np.broadcast_to(labels, logits.shape[:-1]))
        gradient = np.empty((*logits.shape[:-2], self.dim))
        steps = self._backward(x, done, slope / logits.shape[-2])
        for block, (back, patches) in zip(reversed(self.blocks), steps, strict=True):
            weights = np.swapaxes(patches, -1, -2) @ back
            gradient[..., block.weights] = weights.reshape(*weights.shape[:-2], -1)
            gradient[..., block.offsets] = back.sum(axis=-2)
        return gradient

    def input_gradient(
        self, x: FloatArray, images: FloatArray, cotangent: FloatArray
    ) -> FloatArray:
        r"""Return the gradient of :math:`\langle u, z\rangle` in the images, shaped like them.

        Parameters
        ----------
        x : ndarray of shape (..., dim)
        images : ndarray of shape (..., images, pixels)
        cotangent : ndarray of shape (..., images, classes)
            u, a number for every logit.
        """
        back, _ = list(self._backward(x, self._forward(x, images), cotangent))[-1]
        return self._layers[0].spread(back @ np.swapaxes(self._matrices(x)[0][0], -1, -2))

    def value(self, x: FloatArray) -> FloatArray:
        points = x.reshape(-1, self.dim)
        means = [
            self.component_values(part).mean(axis=-1)
            for part in self._slices(points, self.n_samples)
        ]
        return np.concatenate(means).reshape(x.shape[:-1])

    def gradient(self, x: FloatArray) -> FloatArray:
        points = x.reshape(-1, self.dim)
        means = [
            self.gradient_at(part, self.images, self.labels)
            for part in self._slices(points, self.n_samples)
        ]
        return np.concatenate(means).reshape(x.shape)

    def _slices(self, points: FloatArray, images: int) -> list[FloatArray]:
        widest = max(layer.positions * sum(layer.shape) for layer in self._layers)
        rows = max(1, SLICE // (images * widest))
        return [points[start : start + rows] for start in range(0, max(1, len(points)), rows)]

    def minibatch_gradient(self, x: FloatArray, indices: IntArray) -> FloatArray:
        return self.gradient_at(x, self.images.take(indices, axis=0), self.labels.take(indices))

    def component_values(self, x: FloatArray) -> FloatArray:
        logits = self.logits(x)
        return cross_entropy(logits, np.broadcast_to(self.labels, logits.shape[:-1]))

    def component_gradients(self, x: FloatArray) -> FloatArray:
        points = np.broadcast_to(x, (self.n_samples, self.dim))
        return self.gradient_at(points, self.images[:, None], self.labels[:, None])

    @cached_property
    def _sizes(self) -> tuple[float, float, float]:
        """The constants of a linear classifier; with offsets its features end in a one."""
        rows = np.column_stack([self.images, np.ones(self.n_samples)])
        squares = (rows**2).sum(axis=1) / 2
        # Two equal logits far above the rest bend the loss most: by 1/2, for all images at once.
        largest = np.linalg.norm(rows, 2) ** 2 / (2 * self.n_samples)
        return float(largest), float(squares.max()), float(squares.mean())

    @property
    def smoothness(self) -> float:
        return self._sizes[0] if self.convex else math.inf

    @property
    def max_smoothness(self) -> float:
        return self._sizes[1] if self.convex else math.inf

    @property
    def average_smoothness(self) -> float:
        return self._sizes[2] if self.convex else math.inf

    @property
    def minimum(self) -> float:
        """Unknown, which raises ``ValueError``: compare values instead."""
        raise ValueError(f"problem: wanted one whose minimum is known, got {self.name}")

    @property
    def minimizer(self) -> FloatArray:
        """Unknown, which raises ``ValueError``."""
        raise ValueError(f"problem: wanted one whose minimisers are known, got {self.name}")

    @property
    def component_minima(self) -> FloatArray:
        return np.zeros(self.n_samples)  # approached as the offset of the label grows


class NetworkClassifier:
    """A `Network` at one point: from images to logits, and back to gradients in the images.

    Parameters
    ----------
    network : Network
    weights : array_like of shape (dim,)
        The point; stored in single precision or double, it is used in double.
    """

    def __init__(self, network: Network, weights: ArrayLike) -> None:
        point = _validate.finite_array("weights", weights, ndim=1)
        if point.shape != (network.dim,):
            raise ValueError(f"weights: wanted {network.dim} numbers, got {point.size}")
        self.network, self.weights = network, point

    def _shown(self, images: FloatArray) -> FloatArray:
        if np.ndim(images) != 2 or np.shape(images)[1] != self.network.pixels:
            raise ValueError(
                f"images: wanted {self.network.pixels} pixels each, "
                f"got an array of shape {np.shape(images)}"
            )
        return np.asarray(images)

    def logits(self, images: FloatArray) -> FloatArray:
        """Return the logits of `images`, shape ``(n, classes)``."""
        return self.network.logits(self.weights, self._shown(images))

    def pullback(self, images: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradient in `images` of the sum of `cotangent` times the logits."""
        return self.network.input_gradient(self.weights, self._shown(images), cotangent)

    def predictions(self, images: FloatArray) -> IntArray:
        """Return the class of the largest logit for each of the `images`, shape ``(n,)``."""
        return np.asarray(self.logits(images).argmax(axis=-1))

    def __repr__(self) -> str:
        return f"{self.network.name} at a point"
