"""Where a training goes on, and what it must not overwrite."""

import json
import logging
from pathlib import Path

from brain_tumor.provenance import public_name
from brain_tumor.training.arguments import DataArguments, RecipeArguments, UsageError
from brain_tumor.training.run import complete_checkpoints, earlier_trainings, is_complete

logger = logging.getLogger(__name__)


def warn_of_seen_slices(name_or_path: str, data_args: DataArguments) -> None:
    """Warn of a start that was trained with another split: it may have seen slices that are test slices here."""
    here = ([public_name(name) for name in data_args.dataset_name], data_args.split, data_args.split_seed)
    for run in earlier_trainings(name_or_path):
        if (run["datasets"], run["split"], run["split_seed"]) != here:
            logger.warning(
                "%s was trained on %s, split %s, split seed %s. It may have seen slices of this run's test part, and "
                "then the test figures are too good. Start from another checkpoint, or pass the same split.",
                name_or_path, ", ".join(run["datasets"]), run["split"], run["split_seed"],
            )  # fmt: skip


def find_resume_point(args: RecipeArguments, output_dir: Path) -> str | None:
    """The checkpoint to go on from, or None to start afresh.

    Raises:
        UsageError: there is no complete checkpoint to go on from, or `output_dir` holds a finished or stopped run that
            nobody said to overwrite.
    """
    complete = complete_checkpoints(output_dir)
    if args.resume_from_checkpoint == "last":
        if not complete:
            raise UsageError(
                f"{output_dir} holds no complete checkpoint to resume from. Leave --resume_from_checkpoint out to "
                "start from the beginning."
            )
        return str(complete[-1])
    if args.resume_from_checkpoint is not None:
        if not is_complete(Path(args.resume_from_checkpoint)):
            raise UsageError(
                f"{args.resume_from_checkpoint!r} is not a complete checkpoint of a training. "
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


def resumed_at(checkpoint: str | None) -> float | None:
    """The epoch at which a checkpoint was saved that a training goes on from; None for one from the start."""
    return None if checkpoint is None else _state_of(checkpoint)["epoch"]


def step_of(checkpoint: str) -> int:
    """The step at which a checkpoint was saved."""
    return _state_of(checkpoint)["global_step"]


def _state_of(checkpoint: str) -> dict:
    return json.loads(Path(checkpoint, "trainer_state.json").read_text(encoding="utf-8"))
