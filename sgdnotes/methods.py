"""The named methods: an oracle, an update and a schedule each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes.engine import Trace, run
from sgdnotes.oracles import FullGradient, Minibatch
from sgdnotes.problems import FiniteSum, check_problem
from sgdnotes.sampling import Sampling
from sgdnotes.schedules import Schedule
from sgdnotes.updates import BacktrackingStep, GradientStep, Update


def gradient_descent(
    problem: FiniteSum,
    x0: ArrayLike | None = None,
    *,
    steps: int,
    step_size: float | Schedule | None = None,
    line_search: bool | BacktrackingStep = False,
    **options: Any,
) -> Trace:
    r"""Gradient descent, :math:`x_{k+1} = x_k - \alpha_k\nabla f(x_k)`.

    Parameters
    ----------
    problem : FiniteSum
    x0 : array_like of shape (dim,) or (replicates, dim), optional
        Starting points; the origin when omitted.
    steps : int
    step_size : float or callable, optional
        By default :math:`1/L`; with a line search the first trial, by default 1.
    line_search : bool or BacktrackingStep, default False
        Whether to find each step by backtracking from `step_size`.
    **options
        `replicates`, `record`, `metrics`, `average`, `progress`, `callback`; see
        `sgdnotes.engine.run`.

    Returns
    -------
    Trace

    Notes
    -----
    Every step costs `n_samples` component gradients.  Source: lecture 02.

    Examples
    --------
    >>> from sgdnotes.problems import LeastSquares
    >>> trace = gradient_descent(LeastSquares([[1.0], [1.0]], [1.0, 3.0]), steps=1)
    >>> trace.x
    array([[2.]])
    """
    check_problem(problem)
    if not isinstance(line_search, (bool, BacktrackingStep)):
        raise ValueError(f"line_search: wanted a bool or a BacktrackingStep, got {line_search!r}")
    update: Update = GradientStep()
    if line_search:
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
    problem: FiniteSum,
    x0: ArrayLike | None = None,
    *,
    steps: int,
    step_size: float | Schedule,
    batch_size: int = 1,
    sampling: str | Sampling = "with_replacement",
    rng: int | np.random.Generator | None = None,
    **options: Any,
) -> Trace:
    r"""Minibatch SGD, :math:`x_{k+1} = x_k - \alpha_k\frac1B\sum_{i\in B_k}\nabla f_i(x_k)`.

    Parameters
    ----------
    problem : FiniteSum
    x0 : array_like of shape (dim,) or (replicates, dim), optional
        Starting points; the origin when omitted.
    steps : int
    step_size : float or callable
        A positive number or a schedule ``k -> positive number``.
    batch_size : int, default 1
    sampling : {"with_replacement", "without_replacement"} or Sampling
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
    return run(
        problem, oracle, GradientStep(), x0=x0, steps=steps, step_size=step_size, rng=rng, **options
    )
