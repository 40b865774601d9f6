"""Orders: what shuffling changes (lecture 08)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.problems import (
    FiniteSum,
    Landscape,
    LeastSquares,
    LinearModel,
    Ridge,
    ScalarQuadratics,
    check_problem,
)
from sgdnotes.sampling import MAX_PERMUTED
from sgdnotes.theorems.assumptions import (
    EXACT,
    components_convex,
    components_smooth,
    strongly_convex,
)
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem
from sgdnotes.theorems.settings import Claims, EpochRun, StationaryEpochs, TwoSteps

DISTANCE = "E dist(x_T, X*)²"
MAX_LISTED = 16  # samples whose subsets are listed: 2¹⁶ = 65536


def sorted_signs(n_samples: int) -> LeastSquares:
    r"""Return :math:`f_i(x) = \frac12(x - b_i)^2`: half of the b_i are +1, then half are -1.

    Parameters
    ----------
    n_samples : int
        An even number.
    """
    n = _even(n_samples)
    return LeastSquares(np.ones((n, 1)), np.repeat([1.0, -1.0], n // 2))


def _even(n_samples: int) -> int:
    n = _validate.integer("n_samples", n_samples, at_least=2)
    if n % 2:
        raise ValueError(f"n_samples: wanted an even number, got {n}")
    return n


def _listable(setting: Claims) -> Evidence:
    n = setting.problem.n_samples
    return Evidence(n <= MAX_PERMUTED, f"{n} samples, at most {MAX_PERMUTED} can be listed")


listable: Assumption[Any] = Assumption(
    "few samples", rf"$n \le {MAX_PERMUTED}$, so that all orders can be listed", _listable
)


# ---- sums along a shuffled order --------------------------------------------------------------


def _partial_sums(setting: Claims) -> Comparison:
    problem = setting.problem
    n, gradients = problem.n_samples, problem.component_gradients(np.zeros(problem.dim))
    centered = gradients - gradients.mean(axis=0)
    orders = np.array(list(itertools.permutations(range(n))))
    sums = np.cumsum(centered[orders], axis=1)
    counts = np.arange(1, n + 1)
    variance = float((centered**2).sum(axis=1).mean())
    return Comparison(
        index=counts,
        observed=(sums**2).sum(axis=-1).mean(axis=0),
        bound=counts * (n - counts) / max(n - 1, 1) * variance,
        index_name="i",
        observed_name="E‖X_π1 + … + X_πi‖²",
        bound_name="i(n-i)/(n-1) V",
        magnitude=np.full(n, n * float((gradients**2).sum(axis=1).max())),
    )


partial_sums: Theorem[Claims] = Theorem(
    label="lem-partial-sums",
    title="Sums along a shuffled order",
    kind="identity",
    lecture="08",
    statement=r"For vectors with $\sum_j X_j = 0$, $V = \frac1n\sum_j\|X_j\|^2$ and a uniformly "
    r"random order $\pi$: $\mathbb E\|X_{\pi_1} + \dots + X_{\pi_i}\|^2 = \frac{i(n-i)}{n-1}V$",
    assumptions=(listable,),
    compare=_partial_sums,
    tightness="An identity; the number of samples is limited only by the listing of all orders.",
)


# ---- the second sample of an order ------------------------------------------------------------


def _drawn_from_the_rest(setting: TwoSteps) -> Evidence:
    n, seconds = setting.problem.n_samples, setting.second_samples(0)
    holds = n > 1 and np.array_equal(seconds, np.arange(1, n))
    return Evidence(
        bool(holds),
        f"after the first of {n} samples the second is one of {len(seconds)}, "
        f"wanted {n - 1}, at least 1",
    )


def second_step_bias(setting: TwoSteps) -> FloatArray:
    r"""Return :math:`\mathbb E[\nabla f_{\pi_2}(x_1) - \nabla f(x_1) \mid \pi_1 = i]` for all i.

    Shape ``(m, n, dim)`` for m points; the average over the second samples is taken one by one.
    """
    problem, step = setting.problem, setting.step_size
    bias = np.empty((len(setting.x), problem.n_samples, problem.dim))
    for point, x in enumerate(setting.x):
        for first, gradient in enumerate(problem.component_gradients(x)):
            after = x - step * gradient
            seconds = problem.component_gradients(after)[setting.second_samples(first)]
            bias[point, first] = seconds.mean(axis=0) - problem.gradient(after)
    return bias


def component_hessians(problem: FiniteSum) -> FloatArray:
    """Return the Hessians of the components of a quadratic problem, shape ``(n, dim, dim)``."""
    if isinstance(problem, ScalarQuadratics):
        return problem.curvatures[:, None, None]
    assert isinstance(problem, Ridge)
    rows = problem.features
    return rows[:, :, None] * rows[:, None, :] + problem.regularization * np.eye(problem.dim)


def _order_bias(setting: TwoSteps) -> Comparison:
    problem, step = setting.problem, setting.step_size
    left = max(problem.n_samples - 1, 1)
    observed = second_step_bias(setting)
    gradients = np.array([problem.component_gradients(x) for x in setting.x])
    after = setting.x[:, None] - step * gradients
    own = np.array(
        [[problem.component_gradients(x)[i] for i, x in enumerate(starts)] for starts in after]
    )
    formula = (problem.gradient(after) - own) / left
    size = np.abs(own).max() + np.abs(gradients).max()
    entries, formulas = [observed.ravel()], [formula.ravel()]
    if isinstance(problem, (Ridge, ScalarQuadratics)):
        hessians = component_hessians(problem)
        spread = hessians - hessians.mean(axis=0)
        entries.append(observed.mean(axis=1).ravel())
        formulas.append(np.matvec(spread, gradients).mean(axis=1).ravel() * step / left)
        size += step * np.abs(hessians).max() * np.abs(gradients).max() * problem.dim
    left_side, right_side = np.concatenate(entries), np.concatenate(formulas)
    return Comparison(
        index=np.arange(len(left_side)),
        observed=left_side,
        bound=right_side,
        index_name="entry",
        observed_name="bias of the second step",
        bound_name="formula",
        magnitude=np.full(len(left_side), size),
    )


_TWO = LeastSquares([[1.0], [2.0]], [1.0, -2.0])
_BETWEEN = [[0.5], [3.0]]

order_bias: Theorem[TwoSteps] = Theorem(
    label="prop-order-bias",
    title="The second step of a shuffled order is biased",
    kind="identity",
    lecture="08",
    statement=r"With $x_1 = x_0 - \gamma\nabla f_{\pi_1}(x_0)$: "
    r"$\mathbb E[\nabla f_{\pi_2}(x_1) - \nabla f(x_1) \mid \pi_1 = i] = "
    r"\frac{\nabla f(x_1) - \nabla f_i(x_1)}{n-1}$ for every $i$; for quadratic $f_i$ its mean "
    r"over $i$ is $\frac\gamma{n-1}\cdot\frac1n\sum_i(\nabla^2f_i - \nabla^2f)\nabla f_i(x_0)$",
    assumptions=(
        Assumption(
            "second sample from the rest",
            r"$n \ge 2$, and given $\pi_1 = i$ the sample $\pi_2$ is uniform on the $n-1$ others",
            _drawn_from_the_rest,
        ),
    ),
    compare=_order_bias,
    tightness=r"An identity; for quadratics of one and the same Hessian the mean over $i$ is zero.",
    counterexamples=(
        Counterexample(
            "second sample from the rest",
            TwoSteps(_TWO, points=_BETWEEN, step_size=0.2, sampling="with_replacement"),
            "Drawn afresh from all samples, the second gradient has no bias at all.",
        ),
        Counterexample(
            "second sample from the rest",
            TwoSteps(
                LeastSquares([[1.0], [2.0], [3.0]], [1.0, -2.0, 0.0]),
                points=_BETWEEN,
                step_size=0.1,
                sampling="cyclic",
            ),
            "In cyclic order the first sample decides on the second, and the bias is larger.",
        ),
    ),
)


# ---- random reshuffling -----------------------------------------------------------------------


def component_strong_convexity(problem: FiniteSum) -> float:
    """Return the largest constant with which every component of `problem` is strongly convex.

    A row of more than one column leaves directions in which only the regularisation bends, and so
    does a loss that is straight, or straightens out, somewhere.
    """
    if isinstance(problem, LinearModel):
        single = isinstance(problem, Ridge) and problem.dim == 1
        bent = float((problem.features[:, 0] ** 2).min()) if single else 0.0
        return bent + problem.regularization
    if isinstance(problem, ScalarQuadratics):
        return float(problem.curvatures.min())
    return problem.strong_convexity if isinstance(problem, Landscape) else 0.0


def _mu(setting: EpochRun) -> float:
    true = component_strong_convexity(setting.problem)
    return setting.claims.get("component_strong_convexity", true)


def _components_strongly_convex(setting: EpochRun) -> Evidence:
    claimed, true = _mu(setting), component_strong_convexity(setting.problem)
    return Evidence(
        0 < claimed <= true * (1 + EXACT),
        f"μ = {claimed:.6g}, every f_i is {true:.6g}-strongly convex and not more",
    )


components_strongly_convex: Assumption[Any] = Assumption(
    "components strongly convex",
    r"every $f_i$ is $\mu$-strongly convex, $\mu > 0$",
    _components_strongly_convex,
)


def _random_order(setting: EpochRun) -> Evidence:
    order = setting.moments.order.name
    return Evidence(
        order in {"reshuffled", "shuffled_once"},
        f"the order is {order.replace('_', ' ')}, in epochs of {setting.moments.steps} steps",
    )


random_order: Assumption[Any] = Assumption(
    "random order", "the order is drawn uniformly, once or afresh in every epoch", _random_order
)


def _step_at_most_smoothness(setting: EpochRun) -> Evidence:
    limit = 1 / setting.constant("max_smoothness")
    return Evidence(
        setting.step_size <= limit * (1 + EXACT),
        f"step size {setting.step_size:.6g}, 1/L_max = {limit:.6g}",
    )


def shuffling_radius(problem: FiniteSum, step_size: float) -> float:
    r"""Return the shuffling radius :math:`\sigma_{\rm sh}^2` of Mishchenko et al. (2020), exactly.

    It measures how far an epoch wanders off when it starts at the minimum: with
    :math:`x_*^i = x^* - \gamma\sum_{j \le i}\nabla f_{\pi_j}(x^*)` it is

    .. math::

        \sigma_{\rm sh}^2 = \max_{1 \le i < n}\frac1\gamma\,
        \mathbb E\,D_{f_{\pi_{i+1}}}(x_*^i, x^*),

    where :math:`D_h(y, x) = h(y) - h(x) - \langle\nabla h(x), y - x\rangle`.

    Parameters
    ----------
    problem : FiniteSum
        With at most 16 samples, all subsets of which are listed.
    step_size : float
        :math:`\gamma > 0`.
    """
    step = _validate.real("step_size", step_size, above=0)
    n, minimizer = check_problem(problem).n_samples, problem.minimizer
    _validate.integer("n_samples", n, at_least=1, at_most=MAX_LISTED)
    values, gradients = problem.component_values(minimizer), problem.component_gradients(minimizer)
    radius = 0.0
    for count in range(1, n):
        total = 0.0
        # Where an epoch is depends only on which samples it has seen.
        seen = list(itertools.combinations(range(n), count))
        for samples in seen:
            offset = -step * gradients[list(samples)].sum(axis=0)
            distances = problem.component_values(minimizer + offset) - values - gradients @ offset
            total += np.delete(distances, samples).mean()
        radius = max(radius, total / len(seen) / step)
    return radius


def shuffling_radius_estimates(setting: EpochRun) -> tuple[float, float]:
    r"""Return :math:`\frac{\gamma\mu n}8\sigma_*^2` and :math:`\frac{\gamma L_{\max}n}4\sigma_*^2`.

    The shuffling radius lies between the two.
    """
    scale = setting.step_size * setting.problem.n_samples
    scale *= setting.problem.gradient_noise_at_minimum
    return _mu(setting) * scale / 8, setting.constant("max_smoothness") * scale / 4


def sharp_reshuffling_floor(setting: EpochRun) -> float:
    r"""Return :math:`2\gamma\sigma_{\rm sh}^2/\mu`, which `reshuffling_floor` bounds from above."""
    radius = shuffling_radius(setting.problem, setting.step_size)
    return 2 * setting.step_size * radius / _mu(setting)


def reshuffling_floor(setting: EpochRun) -> float:
    r"""Return :math:`\gamma^2L_{\max}n\sigma_*^2/(2\mu)`, the floor of the reshuffling theorem."""
    problem = setting.problem
    noise = problem.n_samples * problem.gradient_noise_at_minimum
    return setting.step_size**2 * setting.constant("max_smoothness") * noise / (2 * _mu(setting))


def _reshuffling(setting: EpochRun) -> Comparison:
    distance = setting.distance_squared
    epochs = np.arange(len(distance))
    contraction = 1 - setting.step_size * _mu(setting)
    shrink = np.asarray(contraction ** (setting.problem.n_samples * epochs))
    return Comparison(
        index=epochs,
        observed=distance,
        bound=shrink * distance[0] + reshuffling_floor(setting),
        index_name="T",
        observed_name=DISTANCE,
    )


_SORTED, _LONG = sorted_signs(8), sorted_signs(64)
_STEEP = LeastSquares([[1.0], [4.0]], [1.0, -2.0])

reshuffling: Theorem[EpochRun] = Theorem(
    label="thm-reshuffling",
    title="Random reshuffling",
    kind="inequality",
    lecture="08",
    statement=r"After T epochs in random orders, drawn once or in every epoch, "
    r"$\mathbb E\|x_T-x^*\|^2 \le "
    r"(1-\gamma\mu)^{nT}\|x_0-x^*\|^2 + \frac{\gamma^2L_{\max}n\sigma_*^2}{2\mu}$",
    assumptions=(
        components_smooth,
        components_strongly_convex,
        Assumption(
            "step at most 1/L_max", r"$0 < \gamma \le \tfrac1{L_{\max}}$", _step_at_most_smoothness
        ),
        random_order,
    ),
    compare=_reshuffling,
    tightness=r"Attained by two parabolas of one curvature with $\gamma = 1/L_{\max}$. For short "
    r"steps the order $\gamma^2$ of the floor is right unless all Hessians agree, when it is "
    r"$\gamma^3$, and the constant gives away one to three powers of ten.",
    counterexamples=(
        Counterexample(
            "random order",
            EpochRun(_LONG, epochs=40, step_size=0.05, order="cyclic"),
            "All samples that pull to the right come first, in every epoch.",
        ),
        Counterexample(
            "step at most 1/L_max",
            EpochRun(_STEEP, epochs=10, step_size=0.5, x0=[5.0]),
            "A step that is too long for the steeper component diverges.",
        ),
        Counterexample(
            "components smooth",
            EpochRun(_STEEP, epochs=10, step_size=0.5, x0=[5.0], claims={"max_smoothness": 2.0}),
            "With L_max understated eightfold the step is too long for the steeper component.",
        ),
        Counterexample(
            "components strongly convex",
            EpochRun(
                _SORTED,
                epochs=3,
                step_size=0.01,
                x0=[50.0],
                claims={"component_strong_convexity": 3.0},
            ),
            "A constant three times too large promises a decrease that does not happen.",
        ),
    ),
    references=("mishchenko2020",),
)


# ---- random orders, convex components ---------------------------------------------------------


def _step_times_samples(setting: EpochRun) -> Evidence:
    limit = 1 / (np.sqrt(2) * setting.constant("max_smoothness") * setting.problem.n_samples)
    return Evidence(
        setting.step_size <= limit * (1 + EXACT),
        f"step size {setting.step_size:.6g}, 1/(√2 L_max n) = {limit:.6g}",
    )


def _reshuffling_convex(setting: EpochRun) -> Comparison:
    problem, step, distance = setting.problem, setting.step_size, setting.distance_squared
    mu, largest = setting.constant("strong_convexity"), setting.constant("max_smoothness")
    epochs, n = np.arange(len(distance)), problem.n_samples
    floor = step**2 * largest / mu * n * problem.gradient_noise_at_minimum
    return Comparison(
        index=epochs,
        observed=distance,
        bound=(1 - step * mu * n / 2) ** epochs * distance[0] + floor,
        index_name="T",
        observed_name=DISTANCE,
    )


_CORNER = LeastSquares([[1.0, 0.0], [0.0, 0.5]], [1.0, 0.5])

reshuffling_convex: Theorem[EpochRun] = Theorem(
    label="thm-reshuffling-convex",
    title="Random orders when only the sum is strongly convex",
    kind="inequality",
    lecture="08",
    statement=r"After T epochs in random orders, drawn once or in every epoch, "
    r"$\mathbb E\|x_T-x^*\|^2 \le \bigl(1-\frac{\gamma\mu n}2\bigr)^T\|x_0-x^*\|^2 + "
    r"\gamma^2\kappa n\sigma_*^2$ with $\kappa = \frac{L_{\max}}\mu$",
    assumptions=(
        components_smooth,
        components_convex,
        strongly_convex,
        Assumption(
            "step at most 1/(√2 L_max n)",
            r"$0 < \gamma \le \tfrac1{\sqrt2\,L_{\max}n}$",
            _step_times_samples,
        ),
        random_order,
    ),
    compare=_reshuffling_convex,
    tightness=r"The order $\gamma^2$ of the floor is right; the rate of a short step is twice as "
    r"fast as the bound, and the floor far below it.",
    counterexamples=(
        Counterexample(
            "random order",
            EpochRun(_LONG, epochs=60, step_size=0.011, order="cyclic"),
            "All samples that pull to the right come first, in every epoch.",
        ),
        Counterexample(
            "step at most 1/(√2 L_max n)",
            EpochRun(_CORNER, epochs=10, step_size=2.5, x0=[3.0, 3.0]),
            "A step that is too long for one of two components diverges.",
        ),
        Counterexample(
            "components smooth",
            EpochRun(
                _CORNER,
                epochs=10,
                step_size=2.5,
                x0=[3.0, 3.0],
                claims={"max_smoothness": 0.1},
            ),
            "With L_max understated tenfold the step is too long for one of two components.",
        ),
        Counterexample(
            "strongly convex",
            EpochRun(
                _SORTED,
                epochs=5,
                step_size=0.01,
                x0=[50.0],
                claims={"strong_convexity": 6.0},
            ),
            "A constant six times too large promises a decrease that does not happen.",
        ),
    ),
    references=("mishchenko2020",),
    proved=False,
)


# ---- sorted signs: cyclic, random, reshuffled -------------------------------------------------


def _unit_parabolas(setting: StationaryEpochs) -> Evidence:
    problem = setting.problem
    assert isinstance(problem, Ridge)
    holds = problem.dim == 1 and not problem.regularization and (problem.features == 1).all()
    sizes = np.abs(problem.features)
    return Evidence(
        bool(holds),
        f"{problem.dim} variable(s), entries of the features from {sizes.min():.6g} to "
        f"{sizes.max():.6g}, regularisation {problem.regularization:.6g}",
    )


def _sorted_signs(setting: StationaryEpochs) -> Evidence:
    problem = setting.problem
    assert isinstance(problem, Ridge)
    n, targets = problem.n_samples, problem.targets
    holds = n % 2 == 0 and np.array_equal(targets, np.repeat([1.0, -1.0], n // 2))
    shown = ", ".join(f"{b:g}" for b in targets[:8])
    return Evidence(bool(holds), f"n = {n}, the b_i begin with {shown}")


def _short_steps(setting: StationaryEpochs) -> Evidence:
    longest = float(np.max(setting.step_sizes))
    return Evidence(longest < 2, f"largest step size {longest:.6g}, wanted below 2")


FORMULAS = ("cyclic", "reshuffled", "with_replacement")


def _named_order(setting: StationaryEpochs) -> Evidence:
    return Evidence(
        setting.order in FORMULAS,
        f"the order is {setting.order.replace('_', ' ')}, formulas are given for "
        f"{len(FORMULAS)}: {', '.join(FORMULAS).replace('_', ' ')}",
    )


def sorted_signs_limit(order: str, n_samples: int, step_size: ArrayLike) -> FloatArray:
    r"""Return the stationary :math:`\mathbb E x^2` at the ends of epochs on `sorted_signs`.

    Parameters
    ----------
    order : {"cyclic", "reshuffled", "with_replacement"}
    n_samples : int
        An even number.
    step_size : array_like
        Above 0 and below 2.
    """
    _validate.one_of("order", order, FORMULAS)
    gamma, n = _validate.finite_array("step_size", step_size), _even(n_samples)
    if not ((gamma > 0) & (gamma < 2)).all():
        raise ValueError(
            f"step_size: wanted numbers above 0 and below 2, got {gamma.min():g} to {gamma.max():g}"
        )
    r = 1 - gamma
    if order == "cyclic":
        return np.asarray(((1 - r ** (n // 2)) / (1 + r ** (n // 2))) ** 2)
    if order == "with_replacement":
        return np.asarray(gamma / (2 - gamma))
    powers = r ** np.arange(n).reshape(-1, *(1,) * gamma.ndim)
    # Sums of squares less the square of the sum, as a sum of squares: nothing cancels.
    spread = ((powers - powers.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray(gamma**2 * n / (n - 1) * spread / (1 - r ** (2 * n)))


def _sorted_order(setting: StationaryEpochs) -> Comparison:
    sizes = np.asarray(setting.step_sizes)
    order = setting.order if setting.order in FORMULAS else "reshuffled"
    return Comparison(
        index=sizes,
        observed=setting.distance_squared,
        bound=sorted_signs_limit(order, setting.problem.n_samples, sizes),
        index_name="γ",
        observed_name="E x² after infinitely many epochs",
        bound_name="formula",
        # A second moment is known to the rounding of the squares it is the mean of.
        magnitude=np.full(sizes.shape, 1.0),
    )


_STEPS = [0.05, 0.2, 0.5]

sorted_order: Theorem[StationaryEpochs] = Theorem(
    label="prop-sorted-order",
    title="Sorted samples: what cyclic order costs and shuffling saves",
    kind="identity",
    lecture="08",
    statement=r"Let $f_i(x) = \frac12(x-b_i)^2$ with $\frac n2$ times $b_i = 1$ and then "
    r"$\frac n2$ times $b_i = -1$, and $r = 1-\gamma$. After infinitely many epochs "
    r"$\mathbb E x^2$ is $\bigl(\frac{1-r^{n/2}}{1+r^{n/2}}\bigr)^2$ in cyclic order, "
    r"$\frac\gamma{2-\gamma}$ with replacement, and reshuffled "
    r"$\gamma^2\frac n{n-1}\cdot\frac1{1-r^{2n}}"
    r"\Bigl(\frac{1-r^{2n}}{1-r^2} - \frac1n\bigl(\frac{1-r^n}\gamma\bigr)^2\Bigr)$",
    assumptions=(
        Assumption("unit parabolas", r"$f_i(x) = \tfrac12(x-b_i)^2$", _unit_parabolas),
        Assumption(
            "sorted signs",
            r"$n$ is even, $b_i = 1$ for $i \le \frac n2$ and $b_i = -1$ after that",
            _sorted_signs,
        ),
        Assumption("step below 2", r"$0 < \gamma < 2$", _short_steps),
        Assumption(
            "one of the three", "cyclic, with replacement or reshuffled every epoch", _named_order
        ),
    ),
    compare=_sorted_order,
    tightness=r"An identity. As $\gamma \to 0$ the three are $\frac{n^2\gamma^2}{16}$, "
    r"$\frac\gamma2$ and $\frac{n(n+1)\gamma^3}{24}$.",
    counterexamples=(
        Counterexample(
            "unit parabolas",
            StationaryEpochs(
                LeastSquares(np.full((4, 1), 2.0), [1.0, 1.0, -1.0, -1.0]),
                step_sizes=[0.05, 0.2],
                order="cyclic",
            ),
            "Steeper parabolas pull harder towards centres that lie closer together.",
        ),
        Counterexample(
            "sorted signs",
            StationaryEpochs(
                LeastSquares(np.ones((8, 1)), [1.0, -1.0] * 4), step_sizes=_STEPS, order="cyclic"
            ),
            "Where the signs alternate, cyclic order ends far closer to the minimum.",
        ),
        Counterexample(
            "one of the three",
            StationaryEpochs(_SORTED, step_sizes=_STEPS, order="shuffled_once"),
            "Shuffled once, the run keeps the bias of the order that it drew.",
        ),
    ),
)
