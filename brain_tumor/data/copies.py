"""Copies of a slice: how they are found, and how slices are grouped that must not be parted.

Public sets hold many slices more than once: mirrored, rotated, re-encoded or from the neighboring position. If one copy
trains and another tests, the test measures memory; so it does with another slice of the same patient. A group is
whatever copies and patients link.

    python -m brain_tumor.data.report DATASET    # what a set holds, how many copies, and a sheet that shows them
"""

import numpy as np
from datasets import Dataset
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from brain_tumor.data.dataset import THUMBNAIL_SIDE

COPY_CORRELATION = 0.98
"""Gray-level correlation at 32x32 from which two slices are copies. At 0.95 unrelated slices merge into groups
of hundreds."""

BLOCK = 1024


def thumbnails_of(part: Dataset) -> np.ndarray:
    """(slices, 32, 32) uint8, from the column that `dataset.load_scans` made."""
    joined = b"".join(part["thumbnail"])
    return np.frombuffer(joined, np.uint8).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)


def find_copies(
    thumbnails: np.ndarray, others: np.ndarray | None = None, threshold: float = COPY_CORRELATION
) -> np.ndarray:
    """Pairs of slices that are copies of each other, found exactly: every pair is compared, in blocks.

    Args:
        thumbnails: (n, side, side) gray levels, any real dtype.
        others: (m, side, side) to compare with; without it, each pair within `thumbnails` is found once.
        threshold: least Pearson correlation of gray levels, the largest over the 8 flips and rotations.

    Returns:
        (pairs, 2) int64: index into `thumbnails`, index into `others` (or, larger, into `thumbnails`).
        A picture of one flat gray has no correlation and no copies.
    """
    within = others is None
    right = thumbnails if within else others
    left = np.empty((len(thumbnails), thumbnails[0].size if len(thumbnails) else 0), np.float32)
    for start in range(0, len(left), BLOCK):
        left[start : start + BLOCK] = standardize(thumbnails[start : start + BLOCK])
    found = {}
    # The eight views are made of one block at a time: of all slices at once they would take 32 KB a slice.
    for other in range(0, len(right), BLOCK):
        views = [standardize(view) for view in flips_and_rotations(right[other : other + BLOCK])]
        for start in range(0, min(other + 1, len(left)) if within else len(left), BLOCK):
            rows = left[start : start + BLOCK]
            best = rows @ views[0].T
            for view in views[1:]:
                np.maximum(best, rows @ view.T, out=best)
            pairs = np.argwhere(best >= threshold) + (start, other)
            found[start, other] = pairs[pairs[:, 0] < pairs[:, 1]] if within else pairs
    return np.concatenate([np.empty((0, 2), np.int64), *(found[place] for place in sorted(found))])


def group_slices(pairs: np.ndarray, sha256: list[str], patients: list[str] | None = None) -> np.ndarray:
    """Group ids such that copies, copies of copies, identical files and slices of one patient share one.

    Args:
        pairs: (pairs, 2) of `find_copies`.
        sha256: hashes of the n files.
        patients: whose slice each is; "" where that is not known.

    Returns:
        (n,) int64, numbered from 0 in the order of each group's smallest hash, so that the order of files does
        not matter.
    """
    n = len(sha256)
    # What shares a hash or a patient is linked through extra nodes, one for each distinct hash and patient.
    shared = np.array([*sha256, *([f"patient {name}" for name in patients or [] if name])], dtype=object)
    holders = np.concatenate([np.arange(n), np.flatnonzero([bool(name) for name in patients or []])])
    _, node = np.unique(shared.astype(str), return_inverse=True)
    rows = np.concatenate([pairs[:, 0], holders.astype(np.int64)])
    columns = np.concatenate([pairs[:, 1], n + node])
    size = n + len(shared)
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][:n]
    order = np.argsort(sha256, kind="stable")
    _, first = np.unique(component[order], return_index=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[np.searchsorted(np.unique(component), component)]


def flips_and_rotations(thumbnails: np.ndarray) -> list[np.ndarray]:
    quarter_turns = [np.rot90(thumbnails, turns, axes=(1, 2)) for turns in range(4)]
    return quarter_turns + [turned[:, :, ::-1] for turned in quarter_turns]


def standardize(thumbnails: np.ndarray) -> np.ndarray:
    """Mean 0 and length 1, so that a dot product is the Pearson correlation. Flat pictures become 0."""
    rows = thumbnails.reshape(len(thumbnails), thumbnails.shape[1] * thumbnails.shape[2]).astype(np.float32)
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-3)
