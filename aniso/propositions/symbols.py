"""Symbols that several groups of checks share, and their meaning."""

_SHARED = {
    "θ": "parameters",
    "D": "number of parameters",
    "N": "number of examples",
    "L": "loss, the mean over the examples",
    "E": "expectation",
    "Tr": "trace",
    "H": "Hessian of the loss",
    "λ₁": "largest eigenvalue of H",
    "u₁": "unit eigenvector of λ₁",
    "Σ": "covariance of the gradient noise",
    "Σ_iso": "isotropic noise of the same trace",
    "η": "learning rate",
    "ε": "machine precision",
    "SGD": "stochastic gradient descent",
    "FashionMNIST 0/6 at 14×14": "images of the classes 0 (T-shirt) and 6 (shirt), averaged to "
    "14×14 pixels",
}


def shared(*names):
    """Return the meaning of the given symbols, in the given order.

    Parameters
    ----------
    *names : str
        Symbols that mean the same in every group.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> shared("E", "η")
    {'E': 'expectation', 'η': 'learning rate'}
    """
    return {name: _SHARED[name] for name in names}
