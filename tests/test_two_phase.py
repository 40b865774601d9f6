"""The two-phase Newton-like method, its online form, and the quadratic models they walk on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from sgdnotes.engine import Trace, run
from sgdnotes.methods import online_newton, sgd, two_phase_newton
from sgdnotes.oracles import LinearizedMinibatch, Minibatch
from sgdnotes.problems import LeastSquares, LinearModel, LogisticRegression, Ridge, quadratic
from sgdnotes.updates import GradientStep


def skewed_problem() -> LogisticRegression:
    """Rows of length 1, small curvatures, one of them zero; the instance of lecture 06."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2000, 10)) * np.geomspace(1, 0.05, 10)
    features[:, -1] = 0
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    truth = rng.normal(size=10)
    truth *= 20 / np.linalg.norm(truth)
    labels = np.where(rng.random(2000) < expit(features @ truth), 1.0, -1.0)
    return LogisticRegression(features, labels, regularization=0)


def small_problem(regularization: float = 0.0) -> LogisticRegression:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(30, 3))
    labels = np.where(rng.random(30) < expit(features @ [1.0, -1.0, 0.5]), 1.0, -1.0)
    return LogisticRegression(features, labels, regularization)


SMALL = small_problem()
MODELS = {
    "logistic": SMALL,
    "regularized": small_problem(0.3),
    "ridge": Ridge(SMALL.features, np.arange(30.0), 0.2),
    "least squares": LeastSquares(SMALL.features, np.arange(30.0)),
}


# ---- the gradient of the quadratic model ------------------------------------------------------


def taylor_losses(model: LinearModel, x: np.ndarray, anchor: np.ndarray) -> np.ndarray:
    """Each loss replaced by its Taylor polynomial around the anchor, from values of the losses."""
    at, direction, h = model.features @ anchor, model.features @ (x - anchor), 1e-4
    loss = partial(model._loss, target=model.targets)
    slope = (loss(at + h) - loss(at - h)) / (2 * h)
    curvature = (loss(at + h) - 2 * loss(at) + loss(at - h)) / h**2
    penalty = model.regularization / 2 * (x**2).sum()
    return np.asarray(loss(at) + slope * direction + curvature * direction**2 / 2 + penalty)


@pytest.mark.parametrize("name", MODELS)
def test_linearized_gradient_by_differences_of_the_quadratic_model(name: str) -> None:
    model = MODELS[name]
    rng = np.random.default_rng(2)
    x, anchor = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    indices = rng.integers(30, size=(4, 5))
    found = model.linearized_gradient(x, anchor, indices)
    for row, point, at, batch in zip(found, x, anchor, indices, strict=True):
        numeric = [
            (taylor_losses(model, point + h, at) - taylor_losses(model, point - h, at))[batch]
            for h in 1e-3 * np.eye(3)
        ]
        np.testing.assert_allclose(row, np.mean(numeric, axis=1) / 2e-3, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_linearized_gradient_in_closed_form(name: str) -> None:
    model = MODELS[name]
    rng = np.random.default_rng(3)
    x, anchor, everything = rng.normal(size=(1, 3)), rng.normal(size=(1, 3)), np.arange(30)[None]
    np.testing.assert_allclose(  # at the anchor the model touches the sum
        model.linearized_gradient(anchor, anchor, everything),
        model.minibatch_gradient(anchor, everything),
        rtol=1e-13,
    )
    if isinstance(model, LogisticRegression):
        hessian = model.hessian_at(anchor[0])
    else:
        hessian = model.hessian  # type: ignore[attr-defined]
    np.testing.assert_allclose(  # and away from it the Hessian says how the gradient changes
        model.linearized_gradient(x, anchor, everything)[0],
        model.gradient(anchor[0]) + hessian @ (x - anchor)[0],
        rtol=1e-12,
    )


def test_a_quadratic_is_its_own_model() -> None:
    rng = np.random.default_rng(4)
    x, anchor, indices = rng.normal(size=(7, 3)), rng.normal(size=(7, 3)), np.arange(14) % 30
    for name in ("ridge", "least squares"):
        np.testing.assert_allclose(
            MODELS[name].linearized_gradient(x, anchor, indices.reshape(7, 2)),
            MODELS[name].minibatch_gradient(x, indices.reshape(7, 2)),
            rtol=1e-12,
        )


def test_second_derivatives_stay_positive_far_out() -> None:
    curvature = SMALL._loss_second_derivative(np.array([0.0, 40.0, -40.0, 700.0]), np.ones(4))
    np.testing.assert_allclose(curvature, [0.25, np.exp(-40), np.exp(-40), np.exp(-700)])


# ---- the oracle -------------------------------------------------------------------------------


def test_a_fixed_anchor_is_sgd_on_weighted_least_squares() -> None:
    rng = np.random.default_rng(5)
    start = rng.normal(size=3)
    prediction = SMALL.features @ start
    weights = expit(prediction) * expit(-prediction)
    slopes = -SMALL.targets * expit(-SMALL.targets * prediction)
    model = LeastSquares(
        np.sqrt(weights)[:, None] * SMALL.features,
        np.sqrt(weights) * (prediction - slopes / weights),
    )
    options: dict[str, Any] = {"steps": 300, "step_size": 0.3, "replicates": 6, "rng": 7}
    wanted = sgd(model, start, batch_size=3, record="all", metrics=["x"], **options)
    oracle = LinearizedMinibatch(3, anchor="start")
    found = run(SMALL, oracle, GradientStep(), x0=start, record="all", metrics=["x"], **options)
    np.testing.assert_allclose(found.history["x"], wanted.history["x"], rtol=1e-10, atol=1e-11)
    assert np.ptp(found.x) > 0.1


def test_the_anchor_of_the_online_form_is_the_running_average() -> None:
    steps, replicates, step_size = 100, 5, 0.4
    start = np.array([0.5, 0.0, -2.0])
    trace = online_newton(
        SMALL, start, steps=steps, step_size=step_size, batch_size=1, replicates=replicates,
        rng=11, record="all", metrics=["x"],
    )  # fmt: skip
    draws = next(Minibatch().draws(SMALL, replicates, np.random.default_rng(11)))
    for r in range(replicates):
        iterates = [start]
        for k in range(steps):
            row, label = (part[draws[k, r, 0]] for part in (SMALL.features, SMALL.targets))
            anchor = sum(iterates) / len(iterates)
            margin = label * (row @ anchor)
            slope = -label / (1 + np.exp(margin))
            curvature = np.exp(margin) / (1 + np.exp(margin)) ** 2
            gradient = (slope + curvature * (row @ (iterates[-1] - anchor))) * row
            iterates.append(iterates[-1] - step_size * gradient)
        np.testing.assert_allclose(trace.history["x"][:, r], iterates, rtol=1e-12, atol=1e-12)
        assert trace.x_average is not None
        np.testing.assert_allclose(trace.x_average[r], np.mean(iterates[:-1], axis=0), rtol=1e-12)


@pytest.mark.parametrize("anchor", ["start", "average"])
def test_the_state_of_the_oracle_is_replaced_and_not_changed(anchor: str) -> None:
    oracle = LinearizedMinibatch(2, anchor=anchor)
    x, draw = np.ones((4, 3)), np.zeros((4, 2), dtype=np.int64)
    before = oracle.init(SMALL, x)
    kept = before[0].copy(), before[1]
    _, after = oracle.gradient(SMALL, x, draw, before)
    oracle.gradient(SMALL, 2 * x, draw, after)
    again, _ = oracle.gradient(SMALL, x, draw, before)
    np.testing.assert_array_equal(before[0], kept[0])
    assert before[1] == kept[1]
    np.testing.assert_array_equal(x, 1)
    np.testing.assert_array_equal(again, oracle.gradient(SMALL, x, draw, before)[0])
    assert after[1] == (1 if anchor == "start" else before[1] + 1)


# ---- the two phases ---------------------------------------------------------------------------


def two_phase(**options: Any) -> Trace:
    settings = {"steps": 400, "support_step": 0.1, "newton_step": 0.3, "rng": 3} | options
    return two_phase_newton(SMALL, **settings)


@pytest.mark.parametrize("steps", [2, 3, 400, 401])
def test_the_phases_share_the_budget(steps: int) -> None:
    trace = two_phase(steps=steps, batch_size=4, replicates=3, metrics=["x", "gap"])
    half = steps // 2
    assert trace.nit == steps
    assert trace.n_gradients == 4 * steps
    assert trace.success
    assert trace.steps[0] == 0
    assert trace.steps[-1] == steps
    assert half in trace.steps
    assert (np.diff(trace.steps) > 0).all()
    for values in trace.history.values():
        assert values.shape[:2] == (len(trace.steps), 3)
    np.testing.assert_array_equal(trace.history["x_average"][-1], trace.x_average)
    np.testing.assert_array_equal(trace.history["x"][-1], trace.x)


def test_the_second_phase_starts_at_the_support_point_and_stays_on_its_model() -> None:
    trace = two_phase(steps=301, replicates=4, record="all", metrics=["x"])
    first, second = np.random.default_rng(3).spawn(2)
    support = sgd(SMALL, steps=150, step_size=0.1, replicates=4, rng=first, average=True)
    newton = run(
        SMALL, LinearizedMinibatch(anchor="start"), GradientStep(), x0=support.x_average,
        steps=151, step_size=0.3, replicates=4, rng=second, average=True, record="all",
        metrics=["x"],
    )  # fmt: skip
    assert trace.steps.tolist() == list(range(302))
    np.testing.assert_array_equal(trace.x_average, newton.x_average)
    np.testing.assert_array_equal(trace.history["x"][151:], newton.history["x"][1:])
    np.testing.assert_array_equal(trace.history["x"][150], support.x)
    np.testing.assert_array_equal(trace.history["x_average"][150], support.x_average)
    np.testing.assert_array_equal(trace.fun, SMALL.value(trace.x))


def test_chosen_records_keep_their_place() -> None:
    trace = two_phase(steps=100, record=[10, 60])
    assert trace.steps.tolist() == [0, 10, 50, 60, 100]


@pytest.mark.parametrize(
    "method",
    [
        partial(two_phase_newton, support_step=0.1, newton_step=0.3),
        partial(online_newton, step_size=0.3),
    ],
    ids=["two phases", "online"],
)
def test_a_replicate_does_not_depend_on_the_others(method: Callable[..., Trace]) -> None:
    few = method(SMALL, steps=300, replicates=3, rng=5, metrics=["x"])
    many = method(SMALL, steps=300, replicates=70, rng=5, metrics=["x"])
    np.testing.assert_allclose(many.x_average[:3], few.x_average, rtol=1e-10)
    np.testing.assert_allclose(many.history["x"][:, :3], few.history["x"], rtol=1e-10, atol=1e-12)
    assert len(np.unique(many.x_average[:, 0])) == 70


def test_step_sizes_may_differ_between_replicates() -> None:
    support, newton = [0.05, 0.1, 0.2], [0.4, 0.1, 0.2]
    together = two_phase(support_step=support, newton_step=np.array(newton), replicates=3)
    online = online_newton(SMALL, steps=200, step_size=newton, replicates=3, rng=4)
    for r in range(3):
        alone = two_phase(support_step=support[r], newton_step=newton[r], replicates=3)
        np.testing.assert_allclose(together.x_average[r], alone.x_average[r], rtol=1e-11)
        alone = online_newton(SMALL, steps=200, step_size=newton[r], replicates=3, rng=4)
        np.testing.assert_allclose(online.x_average[r], alone.x_average[r], rtol=1e-11)


def test_on_a_quadratic_the_second_phase_is_averaged_sgd() -> None:
    problem = LeastSquares(SMALL.features, SMALL.targets)
    trace = two_phase_newton(problem, steps=400, support_step=0.05, newton_step=0.05, rng=3)
    first, second = np.random.default_rng(3).spawn(2)
    support = sgd(problem, steps=200, step_size=0.05, rng=first, average=True).x_average
    wanted = sgd(problem, support, steps=200, step_size=0.05, rng=second, average=True)
    np.testing.assert_allclose(trace.x_average, wanted.x_average, rtol=1e-10)


@pytest.mark.parametrize(("phase", "size"), [("first", 50.0), ("second", 50.0)])
def test_a_phase_that_diverges_is_named(phase: str, size: float) -> None:
    problem = LeastSquares(SMALL.features, SMALL.targets)
    sizes = {"support_step": 0.05, "newton_step": 0.05}
    sizes["support_step" if phase == "first" else "newton_step"] = size
    trace = two_phase_newton(problem, steps=400, rng=0, **sizes)
    assert not trace.success
    assert trace.message.startswith(f"{phase} phase: diverged")
    assert np.isfinite(trace.x_average).all()
    assert (trace.nit < 200) == (phase == "first")
    assert trace.n_gradients == trace.nit


@pytest.mark.parametrize("stop", [0, 50, 200, 250, 10**9])
def test_a_callback_sees_both_phases_and_may_stop_either(stop: int) -> None:
    seen: list[int] = []

    def callback(trace: Trace) -> None:
        seen.append(trace.nit)
        assert trace.steps[-1] == trace.nit == trace.n_gradients
        assert len(trace.history["gap"]) == len(trace.steps)
        if trace.nit >= stop:
            raise StopIteration

    trace = two_phase(record=range(0, 401, 50), callback=callback)
    ends = min(stop, 400)
    assert seen == list(range(0, ends + 1, 50))
    assert trace.nit == ends


# ---- bad input --------------------------------------------------------------------------------

NAN = float("nan")


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("steps", lambda: two_phase(steps=1)),
        ("steps", lambda: two_phase(steps=10.0)),
        ("support_step", lambda: two_phase(support_step=0.0)),
        ("support_step", lambda: two_phase(support_step=NAN)),
        ("support_step", lambda: two_phase(support_step=lambda k: 0.1)),
        ("support_step", lambda: two_phase(support_step=[0.1, 0.2], replicates=3)),
        ("newton_step", lambda: two_phase(newton_step=-1.0)),
        ("newton_step", lambda: two_phase(newton_step="long")),
        ("newton_step", lambda: two_phase(newton_step=[0.1, 0.0], replicates=2)),
        ("newton_step", lambda: two_phase(newton_step=[[0.1, 0.2]], replicates=2)),
        ("step_size", lambda: online_newton(SMALL, steps=3, step_size=0.0)),
        ("step_size", lambda: online_newton(SMALL, steps=3, step_size=[0.1], replicates=2)),
        ("batch_size", lambda: two_phase(batch_size=31)),
        ("batch_size", lambda: two_phase(batch_size=lambda k: k + 1)),
        ("batch_size", lambda: LinearizedMinibatch(0)),
        ("sampling", lambda: two_phase(sampling="alphabetical")),
        ("anchor", lambda: LinearizedMinibatch(anchor="end")),
        ("replicates", lambda: two_phase(replicates=0)),
        ("rng", lambda: two_phase(rng=-1)),
        ("record", lambda: two_phase(record=0)),
        ("x0", lambda: two_phase(x0=[1.0])),
        ("callback", lambda: two_phase(callback="print")),
        (
            "problem",
            lambda: two_phase_newton(
                quadratic(1.0), steps=10**9, support_step=0.1, newton_step=0.1
            ),
        ),
        ("problem", lambda: online_newton(quadratic(1.0), steps=3, step_size=0.1)),
        (
            "problem",
            lambda: two_phase_newton(quadratic(1.0), steps=4, support_step=0.1, newton_step=0.1),
        ),
    ],
)
def test_bad_input_is_refused_by_name(argument: str, call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{argument}\b.*wanted.*got"):
        call()


# ---- what the lecture measures, in short ------------------------------------------------------

BUDGETS = np.array([1000, 4000, 16000])


def slope(problem: LogisticRegression, answer: Callable[[int], np.ndarray]) -> tuple[float, float]:
    """The exponent of the excess risk in the budget, with its standard error."""
    gaps = np.array([problem.gap(answer(int(budget))) for budget in BUDGETS])
    mean, error = gaps.mean(axis=1), gaps.std(axis=1, ddof=1) / np.sqrt(gaps.shape[1])
    centred = np.log(BUDGETS) - np.log(BUDGETS).mean()
    weights = centred / (centred @ centred)
    return float(weights @ np.log(mean)), float(np.sqrt(weights**2 @ (error / mean) ** 2))


def test_newton_like_methods_keep_falling_where_a_constant_step_stalls() -> None:
    """C-M25 with the steps fixed; the standard errors of the slopes are 0.02 to 0.04."""
    problem = skewed_problem()
    curvatures = np.linalg.eigvalsh(problem.hessian_at(problem.minimizer))
    assert abs(curvatures[0]) < 1e-15  # not strongly convex, even at the minimiser
    assert 1e-4 < curvatures[1] < curvatures[-1] < 0.05
    few: dict[str, Any] = {"replicates": 64, "record": 1, "metrics": ()}

    two_phase_slope, error = slope(
        problem,
        lambda n: (
            two_phase_newton(
                problem, steps=n, support_step=8 * np.sqrt(1000 / n), newton_step=2.0, rng=n, **few
            ).x_average
        ),
    )
    assert error < 0.045
    assert two_phase_slope < -0.95 - 4 * error

    online, error = slope(
        problem, lambda n: online_newton(problem, steps=n, step_size=4.0, rng=n, **few).x_average
    )
    assert error < 0.03
    assert online < -0.95 - 5 * error

    constant, error = slope(
        problem,
        lambda n: sgd(problem, steps=n, step_size=4.0, average=True, rng=n, **few).x_average,
    )
    assert error < 0.025
    assert constant > -0.2 + 4 * error


def test_a_step_constant_with_which_two_phases_lose() -> None:
    problem = skewed_problem()
    few: dict[str, Any] = {"steps": 4000, "replicates": 64, "rng": 1, "record": 1, "metrics": ()}
    baseline = problem.gap(sgd(problem, step_size=2.0, average=True, **few).x_average)
    timid = problem.gap(
        two_phase_newton(problem, support_step=0.25, newton_step=0.5, **few).x_average
    )
    tuned = problem.gap(
        two_phase_newton(problem, support_step=4.0, newton_step=2.0, **few).x_average
    )
    assert timid.mean() > 4 * baseline.mean()
    assert tuned.mean() < baseline.mean()


def test_averaging_with_a_constant_step_is_biased_by_the_third_derivative() -> None:
    """In stationarity the mean gradient vanishes, which shifts the mean by -H⁻¹ f'''[Cov] / 2."""
    rng = np.random.default_rng(6)
    features = rng.normal(size=(200, 2))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    labels = np.where(rng.random(200) < expit(features @ [3.0, 0.0]), 1.0, -1.0)
    problem = LogisticRegression(features, labels, regularization=0)
    x = problem.minimizer
    hessian, gradients = problem.hessian_at(x), problem.component_gradients(x)
    noise = gradients.T @ gradients / 200
    step_size = 0.5
    identity = np.eye(2)
    covariance = step_size * np.linalg.solve(
        np.kron(hessian, identity) + np.kron(identity, hessian), noise.ravel()
    ).reshape(2, 2)
    p = expit(features @ x)
    third = p * (1 - p) * (1 - 2 * p)
    spread = np.einsum("ij,jk,ik->i", features, covariance, features)
    shift = -np.linalg.solve(hessian, (third * spread) @ features / 200) / 2
    trace = sgd(problem, x, steps=20_000, step_size=step_size, average=True, replicates=64, rng=2)
    assert trace.x_average is not None
    measured = (trace.x_average - x).mean(axis=0)
    error = (trace.x_average - x).std(axis=0, ddof=1) / 8
    assert np.linalg.norm(shift) > 10 * np.linalg.norm(error)
    # First order in the step: what is left out is of the order of step × curvature.
    np.testing.assert_allclose(measured, shift, atol=float(0.15 * np.linalg.norm(shift)))
