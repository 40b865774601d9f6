"""Which minima a step size can converge to: linear stability (lecture 09)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.problems import ScalarQuadratics, SharedMinima, Tilted, WellInBowl
from sgdnotes.theorems.assumptions import (
    EXACT,
    FirstSampleOnly,
    constant_step,
    interpolation,
    uniform,
)
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem
from sgdnotes.theorems.settings import Descent, StochasticRun
from sgdnotes.theorems.stochastic import independent_or_distinct


@dataclass(frozen=True, eq=False)
class LocalDescent(Descent):
    """A run of gradient descent near a minimum.

    Attributes
    ----------
    at : array_like of shape (dim,), optional
        The minimum; the problem's global minimiser when omitted.
    """

    at: ArrayLike | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.problem, Tilted):
            raise ValueError(f"problem: wanted one with a Hessian (Tilted), got {self.problem!r}")
        if self.at is not None:
            point = _validate.finite_array("at", self.at, ndim=1)
            if point.shape != (self.problem.dim,):
                raise ValueError(f"at: wanted shape ({self.problem.dim},), got {point.shape}")

    @property
    def function(self) -> Tilted:
        """The problem."""
        assert isinstance(self.problem, Tilted)
        return self.problem

    @property
    def minimum_at(self) -> FloatArray:
        """The minimum, shape ``(dim,)``."""
        return self.problem.minimizer if self.at is None else np.asarray(self.at, dtype=float)

    @cached_property
    def curvatures(self) -> FloatArray:
        """The eigenvalues of the Hessian at the minimum, in increasing order."""
        return np.asarray(np.linalg.eigvalsh(self.function.hessian(self.minimum_at)))

    @cached_property
    def distances(self) -> FloatArray:
        r"""The :math:`\|x_k - x^*\|`; infinite at the end of a run that diverged."""
        offsets = self.trace.history["x"][:, 0] - self.minimum_at
        distances = np.linalg.norm(offsets, axis=1)
        return distances if self.trace.success else np.append(distances, np.inf)

    @property
    def margin(self) -> float:
        r"""How far the curvatures stay from 0 and from :math:`2/\alpha`.

        Beyond the limit it is still a distance, so that a step that is too long violates the
        assumption on the step and no other.
        """
        low, high = self.curvatures[0], self.curvatures[-1]
        return float(min(low, abs(2 / self.step_sizes[0] - high)))

    @property
    def reach(self) -> float:
        """The distance from the minimum within which the proposition speaks."""
        return self.margin / self.function.hessian_lipschitz

    def __str__(self) -> str:
        at = ", ".join(f"{x:.4g}" for x in self.minimum_at)
        return f"{super().__str__()}, {self.distances[0]:.3g} from ({at})"


def _strict_minimum(setting: LocalDescent) -> Evidence:
    slope = float(np.linalg.norm(setting.problem.gradient(setting.minimum_at)))
    low, high = setting.curvatures[0], setting.curvatures[-1]
    # A slope is small if it is small next to the curvature over the distance in which that changes.
    holds = low > 0 and slope <= EXACT * high**2 / setting.function.hessian_lipschitz
    return Evidence(
        bool(holds), f"‖∇f(x*)‖ = {slope:.3g}, smallest curvature at x* {low:.6g}, wanted 0 and > 0"
    )


def _step_below(setting: LocalDescent) -> Evidence:
    step, limit = float(setting.step_sizes.max()), 2 / setting.curvatures[-1]
    return Evidence(bool(step < limit), f"step size {step:.6g}, 2/λ = {limit:.6g}")


def _start_close(setting: LocalDescent) -> Evidence:
    distance, reach = setting.distances[0], setting.reach
    return Evidence(bool(distance <= reach), f"distance of x_0 {distance:.6g}, reach {reach:.6g}")


def _contraction(setting: LocalDescent) -> Comparison:
    distances, alpha = setting.distances, setting.step_sizes[0]
    k = np.arange(1, len(distances))
    return Comparison(
        index=k,
        observed=distances[1:],
        bound=(1 - alpha * setting.margin / 2) ** k * distances[0],
        index_name="k",
        observed_name="‖x_k - x*‖",
        magnitude=np.linalg.norm(setting.minimum_at),
    )


_WELL = WellInBowl()
_NARROW, _SHARPNESS = _WELL.minima[1], float(_WELL.sharpness(_WELL.minima[1]))

gd_stability: Theorem[LocalDescent] = Theorem(
    label="prop-gd-stability",
    title="Gradient descent is attracted by the minima that its step can stand",
    kind="inequality",
    lecture="09",
    statement=r"let $\mu$ and $\lambda$ be the smallest and the largest eigenvalue of "
    r"$\nabla^2f(x^*)$, let $\nabla^2f$ be $M$-Lipschitz, and "
    r"$m = \min\{\mu, \frac2\alpha-\lambda\}$; then "
    r"$\|x_k-x^*\| \le \bigl(1-\frac{\alpha m}2\bigr)^k\|x_0-x^*\|$ for all $k$, so that "
    r"$x_k \to x^*$",
    assumptions=(
        Assumption(
            "strict minimum", r"$\nabla f(x^*) = 0$ and $\nabla^2f(x^*) \succ 0$", _strict_minimum
        ),
        constant_step,
        Assumption("step below 2/λ", r"$0 < \alpha < 2/\lambda$", _step_below),
        Assumption("start close", r"$\|x_0-x^*\| \le m/M$", _start_close),
    ),
    compare=_contraction,
    tightness=r"As $x_0 \to x^*$ the factor of a step tends to at most $1-\alpha m$; the half that "
    r"is given away pays for the change of curvature between $x_0$ and $x^*$.",
    counterexamples=(
        Counterexample(
            "strict minimum",
            LocalDescent(_WELL, steps=40, step_size=0.02, x0=_NARROW + 0.0101, at=_NARROW + 0.01),
            "Beside the narrow minimum the curvature is positive, too, but the run does not stay.",
        ),
        Counterexample(
            "step below 2/λ",
            LocalDescent(
                _WELL, steps=300, step_size=1.01 * 2 / _SHARPNESS, x0=_NARROW + 1e-4, at=_NARROW
            ),
            "One per cent above the limit the run leaves the minimum, but not the well: it ends "
            "in an oscillation around it.",
        ),
        Counterexample(
            "start close",
            LocalDescent(
                _WELL, steps=400, step_size=0.5 / _SHARPNESS, x0=_WELL.saddle - 0.1, at=_NARROW
            ),
            "From beyond the barrier the same step leads to the other minimum.",
        ),
    ),
    references=("wu2018",),
)


# ---- SGD around a minimum shared by all samples -----------------------------------------------


def _parabolas(setting: StochasticRun) -> Evidence:
    problem = setting.problem
    holds = isinstance(problem, ScalarQuadratics)
    return Evidence(holds, f"the problem is {problem.name}, of {problem.dim} variable(s)")


def _curvatures(setting: StochasticRun) -> FloatArray:
    """Return the curvatures of the components at the minimiser, shape ``(n_samples,)``."""
    problem = setting.problem
    if isinstance(problem, SharedMinima):
        return problem.curvatures[:, np.abs(problem.centers).argmin()]
    assert isinstance(problem, ScalarQuadratics)
    return problem.curvatures


def _second_moment(setting: StochasticRun) -> Comparison:
    h, alpha = _curvatures(setting), setting.step_sizes[0]
    factor = (1 - alpha * h.mean()) ** 2 + setting.noise_factor * alpha**2 * h.var()
    distances = setting.expectation.distance_squared
    k = np.arange(len(distances))
    return Comparison(
        index=k,
        observed=distances,
        bound=factor**k * distances[0],
        index_name="k",
        observed_name="E (x_k - x*)²",
        bound_name="formula",
    )


sgd_stability: Theorem[StochasticRun] = Theorem(
    label="prop-sgd-stability",
    title="SGD around a shared minimum feels the spread of the curvatures",
    kind="identity",
    lecture="09",
    statement=r"for $f_i(x) = \frac{h_i}2(x-x^*)^2$ with mean $a$ and variance $s^2$ of the $h_i$: "
    r"$\mathbb E(x_k-x^*)^2 = \bigl((1-\alpha a)^2 + c\,\alpha^2s^2\bigr)^k(x_0-x^*)^2$, where $c$ "
    r"is $\frac1B$ with replacement and $\frac{n-B}{B(n-1)}$ without; it stays bounded if and only "
    r"if $\alpha \le \frac{2a}{a^2+cs^2}$",
    assumptions=(
        Assumption("parabolas", r"every $f_i$ is a parabola of one variable", _parabolas),
        interpolation,
        constant_step,
        uniform,
        independent_or_distinct,
    ),
    compare=_second_moment,
    tightness="An identity.",
    counterexamples=(
        Counterexample(
            "parabolas",
            StochasticRun(
                SharedMinima([[2.0, 0.2], [2.0, 3.8]], [0.0, 1.0]), steps=8, step_size=0.3, x0=[0.7]
            ),
            "Farther out another parabola takes over, with a minimum and curvatures of its own.",
        ),
        Counterexample(
            "interpolation",
            StochasticRun(
                ScalarQuadratics([1.0, 1.0], [1.0, -1.0]), steps=8, step_size=0.5, x0=[1.0]
            ),
            "Where the samples disagree on the minimum, the noise does not die out there.",
        ),
        Counterexample(
            "constant step",
            StochasticRun(
                ScalarQuadratics([0.5, 1.0]),
                steps=8,
                step_size=lambda k: 0.5 / (k + 1),
                x0=[1.0],
            ),
            "With every other step size comes another factor.",
        ),
        Counterexample(
            "uniform indices",
            StochasticRun(
                ScalarQuadratics([1.0, 3.0]),
                steps=8,
                step_size=0.2,
                x0=[1.0],
                sampling=FirstSampleOnly(),
            ),
            "The one sample ever seen is a parabola of its own curvature, without any spread.",
        ),
    ),
    references=("wu2018",),
)
