"""The pixels of a DICOM file: its frames, decoded to numbers or colors."""

from collections.abc import Iterator

import numpy as np

from brain_tumor.reading import pictures
from brain_tumor.reading.dicom.header import Header
from brain_tumor.reading.dicom.parsing import (
    PIXEL_DATA,
    PIXEL_TAGS,
    is_short,
    load_pydicom,
    parse,
    quiet,
    read_number,
    read_word,
)
from brain_tumor.reading.pictures import ScanError


def read_frames(data: bytes, header: Header, wanted: list[int]) -> list[np.ndarray]:
    """Decode frames of a file.

    Args:
        data: the bytes of the file.
        header: of the same file.
        wanted: the indices of the frames, from 0.

    Returns:
        For each frame (rows, columns) float32, rescaled, NaN where the file says that there is nothing; or
        (rows, columns, 3) uint8 for color.

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


def _decode(dataset, header: Header, wanted: list[int]) -> Iterator[np.ndarray]:
    from brain_tumor.reading.dicom import codecs

    decoder = load_pydicom().pixels.get_decoder(dataset.file_meta.TransferSyntaxUID)
    plugin = ""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        codecs.check_frames(dataset, len(header.frames))
        plugin = "pillow" if header.syntax == "JPEG" else codecs.LABEL
    frames = decoder.iter_array(dataset, indices=wanted if len(header.frames) > 1 else None, decoding_plugin=plugin)
    for index, (frame, _) in zip(wanted, frames, strict=True):
        yield _to_colors(frame, dataset) if header.color else _to_grays(frame, dataset, header, index)


def _to_grays(frame: np.ndarray, dataset, header: Header, index: int) -> np.ndarray:
    """Stored numbers -> what they measure; more is always brighter."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi

    place = header.frames[index]
    padding = read_number(dataset, "PixelPaddingValue")
    if _has_tables(dataset, "ModalityLUTSequence"):
        values = apply_modality_lut(frame, dataset).astype(np.float32)
    else:
        values = frame.astype(np.float32) * np.float32(place.slope) + np.float32(place.intercept)
    if place.window is None and _has_tables(dataset, "VOILUTSequence"):
        values = apply_voi(frame, dataset).astype(np.float32)
    if padding is not None:
        values[frame == padding] = np.nan
    values[~np.isfinite(values)] = np.nan
    return -values if header.inverted else values


def _has_tables(dataset, tag: str) -> bool:
    """True if a file has look-up tables, none of them too long."""
    return tag in dataset and all(is_short(item, "LUTData") for item in dataset[tag] if "LUTData" in item)


def _to_colors(frame: np.ndarray, dataset) -> np.ndarray:
    if read_word(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        frame = apply_color_lut(frame, dataset)
        if frame.dtype.itemsize > 1:  # tables of 16 bits have their colors in the high byte
            frame = (frame >> 8).astype(np.uint8)
    frame = frame[..., :3]
    return frame if frame.dtype == np.uint8 else np.asarray(pictures.window(frame))
