"""Landlock: the kernel refuses a process all files but those it was given (Linux 5.13 and newer).

The restriction holds for the calling thread and for all that it starts, and cannot be taken back.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION, _PATH_BENEATH = 1, 1
_NO_NEW_PRIVILEGES = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_READ = _EXECUTE | _READ_FILE | _READ_DIR
# Removing and making: everything but devices; linking between folders is never needed.
_WRITE = _READ | _WRITE_FILE | _TRUNCATE | sum(1 << bit for bit in (4, 5, 7, 8, 12))


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Return the version of Landlock that this kernel offers, 0 if none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, _VERSION)))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {what} failed")
    return result


def restrict(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """Refuse this thread every file that lies outside the given folders and files.

    Connections over TCP, and from version 6 on signals to processes outside, are refused too.

    Parameters
    ----------
    readable
        What may be read and executed; what does not exist is passed over.
    writable
        What may be changed as well.

    Raises
    ------
    OSError
        If the kernel has no Landlock or refuses.
    """
    known = version()
    if known < 1:
        raise OSError("Landlock: this kernel has none")
    handled = (1 << 13) - 1
    handled |= (1 << 13) if known >= 2 else 0
    handled |= _TRUNCATE if known >= 3 else 0
    handled |= _IOCTL_DEVICE if known >= 5 else 0
    rules = _Ruleset(handled, 0b11 if known >= 4 else 0, 0b11 if known >= 6 else 0)
    size = 24 if known >= 6 else 16 if known >= 4 else 8
    libc = _libc()
    ruleset = _check(libc.syscall(_CREATE_RULESET, ctypes.byref(rules), size, 0), "making rules")
    try:
        for paths, allowed in ((readable, _READ), (writable, _WRITE)):
            for path in paths:
                _allow(libc, ruleset, path, allowed & handled)
        _check(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "giving up privileges")
        _check(libc.syscall(_RESTRICT_SELF, ruleset, 0), "restricting the process")
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, allowed: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        rights = allowed if path.is_dir() else allowed & _OF_FILES
        rule = _PathBeneath(rights, descriptor)
        done = libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
        _check(done, f"allowing {path}")
    finally:
        os.close(descriptor)
