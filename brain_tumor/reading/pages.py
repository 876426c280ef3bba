"""A picture's file -> an upload: one slice, or one for each page of a TIFF."""

import math

from brain_tumor.reading.archives import UploadedFile
from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.pictures import Picture, is_tiff, read_page, read_picture
from brain_tumor.reading.stream import TiffStream
from brain_tumor.reading.uploads import MAX_VOXELS, Slice, Upload
from brain_tumor.reading.volumes import note_thinning, thin


def read_pages(file: UploadedFile) -> Upload:
    """Read a picture, or each page of a TIFF.

    Raises:
        ScanError: it cannot be read, or none of its pages can.
    """
    data = file.bytes()
    if is_tiff(data):
        return _read_tiff(file.name, TiffStream(data))
    picture = read_picture(data)
    return Upload(file.name, "picture", [Slice(picture.image, "")], _facts([picture]), picture.notes)


def _read_tiff(name: str, tiff: TiffStream) -> Upload:
    pages, notes, unread, pixels = len(tiff.pages), [], {}, 0
    taken, read = thin(pages), {}
    for page in taken:
        try:
            picture = read_page(tiff, page)
        except ScanError as error:
            unread.setdefault(str(error), []).append(page + 1)
            continue
        pixels += math.prod(picture.image.size)
        if read and pixels > MAX_VOXELS:
            notes.append(f"The file has more pixels than are read at once: pages from {page + 1} on are missing.")
            break
        read[page] = picture
        notes += [f"Page {page + 1}: {note}" if pages > 1 else note for note in picture.notes]
    if not read:
        raise ScanError(next(iter(unread)))
    several = len(read) > 1
    if pages > 1:
        notes += [f"{_name_pages(numbers)} cannot be read. {reason}" for reason, numbers in unread.items()]
        notes = note_thinning(pages, taken) + notes
    if tiff.cut_off:
        notes.append(f"The file is damaged behind page {pages}: pages that may follow are missing.")
    if several:
        notes.insert(0, f"A file of {pages} pages: each page is a scan of its own.")
    slices = [Slice(picture.image, f"page {page + 1}" if pages > 1 else "") for page, picture in read.items()]
    return Upload(name, "pages" if several else "picture", slices, _facts(list(read.values())), notes)


def _facts(pictures: list[Picture]) -> dict[str, str]:
    """Of several pages, the size and depth of the first that could be read."""
    first = pictures[0]
    width, height = first.image.size
    facts = {
        "Format": first.format,
        "Size": f"{width} x {height} pixels" + (f", {len(pictures)} pages" if len(pictures) > 1 else ""),
        "Bit depth": f"{first.bits} bit{'s' if first.bits > 1 else ''}, {'gray' if first.gray else 'color'}",
    }
    if any(picture.windowed for picture in pictures):
        facts["Window"] = "0.5 % to 99.5 % of the gray levels"
    return facts


def _name_pages(numbers: list[int], most: int = 5) -> str:
    """Which pages, in words; of many, the first ones.

    >>> _name_pages([2]), _name_pages([2, 3, 5]), _name_pages([1, 2, 3, 4, 5, 6, 9])
    ('Page 2', 'Pages 2, 3 and 5', 'Pages 1, 2, 3, 4, 5 and 2 more')
    """
    if len(numbers) == 1:
        return f"Page {numbers[0]}"
    *shown, last = (
        [*map(str, numbers[:most]), f"{len(numbers) - most} more"] if len(numbers) > most else map(str, numbers)
    )
    return f"Pages {', '.join(shown)} and {last}"
