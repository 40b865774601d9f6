"""Networks that classify images: gradients by differences, convolutions by hand, training."""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import load_digits

from sgdnotes import run, sgd
from sgdnotes.constraints import L2Ball
from sgdnotes.oracles import FullGradient, Minibatch
from sgdnotes.problems import (
    Convolution,
    Network,
    NetworkClassifier,
    cross_entropy,
    cross_entropy_slope,
)
from sgdnotes.updates import FrankWolfeStep, GradientStep, HeavyBall

Layers = Sequence[int | Convolution]

STACKS: dict[str, Layers] = {
    "linear": [],
    "one hidden layer": [5],
    "two hidden layers": [4, 3],
    "convolution": [Convolution(2)],
    "convolution and dense": [Convolution(3, 2), 4],
    "two convolutions, a stride": [Convolution(2, 2), Convolution(3, 2, 2)],
}


def small(name: str, seed: int = 0, images: int = 7) -> tuple[Network, np.ndarray]:
    """A network on grey 5 x 4 or two-channel 4 x 4 images, and points in general place."""
    rng = np.random.default_rng(seed)
    shape = (5, 4) if seed % 2 == 0 else (4, 4, 2)
    problem = Network(
        rng.random((images, math.prod(shape))),
        rng.integers(0, 3, images),
        STACKS[name],
        classes=3,
        image_shape=shape,
    )
    return problem, problem.initial_weights(rng, 4) + 0.1 * rng.standard_normal((4, problem.dim))


def differences(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """The gradient of a function with one number as value, coordinate by coordinate."""
    h = 1e-6
    steps = h * np.eye(x.size).reshape(x.size, *x.shape)
    return np.array([(function(x + s) - function(x - s)) / (2 * h) for s in steps]).reshape(x.shape)


def by_hand(problem: Network, x: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The logits of one image, with loops over all patches and units."""
    values = image.reshape(problem.image_shape) if problem.image_shape else image
    stack = [*problem.hidden, problem.classes]
    for block, layer in zip(problem.blocks, stack, strict=True):
        weights, offsets = x[block.weights].reshape(block.shape), x[block.offsets]
        if isinstance(layer, Convolution):
            down = range(0, values.shape[0] - layer.size + 1, layer.stride)
            across = range(0, values.shape[1] - layer.size + 1, layer.stride)
            after = np.zeros((len(down), len(across), layer.channels))
            for (r, i), (c, j), unit in itertools.product(
                enumerate(down), enumerate(across), range(layer.channels)
            ):
                patch = values[i : i + layer.size, j : j + layer.size].ravel()
                after[r, c, unit] = patch @ weights[:, unit] + offsets[unit]
        else:
            after = values.ravel() @ weights + offsets
        values = np.maximum(after, 0)
    return after


# ---- the loss -----------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(arrays(float, (4, 3), elements=st.floats(-30, 30)), st.integers(0, 2))
def test_cross_entropy(logits: np.ndarray, label: int) -> None:
    labels = np.full(4, label)
    plain = np.log(np.exp(logits).sum(axis=1)) - logits[:, label]
    np.testing.assert_allclose(cross_entropy(logits, labels), plain, rtol=1e-9, atol=1e-13)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    slope = probabilities - np.eye(3)[label]
    np.testing.assert_allclose(cross_entropy_slope(logits, labels), slope, rtol=1e-9, atol=1e-13)


def test_cross_entropy_keeps_its_digits() -> None:
    labels = np.array([0])
    tiny = math.exp(-200)
    far = np.array([[100.0, -100.0, -1000.0]])
    assert cross_entropy(far, labels)[0] == pytest.approx(tiny, rel=1e-13, abs=0)
    assert cross_entropy_slope(far, labels)[0] == pytest.approx([-tiny, tiny, 0], rel=1e-13, abs=0)
    assert cross_entropy(-far * 1e3, labels)[0] == pytest.approx(1.1e6)
    assert cross_entropy_slope(-far * 1e3, labels)[0] == pytest.approx([-1, 0, 1])
    np.testing.assert_allclose(cross_entropy(np.zeros((1, 5)), labels), np.log(5), rtol=1e-15)


# ---- values and gradients -----------------------------------------------------------------------


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_logits_are_those_of_loops(name: str, seed: int) -> None:
    problem, x = small(name, seed)
    for point, logits in zip(x, problem.logits(x), strict=True):
        found = [by_hand(problem, point, image) for image in problem.images]
        np.testing.assert_allclose(logits, found, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("seed", range(4))
def test_gradients_in_parameters(name: str, seed: int) -> None:
    problem, x = small(name, seed)
    for point in x[:2]:
        numeric = differences(problem.value, point)
        np.testing.assert_allclose(problem.gradient(point), numeric, rtol=1e-5, atol=2e-8)
    slopes = problem.component_gradients(x[0])
    np.testing.assert_allclose(slopes.mean(axis=0), problem.gradient(x[0]), rtol=1e-11, atol=1e-13)
    values = problem.component_values(x[0])
    assert values.mean() == pytest.approx(problem.value(x[0]), rel=1e-13)
    alone = Network(
        problem.images[2:3],
        problem.labels[2:3],
        STACKS[name],
        classes=3,
        image_shape=problem.image_shape,
    )
    np.testing.assert_allclose(alone.gradient(x[0]), slopes[2], rtol=1e-11, atol=1e-13)
    batches = np.random.default_rng(seed).integers(0, problem.n_samples, (4, 3))
    found = problem.minibatch_gradient(x, batches)
    for point, batch, gradient in zip(x, batches, found, strict=True):
        wanted = problem.component_gradients(point)[batch].mean(axis=0)
        np.testing.assert_allclose(gradient, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("seed", range(4))
def test_gradients_in_images(name: str, seed: int) -> None:
    problem, x = small(name, seed)
    classifier = problem.classifier(x[0])
    cotangent = np.random.default_rng(seed).standard_normal((problem.n_samples, 3))
    found = classifier.pullback(problem.images, cotangent)
    numeric = differences(
        lambda images: (cotangent * classifier.logits(images)).sum(), problem.images
    )
    np.testing.assert_allclose(found, numeric, rtol=1e-5, atol=2e-8)
    # The same for several points at once, each with images of its own.
    rows = np.random.default_rng(seed).random((4, 2, problem.pixels))
    together = problem.input_gradient(x, rows, np.broadcast_to(cotangent[:2], (4, 2, 3)))
    for point, images, gradients in zip(x, rows, together, strict=True):
        alone = problem.classifier(point).pullback(images, cotangent[:2])
        np.testing.assert_allclose(gradients, alone, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", STACKS)
def test_points_of_every_shape(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, x = small(name)
    values, gradients = problem.value(x), problem.gradient(x)
    right = problem.accuracy(x)
    assert values.shape == right.shape == (4,)
    pairs = x.reshape(2, 2, -1)
    np.testing.assert_array_equal(problem.value(pairs).ravel(), values)
    np.testing.assert_array_equal(problem.gradient(pairs).reshape(4, -1), gradients)
    np.testing.assert_array_equal(problem.accuracy(pairs).ravel(), right)
    assert problem.logits(pairs).shape == (2, 2, 7, 3)
    monkeypatch.setattr("sgdnotes.problems.classifiers.SLICE", 1)
    np.testing.assert_allclose(problem.value(x), values, rtol=1e-13)
    np.testing.assert_allclose(problem.gradient(x), gradients, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(problem.accuracy(x), right)
    assert problem.value(x[0]).shape == ()
    assert problem.value(x[:0]).shape == (0,)


def test_accuracy_counts_the_largest_logit() -> None:
    problem = Network(np.eye(3), [0, 1, 1], classes=3)
    identity = np.concatenate([np.eye(3).ravel(), np.zeros(3)])
    assert problem.accuracy(identity) == pytest.approx(2 / 3)
    assert problem.accuracy(identity, np.eye(3), [0, 1, 2]) == 1
    np.testing.assert_array_equal(problem.classifier(identity).predictions(np.eye(3)), [0, 1, 2])


# ---- constants ----------------------------------------------------------------------------------


def test_blocks_cover_all_parameters() -> None:
    for name in STACKS:
        problem, _ = small(name)
        ends = [(b.weights, b.offsets) for b in problem.blocks]
        covered = [i for pair in ends for part in pair for i in range(part.start, part.stop)]
        assert covered == list(range(problem.dim))
        for block in problem.blocks:
            assert block.weights.stop - block.weights.start == math.prod(block.shape)
            assert block.offsets.stop - block.offsets.start == block.shape[1]


def test_a_linear_classifier_is_convex_with_known_constants() -> None:
    rng = np.random.default_rng(0)
    problem = Network(rng.random((6, 4)), rng.integers(0, 3, 6), classes=3)
    assert problem.convex
    assert problem.components_convex

    def bend(x: np.ndarray, images: slice) -> float:
        one = Network(problem.images[images], problem.labels[images], classes=3)
        eye, h = np.eye(problem.dim), 1e-5
        hessian = (one.gradient(x + h * eye) - one.gradient(x - h * eye)) / (2 * h)
        return float(np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1])

    # Two logits level with each other, the third far below: the loss bends most.
    level = np.zeros(problem.dim)
    level[problem.blocks[0].offsets] = [0, 0, -40]
    assert problem.smoothness == pytest.approx(bend(level, slice(None)), rel=1e-6)
    alone = [bend(level, slice(i, i + 1)) for i in range(6)]
    assert problem.max_smoothness == pytest.approx(max(alone), rel=1e-6)
    assert problem.average_smoothness == pytest.approx(np.mean(alone), rel=1e-6)
    for x in rng.standard_normal((20, problem.dim)):
        assert bend(x, slice(None)) <= problem.smoothness
    trace = run(
        problem,
        FullGradient(),
        GradientStep(),
        steps=50,
        step_size=1.99 / problem.smoothness,
        record="all",
        metrics={"value": lambda p, x: p.value(x)},
    )
    assert (np.diff(trace.history["value"][:, 0]) < 0).all()


def test_constants_of_networks() -> None:
    problem, x = small("one hidden layer")
    assert not problem.convex
    assert not problem.components_convex
    assert problem.smoothness == problem.max_smoothness == problem.average_smoothness == math.inf
    assert problem.strong_convexity == problem.pl_constant == 0
    np.testing.assert_array_equal(problem.component_minima, np.zeros(7))
    for ask in ("minimum", "minimizer"):
        with pytest.raises(ValueError, match="problem: wanted one whose minim"):
            getattr(problem, ask)
    with pytest.raises(ValueError, match="problem: wanted one whose minimisers"):
        problem.distance_squared(x)


def test_initial_weights_have_the_promised_variances() -> None:
    problem = Network(np.zeros((2, 8)), [0, 1], [16], classes=4)
    x = problem.initial_weights(0, 4000)
    first, last = problem.blocks
    assert x[:, first.weights].var() == pytest.approx(2 / 8, rel=0.02)
    assert x[:, last.weights].var() == pytest.approx(1 / 16, rel=0.02)
    assert not x[:, first.offsets].any()
    assert not x[:, last.offsets].any()
    np.testing.assert_array_equal(x, problem.initial_weights(np.random.default_rng(0), 4000))


# ---- training -----------------------------------------------------------------------------------


def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return data.data / 16, data.target


def test_networks_learn_digits_as_replicates() -> None:
    images, labels = digits()
    problem = Network(images[:1000], labels[:1000], [16])
    options = {
        "step_size": 0.1,
        "steps": 5 * 20,
        "batch_size": 50,
        "sampling": "reshuffled",
        "update": HeavyBall(0.9),
        "metrics": {"value": lambda p, x: p.value(x)},
        "record": [0],
    }
    start = problem.initial_weights(0, 3)
    together = sgd(problem, start, replicates=3, rng=0, **options)
    assert together.success
    assert problem.accuracy(together.x, images[1000:], labels[1000:]).min() > 0.8
    alone = sgd(problem, start[:1], rng=0, **options)
    np.testing.assert_allclose(alone.x[0], together.x[0], atol=1e-10)


def test_networks_train_inside_a_set() -> None:
    images, labels = digits()
    problem = Network(images[:200], labels[:200], [Convolution(2)])
    ball = L2Ball(12.0)
    trace = run(
        problem,
        Minibatch(50),
        FrankWolfeStep(ball),
        x0=ball.project(problem.initial_weights(0)),
        steps=200,
        step_size=0.02,
        metrics={"value": lambda p, x: p.value(x)},
        rng=0,
    )
    values = trace.history["value"][:, 0]
    assert ball.contains(trace.x).all()
    assert values[-1] < 0.5 * values[0]


def test_a_perceptron_trains_in_seconds() -> None:
    images, labels = digits()
    problem = Network(images[:1400], labels[:1400], [128])
    start = time.perf_counter()
    sgd(
        problem,
        problem.initial_weights(0),
        steps=28 * 10,
        step_size=0.1,
        batch_size=50,
        sampling="reshuffled",
        update=HeavyBall(0.9),
        metrics={},
        rng=0,
    )
    # An eighth of the 80 epochs that lectures train for, which may take 20 s at most.
    assert time.perf_counter() - start < 20 / 8


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": [1.0]}, "images: wanted 2 dimension"),
        ({"images": [[np.nan], [0.0]]}, "images: wanted finite"),
        ({"labels": [0]}, "labels: wanted one for each of 2 images, got 1"),
        ({"labels": [0, -1]}, "labels: wanted a list of integers"),
        ({"labels": [0.0, 1.0]}, "labels: wanted a list of integers"),
        ({"labels": [[0, 1]]}, "labels: wanted a list of integers"),
        ({"labels": [True, False]}, "labels: wanted a list of integers"),
        ({"labels": [0, 5], "classes": 5}, "classes: wanted an integer of at least 6"),
        ({"labels": [0, 0], "classes": 1}, "classes: wanted an integer of at least 2"),
        ({"hidden": 3}, "hidden: wanted a sequence of layers"),
        ({"hidden": "3"}, "hidden: wanted a sequence of layers"),
        ({"hidden": [0]}, "hidden: wanted an integer of at least 1"),
        ({"hidden": [2.5]}, "hidden: wanted an integer"),
        ({"hidden": [Convolution(1)]}, "hidden: wanted patches that fit into 2 x 2"),
        ({"hidden": [2, Convolution(1)]}, "hidden: wanted convolutions before"),
        (
            {"images": np.zeros((2, 5)), "hidden": [Convolution(1)]},
            "hidden: wanted convolutions before layers that see all, and an image_shape",
        ),
        (
            {"hidden": [Convolution(1)], "image_shape": (2, 3)},
            "image_shape: wanted height, width and channels of 4 pixels",
        ),
        ({"image_shape": (4,)}, "image_shape: wanted height"),
        ({"image_shape": 4}, "image_shape: wanted a sequence of sizes, got 4"),
    ],
)
def test_bad_networks_are_refused(arguments: dict[str, object], message: str) -> None:
    good = {"images": np.zeros((2, 4)), "labels": [0, 1]}
    with pytest.raises(ValueError, match=f"^{message}"):
        Network(**{**good, **arguments})  # type: ignore[arg-type]


def test_bad_calls_are_refused() -> None:
    problem = Network(np.zeros((2, 4)), [0, 1])
    for wrong, message in [
        (lambda: problem.classifier(np.zeros(3)), "weights: wanted 10 numbers, got 3"),
        (lambda: problem.classifier(np.full(10, np.inf)), "weights: wanted finite"),
        (lambda: NetworkClassifier(problem, [[0.0]]), "weights: wanted 1 dimension"),
        (lambda: problem.accuracy(np.zeros(10), np.zeros((1, 4))), "labels: wanted both"),
        (lambda: problem.accuracy(np.zeros(10), np.zeros((1, 3)), [0]), "images: wanted 4 pixels"),
        (lambda: problem.accuracy(np.zeros(10), np.zeros((1, 4)), [0, 1]), "labels: wanted one"),
        (
            lambda: problem.accuracy(np.zeros(10), np.zeros((1, 4)), [2]),
            "labels: wanted numbers below the 2 classes, got 2",
        ),
        (lambda: Convolution(0), "channels: wanted"),
        (lambda: Convolution(1, 0), "size: wanted"),
        (lambda: Convolution(1, 2, 0), "stride: wanted"),
        (lambda: problem.initial_weights(0, 0), "replicates: wanted"),
    ]:
        with pytest.raises(ValueError, match=f"^{message}"):
            wrong()


@pytest.mark.parametrize("hidden", [[], [3], [Convolution(1, 2)]])
@pytest.mark.parametrize("shape", [(3, 9), (3, 3), (4,), (1, 3, 4)])
def test_classifiers_refuse_images_of_another_size(hidden: list[Any], shape: Any) -> None:
    problem = Network(np.zeros((2, 4)), [0, 1], hidden)
    classifier, images = problem.classifier(np.zeros(problem.dim)), np.zeros(shape)
    message = re.escape(f"images: wanted 4 pixels each, got an array of shape {shape}")
    for call in (
        lambda: classifier.logits(images),
        lambda: classifier.predictions(images),
        lambda: classifier.pullback(images, np.zeros((len(images), 2))),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            call()


def test_the_weights_may_be_stored_in_single_precision() -> None:
    problem, x = small("one hidden layer")
    found = problem.classifier(x[0].astype(np.float32)).logits(problem.images)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, problem.logits(x[0]), rtol=1e-5, atol=1e-6)
