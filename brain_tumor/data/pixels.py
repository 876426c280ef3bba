"""Slices resized once and kept in memory-mapped files of the cache of `datasets`."""

import hashlib
import os
from pathlib import Path

import datasets
import numpy as np
from datasets import Dataset
from PIL import Image as PillowImage

from brain_tumor.data.dicom import is_dicom_file, open_slice
from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.pictures import open_scan

_PROCESSES_FROM = 500
"""Rows below which starting worker processes takes longer than it saves."""


def open_picture(image: dict) -> PillowImage.Image:
    """A row's `image` -> 8-bit RGB, by the code that opens an upload: `reading.pictures.open_scan`, `dicom.open_slice`.

    Raises:
        ScanError: it cannot be opened.
    """
    if image["bytes"] is not None:
        return open_scan(image["bytes"])
    try:
        return open_slice(image["path"]) if is_dicom_file(image["path"]) else open_scan(image["path"])
    except OSError as error:
        raise ScanError("This file cannot be opened: it does not exist or may not be read.") from error


def pixels_for(part: Dataset, processor, description: str) -> Dataset:
    """Resize every slice of a part once, with the checkpoint's own processor, into a memory-mapped file.

    Args:
        part: as `load_scans` returns it.
        processor: the checkpoint's image processor. Its resize (and crop) is applied; its rescaling and normalization
            are left to `transforms.normalize`, so that what is kept is uint8.
        description: what the progress bar says.

    Returns:
        The part with a column `pixels`: (channels, height, width) uint8 as bytes, one channel for gray slices.
    """
    settings = repr(sorted(processor.to_dict().items(), key=lambda item: item[0]))
    kept = [column for column in part.column_names if column not in ("image", "thumbnail")]
    key = digest("pixels-1", settings, *file_states(part), *(repr(list(part[column])) for column in kept))
    return map_cached(part, _resize, key, description, fn_kwargs={"processor": processor}, remove=["thumbnail"])


def read_pixels(rows: list[bytes], height: int, width: int) -> np.ndarray:
    """Rows of `pixels` -> (batch, channels, height, width) uint8, values 0 to 255; one channel if all are gray."""
    channels = 1 if all(len(row) == height * width for row in rows) else 3
    batch = np.empty((len(rows), channels, height, width), np.uint8)
    for slot, row in zip(batch, rows, strict=True):
        slot[:] = np.frombuffer(row, np.uint8).reshape(-1, height, width)
    return batch


def _resize(rows: dict, processor) -> dict:
    pictures = [open_picture(image) for image in rows["image"]]
    pixels = processor(images=pictures, do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"]
    pixels = np.asarray(pixels).astype(np.uint8)
    gray = (pixels == pixels[:, :1]).all(axis=(1, 2, 3))
    return {"pixels": [p[:1].tobytes() if g else p.tobytes() for p, g in zip(pixels, gray, strict=True)]}


def map_cached(part: Dataset, function, key: str, description: str, fn_kwargs=None, remove=None) -> Dataset:
    """`Dataset.map` in batches, over all cores, into a file of the `datasets` cache named by `key`."""
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "brain_tumor"
    folder.mkdir(parents=True, exist_ok=True)
    return part.map(
        function,
        batched=True,
        batch_size=64,
        writer_batch_size=64,
        fn_kwargs=fn_kwargs,
        remove_columns=remove,
        num_proc=min(os.cpu_count() or 1, 8) if part.num_rows >= _PROCESSES_FROM else None,
        cache_file_name=str(folder / f"{key}.arrow"),
        new_fingerprint=key[:32],
        desc=description,
    )


def file_states(part: Dataset) -> list[str]:
    """Size and time of change of every file, so that an edited picture is not taken from the cache."""
    states = []
    for image in part["image"]:
        if image and image["bytes"] is None:
            try:
                status = os.stat(image["path"])
                states.append(f"{image['path']}:{status.st_size}:{status.st_mtime_ns}")
            except OSError:
                states.append(f"{image['path']}:missing")
    return states


def digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
