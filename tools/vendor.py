"""Bring the browser code and fonts that the book needs into the repository.

The pages must load nothing from other sites, so MathJax, the widget manager and the text font are
kept under ``book/_static/vendor``, and the accessibility checker of the tests under
``tests/site/vendor``.  ``make vendor`` fetches each package by name and version with ``npm pack``
and rewrites ``VENDORED.json`` beside the files: name, version, licence, and a digest of each file,
which the tests compare with what is on disk.

To move to another version, change it in ``PACKAGES``, run ``make vendor`` and then ``make test``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOOK = "book/_static/vendor"
TESTS = "tests/site/vendor"
MANIFEST = "VENDORED.json"


@dataclass(frozen=True)
class Package:
    """An npm package, and which of its files are kept where.

    ``keep`` maps a glob inside the package to the folder that receives the files.
    """

    name: str
    version: str
    home: str
    keep: dict[str, str]


PACKAGES = (
    Package(
        "mathjax",
        "3.2.2",
        BOOK,
        {
            "LICENSE": "mathjax",
            "es5/tex-chtml.js": "mathjax",
            "es5/input/tex/extensions/*": "mathjax/input/tex/extensions",
            "es5/output/chtml/fonts/woff-v2/*": "mathjax/output/chtml/fonts/woff-v2",
        },
    ),
    Package("requirejs", "2.3.8", BOOK, {"require.js": "requirejs"}),
    Package(
        "@jupyter-widgets/html-manager",
        "1.0.15",
        BOOK,
        {
            "dist/embed.js.LICENSE.txt": "html-manager",
            "dist/embed-amd.js": "html-manager",
            "dist/*.woff2": "html-manager",
        },
    ),
    Package(
        "@fontsource-variable/source-serif-4",
        "5.3.1",
        BOOK,
        {
            "LICENSE": "source-serif",
            "files/source-serif-4-latin-wght-*.woff2": "source-serif",
            "files/source-serif-4-latin-ext-wght-*.woff2": "source-serif",
        },
    ),
    Package("axe-core", "4.14.1", TESTS, {"LICENSE": "axe-core", "axe.min.js": "axe-core"}),
)


def digest(path: Path) -> str:
    """Return the SHA-256 digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differences(home: Path) -> list[str]:
    """Compare the files under ``home`` with its manifest; an empty list means that they agree."""
    entries = json.loads((home / MANIFEST).read_text(encoding="utf-8"))
    wanted = {file: sha for entry in entries for file, sha in entry["files"].items()}
    present = {
        path.relative_to(home).as_posix(): digest(path)
        for path in home.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }
    found = [f"missing: {file}" for file in wanted.keys() - present.keys()]
    found += [f"not in the manifest: {file}" for file in present.keys() - wanted.keys()]
    found += [
        f"changed: {file}"
        for file in wanted.keys() & present.keys()
        if wanted[file] != present[file]
    ]
    return sorted(found)


def fetch(package: Package, home: Path) -> dict[str, object]:
    """Unpack the wanted files of one package below ``home`` and return its manifest entry."""
    files: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", f"{package.name}@{package.version}"],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            members = {m.name.removeprefix("package/"): m for m in tar.getmembers() if m.isfile()}
            described = json.load(tar.extractfile(members["package.json"]))  # type: ignore[arg-type]
            for pattern, folder_name in package.keep.items():
                names = [name for name in members if fnmatch(name, pattern)]
                if not names:
                    raise SystemExit(f"{package.name} {package.version} has no file {pattern}")
                for name in names:
                    target = home / folder_name / Path(name).name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    source = tar.extractfile(members[name])
                    assert source is not None
                    target.write_bytes(source.read())
                    files[target.relative_to(home).as_posix()] = digest(target)
    return {
        "name": package.name,
        "version": package.version,
        "licence": described["license"],
        "files": dict(sorted(files.items())),
    }


def refresh() -> None:
    """Fetch every package again and rewrite the manifests."""
    if shutil.which("npm") is None:
        raise SystemExit("make vendor needs npm, which comes with Node.js")
    for place in (BOOK, TESTS):
        home = ROOT / place
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        entries = []
        for package in PACKAGES:
            if package.home == place:
                print(f"{package.name} {package.version}")
                entries.append(fetch(package, home))
        (home / MANIFEST).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare with the manifests")
    if parser.parse_args().check:
        found = [f"{home}: {line}" for home in (BOOK, TESTS) for line in differences(ROOT / home)]
        print("\n".join(found) or "vendored files agree with their manifests")
        return 1 if found else 0
    refresh()
    return 0


if __name__ == "__main__":
    sys.exit(main())
