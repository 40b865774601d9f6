"""The problem sets themselves, from handing out to marks.

Right solutions get full marks, blank ones nothing, and every wrong one fails the test meant for it,
with its message.  The k-th wrong solutions of all tasks are handed in as one notebook.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest
from grading.assignment import assign
from grading.check import Bench, constants, form_problems, hard_coded
from grading.course import Course
from grading.grade import Report, grade
from grading.leaks import find_leaks, secret_lines
from grading.notebook import EXERCISES, ProblemSet, grade_id, points, set_names
from grading.percent import Replacement, read_replacements
from submissions import answered

ROOT = EXERCISES.parent
HTML = ROOT / "_build" / "html"


@dataclass
class Tried:
    """A set after all of its solutions were handed in and graded."""

    source: ProblemSet
    course: Course
    mutants: list[Replacement]
    report: Report
    seconds: float
    totals: dict[str, float | None] = field(default_factory=dict)

    def failed(self, student: str) -> dict[str, str]:
        """Return what each failed test told a student."""
        path = self.course.folder("autograded", student, self.source.name)
        cells = nbformat.read(path / f"{self.source.name}.ipynb", as_version=4).cells
        return {
            grade_id(cell): "\n".join(output.traceback)
            for cell in cells
            if cell.cell_type == "code" and grade_id(cell)
            for output in cell.outputs
            if output.output_type == "error"
        }


def groups(mutants: list[Replacement]) -> list[dict[str, Replacement]]:
    """Put the k-th wrong solutions of all tasks together."""
    grouped: list[dict[str, Replacement]] = []
    for item in mutants:
        place = next((group for group in grouped if item.task not in group), None)
        if place is None:
            grouped.append(place := {})
        place[item.task] = item
    return grouped


def hand_in(
    folder: Path, course: Course, name: str, codes: Mapping[str, Mapping[str, str]]
) -> Path:
    """Write submissions, each given by its answers."""
    released = course.released(name)
    for student, answers in codes.items():
        (folder / student).mkdir(parents=True)
        notebook = answered(released, answers)
        nbformat.write(notebook, folder / student / f"{name}.ipynb")
    return folder


def run(course: Course, name: str, inbox: Path) -> Report:
    return grade(course, name, inbox, jobs=os.cpu_count() or 1, quiet=True)


@pytest.fixture(scope="module", params=set_names())
def tried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    name, root = request.param, tmp_path_factory.mktemp(request.param)
    started = time.perf_counter()
    source = ProblemSet.read(name)
    mutants = read_replacements(EXERCISES / "mutants" / f"{name}.py")
    right = {grade_id(cell): cell.source for cell in source.cells("solution")}
    other = {
        item.task: item.code
        for item in read_replacements(EXERCISES / "alternatives" / f"{name}.py")
    }
    codes = {"solution": right, "alternative": {**right, **other}, "blank": {}}
    for k, group in enumerate(groups(mutants)):
        codes[f"wrong-{k}"] = right | {task: item.code for task, item in group.items()}
    course = Course(root / "course")
    assign(course, name)
    report = run(course, name, hand_in(root / "inbox", course, name, codes))
    seconds = time.perf_counter() - started
    print(f"\n{name}: {len(codes)} submissions in {seconds:.0f} s\n{report.summary}")
    totals = {row.student: row.total for row in report.rows}
    return Tried(source, course, mutants, report, seconds, totals)


def most(source: ProblemSet) -> float:
    """Return the points that code can reach."""
    return sum(points(cell) for cell in source.cells("test"))


def test_the_form_is_kept(tried: Tried) -> None:
    name = tried.source.name
    alternatives = read_replacements(EXERCISES / "alternatives" / f"{name}.py")
    assert form_problems(tried.source, alternatives, tried.mutants) == []


def test_right_solutions_get_full_marks_and_blank_ones_none(tried: Tried) -> None:
    for student in ("solution", "alternative"):
        assert tried.failed(student) == {}
        assert tried.totals[student] == most(tried.source)
    assert tried.totals["blank"] == 0


def test_every_wrong_solution_fails_its_test_with_its_message(tried: Tried, tmp_path: Path) -> None:
    name = tried.source.name
    unclear = {}
    for k, group in enumerate(groups(tried.mutants)):
        failed = tried.failed(f"wrong-{k}")
        for item in group.values():
            if item.message not in failed.get(item.test, ""):
                unclear[f"alone-{len(unclear)}"] = item
    if not unclear:
        return
    # A wrong solution of one task may hide that of another, so these are tried alone.
    right = {grade_id(cell): cell.source for cell in tried.source.cells("solution")}
    codes = {student: right | {item.task: item.code} for student, item in unclear.items()}
    run(tried.course, name, hand_in(tmp_path / "inbox", tried.course, name, codes))
    wrong = {
        f"{item.task} {item.name}": (item.message, tried.failed(student).get(item.test, "passes"))
        for student, item in unclear.items()
        if item.message not in tried.failed(student).get(item.test, "")
    }
    assert wrong == {}


def test_another_class_has_other_answers(tried: Tried, tmp_path: Path) -> None:
    name, seed = tried.source.name, tried.source.class_seed + 1
    answers = Bench(tried.source.for_class(seed - 1))
    theirs = tried.source.for_class(seed)
    assert theirs.notebook != tried.source.notebook
    codes = {
        "right": {grade_id(cell): cell.source for cell in theirs.cells("solution")},
        "last-years": hard_coded(theirs, answers.apart(lambda: constants(answers))),
    }
    codes["last-years"] = codes["right"] | codes["last-years"]
    course = Course(tmp_path / "course")
    assign(course, name, seed=seed)
    report = run(course, name, hand_in(tmp_path / "inbox", course, name, codes))
    totals = {row.student: row.total or 0 for row in report.rows}
    assert totals["right"] == most(tried.source)
    assert totals["last-years"] < most(tried.source)


def test_the_student_version_shows_no_secret(tried: Tried) -> None:
    secret = secret_lines(tried.source, EXERCISES)
    assert len(secret) > 50
    folder = tried.course.folder("release", tried.source.name)
    cells = nbformat.read(folder / f"{tried.source.name}.ipynb", as_version=4).cells
    assert find_leaks("\n".join(cell.source for cell in cells), secret) == []
    assert not any(cell.get("outputs") for cell in cells)
    assert find_leaks((folder / "README.md").read_text("utf-8"), secret) == []


def test_feedback_shows_no_hidden_test(tried: Tried) -> None:
    hidden = secret_lines(tried.source)
    page = tried.course.folder("feedback", "blank", tried.source.name)
    text = re.sub(
        r"<script.*?</script>",
        "",
        (page / f"{tried.source.name}.html").read_text("utf-8"),
        flags=re.S,
    )
    assert find_leaks(text, hidden, markup=True) == []


def test_the_time_is_reported(tried: Tried, record_property: Callable[[str, object], None]) -> None:
    assert re.search(r"submissions graded in \d+ s", tried.report.summary)
    count = len(tried.totals)
    record_property(
        "measured", f"grading {tried.source.name}: {count} submissions in {tried.seconds:.0f} s"
    )


@pytest.mark.parametrize("name", set_names())
def test_the_built_site_shows_no_secret(name: str) -> None:
    if not HTML.is_dir():
        pytest.skip("the book is not built: run make book")
    # Lines which a lecture has too are no secret.
    public = "\n".join(path.read_text("utf-8") for path in (ROOT / "lectures").glob("*.ipynb"))
    secret = secret_lines(ProblemSet.read(name), EXERCISES)
    secret = {line for line in secret if len(line) >= 40 and line.replace('"', '\\"') not in public}
    for path in HTML.rglob("*"):
        is_text = path.suffix in {".html", ".txt", ".md", ".ipynb", ".js", ".json", ".py", ".inv"}
        if is_text and path.is_file() and "vendor" not in path.parts:
            text = path.read_text("utf-8", errors="replace")
            leaks = find_leaks(text, secret, markup=path.suffix == ".html")
            # The instructors' page names the marks themselves.
            assert [line for line in leaks if line in secret] == [], path
    assert not list(HTML.rglob(f"{name}.ipynb"))
