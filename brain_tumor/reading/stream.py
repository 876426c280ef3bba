"""A picture's file as the decoders read it: in so many pieces at most, and a TIFF from any of its pages."""

import io
import struct

from PIL import ImageFile

from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.uploads import MAX_PAGES

MAX_PARTS = 10_000, 200_000
"""The most pieces in which a picture's file is read: until its size is known, and in all. Files of scanners, cameras
and programs have hundreds; millions of empty ones would keep the server busy for minutes."""

MAX_VALUE_BYTES = 4 * 2**20
"""The longest value in a picture's header, such as where a TIFF's strips lie: of 50 MB of them Pillow makes a GB."""

MAX_HEADER_BYTES = 64 * 2**20
"""The most bytes that are read until a picture's size is known: values of a header may lie on one another."""


class Parts(io.BytesIO):
    """A picture's file that is read in at most `MAX_PARTS` pieces, and of its header no long table."""

    left = MAX_PARTS[0]
    more = MAX_PARTS[1] - MAX_PARTS[0]
    """How many pieces are added once the size is known."""
    header_left: int | None = MAX_HEADER_BYTES
    """None once the size is known."""
    blocks = 0
    """How many of `SAFEBLOCK` bytes came one after the other: so Pillow reads a longer value of a header."""

    def begin_pixels(self) -> None:
        """Say that the header is read."""
        self.left, self.more, self.header_left = self.left + self.more, 0, None

    def read(self, size: int | None = -1) -> bytes:
        self.left -= 1
        self.blocks = self.blocks + 1 if size == ImageFile.SAFEBLOCK else 0
        long = self.blocks * ImageFile.SAFEBLOCK > MAX_VALUE_BYTES
        if self.header_left is not None:
            self.header_left -= max(size or 0, 0)
            long = long or (size or 0) > MAX_VALUE_BYTES or self.header_left < 0
        if self.left < 0 or long:
            raise ScanError("This picture's file has too many parts to be read. Save it again as PNG or JPEG.")
        return super().read(size)


class TiffStream(Parts):
    """A TIFF that begins with whichever of its pages was turned to, so that no page is read after another one.

    Decoders that turn pages by themselves keep what the page before had: Pillow paints a gray page with the palette
    of the page before it, and does not get past a page of a kind that it does not know.

    Raises:
        ScanError: it has more than `MAX_PAGES` pages, or none.
    """

    def __init__(self, data: bytes):
        super().__init__(data)
        order = "<" if data[:2] == b"II" else ">"
        big = data[2:4] in (b"+\0", b"\0+")  # BigTIFF
        self._pointer, self._place = (f"{order}Q", 8) if big else (f"{order}I", 4)
        self._head = data[: self._place + (8 if big else 4)]
        self._whole: bytearray | None = None
        count, entry = (f"{order}Q", 20) if big else (f"{order}H", 12)
        place, found = self._place, {}  # a dictionary, since it keeps the order
        self.cut_off = False
        """Whether the way to a further page leads out of the file."""
        try:
            while (page := struct.unpack_from(self._pointer, data, place)[0]) and page not in found:
                if len(found) == MAX_PAGES:
                    raise ScanError(
                        f"This file has more than {MAX_PAGES:,} pages, too many parts to be read. Save fewer in a file."
                    )
                place = page + struct.calcsize(count) + entry * struct.unpack_from(count, data, page)[0]
                found[page] = None
        except (struct.error, OverflowError):
            self.cut_off = True
        self.pages = list(found)
        """Where the directory of each page is."""
        if not found:
            raise ScanError("This TIFF is damaged: it leads to no page. Save or download it again.")
        self.turn_to(0)

    def turn_to(self, page: int) -> None:
        """Begin with a page, from 0. Raises ScanError if there is none of that number."""
        if page >= len(self.pages):
            raise ScanError(f"This file has no page {page + 1}; its last one is page {len(self.pages)}.")
        self._head = self._head[: self._place] + struct.pack(self._pointer, self.pages[page])
        self.header_left = MAX_HEADER_BYTES
        self.seek(0)

    def read(self, size: int | None = -1) -> bytes:
        start = self.tell()
        piece = super().read(size)
        return self._head[start : start + len(piece)] + piece[max(0, len(self._head) - start) :]

    def getvalue(self) -> bytes | bytearray:
        """All of it; Pillow hands this to libtiff."""
        if super().getvalue().startswith(self._head):
            return super().getvalue()
        if self._whole is None:
            self._whole = bytearray(super().getvalue())
        self._whole[: len(self._head)] = self._head
        return self._whole
