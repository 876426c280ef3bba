"""Ten ways in which a slice gets worse between the scanner and the upload, each in five strengths.

Strength 1 is what happens every day, 5 the named extreme. Families and the five steps follow Hendrycks & Dietterich,
"Benchmarking Neural Network Robustness to Common Corruptions and Perturbations" (ICLR 2019); the ranges are ours, for
gray slices on a black ground.
"""

import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

STRENGTHS = (1, 2, 3, 4, 5)


def gaussian_blur(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    """Out of focus, or smoothed by an export: standard deviation of 0.2, 0.5, 0.8, 1.2, 2 % of the shorter side."""
    sigma = _of(strength, 0.002, 0.005, 0.008, 0.012, 0.02) * min(image.size)
    return _filter_channels(image, lambda plane: ndimage.gaussian_filter(plane, sigma, mode="nearest"))


def motion_blur(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    """A patient who moved, or a shaken camera: smeared along a line of 1, 2, 3, 5, 8 % of the shorter side.

    The direction is random.
    """
    length = _of(strength, 0.01, 0.02, 0.03, 0.05, 0.08) * min(image.size)
    angle = rng.uniform(0, math.pi)
    # A line drawn so finely that its gray levels, added up in pixels, are those of an ideal one.
    along = np.linspace(-length / 2, length / 2, 401)
    reach = math.ceil(length / 2) + 1
    edges = np.arange(-reach, reach + 2) - 0.5
    kernel, _, _ = np.histogram2d(along * math.sin(angle), along * math.cos(angle), bins=(edges, edges))
    return _filter_channels(image, lambda plane: ndimage.convolve(plane, kernel / kernel.sum(), mode="nearest"))


def noise(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    """Rician noise, that of a magnitude image: standard deviation of 2, 4, 7, 11, 16 % of the full range.

    The signal's real and imaginary part each get Gaussian noise, and the magnitude is kept, so dark air becomes gray:
    Gudbjartsson & Patz, "The Rician distribution of noisy MRI data" (MRM 1995). The same in all channels.
    """
    sigma = 255 * _of(strength, 0.02, 0.04, 0.07, 0.11, 0.16)
    real, imaginary = rng.normal(0, sigma, (2, image.height, image.width))
    return _filter_channels(image, lambda plane: np.hypot(plane + real, imaginary))


def jpeg(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    """Saved as JPEG at quality 90, 60, 40, 20, 10."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_of(strength, 90, 60, 40, 20, 10))
    return Image.open(file).convert(image.mode)


def brightness(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    """Another window level: all gray levels 5, 10, 20, 30, 40 % of the range up or down, which is random."""
    change = rng.choice([-1, 1]) * 255 * _of(strength, 0.05, 0.1, 0.2, 0.3, 0.4)
    return _filter_channels(image, lambda plane: plane + change)


def contrast(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    """Another window width: distances from the mean shrink to 0.85, 0.7, 0.5, 0.35, 0.2 of what they are, or grow by
    the inverse and clip; which of the two is random."""
    factor = _of(strength, 0.85, 0.7, 0.5, 0.35, 0.2) ** rng.choice([-1, 1])
    mean = np.asarray(image.convert("L")).mean()
    return _filter_channels(image, lambda plane: (plane - mean) * factor + mean)


def gamma(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    """Another screen curve: gray levels to the power 1.2, 1.4, 1.8, 2.3, 3 or its inverse, which is random."""
    power = _of(strength, 1.2, 1.4, 1.8, 2.3, 3.0) ** rng.choice([-1, 1])
    return _filter_channels(image, lambda plane: 255 * (plane / 255) ** power)


def rotation(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    """A head held askew: turned by 4, 8, 15, 22, 30 degrees, in random direction; what comes in is black."""
    degrees = rng.choice([-1, 1]) * _of(strength, 4, 8, 15, 22, 30)
    return image.rotate(float(degrees), resample=Image.Resampling.BICUBIC)


def zoom(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    """Cropped too closely: a random window of 0.95, 0.9, 0.82, 0.74, 0.65 of both sides, enlarged to the whole."""
    side = _of(strength, 0.95, 0.9, 0.82, 0.74, 0.65)
    width, height = image.width * side, image.height * side
    # Between the middle and the corners by half the way: nobody crops one edge alone and leaves all of the other.
    left = (image.width - width) * rng.uniform(0.25, 0.75)
    top = (image.height - height) * rng.uniform(0.25, 0.75)
    box = (left, top, left + width, top + height)
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


def downscaling(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    """A thumbnail: the longer side down to 192, 160, 128, 96, 64 px and back up. Smaller slices stay as they are."""
    factor = _of(strength, 192, 160, 128, 96, 64) / max(image.size)
    if factor >= 1:
        return image.copy()
    small = image.resize([max(1, round(side * factor)) for side in image.size], Image.Resampling.BICUBIC)
    return small.resize(image.size, Image.Resampling.BICUBIC)


CORRUPTIONS: dict[str, Callable[[Image.Image, int, np.random.Generator], Image.Image]] = {
    "gaussian_blur": gaussian_blur,
    "motion_blur": motion_blur,
    "noise": noise,
    "jpeg": jpeg,
    "brightness": brightness,
    "contrast": contrast,
    "gamma": gamma,
    "rotation": rotation,
    "zoom": zoom,
    "downscaling": downscaling,
}
"""Name -> function of an 8-bit picture ("L" or "RGB"), a strength of `STRENGTHS` and a generator -> a new picture of
the same size and mode. The same picture, strength and state of the generator give the same result."""


def corrupt(image: Image.Image, name: str, strength: int, sha256: str) -> Image.Image:
    """A slice corrupted as it always is: what is random comes from its file's hash and the corruption's name.

    The strength is no part of the seed, so a slice is turned, smeared or cropped the same way, only further.
    """
    rng = np.random.default_rng([int(sha256[:16], 16), list(CORRUPTIONS).index(name)])
    return CORRUPTIONS[name](image, strength, rng)


def _of(strength: int, *values: float) -> float:
    if strength not in STRENGTHS:
        raise ValueError(f"Strength {strength} is not one of {STRENGTHS}.")
    return values[strength - 1]


def _filter_channels(image: Image.Image, function: Callable[[np.ndarray], np.ndarray]) -> Image.Image:
    """A function of (height, width) float64 on every channel; the results are rounded and clipped to 0 to 255."""
    pixels = np.asarray(image).astype(np.float64)
    planes = np.moveaxis(pixels.reshape(*pixels.shape[:2], -1), -1, 0)
    if all(np.array_equal(plane, planes[0]) for plane in planes[1:]):  # gray: once is enough
        changed = np.broadcast_to(function(planes[0])[..., None], (*pixels.shape[:2], len(planes)))
    else:
        changed = np.stack([function(plane) for plane in planes], axis=-1)
    return Image.fromarray(changed.round().clip(0, 255).astype(np.uint8).reshape(pixels.shape))
