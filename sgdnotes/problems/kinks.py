r"""Functions that are differentiable almost everywhere, and what this leaves open."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.problems.landscapes import Landscape

# Past this many ternary digits a float has no more to give.
ALL_DIGITS = 34


def reverse_huber(tilts: ArrayLike = (0.0,)) -> Landscape:
    r"""Return :math:`|x| - \frac12` for :math:`|x| < 1` and :math:`\frac12x^2` beyond.

    Where Huber's function is round and then straight, this one is straight and then round.  Its
    only kink is the minimum 0, and a gradient step of size 1 leads from every point with
    :math:`|x| \ge 1` exactly there.  The derivative returned at the kink is 0.  The PL inequality
    holds with constant 1/2, with equality at :math:`|x| = 1`.

    Parameters
    ----------
    tilts : array_like of shape (n_samples,)
        The noise; see `Landscape`.
    """
    return Landscape(
        "reverse Huber function",
        lambda x: np.where(np.abs(x) < 1, np.abs(x) - 0.5, x**2 / 2),
        lambda x: np.where(np.abs(x) < 1, np.sign(x), x),
        smoothness=math.inf,
        pl_constant=0.5,
        minimum=-0.5,
        minimizers=[0.0],
        convex=True,
        tilts=tilts,
        tilted_minimum=lambda c: -max(1.0, c**2) / 2,
    )


def cantor(iterate: int | None = None) -> Landscape:
    r"""Return the Cantor function, or one of the functions whose limit it is.

    The iterate :math:`c_0` rises from 0 to 1 on [0, 1] at slope 1 and is constant outside.  Each
    later one takes two copies of the one before, of a third of the width and half the height,
    and puts a flat piece between them:

    .. math::

        c_{k+1}(x) = \tfrac12c_k(3x) \text{ for } x \le \tfrac12, \qquad
        c_{k+1}(x) = \tfrac12 + \tfrac12c_k(3x - 2) \text{ for } x > \tfrac12 .

    So :math:`c_k` has slope :math:`(3/2)^k` on :math:`2^k` intervals of total length
    :math:`(2/3)^k`, and slope 0, which is also returned at the kinks, elsewhere.  The limit is
    continuous, climbs from 0 to 1, and has derivative 0 almost everywhere: this is the derivative
    returned at all points.

    Parameters
    ----------
    iterate : int, optional
        k, from 0 to 30; the limit when omitted.

    Examples
    --------
    >>> cantor().value(np.array([[0.25], [0.5], [0.75]])).round(9)
    array([0.33333333, 0.5       , 0.66666667])
    >>> cantor(2).gradient(np.array([0.05])), cantor().gradient(np.array([0.05]))
    (array([2.25]), array([0.]))
    """
    limit = iterate is None
    k = (
        ALL_DIGITS
        if iterate is None
        else _validate.integer("iterate", iterate, at_least=0, at_most=30)
    )
    steepest = 0.0 if limit else 1.5**k

    def climb(x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what is added to the value, and where in the last copy the point lies."""
        place, height = np.clip(x, 0.0, 1.0), np.zeros(np.shape(x))
        for level in range(k):
            right = place > 0.5
            height += np.where(right, 0.5 ** (level + 1), 0.0)
            place = np.clip(3 * place - 2 * right, 0.0, 1.0)
        return height, place

    def function(x: FloatArray) -> FloatArray:
        height, place = climb(x)
        return np.asarray(height + 0.5**k * place)

    def derivative(x: FloatArray) -> FloatArray:
        place = climb(x)[1]
        return np.where((place > 0) & (place < 1), steepest, 0.0)

    return Landscape(
        "Cantor function" if limit else f"iterate {k} of the Cantor function",
        function,
        derivative,
        smoothness=math.inf,
        minimum=0.0,
        minimizers=[(-math.inf, 0.0)],
        convex=False,
        steepest=steepest,
    )
