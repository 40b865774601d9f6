"""A theorem as an object: assumptions, a claim to compare with what happens, counterexamples.

A theorem is checked on a *setting*: a problem together with whatever the statement quantifies
over (points, step sizes, a number of steps).  `Theorem.check` first checks the assumptions and
refuses, with the numbers, a setting that violates one; then it compares what is observed with
what is claimed and returns a `Verdict`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes._validate import FloatArray

Kind = Literal["inequality", "identity", "limit", "impossibility"]
S = TypeVar("S")

ROUNDING = 1e-9  # relative error that floating point may add to either side of a claim


class AssumptionError(ValueError):
    """A theorem was asked to hold on a setting that violates one of its assumptions."""


@dataclass(frozen=True)
class Evidence:
    """Whether an assumption holds on a setting, and the numbers that decide it.

    Attributes
    ----------
    holds : bool
    numbers : str
    """

    holds: bool
    numbers: str


@dataclass(frozen=True)
class Assumption(Generic[S]):
    """A condition on settings.

    Attributes
    ----------
    name : str
        A few words; counterexamples refer to it.
    statement : str
        The condition in TeX.
    examine : callable
        ``setting -> Evidence``.
    """

    name: str
    statement: str
    examine: Callable[[S], Evidence]


@dataclass(frozen=True, eq=False)
class Comparison:
    """The two sides of a claim along an index.

    Attributes
    ----------
    index, observed, bound : array_like of shape (m,)
        For an inequality the claim is ``observed <= bound``; for an identity equality; for a
        limit that `observed` ends within `tolerance` of `bound`; for an impossibility that
        `observed` exceeds `bound` somewhere.
    index_name, observed_name, bound_name : str
        Plain-text names for print and axes.
    tolerance : float
        For limits only.
    magnitude : array_like, default 0
        For inequalities and identities: the size of the numbers that were subtracted from each
        other to get the two sides; their rounding, 1e-13 of them, is forgiven.
    """

    index: ArrayLike
    observed: ArrayLike
    bound: ArrayLike
    index_name: str
    observed_name: str
    bound_name: str = "bound"
    tolerance: float = 0.0
    magnitude: ArrayLike = 0.0


@dataclass(frozen=True, eq=False)
class Counterexample(Generic[S]):
    """A setting that violates one assumption and where the claim fails.

    Attributes
    ----------
    drops : str
        Name of the violated assumption; all the others hold.
    setting : object
    story : str
        One sentence: what goes wrong.
    """

    drops: str
    setting: S
    story: str


@dataclass(frozen=True, eq=False)
class Verdict:
    """The outcome of comparing a claim with what happens.

    Attributes
    ----------
    label, title, kind : str
        Of the theorem.
    setting : str
        What it was checked on.
    index, observed, bound : ndarray of shape (m,)
    index_name, observed_name, bound_name : str
    holds : bool
    worst : float
        Inequality and impossibility: the largest ratio of observed to bound, where an excess that
        rounding explains counts as equality.  Identity: the
        largest difference relative to the largest value.  Limit: the distance left at the end.
    worst_at : float
        The index where that happens.
    """

    label: str
    title: str
    kind: Kind
    setting: str
    index: FloatArray
    observed: FloatArray
    bound: FloatArray
    index_name: str
    observed_name: str
    bound_name: str
    holds: bool
    worst: float
    worst_at: float

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        outcome = "holds" if self.holds else "FAILS"
        return (
            f"{self.label} {outcome} on {self.setting}\n"
            f"  {self.observed_name} against {self.bound_name}, "
            f"{len(self.index)} values of {self.index_name}\n"
            f"  {self._measure()}"
        )

    __repr__ = __str__

    def _measure(self) -> str:
        where = f"at {self.index_name} = {self.worst_at:g}"
        if self.kind == "identity":
            # Below these its digits are those of the processor.
            if self.worst <= 1e-12:
                return "largest relative difference below 1e-12"
            if self.holds:
                return f"largest relative difference below {ROUNDING:.0e}"
            return f"largest relative difference {self.worst:.1e} {where}"
        if self.kind == "limit":
            return f"distance from the limit at the end: {_rounded(self.worst)} ({where})"
        text = f"largest ratio {_rounded(self.worst)} {where}"
        if self.worst_at != self.index[-1]:
            last = _ratio(self.observed[-1:], self.bound[-1:])[0]
            text += f"; {_rounded(last)} at {self.index_name} = {self.index[-1]:g}"
        return text


@dataclass(frozen=True)
class Theorem(Generic[S]):
    """A numbered statement of the book.

    Attributes
    ----------
    label : str
        The label of the statement's box in the book.
    title : str
    kind : {"inequality", "identity", "limit", "impossibility"}
    lecture : str
        The lecture that states and proves it, such as "04".
    statement : str
        The claim in TeX.
    assumptions : tuple of Assumption
    compare : callable
        ``setting -> Comparison``.
    tightness : str
        How much the claim gives away, in words.
    counterexamples : tuple of Counterexample
        One for each assumption that is known to be needed.
    references : tuple of str
        Keys of the bibliography; empty where the statement and its proof are the course's own.
    proved : bool, default True
        False for a result that the book cites without proof.
    """

    label: str
    title: str
    kind: Kind
    lecture: str
    statement: str
    assumptions: tuple[Assumption[S], ...]
    compare: Callable[[S], Comparison]
    tightness: str
    counterexamples: tuple[Counterexample[S], ...] = ()
    references: tuple[str, ...] = ()
    proved: bool = True

    def __str__(self) -> str:
        lines = [self._heading()]
        for title, entries in self._sections().items():
            lines += [title, *(f"  {entry}" for entry in entries)]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        """Return the same for a notebook, where the formulas are set."""
        lines = [f"**{self._heading()}**"]
        for title, entries in self._sections().items():
            lines += [f"\n*{title}*\n", *(f"- {entry}" for entry in entries)]
        return "\n".join(lines)

    def _heading(self) -> str:
        return f"{self.title} ({self.label}, {self.kind})"

    def _sections(self) -> dict[str, list[str]]:
        references = ", ".join(self.references) or "this course"
        proof = f"lecture {self.lecture}" if self.proved else f"not proved here; see {references}"
        return {
            "Statement": [self.statement],
            "Assumptions": [
                f"{a.name}: {a.statement} [{self.necessity(a.name)}]" for a in self.assumptions
            ],
            "Proof in": [proof],
            "Tightness": [self.tightness],
            "References": [references],
        }

    def check(self, setting: S) -> Verdict:
        """Check the claim on a setting that satisfies the assumptions.

        Raises
        ------
        AssumptionError
            Naming the violated assumption and the numbers.
        """
        for assumption in self.assumptions:
            evidence = assumption.examine(setting)
            if not evidence.holds:
                raise AssumptionError(
                    f"{self.label}: the assumption “{assumption.name}” does not hold on "
                    f"{setting}: {evidence.numbers}"
                )
        return self._verdict(setting)

    def refute(self, counterexample: Counterexample[S]) -> Verdict:
        """Compare both sides on a counterexample, where just one assumption is violated.

        Raises
        ------
        ValueError
            If the assumption that the counterexample drops holds, or another one does not.
        """
        for assumption in self.assumptions:
            evidence = assumption.examine(counterexample.setting)
            if evidence.holds == (assumption.name == counterexample.drops):
                expected = "be violated" if evidence.holds else "hold"
                raise ValueError(
                    f"counterexample: wanted “{assumption.name}” to {expected}, "
                    f"got {evidence.numbers}"
                )
        return self._verdict(counterexample.setting)

    def necessity(self, assumption: str) -> str:
        """Say whether an assumption is known to be needed."""
        if any(example.drops == assumption for example in self.counterexamples):
            return "needed (counterexample)"
        return "sufficient, necessity not claimed"

    def _verdict(self, setting: S) -> Verdict:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            comparison = self.compare(setting)
            index, observed, bound = np.broadcast_arrays(
                np.asarray(comparison.index, dtype=float),
                np.asarray(comparison.observed, dtype=float),
                np.asarray(comparison.bound, dtype=float),
            )
            rounding = 1e-13 * np.asarray(comparison.magnitude)
            holds, worst, at = _judge(self.kind, observed, bound, comparison.tolerance, rounding)
        return Verdict(
            label=self.label,
            title=self.title,
            kind=self.kind,
            setting=str(setting),
            index=index,
            observed=observed,
            bound=bound,
            index_name=comparison.index_name,
            observed_name=comparison.observed_name,
            bound_name=comparison.bound_name,
            holds=holds,
            worst=worst,
            worst_at=float(index[at]),
        )


def _judge(
    kind: Kind, observed: FloatArray, bound: FloatArray, tolerance: float, rounding: FloatArray
) -> tuple[bool, float, int]:
    """Return whether a claim of this kind holds, how far it is from failing, and where."""
    if kind == "limit":
        left = abs(float(observed[-1] - bound[-1]))
        return bool(left <= tolerance), left, len(observed) - 1
    if kind == "identity":
        difference = np.maximum(np.abs(observed - bound) - rounding, 0.0)
        scale = max(np.abs(bound).max(), np.abs(observed).max(), np.finfo(float).tiny)
        at = int(difference.argmax())
        worst = float(difference[at] / scale)
        return worst <= ROUNDING, worst, at
    ratio = _ratio(observed, bound)
    if kind == "impossibility":
        at = int(ratio.argmax())
        defined = not (np.isnan(observed).any() or np.isnan(bound).any())
        return bool(defined and ratio[at] > 1 + ROUNDING), float(ratio[at]), at
    # A run loses digits to the largest value that it has come through, not to those ahead.
    passed = np.maximum.accumulate(np.where(np.isfinite(observed), np.abs(observed), 0.0))
    slack = ROUNDING * np.abs(bound) + 1e-13 * passed + rounding
    within = observed <= bound + slack
    ratio = np.where(within, np.minimum(ratio, 1.0), ratio)
    # The first of those that tie up to rounding, lest another processor name another index.
    at = int((ratio >= ratio.max() * (1 - ROUNDING)).argmax())
    return bool(within.all()), float(ratio[at]), at


def _ratio(observed: FloatArray, bound: FloatArray) -> FloatArray:
    """Return observed / bound with 0/0 = 0; a bound below zero counts as violated without limit."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = observed / bound
    ratio = np.where((observed > bound) & (bound <= 0), np.inf, ratio)
    return np.where(np.isnan(ratio), np.where((observed == 0) & (bound == 0), 0.0, np.inf), ratio)


def _rounded(value: float) -> str:
    if 0 < value < 1e-12:
        return "below 1e-12"  # its digits are those of the processor
    return f"{value:.3f}" if 0.1 <= value < 1000 else f"{value:.2e}"
