r"""Frank–Wolfe with gradient estimates of any kind (lecture 13).

A rate follows from nothing but the mean errors :math:`e_t = \mathbb E\|d_t - \nabla f(x_t)\|`; what
remains to be said of each method is how large they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sgdnotes._validate import FloatArray
from sgdnotes.constraints import Box
from sgdnotes.oracles import (
    Delayed,
    FullGradient,
    LooplessSnapshot,
    Minibatch,
    Momentum,
    Oracle,
    Recursive,
    SlopeTable,
    Snapshot,
    linear_model,
)
from sgdnotes.problems import (
    LeastSquares,
    RobustRegression,
    ScalarQuadratics,
    TiltedQuadratic,
)
from sgdnotes.schedules import evaluate, frank_wolfe_steps
from sgdnotes.theorems.assumptions import EXACT, FirstSampleOnly, convex
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem
from sgdnotes.theorems.constrained_assumptions import (
    bounded_noise,
    compact,
    open_loop_steps,
    points_in_set,
    smooth_on_set,
    start_in_set,
    step_at_most_one,
    unbiased_batches,
)
from sgdnotes.theorems.frank_wolfe import (
    SEGMENT,
    bending,
    compared,
    parabola,
    value_scale,
    weighted_gap,
)
from sgdnotes.theorems.zoo_settings import (
    BlockStepFrom,
    OracleRun,
    anchors,
    component_slopes,
    component_smoothness,
    described,
)


def _uses(name: str, statement: str, holds: Callable[[Oracle], bool]) -> Assumption[Any]:
    """Return the assumption that the oracle of a run is of some kind."""

    def examine(setting: OracleRun) -> Evidence:
        return Evidence(holds(setting.oracle), f"the oracle is {described(setting.oracle)}")

    return Assumption(name, statement, examine)


def _claim_holds(claimed: float, true: float, symbol: str) -> Evidence:
    holds = claimed >= true * (1 - EXACT)
    return Evidence(holds, f"{symbol} = {claimed:.6g}, the smallest valid one is {true:.6g}")


def _mean_smoothness(setting: OracleRun) -> Evidence:
    return _claim_holds(setting.mean_smoothness, setting.finite_sum.average_smoothness, "mean L_i")


components_smooth_on_average: Assumption[Any] = Assumption(
    "components smooth",
    r"every $\nabla f_i$ is $L_i$-Lipschitz on $\Omega$, $\frac1n\sum_iL_i \le \tilde L$",
    _mean_smoothness,
)


def _root_mean_square_smoothness(setting: OracleRun) -> Evidence:
    true = float(np.sqrt((component_smoothness(setting.finite_sum) ** 2).mean()))
    return _claim_holds(setting.root_mean_square_smoothness, true, "rms L_i")


components_smooth_in_square: Assumption[Any] = Assumption(
    "components smooth",
    r"every $\nabla f_i$ is $L_i$-Lipschitz on $\Omega$, $\frac1n\sum_iL_i^2 \le \bar L^2$",
    _root_mean_square_smoothness,
)


def _errors(
    setting: OracleRun,
    observed: FloatArray,
    bound: FloatArray,
    bound_name: str,
    *,
    observed_name: str = "E ‖d_t - ∇f(x_t)‖²",
    index: FloatArray | None = None,
) -> Comparison:
    """Return the comparison of what is observed of an error with a bound, for t = 0, 1, ..."""
    power = 2 if "²" in observed_name else 1
    scale = float(np.abs(setting.estimates).max() + np.abs(setting.deviations).max())
    return Comparison(
        index=np.arange(setting.steps) if index is None else index,
        # An exact estimate differs from the gradient by rounding.
        observed=np.where(observed > (1e-14 * scale) ** power, observed, 0.0),
        bound=bound,
        index_name="t",
        observed_name=observed_name,
        bound_name=bound_name,
        magnitude=scale**power,
    )


# ---- where things break ------------------------------------------------------------------------

PLUS_MINUS = (1.0, -1.0)
BIASED = Minibatch(100, FirstSampleOnly())
OPEN_LOOP = frank_wolfe_steps()


# ---- rates from errors ------------------------------------------------------------------------


def _weighted_rate(setting: OracleRun) -> Comparison:
    sizes = setting.step_sizes
    paid = setting.initial_excess + bending(setting) * np.cumsum(sizes**2)
    wrong = setting.diameter * np.cumsum(sizes * setting.errors)
    bound = np.asarray((paid + wrong) / np.cumsum(sizes))
    return compared(setting, bound, weighted_gap(setting), "weighted mean over t < T of E G(x_t)")


any_estimates: Theorem[OracleRun] = Theorem(
    label="thm-any-estimates",
    title="Frank–Wolfe with any estimates",
    kind="inequality",
    lecture="13",
    statement=r"with $e_t = \mathbb E\|d_t - \nabla f(x_t)\|$, whatever the estimates $d_t$, "
    r"$\frac{\sum_{t<T}\gamma_t\,\mathbb E\mathcal G(x_t)}{\sum_{t<T}\gamma_t} \le "
    r"\frac{\Delta_0 + D\sum_{t<T}\gamma_te_t + \frac12LD^2\sum_{t<T}\gamma_t^2}"
    r"{\sum_{t<T}\gamma_t}$ for every $T \ge 1$",
    assumptions=(smooth_on_set, compact, start_in_set, step_at_most_one),
    compare=_weighted_rate,
    tightness=r"Equality at $T = 1$ for a parabola whose minimum the first step hits from the far "
    r"end.  The factor of $e_t$ is right, too: where estimates of almost no length point the wrong "
    r"way on a slope, the gap stays at $De_t$ but for a vanishing part.",
    counterexamples=(
        Counterexample(
            "smooth",
            OracleRun(
                parabola(10.0),
                SEGMENT,
                steps=20,
                step_size=0.5,
                x0=[0.9],
                oracle=FullGradient(),
                claims={"smoothness": 0.01},
            ),
            "With L understated a thousandfold next to nothing is put aside for the curvature.",
        ),
        Counterexample(
            "compact",
            OracleRun(
                parabola(1.0),
                SEGMENT,
                steps=20,
                step_size=0.5,
                x0=[0.9],
                oracle=FullGradient(),
                claims={"diameter": 0.5},
            ),
            "The steps lead across an interval of length 2, and D is a quarter of that.",
        ),
        Counterexample(
            "start in the set",
            OracleRun(
                parabola(1.0),
                SEGMENT,
                steps=8,
                step_size=1.0,
                x0=[100.0],
                oracle=FullGradient(),
            ),
            "From far outside the way to the set is much longer than its diameter.",
        ),
        Counterexample(
            "step at most 1",
            OracleRun(
                parabola(1.0),
                SEGMENT,
                steps=40,
                step_size=2.0,
                x0=[0.5],
                oracle=FullGradient(),
            ),
            "Steps of 2 leave the interval and go further out each time.",
        ),
    ),
)


def _convex_rate(setting: OracleRun) -> Comparison:
    count = np.arange(1, setting.steps + 1)
    wrong = 2 * setting.diameter * np.cumsum(count * setting.errors) / (count * (count + 1))
    return _excess(setting, 4 * bending(setting) / (count + 2) + wrong)


def _excess(setting: OracleRun, bound: FloatArray) -> Comparison:
    """Return the comparison of E f(x_T) - f* with a bound, for T = 1, 2, ..., `steps`."""
    return Comparison(
        index=np.arange(1, setting.steps + 1),
        observed=setting.value[1:] - setting.infimum,
        bound=bound,
        index_name="T",
        observed_name="E f(x_T) - f*",
        magnitude=value_scale(setting),
    )


_STEEP = Counterexample(
    "smooth",
    OracleRun(
        LeastSquares([[3.0]], [2.7]),
        SEGMENT,
        steps=5,
        step_size=OPEN_LOOP,
        x0=[1.0],
        oracle=SlopeTable(1),
        claims={"smoothness": 1.0},
    ),
    "With L understated ninefold the first step already lands above the bound.",
)
_TWO_WELLS = Counterexample(
    "convex",
    OracleRun(
        RobustRegression([[1.0]] * 3, [1.0, 1.0, -1.0], scale=0.3),
        Box([-0.9], [1.1]),
        steps=2000,
        step_size=OPEN_LOOP,
        x0=[-0.9],
        oracle=SlopeTable(3),
    ),
    "The run stays in the well of the one outlier, and the deeper well is elsewhere.",
)
_WIDE = Counterexample(
    "compact",
    OracleRun(
        LeastSquares([[1.0]], [0.9]),
        SEGMENT,
        steps=5,
        step_size=OPEN_LOOP,
        x0=[1.0],
        oracle=SlopeTable(1),
        claims={"diameter": 0.5},
    ),
    "The first step leads across an interval of length 2, and D is a quarter of that.",
)
_OUTSIDE = Counterexample(
    "start in the set",
    OracleRun(
        LeastSquares([[1.0]], [10.0]),
        SEGMENT,
        steps=5,
        step_size=OPEN_LOOP,
        x0=[100.0],
        oracle=SlopeTable(1),
    ),
    "From beyond the minimum, which lies outside, the first step leads to the wrong end.",
)
_SLOW = Counterexample(
    "Frank–Wolfe steps",
    OracleRun(
        LeastSquares([[1.0]], [1.0]),
        SEGMENT,
        steps=60,
        step_size=0.001,
        x0=[-1.0],
        oracle=SlopeTable(1),
    ),
    "Steps that are too short leave the start where it was.",
)

any_estimates_convex: Theorem[OracleRun] = Theorem(
    label="thm-any-estimates-convex",
    title="Frank–Wolfe with any estimates on convex functions",
    kind="inequality",
    lecture="13",
    statement=r"with $e_t = \mathbb E\|d_t - \nabla f(x_t)\|$, whatever the estimates $d_t$, "
    r"$\mathbb E f(x_T) - f^* \le \frac{2LD^2}{T+2} + \frac{2D}{T(T+1)}\sum_{t<T}(t+1)\,e_t$ "
    r"for every $T \ge 1$",
    assumptions=(smooth_on_set, convex, compact, start_in_set, open_loop_steps),
    compare=_convex_rate,
    tightness=r"Without errors it is the bound of thm-fw-convex, of which a parabola approaches "
    r"$\frac34$ at $T = 1$.  On a slope, estimates of almost no length that point the wrong way "
    r"attain the second term.",
    counterexamples=(_STEEP, _TWO_WELLS, _WIDE, _OUTSIDE, _SLOW),
)


# ---- old points -------------------------------------------------------------------------------

DELAYED = _uses(
    "delayed minibatches",
    r"$d_t$ is the mean of $b_t$ fresh samples at $x_{\max\{t-\tau_t, 0\}}$, and $\tau_t$ is "
    r"independent of them",
    lambda oracle: isinstance(oracle, Delayed) and type(oracle.oracle) is Minibatch,
)


def _true_delay(setting: OracleRun) -> float:
    return float(setting.oracle.delay) if isinstance(setting.oracle, Delayed) else 0.0


def _claimed_delay(setting: OracleRun) -> float:
    return setting.claims.get("delay", _true_delay(setting))


def _delay_holds(setting: OracleRun) -> Evidence:
    claimed, true = _claimed_delay(setting), _true_delay(setting)
    return Evidence(claimed >= true, f"τ = {claimed:g}, the largest delay is {true:g}")


def _delayed(setting: OracleRun) -> Comparison:
    moved = np.append(0.0, np.cumsum(setting.step_sizes))
    t = np.arange(setting.steps)
    since = moved[t] - moved[np.maximum(t - int(_claimed_delay(setting)), 0)]
    bound = setting.standard_deviation / np.sqrt(setting.batch_sizes)
    bound = bound + setting.smoothness * setting.diameter * since
    name = "σ/√b + L D Σ γ_s over the last τ steps"
    return _errors(setting, setting.errors, bound, name, observed_name="E ‖d_t - ∇f(x_t)‖")


def _late(drops: str, story: str, **changes: Any) -> Counterexample[OracleRun]:
    """Return a counterexample from a run across a segment with one step of delay."""
    given = {"steps": 4, "step_size": 1.0, "x0": [1.0], "oracle": Delayed(Minibatch(1), 1)}
    return Counterexample(drops, OracleRun(parabola(1.0), SEGMENT, **{**given, **changes}), story)


delayed_gradients: Theorem[OracleRun] = Theorem(
    label="prop-delayed-gradients",
    title="The error of delayed gradients",
    kind="inequality",
    lecture="13",
    statement=r"$e_t \le \frac\sigma{\sqrt{b_t}} + LD\sum_{s=\max\{t-\tau, 0\}}^{t-1}\gamma_s$",
    assumptions=(
        smooth_on_set,
        compact,
        start_in_set,
        step_at_most_one,
        DELAYED,
        Assumption("delay", r"$\tau_t \le \tau$", _delay_holds),
        unbiased_batches,
        bounded_noise,
    ),
    compare=_delayed,
    tightness=r"Each term can be attained: the first where all samples are equally far from their "
    r"mean, the second by a parabola on a segment that every step crosses from end to end.",
    counterexamples=(
        _late(
            "smooth",
            "The gradient changes ten times as much as L claims.",
            claims={"smoothness": 0.1},
        ),
        _late(
            "compact",
            "The run goes from end to end of an interval of length 2, and D is 1.",
            claims={"diameter": 1.0},
        ),
        _late(
            "start in the set",
            "From far outside the first step is much longer than the diameter.",
            x0=[10.0],
        ),
        _late(
            "step at most 1",
            "Steps of 3 leave the interval and go further out each time.",
            step_size=3.0,
        ),
        _late(
            "delay",
            "Who counts on fresh gradients is wrong by a whole step.",
            claims={"delay": 0.0},
        ),
        Counterexample(
            "unbiased",
            OracleRun(
                parabola(1.0, tilts=PLUS_MINUS),
                SEGMENT,
                steps=4,
                step_size=0.1,
                oracle=Delayed(BIASED, 1),
            ),
            "A batch that always holds sample 1 does not become exact by being large.",
        ),
        Counterexample(
            "variance",
            OracleRun(
                parabola(1.0, tilts=PLUS_MINUS),
                SEGMENT,
                steps=4,
                step_size=0.1,
                oracle=Delayed(Minibatch(1), 1),
                claims={"variance": 0.01},
            ),
            "The noise is ten times what is claimed.",
        ),
    ),
    references=("gu2019",),
)


# ---- snapshots --------------------------------------------------------------------------------

SNAPSHOTS = _uses(
    "snapshot",
    r"$d_t = \nabla f(\tilde x) + \frac1b\sum_{i\in\mathcal B_t}(\nabla f_i(x_t) - "
    r"\nabla f_i(\tilde x))$ with an anchor $\tilde x$ that is known before the batch is drawn",
    lambda oracle: isinstance(oracle, (Snapshot, LooplessSnapshot)),
)


def _snapshot(setting: OracleRun) -> Comparison:
    squares = (setting.deviations**2).sum(axis=-1)
    away = ((setting.paths[:-1] - anchors(setting)) ** 2).sum(axis=-1)
    factor = setting.variance_factors * setting.root_mean_square_smoothness**2
    steps = range(setting.steps)
    return _errors(
        setting,
        np.concatenate([setting.given_past(t, squares[t]) for t in steps]),
        np.concatenate([factor[t] * setting.pasts(t, away[t]) for t in steps]),
        "c_b L̄² ‖x_t - x̃‖²",
        observed_name="E[‖d_t - ∇f(x_t)‖² | past]",
        index=np.repeat(np.arange(setting.steps), setting.counts[:-1]),
    )


def _opposed(excess: float = 1e-4) -> ScalarQuadratics:
    """Return two parabolas that all but cancel."""
    return ScalarQuadratics([1.0 + excess, -1.0], [0.5, 0.5])


snapshot_error: Theorem[OracleRun] = Theorem(
    label="prop-snapshot-error",
    title="The error of a snapshot",
    kind="inequality",
    lecture="13",
    statement=r"given the past, $d_t$ has mean $\nabla f(x_t)$ and variance "
    r"$\mathbb E\|d_t - \nabla f(x_t)\|^2 = c_b\,\frac1n\sum_i\|z_i - \bar z\|^2 \le "
    r"c_b\bar L^2\|x_t - \tilde x\|^2$ with $z_i = \nabla f_i(x_t) - \nabla f_i(\tilde x)$, where "
    r"$c_b = \frac1b$ with and $c_b = \frac{n-b}{b(n-1)} \le \frac1b$ without replacement",
    assumptions=(
        components_smooth_in_square,
        SNAPSHOTS,
        start_in_set,
        step_at_most_one,
        unbiased_batches,
    ),
    compare=_snapshot,
    tightness=r"Approached by two parabolas of opposite curvatures.  Where all $\nabla f_i$ differ "
    r"by constants only, the error is zero.",
    counterexamples=(
        Counterexample(
            "components smooth",
            OracleRun(
                _opposed(1.0),
                SEGMENT,
                steps=3,
                step_size=0.5,
                oracle=Snapshot(1, period=3),
                claims={"root_mean_square_smoothness": 0.5},
            ),
            "The changes of single gradients are three times as large as claimed.",
        ),
        Counterexample(
            "unbiased",
            OracleRun(
                _opposed(1.0),
                SEGMENT,
                steps=3,
                step_size=0.5,
                oracle=Snapshot(100, FirstSampleOnly(), period=3),
            ),
            "A hundred times the change of sample 1 is not the change of the sum.",
        ),
    ),
    references=("johnson2013", "reddi2016"),
)


SARAH = _uses(
    "recursive estimates",
    r"$d_0 = \nabla f(x_0)$; then with probability $p$, independently of all else, $d_t = "
    r"\nabla f(x_t)$, otherwise $d_t = d_{t-1} + \frac1b\sum_{i\in\mathcal B_t}(\nabla f_i(x_t) - "
    r"\nabla f_i(x_{t-1}))$",
    lambda oracle: isinstance(oracle, Recursive),
)


def _sarah(setting: OracleRun) -> Comparison:
    kept = 1 - setting.oracle.probability if isinstance(setting.oracle, Recursive) else 1.0
    moved = setting.root_mean_square_smoothness * setting.diameter * setting.step_sizes
    bound = np.zeros(setting.steps)
    for t in range(1, setting.steps):
        bound[t] = kept * (bound[t - 1] + setting.variance_factors[t] * moved[t - 1] ** 2)
    name = "c_b L̄² D² Σ (1-p)^(t-s) γ_s² over s < t"
    return _errors(setting, setting.square_errors, bound, name)


def _followed(drops: str, story: str, **changes: Any) -> Counterexample[OracleRun]:
    """Return a counterexample from a run of SARAH between two parabolas that all but cancel."""
    oracle = Recursive(1, probability=0.25)
    given = {"steps": 4, "step_size": 1.0, "x0": [1.0], "oracle": oracle, **changes}
    return Counterexample(drops, OracleRun(_opposed(), SEGMENT, **given), story)


sarah_error: Theorem[OracleRun] = Theorem(
    label="prop-sarah-error",
    title="The error of SARAH",
    kind="inequality",
    lecture="13",
    statement=r"$\mathbb E\|d_t - \nabla f(x_t)\|^2 \le c_b\bar L^2D^2\sum_{s<t}(1-p)^{t-s}"
    r"\gamma_s^2$ with $c_b \le \frac1b$ as in prop-snapshot-error; with constant $\gamma$ and "
    r"$p > 0$ this is at most $\frac{1-p}p\cdot\frac{\bar L^2D^2\gamma^2}b$",
    assumptions=(
        components_smooth_in_square,
        compact,
        start_in_set,
        step_at_most_one,
        SARAH,
        unbiased_batches,
    ),
    compare=_sarah,
    tightness=r"Approached at $t = 1$ by two parabolas of opposite curvatures on a segment that "
    r"the first step crosses from end to end.",
    counterexamples=(
        _followed(
            "components smooth",
            "The changes of single gradients are twice as large as claimed.",
            claims={"root_mean_square_smoothness": 0.5},
        ),
        _followed(
            "compact",
            "The first step leads across an interval of length 2, and D is 1.",
            claims={"diameter": 1.0},
        ),
        _followed(
            "start in the set",
            "From far outside the first step is much longer than the diameter.",
            x0=[10.0],
        ),
        _followed(
            "step at most 1",
            "Steps of 2 leave the interval, and each is longer than the last.",
            step_size=2.0,
        ),
        _followed(
            "unbiased",
            "A hundred times the change of sample 1 is not the change of the sum.",
            oracle=Recursive(100, FirstSampleOnly(), probability=0.25),
        ),
    ),
    references=("nguyen2017", "beznosikov2024"),
)


# ---- a table ----------------------------------------------------------------------------------

TABLE = _uses(
    "table",
    r"$d_t$ is the mean of a table, at first of zeros, whose entries at the $b_t \ge b$ samples of "
    r"$\mathcal B_t$ are $\nabla f_i(x_t)$ and whose others are left as they were",
    lambda oracle: (
        isinstance(oracle, SlopeTable) and not oracle.unbiased and oracle.start == "zero"
    ),
)


def table_bound(setting: OracleRun) -> FloatArray:
    r"""Return the bound on :math:`\mathbb E f(x_T) - f^*` with a table, for T = 1, ..., `steps`.

    It is :math:`\frac{2LD^2}{T+2} + \frac{4\nu\tilde LD^2}{T+1} + \frac{2\nu D}{T(T+1)}
    (2\nu\tilde LDH_T + (\nu+1)G_0)`.  A penalty :math:`\frac\lambda2\|x\|^2`, whose gradient is
    never tabulated, is left out of :math:`G_0`.

    Parameters
    ----------
    setting : OracleRun
    """
    count = np.arange(1, setting.steps + 1)
    nu = setting.finite_sum.n_samples / setting.batch_sizes.min() - 1
    start = component_slopes(linear_model(setting.problem), setting.start[0]).mean()
    reach = setting.mean_smoothness * setting.diameter
    rest = 2 * nu * reach * np.cumsum(1 / count) + (nu + 1) * start
    slow = 4 * bending(setting) / (count + 2) + 4 * nu * reach * setting.diameter / (count + 1)
    return np.asarray(slow + 2 * nu * setting.diameter * rest / (count * (count + 1)))


def _slope_table(setting: OracleRun) -> Comparison:
    return _excess(setting, table_bound(setting))


slope_table: Theorem[OracleRun] = Theorem(
    label="thm-slope-table",
    title="Frank–Wolfe with a table",
    kind="inequality",
    lecture="13",
    statement=r"with $\nu = \frac nb - 1$, $G_0 = \frac1n\sum_i\|\nabla f_i(x_0)\|$ and "
    r"$H_T = \sum_{t\le T}\frac1t$: $\mathbb E f(x_T) - f^* \le \frac{2LD^2}{T+2} + "
    r"\frac{4\nu\tilde LD^2}{T+1} + \frac{2\nu D}{T(T+1)}\bigl(2\nu\tilde LDH_T + "
    r"(\nu+1)G_0\bigr)$ for every $T \ge 1$",
    assumptions=(
        smooth_on_set,
        components_smooth_on_average,
        convex,
        compact,
        start_in_set,
        open_loop_steps,
        TABLE,
        unbiased_batches,
    ),
    compare=_slope_table,
    tightness=r"For $b = n$ it is the bound of thm-fw-convex.  For $b < n$ it is far from what is "
    r"observed, since every entry is taken to be as wrong as the way travelled allows; the order "
    r"$\frac1T$ is that of exact gradients.",
    counterexamples=(
        _STEEP,
        _TWO_WELLS,
        _WIDE,
        _OUTSIDE,
        _SLOW,
        Counterexample(
            "unbiased",
            OracleRun(
                LeastSquares([[1.0], [1.0]], [1.0, -1.0]),
                SEGMENT,
                steps=2000,
                step_size=OPEN_LOOP,
                oracle=SlopeTable(1, FirstSampleOnly()),
            ),
            "The table holds sample 1 only, and the run ends at the minimum of that.",
        ),
    ),
    references=("negiar2020", "schmidt2017"),
)


# ---- a running mean ---------------------------------------------------------------------------

RUNNING_MEAN = _uses(
    "running mean",
    r"$d_t = (1-\rho_t)d_{t-1} + \rho_tg_t$ with $d_{-1} = 0$ and $0 < \rho_t \le 1$, where $g_t$ "
    r"is the mean of $b_t$ fresh samples at $x_t$",
    lambda oracle: isinstance(oracle, Momentum) and type(oracle.oracle) is Minibatch,
)


def running_weights(setting: OracleRun) -> FloatArray:
    r"""Return the weights :math:`\rho_t` of the running mean of a run, shape ``(steps,)``.

    Parameters
    ----------
    setting : OracleRun
    """
    weight = setting.oracle.weight if isinstance(setting.oracle, Momentum) else 1.0
    return evaluate(weight, 0, setting.steps)


def running_mean_constant(setting: OracleRun) -> float:
    r"""Return :math:`C = \frac{16}3\frac{\sigma^2}b + \frac{27}4L^2D^2`.

    With the weights of SCG and steps of at most :math:`\frac2{t+2}` the recursion stays below
    :math:`C/(t+8)^{2/3}`.

    Parameters
    ----------
    setting : OracleRun
    """
    noise = setting.standard_deviation**2 / float(setting.batch_sizes.min())
    return 16 / 3 * noise + 27 / 4 * (setting.smoothness * setting.diameter) ** 2


def _running_mean(setting: OracleRun) -> Comparison:
    rho = running_weights(setting)
    first = float((setting.problem.gradient(setting.start[0]) ** 2).sum())
    before = np.append(first, setting.square_errors[:-1])
    moved = setting.smoothness * setting.diameter * np.append(0.0, setting.step_sizes[:-1])
    noise = setting.standard_deviation**2 / setting.batch_sizes
    bound = (1 - rho) * (before + moved**2 / rho) + rho**2 * noise
    return _errors(setting, setting.square_errors, bound, "the recursion")


def _averaged(drops: str, story: str, **changes: Any) -> Counterexample[OracleRun]:
    """Return a counterexample from a run across a segment with a running mean."""
    given = {"steps": 4, "step_size": 1.0, "x0": [1.0], "oracle": Momentum(Minibatch(1))}
    return Counterexample(drops, OracleRun(parabola(1.0), SEGMENT, **{**given, **changes}), story)


running_mean: Theorem[OracleRun] = Theorem(
    label="prop-running-mean",
    title="The error of a running mean",
    kind="inequality",
    lecture="13",
    statement=r"$\eta_t = \mathbb E\|d_t - \nabla f(x_t)\|^2$ satisfies $\eta_t \le (1-\rho_t)"
    r"\bigl(\eta_{t-1} + \frac{L^2D^2\gamma_{t-1}^2}{\rho_t}\bigr) + \rho_t^2\frac{\sigma^2}{b_t}$ "
    r"for $t \ge 0$, where $\eta_{-1} = \|\nabla f(x_0)\|^2$ and $\gamma_{-1} = 0$; with "
    r"$\rho_t = 4(t+8)^{-2/3}$, $\gamma_t \le \frac2{t+2}$ and $b_t \ge b$, $\eta_t \le "
    r"\frac C{(t+8)^{2/3}}$ for all $t \ge 0$, where $C = \frac{16}3\frac{\sigma^2}b + "
    r"\frac{27}4L^2D^2$",
    assumptions=(
        smooth_on_set,
        compact,
        start_in_set,
        step_at_most_one,
        RUNNING_MEAN,
        unbiased_batches,
        bounded_noise,
    ),
    compare=_running_mean,
    tightness=r"Equality with $\rho_t = 1$ where the variance is the same everywhere.  Without "
    r"noise, with constant $\rho$, the part $\frac{1-\rho}{1-\rho+\rho^2}$ of the bound is left on "
    r"the slow way down a parabola, where the mean lags behind.  The constant $C$ is generous.",
    counterexamples=(
        _averaged(
            "smooth",
            "The gradient changes ten times as much as L claims.",
            claims={"smoothness": 0.1},
        ),
        _averaged(
            "compact",
            "The run goes from end to end of an interval of length 2, and D is a tenth of that.",
            claims={"diameter": 0.2},
        ),
        _averaged(
            "start in the set",
            "From far outside the first step is much longer than the diameter.",
            x0=[100.0],
        ),
        _averaged(
            "step at most 1",
            "Steps of 2 leave the interval, and each is longer than the last.",
            step_size=2.0,
            steps=12,
        ),
        Counterexample(
            "unbiased",
            OracleRun(
                parabola(1.0, tilts=PLUS_MINUS),
                SEGMENT,
                steps=4,
                step_size=0.1,
                oracle=Momentum(BIASED, 1.0),
            ),
            "A batch that always holds sample 1 does not become exact by being large.",
        ),
        Counterexample(
            "variance",
            OracleRun(
                parabola(1.0, tilts=PLUS_MINUS),
                SEGMENT,
                steps=4,
                step_size=0.1,
                oracle=Momentum(Minibatch(1), 1.0),
                claims={"variance": 0.01},
            ),
            "The variance is a hundred times what is claimed.",
        ),
    ),
    references=("mokhtari2020",),
)


# ---- blocks -----------------------------------------------------------------------------------


def _free_variance(setting: BlockStepFrom) -> Evidence:
    true, claimed = setting.true_free_variance, setting.free_variance
    at = int((true - claimed).argmax())
    return Evidence(
        bool((claimed >= true * (1 - EXACT) - 1e-300).all()),
        f"σ_F² = {claimed[at]:.6g}, the variance in the free block is {true[at]:.6g}",
    )


def _free_step(setting: BlockStepFrom) -> Evidence:
    holds = setting.free_step * setting.smoothness <= 1 + EXACT
    return Evidence(holds, f"α = {setting.free_step:.6g}, L = {setting.smoothness:.6g}")


def _block(setting: BlockStepFrom) -> Comparison:
    gamma, alpha, b = setting.step_size, setting.free_step, setting.batch_size
    values, after = setting.problem.value(setting.x), setting.expected_value_after
    noise = gamma * setting.diameter * np.sqrt(setting.variance / b)
    noise = noise + setting.smoothness * alpha**2 * setting.free_variance / (2 * b)
    return Comparison(
        index=np.arange(len(values)),
        observed=gamma * setting.gap + alpha / 2 * setting.free_slope,
        bound=values - after + noise + setting.smoothness * (setting.diameter * gamma) ** 2 / 2,
        index_name="point",
        observed_name="γ G_C(x) + α/2 ‖∇_F f(x)‖²",
        bound_name="f(x) - E f(x⁺) + γ D σ_C/√b + L D² γ²/2 + L α² σ_F²/(2b)",
        magnitude=np.abs(values) + np.abs(after) + gamma * setting.gap,
    )


def _bowl(curvature: float = 1.0, tilts: Any = None) -> TiltedQuadratic:
    """Return a round parabola of two variables."""
    return TiltedQuadratic(curvature * np.eye(2), [0.0, 0.0], tilts)


def _both(drops: str, story: str, **changes: Any) -> Counterexample[BlockStepFrom]:
    """Return a counterexample from a step of two variables, the second of them free."""
    given = {
        "problem": _bowl(),
        "points": [[1.0, 1.0]],
        "step_size": 0.5,
        "free": [1],
        "free_step": 0.5,
    }
    return Counterexample(drops, BlockStepFrom(constraint=SEGMENT, **{**given, **changes}), story)


block_step: Theorem[BlockStepFrom] = Theorem(
    label="prop-block-step",
    title="A Frank–Wolfe step and a gradient step at once",
    kind="inequality",
    lecture="13",
    statement=r"with $\mathcal G_C(x) = \max_{v\in\Omega}\langle\nabla_Cf(x), x_C - v\rangle$: "
    r"$\gamma\,\mathcal G_C(x) + \frac\alpha2\|\nabla_Ff(x)\|^2 \le f(x) - \mathbb E f(x^+) + "
    r"\gamma\frac{D\sigma_C}{\sqrt b} + \frac{LD^2\gamma^2}2 + \frac{L\alpha^2\sigma_F^2}{2b}$",
    assumptions=(
        smooth_on_set,
        compact,
        points_in_set,
        step_at_most_one,
        Assumption("free step", r"$0 < \alpha \le \frac1L$", _free_step),
        unbiased_batches,
        bounded_noise,
        Assumption(
            "free variance",
            r"$\mathbb E\|\nabla_Ff_i(x) - \nabla_Ff(x)\|^2 \le \sigma_F^2$",
            _free_variance,
        ),
    ),
    compare=_block,
    tightness=r"Equality for $\tfrac L2\|x\|^2$ with $\alpha = \frac1L$, with any noise in the "
    r"free block and none in the other, where the step leads across the whole set.",
    counterexamples=(
        _both(
            "smooth",
            "With L understated tenfold the curvature is paid for by the tenth part only.",
            problem=_bowl(10.0),
            free_step=0.1,
            claims={"smoothness": 1.0},
        ),
        _both(
            "compact",
            "The step leads across an interval of length 2, and D is 1.",
            claims={"diameter": 1.0},
        ),
        _both(
            "points in the set",
            "From outside the way to the set is longer than its diameter.",
            points=[[5.0, 0.0]],
            step_size=1.0,
        ),
        _both(
            "free step",
            "A gradient step beyond 2/L leads uphill.",
            points=[[1.0, 5.0]],
            step_size=0.01,
            free_step=3.0,
        ),
        _both(
            "unbiased",
            "A batch that always holds sample 1 does not become exact by being large.",
            problem=_bowl(1.0, [[2.0, 0.0], [-2.0, 0.0]]),
            points=[[0.9, 0.0]],
            step_size=0.1,
            batch_size=100,
            sampling=FirstSampleOnly(),
        ),
        _both(
            "variance",
            "The noise, thirty times what is claimed, decides where the step leads.",
            problem=_bowl(1.0, [[3.0, 0.0], [-3.0, 0.0]]),
            points=[[0.9, 0.0]],
            step_size=0.01,
            claims={"variance": 0.01},
        ),
        _both(
            "free variance",
            "The noise in the free block is thirty times what is claimed.",
            problem=_bowl(1.0, [[0.0, 3.0], [0.0, -3.0]]),
            points=[[1.0, 0.0]],
            step_size=0.01,
            claims={"free_variance": 0.01},
        ),
    ),
    references=("grigas2019",),
)
