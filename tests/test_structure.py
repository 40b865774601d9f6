"""How the library is built: floors, light imports, docstrings, packaging."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

import sgdnotes

PACKAGE = Path(sgdnotes.__file__).parent
ROOT = PACKAGE.parent

# A module may import from the floors below its own, never from above or beside.
FLOORS: dict[str, int] = {
    "_validate": -1,
    "problems": 0,
    "constraints": 0,
    "sampling": 0,
    "schedules": 0,
    "oracles": 1,
    "updates": 1,
    "moments": 2,
    "engine": 2,
    "attacks": 3,
    "torch_classifier": 3,
    "epochs": 3,
    "flow": 3,
    "methods": 3,
    "pruning": 3,
    "exact": 3,
    "rates": 4,
    "theorems": 4,
    "plots": 5,
    "widgets": 6,
}

HEAVY = (
    "pandas",
    "sklearn",
    "sympy",
    "IPython",
    "ipywidgets",
    "matplotlib.pyplot",
    "torch",
    "tqdm",
)


def modules() -> list[str]:
    found = pkgutil.walk_packages([str(PACKAGE)], prefix="sgdnotes.")
    return ["sgdnotes", *(module.name for module in found)]


def imported(path: Path) -> set[str]:
    """The modules of the library that a file imports at any depth."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == "sgdnotes"}


def source_files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", source_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_the_floors_below(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts == ("__init__",):
        return
    room = parts[0]
    for name in imported(path):
        other = name.split(".")[1]
        if other == room and len(parts) > 1:
            continue  # within one package
        assert other in FLOORS, f"{path}: {name} has no floor"
        assert FLOORS[other] < FLOORS[room], f"{path}: {room} imports {other}"


def test_every_module_has_a_floor() -> None:
    rooms = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in source_files()}
    assert rooms - {"__init__"} <= set(FLOORS)


def fresh(code: str) -> str:
    """Run code in a process of its own, where nothing has been imported before."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=environment,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import sgdnotes",
        "import sgdnotes.theorems",
        "import sgdnotes.methods, sgdnotes.exact, sgdnotes.engine",
        "import sgdnotes.problems, sgdnotes.moments, sgdnotes.sampling",
        "import sgdnotes.attacks, sgdnotes.torch_classifier",
        "import sgdnotes.plots",
    ],
)
def test_imports_are_light(statement: str) -> None:
    loaded = set(fresh(f"{statement}; import sys; print(*sys.modules, sep='\\n')").split())
    assert "sgdnotes" in loaded
    assert loaded.isdisjoint(HEAVY)
    if "plots" not in statement:
        assert "matplotlib" not in loaded


def test_a_run_needs_no_heavy_package() -> None:
    code = (
        "import sys, sgdnotes\n"
        "problem = sgdnotes.LeastSquares([[1.0], [2.0]], [1.0, 0.0])\n"
        "sgdnotes.sgd(problem, steps=5, step_size=0.1)\n"
        "sgdnotes.expected_sgd(problem, steps=5, step_size=0.1)\n"
        "print(*sys.modules, sep='\\n')"
    )
    assert set(fresh(code).split()).isdisjoint(set(HEAVY) - {"tqdm", "IPython"})


# ---- the public face --------------------------------------------------------------------------


def test_the_top_level_names() -> None:
    assert sorted(sgdnotes.__all__) == list(sgdnotes.__all__)
    for name in sgdnotes.__all__:
        assert hasattr(sgdnotes, name)
    assert {"sgd", "gradient_descent", "expected_sgd", "enumerate_sgd", "run", "Trace"} <= set(
        sgdnotes.__all__
    )


@pytest.mark.parametrize("name", [m for m in modules() if m != "sgdnotes._validate"])
def test_all_names_what_exists(name: str) -> None:
    module = importlib.import_module(name)
    if hasattr(module, "__all__"):
        assert len(set(module.__all__)) == len(module.__all__)
        for exported in module.__all__:
            assert hasattr(module, exported)


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == sgdnotes.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", sgdnotes.__version__)
    citation = ROOT / "CITATION.cff"
    if citation.exists():
        assert f"version: {sgdnotes.__version__}" in citation.read_text(encoding="utf-8").replace(
            '"', ""
        )


def test_types_are_shipped(tmp_path: Path) -> None:
    code = (
        "import os\n"
        f"os.chdir({str(ROOT)!r})\n"
        "from hatchling.build import build_wheel\n"
        f"print(build_wheel({str(tmp_path)!r}))"
    )
    wheel = tmp_path / fresh(code).split()[-1]
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "sgdnotes/py.typed" in names
    for path in source_files():
        assert str(path.relative_to(ROOT)) in names
    assert not any(name.startswith(("tests/", "lectures/", "benchmarks/")) for name in names)


# ---- docstrings -------------------------------------------------------------------------------


def public_objects() -> dict[str, Any]:
    """Every public function, class and method that the library defines."""
    found: dict[str, Any] = {}
    for name in modules():
        module: ModuleType = importlib.import_module(name)
        if name.rsplit(".", 1)[-1].startswith("_"):
            continue
        for attribute, value in vars(module).items():
            if attribute.startswith("_") or getattr(value, "__module__", None) != name:
                continue
            if inspect.isfunction(value) or inspect.isclass(value):
                found[f"{name}.{attribute}"] = value
    return found


OBJECTS = public_objects()


@pytest.mark.parametrize("name", OBJECTS)
def test_everything_public_is_documented(name: str) -> None:
    value = OBJECTS[name]
    assert inspect.getdoc(value), name
    assert value.__doc__, f"{name} inherits its docstring"
    problems = dict(validate(name)["errors"])
    # GL: layout, SS: summary, PR: parameters, RT: returns.  What is checked is what would mislead
    # a reader: a missing or misspelt section, an undocumented or unknown parameter.
    for code in ("GL06", "GL07", "GL08", "SS02", "SS03", "SS04", "PR02", "PR03"):
        assert code not in problems, f"{name}: {problems[code]}"


def documented_parameters(value: Any) -> set[str]:
    document = NumpyDocString(inspect.getdoc(value))
    listed = [*document["Parameters"], *document["Attributes"]]
    names = {name.strip("*` ") for item in listed for name in item.name.split(",")}
    for base in inspect.getmro(value)[1:] if inspect.isclass(value) else ():
        if base.__module__.startswith("sgdnotes") and base.__doc__:
            names |= documented_parameters(base)
    return names


# Functions this small say all in their summary, where each argument stands in backquotes.
@pytest.mark.parametrize("name", OBJECTS)
def test_every_parameter_is_documented(name: str) -> None:
    if name.startswith(("sgdnotes.plots", "sgdnotes.widgets")):
        return  # the way a figure is drawn is not part of what the lectures teach
    value = OBJECTS[name]
    try:
        signature = inspect.signature(value)
    except ValueError:
        return
    if getattr(value, "_is_protocol", False) or issubclass_of_exception(value):
        return
    text = inspect.getdoc(value) or ""
    listed = documented_parameters(value)
    for parameter in signature.parameters.values():
        if parameter.name in {"self", "setting"} or parameter.name.startswith("_"):
            continue
        mentioned = re.search(rf"`{parameter.name}`|``[^`]*\b{parameter.name}\b", text)
        word = parameter.name.replace("_", " ") in text.replace("_", " ")
        small = inspect.isfunction(value) and len(signature.parameters) <= 3 and word
        assert parameter.name in listed or mentioned or small, f"{name}: {parameter.name}"


def issubclass_of_exception(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Exception)


@pytest.mark.parametrize("name", modules())
def test_every_module_says_what_it_is_for(name: str) -> None:
    document = importlib.import_module(name).__doc__
    assert document
    assert document.split("\n")[0].endswith((".", ":"))


DOCTESTED = [
    "sgdnotes.methods",
    "sgdnotes.problems.linear_models",
]


@pytest.mark.parametrize("name", modules())
def test_examples_run_as_printed(name: str) -> None:
    import doctest

    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    if name in DOCTESTED:
        assert result.attempted > 0
