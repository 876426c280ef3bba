"""Real pictures that are no brain MRI, from folders: part of them fits the check of uploads, part tests it."""

import csv
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from brain_tumor.data.errors import DatasetError
from brain_tumor.data.folders import contents_of, tell_what_is_left_out
from brain_tumor.data.pixels import open_picture
from brain_tumor.evaluation.intervals import share_interval
from brain_tumor.inference.familiarity import Familiarity
from brain_tumor.reading.levels import ScanError

logger = logging.getLogger(__name__)

CASES = "cases.csv"

FIT_SHARE = 10 / 16
"""Share of the cases that fit, by the first hexadecimal digit of the hash of a case's name; the others test."""


class OtherPicture(NamedTuple):
    """A picture that is no brain MRI: its file, the name of its folder, and what it must not be parted from."""

    path: Path
    kind: str
    case: str

    def open(self) -> Image.Image:
        """The picture as 8-bit RGB. Raises ScanError."""
        return open_picture({"bytes": None, "path": str(self.path)})


def find_other_pictures(
    folders: Sequence[str], root: str | None = None
) -> tuple[list[OtherPicture], list[OtherPicture]]:
    """The pictures of some folders, in two lists: those that fit, and those that test.

    Each is opened once, so that what cannot be read is known before a training. What is left out is logged.

    Args:
        folders: each of one kind of picture. A `cases.csv` (columns file and case) in one, or in the folder above it,
            says which pictures are of one case, and stay together. What has no case there fits; without the file each
            picture is a case of its own.
        root: folder in which those are looked for first.

    Raises:
        DatasetError: a folder is not there, or holds no pictures; a `cases.csv` cannot be read.
    """
    fit, test = [], []
    for name in folders:
        folder = Path(root, name) if root and Path(root, name).is_dir() else Path(name)
        no_pictures = DatasetError(
            f"--other_pictures {name} is no folder that holds pictures. Give one, or train without the check of "
            "uploads: --no_familiarity."
        )
        if not folder.is_dir():
            raise no_pictures
        found = contents_of(folder, CASES)
        tell_what_is_left_out(found.left_out, folder, name)
        cases = {}
        for place in (folder, folder.parent):
            if (place / CASES).is_file():
                cases |= _read_cases(place)
        pictures = [
            OtherPicture(path, folder.name, cases.get(path, path.name))
            for path in tqdm(sorted(found.pictures), desc=f"Opening {name}", unit="picture")
            if _opens(path)
        ]
        if not pictures:
            raise no_pictures
        for picture in pictures:
            digit = int(hashlib.sha256(picture.case.encode()).hexdigest()[0], 16)
            (fit if not picture.case or digit < 16 * FIT_SHARE else test).append(picture)
    return fit, test


def _read_cases(place: Path) -> dict[Path, str]:
    try:
        with (place / CASES).open(encoding="utf-8-sig", newline="") as file:
            return {place / row["file"]: row["case"] or "" for row in csv.DictReader(file)}
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise DatasetError(
            f"{place / CASES} cannot be read as a table with the columns file and case. Save it as CSV in UTF-8."
        ) from error


def _opens(path: Path) -> bool:
    try:
        open_picture({"bytes": None, "path": str(path)})
        return True
    except ScanError as error:
        logger.warning("%s is left out: %s", path, error)
        return False


def familiarity_figures(familiarity: Familiarity, measure, test, others: Sequence[OtherPicture]) -> list[dict]:
    """How often the check turns slices of each set away, and how often it catches pictures that are no brain MRI.

    Args:
        familiarity: as `fit_familiarity` made it.
        measure: (pictures, progress bar) -> embeddings and statistics, as `fit_familiarity.measure` with its network.
        test: the test part, with the columns image, set and group.
        others: pictures that did not fit it.

    Returns:
        {"name", "value", "interval" (95 %, over groups or cases; may be None), "note"} for each set and each kind.
    """
    names = test.features["set"].names
    with tqdm(total=test.num_rows + len(others), desc="Testing what is no slice", unit="picture") as bar:
        known = familiarity.is_familiar(*measure((open_picture(image) for image in test["image"]), bar))
        caught = ~familiarity.is_familiar(*measure((other.open() for other in others), bar)) if others else []
    numbers, groups = np.array(test["set"]), np.array(test["group"])
    rows = [
        _row(f"{names[n]}: slices turned away", ~known[numbers == n], groups[numbers == n], "less is better")
        for n in np.unique(numbers)
    ]
    kinds, cases = np.array([o.kind for o in others]), np.array([o.case for o in others])
    return rows + [
        _row(
            f"{kind}: caught", caught[kinds == kind], cases[kinds == kind], "no brain MRI; other cases fitted the check"
        )
        for kind in np.unique(kinds)
    ]


def _row(name: str, hits: np.ndarray, groups: np.ndarray, note: str) -> dict:
    return {
        "name": name,
        "value": float(hits.mean()),
        "interval": share_interval(hits, np.ones(len(hits), bool), groups),
        "note": f"{len(hits)} pictures; {note}",
    }
