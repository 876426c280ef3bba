"""Fine-tune an image-classification checkpoint on brain MRI slices, evaluate it, and push it to the Hub.

    python train.py                                             # the Hub's dataset and MobileNetV2, copy-free split
    python train.py --dataset_name path/to/folder               # train/glioma/*.jpg, Testing/2-glioma/*.jpg, ...
    python train.py --tumor_dataset path/to/tumors              # and tumors of unknown type, in other kinds of scan
    python train.py --soup runs/a runs/b runs/c                  # no training: the mean of finished checkpoints
    python train.py --model_name_or_path baseline-cnn           # the small network trained from scratch, a yardstick
    python train.py --resume_from_checkpoint --output_dir DIR   # go on after being stopped
    python train.py --push_to_hub --hub_model_id you/name       # and publish: one commit, at the end
    python train.py --push_only DIR --hub_model_id you/name     # publish a finished folder later
    ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 train.py ...   # two processes on CPUs

`--output_dir` ends up holding the checkpoint that `pipeline("image-classification")` loads, `results.json`, plots,
the model's card and example scans.
"""

import ctypes
import json
import logging
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import transformers
from datasets import Value, concatenate_datasets
from datasets import config as datasets_config
from scipy.special import softmax
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import (
    EarlyStoppingCallback,
    HfArgumentParser,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from brain_tumor import calibration, decision, evaluation, plots
from brain_tumor.augment import EvalTransform, MixedCollate, TrainTransform, collate
from brain_tumor.card import write_card
from brain_tumor.dataset import DatasetError, counts_by_class, load_scans, pixels_for
from brain_tumor.examples import export_examples
from brain_tumor.export import ExportError, export_checkpoint, summary
from brain_tumor.familiarity import fit_familiarity
from brain_tumor.hub import PushError, check_token, push_checkpoint
from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR, TUMOR_TYPES
from brain_tumor.leakage import split_scans
from brain_tumor.metrics import ScanMetrics
from brain_tumor.model import ModelError, freeze_first, load_model, load_processor, mix_weights, save_checkpoint
from brain_tumor.run import (
    DiskFullError,
    all_at_once,
    best_epoch,
    command_line,
    complete_checkpoints,
    earlier_trainings,
    epoch_history,
    full_disk_told,
    is_complete,
    public_name,
    remove_checkpoints,
    results_of_run,
    versions,
)

logger = logging.getLogger("train")

EXAMPLES_PER_CLASS = 2
START_SHARES = (0.0, 0.15, 0.3, 0.45, 0.6)
"""Shares of the starting weights that `--keep_start` tries."""


def bfloat16_is_fast() -> bool:
    """True where matrix products in bfloat16 have instructions of their own (elsewhere they are emulated)."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


HAS_GPU = torch.cuda.is_available() or torch.backends.mps.is_available()


class UsageError(ValueError):
    """Arguments that cannot be meant so. The message says what to pass."""


@dataclass
class ModelArguments:
    """Which network."""

    model_name_or_path: str = field(
        default="google/mobilenet_v2_1.0_224",
        metadata={
            "help": "Checkpoint to start from: the Hub id or the folder of any image-classification model, or "
            "'baseline-cnn', a small convolutional network trained from scratch."
        },
    )
    image_size: int = field(
        default=224, metadata={"help": "Slices are resized to this many pixels square (32 to 1024), e.g. 224 or 640."}
    )
    small_first: float = field(
        default=0.0,
        metadata={
            "help": "Share of the passes, the first ones, with slices of 5/7 of --image_size (160 for 224): half the "
            "time a pass, and the last passes get used to the full size."
        },
    )
    freeze: int = field(
        default=0,
        metadata={"help": "Leave MobileNetV2's stem and so many of its first blocks as they are, e.g. 3: faster."},
    )
    keep_start: bool = field(
        default=False,
        metadata={
            "help": "At the end take the mean of the weights that the training started from and of those that it "
            "found, with the share that misses fewest validation tumors; of equals, the lowest NLL."
        },
    )
    soup: list[str] | None = field(
        default=None,
        metadata={
            "help": "Train nothing: take the mean of the weights of these folders, which train.py wrote from the same "
            "start (finished ones, or a checkpoint-N within), and calibrate, evaluate and write it as if it had been "
            "trained."
        },
    )
    dropout: float = field(
        default=0.2,
        metadata={"help": "Dropout before the classifier, where the model has it. MobileNetV2's own is 0.8."},
    )

    def __post_init__(self):
        if not 32 <= self.image_size <= 1024:
            raise UsageError(f"--image_size {self.image_size} is outside 32 to 1024 px. Try 224.")
        if not 0 <= self.small_first < 1:
            raise UsageError(f"--small_first {self.small_first} is not in [0, 1). Try 0.6, or 0 for none.")
        for folder in self.soup or []:
            if results_of_run(folder) is None:
                raise UsageError(f"--soup {folder}: no folder written by train.py, it holds no results.json.")
        if self.freeze < 0:
            raise UsageError(f"--freeze {self.freeze} is below 0. Try 3, or 0 for none.")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"--dropout {self.dropout} is not in [0, 1). Try 0.2.")


@dataclass
class DataArguments:
    """Which slices."""

    dataset_name: str = field(
        default="Simezu/brain-tumour-MRI-scan",
        metadata={
            "help": "Hub id of a dataset, or a folder with one folder of pictures per class (and, above them if you "
            "like, one per split). Classes: glioma, meningioma, no tumor, pituitary, in any common spelling."
        },
    )
    split: str = field(
        default="copy_free",
        metadata={
            "help": "'copy_free' pools the dataset's parts and splits anew so that copies of a slice stay in one part "
            "(72 / 8 / 20 %%); 'published' takes the parts as they are and tells how many test slices have a copy in "
            "train.",
            "choices": ["copy_free", "published"],
        },
    )
    split_seed: int = field(
        default=42, metadata={"help": "Seed of the split. Apart from --seed, so that runs compare on the same slices."}
    )
    tumor_dataset: str | None = field(
        default=None,
        metadata={
            "help": "A second set, of slices that show a tumor of unknown type (one class, 'tumor'): Hub id or "
            "folder. It teaches that a tumor may be in any kind of scan. Split by groups of copies too."
        },
    )
    tumor_repeats: int = field(
        default=3, metadata={"help": "How often a pass goes through the training slices of --tumor_dataset."}
    )
    extra_dataset: str | None = field(
        default=None,
        metadata={
            "help": "Another set of the four classes, which only trains: Hub id or folder. Slices with a copy in a "
            "validation or test part are left out."
        },
    )
    validation_only: bool = field(
        default=False,
        metadata={"help": "Leave the test part shut and write no card: for choosing between recipes."},
    )
    max_slices_per_class: int | None = field(
        default=None, metadata={"help": "Use at most so many slices of each class, for a quick try."}
    )
    augmentation: float = field(
        default=1.0, metadata={"help": "Strength of the augmentation: 0 is none, 1 is the recipe."}
    )
    lesions: float = field(
        default=0.0,
        metadata={"help": "Share of the healthy training slices that a pass also shows with a simulated lesion."},
    )
    crops: float = field(
        default=0.0, metadata={"help": "Share of the training slices that are cropped tightly or framed widely."}
    )
    curves: float = field(
        default=0.0, metadata={"help": "Share of the training slices whose grays go through a random curve."}
    )
    mixup: float = field(
        default=0.0, metadata={"help": "Mixes pairs of training slices, by shares from Beta(mixup, mixup); 0 does not."}
    )
    familiarity: bool = field(
        default=True,
        metadata={"help": "Fit what tells brain MRI from other pictures; the larger the slices, the longer it takes."},
    )
    class_weights: str = field(
        default="balanced",
        metadata={
            "help": "'balanced' weighs each class's loss by the inverse of its share; 'none' does not.",
            "choices": ["balanced", "none"],
        },
    )

    def __post_init__(self):
        if self.max_slices_per_class is not None and self.max_slices_per_class < 1:
            raise UsageError(f"--max_slices_per_class {self.max_slices_per_class} must be at least 1.")
        if not 0 <= self.augmentation <= 2:
            raise UsageError(f"--augmentation {self.augmentation} is outside 0 to 2. 1 is the recipe.")
        for name in ("lesions", "crops", "curves"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"--{name} {getattr(self, name)} is a share of the slices: give 0 to 1.")
        if self.mixup < 0:
            raise UsageError(f"--mixup {self.mixup} is below 0. Try 0.2, or 0 for none.")
        if self.tumor_repeats < 1:
            raise UsageError(f"--tumor_repeats {self.tumor_repeats} must be at least 1.")


@dataclass
class RecipeArguments(TrainingArguments):
    """How to train: everything that `transformers.TrainingArguments` knows, with this project's defaults."""

    output_dir: str = field(
        default="runs/mobilenet_v2", metadata={"help": "Where the checkpoint, the figures and the card go."}
    )
    num_train_epochs: float = field(default=12, metadata={"help": "Passes over the training slices."})
    learning_rate: float = field(default=5e-4, metadata={"help": "Peak learning rate of AdamW."})
    weight_decay: float = field(default=0.05, metadata={"help": "Weight decay of AdamW."})
    per_device_train_batch_size: int = field(default=32, metadata={"help": "Slices per step and process."})
    per_device_eval_batch_size: int = field(default=64, metadata={"help": "Slices per evaluation step and process."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Learning rate over time."})
    warmup_steps: float = field(
        default=0.1, metadata={"help": "Linear warm-up: a share of all steps below 1, a number of steps from 1."}
    )
    label_smoothing_factor: float = field(default=0.05, metadata={"help": "Label smoothing, 0 for none."})
    eval_strategy: str = field(default="epoch", metadata={"help": "When to evaluate on validation."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to save a checkpoint to resume from."})
    logging_strategy: str = field(default="epoch", metadata={"help": "When to log the training loss."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints kept: the best and the newest."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "Keep the best epoch, not the last."})
    metric_for_best_model: str | None = field(
        default="calibrated_nll",
        metadata={"help": "What best means on validation: the NLL with the temperature fitted, as it will be shipped."},
    )
    greater_is_better: bool | None = field(default=False, metadata={"help": "Whether more of that is better."})
    ema: float = field(
        default=0.0,
        metadata={
            "help": "Evaluate and keep an exponential moving average of the weights with this decay per step, e.g. "
            "0.99; 0 keeps the weights themselves."
        },
    )
    early_stopping_patience: int = field(
        default=8, metadata={"help": "Stop after so many epochs without a better validation figure; 0 never stops."}
    )
    report_to: str = field(
        default="tensorboard", metadata={"help": "Where the curves go: tensorboard (in output_dir/runs), none, ..."}
    )
    dataloader_num_workers: int = field(
        default=min(4, os.cpu_count() or 1) if HAS_GPU else 0,
        metadata={"help": "Processes that augment beside the training; by default up to 4 with a GPU, else none."},
    )
    dataloader_pin_memory: bool = field(
        default=torch.cuda.is_available(), metadata={"help": "Pinned memory speeds copies to a GPU up."}
    )
    bf16: bool = field(
        default=bfloat16_is_fast(),
        metadata={"help": "bfloat16 autocast; by default where the GPU or CPU computes in it, float32 elsewhere."},
    )
    use_cpu: bool = field(
        default=not HAS_GPU,
        metadata={"help": "Train on the CPU; by default where there is no GPU."},
    )
    remove_unused_columns: bool = field(default=False, metadata={"help": "Leave this: slices are made on demand."})
    resume_from_checkpoint: str | None = field(
        default=None,
        metadata={
            "help": "Go on from the last complete checkpoint in output_dir, or from the given folder.",
            "nargs": "?",
            "const": "last",
        },
    )
    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "Go on counting --early_stopping_patience where the checkpoint left off."}
    )
    overwrite: bool = field(
        default=False,
        metadata={
            "help": "Train again into an output_dir that has a model, which stays until the new one is whole, or "
            "checkpoints, which go at once."
        },
    )
    push_only: str | None = field(
        default=None, metadata={"help": "Train nothing: push this finished output folder to --hub_model_id."}
    )

    def __post_init__(self):
        super().__post_init__()
        if self.push_to_hub and self.push_only:
            raise UsageError("--push_only pushes a finished folder and trains nothing; leave --push_to_hub out.")
        if (self.push_to_hub or self.push_only) and not self.hub_model_id:
            raise UsageError("Say where to push: --hub_model_id your-name/model-name.")
        if self.num_train_epochs <= 0 and self.max_steps <= 0:
            raise UsageError(f"--num_train_epochs {self.num_train_epochs} trains nothing; give at least 1.")


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
    """The Trainer with our loss, the training accuracy in its log, mixed batches and averaged weights."""

    def __init__(self, *args, class_weights: torch.Tensor, mixup: float = 0.0, ema: float = 0.0, **kwargs):
        super().__init__(*args, compute_loss_func=self.scan_loss, data_collator=collate, **kwargs)
        self.class_weights = class_weights.to(self.args.device)
        self.mixup = mixup
        self.average = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(ema), use_buffers=True) if ema else None
        )
        # Trainer would pass its own smoother over our loss.
        self.label_smoother = None
        self._seen = torch.zeros(2, device=self.args.device)

    def get_train_dataloader(self):
        if not self.mixup:
            return super().get_train_dataloader()
        self.data_collator = MixedCollate(self.mixup)
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = collate

    def training_step(self, model, inputs, num_items_in_batch=None):
        if self.average is not None and self.state.global_step:
            self.average.update_parameters(self.accelerator.unwrap_model(model))
        return super().training_step(model, inputs, num_items_in_batch)

    def _maybe_log_save_evaluate(self, *args, **kwargs):
        """What is evaluated and saved are the averaged weights, where there are any."""
        if self.average is None or not (self.control.should_evaluate or self.control.should_save):
            return super()._maybe_log_save_evaluate(*args, **kwargs)
        model = self.accelerator.unwrap_model(self.model)
        own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        model.load_state_dict(self.average.module.state_dict())
        try:
            return super()._maybe_log_save_evaluate(*args, **kwargs)
        finally:
            model.load_state_dict(own)

    def scan_loss(self, outputs, labels, num_items_in_batch=None) -> torch.Tensor:
        """The loss of a batch, or of its share of one.

        A sum divided by `num_items_in_batch`, the slices of all processes and accumulated batches of the step: a
        mean over this process's batch would be scaled up by the number of processes.
        """
        logits = outputs["logits"].float()
        items = num_items_in_batch if num_items_in_batch is not None else labels.numel()
        if labels.ndim == 2:  # mixed: own label, the other's, own share; Trainer counted each of the three
            own, other, share = labels[:, 0].long(), labels[:, 1].long(), labels[:, 2]
            loss = share * self.cross_entropy(logits, own) + (1 - share) * self.cross_entropy(logits, other)
            items, labels = items / 3, torch.where(share >= 0.5, own, other)
        else:
            loss = self.cross_entropy(logits, labels)
        if self.model.training:
            called = logits.argmax(-1)
            right = torch.where(labels == TUMOR, called != NO_TUMOR, called == labels)
            self._seen += torch.stack([right.sum(), torch.tensor(len(labels)).to(labels.device)])
        return loss.sum() / items

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


class SmallFirst(TrainerCallback):
    """Trains the first passes on smaller slices (progressive resizing)."""

    def __init__(self, transform: TrainTransform, side: int, share: float):
        self.transform, self.side, self.share = transform, side, share

    def on_epoch_begin(self, args, state, control, **kwargs):
        early = round(state.epoch) < self.share * state.num_train_epochs
        self.transform.side = self.side if early else None


def main() -> None:
    parser = HfArgumentParser(
        (ModelArguments, DataArguments, RecipeArguments), description=__doc__.split("\n\n")[0], allow_abbrev=False
    )
    model_args, data_args, args = parser.parse_args_into_dataclasses()
    logging.basicConfig(level=logging.INFO if args.should_save else logging.ERROR, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    output_dir = Path(args.output_dir)
    if args.push_only:
        push(Path(args.push_only), args)
        return
    # The Trainer would create the repository now and push at every save; ours is one commit at the end.
    push_at_end, args.push_to_hub = args.push_to_hub, False
    if push_at_end and (warning := check_token(args.hub_token)):
        logger.warning(warning)
    resume_from = find_resume_point(args, output_dir)
    started = time.time()
    keep_freed_memory()
    set_seed(args.seed)

    # --- data -------------------------------------------------------------------------------------------------
    cache = full_disk_told(datasets_config.HF_DATASETS_CACHE, "HF_HOME")
    with args.main_process_first(desc="loading the slices"), cache:
        scans = load_scans(data_args.dataset_name)
        weak = load_scans(data_args.tumor_dataset, weak=True) if data_args.tumor_dataset else None
        extra = load_scans(data_args.extra_dataset) if data_args.extra_dataset else None
        parts = split_scans(scans, data_args.split, data_args.split_seed, weak, extra)
        if data_args.max_slices_per_class:
            parts = {name: first_of_each_class(part, data_args.max_slices_per_class) for name, part in parts.items()}
        beginning = model_args.soup[0] if model_args.soup else model_args.model_name_or_path
        processor = load_processor(beginning, model_args.image_size)
        parts = {name: pixels_for(part, processor, f"Resizing slices ({name})") for name, part in parts.items()}
    for name, part in parts.items():
        what = "tumors of unknown type" if name.startswith("tumor_") else counts_by_class(part)
        logger.info("%-16s %5d slices: %s", name, part.num_rows, what)

    if model_args.soup:
        mean_of_runs(processor, parts, model_args, data_args, args)
        if push_at_end:
            push(output_dir, args)
        return
    warn_of_seen_slices(model_args.model_name_or_path, data_args)

    # --- training ---------------------------------------------------------------------------------------------
    model = load_model(model_args.model_name_or_path, model_args.image_size, model_args.dropout)
    if model_args.freeze:
        freeze_first(model, model_args.freeze)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()} if model_args.keep_start else None
    model.to(memory_format=torch.channels_last)
    train_transform = TrainTransform(
        processor,
        strength=data_args.augmentation,
        lesions=data_args.lesions,
        crops=data_args.crops,
        curves=data_args.curves,
    )
    callbacks = [EarlyStoppingCallback(args.early_stopping_patience)] if args.early_stopping_patience else []
    if model_args.small_first:
        callbacks.append(SmallFirst(train_transform, model_args.image_size * 5 // 7, model_args.small_first))
    trainer = ScanTrainer(
        model=model,
        args=args,
        train_dataset=with_others(parts, "train", data_args.tumor_repeats).with_transform(train_transform),
        eval_dataset=with_others(parts, "validation").with_transform(EvalTransform(processor)),
        processing_class=processor,
        compute_metrics=compute_metrics,
        class_weights=class_weights(parts, data_args.class_weights),
        mixup=data_args.mixup,
        ema=args.ema,
        callbacks=callbacks,
    )
    if resume_from is None and trainer.is_world_process_zero():
        remove_checkpoints(output_dir)
    with full_disk_told(output_dir, "--output_dir"):
        trainer.train(resume_from_checkpoint=resume_from)
    seconds = time.time() - started

    # --- evaluation, by the main process alone ----------------------------------------------------------------
    if trainer.is_world_process_zero():
        # Without the wrapper that accelerate puts around it, the network computes in float32, as everywhere else.
        model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False).float()
        made = {
            "history": epoch_history(trainer.state.log_history),
            "training_seconds": round(seconds, 1),
            "epochs_trained": trainer.state.epoch,
            "best_epoch": best_epoch(trainer),
            "world_size": args.world_size,
            "precision": "bfloat16 autocast" if args.bf16 else "float32",
            "earlier_trainings": earlier_trainings(model_args.model_name_or_path),
        }
        if start is not None:
            made["share_of_start"] = keep_some_of_start(model, start, processor, parts)
        with full_disk_told(output_dir, "--output_dir"), all_at_once(output_dir) as folder:
            finish(model, processor, parts, made, model_args, data_args, args, folder)
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero() and push_at_end:
        push(output_dir, args)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def mean_of_runs(processor, parts, model_args, data_args, args) -> None:
    """`--soup`: take the mean of the weights of finished runs, and finish it as if it had been trained."""
    models = [load_model(folder, model_args.image_size) for folder in model_args.soup]
    model = models[0]
    model.load_state_dict(mix_weights([each.state_dict() for each in models], [1 / len(models)] * len(models)))
    runs = [results_of_run(folder) for folder in model_args.soup]
    for folder in model_args.soup:
        warn_of_seen_slices(folder, data_args)
    made = {
        "model_name_or_path": runs[0]["model_name_or_path"],
        "history": runs[0]["history"],
        "training_seconds": sum(run["training_seconds"] for run in runs),
        "epochs_trained": runs[0]["epochs_trained"],
        "best_epoch": runs[0]["best_epoch"],
        "world_size": runs[0]["world_size"],
        "precision": runs[0]["precision"],
        "soup": [{name: run[name] for name in ("seed", "command", "training_seconds")} for run in runs],
        "earlier_trainings": earlier_trainings(model_args.soup[0])[:-1],
    }
    output_dir = Path(args.output_dir)
    with full_disk_told(output_dir, "--output_dir"), all_at_once(output_dir) as folder:
        finish(model, processor, parts, made, model_args, data_args, args, folder)


def keep_some_of_start(model, start: dict[str, torch.Tensor], processor, parts) -> list[dict]:
    """Set the network to the mean of its weights and those it started from that is best on validation.

    Best is what `decision.recall_first` says, by the NLL with the temperature fitted.

    Returns:
        share, missed, accuracy and calibrated_nll of every share of the start that was tried, and chosen.
    """
    found = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    names = [name for name in ("validation", "tumor_validation") if name in parts]
    labels = np.concatenate([np.array(parts[name]["label"]) for name in names])
    rows = []
    for share in START_SHARES:
        model.load_state_dict(mix_weights([start, found], [share, 1 - share]))
        logits = [
            evaluation.predict_logits(model, parts[name], processor, f"Share of the start {share}") for name in names
        ]
        logits = np.concatenate(logits)
        nll = calibration.nll(logits / calibration.fit_temperature(logits, labels), labels)
        known = labels != TUMOR
        called = logits.argmax(axis=1)
        accuracy = float((called == labels)[known].mean())
        missed = int(((called == NO_TUMOR) & (labels != NO_TUMOR)).sum())
        rows.append({"share": share, "missed": missed, "accuracy": accuracy, "calibrated_nll": nll})
    figures = ([row[name] for row in rows] for name in ("accuracy", "missed", "calibrated_nll"))
    best = rows[decision.recall_first(*figures)]
    model.load_state_dict(mix_weights([start, found], [best["share"], 1 - best["share"]]))
    return [row | {"chosen": row is best} for row in rows]


def finish(model, processor, parts, made: dict, model_args, data_args, args, output_dir: Path) -> None:
    """Calibrate and choose thresholds on validation, evaluate, write everything that `output_dir` holds.

    `made` tells how the network came to be: history, epochs, seconds and the like, for results.json.
    """
    endings = ("validation",) if data_args.validation_only else ("validation", "test")
    raw = {
        name: evaluation.predict_logits(model, part, processor, f"Evaluating ({name})")
        for name, part in parts.items()
        if name.endswith(endings) and part.num_rows
    }
    labels = {name: np.array(parts[name]["label"]) for name in raw}
    temperature = calibration.fit_temperature(raw["validation"], labels["validation"])
    folded = calibration.fold_temperature(model, temperature)
    judged = [name for name in ("validation", "tumor_validation") if name in raw]
    thresholds = decision.choose_thresholds(
        softmax(np.concatenate([raw[name] for name in judged]).astype(np.float64) / temperature, axis=1),
        np.concatenate([labels[name] for name in judged]),
        np.concatenate([np.array(parts[name]["group"]) for name in judged]),
    )
    model.config.decision_thresholds = decision.to_config(thresholds)
    save_checkpoint(model, processor, output_dir)

    earlier = made["earlier_trainings"]
    results = {
        "dataset": public_name(data_args.dataset_name),
        "tumor_dataset": public_name(data_args.tumor_dataset) if data_args.tumor_dataset else None,
        "extra_dataset": public_name(data_args.extra_dataset) if data_args.extra_dataset else None,
        "split": data_args.split,
        "split_seed": data_args.split_seed,
        "counts": {name: counts_by_class(parts[name]) for name in ("train", "validation", "test")},
        "tumor_counts": {name: part.num_rows for name, part in parts.items() if name.startswith("tumor_")},
        "extra_counts": counts_by_class(parts["extra_train"]) if "extra_train" in parts else {},
        "model_name_or_path": earlier[0]["model_name_or_path"]
        if earlier
        else public_name(model_args.model_name_or_path),
        "image_size": model_args.image_size,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seed": args.seed,
        "command": command_line(),
        "versions": versions(),
        **made,
        "calibration": {
            "temperature": temperature,
            "folded_into_classifier": folded,
            "validation_nll_before": calibration.nll(raw["validation"], labels["validation"]),
            "validation_nll_after": calibration.nll(raw["validation"] / temperature, labels["validation"]),
        },
        "decision_thresholds": decision.to_config(thresholds),
        **evaluation.evaluate_parts(raw, parts, temperature, thresholds),
    }
    (output_dir / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    plots.plot_curves(made["history"], output_dir / "curves.png")
    if data_args.validation_only:
        return
    if data_args.familiarity and (familiarity := fit_familiarity(model, processor, parts, seed=args.seed)):
        familiarity.save(output_dir)
    title = f"{results['dataset']}, {results['split']} split"
    name = f"{title}, test part"
    plots.plot_confusion_matrix(results["test"], name, output_dir / "confusion_matrix.png")
    plots.plot_reliability(raw["test"], raw["test"] / temperature, labels["test"], name, output_dir / "reliability.png")
    # The worst mistakes are pictures of the dataset: in a folder of their own, which is not published.
    evaluation.write_pictures(output_dir / "evaluation", raw, parts, results, title, temperature, thresholds)
    exported = export(model, processor, parts, output_dir)
    examples = first_of_each_class(parts["test"], EXAMPLES_PER_CLASS)
    export_examples(examples, results["dataset"], output_dir / "examples")
    write_card(results, output_dir / "README.md", hub_model_id=args.hub_model_id, exported=exported)
    test = results["test"]
    low, high = test["intervals"]["accuracy"]
    logger.info(
        "Test (%s, %s): accuracy %.1f %% (95 %% interval %.1f to %.1f), macro recall %.1f %%, ECE %.3f, tumor "
        "sensitivity %.1f %%, specificity %.1f %%. Everything is in %s.",
        results["dataset"], results["split"], 100 * test["accuracy"], 100 * low, 100 * high,
        100 * test["macro_recall"], test["ece"], 100 * test["sensitivity"], 100 * test["specificity"], args.output_dir,
    )  # fmt: skip


def export(model, processor, parts, output_dir: Path) -> str:
    """Write the network for ONNX Runtime and browsers; one that cannot be written so is served by torch.

    Returns:
        What was measured, in sentences; empty without an export.
    """
    try:
        return summary(export_checkpoint(output_dir, model.cpu(), processor, parts))
    except ExportError as error:
        logger.warning("%s", error)
        return ""


def warn_of_seen_slices(name_or_path: str, data_args: DataArguments) -> None:
    """A checkpoint that goes on from another split has trained on slices that are test slices here."""
    here = (public_name(data_args.dataset_name), data_args.split, data_args.split_seed)
    for run in earlier_trainings(name_or_path):
        if (run["dataset"], run["split"], run["split_seed"]) != here:
            logger.warning(
                "%s was trained on %s, split %s, split seed %s. Slices of this run's test part may have trained it, "
                "so the figures of this run are no test. Start from another checkpoint, or pass the same split.",
                name_or_path, run["dataset"], run["split"], run["split_seed"],
            )  # fmt: skip


def with_others(parts, name: str, tumor_repeats: int = 1):
    """The columns pixels and label of a part and, where there are any, of its counterparts from the other sets."""
    others = [parts[f"tumor_{name}"]] * tumor_repeats if f"tumor_{name}" in parts else []
    others += [parts[f"extra_{name}"]] if f"extra_{name}" in parts else []
    rows = [parts[name], *others]
    columns = [part.select_columns(["pixels", "label"]).cast_column("label", Value("int64")) for part in rows]
    return concatenate_datasets(columns)


def compute_metrics(prediction) -> dict[str, float]:
    """The single-number figures of an evaluation during training.

    The network that is shipped has its temperature fitted, so epochs compete on the NLL with that: label smoothing
    and class weights make confidences too low, by more or less in different epochs.
    """
    logits, labels = np.asarray(prediction.predictions, np.float64), prediction.label_ids
    known = labels != TUMOR
    all_figures = ScanMetrics(keep_in_memory=True).compute(
        predictions=softmax(logits[known], axis=1), references=labels[known]
    )
    single = {name: value for name, value in all_figures.items() if isinstance(value, float)}
    if not known.all():
        single["weak_sensitivity"] = float((logits[~known].argmax(axis=1) != NO_TUMOR).mean())
    return single | {"calibrated_nll": calibration.nll(logits / calibration.fit_temperature(logits, labels), labels)}


def class_weights(parts, how: str) -> torch.Tensor:
    """(4,) float32 with mean 1 over the training slices: inverse to the class's share, or all 1."""
    trained = [counts_by_class(parts[name]) for name in ("train", "extra_train") if name in parts]
    counts = torch.tensor([float(sum(part[label] for part in trained)) for label in LABELS])
    return torch.ones(len(LABELS)) if how == "none" else counts.sum() / (len(LABELS) * counts)


def first_of_each_class(part, count: int):
    """At most `count` slices of each class, in the order of the part (which is that of the hashes)."""
    labels = np.array(part["label"])
    return part.select(np.sort(np.concatenate([np.flatnonzero(labels == i)[:count] for i in np.unique(labels)])))


def find_resume_point(args: RecipeArguments, output_dir: Path) -> str | None:
    """The checkpoint to go on from, or None to start afresh; refuses to write over a finished or stopped run."""
    complete = complete_checkpoints(output_dir)
    if args.resume_from_checkpoint == "last":
        if not complete:
            raise UsageError(
                f"{output_dir} holds no complete checkpoint to resume from. Leave --resume_from_checkpoint out to "
                "start from the beginning."
            )
        return str(complete[-1])
    if args.resume_from_checkpoint:
        if not is_complete(Path(args.resume_from_checkpoint)):
            raise UsageError(
                f"{args.resume_from_checkpoint} is not a complete checkpoint of a training. "
                f"Found in {output_dir}: {', '.join(c.name for c in complete) or 'none'}."
            )
        return args.resume_from_checkpoint
    if not args.overwrite and (complete or (output_dir / "results.json").exists()):
        what = "a finished model" if (output_dir / "results.json").exists() else "checkpoints of a stopped training"
        raise UsageError(
            f"{output_dir} already holds {what}. Choose another --output_dir, or pass --resume_from_checkpoint to go "
            "on, or --overwrite to train again."
        )
    return None


def push(output_dir: Path, args: RecipeArguments) -> None:
    url = push_checkpoint(output_dir, args.hub_model_id, private=args.hub_private_repo, token=args.hub_token)
    logger.info("Pushed %s to %s", output_dir, url)


def run() -> int:
    try:
        main()
    except (UsageError, DatasetError, ModelError, PushError, DiskFullError) as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_warning()
    sys.exit(run())
