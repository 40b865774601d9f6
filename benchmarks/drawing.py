"""Ways to draw minibatches without replacement, and orders of an epoch, for an ensemble."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sgdnotes.sampling import Reshuffled, WithoutReplacement


@dataclass(frozen=True)
class Draw:
    """What is drawn, and how much of it; `wanted` is the most nanoseconds an index may take."""

    n_samples: int
    batch_size: int
    wanted: float
    replicates: int = 1000
    indices: int = 2_000_000  # the library draws about so many in each repeat
    peer_indices: int = 200_000  # and its slower peers so many
    repeats: int = 7


DRAWS = (Draw(100, 10, wanted=40), Draw(1000, 100, wanted=90))


def blocks(draw: Draw) -> Iterator[np.ndarray]:
    """Return the library's stream of batches, blocks of (steps, replicates, batch_size)."""
    rng = np.random.default_rng(1)
    return WithoutReplacement().stream(draw.n_samples, draw.batch_size, draw.replicates, rng)


def orders(draw: Draw) -> Iterator[np.ndarray]:
    """Return the library's stream of epochs, every one in a new order."""
    rng = np.random.default_rng(1)
    return Reshuffled().stream(draw.n_samples, draw.batch_size, draw.replicates, rng)


def choice_loop(draw: Draw) -> np.ndarray:
    """Draw one batch after the other, as one would without a library."""
    rng = np.random.default_rng(1)
    count = -(-draw.peer_indices // draw.batch_size)
    size = draw.batch_size
    return np.array([rng.choice(draw.n_samples, size, replace=False) for _ in range(count)])


def permuted_rows(draw: Draw) -> np.ndarray:
    """Shuffle all samples for many batches at once and keep the first of each row."""
    rng = np.random.default_rng(1)
    count = -(-draw.peer_indices // draw.batch_size)
    given = np.broadcast_to(np.arange(draw.n_samples), (count, draw.n_samples))
    return rng.permuted(given, axis=1)[:, : draw.batch_size]


def permutation_loop(draw: Draw) -> np.ndarray:
    """Draw the order of one epoch after the other."""
    rng = np.random.default_rng(1)
    count = -(-draw.peer_indices // draw.n_samples)
    return np.array([rng.permutation(draw.n_samples) for _ in range(count)])


def take(stream: Iterator[np.ndarray], indices: int) -> int:
    """Read whole blocks until there are at least `indices` of them; return how many there are."""
    count = 0
    while count < indices:
        count += next(stream).size
    return count
