"""The same network in another precision."""

import weakref

import numpy as np

_single = weakref.WeakKeyDictionary()


def in_single_precision(network):
    """Return the same network with passes in single precision; itself if it has them already.

    Eigenvectors of a coarse tolerance need no more.

    Parameters
    ----------
    network : networks.Network
        The network.

    Returns
    -------
    networks.Network
        Made once and kept as long as `network`; it shares the inputs.

    Examples
    --------
    >>> from aniso import networks
    >>> from aniso.problems import losses
    >>> network = networks.Network(networks.Stack((networks.Dense(1),), (1,)),
    ...     losses.SquaredLoss(), inputs=[[1.0], [2.0]], targets=[[0.0], [0.0]])
    >>> in_single_precision(network).gradient([1.0, 0.0])
    array([5., 3.], dtype=float32)
    """
    if network.dtype == np.float32:
        return network
    if network not in _single:
        _single[network] = in_precision(network, np.float32)
    return _single[network]


def in_precision(network, dtype):
    """Return the same network with passes in another precision, a new object.

    Parameters
    ----------
    network : networks.Network
        The network.
    dtype : dtype
        ``numpy.float32`` or ``numpy.float64``.

    Returns
    -------
    networks.Network
    """
    return type(network)(
        network.model,
        network.output_loss,
        network.inputs,
        network.targets,
        dtype=dtype,
        num_threads=network.workers,
        memory_budget=network.memory_budget,
        device=network.place,
    )
