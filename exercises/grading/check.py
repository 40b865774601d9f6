"""Check a problem set quickly: no nbgrader, no sandbox, one plain process a variant.

Run are the author's solutions, every alternative, every wrong solution and the blank set.  The
tests call the functions as in grading: copies of the arguments, plain data back.
"""

from __future__ import annotations

import contextlib
import functools
import io
import linecache
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .calls import proxy, serve
from .notebook import EXERCISES, ProblemSet, blank, grade_id, role
from .percent import Replacement, read_replacements

_fork = multiprocessing.get_context("fork") if os.name == "posix" else None
TIMEOUT = 120.0


@dataclass
class Finding:
    """One line of the report: what was run, and what is wrong with how it ended."""

    label: str
    problems: list[str] = field(default_factory=list)
    messages: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def run_cell(source: str, namespace: dict[str, Any], name: str) -> None:
    """Execute a cell, so that tracebacks can show its lines."""
    filename = f"<cell {name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    exec(compile(source, filename, "exec"), namespace)


def describe(error: BaseException) -> str:
    """Return an error as the student reads it."""
    notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", []))
    return f"{type(error).__name__}: {error}{notes}"


class Bench:
    """A problem set with its locked cells executed, on which variants are tried one by one."""

    def __init__(self, problem_set: ProblemSet) -> None:
        self.problem_set = problem_set
        self.student: dict[str, Any] = {"__name__": "__student__"}
        self.tests: dict[str, Any] = {"__name__": "__tests__"}
        for namespace in (self.student, self.tests):
            namespace["display"] = lambda *objects, **options: None
            with contextlib.redirect_stdout(io.StringIO()):
                for cell in problem_set.locked_code:
                    run_cell(cell.source, namespace, grade_id(cell))

    def try_variant(self, code: Mapping[str, str], tests: list[str]) -> dict[str, str]:
        """Run solution cells, some of them replaced, then tests; return what failed and why.

        Parameters
        ----------
        code
            Replacements of solution cells, by grade_id.
        tests
            The grade_ids of the test cells to run.
        """
        failed: dict[str, str] = {}
        for cell in self.problem_set.cells("solution"):
            name = grade_id(cell)
            try:
                run_cell(code.get(name, cell.source), self.student, name)
            except Exception as error:
                failed[name] = f"the solution cell itself stopped: {describe(error)}"
        for name, is_function in self.problem_set.names_of_students().items():
            if is_function:
                self.tests[name] = proxy(name, lambda n, data: serve(self.student, n, data))
            elif name in self.student:
                self.tests[name] = self.student[name]
        for cell in self.problem_set.cells("test"):
            if grade_id(cell) in tests:
                try:
                    run_cell(cell.source, self.tests, grade_id(cell))
                except Exception as error:
                    failed[grade_id(cell)] = describe(error)
        return failed

    def apart(self, work: Callable[[], Any]) -> Any:
        """Do something in a fork of this process, so that it leaves no trace here."""
        if _fork is None:
            return work()
        receiver, sender = _fork.Pipe(duplex=False)

        def child() -> None:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                try:
                    sender.send(work())
                except BaseException as error:
                    sender.send(error if isinstance(error, Exception) else RuntimeError(str(error)))

        process = _fork.Process(target=child)
        process.start()
        sender.close()
        try:
            if not receiver.poll(TIMEOUT):
                raise TimeoutError(f"took longer than {TIMEOUT:g} s")
            result = receiver.recv()
        except EOFError:
            raise RuntimeError("the process ended without an answer") from None
        finally:
            process.kill()
            process.join()
        if isinstance(result, Exception):
            raise result
        return result


def check_set(
    name: str,
    seeds: list[int] | None = None,
    task: str = "",
    exercises: Path = EXERCISES,
) -> Iterator[Finding]:
    """Check everything about one set; yield a finding for each thing that was run.

    Parameters
    ----------
    name
        The set.
    seeds
        The classes for which it is run, by default its own and the next.
    task
        If given, only variants of this task.
    exercises
        The folder that holds source, alternatives and mutants.
    """
    source = ProblemSet.read(name, exercises)
    alternatives = read_replacements(exercises / "alternatives" / f"{name}.py")
    mutants = read_replacements(exercises / "mutants" / f"{name}.py")
    yield Finding("form", form_problems(source, alternatives, mutants))
    values: dict[int, dict[str, Any]] = {}
    for seed in seeds or [source.class_seed, source.class_seed + 1]:
        bench = Bench(source.for_class(seed))
        yield from _variants(bench, alternatives, mutants, task, f"class {seed}")
        if not task:
            values[seed] = bench.apart(functools.partial(constants, bench))
    for seed in list(values)[1:]:
        yield _hard_coded(source.for_class(seed), seed, values)


def _variants(
    bench: Bench,
    alternatives: list[Replacement],
    mutants: list[Replacement],
    task: str,
    label: str,
) -> Iterator[Finding]:
    source = bench.problem_set
    tests = [grade_id(cell) for cell in source.cells("test")]
    tasks = [grade_id(cell) for cell in source.cells("solution")]
    blanks = {grade_id(cell): blank(cell.source) for cell in source.cells("solution")}

    def tests_of(name: str) -> list[str]:
        return [test for test in tests if _belongs(source, test, name)]

    def attempt(what: str, code: Mapping[str, str], chosen: list[str]) -> Finding:
        started = time.perf_counter()
        finding = Finding(f"{label}  {what}")
        try:
            finding.messages = bench.apart(lambda: bench.try_variant(code, chosen))
        except Exception as error:
            finding.problems.append(describe(error))
        finding.seconds = time.perf_counter() - started
        return finding

    def must_pass(finding: Finding) -> Finding:
        finding.problems += [f"{test}: {why}" for test, why in finding.messages.items()]
        return finding

    if not task:
        yield must_pass(attempt("solutions", {}, tests))
        finding = attempt("blank", blanks, tests)
        passed = [test for test in tests if test not in finding.messages]
        finding.problems += [f"{test} passes without an answer" for test in passed]
        yield finding
    for name in tasks if not task else [task]:
        alone = {other: text for other, text in blanks.items() if other != name}
        finding = attempt(f"{name} with all other tasks blank", alone, tests_of(name))
        if finding.messages:
            finding.label += "  (not a fault: it fails, for it builds on others)"
        yield finding
    for count, item in enumerate(alternatives):
        if task in ("", item.task):
            what = f"{item.task} alternative {item.name or count + 1}"
            yield must_pass(attempt(what, {item.task: item.code}, tests_of(item.task)))
    for item in mutants:
        if task in ("", item.task):
            what = f"{item.task} wrong: {item.name}"
            finding = attempt(what, {item.task: item.code}, tests_of(item.task))
            finding.problems += mutant_problems(item, finding.messages)
            yield finding


def mutant_problems(mutant: Replacement, failed: Mapping[str, str]) -> list[str]:
    """Say what is wrong with how a wrong solution failed: nothing, if as it should."""
    if mutant.task in failed:
        return [failed[mutant.task]]
    if mutant.test not in failed:
        return [f"passes {mutant.test}"]
    if mutant.message not in failed[mutant.test]:
        return [f"the message lacks {mutant.message!r}; it is: {failed[mutant.test]}"]
    return []


def _belongs(source: ProblemSet, test: str, task: str) -> bool:
    try:
        return source.task_of(test) == task
    except ValueError:
        return False


def constants(bench: Bench) -> dict[str, Any]:
    """Return the answers that are functions without arguments, by name."""
    bench.try_variant({}, [])
    answers = {}
    for name, is_function in bench.problem_set.names_of_students().items():
        if is_function:
            with contextlib.suppress(Exception):
                answers[name] = bench.tests[name]()
    return answers


def hard_coded(source: ProblemSet, answers: Mapping[str, Any]) -> dict[str, str]:
    """Return solution cells that give the answers of another class, by grade_id."""
    import numpy as np

    code = {}
    for cell in source.cells("solution"):
        extra = ""
        for name, value in answers.items():
            if f"def {name}(" in cell.source:
                with np.printoptions(threshold=10**9, floatmode="unique"):
                    text = repr(value)
                extra += (
                    "\n\nfrom numpy import array, nan, inf\nimport numpy as np\n"
                    f"def {name}():\n    return {text}\n"
                )
        if extra:
            code[grade_id(cell)] = cell.source + extra
    return code


def _hard_coded(source: ProblemSet, seed: int, values: Mapping[int, Mapping[str, Any]]) -> Finding:
    other = next(iter(values))
    finding = Finding(f"class {seed}  answers of class {other} written in")
    code = hard_coded(source, values[other])
    if not code:
        finding.problems.append("no answer is a function without arguments: none can be hard-coded")
        return finding
    bench = Bench(source)
    tests = [grade_id(cell) for cell in source.cells("test")]
    finding.messages = bench.apart(lambda: bench.try_variant(code, tests))
    if not any(test in finding.messages for test in tests):
        finding.problems.append("passes every test, so no answer depends on the class")
    return finding


def form_problems(
    source: ProblemSet, alternatives: list[Replacement], mutants: list[Replacement]
) -> list[str]:
    """Say where a set, its alternatives or its mutants do not keep to the form."""
    problems = []
    names = [grade_id(cell) for cell in source if grade_id(cell)]
    tasks = [grade_id(cell) for cell in source.cells("solution")]
    tests = [grade_id(cell) for cell in source.cells("test")]
    problems += [
        f"{name} stands twice" for name in sorted({n for n in names if names.count(n) > 1})
    ]
    for cell in source:
        name, kind = grade_id(cell), role(cell)
        if cell.cell_type == "code" and kind == "other":
            problems.append(f"a code cell has no role: {cell.source[:60]!r}")
        if kind in ("solution", "text") and "### BEGIN SOLUTION" not in cell.source:
            problems.append(f"{name} has no ### BEGIN SOLUTION")
        if kind == "test" and "### BEGIN HIDDEN TESTS" not in cell.source:
            problems.append(f"{name} has no ### BEGIN HIDDEN TESTS")
        if kind in ("test", "text") and not cell.metadata["nbgrader"].get("points"):
            problems.append(f"{name} has no points")
        if kind != "other" and cell.metadata["nbgrader"].get("schema_version") != 3:
            problems.append(f"{name} has not schema_version 3")
        if kind in ("solution", "test") and cell.cell_type != "code":
            problems.append(f"{name} is not a code cell")
        if kind in ("solution", "text") and "### BEGIN SOLUTION" in blank(cell.source):
            problems.append(f"{name}: BEGIN and END SOLUTION do not match")
    try:
        assert source.class_seed >= 0
    except ValueError as error:
        problems.append(str(error))
    for test in tests:
        try:
            source.task_of(test)
        except ValueError as error:
            problems.append(str(error))
    for task in tasks:
        if not any(_belongs(source, test, task) for test in tests):
            problems.append(f"{task} has no test cell")
        if (count := sum(item.task == task for item in alternatives)) < 1:
            problems.append(f"{task} has no alternative")
        if (count := sum(item.task == task for item in mutants)) < 3:
            problems.append(f"{task} has {count} wrong solutions, at least 3 are wanted")
    for item in [*alternatives, *mutants]:
        if item.task not in tasks:
            problems.append(f"there is no solution cell {item.task!r} ({item.name})")
    for item in mutants:
        if not (item.name and item.message):
            problems.append(f"a wrong solution of {item.task} lacks its name or message")
        if item.test not in tests:
            problems.append(f"there is no test cell {item.test!r} ({item.name})")
    return problems


def report(name: str, seeds: list[int] | None, task: str, verbose: bool, exercises: Path) -> bool:
    """Print the findings about one set; return whether all is well."""
    good, started = True, time.perf_counter()
    print(name)
    for finding in check_set(name, seeds, task, exercises):
        good &= not finding.problems
        mark = "ok  " if not finding.problems else "BAD "
        print(f"  {mark} {finding.label}  [{finding.seconds:.1f} s]", flush=True)
        for problem in finding.problems:
            print("         " + problem.replace("\n", "\n         "))
        if verbose and not finding.problems:
            for test, message in finding.messages.items():
                print(f"         {test}: {message}".replace("\n", "\n           "))
    print(f"  {'all is well' if good else 'NOT WELL'} ({time.perf_counter() - started:.0f} s)")
    return good
