"""The rules by which benchmarks choose and compare."""

import json

import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks.ideas import compare


def run_with(missed: int, weak_missed: int, accuracy_: float, nll: float) -> dict:
    matrix = [[10, 0, missed, 0], [0, 10, 0, 0], [0, 0, 10, 0], [0, 0, 0, 10]]
    return {
        "validation": {"confusion_matrix": matrix, "accuracy": accuracy_, "nll": nll},
        "tumor_validation": {"called_no_tumor": weak_missed / 77, "slices": 77},
    }


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ({"a": (1, 0, 0.980, 0.05), "b": (0, 0, 0.978, 0.06)}, "b"),
        ({"a": (1, 0, 0.980, 0.05), "b": (0, 0, 0.974, 0.06)}, "a"),  # more than half a point less accurate
        ({"a": (0, 2, 0.980, 0.05), "b": (1, 0, 0.980, 0.06)}, "b"),  # weakly labelled tumours count alike
        ({"a": (1, 1, 0.980, 0.06), "b": (2, 0, 0.980, 0.05)}, "b"),  # as many missed: the lower NLL
    ],
)
def test_the_checkpoint_that_misses_fewer_validation_tumours_is_shipped(runs, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(accuracy, "RESULTS", tmp_path)
    for name, figures in runs.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(run_with(*figures)))
    assert accuracy.winner(list(runs)) == expected


def test_an_idea_is_compared_on_the_same_slices_and_copies_count_as_one_piece_of_evidence():
    random = np.random.default_rng(0)
    base = random.random(400) < 0.9
    better = base | (random.random(400) < 0.3)
    alone = compare(better, base, np.arange(400))
    copies = compare(better, base, np.arange(400) // 20)
    assert alone["difference"] == copies["difference"] == pytest.approx(better.mean() - base.mean())
    assert alone["only_base_right"] == 0
    assert alone["only_idea_right"] == (better & ~base).sum()
    assert alone["interval"][0] < alone["difference"] < alone["interval"][1]
    some, every = np.repeat(np.arange(20) % 4 > 0, 20), np.ones(400, bool)
    wide = compare(every, some, np.arange(400) // 20)["interval"]
    narrow = compare(every, some, np.arange(400))["interval"]
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])
