"""A zip is read like the files in it, leads nowhere, and an upload has its limits."""

import os
import zipfile

import numpy as np
import pytest

from brain_tumor.reading import archives, pictures, volume_files
from brain_tumor.reading.pictures import open_scan
from brain_tumor.reading.readers import read_uploads
from brain_tumor.reading.uploads import MAX_FILES, MAX_VOLUME_BYTES, Rejected, Upload
from tests.memory import run_and_measure
from tests.reading.scans import GRAY16, dicom_series, marked_volume, png_bytes, write_all
from tests.scan_files import dicom, nifti, zip_files
from tests.sentences import assert_is_a_sentence


def test_a_zip_is_read_like_the_files_in_it(tmp_path):
    files = {f"series/IM{i}": data for i, data in enumerate(dicom_series(marked_volume()))}
    files |= {"a.png": png_bytes(), "deep/er/volume.nii.gz": nifti(marked_volume(), packed=True)}
    write_all(tmp_path, {"all.zip": zip_files(files)})
    found = {upload.name: upload for upload in read_uploads([tmp_path / "all.zip"])}
    assert set(found) == {"all.zip/DICOM series, 40 slices", "all.zip/a.png", "all.zip/deep/er/volume.nii.gz"}
    assert found["all.zip/a.png"].slices[0].image.tobytes() == open_scan(png_bytes()).tobytes()
    assert found["all.zip/DICOM series, 40 slices"].kind == found["all.zip/deep/er/volume.nii.gz"].kind == "volume"
    assert found["all.zip/DICOM series, 40 slices"].files[0] == "all.zip/series/IM0"


@pytest.mark.parametrize("name", ["DICOMDIR", "renamed"])
def test_of_a_zip_that_holds_the_index_of_a_disc_alone_this_is_said(name, read):
    index = dicom(None, SOPClassUID="1.2.840.10008.1.3.10")
    alone, zipped = read(index, "DICOMDIR"), read(zip_files({name: index}), "disc.zip")
    assert (zipped.name, zipped.what, zipped.reason) == (f"disc.zip/{name}", alone.what, alone.reason)


def test_files_of_the_same_name_are_told_apart_by_zip_and_number(tmp_path):
    for folder, content in (("one", png_bytes()), ("two", b"no")):
        (tmp_path / folder).mkdir()
        write_all(
            tmp_path / folder, {"a.zip": zip_files({"x/s.png": content, "../x/s.png": content}), "s.png": content}
        )
    paths = [tmp_path / folder / name for folder in ("one", "two") for name in ("a.zip", "s.png")]
    assert [found.name for found in read_uploads(paths)] == [
        *("a.zip/x/s.png", "a.zip/x/s.png (2)", "s.png"),
        *("a.zip (2)/x/s.png", "a.zip (2)/x/s.png (2)", "s.png (2)"),
    ]


def test_a_number_that_tells_names_apart_is_no_name_of_another_file():
    assert archives.number_alike(["a", "a", "a (2)", "a"]) == ["a", "a (2)", "a (2) (2)", "a (3)"]


def test_a_series_in_two_zips_is_one_scan_and_two_patients_scanned_alike_are_two(tmp_path):
    shared = dicom_series(marked_volume()[:, :, :12], SeriesNumber=3, SeriesDescription="t2 tra MUSTERMANN")
    write_all(tmp_path, {f"{n}.zip": zip_files({f"{i}": d for i, d in enumerate(shared[n::2])}) for n in (0, 1)})
    (upload,) = read_uploads([tmp_path / "0.zip", tmp_path / "1.zip"])
    assert upload.name == "0.zip and 1 more/DICOM series 3 (t2 tra), 12 slices"
    assert len(upload.slices) == 12 and {name[:6] for name in upload.files} == {"0.zip/", "1.zip/"}
    for n in (0, 1):  # slices without a series of their own, at the same places
        patient = dicom_series(marked_volume()[:, :, :12] + np.int16(n), SeriesInstanceUID="")
        (tmp_path / f"{n}.zip").write_bytes(zip_files({f"{i}": data for i, data in enumerate(patient)}))
    names = [upload.name for upload in read_uploads([tmp_path / "0.zip", tmp_path / "1.zip"])]
    assert names == ["0.zip/DICOM series, 12 slices", "1.zip/DICOM series, 12 slices"]


def test_series_that_are_called_alike_are_numbered_and_stacks_of_one_are_its_parts(tmp_path):
    volume = marked_volume()[:, :, :12]
    files = [f for _ in range(2) for f in dicom_series(volume)]
    echoes = [
        f for echo in (12, 90) for f in dicom_series(volume, SeriesInstanceUID="1.2.3", SeriesNumber=5, EchoTime=echo)
    ]
    found = read_uploads(write_all(tmp_path, {f"IM{i}": f for i, f in enumerate(files + echoes)}))
    assert [upload.name for upload in found] == [
        *("DICOM series, 12 slices", "DICOM series, 12 slices (2)"),
        *("DICOM series 5, part 1, 12 slices", "DICOM series 5, part 2, 12 slices"),
    ]


def test_what_comes_along_in_a_zip_is_ignored_silently(tmp_path):
    rubbish = {"__MACOSX/a.png": b"x", "d/__MACOSX/._a": b"x", ".DS_Store": b"x", "d/._a.png": b"x",
               "d/Thumbs.db": b"x", "d/.hidden/": b""}  # fmt: skip
    rubbish |= dict.fromkeys(("DICOMDIR", "renamed"), dicom(None, SOPClassUID="1.2.840.10008.1.3.10"))
    write_all(tmp_path, {"a.zip": zip_files(rubbish | {"a.png": png_bytes()})})
    (upload,) = read_uploads([tmp_path / "a.zip"])
    assert upload.name == "a.zip/a.png"


def test_names_in_a_zip_lead_nowhere(tmp_path):
    names = ["../../outside.png", "/etc/passwd.png", "C:\\x\\..\\y.png", "a\x1b[31m\n.png"]
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "a.zip").write_bytes(zip_files({name: png_bytes() for name in names}))
    found = [upload.name for upload in read_uploads([inside / "a.zip"])]
    assert found == ["a.zip/outside.png", "a.zip/etc/passwd.png", "a.zip/C:/x/y.png", "a.zip/a?[31m?.png"]
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "a.zip"]


def locked_zip() -> bytes:
    data = bytearray(zip_files({"a.png": png_bytes()}))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + place] |= 1
    return bytes(data)


def lying_zip() -> bytes:
    """A zip whose directory says that its 200 kB are 70 bytes."""
    data = bytearray(zip_files({"a.png": bytes(200_000)}))
    for signature, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = data.index(signature) + place
        data[start : start + 4] = (70).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    {
        "zip in zip": (zip_files({"b.zip": zip_files({"a.png": png_bytes()})}), "scan/b.zip", "zip inside a zip"),
        "locked": (locked_zip(), "scan/a.png", "password"),
        "lying": (lying_zip(), "scan/a.png", "damaged in its zip"),
        "bzip2": (zip_files({"a.png": png_bytes()}, zipfile.ZIP_BZIP2), "scan/a.png", "compressed in a way"),
        "empty": (zip_files({}), "scan", "no files"),
        "truncated": (zip_files({"a.png": png_bytes()})[:-30], "scan", "damaged"),
        "too much": (zip_files({f"{i}": bytes(2**24) for i in range(33)}), "scan", "more than 512 MB"),
        "office": (zip_files({"[Content_Types].xml": b"<x/>", "word/a.xml": b"<x/>"}), "scan", "office document"),
        "too many": (zip_files({f"{i}": b"x" for i in range(MAX_FILES + 1)}), "scan", "3,001 files"),
        "text in zip": (zip_files({"notes.txt": b"hello"}), "scan/notes.txt", "is text"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_zip_that_cannot_be_used_is_refused_with_a_sentence(data, name, reason, read):
    rejected = read(data)
    assert isinstance(rejected, Rejected) and rejected.name == name and reason in rejected.reason
    assert_is_a_sentence(rejected.reason)


def test_too_many_files_or_bytes_are_refused_from_the_first_beyond_the_limit(tmp_path, monkeypatch):
    paths = write_all(tmp_path, {f"{i}.png": png_bytes(number=i) for i in range(5)})
    monkeypatch.setattr(archives, "MAX_FILES", 3)
    found = list(read_uploads(paths))
    assert len(found) == 4 and "2 were left out" in found[3].reason and found[3].name == "3.png"
    monkeypatch.setattr(archives, "MAX_FILES", 5)
    assert all(isinstance(f, Upload) for f in read_uploads(paths))
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", sum(p.stat().st_size for p in paths) - 1)
    found = list(read_uploads(paths))
    assert len(found) == 5 and found[4].name == "4.png" and "left out" in found[4].reason


def test_a_file_above_the_limit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_FILE_BYTES", 3000)
    monkeypatch.setattr(volume_files, "MAX_VOLUME_BYTES", 3000)
    for data in (nifti(marked_volume()), dicom(GRAY16), packed := zip_files({"a": os.urandom(4000)})):
        if data is packed:
            monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 3000)
        (tmp_path / "scan").write_bytes(data)
        (rejected,) = read_uploads([tmp_path / "scan"])
        assert isinstance(rejected, Rejected) and "at most" in rejected.reason


def test_what_is_just_above_a_limit_is_not_said_to_be_the_limit(tmp_path):
    with open(tmp_path / "large.dcm", "wb") as file:
        file.write(dicom(GRAY16))
        file.truncate(pictures.MAX_FILE_BYTES + 1)
    with open(tmp_path / "large.zip", "wb") as file:
        file.write(zip_files({"a.png": png_bytes()}))
        file.truncate(archives.MAX_TOTAL_BYTES + 1)
    found = read_uploads([tmp_path / "large.dcm", tmp_path / "large.zip"])
    assert [found.reason.partition(";")[0] for found in found] == ["This file is 51 MB", "This zip is 513 MB"]


def test_a_volume_as_large_as_may_be_is_read_in_bounded_memory(tmp_path):
    header = bytearray(nifti(marked_volume())[:352])
    header[42:48] = np.array([256, 512, 511], "<i2").tobytes()
    header[70:74] = np.array([16, 32], "<i2").tobytes()  # of 32 bits with decimals
    head = np.zeros((256, 512, 511), np.float32)
    head[40:-40, 80:-80, 80:-80] = np.linspace(300, 400, 351, dtype=np.float32)
    with open(tmp_path / "large.nii", "wb") as file:
        file.write(header)
        head.tofile(file)
    assert 0.99 * MAX_VOLUME_BYTES < (tmp_path / "large.nii").stat().st_size <= MAX_VOLUME_BYTES
    code = (
        "from brain_tumor.reading.readers import read_uploads\n"
        f"print([len(found.slices) for found in read_uploads([{str(tmp_path / 'large.nii')!r}])])"
    )
    peak, printed = run_and_measure(code)
    assert printed.startswith("[") and peak < 1100
