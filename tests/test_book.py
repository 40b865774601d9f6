"""The prose pages: what they promise exists, what they print is what comes out."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import subprocess
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

from sgdnotes.theorems import ALL

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "book").glob("*.md"))
LECTURES = {
    "01": "01-finite-sums",
    "02": "02-gradient-descent",
    "03": "03-stochastic-gradients",
    "04": "04-pl",
    "05": "05-rate-table",
    "06": "06-momentum-averaging",
    "07": "07-minibatches",
    "08": "08-order",
    "09": "09-landscapes",
    "10": "10-sde",
    "11": "11-implicit-regularisation",
    "12": "12-frank-wolfe",
    "13": "13-zoo",
    "14": "14-attacks",
    "15": "15-pruning",
}

# The items of the sources that the existing lectures owe the reader, and the entries of the errata.
DUE = [f"m{i}" for i in range(1, 26)] + [f"r{i}" for i in range(1, 33)]
DUE += [f"a{i}" for i in range(1, 19)]
DUE += [f"s{i}" for i in range(1, 21)]
DUE_ERRATA = [str(i) for i in (*range(1, 17), *range(18, 34))]
DUE_ERRATA += ["17-m4", "17-m5", "34-m1", "34-m7", "34-r1"]
COUNTS = {"M": 25, "R": 32, "A": 18, "S": 20}


def markdown(lecture: str) -> str:
    """Return the text cells of a lecture."""
    notebook = json.loads((ROOT / "lectures" / f"{LECTURES[lecture]}.ipynb").read_text("utf-8"))
    return "\n\n".join(
        "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"
    )


def targets(text: str) -> set[str]:
    return set(re.findall(r"^\(([\w-]+)\)=\s*$", text, flags=re.MULTILINE))


def page(name: str) -> str:
    return (ROOT / "book" / f"{name}.md").read_text("utf-8")


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- code in prose ----------------------------------------------------------------------------


def transcript(path: Path) -> list[tuple[str, str]]:
    """Return each Python block of a page with the output printed below it, or an empty string."""
    blocks = re.findall(r"```(\w+)\n(.*?)```", path.read_text("utf-8"), flags=re.DOTALL)
    pairs = []
    for (language, text), following in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language == "python":
            pairs.append((text, following[1] if following[0] == "text" else ""))
    return pairs


@pytest.mark.parametrize("path", ["README.md", "book/how-to-use.md"])
def test_python_in_prose_runs_and_prints_what_the_page_shows(path: str) -> None:
    pairs = transcript(ROOT / path)
    assert pairs
    namespace: dict[str, object] = {}
    for code, shown in pairs:
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(code, path, "exec"), namespace)
        assert printed.getvalue() == shown


def test_readme_example_is_five_lines() -> None:
    code, _ = transcript(ROOT / "README.md")[0]
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 5


def test_readme_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert links
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing


def test_cover_is_described_alike_everywhere_and_as_drawn() -> None:
    cover = tool("cover")
    assert cover.ALT in page("intro")
    assert cover.ALT in (ROOT / "README.md").read_text("utf-8")
    assert len(cover.cover().axes[0].lines) == 14 + 3  # fourteen paths and three curves
    assert (ROOT / "book/_static/cover.svg").read_text("utf-8").lstrip().startswith("<?xml")


# ---- theorem index ----------------------------------------------------------------------------


def test_theorem_index_is_fresh() -> None:
    assert page("theorems") == tool("pages").theorems_page(), "run python tools/pages.py"


def test_theorem_index_links_every_theorem() -> None:
    for label in ALL:
        assert f"{{prf:ref}}`{label}`" in page("theorems")


@pytest.mark.parametrize("label", ALL)
def test_theorem_has_its_box_in_its_lecture(label: str) -> None:
    text = markdown(ALL[label].lecture)
    assert re.search(rf"^:label: {re.escape(label)}$", text, flags=re.MULTILINE)


# ---- sources and errata -----------------------------------------------------------------------


@pytest.mark.parametrize("item", DUE)
def test_due_source_item_is_listed_and_treated(item: str) -> None:
    row = re.search(
        rf"^\| {item.upper()} (?:† )?\|.*\[lecture (\d\d)\]\(#src-{item}\) \|$",
        page("sources"),
        flags=re.MULTILINE,
    )
    assert row, f"no row for {item.upper()} in book/sources.md"
    assert f"src-{item}" in targets(markdown(row[1]))


def test_every_source_item_is_listed_once() -> None:
    listed: list[str] = []
    for line in page("sources").splitlines():
        if line.startswith("| ") and "---" not in line:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            text = cells[0] if re.match(r"[MRAS]\d", cells[0]) else cells[1]
            for letter, first, last in re.findall(r"\b([MRAS])(\d+)(?:–[MRAS](\d+))?", text):
                listed += [f"{letter}{i}" for i in range(int(first), int(last or first) + 1)]
    wanted = [f"{letter}{i}" for letter, count in COUNTS.items() for i in range(1, count + 1)]
    assert sorted(listed) == sorted(wanted)


@pytest.mark.parametrize("entry", DUE_ERRATA)
def test_due_erratum_is_listed_and_demonstrated(entry: str) -> None:
    number = entry.split("-")[0]
    assert re.search(rf"^### {number} · ", page("errata"), flags=re.MULTILINE)
    link = re.search(rf"lecture (\d\d)\]\(#err-{entry}\)", page("errata"))
    assert link, f"no link to err-{entry} in book/errata.md"
    text = markdown(link[1])
    assert f"err-{entry}" in targets(text)
    assert ":class: erratum" in text.split(f"(err-{entry})=", 1)[1][:400]


def test_every_erratum_of_a_lecture_is_on_the_page() -> None:
    for lecture in LECTURES:
        for target in targets(markdown(lecture)):
            if target.startswith("err-"):
                assert f"[lecture {lecture}](#{target})" in page("errata").replace(
                    "Erratum in ", ""
                )


def test_links_to_lectures_name_the_lecture_that_they_lead_to() -> None:
    for name in ("sources", "errata"):
        for lecture, target in re.findall(r"lecture (\d\d)\]\(#([\w-]+)\)", page(name)):
            assert target in targets(markdown(lecture)), f"{target} is not in lecture {lecture}"


# ---- bibliography -----------------------------------------------------------------------------


def test_cited_works_are_in_the_bibliography() -> None:
    text = (ROOT / "book/references.bib").read_text("utf-8")
    keys = re.findall(r"^@\w+\{([^,]+),", text, flags=re.MULTILINE)
    assert len(keys) == len(set(keys))
    sources = [path.read_text("utf-8") for path in PAGES]
    sources += [markdown(lecture) for lecture in LECTURES]
    cited = {
        key.strip()
        for source in sources
        for keys_cited in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", source)
        for key in keys_cited.split(",")
    }
    assert cited
    assert not cited - set(keys)


# ---- nothing of one machine in the text --------------------------------------------------------


def tracked_text() -> list[Path]:
    """Return the tracked text files, without vendored code."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    suffixes = {".md", ".py", ".ipynb", ".toml", ".yml", ".yaml", ".lock", ".txt", ".bib", ".cff"}
    plain = {"Makefile", "LICENSE", "LICENSE-TEXT", "run", "runtime.txt"}
    return [
        ROOT / name
        for name in names
        if "_static/vendor" not in name
        and (Path(name).suffix in suffixes or Path(name).name in plain)
        and (ROOT / name).is_file()
    ]


MACHINE = re.compile(r"""(?<![\w.~/-])/(?:root|work|home/\w+|Users/\w+)/""")
REGISTRY = re.compile(
    r"(?:files\.pythonhosted|registry\.npmjs|registry\.yarnpkg|pypi)\.(?:org|com)", re.IGNORECASE
)


def test_no_path_of_a_machine_and_no_address_of_a_registry() -> None:
    files = tracked_text()
    if not files:
        pytest.skip("not a git work tree")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in files
        if path != Path(__file__)
        for pattern in (MACHINE, REGISTRY)
        if (match := pattern.search(path.read_text("utf-8")))
    ]
    assert not found


@pytest.mark.skipif(
    not (ROOT / "exercises" / "source").exists(), reason="optional: a copy without problem sets"
)
def test_instructors_are_told_the_points_of_each_set() -> None:
    """The table of problem sets names all sets, with all points and those given by hand."""
    page = (ROOT / "book" / "instructors.md").read_text(encoding="utf-8")
    told = {
        name: (int(points), int(by_hand))
        for name, points, by_hand in re.findall(
            r"^\| (ps\d) .*?\| [^|]+\| (\d+) \| (\d+) \|", page, flags=re.MULTILINE
        )
    }
    found = {}
    for path in (ROOT / "exercises" / "source").glob("*/*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        graded = [cell for cell in cells if cell.metadata.get("nbgrader", {}).get("grade")]
        points = [(cell.cell_type, cell.metadata.nbgrader.points) for cell in graded]
        found[path.stem] = (
            sum(worth for _, worth in points),
            sum(worth for kind, worth in points if kind == "markdown"),
        )
    assert told == found
