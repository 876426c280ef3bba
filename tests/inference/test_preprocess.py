"""Serving prepares a slice as training did, to the last bit, without the library that training used."""

import json

import numpy as np
import pytest
from PIL import Image
from transformers import AutoImageProcessor, ViTImageProcessorPil

from brain_tumor.data.dataset import load_scans
from brain_tumor.data.pixels import pixels_for
from brain_tumor.data.transforms import EvalTransform
from brain_tumor.inference import preprocess
from brain_tumor.inference.checkpoint import UnsupportedError
from brain_tumor.inference.preprocess import Preprocessor
from brain_tumor.labels import LABELS
from brain_tumor.reading.pictures import open_scan

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def settings_of(folder, **settings) -> dict:
    size = settings.pop("size", {"height": 96, "width": 96})
    ViTImageProcessorPil(size=size, **settings).save_pretrained(folder)
    return json.loads((folder / "preprocessor_config.json").read_text())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        IMAGENET,
        {"size": {"height": 64, "width": 160}, "resample": Image.Resampling.BICUBIC},
        {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3},
    ],
)
@pytest.mark.parametrize("most_compared", [preprocess.MOST_COMPARED, 0])
def test_pixels_are_those_of_the_library_to_the_last_bit(settings, most_compared, tmp_path, monkeypatch):
    monkeypatch.setattr(preprocess, "MOST_COMPARED", most_compared)
    preprocessor = Preprocessor(settings_of(tmp_path, **settings))
    random = np.random.default_rng(0)
    slices = [
        Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))
        for height, width in ((300, 220), (96, 96), (33, 500), (512, 512))
    ]
    slices += [
        slices[0].getchannel("G").convert("RGB"),
        Image.merge("RGB", [*slices[0].split()[:1] * 2, Image.new("L", (220, 300))]),
    ]
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    expected = processor(images=slices, return_tensors="np")["pixel_values"]
    pixels = preprocessor(slices)
    assert pixels.dtype == np.float32
    assert np.array_equal(pixels, expected)


def test_pixels_are_those_that_training_evaluates_with(slice_folder, tmp_path):
    folder = slice_folder(dict.fromkeys(LABELS, 2), side=120)
    processor = ViTImageProcessorPil(size={"height": 96, "width": 96}, **IMAGENET)
    part = pixels_for(load_scans(folder)["train"], processor, "Resizing")
    expected = EvalTransform(processor)(part[:8])["pixel_values"].numpy()
    pictures = [open_scan(folder / source) for source in part["source"]]
    assert np.array_equal(Preprocessor(settings_of(tmp_path, **IMAGENET))(pictures), expected)


@pytest.mark.parametrize(
    "settings",
    [
        {"do_center_crop": True},
        {"do_normalize": False},
        {"size": {"shortest_edge": 96}},
        {"image_processor_type": "MobileNetV2ImageProcessor"},
    ],
)
def test_what_it_cannot_do_is_left_to_the_library(settings, tmp_path):
    with pytest.raises(UnsupportedError):
        Preprocessor(settings_of(tmp_path) | settings)


@pytest.mark.parametrize(
    "settings", [{"image_mean": [0.5]}, {"image_std": [0, 1, 1]}, {"size": {"height": "a", "width": 1}}]
)
def test_damaged_settings_are_an_error(settings, tmp_path):
    with pytest.raises((ValueError, TypeError)):
        Preprocessor(settings_of(tmp_path) | settings)
