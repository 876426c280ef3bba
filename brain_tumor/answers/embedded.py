"""Pictures within a page, so that it loads nothing."""

import base64
import io

from PIL import Image


def data_uri(image: Image.Image, kind: str, **options: int) -> str:
    """A picture as a `data:` URI (RFC 2397).

    Args:
        image: 8-bit gray or RGB.
        kind: "PNG", "JPEG" or "WEBP".
        options: of Pillow's writer, such as quality.
    """
    image.save(file := io.BytesIO(), kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
