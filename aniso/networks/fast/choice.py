"""Choice of the fastest layer for each convolution of a stack, with NumPy."""

import math

from aniso.networks.fast import pooled_kernel
from aniso.networks.fast.pooled import PooledConvolution
from aniso.networks.fast.toeplitz import ToeplitzConvolution
from aniso.networks.fast.winograd import WinogradConvolution
from aniso.networks.layers.convolution import Convolution
from aniso.networks.layers.max_pooling import MaxPooling
from aniso.networks.layers.residual import Residual

# With more channels, products cost more than the copies that fusing saves. Measured for 3x3 and 5x5
# kernels: about 64 channels in single precision, 32 in double precision.
_MOST_CHANNELS = 48
# A larger Toeplitz matrix takes more time to write than it saves.
_MOST_ENTRIES = 2**18
# Winograd's filtering gains nothing with fewer channels or shorter outputs than these.
_LEAST_INPUTS, _LEAST_OUTPUTS, _LEAST_LENGTH = 16, 48, 4


def fused(layers, input_shape):
    """Return the layers with every convolution in its fastest form.

    A convolution of images with no more pixels than its kernel, and few channels, becomes a
    :class:`aniso.networks.fast.toeplitz.ToeplitzConvolution`. Another of few channels, followed by
    2x2 pooling, becomes one :class:`aniso.networks.fast.pooled.PooledConvolution`. Both take
    compiled kernels. One of many channels with a 3x3 kernel becomes a
    :class:`aniso.networks.fast.winograd.WinogradConvolution`. All compute the same outputs.

    Parameters
    ----------
    layers : tuple of Layer
        Layers in the order in which they run.
    input_shape : tuple of int
        Shape of one example.

    Returns
    -------
    tuple of Layer

    Examples
    --------
    >>> [type(layer).__name__ for layer in fused((Convolution(64, 3),), (64, 8, 8))]
    ['WinogradConvolution']
    """
    result, shape = [], input_shape
    for layer in layers:
        if isinstance(layer, Residual):
            layer = _with_fused_branches(layer, shape)
        previous = result[-1] if result else None
        if layer == MaxPooling(2) and _few_channels(previous):
            result[-1] = PooledConvolution(previous)
        else:
            result.append(_fast(layer, shape))
        shape = layer.output_shape(shape)
    return tuple(result)


def _with_fused_branches(block, shape):
    return Residual(fused(block.layers, shape), fused(block.shortcut, shape))


def _fast(layer, input_shape):
    if not isinstance(layer, Convolution):
        return layer
    if _is_small(layer, input_shape):
        return ToeplitzConvolution(layer)
    return WinogradConvolution(layer) if _filters(layer, input_shape) else layer


def _is_small(layer, input_shape):
    return (
        pooled_kernel.COMPILED
        and math.prod(input_shape[1:]) <= math.prod(layer.kernel)
        and math.prod(input_shape) * math.prod(layer.output_shape(input_shape)) <= _MOST_ENTRIES
    )


def _few_channels(layer):
    return (
        pooled_kernel.COMPILED
        and isinstance(layer, Convolution)
        and layer.stride == (1, 1)
        and layer.num_channels <= _MOST_CHANNELS
    )


def _filters(layer, input_shape):
    return (
        (layer.kernel, layer.stride) == ((3, 3), (1, 1))
        and input_shape[0] >= _LEAST_INPUTS
        and layer.num_channels >= _LEAST_OUTPUTS
        and min(layer.output_shape(input_shape)[1:]) >= _LEAST_LENGTH
    )
