"""The ways to draw the noise of the flow that are timed draw noise of the same covariance."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.diffusion import DIFFUSIONS, WAYS, Diffusion, table

SMALL = Diffusion(dim=3, n_samples=12, replicates=1)


@pytest.mark.parametrize("name", WAYS)
def test_every_way_draws_noise_of_the_same_covariance(name: str) -> None:
    draws = 20_000
    many = replace(SMALL, replicates=draws)
    object.__setattr__(many, "residuals", np.repeat(SMALL.residuals, draws, axis=0))
    noise = WAYS[name](many, np.random.default_rng(0))
    wanted = SMALL.covariances[0]
    factor = SMALL.process.factor(SMALL.problem.features, SMALL.residuals)[0]
    np.testing.assert_allclose(factor @ factor.T, wanted, rtol=1e-12)
    products = noise[:, :, None] * noise[:, None, :]
    error = products.std(axis=0) / np.sqrt(draws)
    assert (np.abs(products.mean(axis=0) - wanted) <= 5 * error).all()


def test_the_sizes_are_those_announced_and_one_is_singular() -> None:
    assert [case.dim for case in DIFFUSIONS] == [10, 50, 200]
    singular = replace(DIFFUSIONS[-1], replicates=1)
    assert np.linalg.matrix_rank(singular.covariances[0]) < 100
    assert np.isfinite(WAYS["factor, this library"](singular, np.random.default_rng(0))).all()


def test_the_table_has_a_row_for_every_way() -> None:
    text = table(quick=True)
    for name in WAYS:
        assert len(re.findall(rf"^    {re.escape(name)} +\S+ µs +\d+\.\d$", text, re.M)) == 3
