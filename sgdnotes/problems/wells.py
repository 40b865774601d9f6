r"""Functions with several minima, narrow and wide ones, and with saddles.

Like the landscapes of one variable they may be *tilted*: with vectors :math:`c_1, \dots, c_n` of
mean zero the components :math:`f_i(x) = f(x) + c_i^\top x` average to :math:`f`, and a stochastic
gradient is :math:`\nabla f(x) + c_i`, the gradient plus noise that is the same everywhere.
`SharedMinima` is of another kind: its noise vanishes at the minima and differs between them.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtri

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.problems.base import FiniteSum, check_problem
from sgdnotes.problems.landscapes import Landscape

TIGHT = {"xtol": 1e-15, "rtol": 1e-15}  # as far as a root can be told from its neighbours


def gaussian_tilts(n_samples: int, standard_deviation: float) -> FloatArray:
    r"""Return tilts that make the noise of a landscape all but Gaussian.

    They are the quantiles of the normal distribution at :math:`(i - \frac12)/n`, scaled so that
    their standard deviation is exactly the one asked for.

    Parameters
    ----------
    n_samples : int
        At least 2.
    standard_deviation : float
        At least 0.

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    n = _validate.integer("n_samples", n_samples, at_least=2)
    size = _validate.real("standard_deviation", standard_deviation, at_least=0)
    lower = ndtri((np.arange(n // 2) + 0.5) / n)
    quantiles = np.concatenate([lower, np.zeros(n % 2), -lower[::-1]])
    return np.asarray(size * quantiles / np.sqrt(np.mean(quantiles**2)))


# ---- one variable -----------------------------------------------------------------------------


def stationary_points(
    problem: FiniteSum, low: float, high: float, *, resolution: int = 4000
) -> FloatArray:
    """Return the points of an interval where the slope of a function of one variable changes sign.

    Parameters
    ----------
    problem : FiniteSum
        With ``dim == 1`` and a continuous gradient.
    low, high : float
        The ends of the interval.
    resolution : int, default 4000
        Number of equal pieces in which a change of sign is looked for: two changes in one piece
        go unnoticed.

    Returns
    -------
    ndarray of shape (count,)
        In increasing order.
    """
    return _sign_changes(problem, low, high, resolution)[0]


def local_minima(
    problem: FiniteSum, low: float, high: float, *, resolution: int = 4000
) -> FloatArray:
    """Return the local minima inside an interval of a function of one variable.

    Parameters
    ----------
    problem : FiniteSum
        With ``dim == 1`` and a continuous gradient.
    low, high : float
        The ends of the interval.
    resolution : int, default 4000
        See `stationary_points`.

    Returns
    -------
    ndarray of shape (count,)
        In increasing order.
    """
    points, upwards = _sign_changes(problem, low, high, resolution)
    return points[upwards]


def _sign_changes(
    problem: FiniteSum, low: float, high: float, resolution: int
) -> tuple[FloatArray, IntArray]:
    """Return where the slope changes sign, and at which of these places from minus to plus."""
    if check_problem(problem).dim != 1:
        raise ValueError(f"problem: wanted a function of one variable, got {problem!r}")
    low = _validate.real("low", low)
    high = _validate.real("high", high, above=low)
    pieces = _validate.integer("resolution", resolution, at_least=1)
    grid = np.linspace(low, high, pieces + 1)
    sign = np.sign(problem.gradient(grid[:, None])[:, 0])
    grid, sign = grid[sign != 0], sign[sign != 0]  # a zero on the grid falls into a longer piece
    changes = np.flatnonzero(np.diff(sign))
    roots = [
        brentq(lambda x: problem.gradient(np.array([x]))[0], grid[i], grid[i + 1], **TIGHT)
        for i in changes
    ]
    return np.array(roots, dtype=float), np.flatnonzero(sign[changes] < 0)


def rippled_gaussian(tilts: ArrayLike = (0.0,)) -> Landscape:
    r"""Return :math:`-\varphi(x)(1 + 0.07\sin15x)`, a wide dip full of small ones.

    Here :math:`\varphi` is the density of the standard normal distribution.  Of its six local
    minima in [-2, 2] the one at 0.098 is global.  A tilted component is unbounded below.

    Parameters
    ----------
    tilts : array_like of shape (n_samples,)
        The noise; see `Landscape`.
    """
    height, frequency = 0.07, 15.0

    def parts(x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
        sine, cosine = np.sin(frequency * x), np.cos(frequency * x)
        slope, bend = height * frequency * cosine, -height * frequency**2 * sine
        return density, 1 + height * sine, slope, bend

    def function(x: FloatArray) -> FloatArray:
        density, ripple, _, _ = parts(x)
        return np.asarray(-density * ripple)

    def derivative(x: FloatArray) -> FloatArray:
        density, ripple, slope, _ = parts(x)
        return np.asarray(density * (x * ripple - slope))

    def curvature(x: FloatArray) -> FloatArray:
        density, ripple, slope, bend = parts(x)
        return np.asarray(density * ((1 - x**2) * ripple + 2 * x * slope - bend))

    # Beyond |x| = 4 the density is below 1.4e-4 and the curvature, at most 160 times that, small.
    grid = np.linspace(-4, 4, 16_001)
    sharpest, lowest = int(np.abs(curvature(grid)).argmax()), int(function(grid).argmin())
    sharpness = minimize_scalar(
        lambda x: -abs(curvature(x)),
        bounds=(grid[sharpest - 1], grid[sharpest + 1]),
        method="bounded",
        options={"xatol": 1e-12},
    )
    minimizer = float(brentq(derivative, grid[lowest - 1], grid[lowest + 1], **TIGHT))
    return Landscape(
        "-φ(x)(1 + 0.07 sin 15x)",
        function,
        derivative,
        smoothness=-float(sharpness.fun),
        minimum=float(function(np.array(minimizer))),
        minimizers=[minimizer],
        convex=False,
        tilts=tilts,
    )


# ---- any number of variables, with a Hessian --------------------------------------------------


class Tilted(FiniteSum):
    r"""A function :math:`f:\mathbb R^p\to\mathbb R` split into :math:`f(x) + c_i^\top x`.

    None of its kind is convex, and since each has a stationary point that is not a minimum, none
    satisfies the PL inequality.

    Parameters
    ----------
    dim : int
    tilts : array_like of shape (n_samples, dim), or (n_samples,) if ``dim == 1``
        The :math:`c_i`, of mean zero.
    """

    convex = components_convex = False

    def __init__(self, dim: int, tilts: ArrayLike) -> None:
        given = _validate.finite_array("tilts", tilts)
        if given.ndim == 1 and (dim == 1 or not given.any()):
            given = np.broadcast_to(given[:, None], (len(given), dim))
        if given.ndim != 2 or given.shape[1] != dim:
            raise ValueError(f"tilts: wanted shape (n_samples, {dim}), got {given.shape}")
        _validate.mean_zero("tilts", given)
        self.tilts, self.n_samples, self.dim = given.copy(), len(given), dim

    @abstractmethod
    def hessian(self, x: FloatArray) -> FloatArray:
        r"""Return :math:`\nabla^2f(x)`, shape ``(..., dim, dim)``."""

    @property
    @abstractmethod
    def hessian_lipschitz(self) -> float:
        """The smallest Lipschitz constant of the Hessian, infinite where there is none."""

    @property
    @abstractmethod
    def minima(self) -> FloatArray:
        """All local minima, shape ``(count, dim)``."""

    @property
    @abstractmethod
    def saddle(self) -> FloatArray:
        """The stationary point between the minima, shape ``(dim,)``."""

    def sharpness(self, x: FloatArray) -> FloatArray:
        r"""Return the largest eigenvalue of :math:`\nabla^2f(x)`, shape ``(...)``."""
        return np.asarray(np.linalg.eigvalsh(self.hessian(x))[..., -1])

    def minibatch_gradient(self, x: FloatArray, indices: IntArray) -> FloatArray:
        return np.asarray(self.gradient(x) + self.tilts[indices].mean(axis=-2))

    def component_values(self, x: FloatArray) -> FloatArray:
        return np.asarray(self.value(x) + self.tilts @ x)

    def component_gradients(self, x: FloatArray) -> FloatArray:
        return np.asarray(self.gradient(x) + self.tilts)

    def distance_squared(self, x: FloatArray) -> FloatArray:
        offsets = np.asarray(x)[..., None, :] - self._global_minima
        return np.asarray((offsets**2).sum(axis=-1).min(axis=-1))

    @property
    def _global_minima(self) -> FloatArray:
        values = self.value(self.minima)
        return np.asarray(self.minima[values == values.min()])

    @property
    def minimizer(self) -> FloatArray:
        sizes = np.linalg.norm(self._global_minima, axis=1)
        return np.asarray(self._global_minima[sizes.argmin()])

    @property
    def minimum(self) -> float:
        return float(self.value(self.minimizer))

    @property
    def max_smoothness(self) -> float:
        return self.smoothness

    @property
    def average_smoothness(self) -> float:
        return self.smoothness

    @property
    def strong_convexity(self) -> float:
        return 0.0

    @property
    def pl_constant(self) -> float:
        return 0.0


class WellInBowl(Tilted):
    r"""A narrow well in the side of a wide bowl: a narrow minimum and a wide one.

    .. math:: f(x) = \frac w2\|x\|^2 - A\exp\Bigl(-\frac{\|x-m\|^2}{2s^2}\Bigr)

    Parameters
    ----------
    curvature : float, default 0.5
        :math:`w`, of the bowl.
    depth : float, default 0.3
        :math:`A`, of the well; deep enough for a minimum of its own.
    center : float or array_like of shape (dim,), default 2
        :math:`m`.
    width : float, default 0.1
        :math:`s`.
    tilts : array_like of shape (n_samples, dim), default (0,)
        The :math:`c_i`, of mean zero; see `Tilted`.

    Notes
    -----
    At a stationary point :math:`wx = \frac A{s^2}e^{-\|x-m\|^2/2s^2}(m - x)`, so that all of them
    lie between 0 and :math:`m` and are found on that segment.  In the direction of :math:`x-m` the
    curvature is :math:`w + \frac A{s^2}(1-2u)e^{-u}` with :math:`u = \|x-m\|^2/2s^2`, across it
    :math:`w + \frac A{s^2}e^{-u}`.  The former is least at :math:`u = \frac32`, where it is
    :math:`w - 2e^{-3/2}\frac A{s^2} > -\frac A{s^2}`; hence :math:`L = w + \frac A{s^2}`.
    """

    def __init__(
        self,
        curvature: float = 0.5,
        depth: float = 0.3,
        center: ArrayLike = 2.0,
        width: float = 0.1,
        tilts: ArrayLike = (0.0,),
    ) -> None:
        self.curvature = _validate.real("curvature", curvature, above=0)
        self.depth = _validate.real("depth", depth, above=0)
        self.center = np.atleast_1d(_validate.finite_array("center", center)).copy()
        if self.center.ndim != 1:
            raise ValueError(
                f"center: wanted a number or shape (dim,), got shape {self.center.shape}"
            )
        if not self.center.any():
            raise ValueError("center: wanted a point away from the origin, got zero")
        self.width = _validate.real("width", width, above=0)
        super().__init__(self.center.size, tilts)
        square = "x²" if self.dim == 1 else "‖x‖²"
        self.name = f"a well of width {self.width:g} in a bowl {self.curvature:g}/2 {square}"
        self._stationary = self._on_segment(self.center)
        if len(self._stationary) < 3:
            raise ValueError(
                f"depth: wanted enough for a second minimum, got {self.depth:g} with width "
                f"{self.width:g} in a bowl of curvature {self.curvature:g}"
            )

    def _on_segment(self, center: FloatArray) -> FloatArray:
        """Return the stationary points of the function with its well at `center`, from 0 outwards.

        On the segment, at ``t * center``, both sides of the equation in the notes are positive.
        The difference of their logarithms increases from minus to plus infinity, except between
        the two places where t (1 - t)² is (width / length)², if there are such places.
        """
        length = float(np.linalg.norm(center))
        if length == 0:
            return center[None]
        ratio = (self.width / length) ** 2
        pull = self.depth / self.width**2

        def balance(t: float, left: float) -> float:
            return math.log(self.curvature * t / (pull * left)) + left**2 / (2 * ratio)

        def near_zero(log_t: float) -> float:  # the minimum of the bowl may be as near as 1e-200
            return balance(math.exp(log_t), 1 - math.exp(log_t))

        def near_one(log_left: float) -> float:
            return balance(1 - math.exp(log_left), math.exp(log_left))

        def turn(t: float) -> float:
            return t * (1 - t) ** 2 - ratio

        turns = (
            [brentq(turn, 0, 1 / 3, **TIGHT), brentq(turn, 1 / 3, 1, **TIGHT)]
            if ratio < 4 / 27
            else [1 / 3, 1 / 3]
        )
        first, second = (balance(t, 1 - t) for t in turns)
        found = []
        if first > 0:
            low, high = -700.0, math.log(turns[0])
            found.append(
                math.exp(brentq(near_zero, low, high, **TIGHT)) if near_zero(low) < 0 else 0.0
            )
        if first > 0 > second:
            found.append(brentq(lambda t: balance(t, 1 - t), *turns, **TIGHT))
        if second < 0:
            low, high = math.log(1 - turns[1]), -36.0
            found.append(
                1 - math.exp(brentq(near_one, high, low, **TIGHT)) if near_one(high) > 0 else 1.0
            )
        return np.array(found or [turns[0]])[:, None] * center

    def _well(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return x - m, and how deep the well is at x, with an axis of length one."""
        offset = x - self.center
        squared = (offset**2).sum(axis=-1, keepdims=True)
        return offset, self.depth * np.exp(-squared / (2 * self.width**2))

    def value(self, x: FloatArray) -> FloatArray:
        return np.asarray(self.curvature / 2 * (x**2).sum(axis=-1) - self._well(x)[1][..., 0])

    def gradient(self, x: FloatArray) -> FloatArray:
        offset, well = self._well(x)
        return np.asarray(self.curvature * x + well / self.width**2 * offset)

    def hessian(self, x: FloatArray) -> FloatArray:
        """Return the matrix of second derivatives, shape ``(..., dim, dim)``."""
        offset, well = self._well(np.asarray(x))
        scaled = offset / self.width
        outer = scaled[..., :, None] * scaled[..., None, :]
        eye = np.eye(self.dim)
        return np.asarray(self.curvature * eye + (well / self.width**2)[..., None] * (eye - outer))

    @property
    def hessian_lipschitz(self) -> float:
        r"""The smallest Lipschitz constant of the Hessian.

        It is :math:`\frac A{s^3}\max_z|3z-z^3|e^{-z^2/2}`, attained at :math:`z^2 = 3-\sqrt6`.
        """
        squared = 3 - math.sqrt(6)
        largest = math.sqrt(squared) * (3 - squared) * math.exp(-squared / 2)
        return self.depth / self.width**3 * largest

    @property
    def minima(self) -> FloatArray:
        """The wide minimum and the narrow one, shape ``(2, dim)``."""
        return self._stationary[[0, 2]]

    @property
    def saddle(self) -> FloatArray:
        """The top of the barrier between the minima, shape ``(dim,)``."""
        return np.asarray(self._stationary[1])

    @property
    def smoothness(self) -> float:
        return self.curvature + self.depth / self.width**2

    @cached_property
    def component_minima(self) -> FloatArray:
        # Completing the square moves the bowl to 0 and the well to m + c/w.
        return np.array([self._tilted_minimum(tilt) for tilt in self.tilts])

    def _tilted_minimum(self, tilt: FloatArray) -> float:
        moved = tilt / self.curvature
        candidates = self._on_segment(self.center + moved) - moved
        return float((self.value(candidates) + candidates @ tilt).min())


class StrictSaddle(Tilted):
    r"""The function :math:`f(x, y) = \frac{x^2}2 - \frac{y^2}2 + \frac{y^4}4` of two variables.

    Its minima are :math:`(0, \pm1)`.  Between them, at the origin, it has a saddle with the
    curvatures 1 and -1; gradient descent is drawn to it along the x-axis and leaves it along y.

    Parameters
    ----------
    tilts : array_like of shape (n_samples, 2), default (0,)
        The :math:`c_i`, of mean zero; see `Tilted`.
    """

    name = "x²/2 - y²/2 + y⁴/4"

    def __init__(self, tilts: ArrayLike = (0.0,)) -> None:
        super().__init__(2, tilts)

    def value(self, x: FloatArray) -> FloatArray:
        return np.asarray(x[..., 0] ** 2 / 2 - x[..., 1] ** 2 / 2 + x[..., 1] ** 4 / 4)

    def gradient(self, x: FloatArray) -> FloatArray:
        return np.stack([x[..., 0], x[..., 1] ** 3 - x[..., 1]], axis=-1)

    def hessian(self, x: FloatArray) -> FloatArray:
        """Return the matrix of second derivatives, shape ``(..., 2, 2)``."""
        y = np.asarray(x)[..., 1, None, None]
        return np.asarray(np.diag([1.0, -1.0]) + np.diag([0.0, 3.0]) * y**2)

    @property
    def hessian_lipschitz(self) -> float:
        return math.inf

    @property
    def minima(self) -> FloatArray:
        """The points (0, -1) and (0, 1)."""
        return np.array([[0.0, -1.0], [0.0, 1.0]])

    @property
    def saddle(self) -> FloatArray:
        """The origin."""
        return np.zeros(2)

    @property
    def smoothness(self) -> float:
        return math.inf

    @property
    def component_minima(self) -> FloatArray:
        lowest = []
        for along, across in self.tilts:
            y = np.roots([1.0, 0.0, -1.0, across]).real
            lowest.append((y**4 / 4 - y**2 / 2 + across * y).min() - along**2 / 2)
        return np.array(lowest)


# ---- minima that differ in the noise around them ----------------------------------------------


class SharedMinima(FiniteSum):
    r"""Several minima, each shared by all components, which differ in their curvature there.

    .. math:: f_i(x) = \min_j \frac{h_{ij}}2(x - m_j)^2

    Every :math:`m_j` minimises every :math:`f_i`.  Around it :math:`f` has the curvature
    :math:`a_j = \frac1n\sum_ih_{ij}`, and the curvatures of the components have the variance
    :math:`s_j^2 = \frac1n\sum_i(h_{ij}-a_j)^2`.  Where two parabolas meet, :math:`f_i` has a kink;
    the gradient there is that of the parabola that comes first.

    Parameters
    ----------
    curvatures : array_like of shape (n_samples, count)
        The :math:`h_{ij} > 0`.
    centers : array_like of shape (count,)
        The :math:`m_j`, two or more, increasing.

    Examples
    --------
    >>> problem = SharedMinima([[2.0, 0.2], [2.0, 3.8]], [0.0, 1.0])
    >>> problem.mean_curvatures, problem.curvature_variances
    (array([2., 2.]), array([0.  , 3.24]))
    """

    name = "parabolas with shared minima"
    convex = components_convex = False

    def __init__(self, curvatures: ArrayLike, centers: ArrayLike) -> None:
        self.curvatures = _validate.finite_array("curvatures", curvatures, ndim=2).copy()
        self.centers = _validate.finite_array("centers", centers, ndim=1).copy()
        if (self.curvatures <= 0).any():
            raise ValueError(f"curvatures: wanted positive numbers, got {self.curvatures.min():g}")
        if self.centers.size < 2 or (np.diff(self.centers) <= 0).any():
            raise ValueError(
                f"centers: wanted two or more, in increasing order, got {self.centers}"
            )
        if self.curvatures.shape[1] != self.centers.size:
            raise ValueError(
                f"curvatures: wanted one column for each of {self.centers.size} centers, "
                f"got shape {self.curvatures.shape}"
            )
        self.n_samples, self.dim = len(self.curvatures), 1

    @property
    def mean_curvatures(self) -> FloatArray:
        r"""The :math:`a_j`, shape ``(count,)``."""
        return np.asarray(self.curvatures.mean(axis=0))

    @property
    def curvature_variances(self) -> FloatArray:
        r"""The :math:`s_j^2`, shape ``(count,)``."""
        return np.asarray(self.curvatures.var(axis=0))

    def _parabolas(self, x: FloatArray, curvatures: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return values and slopes of the lowest parabolas, for any rows of the curvatures."""
        offset = x[..., None] - self.centers
        heights = curvatures / 2 * offset**2
        lowest = heights.argmin(axis=-1)[..., None]
        slopes = curvatures * offset
        return (
            np.take_along_axis(heights, lowest, -1)[..., 0],
            np.take_along_axis(slopes, lowest, -1)[..., 0],
        )

    def value(self, x: FloatArray) -> FloatArray:
        return np.asarray(self._parabolas(x, self.curvatures)[0].mean(axis=-1))

    def gradient(self, x: FloatArray) -> FloatArray:
        return np.asarray(self._parabolas(x, self.curvatures)[1].mean(axis=-1, keepdims=True))

    def minibatch_gradient(self, x: FloatArray, indices: IntArray) -> FloatArray:
        slopes = self._parabolas(x, self.curvatures[indices])[1]
        return np.asarray(slopes.mean(axis=-1, keepdims=True))

    def component_values(self, x: FloatArray) -> FloatArray:
        return self._parabolas(x, self.curvatures)[0]

    def component_gradients(self, x: FloatArray) -> FloatArray:
        return self._parabolas(x, self.curvatures)[1][:, None]

    def distance_squared(self, x: FloatArray) -> FloatArray:
        return np.asarray(((x - self.centers) ** 2).min(axis=-1))

    @property
    def smoothness(self) -> float:
        return math.inf

    @property
    def max_smoothness(self) -> float:
        return math.inf

    @property
    def average_smoothness(self) -> float:
        return math.inf

    @property
    def strong_convexity(self) -> float:
        return 0.0

    @property
    def pl_constant(self) -> float:
        r"""The largest :math:`\mu` with :math:`\frac12f'(x)^2 \ge \mu f(x)` where f is smooth.

        Between two neighbouring kinks f is a parabola, and there the quotient of the two sides is
        least at the point nearest to its vertex.
        """
        root, ends = np.sqrt(self.curvatures), [-math.inf, math.inf]
        for j, k in itertools.combinations(range(self.centers.size), 2):
            for sign in (1, -1):
                weights = root[:, j], sign * root[:, k]
                meet = (weights[0] != -weights[1]).nonzero()[0]
                total = (weights[0] + weights[1])[meet]
                moments = weights[0] * self.centers[j] + weights[1] * self.centers[k]
                ends.extend(moments[meet] / total)
        constant = math.inf
        for low, high in itertools.pairwise(sorted(set(ends))):
            if math.isinf(low) or math.isinf(high):
                inside = high - 1 if math.isinf(low) else low + 1
            else:
                inside = (low + high) / 2
            lowest = (self.curvatures * (inside - self.centers) ** 2).argmin(axis=1)
            h, m = self.curvatures[np.arange(self.n_samples), lowest], self.centers[lowest]
            vertex = (h @ m) / h.sum()
            rise = h.mean() / 2 * (np.clip(vertex, low, high) - vertex) ** 2
            floor = np.mean(h / 2 * (vertex - m) ** 2) if np.ptp(m) else 0.0
            constant = min(constant, h.mean() * (rise / (rise + floor) if floor else 1.0))
        return float(constant)

    @property
    def minimum(self) -> float:
        return 0.0

    @property
    def minimizer(self) -> FloatArray:
        return self.centers[[np.abs(self.centers).argmin()]]

    @property
    def component_minima(self) -> FloatArray:
        return np.zeros(self.n_samples)
