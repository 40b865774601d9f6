"""A course with one tiny set and a submission of every kind, graded in one go."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
import pytest
import submissions
import tiny
from grading import landlock, seccomp
from grading.assignment import assign
from grading.course import Course
from grading.grade import Report, grade
from grading.inbox import student_id
from grading.limits import Limits
from grading.marks import Row

GUARDED = bool(landlock.version()) and seccomp.available()
NOT_GRADED = {
    "not-json": "not JSON",
    "no-cells": "has no cells",
    "empty-file": "the file is empty",
    "empty-folder": "the folder is empty",
    "only-pdf": "no notebook: only ps0.pdf",
}
# Marks of the tests of tasks 1 and 2: 2, 1 and 4 points.
MARKS = {
    "correct": (2, 1, 4),
    "alternative": (2, 1, 4),
    "blank": (0, 0, 0),
    "mutant-0": (0, 0, 4),
    "mutant-1": (0, 1, 0),
    "mutant-2": (0, 1, 0),
    "hard-coded": (2, 1, 4),
    "looping": (2, 1, 4),
    "slow": (2, 0, 4),
    "stubborn": (2, 0, 0),
    "crashing": (0, 0, 0),
    "failing": (2, 1, 4),
    "leaving": (2, 1, 4),
    "killing": (0, 0, 0),
    "hungry": (0, 1, 4),
    "talkative": (2, 1, 4),
    "odd-values": (0, 1, 4),
    "tampered": (0, 1, 4),
    "hostile": (0, 1, 0),
    "missing-cells": (0, 1, 4),
    "repeated": (2, 1, 4),
    "nameless": (2, 1, 4),
    "wrong-name": (2, 1, 4),
    "old-kernel": (2, 1, 4),
    "old-format": (2, 1, 4),
    "strange": (2, 1, 4),
    "flat": (2, 1, 4),
    student_id("Jörg Ähm"): (2, 1, 4),
}
REMARKS = {
    "failing": "1 cell failed",
    "slow": "1 call took too long",
    "looping": "1 cell took too long",
    "stubborn": "did not stop when it was told to",
    "crashing": "segmentation fault",
    "killing": "killed",
    "tampered": "changed locked cells, restored: ps0-class, ps0-task2-test-gradient",
    "missing-cells": "missing cells, put back: ps0-setup, ps0-task1",
    "repeated": "more than once, the last counts: ps0-task1",
    "nameless": "were recognised",
    "wrong-name": "wrong name, taken for ps0.ipynb: Untitled (1).ipynb",
    "old-kernel": "written for the kernel 'python2'",
    "old-format": "old notebook format 3",
}
MESSAGES = {
    "mutant-0": ("constants must be kept", "does not belong to your class"),
    "mutant-1": ("constants must be kept", "check its sign"),
    "mutant-2": ("one number", "its length"),
    "slow": ("took longer than",),
    "hungry": ("MemoryError",),
    "odd-values": ("a set is not plain data",),
    "killing": ("process of the notebook has ended",),
    "missing-cells": ("is not defined",),
    "blank": ("has no answer yet",),
}


def fingerprints(paths: list[Path]) -> dict[str, object]:
    """Return what a hostile submission could have changed about files."""
    return {
        str(path): (
            path.stat().st_mode,
            path.stat().st_mtime,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in paths
        if path.is_file()
    }


@dataclass
class Graded:
    """The course after grading, and what was there before."""

    course: Course
    inbox: Path
    report: Report
    before: dict[str, object]
    targets: list[Path]
    seconds: float

    @property
    def rows(self) -> dict[str, Row]:
        return {row.student: row for row in self.report.rows}

    def feedback(self, student: str) -> str:
        return (self.course.folder("feedback", student, "ps0") / "ps0.html").read_text("utf-8")


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    root = tmp_path_factory.mktemp("grading")
    exercises = tiny.write_exercises(root / "exercises")
    course = Course(root / "course", exercises)
    assign(course, "ps0", due="2030-01-01 12:00")
    inbox = root / "inbox"
    inbox.mkdir()
    targets = [
        course.folder("gradebook.db"),
        course.folder("source", "ps0", "ps0.ipynb"),
        course.folder("submitted", "correct", "ps0", "ps0.ipynb"),
        inbox / "correct" / "ps0.ipynb",
        exercises / "mutants" / "ps0.py",
        root / "home" / "secret.txt",
    ]
    (root / "home").mkdir()
    targets[-1].write_text("secret", "utf-8")
    # Where nothing holds it back, the hostile notebook would do what it tries.
    targets = targets if GUARDED else []
    submissions.write_all(inbox, course.released("ps0"), exercises, targets)
    kept = [path for path in targets if "course" not in path.parts]
    before = fingerprints(kept)
    started = time.perf_counter()
    limits = Limits(cell=8, total=100, memory=3, output=100_000)
    report = grade(course, "ps0", inbox, limits=limits, jobs=os.cpu_count() or 1, quiet=True)
    print("\n" + report.summary)
    return Graded(course, inbox, report, before, kept, time.perf_counter() - started)


def test_every_submission_has_a_row_and_the_marks_it_should_have(graded: Graded) -> None:
    assert set(graded.rows) == MARKS.keys() | NOT_GRADED.keys()
    tests = ("ps0-task1-test", "ps0-task2-test-number", "ps0-task2-test-gradient")
    marks = {
        student: tuple(row.scores[test] for test in tests)
        for student, row in graded.rows.items()
        if row.scores
    }
    assert marks == MARKS


@pytest.mark.parametrize(("student", "remark"), [*REMARKS.items(), *NOT_GRADED.items()])
def test_what_was_wrong_with_a_submission_is_said_in_one_line(
    graded: Graded, student: str, remark: str
) -> None:
    (line,) = (line for line in graded.report.summary.splitlines() if line.startswith(student))
    assert remark in line


def test_submissions_in_order_have_no_remark(graded: Graded) -> None:
    for student in ("correct", "alternative", "blank", "mutant-0", "flat", "hostile"):
        assert graded.rows[student].remarks == []


@pytest.mark.parametrize("student", [student for student in NOT_GRADED])
def test_a_submission_that_cannot_be_graded_has_no_marks(graded: Graded, student: str) -> None:
    assert graded.rows[student].total is None
    assert graded.rows[student].scores == {}


def test_what_is_no_submission_is_named(graded: Graded) -> None:
    assert "Not looked at: notes.txt" in graded.report.summary


@pytest.mark.parametrize(("student", "messages"), MESSAGES.items())
def test_feedback_tells_the_student_what_is_wrong(
    graded: Graded, student: str, messages: tuple[str, ...]
) -> None:
    page = re.sub(r"&#39;|&apos;", "'", re.sub(r"<[^<>]*>", "", graded.feedback(student)))
    for message in messages:
        assert message in page


def test_feedback_shows_no_hidden_test_and_no_solution(graded: Graded) -> None:
    for student in MARKS:
        page = graded.feedback(student)
        for secret in ("HIDDEN TESTS", "hidden-test-of", "solution-of", "model-answer-of"):
            assert secret not in page


def test_nothing_of_the_students_runs_in_a_page(graded: Graded) -> None:
    for student in ("correct", student_id("Jörg Ähm")):
        page = graded.feedback(student)
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert page.count("<script") == 1
        autograded = graded.course.folder("autograded", student, "ps0", "ps0.ipynb")
        cells = nbformat.read(autograded, as_version=4).cells
        assert not any("<script" in cell.source for cell in cells if cell.cell_type == "markdown")


def test_feedback_loads_nothing(graded: Graded) -> None:
    page = graded.feedback("correct")
    body = re.sub(r"<script nonce=.*?</script>", "", page, flags=re.S)
    assert "default-src 'none'" in body
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", body)
    assert not re.search(r"url\(\s*[\"']?(https?:)?//|@import", body)


def test_feedback_opens_in_a_browser_without_a_request(graded: Graded) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    found = next((path for path in CHROMIUMS if Path(path).exists()), None)
    if found is None:
        pytest.skip("Chromium is not installed, so no feedback page was opened in a browser")
    page_file = graded.course.folder("feedback", "correct", "ps0", "ps0.html")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page()
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(page_file.as_uri())
        page.wait_for_selector("mjx-container", timeout=20_000)
        browser.close()
    others = [url for url in requests if not url.startswith(("data:", page_file.as_uri()))]
    assert others == []


CHROMIUMS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")


def hostile_findings(graded: Graded) -> list[tuple[str, str]]:
    autograded = graded.course.folder("autograded", "hostile", "ps0", "ps0.ipynb")
    text = nbformat.read(autograded, as_version=4).cells[-1].outputs[0].text
    return eval(text.splitlines()[0])  # a list of pairs of strings, written by our own submission


@pytest.mark.skipif(not GUARDED, reason="this system has no Landlock or no filter of calls")
def test_a_hostile_submission_reaches_nothing(graded: Graded) -> None:
    findings = hostile_findings(graded)
    assert len(findings) > 40
    assert [pair for pair in findings if not pair[1].startswith("REFUSED")] == []


def test_a_hostile_submission_changes_no_file(graded: Graded) -> None:
    assert fingerprints(graded.targets) == graded.before
    assert not list(graded.course.root.rglob("hostile.*"))
    assert not any(path.name == "hostile" for path in graded.inbox.rglob("*/hostile"))


def test_a_hostile_submission_sees_no_test(graded: Graded) -> None:
    autograded = graded.course.folder("autograded", "hostile", "ps0", "ps0.ipynb")
    cells = nbformat.read(autograded, as_version=4).cells
    shown = json.dumps([cell.outputs for cell in cells if cell.cell_type == "code"])
    assert "hidden-test-of" not in shown


def test_no_process_is_left(graded: Graded) -> None:
    left = [process.cmdline() for process in psutil.Process().children(recursive=True)]
    assert not [line for line in left if "sleep" in line or "grading.worker" in line]


def test_limits_hold(graded: Graded) -> None:
    talk = graded.course.folder("autograded", "talkative", "ps0", "ps0.ipynb")
    assert talk.stat().st_size < 300_000
    assert all(result.seconds < 60 for result in graded.report.results.values())


def test_every_byte_is_kept(graded: Graded) -> None:
    kept = {
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in graded.course.folder("received").rglob("*.ipynb")
    }
    for path in graded.inbox.rglob("*.ipynb"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in kept


def test_marks_are_written_as_csv(graded: Graded) -> None:
    with graded.report.marks.open(encoding="utf-8") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert rows.keys() == MARKS.keys() | NOT_GRADED.keys()
    assert rows["correct"]["total"] == "7"
    assert rows["correct"]["maximum"] == "10"
    assert rows["correct"]["to_read"] == "1"
    assert rows["not-json"]["total"] == ""
    assert "not JSON" in rows["not-json"]["remarks"]


def test_the_time_is_reported(
    graded: Graded, record_property: Callable[[str, object], None]
) -> None:
    assert re.search(r"28 of 33 submissions graded in \d+ s", graded.report.summary)
    record_property("measured", f"grading ps0: 33 submissions in {graded.seconds:.0f} s")
