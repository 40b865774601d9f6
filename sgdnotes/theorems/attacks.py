r"""Attacks on classifiers (lecture 14): the sign as an oracle, linear classifiers, Auto-FW.

The set is :math:`\Omega = \{x : \|x - x_0\| \le \varepsilon\} \cap [0, 1]^d` around one image.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.attacks import NORMS, Classifier, auto_fw
from sgdnotes.theorems.assumptions import EXACT
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem

MAX_PIXELS = 12  # whose corners, 2 to this power, are listed
ORDERS = {"linf": np.inf, "l2": 2}
DUAL_ORDERS = {"linf": 1, "l2": 2}
NAMES = {"linf": "l∞", "l2": "l2"}


# ---- classifiers to check on --------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class AffineClassifier:
    """Logits W x + b.

    Attributes
    ----------
    matrix : array_like of shape (classes, pixels)
    offsets : array_like of shape (classes,)
    """

    matrix: ArrayLike
    offsets: ArrayLike

    def logits(self, images: FloatArray) -> FloatArray:
        """Return logits, shape ``(n, classes)``."""
        return np.asarray(images @ np.asarray(self.matrix).T + np.asarray(self.offsets))

    def pullback(self, images: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradients in the images of the sum of `cotangent` times the logits."""
        return np.asarray(cotangent @ np.asarray(self.matrix))

    def __str__(self) -> str:
        classes, pixels = np.shape(self.matrix)
        return f"affine classifier ({pixels} pixels, {classes} classes)"


class RectifiedClassifier(AffineClassifier):
    """Logits max(W x + b, 0)."""

    def logits(self, images: FloatArray) -> FloatArray:
        """Return logits, shape ``(n, classes)``."""
        return np.maximum(super().logits(images), 0.0)

    def pullback(self, images: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradients in the images of the sum of `cotangent` times the logits."""
        return super().pullback(images, np.where(super().logits(images) > 0, cotangent, 0.0))

    def __str__(self) -> str:
        return super().__str__().replace("affine", "rectified")


def corners(lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Return the corners of the box from `lower` to `upper`, shape ``(2**pixels, pixels)``."""
    if len(lower) > MAX_PIXELS:
        raise ValueError(f"image: wanted at most {MAX_PIXELS} pixels, got {len(lower)}")
    return np.array(list(itertools.product(*np.stack([lower, upper], axis=1))))


# ---- the projected sign step --------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SignSteps:
    """Projected sign steps around an image.

    Attributes
    ----------
    image : array_like of shape (pixels,)
    epsilon : float
    points, gradients : array_like of shape (m, pixels)
    step_size : float
    norm : {"linf", "l2"}, default "linf"
    """

    image: ArrayLike
    epsilon: float
    points: ArrayLike
    gradients: ArrayLike
    step_size: float
    norm: str = "linf"

    @cached_property
    def steps(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The points, the gradients, and where the steps lead, each of shape ``(m, pixels)``."""
        points = _validate.finite_array("points", self.points, ndim=2)
        gradients = _validate.finite_array("gradients", self.gradients, ndim=2)
        nearby = NORMS[self.norm](np.tile(self.image, (len(points), 1)), self.epsilon)
        ahead = nearby.project(points + self.step_size * np.sign(gradients))
        return points, gradients, ahead

    @cached_property
    def largest(self) -> FloatArray:
        """The maximum of each linear function over the set, in l∞ by trying all corners."""
        image = np.asarray(self.image, dtype=float)
        gradients = self.steps[1]
        if self.norm == "linf":
            low, high = image - self.epsilon, image + self.epsilon
            listed = corners(np.maximum(low, 0.0), np.minimum(high, 1.0))
            return np.asarray((gradients @ listed.T).max(axis=1))
        nearby = NORMS[self.norm](np.tile(image, (len(gradients), 1)), self.epsilon)
        return np.asarray((gradients * nearby.linear_maximizer(gradients)).sum(axis=1))

    def __str__(self) -> str:
        points = self.steps[0]
        return (
            f"{len(points)} steps of {self.step_size:g} among {points.shape[1]} pixels, "
            f"{NAMES[self.norm]} ball of {self.epsilon:g}"
        )


def _box(setting: SignSteps) -> Evidence:
    return Evidence(setting.norm == "linf", f"the distance is measured in {NAMES[setting.norm]}")


def _in_the_set(setting: SignSteps) -> Evidence:
    points, image = setting.steps[0], np.asarray(setting.image)
    far = float(np.linalg.norm(points - image, ord=ORDERS[setting.norm], axis=1).max())
    inside = bool(points.min() >= 0 and points.max() <= 1)
    return Evidence(
        far <= setting.epsilon * (1 + EXACT) and inside,
        f"distance up to {far:.6g}, pixels from {points.min():.6g} to {points.max():.6g}",
    )


def _long(setting: SignSteps) -> Evidence:
    return Evidence(
        setting.step_size >= 2 * setting.epsilon * (1 - EXACT),
        f"η = {setting.step_size:.6g}, 2ε = {2 * setting.epsilon:.6g}",
    )


def _sign_step(setting: SignSteps) -> Comparison:
    _, gradients, ahead = setting.steps
    return Comparison(
        index=np.arange(len(ahead)),
        observed=(gradients * ahead).sum(axis=1),
        bound=setting.largest,
        index_name="step",
        observed_name="⟨g, Π(x + η sign g)⟩",
        bound_name="max over v of ⟨g, v⟩",
        magnitude=np.abs(gradients).sum(axis=1),
    )


_RNG = np.random.default_rng(14)
_GREY = np.full(4, 0.5)
_SLOPES = _RNG.standard_normal((20, 4))
_INSIDE = _GREY + 0.1 * _RNG.uniform(-1, 1, (20, 4))

sign_oracle: Theorem[SignSteps] = Theorem(
    label="prop-sign-oracle",
    title="A long projected sign step is a Frank–Wolfe vertex",
    kind="identity",
    lecture="14",
    statement=r"For $x\in\Omega$ and $\eta\ge2\varepsilon$ the point "
    r"$\Pi_\Omega(x+\eta\operatorname{sign}g)$ maximises $\langle g, v\rangle$ over $v\in\Omega$",
    assumptions=(
        Assumption("l∞ ball", r"$\Omega = \{\|v-x_0\|_\infty\le\varepsilon\}\cap[0, 1]^d$", _box),
        Assumption("point in the set", r"$x\in\Omega$", _in_the_set),
        Assumption("long step", r"$\eta\ge2\varepsilon$", _long),
    ),
    compare=_sign_step,
    tightness="An identity; in a pixel where g is 0 every value is as good as any other.",
    counterexamples=(
        Counterexample(
            "l∞ ball",
            SignSteps(_GREY, 0.1, np.tile(_GREY, (20, 1)), _SLOPES, 0.2, norm="l2"),
            "On a round ball the best direction is the gradient itself, not its sign.",
        ),
        Counterexample(
            "point in the set",
            SignSteps(_GREY, 0.1, _INSIDE - 0.25, _SLOPES, 0.2),
            "From far below the ball a step of its width does not reach its upper side.",
        ),
        Counterexample(
            "long step",
            SignSteps(_GREY, 0.1, _INSIDE, _SLOPES, 0.05),
            "A short step ends inside, while a maximum of a linear function lies in a corner.",
        ),
    ),
)


# ---- affine classifiers -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class MarginAttack:
    """The largest margins by which an image near a given one can be misread.

    Attributes
    ----------
    classifier : Classifier
    image : array_like of shape (pixels,)
    label : int
    epsilon : float
    norm : {"linf", "l2"}, default "linf"
    """

    classifier: Classifier
    image: ArrayLike
    label: int
    epsilon: float
    norm: str = "linf"

    @cached_property
    def _at_image(self) -> tuple[FloatArray, FloatArray, list[int]]:
        """The margins of the rivals at the image, their gradients, and the rivals."""
        image = np.asarray(self.image, dtype=float)[None]
        logits = self.classifier.logits(image)[0]
        jacobian = self.classifier.pullback(np.tile(image, (len(logits), 1)), np.eye(len(logits)))
        rivals = [c for c in range(len(logits)) if c != self.label]
        margins = logits[rivals] - logits[self.label]
        return margins, jacobian[rivals] - jacobian[self.label], rivals

    @property
    def gradients(self) -> FloatArray:
        """The gradients of the margins at the image, shape ``(rivals, pixels)``."""
        return self._at_image[1]

    @cached_property
    def candidates(self) -> FloatArray:
        """Images of the set: all its corners, or maximisers and random points."""
        image = np.asarray(self.image, dtype=float)
        if self.norm == "linf":
            low, high = image - self.epsilon, image + self.epsilon
            return corners(np.maximum(low, 0.0), np.minimum(high, 1.0))
        best = NORMS["l2"](np.tile(image, (len(self.gradients), 1)), self.epsilon)
        many = NORMS["l2"](np.tile(image, (64, 1)), self.epsilon)
        drawn = many.random(np.random.default_rng(0))
        return np.concatenate([best.linear_maximizer(self.gradients), drawn])

    @cached_property
    def found(self) -> FloatArray:
        """The largest margins over the candidates, shape ``(rivals,)``."""
        logits = self.classifier.logits(self.candidates)
        rivals = self._at_image[2]
        return np.asarray((logits[:, rivals] - logits[:, [self.label]]).max(axis=0))

    @property
    def claimed(self) -> FloatArray:
        """The margins at the image plus epsilon times the dual norms of their gradients."""
        margins, gradients, _ = self._at_image
        lengths = np.linalg.norm(gradients, ord=DUAL_ORDERS[self.norm], axis=1)
        return np.asarray(margins + self.epsilon * lengths)

    @property
    def bend(self) -> float:
        """How far logits at the candidates are from those of the linear model, at most."""
        image = np.asarray(self.image, dtype=float)
        logits = self.classifier.logits(np.concatenate([image[None], self.candidates]))
        shown = np.tile(image, (logits.shape[1], 1))
        jacobian = self.classifier.pullback(shown, np.eye(logits.shape[1]))
        model = logits[0] + (self.candidates - image) @ jacobian.T
        return float(np.abs(logits[1:] - model).max() / max(np.abs(logits).max(), 1e-300))

    def __str__(self) -> str:
        return f"{self.classifier}, {NAMES[self.norm]} ball of {self.epsilon:g}"


def _affine(setting: MarginAttack) -> Evidence:
    return Evidence(
        setting.bend <= EXACT, f"logits differ from their linear model by {setting.bend:.6g}"
    )


def _no_wall(setting: MarginAttack) -> Evidence:
    image = np.asarray(setting.image)
    room = float(min(image.min(), 1 - image.max()))
    return Evidence(
        room >= setting.epsilon * (1 - EXACT), f"room {room:.6g}, ε = {setting.epsilon:.6g}"
    )


def _linear_attack(setting: MarginAttack) -> Comparison:
    return Comparison(
        index=np.arange(len(setting.found)),
        observed=setting.found,
        bound=setting.claimed,
        index_name="rival class",
        observed_name="largest margin over the set",
        bound_name="margin + ε × dual norm",
        magnitude=np.abs(setting.claimed).max(),
    )


_TWO_PIXELS = AffineClassifier([[1.0, -2.0], [-1.0, 1.0]], [0.0, 0.5])

linear_attack: Theorem[MarginAttack] = Theorem(
    label="prop-linear-attack",
    title="The best attack on a linear classifier",
    kind="identity",
    lecture="14",
    statement=r"For logits $z(x) = Wx+b$ and a class $c\ne y$, $\max_{\|x-x_0\|\le\varepsilon}"
    r"(z_c-z_y)(x) = (z_c-z_y)(x_0)+\varepsilon\|w_c-w_y\|_*$ with the dual norm",
    assumptions=(
        Assumption("affine logits", r"$z(x) = Wx+b$", _affine),
        Assumption("no wall", r"the ball of radius $\varepsilon$ lies in $[0, 1]^d$", _no_wall),
    ),
    compare=_linear_attack,
    tightness=r"An identity, attained at $x_0+\varepsilon\operatorname{sign}(w_c-w_y)$ in "
    r"$\ell_\infty$ and along $w_c-w_y$ in $\ell_2$.",
    counterexamples=(
        Counterexample(
            "affine logits",
            MarginAttack(
                RectifiedClassifier([[1.0, -2.0], [-1.0, 1.0]], [0.6, -0.05]),
                [0.5, 0.5],
                0,
                0.3,
            ),
            "The rectified logit of the rival is flat at the image and rises later.",
        ),
        Counterexample(
            "no wall",
            MarginAttack(_TWO_PIXELS, [0.95, 0.5], 1, 0.2),
            "The first pixel cannot become brighter than 1.",
        ),
    ),
    references=("goodfellow2015",),
)


# ---- Auto-FW ------------------------------------------------------------------------------------


class Recorder:
    """A classifier that remembers the first image of each block that it is shown.

    Of an attack on one image, `seen` holds the image and then all points where the loss was taken.

    Parameters
    ----------
    classifier : Classifier
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.seen: list[FloatArray] = []

    def logits(self, images: FloatArray) -> FloatArray:
        """Return logits, shape ``(n, classes)``, and remember."""
        self.seen.append(images[0].copy())
        return self.classifier.logits(images)

    def pullback(self, images: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradients in the images of the sum of `cotangent` times the logits."""
        return self.classifier.pullback(images, cotangent)


@dataclass(frozen=True, eq=False)
class AutoFWRun:
    """A run of `auto_fw` on one image, all iterates kept.

    Attributes
    ----------
    classifier : Classifier
    image : array_like of shape (pixels,)
    label : int
    epsilon : float
    steps : int, default 100
    step_size : float, default 1
    momentum : float, default 0
    norm : {"linf", "l2"}, default "linf"
    start : {"image", "random"}, default "image"
    """

    classifier: Classifier
    image: ArrayLike
    label: int
    epsilon: float
    steps: int = 100
    step_size: float = 1.0
    momentum: float = 0.0
    norm: str = "linf"
    start: str = "image"

    @cached_property
    def iterates(self) -> FloatArray:
        r"""The points :math:`x_0, \dots, x_T` at which the loss was evaluated."""
        recorder = Recorder(self.classifier)
        auto_fw(
            recorder,
            np.asarray(self.image)[None],
            [self.label],
            self.epsilon,
            norm=self.norm,
            steps=self.steps,
            step_size=self.step_size,
            momentum=self.momentum,
            start=self.start,
            rng=0,
        )
        return np.array(recorder.seen[1:])  # the first is the image as it was given

    @property
    def distances(self) -> FloatArray:
        """The distances of the iterates from the image in the norm."""
        away = self.iterates - np.asarray(self.image)
        return np.asarray(np.linalg.norm(away, ord=ORDERS[self.norm], axis=1))

    def __str__(self) -> str:
        start = "" if self.start == "image" else f", {self.start} start"
        return (
            f"{self.classifier}, {NAMES[self.norm]} ball of {self.epsilon:g}, "
            f"γ₀ = {self.step_size:g}, β = {self.momentum:g}{start}"
        )


def _from_the_image(setting: AutoFWRun) -> Evidence:
    return Evidence(
        setting.start == "image", f"starts at the distance {setting.distances[0]:.6g}, wanted 0"
    )


def _reach(setting: AutoFWRun) -> Comparison:
    t = np.arange(setting.steps + 1)
    return Comparison(
        index=t,
        observed=setting.distances,
        bound=setting.epsilon * (1 - (1 - setting.step_size) ** t),
        index_name="t",
        observed_name="‖x_t − x₀‖",
        bound_name="ε(1 − (1 − γ₀)^t)",
        magnitude=1.0,
    )


auto_fw_reach: Theorem[AutoFWRun] = Theorem(
    label="prop-auto-fw",
    title="Auto-FW stays in the set",
    kind="inequality",
    lecture="14",
    statement=r"Auto-FW from the image $x_0$ has iterates $x_t\in\Omega$ with "
    r"$\|x_t-x_0\| \le \varepsilon\bigl(1-(1-\gamma_0)^t\bigr)$",
    assumptions=(Assumption[Any]("starts at the image", r"$x_0$ is the image", _from_the_image),),
    compare=_reach,
    tightness="Equality as long as no step is halved and a pixel is pushed one way.",
    counterexamples=(
        Counterexample(
            "starts at the image",
            AutoFWRun(_TWO_PIXELS, [0.5, 0.5], 0, 0.1, steps=20, step_size=0.1, start="random"),
            "A random start may be at the distance ε at once.",
        ),
    ),
)
