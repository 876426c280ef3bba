"""The README opens as the card of a Gradio Space."""

import re
from pathlib import Path

import yaml
from huggingface_hub import SpaceCard

ROOT = Path(__file__).resolve().parents[1]

# What the Hub's documentation lists for a Gradio Space.
SPACE_FIELDS = {"title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "license"}
SPACE_COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def test_readme_opens_as_the_card_of_a_gradio_space():
    text = (ROOT / "README.md").read_text()
    fields = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL).group(1))
    assert fields.keys() >= SPACE_FIELDS | {"models", "datasets", "tags", "short_description", "suggested_hardware"}
    assert fields["sdk"] == "gradio"
    assert f"gradio=={fields['sdk_version']}" in (ROOT / "requirements-demo.txt").read_text()
    assert fields["python_version"] == "3.11"
    assert isinstance(fields["python_version"], str), "YAML would read 3.10 as 3.1"
    assert (ROOT / fields["app_file"]).is_file()
    assert {fields["colorFrom"], fields["colorTo"]} <= SPACE_COLORS
    assert len(fields["short_description"]) <= 60
    assert fields["suggested_hardware"] == "cpu-basic"
    assert SpaceCard(text).data.to_dict()["sdk"] == "gradio"
