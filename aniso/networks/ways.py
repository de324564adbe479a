"""The ways in which a network computes: the first that has a quantity computes it.

A way is a subclass of :class:`aniso.networks.plans.way.Way`, which is made for one network by a
function in ``MAKERS``. This function returns None for a network to which the way does not apply.
Where no way has a quantity, the passes by layers compute it (:mod:`aniso.networks.passes`).
"""

import numpy as np

from aniso import checks
from aniso.networks.hidden.way import hidden_way
from aniso.networks.plans.chunk_way import chunk_plans_for
from aniso.networks.plans.dense_way import plans_for

MAKERS = (hidden_way, plans_for, chunk_plans_for)


class Ways:
    """The ways of one network, made when they are first needed; a copy makes its own."""

    def __init__(self):
        self._made = None

    def __reduce__(self):
        return type(self), ()

    def compute(self, quantity, network, *arguments):
        """Return what the first way that has a quantity returns, and a false value without one.

        A quantity is the name of a method of Way.
        """
        answers = (getattr(way, quantity)(network, *arguments) for way in self._of(network))
        return next(filter(None, answers), False)

    def most_vectors(self, network):
        """Return the largest number of vectors that multiply faster here than with a cache."""
        return max((way.most_vectors for way in self._of(network)), default=0)

    def _of(self, network):
        if self._made is None:
            found = [make(network) for make in MAKERS] if network.place.is_numpy else []
            self._made = tuple(way for way in found if way is not None)
        return self._made


def hessian_product(network, theta, vectors, out=None):
    """Return ``H V`` by one of the ways; None where the passes by layers must compute it.

    Parameters
    ----------
    network : Network
        The network.
    theta : array, shape (D,)
        Checked.
    vectors : array_like, shape (D,) or (D, K)
        Vectors to multiply.
    out : ndarray, optional
        Checked memory for the result, of the shape of `vectors`, with contiguous columns.

    Returns
    -------
    ndarray or None
    """
    if not network.place.is_numpy:
        return None
    rows, single = network.vector_rows(vectors)
    result = np.empty(rows.shape, network.dtype) if out is None else np.atleast_2d(out.T)
    try:
        if not network.ways.compute("hessian_product", network, theta, rows, result):
            return None
    except checks.InputError:
        # a product is finite only if the vector is, so that only here it must be looked at
        network.check_vectors(vectors)
        raise
    if out is not None:
        return out
    return result[0] if single else result.T
