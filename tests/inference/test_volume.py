"""A volume's verdict follows a stated rule: one wrong slice of many is no finding, and a stretch of them is."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from brain_tumor.answers.volume_plot import plot_volume, plot_words
from brain_tumor.inference.prediction import UNFAMILIAR, Prediction
from brain_tumor.inference.verdict import Thresholds
from brain_tumor.inference.volume import (
    CLEAR_SHARE,
    LEAST_SLICES,
    RULE,
    STRETCH_SHARE,
    VolumeVerdict,
    judge_volume,
    longest_stretch,
)
from brain_tumor.labels import LABELS

THRESHOLDS = Thresholds(no_tumor=0.9, tumor=0.94)
KINDS = {"g": "glioma", "m": "meningioma", "p": "pituitary"}


@cache
def prediction(letter: str) -> Prediction:
    """Of a slice: "." no tumor, "?" uncertain, "x" unfamiliar (though sure of a glioma), else a kind of tumor."""
    tumor = {".": 0.04, "?": 0.5}.get(letter, 0.97)
    kind = KINDS.get(letter, "glioma")
    confidences = dict.fromkeys(LABELS, 0.05 * tumor) | {kind: 0.9 * tumor, "no_tumor": 1 - tumor}
    verdict = {".": "no_tumor", "?": "uncertain", "x": UNFAMILIAR}.get(letter, kind)
    return Prediction(kind, confidences, verdict, -1.0 if letter == "x" else 1.0, thresholds=THRESHOLDS)


def judged(slices: str) -> VolumeVerdict:
    """Verdict on a volume of these slices; a slice in capitals or "," is one that does not count."""
    return judge_volume(
        [prediction("." if letter == "," else letter.lower()) for letter in slices],
        [letter != "," and not letter.isupper() for letter in slices],
    )


# --- the rule ---------------------------------------------------------------------------------------------------


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
        ("." * 145 + "ggggg", "uncertain"),  # of 150 it takes 6
        ("." * 144 + "gggggg", "glioma"),
        ("." * 148 + "gg", "no_tumor"),
        ("." * 147 + "ggg", "uncertain"),
    ],
)
def test_a_stretch_of_slices_decides_and_not_the_highest_one(slices, verdict):
    assert judged(slices).verdict == verdict


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
    assert judged("." * 9 + "gmmm" + "." * 9).verdict == "meningioma"
    assert judged("." * 9 + "pppg" + "." * 9).verdict == "pituitary"
    assert judged("mm" + "." * 9 + "gggg" + "." * 9).verdict == "glioma", "slices elsewhere have no say in it"


def test_slices_that_do_not_count_or_are_no_brain_do_not_decide():
    assert judged("GGGG" + "." * 20 + "MMMM").verdict == "no_tumor"
    assert judged("xxxx" + "." * 20).verdict == "no_tumor"
    assert judged("." * 10 + "gxxgGg" + "." * 10).verdict == "glioma", "neighbors are those among the counted"


def test_fewer_than_three_counted_slices_are_no_volume():
    for slices in ("gg", "..", "g" + "," * 20, "", ",,,,"):
        verdict = judged(slices)
        assert verdict.verdict == "uncertain"
        assert "Too few slices" in verdict.headline
    assert judged("...").verdict == "no_tumor"
    assert judged("ggg").verdict == "glioma"


def test_what_is_mostly_no_brain_mri_gets_no_verdict():
    verdict = judged("x" * 11 + "." * 10)
    assert verdict.verdict == UNFAMILIAR
    assert "11 of the 21" in verdict.sentence
    assert verdict.peak is not None and verdict.peak >= 11
    assert judged("xx").verdict == UNFAMILIAR
    assert judged("xx").peak is None


def test_the_highest_probability_is_looked_for_among_counted_slices_only():
    verdict = judged(",G..?..x,")
    assert verdict.peak == 4
    assert verdict.counted == [False, False, True, True, True, True, True, False, False]
    assert verdict.probabilities[4] == pytest.approx(0.5)
    assert verdict.probabilities[7] is None, "of a picture that is no brain nothing is to be believed"


def test_a_checkpoint_of_other_classes_gives_no_verdict_on_a_volume():
    other = Prediction("cat", {"cat": 0.9, "dog": 0.1}, "cat")
    verdict = judge_volume([other] * 5, [True] * 5)
    assert verdict.verdict == "uncertain"
    assert "other classes" in verdict.sentence
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


def test_the_words_tell_the_figures_that_decided():
    tumor = judged("." * 12 + "ggg" + "." * 15)
    assert tumor.headline == "Looks like: glioma"
    assert "3 neighboring slices of the 30" in tumor.sentence
    assert tumor.stretch == (12, 14)
    clear = judged("." * 29 + "g")
    assert clear.headline == "No tumor seen"
    assert "29 of the 30" in clear.sentence and "can still be missed" in clear.sentence
    for slices in ("." * 12 + "gg" + "." * 15, "." * 12 + "???" + "." * 15, "...?" * 7):
        unclear = judged(slices)
        assert unclear.headline == "Uncertain: needs a specialist"
        assert unclear.sentence.endswith(".") and any(c.isdigit() for c in unclear.sentence)


def test_the_rule_in_words_has_the_figures_of_the_rule():
    assert f"{LEAST_SLICES} or more neighboring slices" in RULE
    assert f"{100 * STRETCH_SHARE:.0f} %" in RULE
    assert f"at least {100 * CLEAR_SHARE:.0f} %" in RULE


# --- why not the maximum ----------------------------------------------------------------------------------------


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
        verdict = judged("".join(np.where(wrong, "g", ".")))
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
        verdict = judged("".join(np.where(said, "m", "."))).verdict
        missed += verdict == "no_tumor"
        found += verdict == "meningioma"
    assert missed <= 0.02 * 400
    assert found >= 0.9 * 400


# --- along the slices -------------------------------------------------------------------------------------------


def pixels_of(image, color: str, tolerance: int = 12) -> int:
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((abs(np.asarray(image, int) - wanted).max(axis=-1) <= tolerance).sum())


def test_the_plot_shows_line_thresholds_peak_and_what_does_not_count():
    from brain_tumor.answers import volume_plot as volume

    image = plot_volume(judged(",,," + "." * 10 + "mmmm" + "." * 10 + "xx,,"))
    assert image.mode == "RGB"
    assert image.width > 800
    assert image.getpixel((2, 2)) == (255, 255, 255)
    for color in (volume._LINE, volume._TUMOR, volume._CLEAR, volume._PEAK, volume._FADED):
        assert pixels_of(image, color) > 30
    plain = plot_volume(judged("." * 10 + "mmmm" + "." * 10))  # its letters have grays too
    assert pixels_of(image, volume._FADED) > pixels_of(plain, volume._FADED) + 50


@pytest.mark.parametrize("slices", ["", "x", ",", ".", "g" * 400, "xx" * 5])
def test_every_volume_can_be_plotted(slices):
    assert plot_volume(judged(slices)).width > 800


def test_the_plot_in_words_names_the_peak():
    words = plot_words(judged(",,," + "." * 10 + "mmmm" + "." * 10))
    assert "27 slices, of which 24 count" in words
    assert "highest in slice 14, with 97 %" in words
    assert "slices 14 to 17" in words
    assert plot_words(judged(",,")).endswith("count.")
