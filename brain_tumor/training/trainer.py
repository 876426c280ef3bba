"""The Trainer with this project's sampling, loss and figures."""

import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from datasets import Dataset
from scipy.special import softmax
from torch.nn.functional import cross_entropy
from torch.utils.data import Sampler
from transformers import Trainer

from brain_tumor.data.split import kinds, slice_weights
from brain_tumor.data.transforms import collate
from brain_tumor.evaluation.calibration import fit_temperature, nll
from brain_tumor.evaluation.kinds import mean_over_kinds
from brain_tumor.evaluation.scan_metrics import ScanMetrics
from brain_tumor.labels import NO_TUMOR, TUMOR, TUMOR_TYPES
from brain_tumor.training.arguments import UsageError


class WeightedSampler(Sampler):
    """Draws slices by their weights, with replacement, anew in each epoch and alike in every process.

    Args:
        weights: (n,) how likely each slice is.
        count: slices per epoch.
        seed: of the draws.
    """

    def __init__(self, weights: np.ndarray, count: int, seed: int):
        self.shares, self.count, self.seed, self.epoch = weights / weights.sum(), count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self.seed, self.epoch])
        return iter(random.choice(len(self.shares), self.count, p=self.shares).tolist())


class ScanTrainer(Trainer):
    """The Trainer with our sampling and loss, and the training accuracy in its log.

    Args:
        weights: (n,) how likely each training slice is to be drawn (`split.slice_weights`).
        epoch_slices: slices per epoch; by default as many as there are. The last is left out where it would be a
            batch by itself from which the network cannot learn.
    """

    def __init__(self, *args, weights: np.ndarray, epoch_slices: int | None = None, **kwargs):
        self.weights, self.epoch_slices = weights, epoch_slices or len(weights)
        super().__init__(*args, compute_loss_func=self.scan_loss, data_collator=collate, **kwargs)
        batch = self.args.train_batch_size
        if self.epoch_slices > batch > 1 and self.epoch_slices % batch == 1 and not self._takes_one_slice():
            self.epoch_slices -= 1
        # Trainer would pass its own smoother over our loss.
        self.label_smoother = None
        self._seen = torch.zeros(2, device=self.args.device)

    def _takes_one_slice(self) -> bool:
        """Whether the network learns from a batch of one: no batch norm does whose maps are a single pixel by then."""
        pixels = self.train_dataset[0]["pixel_values"][None]
        try:
            with torch.random.fork_rng():
                copy.deepcopy(self.model).to("cpu").train()(pixel_values=pixels)
        except ValueError:
            return False
        return True

    def _get_train_sampler(self, train_dataset=None) -> WeightedSampler:
        return WeightedSampler(self.weights, self.epoch_slices, self.args.seed)

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
        """(n,) losses: cross-entropy, smoothed; for a tumor of unknown type, -log of the summed
        probability of the three.
        """
        known = labels != TUMOR
        smoothing = self.args.label_smoothing_factor
        targets = torch.where(known, labels, 0)
        loss = cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
        weak = logits.logsumexp(-1) - logits[:, TUMOR_TYPES].logsumexp(-1)
        return torch.where(known, loss, weak)

    def log(self, logs: dict[str, float], *args, **kwargs) -> None:
        if "loss" in logs:
            correct, seen = self.accelerator.reduce(self._seen.clone(), reduction="sum").tolist()
            self._seen.zero_()
            if seen:
                logs["train_accuracy"] = correct / seen
        super().log(logs, *args, **kwargs)


def metrics_on(validation: Dataset) -> Callable:
    """`compute_metrics` for the Trainer: the single-number figures of an evaluation during training.

    The finished network has its temperature fitted, so epochs compete on the NLL with that: label smoothing and
    sampling make confidences too low, by more or less in different epochs. It is weighted like the training.
    """
    weights, of_kind = slice_weights(validation), kinds(validation)

    def compute_metrics(prediction) -> dict[str, float]:
        logits, labels = np.asarray(prediction.predictions, np.float64), prediction.label_ids
        if not np.isfinite(logits).all():
            raise UsageError(
                "The network's outputs are no numbers any more: the training has gone astray. Train again with a lower "
                "--learning_rate, or a larger --warmup_steps."
            )
        known = labels != TUMOR
        all_figures = ScanMetrics(keep_in_memory=True).compute(
            predictions=softmax(logits[known], axis=1), references=labels[known]
        )
        single = {name: value for name, value in all_figures.items() if isinstance(value, float)}
        single |= {f"kinds_{name}": value for name, value in mean_over_kinds(logits.argmax(1), labels, of_kind).items()}
        temperature = fit_temperature(logits, labels, weights)
        return single | {"calibrated_nll": nll(logits / temperature, labels, weights)}

    return compute_metrics
