"""Convex sets: linear minimisers by vertices and linear programs, projections by a solver."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from sgdnotes import constraints
from sgdnotes.constraints import (
    Box,
    ColumnSparseMatrices,
    Constraint,
    L1Ball,
    L2Ball,
    NuclearBall,
    Product,
    Simplex,
    SparsePolytope,
    linf_ball,
)
from sgdnotes.engine import run
from sgdnotes.methods import gradient_descent
from sgdnotes.oracles import FullGradient, Minibatch
from sgdnotes.problems import LeastSquares
from sgdnotes.updates import FrankWolfeStep, ProjectedStep

DIM = 6
LOWER = np.array([-1.0, -0.5, 0.0, -2.0, 0.3, -0.1])
UPPER = np.array([1.0, 0.5, 0.7, -1.0, 0.3, 2.0])
SETS: dict[str, Constraint] = {
    "l2": L2Ball(1.5),
    "l2 away": L2Ball(0.7, np.linspace(-1, 1, DIM)),
    "l1": L1Ball(1.3),
    "box": Box(LOWER, UPPER),
    "pixels": linf_ball(0.3, [0.0, 0.1, 0.5, 0.9, 1.0, 0.7], 0.0, 1.0),
    "simplex": Simplex(),
    "large simplex": Simplex(1.7),
    "sparse": SparsePolytope(2, 0.8),
    "not sparse": SparsePolytope(DIM, 0.8),
    "nuclear": NuclearBall(2, 3, 1.1),
    "columns": ColumnSparseMatrices(2, 3, 2, 0.9),
    "one column": ColumnSparseMatrices(2, 3, 1, 0.9),
    "product": Product([(3, SparsePolytope(2, 0.8)), (1, Box([-0.1], [0.4])), (2, L1Ball(1.0))]),
}


def sign_vectors(length: int) -> list[tuple[float, ...]]:
    return list(itertools.product([-1.0, 1.0], repeat=length))


def vertices(name: str) -> np.ndarray:
    """All vertices of a polytope, shape ``(count, DIM)``."""
    if name == "l1":
        return 1.3 * np.concatenate([np.eye(DIM), -np.eye(DIM)])
    if name in {"box", "pixels"}:
        box = SETS[name]
        assert isinstance(box, Box)
        ends = zip(np.asarray(box.lower), np.asarray(box.upper), strict=True)
        return np.array(list(itertools.product(*ends)))
    if name in {"simplex", "large simplex"}:
        return (1.7 if name == "large simplex" else 1.0) * np.eye(DIM)
    if name == "product":
        sparse = [
            0.8 * np.insert(np.array(signs), place, 0.0)
            for place in range(3)
            for signs in sign_vectors(2)
        ]
        cross = np.concatenate([np.eye(2), -np.eye(2)])
        return np.array([[*a, b, *c] for a in sparse for b in (-0.1, 0.4) for c in cross])
    count = 2 if name == "sparse" else DIM
    rows = []
    for places in itertools.combinations(range(DIM), count):
        for signs in sign_vectors(count):
            row = np.zeros(DIM)
            row[list(places)] = signs
            rows.append(0.8 * row)
    return np.array(rows)


POLYTOPES = ["l1", "box", "pixels", "simplex", "large simplex", "sparse", "not sparse", "product"]


@pytest.mark.parametrize("name", POLYTOPES)
def test_linear_minimiser_is_a_least_vertex(name: str) -> None:
    gradients = np.random.default_rng(0).normal(size=(300, DIM))
    gradients[:20] = np.round(gradients[:20])  # ties and zeros
    found = SETS[name].linear_minimizer(gradients)
    least = (gradients @ vertices(name).T).min(axis=1)
    np.testing.assert_allclose(np.vecdot(gradients, found), least, rtol=1e-12, atol=1e-12)
    assert SETS[name].contains(found).all()


@pytest.mark.parametrize("name", POLYTOPES)
def test_linear_minimiser_against_linear_programming(name: str) -> None:
    # In the weights of the vertices, and for sets with an inequality form in the coordinates.
    corners = vertices(name)
    for gradient in np.random.default_rng(1).normal(size=(10, DIM)):
        found = linprog(
            corners @ gradient, A_eq=np.ones((1, len(corners))), b_eq=[1.0], bounds=(0, None)
        )
        value = float(gradient @ SETS[name].linear_minimizer(gradient))
        assert value == pytest.approx(found.fun, abs=1e-9)


@pytest.mark.parametrize("sparsity", [1, 2, 4, 6])
def test_sparse_polytope_is_what_its_inequalities_say(sparsity: int) -> None:
    # min <g, a - b> over a, b >= 0 with sum(a + b) <= K tau and a, b <= tau
    for gradient in np.random.default_rng(2).normal(size=(20, DIM)):
        found = linprog(
            np.concatenate([gradient, -gradient]),
            A_ub=np.ones((1, 2 * DIM)),
            b_ub=[sparsity * 0.8],
            bounds=(0, 0.8),
        )
        value = gradient @ SparsePolytope(sparsity, 0.8).linear_minimizer(gradient)
        assert value == pytest.approx(found.fun, abs=1e-9)


def test_linear_minimisers_of_balls() -> None:
    rng = np.random.default_rng(3)
    gradients = rng.normal(size=(50, DIM))
    center = np.linspace(-1, 1, DIM)
    np.testing.assert_allclose(
        np.vecdot(gradients, SETS["l2 away"].linear_minimizer(gradients)),
        gradients @ center - 0.7 * np.linalg.norm(gradients, axis=1),
    )
    operator_norms = np.linalg.norm(gradients.reshape(50, 2, 3), ord=2, axis=(1, 2))
    np.testing.assert_allclose(
        np.vecdot(gradients, SETS["nuclear"].linear_minimizer(gradients)), -1.1 * operator_norms
    )
    np.testing.assert_array_equal(L2Ball(2.0).linear_minimizer(np.zeros((3, 2))), np.zeros((3, 2)))
    np.testing.assert_array_equal(Box([0.0, 1.0], [2.0, 5.0]).linear_minimizer(np.zeros(2)), [1, 3])


def solved_projection(name: str, x: np.ndarray) -> np.ndarray:
    """The nearest point by a generic solver, in the weights of vertices or with a constraint."""
    if name in POLYTOPES:
        corners = vertices(name)
        gram, linear = corners @ corners.T, corners @ x
        start = np.full(len(corners), 1 / len(corners))
        found = minimize(
            lambda w: w @ gram @ w / 2 - linear @ w,
            start,
            jac=lambda w: gram @ w - linear,
            method="SLSQP",
            bounds=[(0, 1)] * len(corners),
            constraints={
                "type": "eq",
                "fun": lambda w: w.sum() - 1,
                "jac": lambda w: np.ones_like(w),
            },
            options={"maxiter": 500, "ftol": 1e-14},
        )
        return np.asarray(found.x @ corners)
    if name == "nuclear":
        # The least (|U|^2 + |V|^2) / 2 over all U V' = X is the nuclear norm.
        def product(factors: np.ndarray) -> np.ndarray:
            return np.asarray((factors[:4].reshape(2, 2) @ factors[4:].reshape(2, 3)).ravel())

        found = minimize(
            lambda f: ((product(f) - x) ** 2).sum() / 2,
            np.random.default_rng(8).normal(size=10) / 3,
            method="SLSQP",
            constraints={"type": "ineq", "fun": lambda f: 1.1 - (f**2).sum() / 2},
            options={"maxiter": 1000, "ftol": 1e-14},
        )
        return product(found.x)
    if "column" in name:
        count = 2 if name == "columns" else 1

        def lengths(z: np.ndarray) -> np.ndarray:
            return np.asarray(np.sqrt((z.reshape(2, 3) ** 2).sum(axis=0) + 1e-14))

        found = minimize(
            lambda z: ((z - x) ** 2).sum() / 2,
            0.1 * x,
            jac=lambda z: z - x,
            method="SLSQP",
            constraints=[
                {"type": "ineq", "fun": lambda z: 0.9 * count - lengths(z).sum()},
                {"type": "ineq", "fun": lambda z: 0.9 - lengths(z)},
            ],
            options={"maxiter": 1000, "ftol": 1e-14},
        )
        return np.asarray(found.x)
    center = np.linspace(-1, 1, DIM) if name == "l2 away" else np.zeros(DIM)
    radius = 0.7 if name == "l2 away" else 1.5
    found = minimize(
        lambda p: ((p - x) ** 2).sum() / 2,
        center + 0.01,
        jac=lambda p: p - x,
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda p: radius**2 - ((p - center) ** 2).sum()},
        options={"maxiter": 500, "ftol": 1e-13},
    )
    return np.asarray(found.x)


@pytest.mark.parametrize("name", SETS)
def test_projection_against_a_generic_solver(name: str) -> None:
    for x in np.random.default_rng(4).normal(size=(6, DIM)) * [[0.2], [1], [1], [2], [2], [5]]:
        nearest = SETS[name].project(x)
        other = solved_projection(name, x)
        assert np.linalg.norm(x - nearest) <= np.linalg.norm(x - other) + 1e-6
        np.testing.assert_allclose(nearest, other, atol=2e-4)


@pytest.mark.parametrize("name", SETS)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-300, 1e-6, 0.1, 1.0, 10.0, 1e6, 1e18, 1e75]),
)
@settings(max_examples=60, deadline=None)
def test_projection_obeys_its_variational_inequality(name: str, seed: int, scale: float) -> None:
    # The nearest point p is the only one of the set with <x - p, v - p> <= 0 for all v of the set,
    # and the greatest value over v is that of a linear minimiser.
    constraint, rng = SETS[name], np.random.default_rng(seed)
    x = scale * rng.normal(size=(5, DIM))
    nearest = constraint.project(x)
    assert constraint.contains(nearest).all()
    farthest = constraint.linear_minimizer(nearest - x)
    assert np.max(np.vecdot(x - nearest, farthest - nearest)) <= 1e-12 * max(1.0, scale)
    np.testing.assert_allclose(constraint.project(nearest), nearest, atol=1e-13)
    inside = constraint.random_point(rng, (5, DIM))
    assert constraint.contains(inside).all()
    np.testing.assert_allclose(constraint.project(inside), inside, rtol=0, atol=1e-14)
    assert not constraint.contains(x + 100 * scale + 100).any()


@pytest.mark.parametrize("name", SETS)
def test_points_a_little_outside_are_not_contained(name: str) -> None:
    constraint, x = SETS[name], 3 * np.random.default_rng(9).normal(size=(300, DIM))
    outwards = x - constraint.project(x)
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    # The distance of these points from the set is known, as they project to the same points.
    assert not constraint.contains(constraint.project(x) + 1e-8 * outwards).any()
    assert constraint.contains(constraint.project(x)).all()


def test_each_inequality_counts() -> None:
    # Points that violate one condition and meet the others.
    assert not Simplex().contains(np.array([1 + 1e-8, -1e-8, 0.0]))
    assert not Simplex().contains(np.array([0.5, 0.5, 1e-8]))
    assert not SparsePolytope(2, 1.0).contains(np.array([1 + 1e-8, 0.0, 0.0]))
    assert not SparsePolytope(2, 1.0).contains(np.array([1.0, 1.0, 1e-8]))


def test_a_ball_far_from_the_origin_contains_its_points() -> None:
    center = np.array([1e6, -1e6, 1e6])
    ball, rng = L2Ball(0.1, center), np.random.default_rng(0)
    x = center + rng.normal(size=(300, 3))
    nearest = ball.project(x)
    assert ball.contains(nearest).all()
    assert ball.contains(ball.linear_minimizer(x - center)).all()
    assert not ball.contains(nearest + 1e-3 * (nearest - center)).any()


@pytest.mark.parametrize("length", [1, 2, 40, 1000])
def test_projections_of_many_coordinates_and_of_one(length: int) -> None:
    rng = np.random.default_rng(length)
    few = max(1, length // 3)
    sets = [L1Ball(1.3), Simplex(0.7), SparsePolytope(few, 0.4), SparsePolytope(length, 0.1)]
    for constraint, scale in itertools.product(sets, [1e-20, 1.0, 1e8, 1e75]):
        for x in (scale * rng.normal(size=(20, length)), scale * np.ones((1, length))):
            nearest = constraint.project(x)
            assert constraint.contains(nearest).all()
            np.testing.assert_allclose(constraint.project(nearest), nearest, atol=1e-13)
            farthest = constraint.linear_minimizer(nearest - x)
            assert constraint.contains(farthest).all()
            apart = np.vecdot(x - nearest, farthest - nearest).max()
            assert apart <= 1e-11 * max(1.0, scale)


@pytest.mark.parametrize("name", SETS)
def test_gradients_may_be_whole_numbers(name: str) -> None:
    whole = np.array([[1, -2, 0, 3, 3, -1], [0, 0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(
        SETS[name].linear_minimizer(whole), SETS[name].linear_minimizer(whole.astype(float))
    )


def test_random_points_are_uniform() -> None:
    rng, shape = np.random.default_rng(10), (20_000, 3)
    shares = {  # each uniform on [0, 1] if the points are uniform over the set
        "l2": (np.linalg.norm(L2Ball(2.0).random_point(rng, shape), axis=1) / 2) ** 3,
        "l2, direction": L2Ball(1.0, [4.0, 5.0, 6.0]).random_point(rng, shape)[:, 1] > 5,
        "l1": (np.abs(L1Ball(2.0).random_point(rng, shape)).sum(axis=1) / 2) ** 3,
        "l1, direction": L1Ball(2.0).random_point(rng, shape)[:, 2] > 0,
        "simplex": (1 - Simplex(2.0).random_point(rng, shape)[:, 0] / 2) ** 2,
        "box": (Box([-1.0] * 3, [3.0] * 3).random_point(rng, shape)[:, 0] + 1) / 4,
    }
    for name, share in shares.items():
        assert abs(share.mean() - 0.5) <= 5 * share.std() / math.sqrt(len(share)), name
        if share.dtype != bool:
            assert share.var() == pytest.approx(1 / 12, rel=0.05), name


@pytest.mark.parametrize("name", SETS)
def test_diameter_bounds_distances_and_is_attained(name: str) -> None:
    constraint, rng = SETS[name], np.random.default_rng(5)
    points = constraint.random_point(rng, (200, DIM))
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    assert apart.max() <= constraint.diameter * (1 + 1e-12)
    if name in POLYTOPES:
        corners = vertices(name)
        apart = np.linalg.norm(corners[:, None] - corners[None], axis=-1)
        assert apart.max() == pytest.approx(constraint.diameter)
    else:
        gradient = rng.normal(size=DIM)
        ends = [constraint.linear_minimizer(sign * gradient) for sign in (1, -1)]
        assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(constraint.diameter)


@pytest.mark.parametrize("name", SETS)
def test_any_leading_axes(name: str) -> None:
    constraint, x = SETS[name], np.random.default_rng(6).normal(size=(2, 3, DIM))
    for method in (constraint.project, constraint.linear_minimizer):
        np.testing.assert_allclose(method(x)[1, 2], method(x[1, 2]), atol=1e-14)
    assert constraint.contains(x).shape == (2, 3)


# ---- Frank–Wolfe steps ------------------------------------------------------------------------


def problem() -> LeastSquares:
    rng = np.random.default_rng(7)
    return LeastSquares(rng.normal(size=(20, DIM)), 3 * rng.normal(size=20))


@pytest.mark.parametrize("name", SETS)
def test_iterates_stay_in_the_set(name: str) -> None:
    constraint = SETS[name]
    start = constraint.project(np.zeros(DIM))
    worst: list[float] = []

    def outside(_: object, x: np.ndarray) -> np.ndarray:
        worst.append(float(np.abs(x - constraint.project(x)).max()))
        return np.zeros(len(x))

    run(
        problem(),
        Minibatch(2),
        FrankWolfeStep(constraint),
        x0=start,
        steps=10_000,
        step_size=lambda t: 2 / (t + 2),
        replicates=3,
        rng=0,
        metrics={"outside": outside},
    )
    assert max(worst) <= 1e-10


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("short", [False, True])
def test_frank_wolfe_finds_the_constrained_minimum(name: str, short: bool) -> None:
    fit, constraint = problem(), SETS[name]
    start = constraint.project(np.zeros(DIM))
    step = FrankWolfeStep(constraint, fit.smoothness if short else None)
    trace = run(
        fit,
        FullGradient(),
        step,
        x0=start,
        steps=4000,
        step_size=1.0 if short else (lambda t: 2 / (t + 2)),
    )
    x = start
    for _ in range(3000):
        x = constraint.project(x - fit.gradient(x) / fit.smoothness)
    gap = float(fit.value(trace.x[0]) - fit.value(x))
    bound = 2 * fit.smoothness * constraint.diameter**2 / 4002
    assert -1e-9 <= gap <= bound


def test_short_steps_are_at_most_the_step_size() -> None:
    fit, constraint = problem(), SETS["l1"]
    x = constraint.random_point(np.random.default_rng(1), (4, DIM))
    gradient = fit.gradient(x)
    flat = FrankWolfeStep(constraint, 1e-9)  # on which every step would be long
    for step_size in (0.3, np.array([[0.1], [0.2], [0.3], [0.4]])):
        after, _ = flat.apply(fit, x, gradient, step_size, None)
        wanted = x + step_size * (constraint.linear_minimizer(gradient) - x)
        np.testing.assert_array_equal(after, wanted)


def test_short_steps_never_go_up() -> None:
    fit, constraint = problem(), SETS["l1"]
    trace = run(
        fit,
        FullGradient(),
        FrankWolfeStep(constraint, fit.smoothness),
        x0=np.zeros(DIM),
        steps=300,
        step_size=1.0,
        record="all",
    )
    assert (np.diff(trace.history["gap"][:, 0]) <= 1e-12).all()


class OnlyProjects:
    """A set that cannot tell which points it contains."""

    def project(self, x: np.ndarray) -> np.ndarray:
        return x


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        *[
            ("radius", lambda ball=ball, radius=radius: ball(radius))
            for radius in (0.0, -1.0, np.nan)
            for ball in (
                L1Ball,
                L2Ball,
                Simplex,
                lambda radius: SparsePolytope(1, radius),
                lambda radius: NuclearBall(2, 2, radius),
                lambda radius: linf_ball(radius, [0.0]),
            )
        ],
        ("radius", lambda: L1Ball(np.inf)),
        ("lower, upper", lambda: Box([0.0], [1.0]).contains(np.ones((1, 2)))),
        ("lower, upper", lambda: Box([0.0] * 3, [1.0] * 3).project(np.ones((1, 2)))),
        ("lower, upper", lambda: Box([0.0], [1.0]).linear_minimizer(np.ones((1, 2)))),
        (
            "lower, upper",
            lambda: Box([0.0], [1.0]).random_point(np.random.default_rng(0), (5, 2)),
        ),
        ("radius", lambda: L2Ball(np.inf).linear_minimizer(np.ones((1, 2)))),
        ("center", lambda: linf_ball(0.1, [2.0], 0.0, 1.0)),
        ("center", lambda: L2Ball(1.0, [0.0]).project(np.ones((1, 2)))),
        ("sparsity", lambda: SparsePolytope(0, 1.0)),
        ("sparsity", lambda: SparsePolytope(3, 1.0).project(np.ones(2))),
        ("rows", lambda: NuclearBall(0, 2, 1.0)),
        ("rows", lambda: NuclearBall(2, 2, 1.0).project(np.ones(3))),
        ("rows", lambda: ColumnSparseMatrices(2, 2, 1, 1.0).project(np.ones(3))),
        ("columns", lambda: ColumnSparseMatrices(2, 0, 1, 1.0)),
        ("sparsity", lambda: ColumnSparseMatrices(2, 2, 3, 1.0)),
        ("radius", lambda: ColumnSparseMatrices(2, 2, 1, 0.0)),
        ("parts", lambda: Product([])),
        ("parts", lambda: Product([(0, L1Ball(1.0))])),
        ("parts", lambda: Product([L1Ball(1.0)])),  # type: ignore[list-item]
        ("parts", lambda: Product([(2, 1.0)])),  # type: ignore[list-item]
        ("parts", lambda: Product([(2, L1Ball(1.0))]).contains(np.ones(3))),
        ("upper", lambda: Box([0.0, 1.0], [1.0, 0.5])),
        ("upper", lambda: Box([0.0, 1.0], [1.0])),
        ("lower", lambda: Box([np.nan], [1.0])),
        ("constraint", lambda: FrankWolfeStep(2.0)),  # type: ignore[arg-type]
        ("constraint", lambda: FrankWolfeStep(OnlyProjects())),  # type: ignore[arg-type]
        ("constraint", lambda: ProjectedStep(OnlyProjects())),  # type: ignore[arg-type]
        ("curvature", lambda: FrankWolfeStep(L1Ball(1.0), -1.0)),
        (
            "x0",
            lambda: gradient_descent(
                problem(), np.ones(DIM), steps=1, step_size=0.5, update=FrankWolfeStep(L1Ball(1.0))
            ),
        ),
        (
            "step_size",
            lambda: gradient_descent(
                problem(), steps=1, step_size=1.5, update=FrankWolfeStep(L1Ball(1.0))
            ),
        ),
        (
            "step_size",
            lambda: gradient_descent(
                problem(),
                steps=1,
                step_size=[0.5, 1.5],
                update=FrankWolfeStep(L1Ball(1.0)),
                replicates=2,
            ),
        ),
        (
            "gradient",
            lambda: FrankWolfeStep(L1Ball(1.0)).apply(
                problem(), np.zeros((1, 2)), np.array([[np.nan, 0.0]]), 0.5, None
            ),
        ),
    ],
)
def test_bad_input_is_named(argument: str, call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=rf"^{argument}\b.*: wanted .*, got "):
        call()


def test_every_set_is_tested() -> None:
    kinds = {type(constraint).__name__ for constraint in SETS.values()}
    classes = {
        name
        for name, value in vars(constraints).items()
        if isinstance(value, type) and value.__module__ == constraints.__name__
    }
    assert kinds == classes - {"Constraint"}
