"""Orders and epochs: exact expectations against loops, and batch sizes that grow."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from sgdnotes import expected_sgd, schedules, sgd
from sgdnotes.epochs import EpochMoments
from sgdnotes.moments import SecondMoments
from sgdnotes.oracles import Minibatch
from sgdnotes.problems import LeastSquares, Ridge
from sgdnotes.sampling import ORDERS, AllOrders, AllSequences, WithReplacement, resolve
from sgdnotes.schedules import evaluate_batches, geometric_batches
from sgdnotes.theorems import EpochRun

RNG = np.random.default_rng(8)
A, B = RNG.standard_normal((4, 2)), RNG.standard_normal(4)
PROBLEMS: dict[str, Ridge] = {
    "least squares": LeastSquares(A, B),
    "ridge": Ridge(A, B, 0.2),
    "rank-deficient": LeastSquares(np.outer([1.0, -1.0, 2.0, 0.5], [1.0, 2.0]), B),
}
START = np.array([1.0, 2.0])


def after(problem: Ridge, order: tuple[int, ...], x: np.ndarray, alpha: float, batch: int) -> Any:
    """The point after one epoch in the given order."""
    for at in range(0, len(order), batch):
        gradients = problem.component_gradients(x)[list(order[at : at + batch])]
        x = x - alpha * gradients.mean(axis=0)
    return x


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_epochs_agree_with_a_loop_over_orders(name: str, order: str, batch: int) -> None:
    problem, alpha = PROBLEMS[name], 0.15
    given = tuple(range(4))
    orders = [given] if order == "cyclic" else list(itertools.permutations(given))
    again = [(o, o) for o in orders]
    pairs = again if order == "shuffled_once" else list(itertools.product(orders, repeat=2))
    ends = [
        after(problem, second, after(problem, first, START, alpha, batch), alpha, batch)
        for first, second in pairs
    ]
    moments = EpochMoments(problem, alpha, order, batch)
    state = moments.evolve(START, 2)[-1]
    reader = moments.moments
    frozen = START - reader.mean(reader.state(START))
    assert moments.steps == 4 // batch
    np.testing.assert_allclose(reader.gap(state), np.mean(problem.gap(np.array(ends))), rtol=1e-12)
    np.testing.assert_allclose(reader.mean(state) + frozen, np.mean(ends, axis=0), rtol=1e-11)


@pytest.mark.parametrize("order", ORDERS)
def test_the_stationary_state_is_where_many_epochs_end(order: str) -> None:
    moments = EpochMoments(PROBLEMS["ridge"], 0.1, order)
    late = moments.evolve(START, 400)[-1]
    np.testing.assert_allclose(moments.stationary(), late, rtol=1e-9, atol=1e-15)


def test_a_full_batch_in_any_order_is_gradient_descent() -> None:
    problem = PROBLEMS["ridge"]
    x = START
    for _ in range(5):
        x = x - 0.1 * problem.gradient(x)
    for order in ORDERS:
        moments = EpochMoments(problem, 0.1, order, batch_size=4)
        gap = moments.moments.gap(moments.evolve(START, 5)[-1])
        assert gap == pytest.approx(float(problem.gap(x)), rel=1e-11)


def test_the_sorted_signs_by_their_closed_form() -> None:
    # f_i = (x - b_i)²/2: an epoch maps x to (1 - γ)^n x + γ Σ_j (1 - γ)^(n - 1 - j) b_j.
    signs = np.repeat([1.0, -1.0], 50)
    problem, gamma = LeastSquares(np.ones((100, 1)), signs), 0.05
    shrink = 1 - gamma
    fixed = gamma * (shrink ** np.arange(99, -1, -1) @ signs) / (1 - shrink**100)
    moments = EpochMoments(problem, gamma, "cyclic")
    assert 2 * moments.moments.gap(moments.stationary()) == pytest.approx(fixed**2, rel=1e-11)


@pytest.mark.parametrize("order", ORDERS)
def test_epochs_agree_with_an_ensemble(order: str) -> None:
    problem = PROBLEMS["ridge"]
    moments = EpochMoments(problem, 0.15, order)
    exact = moments.moments.gap(moments.evolve(START, 6))
    trace = sgd(
        problem,
        START,
        steps=24,
        step_size=0.15,
        sampling=order,
        replicates=4000,
        rng=5,
        record=range(0, 25, 4),
    )
    mean, error = trace.mean()
    np.testing.assert_array_less(np.abs(mean - exact), 5 * error + 1e-12)


def test_all_orders_average_to_shuffling_once() -> None:
    problem = PROBLEMS["least squares"]
    trace = sgd(
        problem,
        START,
        steps=12,
        step_size=0.15,
        sampling=AllOrders(),
        replicates=24,
        record=[4, 12],
    )
    moments = EpochMoments(problem, 0.15, "shuffled_once")
    exact = moments.moments.gap(moments.evolve(START, 3))
    np.testing.assert_allclose(trace.gap.mean(axis=1), exact[[0, 1, 3]], rtol=1e-12)
    listed = EpochMoments(problem, 0.15, AllOrders())
    np.testing.assert_array_equal(listed.evolve(START, 3), moments.evolve(START, 3))
    np.testing.assert_array_equal(listed.stationary(), moments.stationary())


@pytest.mark.parametrize("order", ORDERS)
def test_moments_that_overflow_are_infinite(order: str) -> None:
    states = EpochMoments(PROBLEMS["ridge"], 50.0, order).evolve(START, 300)
    assert np.isinf(states[-1][:-1]).any()
    assert not np.isnan(states).any()
    run = EpochRun(PROBLEMS["ridge"], epochs=300, step_size=50.0, order=order)
    assert run.distance_squared[-1] == np.inf
    with pytest.raises(ValueError, match="with spectral radius inf"):
        EpochMoments(PROBLEMS["ridge"], 1e100, order).stationary()
    endless = LeastSquares(np.full((2000, 1), 2.0), np.ones(2000))
    with pytest.raises(ValueError, match="with spectral radius inf"):
        EpochMoments(endless, 1.0, "cyclic").stationary()


def test_an_unstable_epoch_is_refused() -> None:
    for order in ORDERS:
        with pytest.raises(ValueError, match="step_size: wanted one for which the moments stay"):
            EpochMoments(PROBLEMS["ridge"], 5.0, order).stationary()


# ---- batch sizes that change -------------------------------------------------------------------


def test_geometric_batches() -> None:
    assert evaluate_batches(geometric_batches(1, 2.0), 0, 6).tolist() == [1, 2, 4, 8, 16, 32]
    assert evaluate_batches(geometric_batches(10, 1.1, 13), 0, 5).tolist() == [10, 11, 13, 13, 13]
    assert evaluate_batches(geometric_batches(3, 1.0), 0, 3).tolist() == [3, 3, 3]
    assert geometric_batches(1, 2.0, 100)(10**6) == 100


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_growing_batches_are_the_product_of_their_steps(sampling: str) -> None:
    problem, sizes = PROBLEMS["ridge"], [1, 2, 2, 4]
    growing = expected_sgd(
        problem,
        START,
        steps=4,
        step_size=lambda k: 0.2 / (k + 1),
        batch_size=lambda k: sizes[min(k, 3)],
        sampling=sampling,
    )
    state = SecondMoments(problem).state(START)
    for k, size in enumerate(sizes):
        moments = SecondMoments(problem, size, sampling)
        assert growing.gap[k] == pytest.approx(moments.gap(state), rel=1e-12)
        assert growing.gradient_second_moment[k] == pytest.approx(
            moments.gradient_second_moment(state), rel=1e-12
        )
        state = moments.step(0.2 / (k + 1)) @ state
    assert growing.gap[4] == pytest.approx(moments.gap(state), rel=1e-12)


def test_growing_batches_in_the_engine() -> None:
    problem = PROBLEMS["ridge"]
    options: dict[str, Any] = {
        "steps": 8,
        "step_size": 0.2,
        "batch_size": geometric_batches(1, 1.5, 4),
        "sampling": "without_replacement",
    }
    exact = expected_sgd(problem, START, **options).gap
    trace = sgd(problem, START, replicates=4000, rng=3, record="all", **options)
    mean, error = trace.mean()
    np.testing.assert_array_less(np.abs(mean - exact), 5 * error + 1e-12)
    assert trace.n_gradients == evaluate_batches(options["batch_size"], 0, 8).sum()
    few = sgd(problem, START, replicates=3, rng=3, record="all", **options)
    np.testing.assert_allclose(few.gap, trace.gap[:, :3], rtol=1e-10)


def test_batches_larger_than_the_sum_need_replacement() -> None:
    problem = PROBLEMS["ridge"]
    large = geometric_batches(1, 2.0)
    gap = expected_sgd(problem, START, steps=40, step_size=0.2, batch_size=large).gap
    assert gap[-1] < 1e-5 * gap[0]
    sgd(problem, START, steps=4, step_size=0.2, batch_size=large)
    for run in (expected_sgd, sgd):
        with pytest.raises(ValueError, match="batch_size: wanted an integer of at least 1 and at"):
            run(
                problem,
                steps=4,
                step_size=0.2,
                batch_size=large,
                sampling="without_replacement",
            )


BAD: list[tuple[str, Any]] = [
    (
        "batch_size",
        lambda: sgd(PROBLEMS["ridge"], steps=1, step_size=0.1, batch_size=3, sampling="cyclic"),
    ),
    ("batch_size", lambda: EpochMoments(PROBLEMS["ridge"], 0.1, "reshuffled", 3)),
    (
        "batch_size",
        lambda: sgd(
            PROBLEMS["ridge"], steps=1, step_size=0.1, batch_size=lambda k: 2, sampling="reshuffled"
        ),
    ),
    (
        "batch_size",
        lambda: sgd(
            PROBLEMS["ridge"],
            steps=2,
            step_size=0.1,
            batch_size=lambda k: k + 1,
            sampling=AllSequences(WithReplacement()),
        ),
    ),
    (
        "batch_size at step 0",
        lambda: sgd(PROBLEMS["ridge"], steps=1, step_size=0.1, batch_size=lambda k: 0),
    ),
    ("batch_size at step 1", lambda: evaluate_batches(lambda k: 10 ** (20 * k), 0, 2)),
    ("batch_size", lambda: evaluate_batches(10**20, 0, 2)),
    ("first", lambda: geometric_batches(10**16, 2.0)),
    ("largest", lambda: geometric_batches(1, 2.0, 10**16)),
    (
        "batch_size at step 0",
        lambda: sgd(PROBLEMS["ridge"], steps=1, step_size=0.1, batch_size=lambda k: 1.5),
    ),
    ("order", lambda: EpochMoments(PROBLEMS["ridge"], 0.1, "random")),
    ("n_samples", lambda: EpochMoments(LeastSquares(np.eye(9), np.ones(9)), 0.1)),
    ("step_size", lambda: EpochMoments(PROBLEMS["ridge"], 0.0)),
    ("epochs", lambda: EpochMoments(PROBLEMS["ridge"], 0.1).evolve(None, -1)),
    (
        "sampling",
        lambda: expected_sgd(PROBLEMS["ridge"], steps=1, step_size=0.1, sampling="cyclic"),
    ),
    ("sampling", lambda: resolve("reshuffled").outcomes(3, 1)),
    ("first", lambda: geometric_batches(0, 2.0)),
    ("ratio", lambda: geometric_batches(1, 0.5)),
    ("largest", lambda: geometric_batches(4, 2.0, 3)),
]


@pytest.mark.parametrize(("argument", "call"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_bad_input_is_refused_by_name(argument: str, call: Any) -> None:
    with pytest.raises(ValueError, match="wanted") as caught:
        call()
    assert str(caught.value).startswith(f"{argument}: ")


def test_a_constant_schedule_of_batches_is_a_batch_size() -> None:
    problem = PROBLEMS["ridge"]
    one = expected_sgd(problem, START, steps=9, step_size=0.1, batch_size=2)
    two = expected_sgd(problem, START, steps=9, step_size=0.1, batch_size=lambda k: 2)
    np.testing.assert_allclose(one.gap, two.gap, rtol=1e-12)
    assert Minibatch(2).cost(problem, 7) == Minibatch(lambda k: 2).cost(problem, 7) == 14
    assert schedules.evaluate_batches(2, 3, 5).tolist() == [2, 2]
