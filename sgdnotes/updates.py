"""Update rules: from a point and a gradient to the next point.

An update that must remember something carries it as explicit state: `init` makes the state at the
start, `apply` returns the next point together with the next state.  Points and states are replaced
and never changed in place: the engine may return to earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.problems import FiniteSum


class Update(Protocol):
    """Something that moves points along gradients."""

    def init(self, problem: FiniteSum, x: FloatArray) -> Any:
        """Return the state at the start, None for an update without memory."""

    def apply(
        self,
        problem: FiniteSum,
        x: FloatArray,
        gradient: FloatArray,
        step_size: float,
        state: Any,
    ) -> tuple[FloatArray, Any]:
        """Return the next points, shape ``(replicates, dim)``, and the next state."""


@dataclass(frozen=True)
class GradientStep:
    r"""The step :math:`x^+ = x - \alpha g`."""

    def init(self, problem: FiniteSum, x: FloatArray) -> None:
        """Return None: nothing is remembered."""

    def apply(
        self,
        problem: FiniteSum,
        x: FloatArray,
        gradient: FloatArray,
        step_size: float,
        state: None,
    ) -> tuple[FloatArray, None]:
        """Return the points after one step."""
        return x - step_size * gradient, None


@dataclass(frozen=True)
class BacktrackingStep:
    r"""A gradient step whose size is found by backtracking line search.

    Starting from the scheduled step size, the trial step is multiplied by `shrink` until Armijo's
    condition :math:`f(x - \alpha g) \le f(x) - c\,\alpha\|g\|^2` holds.  It is meant for full
    gradients: along a stochastic gradient the condition may fail for every step.

    Parameters
    ----------
    decrease : float, default 0.5
        The constant :math:`c \in (0, 1)`.
    shrink : float, default 0.5
        Factor in (0, 1).
    max_trials : int, default 60
        After so many trials the step is taken as it is, shrunk once more.
    """

    decrease: float = 0.5
    shrink: float = 0.5
    max_trials: int = 60

    def __post_init__(self) -> None:
        for name in ("decrease", "shrink"):
            value = _validate.real(name, getattr(self, name), above=0)
            if value >= 1:
                raise ValueError(f"{name}: wanted a number below 1, got {value:g}")
        _validate.integer("max_trials", self.max_trials, at_least=1)

    def init(self, problem: FiniteSum, x: FloatArray) -> FloatArray:
        """Return the accepted steps so far: none, shape ``(replicates,)``."""
        return np.full(len(x), np.nan)

    def apply(
        self,
        problem: FiniteSum,
        x: FloatArray,
        gradient: FloatArray,
        step_size: float,
        state: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the points after one step and the accepted step sizes, one a replicate."""
        value = problem.value(x)
        slope = self.decrease * (gradient**2).sum(axis=1)
        accepted = np.full(len(x), step_size)
        for _ in range(self.max_trials):
            trial = x - accepted[:, None] * gradient
            too_long = ~(problem.value(trial) <= value - accepted * slope)
            if not too_long.any():
                break
            accepted = np.where(too_long, self.shrink * accepted, accepted)
        return x - accepted[:, None] * gradient, accepted
