"""Folders and Hub data sets of every layout become parts with the same four classes, or a sentence says why not."""

import hashlib
import io
import json
import logging
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Sequence, Value
from PIL import Image as PillowImage

from brain_tumor.data import dataset
from brain_tumor.data.dataset import DatasetError, counts_by_class, load_scans
from brain_tumor.data.pixels import open_picture
from brain_tumor.labels import LABELS, canonical_label
from brain_tumor.reading.pictures import ScanError, open_scan
from tests.hub_stand_in import HubStandIn
from tests.slices import draw_slice, write_slices

ROOT = Path(__file__).parents[2]
FOUR = {"glioma": 2, "meningioma": 3, "no_tumor": 2, "pituitary": 4}
LAYOUTS = {  # name -> (class folder -> number of pictures, expected part -> counts)
    "sartajbhuvaji": (
        {
            "Training/glioma_tumor": 3, "Training/meningioma_tumor": 4, "Training/no_tumor": 2,
            "Training/pituitary_tumor": 5, "Testing/glioma_tumor": 1, "Testing/meningioma_tumor": 2,
            "Testing/no_tumor": 3, "Testing/pituitary_tumor": 1,
        },
        {"train": [3, 4, 2, 5], "test": [1, 2, 3, 1]},
    ),
    "Simezu": (
        {
            "Training/1-notumor": 4, "Training/2-glioma": 1, "Training/3-meningioma": 2, "Training/4-pituitary": 3,
            "Testing/1-notumor": 1, "Testing/2-glioma": 2, "Testing/3-meningioma": 1, "Testing/4-pituitary": 2,
        },
        {"train": [1, 2, 4, 3], "test": [2, 1, 1, 2]},
    ),
    "PranomVignesh": (
        {
            f"timri/{split}/{c}": n
            for split, counts in {"train": (2, 3, 4, 5), "valid": (1, 2, 1, 1), "test": (1, 1, 2, 1)}.items()
            for c, n in zip(("glioma", "meningioma", "no-tumor", "pituitary"), counts, strict=True)
        },
        {"train": [2, 3, 4, 5], "validation": [1, 2, 1, 1], "test": [1, 1, 2, 1]},
    ),
    "class folders alone": (
        {"Glioma": 2, "Meningioma": 1, "Normal": 3, "Pituitary Tumor": 2},
        {"train": [2, 1, 3, 2]},
    ),
    "short names, deep down": (
        {f"data/set/{split}/{c}": 2 for split in ("val", "train") for c in ("no", "glioma", "meningioma", "pituitary")},
        {"train": [2, 2, 2, 2], "validation": [2, 2, 2, 2]},
    ),
}  # fmt: skip


def by_part(scans) -> dict[str, list[int]]:
    return {name: list(counts_by_class(part).values()) for name, part in scans.items()}


def parquet(folder, splits, features):
    """Write splits as the Hub stores them: data/<split>-00000-of-00001.parquet."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        Dataset.from_dict(rows, features=features).to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
    return folder


def picture_bytes(number: int, class_name: str) -> dict:
    out = io.BytesIO()
    draw_slice(number, class_name).save(out, format="JPEG")
    return {"bytes": out.getvalue(), "path": f"image({number}).jpg"}


def rows_of(names, counts, image="image", label="label", strings=False) -> dict:
    """Columns of a split that has so many pictures of each class."""
    numbers = [i for i, count in enumerate(counts) for _ in range(count)]
    pictures = [picture_bytes(100 * sum(counts) + position, names[i]) for position, i in enumerate(numbers)]
    return {image: pictures, label: [names[i] for i in numbers] if strings else numbers}


# --- layouts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_of_a_public_layout_loads_with_no_option(layout, slice_folder):
    counts, expected = LAYOUTS[layout]
    folder = slice_folder(counts, suffix=".jpg")
    scans = load_scans(folder)
    assert by_part(scans) == expected
    for part in scans.values():
        assert part.features["label"].names == [*LABELS, "tumor"]
        for row in part:
            assert canonical_label(row["source"].split("/")[-2]) == LABELS[row["label"]]
            assert (folder / row["source"]).is_file()


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "parts"),
    [("brain-tumour-MRI-scan", {"Training": "train", "Testing": "test"}),
     ("labeled-mri-brain-tumor", {"train": "train", "valid": "validation", "test": "test"})],
)  # fmt: skip
def test_the_public_sets_load_whole_with_the_counts_of_their_folders(name, parts, public_set, shared):
    scans = public_set(name).scans
    assert list(scans) == sorted(parts.values(), key=dataset.SPLITS.index)
    for folder_name, part in parts.items():
        found = Counter()
        for folder in (shared / "data" / name / folder_name).iterdir():
            found[canonical_label(folder.name)] += len(list(folder.iterdir()))
        left_out = {"pituitary": sum(found.values()) - scans[part].num_rows}
        assert counts_by_class(scans[part]) == {name: n - left_out.get(name, 0) for name, n in found.items()}
    # Without the slices that contradict the source that they are from: one of the first set, two of the second.
    assert sum(part.num_rows for part in scans.values()) == {"b": 5967, "l": 2441}[name[0]]


@pytest.mark.parametrize("image", ["image", "img"])
def test_parquet_files_of_a_hub_data_set_load_from_their_folder(image, tmp_path):
    names = ["glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor"]
    features = Features({image: Image(), "label": ClassLabel(names=names)})
    counts = {"Training": (2, 3, 1, 2), "Testing": (1, 1, 2, 1)}
    splits = {split: rows_of(names, c, image) for split, c in counts.items()}
    scans = load_scans(parquet(tmp_path / "set", splits, features))
    assert by_part(scans) == {"train": [2, 3, 1, 2], "test": [1, 1, 2, 1]}
    for part, split in (("train", "Training"), ("test", "Testing")):
        for row, picture in zip(scans[part], splits[split][image], strict=True):
            assert row["image"]["bytes"] == picture["bytes"]
            assert open_picture(row["image"]).tobytes() == open_scan(picture["bytes"]).tobytes()


def test_class_numbers_of_another_order_get_the_canonical_ones(tmp_path):
    names = ["1-notumor", "4-pituitary", "2-glioma", "3-meningioma"]
    features = Features({"image": Image(), "label": ClassLabel(names=names)})
    scans = load_scans(parquet(tmp_path / "set", {"train": rows_of(names, (4, 3, 2, 1))}, features))
    assert counts_by_class(scans["train"]) == {"glioma": 2, "meningioma": 1, "no_tumor": 4, "pituitary": 3}


@pytest.mark.parametrize(("image", "label"), [("img", "what"), ("label", "image"), ("picture", "label_2")])
@pytest.mark.parametrize("strings", [False, True], ids=["class numbers", "names"])
def test_columns_are_found_by_what_they_hold_and_not_by_their_names(image, label, strings, tmp_path):
    names = ["Glioma", "Meningioma", "No Tumor", "Pituitary"]
    features = Features({
        image: Image(),
        label: Value("string") if strings else ClassLabel(names=names),
        "patient": Value("string"),
        "age": Value("int64"),
        "box": Sequence(Value("float32")),
    })  # fmt: skip
    rows = rows_of(names, (1, 2, 3, 1), image, label, strings)
    rows |= {"patient": list("abcdefg"), "age": list(range(7)), "box": [[0.0]] * 7}
    part = load_scans(parquet(tmp_path / "set", {"train": rows}, features))["train"]
    assert list(counts_by_class(part).values()) == [1, 2, 3, 1]
    described = {"patient", "sequence", "plane", "stripped", "diagnosis"}
    assert set(part.column_names) == {"image", "label", "set", "source", "sha256", "thumbnail"} | described


def test_folders_and_files_that_are_no_pictures_are_passed_over(slice_folder):
    folder = slice_folder(FOUR)
    (folder / "README.md").write_text("# About")
    (folder / "glioma" / "Thumbs.db").write_bytes(b"\0")
    (folder / "notes").mkdir()
    (folder / "notes" / "letter.txt").write_text("no picture")
    (folder / "glioma" / ".hidden.png").write_bytes(b"\0")
    write_slices(folder, {".ipynb_checkpoints/glioma": 1, ".git/pictures": 1})
    assert by_part(load_scans(folder)) == {"train": [2, 3, 2, 4]}


def test_pictures_of_every_accepted_format_are_found_whatever_the_case_of_their_suffix(slice_folder):
    suffixes = (".jpg", ".JPEG", ".png", ".TIF", ".tiff", ".webp", ".bmp", ".gif", ".JPG")
    folder = slice_folder(FOUR)
    for number, suffix in enumerate(suffixes):
        draw_slice(500 + number).save(folder / "glioma" / f"picture{suffix}")
    assert by_part(load_scans(folder)) == {"train": [2 + len(suffixes), 3, 2, 4]}


def test_several_folders_of_one_class_and_links_to_folders_are_all_read(slice_folder, tmp_path):
    folder = slice_folder({**FOUR, "Training/2-glioma": 2, "more/train/glioma_tumor": 1})
    (folder / "linked").mkdir()
    (folder / "linked" / "pituitary").symlink_to(write_slices(tmp_path, {"elsewhere": 3}) / "elsewhere")
    assert by_part(load_scans(folder)) == {"train": [5, 3, 2, 7]}


# --- what a loaded set is ---------------------------------------------------------------------------------------


def test_a_loaded_set_holds_no_decoded_picture(slice_folder, tmp_path):
    names = list(LABELS)
    features = Features({"image": Image(), "label": ClassLabel(names=names)})
    for scans in (
        load_scans(slice_folder(FOUR, side=200)),
        load_scans(parquet(tmp_path / "set", {"train": rows_of(names, (1, 1, 1, 1))}, features)),
    ):
        part = scans["train"]
        assert part.features["image"].decode is False
        for row in part:
            assert set(row["image"]) == {"bytes", "path"}
            assert row["image"]["bytes"] is None or row["image"]["bytes"].startswith(b"\xff\xd8")
            assert len(row["thumbnail"]) == 32 * 32
            assert all(not isinstance(value, PillowImage.Image | np.ndarray) for value in row.values())
    assert sum(len(str(row)) for row in load_scans(slice_folder(FOUR, side=200))["train"]) < 11 * 6_000


def test_thumbnail_and_hash_are_those_of_the_file(slice_folder):
    folder = slice_folder(FOUR, side=100)
    for row in load_scans(folder)["train"]:
        data = (folder / row["source"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
        gray = PillowImage.open(io.BytesIO(data)).convert("L").resize((32, 32), PillowImage.Resampling.BILINEAR)
        assert row["thumbnail"] == gray.tobytes()


def test_training_opens_a_picture_as_the_app_does(slice_folder):
    folder = slice_folder({**FOUR, "glioma": 0}, side=90)
    (folder / "glioma").mkdir(exist_ok=True)
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    draw_slice(1).resize((90, 70)).save(folder / "glioma" / "turned.jpg", exif=exif)
    deep = np.add.outer(np.arange(80), np.arange(96)) * 19
    PillowImage.fromarray(deep.astype(np.uint16)).save(folder / "glioma" / "deep.png")
    draw_slice(2).convert("RGB").convert("CMYK").save(folder / "glioma" / "cmyk.jpg")
    for row in load_scans(folder)["train"]:
        from_path, from_bytes = open_scan(folder / row["source"]), open_scan((folder / row["source"]).read_bytes())
        opened = open_picture(row["image"])
        assert opened.mode == "RGB"
        assert opened.size == from_path.size == from_bytes.size
        assert opened.tobytes() == from_path.tobytes() == from_bytes.tobytes()
        encoded = open_picture({"bytes": (folder / row["source"]).read_bytes(), "path": None})
        assert encoded.tobytes() == opened.tobytes()


# --- the cache --------------------------------------------------------------------------------------------------


def test_a_second_load_opens_no_picture_again(slice_folder, tmp_path, monkeypatch):
    names = list(LABELS)
    features = Features({"image": Image(), "label": ClassLabel(names=names)})
    for folder in (
        slice_folder({f"{split}/{c}": 2 for split in ("train", "test") for c in names}),
        parquet(tmp_path / "set", {"train": rows_of(names, (2, 1, 2, 1))}, features),
    ):
        with monkeypatch.context() as context:
            first = load_scans(folder)

            def fail(source):
                raise AssertionError("a picture was opened again")

            context.setattr(dataset, "open_scan", fail)
            second = load_scans(folder)
            assert {name: part[:] for name, part in first.items()} == {name: part[:] for name, part in second.items()}


def test_an_edited_added_or_removed_picture_is_noticed(slice_folder):
    folder = slice_folder(FOUR)
    before = {row["source"]: row for row in load_scans(folder)["train"]}
    edited, removed = sorted(before)[0], sorted(before)[-1]
    draw_slice(900).save(folder / edited)
    (folder / removed).unlink()
    draw_slice(901).save(folder / "no_tumor" / "added.png")
    after = {row["source"]: row for row in load_scans(folder)["train"]}
    assert set(after) == set(before) - {removed} | {"no_tumor/added.png"}
    assert after[edited]["sha256"] != before[edited]["sha256"]
    assert after[edited]["thumbnail"] != before[edited]["thumbnail"]
    untouched = set(after) & set(before) - {edited}
    assert all(after[source] == before[source] for source in untouched)


def test_a_picture_changed_in_place_to_the_same_size_is_noticed(slice_folder):
    folder = slice_folder(FOUR, suffix=".bmp")
    path = folder / "glioma" / "0000.bmp"
    before, size = load_scans(folder)["train"][0], path.stat().st_size
    draw_slice(777, "glioma").save(path)
    assert path.stat().st_size == size
    assert load_scans(folder)["train"][0]["sha256"] != before["sha256"]


def test_two_folders_with_the_same_names_in_them_are_not_mixed_up(slice_folder, tmp_path):
    folder = slice_folder(FOUR)
    other = write_slices(tmp_path / "other", FOUR, side=66)
    first, second = load_scans(folder)["train"], load_scans(other)["train"]
    assert set(first["sha256"]).isdisjoint(second["sha256"])


def test_a_set_that_was_moved_still_opens(slice_folder, tmp_path):
    folder = slice_folder(FOUR)
    load_scans(folder)
    shutil.move(folder, tmp_path / "moved")
    for row in load_scans(tmp_path / "moved")["train"]:
        assert open_picture(row["image"]).size == (64, 64)


# --- what cannot be used ----------------------------------------------------------------------------------------


def refusal(folder) -> str:
    with pytest.raises(DatasetError) as caught:
        load_scans(folder)
    assert type(caught.value) is DatasetError
    return str(caught.value)


def assert_says(message: str, *parts: str) -> None:
    missing = [part for part in parts if part not in message]
    assert not missing, f"{missing} not in: {message}"
    assert "Traceback" not in message


def test_an_unknown_class_is_named_with_what_was_found_and_expected(slice_folder):
    message = refusal(slice_folder({**FOUR, "wombat": 2}))
    assert_says(message, "unknown class 'wombat'", "wombat (2)", "meningioma (3)", *LABELS, "tumor")


@pytest.mark.parametrize("empty", ["valid", "Testing", "test/glioma", "val/no_tumor"])
def test_an_empty_part_is_named(empty, slice_folder):
    folder = slice_folder({f"train/{c}": 2 for c in LABELS})
    (folder / empty).mkdir(parents=True)
    part = {"v": "validation", "t": "test"}[empty[0].lower()]
    assert_says(refusal(folder), f"no pictures in the split {part}", "train: 8", f"{part}: 0")


def test_a_folder_without_pictures_says_what_it_should_hold(tmp_path):
    (tmp_path / "set" / "glioma").mkdir(parents=True)
    (tmp_path / "set" / "glioma" / "notes.txt").write_text("none")
    for folder in (tmp_path / "set", tmp_path / "set" / "glioma"):
        assert_says(refusal(folder), str(folder), "no pictures", ".jpg", *LABELS)


def test_a_file_in_place_of_a_folder_is_refused(tmp_path):
    path = tmp_path / "set.zip"
    path.write_bytes(b"PK")
    assert_says(refusal(path), str(path), "is a file", "folder of pictures per class")


@pytest.mark.parametrize("name", ["nobody/no-such-set", "no-such-folder", "../no such/folder", "a/b/c", "~/scans"])
def test_a_name_that_is_no_folder_and_not_on_the_hub_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_says(refusal(name), repr(name), "neither a folder here nor a dataset", "Check the spelling and the network")


@pytest.mark.parametrize("where", ["", "Training", "sub/test"])
def test_a_picture_outside_the_class_folders_is_named(where, slice_folder):
    folder = slice_folder(FOUR)
    (folder / where).mkdir(parents=True, exist_ok=True)
    draw_slice(1).save(folder / where / "stray.png")
    stray = f"{where}/stray.png".lstrip("/")
    assert_says(refusal(folder), "in no class folder", stray, *LABELS)


def test_a_split_of_an_unknown_name_is_refused_with_the_accepted_names(tmp_path):
    features = Features({"image": Image(), "label": ClassLabel(names=list(LABELS))})
    folder = parquet(tmp_path / "set", {"holdout": rows_of(LABELS, (1, 1, 1, 1))}, features)
    assert_says(refusal(folder), "'holdout'", "train", "validation", "test")


@pytest.mark.parametrize("extra", ["a second image", "no image", "no label"])
def test_columns_that_cannot_be_told_apart_are_listed(extra, tmp_path):
    features = {"image": Image(), "label": ClassLabel(names=list(LABELS)), "size": Value("int64")}
    rows = rows_of(LABELS, (1, 1, 1, 1)) | {"size": [1, 2, 3, 4]}
    if extra == "a second image":
        features["mask"], rows["mask"] = Image(), rows["image"]
    else:
        gone = extra.removeprefix("no ")
        del features[gone], rows[gone]
    message = refusal(parquet(tmp_path / "set", {"train": rows}, Features(features)))
    assert_says(message, "one column of pictures and one of class labels", *(f"{c} (" for c in features))


def test_a_row_without_a_label_is_not_taken_for_a_class(tmp_path):
    features = Features({"image": Image(), "label": ClassLabel(names=list(LABELS))})
    rows = rows_of(LABELS, (1, 1, 1, 2))
    rows["label"][-1] = None
    assert_says(refusal(parquet(tmp_path / "set", {"train": rows}, features)), "(no label)")


def test_a_row_without_a_picture_is_an_unreadable_picture(tmp_path):
    features = Features({"image": Image(), "label": ClassLabel(names=list(LABELS))})
    rows = rows_of(LABELS, (1, 1, 1, 2))
    rows["image"][-1] = None
    assert_says(refusal(parquet(tmp_path / "set", {"train": rows}, features)), "1 of 5 pictures cannot be opened")


BROKEN = {"empty.png": b"", "text.jpg": b"no picture", "half.png": None}


def break_pictures(folder, count: int) -> list[str]:
    """Put `count` damaged files in the place of good ones."""
    broken = []
    for number, path in enumerate(sorted((folder / "glioma").iterdir())[:count]):
        name, data = list(BROKEN.items())[number % len(BROKEN)]
        path.write_bytes(path.read_bytes()[:-500] if data is None else data)
        broken.append(f"glioma/{path.name}")
    return broken


def test_a_few_unreadable_pictures_are_skipped_and_logged_with_their_names(slice_folder, caplog):
    folder = slice_folder(dict.fromkeys(LABELS, 75))
    broken = break_pictures(folder, 3)  # 1 % of 300
    for _ in range(2):  # also from the cache
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            scans = load_scans(folder)
        assert by_part(scans) == {"train": [72, 75, 75, 75]}
        assert set(broken).isdisjoint(scans["train"]["source"])
        assert all(scans["train"]["thumbnail"]) and all(scans["train"]["sha256"])
        assert_says(caplog.text, "3 of 300", "skipped", *broken, "empty (0 bytes)", "not a picture", "damaged")


def test_many_unreadable_pictures_are_an_error_that_lists_them(slice_folder):
    folder = slice_folder(dict.fromkeys(LABELS, 75))
    broken = break_pictures(folder, 4)
    assert_says(refusal(folder), "4 of 300", "more than 1%", *broken, "empty (0 bytes)", "not a picture", "damaged")


def test_a_long_list_of_unreadable_pictures_is_cut_short(slice_folder):
    folder = slice_folder(dict.fromkeys(LABELS, 30))
    broken = break_pictures(folder, 30)
    message = refusal(folder)
    assert_says(message, "30 of 120", *broken[:20], "and 10 more")
    assert broken[-1] not in message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_picture_that_may_not_be_read_is_an_unreadable_picture(slice_folder):
    folder = slice_folder(FOUR)
    (folder / "glioma" / "0000.png").chmod(0)
    assert_says(refusal(folder), "1 of 11", "glioma/0000.png")


def test_a_folder_called_like_a_picture_is_no_picture(slice_folder):
    folder = slice_folder(FOUR)
    (folder / "glioma" / "folder.png").mkdir()
    assert by_part(load_scans(folder)) == {"train": [2, 3, 2, 4]}


def test_the_error_of_a_picture_that_vanished_is_the_one_of_an_upload(slice_folder):
    folder = slice_folder(FOUR)
    row = load_scans(folder)["train"][0]
    (folder / row["source"]).unlink()
    with pytest.raises(ScanError, match="does not exist"):
        open_picture(row["image"])


# --- the Hub ----------------------------------------------------------------------------------------------------


def counts_from_hub(hub: HubStandIn, name: str, tmp_path) -> dict:
    script = (
        "import json, sys; from brain_tumor.data.dataset import load_scans, counts_by_class;"
        "scans = load_scans(sys.argv[1]);"
        "print('COUNTS' + json.dumps({n: list(counts_by_class(p).values()) for n, p in scans.items()}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, name], env=hub.env(tmp_path / "cache"), cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.partition("COUNTS")[2])


def test_a_hub_data_set_of_pictures_keeps_its_training_and_testing_parts(slice_folder, tmp_path):
    layout, expected = LAYOUTS["Simezu"]
    with HubStandIn() as hub:
        hub.seed("somebody/scans", slice_folder(layout))
        assert counts_from_hub(hub, "somebody/scans", tmp_path) == expected


def test_a_hub_data_set_of_parquet_files_loads_by_its_id(tmp_path):
    names = ["glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor"]
    features = Features({"image": Image(), "label": ClassLabel(names=names)})
    parts = {"Training": rows_of(names, (2, 3, 1, 2)), "Testing": rows_of(names, (1, 1, 2, 1))}
    with HubStandIn() as hub:
        hub.seed("somebody/parquet", parquet(tmp_path / "set", parts, features))
        assert counts_from_hub(hub, "somebody/parquet", tmp_path) == {"train": [2, 3, 1, 2], "test": [1, 1, 2, 1]}
