"""Several sets together: who is whose patient, what is in which part, and what each slice counts."""

import csv
import logging
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from brain_tumor.data import patients
from brain_tumor.data.copies import find_copies, thumbnails_of
from brain_tumor.data.dataset import DatasetError, counts_by_class, load_scans
from brain_tumor.data.patients import TABLE, picture_key
from brain_tumor.data.split import kinds, of_main_set, slice_weights, split_scans, whole_set
from brain_tumor.labels import LABELS, TUMOR
from tests.slices import write_slices

FOUR = dict.fromkeys(LABELS, 30)
SETS = (
    "brain-tumour-MRI-scan", "figshare", "brain-tumor-44-classes", "br35h-tumors", "glioma-t1ce-stripped",
    "brain-tumor-progression", "brisc-no-tumor", "nichart-healthy", "oasis-t1-stripped", "malf-t1-stripped",
    "multiple-sclerosis",
)  # fmt: skip


def write_metadata(folder: Path, rows: list[dict], encoding: str = "utf-8") -> None:
    with (folder / "metadata.csv").open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def number_patients(folder: Path, each: int = 3, prefix: str = "p", **columns: str) -> Path:
    """Give every so many slices of a folder a patient of their own, across classes."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    rows = [{"file_name": name, "patient_id": f"{prefix}{i // each}", **columns} for i, name in enumerate(files)]
    write_metadata(folder, rows)
    return folder


@pytest.fixture
def two_sets(slice_folder, tmp_path):
    """Four classes with patients in T1C+, and tumors of another set in T2, some of them copies of the first's."""
    first = number_patients(slice_folder(FOUR), sequence="T1C+", plane="axial", age="50")
    second = write_slices(tmp_path / "second", {"Schwannoma T2": 12, "Glioblastoma T2": 12, "Abscess T2": 2}, side=80)
    for number, path in enumerate(sorted((first / "glioma").glob("*.png"))[:4]):
        ImageOps.mirror(Image.open(path)).save(second / "Glioblastoma T2" / f"copy{number}.png")
    return first, second


# --- loading ----------------------------------------------------------------------------------------------------


def test_labels_come_from_the_folders_also_where_a_metadata_file_is_and_its_columns_are_kept(two_sets, caplog):
    scans = load_scans(two_sets)
    part = scans["train"]
    assert part.features["set"].names == [two_sets[0].name, "second"]
    assert counts_by_class(part) == {"glioma": 46, "meningioma": 30, "no_tumor": 30, "pituitary": 30, "tumor": 12}
    of = [dict(zip(("set", "sequence", "plane", "age"), values, strict=True)) for values in
          zip(part["set"], part["sequence"], part["plane"], part["age"], strict=True)]  # fmt: skip
    assert Counter(tuple(row.values()) for row in of) == {(0, "T1C+", "axial", "50"): 120, (1, "T2", "", ""): 28}
    assert "2 slices of Abscess T2 are left out" in caplog.text


def test_patients_of_two_sets_are_two_people_and_letters_of_one_number_are_one(slice_folder, tmp_path):
    first = number_patients(slice_folder(dict.fromkeys(LABELS, 3)))
    second = number_patients(write_slices(tmp_path / "second", dict.fromkeys(LABELS, 3), side=90))
    files = sorted(path.relative_to(first).as_posix() for path in first.rglob("*.png"))
    write_metadata(first, [{"file_name": f, "patient_id": "MR02478" + "BE"[i % 2]} for i, f in enumerate(files)])
    part = load_scans([first, second])["train"]
    assert {p.partition(":")[2] for p in part["patient"]} == {"MR02478", "p0", "p1", "p2", "p3"}
    assert len(set(part["patient"])) == 5


def test_a_metadata_file_deeper_down_is_about_its_own_folder(slice_folder):
    folder = slice_folder(dict.fromkeys(LABELS, 2))
    write_metadata(folder / "glioma", [{"file_name": "0000.png", "patient_id": "a"}], encoding="utf-8-sig")
    part = load_scans(folder)["train"]
    assert {s: p for s, p in zip(part["source"], part["patient"], strict=True) if p} == {
        "glioma/0000.png": f"{folder.name}:a"
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file_name;patient_id\nglioma/0000.png;a\n", "it has file_name;patient_id.*Part the columns by commas"),
        ("file_name,patient_id,patient_id\nglioma/0000.png,a,\n", "two columns patient_id. Keep one"),
        ("file_name,patient_id\nglioma/0000.png,a\nglioma/0000.png,b\n", "two things of glioma/0000.png. Keep one"),
        ("file_name,patient_id\nglioma/0000.png,a\nglioma\\0000.png,\n", "two things of glioma/0000.png. Keep one"),
    ],
)
def test_a_metadata_file_that_says_two_things_gets_a_sentence(text, sentence, slice_folder):
    folder = slice_folder({"glioma": 2})
    (folder / "metadata.csv").write_text(text)
    with pytest.raises(DatasetError, match=sentence):
        load_scans(folder)


def test_a_metadata_file_is_read_with_spaces_backslashes_and_any_spelling_of_sequences(slice_folder):
    folder = slice_folder({"glioma": 3})
    text = "file_name, patient_id ,sequence,diagnosis,copy_in_train,pixels\n"
    text += 'glioma\\0000.png,a,t1ce,"two\nlines",yes,1\nglioma/0001.png,b,T1 C+,,,\nglioma/0001.png,b,T1 C+,,,\n'
    (folder / "metadata.csv").write_text(text + "glioma/0002.png,c,Flair,,,\n,d,,,,\n")
    part = load_scans(folder)["train"]
    rows = {row["source"]: row for row in part}
    assert [rows[f"glioma/000{i}.png"]["patient"][-1] for i in range(3)] == ["a", "b", "c"]
    assert [rows[f"glioma/000{i}.png"]["sequence"] for i in range(3)] == ["T1C+", "T1C+", "FLAIR"]
    assert rows["glioma/0000.png"]["diagnosis"] == "two lines"
    assert not {"copy_in_train", "pixels"} & set(part.column_names)


def test_sets_of_which_no_slice_has_a_class_get_a_sentence(slice_folder):
    with pytest.raises(DatasetError, match="no slice is left"):
        load_scans(slice_folder({"Tuberculoma": 3}))


def test_a_metadata_file_that_is_no_table_gets_a_sentence(slice_folder):
    folder = slice_folder(dict.fromkeys(LABELS, 2))
    (folder / "metadata.csv").write_text("picture,patient_id\nglioma/0000.png,a\n")
    with pytest.raises(DatasetError, match="no column file_name.*picture, patient_id"):
        load_scans(folder)
    (folder / "metadata.csv").write_bytes("file_name,patient_id\nä,b\n".encode("utf-16"))
    with pytest.raises(DatasetError, match="Save it as CSV in UTF-8"):
        load_scans(folder)


def test_files_that_are_not_there_and_pictures_that_are_not_named_are_told(slice_folder, caplog):
    folder = slice_folder(dict.fromkeys(LABELS, 2))
    write_metadata(folder, [{"file_name": f"glioma/{n}", "patient_id": "a"} for n in ("0000.png", "gone.png")])
    load_scans(folder)
    assert "1 files of metadata.csv are not there, such as glioma/gone.png" in caplog.text
    assert "does not name 7 pictures" in caplog.text


def test_sets_are_found_in_the_root_by_the_last_part_of_a_hub_id_and_keep_that_name(slice_folder, tmp_path):
    shutil.copytree(slice_folder(dict.fromkeys(LABELS, 2)), tmp_path / "sets/scans")
    part = load_scans(["owner/scans"], tmp_path / "sets")["train"]
    assert part.features["set"].names == ["owner/scans"]
    with pytest.raises(DatasetError, match="--data_root .* is no folder"):
        load_scans(["owner/scans"], tmp_path / "nowhere")


def test_two_sets_of_one_name_are_refused(slice_folder, tmp_path):
    first = slice_folder(dict.fromkeys(LABELS, 2))
    shutil.copytree(first, tmp_path / "again" / first.name)
    with pytest.raises(DatasetError, match="Two of the sets are called"):
        load_scans([first, tmp_path / "again" / first.name])


def test_the_shipped_table_knows_a_slice_by_its_name_or_its_picture_and_leaves_out_what_contradicts_it(
    slice_folder, tmp_path, monkeypatch, caplog
):
    folder = slice_folder(dict.fromkeys(LABELS, 3))
    gray = Image.open(folder / "glioma/0001.png").convert("L").resize((32, 32), Image.Resampling.BILINEAR)
    lines = [
        ("file", "picture", "patient", "label"),
        ("0000.png", "x", "MR1B", "glioma"),
        ("z", picture_key(gray.tobytes()), "2", "glioma"),
        (sorted(path.name for path in (folder / "meningioma").iterdir())[0], "y", "3", "glioma"),
    ]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(map(",".join, lines)))
    monkeypatch.setattr("brain_tumor.data.patients.TABLE", table)
    monkeypatch.setattr("brain_tumor.data.patients._table", patients._table.__wrapped__)
    caplog.set_level(logging.INFO)
    part = load_scans(folder)["train"]
    known = {s: p for s, p in zip(part["source"], part["patient"], strict=True) if p}
    assert known == {"glioma/0000.png": "figshare:MR1", "glioma/0001.png": "figshare:2"}
    assert part.num_rows == 11 and f"meningioma/{lines[3][0]} (glioma)" in caplog.text
    assert {q for s, q in zip(part["source"], part["sequence"], strict=True) if s in known} == {"T1C+"}
    assert "the patient is known for 2 of 11 slices" in caplog.text


def test_the_shipped_table_has_one_line_for_each_slice():
    with TABLE.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row["file"] for row in rows}) == 3695 + 1828
    assert {row["label"] for row in rows} == set(LABELS) - {"no_tumor"}


# --- parts ------------------------------------------------------------------------------------------------------


def test_no_patient_and_no_copy_is_in_two_parts_within_a_set_or_across_sets(two_sets):
    parts = split_scans(load_scans(two_sets), "patients", 1)
    assert sum(part.num_rows for part in parts.values()) == 148
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not (set(parts[one]["patient"]) & set(parts[other]["patient"])) - {""}
        assert len(find_copies(thumbnails_of(parts[one]), thumbnails_of(parts[other]))) == 0


def test_patients_link_what_copies_do_not(two_sets):
    rows = whole_set(load_scans(two_sets))
    group_of = {}
    for patient, group in zip(rows["patient"], rows["group"], strict=True):
        if patient:
            assert group_of.setdefault(patient, group) == group
    # 120 slices of 40 patients; the second set's copies join theirs, its 24 others stay alone.
    assert len(set(rows["group"])) == 40 + 24


def test_published_parts_are_the_main_sets_and_other_sets_follow_their_groups(slice_folder, tmp_path):
    main = slice_folder({f"{p}/{c}": n for p, n in (("Training", 30), ("Testing", 8)) for c in LABELS})
    other = write_slices(tmp_path / "other", {"tumor": 30}, side=90)
    for number, path in enumerate(sorted((main / "Testing/glioma").iterdir())):
        ImageOps.flip(Image.open(path)).save(other / "tumor" / f"copy{number}.png")
    parts = split_scans(load_scans([main, other]), "published", 0)
    assert sum(number == 0 for number in parts["test"]["set"]) == 32
    for row in parts["train"]:
        assert "copy" not in row["source"]


def test_what_is_held_out_is_the_test_part_and_its_patients_and_copies_train_nothing(two_sets, tmp_path):
    scans = load_scans(two_sets)
    parts = split_scans(scans, "patients", 0, ["second"])
    assert set(parts["test"]["set"]) == {1} and parts["test"].num_rows == 28
    rest = [row["source"] for name in ("train", "validation") for row in parts[name]]
    # Four gliomas of the first set have copies in the second; with their patients' other slices they are left out.
    assert len(rest) == 120 - 6 and len(find_copies(thumbnails_of(parts["train"]), thumbnails_of(parts["test"]))) == 0
    chosen = tmp_path / "some.csv"
    first, second = sorted(path.name for path in (two_sets[0] / "pituitary").iterdir())[:2]  # of one patient
    chosen.write_text(f"set,source\n{two_sets[0].name},pituitary/{first}\n")
    parts = split_scans(scans, "patients", 0, [str(chosen)])
    assert parts["test"]["source"] == [f"pituitary/{first}"]
    assert f"pituitary/{second}" not in [row["source"] for name in ("train", "validation") for row in parts[name]]
    with pytest.raises(DatasetError, match="--hold_out third is neither one of the sets"):
        split_scans(scans, "patients", 0, ["third"])
    by_path = split_scans(scans, "patients", 0, [str(two_sets[1])])
    assert by_path["test"]["source"] == split_scans(scans, "patients", 0, ["second"])["test"]["source"]
    with pytest.raises(DatasetError, match="--hold_out of less is needed"):
        split_scans(scans, "patients", 0, [two_sets[0].name])


def test_of_published_parts_no_copy_of_validation_trains_where_another_set_is_held_out(slice_folder, tmp_path):
    """The test part holds a copy of every glioma of train: once another set is the test part, it must not train."""
    main = slice_folder({f"{p}/{c}": n for p, n in (("Training", 30), ("Testing", 8)) for c in LABELS})
    for path in sorted((main / "Training/glioma").iterdir()):
        ImageOps.flip(Image.open(path)).save(main / "Testing/glioma" / f"copy_{path.name}")
    other = write_slices(tmp_path / "other", {"tumor": 12}, side=90)
    parts = split_scans(load_scans([main, other]), "published", 0, ["other"])
    assert set(parts["test"]["set"]) == {1} and parts["test"].num_rows == 12
    assert parts["train"].num_rows + parts["validation"].num_rows == 120
    assert not set(parts["train"]["group"]) & set(parts["validation"]["group"])


def test_a_contradiction_between_copies_is_told(slice_folder, caplog):
    folder = slice_folder(FOUR)
    Image.open(folder / "glioma/0003.png").rotate(90).save(folder / "no_tumor/odd.png")
    (folder / "tumor").mkdir()
    Image.open(folder / "glioma/0004.png").rotate(90).save(folder / "tumor/fine.png")
    split_scans(load_scans(folder), "patients", 0)
    (message,) = [record.message for record in caplog.records if "exclude each other" in record.message]
    assert message.startswith("1 pairs of copies") and "glioma/0003.png (glioma)" in message and "odd.png" in message


# --- what a slice counts ----------------------------------------------------------------------------------------


def test_slices_of_a_class_set_and_sequence_weigh_the_root_of_their_number_together(two_sets):
    part = load_scans(two_sets)["train"]
    weights, of_kind, labels = slice_weights(part), kinds(part), np.array(part["label"])
    assert weights.mean() == pytest.approx(1)
    sums = {
        (kind, label): weights[(of_kind == kind) & (labels == label)].sum()
        for kind, label in {*zip(of_kind.tolist(), labels.tolist(), strict=True)}
    }
    assert len(sums) == 6
    assert sums["second, T2", TUMOR] / sums["second, T2", 0] == pytest.approx(np.sqrt(12 / 16))
    assert sums["second, T2", 0] / sums[f"{two_sets[0].name}, T1C+", 0] == pytest.approx(np.sqrt(16 / 30))


def test_the_main_set_is_the_first_and_its_known_classes(two_sets):
    part = load_scans(two_sets)["train"]
    assert of_main_set(part).tolist() == [i for i, number in enumerate(part["set"]) if number == 0]
    other = part.select([i for i, number in enumerate(part["set"]) if number == 1])
    assert set(np.array(other["label"])[of_main_set(other)]) == {0}


# --- the public sets --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.data
def test_the_sets_together_have_the_patients_that_were_reported_of_them_and_none_is_in_two_parts(shared, caplog):
    caplog.set_level(logging.INFO)
    scans = load_scans(SETS, shared / "data")
    parts = split_scans(scans, "patients", 42)
    assert sum(part.num_rows for part in parts.values()) == 14_104
    assert "brain-tumour-MRI-scan: the patient is known for 3694 of 5967 slices" in caplog.text
    groups = [set(part["group"]) for part in parts.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))
    patients = [set(part["patient"]) - {""} for part in parts.values()]
    assert sum(map(len, patients)) == len(set.union(*patients))
    assert "3 pairs of copies have labels that exclude each other" in caplog.text
    total = Counter(number for part in parts.values() for number in part["set"])
    for number, count in total.items():
        if count > 500:
            share = sum(n == number for n in parts["test"]["set"]) / count
            assert 0.15 < share < 0.27, (SETS[number], share)


@pytest.mark.slow
@pytest.mark.data
def test_parts_do_not_depend_on_the_names_of_the_sets_or_on_the_order_of_those_beside_the_main_one(shared):
    named = split_scans(load_scans(SETS, shared / "data"), "patients", 42)
    other_names = ("Simezu/brain-tumour-MRI-scan", *reversed(SETS[1:]))
    renamed = split_scans(load_scans(other_names, shared / "data"), "patients", 42)
    assert {name: part["sha256"] for name, part in named.items()} == {n: p["sha256"] for n, p in renamed.items()}
