"""Start, watch and end the processes in which notebooks run."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import select
import shutil
import signal
import site
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from .channel import ClosedError, receive, send
from .limits import GUARDS, Limits

PATIENCE = 3.0
TICK = 0.2
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


def kill_descendants() -> None:
    """End every process that descends from this one, also those started meanwhile."""
    for _ in range(50):
        descendants = psutil.Process().children(recursive=True)
        if not descendants:
            return
        for process in descendants:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(descendants, timeout=1)


def readable_paths(packages: Path) -> list[Path]:
    """Return what a student's process must be able to read: Python, its packages, the system."""
    known = [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix]
    known += [*sysconfig.get_paths().values(), *site.getsitepackages()]
    paths = {Path(path).resolve() for path in known} - {Path("/")}
    paths.add(library())
    system = "/usr /lib /lib32 /lib64 /bin /etc/ld.so.cache /etc/ld.so.conf /etc/localtime"
    system += " /etc/fonts /dev/urandom /dev/random /dev/zero /proc/cpuinfo /proc/meminfo"
    system += " /sys/devices/system/cpu"
    return sorted(paths | {Path(path) for path in system.split()} | {packages})


def library() -> Path:
    """Return the folder of `sgdnotes`, without importing it."""
    found = importlib.util.find_spec("sgdnotes")
    if found is None or found.origin is None:
        raise ValueError("the package sgdnotes is not installed; `make env` installs it")
    return Path(found.origin).resolve().parent


class Process:
    """A worker: started here, given orders one by one, watched while it works.

    Parameters
    ----------
    folder
        An empty folder of its own.
    limits
        What it may use.
    deadline
        The moment, on the monotonic clock, at which everything must be over.
    locked
        Whether the process runs a student's code and is locked in.
    fonts
        Matplotlib's list of fonts, without which it would search for them.
    guards
        The protections that are asked for.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        deadline: float,
        locked: bool,
        fonts: Path | None = None,
        guards: Sequence[str] = GUARDS,
    ) -> None:
        self.limits, self.deadline, self.folder = limits, deadline, folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        packages = self._packages(folder / "packages")
        if fonts is not None:
            shutil.copy(fonts, self.home)
        self.end, other = socket.socketpair()
        self.errors = (folder / "errors.txt").open("w+b")
        # Only what is named here is visible to the code that runs there.
        environment = {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "IPYTHONDIR": str(self.home),
            "MPLCONFIGDIR": str(self.home),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "NBGRADER_EXECUTION": "autograde",
            "PYTHONPATH": str(packages),
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        }
        command = [sys.executable, "-X", "utf8", "-B", "-s", "-m", "grading.worker"]
        self.popen = subprocess.Popen(
            [*command, str(other.fileno())],
            cwd=self.home,
            env=environment,
            pass_fds=[other.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.errors,
            start_new_session=True,
        )
        other.close()
        self.ended = ""
        order = {
            "locked": locked,
            "guards": list(guards),
            "memory": limits.memory_bytes,
            "file_size": limits.disk // 2,
            "seconds": int(limits.total) + 5,
            "output": limits.output,
            "readable": [str(path) for path in readable_paths(packages)],
            "writable": [str(self.home), "/dev/null"],
        }
        self._send(order)

    @staticmethod
    def _packages(folder: Path) -> Path:
        """Make a folder on the path of Python that holds the library and this program alone."""
        folder.mkdir()
        (folder / "sgdnotes").symlink_to(library())
        (folder / "grading").symlink_to(Path(__file__).resolve().parent)
        return folder

    def ready(self) -> list[str]:
        """Wait until the process has started; return the protections that it lacks."""
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
                os.kill(self.popen.pid, signal.SIGINT)
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
        checked = 0.0

        def wait() -> None:
            nonlocal checked
            while True:
                now = time.monotonic()
                if now - checked > TICK:
                    checked = now
                    self._look()
                if select.select([self.end], [], [], TICK)[0]:
                    return
                if time.monotonic() > until:
                    raise TimedOutError

        if self.ended:
            raise EndedError(self.ended)
        try:
            return receive(self.end, self.limits.answer, wait)
        except ClosedError as error:
            gone = "gone" in str(error)
            self.kill(self._reason() if gone else str(error))
            raise EndedError(self.ended) from None

    def _look(self) -> None:
        """End the process if it and its descendants use too much."""
        try:
            family = [root := psutil.Process(self.popen.pid), *root.children(recursive=True)]
            memory = sum(member.memory_info().rss for member in family)
        except psutil.NoSuchProcess:
            return
        disk = sum(path.lstat().st_size for path in self.home.rglob("*") if path.is_file())
        reason = ""
        if memory > self.limits.memory_bytes:
            reason = f"it used more than {self.limits.memory:g} GB of memory"
        elif len(family) > self.limits.descendants + 1:
            reason = f"it started more than {self.limits.descendants} processes"
        elif disk > self.limits.disk:
            reason = f"it wrote more than {self.limits.disk / 1e6:g} MB of files"
        if reason:
            self.kill(reason)
            raise EndedError(self.ended)

    def _reason(self) -> str:
        """Say how the process ended by itself."""
        try:
            status = self.popen.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        if status >= 0:
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
        if self.popen.poll() is None:
            for member in psutil.Process(self.popen.pid).children(recursive=True):
                try:
                    member.kill()
                except psutil.NoSuchProcess:
                    continue
            self.popen.kill()
        self.popen.wait()
        self.end.close()
        self.errors.close()
