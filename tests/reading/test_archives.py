"""A zip is read like the files in it, leads nowhere, and an upload has its limits."""

import os
import zipfile
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from brain_tumor.reading import archives, pictures
from brain_tumor.reading.pictures import open_scan
from brain_tumor.reading.readers import read_uploads
from brain_tumor.reading.uploads import Rejected, Upload
from tests.reading.scans import GRAY16, dicom_series, marked_volume, png_bytes, write_all
from tests.scan_files import dicom, nifti, zip_files
from tests.sentences import assert_is_a_sentence


def test_a_zip_is_read_like_the_files_in_it(tmp_path):
    files = {f"series/IM{i}": data for i, data in enumerate(dicom_series(marked_volume()))}
    files |= {"a.png": png_bytes(), "deep/er/volume.nii.gz": nifti(marked_volume(), packed=True)}
    write_all(tmp_path, {"all.zip": zip_files(files)})
    found = {upload.name: upload for upload in read_uploads([tmp_path / "all.zip"])}
    assert set(found) == {"DICOM series, 40 slices", "a.png", "deep/er/volume.nii.gz"}
    assert found["a.png"].slices[0].image.tobytes() == open_scan(png_bytes()).tobytes()
    assert found["DICOM series, 40 slices"].kind == found["deep/er/volume.nii.gz"].kind == "volume"


def test_what_comes_along_in_a_zip_is_ignored_silently(tmp_path):
    rubbish = {"__MACOSX/a.png": b"x", "d/__MACOSX/._a": b"x", ".DS_Store": b"x", "d/._a.png": b"x", "DICOMDIR": b"x",
               "d/Thumbs.db": b"x", "d/.hidden/": b""}  # fmt: skip
    index = Path(get_testdata_file("DICOMDIR", download=False) or "")
    if index.is_file():
        rubbish["renamed"] = index.read_bytes()
    write_all(tmp_path, {"a.zip": zip_files(rubbish | {"a.png": png_bytes()})})
    (upload,) = read_uploads([tmp_path / "a.zip"])
    assert upload.name == "a.png"


def test_names_in_a_zip_lead_nowhere(tmp_path):
    names = ["../../outside.png", "/etc/passwd.png", "C:\\x\\..\\y.png", "a\x1b[31m\n.png"]
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "a.zip").write_bytes(zip_files({name: png_bytes() for name in names}))
    found = [upload.name for upload in read_uploads([inside / "a.zip"])]
    assert found == ["outside.png", "etc/passwd.png", "C:/x/y.png", "a?[31m?.png"]
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
        "zip in zip": (zip_files({"b.zip": zip_files({"a.png": png_bytes()})}), "b.zip", "zip inside a zip"),
        "locked": (locked_zip(), "a.png", "password"),
        "lying": (lying_zip(), "a.png", "damaged in its zip"),
        "bzip2": (zip_files({"a.png": png_bytes()}, zipfile.ZIP_BZIP2), "a.png", "compressed in a way"),
        "empty": (zip_files({}), "scan", "no files"),
        "truncated": (zip_files({"a.png": png_bytes()})[:-30], "scan", "damaged"),
        "too much": (zip_files({f"{i}": bytes(2**24) for i in range(33)}), "scan", "more than 512 MB"),
        "office": (zip_files({"[Content_Types].xml": b"<x/>", "word/a.xml": b"<x/>"}), "scan", "office document"),
        "too many": (zip_files({f"{i}": b"x" for i in range(1001)}), "scan", "1,001 files"),
        "text in zip": (zip_files({"notes.txt": b"hello"}), "notes.txt", "is text"),
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
    for data in (nifti(marked_volume()), dicom(GRAY16), zip_files({"a": os.urandom(4000)})):
        (tmp_path / "scan").write_bytes(data)
        (rejected,) = read_uploads([tmp_path / "scan"])
        assert isinstance(rejected, Rejected) and "at most" in rejected.reason
