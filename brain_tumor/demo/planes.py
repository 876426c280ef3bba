"""Three planes through a slice of a volume, cut from those that are kept of it, with a crosshair where they meet."""

from collections.abc import Sequence

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw

from brain_tumor.demo import page
from brain_tumor.demo.kept import KeptScan
from brain_tumor.reading.uploads import Upload
from brain_tumor.reading.volumes import MIN_STACK

AXES = {"sagittal": "Right to left", "coronal": "Front to back", "axial": "Head to foot"}
"""Plane -> along what its slices lie, here; the axes x, y and z of `draw_planes`."""

LONGEST_SIDE = 360
"""Pixels of the longest side of the head, in all three planes."""

CROSSHAIR = "#2dd4bf"

WORDS = (
    "<small>Cut from the slices as they were read. A click goes where it points, in all three; the sliders do so by "
    "keyboard. The model looks at the slices of one plane alone, those above.</small>"
)


def build_planes() -> tuple[gr.Checkbox, gr.Column, list[gr.Slider], list[gr.Image]]:
    """Builds the switch for the three planes, their panel, where the crosshair is along x, y and z, and the pictures.

    `stack.js` moves the sliders when a picture is clicked: the one whose plane was read is that of the slices.
    """
    switch = gr.Checkbox(label="Show three planes", elem_id="planes-switch", container=False, visible=False)
    with gr.Column(visible=False, elem_id="planes") as panel:
        with gr.Row():
            pictures = [
                gr.Image(
                    label=plane.capitalize(),
                    alt_text=f"{plane.capitalize()} plane through the crosshair",
                    elem_id=f"cut-{plane}",
                    min_width=160,
                    **page.PICTURE,
                )
                for plane in ("axial", "coronal", "sagittal")
            ]
        with gr.Row():
            crosshair = [
                gr.Slider(0, 100, 50, step=1, label=f"{along} (%)", elem_id=f"at-{axis}", buttons=[])
                for axis, along in zip("xyz", AXES.values(), strict=True)
            ]
        gr.HTML(WORDS, padding=False)
    return switch, panel, crosshair, pictures


def crosshair_of(upload: Upload) -> list[gr.Slider]:
    """The sliders for a new scan: in the middle; that along its own slices is not needed."""
    return [gr.Slider(value=50, visible=plane != upload.plane) for plane in AXES]


def can_be_cut(upload: Upload) -> bool:
    """Whether an upload is a stack of evenly spaced slices that is thick enough."""
    return upload.extent is not None and upload.plane in AXES and len(upload.slices) >= MIN_STACK


def draw_planes(kept: KeptScan, place: int, at: Sequence[float]) -> list[Image.Image]:
    """The axial, coronal and sagittal plane through a point, each with the others' places in it.

    Args:
        kept: a scan that `can_be_cut`.
        place: index of the slice through which they go.
        at: where they lie from right to left, front to back and head to foot, in per cent; that along the slices is
            passed over for `place`.

    Returns:
        8-bit RGB, on one scale in all three; in radiological convention, the sagittal one with the face on the left.
    """
    upload = kept.judged.upload
    head, size = _head(kept)
    point = [share / 100 for share in at]
    point[list(AXES).index(upload.plane)] = 1 - place / (len(kept.pictures) - 1)
    x, y, z = (round(share * (count - 1)) for share, count in zip(point, reversed(head.shape), strict=True))
    cuts = {
        "axial": (head[z], (0, 1)),
        "coronal": (head[:, y], (0, 2)),
        "sagittal": (head[:, :, x], (1, 2)),
    }
    scale = LONGEST_SIDE / max(size)
    drawn = []
    for plane, (pixels, axes) in cuts.items():
        width, height = (max(1, round(scale * size[axis])) for axis in axes)
        cut = Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), Image.Resampling.BICUBIC)
        cut = cut.convert("RGB")
        if upload.sides_known and plane != "sagittal":
            cut = page.with_sides(cut)
        across, down = (point[axis] * (length - 1) for axis, length in zip(axes, (width, height), strict=True))
        lines = ImageDraw.Draw(cut)
        for start, end in (((across, 0), (across, height)), ((0, down), (width, down))):
            lines.line([start, end], CROSSHAIR)
        drawn.append(cut)
    return drawn


def _head(kept: KeptScan) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Its grays from head to foot, front to back and right to left, (z, y, x) uint8; and millimeters along x, y, z.

    `Block.slices` tells how slices and their pixels are ordered.
    """
    stack = np.stack([np.asarray(picture.convert("L")) for picture in kept.pictures])
    width, height, step = kept.judged.upload.extent
    depth = step * len(stack)
    match kept.judged.upload.plane:
        case "axial":
            return stack[::-1], (width, height, depth)
        case "coronal":
            return stack.transpose(1, 0, 2)[:, ::-1], (width, depth, height)
    return stack.transpose(1, 2, 0)[:, :, ::-1], (depth, width, height)
