"""Example scans: which are shown, and what the bundled ones are."""

import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from benchmarks.quality import choose_examples
from benchmarks.quality.choose_examples import WRONG_WORDS
from brain_tumor.demo import examples
from brain_tumor.inference import checkpoint
from brain_tumor.inference.classifier import Classifier
from brain_tumor.inference.judging import judge_files
from brain_tumor.inference.prediction import Prediction
from brain_tumor.labels import LABELS, display_name
from brain_tumor.reading.pictures import open_scan
from tests.evaluation.drawn_logits import part_of
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


def test_without_the_hub_the_gallery_stays_as_it_is_and_a_line_says_why(no_hub, tmp_path):
    examples.public_examples.cache_clear()
    bundled = examples.offline_examples(str(tmp_path))
    shown, words = examples.with_public_examples(bundled)
    assert shown == bundled
    assert "cannot be downloaded now" in words and words.endswith(examples.words_on(bundled))


def test_what_is_said_of_the_examples_is_said_of_the_bundled_ones_alone(tmp_path):
    bundled = examples.offline_examples(str(tmp_path))
    own = [examples.Example(tmp_path / "a.png", "glioma", "Glioma")]
    assert "the bundled model is wrong about one of them" in examples.words_on(bundled)
    assert "bundled" not in examples.words_on(own)
    for shown in (bundled, own):
        assert "drawn" not in examples.words_on(shown) and examples.PUBLIC_DATASET in examples.words_on(shown)


LISTING = json.loads((examples.BUNDLED / examples.LISTING).read_text(encoding="utf-8"))
PAGE = (examples.BUNDLED / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def classifier():
    return Classifier(str(ROOT / "model"))


def test_the_bundled_examples_are_real_few_and_small_and_say_whose_they_are(tmp_path):
    bundled = examples.offline_examples(str(tmp_path))
    assert 6 <= len(bundled) <= 10 and {example.label for example in bundled} == set(LABELS)
    assert {example.path.name for example in bundled} == {path.name for path in examples.BUNDLED.glob("*.png")}
    for example, entry in zip(bundled, LISTING, strict=True):
        assert example.path.stat().st_size < 60_000 and min(open_scan(example.path).size) >= 192
        credit = re.search(r"CC BY [34].0|ICBM 152", example.caption).group()
        assert credit in entry["source"], "named beneath the picture and in full"
        assert f"| `{example.path.name}` |" in PAGE
    captions = " ".join(example.caption for example in bundled)
    assert all(kind in captions for kind in ("T1 with contrast", "T2", "FLAIR"))
    assert "Permission to use, copy, modify, and distribute" in (examples.BUNDLED / "LICENSE-ICBM152.txt").read_text()


def test_captions_are_true_the_right_ones_are_right_and_the_one_that_is_called_wrong_is_wrong(classifier):
    wrong = []
    for entry in LISTING:
        (prediction,) = classifier.predict([open_scan(examples.BUNDLED / entry["file"])])
        if entry["caption"].startswith(WRONG_WORDS):
            wrong.append(entry["file"])
            called = display_name(prediction.verdict).lower()
            assert prediction.verdict in LABELS and prediction.verdict != entry["label"]
            assert f"it says {called}. {display_name(entry['label'])}" in entry["caption"]
        else:
            assert prediction.verdict == entry["label"], f"{entry['file']}: run benchmarks.quality.choose_examples"
    assert len(wrong) == 1


def test_the_bundled_volume_is_small_and_what_its_page_says_of_it_is_true(classifier):
    assert examples.EXAMPLE_VOLUME.stat().st_size < 300_000
    (judged,) = judge_files(classifier, [examples.EXAMPLE_VOLUME])
    assert len(judged.predictions) >= 12
    assert f"says of it: {display_name(judged.volume.verdict).lower()}." in " ".join(PAGE.split())


@pytest.mark.slow
@pytest.mark.data
def test_no_patient_of_the_bundled_examples_trained_the_bundled_checkpoint(shared):
    rows = re.findall(r"^\| `\S+` \| `([^/`]+)/([^`]+)` \| (\S+) \|$", PAGE, re.M)
    assert len(rows) >= 5
    parts = choose_examples.load_parts(shared / "data", main_only=False)
    of = {name: {*zip(_sets(part), part["source"], part["patient"], strict=True)} for name, part in parts.items()}
    assert {*rows} <= of["test"]
    assert not {patient for _, _, patient in rows} & {p for name in ("train", "validation") for _, _, p in of[name]}


def _sets(part):
    return [part.features["set"].names[number] for number in part["set"]]


class Stub:
    """Says of a slice what its first pixel tells."""

    def predict(self, images):
        return [Prediction("glioma", {}, (*LABELS, "uncertain")[np.asarray(image)[0, 0, 0]], 1.0) for image in images]


def test_examples_are_the_first_of_their_kind_that_the_model_gets_right_and_the_first_it_gets_wrong(
    tmp_path, monkeypatch
):
    """Those without a verdict that names a class are neither; slices of unknown patients are passed over."""
    monkeypatch.setattr(choose_examples, "write_average", lambda *_: None)
    monkeypatch.setattr(choose_examples, "said_of_volume", lambda *_: "no tumor")
    says = [4, 1, 0, 0, 0, 3, 3]  # of gliomas, the first four of which are figshare's
    patients = ["a", "b", "", "c", "d", "e", "f"]
    part = part_of(
        [0] * 7, range(7), [False] * 7, patients, ("figshare", "brain-tumor-progression"), [0] * 4 + [1] * 3,
        ["T1C+"] * 7,
    )  # fmt: skip
    pictures = []
    for number in says:
        stream = io.BytesIO()
        Image.new("L", (200, 200), number).save(stream, "PNG")
        pictures.append({"bytes": stream.getvalue(), "path": None})
    part = part.add_column("image", pictures).add_column("source", [f"glioma/{number}.png" for number in range(7)])
    (tmp_path / "old.png").write_bytes(b"of another checkpoint")
    choose_examples.write_examples(part, Stub(), tmp_path)
    listing = json.loads((tmp_path / examples.LISTING).read_text(encoding="utf-8"))
    assert [(entry["file"], entry["source"].partition(":")[0]) for entry in listing] == [
        ("glioma.png", "figshare/glioma/3.png"),
        ("glioma_2.png", "brain-tumor-progression/glioma/4.png"),
        ("wrong.png", "figshare/glioma/1.png"),
    ]
    assert listing[2]["caption"].startswith(f"{WRONG_WORDS}: it says meningioma. Glioma, T1 with contrast. J. Cheng")
    assert {path.name for path in tmp_path.glob("*.png")} == {entry["file"] for entry in listing}
    assert "| `wrong.png` | `figshare/glioma/1.png` | b |" in (tmp_path / "README.md").read_text(encoding="utf-8")
