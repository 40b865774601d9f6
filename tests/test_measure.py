"""The measuring script, and the committed tables that lectures plot."""

from __future__ import annotations

import importlib.util
import json
import re
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("measure", ROOT / "tools" / "measure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


measure = load()
COMMITTED = json.loads(measure.FILE.read_text(encoding="utf-8"))


def is_table(table: dict[str, object]) -> bool:
    columns = table["columns"]
    assert isinstance(columns, dict)
    lengths = {len(column) for column in columns.values()}
    positive = all(value > 0 for column in columns.values() for value in column)
    return set(table) == {"description", "settings", "columns", "machine"} and (
        len(lengths) == 1 and positive
    )


def test_every_measurement_is_committed_and_no_other() -> None:
    assert set(COMMITTED) == set(measure.MEASUREMENTS)
    assert all(is_table(table) for table in COMMITTED.values())


def test_the_committed_tables_say_what_kind_of_machine_and_not_which() -> None:
    told = {"architecture", "processors", "threads", "python", "numpy"}
    assert set(measure.machine()) == told
    for table in COMMITTED.values():
        assert set(table["machine"]) == told
    assert not re.search(r"/\w|\\\\|hostname|@", measure.FILE.read_text(encoding="utf-8"))


def test_the_cost_of_a_full_gradient_is_linear_and_that_of_a_minibatch_constant() -> None:
    columns = COMMITTED["full_gradient"]["columns"]
    sizes, full, mini = columns["n"], columns["full_gradient"], columns["minibatch_gradient"]
    assert sizes[0] == 100
    assert sizes[-1] == 10**6
    per_sample = [seconds / n for seconds, n in zip(full, sizes, strict=True) if n >= 10**4]
    assert max(per_sample) < 10 * min(per_sample)
    assert max(mini) < 5 * min(mini)


def test_measuring_some_tables_keeps_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "data" / "timings.json"
    monkeypatch.setitem(
        measure.MEASUREMENTS, "small", lambda: measure.full_gradient((50, 60), dim=2, repeats=2)
    )
    measure.measure(["small"], file)
    monkeypatch.setitem(
        measure.MEASUREMENTS,
        "other",
        lambda: {"description": "", "settings": {}, "columns": {"n": [1]}},
    )
    measure.measure(["other"], file)
    tables = json.loads(file.read_text(encoding="utf-8"))
    assert set(tables) == {"small", "other"}
    assert all(is_table(table) for table in tables.values())
    assert tables["small"]["columns"]["n"] == [50, 60]


def test_seconds_measures_seconds() -> None:
    assert 0.002 <= measure.seconds(lambda: time.sleep(0.002), repeats=2) < 0.1


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        measure.main(["no_such_table"])
    assert "there is no measurement 'no_such_table'; wanted: full_gradient" in (
        capsys.readouterr().err
    )
