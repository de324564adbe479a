"""Ctrl-C and SIGTERM as requests: a computation stops at a point where nothing is lost.

Outside :func:`deferred` a request raises KeyboardInterrupt at once, as Ctrl-C does. A second signal
of the same kind raises at once in any case. A request that has raised KeyboardInterrupt in the main
thread is answered: a program that catches it there may begin the next computation.
"""

import contextlib
import signal
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Requests:
    """Signals seen since the handlers were installed, whether they wait, whether they raised."""

    def __init__(self):
        self.seen, self.waiting, self.answered = set(), False, False

    def forget(self):
        self.seen.clear()
        self.answered = False


_requests = _Requests()


def _note(number, _):
    again = number in _requests.seen
    _requests.seen.add(number)
    _requests.answered = again or not _requests.waiting
    if _requests.answered:
        raise KeyboardInterrupt


@contextlib.contextmanager
def handled(*, waiting=False, signals=SIGNALS):
    """Let SIGTERM raise KeyboardInterrupt, as SIGINT does, within a context.

    Parameters
    ----------
    waiting : bool
        If true, no signal raises; :func:`requested` returns whether one has come.
    signals : tuple of signal.Signals
        Signals that request a stop.

    Notes
    -----
    Only the main thread can set handlers; in another thread the context does nothing. A signal that
    is ignored stays ignored.

    Examples
    --------
    >>> with handled(waiting=True):
    ...     signal.raise_signal(signal.SIGTERM)
    ...     requested()
    True
    >>> requested()
    False
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # other threads still see an answered request, until the main thread begins something new
    if _requests.answered:
        _requests.forget()
    outermost = _note not in map(signal.getsignal, signals)
    kept, waited = {}, _requests.waiting
    for number in signals:
        found = signal.getsignal(number)
        if found not in (_note, signal.SIG_IGN, None):
            kept[number] = signal.signal(number, _note)
    _requests.waiting = waiting
    try:
        yield
    finally:
        _requests.waiting = waited
        for number, handler in kept.items():
            signal.signal(number, handler)
        if outermost:
            _requests.forget()


def requested():
    """Return whether a signal has asked this process to stop.

    Returns
    -------
    bool

    Examples
    --------
    >>> requested()
    False
    """
    return bool(_requests.seen)


def stop():
    """Raise KeyboardInterrupt, which answers the requests so far.

    Raises
    ------
    KeyboardInterrupt
        Always.

    Examples
    --------
    >>> with handled():
    ...     for number in range(2):
    ...         try:
    ...             with deferred():
    ...                 if number == 0:
    ...                     signal.raise_signal(signal.SIGTERM)
    ...                 if requested():
    ...                     stop()
    ...                 print("finished")
    ...         except KeyboardInterrupt:
    ...             print("stopped")
    stopped
    finished
    """
    if threading.current_thread() is threading.main_thread():
        _requests.answered = True
    raise KeyboardInterrupt


@contextlib.contextmanager
def deferred():
    """Let requests wait within a context; the computation asks :func:`requested`.

    Examples
    --------
    >>> with deferred():
    ...     signal.raise_signal(signal.SIGTERM)
    ...     requested()
    True
    """
    with handled(waiting=True):
        yield
