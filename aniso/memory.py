"""Refusal of allocations that would not fit, made before anything is allocated."""

import psutil

from aniso import _memory_limits, checks


class AllocationRefused(MemoryError):
    """An array that would not fit; the message gives its size and the alternative."""


def available_bytes():
    """Free memory in bytes: without swapping, and within every limit on this process.

    See :mod:`aniso._memory_limits` for the limits of batch systems and containers.
    """
    return int(min(psutil.virtual_memory().available, _memory_limits.bytes_left()))


def require(num_bytes, what, alternative, *, budget=None):
    """Refuse `num_bytes` for `what` where they exceed the budget.

    Parameters
    ----------
    num_bytes : int
        Size of the allocation to come.
    what : str
        Name of the array, for the message ("the dense Hessian, 9 × 9").
    alternative : str
        Remedy, for the message ("use hessian_operator").
    budget : int, optional
        Bytes that may be used; 90 % of :func:`available_bytes` if not given.

    Raises
    ------
    AllocationRefused
        If `num_bytes` exceeds the budget.

    Examples
    --------
    >>> require(8 * 10**12, "the dense Hessian", "use hessian_operator", budget=10**9)
    Traceback (most recent call last):
        ...
    aniso.memory.AllocationRefused: the dense Hessian needs 8.00 TB, more than the budget of \
1.00 GB; use hessian_operator
    """
    limit = (
        int(0.9 * available_bytes()) if budget is None else checks.integer("budget", budget, low=1)
    )
    if num_bytes > limit:
        raise AllocationRefused(
            f"{what} needs {format_bytes(num_bytes)}, more than the budget of "
            f"{format_bytes(limit)}; {alternative}"
        )


def format_bytes(num_bytes):
    """Return a number of bytes as text, in a readable unit.

    Examples
    --------
    >>> format_bytes(1536)
    '1.54 kB'
    """
    size = float(num_bytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.2f} {unit}"
