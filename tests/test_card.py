"""The model's card and the README's front matter say what the Hub needs, and only what was measured."""

import json
import re

import pytest
import yaml
from huggingface_hub import ModelCard, SpaceCard

from benchmarks.accuracy import RESULTS, ROOT
from brain_tumor.card import command_for_everyone, write_card
from brain_tumor.run import public_name

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
    write_card(results, tmp_path / "README.md")
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


def test_a_command_with_folders_becomes_one_with_hub_ids():
    command = "python train.py --dataset_name brain-tumour-MRI-scan --model_name_or_path mobilenet_v2_1.0_224"
    assert command_for_everyone(command).split()[3::2] == [
        "Simezu/brain-tumour-MRI-scan",
        "google/mobilenet_v2_1.0_224",
    ]


def test_readme_table_is_what_the_results_say():
    from benchmarks.readme import END, README, START, table

    assert list(RESULTS.glob("*.json")), "no results, no table"
    assert f"{START}\n{table()}\n{END}" in README.read_text()


def test_folders_are_named_without_their_place_and_hub_ids_in_full(tmp_path):
    (tmp_path / "my slices").mkdir()
    assert public_name(str(tmp_path / "my slices")) == "my slices"
    assert public_name("microsoft/resnet-18") == "microsoft/resnet-18"
