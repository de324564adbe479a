"""Search for a counterexample over weights, biases, inputs and directions of a deep network.

Two hidden layers, small enough that everything may vary at once. Derivatives in theta are written
out, so that autograd differentiates them once more.
"""

from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive
from autograd.scipy.special import erf

from aniso.propositions import falsification
from aniso.propositions.check import Statement

_NUM_INPUTS, _NUM_HIDDEN, _NUM_EXAMPLES = 2, 3, 8
ROUNDING = "rounding of a nearly degenerate eigenvector, 1e-9"
_DEEP = "docs/theory/deep.md"
ABOVE = Statement(
    "upper order, worst case",
    "1 - vᵀ F v / (κ_max vᵀ G v) ≥ 0 over all parameters, inputs and directions v",
    ROUNDING,
    f"{_DEEP}, Order of the Fisher and the Gauss-Newton matrix",
)
FISHER = Statement(
    "Fisher along u, worst case",
    "(uᵀ F u Tr G / (λ Tr F) - C) / (C (1 - C)) ≥ 0 over all parameters and inputs",
    ROUNDING,
    f"{_DEEP}, Order of the Fisher and the Gauss-Newton matrix",
)
NOISE = Statement(
    "projection coefficient, worst case",
    "(â - a) / C ≥ 0 over all parameters and inputs",
    ROUNDING,
    f"{_DEEP}, Noise along the leading eigenvector",
)


@primitive
def leading_eigenvector(matrix):
    """Unit eigenvector of the largest eigenvalue of a symmetric matrix, shape (D,).

    Its derivative needs only that the largest eigenvalue is simple: for a cotangent v it is the
    symmetric part of ``(lambda - H)^+ v u^T``.
    """
    return np.linalg.eigh(matrix)[1][:, -1]


def _pull_back(vector, matrix):
    values, vectors = np.linalg.eigh(matrix)
    others, gaps = vectors[:, :-1], values[-1] - values[:-1]

    def pull(cotangent):
        # A degenerate gap gives inf, which the search steps back from.
        with np.errstate(divide="ignore", invalid="ignore"):
            left = others @ ((others.T @ cotangent) / gaps)
        full = np.outer(left, vector)
        return (full + full.T) / 2

    return pull


defvjp(leading_eigenvector, _pull_back)


@dataclass(frozen=True)
class DeepNetwork:
    """Network 2 -> 3 -> 3 -> C on 8 examples, all of whose numbers are free.

    Parameters
    ----------
    activation : {"tanh", "relu", "gelu"}
        Activation of both hidden layers.
    num_outputs : int
        C: 1 with the logistic loss, more with the softmax cross-entropy.
    """

    activation: str
    num_outputs: int = 1

    @property
    def description(self):
        """Sizes, for the setting of a check."""
        sizes = f"{_NUM_INPUTS}-{_NUM_HIDDEN}-{_NUM_HIDDEN}-{self.num_outputs}"
        return f"{sizes} {self.activation}, N = {_NUM_EXAMPLES}"

    @property
    def num_parameters(self):
        """D."""
        return sum(rows * (columns + 1) for rows, columns in self._shapes())

    def _shapes(self):
        widths = (_NUM_INPUTS, _NUM_HIDDEN, _NUM_HIDDEN, self.num_outputs)
        return list(zip(widths[1:], widths[:-1], strict=True))

    def starts(self, rng, num_starts, *, with_direction=False):
        """Return random starting points, shape (s, n): parameters, inputs, and a direction v.

        Parameters
        ----------
        rng : numpy.random.Generator
        num_starts : int
            s.
        with_direction : bool
            Whether v, D numbers, follows the inputs.

        Returns
        -------
        ndarray, shape (s, n)
        """
        size = self.num_parameters * (1 + with_direction) + _NUM_EXAMPLES * _NUM_INPUTS
        starts = rng.standard_normal((num_starts, size))
        # From outputs of order one to saturated ones.
        starts[:, : self.num_parameters] *= rng.uniform(0.3, 2.0, (num_starts, 1))
        return starts

    def _layers(self, theta):
        layers, start = [], 0
        for rows, columns in self._shapes():
            weights = anp.reshape(theta[start : start + rows * columns], (rows, columns))
            start += rows * columns
            layers.append((weights, theta[start : start + rows]))
            start += rows
        return layers

    def _inputs(self, x):
        start = self.num_parameters
        numbers = x[start : start + _NUM_EXAMPLES * _NUM_INPUTS]
        return anp.reshape(numbers, (_NUM_EXAMPLES, _NUM_INPUTS))

    def _activate(self, z):
        """Value and slope of the activation."""
        if self.activation == "tanh":
            value = anp.tanh(z)
            return value, 1 - value**2
        if self.activation == "relu":
            return z * (z > 0), 1.0 * (z > 0)
        below = (1 + erf(z / np.sqrt(2))) / 2
        return z * below, below + z * anp.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)

    def outputs_along(self, x):
        """Return the outputs and their derivatives along v, both of shape (8, C).

        Parameters
        ----------
        x : array, shape (n,)
            Parameters, inputs and direction, as of :meth:`starts`; may be traced by autograd.
        """
        direction = self._layers(x[-self.num_parameters :])
        value, tangent = self._inputs(x), np.zeros((_NUM_EXAMPLES, _NUM_INPUTS))
        layers = self._layers(x)
        for number, ((weights, biases), (turn, shift)) in enumerate(
            zip(layers, direction, strict=True)
        ):
            tangent = anp.dot(tangent, weights.T) + anp.dot(value, turn.T) + shift
            value = anp.dot(value, weights.T) + biases
            if number < len(layers) - 1:
                value, slope = self._activate(value)
                tangent = slope * tangent
        return value, tangent

    def outputs_and_jacobian(self, x):
        """Return the outputs (8,) and their gradients in theta (8, D) of a network of one output.

        Parameters
        ----------
        x : array, shape (n,)
            Parameters and inputs; may be traced by autograd.
        """
        values, slopes, layers = [self._inputs(x)], [], self._layers(x)
        for weights, biases in layers[:-1]:
            value, slope = self._activate(anp.dot(values[-1], weights.T) + biases)
            values.append(value)
            slopes.append(slope)
        outputs = anp.dot(values[-1], layers[-1][0].T) + layers[-1][1]
        delta, parts = np.ones((_NUM_EXAMPLES, 1)), []
        for number in reversed(range(len(layers))):
            products = delta[:, :, None] * values[number][:, None, :]
            parts += [delta, anp.reshape(products, (_NUM_EXAMPLES, -1))]
            if number:
                delta = anp.dot(delta, layers[number][0]) * slopes[number - 1]
        return outputs[:, 0], anp.concatenate(parts[::-1], axis=1)


def softmax_margin(network, x, *, of_mean_loss=False):
    """``1 - v^T F v / (kappa v^T G v)`` of the cross-entropy at parameters, inputs and v.

    Parameters
    ----------
    network : DeepNetwork
        With several outputs.
    x : array, shape (n,)
        Parameters, inputs, direction.
    of_mean_loss : bool
        Whether kappa is ``exp(L) - 1`` of the mean loss L, a false claim, instead of the largest
        ``exp(l_i) - 1``.

    Returns
    -------
    scalar
    """
    outputs, along = network.outputs_along(x)
    labels = np.arange(_NUM_EXAMPLES) % network.num_outputs
    own = np.eye(network.num_outputs)[labels]
    largest = anp.max(outputs, axis=1, keepdims=True)
    weights = anp.exp(outputs - largest)
    p = weights / anp.sum(weights, axis=1, keepdims=True)
    losses = -anp.log(anp.sum(own * p, axis=1))
    centred = along - anp.sum(p * along, axis=1, keepdims=True)
    fisher = anp.mean(anp.sum(own * centred, axis=1) ** 2)
    curvature = anp.mean(anp.sum(p * centred**2, axis=1))
    constant = anp.expm1(anp.mean(losses) if of_mean_loss else anp.max(losses))
    return 1 - fisher / (constant * curvature)


def logistic_quantities(network, x):
    """Coefficients and constants of a network of one output with the logistic loss.

    Parameters
    ----------
    network : DeepNetwork
        With one output.
    x : array, shape (n,)
        Parameters, inputs.

    Returns
    -------
    dict of str to scalar
        ``fisher_coefficient`` and ``noise_coefficient``, ``u^T M u Tr G/(lambda Tr M)``;
        ``gradient_share``; ``ratio``, ``kappa_min / kappa_max``.
    """
    outputs, jacobian = network.outputs_and_jacobian(x)
    signs = 1.0 - 2.0 * (np.arange(_NUM_EXAMPLES) % 2)
    p = 1 / (1 + anp.exp(-signs * outputs))
    slopes, curvatures, constants = signs * p, p * (1 - p), anp.exp(signs * outputs)
    gauss_newton = anp.dot(jacobian.T, curvatures[:, None] * jacobian) / _NUM_EXAMPLES
    gradients = slopes[:, None] * jacobian
    mean = anp.mean(gradients, axis=0)
    u = leading_eigenvector(gauss_newton)
    trace = anp.trace(gauss_newton)
    share = trace / anp.dot(u, anp.dot(gauss_newton, u))
    along = anp.mean(anp.dot(gradients, u) ** 2)
    fisher_trace = anp.mean(anp.sum(gradients**2, axis=1))
    noise_trace = anp.mean(anp.sum((gradients - mean) ** 2, axis=1))
    mean_along = anp.dot(u, mean) ** 2
    return {
        "fisher_coefficient": along * share / fisher_trace,
        "noise_coefficient": (along - mean_along) * share / noise_trace,
        "gradient_share": mean_along * share / noise_trace,
        "ratio": anp.min(constants) / anp.max(constants),
    }


def searches(settings):
    """Search over deep networks for each claim, and return the verdicts.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.check.Check
    """
    found = []
    for network in (DeepNetwork("tanh", 3), DeepNetwork("relu", 3)):
        found += _search(
            settings,
            ABOVE,
            network,
            lambda x, n=network: softmax_margin(n, x),
            "κ = exp(L) - 1, as if the mean loss sufficed",
            lambda x, n=network: softmax_margin(n, x, of_mean_loss=True),
            with_direction=True,
        )

    def of_fisher(x, network):
        values = logistic_quantities(network, x)
        ratio = values["ratio"]
        # Equal constants make the claim an equality; dividing by 1 - C removes that trivial end.
        return (values["fisher_coefficient"] - ratio) / (ratio * (1 - ratio))

    def of_noise(x, network):
        values = logistic_quantities(network, x)
        promised = values["ratio"] - values["gradient_share"]
        return (values["noise_coefficient"] - promised) / values["ratio"]

    def proportional(x, network):
        return logistic_quantities(network, x)["fisher_coefficient"] - 1

    def isotropic(x, network):
        return logistic_quantities(network, x)["noise_coefficient"] - 1

    for statement, network, margin, false_claim, planted in (
        (FISHER, DeepNetwork("tanh"), of_fisher, "C = 1, as if F ∝ G", proportional),
        (NOISE, DeepNetwork("gelu"), of_noise, "a = 1, as if Σ ∝ G", isotropic),
    ):
        found += _search(
            settings,
            statement,
            network,
            lambda x, n=network, m=margin: m(x, n),
            false_claim,
            lambda x, n=network, m=planted: m(x, n),
        )
    return found


def _search(settings, statement, network, margin, false_claim, planted, *, with_direction=False):
    rng = settings.rng(f"deep/{statement.name}/{network.description}")
    num_starts = settings.pick(20, 60, 2000)
    starts = network.starts(rng, num_starts, with_direction=with_direction)
    effort = {"num_descents": settings.pick(1, 2, 40)}
    long, short = ({"max_iterations": count} for count in (settings.pick(15, 40, 200), 10))
    return falsification.verdicts(
        statement.at(f"{network.description}, {len(starts)} points", 1e-9),
        false_claim,
        falsification.search(margin, starts, **effort, **long),
        falsification.search(planted, starts, target=-1e-4, **effort, **short),
    )
