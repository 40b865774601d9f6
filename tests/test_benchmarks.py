"""The benchmarks run, and what they compare is the same thing.  Nothing here depends on a clock."""

from __future__ import annotations

import re
import subprocess
import sys
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

ROOT = Path(__file__).resolve().parent.parent


def test_python_m_benchmarks_prints_both_ratios() -> None:
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
    ):
        assert re.search(rf"^  {re.escape(row)} +[\d.]+ (s|ms|µs|ns)", done.stdout, re.MULTILINE)
    assert re.search(r"loop / batched engine: \d+ ", done.stdout)
    assert re.search(r"simulation to 0\.1% / exact recursion: [\d,]+ ", done.stdout)
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
