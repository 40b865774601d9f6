"""Least squares in continuous time: gradient flow, ridge, and diffusions that stand for SGD."""

from sgdnotes.flow.bounds import (
    FlowBounds,
    Maximum,
    commutes,
    filter_gap,
    filter_ratio,
    peak_times,
    tuned_risk_ratio,
)
from sgdnotes.flow.designs import (
    FixedDesign,
    Risk,
    descent_filter,
    flow_filter,
    gradient_flow,
    ridge_filter,
    ridge_path,
)
from sgdnotes.flow.expectations import (
    FlowMoments,
    ProcessMoments,
    Thresholds,
    stability_thresholds,
)
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
    "FlowBounds",
    "FlowMoments",
    "Langevin",
    "Maximum",
    "Process",
    "ProcessMoments",
    "Risk",
    "StochasticGradientFlow",
    "Thresholds",
    "commutes",
    "descent_filter",
    "euler_maruyama",
    "filter_gap",
    "filter_ratio",
    "flow_filter",
    "gradient_flow",
    "peak_times",
    "ridge_filter",
    "ridge_path",
    "stability_thresholds",
    "tuned_risk_ratio",
]
