"""Example scans: a checkpoint's own, scans of the public dataset on demand, and the bundled offline ones."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from brain_tumor.inference.checkpoint import LISTING, find_files
from brain_tumor.labels import canonical_label, display_name

BUNDLED = Path(__file__).resolve().parents[2] / "examples"

EXAMPLE_VOLUME = BUNDLED / "average_brain.nii.gz"
"""A small volume for the tab "Several scans": the ICBM 152 average brain."""

MOST = 24
"""Examples that are shown at most, however long a checkpoint's list is."""

HUB_TIMEOUT = 5
"""Seconds that the Hub has to answer before it counts as out of reach."""

PUBLIC_DATASET = "Simezu/brain-tumour-MRI-scan"

PUBLIC_SCANS = (
    "Testing/1-notumor/Te-noTr_0001.jpg",
    "Testing/2-glioma/Te-glTr_0001.jpg",
    "Testing/3-meningioma/Te-meTr_0001.jpg",
    "Testing/4-pituitary/Te-piTr_0001.jpg",
)


class ExamplesError(RuntimeError):
    """Example scans that cannot be had. The message is a sentence for the visitor who asked for them."""


@dataclass(frozen=True)
class Example:
    """One example scan.

    Attributes:
        path: the picture's file.
        label: canonical label that its source gives it.
        caption: what a visitor reads beneath it.
    """

    path: Path
    label: str
    caption: str


def offline_examples(model_id: str) -> list[Example]:
    """The scans that `train.py` exported with the checkpoint, or the bundled ones if it has none.

    Never raises and never waits long: a checkpoint on the Hub without examples, or a Hub out of reach, is no error.
    """
    folder = Path(model_id)
    own = _read(folder / "examples") if folder.is_dir() else _read_from_hub(model_id)
    return own or _read(BUNDLED)


@cache  # a failure is not cached: the next visitor tries again
def public_examples() -> list[Example]:
    """A scan of each class from the public dataset on the Hub, downloaded when first asked for.

    Raises:
        ExamplesError: the Hub cannot be reached, or the dataset is not there any more.
    """
    try:
        paths = _find_all(PUBLIC_DATASET, PUBLIC_SCANS, "dataset")
    except Exception as error:  # no network, time-outs, proxies, moved repositories: all one to a visitor
        raise ExamplesError(
            f"The scans of {PUBLIC_DATASET} cannot be downloaded now: the Hugging Face Hub does not answer, or it no "
            "longer has them. Use the examples that are here, or try again later."
        ) from error
    labels = [canonical_label(path.parent.name) for path in paths]
    return [
        Example(path, label, f"{display_name(label)}, says the dataset")
        for path, label in zip(paths, labels, strict=True)
    ]


def with_public_examples(shown: list[Example]) -> tuple[list[Example], str]:
    """Examples with those of the public dataset behind them, and what `words_on` says of them.

    Where the Hub is out of reach the examples stay as they are, and the words begin with a sentence that says so.
    """
    try:
        return shown + public_examples(), words_on(shown)
    except ExamplesError as error:
        return shown, f"{error}\n\n{words_on(shown)}"


def words_on(shown: list[Example]) -> str:
    """What a visitor must know about the examples, as Markdown."""
    bundled = (
        "These are slices of patients of whom the bundled model has seen none, with the labels of their sources; "
        "where and under which license each is from is in `examples/README.md`. They were chosen by rule, not for "
        "their looks, and the bundled model is wrong about one of them. "
    )
    public = (
        f"Scans of the public dataset come from [{PUBLIC_DATASET}](https://huggingface.co/datasets/{PUBLIC_DATASET}), "
        "with its labels; the model may have been trained on them."
    )
    return (bundled if shown and shown[0].path.parent == BUNDLED else "") + public


def _read(folder: Path) -> list[Example]:
    """The scans that a folder's listing names; none if the listing is missing or damaged."""
    try:
        return [
            Example(folder / entry["file"], entry["label"], entry["caption"])
            for entry in json.loads((folder / LISTING).read_text(encoding="utf-8"))[:MOST]
            # Only files of this folder: a listing from the Hub must not name others of this machine.
            if Path(entry["file"]).name == entry["file"] and (folder / entry["file"]).is_file()
        ]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _read_from_hub(model_id: str) -> list[Example]:
    try:
        (listing,) = _find_all(model_id, [f"examples/{LISTING}"])
        names = [str(entry["file"]) for entry in json.loads(listing.read_text(encoding="utf-8"))[:MOST]]
        _find_all(model_id, [f"examples/{name}" for name in names if Path(name).name == name])
    except Exception:  # whatever goes wrong, the bundled examples take their place
        return []
    return _read(listing.parent)


def _find_all(repo_id: str, names: Sequence[str], repo_type: str = "model") -> list[Path]:
    """Files of a Hub repository, from the local cache if the Hub does not answer in time. Raises if one is missing."""
    paths = find_files(repo_id, names, timeout=HUB_TIMEOUT, repo_type=repo_type)
    if not all(paths):
        raise FileNotFoundError(f"{repo_id} lacks a file, or cannot be reached.")
    return paths
