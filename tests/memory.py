"""What the kernel tells of a process's memory (Linux)."""

import re
from pathlib import Path


def resident_memory_of(pid: int) -> int:
    """Bytes of a process that are in memory now."""
    return _bytes_of(pid, "VmRSS")


def peak_memory_of(pid: int) -> int:
    """The most bytes that a process had in memory since its start, or since it was told to forget.

    Not what getrusage gives, which of a process that a larger one started is the larger one's.
    """
    return _bytes_of(pid, "VmHWM")


def _bytes_of(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.search(rf"{name}:\s+(\d+) kB", status)[1])
