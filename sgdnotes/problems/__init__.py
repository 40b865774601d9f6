"""Problems: finite sums with exact constants."""

from sgdnotes.problems.base import FiniteSum, check_problem
from sgdnotes.problems.landscapes import (
    Landscape,
    ScalarQuadratics,
    double_well,
    exponential,
    flat_bottom,
    gaussian_dip,
    linear,
    quadratic,
    quartic,
    sawtooth,
    sine_valley,
    soft_absolute,
)
from sgdnotes.problems.linear_models import LeastSquares, LinearModel, LogisticRegression, Ridge
from sgdnotes.problems.vocabulary import ConstrainedProblem, every_case

__all__ = [
    "ConstrainedProblem",
    "FiniteSum",
    "Landscape",
    "LeastSquares",
    "LinearModel",
    "LogisticRegression",
    "Ridge",
    "ScalarQuadratics",
    "check_problem",
    "double_well",
    "every_case",
    "exponential",
    "flat_bottom",
    "gaussian_dip",
    "linear",
    "quadratic",
    "quartic",
    "sawtooth",
    "sine_valley",
    "soft_absolute",
]
