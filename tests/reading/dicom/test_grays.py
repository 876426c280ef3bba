"""A DICOM file's own gray mapping counts at every depth, and each slice's own; pydicom says what that is."""

import io
import warnings

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

from brain_tumor.reading.readers import read_uploads
from brain_tumor.reading.uploads import Upload
from tests.reading.scans import GRAY8, GRAY16, gray, write_all
from tests.scan_files import JPEG2000, dicom

RAMP8 = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
RAMP12 = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (64, 1))


def table(first: int, count: int, bits: int, power: float = 1.0, vr: str = "US", data_vr: str = "US") -> Sequence:
    entries = np.rint(np.linspace(0, 1, count) ** power * (2**bits - 1)).astype("<u2")
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [count, first, bits])
    item.add_new("LUTData", data_vr, entries.tolist() if data_vr == "US" else entries.tobytes())
    return Sequence([item])


def seen_by_pydicom(data: bytes, low: float, high: float) -> np.ndarray:
    """Gray levels if `low` and `high` of what pydicom's mapping yields are black and white."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = apply_modality_lut(dataset.pixel_array.astype(np.int32), dataset)
        if "VOILUTSequence" in dataset and "RescaleSlope" in dataset:
            values = values.astype(np.int64)
        shown = apply_voi_lut(values, dataset).astype(float)
    return ((shown - low) / (high - low) * 255).clip(0, 255)


@pytest.mark.parametrize(
    ("pixels", "tags", "ends"),
    [
        ((RAMP8.astype(int) - 128).astype(np.int8), {}, (-128, 127)),
        ((RAMP8.astype(int) - 128).astype(np.int8), {"RescaleSlope": 2, "RescaleIntercept": -7}, (-263, 247)),
        (RAMP8, {"RescaleSlope": 4, "RescaleIntercept": 0}, (0, 1020)),
        (RAMP8 // 16, {"BitsStored": 4, "HighBit": 3}, (0, 15)),
        (RAMP8.astype(np.uint16), {"BitsStored": 8, "HighBit": 7}, (0, 255)),
        (RAMP8, {"ModalityLUTSequence": table(0, 256, 16, 2.0)}, (0, 65535)),
        (RAMP8, {"ModalityLUTSequence": table(0, 256, 16, 2.0, data_vr="OW")}, (0, 65535)),
        (RAMP8, {"VOILUTSequence": table(0, 256, 16, 0.5)}, (0, 65535)),
        (RAMP8, {"VOILUTSequence": table(64, 128, 8)}, (0, 255)),
        (RAMP8, {"WindowCenter": 100, "WindowWidth": 120}, (0, 255)),
        (RAMP12, {"VOILUTSequence": table(0, 4096, 12, 2.0)}, (0, 4095)),
        (RAMP12, {"VOILUTSequence": table(0, 4096, 12, 2.0), "WindowCenter": 50, "WindowWidth": 9}, (0, 4095)),
        (
            RAMP12,
            {"VOILUTSequence": table(-1000, 4096, 16, vr="SS"), "RescaleSlope": 1, "RescaleIntercept": -1000},
            (0, 65535),
        ),
        (
            RAMP12.astype(np.int16) - 2048,
            {"VOILUTSequence": table(-2048, 4096, 10, 1.5, vr="SS"), "BitsStored": 12, "HighBit": 11},
            (0, 1023),
        ),
        (RAMP12, {"ModalityLUTSequence": table(0, 4096, 16), "WindowCenter": 30000, "WindowWidth": 40000}, (0, 65535)),
    ],
    ids=range(15),
)
@pytest.mark.parametrize("inverted", [False, True], ids=["MONOCHROME2", "MONOCHROME1"])
def test_the_gray_mapping_is_pydicoms(pixels, tags, ends, inverted, read):
    data = dicom(pixels, **tags, **({"PhotometricInterpretation": "MONOCHROME1"} if inverted else {}))
    expected = seen_by_pydicom(data, *ends)
    upload = read(data)
    expected = 255 - expected if inverted else expected
    assert expected.std() > 20 and np.abs(gray(upload.slices[0]) - expected).max() <= 1
    assert "percentiles" not in upload.facts["Window"]


def test_a_table_of_packed_bytes_or_in_big_endian_order_is_read(read):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    item.add_new("LUTData", "OW", np.arange(256)[::-1].astype(np.uint8).tobytes())
    assert np.abs(gray(read(dicom(RAMP8, VOILUTSequence=Sequence([item]))).slices[0]) - (255 - RAMP8)).max() <= 1
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 16])
    item.add_new("LUTData", "OW", np.linspace(0, 65535, 256).astype(">u2").tobytes())
    data = dicom(RAMP8, "1.2.840.10008.1.2.2", VOILUTSequence=Sequence([item]))
    assert np.abs(gray(read(data).slices[0]) - RAMP8).max() <= 1


def series(windows: list[tuple[float, float]], pixels: list[np.ndarray]) -> list[bytes]:
    return [
        dicom(
            picture, SeriesInstanceUID="1.2.3", InstanceNumber=i, WindowCenter=center, WindowWidth=width,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, 3 * i], PixelSpacing=[1, 1],
        )
        for i, ((center, width), picture) in enumerate(zip(windows, pixels, strict=True))
    ]  # fmt: skip


def test_slices_with_windows_of_their_own_are_shown_by_them_and_one_that_shows_nothing_by_the_middle_one(tmp_path):
    windows = [(1000 + 400 * (i % 3), 2000 + 900 * (i % 3)) for i in range(12)]
    files = series(windows, [GRAY16] * 12)
    (upload,) = read_uploads(write_all(tmp_path, files))
    assert upload.facts["Window"] == "each slice's own (the file's)"
    for slice_, data in zip(upload.slices, files, strict=True):
        assert np.abs(gray(slice_) - seen_by_pydicom(data, 0, 65535)).max() <= 1
    wrong = [*windows[:4], (90_000, 10), (-9000, 10), *windows[6:]]
    (upload,) = read_uploads(write_all(tmp_path, series(wrong, [GRAY16] * 12)))
    middle = seen_by_pydicom(files[1], 0, 65535)
    for place in (4, 5):
        assert np.abs(gray(upload.slices[place]) - middle).max() <= 1


def test_cut_across_its_slices_a_volume_has_one_window_and_no_stripes(tmp_path):
    big = GRAY16[10:50, 10:50]
    windows = [(1000 + 400 * (i % 3), 2000 + 900 * (i % 3)) for i in range(40)]
    paths = write_all(tmp_path, series(windows, [big] * 40))
    (upload,) = read_uploads(paths, "coronal")
    assert upload.plane == "coronal" and upload.facts["Window"] == "center 1,400, width 2,900 (the file's)"
    picture = gray(upload.slices[20])
    assert picture.std() > 10 and (np.ptp(picture, axis=0) <= 1).all()  # every slice is the same


def test_each_frame_of_an_enhanced_file_has_its_own_mapping(read):
    frames = []
    for index in range(12):
        frame, place, direction, values, window = (Dataset() for _ in range(5))
        place.ImagePositionPatient, direction.ImageOrientationPatient = [0, 0, 3 * index], [1, 0, 0, 0, 1, 0]
        values.RescaleSlope, values.RescaleIntercept = 1 + index % 2, -5 * index
        window.WindowCenter, window.WindowWidth = 700 * (1 + index % 2), 1400 * (1 + index % 2)
        window.VOILUTFunction = "LINEAR_EXACT"
        frame.PlanePositionSequence, frame.PlaneOrientationSequence = Sequence([place]), Sequence([direction])
        frame.PixelValueTransformationSequence, frame.FrameVOILUTSequence = Sequence([values]), Sequence([window])
        frames.append(frame)
    upload = read(dicom(np.stack([GRAY16] * 12), PerFrameFunctionalGroupsSequence=Sequence(frames)))
    for index, slice_ in enumerate(upload.slices):
        factor = 1 + index % 2
        tags = {"RescaleSlope": factor, "RescaleIntercept": -5 * index, "VOILUTFunction": "LINEAR_EXACT"}
        data = dicom(GRAY16, WindowCenter=700 * factor, WindowWidth=1400 * factor, **tags)
        ends = -5 * index, 65535 * factor - 5 * index
        assert np.abs(gray(slice_) - seen_by_pydicom(data, *ends)).max() <= 1


PADDED = GRAY16.astype(np.int16)
PADDED[:6], PADDED[-6:, :20] = -2000, -2000


def padding(value: int, limit: int | None = None, vr: str = "SS") -> dict:
    tags = {"PixelPaddingValue": value} | ({} if limit is None else {"PixelPaddingRangeLimit": limit})
    return {tag: DataElement(tag, vr, number) for tag, number in tags.items()}


@pytest.mark.parametrize(
    ("pixels", "tags"),
    [
        (PADDED, padding(-2000)),
        (PADDED, padding(63536, vr="US")),
        (PADDED, padding(-2100, -1900)),
        (PADDED, padding(-1900, -2100)),
        (PADDED, padding(63436, 63636, "US")),
        (np.where(PADDED < 0, 60_000, PADDED).astype(np.uint16), padding(-5536)),
        (np.where(PADDED < 0, 60_000, PADDED).astype(np.uint16), padding(60_000, 65_535, "US")),
        (np.where(PADDED < 0, 2047, PADDED // 4).astype(np.int16), padding(2047) | {"BitsStored": 12, "HighBit": 11}),
        (np.where(PADDED < 0, -2048, PADDED // 4).astype(np.int16), padding(63488, vr="US") | {"BitsStored": 12}),
    ],
    ids=range(9),
)
def test_padding_is_black_in_every_form_and_the_rest_as_if_it_were_not_there(pixels, tags, read):
    where = PADDED < 0
    plain = gray(read(dicom(np.where(where, 0, pixels).astype(pixels.dtype))).slices[0])
    upload = read(dicom(pixels, **tags))
    assert not gray(upload.slices[0])[where].any()
    assert np.abs(gray(upload.slices[0]) - plain)[~where].mean() < 6


@pytest.mark.parametrize("how", ["JPEG 2000", "JPEG-LS", "JPEG", "decompressed"])
@pytest.mark.parametrize("level", [2, 6])
def test_padding_that_lossy_coding_has_blurred_is_padding(how, level, read):
    where = PADDED < 0
    stored = np.where(where, -2000, GRAY16.astype(np.int16) // 2)
    stored += np.random.default_rng(0).integers(0, 20, stored.shape).astype(np.int16) * ~where
    plain = gray(read(dicom(np.where(where, 0, stored).astype(np.int16))).slices[0])
    tags = padding(-2000)
    if how == "JPEG":
        eight = np.where(where, 255, GRAY8 // 2).astype(np.uint8)
        data = encapsulate([imagecodecs.jpeg8_encode(eight, level=100 - 10 * level)])
        upload = read(dicom(eight, "1.2.840.10008.1.2.4.50", data=data, PixelPaddingValue=255))
        plain = GRAY8 // 2
    elif how == "JPEG-LS":
        shifted = (stored + 2000).astype(np.uint16)
        data = encapsulate([imagecodecs.jpegls_encode(shifted, level=level)])
        upload = read(dicom(shifted, "1.2.840.10008.1.2.4.81", data=data, PixelPaddingValue=0))
    else:
        packed = imagecodecs.jpeg2k_encode(stored, codecformat="j2k", level=85 - 3 * level)
        lossy = imagecodecs.jpeg2k_decode(packed)
        assert (lossy != stored).any()
        if how == "JPEG 2000":
            upload = read(dicom(stored, JPEG2000.replace(".90", ".91"), data=encapsulate([packed]), **tags))
        else:
            upload = read(dicom(lossy, LossyImageCompression="01", **tags))
    shown = gray(upload.slices[0])
    inside = ~where
    inside[5:8] = inside[-8:-5] = False  # the edge itself is blurred
    inside[-9:, 16:24] = False
    assert np.mean(shown[where] > 8) < 0.02
    assert np.abs(shown - plain)[inside].mean() < (12 if how == "JPEG" else 3 + level)


def test_numbers_near_the_padding_are_kept_without_lossy_coding_and_where_the_head_begins_there(read):
    dark = (GRAY16 // 4).astype(np.uint16)
    dark[:6] = 0
    tags = {"PixelPaddingValue": 0, "WindowCenter": 0, "WindowWidth": 1000, "VOILUTFunction": "LINEAR_EXACT"}
    near = np.tile(np.arange(64, dtype=np.int16) - 20, (64, 1))
    for more in ({}, {"LossyImageCompression": "01"}):
        shown = gray(read(dicom(near, **tags | more)).slices[0])
        assert not shown[:, 20].any() and (np.delete(shown, 20, axis=1) > 100).all()  # on both sides of it


@pytest.mark.parametrize("tag", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_table_that_cannot_be_used_is_as_if_it_were_not_there(tag, read):
    plain = gray(read(dicom(GRAY16)).slices[0])
    constant, short, odd, bare = table(0, 4096, 12), Dataset(), Dataset(), Dataset()
    constant[0].LUTData = [7] * 4096
    short.add_new("LUTDescriptor", "US", [4096, 0, 16])
    odd.add_new("LUTDescriptor", "US", [4096])
    odd.add_new("LUTData", "OW", b"\1\2\3\4")
    bare.ModalityLUTType = "US"
    for items in (constant, [short], [odd], [bare], [], [Dataset(), bare]):
        upload = read(dicom(GRAY16, **{tag: Sequence(items)}))
        assert isinstance(upload, Upload) and (gray(upload.slices[0]) == plain).all()
    behind = read(dicom(RAMP12, **{tag: Sequence([bare, *table(0, 4096, 12, 2.0)])}))
    alone = read(dicom(RAMP12, **{tag: table(0, 4096, 12, 2.0)}))
    assert (gray(behind.slices[0]) == gray(alone.slices[0])).all()


def test_without_the_tags_that_other_readers_take_for_granted_a_file_is_read(read):
    data = dicom(GRAY16, SamplesPerPixel=None, PhotometricInterpretation=None, PixelRepresentation=None)
    assert (gray(read(data).slices[0]) == gray(read(dicom(GRAY16)).slices[0])).all()
