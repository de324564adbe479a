"""Memory for results that a caller gives, checked."""

import numpy as np

from aniso import checks

_ORDERS = {"C": "C-contiguous", "F": "Fortran-contiguous"}


def memory_for(network, out, shape, given, order="C"):
    """Return memory for a result: `out` if it can hold it, or new memory where it is None.

    Parameters
    ----------
    network : Network
        The network; the result has its dtype, and must not overlap its data.
    out : ndarray or None
        What the caller gave.
    shape : tuple of int
        Shape of the result.
    given : dict of str to array_like
        Arguments from which the result is computed, by name.
    order : {"C", "F"}
        Order of the entries of `out`.

    Returns
    -------
    ndarray

    Raises
    ------
    InputError
        If `out` is no writeable NumPy array of the right shape, dtype and order, or overlaps an
        argument or the data.

    Examples
    --------
    >>> from aniso import networks
    >>> from aniso.problems import losses
    >>> network = networks.Network(networks.Stack((networks.Dense(1),), (1,)),
    ...     losses.SquaredLoss(), inputs=[[1.0], [2.0]], targets=[[0.0], [0.0]])
    >>> memory_for(network, np.zeros(3), (2,), {})
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: out has shape (3,); expected (2,)
    """
    if out is None:
        return np.empty(shape, network.dtype)
    if not network.place.is_numpy:
        raise checks.InputError(f"out was given and the data are {network.place}; omit out")
    if not isinstance(out, np.ndarray):
        raise checks.InputError(f"out is of type {type(out).__name__}; expected a NumPy array")
    if out.shape != tuple(shape):
        raise checks.InputError(f"out has shape {out.shape}; expected {tuple(shape)}")
    if out.dtype != network.dtype:
        raise checks.InputError(f"out has dtype {out.dtype}; expected {network.dtype}")
    if not (out.flags.c_contiguous if order == "C" else out.flags.f_contiguous):
        raise checks.InputError(
            f"out has strides {out.strides}; expected {_ORDERS[order]} memory: "
            f"numpy.empty({tuple(shape)}, numpy.{network.dtype}, order={order!r})"
        )
    if not (out.flags.writeable and out.flags.aligned):
        raise checks.InputError("out is read-only or not aligned; expected memory to write to")
    given = {**given, "the inputs": network.inputs, "the targets": network.targets}
    for name, array in given.items():
        if isinstance(array, np.ndarray) and np.may_share_memory(out, array):
            raise checks.InputError(f"out overlaps {name}; expected memory of its own")
    return out


def written(result, out):
    """Return a result, copied to `out` where that is given.

    Examples
    --------
    >>> out = np.zeros(1)
    >>> written(np.ones(1), out) is out, out
    (True, array([1.]))
    """
    if out is None:
        return result
    out[...] = result
    return out
