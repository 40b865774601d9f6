"""Draw the picture of the landing page and the README: ``python tools/cover.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sgdnotes.exact import expected_sgd
from sgdnotes.methods import gradient_descent, sgd
from sgdnotes.moments import SecondMoments
from sgdnotes.plots import Picture, curve
from sgdnotes.problems import LeastSquares

TARGET = Path(__file__).parents[1] / "book" / "_static" / "cover.svg"
ALT = (
    "Suboptimality against passes over the data, on a logarithmic scale. Fourteen sampled paths of "
    "SGD fall quickly and then scatter around a level; their exact expectation runs through the "
    "middle of them and settles on the dotted level that theory computes. Gradient descent falls "
    "more slowly at first, and later passes below it."
)


def cover() -> Picture:
    """Return the picture: SGD sampled and in exact expectation, its floor, gradient descent."""
    rng = np.random.default_rng(2)
    n, passes, batch, step_size = 40, 20, 2, 0.08
    features = rng.normal(size=(n, 5))
    problem = LeastSquares(features, features @ rng.normal(size=5) + rng.normal(size=n))
    start = problem.minimizer + 6.0
    steps = passes * n // batch

    paths = sgd(
        problem,
        start,
        steps=steps,
        step_size=step_size,
        batch_size=batch,
        replicates=14,
        rng=0,
        record="all",
    )
    exact = expected_sgd(problem, start, steps=steps, step_size=step_size, batch_size=batch)
    moments = SecondMoments(problem, batch)
    floor = moments.gap(moments.stationary(step_size))
    descent = gradient_descent(problem, start, steps=passes, record="all")

    picture = Picture(
        ALT,
        title="SGD is ahead at first and then stays at a floor that theory computes",
        xlabel="passes over the data",
        ylabel="f(x) − f*",
        size=(8.0, 3.3),
    )
    ax, x = picture.ax, exact.steps * batch / n
    for path in range(paths.gap.shape[1]):
        curve(ax, x, paths.gap[:, path], role="sample", label="" if path else "SGD, 14 paths")
    curve(ax, x, exact.gap, role="exact", label="SGD, exact expectation")
    curve(ax, [0, passes], [floor, floor], role="floor", label="floor, from the stationary moments")
    curve(ax, descent.steps, descent.gap[:, 0], role="gd", label="gradient descent, step 1/L")
    ax.set_yscale("log")
    ax.set_ylim(1e-3, None)
    ax.set_xlim(0, passes)
    ax.legend(loc="upper right", ncols=2)
    return picture


if __name__ == "__main__":
    TARGET.write_text(cover().svg(), encoding="utf-8")
