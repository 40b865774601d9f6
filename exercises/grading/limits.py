"""What a submission may use."""

from __future__ import annotations

from dataclasses import dataclass

# What the kernel keeps a student's process from, where it can.
GUARDS = ("files", "processes and network")


@dataclass(frozen=True)
class Limits:
    """Limits of one submission.

    Parameters
    ----------
    cell
        Seconds for a cell of the student's, and for one call of a function.
    total
        Seconds for everything, tests included.
    memory
        Memory in gigabytes, for the student's process and for all its descendants together.
    output
        Characters of text and of encoded pictures that a notebook may show.
    answer
        Bytes of one answer of a function.
    disk
        Bytes in the folder that the student's process may write to; a single file, half of it.
    descendants
        Processes, where the system does not forbid them altogether.
    """

    cell: float = 30.0
    total: float = 300.0
    memory: float = 4.0
    output: int = 2_000_000
    answer: int = 64_000_000
    disk: int = 200_000_000
    descendants: int = 8

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value!r}")

    @property
    def memory_bytes(self) -> int:
        """The memory limit in bytes."""
        return int(self.memory * 1e9)
