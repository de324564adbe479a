"""Hessian and Gauss-Newton products by passes of tangents, for any layers and without a cache.

A block of vectors takes one pass forward with tangents and one pass back (Pearlmutter's
R-operator). The processor's cache and the memory budget limit the length of a block. On an
accelerator a block is large enough to use all cores. See "Hessian beyond Gauss-Newton" in
docs/theory/networks.md.
"""

from array_api_compat import array_namespace

from aniso.networks import passes


def products(network, theta, rows, output_matrices, second_order):
    """Return products of a curvature matrix with vectors, as rows (K, D).

    Parameters
    ----------
    network : Network
        The network.
    theta : ndarray, shape (D,)
        Point in parameter space.
    rows : ndarray, shape (K, D)
        The vectors.
    output_matrices : callable
        (outputs (n, C), targets) -> (n, C, C), the S_i of ``J_i^T S_i J_i``.
    second_order : bool
        Whether the part beyond Gauss-Newton is included.

    Returns
    -------
    ndarray, shape (K, D)
    """
    parameters = network.stack.unpacked(theta)
    parts = blocks(network, rows.shape[0])
    directions = [network.stack.unpacked(rows[block, ...]) for block in parts]

    def of_chunk(chunk):
        trail, matrices, fixed = _linearised(network, parameters, chunk, output_matrices)
        result = network.place.empty(rows.shape, network.dtype)
        for block, direction in zip(parts, directions, strict=True):
            moved, traces = passes.tangent(network.layers, parameters, trail, direction)
            moved = passes.weighted(matrices, moved)
            result[block, ...] = passes.gradient_tangent(
                network.layers,
                parameters,
                trail,
                direction,
                traces,
                moved,
                fixed if second_order else None,
            )
        return result

    total = network.workers.sum(of_chunk, network.chunks())
    total /= network.num_examples
    return total


def quadratic_forms(network, theta, rows):
    """Return ``v^T H v`` of every row v of (K, D), shape (K,), in double precision."""
    parameters = network.stack.unpacked(theta)
    directions = [
        network.stack.unpacked(rows[block, ...]) for block in blocks(network, rows.shape[0])
    ]

    def of_chunk(chunk):
        trail, matrices, fixed = _linearised(
            network, parameters, chunk, network.output_loss.hessian
        )
        forms = [
            passes.quadratic_forms(network.layers, parameters, trail, own, matrices, fixed)
            for own in directions
        ]
        return array_namespace(rows).concat(forms)

    return network.workers.sum(of_chunk, network.chunks()) / network.num_examples


def _linearised(network, parameters, chunk, output_matrices):
    outputs, trail = network.forward(chunk, parameters)
    slopes = network.output_deltas(outputs, chunk.targets)
    matrices = output_matrices(network.output_rows(outputs), chunk.targets)
    fixed = passes.deltas(network.layers, parameters, trail, slopes)
    matrices = array_namespace(matrices).astype(matrices, network.place.dtype(network.dtype))
    return trail, matrices, fixed


def blocks(network, count):
    """Return slices of ``range(count)``: tangents that pass through a chunk together."""
    in_chunk = network.bytes_per_example * network.chunk_size
    step = max(1, network.data.tangent_bytes // in_chunk)
    return [slice(i, min(i + step, count)) for i in range(0, count, step)]
