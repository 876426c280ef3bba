"""Drawn heads: slices for tests that need pictures but no real ones."""

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from brain_tumor.labels import canonical_label


def draw_slice(number: int, class_name: str = "no_tumor", side: int = 64) -> Image.Image:
    """A gray slice: black air, a skull, a brain of smooth random tissue, and in it what its class is known by.

    Two slices of different `number` are no copies of each other; the same arguments draw the same slice.

    Args:
        number: of the slice; stands for the patient.
        class_name: any spelling of the four classes. A glioma is a large dark ring off the middle, a meningioma a
            bright disc at the skull, a pituitary tumor a small bright disc below the middle.
        side: in pixels.

    Returns:
        `PIL.Image.Image` of mode "L".
    """
    random = np.random.default_rng([number, zlib.crc32(class_name.encode())])
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    angle, (height, width), (top, left) = (
        random.uniform(-0.3, 0.3),
        random.uniform(0.6, 0.95, 2),
        random.uniform(-0.05, 0.05, 2),
    )
    v = ((y - top) * np.cos(angle) - (x - left) * np.sin(angle)) / height
    u = ((y - top) * np.sin(angle) + (x - left) * np.cos(angle)) / width
    radius = np.hypot(u, v)
    tissue = np.zeros((side, side))
    for _ in range(12):  # waves of a few periods a side: smooth, and still there at 32x32
        fy, fx, phase = *random.uniform(-7, 7, 2), random.uniform(0, 2 * np.pi)
        tissue += np.cos(fy * y + fx * x + phase)
    gray = np.where(radius < 1, 110 + 22 * tissue, 0)
    side_of_head, height_in_head = random.choice([-1, 1]), random.uniform(-0.3, 0.3)
    match canonical_label(class_name):
        case "glioma":
            distance = np.hypot(u - 0.4 * side_of_head, v - height_in_head)
            gray = np.where(distance < 0.35, 20, gray)
            gray = np.where(abs(distance - 0.35) < 0.07, 240, gray)
        case "meningioma":
            gray = np.where(np.hypot(u - 0.7 * side_of_head, v - height_in_head) < 0.25, 250, gray)
        case "pituitary":
            gray = np.where(np.hypot(u, v - 0.3) < 0.16, 250, gray)
    gray = np.where((radius > 0.93) & (radius < 1), 200, gray)
    return Image.fromarray(gray.clip(0, 255).astype(np.uint8))


def write_slices(folder: Path, counts: Mapping[str, int], suffix: str = ".png", side: int = 64) -> Path:
    """Write drawn slices, no two of them copies: class folder, such as "Training/2-glioma" -> number of slices."""
    number = 0
    for class_folder, count in counts.items():
        (folder / class_folder).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            slice_ = draw_slice(number, Path(class_folder).name, side)
            slice_.save(folder / class_folder / f"{number:04d}{suffix}")
            number += 1
    return folder
