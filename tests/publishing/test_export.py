"""The exported network says what the checkpoint says, and where it looks."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import AutoImageProcessor, AutoModelForImageClassification, ViTConfig, ViTForImageClassification

from brain_tumor.data.dataset import load_scans
from brain_tumor.data.pixels import open_picture, pixels_for
from brain_tumor.data.split import split_scans
from brain_tumor.labels import LABELS
from brain_tumor.network.pretrained import load_model, load_processor, save_checkpoint
from brain_tumor.publishing import export
from brain_tumor.publishing.export import (
    FILE,
    QUANTIZED_FILE,
    RESULTS_FILE,
    WEIGHTS_KEY,
    export_checkpoint,
    export_onnx,
    summary,
)
from brain_tumor.reading.pictures import open_scan

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundled(tmp_path_factory):
    """The bundled checkpoint in torch, and in ONNX Runtime."""
    model = AutoModelForImageClassification.from_pretrained(ROOT / "model").eval()
    path = export_onnx(model, tmp_path_factory.mktemp("onnx") / "model.onnx")
    return AutoModelForImageClassification.from_pretrained(ROOT / "model").eval(), onnxruntime.InferenceSession(path)


@pytest.mark.parametrize("batch", [1, 5])
def test_logits_are_those_of_torch_for_any_batch(batch, bundled):
    model, session = bundled
    pixels = torch.rand(batch, 3, 224, 224, generator=torch.Generator().manual_seed(batch)) * 2 - 1
    with torch.inference_mode():
        expected = model(pixel_values=pixels).logits.numpy()
    (logits,) = session.run(["logits"], {"pixel_values": pixels.numpy()})
    assert np.abs(logits - expected).max() < 1e-3


def test_the_mean_of_a_classs_map_and_its_bias_is_its_logit(bundled):
    model, session = bundled
    pixels = np.random.default_rng(0).uniform(-1, 1, (3, 3, 224, 224)).astype(np.float32)
    logits, maps, embedding = session.run(["logits", "maps", "embedding"], {"pixel_values": pixels})
    assert maps.shape == (3, 4, 7, 7) and embedding.shape == (3, 1280)
    assert np.abs(maps.mean(axis=(2, 3)) + model.classifier.bias.detach().numpy() - logits).max() < 1e-4


@pytest.mark.slow
@pytest.mark.data
def test_on_500_scans_the_bundled_export_says_what_torch_says(shared, public_set):
    path = ROOT / "model" / FILE
    if not path.is_file():
        pytest.skip("needs the bundled checkpoint with its export")
    model = AutoModelForImageClassification.from_pretrained(ROOT / "model").eval()
    processor = AutoImageProcessor.from_pretrained(ROOT / "model", backend="pil")
    images = split_scans(public_set("brain-tumour-MRI-scan").scans, "patients", 42)["test"]["image"]
    session = onnxruntime.InferenceSession(path)
    for start in range(0, 500, 50):
        pixels = processor(images=[open_picture(image) for image in images[start : start + 50]], return_tensors="pt")
        with torch.inference_mode():
            expected = model(**pixels).logits.numpy()
        (logits,) = session.run(["logits"], {"pixel_values": pixels["pixel_values"].numpy()})
        assert np.abs(logits - expected).max() < 1e-3
        assert (logits.argmax(axis=1) == expected.argmax(axis=1)).all()


@pytest.fixture
def measured(slice_folder, tiny_checkpoint, tmp_path):
    """A function that exports a small checkpoint into `tmp_path`, measuring it on drawn slices."""
    model, processor = load_model(str(tiny_checkpoint), 96), load_processor(str(tiny_checkpoint), 96)
    save_checkpoint(model, processor, tmp_path)
    counts = {f"{part}/{label}": 4 for part in ("train", "valid", "test") for label in LABELS}
    parts = {name: pixels_for(part, processor, name) for name, part in load_scans(slice_folder(counts)).items()}
    return lambda: export_checkpoint(tmp_path, model, processor, parts)


def test_a_checkpoint_is_exported_with_what_was_measured_and_with_small_weights(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MOST_LOST", 1.0)
    results = measured()
    assert json.loads((tmp_path / RESULTS_FILE).read_text()) == results
    assert results["parity"]["slices"] == 32
    assert results["parity"]["largest_difference"] < 1e-3
    assert results["parity"]["same_class"] == 32
    digest = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    session = onnxruntime.InferenceSession(tmp_path / FILE)
    assert session.get_modelmeta().custom_metadata_map[WEIGHTS_KEY] == digest
    small = tmp_path / QUANTIZED_FILE
    assert results["quantized"]["kept"] and small.stat().st_size < 0.5 * (tmp_path / FILE).stat().st_size
    assert results["quantized"]["bytes"]["int8"] == small.stat().st_size
    (logits,) = onnxruntime.InferenceSession(small).run(["logits"], {"pixel_values": np.zeros((3, 3, 96, 96), "f4")})
    assert logits.shape == (3, 4)
    assert "32 slices" in summary(results) and [path.name for path in tmp_path.rglob("tmp*")] == []


def test_an_export_and_its_files_make_onnx_runtime_warn_of_nothing(measured, tmp_path, monkeypatch, capfd, caplog):
    monkeypatch.setattr(export, "MOST_LOST", 1.0)
    onnxruntime.set_default_logger_severity(2)
    measured()
    for name in (FILE, QUANTIZED_FILE):
        onnxruntime.InferenceSession(tmp_path / name)
    assert "onnxruntime" not in capfd.readouterr().err and not caplog.records


def test_small_weights_that_lose_too_much_are_not_kept_and_earlier_ones_go(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "quantize", lambda path, to, *_: shutil.copy(path, to))
    monkeypatch.setattr(export, "MOST_LOST", -0.001)  # a copy is as good: it neither loses nor wins
    (tmp_path / QUANTIZED_FILE).parent.mkdir()
    (tmp_path / QUANTIZED_FILE).write_bytes(b"of an earlier training")
    results = measured()
    assert not results["quantized"]["kept"] and not (tmp_path / QUANTIZED_FILE).exists()
    assert "loses too much" in summary(results)
    monkeypatch.setattr(export, "MOST_LOST", 0.0)
    assert measured()["quantized"]["kept"]


def test_the_bundled_export_says_of_the_example_scans_what_torch_says():
    pixels = AutoImageProcessor.from_pretrained(ROOT / "model", backend="pil")(
        images=[open_scan(path) for path in sorted((ROOT / "examples").glob("*.png"))], return_tensors="pt"
    )["pixel_values"]
    with torch.inference_mode():
        expected = AutoModelForImageClassification.from_pretrained(ROOT / "model").eval()(pixels).logits.numpy()
    (logits,) = onnxruntime.InferenceSession(ROOT / "model" / FILE).run(["logits"], {"pixel_values": pixels.numpy()})
    assert len(pixels) >= 4 and np.abs(logits - expected).max() < 1e-3


def test_another_architecture_gives_its_logits(tmp_path):
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = ViTForImageClassification(ViTConfig(image_size=64, num_labels=4, **shape)).eval()
    session = onnxruntime.InferenceSession(export_onnx(model, tmp_path / "model.onnx", 64))
    pixels = torch.rand(2, 3, 64, 64)
    (logits,) = session.run(None, {"pixel_values": pixels.numpy()})
    assert np.abs(logits - model(pixel_values=pixels).logits.detach().numpy()).max() < 1e-3


def run(monkeypatch, capsys, *words) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["export", *map(str, words)])
    code = export.main()
    return code, "".join(capsys.readouterr())


def test_the_command_writes_the_file_where_browsers_look_for_it(tiny_checkpoint, tmp_path, monkeypatch, capsys):
    shutil.copytree(tiny_checkpoint, tmp_path / "mine")
    code, _ = run(monkeypatch, capsys, tmp_path / "mine")
    assert code == 0
    assert (tmp_path / "mine" / FILE).stat().st_size > 100_000


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("empty", "it holds no config.json"),
        ("weights", "cannot be loaded: its model.safetensors cannot be used"),
        ("another set", "was trained on unknown sets"),
    ],
)
def test_the_command_refuses_what_it_cannot_export_in_a_sentence(
    damage, sentence, tiny_checkpoint, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "mine"
    if damage == "empty":
        folder.mkdir()
    else:
        shutil.copytree(tiny_checkpoint, folder)
    if damage == "weights":
        (folder / "model.safetensors").write_bytes(b"")
    code, said = run(monkeypatch, capsys, folder, *(["--dataset", "some/set"] if damage == "another set" else []))
    assert code == 1 and sentence in said and "Traceback" not in said
    assert not (folder / FILE).exists()


@pytest.mark.slow
def test_help_names_the_command_as_it_is_typed():
    run = subprocess.run(
        [sys.executable, "-m", "brain_tumor.publishing.export", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert run.stdout.startswith("usage: python -m brain_tumor.publishing.export")
