"""A process that has imported everything and forks workers, each of which begins at once.

It never runs a cell, and never sees a test.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import random
import socket
import sys
import tempfile
import traceback

import numpy as np

from . import worker


def preload() -> None:
    """Import all of the library and what it draws with."""
    sgdnotes = importlib.import_module("sgdnotes")
    for module in pkgutil.walk_packages(sgdnotes.__path__, "sgdnotes."):
        with contextlib.suppress(ImportError):
            importlib.import_module(module.name)


def become(order: dict[str, object], end: int, errors: int) -> None:
    """Make a worker of this process, with a folder and an environment of its own."""
    os.setsid()
    os.dup2(errors, 2)
    os.close(errors)
    os.chdir(str(order["home"]))
    os.environ.clear()
    os.environ.update({str(k): str(v) for k, v in dict(order["environment"]).items()})  # type: ignore[call-overload]
    tempfile.tempdir = None
    # Forks share the state of random numbers, and these should differ as in fresh processes.
    random.seed()
    np.random.seed()  # noqa: NPY002
    worker.serve(end)


def main() -> None:
    """Fork a worker for every message on the socket whose number is the last argument."""
    control = socket.socket(fileno=int(sys.argv[-1]))
    preload()
    while True:
        message, files, _, _ = socket.recv_fds(control, 1 << 16, 2)
        if not message:
            return
        if (between := os.fork()) == 0:
            # The worker's parent ends at once, so that the worker goes to who asked for it.
            if os.fork() == 0:
                control.close()
                try:
                    become(json.loads(message), *files)
                except BaseException:
                    traceback.print_exc()
            os._exit(0)
        for file in files:
            os.close(file)
        os.waitpid(between, 0)


if __name__ == "__main__":
    main()
