"""The parts of the grading program, each by itself."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import time
from pathlib import Path

import grading
import nbformat
import numpy as np
import psutil
import pytest
import submissions
import tiny
from grading import channel, wire
from grading.check import check_set
from grading.commands import main
from grading.companion import split
from grading.grade import exposed
from grading.inbox import find, student_id
from grading.leaks import find_leaks, secret_lines
from grading.limits import Limits
from grading.mend import UnreadableError, mend
from grading.notebook import ProblemSet, blank, bound_names, grade_id, role
from grading.percent import read_replacements
from grading.replay import Replay
from grading.submission import NotRunError, Pool, Result, run_notebook

PLAIN = [
    None,
    True,
    -3,
    2**200,
    0.1,
    -0.0,
    float("inf"),
    1 + 2j,
    "a ✓ \ud800".encode("utf-8", "replace").decode(),
    [],
    (1, [2.0, ("x",)], {}),
    {"a": 1, (1, 2): [None], 3: {"b": 2.5}},
    np.float64(0.5),
    np.bool_(True),
    np.arange(6).reshape(2, 3),
    np.array([1 + 1j]),
    np.zeros((0, 4)),
    np.array(["ab", "c"]),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
]


@pytest.mark.parametrize("value", PLAIN)
def test_plain_values_survive(value: object) -> None:
    back = wire.decode(wire.encode(value))
    assert type(back) is type(value)
    np.testing.assert_equal(back, value)
    assert repr(back) == repr(value)


def test_nan_and_subclasses_become_plain() -> None:
    assert np.isnan(wire.decode(wire.encode(float("nan"))))

    class Equal(float):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    assert type(wire.decode(wire.encode(Equal(1)))) is float
    assert type(wire.decode(wire.encode(np.matrix([[1]])))) is np.ndarray


@pytest.mark.parametrize("value", [{1}, object(), len, np.array([None]), b"x", iter([])])
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(wire.NotPlainError, match="plain data"):
        wire.encode(value)


def test_deep_values_are_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(wire.NotPlainError, match="nested"):
        wire.encode(value)


def _message(tree: object, *buffers: bytes) -> bytes:
    parts = [json.dumps(tree).encode(), *buffers]
    sizes = b"".join(len(part).to_bytes(8, "big") for part in parts)
    return len(parts).to_bytes(8, "big") + sizes + b"".join(parts)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 8,
        b"\xff" * 64,
        pickle.dumps(os.getcwd),
        _message({"pickle": "x"}),
        _message({"array": ["|O", [1], 1]}, b"\x00" * 8),
        _message({"array": ["<f8", [2], 1]}, b"\x00" * 8),
        _message({"array": ["<f8", [-1], 1]}, b"\x00" * 8),
        _message({"array": ["<f8", [1], 0]}, b"\x00" * 8),
        _message({"array": ["<f8", [1], 9]}, b"\x00" * 8),
        _message({"array": ["V8", [1], 1]}, b"\x00" * 8),
        _message({"array": ["(99999999,99999)f8", [1], 1]}, b"\x00" * 8),
        _message({"int": 3}),
        _message({"float": "nine"}),
        _message({"dict": [[{"list": []}, 1]]}),
        _message([1]),
        _message({"list": 5}),
        b"\x00" * 7 + b"\x01" + (10**6).to_bytes(8, "big") + b"[" * 10**6,
    ],
)
def test_strange_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(wire.NotPlainError):
        wire.decode(data)


def test_mutated_bytes_give_a_value_or_are_refused() -> None:
    rng = np.random.default_rng(0)
    good = wire.encode({"value": [np.arange(3.0), (1, "x"), {"k": 2.5}]})
    for _ in range(2000):
        data = bytearray(good)
        for place in rng.integers(len(data), size=rng.integers(1, 4)):
            data[place] = rng.integers(256)
        with contextlib.suppress(wire.NotPlainError):
            wire.decode(bytes(data))


def test_roles_names_and_blanks() -> None:
    source = ProblemSet("ps0", tiny.source_notebook())
    roles = [role(cell) for cell in source]
    assert roles == [
        "other",
        "locked",
        "locked",
        "locked",
        "solution",
        "test",
        "solution",
        "test",
        "test",
        "text",
    ]
    assert source.class_seed == 2026
    assert source.for_class(7).class_seed == 7
    assert source.task_of("ps0-task2-test-number") == "ps0-task2"
    assert blank("    ### BEGIN SOLUTION\n    x\n    ### END SOLUTION") == (
        "    # YOUR CODE HERE\n    raise NotImplementedError()"
    )
    assert bound_names("a: int = 1\nb = c = 2\ndef f(): x = 1") == {
        "a": False,
        "b": False,
        "c": False,
        "f": True,
    }


def test_replacements_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        '"""Title."""\n\n# %% ps0-task1 one too many\n# test: t\n# message: m n\nx = 1\n'
    )
    (item,) = read_replacements(path)
    assert (item.task, item.name, item.test, item.message, item.code) == (
        "ps0-task1",
        "one too many",
        "t",
        "m n",
        "x = 1\n",
    )
    assert read_replacements(tmp_path / "none.py") == []
    path.write_text("x = 1\n# %% a\n")
    with pytest.raises(ValueError, match="code before the first"):
        read_replacements(path)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("anna/ps0.ipynb", "anna"),
        ("anna/ps0/ps0.ipynb", "anna"),
        ("anna_ps0.ipynb", "anna"),
        ("anna.ipynb", "anna"),
        ("anna_123_PS0-1.ipynb", "anna_123"),
        ("anna b/ps0.ipynb", student_id("anna b")),
        ("=cmd/ps0.ipynb", student_id("=cmd")),
    ],
)
def test_folders_of_submissions_are_understood(tmp_path: Path, place: str, name: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    (one,), left = find(tmp_path, "ps0")
    assert (one.student, one.path, one.remarks, left) == (name, path, [], [])
    assert name[0].isalnum()


def test_hidden_files_links_and_second_versions(tmp_path: Path) -> None:
    for name in (
        "anna/ps0.ipynb",
        "anna_ps0.ipynb",
        ".DS_Store",
        "anna/.ipynb_checkpoints/a.ipynb",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    os.utime(tmp_path / "anna" / "ps0.ipynb", (1, 1))
    (tmp_path / "berta").symlink_to(tmp_path / "anna")
    (one,), left = find(tmp_path, "ps0")
    assert one.path == tmp_path / "anna_ps0.ipynb"
    assert one.remarks == ["handed in more than once, the newest counts"]
    assert left == ["berta (a link is not followed)"]


def test_names_of_students_are_safe_and_distinct() -> None:
    names = ["..", "a/b", "a b", "a-b", "", "=1", "ä", "ö", "x" * 10]
    ids = [student_id(name) for name in names]
    assert len(set(ids)) == len(names)
    assert not any(set(one) & set("/\\ =+") or one.startswith((".", "-", "@")) for one in ids)


def test_mending_leaves_a_notebook_in_order_alone() -> None:
    released = _released()
    mended = mend(nbformat.writes(released).encode(), released)
    assert mended.remarks == []
    assert [c.source for c in mended.notebook.cells] == [c.source for c in released.cells]


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"[1]", b'"x"', b'{"cells": 3}', b'{"cells": [], "nbformat": 9}']
)
def test_mending_refuses_what_is_no_notebook(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        mend(data, _released())


def _released() -> nbformat.NotebookNode:
    notebook = tiny.source_notebook()
    for cell in notebook.cells:
        cell.source = blank(cell.source, cell.cell_type == "markdown")
    return notebook


def test_secret_lines_are_found_in_text_and_in_pages() -> None:
    secret = secret_lines(ProblemSet("ps0", tiny.source_notebook()))
    assert "return total / len(x)" not in secret  # too short to be told from others
    line = "return 2 * step  # solution-of-task-two"
    assert line in secret
    assert find_leaks(f"x\n  {line}", secret) == [line]
    page = "<b>return</b> <i>2</i> * step  <span class='c'># solution-of-task-two</span>"
    assert find_leaks(page, secret) == []
    assert find_leaks(page, secret, markup=True) == [line]
    assert find_leaks("### BEGIN HIDDEN TESTS", []) == ["BEGIN HIDDEN TESTS"]


# The quick check of sets, and that it can fail.


def _break(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_a_good_set_passes_the_quick_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write_exercises(tmp_path / "x")
    assert main(["check", "ps0", "--exercises", str(tmp_path / "x"), "-v"]) == 0
    assert "all is well" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("source/ps0/ps0.ipynb", "return 2 * step", "return 3 * step", "does not belong"),
        ("source/ps0/ps0.ipynb", "CLASS = 2026", "CLAS = 2026", "first line is CLASS"),
        ("source/ps0/ps0.ipynb", "BEGIN HIDDEN TESTS", "BEGIN HIDING", "has no ### BEGIN HIDDEN"),
        ("source/ps0/ps0.ipynb", "ps0-task1-test", "ps0-other-test", "belongs to no solution cell"),
        ("source/ps0/ps0.ipynb", "[CLASS, 1]", "[1]", "no answer depends on the class"),
        (
            "alternatives/ps0.py",
            "float(np.mean(x))",
            "float(np.median(x))",
            "constants must be kept",
        ),
        ("alternatives/ps0.py", "# %% ps0-task1", "# %% ps0-task7", "has no alternative"),
        ("mutants/ps0.py", "float(np.sum(x))", "float(np.mean(x))", "passes ps0-task1-test"),
        (
            "mutants/ps0.py",
            "message: check its sign",
            "message: check it",
            "lacks 'check its size'",
        ),
        ("mutants/ps0.py", "test: ps0-task1-test", "test: ps0-task1-tset", "there is no test cell"),
        ("mutants/ps0.py", "return -problem", "return -problm", "the message lacks"),
        ("mutants/ps0.py", "# %% ps0-task1 divides", "# %% ps0-task2 divides", "at least 3"),
    ],
)
def test_a_bad_set_fails_the_quick_check(
    tmp_path: Path, file: str, old: str, new: str, problem: str
) -> None:
    tiny.write_exercises(tmp_path / "x")
    if "its size" in problem:
        new = "message: check its size"
    _break(tmp_path / "x", file, old, new)
    found: list[str] = []
    with contextlib.suppress(ValueError):
        for finding in check_set("ps0", exercises=tmp_path / "x"):
            found += finding.problems
    assert any(problem in text for text in found), found


# Processes.


def _run(extra: str, **limits: float) -> Result:
    source = ProblemSet("ps0", tiny.source_notebook())
    notebook = tiny.source_notebook()
    notebook.cells.append(nbformat.v4.new_code_cell(extra))
    return run_notebook(notebook, source, Limits(**{"cell": 10, "total": 60, **limits}))


def test_cells_show_what_they_show_in_a_notebook() -> None:
    result = _run(
        "import matplotlib.pyplot as plt\nfrom sgdnotes.plots import Picture\n"
        "print('to', 'out')\nplt.plot([1, 2])\nplt.show()\n5 * '%'"
    )
    kinds = [output["output_type"] for output in result.outputs[-1]]
    assert kinds == ["stream", "display_data", "execute_result"]
    assert "image/png" in result.outputs[-1][1]["data"]
    assert result.ended == ""


HABITS = """\
%matplotlib inline
%config InlineBackend.figure_format = "retina"
%load_ext autoreload
%autoreload 2
%load_ext nowhere
%unheard_of
%gui qt
!pip install scipy
%pip install scipy
%pylab inline
files = !ls
files += get_ipython().getoutput("ls")
!!ls
quit()
exit()
%time total = sum(range(5))
def inner():
    here = 3
    %time print(here)
    return 10
print("the end", len(files), total, inner())"""


def test_what_works_in_jupyter_only_does_not_stop_a_cell() -> None:
    shown = _run(HABITS).outputs[-1]
    text = "".join(item["text"] for item in shown if item["output_type"] == "stream")
    assert not [item for item in shown if item["output_type"] == "error"]
    assert text.endswith("the end 0 10 10\n")
    assert "No programs can be started here, the cell goes on without: pip install scipy\n" in text
    assert "exit() and quit() do nothing" in text
    (item,) = _run("%%bash\nls").outputs[-1]
    assert "No programs can be started" in item["text"]


def test_an_answer_with_magics_is_graded() -> None:
    source = ProblemSet("ps0", tiny.source_notebook())
    notebook = tiny.source_notebook()
    notebook.cells[4].source = f"%matplotlib inline\n!pip install x\n{submissions.RIGHT_1}"
    notebook.cells[6].source = f"quit()\n{submissions.RIGHT_2}"
    result = run_notebook(notebook, source, Limits(cell=10, total=60))
    assert result.outputs[5] == result.outputs[7] == result.outputs[8] == []


def test_a_note_is_shown_once() -> None:
    source = ProblemSet("ps0", tiny.source_notebook())
    notebook = tiny.source_notebook()
    notebook.cells[4].source = "def average(x):\n    return x.meen()\n"
    (error,) = run_notebook(notebook, source, Limits(cell=10, total=60)).outputs[5]
    where = "in `average`, line 2 of the cell: return x.meen()"
    assert "\n".join(error["traceback"]).count(where) == 1


def test_memory_is_limited_over_all() -> None:
    result = _run("kept = [np.ones(10**7) for _ in range(40)]", memory=1.5, cell=30)
    assert "MemoryError" in str(result.outputs[-1]) or "GB of memory" in result.ended


def test_files_are_limited() -> None:
    result = _run(
        "import time\nfor k in range(100):\n    open(f'f{k}', 'wb').write(bytes(10**6))\n"
        "time.sleep(5)",
        disk=20_000_000,
    )
    assert "MB of files" in result.ended


def test_a_folder_nested_without_end_harms_nobody() -> None:
    result = _run("import os\nfor k in range(3000):\n    os.mkdir('x' * 9)\n    os.chdir('x' * 9)")
    assert result.outputs[0] == []
    assert result.outputs[5] == [] or "too" in result.ended or "more than" in result.ended


def test_an_answer_that_is_too_long_ends_only_that_submission() -> None:
    source = ProblemSet("ps0", tiny.source_notebook())
    notebook = tiny.source_notebook()
    notebook.cells[4].source = "def average(x):\n    return np.zeros(10**6)"
    result = run_notebook(notebook, source, Limits(cell=10, total=60, answer=10**6))
    assert "too long" in result.ended
    assert all(outputs for outputs in result.outputs[5:6])


def test_without_the_systems_guards_every_descendant_is_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    attempt = Pool._attempt
    monkeypatch.setattr(
        Pool, "_attempt", lambda self, job, limits: attempt(self, {**job, "guards": []}, limits)
    )
    name = f"sleep-{os.getpid()}-{time.time_ns()}"
    sleeper = tmp_path / name
    sleeper.write_text("#!/bin/sh\nsleep 300\n")
    sleeper.chmod(0o755)
    result = _run(
        "import subprocess\n"
        "for new in (False, True):\n"
        f"    subprocess.Popen([{str(sleeper)!r}], start_new_session=new)\n"
        f"subprocess.run(['sh', '-c', '(setsid {sleeper} &) &'])\nprint('started')"
    )
    assert "started" in str(result.outputs[-1])
    assert result.missing == ["files", "processes and network"]
    found = [p for p in psutil.process_iter(["cmdline"]) if name in str(p.info["cmdline"])]
    assert found == []


def test_a_set_whose_own_cells_fail_is_no_students_fault() -> None:
    notebook = tiny.source_notebook()
    source = ProblemSet("ps0", tiny.source_notebook())
    source.notebook.cells[1].source += "\n1 / 0"
    with pytest.raises(NotRunError, match="a locked cell of the problem set failed: ZeroDivision"):
        run_notebook(notebook, source, Limits(total=60))


def test_limits_must_be_positive() -> None:
    with pytest.raises(ValueError, match="memory must be positive, got 0"):
        Limits(memory=0)


def test_messages_of_another_form_close_the_channel() -> None:
    import socket

    for data in (
        b"\xff" * 8,
        b"\x00\x00\x00\x02\x00\x00\x00\x00[]",
        b"\x00\x00\x00\x01\x00\x00\x00\x00{",
    ):
        one, other = socket.socketpair()
        other.sendall(data)
        other.close()
        with pytest.raises(channel.ClosedError):
            channel.receive(one, limit=1000)
        one.close()


def test_folders_that_students_code_can_read_are_named(tmp_path: Path) -> None:
    assert exposed(tmp_path) == []
    (line,) = exposed(Path("/usr/share/course"))
    assert "move it elsewhere" in line


# The private companion.


def test_the_companion_takes_all_that_is_private(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    tiny.write_exercises(root / "exercises")
    (root / "README.md").write_text("public")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    public, private = split(root, tmp_path / "out")
    assert (public / "README.md").is_file()
    assert {path.name for path in private.iterdir()} >= {"source", "alternatives", "mutants"}
    assert not [path for path in public.rglob("*") if "ps0" in path.name]
    assert ProblemSet.read("ps0", private).class_seed == 2026
    with pytest.raises(ValueError, match="is not empty"):
        split(root, tmp_path / "out")
    with pytest.raises(ValueError, match="inside the repository"):
        split(root, root / "out")


def test_where_no_sets_are_the_private_folder_is_recalled(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"are: none \(in a private folder.*EXERCISES="):
        ProblemSet.read("ps1", tmp_path)


def test_the_program_names_no_folder_of_this_machine() -> None:
    for path in Path(grading.__file__).parent.glob("*.py"):
        assert "/home/" not in path.read_text("utf-8")
    assert grade_id(tiny.source_notebook().cells[0]) == ""
    assert submissions.RIGHT_1


def test_nothing_is_run_that_make_grade_did_not_run() -> None:
    resources = {"nbgrader": {"assignment": "ps0", "student": "anna"}}
    with pytest.raises(RuntimeError, match=r"anna, ps0: nothing was run.*make grade"):
        Replay().preprocess(tiny.source_notebook(), resources)
