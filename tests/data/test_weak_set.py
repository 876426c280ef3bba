"""A set whose slices show a tumor of unknown type: loaded, split by groups of copies, and what its loss rewards."""

import shutil
from collections import Counter

import numpy as np
import pytest
import torch

from brain_tumor.data.copies import find_copies, thumbnails_of
from brain_tumor.data.dataset import DatasetError, load_scans
from brain_tumor.data.split import split_scans
from brain_tumor.evaluation import calibration
from brain_tumor.labels import NO_TUMOR, TUMOR
from tests.slices import draw_slice

FOUR = {"glioma": 30, "meningioma": 30, "no_tumor": 30, "pituitary": 30}


@pytest.fixture(scope="module")
def weak_folder(tmp_path_factory):
    """24 different tumors, each twice."""
    folder = tmp_path_factory.mktemp("weak")
    (folder / "tumor").mkdir()
    for number in range(24):
        for copy in "ab":
            draw_slice(1000 + number, "glioma", 90 if copy == "a" else 120).save(folder / f"tumor/{number}{copy}.png")
    return folder


@pytest.mark.parametrize("name", ["tumor", "1-Tumor", "yes"])
def test_a_folder_of_tumors_of_unknown_type_loads_when_it_is_asked_for(name, weak_folder, tmp_path):
    shutil.copytree(weak_folder / "tumor", tmp_path / name)
    scans = load_scans(tmp_path, weak=True)
    assert set(scans["train"]["label"]) == {TUMOR}
    assert scans["train"].num_rows == 48


@pytest.mark.parametrize("counts", [{"glioma": 3}, {"tumor": 3, "no_tumor": 3}])
def test_any_other_class_in_such_a_set_is_refused_by_name(counts, slice_folder):
    with pytest.raises(DatasetError, match="expected one class folder called tumor") as refusal:
        load_scans(slice_folder(counts), weak=True)
    assert all(name in str(refusal.value) for name in counts)


def test_the_main_parts_do_not_change_with_a_weak_set_beside_them(slice_folder, weak_folder):
    main, weak = load_scans(slice_folder(FOUR)), load_scans(weak_folder, weak=True)
    alone, beside = split_scans(main, "copy_free", 1), split_scans(main, "copy_free", 1, weak)
    assert list(beside) == [*alone, "tumor_train", "tumor_validation", "tumor_test"]
    for name in alone:
        assert alone[name]["sha256"] == beside[name]["sha256"]


def test_copies_of_a_weak_slice_stay_in_one_part_and_a_quarter_of_the_groups_is_kept_for_test(
    slice_folder, weak_folder
):
    parts = split_scans(load_scans(slice_folder(FOUR)), "copy_free", 1, load_scans(weak_folder, weak=True))
    groups = {name: set(part["group"]) for name, part in parts.items()}
    assert sum(len(groups[f"tumor_{name}"]) for name in ("train", "validation", "test")) == 24
    for name in parts:
        for other in parts:
            assert name == other or not groups[name] & groups[other]
    assert 5 <= len(groups["tumor_test"]) <= 10
    assert all(Counter(parts[name]["group"])[group] == 2 for name in list(parts)[3:] for group in groups[name])


def test_a_weak_slice_that_is_a_copy_of_a_test_slice_trains_nothing(slice_folder, weak_folder, tmp_path):
    folder = slice_folder(FOUR)
    main = load_scans(folder)
    test = split_scans(main, "copy_free", 1)["test"]
    shutil.copytree(weak_folder, tmp_path / "weak")
    for source in test["source"]:
        shutil.copy(folder / source, tmp_path / "weak/tumor" / source.replace("/", "_"))
    parts = split_scans(main, "copy_free", 1, load_scans(tmp_path / "weak", weak=True))
    assert len(find_copies(thumbnails_of(parts["tumor_train"]), thumbnails_of(parts["test"]))) == 0
    assert len(find_copies(thumbnails_of(parts["tumor_test"]), thumbnails_of(parts["test"]))) >= test.num_rows


def test_too_few_weak_slices_are_an_error_with_the_number_that_is_needed(slice_folder):
    main, weak = load_scans(slice_folder(FOUR)), load_scans(slice_folder({"tumor": 5}), weak=True)
    with pytest.raises(DatasetError, match="5 groups of copies, and at least 20"):
        split_scans(main, "copy_free", 1, weak)


def test_the_published_weak_set_has_the_groups_that_were_reported_of_it_and_none_is_in_the_main_set(public_set, shared):
    main, weak = public_set("brain-tumour-MRI-scan").scans, load_scans(shared / "data/br35h-tumors", weak=True)
    parts = split_scans(main, "copy_free", 42, weak)
    names = ("tumor_train", "tumor_validation", "tumor_test")
    assert sum(parts[name].num_rows for name in names) == 344
    assert 68 <= sum(len(set(parts[name]["group"])) for name in names) <= 74
    assert len(set(parts["tumor_test"]["group"])) >= 17


# --- its loss ---------------------------------------------------------------------------------------------------


@pytest.fixture
def trainer():
    """The part of the Trainer that computes the loss."""
    from brain_tumor.training.trainer import ScanTrainer

    made = ScanTrainer.__new__(ScanTrainer)
    made.class_weights = torch.tensor([2.0, 1.0, 0.5, 1.0])
    made.args = type("Arguments", (), {"label_smoothing_factor": 0.0})()
    made.model = torch.nn.Identity().eval()
    return made


LOGITS = torch.tensor([[1.0, 2.0, 0.5, -1.0], [0.0, 0.3, 2.0, 0.1]])


def test_the_loss_of_a_tumor_of_unknown_type_is_minus_log_of_the_summed_probability_of_the_three(trainer):
    p = LOGITS.softmax(-1)
    expected = -(p[:, 0] + p[:, 1] + p[:, 3]).log()
    loss = trainer.cross_entropy(LOGITS, torch.tensor([TUMOR, TUMOR]))
    assert torch.allclose(loss, expected, atol=1e-6)
    whole = trainer.scan_loss({"logits": LOGITS}, torch.tensor([TUMOR, 0]), num_items_in_batch=2)
    assert whole.item() == pytest.approx((expected[0] - 2 * p[1, 0].log()).item() / 2, abs=1e-5)


def test_it_pushes_away_from_no_tumor_and_does_not_choose_a_type(trainer):
    logits = LOGITS.clone().requires_grad_()
    trainer.cross_entropy(logits, torch.tensor([TUMOR, TUMOR])).sum().backward()
    assert (logits.grad[:, NO_TUMOR] > 0).all()
    others = [0, 1, 3]
    share = logits.grad[:, others] / logits.softmax(-1)[:, others]
    assert torch.allclose(share, share[:, :1].expand_as(share), atol=1e-6), "the three gain in proportion"


def test_a_mixed_batch_pays_for_both_labels_by_their_shares(trainer):
    labels = torch.tensor([[0.0, TUMOR, 0.7], [NO_TUMOR, 3.0, 0.7]])
    mixed = trainer.scan_loss({"logits": LOGITS}, labels)
    own = trainer.cross_entropy(LOGITS, torch.tensor([0, NO_TUMOR]))
    other = trainer.cross_entropy(LOGITS, torch.tensor([TUMOR, 3]))
    assert mixed.item() == pytest.approx((0.7 * own + 0.3 * other).sum().item() / 2, abs=1e-5)


def test_the_nll_that_chooses_an_epoch_counts_weak_slices_by_their_summed_probability():
    logits = LOGITS.numpy()
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = -(np.log(1 - p[0, NO_TUMOR]) + np.log(p[1, 0])) / 2
    assert calibration.nll(logits, np.array([TUMOR, 0])) == pytest.approx(expected, abs=1e-6)
