"""Small image sets of the tests, and the check that one was read as it was written."""

import numpy as np
import seeds


def images_and_labels(count, rng):
    images = rng.integers(256, size=(count, 32, 32, 3), dtype=np.uint8)
    return images, rng.integers(10, size=count)


def flat_bytes(count):
    """Bytes of four values, which compression shortens."""
    return seeds.generator(1).integers(4, size=count, dtype=np.uint8).tobytes()


def assert_is(found, train, test):
    np.testing.assert_array_equal(found.train_images, train[0])
    np.testing.assert_array_equal(found.train_labels, train[1])
    np.testing.assert_array_equal(found.test_images, test[0])
    np.testing.assert_array_equal(found.test_labels, test[1])
    assert found.train_images.dtype == found.test_images.dtype == np.uint8
    assert found.train_labels.dtype == found.test_labels.dtype == np.int64
