"""What a header says of a scan is told in known words and numbers; what it does not say is "not stated"."""

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from brain_tumor.reading.readers import read_uploads
from tests.reading.scans import GRAY16, dicom_series, marked_volume, write_all
from tests.scan_files import dicom

NAME = "Zzyzx"


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"SeriesDescription": "AX T2 FLAIR"}, "FLAIR, T2"),
        ({"SeriesDescription": "t1_mprage_sag_p2"}, "gradient echo T1 (3D)"),
        ({"ProtocolName": "T1 TSE tra +C"}, "T1"),
        *[({"SeriesDescription": name}, "T1") for name in ("AXT1", "3DT1", "sT1W_3D_TFE", "Ax T1 FLAIR", "FLAIR T1")],
        *[({"SeriesDescription": name}, "T2") for name in ("AXT2FSE", "dT2W", "SAGT2", "Sag3DT2")],
        ({"SeriesDescription": "FLAIR T2"}, "FLAIR, T2"),
        ({"SeriesDescription": "AXT2*"}, "T2*"),
        ({"SeriesDescription": "PAT1 T12 FAST2"}, "not stated"),
        ({"SeriesDescription": "ep2d_diff_ADC"}, "diffusion, ADC map"),
        ({"SeriesDescription": "t2*_gre"}, "T2*"),
        ({"ScanningSequence": ["SE", "IR"]}, "spin echo, inversion recovery"),
        ({"AcquisitionContrast": "FLUID_ATTENUATED", "ScanningSequence": ["SE", "IR"]}, "FLAIR"),
        ({"SeriesDescription": NAME, "AcquisitionContrast": "T1"}, "T1"),
        ({"RepetitionTime": 500, "EchoTime": 15.25, "SeriesDescription": NAME}, "TR 500 ms, TE 15.25 ms"),
        ({"SeriesDescription": NAME}, "not stated"),
        ({"Modality": "CT", "SeriesDescription": "T1"}, None),
    ],
    ids=str,
)
def test_the_sequence(tags, words, read):
    assert read(dicom(GRAY16, **tags)).facts.get("Sequence") == words


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"ContrastBolusAgent": NAME}, "yes"),
        ({"ContrastBolusAgent": "NONE"}, "no"),
        ({"ContrastBolusAgent": "no contrast"}, "no"),
        ({"ContrastBolusAgent": ""}, "not stated"),
        ({"ContrastBolusAgentSequence": Sequence([Dataset()])}, "yes"),
        ({"SeriesDescription": "t1_mprage_post"}, "yes"),
        ({"SeriesDescription": "T1 +C"}, "yes"),
        ({"SeriesDescription": "AX T1 GD FS"}, "yes"),
        ({"SeriesDescription": "t1 tra KM"}, "yes"),
        ({"SeriesDescription": "T1 without contrast"}, "no"),
        ({"SeriesDescription": "T1 w/o gad"}, "no"),
        ({"SeriesDescription": "t1 ohne KM"}, "no"),
        ({"SeriesDescription": "t1_tra_nativ"}, "no"),
        ({"SeriesDescription": "AX T1 PRE"}, "no"),
        *[
            ({"SeriesDescription": text}, "no")
            for text in ("t1 tra vor KM", "Prä KM T1", "T1w KM-", "T1 Gd -", "T1 C-")
        ],
        ({"SeriesDescription": "T1 KM -", "ProtocolName": "head"}, "no"),
        *[({"SeriesDescription": text}, "no") for text in ("T1 before contrast", "T1 avant injection gado")],
        *[({"SeriesDescription": f"t1 {text} ax"}, "no") for text in ("pre-contrast", "pre contrast", "pre gad")],
        *[({"SeriesDescription": f"t1_{text}_ax"}, "no") for text in ("precontrast", "PREGAD", "NONCON", "SENZA MDC")],
        *[({"SeriesDescription": f"t1 {text}"}, "no") for text in ("ohne Kontrastmittel", "non-contrast", "sans inj")],
        *[({"SeriesDescription": f"t1_{text}_ax"}, "yes") for text in ("postcontrast", "POSTGAD", "GdDTPA", "Gd-DTPA")],
        *[
            ({"SeriesDescription": f"t1 {text} ax"}, "yes")
            for text in ("mit Kontrastmittel", "nach KM", "con mdc", "w/ gd")
        ],
        *[({"SeriesDescription": f"t1 {text}"}, "not stated") for text in ("post surgery", "post_op", "pre - surgery")],
        *[({"SeriesDescription": f"t1 {text}"}, "not stated") for text in ("post fossa", "post-treatment", "c-spine")],
        ({"SeriesDescription": "T1 post op post gd"}, "yes"),
        ({"SeriesDescription": "T1 with and without contrast"}, "not stated"),
        ({"SeriesDescription": "T1 w & w/o"}, "not stated"),
        ({"SeriesDescription": "T1 +/- gd"}, "not stated"),
        ({"SeriesDescription": "T1 w/wo contrast"}, "not stated"),
        ({"SeriesDescription": "T1 vor und nach KM"}, "not stated"),
        *[
            ({"ContrastBolusAgent": text}, "no")
            for text in ("not given", "Not administered", "kein", "KEIN KM", "aucun")
        ],
        *[({"ContrastBolusAgent": text}, "no") for text in ("non", "w/o", "unenhanced", "plain", "nativ", "0", "0.0")],
        *[({"ContrastBolusAgent": text}, "no") for text in ("GADOVIST 0 ML", "Magnevist 0.0ml", "-")],
        *[({"ContrastBolusAgent": text}, "yes") for text in ("GADOVIST 10 ML", "0.5 ml Gadovist", "0.1 mmol/kg", "Gd")],
        *[({"ContrastBolusAgent": text}, "not stated") for text in ("unknown", "?", "UNKNOWN", "not known", "N/A")],
        ({"SeriesDescription": "T1 pre and post"}, "not stated"),
        ({"SeriesDescription": "T1 pre", "ContrastBolusAgent": NAME}, "not stated"),
        ({"SeriesDescription": "T1 post op"}, "not stated"),
        ({"SeriesDescription": "space cube precise posterior"}, "not stated"),
        ({}, "not stated"),
    ],
    ids=str,
)
def test_the_contrast_agent(tags, words, read):
    assert read(dicom(GRAY16, **tags)).facts["Contrast agent"] == words


@pytest.mark.parametrize(
    ("code", "words"),
    [("mr", "MRI"), ("ct", "CT"), ("OPT", "eye imaging"), ("ES", "endoscopy"), ("TG", "thermography"), ("QQ", None)],
)
def test_the_modality(code, words, read):
    assert read(dicom(GRAY16, Modality=code)).facts.get("Modality") == words


def with_region(meaning: str) -> dict:
    region, anatomy, shared = Dataset(), Dataset(), Dataset()
    region.CodeMeaning = meaning
    anatomy.AnatomicRegionSequence = Sequence([region])
    shared.FrameAnatomySequence = Sequence([anatomy])
    return {"SharedFunctionalGroupsSequence": Sequence([shared])}


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"BodyPartExamined": "BRAIN"}, "brain"),
        ({"BodyPartExamined": "HEAD"}, "head"),
        ({"BodyPartExamined": "CSPINE"}, "spine"),
        ({"BodyPartExamined": "KNEE", "SeriesDescription": "head coil"}, "limb"),
        ({"BodyPartExamined": NAME.upper()}, "not stated"),
        ({"SeriesDescription": "T2 lumbar spine"}, "spine"),
        ({"SeriesDescription": "t2 cor hippocampus"}, "not stated"),
        ({"SeriesDescription": "t1_mprage_Bestrahlungsplanung"}, "not stated"),
        ({"SeriesDescription": "T1 computer router outer delivery"}, "not stated"),
        ({"ProtocolName": "fMRI finger tapping"}, "not stated"),
        ({"ProtocolName": "fMRI brain toe"}, "brain"),
        ({"ProtocolName": "T1_finger"}, "limb"),
        ({"SeriesDescription": "T2 adrenal"}, "abdomen"),
        ({"SeriesDescription": "t2_liver2"}, "abdomen"),
        ({"SeriesDescription": "T2_Uterus"}, "pelvis"),
        ({"SeriesDescription": "t1 Kleinhirn"}, "brain"),
        ({"SeriesDescription": "2cspine T2"}, "spine"),
        ({"BodyPartExamined": "TSPINE"}, "spine"),
        ({"BodyPartExamined": "BILATLUNG"}, "chest"),
        (with_region("Brain"), "brain"),
        ({}, "not stated"),
    ],
    ids=str,
)
def test_the_body_part(tags, words, read):
    assert read(dicom(GRAY16, **tags)).facts["Body part"] == words


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"SeriesNumber": 5, "SeriesDescription": f"t1_mprage_sag {NAME}^John 19010203 p2"}, "5, t1 mprage sag p2"),
        ({"SeriesNumber": 1201}, "1201"),
        ({"SeriesNumber": 19010203, "SeriesDescription": NAME}, "not stated"),
        ({"ProtocolName": "AX T2* GRE b1000"}, "t2* gre b1000"),
        ({"SeriesDescription": "t1 " * 30}, "t1 " * 9 + "t1"),
    ],
    ids=str,
)
def test_number_and_description_of_a_series_hold_nothing_of_a_person(tags, words, read):
    expected = words if words.startswith(("5", "1", "n", "t1")) else f"ax {words}"
    assert read(dicom(GRAY16, **tags)).facts["Series"] == expected


def test_each_series_of_a_study_has_its_own_facts(tmp_path):
    kinds = {
        "ax t1": ("T1", "no", {"ContrastBolusAgent": "NONE"}),
        "ax t1 post": ("T1", "yes", {}),
        "cor t2": ("T2", "not stated", {}),
        "sag flair": ("FLAIR", "not stated", {"BodyPartExamined": "BRAIN"}),
    }
    files, volume = [], marked_volume()[8:40, 2:34, :32]
    for number, (description, (_, _, tags)) in enumerate(kinds.items(), 1):
        plane = {"ax": "axial", "cor": "coronal", "sag": "sagittal"}[description.split()[0]]
        files += dicom_series(volume, plane, SeriesNumber=number, SeriesDescription=description, **tags)
    files.append(dicom(None, Modality="SR"))
    files += dicom_series(volume, SeriesNumber=9, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[15:18]
    found = list(read_uploads(write_all(tmp_path, files)))
    scans = sorted(
        (u for u in found if not getattr(u, "what", "") and not u.localizer), key=lambda u: u.facts["Series"]
    )
    assert [u.facts["Series"] for u in scans] == [f"{n}, {words}" for n, words in enumerate(kinds, 1)]
    assert [(u.facts["Sequence"], u.facts["Contrast agent"]) for u in scans] == [k[:2] for k in kinds.values()]
    cut = ["axial, cut from coronal slices", "axial, cut from sagittal slices"]
    assert [u.facts["Plane"] for u in scans] == ["axial", "axial", *cut] and {u.plane for u in scans} == {"axial"}
    assert [u.facts["Body part"] for u in scans] == ["not stated"] * 3 + ["brain"]
    (scout,) = [u for u in found if getattr(u, "localizer", False)]
    assert scout.facts["Sequence"] == "localizer" and [u.what for u in found if hasattr(u, "what")] == ["a report"]
