"""Sets of slices -> train / validation / test with canonical labels.

Pictures stay encoded: a row holds a path or the bytes of a file, and whatever is computed from the pixels goes to
memory-mapped files in the cache of `datasets`.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from datasets import ClassLabel, Dataset, DatasetDict, Value, concatenate_datasets
from PIL import Image as PillowImage

from brain_tumor.data.dicom import open_slice, patient_of
from brain_tumor.data.errors import DatasetError
from brain_tumor.data.patients import with_patients
from brain_tumor.data.pixels import digest, file_states, map_cached
from brain_tumor.data.sets import FoundSets, find_scans, label_of, with_columns
from brain_tumor.labels import LABELS, TUMOR, canonical_sequence, sequence_in
from brain_tumor.reading.dicom.parsing import is_dicom
from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.pictures import has_more_pages, open_scan

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
MAX_UNREADABLE_SHARE = 0.01
THUMBNAIL_SIDE = 32


def load_scans(names: FoundSets | str | Path | Sequence[str | Path], root: str | Path | None = None) -> DatasetDict:
    """Load labeled sets of slices as one.

    Args:
        names: what `find_scans` found, or what it takes.
        root: as `find_scans` takes it.

    Returns:
        The parts that exist, among train, validation and test (all in "train" if there are none). Columns:
        image: the encoded picture, {"bytes", "path"}; `pixels.open_picture` opens it.
        label: `ClassLabel` with the names of `labels.LABELS`, and "tumor" (`labels.TUMOR`).
        set: `ClassLabel` with the sets' names (`provenance.public_name`) in the order of `names`.
        source: the picture's name in its set.
        patient: whose slice it is, unique over all sets; "" where that is not known (`patients.with_patients`).
        sequence, plane, stripped, diagnosis and whatever else `metadata.csv` has: strings, "" where not known.
        sha256: of the file's bytes, hexadecimal.
        thumbnail: (32, 32) uint8 as 1,024 bytes, what `copies` compares.

    Raises:
        DatasetError: as `find_scans`, no slice of a class that is known, or more than 1 % of pictures that cannot be
            opened. Up to that share they are logged and skipped.
    """
    found = names if isinstance(names, FoundSets) else find_scans(names, root)
    known_as = found.names
    sets = [with_patients(_measure(parts, name), name) for name, parts in zip(known_as, found.sets, strict=True)]
    columns = list(dict.fromkeys(column for parts in sets for part in parts.values() for column in part.column_names))
    feature = ClassLabel(names=known_as)
    pooled = {}
    for split in SPLITS:
        rows = [
            with_columns(parts[split], columns).add_column("set", [number] * parts[split].num_rows, feature=feature)
            for number, parts in enumerate(sets)
            if split in parts
        ]
        if rows:
            pooled[split] = concatenate_datasets(rows)
    if not any(part.num_rows for part in pooled.values()):
        raise DatasetError(
            f"{', '.join(known_as)}: no slice is left. Give sets with slices of {', '.join(LABELS)} or tumor."
        )
    return DatasetDict(pooled)


def counts_by_class(part: Dataset) -> dict[str, int]:
    """Label -> number of slices; "tumor" only where there are any."""
    counts = Counter(part["label"])
    named = {label: counts.get(index, 0) for index, label in enumerate(LABELS)}
    return named | ({"tumor": counts[TUMOR]} if counts.get(TUMOR) else {})


def _measure(parts: dict[str, Dataset], name: str) -> DatasetDict:
    """Open every picture once: what cannot be opened is dropped, the rest gets its hash and its thumbnail."""
    measured, failures, several, total = {}, [], [], 0
    for split in sorted(parts, key=SPLITS.index):
        part = parts[split]
        total += part.num_rows
        texts = [column for column in part.column_names if column != "image"]
        files = file_states(part) or [part._fingerprint]  # parquet has a fingerprint that lasts, a list of files not
        key = digest("measure-3", split, *files, *texts, *(repr(list(part[column])) for column in texts))
        part = map_cached(part, _thumbnail, key, f"Opening pictures ({split})")
        errors, classes = part["error"], part["class_name"]
        failures += [f"{source}: {error}" for source, error in zip(part["source"], errors, strict=True) if error]
        labels = {class_name: label_of(class_name) for class_name in set(classes)}
        kept = [i for i, error in enumerate(errors) if not error and labels[classes[i]] is not None]
        part = part.select(kept)
        classes = part["class_name"]
        sequences = [
            canonical_sequence(own) or sequence_in(c) for own, c in zip(part["sequence"], classes, strict=True)
        ]
        patients = [given or told for given, told in zip(part["patient_id"], part["whose"], strict=True)]
        several += [source for source, more in zip(part["source"], part["several"], strict=True) if more]
        part = part.remove_columns(["error", "class_name", "sequence", "patient_id", "whose", "several"])
        part = part.add_column("patient_id", patients, feature=Value("string"))
        part = part.add_column("label", [labels[c] for c in classes], feature=ClassLabel(names=[*LABELS, "tumor"]))
        measured[split] = part.add_column("sequence", sequences, feature=Value("string"))
    if failures:
        sample = "\n  ".join(failures[:20]) + (f"\n  ... and {len(failures) - 20} more" if len(failures) > 20 else "")
        if len(failures) > MAX_UNREADABLE_SHARE * total:
            raise DatasetError(
                f"{name}: {len(failures)} of {total} pictures cannot be opened, more than "
                f"{MAX_UNREADABLE_SHARE:.0%}. Repair or remove them:\n  {sample}"
            )
        logger.warning(
            "%s: %d of %d pictures cannot be opened and are skipped:\n  %s", name, len(failures), total, sample
        )
    if several:
        logger.warning(
            "%s: %d files hold several pages or frames, such as %s. The first of each is read, the others are left "
            "out: save each slice as a file of its own.",
            name, len(several), several[0],
        )  # fmt: skip
    return DatasetDict(measured)


def _thumbnail(rows: dict) -> dict:
    result = {"sha256": [], "thumbnail": [], "whose": [], "several": [], "error": []}
    for image in rows["image"]:
        digest, thumbnail, whose, several, message = "", b"", "", False, ""
        try:
            if image is None:
                raise ScanError("There is no picture in this row.")
            data = image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            if image["bytes"] is None and is_dicom(data):
                picture, whose = open_slice(image["path"]), patient_of(image["path"])
            else:
                picture, several = open_scan(data), has_more_pages(data)
            gray = picture.convert("L")
            # Bilinear with Pillow's antialiasing: every pixel of the slice counts.
            thumbnail = gray.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), PillowImage.Resampling.BILINEAR).tobytes()
        except ScanError as error:
            message = str(error)
        except OSError as error:
            message = f"This file cannot be read ({error.strerror})."
        result["sha256"].append(digest)
        result["thumbnail"].append(thumbnail)
        result["whose"].append(whose)
        result["several"].append(several)
        result["error"].append(message)
    return result
