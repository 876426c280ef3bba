"""What a session keeps of a judged scan, so that its slices can be looked through: their pictures, in little memory."""

import math
import pickle
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from brain_tumor.demo.retention import new_file
from brain_tumor.inference.judging import JudgedUpload

LONGEST_SIDE = 512
"""Pixels of a kept slice, unless it is the only one, which stays as it is."""

MOST_BYTES = 40 * 2**20
"""Of the pictures of one scan. They are kept as plain grays: to compress them takes longer than to judge them."""

_GONE = Image.new("RGB", (1, 1))


@dataclass(frozen=True)
class KeptScan:
    """A judged upload, and pictures of its slices in place of those that it was judged by.

    Attributes:
        judged: its slices have no pictures any more.
        pictures: 8-bit gray or RGB, in the order of the slices.
    """

    judged: JudgedUpload
    pictures: list[Image.Image]

    def place_of(self, number: float | None) -> int:
        """Index of the slice of this number, or of the nearest one; of several as near, the first."""
        slices = self.judged.upload.slices
        if number is None:
            return self.judged.place
        return min(range(len(slices)), key=lambda place: abs(slices[place].number - number))


def keep(judged: JudgedUpload) -> KeptScan:
    """What is kept of a scan."""
    images = [slice_.image for slice_ in judged.upload.slices]
    if len(images) > 1:
        images = [grays_of(image) for image in images]
        bands = max(len(image.getbands()) for image in images)
        side = min(LONGEST_SIDE, math.isqrt(MOST_BYTES // (bands * len(images))))
        for image in images:
            image.thumbnail((side, side))
    upload = replace(judged.upload, slices=[replace(slice_, image=_GONE) for slice_ in judged.upload.slices])
    return KeptScan(replace(judged, upload=upload), images)


def put_aside(judged: JudgedUpload) -> Path:
    """Writes what is kept of a scan to a file, which is swept as uploads are, for `take_out` to show it again.

    The pictures of many scans would fill the memory. The file is this process's own: no visitor can name another.
    """
    kept = keep(judged)
    if len(kept.pictures) == 1:
        kept = replace(kept, pictures=[grays_of(kept.pictures[0])])
    return new_file("scan.pickle", pickle.dumps(kept, pickle.HIGHEST_PROTOCOL))


def take_out(path: Path) -> KeptScan | None:
    """What `put_aside` wrote; None once it was deleted."""
    try:
        return pickle.loads(path.read_bytes())
    except FileNotFoundError:
        return None


def grays_of(image: Image.Image) -> Image.Image:
    """A copy of an RGB picture, in one band if its three are the same."""
    red, green, blue = image.split()
    return red if red.tobytes() == green.tobytes() == blue.tobytes() else image.copy()
