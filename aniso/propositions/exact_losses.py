"""The order of one example's Fisher and Gauss-Newton matrix, in rational arithmetic.

In the output space of example i the claim is ``r r^T <= kappa S``. Probabilities and residuals are
fractions, so that nothing is rounded, even where ``exp(l)`` has fifty digits.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

_SCALE = 10**6


@dataclass(frozen=True)
class OutputCase:
    """One example's loss in its output.

    Attributes
    ----------
    gradient : list of Fraction, length C
        r.
    hessian : list of list of Fraction, C x C
        S.
    constant : Fraction
        kappa, the claimed least constant with ``r r^T <= kappa S``.
    """

    gradient: list
    hessian: list
    constant: Fraction


def softmax_case(rng, num_classes, largest_exponent):
    """Return a case of the cross-entropy with ``kappa = (1 - p_y) / p_y = exp(l) - 1``.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the probabilities and the label.
    num_classes : int
        C.
    largest_exponent : int
        The weights of the classes are integers up to 10 to this power.

    Returns
    -------
    OutputCase
    """
    exponents = rng.uniform(0, largest_exponent, num_classes)
    weights = [_integer(rng, exponent) for exponent in exponents]
    total, label = sum(weights), int(rng.integers(num_classes))
    p = [Fraction(weight, total) for weight in weights]
    gradient = [p[c] - (c == label) for c in range(num_classes)]
    hessian = [[p[c] * ((c == d) - p[d]) for d in range(num_classes)] for c in range(num_classes)]
    return OutputCase(gradient, hessian, (1 - p[label]) / p[label])


def logistic_case(rng, largest_exponent):
    """Return a case of the logistic loss with ``kappa = exp((1 - 2 y) f) = exp(l) - 1``.

    Parameters
    ----------
    rng, largest_exponent
        As for :func:`softmax_case`.

    Returns
    -------
    OutputCase
    """
    odds = Fraction(*(_integer(rng, rng.uniform(0, largest_exponent)) for _ in range(2)))
    p, label = odds / (1 + odds), int(rng.integers(2))
    return OutputCase([p - label], [[p * (1 - p)]], 1 / odds if label else odds)


def squared_case(rng, num_outputs):
    """Return a case of the squared loss ``|f - y|^2`` with ``kappa = 2 l``.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the residual.
    num_outputs : int
        C.

    Returns
    -------
    OutputCase
    """
    residual = [Fraction(int(rng.integers(-_SCALE, _SCALE)), _SCALE) for _ in range(num_outputs)]
    hessian = [[Fraction(2 * (c == d)) for d in range(num_outputs)] for c in range(num_outputs)]
    loss = sum(entry * entry for entry in residual)
    return OutputCase([2 * entry for entry in residual], hessian, 2 * loss)


def _integer(rng, exponent):
    """Random integer near 10^exponent, at least 1."""
    mantissa = int(rng.integers(1, _SCALE))
    return max(1, mantissa * 10 ** int(exponent) // _SCALE) + int(rng.integers(0, 9))


def difference(case, constant):
    """``constant S - r r^T``, C x C.

    Parameters
    ----------
    case : OutputCase
    constant : Fraction

    Returns
    -------
    list of list of Fraction
    """
    size = range(len(case.gradient))
    r, hessian = case.gradient, case.hessian
    return [[constant * hessian[c][d] - r[c] * r[d] for d in size] for c in size]


def least_pivot(matrix):
    """Return the least pivot of a symmetric elimination: not negative only if the matrix is psd.

    Parameters
    ----------
    matrix : list of list of Fraction
        Symmetric.

    Returns
    -------
    Fraction
        Exact. Where a pivot is 0 and its column is not, the matrix is indefinite: the result is
        minus the largest square in the column.

    Examples
    --------
    >>> one, two = Fraction(1), Fraction(2)
    >>> least_pivot([[two, one], [one, one]]), least_pivot([[one, two], [two, one]])
    (Fraction(1, 2), Fraction(-3, 1))
    >>> least_pivot([[0 * one, one], [one, one]])
    Fraction(-1, 1)
    """
    rest, least = [list(row) for row in matrix], None
    while rest:
        pivot, column = rest[0][0], [row[0] for row in rest[1:]]
        value = pivot
        if pivot == 0 and any(column):
            value = -max(entry * entry for entry in column)
        least = value if least is None else min(least, value)
        if pivot != 0:
            rest = [
                [entry - left * top / pivot for entry, top in zip(row[1:], column, strict=True)]
                for row, left in zip(rest[1:], column, strict=True)
            ]
        else:
            rest = [row[1:] for row in rest[1:]]
    return least


def least_constant(case):
    """``r^T S^+ r``, the least constant with ``r r^T <= constant S``, by elimination.

    Parameters
    ----------
    case : OutputCase
        r lies in the range of S.

    Returns
    -------
    Fraction
        ``r^T x`` for a solution x of ``S x = r``; every solution gives the same number.

    Raises
    ------
    ZeroDivisionError
        If r is not in the range of S: no constant is large enough.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> least_constant(OutputCase([half, -half], [[half / 2, -half / 2], [-half / 2, half / 2]], 1))
    Fraction(1, 1)
    """
    # The Schur complement of S in [[S, r], [r^T, 0]] is -r^T S^+ r.
    size = len(case.gradient)
    rest = [[*case.hessian[c], case.gradient[c]] for c in range(size)]
    rest.append([*case.gradient, Fraction(0)])
    for _ in range(size):
        pivot, top = rest[0][0], rest[0][1:]
        if pivot == 0:
            if any(top):
                raise ZeroDivisionError("r is not in the range of S")
            rest = [row[1:] for row in rest[1:]]
            continue
        rest = [
            [entry - row[0] * above / pivot for entry, above in zip(row[1:], top, strict=True)]
            for row in rest[1:]
        ]
    return -rest[0][0]


def largest_loss(cases):
    """``log(1 + kappa)`` of the case with the largest constant: its loss, for the entropies."""
    return float(np.log(float(max(case.constant for case in cases) + 1)))
