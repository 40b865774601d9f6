"""Train the classifiers of digits that lectures attack: ``tools/train.py [--epochs E]``.

Each network is trained twice in the library's own engine: on the images, and on images that are
attacked a moment before (adversarial training).  The weights go to
``lectures/data/digit-classifiers.npz``, in single precision, one array for each name in `RECIPES`.
All of it takes about half a minute.  Another machine rounds differently, which hardly shows in
the weights; after a change of the recipes execute the lectures again.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sgdnotes import run
from sgdnotes.attacks import AdversarialMinibatch, apgd, auto_fw
from sgdnotes.oracles import Minibatch
from sgdnotes.problems import Convolution, Network, digits
from sgdnotes.schedules import piecewise
from sgdnotes.updates import HeavyBall

FILE = Path(__file__).resolve().parent.parent / "lectures" / "data" / "digit-classifiers.npz"

EPSILON = 0.1  # of the attacks that robust classifiers see in training
EPOCHS = 80
BATCH = 50
HIDDEN: dict[str, list[int | Convolution]] = {
    "linear": [],
    "narrow": [64],
    "wide": [128],
    "convolutional": [Convolution(8)],
}


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained.

    Heavy-ball steps of momentum 0.9 on reshuffled batches, of size 0.1 for the first two thirds
    of the epochs and 0.02 for the rest.
    """

    hidden: tuple[int | Convolution, ...]
    robust: bool

    def network(self) -> Network:
        """Return the network on the training images."""
        data = digits()
        return Network(data.train_images, data.train_labels, self.hidden)

    def train(self, epochs: int = EPOCHS) -> np.ndarray:
        """Return the weights after so many epochs, shape ``(dim,)``."""
        network = self.network()
        steps = epochs * network.n_samples // BATCH
        oracle = (
            AdversarialMinibatch(BATCH, "reshuffled", epsilon=EPSILON, inner_steps=5)
            if self.robust
            else Minibatch(BATCH, "reshuffled")
        )
        trace = run(
            network,
            oracle,
            HeavyBall(0.9),
            x0=network.initial_weights(0),
            steps=steps,
            step_size=piecewise([2 * steps // 3], [0.1, 0.02]),
            rng=0,
            record=[0],
            metrics={},
        )
        if not trace.success:
            raise RuntimeError(trace.message)
        return trace.x[0]


RECIPES: dict[str, Recipe] = {
    name + suffix: Recipe(tuple(hidden), bool(suffix))
    for name, hidden in HIDDEN.items()
    for suffix in ("", "_robust")
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    epochs = parser.parse_args().epochs
    data = digits()
    images, labels = data.test_images, data.test_labels
    stored = {}
    print(f"accuracy on {len(labels)} test images, and at {EPSILON} under two attacks")
    for name, recipe in RECIPES.items():
        weights = recipe.train(epochs).astype(np.float32)
        classifier = recipe.network().classifier(weights)
        by_apgd = apgd(classifier, images, labels, EPSILON, rng=0)
        by_fw = auto_fw(classifier, images, labels, EPSILON)
        print(
            f"{name:22} {by_apgd.clean_accuracy:.4f}   Auto-PGD {by_apgd.robust_accuracy:.4f}"
            f"   Auto-FW {by_fw.robust_accuracy:.4f}",
            flush=True,
        )
        stored[name] = weights
    FILE.parent.mkdir(parents=True, exist_ok=True)
    np.savez(FILE, **stored)


if __name__ == "__main__":
    main()
