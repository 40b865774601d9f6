"""What a late submission costs."""

from __future__ import annotations

import math
import re

from nbgrader.plugins import BasePlugin
from traitlets import Unicode

_DAILY = re.compile(r"(\d+(?:\.\d+)?)%?")


def check_policy(policy: str) -> str:
    """Return a policy that is understood: "none", "zero", or per cent a day.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if policy not in ("none", "zero") and not _DAILY.fullmatch(policy):
        raise ValueError(f"LATE must be none, zero or per cent a day such as 10, got {policy!r}")
    return policy


def sentence(policy: str) -> str:
    """Say what a late submission costs.

    Examples
    --------
    >>> sentence("10")
    'A late submission loses 10 % of the marks reached for every day begun.'
    """
    if policy == "none":
        return "A late submission loses no marks."
    if policy == "zero":
        return "A late submission gets no marks."
    return (
        f"A late submission loses {policy.rstrip('%')} % of the marks reached for every day begun."
    )


def penalty(policy: str, score: float, seconds: float) -> float:
    """Return the points that a late submission loses.

    "none" costs nothing, "zero" everything, and "10" ten per cent of the marks reached for every
    day begun.

    Examples
    --------
    >>> penalty("10", 20.0, 90_000)
    4.0
    """
    if policy == "none" or seconds <= 0:
        return 0.0
    if policy == "zero":
        return score
    match = _DAILY.fullmatch(check_policy(policy))
    assert match is not None
    return min(score, score * float(match[1]) / 100 * math.ceil(seconds / 86_400))


class LatePolicy(BasePlugin):  # type: ignore[misc]
    """The policy in the form in which nbgrader asks for it."""

    policy = Unicode("none", help="none, zero, or per cent a day").tag(config=True)

    def late_submission_penalty(
        self, student_id: str, score: float, total_seconds_late: float
    ) -> float | None:
        """Return the penalty for a late submission, None if there is none."""
        return penalty(self.policy, score, total_seconds_late) or None
