"""Layers put in the place of others that compute the same slower, with NumPy."""

from aniso.networks.convolution import Convolution
from aniso.networks.max_pooling import MaxPooling
from aniso.networks.pooled_convolution import PooledConvolution

# with more channels the products cost more than the copies that fusing saves (measured for 3x3 and
# 5x5 kernels in both precisions: about 64 single, 32 double)
_MOST_CHANNELS = 48


def fused(layers):
    """The layers with convolutions of few channels and 2x2 pooling after them replaced by one.

    Parameters
    ----------
    layers : tuple of Layer

    Returns
    -------
    tuple of Layer

    Examples
    --------
    >>> [type(layer).__name__ for layer in fused((Convolution(2, 3), MaxPooling(2)))]
    ['PooledConvolution']
    >>> len(fused((Convolution(64, 3), MaxPooling(2))))
    2
    """
    result = []
    for layer in layers:
        previous = result[-1] if result else None
        if layer == MaxPooling(2) and _pays(previous):
            result[-1] = PooledConvolution(previous)
        else:
            result.append(layer)
    return tuple(result)


def _pays(layer):
    return (
        isinstance(layer, Convolution)
        and layer.stride == (1, 1)
        and layer.num_channels <= _MOST_CHANNELS
    )
