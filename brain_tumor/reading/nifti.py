"""The header of a NIfTI file (https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h), versions 1 and 2.

nibabel parses it and repairs what it can. What is left follows nibabel and, where that gives up, the reference library
`nifti1_io.c`: sizes of 0 are 1, an intercept that is no number is 0. How the head lies is taken from the sform, or the
qform if the sform has no code or its rows make no sense, or the voxel sizes alone.
"""

import logging

import numpy as np

from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.volume_header import VolumeHeader, can_be_placed, measure_in_millimeters, unplaced

MAX_OFFSET = 2**24
"""Voxels start within the first 16 MB; header extensions take the rest."""

_SIZES = {1: 348, 2: 540}

_UNITS = {1: "meters", 2: "millimeters", 3: "micrometers"}

_CIFTI = range(3000, 3100)
"""Intent codes of its files, which are NIfTI-2 outside (https://www.nitrc.org/projects/cifti)."""

_SILENT = logging.getLogger(f"{__name__}.repairs")
_SILENT.disabled = True


def is_nifti(head: bytes) -> bool:
    """True for the first 348 bytes of a NIfTI file, unpacked."""
    return _magic(head) is not None


def is_analyze(head: bytes) -> bool:
    """True for the header of Analyze 7.5, NIfTI's ancestor, whose voxels are in another file."""
    order = next((o for o in ("little", "big") if int.from_bytes(head[:4], o) == 348), None)
    return (
        order is not None and len(head) >= 348 and 1 <= int.from_bytes(head[40:42], order) <= 7 and not is_nifti(head)
    )


def parse_nifti(head: bytes) -> VolumeHeader:
    """Parse the first 544 bytes of a NIfTI file.

    Raises:
        ScanError: its voxels are in another file, are colors, or the header is damaged.
    """
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    magic = _magic(head)
    if magic.startswith(b"ni"):
        raise ScanError(
            "This file is one half of a NIfTI pair (.hdr and .img). Save the scan as one file, .nii or .nii.gz."
        )
    version = int(magic[2:3])
    damaged = ScanError("This NIfTI file is damaged: its header makes no sense. Export or download it again.")
    try:
        header = {1: nibabel.Nifti1Header, 2: nibabel.Nifti2Header}[version](head[: _SIZES[version]], check=False)
        header.check_fix(logger=_SILENT, error_level=1000)  # repair all there is, raise nothing
        shape = tuple(int(n) for n in header.get_data_shape())
        offset = int(np.nan_to_num(float(header["vox_offset"]), nan=0))
        slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    except (HeaderDataError, ValueError, KeyError, OverflowError, TypeError, ArithmeticError):
        raise damaged from None
    if not shape or shape[0] < 1 or offset > MAX_OFFSET:
        raise damaged
    if int(header["intent_code"]) in _CIFTI:
        raise ScanError(
            "This file is a CIFTI file, which holds numbers on the brain's surface and no scan. Upload the scan itself."
        )
    shape = tuple(max(1, size) for size in (*shape, 1, 1))
    try:
        dtype = header.get_data_dtype()
    except (HeaderDataError, KeyError):
        dtype = np.dtype("V1")
    if dtype.names or dtype.kind not in "iufc":
        raise ScanError(
            "This NIfTI file holds colors, or numbers of a kind that is not read here (data type "
            f"{int(header['datatype'])}). Save the scan itself as whole numbers of 16 bits or decimals of 32."
        )
    affine, sides_known, notes = _find_affine(header)
    affine, more = measure_in_millimeters(affine, shape[:3], _UNITS.get(int(header["xyzt_units"]) & 7))
    scale = None
    if slope and np.isfinite(slope):
        scale = slope, intercept if np.isfinite(intercept) else 0.0
    return VolumeHeader(
        format=f"NIfTI-{version}",
        dtype=dtype,
        shape=shape[:3],
        volumes=int(np.prod(shape[3:], dtype=object)),
        offset=max(offset, _SIZES[version] + 4),
        scale=None if scale == (1, 0) else scale,
        affine=affine,
        sides_known=sides_known,
        notes=notes + more,
    )


def _magic(head: bytes) -> bytes | None:
    if head[344:348] in (b"n+1\0", b"ni1\0"):
        return head[344:348]
    return head[4:8] if head[4:8] in (b"n+2\0", b"ni2\0") else None


def _find_affine(header) -> tuple[np.ndarray, bool, list[str]]:
    """Voxel index -> the file's unit of length; whether it says how the head lies; notes for the visitor."""
    passed_over = False
    for name, read in (("sform", header.get_sform), ("qform", header.get_qform)):
        if header[f"{name}_code"] > 0:
            try:
                affine = np.asarray(read(), np.float64)
            except (ValueError, ArithmeticError):  # a quaternion that is none
                affine = np.full((4, 4), np.nan)
            if can_be_placed(affine):
                note = "The file says twice how the head lies in it: its sform makes no sense, its qform is used."
                return affine, True, [note] if passed_over else []
            passed_over = True
    sizes = header["pixdim"][1:4]
    header["pixdim"][1:4] = np.where(np.isfinite(sizes) & (sizes > 0), sizes, 1)
    return np.asarray(header.get_base_affine(), np.float64), False, [unplaced(passed_over)]
