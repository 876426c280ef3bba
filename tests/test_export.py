"""The exported network says what the checkpoint says, and where it looks."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import AutoModelForImageClassification, ViTConfig, ViTForImageClassification

from brain_tumor.export import FILE, export_onnx

ROOT = Path(__file__).parent.parent


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


def test_another_architecture_gives_its_logits(tmp_path):
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = ViTForImageClassification(ViTConfig(image_size=64, num_labels=4, **shape)).eval()
    session = onnxruntime.InferenceSession(export_onnx(model, tmp_path / "model.onnx", 64))
    pixels = torch.rand(2, 3, 64, 64)
    (logits,) = session.run(None, {"pixel_values": pixels.numpy()})
    assert np.abs(logits - model(pixel_values=pixels).logits.detach().numpy()).max() < 1e-3


def test_the_command_writes_the_file_where_browsers_look_for_it_and_refuses_what_is_no_checkpoint(
    tiny_checkpoint, tmp_path
):
    import shutil

    shutil.copytree(tiny_checkpoint, tmp_path / "mine")
    command = [sys.executable, "-m", "brain_tumor.export"]
    subprocess.run([*command, tmp_path / "mine"], cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "mine" / FILE).stat().st_size > 100_000
    (tmp_path / "empty").mkdir()
    refused = subprocess.run([*command, tmp_path / "empty"], cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 1 and "holds no config.json" in refused.stderr
    assert "Traceback" not in refused.stderr
