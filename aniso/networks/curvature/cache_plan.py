"""How the cached linearisation is formed: groups of chunks, sizes of chunks, bytes at the peak."""

# chunks are dealt to this many groups, each with its own sums: results don't depend on threads
_GROUPS = 4
_GROUP_BYTES = 1_200_000_000
_WORK_BYTES = 60_000_000


def num_groups(network, assembly):
    """Number of groups of chunks, fewer where the cross-layer sums are large.

    Examples
    --------
    >>> num_groups(None, None)
    4
    """
    if assembly is None or not assembly.supported:
        return _GROUPS
    sum_bytes = max(1, assembly.num_entries() * network.dtype.itemsize)
    return max(1, min(_GROUPS, _GROUP_BYTES // sum_bytes))


def example_bytes(network, assembly):
    """Work space of one example while the factors are formed."""
    entries = assembly.entries_per_example() if assembly.supported else 0
    return entries * network.dtype.itemsize + 2 * network.bytes_per_example


def chunk_examples(network, assembly):
    """Examples of one chunk."""
    return int(max(1, min(_WORK_BYTES // example_bytes(network, assembly), network.chunk_size)))


def cache_bytes(network, plan, assembly):
    """Bytes of the cached factors, and at the peak while they are formed.

    Parameters
    ----------
    network : Network
    plan : gauss_newton.Plan
    assembly : Assembly

    Returns
    -------
    held, peak : int
    """
    item, entries, sums = network.dtype.itemsize, plan.num_entries(), 0
    if assembly.supported:
        entries += assembly.num_entries()
        sums = assembly.num_entries() * num_groups(network, assembly)
    work = min(chunk_examples(network, assembly), plan.num_rows)
    work *= example_bytes(network, assembly) * network.workers.num_threads
    return entries * item, (entries + sums) * item + work
