"""What lecture 03 adds: the covariance of a minibatch, and the moment recursion as a theorem."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from sgdnotes.problems import LeastSquares, ScalarQuadratics
from sgdnotes.sampling import WithoutReplacement, WithReplacement, resolve
from sgdnotes.theorems import (
    ALL,
    AssumptionError,
    Comparison,
    OneStep,
    StochasticRun,
    minibatch_variance,
    moment_recursion,
)
from sgdnotes.theorems.stochastic import FirstSampleOnly, OneSampleRepeated

VECTORS = np.random.default_rng(0).standard_normal((6, 3))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("name", ["with_replacement", "without_replacement"])
def test_averages_of_any_vectors(name: str, batch_size: int) -> None:
    batches = resolve(name).outcomes(6, batch_size)
    means = VECTORS[batches].mean(axis=1)
    spread = means - VECTORS.mean(axis=0)
    factor = {
        "with_replacement": 1 / batch_size,
        "without_replacement": (6 - batch_size) / (batch_size * 5),
    }[name]
    np.testing.assert_allclose(means.mean(axis=0), VECTORS.mean(axis=0), atol=1e-13)
    np.testing.assert_allclose(
        spread.T @ spread / len(spread),
        factor * np.cov(VECTORS, rowvar=False, ddof=0),
        atol=1e-12,
    )


def test_the_full_batch_does_not_vary() -> None:
    problem = LeastSquares(VECTORS, np.arange(6.0))
    setting = OneStep(
        problem, points=[[1e3, -1e3, 1e3]], batch_size=6, sampling="without_replacement"
    )
    verdict = minibatch_variance.check(setting)
    assert verdict
    assert not verdict.bound.any()


def test_a_wrong_factor_is_caught() -> None:
    class Optimist(WithoutReplacement):
        """The factor with n where n - 1 belongs."""

        def variance_factor(self, n_samples: int, batch_size: int) -> float:
            return (n_samples - batch_size) / (batch_size * n_samples)

    problem = LeastSquares(VECTORS, np.arange(6.0))
    for sampling, right in ((WithoutReplacement(), True), (Optimist(), False)):
        setting = OneStep(problem, points=[[1.0, 2.0, 3.0]], batch_size=2, sampling=sampling)
        assert bool(minibatch_variance.check(setting)) is right
        run = StochasticRun(problem, steps=2, step_size=0.1, batch_size=2, sampling=sampling)
        assert bool(moment_recursion.check(run)) is right


class Neighbours(WithReplacement):
    """Two samples next to each other on a circle: uniform, distinct, but no random subset."""

    name = "neighbours"

    def outcomes(self, n_samples: int, batch_size: int) -> np.ndarray:
        return (np.arange(n_samples)[:, None] + np.arange(batch_size)) % n_samples


def test_which_batches_the_assumption_admits() -> None:
    problem = LeastSquares(VECTORS, np.arange(6.0))
    arguments = {"points": [[1.0, 2.0, 3.0]], "batch_size": 2}
    for sampling, message in (
        (OneSampleRepeated(), "agree with probability 1, wanted 1/n = 0.166667"),
        (Neighbours(), "agree with probability 0"),
        (FirstSampleOnly(), "uniform indices"),
    ):
        with pytest.raises(AssumptionError, match=message):
            minibatch_variance.check(OneStep(problem, sampling=sampling, **arguments))
    lone = OneStep(problem, points=[[1.0, 2.0, 3.0]], sampling=OneSampleRepeated())
    assert minibatch_variance.check(lone)
    single = LeastSquares([[2.0]], [1.0])
    assert minibatch_variance.check(OneStep(single, points=[[3.0]]))


def test_the_recursion_is_for_least_squares() -> None:
    other = ScalarQuadratics([1.0, 2.0])
    with pytest.raises(AssumptionError, match="least squares"):
        moment_recursion.check(StochasticRun(other, steps=2, step_size=0.1))


def test_rounding_of_subtracted_numbers_is_forgiven_in_identities() -> None:
    def judge(magnitude: float) -> bool:
        theorem = dataclasses.replace(
            ALL["lem-unbiased"],
            assumptions=(),
            compare=lambda s: Comparison(
                [0], [1e-10], [0.0], "entry", "observed", magnitude=magnitude
            ),
        )
        return bool(theorem.check(OneStep(LeastSquares([[1.0]], [1.0]), points=[[1.0]])))

    assert judge(1e4)
    assert not judge(1e2)
    assert not judge(math.nan)
