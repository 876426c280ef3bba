"""The arguments of `train.py` and their defaults.

Of each help text the first sentence is a line of `--help`; `--help_all` shows the rest.
"""

import json
import math
import os
import re
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from brain_tumor.publishing.hub import why_no_id
from brain_tumor.training.limits import UsageError, check_values


def bfloat16_is_fast(on_cpu: bool = False) -> bool:
    """True where matrix products in bfloat16 have instructions of their own (elsewhere they are emulated)."""
    if torch.cuda.is_available() and not on_cpu:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


LESS_IS_BETTER = ("loss", "nll", "brier", "ece", "missed", "runtime")
"""How the names of the figures of validation end of which less is better; of all others more is."""

HAS_GPU = torch.cuda.is_available() or torch.backends.mps.is_available()


@dataclass
class ModelArguments:
    """Which network."""

    _argument_group_name = "model"

    model_name_or_path: str = field(
        default="google/mobilenet_v2_1.0_224",
        metadata={
            "help": "Hub id or folder, or baseline-cnn. Any image-classification checkpoint can be fine-tuned; "
            "baseline-cnn is a small convolutional network that is trained from scratch."
        },
    )
    image_size: int = field(
        default=224, metadata={"help": "Side in pixels to which slices are resized, 32 to 1024. They become square."}
    )
    dropout: float = field(
        default=0.2,
        metadata={"help": "Dropout before the classifier. Ignored where the model has none; MobileNetV2's own is 0.8."},
    )

    def __post_init__(self):
        if not 32 <= self.image_size <= 1024:
            raise UsageError(f"--image_size {self.image_size} is outside 32 to 1024 px. Try 224.")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"--dropout {self.dropout} is not in [0, 1). Try 0.2.")


@dataclass
class DataArguments:
    """Which slices."""

    _argument_group_name = "data"

    dataset_name: list[str] = field(
        default_factory=lambda: ["Simezu/brain-tumour-MRI-scan"],
        metadata={
            "help": "Hub ids or folders of slices. The first of several is the main set, the one that the "
            "published figures are of. A folder holds one folder of pictures per class (and, above them if you like, "
            "one per split), and a metadata.csv where more is known. Classes: glioma, meningioma, no tumor, pituitary, "
            "in any common spelling, and tumor for those of unknown or another type."
        },
    )
    data_root: str | None = field(
        default=None,
        metadata={"help": "Folder that holds sets under their names. What is not there is looked for on the Hub."},
    )
    split: str = field(
        default="patients",
        metadata={
            "help": "patients, or published: the main set's own parts. patients pools these and splits anew so that "
            "slices of one patient, and copies of a slice, stay in one part (68 / 12 / 20 %%); published reports how "
            "many test slices have a copy in train.",
            "choices": ["patients", "published"],
        },
    )
    split_seed: int = field(
        default=42, metadata={"help": "Seed of the split. Not --seed, so that runs compare on the same slices."}
    )
    hold_out: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Test on these sets, or on the slices that a CSV file names. Columns of the file: set, source. "
            "Whatever shares a patient with them, or is a copy, is left out of the training."
        },
    )
    max_slices_per_class: int | None = field(
        default=None, metadata={"help": "Use at most this many slices of each class. For a quick try."}
    )
    augmentation: float = field(
        default=1.0, metadata={"help": "Strength of the augmentation: 0 is none, 1 is the recipe. 2 is the most."}
    )
    epoch_slices: int | None = field(
        default=None,
        metadata={
            "help": "Slices per epoch, by default as many as there are. They are drawn so that no class, set or "
            "sequence rules by its size."
        },
    )
    familiarity: bool = field(
        default=True,
        metadata={"help": "Learn to tell brain MRI from other pictures. The larger the slices, the longer it takes."},
    )
    other_pictures: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Folders of pictures that are no brain MRI. The check of uploads learns from them; such as CT or "
            "MRI of other body parts, one folder for each kind. About a third of their cases is kept to test it."
        },
    )
    about_sets: str | None = field(
        default=None,
        metadata={"help": 'What the card says of the sets. JSON: {"name": {"from": ..., "terms": ...}}.'},
    )
    weights_license: str | None = field(
        default=None,
        metadata={
            "help": "License of the checkpoint. As the card's metadata names it; by default apache-2.0 if all sets are "
            "known to be free, else none is stated."
        },
    )
    validation_only: bool = field(
        default=False,
        metadata={"help": "Do not use the test part, and write no card. For choosing between recipes."},
    )

    def __post_init__(self):
        if self.max_slices_per_class is not None and self.max_slices_per_class < 1:
            raise UsageError(f"--max_slices_per_class {self.max_slices_per_class} must be at least 1.")
        if not 0 <= self.split_seed < 2**32:
            raise UsageError(f"--split_seed {self.split_seed} must be 0 to 4294967295.")
        if not 0 <= self.augmentation <= 2:
            raise UsageError(f"--augmentation {self.augmentation} is outside 0 to 2. 1 is the recipe.")
        if self.epoch_slices is not None and self.epoch_slices < 1:
            raise UsageError(f"--epoch_slices {self.epoch_slices} must be at least 1.")
        if not self.dataset_name:
            raise UsageError("--dataset_name names no set. Give a folder or a Hub id.")
        if self.data_root is not None and not os.path.isdir(self.data_root):
            raise UsageError(f"--data_root {self.data_root} is no folder. Give the one that holds the sets.")
        try:
            about = json.loads(self.about_sets or "{}")
        except (ValueError, RecursionError) as error:
            raise UsageError(f"--about_sets is not JSON: {error}.") from error
        if not isinstance(about, dict) or not all(isinstance(item, dict) for item in about.values()):
            raise UsageError('--about_sets must be JSON such as {"name": {"from": "...", "terms": "..."}}.')
        if self.weights_license and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", self.weights_license):
            raise UsageError(
                f"--weights_license {self.weights_license!r} is no identifier of a license. Write it as the Hub does, "
                "such as apache-2.0 or cc-by-nc-sa-4.0."
            )


@dataclass
class RecipeArguments(TrainingArguments):
    """How to train: everything that `transformers.TrainingArguments` knows, with this project's defaults."""

    _argument_group_name = "training and Hub"

    output_dir: str = field(
        default="runs/mobilenet_v2", metadata={"help": "Folder of the checkpoint, figures and card."}
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
    seed: int = field(default=42, metadata={"help": "Seed of the training."})
    eval_strategy: str = field(default="epoch", metadata={"help": "When to evaluate on validation."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to save a checkpoint to resume from."})
    logging_strategy: str = field(default="epoch", metadata={"help": "When to log the training loss."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints kept: the best and the newest."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "Keep the best epoch, not the last."})
    metric_for_best_model: str | None = field(
        default="calibrated_nll",
        metadata={"help": "What best means on validation: the NLL with the temperature fitted."},
    )
    greater_is_better: bool | None = field(
        default=None,
        metadata={"help": "Whether more of that is better. By default less is of losses and errors, more of the rest."},
    )
    early_stopping_patience: int = field(
        default=8, metadata={"help": "Stop after this many epochs without improvement; 0 never stops."}
    )
    report_to: str = field(
        default="tensorboard",
        metadata={"help": "Where the curves go, such as tensorboard or none. TensorBoard's are in output_dir/runs."},
    )
    dataloader_num_workers: int = field(
        default=min(4, os.cpu_count() or 1) if HAS_GPU else 0,
        metadata={"help": "Processes that augment beside the training. By default up to 4 with a GPU, else none."},
    )
    dataloader_pin_memory: bool = field(
        default=torch.cuda.is_available(), metadata={"help": "Use pinned memory, which speeds up copies to a GPU."}
    )
    bf16: bool | None = field(
        default=None,
        metadata={
            "help": "True: bfloat16 autocast. By default where the GPU or CPU computes in it, without --fp16; False: "
            "float32."
        },
    )
    use_cpu: bool = field(
        default=not HAS_GPU,
        metadata={"help": "Train on the CPU. By default where there is no GPU."},
    )
    remove_unused_columns: bool = field(
        default=False, metadata={"help": "Leave this as it is: slices are prepared on demand."}
    )
    resume_from_checkpoint: str | None = field(
        default=None,
        metadata={
            "help": "Go on from the last complete checkpoint, or from this one. The last one in output_dir.",
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
            "help": "Train again into an output_dir that is in use. A finished model there stays until the new one is "
            "complete; checkpoints are deleted at once."
        },
    )
    push_to_hub: bool = field(default=False, metadata={"help": "Push the finished model, in one commit."})
    hub_model_id: str | None = field(default=None, metadata={"help": "Repository to push to: your-name/model-name."})
    hub_private_repo: bool | None = field(
        default=None,
        metadata={"help": "True: if the repository is new, make it private. By default as its owner's are."},
    )
    push_only: str | None = field(
        default=None, metadata={"help": "Train nothing: push this finished folder to --hub_model_id."}
    )

    def __post_init__(self):
        if self.bf16 is None:
            self.bf16 = not self.fp16 and (self.use_cpu or HAS_GPU) and bfloat16_is_fast(self.use_cpu)
        if self.fp16 and (self.use_cpu or not HAS_GPU):
            raise UsageError("--fp16 needs a GPU. Leave it out: the CPU computes in bfloat16 or float32.")
        check_values(self)
        if self.max_steps <= 0 and not 0 < self.num_train_epochs < math.inf:
            raise UsageError(f"--num_train_epochs {self.num_train_epochs} trains nothing; give at least 1.")
        if self.push_to_hub and self.push_only:
            raise UsageError("--push_only pushes a finished folder and trains nothing; leave --push_to_hub out.")
        if (self.push_to_hub or self.push_only) and not self.hub_model_id:
            raise UsageError("Say where to push: --hub_model_id your-name/model-name.")
        if self.hub_model_id is not None and (reason := why_no_id(self.hub_model_id)):
            raise UsageError(
                f"--hub_model_id {self.hub_model_id!r} is not the id of a repository ({reason}). Give one like "
                "you/brain-tumor-classifier."
            )
        if self.greater_is_better is None:
            self.greater_is_better = not (self.metric_for_best_model or "loss").endswith(LESS_IS_BETTER)
        super().__post_init__()
        if self.early_stopping_patience and self.eval_strategy == IntervalStrategy.NO:
            raise UsageError(
                "Without evaluations no training can stop early. Pass --early_stopping_patience 0 as well."
            )


class Arguments(NamedTuple):
    """Everything that a training was told."""

    model: ModelArguments
    data: DataArguments
    training: RecipeArguments
