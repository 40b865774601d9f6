"""SGD and its diffusion: moments, the Euler scheme, stability (lecture 10)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm
from scipy.optimize import brentq

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.flow import (
    ConstantCovarianceFlow,
    FlowBounds,
    FlowMoments,
    Process,
    StochasticGradientFlow,
)
from sgdnotes.flow.designs import check_least_squares
from sgdnotes.flow.processes import check_process
from sgdnotes.moments import SecondMoments
from sgdnotes.oracles import check_batch_size
from sgdnotes.problems import LeastSquares
from sgdnotes.sampling import Sampling, resolve
from sgdnotes.theorems.assumptions import EXACT
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem

LEVELS = 7  # numbers of Euler steps, each twice the one before, from which a limit is extrapolated


def check_times(times: ArrayLike) -> FloatArray:
    """Return `times` as an array of finite numbers of at least 0."""
    at = _validate.finite_array("times", times, ndim=1)
    if (at < 0).any():
        raise ValueError(f"times: wanted numbers of at least 0, got {at.min():g}")
    return at


@dataclass(frozen=True, eq=False)
class DiffusionRun:
    """A diffusion on least squares that stands for SGD, from the origin.

    Attributes
    ----------
    problem : LeastSquares
    step_size : float
        Of SGD.
    times : array_like of shape (count,)
    batch_size : int
    sampling : str or Sampling
    process : Process, optional
        The diffusion; the stochastic gradient flow of this SGD when omitted.
    """

    problem: LeastSquares
    step_size: float
    times: ArrayLike = (0.0, 1.0, 10.0)
    batch_size: int = 1
    sampling: str | Sampling = "with_replacement"
    process: Process | None = None

    def __post_init__(self) -> None:
        check_least_squares(self.problem)
        _validate.real("step_size", self.step_size, above=0)
        check_batch_size(self.batch_size, self.problem)
        resolve(self.sampling)
        object.__setattr__(self, "times", check_times(self.times))
        check_process(self.diffusion)

    @property
    def at(self) -> FloatArray:
        """The times, shape ``(count,)``."""
        return np.asarray(self.times)

    @property
    def own_flow(self) -> StochasticGradientFlow:
        """The stochastic gradient flow of this SGD."""
        return StochasticGradientFlow(self.step_size, self.batch_size, self.sampling)

    @property
    def diffusion(self) -> Process:
        """The process of the run."""
        return self.own_flow if self.process is None else self.process

    @cached_property
    def moments(self) -> FlowMoments:
        """The moment equations of the process."""
        return FlowMoments(self.problem, self.diffusion)

    @cached_property
    def bounds(self) -> FlowBounds:
        """The bounds for the stochastic gradient flow of this SGD."""
        return FlowBounds(self.problem, self.step_size, self.batch_size, self.sampling)

    def __str__(self) -> str:
        sampling = resolve(self.sampling).name.replace("_", " ")
        text = f"{self.problem!r}, step {self.step_size:.3g}, batch {self.batch_size} {sampling}"
        return text if self.process is None else f"{text}, {self.process}"


@dataclass(frozen=True, eq=False)
class EulerRun(DiffusionRun):
    r"""The Euler scheme of a diffusion next to SGD.

    Attributes
    ----------
    steps : int
        Of SGD.
    time_step : float, optional
        The step size of SGD divided by a whole number; the step size itself when omitted.
    """

    steps: int = 10
    time_step: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.integer("steps", self.steps, at_least=1)
        if self.time_step is not None:
            _validate.real("time_step", self.time_step, above=0)
        if not math.isclose(self.ratio * self.h, self.step_size, rel_tol=1e-12):
            raise ValueError(
                f"time_step: wanted step_size = {self.step_size:g} divided by a whole number, "
                f"got {self.h:g}"
            )

    @property
    def h(self) -> float:
        """The time step of the scheme."""
        return self.step_size if self.time_step is None else self.time_step

    @property
    def ratio(self) -> int:
        """How many steps of the scheme there are to one of SGD."""
        return max(1, round(self.step_size / self.h))

    def __str__(self) -> str:
        text = f"{super().__str__()}, {self.steps} steps"
        return text if self.time_step is None else f"{text}, time step {self.h:.3g}"


# ---- assumptions ------------------------------------------------------------------------------


def _noise_of_sgd(setting: DiffusionRun) -> Evidence:
    problem, process = setting.problem, setting.diffusion
    features, n = problem.features, problem.n_samples
    rng = np.random.default_rng(0)
    size = np.linalg.norm(problem.targets) + np.linalg.norm(features)
    residuals = np.vstack(
        [
            -problem.targets,
            features @ problem.minimizer - problem.targets,
            size * rng.standard_normal((3, n)),
        ]
    )
    factor = process.factor(features, residuals)
    rows = residuals[:, :, None] * features
    spread = rows - rows.mean(axis=1, keepdims=True)
    wanted = resolve(setting.sampling).variance_factor(n, setting.batch_size) * setting.step_size
    wanted = wanted * np.einsum("kni,knj->kij", spread, spread) / n
    found = np.einsum("kiw,kjw->kij", factor, factor)
    scale = max(np.abs(wanted).max(), np.abs(found).max())
    gap = float(np.abs(found - wanted).max() / scale) if scale > 0 else 0.0
    return Evidence(gap <= EXACT, f"AAᵀ and ηc C differ by {gap:.3g} of the larger one")


noise_of_sgd: Assumption[Any] = Assumption(
    "noise of SGD",
    r"$A(\beta)A(\beta)^\top = \eta c\,C(\beta)$ for all $\beta$, where $C(\beta)$ is the "
    r"covariance of one sample's gradient and $c$ the variance factor of the minibatch",
    _noise_of_sgd,
)


def _time_step(setting: EulerRun) -> Evidence:
    return Evidence(setting.ratio == 1, f"time step {setting.h:.6g}, η = {setting.step_size:.6g}")


def _stable(setting: DiffusionRun) -> Evidence:
    growth = setting.moments.growth
    return Evidence(growth < 0, f"second moments change at the rate {growth:.6g} in the end")


stable: Assumption[Any] = Assumption(
    "mean-square stable",
    r"$\eta < \eta_{\mathrm{flow}}$, so that second moments of the flow tend to a limit",
    _stable,
)


# ---- moments of the flow ----------------------------------------------------------------------


def euler_limit(moments: FlowMoments, t: float) -> FloatArray:
    r"""Return the state at time t to which the Euler scheme tends as its steps shrink.

    A step of the scheme needs conditional means and covariances only, no Itô's rule.  States for
    m, 2m, 4m, ... steps differ by powers of 1/m, which Richardson's extrapolation removes.

    Parameters
    ----------
    moments : FlowMoments
    t : float
    """
    least = 32 + math.ceil(4 * t * np.linalg.norm(moments.generator, 2))
    table: list[FloatArray] = []
    for level in range(LEVELS):
        count = least * 2**level
        step = moments.euler_step(t / count)
        row = [np.asarray(np.linalg.matrix_power(step, count) @ moments.state)]
        for order, coarse in enumerate(table, start=1):
            row.append(row[-1] + (row[-1] - coarse) / (2**order - 1))
        table = row
    return table[-1]


def _flow_moments(setting: DiffusionRun) -> Comparison:
    flow, sgd = (
        setting.moments,
        SecondMoments(setting.problem, setting.batch_size, setting.sampling),
    )
    generator = sgd.drift + setting.step_size * sgd.noise_factor * sgd.noise
    at = setting.at
    return Comparison(
        index=at,
        observed=np.array([sgd.distance_squared(euler_limit(flow, float(t))) for t in at]),
        bound=np.array([sgd.distance_squared(expm(t * generator) @ sgd.state()) for t in at]),
        index_name="t",
        observed_name="E‖β_t - β̂‖², limit of Euler schemes",
        bound_name="solution of the moment equation",
    )


_TRIANGLE = LeastSquares([[1.0, 0.0], [0.5, 1.0], [-1.0, 0.5]], [2.0, -1.0, 1.0])

flow_moments: Theorem[DiffusionRun] = Theorem(
    label="thm-flow-moments",
    title="The moments of stochastic gradient flow obey a linear equation",
    kind="identity",
    lecture="10",
    statement=r"$u = \mathbb E\beta_t-\hat\beta$ and "
    r"$M = \mathbb E(\beta_t-\hat\beta)(\beta_t-\hat\beta)^\top$ obey $\dot u = -\Sigma u$ and "
    r"$\dot M = -\Sigma M - M\Sigma + \eta c\,\mathcal C(u, M)$ with $\mathcal C(u, M) = "
    r"\frac1n\sum_i(\hat r_i^2 - 2\hat r_ix_i^\top u + x_i^\top Mx_i)x_ix_i^\top - "
    r"\Sigma M\Sigma$ and $\hat r = y-X\hat\beta$",
    assumptions=(noise_of_sgd,),
    compare=_flow_moments,
    tightness="An identity.",
    counterexamples=(
        Counterexample(
            "noise of SGD",
            DiffusionRun(
                _TRIANGLE,
                step_size=0.2,
                times=(0.5, 1.0, 2.0),
                process=ConstantCovarianceFlow(0.2, residual_variance=1.9),
            ),
            "With the covariance that SGD has near the solution, the start is treated as if it "
            "were as quiet as the end.",
        ),
    ),
    references=("ali2020",),
)


# ---- the Euler scheme -------------------------------------------------------------------------


def _euler_moments(setting: EulerRun) -> Comparison:
    euler = setting.moments.euler(setting.h, setting.ratio * setting.steps)
    sgd = FlowMoments(setting.problem, setting.own_flow).sgd(setting.steps)
    # The covariance of a gradient is a difference, which a single sample leaves as rounding.
    size = np.trace(sgd.second_moment, axis1=1, axis2=2)
    return Comparison(
        index=np.arange(setting.steps + 1),
        observed=euler.trace_covariance[:: setting.ratio],
        bound=sgd.trace_covariance,
        index_name="k",
        observed_name="tr Cov of the Euler scheme",
        bound_name="tr Cov of SGD",
        magnitude=np.maximum.accumulate(size),
    )


euler_moments: Theorem[EulerRun] = Theorem(
    label="lem-euler-moments",
    title="SGD and the Euler scheme share two moments",
    kind="identity",
    lecture="10",
    statement=r"with time step $\eta$, the Euler scheme $\tilde\beta_{k+1} = \tilde\beta_k - "
    r"\eta\nabla F(\tilde\beta_k) + \sqrt\eta\,A(\tilde\beta_k)\xi_k$ and SGD with step $\eta$ "
    r"from the same point have $\mathbb E\tilde\beta_k = \mathbb E\beta^{(k)}$ and "
    r"$\operatorname{Cov}\tilde\beta_k = \operatorname{Cov}\beta^{(k)}$ for all $k$",
    assumptions=(
        noise_of_sgd,
        Assumption("time step η", r"the time step of the scheme is $\eta$", _time_step),
    ),
    compare=_euler_moments,
    tightness="An identity; third moments differ.",
    counterexamples=(
        Counterexample(
            "noise of SGD",
            EulerRun(
                _TRIANGLE,
                step_size=0.2,
                steps=20,
                process=ConstantCovarianceFlow(0.2, residual_variance=1.9),
            ),
            "With constant covariance the scheme misses the noise that SGD has far away.",
        ),
        Counterexample(
            "time step η",
            EulerRun(_TRIANGLE, step_size=0.4, steps=20, time_step=0.2),
            "With half the time step the scheme follows the flow, which is not SGD.",
        ),
    ),
    references=("ali2020",),
)


# ---- stability --------------------------------------------------------------------------------


def _crossing(excess: Callable[[float], float], scale: float) -> float:
    """Return 1 / η where `excess` turns positive, 0 if it never does."""
    low, high = 1e-3 * scale, scale
    while excess(high) <= 0:
        low, high = high, 2 * high
        if high > 1e9 * scale:
            return 0.0
    while excess(low) > 0:
        low /= 2
    return 1 / float(brentq(excess, low, high, xtol=1e-15 * scale, rtol=1e-13))


def _thresholds(setting: DiffusionRun) -> Comparison:
    problem = setting.problem
    sgd = SecondMoments(problem, setting.batch_size, setting.sampling)
    pairs = sgd.rank * (sgd.rank + 1) // 2
    # AAᵀ is proportional to the step size of SGD, whatever numbers the process is made of.
    still, noisy = sgd.drift[:pairs, :pairs], setting.moments.noise[:pairs, :pairs]
    noisy = noisy / setting.step_size
    largest, smallest = problem.spectrum[0], problem.spectrum[-1]
    inverse_sgd = _crossing(lambda eta: sgd.spectral_radius(eta) - 1, 1 / largest)
    inverse_flow = _crossing(
        lambda eta: np.linalg.eigvals(still + eta * noisy).real.max() + 1e-12 * smallest,
        1 / largest,
    )
    return Comparison(
        index=[1, 2],
        observed=[inverse_flow + smallest / 2, inverse_sgd],
        bound=[inverse_sgd, inverse_flow + largest / 2],
        index_name="side",
        observed_name="left-hand side",
        bound_name="right-hand side",
    )


flow_stability: Theorem[DiffusionRun] = Theorem(
    label="prop-flow-stability",
    title="The flow stands larger steps than SGD",
    kind="inequality",
    lecture="10",
    statement=r"second moments of SGD and of its stochastic gradient flow stay bounded up to step "
    r"sizes $\eta_{\mathrm{SGD}}$ and $\eta_{\mathrm{flow}}$ with $\frac1{\eta_{\mathrm{flow}}} + "
    r"\frac\mu2 \le \frac1{\eta_{\mathrm{SGD}}} \le \frac1{\eta_{\mathrm{flow}}} + \frac L2$, "
    r"where $\mu$ and $L$ are the smallest positive and the largest eigenvalue of $\Sigma$",
    assumptions=(noise_of_sgd,),
    compare=_thresholds,
    tightness=r"Both are equalities where $\Sigma$ is a multiple of the identity on the row space.",
    counterexamples=(
        Counterexample(
            "noise of SGD",
            DiffusionRun(
                _TRIANGLE,
                step_size=0.2,
                batch_size=3,
                process=StochasticGradientFlow(0.2, batch_size=1),
            ),
            "The flow with the noise of single samples stands less than SGD with batches.",
        ),
    ),
)
