"""The compiled sums over windows are a convolution of the patches, and its transpose."""

import numpy as np
import pytest

from aniso.networks.fast import window_mixing

# height, width, kernel, padding, stride
CASES = [
    (4, 5, (2, 3), (0, 0), (1, 1)),
    (5, 5, (3, 3), (1, 0), (2, 1)),
    (3, 4, (1, 2), (0, 2), (1, 3)),
]


def windows_of(case, images):
    """Windows of images (..., height, width, q), one by one: (..., down, across, k, l, q)."""
    _, _, kernel, padding, stride = case
    frame = [(0, 0)] * (images.ndim - 3) + [(p, p) for p in padding] + [(0, 0)]
    padded = np.pad(images, frame)
    axes = (images.ndim - 3, images.ndim - 2)
    views = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=axes)
    views = np.moveaxis(views, -3, -1)  # q last
    return views[..., :: stride[0], :: stride[1], :, :, :]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES)
def test_both_sums_are_exact_on_whole_numbers(case, dtype, rng):
    height, width, kernel, padding, stride = case
    count, units, channels, length = 2, 3, 2, 5
    images = rng.integers(-5, 6, (count, units, height, width, length))
    views = windows_of(case, images)
    down, across = views.shape[2:4]
    geometry = (height, width, *kernel, *padding, *stride)
    patches = np.moveaxis(images, 1, 3).reshape(count, height * width, -1).astype(dtype)
    weights = rng.integers(-5, 6, (channels, units, *kernel))
    # some outputs, one of them twice, and slopes of zero
    index = rng.integers(0, channels * down * across, (count, 7))
    slopes = rng.integers(0, 3, index.shape)
    mixed = np.full((count, 7, units * length), np.nan, dtype)
    repeated = window_mixing.repeated_weights(weights.reshape(channels, units, -1), length)
    window_mixing.mix_windows(
        patches, repeated.astype(dtype), index, slopes.astype(dtype), (down, across), geometry,
        mixed,
    )  # fmt: skip
    every = np.einsum("nsyxklq,oskl->noyxsq", views, weights)
    every = every.reshape(count, -1, units * length)
    expected = np.stack([own[i] for own, i in zip(every, index, strict=True)])
    np.testing.assert_array_equal(mixed, slopes[..., None] * expected)
    deltas = rng.integers(-2, 3, (count, channels, down, across))
    total = np.ones((kernel[0] * kernel[1], channels, units * length), dtype)
    window_mixing.add_window_products(patches, deltas.astype(dtype), geometry, total)
    expected = np.einsum("nsyxklq,noyx->klosq", views, deltas).reshape(total.shape) + 1
    np.testing.assert_array_equal(total, expected)
    deltas[0, 0] += 1  # deltas that are wrong show
    wrong = np.einsum("nsyxklq,noyx->klosq", views, deltas).reshape(total.shape) + 1
    assert (total != wrong).any()
