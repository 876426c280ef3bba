"""Train, validation and test parts such that no copy of a slice is in two of them."""

import numpy as np
from datasets import Dataset, DatasetDict, Value, concatenate_datasets
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from brain_tumor.data.copies import find_copies, group_copies, thumbnails_of
from brain_tumor.data.dataset import SPLITS, DatasetError, counts_by_class
from brain_tumor.labels import LABELS

FOLDS = 25
"""Folds of about 4 % each, of which parts are made: 18 train, 2 validation, 5 test (72 / 8 / 20 %)."""

TEST_FOLDS = 5
VALIDATION_FOLDS = 2

WEAK_FOLDS = 20
"""Folds of a weakly labeled set, by groups: 12 train, 3 validation, 5 test. It has some 70 groups, so a part needs
more of them to say anything."""

WEAK_VALIDATION_FOLDS = 3


def split_scans(scans: DatasetDict, how: str, seed: int, weak: DatasetDict | None = None) -> DatasetDict:
    """Train, validation and test parts of a dataset.

    Args:
        scans: as `dataset.load_scans` returns it.
        how: "copy_free" pools all parts and splits by groups of copies, about 72 / 8 / 20 %, with the
            proportions of classes kept; "published" takes the dataset's own parts, and makes validation of a
            tenth of train, by group, where there is none.
        seed: of the random split.
        weak: a set of tumors of unknown type, as `load_scans(..., weak=True)` returns it. The parts of `scans` are
            the same with it and without it.

    Returns:
        The three parts (with `weak` also tumor_train, tumor_validation and tumor_test), sorted by file hash, with the
        columns group (int64, over the whole dataset), part (the dataset's own name of the part) and copy_in_train
        (bool: a copy is in the part "train" of this split, before validation was taken from it).

    Raises:
        DatasetError: a part would be empty or lack a class.
    """
    pooled = whole_set(scans)
    labels, groups = np.array(pooled["label"]), np.array(pooled["group"])
    if how == "copy_free":
        part = _copy_free_parts(labels, groups, seed)
        trained_on = part == "train"
    elif how == "published":
        part, trained_on = _published_parts(pooled, labels, groups, seed)
    else:
        raise DatasetError(f"Unknown split {how!r}; use copy_free or published.")
    pooled = _mark_copies_in_train(pooled, trained_on)
    result = DatasetDict({name: pooled.select(np.flatnonzero(part == name)) for name in SPLITS})
    for name, rows in result.items():
        lacking = [label for label, count in counts_by_class(rows).items() if count == 0]
        if lacking:
            raise DatasetError(
                f"The {name} part of the {how} split has no pictures of {', '.join(lacking)} "
                f"({rows.num_rows} pictures in all). More pictures, or another --split, are needed."
            )
    if weak is not None:
        result = DatasetDict({**result, **_weak_parts(weak, pooled, part, seed)})
    return result


def whole_set(scans: DatasetDict) -> Dataset:
    """All slices of a set as one part, with the columns group and part of `split_scans`.

    They are sorted by file hash: the order in which files were found must not matter.
    """
    parts = [rows.add_column("part", [name] * rows.num_rows) for name, rows in scans.items()]
    pooled = concatenate_datasets(parts)
    order = sorted(range(pooled.num_rows), key=list(zip(pooled["sha256"], pooled["source"], strict=True)).__getitem__)
    pooled = pooled.select(order)
    groups = group_copies(thumbnails_of(pooled), pooled["sha256"])
    return pooled.add_column("group", groups.tolist())


def _weak_parts(weak: DatasetDict, main: Dataset, main_part: np.ndarray, seed: int) -> dict[str, Dataset]:
    """The parts of a weakly labeled set, about 60 / 15 / 25 % of its groups.

    A group with a copy in the main set goes where that copy is; with copies in several parts it is left out. Its
    group numbers follow those of the main set.
    """
    rows = whole_set(weak)
    groups, thumbnails = np.array(rows["group"]), thumbnails_of(rows)
    if len(np.unique(groups)) < WEAK_FOLDS:
        raise DatasetError(
            f"Too few pictures of tumors of unknown type to split: {len(np.unique(groups))} groups of copies, and at "
            f"least {WEAK_FOLDS} are needed."
        )
    fold = _deal(GroupKFold(n_splits=WEAK_FOLDS, shuffle=True, random_state=seed), groups, groups)
    names = ["test"] * TEST_FOLDS + ["validation"] * WEAK_VALIDATION_FOLDS
    part = np.array([*names, *["train"] * (WEAK_FOLDS - len(names))], dtype="<U10")[fold]
    pairs = find_copies(thumbnails, thumbnails_of(main))
    for group in np.unique(groups[pairs[:, 0]]):
        found = np.unique(main_part[pairs[groups[pairs[:, 0]] == group, 1]])
        part[groups == group] = found[0] if len(found) == 1 else "left out"
    rows = rows.remove_columns("group").add_column("group", (groups + max(main["group"]) + 1).tolist())
    rows = _mark_copies_in_train(rows, part == "train")
    return {f"tumor_{name}": rows.select(np.flatnonzero(part == name)) for name in SPLITS}


def _mark_copies_in_train(rows: Dataset, in_train: np.ndarray) -> Dataset:
    """The rows with the column copy_in_train: a slice outside of train has a copy in it."""
    thumbnails, has_copy = thumbnails_of(rows), np.zeros(len(rows), bool)
    has_copy[np.flatnonzero(~in_train)[find_copies(thumbnails[~in_train], thumbnails[in_train])[:, 0]]] = True
    return rows.add_column("copy_in_train", has_copy.tolist())


def _copy_free_parts(labels: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    folds = _folds(labels, groups, FOLDS, seed)
    names = np.array(["test"] * TEST_FOLDS + ["validation"] * VALIDATION_FOLDS)
    names = np.concatenate([names, np.full(FOLDS - len(names), "train")])
    return names[folds]


def _published_parts(pooled: Dataset, labels: np.ndarray, groups: np.ndarray, seed: int):
    """Name of each slice's part, and whether the dataset itself has it in train."""
    part = np.array(pooled["part"], dtype="<U10")
    trained_on = part == "train"
    for needed in ("train", "test"):
        if needed not in part:
            raise DatasetError(f"The dataset has no {needed} part of its own. Use --split copy_free.")
    if "validation" not in part:
        rows = np.flatnonzero(trained_on)
        part[rows[_folds(labels[rows], groups[rows], 10, seed) == 0]] = "validation"
    return part, trained_on


def _folds(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Fold number of each slice: whole groups, proportions of classes kept, folds in random order.

    The splitter deals out groups from large to small, so its first folds differ from its last; the random order
    keeps every part a fair mixture.
    """
    least = min(np.bincount(labels, minlength=len(LABELS)))
    if least < folds:
        raise DatasetError(
            f"Too few pictures to split: the smallest class has {least}, and at least {folds} are needed."
        )
    fold = _deal(StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed), labels, groups)
    return np.random.default_rng(seed).permutation(folds)[fold]


def _deal(splitter, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n,) int64: the number of the fold that scikit-learn's splitter puts each slice into."""
    fold = np.empty(len(labels), np.int64)
    for number, (_, members) in enumerate(splitter.split(labels, labels, groups)):
        fold[members] = number
    return fold


def with_weak_slices(parts: DatasetDict, name: str, repeats: int = 1) -> Dataset:
    """The columns pixels and label of a part and, `repeats` times, of its weak counterpart where there is one."""
    weak = [parts[f"tumor_{name}"]] * repeats if f"tumor_{name}" in parts else []
    columns = [
        part.select_columns(["pixels", "label"]).cast_column("label", Value("int64")) for part in [parts[name], *weak]
    ]
    return concatenate_datasets(columns)


def first_of_each_class(part: Dataset, count: int) -> Dataset:
    """At most `count` slices of each class, in the order of the part (which is that of the hashes)."""
    labels = np.array(part["label"])
    return part.select(np.sort(np.concatenate([np.flatnonzero(labels == i)[:count] for i in np.unique(labels)])))
