"""A DICOM file in a training set: it holds one slice, and says whose that is."""

import hashlib
from pathlib import Path

from PIL import Image

from brain_tumor.reading.dicom.parsing import is_dicom
from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.readers import HEAD_BYTES, read_uploads
from brain_tumor.reading.uploads import Upload

_WHOSE = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
"""What tells patients apart, the best first. A study and a series are of one patient."""


def is_dicom_file(path: str | Path) -> bool:
    """Whether a file is DICOM, by its content. Raises OSError if it cannot be read."""
    with open(path, "rb") as file:
        return is_dicom(file.read(HEAD_BYTES))


def open_slice(path: str | Path) -> Image.Image:
    """The one slice of a DICOM file as 8-bit RGB, as the demo shows it (`reading.readers.read_uploads`).

    Raises:
        ScanError: the file cannot be read, or holds several slices.
    """
    found = list(read_uploads([path]))
    uploads = [upload for upload in found if isinstance(upload, Upload)]
    if not uploads:
        raise ScanError(found[0].reason if found else "This file is the index of a disc (DICOMDIR) and shows nothing.")
    if len(uploads) > 1 or len(uploads[0].slices) > 1:
        raise ScanError(
            "This DICOM file holds several slices, and its folder can be right about some of them alone. Save each of "
            "those as a file of its own."
        )
    return uploads[0].slices[0].image


def patient_of(path: str | Path) -> str:
    """A hash that DICOM files of one patient share; "" where the file does not say whose it is."""
    import pydicom

    try:
        header = pydicom.dcmread(path, specific_tags=list(_WHOSE), stop_before_pixels=True, force=True)
        said = next((f"{tag} {header.get(tag)}" for tag in _WHOSE if str(header.get(tag) or "").strip()), "")
    except Exception:  # a damaged value can raise nearly anything
        return ""
    return hashlib.sha256(said.encode()).hexdigest()[:16] if said else ""
