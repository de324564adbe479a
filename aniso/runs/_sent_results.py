"""What a function did in another process, so that its failure to arrive is an error of its own.

Pools of processes break where a value or an exception can be sent, but not be made again: every
exception whose ``__init__`` takes other arguments than it hands to its base class is of this kind.
"""

import pickle


def called(function, *arguments):
    """Return ``function(*arguments)``; its exceptions are such that a copy can be made.

    Raises
    ------
    RuntimeError
        In place of an exception that can't be copied, with the name of its class and its text.
    """
    try:
        return function(*arguments)
    except Exception as error:
        reason = _obstacle(error)
        if reason is None:
            raise
        raise RuntimeError(
            f"{type(error).__name__}: {error} (the exception itself can't be sent between "
            f"processes: {reason})"
        ) from error


def called_and_pickled(function, *arguments):
    """Return ``function(*arguments)`` as bytes for :func:`pickle.loads`.

    Raises
    ------
    Exception
        As :func:`called`, or what pickle says of a value that can't be sent.
    """
    return pickle.dumps(called(function, *arguments), protocol=pickle.HIGHEST_PROTOCOL)


def _obstacle(error):
    try:
        pickle.loads(pickle.dumps(error))
    except Exception as found:
        return f"{type(found).__name__}: {found}"
    return None
