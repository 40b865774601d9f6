"""PyTorch modules as classifiers that can be attacked, among them those of RobustBench.

PyTorch is imported when a classifier is made, not before: only the extra ``torch`` installs it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray

# Height and width of the images, and what RobustBench calls the sets that it measures on.
IMAGE_SHAPES = {"cifar10": (3, 32, 32), "cifar100": (3, 32, 32), "imagenet": (3, 224, 224)}
THREAT_MODELS = {"linf": "Linf", "l2": "L2"}


def _needed(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"{package.split('.')[0]} is wanted here and cannot be imported; "
            f"pip install {package.split('.')[0]} installs it"
        ) from error


class TorchClassifier:
    """A PyTorch module, which maps images to logits, as a classifier that can be attacked.

    The module is put into evaluation mode, because what it says of an image must not depend on
    the images beside it, and computes in the precision of its parameters.

    Parameters
    ----------
    module : torch.nn.Module
        From images of shape ``(n, *image_shape)`` with entries from 0 to 1 to logits.
    image_shape : sequence of int
        What the module asks for, such as ``(3, 32, 32)``; pixels are laid out in this order.
    """

    def __init__(self, module: Any, image_shape: Sequence[int]) -> None:
        self._torch = _needed("torch")
        if not (callable(module) and callable(getattr(module, "parameters", None))):
            raise ValueError(f"module: wanted a torch.nn.Module, got {module!r}")
        if not isinstance(image_shape, Sequence) or isinstance(image_shape, str):
            raise ValueError(f"image_shape: wanted a sequence of sizes, got {image_shape!r}")
        self.image_shape = tuple(
            _validate.integer("image_shape", size, at_least=1) for size in image_shape
        )
        self.module = module
        module.eval()
        first = next(iter(module.parameters()), None)
        self._dtype = self._torch.get_default_dtype() if first is None else first.dtype
        self._device = None if first is None else first.device

    def _tensor(self, array: FloatArray) -> Any:
        return self._torch.as_tensor(array, dtype=self._dtype, device=self._device)

    def _images(self, images: FloatArray) -> Any:
        if images.ndim != 2 or images.shape[1] != math.prod(self.image_shape):
            raise ValueError(
                f"images: wanted {math.prod(self.image_shape)} pixels each, "
                f"got an array of shape {images.shape}"
            )
        return self._tensor(images.reshape(len(images), *self.image_shape))

    @staticmethod
    def _array(tensor: Any) -> FloatArray:
        return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)

    def logits(self, images: FloatArray) -> FloatArray:
        """Return the logits of `images`, shape ``(n, classes)``."""
        with self._torch.no_grad():
            return self._array(self.module(self._images(images)))

    def pullback(self, images: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return the gradient in `images` of the sum of `cotangent` times the logits."""
        shown = self._images(images).requires_grad_(True)
        with self._torch.enable_grad():
            logits = self.module(shown)
            (gradient,) = self._torch.autograd.grad(logits, shown, self._tensor(cotangent))
        return self._array(gradient).reshape(images.shape)

    def predictions(self, images: FloatArray) -> IntArray:
        """Return the class of the largest logit for each of the `images`, shape ``(n,)``."""
        return np.asarray(self.logits(images).argmax(axis=1))

    def __repr__(self) -> str:
        return f"a {type(self.module).__name__} on images of shape {self.image_shape}"


def robustbench_classifier(
    name: str, *, dataset: str = "cifar100", norm: str = "linf", folder: str | Path = "models"
) -> TorchClassifier:
    """Return a model of RobustBench whose weights are on this machine.

    Nothing is fetched.  Weights lie where RobustBench itself puts them, in
    ``folder/dataset/threat model/name.pt``; those of an ensemble in ``name.pt_m0.pt`` and so on.

    Parameters
    ----------
    name : str
        As in RobustBench's table, such as ``"Wang2023Better_WRN-28-10"``.
    dataset : {"cifar10", "cifar100", "imagenet"}, default "cifar100"
    norm : {"linf", "l2"}, default "linf"
        Of the perturbations that the model was made to withstand.
    folder : str or Path, default "models"

    Returns
    -------
    TorchClassifier

    Raises
    ------
    ImportError
        If PyTorch or RobustBench is not installed.
    FileNotFoundError
        If the weights are not there.
    """
    _validate.one_of("dataset", dataset, IMAGE_SHAPES)
    threat = THREAT_MODELS[_validate.one_of("norm", norm, THREAT_MODELS)]
    if not isinstance(name, str) or not name or Path(name).name != name:
        raise ValueError(f"name: wanted that of a model of RobustBench, got {name!r}")
    _needed("torch")
    robustbench = _needed("robustbench.utils")
    place = Path(folder) / dataset / threat
    if not any((place / file).is_file() for file in (f"{name}.pt", f"{name}.pt_m0.pt")):
        raise FileNotFoundError(
            f"no weights of {name!r} in {place}; let RobustBench fetch them first: "
            f"robustbench.utils.load_model({name!r}, model_dir={str(folder)!r}, "
            f"dataset={dataset!r}, threat_model={threat!r})"
        )
    module = robustbench.load_model(
        model_name=name, model_dir=str(folder), dataset=dataset, threat_model=threat
    )
    return TorchClassifier(module, IMAGE_SHAPES[dataset])
