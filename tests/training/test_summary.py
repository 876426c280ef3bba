"""What a training says at its end fits a screen and says what the results say."""

import numpy as np
import pytest

from brain_tumor.evaluation.figures import evaluate_parts
from brain_tumor.inference.verdict import Thresholds
from brain_tumor.labels import TUMOR
from brain_tumor.training.summary import summary
from tests.evaluation.drawn_logits import part_of, random_logits

SETS = [f"set-of-a-long-name-{number}" for number in range(11)]


def results_of(labels, logits, part: str) -> dict:
    n = len(labels)
    rows = part_of(
        labels, np.arange(n) // 2, np.arange(n) % 10 == 0, patients=[f"p{i // 4}" for i in range(n)], sets=SETS,
        numbers=np.arange(n) % 11, sequences=[("T1", "T2", "FLAIR", "")[i % 4] for i in range(n)],
    )  # fmt: skip
    sections = evaluate_parts({part: logits}, {part: rows}, 1.0, Thresholds(0.9, 0.6, 0.5))
    return {"dataset": SETS[0], "split": "patients", **sections}


def test_the_summary_of_a_training_says_in_a_screen_how_well_it_went_and_what_comes_next():
    logits, labels = random_logits(440, 5)
    results = results_of(labels, logits, "test")
    lines = summary(results, "runs/my model", "me/mine").splitlines()
    assert len(lines) <= 16 and max(map(len, lines)) <= 150, "eleven sets take some lines"
    text, test = " ".join(" ".join(lines).split()), results["test"]
    assert f"accuracy {100 * test['accuracy']:.1f} % of {test['slices']} slices" in text
    assert f"by patient {100 * test['by_patient']['accuracy']:.1f} % as a mean over" in text
    assert f"copies {test['slices_with_copy_in_train']} of {test['slices']} slices have a copy" in text
    right = (logits.argmax(axis=1) == labels).reshape(-1, 11)
    for number, name in enumerate(SETS):
        assert f"{name} {100 * right[:, number].mean():.1f} % of 40" in text
    right = right.reshape(-1, 4)
    for number, name in enumerate(("T1", "T2", "FLAIR", "not known")):
        assert f"{name} {100 * right[:, number].mean():.1f} % of 110" in text
    assert f"sensitivity {100 * test['decision']['sensitivity']:.1f} %" in text
    assert "MODEL_ID='runs/my model' python app.py" in text
    assert "train.py --push_only 'runs/my model' --hub_model_id me/mine" in text
    assert "python -m brain_tumor.evaluation 'runs/my model' ANOTHER_SET" in text


def test_a_training_on_one_set_says_it_in_ten_lines_or_so():
    logits, labels = random_logits(40, 5)
    results = results_of(labels, logits, "test")
    for name in ("by_set", "by_sequence"):
        results["test"][name] = results["test"][name][:1]
    assert 9 <= len(summary(results, "runs/mine").splitlines()) <= 12


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_part_of_tumors_of_unknown_type_has_a_summary_too(part):
    logits, _ = random_logits(44, 5)
    text = summary(results_of(np.full(44, TUMOR), logits, part), "runs/mine")
    assert "by set" in text and "accuracy" not in text and "Everything is in runs/mine." in text
    assert ("--push_only" in text) == (part == "test"), "a training without a test part is not to be published"
