"""Least squares in continuous time: gradient flow, ridge, and diffusions that stand for SGD."""

from sgdnotes.flow.designs import (
    FixedDesign,
    Risk,
    descent_filter,
    flow_filter,
    gradient_flow,
    ridge_filter,
    ridge_path,
)
from sgdnotes.flow.expectations import FlowMoments, ProcessMoments
from sgdnotes.flow.processes import (
    ConstantCovarianceFlow,
    Langevin,
    Process,
    StochasticGradientFlow,
    euler_maruyama,
)

__all__ = [
    "ConstantCovarianceFlow",
    "FixedDesign",
    "FlowMoments",
    "Langevin",
    "Process",
    "ProcessMoments",
    "Risk",
    "StochasticGradientFlow",
    "descent_filter",
    "euler_maruyama",
    "flow_filter",
    "gradient_flow",
    "ridge_filter",
    "ridge_path",
]
