r"""Which samples a step sees.

A sampling turns a random generator into an endless stream of index blocks of shape
``(steps, replicates, batch_size)``.  What one replicate draws depends neither on how many are drawn
together nor on the length of the blocks: replicates come in groups of 64, and each group has a
generator of its own, which draws for the whole group, step after step.

Two of the samplings draw a fresh batch at every step, with or without replacement within the batch.
The three *orders* go through all samples once in each epoch: always in the given order, in one
random order, or in a new random order every epoch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, cast

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import IntArray

GROUP = 64  # replicates that share one random generator
BLOCK = 128  # indices that one replicate draws at a time
MAX_OUTCOMES = 2**21
MAX_PERMUTED = 8  # samples whose orders are listed: 8! = 40320
LARGE = 512  # indices; in larger batches a table tells which samples are taken


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

        def draw(group: np.random.Generator, size: tuple[int, ...]) -> IntArray:
            return group.integers(n_samples, size=size)

        return fresh(draw, batch_size, replicates, rng)


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
        shape = (_block_length(batch_size), GROUP, batch_size)
        ends = np.arange(n_samples - batch_size + 1, n_samples + 1)
        counts = [min(GROUP, replicates - first) for first in range(0, replicates, GROUP)]
        pieces = 1  # a stream may be asked for a single step
        while True:
            blocks = []
            for group, count in zip(groups, counts, strict=True):
                pieced = [_below(ends, group, shape, count) for _ in range(pieces)]
                drawn = np.concatenate(pieced)
                subsets = _distinct(drawn.reshape(-1, batch_size), n_samples)
                blocks.append(subsets.reshape(drawn.shape))
            yield np.concatenate(blocks, axis=1)
            # A subset costs the less, the more of them are made distinct at a time.
            pieces = -(-GROUP // (shape[0] * min(replicates, GROUP)))


class Order:
    """A sampling that goes through all samples once in each epoch.

    The batch size must divide the number of samples.  As the batches of an epoch depend on each
    other, an order has neither a variance factor nor a list of equally likely batches.
    """

    name: ClassVar[str]

    def variance_factor(self, n_samples: int, batch_size: int) -> float:
        """Refuse: the batches are not drawn afresh at every step."""
        raise ValueError(
            f"sampling: wanted batches drawn afresh at every step, got the order {self.name!r}"
        )

    def outcomes(self, n_samples: int, batch_size: int) -> IntArray:
        """Refuse: the batches are not drawn afresh at every step."""
        raise ValueError(
            f"sampling: wanted batches drawn afresh at every step, got the order {self.name!r}"
        )

    def permutations(self, n_samples: int) -> IntArray:
        """Return all equally likely orders of an epoch, shape ``(count, n_samples)``."""
        if n_samples > MAX_PERMUTED:
            raise ValueError(
                f"n_samples: wanted at most {MAX_PERMUTED} to list all orders, got {n_samples}"
            )
        return np.array(list(itertools.permutations(range(n_samples))))

    def epoch(self, n_samples: int, batch_size: int) -> int:
        """Return the number of steps of an epoch."""
        if n_samples % batch_size:
            raise ValueError(
                f"batch_size: wanted a divisor of the {n_samples} samples for epochs of equal "
                f"batches, got {batch_size}"
            )
        return n_samples // batch_size


@dataclass(frozen=True)
class Cyclic(Order):
    """The samples in the order in which they are given, again and again."""

    name: ClassVar[str] = "cyclic"

    def permutations(self, n_samples: int) -> IntArray:
        """Return the given order, shape ``(1, n_samples)``."""
        return np.arange(n_samples)[None]

    def stream(
        self, n_samples: int, batch_size: int, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield one epoch after the other, the same for all replicates."""
        epoch = np.arange(n_samples).reshape(self.epoch(n_samples, batch_size), 1, batch_size)
        block = np.broadcast_to(epoch, (len(epoch), replicates, batch_size))
        while True:
            yield block


@dataclass(frozen=True)
class ShuffledOnce(Order):
    """A random order, drawn once for each replicate and then kept."""

    name: ClassVar[str] = "shuffled_once"

    def stream(
        self, n_samples: int, batch_size: int, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield the same epoch again and again."""
        epoch = self.epoch(n_samples, batch_size)
        shuffled = _shuffled(_generators(rng, replicates), n_samples, 1)[0, :replicates]
        block = shuffled.reshape(replicates, epoch, batch_size).swapaxes(0, 1)
        while True:
            yield block


@dataclass(frozen=True)
class Reshuffled(Order):
    """A new random order in every epoch: random reshuffling."""

    name: ClassVar[str] = "reshuffled"

    def stream(
        self, n_samples: int, batch_size: int, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield epoch after epoch, each in a new order."""
        epoch = self.epoch(n_samples, batch_size)
        groups, epochs = _generators(rng, replicates), max(1, BLOCK // n_samples)
        while True:
            shuffled = _shuffled(groups, n_samples, epochs)[:, :replicates]
            blocks = shuffled.reshape(epochs, replicates, epoch, batch_size).swapaxes(1, 2)
            yield blocks.reshape(epochs * epoch, replicates, batch_size)


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


@dataclass(frozen=True)
class AllOrders(Order):
    """Every order once: replicate r goes through the samples in the r-th permutation.

    The average over n! replicates is then an exact expectation over the runs of `ShuffledOnce`.
    """

    name: ClassVar[str] = "all_orders"

    def stream(
        self, n_samples: int, batch_size: int, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield epoch after epoch, replicate r in the r-th order."""
        epoch, orders = self.epoch(n_samples, batch_size), self.permutations(n_samples)
        orders = orders[np.arange(replicates) % len(orders)]
        block = orders.reshape(replicates, epoch, batch_size).swapaxes(0, 1)
        while True:
            yield block


NAMED: dict[str, Sampling] = {
    sampling.name: sampling for sampling in (WithReplacement(), WithoutReplacement())
}
ORDERS: dict[str, Order] = {order.name: order for order in (Cyclic(), ShuffledOnce(), Reshuffled())}


def resolve(sampling: str | Sampling) -> Sampling:
    """Return the sampling of that name; a sampling object passes through unchanged."""
    known = {**NAMED, **cast(dict[str, Sampling], ORDERS)}
    if isinstance(sampling, str):
        return known[_validate.one_of("sampling", sampling, known)]
    if not callable(getattr(sampling, "stream", None)):
        raise ValueError(f"sampling: wanted one of {sorted(known)} or a Sampling, got {sampling!r}")
    return sampling


def fresh(
    draw: Callable[[np.random.Generator, tuple[int, ...]], Any],
    batch_size: int,
    replicates: int,
    rng: np.random.Generator,
) -> Iterator[Any]:
    """Yield blocks of independent draws, shape ``(steps, replicates, batch_size, ...)``.

    Parameters
    ----------
    draw : callable
        ``(generator, size) -> array of shape (*size, ...)``, drawn in one call.
    batch_size, replicates : int
    rng : numpy.random.Generator
    """
    groups = _generators(rng, replicates)
    size = (_block_length(batch_size), GROUP, batch_size)
    while True:
        drawn = [draw(group, size) for group in groups]
        yield np.concatenate(drawn, axis=1)[:, :replicates]


def _generators(rng: np.random.Generator, replicates: int) -> list[np.random.Generator]:
    return rng.spawn(-(-replicates // GROUP))


def _check_listable(count: int, n_samples: int) -> None:
    if count > MAX_OUTCOMES:
        raise ValueError(
            f"batch_size: wanted at most {MAX_OUTCOMES} different batches to list them all, got "
            f"more from {n_samples} samples"
        )


def _block_length(batch_size: int) -> int:
    # Large batches still come a few at a time, which is what makes drawing them fast.
    return max(1, BLOCK // batch_size, min(12, 4096 // batch_size))


def _below(
    ends: IntArray, group: np.random.Generator, shape: tuple[int, ...], count: int
) -> IntArray:
    r"""Return ``group.integers(ends, size=shape)[:, :count]``, bit for bit, in far less time.

    For one end NumPy is as fast, for an array of them not.  Lemire's method ("Fast random integer
    generation in an interval", 2019), which it uses, turns 32 random bits u into
    :math:`\lfloor ue/2^{32}\rfloor`, and takes others if :math:`ue \bmod 2^{32}` is below
    :math:`2^{32} \bmod e`.  That is so rare that NumPy may then begin anew.
    """
    before = group.bit_generator.state
    if ends.min() > 1 and ends.max() < 2**32:  # no bits are drawn for the end 1
        bits = group.integers(2**32, size=shape, dtype=np.uint32)
        if (bits * ends.astype(np.uint32)).min() >= (2**32 % ends).max():
            scaled = bits[:, :count] * ends.astype(np.uint64)
            return (scaled >> np.uint64(32)).astype(np.int64)
        group.bit_generator.state = before
    return group.integers(ends, size=shape)[:, :count]


def _distinct(draws: IntArray, n_samples: int) -> IntArray:
    """Turn rows of independent draws into uniformly random subsets.

    Floyd's algorithm (Bentley and Floyd, "A sample of brilliance", 1987): the draw t in column j
    is uniform over 0, ..., n - B + j, and t is taken, or n - B + j where t is taken already.

    Parameters
    ----------
    draws : ndarray of int, shape (count, batch_size)
    n_samples : int

    Returns
    -------
    ndarray of int, shape (count, batch_size)
        Rows of distinct numbers.
    """
    count, batch_size = draws.shape
    if batch_size > LARGE and n_samples <= 256 * batch_size:
        # Comparing each index with all before it would take time quadratic in the batch size.
        taken = np.zeros(n_samples * count, dtype=bool)
        places = draws.T * count + np.arange(count)  # where samples are in the table
        for column, last in zip(places, range(n_samples - batch_size, n_samples), strict=True):
            again = taken[column].nonzero()[0]
            column[again] = last * count + again
            taken[column] = True
        return np.ascontiguousarray((places // count).T)
    small = np.int16 if n_samples <= 2**15 else np.int64  # comparing is what takes the time
    columns = np.ascontiguousarray(draws.T.astype(small, copy=False))
    for column, last in enumerate(range(n_samples - batch_size, n_samples)):
        taken = (columns[:column] == columns[column]).any(axis=0)
        columns[column, taken] = last
    return columns.T.astype(np.int64)


def _shuffled(groups: list[np.random.Generator], n_samples: int, epochs: int) -> IntArray:
    """Return random orders, shape ``(epochs, replicates of all groups, n_samples)``."""
    given = np.broadcast_to(np.arange(n_samples), (epochs, GROUP, n_samples))
    return np.concatenate([group.permuted(given, axis=-1) for group in groups], axis=1)
