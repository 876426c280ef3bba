"""The benchmarks of folds, left-out sources and tumor boxes count what they say they count."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.quality import figshare_folds, left_out, trainings, tumor_boxes
from benchmarks.quality.checkpoints import recipe_sets
from brain_tumor.labels import NO_TUMOR

BOX = (0.8, 0.22, 0.2, 0.2)


def test_figures_of_the_folds_are_pooled_over_slices_and_their_intervals_are_over_patients():
    random = np.random.default_rng(0)
    labels = random.choice([0, 1, 3], 300, p=[0.5, 0.2, 0.3])
    called = np.where(random.random(300) < 0.9, labels, NO_TUMOR)
    probabilities = np.full((300, 4), 0.05)
    probabilities[np.arange(300), called] = 0.85
    alone = figshare_folds.figures(probabilities, labels, np.arange(300).astype(str))
    assert alone["accuracy"] == pytest.approx((called == labels).mean())
    assert alone["called_no_tumor"] == pytest.approx((called == NO_TUMOR).mean())
    assert alone["balanced_accuracy"] == pytest.approx(np.mean([(called == c)[labels == c].mean() for c in (0, 1, 3)]))
    assert alone["ece"] == pytest.approx(abs(0.85 - alone["accuracy"]))
    low, high = alone["intervals"]["accuracy"]
    assert low < alone["accuracy"] < high and high - low < 0.1
    few = figshare_folds.figures(probabilities, labels, (np.arange(300) // 50).astype(str))
    assert few["patients"] == 6 and few["accuracy"] == alone["accuracy"]


def test_a_patient_most_of_whose_slices_are_wrong_is_named():
    right, wrong = [0.9, 0.1, 0.0, 0.0], [0.1, 0.0, 0.9, 0.0]
    rows = [
        {"patient": patient, "label": "glioma", "probabilities": said}
        for patient, said in (("a", right), ("a", wrong), ("b", wrong), ("b", wrong), ("b", right), ("c", wrong))
    ]
    assert figshare_folds.mostly_wrong(rows) == ["b", "c"]


@pytest.mark.data
def test_the_folds_hold_out_every_slice_once(shared, tmp_path, monkeypatch):
    monkeypatch.setattr(figshare_folds, "RUNS", tmp_path)
    commands = []
    monkeypatch.setattr(trainings.subprocess, "run", lambda command, **_: commands.append(command))
    rows = figshare_folds.read_rows(shared / "data")
    arguments = SimpleNamespace(data=shared / "data", checkpoint="base", epochs=6)
    held = []
    for fold in "12345":
        figshare_folds.train_fold(fold, rows, arguments)
        with (tmp_path / f"fold{fold}.csv").open() as file:
            held += [row["source"] for row in csv.DictReader(file)]
    assert len(held) == len(set(held)) == 3064
    assert commands[0][commands[0].index("--hold_out") + 1] == str(tmp_path / "fold1.csv")
    assert commands[0][1:3] == ["train.py", "recipes/bundled.json"]


@pytest.mark.data
def test_of_multiple_sclerosis_only_the_stripped_slices_are_left_out(shared, tmp_path):
    named = left_out.hold_out(left_out.SOURCES["stripped"], shared / "data", tmp_path / "stripped")
    assert named[:3] == ["oasis-t1-stripped", "glioma-t1ce-stripped", "malf-t1-stripped"]
    assert len((tmp_path / "stripped.csv").read_text().splitlines()) == 1 + 88
    assert left_out.hold_out(["br35h-tumors"], shared / "data", tmp_path / "x") == ["br35h-tumors"]


def test_what_is_left_out_are_sets_of_the_recipe():
    assert {name for names in left_out.SOURCES.values() for name in names} <= {*recipe_sets(), left_out.STRIPPED}


# --- tumor boxes ------------------------------------------------------------------------------------------------


def head(side: int = 120) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    gray = np.where(np.hypot(x, y) < 0.98, 100.0, 0.0)
    gray[tumor_boxes.box_mask(BOX, side, side)] = 220
    return gray


def test_a_map_is_held_against_the_box_with_one_cell_of_tolerance():
    for peak, hit in (((1, 4), True), ((1, 5), True), ((2, 3), True), ((4, 1), False), ((5, 5), False)):
        map_ = np.zeros((6, 6), np.float32)
        map_[peak] = 1
        seen = tumor_boxes.look(map_, BOX, head())
        assert seen["peak_in_box"] is hit, peak
    inside, outside = np.zeros((6, 6), np.float32), np.zeros((6, 6), np.float32)
    inside[1, 4], outside[4, 1], outside[1, 4] = 1, 1, -5
    assert tumor_boxes.look(inside, BOX, head())["positive_map_in_box"] > 0.4
    assert tumor_boxes.look(outside, BOX, head())["positive_map_in_box"] == 0, "what speaks against it does not count"
    assert 0.03 < seen["box_share_of_head"] < 0.08 and not seen["middle_in_box"]
    assert tumor_boxes.look(inside, (0.5, 0.5, 0.2, 0.2), head())["middle_in_box"]


def test_a_filled_box_looks_like_its_surroundings_and_nothing_else_changes():
    gray = head()
    filled = tumor_boxes.fill_box(gray, BOX)
    hole = tumor_boxes.box_mask(BOX, *gray.shape)
    assert abs(filled[hole].mean() - 100) < 12 and gray[hole].mean() == 220
    far = ~tumor_boxes.box_mask(BOX, *gray.shape, widened=0.05)
    assert np.array_equal(filled[far], gray[far])
    assert tumor_boxes.fill_box(gray, (0.5, 0.5, 1.0, 1.0)).std() < 1e-9


def test_the_sets_of_the_recipe_are_eleven_and_the_main_set_is_the_first():
    assert len(recipe_sets()) == 11 and recipe_sets()[0] == "Simezu/brain-tumour-MRI-scan"


# --- pages ------------------------------------------------------------------------------------------------------


def test_the_page_of_the_folds_says_which_are_pooled_and_gives_each_figure_its_interval(tmp_path):
    assert figshare_folds.section(tmp_path) == "Not measured yet."
    names = list(figshare_folds.FIGURES)
    pooled = {
        "folds": ["1", "2"],
        "slices_of_folds": {"1": 20, "2": 10, "3": 30},
        "slices": 30,
        "patients": 7,
        "epochs": 6,
        **dict.fromkeys(names, 0.9),
        "intervals": dict.fromkeys(names, [0.8, 0.95]),
        "accuracy_over_patients": 0.85,
        "called_no_tumor": 0.01,
        "mostly_wrong": ["a", "b"],
    }
    (tmp_path / "pooled.json").write_text(json.dumps(pooled))
    page = figshare_folds.section(tmp_path)
    assert "folds 1, 2, 30 slices of 7 patients; trainings of 6 epochs" in page
    assert "| accuracy | 90.0 % (80.0 % to 95.0 %) |" in page and "| ECE | 0.900 (0.800 to 0.950) |" in page
    assert "| patients most of whose slices are wrong | 2 |" in page
    (tmp_path / "pooled.json").write_text(json.dumps(pooled | {"slices": 60}))
    assert "over all 2 folds, 60 slices" in figshare_folds.section(tmp_path)


def test_the_page_of_left_out_sources_has_a_row_for_each_kind_of_scan(tmp_path):
    assert left_out.section(tmp_path) == "Not measured yet."
    row = {"set": "oasis-t1-stripped", "sequence": "T1", "plane": "", "missed": None, "right_type": None}
    row["specificity"] = {"value": 0.98, "interval": [0.9, 1.0], "slices": 50, "patients": 9}
    found = {"left_out": ["oasis-t1-stripped", left_out.STRIPPED], "epochs_trained": 6.0}
    found["test"] = {"by_kind": [row, row | {"plane": "axial"}], "over_sets": {"specificity": 0.98}}
    (tmp_path / "stripped.json").write_text(json.dumps(found))
    lines = left_out.section(tmp_path).splitlines()
    assert lines[0] == (
        "Without oasis-t1-stripped, multiple-sclerosis (skull-stripped slices): 6 epochs. Means over these sets: "
        'tumor-free called "no tumor" 98.0 %.'
    )
    assert lines[4:] == ["| oasis-t1-stripped | T1 | - | - | 98.0 % (90.0 to 100.0; 50 of 9) |"]
    of = {"set": "multiple-sclerosis", "diagnosis": "multiple sclerosis", "slices": 50, "patients": 9}
    found["test"]["by_diagnosis"] = [of | dict.fromkeys(("no_tumor", "tumor", "uncertain"), row["specificity"])]
    (tmp_path / "stripped.json").write_text(json.dumps(found))
    other = {"missed": 0.25, "specificity": 0.2}
    (tmp_path / "x.json").write_text(json.dumps({"test": {"over_sets": other}}))
    assert left_out.in_short(tmp_path).endswith(
        ': tumors called "no tumor" 25.0 %, tumor-free slices called "no tumor" 20.0 to 98.0 %.'
    )
    last = left_out.section(tmp_path).splitlines()[-1]
    assert last.startswith("| multiple-sclerosis | multiple sclerosis | 98.0 % (90.0 to 100.0; 50 of 9) |")
