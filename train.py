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

import logging
import sys
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from datasets import config as datasets_config
from transformers import EarlyStoppingCallback, HfArgumentParser, set_seed

from brain_tumor.data.dataset import DatasetError, counts_by_class, load_scans
from brain_tumor.data.pixels import pixels_for
from brain_tumor.data.split import first_of_each_class, split_scans, with_others
from brain_tumor.data.transforms import EvalTransform, TrainTransform
from brain_tumor.evaluation import calibration
from brain_tumor.evaluation.logits import predict_logits
from brain_tumor.evaluation.thresholds import recall_first
from brain_tumor.labels import NO_TUMOR, TUMOR
from brain_tumor.network.pretrained import ModelError, freeze_first, load_model, load_processor, mix_weights
from brain_tumor.provenance import results_of_run
from brain_tumor.publishing.hub import PushError, check_token, push_checkpoint
from brain_tumor.training.arguments import DataArguments, ModelArguments, RecipeArguments, UsageError
from brain_tumor.training.finish import finish
from brain_tumor.training.resume import find_resume_point, warn_of_seen_slices
from brain_tumor.training.run import (
    DiskFullError,
    all_at_once,
    best_epoch,
    earlier_trainings,
    epoch_history,
    full_disk_told,
    remove_checkpoints,
)
from brain_tumor.training.trainer import ScanTrainer, SmallFirst, class_weights, compute_metrics, keep_freed_memory

logger = logging.getLogger("train")

START_SHARES = (0.0, 0.15, 0.3, 0.45, 0.6)
"""Shares of the starting weights that `--keep_start` tries."""


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

    Best is what `recall_first` says, by the NLL with the temperature fitted.

    Returns:
        share, missed, accuracy and calibrated_nll of every share of the start that was tried, and chosen.
    """
    found = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    names = [name for name in ("validation", "tumor_validation") if name in parts]
    labels = np.concatenate([np.array(parts[name]["label"]) for name in names])
    rows = []
    for share in START_SHARES:
        model.load_state_dict(mix_weights([start, found], [share, 1 - share]))
        logits = [predict_logits(model, parts[name], processor, f"Share of the start {share}") for name in names]
        logits = np.concatenate(logits)
        nll = calibration.nll(logits / calibration.fit_temperature(logits, labels), labels)
        known = labels != TUMOR
        called = logits.argmax(axis=1)
        accuracy = float((called == labels)[known].mean())
        missed = int(((called == NO_TUMOR) & (labels != NO_TUMOR)).sum())
        rows.append({"share": share, "missed": missed, "accuracy": accuracy, "calibrated_nll": nll})
    figures = ([row[name] for row in rows] for name in ("accuracy", "missed", "calibrated_nll"))
    best = rows[recall_first(*figures)]
    model.load_state_dict(mix_weights([start, found], [best["share"], 1 - best["share"]]))
    return [row | {"chosen": row is best} for row in rows]


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
