"""What lecture 14 claims of attacks, in numbers known from elsewhere; and the published table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from sgdnotes.attacks import apgd, auto_fw, checkpoints
from sgdnotes.theorems import AutoFWRun, MarginAttack, SignSteps, auto_fw_reach, linear_attack
from sgdnotes.theorems.attacks import AffineClassifier, Recorder, RectifiedClassifier, corners

TABLE = Path(__file__).parents[1] / "lectures" / "data" / "published-attacks.csv"
CLASSIFIER = AffineClassifier([[1.0, -2.0, 0.5], [-1.0, 1.0, 0.0]], [0.1, 0.2])


def test_corners() -> None:
    found = corners(np.array([0.0, 0.5]), np.array([1.0, 0.75]))
    assert found.tolist() == [[0, 0.5], [0, 0.75], [1, 0.5], [1, 0.75]]
    with pytest.raises(ValueError, match="image: wanted at most 12 pixels, got 13"):
        corners(np.zeros(13), np.ones(13))


@pytest.mark.parametrize(("norm", "length"), [("linf", 5.5), ("l2", 13.25**0.5)])
def test_margin_by_hand(norm: str, length: float) -> None:
    # z_0 - z_1 = 2 x_0 - 3 x_1 + x_2 / 2 - 0.1, and the norms are those of its gradient.
    image = np.array([0.5, 0.5, 0.5])
    setting = MarginAttack(CLASSIFIER, image, 1, 0.1, norm=norm)
    at_image = image @ [2.0, -3.0, 0.5] - 0.1
    np.testing.assert_allclose(setting.claimed, [at_image + 0.1 * length], rtol=1e-14)
    np.testing.assert_allclose(setting.found, setting.claimed, rtol=1e-12)
    assert linear_attack.check(setting)


def test_the_wrong_dual_norm_is_noticed() -> None:
    setting = MarginAttack(CLASSIFIER, [0.5, 0.5, 0.5], 1, 0.1)
    gradient = setting.gradients[0]
    wrong = setting.claimed - 0.1 * np.abs(gradient).sum() + 0.1 * np.linalg.norm(gradient)
    assert np.abs(setting.found - wrong).max() > 0.1


@pytest.mark.parametrize("kind", [AffineClassifier, RectifiedClassifier])
def test_pullbacks_by_finite_differences(kind: type[AffineClassifier]) -> None:
    rng = np.random.default_rng(0)
    classifier = kind(rng.normal(size=(4, 3)), rng.normal(size=4))
    images, cotangent = rng.random((5, 3)), rng.normal(size=(5, 4))
    gradient = classifier.pullback(images, cotangent)
    for j, shift in enumerate(1e-6 * np.eye(3)):
        ends = [(cotangent * classifier.logits(images + s)).sum(axis=1) for s in (shift, -shift)]
        np.testing.assert_allclose(gradient[:, j], (ends[0] - ends[1]) / 2e-6, atol=1e-7)


def test_the_recorder_sees_all_iterates() -> None:
    recorder = Recorder(CLASSIFIER)
    found = auto_fw(recorder, [[0.5, 0.5, 0.5]], [1], 0.1, steps=20, step_size=0.3)
    seen = np.array(recorder.seen)
    assert seen.shape == (22, 3)  # the image, then x_0, ..., x_20
    assert (seen[:2] == 0.5).all()
    np.testing.assert_allclose(seen[2], 0.5 + 0.3 * 0.1 * np.array([1.0, -1.0, 1.0]))
    assert any((found.images[0] == x).all() for x in seen)


def test_reach_is_attained_on_affine_logits() -> None:
    run = AutoFWRun(CLASSIFIER, [0.5, 0.5, 0.5], 1, 0.1, steps=15, step_size=0.2)
    np.testing.assert_allclose(run.distances, 0.1 * (1 - 0.8 ** np.arange(16)), atol=1e-12)
    assert auto_fw_reach.check(run).worst > 0.999


def test_auto_pgd_without_momentum_starts_as_auto_fw() -> None:
    rng = np.random.default_rng(3)
    classifier = AffineClassifier(rng.normal(size=(5, 6)), rng.normal(size=5))
    images, labels = rng.random((20, 6)), rng.integers(0, 5, 20)
    one = apgd(classifier, images, labels, 0.1, weight=1.0, start="image")
    other = auto_fw(classifier, images, labels, 0.1)
    shared = checkpoints(100)[1] + 1
    np.testing.assert_allclose(one.history[:shared], other.history[:shared], rtol=1e-12)
    with_momentum = apgd(classifier, images, labels, 0.1, start="random", rng=0)
    assert not np.allclose(with_momentum.history[:shared], other.history[:shared])


def test_long_sign_steps_by_hand() -> None:
    points = np.array([[0.5, 0.9], [0.5, 0.9], [0.5, 0.9]])
    gradients = np.array([[1.0, -2.0], [0.0, 1.0], [-1.0, -1.0]])
    setting = SignSteps([0.5, 0.95], 0.1, points, gradients, 0.2)
    np.testing.assert_allclose(setting.steps[2], [[0.6, 0.85], [0.5, 1.0], [0.4, 0.85]])


def test_published_table() -> None:
    with TABLE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    weaker = np.array([float(row["afw"]) - float(row["apgd"]) for row in rows])
    assert len(rows) == 17
    assert (weaker < 0).sum() == 1
    assert rows[int(weaker.argmin())]["architecture"] == "XCiT-S12"
    assert weaker.mean() == pytest.approx(0.109, abs=5e-4)
    assert np.median(weaker) == pytest.approx(0.08)
    assert weaker.max() == pytest.approx(0.43)
    assert all(float(row["clean"]) > float(row["apgd"]) for row in rows)
