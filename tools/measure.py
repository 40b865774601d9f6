"""Measure the timing tables that lectures plot: ``python tools/measure.py [name ...]``.

Clock times differ from machine to machine and from run to run, so no notebook measures one.
This script does, and writes what it finds to ``lectures/data/timings.json``.  With names it
measures those tables only and keeps the others.  Afterwards execute the lectures again, since
they print numbers from the file.

To add a table, write a function that returns a `Table` and put it into `MEASUREMENTS`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from threadpoolctl import threadpool_limits

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


def measure(names: Sequence[str], file: Path = FILE) -> None:
    """Measure the tables `names` and write them to `file` beside those already there.

    Everything runs on one thread: with several, the times would jump where the linear algebra
    starts to use them, and would depend on how many are free.
    """
    tables = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    with threadpool_limits(1):
        for name in names:
            tables[name] = {**MEASUREMENTS[name](), "machine": machine()}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(tables, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the timing tables that lectures plot.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"from: {', '.join(MEASUREMENTS)}")
    names = parser.parse_args(arguments).names or list(MEASUREMENTS)
    for name in names:
        if name not in MEASUREMENTS:
            parser.error(f"there is no measurement {name!r}; wanted: {', '.join(MEASUREMENTS)}")
    measure(names)
    print(f"Wrote {FILE.relative_to(FILE.parents[2])}; now execute the lectures again.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
