"""Images for VGG-11: speed and memory do not depend on the pixels."""

import numpy as np


def images(count, pixels=32):
    """Return random images (count, 3, pixels, pixels) in single precision, and labels."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((count, 3, pixels, pixels), dtype=np.float32)
    return inputs, rng.integers(0, 10, count)
