"""A set whose slices show a tumor of unknown type: how it is loaded, and split by groups of copies."""

import shutil
from collections import Counter

import pytest

from brain_tumor.data.copies import find_copies, thumbnails_of
from brain_tumor.data.dataset import DatasetError, load_scans
from brain_tumor.data.split import split_scans, with_weak_slices
from brain_tumor.labels import TUMOR
from tests.slices import draw_slice

FOUR = {"glioma": 30, "meningioma": 30, "no_tumor": 30, "pituitary": 30}


@pytest.fixture(scope="module")
def weak_folder(tmp_path_factory):
    """24 different tumors, each twice."""
    folder = tmp_path_factory.mktemp("weak")
    (folder / "tumor").mkdir()
    for number in range(24):
        for copy in "ab":
            draw_slice(1000 + number, "glioma", 90 if copy == "a" else 120).save(folder / f"tumor/{number}{copy}.png")
    return folder


@pytest.mark.parametrize("name", ["tumor", "1-Tumor", "yes"])
def test_a_folder_of_tumors_of_unknown_type_loads_when_it_is_asked_for(name, weak_folder, tmp_path):
    shutil.copytree(weak_folder / "tumor", tmp_path / name)
    scans = load_scans(tmp_path, weak=True)
    assert set(scans["train"]["label"]) == {TUMOR}
    assert scans["train"].num_rows == 48


@pytest.mark.parametrize("counts", [{"glioma": 3}, {"tumor": 3, "no_tumor": 3}])
def test_any_other_class_in_such_a_set_is_refused_by_name(counts, slice_folder):
    with pytest.raises(DatasetError, match="expected one class folder called tumor") as refusal:
        load_scans(slice_folder(counts), weak=True)
    assert all(name in str(refusal.value) for name in counts)


def test_the_main_parts_do_not_change_with_a_weak_set_beside_them(slice_folder, weak_folder):
    main, weak = load_scans(slice_folder(FOUR)), load_scans(weak_folder, weak=True)
    alone, beside = split_scans(main, "copy_free", 1), split_scans(main, "copy_free", 1, weak)
    assert list(beside) == [*alone, "tumor_train", "tumor_validation", "tumor_test"]
    for name in alone:
        assert alone[name]["sha256"] == beside[name]["sha256"]


def test_copies_of_a_weak_slice_stay_in_one_part_and_a_quarter_of_the_groups_is_kept_for_test(
    slice_folder, weak_folder
):
    parts = split_scans(load_scans(slice_folder(FOUR)), "copy_free", 1, load_scans(weak_folder, weak=True))
    groups = {name: set(part["group"]) for name, part in parts.items()}
    assert sum(len(groups[f"tumor_{name}"]) for name in ("train", "validation", "test")) == 24
    for name in parts:
        for other in parts:
            assert name == other or not groups[name] & groups[other]
    assert 5 <= len(groups["tumor_test"]) <= 10
    assert all(Counter(parts[name]["group"])[group] == 2 for name in list(parts)[3:] for group in groups[name])


def test_a_weak_slice_that_is_a_copy_of_a_test_slice_trains_nothing(slice_folder, weak_folder, tmp_path):
    folder = slice_folder(FOUR)
    main = load_scans(folder)
    test = split_scans(main, "copy_free", 1)["test"]
    shutil.copytree(weak_folder, tmp_path / "weak")
    for source in test["source"]:
        shutil.copy(folder / source, tmp_path / "weak/tumor" / source.replace("/", "_"))
    parts = split_scans(main, "copy_free", 1, load_scans(tmp_path / "weak", weak=True))
    assert len(find_copies(thumbnails_of(parts["tumor_train"]), thumbnails_of(parts["test"]))) == 0
    assert len(find_copies(thumbnails_of(parts["tumor_test"]), thumbnails_of(parts["test"]))) >= test.num_rows


def test_weak_slices_are_trained_on_as_often_as_asked_for_beside_the_others(slice_folder, weak_folder):
    parts = split_scans(load_scans(slice_folder(FOUR)), "copy_free", 1, load_scans(weak_folder, weak=True))
    parts = {name: part.add_column("pixels", [name.encode()] * part.num_rows) for name, part in parts.items()}
    together = with_weak_slices(parts, "train", repeats=3)
    assert Counter(together["pixels"]) == {
        b"train": parts["train"].num_rows,
        b"tumor_train": 3 * parts["tumor_train"].num_rows,
    }
    assert together["label"][-1] == TUMOR
    assert with_weak_slices({"train": parts["train"]}, "train", repeats=3).num_rows == parts["train"].num_rows


def test_too_few_weak_slices_are_an_error_with_the_number_that_is_needed(slice_folder):
    main, weak = load_scans(slice_folder(FOUR)), load_scans(slice_folder({"tumor": 5}), weak=True)
    with pytest.raises(DatasetError, match="5 groups of copies, and at least 20"):
        split_scans(main, "copy_free", 1, weak)


@pytest.mark.slow
@pytest.mark.data
def test_the_published_weak_set_has_the_groups_that_were_reported_of_it_and_none_is_in_the_main_set(public_set, shared):
    main, weak = public_set("brain-tumour-MRI-scan").scans, load_scans(shared / "data/br35h-tumors", weak=True)
    parts = split_scans(main, "copy_free", 42, weak)
    names = ("tumor_train", "tumor_validation", "tumor_test")
    assert sum(parts[name].num_rows for name in names) == 344
    assert 68 <= sum(len(set(parts[name]["group"])) for name in names) <= 74
    assert len(set(parts["tumor_test"]["group"])) >= 17
