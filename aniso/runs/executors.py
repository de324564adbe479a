"""Executors by name, and units of work that survive the death of a worker.

===========================  ======================================================================
name                         where the units run
===========================  ======================================================================
``serial``                   in this process, one after the other
``local``, ``local:4``       processes on this machine, one BLAS thread each; as many as cores, or 4
``dask://host:port``         a Dask cluster (``pip install aniso[dask]``)
``mpi``                      ``mpi4py.futures`` (``pip install aniso[mpi]``), the script started by
                             ``mpiexec -n 9 python -m mpi4py.futures -m ...`` or a machine file
===========================  ======================================================================

A unit is a picklable argument of a module-level function; everything random in it comes from its
own seed, so that results do not depend on the executor, the number of workers or their order.
"""

import contextlib
import importlib
import queue
import socket
import sys
import urllib.parse
from concurrent.futures import BrokenExecutor, CancelledError, Future
from dataclasses import dataclass

from aniso import checks, threads
from aniso.runs import local_processes, _sent_results

NAMES = "serial, local, local:<processes>, dask://<host>:<port>, mpi"
_SECONDS_TO_CONNECT = 10
_LONGEST_GREETING = 2**20
_ATTEMPTS = 3


@dataclass(frozen=True)
class Outcome:
    """What became of one unit.

    Attributes
    ----------
    unit : object
        The argument.
    value : object
        What the function returned; None where it failed.
    error : Exception or None
        What it raised, or the death of its worker where that happened too often.
    """

    unit: object
    value: object
    error: Exception | None


def run_units(function, units, executor="local", *, on_done=None):
    """Outcomes of ``function(unit)`` for every unit, in their order.

    Parameters
    ----------
    function : callable
        Module-level, so that other processes can import it.
    units : sequence
        Picklable arguments.
    executor : str or object with ``submit``
        A name, or any ``concurrent.futures``-style executor; one that is given is left open.
    on_done : callable, optional
        ``on_done(outcome)`` in this process whenever a unit has ended.

    Returns
    -------
    list of Outcome

    Raises
    ------
    InputError
        If the name is unknown, the package behind it is missing, or its cluster does not answer.

    Notes
    -----
    A unit that raises is an outcome with its error; the others go on. Units whose worker died are
    submitted again, at most three times each in all; a death in ``local`` costs no other unit,
    while an executor that breaks as a whole costs each of its units an attempt.
    After Ctrl-C or SIGTERM local workers end their units as :mod:`aniso.runs.interruptions` says, and
    they do so when this process dies. Units on a cluster go on until
    :func:`aniso.runs.run_directory.ask_to_stop` reaches them.

    Examples
    --------
    >>> [outcome.value for outcome in run_units(abs, [-1, 2], "serial")]
    [1, 2]
    """
    units = list(units)
    outcomes = {}

    def finish(index, outcome):
        outcomes[index] = outcome
        if on_done is not None:
            on_done(outcome)

    waiting, broken = list(range(len(units))), None
    for attempt in range(1, _ATTEMPTS + 1):
        lost = []
        with _opened(executor, len(waiting)) as pool:
            futures = {}
            try:
                for index in waiting:
                    futures[pool.submit(function, units[index])] = index
            except BrokenExecutor as error:
                lost = [index for index in waiting if index not in futures.values()]
                broken = error
            for future, index in _as_completed(futures):
                try:
                    finish(index, Outcome(units[index], future.result(), None))
                except (*_deaths(), KeyboardInterrupt) as error:
                    # a KeyboardInterrupt of the future: somebody has stopped the worker alone; this
                    # program would have heard its own signal before it came here
                    getattr(pool, "resume", _nothing)()
                    if attempt == _ATTEMPTS:
                        finish(index, Outcome(units[index], None, error))
                    else:
                        lost.append(index)
                except Exception as error:
                    finish(index, Outcome(units[index], None, error))
        waiting = sorted(lost)
        if not waiting:
            break
    for index in waiting:
        finish(index, Outcome(units[index], None, broken))
    return [outcomes[index] for index in range(len(units))]


def _nothing():
    pass


def _as_completed(futures):
    # callbacks, because the futures of Dask can't be waited for with those of the standard library
    done = queue.SimpleQueue()
    for future in futures:
        future.add_done_callback(done.put)
    for _ in range(len(futures)):
        future = done.get()
        yield future, futures[future]


def _deaths():
    """Exceptions that stand for the death of a worker."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return (BrokenExecutor, CancelledError)
    return (BrokenExecutor, CancelledError, distributed.client.FutureCancelledError)


@contextlib.contextmanager
def _opened(executor, num_units):
    if not isinstance(executor, str):
        if not callable(getattr(executor, "submit", None)):
            raise checks.InputError(
                f"executor={executor!r}; expected one of: {NAMES}; or an object with submit"
            )
        yield executor
        return
    with _named(executor, num_units) as pool:
        yield pool


def _named(name, num_units):
    kind, _, rest = name.partition(":")
    if name == "serial":
        return contextlib.nullcontext(_Serial())
    if kind == "local" and (not rest or rest.isdigit()):
        count = int(rest) if rest else threads.available_cores()
        checks.integer("the number of local processes", count, low=1)
        return local_processes.opened(max(1, min(count, num_units)))
    if name.startswith("dask://"):
        return _dask(name)
    if name == "mpi":
        return _mpi()
    raise checks.InputError(f"executor={name!r}; expected one of: {NAMES}")


def require_reachable(name):
    """Refusal, before any work, of an executor that is unknown or does not answer.

    Raises
    ------
    InputError

    Notes
    -----
    Of ``mpi`` only the package is looked for: its workers, once met, wait for work.
    """
    if name == "mpi":
        _mpi_futures()
        return
    with _named(name, 1):
        pass


class _Serial:
    """Runs at once, in this process."""

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


@contextlib.contextmanager
def _dask(name):
    distributed = _optional("distributed", "dask", name)
    host, port = _host_and_port(name)
    try:
        _require_greeting(host, port)
        client = distributed.Client(
            f"tcp://{host}:{port}", timeout=_SECONDS_TO_CONNECT, set_as_default=False
        )
    except (OSError, TimeoutError) as error:
        raise checks.InputError(
            f"executor={name!r} can't be reached ({error}); expected the address of a running "
            "Dask scheduler"
        ) from error
    try:
        _require_workers(client, name)
        yield _DaskPool(client)
    finally:
        client.close()  # units that have not begun never will


def _host_and_port(name):
    try:
        address = urllib.parse.urlsplit(name)
        host, port = address.hostname, address.port
    except ValueError:  # a port that is no number, or too large
        host = port = None
    if not host or not port:
        raise checks.InputError(
            f"executor={name!r}; expected dask://<host>:<port>, the port between 1 and 65535"
        )
    return host, port


def _require_workers(client, name):
    try:
        client.wait_for_workers(1, timeout=_SECONDS_TO_CONNECT)
    except TimeoutError as error:
        raise checks.InputError(
            f"executor={name!r} has no workers; expected at least one: start them by "
            f"dask worker {client.scheduler.address}"
        ) from error


def _require_greeting(host, port):
    # a client would go on trying, and believe any bytes; a scheduler sends the length of its
    # first message at once
    with socket.create_connection((host, port), _SECONDS_TO_CONNECT) as connection:
        length = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "little")
    if not 0 < length <= _LONGEST_GREETING:
        raise OSError("what answers there is no Dask scheduler")


class _DaskPool:
    """A Dask client with the calls of an executor; every call is a task of its own."""

    def __init__(self, client):
        self.client = client

    def submit(self, function, *arguments):
        # impure: two equal units are two tasks; a task whose worker dies goes to another
        return self.client.submit(_work_for_dask, function, *arguments, pure=False)


def _work_for_dask(function, *arguments):
    # a unit that was asked to stop; Dask would end its worker
    try:
        return function(*arguments)
    except KeyboardInterrupt as error:
        raise CancelledError("the unit was asked to stop") from error


@contextlib.contextmanager
def _mpi():
    with _mpi_futures().MPIPoolExecutor() as pool:
        yield _MpiPool(pool)


class _MpiPool:
    """An MPI pool whose units fail alone, also by an exception that can't be made again here."""

    def __init__(self, pool):
        self.pool = pool

    def submit(self, function, *arguments):
        return self.pool.submit(_sent_results.called, function, *arguments)


def _mpi_futures():
    return _optional("mpi4py.futures", "mpi", "mpi")


def _optional(module, extra, name):
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:
        raise checks.InputError(
            f"executor={name!r} needs a package that can't be loaded ({error}); "
            f"expected pip install 'aniso[{extra}]'"
        ) from error
