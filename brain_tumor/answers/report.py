"""One scan on one page: a self-contained HTML file that prints on a sheet of A4 and names no patient."""

import datetime
from collections.abc import Mapping, Sequence
from html import escape

from PIL import Image

from brain_tumor.answers.asked_again import chart
from brain_tumor.answers.embedded import data_uri
from brain_tumor.answers.heatmap import gradient, overlay
from brain_tumor.answers.words import (
    cautions,
    judged_words,
    percent,
    slice_name,
    slice_words,
    tumor_percent,
    verdict_kind,
)
from brain_tumor.inference.asking import Asked
from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.inference.prediction import Prediction
from brain_tumor.labels import display_name

LONGEST_SIDE = 640
"""Pixels of the pictures: some 190 dots per inch at 85 mm on paper."""

MOST_LINES, LINE = 14, 34
"""Lines that the facts may take, and letters in a line: a scanner's header can hold more than fits on a page."""

LINES_OF_CHART = 6
"""Of these lines for a slice that was asked again."""

MOST_NOTES = 240

MOST_CLASSES, LONGEST_NAME, LONGEST_WORDS, LONGEST_CAUTION = 8, 26, 240, 360

_STYLE = """
@page { size: A4; margin: 14mm 15mm; }
* { box-sizing: border-box; margin: 0; padding: 0; }
html { background: #e5e7eb; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
body { max-width: 210mm; margin: 8mm auto; padding: 14mm 15mm; background: white; color: #1f2937;
  font: 10pt/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
header { display: flex; justify-content: space-between; align-items: flex-end; gap: 8mm;
  border-bottom: 1.5pt solid #0f766e; padding-bottom: 2.5mm; margin-bottom: 5mm; }
h1 { font-size: 15pt; line-height: 1.2; font-weight: 650; color: #134e4a; }
header p { font-size: 8.5pt; color: #4b5563; text-align: right; line-height: 1.4; overflow-wrap: anywhere; }
h2 { font-size: 8.5pt; font-weight: 650; letter-spacing: .06em; text-transform: uppercase; color: #4b5563;
  margin-bottom: 2mm; }
.verdict { border-left: 5pt solid #64748b; background: #f1f5f9; border-radius: 2mm; padding: 3.5mm 5mm;
  margin-bottom: 5mm; }
.verdict p:first-child { font-size: 15pt; line-height: 1.3; font-weight: 650; }
.verdict .caution { font-size: 8.5pt; margin-top: 1mm; }
.alone { margin-bottom: 3mm; }
.tumor { border-color: #be123c; background: #fff1f2; }
.clear { border-color: #0f766e; background: #f0fdfa; }
.uncertain { border-color: #b45309; background: #fffbeb; }
.pictures { display: grid; grid-template-columns: 1fr 1fr; gap: 6mm; margin-bottom: 5mm; }
.pictures.one { grid-template-columns: 87mm; justify-content: center; }
figure div { background: black; height: 82mm; display: flex; border-radius: 1.5mm; overflow: hidden; }
figure img { width: 100%; height: 100%; object-fit: contain; }
figcaption { font-size: 8.5pt; color: #4b5563; margin-top: 1.5mm; flex: none; }
.pictures:not(.one) figcaption { min-height: 4.4em; }
figcaption b { color: #1f2937; }
.legend { display: inline-block; width: 22mm; height: 2.4mm; margin: 0 1mm; border-radius: 1mm; vertical-align: -.2mm; }
.columns { display: grid; grid-template-columns: 1fr 1fr; gap: 6mm; margin-bottom: 5mm; }
.columns.one { grid-template-columns: 1fr; }
table { width: 100%; border-collapse: collapse; font-size: 9.5pt; }
th { text-align: left; font-weight: 500; padding: .9mm 2mm .9mm 0; width: 34%; overflow-wrap: anywhere; }
td { padding: .9mm 0; }
td.number { text-align: right; width: 22mm; padding-left: 2mm; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.bar { height: 3mm; background: #e5e7eb; border-radius: 1.5mm; overflow: hidden; }
.bar span { display: block; height: 100%; background: #0f766e; }
tr.any { border-top: .5pt solid #9ca3af; }
tr.any th, tr.any td { padding-top: 1.6mm; font-weight: 650; }
tr.any .bar span { background: #475569; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .8mm 4mm; font-size: 9.5pt; }
dt { color: #4b5563; }
dd { overflow-wrap: anywhere; }
.notes { margin-top: 1mm; font-size: 8.5pt; overflow-wrap: anywhere; }
.asked { margin-bottom: 4mm; font-size: 8.5pt; }
.asked p { color: #1f2937; }
.asked small { color: #4b5563; font-size: 8.5pt; }
.asked ul { list-style: none; display: grid; grid-template-columns: repeat(8, 1fr); gap: 2mm; margin: 1mm 0; }
.asked li { display: flex; flex-direction: column; font-size: 7.5pt; line-height: 1.25; min-width: 0; }
.asked li img { width: 100%; aspect-ratio: 1; object-fit: contain; background: black; border-radius: 1mm; }
.asked li > span { flex: 1; }
.asked li small { font-size: 7pt; }
.asked .bar { position: relative; height: 2mm; display: flex; }
.asked .bar span + span { background: #5eead4; }
.asked .bar i { position: absolute; top: 0; bottom: 0; width: 1pt; background: #1f2937; }
.warning { border: 1pt solid #b45309; background: #fffbeb; border-radius: 2mm; padding: 2.5mm 4mm; color: #713f12;
  font-size: 9pt; }
footer { margin-top: 3mm; font-size: 8.5pt; color: #4b5563; }
/* In print the pictures give way: fonts and texts differ, the sheet does not grow. */
@media print {
  html { background: white; }
  body { margin: 0; padding: 0; max-width: none; height: 267mm; display: flex; flex-direction: column; }
  main { flex: 1 1 auto; min-height: 0; display: flex; flex-direction: column; }
  main > * { flex-shrink: 0; }
  main > .pictures { flex-shrink: 1; min-height: 40mm; grid-template-rows: minmax(0, 1fr); }
  main > .pictures:has(~ .asked) { min-height: 24mm; }
  .asked li img { height: 14mm; }
  figure { min-height: 0; display: flex; flex-direction: column; }
  figure div { flex: 0 1 82mm; min-height: 0; }
}
@media screen and (max-width: 640px) {
  body { margin: 0; padding: 5mm; }
  header { display: block; } header p { text-align: left; margin-top: 2mm; }
  .pictures, .pictures.one, .columns { grid-template-columns: 1fr; }
  .asked ul { grid-template-columns: repeat(4, 1fr); }
  figure div { height: auto; }
}
"""


def html_report(
    judged: JudgedUpload,
    place: int,
    image: Image.Image,
    *,
    version: str,
    date: datetime.date,
    shown_class: str | None,
    named: bool = False,
    asked: Asked | None = None,
) -> str:
    """The report on one scan: the verdict on the whole, and one slice as a picture.

    A picture that is no brain MRI, or shows too little of the head, gets no class, no confidences and no heat map.

    Args:
        judged: the scan. Its facts come without tags of the patient; what does not fit on the page is cut.
        place: index of the slice that is shown.
        image: that slice, 8-bit gray or RGB.
        version: of the model, `Classifier.version`.
        date: of the report.
        shown_class: the class whose heat map is drawn, as the checkpoint names it; None for no map.
        named: whether the file's name, which may be a patient's, is on the page.
        asked: what the slice was called when it was asked again; None if it was not.

    Returns:
        A page of HTML, to be written in UTF-8. Its pictures are embedded; it runs no script and loads nothing.
    """
    prediction, several, told = judged.predictions[place], len(judged.predictions) > 1, judged.may_be_told(place)
    headline, *said = (escape(_cut(words, LONGEST_WORDS)) for words in judged_words(judged))
    said = "".join(f"<p>{words}</p>" for words in said if words)
    heatmap = (prediction.heatmaps or {}).get(shown_class) if told else None
    shown = image.convert("RGB")
    shown.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    name = slice_name(judged, place) if several else "the scan"
    caption = escape(name[0].upper() + name[1:])
    pictures = [_figure(shown, f"{name[0].upper()}{name[1:]}, as it was read", f"<b>{caption}</b>, as it was read.")]
    if heatmap is not None:
        kind = display_name(shown_class)
        legend = f'<span class="legend" style="background: linear-gradient(90deg, {", ".join(gradient())})"></span>'
        height, width = heatmap.shape
        pictures.append(
            _figure(
                overlay(shown, heatmap),
                f"The same with the heat map for {kind}",
                f"<b>Where the score for “{escape(kind)}” comes from.</b> Adds little {legend} adds most. "
                f"A grid of {width} × {height} cells, not the outline of a tumor.",
            )
        )
    title = f"Confidence of {judged.upload.slices[place].name} alone" if several else "Confidence"
    columns = [_confidences(prediction, title)] if told else []
    facts = {"File": judged.upload.name} if named else {}
    columns.append(_facts(facts | judged.upload.facts, judged.upload.notes, MOST_LINES - LINES_OF_CHART * bool(asked)))
    warnings = "".join(f'<p class="caution">{escape(_cut(words, LONGEST_CAUTION))}</p>' for words in cautions(judged))
    again = ""
    if told and asked:
        again = chart(asked, prediction.thresholds, judged.upload.slices[place].name if several else "", "h2")
    alone = f'<p class="alone">{escape(_about_the_slice(judged, place))}</p>' if several else ""
    names = "This page names the file, as its reader wished." if named else "This page names neither file nor patient."
    stamp = f"{date.day} {date:%B %Y}"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Brain MRI: what a model says</title>
<style>{_STYLE}</style>
</head>
<body>
<header><h1>Brain MRI: what a model says</h1><p>{stamp}<br>Model: {escape(version)}</p></header>
<main>
<section class="verdict {verdict_kind(judged.verdict or "")}"><p>{headline}</p>{said}
{warnings}</section>{alone}
<section class="pictures{"" if len(pictures) > 1 else " one"}">{"".join(pictures)}</section>
<div class="columns{"" if len(columns) > 1 else " one"}">{"".join(columns)}</div>{again}
<section class="warning"><b>Not a medical device.</b> For research and teaching. The numbers come from a model and
are not a diagnosis: it looks at each slice by itself, knows only the classes that it names, and misses tumors,
especially small ones. Do not base a decision on this page, or reassure anybody with it; have every scan read by a
specialist.</section>
</main>
<footer>{names} Text that is burned into the picture cannot be removed: look at
the picture before you pass it on.</footer>
</body>
</html>
"""


def file_name(judged: JudgedUpload, date: datetime.date, suffix: str) -> str:
    """What a report or a picture of a scan is called, by date and verdict: "brain-mri-2031-02-03-glioma.html"."""
    said = "".join(letter if letter.isalnum() else "-" for letter in judged.verdict or "pages")
    return f"brain-mri-{date}-{said[:40].lower()}.{suffix}"


def _figure(image: Image.Image, words: str, caption: str) -> str:
    uri = data_uri(image, "PNG")
    return f'<figure><div><img src="{uri}" alt="{escape(words)}"></div><figcaption>{caption}</figcaption></figure>'


def _about_the_slice(judged: JudgedUpload, place: int) -> str:
    """What the pictures of one slice have to do with the verdict on the whole."""
    whole = (
        f"The verdict above is on all {len(judged.predictions)} slices together"
        if judged.volume
        else "Each was judged by itself"
    )
    said = slice_words(judged, place).headline
    return f"{whole}; what follows shows one of them, {judged.upload.slices[place].name}. By itself: {said}."


def _confidences(prediction: Prediction, title: str) -> str:
    """Bars of the classes in the checkpoint's order, or of the most probable ones where there are many."""
    shares = prediction.confidences
    names = sorted(shares, key=shares.get, reverse=True)[:MOST_CLASSES] if len(shares) > MOST_CLASSES else list(shares)
    rows = [_bar(_cut(display_name(name), LONGEST_NAME), shares[name], percent(shares[name])) for name in names]
    if prediction.tumor_probability is not None:
        tumor = prediction.tumor_probability
        rows.append(_bar("Any tumor", tumor, tumor_percent(tumor, prediction.thresholds), "any"))
    most = f"{MOST_CLASSES} most probable classes" if len(names) < len(shares) else title
    return f"<section><h2>{escape(most)}</h2><table>{''.join(rows)}</table></section>"


def _bar(name: str, share: float, words: str, kind: str = "") -> str:
    return (
        f'<tr class="{kind}"><th scope="row">{escape(name)}</th>'
        f'<td><div class="bar"><span style="width: {100 * share:.1f}%"></span></div></td>'
        f'<td class="number">{escape(words)}</td></tr>'
    )


def _facts(facts: Mapping[str, str], notes: Sequence[str], most: int) -> str:
    said = _cut(" ".join(notes), MOST_NOTES)
    terms, lines = [], -(-len(said) // LINE)
    for name, value in facts.items():
        text = _cut(str(value), 3 * LINE)
        lines += -(-len(text) // LINE)
        if lines > most:
            break
        terms.append(f"<dt>{escape(_cut(str(name), 24))}</dt><dd>{escape(text)}</dd>")
    said = f'<p class="notes">{escape(said)}</p>' if said else ""
    return f"<section><h2>About the file</h2><dl>{''.join(terms)}</dl>{said}</section>"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
