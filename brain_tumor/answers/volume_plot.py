"""Tumor probability along the slices of a volume, as a plot and in words."""

import io

import numpy as np
from PIL import Image

from brain_tumor.answers.words import limit, percent
from brain_tumor.inference.volume import VolumeVerdict

_LINE, _FADED, _PEAK, _TUMOR, _CLEAR = "#0f766e", "#6b7280", "#be123c", "#b45309", "#1d4ed8"


def plot_volume(verdict: VolumeVerdict) -> Image.Image:
    """Tumor probability along the slices: counted ones as a line, others in gray, with the thresholds and the peak.

    Returns:
        `PIL.Image.Image` of mode "RGB", on white, readable on a light and on a dark page. In words: `plot_words`.
    """
    # matplotlib's object interface: no display, no global state
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(5.4, 4), layout="constrained", facecolor="white")  # small: read at 300 pixels on a phone
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    numbers = np.arange(1, len(verdict.probabilities) + 1)
    values = np.array([np.nan if p is None else p for p in verdict.probabilities], np.float64)
    counted = np.array(verdict.counted, bool)
    if verdict.stretch:
        first, last = verdict.stretch
        axis.axvspan(first + 0.5, last + 1.5, color="#fde68a", alpha=0.6, lw=0, label="slices that make it a tumor")
    if verdict.thresholds:
        limits = (
            (verdict.thresholds.tumor, _TUMOR, "a slice says tumor from", "--"),
            (1 - verdict.thresholds.no_tumor, _CLEAR, "a slice says no tumor up to", ":"),
        )
        for height, color, words, style in limits:
            axis.axhline(height, color=color, ls=style, lw=1.5, label=f"{words} {limit(height)}")
    if (~counted).any() and np.isfinite(values[~counted]).any():
        axis.plot(numbers[~counted], values[~counted], "x", color=_FADED, ms=5, label="not counted")
    unjudged = np.isnan(values)
    if unjudged.any():
        axis.plot(numbers[unjudged], np.zeros(unjudged.sum()), "|", color=_FADED, ms=6, label="not judged")
    size = 4 if counted.sum() <= 60 else 2  # larger dots would merge into a band, but a slice on its own needs one
    axis.plot(numbers, np.where(counted, values, np.nan), "o-", color=_LINE, ms=size, lw=1.8)
    if verdict.peak is not None:
        value = values[verdict.peak]
        axis.plot(verdict.peak + 1, value, "D", color=_PEAK, ms=9, mec="white", label=f"highest: {percent(value)}")
    axis.set(xlim=(0.5, max(len(numbers), 2) + 0.5), ylim=(-0.03, 1.05), xlabel="slice, in the order of the series")
    axis.set_ylabel("probability of any tumor")
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
    handles, _ = axis.get_legend_handles_labels()
    if handles:
        figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=9)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=200)
    return Image.open(file).convert("RGB")


def plot_words(verdict: VolumeVerdict) -> str:
    """What the plot shows, for readers who cannot see it."""
    words = f"Probability of any tumor along {len(verdict.probabilities)} slices, of which {sum(verdict.counted)} count"
    if verdict.peak is None:
        return words + "."
    words += f"; it is highest in slice {verdict.peak + 1}, with {percent(verdict.probabilities[verdict.peak])}"
    if verdict.stretch:
        first, last = verdict.stretch
        words += f"; slices {first + 1} to {last + 1} make the whole look like a tumor"
    return words + "."
