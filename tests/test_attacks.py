"""Attacks: what they may never do, where the optimum is known, and a plain loop beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize

from sgdnotes import run
from sgdnotes.attacks import (
    LOSSES,
    AdversarialMinibatch,
    AttackResult,
    CrossEntropy,
    L2Perturbations,
    LinfPerturbations,
    apgd,
    auto_fw,
    checkpoints,
    fgsm,
    frank_wolfe_attack,
    pgd,
    rises_too_rarely,
    stands_still,
)
from sgdnotes.oracles import Minibatch
from sgdnotes.problems import LeastSquares, Network, cross_entropy
from sgdnotes.updates import GradientStep, HeavyBall

NORMS = ["linf", "l2"]
ATTACKS: dict[str, Callable[..., AttackResult]] = {
    "fgsm": fgsm,
    "pgd": pgd,
    "frank_wolfe_attack": frank_wolfe_attack,
    "apgd": apgd,
    "auto_fw": auto_fw,
}
PIXELS, CLASSES = 6, 4


def attack(name: str, *arguments: Any, **options: Any) -> AttackResult:
    """Call an attack; the one that takes a single step knows neither steps nor seeds."""
    if name == "fgsm":
        options = {key: options[key] for key in options if key in {"norm", "loss"}}
    return ATTACKS[name](*arguments, **options)


def random_network(seed: int, images: int = 5, hidden: int = 7) -> tuple[Any, Any, Any]:
    """A classifier of random weights, images some of whose pixels are 0 or 1, and labels."""
    rng = np.random.default_rng(seed)
    rows = np.clip(rng.uniform(-0.3, 1.3, (images, PIXELS)), 0, 1)
    labels = rng.integers(0, CLASSES, images)
    problem = Network(rows, labels, [hidden], classes=CLASSES)
    return problem.classifier(3 * problem.initial_weights(rng)[0]), rows, labels


def distance(norm: str, result: AttackResult) -> np.ndarray:
    moved = result.images - result.originals
    return np.abs(moved).max(axis=1) if norm == "linf" else np.sqrt((moved**2).sum(axis=1))


class Watched:
    """A classifier that keeps every image that it was shown."""

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier
        self.shown: list[np.ndarray] = []

    def logits(self, images: np.ndarray) -> np.ndarray:
        self.shown.append(images.copy())
        return self.classifier.logits(images)

    def pullback(self, images: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
        return self.classifier.pullback(images, cotangent)


class Linear:
    """Logits that are affine in the image."""

    def __init__(self, matrix: np.ndarray, offsets: np.ndarray) -> None:
        self.matrix, self.offsets = matrix, offsets

    def logits(self, images: np.ndarray) -> np.ndarray:
        return images @ self.matrix + self.offsets

    def pullback(self, images: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
        return cotangent @ self.matrix.T


# ---- what never happens -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    epsilon=st.one_of(st.floats(0, 2), st.sampled_from([1e-300, 1e-17, 1e-9, 0.1, 8 / 255, 50.0])),
    loss=st.sampled_from(sorted(LOSSES)),
    start=st.sampled_from(["image", "random"]),
)
def test_no_attack_leaves_the_set(
    name: str, norm: str, seed: int, epsilon: float, loss: str, start: str
) -> None:
    classifier, images, labels = random_network(seed)
    watched = Watched(classifier)
    options = {"norm": norm, "loss": loss, "steps": 9, "start": start, "rng": seed}
    result = attack(name, watched, images, labels, epsilon, **options)
    for found in (result.images, *(shown[: len(images)] for shown in watched.shown)):
        moved = found - images
        assert found.min() >= 0
        assert found.max() <= 1
        if norm == "linf":
            assert np.abs(moved).max() <= epsilon
        else:
            # However the squares are summed.
            assert np.linalg.norm(moved, axis=1).max() <= epsilon
            assert np.sqrt((moved[:, ::-1] ** 2).cumsum(axis=1)[:, -1]).max() <= epsilon
    assert distance(norm, result).max() <= epsilon


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), loss=st.sampled_from(sorted(LOSSES)))
def test_the_best_loss_never_falls(name: str, norm: str, seed: int, loss: str) -> None:
    classifier, images, labels = random_network(seed)
    watched = Watched(classifier)
    options = {"norm": norm, "loss": loss, "steps": 25, "rng": seed}
    result = attack(name, watched, images, labels, 0.2, **options)
    assert (np.diff(result.history, axis=0) >= 0).all()
    # The first look is at the images, the second at the start, the rest at one point a step.
    losses = [LOSSES[loss].value(classifier.logits(x[:5]), labels) for x in watched.shown[1:]]
    np.testing.assert_allclose(result.history[0], losses[0], rtol=1e-9, atol=1e-12)
    running = np.maximum.accumulate(losses, axis=0)
    np.testing.assert_allclose(result.history, running, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(result.loss, result.history[-1])
    assert (result.loss >= result.history[0]).all()
    # An image counts as misread just if it, or a point of its run, is misread.
    wrong = np.any([classifier.logits(x[:5]).argmax(axis=1) != labels for x in watched.shown], 0)
    np.testing.assert_array_equal(result.success, wrong)
    np.testing.assert_array_equal(result.predictions, classifier.predictions(result.images))
    np.testing.assert_array_equal(result.success, result.predictions != labels)
    assert result.robust_accuracy == pytest.approx(1 - wrong.mean())
    assert result.robust_accuracy <= result.clean_accuracy
    np.testing.assert_array_equal(result.clean_predictions, classifier.predictions(images))
    assert result.n_gradients == (1 if name == "fgsm" else 25)
    np.testing.assert_array_equal(result.perturbations, result.images - images)


def test_a_misread_image_is_preferred_to_one_of_larger_loss() -> None:
    # Along the first pixel class 1 soon wins by a little, and then many classes catch up: the
    # cross-entropy is largest where class 0 is right again.
    class Bent:
        def logits(self, x: np.ndarray) -> np.ndarray:
            t = x[:, 0]
            ahead = np.where(t < 0.5, np.where(t > 0.25, 0.1, -9.0), -9.0)
            others = np.where(t < 0.5, -9.0, -0.01)
            return np.column_stack([np.zeros_like(t), ahead, *[others] * 8])

        def pullback(self, x: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
            return np.ones_like(x)

    result = pgd(Bent(), [[0.0]], [0], 1.0, steps=3, step_size=0.3, start="image")
    assert result.success[0]
    assert result.predictions[0] == 1
    assert result.images[0, 0] == pytest.approx(0.3)
    assert result.loss[0] == pytest.approx(np.log(1 + 8 * np.exp(-0.01) + np.exp(-9)))


def test_an_image_misread_as_it_is_stays_so() -> None:
    # The label is 1, which is read above 0.5 only: not at the image, but at the random start.
    rising = Linear(np.array([[1.0, 2.0]]), np.array([0.0, -0.5]))
    start = LinfPerturbations([[0.4]], 0.6).random(np.random.default_rng(3))
    assert start[0, 0] > 0.5
    kept = pgd(rising, [[0.4]], [1], 0.6, steps=0, rng=3)
    assert kept.success[0]
    assert kept.clean_accuracy == kept.robust_accuracy == kept.predictions[0] == 0
    np.testing.assert_array_equal(kept.images, [[0.4]])
    np.testing.assert_array_equal(kept.loss, cross_entropy(rising.logits(start), np.array([1])))


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("norm", NORMS)
def test_without_room_nothing_changes(name: str, norm: str) -> None:
    classifier, images, labels = random_network(0, 40)
    result = attack(name, classifier, images, labels, 0.0, norm=norm, rng=0)
    np.testing.assert_array_equal(result.images, images)
    assert result.robust_accuracy == result.clean_accuracy
    assert 0 < result.clean_accuracy < 1
    assert result.clean_accuracy == (classifier.predictions(images) == labels).mean()


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_constant_classifier_cannot_be_attacked(name: str, norm: str, loss: str) -> None:
    _, images, labels = random_network(0, 40)
    for offsets in ([0.0, 1.0, 0.5, 0.2], [0.0] * 4):
        constant = Linear(np.zeros((PIXELS, CLASSES)), np.array(offsets))
        result = attack(name, constant, images, labels, 0.5, norm=norm, loss=loss, rng=0)
        np.testing.assert_array_equal(result.success, labels != np.argmax(offsets))
        assert result.robust_accuracy == result.clean_accuracy
        assert (result.history == result.history[0]).all()


def test_what_is_found_does_not_depend_on_the_company() -> None:
    classifier, images, labels = random_network(3, 130, hidden=40)
    for name in ATTACKS:
        for norm in NORMS:
            options = {"norm": norm, "steps": 30, "start": "random", "rng": 5}
            together = attack(name, classifier, images, labels, 0.1, **options)
            for count in (1, 63, 65, 128):
                alone = attack(name, classifier, images[:count], labels[:count], 0.1, **options)
                np.testing.assert_array_equal(alone.images, together.images[:count])
                np.testing.assert_array_equal(alone.history, together.history[:, :count])
                np.testing.assert_array_equal(alone.halvings, together.halvings[:count])
            # Wherever an image stands, sums of products differ in their last digits only.
            turned = attack(name, classifier, images[::-1], labels[::-1], 0.1, norm=norm, steps=1)
            straight = attack(name, classifier, images, labels, 0.1, norm=norm, steps=1)
            if name in {"fgsm", "frank_wolfe_attack", "auto_fw"}:
                np.testing.assert_allclose(turned.loss[::-1], straight.loss, rtol=1e-9)


def test_seeds_matter_for_random_starts_only() -> None:
    classifier, images, labels = random_network(1)

    def losses(**options: Any) -> np.ndarray:
        return pgd(classifier, images, labels, 0.1, steps=3, **options).history

    np.testing.assert_array_equal(losses(rng=1), losses(rng=np.random.default_rng(1)))
    assert (losses(rng=1)[0] != losses(rng=2)[0]).all()
    np.testing.assert_array_equal(losses(rng=1, start="image"), losses(rng=2, start="image"))


def test_arguments_are_not_changed() -> None:
    classifier, images, labels = random_network(1)
    for array in (images, labels, classifier.weights):
        array.setflags(write=False)
    for name in ATTACKS:
        attack(name, classifier, images, labels, 0.1, steps=5, rng=0)


# ---- where the optimum is known -----------------------------------------------------------------


def best_margin(norm: str, image: np.ndarray, way: np.ndarray, epsilon: float) -> float:
    """The largest <way, x - image> over the set, in closed form or by a root in one variable."""
    room = np.where(way > 0, 1 - image, image)
    if norm == "linf":
        return float((np.abs(way) * np.minimum(epsilon, room)).sum())

    def moved(multiplier: float) -> np.ndarray:
        return np.minimum(np.abs(way) / multiplier, room)

    if np.linalg.norm(moved(1e-12)) <= epsilon:
        return float((np.abs(way) * moved(1e-12)).sum())
    root = brentq(lambda m: np.linalg.norm(moved(m)) - epsilon, 1e-12, 1e12, xtol=1e-300)
    return float((np.abs(way) * moved(root)).sum())


@pytest.mark.parametrize("name", ["pgd", "frank_wolfe_attack", "apgd", "auto_fw"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("epsilon", [0.01, 0.3, 1.0, 4.0])
def test_the_optimum_of_a_linear_classifier(name: str, norm: str, epsilon: float) -> None:
    rng = np.random.default_rng(4)
    images = np.clip(rng.uniform(-0.2, 1.2, (30, 12)), 0, 1)
    images[:10] = rng.uniform(0.4, 0.6, (10, 12))  # far from the walls
    matrix = rng.standard_normal((12, 2))
    matrix[3] = matrix[3, 0]  # a pixel that both logits like alike
    labels = rng.integers(0, 2, 30)
    classifier = Linear(matrix, np.array([0.3, -0.1]))
    options = {"step_size": epsilon / 2} if name == "pgd" else {}
    result = attack(name, classifier, images, labels, epsilon, norm=norm, rng=0, **options)
    for i, label in enumerate(labels):
        way = matrix[:, 1 - label] - matrix[:, label]
        logits = classifier.logits(images[i : i + 1])[0]
        margin = logits[1 - label] - logits[label] + best_margin(norm, images[i], way, epsilon)
        if norm == "l2" and i < 10 and epsilon == 0.01:
            assert best_margin(norm, images[i], way, epsilon) == pytest.approx(
                epsilon * np.linalg.norm(way), rel=1e-12
            )
        assert result.loss[i] == pytest.approx(np.logaddexp(0, margin), abs=1e-10)
        assert result.success[i] == (margin > 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 3))
def test_l2_sets_against_a_generic_solver(seed: int, epsilon: float) -> None:
    rng = np.random.default_rng(seed)
    images = np.clip(rng.uniform(-0.3, 1.3, (1, 5)), 0, 1)
    nearby = L2Perturbations(images, epsilon)
    point = images + rng.standard_normal((1, 5)) * rng.choice([0.1, 1.0, 10.0])
    gradient = rng.standard_normal((1, 5)) * (rng.random((1, 5)) > 0.2)
    inside = {
        "bounds": [(0.0, 1.0)] * 5,
        "constraints": {"type": "ineq", "fun": lambda z: epsilon**2 - ((z - images[0]) ** 2).sum()},
        "method": "SLSQP",
        "options": {"ftol": 1e-14, "maxiter": 500},
    }
    found = nearby.project(point)[0]
    solved = minimize(lambda z: ((z - point[0]) ** 2).sum(), images[0], **inside)
    assert ((found - point[0]) ** 2).sum() <= solved.fun + 1e-6 * (1 + solved.fun)
    # The nearest point: the way to it makes an obtuse angle with every way into the set.
    others = L2Perturbations(np.repeat(images, 200, axis=0), epsilon).random(rng)
    vertices = L2Perturbations(np.repeat(images, 200, axis=0), epsilon).linear_maximizer(
        rng.standard_normal((200, 5))
    )
    for z in (others, vertices):
        assert ((z - found) @ (point[0] - found)).max() <= 1e-9 * max(1, np.abs(point).max())
    far = nearby.linear_maximizer(gradient)[0]
    assert far @ gradient[0] >= np.concatenate([others, vertices]).dot(gradient[0]).max() - 1e-12
    np.testing.assert_array_equal(far[gradient[0] == 0], images[0][gradient[0] == 0])
    np.testing.assert_allclose(nearby.project(far[None]), far[None], atol=1e-14)


def test_linf_sets() -> None:
    images = np.array([[0.0, 0.3, 1.0, 0.55]])
    nearby = LinfPerturbations(images, 0.1)
    np.testing.assert_allclose(nearby.project(images + 5), [[0.1, 0.4, 1.0, 0.65]], atol=1e-15)
    np.testing.assert_allclose(nearby.project(images - 5), [[0.0, 0.2, 0.9, 0.45]], atol=1e-15)
    corner = nearby.linear_maximizer(np.array([[-1.0, 2.0, -1e-300, 0.0]]))
    np.testing.assert_allclose(corner, [[0.0, 0.4, 0.9, 0.55]], atol=1e-15)
    np.testing.assert_array_equal(nearby.steepest(np.array([[-3.0, 0.0, 1e-9]])), [[-1, 0, 1]])


def test_random_starts_fill_the_sets() -> None:
    images = np.full((4000, 2), 0.5)
    for kind, inside in ((LinfPerturbations, 1.0), (L2Perturbations, np.pi / 4)):
        drawn = (kind(images, 0.2).random(np.random.default_rng(0)) - 0.5) / 0.2
        assert np.abs(drawn).max() == pytest.approx(1, abs=0.01)
        near = np.linalg.norm(drawn, axis=1) <= 0.5
        assert near.mean() == pytest.approx(np.pi / 16 / inside, abs=0.02)


def test_tiny_gradients_still_point_somewhere() -> None:
    images, gradient = np.full((1, 2), 0.5), np.array([[3e-200, 4e-200]])
    nearby = L2Perturbations(images, 0.1)
    np.testing.assert_allclose(nearby.steepest(gradient), [[0.6, 0.8]], rtol=1e-14)
    np.testing.assert_allclose(nearby.linear_maximizer(gradient), [[0.56, 0.58]], rtol=1e-14)
    np.testing.assert_array_equal(nearby.steepest(0 * gradient), 0 * gradient)


# ---- checkpoints and conditions -----------------------------------------------------------------


def test_checkpoints() -> None:
    assert checkpoints(100) == [0, 22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1000) == [0, 220, 410, 570, 700, 800, 870, 930, 990]
    assert checkpoints(10) == [0, 3, 5, 6, 7, 8, 9, 10]
    assert checkpoints(1) == [0, 1]
    assert checkpoints(0) == [0]
    for steps in range(200):
        found = checkpoints(steps)
        assert found == sorted(set(found))
        assert found[-1] <= steps


def test_the_first_condition() -> None:
    up = np.arange(5.0)  # four steps, all up
    flat = np.zeros(5)
    once = np.array([0, 1.0, 0, 1, 2])  # three of four up
    twice = np.array([0, 1.0, 0, 1, 1])  # two of four up: standing still is no rise
    values = np.column_stack([up, flat, once, twice])
    np.testing.assert_array_equal(rises_too_rarely(values), [False, True, False, True])
    np.testing.assert_array_equal(rises_too_rarely(values, 0.5), [False, True, False, False])
    np.testing.assert_array_equal(rises_too_rarely(values, 1.0), [False, True, True, True])
    np.testing.assert_array_equal(rises_too_rarely(values, 0.0), [False] * 4)


def test_the_second_condition() -> None:
    before, now = np.array([1.0, 1.0, 1.0, 1.0]), np.array([1.0, 1.0, 2.0, 2.0])
    halved = np.array([False, True, False, True])
    np.testing.assert_array_equal(stands_still(halved, before, now), [True, False, False, False])
    np.testing.assert_array_equal(stands_still(False, before, now), [True, True, False, False])


def loop(
    kind: str, classifier: Any, image: np.ndarray, label: int, epsilon: float, start: np.ndarray
) -> tuple[list[float], int]:
    """Auto-PGD and Auto-FW in the box norm for one image, straight from the pseudocode."""
    lower, upper = np.maximum(image - epsilon, 0), np.minimum(image + epsilon, 1)

    def f(x: np.ndarray) -> float:
        z = classifier.logits(x[None])[0]
        return float(np.log(np.exp(z).sum()) - z[label])

    def slope(x: np.ndarray) -> np.ndarray:
        z = classifier.logits(x[None])[0]
        return classifier.pullback(
            x[None], (np.exp(z) / np.exp(z).sum() - np.eye(CLASSES)[label])[None]
        )[0]

    size, steps, rho = (2 * epsilon if kind == "apgd" else 1.0), 100, 0.75
    sizes, points, best, tops = [size], [start], start, [f(start)]
    w, j, halvings, values = checkpoints(steps), 1, 0, [f(start)]
    for k in range(steps):
        x, g = points[-1], slope(points[-1])
        if kind == "apgd":
            z = np.clip(x + size * np.sign(g), lower, upper)
            new = (
                z if k == 0 else np.clip(x + 0.75 * (z - x) + 0.25 * (x - points[-2]), lower, upper)
            )
        else:
            v = np.where(g > 0, upper, np.where(g < 0, lower, image))
            new = x + size * (v - x)
        best = new if f(new) > f(best) else best
        tops.append(f(best))
        values.append(f(new))
        points.append(new)
        if j < len(w) and k + 1 == w[j]:
            rises = sum(values[i + 1] > values[i] for i in range(w[j - 1], w[j]))
            first = rises < rho * (w[j] - w[j - 1])
            # The size in force before this checkpoint and before the one before.
            kept = j == 1 or sizes[j - 1] == sizes[j - 2]
            if first or (kept and tops[w[j]] == tops[w[j - 1]]):
                size, halvings = size / 2, halvings + 1
                points[-1], values[-1] = best, f(best)
            sizes.append(size)
            j += 1
    return tops, halvings


@pytest.mark.parametrize("kind", ["apgd", "auto_fw"])
@pytest.mark.parametrize("seed", range(12))
def test_against_a_plain_loop(kind: str, seed: int) -> None:
    classifier, images, labels = random_network(seed, 3, hidden=12)
    epsilon = [0.05, 0.2, 0.5][seed % 3]
    start = LinfPerturbations(images, epsilon).random(np.random.default_rng(seed))
    result = ATTACKS[kind](classifier, images, labels, epsilon, start="random", rng=seed)
    for i in range(3):
        tops, halvings = loop(kind, classifier, images[i], labels[i], epsilon, start[i])
        np.testing.assert_allclose(result.history[:, i], tops, rtol=1e-8, atol=1e-11)
        # Where steps change the loss by rounding only, the loop may count a rise more or less.
        assert abs(result.halvings[i] - halvings) <= 1


@pytest.mark.parametrize("kind", ["apgd", "auto_fw"])
@pytest.mark.parametrize("norm", NORMS)
def test_there_are_at_most_as_many_halvings_as_checkpoints(kind: str, norm: str) -> None:
    classifier, images, labels = random_network(2, 50)
    for steps in (1, 10, 100):
        result = ATTACKS[kind](classifier, images, labels, 0.4, norm=norm, steps=steps, rng=0)
        assert result.halvings.max() <= len(checkpoints(steps)) - 1
    assert result.halvings.max() > 1
    never = ATTACKS[kind](classifier, images, labels, 0.4, norm=norm, decrease=0, rng=0)
    # Only the second condition is left, which cannot hold twice in a row.
    assert never.halvings.max() <= 4


def test_frank_wolfe_steps_from_the_image() -> None:
    classifier, images, labels = random_network(5)
    inner = 0.5 + 0.1 * (images - 0.5)
    for gamma in (1.0, 0.25):
        first = Watched(classifier)
        auto_fw(first, inner, labels, 0.1, steps=1, step_size=gamma)
        moved = np.abs(first.shown[2][:5] - inner)
        alive = moved > 0
        np.testing.assert_allclose(moved[alive], 0.1 * gamma, rtol=1e-12)
        assert alive.mean() > 0.5
        second = Watched(classifier)
        frank_wolfe_attack(second, inner, labels, 0.1, steps=1, step_size=gamma)
        np.testing.assert_array_equal(first.shown[2], second.shown[2])
    # With momentum the first direction is the same, since the length of m does not matter.
    third = Watched(classifier)
    auto_fw(third, inner, labels, 0.1, steps=5, momentum=0.9)
    plain = Watched(classifier)
    auto_fw(plain, inner, labels, 0.1, steps=5)
    np.testing.assert_array_equal(third.shown[2], plain.shown[2])
    assert any((a != b).any() for a, b in zip(third.shown[3:], plain.shown[3:], strict=True))


def test_schedules_of_frank_wolfe() -> None:
    classifier, images, labels = random_network(5)
    found = [
        frank_wolfe_attack(classifier, images, labels, 0.1, steps=20, step_size=size).history
        for size in (None, lambda k: 2 / (k + 2), 0.5)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


def test_attacks_grow_stronger_with_steps() -> None:
    classifier, images, labels = random_network(8, 200, hidden=40)
    accuracies = [
        fgsm(classifier, images, labels, 0.05).loss.mean(),
        pgd(classifier, images, labels, 0.05, rng=0).loss.mean(),
        apgd(classifier, images, labels, 0.05, rng=0).loss.mean(),
    ]
    assert accuracies[0] < accuracies[1] <= accuracies[2] + 1e-3
    fw = auto_fw(classifier, images, labels, 0.05).loss.mean()
    assert fw == pytest.approx(accuracies[2], rel=0.01)


# ---- losses -------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(LOSSES)))
def test_slopes_of_losses(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = rng.standard_normal((6, 5)), rng.integers(0, 5, 6)
    loss, h = LOSSES[name], 1e-7
    gaps = np.diff(np.sort(logits, axis=1), axis=1)
    smooth = gaps.min(axis=1) > 1e-3
    for c in range(5):
        step = h * np.eye(5)[c]
        numeric = (loss.value(logits + step, labels) - loss.value(logits - step, labels)) / (2 * h)
        np.testing.assert_allclose(
            loss.slope(logits, labels)[smooth, c], numeric[smooth], rtol=1e-4, atol=1e-5
        )


def test_the_ratio_of_logits() -> None:
    dlr = LOSSES["dlr"]
    logits = np.array([[3.0, 1.0, 2.0, 0.0], [3.0, 1.0, 2.0, 0.0], [3.0, 1.0, 2.0, 0.0]])
    labels = np.array([0, 2, 3])
    np.testing.assert_allclose(dlr.value(logits, labels), [-1 / 2, 1 / 2, 3 / 2], rtol=1e-11)
    np.testing.assert_allclose(
        dlr.value(7 * logits - 2, labels), dlr.value(logits, labels), rtol=1e-11
    )
    rng = np.random.default_rng(0)
    many, some = rng.standard_normal((500, 4)), rng.integers(0, 4, 500)
    np.testing.assert_array_equal(dlr.value(many, some) > 0, many.argmax(axis=1) != some)


# ---- bad input ----------------------------------------------------------------------------------


class Spoilt:
    """A classifier that returns something wrong, at first or after a few calls."""

    def __init__(self, logits: Any = None, pullback: Any = None, after: int = 0) -> None:
        self.wrong = (logits, pullback)
        self.left = after

    def logits(self, images: np.ndarray) -> np.ndarray:
        self.left -= 1
        good = np.ones((len(images), CLASSES))
        return self.wrong[0](good) if self.wrong[0] and self.left < 0 else good

    def pullback(self, images: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
        good = np.zeros_like(images)
        return self.wrong[1](good) if self.wrong[1] else good


class SpoiltLoss(CrossEntropy):
    """A loss that returns something wrong."""

    def __init__(self, value: Any = None, slope: Any = None) -> None:
        self.wrong = (value, slope)

    def value(self, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        good = super().value(logits, labels)
        return np.asarray(self.wrong[0](good)) if self.wrong[0] else good

    def slope(self, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        good = super().slope(logits, labels)
        return np.asarray(self.wrong[1](good)) if self.wrong[1] else good


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": [[0.5, 1.1]]}, "images: wanted pixels from 0 to 1, got 0.5 to 1.1"),
        ({"images": [[-1e-9, 0.5]]}, "images: wanted pixels from 0 to 1"),
        ({"images": [[np.nan, 0.5]]}, "images: wanted finite"),
        ({"images": [0.5, 0.5]}, "images: wanted 2 dimension"),
        ({"images": np.zeros((0, 2))}, "images: wanted at least one"),
        ({"labels": [4]}, "labels: wanted numbers below the 4 classes, got 4"),
        ({"labels": [-1]}, "labels: wanted a list of integers of at least 0"),
        ({"labels": [0, 1]}, "labels: wanted one for each of 1 images, got 2"),
        ({"labels": [0.0]}, "labels: wanted a list of integers"),
        ({"labels": 0}, "labels: wanted a list of integers"),
        ({"epsilon": -0.1}, "epsilon: wanted a finite number of at least 0"),
        ({"epsilon": np.nan}, "epsilon: wanted"),
        ({"epsilon": np.inf}, "epsilon: wanted"),
        ({"norm": "l1"}, "norm: wanted one of 'l2', 'linf'"),
        ({"loss": "hinge"}, "loss: wanted one of 'cross_entropy', 'dlr'"),
        ({"loss": 3}, "loss: wanted a name or a Loss"),
        ({"loss": CrossEntropy}, "loss: wanted a name or a Loss"),
        ({"loss": SpoiltLoss(lambda f: f * np.nan)}, "loss: wanted finite values"),
        ({"loss": SpoiltLoss(lambda f: f.mean())}, "loss: wanted values of shape"),
        ({"loss": SpoiltLoss(None, lambda s: s * np.nan)}, "loss: wanted finite slopes"),
        ({"loss": SpoiltLoss(None, lambda s: s[:, 1:])}, "loss: wanted slopes of shape"),
        ({"classifier": 3}, "classifier: wanted something with logits and pullback"),
        ({"classifier": Spoilt(lambda z: z * np.nan)}, "classifier: wanted finite logits"),
        ({"classifier": Spoilt(lambda z: z * np.nan, after=2)}, "classifier: wanted finite logits"),
        ({"classifier": Spoilt(lambda z: z * np.inf)}, "classifier: wanted finite logits"),
        ({"classifier": Spoilt(lambda z: z[0])}, "classifier: wanted logits of shape"),
        ({"classifier": Spoilt(lambda z: z[1:])}, "classifier: wanted logits of shape"),
        ({"classifier": Spoilt(None, lambda g: g * np.nan)}, "classifier: wanted finite gradients"),
        ({"classifier": Spoilt(None, lambda g: g[:, 1:])}, "classifier: wanted gradients of shape"),
        ({"classifier": Spoilt(lambda z: z[:, :1])}, "loss: wanted at least 2 classes"),
        (
            {"classifier": Spoilt(lambda z: z[:, :2]), "loss": "dlr"},
            "loss: wanted at least 3 classes for the difference of logits ratio, got 2",
        ),
    ],
)
def test_bad_input_is_refused(name: str, arguments: dict[str, Any], message: str) -> None:
    good = {"classifier": Spoilt(), "images": [[0.5, 0.5]], "labels": [0], "epsilon": 0.1}
    given_ = {**good, **arguments}
    if isinstance(given_["classifier"], Spoilt):
        given_["classifier"].left = max(given_["classifier"].left, 0)
    with pytest.raises(ValueError, match=f"^{message}"):
        ATTACKS[name](**given_)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pgd", {"steps": -1}, "steps: wanted"),
        ("pgd", {"steps": 1.5}, "steps: wanted"),
        ("pgd", {"step_size": -1.0}, "step_size: wanted"),
        ("pgd", {"start": "far"}, "start: wanted one of 'image', 'random'"),
        ("pgd", {"rng": "x"}, "rng: wanted"),
        ("apgd", {"weight": 0}, "weight: wanted"),
        ("apgd", {"weight": 1.1}, "weight: wanted"),
        ("apgd", {"decrease": 2}, "decrease: wanted"),
        ("auto_fw", {"step_size": 0}, "step_size: wanted"),
        ("auto_fw", {"step_size": 1.5}, "step_size: wanted"),
        ("auto_fw", {"momentum": 1}, "momentum: wanted"),
        ("auto_fw", {"momentum": -0.1}, "momentum: wanted"),
        ("auto_fw", {"decrease": -1}, "decrease: wanted"),
        ("frank_wolfe_attack", {"step_size": 1.5}, "step_size: wanted at most 1, got 1.5"),
        ("frank_wolfe_attack", {"step_size": lambda k: 2.0 - k}, "step_size: wanted at most 1"),
        ("frank_wolfe_attack", {"step_size": lambda k: 0.5 - k}, "step_size at step 1: wanted"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    classifier, images, labels = random_network(0)
    with pytest.raises(ValueError, match=f"^{message}"):
        ATTACKS[name](classifier, images, labels, 0.1, **{"steps": 2, **options})


# ---- adversarial training -----------------------------------------------------------------------


def test_training_without_room_is_training() -> None:
    rng = np.random.default_rng(0)
    problem = Network(rng.random((20, 4)), rng.integers(0, 3, 20), [5], classes=3)
    options = {"x0": problem.initial_weights(0, 2), "steps": 20, "step_size": 0.1, "metrics": {}}
    plain, robust = (
        run(problem, oracle, HeavyBall(0.9), replicates=2, rng=0, **options)
        for oracle in (Minibatch(5), AdversarialMinibatch(5, epsilon=0, inner_steps=3))
    )
    np.testing.assert_allclose(plain.x, robust.x, rtol=1e-12)
    assert (plain.n_gradients, robust.n_gradients) == (100, 400)


def test_training_is_on_attacked_images() -> None:
    rng = np.random.default_rng(1)
    problem = Network(rng.random((20, 4)), rng.integers(0, 3, 20), [5], classes=3)
    x = 5 * problem.initial_weights(2, 3)
    draw = rng.integers(0, 20, (3, 6))
    oracle = AdversarialMinibatch(6, epsilon=0.4, inner_steps=4)
    found, _ = oracle.gradient(problem, x, draw, None)
    for point, batch, gradient in zip(x, draw, found, strict=True):
        images, labels = problem.images[batch], problem.labels[batch]
        # The same ascent, whose last point need not be the best.
        seen = Watched(problem.classifier(point))
        pgd(seen, images, labels, 0.4, steps=4, start="image")
        attacked = seen.shown[-1][:6]
        wanted = Network(attacked, labels, [5], classes=3).gradient(point)
        np.testing.assert_allclose(gradient, wanted, rtol=1e-9, atol=1e-12)


def test_bad_training_is_refused() -> None:
    rng = np.random.default_rng(1)
    for wrong, message in [
        (lambda: AdversarialMinibatch(1, epsilon=-1), "epsilon: wanted"),
        (lambda: AdversarialMinibatch(1, epsilon=1, inner_steps=0), "inner_steps: wanted"),
        (lambda: AdversarialMinibatch(0, epsilon=1), "batch_size: wanted"),
    ]:
        with pytest.raises(ValueError, match=f"^{message}"):
            wrong()
    oracle = AdversarialMinibatch(1, epsilon=0.1)
    line = LeastSquares(rng.random((3, 2)), rng.random(3))
    with pytest.raises(ValueError, match=r"^problem: wanted a Network"):
        run(line, oracle, GradientStep(), steps=1, step_size=0.1)
    dark = Network(-rng.random((3, 2)), [0, 1, 1])
    with pytest.raises(ValueError, match=r"^images: wanted pixels from 0 to 1"):
        run(dark, oracle, GradientStep(), steps=1, step_size=0.1, metrics={})


def test_losses_print_their_names() -> None:
    assert repr(CrossEntropy()) == "cross-entropy"
