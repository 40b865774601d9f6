"""Magnitude pruning, and the updates that go with it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from sgdnotes.engine import run
from sgdnotes.methods import gradient_descent
from sgdnotes.oracles import FullGradient
from sgdnotes.problems import Convolution, LeastSquares, Network
from sgdnotes.pruning import prune_units, prune_weights
from sgdnotes.updates import ShrinkingStep, SupportStep


def network(*hidden: int | Convolution) -> Network:
    rng = np.random.default_rng(0)
    return Network(rng.random((20, 16)), rng.integers(0, 3, 20), hidden)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.95, 1.0])
def test_the_smallest_weights_of_each_layer_go(share: float) -> None:
    net = network(5, 4)
    x = net.initial_weights(1, 3)
    before = x.copy()
    pruned = prune_weights(net, x, share)
    np.testing.assert_array_equal(x, before)
    for block in net.blocks:
        np.testing.assert_array_equal(pruned[:, block.offsets], x[:, block.offsets])
        for weights, left in zip(x[:, block.weights], pruned[:, block.weights], strict=True):
            gone = left == 0
            assert gone.sum() == round(share * len(weights))
            np.testing.assert_array_equal(left[~gone], weights[~gone])
            if gone.any() and not gone.all():
                assert np.abs(weights[gone]).max() <= np.abs(weights[~gone]).min()


def test_pruning_one_point_is_pruning_many() -> None:
    net = network(5)
    x = net.initial_weights(2, 4)
    for prune in (prune_weights, prune_units):
        np.testing.assert_array_equal(prune(net, x, 0.4)[2], prune(net, x[2], 0.4))


def test_removed_units_leave_a_smaller_network() -> None:
    net, small = network(6), network(4)
    x = net.initial_weights(3)
    x[:, net.blocks[0].offsets] = np.random.default_rng(4).normal(size=(1, 6))
    first, second = net.blocks
    incoming, outgoing = x[0, first.weights].reshape(16, 6), x[0, second.weights].reshape(6, 3)
    stay = np.sort(np.argsort(np.linalg.norm(incoming, axis=0))[2:])
    parts = [incoming[:, stay], x[0, first.offsets][stay], outgoing[stay], x[0, second.offsets]]
    smaller = np.concatenate([part.ravel() for part in parts])
    pruned = prune_units(net, x, 1 / 3)
    np.testing.assert_allclose(net.logits(pruned)[0], small.logits(smaller), atol=1e-14)
    assert (pruned != 0).sum() == small.dim - 3  # the last offsets are zero at the start
    assert np.abs(net.logits(pruned) - net.logits(x)).max() > 0.01


def test_shrinking_step_minimises_its_model() -> None:
    rng = np.random.default_rng(5)
    x, gradient, penalty = rng.normal(size=(1, 8)), rng.normal(size=(1, 8)), 3 * rng.random(8)
    found, _ = ShrinkingStep(penalty).apply(LeastSquares([[1.0]], [0.0]), x, gradient, 0.4, None)
    for at, weight, end in zip((x - 0.4 * gradient)[0], penalty, found[0], strict=True):
        model = lambda z, y=at, w=weight: (z - y) ** 2 / 0.8 + w * abs(z)  # noqa: E731
        best = minimize_scalar(model, bounds=(-9, 9), method="bounded", options={"xatol": 1e-12})
        assert model(end) <= best.fun + 1e-12
    assert (found == 0).any()
    assert (found != 0).any()


def test_shrinking_steps_solve_the_lasso() -> None:
    rng = np.random.default_rng(6)
    problem, penalty = LeastSquares(rng.normal(size=(30, 5)), rng.normal(size=30)), 0.2
    step = 1 / problem.smoothness
    trace = gradient_descent(
        problem, steps=2000, step_size=step, update=ShrinkingStep(penalty), record=[0]
    )
    x, slope = trace.x[0], problem.gradient(trace.x[0])
    assert (x == 0).any()
    np.testing.assert_allclose(slope[x != 0], -penalty * np.sign(x[x != 0]), atol=1e-9)
    assert (np.abs(slope[x == 0]) <= penalty).all()


def test_what_is_zero_stays_zero_in_each_replicate() -> None:
    rng = np.random.default_rng(7)
    problem = LeastSquares(rng.normal(size=(30, 4)), rng.normal(size=30))
    start = np.array([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    trace = run(
        problem,
        FullGradient(),
        SupportStep(),
        x0=start,
        steps=3000,
        step_size=1 / problem.smoothness,
        replicates=2,
    )
    for row, x in zip(start, trace.x, strict=True):
        assert (x[row == 0] == 0).all()
        used = np.asarray(problem.features)[:, row != 0]
        wanted = np.linalg.lstsq(used, np.asarray(problem.targets))[0]
        np.testing.assert_allclose(x[row != 0], wanted, atol=1e-9)


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("share", lambda: prune_weights(network(), np.zeros(51), -0.1)),
        ("share", lambda: prune_units(network(2), np.zeros(43), 1.1)),
        ("share", lambda: prune_weights(network(), np.zeros(51), np.nan)),
        ("x", lambda: prune_weights(network(), np.zeros(50), 0.1)),
        ("network", lambda: prune_weights(None, np.zeros(50), 0.1)),  # type: ignore[arg-type]
        ("network", lambda: prune_units(net := network(Convolution(2)), np.zeros(net.dim), 0.1)),
        ("penalty", lambda: ShrinkingStep(-1.0)),
        ("penalty", lambda: ShrinkingStep([0.1, np.nan])),
        ("penalty", lambda: ShrinkingStep([0.1, 0.2]).init(network(), np.zeros((1, 51)))),
    ],
)
def test_bad_input_is_named(argument: str, call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=rf"^{argument}\b.*(wanted|must).*got "):
        call()
