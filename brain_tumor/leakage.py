"""The same slice again: finding copies, grouping them, splitting by group.

Public sets hold many slices twice, mirrored, rotated, re-encoded or from the neighbouring position. If one copy
trains and the other tests, the test measures memory. Groups of copies are not patients: no public set here says
whose slice it is, so a split by groups is called "copy-free", never "patient-level".
"""

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from brain_tumor.dataset import SPLITS, THUMBNAIL_SIDE, DatasetError, counts_by_class
from brain_tumor.labels import LABELS

COPY_CORRELATION = 0.98
"""Grey-level correlation at 32x32 from which two slices are copies. At 0.95 unrelated slices merge into groups
of hundreds."""
FOLDS = 25
"""Folds of about 4 % each, of which parts are made: 18 train, 2 validation, 5 test (72 / 8 / 20 %)."""
TEST_FOLDS = 5
VALIDATION_FOLDS = 2
_BLOCK = 1024


def thumbnails_of(part: Dataset) -> np.ndarray:
    """(slices, 32, 32) uint8, from the column that `dataset.load_scans` made."""
    joined = b"".join(part["thumbnail"])
    return np.frombuffer(joined, np.uint8).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)


def find_copies(
    thumbnails: np.ndarray, others: np.ndarray | None = None, threshold: float = COPY_CORRELATION
) -> np.ndarray:
    """Pairs of slices that are copies of each other, found exactly: every pair is compared, in blocks.

    Args:
        thumbnails: (n, side, side) grey levels, any real dtype.
        others: (m, side, side) to compare with; without it, each pair within `thumbnails` is found once.
        threshold: least Pearson correlation of grey levels, the largest over the 8 flips and rotations.

    Returns:
        (pairs, 2) int64: index into `thumbnails`, index into `others` (or, larger, into `thumbnails`).
        A picture of one flat grey has no correlation and no copies.
    """
    within = others is None
    left = _standardized(thumbnails)
    turned = [_standardized(view) for view in _flips_and_rotations(thumbnails if within else others)]
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(left), _BLOCK):
        rows = left[start : start + _BLOCK]
        for other in range(start if within else 0, len(turned[0]), _BLOCK):
            best = np.max([rows @ view[other : other + _BLOCK].T for view in turned], axis=0)
            pairs = np.argwhere(best >= threshold) + (start, other)
            found.append(pairs[pairs[:, 0] < pairs[:, 1]] if within else pairs)
    return np.concatenate(found)


def group_copies(thumbnails: np.ndarray, sha256: list[str]) -> np.ndarray:
    """Group ids such that copies, copies of copies, and identical files share one.

    Args:
        thumbnails: (n, side, side) grey levels.
        sha256: hashes of the n files.

    Returns:
        (n,) int64, numbered from 0 in the order of each group's smallest hash, so that the order of files does
        not matter.
    """
    n = len(thumbnails)
    _, same_file = np.unique(sha256, return_inverse=True)
    pairs = find_copies(thumbnails)
    # Identical files are linked through n extra nodes, one for each distinct hash.
    rows = np.concatenate([pairs[:, 0], np.arange(n)])
    columns = np.concatenate([pairs[:, 1], n + same_file])
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(2 * n, 2 * n))
    component = connected_components(graph, directed=False)[1][:n]
    order = np.argsort(sha256, kind="stable")
    _, first = np.unique(component[order], return_index=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[np.searchsorted(np.unique(component), component)]


def split_scans(scans: DatasetDict, how: str, seed: int) -> DatasetDict:
    """Train, validation and test parts of a dataset.

    Args:
        scans: as `dataset.load_scans` returns it.
        how: "copy_free" pools all parts and splits by groups of copies, about 72 / 8 / 20 %, with the
            proportions of classes kept; "published" takes the dataset's own parts, and makes validation of a
            tenth of train, by group, where there is none.
        seed: of the random split.

    Returns:
        The three parts, sorted by file hash, with the columns group (int64, over the whole dataset), part (the
        dataset's own name of the part) and copy_in_train (bool: a copy is in the part "train" of this split,
        before validation was taken from it).

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
    return result


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


def _flips_and_rotations(thumbnails: np.ndarray) -> list[np.ndarray]:
    quarter_turns = [np.rot90(thumbnails, turns, axes=(1, 2)) for turns in range(4)]
    return quarter_turns + [turned[:, :, ::-1] for turned in quarter_turns]


def _standardized(thumbnails: np.ndarray) -> np.ndarray:
    """Mean 0 and length 1, so that a dot product is the Pearson correlation. Flat pictures become 0."""
    rows = thumbnails.reshape(len(thumbnails), thumbnails.shape[1] * thumbnails.shape[2]).astype(np.float32)
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-3)
