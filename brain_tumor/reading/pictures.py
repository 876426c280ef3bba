"""A picture's file -> an 8-bit RGB slice, with the limits of pictures and the sentences for bad ones.

Training, evaluation and the app all open pictures here, so a picture looks the same to all of them.

The rules: 8-bit pictures are what `pipeline("image-classification")` makes of them. Numbers of any other kind (more
bits, signed, decimals) are windowed, all of their bits, with black where the file says that black is. Each page of a
TIFF is read by itself. A file of a known format that cannot be opened is called by that format.
"""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from brain_tumor.reading.levels import ScanError, check_number_bytes, window
from brain_tumor.reading.stream import Parts, TiffStream
from brain_tumor.reading.tiff import read_numbers

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF")

MAX_FILE_BYTES = 50 * 1024**2

MAX_PIXELS = 40_000_000
"""The largest width x height that is decoded: 40 megapixels, about 6,300 x 6,300."""

MIN_SIDE = 32
"""The shortest side in pixels; a smaller picture cannot show a brain."""

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_SIGNATURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"BM": "BMP", b"GIF8": "GIF"} | dict.fromkeys(
    _TIFF_SIGNATURES, "TIFF"
)

_BITS, _SAMPLE_FORMAT = 258, 339  # tags of a TIFF


@dataclass(frozen=True)
class Picture:
    """A picture, or a page of a TIFF, and what its file says about it."""

    image: Image.Image
    """Mode "RGB", values 0 to 255, upright."""
    format: str
    """ "JPEG", "WebP", ..."""
    bits: int
    """Per channel, in the file."""
    gray: bool
    windowed: bool
    """True if its numbers were not 0 to 255."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the visitor."""


def open_scan(source: str | Path | bytes | Image.Image, page: int = 0) -> Image.Image:
    """Open one slice as 8-bit RGB, upright.

    8-bit pictures come out exactly as `pipeline("image-classification")` would open them (EXIF orientation
    applied, palette and CMYK converted, transparency dropped, first frame of an animation). Pictures of more
    than 8 bits a channel, which that pipeline clips to white, and of signed numbers are windowed by percentiles.

    Args:
        source: a path, the bytes of a file, or a picture that Pillow has opened (of which it has the numbers that
            Pillow gives: of a color picture of 16 bits a channel the high bytes; given as a file, all bits count).
        page: of a file of several (TIFF), from 0.

    Returns:
        `PIL.Image.Image` of mode "RGB", values 0 to 255, at its own size.

    Raises:
        ScanError: the file is empty, too large, not a picture, not of one of `FORMATS`, incomplete, below
            `MIN_SIDE` or above `MAX_PIXELS`.
    """
    if isinstance(source, Image.Image):
        check_size(source.size)
        with _damage_in_words():
            return _to_rgb(ImageOps.exif_transpose(source))
    return read_picture(_read_file(source), page).image


def read_picture(data: bytes, page: int = 0) -> Picture:
    """`open_scan` for the bytes of a file, with what they say about the picture."""
    if is_tiff(data):
        return read_page(TiffStream(data), page)
    image = _open(Parts(data))
    if image is None:
        raise _unknown(data)
    check_size(image.size)
    bits, gray = _count_bits(image), _is_gray(image)
    # Of color and of gray with alpha, 16 bits a channel, Pillow keeps the high bytes alone.
    halved = bits == 16 and not _is_deep(image)
    if halved:
        gray = data[25:26] == b"\4"  # a PNG of gray with alpha, which Pillow opens as color
        check_number_bytes(*image.size, 2 * len(image.getbands()))
    with _damage_in_words():
        image.load()
        if not halved:
            upright = _to_rgb(ImageOps.exif_transpose(image))
        else:
            import imagecodecs

            values = imagecodecs.png_decode(data)
            shown = window(values[..., 0] if gray else values[..., :3])
            upright = _turn(shown, image.getexif().get(ExifTags.Base.Orientation, 1))
    format = {"WEBP": "WebP", "MPO": "JPEG"}.get(image.format, image.format)
    return Picture(upright, format, bits, gray, bits > 8, _note_more_pictures(image))


def read_page(tiff: TiffStream, page: int = 0) -> Picture:
    """Read a page of a TIFF, from 0, whatever the other pages are. Raises ScanError as `open_scan` does."""
    tiff.turn_to(page)
    image = _open(tiff)
    if image is not None and _holds_plain_bytes(image):
        check_size(image.size)
        with contextlib.suppress(Exception):  # what Pillow opens and cannot unpack, tifffile may
            return Picture(_to_rgb(image), "TIFF", _count_bits(image), _is_gray(image), False)
    with _damage_in_words():
        numbers = read_numbers(tiff, image is not None, check_size)
        values, notes = numbers.values, []
        gray = values.ndim == 2
        if gray and numbers.channels > 2:
            notes.append(f"The picture has {numbers.channels} channels that are no colors; the first is read.")
        if not numbers.levels:
            shown = window(values)
        else:
            shown = Image.fromarray(values, "CMYK" if values.shape[2:] == (4,) else None).convert("RGB")
        return Picture(_turn(shown, numbers.orientation), "TIFF", numbers.bits, gray, not numbers.levels, notes)


def is_tiff(data: bytes) -> bool:
    return data.startswith(_TIFF_SIGNATURES)


def is_picture(head: bytes) -> bool:
    """True for the first 12 bytes of a picture of `FORMATS`, sound or not."""
    return _format_of(head) is not None


def _format_of(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    return next((name for signature, name in _SIGNATURES.items() if head.startswith(signature)), None)


def has_more_pages(data: bytes) -> bool:
    """Whether a picture's file has pages or frames behind the first; not the smaller copies of a camera's (MPO)."""
    try:
        if is_tiff(data):
            return len(TiffStream(data).pages) > 1
        image = _open(Parts(data))
    except ScanError:  # whoever opens the file says more
        return False
    return image is not None and image.format != "MPO" and _has_more_pictures(image)


def _read_file(source: str | Path | bytes) -> bytes:
    """Raises ScanError if a file is empty, too large or not there."""
    size = len(source) if isinstance(source, bytes) else _file_size(source)
    if size == 0:
        raise ScanError("This file is empty (0 bytes). Choose another file.")
    if size > MAX_FILE_BYTES:
        raise ScanError(
            f"This file is {size / 1024**2:.0f} MB; at most {MAX_FILE_BYTES // 1024**2} MB are read. "
            "Export the slice as a smaller PNG or JPEG."
        )
    try:
        return source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise ScanError("This file cannot be opened: it does not exist or may not be read.") from error


def _open(stream: Parts) -> Image.Image | None:
    """Open a picture's file with Pillow: only its header is read. None if Pillow does not know it, or it is damaged.

    Raises:
        ScanError: it has too many parts or pixels.
    """
    try:
        with warnings.catch_warnings():
            # Of large pictures (raising for huge ones; `check_size` refuses both with a sentence), of damaged headers.
            warnings.simplefilter("ignore")
            image = Image.open(stream, formats=FORMATS)
        stream.begin_pixels()
        return image
    except ScanError:
        raise
    except Image.DecompressionBombError as error:
        raise ScanError(_too_many_pixels("with hundreds of megapixels")) from error
    except Exception:  # a damaged header can raise nearly anything in Pillow's plugins
        return None


def _unknown(data: bytes) -> ScanError:
    if format := _format_of(data):
        return ScanError(
            f"This {format} picture cannot be opened: it is damaged, or of a rare kind. Open it in another program and "
            "save it as PNG."
        )
    return ScanError(
        f"This file is not a picture that can be read here, whatever its name says. Use one of {', '.join(FORMATS)}."
    )


def _holds_plain_bytes(image: Image.Image) -> bool:
    """True for a page of unsigned numbers of 8 bits or fewer, which Pillow reads as they are."""
    try:
        bits, formats = image.tag_v2.get(_BITS, (1,)), image.tag_v2.get(_SAMPLE_FORMAT, (1,))
        return max(bits) <= 8 and set(formats) <= {1, 4}  # 4: undefined
    except (TypeError, ValueError):  # a damaged tag
        return True


def _to_rgb(image: Image.Image) -> Image.Image:
    """Of any mode, loaded or not."""
    image.load()
    return window(np.asarray(image)) if _is_deep(image) else image.convert("RGB")


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    image.getexif()[ExifTags.Base.Orientation] = orientation
    return ImageOps.exif_transpose(image)


@contextlib.contextmanager
def _damage_in_words() -> Iterator[None]:
    try:
        yield
    except ScanError:
        raise
    except MemoryError as error:
        raise ScanError("This picture needs more memory than is available. Export it smaller and try again.") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and more
        raise ScanError(
            "This picture is damaged or incomplete: it cannot be read to its end. Save or download it again."
        ) from error


def _file_size(path: str | Path) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise ScanError("This file cannot be opened: it does not exist or may not be read.") from error


def check_size(size: tuple[int, int]) -> None:
    """Raise ScanError if a picture of (width, height) is too large or too small."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise ScanError(_too_many_pixels(f"{width} x {height} pixels"))
    if min(width, height) < MIN_SIDE:
        raise ScanError(
            f"This picture is {width} x {height} pixels; a slice needs at least {MIN_SIDE} on its shorter side."
        )


def _too_many_pixels(size: str) -> str:
    return f"This picture is too large ({size}); at most {MAX_PIXELS // 10**6} megapixels are read. Export it smaller."


def _is_gray(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA", "La") or _is_deep(image)


def _is_deep(image: Image.Image) -> bool:
    """True for Pillow's modes of more than 8 bits a channel: I, I;16, I;16B, F, ..."""
    return image.mode.startswith(("I", "F"))


def _count_bits(image: Image.Image) -> int:
    """Bits per channel in the file of a picture that has been opened but not loaded: 1, 8 or 16."""
    if image.mode == "1":
        return 1
    arguments = image.tile[0].args if image.tile else ""
    rawmode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return 16 if ";16" in str(rawmode) else 8


def _note_more_pictures(image: Image.Image) -> list[str]:
    """What of a file is not read: frames of an animation, or the pictures that phones put behind a JPEG."""
    if not _has_more_pictures(image):
        return []
    if image.format == "MPO":
        return [f"The file holds {image.n_frames} pictures, as phones and cameras save them; the first is read."]
    return ["The file is an animation; its first frame is read."]


def _has_more_pictures(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # Pillow looks at a damaged file's second frame here
        return False
