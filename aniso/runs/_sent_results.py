"""Results of functions in other processes, in a form that every process can read.

A pool of processes breaks if a value or an exception can be pickled but not unpickled. This is so
for every exception whose ``__init__`` takes other arguments than the ``__init__`` of its base class
gets from it.
"""

import pickle
from concurrent.futures import CancelledError

from threadpoolctl import threadpool_limits


def one_blas_thread():
    """Return a context in which linear algebra uses one thread.

    The sums of linear algebra depend on the number of its threads: one number everywhere gives the
    same results everywhere.
    """
    return threadpool_limits(1, user_api="blas")


def called(function, unit):
    """Return ``function(unit)``, computed with one BLAS thread.

    Raises
    ------
    RuntimeError
        If `function` raises SystemExit, which would end the program with all other units.
    BaseException
        Any other exception of `function`.
    """
    try:
        with one_blas_thread():
            return function(unit)
    except SystemExit as error:
        raise RuntimeError(
            f"the unit raised SystemExit({error.code!r}); expected a value or another exception"
        ) from error


def called_and_pickled(function, unit):
    """Return ``function(unit)`` as bytes for :func:`pickle.loads`, computed with one BLAS thread.

    Parameters
    ----------
    function : callable
        Computes one unit of work.
    unit : object
        Its argument.

    Returns
    -------
    bytes

    Raises
    ------
    CancelledError
        If `function` raises KeyboardInterrupt, because the unit was asked to stop. A
        KeyboardInterrupt itself would end the worker process.
    RuntimeError
        If `function` raises SystemExit, or an exception that can't be pickled or unpickled. The
        message gives the class and the text of that exception.
    Exception
        Any other exception of `function`. An exception of pickle, if the value can't be pickled.
    """
    try:
        return pickle.dumps(called(function, unit), protocol=pickle.HIGHEST_PROTOCOL)
    except KeyboardInterrupt as error:
        raise CancelledError("the unit was asked to stop") from error
    except Exception as error:
        obstacle = _obstacle(error)
        if obstacle is None:
            raise
        raise RuntimeError(
            f"{type(error).__name__}: {error} (the exception itself can't be sent between "
            f"processes: {obstacle})"
        ) from error


def _obstacle(error):
    try:
        pickle.loads(pickle.dumps(error))
    except Exception as found:
        return f"{type(found).__name__}: {found}"
    return None
