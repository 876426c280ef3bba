"""Trainings of seconds for tests: `train.py` in this process, or as its users start it in one of its own."""

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """So small a network is slower in several, and much slower where other tests run at the same time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(threads)


def train(*flags, expect: int = 0) -> str:
    """Run `train.py` in this process -> all that it said."""
    import train as program

    words, output = [*map(str, flags)], io.StringIO()
    handler, level = logging.StreamHandler(output), logging.getLogger().level
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *words])
        patch.setattr(program, "keep_freed_memory", lambda: None)  # this process goes on to measure memory
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel(logging.INFO)
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                code = program.run(words)
        finally:
            logging.getLogger().removeHandler(handler)
            logging.getLogger().setLevel(level)
    assert code == expect, output.getvalue()[-3000:]
    return output.getvalue()


def launch(*flags, launcher=(sys.executable,), env=None, **options) -> subprocess.Popen:
    """Start `train.py` in a process of its own."""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""} if env is None else env
    return subprocess.Popen(
        [*launcher, str(ROOT / "train.py"), *map(str, flags)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options,
    )  # fmt: skip


def train_apart(*flags, expect: int = 0, **options) -> str:
    """Run `train.py` in a process of its own -> all that it said."""
    process = launch(*flags, **options)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == expect, output[-3000:]
    return output


def results_of(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())
