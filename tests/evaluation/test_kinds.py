"""Figures by kind of scan: counted by hand, means over sets, and silence where there is too little."""

import numpy as np
import pytest

from brain_tumor.evaluation.figures_text import diagnosis_table
from brain_tumor.evaluation.kinds import diagnosis_figures, kind_figures, mean_over_kinds, over_sets
from brain_tumor.evaluation.plots import plot_kinds
from brain_tumor.inference.verdict import Thresholds
from brain_tumor.labels import NO_TUMOR, TUMOR
from tests.evaluation.drawn_logits import part_of

THRESHOLDS = Thresholds(no_tumor=0.8, tumor=0.6, type=0.7)


@pytest.fixture(scope="module")
def case():
    """40 slices of the set "a" in T1, axial and coronal, 40 tumors of "b" in T2, and two slices of "c"."""
    labels = np.array([0] * 20 + [NO_TUMOR] * 20 + [TUMOR] * 40 + [1, NO_TUMOR])
    called = np.where(labels == TUMOR, 0, labels)
    called[[0, 1]], called[2], called[20], called[40:50] = NO_TUMOR, 3, 0, NO_TUMOR
    probabilities = np.full((82, 4), 0.02)
    probabilities[np.arange(82), called] = 0.94
    probabilities[3] = [0.5, 0.42, 0.04, 0.04]  # a tumor of a type that is not clear
    probabilities[21] = [0.3, 0.0, 0.7, 0.0]  # uncertain
    part = part_of(
        labels,
        np.concatenate([np.arange(40) // 4, 10 + np.arange(40) // 2, [90, 91]]),
        np.zeros(82, bool),
        sets=("a", "b", "c"),
        numbers=[0] * 40 + [1] * 40 + [2] * 2,
        sequences=["T1"] * 40 + ["T2"] * 40 + ["T1"] * 2,
        planes=["axial", "coronal"] * 20 + ["axial"] * 40 + [""] * 2,
    )
    return probabilities, part


def test_each_kind_of_scan_has_its_figures_and_those_of_its_planes(case):
    rows = kind_figures(*case, THRESHOLDS)
    assert [(r["set"], r["sequence"], r["plane"], r["slices"], r["patients"]) for r in rows] == [
        ("a", "T1", "", 40, 10), ("a", "T1", "axial", 20, 10), ("a", "T1", "coronal", 20, 10),
        ("b", "T2", "", 40, 20), ("c", "T1", "", 2, 2),
    ]  # fmt: skip
    whole = rows[0]
    assert whole["missed"]["value"] == pytest.approx(2 / 20) and whole["missed"]["slices"] == 20
    assert whole["right_type"]["value"] == pytest.approx(17 / 20)
    assert whole["specificity"]["value"] == pytest.approx(19 / 20) and whole["specificity"]["patients"] == 5
    assert whole["uncertain"]["value"] == pytest.approx(1 / 40)
    assert whole["verdict_sensitivity"]["value"] == pytest.approx(18 / 20)
    assert whole["verdict_specificity"]["value"] == pytest.approx(19 / 20)
    assert whole["type_unclear"]["value"] == pytest.approx(1 / 20)
    low, high = whole["missed"]["interval"]
    assert low < 0.1 < high
    assert rows[3]["missed"]["value"] == pytest.approx(10 / 40)
    assert rows[3]["right_type"] is None and rows[3]["specificity"] is None


def test_nothing_is_claimed_of_a_few_slices_or_patients(case):
    rows = kind_figures(*case, THRESHOLDS)
    assert all(rows[1][name] is None for name in ("missed", "specificity")), "10 of each in a plane"
    assert all(rows[4][name] is None for name in ("missed", "right_type", "specificity", "uncertain"))


def test_means_over_sets_count_each_set_once(case):
    found = over_sets(*case, THRESHOLDS)
    assert found["missed"] == pytest.approx((2 / 20 + 10 / 40) / 2)
    assert found["specificity"] == pytest.approx(19 / 20)
    assert found["uncertain"] == pytest.approx((1 / 40 + 0) / 2) and found["worst_uncertain"] == pytest.approx(1 / 40)
    assert "uncertain" not in over_sets(*case)


def test_tumor_free_slices_are_counted_by_diagnosis():
    """30 slices of a disease of 10 persons, 20 healthy ones of 2, one without a diagnosis, and a tumor with one."""
    labels = np.array([NO_TUMOR] * 51 + [0])
    probabilities = np.full((52, 4), 0.02)
    probabilities[:, NO_TUMOR] = 0.94
    probabilities[:3] = [0.94, 0.02, 0.02, 0.02]
    probabilities[3] = [0.4, 0.35, 0.2, 0.05]  # a tumor of a type that is not clear
    probabilities[4:6] = [0.3, 0.0, 0.7, 0.0]  # uncertain
    diagnoses = ["a disease"] * 30 + ["healthy"] * 20 + ["", "a disease"]
    groups = np.array([*range(10)] * 3 + [10, 11] * 10 + [12, 13])

    def of(**columns):
        return part_of(labels, columns.pop("groups", groups), np.zeros(52, bool), sets=("x",), **columns)

    part = of(diagnoses=diagnoses)
    disease, healthy = diagnosis_figures(probabilities, part, THRESHOLDS)
    assert [disease[key] for key in ("set", "diagnosis", "slices", "patients")] == ["x", "a disease", 30, 10]
    assert disease["tumor"]["value"] == pytest.approx(4 / 30)
    assert disease["uncertain"]["value"] == pytest.approx(2 / 30)
    assert disease["no_tumor"]["value"] == pytest.approx(24 / 30) and disease["no_tumor"]["patients"] == 10
    assert (healthy["slices"], healthy["patients"]) == (20, 2)
    assert healthy["no_tumor"] is healthy["tumor"] is healthy["uncertain"] is None, "two persons"
    lines = diagnosis_table([disease, healthy]).splitlines()
    assert lines[2].startswith("| x | a disease | 80.0 % (") and lines[2].count("; 30 of 10)") == 3
    assert lines[3] == "| x | healthy | too few to say: 20 of 2 | - | - |"
    linked = of(groups=groups // 5, patients=[f"p{group}" for group in groups], diagnoses=diagnoses)
    disease, _ = diagnosis_figures(probabilities, linked, THRESHOLDS)
    assert (disease["patients"], disease["no_tumor"]["interval"]) == (10, None), "ten persons in two groups of copies"
    assert diagnosis_table([disease]).splitlines()[2].startswith("| x | a disease | 80.0 % (30 of 10) | 13.3 % (30")
    without, _ = diagnosis_figures(probabilities, part)
    assert without["uncertain"]["value"] == 0 and without["no_tumor"]["value"] == pytest.approx(26 / 30)


def test_means_over_kinds_choose_between_epochs():
    labels = np.array([0] * 6 + [0] * 10 + [NO_TUMOR] * 4)
    called = np.array([0, 0, 0, 0, 0, NO_TUMOR] + [1] * 10 + [0] * 4)
    means = mean_over_kinds(called, labels, np.array(["x"] * 6 + ["y"] * 14))
    assert means == {"missed": pytest.approx(1 / 12), "right_type": pytest.approx(5 / 12)}, "4 are too few for a mean"


def test_the_table_of_colors_is_drawn_and_the_same_again(case, tmp_path):
    for name in ("one", "two"):
        plot_kinds(kind_figures(*case, THRESHOLDS), tmp_path / f"{name}.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    plot_kinds([], tmp_path / "none.png")
    assert (tmp_path / "none.png").read_bytes() != (tmp_path / "one.png").read_bytes()
