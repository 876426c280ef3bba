"""The pixels of a DICOM file come out as its header describes them."""

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from brain_tumor.reading.readers import read_uploads
from tests.reading.scans import COLOR8, GRAY16, RAMP, gray
from tests.scan_files import DEFLATED, dicom


@pytest.mark.parametrize(
    "syntax",
    ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", DEFLATED],
    ids=["implicit", "explicit", "deflated"],
)
def test_uncompressed_files_are_read(syntax, read):
    plain = gray(read(dicom(GRAY16, **RAMP)).slices[0])
    assert (gray(read(dicom(GRAY16, syntax, **RAMP)).slices[0]) == plain).all()
    assert np.abs(plain - GRAY16 / 4095 * 255).max() <= 1


@pytest.mark.parametrize("name", ["693_J2KI.dcm", "JPGExtended.dcm", "JPEG2000.dcm", "CT_small.dcm", "image_dfl.dcm",
                                  "J2K_pixelrep_mismatch.dcm", "examples_palette.dcm", "examples_ybr_color.dcm",
                                  "SC_ybr_full_422_uncompressed.dcm", "examples_jpeg2k.dcm",
                                  "ExplVR_BigEnd.dcm"])  # fmt: skip
def test_pydicoms_other_files_show_something(name):
    (upload,) = read_uploads([get_testdata_file(name, download=False)])
    pixels = np.asarray(upload.slices[0].image)
    assert pixels.std() > 15


def test_monochrome1_is_monochrome2_the_other_way_round(read):
    head = GRAY16[16:48, 16:56].copy()
    for tags in (RAMP, {}):
        two = gray(read(dicom(head, **tags)).slices[0])
        one = gray(read(dicom(head, PhotometricInterpretation="MONOCHROME1", **tags)).slices[0])
        if tags:
            assert np.abs(one - (255 - two)).max() <= 1
        assert np.corrcoef(one.ravel(), two.ravel())[0, 1] < -0.95
        negative = dicom(4095 - head, PhotometricInterpretation="MONOCHROME1", **tags)
        assert np.abs(gray(read(negative).slices[0]) - two).max() <= 1


def test_oblong_pixels_are_made_square(read):
    upload = read(dicom(GRAY16, PixelSpacing=[2.0, 1.0], **RAMP))
    assert upload.slices[0].image.size == (72, 128)
    assert read(dicom(COLOR8, PixelAspectRatio=["1", "2"])).slices[0].image.size == (144, 64)


def test_frames_without_a_place_are_pages(read):
    upload = read(dicom(np.stack([GRAY16, GRAY16[::-1], GRAY16]), **RAMP))
    assert upload.kind == "pages" and [s.name for s in upload.slices] == ["frame 1", "frame 2", "frame 3"]
    assert (gray(upload.slices[1]) == gray(upload.slices[0])[::-1]).all()
    assert (upload.plane, upload.planes, upload.sides_known) == (None, (), False)
    assert "3 frames" in upload.facts["Size"] and "3 frames" in upload.notes[0]
