"""Layers put in the place of others that compute the same slower, with NumPy."""

from aniso.networks.fast import pooled_kernel
from aniso.networks.fast.pooled import PooledConvolution
from aniso.networks.fast.winograd import WinogradConvolution
from aniso.networks.layers.convolution import Convolution
from aniso.networks.layers.max_pooling import MaxPooling
from aniso.networks.layers.residual import Residual

# with more channels the products cost more than the copies that fusing saves (measured for 3x3 and
# 5x5 kernels in both precisions: about 64 single, 32 double)
_MOST_CHANNELS = 48
# thinner products than these, or transformed kernels for a handful of tiles, eat up the gain
_LEAST_INPUTS, _LEAST_OUTPUTS, _LEAST_LENGTH = 16, 48, 4


def fused(layers, input_shape):
    """The layers with convolutions in the form that is fastest.

    Those of few channels become one with 2x2 pooling after them where kernels are compiled, those
    of many and 3x3 kernels are computed by Winograd's filtering.

    Parameters
    ----------
    layers : tuple of Layer
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
            result.append(WinogradConvolution(layer) if _filters(layer, shape) else layer)
        shape = layer.output_shape(shape)
    return tuple(result)


def _with_fused_branches(block, shape):
    return Residual(fused(block.layers, shape), fused(block.shortcut, shape))


def _few_channels(layer):
    return (
        pooled_kernel.COMPILED
        and isinstance(layer, Convolution)
        and layer.stride == (1, 1)
        and layer.num_channels <= _MOST_CHANNELS
    )


def _filters(layer, input_shape):
    return (
        isinstance(layer, Convolution)
        and (layer.kernel, layer.stride) == ((3, 3), (1, 1))
        and input_shape[0] >= _LEAST_INPUTS
        and layer.num_channels >= _LEAST_OUTPUTS
        and min(layer.output_shape(input_shape)[1:]) >= _LEAST_LENGTH
    )
