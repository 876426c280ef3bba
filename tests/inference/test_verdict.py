"""A verdict needs enough probability, and thresholds that would give two are refused."""

import json

import numpy as np
import pytest
from transformers import PretrainedConfig

from brain_tumor.inference.verdict import CONFIG_KEY, UNCERTAIN, Thresholds, decide, from_config, judge_slice, to_config
from brain_tumor.labels import LABELS, TUMOR

GLIOMA, MENINGIOMA, NO_TUMOR, PITUITARY = range(4)


def test_a_verdict_needs_enough_probability_and_is_uncertain_otherwise():
    thresholds = Thresholds(no_tumor=0.95, tumor=0.6)
    rows = np.array(
        [
            [0.01, 0.01, 0.97, 0.01],  # sure of no tumor
            [0.02, 0.02, 0.95, 0.01],  # just sure enough
            [0.03, 0.02, 0.94, 0.01],  # the most probable class is not enough
            [0.10, 0.20, 0.40, 0.30],  # tumors together are, though "no tumor" is the most probable single class
            [0.20, 0.19, 0.41, 0.20],
            [0.00, 0.00, 0.00, 1.00],
        ]
    )
    assert decide(rows, thresholds).tolist() == [NO_TUMOR, NO_TUMOR, UNCERTAIN, PITUITARY, UNCERTAIN, PITUITARY]
    assert [judge_slice(row, thresholds) for row in rows] == [
        *("no_tumor", "no_tumor", "uncertain", "pituitary", "uncertain", "pituitary")
    ]


def test_a_tumor_gets_the_name_of_its_type_only_if_that_is_clear():
    thresholds = Thresholds(no_tumor=0.95, tumor=0.6, type=0.7)
    rows = np.array(
        [
            [0.70, 0.20, 0.00, 0.10],  # just clear
            [0.69, 0.21, 0.00, 0.10],
            [0.50, 0.10, 0.40, 0.00],  # 5/6 of p(any tumor)
            [0.30, 0.30, 0.30, 0.10],
            [0.30, 0.05, 0.60, 0.05],  # no tumor enough to ask for its type
            [0.02, 0.01, 0.97, 0.00],
        ]
    )
    assert decide(rows, thresholds).tolist() == [GLIOMA, TUMOR, GLIOMA, TUMOR, UNCERTAIN, NO_TUMOR]
    assert judge_slice(rows[1], thresholds) == "tumor"


@pytest.mark.parametrize("least", [-0.1, 1.0, float("nan")])
def test_a_share_that_no_type_can_have_is_refused(least):
    with pytest.raises(ValueError, match="type"):
        Thresholds(0.9, 0.5, least)


def test_no_slices_get_no_verdicts():
    assert decide(np.empty((0, 4)), Thresholds(0.9, 0.5)).shape == (0,)


@pytest.mark.parametrize("pair", [(0.5, 0.5), (0.7, 0.2), (0.0, 1.0), (1.2, 0.5), (0.9, 0.0), (float("nan"), 0.5)])
def test_thresholds_that_would_give_a_slice_both_verdicts_are_refused(pair):
    with pytest.raises(ValueError, match="more than 1|both verdicts"):
        Thresholds(*pair)


def test_thresholds_survive_a_checkpoints_config(tmp_path):
    thresholds = Thresholds(0.9731, 0.55, 0.62)
    PretrainedConfig(**{CONFIG_KEY: to_config(thresholds)}).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["decision_thresholds"] == {
        "no_tumor": 0.9731,
        "tumor": 0.55,
        "type": 0.62,
    }
    assert from_config(PretrainedConfig.from_pretrained(tmp_path)) == thresholds
    assert from_config({CONFIG_KEY: to_config(thresholds)}) == thresholds
    assert from_config({CONFIG_KEY: {"no_tumor": 0.9, "tumor": 0.5}}) == Thresholds(0.9, 0.5), "as before 2.0"


@pytest.mark.parametrize(
    "stored", [None, {}, {"no_tumor": 0.9}, {"no_tumor": "high", "tumor": 0.5}, {"no_tumor": 0.4, "tumor": 0.4}, 0.9]
)
def test_a_config_without_sensible_thresholds_has_none(stored):
    assert from_config({CONFIG_KEY: stored}) is None
    assert from_config(PretrainedConfig(**{CONFIG_KEY: stored})) is None
    assert from_config({}) is None and from_config(PretrainedConfig()) is None


def test_verdicts_are_labels_or_uncertain():
    rows = np.random.default_rng(3).dirichlet(np.ones(4), 200)
    said = {judge_slice(row, Thresholds(0.6, 0.7)) for row in rows}
    assert said == {*LABELS, "uncertain"}
