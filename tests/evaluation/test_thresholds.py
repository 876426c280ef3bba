"""Thresholds miss no tumor for want of caution and depend on no single picture, and verdicts are counted by hand."""

import json

import numpy as np
import pytest
from scipy.special import expit, logit

from brain_tumor.evaluation import thresholds as rule
from brain_tumor.evaluation.figures import decision_figures
from brain_tumor.evaluation.thresholds import NO_TUMOR_RANGE, TUMOR_RANGE, evidence
from brain_tumor.inference.verdict import UNCERTAIN, Thresholds, decide
from brain_tumor.labels import TUMOR

GLIOMA, MENINGIOMA, NO_TUMOR, PITUITARY = range(4)
TARGETS = {"sensitivity": 0.998, "specificity": 0.989, "uncertain": 0.05}


def choose_thresholds(*case, **options) -> Thresholds:
    return rule.choose_thresholds(*case, **(TARGETS | options))


def probabilities_of(scores, kind: int = GLIOMA) -> np.ndarray:
    """Probabilities whose log(p(no tumor) / p(any tumor)) are these; most of the rest is of one kind of tumor."""
    healthy = expit(np.asarray(scores, np.float64))
    rows = np.empty((len(healthy), 4))
    rows[:] = 0.1 * (1 - healthy)[:, None]
    rows[:, kind] = 0.8 * (1 - healthy)
    rows[:, NO_TUMOR] = healthy
    return rows


def two_classes(tumors, healthy):
    """(probabilities, labels, groups) of tumors and healthy slices with these scores, each its own group."""
    labels = np.array([GLIOMA] * len(tumors) + [NO_TUMOR] * len(healthy))
    return probabilities_of([*tumors, *healthy]), labels, np.arange(len(labels))


def exponential_tails(seed: int, tumors: int = 320, healthy: int = 160, far: float = 5):
    random = np.random.default_rng(seed)
    return two_classes(-5 + random.laplace(0, 1, tumors), far + random.laplace(0, 1, healthy))


@pytest.mark.parametrize("seed", range(8))
def test_targets_are_met_on_slices_that_were_not_chosen_from(seed):
    thresholds = choose_thresholds(*exponential_tails(seed))
    probabilities, labels, _ = exponential_tails(seed + 100, 20_000, 10_000)
    verdicts, healthy = decide(probabilities, thresholds), labels == NO_TUMOR
    assert (verdicts[~healthy] != NO_TUMOR).mean() >= 0.998
    assert np.isin(verdicts[healthy], (NO_TUMOR, UNCERTAIN)).mean() >= 0.985
    assert (verdicts == UNCERTAIN).mean() <= 0.05


@pytest.mark.parametrize("seed", range(8))
def test_the_threshold_is_not_at_the_worst_tumor_that_was_seen_but_beyond(seed):
    random = np.random.default_rng(seed)
    tumors = -5 + random.laplace(0, 1.3, 320)
    thresholds = choose_thresholds(*two_classes(tumors, np.full(160, 9.0)))
    assert logit(thresholds.no_tumor) > np.sort(tumors)[-2] + 0.5
    assert min(abs(logit(thresholds.no_tumor) - tumors)) > 0.01


def test_one_tumor_far_out_does_not_drag_the_threshold_with_it_and_two_do():
    probabilities, labels, groups = exponential_tails(3, far=10)
    plain = choose_thresholds(probabilities, labels, groups)
    moved = {}
    for outliers in (1, 2):
        rows = probabilities.copy()
        rows[:outliers] = probabilities_of([5.5] * outliers)
        moved[outliers] = choose_thresholds(rows, labels, groups)
    assert plain.no_tumor <= moved[1].no_tumor < expit(4)
    assert moved[2].no_tumor > expit(5.5)
    # Ten copies of the one are still one.
    rows, ten = probabilities.copy(), groups.copy()
    rows[:10], ten[:10] = probabilities_of([5.5] * 10), 0
    assert choose_thresholds(rows, labels, ten).no_tumor < expit(4.5)


def test_numbers_stay_within_bounds_and_verdicts_never_overlap():
    random = np.random.default_rng(0)
    for seed in range(30):
        far, width = random.uniform(-1, 10), random.uniform(0.1, 4)
        draw = np.random.default_rng(seed)
        case = two_classes(draw.normal(-far, width, 60), draw.normal(far, width, 40))
        thresholds = choose_thresholds(*case)
        assert NO_TUMOR_RANGE[0] <= thresholds.no_tumor <= NO_TUMOR_RANGE[1]
        assert 1 - thresholds.no_tumor < thresholds.tumor <= TUMOR_RANGE[1]
        assert decision_figures(*case, thresholds)["uncertain"] <= 0.05


def test_of_a_network_that_cannot_meet_both_targets_specificity_gives_way_first():
    random = np.random.default_rng(1)
    tumors = np.concatenate([random.normal(-7, 1, 300), [3.0, 3.2, 3.4, 3.6]])  # some are hard
    healthy = np.concatenate([random.normal(7, 1, 150), np.linspace(-6, 2.5, 10)])
    thresholds = choose_thresholds(*two_classes(tumors, healthy))
    result = decision_figures(*two_classes(tumors, healthy), thresholds)
    assert result["counts"]["sensitivity"] == [304, 304]
    assert result["specificity"] < 0.989
    assert result["uncertain"] <= 0.05


def test_where_some_tumors_look_healthy_the_rest_gets_all_the_caution_that_is_allowed():
    probabilities, labels, groups = exponential_tails(3)
    probabilities[:3] = probabilities_of([9.0] * 3)  # surer than most healthy slices: out of reach
    thresholds = choose_thresholds(probabilities, labels, groups)
    result = decision_figures(probabilities, labels, groups, thresholds)
    assert result["counts"]["sensitivity"] == [317, 320]
    assert 0.03 < result["uncertain"] <= 0.04
    assert thresholds.no_tumor > expit(3)


def test_tumors_of_unknown_type_count_as_tumors():
    probabilities, labels, groups = exponential_tails(5, far=10)
    plain = choose_thresholds(probabilities, labels, groups)
    hard = probabilities_of(np.linspace(2, 4.5, 12))
    labels = np.concatenate([labels, np.full(12, TUMOR)])
    rows, groups = np.concatenate([probabilities, hard]), np.arange(len(labels))
    thresholds = choose_thresholds(rows, labels, groups)
    assert thresholds.no_tumor > expit(4.4) > plain.no_tumor
    assert decision_figures(rows, labels, groups, thresholds)["sensitivity"] == 1


def test_a_kind_of_scan_counts_by_the_root_of_its_patients_and_a_patient_once_in_it():
    cells, groups = np.array([0] * 40 + [1] * 4), np.array([*range(20), *range(20), 50, 51, 52, 53])
    weights = evidence(cells, groups)
    assert weights[:40].sum() / weights[40:].sum() == pytest.approx(np.sqrt(20 / 4))
    assert weights[0] == pytest.approx(weights[20]) and weights.sum() == pytest.approx(24)


def test_a_type_is_named_from_where_named_types_are_right():
    """Tumors whose type takes 90 % of p(tumor) are what they are called, those with less are not."""
    random = np.random.default_rng(0)
    n = 400
    share = np.where(np.arange(n) % 4 == 0, random.uniform(0.45, 0.6, n), random.uniform(0.9, 0.99, n))
    rows = np.zeros((n, 4))
    rows[:, GLIOMA], rows[:, PITUITARY], rows[:, NO_TUMOR] = share * 0.99, (1 - share) * 0.99, 0.01
    labels = np.where(share < 0.7, TUMOR, GLIOMA)
    healthy = probabilities_of(np.full(100, 6.0))
    case = np.concatenate([rows, healthy]), np.concatenate([labels, np.full(100, NO_TUMOR)]), np.arange(n + 100)
    thresholds = choose_thresholds(*case)
    assert 0.55 < thresholds.type < 0.9
    verdicts = decide(rows, thresholds)
    assert (verdicts[labels == GLIOMA] == GLIOMA).all() and (verdicts[labels == TUMOR] == TUMOR).mean() > 0.75
    # Where names cannot be right, no more than the allowed share of known types is given up for it.
    case[1][:n] = np.where(random.random(n) < 0.5, MENINGIOMA, GLIOMA)
    verdicts = decide(rows, choose_thresholds(*case))
    assert (verdicts == TUMOR).mean() <= rule.TYPES_GIVEN_UP + 0.01


def test_weak_tumors_and_healthy_slices_alone_are_enough():
    probabilities, labels, groups = exponential_tails(6)
    labels = np.where(labels == NO_TUMOR, NO_TUMOR, TUMOR)
    assert choose_thresholds(probabilities, labels, groups).no_tumor >= NO_TUMOR_RANGE[0]


@pytest.mark.parametrize("label", [GLIOMA, NO_TUMOR])
def test_without_tumors_or_without_healthy_slices_there_is_nothing_to_choose(label):
    with pytest.raises(ValueError, match="need tumors and healthy slices"):
        choose_thresholds(probabilities_of(np.zeros(5)), np.full(5, label), np.arange(5))


def test_the_choice_does_not_depend_on_the_order_or_the_numbers_of_the_groups():
    probabilities, labels, groups = exponential_tails(7)
    groups = groups // 3
    order = np.random.default_rng(0).permutation(len(labels))
    assert choose_thresholds(probabilities, labels, groups) == choose_thresholds(
        probabilities[order], labels[order], groups[order] * 17 + 4
    )


def test_a_handful_of_slices_is_enough_not_to_fail():
    thresholds = choose_thresholds(*two_classes([-5, -4], [3]))
    assert thresholds.tumor > 1 - thresholds.no_tumor


def test_figures_of_verdicts_worked_by_hand():
    thresholds = Thresholds(no_tumor=0.9, tumor=0.6)
    rows = np.array(
        [
            [0.90, 0.05, 0.05, 0.00],  # glioma, called so
            [0.10, 0.80, 0.05, 0.05],  # glioma, called meningioma: the wrong type, but caught
            [0.20, 0.10, 0.60, 0.10],  # pituitary, uncertain: caught
            [0.02, 0.02, 0.95, 0.01],  # pituitary, missed
            [0.20, 0.10, 0.60, 0.10],  # tumor of unknown type, uncertain
            [0.02, 0.02, 0.95, 0.01],  # healthy, called so
            [0.20, 0.10, 0.60, 0.10],  # healthy, uncertain: no false alarm
            [0.60, 0.20, 0.10, 0.10],  # healthy, called a glioma
        ]
    )
    labels = np.array([GLIOMA, GLIOMA, PITUITARY, PITUITARY, TUMOR, NO_TUMOR, NO_TUMOR, NO_TUMOR])
    result = decision_figures(rows, labels, np.arange(8), thresholds)
    assert result["thresholds"] == {"no_tumor": 0.9, "tumor": 0.6, "type": 0.0}
    assert result["counts"] == {
        "sensitivity": [4, 5],
        "specificity": [2, 3],
        "uncertain": [3, 8],
        "uncertain_tumors": [2, 5],
        "uncertain_healthy": [1, 3],
        "type_unclear": [0, 5],
        "accuracy_decided": [2, 5],
    }
    assert result["sensitivity"] == pytest.approx(4 / 5) and result["specificity"] == pytest.approx(2 / 3)
    assert result["intervals"].keys() == result["counts"].keys()
    json.dumps(result, allow_nan=False)


def test_without_healthy_slices_there_is_no_specificity():
    result = decision_figures(probabilities_of([-3.0] * 4), np.full(4, TUMOR), np.arange(4), Thresholds(0.9, 0.6))
    assert result["specificity"] is None and result["intervals"]["specificity"] is None
    assert result["accuracy_decided"] is None
    assert result["sensitivity"] == 1
    # Four of four say little: the exact interval begins at 0.025 ** (1 / 4).
    assert result["intervals"]["sensitivity"] == [pytest.approx(0.3976, abs=1e-4), 1.0]


def test_intervals_are_over_groups_and_not_over_slices():
    random = np.random.default_rng(2)
    rows = probabilities_of(np.repeat(random.normal(0, 4, 60), 10))
    labels = np.repeat(random.choice([GLIOMA, NO_TUMOR], 60), 10)
    grouped = decision_figures(rows, labels, np.repeat(np.arange(60), 10), Thresholds(0.9, 0.6))
    alone = decision_figures(rows, labels, np.arange(600), Thresholds(0.9, 0.6))
    for name in ("sensitivity", "specificity", "uncertain"):
        widths = [np.diff(result["intervals"][name])[0] for result in (grouped, alone)]
        assert widths[0] > 2 * widths[1] > 0
