"""The figures are those of scikit-learn and of the definitions, and undefined ones say so."""

import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from brain_tumor.evaluation.intervals import (
    AUROC_SAMPLES,
    class_intervals,
    group_draws,
    probability_intervals,
    rate_intervals,
    share_interval,
)
from brain_tumor.evaluation.metrics import (
    calibration_bins,
    classification_figures,
    classwise_calibration_error,
    dangerous_misses,
    expected_calibration_error,
    probability_figures,
    rates,
    risk_coverage,
)
from brain_tumor.evaluation.scan_metrics import ScanMetrics
from brain_tumor.labels import LABELS, TUMOR

GLIOMA, MENINGIOMA, NO_TUMOR, PITUITARY = range(4)


def compute(probabilities, labels) -> dict:
    return classification_figures(np.asarray(probabilities, np.float64), np.asarray(labels))


def random_predictions(count: int, seed: int):
    random = np.random.default_rng(seed)
    labels = random.choice(4, count, p=[0.4, 0.3, 0.2, 0.1])
    logits = random.normal(size=(count, 4)) + 1.5 * np.eye(4)[labels]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels


def certain(called) -> np.ndarray:
    """Probabilities of a network that calls these classes."""
    return np.where(np.eye(4)[called] == 1, 0.97, 0.01)


@pytest.mark.parametrize("seed", range(4))
def test_all_figures_are_those_of_scikit_learn(seed):
    probabilities, labels = random_predictions(300, seed)
    called = probabilities.argmax(axis=1)
    result = compute(probabilities, labels)
    report = sklearn_metrics.classification_report(labels, called, output_dict=True, target_names=LABELS)
    assert result["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(labels, called))
    assert result["macro_recall"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(labels, called))
    assert result["nll"] == pytest.approx(sklearn_metrics.log_loss(labels, probabilities))
    assert result["confusion_matrix"] == sklearn_metrics.confusion_matrix(labels, called).tolist()
    assert list(result["per_class"]) == list(LABELS)
    for number, label in enumerate(LABELS):
        own, expected = result["per_class"][label], report[label]
        assert own["precision"] == pytest.approx(expected["precision"])
        assert own["recall"] == pytest.approx(expected["recall"])
        assert own["f1"] == pytest.approx(expected["f1-score"])
        assert own["support"] == expected["support"]
        assert own["auroc"] == pytest.approx(sklearn_metrics.roc_auc_score(labels == number, probabilities[:, number]))
    healthy, called_healthy = labels == NO_TUMOR, called == NO_TUMOR
    assert result["sensitivity"] == pytest.approx(sklearn_metrics.recall_score(~healthy, ~called_healthy))
    assert result["specificity"] == pytest.approx(sklearn_metrics.recall_score(healthy, called_healthy))


def test_sensitivity_and_specificity_worked_by_hand():
    labels = [GLIOMA, GLIOMA, MENINGIOMA, PITUITARY, PITUITARY, NO_TUMOR, NO_TUMOR, NO_TUMOR, NO_TUMOR]
    called = [GLIOMA, NO_TUMOR, GLIOMA, PITUITARY, MENINGIOMA, NO_TUMOR, NO_TUMOR, NO_TUMOR, PITUITARY]
    result = compute(certain(called), labels)
    assert result["sensitivity"] == pytest.approx(4 / 5)  # the wrong kind of tumor is still a tumor found
    assert result["specificity"] == pytest.approx(3 / 4)
    assert result["accuracy"] == pytest.approx(5 / 9)
    assert result["macro_recall"] == pytest.approx((1 / 2 + 0 + 3 / 4 + 1 / 2) / 4)
    assert result["confusion_matrix"] == [[1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 3, 1], [0, 1, 0, 1]]


def test_rows_of_the_confusion_matrix_are_the_true_classes():
    assert compute(certain([NO_TUMOR]), [GLIOMA])["confusion_matrix"][GLIOMA][NO_TUMOR] == 1


def test_figures_of_a_class_that_does_not_occur_are_none_and_not_zero():
    result = compute(certain([GLIOMA, MENINGIOMA, GLIOMA]), [GLIOMA, MENINGIOMA, MENINGIOMA])
    assert result["specificity"] is None
    assert result["sensitivity"] == 1
    assert result["macro_recall"] == pytest.approx((1 + 1 / 2) / 2)
    for label in ("no_tumor", "pituitary"):
        own = result["per_class"][label]
        assert own == {"precision": None, "recall": None, "f1": None, "auroc": None, "support": 0}
    json.dumps(result, allow_nan=False)


def test_a_set_of_healthy_slices_alone_has_no_sensitivity():
    result = compute(certain([NO_TUMOR, GLIOMA]), [NO_TUMOR, NO_TUMOR])
    assert result["sensitivity"] is None and result["specificity"] == 1 / 2
    assert result["per_class"]["no_tumor"]["auroc"] is None
    assert result["per_class"]["no_tumor"]["recall"] == 1 / 2
    assert result["per_class"]["glioma"]["precision"] == 0


def test_a_class_that_is_never_called_has_no_precision_but_a_recall():
    own = compute(certain([MENINGIOMA, MENINGIOMA]), [GLIOMA, MENINGIOMA])["per_class"]["glioma"]
    assert own["precision"] is None and own["recall"] == 0 and own["f1"] == 0 and own["support"] == 1


def test_a_certain_mistake_costs_much_but_not_infinitely():
    result = compute([[1.0, 0.0, 0.0, 0.0]], [NO_TUMOR])
    assert 20 < result["nll"] < 100


def test_all_figures_can_be_written_as_json():
    result = compute(*random_predictions(50, 0))
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_rates_of_a_stack_of_matrices_are_those_of_each():
    random = np.random.default_rng(0)
    stack = random.integers(0, 9, (5, 3, 4, 4))
    together = rates(stack)
    for i, j in np.ndindex(5, 3):
        for name, value in rates(stack[i, j]).items():
            assert together[name][i, j] == pytest.approx(value)


@pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning")
def test_rates_of_no_slices_are_not_defined_and_do_not_fail():
    assert all(np.isnan(value) for value in rates(np.zeros((4, 4))).values())


def plain_ece(probabilities, labels, bins=15) -> float:
    total = 0.0
    for number in range(bins):
        inside = [
            (max(row), int(np.argmax(row)) == label)
            for row, label in zip(probabilities, labels, strict=True)
            if number / bins < max(row) <= (number + 1) / bins
        ]
        if inside:
            confidence, right = (sum(values) / len(inside) for values in zip(*inside, strict=True))
            total += len(inside) / len(labels) * abs(confidence - right)
    return total


@pytest.mark.parametrize("seed", range(4))
def test_the_calibration_error_is_that_of_its_definition(seed):
    probabilities, labels = random_predictions(500, seed)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(plain_ece(probabilities, labels))
    assert compute(probabilities, labels)["ece"] == pytest.approx(plain_ece(probabilities, labels))


def test_the_calibration_error_worked_by_hand():
    # Two slices at 0.9, one right: |0.9 - 0.5|; two at 0.7, both right: |0.7 - 1|. The mean of 0.4 and 0.3.
    probabilities = np.array([[0.9, 0.1, 0, 0], [0.9, 0.1, 0, 0], [0.1, 0.7, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1]])
    assert expected_calibration_error(probabilities, np.array([0, 1, 1, 1])) == pytest.approx(0.35)


def test_full_confidence_belongs_to_the_last_bin():
    bins = calibration_bins(np.array([[1.0, 0, 0, 0], [0.99, 0.01, 0, 0]]), np.array([0, 1]))
    assert bins == [{"confidence": pytest.approx(0.995), "accuracy": 0.5, "count": 2}]


def test_a_confidence_on_the_edge_of_two_bins_belongs_to_the_lower_one():
    bins = calibration_bins(np.array([[0.4, 0.2, 0.2, 0.2], [0.35, 0.25, 0.2, 0.2]]), np.array([0, 0]))
    assert bins == [{"confidence": pytest.approx(0.375), "accuracy": 1.0, "count": 2}]  # of (1/3, 0.4]


def test_bins_hold_every_slice_once():
    probabilities, labels = random_predictions(400, 9)
    bins = calibration_bins(probabilities, labels)
    assert sum(b["count"] for b in bins) == 400
    assert [b["confidence"] for b in bins] == sorted(b["confidence"] for b in bins)
    confidence = probabilities.max(axis=1)
    assert sum(b["confidence"] * b["count"] for b in bins) == pytest.approx(confidence.sum())


def test_a_perfect_network_has_no_calibration_error():
    assert expected_calibration_error(np.eye(4), np.arange(4)) == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_class_wise_error_is_the_mean_of_each_class_against_the_rest(seed):
    probabilities, labels = random_predictions(400, seed)
    total = 0.0
    for number in range(4):
        for b in range(15):
            inside = (probabilities[:, number] > b / 15) & (probabilities[:, number] <= (b + 1) / 15)
            if inside.any():
                gap = probabilities[inside, number].mean() - (labels[inside] == number).mean()
                total += inside.mean() * abs(gap) / 4
    assert classwise_calibration_error(probabilities, labels) == pytest.approx(total)
    assert compute(probabilities, labels)["classwise_ece"] == pytest.approx(total)


def test_the_class_wise_error_sees_a_class_that_always_gets_too_much():
    # Always 0.7 for the first class and right in 7 of 10: no calibration error. The rest are all of one class.
    probabilities = np.tile([0.7, 0.1, 0.1, 0.1], (10, 1))
    labels = np.array([0] * 7 + [3] * 3)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0)
    assert classwise_calibration_error(probabilities, labels) == pytest.approx((0.1 + 0.1 + 0.2) / 4)


def test_the_brier_score_worked_by_hand_and_by_scikit_learn():
    assert compute([[0.7, 0.1, 0.1, 0.1], [0, 0, 1, 0]], [0, 0])["brier"] == pytest.approx((0.12 + 2) / 2)
    probabilities, labels = random_predictions(200, 5)
    expected = sum(np.mean((probabilities[:, i] - (labels == i)) ** 2) for i in range(4))
    assert compute(probabilities, labels)["brier"] == pytest.approx(expected)


def test_dangerous_are_the_tumors_that_are_surely_called_no_tumor_the_surest_first():
    healthy = np.array([0.95, 0.90, 0.91, 0.99, 0.97, 0.2])
    rows = np.stack([1 - healthy, 0 * healthy, healthy, 0 * healthy], axis=1)
    labels = np.array([GLIOMA, GLIOMA, PITUITARY, NO_TUMOR, TUMOR, TUMOR])
    assert dangerous_misses(rows, labels).tolist() == [4, 0, 2]


def test_errors_against_what_is_kept_worked_by_hand():
    rows = np.array([[0.9, 0.1, 0, 0], [0.8, 0.2, 0, 0], [0.7, 0.3, 0, 0], [0.6, 0.4, 0, 0]])
    coverage, risk, area = risk_coverage(rows[[2, 0, 3, 1]], np.array([1, 0, 0, 0]))  # the third surest is wrong
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 4])
    assert area == pytest.approx((1 / 3 + 1 / 4) / 4)


def test_slices_of_the_same_confidence_share_their_errors_in_any_order():
    rows = np.tile([0.7, 0.1, 0.1, 0.1], (4, 1))
    for labels in ([1, 0, 0, 0], [0, 0, 0, 1]):
        assert risk_coverage(rows, np.array(labels))[1].tolist() == pytest.approx([0.25] * 4)


def test_an_interval_of_a_share_with_no_failure_is_exact_and_counts_groups():
    every = np.ones(30, bool)
    assert share_interval(every, every, np.arange(30)) == [pytest.approx(0.025 ** (1 / 30)), 1.0]
    assert share_interval(every, every, np.arange(30) // 10) == [pytest.approx(0.025 ** (1 / 3)), 1.0]
    assert share_interval(~every, every, np.arange(30)) == [0.0, pytest.approx(1 - 0.025 ** (1 / 30))]
    assert share_interval(every, ~every, np.arange(30)) is None


def test_one_group_does_not_tell_how_much_groups_differ():
    hits, every, one = np.arange(30) % 4 > 0, np.ones(30, bool), np.zeros(30, int)
    assert share_interval(hits, every, one) is None
    assert share_interval(hits, np.arange(30) < 15, np.arange(30) // 15) is None  # of all slices asked about
    low, high = share_interval(hits, every, np.arange(30) // 20)
    assert low < high
    probabilities = np.tile([0.7, 0.1, 0.1, 0.1], (30, 1))
    draws, member = group_draws(one, 0)
    assert set(probability_intervals(probabilities, np.where(hits, 0, 1), draws, member).values()) == {None}
    assert rate_intervals(np.zeros(30, int), np.where(hits, 0, 1), one)["accuracy"] is None


def test_an_interval_of_a_share_is_the_binomial_one_for_independent_slices():
    hits = np.arange(400) % 5 > 0
    low, high = share_interval(hits, np.ones(400, bool), np.arange(400))
    assert (low, high) == (pytest.approx(0.8 - 1.96 * 0.02, abs=0.004), pytest.approx(0.8 + 1.96 * 0.02, abs=0.004))


def plain_bootstrap(figure, probabilities, labels, groups, samples: int):
    """The figure of resampled groups, slice by slice, with the same draws."""
    draws, member = group_draws(groups, 0)
    rows = [np.repeat(np.arange(len(labels)), draw[member]) for draw in draws[:samples]]
    return np.array([figure(probabilities[r], labels[r]) for r in rows])


def test_intervals_of_calibration_figures_are_those_of_resampling_the_slices():
    probabilities, labels = random_predictions(150, 6)
    groups = np.arange(150) // 2
    draws, member = group_draws(groups, 0)
    draws = draws[:200]
    result = probability_intervals(probabilities, labels, draws, member)
    for name in ("nll", "brier"):
        plain = plain_bootstrap(
            lambda p, y, name=name: probability_figures(p, y)[name], probabilities, labels, groups, 200
        )
        assert result[name] == pytest.approx(np.percentile(plain, [2.5, 97.5]))
    for name, figure in (("ece", expected_calibration_error), ("classwise_ece", classwise_calibration_error)):
        plain = plain_bootstrap(figure, probabilities, labels, groups, 200)
        centered = (plain - plain.mean() + figure(probabilities, labels)).clip(0)
        assert result[name] == pytest.approx(np.percentile(centered, [2.5, 97.5]))


def test_intervals_of_a_class_are_those_of_resampling_the_slices_with_ties():
    probabilities, labels = random_predictions(120, 7)
    probabilities = np.round(probabilities, 1)  # ties
    groups = np.arange(120) // 2
    draws, member = group_draws(groups, 0)
    result = class_intervals(probabilities, labels, draws[:60], member)
    plain = plain_bootstrap(
        lambda p, y: sklearn_metrics.roc_auc_score(y == GLIOMA, p[:, GLIOMA]), probabilities, labels, groups, 60
    )
    assert AUROC_SAMPLES >= 60
    assert result[GLIOMA]["auroc"] == pytest.approx(np.percentile(plain, [2.5, 97.5]))
    for name, figure in (
        ("recall", sklearn_metrics.recall_score),
        ("precision", sklearn_metrics.precision_score),
        ("f1", sklearn_metrics.f1_score),
    ):
        plain = plain_bootstrap(
            lambda p, y, figure=figure: figure(y == GLIOMA, p.argmax(1) == GLIOMA), probabilities, labels, groups, 60
        )
        assert result[GLIOMA][name] == pytest.approx(np.percentile(plain, [2.5, 97.5]))


def test_a_class_that_does_not_occur_has_no_intervals():
    probabilities, labels = certain([GLIOMA, MENINGIOMA]), np.array([GLIOMA, MENINGIOMA])
    result = class_intervals(probabilities, labels, *group_draws(np.arange(2)))
    assert result[PITUITARY] == {"precision": None, "recall": None, "f1": None, "auroc": None}


def test_the_metric_takes_batches_and_asks_no_network(monkeypatch):
    import socket

    def refuse(*arguments, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    probabilities, labels = random_predictions(60, 3)
    metric = ScanMetrics(keep_in_memory=True)
    for start in range(0, 60, 20):
        metric.add_batch(predictions=probabilities[start : start + 20], references=labels[start : start + 20])
    assert metric.compute() == compute(probabilities, labels)


def test_float32_probabilities_are_good_enough():
    probabilities, labels = random_predictions(60, 3)
    assert compute(probabilities.astype(np.float32), labels)["nll"] == pytest.approx(
        compute(probabilities, labels)["nll"]
    )
