"""The model judges slices of a head and says so of other pictures, from a file beside the checkpoint, without torch."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import AutoImageProcessor, AutoModelForImageClassification

from brain_tumor.inference.familiarity import ALLOWED, FILE, Familiarity
from brain_tumor.inference.picture_statistics import picture_statistics
from brain_tumor.labels import LABELS
from brain_tumor.network.embedding import embeddings
from brain_tumor.network.pretrained import BASELINE, load_model, load_processor
from brain_tumor.reading.pictures import open_scan
from brain_tumor.training.disguise import cut_frame, disguise
from brain_tumor.training.fit_familiarity import fit, fit_familiarity
from brain_tumor.training.other_pictures import OtherPicture
from brain_tumor.training.strangers import chart, noise, page_of_text, stranger
from tests.slices import draw_slice

ROOT = Path(__file__).resolve().parents[2]


def drawn_slices(count: int, side: int = 96, first: int = 0) -> list[Image.Image]:
    return [
        draw_slice(first + i, ("glioma", "no_tumor", "pituitary")[i % 3], side).convert("RGB") for i in range(count)
    ]


def clouds(count: int, size: int, seed: int, center: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Made-up embeddings and statistics."""
    random = np.random.default_rng(seed)
    return random.normal(center, 1, (count, size)).astype(np.float32), random.normal(center, 1, (count, 5))


def fit_clouds(validation_seed: int = 3) -> Familiarity:
    plain, disguised = clouds(400, 8, validation_seed), clouds(400, 8, validation_seed + 1)
    return fit(clouds(300, 8, 0), clouds(200, 8, 1, center=3.0), plain, disguised)


@pytest.mark.parametrize("size", [(1, 500), (500, 1), (1, 1), (3000, 40), (224, 224)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_statistics_are_finite_for_flat_and_thin_pictures(size, level):
    statistics = picture_statistics([Image.new("RGB", size, (level,) * 3)])
    assert statistics.dtype == np.float32
    assert statistics.shape == picture_statistics(drawn_slices(1)).shape
    assert np.isfinite(statistics).all()


def test_statistics_of_a_slice_do_not_depend_on_its_size():
    slices = drawn_slices(6, side=256)
    spread = picture_statistics(slices).std(axis=0)
    for image in slices:
        small, large = picture_statistics([image, image.resize((512, 512), Image.Resampling.BILINEAR)])
        assert np.median(abs(large - small) / (spread + 1e-3)) < 0.1


def test_statistics_of_a_picture_do_not_depend_on_those_beside_it():
    pictures = [*drawn_slices(3), stranger(np.random.default_rng(5)), Image.new("RGB", (90, 30))]
    alone = np.concatenate([picture_statistics([picture]) for picture in pictures])
    np.testing.assert_allclose(picture_statistics(pictures), alone, atol=1e-5)
    assert abs(alone[0] - alone[3]).max() > 0.1


def test_statistics_tell_color_from_gray():
    picture = stranger(np.random.default_rng(3)).resize((96, 96))
    colorful = Image.merge("RGB", [picture.getchannel(0), picture.getchannel(0).rotate(90), Image.new("L", (96, 96))])
    chroma, of_gray = picture_statistics([colorful, colorful.convert("L").convert("RGB")])[:, 0]
    assert chroma > of_gray + 0.05


def test_without_its_frame_a_picture_shows_nothing_of_its_outermost_pixels():
    picture = Image.new("RGB", (200, 100), "white")
    picture.paste("gray", (12, 6, 188, 94))  # 6 % at each side
    sizes = set()
    for seed in range(20):
        cut = cut_frame(picture, np.random.default_rng(seed))
        assert cut.getextrema()[0][1] == 128
        assert cut.size == picture.size or (130 < cut.width < 180 and 65 < cut.height < 90)
        sizes.add(cut.size == picture.size)
    assert sizes == {True, False}, "some are cut, some blanked"


def test_the_embedding_is_what_the_classifier_gets_and_takes_one_forward_pass(tiny_checkpoint, monkeypatch):
    model = load_model(str(tiny_checkpoint), 96).eval()
    pixel_values = load_processor(str(tiny_checkpoint), 96)(images=drawn_slices(5), return_tensors="pt")["pixel_values"]
    calls = []
    monkeypatch.setattr(model, "forward", lambda *a, f=model.forward, **k: calls.append(1) or f(*a, **k))
    features, logits = embeddings(model, pixel_values)
    assert calls == [1]
    assert features.shape == (5, model.classifier.in_features)
    assert features.dtype == np.float32
    with torch.no_grad():
        expected = model(pixel_values=pixel_values).logits
        assert torch.allclose(model.classifier(torch.from_numpy(features)), expected, atol=1e-5)
    assert np.allclose(logits, expected.numpy(), atol=1e-5)
    assert not model.classifier._forward_pre_hooks


def test_the_baseline_network_has_an_embedding_too():
    pixel_values = load_processor(BASELINE, 64)(images=drawn_slices(3), return_tensors="pt")["pixel_values"]
    features, logits = embeddings(load_model(BASELINE, 64), pixel_values)
    assert features.ndim == 2
    assert len(features) == len(logits) == 3


def test_a_network_without_a_final_layer_has_no_embedding(tiny_checkpoint):
    model = load_model(str(tiny_checkpoint), 96)
    model.classifier = nn.Identity()
    pixel_values = torch.zeros(2, 3, 96, 96)
    assert embeddings(model, pixel_values) is None
    assert fit_familiarity(model, load_processor(str(tiny_checkpoint), 96), slice_parts(4)) is None


def test_at_most_the_allowed_share_of_validation_slices_is_flagged():
    plain, disguised = clouds(400, 8, 3), clouds(400, 8, 4)
    familiarity = fit_clouds()
    assert (~familiarity.is_familiar(*plain)).mean() <= ALLOWED["plain"]
    assert (~familiarity.is_familiar(*disguised)).mean() <= ALLOWED["disguised"]
    assert (~familiarity.is_familiar(*clouds(200, 8, 9, center=3.0))).mean() > 0.9


def test_validation_slices_choose_the_threshold_and_nothing_else():
    one, other = fit_clouds(3), fit_clouds(33)
    assert one.threshold != other.threshold
    assert one.arrays.keys() == other.arrays.keys()
    assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


def test_what_only_strangers_have_is_seen_apart_from_how_much_of_it_there_is():
    """Slices fill two directions and a little of all; strangers differ in the sign of a third, not in their length."""
    random = np.random.default_rng(6)

    def rows(count, sign):
        found = random.normal(0, 0.1, (count, 200))
        found[:, :2] += random.normal(0, 5, (count, 2))
        found[:, 2] += sign * abs(random.normal(3, 0.3, count))
        return found.astype(np.float32), np.zeros((count, 1))

    def slices(count):
        one, other = rows(count // 2, 1), rows(count // 2, 0)
        return tuple(np.concatenate(pair) for pair in zip(one, other, strict=True))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("brain_tumor.training.fit_familiarity.DIRECTIONS", 2)
        familiarity = fit(slices(300), rows(300, -1), slices(200), slices(200))
    assert (~familiarity.is_familiar(*rows(100, -1))).mean() > 0.9
    assert familiarity.is_familiar(*slices(100)).mean() > 0.9


def test_what_was_saved_scores_the_same(tmp_path):
    familiarity = fit_clouds()
    familiarity.save(tmp_path)
    loaded = Familiarity.load(tmp_path)
    pictures = clouds(50, 8, 12)
    assert loaded.threshold == familiarity.threshold
    assert np.array_equal(loaded.score(*pictures), familiarity.score(*pictures))
    assert loaded.score(*pictures).dtype == np.float64
    assert np.array_equal(loaded.is_familiar(*pictures), familiarity.score(*pictures) >= familiarity.threshold)


def test_a_checkpoint_without_the_file_has_no_familiarity(tmp_path):
    assert Familiarity.load(tmp_path) is None


def test_scoring_needs_no_torch(tmp_path):
    fit_clouds().save(tmp_path)
    code = f"""
import sys, numpy as np
from PIL import Image
from brain_tumor.inference.familiarity import Familiarity
from brain_tumor.inference.picture_statistics import picture_statistics
picture_statistics([Image.new("RGB", (64, 64))])
Familiarity.load({str(tmp_path)!r}).score(np.zeros((2, 8), np.float32), np.zeros((2, 5)))
assert not {{"torch", "transformers", "sklearn", "datasets"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def slice_parts(count: int) -> dict:
    """Parts as `fit_familiarity` takes them, of drawn slices."""
    import io

    from datasets import ClassLabel, Dataset

    def encoded(image):
        file = io.BytesIO()
        image.save(file, "PNG")
        return {"bytes": file.getvalue(), "path": None}

    label, one_set = ClassLabel(names=[*LABELS, "tumor"]), ClassLabel(names=["drawn"])
    return {
        name: Dataset.from_dict(
            {"image": [encoded(image) for image in drawn_slices(n, first=first)], "sequence": [""] * n}
        )
        .add_column("label", [i % 5 for i in range(n)], feature=label)
        .add_column("set", [0] * n, feature=one_set)
        for name, n, first in (("train", 2 * count, 0), ("validation", count, 10_000))
    }


def test_a_fit_to_a_checkpoint_tells_its_slices_from_drawn_pictures_and_can_be_repeated(tiny_checkpoint, monkeypatch):
    monkeypatch.setattr("brain_tumor.training.fit_familiarity.SLICES", 60)
    monkeypatch.setattr("brain_tumor.training.fit_familiarity.STRANGERS", 60)
    model, processor = load_model(str(tiny_checkpoint), 96), load_processor(str(tiny_checkpoint), 96)
    parts = slice_parts(30)
    familiarity = fit_familiarity(model, processor, parts)

    def score(pictures):
        features, _ = embeddings(model, processor(images=pictures, return_tensors="pt")["pixel_values"])
        return familiarity.score(features, picture_statistics(pictures))

    random = np.random.default_rng(77)
    slices, others = score(drawn_slices(40, first=30_000)), score([stranger(random) for _ in range(30)])
    assert (slices >= familiarity.threshold).mean() > 0.9
    assert (slices[:, None] > others).mean() > 0.93  # the AUROC; so few disguised slices set a threshold far too low
    again = fit_familiarity(model, processor, parts)
    assert again.threshold == familiarity.threshold
    assert all(np.array_equal(again.arrays[name], familiarity.arrays[name]) for name in familiarity.arrays)


def test_a_mark_at_the_edge_of_real_strangers_is_not_all_that_can_be_learned(tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("brain_tumor.training.fit_familiarity.SLICES", 9)
    monkeypatch.setattr("brain_tumor.training.fit_familiarity.STRANGERS", 9)
    monkeypatch.setattr("brain_tumor.training.fit_familiarity.disguise", lambda image, random: image)
    seen = []
    monkeypatch.setattr(
        "brain_tumor.training.fit_familiarity.picture_statistics",
        lambda pictures: seen.extend(pictures) or picture_statistics(pictures),
    )
    marked = Image.new("RGB", (100, 100), "gray")
    marked.paste((10, 20, 250), (94, 0, 100, 6))
    marked.save(tmp_path / "marked.png")
    model, processor = load_model(str(tiny_checkpoint), 96), load_processor(str(tiny_checkpoint), 96)
    fit_familiarity(model, processor, slice_parts(6), [OtherPicture(tmp_path / "marked.png", "knee", "1")])
    marks = [(np.asarray(image) == (10, 20, 250)).all(axis=-1).any() for image in seen[-5:]]
    assert marks == [True, True, False, False, False] and seen[-1].getextrema()[0][1] == 128


def test_strangers_and_disguises_are_8_bit_rgb_and_come_from_their_seed():
    slices = drawn_slices(3)
    for make in (lambda r: stranger(r, slices), lambda r: disguise(slices[0], r)):
        for seed in range(25):
            one, other = make(np.random.default_rng(seed)), make(np.random.default_rng(seed))
            assert one.mode == "RGB"
            assert min(one.size) >= 32
            assert np.array_equal(np.asarray(one), np.asarray(other))
    assert np.array_equal(np.asarray(slices[0]), np.asarray(drawn_slices(1)[0])), "disguise changed its input"


@pytest.fixture(scope="module")
def bundled():
    """Whether the bundled checkpoint may judge a picture: a function of pictures."""
    familiarity = Familiarity.load(ROOT / "model")
    if familiarity is None:
        pytest.skip(f"the bundled checkpoint has no {FILE} yet")
    assert (ROOT / "model" / FILE).stat().st_size < 3_000_000
    model = AutoModelForImageClassification.from_pretrained(ROOT / "model").eval()
    processor = AutoImageProcessor.from_pretrained(ROOT / "model", backend="pil")

    def familiar(pictures: list[Image.Image]) -> np.ndarray:
        features, _ = embeddings(model, processor(images=pictures, return_tensors="pt")["pixel_values"])
        return familiarity.is_familiar(features, picture_statistics(pictures))

    return familiar


def test_the_bundled_example_scans_may_be_judged(bundled):
    assert bundled([open_scan(path) for path in sorted((ROOT / "examples").glob("*.png"))]).all()


def test_photographs_in_color_and_in_gray_are_flagged(bundled):
    paths = []
    for package, pattern in (
        ("sklearn", "datasets/images/*.jpg"),
        ("matplotlib", "mpl-data/sample_data/*.jpg"),
        ("gradio", "media_assets/images/*.jp*g"),
    ):
        folder = Path(importlib.util.find_spec(package).submodule_search_locations[0])
        paths += sorted(folder.glob(pattern))
    photographs = [open_scan(path) for path in paths]
    assert len(photographs) >= 3
    assert not bundled(photographs).any()
    assert not bundled([photograph.convert("L").convert("RGB") for photograph in photographs]).any()


def test_blank_noisy_and_written_pictures_are_flagged(bundled):
    random = np.random.default_rng(1)
    pictures = [Image.new("RGB", (224, 224), (level,) * 3) for level in (0, 90, 255)]
    pictures += [kind(random) for kind in (noise, page_of_text, chart) for _ in range(5)]
    assert not bundled(pictures).any()
