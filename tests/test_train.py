"""The stored classifiers of digits: their recipe, and what attacks make of them."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.datasets import load_digits

from sgdnotes.attacks import AttackResult, apgd, auto_fw
from sgdnotes.problems import digits

ROOT = Path(__file__).parents[1]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train", ROOT / "tools" / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["train"] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


train = load()
STORED = dict(np.load(train.FILE))
DATA = digits()


@cache
def attacked(name: str, attack: str, epsilon: float) -> AttackResult:
    classifier = train.RECIPES[name].network().classifier(STORED[name])
    options = {"rng": 0} if attack == "apgd" else {}
    method = {"apgd": apgd, "auto_fw": auto_fw}[attack]
    return method(classifier, DATA.test_images, DATA.test_labels, epsilon, **options)


def test_the_digits_are_split() -> None:
    assert DATA.train_images.shape == (1400, 64)
    assert DATA.test_images.shape == (397, 64)
    everything = np.concatenate([DATA.train_images, DATA.test_images])
    labels = np.concatenate([DATA.train_labels, DATA.test_labels])
    assert everything.min() == 0
    assert everything.max() == 1
    original = load_digits()
    order = np.lexsort(everything.T)
    np.testing.assert_array_equal(
        np.column_stack([everything, labels])[order],
        np.column_stack([original.data / 16, original.target])[np.lexsort(original.data.T)],
    )
    np.testing.assert_array_equal(digits(rng=0).test_labels, DATA.test_labels)
    assert (digits(rng=1).test_labels != DATA.test_labels).any()
    assert len(digits(1000).test_labels) == 797
    for count in (0, 1797, 3.5):
        with pytest.raises(ValueError, match=r"^n_train: wanted an integer"):
            digits(count)  # type: ignore[arg-type]


def test_all_recipes_are_stored_in_single_precision() -> None:
    assert set(STORED) == set(train.RECIPES)
    for name, weights in STORED.items():
        assert weights.dtype == np.float32
        assert weights.shape == (train.RECIPES[name].network().dim,)
    assert train.FILE.stat().st_size < 200_000


@pytest.mark.parametrize("name", train.RECIPES)
def test_the_recipe_reproduces_what_is_stored(name: str) -> None:
    weights = train.RECIPES[name].train()
    # Rounding differs between machines and hardly grows on the way: a perturbation of the start
    # of relative size 1e-13 moves these weights by less than 1e-10.
    np.testing.assert_allclose(weights, STORED[name], rtol=1e-3, atol=1e-4)
    network = train.RECIPES[name].network()
    stored, again = (
        float(network.accuracy(x, DATA.test_images, DATA.test_labels))
        for x in (STORED[name].astype(float), weights)
    )
    assert stored == pytest.approx(again, abs=0.003)
    assert stored == attacked(name, "auto_fw", train.EPSILON).clean_accuracy
    assert stored > 0.96


@pytest.mark.parametrize("name", train.HIDDEN)
@pytest.mark.parametrize("attack", ["apgd", "auto_fw"])
def test_adversarial_training_pays(name: str, attack: str) -> None:
    plain, robust = (attacked(n, attack, train.EPSILON) for n in (name, f"{name}_robust"))
    only_robust = int((plain.success & ~robust.success).sum())
    only_plain = int((~plain.success & robust.success).sum())
    assert robust.robust_accuracy > plain.robust_accuracy + 0.1
    # McNemar's exact test: of the images that one withstands and the other does not.
    test = binomtest(only_robust, only_robust + only_plain, alternative="greater")
    assert test.pvalue < 0.01


@pytest.mark.parametrize("name", train.RECIPES)
@pytest.mark.parametrize("epsilon", [0.05, 0.1])
def test_both_attacks_find_nearly_the_same(name: str, epsilon: float) -> None:
    by_apgd, by_fw = (attacked(name, kind, epsilon) for kind in ("apgd", "auto_fw"))
    assert abs(by_apgd.robust_accuracy - by_fw.robust_accuracy) < 0.01
    assert by_apgd.robust_accuracy < by_apgd.clean_accuracy
    one_sided = (by_apgd.success != by_fw.success).mean()
    assert one_sided < 0.02


def test_the_tool_trains_for_fewer_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "FILE", tmp_path / "data" / "weights.npz")
    few = {name: train.RECIPES[name] for name in ("linear", "linear_robust")}
    monkeypatch.setattr(train, "RECIPES", few)
    monkeypatch.setattr(sys, "argv", ["train.py", "--epochs", "1"])
    train.main()
    with np.load(tmp_path / "data" / "weights.npz") as found:
        assert set(found) == set(few)
        assert (found["linear"] != STORED["linear"]).any()
    assert "Auto-FW" in capsys.readouterr().out
