"""Bad input: a ``ValueError`` that names the argument, for every way we could think of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sgdnotes import (
    LeastSquares,
    LogisticRegression,
    Ridge,
    enumerate_sgd,
    expected_sgd,
    gradient_descent,
    run,
    schedules,
    sgd,
)
from sgdnotes.engine import record_steps
from sgdnotes.moments import SecondMoments
from sgdnotes.oracles import FullGradient, Minibatch
from sgdnotes.problems import (
    Landscape,
    LeastAbsoluteDeviations,
    ReluNetwork,
    ScalarQuadratics,
    SupportVectorMachine,
    WellInBowl,
    cantor,
    exponential,
    linear,
    quadratic,
    quartic,
    reverse_huber,
    sine_valley,
)
from sgdnotes.sampling import resolve
from sgdnotes.theorems import (
    Claims,
    Descent,
    GlobalBound,
    OneStep,
    Points,
    Sequences,
    Stationary,
    StochasticRun,
)
from sgdnotes.updates import BacktrackingStep, GradientStep, ProjectedStep

A = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
B = np.array([1.0, 2.0, 0.0])
LS = LeastSquares(A, B)
MANY = LeastSquares(np.ones((100, 1)), np.arange(100.0))
NAN, INF = float("nan"), float("inf")


def with_entry(value: float) -> np.ndarray:
    a = A.copy()
    a[1, 1] = value
    return a


def run_sgd(**options: Any) -> Any:
    return sgd(LS, **{"steps": 3, "step_size": 0.1, **options})


def fails_at_step_two(k: int) -> float:
    return NAN if k == 2 else 0.1


CASES: list[tuple[str, Callable[[], Any]]] = [
    # problems
    ("features", lambda: LeastSquares(A[0], B)),
    ("features", lambda: LeastSquares(A[None], B)),
    ("features", lambda: LeastSquares(np.empty((0, 2)), [])),
    ("features", lambda: LeastSquares(np.empty((3, 0)), B)),
    ("features", lambda: LeastSquares(with_entry(NAN), B)),
    ("features", lambda: LeastSquares(with_entry(INF), B)),
    ("features", lambda: LeastSquares(with_entry(-INF), B)),
    ("features", lambda: LeastSquares(np.zeros((3, 2)), B)),
    ("features", lambda: LeastSquares(1e-200 * A, B)),
    ("features", lambda: LeastSquares([["a", "b"]], [1.0])),
    ("features", lambda: LeastSquares([[1.0, 2.0], [3.0]], [1.0, 2.0])),
    ("features", lambda: LeastSquares(None, B)),
    ("features", lambda: LeastSquares(A + 1j, B)),
    ("targets", lambda: LeastSquares(A, B[:2])),
    ("targets", lambda: LeastSquares(A, B[:, None])),
    ("targets", lambda: LeastSquares(A, 1.0)),
    ("targets", lambda: LeastSquares(A, [1.0, NAN, 0.0])),
    ("targets", lambda: LeastSquares(A, [1.0, INF, 0.0])),
    ("regularization", lambda: Ridge(A, B, -1.0)),
    ("regularization", lambda: Ridge(A, B, NAN)),
    ("regularization", lambda: Ridge(A, B, INF)),
    ("regularization", lambda: Ridge(A, B, "small")),
    ("regularization", lambda: Ridge(A, B, None)),
    ("regularization", lambda: Ridge(A, B, [0.1, 0.2])),
    ("regularization", lambda: LogisticRegression(A, [1, -1, 1], NAN)),
    ("regularization", lambda: LogisticRegression(A, [1, -1, 1], -0.5)),
    ("labels", lambda: LogisticRegression(A, [1, 0, 1], 1.0)),
    ("labels", lambda: LogisticRegression(A, [1, 2, -1], 1.0)),
    ("labels", lambda: LogisticRegression(A, [1, NAN, -1], 1.0)),
    ("labels", lambda: LogisticRegression(A, [0.5, 1, -1], 1.0)),
    ("labels", lambda: LogisticRegression(A, [1, -1], 1.0)),
    ("labels", lambda: LogisticRegression(A, [[1], [-1], [1]], 1.0)),
    ("labels", lambda: LogisticRegression(A, ["yes", "no", "yes"], 1.0)),
    ("labels", lambda: LogisticRegression(A, [1, 1, 1], 0.0).minimizer),
    ("labels", lambda: LogisticRegression(A, [1, 1, 1], 0.0).minimum),
    ("features", lambda: SupportVectorMachine(np.zeros((3, 2)), [1, -1, 1], 1.0)),
    ("features", lambda: SupportVectorMachine(with_entry(NAN), [1, -1, 1], 1.0)),
    ("labels", lambda: SupportVectorMachine(A, [1, 0, 1], 1.0)),
    ("labels", lambda: SupportVectorMachine(A, [1, -1], 1.0)),
    ("labels", lambda: SupportVectorMachine(A, [1, NAN, 1], 1.0)),
    ("regularization", lambda: SupportVectorMachine(A, [1, -1, 1], -1.0)),
    ("regularization", lambda: SupportVectorMachine(A, [1, -1, 1], INF)),
    ("radius", lambda: SupportVectorMachine(A, [1, -1, 1], 0.0).max_second_moment(-1.0)),
    ("targets", lambda: LeastAbsoluteDeviations(A, B[:2])),
    ("features", lambda: ReluNetwork(A[0], B, 2)),
    ("features", lambda: ReluNetwork(np.zeros((3, 2)), B, 2)),
    ("targets", lambda: ReluNetwork(A, B[:2], 2)),
    ("targets", lambda: ReluNetwork(A, [1.0, INF, 0.0], 2)),
    ("labels", lambda: ReluNetwork(A, B, 2, loss="logistic")),
    ("labels", lambda: ReluNetwork(A, [1, -1], 2, loss="logistic")),
    ("hidden", lambda: ReluNetwork(A, B, 0)),
    ("hidden", lambda: ReluNetwork(A, B, 2.0)),
    ("loss", lambda: ReluNetwork(A, B, 2, loss="hinge")),
    ("weights", lambda: ReluNetwork.from_teacher(A, [1.0, 2.0])),
    ("weights", lambda: ReluNetwork.from_teacher(A, [1.0, NAN, 2.0])),
    ("weights", lambda: ReluNetwork.from_teacher(A, [[1.0, 0.0, 2.0]])),
    ("features", lambda: ReluNetwork.from_teacher([[INF]], [1.0, 2.0])),
    ("replicates", lambda: ReluNetwork(A, B, 2).initial_weights(0, 0)),
    ("rng", lambda: ReluNetwork(A, B, 2).initial_weights(-1)),
    ("problem", lambda: ReluNetwork(A, B, 2).minimum),
    ("problem", lambda: ReluNetwork(A, B, 2).minimizer),
    ("problem", lambda: ReluNetwork.from_teacher(A, [1.0, 0.0, 2.0]).distance_squared(B)),
    ("iterate", lambda: cantor(-1)),
    ("iterate", lambda: cantor(31)),
    ("iterate", lambda: cantor(2.0)),
    ("tilts", lambda: reverse_huber([1.0])),
    ("constraint", lambda: ProjectedStep(3)),  # type: ignore[arg-type]
    ("center", lambda: WellInBowl(center=0)),
    ("curvature", lambda: quadratic(0.0)),
    ("curvature", lambda: quadratic(-1.0)),
    ("curvature", lambda: quadratic(NAN)),
    ("tilts", lambda: quadratic(1.0, [1.0, 1.0])),
    ("tilts", lambda: sine_valley([])),
    ("tilts", lambda: sine_valley([NAN, 0.0])),
    ("tilts", lambda: sine_valley([[1.0, -1.0]])),
    ("slope", lambda: linear(INF)),
    ("curvatures", lambda: ScalarQuadratics([1.0, -1.0])),
    ("curvatures", lambda: ScalarQuadratics([])),
    ("curvatures", lambda: ScalarQuadratics([[1.0]])),
    ("centers", lambda: ScalarQuadratics([1.0, 2.0], [0.0])),
    ("centers", lambda: ScalarQuadratics([1.0, 2.0], [0.0, NAN])),
    ("problem", lambda: exponential().minimizer),
    # runs
    ("steps", lambda: run_sgd(steps=-1)),
    ("steps", lambda: run_sgd(steps=2.0)),
    ("steps", lambda: run_sgd(steps="many")),
    ("steps", lambda: run_sgd(steps=True)),
    ("step_size", lambda: run_sgd(step_size=0.0)),
    ("step_size", lambda: run_sgd(step_size=-0.1)),
    ("step_size", lambda: run_sgd(step_size=NAN)),
    ("step_size", lambda: run_sgd(step_size=INF)),
    ("step_size", lambda: run_sgd(step_size="auto")),
    ("step_size", lambda: run_sgd(step_size=None)),
    ("step_size", lambda: run_sgd(step_size=[0.1, 0.2])),
    ("step_size", lambda: run_sgd(step_size=lambda k: NAN)),
    ("step_size", lambda: run_sgd(step_size=lambda k: -1.0)),
    ("step_size", lambda: run_sgd(step_size=lambda k: None)),
    ("step_size at step 2", lambda: run_sgd(step_size=fails_at_step_two)),
    ("step_size", lambda: gradient_descent(quartic(), [1.0], steps=3)),
    ("step_size", lambda: gradient_descent(linear(), [1.0], steps=3)),
    ("batch_size", lambda: run_sgd(batch_size=0)),
    ("batch_size", lambda: run_sgd(batch_size=-2)),
    ("batch_size", lambda: run_sgd(batch_size=4)),
    ("batch_size", lambda: run_sgd(batch_size=1.5)),
    ("batch_size", lambda: run_sgd(batch_size=2.0)),
    ("batch_size", lambda: run_sgd(batch_size=None)),
    ("batch_size", lambda: run_sgd(batch_size=4, sampling="without_replacement")),
    ("batch_size", lambda: Minibatch(0)),
    ("sampling", lambda: run_sgd(sampling="alphabetical")),
    ("sampling", lambda: run_sgd(sampling=None)),
    ("sampling", lambda: run_sgd(sampling=7)),
    ("sampling", lambda: resolve("With_Replacement")),
    ("x0", lambda: run_sgd(x0=[1.0])),
    ("x0", lambda: run_sgd(x0=[1.0, 2.0, 3.0])),
    ("x0", lambda: run_sgd(x0=1.0)),
    ("x0", lambda: run_sgd(x0=[1.0, NAN])),
    ("x0", lambda: run_sgd(x0=[1.0, INF])),
    ("x0", lambda: run_sgd(x0=["a", "b"])),
    ("x0", lambda: run_sgd(x0=np.zeros((3, 2)), replicates=2)),
    ("x0", lambda: run_sgd(x0=np.zeros((1, 1, 2)))),
    ("replicates", lambda: run_sgd(replicates=0)),
    ("replicates", lambda: run_sgd(replicates=-5)),
    ("replicates", lambda: run_sgd(replicates=2.5)),
    ("replicates", lambda: run_sgd(replicates=3.0)),
    ("replicates", lambda: run_sgd(replicates="all")),
    ("rng", lambda: run_sgd(rng=-1)),
    ("rng", lambda: run_sgd(rng=1.5)),
    ("rng", lambda: run_sgd(rng="seed")),
    ("rng", lambda: run_sgd(rng=np.random.RandomState(0))),
    ("record", lambda: run_sgd(record=0)),
    ("record", lambda: run_sgd(record=2.5)),
    ("record", lambda: run_sgd(record="some")),
    ("record", lambda: run_sgd(record=[1, 4])),
    ("record", lambda: run_sgd(record=[-1])),
    ("record", lambda: run_sgd(record=[0.5])),
    ("record", lambda: run_sgd(record=None)),
    ("steps", lambda: record_steps(-1, "all")),
    ("metrics", lambda: run_sgd(metrics=["loss"])),
    ("metrics", lambda: run_sgd(metrics="gap")),
    ("metrics", lambda: run_sgd(metrics={"gap": 3})),
    ("metrics", lambda: run_sgd(metrics=[None])),
    ("metric", lambda: run_sgd().mean("loss")),
    ("callback", lambda: run_sgd(callback="stop")),
    ("line_search", lambda: gradient_descent(LS, steps=3, line_search="armijo")),
    ("problem", lambda: sgd("least squares", steps=3, step_size=0.1)),
    ("problem", lambda: gradient_descent(A, steps=3)),
    ("problem", lambda: run(A, FullGradient(), GradientStep(), steps=1, step_size=1.0)),
    ("problem", lambda: enumerate_sgd(A, steps=1, step_size=1.0)),
    ("decrease", lambda: BacktrackingStep(decrease=0.0)),
    ("decrease", lambda: BacktrackingStep(decrease=1.0)),
    ("shrink", lambda: BacktrackingStep(shrink=1.5)),
    ("shrink", lambda: BacktrackingStep(shrink=NAN)),
    ("max_trials", lambda: BacktrackingStep(max_trials=0)),
    # schedules
    ("step_size", lambda: schedules.constant(-1.0)),
    ("pl_constant", lambda: schedules.inverse_time(0.0)),
    ("strong_convexity", lambda: schedules.constant_then_inverse_time(1.0, 0.0)),
    ("max_smoothness", lambda: schedules.constant_then_inverse_time(1.0, 2.0)),
    ("cap", lambda: schedules.capped(schedules.constant(1.0), -1.0)),
    # exact expectations
    ("problem", lambda: expected_sgd(quadratic(1.0), steps=1, step_size=0.1)),
    ("steps", lambda: expected_sgd(LS, steps=-1, step_size=0.1)),
    ("step_size", lambda: expected_sgd(LS, steps=2, step_size=0.0)),
    ("batch_size", lambda: expected_sgd(LS, steps=2, step_size=0.1, batch_size=9)),
    ("sampling", lambda: expected_sgd(LS, steps=2, step_size=0.1, sampling="no")),
    ("x0", lambda: expected_sgd(LS, [1.0], steps=2, step_size=0.1)),
    ("steps", lambda: enumerate_sgd(LS, steps=30, step_size=0.1)),
    ("batch_size", lambda: enumerate_sgd(LS, steps=2, step_size=0.1, batch_size=4)),
    ("steps", lambda: enumerate_sgd(LS, steps=100_000, step_size=0.1)),
    ("batch_size", lambda: enumerate_sgd(MANY, steps=1, step_size=0.1, batch_size=10)),
    ("batch_size", lambda: OneStep(MANY, points=[[1.0]], batch_size=10).mean_gradient),
    (
        "batch_size",
        lambda: enumerate_sgd(
            MANY, steps=1, step_size=0.1, batch_size=50, sampling="without_replacement"
        ),
    ),
    ("x0", lambda: enumerate_sgd(LS, [[1.0, 2.0]] * 2, steps=1, step_size=0.1)),
    ("step_size", lambda: SecondMoments(LS).stationary(10.0)),
    # settings of theorems
    ("problem", lambda: Claims(A)),
    ("claims", lambda: Claims(LS, claims={"kappa": 3.0})),
    ("claims", lambda: Claims(LS, claims={"smoothness": NAN})),
    ("claims", lambda: Claims(LS, claims={"global_second_moment": 3.0})),
    ("points", lambda: Points(LS, points=[1.0, 2.0])),
    ("points", lambda: Points(LS, points=[[1.0]])),
    ("points", lambda: Points(LS, points=[[1.0, NAN]])),
    ("displacements", lambda: Points(LS, points=[[1.0, 1.0]], displacements=[[1.0]])),
    (
        "displacements",
        lambda: Points(LS, points=[[1.0, 1.0]] * 2, displacements=[[1.0, 1.0]] * 3),
    ),
    ("displacements", lambda: Points(LS, points=[[1.0, 1.0]]).delta),
    ("step_size", lambda: OneStep(LS, points=[[1.0, 1.0]], step_size=-1.0)),
    ("step_size", lambda: OneStep(LS, points=[[1.0, 1.0]], step_size=[0.1, 0.2])),
    ("batch_size", lambda: OneStep(LS, points=[[1.0, 1.0]], batch_size=4)),
    ("sampling", lambda: OneStep(LS, points=[[1.0, 1.0]], sampling="alphabetical")),
    ("steps", lambda: Descent(LS, steps=0, step_size=0.1)),
    ("step_size", lambda: Descent(LS, steps=1, step_size=0.0)),
    ("x0", lambda: Descent(LS, steps=1, step_size=0.1, x0=[1.0])),
    ("batch_size", lambda: StochasticRun(LS, steps=1, step_size=0.1, batch_size=0)),
    ("sampling", lambda: StochasticRun(LS, steps=1, step_size=0.1, sampling="x")),
    ("step_sizes", lambda: Stationary(LS, step_sizes=[0.1, -0.1])),
    ("step_sizes", lambda: Stationary(LS, step_sizes=0.1)),
    ("second_moment", lambda: GlobalBound(LS, second_moment=0.0)),
    ("second_moment", lambda: GlobalBound(LS, second_moment=INF)),
    ("decrease", lambda: Sequences([1.0, 2.0], [1.0, 2.0])),
    ("potential", lambda: Sequences([1.0, NAN], [1.0])),
    (
        "tilts",
        lambda: Landscape(
            "h",
            np.abs,
            np.sign,
            smoothness=1.0,
            minimum=0.0,
            minimizers=[0.0],
            convex=True,
            tilts=[1.0],
        ),
    ),
]


@pytest.mark.parametrize(
    ("argument", "call"), CASES, ids=[f"{i}-{name}" for i, (name, _) in enumerate(CASES)]
)
def test_bad_input_is_refused_by_name(argument: str, call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="wanted") as caught:
        call()
    message = str(caught.value)
    assert message.startswith(argument)
    assert message[len(argument)] in ":[ "  # the whole name, not the beginning of another
    said = message[len(argument) :]
    assert "wanted" in said
    if argument not in {"problem", "step_size"} and "thm-vacuity" not in message:
        assert "got" in said


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 40


def test_good_input_of_unusual_type_is_welcome() -> None:
    trace = sgd(
        LS,
        (1, 2),
        steps=np.int64(3),
        step_size=np.float32(0.1),
        batch_size=np.int32(2),
        replicates=np.int8(2),
        rng=np.int64(3),
        record=np.array([1, 2]),
        metrics=("gap", "x"),
    )
    assert trace.success
    assert trace.steps.tolist() == [0, 1, 2, 3]
    assert LogisticRegression(A.tolist(), (True, -1, 1), 1).n_samples == 3
