"""The probes ask what they say they ask."""

import hashlib

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from benchmarks.quality import probes
from benchmarks.quality.checkpoints import Checkpoint, fair_subset, share
from brain_tumor.labels import LABELS, NO_TUMOR
from brain_tumor.network.pretrained import load_model, load_processor, save_checkpoint

GRAY_LEVELS = {"T1": (30, 120, 165, 230), "T2": (235, 130, 95, 150), "FLAIR": (35, 130, 125, 220)}
"""Fluid, cortex, white matter, scalp."""


def phantom(kind: str, side: int = 200) -> Image.Image:
    """An axial head: scalp, skull, cortex, white matter, two ventricles, light noise, black air."""
    fluid, cortex, white, scalp = GRAY_LEVELS[kind]
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    radius = np.hypot(y / 0.9, x / 0.72)
    gray = np.select(
        [np.hypot((abs(x) - 0.1) / 0.06, y / 0.25) < 1, radius < 0.62, radius < 0.82, radius < 0.86, radius < 0.93],
        [fluid, white, cortex, fluid, 20],
        np.where(radius < 1, scalp, 0),
    )
    noise = np.random.default_rng(0).normal(0, 3, gray.shape) * (radius < 1)
    return Image.fromarray((ndimage.gaussian_filter(gray.astype(float), 1) + noise).clip(0, 255).astype(np.uint8))


# --- the head -----------------------------------------------------------------------------------------------------


def test_a_head_is_found_where_it_lies():
    for side in (128, 300):
        head = probes.find_head(np.asarray(phantom("T2", side)))
        assert head.center == pytest.approx([(side - 1) / 2] * 2, abs=0.02 * side)
        assert np.linalg.norm(head.axes, axis=1) == pytest.approx([0.45 * side, 0.36 * side], rel=0.06)


@pytest.mark.parametrize("level", [0, 255])
def test_in_a_flat_picture_the_head_is_an_ellipse_that_fills_it(level):
    head = probes.find_head(np.full((48, 64), level))
    assert head.mask[24, 32] and not head.mask[0, 0]
    assert head.mask.mean() == pytest.approx(np.pi / 4, rel=0.05)


# --- masks and contrast -----------------------------------------------------------------------------------------


def test_only_the_named_side_of_the_ellipse_is_visible():
    image = phantom("FLAIR").convert("RGB")
    head, pixels = probes.find_head(np.asarray(image.convert("L"))), np.asarray(image)
    for scale in probes.MASK_SCALES:
        outside = np.asarray(probes.mask_slice(image, head, "outside", scale, "black"))
        middle = np.asarray(probes.mask_slice(image, head, "middle", scale, "black"))
        assert np.array_equal(outside + middle, pixels) and not (outside & middle).any()
        assert outside[100, 100].tolist() == [0, 0, 0] and middle[2, 2].tolist() == [0, 0, 0]
        covered = (middle > 0).any(axis=-1).sum() / head.mask.sum()
        assert covered == pytest.approx(scale**2, rel=0.1)
    gray = np.asarray(probes.mask_slice(image, head, "outside", 0.5, "gray"))[100, 100]
    assert gray.tolist() == [round(np.asarray(image.convert("L"))[head.mask].mean())] * 3


def test_recontrasting_changes_the_head_and_not_the_air():
    image, donor = phantom("T1"), phantom("T2", 150)
    gray, mask = np.asarray(image, float), probes.find_head(np.asarray(image)).mask
    for how in ("gamma 0.5", "gamma 2", "inverted", "histogram"):
        changed = np.asarray(probes.change_contrast(image, how, donor).convert("L"), float)
        assert np.array_equal(changed[~mask], gray[~mask])
        assert np.abs(changed - gray)[mask].mean() > 10
        order = np.corrcoef(changed[mask].argsort().argsort(), gray[mask].argsort().argsort())[0, 1]
        assert order < -0.9 if how == "inverted" else order > 0.9
    levels, wanted = (
        np.percentile(np.asarray(picture, float)[probes.find_head(np.asarray(picture)).mask], (5, 25, 50, 75, 95))
        for picture in (probes.change_contrast(image, "histogram", donor).convert("L"), donor)
    )
    assert levels == pytest.approx(wanted, abs=6)


# --- shares and subsets -----------------------------------------------------------------------------------------


def test_intervals_count_copies_as_one_piece_of_evidence():
    hits = np.array([True] * 30 + [False] * 30)
    alone, copied = share(hits, np.arange(60)), share(hits, np.repeat([0, 1], 30))
    assert alone["share"] == copied["share"] == 0.5 and (alone["groups"], copied["groups"]) == (60, 2)
    assert np.ptp(alone["interval"]) < 0.3 and copied["interval"] == [0.0, 1.0]
    assert share(np.array([1, 1, 1, 0]), np.array([5, 5, 5, 9]))["by_group"] == 0.5
    assert share(np.array([]), np.array([]))["share"] is None


@pytest.fixture
def part():
    from datasets import Dataset

    labels = [0] * 8 + [1] * 4 + [2] * 20 + [3] * 4
    groups = [*range(8), *range(8, 12), *[12] * 17, 13, 14, 15, *range(16, 20)]
    hashes = [hashlib.sha256(bytes([number])).hexdigest() for number in range(36)]
    return Dataset.from_dict({"label": labels, "group": groups, "sha256": hashes})


def test_a_fair_subset_has_as_many_of_each_class_and_takes_copies_last(part):
    subset = fair_subset(part, 16)
    assert np.bincount(subset["label"]).tolist() == [4] * 4
    assert {12, 13, 14, 15} <= set(subset["group"])
    assert fair_subset(part, 16)["sha256"] == subset["sha256"]
    assert np.bincount(fair_subset(part, 400)["label"]).tolist() == [8, 4, 20, 4]


# --- the whole --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def healthy_and_ill(tmp_path_factory):
    """A part of drawn slices with a few of each class."""
    from brain_tumor.data.dataset import load_scans
    from brain_tumor.data.split import whole_set
    from tests.slices import write_slices

    counts = {"glioma": 3, "meningioma": 3, "no_tumor": 4, "pituitary": 3}
    return whole_set(load_scans(write_slices(tmp_path_factory.mktemp("slices"), counts, side=120)))


class Oracle:
    """Stands in for a checkpoint: calls a picture by what `verdict` says of its gray levels."""

    def __init__(self, verdict):
        self.verdict = verdict

    def probabilities(self, pictures):
        called = [self.verdict(np.asarray(picture.convert("L"), float)) for picture in pictures]
        return np.eye(len(LABELS))[called] * 0.9 + 0.025


def test_who_looks_at_the_frame_alone_is_found_out_by_the_masks(healthy_and_ill):
    from benchmarks.quality.checkpoints import open_slices

    def frame(gray):
        return gray[:30].tobytes()

    images, labels = open_slices(healthy_and_ill), healthy_and_ill["label"]
    label_of = {frame(np.asarray(i.convert("L"), float)): label for i, label in zip(images, labels, strict=True)}
    assert len(label_of) == len(images)  # no two drawn heads are alike above the mask
    figures = probes.probe_masks(Oracle(lambda gray: label_of.get(frame(gray), NO_TUMOR)), healthy_and_ill)
    intact = figures["intact"]["accuracy"]["share"]
    assert figures["outside of 0.5, black"]["accuracy"]["share"] == intact == 1
    assert figures["middle of 0.5, black"]["accuracy"]["share"] < intact
    assert len(figures) == 1 + 2 * 2 * len(probes.MASK_SCALES)


def test_who_looks_at_the_brightness_alone_is_found_out_by_the_contrasts(healthy_and_ill):
    from benchmarks.quality.checkpoints import open_slices

    healthy = healthy_and_ill.select([i for i, label in enumerate(healthy_and_ill["label"]) if label == NO_TUMOR])
    brightest = max(np.asarray(image.convert("L"), float).mean() for image in open_slices(healthy))
    figures = probes.probe_contrast(Oracle(lambda gray: 0 if gray.mean() > brightest else NO_TUMOR), healthy_and_ill)
    called = figures["healthy_called_tumor"]
    assert list(called) == ["intact", *probes.CONTRASTS]
    assert called["intact"]["share"] == 0 and called["gamma 2"]["share"] == 0 and called["gamma 0.5"]["share"] > 0


def test_a_real_checkpoint_is_asked_with_its_own_processor_and_in_our_order(tiny_checkpoint, tmp_path):
    from brain_tumor.inference.classifier import Classifier

    model = load_model(str(tiny_checkpoint), 96)
    model.config.id2label = dict(enumerate(["pituitary", "no tumor", "2-glioma", "meningioma_tumor"]))
    save_checkpoint(model, load_processor(str(tiny_checkpoint), 96), tmp_path)
    images = [phantom(kind, 100 + 10 * number).convert("RGB") for number, kind in enumerate(GRAY_LEVELS)] * 15
    asked = Checkpoint(tmp_path).probabilities(iter(images))
    assert asked.shape == (45, 4) and asked.sum(axis=1) == pytest.approx(1)
    expected = Classifier(tmp_path).predict(images[:3])
    for row, prediction in zip(asked, expected, strict=False):
        assert row == pytest.approx(
            [prediction.confidences[name] for name in ("2-glioma", "meningioma_tumor", "no tumor", "pituitary")],
            abs=1e-4,
        )
