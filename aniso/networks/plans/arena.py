"""Memory of a plan: arrays that lie one after the other, and scratch that layers share."""

import math

import numpy as np

_LINE_BYTES = 64


class Arena:
    """Bytes in which arrays are placed one after the other.

    Plans of several sizes, of which one is used at a time, have the same bytes. Arrays that do not
    fit get memory of their own, and then `fits` is false.

    Parameters
    ----------
    num_bytes : int
        Bytes for arrays that are kept for a pass.
    scratch_bytes : int
        Bytes for arrays that one layer needs for a moment; every layer has the same.

    Examples
    --------
    >>> first = Arena()
    >>> first.empty((3, 2), np.float64).shape, first.fits, first.num_bytes
    ((3, 2), False, 64)
    >>> arena = Arena(first.num_bytes, first.scratch_bytes)
    >>> arena.empty((3, 2), np.float64).base is not None, arena.fits
    (True, True)
    """

    def __init__(self, num_bytes=0, scratch_bytes=0):
        self._memory, self._scratch = (_aligned(size) for size in (num_bytes, scratch_bytes))
        self.begin()

    def begin(self):
        """Place the arrays of another plan, from the first byte on."""
        self.num_bytes = self.scratch_bytes = self._scratch_taken = 0

    def begin_layer(self):
        """Place the scratch of another layer, from the first byte on."""
        self._scratch_taken = 0

    def empty(self, shape, dtype):
        """Return an array that is kept for a pass; its entries are arbitrary."""
        array, self.num_bytes = _placed(self._memory, self.num_bytes, shape, dtype)
        return array

    def scratch(self, shape, dtype):
        """Return an array for a moment; the next layer overwrites it."""
        array, self._scratch_taken = _placed(self._scratch, self._scratch_taken, shape, dtype)
        self.scratch_bytes = max(self.scratch_bytes, self._scratch_taken)
        return array

    @property
    def fits(self):
        """Whether all arrays of the present plan lie in the arena."""
        fits = self.num_bytes <= len(self._memory)
        return fits and self.scratch_bytes <= len(self._scratch)


def _aligned(num_bytes):
    memory = np.empty(num_bytes + _LINE_BYTES, np.uint8)
    start = -memory.ctypes.data % _LINE_BYTES
    return memory[start : start + num_bytes]


def _placed(memory, start, shape, dtype):
    size = math.prod(shape) * np.dtype(dtype).itemsize
    stop = start + -(-size // _LINE_BYTES) * _LINE_BYTES
    if stop > len(memory):
        return np.empty(shape, dtype), stop
    return memory[start : start + size].view(dtype).reshape(shape), stop
