"""Network with one hidden layer whose output weights are fixed at +1 and -1."""

import math
from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np

from aniso import checks
from aniso.problems import activations, plain_layers


@dataclass(frozen=True)
class OneHiddenLayer:
    """One hidden layer, ``f(x) = sum_j v_j rho(w_j^T x + b_j)``, v_j = +1 or -1 fixed.

    The network of Zhu et al. (2019), Proposition 2 and Figure 4. With rho piecewise linear, f is
    linear in theta wherever no unit sits on a kink, so the Hessian of the loss is the
    generalised Gauss-Newton matrix almost everywhere.

    Parameters
    ----------
    num_inputs : int
        d, length of one input.
    num_hidden : int
        h, number of units; the first ceil(h/2) have v = +1, the others v = -1.
    activation : {"relu", "leaky_relu", "abs", "hard_tanh"}
        rho; the slope at a kink is that of :mod:`aniso.problems.activations`.

    Notes
    -----
    theta = (W row by row, shape (h, d); b, shape (h,)), D = h (d + 1), one output (C = 1).

    Examples
    --------
    Two units on one input, relu(2 x) - relu(-x + 1) at x = 3:

    >>> model = OneHiddenLayer(1, 2)
    >>> model.outputs(np.array([2.0, -1.0, 0.0, 1.0]), np.array([[3.0]]))
    array([[6.]])
    """

    num_inputs: int
    num_hidden: int
    activation: str = "relu"

    num_outputs = 1
    linear_almost_everywhere = True

    def __post_init__(self):
        checks.integer("num_inputs", self.num_inputs, low=1)
        checks.integer("num_hidden", self.num_hidden, low=1)
        checks.one_of("activation", self.activation, activations.PIECEWISE_LINEAR)

    @property
    def layer_shapes(self):
        """Shapes (outputs, inputs) of the trainable layers, each followed by its biases."""
        return ((self.num_hidden, self.num_inputs),)

    @property
    def num_parameters(self):
        """``D = h (d + 1)``."""
        return plain_layers.num_parameters(self.layer_shapes)

    @property
    def output_weights(self):
        """Fixed v, shape (h,): +1 for the first half, -1 for the second."""
        return np.where(np.arange(self.num_hidden) < math.ceil(self.num_hidden / 2), 1.0, -1.0)

    def initial_parameters(self, rng):
        """Random theta (D,), weights and biases uniform on ``(-1, 1) / sqrt(d)``.

        PyTorch's default for a dense layer.
        """
        return plain_layers.uniform_parameters(self.layer_shapes, rng)

    def outputs(self, theta, inputs):
        """Outputs f, shape (..., n, 1), of theta (..., D) at inputs (..., n, d)."""
        return self.layered_outputs(theta, inputs)[0]

    def layered_outputs(self, theta, inputs, perturbations=None):
        """Outputs with additive perturbations of the pre-activations, and the layers' inputs.

        Parameters
        ----------
        theta : array, shape (..., D)
        inputs : array, shape (..., n, d)
        perturbations : tuple of one array, broadcasting to (..., n, h), optional
            Added to ``W x + b``.

        Returns
        -------
        outputs : array, shape (..., n, 1)
        layer_inputs : tuple of one array
            The inputs themselves: what the only trainable layer multiplies.
        """
        ((weights, biases),) = plain_layers.unflattened(self.layer_shapes, theta)
        pre_activations = plain_layers.affine(weights, biases, inputs)
        if perturbations is not None:
            pre_activations = plain_layers.add_to_fresh(pre_activations, perturbations[0])
        hidden = activations.named(self.activation).value(pre_activations)
        return anp.matmul(hidden, self.output_weights)[..., None], (inputs,)
