"""Start, watch and end the processes in which notebooks run."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import select
import shutil
import signal
import site
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from .channel import ClosedError, receive, send
from .limits import GUARDS, Limits

PATIENCE = 3.0
TICK = 0.4
MAX_FILES = 5000
MAX_THREADS = 200
_SUBREAPER = 36
Relay = Callable[[dict[str, Any], bytes], bytes]


class EndedError(Exception):
    """A process that is no more; the text says why."""


class TimedOutError(Exception):
    """An order that took too long; the process lives on."""


def adopt_orphans() -> None:
    """Let what descendants leave behind become children of this process (Linux)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def kill_all(processes: Sequence[psutil.Process]) -> None:
    """End processes and wait until they are gone."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=2)


def kill_family(number: int) -> None:
    """End a process and all that descends from it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(number)
        kill_all([*process.children(recursive=True), process])


def kill_descendants(spared: psutil.Process | None = None) -> None:
    """End every process but one that descends from this one, also those started meanwhile."""
    for _ in range(50):
        descendants = [p for p in psutil.Process().children(recursive=True) if p != spared]
        if not descendants:
            return
        kill_all(descendants)


def readable_paths(*more: Path) -> list[Path]:
    """Return what a student's process must be able to read: Python, its packages, the system."""
    known = [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix]
    known += [*sysconfig.get_paths().values(), *site.getsitepackages()]
    paths = {Path(path).resolve() for path in known} - {Path("/")}
    paths.add(library())
    system = "/usr /lib /lib32 /lib64 /bin /etc/ld.so.cache /etc/ld.so.conf /etc/localtime"
    system += " /etc/fonts /dev/urandom /dev/random /dev/zero /proc/cpuinfo /proc/meminfo"
    system += " /sys/devices/system/cpu"
    return sorted(paths | {Path(path) for path in system.split()} | set(more))


def library() -> Path:
    """Return the folder of `sgdnotes`, without importing it."""
    found = importlib.util.find_spec("sgdnotes")
    if found is None or found.origin is None:
        raise ValueError("the package sgdnotes is not installed; `make env` installs it")
    return Path(found.origin).resolve().parent


def usage(folder: Path) -> tuple[int, int]:
    """Return how many files and folders there are below a folder, and their bytes together.

    Counting ends soon after the number allowed.  A path that cannot be followed is counted as all
    that is allowed, for only a malicious notebook makes one.
    """
    files = size = 0
    folders = [str(folder)]
    while folders and files <= MAX_FILES:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    files += 1
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        size += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
        except OSError:
            files += MAX_FILES
    return files, size


def nameless_bytes(process: int) -> int:
    """Return the length of all files that a process removed but holds open, where that is shown."""
    size = 0
    with contextlib.suppress(OSError), os.scandir(f"/proc/{process}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                status = entry.stat()
                if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                    size += status.st_size
    return size


def environment(home: Path, packages: Path) -> dict[str, str]:
    """Return the environment of a worker: only what is named here is visible to its code."""
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        "IPYTHONDIR": str(home),
        "MPLCONFIGDIR": str(home),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "NBGRADER_EXECUTION": "autograde",
        "PYTHONPATH": str(packages),
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    }


def start_python(
    module: str, end: socket.socket, home: Path, packages: Path, errors: IO[bytes]
) -> psutil.Popen:
    """Start a module of this program in a Python of its own, with a socket to serve."""
    command = [sys.executable, "-X", "utf8", "-B", "-s", "-m", module]
    return psutil.Popen(
        [*command, str(end.fileno())],
        cwd=home,
        env=environment(home, packages),
        pass_fds=[end.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,
    )


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give an empty folder, and remove it afterwards, whatever was put into it."""
    folder = Path(tempfile.mkdtemp(prefix="grading-")).resolve()
    try:
        yield folder
    finally:
        try:
            shutil.rmtree(folder)
        except (OSError, RecursionError):
            subprocess.run(["rm", "-rf", str(folder)], check=False, stderr=subprocess.DEVNULL)


class Stable:
    """Where workers come from: the library they import, and a nursery that forks them if it can.

    Parameters
    ----------
    folder
        An empty folder of its own.
    fonts
        Matplotlib's list of fonts, without which every worker would search for them.
    forks
        Whether workers are forked from a process that has imported everything, which saves a second
        each.  Only Linux hands the orphans of a nursery on to their grandparent.
    """

    def __init__(
        self,
        folder: Path,
        fonts: Path | None = None,
        forks: bool = sys.platform.startswith("linux"),
    ) -> None:
        self.fonts = fonts
        self.packages = folder / "packages"
        self.packages.mkdir(parents=True)
        # A folder on the path of Python that holds the library and this program alone.
        (self.packages / "sgdnotes").symlink_to(library())
        (self.packages / "grading").symlink_to(Path(__file__).resolve().parent)
        self.nursery: psutil.Popen | None = None
        if forks:
            home = self.home(folder)
            self.end, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with (folder / "errors.txt").open("w+b") as errors:
                name = "grading.nursery"
                self.nursery = start_python(name, other, home, self.packages, errors)
            other.close()

    def home(self, folder: Path) -> Path:
        """Make the folder in which a worker may write."""
        home = folder / "home"
        home.mkdir(parents=True)
        if self.fonts is not None:
            shutil.copy(self.fonts, home)
        return home

    def start(self, end: socket.socket, home: Path, errors: IO[bytes]) -> psutil.Popen | None:
        """Start a worker; return it if it is a child of this process already."""
        if self.nursery is None:
            return start_python("grading.worker", end, home, self.packages, errors)
        text = json.dumps({"home": str(home), "environment": environment(home, self.packages)})
        try:
            socket.send_fds(self.end, [text.encode()], [end.fileno(), errors.fileno()])
        except OSError as error:
            raise RuntimeError("the process from which workers are forked has ended") from error
        return None


class Process:
    """A worker: started here, given orders one by one, watched while it works.

    Parameters
    ----------
    folder
        An empty folder of its own.
    stable
        Where it comes from.
    limits
        What it may use.
    deadline
        The moment, on the monotonic clock, at which everything must be over.
    locked
        Whether the process runs a student's code and is locked in.
    guards
        The protections that are asked for.
    """

    def __init__(
        self,
        folder: Path,
        stable: Stable,
        limits: Limits,
        deadline: float,
        locked: bool,
        guards: Sequence[str] = GUARDS,
    ) -> None:
        self.limits, self.deadline = limits, deadline
        self.home = stable.home(folder)
        self.end, other = socket.socketpair()
        self.errors = (folder / "errors.txt").open("w+b")
        self.ended = ""
        self._looked = time.monotonic()
        started = stable.start(other, self.home, self.errors)
        other.close()
        self.process: psutil.Process | None = started
        order = {
            "locked": locked,
            "guards": list(guards),
            "memory": limits.memory_bytes,
            "file_size": limits.disk // 2,
            "seconds": int(limits.total) + 5,
            "output": limits.output,
            "readable": [str(path) for path in readable_paths(stable.packages)],
            "writable": [str(self.home), "/dev/null"],
        }
        self._send(order)

    def ready(self) -> list[str]:
        """Wait until the process has started; return the protections that it lacks."""
        header, _ = self._receive(self.deadline)
        if self.process is None:
            self.process = psutil.Process(int(header["pid"]))
        header, _ = self._receive(self.deadline)
        missing = header.get("missing", [])
        return [str(item) for item in missing] if isinstance(missing, list) else []

    def ask(
        self,
        order: dict[str, Any],
        payload: bytes = b"",
        seconds: float | None = None,
        relay: Relay | None = None,
    ) -> tuple[dict[str, Any], bytes]:
        """Give an order and return the answer.

        Parameters
        ----------
        order, payload
            The message.
        seconds
            How long it may take; None for as long as everything may.
        relay
            Answers what the process asks in turn, if it may ask.

        Raises
        ------
        TimedOutError
            If it took too long and could be interrupted.
        EndedError
            If the process has ended, or had to be ended.
        """
        self._send(order, payload)
        until = self.deadline if seconds is None else min(self.deadline, time.monotonic() + seconds)
        while True:
            try:
                header, data = self._receive(until)
            except TimedOutError:
                self._interrupt()
                try:
                    self._receive(time.monotonic() + PATIENCE)
                except TimedOutError:
                    self.kill("it did not stop when it was told to, after the time allowed")
                    raise EndedError(self.ended) from None
                if time.monotonic() >= self.deadline:
                    self.kill(f"the {self.limits.total:g} s for the whole notebook were over")
                    raise EndedError(self.ended) from None
                raise
            if relay is None or "ask" not in header:
                return header, data
            self._send({}, relay(header, data))

    def _send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        if self.ended:
            raise EndedError(self.ended)
        self.end.settimeout(PATIENCE + 10)
        try:
            send(self.end, header, payload)
        except ClosedError:
            self.kill(self._reason())
            raise EndedError(self.ended) from None

    def _receive(self, until: float) -> tuple[dict[str, Any], bytes]:
        def wait() -> None:
            while True:
                if time.monotonic() - self._looked > TICK:
                    self._look()
                    self._looked = time.monotonic()
                # First the time: a process that sends byte after byte is always readable.
                if time.monotonic() > until:
                    raise TimedOutError
                if select.select([self.end], [], [], TICK)[0]:
                    return

        if self.ended:
            raise EndedError(self.ended)
        try:
            return receive(self.end, self.limits.answer, wait)
        except ClosedError as error:
            gone = "gone" in str(error)
            self.kill(self._reason() if gone else str(error))
            raise EndedError(self.ended) from None

    def _interrupt(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            if self.process is not None:
                self.process.send_signal(signal.SIGINT)

    def _look(self) -> None:
        """End the process if it and its descendants use too much."""
        if self.process is None:
            return
        try:
            family = [self.process, *self.process.children(recursive=True)]
            memory = sum(member.memory_info().rss for member in family)
            threads = sum(member.num_threads() for member in family)
        except psutil.NoSuchProcess:
            return
        files, disk = usage(self.home)
        disk += sum(nameless_bytes(member.pid) for member in family)
        reason = ""
        if memory > self.limits.memory_bytes:
            reason = f"it used more than {self.limits.memory:g} GB of memory"
        elif len(family) > self.limits.descendants + 1:
            reason = f"it started more than {self.limits.descendants} processes"
        elif threads > MAX_THREADS:
            reason = f"it started more than {MAX_THREADS} threads"
        elif files > MAX_FILES:
            reason = f"it made more than {MAX_FILES} files and folders"
        elif disk > self.limits.disk:
            reason = f"it wrote more than {self.limits.disk / 1e6:g} MB of files"
        if reason:
            self.kill(reason)
            raise EndedError(self.ended)

    def _reason(self) -> str:
        """Say how the process ended by itself."""
        if self.process is None:
            return f"it did not start{self._last_words()}"
        try:
            status = self.process.wait(timeout=PATIENCE)
        except psutil.TimeoutExpired:
            return "it closed its connection"
        if status is None or status >= 0:
            return f"it ended itself with status {status}{self._last_words()}"
        names = {
            signal.SIGKILL: "it was killed, by itself or by the system for want of memory",
            signal.SIGSEGV: "it crashed with a segmentation fault",
            signal.SIGXCPU: f"it used more than {self.limits.total:g} s of computing time",
            signal.SIGXFSZ: "it wrote a file that is too long",
        }
        number = signal.Signals(-status)
        return names.get(number, f"it was ended by {number.name}")

    def _last_words(self) -> str:
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return f" ({lines[-1][:200]})" if lines else ""

    def kill(self, reason: str = "") -> None:
        """End the process and its group."""
        self.ended = self.ended or reason or "it was ended"
        if self.process is not None:
            kill_family(self.process.pid)
        self.end.close()
        self.errors.close()
