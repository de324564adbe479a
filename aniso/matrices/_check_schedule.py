"""Schedule by which an iteration that grows a basis decomposes the projected matrix.

That is after each block while the matrix is small, and later when the residual bounds are predicted
to meet the tolerance, within limits of growth.
"""

import math

_SMALL = 64
_LEAST_GROWTH, _LARGEST_GROWTH = 1.03, 1.25
_SHARE_OF_PREDICTION = 0.8  # the bounds fall faster and faster


def next_check(count, excess, last=None):
    """Return at how many basis vectors the projected matrix is decomposed again.

    Parameters
    ----------
    count : int
        Basis vectors now.
    excess : float
        Largest residual bound over the one that is allowed.
    last : tuple, optional
        (count, excess) of the decomposition before.

    Returns
    -------
    int

    Examples
    --------
    Each block while there are few, a quarter more where nothing is known:

    >>> next_check(20, 1e3), next_check(400, 1e6)
    (21, 500)

    A decade for 40 vectors, and a decade left:

    >>> next_check(1000, 10.0, (960, 100.0))
    1032
    """
    if count < _SMALL:
        return count + 1
    growth = count * (_LARGEST_GROWTH - 1)
    if last is not None and 1 < excess < last[1]:
        decades = math.log(last[1] / excess) / (count - last[0])
        growth = min(growth, _SHARE_OF_PREDICTION * math.log(excess) / decades)
    return math.ceil(count + max(growth, count * (_LEAST_GROWTH - 1)))
