"""Trials of users' functions before a run: the plain Python function first, then the compiled one.

A compiled function gives no errors. An entry that it does not write keeps an old value, an index
out of range reads other memory, and an exception is lost. So each function of a user is called at
the start and at points around it. Functions of this package have tests and are not tried.
"""

import warnings

import numpy as np

from aniso import checks
from aniso.arrays import (
    njit,
)
from aniso.langevin import functions, plain_functions
from aniso.langevin._kernels.streams import KERNEL, LANES

_FILL = 0.5
# single precision inside a function, and the cancellation of a few digits
_TOLERANCE = 1e-5


class FunctionRaised(checks.InputError):
    """A function that raised; `__cause__` is its exception."""


def points_around(start):
    """Return the start and five points around it, shape (6, D).

    The distance is at most a tenth of the largest entry of the start, or of 1.

    Examples
    --------
    >>> points_around(np.zeros(2)).shape
    (6, 2)
    """
    numbers = np.arange(len(start))
    first, second = np.cos(1.0 + 2.4 * numbers), np.sin(2.0 + 1.7 * numbers)
    offsets = [0.0 * first, first, -first, second, -second, 0.01 * first]
    return start + 0.1 * max(1.0, np.abs(start).max()) * np.array(offsets)


def require_sound(
    name,
    function,
    signature,
    points,
    parameters,
    *,
    num_rows=None,
    num_examples=None,
    finite=True,
    compiled=True,
):
    """Refuse a user's function that breaks the rules of :mod:`aniso.langevin.functions`.

    Parameters
    ----------
    name : str
        Role of the function, for messages.
    function : callable
        Function to test.
    signature : numba signature
        One of :mod:`aniso.langevin.functions`.
    points : numpy.ndarray, shape (P, D)
        Points of the test, the start first.
    parameters : numpy.ndarray
        Second argument of the function.
    num_rows : int, optional
        Rows of `out`; None where it is one-dimensional.
    num_examples : int, optional
        N, for a function that takes numbers of examples.
    finite : bool
        Whether its values at the start have to be finite.
    compiled : bool
        Whether the run uses its compiled form.

    Raises
    ------
    InputError
        If it raises at the start, or reads beyond the end of an array at any of the points. If it
        leaves a part of `out` unwritten, adds to the old entries of `out`, or changes theta. If a
        second call with the columns reversed gives other numbers. If the compiled function
        disagrees with the plain one, or can't be compiled.

    Notes
    -----
    Away from the start a function may raise, because it may be defined on a part of the space.
    """
    if functions.is_built_in(function):
        return
    name = f"{name} {getattr(function, '__name__', type(function).__name__)!r}"
    index = None
    if num_examples is not None:
        index = np.linspace(0, num_examples - 1, len(points)).astype(np.int64)
    trial = _Trial(name, function, points, index, parameters, num_rows)
    try:
        expected = trial.plain_answer()
    except FunctionRaised as error:
        if isinstance(error.__cause__, LookupError):
            raise
        trial.points = np.repeat(points[:1], len(points), axis=0)
        expected = trial.plain_answer()
    if finite and not np.isfinite(expected[:, 0]).all():
        raise checks.InputError(
            f"{name} gives {expected[:, 0].tolist()} at the start {points[0].tolist()}; expected "
            "finite numbers"
        )
    if compiled:
        trial.compare_compiled(signature, expected)


def evaluate(function, signature, points, parameters, num_rows):
    """Return the values of a function as kernels compute them, shape (num_rows, n).

    Parameters
    ----------
    function : callable
        A built-in function, or one of the user.
    signature : numba signature
        Of a function of theta and parameters.
    points : numpy.ndarray, shape (n, D)
        One point a row.
    parameters : numpy.ndarray
        Second argument of the function.
    num_rows : int
        Rows of its `out`.

    Examples
    --------
    >>> from aniso.langevin import drift_functions
    >>> evaluate(drift_functions.polynomial_drift, functions.PANEL_FUNCTION,
    ...          np.array([[1.0], [2.0]]), np.array([0.0, 0.0, 0.5]), 1).tolist()
    [[-1.0, -2.0]]
    """
    compiled = functions.pointer(function, signature)
    result = np.empty((num_rows, len(points)))
    for first in range(0, len(points), LANES):
        chosen = np.minimum(np.arange(first, first + LANES), len(points) - 1)
        out = np.full((num_rows, LANES), np.nan)
        with np.errstate(all="ignore"):
            _call(compiled, np.ascontiguousarray(points[chosen].T), parameters, out)
        result[:, chosen] = out
    return result


class _Trial:
    def __init__(self, name, function, points, index, parameters, num_rows):
        self.name, self.function, self.points, self.index = name, function, points, index
        self.parameters, self.num_rows = parameters, num_rows

    def plain_answer(self):
        """Values of the plain function, (rows, P), on a narrow panel or else on a whole one."""
        columns = np.arange(len(self.points))
        try:
            return self._twice(columns)
        except checks.InputError:
            # a function may count on the number of lanes that kernels have
            return self._twice(np.arange(LANES) % len(self.points))[:, : len(columns)]

    def _twice(self, columns):
        plain = plain_functions.uncompiled(self.function)
        first = self._values(plain, columns, np.nan)
        second = self._values(plain, columns[::-1], _FILL)[:, ::-1]
        wrong = ~_agree(first, second)
        if wrong.any():
            row = int(np.argmax(wrong.any(axis=1)))
            chosen = wrong[row]
            points = self.points[columns[chosen]]
            raise checks.InputError(
                self._complaint(row, points, first[row, chosen], second[row, chosen])
            )
        return first

    def _complaint(self, row, points, first, second):
        where = "out" if self.num_rows is None else f"row {row} of out"
        at = f"at theta={points[0].tolist()}"
        if np.isnan(first).all() and (second == _FILL).all():
            return (
                f"{self.name} does not write {where} {at}; expected it to write every entry, for "
                "instance out[0, lane] = ... (out = ... makes an array that nobody sees)"
            )
        if np.isnan(first).all():
            return (
                f"{self.name} adds to what {where} held before {at}; expected out[...] = ... "
                "before any out[...] += ..."
            )
        return (
            f"{self.name} gives {first[0]} and then {second[0]} in {where} {at}; expected "
            "column l of out to depend on column l of theta and on parameters alone, without "
            "random numbers"
        )

    def _values(self, plain, columns, fill):
        out = self._out(len(columns), fill)
        theta = np.ascontiguousarray(self.points[columns].T)
        before, parameters = theta.copy(), self.parameters.copy()
        index = () if self.index is None else (self.index[columns],)
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                plain(theta, *index, parameters, out)
        except Exception as error:
            raise FunctionRaised(
                f"{self.name} raises {type(error).__name__}: {error}, near the start "
                f"{self.points[0].tolist()} with {len(parameters)} parameters; expected indices "
                "within theta, parameters and out, and numbers at all points that paths can reach"
            ) from error
        if not np.array_equal(theta, before) or not np.array_equal(parameters, self.parameters):
            raise checks.InputError(
                f"{self.name} changes theta or parameters; expected it to write into out alone"
            )
        return np.atleast_2d(out)

    def _out(self, num_columns, fill):
        shape = (num_columns,) if self.num_rows is None else (self.num_rows, num_columns)
        return np.full(shape, fill)

    def compare_compiled(self, signature, expected):
        """Refuse the function if its compiled form gives other numbers than the plain one."""
        compiled = functions.pointer(self.function, signature)
        columns = np.arange(LANES) % len(self.points)
        out = self._out(LANES, np.nan)
        theta = np.ascontiguousarray(self.points[columns].T)
        with np.errstate(all="ignore"):
            if self.index is None:
                _call(compiled, theta, self.parameters, out)
            else:
                _call_with_index(compiled, theta, self.index[columns], self.parameters, out)
        found, expected = np.atleast_2d(out), expected[:, columns]
        wrong = ~_agree(expected, found)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise checks.InputError(
                f"{self.name} gives {found[row, column]} once compiled, and "
                f"{expected[row, column]} as plain Python, at theta={theta[:, column].tolist()}; "
                "expected the same. Compiled functions keep the values that names from outside "
                "had when they were compiled: hand them over in parameters"
            )


def _agree(first, second):
    """Where two arrays (rows, n) agree, up to rounding on the scale of their row."""
    sizes = np.where(np.isfinite(first), np.abs(first), 0.0).max(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        near = np.abs(first - second) <= _TOLERANCE * (sizes + np.finfo(float).tiny)
    return near | (first == second) | (np.isnan(first) & np.isnan(second))


@njit(**KERNEL)
def _call(function, theta, parameters, out):
    function(theta, parameters, out)


@njit(**KERNEL)
def _call_with_index(function, theta, index, parameters, out):
    function(theta, index, parameters, out)
