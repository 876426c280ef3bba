"""The overview of many scans as HTML: a row each, which table.js sorts, filters and opens."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from brain_tumor.answers.embedded import data_uri
from brain_tumor.answers.scan_rows import GROUPS, ScanRow, counts_of

THUMBNAIL_SIDE = 48
"""Pixels of a row's picture on its longer side."""

MOST_THUMBNAIL_BYTES = 2 * 2**20
"""Of all pictures of a table together, as they are sent; rows beyond have none."""

FIRST_ROWS = 200
"""Rows that are shown at first: a browser takes seconds to lay out thousands of them, and again after each sorting."""

UNTOLD = '<span aria-hidden="true">–</span><span class="unseen">none</span>'


@dataclass(frozen=True)
class TableRow:
    """A row, its picture as a `data:` URI ("" for none), what the picture shows, and whether a click opens the scan."""

    row: ScanRow
    picture: str = ""
    shows: str = ""
    opens: bool = False


def thumbnail_uri(image: Image.Image) -> str:
    """A small copy of a picture as a `data:` URI of about 700 bytes."""
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return data_uri(small, "WEBP", quality=60)


def table_html(rows: Sequence[TableRow]) -> str:
    """The table with its counts above; a column of which nothing is known in any row is left out."""
    told = {
        "Most probable class": any(row.row.most_probable for row in rows),
        "Tumor probability": any(row.row.shown_probability for row in rows),
    }
    columns = ["Name", "Verdict", *(name for name, known in told.items() if known)]
    headings = "".join(
        f'<th role="columnheader" scope="col" aria-sort="none"><button type="button" data-sort>{name}</button></th>'
        for name in columns
    )
    shown = "".join(_row(place, row, columns) for place, row in enumerate(rows))
    rest = f'<button type="button" data-first="{FIRST_ROWS}">Show all</button>' if len(rows) > FIRST_ROWS else ""
    caption = f"{len(rows)} scan{'s' * (len(rows) != 1)}. A heading sorts; a name opens its scan in the tab “One scan”."
    return (
        f'{_bar(row.row for row in rows)}<p class="none-found" role="status"></p><table role="table">'
        f'<caption>{caption}</caption><thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">'
        f'<span class="unseen">Picture</span></th>{headings}<th role="columnheader" scope="col">'
        f'<span class="unseen">More</span></th></tr></thead>{shown}</table>{rest}'
    )


def _bar(rows: Iterable[ScanRow]) -> str:
    """How many scans have which verdict, each of which shows these alone when clicked; and a field to find a name."""
    counts = "".join(
        f'<button type="button" aria-pressed="false" data-group="{group}" class="{group}"><b>{count}</b> '
        f"{escape(GROUPS[group])}</button>"
        for group, count in counts_of(rows).items()
    )
    return (
        '<div class="bar"><div class="counts" role="group" aria-label="Verdicts: choose one to see these alone">'
        f'{counts}</div><input type="search" aria-label="Find a name" placeholder="Find a name"></div>'
    )


def _row(place: int, row: TableRow, columns: Sequence[str]) -> str:
    """A body of its own for each scan, so that its row and what is folded beneath stay together."""
    scan, name = row.row, escape(row.row.name)
    picture = f'<img src="{row.picture}" alt="{escape(row.shows)}">' if row.picture else ""
    opener = f'<button type="button" data-open="{place}">{name}</button>' if row.opens else name
    reason = f"<small>{escape(scan.reason)}</small>" if scan.reason else ""
    rank = f"{list(GROUPS).index(scan.group)} {scan.verdict}"
    cells = {
        "Verdict": (rank, f'<b class="{scan.kind}">{escape(scan.verdict)}</b>{reason}'),
        "Most probable class": (scan.most_probable, escape(scan.most_probable) or UNTOLD),
        "Tumor probability": (
            "" if scan.probability is None else f"{scan.probability:.6f}",
            escape(scan.shown_probability) or UNTOLD,
        ),
    }
    told = "".join(
        f'<td role="cell" data-name="{column}" data-key="{escape(cells[column][0])}">{cells[column][1]}</td>'
        for column in columns[1:]
    )
    more = folded = ""
    if scan.more:
        terms = "".join(f"<dt>{escape(term)}</dt><dd>{escape(words)}</dd>" for term, words in scan.more.items())
        more = (
            f'<button type="button" data-more aria-expanded="false" aria-controls="more-{place}" '
            f'aria-label="More about {name}">More</button>'
        )
        folded = (
            f'<tr role="row" id="more-{place}" hidden><td role="cell" colspan="{len(columns) + 2}">'
            f'<dl class="facts">{terms}</dl></td></tr>'
        )
    opens = ' class="opens"' if row.opens else ""
    hidden = " hidden" if place >= FIRST_ROWS else ""
    return (
        f'<tbody role="rowgroup" data-group="{scan.group}" data-place="{place}"{hidden}><tr role="row"{opens}>'
        f'<td role="cell">{picture}</td><th role="rowheader" scope="row" data-key="{name}">{opener}</th>{told}'
        f'<td role="cell">{more}</td></tr>{folded}</tbody>'
    )
