"""Gradient descent with error, growing batches and the choice of the batch size (lecture 07)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.moments import SecondMoments
from sgdnotes.problems import LeastSquares, Ridge, ScalarQuadratics, quartic
from sgdnotes.schedules import geometric_batches
from sgdnotes.theorems.assumptions import EXACT, components_convex, pl, smooth, strongly_convex
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem
from sgdnotes.theorems.settings import BatchChoice, GrowingRun, Points

GAP = "E f(x_k) - f*"
LONGEST = 48  # binary digits of the most steps that are counted


# ---- one step with an error -------------------------------------------------------------------


def _error_step(setting: Points) -> Comparison:
    problem, size, x, error = (
        setting.problem,
        setting.constant("smoothness"),
        setting.x,
        setting.delta,
    )
    gradient = problem.gradient(x)
    spent = (gradient**2).sum(axis=1) - (error**2).sum(axis=1)
    return Comparison(
        index=np.arange(len(x)),
        observed=problem.gap(x - (gradient + error) / size),
        bound=problem.gap(x) - spent / (2 * size),
        index_name="point",
        observed_name="f(x⁺) - f*",
        bound_name="f(x) - f* - ‖∇f‖²/(2L) + ‖e‖²/(2L)",
        magnitude=problem.gap(x) + (gradient**2).sum(axis=1) / size,
    )


gradient_error: Theorem[Points] = Theorem(
    label="lem-gradient-error",
    title="A gradient step with any error",
    kind="inequality",
    lecture="07",
    statement=r"With $x^+ = x - \frac1L(\nabla f(x) + e)$, for every $e$: "
    r"$f(x^+) \le f(x) - \frac1{2L}\|\nabla f(x)\|^2 + \frac1{2L}\|e\|^2$",
    assumptions=(smooth,),
    compare=_error_step,
    tightness=r"Equality for $f(x) = \tfrac L2\|x\|^2$ and every error.",
    counterexamples=(
        Counterexample(
            "smooth",
            Points(
                quartic(),
                points=[[1.0]],
                displacements=[[-10.0]],
                claims={"smoothness": 9.0},
            ),
            "The fourth power outgrows every parabola: an error that points outwards takes it "
            "higher than the bound allows.",
        ),
    ),
    references=("merkulov", "friedlander2012"),
)


# ---- the error along a run --------------------------------------------------------------------


def _inverse_smoothness_step(setting: GrowingRun) -> Evidence:
    wanted, sizes = 1 / setting.constant("smoothness"), setting.step_sizes
    off = float(np.abs(sizes / wanted - 1).max())
    return Evidence(
        off <= EXACT, f"step sizes from {sizes.min():.6g} to {sizes.max():.6g}, 1/L = {wanted:.6g}"
    )


inverse_smoothness_step: Assumption[Any] = Assumption(
    "step 1/L", r"$\alpha_k = \tfrac1L$ for all $k$", _inverse_smoothness_step
)


def _shrink(setting: GrowingRun) -> float:
    return 1 - setting.constant("pl_constant") / setting.constant("smoothness")


def _error_rate(setting: GrowingRun) -> Comparison:
    q, gap = _shrink(setting), setting.expectation.gap
    bound = np.empty(len(gap))
    bound[0] = gap[0]
    for k, error in enumerate(setting.error_second_moment):
        bound[k + 1] = q * bound[k] + error / (2 * setting.constant("smoothness"))
    return Comparison(
        index=np.arange(len(gap)),
        observed=gap,
        bound=bound,
        index_name="k",
        observed_name=GAP,
    )


_FIT = LeastSquares([[1.0, 0.0], [0.0, 0.5], [1.0, 0.5], [0.5, -0.5]], [1.0, 0.0, -1.0, 2.0])
_DOUBLE = geometric_batches(1, 2.0)

gradient_error_rate: Theorem[GrowingRun] = Theorem(
    label="thm-gradient-error",
    title="Gradient descent with error on PL functions",
    kind="inequality",
    lecture="07",
    statement=r"With $q = 1-\frac\mu L$: $\mathbb E f(x_K)-f^* \le q^K(f(x_0)-f^*) "
    r"+ \frac1{2L}\sum_{j<K}q^{K-1-j}\,\mathbb E\|e_j\|^2$",
    assumptions=(smooth, pl, inverse_smoothness_step),
    compare=_error_rate,
    tightness=r"Equality for $f(x) = \tfrac L2\|x\|^2$; loose by the factor between $\mu$ and the "
    r"curvature of the directions in which the error points.",
    counterexamples=(
        Counterexample(
            "PL",
            GrowingRun(
                _FIT,
                steps=20,
                step_size=1 / _FIT.smoothness,
                x0=[3.0, 3.0],
                batch_size=_DOUBLE,
                claims={"pl_constant": 0.9 * _FIT.smoothness},
            ),
            "A PL constant far too large promises a decrease that does not happen.",
        ),
        Counterexample(
            "step 1/L",
            GrowingRun(_FIT, steps=10, step_size=3 / _FIT.smoothness, x0=[3.0, 3.0]),
            "Three times the step diverges.",
        ),
        Counterexample(
            "smooth",
            GrowingRun(
                _FIT,
                steps=10,
                step_size=4 / _FIT.smoothness,
                x0=[3.0, 3.0],
                claims={"smoothness": _FIT.smoothness / 4, "pl_constant": 0.1},
            ),
            "With L understated fourfold the step 1/L diverges.",
        ),
    ),
    references=("friedlander2012",),
)


# ---- errors that shrink geometrically ---------------------------------------------------------


def _geometric_errors(setting: GrowingRun) -> Evidence:
    constant, ratio = setting.claims.get("error_constant"), setting.claims.get("error_ratio")
    if constant is None or ratio is None:
        return Evidence(False, "error_constant and error_ratio are not claimed")
    errors = setting.error_second_moment
    allowed = constant * ratio ** np.arange(len(errors))
    excess = errors - allowed * (1 + EXACT)
    worst = int(excess.argmax())
    return Evidence(
        bool(0 < ratio < 1 and (excess <= 0).all()),
        f"E‖e_k‖² = {errors[worst]:.6g} at k = {worst}, C ρ^k = {allowed[worst]:.6g}",
    )


def geometric_sum(q: float, ratio: float, steps: FloatArray) -> FloatArray:
    r"""Return :math:`\sum_{j<K}q^{K-1-j}\rho^j` for every K in `steps`; `ratio` is ρ."""
    wanted = np.asarray(steps, dtype=np.int64)
    # Added up, as (q^K - ρ^K)/(q - ρ) loses its digits where the two are close.
    sums = [0.0]
    for j in range(int(wanted.max(initial=0))):
        sums.append(q * sums[-1] + ratio**j)
    return np.array(sums)[wanted]


def _geometric_rate(setting: GrowingRun) -> Comparison:
    q, gap = _shrink(setting), setting.expectation.gap
    steps = setting.expectation.steps.astype(float)
    constant, ratio = setting.claims["error_constant"], setting.claims["error_ratio"]
    noise = constant / (2 * setting.constant("smoothness")) * geometric_sum(q, ratio, steps)
    return Comparison(
        index=steps,
        observed=gap,
        bound=q**steps * gap[0] + noise,
        index_name="k",
        observed_name=GAP,
    )


_SOLVABLE = LeastSquares([[1.0, 0.0], [0.0, 0.3]], [1.0, 0.3])

geometric_batches_rate: Theorem[GrowingRun] = Theorem(
    label="thm-geometric-batches",
    title="Errors that shrink geometrically keep a linear rate",
    kind="inequality",
    lecture="07",
    statement=r"If $\mathbb E\|e_j\|^2 \le C\rho^j$ with $0 < \rho < 1$ and $q = 1-\frac\mu L$, "
    r"then $\mathbb E f(x_K)-f^* \le q^K(f(x_0)-f^*) "
    r"+ \frac C{2L}\cdot\frac{q^K-\rho^K}{q-\rho}$, where for $\rho = q$ the last fraction is "
    r"$Kq^{K-1}$",
    assumptions=(
        smooth,
        pl,
        inverse_smoothness_step,
        Assumption(
            "geometric errors",
            r"$\mathbb E\|e_j\|^2 \le C\rho^j$ along the run, $0 < \rho < 1$",
            _geometric_errors,
        ),
    ),
    compare=_geometric_rate,
    tightness=r"For $\rho > q$ the rate cannot be improved.  On quadratics the exact factor in the "
    r"long run is $\max\{q^2, \rho\}$, with a factor $K$ at $\rho = q^2$.",
    counterexamples=(
        Counterexample(
            "geometric errors",
            GrowingRun(
                _FIT,
                steps=60,
                step_size=1 / _FIT.smoothness,
                x0=[3.0, 3.0],
                batch_size=2,
                claims={"error_constant": 100.0, "error_ratio": 0.5},
            ),
            "A batch that does not grow ends on a plateau.",
        ),
        Counterexample(
            "PL",
            GrowingRun(
                _SOLVABLE,
                steps=20,
                step_size=1 / _SOLVABLE.smoothness,
                batch_size=2,
                sampling="without_replacement",
                claims={
                    "pl_constant": 0.9 * _SOLVABLE.smoothness,
                    "error_constant": 1e-6,
                    "error_ratio": 0.5,
                },
            ),
            "A PL constant far too large promises a decrease that does not happen.",
        ),
        Counterexample(
            "step 1/L",
            GrowingRun(
                _SOLVABLE,
                steps=10,
                step_size=3 / _SOLVABLE.smoothness,
                batch_size=2,
                sampling="without_replacement",
                claims={"error_constant": 1e-6, "error_ratio": 0.5},
            ),
            "Three times the step diverges, without any error.",
        ),
        Counterexample(
            "smooth",
            GrowingRun(
                _SOLVABLE,
                steps=10,
                step_size=4 / _SOLVABLE.smoothness,
                batch_size=2,
                sampling="without_replacement",
                claims={
                    "smoothness": _SOLVABLE.smoothness / 4,
                    "pl_constant": _SOLVABLE.pl_constant,
                    "error_constant": 1e-6,
                    "error_ratio": 0.5,
                },
            ),
            "With L understated fourfold the step 1/L diverges, without any error.",
        ),
    ),
    references=("friedlander2012",),
)


# ---- the batch size that costs least ----------------------------------------------------------


def gradients_needed(setting: BatchChoice, batch_size: FloatArray) -> FloatArray:
    r"""Return :math:`B\max\{\mathcal L(B)/\mu,\ 2\sigma_*^2(B)/(\varepsilon\mu^2)\}`.

    B is the `batch_size`.

    Times :math:`2\log(2R^2/\varepsilon)` this is how many component gradients the bound of
    `thm-sgd-strongly-convex` asks for, with batches drawn without replacement.
    """
    problem, mu = setting.problem, setting.constant("strong_convexity")
    n, size = problem.n_samples, _validate.finite_array("batch_size", batch_size)
    if not ((size >= 1) & (size <= n)).all():
        raise ValueError(
            f"batch_size: wanted numbers from 1 to {n}, got {size.min():g} to {size.max():g}"
        )
    c = np.zeros_like(size) if n == 1 else (n - size) / (size * (n - 1))
    smoothness = (1 - c) * problem.smoothness + c * problem.max_smoothness
    noise = c * problem.gradient_noise_at_minimum
    return np.asarray(size * np.maximum(smoothness / mu, 2 * noise / (setting.accuracy * mu**2)))


def best_batch_size(setting: BatchChoice) -> float:
    r"""Return :math:`B^*`, where the two terms of `gradients_needed` meet, clipped to [1, n]."""
    problem, mu = setting.problem, setting.constant("strong_convexity")
    n, size, largest = problem.n_samples, problem.smoothness, problem.max_smoothness
    if n == 1:
        return 1.0
    noise = 2 * problem.gradient_noise_at_minimum / (setting.accuracy * mu)
    steepness = n * size - largest + noise
    if steepness == 0:  # without noise, and as costly with every batch size
        return 1.0
    return float(np.clip(n * (noise - (largest - size)) / steepness, 1, n))


@dataclass(frozen=True)
class Cheapest:
    """The constant step with which SGD reaches an accuracy in the fewest steps.

    Attributes
    ----------
    batch_size : int
    step_size : float
    steps : int
    """

    batch_size: int
    step_size: float
    steps: int

    @property
    def gradients(self) -> int:
        """The component gradients used: the batch size times the steps."""
        return self.batch_size * self.steps


def cheapest_step(
    setting: BatchChoice,
    batch_size: int,
    x0: ArrayLike | None = None,
    sampling: str = "without_replacement",
) -> Cheapest:
    r"""Return the constant step that takes SGD to the accuracy in the fewest steps.

    The steps are counted with exact moments, until
    :math:`\mathbb E\|x_k - x^*\|^2 \le \varepsilon`, so that this is what `gradients_needed`
    bounds.

    Parameters
    ----------
    setting : BatchChoice
        Strongly convex least squares or ridge regression.
    batch_size : int
    x0 : array_like of shape (dim,), optional
        Starting point; the origin when omitted.
    sampling : {"with_replacement", "without_replacement"}

    Notes
    -----
    From half of the step for which the bound vouches up to 2/L, steps are tried on a grid that
    closes in on the best.
    """
    problem, accuracy = setting.problem, setting.accuracy
    if not (isinstance(problem, Ridge) and problem.strong_convexity > 0):
        raise ValueError(
            f"problem: wanted strongly convex least squares or ridge regression, got {problem!r}"
        )
    moments = SecondMoments(problem, batch_size, sampling)
    state, c = moments.state(x0), moments.noise_factor
    expected = (1 - c) * problem.smoothness + c * problem.max_smoothness
    safe = 1 / (2 * expected)
    if noise := 4 * c * problem.gradient_noise_at_minimum:
        safe = min(safe, accuracy * problem.strong_convexity / noise)
    low, high = np.log(safe / 2), np.log(2 / problem.smoothness)
    while True:
        sizes = np.exp(np.linspace(low, high, 25))
        counts = [_steps_to(moments, state, accuracy, float(size)) for size in sizes]
        best = int(np.argmin(counts))
        if counts[best] == math.inf:
            raise ValueError(
                f"accuracy: wanted one that floating point reaches within {2**LONGEST:,} steps, "
                f"got {accuracy:g}"
            )
        if high - low < 0.02:
            return Cheapest(batch_size, float(sizes[best]), int(counts[best]))
        width = (high - low) / 12
        low, high = np.log(sizes[best]) - width, np.log(sizes[best]) + width


def _steps_to(
    moments: SecondMoments, state: FloatArray, accuracy: float, step_size: float
) -> float:
    """Return after how many steps the distance is within `accuracy`, infinity if it never is."""
    with np.errstate(over="ignore", invalid="ignore"):
        if moments.distance_squared(state) <= accuracy:
            return 0
        powers = [moments.step(step_size)]
        while not moments.distance_squared(powers[-1] @ state) <= accuracy:
            if len(powers) == LONGEST:
                return math.inf
            powers.append(powers[-1] @ powers[-1])
        # The distance falls until it is within reach, so that the last step outside is found like
        # a binary number, from its highest digit down.
        steps = 0
        for digit in reversed(range(len(powers))):
            ahead = powers[digit] @ state
            if not moments.distance_squared(ahead) <= accuracy:
                state, steps = ahead, steps + 2**digit
    return steps + 1


def _best_batch(setting: BatchChoice) -> Comparison:
    sizes = np.arange(1.0, setting.problem.n_samples + 1)
    needed = gradients_needed(setting, sizes)
    return Comparison(
        index=sizes,
        observed=gradients_needed(setting, np.array([best_batch_size(setting)])),
        bound=needed,
        index_name="B",
        observed_name="gradients needed at B*",
        bound_name="gradients needed at B",
        # Near n the noise is the small rest n - B of what it is for single samples.
        magnitude=np.full(len(sizes), needed.max()),
    )


best_batch: Theorem[BatchChoice] = Theorem(
    label="prop-best-batch",
    title="The batch size that costs least",
    kind="inequality",
    lecture="07",
    statement=r"Without replacement, $B\max\bigl\{\frac{\mathcal L(B)}\mu, "
    r"\frac{2\sigma_*^2(B)}{\varepsilon\mu^2}\bigr\}$ is least at "
    r"$B^* = \frac{n(\nu-(L_{\max}-L))}{nL-L_{\max}+\nu}$, clipped to $[1, n]$, with "
    r"$\nu = \frac{2\sigma_*^2}{\varepsilon\mu}$",
    assumptions=(components_convex, strongly_convex),
    compare=_best_batch,
    tightness="The minimiser is exact; what it minimises is a bound.",
    counterexamples=(
        Counterexample(
            "components convex",
            BatchChoice(ScalarQuadratics([3.0, -2.0], [0.0, 0.125]), accuracy=1.0),
            "With one component upside down L_max exceeds nL, and the first term falls too.",
        ),
    ),
    references=("gower2019",),
)
