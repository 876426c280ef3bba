"""A picture's file -> an upload: one slice, or one for each page of a TIFF."""

import math

from PIL import Image

from brain_tumor.reading.archives import UploadedFile
from brain_tumor.reading.pictures import ScanError, count_bits, open_file, open_page, open_scan
from brain_tumor.reading.uploads import MAX_PAGES, MAX_VOXELS, Slice, Upload
from brain_tumor.reading.volumes import note_thinning, thin


def read_pages(file: UploadedFile) -> Upload:
    """Read a picture, or each page of a TIFF.

    Raises:
        ScanError: it cannot be read, or none of its pages can.
    """
    data = file.bytes()
    image = open_file(data)
    depth, format = count_bits(image), image.format
    color = "gray" if image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I") else "color"
    if format == "PNG" and data[25:26] == b"\4":  # gray with alpha, which Pillow opens as color if it has 16 bits
        color = "gray"
    frames = _count_pages(image) if format == "TIFF" else 1
    notes = []
    if frames > 1:
        slices, reasons = [], []
        taken = thin(frames)
        notes += note_thinning(frames, taken)
        again = open_file(data)
        pixels = 0
        for page in taken:
            try:
                pixels += math.prod(_turn_to(image, page).size)
                if slices and pixels > MAX_VOXELS:
                    notes.append(
                        f"The file has more pixels than are read at once: pages from {page + 1} on are missing."
                    )
                    break
                slices.append(Slice(open_page(image, lambda page=page: _turn_to(again, page)), f"page {page + 1}"))
            except ScanError as error:
                reasons.append(str(error))
                notes.append(f"Page {page + 1} cannot be read. {error}")
        if not slices:
            raise ScanError(reasons[0])
    else:
        slices = [Slice(open_scan(data), "")]
        if format != "TIFF" and _is_animated(image):
            notes.append("The file is an animation; its first frame is read.")
    if len(slices) > 1:
        notes.insert(0, f"A file of {frames} pages: each page is a scan of its own.")
    width, height = slices[0].image.size
    facts = {
        "Format": {"WEBP": "WebP"}.get(format, format),
        "Size": f"{width} x {height} pixels" + (f", {len(slices)} pages" if len(slices) > 1 else ""),
        "Bit depth": f"{depth} bit{'s' if depth > 1 else ''}, {color}",
    }
    if depth > 8:
        facts["Window"] = "0.5 % to 99.5 % of the gray levels"
    return Upload(file.name, "pages" if len(slices) > 1 else "picture", slices, facts, notes)


def _count_pages(image: Image.Image) -> int:
    """Count the pages of a TIFF that can be reached. Raises ScanError if they are too many."""
    pages = 1
    while pages <= MAX_PAGES:
        try:
            image.seek(pages)
        except ScanError:
            raise
        except Exception:  # EOFError behind the last; a damaged page can raise nearly anything
            return pages
        pages += 1
    raise ScanError(f"This file has more than {MAX_PAGES:,} pages, too many parts to be read. Save fewer in a file.")


def _turn_to(image: Image.Image, page: int) -> Image.Image:
    """Turn an opened TIFF to one of its pages: quick from the page before, while a new file walks through them all."""
    try:
        image.seek(page)
    except ScanError:
        raise
    except Exception:
        raise ScanError("This page is damaged. Save or download the file again.") from None
    return image


def _is_animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # Pillow looks at a damaged file's second frame here
        return False
