"""Costs of a network's quantities from its shapes, before anything is computed.

The efficiencies are shares of the calibrated matrix-product speed that the kinds of work were
measured to reach on the FashionMNIST network with 1,200 examples.
"""

from aniso import checks
from aniso.cost import calibrated
from aniso.networks import gauss_newton
from aniso.networks.bilinear_assembly import Assembly
from aniso.networks.cache_plan import cache_bytes
from aniso.networks.dense_gauss_newton import work_entries
from aniso.networks.parameter_blocks import blocks_of

_PASSES, _ASSEMBLY, _PRODUCTS, _DENSE = 0.5, 0.25, 0.6, 0.6


def predicted_cost(network, quantity, *, num_vectors=1):
    """Cost of one quantity of a network.

    Parameters
    ----------
    network : Network
    quantity : str
        One of :data:`QUANTITIES`.
    num_vectors : int
        Vectors of a product, or eigenpairs.

    Returns
    -------
    aniso.cost.Cost

    Raises
    ------
    InputError
        If there is no such quantity.

    Notes
    -----
    The rank of the loss's output Hessians is taken as C - 1 (at least 1) and every example as
    contributing; both can only be less.
    """
    checks.one_of("quantity", quantity, list(QUANTITIES))
    num_vectors = checks.integer("num_vectors", num_vectors, low=1)
    return QUANTITIES[quantity](_Shapes(network), num_vectors)


class _Shapes:
    """Counts of one network that the formulas share."""

    def __init__(self, network):
        self.network = network
        self.count, self.dimension = network.num_examples, network.num_parameters
        self.item = network.dtype.itemsize
        self.forward = 2 * network.forward_multiplications() * self.count
        self.rank = max(1, network.num_outputs - 1)
        self.plan = gauss_newton.plan(network.stack, self.rank, self.count)
        self.assembly = Assembly(network, network.stack)
        self.machine = calibrated(network.dtype, network.workers.num_threads)
        self.threads = network.workers.num_threads
        self.chunk_bytes = network.chunk_size * network.bytes_per_example * self.threads

    @property
    def gradient_entries(self):
        """Numbers in the factors of the per-example gradients."""
        factored = sum(b.num_inputs + 1 + b.num_units for b in self.plan.factored)
        return self.count * (self.plan.num_stored + factored)


def _gradient(shapes, _):
    return shapes.machine.cost(3 * shapes.forward, shapes.chunk_bytes, efficiency=_PASSES)


def _per_example_gradients(shapes, _):
    held = shapes.count * shapes.dimension * shapes.item
    return shapes.machine.cost(
        3 * shapes.forward, held + shapes.chunk_bytes, efficiency=_PASSES, moved_bytes=2 * held
    )


def _moving_product(shapes, num_vectors):
    blocks = (4 + shapes.threads) * num_vectors * shapes.dimension * shapes.item
    moved = 2 * shapes.count * shapes.network.product_multiplications()
    flops = 2 * shapes.forward + num_vectors * moved
    return shapes.machine.cost(flops, 2 * shapes.chunk_bytes + blocks, efficiency=_PASSES)


def _linearisation(shapes, _):
    flops = (2 + 2 * shapes.rank) * shapes.forward
    if shapes.assembly.supported:
        flops += 2 * shapes.count * shapes.assembly.multiplications()
    held = cache_bytes(shapes.network, shapes.plan, shapes.assembly)[1]
    return shapes.machine.cost(flops, held, efficiency=_ASSEMBLY)


def _product(shapes, num_vectors):
    mults = shapes.plan.multiplications()
    if shapes.assembly.supported:
        mults += 2 * shapes.assembly.num_entries()
    read = cache_bytes(shapes.network, shapes.plan, shapes.assembly)[0]
    held = (4 + shapes.threads) * num_vectors * shapes.dimension * shapes.item
    return shapes.machine.cost(
        2 * num_vectors * mults, held, efficiency=_PRODUCTS, moved_bytes=read
    )


def _dense_hessian(shapes, _):
    # the work space of the linearisation is free again when the matrix is formed
    cached, peak = cache_bytes(shapes.network, shapes.plan, shapes.assembly)
    held = shapes.dimension**2 * shapes.item
    flops = 2 * shapes.plan.dense_multiplications()
    work = work_entries(shapes.plan) * shapes.item * shapes.threads
    extra = max(0, held + work + cached - peak)
    own = shapes.machine.cost(flops, extra, efficiency=_DENSE, moved_bytes=2 * held)
    return _linearisation(shapes, 1) + own


def _alignment(shapes, _):
    pairs = shapes.count * shapes.count * shapes.rank
    mults = pairs * (shapes.plan.num_stored + sum(b.num_units for b in shapes.plan.factored))
    if shapes.assembly.supported:
        mults += shapes.count * shapes.assembly.num_entries()
    held = (shapes.gradient_entries + 8_000_000 * 3) * shapes.item
    return shapes.machine.cost(2 * mults, held, efficiency=_PRODUCTS)


def _leading_eigenpairs(shapes, num_pairs):
    basis = min(shapes.dimension, int(4.2 * num_pairs) + 80)
    flops = 2 * basis * shapes.dimension**2 + 4 * shapes.dimension * basis**2
    held = 2 * basis * shapes.dimension * shapes.item
    own = shapes.machine.cost(flops, held, efficiency=_DENSE)
    return _dense_hessian(shapes, 1) + own


def _layer_blocks(shapes, _):
    sizes = [block.size for block in blocks_of(shapes.network.stack)]
    held = sum(size**2 for size in sizes) * shapes.item
    flops = shapes.count * shapes.rank * sum(size**2 for size in sizes)
    return shapes.machine.cost(flops, held, efficiency=_DENSE) + _linearisation(shapes, 1)


QUANTITIES = {
    "gradient": _gradient,
    "per_example_gradients": _per_example_gradients,
    "moving_hessian_product": _moving_product,
    "linearisation": _linearisation,
    "hessian_product": _product,
    "dense_hessian": _dense_hessian,
    "layer_blocks": _layer_blocks,
    "alignment": _alignment,
    "leading_eigenpairs": _leading_eigenpairs,
}
