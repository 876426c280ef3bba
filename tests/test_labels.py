"""The four classes and the names that data sets give them."""

import pytest

from brain_tumor.labels import (
    DISPLAY_NAMES,
    LABELS,
    NO_TUMOR,
    TUMOR_TYPES,
    canonical_label,
    display_name,
    is_tumor_of_unknown_type,
)

SPELLINGS = {
    "glioma": ("glioma", "Glioma", "2-glioma", "glioma_tumor", "Glioma Tumor", "gliomas", "GLIOMA"),
    "meningioma": ("meningioma", "Meningioma", "3-meningioma", "meningioma_tumor", "meningioma-tumor"),
    "no_tumor": (
        "no_tumor",
        "no-tumor",
        "notumor",
        "1-notumor",
        "No Tumor",
        "no tumor",
        "NO_TUMOR",
        "Normal",
        "healthy",
    ),
    "pituitary": (
        "pituitary",
        "Pituitary",
        "4-pituitary",
        "pituitary_tumour",
        "Pituitary tumor",
        "pituitary adenoma",
    ),
}


def test_the_order_of_the_classes_is_the_one_that_checkpoints_were_trained_with():
    assert LABELS == ("glioma", "meningioma", "no_tumor", "pituitary")
    assert LABELS[NO_TUMOR] == "no_tumor"
    assert [LABELS[i] for i in TUMOR_TYPES] == ["glioma", "meningioma", "pituitary"]


@pytest.mark.parametrize(("spelling", "label"), [(s, label) for label, many in SPELLINGS.items() for s in many])
def test_every_spelling_of_the_public_sets_is_understood(spelling, label):
    assert canonical_label(spelling) == label


@pytest.mark.parametrize(
    "name", ["", "1", "-", "metastasis", "cat", "gli oma x", "not glioma", "abnormal", "nontumor", "knowledge", "train"]
)
def test_a_name_that_is_none_of_the_four_is_not_guessed(name):
    assert canonical_label(name) is None


@pytest.mark.parametrize("name", ["tumor", "tumour", "Tumor", "tumours", "1-tumor", "yes"])
def test_a_tumor_of_unknown_type_is_none_of_the_four(name):
    assert canonical_label(name) is None
    assert is_tumor_of_unknown_type(name)


def test_each_label_is_its_own_spelling_and_has_a_name_to_show():
    for label in LABELS:
        assert canonical_label(label) == label
        assert canonical_label(DISPLAY_NAMES[label]) == label
        assert display_name(label) == DISPLAY_NAMES[label]
    assert list(DISPLAY_NAMES) == list(LABELS)


def test_a_foreign_label_is_shown_as_it_is():
    assert display_name("tabby cat") == "tabby cat"
    assert display_name("LABEL_0") == "LABEL_0"
