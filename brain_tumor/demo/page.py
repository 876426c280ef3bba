"""Pieces of the demo's page: HTML that shows a visitor what was found, with everything from outside escaped."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from brain_tumor.inference.verdict import UNCERTAIN_VERDICT, Thresholds, limit
from brain_tumor.labels import LABELS, NO_TUMOR

WAITING = (
    '<div class="verdict waiting"><h2>No scan yet</h2>'
    "<p>Upload a slice or click an example: what the model makes of it appears here.</p></div>"
)


def verdict_html(verdict: str, headline: str, sentence: str) -> str:
    """A verdict and its reason.

    Args:
        verdict: a label of `labels.LABELS`, "uncertain" or "unfamiliar"; picks the color, which says nothing that the
            words do not.
        headline, sentence: the words.
    """
    if verdict in LABELS:
        kind = "clear" if verdict == LABELS[NO_TUMOR] else "tumor"
    else:
        kind = "uncertain" if verdict == UNCERTAIN_VERDICT else "unfamiliar"
    return f'<div class="verdict {kind}"><h2>{escape(headline)}</h2><p>{escape(sentence)}</p></div>'


def share_html(tumor_probability: float, thresholds: Thresholds | None) -> str:
    """The share for any tumor against none as a bar, and from where on there is a verdict.

    Args:
        tumor_probability: in [0, 1].
        thresholds: of the checkpoint, where it has some.
    """
    tumor = f"{100 * tumor_probability:.1f} %"
    healthy = f"{100 * (1 - tumor_probability):.1f} %"
    rule = (
        f"<small>With {limit(thresholds.tumor)} or more for any tumor the verdict is a tumor, with "
        f"{limit(1 - thresholds.no_tumor)} or less it is no tumor, and in between it is uncertain.</small>"
        if thresholds
        else ""
    )
    return (
        f'<div class="share"><h3>Any tumor against none</h3><div class="ends"><span>Any tumor <b>{tumor}</b></span>'
        f"<span>No tumor <b>{healthy}</b></span></div>"
        f'<div class="bar" role="img" aria-label="Any tumor {tumor}, no tumor {healthy}">'
        f'<span class="any" style="width: {100 * tumor_probability:.2f}%"></span><span class="none"></span></div>'
        f"{rule}</div>"
    )


def map_html(shape: tuple[int, int], colors: Sequence[str]) -> str:
    """What a heat map says and what it does not, with a legend.

    Args:
        shape: height and width of the map in its own places.
        colors: from "adds nothing" to "adds most", as "#rrggbb".
    """
    return (
        '<div class="legend"><span>adds little</span>'
        f'<span class="scale" style="background: linear-gradient(to right, {", ".join(colors)})"></span>'
        "<span>adds most</span></div>"
        f"<small>The map has {shape[0]} × {shape[1]} places: it tells where the score of a class comes from, not where "
        "a tumor ends. What speaks against the class is not shown.</small>"
    )


def facts_html(facts: Mapping[str, str], notes: Sequence[str]) -> str:
    """What a file was, as a list of terms, and what a visitor should know about it."""
    terms = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<h3>What the file was</h3><dl class="facts">{terms}</dl>' + (
        f'<ul class="notes">{items}</ul>' if items else ""
    )


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
