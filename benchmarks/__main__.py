"""Print what steps, exact curves and draws cost: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

import argparse
import os
import platform
from dataclasses import replace

import numpy as np
import sklearn

from benchmarks.contestants import (
    QUICK,
    Case,
    batched_engine,
    exact_recursion,
    plain_loop,
    scikit_learn,
    seconds,
    single_chain,
)
from benchmarks.diffusion import table as diffusion_table
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

PRECISION = 1e-3  # the relative error to which simulation is scaled


def machine() -> str:
    """Return one line on what this ran on."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        pass
    versions = f"Python {platform.python_version()}, numpy {np.__version__}"
    return f"{name}, {os.cpu_count()} cores; {versions}, scikit-learn {sklearn.__version__}"


def main(arguments: list[str] | None = None) -> None:
    """Measure everything once and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    quick = parser.parse_args(arguments).quick
    case = QUICK if quick else Case()

    # The same curve, three ways.
    trace = batched_engine(case)
    batched = seconds(lambda: batched_engine(case), case.repeats)
    looped = seconds(lambda: plain_loop(case), case.repeats)
    exact = seconds(lambda: exact_recursion(case), case.repeats)
    runs, loop_runs = case.replicates * case.steps, case.loop_replicates * case.steps
    batched_step, loop_step = batched / runs, looped / loop_runs

    # How far the ensemble is from the exact curve, and how many replicates 0.1 % would take.
    mean, error = trace.mean()
    relative = (error / mean)[1:]
    typical = float(np.sqrt((relative**2).mean()))
    needed = case.replicates * (typical / PRECISION) ** 2
    simulated = batched_step * needed * case.steps
    curve = exact_recursion(case)[trace.steps]
    z = np.abs(mean - curve)[1:] / error[1:]

    # One chain, one sample a step.
    single = seconds(lambda: single_chain(case), case.repeats) / case.single_steps
    in_one_call = seconds(lambda: scikit_learn(case, case.single_steps), case.repeats)
    by_sample = replace(case, single_steps=max(1, case.single_steps // 25))
    one_by_one = seconds(lambda: scikit_learn(by_sample, 1), case.repeats)

    print(machine())
    print(
        f"\nLeast squares, n = {case.n_samples}, p = {case.dim}, batch {case.batch_size}, "
        f"{case.replicates:,} replicates × {case.steps:,} steps"
    )
    rows = [
        ("batched engine", batched_step, batched, ""),
        (
            "plain loop over replicates",
            loop_step,
            loop_step * runs,
            f"timed on {case.loop_replicates}, scaled",
        ),
        ("exact recursion", exact / case.steps, exact, "the whole curve, no replicates"),
    ]
    print(f"  {'':<28}{'a step':>12}{'in all':>12}")
    for name, step, total, note in rows:
        print(f"  {name:<28}{shown(step):>12}{shown(total):>12}  {note}".rstrip())
    print(f"\nOne chain, batch 1, {case.single_steps:,} steps")
    for name, step in [
        ("this library", single),
        ("partial_fit, all in one call", in_one_call / case.single_steps),
        ("partial_fit, a call a step", one_by_one / by_sample.single_steps),
    ]:
        print(f"  {name:<28}{shown(step):>12}")
    print("\nRatios")
    print(
        f"  loop / batched engine: {loop_step / batched_step:.0f}  (wanted: at least 20)\n"
        f"  simulation to {PRECISION:.1%} / exact recursion: {simulated / exact:,.0f}  "
        f"(wanted: at least 1,000)\n"
        f"    measured relative error {typical:.2%} with {case.replicates:,} replicates, so "
        f"{PRECISION:.1%} takes {needed:,.0f} of them: {shown(simulated)} against {shown(exact)}\n"
        f"    largest |simulated - exact| in standard errors: {z.max():.1f}"
    )
    for draw in DRAWS:
        print_drawing(replace(draw, indices=1, peer_indices=1, repeats=1) if quick else draw)
    print(f"\n{diffusion_table(quick=quick)}")


def print_drawing(draw: Draw) -> None:
    """Print what an index costs, drawn in several ways."""
    times = {}
    for name, stream in [("batches", blocks(draw)), ("orders", orders(draw))]:
        count = take(stream, draw.indices)
        times[name] = seconds(lambda s=stream: take(s, draw.indices), draw.repeats) / count
    for name, peer in [
        ("choice", choice_loop),
        ("permuted", permuted_rows),
        ("permutation", permutation_loop),
    ]:
        times[name] = seconds(lambda p=peer: p(draw), draw.repeats) / peer(draw).size
    print(
        f"\nDrawing without replacement, n = {draw.n_samples}, batch {draw.batch_size}, "
        f"{draw.replicates:,} replicates: time an index and ratio to this library"
    )
    for name, key, own in [
        ("batches, this library", "batches", "batches"),
        ("rng.choice, a call a batch", "choice", "batches"),
        ("rng.permuted, first of n", "permuted", "batches"),
        ("epochs, this library", "orders", "orders"),
        ("rng.permutation in a loop", "permutation", "orders"),
    ]:
        note = f"(wanted: at most {draw.wanted:g} ns)" if key == "batches" else ""
        ratio = f"{times[key] / times[own]:.1f}"
        print(f"  {name:<28}{shown(times[key]):>12}{ratio:>12}  {note}".rstrip())


def shown(value: float) -> str:
    """Return a duration in a unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


if __name__ == "__main__":
    main()
