"""What is known to fail before any slice is opened: a split, or a folder that cannot be written to."""

import contextlib
import csv
import errno
import os
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from brain_tumor.data.errors import DatasetError
from brain_tumor.data.sets import FoundSets, label_of
from brain_tumor.labels import LABELS
from brain_tumor.provenance import public_name


def check_writable(folder: str | Path, setting: str) -> None:
    """Raise DatasetError if there is no such folder and none can be made, or nothing can be written into it.

    Nothing of the attempt stays.

    Args:
        folder: where files will go.
        setting: what names the folder: a flag or an environment variable.
    """
    there = Path(folder)
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(folder)  # says so if the name is too long
        while not os.path.lexists(there) and there != there.parent:
            there = there.parent
        with tempfile.TemporaryDirectory(dir=there, prefix=".writable-"):
            pass
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):  # that is said when there is something to write
            raise DatasetError(
                f"{folder} cannot be written to ({error.strerror}). Set {setting} to another folder."
            ) from error


def check_split(found: FoundSets, how: str, hold_out: Sequence[str] = ()) -> None:
    """Raise what `split.split_scans` would raise of some sets once they are loaded, as far as it is known before.

    Raises:
        DatasetError: a class is in none of the sets, the main set lacks a part of its own that is asked for, nothing is
            held out by a name in `hold_out`.
    """
    counts = Counter(label_of(name) for parts in found.sets for part in parts.values() for name in part["class_name"])
    check_classes({label: counts[number] for number, label in enumerate([*LABELS, "tumor"])}, found.names)
    if how == "published":
        check_published(found.sets[0])
    for what in hold_out:
        read_hold_out(what, found.names)


def check_classes(counts: Mapping[str, int], names: Sequence[str]) -> None:
    """Raise DatasetError if one of the four classes has no pictures in all sets together."""
    if missing := [label for label in LABELS if not counts[label]]:
        found = ", ".join(f"{label} ({count})" for label, count in counts.items() if count)
        raise DatasetError(
            f"{', '.join(names)}: no pictures of the class {', '.join(missing)}. Found {found}; expected all of "
            f"{', '.join(LABELS)}, in one set or in several together."
        )


def check_published(parts: Collection[str]) -> None:
    """Raise DatasetError if the parts of the main set's own cannot be used as they are."""
    for needed in ("train", "test"):
        if needed not in parts:
            raise DatasetError(f"The main set has no {needed} part of its own. Use --split patients.")


def read_hold_out(what: str, names: Sequence[str]) -> set[str] | None:
    """The slices, as SET/SOURCE, that a file for `split.split_scans` holds out; None if `what` is a set's name or path.

    Raises:
        DatasetError: it is neither, or the file names no slice of these sets.
    """
    if public_name(what) in names and not Path(what).is_file():
        return None
    wanted = set()
    try:
        if Path(what).is_file():
            with open(what, encoding="utf-8-sig", newline="") as file:
                rows = csv.DictReader(file)
                wanted = {f"{row.get('set')}/{row.get('source')}" for row in rows if row.get("set") in names}
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"--hold_out {what} cannot be read ({error}). Save it as CSV in UTF-8.") from error
    if not wanted:
        raise DatasetError(
            f"--hold_out {what} is neither one of the sets ({', '.join(names)}) nor a CSV file with the columns set "
            "and source that names slices of them."
        )
    return wanted
