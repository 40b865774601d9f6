"""Attacks on classifiers as constrained maximisation, Auto-PGD and Auto-FW, and a defence."""

from sgdnotes.attacks.algorithms import apgd, auto_fw, fgsm, frank_wolfe_attack, pgd
from sgdnotes.attacks.climb import AttackResult, checkpoints, rises_too_rarely, stands_still
from sgdnotes.attacks.models import (
    LOSSES,
    Classifier,
    CrossEntropy,
    DifferenceOfLogitsRatio,
    Loss,
)
from sgdnotes.attacks.perturbations import (
    NORMS,
    L2Perturbations,
    LinfPerturbations,
    Perturbations,
)
from sgdnotes.attacks.training import AdversarialMinibatch

__all__ = [
    "LOSSES",
    "NORMS",
    "AdversarialMinibatch",
    "AttackResult",
    "Classifier",
    "CrossEntropy",
    "DifferenceOfLogitsRatio",
    "L2Perturbations",
    "LinfPerturbations",
    "Loss",
    "Perturbations",
    "apgd",
    "auto_fw",
    "checkpoints",
    "fgsm",
    "frank_wolfe_attack",
    "pgd",
    "rises_too_rarely",
    "stands_still",
]
