"""The pixels of a DICOM file: its frames, decoded to numbers or colors."""

from collections.abc import Iterator

import numpy as np

from brain_tumor.reading import pictures
from brain_tumor.reading.dicom.frames import Groups
from brain_tumor.reading.dicom.grays import Grays, map_grays
from brain_tumor.reading.dicom.header import Header
from brain_tumor.reading.dicom.parsing import (
    PIXEL_DATA,
    PIXEL_TAGS,
    load_pydicom,
    parse,
    quiet,
    read_word,
)
from brain_tumor.reading.levels import ScanError

_USUAL = {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "PixelRepresentation": 0}
"""What a file of gray pixels means if it does not say it."""


def read_frames(data: bytes, header: Header, wanted: list[int]) -> list[Grays | np.ndarray]:
    """Decode frames of a file.

    Args:
        data: the bytes of the file.
        header: of the same file.
        wanted: the indices of the frames, from 0.

    Returns:
        For each frame its `Grays`; or (rows, columns, 3) uint8 for color.

    Raises:
        ScanError: the pixels are missing, incomplete, damaged, or of another size than the header says.
    """
    with quiet():
        dataset = parse(data, PIXEL_TAGS, pixels=True)
        if not any(tag in dataset for tag in PIXEL_DATA):
            raise ScanError("This DICOM file holds no picture. Upload the files of the scan itself.")
        try:
            return list(_decode(dataset, header, wanted))
        except ScanError:
            raise
        except MemoryError:
            raise ScanError("This DICOM file needs more memory than is available. Export it smaller.") from None
        except Exception:
            raise ScanError(
                "This DICOM file's picture is damaged or incomplete: it cannot be decoded. Export or download it again."
            ) from None


def _decode(dataset, header: Header, wanted: list[int]) -> Iterator[Grays | np.ndarray]:
    from brain_tumor.reading.dicom import codecs

    for tag, usual in _USUAL.items():  # other readers take these for granted
        if tag not in dataset:
            setattr(dataset, tag, usual)
    decoder = load_pydicom().pixels.get_decoder(dataset.file_meta.TransferSyntaxUID)
    plugin = ""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        codecs.check_frames(dataset, len(header.frames))
        by_pillow = header.syntax == "JPEG" or header.syntax == "JPEG extended" and header.bits == 8
        plugin = "pillow" if by_pillow else codecs.LABEL
    groups = Groups(dataset)
    frames = decoder.iter_array(dataset, indices=wanted if len(header.frames) > 1 else None, decoding_plugin=plugin)
    for index, (frame, _) in zip(wanted, frames, strict=True):
        yield _to_colors(frame, dataset) if header.color else map_grays(frame, groups, index, header)


def _to_colors(frame: np.ndarray, dataset) -> np.ndarray:
    if read_word(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        frame = apply_color_lut(frame, dataset)
        if frame.dtype.itemsize > 1:  # tables of 16 bits have their colors in the high byte, unless none has one
            frame = (frame >> (8 if frame.max() > 255 else 0)).astype(np.uint8)
    frame = frame[..., :3]
    return frame if frame.dtype == np.uint8 else np.asarray(pictures.window(frame))
