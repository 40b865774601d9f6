"""The benchmarks run, and what they compare is the same thing.  Nothing here depends on a clock."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.contestants import (
    QUICK,
    Case,
    batched_engine,
    exact_recursion,
    plain_loop,
    scikit_learn,
    single_chain,
)
from benchmarks.drawing import (
    DRAWS,
    Draw,
    blocks,
    choice_loop,
    orders,
    permutation_loop,
    permuted_rows,
    take,
)

ROOT = Path(__file__).resolve().parent.parent


def test_python_m_benchmarks_prints_all_times_and_ratios() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    for row in (
        "batched engine",
        "plain loop over replicates",
        "exact recursion",
        "partial_fit, all in one call",
        "partial_fit, a call a step",
        "batches, this library",
        "rng.choice, a call a batch",
        "rng.permuted, first of n",
        "epochs, this library",
        "rng.permutation in a loop",
    ):
        assert re.search(rf"^  {re.escape(row)} +[\d.]+ (s|ms|µs|ns)", done.stdout, re.MULTILINE)
    assert re.search(r"loop / batched engine: \d+ ", done.stdout)
    assert re.search(r"simulation to 0\.1% / exact recursion: [\d,]+ ", done.stdout)
    for n_samples, batch_size in ((100, 10), (1000, 100)):
        assert f"Drawing without replacement, n = {n_samples}, batch {batch_size}" in done.stdout
    assert done.stderr == ""


def test_the_full_case_is_the_one_announced() -> None:
    case = Case()
    assert (case.n_samples, case.dim, case.batch_size) == (100, 10, 10)
    assert (case.replicates, case.steps) == (1000, 5000)
    assert QUICK.steps < 1000


def test_all_contestants_compute_the_same_curve() -> None:
    case = replace(QUICK, replicates=500, steps=300, loop_replicates=40)
    exact = exact_recursion(case)
    trace = batched_engine(case)
    mean, error = trace.mean()
    late = trace.steps > 0
    assert (np.abs(mean - exact[trace.steps])[late] <= 5 * error[late]).all()
    # The plain loop returns the mean of 40 gaps whose spread the ensemble knows.
    spread = trace.gap[-1].std() / np.sqrt(case.loop_replicates)
    assert abs(plain_loop(case) - exact[-1]) <= 5 * spread


@pytest.mark.parametrize("samples_a_call", [1, 500])
def test_scikit_learn_takes_the_same_steps(samples_a_call: int) -> None:
    case = QUICK
    problem = case.problem
    x = np.zeros(case.dim)
    for i in np.random.default_rng(1).integers(case.n_samples, size=case.single_steps):
        row = problem.features[i]
        x = x - case.step_size * (row @ x - problem.targets[i]) * row
    assert scikit_learn(case, samples_a_call) == pytest.approx(float(problem.gap(x)), rel=1e-9)
    assert np.isfinite(single_chain(case))


def test_the_draws_are_those_announced() -> None:
    assert [(draw.n_samples, draw.batch_size, draw.wanted) for draw in DRAWS] == [
        (100, 10, 40),
        (1000, 100, 90),
    ]


@pytest.mark.parametrize(
    ("rows", "length"),
    [
        (lambda draw: next(blocks(draw)).reshape(-1, draw.batch_size), 4),
        (choice_loop, 4),
        (permuted_rows, 4),
        (lambda draw: next(orders(draw)).swapaxes(0, 1).reshape(-1, draw.n_samples)[:50], 8),
        (permutation_loop, 8),
    ],
    ids=["batches", "choice", "permuted", "epochs", "permutation"],
)
def test_what_is_timed_draws_without_replacement(
    rows: Callable[[Draw], np.ndarray], length: int
) -> None:
    draw = Draw(8, 4, wanted=0, replicates=3, peer_indices=100)
    drawn = np.sort(rows(draw), axis=1)
    assert drawn.shape[1] == length
    assert len(drawn) >= 100 // length
    assert (np.diff(drawn, axis=1) > 0).all()
    assert set(np.unique(drawn)) == set(range(8))


def test_the_library_is_timed_on_what_it_is_credited_with() -> None:
    draw = Draw(8, 4, wanted=0, replicates=3)
    block = next(blocks(draw)).size
    assert take(blocks(draw), block + 1) == 2 * block
