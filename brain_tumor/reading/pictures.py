"""A picture's file -> an 8-bit RGB slice, with the limits of pictures and the sentences for bad ones.

Training, evaluation and the app all open pictures here, so a picture looks the same to all of them.
"""

import io
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF")

MAX_FILE_BYTES = 50 * 1024**2

MAX_PIXELS = 40_000_000
"""The largest width x height that is decoded: 40 megapixels, about 6,300 x 6,300."""

MIN_SIDE = 32
"""The shortest side in pixels; a smaller picture cannot show a brain."""

MAX_PARTS = 10_000, 200_000
"""The most pieces in which a picture's file is read: until its size is known, and in all. Files of scanners, cameras
and programs have hundreds; millions of empty ones would keep the server busy for minutes."""

MAX_VALUE_BYTES = 4 * 2**20
"""The longest value in a picture's header, such as where a TIFF's strips lie: of 50 MB of them Pillow makes a GB."""

WINDOW_PERCENTILES = (0.5, 99.5)
"""The gray levels of a picture of more than 8 bits at these percentiles become 0 and 255."""

STRIP = 2**20
"""How many numbers are turned into gray levels at a time: the steps in between take many times their memory."""

TIFF_PHOTOMETRIC = 262

_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}

_OTHER_BYTES = {f"{m};16{order}": f"{m};16{_SWAPPED[order]}" for m in ("RGB", "RGBA", "RGBX") for order in "BLN"}

_OTHER_BYTES["LA;16B"] = "RGBA"  # gray with alpha is read as four bytes a pixel


class ScanError(ValueError):
    """A scan that cannot be used. The message is a sentence for the person who brought it."""


def open_scan(source: str | Path | bytes | Image.Image, page: int = 0) -> Image.Image:
    """Open one slice as 8-bit RGB, upright.

    8-bit pictures come out exactly as `pipeline("image-classification")` would open them (EXIF orientation
    applied, palette and CMYK converted, transparency dropped, first frame of an animation). Pictures of more
    than 8 bits a channel, which that pipeline clips to white, are windowed by percentiles instead.

    Args:
        source: a path, the bytes of a file, or a picture that Pillow has opened (of a color picture of 16 bits a
            channel Pillow itself keeps only the high bytes; given as a file, all its bits are windowed).
        page: of a file of several (TIFF), from 0.

    Returns:
        `PIL.Image.Image` of mode "RGB", values 0 to 255, at its own size.

    Raises:
        ScanError: the file is empty, too large, not a picture, not of one of `FORMATS`, incomplete, below
            `MIN_SIDE` or above `MAX_PIXELS`.
    """
    if isinstance(source, Image.Image):
        return open_page(source)
    return open_page(open_file(source, page), lambda: open_file(source, page))


def open_page(image: Image.Image, again: Callable[[], Image.Image] | None = None) -> Image.Image:
    """`open_scan` for a picture that `open_file` has opened; `again` opens the same page of the same file once more."""
    _check_size(image)
    try:
        low_bytes = None if again is None else _read_low_bytes(image, again)
        inverted = _is_deep(image) and _white_is_zero(image)
        image.load()
        image = ImageOps.exif_transpose(image)
        if low_bytes is not None:
            values = np.asarray(image)[..., :3].astype(np.uint16)
            values *= 256
            values += np.asarray(ImageOps.exif_transpose(low_bytes))
            del image, low_bytes  # what follows takes as much again
            return window(values)
        if not _is_deep(image):
            return image.convert("RGB")
        values = np.asarray(image)
        return window(values if not inverted else -values if values.dtype.kind == "f" else ~values)
    except ScanError:
        raise
    except MemoryError as error:
        raise ScanError("This picture needs more memory than is available. Export it smaller and try again.") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        raise ScanError(
            "This picture is damaged or incomplete: it could be opened but not read to its end. "
            "Save or download it again."
        ) from error


def window(values: np.ndarray) -> Image.Image:
    """Gray levels of any depth -> 8-bit RGB, linear between the 0.5th and the 99.5th percentile.

    Args:
        values: (height, width), or (height, width, 3) of which all channels get one window and color stays color;
            any real dtype; values that are not finite become black.

    Returns:
        `PIL.Image.Image` of mode "RGB", values 0 to 255; one flat gray becomes black.
    """
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    if not finite.size:
        raise ScanError("This picture holds no numbers that could be shown as gray levels.")
    low, high = _percentiles(finite, WINDOW_PERCENTILES)
    if high <= low:  # almost flat: nothing between the percentiles, so take the extremes
        low, high = float(finite.min()), float(finite.max())
    width = max(high - low, np.finfo(np.float64).tiny)

    def scale(strip: np.ndarray) -> np.ndarray:
        return np.where(np.isfinite(strip), strip - low, 0) / width

    return Image.fromarray(paint(values, scale)).convert("RGB")


def paint(values: np.ndarray, scale: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Numbers -> uint8. `scale` is given some rows at a time, as float64, and returns 0 (black) to 1 (white)."""
    pixels = np.empty(values.shape, np.uint8)
    rows = max(1, STRIP * len(values) // max(1, values.size))
    for start in range(0, len(values), rows):
        share = scale(values[start : start + rows].astype(np.float64))
        pixels[start : start + rows] = (share.clip(0, 1) * 255).round()
    return pixels


def _percentiles(values: np.ndarray, percentiles: tuple[float, ...]) -> list[float]:
    """`np.percentile` without a copy of all the numbers in float64."""
    places = np.array(percentiles) / 100 * (len(values) - 1)
    below = np.floor(places).astype(int)
    above = np.minimum(below + 1, len(values) - 1)
    ordered = np.partition(values, sorted({*below.tolist(), *above.tolist()}))
    return [
        float(a) + (float(b) - float(a)) * share if share < 0.5 else float(b) - (float(b) - float(a)) * (1 - share)
        for a, b, share in zip(ordered[below], ordered[above], places - below, strict=True)
    ]


def count_bits(image: Image.Image) -> int:
    """Bits per channel in the file of a picture that has been opened but not loaded: 1, 8, 12, 16 or 32."""
    if image.mode == "1":
        return 1
    rawmode = _rawmode(image)
    if image.mode in ("I", "F") and ";16" not in rawmode:
        return 32
    return 12 if ";12" in rawmode else 16 if ";16" in rawmode or image.mode.startswith("I;16") else 8


def open_file(source: str | Path | bytes, page: int = 0) -> Image.Image:
    """Open a picture's file with Pillow; only its header is read. Raises ScanError as `open_scan` does."""
    size = len(source) if isinstance(source, bytes) else _file_size(source)
    if size == 0:
        raise ScanError("This file is empty (0 bytes). Choose another file.")
    if size > MAX_FILE_BYTES:
        raise ScanError(
            f"This file is {size / 1024**2:.0f} MB; at most {MAX_FILE_BYTES // 1024**2} MB are read. "
            "Export the slice as a smaller PNG or JPEG."
        )
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures and raises for huge ones; `_check_size` refuses both with a sentence.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            parts = _Parts(source if isinstance(source, bytes) else Path(source).read_bytes())
            image = Image.open(parts, formats=FORMATS)
            parts.left = MAX_PARTS[1]
            if page:
                image.seek(page)
            return image
    except ScanError:
        raise
    except Image.DecompressionBombError as error:
        raise ScanError(_too_many_pixels("with hundreds of megapixels")) from error
    except UnidentifiedImageError as error:
        raise ScanError(
            "This file is not a picture that can be read here, whatever its name says. "
            f"Use one of {', '.join(FORMATS)}."
        ) from error
    except Exception as error:  # a damaged header can raise nearly anything in Pillow's plugins
        raise ScanError("This picture is damaged: its header cannot be read. Save or download it again.") from error


class _Parts(io.BytesIO):
    """A picture's file that is read in at most `MAX_PARTS` pieces, none of them a long table."""

    left = MAX_PARTS[0]
    blocks = 0
    """How many of `SAFEBLOCK` bytes came one after the other: so Pillow reads a longer value of a header."""

    def read(self, size: int | None = -1) -> bytes:
        self.left -= 1
        self.blocks = self.blocks + 1 if size == ImageFile.SAFEBLOCK else 0
        if self.left < 0 or self.blocks * ImageFile.SAFEBLOCK > MAX_VALUE_BYTES:
            raise ScanError("This picture's file has too many parts to be read. Save it again as PNG or JPEG.")
        return super().read(size)


def _file_size(path: str | Path) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise ScanError("This file cannot be opened: it does not exist or may not be read.") from error


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ScanError(_too_many_pixels(f"{width} x {height} pixels"))
    if min(width, height) < MIN_SIDE:
        raise ScanError(
            f"This picture is {width} x {height} pixels; a slice needs at least {MIN_SIDE} on its shorter side."
        )


def _too_many_pixels(size: str) -> str:
    return f"This picture is too large ({size}); at most {MAX_PIXELS // 10**6} megapixels are read. Export it smaller."


def _is_deep(image: Image.Image) -> bool:
    """True for Pillow's modes of more than 8 bits a channel: I, I;16, I;16B, F, ..."""
    return image.mode.startswith(("I", "F"))


def _white_is_zero(image: Image.Image) -> bool:
    """True for a TIFF whose smallest number is white, which Pillow respects for 8 bits only."""
    return image.format == "TIFF" and image.tag_v2.get(TIFF_PHOTOMETRIC) == 0


def _rawmode(image: Image.Image) -> str:
    """How Pillow will read a picture's bytes, such as "RGB;16B"; "" once it is loaded."""
    arguments = image.tile[0].args if image.tile else ""
    return str(arguments[0]) if isinstance(arguments, tuple) and arguments else str(arguments or "")


def _read_low_bytes(image: Image.Image, again: Callable[[], Image.Image]) -> Image.Image | None:
    """Read what Pillow drops of a color picture of 16 bits a channel; None for any other picture.

    Pillow reads the high byte of each number ("RGB;16B": big-endian). Told that the bytes are the other way
    round, it reads the low ones, so a second reading, of the same picture opened again, gives the rest.

    Returns:
        `PIL.Image.Image` of mode "RGB" as stored, not upright yet.
    """
    other = _OTHER_BYTES.get(_rawmode(image))
    if other is None or len(image.tile) != 1:
        return None
    width, height = image.size
    if width * height > MAX_PIXELS // 3:  # three numbers of two bytes a pixel, and both halves of each before
        raise ScanError(
            f"This picture is too large ({width} x {height} pixels in color of 16 bits); of such at most "
            f"{MAX_PIXELS // 3 // 10**6} megapixels are read. Save it with 8 bits, or smaller."
        )
    twin = again()
    (tile,) = twin.tile
    twin.tile = [tile._replace(args=(other, *tile.args[1:]) if isinstance(tile.args, tuple) else other)]
    twin.load()
    if other == "RGBA":  # gray high, gray low, alpha high, alpha low
        return Image.merge("RGB", [twin.getchannel("G")] * 3)
    return twin.convert("RGB")
