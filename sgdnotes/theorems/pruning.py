r"""Pruning by Frank–Wolfe (lecture 15): the k-sparse polytope, and what its iterates consist of."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.constraints import SparsePolytope
from sgdnotes.theorems.base import Assumption, Comparison, Counterexample, Evidence, Theorem

MAX_VERTICES = 2**16


def sparse_vertices(dim: int, sparsity: int, radius: float) -> FloatArray:
    r"""Return all vectors with `sparsity` entries :math:`\pm\tau`, shape ``(count, dim)``.

    Parameters
    ----------
    dim, sparsity : int
    radius : float
        :math:`\tau`.
    """
    if math.comb(dim, sparsity) * 2**sparsity > MAX_VERTICES:
        raise ValueError(f"dim: wanted at most {MAX_VERTICES} vertices, got more with {dim}")
    places = np.array(list(itertools.combinations(range(dim), sparsity)))
    signs = np.array(list(itertools.product([-radius, radius], repeat=sparsity)))
    vertices = np.zeros((len(places), len(signs), dim))
    np.put_along_axis(vertices, np.tile(places[:, None], (1, len(signs), 1)), signs[None], axis=-1)
    return vertices.reshape(-1, dim)


# ---- the oracle ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SparseOracle:
    """Linear functions to be minimised over a k-sparse polytope.

    Attributes
    ----------
    sparsity : float
        K; the theorem asks for an integer.
    radius : float
    gradients : array_like of shape (m, dim)
    """

    sparsity: float
    radius: float
    gradients: ArrayLike

    @cached_property
    def functions(self) -> FloatArray:
        """The gradients as an array."""
        return _validate.finite_array("gradients", self.gradients, ndim=2)

    @property
    def least_listed(self) -> FloatArray:
        """The least values over the vectors with K (rounded down) entries, all of them tried."""
        rows = self.functions
        vertices = sparse_vertices(rows.shape[1], int(self.sparsity), self.radius)
        return np.asarray((rows @ vertices.T).min(axis=1))

    @property
    def least_described(self) -> FloatArray:
        r"""The least values over :math:`\|x\|_\infty \le \tau`, :math:`\|x\|_1 \le K\tau`.

        By the duality of linear programs they are :math:`-\tau\min_{\lambda\ge0}\{K\lambda +
        \sum_j\max(|g_j| - \lambda, 0)\}`, whose kinks are at 0 and the :math:`|g_j|`.
        """
        size = np.abs(self.functions)
        levels = np.concatenate([np.zeros_like(size[:, :1]), size], axis=1)
        above = np.maximum(size[:, None, :] - levels[:, :, None], 0.0).sum(axis=-1)
        return np.asarray(-self.radius * (self.sparsity * levels + above).min(axis=1))

    @property
    def answered(self) -> FloatArray:
        """The values at the oracle's answers."""
        oracle = SparsePolytope(int(self.sparsity), self.radius)
        return np.asarray(np.vecdot(self.functions, oracle.linear_minimizer(self.functions)))

    def __str__(self) -> str:
        count, dim = self.functions.shape
        return f"{count} linear functions, K = {self.sparsity:g} of {dim}, τ = {self.radius:g}"


def _whole(setting: SparseOracle) -> Evidence:
    dim = setting.functions.shape[1]
    holds = float(setting.sparsity).is_integer() and 1 <= setting.sparsity <= dim
    return Evidence(holds, f"K = {setting.sparsity:g}, d = {dim}")


def _oracle(setting: SparseOracle) -> Comparison:
    observed = np.concatenate([setting.least_listed, setting.least_described])
    return Comparison(
        index=np.arange(len(observed)),
        observed=observed,
        bound=np.tile(setting.answered, 2),
        index_name="function",
        observed_name="least value over the vertices, then under the inequalities",
        bound_name="value at the answer",
        magnitude=setting.radius * np.abs(setting.functions).sum(axis=1).max(),
    )


sparse_polytope: Theorem[SparseOracle] = Theorem(
    label="lem-sparse-polytope",
    title="The k-sparse polytope",
    kind="identity",
    lecture="15",
    statement=r"the convex hull of the vectors with $K$ entries $\pm\tau$ and zeros otherwise is "
    r"$\{\|x\|_\infty \le \tau, \|x\|_1 \le K\tau\}$, and $-\tau\operatorname{sign}g_j$ on the $K$ "
    r"largest $|g_j|$ minimises $\langle g, \cdot\rangle$ over it",
    assumptions=(Assumption("whole K", r"$K \in \{1, \dots, d\}$", _whole),),
    compare=_oracle,
    tightness="An identity.",
    counterexamples=(
        Counterexample(
            "whole K",
            SparseOracle(1.5, 1.0, [[2.0, 1.0, 0.5]]),
            "With K = 1.5 the inequalities leave room for one entry and a half, and vectors with "
            "one entry do not fill it.",
        ),
    ),
)


# ---- iterates -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SparseRun:
    r"""Steps :math:`x_{t+1} = (1-\gamma_t)x_t + \gamma_tv_t` towards given points.

    Attributes
    ----------
    sparsity : int
    radius : float
    start : array_like of shape (dim,)
    answers : array_like of shape (steps, dim)
        v_0, v_1, ...
    step_sizes : array_like of shape (steps,)
    """

    sparsity: int
    radius: float
    start: ArrayLike
    answers: ArrayLike
    step_sizes: ArrayLike

    @cached_property
    def arrays(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The start, the answers and the step sizes as arrays."""
        start = _validate.finite_array("start", self.start, ndim=1)
        answers = _validate.finite_array("answers", self.answers, ndim=2)
        sizes = _validate.finite_array("step_sizes", self.step_sizes, ndim=1)
        if answers.shape != (len(sizes), len(start)):
            raise ValueError(
                f"answers: wanted shape {(len(sizes), len(start))}, got {answers.shape}"
            )
        return start, answers, sizes

    @cached_property
    def last(self) -> FloatArray:
        """The point after all steps."""
        x, answers, sizes = self.arrays
        for gamma, v in zip(sizes, answers, strict=True):
            x = (1 - gamma) * x + gamma * v
        return x

    @cached_property
    def supports(self) -> FloatArray:
        """How many coordinates the answers from step s on use, for s = 0, ..., `steps`."""
        used = np.flip(np.cumsum(np.flip(self.arrays[1] != 0, axis=0), axis=0), axis=0) > 0
        return np.append(used.sum(axis=1), 0)

    @cached_property
    def kept(self) -> FloatArray:
        r"""The products :math:`\pi_s = \prod_{t\ge s}(1-\gamma_t)` for s = 0, ..., `steps`."""
        return np.append(np.flip(np.cumprod(np.flip(1 - self.arrays[2]))), 1.0)

    @cached_property
    def pruned(self) -> FloatArray:
        """The l1 norm of what is lost if as many entries are kept as `supports` says."""
        size = np.sort(np.abs(self.last))  # the smallest first, so that tiny sums are exact
        lost = np.append(0.0, np.cumsum(size))
        return np.asarray(lost[len(size) - self.supports])

    def __str__(self) -> str:
        start, _, sizes = self.arrays
        return (
            f"{len(sizes)} steps in the {self.sparsity}-sparse polytope of radius "
            f"{self.radius:g}, dim {len(start)}"
        )


def _inside(setting: SparseRun, points: FloatArray) -> Evidence:
    holds = SparsePolytope(setting.sparsity, setting.radius).contains(points).all()
    largest, total = np.abs(points).max(initial=0), np.abs(points).sum(axis=-1).max(initial=0)
    return Evidence(bool(holds), f"largest entry {largest:g}, largest l1 norm {total:g}")


def _fractions(setting: SparseRun) -> Evidence:
    sizes = setting.arrays[2]
    low, high = sizes.min(initial=0.0), sizes.max(initial=0.0)
    return Evidence(bool(low >= 0 and high <= 1), f"step sizes from {low:g} to {high:g}")


def _pruned_mass(setting: SparseRun) -> Comparison:
    return Comparison(
        index=np.arange(len(setting.kept)),
        observed=setting.pruned,
        bound=setting.sparsity * setting.radius * setting.kept,
        index_name="s",
        observed_name="l1 norm lost by keeping |S_s| entries",
        bound_name="K τ Π_{t ≥ s} (1 − γ_t)",
    )


sparse_iterates: Theorem[SparseRun] = Theorem(
    label="prop-sparse-iterates",
    title="What pruning a Frank–Wolfe iterate costs",
    kind="inequality",
    lecture="15",
    statement=r"if $v_s, \dots, v_{T-1}$ together use the coordinates $S_s$, then $x_T$ with all "
    r"but its $|S_s|$ largest entries set to zero differs from $x_T$ by at most "
    r"$K\tau\prod_{t=s}^{T-1}(1-\gamma_t)$ in the $\ell_1$ norm",
    assumptions=(
        Assumption(
            "start in the set",
            r"$x_0 \in P_{K,\tau}$",
            lambda setting: _inside(setting, setting.arrays[0]),
        ),
        Assumption(
            "answers in the set",
            r"$v_t \in P_{K,\tau}$ for all $t$",
            lambda setting: _inside(setting, setting.arrays[1]),
        ),
        Assumption("fractions", r"$\gamma_t \in [0, 1]$ for all $t$", _fractions),
    ),
    compare=_pruned_mass,
    tightness=r"Equality where $\|x_s\|_1 = K\tau$ and the later answers leave the coordinates of "
    r"$x_s$ alone, as long as these are the smaller ones.",
    counterexamples=(
        Counterexample(
            "start in the set",
            SparseRun(1, 1.0, [5.0, 0.0, 0.0], [[0.0, 1.0, 0.0]] * 2, [0.5, 0.5]),
            "What is left of a large start counts for more than the answers.",
        ),
        Counterexample(
            "answers in the set",
            SparseRun(1, 1.0, [0.0, 0.0], [[0.0, 4.0]], [0.5]),
            "An answer of four times the radius leads out of the set.",
        ),
        Counterexample(
            "fractions",
            SparseRun(1, 1.0, [1.0, 0.0], [[0.0, 1.0]], [-1.0]),
            "A step backwards leads away from the answer and out of the set.",
        ),
    ),
)
