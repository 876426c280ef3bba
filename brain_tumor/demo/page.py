"""What the tabs share: words of the page, settings of its events, and HTML with everything from outside escaped."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from brain_tumor.answers.embedded import data_uri
from brain_tumor.answers.volume_plot import plot_volume
from brain_tumor.answers.words import Said, limit, percent, tumor_percent, verdict_kind
from brain_tumor.demo.errors import gone
from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.inference.verdict import Thresholds
from brain_tumor.inference.volume import VolumeVerdict
from brain_tumor.labels import display_name
from brain_tumor.reading.pictures import MAX_FILE_BYTES, MAX_PIXELS
from brain_tumor.reading.uploads import MAX_TOTAL_BYTES, MAX_VOLUME_BYTES, Slice

INTRODUCTION = (
    "# Brain tumor classification\n"
    "A neural network looks at slices of a brain MRI and estimates how likely they are to show a glioma, a meningioma, "
    "a pituitary tumor, or none of them."
)

WARNING = (
    "**Not a medical device.** For research and teaching only. The numbers come from a model and are not a diagnosis: "
    "have every scan read by a specialist."
)

PRIVACY = (
    "Names, dates and other tags in DICOM files are not shown, but **text burned into the picture cannot be removed**: "
    "do not upload a scan that shows a patient's name. Uploads are used for nothing else and are deleted within the "
    "hour."
)

LIMITS_OF_A_FILE = (
    f"{MAX_FILE_BYTES // 1024**2} MB and {MAX_PIXELS // 10**6} megapixels, a volume (NIfTI, MGH) "
    f"{MAX_VOLUME_BYTES // 1024**2} MB"
)

TOO_LARGE = (
    f"This upload is too large: at most {MAX_TOTAL_BYTES // 1024**2} MB are taken at once. Upload fewer files at a "
    "time, or a .zip of one series."
)
"""For what is refused before it is read, by the browser or by the server."""

WAITING = (
    '<div class="verdict waiting"><h2>No scan yet</h2>'
    "<p>Upload a scan or click an example, and the model's verdict appears here.</p></div>"
)

TOLD = '<p id="told" role="alert"></p>'
"""Where the page's script says why it could not take what was pasted or dropped."""

GLOSSARY = (
    "<h3>What the words mean</h3>"
    "<p><b>Glioma</b>: a tumor of the brain's own supporting cells; it grows slowly or fast.</p>"
    "<p><b>Meningioma</b>: a tumor of the membranes around the brain; most are benign and grow slowly.</p>"
    "<p><b>Pituitary tumor</b>: a tumor of the gland below the brain; nearly all are benign.</p>"
)

WINDOWING = (
    '<svg class="unseen" aria-hidden="true"><filter id="window" color-interpolation-filters="sRGB">'
    '<feComponentTransfer><feFuncR type="linear"/><feFuncG type="linear"/><feFuncB type="linear"/>'
    "</feComponentTransfer></filter></svg>"
    '<div class="windowing" role="group" aria-label="Brightness and contrast of the scan as it was read">'
    '<label>Brightness <input type="range" id="brightness" min="-100" max="100" value="0"></label>'
    '<label>Contrast <input type="range" id="contrast" min="-100" max="100" value="0"></label>'
    '<output for="brightness contrast"></output><button type="button" disabled>Reset</button></div>'
    "<small>Or drag on the scan with the right mouse button. Only how this page draws it: the model saw it "
    "without, and map, report and saved picture stay.</small>"
)
"""Sliders that window the scan in the browser (`stack.js`), by the linear function of DICOM PS3.3, C.11.2.1.2.1."""

NOT_IN_THE_API = {"api_visibility": "private"}
"""For the page's own events: programs have `api`."""

CURVE = "Tumor probability along the slices"
"""Heading of the curve of a series or volume."""

PICTURE = {"interactive": False, "format": "png", "buttons": ["fullscreen"]}
"""For a `gr.Image` that shows a picture of ours."""

DRAW_LANE = {"concurrency_id": "draw", "concurrency_limit": 4}
"""For events that only draw again what was judged before."""

T = TypeVar("T")


def still_there(kept: T | None) -> T:
    """What a session keeps for its visitor; raises `gr.Error` once it was deleted."""
    if kept is None:
        raise gone()
    return kept


def verdict_html(verdict: str | None, said: Said, cautions: Sequence[str] = ()) -> str:
    """A verdict, what to do next, and its numbers for those who want them.

    Args:
        verdict: a label of `labels.LABELS`, "tumor", "uncertain" or "unfamiliar"; picks the color, which adds nothing
            to the words. None where there is none, and no color.
        said: the words.
        cautions: sentences on why the verdict is worth less for this file.
    """
    kind = verdict_kind(verdict) if verdict else "waiting"
    words = "".join(f"<p>{escape(line)}</p>" for line in (said.sentence, said.next_step) if line)
    more = "".join(f'<p class="caution">{escape(caution)}</p>' for caution in cautions)
    numbers = f"<details><summary>The numbers</summary><p>{escape(said.numbers)}</p></details>" if said.numbers else ""
    return f'<div class="verdict {kind}"><h2>{escape(said.headline)}</h2>{words}{more}{numbers}</div>'


def slice_html(name: str, said: Said) -> str:
    """What one slice of several shows by itself, without the look of the verdict on the whole.

    Args:
        name: which one it is.
        said: the words on it.
    """
    return (
        f"<h3>{escape(name[0].upper() + name[1:])}</h3>"
        f"<p>By itself: <b>{escape(said.headline)}</b></p><p>{escape(said.numbers)}</p>"
    )


def curve_html(volume: VolumeVerdict | None, slices: Sequence[Slice], chosen: int | None = None) -> str:
    """The curve along the slices of a series or volume, as `plot_volume` draws it; empty without a verdict on it."""
    if volume is None:
        return ""
    return f"<h3>{CURVE}</h3>{plot_volume(volume, [slice_.number for slice_ in slices], chosen)}"


def given_html(image: Image.Image, name: str) -> str:
    """A thumbnail of what was given, by its name."""
    image = image.convert("RGB")
    image.thumbnail((128, 128))
    return f'<img src="{data_uri(image, "PNG")}" alt="Given: {escape(name)}" title="{escape(name)}">'


def confidences_html(title: str, confidences: Mapping[str, float], maps: bool) -> str:
    """The classes as rows, the most probable first.

    Args:
        title: of them all.
        confidences: class, as the checkpoint names it -> probability in [0, 1].
        maps: whether each has a heat map, which a click on its row shows.
    """
    rows = []
    for label in sorted(confidences, key=confidences.get, reverse=True):
        name, share = escape(display_name(label)), confidences[label]
        shown = f'<button type="button" data-class="{escape(label)}">{name}</button>' if maps else name
        bar = f'<div class="bar" style="width: {max(100 * share, 0.5):.1f}%"></div>'
        rows.append(f"<div><dt>{shown}</dt><dd>{escape(percent(share))}{bar}</dd></div>")
    hint = "<small>Choose a class to see where its score comes from.</small>" if maps else ""
    return f"<h3>{escape(title)}</h3><dl>{''.join(rows)}</dl>{hint}"


def share_html(tumor_probability: float, thresholds: Thresholds | None, slice_name: str = "") -> str:
    """The probability of any tumor as a bar, and which verdict it leads to.

    Args:
        tumor_probability: in [0, 1].
        thresholds: of the checkpoint, where it has some.
        slice_name: of several slices, which one.
    """
    limits = thresholds.of_any_tumor if thresholds else ()
    tumor = escape(tumor_percent(tumor_probability, thresholds))
    healthy = escape(percent(1 - tumor_probability, *(1 - limit for limit in limits)))
    alone = f", {escape(slice_name)} alone" if slice_name else ""
    rule = (
        f"<small>At {limit(thresholds.tumor)} or more for any tumor, the verdict{' on a slice' if alone else ''} is a "
        f"tumor; at {limit(limits[0])} or less, no tumor; in between, it is uncertain.</small>"
        if thresholds
        else ""
    )
    return (
        f'<div class="share"><h3>Any tumor or none{alone}</h3><div class="ends"><span>Any tumor <b>{tumor}</b></span>'
        f"<span>No tumor <b>{healthy}</b></span></div>"
        f'<div class="bar" role="img" aria-label="Any tumor {tumor}, no tumor {healthy}">'
        f'<span class="any" style="width: {100 * tumor_probability:.2f}%"></span><span class="none"></span></div>'
        f"{rule}</div>"
    )


def map_html(shape: tuple[int, int], colors: Sequence[str]) -> str:
    """What a heat map shows and what it does not, with a legend.

    Args:
        shape: height and width of the map, in cells.
        colors: from "adds nothing" to "adds most", as "#rrggbb".
    """
    return (
        '<div class="legend"><span>adds little</span>'
        f'<span class="scale" style="background: linear-gradient(to right, {", ".join(colors)})"></span>'
        "<span>adds most</span></div>"
        f"<small>The map has {shape[0]} × {shape[1]} cells. It shows where the score of a class comes from, not where "
        "a tumor ends. Evidence against the class is not shown.</small>"
    )


def facts_html(facts: Mapping[str, str], notes: Sequence[str]) -> str:
    """Facts about a file as a list of terms, and what a visitor should know about it."""
    terms = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<h3>About the file</h3><dl class="facts">{terms}</dl>' + (
        f'<ul class="notes">{items}</ul>' if items else ""
    )


def mark_sides(judged: JudgedUpload, image: Image.Image) -> Image.Image:
    """A slice with R and L where its file says which side is which; on sagittal ones there is but one."""
    known = judged.upload.sides_known and judged.upload.plane in ("axial", "coronal")
    return with_sides(image) if known else image


def with_sides(image: Image.Image) -> Image.Image:
    """A copy of a slice in radiological convention with R, the patient's right, at its left edge, and L opposite."""
    marked = image.copy()
    width, height = marked.size
    draw = ImageDraw.Draw(marked)
    font = ImageFont.load_default(size=max(12, min(width, height) // 14))
    for letter, x, anchor in (("R", 0.02 * width, "lm"), ("L", 0.98 * width, "rm")):
        # A dark rim keeps the letters readable on bright tissue.
        draw.text((x, height / 2), letter, "white", font, anchor, stroke_width=2, stroke_fill="black")
    return marked


def spread(count: int, most: int, always: int | None = None) -> list[int]:
    """At most `most` of `count` places, evenly spread and in order, with the place `always` among them.

    >>> spread(5, 10), spread(100, 4), spread(100, 4, always=50)
    ([0, 1, 2, 3, 4], [0, 33, 66, 99], [0, 33, 50, 99])
    """
    if most <= 0:
        return []
    if count <= most:
        return list(range(count))
    places = np.linspace(0, count - 1, most).round().astype(int)
    if always is not None and always not in places:
        places[np.abs(places - always).argmin()] = always
    return sorted({int(place) for place in places})
