"""Settings shared by all tests: a check that cannot run says so, and in CI it is a failure.

The exception are checks against packages that the project's environment leaves out on purpose.
Their reason begins with `OPTIONAL`; they are listed, too, and fail nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

OPTIONAL = "optional: "
STRICT = os.environ.get("CI") == "true" or os.environ.get("STRICT") == "1"


def _not_run(config: pytest.Config) -> Iterator[tuple[str, str]]:
    """Give the name and the reason of every test or module that was skipped."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    for report in reporter.stats.get("skipped", []) if reporter else []:
        reason = report.longrepr
        if isinstance(reason, tuple):
            reason = reason[2]
        yield report.nodeid, str(reason).removeprefix("Skipped: ")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """List what tests measured, and what was not run, by name and reason."""
    measured = [
        str(value)
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == "measured"
    ]
    if measured:
        terminalreporter.section("measured")
        for line in measured:
            terminalreporter.line(line)
    skipped = sorted(_not_run(config))
    if skipped:
        fails = STRICT and any(not reason.startswith(OPTIONAL) for _, reason in skipped)
        terminalreporter.section("not run" + (", which is a failure here" if fails else ""))
        for name, reason in skipped:
            terminalreporter.line(f"{name}: {reason}")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In strict mode, let a skipped test fail the run."""
    is_worker = hasattr(session.config, "workerinput")
    needed = [name for name, why in _not_run(session.config) if not why.startswith(OPTIONAL)]
    if STRICT and not is_worker and session.exitstatus == 0 and needed:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
