"""Attacks on the grading program itself: on its limits, its channel, its table and its pages."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
import tiny
from grading import seccomp
from grading.inbox import find, parse_time
from grading.limits import Limits
from grading.marks import Row, table, write_csv
from grading.mend import MAX_CELL, MAX_CELLS, UnreadableError, mend
from grading.notebook import ProblemSet
from grading.outputs import clean
from grading.submission import Pool, Result, run_notebook

# A student's code can find the socket to the side that it answers, and write to it as it likes.
CHANNEL = """\
import gc, json, os, struct, time
from grading import worker

def say(header, payload=b"", announced=None):
    size = len(payload) if announced is None else announced
    data = struct.pack("!II", len(header), size) + header + payload
    while data:
        data = data[os.write(end.fileno(), data):]

(end,) = (one.end for one in gc.get_objects() if isinstance(one, worker.Worker))
"""
DRIP = """\
say(b"{}", announced=60_000_000)
while True:
    try:
        time.sleep(0.02)
        os.write(end.fileno(), b"x")
    except BaseException:
        pass
"""
FLOOD = """\
flood = json.dumps({"outputs": [{"output_type": "stream", "text": "A" * 10**6}]}).encode()
worker.send = lambda *rest: say(flood)
"""
NESTED = """\
worker.send = lambda *rest: say(b'{"outputs":' + b"[" * 960 + b"]" * 960 + b"}")
"""
ODD = """\
odd = [3, None, {}, {"output_type": []}, {"output_type": "stream", "name": [], "text": {}}]
odd += [{"output_type": "error", "traceback": [None, {}]}]
odd += [{"output_type": "display_data", "data": {"text/html": "<script>", "image/png": "!"}}]
worker.send = lambda *rest: say(json.dumps({"outputs": odd}).encode())
"""
THREADS = """\
import threading, time
threading.stack_size(1 << 16)
while True:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
"""
NAMELESS = """\
import os, time
kept = []
for k in range(100):
    kept.append(open("file", "wb"))
    os.unlink("file")
    kept[-1].write(bytes(10**6))
    kept[-1].flush()
time.sleep(5)
"""
SIGNALS = """\
import fcntl, os, socket, termios
ends = socket.socketpair()
refused = 0
for action in (
    lambda: fcntl.fcntl(ends[0], fcntl.F_SETOWN, os.getppid()),
    lambda: fcntl.fcntl(ends[0], 10, 9),
    lambda: fcntl.fcntl(ends[0], 15, bytes(8)),
    lambda: fcntl.ioctl(ends[0], 0x8901, bytes(4)),
    lambda: fcntl.ioctl(ends[0], 0x8902, bytes(4)),
    lambda: fcntl.ioctl(0, termios.TIOCSTI, b"x"),
    lambda: os.truncate("own", 0),
):
    open("own", "w").close()
    try:
        action()
    except PermissionError:
        refused += 1
print("refused", refused, fcntl.fcntl(ends[0], fcntl.F_GETFL))
"""


Attack = Callable[..., Result]


@pytest.fixture(scope="module")
def attack() -> Iterator[Attack]:
    """Give a function that runs a right notebook with a cell put in, followed by more cells."""
    with Pool() as pool:

        def run(code: str, more: int = 0, **limits: float) -> Result:
            notebook = tiny.source_notebook()
            cells = [nbformat.v4.new_code_cell(source) for source in [code, *["1"] * more]]
            notebook.cells[3:3] = cells
            settings = Limits(**{"cell": 3, "total": 60, **limits})
            started = time.monotonic()
            result = run_notebook(
                notebook, ProblemSet("ps0", tiny.source_notebook()), settings, pool
            )
            assert time.monotonic() - started < 45
            return result

        yield run


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (CHANNEL + DRIP, "the answer is too long"),
        (THREADS, "more than 200 threads"),
        (NAMELESS, "more than 20 MB of files"),
    ],
    ids=["drip", "threads", "nameless files"],
)
def test_a_process_that_takes_too_much_is_ended(attack: Attack, code: str, why: str) -> None:
    assert why in attack(code, disk=20_000_000, cell=4).ended


def test_everything_together_has_a_limit(attack: Attack) -> None:
    result = attack("import time\ntime.sleep(100)", cell=50, total=8)
    assert "the 8 s for the whole notebook were over" in result.ended


def test_answers_of_a_hostile_process_do_not_add_up(attack: Attack) -> None:
    result = attack(CHANNEL + FLOOD, more=20, output=500_000)
    assert len(json.dumps(result.outputs)) < 3_000_000
    assert "shows too much" in str(result.outputs)


def test_strange_answers_of_a_hostile_process_leave_nothing_in_the_notebook(attack: Attack) -> None:
    result = attack(CHANNEL + NESTED)
    assert clean(result.outputs[3]) == []
    result = attack(CHANNEL + ODD)
    shown = clean(result.outputs[3])
    assert {output.output_type for output in shown} == {"stream", "error"}
    assert "script" not in str(shown)


@pytest.mark.skipif(not seccomp.available(), reason="no filter of system calls on this system")
def test_signals_by_way_of_files_are_refused(attack: Attack) -> None:
    (shown,) = attack(SIGNALS).outputs[3]
    assert shown["text"].startswith("refused 7 ")


def test_a_warning_in_a_test_is_not_taken_for_a_failure() -> None:
    source = ProblemSet("ps0", tiny.source_notebook())
    source.notebook.cells[5].source += "\nimport warnings\nwarnings.warn('odd')"
    (shown,) = run_notebook(tiny.source_notebook(), source, Limits(total=60)).outputs[5]
    assert "odd" in shown["text"]
    assert shown["name"] == "stdout"


def test_a_supervising_process_that_is_stuck_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grading.submission.GRACE", -59.0)
    with pytest.raises(Exception, match="the process that supervises it ended"), Pool() as pool:
        run_notebook(tiny.source_notebook(), None, Limits(total=60), pool)


# Notebooks, names and times.


@pytest.mark.parametrize(
    ("sources", "why"),
    [
        (["1"] * (MAX_CELLS + 1), "more than 500 cells"),
        (["a." * MAX_CELL], "a cell of more than"),
        (["a" * MAX_CELL] * 20, "cells of more than"),
    ],
    ids=["many", "long", "much"],
)
def test_notebooks_that_would_keep_the_program_busy_are_refused(
    sources: list[str], why: str
) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    data = nbformat.writes(nbformat.v4.new_notebook(cells=cells)).encode()
    with pytest.raises(UnreadableError, match=why):
        mend(data, tiny.source_notebook())


@pytest.mark.parametrize(
    "text", ["0001-01-01 00:00+14:00", "9999-12-31 23:59-14:00", "0001-01-01", "1e9"]
)
def test_times_that_are_no_dates_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a time looks like"):
        parse_time(text)


def test_a_strange_folder_stops_nobody(tmp_path: Path) -> None:
    for student in ("anna", "berta", "carl"):
        (tmp_path / student).mkdir()
        (tmp_path / student / "ps0.ipynb").write_text("{}")
    (tmp_path / "anna" / "timestamp.txt").write_text("0001-01-01 00:00+14:00")
    os.utime(tmp_path / "berta" / "ps0.ipynb", (1e12, 1e12))
    os.utime(tmp_path / "anna" / "ps0.ipynb", (-1e12, -1e12))
    place = tmp_path / "dora"
    for _ in range(60):
        place /= "d" * 30
    place.mkdir(parents=True)
    (tmp_path / "dora" / "link").symlink_to(tmp_path / "berta")
    found, _ = find(tmp_path, "ps0")
    assert [one.student for one in found if one.path] == ["anna", "berta", "carl"]
    assert found[0].remarks == ["timestamp.txt holds no time; the file's own is taken"]
    assert all(one.time and 1970 <= one.time.year < 2200 for one in found if one.path)


def test_remarks_cannot_draw_a_table_of_their_own(tmp_path: Path) -> None:
    rows = [Row("anna", remarks=["wrong name: x\nberta  10\r\x1b[2J\u2028y"])]
    shown = table(rows, {"t": 1.0}, {"t": "t"})
    assert len(shown.splitlines()) == 3
    assert "\x1b" not in shown
    write_csv(tmp_path / "marks.csv", rows, {"t": 1.0})
    assert len((tmp_path / "marks.csv").read_text("utf-8").splitlines()) == 2


def test_pages_get_no_orders_to_a_terminal() -> None:
    text = "\x1b[1mA\x1b[0m\x00\x1b]0;x\x07\tb\n" + "\x1b[1m" * 1000
    (output,) = clean([{"output_type": "stream", "name": "stdout", "text": text}])
    assert output.text == "A]0;x\tb\n"
