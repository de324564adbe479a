"""Functions between outputs and probabilities, in the library of the outputs, without overflow."""

from aniso.arrays import places


def one_hot(targets, num_classes):
    """Rows of the identity numbered by labels, in double precision.

    Parameters
    ----------
    targets : array of int, shape (..., n)
        Labels.
    num_classes : int
        C.

    Returns
    -------
    array, shape (..., n, C)

    Examples
    --------
    >>> import numpy as np
    >>> one_hot(np.array([1, 0]), 2)
    array([[0., 1.],
           [1., 0.]])
    """
    xp = places.namespace(targets)
    classes = xp.arange(num_classes, dtype=targets.dtype, device=places.device(targets))
    return xp.astype(targets[..., None] == classes, xp.float64)


def expit(z):
    """``1 / (1 + exp(-z))``, to relative accuracy on both sides.

    Parameters
    ----------
    z : array
        Real numbers.

    Returns
    -------
    array

    Examples
    --------
    >>> import numpy as np
    >>> expit(np.array([0.0, 800.0]))
    array([0.5, 1. ])
    """
    xp = places.namespace(z)
    decay = xp.exp(-xp.abs(z))
    return xp.where(z >= 0, xp.ones_like(z), decay) / (1.0 + decay)


def softmax(outputs):
    """``exp(f_c) / sum_k exp(f_k)`` along the last axis.

    Parameters
    ----------
    outputs : array, shape (..., C)
        Outputs of a model, one column for each class.

    Returns
    -------
    array, shape (..., C)

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    xp = places.namespace(outputs)
    weights = xp.exp(outputs - xp.max(outputs, axis=-1, keepdims=True))
    return weights / xp.sum(weights, axis=-1, keepdims=True)


def log_sum_exp(outputs):
    """``log sum_c exp(f_c)`` along the last axis; autograd may trace it.

    Parameters
    ----------
    outputs : array, shape (..., C)
        Outputs of a model, one column for each class.

    Returns
    -------
    array, shape (...)

    Examples
    --------
    >>> import numpy as np
    >>> float(log_sum_exp(np.array([1000.0, 1000.0])) - 1000.0)  # log 2
    0.693147180559...
    """
    if not places.is_foreign(outputs):
        from autograd.scipy import special as traced_special  # loads scipy.stats, 0.3 s

        return traced_special.logsumexp(outputs, axis=-1)
    xp = places.namespace(outputs)
    largest = xp.max(outputs, axis=-1, keepdims=True)
    total = xp.sum(xp.exp(outputs - largest), axis=-1)
    return xp.log(total) + largest[..., 0]
