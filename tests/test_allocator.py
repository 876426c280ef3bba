"""What becomes of freed memory, measured in a process of its own."""

import platform
import subprocess
import sys

import pytest

BLOCKS = """
import sys
from pathlib import Path
from brain_tumor import allocator
getattr(allocator, sys.argv[1], int)()
b"1" * (31 << 20)  # freed at once: by default, blocks up to this size are kept from now on
blocks, pins = [], []
for _ in range(20):
    blocks.append(b"1" * (20 << 20))
    pins.append(b"1" * 100_000)  # what lies behind a freed block keeps it from the heap's end
del blocks
pages = int(Path("/proc/self/statm").read_text().split()[1])
print(pages * 4096 >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told anything")
def test_the_demo_returns_large_blocks_that_are_freed_and_a_training_keeps_them():
    def held(setting: str) -> int:
        run = subprocess.run([sys.executable, "-c", BLOCKS, setting], capture_output=True, text=True, check=True)
        return int(run.stdout)

    assert held("return_freed_memory") < 100 < 300 < held("keep_freed_memory")
    assert held("nothing") > 300, "without the demo's setting there is something to return"
