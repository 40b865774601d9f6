"""Read marks from the grade book and write them as CSV and as a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin


@dataclass
class Row:
    """The marks of one student.

    Parameters
    ----------
    student
        The student.
    scores
        Marks by grade_id; empty if nothing could be graded.
    total
        What was reached, after the penalty for a late submission.
    penalty
        That penalty.
    submitted
        When, in UTC.
    late
        Seconds after the date due.
    to_read
        How many answers wait to be read by a person.
    remarks
        What was noticed.
    """

    student: str
    scores: dict[str, float] = field(default_factory=dict)
    total: float | None = None
    penalty: float = 0.0
    submitted: str = ""
    late: float = 0.0
    to_read: int = 0
    remarks: list[str] = field(default_factory=list)


def read_marks(database: Path, name: str, order: Sequence[str]) -> list[Row]:
    """Return a row for every submission of a set in the grade book, sorted by student."""
    rows = []
    with Gradebook(f"sqlite:///{database}") as gradebook:
        for submission in gradebook.find_assignment(name).submissions:
            grades = {
                grade.name: grade for notebook in submission.notebooks for grade in notebook.grades
            }
            # What nbgrader failed on is in the grade book too, with nothing entered.
            is_graded = any(
                grade.auto_score is not None or grade.manual_score is not None
                for grade in grades.values()
            )
            penalty = sum(book.late_submission_penalty or 0.0 for book in submission.notebooks)
            rows.append(
                Row(
                    student=submission.student.id,
                    scores={
                        test: float(grades[test].score)
                        for test in order
                        if is_graded and test in grades
                    },
                    total=float(submission.score) - penalty if is_graded else None,
                    penalty=penalty,
                    submitted=f"{submission.timestamp:%Y-%m-%d %H:%M}"
                    if submission.timestamp
                    else "",
                    late=float(submission.total_seconds_late),
                    to_read=is_graded
                    * sum(bool(grade.needs_manual_grade) for grade in grades.values()),
                )
            )
    return sorted(rows, key=lambda row: row.student)


def write_csv(path: Path, rows: Iterable[Row], most: Mapping[str, float]) -> None:
    """Write marks as CSV, one student a line.

    Parameters
    ----------
    path
        The file.
    rows
        The marks.
    most
        The points of every test and answer, in order.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = ["student", *most, "total", "maximum", "penalty"]
    columns += ["submitted", "seconds_late", "to_read", "remarks"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            marks = [number(row.scores.get(test)) for test in most]
            rest = [number(row.total), number(sum(most.values())), number(row.penalty)]
            remarks = one_line("; ".join(row.remarks))
            rest += [row.submitted, number(row.late), str(row.to_read), remarks]
            writer.writerow([row.student, *marks, *rest])


def export(database: Path, path: Path) -> None:
    """Write nbgrader's own table of all sets, which its documentation describes."""
    plugin = CsvExportPlugin(to=str(path))
    with Gradebook(f"sqlite:///{database}") as gradebook:
        plugin.export(gradebook)


def one_line(text: str) -> str:
    """Return text with nothing in it that moves a terminal's cursor, for example a line's end."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def number(value: float | None) -> str:
    """Return a number as a person writes it, "" for none."""
    return "" if value is None else f"{round(value, 2):g}"


def counted(number: int, thing: str) -> str:
    """Return a number of things in words: "1 cell", "2 cells"."""
    return f"{number} {thing}{'s' * (number != 1)}"


def table(rows: Iterable[Row], most: Mapping[str, float], tasks: Mapping[str, str]) -> str:
    """Return the summary that is printed: a line a student, marks by task, remarks last.

    Parameters
    ----------
    rows
        The marks.
    most
        The points of every test and answer.
    tasks
        The heading of the column in which each test or answer is counted.
    """
    headings = list(dict.fromkeys(tasks.values()))

    def by_task(scores: Mapping[str, float]) -> list[str]:
        sums = dict.fromkeys(headings, 0.0)
        for test, score in scores.items():
            sums[tasks[test]] += score
        return [number(value) for value in sums.values()] if scores else ["-"] * len(headings)

    lines = [["student", *headings, "total", "remarks"]]
    lines.append(["(most)", *by_task(most), number(sum(most.values())), ""])
    for row in rows:
        remarks = "; ".join([*row.remarks, *([f"{row.to_read} to read"] if row.to_read else [])])
        total = "-" if row.total is None else number(row.total)
        lines.append([row.student, *by_task(row.scores), total, one_line(remarks)])
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if k in (0, len(line) - 1) else text.rjust(width)
            for k, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
