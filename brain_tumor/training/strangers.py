"""Drawn pictures that are no brain MRI: photograph-like scenes, pages, charts, patterns, noise and broken slices.

`fit_familiarity` learns from these, and from no photograph, where brain MRI ends. Everything is drawn from a seed, so
nothing has to be shipped or downloaded.
"""

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from brain_tumor.training.disguise import WORDS, compress, to_picture

SIDE = 224

_AXIS = np.arange(SIDE, dtype=np.float32)

_Y, _X = np.meshgrid(_AXIS / (SIDE - 1) * 2 - 1, _AXIS / (SIDE - 1) * 2 - 1, indexing="ij")


def stranger(random: np.random.Generator, slices: list[Image.Image] | None = None) -> Image.Image:
    """A picture that is no brain MRI.

    Args:
        slices: 8-bit RGB slices, of which some strangers are made: cut into shuffled patches, tiled, or zoomed far in.

    Returns:
        8-bit RGB, `SIDE` px wide and high or nearly so; half of the colored kinds are gray.
    """
    kinds = [dead_leaves, dead_leaves, dead_leaves, scenery, scenery, portrait, portrait, cut_out, cut_out]
    kinds += [waves, page_of_text, chart, chart, screenshot, shapes, pattern, noise, blank]
    chosen = random.integers(len(kinds) + (3 if slices else 0))
    if chosen >= len(kinds):
        image = broken_slice(slices[random.integers(len(slices))], random)
    else:
        image = kinds[chosen](random)
    if random.random() < 0.5:
        image = image.convert("L").convert("RGB")
    if random.random() < 0.25:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 3)))
    if random.random() < 0.2:
        image = _vignette(image, random)
    return compress(image, random) if random.random() < 0.4 else image


def dead_leaves(random: np.random.Generator) -> Image.Image:
    """Overlapping textured shapes, of sizes as in photographs: edges and areas have a photograph's statistics.

    "Dead leaves" as in Lee, Mumford and Huang 2001, "Occlusion Models for Natural Images"; enough of a photograph
    to train features on (Baradad et al. 2021, "Learning to See by Looking at Noise").
    """
    image = np.array(waves(random), np.float32) / 255
    texture = _texture(random, random.uniform(0.8, 2.2))[..., None]
    palette, smallest = _palette(random), random.uniform(4, 25)
    for _ in range(random.integers(10, 90)):
        # Radii with density r^-3 between the smallest and the side: the same at every distance.
        radius = min(smallest / np.sqrt(1 - random.random()), 0.5 * SIDE)
        cy, cx = random.uniform(-0.1, 1.1, 2) * SIDE
        angle, stretch, power = random.uniform(0, np.pi), np.exp(random.uniform(-0.7, 0.7)), random.choice([1, 2, 2, 8])
        reach = 1.5 * radius * max(stretch, 1 / stretch)
        top, left, bottom, right = (int(min(max(v, 0), SIDE)) for v in (cy - reach, cx - reach, cy + reach, cx + reach))
        y, x = _AXIS[top:bottom, None], _AXIS[None, left:right]
        u = ((x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)) * stretch
        v = ((y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)) / stretch
        inside = abs(u) ** power + abs(v) ** power < radius**power
        color = palette[random.integers(len(palette))] + random.normal(0, 0.06, 3)
        lit = random.uniform(-0.3, 0.3) * (u / radius)[..., None]  # from one side
        leaf = color + random.uniform(0, 0.35) * texture[top:bottom, left:right] + lit
        image[top:bottom, left:right][inside] = leaf[inside]
    return to_picture(image)


def scenery(random: np.random.Generator) -> Image.Image:
    """Sky above ground, a jagged horizon, and things that stand on it."""
    y, x = (_Y + 1) / 2, (_X + 1) / 2
    palette = _palette(random)
    sky = palette[0] + (y * random.uniform(-0.4, 0.6) + random.uniform(0, 0.3) * _texture(random, 2.5))[..., None]
    image = sky
    horizon = random.uniform(0.2, 0.8)
    for depth in range(random.integers(1, 4)):
        line = horizon + depth * 0.12 + 0.12 * random.random() * _texture(random, 2)[0][None] * random.choice([0, 1])
        ground = (
            palette[1 + depth % 3] + random.uniform(0.05, 0.4) * _texture(random, random.uniform(0.6, 1.8))[..., None]
        )
        image = np.where((y > line)[..., None], ground, image)
    for _ in range(random.integers(0, 9)):
        left, width, top, height = random.uniform(0, 1), *random.uniform(0.03, 0.3, 2), random.uniform(0.1, 0.8)
        inside = (abs(x - left) < width / 2) & (y > top) & (y < top + height)
        windows = 0.2 * ((np.sin(x * random.uniform(20, 120)) > 0) & (np.sin(y * random.uniform(20, 120)) > 0))
        thing = palette[random.integers(len(palette))] + windows[..., None] * random.choice([-1, 0, 1])
        image = np.where(inside[..., None], thing + 0.1 * _texture(random, 1.5)[..., None], image)
    return to_picture(image)


def portrait(random: np.random.Generator) -> Image.Image:
    """A face-like oval with eyes, mouth and hair before a blurred ground: smooth, central and nearly symmetric."""
    background = dead_leaves(random) if random.random() < 0.5 else waves(random)
    background = background.filter(ImageFilter.GaussianBlur(random.uniform(0, 8)))
    image = np.asarray(background, np.float32) / 255 * random.uniform(0.1, 1.2)
    y, x = _Y, _X
    cx, cy = random.uniform(-0.3, 0.3, 2)
    width, height = random.uniform(0.25, 0.6), random.uniform(0.35, 0.8)
    skin = np.array([0.85, 0.65, 0.52]) * random.uniform(0.35, 1.15)
    shade = random.uniform(-0.3, 0.3) * x + random.uniform(-0.3, 0.1) * y + 0.06 * _texture(random, 2)
    cloth = _palette(random)[0] + 0.1 * _texture(random, 1.5)[..., None]
    shoulders = (y > cy + 0.75 * height) & (abs(x - cx) < 0.4 + (y - cy))
    image = np.where(shoulders[..., None], cloth, image)
    hair = np.hypot((x - cx) / width, (y - cy + 0.15) / height) < random.uniform(1, 1.4)
    image = np.where(
        hair[..., None], random.uniform(0, 0.5) * np.array([1, 0.8, 0.6]) + 0.15 * _texture(random, 1)[..., None], image
    )
    face = np.hypot((x - cx) / width, (y - cy) / height) < 1
    image = np.where(face[..., None], skin + shade[..., None], image)
    for side in (-1, 1):
        eye = np.hypot((x - cx - side * 0.42 * width) / 0.2 / width, (y - cy + 0.15 * height) / 0.09 / height)
        image = np.where((eye < 1)[..., None], np.where(eye < 0.5, 0.08, 0.8)[..., None], image)
    mouth = np.hypot((x - cx) / 0.35 / width, (y - cy - 0.5 * height) / 0.07 / height) < 1
    image = np.where(mouth[..., None], skin * np.array([0.8, 0.45, 0.45]), image)
    return to_picture(image + random.normal(0, 0.02, image.shape))


def cut_out(random: np.random.Generator) -> Image.Image:
    """A thing on a plain background, often black: an outline that is smooth or not, and a texture inside it."""
    inside = np.asarray(random.choice([dead_leaves, waves, portrait, scenery])(random), np.float32) / 255
    y, x = _Y, _X
    cx, cy = random.uniform(-0.25, 0.25, 2)
    angle = np.arctan2(y - cy, x - cx)
    outline = random.uniform(0.35, 0.85) * np.ones_like(angle)
    for wave in range(1, random.integers(2, 9)):
        outline += random.normal(0, 0.16 / wave) * np.cos(wave * angle + random.uniform(0, 2 * np.pi))
    mask = np.hypot((x - cx) * np.exp(random.uniform(-0.4, 0.4)), y - cy) < outline
    level = random.choice([0, 0, 0, 1, random.random(), random.random()])
    return to_picture(np.where(mask[..., None], inside, level))


def waves(random: np.random.Generator) -> Image.Image:
    """Noise of amplitude 1 / f^a, as clouds, marble or sand, in colors of their own."""
    exponent = random.uniform(0.4, 2.6)
    shared, mixing = _texture(random, exponent), random.random()
    own = np.stack([_texture(random, exponent) for _ in range(3)], -1)
    return to_picture(_palette(random)[0] + 0.35 * (mixing * shared[..., None] + (1 - mixing) * own))


def page_of_text(random: np.random.Generator) -> Image.Image:
    paper, ink = (255, 0) if random.random() < 0.7 else (int(random.integers(0, 60)), int(random.integers(150, 256)))
    image = Image.new("RGB", (SIDE, SIDE), (paper,) * 3)
    draw, size, y = ImageDraw.Draw(image), int(random.integers(7, 40)), int(random.integers(0, 60))
    while y < random.uniform(0.3, 1) * SIDE:
        draw.text((random.integers(0, 20), y), " ".join(random.choice(WORDS, 12)), fill=(ink,) * 3, font_size=size)
        y += int(size * random.uniform(1.1, 1.6))
    return image.rotate(random.uniform(-8, 8), fillcolor=(paper,) * 3) if random.random() < 0.4 else image


def chart(random: np.random.Generator) -> Image.Image:
    """Bars, lines, points or a pie, with axes."""
    paper = (255,) * 3 if random.random() < 0.7 else tuple(int(v) for v in random.integers(0, 256, 3))
    ink = tuple(255 - v for v in paper)
    image = Image.new("RGB", (SIDE, SIDE), paper)
    draw, kind = ImageDraw.Draw(image), random.integers(4)
    colors = [tuple(int(v) for v in random.integers(0, 256, 3)) for _ in range(6)]
    low, high = 25, SIDE - 20
    if kind < 3:
        if random.random() < 0.35:  # a dark field on a light page, as a slice may have it too
            draw.rectangle([low, 10, SIDE - 8, high], fill=(int(random.integers(0, 70)),) * 3)
        draw.line([low, 10, low, high, SIDE - 8, high], fill=ink)
        for tick in np.linspace(15, high, random.integers(3, 9)):
            draw.text((2, tick - 6), str(random.integers(100)), fill=ink, font_size=9)
            draw.line([low, tick, SIDE - 8 if random.random() < 0.4 else low + 3, tick], fill=(180,) * 3)
    if kind == 0:
        step = (SIDE - low) / (count := int(random.integers(3, 25)))
        for i in range(count):
            draw.rectangle(
                [low + (i + 0.15) * step, random.uniform(15, high - 2), low + (i + 0.85) * step, high],
                fill=colors[i % 3],
            )
    elif kind == 1:
        for color in colors[: random.integers(1, 6)]:
            values = np.cumsum(random.normal(0, 10, 40)) + random.uniform(40, 180)
            draw.line(
                list(zip(np.linspace(low, SIDE - 8, 40), values, strict=True)),
                fill=color,
                width=int(random.integers(1, 4)),
            )
    elif kind == 2:
        for x, y in random.normal(
            random.uniform(70, 160, 2), random.uniform(10, 60, 2), (int(random.integers(20, 300)), 2)
        ):
            draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=colors[int(random.integers(3))])
    else:
        angles, margin = np.sort(random.uniform(0, 360, 6)), int(random.integers(10, 60))
        for start, end, color in zip(angles, np.append(angles[1:], angles[0] + 360), colors, strict=True):
            draw.pieslice([margin, margin, SIDE - margin, SIDE - margin], start, end, fill=color, outline=ink)
    return image


def screenshot(random: np.random.Generator) -> Image.Image:
    """Bars, panels, buttons and lines of text."""
    dark = random.random() < 0.4
    base = random.integers(10, 60) if dark else random.integers(200, 256)
    image = Image.new("RGB", (SIDE, SIDE), (int(base),) * 3)
    draw = ImageDraw.Draw(image)
    for _ in range(random.integers(3, 14)):
        left, top = random.integers(-10, SIDE - 20, 2)
        width, height = random.integers(20, SIDE), random.integers(8, 90)
        fill = tuple(
            int(v)
            for v in (base + random.normal(0, 40, 3) if random.random() < 0.7 else random.integers(0, 256, 3)).clip(
                0, 255
            )
        )
        draw.rectangle(
            [left, top, left + width, top + height], fill=fill, outline=(128,) * 3 if random.random() < 0.5 else None
        )
        for line in range(top + 3, min(top + height - 8, SIDE), 11):
            draw.text(
                (left + 4, line),
                " ".join(random.choice(WORDS, 5)),
                fill=(220,) * 3 if dark else (30,) * 3,
                font_size=8,
            )
    return image


def shapes(random: np.random.Generator) -> Image.Image:
    """A few flat shapes on a flat ground."""
    colors = [tuple(int(v) for v in random.integers(0, 256, 3)) for _ in range(9)]
    image = Image.new("RGB", (SIDE, SIDE), (0, 0, 0) if random.random() < 0.4 else colors[8])
    draw = ImageDraw.Draw(image)
    for color in colors[: random.integers(1, 8)]:
        x, y, radius = *random.uniform(0.1, 0.9, 2) * SIDE, random.uniform(8, 110)
        box = [x - radius, y - radius * random.uniform(0.4, 1), x + radius, y + radius * random.uniform(0.4, 1)]
        match random.integers(4):
            case 0:
                draw.ellipse(box, fill=color)
            case 1:
                draw.rectangle(box, fill=color)
            case 2:
                draw.regular_polygon((x, y, radius), int(random.integers(3, 8)), int(random.integers(360)), fill=color)
            case 3:
                draw.ellipse(box, outline=color, width=int(random.integers(2, 25)))
    return image


def pattern(random: np.random.Generator) -> Image.Image:
    """Stripes, checks, rings or a ramp."""
    y, x = _Y, _X
    angle, wave = random.uniform(0, np.pi), random.uniform(2, 60)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    ring = np.hypot(u, v * random.uniform(0.6, 1.5))
    kinds = [
        np.sin(wave * u),
        np.sign(np.sin(wave * u) * np.sin(wave * v)),
        np.sin(wave * ring),
        u,
        1 - 2 * ring,
        ring * 2 - 1,
    ]
    level = kinds[random.integers(len(kinds))]
    one, other = _palette(random)[:2]
    return to_picture(one + (level[..., None] / 2 + 0.5) * (other - one))


def noise(random: np.random.Generator) -> Image.Image:
    channels = random.choice([1, 3])
    grains = random.normal(random.random(), random.uniform(0.05, 0.5), (SIDE, SIDE, channels))
    if random.random() < 0.4:
        grains = ndimage.zoom(grains[: SIDE // 8, : SIDE // 8], (8, 8, 1), order=0)
    return to_picture(np.repeat(grains, 3 // channels, -1))


def blank(random: np.random.Generator) -> Image.Image:
    """One color, or nearly so."""
    level = random.choice([0.0, 1.0, random.random()])
    color = np.full(3, level) if random.random() < 0.6 else random.random(3)
    return to_picture(color + random.choice([0, 0.01, 0.03]) * random.normal(size=(SIDE, SIDE, 1)))


def broken_slice(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """A slice that shows no head any more: a small part of it enlarged, its patches shuffled, or many copies."""
    image = image.resize((SIDE, SIDE))
    kind, parts = random.integers(3), int(random.integers(2, 8))
    if kind == 0:
        side = random.uniform(0.08, 0.28) * SIDE
        left, top = random.uniform(0.2 * SIDE, 0.8 * SIDE - side, 2)
        return image.crop([int(v) for v in (left, top, left + side, top + side)]).resize((SIDE, SIDE))
    if kind == 1:
        step = SIDE // max(parts, 3)
        pixels = np.asarray(image).copy()
        tiles = [(r, c) for r in range(0, SIDE - step + 1, step) for c in range(0, SIDE - step + 1, step)]
        for (r, c), (i, j) in zip(tiles, random.permutation(tiles), strict=True):
            pixels[r : r + step, c : c + step] = np.asarray(image)[i : i + step, j : j + step]
        return Image.fromarray(pixels)
    parts = max(parts, 3)
    small = np.asarray(image.resize((SIDE // parts, SIDE // parts)))
    return Image.fromarray(np.tile(small, (parts, parts, 1)))


def _texture(random: np.random.Generator, exponent: float) -> np.ndarray:
    """(SIDE, SIDE) float32 of mean 0 and deviation 1, with amplitudes near 1 / f^exponent and random phases."""
    field = _field(round(exponent * 4), int(random.integers(4)))
    field = np.roll(field, random.integers(0, SIDE, 2), (0, 1))  # it has no seam
    return field.T if random.random() < 0.5 else field[:, ::-1]


@functools.cache
def _field(quarters: int, number: int) -> np.ndarray:
    """One of a few fields for each exponent: a transform for every texture would take most of the time."""
    random = np.random.default_rng([quarters, number])
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]) * SIDE
    spectrum = np.fft.rfft2(random.normal(size=(SIDE, SIDE))) / np.maximum(frequency, 1) ** (quarters / 4)
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (SIDE, SIDE))
    return (field / field.std()).astype(np.float32)


def _palette(random: np.random.Generator) -> np.ndarray:
    """(5, 3) colors in [0, 1]: muted or strong, around one hue or around any."""
    colors = random.uniform(0, 1, (5, 1)) + random.uniform(0, 0.3) * random.normal(size=(1, 3))
    return (colors + random.uniform(0, 0.3) * random.normal(size=(5, 3))).clip(0, 1).astype(np.float32)


def _vignette(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Dark towards the edges, as a lens or a lamp makes it: a dark border alone makes no slice."""
    y, x = np.mgrid[-1 : 1 : image.height * 1j, -1 : 1 : image.width * 1j]
    fall = 1 / (1 + np.exp((np.hypot(x, y) - random.uniform(0.5, 1)) * random.uniform(4, 40)))
    return to_picture(np.asarray(image, np.float32) / 255 * fall[..., None])
