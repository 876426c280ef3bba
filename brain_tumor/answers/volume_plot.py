"""Tumor probability along the slices of a volume, as a drawing (SVG in HTML) and in words."""

import json
from collections.abc import Sequence
from html import escape

from brain_tumor.answers.words import limit, tumor_percent
from brain_tumor.inference.volume import VolumeVerdict

WIDTH, HEIGHT = 420, 176
"""Of the drawing, in its own units: its letters of 12 are still read at 300 pixels, on a phone."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 408, 10, 146

_MOST_DOTS = 60
"""Counted slices above which the dots are small: larger ones would merge into a band."""


def plot_volume(verdict: VolumeVerdict, numbers: Sequence[int], chosen: int | None = None) -> str:
    """Tumor probability along the slices: counted ones as a line, others fainter, with the thresholds and the peak.

    Args:
        verdict: on the volume.
        numbers: of its slices, ascending, as `Slice.number` has them.
        chosen: index of the slice that is shown beside the drawing; a marker stands there, which `demo/stack.js` moves
            and which is a slider for keys and pointers. None for a drawing alone.

    Returns:
        HTML whose colors are those of `.curve` in `demo/style.css`. In words: `plot_words`.
    """
    across = _places(numbers)
    shares = [
        None if share is None else (x, _height(share)) for x, share in zip(across, verdict.probabilities, strict=True)
    ]
    drawn = [*_grid(numbers, across), *_limits(verdict)]
    if verdict.stretch:
        first, last = (across[place] for place in verdict.stretch)
        half = _step(across) / 2
        box = f'x="{first - half:.1f}" width="{last - first + 2 * half:.1f}" y="{_TOP}" height="{_BOTTOM - _TOP}"'
        drawn.insert(0, f'<rect class="stretch" {box}/>')
    drawn += _line(shares, verdict.counted)
    aside = [
        f"M{x:.1f} {y:.1f}m-3-3l6 6m0-6l-6 6"
        for (x, y) in (at for at, counts in zip(shares, verdict.counted, strict=True) if at and not counts)
    ]
    unjudged = [f"M{x:.1f} {_BOTTOM}v-7" for x, at in zip(across, shares, strict=True) if at is None]
    drawn += [f'<path class="aside" d="{"".join(paths)}"/>' for paths in (aside, unjudged) if paths]
    if verdict.peak is not None:
        x, y = shares[verdict.peak]
        drawn.append(f'<path class="peak" d="M{x:.1f} {y:.1f}m0-7l6 7l-6 7l-6-7z"/>')
    words, legend = escape(plot_words(verdict, numbers)), _legend(verdict, bool(aside), bool(unjudged))
    if chosen is None:
        inner = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{words}">{"".join(drawn)}</svg>'
        return f'<div class="curve">{inner}{legend}</div>'
    marker = f'<path class="marker" d="M0 {_TOP - 8}V{_BOTTOM}" transform="translate({across[chosen]:.1f})"/>'
    said = [
        "not judged"
        if share is None
        else tumor_percent(share, verdict.thresholds) + ("" if counts else ", not counted")
        for share, counts in zip(verdict.probabilities, verdict.counted, strict=True)
    ]
    slider = (
        f'role="slider" tabindex="0" aria-label="Slice on the curve" aria-describedby="curve-words" '
        f'aria-valuemin="{numbers[0]}" aria-valuemax="{numbers[-1]}" aria-valuenow="{numbers[chosen]}" '
        f'aria-valuetext="slice {numbers[chosen]}: {escape(said[chosen])}" data-numbers="{json.dumps(list(numbers))}" '
        f'data-across="{json.dumps([round(x, 1) for x in across])}" data-said="{escape(json.dumps(said))}"'
    )
    inner = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{"".join(drawn)}{marker}</svg>'
    return f'<div class="curve"><div {slider}>{inner}</div>{legend}<p id="curve-words" class="unseen">{words}</p></div>'


def plot_words(verdict: VolumeVerdict, numbers: Sequence[int]) -> str:
    """What the drawing shows, for readers who cannot see it."""
    words = f"Probability of any tumor along {len(verdict.probabilities)} slices, of which {sum(verdict.counted)} count"
    if verdict.peak is None:
        return words + "."
    words += f"; it is highest in slice {numbers[verdict.peak]}, with {_highest(verdict)}"
    if verdict.stretch:
        first, last = (numbers[place] for place in verdict.stretch)
        words += f"; slices {first} to {last} make the whole look like a tumor"
    return words + "."


def _places(numbers: Sequence[int]) -> list[float]:
    """Where slices of these numbers stand along the drawing."""
    if len(numbers) < 2:
        return [(_LEFT + _RIGHT) / 2] * len(numbers)
    inset = min(10, (_RIGHT - _LEFT) / (2 * len(numbers)))
    wide = (_RIGHT - _LEFT - 2 * inset) / (numbers[-1] - numbers[0])
    return [_LEFT + inset + wide * (number - numbers[0]) for number in numbers]


def _step(across: Sequence[float]) -> float:
    return (across[-1] - across[0]) / (len(across) - 1) if len(across) > 1 else 20.0


def _height(share: float) -> float:
    return _BOTTOM - share * (_BOTTOM - _TOP)


def _grid(numbers: Sequence[int], across: Sequence[float]) -> list[str]:
    """Lines at 0, 50 and 100 %, and numbers of slices: the first, the last, and some between."""
    lines = [
        f'<path class="grid" d="M{_LEFT} {_height(share):.1f}H{_RIGHT}"/>'
        f'<text x="{_LEFT - 6}" y="{_height(share) + 4:.1f}" class="level">{100 * share:.0f} %</text>'
        for share in (0, 0.5, 1)
    ]
    ticks = sorted({round(part * (len(numbers) - 1) / 4) for part in range(5)}) if numbers else []
    lines += [f'<text x="{across[tick]:.1f}" y="{_BOTTOM + 17}">{numbers[tick]}</text>' for tick in ticks]
    return lines


def _highest(verdict: VolumeVerdict) -> str:
    return tumor_percent(verdict.probabilities[verdict.peak], verdict.thresholds)


def _limits(verdict: VolumeVerdict) -> list[str]:
    if not verdict.thresholds:
        return []
    low, high = verdict.thresholds.of_any_tumor
    limits = (("tumor", high), ("clear", low))
    return [f'<path class="limit {kind}" d="M{_LEFT} {_height(share):.1f}H{_RIGHT}"/>' for kind, share in limits]


def _line(shares: Sequence[tuple[float, float] | None], counted: Sequence[bool]) -> list[str]:
    """The counted slices, joined where they are neighbors, each with a dot."""
    path, joined, dots = [], False, []
    radius = 3 if sum(counted) <= _MOST_DOTS else 1.6
    for at, counts in zip(shares, counted, strict=True):
        if counts:
            path.append(f"{'L' if joined else 'M'}{at[0]:.1f} {at[1]:.1f}")
            dots.append(f'<circle class="dot" cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius}"/>')
        joined = counts
    return [f'<path class="line" d="{"".join(path)}"/>', *dots] if path else []


def _legend(verdict: VolumeVerdict, aside: bool, unjudged: bool) -> str:
    """What each sign means, of those that are drawn."""
    signs = []
    if verdict.peak is not None:
        signs.append(("peak", "M7 1l5 6l-5 6l-5-6z", f"highest: {_highest(verdict)}"))
    if verdict.stretch:
        signs.append(("stretch", "M0 1h14v12h-14z", "slices that make it a tumor"))
    if verdict.thresholds:
        low, high = verdict.thresholds.of_any_tumor
        signs += [
            ("limit tumor", "M0 7h14", f"a slice says tumor from {limit(high)}"),
            ("limit clear", "M0 7h14", f"a slice says no tumor up to {limit(low)}"),
        ]
    signs += [("aside", "M4 4l6 6m0-6l-6 6", "not counted")] * aside
    signs += [("aside", "M7 11v-7", "not judged")] * unjudged
    items = "".join(
        f'<li><svg viewBox="0 0 14 14" aria-hidden="true"><path class="{kind}" d="{path}"/></svg>{escape(words)}</li>'
        for kind, path, words in signs
    )
    return f"<ul>{items}</ul>"
