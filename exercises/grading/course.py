"""The course folder: nbgrader's folders, its grade book and the settings of each set."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from .feedback import preprocessors
from .late import LatePolicy
from .notebook import EXERCISES, ProblemSet
from .replay import Replay

CONFIGURATION = """\
# Read by nbgrader and by Jupyter's form for marking when they are started in this folder.
import sys

sys.path.insert(0, {exercises!r})

from grading.course import configuration

c = get_config()
c.merge(configuration({root!r}))
"""


@dataclass(frozen=True)
class Settings:
    """What was decided about one set.

    Parameters
    ----------
    seed
        The class whose numbers the set has.
    due
        When it is due, "" for never.
    late
        What a late submission costs: see `late`.
    """

    seed: int
    due: str = ""
    late: str = "none"

    def changed(self, **new: Any) -> Settings:
        """Return the settings with those that are given (not None) replaced."""
        return replace(self, **{name: value for name, value in new.items() if value is not None})


@dataclass(frozen=True)
class Course:
    """A course folder.

    Parameters
    ----------
    root
        The folder; it is made when it is needed.
    exercises
        The folder that holds the sources.
    """

    root: Path
    exercises: Path = field(default=EXERCISES)

    def folder(self, *parts: str) -> Path:
        """Return a folder inside the course."""
        return self.root.joinpath(*parts)

    def prepare(self) -> None:
        """Make the folder, with a configuration for nbgrader's own programs."""
        self.root.mkdir(parents=True, exist_ok=True)
        text = CONFIGURATION.format(exercises=str(EXERCISES), root=str(self.root))
        self.folder("nbgrader_config.py").write_text(text, encoding="utf-8")

    def settings(self, name: str) -> Settings | None:
        """Return the settings of a set, None if it was never handed out."""
        path = self.folder("settings", f"{name}.json")
        return Settings(**json.loads(path.read_text("utf-8"))) if path.is_file() else None

    def save_settings(self, name: str, settings: Settings) -> None:
        """Keep the settings of a set."""
        path = self.folder("settings", f"{name}.json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")

    def released(self, name: str) -> NotebookNode:
        """Return the notebook that was handed out."""
        return read(self.folder("release", name, f"{name}.ipynb"))

    def source(self, name: str) -> ProblemSet:
        """Return the source, for the class it was handed out to."""
        return ProblemSet(name, read(self.folder("source", name, f"{name}.ipynb")))

    def api(self, late: str = "none") -> NbGraderAPI:
        """Return nbgrader's interface to this course."""
        # nbgrader calls a program that is installed beside this Python, by name.
        programs = str(Path(sys.executable).parent)
        if programs not in os.environ["PATH"].split(os.pathsep):
            os.environ["PATH"] = programs + os.pathsep + os.environ["PATH"]
        config = configuration(str(self.root), late)
        return NbGraderAPI(CourseDirectory(config=config), config=config)


def read(path: Path) -> NotebookNode:
    """Read a notebook."""
    return nbformat.read(path, as_version=4)  # type: ignore[no-any-return]


def configuration(root: str, late: str = "none") -> Config:
    """Return nbgrader's configuration: what students wrote is run by this program only."""
    config = Config()
    config.CourseDirectory.root = root
    config.CourseDirectory.db_url = f"sqlite:///{Path(root) / 'gradebook.db'}"
    config.Autograde.autograde_preprocessors = Replay.preprocessors()
    config.AssignLatePenalties.plugin_class = LatePolicy
    config.LatePolicy.policy = late
    config.GenerateFeedback.preprocessors = preprocessors()
    config.HTMLExporter.sanitize_html = True
    config.ClearSolutions.enforce_metadata = True
    return config


@contextlib.contextmanager
def quiet_nbgrader() -> Iterator[None]:
    """Keep nbgrader's log from the screen; what matters is in what its calls return."""
    logger = logging.getLogger("traitlets")
    level, logger.level = logger.level, logging.CRITICAL + 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.level = level
