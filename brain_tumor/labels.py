"""The four classes: their order, their display names, and the spellings that datasets use for them."""

import re

LABELS = ("glioma", "meningioma", "no_tumor", "pituitary")
"""Canonical class names; the position is the class index of every model and dataset here."""

NO_TUMOR = LABELS.index("no_tumor")

TUMOR_TYPES = tuple(i for i in range(len(LABELS)) if i != NO_TUMOR)
"""Class indices of the three tumors."""

TUMOR = len(LABELS)
"""Label of a slice that shows a tumor of unknown type. No model has such an output: it stands for any of the three."""

DISPLAY_NAMES = {
    "glioma": "Glioma",
    "meningioma": "Meningioma",
    "no_tumor": "No tumor",
    "pituitary": "Pituitary tumor",
}

_SPELLINGS = {
    "glioma": "glioma",
    "gliomas": "glioma",
    "meningioma": "meningioma",
    "meningiomas": "meningioma",
    "pituitary": "pituitary",
    "pituitaryadenoma": "pituitary",
    "no": "no_tumor",
    "none": "no_tumor",
    "normal": "no_tumor",
    "healthy": "no_tumor",
    "negative": "no_tumor",
}

_TUMOR_SPELLINGS = ("tumor", "tumour", "tumors", "tumours", "yes", "positive")


def canonical_label(name: str) -> str | None:
    """The canonical label that a dataset's class name stands for, or None if it stands for none of the four.

    Case, separators, a leading number and a trailing "tumor" or "tumour" do not matter.

    >>> [canonical_label(name) for name in ("2-glioma", "Pituitary Tumor", "notumor", "no-tumor", "Normal")]
    ['glioma', 'pituitary', 'no_tumor', 'no_tumor', 'no_tumor']
    >>> canonical_label("metastasis") is None
    True
    """
    letters = re.sub(r"[^a-z]", "", name.lower())
    return _SPELLINGS.get(re.sub(r"(?<=.)tumou?rs?$", "", letters))


def is_tumor_of_unknown_type(name: str) -> bool:
    """Whether a dataset's class name says "tumor" and not which.

    >>> [is_tumor_of_unknown_type(name) for name in ("Tumor", "1-yes", "no_tumor", "glioma_tumor")]
    [True, True, False, False]
    """
    return re.sub(r"[^a-z]", "", name.lower()) in _TUMOR_SPELLINGS


def display_name(label: str) -> str:
    """How a label is shown to a reader: the display name of one of the four classes, any other name as it is."""
    return DISPLAY_NAMES.get(canonical_label(label), label)
