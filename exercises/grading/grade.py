"""Grade what students handed in: from a folder of files to marks and feedback."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from tqdm import tqdm

from .course import Course, Settings, quiet_nbgrader
from .feedback import make_offline
from .inbox import Submission, find, parse_time
from .late import check_policy
from .limits import Limits
from .marks import Row, counted, export, one_line, read_marks, table, write_csv
from .mend import Mended, UnreadableError, mend
from .notebook import ProblemSet, grade_id, points
from .process import readable_paths
from .replay import Replay
from .submission import NotRunError, Pool, Result, run_notebook

FEW = 3
_CAUSE = re.compile(r"\s*[\w.]+(Error|Exception|Entry|Warning)\b.*:")
_GUARDS = {
    "files": "This system has no Landlock: students' code can read files, and write yours.",
    "processes and network": "This system has no filter of system calls: students' code can start "
    "processes (they are ended afterwards) and use the network.",
}


@dataclass
class Report:
    """What came of grading.

    Parameters
    ----------
    rows
        A row for every student whose submission was looked at.
    summary
        The table and the lines below it, as they are printed.
    marks
        The file that holds the marks of all students.
    results
        How each submission ran.
    """

    rows: list[Row]
    summary: str
    marks: Path
    results: dict[str, Result] = field(default_factory=dict)


def grade(
    course: Course,
    name: str,
    folder: Path,
    *,
    due: str | None = None,
    late: str | None = None,
    limits: Limits | None = None,
    jobs: int = 1,
    quiet: bool = False,
) -> Report:
    """Grade the submissions of a set.

    Everything that a student wrote runs before the grade book is opened, and is over by then.
    Grading again keeps what was marked by hand.

    Parameters
    ----------
    course
        The course; the set was handed out from it.
    name
        The set.
    folder
        Where the submissions are; it is only read.
    due, late
        If given, they replace what was decided when the set was handed out.
    limits
        What a submission may use.
    jobs
        How many run at the same time.
    quiet
        Whether to show no progress.
    """
    started = time.perf_counter()
    if (settings := course.settings(name)) is None:
        raise ValueError(f"{name} was not handed out from {course.root}: make assignment PS={name}")
    settings = settings.changed(due=due, late=late)
    check_policy(settings.late)
    source, released = course.source(name), course.released(name)
    submissions, left = find(folder, name)
    rows = {one.student: Row(one.student, remarks=list(one.remarks)) for one in submissions}
    mended = _take_in(course, name, submissions, released, rows)
    limits = limits or Limits()
    results = _run_all(
        {s: m.notebook for s, (m, _) in mended.items()}, source, limits, jobs, rows, quiet
    )
    _keep_settings(course, name, settings)
    _enter(course, name, settings, {s: mended[s] for s in results}, results, rows, quiet)
    most = {grade_id(cell): points(cell) for cell in source.cells("test", "text")}
    everyone = _with_marks(course, name, rows, most)
    marks = course.folder("marks", f"{name}.csv")
    write_csv(marks, everyone, most)
    export(course.folder("gradebook.db"), course.folder("marks", "nbgrader.csv"))
    shown = sorted(rows.values(), key=lambda row: row.student)
    lines = [table(shown, most, {test: column(test, name) for test in most}), ""]
    lines += [f"Not looked at: {one_line(', '.join(left))}"] if left else []
    lacking = {guard for result in results.values() for guard in result.missing}
    if results:
        lines += exposed(course.root, course.exercises, folder)
    lines += [_GUARDS.get(guard, guard) for guard in sorted(lacking)]
    everybody = f"{'all ' * (len(everyone) > 1)}{counted(len(everyone), 'student')}"
    lines.append(f"Marks of {everybody}: {marks}")
    lines.append(f"Feedback: {course.folder('feedback')}/<student>/{name}/{name}.html")
    seconds = time.perf_counter() - started
    number = counted(len(submissions), "submission")
    lines.append(f"{len(results)} of {number} graded in {seconds:.0f} s")
    return Report(shown, "\n".join(lines), marks, results)


def exposed(*folders: Path) -> list[str]:
    """Return a line for every folder that lies where students' code must be able to read."""
    return [
        f"{folder} lies in {place}, which students' code can read: move it elsewhere."
        for folder in folders
        for place in readable_paths()
        if folder.resolve().is_relative_to(place)
    ]


def column(test: str, name: str) -> str:
    """Return the heading under which a test is counted: "ps1-task2-test-size" gives "task2"."""
    return re.sub(r"-(test|text).*$", "", test).removeprefix(f"{name}-")


def _take_in(
    course: Course,
    name: str,
    submissions: Iterable[Submission],
    released: NotebookNode,
    rows: dict[str, Row],
) -> dict[str, tuple[Mended, bool]]:
    """Keep the bytes of every submission, and put in nbgrader's place what can be graded.

    Returned with each is whether it is the same as when it was graded before.
    """
    taken = {}
    for one in submissions:
        if one.path is None:
            continue
        remarks = rows[one.student].remarks
        try:
            data = one.path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()[:12]
            kept = course.folder("received", name, one.student, f"{digest}.ipynb")
            kept.parent.mkdir(parents=True, exist_ok=True)
            if not kept.is_file():
                kept.write_bytes(data)
            stamp = (one.time or datetime.now(UTC)).astimezone(UTC)
            newest, time_of_newest = _graded_before(kept.parent)
            if newest not in ("", kept.name) and time_of_newest > stamp:
                data, stamp = kept.with_name(newest).read_bytes(), time_of_newest
                kept = kept.with_name(newest)
                remarks.append("older than the version graded before, which still counts")
            mended = mend(data, released)
        except (UnreadableError, OSError) as error:
            remarks.append(f"not graded: {error}")
            continue
        remarks += mended.remarks
        place = course.folder("submitted", one.student, name)
        seen = course.folder("received", name, one.student, "graded.json")
        sources = json.dumps(
            [[c.cell_type, c.source, c.get("attachments")] for c in mended.notebook.cells]
        )
        is_same = seen.is_file() and seen.read_text(encoding="utf-8") == sources
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        nbformat.write(mended.notebook, place / f"{name}.ipynb")
        (place / "timestamp.txt").write_text(f"{stamp:%Y-%m-%d %H:%M:%S.%f} UTC\n", "utf-8")
        seen.write_text(sources, encoding="utf-8")
        note = json.dumps({"file": kept.name, "time": stamp.isoformat()})
        seen.with_name("newest.json").write_text(note + "\n", encoding="utf-8")
        taken[one.student] = mended, is_same
    return taken


def _graded_before(received: Path) -> tuple[str, datetime]:
    """Return which of the files received from a student was graded last, "" for none, and its time.

    With it, grading an older folder again does not undo a newer submission.
    """
    path = received / "newest.json"
    if not path.is_file():
        return "", datetime.min.replace(tzinfo=UTC)
    note = json.loads(path.read_text(encoding="utf-8"))
    return note["file"], datetime.fromisoformat(note["time"])


def _run_all(
    notebooks: dict[str, NotebookNode],
    source: ProblemSet,
    limits: Limits,
    jobs: int,
    rows: dict[str, Row],
    quiet: bool,
) -> dict[str, Result]:
    results = {}
    bar = tqdm(total=len(notebooks), desc="Running", unit="notebook", disable=quiet)
    with bar, Pool() as pool, ThreadPoolExecutor(max(1, jobs)) as threads:
        tasks = {
            threads.submit(run_notebook, notebook, source, limits, pool): student
            for student, notebook in notebooks.items()
        }
        for task in as_completed(tasks):
            student = tasks[task]
            try:
                results[student] = result = task.result()
                rows[student].remarks += _remarks(result)
            except NotRunError as error:
                rows[student].remarks.append(f"not graded: {error}")
            bar.update()
    return results


def _remarks(result: Result) -> list[str]:
    remarks = []
    if result.slow:
        remarks.append(f"{counted(result.slow, 'cell')} took too long")
    if result.slow_calls:
        remarks.append(f"{counted(result.slow_calls, 'call')} took too long")
    if result.failed:
        remarks.append(f"{counted(result.failed, 'cell')} failed")
    if result.ended:
        remarks.append(f"stopped early: {result.ended}")
    return remarks


def _keep_settings(course: Course, name: str, settings: Settings) -> None:
    course.save_settings(name, settings)
    due = parse_time(settings.due).replace(tzinfo=None) if settings.due else None
    with Gradebook(f"sqlite:///{course.folder('gradebook.db')}") as gradebook:
        gradebook.update_or_create_assignment(name, duedate=due)


def _enter(
    course: Course,
    name: str,
    settings: Settings,
    mended: dict[str, tuple[Mended, bool]],
    results: dict[str, Result],
    rows: dict[str, Row],
    quiet: bool,
) -> None:
    """Enter the marks of all submissions that ran, and write their feedback."""
    Replay.results.update({(name, student): result for student, result in results.items()})
    with quiet_nbgrader():
        api = course.api(settings.late)
        for student in tqdm(sorted(results), desc="Marking", unit="notebook", disable=quiet):
            settled = _settled(course, name, student) if mended[student][1] else set()
            done = api.autograde(name, student)
            if done["success"]:
                _settle(course, name, student, settled)
            else:
                rows[student].remarks.append(f"nbgrader failed: {_cause(done)}")
        # All pages in one go are faster, but a few are not worth those of everyone.
        for chosen in [None] if len(results) > FEW else list(results):
            api.generate_feedback(name, chosen)
    for student in results:
        page = course.folder("feedback", student, name, f"{name}.html")
        if not page.is_file():
            rows[student].remarks.append("no feedback page could be made")
    for page in course.folder("feedback").glob(f"*/{name}/{name}.html"):
        make_offline(page)
    for student in results:
        Replay.results.pop((name, student), None)


def _cause(done: dict[str, Any]) -> str:
    """Return what nbgrader says was the cause of a failure, in one line."""
    lines = f"{done.get('error', '')}\n{done.get('log', '')}".splitlines()
    causes = [line.strip() for line in lines if _CAUSE.match(line) and "NbGraderExc" not in line]
    return causes[-1] if causes else "see its log"


def _settled(course: Course, name: str, student: str) -> set[str]:
    """Return what a person has marked and need not look at again."""
    with Gradebook(f"sqlite:///{course.folder('gradebook.db')}") as gradebook:
        try:
            notebook = gradebook.find_submission_notebook(name, name, student)
        except MissingEntry:
            return set()
        return {
            grade.name
            for grade in notebook.grades
            if grade.manual_score is not None and not grade.needs_manual_grade
        }


def _settle(course: Course, name: str, student: str, settled: set[str]) -> None:
    """Take back nbgrader's demand to look again at marks of a submission that is the same."""
    with Gradebook(f"sqlite:///{course.folder('gradebook.db')}") as gradebook:
        notebook = gradebook.find_submission_notebook(name, name, student)
        for grade_ in notebook.grades:
            if grade_.name in settled:
                grade_.needs_manual_grade = False
        gradebook.db.commit()


def _with_marks(
    course: Course, name: str, rows: dict[str, Row], most: dict[str, float]
) -> list[Row]:
    """Fill marks into the rows; return the rows of all students, those of earlier runs too."""
    path = course.folder("marks", f"{name}-remarks.json")
    remarks = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    remarks |= {student: row.remarks for student, row in rows.items()}
    everyone = {
        row.student: row for row in read_marks(course.folder("gradebook.db"), name, list(most))
    }
    for student, row in everyone.items():
        if row.late > 0:
            late = f"{row.late / 3600:.1f} hours late"
            cost = f", costs {row.penalty:g}" if row.penalty else ", no penalty"
            remarks[student] = [
                *(r for r in remarks.get(student, []) if " late" not in r),
                late + cost,
            ]
        row.remarks = remarks.get(student, [])
    for student in remarks.keys() - everyone.keys():
        everyone[student] = Row(student, remarks=remarks[student])
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(remarks, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    rows.update({student: everyone[student] for student in rows})
    return sorted(everyone.values(), key=lambda row: row.student)
