"""Base of the pooling layers: their windows, without padding."""

from __future__ import annotations

from dataclasses import dataclass

from aniso import checks
from aniso.networks.layers.windows import pair, window_counts, window_slices


@dataclass(frozen=True)
class Pooling:
    """One number for each window of each channel; windows that leave the image are dropped.

    A layer inherits from it before `Layer`, and sets `kind`, its name in messages.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of a window.
    stride : int or (int, int), optional
        Distance between windows, `size` if not given.

    Raises
    ------
    InputError
        If a size or stride is no integer above 0, or no pair of such integers.
    """

    size: tuple[int, ...]
    stride: tuple[int, ...] | None = None

    def __post_init__(self):
        object.__setattr__(self, "size", pair("size", self.size, low=1))
        stride = self.size if self.stride is None else pair("stride", self.stride, low=1)
        object.__setattr__(self, "stride", stride)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (channels, windows down, windows across)."""
        if len(input_shape) != 3:
            raise checks.InputError(
                f"{self.kind} got inputs of shape {input_shape}; expected (channels, height, width)"
            )
        return (input_shape[0], *window_counts(self.kind, input_shape, self.size, self.stride))

    def _windows(self, shape):
        return window_slices(self.size, self.stride, self.output_shape(shape)[1:])
