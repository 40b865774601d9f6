"""What theorems on the zoo of Frank–Wolfe methods are checked on: runs with any gradient oracle.

An oracle says what it draws ahead of time, so that every sequence of draws can be followed once,
with its probability: samples, the coins of methods that renew by chance, and random delays alike.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.oracles import (
    Delayed,
    FullGradient,
    LooplessSnapshot,
    Minibatch,
    Momentum,
    Oracle,
    Recursive,
    Snapshot,
    check_oracle,
)
from sgdnotes.problems import FiniteSum, LinearModel, ScalarQuadratics, check_problem
from sgdnotes.sampling import Sampling, resolve
from sgdnotes.schedules import BatchSchedule, evaluate_batches
from sgdnotes.theorems.constrained import (
    MAX_PLACES,
    FrankWolfeExpectation,
    FrankWolfeRun,
    FrankWolfeStepFrom,
    batches,
    gradient_variance,
    single_gradients,
)
from sgdnotes.updates import BlockStep, FrankWolfeStep, frank_wolfe_gap


def component_smoothness(problem: FiniteSum) -> FloatArray:
    r"""Return the Lipschitz constants :math:`L_i` of the :math:`\nabla f_i`, shape ``(n,)``.

    Parameters
    ----------
    problem : FiniteSum
        A linear model, scalar quadratics, or a sum whose terms are all equally smooth.
    """
    if isinstance(problem, LinearModel):
        squares = np.vecdot(problem.features, problem.features)
        return np.asarray(problem.loss_curvature * squares + problem.regularization)
    if isinstance(problem, ScalarQuadratics):
        return np.abs(problem.curvatures)
    if not math.isclose(problem.average_smoothness, problem.max_smoothness):
        raise ValueError(f"problem: wanted one whose every L_i is known, got {problem!r}")
    return np.full(problem.n_samples, problem.max_smoothness)


def component_slopes(problem: LinearModel, x: FloatArray) -> FloatArray:
    r"""Return the norms of :math:`\phi_i'(a_i^\top x)\,a_i`, shape ``(n_samples,)``.

    Parameters
    ----------
    problem : LinearModel
    x : ndarray of shape (dim,)
    """
    slopes = problem.component_gradients(x) - problem.regularization * x
    return np.asarray(np.linalg.norm(slopes, axis=-1))


def possible_draws(oracle: Oracle, n_samples: int, k: int) -> tuple[IntArray, FloatArray]:
    """Return what an oracle may draw for step k, and with which probabilities.

    Parameters
    ----------
    oracle : Oracle
    n_samples, k : int

    Returns
    -------
    draws : ndarray of int, shape (count, width)
    chances : ndarray of shape (count,)
    """
    match oracle:
        case FullGradient():
            return np.empty((1, 0), dtype=np.int64), np.ones(1)
        case Momentum():
            return possible_draws(oracle.oracle, n_samples, k)
        case Delayed(random=False):
            return possible_draws(oracle.oracle, n_samples, k)
        case Delayed():
            extra = np.full(oracle.delay + 1, 1 / (oracle.delay + 1))
            return _and_one_of(possible_draws(oracle.oracle, n_samples, k), extra)
        case Minibatch():
            size = int(evaluate_batches(oracle.batch_size, k, k + 1)[0])
            listed = resolve(oracle.sampling).outcomes(n_samples, size)
            either = listed, np.full(len(listed), 1 / len(listed))
            if isinstance(oracle, (LooplessSnapshot, Recursive)):
                either = _and_one_of(either, np.array([1 - oracle.probability, oracle.probability]))
            return either
    raise ValueError(f"oracle: wanted one whose draws can be listed, got {oracle!r}")


def _and_one_of(
    drawn: tuple[IntArray, FloatArray], chances: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Return the draws with a number 0, 1, ... of these chances in a last column."""
    draws, before = drawn
    numbers = np.flatnonzero(chances > 0)
    column = np.tile(numbers, len(draws))[:, None]
    both = np.concatenate([draws.repeat(len(numbers), axis=0), column], axis=1)
    return both, np.outer(before, chances[numbers]).ravel()


def described(oracle: Oracle) -> str:
    """Return what an oracle does, in a few words.

    Parameters
    ----------
    oracle : Oracle
    """
    match oracle:
        case FullGradient():
            return "exact gradients"
        case Momentum():
            return f"a running mean of {described(oracle.oracle)}"
        case Delayed():
            late = "up to " if oracle.random else ""
            return f"{described(oracle.oracle)} delayed by {late}{oracle.delay}"
        case Minibatch():
            size = "growing" if callable(oracle.batch_size) else str(oracle.batch_size)
            sampled = resolve(oracle.sampling).name.replace("_", " ")
            return f"{_KINDS[type(oracle).__name__].format(o=oracle)} batch {size} {sampled}"
    return type(oracle).__name__


_KINDS = {
    "Minibatch": "minibatches,",
    "LinearizedMinibatch": "minibatches of a model,",
    "Snapshot": "a snapshot every {o.period} steps,",
    "LooplessSnapshot": "a snapshot with probability {o.probability:.3g},",
    "Recursive": "SARAH restarted with probability {o.probability:.3g},",
    "GradientTable": "a table of gradients,",
    "SlopeTable": "a table of slopes,",
}


def innermost(oracle: Oracle) -> Oracle:
    """Return the oracle that a running mean, a delay, or several of them are about.

    Parameters
    ----------
    oracle : Oracle
    """
    while isinstance(oracle, (Momentum, Delayed)):
        oracle = oracle.oracle
    return oracle


@dataclass(frozen=True, eq=False)
class OracleRun(FrankWolfeRun):
    r"""A run of Frank–Wolfe along the estimates of any oracle, in exact expectation.

    Every sequence of draws is followed, so that there must not be too many.

    Attributes
    ----------
    oracle : Oracle
        What estimates the gradients :math:`d_t`; its batches and their sampling are those of
        the run.
    """

    batch_size: int | BatchSchedule = field(init=False, repr=False)
    sampling: str | Sampling = field(init=False, repr=False)
    oracle: Oracle = field(kw_only=True)

    def __post_init__(self) -> None:
        check_oracle(self.oracle)
        base = innermost(self.oracle)
        size = base.batch_size if isinstance(base, Minibatch) else self.finite_sum.n_samples
        sampling = base.sampling if isinstance(base, Minibatch) else "without_replacement"
        object.__setattr__(self, "batch_size", size)
        object.__setattr__(self, "sampling", sampling)
        super().__post_init__()

    @property
    def finite_sum(self) -> FiniteSum:
        """The problem, which is a finite sum."""
        return check_problem(self.problem)

    @cached_property
    def draws(self) -> list[tuple[IntArray, FloatArray]]:
        """For every step what may be drawn, and with which probabilities."""
        n = self.finite_sum.n_samples
        return [possible_draws(self.oracle, n, k) for k in range(self.steps)]

    @cached_property
    def counts(self) -> IntArray:
        """How many sequences of draws there are before every step, shape ``(steps + 1,)``."""
        different = [len(chances) for _, chances in self.draws]
        counts = list(itertools.accumulate(different, int.__mul__, initial=1))
        if counts[-1] > MAX_PLACES:
            raise ValueError(
                f"steps: wanted at most {MAX_PLACES} sequences of draws, got {counts[-1]:,}"
            )
        return np.array(counts)

    def _drawn(self, k: int) -> IntArray:
        """Return the number of the draw that each sequence has in step k."""
        return np.asarray(np.arange(self.counts[-1]) // self.counts[k] % len(self.draws[k][1]))

    @cached_property
    def weights(self) -> FloatArray:
        """The probabilities of the sequences, shape ``(sequences,)``."""
        chances = [chances[self._drawn(k)] for k, (_, chances) in enumerate(self.draws)]
        return np.asarray(np.prod(chances, axis=0))

    @cached_property
    def _followed(self) -> tuple[FloatArray, FloatArray, FloatArray, list[Any]]:
        x = np.repeat(self.start, self.counts[-1], axis=0)
        memory = self.oracle.init(self.problem, x)
        paths, estimates, deviations, memories = [x], [], [], []
        for k, (draws, _) in enumerate(self.draws):
            memories.append(memory)
            estimate, memory = self.oracle.gradient(self.problem, x, draws[self._drawn(k)], memory)
            estimates.append(estimate)
            deviations.append(estimate - self.problem.gradient(x))
            x = x + self.step_sizes[k] * (self.constraint.linear_minimizer(estimate) - x)
            paths.append(x)
        return np.array(paths), np.array(estimates), np.array(deviations), memories

    @property
    def paths(self) -> FloatArray:
        """The iterates, shape ``(steps + 1, sequences, dim)``."""
        return self._followed[0]

    @property
    def estimates(self) -> FloatArray:
        """The estimates :math:`d_t`, shape ``(steps, sequences, dim)``."""
        return self._followed[1]

    @property
    def deviations(self) -> FloatArray:
        r""":math:`d_t - \nabla f(x_t)`, shape ``(steps, sequences, dim)``."""
        return self._followed[2]

    @property
    def memories(self) -> list[Any]:
        """What the oracle remembers before every step."""
        return self._followed[3]

    @cached_property
    def errors(self) -> FloatArray:
        r""":math:`e_t = \mathbb E\|d_t - \nabla f(x_t)\|`, shape ``(steps,)``."""
        return np.asarray(np.linalg.norm(self.deviations, axis=-1) @ self.weights)

    @cached_property
    def square_errors(self) -> FloatArray:
        r""":math:`\mathbb E\|d_t - \nabla f(x_t)\|^2`, shape ``(steps,)``."""
        return np.asarray((self.deviations**2).sum(axis=-1) @ self.weights)

    @property
    def gap(self) -> FloatArray:
        r""":math:`\mathbb E\mathcal G(x_t)`, shape ``(steps + 1,)``."""
        return self.expectation.gap

    @property
    def value(self) -> FloatArray:
        r""":math:`\mathbb E f(x_t)`, shape ``(steps + 1,)``."""
        return self.expectation.value

    @cached_property
    def expectation(self) -> FrankWolfeExpectation:
        """Exact expectations over all sequences of draws.

        Raises
        ------
        ValueError
            If there are too many sequences.
        """
        problem, constraint = self.problem, self.constraint
        rows = np.array(
            [
                self.weights
                @ np.array(
                    [
                        frank_wolfe_gap(problem, constraint, x),
                        problem.value(x),
                        gradient_variance(problem, x),
                    ]
                ).T
                for x in self.paths
            ]
        )
        mean = np.asarray(self.weights @ self.paths)
        return FrankWolfeExpectation(rows[:, 0], rows[:, 1], rows[:, 2], mean, self.counts)

    def given_past(self, k: int, values: FloatArray) -> FloatArray:
        """Return the expectations over the draw of step k, for every past.

        Parameters
        ----------
        k : int
        values : ndarray of shape (sequences, ...)
            What depends on the draws of step k and before.

        Returns
        -------
        ndarray of shape (pasts, ...)
        """
        chances, pasts = self.draws[k][1], int(self.counts[k])
        different = values[: len(chances) * pasts]
        return np.tensordot(chances, different.reshape(len(chances), pasts, *values.shape[1:]), 1)

    def pasts(self, k: int, values: FloatArray) -> FloatArray:
        """Return what is known before the draw of step k, for every past.

        Parameters
        ----------
        k : int
        values : ndarray of shape (sequences, ...)
            What depends on the draws before step k.
        """
        return values[: self.counts[k]]

    @property
    def variance_factors(self) -> FloatArray:
        """The variances of a mean over a batch of single samples of variance 1, ``(steps,)``."""
        n, how = self.finite_sum.n_samples, resolve(self.sampling)
        return np.array([how.variance_factor(n, int(size)) for size in self.batch_sizes])

    @property
    def mean_smoothness(self) -> float:
        r"""The claimed :math:`\tilde L = \frac1n\sum_iL_i`, or the true one."""
        return self.claims.get("mean_smoothness", self.finite_sum.average_smoothness)

    @property
    def root_mean_square_smoothness(self) -> float:
        r"""The claimed :math:`\bar L = (\frac1n\sum_iL_i^2)^{1/2}`, or the true one."""
        true = math.sqrt(float((component_smoothness(self.finite_sum) ** 2).mean()))
        return self.claims.get("root_mean_square_smoothness", true)

    def __str__(self) -> str:
        sizes = self.step_sizes
        to = f" to {sizes[-1]:.3g}" if sizes.min() < sizes.max() else ""
        what = f"{described(self.oracle)}, step {sizes[0]:.3g}{to}"
        return f"{self._named()}, {what}{self._claimed()}"


def anchors(setting: OracleRun) -> FloatArray:
    r"""Return the points :math:`\tilde x` of the snapshots, shape ``(steps, sequences, dim)``.

    Parameters
    ----------
    setting : OracleRun
        With the oracle `Snapshot` or `LooplessSnapshot`.
    """
    if isinstance(setting.oracle, Snapshot):
        t = np.arange(setting.steps)
        return np.asarray(setting.paths[t - t % setting.oracle.period])
    return np.array([memory[0] for memory in setting.memories])


@dataclass(frozen=True, eq=False)
class BlockStepFrom(FrankWolfeStepFrom):
    r"""A Frank–Wolfe step for some coordinates and a gradient step for the others.

    Attributes
    ----------
    free : sequence of int
        The coordinates F that move freely; the set confines the others.
    free_step : float
        :math:`\alpha`.
    """

    free: Sequence[int] = field(kw_only=True)
    free_step: float = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.real("free_step", self.free_step, above=0)

    @cached_property
    def update(self) -> BlockStep:
        """The step."""
        return BlockStep(FrankWolfeStep(self.constraint), self.free, self.free_step)

    @property
    def others(self) -> list[int]:
        """The confined coordinates C."""
        return [j for j in range(self.problem.dim) if j not in self.free]

    @property
    def confined(self) -> FloatArray:
        """The confined coordinates of the points."""
        return self.x[:, self.others]

    @cached_property
    def gap(self) -> FloatArray:
        """The Frank–Wolfe gaps in the confined coordinates, shape ``(m,)``."""
        gradient = self.problem.gradient(self.x)[:, self.others]
        ahead = self.constraint.linear_minimizer(gradient) - self.confined
        return np.asarray(-np.vecdot(gradient, ahead))

    @cached_property
    def free_slope(self) -> FloatArray:
        r""":math:`\|\nabla_F f(x)\|^2`, shape ``(m,)``."""
        return np.asarray((self.problem.gradient(self.x)[:, list(self.free)] ** 2).sum(axis=-1))

    @cached_property
    def expected_value_after(self) -> FloatArray:
        r""":math:`\mathbb E f(x^+)`, shape ``(m,)``."""
        problem = check_problem(self.problem)
        counts, chances = batches(resolve(self.sampling), problem.n_samples, self.batch_size)
        means = np.tensordot(counts / self.batch_size, single_gradients(problem, self.x), axes=1)
        after = [
            self.update.apply(problem, self.x, mean, self.step_size, (0, None))[0] for mean in means
        ]
        return np.asarray(chances @ problem.value(np.array(after)))

    def _block_variance(self, block: Sequence[int]) -> FloatArray:
        single = single_gradients(check_problem(self.problem), self.x)[..., list(block)]
        return np.asarray(((single - single.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0))

    @cached_property
    def true_variance(self) -> FloatArray:
        """The variances of a single gradient in the confined coordinates, shape ``(m,)``."""
        return self._block_variance(self.others)

    @cached_property
    def true_free_variance(self) -> FloatArray:
        """The variances of a single gradient in the free coordinates, shape ``(m,)``."""
        return self._block_variance(self.free)

    @property
    def free_variance(self) -> FloatArray:
        """The claimed variance in the free coordinates, or the true ones, shape ``(m,)``."""
        if "free_variance" in self.claims:
            return np.full(len(self.x), self.claims["free_variance"])
        return self.true_free_variance

    def __str__(self) -> str:
        return f"{super().__str__()}, free {list(self.free)} with step {self.free_step:.3g}"
