"""A compressed DICOM file shows what it showed before it was compressed, or gets a sentence."""

import io

import imagecodecs
import numpy as np
import pydicom
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from brain_tumor.reading.dicom import codecs
from brain_tumor.reading.readers import read_uploads
from brain_tumor.reading.uploads import Rejected, Upload
from tests.reading.scans import COLOR8, GRAY8, GRAY16, RAMP, SYNTAXES, gray, rle
from tests.scan_files import JPEG2000, RLE, dicom, rle_frame


@pytest.mark.parametrize("name", SYNTAXES)
def test_every_compression_shows_the_same_gray_picture(name, read):
    syntax, encode, lossless, bits, tags = SYNTAXES[name]
    pixels = GRAY16 if bits == 16 else GRAY8
    window = RAMP if bits == 16 else {}
    plain = gray(read(dicom(pixels, **window)).slices[0])
    upload = read(dicom(pixels, syntax, data=encapsulate([encode(pixels)]), **window, **tags))
    assert plain.shape == (64, 72) and plain.std() > 30
    assert np.abs(gray(upload.slices[0]) - plain).max() <= (0 if lossless else 12)
    assert upload.facts["Format"] == f"DICOM, {name.removesuffix(' SV1').removesuffix(' baseline').partition(',')[0]}"


@pytest.mark.parametrize("name", [n for n in SYNTAXES if "12 bits" not in n])
def test_every_compression_keeps_color(name, read):
    syntax, encode, _, _, tags = SYNTAXES[name]
    photometric = {"JPEG baseline": "YBR_FULL_422", "JPEG 2000": "YBR_ICT", "JPEG 2000 lossless": "YBR_RCT"}
    tags = tags | {"PhotometricInterpretation": photometric.get(name, "RGB")}
    upload = read(dicom(COLOR8, syntax, data=encapsulate([encode(COLOR8)]), **tags))
    difference = np.abs(np.asarray(upload.slices[0].image).astype(int) - COLOR8)
    assert difference.mean() < (12 if name == "JPEG baseline" else 4) and "color" in upload.facts["Bit depth"]
    if "lossless" in name or name == "RLE":
        assert difference.max() == 0


PYDICOM_FILES = {  # files in pydicom's wheel that show the same picture
    "MR_small.dcm": [
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_expb.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_padded.dcm",
    ],
    "SC_rgb_rle.dcm": ["SC_rgb_jpeg_gdcm.dcm", "SC_rgb_gdcm_KY.dcm", "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_jpeg_dcmtk.dcm",
                       "SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm", "SC_rgb_rle_16bit.dcm",
                       "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_jpeg_lossy_gdcm.dcm"],
    "SC_rgb_jpeg_dcmd.dcm": ["SC_rgb_jpeg.dcm", "SC_rgb_jpeg_app14_dcmd.dcm", "SC_jpeg_no_color_transform.dcm"],
}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), [(one, other) for one, others in PYDICOM_FILES.items() for other in others])
def test_pydicoms_own_files_show_the_same_picture_however_they_are_packed(one, other):
    pictures = []
    for name in (one, other):
        (upload,) = read_uploads([get_testdata_file(name, download=False)])
        pictures.append(np.asarray(upload.slices[0].image).astype(int))
    assert pictures[0].std() > (0.5 if one == "SC_rgb_jpeg_dcmd.dcm" else 20)  # that one is nearly white
    assert np.abs(pictures[0] - pictures[1]).mean() < (4 if "rgb" in one else 0.01)


@pytest.mark.parametrize("name", [n for n in SYNTAXES if n != "RLE"])
def test_a_frame_of_another_size_than_the_header_says_is_not_decoded(name, read, monkeypatch):
    syntax, encode, _, bits, tags = SYNTAXES[name]
    pixels = np.arange(128 * 128).reshape(128, 128).astype(np.uint16 if bits == 16 else np.uint8) // 5
    frame = encode(pixels)
    decoded = []
    for codec in ("jpeg8_decode", "jpegls_decode", "jpeg2k_decode"):
        decode = getattr(imagecodecs, codec)
        monkeypatch.setattr(imagecodecs, codec, lambda *a, d=decode, **k: decoded.append(1) or d(*a, **k))
    load = JpegImageFile.load
    monkeypatch.setattr(JpegImageFile, "load", lambda image: decoded.append(1) or load(image))
    for shape in ((64, 64), (128, 64), (300, 300), (128, 128, 3)):
        header = np.zeros(shape, pixels.dtype)
        rejected = read(dicom(header, syntax, data=encapsulate([frame]), **tags))
        assert isinstance(rejected, Rejected) and "cannot be decoded" in rejected.reason and not decoded
    assert codecs.read_frame_size(frame) == (128, 128, 1)
    assert isinstance(read(dicom(pixels, syntax, data=encapsulate([frame]), **tags)), Upload) and decoded


def test_an_rle_plane_that_unpacks_to_more_than_the_picture_is_cut_or_refused(read):
    frame = rle(np.zeros((64, 72), np.uint16))
    bomb = frame[:64] + b"\x81\0" * 200_000
    found = read(dicom(GRAY16, RLE, data=encapsulate([bomb]), **RAMP))
    assert isinstance(found, Rejected)
    short = read(dicom(GRAY16, RLE, data=encapsulate([rle(GRAY16)[:-900]])))
    assert isinstance(short, Rejected)


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_FULL", "RGB"])
@pytest.mark.parametrize("syntax", ["50", "51"])
def test_color_of_a_jpeg_is_turned_once(syntax, photometric, read):
    rgb = np.zeros((64, 72, 3), np.uint8)
    rgb[..., 0], rgb[..., 1], rgb[:20, :, 2] = 200, np.linspace(0, 255, 72), 120
    frame = jpeg_of(rgb)
    tags = {"PhotometricInterpretation": photometric}
    upload = read(dicom(rgb, f"1.2.840.10008.1.2.4.{syntax}", data=encapsulate([frame]), **tags))
    expected = np.asarray(Image.open(io.BytesIO(frame)).convert("RGB")).astype(int)
    assert np.abs(np.asarray(upload.slices[0].image) - expected).max() <= 4 and np.abs(expected - rgb).mean() < 4


def test_every_frame_of_a_file_is_turned_alike(read):
    frames = [jpeg_of(COLOR8), jpeg_of(255 - COLOR8), jpeg_of(COLOR8)]
    for syntax in ("50", "51"):
        tags = {"PhotometricInterpretation": "YBR_FULL_422", "NumberOfFrames": 3}
        upload = read(dicom(COLOR8, f"1.2.840.10008.1.2.4.{syntax}", data=encapsulate(frames), **tags))
        for slice_, rgb in zip(upload.slices, (COLOR8, 255 - COLOR8, COLOR8), strict=True):
            assert np.abs(np.asarray(slice_.image).astype(int) - rgb).mean() < 12


@pytest.mark.parametrize("photometric", ["YBR_RCT", "YBR_ICT", "YBR_FULL", "RGB"])
@pytest.mark.parametrize("transformed", [True, False])
def test_color_of_jpeg_2000_is_turned_once_whatever_the_header_says(photometric, transformed, read):
    options = {"codecformat": "j2k", "reversible": True, "mct": transformed}
    data = encapsulate([imagecodecs.jpeg2k_encode(COLOR8, **options)])
    upload = read(dicom(COLOR8, JPEG2000, data=data, PhotometricInterpretation=photometric))
    difference = np.abs(np.asarray(upload.slices[0].image).astype(int) - COLOR8).max()
    assert difference == 0 if transformed or photometric != "YBR_FULL" else difference > 50


@pytest.mark.parametrize("end", [b"\0", b" ", b"\xff", b"\x80", b"\x01"])
@pytest.mark.parametrize("bits", [8, 16])
def test_rle_may_be_made_even_with_any_byte(end, bits, read):
    pixels = GRAY8 if bits == 8 else GRAY16
    values = pixels.astype(f">u{bits // 8}").view(np.uint8).reshape(pixels.size, -1)
    planes = []
    for column in values.T:
        packed = imagecodecs.packbits_encode(column.tobytes())
        if len(packed) % 2 == 0:  # a run of two literals instead of one with two bytes of them makes it odd
            packed = literal_end(column.tobytes())
        planes.append(packed + end)
    data = encapsulate([rle_frame(planes)])
    dataset = pydicom.dcmread(io.BytesIO(dicom(pixels, RLE, data=data, **RAMP)))
    dataset.pixel_array_options(decoding_plugin="pydicom")
    assert all(len(plane) % 2 == 0 for plane in planes) and (dataset.pixel_array == pixels).all()
    upload = read(dicom(pixels, RLE, data=data, **(RAMP if bits == 16 else {})))
    assert (gray(upload.slices[0]) == gray(read(dicom(pixels, **(RAMP if bits == 16 else {}))).slices[0])).all()


def literal_end(values: bytes) -> bytes:
    """Packed bytes of odd length: literal runs throughout, of which there is an odd number."""
    runs = [values[i : i + 128] for i in range(0, len(values), 128)]
    if (len(values) + len(runs)) % 2 == 0:
        runs[-1:] = [runs[-1][:7], runs[-1][7:]]
    return b"".join(bytes([len(run) - 1]) + run for run in runs)


def jpeg_of(rgb: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=95, subsampling=0)
    return out.getvalue()
