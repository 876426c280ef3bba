"""The heat map shows what speaks for a class where it lies, makes nothing of noise, and can be seen by everybody."""

import numpy as np
import pytest
from PIL import Image

from brain_tumor.answers.heatmap import FLOOR, gradient, overlay
from tests.slices import draw_slice


def at(place: tuple[int, int], value: float, rest: float = 0.0) -> np.ndarray:
    heatmap = np.full((7, 7), rest, np.float32)
    heatmap[place] = value
    return heatmap


def change(image: Image.Image, heatmap: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """How much each pixel changes, (height, width), in gray levels."""
    return abs(np.asarray(overlay(image, heatmap, opacity), int) - np.asarray(image, int)).sum(-1)


@pytest.fixture
def scan() -> Image.Image:
    """A slice of which the head fills the picture, with tissue that a dark ground cannot be taken for."""
    return draw_slice(1, side=448).convert("RGB").crop((112, 112, 336, 336))


@pytest.mark.parametrize("size", [(224, 224), (640, 480), (33, 700)])
def test_the_result_is_as_large_as_the_slice_and_the_slice_stays_as_it_is(size):
    image = draw_slice(1).convert("RGB").resize(size)
    before = image.tobytes()
    result = overlay(image, at((3, 3), 30), 0.5)
    assert result.size == size
    assert result.mode == "RGB"
    assert image.tobytes() == before


@pytest.mark.parametrize("place", [(0, 0), (1, 5), (3, 3), (6, 2)])
def test_the_strongest_color_lies_where_the_contribution_comes_from(place, scan):
    row, column = np.unravel_index(change(scan, at(place, 40), opacity=1).argmax(), (224, 224))
    assert (row * 7 // 224, column * 7 // 224) == place


def test_an_oblong_slice_is_covered_from_edge_to_edge():
    image = Image.new("RGB", (700, 140))
    changed = change(image, at((0, 6), 40))
    row, column = np.argwhere(changed > 0.9 * changed.max()).mean(axis=0)
    assert row < 20 and column > 600


def test_no_opacity_is_the_slice_and_full_opacity_hides_it_where_the_map_is_strongest(scan):
    heatmap = np.full((7, 7), 40, np.float32)
    assert overlay(scan, heatmap, 0).tobytes() == scan.tobytes()
    hidden = np.asarray(overlay(scan, heatmap, 1))
    assert (hidden == hidden[0, 0]).all()
    some, more = change(scan, heatmap, 0.3).mean(), change(scan, heatmap, 0.6).mean()
    assert more > 1.8 * some > 0


def test_what_speaks_against_the_class_is_not_shown(scan):
    assert overlay(scan, np.full((7, 7), -50, np.float32), 1).tobytes() == scan.tobytes()
    alone, beside = at((3, 3), 40), at((3, 3), 40, rest=-50)
    assert np.array_equal(overlay(scan, alone, 0.5), overlay(scan, beside, 0.5))


def head_on(ground: int, level: int) -> tuple[Image.Image, np.ndarray]:
    """A disk on a ground with a letter beside it, and where the disk is not."""
    y, x = np.mgrid[:300, :300]
    beside = np.hypot(y - 150, x - 150) > 90
    pixels = np.where(beside, ground, level).astype(np.uint8)
    pixels[10:25, 10:20] = level
    return Image.fromarray(pixels).convert("RGB"), beside


@pytest.mark.parametrize(("ground", "level"), [(0, 120), (12, 90), (255, 120)])
def test_the_map_does_not_spill_outside_the_head(ground, level):
    image, beside = head_on(ground, level)
    changed = change(image, np.full((7, 7), 40, np.float32))
    assert (changed[~beside] > 0).mean() > 0.95
    far = np.hypot(*(np.mgrid[:300, :300] - 150)) > 93
    assert not changed[far].any(), "neither the ground nor the letter glows"


def test_noise_does_not_look_like_a_finding(scan):
    noise = np.random.default_rng(0).uniform(0, 3, (7, 7)).astype(np.float32)
    finding = at((3, 3), 40)
    assert change(scan, noise).max() < 0.25 * change(scan, finding).max()
    assert change(scan, noise * 13).max() > 0.9 * change(scan, finding).max(), "only its strength makes it noise"


def test_maps_share_a_scale_below_the_floor(scan):
    strongest = [change(scan, at((3, 3), value)).max() for value in (2, 5, FLOOR)]
    assert strongest[0] < strongest[1] < strongest[2]
    everywhere = [overlay(scan, np.full((7, 7), value, np.float32), 1).tobytes() for value in (FLOOR, 3 * FLOOR)]
    assert everywhere[0] == everywhere[1]


def test_the_map_is_smooth_without_the_edges_of_its_places():
    levels = change(Image.new("RGB", (224, 224)), at((3, 3), 40), opacity=1).astype(float)
    steps = abs(np.diff(levels, axis=1)).max()
    assert steps < 0.15 * levels.max(), "an edge would be a step of all of it"


def test_a_map_that_holds_no_numbers_is_nothing(scan):
    assert overlay(scan, np.full((7, 7), np.nan, np.float32), 1).tobytes() == scan.tobytes()


def test_the_colors_grow_evenly_brighter_also_for_readers_who_see_no_red_or_no_green():
    colors = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in gradient(12)]) / 255
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    # What is left of red and green for protanopes and deuteranopes (Viénot, Brettel and Mollon 1999).
    protan = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    deutan = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    for seen in (linear, linear @ protan.T, linear @ deutan.T):
        lightness = np.cbrt(seen @ [0.2126, 0.7152, 0.0722])
        steps = np.diff(lightness)
        assert (steps > 0).all()
        assert steps.max() < 2.5 * steps.mean()
    assert (colors.max(axis=1) - colors.min(axis=1) > 0.3).all(), "no color is one of the scan's grays"


def test_a_map_over_the_largest_picture_takes_no_more_memory_than_some_copies_of_it():
    import tracemalloc

    image = Image.new("RGB", (6000, 4000))
    tracemalloc.start()
    overlay(image, at((3, 3), 40), 0.5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6, "no array of Python's or numpy's at full size"
