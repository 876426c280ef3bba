"""A folder of pictures -> rows: what in it is a picture, of which class and part, and what is left out.

The rule: a picture or a DICOM file is known by its content (`other_files.kind_of`), whatever it is called; a file that
is called like a picture counts as one too, and whoever opens it says what is wrong with it. All else is left out with a
line that counts it by kind, names one of each, and says what to do (`tell_what_is_left_out`). Links, pipes and folders
that may not be read are as `reading.folders` has them.
"""

import logging
import os
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from datasets import Dataset, Features, Image, Value

from brain_tumor.data.errors import DatasetError
from brain_tumor.data.metadata import METADATA, read_metadata
from brain_tumor.labels import LABELS
from brain_tumor.reading.folders import AGAIN, BROKEN, CLOSED, FILE, FOLDER, HIDDEN, SPECIAL, walk
from brain_tumor.reading.other_files import kind_of
from brain_tumor.reading.readers import HEAD_BYTES

logger = logging.getLogger(__name__)

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".dcm")
"""What pictures and DICOM files are called, in lower case."""

SPLIT_SPELLINGS = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}

PARQUET = "parquet"

_WORDS = {
    "": "of an unknown kind",
    AGAIN: "link to what is read under another name",
    CLOSED: "that may not be read",
    HIDDEN: "hidden",
    SPECIAL: "named pipe, socket or device",
}
"""Kind -> how a list calls it; other kinds are called by their own name."""

_ADVICE = {
    "NIfTI": "Of a volume, save the slices that show what their folder says as pictures.",
    ".gz file": "Of a packed volume, save the slices that show what their folder says as pictures.",
    "zip": "Unpack a zip.",
    PARQUET: "Give parquet files a folder of their own: one is read either for its pictures or for its tables.",
    BROKEN: "Put the file in the place of a broken link.",
    CLOSED: "Change the permissions of what may not be read.",
    "": "Save a slice of a kind that is not known here as PNG.",
}
"""Kind -> what to do with it, where there is something."""


class Contents(NamedTuple):
    """What is in a folder and below it, in the walk's order."""

    pictures: list[Path]
    """To be opened; some of them may not be what they are called."""
    folders: list[Path]
    """Those that were entered, the folder itself too."""
    metadata: list[Path]
    """Files of the name that the caller reads by itself."""
    left_out: dict[str, list[Path]]
    """Kind -> all else."""


def contents_of(folder: Path, table: str, each_link: bool = False) -> Contents:
    """What is in a folder and below it, by the rule of this module.

    Args:
        folder: that exists.
        table: name of the files that say more about the pictures.
        each_link: as `reading.folders.walk` takes it.
    """
    found = Contents([], [], [], defaultdict(list))
    for path, what in walk(folder, each_link):
        if what == FOLDER:
            found.folders.append(path)
        elif what == FILE and path.name == table:
            found.metadata.append(path)
        elif (kind := _kind(path, what)) == "picture":
            found.pictures.append(path)
        else:
            found.left_out[kind].append(path)
    return found


def _kind(path: Path, what: str) -> str:
    if what not in (FILE, BROKEN, CLOSED):
        return what
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "whose name is no UTF-8"  # which no column of text can hold
    if path.suffix.lower() in PICTURE_SUFFIXES and not os.path.isdir(path):
        return "picture"
    if what != FILE:
        return what
    if path.suffix.lower() == ".parquet":
        return PARQUET
    try:
        with path.open("rb") as file:
            kind = kind_of(file.read(HEAD_BYTES))
    except OSError:
        return CLOSED
    return "picture" if kind == "DICOM" else kind


def tell_what_is_left_out(left_out: dict[str, list[Path]], folder: Path, name: str) -> None:
    """Log, in one line, how much of a folder is no picture, of which kinds, and what to do."""
    if not left_out:
        return
    counts = [
        f"{len(paths)} {_WORDS.get(kind, kind)}, such as {_shown(paths[0], folder)}" for kind, paths in left_out.items()
    ]
    advice = [_ADVICE[kind] for kind in left_out if kind in _ADVICE]
    total = sum(map(len, left_out.values()))
    logger.warning(
        "%s: %d files or folders are left out: %s", name, total, " ".join(["; ".join(counts) + ".", *advice])
    )


def _shown(path: Path, folder: Path) -> str:
    return "".join(c if c.isprintable() else "?" for c in path.relative_to(folder).as_posix())


def parts_of_folder(folder: Path, name: str, each_link: bool = False) -> dict[str, Dataset] | None:
    """The parts of a set of pictures, by the names of its folders; None for a folder of parquet files.

    The folder is walked here: `imagefolder` merges Training/ with Testing/ and drops the label of a single class.

    Returns:
        Part -> rows with the columns image, class_name (the folder's), source and those of `metadata.csv`.

    Raises:
        DatasetError: there are no pictures, or some that are in no class folder.
    """
    found = contents_of(folder, METADATA, each_link)
    files: dict[str, list[Path]] = {}
    for place in found.folders:
        if place != folder and place.name.lower() in SPLIT_SPELLINGS:
            files.setdefault(SPLIT_SPELLINGS[place.name.lower()], [])
    known: dict[str, dict[str, str]] = {}
    for table in found.metadata:
        known |= read_metadata(table, folder)
    for picture in found.pictures:
        here = picture.parent.relative_to(folder).parts
        if not here or here[-1].lower() in SPLIT_SPELLINGS:
            raise DatasetError(
                f"{name} holds pictures that are in no class folder, for example {_shown(picture, folder)}. "
                f"Put each into a folder named for its class: {', '.join(LABELS)}."
            )
        split = next((SPLIT_SPELLINGS[p.lower()] for p in reversed(here) if p.lower() in SPLIT_SPELLINGS), "train")
        files.setdefault(split, []).append(picture)
    if not found.pictures and PARQUET in found.left_out:
        return None
    tell_what_is_left_out(found.left_out, folder, name)
    if not found.pictures:
        raise DatasetError(
            f"{name} holds no pictures ({', '.join(PICTURE_SUFFIXES)}) in any of its folders. "
            f"Expected one folder of pictures per class: {', '.join(LABELS)}."
        )
    parts = {split: _dataset_of_files(paths, folder, known) for split, paths in files.items()}
    _tell_of_unmatched(parts, known, name)
    return parts


def _dataset_of_files(paths: list[Path], folder: Path, known: dict[str, dict[str, str]]) -> Dataset:
    columns = {
        "class_name": [path.parent.name for path in paths],
        "source": [path.relative_to(folder).as_posix() for path in paths],
    }
    for column in dict.fromkeys(column for row in known.values() for column in row):
        columns[column] = [known.get(source, {}).get(column, "") for source in columns["source"]]
    features = Features({"image": Image(decode=False), **{column: Value("string") for column in columns}})
    return Dataset.from_dict({"image": [{"bytes": None, "path": str(path)} for path in paths], **columns}, features)


def _tell_of_unmatched(parts: dict[str, Dataset], known: dict[str, dict[str, str]], name: str) -> None:
    if not known:
        return
    sources = {source for part in parts.values() for source in part["source"]}
    if lacking := sorted(known.keys() - sources):
        logger.warning("%s: %d files of metadata.csv are not there, such as %s.", name, len(lacking), lacking[0])
    if unnamed := sorted(sources - known.keys()):
        logger.warning("%s: metadata.csv does not name %d pictures, such as %s.", name, len(unnamed), unnamed[0])
