"""What a training run leaves behind: checkpoints to resume from, its history, its command and versions."""

import json
import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "transformers", "datasets", "evaluate", "accelerate", "numpy", "pillow", "scikit-learn")


def complete_checkpoints(output_dir: Path) -> list[Path]:
    """The Trainer's checkpoints, oldest first, without those that a kill left half written."""
    found = [
        path for path in output_dir.glob("checkpoint-*") if path.name.split("-")[-1].isdigit() and is_complete(path)
    ]
    return sorted(found, key=lambda path: int(path.name.split("-")[-1]))


def is_complete(checkpoint: Path) -> bool:
    """The Trainer writes trainer_state.json last; a readable one means that all before it is there."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
        return (checkpoint / "model.safetensors").stat().st_size > 0
    except (OSError, ValueError):
        return False


def epoch_history(log_history: list[dict]) -> list[dict]:
    """One row an epoch: training loss and accuracy, validation figures, learning rate."""
    rows: dict[float, dict] = {}
    for entry in log_history:
        epoch = entry.get("epoch")
        if epoch is None or "train_runtime" in entry:
            continue
        row = rows.setdefault(round(epoch, 4), {"epoch": round(epoch, 4)})
        for name, value in entry.items():
            if name in ("learning_rate", "train_accuracy"):
                row[name] = value
            elif name == "loss":
                row["train_loss"] = value
            elif name.startswith("eval_") and not name.endswith(("_runtime", "_per_second")):
                row[name.replace("eval_", "validation_")] = value
    return [row for row in rows.values() if len(row) > 1]


def best_epoch(trainer) -> float | None:
    """The epoch whose validation figure was best, which is the one that is kept."""
    step = trainer.state.best_global_step
    return next((entry["epoch"] for entry in trainer.state.log_history if entry.get("step") == step), None)


def earlier_trainings(name_or_path: str) -> list[dict]:
    """What the folder that a training starts from tells of its own training and of those before it, first one first.

    Returns:
        model_name_or_path, dataset, split, split_seed, seed, epochs_trained and command of each; empty for a Hub id or
        a folder without results.json.
    """
    results = results_of_run(name_or_path) or {}
    names = ("model_name_or_path", "dataset", "split", "split_seed", "seed", "epochs_trained", "command")
    if not all(name in results for name in names):
        return []
    return [*results.get("earlier_trainings", []), {name: results[name] for name in names}]


def results_of_run(folder: str | Path) -> dict | None:
    """The results.json of a folder that `train.py` wrote, or of the run that one of its checkpoint-N belongs to."""
    folder = Path(folder)
    run = folder.parent if folder.name.startswith("checkpoint-") else folder
    try:
        return json.loads((run / "results.json").read_text())
    except (OSError, ValueError):
        return None


def public_name(name_or_path: str) -> str:
    """A Hub id as it is, a folder by its name alone: where it lies on somebody's machine tells nothing."""
    path = Path(name_or_path)
    return path.resolve().name if path.exists() else name_or_path


def command_line() -> str:
    """The command as typed, with folders elsewhere on this machine by their names alone."""
    words = [Path(word).name if os.path.isabs(word) or word.startswith("..") else word for word in sys.argv[1:]]
    module = getattr(sys.modules["__main__"], "__spec__", None)  # set if it was started with -m
    program = ["-m", module.name.removesuffix(".__main__")] if module else [Path(sys.argv[0]).name]
    return shlex.join(["python", *program, *words])


def versions() -> dict[str, str]:
    """Name -> installed version of everything that a figure may depend on."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}
