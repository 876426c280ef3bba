"""A file of a volume (NIfTI, MGH) -> its first volume: the voxels, or an upload of its slices."""

import gzip
import io
import zlib

import numpy as np

from brain_tumor.reading.archives import UploadedFile
from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.mgh import is_mgh, parse_mgh
from brain_tumor.reading.nifti import is_nifti, parse_nifti
from brain_tumor.reading.uploads import MAX_TOTAL_BYTES, MAX_VOLUME_BYTES, MAX_VOXELS, Upload
from brain_tumor.reading.volume_header import VolumeHeader
from brain_tumor.reading.volumes import Block
from brain_tumor.reading.windows import find_percentile_window, hide_background

HEAD_BYTES = 544
"""Length of a NIfTI-2 header with its four bytes of extension, the longest header that there is."""

VOXELS_AT_ONCE = 2**22
"""So many voxels are unpacked at a time, so that memory holds one copy of them, in float32."""


def is_gzip(head: bytes) -> bool:
    """True for the first bytes of a gzip file."""
    return head[:2] == b"\x1f\x8b"


def unpack_head(head: bytes, size: int) -> bytes:
    """The first bytes of what is in a gzip file, `size` at most, from the file's own first ones.

    Raises:
        ScanError: it is damaged.
    """
    inner = b""
    try:
        while head and len(inner) < size:  # of several members, which gzip reads as one
            member = zlib.decompressobj(16 + zlib.MAX_WBITS)
            inner += member.decompress(head, size - len(inner))
            head = member.unused_data
    except zlib.error:
        raise _damaged_gzip() from None
    if not inner:
        raise _damaged_gzip()
    return inner


def is_volume(head: bytes) -> bool:
    """True for the first bytes of a volume's file, unpacked."""
    return is_nifti(head) or is_mgh(head)


def read_voxels(data: bytes) -> tuple[VolumeHeader, np.ndarray]:
    """Read the first volume of a file, gzipped or not; of the rest nothing is unpacked.

    Returns:
        What the header says, and the voxels: (i, j, k) float32, scaled as it says; NaN where they are not finite.

    Raises:
        ScanError: the voxels are in another file, too many, colors, or incomplete.
    """
    stream = gzip.GzipFile(fileobj=io.BytesIO(data)) if is_gzip(data) else io.BytesIO(data)
    head = _unpack(stream, HEAD_BYTES)
    header = parse_nifti(head) if is_nifti(head) else parse_mgh(head)
    dtype, voxels = header.dtype, int(np.prod(header.shape, dtype=object))
    if voxels > MAX_VOXELS or voxels * dtype.itemsize > MAX_TOTAL_BYTES:
        raise ScanError(
            f"This volume is too large ({' x '.join(map(str, header.shape))} voxels of {dtype.itemsize} bytes); "
            f"at most {MAX_VOXELS // 10**6} million voxels and {MAX_TOTAL_BYTES // 1024**2} MB are read. Export it "
            "with larger voxels, or only the part that shows the brain."
        )
    values = np.empty(voxels, np.float32)
    for start in range(0, voxels, VOXELS_AT_ONCE):
        count = min(VOXELS_AT_ONCE, voxels - start)
        raw = _unpack(stream, count * dtype.itemsize, header.offset + start * dtype.itemsize)
        if len(raw) < count * dtype.itemsize:
            raise ScanError("This volume is incomplete: it ends before its last voxel. Export or download it again.")
        stored = np.frombuffer(raw, dtype)
        some = values[start : start + count]
        with np.errstate(all="ignore"):
            scaled = (np.abs(stored) if dtype.kind == "c" else stored).astype(np.float64)
            if header.scale:
                scaled *= header.scale[0]
                scaled += header.scale[1]
            some[:] = scaled
        some[~np.isfinite(some)] = np.nan
    return header, values.reshape(header.shape, order="F")


def _unpack(stream: io.BufferedIOBase, size: int, offset: int = 0) -> bytes:
    """At most `size` bytes from `offset`, whatever else the stream would unpack to."""
    try:
        stream.seek(offset)
        return stream.read(size)
    except (EOFError, OSError, zlib.error):
        raise _damaged_gzip() from None


def _damaged_gzip() -> ScanError:
    return ScanError("This .gz file is damaged or incomplete. Compress or download it again.")


def read_volume(file: UploadedFile, plane: str | None) -> Upload:
    """Read a volume's file as slices of a plane; of one that cannot be chosen, or None, as they are finest.

    Raises:
        ScanError: as `read_voxels`; or the volume shows nothing, or its slices are too small.
    """
    data = file.bytes(MAX_VOLUME_BYTES)
    header, values = read_voxels(data)
    packed = is_gzip(data)
    del data  # as large as the voxels
    notes = list(header.notes)
    if header.volumes > 1:
        notes.insert(0, f"The file holds {header.volumes:,} volumes (a 4D scan); this is the first of them.")
    hide_background(values)
    window = find_percentile_window(values)
    block = Block(values, header.affine)
    shown = plane if plane in block.planes else block.native_plane
    slices, more = block.slices(shown, window)
    width, height = slices[0].image.size
    size = f"{width} x {height} pixels" + (f", {len(slices)} slices" if len(slices) > 1 else "")
    number = {"i": "whole numbers", "u": "whole numbers", "f": "decimals", "c": "complex numbers"}[header.dtype.kind]
    facts = {
        "Format": header.format + (" (.gz)" if packed else ""),
        "Size": size,
        "Bit depth": f"{header.dtype.itemsize * 8} bits, {number}",
        "Plane": shown,
        "Voxels": " x ".join(f"{s:.3g}" for s in block.spacing) + " mm",
        "Window": window.words,
    }
    kind = "volume" if len(slices) > 1 else "picture"
    sides_known = header.sides_known and shown != "sagittal"
    return Upload(file.name, kind, slices, facts, notes + more, shown, block.planes, sides_known, block.extent(shown))
