"""A slice -> the network's input, as preprocessor_config.json says, with Pillow and numpy alone: no torch, no start-up.

It does what `transformers` does with the same file on its Pillow backend, to the last bit.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from brain_tumor.inference.checkpoint import UnsupportedError

MOST_COMPARED = 2**22
"""Pixels of the largest slice whose channels are compared: copies of them take as much memory as the slice."""


class Preprocessor:
    """Squeezes slices to one size, rescales and normalizes them.

    Args:
        settings: what preprocessor_config.json holds, as `pretrained.load_processor` writes it.

    Attributes:
        height, width: of the network's input, in pixels.

    Raises:
        UnsupportedError: the file asks for something else, such as a crop, which `transformers` can do.
        KeyError, TypeError, ValueError: it is damaged.
    """

    def __init__(self, settings: dict):
        steps = ("do_resize", "do_rescale", "do_normalize")
        more = ("do_center_crop", "do_pad", "do_flip_channel_order")
        kind = str(settings.get("image_processor_type"))
        if (
            not kind.startswith("ViTImageProcessor")
            or not all(settings.get(step, True) for step in steps)
            or any(settings.get(step) for step in more)
            or set(settings["size"]) != {"height", "width"}
        ):
            raise UnsupportedError(f"{kind} with these settings needs transformers.")
        self.height, self.width = int(settings["size"]["height"]), int(settings["size"]["width"])
        self._resample = Image.Resampling(settings["resample"])
        mean, std = (np.asarray(settings[name], np.float32) for name in ("image_mean", "image_std"))
        if mean.shape != (3,) or std.shape != (3,) or not (std > 0).all():
            raise ValueError(f"image_mean {mean} and image_std {std} must be three numbers each, one a channel.")
        # One value for each of the 256 gray levels and each channel; float64 first, as the library does.
        levels = (np.arange(256) * float(settings["rescale_factor"])).astype(np.float32)
        self._table = (levels - mean[:, None]) / std[:, None]

    def __call__(self, slices: Sequence[Image.Image]) -> np.ndarray:
        """Slices, 8-bit RGB of any size -> (n, 3, height, width) float32."""
        values = np.empty((len(slices), 3, self.height, self.width), np.float32)
        for image, channels in zip(slices, values, strict=True):
            resized = self._resize(image)
            for number, table in enumerate(self._table):
                np.take(table, resized[number % len(resized)], out=channels[number], mode="clip")
        return values

    def _resize(self, image: Image.Image) -> Sequence[np.ndarray]:
        """Three channels, or one of a gray slice, as most are: a third of the work."""
        size = (self.width, self.height)
        if image.width * image.height <= MOST_COMPARED:
            first, *others = image.split()
            levels = first.tobytes()
            if all(other.tobytes() == levels for other in others):
                return [np.asarray(first.resize(size, self._resample))]
        return np.asarray(image.resize(size, self._resample)).transpose(2, 0, 1)
