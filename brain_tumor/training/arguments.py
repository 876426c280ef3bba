"""What `train.py` can be told, and what it does where it is told nothing."""

import os
from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments

from brain_tumor.provenance import results_of_run


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
