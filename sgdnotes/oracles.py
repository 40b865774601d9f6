"""Gradient oracles: from a point to a (stochastic) gradient.

An oracle says what it draws at random, ahead of time and in blocks, and turns a point and one
draw into a gradient estimate.  What it must remember between steps it carries as explicit state,
which is replaced and never changed in place: the engine may return to an earlier one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.problems import FiniteSum, LinearModel, Objective, Population, check_problem
from sgdnotes.sampling import BLOCK, AllSequences, Order, Sampling, WithReplacement, fresh, resolve
from sgdnotes.schedules import BatchSchedule, evaluate_batches

Stream = Callable[[int, np.random.Generator], Iterator[IntArray]]


class Oracle(Protocol):
    """Something that estimates gradients of a finite sum or of a population."""

    def cost(self, problem: Objective, steps: int) -> int:
        """Return how many gradients of single samples the estimates of so many steps take."""

    def draws(self, problem: Objective, replicates: int, rng: np.random.Generator) -> Iterator[Any]:
        """Yield blocks of draws; the first axis counts steps, the second replicates."""

    def init(self, problem: Objective, x: FloatArray) -> Any:
        """Return the state at the start, None for an oracle without memory."""

    def gradient(
        self, problem: Objective, x: FloatArray, draw: Any, state: Any
    ) -> tuple[FloatArray, Any]:
        """Return the estimates at `x`, shape ``(replicates, dim)``, and the next state."""


@dataclass(frozen=True)
class FullGradient:
    """The exact gradient; for a finite sum at the cost of `n_samples` component gradients."""

    def cost(self, problem: Objective, steps: int) -> int:
        """Return the cost of a gradient times the number of steps."""
        return steps * problem.gradient_cost

    def draws(
        self, problem: Objective, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield empty draws: nothing is random."""
        nothing = np.empty((BLOCK, replicates, 0), dtype=np.int64)
        while True:
            yield nothing

    def init(self, problem: Objective, x: FloatArray) -> None:
        """Return None: nothing is remembered."""

    def gradient(
        self, problem: Objective, x: FloatArray, draw: IntArray, state: None
    ) -> tuple[FloatArray, None]:
        """Return the gradients at `x`."""
        return problem.gradient(x), None


@dataclass(frozen=True)
class Minibatch:
    """The average gradient of a few samples.

    Parameters
    ----------
    batch_size : int or callable, default 1
        How many samples, or a schedule ``k -> how many``.
    sampling : str or Sampling, default "with_replacement"
        How the samples of a batch are chosen; see `sgdnotes.sampling`.  The samples of a population
        are always fresh.
    """

    batch_size: int | BatchSchedule = 1
    sampling: str | Sampling = field(default="with_replacement")

    def __post_init__(self) -> None:
        if not callable(self.batch_size):
            size = _validate.integer("batch_size", self.batch_size, at_least=1)
            object.__setattr__(self, "batch_size", size)
        object.__setattr__(self, "sampling", resolve(self.sampling))

    def cost(self, problem: Objective, steps: int) -> int:
        """Return the sum of the batch sizes."""
        return int(evaluate_batches(self.batch_size, 0, steps).sum())

    def draws(
        self, problem: Objective, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield the minibatches: indices of a finite sum, samples of a population."""
        stream = self._stream(problem, replicates)
        if callable(self.batch_size):
            return _scheduled(self.batch_size, stream, rng)
        return stream(self.batch_size, rng)

    def _stream(self, problem: Objective, replicates: int) -> Stream:
        sampling = resolve(self.sampling)
        independent = isinstance(sampling, WithReplacement)
        scheduled = callable(self.batch_size)
        if scheduled and isinstance(sampling, (Order, AllSequences)):
            raise ValueError(
                f"batch_size: wanted one number with the sampling {sampling.name!r}, got a schedule"
            )
        if isinstance(problem, Population):
            if not independent:
                raise ValueError(
                    f"sampling: wanted 'with_replacement', as samples of a population are fresh, "
                    f"got {sampling.name!r}"
                )
            return lambda size, rng: fresh(problem.sample, size, replicates, rng)

        def stream(size: int, rng: np.random.Generator) -> Iterator[IntArray]:
            finite_sum = check_problem(problem)
            if not (independent and scheduled):  # a growing batch may outgrow the sum
                check_batch_size(size, finite_sum)
            return sampling.stream(finite_sum.n_samples, size, replicates, rng)

        return stream

    def init(self, problem: Objective, x: FloatArray) -> Any:
        """Return None: nothing is remembered."""
        return None

    def gradient(
        self, problem: Objective, x: FloatArray, draw: IntArray, state: Any
    ) -> tuple[FloatArray, Any]:
        """Return the minibatch gradients at `x`."""
        return problem.minibatch_gradient(x, draw), None


@dataclass(frozen=True)
class LinearizedMinibatch(Minibatch):
    """The minibatch gradient of a quadratic model of the sum, for linear models of smooth losses.

    The losses are replaced by their second-order Taylor polynomials around an anchor; see
    `linearized_gradient` of `LinearModel`.  What is remembered is the sum of the points that the
    anchor is the mean of, and their number.

    Parameters
    ----------
    batch_size : int, default 1
    sampling : str or Sampling, default "with_replacement"
        How the samples of a batch are chosen; see `sgdnotes.sampling`.
    anchor : {"start", "average"}, default "start"
        Where the model touches the sum: the starting point of the run, so that the model stays
        fixed; or the mean of the iterates so far, the present one included, which it follows.
    """

    anchor: str = "start"

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.one_of("anchor", self.anchor, ["start", "average"])

    def init(self, problem: Objective, x: FloatArray) -> tuple[FloatArray, int]:
        """Return the starting points as a mean of one, or the sum of no points."""
        linear_model(problem)
        return (x, 1) if self.anchor == "start" else (np.zeros_like(x), 0)

    def gradient(
        self, problem: Objective, x: FloatArray, draw: IntArray, state: tuple[FloatArray, int]
    ) -> tuple[FloatArray, tuple[FloatArray, int]]:
        """Return the minibatch gradients of the model at `x`."""
        total, count = state
        if self.anchor == "average":
            total, count = total + x, count + 1
        return linear_model(problem).linearized_gradient(x, total / count, draw), (total, count)


def linear_model(problem: Objective) -> LinearModel:
    """Return `problem` when it is a linear model."""
    if not isinstance(problem, LinearModel):
        raise ValueError(
            f"problem: wanted a linear model such as LogisticRegression, got {problem.name}"
        )
    return problem


def _scheduled(
    batch_size: BatchSchedule, stream: Stream, rng: np.random.Generator
) -> Iterator[IntArray]:
    """Yield one step's batches at a time, from a new stream whenever the size changes."""
    current, left = 0, np.empty((0, 0, 0), dtype=np.int64)
    for k in itertools.count():
        size = int(evaluate_batches(batch_size, k, k + 1)[0])
        if size != current:
            # One child a stream, however many replicates share it.
            blocks = stream(size, rng.spawn(1)[0])
            current, left = size, left[:0]
        if not len(left):
            left = next(blocks)
        yield left[:1]
        left = left[1:]


def check_batch_size(batch_size: int, problem: FiniteSum) -> int:
    """Return `batch_size` when it is an integer from 1 to the number of samples of `problem`."""
    return _validate.integer("batch_size", batch_size, at_least=1, at_most=problem.n_samples)
