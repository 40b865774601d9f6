"""The named methods: an oracle, an update and a schedule each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.constraints import Constraint
from sgdnotes.engine import Metric, Trace, record_steps, run
from sgdnotes.oracles import (
    FullGradient,
    LinearizedMinibatch,
    Minibatch,
    Oracle,
    check_oracle,
    linear_model,
)
from sgdnotes.problems import Objective, check_objective
from sgdnotes.sampling import Sampling
from sgdnotes.schedules import BatchSchedule, Schedule, frank_wolfe_steps
from sgdnotes.updates import (
    BacktrackingStep,
    FrankWolfeStep,
    GradientStep,
    Update,
    frank_wolfe_gap,
)


def gradient_descent(
    problem: Objective,
    x0: ArrayLike | None = None,
    *,
    steps: int,
    step_size: float | ArrayLike | Schedule | None = None,
    line_search: bool | BacktrackingStep = False,
    update: Update = GradientStep(),
    **options: Any,
) -> Trace:
    r"""Gradient descent, :math:`x_{k+1} = x_k - \alpha_k\nabla f(x_k)`.

    Parameters
    ----------
    problem : Objective
    x0 : array_like of shape (dim,) or (replicates, dim), optional
        Starting points; the origin when omitted.
    steps : int
    step_size : float, array_like of shape (replicates,) or callable, optional
        By default :math:`1/L`; with a line search the first trial, by default 1.
    line_search : bool or BacktrackingStep, default False
        Whether to find each step by backtracking from `step_size`.
    update : Update, default GradientStep()
        What to do with the gradient: `HeavyBall`, `Nesterov`, `ProjectedStep`, ...
    **options
        `replicates`, `record`, `metrics`, `average`, `progress`, `callback`; see
        `sgdnotes.engine.run`.

    Returns
    -------
    Trace

    Notes
    -----
    Every step on a finite sum costs `n_samples` component gradients.  Source: lecture 02.

    Examples
    --------
    >>> from sgdnotes.problems import LeastSquares
    >>> trace = gradient_descent(LeastSquares([[1.0], [1.0]], [1.0, 3.0]), steps=1)
    >>> trace.x
    array([[2.]])
    """
    check_objective(problem)
    if not isinstance(line_search, (bool, BacktrackingStep)):
        raise ValueError(f"line_search: wanted a bool or a BacktrackingStep, got {line_search!r}")
    if line_search:
        if update != GradientStep():
            raise ValueError(f"update: wanted GradientStep() with a line search, got {update!r}")
        update = line_search if isinstance(line_search, BacktrackingStep) else BacktrackingStep()
        step_size = 1.0 if step_size is None else step_size
    elif step_size is None:
        if not 0 < problem.smoothness < np.inf:
            raise ValueError(
                f"step_size: wanted a number, because the gradient of {problem.name} has no "
                f"positive Lipschitz constant to take 1/L from"
            )
        step_size = 1 / problem.smoothness
    return run(problem, FullGradient(), update, x0=x0, steps=steps, step_size=step_size, **options)


def sgd(
    problem: Objective,
    x0: ArrayLike | None = None,
    *,
    steps: int,
    step_size: float | ArrayLike | Schedule,
    batch_size: int | BatchSchedule = 1,
    sampling: str | Sampling = "with_replacement",
    update: Update = GradientStep(),
    rng: int | np.random.Generator | None = None,
    **options: Any,
) -> Trace:
    r"""Minibatch SGD, :math:`x_{k+1} = x_k - \alpha_k\frac1B\sum_{i\in B_k}\nabla f_i(x_k)`.

    Parameters
    ----------
    problem : Objective
    x0 : array_like of shape (dim,) or (replicates, dim), optional
        Starting points; the origin when omitted.
    steps : int
    step_size : float, array_like of shape (replicates,) or callable
        A positive number, one for each replicate, or a schedule ``k -> positive number``.
    batch_size : int or callable, default 1
        A number or a schedule ``k -> number``.
    sampling : str or Sampling, default "with_replacement"
        A name, such as "without_replacement" or "reshuffled"; see `sgdnotes.sampling`.
    update : Update, default GradientStep()
        What to do with the gradient: `HeavyBall`, `Nesterov`, `ProjectedStep`, ...
    rng : None, int or numpy.random.Generator
    **options
        `replicates`, `record`, `metrics`, `average`, `progress`, `callback`; see
        `sgdnotes.engine.run`.

    Returns
    -------
    Trace

    Notes
    -----
    Every step costs `batch_size` component gradients.  Source: lecture 03.

    Examples
    --------
    >>> from sgdnotes.problems import LeastSquares
    >>> problem = LeastSquares([[1.0], [1.0]], [1.0, 3.0])
    >>> sgd(problem, steps=100, step_size=0.1, replicates=50, rng=0).x.shape
    (50, 1)
    """
    oracle = Minibatch(batch_size, sampling)
    return run(problem, oracle, update, x0=x0, steps=steps, step_size=step_size, rng=rng, **options)


def frank_wolfe(
    problem: Objective,
    constraint: Constraint,
    x0: ArrayLike | None = None,
    *,
    steps: int,
    step_size: float | ArrayLike | Schedule | None = None,
    short_steps: bool | float = False,
    batch_size: int | BatchSchedule | None = None,
    sampling: str | Sampling | None = None,
    oracle: Oracle | None = None,
    metrics: Sequence[str] | Mapping[str, Metric] | None = None,
    rng: int | np.random.Generator | None = None,
    **options: Any,
) -> Trace:
    r"""Frank–Wolfe, :math:`x_{k+1} = x_k + \gamma_k(v_k - x_k)`, with exact or other gradients.

    Here :math:`v_k` minimises :math:`\langle g_k, v\rangle` over a bounded convex set C.

    Parameters
    ----------
    problem : Objective
    constraint : Constraint
        C.
    x0 : array_like of shape (dim,) or (replicates, dim), optional
        Starting points in C; the one nearest to the origin when omitted.
    steps : int
    step_size : float, array_like of shape (replicates,) or callable, optional
        Numbers in (0, 1]; by default 2/(k + 2), with short steps 1.
    short_steps : bool or float, default False
        Whether to shorten each step to where the quadratic model with curvature L is least; a
        number is taken for L in place of the problem's `smoothness`.
    batch_size : int or callable, optional
        Take minibatch gradients, of a size that is given by a number or a schedule.
    sampling : str or Sampling, optional
        How the samples of a batch are chosen; "with_replacement" when omitted.
    oracle : Oracle, optional
        Take the estimates of this oracle: `Momentum`, `Snapshot`, `SlopeTable`, `Delayed`, ...
        With neither `batch_size` nor `oracle` the gradients are exact.
    metrics : sequence of str, or mapping of str to callable, optional
        What to record; the value of f and the gap :math:`\max_{v\in C}\langle\nabla f(x), x -
        v\rangle`, under the names "value" and "frank_wolfe_gap", when omitted.
    rng : None, int or numpy.random.Generator
    **options
        `replicates`, `record`, `average`, `progress`, `callback`; see `sgdnotes.engine.run`.

    Returns
    -------
    Trace

    Notes
    -----
    Every step minimises one linear function over C and costs what the oracle says: `n_samples`
    component gradients for exact ones, `batch_size` for minibatches.  For other updates, such as
    `AdaptiveFrankWolfeStep`, call `sgdnotes.engine.run`.  Source: lectures 12 and 13.

    Examples
    --------
    >>> from sgdnotes.constraints import L1Ball
    >>> from sgdnotes.problems import LeastSquares
    >>> problem = LeastSquares([[1.0, 0.0], [0.0, 1.0]], [3.0, 0.0])
    >>> frank_wolfe(problem, L1Ball(1.0), steps=1).x
    array([[1., 0.]])
    """
    check_objective(problem)
    if oracle is not None:
        check_oracle(oracle)
        for name, value in {"batch_size": batch_size, "sampling": sampling}.items():
            if value is not None:
                raise ValueError(f"{name}: wanted None beside an oracle, got {value!r}")
    elif batch_size is not None:
        oracle = Minibatch(batch_size, "with_replacement" if sampling is None else sampling)
    elif sampling is not None:
        raise ValueError(f"sampling: wanted a batch_size beside it, got {sampling!r} alone")
    else:
        oracle = FullGradient()
    curvature: float | None = None
    if not isinstance(short_steps, (bool, np.bool_)):
        curvature = _validate.real("short_steps", short_steps, above=0)
    elif short_steps:
        curvature = problem.smoothness
        if not 0 < curvature < np.inf:
            raise ValueError(
                f"short_steps: wanted a number, because the gradient of {problem.name} has no "
                f"positive Lipschitz constant"
            )
    update = FrankWolfeStep(constraint, curvature)
    if step_size is None:
        step_size = frank_wolfe_steps() if curvature is None else 1.0
    if x0 is None:
        x0 = constraint.project(np.zeros(problem.dim))
    if metrics is None:
        metrics = {
            "value": lambda problem, x: problem.value(x),
            "frank_wolfe_gap": lambda problem, x: frank_wolfe_gap(problem, constraint, x),
        }
    return run(
        problem,
        oracle,
        update,
        x0=x0,
        steps=steps,
        step_size=step_size,
        metrics=metrics,
        rng=rng,
        **options,
    )


def two_phase_newton(
    problem: Objective,
    x0: ArrayLike | None = None,
    *,
    steps: int,
    support_step: float | ArrayLike,
    newton_step: float | ArrayLike,
    batch_size: int = 1,
    sampling: str | Sampling = "with_replacement",
    replicates: int = 1,
    rng: int | np.random.Generator | None = None,
    record: int | str | Sequence[int] = 60,
    callback: Callable[[Trace], None] | None = None,
    **options: Any,
) -> Trace:
    r"""Run the two-phase Newton-like method of Bach and Moulines on a linear model.

    The first half of the steps is SGD with the constant step `support_step`; the average of its
    iterates is the *support point*.  The second half is SGD with the constant step `newton_step`
    on the quadratic model of the problem at the support point, whose minimiser is where a Newton
    step would lead.  The **answer is** ``trace.x_average``, the average of the iterates of the
    second phase, and not the last iterate ``trace.x``.

    Parameters
    ----------
    problem : LinearModel
    x0 : array_like of shape (dim,) or (replicates, dim), optional
        Starting points; the origin when omitted.
    steps : int
        Steps of both phases together, at least 2.
    support_step, newton_step : float or array_like of shape (replicates,)
        Constant step sizes.  With :math:`R = \max_i\|a_i\|` theory wants
        :math:`C/(R^2\sqrt{\text{steps}/2})` for the first and :math:`C'/R^2` for the second.
    batch_size : int, default 1
    sampling : {"with_replacement", "without_replacement"} or Sampling
    replicates : int, default 1
    rng : None, int or numpy.random.Generator
    record : int, "all" or sequence of int, default 60
        When to record; the end of the first phase is always among the records.
    callback : callable, optional
        Called with the trace so far after each record; may raise ``StopIteration`` to stop.
    **options
        `metrics`, `progress`; see `sgdnotes.engine.run`.

    Returns
    -------
    Trace
        Of both phases, the steps counted through.  ``history["x_average"]`` holds the average of
        the iterates of the phase that a record belongs to.  A run that diverges or is stopped in
        the first phase ends there.

    Notes
    -----
    Every step of either phase costs `batch_size` component gradients and :math:`O(p)` memory.
    Source: lecture 06.

    Examples
    --------
    >>> from sgdnotes.problems import LogisticRegression
    >>> problem = LogisticRegression([[1.0], [2.0], [1.5]], [1.0, -1.0, 1.0], regularization=0)
    >>> trace = two_phase_newton(problem, steps=100, support_step=0.1, newton_step=0.2, rng=0)
    >>> trace.x_average.shape, trace.n_gradients
    ((1, 1), 100)
    """
    linear_model(problem)  # the second phase needs one; refused before the first begins
    if not (callback is None or callable(callback)):
        raise ValueError(f"callback: wanted a function of the trace, got {callback!r}")
    steps = _validate.integer("steps", steps, at_least=2)
    batch_size = _validate.integer("batch_size", batch_size, at_least=1)
    replicates = _validate.integer("replicates", replicates, at_least=1)
    sizes = {
        "support_step": _constant_step("support_step", support_step, replicates),
        "newton_step": _constant_step("newton_step", newton_step, replicates),
    }
    generators = _validate.generator(rng).spawn(2)  # one each, as `replicates` shall not matter
    half, records = steps // 2, record_steps(steps, record)

    def during_first(trace: Trace) -> None:
        if callback is not None and trace.nit < half:  # its end is the beginning of the second
            callback(trace)

    def during_second(trace: Trace) -> None:
        if callback is not None:
            callback(_joined(support, trace))

    support = run(
        problem,
        Minibatch(batch_size, sampling),
        GradientStep(),
        x0=x0,
        steps=half,
        step_size=sizes["support_step"],
        replicates=replicates,
        rng=generators[0],
        record=records[records <= half].tolist(),
        average=True,
        callback=during_first,
        **options,
    )
    if support.nit < half:
        return replace(support, message=f"first phase: {support.message}")

    newton = run(
        problem,
        LinearizedMinibatch(batch_size, sampling, anchor="start"),
        GradientStep(),
        x0=support.x_average,
        steps=steps - half,
        step_size=sizes["newton_step"],
        replicates=replicates,
        rng=generators[1],
        record=(records[records > half] - half).tolist(),
        average=True,
        callback=during_second,
        **options,
    )
    return _joined(support, newton)


def online_newton(
    problem: Objective,
    x0: ArrayLike | None = None,
    *,
    steps: int,
    step_size: float | ArrayLike,
    batch_size: int = 1,
    sampling: str | Sampling = "with_replacement",
    rng: int | np.random.Generator | None = None,
    **options: Any,
) -> Trace:
    r"""Run the Newton-like method in one phase: the quadratic model follows the average.

    Every step is a step of SGD on the quadratic model at the average :math:`\bar x_k` of the
    iterates so far, the present one included.  The **answer is** ``trace.x_average``.

    Parameters
    ----------
    problem : LinearModel
    x0 : array_like of shape (dim,) or (replicates, dim), optional
        Starting points; the origin when omitted.
    steps : int
    step_size : float or array_like of shape (replicates,)
        Constant, of the order of :math:`1/R^2` with :math:`R = \max_i\|a_i\|`.
    batch_size : int, default 1
    sampling : {"with_replacement", "without_replacement"} or Sampling
    rng : None, int or numpy.random.Generator
    **options
        `replicates`, `record`, `metrics`, `progress`, `callback`; see `sgdnotes.engine.run`.

    Returns
    -------
    Trace

    Notes
    -----
    Every step costs `batch_size` component gradients and :math:`O(p)` memory.
    Source: lecture 06.

    Examples
    --------
    >>> from sgdnotes.problems import LogisticRegression
    >>> problem = LogisticRegression([[1.0], [2.0], [1.5]], [1.0, -1.0, 1.0], regularization=0)
    >>> online_newton(problem, steps=100, step_size=0.2, replicates=5, rng=0).x_average.shape
    (5, 1)
    """
    oracle = LinearizedMinibatch(batch_size, sampling, anchor="average")
    return run(
        problem,
        oracle,
        GradientStep(),
        x0=x0,
        steps=steps,
        step_size=step_size,
        rng=rng,
        average=True,
        **options,
    )


def _constant_step(name: str, value: float | ArrayLike, replicates: int) -> float | FloatArray:
    if np.ndim(value) == 0:
        return _validate.real(name, value, above=0)  # type: ignore[arg-type]
    each = _validate.finite_array(name, value, ndim=1)
    if each.shape != (replicates,) or not (each > 0).all():
        raise ValueError(
            f"{name}: wanted one positive number for each of {replicates} replicates, got {value!r}"
        )
    return each


def _joined(first: Trace, second: Trace) -> Trace:
    """Return one trace of two phases; the start of the second is left out, it ends the first."""
    return replace(
        second,
        nit=first.nit + second.nit,
        message=f"second phase: {second.message}",
        steps=np.concatenate([first.steps, first.nit + second.steps[1:]]),
        history={
            name: np.concatenate([values, second.history[name][1:]])
            for name, values in first.history.items()
        },
        n_gradients=first.n_gradients + second.n_gradients,
    )
