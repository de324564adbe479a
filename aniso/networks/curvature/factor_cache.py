"""Forming the cache of a linearisation: one pass over the data, chunk by chunk."""

from aniso.networks import passes
from aniso.networks.curvature.cache_plan import chunk_examples, num_groups


def form_cache(network, parameters, output_factors, factors, assembly):
    """Gauss-Newton factors filled, and the bilinear matrix.

    Parameters
    ----------
    network : Network
        On the examples that contribute.
    parameters : list of tuple of ndarray
        Unpacked theta.
    output_factors : ndarray, shape (n, C, r)
        L_i of those examples.
    factors : GaussNewton
        Empty; filled in place.
    assembly : Assembly or None
        Of the cross-layer blocks, None where they are not wanted.

    Returns
    -------
    factors : GaussNewton
    bilinear : Bilinear or None
    """
    tables = None if assembly is None else assembly.tables(parameters)
    count = network.num_examples
    step = network.chunk_size if assembly is None else chunk_examples(network, assembly)
    pieces = [slice(i, min(i + step, count)) for i in range(0, count, step)]
    number = min(num_groups(network, assembly), len(pieces))

    def of_group(group):
        sums = None if assembly is None else assembly.new_sums()
        diagonals = []
        for rows in group:
            outputs, trail = passes.forward(network.layers, parameters, network.prepared_rows(rows))
            if assembly is not None:
                delta = network.output_deltas(outputs, network.targets[rows])
                assembly.add_chunk(sums, parameters, trail, delta, tables)
            diagonals.append(factors.fill(rows, parameters, trail, output_factors[rows]))
        return sums, diagonals

    results = network.workers.map(of_group, [pieces[i::number] for i in range(number)])
    factors.finish([diagonal for _, diagonals in results for diagonal in diagonals])
    if assembly is None:
        return factors, None
    total = results[0][0]
    for sums, _ in results[1:]:
        for pair, values in sums.items():
            total[pair] += values
    return factors, assembly.finish(total)
