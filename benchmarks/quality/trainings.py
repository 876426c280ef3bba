"""Trainings of the bundled recipe without some slices, for benchmarks that need several of them."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.arguments import add_data_argument
from benchmarks.quality.checkpoints import RECIPE, ROOT


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """`--data`, `--checkpoint` and `--epochs`."""
    add_data_argument(parser)
    parser.add_argument("--checkpoint", default="google/mobilenet_v2_1.0_224", help="pretrained Hub id or folder")
    parser.add_argument("--epochs", type=float, default=6, help="of each training; the recipe's own are twice as many")


def write_held_out(name: str, sources: Sequence[str], path: Path) -> Path:
    """A file for `train.py --hold_out` that names slices of one set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["set,source", *(f"{name},{source}" for source in sources)]) + "\n", encoding="utf-8")
    return path


def train_without(hold_out: Sequence[str], folder: Path, arguments: argparse.Namespace, *flags: str) -> Path:
    """Train the bundled recipe into a folder; a finished training is taken as it is, a stopped one goes on.

    Args:
        hold_out: for `train.py --hold_out`.
        arguments: of `add_training_arguments`.
        flags: further ones of `train.py`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "results.json").exists():
        return folder
    # relative, since results keep the names alone of what is given as a path of this machine
    recipe, output_dir = (os.path.relpath(path, ROOT) for path in (RECIPE, folder))
    command = [sys.executable, "train.py", recipe, "--data_root", str(arguments.data.resolve())]
    command += ["--model_name_or_path", arguments.checkpoint, "--num_train_epochs", str(arguments.epochs)]
    command += ["--output_dir", output_dir, "--hold_out", *hold_out, *flags]
    if any(folder.glob("checkpoint-*/trainer_state.json")):
        command.append("--resume_from_checkpoint")
    subprocess.run(command, cwd=ROOT, check=True)
    return folder
