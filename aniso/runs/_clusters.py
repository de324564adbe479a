"""Connections to clusters: Dask by its address, MPI by the workers of this program."""

import contextlib
import importlib
import socket
import urllib.parse

from aniso import checks

_SECONDS_TO_CONNECT = 10
_LONGEST_GREETING = 2**20


@contextlib.contextmanager
def mpi(name):
    """Yield the pool of the workers that ``mpiexec`` has started.

    Raises
    ------
    InputError
        If mpi4py can't be loaded.
    """
    pool = optional("mpi4py.futures", "mpi", name).MPIPoolExecutor()
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


@contextlib.contextmanager
def dask(name):
    """Yield a client of the Dask cluster at ``dask://host:port``.

    Raises
    ------
    InputError
        If the package is missing, the address is wrong, no scheduler answers, or it has no workers.
    """
    distributed = optional("distributed", "dask", name)
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
        yield client
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
    # a client would try again and again, and accept any bytes; a scheduler sends the length of its
    # first message at once
    with socket.create_connection((host, port), _SECONDS_TO_CONNECT) as connection:
        length = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "little")
    if not 0 < length <= _LONGEST_GREETING:
        raise OSError("the program at this address is no Dask scheduler")


def optional(module, extra, name):
    """Return an optional module.

    Parameters
    ----------
    module, extra, name : str
        The module, the extra of aniso that installs it, and the executor that needs it.

    Returns
    -------
    module

    Raises
    ------
    InputError
        If it can't be loaded.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:
        raise checks.InputError(
            f"executor={name!r} needs a package that can't be loaded ({error}); "
            f"expected pip install 'aniso[{extra}]'"
        ) from error
