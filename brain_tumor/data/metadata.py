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
)


def read_metadata(path: Path, root: Path) -> dict[str, dict[str, str]]:
    """What a `metadata.csv` says of each picture.

    Args:
        path: of the file. Its first line names the columns; one is `file_name`, relative to the file's folder.
        root: folder of the set.

    Returns:
        The picture's name relative to `root`, with slashes -> column -> text. Columns whose names mean something else
        here, such as label, are left out.

    Raises:
        DatasetError: it is no text in UTF-8, or has no column file_name.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as a table ({error}). Save it as CSV in UTF-8.") from error
    if rows and "file_name" not in rows[0]:
        found = ", ".join(str(column) for column in rows[0])
        raise DatasetError(
            f"{path} has no column file_name, which says which picture each line is about; it has {found}. "
            "Name the column with the pictures' paths so."
        )
    place = path.parent.relative_to(root)
    return {
        (place / (row.pop("file_name") or "")).as_posix(): {
            column: (text or "").strip() for column, text in row.items() if column and column not in _RESERVED
        }
        for row in rows
    }
