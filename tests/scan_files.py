"""Good files of the formats that are read, for tests: the same arguments always give the same bytes."""

import gzip
import io
import struct
import zipfile

import nibabel
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, generate_uid

from tests.slices import draw_slice

MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT, IMPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"
RLE, JPEG2000 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90"
HEAD = np.asarray(draw_slice(1, side=128), np.uint16) * 16
"""A slice of 12 bits."""


def picture(format: str, image: Image.Image | None = None, **options) -> bytes:
    """A picture's file in a format of Pillow; of a drawn slice in color unless `image` is given."""
    out = io.BytesIO()
    (image or draw_slice(1, side=128).convert("RGB")).save(out, format, **options)
    return out.getvalue()


def volume(shape: tuple[int, ...] = (48, 44, 40)) -> np.ndarray:
    """A gray head in air, int16."""
    grid = np.mgrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    return np.where((grid**2).sum(0) < 0.9, 400 + 200 * grid[0], 0).astype(np.int16)


def nifti(values: np.ndarray | None = None, affine: np.ndarray | None = None, packed: bool = False, **header) -> bytes:
    """A NIfTI-1 file of `volume()` or other values, by default of 2 mm; `header` overwrites fields of its header."""
    values, affine = volume() if values is None else values, np.diag([2, 2, 2, 1]) if affine is None else affine
    data = bytearray(nibabel.Nifti1Image(values, affine).to_bytes())
    fields = np.frombuffer(data, nibabel.Nifti1Header.template_dtype, count=1)  # written last: nibabel would correct it
    for name, value in header.items():
        fields[name] = value
    return gzip.compress(data, mtime=0) if packed else bytes(data)


def dicom(
    pixels: np.ndarray | None = HEAD,
    syntax: str = EXPLICIT,
    data: bytes | None = None,
    preamble: bool = True,
    **tags,
) -> bytes:
    """A DICOM MR file.

    Args:
        pixels: (rows, columns), (rows, columns, 3) or (frames, rows, columns) numbers; None for a file without any.
        syntax: the UID of the transfer syntax.
        data: pixel data instead of those of `pixels`, in frames if the syntax wants them.
        preamble: False for a file of implicit VR that begins with its first tag.
        tags: by keyword; None removes one, an element of pydicom's is written as it is.
    """
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality = MR, "MR"
    if pixels is not None:
        color = pixels.shape[-1] == 3
        dataset.Rows, dataset.Columns = pixels.shape[-3:-1] if color else pixels.shape[-2:]
        dataset.SamplesPerPixel = 3 if color else 1
        dataset.PhotometricInterpretation = "RGB" if color else "MONOCHROME2"
        if color:
            dataset.PlanarConfiguration = 0
        if pixels.ndim - color == 3:
            dataset.NumberOfFrames = len(pixels)
        dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        dataset.PixelData = pixels.tobytes() if data is None else data
        dataset["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    for tag, value in tags.items():
        if value is None:
            del dataset[tag]
        elif isinstance(value, pydicom.DataElement):
            dataset.add(value)
        else:
            setattr(dataset, tag, value)
    if "SOPInstanceUID" not in dataset:  # another one for each slice of a series
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(dataset), str(dataset.get("PixelData"))])
    if UID(syntax).is_encapsulated and "PixelData" in dataset:
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    out = io.BytesIO()
    if preamble:
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    else:
        pydicom.dcmwrite(out, dataset, implicit_vr=True, little_endian=True)
    return out.getvalue()


def rle_frame(planes: list[bytes]) -> bytes:
    """A frame of packed planes, one for each byte of a pixel, for DICOM's RLE."""
    offsets = [64 + sum(len(plane) for plane in planes[:i]) for i in range(len(planes))]
    return struct.pack("<16L", len(planes), *offsets, *[0] * (15 - len(planes))) + b"".join(planes)


def zip_files(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip: name -> content."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)  # ZipInfo: always the same date
    return out.getvalue()
