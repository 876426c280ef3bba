"""What the loss rewards and which figures choose an epoch."""

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset
from torch.nn.functional import cross_entropy
from transformers import EvalPrediction

from brain_tumor.evaluation.calibration import fit_temperature, nll
from brain_tumor.labels import NO_TUMOR, TUMOR
from brain_tumor.training.trainer import ScanTrainer, WeightedSampler, metrics_on


@pytest.fixture
def trainer():
    """The part of the Trainer that computes the loss."""
    trainer = ScanTrainer.__new__(ScanTrainer)
    trainer.args = type("Arguments", (), {"label_smoothing_factor": 0.0})()
    trainer.model = torch.nn.Identity().eval()
    return trainer


LOGITS = torch.tensor([[1.0, 2.0, 0.5, -1.0], [0.0, 0.3, 2.0, 0.1]])


def test_the_loss_of_a_tumor_of_unknown_type_is_minus_log_of_the_summed_probability_of_the_three(trainer):
    p = LOGITS.softmax(-1)
    expected = -(p[:, 0] + p[:, 1] + p[:, 3]).log()
    loss = trainer.cross_entropy(LOGITS, torch.tensor([TUMOR, TUMOR]))
    assert torch.allclose(loss, expected, atol=1e-6)
    whole = trainer.scan_loss({"logits": LOGITS}, torch.tensor([TUMOR, 0]), num_items_in_batch=2)
    assert whole.item() == pytest.approx((expected[0] - p[1, 0].log()).item() / 2, abs=1e-5)


def test_it_pushes_away_from_no_tumor_and_does_not_choose_a_type(trainer):
    logits = LOGITS.clone().requires_grad_()
    trainer.cross_entropy(logits, torch.tensor([TUMOR, TUMOR])).sum().backward()
    assert (logits.grad[:, NO_TUMOR] > 0).all()
    others = [0, 1, 3]
    share = logits.grad[:, others] / logits.softmax(-1)[:, others]
    assert torch.allclose(share, share[:, :1].expand_as(share), atol=1e-6), "the three gain in proportion"


def test_the_nll_that_chooses_an_epoch_counts_weak_slices_by_their_summed_probability():
    logits = LOGITS.numpy()
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = -(np.log(1 - p[0, NO_TUMOR]) + np.log(p[1, 0])) / 2
    assert nll(logits, np.array([TUMOR, 0])) == pytest.approx(expected, abs=1e-6)


def test_the_loss_of_four_classes_is_the_smoothed_cross_entropy(trainer):
    trainer.args.label_smoothing_factor = 0.1
    labels = torch.tensor([1, 3])
    loss = trainer.scan_loss({"logits": LOGITS}, labels, num_items_in_batch=2)
    expected = cross_entropy(LOGITS, labels, reduction="sum", label_smoothing=0.1) / 2
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_share_of_a_batch_is_divided_by_the_slices_of_the_whole_step(trainer):
    """Of all processes: a mean over the own share would be scaled up by their number."""
    labels = torch.tensor([1, 3])
    whole = trainer.scan_loss({"logits": LOGITS}, labels, num_items_in_batch=2)
    shares = [trainer.scan_loss({"logits": LOGITS[i : i + 1]}, labels[i : i + 1], num_items_in_batch=2) for i in (0, 1)]
    assert sum(shares).item() == pytest.approx(whole.item(), abs=1e-6)


def test_an_epoch_is_chosen_by_the_nll_with_the_temperature_fitted_where_each_kind_of_scan_counts_by_its_root():
    random = np.random.default_rng(0)
    labels = np.array([0, 1, 2, 3] * 10 + [TUMOR] * 10)
    logits = random.normal(0, 3, (50, 4))
    names = ClassLabel(names=["main", "other"])
    validation = Dataset.from_dict({"label": labels, "sequence": ["T1"] * 50}).add_column(
        "set", [0] * 36 + [1] * 14, feature=names
    )
    figures = metrics_on(validation)(EvalPrediction(logits, labels))
    weights = np.array([9**-0.5] * 36 + [1.0] * 4 + [10**-0.5] * 10)
    temperature = fit_temperature(logits, labels, weights)
    assert figures["calibrated_nll"] == pytest.approx(nll(logits / temperature, labels, weights))
    assert figures["calibrated_nll"] < nll(logits, labels, weights)
    assert figures["accuracy"] == pytest.approx((logits[:40].argmax(1) == labels[:40]).mean())
    called, tumor = logits.argmax(1), labels != NO_TUMOR
    missed = [(called[rows][tumor[rows]] == NO_TUMOR).mean() for rows in (slice(0, 36), slice(36, 50))]
    assert figures["kinds_missed"] == pytest.approx(np.mean(missed))


def test_slices_are_drawn_by_their_weights_anew_in_each_epoch_and_alike_in_every_process():
    sampler, same = (WeightedSampler(np.array([1.0, 3.0, 0.0, 4.0]), 8000, seed=5) for _ in range(2))
    first = list(sampler)
    assert len(sampler) == len(first) == 8000 and first == list(same) == list(sampler)
    shares = np.bincount(first, minlength=4) / 8000
    assert shares == pytest.approx([0.125, 0.375, 0, 0.5], abs=0.02)
    sampler.set_epoch(1)
    assert list(sampler) != first
    same.set_epoch(1)
    assert list(same) == list(sampler)
