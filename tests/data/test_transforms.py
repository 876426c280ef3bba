"""A slice is prepared for training, for evaluation and for serving by the same steps, to the last bit."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from transformers import AutoImageProcessor, ViTImageProcessorPil

from brain_tumor.data import pixels
from brain_tumor.data.dataset import load_scans
from brain_tumor.data.pixels import pixels_for, read_pixels
from brain_tumor.data.transforms import EvalTransform, TrainTransform, collate, normalize
from brain_tumor.network.pretrained import load_processor
from brain_tumor.reading.pictures import open_scan
from tests.slices import draw_slice, write_slices

FOUR = {"glioma": 3, "meningioma": 2, "no_tumor": 2, "pituitary": 2}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def processor_of(side: int, statistics: dict) -> ViTImageProcessorPil:
    return ViTImageProcessorPil(size={"height": side, "width": side}, **statistics)


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    """A loaded set of slices of several shapes, gray ones, and a colored one of each class."""
    folder = write_slices(tmp_path_factory.mktemp("slices"), FOUR, side=150)
    for number, class_name in enumerate(FOUR):
        gray = draw_slice(100 + number, class_name, 200).resize((130 + 90 * number, 180))
        color = Image.merge("RGB", (gray, ImageOps.mirror(gray), ImageOps.flip(gray)))
        color.save(folder / class_name / "color.jpg", quality=80)
        gray.save(folder / class_name / "oblong.jpg", quality=80)
    return folder, load_scans(folder)["train"]


def rows_of(part, processor, chosen=slice(None)):
    prepared = pixels_for(part, processor, "Resizing")
    return prepared.select_columns(["pixels", "label"])[chosen], prepared["source"][chosen]


# --- evaluation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statistics", [{}, IMAGENET], ids=["mean and std of a half", "ImageNet's mean and std"])
@pytest.mark.parametrize("side", [224, 96])
def test_evaluation_sees_exactly_what_the_processor_makes_of_the_file(side, statistics, slices):
    folder, part = slices
    processor = processor_of(side, statistics)
    rows, sources = rows_of(part, processor)
    seen = EvalTransform(processor)(rows)
    expected = processor(images=[open_scan(folder / source) for source in sources], return_tensors="pt")
    assert seen["pixel_values"].dtype == torch.float32
    assert torch.equal(seen["pixel_values"], expected["pixel_values"])
    assert seen["labels"].tolist() == rows["label"]


def test_a_slice_is_prepared_the_same_alone_among_gray_ones_and_among_colored_ones(slices):
    _, part = slices
    processor = processor_of(96, IMAGENET)
    rows, sources = rows_of(part, processor)
    together = EvalTransform(processor)(rows)["pixel_values"]
    gray = [i for i, source in enumerate(sources) if "color" not in source]
    assert torch.equal(
        EvalTransform(processor)({k: [v[i] for i in gray] for k, v in rows.items()})["pixel_values"], together[gray]
    )
    for i in range(len(sources)):
        alone = EvalTransform(processor)({name: [values[i]] for name, values in rows.items()})["pixel_values"]
        assert torch.equal(alone[0], together[i])


@pytest.mark.parametrize("backend", [None, "pil"])
def test_a_saved_processor_prepares_as_the_one_that_trained(backend, slices, tmp_path):
    folder, part = slices
    processor = processor_of(96, IMAGENET)
    processor.save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path, **({"backend": backend} if backend else {}))
    rows, sources = rows_of(part, processor)
    expected = EvalTransform(processor)(rows)["pixel_values"]
    for source, row in zip(sources, expected, strict=True):
        assert torch.equal(loaded(images=open_scan(folder / source), return_tensors="pt")["pixel_values"][0], row)


def test_every_gray_level_is_normalized_as_the_processor_does():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(-1, 3, -1, -1)
    for statistics in ({}, IMAGENET, {"image_mean": [0.1] * 3, "image_std": [0.7] * 3}):
        processor = processor_of(16, statistics)
        expected = processor(
            images=[levels[0].numpy()], do_resize=False, return_tensors="pt", input_data_format="channels_first"
        )
        assert torch.equal(normalize(levels, processor), expected["pixel_values"])


def test_the_whole_slice_is_seen_and_no_edge_is_cropped(slice_folder):
    folder = slice_folder(FOUR)
    rim = np.zeros((300, 200), np.uint8)
    rim[:6], rim[-6:], rim[:, :4], rim[:, -4:] = 255, 255, 255, 255
    Image.fromarray(rim).save(folder / "glioma" / "rim.png")
    processor = load_processor("baseline-cnn", 64)
    rows, sources = rows_of(load_scans(folder)["train"], processor)
    seen = EvalTransform(processor)(rows)["pixel_values"][sources.index("glioma/rim.png")]
    for edge in (seen[:, 0], seen[:, -1], seen[:, :, 0], seen[:, :, -1]):
        assert edge.min() > 0.5
    assert seen[:, 10:-10, 10:-10].max() < -0.9


def test_resized_pixels_are_kept_as_bytes_one_channel_for_gray_slices(slices):
    processor = processor_of(96, {})
    rows, sources = rows_of(slices[1], processor)
    for source, row in zip(sources, rows["pixels"], strict=True):
        assert len(row) == 96 * 96 * (3 if "color" in source else 1)
    assert read_pixels(rows["pixels"], 96, 96).shape == (len(sources), 3, 96, 96)
    gray = [row for row in rows["pixels"] if len(row) == 96 * 96]
    assert read_pixels(gray, 96, 96).shape == (len(gray), 1, 96, 96)


def test_resized_pixels_come_from_the_cache_unless_the_processor_changed(slices, monkeypatch):
    _, part = slices
    first = pixels_for(part, processor_of(40, {}), "Resizing")["pixels"][:]

    def fail(source):
        raise AssertionError("a picture was opened again")

    with monkeypatch.context() as context:
        context.setattr(pixels, "open_scan", fail)
        assert pixels_for(part, processor_of(40, {}), "Resizing")["pixels"][:] == first
    other = pixels_for(part, ViTImageProcessorPil(size={"height": 40, "width": 40}, resample=0), "Resizing")["pixels"][
        :
    ]
    assert other != first


# --- training ---------------------------------------------------------------------------------------------------


def augmented(rows, processor, seed: int, strength: float = 1.0) -> torch.Tensor:
    torch.manual_seed(seed)
    return TrainTransform(processor, strength=strength)(rows)["pixel_values"]


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_augmented_slices_have_the_shape_type_and_range_of_plain_ones(strength, slices):
    processor = processor_of(64, {})
    rows, _ = rows_of(slices[1], processor)
    plain = EvalTransform(processor)(rows)
    for seed in range(10):
        values = augmented(rows, processor, seed, strength)
        assert values.shape == plain["pixel_values"].shape and values.dtype == torch.float32
        assert torch.isfinite(values).all()
        assert values.min() >= -1 and values.max() <= 1
    assert TrainTransform(processor)(rows)["labels"].tolist() == plain["labels"].tolist()


def test_augmentation_brings_no_color_into_gray_slices(slices):
    processor = processor_of(64, {})
    rows, sources = rows_of(slices[1], processor)
    gray = [i for i, source in enumerate(sources) if "color" not in source]
    only_gray = {name: [values[i] for i in gray] for name, values in rows.items()}
    for seed in range(10):
        for values in (augmented(only_gray, processor, seed), augmented(rows, processor, seed)[gray]):
            assert (values - values[:, :1]).abs().max() < 1e-6


def test_augmentation_differs_between_draws_and_between_slices_of_a_batch(slices):
    processor = processor_of(64, {})
    rows, _ = rows_of(slices[1], processor)
    first, second = augmented(rows, processor, 0), augmented(rows, processor, 1)
    assert all(not torch.equal(a, b) for a, b in zip(first, second, strict=True))
    same = {name: [values[0]] * 12 for name, values in rows.items()}
    drawn = augmented(same, processor, 0)
    assert len({values.numpy().tobytes() for values in drawn}) == 12


def test_the_same_seed_augments_the_same(slices):
    processor = processor_of(64, {})
    rows, _ = rows_of(slices[1], processor)
    assert torch.equal(augmented(rows, processor, 5), augmented(rows, processor, 5))


def test_augmentation_of_strength_0_is_evaluation(slices):
    processor = processor_of(64, IMAGENET)
    rows, _ = rows_of(slices[1], processor)
    assert torch.equal(augmented(rows, processor, 0, strength=0), EvalTransform(processor)(rows)["pixel_values"])


def test_a_stronger_augmentation_changes_more(slices):
    processor = processor_of(64, {})
    rows, _ = rows_of(slices[1], processor)
    many = {name: values * 8 for name, values in rows.items()}
    plain = EvalTransform(processor)(many)["pixel_values"]
    either_way = torch.stack([plain, plain.flip(-1)])
    change = [
        (augmented(many, processor, 0, s) - either_way).abs().mean(dim=(2, 3, 4)).min(dim=0).values.mean().item()
        for s in (0.25, 0.5, 1.0, 2.0)
    ]
    assert change == sorted(change) and change[0] > 0.005 and change[-1] > 2 * change[0]


def test_a_batch_holds_the_rows_in_their_order():
    rows = [{"pixel_values": torch.full((3, 4, 5), float(i)), "labels": torch.tensor(i % 4)} for i in range(6)]
    batch = collate(rows)
    assert batch["pixel_values"].shape == (6, 3, 4, 5) and batch["labels"].tolist() == [0, 1, 2, 3, 0, 1]
    assert batch["pixel_values"][:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert batch["pixel_values"].is_contiguous(memory_format=torch.channels_last)
