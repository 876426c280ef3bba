"""Whose slice it is: from `metadata.csv`, or from a table of public sets that come without one.

`figshare_patients.csv` says of two sets, `Simezu/brain-tumour-MRI-scan` of the Hub (7,023 slices of M. Nickparvar) and
the 2,443 slices that were made of it, which of their slices are of Jun Cheng's set (figshare 1512427, CC BY 4.0), and
which patient and diagnosis that set gives them. Columns: file (base name), picture (`picture_key`), patient, label.
"""

import csv
import functools
import hashlib
import logging
import re
from pathlib import Path, PurePosixPath

from datasets import Dataset, DatasetDict, Value

logger = logging.getLogger(__name__)

TABLE = Path(__file__).with_name("figshare_patients.csv")

FIGSHARE = "figshare"

_EXAMINATION = re.compile(r"^(MR\d+)[A-Z]$")


def with_patients(parts: DatasetDict, name: str) -> DatasetDict:
    """The parts of a set with the column patient in place of patient_id.

    Numbers are unique within a set, so the set's name stands before them. Those that differ in a last letter alone
    (MR024780B, MR024780E) are examinations of one person. Where the set itself names no patients, slices are looked up
    in the table, by base name, then by picture; those whose label contradicts the source of the slice are left out.

    Args:
        parts: with the columns source, label, patient_id and thumbnail.
        name: of the set.
    """
    own = any(any(part["patient_id"]) for part in parts.values())
    keyed = {split: _own(part, name.split("/")[-1]) if own else _looked_up(part, name) for split, part in parts.items()}
    slices = sum(part.num_rows for part in keyed.values())
    named = sum(sum(map(bool, part["patient"])) for part in keyed.values())
    if named:
        patients = len({patient for part in keyed.values() for patient in part["patient"] if patient})
        logger.info("%s: the patient is known for %d of %d slices, %d patients.", name, named, slices, patients)
    else:
        logger.info("%s: no patients are known; its slices are kept together by copies alone.", name)
    return DatasetDict(keyed)


def picture_key(thumbnail: bytes) -> str:
    """A hash of what is in a picture, whatever the file around it: of its (32, 32) uint8 thumbnail."""
    return hashlib.sha256(thumbnail).hexdigest()[:16]


def person(patient_id: str) -> str:
    """A patient's number without the letter of the examination.

    >>> [person(number) for number in ("MR024780B", "MR024780E", "102985", "p02")]
    ['MR024780', 'MR024780', '102985', 'p02']
    """
    found = _EXAMINATION.match(patient_id)
    return found.group(1) if found else patient_id


def _own(part: Dataset, name: str) -> Dataset:
    patients = [f"{name}:{person(number)}" if number else "" for number in part["patient_id"]]
    return part.remove_columns("patient_id").add_column("patient", patients, feature=Value("string"))


def _looked_up(part: Dataset, name: str) -> Dataset:
    by_file, by_picture = _table()
    found = [
        by_file.get(PurePosixPath(source).name) or by_picture.get(picture_key(thumbnail))
        for source, thumbnail in zip(part["source"], part["thumbnail"], strict=True)
    ]
    names = part.features["label"].names
    called = [names[label] for label in part["label"]]
    wrong = [i for i, row in enumerate(found) if row and called[i] not in (row["label"], "tumor")]
    if wrong:
        sources = part["source"]
        logger.warning(
            "%s: left out because the source of the slice gives another diagnosis: %s.",
            name, ", ".join(f"{sources[i]} ({found[i]['label']})" for i in wrong),
        )  # fmt: skip
    kept = [i for i in range(len(found)) if i not in set(wrong)]
    patients = [f"{FIGSHARE}:{person(found[i]['patient'])}" if found[i] else "" for i in kept]
    # Cheng's slices are all T1 with contrast.
    sequences = [
        own or ("T1C+" if found[i] else "") for i, own in zip(kept, part.select(kept)["sequence"], strict=True)
    ]
    part = part.select(kept).remove_columns(["patient_id", "sequence"])
    part = part.add_column("patient", patients, feature=Value("string"))
    return part.add_column("sequence", sequences, feature=Value("string"))


@functools.cache
def _table() -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["file"]: row for row in rows}, {row["picture"]: row for row in rows}
