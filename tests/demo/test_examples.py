"""Example scans: which are shown, and what the bundled ones are."""

import json
import runpy
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from brain_tumor.demo import examples
from brain_tumor.inference import checkpoint
from brain_tumor.labels import LABELS
from brain_tumor.reading.pictures import open_scan
from tests.serving import ROOT, demo_environment


def write_checkpoint_examples(folder, listing) -> None:
    (folder / "examples").mkdir()
    (folder / "examples" / examples.LISTING).write_text(json.dumps(listing))


def entry(file: str) -> dict[str, str]:
    return {"file": file, "label": "glioma", "caption": "Glioma", "source": "a test"}


@pytest.fixture
def no_hub(monkeypatch):
    def unreachable(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr(checkpoint, "get_hf_file_metadata", unreachable)
    monkeypatch.setattr(checkpoint, "hf_hub_download", unreachable)


def test_the_examples_of_the_checkpoint_come_first(tmp_path):
    write_checkpoint_examples(tmp_path, [entry("glioma_1.png")])
    Image.new("L", (64, 64)).save(tmp_path / "examples" / "glioma_1.png")
    assert [example.path.name for example in examples.offline_examples(str(tmp_path))] == ["glioma_1.png"]


def test_a_listing_cannot_name_files_outside_its_folder(tmp_path):
    Image.new("L", (64, 64)).save(tmp_path / "private.png")
    write_checkpoint_examples(tmp_path, [entry("../private.png"), entry(str(tmp_path / "private.png"))])
    assert {example.path.parent for example in examples.offline_examples(str(tmp_path))} == {examples.BUNDLED}


@pytest.mark.parametrize("listing", ["not json", "[1]", '[{"file": 1}]', "{}", "null"])
def test_a_damaged_listing_is_passed_over(listing, tmp_path):
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / examples.LISTING).write_text(listing)
    assert {example.path.parent for example in examples.offline_examples(str(tmp_path))} == {examples.BUNDLED}


def test_a_checkpoint_on_the_hub_brings_its_examples_along(tmp_path, hub):
    command = (
        "from brain_tumor.demo.examples import offline_examples; "
        "print([example.caption for example in offline_examples('somebody/model')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", command],
        cwd=ROOT,
        env=demo_environment(tmp_path, HF_ENDPOINT=hub.url),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "['Glioma of the test split']", done.stderr


def test_without_the_hub_a_hub_checkpoint_gets_the_bundled_examples(no_hub):
    assert {example.path.parent for example in examples.offline_examples("somebody/model")} == {examples.BUNDLED}


def test_without_the_hub_the_public_scans_are_refused_with_a_sentence(no_hub):
    examples.public_examples.cache_clear()
    with pytest.raises(examples.ExamplesError, match="cannot be downloaded now"):
        examples.public_examples()


def test_each_class_has_a_bundled_example_that_says_what_it_is(tmp_path):
    bundled = examples.offline_examples(str(tmp_path))
    assert sorted(example.label for example in bundled) == sorted(LABELS)
    for example in bundled:
        picture = open_scan(example.path)
        assert picture.size == (320, 320)
        assert example.path.stat().st_size < 40_000
        assert "ICBM 152 average brain" in example.caption
        assert ("Simulated" in example.caption) == (example.label != "no_tumor")
    assert "Permission to use, copy, modify, and distribute" in (examples.BUNDLED / "LICENSE-ICBM152.txt").read_text()


def test_the_bundled_examples_are_what_their_command_writes(tmp_path):
    pytest.importorskip("nilearn", reason="drawing the examples needs nilearn: pip install nilearn")
    runpy.run_path(str(examples.BUNDLED / "make_examples.py"))["main"](tmp_path)
    assert (tmp_path / examples.LISTING).read_text() == (examples.BUNDLED / examples.LISTING).read_text()
    for written in tmp_path.glob("*.png"):
        gray = [np.asarray(Image.open(folder / written.name), dtype=float) for folder in (tmp_path, examples.BUNDLED)]
        assert np.abs(gray[0] - gray[1]).mean() < 0.5  # the last bits may differ between versions of SciPy
