"""The four ways to the same curve: E f(x_k) - f* of minibatch SGD on least squares."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import SGDRegressor

from sgdnotes import LeastSquares, Trace, expected_sgd, sgd


@dataclass(frozen=True)
class Case:
    """What is run."""

    n_samples: int = 100
    dim: int = 10
    batch_size: int = 10
    replicates: int = 1000
    steps: int = 5000
    loop_replicates: int = 4  # the plain loop is timed on so many and scaled
    single_steps: int = 50_000
    repeats: int = 3

    @property
    def problem(self) -> LeastSquares:
        """Gaussian features, a linear signal and unit noise."""
        rng = np.random.default_rng(0)
        features = rng.standard_normal((self.n_samples, self.dim))
        targets = features @ rng.standard_normal(self.dim) + rng.standard_normal(self.n_samples)
        return LeastSquares(features, targets)

    @property
    def step_size(self) -> float:
        """A step well within stability."""
        return 0.2 / self.problem.max_smoothness * self.batch_size**0.5


QUICK = Case(replicates=64, steps=200, loop_replicates=1, single_steps=500, repeats=1)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the shortest of several times, the one least disturbed by the rest of the machine."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def batched_engine(case: Case) -> Trace:
    """Run the ensemble through the library."""
    return sgd(
        case.problem,
        steps=case.steps,
        step_size=case.step_size,
        batch_size=case.batch_size,
        replicates=case.replicates,
        rng=1,
    )


def plain_loop(case: Case) -> float:
    """Run one replicate after the other, as one would write it without a library."""
    problem, step_size = case.problem, case.step_size
    features, targets = problem.features, problem.targets
    rng = np.random.default_rng(1)
    gaps = []
    for _ in range(case.loop_replicates):
        x = np.zeros(case.dim)
        for _ in range(case.steps):
            batch = rng.integers(case.n_samples, size=case.batch_size)
            rows = features[batch]
            x = x - step_size * (rows @ x - targets[batch]) @ rows / case.batch_size
        gaps.append(float(problem.gap(x)))
    return float(np.mean(gaps))


def exact_recursion(case: Case) -> np.ndarray:
    """Compute the curve without sampling, the table of moments included."""
    expectation = expected_sgd(
        case.problem, steps=case.steps, step_size=case.step_size, batch_size=case.batch_size
    )
    return expectation.gap


def single_chain(case: Case) -> float:
    """Run one chain of single-sample SGD through the library."""
    trace = sgd(case.problem, steps=case.single_steps, step_size=case.step_size, rng=1, record=[0])
    return float(trace.gap[-1, 0])


def scikit_learn(case: Case, samples_a_call: int) -> float:
    """Run one chain of single-sample SGD through partial_fit.

    Parameters
    ----------
    case : Case
    samples_a_call : int
        How many samples, and so steps, each call of partial_fit is given.
    """
    problem = case.problem
    model = SGDRegressor(
        penalty=None,
        learning_rate="constant",
        eta0=case.step_size,
        fit_intercept=False,
        shuffle=False,
    )
    order = np.random.default_rng(1).integers(case.n_samples, size=case.single_steps)
    for start in range(0, case.single_steps, samples_a_call):
        chosen = order[start : start + samples_a_call]
        model.partial_fit(problem.features[chosen], problem.targets[chosen])
    return float(problem.gap(model.coef_))
