"""What a training run leaves behind, stopped or finished: checkpoints, files, and a record of how it went."""

import contextlib
import errno
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open

from brain_tumor.inference.checkpoint import WEIGHTS, sha256_of
from brain_tumor.provenance import public_name, results_of_run

ABOUT_THE_WEIGHTS = (
    "README.md",
    "confusion_matrix.png",
    "evaluation",
    "examples",
    "familiarity.safetensors",
    "kinds.png",
    "onnx",
    "reliability.png",
    "roc.png",
)
"""What a finished run may hold beside its weights and is true of these weights alone."""


class DiskFullError(RuntimeError):
    """A file could not be written to its end. The message says where, and how to go on."""


def complete_checkpoints(output_dir: Path) -> list[Path]:
    """The Trainer's checkpoints, oldest first, without those that a kill left half written."""
    found = [
        path for path in output_dir.glob("checkpoint-*") if path.name.split("-")[-1].isdigit() and is_complete(path)
    ]
    return sorted(found, key=lambda path: int(path.name.split("-")[-1]))


def is_complete(checkpoint: Path) -> bool:
    """Whether a checkpoint can be resumed from.

    The Trainer writes trainer_state.json last, so a kill leaves none. After a power cut it may be there while a file
    written before it is cut short.
    """
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
        with safe_open(checkpoint / WEIGHTS, framework="numpy"):  # compares the header with the file's size
            pass
        # torch.save writes a zip, whose directory is at its end.
        return all(zipfile.is_zipfile(path) for path in checkpoint.iterdir() if path.suffix in (".pt", ".pth"))
    except (OSError, ValueError, SafetensorError):
        return False


def remove_checkpoints(output_dir: Path) -> None:
    """Delete the Trainer's checkpoints, complete or not, so that a new training is never resumed from an old one's."""
    for path in output_dir.glob("checkpoint-*"):
        if path.name.split("-")[-1].isdigit():
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def all_at_once(output_dir: Path) -> Iterator[Path]:
    """A folder to write a finished run into, whose files take their place in `output_dir` when all are written.

    Whatever stops it before, an earlier run's files in `output_dir` stay as they are. Of them only those of the same
    name, and those of `ABOUT_THE_WEIGHTS`, are replaced or removed.
    """
    unfinished = output_dir / ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        # Without results.json a folder does not count as finished: the earlier one goes first, the new one comes last.
        for name in ("results.json", *ABOUT_THE_WEIGHTS):
            _delete(output_dir / name)
        for path in sorted(unfinished.iterdir(), key=lambda path: path.name == "results.json"):
            path.replace(output_dir / path.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def explain_full_disk(folder: str | Path, setting: str) -> Iterator[None]:
    """Turn an error that a full disk caused into a sentence: where there was no room, and how to go on.

    Args:
        folder: where the files go.
        setting: what names the folder: a flag or an environment variable.

    Raises:
        DiskFullError: for any exception that comes of a full disk, a quota or a limit on the size of files.
    """
    try:
        yield
    except Exception as error:
        reason = _no_room(error)
        if reason is None:
            raise
        complete = complete_checkpoints(Path(folder))
        go_on = f"go on with --resume_from_checkpoint {complete[-1]}" if complete else "run the same command again"
        raise DiskFullError(
            f"There is no room to write in {folder} ({reason}). Make room, or set {setting} to a folder on another "
            f"disk, and {go_on}."
        ) from error


def _no_room(error: BaseException | None) -> str | None:
    """What the system says if an exception, or one behind it, comes of a full disk; None if not."""
    while error is not None:
        words = str(error)
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            # safetensors has the system's words alone.
            if getattr(error, "errno", None) == code or os.strerror(code) in words:
                return os.strerror(code)
        # torch says no more than that less arrived in its file than it wrote.
        if "PytorchStreamWriter" in words or "unexpected pos" in words:
            return "a file came out shorter than what was written"
        error = error.__cause__ or error.__context__
    return None


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
    """The training that made a folder and those before it, first one first, as its results.json has them.

    Returns:
        model_name_or_path, base_weights_sha256, datasets, split, split_seed, seed, epochs_trained and command of each;
        empty for a Hub id or a folder without results.json.
    """
    results = results_of_run(name_or_path) or {}
    names = ("model_name_or_path", "datasets", "split", "split_seed", "seed", "epochs_trained", "command")
    if not all(name in results for name in names):
        return []
    this = {name: results[name] for name in names} | {"base_weights_sha256": results.get("base_weights_sha256")}
    return [*results.get("earlier_trainings", []), this]


def describe_start(name_or_path: str) -> dict:
    """What results.json says of the checkpoint that a training started from.

    Returns:
        model_name_or_path: of the first of all trainings that led here.
        base_weights_sha256: of its weights, if they lay in a folder, else None; a card may know them by it.
        earlier_trainings: as the function of this name returns them.
    """
    earlier, weights = earlier_trainings(name_or_path), Path(name_or_path, WEIGHTS)
    first = earlier[0] if earlier else {"model_name_or_path": public_name(name_or_path)}
    if not earlier and weights.is_file():
        first["base_weights_sha256"] = sha256_of(weights)
    return {
        "model_name_or_path": first["model_name_or_path"],
        "base_weights_sha256": first.get("base_weights_sha256"),
        "earlier_trainings": earlier,
    }
