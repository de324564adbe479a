"""Sliding windows over images, batch axis last: copies of them as columns, and the transpose."""

from typing import NamedTuple

from array_api_compat import array_namespace

from aniso import checks
from aniso.arrays import places


class Windows(NamedTuple):
    """Columns of windows (channels * places, windows * n), with shapes and inputs."""

    shape: tuple
    counts: tuple
    columns: object
    inputs: object

    @property
    def count(self):
        """Number of examples n."""
        return self.inputs.shape[-1]


def pair(name, value, *, low):
    """Return (int, int) from an int or a pair.

    Examples
    --------
    >>> pair("stride", 2, low=1)
    (2, 2)
    """
    both = value if isinstance(value, tuple) else (value, value)
    if len(both) != 2:
        raise checks.InputError(f"{name}={value!r}; expected an integer or a pair of them")
    return tuple(checks.integer(name, entry, low=low) for entry in both)


def window_counts(what, shape, size, stride):
    """Return the numbers of windows down and across an image (channels, height, width)."""
    counts = tuple(
        (length - extent) // step + 1
        for length, extent, step in zip(shape[1:], size, stride, strict=True)
    )
    if min(counts) < 1:
        raise checks.InputError(
            f"{what} has windows of {size[0]}x{size[1]} and images of {shape[1]}x{shape[2]}; "
            "expected windows that fit"
        )
    return counts


def window_slices(size, stride, counts):
    """Return, for each place of a window, the (row, column) slices of all windows."""
    return [
        (
            slice(row, row + (counts[0] - 1) * stride[0] + 1, stride[0]),
            slice(column, column + (counts[1] - 1) * stride[1] + 1, stride[1]),
        )
        for row in range(size[0])
        for column in range(size[1])
    ]


def window_columns(images, size, stride, counts):
    """Copy windows of (..., channels, h, w, n) to columns (..., channels * places, windows * n)."""
    xp = array_namespace(images)
    lead, channels, count = images.shape[:-4], images.shape[-4], images.shape[-1]
    taps = window_slices(size, stride, counts)
    shape = (*lead, channels, len(taps), *counts, count)
    columns = xp.empty(shape, dtype=images.dtype, device=places.device(images))
    for place, (rows, across) in enumerate(taps):
        columns[..., place, :, :, :] = images[..., rows, across, :]
    return xp.reshape(columns, (*lead, channels * len(taps), counts[0] * counts[1] * count))


def images_from_columns(columns, shape, size, stride, counts, count):
    """Add columns at the pixels of images of `shape`: the transpose of :func:`window_columns`."""
    xp = array_namespace(columns)
    lead, taps = columns.shape[:-2], window_slices(size, stride, counts)
    columns = xp.reshape(columns, (*lead, shape[0], len(taps), *counts, count))
    where = places.device(columns)
    images = xp.zeros((*lead, *shape, count), dtype=columns.dtype, device=where)
    for place, (rows, across) in enumerate(taps):
        images[..., rows, across, :] += columns[..., place, :, :, :]
    return images


def padded(images, padding):
    """Return images (..., channels, h, w, n) with zeros around."""
    if padding == (0, 0):
        return images
    xp = array_namespace(images)
    down, across = padding
    *lead, channels, height, width, count = images.shape
    shape = (*lead, channels, height + 2 * down, width + 2 * across, count)
    result = xp.zeros(shape, dtype=images.dtype, device=places.device(images))
    result[..., down : down + height, across : across + width, :] = images
    return result


def unpadded(images, padding):
    """Return images without their border: the transpose of :func:`padded`."""
    if padding == (0, 0):
        return images
    down, across = padding
    height, width = images.shape[-3:-1]
    return images[..., down : height - down, across : width - across, :]
