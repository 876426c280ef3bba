"""The scorecard tells what results hold, of enough slices and patients, and nothing else."""

import copy
import json
import math
import re
from pathlib import Path

import pytest

from brain_tumor.evaluation.scorecard import about_the_figures, basis, mean_rate, scorecard

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "model" / "results.json"
TITLES = [
    "Tumors that it misses",
    "False alarms",
    "The right type",
    "How sure one may be",
    "Where it fails first",
]


def assert_is_a_sentence(text):
    assert (
        re.match(r"[A-Z]", text) and text.endswith(".") and not re.search(r"None|nan|\{|\}|\bfewer than 1 are", text)
    ), text


def share(value, slices=100, patients=10, interval=(0.0, 1.0)):
    return {"value": value, "interval": list(interval), "slices": slices, "patients": patients}


def row(set_, sequence="", plane="", **figures):
    names = ("missed", "right_type", "specificity", "uncertain", "verdict_sensitivity", "verdict_specificity")
    return {"set": set_, "sequence": sequence, "plane": plane} | dict.fromkeys((*names, "type_unclear")) | figures


def results(*rows, split="patients", **test):
    return {"split": split, "test": {"by_kind": list(rows)} | test}


def lines(*rows, **test):
    return {line.title: line for line in scorecard(results(*rows, **test))}


def full_results():
    return results(
        row("a", "T1C+", verdict_sensitivity=share(0.998), right_type=share(0.9), type_unclear=share(0.1)),
        row("a", "T2", verdict_sensitivity=share(0.88), right_type=share(0.7), type_unclear=share(0.2)),
        row("b", verdict_specificity=share(0.9), uncertain=share(0.05)),
        slices=400,
        groups=40,
        ece=0.033,
        intervals={"ece": [0.01, 0.05]},
        risk_coverage={"points": [[0.5, 0.02], [1.0, 0.08]]},
    )


def test_there_are_five_lines_of_sentences_with_what_they_rest_on():
    found = scorecard(full_results())
    assert [line.title for line in found] == TITLES
    for line in found:
        assert_is_a_sentence(line.sentence)
        assert re.search(r"\d+ slices of (up to )?\d+ patients", line.basis) and "95 % interval" in line.basis


def test_misses_are_told_of_all_and_of_each_sequence_with_its_own_patients():
    found = lines(
        row("a", "T1C+", verdict_sensitivity=share(0.998, 500, 40)),
        row("a", "T2", verdict_sensitivity=share(0.88, 74, 22, (0.76, 0.99))),
        row("b", verdict_sensitivity=share(1.0, 50, 5)),
    )["Tumors that it misses"]
    mean = (0.002 * 500 / 574 + 0.12 * 74 / 574) / 2
    assert found.figure == f"about {100 * mean:.0f} of 100"
    assert "in T1 with contrast fewer than 1, in T2 about 12." in found.sentence
    assert "T2: 95 % interval 1 to 24 of 100, 74 slices of 22 patients." in found.basis
    assert "624 slices of up to 67 patients, 2 sets" in found.basis


@pytest.mark.parametrize(("slices", "patients"), [(19, 10), (100, 2)])
def test_nothing_is_said_of_few_slices_or_patients(slices, patients):
    few = share(0.1, slices, patients)
    told = {"verdict_sensitivity": share(0.9), "verdict_specificity": share(0.9), "right_type": share(0.9)}
    with_few = scorecard(results(row("a", "T1C+", **told), row("b", "T2", **dict.fromkeys(told, few))))
    assert with_few == scorecard(results(row("a", "T1C+", **told)))
    assert scorecard(results(row("b", "T2", **dict.fromkeys(told, few)))) == []
    few_of_main = {"slices": slices, "groups": patients, "ece": 0.1, "risk_coverage": {"points": [[0.5, 0], [1, 0]]}}
    assert scorecard(results(**few_of_main)) == []


def test_rows_of_single_planes_do_not_count_twice():
    whole = row("a", "T1", verdict_specificity=share(0.9))
    plane = row("a", "T1", "axial", verdict_specificity=share(0.1))
    assert scorecard(results(whole, plane)) == scorecard(results(whole))


def test_without_thresholds_the_most_probable_class_speaks():
    found = lines(row("a", missed=share(0.25), specificity=share(0.75)))
    assert found["Tumors that it misses"].figure == "about 25 of 100"
    assert found["False alarms"].figure == "about 25 of 100"


def test_where_it_fails_first_is_the_kind_with_most_errors_and_needs_another_to_compare_with():
    good, bad = (row(name, "T2", verdict_sensitivity=share(value)) for name, value in (("good", 0.99), ("bad", 0.8)))
    assert (
        lines(good, bad)["Where it fails first"].sentence == "It misses the most tumors in T2 of bad (about 20 of 100)."
    )
    assert "Where it fails first" not in lines(bad)
    assert "Where it fails first" not in lines(*(row(name, verdict_sensitivity=share(1.0)) for name in "ab"))


def test_each_set_counts_once_and_the_interval_is_that_of_a_mean_of_independent_shares():
    rate = mean_rate(
        [row("a", missed=share(0.2, 1000, 9, (0.1, 0.3))), row("b", missed=share(0.4, 50, 5, (0.2, 0.6)))], "missed"
    )
    assert rate.value == pytest.approx(0.3)
    assert rate.bounds == pytest.approx((0.3 - math.hypot(0.05, 0.1), 0.3 + math.hypot(0.05, 0.1)))
    assert (rate.slices, rate.patients, rate.sets) == (1050, 14, 2)
    assert (~rate).value == pytest.approx(0.7) and (~rate).bounds == pytest.approx(
        (1 - rate.bounds[1], 1 - rate.bounds[0])
    )


def test_a_share_without_an_interval_is_told_without_one():
    rate = mean_rate([row("a", missed=share(0.2) | {"interval": None})], "missed")
    assert basis(rate) == "100 slices of 10 patients" and (~rate).bounds is None


def test_it_is_said_whether_the_patients_were_in_training():
    assert about_the_figures(results()).startswith(
        "No patient and no copy of a slice of the test part was in training."
    )
    some = results(by_patient={"patients": 131, "known": 33})
    assert "of the main set's 131 patients 33 are known by number" in about_the_figures(some)
    assert "of the others" not in about_the_figures(results(by_patient={"patients": 9, "known": 9}))
    for split in ("published", "copy_free"):
        assert "on new patients it does worse" in about_the_figures(results(split=split))
    assert "in training" not in about_the_figures({})


def walk(tree, path=()):
    """Every way to a value."""
    yield path
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from walk(value, (*path, key))


def test_any_part_of_results_may_be_missing():
    whole = full_results()
    required = {"value", "slices", "patients", "set", "sequence", "plane"}  # what a row has if there is one
    for path in walk(whole["test"]):
        if not path or isinstance(path[-1], int) or path[-1] in required:
            continue
        less = copy.deepcopy(whole)
        place = less["test"]
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        for line in scorecard(less):
            assert_is_a_sentence(line.sentence)
    assert scorecard({}) == scorecard({"test": {}}) == []


@pytest.mark.skipif(not BUNDLED.is_file(), reason="needs the bundled checkpoint's results")
def test_the_bundled_checkpoints_figures_are_its_results_own():
    own = json.loads(BUNDLED.read_text())
    found = {line.title: line for line in scorecard(own)}
    assert list(found) == TITLES
    t2 = [r for r in own["test"]["by_kind"] if r["sequence"] == "T2" and not r["plane"] and r["verdict_sensitivity"]]
    if len({r["set"] for r in t2}) == len(t2):
        mean = 1 - sum(r["verdict_sensitivity"]["value"] for r in t2) / len(t2)
        assert f"in T2 about {100 * mean:.0f}" in found["Tumors that it misses"].sentence
    risk = dict(own["test"]["risk_coverage"]["points"])[1.0]
    assert f"of 100 answers, about {100 * risk:.0f} are wrong" in found["How sure one may be"].sentence
    assert f"by about {100 * own['test']['ece']:.0f} point" in found["How sure one may be"].sentence


def test_there_are_no_more_patients_than_in_the_whole_test_part():
    rows = [row(name, verdict_sensitivity=share(0.9, 100, 10)) for name in "ab"]
    known = results(*rows) | {"patients": {"train": 99, "test": 15}}
    assert "200 slices of up to 15 patients" in scorecard(known)[0].basis
    assert "200 slices of up to 20 patients" in scorecard(results(*rows))[0].basis


def test_a_set_counts_with_every_slice_of_it_also_where_a_kind_of_scan_has_too_few():
    told = row("a", "T1", verdict_specificity=share(1.0, 33, 3))
    whole = {"name": "a", "slices": 48, "missed": None, "verdict_specificity": share(0.979, 48, 3)}
    assert lines(told)["False alarms"].figure == "none of 100"
    assert lines(told, by_set=[whole])["False alarms"].figure == "about 2 of 100"
    assert lines(told, by_set=[{"name": "a", "slices": 48}])["False alarms"].figure == "none of 100"
