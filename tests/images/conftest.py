"""What the tests of images share."""

import numpy as np
import pytest
from PIL import Image, ImageFile


@pytest.fixture(autouse=True)
def pillow_untouched():
    """No call may change Pillow's global settings."""
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    yield
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


@pytest.fixture
def picture() -> Image.Image:
    """A picture of noise, 40 wide and 30 high, in RGB."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))
