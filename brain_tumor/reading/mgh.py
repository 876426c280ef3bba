"""The header of a FreeSurfer volume, .mgh or gzipped .mgz (https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat).

nibabel parses it. Without directions, or with such as cannot be, the volume lies as FreeSurfer takes it to lie then:
coronal slices of 1 mm.
"""

import struct

import numpy as np

from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.volume_header import VolumeHeader, can_be_placed, measure_in_millimeters, unplaced

_TYPES = (0, 1, 3, 4, 10)

_DATA_OFFSET = 284

_GOOD_DIRECTIONS = slice(28, 30)


def is_mgh(head: bytes) -> bool:
    """True for the first 284 bytes of an MGH file, unpacked. It has no magic word: all of its beginning must fit."""
    if len(head) < _DATA_OFFSET:
        return False
    version, *shape, kind, _, good = struct.unpack(">7ih", head[:30])
    return version == 1 and all(1 <= size < 2**20 for size in shape) and 0 <= kind <= 10 and good in (0, 1)


def parse_mgh(head: bytes) -> VolumeHeader:
    """Parse the first 284 bytes of an MGH file. Raises ScanError if its numbers are of a kind that is not read."""
    from nibabel.freesurfer.mghformat import MGHHeader

    header = MGHHeader(head[:_DATA_OFFSET])
    kind = int(header["type"])
    if kind not in _TYPES:
        raise ScanError(
            f"This MGH file holds numbers of a kind that is not read here (type {kind}). Save it with mri_convert as "
            ".nii.gz, in decimals."
        )
    stated = head[_GOOD_DIRECTIONS] != b"\0\0"
    sides_known = stated and can_be_placed(header.get_affine())
    if not sides_known:
        header = MGHHeader(head[: _GOOD_DIRECTIONS.start] + b"\0\0" + head[_GOOD_DIRECTIONS.stop : _DATA_OFFSET])
    *shape, volumes = (int(size) for size in header["dims"])
    affine, notes = measure_in_millimeters(np.asarray(header.get_affine(), np.float64), tuple(shape), "millimeters")
    return VolumeHeader(
        format="MGH",
        dtype=header.get_data_dtype(),
        shape=tuple(shape),
        volumes=volumes,
        offset=_DATA_OFFSET,
        scale=None,
        affine=affine,
        sides_known=sides_known,
        notes=notes if sides_known else [unplaced(stated), *notes],
    )
