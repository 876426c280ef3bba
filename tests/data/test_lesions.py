"""Simulated lesions change healthy training slices where a tumor might be, and nothing else."""

import numpy as np
import torch

from brain_tumor.data.lesions import HEAD_LEVEL, add_lesions, head_extent
from brain_tumor.data.transforms import EvalTransform, TrainTransform, gray_curves, tight_or_loose
from brain_tumor.labels import NO_TUMOR, TUMOR
from brain_tumor.network.pretrained import load_processor
from tests.slices import draw_slice


def heads(count: int, side: int = 96) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.array(draw_slice(i, side=side))).float() for i in range(count)]).unsqueeze(
        1
    )


def test_a_lesion_can_be_seen_and_is_no_larger_than_a_third_of_the_slice():
    torch.manual_seed(0)
    plain = heads(24)
    drawn = add_lesions(plain)
    change = (drawn - plain).abs()[:, 0]
    assert drawn.shape == plain.shape
    assert drawn.min() >= 0 and drawn.max() <= 255
    visible = (change > 20).float().mean(dim=(1, 2))
    assert (visible > 0.001).float().mean() > 0.8
    assert (visible < 0.34).all()


def test_air_around_the_head_stays_black():
    torch.manual_seed(1)
    plain = heads(24)
    air = plain == 0
    assert (add_lesions(plain)[air] == 0).all()


def test_no_two_lesions_are_alike_and_the_seed_repeats_them():
    plain = heads(1).expand(6, -1, -1, -1).clone()
    torch.manual_seed(2)
    first = add_lesions(plain)
    torch.manual_seed(2)
    assert torch.equal(first, add_lesions(plain))
    assert all((first[i] - first[j]).abs().mean() > 0.1 for i in range(6) for j in range(i))


def test_writing_beside_the_head_does_not_count_as_head():
    gray = torch.zeros(1, 100, 100)
    gray[0, 30:70, 20:80] = 150
    gray[0, 5:8, 85:90] = 255
    assert [float(v) for axis in (1, 2) for v in head_extent(gray, axis)] == [20, 79, 30, 69]


def rows_of(pixels: torch.Tensor, labels: list[int]) -> dict:
    return {"pixels": [p.byte().numpy().tobytes() for p in pixels], "label": labels}


def test_only_healthy_slices_get_a_lesion_and_then_they_are_tumors_of_unknown_type(tiny_checkpoint):
    processor = load_processor(str(tiny_checkpoint), 96)
    labels = [0, NO_TUMOR, 1, NO_TUMOR, TUMOR, 3]
    rows = rows_of(heads(6), labels)
    plain = EvalTransform(processor)(rows)["pixel_values"]
    drawn = TrainTransform(processor, strength=0, lesions=1.0)(rows)
    assert drawn["labels"].tolist() == [*labels, TUMOR, TUMOR], (
        "beside the slices themselves, a copy of each healthy one"
    )
    same = [
        torch.allclose(a, b, atol=1e-5) for a, b in zip(drawn["pixel_values"], plain[[*range(6), 1, 3]], strict=True)
    ]
    assert same == [True] * 6 + [False] * 2


def test_lesions_come_as_often_as_asked_for(tiny_checkpoint):
    torch.manual_seed(3)
    rows = rows_of(heads(1).expand(400, -1, -1, -1), [NO_TUMOR] * 400)
    drawn = TrainTransform(load_processor(str(tiny_checkpoint), 96), strength=0, lesions=0.3)(rows)
    assert 90 <= (drawn["labels"] == TUMOR).sum() <= 150


# --- the other two augmentations that a share of the slices gets ------------------------------------------------


def test_a_changed_margin_reaches_from_a_tight_crop_to_a_wide_frame():
    torch.manual_seed(4)
    plain = heads(1).expand(300, -1, -1, -1)
    matrices = tight_or_loose(plain, share=1.0)
    (left, right), (top, bottom) = ([float(v[0]) for v in head_extent(plain[:1, 0], axis)] for axis in (1, 2))
    for row, first, last in ((0, left, right), (1, top, bottom)):
        scale, center = matrices[:, row, row], matrices[:, row, 2]
        low, high = (center - scale + 1) / 2 * 96, (center + scale + 1) / 2 * 96
        side = last - first
        assert (first - 0.26 * side <= low).all() and (low <= first + 0.04 * side).all()
        assert (last + 1 - 0.04 * side <= high).all() and (high <= last + 1.01 + 0.26 * side).all()
        assert low.min() < first - 0.2 * side and low.max() > first
    untouched = tight_or_loose(plain, share=0.0)
    assert torch.equal(untouched, torch.eye(2, 3).expand(300, 2, 3))


def test_gray_curves_keep_black_black_and_turn_a_third_around():
    torch.manual_seed(5)
    ramp = torch.arange(256.0).expand(300, 1, 4, 256)
    curved = gray_curves(ramp, share=1.0)
    assert (curved[..., 0] == 0).all()
    assert curved.min() >= 0 and curved.max() <= 255
    slope = curved[:, 0, 0, 200] - curved[:, 0, 0, 40]
    assert 0.15 < (slope < 0).float().mean() < 0.45
    assert torch.equal(gray_curves(ramp, share=0.0), ramp)
    assert HEAD_LEVEL > 24, "the soft edge of a curve lies below what counts as head"
