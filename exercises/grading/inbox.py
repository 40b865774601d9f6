"""Find the submissions in a folder, whichever way an instructor got them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

_STRANGE = re.compile(r"[^A-Za-z0-9_.@-]+")
_HIDDEN = re.compile(r"^[.~]|^__MACOSX$|^Thumbs\.db$|^desktop\.ini$")


@dataclass
class Submission:
    """What one student handed in.

    Parameters
    ----------
    student
        The student's name in the grade book.
    path
        The notebook, or None if there is none.
    time
        When it was handed in.
    remarks
        What was noticed, each a short phrase.
    """

    student: str
    path: Path | None
    time: datetime | None = None
    remarks: list[str] = field(default_factory=list)


def student_id(name: str) -> str:
    """Return a name that is safe as a folder's, different for different names."""
    clean = _STRANGE.sub("-", name.strip()).strip("-.@")
    if clean == name:
        return clean
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return f"{clean or 'student'}-{digest}"


def find(folder: Path, name: str) -> tuple[list[Submission], list[str]]:
    """Return the submissions of a set in a folder, and the files that are none.

    Understood are ``<student>/ps1.ipynb``, ``<student>/ps1/ps1.ipynb``, ``<student>_ps1.ipynb`` and
    ``<student>.ipynb``, mixed as they come.

    Parameters
    ----------
    folder
        Where the submissions are.
    name
        The name of the problem set.
    """
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    found: dict[str, Submission] = {}
    left: list[str] = []
    for path in sorted(folder.iterdir()):
        if _HIDDEN.match(path.name) or path.name == "timestamp.txt":
            continue
        if path.is_symlink():
            left.append(f"{path.name} (a link is not followed)")
            continue
        if path.is_dir():
            new = _from_folder(path, name)
        elif path.suffix.lower() == ".ipynb":
            new = _from_file(path, name)
        else:
            left.append(f"{path.name} (not a notebook)")
            continue
        old = found.get(new.student)
        found[new.student] = new if old is None else _newer(old, new)
    if not found:
        raise ValueError(
            f"there are no submissions in {folder}; expected are <student>/{name}.ipynb or "
            f"<student>_{name}.ipynb"
        )
    return list(found.values()), left


def _from_file(path: Path, name: str) -> Submission:
    stem = path.stem
    match = re.match(rf"(?P<student>.+?)[_ -]+{re.escape(name)}(?![0-9])", stem, re.I)
    student = student_id(match["student"] if match else stem)
    return Submission(student, path, _modified(path))


def _from_folder(folder: Path, name: str) -> Submission:
    student = student_id(folder.name)
    notebooks = sorted(_notebooks(folder))
    inner = folder / name
    there = [
        path for path in (folder / f"{name}.ipynb", inner / f"{name}.ipynb") if path in notebooks
    ]
    remarks = []
    if there:
        path = max(there, key=_modified)
    elif notebooks:
        named = [path for path in notebooks if name.lower() in path.stem.lower()]
        path = max(named or notebooks, key=_modified)
        remarks.append(f"wrong name, taken for {name}.ipynb: {path.relative_to(folder)}")
        if len(notebooks) > 1:
            remarks.append(f"{len(notebooks)} notebooks, the others not looked at")
    else:
        files = sorted(path.name for path in _files(folder))
        what = f"only {', '.join(files[:3])}" if files else "the folder is empty"
        return Submission(student, None, None, [f"no notebook: {what}"])
    time, remark = _time(path, folder)
    return Submission(student, path, time, remarks + remark)


def _notebooks(folder: Path) -> Iterator[Path]:
    return (path for path in _files(folder) if path.suffix.lower() == ".ipynb")


def _files(folder: Path) -> Iterator[Path]:
    """Give the files in a folder and two levels below; links are not followed."""
    for place, folders, files in os.walk(folder):
        is_deep = len(Path(place).relative_to(folder).parts) == 2
        folders[:] = [] if is_deep else [name for name in folders if not _HIDDEN.match(name)]
        for path in (Path(place, name) for name in files if not _HIDDEN.match(name)):
            if path.is_file() and not path.is_symlink():
                yield path


def _time(path: Path, folder: Path) -> tuple[datetime, list[str]]:
    for place in (path.parent, folder):
        stamp = place / "timestamp.txt"
        if stamp.is_file() and not stamp.is_symlink():
            try:
                return parse_time(stamp.read_text(encoding="utf-8", errors="replace")[:100]), []
            except ValueError:
                return _modified(path), ["timestamp.txt holds no time; the file's own is taken"]
    return _modified(path), []


def parse_time(text: str) -> datetime:
    """Return the time that a text gives, in UTC unless the text says otherwise.

    Examples
    --------
    >>> parse_time("2027-03-01 23:59").isoformat()
    '2027-03-01T23:59:00+00:00'
    """
    text = re.sub(r" (UTC|GMT|Z)$", "+00:00", text.strip())
    try:
        time = datetime.fromisoformat(text)
        time = (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        time = datetime.min
    if not 1970 <= time.year < 9999:
        raise ValueError(f"a time looks like '2027-03-01 23:59', got {text!r}")
    return time


def _modified(path: Path) -> datetime:
    # An archive may hold any number here, and not every number is a date.
    return datetime.fromtimestamp(min(max(path.stat().st_mtime, 0), 2**32), UTC)


def _newer(old: Submission, new: Submission) -> Submission:
    def rank(one: Submission) -> tuple[bool, float]:
        return one.path is not None, one.time.timestamp() if one.time else 0.0

    newest = max(old, new, key=rank)
    newest.remarks.append("handed in more than once, the newest counts")
    return newest
