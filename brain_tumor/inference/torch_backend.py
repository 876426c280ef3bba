"""Any image-classification checkpoint of `transformers`, in torch: for those that come without onnx/model.onnx."""

import threading
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from brain_tumor.inference.checkpoint import WEIGHTS
from brain_tumor.network.checkpoint import load_network
from brain_tumor.network.embedding import embeddings
from brain_tumor.network.pretrained import drop_needless_padding, final_layer

AT_ONCE = 32
"""Slices that go through the network together at most."""


class TorchBackend:
    """See `classifier.Backend`.

    Args:
        model: an image-classification network of `transformers`.
        processor: its image processor.
    """

    file = WEIGHTS
    weights_sha256 = None
    workers = None

    def __init__(self, model, processor):
        self.config = model.config.to_dict()
        self.model = model.eval()
        self._processor = processor
        drop_needless_padding(model)
        # Channels-last, convolutions on a CPU take two thirds of the time.
        model.to(memory_format=torch.channels_last)
        # Hooks see every pass through the network, whoever asked for it, so there is one pass at a time.
        self._lock = threading.Lock()
        self._pooled: list[torch.Tensor] = []
        for module in model.modules():
            if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
                module.register_forward_pre_hook(lambda _, inputs: self._pooled.append(inputs[0].detach()))
        self._weight = self._head()

    @classmethod
    def load(cls, model_id: str | Path) -> "TorchBackend":
        """From a folder or a Hub id. Raises `DamagedError`."""
        return cls(*load_network(model_id))

    def portion(self, count: int) -> int:
        return AT_ONCE

    def forward(self, slices: list[Image.Image]) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        logits, features, embedding = self._features(self._pixel_values(slices))
        if features is None or self._weight is None:
            return logits, None, embedding
        maps = np.einsum("cd,ndyx->ncyx", self._weight, features, optimize=True).astype(np.float32)
        return logits, maps, embedding

    def _head(self) -> np.ndarray | None:
        """(classes, d) weights, if logits are those of a mean of feature maps, which a picture that is not blank tells;
        None if not, and then there are no class activation maps."""
        layer = final_layer(self.model)
        if layer is None:
            return None
        weight = layer.weight.detach().flatten(1).float().numpy()
        bias = 0.0 if layer.bias is None else layer.bias.detach().float().numpy()
        noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
        logits, features, _ = self._features(self._pixel_values([noise]))
        if features is None or features.shape[1] != weight.shape[1]:
            return None
        return weight if np.allclose(features.mean(axis=(2, 3)) @ weight.T + bias, logits, atol=1e-3) else None

    def _pixel_values(self, slices: list[Image.Image]) -> np.ndarray:
        return np.asarray(self._processor(images=slices, return_tensors="np")["pixel_values"], np.float32)

    def _features(self, pixel_values: np.ndarray):
        """Logits, the feature maps before the average pooling if there is one, and the embedding."""
        tensor = torch.from_numpy(pixel_values)
        with self._lock:
            self._pooled.clear()
            seen = embeddings(self.model, tensor) if final_layer(self.model) is not None else None
            if seen is None:
                with torch.inference_mode():
                    seen = None, self.model(pixel_values=tensor).logits.float().numpy()
            pooled = self._pooled[-1] if self._pooled else None
            self._pooled.clear()
        embedding, logits = seen
        return logits, None if pooled is None or pooled.ndim != 4 else pooled.float().numpy(), embedding
