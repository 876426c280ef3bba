"""A NIfTI file -> its first volume: the voxels and where they lie in the patient, or an upload of its slices."""

import gzip
import io
import zlib
from dataclasses import dataclass

import numpy as np

from brain_tumor.reading.archives import UploadedFile
from brain_tumor.reading.pictures import ScanError
from brain_tumor.reading.uploads import MAX_TOTAL_BYTES, MAX_VOXELS, Upload
from brain_tumor.reading.volumes import Block
from brain_tumor.reading.windows import find_percentile_window, hide_background

HEAD_BYTES = 544
"""Length of a NIfTI-2 header with its four bytes of extension; that of NIfTI-1 has 352."""

VOXELS_AT_ONCE = 2**22
"""So many voxels are unpacked at a time, so that memory holds one copy of them, in float32."""

MAX_OFFSET = 2**24
"""Voxels start within the first 16 MB; header extensions take the rest."""

_MAGIC = {(348, 344): (b"n+1\0", b"ni1\0"), (540, 4): (b"n+2\0", b"ni2\0")}


@dataclass(frozen=True)
class NiftiVolume:
    """The first volume of a file, and what the header says about it."""

    values: np.ndarray
    """(i, j, k) float32, scaled as the header says."""
    affine: np.ndarray
    """(4, 4): voxel index -> millimeters to the patient's right, front and head."""
    sides_known: bool
    """False if the file has no orientation of its own (qform and sform code 0): the affine is NIfTI's default."""
    version: int
    """1 or 2."""
    packed: bool
    """True for a .nii.gz file."""
    dtype: np.dtype
    """Of the numbers in the file."""
    volumes: int
    """How many the file holds."""


def is_nifti(head: bytes) -> bool:
    """True for the first bytes of a NIfTI file, unpacked."""
    return _magic(head) is not None


def is_gzip(head: bytes) -> bool:
    """True for the first bytes of a gzip file."""
    return head[:2] == b"\x1f\x8b"


def read_nifti(data: bytes) -> NiftiVolume:
    """Read the first volume of a .nii or .nii.gz file; of the rest nothing is unpacked.

    Raises:
        ScanError: it is not NIfTI, or its voxels are in another file, too many, colors, or incomplete.
    """
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    packed = is_gzip(data)
    stream = gzip.GzipFile(fileobj=io.BytesIO(data)) if packed else io.BytesIO(data)
    head = _unpack(stream, HEAD_BYTES)
    magic = _magic(head)
    if magic is None:
        raise ScanError(
            "This .gz file holds no NIfTI volume. Unpack it and upload what is inside."
            if packed
            else "This file is not a NIfTI volume, whatever its name says. Export the scan again as .nii or .nii.gz."
        )
    if magic.startswith(b"ni"):
        raise ScanError(
            "This file is one half of a NIfTI pair (.hdr and .img). Save the scan as one file, .nii or .nii.gz."
        )
    version = int(magic[2:3])
    damaged = ScanError("This NIfTI file is damaged: its header makes no sense. Export or download it again.")
    try:
        header_class, size = {1: (nibabel.Nifti1Header, 348), 2: (nibabel.Nifti2Header, 540)}[version]
        header = header_class(head[:size], check=False)
        dtype, shape = header.get_data_dtype(), tuple(int(n) for n in header.get_data_shape())
        offset = int(header["vox_offset"])
        slope, intercept = header.get_slope_inter()
        affine = np.asarray(header.get_best_affine(), np.float64)
        sides_known = bool(header["qform_code"] > 0 or header["sform_code"] > 0)
    except (HeaderDataError, ValueError, KeyError, OverflowError, TypeError, ArithmeticError):
        raise damaged from None
    if not shape or min(shape) < 1 or not np.isfinite(affine).all() or (affine[:3, :3] == 0).all(axis=0).any():
        raise damaged
    if dtype.names or dtype.kind not in "iufc":
        raise ScanError(
            "This NIfTI file holds colors or other numbers that are not gray levels. Upload the scan itself."
        )
    volumes = int(np.prod(shape[3:], dtype=object))
    shape = (*shape, 1, 1)[:3]
    voxels = int(np.prod(shape, dtype=object))
    if voxels > MAX_VOXELS or voxels * dtype.itemsize > MAX_TOTAL_BYTES:
        raise ScanError(
            f"This volume is too large ({' x '.join(map(str, shape))} voxels of {dtype.itemsize} bytes); at most "
            f"{MAX_VOXELS // 10**6} million voxels and {MAX_TOTAL_BYTES // 1024**2} MB are read. Export it with larger "
            "voxels, or only the part that shows the brain."
        )
    offset = max(offset, {1: 352, 2: 544}[version])
    if offset > MAX_OFFSET:
        raise damaged
    scale = None
    if slope is not None and np.isfinite([slope, intercept]).all() and (slope, intercept) not in ((1, 0), (0, 0)):
        scale = np.float32(slope), np.float32(intercept)
    values = np.empty(voxels, np.float32)
    for start in range(0, voxels, VOXELS_AT_ONCE):
        count = min(VOXELS_AT_ONCE, voxels - start)
        raw = _unpack(stream, count * dtype.itemsize, offset + start * dtype.itemsize)
        if len(raw) < count * dtype.itemsize:
            raise ScanError(
                "This NIfTI file is incomplete: it ends before its last voxel. Export or download it again."
            )
        stored = np.frombuffer(raw, dtype)
        some = values[start : start + count]
        with np.errstate(all="ignore"):
            some[:] = np.abs(stored) if dtype.kind == "c" else stored
            if scale:
                some *= scale[0]
                some += scale[1]
        some[~np.isfinite(some)] = np.nan
    values = values.reshape(shape, order="F")
    return NiftiVolume(values, affine, sides_known, version, packed, dtype, volumes)


def _magic(head: bytes) -> bytes | None:
    for (size, place), words in _MAGIC.items():
        if size in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")):
            word = head[place : place + 4]
            return word if word in words else None
    return None


def _unpack(stream: io.BufferedIOBase, size: int, offset: int = 0) -> bytes:
    """At most `size` bytes from `offset`, whatever else the stream would unpack to."""
    try:
        stream.seek(offset)
        return stream.read(size)
    except (EOFError, OSError, zlib.error):
        raise ScanError("This .gz file is damaged or incomplete. Compress or download it again.") from None


def read_volume(file: UploadedFile, plane: str | None) -> Upload:
    """Read a NIfTI file as slices of a plane; of one that cannot be chosen, or None, as they are finest.

    Raises:
        ScanError: as `read_nifti`; or the volume shows nothing, or its slices are too small.
    """
    volume = read_nifti(file.bytes())
    notes = []
    if volume.volumes > 1:
        notes.append(f"The file holds {volume.volumes:,} volumes (a 4D scan); this is the first of them.")
    if not volume.sides_known:
        notes.append("The file does not say how the head lies in it: planes, left and right are guessed and unmarked.")
    hide_background(volume.values)
    window = find_percentile_window(volume.values)
    block = Block(volume.values, volume.affine)
    shown = plane if plane in block.planes else block.native_plane
    slices, more = block.slices(shown, window)
    width, height = slices[0].image.size
    size = f"{width} x {height} pixels" + (f", {len(slices)} slices" if len(slices) > 1 else "")
    number = {"i": "whole numbers", "u": "whole numbers", "f": "decimals", "c": "complex numbers"}[volume.dtype.kind]
    facts = {
        "Format": f"NIfTI-{volume.version}{' (.gz)' if volume.packed else ''}",
        "Size": size,
        "Bit depth": f"{volume.dtype.itemsize * 8} bits, {number}",
        "Plane": shown,
        "Voxels": " x ".join(f"{s:.3g}" for s in block.spacing) + " mm",
        "Window": window.words,
    }
    kind = "volume" if len(slices) > 1 else "picture"
    sides_known = volume.sides_known and shown != "sagittal"
    return Upload(file.name, kind, slices, facts, notes + more, shown, block.planes, sides_known)
