"""Write the theorem index of the book from the theorem objects: ``python tools/pages.py``.

Each theorem is checked once on the setting given here, and each of its counterexamples is
compared with the claim it breaks, so that the page reports outcomes and not intentions.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from sgdnotes.constraints import Box, L2Ball, SparsePolytope
from sgdnotes.flow import FixedDesign, FlowBounds
from sgdnotes.oracles import Delayed, Minibatch, Momentum, Oracle, Recursive, SlopeTable, Snapshot
from sgdnotes.problems import (
    DeterministicQuadratic,
    GaussianQuadratic,
    LeastAbsoluteDeviations,
    LeastSquares,
    LogisticRegression,
    Ridge,
    ScalarQuadratics,
    WellInBowl,
    absolute,
    huber,
    saddle,
    sine_valley,
    soft_absolute,
)
from sgdnotes.schedules import (
    constant_then_inverse_time,
    frank_wolfe_steps,
    geometric_batches,
    inverse_root,
    inverse_time,
    polynomial_batches,
    power,
    step_decay,
)
from sgdnotes.theorems import (
    ALL,
    AutoFWRun,
    BatchChoice,
    BlockStepFrom,
    Claims,
    ConstrainedPoints,
    Counterexample,
    Descent,
    DiffusionRun,
    EpochRun,
    EulerRun,
    FlowRiskRun,
    FrankWolfeRun,
    FrankWolfeStepFrom,
    GlobalBound,
    GradientFlowRun,
    GrowingRun,
    LocalDescent,
    MarginAttack,
    MomentumRun,
    OneStep,
    OracleRun,
    OracleTuning,
    Points,
    ProjectedRun,
    RiskComparison,
    Sequences,
    ShortStepRun,
    SignSteps,
    SparseOracle,
    SparseRun,
    Stationary,
    StationaryEpochs,
    StochasticRun,
    Theorem,
    TwoSteps,
    Verdict,
    WorstCase,
)
from sgdnotes.theorems.attacks import AffineClassifier, RectifiedClassifier
from sgdnotes.theorems.shuffling import sorted_signs
from sgdnotes.theorems.stochastic import descent_threshold
from sgdnotes.updates import BacktrackingStep, HeavyBall, Nesterov

PAGE = Path(__file__).parents[1] / "book" / "theorems.md"

LECTURES = {
    "01": ("01-finite-sums", "Finite sums"),
    "02": ("02-gradient-descent", "Gradient descent"),
    "03": ("03-stochastic-gradients", "Stochastic gradients"),
    "04": ("04-pl", "The PL case"),
    "05": ("05-rate-table", "Beyond PL"),
    "06": ("06-momentum-averaging", "Momentum and averaging"),
    "07": ("07-minibatches", "Minibatches"),
    "08": ("08-order", "The order of the samples"),
    "09": ("09-landscapes", "Landscapes"),
    "10": ("10-sde", "From SGD to a stochastic differential equation"),
    "11": ("11-implicit-regularisation", "Implicit regularisation"),
    "12": ("12-frank-wolfe", "Frank–Wolfe"),
    "13": ("13-zoo", "A zoo of Frank–Wolfe methods"),
    "14": ("14-attacks", "Attacks"),
    "15": ("15-pruning", "Pruning"),
}

INTRODUCTION = """\
<!-- Written by tools/pages.py; edit the theorem objects in sgdnotes/theorems instead. -->

# Theorem index

Every numbered statement that the lectures check is an object in {py:mod}`sgdnotes.theorems`, and
this page is generated from these objects. For each it gives the claim, its assumptions, and what
came out when the claim was compared with the method's exact behaviour on one setting. The two
sides of an inequality are compared as *observed divided by claimed*: at most 1 where the claim
holds, and the closer to 1 the less it gives away there.

An assumption is called **needed** when the object carries a counterexample: a setting that violates
this assumption alone and on which the claim fails. Of every other assumption the page says that it
suffices, and claims no more.

To check a statement on a setting of your own, see [](#check-your-own).
"""


@cache
def settings() -> dict[str, Any]:
    """Return the setting on which the page reports each theorem, by label."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 5))
    fit = LeastSquares(features, features @ rng.normal(size=5) + rng.normal(size=40))
    cloud = fit.minimizer + rng.normal(size=(100, 5))
    small = LeastSquares(features[:6, :2], fit.targets[:6])
    near = small.minimizer + rng.normal(size=(50, 2))
    valley, tilted = sine_valley(), sine_valley([1.0, -1.0])
    line = np.linspace(-6, 6, 101)[:, None]
    wide = rng.normal(size=(10, 30))
    solvable = LeastSquares(wide, wide @ rng.normal(size=30))

    one_step = OneStep(small, points=near, step_size=0.1, batch_size=2)
    careful = OneStep(small, points=near, step_size=0.9 * descent_threshold(one_step), batch_size=2)
    potential = 1 / np.arange(1.0, 1001.0)
    descent = Descent(soft_absolute(), steps=18, step_size=1.0, x0=[20.0])
    searched = Descent(valley, steps=4, step_size=1.0, x0=[3.0], line_search=BacktrackingStep())
    short = 1 / (2 * fit.max_smoothness)
    switched = constant_then_inverse_time(fit.max_smoothness, fit.strong_convexity)
    pit = WellInBowl()
    narrow = pit.minima[1]
    flat = LeastSquares(features[:, :3] @ rng.normal(size=(3, 5)), fit.targets)
    slowest = Descent(huber(1 / 41), steps=20, step_size=1.0, x0=[1.0])
    medians = LeastAbsoluteDeviations(features[:3, :2], fit.targets[:3])
    kinked = ProjectedRun(medians, steps=9, step_size=inverse_root(0.5), radius=4.0)
    parallel = LeastSquares([[1.0], [-1.0]], [1.0, 1.0])
    growing = GrowingRun(
        fit, steps=60, step_size=1 / fit.smoothness, batch_size=geometric_batches(1, 1.2)
    )
    shrinking = {
        "error_constant": float((growing.error_second_moment * 1.2 ** np.arange(60)).max()),
        "error_ratio": 1 / 1.2,
    }
    bowl = Ridge(features[:4, :2], fit.targets[:4], 0.3)
    times = np.geomspace(1e-2, 1e4, 61)
    design = FixedDesign(features, rng.normal(size=5) / np.sqrt(5), 1.0)
    gentle = 0.1 * FlowBounds(design, 1.0, batch_size=4).largest_step
    flowing = DiffusionRun(fit, step_size=gentle, times=times, batch_size=4)
    underdetermined = LeastSquares(features[:4], fit.targets[:4])
    segment, disc = Box([-1.0], [1.0]), L2Ball(1.0)
    uneven, noisy = saddle(3, 2), GaussianQuadratic([[1.0]], [0.5], 1.0)
    dome = DeterministicQuadratic(uneven.hessian, uneven.linear)
    ellipse = DeterministicQuadratic([[1.0, 0.0], [0.0, 0.1]], [0.9, 0.3])
    centred, downhill = DeterministicQuadratic([[1.0]], [0.0]), DeterministicQuadratic([[0]], [1.0])
    staircase = geometric_batches(1, 2.0, every=2)
    doubling = {"batch_growth": 2.0, "batch_period": 2.0}
    halving = {"decay": 0.5, "decay_period": 10.0}
    signs = LogisticRegression(features[:4, :2], np.sign(fit.targets[:4]), 0.0)

    def remembering(oracle: Oracle, step: float | None = None, steps: int = 6) -> OracleRun:
        """Run Frank–Wolfe with an oracle on logistic regression in a disc."""
        return OracleRun(
            signs, disc, steps=steps, step_size=step or frank_wolfe_steps(), oracle=oracle
        )

    harmonic = FrankWolfeRun(noisy, segment, steps=1000, step_size=power(1, 1), batch_size=16)
    pixels = np.linspace(0.2, 0.8, 8)
    affine = AffineClassifier(rng.normal(size=(4, 8)), rng.normal(size=4))
    return {
        "lem-smoothness-chain": Claims(fit),
        "prop-least-squares": Points(fit, points=cloud),
        "prop-minimum-norm": StochasticRun(
            LeastSquares(wide, wide @ np.ones(30)), steps=400, step_size=0.02
        ),
        "lem-descent": Points(valley, points=line, displacements=line[::-1] / 3 + 0.1),
        "lem-summability": Sequences(potential, potential[:-1] - potential[1:]),
        "thm-gd-limit": Descent(valley, steps=100, step_size=1 / 8, x0=[3.0]),
        "thm-gd-rate": descent,
        "thm-gd-tight": descent,
        "lem-backtracking": searched,
        "prop-backtracking": searched,
        "thm-gd-pl": Descent(fit, steps=12, step_size=1 / fit.smoothness),
        "lem-unbiased": OneStep(small, points=near, batch_size=3, sampling="without_replacement"),
        "lem-minibatch-variance": OneStep(
            small, points=near, batch_size=3, sampling="without_replacement"
        ),
        "lem-one-step": one_step,
        "lem-expected-descent": careful,
        "prop-descent-threshold": one_step,
        "prop-moment-recursion": StochasticRun(
            small,
            steps=4,
            step_size=0.1,
            x0=[3.0, -1.0],
            batch_size=2,
            sampling="without_replacement",
        ),
        "lem-pl-one-step": one_step,
        "thm-vacuity": GlobalBound(fit, second_moment=1e6),
        "thm-sgd-pl-decreasing": StochasticRun(
            fit, steps=1000, step_size=inverse_time(fit.pl_constant)
        ),
        "thm-sgd-pl-constant": StochasticRun(fit, steps=400, step_size=0.05, batch_size=2),
        "thm-sgd-pl-variance": StochasticRun(tilted, steps=14, step_size=1 / 8, x0=[3.0]),
        "lem-expected-smoothness": Points(fit, points=cloud),
        "lem-expected-smoothness-nonconvex": Points(tilted, points=line),
        "thm-sgd-strongly-convex": StochasticRun(fit, steps=400, step_size=short, batch_size=4),
        "thm-sgd-pl-expected-smoothness": StochasticRun(
            fit,
            steps=400,
            step_size=fit.pl_constant / (fit.smoothness * fit.max_smoothness),
        ),
        "thm-sgd-decreasing-repaired": StochasticRun(fit, steps=1000, step_size=switched),
        "prop-quadratic-floor": Stationary(fit, step_sizes=[0.01, 0.02, 0.04, 0.08]),
        "thm-sgd-interpolation": StochasticRun(
            solvable, steps=400, step_size=1 / solvable.max_smoothness
        ),
        "thm-gd-convex": slowest,
        "thm-gd-convex-tight": slowest,
        "thm-sgd-convex": StochasticRun(
            flat, steps=1000, step_size=inverse_root(1 / (4 * flat.max_smoothness))
        ),
        "thm-sgd-convex-variance": StochasticRun(
            soft_absolute([0.5, -0.5]), steps=14, step_size=0.5, x0=[3.0]
        ),
        "thm-subgradient": kinked,
        "thm-subgradient-best": kinked,
        "thm-subgradient-strongly-convex": ProjectedRun(
            absolute(1.0, [1.0, -1.0]),
            steps=14,
            step_size=lambda t: 2 / (t + 2),
            x0=[2.0],
            radius=2.0,
        ),
        "thm-sgd-nonconvex": StochasticRun(tilted, steps=14, step_size=1 / 8, x0=[3.0]),
        "thm-sgd-nonconvex-expected-smoothness": StochasticRun(
            tilted, steps=14, step_size=1 / 20, x0=[3.0]
        ),
        "thm-lower-bound": StochasticRun(
            parallel, steps=1000, step_size=lambda k: 1 / (k + 1 + 1 / 9), x0=[3.0]
        ),
        "prop-momentum-recursion": MomentumRun(
            small, steps=6, step_size=0.1, x0=[3.0, -1.0], update=HeavyBall(0.8)
        ),
        "prop-momentum-floor": Stationary(
            fit, step_sizes=[0.001, 0.003, 0.01], update=Nesterov(0.9)
        ),
        "thm-averaged-least-squares": StochasticRun(fit, steps=2000, step_size=0.05),
        "prop-averaging-limit": StochasticRun(fit, steps=12000, step_size=0.05),
        "lem-gradient-error": Points(valley, points=line, displacements=line[::-1] / 3 + 0.1),
        "thm-gradient-error": growing,
        "thm-geometric-batches": replace(growing, claims=shrinking),
        "prop-best-batch": BatchChoice(fit, accuracy=0.01),
        "prop-order-bias": TwoSteps(small, points=near),
        "lem-partial-sums": Claims(small),
        "thm-reshuffling": EpochRun(
            bowl, epochs=40, step_size=0.3 / bowl.max_smoothness, x0=[1.0, 1.0]
        ),
        "thm-reshuffling-convex": EpochRun(
            small, epochs=100, step_size=1 / (9 * small.max_smoothness), x0=[1.0, 1.0]
        ),
        "prop-sorted-order": StationaryEpochs(sorted_signs(8), step_sizes=[0.01, 0.05, 0.2, 0.5]),
        "lem-fw-gap": ConstrainedPoints(
            ellipse, disc, points=disc.random_point(np.random.default_rng(1), (50, 2))
        ),
        "lem-fw-step": FrankWolfeStepFrom(
            uneven, disc, points=disc.random_point(np.random.default_rng(1), (50, 3))
        ),
        "thm-fw-convex": FrankWolfeRun(ellipse, disc, steps=100, step_size=frank_wolfe_steps()),
        "thm-fw-nonconvex": ShortStepRun(dome, disc, steps=4, x0=[-0.5, 0.5, 0.5]),
        "thm-sfw-constant": FrankWolfeRun(uneven, disc, steps=14, step_size=0.2),
        "thm-sfw-growing": FrankWolfeRun(
            noisy, segment, steps=14, step_size=0.2, batch_size=staircase, claims=doubling
        ),
        "thm-sfw-harmonic": harmonic,
        "thm-sfw-harmonic-growing": replace(
            harmonic,
            batch_size=geometric_batches(1, 2.0, every=100),
            claims={"batch_growth": 2.0, "batch_period": 100.0},
        ),
        "thm-sfw-power": FrankWolfeRun(
            noisy, segment, steps=14, step_size=inverse_root(1), claims={"exponent": 0.5}
        ),
        "thm-sfw-polynomial": FrankWolfeRun(
            noisy, segment, steps=14, step_size=inverse_root(1), batch_size=polynomial_batches(1)
        ),
        "thm-sfw-step-decay": FrankWolfeRun(
            dome, disc, steps=60, step_size=step_decay(0.5, 0.5, 10), claims=halving
        ),
        "prop-fw-floor-step": FrankWolfeRun(centred, segment, steps=300, step_size=0.1, x0=[1.0]),
        "prop-fw-floor-batch": harmonic,
        "prop-fw-frozen": FrankWolfeRun(
            downhill,
            segment,
            steps=400,
            step_size=step_decay(0.05, 0.5, 10),
            x0=[-1.0],
            claims={**halving, "rate_constant": 100.0},
        ),
        "prop-fw-decay-floor": FrankWolfeRun(
            centred,
            segment,
            steps=16_000,
            step_size=step_decay(0.4, 0.5, 4000),
            x0=[1.0],
            claims={"decay": 0.5, "decay_period": 4000.0},
        ),
        "thm-sfw-minimax": WorstCase(1000, step_size=power(1, 1), batch_size=4),
        "thm-any-estimates": remembering(Snapshot(1, period=3), 0.5),
        "thm-any-estimates-convex": remembering(Momentum(Minibatch(1))),
        "prop-delayed-gradients": remembering(Delayed(Minibatch(1), 2)),
        "prop-snapshot-error": remembering(Snapshot(1, period=3), 0.5),
        "prop-sarah-error": remembering(Recursive(1, probability=0.25), 0.5, 4),
        "thm-slope-table": remembering(SlopeTable(1)),
        "prop-running-mean": remembering(Momentum(Minibatch(1))),
        "prop-block-step": BlockStepFrom(
            uneven,
            segment,
            points=np.random.default_rng(1).uniform(-1, 1, (50, 3)),
            step_size=0.1,
            free=[0, 1],
            free_step=0.5,
        ),
        "prop-sign-oracle": SignSteps(
            pixels, 0.1, pixels + rng.uniform(-0.1, 0.1, (50, 8)), rng.normal(size=(50, 8)), 0.2
        ),
        "prop-linear-attack": MarginAttack(affine, pixels, 2, 0.1),
        "prop-auto-fw": AutoFWRun(
            RectifiedClassifier(affine.matrix, affine.offsets), pixels, 2, 0.1, step_size=0.25
        ),
        "lem-sparse-polytope": SparseOracle(3, 0.5, rng.normal(size=(50, 7))),
        "prop-sparse-iterates": SparseRun(
            2,
            1.0,
            np.zeros(8),
            SparsePolytope(2, 1.0).linear_minimizer(np.arange(8) + rng.normal(size=(40, 8))),
            np.linspace(0.2, 0, 40),
        ),
        "prop-gd-stability": LocalDescent(
            pit, steps=40, step_size=0.04, x0=narrow + 0.01, at=narrow
        ),
        "prop-sgd-stability": StochasticRun(
            ScalarQuadratics([0.2, 3.8]), steps=12, step_size=0.5, x0=[1.0]
        ),
        "thm-flow-moments": DiffusionRun(fit, step_size=0.1, times=[0.1, 0.5, 2.0], batch_size=4),
        "lem-euler-moments": EulerRun(fit, step_size=0.1, batch_size=4, steps=1000),
        "prop-flow-stability": flowing,
        "thm-gradient-flow": GradientFlowRun(solvable, times=[0.0, 0.1, 1.0, 10.0]),
        "thm-flow-ridge": RiskComparison(design, times),
        "prop-flow-ridge-coefficients": GradientFlowRun(fit, times),
        "lem-flow-loss": flowing,
        "thm-flow-covariance": flowing,
        "thm-excess-risk": FlowRiskRun(design, times, step_size=gentle, batch_size=4),
        "prop-second-term-peak": flowing,
        "prop-third-term": DiffusionRun(
            underdetermined, step_size=0.1, times=np.linspace(0.0, 400.0, 41), batch_size=2
        ),
        "thm-oracle-tuning": OracleTuning(
            features, noise=1.0, prior=np.eye(5) / 5, times=times, step_size=gentle, batch_size=4
        ),
    }


def check(theorem: Theorem[Any]) -> Verdict:
    """Check a theorem on its setting, where it must hold."""
    if theorem.label not in settings():
        raise KeyError(f"tools/pages.py: wanted a setting for {theorem.label}")
    verdict = theorem.check(settings()[theorem.label])
    if not verdict.holds:
        raise ValueError(f"tools/pages.py: wanted a setting on which the claim holds\n{verdict}")
    return verdict


def plain(text: str) -> str:
    """Return plain text with what Markdown would read as markup escaped."""
    return re.sub(r"([*_|<>$`\[\]\\])", r"\\\1", text)


def number(value: float) -> str:
    """Return a number in two or three digits, in TeX."""
    if 0.01 <= value < 1000:
        return f"${value:.3g}$"
    if 0 < value < 1e-12:
        return "below $10^{-12}$"  # its digits are those of the processor
    mantissa, exponent = f"{value:.1e}".split("e")
    return rf"${mantissa}\times10^{{{int(exponent)}}}$"


def outcome(verdict: Verdict) -> str:
    """Say what came out, in words and digits that do not flicker."""
    match verdict.kind:
        case "identity" if verdict.holds:
            return "both sides agree to rounding"
        case "identity":
            return f"the sides differ by {number(verdict.worst)} of the largest value"
        case "limit" if verdict.holds:
            return "the limit is reached to " + (
                "rounding" if verdict.worst < 1e-12 else number(verdict.worst)
            )
        case "limit":
            left = "without end" if math.isinf(verdict.worst) else f"by {number(verdict.worst)}"
            return f"the limit is missed {left}"
        case "impossibility":
            verb = (
                "exceeds the supposed bound" if verdict.holds else "stays within the supposed bound"
            )
            return f"the observed value {verb}, ratio up to {number(verdict.worst)}"
    if math.isinf(verdict.worst):
        worst = verdict.bound[verdict.index == verdict.worst_at]
        return "the bound is not even positive" if (worst <= 0).any() else "the run diverges"
    text = f"observed / bound is at most {number(verdict.worst)}"
    if verdict.index_name in {"k", "N", "T"} and verdict.worst_at < verdict.index[-1]:
        last = verdict.observed[-1] / verdict.bound[-1]
        text += f", and {number(last)} at ${verdict.index_name} = {verdict.index[-1]:g}$"
    return text


def shown(setting: Any) -> str:
    """Return what a setting is, ready for Markdown."""
    return plain(repr(setting.problem) if type(setting) is Claims else str(setting))


def broken(theorem: Theorem[Any], example: Counterexample[Any]) -> str:
    """Return the outcome of a counterexample, which must break the claim."""
    verdict = theorem.refute(example)
    if verdict.holds:
        raise ValueError(f"{theorem.label}: the counterexample to {example.drops} breaks nothing")
    if theorem.kind == "inequality" and math.isfinite(verdict.worst):
        return f"observed / bound reaches {number(verdict.worst)}"
    return outcome(verdict)


def section(theorem: Theorem[Any]) -> str:
    """Return the part of the page on one theorem."""
    verdict, setting = check(theorem), settings()[theorem.label]
    proof = "Proved in the lecture." if theorem.proved else "Cited, not proved here."
    source = ", ".join(f"{{cite:t}}`{key}`" for key in theorem.references) or "This course"
    lines = [
        f"(index-{theorem.label})=",
        f"### {theorem.title}",
        "",
        f"{{prf:ref}}`{theorem.label}` · {theorem.kind} · `ALL[{theorem.label!r}]`",
        "",
        f"**Claim.** {theorem.statement}.",
        "",
        "**Assumptions.**",
        "",
    ]
    for assumption in theorem.assumptions:
        examples = [e for e in theorem.counterexamples if e.drops == assumption.name]
        lines.append(f"- *{plain(assumption.name)}:* {assumption.statement}.\\")
        for example in examples:
            lines.append(
                f"  **Needed.** {plain(example.story)}"
                f" Counterexample: {shown(example.setting)}; {broken(theorem, example)}."
            )
        if not examples:
            lines.append("  Sufficient, necessity not claimed.")
    lines += [
        "",
        f"**Verdict.** Holds on {shown(setting)}: {outcome(verdict)}.",
        "",
        f"**Tightness.** {theorem.tightness}",
        "",
        f"**Source.** {source}. {proof}",
        "",
    ]
    return "\n".join(lines)


def overview() -> str:
    """Return a table of all statements."""
    rows = ["| Statement | Outcome |", "|---|---|"]
    for label, theorem in ALL.items():
        result = outcome(check(theorem)).removeprefix("observed / bound is ")
        rows.append(
            f"| {{prf:ref}}`{label}`: [{theorem.title}](#index-{label}) "
            f"| {theorem.kind}: {result} |"
        )
    return "\n".join(rows) + "\n"


def theorems_page() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION, overview()]
    for lecture, (file, title) in LECTURES.items():
        theorems = [theorem for theorem in ALL.values() if theorem.lecture == lecture]
        parts.append(f"## {title}\n\nStated in [lecture {lecture}](../lectures/{file}.ipynb).\n")
        parts += [section(theorem) for theorem in theorems]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(theorems_page(), encoding="utf-8")
