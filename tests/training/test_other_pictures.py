"""Real pictures that are no brain MRI: part of their cases fits the check of uploads, the others test it."""

import logging

import numpy as np
import pytest
from PIL import Image

from brain_tumor.data.dataset import load_scans
from brain_tumor.data.errors import DatasetError
from brain_tumor.data.split import whole_set
from brain_tumor.labels import LABELS
from brain_tumor.training.other_pictures import OtherPicture, familiarity_figures, find_other_pictures
from tests.scan_files import dicom


@pytest.fixture
def pictures(tmp_path):
    """spine/ with 40 pictures of 20 cases, and ct/ whose cases nobody knows."""
    lines = ["file,case"]
    for number in range(40):
        path = tmp_path / "pictures/spine" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (32, 32), number).save(path)
        lines.append(f"spine/{path.name},case{number // 2}")
    (tmp_path / "pictures/ct").mkdir()
    Image.new("L", (32, 32)).save(tmp_path / "pictures/ct/0.png")
    (tmp_path / "pictures/cases.csv").write_text("\n".join([*lines, "ct/0.png,"]))
    return tmp_path / "pictures"


def test_a_case_is_never_in_both_halves_and_what_has_none_fits(pictures):
    fit, test = find_other_pictures(["spine", "ct"], pictures)
    assert len(fit) + len(test) == 41 and {p.case for p in fit}.isdisjoint({p.case for p in test})
    assert 16 <= len(fit) <= 36 and {p.kind for p in test} == {"spine"}
    assert (fit, test) == find_other_pictures([str(pictures / "spine"), str(pictures / "ct")]), "and always the same"


def test_without_a_table_of_cases_each_picture_is_one(pictures):
    (pictures / "cases.csv").unlink()
    fit, test = find_other_pictures(["spine"], pictures)
    assert {p.case for p in [*fit, *test]} == {f"{number}.png" for number in range(40)}


def test_a_folder_without_pictures_gets_a_sentence(pictures):
    with pytest.raises(DatasetError, match="--other_pictures nowhere is no folder that holds pictures"):
        find_other_pictures(["nowhere"], pictures)
    assert find_other_pictures([]) == ([], [])


def test_a_picture_is_known_by_its_content_and_what_cannot_be_read_is_told_before_a_training(pictures, caplog):
    Image.new("L", (40, 40)).save(pictures / "ct/no ending", "JPEG")
    (pictures / "ct/slice").write_bytes(dicom())
    (pictures / "ct/cut.png").write_bytes(b"cut")
    (pictures / "ct/notes").write_text("text")
    (pictures / "ct/loop").symlink_to(pictures)
    with caplog.at_level(logging.WARNING):
        fit, test = find_other_pictures(["ct"], pictures)
    assert sorted(p.path.name for p in [*fit, *test]) == ["0.png", "no ending", "slice"]
    assert all(p.open().mode == "RGB" for p in [*fit, *test])
    assert "1 text, such as notes" in caplog.text and "cut.png is left out: This file is not a picture" in caplog.text


@pytest.mark.parametrize("content", [b"name,case\nx,y\n", b"\xff\xfe\x00", b"file\nx\n"])
def test_a_table_of_cases_that_cannot_be_read_gets_a_sentence(content, pictures):
    (pictures / "cases.csv").write_bytes(content)
    with pytest.raises(DatasetError, match="cases.csv cannot be read as a table with the columns file and case"):
        find_other_pictures(["spine"], pictures)


def test_the_check_is_counted_by_set_and_by_kind(slice_folder, pictures):
    folder = slice_folder(dict.fromkeys(LABELS, 2))
    test = whole_set(load_scans(folder))
    others = [OtherPicture(pictures / "spine" / f"{n}.png", "spine", f"case{n // 2}") for n in range(4)]

    class Stub:
        """Knows what is larger than 32 px."""

        def is_familiar(self, sides, _):
            return sides > 32

    def measure(images, bar):
        sides = np.array([image.width for image in images])
        return sides, sides

    slices, spine = familiarity_figures(Stub(), measure, test, others)
    assert (slices["name"], slices["value"]) == (f"{folder.name}: slices turned away", 0.0)
    assert (spine["name"], spine["value"]) == ("spine: caught", 1.0)
    assert spine["note"].startswith("4 pictures") and 0 < spine["interval"][0] < 1
    assert len(familiarity_figures(Stub(), measure, test, [])) == 1
