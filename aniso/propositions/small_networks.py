"""A one-hidden-layer network small enough to search over its parameters and inputs at once."""

from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive

from aniso.propositions import falsification

_NUM_INPUTS = 2
_NUM_HIDDEN = 4
_NUM_EXAMPLES = 12
_NUM_WEIGHTS = _NUM_HIDDEN * (_NUM_INPUTS + 1)
_CLIP = 1e-3
ROUNDING = "rounding of a nearly degenerate eigenvector, 1e-9"
_QUANTITIES = (
    "fisher_coefficient",
    "covariance_coefficient",
    "mean_gradient_share",
    "weight_ratio",
    "active_fraction",
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
class SmallNetwork:
    """ReLU network 2 -> 4 -> 1 on 12 examples whose inputs are free.

    Parameters
    ----------
    loss : {"clipped squared", "logistic"}
        One of the two losses of Proposition 2.
    """

    loss: str

    @property
    def description(self):
        """Sizes, for the setting of a check."""
        return f"2-{_NUM_HIDDEN}-1 ReLU, N = {_NUM_EXAMPLES}"

    def starts(self, settings, name):
        """Return random starting points (parameters, then inputs), shape (s, n)."""
        rng = settings.rng(f"{name}/{self.loss}/starts")
        size = _NUM_WEIGHTS + _NUM_EXAMPLES * _NUM_INPUTS
        starts = rng.standard_normal((settings.pick(500, 1000, 5000), size))
        # From outputs of order one, where many examples are active, to saturated ones.
        starts[:, :_NUM_WEIGHTS] *= rng.uniform(0.2, 2.0, (len(starts), 1))
        return starts

    def quantities(self, x):
        """Return coefficients and constants of Propositions 2 and 3 at parameters and inputs `x`.

        Parameters
        ----------
        x : array, shape (n,)
            Weights (4, 2), biases (4,), inputs (12, 2), flat; may be traced by autograd.

        Returns
        -------
        dict of str to scalar
            ``fisher_coefficient`` and ``covariance_coefficient``, the measured
            ``u^T M u Tr H/(lambda Tr M)``; ``weight_ratio``; ``active_fraction``;
            ``mean_gradient_share``, ``(u^T g)^2 Tr H/(lambda Tr Sigma_1)``. All nan where fewer
            than two examples are active: with one, every claim is the equality 1 = 1.
        """
        weights = anp.reshape(x[: _NUM_HIDDEN * _NUM_INPUTS], (_NUM_HIDDEN, _NUM_INPUTS))
        biases = x[_NUM_HIDDEN * _NUM_INPUTS : _NUM_WEIGHTS]
        inputs = anp.reshape(x[_NUM_WEIGHTS:], (_NUM_EXAMPLES, _NUM_INPUTS))
        signs = np.repeat([1.0, -1.0], _NUM_HIDDEN // 2)
        labels = np.arange(_NUM_EXAMPLES) % 2
        pre_activations = anp.dot(inputs, weights.T) + biases
        switched_on = pre_activations > 0
        outputs = anp.dot(pre_activations * switched_on, signs)
        slopes, curvatures, ratios, active = self._derivatives(outputs, labels)
        if active.sum() < 2:
            return dict.fromkeys(_QUANTITIES, np.nan * x[0])
        augmented = anp.concatenate((inputs, np.ones((_NUM_EXAMPLES, 1))), axis=1)
        jacobian = anp.reshape(
            (switched_on * signs)[:, :, None] * augmented[:, None, :], (_NUM_EXAMPLES, -1)
        )
        hessian = anp.dot(jacobian.T, curvatures[:, None] * jacobian) / _NUM_EXAMPLES
        fisher = anp.dot(jacobian.T, slopes[:, None] ** 2 * jacobian) / _NUM_EXAMPLES
        gradient = anp.dot(jacobian.T, slopes) / _NUM_EXAMPLES
        vector = leading_eigenvector(hessian)
        along = anp.dot(vector, anp.dot(fisher, vector))
        mean_along = anp.dot(vector, gradient) ** 2
        eigenvalue = anp.dot(vector, anp.dot(hessian, vector))
        noise_trace = anp.trace(fisher) - anp.dot(gradient, gradient)
        share = anp.trace(hessian) / eigenvalue
        return {
            "fisher_coefficient": along * share / anp.trace(fisher),
            "covariance_coefficient": (along - mean_along) * share / noise_trace,
            "mean_gradient_share": mean_along * share / noise_trace,
            "weight_ratio": anp.min(ratios[active]) / anp.max(ratios[active]),
            "active_fraction": active.mean(),
        }

    def _derivatives(self, outputs, labels):
        """Slope and curvature of each loss in its output, their w_i, and who is active."""
        if self.loss == "logistic":
            signs = 1 - 2 * labels
            probability = 1 / (1 + anp.exp(-signs * outputs))
            curvatures = probability * (1 - probability)
            everyone = np.ones(_NUM_EXAMPLES, dtype=bool)
            return signs * probability, curvatures, anp.exp(signs * outputs), everyone
        active = (outputs > _CLIP) & (outputs < 1 - _CLIP)
        residuals = outputs - labels
        return 2 * residuals * active, 2.0 * active, 2 * residuals**2, active


def search_both_losses(settings, group, statement, margin, false_claim, false_margin):
    """Search over parameters and inputs for each loss of Proposition 2, and return the verdicts.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.
    group : str
        Name of the stream of starting points.
    statement : aniso.propositions.check.Statement
        The claim.
    margin : callable
        ``margin(loss, quantities)``: not negative where the claim holds.
    false_claim : str
        A deliberately false variant, in words.
    false_margin : callable
        ``false_margin(quantities)``: its margin.

    Returns
    -------
    list of aniso.propositions.check.Check
    """
    effort = {"num_descents": settings.pick(3, 8, 60), "max_iterations": 100}
    found = []
    for loss in ("clipped squared", "logistic"):
        network = SmallNetwork(loss)
        starts = network.starts(settings, group)

        def claimed(x, network=network):
            return margin(network.loss, network.quantities(x))

        def planted(x, network=network):
            return false_margin(network.quantities(x))

        found += falsification.verdicts(
            statement.at(f"{loss}, {network.description}, {len(starts)} points", 1e-9),
            false_claim,
            falsification.search(claimed, starts, **effort),
            falsification.search(planted, starts, target=-1e-4, **effort),
        )
    return found
