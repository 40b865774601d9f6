"""Random settings for the theorems of lecture 15."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sgdnotes.constraints import SparsePolytope
from sgdnotes.theorems import SparseOracle, SparseRun

Rng = np.random.Generator


def sparse_oracle(rng: Rng) -> SparseOracle:
    """Linear functions, some with ties and zeros, over polytopes of any sparsity."""
    dim = int(rng.integers(1, 8))
    gradients = rng.standard_normal((20, dim)) * 10 ** rng.uniform(-2, 2)
    gradients[:6] = rng.integers(-2, 3, (6, dim))
    return SparseOracle(int(rng.integers(1, dim + 1)), float(10 ** rng.uniform(-2, 2)), gradients)


def sparse_run(rng: Rng) -> SparseRun:
    """Frank–Wolfe answers to gradients that settle down, from a vertex, zero or any point."""
    dim, steps = int(rng.integers(2, 30)), int(rng.integers(1, 60))
    polytope = SparsePolytope(int(rng.integers(1, dim + 1)), float(10 ** rng.uniform(-2, 2)))
    mean, noise = rng.standard_normal(dim), rng.standard_normal((steps, dim))
    answers = polytope.linear_minimizer(mean + noise * rng.uniform(0, 2, (steps, 1)) ** 3)
    start = {
        "vertex": polytope.linear_minimizer(rng.standard_normal(dim)),
        "zero": np.zeros(dim),
        "any": polytope.random_point(rng, (dim,)),
    }[str(rng.choice(["vertex", "zero", "any"]))]
    largest = float(rng.choice([1.0, rng.uniform(0, 1)]))
    return SparseRun(
        polytope.sparsity, polytope.radius, start, answers, rng.uniform(0, largest, steps)
    )


PRUNING: dict[str, Callable[[Rng], Any]] = {
    "lem-sparse-polytope": sparse_oracle,
    "prop-sparse-iterates": sparse_run,
}
