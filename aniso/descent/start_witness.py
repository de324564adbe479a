"""Numbers that identify the start, the problem and the data of a run that is resumed."""

import hashlib

import numpy as np

from aniso import checks


def witness(problem, theta):
    """Return the loss and the gradient of a problem near a point in eight numbers, and N.

    Parameters
    ----------
    problem : problems.Problem
        Mean loss over N examples.
    theta : numpy.ndarray, shape (D,)
        Point in parameter space.

    Returns
    -------
    dict
        Plain data: ``theta`` (a hash), ``num_examples``, ``numbers`` and their ``tolerances``. The
        numbers are the loss, the norm of the gradient and its products with two fixed vectors, at
        the point and at a second one; NaN where the problem refuses a point.

    Notes
    -----
    Cost: two gradients of all examples. The numbers change with the loss function, with everything
    it uses, and with the data, unless loss and gradient agree at both points. The second point is
    needed for starts of high symmetry: at zero weights the loss hardly depends on its data.

    Changes within the tolerances pass unnoticed: relative changes below ``eps^(2/3)``, 2e-5 in
    single and 4e-11 in double precision. One example changes the means over N examples by about
    1/N, so that in single precision another example among more than some 10^4 is not noticed.

    Examples
    --------
    >>> from aniso.problems import quadratic
    >>> bowl = quadratic.quadratic_problem([[2.0]], [0.0], [[1.0], [-1.0]])
    >>> [round(number, 9) for number in witness(bowl, np.ones(1))["numbers"][:2]]
    [1.0, 2.0]
    """
    # fixed vectors that no symmetry of the parameters leaves as they are
    angles = 1.0 + np.arange(len(theta)) ** 2 * 0.7
    shifted = theta + 0.1 * max(1.0, np.abs(theta).max()) * np.cos(angles)
    numbers = [_numbers(problem, point, angles) for point in (theta, shifted)]
    # other threads and other machines add up in another order; at a minimum the gradient is all
    # rounding, so that the larger of the two points counts
    rounding = float(np.finfo(problem.dtype).eps ** (2 / 3))
    sizes = np.where(np.isfinite(numbers), np.abs(numbers), 0.0)
    loss, norm = sizes.max(axis=0)[:2]
    return {
        "theta": hashlib.sha256(np.ascontiguousarray(theta).data).hexdigest()[:16],
        "num_examples": int(problem.num_examples),
        "numbers": [*numbers[0], *numbers[1]],
        "tolerances": [rounding * float(scale) for scale in 2 * (loss, norm, norm, norm)],
    }


def _numbers(problem, theta, angles):
    try:
        with np.errstate(all="ignore"):
            loss = float(problem.loss(theta))
            gradient = np.asarray(problem.gradient(theta), dtype=np.float64)
            products = [float(wave @ gradient) for wave in (np.cos(angles), np.sin(angles))]
            return [loss, float(np.linalg.norm(gradient)), *products]
    except checks.InputError:
        return [np.nan] * 4


def differences(stored, own):
    """Return in words where two witnesses differ by more than rounding.

    Parameters
    ----------
    stored, own : dict
        Of :func:`witness`; the first may be empty.

    Returns
    -------
    list of str

    Examples
    --------
    >>> own = {"theta": "a", "num_examples": 5, "numbers": [1.0], "tolerances": [0.1]}
    >>> differences(own, own | {"numbers": [1.2]}), differences(own | {"numbers": [1.01]}, own)
    (['loss or gradient at the start: stored [1.0], found [1.2]'], [])
    """
    if not stored:
        return ["the start: not stored"]
    lines = [
        f"{label} of the start: stored {stored[name]!r}, found {own[name]!r}"
        for name, label in (("theta", "hash of the theta"), ("num_examples", "number of examples"))
        if stored[name] != own[name]
    ]
    if not lines and not _agree(stored, own):
        lines.append(
            f"loss or gradient at the start: stored {stored['numbers']}, found {own['numbers']}"
        )
    return lines


def _agree(stored, own):
    first, second = np.array(stored["numbers"]), np.array(own["numbers"])
    allowed = np.maximum(stored["tolerances"], own["tolerances"])
    with np.errstate(invalid="ignore"):
        near = np.isfinite(first) & (np.abs(first - second) <= allowed)
    return bool((near | (first == second) | (np.isnan(first) & np.isnan(second))).all())
