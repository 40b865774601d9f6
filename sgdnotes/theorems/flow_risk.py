"""Gradient flow, stochastic gradient flow and ridge regression (lecture 11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.flow import (
    ConstantCovarianceFlow,
    FixedDesign,
    FlowBounds,
    FlowMoments,
    Process,
    StochasticGradientFlow,
    commutes,
    filter_gap,
    filter_ratio,
    gradient_flow,
    peak_times,
    ridge_path,
    tuned_risk_ratio,
)
from sgdnotes.flow.designs import check_least_squares, check_semidefinite
from sgdnotes.flow.processes import check_process
from sgdnotes.problems import LeastSquares
from sgdnotes.sampling import Sampling, resolve
from sgdnotes.theorems.assumptions import EXACT
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem
from sgdnotes.theorems.flow import DiffusionRun, check_times, noise_of_sgd, stable

# ---- settings ---------------------------------------------------------------------------------


def _penalties(penalties: ArrayLike | None, times: FloatArray) -> FloatArray:
    """Return the penalties to compare with the times, 1/t unless others are given."""
    if penalties is None:
        with np.errstate(divide="ignore"):
            return 1 / times
    given = _validate.nonnegative("penalties", penalties)
    if given.shape != times.shape:
        raise ValueError(f"penalties: wanted one for each of {len(times)} times, got {len(given)}")
    return given


@dataclass(frozen=True, eq=False)
class GradientFlowRun:
    r"""Gradient flow on given labels, next to ridge regression.

    Attributes
    ----------
    problem : LeastSquares
    times : array_like of shape (count,)
    x0 : array_like of shape (dim,), optional
        Where the flow starts; the origin when omitted.
    penalties : array_like of shape (count,), optional
        :math:`1/t` when omitted.
    """

    problem: LeastSquares
    times: ArrayLike
    x0: ArrayLike | None = None
    penalties: ArrayLike | None = None

    def __post_init__(self) -> None:
        check_least_squares(self.problem)
        object.__setattr__(self, "times", check_times(self.times))
        _validate.starting_points(self.x0, self.problem.dim, 1)
        _penalties(self.penalties, self.at)

    @property
    def at(self) -> FloatArray:
        """The times, shape ``(count,)``."""
        return np.asarray(self.times)

    @property
    def start(self) -> FloatArray:
        """Where the flow starts, shape ``(dim,)``."""
        return np.asarray(_validate.starting_points(self.x0, self.problem.dim, 1)[0])

    @property
    def penalty(self) -> FloatArray:
        """The penalties, shape ``(count,)``."""
        return _penalties(self.penalties, self.at)

    def __str__(self) -> str:
        start = "" if self.x0 is None else f" from a distance of {np.linalg.norm(self.start):.3g}"
        other = "" if self.penalties is None else ", penalties of its own"
        return f"{self.problem!r}{start}, t up to {self.at.max():.3g}{other}"


@dataclass(frozen=True, eq=False)
class RiskComparison:
    r"""The risks of gradient flow and of ridge regression on a fixed design.

    Attributes
    ----------
    design : FixedDesign
    times : array_like of shape (count,)
    metric : {"estimation", "prediction"} or array_like of shape (dim, dim)
    penalties : array_like of shape (count,), optional
        :math:`1/t` when omitted.
    """

    design: FixedDesign
    times: ArrayLike
    metric: str | ArrayLike = "estimation"
    penalties: ArrayLike | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.design, FixedDesign):
            raise ValueError(f"design: wanted a FixedDesign, got {self.design!r}")
        object.__setattr__(self, "times", check_times(self.times))
        self.design.weights(self.metric)
        _penalties(self.penalties, self.at)

    @property
    def at(self) -> FloatArray:
        """The times, shape ``(count,)``."""
        return np.asarray(self.times)

    @property
    def penalty(self) -> FloatArray:
        """The penalties, shape ``(count,)``."""
        return _penalties(self.penalties, self.at)

    def __str__(self) -> str:
        kind = self.metric if isinstance(self.metric, str) else "weighted"
        other = "" if self.penalties is None else ", penalties of its own"
        return f"{self.design!r}, {kind} risk, t up to {self.at.max():.3g}{other}"


@dataclass(frozen=True, eq=False)
class FlowRiskRun(RiskComparison):
    """The risk of stochastic gradient flow next to that of ridge regression.

    Attributes
    ----------
    step_size : float
        Of SGD.
    batch_size : int
    sampling : str or Sampling
    process : Process, optional
        The diffusion; the stochastic gradient flow of this SGD when omitted.
    """

    step_size: float = 0.01
    batch_size: int = 1
    sampling: str | Sampling = "with_replacement"
    process: Process | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.bounds  # checks the step size and the batch
        check_process(self.diffusion)

    @property
    def problem(self) -> LeastSquares:
        """Least squares with the labels as they would be without noise."""
        return self.design.noiseless

    @property
    def diffusion(self) -> Process:
        """The process whose risk is compared."""
        own = StochasticGradientFlow(self.step_size, self.batch_size, self.sampling)
        return own if self.process is None else self.process

    @cached_property
    def bounds(self) -> FlowBounds:
        """The bounds for the stochastic gradient flow of this SGD."""
        return FlowBounds(self.design, self.step_size, self.batch_size, self.sampling)

    @cached_property
    def risk(self) -> FloatArray:
        """The exact risk of the process, shape ``(count,)``."""
        moments = FlowMoments(self.design, self.diffusion)
        return moments.risk(moments.flow(self.at), self.metric).total

    def __str__(self) -> str:
        sampling = resolve(self.sampling).name.replace("_", " ")
        own = "" if self.process is None else f", {self.process}"
        return (
            f"{super().__str__()}, step {self.step_size:.3g}, batch {self.batch_size} "
            f"{sampling}{own}"
        )


@dataclass(frozen=True, eq=False)
class OracleTuning:
    r"""Ridge regression and the flows, tuned for the risk under a prior on the coefficients.

    Attributes
    ----------
    features : array_like of shape (n_samples, dim)
    noise : float
        :math:`\sigma > 0`.
    prior : array_like of shape (dim, dim)
        :math:`\mathbb E\beta_*\beta_*^\top`; fixed coefficients are the prior of rank one.
    times : array_like of shape (count,)
        At which stochastic gradient flow is compared with ridge regression.
    step_size : float
        Of SGD.
    batch_size : int
    sampling : str or Sampling
    """

    features: ArrayLike
    noise: float
    prior: ArrayLike
    times: ArrayLike
    step_size: float = 0.01
    batch_size: int = 1
    sampling: str | Sampling = "with_replacement"

    def __post_init__(self) -> None:
        _validate.real("noise", self.noise, above=0)
        object.__setattr__(self, "times", check_times(self.times))
        features = _validate.finite_array("features", self.features, ndim=2)
        if not check_semidefinite("prior", self.prior, features.shape[1]).any():
            raise ValueError("prior: wanted a second moment other than zero, got zero")
        FlowBounds(self.designs[0], self.step_size, self.batch_size, self.sampling)

    @property
    def at(self) -> FloatArray:
        """The times, shape ``(count,)``."""
        return np.asarray(self.times)

    @cached_property
    def designs(self) -> list[FixedDesign]:
        """Designs whose mean risk is the expected one, as risks are quadratic in the signal."""
        variances, vectors = np.linalg.eigh(np.asarray(self.prior, dtype=float))
        kept = variances > 1e-12 * variances[-1]
        scale = np.sqrt(kept.sum() * variances[kept])
        return [
            FixedDesign(self.features, coefficients, self.noise)
            for coefficients in (scale * vectors[:, kept]).T
        ]

    def risk(self, of: Callable[[FixedDesign], FloatArray]) -> FloatArray:
        """Return a risk on average over the prior.

        Parameters
        ----------
        of : callable
            ``design -> risks``.
        """
        return np.asarray(np.mean([of(design) for design in self.designs], axis=0))

    @property
    def isotropic_penalty(self) -> float:
        r""":math:`\sigma^2/(n\tau^2)` with the mean variance :math:`\tau^2` of a coefficient."""
        variance = np.trace(np.asarray(self.prior)) / len(np.asarray(self.prior))
        return float(self.noise**2 / (len(np.asarray(self.features)) * variance))

    @cached_property
    def penalties(self) -> FloatArray:
        """Among which the best is looked for: a fine grid and the one best for isotropic priors."""
        grid = np.geomspace(1e-5, 1e5, 2001) * self.designs[0].noiseless.smoothness
        return np.append(grid, self.isotropic_penalty)

    @cached_property
    def ridge(self) -> FloatArray:
        """The risk of ridge regression for each penalty."""
        return self.risk(lambda design: design.ridge_risk(self.penalties).total)

    @cached_property
    def gradient_flow(self) -> float:
        """The risk of gradient flow at the inverse of the penalty for isotropic priors."""
        time = 1 / self.isotropic_penalty
        return float(self.risk(lambda design: design.gradient_flow_risk([time]).total)[0])

    @cached_property
    def stochastic(self) -> FloatArray:
        """The risk of stochastic gradient flow at the times."""
        process = StochasticGradientFlow(self.step_size, self.batch_size, self.sampling)

        def exact(design: FixedDesign) -> FloatArray:
            moments = FlowMoments(design, process)
            return moments.risk(moments.flow(self.at)).total

        return self.risk(exact)

    def __str__(self) -> str:
        sampling = resolve(self.sampling).name.replace("_", " ")
        ranks = len(self.designs)
        signal = "fixed coefficients" if ranks == 1 < len(np.asarray(self.prior)) else "a prior"
        return (
            f"{self.designs[0]!r} under {signal}, step {self.step_size:.3g}, "
            f"batch {self.batch_size} {sampling}"
        )


# ---- assumptions ------------------------------------------------------------------------------


def _calibrated(setting: GradientFlowRun | RiskComparison) -> Evidence:
    t, penalty = setting.at, setting.penalty
    later = t > 0
    off = np.abs(t[later] * penalty[later] - 1).max() if later.any() else 0.0
    holds = off <= EXACT and bool(np.isinf(penalty[~later]).all())
    return Evidence(bool(holds), f"λt differs from 1 by up to {off:.3g}")


_calibration: Assumption[Any] = Assumption(
    "calibration",
    r"$\lambda = 1/t$ in $\min_\beta\frac1n\|X\beta-y\|^2+\lambda\|\beta\|^2$",
    _calibrated,
)


def _from_the_origin(setting: GradientFlowRun) -> Evidence:
    distance = float(np.linalg.norm(setting.start))
    return Evidence(distance == 0, f"‖β_0‖ = {distance:.6g}")


_origin: Assumption[Any] = Assumption("start at the origin", r"$\beta_0 = 0$", _from_the_origin)


def _commuting(setting: RiskComparison) -> Evidence:
    weights, sigma = setting.design.weights(setting.metric), setting.design.noiseless.hessian
    size = np.abs(weights @ sigma - sigma @ weights).max()
    return Evidence(commutes(setting.design, setting.metric), f"WΣ - ΣW of size {size:.3g}")


_weights: Assumption[Any] = Assumption(
    "weights along the eigenvectors",
    r"risks are $\mathbb E(\beta-\beta_*)^\top W(\beta-\beta_*)$ with $W\Sigma = \Sigma W$; so are "
    r"those of estimation, $W = I$, and of prediction, $W = \Sigma$",
    _commuting,
)


def _interpolating(setting: DiffusionRun) -> Evidence:
    ratio = setting.bounds.least_loss / max(setting.bounds.first_loss, 1e-300)
    rank, n = len(setting.problem.spectrum), setting.problem.n_samples
    return Evidence(ratio <= 1e-20, f"F*/F(0) = {ratio:.3g}, rank X = {rank}, n = {n}")


def _isotropic(setting: OracleTuning) -> Evidence:
    prior = np.asarray(setting.prior, dtype=float)
    variance = np.trace(prior) / len(prior)
    off = float(np.abs(prior - variance * np.eye(len(prior))).max() / variance)
    return Evidence(off <= EXACT, f"prior differs from τ² I by {off:.3g} of τ²")


def _decaying(setting: DiffusionRun) -> Evidence:
    alpha, limit = setting.bounds.alpha, setting.bounds.largest_step
    return Evidence(
        0 < alpha < 2 * setting.bounds.mu,
        f"α = {alpha:.6g}; η = {setting.step_size:.6g}, 2μ/(cζ) = {limit:.6g}",
    )


# ---- gradient flow ----------------------------------------------------------------------------


def _closed_form(setting: GradientFlowRun) -> Comparison:
    problem = setting.problem
    # Both sides of the flow's equation as one matrix acting on (β, 1).
    matrix = np.zeros((problem.dim + 1,) * 2)
    matrix[:-1, :-1] = -problem.features.T @ problem.features / problem.n_samples
    matrix[:-1, -1] = problem.features.T @ problem.targets / problem.n_samples
    first = np.append(setting.start, 1.0)
    solved = np.array([(expm(t * matrix) @ first)[:-1] for t in setting.at])
    return Comparison(
        index=np.repeat(setting.at, problem.dim),
        observed=solved.ravel(),
        bound=gradient_flow(problem, setting.at).ravel(),
        index_name="t",
        observed_name="β_t from the differential equation",
        bound_name="closed form",
    )


_LINE = LeastSquares([[1.0], [-1.0]], [2.0, -1.0])
_PLANE = LeastSquares([[2.0, 0.0], [0.0, 0.5]], [2.0, -1.0])

gradient_flow_solution: Theorem[GradientFlowRun] = Theorem(
    label="thm-gradient-flow",
    title="Gradient flow in closed form",
    kind="identity",
    lecture="11",
    statement=r"the solution of $\dot\beta = \frac1nX^\top(y-X\beta)$ with $\beta_0 = 0$ is "
    r"$\hat\beta_t = (X^\top X)^+(I-e^{-t\Sigma})X^\top y$, for every $X$; for $t \to \infty$ it "
    r"tends to $X^+y$",
    assumptions=(_origin,),
    compare=_closed_form,
    tightness="An identity.",
    counterexamples=(
        Counterexample(
            "start at the origin",
            GradientFlowRun(_PLANE, times=[0.5, 1.0, 2.0], x0=[1.0, 1.0]),
            "Another start is forgotten only at the rate of the smallest eigenvalue.",
        ),
    ),
    references=("ali2019",),
)


def _risk_inequality(setting: RiskComparison) -> Comparison:
    flow = setting.design.gradient_flow_risk(setting.at, setting.metric)
    ridge = setting.design.ridge_risk(setting.penalty, setting.metric)
    constant = filter_ratio().value ** 2
    return Comparison(
        index=np.tile(setting.at, 3),
        observed=np.concatenate([flow.bias_squared, flow.variance, flow.total]),
        bound=np.concatenate(
            [
                ridge.bias_squared,
                constant * ridge.variance,
                ridge.bias_squared + constant * ridge.variance,
            ]
        ),
        index_name="t",
        observed_name="bias², variance and risk of gradient flow",
        bound_name="bias², c₀² variance and their sum for ridge",
    )


_HILL = FixedDesign([[2.0, 0.0], [0.0, 0.5], [0.0, 0.0]], [1.0, 1.0], 0.0)
# Weights for which the bias of ridge regression at t = 1 cancels, but not that of the flow.
_CANCELS = 1 + _HILL.eigenvalues[[0, 1]]
_TWISTED = np.outer([_CANCELS[0], -_CANCELS[1]], [_CANCELS[0], -_CANCELS[1]])

flow_ridge: Theorem[RiskComparison] = Theorem(
    label="thm-flow-ridge",
    title="Gradient flow at time t and ridge regression with penalty 1/t",
    kind="inequality",
    lecture="11",
    statement=r"for all $t \ge 0$: $\operatorname{Bias}^2(\hat\beta_t) \le "
    r"\operatorname{Bias}^2(\hat\beta^{\mathrm{ridge}}_{1/t})$ and "
    r"$\operatorname{Var}(\hat\beta_t) \le c_0^2\operatorname{Var}"
    r"(\hat\beta^{\mathrm{ridge}}_{1/t})$ with "
    r"$c_0 = \max_{x>0}\frac{(1-e^{-x})(1+x)}x = 1.2984\ldots$; hence "
    r"$\operatorname{Risk}(\hat\beta_t) \le c_0^2\operatorname{Risk}"
    r"(\hat\beta^{\mathrm{ridge}}_{1/t})$, where $c_0^2 = 1.6859\ldots$",
    assumptions=(_calibration, _weights),
    compare=_risk_inequality,
    tightness=r"The variances attain $c_0^2$ where all $ts_j = 1.7933$; the biases agree at "
    r"$t = 0$. The risk comes close to $c_0^2$ only where noise outweighs signal.",
    counterexamples=(
        Counterexample(
            "calibration",
            RiskComparison(_HILL, times=[1.0, 2.0], penalties=[1 / 3, 1 / 6]),
            "If ridge regression is written without the factor 1/n, the penalty 1/t is n times "
            "weaker, and its bias falls below that of the flow.",
        ),
        Counterexample(
            "weights along the eigenvectors",
            RiskComparison(_HILL, times=[1.2], metric=_TWISTED),
            "In predictions at new features two errors can cancel, for ridge but not for the flow.",
        ),
    ),
    references=("ali2019",),
)


def _coefficients(setting: GradientFlowRun) -> Comparison:
    flow = gradient_flow(setting.problem, setting.at, setting.start)
    ridge = ridge_path(setting.problem, setting.penalty)
    distance = np.linalg.norm(flow - ridge, axis=1)
    sizes = np.linalg.norm(ridge, axis=1)
    whole = np.linalg.norm(setting.problem.minimizer)
    return Comparison(
        index=np.tile(setting.at, 2),
        observed=np.tile(distance, 2),
        bound=np.append(
            (filter_ratio().value - 1) * sizes, np.full(len(sizes), filter_gap().value * whole)
        ),
        index_name="t",
        observed_name="distance of gradient flow from ridge",
        bound_name="0.298 ‖ridge‖ and 0.204 ‖X⁺y‖",
        magnitude=np.tile(sizes, 2),
    )


flow_ridge_coefficients: Theorem[GradientFlowRun] = Theorem(
    label="prop-flow-ridge-coefficients",
    title="The coefficients of gradient flow stay close to those of ridge regression",
    kind="inequality",
    lecture="11",
    statement=r"for all $t \ge 0$: $\|\hat\beta_t-\hat\beta^{\mathrm{ridge}}_{1/t}\| \le "
    r"(c_0-1)\|\hat\beta^{\mathrm{ridge}}_{1/t}\|$, where $c_0-1 = 0.2984\ldots$, and "
    r"$\|\hat\beta_t-\hat\beta^{\mathrm{ridge}}_{1/t}\| \le c_1\|X^+y\|$ with "
    r"$c_1 = \max_{x>0}\bigl(\frac1{1+x}-e^{-x}\bigr) = 0.2036\ldots$",
    assumptions=(_calibration, _origin),
    compare=_coefficients,
    tightness=r"Attained where all $ts_j = 1.7933$ and where all $ts_j = 2.5129$.",
    counterexamples=(
        Counterexample(
            "calibration",
            GradientFlowRun(_PLANE, times=[0.5, 1.0], penalties=[4.0, 2.0]),
            "With twice the penalty the coefficients of ridge regression shrink too much.",
        ),
        Counterexample(
            "start at the origin",
            GradientFlowRun(_PLANE, times=[0.1, 1.0], x0=[3.0, 3.0]),
            "Ridge regression knows no starting point other than the origin.",
        ),
    ),
)


# ---- loss and covariance of stochastic gradient flow ------------------------------------------


def _loss(setting: DiffusionRun) -> Comparison:
    moments = setting.moments.flow(setting.at)
    return Comparison(
        index=setting.at,
        observed=moments.gap + setting.problem.minimum,
        bound=setting.bounds.loss(setting.at),
        index_name="t",
        observed_name="E F(β_t)",
    )


_GRID = np.geomspace(1e-2, 10.0, 31)
_CONSTANT = ConstantCovarianceFlow(0.1)
_SMALL_LABELS = LeastSquares([[1.0, 0.0], [0.0, 1.0]], [0.1, -0.1])

flow_loss: Theorem[DiffusionRun] = Theorem(
    label="lem-flow-loss",
    title="The expected loss along stochastic gradient flow",
    kind="inequality",
    lecture="11",
    statement=r"let $\zeta = \max_ix_i^\top\Sigma x_i$, $\alpha = 2\mu-\eta c\zeta \ne 0$ and "
    r"$\gamma = \frac{2\mu}\alpha F_*$; then "
    r"$\mathbb EF(\beta_t) \le \gamma+(F_0-\gamma)e^{-\alpha t}$ for all $t \ge 0$, where "
    r"$F_0 = F(0)$",
    assumptions=(noise_of_sgd,),
    compare=_loss,
    tightness=r"Equality at $t = 0$. The bound tends to a limit if $\eta < \frac{2\mu}{c\zeta}$; "
    r"beyond, it holds but grows, while the flow itself may stay bounded.",
    counterexamples=(
        Counterexample(
            "noise of SGD",
            DiffusionRun(_SMALL_LABELS, step_size=0.1, times=_GRID, process=_CONSTANT),
            "Noise of constant size does not die out where all samples can be fitted.",
        ),
    ),
)


def _covariance(setting: DiffusionRun) -> Comparison:
    return Comparison(
        index=setting.at,
        observed=setting.moments.flow(setting.at).trace_covariance,
        bound=setting.bounds.covariance(setting.at),
        index_name="t",
        observed_name="tr Cov(β_t)",
    )


flow_covariance: Theorem[DiffusionRun] = Theorem(
    label="thm-flow-covariance",
    title="The covariance of stochastic gradient flow",
    kind="inequality",
    lecture="11",
    statement=r"with $\alpha$ and $\gamma$ as in the lemma on the loss and "
    r"$\omega_j = \max_i(v_j^\top x_i)^2$, for all $t \ge 0$: "
    r"$\operatorname{tr}\operatorname{Cov}(\beta_t) \le \eta c\sum_{s_j>0}\frac{\omega_j}{s_j}"
    r"\bigl[(F_0-\gamma)\frac{s_j}{s_j-\alpha/2}(e^{-\alpha t}-e^{-2ts_j}) + "
    r"\gamma(1-e^{-2ts_j})\bigr]$",
    assumptions=(noise_of_sgd,),
    compare=_covariance,
    tightness=r"As $t \to 0$ both sides grow in proportion to $t$; they agree to first order where "
    r"the gradient at the origin is zero and all $|v_j^\top x_i|$ are equal.",
    counterexamples=(
        Counterexample(
            "noise of SGD",
            DiffusionRun(_SMALL_LABELS, step_size=0.1, times=_GRID, process=_CONSTANT),
            "Noise of constant size keeps a covariance where all samples can be fitted.",
        ),
    ),
)


def _excess(setting: FlowRiskRun) -> Comparison:
    ridge = setting.design.ridge_risk(setting.penalty, setting.metric)
    excess = (filter_ratio().value ** 2 - 1) * ridge.variance
    # Without a common eigenbasis the bound is what one would write down all the same.
    matrix = setting.design.eigenvectors
    if commutes(setting.design, setting.metric):
        sampling = setting.bounds.covariance(setting.at, metric=setting.metric)
    else:
        inside = np.diagonal(matrix @ setting.design.weights(setting.metric) @ matrix.T)
        sampling = setting.bounds.covariance(setting.at, metric=(matrix.T * inside) @ matrix)
    return Comparison(
        index=setting.at,
        observed=setting.risk,
        bound=ridge.total + excess + sampling,
        index_name="t",
        observed_name="risk of the flow",
        bound_name="risk of ridge and excess",
    )


excess_risk: Theorem[FlowRiskRun] = Theorem(
    label="thm-excess-risk",
    title="The excess risk of stochastic gradient flow over ridge regression",
    kind="inequality",
    lecture="11",
    statement=r"with $\alpha$ and $\omega_j$ as in the theorem on the covariance, "
    r"$\bar F_0 = \frac12(\beta_*^\top\Sigma\beta_*+\sigma^2)$, "
    r"$\bar F_* = \sigma^2\frac{n-r}{2n}$ and $\bar\gamma = \frac{2\mu}\alpha\bar F_*$, "
    r"for all $t \ge 0$: "
    r"$\operatorname{Risk}(\beta_t)-\operatorname{Risk}(\hat\beta^{\mathrm{ridge}}_{1/t}) \le "
    r"(c_0^2-1)\operatorname{Var}(\hat\beta^{\mathrm{ridge}}_{1/t}) + \eta c\sum_{s_j>0}"
    r"\frac{w_j\omega_j}{s_j}\bigl[(\bar F_0-\bar\gamma)\frac{s_j}{s_j-\alpha/2}"
    r"(e^{-\alpha t}-e^{-2ts_j})+\bar\gamma(1-e^{-2ts_j})\bigr]$, where $w_j = v_j^\top Wv_j$",
    assumptions=(noise_of_sgd, _calibration, _weights),
    compare=_excess,
    tightness=r"Equality at $t = 0$. The terms of the noise are of order $\eta$, and as "
    r"$\eta \to 0$ what is left is the comparison of gradient flow with ridge regression. For "
    r"$\eta \ge \frac{2\mu}{c\zeta}$ the bound holds but grows without end.",
    counterexamples=(
        Counterexample(
            "noise of SGD",
            FlowRiskRun(
                FixedDesign([[1.0, 0.0], [0.0, 1.0]], [0.1, -0.1], 0.0),
                times=_GRID,
                step_size=0.1,
                process=_CONSTANT,
            ),
            "Noise of constant size adds to the risk where all samples can be fitted.",
        ),
        Counterexample(
            "calibration",
            FlowRiskRun(_HILL, times=[1.0, 2.0], penalties=[1 / 3, 1 / 6], step_size=1e-3),
            "If ridge regression is written without the factor 1/n, the penalty 1/t is n times "
            "weaker, and its bias falls below that of the flow.",
        ),
        Counterexample(
            "weights along the eigenvectors",
            FlowRiskRun(_HILL, times=[1.2], metric=_TWISTED, step_size=1e-4),
            "In predictions at new features two errors can cancel, for ridge but not for the flow.",
        ),
    ),
)


# ---- the terms of the bound -------------------------------------------------------------------


def _second_term(setting: DiffusionRun) -> Comparison:
    alpha, s = setting.bounds.alpha, setting.problem.spectrum
    t = np.broadcast_to(setting.at[:, None], (len(setting.at), len(s)))
    if alpha > 0:
        t = np.vstack([t, peak_times(alpha, s)])
    ratio = alpha / (2 * s)
    with np.errstate(over="ignore", invalid="ignore"):
        observed = np.exp(-alpha * t) * -np.expm1((alpha - 2 * s) * t)
        highest = (1 - ratio) * np.abs(ratio) ** (ratio / (1 - ratio))
    return Comparison(
        index=t.ravel(),
        observed=observed.ravel(),
        bound=np.broadcast_to(highest, t.shape).ravel(),
        index_name="t",
        observed_name="second term",
        bound_name="its value at the peak",
    )


second_term_peak: Theorem[DiffusionRun] = Theorem(
    label="prop-second-term-peak",
    title="The second term rises before it falls",
    kind="inequality",
    lecture="11",
    statement=r"for $0 < \alpha < 2s$, $e^{-\alpha t}-e^{-2ts}$ is 0 at $t = 0$, rises "
    r"until $t^* = \frac{\ln(2s/\alpha)}{2s-\alpha}$, falls from there on and tends to 0; its "
    r"largest value is $\bigl(1-\frac\alpha{2s}\bigr)\bigl(\frac\alpha{2s}\bigr)"
    r"^{\alpha/(2s-\alpha)}$",
    assumptions=(
        Assumption("step below 2μ/(cζ)", r"$0 < \alpha = 2\mu-\eta c\zeta < 2\mu$", _decaying),
    ),
    compare=_second_term,
    tightness=r"Equality at $t^*$.",
    counterexamples=(
        Counterexample(
            "step below 2μ/(cζ)",
            DiffusionRun(_PLANE, step_size=0.5, times=_GRID),
            "With a larger step the term grows without end, and so does the bound it belongs to.",
        ),
    ),
)


def _no_third_term(setting: DiffusionRun) -> Comparison:
    observed = setting.moments.flow(setting.at).trace_covariance
    # A limit is judged by what there was before, which late times alone would not show.
    before = setting.moments.flow(1 / setting.problem.spectrum).trace_covariance
    return Comparison(
        index=setting.at,
        observed=observed,
        bound=np.zeros_like(observed),
        index_name="t",
        observed_name="tr Cov(β_t)",
        bound_name="limit 0",
        tolerance=1e-6 * float(max(observed.max(), before.max())),
    )


_TWINS = LeastSquares([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [2.0, -2.0])
_APART = LeastSquares([[2.0, 0.0, 0.0], [0.0, 0.0, 1.0]], [2.0, -2.0])

third_term: Theorem[DiffusionRun] = Theorem(
    label="prop-third-term",
    title="When the randomness of stochastic gradient flow dies out",
    kind="limit",
    lecture="11",
    statement=r"$F_* = 0$ if and only if $y$ is in the column space of $X$, which holds for all "
    r"$y$ if and only if $\operatorname{rank}X = n$; then $\gamma = 0$ and "
    r"$\operatorname{Cov}(\beta_t) \to 0$",
    assumptions=(
        noise_of_sgd,
        Assumption("interpolation", r"$y$ is in the column space of $X$", _interpolating),
        stable,
    ),
    compare=_no_third_term,
    tightness="An exact limit, approached at an exponential rate.",
    counterexamples=(
        Counterexample(
            "noise of SGD",
            DiffusionRun(
                _APART, step_size=0.5, times=[1.0, 100.0], process=ConstantCovarianceFlow(0.5)
            ),
            "Noise of constant size keeps its covariance.",
        ),
        Counterexample(
            "interpolation",
            DiffusionRun(_TWINS, step_size=0.5, times=[1.0, 100.0]),
            "There are more columns than rows, yet two equal rows have different labels.",
        ),
        Counterexample(
            "mean-square stable",
            DiffusionRun(_APART, step_size=4.0, times=[0.5, 2.0]),
            "With too large a step the noise outruns the drift.",
        ),
    ),
)


# ---- tuning -----------------------------------------------------------------------------------


def _tuned(setting: OracleTuning) -> Comparison:
    best = setting.ridge.min()
    return Comparison(
        index=np.append(setting.at, 1 / setting.isotropic_penalty),
        observed=np.append(np.full(len(setting.at), best), setting.gradient_flow),
        bound=np.append(setting.stochastic, tuned_risk_ratio().value * best),
        index_name="t",
        observed_name="tuned risk of ridge, and risk of gradient flow",
        bound_name="risk of stochastic gradient flow, and 1.2147 tuned risk of ridge",
    )


_TWO_DIRECTIONS = np.column_stack([np.ones(100), 0.1 * (-1.0) ** np.arange(100)])

oracle_tuning: Theorem[OracleTuning] = Theorem(
    label="thm-oracle-tuning",
    title="With the best tuning, on average over the signal",
    kind="inequality",
    lecture="11",
    statement=r"if $\beta_*$ has mean 0 and covariance $\tau^2I$ and is independent of the noise, "
    r"$\min_\lambda\mathbb E_{\beta_*}\operatorname{Risk}(\hat\beta^{\mathrm{ridge}}_\lambda) \le "
    r"\inf_t\mathbb E_{\beta_*}\operatorname{Risk}(\beta_t)$ for stochastic gradient flow, and "
    r"$\mathbb E_{\beta_*}\operatorname{Risk}(\hat\beta_t) \le c_2\min_\lambda"
    r"\mathbb E_{\beta_*}\operatorname{Risk}(\hat\beta^{\mathrm{ridge}}_\lambda)$ for gradient "
    r"flow at $t = n\tau^2/\sigma^2$, with $c_2 = "
    r"\max_{x>0}\bigl(e^{-2x}+\frac{(1-e^{-x})^2}x\bigr)(1+x) = 1.2146\ldots$",
    assumptions=(
        Assumption(
            "isotropic prior",
            r"$\mathbb E\beta_* = 0$ and $\mathbb E\beta_*\beta_*^\top = \tau^2I$",
            _isotropic,
        ),
    ),
    compare=_tuned,
    tightness=r"The first is close where noise outweighs signal. The second is attained where all "
    r"$ts_j = 3.2136$; the best time of the flow does better.",
    counterexamples=(
        Counterexample(
            "isotropic prior",
            OracleTuning(
                _TWO_DIRECTIONS,
                noise=float(np.sqrt(0.2)),
                prior=[[1.0, 0.0], [0.0, 0.0]],
                times=[4.0, 4.58, 5.0],
                step_size=0.01,
            ),
            "For one fixed signal along the first of two very different directions the flow fits "
            "it sooner than ridge regression, with less of the noise in the second.",
        ),
    ),
    references=("ali2019",),
)
