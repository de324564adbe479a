"""The diagnosis of a problem at one theta: every quantity with its errors, or why it is refused."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks
from aniso.arrays import transfer
from aniso.diagnostics._context import Context, Request, checked_budget
from aniso.diagnostics._found import shown
from aniso.diagnostics._shared_space import REFUSALS
from aniso.diagnostics.diagnosis import Diagnosis
from aniso.diagnostics.optimizers import read_optimizer
from aniso.diagnostics.reading import Reading
from aniso.diagnostics.registry import chosen
from aniso.frameworks import MatrixGeometry
from aniso.matrices import minibatch_scale, operators
from aniso.problems import LocalGeometry, jackknife_error, require_problem
from aniso.runs import provenance

if TYPE_CHECKING:
    from aniso.problems import Problem
    from aniso.typing import ArrayLike

_NOISE = ("Σ₁", "Σ_b", "S)", "S ", "g_B", "C⁺ D")
"""Parts of the formulas of quantities that depend on the noise of batches."""


def measure(
    problem: Problem | LocalGeometry,
    theta: ArrayLike | None = None,
    *,
    batch_size: int,
    replacement: bool,
    learning_rate: float | None = None,
    optimizer: Any = None,
    quantities: str | Sequence[str] = "standard",
    relative_error: float = 0.01,
    blocks: dict[str, slice] | None = None,
    num_examples: int | None = None,
    num_groups: int = 10,
    num_pairs: int = 10,
    max_products: int = 2000,
    memory_budget: int | None = None,
    progress: Callable[..., Any] | None = None,
    rng: np.random.Generator,
) -> Diagnosis:
    """Measure curvature and noise of a problem at one theta, each number with its errors.

    Parameters
    ----------
    problem : problems.Problem or problems.LocalGeometry
        A geometry holds its theta.
    theta : array_like, shape (D,), optional
        Point in parameter space; ``problem.initial_theta`` of a problem that has it.
    batch_size : int
        B of the mini-batches; at most N without replacement.
    replacement : bool
        Whether a batch may contain an example twice. No default: the two differ.
    learning_rate : float, optional
        eta; that of the optimizer if not given. Without both, quantities of a step are refused.
    optimizer : object, optional
        A torch optimizer of the model, :class:`aniso.descent.HeavyBall`, or
        :class:`OptimizerState`. Limits of stability use it; plain SGD if not given.
    quantities : str or sequence of str
        Names of quantities or tiers, see :data:`aniso.diagnostics.registry.QUANTITIES`.
    relative_error : float
        Relative standard error of Tr(H Sigma) to aim at, above 0. That of Tr H is twice as large.
    blocks : dict of str to slice, optional
        Parts of theta; those of the problem if not given.
    num_examples : int, optional
        n of the N examples, drawn at random; all if not given. The error of the subset is then
        estimated too.
    num_groups : int
        Groups of the jackknife for the error of the subset, at least 2; n if that is less.
    num_pairs : int
        Leading eigenpairs k of H, at most D are used.
    max_products : int
        Largest number of Hessian products of one estimate, at least 100.
    memory_budget : int, optional
        Bytes for gradients of examples; a quarter of the free memory if not given.
    progress : callable, optional
        ``progress(done, total, name)``, called before each quantity and at the end.
    rng : numpy.random.Generator
        Draws one seed, from which each random part has a generator of its own.

    Returns
    -------
    Diagnosis

    Raises
    ------
    InputError
        If an argument breaks its rule. A quantity that cannot be computed is in `refused`.

    Notes
    -----
    Each shared part is computed once. An estimate that misses `relative_error` keeps the error that
    it has. A subset costs `num_groups` further diagnoses of fewer examples.

    Examples
    --------
    Two examples with l = (theta x)^2 / 2, x = 1 and 2: H = 2.5, gradients 1 and 4.

    >>> from aniso.problems import AutogradProblem
    >>> def loss(theta, x, y):
    ...     return (theta[..., 0, None] * x) ** 2 / 2
    >>> found = measure(AutogradProblem(loss, [1.0, 2.0], [0.0, 0.0]), [1.0], batch_size=1,
    ...     replacement=True, learning_rate=0.1, rng=np.random.default_rng(0))
    >>> found["alignment"].value, found["leading_eigenvalue"].details["limit"]
    (5.625, 20.0)
    >>> found["trace_ratio"].sentence
    'The noise is 1 times as aligned with the curvature as isotropic noise of the same size.'
    """
    start = time.perf_counter()
    problem, theta, at = located(problem, theta)
    checks.generator("rng", rng)
    request = _request(
        problem,
        at,
        batch_size,
        replacement,
        learning_rate,
        optimizer,
        relative_error,
        blocks,
        num_pairs,
        max_products,
        memory_budget,
        int(rng.integers(2**53)),
    )
    asked = chosen(quantities, request.optimizer)
    used = _subset_size(num_examples, request.num_examples)
    num_groups = min(checks.integer("num_groups", num_groups, low=2), used)
    at, groups = _drawn(problem, theta, at, used, num_groups, request)
    total = len(asked) * (1 + len(groups))
    tell = _Progress(progress, total)
    context = Context(at, request)
    found, refused = _computed(context, asked, tell)
    context.parts.clear()
    left_out = []
    for group in groups:
        part = Context(problem.subset(group).at(theta), request)
        left_out.append(_computed(part, asked, tell))
    if groups:
        share = math.sqrt(1 - used / request.num_examples)
        found, refused = _with_subset_errors(found, refused, left_out, share)
    tell.ended()
    readings, tables = {}, {}
    for quantity in asked:
        if quantity.name in found:
            readings[quantity.name] = _reading(
                quantity, found[quantity.name], request, problem.batch_assumption
            )
            tables |= found[quantity.name].blocks
    return Diagnosis(
        readings,
        refused,
        tables,
        _settings(request, quantities),
        _described(problem, at, request),
        _environment(),
        time.perf_counter() - start,
    )


def located(problem, theta):
    """Return a problem, theta and the geometry there, from a problem or a geometry.

    Parameters
    ----------
    problem : problems.Problem or problems.LocalGeometry
    theta : array_like, shape (D,), or None
        None for a geometry, or for the problem's own start.

    Returns
    -------
    tuple
        (problem, theta, geometry).

    Raises
    ------
    InputError
        If there is no problem, or theta is missing or given twice.
    """
    if isinstance(problem, LocalGeometry):
        if theta is not None:
            raise checks.InputError(
                "problem is a geometry, which has its theta; expected theta=None, or a problem"
            )
        return problem.problem, problem.theta, problem
    if isinstance(problem, MatrixGeometry):
        raise checks.InputError(
            f"problem is a {type(problem).__name__}, matrices at one theta without the losses of a "
            "problem; expected a problem, or its own answers: aniso.alignment(at.hessian, "
            "at.noise), and at.alignment(), at.trace_ratio() of from_draws with their errors"
        )
    problem = require_problem("problem", problem)
    if theta is None:
        theta = getattr(problem, "initial_theta", None)
        if theta is None:
            raise checks.InputError(
                f"theta=None, and a {type(problem).__name__} has no initial_theta; expected theta, "
                "shape (D,)"
            )
    at = problem.at(theta)
    return problem, at.theta, at


def _request(
    problem,
    at,
    batch_size,
    replacement,
    learning_rate,
    optimizer,
    relative_error,
    blocks,
    num_pairs,
    max_products,
    memory_budget,
    seed,
):
    """Return the checked arguments."""
    minibatch_scale(problem.num_examples, batch_size, replacement=replacement)
    if optimizer is not None:
        optimizer = read_optimizer(optimizer, problem, transfer.to_numpy(at.theta))
        learning_rate = optimizer.learning_rate if learning_rate is None else learning_rate
    if learning_rate is not None:
        learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    blocks = dict(at.blocks) if blocks is None else blocks
    return Request(
        num_examples=problem.num_examples,
        batch_size=int(batch_size),
        replacement=bool(replacement),
        learning_rate=learning_rate,
        optimizer=optimizer,
        relative_error=checks.number("relative_error", relative_error, low=0, strict=True),
        num_pairs=checks.integer("num_pairs", num_pairs, low=1),
        max_products=checks.integer("max_products", max_products, low=100),
        blocks=operators.checked_blocks(blocks, at.num_parameters),
        memory_budget=checked_budget(problem, memory_budget),
        seed=seed,
    )


def _subset_size(num_examples, count):
    if num_examples is None:
        return count
    return checks.integer(
        "num_examples", num_examples, low=min(4, count), high=count, high_name="N"
    )


def _drawn(problem, theta, at, used, num_groups, request):
    """Return the geometry of the used examples, and the examples without each group of them."""
    if used == request.num_examples:
        return at, []
    rng = np.random.default_rng([request.seed, used])
    order = rng.choice(request.num_examples, used, replace=False)
    at = problem.subset(np.sort(order)).at(theta)
    return at, [np.sort(np.setdiff1d(order, group)) for group in np.array_split(order, num_groups)]


def _computed(context, asked, tell):
    found, refused = {}, {}
    for quantity in asked:
        tell(quantity.name)
        try:
            made = quantity.compute(context)
            checks.number(quantity.name, made.value)
        except REFUSALS as error:
            refused[quantity.name] = str(error)
        else:
            found[quantity.name] = made
    return found, refused


def _with_subset_errors(found, refused, left_out, share):
    """Return what was found, with the error of the subset; refuse what has none."""
    kept, refused = {}, dict(refused)
    for name, made in found.items():
        reasons = [missed[name] for _, missed in left_out if name in missed]
        if reasons:
            refused[name] = f"its error from the subset of the examples is unknown: {reasons[0]}"
            continue
        values = [each[name].value for each, _ in left_out]
        probes = [each[name].errors.get("probes", 0.0) for each, _ in left_out]
        error = share * jackknife_error(values, probes)
        kept[name] = made.with_error("examples", error)
    return kept, refused


def _reading(quantity, found, request, batch_assumption):
    error = math.hypot(*found.errors.values())
    assumptions = [*quantity.assumptions, *found.assumptions]
    if "S)" in quantity.formula or "S " in quantity.formula:
        drawn = "with" if request.replacement else "without"
        assumptions.append(f"Batches are independent and drawn {drawn} replacement.")
    if batch_assumption and any(part in quantity.formula for part in _NOISE):
        assumptions.append(batch_assumption)
    return Reading(
        quantity.name,
        found.value,
        dict(found.errors),
        quantity.formula,
        quantity.source,
        tuple(assumptions),
        found.sentence.replace("{shown}", shown(found.value, error)),
        dict(found.details),
    )


def _settings(request, quantities):
    optimizer = request.optimizer
    return {
        "batch_size": request.batch_size,
        "replacement": request.replacement,
        "learning_rate": request.learning_rate,
        "optimizer": None if optimizer is None else optimizer.settings(),
        "quantities": quantities if isinstance(quantities, str) else list(quantities),
        "relative_error": request.relative_error,
        "num_pairs": request.num_pairs,
        "seed": request.seed,
    }


def _described(problem, at, request):
    loss = None
    if problem.has("output_loss"):
        loss = type(problem.output_loss).__name__
    unit = getattr(problem, "unit", None)  # of problems of sequences
    return {
        "kind": type(problem).__name__,
        "num_examples": request.num_examples,
        "num_parameters": at.num_parameters,
        "dtype": str(np.dtype(problem.dtype)),
        "loss": loss,
        "used_examples": at.problem.num_examples,
        **({} if unit is None else {"unit": unit}),
    }


@functools.cache
def _environment():
    return provenance.environment()


class _Progress:
    """Calls of the user's function, counted."""

    def __init__(self, function, total):
        if function is not None and not callable(function):
            raise checks.InputError(
                f"progress={function!r}; expected a function of (done, total, name)"
            )
        self.function, self.total, self.done = function, total, 0

    def __call__(self, name):
        if self.function is not None:
            self.function(self.done, self.total, name)
        self.done += 1

    def ended(self):
        if self.function is not None:
            self.function(self.total, self.total, "")
