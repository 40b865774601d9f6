r"""Which samples a step sees.

A sampling turns a random generator into an endless stream of index blocks of shape
``(steps, replicates, batch_size)``.  What one replicate draws does not depend on how many are
drawn together: replicates come in groups of 64, each group has a generator of its own and always
draws for the whole group, in blocks whose length depends on the batch size alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import IntArray

GROUP = 64  # replicates that share one random generator
BLOCK = 128  # indices that one replicate draws at a time
MAX_OUTCOMES = 2**21


class Sampling(Protocol):
    """How the indices of a minibatch are chosen."""

    name: ClassVar[str]

    def variance_factor(self, n_samples: int, batch_size: int) -> float:
        r"""Return :math:`c` with :math:`\operatorname{Cov}(g_B) = c\,\operatorname{Cov}(g_1)`."""

    def outcomes(self, n_samples: int, batch_size: int) -> IntArray:
        """Return all equally likely minibatches, shape ``(count, batch_size)``."""

    def stream(
        self, n_samples: int, batch_size: int, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield index blocks of shape ``(steps, replicates, batch_size)`` without end."""


@dataclass(frozen=True)
class WithReplacement:
    """Independent indices, each uniform over the samples."""

    name: ClassVar[str] = "with_replacement"

    def variance_factor(self, n_samples: int, batch_size: int) -> float:
        r"""Return :math:`1/B`."""
        return 1 / batch_size

    def outcomes(self, n_samples: int, batch_size: int) -> IntArray:
        """Return the :math:`n^B` ordered batches."""
        _check_listable(n_samples ** int(batch_size), n_samples)
        return np.array(list(itertools.product(range(n_samples), repeat=batch_size)))

    def stream(
        self, n_samples: int, batch_size: int, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield blocks of independent uniform indices."""
        groups = _generators(rng, replicates)
        shape = (_block_length(batch_size), GROUP, batch_size)
        while True:
            drawn = [group.integers(n_samples, size=shape) for group in groups]
            yield np.concatenate(drawn, axis=1)[:, :replicates]


@dataclass(frozen=True)
class WithoutReplacement:
    """A uniformly random subset of the samples, drawn afresh at every step."""

    name: ClassVar[str] = "without_replacement"

    def variance_factor(self, n_samples: int, batch_size: int) -> float:
        r"""Return :math:`\frac{n-B}{B(n-1)}`, which is 0 for the full batch."""
        if batch_size == n_samples:
            return 0.0
        return (n_samples - batch_size) / (batch_size * (n_samples - 1))

    def outcomes(self, n_samples: int, batch_size: int) -> IntArray:
        r"""Return the :math:`\binom{n}{B}` subsets."""
        _check_listable(math.comb(n_samples, batch_size), n_samples)
        return np.array(list(itertools.combinations(range(n_samples), batch_size)))

    def stream(
        self, n_samples: int, batch_size: int, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield blocks of random subsets, drawn by Floyd's algorithm in every row at once."""
        groups = _generators(rng, replicates)
        length = _block_length(batch_size)
        while True:
            drawn = [
                _random_subsets(group, n_samples, batch_size, length * GROUP).T.reshape(
                    length, GROUP, batch_size
                )
                for group in groups
            ]
            yield np.concatenate(drawn, axis=1)[:, :replicates]


@dataclass(frozen=True)
class AllSequences:
    """Every sequence of batches once: replicate r follows the r-th sequence.

    The average over ``count ** steps`` replicates, with ``count`` the number of equally likely
    batches of `base`, is then an exact expectation over the runs of that many steps.
    """

    base: Sampling
    name: ClassVar[str] = "all_sequences"

    def variance_factor(self, n_samples: int, batch_size: int) -> float:
        """Return the factor of the underlying sampling."""
        return self.base.variance_factor(n_samples, batch_size)

    def outcomes(self, n_samples: int, batch_size: int) -> IntArray:
        """Return the batches of the underlying sampling."""
        return self.base.outcomes(n_samples, batch_size)

    def stream(
        self, n_samples: int, batch_size: int, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield step after step the digits of the replicate's number in base ``count``."""
        outcomes = self.outcomes(n_samples, batch_size)
        remaining = np.arange(replicates)
        while True:
            yield outcomes[remaining % len(outcomes)][None]
            remaining //= len(outcomes)


NAMED: dict[str, Sampling] = {
    sampling.name: sampling for sampling in (WithReplacement(), WithoutReplacement())
}


def resolve(sampling: str | Sampling) -> Sampling:
    """Return the sampling of that name; a sampling object passes through unchanged."""
    if isinstance(sampling, str):
        return NAMED[_validate.one_of("sampling", sampling, NAMED)]
    if not callable(getattr(sampling, "stream", None)):
        raise ValueError(f"sampling: wanted one of {sorted(NAMED)} or a Sampling, got {sampling!r}")
    return sampling


def _generators(rng: np.random.Generator, replicates: int) -> list[np.random.Generator]:
    return rng.spawn(-(-replicates // GROUP))


def _check_listable(count: int, n_samples: int) -> None:
    if count > MAX_OUTCOMES:
        raise ValueError(
            f"batch_size: wanted at most {MAX_OUTCOMES} different batches to list them all, got "
            f"more from {n_samples} samples"
        )


def _block_length(batch_size: int) -> int:
    return max(1, BLOCK // batch_size)


def _random_subsets(
    rng: np.random.Generator, n_samples: int, batch_size: int, count: int
) -> IntArray:
    """Return `count` uniformly random subsets as columns, shape ``(batch_size, count)``.

    Floyd's algorithm (Bentley and Floyd, "A sample of brilliance", 1987): for
    j = n - B, ..., n - 1 draw t from 0..j and take t, or j where t is taken already.
    """
    chosen = np.empty((batch_size, count), dtype=np.int64)
    for row, last in enumerate(range(n_samples - batch_size, n_samples)):
        candidate = rng.integers(last + 1, size=count)
        taken = (chosen[:row] == candidate).any(axis=0)
        chosen[row] = np.where(taken, last, candidate)
    return chosen
