"""Gradient descent: the descent lemma, the summability lemma and what follows (lecture 02)."""

from __future__ import annotations

import math

import numpy as np

from sgdnotes.problems import linear, quadratic, quartic, soft_absolute
from sgdnotes.theorems.assumptions import bounded_below, constant_step, pl, smooth, step_at_most
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem
from sgdnotes.theorems.settings import Descent, Points, Sequences
from sgdnotes.updates import BacktrackingStep

step_below_two_over_smoothness = step_at_most(
    "step below 2/L",
    r"$0 < \alpha < 2/L$",
    "2/L",
    lambda s: 2 / s.constant("smoothness") if s.constant("smoothness") else math.inf,
    strict=True,
)


# ---- the descent lemma ------------------------------------------------------------------------


def _descent_lemma(setting: Points) -> Comparison:
    problem, x, delta = setting.problem, setting.x, setting.delta
    before, after = problem.value(x), problem.value(x + delta)
    slope = (problem.gradient(x) * delta).sum(axis=1)
    return Comparison(
        index=np.arange(len(x)),
        observed=np.abs(after - before - slope),
        bound=setting.constant("smoothness") / 2 * (delta**2).sum(axis=1),
        index_name="pair of points",
        observed_name="|f(x+δ) - f(x) - ⟨∇f(x), δ⟩|",
        bound_name="L‖δ‖²/2",
        magnitude=np.abs(before) + np.abs(after) + np.abs(slope),
    )


descent_lemma: Theorem[Points] = Theorem(
    label="lem-descent",
    title="Descent lemma",
    kind="inequality",
    lecture="02",
    statement=r"$|f(x+\delta) - f(x) - \langle\nabla f(x), \delta\rangle| "
    r"\le \tfrac L2\|\delta\|^2$",
    assumptions=(smooth,),
    compare=_descent_lemma,
    tightness=r"Equality for $f(x) = \tfrac L2\|x\|^2$.",
    counterexamples=(
        Counterexample(
            "smooth",
            Points(quartic(), points=[[1.0]], displacements=[[2.0]], claims={"smoothness": 12.0}),
            "The gradient of x⁴ is steeper far away than any L, here 12 = f''(1), allows.",
        ),
    ),
    references=("ryu2022",),
)


# ---- the summability lemma --------------------------------------------------------------------


def _non_negative(which: str) -> Assumption[Sequences]:
    symbol = {"potential": "V", "decrease": "S"}[which]

    def examine(setting: Sequences) -> Evidence:
        lowest = float(np.min(getattr(setting, which)))
        return Evidence(lowest >= 0, f"the smallest {symbol}_k is {lowest:.6g}")

    return Assumption(f"{symbol} is non-negative", rf"${symbol}_k \ge 0$", examine)


def _decreases(setting: Sequences) -> Evidence:
    potential, decrease = np.asarray(setting.potential), np.asarray(setting.decrease)
    excess = float((potential[1:] - potential[:-1] + decrease).max())
    slack = 1e-12 * max(1.0, float(np.abs(potential).max()))
    return Evidence(excess <= slack, f"the largest V_(k+1) - V_k + S_k is {excess:.6g}")


def _summability(setting: Sequences) -> Comparison:
    decrease = np.asarray(setting.decrease)
    return Comparison(
        index=np.arange(1, len(decrease) + 1),
        observed=np.cumsum(decrease),
        bound=np.full(len(decrease), np.asarray(setting.potential)[0]),
        index_name="K",
        observed_name="S_0 + … + S_(K-1)",
        bound_name="V_0",
    )


summability: Theorem[Sequences] = Theorem(
    label="lem-summability",
    title="Summability lemma",
    kind="inequality",
    lecture="02",
    statement=r"$\sum_{k<K}S_k \le V_0$ for every $K$, hence $S_k \to 0$ and "
    r"$\min_{k<K}S_k \le V_0/K$",
    assumptions=(
        _non_negative("potential"),
        _non_negative("decrease"),
        Assumption("decrease", r"$V_{k+1} \le V_k - S_k$", _decreases),
    ),
    compare=_summability,
    tightness=r"Equality in the limit $K \to \infty$ when $V_{k+1} = V_k - S_k$ and $V_k \to 0$.",
    counterexamples=(
        Counterexample(
            "V is non-negative",
            Sequences(-np.arange(11.0), np.ones(10)),
            "V_k = -k pays for S_k = 1 for ever.",
        ),
        Counterexample(
            "decrease",
            Sequences(np.ones(11), np.ones(10)),
            "V_k = 1 never falls, so it pays for nothing.",
        ),
    ),
    references=("ryu2022",),
)


# ---- gradient descent on smooth functions -----------------------------------------------------


def _gradient_vanishes(setting: Descent) -> Comparison:
    norms = np.sqrt(setting.trace.history["gradient_norm_squared"][:, 0])
    if not setting.trace.success:
        norms = np.append(norms, np.inf)
    return Comparison(
        index=np.arange(len(norms)),
        observed=norms,
        bound=np.zeros(len(norms)),
        index_name="k",
        observed_name="‖∇f(x_k)‖",
        bound_name="0",
        tolerance=1e-3 * (1 + norms[0]),
    )


gradient_vanishes: Theorem[Descent] = Theorem(
    label="thm-gd-limit",
    title="The gradient vanishes along gradient descent",
    kind="limit",
    lecture="02",
    statement=r"$\nabla f(x_k) \to 0$",
    assumptions=(smooth, bounded_below, constant_step, step_below_two_over_smoothness),
    compare=_gradient_vanishes,
    tightness=r"At $\alpha = 2/L$ the parabola $\tfrac L2x^2$ oscillates for ever.",
    counterexamples=(
        Counterexample(
            "step below 2/L",
            Descent(quadratic(1.0), steps=200, step_size=2.0, x0=[1.0]),
            "At 2/L the iterates jump between 1 and -1.",
        ),
        Counterexample(
            "bounded below",
            Descent(linear(-1.0), steps=200, step_size=1.0, x0=[0.0]),
            "The slope never changes and f falls for ever.",
        ),
        Counterexample(
            "smooth",
            Descent(quartic(), steps=20, step_size=0.1, x0=[3.0], claims={"smoothness": 12.0}),
            "From |x_0| > 1/√(2α) every step on x⁴ overshoots by more than the last.",
        ),
    ),
    references=("ryu2022",),
)


def _smallest_gradient(setting: Descent) -> tuple[np.ndarray, np.ndarray]:
    squared = setting.trace.history["gradient_norm_squared"][:, 0]
    return np.arange(len(squared)), np.minimum.accumulate(squared)


def _gd_rate(setting: Descent) -> Comparison:
    steps, smallest = _smallest_gradient(setting)
    size, alpha = setting.constant("smoothness"), float(setting.step_sizes[0])
    gap = float(setting.trace.gap[0, 0])
    return Comparison(
        index=steps,
        observed=smallest,
        bound=gap / (alpha * (1 - alpha * size / 2) * (steps + 1)),
        index_name="N",
        observed_name="min over k ≤ N of ‖∇f(x_k)‖²",
    )


gd_rate: Theorem[Descent] = Theorem(
    label="thm-gd-rate",
    title="Rate of gradient descent on smooth functions",
    kind="inequality",
    lecture="02",
    statement=r"$\min_{k\le N}\|\nabla f(x_k)\|^2 \le "
    r"\frac{f(x_0)-f^*}{\alpha(1-\alpha L/2)(N+1)}$",
    assumptions=(smooth, bounded_below, constant_step, step_below_two_over_smoothness),
    compare=_gd_rate,
    tightness=r"The order $1/N$ is right; at $\alpha = 1/L$ the constant is at most 3/2 too large "
    r"in the limit, see the tight version.",
    counterexamples=(
        Counterexample(
            "step below 2/L",
            Descent(quadratic(1.0), steps=50, step_size=2.5, x0=[1.0]),
            "Beyond 2/L the iterates grow and the formula is negative.",
        ),
        Counterexample(
            "bounded below",
            Descent(linear(-1.0), steps=50, step_size=1.0, x0=[0.0], claims={"minimum": -1.0}),
            "A claimed lower bound of -1 is passed after one step.",
        ),
        Counterexample(
            "smooth",
            Descent(quartic(), steps=20, step_size=0.1, x0=[3.0], claims={"smoothness": 12.0}),
            "On x⁴ the gradient grows from step to step.",
        ),
    ),
    references=("ryu2022",),
)


def _gd_tight(setting: Descent) -> Comparison:
    steps, smallest = _smallest_gradient(setting)
    size, alpha = setting.constant("smoothness"), float(setting.step_sizes[0])
    scaled = alpha * size
    per_step = alpha * (1 - scaled / 4 if scaled <= 1 else 1 - scaled**2 / 4)
    return Comparison(
        index=steps,
        observed=smallest,
        bound=float(setting.trace.gap[0, 0]) / (steps * per_step + 1 / (2 * size)),
        index_name="N",
        observed_name="min over k ≤ N of ‖∇f(x_k)‖²",
    )


gd_tight: Theorem[Descent] = Theorem(
    label="thm-gd-tight",
    title="The tight rate of gradient descent",
    kind="inequality",
    lecture="02",
    statement=r"$\min_{k\le N}\|\nabla f(x_k)\|^2 \le "
    r"\frac{f(x_0)-f^*}{N c(\alpha)+\frac1{2L}}$ with $c(\alpha) = \alpha(1-\tfrac{\alpha L}4)$ "
    r"for $\alpha L \le 1$ and $\alpha(1-\tfrac{\alpha^2L^2}4)$ for $1 \le \alpha L \le \sqrt3$",
    assumptions=(
        smooth,
        bounded_below,
        constant_step,
        step_at_most(
            "step at most √3/L",
            r"$0 < \alpha \le \sqrt3/L$",
            "√3/L",
            lambda s: (
                math.sqrt(3) / s.constant("smoothness") if s.constant("smoothness") else math.inf
            ),
        ),
    ),
    compare=_gd_tight,
    tightness=r"For $\alpha L \le 1$ it is attained, for every $N$: no smaller bound is true.",
    counterexamples=(
        Counterexample(
            "bounded below",
            Descent(
                linear(-1.0),
                steps=50,
                step_size=1.0,
                x0=[0.0],
                claims={"minimum": -1.0, "smoothness": 1.0},
            ),
            "A claimed lower bound of -1 is passed after one step.",
        ),
        Counterexample(
            "smooth",
            Descent(quartic(), steps=20, step_size=0.1, x0=[3.0], claims={"smoothness": 12.0}),
            "On x⁴ the gradient grows from step to step.",
        ),
    ),
    references=("abbaszadehpeivasti2022",),
    proved=False,
)


def _gd_pl(setting: Descent) -> Comparison:
    # From the minimum itself: the claim does not hold above a lower bound that is only claimed.
    gaps = setting.problem.gap(setting.trace.history["x"])[:, 0]
    size, mu = setting.constant("smoothness"), setting.constant("pl_constant")
    alpha = float(setting.step_sizes[0])
    steps = np.arange(len(gaps))
    return Comparison(
        index=steps,
        observed=gaps,
        bound=(1 - 2 * alpha * mu * (1 - alpha * size / 2)) ** steps * gaps[0],
        index_name="k",
        observed_name="f(x_k) - f*",
    )


gd_pl: Theorem[Descent] = Theorem(
    label="thm-gd-pl",
    title="Gradient descent on PL functions",
    kind="inequality",
    lecture="02",
    statement=r"$f(x_k)-f^* \le \bigl(1-2\alpha\mu(1-\tfrac{\alpha L}2)\bigr)^k(f(x_0)-f^*)$",
    assumptions=(smooth, pl, constant_step, step_below_two_over_smoothness),
    compare=_gd_pl,
    tightness=r"Equality on $\tfrac L2x^2$, where $\mu = L$ and the factor is $(1-\alpha L)^2$.",
    counterexamples=(
        Counterexample(
            "PL",
            Descent(
                soft_absolute(), steps=50, step_size=1.0, x0=[50.0], claims={"pl_constant": 0.5}
            ),
            "Far away the slope of √(1+x²) is 1 however large f is; the iterates crawl.",
        ),
        Counterexample(
            "step below 2/L",
            Descent(quadratic(1.0), steps=50, step_size=2.5, x0=[1.0], claims={"pl_constant": 0.1}),
            "Beyond 2/L the iterates grow faster than the formula, whose factor exceeds 1, allows.",
        ),
        Counterexample(
            "smooth",
            Descent(
                quadratic(10.0),
                steps=20,
                step_size=0.5,
                x0=[1.0],
                claims={"smoothness": 1.0, "pl_constant": 0.5},
            ),
            "With L understated tenfold the step 1/(2L) is far beyond 2/L and the run diverges.",
        ),
    ),
    references=("karimi2016",),
)


# ---- line search ------------------------------------------------------------------------------


def _searches(setting: Descent) -> Evidence:
    if setting.line_search is None:
        return Evidence(False, "0 of the steps are found by a line search")
    sizes, search = setting.step_sizes, setting.line_search
    last = float(sizes.max()) * search.shrink**search.max_trials
    return Evidence(
        bool((sizes == sizes[0]).all()) and last <= shortest_accepted(setting),
        f"first trials from {sizes.min():.6g} to {sizes.max():.6g}, last trial {last:.3g}",
    )


backtracks: Assumption[Descent] = Assumption(
    "backtracking",
    r"every step is found by backtracking from the same first trial $\alpha_0$",
    _searches,
)


def _search_of(setting: Descent) -> BacktrackingStep:
    return setting.line_search or BacktrackingStep()


def shortest_accepted(setting: Descent) -> float:
    r"""Return :math:`\min\{\alpha_0, 2\beta(1-c)/L\}`, below which no accepted step can lie."""
    search, size = _search_of(setting), setting.constant("smoothness")
    safe = 2 * (1 - search.decrease) / size if size else math.inf
    return min(float(setting.step_sizes[0]), search.shrink * safe)


def _accepted(setting: Descent) -> Comparison:
    steps = setting.accepted_steps
    history = setting.trace.history
    shortest = shortest_accepted(setting)
    # Where the decrease that the test looks for is lost in the rounding of f, chance decides.
    wanted = _search_of(setting).decrease * shortest * history["gradient_norm_squared"][:, 0]
    values = np.abs(setting.problem.value(history["x"][:, 0]))
    resolved = (wanted > 1e-11 * (1 + values))[: len(steps)]
    resolved[0] = True
    return Comparison(
        index=np.flatnonzero(resolved),
        observed=np.full(int(resolved.sum()), shortest),
        bound=steps[resolved],
        index_name="k",
        observed_name="min{α_0, 2β(1 - c)/L}",
        bound_name="accepted step α_k",
    )


backtracking_step: Theorem[Descent] = Theorem(
    label="lem-backtracking",
    title="Backtracking accepts no step that is too short",
    kind="inequality",
    lecture="02",
    statement=r"$\alpha_k \ge \min\{\alpha_0, 2\beta(1-c)/L\}$ for every $k$",
    assumptions=(smooth, backtracks),
    compare=_accepted,
    tightness=r"Approached on $\tfrac L2x^2$ when a trial is a little longer than $2(1-c)/L$.",
    counterexamples=(
        Counterexample(
            "smooth",
            Descent(
                quartic(),
                steps=3,
                step_size=1.0,
                x0=[10.0],
                line_search=BacktrackingStep(),
                claims={"smoothness": 12.0},
            ),
            "On x⁴ the accepted step shrinks with the square of the distance, below any L allows.",
        ),
    ),
    references=("armijo1966",),
)


def _backtracking_rate(setting: Descent) -> Comparison:
    steps, smallest = _smallest_gradient(setting)
    gain = _search_of(setting).decrease * shortest_accepted(setting)
    return Comparison(
        index=steps,
        observed=smallest,
        bound=float(setting.trace.gap[0, 0]) / (gain * (steps + 1)),
        index_name="N",
        observed_name="min over k ≤ N of ‖∇f(x_k)‖²",
    )


backtracking_rate: Theorem[Descent] = Theorem(
    label="prop-backtracking",
    title="Rate of gradient descent with line search",
    kind="inequality",
    lecture="02",
    statement=r"$\min_{k\le N}\|\nabla f(x_k)\|^2 \le "
    r"\frac{f(x_0)-f^*}{c\,\alpha_{\min}(N+1)}$ with "
    r"$\alpha_{\min} = \min\{\alpha_0, 2\beta(1-c)/L\}$",
    assumptions=(smooth, bounded_below, backtracks),
    compare=_backtracking_rate,
    tightness=r"For $c = \tfrac12$ and $\alpha_0 \ge \beta/L$ it is $1/\beta$ times "
    r"the bound of the constant step $1/L$, without knowing $L$.",
    counterexamples=(
        Counterexample(
            "bounded below",
            Descent(
                linear(-1.0),
                steps=50,
                step_size=1.0,
                x0=[0.0],
                line_search=BacktrackingStep(),
                claims={"minimum": -1.0},
            ),
            "A claimed lower bound of -1 is passed after one step.",
        ),
    ),
    references=("armijo1966",),
)
