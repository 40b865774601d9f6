"""Make the version of a set that students get."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbgrader.api import Gradebook, MissingEntry

from .course import Course, Settings, quiet_nbgrader
from .inbox import parse_time
from .late import check_policy, sentence
from .leaks import find_leaks, secret_lines
from .marks import counted
from .notebook import ProblemSet

README = """\
# {title}

Open `{name}.ipynb` in Jupyter, in an environment in which the package `sgdnotes` of the course is
installed, and write your answers where `YOUR CODE HERE` and `YOUR ANSWER HERE` stand.  Leave all
other cells as they are: they are put back before grading.  Restart the kernel and run all cells
before you hand in the file, under the name `{name}.ipynb`.{due}
"""


def assign(
    course: Course,
    name: str,
    seed: int | None = None,
    due: str | None = None,
    late: str | None = None,
) -> Path:
    """Make the student version of a set and return its folder.

    Parameters
    ----------
    course
        The course.
    name
        The set.
    seed
        The class whose numbers it gets; by default those of last time, or the source's own.
    due
        When it is due, for example "2027-03-01 23:59" (UTC, or with an offset such as +01:00).
    late
        What late submissions cost.

    Raises
    ------
    ValueError
        If an argument is bad, if the set was handed out to another class and has submissions, or
        if the student version shows anything that it must not.
    """
    source = ProblemSet.read(name, course.exercises)
    old = course.settings(name)
    settings = (old or Settings(source.class_seed)).changed(seed=seed, due=due, late=late)
    check_policy(settings.late)
    time = parse_time(settings.due) if settings.due else None
    if old and old.seed != settings.seed and (count := _submissions(course, name)):
        raise ValueError(
            f"{name} was handed out to class {old.seed} and has {counted(count, 'submission')}; "
            f"take another folder for class {settings.seed}: COURSE=course-{settings.seed}"
        )
    course.prepare()
    ours = source.for_class(settings.seed)
    path = course.folder("source", name, f"{name}.ipynb")
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(ours.notebook, path)
    with quiet_nbgrader():
        done = course.api().generate_assignment(name)
    if not done["success"]:
        raise ValueError(f"nbgrader could not make the student version:\n{done.get('log', done)}")
    with Gradebook(f"sqlite:///{course.folder('gradebook.db')}") as gradebook:
        naive = time.replace(tzinfo=None) if time else None
        gradebook.update_or_create_assignment(name, duedate=naive)
    folder = course.folder("release", name)
    title = source.notebook.cells[0].source.splitlines()[0].lstrip("# ")
    due_line = f"\n\nIt is due at {time:%Y-%m-%d %H:%M} UTC.  " if time else ""
    due_line += sentence(settings.late) if time else ""
    readme = README.format(title=title or name, name=name, due=due_line)
    (folder / "README.md").write_text(readme, encoding="utf-8")
    check_release(folder, ours)
    course.save_settings(name, settings)
    return folder


def _submissions(course: Course, name: str) -> int:
    path = course.folder("gradebook.db")
    if not path.is_file():
        return 0
    with Gradebook(f"sqlite:///{path}") as gradebook:
        try:
            return len(gradebook.find_assignment(name).submissions)
        except MissingEntry:
            return 0


def check_release(folder: Path, source: ProblemSet) -> None:
    """Make sure that nothing which students get shows a solution or a hidden test.

    Raises
    ------
    ValueError
        If something does; its text names the lines, and the folder must not be handed out.
    """
    secret = secret_lines(source)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".ipynb":
                cells = nbformat.reads(text, as_version=4).cells
                if any(cell.get("outputs") for cell in cells):
                    raise ValueError(f"{path.name} still holds outputs")
                text = "\n".join(cell.source for cell in cells)
            if leaks := find_leaks(text, secret):
                raise ValueError(
                    f"{path.name} must not be handed out, it shows:\n" + "\n".join(leaks)
                )
