"""Scans per second of a training: `train.py` against the Trainer as the public example script sets it up.

    python -m benchmarks.speed.training --data FOLDER
    python -m benchmarks.speed.training ... --accuracy     # and what both reach in a short training on the same slices

`train.py` runs as it is, with its defaults. The other side is what `run_image_classification.py` of transformers does:
the library's Trainer and network in float32, pictures decoded, cropped at random, mirrored and normalized in the loop
(by Pillow here, which is what torchvision calls for pictures). Both fine-tune the same network on the train part of the
split by patients in batches of 32. Each has a process of its own, which stops after some steps until it is its turn.
At the end a few steps of both are profiled. Writes `benchmarks/results/speed/training.json` and
`training_profile.png`; with --accuracy, `training_accuracy.json`.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.arguments import add_data_argument
from benchmarks.speed.timing import RESULTS, Contestant, ratio, spread, take_turns, write_results
from brain_tumor.provenance import public_name

OURS, EXAMPLE = "train.py", "example"

DATASET = "brain-tumour-MRI-scan"

SHORT = ["--num_train_epochs", "3", "--max_slices_per_class", "250", "--learning_rate", "2e-4"]
"""The short training of --accuracy: flags of `train.py`; the other side gets the same by their names."""

KINDS = {
    "pictures: decode, resize, augment": ("pictures",),
    "convolutions": ("conv",),
    "batch norm": ("batch_norm", "batchnorm"),
    "activations": ("hardtanh", "relu", "clamp"),
    "padding": ("pad",),
    "casts and copies": ("copy_", "_to_copy", "contiguous", "clone", "aten::to", "reorder"),
    "optimizer": ("optimizer", "adam", "foreach", "clip_grad", "norm"),
}
"""Kind of operator -> parts of the names of which it is the first to have one; what has none is "other"."""

OTHER = "other"

# --- in the contestants' processes ------------------------------------------------------------------------------


class Enough(Exception):
    """Thrown out of a training that was measured as long as was asked."""


def train_py(turns, data: Path, checkpoint: str, batch: int) -> None:
    """A contestant: `train.main` with nothing but the data and the checkpoint given."""
    import train

    class Watched(train.ScanTrainer):
        def __init__(self, *args, callbacks=(), **kwargs):
            super().__init__(*args, callbacks=[*callbacks, stop_and_go(turns, batch)], **kwargs)
            watch(self)

    train.ScanTrainer = Watched
    with tempfile.TemporaryDirectory() as scratch, contextlib.suppress(Enough):
        flags = ["--dataset_name", str(data / DATASET), "--model_name_or_path", checkpoint, "--output_dir", scratch]
        sys.argv = ["train.py", *flags, "--per_device_train_batch_size", str(batch), "--report_to", "none"]
        train.main()


def example(turns, data: Path, checkpoint: str, batch: int) -> None:
    """A contestant: the library's Trainer as its example script leaves it."""
    from transformers import TrainingArguments

    from benchmarks.example_recipe import example_trainer
    from benchmarks.quality.checkpoints import load_parts

    part = load_parts(data)["train"]
    with tempfile.TemporaryDirectory() as scratch, contextlib.suppress(Enough):
        args = TrainingArguments(
            output_dir=scratch,
            per_device_train_batch_size=batch,
            use_cpu=True,
            remove_unused_columns=False,
            report_to="none",
        )
        trainer = example_trainer(part, checkpoint, args)
        trainer.add_callback(stop_and_go(turns, batch))
        watch(trainer)
        trainer.train()


def stop_and_go(turns, batch: int):
    """A callback that waits for its turn: asked for ("steps", n) it answers scans per second of the next n steps, for
    ("profile", n) the milliseconds of a step by kind of operator."""
    from torch.profiler import ProfilerActivity, profile
    from transformers import TrainerCallback

    class StopAndGo(TrainerCallback):
        def __init__(self):
            self.requests, self.left, self.profiler = iter(turns), 0, None

        def on_train_begin(self, args, state, control, **kwargs):
            self.wait()

        def on_step_end(self, args, state, control, **kwargs):
            self.left -= 1
            if self.left:
                return
            seconds = time.perf_counter() - self.started
            if self.profiler:
                self.profiler.stop()
                found = by_kind(self.profiler, self.steps, seconds)
                self.profiler = None
                turns.answer(found)
            else:
                turns.answer(batch * self.steps / seconds)
            self.wait()

        def wait(self):
            request = next(self.requests, None)
            if request is None:
                raise Enough
            what, self.steps = request
            self.left = self.steps
            if what == "profile":
                self.profiler = profile(activities=[ProfilerActivity.CPU])
                self.profiler.start()
            self.started = time.perf_counter()

    return StopAndGo()


def watch(trainer) -> None:
    """Have the profiler see what a batch of pictures takes, apart from the operators of the network."""
    from torch.profiler import record_function

    fetch = trainer.get_batch_samples

    def fetch_recorded(*args, **kwargs):
        with record_function("pictures"):
            return fetch(*args, **kwargs)

    trainer.get_batch_samples = fetch_recorded


def by_kind(profiler, steps: int, seconds: float) -> dict[str, float]:
    """Milliseconds of a step in each of `KINDS`: what an operator takes itself goes to the outermost kind it is in.

    What is left of the seconds, in no operator, is "other" too.
    """
    found = defaultdict(float)
    for event in profiler.events():
        kind, part = OTHER, event
        while part is not None:
            kind = kind_of(part.name) or kind
            part = part.cpu_parent
        found[kind] += event.self_cpu_time_total / 1000 / steps
    found[OTHER] += max(1000 * seconds / steps - sum(found.values()), 0)
    return {kind: found[kind] for kind in (*KINDS, OTHER)}


def kind_of(name: str) -> str | None:
    """The kind of an operator by its name, or None.

    >>> kind_of("aten::mkldnn_convolution"), kind_of("aten::add")
    ('convolutions', None)
    """
    return next((kind for kind, parts in KINDS.items() if any(part in name.lower() for part in parts)), None)


# --- in short trainings -----------------------------------------------------------------------------------------


def short_train_py(turns, data: Path, checkpoint: str, folder: str) -> None:
    import train

    flags = ["--dataset_name", str(data / DATASET), "--model_name_or_path", checkpoint, "--output_dir", folder]
    sys.argv = ["train.py", *flags, *SHORT, "--validation_only", "--report_to", "none"]
    for _ in turns:
        train.main()
        turns.answer(predict_classes(folder, data))


def short_example(turns, data: Path, checkpoint: str, folder: str) -> None:
    from transformers import TrainingArguments

    from benchmarks.example_recipe import example_trainer
    from benchmarks.quality.checkpoints import load_parts
    from brain_tumor.data.split import first_of_each_class

    given = dict(zip(SHORT[::2], SHORT[1::2], strict=True))
    part = first_of_each_class(load_parts(data)["train"], int(given["--max_slices_per_class"]))
    args = TrainingArguments(
        output_dir=folder,
        num_train_epochs=float(given["--num_train_epochs"]),
        learning_rate=float(given["--learning_rate"]),
        per_device_train_batch_size=32,
        use_cpu=True,
        remove_unused_columns=False,
        save_strategy="no",
        report_to="none",
    )
    for _ in turns:
        trainer = example_trainer(part, checkpoint, args)
        trainer.train()
        trainer.save_model()
        turns.answer(predict_classes(folder, data))


def predict_classes(folder: str, data: Path) -> list[int]:
    """The most probable class of each validation slice."""
    from benchmarks.quality.checkpoints import Checkpoint, load_parts, open_slices

    return Checkpoint(folder).probabilities(open_slices(load_parts(data)["validation"])).argmax(axis=1).tolist()


# --- the command ------------------------------------------------------------------------------------------------


def speed(arguments) -> dict:
    """Scans per second of both in turns, and where their time goes."""
    functions = {OURS: "benchmarks.speed.training:train_py", EXAMPLE: "benchmarks.speed.training:example"}
    what = (arguments.data, arguments.checkpoint, arguments.batch)
    found = {}
    with quiet():
        sides = {name: Contestant(function, *what) for name, function in functions.items()}
        for side in sides.values():
            side.ask(("steps", arguments.warm_up))
        rates = take_turns(list(sides), arguments.repeats, lambda name: sides[name].ask(("steps", arguments.steps)))
        profiles = {name: side.ask(("profile", arguments.profiled)) for name, side in sides.items()}
        for side in sides.values():
            side.end()
    found["scans_per_second"] = {name: spread(values) for name, values in rates.items()}
    found["times_faster"] = ratio(rates[OURS], rates[EXAMPLE])
    return found | {"profile_ms": profiles}


def accuracy(arguments) -> dict:
    """Validation accuracy of both after the same short training, and the difference with its interval."""
    import numpy as np

    from benchmarks.quality.checkpoints import compare, load_parts

    functions = {OURS: "benchmarks.speed.training:short_train_py", EXAMPLE: "benchmarks.speed.training:short_example"}
    validation = load_parts(arguments.data)["validation"]
    labels, groups, right, seconds = np.array(validation["label"]), np.array(validation["group"]), {}, {}
    for name, function in functions.items():
        with tempfile.TemporaryDirectory() as folder, quiet():
            side = Contestant(function, arguments.data, arguments.checkpoint, folder)
            started = time.perf_counter()
            right[name] = np.array(side.ask()) == labels
            seconds[name] = time.perf_counter() - started
            side.end()
    return {
        "short_training": " ".join(SHORT),
        "validation_slices": len(labels),
        "accuracy": {name: float(of.mean()) for name, of in right.items()},
        "train_py_minus_example": compare(right[OURS], right[EXAMPLE], groups),
        "seconds_with_loading": seconds,
    }


@contextlib.contextmanager
def quiet():
    """No progress bars of the processes that are started within."""
    before = dict(os.environ)
    os.environ |= {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def plot(profiles: dict[str, dict[str, float]], batch: int, path: Path) -> None:
    """Where a step's time goes: one bar for each kind of operator and side, the largest of the example first."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kinds = sorted(profiles[EXAMPLE], key=profiles[EXAMPLE].get)
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for shift, name, color in ((0.2, EXAMPLE, "#b0b0b0"), (-0.2, OURS, "#3b6fb6")):
        values = [profiles[name][kind] for kind in kinds]
        bars = axis.barh(
            [i + shift for i in range(len(kinds))], values, 0.38, color=color, label=f"{name}: {sum(values):.0f} ms"
        )
        axis.bar_label(bars, fmt="%.0f", padding=3, fontsize=8)
    axis.set_yticks(range(len(kinds)), kinds)
    axis.set(xlabel="milliseconds of a step", title=f"Where the time of a training step of {batch} slices goes")
    axis.legend(loc="lower right")
    axis.margins(x=0.1)
    # No software or date in the file, so that the same figures write the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_argument(parser)
    parser.add_argument("--checkpoint", default="google/mobilenet_v2_1.0_224", help="pretrained Hub id or folder")
    parser.add_argument("--batch", type=int, default=32, help="slices of a step")
    parser.add_argument("--warm_up", type=int, default=5, help="steps of each that do not count")
    parser.add_argument("--steps", type=int, default=8, help="of a turn")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each")
    parser.add_argument("--profiled", type=int, default=4, help="steps that are profiled at the end")
    parser.add_argument("--accuracy", action="store_true", help="a short training of both instead")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    about = {"model_name_or_path": public_name(arguments.checkpoint), "batch": arguments.batch}
    if arguments.accuracy:
        found = accuracy(arguments)
        print(", ".join(f"{name}: {100 * value:.1f} %" for name, value in found["accuracy"].items()))
        path = write_results("training_accuracy", about | found, arguments.output)
    else:
        found = speed(arguments)
        rates = ", ".join(f"{name} {of['median']:.1f}" for name, of in found["scans_per_second"].items())
        print(f"Scans per second: {rates}; {found['times_faster']['median']:.2f} times as many")
        path = write_results("training", about | {"steps": arguments.steps} | found, arguments.output)
        plot(found["profile_ms"], arguments.batch, path.with_name("training_profile.png"))
    print(f"Written to {path.name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
