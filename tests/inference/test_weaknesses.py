"""A header's facts are compared with what the checkpoint's results say of such scans; without, nothing is claimed."""

import json
import shutil

import pytest

from brain_tumor.inference.weaknesses import Share, Weakness, Weaknesses
from tests.serving import ROOT


def figure(value: float, slices: int, patients: int = 5) -> dict:
    return {"value": value, "interval": [0, 1], "slices": slices, "patients": patients}


def row(sequence: str, missed=None, right_type=None, specificity=None, plane: str = "") -> dict:
    figures = {"missed": missed, "right_type": right_type, "specificity": specificity}
    return {"set": "a", "sequence": sequence, "plane": plane} | figures


RESULTS = {
    "split": "patients",
    "test": {
        "by_kind": [
            row("T1C+", figure(0.01, 300), figure(0.95, 100)),
            row("T1C+", figure(0.02, 100), figure(0.99, 300)),
            row("T1", figure(0.1, 60), figure(0.97, 50)),
            row("T1", figure(0.4, 20), plane="axial"),
            row("T2", figure(0.1, 30), specificity=figure(0.5, 40)),
            row("T2", figure(0.2, 10, 2)),
            row("FLAIR", figure(0.5, 19)),
            row("", figure(0.9, 500)),
        ]
    },
    "familiarity": [
        {"name": "a: slices turned away", "value": 0.01, "note": "100 pictures; less is better"},
        {"name": "head-ct: caught", "value": 0.8, "note": "35 pictures; no brain MRI"},
        {"name": "body-ct: caught", "value": 0.9, "note": "19 pictures; no brain MRI"},
        {"name": "body-mr: caught", "value": 0.7, "note": "77 pictures; no brain MRI"},
    ],
}
KNOWN = Weaknesses(RESULTS)
REFERENCE = Share(pytest.approx(0.0125), 400)


def of(known: Weaknesses = KNOWN, **facts: str) -> list[Weakness]:
    return known.of({name.replace("_", " "): value for name, value in facts.items()})


def test_a_sequence_is_compared_with_t1_with_contrast_over_all_sets():
    t1 = {"missed": (Share(pytest.approx(0.1), 60), REFERENCE)}
    assert of(Sequence="T1", Contrast_agent="no") == [Weakness("T1", "sequence", True, t1, other_people=True)]
    assert of(Sequence="gradient echo T1 (3D)", Contrast_agent="not stated") == [
        Weakness("T1", "sequence", False, t1, other_people=True)
    ]
    t2 = {"missed": (Share(pytest.approx(0.125), 40), REFERENCE)}  # no specificity to compare with
    assert of(Sequence="T2", Contrast_agent="yes") == [Weakness("T2", "sequence", False, t2, other_people=True)]


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"Format": "PNG"},
        {"Modality": "MRI", "Sequence": "T1", "Contrast agent": "yes", "Body part": "brain"},
        {"Sequence": ""},
        {"Sequence": "FLAIR"},  # too few slices
        {"Sequence": "T1, T2"},
        {"Sequence": "diffusion"},
        {"Sequence": "spin echo"},
        {"Modality": "secondary capture", "Body part": "not stated"},
    ],
)
def test_of_what_is_not_known_or_not_worse_nothing_is_claimed(facts):
    assert KNOWN.of(facts) == []


def test_fewer_than_20_slices_or_3_patients_and_small_differences_claim_nothing():
    for t2 in (figure(0.5, 19), figure(0.5, 100, 2), figure(0.03, 100)):
        results = {"test": {"by_kind": [row("T1C+", figure(0.02, 100)), row("T2", t2)]}}
        assert Weaknesses(results).of({"Sequence": "T2"}) == []
    results["test"]["by_kind"][1] = row("T2", figure(0.05, 100))
    (weakness,) = Weaknesses(results).of({"Sequence": "T2"})
    assert not weakness.other_people, "a split by something else than patients may have seen them"


def test_flair_is_flair_also_where_t2_is_named_and_t1_flair_is_t1():
    results = {"test": {"by_kind": [row("T1C+", figure(0.02, 100)), row("FLAIR", figure(0.5, 100))]}}
    (weakness,) = Weaknesses(results).of({"Sequence": "FLAIR, T2"})
    assert weakness.says == "FLAIR"
    (weakness,) = of(Sequence="FLAIR, T1")
    assert weakness.says == "T1"
    assert of(Sequence="FLAIR, T1, T2") == []


def test_what_is_no_mri_or_no_head_is_said_with_the_share_that_the_check_catches_if_it_is_known():
    assert of(Modality="CT") == of(Modality="CT", Body_part="head")
    assert of(Modality="CT") == [Weakness("CT", "modality", caught=Share(0.8, 35))]
    ct, body = of(Modality="CT", Body_part="chest")  # too few pictures
    assert (ct.caught, body) == (None, Weakness("chest", "body part"))
    assert of(Modality="MRI", Body_part="spine", Sequence="T2") == [
        Weakness("spine", "body part", caught=Share(0.7, 77))
    ]
    assert of(Modality="eye imaging") == [Weakness("eye imaging", "modality")]
    assert of(Weaknesses({}), Modality="CT") == [Weakness("CT", "modality")]


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"test": {"by_kind": [1]}}', '{"familiarity": 3}', "\0"])
def test_missing_and_damaged_results_know_no_figures(content, tmp_path):
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    known = Weaknesses.load(tmp_path)
    assert known.of({"Sequence": "T2"}) == []
    assert known.of({"Body part": "spine"}) == [Weakness("spine", "body part")]


def test_figures_of_the_bundled_checkpoint_are_those_of_its_results(tmp_path):
    shutil.copy(ROOT / "model/results.json", tmp_path)
    rows = json.loads((tmp_path / "results.json").read_text())["test"]["by_kind"]
    (t1,) = Weaknesses.load(tmp_path).of({"Sequence": "T1", "Contrast agent": "no"})
    own = [r["missed"] for r in rows if r["sequence"] == "T1" and not r["plane"] and r["missed"]]
    slices = sum(r["slices"] for r in own)
    here, there = t1.worse["missed"]
    assert here == Share(pytest.approx(sum(r["value"] * r["slices"] for r in own) / slices), slices)
    assert here.value > there.value
