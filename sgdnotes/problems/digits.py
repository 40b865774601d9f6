"""The handwritten digits that the lectures on attacks and pruning classify."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray


class Digits(NamedTuple):
    """Images of handwritten digits, 8 x 8 pixels from 0 to 1 row by row, and what they show.

    Attributes
    ----------
    train_images, test_images : ndarray of shape (n, 64)
    train_labels, test_labels : ndarray of int, shape (n,)
    """

    train_images: FloatArray
    train_labels: IntArray
    test_images: FloatArray
    test_labels: IntArray


def digits(n_train: int = 1400, *, rng: int | np.random.Generator = 0) -> Digits:
    """Return the 1797 digits that scikit-learn ships, split at random.

    Parameters
    ----------
    n_train : int, default 1400
        How many go to the first part; the rest is for tests.
    rng : int or numpy.random.Generator, default 0
        Seed of the split.

    Returns
    -------
    Digits
    """
    from sklearn.datasets import load_digits  # imported late: only these lectures need it

    data = load_digits()
    images, labels = data.data / 16, data.target.astype(np.int64)
    count = _validate.integer("n_train", n_train, at_least=1, at_most=len(labels) - 1)
    order = _validate.generator(rng).permutation(len(labels))
    train, test = order[:count], order[count:]
    return Digits(images[train], labels[train], images[test], labels[test])
