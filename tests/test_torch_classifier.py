"""The PyTorch adapter: with a stand-in always, with PyTorch and a public attack library if there.

The stand-in has just the calls that the adapter makes, on linear modules, so that what the adapter
does with shapes, precisions and errors is checked on every machine.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sgdnotes.attacks import apgd, auto_fw
from sgdnotes.problems import Network, digits
from sgdnotes.torch_classifier import TorchClassifier, robustbench_classifier
from tests.conftest import OPTIONAL

ROOT = Path(__file__).parents[1]


def present(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


with_torch = pytest.mark.skipif(not present("torch"), reason=f"{OPTIONAL}torch is not installed")
with_peer = pytest.mark.skipif(
    not (present("torch") and present("torchattacks")),
    reason=f"{OPTIONAL}torch and torchattacks are not installed",
)


# ---- a stand-in ---------------------------------------------------------------------------------


class Tensor:
    """As much of a tensor as the adapter asks for."""

    def __init__(self, array: np.ndarray, dtype: Any, device: Any) -> None:
        self.array, self.dtype, self.device = array.astype(dtype), dtype, device
        self.requires_grad = False

    def requires_grad_(self, wanted: bool) -> Tensor:
        self.requires_grad = wanted
        return self

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return Tensor(self.array, self.dtype, "cpu")

    def numpy(self) -> np.ndarray:
        assert self.device == "cpu"
        return self.array


class LinearModule:
    """Logits that are linear in the image; it notes the shapes and modes it is called in."""

    def __init__(self, matrix: np.ndarray, dtype: Any = np.float32) -> None:
        self.matrix, self.training = matrix, True
        self.weight = Tensor(matrix, dtype, "elsewhere")
        self.shapes: list[tuple[int, ...]] = []

    def parameters(self) -> Any:
        return iter([self.weight])

    def eval(self) -> None:
        self.training = False

    def __call__(self, images: Tensor) -> Tensor:
        assert not self.training
        assert images.device == "elsewhere"
        self.shapes.append(images.array.shape)
        logits = images.array.reshape(len(images.array), -1) @ self.matrix
        found = Tensor(logits, images.dtype, images.device)
        found.module, found.graph = self, TRACING[-1]  # type: ignore[attr-defined]
        return found


TRACING = [True]


@contextlib.contextmanager
def tracing(wanted: bool) -> Any:
    TRACING.append(wanted)
    yield
    TRACING.pop()


def gradient(logits: Any, images: Tensor, cotangent: Tensor) -> tuple[Tensor]:
    assert images.requires_grad
    assert logits.graph
    rows = cotangent.array @ logits.module.matrix.T
    return (Tensor(rows.reshape(images.array.shape), images.dtype, images.device),)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    torch: Any = ModuleType("torch")
    torch.as_tensor = lambda array, dtype, device: Tensor(np.asarray(array), dtype, device)
    torch.no_grad = lambda: tracing(False)
    torch.enable_grad = lambda: tracing(True)
    torch.autograd = SimpleNamespace(grad=gradient)
    torch.get_default_dtype = lambda: np.float32
    monkeypatch.setitem(sys.modules, "torch", torch)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_module_becomes_a_classifier(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    module = LinearModule(rng.standard_normal((12, 4)), dtype)
    classifier = TorchClassifier(module, (3, 2, 2))
    images, cotangent = rng.random((5, 12)), rng.standard_normal((5, 4))
    found = classifier.logits(images)
    assert found.dtype == np.float64
    assert module.shapes == [(5, 3, 2, 2)]
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found, images @ module.matrix, rtol=tolerance, atol=tolerance)
    assert np.allclose(found, images @ module.matrix, rtol=1e-12, atol=1e-12) == (
        dtype == np.float64
    )
    back = classifier.pullback(images, cotangent)
    assert back.shape == images.shape
    np.testing.assert_allclose(back, cotangent @ module.matrix.T, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(classifier.predictions(images), found.argmax(axis=1))
    result = apgd(classifier, images, found.argmax(axis=1), 0.3, steps=5, rng=0)
    assert np.abs(result.perturbations).max() <= 0.3
    assert result.robust_accuracy < result.clean_accuracy == 1
    assert repr(classifier) == "a LinearModule on images of shape (3, 2, 2)"


@pytest.mark.usefixtures("stand_in")
def test_bad_modules_are_refused() -> None:
    module = LinearModule(np.ones((4, 2)))
    for wrong, message in [
        (lambda: TorchClassifier(3, (2, 2)), "module: wanted"),
        (lambda: TorchClassifier(len, (2, 2)), "module: wanted"),
        (lambda: TorchClassifier(module, 4), "image_shape: wanted"),  # type: ignore[arg-type]
        (lambda: TorchClassifier(module, (2, 0)), "image_shape: wanted"),
        (lambda: TorchClassifier(module, "44"), "image_shape: wanted"),  # type: ignore[arg-type]
        (lambda: TorchClassifier(module, (2, 2)).logits(np.ones((1, 5))), "images: wanted 4 pix"),
        (lambda: TorchClassifier(module, (2, 2)).logits(np.ones(4)), "images: wanted 4 pixels"),
    ]:
        with pytest.raises(ValueError, match=f"^{message}"):
            wrong()
    broken = TorchClassifier(LinearModule(np.full((4, 2), np.nan)), (2, 2))
    with pytest.raises(ValueError, match=r"^classifier: wanted finite logits"):
        auto_fw(broken, np.ones((1, 4)), [0], 0.1)


def test_without_pytorch_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="torch is wanted here and cannot be imported"):
        TorchClassifier(LinearModule(np.ones((4, 2))), (2, 2))
    with pytest.raises(ImportError, match="torch is wanted here"):
        robustbench_classifier("Some2020Model")


@pytest.mark.usefixtures("stand_in")
def test_models_of_robustbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []

    def load_model(**arguments: str) -> LinearModule:
        asked.append(arguments)
        return LinearModule(np.ones((3 * 32 * 32, 100)))

    monkeypatch.setitem(sys.modules, "robustbench", None)
    monkeypatch.setitem(sys.modules, "robustbench.utils", None)
    with pytest.raises(ImportError, match="robustbench is wanted here and cannot be imported"):
        robustbench_classifier("Some2020Model", folder=tmp_path)
    package: Any = ModuleType("robustbench")
    package.utils = ModuleType("robustbench.utils")
    package.utils.load_model = load_model
    monkeypatch.setitem(sys.modules, "robustbench", package)
    monkeypatch.setitem(sys.modules, "robustbench.utils", package.utils)
    with pytest.raises(FileNotFoundError, match=r"no weights of 'Some2020Model' in .*cifar100"):
        robustbench_classifier("Some2020Model", folder=tmp_path)
    assert not asked  # so that nothing was fetched
    for file, name in (("Some2020Model.pt", "Some2020Model"), ("Many2021.pt_m0.pt", "Many2021")):
        (tmp_path / "cifar100" / "Linf").mkdir(parents=True, exist_ok=True)
        (tmp_path / "cifar100" / "Linf" / file).touch()
        found = robustbench_classifier(name, folder=tmp_path)
        assert found.image_shape == (3, 32, 32)
        assert asked.pop() == {
            "model_name": name,
            "model_dir": str(tmp_path),
            "dataset": "cifar100",
            "threat_model": "Linf",
        }
    for arguments, message in [
        ({"dataset": "digits"}, "dataset: wanted one of 'cifar10', 'cifar100', 'imagenet'"),
        ({"norm": "l1"}, "norm: wanted one of 'l2', 'linf'"),
        ({"name": "../x"}, "name: wanted"),
        ({"name": ""}, "name: wanted"),
    ]:
        with pytest.raises(ValueError, match=f"^{message}"):
            robustbench_classifier(**{"name": "Some2020Model", **arguments})


# ---- the real thing -----------------------------------------------------------------------------


def converted(network: Network, weights: np.ndarray) -> Any:
    """The same dense network as a PyTorch module, in double precision."""
    import torch

    layers: list[Any] = [torch.nn.Flatten()]
    for block in network.blocks:
        layer = torch.nn.Linear(*block.shape, dtype=torch.float64)
        matrix = weights[block.weights].reshape(block.shape)
        layer.weight.data = torch.tensor(matrix.T.copy())
        layer.bias.data = torch.tensor(weights[block.offsets])
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def stored(name: str, hidden: list[int]) -> tuple[Any, Any]:
    data = digits()
    network = Network(data.train_images, data.train_labels, hidden)
    with np.load(ROOT / "lectures" / "data" / "digit-classifiers.npz") as file:
        weights = file[name].astype(float)
    return network.classifier(weights), converted(network, weights)


@with_torch
@pytest.mark.parametrize("name", ["narrow", "narrow_robust"])
def test_pytorch_gives_the_same_attacks(name: str) -> None:
    own, module = stored(name, [64])
    peer = TorchClassifier(module, (1, 8, 8))
    data = digits()
    images, labels = data.test_images[:100], data.test_labels[:100]
    np.testing.assert_allclose(peer.logits(images), own.logits(images), rtol=1e-10, atol=1e-10)
    cotangent = np.random.default_rng(0).standard_normal((100, 10))
    np.testing.assert_allclose(
        peer.pullback(images, cotangent), own.pullback(images, cotangent), rtol=1e-9, atol=1e-10
    )
    for attack in (apgd, auto_fw):
        results = [attack(c, images, labels, 0.1, steps=20, rng=0) for c in (own, peer)]
        # Other libraries round otherwise, and a gradient of nearly zero may change its sign.
        same = np.isclose(results[0].loss, results[1].loss, rtol=1e-6, atol=1e-9)
        assert same.mean() >= 0.95
        assert (results[0].success == results[1].success).mean() >= 0.99


@with_peer
@pytest.mark.parametrize("loss", ["ce", "dlr"])
@pytest.mark.parametrize("name", ["narrow", "narrow_robust", "wide", "wide_robust"])
def test_a_public_library_finds_the_same_robust_accuracy(name: str, loss: str) -> None:
    import torch
    import torchattacks

    own, module = stored(name, [128] if "wide" in name else [64])
    module.eval()
    data = digits()
    shown = torch.tensor(data.test_images.reshape(-1, 1, 8, 8))
    labels = torch.tensor(data.test_labels)
    kind = {"ce": "cross_entropy", "dlr": "dlr"}[loss]
    here, there = [], []
    # Starts are random, and between seeds the accuracy differs by up to 1.5 points: take means.
    for seed in range(4):
        peer = torchattacks.APGD(module, norm="Linf", eps=0.1, steps=100, loss=loss, seed=seed)
        with torch.no_grad():
            found = module(peer(shown, labels)).argmax(dim=1)
        there.append(float((found == labels).double().mean()))
        result = apgd(own, data.test_images, data.test_labels, 0.1, loss=kind, rng=seed)
        here.append(result.robust_accuracy)
    print(f"{name} {loss}: {np.round(here, 4)} here, {np.round(there, 4)} there")
    assert abs(np.mean(here) - np.mean(there)) < 0.01
