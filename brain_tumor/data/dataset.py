"""Hub ids and folders -> train / validation / test with canonical labels.

Pictures stay encoded: a row holds a path or the bytes of a file, and whatever is computed from the pixels goes to
memory-mapped files in the cache of `datasets`.
"""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import datasets
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value, concatenate_datasets
from huggingface_hub import HfApi, snapshot_download
from PIL import Image as PillowImage

from brain_tumor.data.errors import DatasetError
from brain_tumor.data.metadata import KNOWN_COLUMNS, METADATA, read_metadata
from brain_tumor.data.patients import with_patients
from brain_tumor.data.pixels import digest, file_states, map_cached
from brain_tumor.labels import LABELS, TUMOR, canonical_label, is_other_lesion, is_tumor_of_unknown_type, sequence_in
from brain_tumor.provenance import public_name
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


def load_scans(names: str | Path | Sequence[str | Path], root: str | Path | None = None) -> DatasetDict:
    """Load labeled sets of slices from folders or from the Hugging Face Hub, as one.

    A folder holds one folder of pictures per class, with or without folders per split above them, at any depth
    (`train/glioma/*.jpg`, `Training/2-glioma/*.jpg`, `glioma/*.png`), or parquet files. A Hub dataset holds
    the same, or splits with one image column and one column of classes, which are found by their feature types.
    A `metadata.csv` (`metadata.read_metadata`) adds columns; labels come from the folders also where there is one.

    Args:
        names: folders or ids of datasets. The first is the main set, the one that published figures are of.
        root: folder that holds sets under their names, of a Hub id the whole or the last part; what is not there is
            looked for as if there were no root.

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
        DatasetError: no such folder or dataset, no pictures, an unknown class, an empty split, a `metadata.csv` that
            cannot be read, more than 1 % of pictures that cannot be opened. Up to that share they are logged and
            skipped.
    """
    names = [names] if isinstance(names, str | Path) else list(names)
    places = [_place_of(str(name), root) for name in names]
    known_as = [public_name(str(name)) for name in names]
    for name in known_as:
        if known_as.count(name) > 1:
            raise DatasetError(f"Two of the sets are called {name}. Name each once, or rename one of the folders.")
    sets = [_load_set(place, name) for place, name in zip(places, known_as, strict=True)]
    columns = list(dict.fromkeys(column for parts in sets for part in parts.values() for column in part.column_names))
    feature = ClassLabel(names=known_as)
    pooled = {}
    for split in SPLITS:
        found = [(number, parts[split]) for number, parts in enumerate(sets) if split in parts]
        rows = [
            _with_columns(part, columns).add_column("set", [number] * part.num_rows, feature=feature)
            for number, part in found
        ]
        if rows:
            pooled[split] = concatenate_datasets(rows)
    return DatasetDict(pooled)


def _place_of(name: str, root: str | Path | None) -> str:
    """Where a set is: in `root` under its name or the last part of it, else where its name says."""
    if root is not None:
        if not Path(root).is_dir():
            raise DatasetError(f"--data_root {root} is no folder. Give the one that holds the sets.")
        for place in (Path(root, name), Path(root, name.rstrip("/").rpartition("/")[2])):
            if name and place.is_dir():
                return str(place)
    return name


def _load_set(name: str, known_as: str) -> DatasetDict:
    folder = Path(name)
    if not name:
        raise DatasetError("The dataset has no name. Give a folder or the id of a dataset on the Hugging Face Hub.")
    if folder.is_dir():
        parts = _parts_of_folder(folder, name)
    elif folder.exists():
        raise DatasetError(f"{name} is a file. Give the folder that holds one folder of pictures per class.")
    else:
        parts = _parts_of_hub(name)
    _check_classes(parts, name)
    parts = {split: _with_columns(part, KNOWN_COLUMNS) for split, part in parts.items()}
    return with_patients(_measure(parts, known_as), known_as)


def _with_columns(part: Dataset, columns: Sequence[str]) -> Dataset:
    """A part with all of some columns; those that it lacks are "" in every row."""
    for column in columns:
        if column not in part.column_names:
            part = part.add_column(column, [""] * part.num_rows, feature=Value("string"))
    return part


def counts_by_class(part: Dataset) -> dict[str, int]:
    """Label -> number of slices; "tumor" only where there are any."""
    counts = Counter(part["label"])
    named = {label: counts.get(index, 0) for index, label in enumerate(LABELS)}
    return named | ({"tumor": counts[TUMOR]} if counts.get(TUMOR) else {})


def _parts_of_folder(folder: Path, name: str) -> dict[str, Dataset]:
    """Walk a folder ourselves: `imagefolder` merges Training/ with Testing/ and drops the label of a single class."""
    files: dict[str, list[tuple[str, str]]] = {}
    known: dict[str, dict[str, str]] = {}
    for parent, children, names in os.walk(folder, followlinks=True):
        children[:] = sorted(child for child in children if not child.startswith("."))
        here = Path(parent).relative_to(folder).parts
        if here and here[-1].lower() in _SPLIT_SPELLINGS:
            files.setdefault(_SPLIT_SPELLINGS[here[-1].lower()], [])
        if METADATA in names:
            known |= read_metadata(Path(parent, METADATA), folder)
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
    parts = {split: _dataset_of_files(rows, folder, known) for split, rows in files.items()}
    _tell_of_unmatched(parts, known, name)
    return parts


def _dataset_of_files(rows: list[tuple[str, str]], folder: Path, known: dict[str, dict[str, str]]) -> Dataset:
    columns = {
        "class_name": [class_name for class_name, _ in rows],
        "source": [Path(path).relative_to(folder).as_posix() for _, path in rows],
    }
    for column in dict.fromkeys(column for row in known.values() for column in row):
        columns[column] = [known.get(source, {}).get(column, "") for source in columns["source"]]
    features = Features({"image": Image(decode=False), **{column: Value("string") for column in columns}})
    return Dataset.from_dict({"image": [{"bytes": None, "path": path} for _, path in rows], **columns}, features)


def _tell_of_unmatched(parts: dict[str, Dataset], known: dict[str, dict[str, str]], name: str) -> None:
    if not known:
        return
    sources = {source for part in parts.values() for source in part["source"]}
    if lacking := sorted(known.keys() - sources):
        logger.warning("%s: %d files of metadata.csv are not there, such as %s.", name, len(lacking), lacking[0])
    if unnamed := sorted(sources - known.keys()):
        logger.warning("%s: metadata.csv does not name %d pictures, such as %s.", name, len(unnamed), unnamed[0])


def _parts_of_hub(name: str) -> dict[str, Dataset]:
    try:
        listing = HfApi().list_repo_files(name, repo_type="dataset")
        pictures = [file for file in listing if file.lower().endswith(PICTURE_SUFFIXES) and "/" in file]
        if pictures:
            wanted = [f"*{suffix}" for suffix in sorted({Path(file).suffix for file in pictures})]
            folder = snapshot_download(name, repo_type="dataset", allow_patterns=[*wanted, f"*{METADATA}"])
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
    unknown = sorted(name for name in found if _label_of(name) is None and not is_other_lesion(name))
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


def _label_of(class_name: str) -> int | None:
    """The number of a class in `load_scans`'s labels; None where no label fits."""
    label = canonical_label(class_name)
    return LABELS.index(label) if label else TUMOR if is_tumor_of_unknown_type(class_name) else None


def _measure(parts: dict[str, Dataset], name: str) -> DatasetDict:
    """Open every picture once: what cannot be opened is dropped, the rest gets its hash and its thumbnail."""
    measured, failures, total = {}, [], 0
    for split in sorted(parts, key=SPLITS.index):
        part = parts[split]
        total += part.num_rows
        texts = [column for column in part.column_names if column != "image"]
        files = file_states(part) or [part._fingerprint]  # parquet has a fingerprint that lasts, a list of files not
        key = digest("measure-2", split, *files, *texts, *(repr(list(part[column])) for column in texts))
        part = map_cached(part, _thumbnail, key, f"Opening pictures ({split})")
        errors, classes = part["error"], part["class_name"]
        failures += [f"{source}: {error}" for source, error in zip(part["source"], errors, strict=True) if error]
        labels = {class_name: _label_of(class_name) for class_name in set(classes)}
        kept = [i for i, error in enumerate(errors) if not error and labels[classes[i]] is not None]
        part = part.select(kept)
        classes = part["class_name"]
        sequences = [own or sequence_in(c) for own, c in zip(part["sequence"], classes, strict=True)]
        part = part.remove_columns(["error", "class_name", "sequence"])
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
