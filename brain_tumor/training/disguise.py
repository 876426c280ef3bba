"""A slice -> the same slice as another scanner, export or screenshot tool could have made it. It stays a brain MRI."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from scipy import ndimage

WORDS = ["the", "of", "and", "slice", "report", "page", "figure", "total", "Monday", "house", "2024", "17.5", "name"]
"""What writing on a picture is made of."""


def disguise(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """One random variation of a slice.

    Args:
        image: 8-bit RGB, of any size.

    Returns:
        8-bit RGB: without its skull, turned, cropped into the head or padded, stretched, with other contrast (a few
        inverted), faintly tinted, with writing at the edge, blurred, noisy, enlarged or compressed, each in a share of
        the calls.
    """
    image = ImageOps.mirror(image) if random.random() < 0.5 else image
    if random.random() < 0.15:
        image = _without_skull(image, random)
    if random.random() < 0.5:
        image = image.rotate(random.uniform(-25, 25), Image.Resampling.BILINEAR, expand=random.random() < 0.5)
    shape = random.random()
    if shape < 0.35:
        image = _crop_to_head(image, random.uniform(-0.05, 0.1, 4))
    elif shape < 0.5:
        image = _pad(image, random)
    if random.random() < 0.3:
        width, height = image.size
        image = image.resize((max(32, int(width * random.uniform(0.7, 1.4))), height))
    gray = np.asarray(image, np.float32) / 255
    if random.random() < 0.6:
        low, high = random.uniform(0, 0.08), random.uniform(0.6, 1.1)
        gray = ((gray - low) / (high - low)).clip(0, 1) ** np.exp(random.uniform(-0.6, 0.6))
    if random.random() < 0.05:
        gray = 1 - gray
    if random.random() < 0.15:
        gray = gray * random.uniform(0.5, 0.95) + random.uniform(0, 0.15)  # air that is gray, not black
    if random.random() < 0.15:
        gray = gray * random.uniform(0.75, 1, 3).astype(np.float32)
    if random.random() < 0.2:
        gray = gray + random.normal(0, random.uniform(0.01, 0.08), gray.shape[:2]).astype(np.float32)[..., None]
    image = to_picture(gray)
    if random.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.4, 2)))
    if random.random() < 0.15:
        image = image.resize([max(32, int(side * random.uniform(0.25, 0.6))) for side in image.size])
    if random.random() < 0.25:
        _write_at_the_edge(image, random)
    return compress(image, random) if random.random() < 0.3 else image


def cut_frame(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """The picture without its outer 6 to 16 % at each side, where marks and writing are: cut away, or black."""
    low = random.uniform(0.06, 0.16, 2) * image.size
    high = (1 - random.uniform(0.06, 0.16, 2)) * image.size
    inner = image.crop([int(side) for side in (*low, *high)])
    if random.random() < 0.5:
        return inner
    result = Image.new("RGB", image.size)
    result.paste(inner, tuple(int(side) for side in low))
    return result


def _without_skull(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Black from somewhere below the scalp outwards, as programs that keep the brain alone leave a slice."""
    pixels = np.asarray(image)
    head = ndimage.binary_fill_holes(ndimage.uniform_filter(pixels[..., 0].astype(np.float32), 5) > 20)
    depth = ndimage.distance_transform_edt(np.pad(head, 1))[1:-1, 1:-1]
    depth += 0.03 * depth.max() * ndimage.gaussian_filter(random.normal(size=depth.shape), 4) * 12  # an uneven edge
    return Image.fromarray(np.where((depth > random.uniform(0.1, 0.3) * depth.max())[..., None], pixels, 0))


def _crop_to_head(image: Image.Image, margins: np.ndarray) -> Image.Image:
    """The bounding box of the head less a share of each side: the skull touches the edge, or is cut by it."""
    gray = np.asarray(image.convert("L"))
    rows, columns = ((gray > 25).mean(axis=axis) > 0.05 for axis in (1, 0))
    if not (rows.any() and columns.any()):
        return image
    (top, bottom), (left, right) = (np.flatnonzero(line)[[0, -1]] for line in (rows, columns))
    height, width = bottom - top, right - left
    if min(height, width) < 32:
        return image
    box = left + margins[0] * width, top + margins[1] * height, right - margins[2] * width, bottom - margins[3] * height
    return image.crop([round(float(side)) for side in box])


def _pad(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Black beside the slice, or a page around it."""
    left, top, right, bottom = (int(random.uniform(0, 0.25) * max(image.size)) for _ in range(4))
    fill = (0, 0, 0) if random.random() < 0.8 else (int(random.integers(60, 256)),) * 3
    result = Image.new("RGB", (image.width + left + right, image.height + top + bottom), fill)
    result.paste(image, (left, top))
    return result


def _write_at_the_edge(image: Image.Image, random: np.random.Generator) -> None:
    draw, (width, height) = ImageDraw.Draw(image), image.size
    fill = tuple(int(v) for v in random.integers(150, 256, 3)) if random.random() < 0.3 else (235,) * 3
    for _ in range(random.integers(1, 6)):
        x = random.choice([0.02, 0.7]) * width
        y = random.choice([0.02, 0.08, 0.86, 0.93, random.random()]) * height
        draw.text((x, y), " ".join(random.choice(WORDS, 2)), fill=fill, font_size=max(8, height // 24))


def compress(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """The picture as a JPEG of quality 15 to 94, opened again."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(random.integers(15, 95)))
    return Image.open(file).convert("RGB")


def to_picture(values: np.ndarray) -> Image.Image:
    """(height, width, 3), 0 to 1, clipped -> 8-bit RGB."""
    return Image.fromarray((values.clip(0, 1) * 255).astype(np.uint8))
