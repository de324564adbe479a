"""Fully connected network with every layer trainable."""

from dataclasses import dataclass

from aniso import checks
from aniso.problems import activations, plain_layers


@dataclass(frozen=True)
class MultilayerPerceptron:
    """Fully connected network, ``h_l = rho(W_l h_{l-1} + b_l)``, the last layer without rho.

    Parameters
    ----------
    widths : tuple of int
        (d, h_1, ..., C), at least input and output.
    activation : str
        rho: "relu", "leaky_relu", "abs", "hard_tanh", "tanh", "softplus", "sigmoid", "silu" or
        "elu"; the slope at a kink is that of :mod:`aniso.problems.activations`.

    Notes
    -----
    theta = (W_1 row by row, shape (out, in); b_1; W_2; b_2; ...).

    Examples
    --------
    One hidden unit, 3 relu(2 x + 1) - 1 at x = 1:

    >>> import numpy as np
    >>> model = MultilayerPerceptron((1, 1, 1))
    >>> model.outputs(np.array([2.0, 1.0, 3.0, -1.0]), np.array([[1.0]]))
    array([[8.]])
    """

    widths: tuple
    activation: str = "relu"

    def __post_init__(self):
        if not isinstance(self.widths, (tuple, list)) or len(self.widths) < 2:
            raise checks.InputError(
                f"widths={self.widths!r}; expected a tuple (inputs, ..., outputs), at least two"
            )
        widths = tuple(checks.integer(f"widths[{i}]", w, low=1) for i, w in enumerate(self.widths))
        object.__setattr__(self, "widths", widths)
        activations.named(self.activation)

    @property
    def num_inputs(self):
        """d, the first width."""
        return self.widths[0]

    @property
    def num_outputs(self):
        """C, the last width."""
        return self.widths[-1]

    @property
    def layer_shapes(self):
        """Shapes (outputs, inputs) of the trainable layers, each followed by its biases."""
        return tuple(zip(self.widths[1:], self.widths[:-1], strict=True))

    @property
    def num_parameters(self):
        """``D = sum_l out_l (in_l + 1)``."""
        return plain_layers.num_parameters(self.layer_shapes)

    @property
    def linear_almost_everywhere(self):
        """True without hidden layers only: with them f is multilinear at best."""
        return len(self.widths) == 2

    def initial_parameters(self, rng):
        """Random theta (D,), weights and biases uniform on ``(-1, 1) / sqrt(inputs of layer)``.

        PyTorch's default for dense layers.
        """
        return plain_layers.uniform_parameters(self.layer_shapes, rng)

    def outputs(self, theta, inputs):
        """Outputs f, shape (..., n, C), of theta (..., D) at inputs (..., n, d)."""
        return self.layered_outputs(theta, inputs)[0]

    def layered_outputs(self, theta, inputs, perturbations=None):
        """Outputs with additive perturbations of the pre-activations, and the layers' inputs.

        Parameters
        ----------
        theta : array, shape (..., D)
        inputs : array, shape (..., n, d)
        perturbations : tuple of arrays, one a layer, broadcasting to (..., n, out_l), optional
            Added to ``W_l h_{l-1} + b_l``.

        Returns
        -------
        outputs : array, shape (..., n, C)
        layer_inputs : tuple of arrays, shape (..., n, in_l)
            What each layer multiplies: h_0 = inputs, h_1, ...
        """
        rho = activations.named(self.activation).value
        parameters = plain_layers.unflattened(self.layer_shapes, theta)
        layer_inputs, hidden = [], inputs
        for index, (weights, biases) in enumerate(parameters):
            layer_inputs.append(hidden)
            pre_activations = plain_layers.affine(weights, biases, hidden)
            if perturbations is not None:
                pre_activations = plain_layers.add_to_fresh(pre_activations, perturbations[index])
            last = index == len(parameters) - 1
            hidden = pre_activations if last else rho(pre_activations)
        return hidden, tuple(layer_inputs)
