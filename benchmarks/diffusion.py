r"""Three ways to draw the noise of stochastic gradient flow.

A step of Euler–Maruyama needs a normal vector of covariance :math:`Q(\beta)`, which differs from
replicate to replicate.  The library multiplies by a factor of Q in closed form and never forms Q.
Its peers form Q and take a root of it: the symmetric one from eigenvectors, or the triangular one
of Cholesky, which wants Q to be positive definite and is helped with a small multiple of I.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from benchmarks.contestants import seconds
from sgdnotes.flow import StochasticGradientFlow
from sgdnotes.problems import LeastSquares

JITTER = 1e-10  # relative to the mean of the diagonal


@dataclass(frozen=True)
class Diffusion:
    """Of what size the problem is, and how many replicates take a step."""

    dim: int
    n_samples: int = 100
    replicates: int = 100
    repeats: int = 5

    @cached_property
    def problem(self) -> LeastSquares:
        """Gaussian features; with more columns than samples every Q is singular."""
        rng = np.random.default_rng(0)
        features = rng.standard_normal((self.n_samples, self.dim))
        return LeastSquares(features, rng.standard_normal(self.n_samples))

    @cached_property
    def process(self) -> StochasticGradientFlow:
        """The flow of SGD with batches of ten."""
        return StochasticGradientFlow(0.05, min(10, self.n_samples))

    @cached_property
    def residuals(self) -> np.ndarray:
        """Those at a point for each replicate, shape ``(replicates, n_samples)``."""
        points = np.random.default_rng(1).standard_normal((self.replicates, self.dim))
        return np.asarray(points @ self.problem.features.T - self.problem.targets)

    @property
    def covariances(self) -> np.ndarray:
        """Q at the points, shape ``(replicates, dim, dim)``."""
        features, n = self.problem.features, self.n_samples
        weighted = self.residuals[:, :, None] * features
        mean = weighted.mean(axis=1)
        second = weighted.swapaxes(1, 2) @ weighted / n
        scale = self.process.step_size / self.process.batch_size
        return np.asarray(scale * (second - mean[:, :, None] * mean[:, None, :]))


DIFFUSIONS = tuple(Diffusion(dim) for dim in (10, 50, 200))


def with_factor(case: Diffusion, rng: np.random.Generator) -> np.ndarray:
    """Draw the noise as the library does."""
    normals = rng.standard_normal((case.replicates, case.n_samples))
    return case.process.diffuse(case.problem.features, case.residuals, normals)


def with_eigenvectors(case: Diffusion, rng: np.random.Generator) -> np.ndarray:
    """Draw the noise with the symmetric root of Q."""
    values, vectors = np.linalg.eigh(case.covariances)
    normals = rng.standard_normal((case.replicates, case.dim))
    turned = np.matvec(vectors.swapaxes(1, 2), normals)
    return np.asarray(np.matvec(vectors, np.sqrt(np.maximum(values, 0)) * turned))


def with_cholesky(case: Diffusion, rng: np.random.Generator) -> np.ndarray:
    """Draw the noise with the triangular root of Q, its diagonal raised a little."""
    covariances = case.covariances
    mean = np.trace(covariances, axis1=1, axis2=2) / case.dim
    raised = covariances + JITTER * mean[:, None, None] * np.eye(case.dim)
    normals = rng.standard_normal((case.replicates, case.dim))
    return np.asarray(np.matvec(np.linalg.cholesky(raised), normals))


WAYS: dict[str, Callable[[Diffusion, np.random.Generator], np.ndarray]] = {
    "factor, this library": with_factor,
    "eigenvectors of Q": with_eigenvectors,
    "Cholesky of Q + jitter": with_cholesky,
}


def table(*, quick: bool = False) -> str:
    """Return what the noise of a step costs for one replicate, drawn in each of the ways."""
    lines = ["Noise of an Euler–Maruyama step: time a replicate and ratio to this library"]
    for case in DIFFUSIONS:
        chosen = replace(case, replicates=2, repeats=1) if quick else case
        assert len(chosen.residuals) == chosen.replicates  # made before the clock starts
        times = {
            name: seconds(partial(way, chosen, np.random.default_rng(2)), chosen.repeats)
            / chosen.replicates
            for name, way in WAYS.items()
        }
        lines.append(f"  p = {case.dim}, n = {case.n_samples}")
        own = next(iter(times.values()))
        lines += [f"    {name:<26}{1e6 * t:>9.3g} µs{t / own:>12.1f}" for name, t in times.items()]
    return "\n".join(lines)
