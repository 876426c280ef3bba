"""The four classes: their order, their display names, and the spellings that datasets use for them."""

import re

LABELS = ("glioma", "meningioma", "no_tumor", "pituitary")
"""Canonical class names; the position is the class index of every model and dataset here."""

NO_TUMOR = LABELS.index("no_tumor")

TUMOR_TYPES = tuple(i for i in range(len(LABELS)) if i != NO_TUMOR)
"""Class indices of the three tumors."""

TUMOR = len(LABELS)
"""Label of a slice that shows a tumor of unknown or another type. No model has such an output: it stands for any of
the three."""

DISPLAY_NAMES = {
    "glioma": "Glioma",
    "meningioma": "Meningioma",
    "no_tumor": "No tumor",
    "pituitary": "Pituitary tumor",
}

_SPELLINGS = {
    "glioma": (
        "glioma gliomas astrocytoma astrocitoma pilocyticastrocytoma glioblastoma glioblastomamultiforme gbm hgg lgg "
        "oligodendroglioma oligoastrocytoma ependymoma ependimoma subependymoma gliosarcoma"
    ),
    "meningioma": "meningioma meningiomas",
    "pituitary": "pituitary pituitaryadenoma pituitaryadenomas",
    "no_tumor": "no none normal healthy negative",
    "tumor": (
        "tumor tumour tumors tumours yes positive schwannoma neurinoma carcinoma metastasis metastases germinoma "
        "medulloblastoma meduloblastoma neurocytoma neurocitoma papilloma papiloma choroidplexuspapilloma "
        "ganglioglioma craniopharyngioma hemangioblastoma hemangiopericytoma lymphoma pineocytoma pineoblastoma "
        "chordoma dnet teratoma"
    ),
    "": "granuloma tuberculoma abscess abscesso cyst toxoplasmosis neurocysticercosis",
}
"""What a class name stands for -> the spellings of it: English and Portuguese, families of the WHO's classification.
"tumor" is a tumor that is none of the three or of unknown type, "" what is neither a tumor nor the absence of one."""

_MEANINGS = {spelling: meaning for meaning, spellings in _SPELLINGS.items() for spelling in spellings.split()}

_SEQUENCES = dict.fromkeys(("t1c", "t1c+", "t1+c", "t1ce", "t1gd"), "T1C+")
_SEQUENCES |= {"t1": "T1", "t1w": "T1", "t2": "T2", "t2w": "T2", "flair": "FLAIR"}

_SEQUENCE_AT_THE_END = re.compile(r"[\s_-]+(t1c\+|t1ce|t1gd|t1c|t1|t2|flair)$", re.IGNORECASE)


def canonical_label(name: str) -> str | None:
    """The canonical label that a dataset's class name stands for, or None if it stands for none of the four.

    Case, separators, a leading number, a sequence at the end and a trailing "tumor" or "tumour" do not matter.

    >>> [canonical_label(name) for name in ("2-glioma", "Pituitary Tumor", "notumor", "_NORMAL T2", "Astrocitoma T1C+")]
    ['glioma', 'pituitary', 'no_tumor', 'no_tumor', 'glioma']
    >>> canonical_label("metastasis") is None
    True
    """
    meaning = _meaning(name)
    return meaning if meaning in LABELS else None


def is_tumor_of_unknown_type(name: str) -> bool:
    """Whether a dataset's class name says "tumor" and not which, or names one that is none of the three.

    >>> [is_tumor_of_unknown_type(name) for name in ("Tumor", "1-yes", "Schwannoma T2", "no_tumor", "glioma_tumor")]
    [True, True, True, False, False]
    """
    return _meaning(name) == "tumor"


def is_other_lesion(name: str) -> bool:
    """Whether a dataset's class is neither a tumor nor the absence of one, such as an infection: no label fits.

    >>> [is_other_lesion(name) for name in ("Tuberculoma T1", "abscess", "Normal", "wombat")]
    [True, True, False, False]
    """
    return _meaning(name) == ""


def canonical_sequence(name: str) -> str:
    """A sequence as everything here calls it, "T1", "T1C+", "T2" or "FLAIR"; another one as it is.

    >>> [canonical_sequence(name) for name in ("t1ce", "T1 C+", "Flair", "DWI", "")]
    ['T1C+', 'T1C+', 'FLAIR', 'DWI', '']
    """
    return _SEQUENCES.get(re.sub(r"[\s_-]", "", name).lower(), name)


def sequence_in(name: str) -> str:
    """The sequence at the end of a class name, "T1", "T1C+", "T2" or "FLAIR"; "" if there is none.

    >>> [sequence_in(name) for name in ("Meningioma T1C+", "_NORMAL T2", "glioma")]
    ['T1C+', 'T2', '']
    """
    found = _SEQUENCE_AT_THE_END.search(name)
    return _SEQUENCES[found.group(1).lower()] if found else ""


def kind_name(set_name: str, sequence: str) -> str:
    """A kind of scan in words: "figshare, T1C+"; the set alone where no sequence is known."""
    return f"{set_name}, {sequence}" if sequence else set_name


def _meaning(name: str) -> str | None:
    letters = re.sub(r"[^a-z]", "", _SEQUENCE_AT_THE_END.sub("", name).lower())
    return _MEANINGS.get(re.sub(r"(?<=.)tumou?rs?$", "", letters))


def display_name(label: str) -> str:
    """How a label is shown to a reader: the display name of one of the four classes, any other name as it is."""
    return DISPLAY_NAMES.get(canonical_label(label), label)
