"""A checkpoint's exported network in ONNX Runtime: several times as fast as torch, and nothing of torch is loaded."""

import os
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from brain_tumor.preprocess import Preprocessor

FILE = "onnx/model.onnx"
"""Where `export` writes it in a checkpoint's folder, and where transformers.js looks for it."""
WEIGHTS_KEY = "weights_sha256"
"""Metadata of the file: SHA-256 of the model.safetensors that it was exported from."""
AT_ONCE = 4
"""Slices that go through the network together. More are no faster, and ONNX Runtime keeps the memory of the most."""
MOST_THREADS = 4


class OnnxBackend:
    """See `classifier.Backend`.

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
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = min(os.cpu_count() or 1, MOST_THREADS)
        # Visitors come in several threads, and threads that spin while they wait take the others' cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.weights_sha256 = self._session.get_modelmeta().custom_metadata_map.get(WEIGHTS_KEY)

    def forward(self, slices: list[Image.Image]) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        found = self.run(self._preprocessor(slices))
        return found["logits"], found.get("maps"), found.get("embedding")

    def run(self, pixel_values: np.ndarray) -> dict[str, np.ndarray]:
        """(n, 3, height, width) float32 -> every output by its name."""
        parts = [
            self._session.run(None, {self._input: pixel_values[start : start + AT_ONCE]})
            for start in range(0, len(pixel_values), AT_ONCE)
        ]
        return {
            name: np.concatenate(arrays) for name, arrays in zip(self._outputs, zip(*parts, strict=True), strict=True)
        }
