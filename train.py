"""Fine-tune an image classifier on brain MRI slices, evaluate it, and push it to the Hub.

    python train.py                                             # the Hub's dataset and MobileNetV2, parts by patient
    python train.py --dataset_name path/to/folder another       # train/glioma/*.jpg, Testing/2-glioma/*.jpg, ...
    python train.py recipes/bundled.json --data_root FOLDER     # the shipped checkpoint, of all sets in FOLDER
    python train.py --model_name_or_path baseline-cnn           # the small network trained from scratch, a yardstick
    python train.py recipe.json --seed 1                        # arguments from a file, and flags that override them
    python train.py --resume_from_checkpoint --output_dir DIR   # go on after being stopped
    python train.py --push_to_hub --hub_model_id you/name       # and publish: one commit, at the end
    python train.py --push_only DIR --hub_model_id you/name     # publish a finished folder later
    ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 train.py ...   # two processes on CPUs

`--output_dir` ends up holding the checkpoint that `pipeline("image-classification")` loads, `results.json`, plots,
the model's card and example scans.
"""

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from datasets import Dataset, Value
from datasets import config as datasets_config
from transformers import EarlyStoppingCallback, set_seed

from brain_tumor.allocator import keep_freed_memory
from brain_tumor.data.checks import check_split, check_writable
from brain_tumor.data.dataset import DatasetError, counts_by_class, load_scans
from brain_tumor.data.pixels import pixels_for
from brain_tumor.data.sets import FoundSets, find_scans
from brain_tumor.data.split import first_of_each_class, slice_weights, split_scans
from brain_tumor.data.transforms import EvalTransform, TrainTransform
from brain_tumor.network.pretrained import ModelError, load_model, load_processor
from brain_tumor.publishing.hub import PushError, check_access, check_token, push_checkpoint
from brain_tumor.training.arguments import Arguments, DataArguments, RecipeArguments, UsageError
from brain_tumor.training.command_line import parse_arguments
from brain_tumor.training.finish import TrainedNetwork, finish
from brain_tumor.training.other_pictures import find_other_pictures
from brain_tumor.training.rehearsal import rehearse
from brain_tumor.training.resume import find_resume_point, resumed_at, warn_of_seen_slices
from brain_tumor.training.run import (
    DiskFullError,
    all_at_once,
    best_epoch,
    describe_start,
    epoch_history,
    explain_full_disk,
    remove_checkpoints,
)
from brain_tumor.training.summary import summary
from brain_tumor.training.trainer import ScanTrainer, metrics_on

logger = logging.getLogger("train")


def main(words: Sequence[str] | None = None) -> None:
    """Train as a command line says, by default this process's own."""
    arguments = parse_arguments(sys.argv[1:] if words is None else words, description=__doc__.split("\n\n")[0])
    model_args, data_args, args = arguments
    logging.basicConfig(level=logging.INFO if args.should_save else logging.ERROR, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    output_dir = Path(args.output_dir)
    if args.push_only:
        push(Path(args.push_only), args)
        return
    # The Trainer would create the repository now and push at every save; ours is one commit at the end.
    push_at_end, args.push_to_hub = args.push_to_hub, False
    if push_at_end and args.should_save:
        warning = check_token(args.hub_token) or check_access(args.hub_model_id, args.hub_token)
        if warning:
            logger.warning(warning)
    check_writable(output_dir, "--output_dir")
    check_writable(datasets_config.HF_DATASETS_CACHE, "HF_HOME")
    resume_from = find_resume_point(args, output_dir)
    resumed = resumed_at(resume_from)  # before the training: it deletes old checkpoints
    started = time.time()
    keep_freed_memory()
    set_seed(args.seed)

    # What can stop a training stops it here, before the slices are opened.
    cache = explain_full_disk(datasets_config.HF_DATASETS_CACHE, "HF_HOME")
    with args.main_process_first(desc="finding the slices"), cache:
        found = find_scans(data_args.dataset_name, data_args.data_root)
    check_split(found, data_args.split, data_args.hold_out)
    others = find_other_pictures(data_args.other_pictures, data_args.data_root) if data_args.familiarity else ([], [])
    processor = load_processor(model_args.model_name_or_path, model_args.image_size)
    model = load_model(model_args.model_name_or_path, model_args.image_size, model_args.dropout)
    model.to(memory_format=torch.channels_last)
    rehearse(make_trainer, model, processor, arguments, resume_from)

    cache = explain_full_disk(datasets_config.HF_DATASETS_CACHE, "HF_HOME")
    with args.main_process_first(desc="loading the slices"), cache:
        parts = load_parts(data_args, found)
        parts = {name: pixels_for(part, processor, f"Resizing slices ({name})") for name, part in parts.items()}
    for name, part in parts.items():
        logger.info("%-10s %5d slices: %s", name, part.num_rows, counts_by_class(part))
    warn_of_seen_slices(model_args.model_name_or_path, data_args)

    trainer = make_trainer(model, processor, arguments, parts)
    if resume_from is None and trainer.is_world_process_zero():
        remove_checkpoints(output_dir)
    with explain_full_disk(output_dir, "--output_dir"):
        trainer.train(resume_from_checkpoint=resume_from)
    record = {
        **describe_start(model_args.model_name_or_path),
        "history": epoch_history(trainer.state.log_history),
        "training_seconds": round(time.time() - started, 1),
        "resumed_at_epoch": resumed,
        "epochs_trained": trainer.state.epoch,
        "best_epoch": best_epoch(trainer),
        "world_size": args.world_size,
        "precision": "bfloat16 autocast" if args.bf16 else "float32",
    }

    if trainer.is_world_process_zero():
        # Without the wrapper that accelerate puts around it, the network computes in float32, as everywhere else.
        model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False).float()
        with explain_full_disk(output_dir, "--output_dir"), all_at_once(output_dir) as folder:
            results = finish(TrainedNetwork(model, processor, parts, others, record), arguments, folder)
        logger.info("%s", summary(results, args.output_dir, args.hub_model_id))
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero() and push_at_end:
        push(output_dir, args)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def load_parts(data_args: DataArguments, found: FoundSets) -> dict[str, Dataset]:
    """The parts of the sets that were found, as `split_scans` names them."""
    scans = load_scans(found)
    parts = dict(split_scans(scans, data_args.split, data_args.split_seed, data_args.hold_out))
    if data_args.max_slices_per_class:
        parts = {name: first_of_each_class(part, data_args.max_slices_per_class) for name, part in parts.items()}
    return parts


def make_trainer(model, processor, arguments: Arguments, parts: dict[str, Dataset]) -> ScanTrainer:
    """The Trainer of a network on the parts train and validation, which have the column pixels."""
    _, data_args, args = arguments
    return ScanTrainer(
        model=model,
        args=args,
        train_dataset=_to_learn(parts["train"]).with_transform(
            TrainTransform(processor, strength=data_args.augmentation)
        ),
        eval_dataset=_to_learn(parts["validation"]).with_transform(EvalTransform(processor)),
        processing_class=processor,
        compute_metrics=metrics_on(parts["validation"]),
        weights=slice_weights(parts["train"]),
        epoch_slices=data_args.epoch_slices,
        callbacks=[EarlyStoppingCallback(args.early_stopping_patience)] if args.early_stopping_patience else [],
    )


def _to_learn(part: Dataset) -> Dataset:
    """The columns of a part that `transforms` takes: pixels, and label as a plain number."""
    return part.select_columns(["pixels", "label"]).cast_column("label", Value("int64"))


def push(output_dir: Path, args: RecipeArguments) -> None:
    url = push_checkpoint(output_dir, args.hub_model_id, private=args.hub_private_repo, token=args.hub_token)
    logger.info("Pushed %s to %s", output_dir, url)


def run(words: Sequence[str] | None = None) -> int:
    """`main`, with a sentence and 1 for what the person who started it can put right."""
    try:
        main(words)
    except (UsageError, DatasetError, ModelError, PushError, DiskFullError) as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_warning()
    sys.exit(run())
