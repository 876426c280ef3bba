"""Sheets of slices to look at, as PNGs: mistakes, and pairs of copies."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

TILE = 160
"""Side of a slice on a sheet, in pixels."""

PLAIN = "#808080"


@dataclass(frozen=True)
class Tile:
    """What a sheet shows in one place.

    Attributes:
        pictures: one slice, or several side by side.
        caption: lines of text beneath; a line that is too long loses its middle.
        color: of the frame.
    """

    pictures: tuple[Image.Image, ...]
    caption: tuple[str, ...]
    color: str = PLAIN


def write_sheet(tiles: list[Tile], title: str, path: Path, columns: int = 8) -> None:
    """A sheet of slices with captions, as a PNG; only the title where there are none."""
    font, line, frame = ImageFont.load_default(size=11), 14, 3
    wide = max((len(tile.pictures) for tile in tiles), default=1) * TILE + 2 * frame
    tall = TILE + 2 * frame + line * max((len(tile.caption) for tile in tiles), default=0) + 6
    columns = max(min(columns, len(tiles)), 1)
    rows = -(-len(tiles) // columns)
    width = max(columns * (wide + 6) + 6, 20 + round(font.getlength(title)), 320)
    sheet = Image.new("RGB", (width, rows * (tall + 6) + 6 + 2 * line), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((8, 6), title, "black", font)
    for number, tile in enumerate(tiles):
        x, y = 6 + number % columns * (wide + 6), 6 + 2 * line + number // columns * (tall + 6)
        draw.rectangle((x, y, x + wide - 1, y + TILE + 2 * frame - 1), fill=tile.color)
        for place, picture in enumerate(tile.pictures):
            shown = ImageOps.pad(picture.convert("RGB"), (TILE, TILE), color="black")
            sheet.paste(shown, (x + frame + place * TILE, y + frame))
        for row, text in enumerate(tile.caption):
            draw.text((x, y + TILE + 2 * frame + 2 + row * line), _shorten(text, wide, font), "black", font)
    sheet.save(path, format="PNG")  # whatever the name ends with


def _shorten(text: str, width: int, font) -> str:
    start, end = text[: len(text) // 2], text[len(text) // 2 :]
    while font.getlength(text) > width:
        start, end = (start[:-1], end) if len(start) > len(end) else (start, end[1:])
        text = f"{start}…{end}"
    return text
