"""`metadata.csv` beside pictures, in the form that Hugging Face's imagefolder reads."""

import csv
from pathlib import Path

from brain_tumor.data.errors import DatasetError

METADATA = "metadata.csv"

KNOWN_COLUMNS = ("patient_id", "sequence", "plane", "stripped", "diagnosis")
"""Columns that something is made of here: whose slice it is, T1 / T1C+ / T2 / FLAIR, axial / coronal / sagittal,
whether the skull is removed (yes / no), and what a reader should know. Others are kept as they are."""

_RESERVED = (
    "image",
    "label",
    "source",
    "set",
    "patient",
    "part",
    "group",
    "class_name",
    "sha256",
    "thumbnail",
    "error",
    "whose",
    "several",
    "copy_in_train",
    "pixels",
)


def read_metadata(path: Path, root: Path) -> dict[str, dict[str, str]]:
    """What a `metadata.csv` says of each picture.

    Args:
        path: of the file. Its first line names the columns; one is `file_name`, relative to the file's folder, with
            slashes or backslashes.
        root: folder of the set.

    Returns:
        The picture's name relative to `root`, with slashes -> column -> text. Columns whose names mean something else
        here, such as label, are left out.

    Raises:
        DatasetError: it is no text in UTF-8, has no column file_name or two columns of one name, or says two things of
            one picture.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            reader.fieldnames = columns = [column.strip() for column in reader.fieldnames or ()]
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as a table ({error}). Save it as CSV in UTF-8.") from error
    if rows and "file_name" not in columns:
        parted = " Part the columns by commas." if ";" in "".join(columns) else ""
        raise DatasetError(
            f"{path} has no column file_name, which says which picture each line is about; it has "
            f"{', '.join(columns)}. Name the column with the pictures' paths so.{parted}"
        )
    if twice := [column for column in dict.fromkeys(columns) if column and columns.count(column) > 1]:
        raise DatasetError(f"{path} has two columns {twice[0]}. Keep one of them.")
    place, found = path.parent.relative_to(root), {}
    for row in rows:
        file_name = (row.pop("file_name") or "").strip().replace("\\", "/")
        if not file_name:
            continue
        name = (place / file_name).as_posix()
        said = {
            column: " ".join((text or "").split()) for column, text in row.items() if column and column not in _RESERVED
        }
        if found.setdefault(name, said) != said:
            raise DatasetError(f"{path} says two things of {name}. Keep one of its lines.")
    return found
