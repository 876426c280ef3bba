"""The model's card and the README's front matter say what the Hub needs, and only what was measured."""

import json
import re

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard, SpaceCard

from benchmarks.quality.accuracy import RESULTS, ROOT
from brain_tumor.evaluation.card import command_for_everyone, write_card
from brain_tumor.evaluation.figures import evaluate_parts
from brain_tumor.evaluation.figures_text import figures_section, shown_bounds, shown_value
from brain_tumor.inference.verdict import Thresholds
from brain_tumor.labels import NO_TUMOR, TUMOR
from brain_tumor.provenance import public_name
from brain_tumor.publishing.export import summary
from tests.test_evaluation import part_of, random_logits

# What the Hub's documentation lists for a Gradio Space and for a model-index entry.
SPACE_FIELDS = {"title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "license"}
SPACE_COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def front_matter(text: str) -> dict:
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL).group(1))


@pytest.fixture(scope="module")
def results():
    return json.loads((ROOT / "model" / "results.json").read_text())


def test_readme_opens_as_the_card_of_a_gradio_space():
    text = (ROOT / "README.md").read_text()
    fields = front_matter(text)
    assert fields.keys() >= SPACE_FIELDS | {"models", "datasets", "tags", "short_description", "suggested_hardware"}
    assert fields["sdk"] == "gradio"
    assert f"gradio=={fields['sdk_version']}" in (ROOT / "requirements.txt").read_text()
    assert fields["python_version"] == "3.11"
    assert isinstance(fields["python_version"], str), "YAML would read 3.10 as 3.1"
    assert (ROOT / fields["app_file"]).is_file()
    assert {fields["colorFrom"], fields["colorTo"]} <= SPACE_COLORS
    assert len(fields["short_description"]) <= 60
    assert fields["suggested_hardware"] == "cpu-basic"
    assert SpaceCard(text).data.to_dict()["sdk"] == "gradio"


def test_bundled_card_holds_every_field_of_the_hub_and_the_figures_of_its_results(results):
    card = ModelCard.load(ROOT / "model" / "README.md")
    fields = front_matter(str(card))
    assert fields["license"] == "apache-2.0"
    assert fields["pipeline_tag"] == "image-classification"
    assert fields["library_name"] == "transformers"
    assert fields["base_model"] == "google/mobilenet_v2_1.0_224"
    assert fields["datasets"] == ["Simezu/brain-tumour-MRI-scan"]
    for entry in fields["model-index"]:
        assert entry["name"]
        for result in entry["results"]:
            assert result["task"]["type"] == "image-classification"
            assert result["dataset"].keys() >= {"type", "name", "split"}
            for metric in result["metrics"]:
                assert metric["value"] == pytest.approx(results["test"][metric["type"]], abs=5e-5)
    measured = {result.metric_type for result in card.data.eval_results}
    assert measured == {"accuracy", "macro_recall", "sensitivity", "specificity", "ece"}


def test_bundled_card_is_what_the_template_makes_of_the_results(results, tmp_path):
    exported = json.loads((ROOT / "model/onnx/results.json").read_text())
    write_card(results, tmp_path / "README.md", exported=summary(exported))
    assert (tmp_path / "README.md").read_text() == (ROOT / "model" / "README.md").read_text()


def test_bundled_card_says_the_command_the_slices_used_and_what_it_is_not(results):
    text = (ROOT / "model" / "README.md").read_text()
    used = sum(sum(part.values()) for part in results["counts"].values())
    assert f"{used} slices of `Simezu/brain-tumour-MRI-scan` were used" in text
    assert "--dataset_name Simezu/brain-tumour-MRI-scan" in text
    assert "--model_name_or_path google/mobilenet_v2_1.0_224" in text
    for words in ("Not a medical device", "not patient-level", "Apache-2.0", "CC0-1.0", "more than 8 bits"):
        assert words in text, words
    assert "{{" not in text
    assert "{%" not in text


# --- what newer results hold ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def new_results(results):
    """The bundled results with everything that an evaluation measures now, of random predictions."""
    logits, labels = random_logits(300, 21, skill=3.0)
    parts = {"validation": part_of(labels, np.arange(300), np.zeros(300, bool))}
    sources = [f"a/{'Tr' if i % 3 else 'Te'}-x_{i}.jpg" for i in range(300)]
    parts["test"] = parts["validation"].add_column("source", sources)
    parts["tumor_test"] = part_of(np.full(300, TUMOR), np.arange(300) // 5, np.zeros(300, bool))
    sections = evaluate_parts(dict.fromkeys(parts, 2 * logits), parts, 2.0, Thresholds(0.9312, 0.6178))
    rows = [{"name": "at 112 px", "value": 0.4321, "interval": [0.4, 0.5], "note": "a note"}]
    return {**results, **sections, "tumor_dataset": "br35h-tumors", "probes": rows}


def rows_of(text: str, title: str) -> list[list[str]]:
    """The cells of the first table after these words."""
    lines = text[text.index(title) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|---"))
    table = lines[start + 1 :]
    end = next((i for i, line in enumerate(table) if not line.startswith("|")), len(table))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[:end]]


def test_card_tells_verdicts_misses_calibration_sources_and_other_scans_from_the_results(new_results, tmp_path):
    write_card(new_results, tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text()
    test, weak = new_results["test"], new_results["tumor_test"]
    verdicts = rows_of(text, "### The verdict")
    assert [row[1] for row in verdicts] == ["{} of {}".format(*c) for c in test["decision"]["counts"].values()]
    assert verdicts[0][2:] == [
        shown_value("", test["decision"]["sensitivity"]),
        shown_bounds("", test["decision"]["intervals"]["sensitivity"]),
    ]
    assert "0.9312" in text and "0.6178" in text and "decision_thresholds" in text
    assert f"0.9: {test['dangerous_misses']['count']} of {test['dangerous_misses']['tumors']}" in text
    calibration = rows_of(text, "### Calibration before and after")
    for row, when in zip(calibration, ("before", "after"), strict=True):
        assert row == [when, *(f"{test['calibration'][when][n]:.3f}" for n in ("nll", "brier", "ece", "classwise_ece"))]
    assert [row[0] for row in rows_of(text, "### By source")] == [row["source"] for row in test["by_source"]]
    other = rows_of(text, "### Tumors in other kinds of scan")
    assert other[0][1] == shown_value("", weak["called_no_tumor"]) and "60 groups of copies of `br35h-tumors`" in text
    assert rows_of(text, "Does it look at the tumor?") == [["at 112 px", "43.2 %", "40.0 to 50.0", "a note"]]
    glioma = rows_of(text, "| class | precision")[0]
    assert glioma[1].endswith(f"({shown_bounds('', test['per_class']['glioma']['intervals']['precision'])})")
    assert "{{" not in text and "{%" not in text and "None" not in text and "Undefined" not in text


def test_card_says_the_share_of_tumors_that_confidences_hold_at(results, tmp_path):
    counts = {part: {"glioma": 3, "meningioma": 2, "no_tumor": 9, "pituitary": 4} for part in results["counts"]}
    write_card({**results, "counts": counts}, tmp_path / "README.md")
    assert "share of tumors, 50 % of the slices" in (tmp_path / "README.md").read_text()


def test_tables_of_a_card_are_whole(new_results, results, tmp_path):
    for number, content in enumerate((new_results, results)):
        write_card(content, tmp_path / f"{number}.md")
        lines = (tmp_path / f"{number}.md").read_text().splitlines()
        for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
            if line.startswith("|---"):
                assert before.count("|") == line.count("|") == after.count("|"), (before, line, after)


def test_what_was_not_measured_is_not_in_the_card():
    older = json.loads((RESULTS / "scans_copy-free_baseline-cnn_seed42.json").read_text())
    text = figures_section(older, "test")
    for title in ("The verdict", "other kinds of scan", "Dangerous", "By source", "Does it look", "Brier"):
        assert title not in text


def test_part_without_healthy_slices_shows_dashes():
    logits, labels = random_logits(40, 3)
    labels = np.where(labels == NO_TUMOR, 0, labels)
    part = part_of(labels, np.arange(40), np.zeros(40, bool))
    sections = evaluate_parts({"test": logits}, {"test": part}, thresholds=Thresholds(0.9, 0.6))
    text = figures_section({"dataset": "x", "split": "copy_free", **sections}, "test")
    assert rows_of(text, "### The verdict")[1][1:] == ["0 of 0", "-", "-"]


def test_a_command_with_folders_becomes_one_with_hub_ids():
    command = "python train.py --dataset_name brain-tumour-MRI-scan --model_name_or_path mobilenet_v2_1.0_224"
    assert command_for_everyone(command).split()[3::2] == [
        "Simezu/brain-tumour-MRI-scan",
        "google/mobilenet_v2_1.0_224",
    ]


def test_readme_table_is_what_the_results_say():
    from benchmarks.readme import BELIEVE_END, BELIEVE_START, END, README, START, evaluation, table

    assert list(RESULTS.glob("*.json")), "no results, no table"
    assert f"{START}\n{table()}\n{END}" in README.read_text()
    assert f"{BELIEVE_START}\n{evaluation()}\n{BELIEVE_END}" in README.read_text()


def test_folders_are_named_without_their_place_and_hub_ids_in_full(tmp_path):
    (tmp_path / "my slices").mkdir()
    assert public_name(str(tmp_path / "my slices")) == "my slices"
    assert public_name("microsoft/resnet-18") == "microsoft/resnet-18"
