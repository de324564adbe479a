"""Random initial parameters that depend on the kind of a layer."""

import math

import numpy as np

from aniso import checks
from aniso.networks.convolution import Convolution


def normal_convolutions(stack, rng):
    """Convolution weights ``N(0, 2 / (k^2 c_out))`` with zero biases: the start of VGG-11.

    Dense layers are uniform on ``(-1, 1) / sqrt(fan_in)``, weights and biases, as in
    :meth:`Stack.initial_parameters`.

    Parameters
    ----------
    stack : Stack
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (D,)

    Notes
    -----
    He et al., arXiv:1502.01852, with the fan out: it keeps the deltas' variance in the backward
    pass.

    Examples
    --------
    >>> from aniso import networks
    >>> stack = networks.vgg11(width=0.125)
    >>> theta = normal_convolutions(stack, np.random.default_rng(0))
    >>> first_weights = theta[: 8 * 27]
    >>> bool(abs(first_weights.std() / math.sqrt(2 / (9 * 8)) - 1) < 0.2)
    True
    """
    checks.generator("rng", rng)
    theta = stack.initial_parameters(rng)
    for layer, part, shapes in zip(
        stack.layers, stack.parameter_slices, stack.parameter_shapes, strict=True
    ):
        if isinstance(layer, Convolution):
            (num_outputs, _, *kernel), _ = shapes
            deviation = math.sqrt(2 / (math.prod(kernel) * num_outputs))
            weights = deviation * rng.standard_normal(math.prod(shapes[0]))
            theta[part] = np.concatenate([weights, np.zeros(num_outputs)])
    return theta
