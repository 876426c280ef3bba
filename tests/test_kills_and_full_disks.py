"""Training loses nothing: `train.py` killed at any moment, or out of room on the disk, and then started again."""

import contextlib
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from brain_tumor.training.run import DiskFullError, all_at_once, complete_checkpoints, explain_full_disk, is_complete
from tests.slices import write_slices
from tests.trainings import one_thread, results_of, train_apart  # noqa: F401  a fixture

LABELS = ("glioma", "meningioma", "no_tumor", "pituitary")
STEPS = 11
"""Of an epoch: 88 training slices by 8."""
NO_CHECKPOINTS = ["--save_strategy", "no", "--load_best_model_at_end", "False"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Flags of a training of seconds: three epochs of the baseline network on drawn slices of 32 px."""
    data = write_slices(tmp_path_factory.mktemp("slices"), dict.fromkeys(LABELS, 30))
    flags = ["--dataset_name", data, "--model_name_or_path", "baseline-cnn", "--image_size", 32, "--no_familiarity"]
    flags += ["--num_train_epochs", 3, "--per_device_train_batch_size", 8, "--learning_rate", 2e-5]
    return [*flags, "--validation_only", "--report_to", "none", "--disable_tqdm", "True"]


# Every training is a process of its own, forked from one that has imported everything: that takes longer than training.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["train", "tests.test_kills_and_full_disks"])


def run_train(flags: list[str], output: Connection, largest_file: int | None) -> None:
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output.fileno(), stream.fileno())
        stream.reconfigure(line_buffering=True)
    if largest_file is not None:  # files of more bytes cannot be written, as on a disk without room
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    import train

    sys.argv = ["train.py", *flags]
    sys.exit(train.run())


class Training:
    """A `train.py` that has been started."""

    def __init__(self, *flags, largest_file: int | None = None):
        self._reader, writer = processes.Pipe(duplex=False)
        self._said = b""
        self.process = processes.Process(target=run_train, args=([*map(str, flags)], writer, largest_file))
        self.process.start()
        writer.close()

    @property
    def output(self) -> str:
        """What it has said so far."""
        while self._reader.poll() and (said := os.read(self._reader.fileno(), 65536)):
            self._said += said
        return self._said.decode(errors="replace")

    def end(self, expect: int = 0) -> str:
        """Wait for its end -> all that it said."""
        self._wait(lambda: not self.process.is_alive(), seconds=0.05)
        assert self.process.exitcode == expect, self.output[-3000:]
        return self.output

    def kill_when(self, moment) -> None:
        """Kill it as soon as `moment()` is true."""
        self._wait(moment, seconds=0.0005)
        assert self.process.is_alive(), self.output[-3000:]
        os.kill(self.process.pid, signal.SIGKILL)
        self.end(expect=-signal.SIGKILL)

    def _wait(self, moment, seconds: float) -> None:
        deadline = time.monotonic() + 300
        while not moment() and self.process.is_alive():
            assert time.monotonic() < deadline, self.output[-3000:]
            self.output  # noqa: B018  makes room in the pipe
            time.sleep(seconds)


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """A training that nothing stopped, in the folder of one that was killed in the middle of its first epoch."""
    folder = tmp_path_factory.mktemp("whole")
    first = Training(*recipe, "--logging_strategy", "steps", "--logging_steps", 1, "--output_dir", folder)
    first.kill_when(lambda: "'loss'" in first.output)
    assert not list(folder.glob("checkpoint-*")), "killed too late to test anything"

    output = Training(*recipe, "--output_dir", folder, "--resume_from_checkpoint").end(expect=1)
    assert f"{folder} holds no complete checkpoint to resume from. Leave --resume_from_checkpoint out" in output
    assert "Traceback" not in output
    Training(*recipe, "--output_dir", folder).end()
    return folder


@pytest.fixture(scope="module")
def stopped(recipe, tmp_path_factory):
    """A training that was killed while it wrote its second checkpoint. Read only."""
    folder = tmp_path_factory.mktemp("stopped")
    Training(*recipe, "--output_dir", folder).kill_when((folder / f"checkpoint-{2 * STEPS}").exists)
    return folder


@pytest.fixture
def copy(stopped, tmp_path):
    """The same, for a training that goes on."""
    return Path(shutil.copytree(stopped, tmp_path / "copy"))


def assert_nothing_was_lost(folder: Path, whole: Path) -> None:
    """Resumed, a training is to the last digit the one that nothing stopped."""
    resumed, uninterrupted = results_of(folder), results_of(whole)
    assert resumed["history"] == uninterrupted["history"]
    assert [row["epoch"] for row in resumed["history"]] == [1, 2, 3]
    for name in ("epochs_trained", "best_epoch", "validation"):
        assert resumed[name] == uninterrupted[name]


def test_killed_before_its_first_checkpoint_a_training_starts_again(whole):
    assert results_of(whole)["epochs_trained"] == 3
    assert complete_checkpoints(whole)


def test_killed_while_it_writes_a_checkpoint_a_training_goes_on_from_the_one_before(recipe, whole, copy):
    assert not is_complete(copy / f"checkpoint-{2 * STEPS}"), "killed too late to test anything"
    assert complete_checkpoints(copy) == [copy / f"checkpoint-{STEPS}"]
    output = Training(*recipe, "--output_dir", copy, "--resume_from_checkpoint").end()
    assert "'epoch': '1'}" not in output, "the first epoch was trained again"
    assert_nothing_was_lost(copy, whole)


def test_killed_in_a_later_epoch_a_training_goes_on_from_its_last_checkpoint(recipe, whole, copy):
    second = copy / f"checkpoint-{2 * STEPS}"
    Training(*recipe, "--output_dir", copy, "--resume_from_checkpoint").kill_when(lambda: is_complete(second))
    assert not (copy / "results.json").exists(), "killed too late to test anything"
    output = Training(*recipe, "--output_dir", copy, "--resume_from_checkpoint").end()
    assert "'epoch': '2'}" not in output, "the second epoch was trained again"
    assert_nothing_was_lost(copy, whole)


def test_killed_while_it_writes_the_finished_model_a_training_writes_it_again(recipe, whole, copy):
    unfinished = copy / ".unfinished" / "model.safetensors"
    Training(*recipe, "--output_dir", copy, "--resume_from_checkpoint").kill_when(unfinished.exists)
    assert not (copy / "model.safetensors").exists(), "half of a run would count as one"
    Training(*recipe, "--output_dir", copy, "--resume_from_checkpoint").end()
    assert_nothing_was_lost(copy, whole)
    assert not unfinished.parent.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_checkpoint_with_a_file_cut_short_is_passed_over(stopped, tmp_path, name):
    """A power cut may leave the file that is written last, and not all of those before it."""
    good = stopped / f"checkpoint-{STEPS}"
    for step in (5, 10):
        shutil.copytree(good, tmp_path / f"checkpoint-{step}")
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["checkpoint-5", "checkpoint-10"]
    for size in (good / name).stat().st_size - 30, 100, 0:
        os.truncate(tmp_path / "checkpoint-10" / name, size)
        assert [path.name for path in complete_checkpoints(tmp_path)] == ["checkpoint-5"], f"{size} bytes"


def test_a_new_training_in_an_old_folder_is_not_resumed_from_a_checkpoint_of_the_old_one(recipe, copy):
    shutil.copytree(copy / f"checkpoint-{STEPS}", copy / "checkpoint-999")
    Training(*recipe, "--output_dir", copy, "--overwrite", "--num_train_epochs", 1, *NO_CHECKPOINTS).end()
    assert not list(copy.glob("checkpoint-*"))


def test_a_resumed_training_goes_on_counting_the_epochs_without_a_better_figure(recipe, tmp_path):
    flags = [*recipe, "--learning_rate", 0, "--early_stopping_patience", 2, "--output_dir", tmp_path]
    Training(*flags, "--num_train_epochs", 2).end()
    Training(*flags, "--num_train_epochs", 6, "--resume_from_checkpoint").end()
    assert results_of(tmp_path)["epochs_trained"] == 3


def assert_is_told(output: str, folder: Path, what_to_do: str) -> None:
    assert "Traceback" not in output
    assert output.count("There is no room to write in") == 1
    told = output[output.index("train.py: There is no room to write in") :].strip()
    assert "\n" not in told, "one line, and nothing after it"
    assert told.startswith(f"train.py: There is no room to write in {folder} (")
    assert told.endswith(f"). Make room, or set {what_to_do}.")


@pytest.mark.parametrize(
    ("size", "written", "unwritten"),
    [
        (2_000, [], "baseline_cnn.py"),
        (1_000_000, ["baseline_cnn.py", "config.json"], "model.safetensors"),
        (4_000_000, ["config.json", "model.safetensors"], "optimizer.pt"),
    ],
)
def test_without_room_for_a_checkpoint_the_last_one_stays_and_is_named(recipe, copy, size, written, unwritten):
    """Files of the three kinds that write: Python, safetensors, and torch."""
    last = copy / f"checkpoint-{STEPS}"
    flags = ["--output_dir", copy, "--resume_from_checkpoint"]
    output = Training(*recipe, *flags, largest_file=size).end(expect=1)
    assert_is_told(
        output, copy, f"--output_dir to a folder on another disk, and go on with --resume_from_checkpoint {last}"
    )
    assert complete_checkpoints(copy) == [last]
    whole = {path.name: path.stat().st_size for path in last.iterdir()}
    found = {path.name: path.stat().st_size for path in (copy / f"checkpoint-{2 * STEPS}").iterdir()}
    assert found.get(unwritten, 0) < whole[unwritten]
    assert [found[name] for name in written] == [whole[name] for name in written], "another had no room"


def test_without_room_for_the_finished_model_the_old_one_stays_as_it_is(recipe, whole, tmp_path):
    folder = Path(shutil.copytree(whole, tmp_path / "copy"))
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    flags = ["--output_dir", folder, "--overwrite", "--num_train_epochs", 1, *NO_CHECKPOINTS]
    output = Training(*recipe, *flags, largest_file=1_000_000).end(expect=1)
    assert_is_told(output, folder, "--output_dir to a folder on another disk, and run the same command again")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
def test_without_room_for_the_resized_slices_their_cache_is_named(recipe, tmp_path):
    """A process from the start: where the cache is, is read at import."""
    cache = tmp_path / "cache"
    limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))}
    output = train_apart(
        *recipe, "--output_dir", tmp_path / "run", expect=1, env=os.environ | {"HF_HOME": str(cache)}, **limit
    )
    assert_is_told(output, cache / "datasets", "HF_HOME to a folder on another disk, and run the same command again")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a disk of so many megabytes, or changes how many it has; only an administrator may."""
    disk = tmp_path / "disk"

    def mount(megabytes: int) -> Path:
        again = ",remount" if disk.exists() else ""
        disk.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m{again}", "tmpfs", str(disk)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        return disk

    yield mount
    if disk.is_mount():
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only an administrator mounts a small disk")
def test_a_full_disk_leaves_the_last_good_checkpoint_which_goes_on_when_there_is_room(recipe, whole, small_disk):
    """Two checkpoints of 8.3 MB are kept while a third is written. The log of the curves is on the same disk."""
    folder = small_disk(20) / "run"
    flags = [*recipe, "--report_to", "tensorboard", "--output_dir", folder]
    output = Training(*flags).end(expect=1)
    last = folder / f"checkpoint-{2 * STEPS}"
    assert_is_told(
        output, folder, f"--output_dir to a folder on another disk, and go on with --resume_from_checkpoint {last}"
    )
    assert "(No space left on device)" in output or "(a file came out shorter" in output
    small_disk(100)
    Training(*flags, "--resume_from_checkpoint").end()
    assert_nothing_was_lost(folder, whole)


def test_other_errors_are_not_taken_for_a_full_disk(tmp_path):
    (tmp_path / "cut.pt").write_bytes(b"PK\3\4 cut short")
    (tmp_path / "cut.safetensors").write_bytes(b"cut short")
    for read in (
        lambda: torch.load(tmp_path / "cut.pt"),
        lambda: load_file(tmp_path / "cut.safetensors"),
        lambda: (tmp_path / "missing").read_bytes(),
    ):
        with pytest.raises(Exception) as error, explain_full_disk(tmp_path, "--output_dir"):
            read()
        assert not isinstance(error.value, DiskFullError)


def test_a_finished_run_takes_the_place_of_an_earlier_one_and_of_what_described_it(tmp_path):
    for name in ("config.json", "results.json", "familiarity.safetensors", "my notes.txt", "onnx/model.onnx"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    with all_at_once(tmp_path) as folder:
        for name in ("config.json", "results.json"):
            (folder / name).write_text("new")
        assert (tmp_path / "config.json").read_text() == "old"
    files = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert files == {"config.json": "new", "results.json": "new", "my notes.txt": "old"}


def test_what_stops_a_run_while_it_is_written_leaves_the_earlier_one(tmp_path):
    (tmp_path / "results.json").write_text("old")
    with contextlib.suppress(KeyboardInterrupt), all_at_once(tmp_path) as folder:
        (folder / "results.json").write_text("new")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    assert (tmp_path / "results.json").read_text() == "old"
