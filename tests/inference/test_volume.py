"""A volume's verdict follows a stated rule: one wrong slice of many is no finding, and a stretch of them is."""

from dataclasses import replace

import numpy as np
import pytest

from brain_tumor.inference.prediction import UNFAMILIAR, Prediction
from brain_tumor.inference.volume import Reason, judge_volume, longest_stretch
from tests.volumes import KINDS, THRESHOLDS, judge, prediction


@pytest.mark.parametrize(
    "slices, verdict",
    [
        ("." * 30, "no_tumor"),
        ("." * 12 + "ggg" + "." * 15, "glioma"),
        ("." * 12 + "gg.g" + "." * 15, "glioma"),  # one slice in between may say something else
        ("." * 12 + "gg?g" + "." * 15, "glioma"),
        ("." * 12 + "g.g.g" + "." * 15, "uncertain"),  # two may not
        ("." * 12 + "gg" + "." * 15, "uncertain"),  # too few to report, too many to pass over
        ("." * 12 + "g" + "." * 15, "no_tumor"),  # the maximum would be a tumor
        ("g" + "." * 9 + "g" + "." * 9 + "g" + "." * 9, "no_tumor"),  # far apart from each other
        ("." * 12 + "???" + "." * 15, "uncertain"),
        ("." * 12 + "?g?" + "." * 15, "uncertain"),
        ("...?" * 7, "uncertain"),  # three quarters are not enough
        ("....?" * 6, "no_tumor"),
        ("?" * 20, "uncertain"),
        ("g" * 20, "glioma"),
        ("." * 12 + "uuu" + "." * 15, "tumor"),  # of unclear type, but a tumor
        ("." * 12 + "ugg" + "." * 15, "glioma"),  # clear over the stretch
        ("." * 12 + "ggm" + "." * 15, "glioma"),
        ("." * 12 + "ggmm" + "." * 15, "tumor"),  # each slice is clear, the stretch is not
        ("." * 145 + "ggggg", "uncertain"),  # of 150 it takes 6
        ("." * 144 + "gggggg", "glioma"),
        ("." * 148 + "gg", "no_tumor"),
        ("." * 147 + "ggg", "uncertain"),
    ],
)
def test_a_stretch_of_slices_decides_and_not_the_highest_one(slices, verdict):
    assert judge(slices).verdict == verdict


def test_the_reason_is_the_part_of_the_rule_that_decided_with_its_counts():
    cases = {
        "." * 12 + "ggg" + "." * 15: (Reason.TUMOR_STRETCH, 27, 3, 3),
        "." * 12 + "gg" + "." * 15: (Reason.SHORT_TUMOR_STRETCH, 27, 2, 2),
        "." * 12 + "???" + "." * 15: (Reason.UNCLEAR_STRETCH, 27, 0, 3),
        "...?" * 7: (Reason.FEW_CLEAR, 21, 0, 1),
        "." * 12 + "g" + "." * 15: (Reason.CLEAR, 27, 1, 1),
    }
    for slices, expected in cases.items():
        verdict = judge(slices)
        found = (verdict.reason, verdict.clear, verdict.longest_tumor, verdict.longest_unclear)
        assert found == expected, slices
        assert verdict.needed == 3
    assert judge("." * 12 + "ggg" + "." * 15).stretch == (12, 14)
    assert judge("." * 150).needed == 6


def test_the_order_of_the_slices_may_be_reversed():
    random = np.random.default_rng(0)
    for _ in range(200):
        slices = [prediction(letter) for letter in random.choice(list("...?gm"), 30)]
        # No two slices of a head have the same probabilities.
        shares = random.uniform(0.99, 1, 30)
        slices = [
            replace(
                slice_, confidences={k: v * (share if k != "no_tumor" else 1) for k, v in slice_.confidences.items()}
            )
            for slice_, share in zip(slices, shares, strict=True)
        ]
        slices = [
            replace(s, confidences=s.confidences | {"no_tumor": 1 - sum(s.confidences[k] for k in KINDS.values())})
            for s in slices
        ]
        there, back = judge_volume(slices, [True] * 30), judge_volume(slices[::-1], [True] * 30)
        assert there.verdict == back.verdict
        assert there.peak == 29 - back.peak


def test_the_kind_is_the_most_probable_one_over_the_stretch():
    assert judge("." * 9 + "gmmm" + "." * 9).verdict == "meningioma"
    assert judge("." * 9 + "pppg" + "." * 9).verdict == "pituitary"
    assert judge("mm" + "." * 9 + "gggg" + "." * 9).verdict == "glioma", "slices elsewhere have no say in it"


def test_slices_that_do_not_count_or_are_no_brain_do_not_decide():
    assert judge("GGGG" + "." * 20 + "MMMM").verdict == "no_tumor"
    assert judge("xxxx" + "." * 20).verdict == "no_tumor"
    assert judge("." * 10 + "gxxgGg" + "." * 10).verdict == "glioma", "neighbors are those among the counted"


def test_fewer_than_three_counted_slices_are_no_volume():
    for slices in ("gg", "..", "g" + "," * 20, "", ",,,,"):
        verdict = judge(slices)
        assert verdict.verdict == "uncertain"
        assert verdict.reason == Reason.TOO_FEW
    assert judge("...").verdict == "no_tumor"
    assert judge("ggg").verdict == "glioma"


def test_what_is_mostly_no_brain_mri_gets_no_verdict():
    verdict = judge("x" * 11 + "." * 10)
    assert verdict.verdict == UNFAMILIAR
    assert (verdict.unfamiliar, verdict.shown) == (11, 21)
    assert verdict.peak is not None and verdict.peak >= 11
    assert judge("xx").verdict == UNFAMILIAR
    assert judge("xx").peak is None


def test_the_highest_probability_is_looked_for_among_counted_slices_only():
    verdict = judge(",G..?..x,")
    assert verdict.peak == 4
    assert verdict.counted == [False, False, True, True, True, True, True, False, False]
    assert verdict.probabilities[4] == pytest.approx(0.5)
    assert verdict.probabilities[7] is None, "of a picture that is no brain nothing is to be believed"


def test_a_checkpoint_of_other_classes_gives_no_verdict_on_a_volume():
    other = Prediction("cat", {"cat": 0.9, "dog": 0.1}, "cat")
    verdict = judge_volume([other] * 5, [True] * 5)
    assert verdict.verdict == "uncertain"
    assert verdict.reason == Reason.OTHER_CLASSES
    assert verdict.peak is None


def test_without_thresholds_the_most_probable_classes_decide():
    plain = Prediction("glioma", prediction("g").confidences, "glioma")
    assert judge_volume([plain] * 5, [True] * 5).verdict == "glioma"


@pytest.mark.parametrize("length", [1, 5, 12])
def test_the_longest_stretch_is_the_one_that_trying_all_finds(length):
    random = np.random.default_rng(length)
    for _ in range(200):
        hits = (random.random(length) < 0.5).tolist()
        best = 0
        for first in range(length):
            for last in range(first, length):
                inside = hits[first : last + 1]
                if inside[0] and inside[-1] and len(inside) - sum(inside) <= 1:
                    best = max(best, sum(inside))
        found = longest_stretch(hits)
        assert (sum(hits[found[0] : found[1] + 1]) if found else 0) == best


def errors(random: np.random.Generator, slices: int, rate: float, run: float) -> np.ndarray:
    """Which slices of a healthy head are called a tumor: a share `rate`, in runs of this mean length (two states)."""
    wrong, state = np.empty(slices, bool), random.random() < rate
    for number in range(slices):
        wrong[number] = state
        state = random.random() < (1 - 1 / run if state else rate / (1 - rate) / run)
    return wrong


def false_alarms(slices: int, specificity: float, run: float | None, heads: int = 400) -> tuple[float, float]:
    """Share of healthy heads called a tumor: by the rule, and by the slice with the highest probability.

    Args:
        run: mean length of a run of wrong slices; None: each is wrong for itself.
    """
    random = np.random.default_rng(0)
    rate = 1 - specificity
    by_rule = by_maximum = 0
    for _ in range(heads):
        wrong = errors(random, slices, rate, run or 1 / specificity)
        verdict = judge("".join(np.where(wrong, "g", ".")))
        by_rule += verdict.verdict not in ("no_tumor", "uncertain")
        by_maximum += verdict.probabilities[verdict.peak] >= THRESHOLDS.tumor
    return by_rule / heads, by_maximum / heads


@pytest.mark.parametrize("specificity", [0.95, 0.97, 0.98])
@pytest.mark.parametrize("slices", [30, 150])
def test_slices_that_are_wrong_for_themselves_are_hardly_ever_a_false_alarm(slices, specificity):
    by_rule, by_maximum = false_alarms(slices, specificity, None)
    assert by_maximum == pytest.approx(1 - specificity**slices, abs=0.07)
    assert by_maximum > (0.4 if slices == 30 else 0.9)
    assert by_rule <= 0.015


@pytest.mark.parametrize("specificity", [0.95, 0.97, 0.98])
@pytest.mark.parametrize("slices, run, fraction", [(30, 1.6, 1 / 4), (150, 4, 1 / 2)])
def test_slices_that_are_wrong_together_are_a_false_alarm_less_often_than_by_the_maximum(
    slices, run, fraction, specificity
):
    """Neighbors that are wrong for the same reason are what no rule on verdicts can tell from a tumor."""
    by_rule, by_maximum = false_alarms(slices, specificity, run)
    assert by_maximum > 0.3
    assert by_rule < fraction * by_maximum


@pytest.mark.parametrize("slices, size", [(30, 4), (150, 15)])
def test_a_tumor_of_some_slices_is_nearly_never_called_no_tumor(slices, size):
    """With nine of ten of its slices called a tumor, and the rest no tumor; 2 % of the others are wrong too."""
    random = np.random.default_rng(0)
    missed = found = 0
    for _ in range(400):
        said = errors(random, slices, 0.02, 1.6)
        start = random.integers(0, slices - size)
        said[start : start + size] = random.random(size) < 0.9
        verdict = judge("".join(np.where(said, "m", "."))).verdict
        missed += verdict == "no_tumor"
        found += verdict == "meningioma"
    assert missed <= 0.02 * 400
    assert found >= 0.9 * 400
