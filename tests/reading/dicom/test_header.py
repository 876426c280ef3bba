"""Of a DICOM file's header come numbers and known words, never a word about the patient; a bad one gets a sentence."""

import io
import logging
import re

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from brain_tumor.reading.dicom import parsing
from brain_tumor.reading.pictures import ScanError
from brain_tumor.reading.readers import read_one, read_uploads
from brain_tumor.reading.uploads import Rejected, Upload
from tests.memory import run_and_measure
from tests.reading.scans import GRAY16, RAMP, dicom_series, gray, marked_volume, rle, write_all
from tests.scan_files import RLE, dicom
from tests.sentences import assert_is_a_sentence

SECRET = "Zzyzx"  # what patients are called here


def test_no_text_of_a_dicom_file_leaves_the_reader(tmp_path, caplog, recwarn, capfd):
    tags = {}
    for tag, (vr, _, _, _, keyword) in pydicom.datadict.DicomDictionary.items():
        retired = tag >> 16 in (0, 2, 0x28) or not keyword or "Sequence" in keyword
        if vr in ("PN", "LO", "SH", "ST", "LT", "UT", "UC") and not retired and tag >> 16 < 0x60:
            tags[keyword] = f"{SECRET} {SECRET}"
    tags |= {
        "Modality": SECRET.upper(),
        "ScanningSequence": SECRET.upper(),
        "PatientID": SECRET,
        "BodyPartExamined": SECRET.upper(),
    }
    tags |= {"SeriesDescription": f"{SECRET} t1 mprage post {SECRET}", "PatientBirthDate": "19010203"}
    files = dicom_series(marked_volume(), **tags)
    files.append(dicom(GRAY16, **(tags | {"PixelData": b"\0" * 9})))
    files.append(dicom(None, **(tags | {"Modality": "SR"})))
    assert files[0].count(SECRET.encode()) > 300
    found = list(read_uploads(write_all(tmp_path, files)))
    assert sorted(type(f).__name__ for f in found) == ["Rejected", "Rejected", "Upload"]
    objects = re.sub(" at 0x[0-9A-Fa-f]+", "", repr(found))  # addresses may hold any four digits
    said = objects + caplog.text + "".join(str(w.message) for w in recwarn) + "".join(capfd.readouterr())
    assert SECRET.lower() not in said.lower() and "1901" not in said
    (upload,) = [f for f in found if isinstance(f, Upload)]
    assert upload.facts["Sequence"] == "gradient echo T1 (3D)" and upload.facts["Series"] == "t1 mprage post"


def test_wrong_tags_make_no_warning_that_would_quote_them(tmp_path, caplog, recwarn, capfd):
    caplog.set_level(logging.DEBUG)
    tags = {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": SECRET, "SeriesDescription": "x" * 16}
    data = dicom(GRAY16, **tags)
    for wrong in (SECRET.encode() * 3, b"\x1b%G\x1b$)" + SECRET.encode()):
        broken = data.replace(b"x" * 16, wrong[:16].ljust(16))
        (tmp_path / "scan").write_bytes(broken.replace(b"ISO 2022 IR 87", b"ISO 2022 Zzyzx"))
        list(read_uploads([tmp_path / "scan"]))
        (tmp_path / "scan").write_bytes(broken)
        assert isinstance(next(read_uploads([tmp_path / "scan"])), Upload)
    assert not recwarn.list and not caplog.text and capfd.readouterr() == ("", "")


def test_no_tag_that_describes_the_patient_is_ever_parsed():
    for keyword in parsing.PIXEL_TAGS:
        tag = pydicom.datadict.tag_for_keyword(keyword)
        assert tag is not None and tag >> 16 != 0x10 and pydicom.datadict.dictionary_VR(tag) not in ("PN", "DA", "UC")
    data = dicom(GRAY16, PatientName=SECRET, PatientID=SECRET, StudyDescription=SECRET, StationName=SECRET)
    assert SECRET in str(pydicom.dcmread(io.BytesIO(data)))
    assert SECRET not in str(parsing.parse(data, parsing.PIXEL_TAGS, pixels=True))


@pytest.mark.parametrize(
    ("name", "reason", "what"),
    [
        ("test-SR.dcm", "a report", "a report"),
        ("rtstruct.dcm", "outlines", "outlines for radiotherapy"),
        ("rtplan.dcm", "a plan", "a plan for radiotherapy"),
        ("rtdose.dcm", "dose", "a radiotherapy dose"),
        ("liver_1frame.dcm", "segmentation", "a segmentation"),
        ("waveform_ecg.dcm", "curves", "curves"),
        ("MR_truncated.dcm", "damaged or incomplete", ""),
        ("UN_sequence.dcm", "no picture", ""),
        ("SC_rgb_small_odd.dcm", "3 x 3 pixels", ""),
        ("JPEG2000-embedded-sequence-delimiter.dcm", "cannot be decoded", ""),
    ],
)
def test_a_dicom_file_without_a_picture_says_what_it_is_and_is_no_failed_scan(name, reason, what):
    path = get_testdata_file(name, download=False)
    (rejected,) = read_uploads([path])
    assert isinstance(rejected, Rejected) and reason in rejected.reason and rejected.what == what
    assert_is_a_sentence(rejected.reason)
    with pytest.raises(ScanError, match=reason):
        read_one(path)


@pytest.mark.parametrize(
    ("class_", "what"),
    [
        ("1.2.840.10008.5.1.4.1.1.4.2", "spectroscopy"),
        ("1.2.840.10008.5.1.4.1.1.66", "raw data of a scanner"),
        ("1.2.840.10008.5.1.4.1.1.88.33", "a report"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "a list of key pictures"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "a document"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "settings of a viewer"),
        ("1.2.840.10008.5.1.4.39.1", "other data"),
        ("1.3.12.2.1107.5.9.1", "a maker's own data"),
    ],
)
def test_an_object_of_a_study_that_is_no_picture_is_told_by_its_class(class_, what, read):
    rejected = read(dicom(None, SOPClassUID=class_))
    assert isinstance(rejected, Rejected) and rejected.what == what and what in rejected.reason
    assert_is_a_sentence(rejected.reason)
    assert read(dicom(None)).what == "", "a picture's file that was cut off"


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Rows": 60_000, "Columns": 60_000}, "too large"),
        ({"NumberOfFrames": 2_000_000_000}, "too large"),
        ({"NumberOfFrames": 5000}, "incomplete"),
        ({"Rows": 5000, "Columns": 5000}, "incomplete"),
        ({"Rows": 0}, "damaged"),
        ({"SamplesPerPixel": 4}, "damaged"),
    ],
    ids=str,
)
def test_a_dicom_file_that_lies_about_its_size_is_refused(tags, reason, read):
    rejected = read(dicom(GRAY16, **tags))
    assert isinstance(rejected, Rejected) and reason in rejected.reason
    assert_is_a_sentence(rejected.reason)


def test_a_value_of_a_million_numbers_is_not_converted(read, monkeypatch):
    monkeypatch.setattr(parsing, "MAX_VALUE_BYTES", 200)
    many = read(dicom(GRAY16, "1.2.840.10008.1.2", RescaleSlope=[0.5] * 1000, WindowCenter=[9] * 1000, WindowWidth=9))
    assert isinstance(many, Upload) and "percentiles" in many.facts["Window"], "as if the tag were not there"


def test_a_file_without_preamble_and_without_suffix_is_known_by_its_content(read):
    data = dicom(GRAY16, preamble=False, **RAMP)
    assert data[128:132] != b"DICM"
    assert (gray(read(data, "IM_0001").slices[0]) == gray(read(dicom(GRAY16, **RAMP)).slices[0])).all()
    assert (gray(read(data, "scan.png").slices[0]) == gray(read(data, "x.dcm").slices[0])).all()


def test_the_first_dicom_files_may_come_at_once(tmp_path):
    (tmp_path / "scan").write_bytes(dicom(GRAY16, RLE, data=encapsulate([rle(GRAY16)])))
    code = "from concurrent.futures import ThreadPoolExecutor\nfrom brain_tumor.reading.readers import read_one\n"
    code += f"paths = [{str(tmp_path / 'scan')!r}] * 8\n"
    code += "with ThreadPoolExecutor(8) as pool: print(len(list(pool.map(read_one, paths))))"
    assert run_and_measure(code)[1] == "8"
