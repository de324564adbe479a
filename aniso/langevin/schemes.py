"""Integration schemes with their orders of convergence."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aniso import checks


@dataclass(frozen=True)
class Scheme:
    """A one-step method for ``dX = f(X) dt + g(X) dW`` (Ito) with its orders.

    Attributes
    ----------
    name : str
        Key in :data:`SCHEMES`.
    code : int
        Number of the scheme in compiled kernels.
    strong_order, weak_order : float
        Orders for additive (constant) noise, in powers of the step size.
    strong_order_diagonal, weak_order_diagonal : float or None
        Orders for diagonal noise that depends on theta; None where the scheme is not meant for it.
    normals : int
        Standard normals per Wiener process and step.
    """

    name: str
    code: int
    strong_order: float
    weak_order: float
    strong_order_diagonal: float | None
    weak_order_diagonal: float | None
    normals: int = 1


EULER, HEUN, MILSTEIN, SRA1, EXACT = range(5)

SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("euler_maruyama", EULER, 1.0, 1.0, 0.5, 1.0),
        Scheme("stochastic_heun", HEUN, 1.0, 2.0, 1.0, 1.0),
        Scheme("milstein", MILSTEIN, 1.0, 1.0, 1.0, 1.0),
        Scheme("sra1", SRA1, 1.5, 2.0, None, None, normals=2),
        Scheme("exact", EXACT, math.inf, math.inf, None, None),
    )
}
"""All schemes by name.

euler_maruyama
    ``x + h f(x) + g(x) dW``.
stochastic_heun
    Predictor ``p = x + h f(x) + g(x) dW``, then ``x + h (f(x) + f(p)) / 2 + (g(x) + g(p)) dW / 2``
    with the drift corrected by ``- g g' / 2``, so that the Ito equation is solved.
milstein
    Euler-Maruyama plus ``g g' (dW^2 - h) / 2``.
sra1
    ``x + h f(x) / 3 + 2 h f(p) / 3 + F dW``, ``p = x + 3 h f(x) / 4 + 3 F J / 2``,
    ``J = (dW + dV / sqrt 3) / 2`` with dV an independent copy of dW (Roessler 2010). On a linear
    drift its strong order is 2.
exact
    The solution itself; for quadratic losses with constant noise.
"""


def scheme(name: str) -> Scheme:
    """Return the scheme of that name.

    Parameters
    ----------
    name : str
        A key of :data:`SCHEMES`.

    Returns
    -------
    Scheme

    Raises
    ------
    InputError
        If there is no such scheme.

    Examples
    --------
    >>> scheme("sra1").strong_order
    1.5
    """
    return SCHEMES[checks.one_of("scheme", name, list(SCHEMES))]
