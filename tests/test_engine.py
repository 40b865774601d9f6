"""The engine against a naive loop, and what a trace says of a run."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from random_settings import SAMPLINGS

from sgdnotes import LeastSquares, LogisticRegression, Ridge, Trace, gradient_descent, run, sgd
from sgdnotes.engine import FAR, METRICS, record_steps
from sgdnotes.oracles import FullGradient, Minibatch
from sgdnotes.problems import FiniteSum, quadratic, quartic, sine_valley
from sgdnotes.sampling import GROUP, resolve
from sgdnotes.schedules import (
    capped,
    constant,
    constant_then_inverse_time,
    evaluate,
    inverse_time,
)
from sgdnotes.updates import BacktrackingStep, GradientStep


def problems() -> dict[str, FiniteSum]:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((12, 3)), rng.standard_normal(12)
    return {
        "least squares": LeastSquares(a, b),
        "ridge": Ridge(a, b, 0.3),
        "logistic": LogisticRegression(a, np.sign(b), 0.2),
        "sine valley": sine_valley([1.0, -2.0, 1.0]),
    }


PROBLEMS = problems()
SQUARES = PROBLEMS["least squares"]


def naive_sgd(
    problem: FiniteSum, x0: np.ndarray, step_sizes: list[float], batches: np.ndarray
) -> list[np.ndarray]:
    """SGD as one would write it at a blackboard: one run, one sample at a time."""
    x = np.array(x0, dtype=float)
    iterates = [x]
    for alpha, batch in zip(step_sizes, batches, strict=True):
        gradient = np.zeros_like(x)
        for i in batch:
            gradient += problem.component_gradients(x)[i]
        x = x - alpha * gradient / len(batch)
        iterates.append(x)
    return iterates


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("schedule", ["constant", "varying"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_against_a_naive_loop(name: str, schedule: str, batch_size: int, sampling: str) -> None:
    problem, steps = PROBLEMS[name], 140
    step_size: Any = 0.05 if schedule == "constant" else (lambda k: 0.1 / (1 + k / 10))
    sizes = [step_size(k) if callable(step_size) else step_size for k in range(steps)]
    x0 = np.arange(70.0 * problem.dim).reshape(70, problem.dim) / 50
    trace = sgd(
        problem,
        x0,
        steps=steps,
        step_size=step_size,
        batch_size=batch_size,
        sampling=sampling,
        replicates=70,
        rng=42,
        record="all",
        metrics=METRICS,
        average=True,
    )
    stream = resolve(sampling).stream(problem.n_samples, batch_size, 70, np.random.default_rng(42))
    draws: list[np.ndarray] = []
    while len(draws) < steps:
        draws.extend(next(stream))
    for replicate in (0, 1, 63, 64, 69):
        batches = np.array(draws[:steps])[:, replicate]
        iterates = np.array(naive_sgd(problem, x0[replicate], sizes, batches))
        close = {"rtol": 1e-10, "atol": 1e-10}
        np.testing.assert_allclose(trace.history["x"][:, replicate], iterates, **close)
        np.testing.assert_allclose(trace.x[replicate], iterates[-1], **close)
        np.testing.assert_allclose(trace.x_average[replicate], iterates[:-1].mean(axis=0), **close)
        gaps = [float(problem.value(x)) - problem.minimum for x in iterates]
        np.testing.assert_allclose(trace.gap[:, replicate], gaps, rtol=1e-8, atol=1e-10)
        squared = [float(problem.gradient(x) @ problem.gradient(x)) for x in iterates]
        np.testing.assert_allclose(
            trace.history["gradient_norm_squared"][:, replicate], squared, rtol=1e-8, atol=1e-12
        )
        distances = [float(((x - problem.minimizer) ** 2).sum()) for x in iterates]
        np.testing.assert_allclose(
            trace.history["distance_squared"][:, replicate], distances, rtol=1e-8, atol=1e-12
        )
        assert trace.fun[replicate] == pytest.approx(float(problem.value(iterates[-1])))
    assert trace.nit == steps
    assert trace.success
    assert trace.message == "took all 140 steps"
    assert trace.n_gradients == steps * batch_size
    assert trace.x.shape == trace.x_average.shape == (70, problem.dim)
    assert trace.fun.shape == (70,)
    assert trace.gap.shape == (141, 70)
    assert trace.history["x"].shape == (141, 70, problem.dim)
    np.testing.assert_array_equal(trace.steps, np.arange(141))


def test_gradient_descent_by_hand() -> None:
    trace = gradient_descent(quadratic(2.0), [8.0], steps=3, step_size=0.25, record="all")
    assert trace.gap[:, 0].tolist() == [64.0, 16.0, 4.0, 1.0]
    assert trace.x.tolist() == [[1.0]]
    assert trace.fun.tolist() == [1.0]
    assert trace.n_gradients == 3
    by_default = gradient_descent(SQUARES, steps=1)
    np.testing.assert_allclose(
        by_default.x[0], -SQUARES.gradient(np.zeros(3)) / SQUARES.smoothness, rtol=1e-14
    )
    assert gradient_descent(SQUARES, steps=5).n_gradients == 60


def test_a_full_batch_without_replacement_is_gradient_descent() -> None:
    sampled = sgd(
        SQUARES, steps=40, step_size=0.1, batch_size=12, sampling=SAMPLINGS[1], rng=0, record="all"
    )
    full = gradient_descent(SQUARES, steps=40, step_size=0.1, record="all")
    np.testing.assert_allclose(sampled.gap, full.gap, rtol=1e-10, atol=1e-15)
    assert sampled.n_gradients == full.n_gradients


def test_replicates_agree_whatever_their_number() -> None:
    arguments = {"steps": 500, "step_size": 0.03, "batch_size": 4, "rng": 9}
    many = sgd(SQUARES, replicates=2 * GROUP + 3, **arguments)
    for replicates in (1, 2, GROUP, GROUP + 1):
        few = sgd(SQUARES, replicates=replicates, **arguments)
        np.testing.assert_allclose(few.x, many.x[:replicates], rtol=1e-10, atol=1e-10)
        np.testing.assert_array_equal(few.steps, many.steps)


def test_zero_steps_record_the_start() -> None:
    trace = sgd(SQUARES, [1.0, 2.0, 3.0], steps=0, step_size=0.1, average=True)
    assert trace.steps.tolist() == [0]
    assert trace.x.tolist() == [[1.0, 2.0, 3.0]]
    assert trace.n_gradients == 0
    assert trace.success
    assert trace.x_average is not None
    assert trace.x_average.tolist() == [[1.0, 2.0, 3.0]]


# ---- recording --------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 2, 10, 1000, 12345])
@pytest.mark.parametrize("record", [1, 2, 10, 60, 10**5])
def test_records_are_spaced_logarithmically(steps: int, record: int) -> None:
    chosen = record_steps(steps, record)
    assert chosen[0] == 0
    assert chosen[-1] == steps
    assert (np.diff(chosen) > 0).all()
    assert len(chosen) <= min(record, steps) + 2
    if steps == 12345 and record == 60:
        late = chosen[chosen > 100] + 1.0
        np.testing.assert_allclose(late[1:] / late[:-1], 12346 ** (1 / 59), rtol=0.01)


def test_records_on_demand() -> None:
    assert record_steps(4, "all").tolist() == [0, 1, 2, 3, 4]
    assert record_steps(10, [7, 3, 3]).tolist() == [0, 3, 7, 10]
    assert record_steps(10, np.array([5])).tolist() == [0, 5, 10]
    assert record_steps(10, []).tolist() == [0, 10]
    assert record_steps(10, range(8, 10)).tolist() == [0, 8, 9, 10]


def test_own_metrics() -> None:
    trace = sgd(
        SQUARES,
        steps=20,
        step_size=0.1,
        replicates=5,
        rng=0,
        record=[10],
        metrics={"first": lambda problem, x: x[:, 0], "size": lambda problem, x: problem.value(x)},
    )
    assert set(trace.history) == {"first", "size"}
    np.testing.assert_array_equal(trace.history["first"][-1], trace.x[:, 0])
    np.testing.assert_array_equal(trace.history["size"][-1], trace.fun)
    assert trace.steps.tolist() == [0, 10, 20]


def test_recorded_iterates_are_copies() -> None:
    trace = sgd(SQUARES, steps=3, step_size=0.1, rng=0, record="all", metrics=["x"], average=True)
    assert len({tuple(x[0]) for x in trace.history["x"]}) == 4


def test_mean_and_standard_error() -> None:
    trace = sgd(SQUARES, steps=30, step_size=0.1, replicates=50, rng=1)
    mean, error = trace.mean()
    np.testing.assert_allclose(mean, trace.gap.sum(axis=1) / 50, rtol=1e-12)
    wanted = np.sqrt(((trace.gap - mean[:, None]) ** 2).sum(axis=1) / 49 / 50)
    np.testing.assert_allclose(error, wanted, rtol=1e-10)
    single = sgd(SQUARES, steps=30, step_size=0.1, rng=1)
    assert np.isinf(single.mean()[1]).all()
    np.testing.assert_array_equal(single.mean()[0], single.gap[:, 0])


def test_a_trace_is_frozen() -> None:
    trace = sgd(SQUARES, steps=1, step_size=0.1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        trace.nit = 7  # type: ignore[misc]
    assert "history" not in repr(trace)


# ---- schedules --------------------------------------------------------------------------------


def test_schedules_by_their_formulas() -> None:
    assert evaluate(constant(0.3), 5, 8).tolist() == [0.3, 0.3, 0.3]
    assert evaluate(0.3, 5, 8).tolist() == [0.3, 0.3, 0.3]
    mu = 0.7
    k = np.arange(50)
    np.testing.assert_allclose(
        evaluate(inverse_time(mu), 0, 50), (2 * k + 1) / (2 * mu * (k + 1) ** 2), rtol=1e-15
    )
    assert inverse_time(mu)(0) == pytest.approx(1 / (2 * mu))
    # The identity behind it: 1 - 2 alpha_k mu = (k / (k + 1))².
    np.testing.assert_allclose(
        1 - 2 * mu * evaluate(inverse_time(mu), 0, 50), (k / (k + 1)) ** 2, atol=1e-14
    )
    switching = evaluate(constant_then_inverse_time(3.0, 0.7), 0, 50)
    np.testing.assert_allclose(switching[:20], 1 / 6, rtol=1e-15)  # 4 ceil(3 / 0.7) = 20
    np.testing.assert_allclose(switching[20:], ((2 * k + 1) / (0.7 * (k + 1) ** 2))[20:])
    assert (np.diff(switching) <= 0).all()
    assert evaluate(capped(inverse_time(mu), 0.1), 0, 50).max() == 0.1
    np.testing.assert_allclose(
        evaluate(capped(inverse_time(mu), 0.1), 0, 50),
        np.minimum(0.1, evaluate(inverse_time(mu), 0, 50)),
    )


def test_a_schedule_sees_every_step_once_in_order() -> None:
    asked: list[int] = []

    def schedule(k: int) -> float:
        asked.append(k)
        return 0.01

    sgd(SQUARES, steps=300, step_size=schedule, record=[7, 200], batch_size=5)
    assert asked[1:] == list(range(300))  # and once at the door
    assert asked[0] == 0


# ---- callbacks, bars, inputs ------------------------------------------------------------------


def test_a_callback_sees_the_trace_so_far_and_may_stop() -> None:
    seen: list[Trace] = []

    def stop_at_ten(trace: Trace) -> None:
        seen.append(trace)
        if trace.nit >= 10:
            raise StopIteration

    trace = sgd(
        SQUARES, steps=100, step_size=0.05, rng=3, record="all", callback=stop_at_ten, average=True
    )
    assert [t.nit for t in seen] == list(range(11))
    assert trace.nit == 10
    assert trace.success
    assert trace.message == "stopped by the callback after step 10"
    assert trace.steps.tolist() == list(range(11))
    assert len(trace.gap) == 11
    assert trace.n_gradients == 10
    whole = sgd(SQUARES, steps=10, step_size=0.05, rng=3, record="all", average=True)
    np.testing.assert_array_equal(trace.x, whole.x)
    np.testing.assert_array_equal(trace.x_average, whole.x_average)
    for early, now in zip(seen, range(11), strict=True):
        assert len(early.gap) == now + 1
        np.testing.assert_array_equal(early.gap, trace.gap[: now + 1])


def test_a_callback_may_stop_at_the_start_without_metrics() -> None:
    def stop(trace: Trace) -> None:
        raise StopIteration

    trace = sgd(SQUARES, steps=100, step_size=0.05, metrics=(), callback=stop)
    assert trace.steps.tolist() == [0]
    assert trace.history == {}


def test_other_exceptions_of_a_callback_pass_through() -> None:
    def fail(trace: Trace) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        sgd(SQUARES, steps=3, step_size=0.1, callback=fail)


def test_the_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    sgd(SQUARES, steps=50, step_size=0.01, progress=True)
    shown = capsys.readouterr()
    assert "50/50" in shown.err
    assert shown.out == ""
    sgd(SQUARES, steps=50, step_size=0.01)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("method", ["sgd", "gd", "line search"])
def test_inputs_are_not_changed(method: str) -> None:
    rng = np.random.default_rng(0)
    a, b, x0 = rng.standard_normal((6, 2)), rng.standard_normal(6), rng.standard_normal((3, 2))
    copies = a.copy(), b.copy(), x0.copy()
    problem = LeastSquares(a, b)
    for array in (a, b, x0, problem.features, problem.targets):
        array.setflags(write=False)
    if method == "sgd":
        trace = sgd(problem, x0, steps=5, step_size=0.1, replicates=3, average=True)
    else:
        trace = gradient_descent(
            problem, x0, steps=5, replicates=3, line_search=method == "line search"
        )
    for array, copy in zip((a, b, x0), copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    trace.x[:] = 0  # a trace is the caller's own
    np.testing.assert_array_equal(x0, copies[2])


def test_a_shared_starting_point_is_broadcast() -> None:
    trace = sgd(SQUARES, [1, 2, 3], steps=0, step_size=0.1, replicates=4)
    assert trace.x.tolist() == [[1.0, 2.0, 3.0]] * 4


# ---- divergence -------------------------------------------------------------------------------


@pytest.mark.parametrize("record", ["all", 60, [1], [150]])
def test_divergence_is_reported_with_the_step(record: Any) -> None:
    # x_{k+1} = -9 x_k, so the first step outside the ball is known.
    last_inside = math.floor(math.log(FAR) / math.log(9))
    trace = gradient_descent(quadratic(1.0), [1.0], steps=1000, step_size=10.0, record=record)
    assert not trace.success
    assert trace.nit == last_inside
    assert f"step {last_inside + 1} left the ball" in trace.message
    assert f"x is the iterate after step {last_inside}" in trace.message
    assert trace.x[0, 0] == pytest.approx((-9.0) ** last_inside, rel=1e-9)
    assert trace.n_gradients == last_inside
    assert np.isfinite(trace.gap).all()
    assert np.isfinite(trace.x).all()
    assert np.isfinite(trace.fun).all()
    assert len(trace.steps) == len(trace.gap)
    kept = record_steps(1000, record)
    np.testing.assert_array_equal(trace.steps, kept[kept <= last_inside])
    np.testing.assert_allclose(trace.gap[:, 0], 0.5 * 81.0**trace.steps, rtol=1e-9)


def test_divergence_to_nan_within_a_block_is_found() -> None:
    # On x⁴ the iterates overflow within a few steps: inf, then inf - inf.
    trace = gradient_descent(quartic(), [3.0], steps=500, step_size=0.1, record=[500])
    x, k = 3.0, 0
    while abs(following := x - 0.1 * 4 * x**3) <= FAR:
        x, k = following, k + 1
    assert not trace.success
    assert trace.nit == k
    assert trace.x[0, 0] == pytest.approx(x, rel=1e-12)
    assert trace.steps.tolist() == [0]
    assert np.isfinite(trace.gap).all()


def test_one_diverging_replicate_stops_all() -> None:
    start = np.array([[0.1], [3.0]])
    trace = gradient_descent(
        quartic(), start, steps=500, step_size=0.1, replicates=2, record="all", average=True
    )
    assert not trace.success
    assert trace.nit == len(trace.steps) - 1
    assert trace.gap.shape == (len(trace.steps), 2)
    assert np.isfinite(trace.x_average).all()


def test_stochastic_divergence_repeats_the_same_draws() -> None:
    arguments = {"step_size": 5.0, "replicates": 5, "rng": 1, "batch_size": 2}
    trace = sgd(SQUARES, steps=4000, record=[4000], **arguments)
    assert not trace.success
    again = sgd(SQUARES, steps=trace.nit, record="all", metrics=["x"], **arguments)
    assert again.success
    np.testing.assert_array_equal(trace.x, again.x)
    beyond = sgd(SQUARES, steps=trace.nit + 1, record="all", **arguments)
    assert beyond.nit == trace.nit
    assert beyond.message == trace.message


def test_metrics_of_bounded_iterates_do_not_overflow() -> None:
    for problem in (quadratic(1.0), quartic()):
        assert np.isfinite(problem.value(np.array([FAR])))
    trace = gradient_descent(
        quadratic(1.0), [1.0], steps=300, step_size=10.0, record="all", metrics=METRICS
    )
    assert all(np.isfinite(values).all() for values in trace.history.values())


def test_a_far_start_within_bounds_is_not_divergence() -> None:
    trace = gradient_descent(quadratic(1.0), [1e70], steps=200, step_size=0.5)
    assert trace.success
    assert trace.gap[-1, 0] < 1e25


# ---- line search ------------------------------------------------------------------------------


@pytest.mark.parametrize("decrease", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("shrink", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_line_search_obeys_armijo_and_does_not_stop_short(
    name: str, shrink: float, decrease: float
) -> None:
    problem = PROBLEMS[name]
    rule = BacktrackingStep(decrease=decrease, shrink=shrink, max_trials=400)
    rng = np.random.default_rng(1)
    x = 5 * rng.standard_normal((30, problem.dim))
    state = rule.init(problem, x)
    assert np.isnan(state).all()
    for first_trial in (0.01, 1.0, 100.0):
        gradient = problem.gradient(x)
        following, accepted = rule.apply(problem, x, gradient, first_trial, state)
        np.testing.assert_allclose(following, x - accepted[:, None] * gradient, rtol=1e-14)
        squared = (gradient**2).sum(axis=1)
        achieved = problem.value(x) - problem.value(following)
        assert (achieved >= decrease * accepted * squared * (1 - 1e-12)).all()
        # Every step up to 2 (1 - c)/L satisfies Armijo's condition, so one shrink below it is
        # the shortest that can be accepted.
        shortest = min(first_trial, shrink * 2 * (1 - decrease) / problem.smoothness)
        assert (accepted >= shortest * (1 - 1e-12)).all()
        assert (accepted <= first_trial).all()
        trials = np.log(accepted / first_trial) / math.log(shrink)
        np.testing.assert_allclose(trials, np.rint(trials), atol=1e-6)
        # The step before the accepted one was too long.
        longer = accepted / shrink
        tried = problem.value(x - longer[:, None] * gradient)
        rejected = tried > problem.value(x) - decrease * longer * squared * (1 + 1e-12)
        assert (rejected | (accepted == first_trial)).all()


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradient_descent_with_line_search_reaches_the_minimum(name: str) -> None:
    problem = PROBLEMS[name]
    trace = gradient_descent(
        problem, [2.0] * problem.dim, steps=400, line_search=True, record="all"
    )
    assert trace.gap[-1, 0] < 1e-10
    assert (np.diff(trace.gap[:, 0]) <= 1e-12).all()
    own = gradient_descent(
        problem,
        [2.0] * problem.dim,
        steps=5,
        step_size=3.0,
        line_search=BacktrackingStep(decrease=0.3, shrink=0.7),
    )
    assert own.success
    assert own.n_gradients == 5 * problem.n_samples


def test_line_search_tames_the_quartic() -> None:
    plain = gradient_descent(quartic(), [3.0], steps=200, step_size=0.1)
    searched = gradient_descent(quartic(), [3.0], steps=200, step_size=0.1, line_search=True)
    assert not plain.success
    assert searched.success
    assert searched.gap[-1, 0] < 1e-3


# ---- oracles with state -----------------------------------------------------------------------


class Remembering(FullGradient):
    """The average of the last two gradients, to see that state is carried along."""

    def init(self, problem: FiniteSum, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return problem.gradient(x)

    def gradient(self, problem: FiniteSum, x: np.ndarray, draw: Any, state: Any) -> Any:
        now = problem.gradient(x)
        return (now + state) / 2, now


class Momentum(GradientStep):
    """Heavy ball."""

    def init(self, problem: FiniteSum, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return np.zeros_like(x)

    def apply(self, problem: Any, x: Any, gradient: Any, step_size: float, state: Any) -> Any:
        velocity = 0.5 * state - step_size * gradient
        return x + velocity, velocity


@pytest.mark.parametrize("record", ["all", [3, 150]])
def test_state_is_carried_from_step_to_step(record: Any) -> None:
    x = np.array([1.0, -1.0, 2.0])
    trace = run(SQUARES, Remembering(), Momentum(), steps=200, step_size=0.05, x0=x, record=record)
    last, velocity = SQUARES.gradient(x), np.zeros(3)
    for _ in range(200):
        now = SQUARES.gradient(x)
        velocity = 0.5 * velocity - 0.05 * (now + last) / 2
        x, last = x + velocity, now
    np.testing.assert_allclose(trace.x[0], x, rtol=1e-10)


def test_state_survives_the_search_for_the_diverging_step() -> None:
    steps = 400
    trace = run(
        SQUARES,
        Remembering(),
        Momentum(),
        steps=steps,
        step_size=30.0,
        x0=[1.0, 1.0, 1.0],
        record=[steps],
    )
    assert not trace.success
    within = run(
        SQUARES, Remembering(), Momentum(), steps=trace.nit, step_size=30.0, x0=[1.0, 1.0, 1.0]
    )
    assert within.success
    np.testing.assert_allclose(trace.x, within.x, rtol=1e-12)


def test_costs() -> None:
    assert FullGradient().cost(SQUARES, 3) == 36
    assert Minibatch(5).cost(SQUARES, 3) == 15
