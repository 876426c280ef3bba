"""The first step of a training, on noise, before the slices are opened.

The rule: what would stop a training stops it before the work, with a sentence. What an argument may be is checked where
it is defined (`arguments`); whether these arguments, this network and this machine go together nobody knows as well as
`transformers` does, so it is tried: an optimizer that needs another package, a figure that no evaluation has, precision
that the processor lacks, a checkpoint of another network.
"""

import copy
import tempfile
from collections.abc import Callable

import numpy as np
from datasets import ClassLabel, Dataset, disable_progress_bars, enable_progress_bars, is_progress_bar_enabled
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from transformers.integrations import get_available_reporting_integrations, get_reporting_integration_callbacks
from transformers.trainer_utils import IntervalStrategy, SaveStrategy
from transformers.utils import logging

from brain_tumor.labels import LABELS
from brain_tumor.training.arguments import Arguments, UsageError
from brain_tumor.training.resume import step_of

MOST_SLICES = 64
"""The largest batch of a rehearsal."""

STEPS = 10_000
"""Steps of which one is made: schedules of the learning rate are for many."""


def rehearse(make_trainer: Callable, model, processor, arguments: Arguments, resume_from: str | None = None) -> None:
    """One step on noise and an evaluation, with a copy of the network; nothing is written or logged.

    Args:
        make_trainer: (network, image processor, arguments, parts) -> the Trainer.
        model, processor: the network and its image processor.
        arguments: of the training.
        resume_from: a checkpoint to go on from, as the Trainer takes it.

    Raises:
        UsageError: whatever went wrong, in one line.
    """
    args = arguments.training
    if args.deepspeed:
        return  # it keeps what it was told for the whole process
    short = copy.copy(args)
    short.max_steps = STEPS if resume_from is None else STEPS + step_of(resume_from)
    short.per_device_train_batch_size = min(args.per_device_train_batch_size, MOST_SLICES)
    short.per_device_eval_batch_size = min(args.per_device_eval_batch_size, MOST_SLICES)
    short.logging_strategy, short.save_strategy = IntervalStrategy.NO, SaveStrategy.NO
    if args.eval_strategy != IntervalStrategy.NO:
        short.eval_strategy, short.eval_steps, short.eval_delay, short.eval_on_start = (
            IntervalStrategy.STEPS,
            1,
            0,
            False,
        )
    short.report_to, short.ignore_data_skip = [], True
    verbosity, bars = logging.get_verbosity(), is_progress_bar_enabled()
    logging.set_verbosity_error()
    disable_progress_bars()
    try:
        _check_reporters(args.report_to)
        with tempfile.TemporaryDirectory() as folder:
            short.output_dir = folder
            parts = {
                "train": _noise(short.train_batch_size * short.world_size, processor),
                "validation": _noise(short.eval_batch_size * short.world_size, processor),
            }
            trainer = make_trainer(copy.deepcopy(model), processor, arguments._replace(training=short), parts)
            for callback in (PrinterCallback, ProgressCallback):
                trainer.remove_callback(callback)
            trainer.add_callback(_OneStep)
            trainer.train(resume_from_checkpoint=resume_from)
            trainer.accelerator.free_memory()
    except UsageError:
        raise
    except Exception as error:
        from_where = "" if resume_from is None else f", from {resume_from}"
        raise UsageError(f"The training cannot start with these arguments{from_where}: {_reason(error)}") from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            enable_progress_bars()


class _OneStep(TrainerCallback):
    """Ends a training after its first step."""

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = True


def _check_reporters(names: list[str]) -> None:
    """Raise UsageError if the curves cannot go where they shall, for want of a package."""
    installed = get_available_reporting_integrations()
    for name, reporter in zip(names, get_reporting_integration_callbacks(names), strict=True):
        if name not in (*installed, "flyte", "kubeflow"):  # of these two it cannot be asked
            raise UsageError(f"--report_to {name} needs a package that is not installed. Install it, or pass none.")
        reporter()


def _noise(count: int, processor) -> Dataset:
    """Slices of nothing, with the columns of a part that the Trainer and its figures look at."""
    random = np.random.default_rng(0)
    size = processor.size["height"] * processor.size["width"]
    rows = {
        "pixels": [random.bytes(size) for _ in range(count)],
        "label": [number % len(LABELS) for number in range(count)],
        "sequence": [""] * count,
    }
    return Dataset.from_dict(rows).add_column("set", [0] * count, feature=ClassLabel(names=["noise"]))


def _reason(error: Exception) -> str:
    """What an exception says, in one line that ends with a full stop."""
    said = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    line = " ".join(said.split()) or type(error).__name__
    return (line if len(line) <= 400 else line[:400] + "...").rstrip(".") + "."
