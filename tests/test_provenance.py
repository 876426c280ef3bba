"""Results say what they were made with, and those of earlier versions stay readable."""

import json
import sys
from pathlib import Path

import pytest

from brain_tumor.evaluation.figures_text import figures_section
from brain_tumor.provenance import command_line, public_name, read_results, results_of_run

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = [ROOT / "model/results.json", *sorted((ROOT / "benchmarks/results").rglob("*.json"))]


def keys_of(value) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for item in value.values() for key in keys_of(item)}
    return {key for item in value for key in keys_of(item)} if isinstance(value, list) else set()


def values_of(value) -> list:
    """All that is no container, in order."""
    if isinstance(value, dict | list):
        return [one for item in (value.values() if isinstance(value, dict) else value) for one in values_of(item)]
    return [value]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_all_results_of_the_repository_are_read_with_todays_keys_and_their_values(path):
    results = read_results(path)
    assert not {key for key in keys_of(results) if "tumour" in key and "-" not in key}
    assert values_of(results) == values_of(json.loads(path.read_text()))


def test_keys_in_british_spelling_become_todays_and_names_stay(tmp_path):
    old = {
        "dataset": "brain-tumour-MRI-scan",
        "test": {
            "uncertain_tumours": 0.1,
            "dangerous_misses": {"tumours": 9},
            "by_source": [{"source": "no_tumour", "missed_tumours": 2}],
        },
        "sets": {"brain-tumour-MRI-scan": {"tumor": 1}},
    }
    (tmp_path / "results.json").write_text(json.dumps(old))
    assert read_results(tmp_path / "results.json") == {
        "dataset": "brain-tumour-MRI-scan",
        "test": {
            "uncertain_tumors": 0.1,
            "dangerous_misses": {"tumors": 9},
            "by_source": [{"source": "no_tumour", "missed_tumors": 2}],
        },
        "sets": {"brain-tumour-MRI-scan": {"tumor": 1}},
    }


def test_results_of_an_earlier_version_have_all_their_figures(tmp_path):
    results = json.loads((ROOT / "model/results.json").read_text())
    row = {"source": "train x", "slices": 9, "groups": 2, "accuracy": 1.0, "interval": None, "missed_tumours": 3}
    results["test"]["by_source"] = [row]
    (tmp_path / "results.json").write_text(json.dumps(results))
    read = read_results(tmp_path / "results.json")
    assert read["test"]["by_source"][0]["missed_tumors"] == 3
    assert read["datasets"][0] == "Simezu/brain-tumour-MRI-scan", "names of sets are left alone"
    assert "Undefined" not in figures_section(read, "test")


@pytest.mark.parametrize("content", ["", "[]", "null", "<html>"])
def test_what_is_no_json_object_is_no_result(content, tmp_path):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError):
        read_results(tmp_path / "results.json")
    assert results_of_run(tmp_path) is None
    assert results_of_run(tmp_path / "nowhere") is None


def test_the_results_of_a_run_are_those_of_its_checkpoints_too(tmp_path):
    (tmp_path / "results.json").write_text('{"seed": 7}')
    (tmp_path / "checkpoint-12").mkdir()
    assert results_of_run(tmp_path) == results_of_run(tmp_path / "checkpoint-12") == {"seed": 7}


def test_a_command_names_no_place_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["train.py", "--dataset_name", str(tmp_path / "my slices"), "--output_dir", "../x/y"]
    )
    assert str(tmp_path) not in command_line()
    assert "'my slices' --output_dir y" in command_line()


def test_folders_are_named_without_their_place_and_hub_ids_in_full(tmp_path):
    (tmp_path / "my slices").mkdir()
    assert public_name(str(tmp_path / "my slices")) == "my slices"
    assert public_name("microsoft/resnet-18") == "microsoft/resnet-18"
