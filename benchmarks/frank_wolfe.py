"""Time stochastic Frank–Wolfe beside copt: ``python -m benchmarks.frank_wolfe [--quick]``.

The rule is that of Négiar et al. (2020) on sparse logistic regression over an l1 ball.  The package
copt, written by its authors, is timed where it is installed (``pip install copt numba``; without
numba its inner loops are plain Python).  Both are also given the same batches, to see that they
take the same steps.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar
from unittest import mock

import numpy as np

from benchmarks.__main__ import machine, shown
from benchmarks.contestants import seconds
from sgdnotes import LogisticRegression, run
from sgdnotes.constraints import L1Ball
from sgdnotes.oracles import SlopeTable
from sgdnotes.schedules import frank_wolfe_steps
from sgdnotes.updates import FrankWolfeStep


@dataclass(frozen=True)
class Case:
    """What is run."""

    n_samples: int = 1000
    dim: int = 500
    batch_size: int = 32
    radius: float = 10.0
    epochs: int = 40
    replicates: int = 64
    repeats: int = 5

    @property
    def problem(self) -> LogisticRegression:
        """Gaussian features, a sparse signal and unit noise."""
        rng = np.random.default_rng(0)
        features = rng.standard_normal((self.n_samples, self.dim))
        score = features[:, : self.dim // 50 + 1].sum(axis=1) + rng.standard_normal(self.n_samples)
        return LogisticRegression(features, np.sign(score), 0.0)

    @property
    def steps(self) -> int:
        """As many as the peer takes in so many passes: the remainder of a pass is left out."""
        return self.epochs * (self.n_samples // self.batch_size)

    @property
    def batches(self) -> np.ndarray:
        """One subset of the samples a step, shape ``(steps, batch_size)``."""
        rng = np.random.default_rng(1)
        drawn = [rng.choice(self.n_samples, self.batch_size, False) for _ in range(self.steps)]
        return np.array(drawn)


QUICK = Case(n_samples=100, dim=20, batch_size=8, epochs=3, replicates=4, repeats=1)


@dataclass(frozen=True)
class Given:
    """A sampling whose batches are given."""

    batches: np.ndarray
    name: ClassVar[str] = "given"

    def variance_factor(self, n_samples: int, batch_size: int) -> float:
        """Refuse: nothing is random."""
        raise ValueError("sampling: wanted random batches, got given ones")

    def outcomes(self, n_samples: int, batch_size: int) -> np.ndarray:
        """Refuse: nothing is random."""
        raise ValueError("sampling: wanted random batches, got given ones")

    def stream(
        self, n_samples: int, batch_size: int, replicates: int, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """Yield the batches, the same for every replicate."""
        yield np.repeat(self.batches[:, None], replicates, axis=1)


def library(
    case: Case, problem: LogisticRegression, replicates: int = 1, given: Given | None = None
) -> np.ndarray:
    """Return the last iterates of the library's run, shape ``(replicates, dim)``."""
    trace = run(
        problem,
        SlopeTable(case.batch_size, given or "without_replacement"),
        FrankWolfeStep(L1Ball(case.radius)),
        steps=case.steps,
        step_size=frank_wolfe_steps(),
        replicates=replicates,
        rng=1,
        record=[0],
        metrics={},
    )
    return trace.x


def plain_loop(case: Case, problem: LogisticRegression, batches: np.ndarray) -> np.ndarray:
    """Return the last iterate of the rule as one would write it for one run, shape ``(dim,)``."""
    features, labels = problem.features, problem.targets
    x, slopes, mean = np.zeros(case.dim), np.zeros(case.n_samples), np.zeros(case.dim)
    for k, batch in enumerate(batches):
        rows, signs = features[batch], labels[batch]
        renewed = -signs / (1 + np.exp(signs * (rows @ x)))
        mean = mean + (renewed - slopes[batch]) @ rows / case.n_samples
        slopes[batch] = renewed
        j = np.abs(mean).argmax()
        vertex = np.zeros(case.dim)
        vertex[j] = -case.radius * np.sign(mean[j])
        x = x + 2 / (k + 2) * (vertex - x)
    return x


def installed(name: str) -> bool:
    """Return whether a package can be imported."""
    return importlib.util.find_spec(name) is not None


def _slope(prediction: Any, label: Any) -> Any:
    return -label / (1 + np.exp(label * prediction))


class Peer:
    """The function `minimize_sfw` of copt, compiled once."""

    def __init__(self, case: Case, problem: LogisticRegression) -> None:
        self.case, self.problem = case, problem
        self.randomized = importlib.import_module("copt.randomized")
        self.utils = importlib.import_module("copt.utils")
        self.oracle = importlib.import_module("copt.constraint").L1Ball(case.radius).lmo
        self.slope = self.utils.njit(_slope)

    def solve(self, epochs: int) -> np.ndarray:
        """Return the last iterate after so many passes."""
        result = self.randomized.minimize_sfw(
            self.slope,
            self.problem.features,
            self.problem.targets,
            np.zeros(self.case.dim),
            self.oracle,
            batch_size=self.case.batch_size,
            max_iter=epochs,
            tol=0,
            variant="SAG",
        )
        return np.asarray(result.x)

    def solve_given(self, batches: np.ndarray) -> np.ndarray:
        """Return the last iterate when the batches are given."""
        passes = list(batches.reshape(self.case.epochs, -1))
        with mock.patch.object(self.utils, "sample_batches", side_effect=passes):
            return self.solve(self.case.epochs)


def main(arguments: list[str] | None = None) -> None:
    """Measure everything once and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frank_wolfe", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    case = QUICK if parser.parse_args(arguments).quick else Case()
    problem, batches = case.problem, case.batches
    peer = Peer(case, problem) if installed("copt") else None

    own = library(case, problem, given=Given(batches))[0]
    distances = {"plain loop": np.abs(own - plain_loop(case, problem, batches)).max()}
    if peer:
        distances["copt"] = np.abs(own - peer.solve_given(batches)).max()

    # Taken in turns, so that what else the machine does falls on all of them.
    times: dict[str, list[float]] = {}
    for _ in range(case.repeats):
        for name, work, runs in [
            ("this library, one run", lambda: library(case, problem), 1),
            (
                f"this library, {case.replicates} runs",
                lambda: library(case, problem, case.replicates),
                case.replicates,
            ),
            ("plain loop", lambda: plain_loop(case, problem, batches), 1),
            *([("copt", lambda: peer.solve(case.epochs), 1)] if peer else []),
        ]:  # the plain loop is spared the drawing of its batches
            times.setdefault(name, []).append(seconds(work, 1) / (runs * case.steps))
    best = {name: min(taken) for name, taken in times.items()}
    single = next(iter(best.values()))

    print(machine())
    print(
        f"\nNégiar et al. on logistic regression, n = {case.n_samples:,}, p = {case.dim}, batch "
        f"{case.batch_size}, l1 ball of radius {case.radius:g}, {case.steps:,} steps"
    )
    print(f"  {'':<28}{'a step':>12}{'ratio':>12}")
    for name, time in best.items():
        print(f"  {name:<28}{shown(time):>12}{time / single:>12.2f}")
    if peer and not installed("numba"):
        print("  (copt without numba: its inner loops are not compiled)")
    if not peer:
        print("  (copt is not installed: pip install copt numba)")
    else:
        print(f"\n  copt / this library: {best['copt'] / single:.1f}  (wanted: at least 2)")
    print("\nOn the same batches the last iterates differ by at most")
    for name, distance in distances.items():
        print(f"  {name:<28}{distance:>12.1e}")


if __name__ == "__main__":
    main()
