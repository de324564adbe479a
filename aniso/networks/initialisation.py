"""Random initial parameters that depend on the kind of a layer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.networks.layers.convolution import Convolution
from aniso.networks.layers.stack import require_stack

if TYPE_CHECKING:
    from aniso.networks.layers.stack import Stack
    from aniso.typing import Array


def he_normal(stack: Stack, rng: np.random.Generator) -> Array:
    """Draw normal weights of variance 2/fan; biases are zero.

    The fan of a convolution is ``k^2 c_out``, as published. The fan of every other layer is the
    number of its inputs.

    Parameters
    ----------
    stack : Stack
        Layers whose parameters are drawn.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    ndarray, shape (D,)

    Notes
    -----
    With this variance, the deltas keep their variance in the backward pass of convolutions. Source:
    He et al., arXiv:1502.01852. See "Initial weights" in docs/theory/networks.md.

    Examples
    --------
    >>> from aniso import networks
    >>> stack = networks.Stack((networks.Dense(1000),), (2,))
    >>> theta = he_normal(stack, np.random.default_rng(0))
    >>> bool(abs(theta[:2000].std() - 1) < 0.1), bool(theta[2000:].any())
    (True, False)
    """
    require_stack("stack", stack)
    checks.generator("rng", rng)
    theta = np.zeros(stack.num_parameters)
    start = 0
    for layer, shapes in stack.leaves:
        if not shapes:
            continue
        num_outputs, *inputs = shapes[0]
        if isinstance(layer, Convolution):
            fan = num_outputs * math.prod(inputs[1:])
        else:
            fan = math.prod(inputs)
        count = math.prod(shapes[0])
        theta[start : start + count] = math.sqrt(2 / fan) * rng.standard_normal(count)
        start += sum(math.prod(shape) for shape in shapes)
    return theta
