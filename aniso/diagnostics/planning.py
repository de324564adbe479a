"""What a diagnosis costs: seconds and bytes from one timed product and one timed gradient."""

import time
from dataclasses import dataclass

import numpy as np

from aniso import checks, memory
from aniso.diagnostics import _context
from aniso.diagnostics._stability import NUM_BATCHES
from aniso.diagnostics.measurement import located
from aniso.diagnostics.registry import chosen

_VECTORS = 8
_ROWS = 32
# flops of one second in the large matrix products of the span of factors
_FLOPS = 1e10


@dataclass(frozen=True)
class Work:
    """Work of one shared part, in units that are timed.

    Attributes
    ----------
    losses, gradients, passes, products : float
        Evaluations of the loss, gradients, passes over the gradients of all examples, and products
        of H with a vector.
    seconds : float
        Further time.
    num_bytes : float
        Memory while it is computed.
    """

    losses: float = 0.0
    gradients: float = 0.0
    passes: float = 0.0
    products: float = 0.0
    seconds: float = 0.0
    num_bytes: float = 0.0


@dataclass(frozen=True)
class Sizes:
    """Sizes on which the work depends."""

    num_parameters: int
    used: int
    batch_size: int
    num_pairs: int
    num_blocks: int
    num_outputs: int
    relative_error: float
    max_products: int
    is_small: bool
    knows_diagonal: bool
    knows_blocks: bool


def _estimate(sizes, probes):
    # probes for 1 %, which grow with the inverse square of the error
    needed = 16 + probes * (0.01 / sizes.relative_error) ** 2
    return min(needed, sizes.num_parameters, sizes.max_products)


def _dense(work):
    """Return the work of a part, none of the products where the dense Hessian is there."""

    def of(sizes):
        return Work() if sizes.is_small else work(sizes)

    return of


def _hessian_trace(sizes):
    if sizes.knows_diagonal:
        return Work(products=20)
    return Work(products=_estimate(sizes, 40))


def _blocks(sizes):
    if sizes.knows_blocks:
        return Work(products=50)
    one = _estimate(sizes, 16)
    return Work(products=sizes.num_blocks * one + one + _context.BLOCK_PROBES)


def _factors(sizes):
    rows = sizes.used * sizes.num_outputs
    flops = 2.0 * rows**2 * sizes.num_parameters
    return Work(
        gradients=sizes.num_outputs,
        seconds=flops / _FLOPS,
        num_bytes=8.0 * rows * (sizes.num_parameters + rows),
    )


PARTS = {
    "losses": lambda sizes: Work(losses=1),  # noqa: ARG005
    "gradient": lambda sizes: Work(gradients=1),  # noqa: ARG005
    "example_gradients": lambda sizes: Work(
        passes=2, num_bytes=8.0 * sizes.used * sizes.num_parameters
    ),
    "hessian": lambda sizes: Work(
        products=sizes.num_parameters if sizes.is_small else 0,
        num_bytes=8.0 * sizes.num_parameters**2 if sizes.is_small else 0,
    ),
    "hessian_gradient": _dense(lambda sizes: Work(products=1)),  # noqa: ARG005
    "pairs": _dense(
        lambda sizes: Work(
            products=8 * (sizes.num_pairs + 2),
            num_bytes=64.0 * sizes.num_parameters * (sizes.num_pairs + 2),
        )
    ),
    "preconditioned": _dense(lambda sizes: Work(products=60)),  # noqa: ARG005
    "hessian_trace": _dense(_hessian_trace),
    "alignment": _dense(
        lambda sizes: Work(products=50 if sizes.knows_blocks else _estimate(sizes, 16))
    ),
    "blocks": _dense(_blocks),
    "line": lambda sizes: Work(losses=30),  # noqa: ARG005
    "batches": lambda sizes: Work(
        gradients=NUM_BATCHES * sizes.batch_size / sizes.used,
        products=NUM_BATCHES * sizes.batch_size / sizes.used,
    ),
    "density": _dense(
        lambda sizes: Work(
            products=_context.PROBES_OF_DENSITY * _context.STEPS_OF_DENSITY,
            num_bytes=8.0
            * sizes.num_parameters
            * _context.PROBES_OF_DENSITY
            * (_context.STEPS_OF_DENSITY + 2),
        )
    ),
    "factors": _factors,
}
"""Typical work of each shared part of a diagnosis, by name."""


@dataclass(frozen=True, repr=False)
class Plan:
    """Cost of a diagnosis.

    Attributes
    ----------
    seconds, num_bytes : dict of str to float
        By quantity. A shared part counts for the first quantity that needs it.
    timed : dict of str to float
        Seconds of one evaluation of the loss, one gradient, one pass over the gradients of the
        examples, and one product with a vector.
    repetitions : int
        Diagnoses that a subset of the examples takes, for its error; 1 for all examples.

    Examples
    --------
    >>> Plan({"loss": 0.5}, {"loss": 2e6}, {"product": 0.01}, 1)
    <Plan: 0.5 s, 2.00 MB at once; one product 0.01 s>
    quantity                       seconds      memory
    loss                               0.5     2.00 MB
    """

    seconds: dict
    num_bytes: dict
    timed: dict
    repetitions: int

    @property
    def total_seconds(self):
        """Seconds of all quantities together."""
        return self.repetitions * sum(self.seconds.values())

    @property
    def peak_bytes(self):
        """Largest memory of a quantity, in bytes."""
        return max(self.num_bytes.values())

    def __repr__(self):
        units = ", ".join(f"one {name} {_brief(value)} s" for name, value in self.timed.items())
        again = f", {self.repetitions} diagnoses" if self.repetitions > 1 else ""
        lines = [
            f"<Plan: {_brief(self.total_seconds)} s{again}, "
            f"{memory.format_bytes(self.peak_bytes)} at once; {units}>",
            f"{'quantity':<26}{'seconds':>12}{'memory':>12}",
        ]
        lines += [
            f"{name:<26}{_brief(value):>12}{memory.format_bytes(self.num_bytes[name]):>12}"
            for name, value in self.seconds.items()
        ]
        return "\n".join(lines)


def plan(
    problem,
    quantities="standard",
    theta=None,
    *,
    batch_size=32,
    relative_error=0.01,
    num_examples=None,
    num_groups=10,
    num_pairs=10,
    max_products=2000,
):
    """Return what a diagnosis would cost, from a few timed evaluations.

    Parameters
    ----------
    problem, quantities, theta, batch_size, relative_error
        As for :func:`aniso.diagnostics.measure`.
    num_examples, num_groups, num_pairs, max_products
        As for :func:`aniso.diagnostics.measure`.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        If an argument breaks its rule, or the problem has no second derivatives where a quantity
        needs them.

    Notes
    -----
    Numbers of products are typical ones of trained networks; a saddle or a small trace takes more,
    up to `max_products` each. Cost: three evaluations of the loss and of the gradient, gradients of
    a few examples, and 16 products.

    Examples
    --------
    >>> from aniso.problems import quadratic_problem
    >>> bowl = quadratic_problem([[2.0]], [0.0], [[1.0], [-1.0]])
    >>> found = plan(bowl, ["loss", "alignment"], [3.0])
    >>> list(found.seconds), found.total_seconds < 10
    (['loss', 'alignment'], True)
    """
    problem, theta, at = located(problem, theta)
    count = problem.num_examples
    used = count
    if num_examples is not None:
        used = checks.integer("num_examples", num_examples, low=1, high=count, high_name="N")
    relative_error = checks.number("relative_error", relative_error, low=0, strict=True)
    asked = chosen(quantities)
    needed = {name for quantity in asked for name in needs(quantity)}
    timed = _timed(problem, theta, at, needed)
    context = _context.Context(at, _Blocks(at.blocks))
    num_outputs = 1
    if "factors" in needed and problem.has("outputs"):
        num_outputs = problem.outputs(theta).shape[1]
    sizes = Sizes(
        at.num_parameters,
        used,
        checks.integer("batch_size", batch_size, low=1),
        min(checks.integer("num_pairs", num_pairs, low=1), at.num_parameters),
        len(at.blocks),
        num_outputs,
        relative_error,
        checks.integer("max_products", max_products, low=100),
        context.is_small,
        context.knows_diagonal,
        context.knows_blocks,
    )
    share, done, seconds, num_bytes = used / count, set(), {}, {}
    for quantity in asked:
        works = [PARTS[name](sizes) for name in needs(quantity) if name not in done]
        done |= set(needs(quantity))
        seconds[quantity.name] = float(sum(_seconds(work, timed, share) for work in works))
        num_bytes[quantity.name] = float(max((work.num_bytes for work in works), default=0.0))
    groups = checks.integer("num_groups", num_groups, low=2)
    return Plan(seconds, num_bytes, timed, 1 if used == count else 1 + groups)


def needs(quantity):
    """Return the shared parts of a quantity; of those with H, the dense Hessian comes first.

    Examples
    --------
    >>> needs(chosen("leading_eigenvalue")[0])
    ('hessian', 'pairs')
    """
    first_order = {"losses", "gradient", "example_gradients", "factors", "line", "batches"}
    if set(quantity.needs) <= first_order:
        return quantity.needs
    return ("hessian", *quantity.needs)


@dataclass(frozen=True)
class _Blocks:
    blocks: dict


def _seconds(work, timed, share):
    counted = {
        "loss": work.losses,
        "gradient": work.gradients,
        "pass": work.passes,
        "product": work.products,
    }
    total = sum(number * timed.get(name, 0.0) for name, number in counted.items())
    return work.seconds + share * total


def _timed(problem, theta, at, needed):
    rows = np.arange(min(_ROWS, problem.num_examples))
    timed = {
        "loss": _shortest(lambda: problem.loss(theta)),
        "gradient": _shortest(lambda: problem.gradient(theta)),
    }
    if "example_gradients" in needed:
        part = problem.subset(rows).at(theta)
        timed["pass"] = (
            _shortest(lambda: part.example_gradients.rows(0, len(rows)))
            * problem.num_examples
            / len(rows)
        )
    if needed & {"hessian", "batches"}:
        vectors = np.random.default_rng(0).standard_normal((at.num_parameters, _VECTORS))
        vectors = vectors.astype(problem.dtype)
        timed["product"] = _shortest(lambda: at.hessian @ vectors) / _VECTORS
    return timed


def _shortest(call):
    """Seconds of the second call, after one that prepares."""
    call()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _brief(seconds):
    return f"{seconds:.2g}" if seconds < 100 else f"{seconds:.0f}"
