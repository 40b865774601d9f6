"""The files around the book: commands, versions, what is vendored, what Binder will do."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from packaging.requirements import Requirement


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def vendor(root: Path) -> ModuleType:
    return load(root / "tools" / "vendor.py")


@pytest.fixture(scope="module")
def extension(root: Path) -> ModuleType:
    return load(root / "book" / "_ext" / "sgdnotes_book.py")


def test_vendored_files_are_those_of_the_manifest(vendor: ModuleType, root: Path) -> None:
    for home in (vendor.BOOK, vendor.TESTS):
        assert vendor.differences(root / home) == []


def test_a_changed_vendored_file_is_noticed(vendor: ModuleType, root: Path, tmp_path: Path) -> None:
    home = tmp_path / "vendor"
    shutil.copytree(root / vendor.TESTS, home)
    (file,) = home.rglob("axe.min.js")
    file.write_text(file.read_text(encoding="utf-8") + " ", encoding="utf-8")
    (home / "new.js").write_text("", encoding="utf-8")
    assert vendor.differences(home) == [
        "changed: axe-core/axe.min.js",
        "not in the manifest: new.js",
    ]


def test_manifest_names_version_and_licence(vendor: ModuleType, root: Path) -> None:
    for home in (vendor.BOOK, vendor.TESTS):
        for entry in json.loads((root / home / vendor.MANIFEST).read_text(encoding="utf-8")):
            assert entry["name"]
            assert re.fullmatch(r"\d+\.\d+\.\d+", entry["version"])
            assert entry["licence"]
            assert entry["files"]


def test_lock_file_has_versions_only(root: Path) -> None:
    for line in (root / "requirements.lock").read_text(encoding="utf-8").splitlines():
        text = line.strip()
        assert "://" not in text, line
        assert not text.startswith(("--", "-e", "-f", "-i")), line
        if text and not text.startswith("#"):
            assert re.match(r"[\w.-]+(\[[\w,-]+\])?==[\w.!+]+(\s*;.*)?$", text), line


def test_lock_file_holds_what_the_project_asks_for(root: Path) -> None:
    locked: dict[str, list[str]] = {}
    for line in (root / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([\w.-]+)==([\w.!+]+)", line):
            locked.setdefault(match[1].lower().replace("_", "-"), []).append(match[2])
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = dict(project["optional-dependencies"])
    # Left out on purpose, and therefore named where the lock file is made.
    del extras["torch"]
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"--extra (\w+)", makefile)) == set(extras)
    wanted = [*project["dependencies"], *(text for extra in extras.values() for text in extra)]
    for text in wanted:
        requirement = Requirement(text)
        versions = locked.get(requirement.name.lower().replace("_", "-"), [])
        assert versions, f"{requirement.name} is not locked: run make lock"
        for version in versions:
            assert requirement.specifier.contains(version), f"{text}, but {version} is locked"


def test_help_lists_every_target(root: Path) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)[0].split())
    shown = subprocess.run(
        ["make", "help"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert targets == phony
    assert targets == set(re.findall(r"^  make ([a-z]+)  ", shown, flags=re.MULTILINE))


def test_buttons_for_a_repository(extension: ModuleType) -> None:
    assert extension.repository_options("", "main") == {}
    github = extension.repository_options("https://github.com/someone/notes.git/", "main")
    assert github["repository_url"] == "https://github.com/someone/notes"
    assert github["launch_buttons"]["binderhub_url"] == "https://mybinder.org"
    elsewhere = extension.repository_options("https://git.example.org/someone/notes", "dev")
    assert "launch_buttons" not in elsewhere
    assert elsewhere["repository_branch"] == "dev"
    for wrong in ("github.com/someone/notes", "https://github.com/someone", "notes"):
        with pytest.raises(Exception, match="REPOSITORY must be"):
            extension.repository_options(wrong, "main")


def test_a_build_for_a_repository_has_its_buttons(root: Path, tmp_path: Path) -> None:
    """One page and one notebook, built with REPOSITORY: the addresses are that repository's."""
    for name in ("_config.yml", "book/_static", "book/_ext", "book/_templates"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (root / name).is_dir():
            shutil.copytree(root / name, target, ignore=shutil.ignore_patterns("vendor"))
        else:
            shutil.copy(root / name, target)
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/intro\nchapters:\n  - file: lectures/01-one\n", "utf-8"
    )
    (tmp_path / "book" / "intro.md").write_text("# Intro\n\n$x$ and text\n", "utf-8")
    (tmp_path / "book" / "references.bib").write_text("", "utf-8")
    (tmp_path / "lectures").mkdir()
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# One")],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, tmp_path / "lectures" / "01-one.ipynb")
    environment = os.environ | {"REPOSITORY": "https://github.com/someone/notes", "BRANCH": "dev"}
    program = Path(sys.executable).with_name("jupyter-book")
    run = subprocess.run(
        [sys.executable, str(program), "build", ".", "-q"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    page = (tmp_path / "_build/html/lectures/01-one.html").read_text("utf-8")
    source = "https://github.com/someone/notes"
    assert (
        "https://mybinder.org/v2/gh/someone/notes/dev?urlpath=lab/tree/lectures/01-one.ipynb"
        in page
    )
    assert f'href="{source}"' in page
    assert f"{source}/blob/dev/lectures/01-one.ipynb" in page
    intro = (tmp_path / "_build/html/book/intro.html").read_text("utf-8")
    assert f"{source}/blob/dev/book/intro.md" in intro
    assert "mybinder.org" not in intro


def test_binder_installs_the_project_on_a_current_python(root: Path, tmp_path: Path) -> None:
    """What repo2docker would do is read off the Dockerfile that it writes."""
    tool = Path(sys.executable).with_name("jupyter-repo2docker")
    if not tool.exists():
        pytest.skip("jupyter-repo2docker is not in the environment")
    for name in (".binder", "sgdnotes"):
        shutil.copytree(root / name, tmp_path / name)
    for name in ("pyproject.toml", "requirements.lock", "README.md", "LICENSE"):
        shutil.copy(root / name, tmp_path / name)
    shown = subprocess.run(
        [sys.executable, str(tool), "--no-build", "--debug", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    dockerfile = shown.stdout + shown.stderr
    version = (root / ".binder" / "runtime.txt").read_text("utf-8").strip().removeprefix("python-")
    assert tuple(map(int, version.split("."))) >= (3, 12)
    assert f"environment-2epy-2d{version.replace('.', '-2e')}" in dockerfile
    copied = dockerfile.index("COPY --chown=0:0 src/ ${REPO_DIR}/")
    installed = dockerfile.index('pip install --no-cache-dir -r ".binder/requirements.txt"')
    assert copied < installed, "the project is not there yet when it is to be installed"
    assert "RUN ./.binder/postBuild" in dockerfile


def test_binder_requirements_are_the_project_at_locked_versions(root: Path) -> None:
    lines = (root / ".binder" / "requirements.txt").read_text("utf-8").split("\n")
    assert [line for line in lines if line] == ["--constraint ../requirements.lock", ".[lectures]"]
