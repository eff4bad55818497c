"""Pictures as files, their pixels, and how broken ones are refused."""

import io

import numpy as np
import pytest
from PIL import Image

from sphinx_x.errors import ImageError
from sphinx_x.images import open_image

WHITE, RED, BLUE = (255, 255, 255), (255, 0, 0), (0, 0, 255)


def encode(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def refuse(source, *words: str, **options) -> None:
    """Expects an `ImageError` of one line that holds every one of the words."""
    with pytest.raises(ImageError) as caught:
        open_image(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)
