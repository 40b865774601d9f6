"""A process that runs cells of a notebook: a student's, locked in, or the instructor's tests.

It is started by `process` and takes orders over a socket until that is closed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from . import calls, landlock, seccomp, shell, wire
from .channel import ClosedError, receive, send
from .limits import GUARDS


def limit(memory: int, file_size: int, seconds: int) -> None:
    """Set the limits that every Unix has."""
    limits = {
        "RLIMIT_AS": memory,
        "RLIMIT_FSIZE": file_size,
        "RLIMIT_CPU": seconds,
        "RLIMIT_NOFILE": 256,
        "RLIMIT_CORE": 0,
    }
    for name, wanted in limits.items():
        kind = getattr(resource, name)
        _, most = resource.getrlimit(kind)
        value = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        # Some systems, macOS among them, do not limit memory in this way.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def lock_in(guards: list[str], readable: list[Path], writable: list[Path]) -> list[str]:
    """Apply the protections named; return which of all of them this process lacks."""
    missing = []
    if sys.platform.startswith("linux") and len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("a thread was started before the process was locked in")
    if GUARDS[0] in guards and landlock.version():
        landlock.restrict(readable, writable)
    else:
        missing.append(GUARDS[0])
    if GUARDS[1] in guards and seccomp.available():
        seccomp.restrict()
    else:
        missing.append(GUARDS[1])
    return missing


class Worker:
    """The answers to orders; one method an order.

    Parameters
    ----------
    end
        The socket over which orders come.
    order
        The first order: role, limits and folders.
    """

    def __init__(self, end: socket.socket, order: dict[str, Any]) -> None:
        self.end = end
        self.is_busy = False
        signal.signal(signal.SIGINT, self._interrupt)
        self.shell = shell.start(order["output"])
        limit(order["memory"], order["file_size"], order["seconds"])
        missing = []
        if order["locked"]:
            readable = [Path(path) for path in order["readable"]]
            missing = lock_in(order["guards"], readable, [Path(path) for path in order["writable"]])
        send(end, {"missing": missing})

    def _interrupt(self, number: int, frame: Any) -> None:
        if self.is_busy:
            raise KeyboardInterrupt

    def serve(self) -> None:
        """Carry out orders, one after the other."""
        while True:
            header, payload = receive(self.end)
            answer: dict[str, Any] = {}
            data = b""
            try:
                self.is_busy = True
                if header["do"] == "run":
                    answer["outputs"] = shell.run(
                        self.shell, header["source"], header.get("silent", False)
                    )
                elif header["do"] == "call":
                    data = calls.serve(self.shell.user_ns, header["name"], payload)
                elif header["do"] == "value":
                    data = self._value(header["name"])
                elif header["do"] == "bind":
                    self._bind(header["functions"], header["values"])
            except KeyboardInterrupt:
                pass
            finally:
                self.is_busy = False
            self.shell.outputs.items.clear()
            send(self.end, answer, data)

    def _value(self, name: str) -> bytes:
        try:
            return wire.encode({"value": self.shell.user_ns[name]})
        except (KeyError, wire.NotPlainError):
            return wire.encode({})

    def _ask(self, order: str, name: str, payload: bytes) -> bytes:
        send(self.end, {"ask": order, "name": name}, payload)
        _, answer = receive(self.end)
        return answer

    def _bind(self, functions: list[str], values: list[str]) -> None:
        """Give the student's names to the tests."""
        for name in functions:
            self.shell.user_ns[name] = calls.proxy(name, lambda n, data: self._ask("call", n, data))
        for name in values:
            with contextlib.suppress(wire.NotPlainError):
                answer = wire.decode(self._ask("value", name, b""))
                if isinstance(answer, dict) and "value" in answer:
                    self.shell.user_ns[name] = answer["value"]


def serve(number: int) -> None:
    """Serve a socket, given by its number, until it is closed."""
    end = socket.socket(fileno=number)
    with contextlib.suppress(ClosedError):
        send(end, {"pid": os.getpid()})
        order, _ = receive(end)
        Worker(end, order).serve()


if __name__ == "__main__":
    serve(int(sys.argv[-1]))
