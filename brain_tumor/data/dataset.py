"""A Hub id or a folder -> train / validation / test with canonical labels.

Pictures stay encoded: a row holds a path or the bytes of a file, and whatever is computed from the pixels goes to
memory-mapped files in the cache of `datasets`.
"""

import hashlib
import logging
import os
from collections import Counter
from pathlib import Path

import datasets
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from huggingface_hub import HfApi, snapshot_download
from PIL import Image as PillowImage

from brain_tumor.data.pixels import digest, file_states, map_cached
from brain_tumor.labels import LABELS, TUMOR, canonical_label, is_tumor_of_unknown_type
from brain_tumor.reading.pictures import ScanError, open_scan

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
MAX_UNREADABLE_SHARE = 0.01
THUMBNAIL_SIDE = 32
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif")

_SPLIT_SPELLINGS = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


class DatasetError(ValueError):
    """A dataset that cannot be used. The message says what was found, what was expected, and what to do."""


def load_scans(name_or_dir: str | Path, weak: bool = False) -> DatasetDict:
    """Load a labeled set of slices from a folder or from the Hugging Face Hub.

    A folder holds one folder of pictures per class, with or without folders per split above them, at any depth
    (`train/glioma/*.jpg`, `Training/2-glioma/*.jpg`, `glioma/*.png`), or parquet files. A Hub dataset holds
    the same, or splits with one image column and one column of classes, which are found by their feature types.

    Args:
        name_or_dir: the folder or the dataset's id.
        weak: the set shows tumors whose type is not known: its one class is called "tumor" (or "yes", "positive").

    Returns:
        The parts that exist, among train, validation and test (all in "train" if there are none). Columns:
        image: the encoded picture, {"bytes", "path"}; `pixels.open_picture` opens it.
        label: `ClassLabel` with the names of `labels.LABELS`; `labels.TUMOR` in every row of a weak set.
        source: the picture's name in the dataset.
        sha256: of the file's bytes, hexadecimal.
        thumbnail: (32, 32) uint8 as 1,024 bytes, what `copies` compares.

    Raises:
        DatasetError: no such folder or dataset, no pictures, a class that is missing or unknown, an empty
            split, more than 1 % of pictures that cannot be opened. Up to that share they are logged and skipped.
    """
    name = str(name_or_dir)
    folder = Path(name)
    if not name:
        raise DatasetError("The dataset has no name. Give a folder or the id of a dataset on the Hugging Face Hub.")
    if folder.is_dir():
        parts = _parts_of_folder(folder, name)
    elif folder.exists():
        raise DatasetError(f"{name} is a file. Give the folder that holds one folder of pictures per class.")
    else:
        parts = _parts_of_hub(name)
    if weak:
        _check_weak_class(parts, name)
    else:
        _check_classes(parts, name)
    return _measure(parts, name)


def counts_by_class(part: Dataset) -> dict[str, int]:
    """Label -> number of slices."""
    counts = Counter(part["label"])
    return {label: counts.get(index, 0) for index, label in enumerate(LABELS)}


def _parts_of_folder(folder: Path, name: str) -> dict[str, Dataset]:
    """Walk a folder ourselves: `imagefolder` merges Training/ with Testing/ and drops the label of a single class."""
    files: dict[str, list[tuple[str, str]]] = {}
    for parent, children, names in os.walk(folder, followlinks=True):
        children[:] = sorted(child for child in children if not child.startswith("."))
        here = Path(parent).relative_to(folder).parts
        if here and here[-1].lower() in _SPLIT_SPELLINGS:
            files.setdefault(_SPLIT_SPELLINGS[here[-1].lower()], [])
        pictures = sorted(n for n in names if n.lower().endswith(PICTURE_SUFFIXES) and not n.startswith("."))
        if not pictures:
            continue
        if not here or here[-1].lower() in _SPLIT_SPELLINGS:
            raise DatasetError(
                f"{name} holds pictures that are in no class folder, for example {'/'.join((*here, pictures[0]))}. "
                f"Put each into a folder named for its class: {', '.join(LABELS)}."
            )
        split = next((_SPLIT_SPELLINGS[p.lower()] for p in reversed(here) if p.lower() in _SPLIT_SPELLINGS), "train")
        files.setdefault(split, []).extend((here[-1], os.path.join(parent, picture)) for picture in pictures)
    if not any(files.values()):
        if any(folder.rglob("*.parquet")):
            return _parts_of_library(name)
        raise DatasetError(
            f"{name} holds no pictures ({', '.join(PICTURE_SUFFIXES)}) in any of its folders. "
            f"Expected one folder of pictures per class: {', '.join(LABELS)}."
        )
    return {split: _dataset_of_files(rows, folder) for split, rows in files.items()}


def _dataset_of_files(rows: list[tuple[str, str]], folder: Path) -> Dataset:
    return Dataset.from_dict(
        {
            "image": [{"bytes": None, "path": path} for _, path in rows],
            "class_name": [class_name for class_name, _ in rows],
            "source": [Path(path).relative_to(folder).as_posix() for _, path in rows],
        },
        features=Features({"image": Image(decode=False), "class_name": Value("string"), "source": Value("string")}),
    )


def _parts_of_hub(name: str) -> dict[str, Dataset]:
    try:
        listing = HfApi().list_repo_files(name, repo_type="dataset")
        pictures = [file for file in listing if file.lower().endswith(PICTURE_SUFFIXES) and "/" in file]
        if pictures:
            suffixes = sorted({Path(file).suffix for file in pictures})
            folder = snapshot_download(name, repo_type="dataset", allow_patterns=[f"*{s}" for s in suffixes])
            return _parts_of_folder(Path(folder), name)
    except DatasetError:
        raise
    except Exception as error:
        raise DatasetError(
            f"{name!r} is neither a folder here nor a dataset that could be fetched from the Hugging Face Hub "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}). "
            "Check the spelling and the network, or give the folder that holds one folder of pictures per class."
        ) from error
    return _parts_of_library(name)


def _parts_of_library(name: str) -> dict[str, Dataset]:
    """Parquet and the like, read by `datasets`."""
    try:
        loaded = datasets.load_dataset(name)
    except Exception as error:
        raise DatasetError(f"{name!r} cannot be read by the datasets library: {error}") from error
    parts = {}
    for split, part in loaded.items():
        canonical = _SPLIT_SPELLINGS.get(split.lower())
        if canonical is None:
            raise DatasetError(
                f"{name} has a split named {split!r}; expected names like train, validation and test "
                f"(accepted: {', '.join(_SPLIT_SPELLINGS)})."
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
    part = part.select_columns([images[0], classes[0]]).cast_column(images[0], Image(decode=False))
    values = part[classes[0]]
    if isinstance(feature, ClassLabel):
        values = [feature.int2str(v) if v is not None and v >= 0 else "(no label)" for v in values]
    names = (os.path.basename((image or {}).get("path") or "") for image in part[images[0]])
    sources = [f"{split}/{i:06d}/{picture}".rstrip("/") for i, picture in enumerate(names)]
    part = part.remove_columns(classes[0])
    if images[0] != "image":
        part = part.rename_column(images[0], "image")
    return part.add_column("class_name", values).add_column("source", sources)


def _check_classes(parts: dict[str, Dataset], name: str) -> None:
    empty = [split for split, part in parts.items() if part.num_rows == 0]
    if empty:
        sizes = ", ".join(f"{split}: {part.num_rows}" for split, part in parts.items())
        raise DatasetError(
            f"{name}: no pictures in the split {' and '.join(empty)} (found {sizes}). Fill it or remove its folder."
        )
    found = Counter(class_name for part in parts.values() for class_name in part["class_name"])
    listing = ", ".join(f"{class_name} ({count})" for class_name, count in sorted(found.items()))
    unknown = sorted(class_name for class_name in found if canonical_label(class_name) is None)
    if unknown:
        raise DatasetError(
            f"{name}: unknown class {', '.join(map(repr, unknown))}. Found {listing}; "
            f"expected {', '.join(LABELS)} (spellings such as '2-glioma', 'no-tumor' or 'Normal' are accepted)."
        )
    missing = [label for label in LABELS if label not in {canonical_label(class_name) for class_name in found}]
    if missing:
        raise DatasetError(
            f"{name}: no pictures of the class {', '.join(missing)}. Found {listing}; expected all of "
            f"{', '.join(LABELS)}."
        )


def _check_weak_class(parts: dict[str, Dataset], name: str) -> None:
    found = Counter(class_name for part in parts.values() for class_name in part["class_name"])
    others = sorted(class_name for class_name in found if not is_tumor_of_unknown_type(class_name))
    if others or not found:
        listing = ", ".join(f"{class_name} ({count})" for class_name, count in sorted(found.items())) or "no pictures"
        raise DatasetError(
            f"{name}: expected one class folder called tumor, of slices that show a tumor of unknown type; found "
            f"{listing}. A set with the four classes is the main dataset."
        )


def _measure(parts: dict[str, Dataset], name: str) -> DatasetDict:
    """Open every picture once: what cannot be opened is dropped, the rest gets its hash and its thumbnail."""
    measured, failures, total = {}, [], 0
    for split in sorted(parts, key=SPLITS.index):
        part = parts[split]
        total += part.num_rows
        files = file_states(part) or [part._fingerprint]  # parquet has a fingerprint that lasts, a list of files not
        key = digest("measure-1", split, *files, *part["class_name"], *part["source"])
        part = map_cached(part, _thumbnail, key, f"Opening pictures ({split})")
        errors = part["error"]
        failures += [f"{source}: {error}" for source, error in zip(part["source"], errors, strict=True) if error]
        if any(errors):
            part = part.select([i for i, error in enumerate(errors) if not error])
        classes = part.unique("class_name")
        label_of = {c: TUMOR if is_tumor_of_unknown_type(c) else LABELS.index(canonical_label(c)) for c in classes}
        labels = [label_of[c] for c in part["class_name"]]
        names = [*LABELS, "tumor"] if TUMOR in labels else list(LABELS)
        part = part.remove_columns(["error", "class_name"])
        measured[split] = part.add_column("label", labels, feature=ClassLabel(names=names))
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
    return DatasetDict(measured)


def _thumbnail(rows: dict) -> dict:
    result = {"sha256": [], "thumbnail": [], "error": []}
    for image in rows["image"]:
        digest, thumbnail, message = "", b"", ""
        try:
            if image is None:
                raise ScanError("There is no picture in this row.")
            data = image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            gray = open_scan(data).convert("L")
            # Bilinear with Pillow's antialiasing: every pixel of the slice counts.
            thumbnail = gray.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), PillowImage.Resampling.BILINEAR).tobytes()
        except ScanError as error:
            message = str(error)
        except OSError as error:
            message = f"This file cannot be read ({error.strerror})."
        result["sha256"].append(digest)
        result["thumbnail"].append(thumbnail)
        result["error"].append(message)
    return result
