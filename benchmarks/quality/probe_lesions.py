"""Simulated lesions for asking a checkpoint whether it looks at the tumor. Nothing here ever trains anything.

A lesion is drawn into a real healthy slice, so scanner, patient, frame and contrast are those of a picture that the
checkpoint should call "no tumor", and only the lesion says otherwise. Simulated lesions are not tumors: how many
are noticed compares checkpoints, and says nothing about sensitivity in patients.
"""

from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

PROBE_VERSION = 1
"""Raised with every change that changes a picture: figures of different versions do not compare."""

SHAPES = ("ellipsoid", "lobulated", "ring")

SIZES = {"small": 0.07, "medium": 0.12, "large": 0.20}
"""Diameter of the disc of the same area, as a share of the head's width: about 11, 18 and 30 mm in a head of 150 mm."""

KINDS = ("T1", "T2", "FLAIR")

SKULL = 0.11
"""Scalp, skull and the fluid under it, as a share of the head's width. Inwards of it is brain."""

TRIES = 48


@dataclass(frozen=True)
class Head:
    """Where the head and the brain lie in a slice, and how bright the brain is.

    Attributes:
        mask: (height, width) bool, the head with all that is inside it.
        brain: (height, width) bool, where a lesion may lie.
        depth: (height, width) float, pixels to the head's outside.
        center: (2,) float, row and column of the head's center of mass.
        axes: (2, 2) float, the half-axes of the ellipse with the head's second moments, as vectors (row, column),
            longer one first.
        width: of the head in pixels: the shorter axis of that ellipse.
    """

    mask: np.ndarray
    brain: np.ndarray
    depth: np.ndarray
    center: np.ndarray
    axes: np.ndarray
    width: float


@dataclass(frozen=True)
class Lesion:
    """What was drawn, for figures by shape, size and kind of scan."""

    shape: str
    size: str
    kind: str
    row: float
    column: float
    diameter: float

    as_dict = asdict


def find_head(gray: np.ndarray) -> Head:
    """Rough masks of head and brain by a threshold, the largest component and an erosion: no atlas, no network.

    Args:
        gray: (height, width), values 0 to 255, any real dtype.

    Returns:
        The head. In a flat or empty picture it is an ellipse that fills the picture.
    """
    gray = gray.astype(np.float64)
    height, width = gray.shape
    smooth = ndimage.gaussian_filter(gray, 0.008 * min(gray.shape))
    margin = max(2, round(0.02 * min(gray.shape)))
    border = np.concatenate([smooth[:margin].ravel(), smooth[-margin:].ravel(), smooth[:, [0, -1]].ravel()])
    # The 10th percentile: a head may touch the border, and some exports have gray air.
    air = np.percentile(border, 10)
    mask = smooth > air + 0.13 * (np.percentile(smooth, 99) - air)
    mask = ndimage.binary_closing(np.pad(mask, 8), iterations=4)[8:-8, 8:-8]
    mask = ndimage.binary_fill_holes(mask)
    mask = ndimage.binary_opening(mask, iterations=max(1, round(0.02 * min(gray.shape))))  # text, rulers
    parts, count = ndimage.label(mask)
    if count:
        mask = parts == 1 + np.argmax(ndimage.sum_labels(mask, parts, range(1, count + 1)))
    if mask.mean() < 0.1:
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        mask = np.hypot(y, x) < 1
    rows, columns = np.nonzero(mask)
    points = np.stack([rows, columns])
    values, vectors = np.linalg.eigh(np.cov(points))
    axes = (2 * np.sqrt(values) * vectors).T[::-1]
    shorter = 2 * float(np.linalg.norm(axes[1]))
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    brain = depth > SKULL * shorter
    # Sagittal and coronal slices show face and neck too: far from an ellipse, unlike their mirror image, or still wide
    # where the head ends below. Their brain is in the upper part. Where an axial slice is taken for one of them, the
    # lesion merely lies in its upper part.
    y, x = np.indices(gray.shape)
    offset = np.stack([y - rows.mean(), x - columns.mean()])
    ellipse = sum((np.tensordot(axis, offset, 1) / (axis @ axis)) ** 2 for axis in axes) < 1
    widths = mask.sum(axis=1)
    neck = widths[int(rows.max() - 0.02 * np.ptp(rows))] / widths.max()
    mirrored = np.zeros_like(mask)
    opposite = np.round(2 * columns.mean() - columns).astype(int)
    kept = (opposite >= 0) & (opposite < width)
    mirrored[rows[kept], opposite[kept]] = True
    alike = (mask & mirrored).sum() / (mask | mirrored).sum()
    if (mask & ellipse).sum() < 0.94 * ellipse.sum() or alike < 0.88 or neck > 0.38:
        brain &= y < rows.min() + 0.42 * np.ptp(rows)
    return Head(mask, brain, depth, points.mean(axis=1), axes, shorter)


def kind_of_scan(gray: np.ndarray, head: Head) -> tuple[str, dict[str, float]]:
    """T1-like, T2-like or FLAIR-like, by a heuristic that knows fluid and white matter only by where they lie.

    Fluid (the ventricles, in the middle) is the bright tail of a T2's gray levels and the dark tail of the others'.
    Of these, a T1 shows white matter (deep) clearly brighter than the cortex (under the skull), a FLAIR does not.
    Heavily processed exports are called what they resemble. No scan is left out for being unclear.

    Returns:
        One of `KINDS`, and the scores: fluid (-1 to 1, above 0 bright), white (above 0 deep tissue is brighter).
    """
    smooth = ndimage.gaussian_filter(gray.astype(np.float64), 1)
    middle = smooth[head.brain & (head.depth > 0.25 * head.width)]
    cortex = smooth[head.brain & (head.depth < 0.18 * head.width)]
    deep = smooth[head.brain & (head.depth > 0.22 * head.width) & (head.depth < 0.36 * head.width)]
    if not (middle.size and cortex.size and deep.size):  # no brain to speak of
        return "T1", {"fluid": 0.0, "white": 0.0}
    low, half, high = np.percentile(middle, (3, 50, 97))
    fluid = ((high - half) - (half - low)) / max(high - low, 1)
    spread = np.subtract(*np.percentile(smooth[head.brain], (90, 10)))
    white = (np.median(deep) - np.median(cortex)) / max(spread, 1)
    kind = "T2" if fluid > 0 else "T1" if white > 0.2 else "FLAIR"
    return kind, {"fluid": float(fluid), "white": float(white)}


def draw_lesion(
    image: Image.Image, shape: str, size: str, seed: int, head: Head | None = None
) -> tuple[Image.Image, Lesion]:
    """A slice with one simulated lesion in its brain.

    T1-like scans get one that takes up contrast agent: a bright rim, a darker core where the shape has one, dark
    oedema around. T2-like and FLAIR-like ones get a bright one with bright oedema. Gray levels are set between
    those that the scan itself has, noise has the scan's own strength, and the tissue around gives way a little.

    Args:
        image: 8-bit, of any mode and size.
        shape: one of `SHAPES`.
        size: one of `SIZES`.
        seed: of place, form and texture.
        head: as `find_head` finds it, where that is known already.

    Returns:
        The picture, RGB and as large as `image`, and what was drawn.
    """
    random = np.random.default_rng(seed)
    gray = np.asarray(image.convert("L")).astype(np.float64)
    head = head or find_head(gray)
    kind, _ = kind_of_scan(gray, head)
    diameter = SIZES[size] * head.width
    row, column = _place(gray, head, diameter / 2, random)
    distance = _distance(gray.shape, row, column, shape, diameter / 2, random)

    # --- gray levels ------------------------------------------------------------------------------------------
    brain = gray[head.brain] if head.brain.any() else gray.ravel()
    dark, half, light = np.percentile(brain, (3, 50, 97))
    near = head.brain & (distance > 0) & (distance < 0.6)
    tissue = float(np.median(gray[near])) if near.any() else half
    brightest = np.percentile(gray[head.mask], 99.8)
    visible = max(30.0, 0.4 * (brightest - dark))  # less than this is lost among sulci and vessels
    bright = float(np.clip(max(tissue + visible, light), 0, 250))
    cloud, fine = _waves(gray.shape, diameter / 4, random), _noise(gray, head, random)
    # Necrosis and cysts in the middle of a ring: dark in T1, as fluid in T2, in between in FLAIR.
    match kind:
        case "T1":
            bright = max(bright, tissue + 0.8 * (brightest - tissue))
            core, around, reach = dark + 0.45 * (tissue - dark), tissue - 0.45 * (tissue - dark), 0.7
        case "T2":
            bright = max(bright, tissue + 0.85 * (brightest - tissue))
            core, around, reach = bright + 0.15 * (bright - tissue), tissue + 0.45 * (bright - tissue), 0.8
        case "FLAIR":
            bright = max(bright, tissue + 0.85 * (brightest - tissue))
            core, around, reach = bright - 0.45 * (bright - tissue), tissue + 0.45 * (bright - tissue), 0.8

    # --- layers, from the outside in --------------------------------------------------------------------------
    soft = ndimage.gaussian_filter(head.brain.astype(np.float64), 0.008 * head.width)
    result = _push_aside(gray, row, column, diameter / 2, soft, random.uniform(0.15, 0.35))
    edge = max(1.0, 0.012 * head.width) / (diameter / 2)
    reach *= random.uniform(0.6, 1.3)
    oedema = np.clip(1 - (distance + 0.25 * cloud * reach) / reach, 0, 1) ** 0.8
    oedema = ndimage.gaussian_filter(oedema * (distance > -1), 0.02 * head.width) * soft
    result += oedema * (around - tissue) * random.uniform(0.6, 1)
    rim = random.uniform(0.28, 0.42)
    patches = 0.18 if shape == "lobulated" else 0.12
    body = bright - patches * abs(bright - tissue) * np.clip(1 + cloud, 0, 2)
    if shape == "ring":
        hollow = _step(-(distance + rim), edge)
        body = body * (1 - hollow) + (core + 0.08 * (bright - tissue) * cloud) * hollow
    alpha = _step(-distance, edge) * soft
    result = result * (1 - alpha) + (body + fine) * alpha
    # Nothing in a scan is sharper than its scanner. Only the lesion is blurred, the rest stays as it is.
    blurred = ndimage.gaussian_filter(result, 0.5 * max(1, head.width / 160))
    result = result * (1 - alpha) + blurred * alpha
    drawn = Image.fromarray(result.round().clip(0, 255).astype(np.uint8)).convert("RGB")
    return drawn, Lesion(shape, size, kind, float(row), float(column), float(diameter))


def _place(gray: np.ndarray, head: Head, radius: float, random: np.random.Generator) -> tuple[int, int]:
    """Row and column of a center within the brain, preferring tissue to ventricles and sulci."""
    candidates = np.argwhere(head.brain & (head.depth > SKULL * head.width + 0.8 * radius))
    if not len(candidates):
        candidates = np.argwhere(head.depth >= head.depth.max() - 1)
    candidates = candidates[random.integers(len(candidates), size=TRIES)]
    smooth = ndimage.gaussian_filter(gray, 0.01 * head.width)
    low, high = np.percentile(smooth[head.brain] if head.brain.any() else smooth, (12, 88))
    tissue = (head.brain & (smooth >= low) & (smooth <= high)).astype(np.float64)
    share = ndimage.uniform_filter(tissue, max(3, round(1.8 * radius)))[tuple(candidates.T)]
    good = candidates[share >= 0.9 * share.max()]
    return tuple(good[random.integers(len(good))])


def _distance(shape, row, column, form: str, radius: float, random: np.random.Generator) -> np.ndarray:
    """(height, width) distance to the lesion's edge in radii, below 0 inside; its area is a disc's."""
    y, x = np.indices(shape)
    v, u = (y - row) / radius, (x - column) / radius
    angle = np.arctan2(v, u)
    match form:
        case "ellipsoid":
            turn, ratio = random.uniform(0, np.pi), random.uniform(0.65, 0.95)
            a, b = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
            field = np.hypot(a * np.sqrt(ratio), b / np.sqrt(ratio)) + _outline(angle, 0.04, random)
        case "lobulated":
            count = random.integers(4, 7)  # lobes around a middle one
            turns = (np.arange(count) + random.uniform(-0.3, 0.3, count)) * 2 * np.pi / count + random.uniform(0, np.pi)
            radii, away = random.uniform(0.3, 0.55, count), random.uniform(0.5, 0.8, count)
            lobes = [
                np.hypot(u - d * np.cos(t), v - d * np.sin(t)) - r for t, r, d in zip(turns, radii, away, strict=True)
            ] + [np.hypot(u, v) - 0.5]
            field = -np.log(sum(np.exp(-8 * lobe) for lobe in lobes)) / 8  # a smooth minimum: no creases
        case "ring":
            field = np.hypot(u, v) + _outline(angle, 0.1, random)
    # The level that encloses the area of the disc.
    return field - np.sort(field, axis=None)[min(field.size - 1, round(np.pi * radius**2))]


def _outline(angle: np.ndarray, amount: float, random: np.random.Generator) -> np.ndarray:
    """Waves of 2 to 6 periods around the center: what makes an outline irregular."""
    phases = random.uniform(0, 2 * np.pi, 5)
    return sum(
        amount * random.uniform(0.3, 1) / np.sqrt(k - 1) * np.cos(k * angle + p) for k, p in enumerate(phases, 2)
    )


def _waves(shape, width: float, random: np.random.Generator) -> np.ndarray:
    """Smooth random field of mean 0 and standard deviation 1 over the slice."""
    field = ndimage.gaussian_filter(random.standard_normal(shape), max(1.0, width / 2))
    return (field - field.mean()) / field.std()


def _noise(gray: np.ndarray, head: Head, random: np.random.Generator) -> np.ndarray:
    """Fine texture as strong as the scan's own, by the median of what a light blur takes away from the brain."""
    fine = (gray - ndimage.gaussian_filter(gray, 1))[head.brain]
    strength = 1.4826 * np.median(np.abs(fine)) if fine.size else 0.0
    return strength * _waves(gray.shape, 1.6, random)


def _push_aside(gray, row, column, radius: float, soft: np.ndarray, amount: float) -> np.ndarray:
    """Tissue around a lesion moved outwards by up to `amount` radii, as by its mass; the skull stays."""
    y, x = np.indices(gray.shape).astype(np.float64)
    away = np.hypot(y - row, x - column) + 1e-6
    shift = amount * radius * np.exp(-((np.maximum(away - radius, 0) / (1.2 * radius)) ** 2)) * soft
    shift *= np.minimum(away / radius, 1)
    return ndimage.map_coordinates(gray, [y - shift * (y - row) / away, x - shift * (x - column) / away], order=1)


def _step(distance: np.ndarray, width: float) -> np.ndarray:
    """0 outside, 1 inside, and a smooth ramp over `width` between: partial volume at an edge."""
    ramp = np.clip(distance / width + 0.5, 0, 1)
    return ramp * ramp * (3 - 2 * ramp)
