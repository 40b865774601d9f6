"""Split the repository: what students may see, and what instructors keep to themselves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PRIVATE = ("exercises/source", "exercises/alternatives", "exercises/mutants")
README = """\
# Problem sets, with solutions

This folder holds what must not be public: the sources of the problem sets with their solutions and
hidden tests, the alternative solutions and the wrong ones that the tests are tried on.  Keep it in
a private repository.  To grade, copy its folders into `exercises/` of the public repository, or
clone it there and let

    make assignment PS=ps1 EXERCISES=path/of/this/folder
    make grade PS=ps1 SUBMISSIONS=folder EXERCISES=path/of/this/folder

read them from here.
"""


def split(root: Path, folder: Path) -> tuple[Path, Path]:
    """Write a public and a private tree; the repository itself stays as it is.

    The files are those that git has committed.  The history of the repository holds the solutions
    too, which is why the public tree begins a history of its own.

    Parameters
    ----------
    root
        The repository.
    folder
        A folder that does not exist or is empty.

    Returns
    -------
    public, private
        The two trees.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; FOLDER must name a new folder")
    if folder.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{folder} lies inside the repository; FOLDER must lie elsewhere")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    )
    public, private = folder / "public", folder / "private"
    for name in filter(None, listed.stdout.split("\0")):
        is_private = any(name.startswith(part + "/") for part in PRIVATE)
        place = private / name.removeprefix("exercises/") if is_private else public / name
        source = root / name
        if source.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place, follow_symlinks=False)
    private.mkdir(parents=True, exist_ok=True)
    (private / "README.md").write_text(README, encoding="utf-8")
    return public, private
