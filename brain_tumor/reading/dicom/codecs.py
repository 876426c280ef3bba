"""Decoders of compressed DICOM pixels for pydicom, by imagecodecs: none is under the GPL, none can end the process.

python-gdcm, the usual choice, aborts the whole process when a file is damaged, and pylibjpeg's decoder of JPEG is GPL.
imagecodecs (BSD) binds libjpeg-turbo, CharLS and OpenJPEG, which answer damage with an exception. Before anything is
decoded, a frame must claim the size that the header does: some of these libraries trust it.

The rule: what a decoder puts out is taken for what it is, whatever the header calls it. Color that the decoder has
turned to RGB is not turned again, of every frame alike; numbers have the depth that it gives them. And what other
readers forgive is forgiven, such as a byte of padding that is not 0.
"""

import struct

import numpy as np

LABEL = "imagecodecs"

DECODERS = (
    "RLELossless",
    "JPEGExtended12Bit",
    "JPEGLossless",
    "JPEGLosslessSV1",
    "JPEGLSLossless",
    "JPEGLSNearLossless",
    "JPEG2000Lossless",
    "JPEG2000",
)

DECODER_DEPENDENCIES: dict[str, tuple[str, ...]] = {}


def is_available(uid: str) -> bool:
    """pydicom asks this of every plugin."""
    return True


def decode_frame(source: bytes, runner) -> bytearray:
    """Decode one frame; pydicom's interface of a plugin (`pydicom.pixels.decoders`)."""
    import imagecodecs
    from pydicom import uid

    syntax = runner.transfer_syntax
    if syntax == uid.RLELossless:
        runner.set_option("planar_configuration", 1)
        return _decode_rle(source, runner)
    if syntax in uid.JPEG2000TransferSyntaxes:
        pixels = imagecodecs.jpeg2k_decode(source, numthreads=1)
        turned = runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT") or _has_color_transform(source)
        if turned and runner.samples_per_pixel == 3:
            runner.set_option("photometric_interpretation", "RGB")  # OpenJPEG has undone it
    elif syntax in uid.JPEGLSTransferSyntaxes:
        pixels = imagecodecs.jpegls_decode(source)
    else:
        pixels = imagecodecs.jpeg8_decode(source)
        if (
            syntax == uid.JPEGExtended12Bit and runner.samples_per_pixel == 3
        ):  # libjpeg turns color to RGB; in lossless JPEG it cannot
            runner.set_option("photometric_interpretation", "RGB")
    runner.set_option("planar_configuration", 0)
    runner.set_option("bits_allocated", pixels.dtype.itemsize * 8)
    if pixels.size != runner.rows * runner.columns * runner.samples_per_pixel:
        raise ValueError("the frame is not of the header's size")
    return bytearray(np.ascontiguousarray(pixels).tobytes())


def _decode_rle(source: bytes, runner) -> bytearray:
    """PackBits per byte plane (PS3.5 Annex G), most significant byte first; never more than the header says."""
    count, *offsets = struct.unpack("<16L", source[:64])
    pixels, width = runner.rows * runner.columns, runner.bits_allocated // 8
    if count != width * runner.samples_per_pixel:
        raise ValueError("the frame does not have the header's number of byte planes")
    planes = np.zeros((runner.samples_per_pixel, pixels, width), np.uint8)
    for index, (start, end) in enumerate(zip(offsets[:count], [*offsets[1:count], len(source)], strict=True)):
        planes[index // width, :, width - 1 - index % width] = _unpack_plane(source[start:end], pixels)
    return bytearray(planes.tobytes())


def _unpack_plane(segment: bytes, pixels: int) -> np.ndarray:
    """Unpack one byte plane, whatever byte its segment was made even with: 0 as the standard says, a space, ..."""
    import imagecodecs

    plane = np.zeros(pixels + 1, np.uint8)  # one more: a byte of padding may unpack to another
    for end in (len(segment), len(segment) - 1):
        try:
            unpacked = imagecodecs.packbits_decode(segment[:end], out=plane)
        except imagecodecs.PackbitsError:
            continue
        if len(unpacked) >= pixels:
            return plane[:pixels]
    raise ValueError("a byte plane is damaged, or ends too early")


def check_frames(dataset, frames: int) -> None:
    """Raise ValueError if a compressed frame claims another size than the header."""
    from pydicom import uid
    from pydicom.encaps import generate_frames

    if dataset.file_meta.TransferSyntaxUID == uid.RLELossless:  # has no size of its own
        return
    for frame in generate_frames(dataset.PixelData, number_of_frames=frames):
        if read_frame_size(frame) != (dataset.Columns, dataset.Rows, dataset.get("SamplesPerPixel", 1)):
            raise ValueError("a frame is not of the header's size")


def _has_color_transform(frame: bytes) -> bool:
    """Whether a JPEG 2000 codestream says that its colors were turned, whatever the header says (COD marker, SGcod)."""
    size = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    coding = frame.find(b"\xff\x52", size + 4 + int.from_bytes(frame[size + 4 : size + 6], "big"))
    return 0 <= size < coding and frame[coding + 8 : coding + 9] == b"\1"


def read_frame_size(frame: bytes) -> tuple[int, int, int] | None:
    """(width, height, channels) that a JPEG, JPEG-LS or JPEG 2000 codestream claims; None if it is none of these."""
    if frame[:2] != b"\xff\xd8":
        start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)  # JPEG 2000: SOC and SIZ, bare or in a JP2 file
        if start < 0 or len(frame) < start + 42:
            return None
        x1, y1, x0, y0 = struct.unpack(">4L", frame[start + 8 : start + 24])
        return x1 - x0, y1 - y0, int.from_bytes(frame[start + 40 : start + 42], "big")
    place = 2
    while place + 10 <= len(frame):
        marker, length = frame[place + 1], int.from_bytes(frame[place + 2 : place + 4], "big")
        if frame[place] != 0xFF or marker == 0xFF:  # fill bytes
            place += 1
        elif marker in (0xC0, 0xC1, 0xC2, 0xC3, 0xF7):  # start of frame: baseline to lossless, JPEG-LS
            height, width, channels = struct.unpack(">HHB", frame[place + 5 : place + 10])
            return width, height, channels
        else:
            place += 2 if marker in (0xD8, 0x01) or 0xD0 <= marker <= 0xD7 else 2 + length
    return None
