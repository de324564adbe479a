"""Gradients of a network with one hidden layer, written out for the many steps of a training.

The outputs are ``f_i = sum_j s_j rho(z_ij)`` with ``z_i = W x_i + b`` and fixed signs s. Blocks of
examples stay in the second-level cache, and every array is made once.
"""

import numpy as np

from aniso.problems import activations

_BLOCK_ENTRIES = 2**16
# Below this share of examples with a slope, a block without the others is worth its copy.
_FEW = 0.7
_LEAK = activations.LEAKY_SLOPE
# rho(z) = p z + q |z| and rho'(z) = p + q sign(z), which is autograd's slope at the kink too
_SLOPES = {
    "relu": (0.5, 0.5),
    "leaky_relu": ((1 + _LEAK) / 2, (1 - _LEAK) / 2),
    "abs": (0.0, 1.0),
}


class DirectGradient:
    """Mean loss of a network with one hidden layer, of which only the gradient is computed.

    Parameters
    ----------
    network : aniso.networks.Network
        Of :func:`aniso.networks.one_hidden_layer` with a piecewise-linear activation, in double
        precision. Its loss and its data are used.

    Notes
    -----
    Cost: two products of N x d with d x h, in one thread. The sums run over blocks of examples, so
    that the result differs from the gradient of the network by rounding. An object has workspaces:
    it serves one thread at a time.
    """

    def __init__(self, network):
        self.activation = network.model.layers[1].name
        self.output_loss, self.targets = network.output_loss, network.targets
        count, num_inputs = network.inputs.shape
        # a column of ones for the biases
        self.inputs = np.c_[network.inputs, np.ones(count)]
        num_hidden = network.num_parameters // (num_inputs + 1)
        self.signs = np.where(np.arange(num_hidden) < (num_hidden + 1) // 2, 1.0, -1.0)
        self.block = max(1, min(count, _BLOCK_ENTRIES // num_hidden))
        self.z, self.work = (np.empty((self.block, num_hidden)) for _ in range(2))
        self.weights, self.total, self.product = (
            np.empty((num_hidden, num_inputs + 1)) for _ in range(3)
        )

    def gradient(self, theta):
        """Return the gradient of the mean loss at `theta`, a new array of shape (D,)."""
        num_weights = theta.size - len(self.signs)
        self.weights[:, :-1] = theta[:num_weights].reshape(len(self.signs), -1)
        self.weights[:, -1] = theta[num_weights:]
        self.total[...] = 0.0
        for start in range(0, len(self.inputs), self.block):
            part = slice(start, start + self.block)
            self._add(self.inputs[part], self.targets[part])
        self.total *= self.signs[:, None] / len(self.inputs)
        return np.concatenate([self.total[:, :-1].ravel(), self.total[:, -1]])

    def _add(self, inputs, targets):
        """Add ``sum_i l_i' rho'(z_ij) (x_i, 1)`` of a block of examples to row j of the total."""
        z, work = self.z[: len(inputs)], self.work[: len(inputs)]
        np.matmul(inputs, self.weights.T, out=z)
        straight, bent = _SLOPES.get(self.activation, (0.0, 1.0))
        if self.activation in _SLOPES:
            np.abs(z, out=work)
        else:
            np.clip(z, -1.0, 1.0, out=work)
        outputs = bent * (work @ self.signs)
        if straight:
            outputs += straight * (inputs @ (self.signs @ self.weights))
        slopes = self.output_loss.gradient(outputs[:, None], targets)[:, 0]
        active = np.flatnonzero(slopes)
        if len(active) < _FEW * len(slopes):
            z, work, inputs, slopes = z[active], work[: len(active)], inputs[active], slopes[active]
        if self.activation in _SLOPES:
            np.sign(z, out=work)
        else:
            np.less(np.abs(z, out=z), 1.0, out=work, casting="unsafe")
        weighted = slopes[:, None] * inputs
        self.total += np.matmul(work.T, bent * weighted, out=self.product)
        if straight:
            # the same for every unit
            self.total += straight * weighted.sum(axis=0)
