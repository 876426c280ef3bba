"""What the tests of reading share: a real brain, and a way to read one file."""

import importlib.util
from pathlib import Path

import nibabel
import numpy as np
import pytest

from brain_tumor.reading.readers import read_uploads
from brain_tumor.reading.uploads import Rejected, Upload

NILEARN = Path(importlib.util.find_spec("nilearn").origin).parent / "datasets" / "data"

TEMPLATE = NILEARN / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"


@pytest.fixture(scope="session")
def template() -> np.ndarray:
    """The MNI152 brain at 2 mm, (99, 117, 95) int16, RAS, 0 to 2,040: as deep as a scanner's numbers."""
    return np.asarray(nibabel.load(TEMPLATE).dataobj, np.int16)[::2, ::2, ::2] * 8


@pytest.fixture
def read(tmp_path):
    """Writes bytes to a file and reads it: `read(data)` -> the one Upload or Rejected."""

    def read_one(data: bytes, name: str = "scan", plane: str | None = None) -> Upload | Rejected:
        (tmp_path / name).write_bytes(data)
        (found,) = read_uploads([tmp_path / name], plane)
        return found

    return read_one
