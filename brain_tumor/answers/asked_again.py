"""The chart of a slice that was asked again: how probable a tumor is in each guise. For the page and the report."""

import math
from html import escape

from brain_tumor.answers.embedded import data_uri
from brain_tumor.answers.words import limit, percent, tumor_percent
from brain_tumor.inference.asking import DEGREES, GAMMAS, LEAST_FALL, Asked, Guise
from brain_tumor.inference.verdict import Thresholds
from brain_tumor.labels import display_name

NAMES = {
    Guise.AS_IT_IS: "As it is",
    Guise.MIRRORED: "Mirrored",
    Guise.TURNED: f"Turned by {DEGREES}°",
    Guise.BRIGHTER: f"Brighter (gamma {GAMMAS[0]})",
    Guise.DARKER: f"Darker (gamma {GAMMAS[1]})",
    Guise.INVERTED: "Contrast inverted",
    Guise.COVERED: "Marked region covered",
    Guise.ALONE: "All else covered",
}


SAID = {
    True: "The answer rests on the marked region.",
    False: "The answer hardly depends on the marked region: distrust it.",
}


def chart(asked: Asked, thresholds: Thresholds | None, slice_name: str = "", heading: str = "h3") -> str:
    """A small picture, a bar and a number for each guise.

    Args:
        asked: the answers.
        thresholds: of the checkpoint, marked in the bars; None where it has none.
        slice_name: of several slices, which one.
        heading: tag of the heading, as deep as the page has it.

    Returns:
        HTML with class "asked", without any style of its own. Its pictures are embedded.
    """
    limits = thresholds.of_any_tumor if thresholds else ()
    marks = "".join(f'<i style="left: {100 * place:.2f}%"></i>' for place in limits)
    items = []
    for guise, probability in asked.probabilities.items():
        name, of_kind = escape(NAMES[guise]), asked.of_kind.get(guise, 0.0)
        kind = f"<small>{escape(display_name(asked.kind))} {escape(_unbroken(of_kind))}</small>" if asked.kind else ""
        bars = "".join(f'<span style="width: {100 * share:.1f}%"></span>' for share in (of_kind, probability - of_kind))
        picture = data_uri(asked.pictures[guise], "JPEG", quality=85)
        items.append(
            f'<li><img src="{picture}" alt="The slice: {name[0].lower()}{name[1:]}">'
            f"<span>{name}</span> <b>{escape(tumor_percent(probability, thresholds))}</b> {kind}"
            f'<div class="bar">{bars}{marks}</div></li>'
        )
    title = f"Asked again: {escape(slice_name)}" if slice_name else "Asked again"
    kind = display_name(asked.kind) if asked.kind else ""
    notes = [f"The first part of a bar is {kind}, the second the other tumors."] if kind else []
    if Guise.COVERED in asked.probabilities:
        notes.append(f"The marked region is the hottest part of the heat map for {kind}.")
    if asked.rests is not None:
        most = f"{100 * math.exp(-LEAST_FALL):.0f} %"
        notes.append(f"The answer rests on it if the odds of {kind} fall to {most} or less with it covered.")
    if asked.rests is False:
        notes.append("Some right answers hardly depend on it either.")
    if limits:
        notes.append(f"Marks: no tumor at {limit(limits[0])} or less, a tumor at {limit(limits[1])} or more.")
    return (
        f'<div class="asked"><{heading}>{title}</{heading}>'
        f"{_said(asked)}<p>The probability of any tumor when the same slice is changed in one way at a time.</p>"
        f'<ul role="list">{"".join(items)}</ul><small>{escape(" ".join(notes))}</small></div>'
    )


def _said(asked: Asked) -> str:
    if asked.rests is None:
        return ""
    before, after = (_unbroken(asked.of_kind[guise]) for guise in (Guise.AS_IT_IS, Guise.COVERED))
    figures = f"{display_name(asked.kind)}: {before} as it is, {after} with the region covered."
    return f'<p class="said {"rests" if asked.rests else "distrust"}"><b>{SAID[asked.rests]}</b> {escape(figures)}</p>'


def _unbroken(share: float) -> str:
    """A share whose number stays beside its sign where lines are short."""
    return percent(share).replace(" ", "\N{NO-BREAK SPACE}")
