"""Measure the timing tables that lectures plot: ``tools/measure.py [--rounds R] [name ...]``.

Clock times differ from machine to machine and from run to run, so no notebook measures one.
This script does, and writes what it finds to ``lectures/data/timings.json``.  With names it
measures those tables only and keeps the others.  On a busy machine, measure each table in several
rounds: every entry is then the fastest of them.  Afterwards execute the lectures again, since they
print numbers from the file.

To add a table, write a function that returns a `Table` and put it into `MEASUREMENTS`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypedDict

import numpy as np
from scipy.sparse.linalg import svds
from threadpoolctl import threadpool_limits

from sgdnotes.constraints import L1Ball, NuclearBall, Simplex
from sgdnotes.problems import LeastSquares

FILE = Path(__file__).resolve().parent.parent / "lectures" / "data" / "timings.json"


class Table(TypedDict):
    """What a measurement returns: a sentence, what was held fixed, columns of equal length."""

    description: str
    settings: dict[str, Any]
    columns: dict[str, list[float]]


def seconds(task: Callable[[], object], *, repeats: int = 15, at_least: float = 0.002) -> float:
    """Return the seconds that one call of `task` takes: the fastest of several repeats.

    Short tasks are called in a loop that lasts `at_least` seconds, because a clock cannot time a
    microsecond.  Whatever else the machine does can only make a repeat slower, so the fastest is
    the most reproducible.
    """
    calls = 1
    while _loop(task, calls) < at_least:
        calls *= 2
    return min(_loop(task, calls) / calls for _ in range(repeats))


def _loop(task: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        task()
    return time.perf_counter() - start


def full_gradient(
    sizes: Sequence[int] = (100, 300, 1000, 3000, 10**4, 3 * 10**4, 10**5, 3 * 10**5, 10**6),
    *,
    dim: int = 20,
    batch_size: int = 32,
    repeats: int = 40,
) -> Table:
    """Time the gradient of least squares over n samples, and the gradient of one minibatch.

    Every call takes another minibatch out of a thousand drawn beforehand, so that its rows come
    from all over the data as they do in a run of SGD.
    """
    rng = np.random.default_rng(0)
    full, mini = [], []
    for n in sizes:
        problem = LeastSquares(rng.normal(size=(n, dim)), rng.normal(size=n))
        x = rng.normal(size=(1, dim))
        batches = rng.integers(n, size=(1000, 1, batch_size))
        turn = _Turns(batches)
        full.append(seconds(lambda p=problem, x=x: p.gradient(x), repeats=repeats))
        mini.append(
            seconds(lambda p=problem, x=x, t=turn: p.minibatch_gradient(x, t()), repeats=repeats)
        )
    return {
        "description": "Seconds for one gradient of least squares, over all n samples and over "
        "one minibatch.",
        "settings": {"dim": dim, "batch_size": batch_size, "repeats": repeats},
        "columns": {
            "n": list(sizes),
            "full_gradient": [_rounded(value) for value in full],
            "minibatch_gradient": [_rounded(value) for value in mini],
        },
    }


def batch_step(
    sizes: Sequence[int] = tuple(2**power for power in range(13)),
    *,
    n_samples: int = 4096,
    dim: int = 64,
    width: int = 128,
    repeats: int = 60,
) -> Table:
    """Time a step of one chain of SGD against the batch size, for two problems.

    A step is the gradient of a batch drawn beforehand and the move along it.  The problems are
    least squares, and a network with one hidden layer, whose gradient is matrix products.
    """
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(n_samples, dim)), rng.normal(size=n_samples)
    network = Network(features[:, None, :], targets, width)
    problems: dict[str, Sum] = {
        "least_squares": LeastSquares(features, targets),
        "network": network,
    }
    times: dict[str, list[float]] = {name: [] for name in problems}
    for size in sizes:
        turn = _Turns(rng.integers(n_samples, size=(max(20, 2**16 // size), 1, size)))
        for name, problem in problems.items():
            x = rng.normal(size=(1, problem.dim)) / dim
            times[name].append(
                seconds(
                    lambda p=problem, x=x, t=turn: x - 0.01 * p.minibatch_gradient(x, t()),
                    repeats=repeats,
                )
            )
    return {
        "description": "Seconds for one step of SGD on a single chain, gradient and move, against "
        "the batch size; each the fastest of at least so many repeats.",
        "settings": {
            "n_samples": n_samples,
            "least_squares": {"dim": dim},
            "network": {"inputs": dim, "width": width, "dim": network.dim},
            "repeats": repeats,
        },
        "columns": {
            "batch_size": list(sizes),
            **{name: [_rounded(value) for value in values] for name, values in times.items()},
        },
    }


def parallel(
    workers: Sequence[int] = (1, 2, 4, 8, 16),
    *,
    batch_size: int = 16,
    n_samples: int = 32,
    dim: int = 64,
    heavy: tuple[int, int, int] = (1024, 128, 256),
    repeats: tuple[int, int] = (200, 15),
) -> Table:
    """Time a gradient over a batch that is spread over workers of a standard executor.

    Beside it stand the same gradient in one call, without workers, and the gradient of one sample.
    A light sample is a row of least squares, a heavy one a picture that a small network reads part
    by part; `heavy` gives the parts, the inputs of a part and the width.  Workers get the data once
    and then only the point and indices, and each takes its share of the batch in one call.
    """
    rng = np.random.default_rng(0)
    parts, inputs, width = heavy
    targets = rng.normal(size=n_samples)
    network = Network(rng.normal(size=(n_samples, parts, inputs)), targets, width)
    problems: dict[str, Sum] = {
        "light": LeastSquares(rng.normal(size=(n_samples, dim)), targets),
        "heavy": network,
    }
    columns: dict[str, list[float]] = {"workers": list(workers)}
    for (weight, problem), tries in zip(problems.items(), repeats, strict=True):
        x = rng.normal(size=(1, problem.dim)) / dim
        turn = _Turns(rng.integers(n_samples, size=(100, 1, batch_size)))
        tasks: dict[str, Callable[[], object]] = {
            "one_gradient": lambda p=problem, x=x, t=turn: p.minibatch_gradient(x, t()[:, :1]),
            "one_call": lambda p=problem, x=x, t=turn: p.minibatch_gradient(x, t()),
        }
        for count in workers:
            found = {name: seconds(task, repeats=tries) for name, task in tasks.items()}
            for name, pool in (("threads", thread_pool), ("processes", process_pool)):
                with pool(count, problem) as executor:
                    found[name] = seconds(
                        lambda e=executor, w=count, x=x, t=turn: spread(e, w, x, t()),
                        repeats=tries,
                    )
            for name, value in found.items():
                columns.setdefault(f"{weight}_{name}", []).append(_rounded(value))
    return {
        "description": f"Seconds for the gradient of a batch of {batch_size}, spread over workers, "
        "beside the same in one call and the gradient of one sample; each the fastest of at least "
        "so many repeats.",
        "settings": {
            "batch_size": batch_size,
            "n_samples": n_samples,
            "light": {"dim": dim},
            "heavy": {"parts": parts, "inputs": inputs, "width": width, "dim": network.dim},
            "repeats": dict(zip(problems, repeats, strict=True)),
        },
        "columns": columns,
    }


def oracles(
    sizes: Sequence[int] = (100, 400, 1600, 6400, 25600, 102400, 409600), *, repeats: int = 7
) -> Table:
    """Time a linear minimisation and a projection over three sets against the dimension.

    The matrices are square.  For those of bounded nuclear norm a linear minimisation needs the
    leading pair of singular vectors only, which the Lanczos method finds; a projection needs all.
    """
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {}
    for dim in sizes:
        x, side = rng.normal(size=dim), round(dim**0.5)
        ball, simplex, matrices = L1Ball(1.0), Simplex(), NuclearBall(side, side, 1.0)
        matrix, start = x.reshape(side, side), np.ones(side)  # else Lanczos draws a start
        tasks: dict[str, Callable[[], object]] = {
            "l1_minimize": lambda c=ball, x=x: c.linear_minimizer(x),
            "l1_project": lambda c=ball, x=x: c.project(x),
            "simplex_minimize": lambda c=simplex, x=x: c.linear_minimizer(x),
            "simplex_project": lambda c=simplex, x=x: c.project(x),
            "nuclear_minimize": lambda m=matrix, v=start: svds(m, k=1, v0=v),
            "nuclear_project": lambda c=matrices, x=x: c.project(x),
        }
        for name, task in tasks.items():
            times.setdefault(name, []).append(_rounded(seconds(task, repeats=repeats)))
    return {
        "description": "Seconds for one linear minimisation and one projection against the "
        "dimension; each the fastest of at least so many repeats.",
        "settings": {"repeats": repeats},
        "columns": {"dim": list(sizes), **times},
    }


class Sum(Protocol):
    """What is needed of a problem here."""

    dim: int

    def minibatch_gradient(self, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Return the mean gradient over the batch, ``(1, dim)``, for indices ``(1, B)``."""


class Network:
    r"""Squared errors of a network with one hidden layer that reads a sample part by part.

    Sample i is a matrix :math:`P_i` with a row for each part, and
    :math:`f_i(W, v) = \frac12(v^\top h_i - y_i)^2`, where :math:`h_i` is the mean over the rows of
    :math:`\tanh(P_iW)`.  With one part this is an ordinary network, with many a small convolution.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, parts, inputs)
    targets : ndarray of shape (n_samples,)
    width : int
    """

    def __init__(self, samples: np.ndarray, targets: np.ndarray, width: int) -> None:
        self.samples, self.targets, self.width = samples, targets, width
        self.dim = (samples.shape[2] + 1) * width

    def minibatch_gradient(self, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Return the mean gradient over one batch: W row by row, then v."""
        batch, (parts, inputs) = indices.shape[-1], self.samples.shape[1:]
        weights = x.reshape(inputs + 1, self.width)
        rows = self.samples.take(indices[0], axis=0).reshape(-1, inputs)
        hidden = np.tanh(rows @ weights[:-1])
        mean = hidden.reshape(batch, parts, self.width).mean(axis=1)
        errors = (mean @ weights[-1] - self.targets.take(indices[0])) / batch
        hidden *= hidden  # in place, because large arrays cost more than the arithmetic on them
        slopes = np.subtract(1, hidden, out=hidden).reshape(batch, parts, self.width)
        slopes *= (errors[:, None] * weights[-1] / parts)[:, None, :]
        return np.vstack([rows.T @ hidden, errors @ mean]).reshape(1, -1)


def spread(executor: Executor, workers: int, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return the gradient at `x` over a batch that so many workers share."""
    shares = np.array_split(indices, workers, axis=1)
    return sum(executor.map(_share, [x] * workers, shares)) / indices.shape[1]


_problem: Sum  # what the workers of this process work on


def _share(x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    return indices.shape[1] * _problem.minibatch_gradient(x, indices)


def _start(problem: Sum, others: Any) -> None:
    global _problem
    _problem = problem
    threadpool_limits(1)
    others.wait()  # a worker that is still starting would take time from those at work


@contextmanager
def thread_pool(workers: int, problem: Sum) -> Iterator[Executor]:
    """Open an executor with so many threads that know the problem."""
    start = (problem, threading.Barrier(workers))
    with ThreadPoolExecutor(workers, initializer=_start, initargs=start) as executor:
        yield executor


@contextmanager
def process_pool(workers: int, problem: Sum) -> Iterator[Executor]:
    """Open an executor with so many processes that know the problem."""
    context = multiprocessing.get_context("spawn")  # the one way that every system has
    start = (problem, context.Barrier(workers))
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=start) as executor:
        yield executor


class _Turns:
    """Gives the next of several arrays at each call, from the first again after the last."""

    def __init__(self, arrays: np.ndarray) -> None:
        self.arrays, self.next = arrays, 0

    def __call__(self) -> np.ndarray:
        self.next = (self.next + 1) % len(self.arrays)
        return self.arrays[self.next]


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


MEASUREMENTS: dict[str, Callable[[], Table]] = {
    "full_gradient": full_gradient,
    "batch_step": batch_step,
    "parallel": parallel,
    "oracles": oracles,
}
"""The tables by name."""


def machine() -> dict[str, Any]:
    """Return what matters of the machine and nothing that identifies it."""
    return {
        "architecture": platform.machine(),
        "processors": os.cpu_count(),
        "threads": 1,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def measure(names: Sequence[str], file: Path = FILE, rounds: int = 1) -> None:
    """Measure the tables `names` and write them to `file` beside those already there.

    Each table is measured in so many rounds, and every entry is the fastest of them.

    The linear algebra runs on one thread, in each worker too: with several, the times would jump
    where it starts to use them, and would depend on how many are free.
    """
    tables = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    with threadpool_limits(1):
        for name in names:
            table, *others = [MEASUREMENTS[name]() for _ in range(rounds)]
            for other in others:
                for column, values in other["columns"].items():
                    table["columns"][column] = list(map(min, table["columns"][column], values))
            tables[name] = {**table, "machine": machine()}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(tables, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the timing tables that lectures plot.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"from: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--rounds", type=int, default=1, help="measure each table so often")
    options = parser.parse_args(arguments)
    names = options.names or list(MEASUREMENTS)
    for name in names:
        if name not in MEASUREMENTS:
            parser.error(f"there is no measurement {name!r}; wanted: {', '.join(MEASUREMENTS)}")
    measure(names, rounds=max(1, options.rounds))
    print(f"Wrote {FILE.relative_to(FILE.parents[2])}; now execute the lectures again.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
