"""What in a folder is a picture is told by content, and of all else there is a line that counts it."""

import io
import logging
import os

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from brain_tumor.data.dataset import DatasetError, counts_by_class, load_scans
from brain_tumor.data.pixels import open_picture
from brain_tumor.data.split import split_scans
from brain_tumor.labels import LABELS
from brain_tumor.reading.pictures import ScanError
from tests.data.test_dataset import counts_from_hub
from tests.hub_stand_in import HubStandIn
from tests.scan_files import dicom, nifti, zip_files
from tests.slices import draw_slice, write_slices

TWO = dict.fromkeys(LABELS, 2)


def load(folder, caplog) -> tuple[dict[str, int], str]:
    """Label -> number of slices, and what was said of those left out."""
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        counts = counts_by_class(load_scans(folder)["train"])
    return counts, "\n".join(m for m in caplog.messages if "left out" in m)


def encoded(number: int, format: str) -> bytes:
    out = io.BytesIO()
    draw_slice(number).save(out, format)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.jfif", "JPEG"), ("b.jpe", "JPEG"), ("c.JPG_original", "JPEG"), ("no ending", "PNG"), ("IM0001", "TIFF"),
     ("d.nii", "PNG"), ("e.dcm", "PNG"), ("1.2.840.113", "WEBP"), ("f.txt", "GIF"), ("g.dat", "BMP")],
)  # fmt: skip
def test_a_picture_is_read_whatever_it_is_called(name, format, slice_folder, caplog):
    folder = slice_folder(TWO)
    (folder / "glioma" / name).write_bytes(encoded(900, format))
    assert load(folder, caplog) == (TWO | {"glioma": 3}, "")


def test_all_else_is_counted_by_kind_with_an_example_and_what_to_do(slice_folder, caplog):
    folder = slice_folder(TWO)
    others = {
        "glioma/a.nii": nifti(),
        "glioma/b": nifti(),
        "glioma/c.nii.gz": nifti(packed=True),
        "pituitary/d.zip": zip_files({"x": b"x"}),
        "pituitary/e.pdf": b"%PDF-1.4",
        "f": bytes(range(128, 256)),
        "LICENSE": b"Free.",
        "g": b"",
        ".DS_Store": b"Bud1",
        "no_tumor/h.parquet": b"PAR1",
    }
    for name, data in others.items():
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "glioma/pipe")
    (folder / "glioma/nowhere").symlink_to(folder / "missing")
    (folder / "glioma/loop").symlink_to(folder)
    counts, said = load(folder, caplog)
    assert counts == TWO
    assert f"{folder}: 13 files or folders are left out: " in said
    for part in (
        "2 NIfTI, such as glioma/a.nii", "1 .gz file, such as glioma/c.nii.gz", "1 zip, such as pituitary/d.zip",
        "1 PDF, such as pituitary/e.pdf", "1 of an unknown kind, such as f", "1 text, such as LICENSE",
        "1 empty file, such as g", "1 hidden, such as .DS_Store", "1 parquet, such as no_tumor/h.parquet",
        "1 named pipe, socket or device, such as glioma/pipe", "1 broken link, such as glioma/nowhere",
        "1 link to what is read under another name, such as glioma/loop",
        "Of a volume, save the slices that show what their folder says as pictures.", "Unpack a zip.",
    ):  # fmt: skip
        assert part in said, part


def test_a_set_of_pictures_alone_is_loaded_without_such_a_line(slice_folder, caplog):
    folder = slice_folder(TWO)
    (folder / "metadata.csv").write_text("file_name,plane\nglioma/0000.png,axial\n")
    assert load(folder, caplog)[1] == ""


def test_a_name_that_is_no_text_is_told_and_the_others_are_read(slice_folder, caplog):
    folder = slice_folder(TWO)
    with open(os.path.join(os.fsencode(folder), b"glioma", b"\xff.png"), "wb") as file:
        file.write(encoded(900, "PNG"))
    counts, said = load(folder, caplog)
    assert counts == TWO and "1 whose name is no UTF-8, such as glioma/?.png" in said


def test_pages_behind_the_first_are_told(slice_folder, caplog):
    folder = slice_folder(TWO)
    for name, format in (("pages.tif", "TIFF"), ("moving.gif", "GIF"), ("moving.webp", "WEBP")):
        first, *more = (draw_slice(900 + n) for n in range(3))
        first.save(folder / "glioma" / name, format, save_all=True, append_images=more)
    draw_slice(950).save(folder / "glioma/one page.tif")
    counts, said = load(folder, caplog)
    assert counts == TWO | {"glioma": 6}
    assert "3 files hold several pages or frames, such as glioma/moving.gif. The first of each is read" in said


# --- links and loops --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["", "glioma", ".."])
def test_a_link_to_a_folder_above_or_beside_counts_no_picture_twice(target, slice_folder, caplog):
    folder = slice_folder(TWO)
    (folder / "pituitary/link").symlink_to(folder / target)
    counts, said = load(folder, caplog)
    assert counts == TWO and "1 link to what is read under another name, such as pituitary/link" in said


def test_copies_in_the_cache_of_the_hub_stay_as_many_as_the_set_has(tmp_path):
    folder = write_slices(tmp_path / "set", {f"{part}/{c}": 1 for part in ("train", "test") for c in LABELS})
    again = folder / "test/glioma/again.png"
    again.write_bytes((folder / "train/glioma/0000.png").read_bytes())
    (folder / "train/glioma/scan.jfif").write_bytes(encoded(900, "JPEG"))
    (folder / "train/glioma/no ending").write_bytes(encoded(901, "JPEG"))
    (folder / "train/glioma/volume.nii").write_bytes(nifti())
    with HubStandIn() as hub:
        hub.seed("somebody/scans", folder)
        assert counts_from_hub(hub, "somebody/scans", tmp_path) == {"train": [3, 1, 1, 1], "test": [2, 1, 1, 1]}
        assert not [request for request in hub.requests if "volume.nii" in request.path]


# --- DICOM ------------------------------------------------------------------------------------------------------


def expected_gray(data: bytes) -> np.ndarray:
    """The slice as pydicom itself shows it, by its own window."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    low, high = values.min(), values.max()
    return (values - low) / (high - low) * 255


def head(number: int) -> np.ndarray:
    return np.asarray(draw_slice(number, side=96), np.uint16) * 12


def test_a_dicom_file_of_one_slice_is_read_by_its_own_window(slice_folder, caplog):
    folder = slice_folder(TWO)
    data = dicom(head(900), WindowCenter=1200, WindowWidth=1800, RescaleSlope=2, RescaleIntercept=-300)
    (folder / "glioma/IM0001").write_bytes(data)
    counts, said = load(folder, caplog)
    assert counts == TWO | {"glioma": 3} and said == ""
    (row,) = (row for row in load_scans(folder)["train"] if row["source"] == "glioma/IM0001")
    gray = np.asarray(open_picture(row["image"]).convert("L"), float)
    assert np.abs(gray - expected_gray(data)).max() < 2


def test_dicom_files_of_one_patient_stay_in_one_part(tmp_path):
    """Told by PatientID, or where that is empty by the study; a metadata.csv goes first."""
    for label_number, label in enumerate(LABELS):
        (tmp_path / label).mkdir()
        for number in range(40):
            patient = number // 4
            tags = (
                {"PatientID": f"MUSTERMANN {label} {patient}"}
                if patient % 2
                else {"StudyInstanceUID": f"1.2.{label_number}.{patient}"}
            )
            (tmp_path / label / f"{number:02d}.dcm").write_bytes(dicom(head(1000 * label_number + number), **tags))
    (tmp_path / "metadata.csv").write_text("file_name,patient_id\nglioma/00.dcm,named\nmeningioma/39.dcm,named\n")
    scans = load_scans(tmp_path)
    patients = dict(zip(scans["train"]["source"], scans["train"]["patient"], strict=True))
    assert len({patients[f"glioma/{number:02d}.dcm"] for number in range(4, 8)}) == 1
    assert len(set(patients.values())) == 41
    assert patients["glioma/00.dcm"] == patients["meningioma/39.dcm"] != patients["glioma/01.dcm"]
    assert "MUSTERMANN" not in "".join(patients.values())
    parts = split_scans(scans, "patients", 0)
    in_parts = [set(part["patient"]) for part in parts.values()]
    assert sum(map(len, in_parts)) == 41


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (dicom(np.stack([head(1), head(2)])), "holds several slices"),
        (dicom(None, Modality="SR"), "holds a report and no picture"),
        (dicom(head(1))[:3000], "."),
    ],
)
def test_a_dicom_file_that_is_not_one_slice_is_a_picture_that_cannot_be_opened(data, reason, slice_folder):
    folder = slice_folder(TWO)
    (folder / "glioma/IM0001").write_bytes(data)
    with pytest.raises(DatasetError, match="1 of 9 pictures cannot be opened") as refused:
        load_scans(folder)
    assert reason in str(refused.value) and "glioma/IM0001" in str(refused.value)
    with pytest.raises(ScanError):
        open_picture({"bytes": None, "path": str(folder / "glioma/IM0001")})


def test_the_index_of_a_disc_is_left_out(slice_folder, caplog):
    folder = slice_folder(TWO)
    (folder / "DICOMDIR").write_bytes(dicom(None, SOPClassUID="1.2.840.10008.1.3.10"))
    counts, said = load(folder, caplog)
    assert counts == TWO and "1 index of a disc (DICOMDIR), such as DICOMDIR" in said
