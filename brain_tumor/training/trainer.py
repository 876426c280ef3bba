"""The Trainer with this project's loss and figures."""

import ctypes
import platform
import sys

import numpy as np
import torch
from datasets import Dataset
from scipy.special import softmax
from torch.nn.functional import cross_entropy
from transformers import Trainer

from brain_tumor.data.dataset import counts_by_class
from brain_tumor.data.transforms import collate
from brain_tumor.evaluation.calibration import fit_temperature, nll
from brain_tumor.evaluation.scan_metrics import ScanMetrics
from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR, TUMOR_TYPES


def keep_freed_memory() -> None:
    """Have glibc keep freed blocks instead of returning them to the system after every layer.

    Batches of feature maps are large, so by default each is mapped, cleared page by page, and unmapped again,
    in every step.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        m_trim_threshold, m_mmap_threshold, most = -1, -3, 2**31 - 1  # from malloc.h
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(m_mmap_threshold, most)
        libc.mallopt(m_trim_threshold, most)


class ScanTrainer(Trainer):
    """The Trainer with our loss, and the training accuracy in its log."""

    def __init__(self, *args, class_weights: torch.Tensor, **kwargs):
        super().__init__(*args, compute_loss_func=self.scan_loss, data_collator=collate, **kwargs)
        self.class_weights = class_weights.to(self.args.device)
        # Trainer would pass its own smoother over our loss.
        self.label_smoother = None
        self._seen = torch.zeros(2, device=self.args.device)

    def scan_loss(self, outputs, labels, num_items_in_batch=None) -> torch.Tensor:
        """The loss of a batch, or of its share of one.

        A sum divided by `num_items_in_batch`, the slices of all processes and accumulated batches of the step: a
        mean over this process's batch would be scaled up by the number of processes.
        """
        logits = outputs["logits"].float()
        items = num_items_in_batch if num_items_in_batch is not None else labels.numel()
        if self.model.training:
            called = logits.argmax(-1)
            right = torch.where(labels == TUMOR, called != NO_TUMOR, called == labels)
            self._seen += torch.stack([right.sum(), torch.tensor(len(labels)).to(labels.device)])
        return self.cross_entropy(logits, labels).sum() / items

    def cross_entropy(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(n,) losses: cross-entropy, weighted by class and smoothed; for a tumor of unknown type, -log of the summed
        probability of the three.
        """
        known = labels != TUMOR
        smoothing = self.args.label_smoothing_factor
        targets = torch.where(known, labels, 0)
        loss = cross_entropy(logits, targets, self.class_weights, reduction="none", label_smoothing=smoothing)
        weak = logits.logsumexp(-1) - logits[:, TUMOR_TYPES].logsumexp(-1)
        return torch.where(known, loss, weak)

    def log(self, logs: dict[str, float], *args, **kwargs) -> None:
        if "loss" in logs:
            correct, seen = self.accelerator.reduce(self._seen.clone(), reduction="sum").tolist()
            self._seen.zero_()
            if seen:
                logs["train_accuracy"] = correct / seen
        super().log(logs, *args, **kwargs)


def compute_metrics(prediction) -> dict[str, float]:
    """The single-number figures of an evaluation during training.

    The finished network has its temperature fitted, so epochs compete on the NLL with that: label smoothing and class
    weights make confidences too low, by more or less in different epochs.
    """
    logits, labels = np.asarray(prediction.predictions, np.float64), prediction.label_ids
    known = labels != TUMOR
    all_figures = ScanMetrics(keep_in_memory=True).compute(
        predictions=softmax(logits[known], axis=1), references=labels[known]
    )
    single = {name: value for name, value in all_figures.items() if isinstance(value, float)}
    if not known.all():
        single["weak_sensitivity"] = float((logits[~known].argmax(axis=1) != NO_TUMOR).mean())
    return single | {"calibrated_nll": nll(logits / fit_temperature(logits, labels), labels)}


def class_weights(train: Dataset, how: str) -> torch.Tensor:
    """(4,) float32 with mean 1 over the training slices: inverse to the class's share, or all 1."""
    counts = torch.tensor([float(count) for count in counts_by_class(train).values()])
    return torch.ones(len(LABELS)) if how == "none" else counts.sum() / (len(LABELS) * counts)
