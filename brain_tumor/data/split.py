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


def split_scans(
    scans: DatasetDict, how: str, seed: int, weak: DatasetDict | None = None, extra: DatasetDict | None = None
) -> DatasetDict:
    """Train, validation and test parts of a dataset.

    Args:
        scans: as `dataset.load_scans` returns it.
        how: "copy_free" pools all parts and splits by groups of copies, about 72 / 8 / 20 %, with the
            proportions of classes kept; "published" takes the dataset's own parts, and makes validation of a
            tenth of train, by group, where there is none.
        seed: of the random split.
        weak: a set of tumors of unknown type, as `load_scans(..., weak=True)` returns it. The parts of `scans` are
            the same with it and without it.
        extra: another set of the four classes, which only trains: all of its slices but those with a copy in a
            validation or test part, and the copies of these. The other parts are the same with it and without it.

    Returns:
        The three parts (with `weak` also tumor_train, tumor_validation and tumor_test, with `extra` also extra_train),
        sorted by file hash, with the columns group (int64, over the whole dataset), part (the dataset's own name of the
        part) and copy_in_train (bool: a copy is in the part "train" of this split, before validation was taken from
        it).

    Raises:
        DatasetError: a part would be empty or lack a class.
    """
    pooled = _pooled(scans)
    labels, groups = np.array(pooled["label"]), np.array(pooled["group"])
    if how == "copy_free":
        part = _copy_free_parts(labels, groups, seed)
        trained_on = part == "train"
    elif how == "published":
        part, trained_on = _published_parts(pooled, labels, groups, seed)
    else:
        raise DatasetError(f"Unknown split {how!r}; use copy_free or published.")
    thumbnails = thumbnails_of(pooled)
    has_copy = np.zeros(len(pooled), bool)
    has_copy[np.flatnonzero(~trained_on)[find_copies(thumbnails[~trained_on], thumbnails[trained_on])[:, 0]]] = True
    pooled = pooled.add_column("copy_in_train", has_copy.tolist())
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
    if extra is not None:
        result["extra_train"] = _extra_part(extra, result)
    return result


def _weak_parts(weak: DatasetDict, main: Dataset, main_part: np.ndarray, seed: int) -> dict[str, Dataset]:
    """The parts of a weakly labeled set, about 60 / 15 / 25 % of its groups.

    A group with a copy in the main set goes where that copy is; with copies in several parts it is left out. Its
    group numbers follow those of the main set.
    """
    rows = _pooled(weak)
    groups, thumbnails = np.array(rows["group"]), thumbnails_of(rows)
    if len(np.unique(groups)) < WEAK_FOLDS:
        raise DatasetError(
            f"Too few pictures of tumors of unknown type to split: {len(np.unique(groups))} groups of copies, and at "
            f"least {WEAK_FOLDS} are needed."
        )
    fold = np.empty(len(rows), np.int64)
    splitter = GroupKFold(n_splits=WEAK_FOLDS, shuffle=True, random_state=seed)
    for number, (_, members) in enumerate(splitter.split(groups, groups=groups)):
        fold[members] = number
    names = ["test"] * TEST_FOLDS + ["validation"] * WEAK_VALIDATION_FOLDS
    part = np.array([*names, *["train"] * (WEAK_FOLDS - len(names))], dtype="<U10")[fold]
    pairs = find_copies(thumbnails, thumbnails_of(main))
    for group in np.unique(groups[pairs[:, 0]]):
        found = np.unique(main_part[pairs[groups[pairs[:, 0]] == group, 1]])
        part[groups == group] = found[0] if len(found) == 1 else "left out"
    trained = part == "train"
    has_copy = np.zeros(len(rows), bool)
    has_copy[np.flatnonzero(~trained)[find_copies(thumbnails[~trained], thumbnails[trained])[:, 0]]] = True
    rows = _groups_after(main, rows).add_column("copy_in_train", has_copy.tolist())
    return {f"tumor_{name}": rows.select(np.flatnonzero(part == name)) for name in SPLITS}


def _groups_after(others: Dataset, rows: Dataset) -> Dataset:
    """The rows with group numbers that go on after those of the others."""
    groups = np.array(rows["group"]) + max(others["group"]) + 1
    return rows.remove_columns("group").add_column("group", groups.tolist())


def _extra_part(extra: DatasetDict, parts: DatasetDict) -> Dataset:
    """What of another set may train: no group with a copy in a part that does not. Its group numbers go on after all
    others."""
    rows = _pooled(extra)
    groups, thumbnails = np.array(rows["group"]), thumbnails_of(rows)
    judged = [thumbnails_of(part) for name, part in parts.items() if not name.endswith("train")]
    copies = find_copies(thumbnails, np.concatenate(judged))[:, 0]
    rows = _groups_after(concatenate_datasets([part.select_columns("group") for part in parts.values()]), rows)
    rows = rows.add_column("copy_in_train", [False] * len(rows))
    return rows.select(np.flatnonzero(~np.isin(groups, groups[copies])))


def _pooled(scans: DatasetDict) -> Dataset:
    """All parts in one, sorted by file hash: the order in which files were found must not matter."""
    parts = [rows.add_column("part", [name] * rows.num_rows) for name, rows in scans.items()]
    pooled = concatenate_datasets(parts)
    order = sorted(range(pooled.num_rows), key=list(zip(pooled["sha256"], pooled["source"], strict=True)).__getitem__)
    pooled = pooled.select(order)
    groups = group_copies(thumbnails_of(pooled), pooled["sha256"])
    return pooled.add_column("group", groups.tolist())


def _copy_free_parts(labels: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    folds = _folds(labels, groups, FOLDS, seed)
    names = np.array(["test"] * TEST_FOLDS + ["validation"] * VALIDATION_FOLDS)
    names = np.concatenate([names, np.full(FOLDS - len(names), "train")])
    return names[folds]


def _published_parts(pooled: Dataset, labels: np.ndarray, groups: np.ndarray, seed: int):
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
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    fold = np.empty(len(labels), np.int64)
    for number, (_, members) in enumerate(splitter.split(labels, labels, groups)):
        fold[members] = number
    return np.random.default_rng(seed).permutation(folds)[fold]


def whole_set(scans: DatasetDict) -> Dataset:
    """All slices of a set as one part, with the columns group and part of `split_scans`."""
    return _pooled(scans)


def with_others(parts, name: str, tumor_repeats: int = 1):
    """The columns pixels and label of a part and, where there are any, of its counterparts from the other sets."""
    others = [parts[f"tumor_{name}"]] * tumor_repeats if f"tumor_{name}" in parts else []
    others += [parts[f"extra_{name}"]] if f"extra_{name}" in parts else []
    rows = [parts[name], *others]
    columns = [part.select_columns(["pixels", "label"]).cast_column("label", Value("int64")) for part in rows]
    return concatenate_datasets(columns)


def first_of_each_class(part, count: int):
    """At most `count` slices of each class, in the order of the part (which is that of the hashes)."""
    labels = np.array(part["label"])
    return part.select(np.sort(np.concatenate([np.flatnonzero(labels == i)[:count] for i in np.unique(labels)])))
