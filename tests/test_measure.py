"""The measuring script, and the committed tables that lectures plot."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("measure", ROOT / "tools" / "measure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["measure"] = module  # a process that shares the work finds its functions by name
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


def test_small_batches_cost_the_same_and_large_ones_are_linear() -> None:
    table = COMMITTED["batch_step"]
    columns = dict(table["columns"])
    sizes = columns.pop("batch_size")
    assert sizes == [2**power for power in range(13)]
    assert sizes[-1] == table["settings"]["n_samples"]
    assert set(columns) == {"least_squares", "network"}
    for times in columns.values():
        at = dict(zip(sizes, times, strict=True))
        assert at[16] < 3 * at[1]
        assert 2 < at[4096] / at[1024] < 8
        assert at[4096] < 4096 / 5 * at[1]


def test_workers_are_worth_it_for_heavy_samples_only() -> None:
    table = COMMITTED["parallel"]
    columns, batch_size = table["columns"], table["settings"]["batch_size"]
    assert columns["workers"] == [1, 2, 4, 8, 16]
    tasks = ("one_gradient", "one_call", "threads", "processes")
    assert set(columns) == {"workers"} | {
        f"{weight}_{task}" for weight in ("light", "heavy") for task in tasks
    }
    assert min(columns["light_threads"]) > max(columns["light_one_call"])
    assert min(columns["light_processes"]) > max(columns["light_one_call"])
    assert max(columns["light_one_call"]) < 3 * min(columns["light_one_gradient"])
    assert min(columns["heavy_one_call"]) > batch_size / 2 * max(columns["heavy_one_gradient"])
    # The gain is bounded by the number of processors, however many workers there are.
    processors = table["machine"]["processors"]
    for task in ("threads", "processes"):
        gain = min(columns["heavy_one_call"]) / min(columns[f"heavy_{task}"])
        assert gain < 1.25 * processors
        assert gain > 1.2 or processors == 1


def test_linear_minimisation_is_cheaper_than_projection() -> None:
    columns = dict(COMMITTED["oracles"]["columns"])
    assert columns.pop("dim") == [100 * 4**power for power in range(7)]
    sets = ("l1", "simplex", "nuclear")
    assert set(columns) == {f"{name}_{task}" for name in sets for task in ("minimize", "project")}
    for name in sets:
        assert columns[f"{name}_minimize"][-1] < columns[f"{name}_project"][-1] / 3


@pytest.mark.parametrize("parts", [1, 3])
def test_the_gradient_of_the_network_is_that_of_its_loss(parts: int) -> None:
    rng = np.random.default_rng(parts)
    samples, targets = rng.normal(size=(5, parts, 4)), rng.normal(size=5)
    network = measure.Network(samples, targets, 3)
    x, batch = rng.normal(size=(1, network.dim)), np.array([[0, 3, 3]])

    def loss(x: np.ndarray) -> float:
        weights = x.reshape(5, 3)
        hidden = np.tanh(samples[batch[0]] @ weights[:4]).mean(axis=1)
        return float(((hidden @ weights[4] - targets[batch[0]]) ** 2).mean() / 2)

    steps = 1e-5 * np.eye(network.dim)
    differences = [(loss(x + step) - loss(x - step)) / 2e-5 for step in steps]
    assert network.minibatch_gradient(x, batch)[0] == pytest.approx(differences, abs=1e-8)


@pytest.mark.parametrize("pool", ["thread_pool", "process_pool"])
def test_workers_compute_the_gradient_of_the_whole_batch(
    pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "tools")  # for the processes
    rng = np.random.default_rng(0)
    network = measure.Network(rng.normal(size=(6, 2, 4)), rng.normal(size=6), 3)
    x, batch = rng.normal(size=(1, network.dim)), np.array([[0, 1, 2, 5, 5]])
    with getattr(measure, pool)(2, network) as executor:
        spread = measure.spread(executor, 2, x, batch)  # shares of three and of two
    assert spread == pytest.approx(network.minibatch_gradient(x, batch), rel=1e-12)


def test_small_tables_of_both_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "process_pool", measure.thread_pool)  # processes start slowly
    small = {
        "batch_step": lambda: measure.batch_step((1, 2), n_samples=4, dim=2, width=3, repeats=1),
        "parallel": lambda: measure.parallel(
            (1, 2), batch_size=2, n_samples=4, dim=2, heavy=(2, 3, 4), repeats=(1, 1)
        ),
        "oracles": lambda: measure.oracles((4, 9), repeats=1),
    }
    for name, task in small.items():
        monkeypatch.setitem(measure.MEASUREMENTS, name, task)
    measure.measure(list(small), tmp_path / "timings.json")
    tables = json.loads((tmp_path / "timings.json").read_text(encoding="utf-8"))
    assert all(is_table(table) for table in tables.values())
    for name, table in tables.items():
        assert set(table["columns"]) == set(COMMITTED[name]["columns"])
        assert set(table["settings"]) == set(COMMITTED[name]["settings"])


def test_every_entry_is_the_fastest_of_the_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = iter([[3.0, 1.0], [2.0, 2.0]])
    monkeypatch.setitem(
        measure.MEASUREMENTS,
        "twice",
        lambda: {"description": "", "settings": {}, "columns": {"n": [5, 6], "s": next(rounds)}},
    )
    measure.measure(["twice"], tmp_path / "timings.json", rounds=2)
    tables = json.loads((tmp_path / "timings.json").read_text(encoding="utf-8"))
    assert tables["twice"]["columns"] == {"n": [5, 6], "s": [2.0, 1.0]}


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
