"""Files that break things: truncated, lying, exploding, or something else than they say. Always the same bytes.

    python -m tests.bad_files FOLDER      # writes all of them

Each comes with what is expected of whoever opens it: a pattern of its sentence, or an answer where it can honestly be
read. Those that pretend to be small or take long to take apart are as large as an upload may be.
"""

import argparse
import functools
import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import tifffile
from PIL import Image
from pydicom.encaps import encapsulate

from brain_tumor.reading.pictures import MAX_FILE_BYTES
from tests.scan_files import (
    DEFLATED,
    EXPLICIT,
    JPEG2000,
    MR,
    RLE,
    dicom,
    nifti,
    picture,
    rle_frame,
    volume,
    zip_files,
)
from tests.slices import draw_slice

ANSWER = "an answer"
MEGABYTE = 2**20
LARGE = MAX_FILE_BYTES - 2 * MEGABYTE
"""Bytes of those that are as large as they may be."""


@dataclass(frozen=True)
class BadFile:
    make: Callable[[], bytes]
    expected: str
    """`ANSWER`, or a pattern that is found in the sentence."""


def deep_tiff(values: np.ndarray, **options) -> bytes:
    """Of tifffile, which writes all depths."""
    out = io.BytesIO()
    tifffile.imwrite(out, values, **{"compression": "zlib", "metadata": None, "software": False} | options)
    return out.getvalue()


@functools.cache
def whole() -> dict[str, bytes]:
    """One good file of every format that is read, by its suffix."""
    slice_ = draw_slice(1, side=128)
    return {
        "jpg": picture("JPEG"),
        "png": picture("PNG"),
        "tif": picture("TIFF", compression="tiff_lzw"),
        "webp": picture("WEBP"),
        "bmp": picture("BMP"),
        "gif": picture("GIF", slice_),
        "dcm": dicom(),
        "nii": nifti(),
        "nii.gz": gzip.compress(nifti(), mtime=0),
        "mgz": gzip.compress(nibabel.MGHImage(volume(), np.diag([2, 2, 2, 1])).to_bytes(), mtime=0),
        "float.tif": deep_tiff(np.asarray(draw_slice(1, side=128), np.float64)),
        "zip": zip_files({"a.png": picture("PNG"), "b.dcm": dicom()}),
    }


def png(width: int, height: int, *chunks: bytes, depth: int = 8, color: int = 0, filled: bool = False) -> bytes:
    """A PNG that claims this size; with all its pixels, black, if it is `filled`."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    row = 1 + width * {0: 1, 2: 3, 6: 4}[color] * depth // 8
    data = b"IDAT" + (zlib_zeros(-(-row * height // BLOCK)) if filled else zlib.compress(bytes(64)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(body) for body in (header, *chunks, data, b"IEND"))


def png_chunk(body: bytes) -> bytes:
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


BLOCK = 2**24


@functools.cache
def _block_of_zeros() -> bytes:
    """Sixteen megabytes of zeros, deflated so that they can be repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(bytes(BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)


def deflated_zeros(blocks: int, head: bytes = b"") -> bytes:
    """A head and 16 megabytes of zeros times `blocks`, deflated, without the wrapping of zlib or gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    return packed + _block_of_zeros() * blocks + packer.flush()


def zlib_zeros(blocks: int) -> bytes:
    sums = (blocks * BLOCK % 65521) << 16 | 1
    return b"\x78\x9c" + deflated_zeros(blocks) + sums.to_bytes(4, "big")


def gzip_zeros(blocks: int, head: bytes = b"") -> bytes:
    sum_ = zlib.crc32(head)
    for _ in range(blocks):
        sum_ = zlib.crc32(bytes(BLOCK), sum_)
    end = struct.pack("<2L", sum_, (len(head) + blocks * BLOCK) % 2**32)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + deflated_zeros(blocks, head) + end


def tiff(entries: list[tuple[int, int, int, int]], more: bytes = b"", next_: int = 0) -> bytes:
    """A TIFF whose first page has these (tag, type, count, value or place); `more` stands behind it."""
    fields = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + fields + struct.pack("<I", next_) + more


def tiff_page(width: int, height: int, **tags: tuple[int, int, int]) -> list[tuple[int, int, int, int]]:
    usual = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8),
             277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, width * height % 2**32)}  # fmt: skip
    return [(int(tag), *value) for tag, value in (usual | {int(k[1:]): v for k, v in tags.items()}).items()]


def deep_page(width: int, height: int, **tags: tuple[int, int, int]) -> list[tuple[int, int, int, int]]:
    """Of decimals of 32 bits, which tifffile reads."""
    return tiff_page(width, height, **{"t258": (3, 1, 32), "t339": (3, 1, 3)} | tags)


def element(group: int, number: int, value: bytes, length: int | None = None) -> bytes:
    """A DICOM element, implicit VR."""
    return struct.pack("<HHI", group, number, len(value) if length is None else length) + value


def implicit_dicom(*elements: bytes) -> bytes:
    """A DICOM file without preamble that begins with an element of its own and then has these."""
    return element(8, 0x16, MR.encode() + b"\0") + b"".join(elements)


def tiff_of_many_pages() -> bytes:
    """Pages of 64 x 64 pixels, all at the same place, each of which leads to the next."""
    first = tiff(tiff_page(64, 64))
    length = len(first) - 8
    count = LARGE // length
    pages = np.frombuffer(first[8:] * count, np.uint8).reshape(count, length).copy()
    pages[:, -4:] = (8 + length * np.arange(1, count + 1, dtype="<u4"))[:, None].view(np.uint8)
    pages[-1, -4:] = 0
    return first[:8] + pages.tobytes()


def tiff_of_many_strips() -> bytes:
    count = LARGE // 4
    entries = tiff_page(64, 64)
    place = len(tiff(entries))
    return tiff(tiff_page(64, 64, t273=(4, count, place)), np.arange(10**6, 10**6 + count, dtype="<u4").tobytes())


def zip_of_many_names() -> bytes:
    """A directory of a million files that have no bytes."""
    name, count = b"a", LARGE // 47
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + name
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, count * len(entry), 30, 0)
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    return local + entry * count + end


def zip_of_one_stream() -> bytes:
    """Files that all lie on the same packed bytes, each with 400 MB of zeros."""
    packed = deflated_zeros(25)
    names = [f"{i:04d}.png".encode() for i in range(500)]
    size, crc = 400 * MEGABYTE, 0
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, crc, len(packed), size, 8, 0)
    directory = b"".join(
        struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 0, crc, len(packed), size, 8, 0, 0, 0, 0, 0, 0) + name
        for name in names
    )
    body = local + names[0] + packed
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(names), len(names), len(directory), len(body), 0)
    return body + directory + end


def lying_zip(size: int) -> bytes:
    """A zip whose directory says that its 400 kB are `size`."""
    data = bytearray(zip_files({"a.png": bytes(400_000)}))
    for signature, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = data.index(signature) + place
        data[start : start + 4] = size.to_bytes(4, "little")
    return bytes(data)


def deflated_dicom(blocks: int) -> bytes:
    """A deflated DICOM file with 16 megabytes of zeros behind its picture, many times."""
    plain = dicom(syntax=DEFLATED)
    start = 144 + int.from_bytes(plain[140:144], "little")
    return plain[:start] + deflated_zeros(blocks, zlib.decompress(plain[start:], -15))


def dicom_of_long_tables() -> bytes:
    """A good picture, with a look-up table of millions of entries for its window."""
    pixels = np.asarray(draw_slice(1, side=128), "<u2") * 16
    numbers = {0x02: 1, 0x10: 128, 0x11: 128, 0x100: 16, 0x101: 16, 0x102: 15, 0x103: 0}
    table = element(0x28, 0x3002, struct.pack("<3H", 0, 0, 16)) + element(0x28, 0x3006, b"\1\0" * (LARGE // 2))
    return implicit_dicom(
        element(0x28, 0x04, b"MONOCHROME2 "),
        *[element(0x28, number, struct.pack("<H", value)) for number, value in numbers.items()],
        element(0x28, 0x3010, element(0xFFFE, 0xE000, table)),
        element(0x7FE0, 0x10, pixels.tobytes()),
    )


def rle_dicom(rows: int, columns: int, dtype: type, samples: int = 1, **tags) -> bytes:
    """A DICOM file that says it is of this size, and is, in a few kilobytes."""
    small = np.zeros((8, 8, 3)[: 2 + (samples > 1)], dtype)
    plane = b"\x81\0" * (rows * columns // 128)  # two bytes for 128 pixels
    frame = rle_frame([plane] * np.dtype(dtype).itemsize * samples)
    return dicom(small, RLE, encapsulate([frame]), Rows=rows, Columns=columns, **tags)


def jpeg_of_many_segments(segment: bytes) -> bytes:
    whole_ = picture("JPEG")
    return whole_[:2] + segment * (LARGE // len(segment)) + whole_[2:]


def gif_of_many_comments() -> bytes:
    """One comment, in blocks as short as they may be."""
    gif = picture("GIF", draw_slice(1, side=64))
    start = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    return gif[:start] + b"\x21\xfe" + (b"\xff" + b"a" * 255) * (LARGE // 256) + b"\0" + gif[start:]


def gif_of_many_frames() -> bytes:
    gif = picture("GIF", draw_slice(1, side=64))
    frame = b"\x2c" + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return gif[:-1] + frame * (LARGE // len(frame)) + b"\x3b"


def webp(width: int, height: int) -> bytes:
    """A WebP whose canvas is of this size, its picture of 128 x 128 pixels."""
    frame = picture("WEBP")[12:]
    canvas = (
        b"VP8X" + struct.pack("<IB3x", 10, 0) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )
    return b"RIFF" + struct.pack("<I", 4 + len(canvas) + len(frame)) + b"WEBP" + canvas + frame


def nifti_bomb(shape: tuple[int, int, int], dtype: str, blocks: int) -> bytes:
    """A .nii.gz that says it has this shape, and 16 megabytes of zeros behind its header, many times."""
    code = nibabel.Nifti1Header()
    code.set_data_dtype(dtype)
    fields = {"dim": [3, *shape, 1, 1, 1, 1], "datatype": code["datatype"], "bitpix": code["bitpix"]}
    return gzip_zeros(blocks, nifti(**fields)[:352])


TEN_POINTS = (0.001, 0.01, 0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.98)
CUT = "damaged|incomplete|not a picture|is text|holds no picture|holds no NIfTI"
TOO_LARGE = "too large.*at most 40 megapixels"
NOT_READ = "not a picture that can be read here"


def _truncated() -> dict[str, BadFile]:
    def cut(suffix: str, share: float) -> bytes:
        data = whole()[suffix]
        return data[: max(1, int(len(data) * share))]

    return {
        f"cut at {share:.1%}.{suffix}": BadFile(functools.partial(cut, suffix, share), CUT)
        for suffix in ("jpg", "png", "tif", "webp", "bmp", "gif", "dcm", "nii", "nii.gz", "zip")
        for share in TEN_POINTS
    }


BAD_FILES: dict[str, BadFile] = _truncated() | {
    # Nothing, next to nothing, or something else than its name says.
    "empty.png": BadFile(lambda: b"", "is empty"),
    "empty.dcm": BadFile(lambda: b"", "is empty"),
    "empty.zip": BadFile(lambda: zip_files({}), "holds no files"),
    "one byte.nii": BadFile(lambda: b"\x5c", "not a picture|is text"),
    "zeros.png": BadFile(lambda: bytes(5000), NOT_READ),
    "noise.jpg": BadFile(lambda: np.random.default_rng(0).bytes(5000), NOT_READ),
    "text.jpg": BadFile(lambda: b"This is a letter, not a scan.\n" * 20, "is text, not a scan"),
    "page.png": BadFile(lambda: b"<html><script>alert(1)</script></html>", "is text, not a scan"),
    "drawing.svg": BadFile(lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is text, not a scan"),
    "letter.dcm": BadFile(lambda: b"%PDF-1.7\n\xff\xfe", "is a PDF, not a scan"),
    "letter.nii.gz": BadFile(lambda: gzip.compress(b"hello " * 400, mtime=0), "holds text, not a scan"),
    "office.zip": BadFile(lambda: zip_files({"[Content_Types].xml": b"<x/>"}), "office document"),
    "program.gif": BadFile(lambda: b"MZ" + bytes(200), NOT_READ),
    "a PNG called.jpg": BadFile(lambda: picture("PNG"), ANSWER),
    "a JPEG called.dcm": BadFile(lambda: picture("JPEG"), ANSWER),
    "a DICOM called.png": BadFile(dicom, ANSWER),
    "a volume called.zip": BadFile(lambda: gzip.compress(nifti(), mtime=0), ANSWER),
    # Too small, too large, or more than there is.
    "one pixel.png": BadFile(lambda: picture("PNG", Image.new("L", (1, 1))), "1 x 1 pixels"),
    "a strip.png": BadFile(lambda: picture("PNG", Image.new("L", (5000, 20))), "5000 x 20 pixels"),
    "400 megapixels.png": BadFile(lambda: png(20_000, 20_000), TOO_LARGE),
    "400 megapixels of zeros.png": BadFile(lambda: png(20_000, 20_000, filled=True), TOO_LARGE),
    "a row of 2 billion.png": BadFile(lambda: png(2**31 - 1, 1), TOO_LARGE),
    "no width.png": BadFile(lambda: png(0, 100), "damaged, or of a rare kind"),
    "4 billion squared.tif": BadFile(lambda: tiff(tiff_page(2**32 - 1, 2**32 - 1)), TOO_LARGE),
    "400 megapixels.tif": BadFile(
        lambda: tiff(tiff_page(20_000, 20_000, t259=(3, 1, 8), t273=(4, 1, 122)), zlib_zeros(24)), TOO_LARGE
    ),
    "400 megapixels.bmp": BadFile(
        lambda: (
            b"BM"
            + struct.pack("<IHHIIiiHHIIiiII", 118, 0, 0, 54, 40, 20_000, 20_000, 1, 24, 0, 0, 0, 0, 0, 0)
            + bytes(64)
        ),
        TOO_LARGE,
    ),
    "a whole screen of 65535.gif": BadFile(
        lambda: (
            b"GIF89a"
            + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0)
            + b"\x2c"
            + struct.pack("<4HB", 0, 0, 1, 1, 0)
            + b"\x02\x02\x44\x01\0\x3b"
        ),
        TOO_LARGE,
    ),
    "a canvas of 16384.webp": BadFile(lambda: webp(16_384, 16_384), f"{TOO_LARGE}|damaged"),
    "65535 squared.jpg": BadFile(
        lambda: picture("JPEG").replace(struct.pack(">HH", 128, 128), struct.pack(">HH", 65535, 65535), 1), TOO_LARGE
    ),
    "60000 squared.dcm": BadFile(lambda: dicom(Rows=60_000, Columns=60_000), "too large"),
    "a billion frames.dcm": BadFile(lambda: dicom(NumberOfFrames=10**9), "too large"),
    "20000 frames that are not there.dcm": BadFile(lambda: dicom(NumberOfFrames=20_000), "damaged or incomplete"),
    "32767 cubed.nii": BadFile(lambda: nifti(dim=[3, 32767, 32767, 32767, 1, 1, 1, 1]), "too large"),
    # Bombs: small files that unpack to much, or take long to take apart.
    "40 megapixels of 16 bits in color.png": BadFile(
        lambda: png(6300, 6300, depth=16, color=2, filled=True), "at most 26 megapixels"
    ),
    "26 megapixels of 16 bits in color.png": BadFile(lambda: png(5100, 5100, depth=16, color=2, filled=True), ANSWER),
    "40 megapixels with alpha.png": BadFile(lambda: png(6300, 6300, color=6, filled=True), ANSWER),
    "40 megapixels of 16 bits.png": BadFile(lambda: png(6300, 6300, depth=16, filled=True), ANSWER),
    "a comment that unpacks to a gigabyte.png": BadFile(
        lambda: png(64, 64, b"zTXtComment\0\0" + zlib_zeros(64)), "damaged"
    ),
    "a profile that unpacks to a gigabyte.png": BadFile(
        lambda: png(64, 64, b"iCCPprofile\0\0" + zlib_zeros(64)), "damaged"
    ),
    "millions of chunks.png": BadFile(lambda: png(64, 64, *[b"prVt"] * (LARGE // 12)), "damaged|too many parts"),
    "millions of markers.jpg": BadFile(lambda: jpeg_of_many_segments(b"\xff\xfe\0\2"), "too many parts"),
    "millions of fill bytes.jpg": BadFile(lambda: jpeg_of_many_segments(b"\xff"), "too many parts"),
    "a comment of many blocks.gif": BadFile(gif_of_many_comments, "too many parts"),
    "millions of frames.gif": BadFile(gif_of_many_frames, ANSWER),
    "millions of pages.tif": BadFile(tiff_of_many_pages, "too many parts"),
    "millions of strips.tif": BadFile(tiff_of_many_strips, "too many parts|damaged"),
    "thousands of long values on one another.tif": BadFile(
        lambda: tiff(
            [*deep_page(64, 64), *[(40_000 + tag, 7, MEGABYTE, 100_000) for tag in range(4000)]], bytes(2 * MEGABYTE)
        ),
        "too many parts",
    ),
    "a tile of 60000 squared.tif": BadFile(
        lambda: tiff(
            [
                *[entry for entry in deep_page(6000, 6000, t259=(3, 1, 8)) if entry[0] not in (273, 278, 279)],
                *[(322, 4, 1, 60_000), (323, 4, 1, 60_000), (324, 4, 1, 200), (325, 4, 1, 10_000)],
            ],
            zlib_zeros(1),
        ),
        "too large",
    ),
    "400 megapixels of 64 bits.tif": BadFile(lambda: tiff(deep_page(20_000, 20_000, t258=(3, 1, 64))), TOO_LARGE),
    "40 megapixels of 64 bits.tif": BadFile(
        lambda: tiff(deep_page(6300, 6300, t258=(3, 1, 64))), "at most 20 megapixels"
    ),
    "40 megapixels of 32 bits.tif": BadFile(
        lambda: deep_tiff((np.arange(6300**2, dtype=np.float32) % 9999).reshape(6300, 6300)), ANSWER
    ),
    "half a million strips.tif": BadFile(
        lambda: tiff(
            deep_page(64, 500_000, t278=(4, 1, 1), t273=(4, 500_000, 200), t279=(4, 500_000, 200)),
            np.full(600_000, 300, "<u4").tobytes(),
        ),
        "damaged|too many parts",
    ),
    "a directory that leads to itself.tif": BadFile(lambda: tiff(tiff_page(64, 64), next_=8), "damaged"),
    "deflated to a gigabyte.dcm": BadFile(lambda: deflated_dicom(64), "unpacks to more"),
    "deflated to 180 megabytes.dcm": BadFile(lambda: deflated_dicom(11), "unpacks to more|damaged"),
    "50000 squared of RLE.dcm": BadFile(lambda: rle_dicom(50_000, 50_000, np.uint8), "too large"),
    "6272 squared of RLE, 32 bits in color.dcm": BadFile(lambda: rle_dicom(6272, 6272, np.uint32, 3), "too large"),
    "6272 squared of RLE, 16 bits.dcm": BadFile(lambda: rle_dicom(6272, 6272, np.uint16), "shows nothing"),
    "a frame of JPEG 2000 larger than its header.dcm": BadFile(
        lambda: dicom(
            np.zeros((64, 64), np.uint8),
            JPEG2000,
            encapsulate([imagecodecs.jpeg2k_encode(np.zeros((3000, 3000), np.uint8))]),
        ),
        "cannot be decoded",
    ),
    "millions of elements.dcm": BadFile(lambda: implicit_dicom(element(9, 1, b"") * (LARGE // 8)), "too many parts"),
    "a number of millions of numbers.dcm": BadFile(
        lambda: implicit_dicom(
            element(0x28, 0x10, b"\x40\0"), element(0x28, 0x11, b"\x40\0"), element(0x28, 0x1050, b"1\\" * (LARGE // 2))
        ),
        "no picture|damaged",
    ),
    "rows of millions of numbers.dcm": BadFile(
        lambda: implicit_dicom(element(0x28, 0x10, b"\1\0" * (LARGE // 2)), element(0x28, 0x11, b"\x40\0")),
        "no picture|damaged",
    ),
    "a look-up table of millions of numbers.dcm": BadFile(dicom_of_long_tables, ANSWER),
    "millions of character sets.dcm": BadFile(
        lambda: element(8, 5, b"\\" * LARGE) + element(0x28, 0x10, b"\x40\0"), "no picture|damaged"
    ),
    "sequences 3000 deep.dcm": BadFile(
        lambda: implicit_dicom(
            b"".join(
                element(0x5200, 0x9229, b"", 0xFFFFFFFF) + element(0xFFFE, 0xE000, b"", 0xFFFFFFFF) for _ in range(3000)
            )
        ),
        "damaged|no picture",
    ),
    "32 bits squared of voxels in 64 kB.nii.gz": BadFile(
        lambda: nifti_bomb((4000, 4000, 4000), "int16", 4), "too large"
    ),
    "a gigabyte of complex zeros.nii.gz": BadFile(lambda: nifti_bomb((406, 406, 406), "complex128", 64), "too large"),
    "half a gigabyte of zeros.nii.gz": BadFile(lambda: nifti_bomb((406, 406, 406), "float64", 32), "shows nothing"),
    "a gigabyte behind a small volume.nii.gz": BadFile(lambda: nifti_bomb((48, 44, 40), "int16", 64), "shows nothing"),
    "a gigabyte of nothing.nii.gz": BadFile(lambda: gzip_zeros(64), "holds no NIfTI volume"),
    "a gzip in a gzip.nii.gz": BadFile(lambda: gzip.compress(gzip_zeros(64), mtime=0), "holds no NIfTI volume"),
    "576 megabytes.zip": BadFile(lambda: zip_files({f"{i}.png": bytes(2**26) for i in range(9)}), "more than 512 MB"),
    "files on one another.zip": BadFile(zip_of_one_stream, "more than 512 MB|damaged"),
    "a file of 400 megabytes.zip": BadFile(lambda: zip_files({"a.png": bytes(400 * MEGABYTE)}), "at most 50 MB"),
    "a directory of a million files.zip": BadFile(zip_of_many_names, "more than 3,000 files"),
    "3001 files.zip": BadFile(lambda: zip_files({f"{i}.png": b"x" for i in range(3001)}), "3,001 files"),
    # Volumes and DICOM files that show nothing, or lie.
    "nothing but NaN.nii": BadFile(lambda: nifti(np.full((40, 40, 12), np.nan, np.float32)), "holds no numbers"),
    "nothing but infinity.nii": BadFile(lambda: nifti(np.full((40, 40, 12), np.inf, np.float32)), "holds no numbers"),
    "constant.nii": BadFile(lambda: nifti(np.full((40, 40, 12), 7, np.int16)), "shows nothing"),
    "constant.nii.gz": BadFile(
        lambda: gzip.compress(nifti(np.full((40, 40, 12), -1e30, np.float32)), mtime=0), "shows nothing"
    ),
    "no voxel size.nii": BadFile(lambda: nifti(srow_x=[0] * 4, srow_y=[0] * 4, srow_z=[0] * 4, pixdim=[0] * 8), ANSWER),
    "half of a pair.nii": BadFile(lambda: nifti().replace(b"n+1\0", b"ni1\0", 1), "one half of a NIfTI pair"),
    "negative shape.nii": BadFile(lambda: nifti(dim=[3, -5, 40, 40, 1, 1, 1, 1]), "header makes no sense"),
    "no pixels.dcm": BadFile(lambda: dicom(PixelData=None), "holds no picture"),
    "no rows.dcm": BadFile(lambda: dicom(Rows=None), "holds no picture"),
    "constant.dcm": BadFile(lambda: dicom(np.full((64, 64), 7, np.uint16)), "shows nothing"),
    "more rows than pixels.dcm": BadFile(lambda: dicom(Rows=4000), "damaged or incomplete"),
    "four samples a pixel.dcm": BadFile(lambda: dicom(SamplesPerPixel=4), "damaged or incomplete"),
    "64 bits a pixel.dcm": BadFile(lambda: dicom(BitsAllocated=64), "damaged or incomplete"),
    "a length of 4 GB.dcm": BadFile(
        lambda: implicit_dicom(
            element(0x28, 0x10, b"\x40\0"),
            element(0x28, 0x11, b"\x40\0"),
            element(0x7FE0, 0x10, bytes(100), 0xFFFFFFF0),
        ),
        "damaged or incomplete|holds no picture",
    ),
    "a length of 4 GB in the header.dcm": BadFile(
        lambda: implicit_dicom(element(0x28, 0x10, b"\x40\0", 0xFFFFFFF0)), "damaged or incomplete|holds no picture"
    ),
    "unknown compression.dcm": BadFile(
        lambda: dicom().replace(EXPLICIT.encode() + b"\0", b"1.2.840.10008.9.9.9\0", 1), "compressed in a way"
    ),
    # Zips of zips, with names that lead elsewhere, locked, or lying.
    "a zip in a zip.zip": BadFile(lambda: zip_files({"b.zip": whole()["zip"]}), "zip inside a zip"),
    "a bomb in zips in zips.zip": BadFile(
        lambda: zip_files({"b.zip": zip_files({"c.zip": zip_files({"d.png": bytes(10 * MEGABYTE)})})}),
        "zip inside a zip",
    ),
    "names that lead elsewhere.zip": BadFile(
        lambda: zip_files({"../../../../etc/cron.d/a.png": b"no", "C:\\Windows\\b.png": b"no"}), "is text, not a scan"
    ),
    "a good picture with a name that leads elsewhere.zip": BadFile(
        lambda: zip_files({"../../../../../../outside.png": picture("PNG")}), ANSWER
    ),
    "locked.zip": BadFile(
        lambda: (
            zip_files({"a.png": picture("PNG")})
            .replace(b"PK\3\4\x14\0\0", b"PK\3\4\x14\0\1")
            .replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1")
        ),
        "password",
    ),
    "of bzip2.zip": BadFile(lambda: zip_files({"a.png": picture("PNG")}, zipfile.ZIP_BZIP2), "compressed in a way"),
    "more than it says.zip": BadFile(lambda: lying_zip(70), "damaged in its zip"),
    "less than it says.zip": BadFile(lambda: lying_zip(500_000), "damaged in its zip"),
    "folders alone.zip": BadFile(lambda: zip_files({"a/": b"", "a/b/": b""}), "holds no files"),
    # Two things at once.
    "a JPEG that is also a zip.jpg": BadFile(lambda: picture("JPEG") + whole()["zip"], ANSWER),
    "a zip that is also a JPEG.zip": BadFile(lambda: zip_files({"a.png": picture("PNG")}) + picture("JPEG"), ANSWER),
    "a page in a comment.png": BadFile(
        lambda: png(64, 64, b"tEXtComment\0<html><script>alert(1)</script></html>"), "damaged or incomplete"
    ),
    "a page behind a picture.png": BadFile(lambda: picture("PNG") + b"<html><script>alert(1)</script></html>", ANSWER),
    "a TIFF in the preamble of a DICOM.dcm": BadFile(lambda: b"II*\0\x08\0\0\0" + dicom()[8:], ANSWER),
    "a program in the preamble of a DICOM.dcm": BadFile(lambda: b"MZ" + dicom()[2:], ANSWER),
    "a picture with a program behind it.gif": BadFile(lambda: whole()["gif"] + b"MZ" + bytes(5000), ANSWER),
}
"""File name -> what it is. None of the names tells more than what is wrong."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the bad files to a folder.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, bad in BAD_FILES.items():
        (folder / name).write_bytes(bad.make())
    print(f"{len(BAD_FILES)} files in {folder}")


if __name__ == "__main__":
    main()
