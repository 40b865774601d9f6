"""Random settings for the theorems of lecture 14."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sgdnotes.attacks import NORMS
from sgdnotes.theorems import AutoFWRun, MarginAttack, SignSteps
from sgdnotes.theorems.attacks import AffineClassifier, RectifiedClassifier

Rng = np.random.Generator


def sign_steps(rng: Rng) -> SignSteps:
    """Steps from points of a box that may touch the ends of the range of pixels."""
    pixels, epsilon = int(rng.integers(1, 9)), float(rng.uniform(0.01, 0.6))
    image = rng.random(pixels)
    points = NORMS["linf"](np.tile(image, (20, 1)), epsilon).random(rng)
    gradients = rng.standard_normal((20, pixels)) * (rng.random((20, pixels)) < 0.8)
    step_size = epsilon * float(rng.choice([2.0, rng.uniform(2, 10)]))
    return SignSteps(image, epsilon, points, gradients, step_size)


def affine(rng: Rng, pixels: int) -> AffineClassifier:
    """A classifier of any scale."""
    classes = int(rng.integers(2, 6))
    scale = 10 ** rng.uniform(-1, 1)
    return AffineClassifier(
        scale * rng.standard_normal((classes, pixels)), scale * rng.standard_normal(classes)
    )


def margin_attack(rng: Rng) -> MarginAttack:
    """An affine classifier and an image with room around it."""
    pixels, epsilon = int(rng.integers(1, 8)), float(rng.uniform(0.01, 0.45))
    classifier = affine(rng, pixels)
    return MarginAttack(
        classifier,
        rng.uniform(epsilon, 1 - epsilon, pixels),
        int(rng.integers(len(np.asarray(classifier.offsets)))),
        epsilon,
        norm=str(rng.choice(["linf", "l2"])),
    )


def auto_fw_run(rng: Rng) -> AutoFWRun:
    """A run on an affine or a rectified classifier."""
    pixels = int(rng.integers(1, 8))
    classifier = affine(rng, pixels)
    if rng.random() < 0.5:
        classifier = RectifiedClassifier(classifier.matrix, classifier.offsets)
    return AutoFWRun(
        classifier,
        rng.random(pixels),
        int(rng.integers(len(np.asarray(classifier.offsets)))),
        float(rng.uniform(0.01, 0.5)),
        steps=int(rng.integers(0, 60)),
        step_size=float(rng.choice([1.0, rng.uniform(0.02, 1)])),
        momentum=float(rng.choice([0.0, rng.uniform(0, 0.95)])),
        norm=str(rng.choice(["linf", "l2"])),
    )


ATTACKS: dict[str, Callable[[Rng], Any]] = {
    "prop-sign-oracle": sign_steps,
    "prop-linear-attack": margin_attack,
    "prop-auto-fw": auto_fw_run,
}
