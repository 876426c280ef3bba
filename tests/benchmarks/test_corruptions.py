"""Corrupted slices: stronger means further from the original, and nothing but the slice's hash decides how."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from benchmarks.quality.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from tests.slices import draw_slice

SHA256 = [f"{number:064x}" for number in (0, 2**250 + 12345, 0xFACE << 200)]


def pictures(side: int = 220) -> list[Image.Image]:
    gray = draw_slice(3, "glioma", side)
    color = Image.merge("RGB", (gray, ImageOps.mirror(gray), ImageOps.flip(gray)))
    return [gray, gray.convert("RGB"), color, gray.resize((side, 3 * side // 4)).convert("RGB")]


def distance(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).mean())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_stronger_corruption_is_further_from_the_slice(name):
    for sha256 in SHA256:
        for image in pictures()[:2]:
            distances = [distance(corrupt(image, name, strength, sha256), image) for strength in STRENGTHS]
            assert distances[0] > 0 and all(a < b for a, b in zip(distances, distances[1:], strict=False)), distances


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_size_and_mode_are_kept_and_the_slice_itself_is_not_touched(name):
    for image in pictures(100):
        before = image.tobytes()
        for strength in STRENGTHS:
            corrupted = corrupt(image, name, strength, SHA256[1])
            assert (corrupted.size, corrupted.mode) == (image.size, image.mode)
        assert image.tobytes() == before


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_gray_slices_stay_gray(name):
    corrupted = np.asarray(corrupt(pictures(100)[1], name, 4, SHA256[1]))
    assert (corrupted == corrupted[..., :1]).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_slice_is_corrupted_the_same_way_and_another_one_differently_where_there_is_chance(name):
    image = pictures()[0]
    drawn = {corrupt(image, name, 3, f"{number * 0x9E3779B97F4A7C15:064x}"[-16:] * 4).tobytes() for number in range(12)}
    assert corrupt(image, name, 3, SHA256[1]).tobytes() == corrupt(image, name, 3, SHA256[1]).tobytes()
    certain = name in ("gaussian_blur", "jpeg", "downscaling")
    assert len(drawn) == 1 if certain else len(drawn) > 1


@pytest.mark.parametrize("name", ["brightness", "contrast", "gamma"])
def test_gray_levels_go_up_in_some_slices_and_down_in_others(name):
    image = pictures()[0]
    level = {
        np.sign(np.asarray(corrupt(image, name, 2, f"{n:x}".zfill(16)), float).std() - np.asarray(image, float).std())
        if name == "contrast"
        else np.sign(np.asarray(corrupt(image, name, 2, f"{n:x}".zfill(16)), float).mean() - np.asarray(image).mean())
        for n in range(16)
    }
    assert level == {-1.0, 1.0}


def test_the_extremes_are_the_named_ones():
    square = Image.new("L", (400, 400))
    square.paste(255, (198, 40, 202, 360))  # an upright line
    turned = np.argwhere(np.asarray(corrupt(square, "rotation", 5, SHA256[1])) > 128) - 199.5
    slope = np.degrees(np.arctan(np.polyfit(turned[:, 0], turned[:, 1], 1)[0]))
    assert abs(abs(slope) - 30) < 1
    checks = Image.fromarray((np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8))
    assert np.asarray(corrupt(checks, "downscaling", 5, SHA256[1])).std() < 10
    assert np.asarray(corrupt(checks.resize((64, 64)), "downscaling", 5, SHA256[1])).std() > 0


def test_a_slice_that_is_smaller_than_the_thumbnail_stays_as_it_is():
    small = draw_slice(1, side=60)
    assert corrupt(small, "downscaling", 5, SHA256[1]).tobytes() == small.tobytes()


def test_noise_is_rician_so_dark_air_becomes_gray_and_bright_tissue_keeps_its_level():
    image = Image.new("L", (200, 200))
    image.paste(150, (100, 0, 200, 200))
    noisy = np.asarray(corrupt(image, "noise", 3, SHA256[1]), np.float64)
    sigma = 255 * 0.07
    assert noisy[:, :100].mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.03)
    assert noisy[:, 100:].mean() == pytest.approx(150 + sigma**2 / 300, rel=0.01)
    assert noisy[:, 100:].std() == pytest.approx(sigma, rel=0.05)


def test_a_strength_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="Strength 6"):
        corrupt(draw_slice(1), "gamma", 6, SHA256[1])
