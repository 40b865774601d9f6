"""SGD Notes: the companion library of an executable course on stochastic gradient methods.

The names below are what a first reading needs; the rest lives in the modules `problems`,
`sampling`, `schedules`, `oracles`, `updates`, `engine`, `methods`, `moments`, `exact`, `attacks`,
`theorems`, `plots` and `widgets`, each built only on those before it.
"""

from sgdnotes import schedules
from sgdnotes.engine import Trace, run
from sgdnotes.exact import Expectation, enumerate_sgd, expected_sgd
from sgdnotes.methods import frank_wolfe, gradient_descent, sgd
from sgdnotes.problems import FiniteSum, LeastSquares, LogisticRegression, Ridge

__version__ = "0.1.0"

__all__ = [
    "Expectation",
    "FiniteSum",
    "LeastSquares",
    "LogisticRegression",
    "Ridge",
    "Trace",
    "__version__",
    "enumerate_sgd",
    "expected_sgd",
    "frank_wolfe",
    "gradient_descent",
    "run",
    "schedules",
    "sgd",
]
