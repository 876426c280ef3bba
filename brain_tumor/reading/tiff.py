"""A page of a TIFF -> its numbers as they are stored, by tifffile: for all that Pillow does not read, or not rightly.

Pillow knows TIFFs as programs for pictures write them: unsigned numbers of 8 bits, and some of 16 and 32. Of others it
says that they are no pictures, or gives other numbers than the file has: of signed 8 bits the bytes, of color of 16
bits the high bytes, of unsigned 32 bits negative ones, of planes of 16 bits noise.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL.TiffImagePlugin import COMPRESSION_INFO

from brain_tumor.reading.levels import ScanError, check_number_bytes
from brain_tumor.reading.stream import TiffStream

_COMPRESSIONS = {1, 5, 8, 32773, 32946, 50000}
"""None, LZW, Deflate, PackBits, Deflate, Zstandard: those that unpack to no more than is asked of them. Compressed
pictures inside a page (JPEG, JPEG 2000, ...) have a size of their own, which need not be the page's."""

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK = 0, 1, 2, 3, 5

logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # it logs what it thinks of a file, with pieces of it


@dataclass(frozen=True)
class TiffNumbers:
    """The numbers of a page, turned so that black is low, or their colors."""

    values: np.ndarray
    """(height, width) or (height, width, 3), real, as stored, not upright; (height, width, 4) uint8 for CMYK."""
    orientation: int
    """As EXIF has it, 1 to 8."""
    bits: int
    """Per channel, in the file."""
    levels: bool
    """True if they are gray levels or colors from 0 to 255 already."""
    channels: int
    """How many the page has; of more than one gray channel, the first is in `values`."""


def read_numbers(stream: TiffStream, opened: bool, check_size: Callable[[tuple[int, int]], None]) -> TiffNumbers:
    """Read the page to which a TIFF is turned.

    Args:
        stream: the TIFF.
        opened: whether Pillow could open the page, so that what it could not unpack is damaged.
        check_size: is given (width, height) before anything is unpacked, and may raise.

    Raises:
        ScanError: the page is of a kind that is not read, or too large.
        Exception: the page is damaged; tifffile and its decoders raise nearly anything.
    """
    import tifffile

    stream.seek(0)
    page = tifffile.TiffFile(stream, is_lsm=False, is_scanimage=False, is_ndpi=False).pages.first
    stream.begin_pixels()
    if not page.imagewidth or not page.imagelength or not page.dataoffsets:
        raise ValueError("the page has no pixels")
    photometric = int(page.photometric)
    if reason := _why_not_read(page, photometric, opened):
        raise ScanError(
            f"This TIFF is of a kind that is not read here: {reason}. Save it with 8 or 16 bits a channel, in gray or "
            "RGB, without compression."
        )
    check_size((page.imagewidth, page.imagelength))
    for width, height in ((page.imagewidth, page.imagelength), (page.tilewidth, page.tilelength * page.tiledepth)):
        check_number_bytes(width, height, page.samplesperpixel * page.dtype.itemsize)
    values = page.asarray(squeeze=False, maxworkers=1)  # (planes, 1, height, width, samples)
    values = np.moveaxis(values, 0, -1).reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
    bits = int(page.bitspersample)
    levels = values.dtype == np.uint8 and bits == 8
    if photometric == _PALETTE:
        values, levels = (np.moveaxis(page.colormap, 0, -1) >> 8).astype(np.uint8)[values[..., 0]], True
    elif photometric == _CMYK:
        values, levels = (values[..., :4] >> (bits - 8)).astype(np.uint8), True
    elif photometric == _RGB:
        values = values[..., :3]
    else:
        values = values[..., 0]
    if values.dtype.kind == "c":
        values = np.abs(values)
    if values.dtype == np.float16:  # finding percentiles in these takes very long
        values = values.astype(np.float32)
    if photometric == _WHITE_IS_ZERO:
        values = -values if values.dtype.kind == "f" else ~values
    orientation = int(page.tags.valueof(274, 1))
    return TiffNumbers(values, orientation, bits, levels, page.samplesperpixel)


def _why_not_read(page, photometric: int, opened: bool) -> str:
    """What of a page is not read; nothing if it is."""
    samples = {_RGB: 3, _CMYK: 4}.get(photometric, 1)
    if int(page.compression) not in _COMPRESSIONS:
        if opened and int(page.compression) in COMPRESSION_INFO and page.bitspersample in (1, 8):
            raise ValueError("Pillow reads this kind, and could not")
        return f"compressed by {getattr(page.compression, 'name', f'method {page.compression}')}"
    if not isinstance(page.bitspersample, int):
        return "channels of different depths"
    if page.dtype is None or page.dtype.kind not in "uifc":
        return f"numbers of {page.bitspersample} bits"
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK):
        return f"colors as {getattr(page.photometric, 'name', photometric)}"
    if photometric in (_PALETTE, _CMYK) and page.dtype.kind != "u":
        return "colors as signed numbers or decimals"
    if photometric == _PALETTE and (page.colormap is None or page.colormap.shape != (3, 2**page.bitspersample)):
        return "a palette that does not fit its numbers"
    if photometric == _CMYK and page.bitspersample < 8:
        return "CMYK of less than 8 bits"
    if page.samplesperpixel < samples or page.imagedepth != 1:
        return "an unusual number of channels" if page.imagedepth == 1 else "several planes in one page"
    if int(page.predictor) not in (1, 2, 3):
        return f"predictor {page.predictor}"
    return ""
