"""A checkpoint's exported network in ONNX Runtime: several times as fast as torch, and nothing of torch is loaded."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from threadpoolctl import ThreadpoolController

from brain_tumor.inference.preprocess import Preprocessor

FILE = "onnx/model.onnx"
"""Where `export` writes it in a checkpoint's folder, and where transformers.js looks for it."""

WEIGHTS_KEY = "weights_sha256"
"""Metadata of the file: SHA-256 of the model.safetensors that it was exported from."""

AT_ONCE = 2
"""Slices that go through the network together. More are no faster, and ONNX Runtime keeps the memory of the most."""

MOST_THREADS = 4


class OnnxBackend:
    """See `classifier.Backend`. With the first one the linear algebra of numpy and scipy (OpenBLAS) gets one thread in
    this process: woken up for sums as small as those of a prediction, its threads spin for longer than these take.

    Args:
        path: of the file.
        config: what the checkpoint's config.json holds.
        preprocessor: of the checkpoint.

    Attributes:
        weights_sha256: of the model.safetensors that it was exported from, in hexadecimal; None if it does not say.

    Raises:
        Exception: of ONNX Runtime, for a damaged file.
    """

    file = FILE

    def __init__(self, path: Path, config: dict, preprocessor: Preprocessor):
        self.config = config
        self._preprocessor = preprocessor
        ThreadpoolController().select(internal_api="openblas").limit(limits=1)
        self._threads = min(os.cpu_count() or 1, MOST_THREADS)
        # One slice is done first when the threads share it, many when each thread has its own and waits for no other.
        self._for_one, self._for_many = _session(path, self._threads), _session(path, 1)
        self.workers = ThreadPoolExecutor(self._threads - 1) if self._threads > 1 else None  # beside the caller's
        self._input = self._for_one.get_inputs()[0].name
        self._outputs = [output.name for output in self._for_one.get_outputs()]
        self.weights_sha256 = self._for_one.get_modelmeta().custom_metadata_map.get(WEIGHTS_KEY)

    def forward(self, slices: list[Image.Image]) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        found = self.run(self._preprocessor(slices))
        return found["logits"], found.get("maps"), found.get("embedding")

    def portion(self, count: int) -> int:
        return min(AT_ONCE, math.ceil(count / self._threads))

    def run(self, pixel_values: np.ndarray) -> dict[str, np.ndarray]:
        """(n, 3, height, width) float32 -> every output by its name."""
        session = self._for_one if len(pixel_values) == 1 else self._for_many
        return dict(zip(self._outputs, session.run(None, {self._input: pixel_values}), strict=True))


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # Threads that share a slice wait for one another for microseconds, and spin meanwhile; not between two slices,
    # when they would take the cores of other visitors.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
