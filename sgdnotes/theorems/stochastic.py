"""Stochastic gradients: unbiasedness and what one step does in expectation (lecture 03)."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.exact import enumerate_sgd, expected_sgd
from sgdnotes.problems import LeastSquares, Ridge, quadratic
from sgdnotes.sampling import NAMED, WithReplacement, resolve
from sgdnotes.theorems.assumptions import FirstSampleOnly, pl, smooth, uniform
from sgdnotes.theorems.assumptions import quadratic as is_quadratic
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem
from sgdnotes.theorems.settings import Claims, MomentumRun, OneStep, StochasticRun
from sgdnotes.updates import GradientStep


class OneSampleRepeated(WithReplacement):
    """Batches of one uniformly random sample, repeated: every index uniform, none independent."""

    name = "one_sample_repeated"

    def outcomes(self, n_samples: int, batch_size: int) -> IntArray:
        """Return the batches (1, ..., 1) to (n, ..., n)."""
        return np.repeat(np.arange(n_samples)[:, None], batch_size, axis=1)


def _pairs(setting: OneStep | StochasticRun) -> Evidence:
    n, size = setting.problem.n_samples, setting.batch_size
    if size == 1:
        return Evidence(True, "a batch of 1 has no pairs")
    if resolve(setting.sampling) in NAMED.values():
        return Evidence(True, "independent or distinct by construction")
    batches = resolve(setting.sampling).outcomes(n, size)
    counts = np.array([np.bincount(batch, minlength=n) for batch in batches])
    # Over all ordered pairs of places in a batch: how often the two hold the samples i and j.
    pairs = counts.T @ counts / len(batches) - np.diag(counts.mean(axis=0))
    pairs /= size * (size - 1)
    seen, rest = float(np.trace(pairs)), pairs[~np.eye(n, dtype=bool)]
    independent, distinct = 1 / n, float(n == 1)
    even = np.ptp(np.diag(pairs)) < 1e-12 and (n == 1 or np.ptp(rest) < 1e-12)
    agree = min(abs(seen - independent), abs(seen - distinct)) < 1e-12
    return Evidence(
        bool(even and agree),
        f"two indices of a batch agree with probability {seen:.6g}, wanted "
        f"1/n = {independent:.6g} (independent) or {distinct:g} (distinct), all pairs alike",
    )


independent_or_distinct: Assumption[Any] = Assumption(
    "independent or distinct",
    "the indices of a batch are independent, or a uniformly random subset",
    _pairs,
)


# ---- unbiasedness -----------------------------------------------------------------------------


def _unbiased(setting: OneStep) -> Comparison:
    gradient = setting.problem.gradient(setting.x)
    return Comparison(
        index=np.arange(gradient.size),
        observed=setting.mean_gradient.ravel(),
        bound=gradient.ravel(),
        index_name="coordinate",
        observed_name="E g",
        bound_name="∇f",
    )


_SLOPES = LeastSquares([[1.0], [2.0], [-1.0]], [1.0, 0.0, 3.0])

unbiased: Theorem[OneStep] = Theorem(
    label="lem-unbiased",
    title="The stochastic gradient is unbiased",
    kind="identity",
    lecture="03",
    statement=r"$\mathbb E\,\frac1B\sum_{b}\nabla f_{i_b}(x) = \nabla f(x)$",
    assumptions=(uniform,),
    compare=_unbiased,
    tightness="An identity.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            OneStep(_SLOPES, points=[[1.0]], sampling=FirstSampleOnly()),
            "A batch that always holds sample 1 sees one gradient only.",
        ),
    ),
    references=("merkulov", "ryu2022"),
)


# ---- the variance of a minibatch --------------------------------------------------------------


def _minibatch_covariance(setting: OneStep) -> Comparison:
    single = OneStep(setting.problem, points=setting.x).gradient_covariance
    factor = resolve(setting.sampling).variance_factor(
        setting.problem.n_samples, setting.batch_size
    )
    # Deviations from the mean are known to eps times a gradient; a covariance multiplies two.
    rounding = np.finfo(float).eps * setting.gradient_second_moment[:, None, None]
    return Comparison(
        index=np.arange(single.size),
        observed=setting.gradient_covariance.ravel(),
        bound=factor * single.ravel(),
        index_name="entry",
        observed_name="Cov(g_B)",
        bound_name="c Cov(g_1)",
        magnitude=np.broadcast_to(rounding, single.shape).ravel(),
    )


minibatch_variance: Theorem[OneStep] = Theorem(
    label="lem-minibatch-variance",
    title="The covariance of a minibatch",
    kind="identity",
    lecture="03",
    statement=r"$\operatorname{Cov}(g_B) = c\,\operatorname{Cov}(g_1)$ with $c = \frac1B$ for "
    r"independent samples and $c = \frac{n-B}{B(n-1)}$ for distinct ones",
    assumptions=(uniform, independent_or_distinct),
    compare=_minibatch_covariance,
    tightness="An identity.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            OneStep(_SLOPES, points=[[1.0]], sampling=FirstSampleOnly()),
            "A batch that always holds sample 1 does not vary at all.",
        ),
        Counterexample(
            "independent or distinct",
            OneStep(_SLOPES, points=[[1.0]], batch_size=2, sampling=OneSampleRepeated()),
            "A sample used twice is no quieter than the same sample used once.",
        ),
    ),
)


# ---- one step ---------------------------------------------------------------------------------


def _one_step_bound(setting: OneStep) -> FloatArray:
    size, alpha = setting.constant("smoothness"), setting.step_sizes
    problem, x = setting.problem, setting.x
    descent = alpha * (problem.gradient(x) ** 2).sum(axis=1)
    return np.asarray(
        problem.gap(x) - descent + size / 2 * alpha**2 * setting.gradient_second_moment
    )


def _one_step(setting: OneStep) -> Comparison:
    return Comparison(
        index=np.arange(len(setting.x)),
        observed=setting.expected_gap_after,
        bound=_one_step_bound(setting),
        index_name="point",
        observed_name="E f(x⁺) - f*",
        bound_name="f(x) - f* - α‖∇f‖² + Lα² E‖g‖²/2",
    )


one_step: Theorem[OneStep] = Theorem(
    label="lem-one-step",
    title="One step of SGD in expectation",
    kind="inequality",
    lecture="03",
    statement=r"$\mathbb E[f(x_{k+1})\mid x_k] \le f(x_k) - \alpha_k\|\nabla f(x_k)\|^2 "
    r"+ \tfrac L2\alpha_k^2\,\mathbb E[\|g_k\|^2\mid x_k]$",
    assumptions=(smooth, uniform),
    compare=_one_step,
    tightness=r"Equality for $f(x) = \tfrac L2\|x\|^2$ with any noise.",
    counterexamples=(
        Counterexample(
            "smooth",
            OneStep(
                quadratic(10.0, [1.0, -1.0]),
                points=[[1.0]],
                step_size=0.5,
                claims={"smoothness": 1.0},
            ),
            "With L understated tenfold the overshoot is larger than the bound admits.",
        ),
        Counterexample(
            "uniform indices",
            OneStep(
                quadratic(1.0, [3.0, -3.0]),
                points=[[-1.0]],
                step_size=0.5,
                sampling=FirstSampleOnly(),
            ),
            "The one gradient ever seen points the wrong way.",
        ),
    ),
    references=("merkulov",),
)


def _pl_one_step(setting: OneStep) -> Comparison:
    size, mu = setting.constant("smoothness"), setting.constant("pl_constant")
    alpha = setting.step_sizes
    gap = setting.problem.gap(setting.x)
    return Comparison(
        index=np.arange(len(setting.x)),
        observed=setting.expected_gap_after,
        bound=(1 - 2 * alpha * mu) * gap + size / 2 * alpha**2 * setting.gradient_second_moment,
        index_name="point",
        observed_name="E f(x⁺) - f*",
        bound_name="(1 - 2αμ)(f(x) - f*) + Lα² E‖g‖²/2",
    )


pl_one_step: Theorem[OneStep] = Theorem(
    label="lem-pl-one-step",
    title="One step of SGD under the PL inequality",
    kind="inequality",
    lecture="04",
    statement=r"$\mathbb E[f(x_{k+1})-f^*\mid x_k] \le (1-2\alpha_k\mu)(f(x_k)-f^*) "
    r"+ \tfrac L2\alpha_k^2\,\mathbb E[\|g_k\|^2\mid x_k]$",
    assumptions=(smooth, pl, uniform),
    compare=_pl_one_step,
    tightness=r"Equality for $f(x) = \tfrac\mu2x^2$ with any noise.",
    counterexamples=(
        Counterexample(
            "PL",
            OneStep(
                quadratic(1.0, [1.0, -1.0]),
                points=[[3.0]],
                step_size=0.1,
                claims={"pl_constant": 2.0},
            ),
            "A PL constant twice too large promises a decrease that does not happen.",
        ),
        Counterexample(
            "smooth",
            OneStep(
                quadratic(10.0, [1.0, -1.0]),
                points=[[1.0]],
                step_size=0.5,
                claims={"smoothness": 1.0, "pl_constant": 1.0},
            ),
            "With L understated tenfold the overshoot is larger than the bound admits.",
        ),
        Counterexample(
            "uniform indices",
            OneStep(
                quadratic(1.0, [3.0, -3.0]),
                points=[[-1.0]],
                step_size=0.5,
                sampling=FirstSampleOnly(),
            ),
            "The one gradient ever seen points the wrong way.",
        ),
    ),
    references=("merkulov",),
)


# ---- when does a step descend in expectation? -------------------------------------------------


def descent_threshold(setting: OneStep) -> FloatArray:
    r"""Return :math:`\alpha^\dagger = 2\|\nabla f\|^2/(L\,\mathbb E\|g\|^2)` at every point."""
    squared = (setting.problem.gradient(setting.x) ** 2).sum(axis=1)
    moment = setting.constant("smoothness") * setting.gradient_second_moment
    unlimited = np.full(len(squared), np.inf)  # where every sample's gradient vanishes
    return np.asarray(np.divide(2 * squared, moment, out=unlimited, where=moment > 0))


def _below_threshold(setting: OneStep) -> Evidence:
    limits = descent_threshold(setting)
    tightest = int((limits - setting.step_sizes).argmin())
    return Evidence(
        bool((setting.step_sizes <= limits).all()),
        f"step size {setting.step_sizes[tightest]:.6g} at point {tightest}, "
        f"threshold {limits[tightest]:.6g}",
    )


def _expected_descent(setting: OneStep) -> Comparison:
    return Comparison(
        index=np.arange(len(setting.x)),
        observed=setting.expected_gap_after,
        bound=setting.problem.gap(setting.x),
        index_name="point",
        observed_name="E f(x⁺) - f*",
        bound_name="f(x) - f*",
    )


expected_descent: Theorem[OneStep] = Theorem(
    label="lem-expected-descent",
    title="When a step of SGD descends in expectation",
    kind="inequality",
    lecture="03",
    statement=r"$\mathbb E f(x^+) \le f(x)$ for every step "
    r"$\alpha \le \alpha^\dagger(x) = \frac{2\|\nabla f(x)\|^2}{L\,\mathbb E\|g\|^2}$",
    assumptions=(
        smooth,
        uniform,
        Assumption("step below the threshold", r"$\alpha \le \alpha^\dagger(x)$", _below_threshold),
    ),
    compare=_expected_descent,
    tightness=r"Sharp for $f(x) = \tfrac L2\|x\|^2$.",
    counterexamples=(
        Counterexample(
            "step below the threshold",
            OneStep(quadratic(1.0, [1.0, -1.0]), points=[[0.001]], step_size=0.01),
            "Near the minimum the threshold shrinks to 0, and any fixed step climbs on average.",
        ),
        Counterexample(
            "smooth",
            OneStep(
                quadratic(10.0, [1.0, -1.0]),
                points=[[1.0]],
                step_size=1.0,
                claims={"smoothness": 1.0},
            ),
            "With L understated tenfold the threshold is ten times too large.",
        ),
        Counterexample(
            "uniform indices",
            OneStep(
                quadratic(1.0, [3.0, -3.0]),
                points=[[-1.0]],
                step_size=0.4,
                sampling=FirstSampleOnly(),
            ),
            "The one gradient ever seen points the wrong way.",
        ),
    ),
    references=("ryu2022",),
)


def exact_descent_threshold(setting: OneStep) -> FloatArray:
    r"""Return :math:`2\|\nabla f\|^2/\operatorname{tr}(H\,\mathbb E gg^\top)` for a quadratic."""
    problem, x = setting.problem, setting.x
    squared = (problem.gradient(x) ** 2).sum(axis=1)
    # For a quadratic f(x - αg) = f(x) - α⟨∇f, g⟩ + α² g'Hg/2, so one trial step reveals E g'Hg.
    trial = 1 / problem.smoothness
    after = OneStep(
        problem, points=x, step_size=trial, batch_size=setting.batch_size, sampling=setting.sampling
    ).expected_gap_after
    curvature = 2 * (after - problem.gap(x) + trial * squared) / trial**2
    unlimited = np.full(len(squared), np.inf)  # where no step changes the value
    return np.asarray(np.divide(2 * squared, curvature, out=unlimited, where=curvature > 0))


def _threshold_identity(setting: OneStep) -> Comparison:
    at_threshold = OneStep(
        setting.problem,
        points=setting.x,
        step_size=exact_descent_threshold(setting),
        batch_size=setting.batch_size,
        sampling=setting.sampling,
    )
    return Comparison(
        index=np.arange(len(setting.x)),
        observed=at_threshold.expected_gap_after,
        bound=setting.problem.gap(setting.x),
        index_name="point",
        observed_name="E f(x⁺) - f* at the exact threshold",
        bound_name="f(x) - f*",
    )


threshold_identity: Theorem[OneStep] = Theorem(
    label="prop-descent-threshold",
    title="The exact threshold on quadratics",
    kind="identity",
    lecture="03",
    statement=r"On a quadratic with Hessian $H$, $\mathbb E f(x^+) = f(x)$ exactly at "
    r"$\alpha = \frac{2\|\nabla f(x)\|^2}{\operatorname{tr}(H\,\mathbb E\,gg^\top)}$, "
    r"with descent below and ascent above",
    assumptions=(is_quadratic, uniform),
    compare=_threshold_identity,
    tightness="An identity.",
)


# ---- exact moments ----------------------------------------------------------------------------


def recursion_and_enumeration(setting: StochasticRun | MomentumRun) -> Comparison:
    """Compare the second moment of the gradient by moments and by enumeration."""
    update = setting.update if isinstance(setting, MomentumRun) else GradientStep()
    enumerated, recursion = (
        expectation(
            setting.problem,  # type: ignore[arg-type]
            setting.x0,
            steps=setting.steps,
            step_size=setting.step_size,
            update=update,
            batch_size=setting.batch_size,
            sampling=setting.sampling,
        )
        for expectation in (enumerate_sgd, expected_sgd)
    )
    return Comparison(
        index=enumerated.steps,
        observed=enumerated.gradient_second_moment,
        bound=recursion.gradient_second_moment,
        index_name="k",
        observed_name="E‖g_k‖², all sequences run",
        bound_name="E‖g_k‖², from the recursion",
    )


def _linear_gradients(setting: Claims) -> Evidence:
    return Evidence(isinstance(setting.problem, Ridge), f"the problem is {setting.problem.name}")


linear_gradients: Assumption[Any] = Assumption(
    "least squares", "least squares or ridge regression", _linear_gradients
)


moment_recursion: Theorem[StochasticRun] = Theorem(
    label="prop-moment-recursion",
    title="The moment recursion of SGD on least squares",
    kind="identity",
    lecture="03",
    statement=r"$u_{k+1} = (I-\alpha_kH)u_k$ and $M_{k+1} = (I-\alpha_kH)M_k(I-\alpha_kH) "
    r"+ \alpha_k^2c\,\mathcal C(u_k, M_k)$ for $u_k = \mathbb E\,\delta_k$ and "
    r"$M_k = \mathbb E\,\delta_k\delta_k^\top$, $\delta_k = x_k - x^*$",
    assumptions=(
        linear_gradients,
        uniform,
        independent_or_distinct,
    ),
    compare=recursion_and_enumeration,
    tightness="An identity.",
    counterexamples=(
        Counterexample(
            "uniform indices",
            StochasticRun(_SLOPES, steps=3, step_size=0.1, sampling=FirstSampleOnly()),
            "One sample, drawn for ever, makes the run deterministic.",
        ),
        Counterexample(
            "independent or distinct",
            StochasticRun(
                _SLOPES, steps=3, step_size=0.1, batch_size=2, sampling=OneSampleRepeated()
            ),
            "The recursion halves the noise of a batch of two; repeating a sample does not.",
        ),
    ),
)
