"""A one-hidden-layer network small enough to search over its parameters and inputs at once."""

from dataclasses import dataclass

from aniso.propositions import falsification, small_quantities
from aniso.propositions.small_quantities import (
    NUM_EXAMPLES,
    NUM_HIDDEN,
    NUM_INPUTS,
    NUM_WEIGHTS,
    QUANTITIES,
)

ROUNDING = "rounding of a nearly degenerate eigenvector, 1e-9"


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
        return f"2-{NUM_HIDDEN}-1 ReLU, N = {NUM_EXAMPLES}"

    def starts(self, settings, name):
        """Return random starting points (parameters, then inputs), shape (s, n)."""
        rng = settings.rng(f"{name}/{self.loss}/starts")
        size = NUM_WEIGHTS + NUM_EXAMPLES * NUM_INPUTS
        starts = rng.standard_normal((settings.pick(500, 1000, 5000), size))
        # From outputs of order one, where many examples are active, to saturated ones.
        starts[:, :NUM_WEIGHTS] *= rng.uniform(0.2, 2.0, (len(starts), 1))
        return starts

    def quantities(self, x):
        """Return coefficients and constants of Propositions 2 and 3 at parameters and inputs `x`.

        Parameters
        ----------
        x : array, shape (n,) or (s, n)
            Weights (4, 2), biases (4,), inputs (12, 2), flat; one point may be traced by autograd.

        Returns
        -------
        dict of str to scalar or array (s,)
            ``fisher_coefficient`` and ``covariance_coefficient``, the measured
            ``u^T M u Tr H/(lambda Tr M)``; ``weight_ratio``; ``active_fraction``;
            ``mean_gradient_share``, ``(u^T g)^2 Tr H/(lambda Tr Sigma_1)``. All nan where fewer
            than two examples are active: with one, every claim is the equality 1 = 1.
        """
        values = small_quantities.quantities(x, self.loss)
        return {name: values[..., number] for number, name in enumerate(QUANTITIES)}


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
        ``margin(loss, quantities)``: not negative where the claim holds. It works elementwise.
    false_claim : str
        A deliberately false variant, in words.
    false_margin : callable
        ``false_margin(quantities)``: its margin.

    Returns
    -------
    list of aniso.propositions.check.Check
    """
    effort = {"num_descents": settings.pick(3, 8, 60), "max_iterations": 100, "batched": True}
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
