"""Work of the shared parts of a diagnosis, in units that are timed."""

from dataclasses import dataclass

from aniso.diagnostics import _context
from aniso.diagnostics._stability import NUM_BATCHES
from aniso.matrices import space_traces

VECTORS_TOGETHER = 4
"""Vectors of one product of the space."""
# flops of one second in the large matrix products of the span of factors
_FLOPS = 1e10
# dimensions of a space that holds k pairs, over k + 1; typical of trained networks
_SPACE_OVER_PAIRS = 4.5
# passes over gradients of examples that are recomputed
_PASSES = 5
# products that the exact alignment by block costs a network
_EXACT_BLOCKS = 50


@dataclass(frozen=True)
class Work:
    """Work of one shared part.

    Attributes
    ----------
    losses, gradients, passes, products : float
        Evaluations of the loss, gradients, passes over the gradients of all examples, and products
        of H with a vector.
    preparations : float
        First products at a theta, which prepare the others.
    seconds : float
        Further time.
    num_bytes, kept_bytes : float
        Memory while it is computed, and the part that stays, without that of a product itself.
    """

    losses: float = 0.0
    gradients: float = 0.0
    passes: float = 0.0
    products: float = 0.0
    preparations: float = 0.0
    seconds: float = 0.0
    num_bytes: float = 0.0
    kept_bytes: float = 0.0


@dataclass(frozen=True)
class Sizes:
    """Sizes on which the work depends."""

    num_parameters: int
    used: int
    batch_size: int
    num_pairs: int
    num_outputs: int
    relative_error: float
    max_products: int
    item_bytes: int
    holds_rows: bool
    is_small: bool
    knows_diagonal: bool
    knows_blocks: bool

    @property
    def vectors(self):
        """Vectors of the space."""
        return min(_SPACE_OVER_PAIRS * (self.num_pairs + 1), self.num_parameters)

    @property
    def vector_bytes(self):
        """Bytes of a vector."""
        return self.item_bytes * self.num_parameters

    @property
    def probes(self):
        """Probes for Tr H: eight suffice for 1 %, and more grow with the inverse square."""
        needed = 4 * (0.01 / self.relative_error) ** 2
        most = min(self.num_parameters, self.max_products)
        fewest = space_traces.FEWEST_PROBES
        return space_traces.PILOT_PROBES + min(max(fewest, needed), most)


def _dense(work):
    """Return the work of a part, none of the products where the dense Hessian is there."""

    def of(sizes):
        return Work() if sizes.is_small else work(sizes)

    return of


def _example_gradients(sizes):
    rows = 8.0 * sizes.used * sizes.num_parameters
    if sizes.holds_rows:
        # the rows and the deviations stay; noise scales make another copy
        return Work(passes=1, num_bytes=4 * rows, kept_bytes=2 * rows)
    return Work(passes=_PASSES)


def _space(sizes):
    # the iteration has room for as many again
    kept = sizes.vector_bytes * (sizes.vectors + VECTORS_TOGETHER)
    return Work(products=sizes.vectors + 1, preparations=1, num_bytes=2.5 * kept, kept_bytes=kept)


def _hessian_trace(sizes):
    if sizes.knows_diagonal:
        return Work(products=20)
    kept = sizes.num_parameters * (sizes.item_bytes + 1) * sizes.probes
    return Work(products=sizes.probes, num_bytes=3 * kept, kept_bytes=kept)


def _alignment(sizes):
    if sizes.knows_blocks:
        return Work(products=_EXACT_BLOCKS)
    joined = sizes.vector_bytes * (sizes.vectors + VECTORS_TOGETHER + 2 * sizes.probes)
    passes = 0 if sizes.holds_rows else 1
    probes = sizes.probes if sizes.knows_diagonal else 0
    return Work(passes=passes, products=probes, num_bytes=1.5 * joined)


def _factors(sizes):
    rows = sizes.used * sizes.num_outputs
    flops = 2.0 * rows**2 * sizes.num_parameters
    return Work(
        gradients=sizes.num_outputs,
        seconds=flops / _FLOPS,
        num_bytes=8.0 * rows * (sizes.num_parameters + rows),
    )


def _batches(sizes):
    share = NUM_BATCHES * sizes.batch_size / sizes.used
    return Work(gradients=share, products=share)


def _density(sizes):
    steps, probes = _context.STEPS_OF_DENSITY, _context.PROBES_OF_DENSITY
    num_bytes = 8.0 * sizes.num_parameters * probes * (steps + 2)
    return Work(products=probes * steps, num_bytes=num_bytes)


def _matrix(sizes):
    if not sizes.is_small:
        return Work()
    size = 8.0 * sizes.num_parameters**2
    return Work(products=sizes.num_parameters, preparations=1, num_bytes=3 * size, kept_bytes=size)


PARTS = {
    "losses": lambda sizes: Work(losses=1),  # noqa: ARG005
    "gradient": lambda sizes: Work(gradients=1),  # noqa: ARG005
    "example_gradients": _example_gradients,
    "hessian": _matrix,
    "hessian_gradient": _dense(lambda sizes: Work(products=1)),  # noqa: ARG005
    "pairs": _dense(_space),
    "preconditioned": _dense(lambda sizes: Work(products=60)),  # noqa: ARG005
    "hessian_trace": _dense(_hessian_trace),
    "alignment": _dense(_alignment),
    "blocks": lambda sizes: Work(),  # noqa: ARG005
    "line": lambda sizes: Work(losses=12),  # noqa: ARG005
    "batches": _batches,
    "density": _dense(_density),
    "factors": _factors,
}
"""Typical work of each shared part of a diagnosis, by name."""
