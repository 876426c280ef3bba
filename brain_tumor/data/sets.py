"""Hub ids and folders -> the parts of sets, with the classes' own names; no picture is opened yet."""

import glob
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import datasets
from datasets import ClassLabel, Dataset, Image, Value
from huggingface_hub import HfApi, snapshot_download

from brain_tumor.data.errors import DatasetError
from brain_tumor.data.folders import PICTURE_SUFFIXES, SPLIT_SPELLINGS, parts_of_folder
from brain_tumor.data.metadata import KNOWN_COLUMNS
from brain_tumor.labels import LABELS, TUMOR, canonical_label, is_other_lesion, is_tumor_of_unknown_type
from brain_tumor.provenance import public_name

logger = logging.getLogger(__name__)


class FoundSets(NamedTuple):
    """What `find_scans` found: the names of sets, and the parts of each, whose pictures nobody has opened yet."""

    names: list[str]
    sets: list[dict[str, Dataset]]


def find_scans(names: str | Path | Sequence[str | Path], root: str | Path | None = None) -> FoundSets:
    """Find labeled sets of slices in folders or on the Hugging Face Hub, and open none of them yet.

    A folder holds one folder of pictures per class, with or without folders per split above them, at any depth
    (`train/glioma/*.jpg`, `Training/2-glioma/*.jpg`, `glioma/*.png`), or parquet files. Pictures, and DICOM files of
    one slice, are known by their content; what is left out is logged (`data.folders`). A Hub dataset holds the same, or
    splits with one image column and one column of classes, which are found by their feature types. A `metadata.csv`
    (`metadata.read_metadata`) adds columns; labels come from the folders also where there is one.

    Args:
        names: folders or ids of datasets. The first is the main set, the one that published figures are of.
        root: folder that holds sets under their names, of a Hub id the whole or the last part; what is not there is
            looked for as if there were no root.

    Raises:
        DatasetError: no such folder or dataset, no pictures, an unknown class, an empty split, a `metadata.csv` that
            cannot be read.
    """
    names = [names] if isinstance(names, str | Path) else list(names)
    places = [_place_of(str(name), root) for name in names]
    known_as = [public_name(str(name)) for name in names]
    for name in known_as:
        if known_as.count(name) > 1:
            raise DatasetError(f"Two of the sets are called {name}. Name each once, or rename one of the folders.")
    return FoundSets(known_as, [_find_set(place) for place in places])


def _place_of(name: str, root: str | Path | None) -> str:
    """Where a set is: in `root` under its name or the last part of it, else where its name says."""
    if root is not None:
        if not Path(root).is_dir():
            raise DatasetError(f"--data_root {root} is no folder. Give the one that holds the sets.")
        for place in (Path(root, name), Path(root, name.rstrip("/").rpartition("/")[2])):
            if name and place.is_dir():
                return str(place)
    return name


def _find_set(name: str) -> dict[str, Dataset]:
    folder = Path(name)
    if not name:
        raise DatasetError("The dataset has no name. Give a folder or the id of a dataset on the Hugging Face Hub.")
    if folder.is_dir():
        parts = parts_of_folder(folder, name) or _parts_of_library(name)
    elif folder.exists():
        raise DatasetError(f"{name} is a file. Give the folder that holds one folder of pictures per class.")
    else:
        parts = _parts_of_hub(name)
    _check_classes(parts, name)
    return {split: with_columns(part, KNOWN_COLUMNS) for split, part in parts.items()}


def with_columns(part: Dataset, columns: Sequence[str]) -> Dataset:
    """A part with all of some columns; those that it lacks are "" in every row."""
    for column in columns:
        if column not in part.column_names:
            part = part.add_column(column, [""] * part.num_rows, feature=Value("string"))
    return part


def _parts_of_hub(name: str) -> dict[str, Dataset]:
    try:
        listing = HfApi().list_repo_files(name, repo_type="dataset")
        if any(file.lower().endswith(PICTURE_SUFFIXES) and "/" in file for file in listing):
            unwanted = _unwanted(listing, name)
            folder = snapshot_download(name, repo_type="dataset", ignore_patterns=unwanted or None)
            # The cache of the Hub keeps files of the same content once, and links to them.
            if parts := parts_of_folder(Path(folder), name, each_link=True):
                return parts
    except DatasetError:
        raise
    except Exception as error:
        raise DatasetError(
            f"{name!r} is neither a folder here nor a dataset that could be fetched from the Hugging Face Hub "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}). "
            "Check the spelling and the network, or give the folder that holds one folder of pictures per class."
        ) from error
    return _parts_of_library(name)


def _unwanted(listing: list[str], name: str) -> list[str]:
    """Patterns of a repository's files that are not fetched, by the only thing known of them: how their names end."""
    ending = {file: PurePosixPath(file).suffix for file in listing}
    left_out = [
        file for file, suffix in ending.items() if suffix.lower() not in (*PICTURE_SUFFIXES, ".csv", ".md", ".txt", "")
    ]
    if left_out:
        logger.warning(
            "%s: %d files are left out, and not fetched, since their names are not those of pictures, such as %s. "
            "To have them read, fetch the set and give its folder.",
            name, len(left_out), left_out[0],
        )  # fmt: skip
    return sorted({f"*{glob.escape(ending[file])}" for file in left_out})


def _parts_of_library(name: str) -> dict[str, Dataset]:
    """Parquet and the like, read by `datasets`."""
    try:
        loaded = datasets.load_dataset(name)
    except Exception as error:
        raise DatasetError(f"{name!r} cannot be read by the datasets library: {error}") from error
    parts = {}
    for split, part in loaded.items():
        canonical = SPLIT_SPELLINGS.get(split.lower())
        if canonical is None:
            raise DatasetError(
                f"{name} has a split named {split!r}; expected names like train, validation and test "
                f"(accepted: {', '.join(SPLIT_SPELLINGS)})."
            )
        parts[canonical] = _columns_by_type(part, split, name)
    return parts


def _columns_by_type(part: Dataset, split: str, name: str) -> Dataset:
    images = [column for column, feature in part.features.items() if isinstance(feature, Image)]
    classes = [column for column, feature in part.features.items() if isinstance(feature, ClassLabel)]
    if not classes:  # class names as plain text
        texts = [c for c, f in part.features.items() if isinstance(f, Value) and f.dtype in ("string", "large_string")]
        classes = [c for c in texts if part.num_rows and all(canonical_label(v or "") for v in part.unique(c))]
    if len(images) != 1 or len(classes) != 1:
        found = ", ".join(f"{column} ({type(feature).__name__})" for column, feature in part.features.items())
        raise DatasetError(
            f"{name}, split {split!r}: expected one column of pictures and one of class labels; found {found}."
        )
    feature = part.features[classes[0]]
    described = [column for column in part.column_names if column in KNOWN_COLUMNS and column != classes[0]]
    texts = {column: ["" if value is None else str(value) for value in part[column]] for column in described}
    part = part.select_columns([images[0], classes[0]]).cast_column(images[0], Image(decode=False))
    values = part[classes[0]]
    if isinstance(feature, ClassLabel):
        values = [feature.int2str(v) if v is not None and v >= 0 else "(no label)" for v in values]
    names = (os.path.basename((image or {}).get("path") or "") for image in part[images[0]])
    sources = [f"{split}/{i:06d}/{picture}".rstrip("/") for i, picture in enumerate(names)]
    part = part.remove_columns(classes[0])
    if images[0] != "image":
        part = part.rename_column(images[0], "image")
    for column, values_of in {"class_name": values, "source": sources, **texts}.items():
        part = part.add_column(column, values_of, feature=Value("string"))
    return part


def _check_classes(parts: dict[str, Dataset], name: str) -> None:
    empty = [split for split, part in parts.items() if part.num_rows == 0]
    if empty:
        sizes = ", ".join(f"{split}: {part.num_rows}" for split, part in parts.items())
        raise DatasetError(
            f"{name}: no pictures in the split {' and '.join(empty)} (found {sizes}). Fill it or remove its folder."
        )
    found = Counter(class_name for part in parts.values() for class_name in part["class_name"])
    listing = ", ".join(f"{class_name} ({count})" for class_name, count in sorted(found.items()))
    unknown = sorted(name for name in found if label_of(name) is None and not is_other_lesion(name))
    if unknown:
        raise DatasetError(
            f"{name}: unknown class {', '.join(map(repr, unknown))}. Found {listing}; expected {', '.join(LABELS)} or "
            "tumor (spellings such as '2-glioma', 'no-tumor', 'Normal' or 'Astrocytoma T2' are accepted)."
        )
    if others := {class_name: count for class_name, count in sorted(found.items()) if is_other_lesion(class_name)}:
        logger.warning(
            "%s: %d slices of %s are left out: they show neither a tumor nor the absence of one.",
            name, sum(others.values()), ", ".join(others),
        )  # fmt: skip


def label_of(class_name: str) -> int | None:
    """The number of a class in `load_scans`'s labels; None where no label fits."""
    label = canonical_label(class_name)
    return LABELS.index(label) if label else TUMOR if is_tumor_of_unknown_type(class_name) else None
