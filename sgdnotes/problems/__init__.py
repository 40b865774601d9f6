"""Problems with exact constants: finite sums, and expectations over fresh samples."""

from sgdnotes.problems.base import (
    FiniteSum,
    Objective,
    Population,
    check_objective,
    check_problem,
)
from sgdnotes.problems.classifiers import (
    Block,
    Convolution,
    Network,
    NetworkClassifier,
    check_classes,
    cross_entropy,
    cross_entropy_slope,
)
from sgdnotes.problems.digits import Digits, digits
from sgdnotes.problems.kinks import cantor, reverse_huber
from sgdnotes.problems.landscapes import (
    Landscape,
    ScalarQuadratics,
    absolute,
    double_well,
    exponential,
    flat_bottom,
    gaussian_dip,
    huber,
    linear,
    quadratic,
    quartic,
    sawtooth,
    sine_valley,
    soft_absolute,
)
from sgdnotes.problems.linear_models import (
    LeastSquares,
    LinearModel,
    LogisticRegression,
    Ridge,
)
from sgdnotes.problems.networks import ReluNetwork
from sgdnotes.problems.piecewise_linear import (
    LeastAbsoluteDeviations,
    PiecewiseLinearModel,
    SupportVectorMachine,
)
from sgdnotes.problems.populations import GaussianLeastSquares, NormalMedian
from sgdnotes.problems.quadratics import (
    DeterministicQuadratic,
    GaussianQuadratic,
    QuadraticForm,
    TiltedQuadratic,
    saddle,
)
from sgdnotes.problems.robust import RobustRegression
from sgdnotes.problems.vocabulary import ConstrainedProblem, every_case
from sgdnotes.problems.wells import (
    SharedMinima,
    StrictSaddle,
    Tilted,
    WellInBowl,
    gaussian_tilts,
    local_minima,
    rippled_gaussian,
    stationary_points,
)

__all__ = [
    "Block",
    "ConstrainedProblem",
    "Convolution",
    "DeterministicQuadratic",
    "Digits",
    "FiniteSum",
    "GaussianLeastSquares",
    "GaussianQuadratic",
    "Landscape",
    "LeastAbsoluteDeviations",
    "LeastSquares",
    "LinearModel",
    "LogisticRegression",
    "Network",
    "NetworkClassifier",
    "NormalMedian",
    "Objective",
    "PiecewiseLinearModel",
    "Population",
    "QuadraticForm",
    "ReluNetwork",
    "Ridge",
    "RobustRegression",
    "ScalarQuadratics",
    "SharedMinima",
    "StrictSaddle",
    "SupportVectorMachine",
    "Tilted",
    "TiltedQuadratic",
    "WellInBowl",
    "absolute",
    "cantor",
    "check_classes",
    "check_objective",
    "check_problem",
    "cross_entropy",
    "cross_entropy_slope",
    "digits",
    "double_well",
    "every_case",
    "exponential",
    "flat_bottom",
    "gaussian_dip",
    "gaussian_tilts",
    "huber",
    "linear",
    "local_minima",
    "quadratic",
    "quartic",
    "reverse_huber",
    "rippled_gaussian",
    "saddle",
    "sawtooth",
    "sine_valley",
    "soft_absolute",
    "stationary_points",
]
