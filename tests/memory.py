"""What the kernel tells of a process's memory (Linux)."""

import re
import subprocess
import sys
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


def run_and_measure(code: str) -> tuple[int, str]:
    """Run Python code in a process of its own: the most megabytes that it took, and what it printed."""
    code += f"\nimport os\nfrom {__name__} import peak_memory_of\nprint(peak_memory_of(os.getpid()) // 2**20)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    *printed, peak = done.stdout.splitlines()
    return int(peak), "\n".join(printed)
