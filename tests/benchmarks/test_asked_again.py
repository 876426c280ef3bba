"""The benchmark of the button "Ask it again" counts what it says it counts."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.quality import asked_again
from brain_tumor.inference.asking import Guise
from brain_tumor.inference.prediction import Prediction
from brain_tumor.inference.verdict import Thresholds
from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR
from tests.slices import draw_slice


@pytest.mark.parametrize(
    ("verdict", "label", "right"),
    [
        ("glioma", 0, True),
        ("glioma", 1, False),
        ("glioma", NO_TUMOR, False),
        ("glioma", TUMOR, True),
        ("tumor", 3, True),
        ("tumor", TUMOR, True),
        ("tumor", NO_TUMOR, False),
    ],
)
def test_a_verdict_is_right_if_the_slice_shows_the_tumor_that_it_names(verdict, label, right):
    assert asked_again.is_right(verdict, label) is right


def test_the_difference_is_between_wrong_and_right_verdicts_and_its_interval_over_patients():
    right = np.repeat([True, False], 60)
    said = np.concatenate([np.arange(60) % 10 < 2, np.arange(60) % 10 < 7])
    alone = asked_again.difference(said, right, np.arange(120))
    assert alone["difference"] == pytest.approx(0.5)
    low, high = alone["interval"]
    assert 0.3 < low < 0.5 < high < 0.7
    copies = asked_again.difference(said, right, np.arange(120) // 10 + 100 * said)
    assert np.ptp(copies["interval"]) > np.ptp(alone["interval"])
    assert asked_again.difference(said, ~right, np.arange(120))["difference"] == pytest.approx(-0.5)


class Part:
    """A few slices: two gliomas, a slice without a tumor that is called one, and one that is not."""

    def __init__(self):
        self.rows = [
            {"image": {"bytes": None, "number": n}, "label": label, "group": n} for n, label in enumerate([0, 0, 2, 2])
        ]
        self.num_rows = len(self.rows)

    def __getitem__(self, key):
        return [row[key] for row in self.rows] if isinstance(key, str) else self.rows[key]

    def select(self, places):
        part = Part()
        part.rows = [self.rows[place] for place in places]
        return part


class Classifier:
    """Calls the first three slices a glioma. With the region covered that of the first is gone, and no other."""

    def predict(self, pictures):
        return [self.of(number, picture) for number, picture in enumerate(pictures)]

    def of(self, number, picture):
        several = len(LABELS) * [0.0]
        share = 0.05 if number == 3 else 0.95
        if picture.info.get("mark") is None and number == list(Guise)[1:].index(Guise.COVERED):
            share = self.covered
        several[0], several[NO_TUMOR] = share, 1 - share
        maps = {label: np.eye(6, dtype=np.float32) * 20 for label in LABELS}
        verdict = "glioma" if share > 0.4 else "no_tumor"
        return Prediction(verdict, dict(zip(LABELS, several, strict=True)), verdict, 1.0, maps, Thresholds(0.9, 0.4))


def test_all_wrong_verdicts_and_some_right_ones_are_asked_again(monkeypatch):
    def open_picture(image):
        picture = draw_slice(image["number"], side=128).convert("RGB")
        picture.info["mark"] = True
        return picture

    monkeypatch.setattr(asked_again, "open_picture", open_picture)
    classifier, covered = Classifier(), iter([0.05, 0.94, 0.94])
    ask = asked_again.ask_again

    def ask_again(predict, image: Image.Image, first):
        classifier.covered = next(covered)
        return ask(predict, image, first)

    monkeypatch.setattr(asked_again, "ask_again", ask_again)
    found = asked_again.measure(classifier, Part(), most=10)
    assert found["verdicts"] == {"right": 2, "wrong": 1}
    assert found["distrusted"]["right"]["share"] == 0.5 and found["distrusted"]["right"]["pictures"] == 2
    assert found["distrusted"]["wrong"]["share"] == 1.0
    assert found["difference"]["difference"] == 0.5
    assert found["within"]["glioma"]["wrong"]["pictures"] == 1
    assert found["mean_tumor_probability"]["region covered"]["right"] == pytest.approx((0.05 + 0.94) / 2)
    covered = iter([0.05, 0.94])
    few = asked_again.measure(classifier, Part(), most=1)
    assert few["distrusted"]["right"]["pictures"] == 1 and few["verdicts"]["right"] == 2
