"""Asking again: the same slice in other guises, to see whether the answer holds, and what it rests on."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PIL import Image, ImageFilter, ImageOps
from scipy import ndimage
from scipy.special import logit

from brain_tumor.inference.head import GRID, ground_level, head_mask
from brain_tumor.inference.prediction import Prediction
from brain_tumor.inference.verdict import TYPE_UNCLEAR
from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR_TYPES, canonical_label

SIDE = 384
"""Pixels of the longest side of what is asked: more than any of our networks looks at, and quickly drawn."""

DEGREES = 10

GAMMAS = 0.7, 1.4

HOTTEST = 0.5
"""Share of the map's peak from which on a place belongs to the marked region, if it is connected with the peak."""

LEAST_FALL = 1.0
"""Of the log-odds of the named tumor when the marked region is covered, for an answer that rests on it: its odds are
left with 37 % or less. Chosen on validation slices, where more would distrust right verdicts without finding many more
wrong ones; docs/results.md says what it gives on test slices."""

THUMBNAIL = 128
"""Pixels of the longest side of what is kept of it."""

_COARSE = 128
"""Side of the square in which a cover is mixed: it is smooth."""


_TUMORS = {LABELS[number] for number in TUMOR_TYPES}


class Guise(StrEnum):
    """How a slice is asked again, in the order in which it is shown."""

    AS_IT_IS = "as it is"
    MIRRORED = "mirrored"
    TURNED = "turned"
    BRIGHTER = "brighter"
    DARKER = "darker"
    INVERTED = "inverted"
    COVERED = "region covered"
    ALONE = "all else covered"


@dataclass(frozen=True)
class Asked:
    """What a slice is called in every guise.

    Attributes:
        probabilities: of any tumor, in [0, 1], in the order of `Guise`; without `COVERED` and `ALONE` where nothing was
            covered.
        pictures: what was asked, as large as a thumbnail, 8-bit RGB.
        kind: the tumor whose region is covered, as the checkpoint names it; None on "no tumor" and without maps.
        of_kind: its probability, in [0, 1]; empty without one.
        rests: whether the answer rests on the marked region: with that covered, the log-odds of `kind` fall by at least
            `LEAST_FALL`. None where the verdict is no tumor, or nothing was covered.
    """

    probabilities: dict[Guise, float]
    pictures: dict[Guise, Image.Image]
    kind: str | None
    of_kind: dict[Guise, float]
    rests: bool | None = None


def ask_again(
    predict: Callable[[list[Image.Image]], list[Prediction]], image: Image.Image, prediction: Prediction
) -> Asked:
    """Asks a slice again, in one call.

    The region is that of the most probable tumor. On "no tumor" nothing is covered: there is no tumor's evidence.

    Args:
        predict: `Classifier.predict`.
        image: the slice, 8-bit gray or RGB of any size.
        prediction: what was said of it as it is, by a checkpoint of the four classes.
    """
    kind = tumor_of(prediction)
    drawn = guises(image, prediction.heatmaps[kind] if kind else None)
    as_it_is = drawn.pop(Guise.AS_IT_IS)
    answers = dict(zip(drawn, predict(list(drawn.values())), strict=True))
    answers, drawn = {Guise.AS_IT_IS: prediction} | answers, {Guise.AS_IT_IS: as_it_is} | drawn
    for picture in drawn.values():
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
    of_kind = {guise: answer.confidences[kind] for guise, answer in answers.items()} if kind else {}
    probabilities = {guise: answer.tumor_probability for guise, answer in answers.items()}
    is_tumor = prediction.verdict == TYPE_UNCLEAR or canonical_label(prediction.verdict) in _TUMORS
    return Asked(probabilities, drawn, kind, of_kind, _rests(of_kind) if is_tumor else None)


def _rests(of_kind: dict[Guise, float]) -> bool | None:
    if Guise.COVERED not in of_kind:
        return None
    before, after = logit(np.clip([of_kind[Guise.AS_IT_IS], of_kind[Guise.COVERED]], 1e-6, 1 - 1e-6))
    return bool(before - after >= LEAST_FALL)


def tumor_of(prediction: Prediction) -> str | None:
    """The most probable tumor, as the checkpoint names it; None on "no tumor", and where there are no maps."""
    if prediction.verdict == LABELS[NO_TUMOR] or not prediction.heatmaps:
        return None
    tumors = [name for name in prediction.confidences if canonical_label(name) != LABELS[NO_TUMOR]]
    return max(tumors, key=prediction.confidences.get)


def guises(image: Image.Image, heatmap: np.ndarray | None) -> dict[Guise, Image.Image]:
    """The slice in every guise, drawn from its gray levels alone.

    Args:
        image: 8-bit gray or RGB of any size.
        heatmap: (h, w) float32, of the class whose evidence is covered; None to cover nothing.

    Returns:
        Guise -> 8-bit RGB, at most `SIDE` pixels wide and high. `COVERED` and `ALONE` are missing without a map, and
        where nothing in it speaks for its class.
    """
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    mask = head_mask(small)
    head = np.asarray(mask.resize(small.size, Image.Resampling.BILINEAR), np.float32)[..., None] / 255
    ground = round(ground_level(np.asarray(small.convert("L"), np.float32)))
    drawn = {
        Guise.AS_IT_IS: small,
        Guise.MIRRORED: ImageOps.mirror(small),
        Guise.TURNED: small.rotate(DEGREES, Image.Resampling.BICUBIC, fillcolor=(ground,) * 3),
    }
    for guise, gamma in zip((Guise.BRIGHTER, Guise.DARKER), GAMMAS, strict=True):
        drawn[guise] = small.point([round(255 * (level / 255) ** gamma) for level in range(256)] * 3)
    pixels = np.asarray(small, np.float32)
    within = pixels[head[..., 0] > 0.5]
    low, high = np.percentile(within if len(within) else pixels, (1, 99))
    drawn[Guise.INVERTED] = _picture(pixels + head * (low + high - 2 * pixels))
    region = None if heatmap is None else marked_region(heatmap, mask)
    if region is not None:
        soft = np.asarray(
            region.filter(ImageFilter.GaussianBlur(GRID / 64)).resize(small.size, Image.Resampling.BILINEAR),
            np.float32,
        )[..., None]
        soft = head * soft / 255
        drawn[Guise.COVERED] = _picture(pixels + soft * (_surroundings(small, mask, region) - pixels))
        tissue = pixels[(head[..., 0] > 0.5) & (soft[..., 0] < 0.5)]
        rest = tissue.mean(axis=0) if len(tissue) else pixels.mean(axis=(0, 1))
        drawn[Guise.ALONE] = _picture(pixels + (head - soft) * (rest - pixels))
    return drawn


def marked_region(heatmap: np.ndarray, head: Image.Image) -> Image.Image | None:
    """The map's hottest region: the place of its peak, and what is connected with it and at least `HOTTEST` as hot.

    Args:
        heatmap: (h, w) float32.
        head: as `head_mask` finds it; the region lies on it.

    Returns:
        0 or 255 in a square of `GRID` pixels, mode "L"; None where nothing speaks for the class.
    """
    fine = np.asarray(Image.fromarray(np.asarray(heatmap, np.float32)).resize((GRID, GRID), Image.Resampling.BICUBIC))
    fine = np.where(np.asarray(head) > 127, np.nan_to_num(fine), 0).clip(0)
    if not fine.max() > 0:
        return None
    pieces, _ = ndimage.label(fine >= HOTTEST * fine.max())
    return Image.fromarray(np.where(pieces == pieces.flat[fine.argmax()], 255, 0).astype(np.uint8))


def _surroundings(image: Image.Image, head: Image.Image, region: Image.Image) -> np.ndarray:
    """What is around a region, led smoothly into it: (height, width, 3) float32, to be looked at in the region alone.

    A mean of the tissue around, weighted by distance (normalized convolution, Knutsson and Westin 1993).
    """
    square = (_COARSE, _COARSE)
    pixels = np.asarray(image.resize(square, Image.Resampling.BOX), np.float32)
    hole = np.asarray(region.resize(square)) > 0
    hole = ndimage.binary_dilation(hole, iterations=2)
    gray = pixels.mean(axis=2)
    tissue = (np.asarray(head.resize(square)) > 127) & (gray > 0.06 * gray.max()) & ~hole
    known = tissue if tissue.any() else ~hole if not hole.all() else np.ones_like(hole)
    rows, columns = np.nonzero(hole)
    sigma = max(2.0, 0.25 * max(np.ptp(rows) + 1, np.ptp(columns) + 1))
    weight = np.maximum(ndimage.gaussian_filter(known.astype(np.float32), sigma), 1e-6)
    blurred = ndimage.gaussian_filter(np.where(known[..., None], pixels, 0), (sigma, sigma, 0)) / weight[..., None]
    return np.asarray(_picture(blurred).resize(image.size, Image.Resampling.BICUBIC), np.float32)


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
