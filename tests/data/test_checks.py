"""What cannot be split is refused with a sentence, before the slices are opened where that is known then."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset

from brain_tumor.data import dataset
from brain_tumor.data import split as splitting
from brain_tumor.data.checks import check_split
from brain_tumor.data.dataset import DatasetError, load_scans
from brain_tumor.data.sets import find_scans
from brain_tumor.data.split import split_scans
from brain_tumor.labels import LABELS
from tests.slices import draw_slice

CLASS_OF = np.repeat(np.arange(4), 30)


def rows(sequences: int = 1) -> Dataset:
    """Thirty slices of each class, in so many sequences."""
    columns = {
        "label": CLASS_OF,
        "sequence": [f"T{number % sequences}" for number in range(120)],
        "sha256": [f"{number:064x}" for number in range(120)],
    }
    return Dataset.from_dict(columns).add_column("set", [0] * 120, feature=ClassLabel(names=["one"]))


@pytest.mark.parametrize("patients", [1, 2, 3, 5, 8, 12, 24, 30])
def test_few_groups_are_split_or_refused_with_a_sentence(patients):
    """Of each class so many patients: too few for three parts, fewer than folds, or enough."""
    groups = 100 * CLASS_OF + np.tile(np.arange(30) % patients, 4)
    if patients < 3:
        with pytest.raises(DatasetError, match="no pictures of glioma, all of which are in . groups of patients"):
            splitting._patient_parts(rows(), groups, 0)
        return
    part = splitting._patient_parts(rows(), groups, 0)
    assert all(len(set(part[groups == group])) == 1 for group in np.unique(groups))
    if patients >= 12:
        for name in ("train", "validation", "test"):
            assert (np.bincount(CLASS_OF[part == name], minlength=4) > 0).all()


def test_few_patients_in_a_folder_are_refused_and_published_parts_are_taken_all_the_same(slice_folder):
    folder = slice_folder({f"{part}/{label}": 15 for part in ("train", "test") for label in LABELS})
    lines = [f"{p.relative_to(folder).as_posix()},{p.parts[-3]}{int(p.stem) % 2}" for p in folder.rglob("*.png")]
    (folder / "metadata.csv").write_text("\n".join(["file_name,patient_id", *lines]))
    scans = load_scans(folder)
    with pytest.raises(DatasetError, match="The .* part of the patients split has no pictures|Too few patients"):
        split_scans(scans, "patients", 0)
    (folder / "validation").mkdir()
    for label in LABELS:
        (folder / "test" / label).rename(folder / "validation" / label)
        (folder / "test" / label).mkdir()
        draw_slice(700, label).save(folder / "test" / label / "one.png")
    parts = split_scans(load_scans(folder), "published", 0)
    assert {name: part.num_rows for name, part in parts.items()} == {"train": 60, "validation": 60, "test": 4}


def test_many_sequences_with_few_slices_each_are_split_by_class():
    part = splitting._patient_parts(rows(sequences=10), np.arange(120), 0)
    for name, share in {"train": 0.68, "validation": 0.12, "test": 0.2}.items():
        assert np.mean(part == name) == pytest.approx(share, abs=0.05)


@pytest.fixture
def unopened(monkeypatch):
    """Opening a picture fails the test."""

    def fail(*_):
        raise AssertionError("a picture was opened")

    monkeypatch.setattr(dataset, "open_scan", fail)


@pytest.mark.parametrize(
    ("layout", "how", "hold_out", "sentence"),
    [
        (dict.fromkeys(LABELS[:3], 2), "patients", [], "no pictures of the class pituitary. Found glioma"),
        (dict.fromkeys(LABELS, 2), "published", [], "The main set has no test part of its own. Use --split patients."),
        (dict.fromkeys(LABELS, 2), "patients", ["nothing"], "--hold_out nothing is neither one of the sets"),
        (
            dict.fromkeys(LABELS, 2),
            "patients",
            ["{folder}/other.csv"],
            "nor a CSV file with the columns set and source",
        ),
        (dict.fromkeys(LABELS, 2), "patients", ["{folder}/glioma/0000.png"], "cannot be read ("),
    ],
)
def test_what_is_known_to_fail_is_said_before_a_picture_is_opened(
    layout, how, hold_out, sentence, slice_folder, unopened
):
    folder = slice_folder(layout)
    (folder / "other.csv").write_text("set,source\nanother,glioma/0000.png\n")
    found = find_scans(folder)
    with pytest.raises(DatasetError) as refused:
        check_split(found, how, [what.format(folder=folder) for what in hold_out])
    assert sentence in str(refused.value)


def test_what_can_be_split_passes_and_slices_that_are_not_there_are_told(slice_folder, caplog):
    folder = slice_folder(dict.fromkeys(LABELS, 40))
    (folder / "some.csv").write_text(f"set,source\n{folder.name},glioma/0000.png\n{folder.name},glioma/none.png\n")
    check_split(find_scans(folder), "patients", [folder.name, str(folder / "some.csv")])
    parts = split_scans(load_scans(folder), "patients", 0, [str(folder / "some.csv")])
    assert parts["test"]["source"] == ["glioma/0000.png"]
    assert f"1 slices are not there, such as {folder.name}/glioma/none.png" in caplog.text
