"""Grading again, grading late, grading two classes."""

from __future__ import annotations

import csv
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest
import submissions
import tiny
from grading.assignment import assign
from grading.commands import main
from grading.course import Course
from grading.grade import Report, grade
from grading.late import check_policy, penalty
from grading.limits import Limits
from grading.notebook import ProblemSet
from grading.replay import Replay
from nbgrader.api import Gradebook

RIGHT = {"ps0-task1": submissions.RIGHT_1, "ps0-task2": submissions.RIGHT_2}


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("handed-out") / "all"
    course = Course(folder / "course", tiny.write_exercises(folder / "exercises"))
    assign(course, "ps0")
    return folder


@pytest.fixture
def course(handed_out: Path, tmp_path: Path) -> Course:
    shutil.copytree(handed_out, tmp_path, dirs_exist_ok=True)
    return Course(tmp_path / "course", tmp_path / "exercises")


def hand_in(course: Course, student: str, answers: dict[str, str], time: str = "") -> Path:
    inbox = course.root.parent / "inbox"
    (inbox / student).mkdir(parents=True, exist_ok=True)
    notebook = submissions.answered(course.released("ps0"), answers)
    nbformat.write(notebook, inbox / student / "ps0.ipynb")
    if time:
        (inbox / student / "timestamp.txt").write_text(time, "utf-8")
    return inbox


def run(course: Course, inbox: Path, **options: str) -> Report:
    return grade(course, "ps0", inbox, jobs=2, quiet=True, **options)


def mark_by_hand(course: Course, student: str, score: float) -> None:
    with Gradebook(f"sqlite:///{course.folder('gradebook.db')}") as gradebook:
        answer = gradebook.find_grade("ps0-task3-text", "ps0", "ps0", student)
        answer.manual_score, answer.needs_manual_grade = score, False
        comment = gradebook.find_comment("ps0-task3-text", "ps0", "ps0", student)
        comment.manual_comment = "well put"
        gradebook.db.commit()


def test_grading_again_keeps_what_was_marked_by_hand(course: Course) -> None:
    inbox = hand_in(course, "anna", {**RIGHT, "ps0-task3-text": "It is unbiased."})
    (first,) = run(course, inbox).rows
    assert (first.total, first.to_read) == (7, 1)
    mark_by_hand(course, "anna", 2.5)

    (same,) = run(course, inbox).rows
    assert (same.total, same.to_read) == (9.5, 0)
    page = course.folder("feedback", "anna", "ps0", "ps0.html").read_text("utf-8")
    assert "well put" in page

    # A new version is graded anew; the mark given by hand stays, and a person is asked to look.
    hand_in(course, "anna", {"ps0-task1": RIGHT["ps0-task1"], "ps0-task3-text": "It is biased."})
    hand_in(course, "berta", RIGHT)
    anna, berta = run(course, inbox).rows
    assert (anna.total, anna.to_read) == (4.5, 1)
    assert berta.total == 7
    assert len(list(course.folder("received", "ps0", "anna").glob("*.ipynb"))) == 2


def test_a_later_folder_adds_to_the_marks(course: Course, tmp_path: Path) -> None:
    inbox = hand_in(course, "anna", RIGHT)
    run(course, inbox)
    (inbox / "anna").rename(tmp_path / "put away")
    hand_in(course, "berta", {})
    report = run(course, inbox)
    assert [row.student for row in report.rows] == ["berta"]
    with report.marks.open(encoding="utf-8") as file:
        totals = {row["student"]: row["total"] for row in csv.DictReader(file)}
    assert totals == {"anna": "7", "berta": "0"}


def test_late_submissions_are_recorded_and_cost_what_was_decided(course: Course) -> None:
    hand_in(course, "early", RIGHT, "2027-03-01 23:00 UTC")
    hand_in(course, "hours", RIGHT, "2027-03-02 05:59:00+00:00")
    inbox = hand_in(course, "days", RIGHT, "2027-03-03 20:00:00 UTC")
    report = run(course, inbox, due="2027-03-01 23:59")
    assert [(row.student, row.total) for row in report.rows] == [
        ("days", 7),
        ("early", 7),
        ("hours", 7),
    ]
    assert "6.0 hours late, no penalty" in report.summary
    days, early, hours = run(course, inbox, late="10").rows
    assert (days.total, early.total, hours.total) == pytest.approx((7 - 1.4, 7, 7 - 0.7))
    assert days.penalty == pytest.approx(1.4)
    assert [row.total for row in run(course, inbox).rows] == pytest.approx([5.6, 7, 6.3])
    days, early, hours = run(course, inbox, late="zero").rows
    assert (days.total, early.total, hours.total) == (0, 7, 0)
    page = course.folder("feedback", "days", "ps0", "ps0.html").read_text("utf-8")
    assert "Late submission penalty" in page


def test_a_file_without_a_timestamp_has_its_own_time(course: Course) -> None:
    inbox = hand_in(course, "anna", RIGHT)
    (row,) = run(course, inbox, due="2001-01-01 00:00").rows
    assert row.late > 0
    assert row.submitted[:10] == f"{datetime.now(UTC):%Y-%m-%d}"


def test_penalties_by_hand() -> None:
    assert penalty("none", 10, 99) == 0
    assert penalty("zero", 10, 1) == 10
    assert penalty("zero", 10, 0) == 0
    assert penalty("5%", 10, 86_400) == 0.5
    assert penalty("5", 10, 86_401) == 1
    assert penalty("60", 10, 10 * 86_400) == 10
    with pytest.raises(ValueError, match="LATE must be none, zero or per cent"):
        check_policy("a bit")


def test_two_classes_have_other_numbers_and_both_are_graded(tmp_path: Path) -> None:
    exercises = tiny.write_exercises(tmp_path / "exercises")
    totals = {}
    for seed in (2026, 2027):
        course = Course(tmp_path / str(seed) / "course", exercises)
        assign(course, "ps0", seed=seed)
        assert f"CLASS = {seed}\n" in course.released("ps0").cells[2].source
        hand_in(course, "right", RIGHT)
        last_years = RIGHT["ps0-task2"].replace("2 * step", "2 * 0.149")
        inbox = hand_in(course, "last-years", {**RIGHT, "ps0-task2": last_years})
        totals[seed] = [row.total for row in run(course, inbox).rows]
    assert totals == {2026: [7, 7], 2027: [6, 7]}


def test_a_class_with_submissions_keeps_its_numbers(course: Course) -> None:
    run(course, hand_in(course, "anna", RIGHT))
    assign(course, "ps0", due="2030-01-01 12:00")
    with pytest.raises(ValueError, match=r"has 1 submission; take another folder.*COURSE="):
        assign(course, "ps0", seed=2031)


def test_what_is_asked_wrongly_is_said(course: Course, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no problem set 'ps9'; the sets here are: ps0"):
        assign(course, "ps9")
    with pytest.raises(ValueError, match="a time looks like"):
        assign(course, "ps0", due="tomorrow")
    with pytest.raises(ValueError, match="there is no folder"):
        run(course, tmp_path / "nowhere")
    (tmp_path / "inbox").mkdir()
    with pytest.raises(ValueError, match=r"no submissions in .*expected are <student>/ps0.ipynb"):
        run(course, tmp_path / "inbox")
    with pytest.raises(ValueError, match="was not handed out"):
        run(Course(tmp_path / "other", course.exercises), tmp_path / "inbox")


@pytest.mark.parametrize(
    ("late", "told"),
    [
        ("none", "A late submission loses no marks."),
        ("zero", "A late submission gets no marks."),
        ("10%", "A late submission loses 10 % of the marks reached for every day begun."),
    ],
)
def test_students_and_instructor_are_told_what_lateness_costs(
    course: Course, late: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--course", str(course.root), "--exercises", str(course.exercises)]
    options += ["--set", "ps0", "--due", "2027-03-01 23:59", "--late", late]
    assert main(["assignment", *options]) == 0
    assert f"due 2027-03-01 23:59.  {told}\n" in capsys.readouterr().out
    readme = course.folder("release", "ps0", "README.md").read_text("utf-8")
    assert f"It is due at 2027-03-01 23:59 UTC.  {told}\n" in readme


def test_the_summary_and_the_page_are_easy_to_read(course: Course) -> None:
    report = run(course, hand_in(course, "anna", RIGHT))
    assert "Marks of 1 student: " in report.summary
    assert "1 of 1 submission graded in" in report.summary
    page = course.folder("feedback", "anna", "ps0", "ps0.html").read_text("utf-8")
    assert '<a href="#ps0-task2-test-number">Test task2-test-number</a>' in page
    assert "<style>th, td {padding: 0 .5em}</style>" in page


def test_students_get_no_solution_and_no_hidden_test(course: Course) -> None:
    source = ProblemSet.read("ps0", course.exercises)
    text = "".join(
        path.read_text("utf-8") for path in course.folder("release").rglob("*") if path.is_file()
    )
    assert "average must give back one number" in text
    assert sum(map(len, (cell.source for cell in source))) > len(text) / 10
    for secret in ("SOLUTION", "HIDDEN", "solution-of", "hidden-test-of", "model-answer", "Rubric"):
        assert secret not in text


def test_a_student_version_that_shows_a_solution_is_refused(tmp_path: Path) -> None:
    exercises = tiny.write_exercises(tmp_path / "exercises")
    path = exercises / "source" / "ps0" / "ps0.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source += "\n\nHint: `return 2 * step  # solution-of-task-two`"
    nbformat.write(notebook, path)
    course = Course(tmp_path / "course", exercises)
    # The line is public now, so it is no secret; a file beside the notebook is one.
    assign(course, "ps0")
    (exercises / "source" / "ps0" / "ps0.ipynb").write_text(nbformat.writes(tiny.source_notebook()))
    extra = course.folder("source", "ps0", "hints.txt")
    extra.write_text("total = 0.0  # solution-of-task-one\n", "utf-8")
    with pytest.raises(ValueError, match="must not be handed out, it shows:\ntotal = 0"):
        assign(course, "ps0")


def test_what_nbgrader_fails_on_has_no_marks_and_a_line(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = hand_in(course, "anna", RIGHT)
    hand_in(course, "berta", RIGHT)

    def fail(self: Replay, notebook: object, resources: dict[str, dict[str, str]]) -> object:
        if resources["nbgrader"]["student"] == "anna":
            raise LookupError("nothing: here")
        return preprocess(self, notebook, resources)

    preprocess = Replay.preprocess
    monkeypatch.setattr(Replay, "preprocess", fail)
    anna, berta = run(course, inbox).rows
    assert (anna.total, anna.scores) == (None, {})
    assert anna.remarks[0] == "nbgrader failed: LookupError: nothing: here"
    assert berta.total == 7
    monkeypatch.undo()
    assert [row.total for row in run(course, inbox).rows] == [7, 7]


PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_pictures_in_answers_are_shown_and_missing_ones_are_named(course: Course) -> None:
    texts = {
        "ada": "Look: ![my sketch](attachment:my%20sk%C3%A4tch.png) there.",
        "bea": "Look: ![](attachment:gone.png) and ![](attachment:script.svg).",
        "cleo": "Look: ![x][1] and ![](&#97;ttachment:gone.png)\n\n[1]: attachment:gone.png",
    }
    for student, text in texts.items():
        inbox = hand_in(course, student, {**RIGHT, "ps0-task3-text": text})
        path = inbox / student / "ps0.ipynb"
        notebook = nbformat.read(path, as_version=4)
        notebook.cells[9].attachments = {
            "my skätch.png": {"image/png": PIXEL},
            "script.svg": {"image/svg+xml": "<svg onload='alert(1)'/>", "image/png": "PHN2Zz4="},
        }
        nbformat.write(notebook, path)
    report = run(course, inbox)
    assert [row.remarks for row in report.rows] == [[], [], []]
    ada, bea, cleo = (
        course.folder("feedback", student, "ps0", "ps0.html").read_text("utf-8")
        for student in texts
    )
    assert re.search(rf'<img[^>]*src="data:image/png;base64,{re.escape(PIXEL)}"', ada)
    assert "[picture gone.png] and [picture script.svg]" in bea
    assert PIXEL not in bea
    assert "gone.png" in cleo

    # Another picture under the same name is another answer.
    mark_by_hand(course, "ada", 2)
    assert run(course, inbox).rows[0].to_read == 0
    path = inbox / "ada" / "ps0.ipynb"
    other = PIXEL.replace("mNk", "mNj")
    path.write_text(path.read_text("utf-8").replace(PIXEL, other), "utf-8")
    assert run(course, inbox).rows[0].to_read == 1


def test_an_older_folder_does_not_undo_a_newer_submission(course: Course, tmp_path: Path) -> None:
    inbox = hand_in(course, "anna", {}, "2027-03-01 20:12")
    hand_in(course, "berta", RIGHT, "2027-03-01 20:12")
    run(course, inbox)
    shutil.copytree(inbox, tmp_path / "first")
    hand_in(course, "anna", RIGHT, "2027-03-01 20:18")
    assert [row.total for row in run(course, inbox).rows] == [7, 7]

    anna, berta = run(course, tmp_path / "first").rows
    assert (anna.total, anna.submitted) == (7, "2027-03-01 20:18")
    assert anna.remarks == ["older than the version graded before, which still counts"]
    assert berta.remarks == []
    anna, _ = run(course, inbox).rows
    assert (anna.total, anna.remarks) == (7, [])


def test_what_went_wrong_while_running_is_counted(course: Course) -> None:
    slow = "def average(x):\n    while True:\n        pass\n"
    inbox = hand_in(course, "anna", {**RIGHT, "ps0-task1": slow})
    hand_in(course, "berta", {**RIGHT, "ps0-task1": "import pandas\n" + RIGHT["ps0-task1"]})
    hand_in(course, "carla", {**RIGHT, "ps0-task1": "raise NotImplementedError()"})
    report = grade(course, "ps0", inbox, jobs=2, quiet=True, limits=Limits(cell=2))
    anna, berta, carla = report.rows
    assert (anna.remarks, anna.total) == (["1 call took too long"], 5)
    assert (berta.remarks, berta.total) == (["1 cell failed"], 5)
    assert carla.remarks == []
