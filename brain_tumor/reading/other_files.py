"""What a file is that is not read here, told by its content, and what to do with it."""

import re

from brain_tumor.reading.archives import ZIP_SIGNATURES
from brain_tumor.reading.dicom.header import DIRECTORY
from brain_tumor.reading.dicom.parsing import is_dicom
from brain_tumor.reading.nifti import is_analyze, is_nifti
from brain_tumor.reading.pictures import FORMATS, is_picture
from brain_tumor.reading.volume_files import is_gzip

READABLE = f"Use one of {', '.join(FORMATS)}, DICOM, NIfTI, MGH, or a zip of these."

_SIGNATURES = {
    b"%PDF": "a PDF",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\xfd7zXZ": "an .xz archive",
    b"BZh": "a .bz2 archive",
    b"\x28\xb5\x2f\xfd": "a .zst archive",
    b"\x89HDF": "an HDF5 file",
    b"CDF": "a NetCDF or MINC file",
    b"NRRD": "an NRRD file",
    b"TRACK": "a file of fiber tracks",
    b"mrtrix tracks": "a file of fiber tracks",
    b"\0\0\1\0": "an icon",
}

_PICTURES = {
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
    b"\xff\x4f\xff\x51": "a JPEG 2000 picture",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture",
    b"\xff\x0a": "a JPEG XL picture",
}

_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}

_AVIF = {b"avif", b"avis"}

_FILMS = {b"qt  ", b"isom", b"mp41", b"mp42"}


def why_not_read(head: bytes) -> str:
    """A sentence about a file that no reader takes, from its first bytes."""
    if brands := _brands(head):
        if brands & _AVIF:
            return "This is an AVIF picture, which is not read here. Open it in a browser and save it as PNG or JPEG."
        if brands & _HEIC:
            return (
                "This is a HEIC picture, as phones take them, which is not read here. Share or export it from the "
                "phone as JPEG, and upload that."
            )
        if brands & _FILMS:
            return f"This file is a film, not a scan. {READABLE}"
    for signature, what in _PICTURES.items():
        if head.startswith(signature):
            return f"This is {what}, which is not read here. Open it in another program and save it as PNG."
    if is_analyze(head):
        return "This file is one half of an Analyze pair (.hdr and .img). Save the scan as one file, .nii or .nii.gz."
    if what := _name(head):
        return f"This file is {what}, not a scan. {READABLE}"
    return f"This file is not a picture that can be read here, whatever its name says. {READABLE}"


def kind_of(head: bytes) -> str:
    """What a file is by its first bytes: "picture", "DICOM", "NIfTI", "text", "PDF", ...; "" if unknown."""
    if is_dicom(head):
        return "index of a disc (DICOMDIR)" if DIRECTORY.encode() in head else "DICOM"
    if is_nifti(head):
        return "NIfTI"
    if is_picture(head):
        return "picture"
    if head.startswith(ZIP_SIGNATURES) or is_gzip(head):
        return "zip" if head.startswith(ZIP_SIGNATURES) else ".gz file"
    what = _name(head)
    return re.sub("^an? ", "", what) if what and head else "" if head else "empty file"


def why_not_unpacked(inner: bytes) -> str:
    """A sentence about a .gz file that holds no volume, from the first bytes of what it holds."""
    if is_dicom(inner) or is_picture(inner) or inner.startswith(ZIP_SIGNATURES):
        return "This .gz file holds no volume, but a scan of another kind. Unpack it and upload what is inside."
    if what := _name(inner):
        return f"This .gz file holds {what}, not a scan. {READABLE}"
    return f"This .gz file holds no NIfTI volume, nor anything else that is read here. {READABLE}"


def _name(head: bytes) -> str | None:
    if head[257:262] == b"ustar":
        return "a tar archive"
    what = next((what for signature, what in _SIGNATURES.items() if head.startswith(signature)), None)
    return what or ("text" if _is_text(head) else None)


def _brands(head: bytes) -> set[bytes]:
    """What an ISO base media file (ISO/IEC 14496-12) says that it may be read as; nothing for other files."""
    if head[4:8] != b"ftyp":
        return set()
    size = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12]} | {head[at : at + 4] for at in range(16, size - 3, 4)}


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8")
    return all(c.isprintable() or c.isspace() for c in text)
