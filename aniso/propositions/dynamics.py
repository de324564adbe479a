"""Dynamics: moments, orders and exit times of the motion, against their closed forms."""

from aniso.propositions import exit_times, moments_of_motion, orders_of_convergence, symbols

TITLE = "Dynamics: moments, orders and exit times of the motion, against their closed forms"

LEGEND = (
    symbols.shared("θ", "D", "L", "E")
    | {
        "t": "time",
        "L_t, L_0": "loss at time t and at the start",
        "H": "Hessian of L",
        "λ, λ_i": "eigenvalues of H",
        "λ_max": "the largest eigenvalue",
        "Tr": "trace",
        "Σ": "covariance of the noise, dθ = -∇L dt + Σ^½ dW (the SDE)",
        "M": "Σ/2",
        "C, C_t": "covariance of θ, stationary and at time t",
        "S": "covariance of the gradient of a batch",
        "q_i": "1 - ηλ_i",
        "n": "number of steps of SGD, points or dimensions",
        "b": "relative noise, dθ = -θ dt + bθ dW",
        "h": "step size of a scheme",
        "z": "deviation in standard errors",
        "ε": "machine precision, in exponents the size of the noise: Σ = εI",
        "τ": "lag, in exit times the mean exit time",
        "V": "exponent of the exit time, the quasi-potential",
        "ΔL": "height of the barrier",
        "P": "defined by H P + P H = Σ",
        "T": "temperature, Σ = 2T",
        "φ": "potential of the stationary law exp(-φ)/M",
        "B": "batch size",
        "H_a, H_b": "second derivative L'' at the minimum and at the barrier",
        "s": "share of the barrier on the side of the minimum",
        "L*, L_s": "loss at the minimum and at the saddle",
        "p": "order of the modified equation",
        "SVAG": "stochastic variance-amplified gradient",
        "l": "its amplification",
        "GD": "gradient descent",
        "GLD": "gradient Langevin dynamics, GD plus Gaussian noise",
        "ξ": "the noise of one step",
    }
    | symbols.shared("N", "η", "SGD")
)


def tasks(settings):
    """Return the checks of the dynamics, as tasks that run independently.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.settings.Task
    """
    parts = (moments_of_motion, orders_of_convergence, exit_times)
    return [task for part in parts for task in part.tasks(settings)]
