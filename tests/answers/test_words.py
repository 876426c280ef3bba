"""Verdicts in words name the figures that decided, and no share is rounded across its limit."""

import pytest

from brain_tumor.answers.words import (
    RULE,
    cautions,
    judged_words,
    notes_of,
    percent,
    slice_name,
    slice_words,
    verdict_kind,
    verdict_words,
    volume_words,
)
from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.inference.prediction import UNFAMILIAR, Prediction
from brain_tumor.inference.verdict import Thresholds, judge_slice
from brain_tumor.inference.volume import CLEAR_SHARE, LEAST_SLICES, STRETCH_SHARE, judge_volume
from brain_tumor.inference.weaknesses import Share, Weakness
from brain_tumor.labels import LABELS
from brain_tumor.reading.uploads import Slice, Upload
from tests.volumes import judge, prediction

THRESHOLDS = Thresholds(no_tumor=0.9, tumor=0.94)


def prediction_of(tumor: float, kind: str = "meningioma", thresholds=THRESHOLDS, margin=None) -> Prediction:
    """Of a slice with this probability of any tumor, nearly all of it for one kind."""
    confidences = dict.fromkeys(LABELS, 0.02 * tumor) | {kind: 0.96 * tumor, "no_tumor": 1 - tumor}
    label = max(confidences, key=confidences.get)
    decided = label if thresholds is None else judge_slice(list(confidences.values()), thresholds)
    return Prediction(
        label, confidences, UNFAMILIAR if margin and margin < 0 else decided, margin, thresholds=thresholds
    )


def test_a_tumor_is_named_with_the_figures_that_decided():
    headline, *_, sentence = verdict_words(prediction_of(0.97))
    assert headline == "Looks like: meningioma"
    assert "97 %" in sentence and "94 %" in sentence
    assert verdict_words(prediction_of(0.97, "pituitary"))[0] == "Looks like: pituitary tumor"


def test_a_tumor_of_unclear_type_is_a_tumor_with_the_share_of_its_most_probable_type():
    thresholds = Thresholds(no_tumor=0.9, tumor=0.94, type=0.75)
    confidences = {"glioma": 0.57, "meningioma": 0.38, "no_tumor": 0.05, "pituitary": 0.0}
    verdict = judge_slice(list(confidences.values()), thresholds)
    headline, *_, sentence = verdict_words(Prediction("glioma", confidences, verdict, thresholds=thresholds))
    assert headline == "Looks like: a tumor, type unclear" and verdict_kind(verdict) == "tumor"
    for words in (
        "95 %",
        "threshold: 94 %",
        "glioma is the most probable type, with 60 %",
        "from 75 % on",
    ):
        assert words in sentence, words


def test_no_tumor_is_said_with_the_figures_that_decided_and_with_care():
    headline, *_, sentence = verdict_words(prediction_of(0.05))
    assert headline == "No tumor seen"
    assert "95 %" in sentence and "90 %" in sentence
    assert "can miss one" in verdict_words(prediction_of(0.05)).sentence


def test_uncertain_lies_between_two_figures():
    headline, *_, sentence = verdict_words(prediction_of(0.5))
    assert headline == "Uncertain: needs a specialist"
    assert (
        "50 %" in sentence and "no tumor only at 10 % or less" in sentence and "tumor only at 94 % or more" in sentence
    )


def test_an_unfamiliar_picture_shows_its_score():
    *_, sentence = verdict_words(prediction_of(0.97, margin=-3.21))
    assert "-3.2" in sentence


def test_without_thresholds_the_words_say_that_it_is_a_guess():
    headline, *_, sentence = verdict_words(prediction_of(0.97, thresholds=None))
    assert headline == "Looks like: meningioma"
    assert "93 %" in sentence and "no thresholds" in sentence
    assert verdict_words(prediction_of(0.1, thresholds=None))[0] == "No tumor seen"


OUTCOMES = [prediction_of(t) for t in (0.0, 0.05, 0.5, 0.97, 1.0)] + [
    prediction_of(0.97, margin=-1.0),
    prediction("u"),
]


@pytest.mark.parametrize("prediction", OUTCOMES)
def test_each_outcome_is_one_sentence_without_a_number_one_next_step_and_its_numbers(prediction):
    said = verdict_words(prediction)
    for words in (said.sentence, said.next_step, said.numbers):
        assert words.endswith(".") and words[:-1].count(". ") == 0
    assert not any(letter.isdigit() for letter in said.headline + said.sentence + said.next_step)
    assert any(letter.isdigit() for letter in said.numbers)


def test_no_share_is_all_or_nothing():
    assert [percent(share) for share in (0, 0.0099, 0.01, 0.5, 0.99, 0.9901, 1)] == [
        "<1 %", "<1 %", "1 %", "50 %", "99 %", ">99 %", ">99 %"
    ]  # fmt: skip


def test_a_share_is_never_rounded_across_the_limit_that_decided():
    for limit in (0.9, 0.94, 0.5, 0.3647):
        for distance in (1e-2, 1e-3, 1e-4, 2e-5):
            below, above = percent(limit - distance, limit), percent(limit + min(distance, 1 - limit), limit)
            assert float(below.split()[-2]) < 100 * limit
            assert float(above.split()[-2]) >= 100 * limit


@pytest.mark.parametrize(
    ("slices", "headline", "parts"),
    [
        ("." * 12 + "ggg" + "." * 15, "Looks like: glioma", ["3 neighboring slices of the 30", "3 are enough"]),
        ("p" * 150, "Looks like: pituitary tumor", ["150 neighboring slices of the 150", "6 are enough"]),
        ("." * 9 + "uuu" + "." * 9, "Looks like: a tumor, type unclear", ["3 neighboring slices", "no type is clear"]),
        ("." * 29 + "g", "No tumor seen", ["29 of the 30", "at least 80 %"]),
        ("." * 12 + "gg" + "." * 15, "Uncertain: needs a specialist", ["2 neighboring slices", "which takes 3"]),
        ("." * 12 + "???" + "." * 15, "Uncertain: needs a specialist", ["27 of the 30", "but 3 neighboring slices"]),
        ("...?" * 7, "Uncertain: needs a specialist", ["21 of the 28", "the required 80 %", "no 3 neighboring slices"]),
        ("gg,,", "Too few slices to judge the whole", ["Only 2 of 4", "needs 3"]),
        ("x" * 11 + "." * 10, "Not sure that this is a brain MRI", ["11 of the 21", "more than half"]),
    ],
)
def test_the_words_on_a_volume_tell_the_figures_that_decided(slices, headline, parts):
    said = volume_words(judge(slices))
    assert said.headline == headline
    for words in (said.sentence, said.next_step):
        assert words.endswith(".")
    why = said.numbers or said.sentence
    assert why.endswith(".") and ". " not in why
    for part in parts:
        assert part in why


def test_a_checkpoint_of_other_classes_says_nothing_on_a_volume():
    cat = Prediction("cat", {"cat": 0.9, "dog": 0.1}, "cat")
    headline, why, *_ = volume_words(judge_volume([cat] * 5, [True] * 5))
    assert headline == "No verdict on the whole" and "other classes" in why


def test_the_rule_in_words_has_the_figures_of_the_rule():
    assert f"{LEAST_SLICES} or more neighboring slices" in RULE
    assert f"{100 * STRETCH_SHARE:.0f} %" in RULE
    assert f"at least {100 * CLEAR_SHARE:.0f} %" in RULE


def judged(letters: str, kind: str = "volume", word: str = "slice", weaknesses=(), step: int = 1) -> JudgedUpload:
    """An upload of such slices, as `tests.volumes` spells them; a capital does not count."""
    slices = [Slice(None, f"{word} {1 + step * i}", not letter.isupper()) for i, letter in enumerate(letters)]
    volume = judge(letters) if kind == "volume" else None
    predictions = [prediction(letter.lower()) for letter in letters]
    return JudgedUpload(Upload("a", kind, slices, notes=["A note."]), predictions, volume, list(weaknesses))


def test_a_volume_is_told_as_a_whole_and_its_middle_slice_does_not_stand_for_it():
    whole = judged("........ggg")
    assert judged_words(whole) == volume_words(whole.volume)
    assert judged_words(whole)[0] == "Looks like: glioma"
    assert slice_words(whole, 5)[0] == "No tumor seen"


def test_pages_have_a_headline_that_counts_and_no_verdict():
    headline, sentence, *_ = judged_words(judged("gm.....u", "pages", "page"))
    assert headline == "8 pages, each judged by itself: 5 no tumor, 3 a tumor"
    assert sentence.endswith("no verdict on the whole, and no page stands for the others.")
    headline, *_ = judged_words(judged("?x.", "pages", "frame"))
    assert headline == "3 frames, each judged by itself: 1 uncertain, 1 not sure that it is a brain MRI, 1 no tumor"


def test_a_slice_is_named_by_its_number_among_all_and_as_the_peak_if_it_is():
    assert slice_name(judged("..g"), 2) == "slice 3 of 3, the one with the highest tumor probability"
    assert slice_name(judged("..g"), 1) == "slice 2 of 3"
    assert slice_name(judged("..g", step=3), 1) == "slice 4 (3 were read)"
    assert slice_words(judged("G..."), 0)[:2] == ("Not judged", "It shows too little of the head.")


MISSED, TYPE = (Share(0.1351, 74), Share(0.012, 1500)), (Share(0.559, 59), Share(0.957, 900))


@pytest.mark.parametrize(
    ("weakness", "sentence"),
    [
        (
            Weakness("T2", "sequence", worse={"missed": MISSED}, other_people=True),
            'The file says T2. On such slices of people it had not seen, the model called 13.5 % of the tumors "no '
            'tumor" (74 slices), against 1.2 % in T1 with contrast.',
        ),
        (
            Weakness("T1", "sequence", True, {"missed": MISSED, "right_type": TYPE}),
            "The file says T1 without contrast. On such slices of its test part, the model called 13.5 % of the tumors "
            '"no tumor" (74 slices), against 1.2 %, and named the right type of 55.9 % of the tumors (59 slices), '
            "against 95.7 % in T1 with contrast.",
        ),
        (
            Weakness("T1", "sequence", False, {"right_type": TYPE}, other_people=True),
            "The file says T1, and nothing of contrast. Without it, on slices of people it had not seen, the model "
            "named the right type of 55.9 % of the tumors (59 slices), against 95.7 % in T1 with contrast.",
        ),
        (Weakness("CT", "modality"), "The file says CT, and the model was trained on MRI alone."),
        (
            Weakness("spine", "body part", caught=Share(0.7662, 77)),
            "The file says spine, and the model was trained on the head alone. Its check of uploads turned away 76.6 % "
            "of such pictures (77 slices), and judged the others.",
        ),
    ],
    ids=lambda value: value.says if isinstance(value, Weakness) else "",
)
def test_what_speaks_against_a_verdict_is_a_sentence_with_its_figures(weakness, sentence):
    scan = judged(".", "picture", weaknesses=[weakness])
    assert cautions(scan) == [sentence]
    assert notes_of(scan) == ["A note.", sentence]
