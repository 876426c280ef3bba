"""What glibc's allocator does with freed memory; nothing happens on systems without it.

By default it gives large blocks back at once, until one has been freed: then it takes blocks of that size, up to 32 MB,
for usual ones, and keeps them (the sliding threshold of mallopt(3)). A training and a server want the two ends of that.
"""

import ctypes
import platform
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # from malloc.h

_MOST = 2**31 - 1

LARGE = 4 * 2**20
"""Bytes of a block that no single slice needs, but a large picture does."""


def keep_freed_memory() -> None:
    """Keep freed blocks instead of returning them to the system after every layer.

    Batches of feature maps are large, so by default each is mapped, cleared page by page, and unmapped again,
    in every step.
    """
    _set(_MMAP_THRESHOLD, _MOST)
    _set(_TRIM_THRESHOLD, _MOST)


def return_freed_memory() -> None:
    """Return every large block to the system when it is freed, also after others were.

    Pillow and the decoders take a picture of tens of megapixels apart into blocks below 32 MB. Kept, those of one
    visitor add several hundred megabytes to what the next one needs.
    """
    _set(_MMAP_THRESHOLD, LARGE)


def _set(option: int, value: int) -> None:
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL("libc.so.6").mallopt(option, value)
