"""Cost of a diagnosis: seconds and bytes, from one timed product and one timed gradient."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks, memory
from aniso.diagnostics import _context, _planned_work
from aniso.diagnostics._planned_work import PARTS, Sizes
from aniso.diagnostics._timed_calls import timed_call
from aniso.diagnostics.measurement import located
from aniso.diagnostics.registry import chosen

if TYPE_CHECKING:
    from aniso.problems import Problem
    from aniso.typing import ArrayLike


_ROWS = 32


@dataclass(frozen=True, repr=False)
class Plan:
    """Cost of a diagnosis.

    Attributes
    ----------
    seconds : dict of str to float
        By quantity. A shared part counts for the first quantity that needs it.
    num_bytes : dict of str to float
        Memory during each quantity: what is kept by then, its own, and that of a product.
    timed : dict of str to float
        Seconds of one evaluation of the loss, one gradient, one pass over the gradients of the
        examples, one product with a vector, and of what prepares the products at a theta.
    repetitions : int
        Diagnoses that a subset of the examples takes, for its error; 1 for all examples.

    Examples
    --------
    >>> Plan({"loss": 0.5}, {"loss": 2e6}, {"product": 0.01}, 1)
    <Plan: 0.5 s, 2.00 MB at once; one product 0.01 s>
    quantity                       seconds      memory
    loss                               0.5     2.00 MB
    """

    seconds: dict[str, float]
    num_bytes: dict[str, float]
    timed: dict[str, float]
    repetitions: int

    @property
    def total_seconds(self) -> float:
        """Seconds of all quantities together."""
        return self.repetitions * sum(self.seconds.values())

    @property
    def peak_bytes(self) -> float:
        """Largest memory of a quantity, in bytes."""
        return max(self.num_bytes.values())

    def to_json(self) -> str:
        """Return the numbers as JSON text; seconds, and memory in bytes."""
        found = asdict(self)
        found |= {"total_seconds": self.total_seconds, "peak_bytes": self.peak_bytes}
        return json.dumps(found, indent=1, allow_nan=False)

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
    problem: Problem,
    quantities: str = "standard",
    theta: ArrayLike | None = None,
    *,
    batch_size: int = 32,
    relative_error: float = 0.01,
    num_examples: int | None = None,
    num_groups: int = 10,
    num_pairs: int = 10,
    max_products: int = 2000,
    memory_budget: int | None = None,
) -> Plan:
    """Return what a diagnosis would cost, from a few timed evaluations.

    Parameters
    ----------
    problem, quantities, theta, batch_size, relative_error
        As for :func:`aniso.diagnostics.measure`.
    num_examples, num_groups, num_pairs, max_products, memory_budget
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
    up to `max_products` each. Cost: two evaluations of the loss and of the gradient, gradients of a
    few examples, and three products with four vectors. What a first call times to choose the
    fastest way, as a PyTorch problem does, is no part of the diagnosis afterwards.

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
    timed, working = _timed(problem, theta, at, needed)
    budget = _context.checked_budget(problem, memory_budget)
    context = _context.Context(at, _Request(at.blocks, budget))
    num_outputs = 1
    if "factors" in needed and problem.has("outputs"):
        num_outputs = problem.outputs(theta).shape[1]
    sizes = Sizes(
        at.num_parameters,
        used,
        checks.integer("batch_size", batch_size, low=1),
        min(checks.integer("num_pairs", num_pairs, low=1), at.num_parameters),
        num_outputs,
        relative_error,
        checks.integer("max_products", max_products, low=100),
        np.dtype(problem.dtype).itemsize,
        "example_gradients" in needed and context.holds_rows,
        context.is_small,
        context.knows_diagonal,
        context.knows_blocks,
    )
    share, done, seconds, num_bytes, kept = used / count, set(), {}, {}, 0.0
    for quantity in asked:
        works = [PARTS[name](sizes) for name in needs(quantity) if name not in done]
        done |= set(needs(quantity))
        seconds[quantity.name] = float(sum(_seconds(work, timed, share) for work in works))
        own = max((_bytes(work, working) for work in works), default=0.0)
        num_bytes[quantity.name] = kept + own
        kept += sum(work.kept_bytes for work in works)
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
class _Request:
    blocks: dict
    memory_budget: int


def _seconds(work, timed, share):
    counted = {
        "loss": work.losses,
        "gradient": work.gradients,
        "pass": work.passes,
        "product": work.products,
        "preparation": work.preparations,
    }
    total = sum(number * timed.get(name, 0.0) for name, number in counted.items())
    return work.seconds + share * total


def _bytes(work, working):
    called = {"gradient": work.gradients, "pass": work.passes, "product": work.products}
    most = max((working.get(name, 0) for name, number in called.items() if number), default=0)
    return float(work.num_bytes + most)


def _timed(problem, theta, at, needed):
    """Return seconds and working memory of each kind of call, from the second of two."""
    timed, working = {}, {}

    def take(name, first, again, factor=1.0):
        grown = timed_call(first)[1]
        seconds, num_bytes = timed_call(again)
        timed[name], working[name] = factor * seconds, max(grown, num_bytes)

    take("loss", *2 * [lambda: problem.loss(theta)])
    take("gradient", *2 * [lambda: problem.gradient(theta)])
    if "example_gradients" in needed:
        rows = min(_ROWS, problem.num_examples)
        part = problem.subset(np.arange(rows)).at(theta).example_gradients
        take("pass", *2 * [lambda: part.rows(0, rows)], problem.num_examples / rows)
    if needed & {"hessian", "batches"}:
        number = min(_planned_work.VECTORS_TOGETHER, at.num_parameters)
        vectors = np.random.default_rng(0).standard_normal((at.num_parameters, number))
        vectors = vectors.astype(problem.dtype)
        fresh = problem.at(theta)
        grown = timed_call(lambda: at.hessian @ vectors)[1]
        prepared, again = (timed_call(lambda: fresh.hessian @ vectors) for _ in range(2))
        timed["product"] = again[0] / number
        timed["preparation"] = max(0.0, prepared[0] - again[0])
        working["product"] = max(grown, prepared[1], again[1])
    return timed, working


def _brief(seconds):
    return f"{seconds:.2g}" if seconds < 100 else f"{seconds:.0f}"
