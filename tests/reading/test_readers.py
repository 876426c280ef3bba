"""Any uploaded file becomes slices or a sentence, whatever it is called, and one bad file does not stop the rest."""

import contextlib
import os
import types
import zlib

import numpy as np
import pytest
from pydicom.encaps import encapsulate

from brain_tumor.reading import pages, readers, stream
from brain_tumor.reading.dicom import parsing
from brain_tumor.reading.pictures import ScanError, open_scan
from brain_tumor.reading.readers import read_one, read_uploads
from brain_tumor.reading.uploads import MAX_SECONDS, Rejected, Upload
from tests.memory import run_and_measure
from tests.reading.scans import (
    GRAY8,
    GRAY16,
    RAMP,
    SYNTAXES,
    dicom_series,
    enhanced,
    marked_volume,
    png_bytes,
    write_all,
)
from tests.scan_files import DEFLATED, dicom, nifti, zip_files
from tests.sentences import assert_is_a_sentence


def test_bombs_are_refused_without_being_unpacked(tmp_path):
    def behind(head: bytes, wbits: int) -> bytes:
        """256 MB of zeros behind a head, compressed."""
        packer = zlib.compressobj(1, zlib.DEFLATED, wbits)
        return packer.compress(head) + b"".join(packer.compress(bytes(2**24)) for _ in range(16)) + packer.flush()

    header = bytearray(nifti(marked_volume())[:352])
    (tmp_path / "long.nii.gz").write_bytes(behind(bytes(header), 31))  # behind a small volume of zeros
    header[42:48] = np.array([4000, 4000, 4000], "<i2").tobytes()
    (tmp_path / "large.nii.gz").write_bytes(behind(bytes(header), 31))
    plain = dicom(np.zeros((64, 64), np.int16), DEFLATED)
    start = 144 + int.from_bytes(plain[140:144], "little")
    (tmp_path / "deflated.dcm").write_bytes(plain[:start] + behind(zlib.decompress(plain[start:], -15), -15))
    base, _ = run_and_measure("import brain_tumor.reading.readers, numpy, nibabel, pydicom.pixels, imagecodecs")
    for name, reason in {
        "long.nii.gz": "shows nothing",
        "large.nii.gz": "too large (4000 x 4000 x 4000",
        "deflated.dcm": "unpacks to more",
    }.items():
        code = f"from brain_tumor.reading.readers import *\nprint(list(read_uploads([{str(tmp_path / name)!r}])))"
        peak, printed = run_and_measure(code)
        assert reason in printed
        assert peak < base + 150, name  # a deflated DICOM file may unpack to 100 MB


def test_importing_the_readers_is_cheap():
    heavy = {"pydicom", "nibabel", "imagecodecs", "torch"}
    code = f"import sys, brain_tumor.reading.readers\nprint(sys.modules.keys() & {heavy})"
    _, printed = run_and_measure(code)
    assert printed == "set()"


def test_of_a_volume_all_slices_are_read(template):
    upload = read_one(nifti(template, np.diag([2, 2, 2, 1]), packed=True))
    assert upload.kind == "volume" and [slice_.number for slice_ in upload.slices] == [*range(1, 96)]
    assert "Slice" not in upload.facts


@pytest.mark.parametrize("name", ["plain", *SYNTAXES, "NIfTI", "NIfTI.gz", "zip", "enhanced"])
def test_a_file_with_damaged_bytes_is_read_or_refused_and_nothing_else(name, tmp_path):
    match name:
        case "plain":
            data = dicom(GRAY16, PixelSpacing=[1, 1], **RAMP)
        case "NIfTI" | "NIfTI.gz":
            data = nifti(marked_volume(), packed=name == "NIfTI.gz")
        case "zip":
            data = zip_files({"a.png": png_bytes(), "b": dicom(GRAY16), "c/d.nii": nifti(marked_volume())})
        case "enhanced":
            data = enhanced(marked_volume())
        case _:
            syntax, encode, _, bits, tags = SYNTAXES[name]
            pixels = GRAY16 if bits == 16 else GRAY8
            data = dicom(pixels, syntax, data=encapsulate([encode(pixels)]), **tags)
    random_ = np.random.default_rng(list(name.encode()))
    original = np.frombuffer(data, np.uint8)
    for _ in range(int(os.environ.get("DAMAGE_ROUNDS", 30))):
        damaged = original.copy()
        region = int(random_.choice([len(data), min(1500, len(data))]))
        places = random_.integers(0, region, random_.integers(1, 12))
        damaged[places] = random_.integers(0, 256, len(places))
        if random_.random() < 0.2:
            damaged = damaged[: random_.integers(0, len(damaged))]
        (tmp_path / "scan").write_bytes(damaged.tobytes())
        with contextlib.suppress(ScanError):
            read_one(tmp_path / "scan")
        for found in read_uploads([tmp_path / "scan"]):
            if isinstance(found, Rejected):
                assert_is_a_sentence(found.reason)
            else:
                assert found.slices and all(s.image.mode == "RGB" for s in found.slices)


@pytest.mark.parametrize(
    ("data", "reason"),
    {
        "empty": (b"", "empty"),
        "text": ("Größe: none\n".encode() * 600, "is text"),
        "PDF": (b"%PDF-1.7\n\xff\xfe", "a PDF"),
        "noise": (np.random.default_rng(0).bytes(5000), "not a picture"),
        "truncated PNG": (png_bytes()[:300], "damaged"),
        "tiny": (png_bytes(16), "16 x 16 pixels"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_no_scan_is_refused_with_a_sentence(data, reason, read):
    rejected = read(data, "scan.dcm")
    assert isinstance(rejected, Rejected) and rejected.name == "scan.dcm" and reason in rejected.reason
    assert_is_a_sentence(rejected.reason)
    with pytest.raises(ScanError) as caught:
        read_one(data)
    assert str(caught.value) == rejected.reason


def test_a_bad_file_does_not_stop_the_rest(tmp_path):
    paths = write_all(tmp_path, {"a.png": png_bytes(), "b.png": b"no", "c.png": png_bytes()})
    found = list(read_uploads([*paths[:2], tmp_path / "nowhere.png", tmp_path, "nul\0byte", paths[2]]))
    assert [type(f).__name__ for f in found] == ["Upload", *["Rejected"] * 4, "Upload"]
    for rejected in found[1:5]:
        assert_is_a_sentence(rejected.reason)


def test_an_error_that_nobody_thought_of_is_still_a_sentence(tmp_path, monkeypatch):
    paths = write_all(tmp_path, {"a.png": png_bytes(), "b.nii": nifti(marked_volume())})
    monkeypatch.setattr(pages, "read_picture", lambda *_: 1 / 0)
    rejected, upload = read_uploads(paths)
    assert isinstance(upload, Upload) and "damaged" in rejected.reason
    monkeypatch.setattr("brain_tumor.reading.volume_files.read_voxels", lambda *_: bytearray(10**18))
    assert "memory" in list(read_uploads(paths))[1].reason


def test_what_is_not_read_when_the_time_is_over_is_left_out_with_a_sentence(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(readers, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    files = {"a.png": png_bytes(), "b.dcm": dicom(GRAY16), "c.png": png_bytes(number=2)}
    uploads = read_uploads(write_all(tmp_path, files), until=100)
    assert next(uploads).name == "a.png"
    clock[0] = 101
    (rejected,) = uploads
    assert rejected.name == "b.dcm" and "1 uploads were read, 2 were left out" in rejected.reason
    assert f"{MAX_SECONDS} seconds" in rejected.reason
    assert_is_a_sentence(rejected.reason)
    (rejected,) = read_uploads(tmp_path.iterdir(), until=100)
    assert "0 uploads were read, 3 were left out" in rejected.reason
    clock[0] = 99
    assert len(list(read_uploads(tmp_path.iterdir(), until=100))) == 3


def test_a_file_of_too_many_pieces_is_refused(read, monkeypatch):
    monkeypatch.setattr(stream.Parts, "left", 3)
    for data in (png_bytes(), png_bytes(number=2)):
        rejected = read(data)
        assert isinstance(rejected, Rejected) and "too many parts" in rejected.reason
        assert_is_a_sentence(rejected.reason)
    monkeypatch.setattr(parsing._Parts, "left", 3)
    for syntax in ("1.2.840.10008.1.2", DEFLATED):
        rejected = read(dicom(GRAY16, syntax))
        assert isinstance(rejected, Rejected) and "too many parts" in rejected.reason
        assert_is_a_sentence(rejected.reason)


def test_one_scan_may_be_any_file_but_not_several_scans(tmp_path):
    (tmp_path / "scan").write_bytes(dicom(GRAY16, **RAMP))
    upload = read_one(str(tmp_path / "scan"))
    assert upload.slices[0].image.size == (72, 64) and upload.facts["Modality"] == "MRI" and upload.notes == []
    assert read_one(png_bytes()).slices[0].image.tobytes() == open_scan(png_bytes()).tobytes()
    series = zip_files({f"{i}": data for i, data in enumerate(dicom_series(marked_volume()))})
    assert read_one(series).kind == "volume" and len(read_one(series).slices) == 40
    with pytest.raises(ScanError, match="more than one scan.*Upload it where several scans are read"):
        read_one(zip_files({"a.png": png_bytes(), "b.png": png_bytes()}))
    with pytest.raises(ScanError, match="cannot be opened"):
        read_one(tmp_path / "nowhere")
    with pytest.raises(ScanError, match="DICOMDIR"):
        read_one(dicom(None, SOPClassUID="1.2.840.10008.1.3.10"))


SCOUT = {"SeriesDescription": "localizer", "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
REPORT = dicom(None, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR")


def zipped(*parts: list[bytes]) -> bytes:
    return zip_files({f"{i}": data for i, data in enumerate(file for part in parts for file in part)})


def test_a_scout_and_what_is_no_scan_beside_one_scan_are_named_and_the_scan_is_read():
    series, scout = dicom_series(marked_volume()), dicom_series(marked_volume()[:, :, 18:21], **SCOUT)
    upload = read_one(zipped(scout, [REPORT], series, [b"no scan"]))
    assert upload.kind == "volume" and len(upload.slices) == 40 and not upload.localizer
    beside = "a scout, a report, a file that cannot be read"
    assert upload.notes[-1] == f"This file also holds {beside}; only the scan was judged."
    assert_is_a_sentence(upload.notes[-1])
    for alone in (zipped(scout), zipped(scout, [REPORT])):
        with pytest.raises(ScanError, match="This is a scout"):  # of three planes no slice stands for the others
            read_one(alone)
    with pytest.raises(ScanError, match="more than one scan"):
        read_one(zipped(series, dicom_series(marked_volume()), scout))
    with pytest.raises(ScanError, match="is text"):  # what should have been a scan comes first
        read_one(zipped([REPORT], [b"This is a letter, not a scan.\n" * 20]))


def test_what_was_not_read_in_time_is_not_taken_for_one_scan(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(readers, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    read = pages.read_picture
    monkeypatch.setattr(pages, "read_picture", lambda data: (clock.append(clock.pop() + 60), read(data))[1])
    two = zip_files({"a.png": png_bytes(), "b.png": png_bytes(number=2)})
    with pytest.raises(ScanError, match=f"longer than {MAX_SECONDS} seconds.*1 uploads were read, 1 were left out"):
        read_one(two, until=50)
    assert read_one(png_bytes(), until=500).kind == "picture"


def test_the_index_of_a_disc_is_passed_over_beside_a_scan_and_else_there_is_a_word_about_it(tmp_path):
    index = dicom(None, SOPClassUID="1.2.840.10008.1.3.10")
    paths = write_all(tmp_path, {"DICOMDIR": index, "a.png": png_bytes(), "b.txt": b"read me", "c.dcm": dicom(GRAY16)})
    for beside, expected in (
        ([], ["DICOMDIR"]),
        ([2], ["b.txt", "DICOMDIR"]),
        ([1], ["a.png"]),
        ([3], ["c.dcm"]),
        ([2, 3], ["b.txt", "c.dcm"]),
    ):
        found = list(read_uploads([paths[0], *[paths[i] for i in beside]]))
        assert [one.name for one in found] == expected
        if expected[-1] == "DICOMDIR":
            assert "index of a disc" in found[-1].reason and found[-1].what == "the index of a disc"
            assert_is_a_sentence(found[-1].reason)


def test_uploads_are_read_one_at_a_time(tmp_path):
    paths = write_all(tmp_path, {"a.png": png_bytes(), "b.png": png_bytes()})
    uploads = read_uploads(paths)
    assert next(uploads).name == "a.png"
    paths[1].unlink()
    assert isinstance(next(uploads), Rejected)
