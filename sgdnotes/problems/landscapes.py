r"""Functions of one variable whose shape makes a point, as finite sums with noise of any size.

Every landscape :math:`h` can be *tilted*: with numbers :math:`c_1, \dots, c_n` of mean zero the
components :math:`f_i(x) = h(x) + c_i x` average to :math:`h`, and the stochastic gradient is
:math:`h'(x) + c_i`, that is, the gradient plus noise whose variance :math:`\frac1n\sum_i c_i^2` is
the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.problems.base import FiniteSum, check_radius

Function = Callable[[FloatArray], FloatArray]


class Landscape(FiniteSum):
    r"""A function :math:`h:\mathbb R\to\mathbb R` split into :math:`f_i(x) = h(x) + c_i x`.

    Parameters
    ----------
    name : str
    function, derivative : callable
        :math:`h` and :math:`h'` (or a subgradient), elementwise on arrays.
    smoothness : float
        The smallest Lipschitz constant of :math:`h'`, infinite where there is none.
    minimum : float
        :math:`\inf h`, minus infinity for a function unbounded below.
    minimizers : sequence of float or (float, float)
        Global minimisers, points or intervals; empty where the infimum is not attained.
    convex : bool
    strong_convexity, pl_constant : float, default 0
    tilts : array_like of shape (n_samples,), default (0,)
        The :math:`c_i`, of mean zero.
    tilted_minimum : callable, optional
        ``c -> inf (h(x) + c x)`` for nonzero c; minus infinity when omitted.
    steepest : float, default infinity
        :math:`\sup |h'|`, over all of space.
    """

    def __init__(
        self,
        name: str,
        function: Function,
        derivative: Function,
        *,
        smoothness: float,
        minimum: float,
        minimizers: Sequence[float | tuple[float, float]],
        convex: bool,
        strong_convexity: float = 0.0,
        pl_constant: float = 0.0,
        tilts: ArrayLike = (0.0,),
        tilted_minimum: Callable[[float], float] | None = None,
        steepest: float = math.inf,
    ) -> None:
        self.tilts = _validate.finite_array("tilts", tilts, ndim=1)
        _validate.mean_zero("tilts", self.tilts)
        self.name = name
        self.n_samples, self.dim = self.tilts.size, 1
        self.convex = self.components_convex = convex
        self._intervals = np.array([np.broadcast_to(m, 2) for m in minimizers], dtype=float)
        self._function, self._derivative = function, derivative
        self._smoothness, self._minimum = smoothness, minimum
        self._strong_convexity, self._pl_constant = strong_convexity, pl_constant
        self._tilted_minimum = tilted_minimum
        self._steepest = steepest

    def value(self, x: FloatArray) -> FloatArray:
        return self._function(x[..., 0])

    def gradient(self, x: FloatArray) -> FloatArray:
        return self._derivative(x)

    def minibatch_gradient(self, x: FloatArray, indices: IntArray) -> FloatArray:
        return np.asarray(
            self._derivative(x) + self.tilts.take(indices).mean(axis=-1, keepdims=True)
        )

    def component_values(self, x: FloatArray) -> FloatArray:
        return np.asarray(self.value(x) + self.tilts * x[0])

    def component_gradients(self, x: FloatArray) -> FloatArray:
        return self._derivative(x) + self.tilts[:, None]

    def distance_squared(self, x: FloatArray) -> FloatArray:
        low, high = self._attained().T
        return np.asarray(((x - np.clip(x, low, high)) ** 2).min(axis=-1))

    def max_second_moment(self, radius: float = math.inf) -> float:
        radius, steepest = check_radius(radius), self._steepest
        if self.convex and radius < math.inf:  # slopes that grow are largest at an end
            steepest = float(np.abs(self._derivative(np.array([-radius, radius]))).max())
        return float(steepest**2 + (self.tilts**2).mean())

    @property
    def smoothness(self) -> float:
        return self._smoothness

    @property
    def max_smoothness(self) -> float:
        return self._smoothness

    @property
    def average_smoothness(self) -> float:
        return self._smoothness

    @property
    def strong_convexity(self) -> float:
        return self._strong_convexity

    @property
    def pl_constant(self) -> float:
        return self._pl_constant

    @property
    def minimum(self) -> float:
        return self._minimum

    @property
    def minimizer(self) -> FloatArray:
        low, high = self._attained().T
        candidates = np.clip(0.0, low, high)
        return np.asarray(candidates[[np.abs(candidates).argmin()]])

    @property
    def component_minima(self) -> FloatArray:
        below = self._tilted_minimum or (lambda tilt: -math.inf)
        return np.array([below(float(c)) if c else self.minimum for c in self.tilts])

    def _attained(self) -> FloatArray:
        if not self._intervals.size:
            raise ValueError(f"problem: wanted one whose minimum is attained, got {self.name}")
        return self._intervals


def quadratic(curvature: float, tilts: ArrayLike = (0.0,)) -> Landscape:
    r"""Return :math:`\frac h2x^2`, for which every bound of the PL theory is sharp.

    Parameters
    ----------
    curvature : float
        :math:`h > 0`.
    tilts : array_like of shape (n_samples,)
        The noise; see `Landscape`.
    """
    h = _validate.real("curvature", curvature, above=0)
    return Landscape(
        f"{h:g}/2 x²",
        lambda x: h / 2 * x**2,
        lambda x: h * x,
        smoothness=h,
        strong_convexity=h,
        pl_constant=h,
        minimum=0.0,
        minimizers=[0.0],
        convex=True,
        tilts=tilts,
        tilted_minimum=lambda c: -(c**2) / (2 * h),
    )


def sine_valley(tilts: ArrayLike = (0.0,)) -> Landscape:
    r"""Return :math:`x^2 + 3\sin^2x`: not convex, yet every stationary point is the minimum.

    The second derivative :math:`2 + 6\cos 2x` runs over [-4, 8], so :math:`L = 8`.  The PL
    constant is :math:`\inf_{x\ne0} f'(x)^2/(2f(x)) = 0.1755\ldots`; the value 1/32 of the
    literature (Karimi, Nutini and Schmidt, 2016) is valid but more than five times too small.

    Parameters
    ----------
    tilts : array_like of shape (n_samples,)
        The noise; see `Landscape`.
    """

    def function(x: FloatArray) -> FloatArray:
        return np.asarray(x**2 + 3 * np.sin(x) ** 2)

    def derivative(x: FloatArray) -> FloatArray:
        return np.asarray(2 * x + 3 * np.sin(2 * x))

    def tilted_minimum(c: float) -> float:
        # Where the derivative 2x + 3 sin 2x + c is zero, x is within 1.5 of -c/2.
        grid = -c / 2 + np.linspace(-1.5, 1.5, 2001)
        best = int((function(grid) + c * grid).argmin())
        bracket = grid[max(best - 1, 0)], grid[min(best + 1, 2000)]
        return float(
            minimize_scalar(
                lambda x: function(x) + c * x,
                bounds=bracket,
                method="bounded",
                options={"xatol": 1e-12},
            ).fun
        )

    ratio = minimize_scalar(
        lambda x: derivative(x) ** 2 / (2 * function(x)),
        bounds=(2.0, 2.4),
        method="bounded",
        options={"xatol": 1e-12},
    )
    return Landscape(
        "x² + 3 sin² x",
        function,
        derivative,
        smoothness=8.0,
        pl_constant=float(ratio.fun),
        minimum=0.0,
        minimizers=[0.0],
        convex=False,
        tilts=tilts,
        tilted_minimum=tilted_minimum,
    )


def double_well(tilts: ArrayLike = (0.0,)) -> Landscape:
    r"""Return :math:`(x^2-1)^2 + 0.3x`: two local minima, the left one global.

    Parameters
    ----------
    tilts : array_like of shape (n_samples,)
        The noise; see `Landscape`.
    """

    def tilted_minimum(c: float) -> float:
        stationary = np.roots([4.0, 0.0, -4.0, 0.3 + c]).real
        return float(((stationary**2 - 1) ** 2 + (0.3 + c) * stationary).min())

    lowest = float(np.roots([4.0, 0.0, -4.0, 0.3]).real.min())
    return Landscape(
        "(x² - 1)² + 0.3 x",
        lambda x: (x**2 - 1) ** 2 + 0.3 * x,
        lambda x: 4 * x * (x**2 - 1) + 0.3,
        smoothness=math.inf,
        minimum=(lowest**2 - 1) ** 2 + 0.3 * lowest,
        minimizers=[lowest],
        convex=False,
        tilts=tilts,
        tilted_minimum=tilted_minimum,
    )


def quartic() -> Landscape:
    """Return :math:`x^4`, whose gradient has no Lipschitz constant."""
    return Landscape(
        "x⁴",
        lambda x: x**4,
        lambda x: 4 * x**3,
        smoothness=math.inf,
        minimum=0.0,
        minimizers=[0.0],
        convex=True,
    )


def linear(slope: float = 1.0) -> Landscape:
    """Return `slope` times x, which is unbounded below."""
    m = _validate.real("slope", slope)
    return Landscape(
        f"{m:g} x",
        lambda x: m * x,
        lambda x: np.full(np.shape(x), m),
        smoothness=0.0,
        minimum=-math.inf,
        minimizers=[],
        convex=True,
        steepest=abs(m),
    )


def exponential() -> Landscape:
    """Return :math:`e^x`, whose infimum 0 is not attained."""
    return Landscape(
        "exp x", np.exp, np.exp, smoothness=math.inf, minimum=0.0, minimizers=[], convex=True
    )


def flat_bottom() -> Landscape:
    r"""Return :math:`\max(0, |x| - 1)`, minimised by every point of [-1, 1]."""
    return Landscape(
        "max(0, |x| - 1)",
        lambda x: np.maximum(0.0, np.abs(x) - 1),
        lambda x: np.where(np.abs(x) > 1, np.sign(x), 0.0),
        smoothness=math.inf,
        minimum=0.0,
        minimizers=[(-1.0, 1.0)],
        convex=True,
        steepest=1.0,
    )


def gaussian_dip() -> Landscape:
    r"""Return :math:`1 - e^{-x^2}`: smooth with L = 2, bounded, flat far away, not PL."""
    return Landscape(
        "1 - exp(-x²)",
        lambda x: -np.expm1(-(x**2)),
        lambda x: 2 * x * np.exp(-(x**2)),
        smoothness=2.0,
        minimum=0.0,
        minimizers=[0.0],
        convex=False,
        steepest=math.sqrt(2 / math.e),
    )


def soft_absolute(tilts: ArrayLike = (0.0,)) -> Landscape:
    r"""Return :math:`\sqrt{1+x^2} - 1`: convex with L = 1, growing only linearly, not PL.

    Parameters
    ----------
    tilts : array_like of shape (n_samples,)
        The noise; see `Landscape`.
    """
    return Landscape(
        "√(1 + x²) - 1",
        lambda x: np.hypot(1.0, x) - 1,
        lambda x: x / np.hypot(1.0, x),
        smoothness=1.0,
        minimum=0.0,
        minimizers=[0.0],
        convex=True,
        tilts=tilts,
        tilted_minimum=lambda c: math.sqrt(1 - c**2) - 1 if abs(c) <= 1 else -math.inf,
        steepest=1.0,
    )


def absolute(strong_convexity: float = 0.0, tilts: ArrayLike = (0.0,)) -> Landscape:
    r"""Return :math:`|x| + \frac\mu2x^2`, convex with a kink at its minimum.

    The subgradient returned at the kink is 0.

    Parameters
    ----------
    strong_convexity : float, default 0
        :math:`\mu \ge 0`.
    tilts : array_like of shape (n_samples,)
        The noise; see `Landscape`.
    """
    mu = _validate.real("strong_convexity", strong_convexity, at_least=0)

    def tilted_minimum(c: float) -> float:
        excess = max(0.0, abs(c) - 1)
        if not excess:
            return 0.0
        return -(excess**2) / (2 * mu) if mu else -math.inf

    return Landscape(
        f"|x| + {mu:g}/2 x²" if mu else "|x|",
        lambda x: np.abs(x) + mu / 2 * x**2,
        lambda x: np.sign(x) + mu * x,
        smoothness=math.inf,
        strong_convexity=mu,
        pl_constant=mu,
        minimum=0.0,
        minimizers=[0.0],
        convex=True,
        tilts=tilts,
        tilted_minimum=tilted_minimum,
        steepest=math.inf if mu else 1.0,
    )


def huber(slope: float, tilts: ArrayLike = (0.0,)) -> Landscape:
    r"""Return :math:`\frac12x^2` for :math:`|x| \le s`, and :math:`s|x| - \frac{s^2}2` beyond.

    It is convex with L = 1, and with the right slope s it is the smooth convex function on which
    gradient descent is slowest.

    Parameters
    ----------
    slope : float
        :math:`s > 0`, the slope far away.
    tilts : array_like of shape (n_samples,)
        The noise; see `Landscape`.
    """
    s = _validate.real("slope", slope, above=0)
    return Landscape(
        f"Huber's function with slope {s:.3g}",
        lambda x: np.where(np.abs(x) <= s, x**2 / 2, s * (np.abs(x) - s / 2)),
        lambda x: np.clip(x, -s, s),
        smoothness=1.0,
        minimum=0.0,
        minimizers=[0.0],
        convex=True,
        tilts=tilts,
        tilted_minimum=lambda c: -(c**2) / 2 if abs(c) <= s else -math.inf,
        steepest=s,
    )


def sawtooth(teeth: int, width: float) -> Landscape:
    r"""Return the function on which gradient descent makes the least progress, with L = 1.

    To the left of 0 it is the parabola :math:`\frac12(x+1)^2`.  To the right its slope is 1 at
    0, `width`, 2 `width`, ..., and between two of these points falls at rate 1 and rises again.
    A step of size `width` from one such point leads to the next, so that gradient descent started
    at ``teeth * width`` sees the slope 1 in every step, while f falls as little as its
    smoothness allows.

    Parameters
    ----------
    teeth : int
        Number of steps that descend over teeth.
    width : float
        At most 1: the step size, in units of 1/L.
    """
    teeth = _validate.integer("teeth", teeth, at_least=1)
    width = _validate.real("width", width, above=0)
    if width > 1:
        raise ValueError(f"width: wanted a number of at most 1, got {width:g}")
    half, area = width / 2, width - width**2 / 4  # the integral of the slope over one tooth

    def derivative(x: FloatArray) -> FloatArray:
        inside = np.mod(x, width)
        tooth = 1 - np.minimum(inside, width - inside)
        return np.where(x <= 0, 1 + x, np.where(x >= teeth * width, 1.0, tooth))

    def function(x: FloatArray) -> FloatArray:
        whole = np.clip(np.floor(x / width), 0, teeth)
        inside = np.maximum(x - whole * width, 0.0)
        beyond = inside - half
        rising = inside - np.where(beyond <= 0, inside**2 / 2, half**2 - (width - inside) ** 2 / 2)
        climb = whole * area + np.where(whole < teeth, rising, inside)
        return np.asarray(0.5 + np.where(x <= 0, x + x**2 / 2, climb))

    return Landscape(
        f"sawtooth with {teeth} teeth",
        function,
        derivative,
        smoothness=1.0,
        minimum=0.0,
        minimizers=[-1.0],
        convex=False,
    )


class ScalarQuadratics(FiniteSum):
    r"""Parabolas :math:`f_i(x) = \frac{h_i}2(x - b_i)^2` of one variable, some perhaps upside down.

    Only their average must be convex, so that this is the smallest family in which convexity of
    the sum and convexity of its components part ways.

    Parameters
    ----------
    curvatures : array_like of shape (n_samples,)
        The :math:`h_i`, of any sign but with a positive mean.
    centers : array_like of shape (n_samples,), optional
        The :math:`b_i`; all zero when omitted.
    """

    name = "scalar quadratics"
    convex = True

    def __init__(self, curvatures: ArrayLike, centers: ArrayLike | None = None) -> None:
        self.curvatures = _validate.finite_array("curvatures", curvatures, ndim=1)
        self.n_samples, self.dim = self.curvatures.size, 1
        given = np.zeros(self.n_samples) if centers is None else centers
        self.centers = _validate.finite_array("centers", given, ndim=1)
        if self.centers.shape != self.curvatures.shape:
            raise ValueError(
                f"centers: wanted one for each of {self.n_samples} curvatures, "
                f"got {self.centers.size}"
            )
        self._mean_curvature = float(self.curvatures.mean())
        if self._mean_curvature <= 0:
            raise ValueError(f"curvatures: wanted a positive mean, got {self._mean_curvature:g}")
        self.components_convex = bool((self.curvatures >= 0).all())
        self._center = float((self.curvatures @ self.centers) / self.curvatures.sum())

    def value(self, x: FloatArray) -> FloatArray:
        return self.gap(x) + self.minimum

    def gap(self, x: FloatArray) -> FloatArray:
        return self._mean_curvature / 2 * (x[..., 0] - self._center) ** 2

    def gradient(self, x: FloatArray) -> FloatArray:
        return self._mean_curvature * (x - self._center)

    def minibatch_gradient(self, x: FloatArray, indices: IntArray) -> FloatArray:
        slopes = self.curvatures.take(indices) * (x - self.centers.take(indices))
        return np.asarray(slopes.mean(axis=-1, keepdims=True))

    def component_values(self, x: FloatArray) -> FloatArray:
        return np.asarray(self.curvatures / 2 * (x[0] - self.centers) ** 2)

    def component_gradients(self, x: FloatArray) -> FloatArray:
        return np.asarray((self.curvatures * (x[0] - self.centers))[:, None])

    def max_second_moment(self, radius: float = math.inf) -> float:
        end = check_radius(radius)
        if end == math.inf:
            return math.inf  # the mean curvature is positive, so some slope grows without bound
        return max(self.gradient_second_moment(np.array([x])) for x in (-end, end))

    @property
    def smoothness(self) -> float:
        return self._mean_curvature

    @property
    def strong_convexity(self) -> float:
        return self._mean_curvature

    @property
    def pl_constant(self) -> float:
        return self._mean_curvature

    @property
    def max_smoothness(self) -> float:
        return float(np.abs(self.curvatures).max())

    @property
    def average_smoothness(self) -> float:
        return float(np.abs(self.curvatures).mean())

    @property
    def minimizer(self) -> FloatArray:
        return np.array([self._center])

    @property
    def minimum(self) -> float:
        return float(self.component_values(self.minimizer).mean())

    @property
    def component_minima(self) -> FloatArray:
        return np.where(self.curvatures >= 0, 0.0, -np.inf)
