"""Samplings: uniform, independent of how many replicates run, and with the variance promised."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_settings import SAMPLINGS

from sgdnotes import sgd
from sgdnotes.problems import LeastSquares
from sgdnotes.sampling import (
    BLOCK,
    GROUP,
    NAMED,
    ORDERS,
    AllSequences,
    Sampling,
    WithoutReplacement,
    WithReplacement,
    _below,
    _distinct,
    resolve,
)


def drawn(
    sampling: Sampling, n: int, batch_size: int, replicates: int, steps: int, seed: int = 0
) -> np.ndarray:
    """The first `steps` draws, shape (steps, replicates, batch_size)."""
    blocks, length = [], 0
    for block in sampling.stream(n, batch_size, replicates, np.random.default_rng(seed)):
        assert block.shape[1:] == (replicates, batch_size)
        blocks.append(block)
        length += len(block)
        if length >= steps:
            return np.concatenate(blocks)[:steps]
    raise AssertionError("a stream never ends")


def counts(sampling: Sampling, draws: np.ndarray, n: int) -> np.ndarray:
    """How often each possible batch was drawn, in the order of `outcomes`."""
    batch_size = draws.shape[-1]
    rows = draws.reshape(-1, batch_size)
    if isinstance(sampling, WithoutReplacement):
        rows = np.sort(rows, axis=1)
    numbers = rows @ n ** np.arange(batch_size)
    possible = sampling.outcomes(n, batch_size) @ n ** np.arange(batch_size)
    assert len(np.unique(possible)) == len(possible)
    assert np.isin(numbers, possible).all()
    return np.bincount(numbers, minlength=n**batch_size)[possible]


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize(
    ("n", "batch_size"), [(1, 1), (2, 1), (3, 2), (5, 2), (5, 3), (6, 5), (4, 4), (7, 1)]
)
def test_every_batch_is_equally_likely(name: str, n: int, batch_size: int) -> None:
    sampling = resolve(name)
    steps = 4 * BLOCK if len(sampling.outcomes(n, batch_size)) < 700 else 64 * BLOCK
    draws = drawn(sampling, n, batch_size, 3 * GROUP, steps, seed=n * 10 + batch_size)
    seen = counts(sampling, draws, n)
    total, possible = seen.sum(), len(seen)
    expected = total / possible
    deviation = math.sqrt(expected * (1 - 1 / possible))
    assert expected > 20
    if possible == 1:
        assert seen[0] == total
        return
    assert np.abs((seen - expected) / deviation).max() <= 5
    # Pearson's statistic, standardised: mean possible - 1, variance 2 (possible - 1).
    statistic = ((seen - expected) ** 2 / expected).sum()
    assert abs(statistic - (possible - 1)) / math.sqrt(2 * (possible - 1)) <= 5


@pytest.mark.parametrize("name", SAMPLINGS)
def test_every_position_of_a_batch_covers_the_samples(name: str) -> None:
    draws = drawn(resolve(name), 6, 3, 64, 2000)
    union = [np.bincount(draws[..., b].ravel(), minlength=6) for b in range(3)]
    if name == "with_replacement":
        assert all((np.abs(u - 128_000 / 6) < 5 * math.sqrt(128_000 / 6)).all() for u in union)
    total = sum(union)
    assert (np.abs(total - 64_000) < 5 * math.sqrt(64_000)).all()


@pytest.mark.parametrize("name", SAMPLINGS)
def test_steps_and_replicates_are_independent(name: str) -> None:
    draws = drawn(resolve(name), 5, 1, 4 * GROUP, 1000)[..., 0].astype(float)
    centered = (draws - 2) / math.sqrt(2)
    # Correlations between neighbouring steps, replicates and groups: products of mean 0.
    for left, right in (
        (centered[:-1], centered[1:]),
        (centered[:, :-1], centered[:, 1:]),
        (centered[:, :-GROUP], centered[:, GROUP:]),
        (centered[:-BLOCK], centered[BLOCK:]),
    ):
        products = left * right
        assert abs(products.mean()) * math.sqrt(products.size) <= 5


def test_without_replacement_never_repeats() -> None:
    for n, batch_size in [(3, 3), (10, 4), (1000, 30), (200, 200)]:
        draws = drawn(WithoutReplacement(), n, batch_size, 10, 20)
        ordered = np.sort(draws, axis=-1)
        assert (np.diff(ordered, axis=-1) > 0).all()
        assert draws.min() >= 0
        assert draws.max() < n


def test_outcomes() -> None:
    assert WithReplacement().outcomes(3, 2).tolist() == [
        list(t) for t in itertools.product(range(3), repeat=2)
    ]
    assert WithoutReplacement().outcomes(4, 2).tolist() == [
        [0, 1],
        [0, 2],
        [0, 3],
        [1, 2],
        [1, 3],
        [2, 3],
    ]
    for n, batch_size in [(1, 1), (5, 3), (6, 6)]:
        assert len(WithReplacement().outcomes(n, batch_size)) == n**batch_size
        assert len(WithoutReplacement().outcomes(n, batch_size)) == math.comb(n, batch_size)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("name", SAMPLINGS)
def test_the_variance_factor_against_enumeration(name: str, batch_size: int) -> None:
    sampling = resolve(name)
    vectors = np.random.default_rng(0).standard_normal((6, 3))
    center = vectors.mean(axis=0)
    covariance = (vectors - center).T @ (vectors - center) / 6
    means = vectors[sampling.outcomes(6, batch_size)].mean(axis=1)
    np.testing.assert_allclose(means.mean(axis=0), center, rtol=0, atol=1e-12)
    of_means = (means - center).T @ (means - center) / len(means)
    factor = sampling.variance_factor(6, batch_size)
    np.testing.assert_allclose(of_means, factor * covariance, rtol=0, atol=1e-12)
    with_, without = (resolve(s).variance_factor(6, batch_size) for s in SAMPLINGS)
    assert without / with_ == pytest.approx(1 - (batch_size - 1) / 5, rel=1e-12, abs=1e-15)
    if name == "without_replacement" and batch_size == 6:
        assert factor == 0


def test_variance_factor_of_a_single_sample() -> None:
    assert WithoutReplacement().variance_factor(1, 1) == 0
    assert WithReplacement().variance_factor(1, 1) == 1
    assert WithoutReplacement().variance_factor(5, 1) == 1


def test_a_batch_that_always_holds_the_same_sample_is_biased() -> None:
    # Marginals matter: a fixed index is "random" as well, and its mean is not the mean.
    vectors = np.arange(6.0)
    assert vectors[np.zeros(3, dtype=int)].mean() != vectors.mean()


@pytest.mark.parametrize("batch_size", [1, 3, 5, 200])
@pytest.mark.parametrize("name", SAMPLINGS)
def test_draws_do_not_depend_on_the_number_of_replicates(name: str, batch_size: int) -> None:
    many = drawn(resolve(name), 250, batch_size, 3 * GROUP + 5, 2 * BLOCK // batch_size + 3)
    for replicates in (1, 2, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP):
        few = drawn(resolve(name), 250, batch_size, replicates, len(many))
        np.testing.assert_array_equal(few, many[:, :replicates])


@pytest.mark.parametrize("name", SAMPLINGS)
def test_groups_differ(name: str) -> None:
    draws = drawn(resolve(name), 1000, 2, 2 * GROUP, 50)
    columns = draws.transpose(1, 0, 2).reshape(2 * GROUP, -1)
    assert len(np.unique(columns, axis=0)) == 2 * GROUP


@pytest.mark.parametrize("name", SAMPLINGS)
def test_runs_do_not_depend_on_what_is_recorded_or_how_long_they_are(name: str) -> None:
    rng = np.random.default_rng(0)
    problem = LeastSquares(rng.standard_normal((20, 3)), rng.standard_normal(20))
    arguments = {
        "step_size": 0.02,
        "batch_size": 3,
        "sampling": name,
        "replicates": 70,
        "rng": 5,
        "metrics": ["x"],
    }
    full = sgd(problem, steps=300, record="all", **arguments)
    for record in (1, 7, 60, [0], [41, 42, 43, 85, 86], list(range(0, 300, 17))):
        sparse = sgd(problem, steps=300, record=record, **arguments)
        np.testing.assert_array_equal(sparse.x, full.x)
        np.testing.assert_array_equal(sparse.history["x"], full.history["x"][sparse.steps])
    short = sgd(problem, steps=111, record="all", **arguments)
    np.testing.assert_array_equal(short.history["x"], full.history["x"][:112])


def test_all_sequences_run_through_every_sequence_once() -> None:
    sampling = AllSequences(WithoutReplacement())
    replicates = 3**4
    draws = drawn(sampling, 3, 2, replicates, 4)
    sequences = draws.transpose(1, 0, 2).reshape(replicates, -1)
    assert len(np.unique(sequences, axis=0)) == replicates
    assert sampling.variance_factor(3, 2) == WithoutReplacement().variance_factor(3, 2)
    assert sampling.outcomes(3, 2).tolist() == WithoutReplacement().outcomes(3, 2).tolist()


def test_resolve() -> None:
    assert set(NAMED) == set(SAMPLINGS)
    for name in SAMPLINGS:
        assert resolve(name).name == name
        assert resolve(resolve(name)) is resolve(name)
    with pytest.raises(ValueError, match=r"sampling: wanted one of"):
        resolve("alphabetical")
    with pytest.raises(ValueError, match=r"sampling: wanted one of"):
        resolve(3)  # type: ignore[arg-type]


def test_a_seed_and_its_generator_agree_and_differ_from_others() -> None:
    problem = LeastSquares([[1.0], [2.0], [3.0]], [1.0, 0.0, 2.0])
    arguments = {"steps": 50, "step_size": 0.05, "replicates": 10}
    seeded = sgd(problem, rng=3, **arguments).x
    np.testing.assert_array_equal(seeded, sgd(problem, rng=3, **arguments).x)
    np.testing.assert_array_equal(seeded, sgd(problem, rng=np.random.default_rng(3), **arguments).x)
    assert (seeded != sgd(problem, rng=4, **arguments).x).any()
    generator = np.random.default_rng(3)
    first, second = (sgd(problem, rng=generator, **arguments).x for _ in range(2))
    assert (first != second).any()
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    sgd(problem, rng=None, **arguments)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


# ---- orders -----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2, 6])
@pytest.mark.parametrize("name", ORDERS)
def test_every_epoch_sees_every_sample_once(name: str, batch_size: int) -> None:
    epoch = 6 // batch_size
    draws = drawn(resolve(name), 6, batch_size, 70, 5 * epoch)
    epochs = draws.reshape(5, epoch, 70, batch_size).swapaxes(1, 2).reshape(5, 70, 6)
    assert (np.sort(epochs, axis=-1) == np.arange(6)).all()
    if name == "cyclic":
        assert (epochs == np.arange(6)).all()
    if name == "shuffled_once":
        assert (epochs == epochs[:1]).all()
        assert len(np.unique(epochs[0], axis=0)) > 50
    if name == "reshuffled":
        assert len(np.unique(epochs.reshape(-1, 6), axis=0)) > 200  # of 350, with 720 possible


@pytest.mark.parametrize("name", ["shuffled_once", "reshuffled"])
def test_every_order_is_equally_likely(name: str) -> None:
    epochs = 1 if name == "shuffled_once" else 100
    replicates = 38_400 // epochs
    draws = drawn(resolve(name), 4, 1, replicates, 4 * epochs)[..., 0]
    orders = draws.reshape(epochs, 4, replicates).swapaxes(1, 2).reshape(-1, 4)
    seen = np.unique(orders @ 4 ** np.arange(4), return_counts=True)[1]
    assert len(seen) == 24
    expected = len(orders) / 24
    assert np.abs(seen - expected).max() <= 5 * math.sqrt(expected)


@pytest.mark.parametrize("name", [*SAMPLINGS, *ORDERS])
@given(
    n=st.integers(1, 40),
    batches=st.integers(1, 6),
    replicates=st.integers(1, 100),
    block=st.sampled_from([1, 7, 128, 1000]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25, deadline=None)
def test_draws_depend_neither_on_blocks_nor_on_company(
    name: str, n: int, batches: int, replicates: int, block: int, seed: int
) -> None:
    sampling, batch_size = resolve(name), max(d for d in range(1, batches + 1) if n % d == 0)
    wanted = drawn(sampling, n, batch_size, 130, 20, seed)[:, :replicates]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sgdnotes.sampling.BLOCK", block)
        got = drawn(sampling, n, batch_size, replicates, 20, seed)
    np.testing.assert_array_equal(got, wanted)


def test_every_subset_comes_from_equally_many_draws() -> None:
    # Exact: all draws of Floyd's algorithm are listed, and each subset counted.
    for n, batch_size in [(4, 2), (5, 3), (6, 4), (5, 5), (7, 1)]:
        ranges = [range(end) for end in range(n - batch_size + 1, n + 1)]
        subsets = _distinct(np.array(list(itertools.product(*ranges))), n)
        numbers = np.sort(subsets, axis=1) @ n ** np.arange(batch_size)
        counted = np.unique(numbers, return_counts=True)[1]
        assert len(counted) == math.comb(n, batch_size)
        assert np.ptp(counted) == 0


@pytest.mark.parametrize("seed", range(40))
def test_fast_draws_below_different_ends_are_those_of_numpy(seed: int) -> None:
    # With ends of the order of 2^32 draws are often rejected; beyond, they take 64 bits.  For
    # the end 1, which a full batch begins with, they take none.
    choice = np.random.default_rng(seed)
    n = int(10 ** choice.uniform(0.4, 9.8)) if seed % 4 else int(choice.integers(1, 20))
    batch_size = int(choice.integers(1, min(n, 30) + 1)) if seed % 4 else n
    ends = np.arange(n - batch_size + 1, n + 1)
    fast, plain = np.random.default_rng(seed), np.random.default_rng(seed)
    for _ in range(3):
        shape = (3, 5, len(ends))
        wanted = plain.integers(ends, size=shape)[:, :2]
        np.testing.assert_array_equal(_below(ends, fast, shape, 2), wanted)
    assert fast.bit_generator.state == plain.bit_generator.state


def test_long_indices_do_not_wrap() -> None:
    draws = drawn(WithoutReplacement(), 10**6, 3, 64, 20)
    assert draws.max() > 2**15
    assert draws.min() >= 0


@pytest.mark.parametrize(("n", "batch_size"), [(50, 30), (700, 700), (900, 600), (200_000, 600)])
def test_large_batches_are_those_of_the_plain_algorithm(n: int, batch_size: int) -> None:
    ends = np.arange(n - batch_size + 1, n + 1)
    draws = np.random.default_rng(0).integers(ends, size=(3, batch_size))
    for row, got in zip(draws.tolist(), _distinct(draws, n).tolist(), strict=True):
        wanted: list[int] = []
        for last, t in zip(range(n - batch_size, n), row, strict=True):
            wanted.append(last if t in wanted else t)
        assert got == wanted


@pytest.mark.parametrize("name", [*SAMPLINGS, *ORDERS])
@given(
    replicates=st.integers(1, 70),
    batch_size=st.sampled_from([1, 2, 4]),
    block=st.sampled_from([1, 7, 128]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=10, deadline=None)
def test_iterates_depend_neither_on_blocks_nor_on_company(
    name: str, replicates: int, batch_size: int, block: int, seed: int
) -> None:
    problem = LeastSquares(np.random.default_rng(0).normal(size=(12, 3)), np.arange(12.0))
    arguments = {"steps": 40, "step_size": 0.02, "batch_size": batch_size, "sampling": name}
    many = sgd(problem, replicates=70, rng=seed, **arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sgdnotes.sampling.BLOCK", block)
        few = sgd(problem, replicates=replicates, rng=seed, **arguments)
    np.testing.assert_allclose(few.x, many.x[:replicates], rtol=1e-10, atol=1e-10)
