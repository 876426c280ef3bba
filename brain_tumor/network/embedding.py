"""The embedding of slices, from one forward pass with their logits."""

import numpy as np
import torch
from transformers import PreTrainedModel

from brain_tumor.network.pretrained import final_layer


def embeddings(model: PreTrainedModel, pixel_values: torch.Tensor) -> tuple[np.ndarray, np.ndarray] | None:
    """Embedding and logits from one forward pass.

    Args:
        model: any image-classification network of `transformers`.
        pixel_values: (n, 3, height, width) float32, as the checkpoint's processor makes it.

    Returns:
        (n, d) float32: what the final layer is given (for MobileNetV2 the 1,280 pooled features), averaged over
        whatever lies between; (n, classes) float32 logits as the network gives them. None if the network has no
        linear final layer that is run once.
    """
    layer, seen = final_layer(model), []
    if layer is None:
        return None
    watch = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    try:
        with torch.inference_mode():
            # Channels-last, convolutions on a CPU take two thirds of the time.
            pixel_values = pixel_values.contiguous(memory_format=torch.channels_last)
            logits = model.eval()(pixel_values=pixel_values).logits
    finally:
        watch.remove()
    if len(seen) != 1 or len(seen[0]) != len(logits) or seen[0].ndim < 2:
        return None
    features = seen[0].float()
    if features.ndim == 3:  # (n, tokens, d)
        features = features.mean(dim=1)
    elif features.ndim == 4:  # (n, d, height, width)
        features = features.mean(dim=(2, 3))
    return features.cpu().numpy(), logits.float().cpu().numpy()
