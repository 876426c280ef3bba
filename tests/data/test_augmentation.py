"""Each step of the augmentation changes what it says, and nothing else."""

import numpy as np
import pytest
import torch

from brain_tumor.data.augmentation import (
    affine,
    blur,
    coarsen,
    intensity,
    mirror,
    noise,
    recolor,
    reframe,
    shade,
    strip_skull,
)
from tests.slices import draw_slice


def gray_batch(count: int = 32, side: int = 48) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(draw_slice(i, side=side)) for i in range(count)])).unsqueeze(1).float()


def test_black_air_stays_black_while_tissue_changes():
    pixels = gray_batch()
    air = pixels == 0
    assert 0.2 < air.float().mean() < 0.9
    for seed in range(10):
        torch.manual_seed(seed)
        changed = intensity(pixels, gamma=0.5, contrast=0.5, brightness=0.3)
        assert not changed[air].any()
        assert (changed[~air] != pixels[~air]).float().mean() > 0.9
        assert changed.min() >= 0 and changed.max() <= 255


def test_mirroring_swaps_left_and_right_in_about_half_of_the_slices_and_nothing_else():
    pixels = gray_batch(200, 24)
    torch.manual_seed(0)
    mirrored = mirror(pixels)
    kept = (mirrored == pixels).flatten(1).all(1)
    swapped = (mirrored == pixels.flip(-1)).flatten(1).all(1)
    assert (kept ^ swapped).all()
    assert 70 < kept.sum() < 130


def test_an_affine_change_of_nothing_changes_nothing():
    pixels = gray_batch(8)
    assert torch.allclose(affine(pixels, degrees=0, shift=0, zoom=0, aspect=0), pixels, atol=0.01)


def test_what_an_affine_change_brings_in_from_outside_is_black():
    white = torch.full((40, 1, 32, 32), 255.0)
    torch.manual_seed(0)
    moved = affine(white, degrees=0, shift=0.3, zoom=0, aspect=0)
    assert ((moved == 0) | (moved > 0)).all() and moved.min() == 0 and moved.max() <= 255.01
    inner = moved[:, :, 12:20, 12:20]
    assert (inner > 254).all()


def test_blurring_keeps_flat_slices_flat_and_takes_the_edge_off_others():
    flat = torch.full((6, 3, 20, 20), 130.0)
    assert torch.allclose(blur(flat, share=1.0, sigma=1.2), flat, atol=1e-3)
    pixels = gray_batch(6)
    torch.manual_seed(0)
    blurred = blur(pixels, share=1.0, sigma=1.2)
    steps = [(p[..., 1:] - p[..., :-1]).abs().flatten(1).sum(1) for p in (pixels, blurred)]
    assert (steps[1] < steps[0]).all()
    assert torch.equal(blur(pixels, share=0.0, sigma=1.2), pixels)


def test_noise_is_the_same_in_all_channels_and_stays_in_range():
    pixels = gray_batch(64).expand(-1, 3, -1, -1)
    torch.manual_seed(0)
    noisy = noise(pixels, share=1.0, sigma=0.1)
    assert torch.equal(noisy[:, 0], noisy[:, 2]) and noisy.min() >= 0 and noisy.max() <= 255
    assert torch.equal(noise(pixels, share=0.0, sigma=0.1), pixels)


STEPS = {
    "reframe": lambda pixels, share: reframe(pixels, share=share),
    "recolor": lambda pixels, share: recolor(pixels, share=share),
    "shade": lambda pixels, share: shade(pixels, share=share, strength=0.6),
    "strip_skull": lambda pixels, share: strip_skull(pixels, share=share),
    "coarsen": lambda pixels, share: coarsen(pixels, share=share, worst=3),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_changes_its_share_of_the_slices_and_keeps_shape_range_and_gray(name):
    pixels, black = gray_batch(64), torch.zeros(3, 1, 48, 48)
    before = pixels.clone()
    torch.manual_seed(0)
    assert torch.equal(STEPS[name](pixels, 0.0), pixels)
    some = STEPS[name](pixels, 0.5)
    assert 16 < (some != pixels).flatten(1).any(1).sum() < 48
    every = STEPS[name](pixels.expand(-1, 3, -1, -1), 1.0)
    assert every.shape == (64, 3, 48, 48) and every.min() >= 0 and every.max() <= 255.01
    assert torch.allclose(every[:, 0], every[:, 2], atol=1e-3)
    assert (every[:, :1] != pixels).flatten(1).any(1).float().mean() > 0.9
    assert torch.equal(pixels, before), "its input is left alone"
    assert not STEPS[name](black, 1.0).any()


def test_a_new_frame_shows_the_head_larger_or_smaller_and_centered():
    pixels = torch.zeros(40, 1, 64, 64)
    pixels[:, :, 4:28, 30:60] = 200
    torch.manual_seed(0)
    found = reframe(pixels, share=1.0) > 100
    rows, columns = found.any(3)[:, 0], found.any(2)[:, 0]
    middle = torch.arange(64.0)
    for along in (rows, columns):
        center = (along * middle).sum(1) / along.sum(1)
        assert ((center - 31.5).abs() < 1.5).all()
    assert columns.sum(1).min() < 50 and columns.sum(1).max() == 64


def test_new_grays_keep_air_black_and_edges_where_they_are():
    pixels = torch.zeros(30, 1, 32, 32)
    pixels[:, :, 8:24, 8:24], pixels[:, :, 12:20, 12:20] = 90, 180
    torch.manual_seed(0)
    curved = recolor(pixels, share=1.0)
    assert not curved[pixels == 0].any()
    for gray in (90, 180):
        assert (curved[pixels == gray].view(30, -1).std(1) < 1e-3).all()
    outer, inner = curved[:, 0, 9, 9], curved[:, 0, 15, 15]
    assert 0 < (inner < outer).sum() < 15, "the order of grays turns around in some, not in most"


def test_stripping_takes_the_rim_of_the_head_and_leaves_its_inside():
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    radius = np.hypot(y, x)
    head = np.where(radius < 0.8, 120.0, 0.0)
    head[(radius > 0.55) & (radius < 0.65)] = 0  # dark bone within is no outside
    pixels = torch.tensor(head, dtype=torch.float32).expand(20, 1, 96, 96)
    torch.manual_seed(0)
    stripped = strip_skull(pixels, share=1.0)[0, 0].numpy()
    assert not stripped[radius > 0.76].any()
    assert np.array_equal(stripped[radius < 0.5], head[radius < 0.5])


def test_a_coarser_slice_keeps_its_mean_and_loses_detail():
    pixels = gray_batch(16)
    torch.manual_seed(0)
    coarse = coarsen(pixels, share=1.0, worst=3)
    assert torch.allclose(coarse.mean((1, 2, 3)), pixels.mean((1, 2, 3)), rtol=0.05)
    steps = [(p[..., 1:] - p[..., :-1]).abs().flatten(1).sum(1) for p in (pixels, coarse)]
    assert (steps[1] < steps[0]).all()


@pytest.mark.parametrize("side", [32, 50])
def test_small_slices_go_through_every_step(side):
    pixels = gray_batch(8, side)
    for step in STEPS.values():
        assert step(pixels, 1.0).shape == pixels.shape
