"""Gradient oracles: from a point to a (stochastic) gradient.

An oracle says what it draws at random, ahead of time and in blocks, and turns a point and one
draw into a gradient estimate.  What it must remember between steps it carries as explicit state,
which is replaced and never changed in place: the engine may return to an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.problems import FiniteSum, LinearModel
from sgdnotes.sampling import BLOCK, Sampling, resolve


class Oracle(Protocol):
    """Something that estimates gradients of a finite sum."""

    def cost(self, problem: FiniteSum) -> int:
        """Return the number of component gradients that one estimate takes."""

    def draws(
        self, problem: FiniteSum, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield blocks of draws; the first axis counts steps, the second replicates."""

    def init(self, problem: FiniteSum, x: FloatArray) -> Any:
        """Return the state at the start, None for an oracle without memory."""

    def gradient(
        self, problem: FiniteSum, x: FloatArray, draw: IntArray, state: Any
    ) -> tuple[FloatArray, Any]:
        """Return the estimates at `x`, shape ``(replicates, dim)``, and the next state."""


@dataclass(frozen=True)
class FullGradient:
    """The exact gradient, at the cost of all `n_samples` component gradients."""

    def cost(self, problem: FiniteSum) -> int:
        """Return the number of samples."""
        return problem.n_samples

    def draws(
        self, problem: FiniteSum, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield empty draws: nothing is random."""
        nothing = np.empty((BLOCK, replicates, 0), dtype=np.int64)
        while True:
            yield nothing

    def init(self, problem: FiniteSum, x: FloatArray) -> None:
        """Return None: nothing is remembered."""

    def gradient(
        self, problem: FiniteSum, x: FloatArray, draw: IntArray, state: None
    ) -> tuple[FloatArray, None]:
        """Return the gradients at `x`."""
        return problem.gradient(x), None


@dataclass(frozen=True)
class Minibatch:
    """The average gradient of a few samples.

    Parameters
    ----------
    batch_size : int, default 1
    sampling : str or Sampling, default "with_replacement"
        How the samples of a batch are chosen; see `sgdnotes.sampling`.
    """

    batch_size: int = 1
    sampling: str | Sampling = field(default="with_replacement")

    def __post_init__(self) -> None:
        size = _validate.integer("batch_size", self.batch_size, at_least=1)
        object.__setattr__(self, "batch_size", size)
        object.__setattr__(self, "sampling", resolve(self.sampling))

    def cost(self, problem: FiniteSum) -> int:
        """Return the batch size."""
        return self.batch_size

    def draws(
        self, problem: FiniteSum, replicates: int, rng: np.random.Generator
    ) -> Iterator[IntArray]:
        """Yield the indices of the minibatches."""
        check_batch_size(self.batch_size, problem)
        sampling = resolve(self.sampling)
        return sampling.stream(problem.n_samples, self.batch_size, replicates, rng)

    def init(self, problem: FiniteSum, x: FloatArray) -> Any:
        """Return None: nothing is remembered."""
        return None

    def gradient(
        self, problem: FiniteSum, x: FloatArray, draw: IntArray, state: Any
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

    def init(self, problem: FiniteSum, x: FloatArray) -> tuple[FloatArray, int]:
        """Return the starting points as a mean of one, or the sum of no points."""
        _linear_model(problem)
        return (x, 1) if self.anchor == "start" else (np.zeros_like(x), 0)

    def gradient(
        self, problem: FiniteSum, x: FloatArray, draw: IntArray, state: tuple[FloatArray, int]
    ) -> tuple[FloatArray, tuple[FloatArray, int]]:
        """Return the minibatch gradients of the model at `x`."""
        total, count = state
        if self.anchor == "average":
            total, count = total + x, count + 1
        return _linear_model(problem).linearized_gradient(x, total / count, draw), (total, count)


def _linear_model(problem: FiniteSum) -> LinearModel:
    if not isinstance(problem, LinearModel):
        raise ValueError(
            f"problem: wanted a linear model such as LogisticRegression, got {problem.name}"
        )
    return problem


def check_batch_size(batch_size: int, problem: FiniteSum) -> int:
    """Return `batch_size` when it is an integer from 1 to the number of samples of `problem`."""
    return _validate.integer("batch_size", batch_size, at_least=1, at_most=problem.n_samples)
