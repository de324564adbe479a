"""Derivatives compared with finite differences through the slopes of Taylor remainders.

A right first derivative leaves a remainder O(h^2), a right second derivative one of O(h^3); a
wrong one leaves one order less, however small the error. Slopes need no absolute tolerance, so a
wrong gradient of size 1e-8 is caught as one of size 1.
"""

import math
from dataclasses import dataclass

import numpy as np

from aniso import checks
from aniso.problems import _members

NUM_DIRECTIONS = 3
LARGEST_STEP, STEP_RATIO, NUM_STEPS = 0.1, 3.0, 20  # 0.1 down to 1e-10 of max(1, |theta|)
NUM_FITTED = 4
SLOPE_MARGIN = 0.3  # a wrong derivative is a whole order off
ROUNDING_FACTOR = 10.0
EPS = np.finfo(float).eps


class DerivativeError(ArithmeticError):
    """A derivative that disagrees with finite differences."""


@dataclass(frozen=True)
class TaylorResult:
    """Verdict on one derivative.

    Attributes
    ----------
    quantity : str
        Name of the derivative.
    right : bool
        Whether the derivative agrees with the differences.
    slope : float
        Lowest fitted slope of the remainder over the directions; nan where the remainder is at
        rounding level throughout.
    message : str
        The finding in words.
    resolved : bool
        False where the derivative changes the function by less than its rounding at every step, so
        that nothing was compared. `right` is then True.
    """

    quantity: str
    right: bool
    slope: float
    message: str
    resolved: bool = True

    def __str__(self):
        return f"{self.quantity}: {self.message}"


@dataclass(frozen=True)
class DerivativeReport:
    """Verdicts on all derivatives of a problem at one theta.

    Attributes
    ----------
    results : tuple of TaylorResult
        One result for each derivative.

    Examples
    --------
    >>> report = DerivativeReport((TaylorResult("gradient", False, 1.0, "is wrong"),))
    >>> report.right, report.wrong
    (False, ('gradient: is wrong',))
    """

    results: tuple

    @property
    def right(self):
        """Whether no derivative is wrong; :attr:`unresolved` tells which were not compared."""
        return all(result.right for result in self.results)

    @property
    def unresolved(self):
        """Messages of the derivatives that rounding hides, empty if all were compared."""
        return tuple(str(result) for result in self.results if not result.resolved)

    @property
    def wrong(self):
        """Messages of the wrong derivatives, empty if all are right."""
        return tuple(str(result) for result in self.results if not result.right)

    def raise_if_wrong(self):
        """Do nothing if all is right.

        Raises
        ------
        DerivativeError
            Naming everything that is wrong.
        """
        if not self.right:
            raise DerivativeError("; ".join(self.wrong))

    def __str__(self):
        return "\n".join(f"{_verdict_on(result)}  {result}" for result in self.results)


def _verdict_on(result):
    if not result.resolved:
        return "not resolved"
    return "right" if result.right else "WRONG"


def check_derivatives(problem, theta, rng, num_examples=64):
    """Compare gradient, per-example gradients and Hessian products with finite differences.

    Parameters
    ----------
    problem : Problem
        Problem whose derivatives are tested.
    theta : array_like, shape (D,)
        Point of the comparison.
    rng : numpy.random.Generator
        Draws the directions, and the examples where there are more than `num_examples`.
    num_examples : int
        Largest number of examples used.

    Returns
    -------
    DerivativeReport
        ``report.raise_if_wrong()`` raises if a derivative is wrong; ``print(report)`` shows all
        results.

    Raises
    ------
    InputError
        If `problem` is no problem or computes in single precision, theta is not a finite vector of
        the right length, `rng` is no generator, or `num_examples` is not positive.

    Notes
    -----
    Cost: about 60 losses and gradients and a dozen Hessian products of at most `num_examples`
    examples.

    For every direction u the remainder of Taylor's formula is computed at steps h from 0.1 to
    1e-10 of ``max(1, |theta|)``. Its slope is fitted to the four smallest steps at which it exceeds
    ten times the rounding level. That level comes from the size of the sums, and from
    perturbations of theta by its rounding.

    A derivative is right if the slope is at least the expected order minus 0.3, over the four steps
    or between two of them. It is also right if the remainder falls to rounding level more steeply:
    between its kinks a piecewise linear model has no remainder. A derivative that changes the
    function by less than the rounding level at every step is not resolved.

    Examples
    --------
    >>> from aniso.problems.autograd_problem import AutogradProblem
    >>> def loss(theta, x, y):
    ...     return (theta[0] * x - y) ** 2
    >>> problem = AutogradProblem(loss, [1.0, 2.0], [1.0, 0.0])
    >>> check_derivatives(problem, [1.0], np.random.default_rng(0)).right
    True
    """
    checks.generator("rng", rng)
    checks.integer("num_examples", num_examples, low=1)
    if isinstance(problem, type) or not hasattr(problem, "check_theta"):
        raise checks.InputError(_members.not_a_problem("problem", problem))
    if np.dtype(problem.dtype) != np.float64:
        raise checks.InputError(
            f"problem computes in {np.dtype(problem.dtype)}; expected double precision, in which "
            "its method check(theta, rng) compares"
        )
    theta = problem.check_theta(theta)
    if problem.num_examples > num_examples:
        chosen = rng.choice(problem.num_examples, num_examples, replace=False)
        problem = problem.subset(np.sort(chosen))
    losses = problem.losses(theta)
    if not np.array_equal(losses, problem.losses(theta)):
        message = "two evaluations at the same theta differ: the function is stochastic"
        return DerivativeReport((TaylorResult("loss", False, math.nan, message),))
    directions = rng.standard_normal((NUM_DIRECTIONS, theta.size))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    jitters = EPS * np.abs(theta) * rng.integers(-4, 5, size=(8, theta.size))
    gradient = problem.gradient(theta)
    try:
        rows = problem.per_example_gradients(theta)
    except checks.InteractingExamples as error:
        return DerivativeReport(
            (TaylorResult("per_example_gradients", False, math.nan, str(error)),)
        )
    products = [problem.hessian_product(theta, u) for u in directions]

    def taylor(quantity, function, expansion, order, magnitude):
        return _taylor_result(
            quantity, function, expansion, order, magnitude, theta, directions, jitters
        )

    return DerivativeReport(
        (
            taylor(
                "gradient",
                problem.loss,
                lambda step, _: gradient @ step,
                2,
                np.abs(losses).mean(),
            ),
            taylor(
                "per_example_gradients",
                problem.losses,
                lambda step, _: rows @ step,
                2,
                np.abs(losses).max(),
            ),
            _agreement(
                "mean of per_example_gradients",
                rows.mean(axis=0),
                gradient,
                rows,
                "; if the examples interact, as in batch normalisation, there is no gradient of "
                "one example: use fixed statistics, or covariances of mini-batch gradients",
            ),
            taylor(
                "hessian_product",
                problem.gradient,
                # the step is a multiple of the direction up to rounding of theta
                lambda step, k: products[k] * (step @ directions[k]),
                2,
                np.abs(rows).max(),
            ),
            taylor(
                "second order of the loss",
                problem.loss,
                lambda step, k: (
                    gradient @ step + 0.5 * (step @ products[k]) * (step @ directions[k])
                ),
                3,
                np.abs(losses).mean(),
            ),
            _symmetry(problem, theta, directions, products, jitters),
            _agreement(
                "hessian_product of a block",
                problem.hessian_product(theta, directions.T),
                np.stack(products, axis=1),
                products,
            ),
        )
    )


def _taylor_result(quantity, function, expansion, order, magnitude, theta, directions, jitters):
    start = function(theta)
    noise = max(_size(function(theta + jitter) - start) for jitter in jitters)
    slopes, verdicts = [], []
    largest_change, compared, hidden = 0.0, False, 0.0
    for k, direction in enumerate(directions):
        sizes, remainders, levels = [], [], []
        for size in LARGEST_STEP * max(1.0, _norm(theta)) * STEP_RATIO ** -np.arange(NUM_STEPS):
            step = (theta + size * direction) - theta  # the number that the function really gets
            try:
                change = function(theta + step) - start
            except checks.InputError:  # outside the domain of the loss
                continue
            predicted = expansion(step, k)
            largest_change = max(largest_change, _size(change))
            sizes.append(size)
            remainders.append(_size(change - predicted))
            levels.append(noise + 4 * EPS * (magnitude + _size(predicted)))
            compared = compared or _size(predicted) > ROUNDING_FACTOR * levels[-1]
            hidden = max(hidden, _size(predicted))
        slope, right = _verdict(sizes, remainders, levels, order)
        slopes.append(slope)
        verdicts.append(right)
    if noise > 1e-6 * max(largest_change, magnitude):
        return TaylorResult(
            quantity, False, math.nan, f"jumps by {noise:.2g} where theta changes by rounding"
        )
    known = [slope for slope in slopes if not math.isnan(slope)]
    slope = min(known, default=math.nan)
    if hidden and not compared and not known:
        message = f"changes the function by at most {hidden:.2g}, less than its rounding"
        return TaylorResult(quantity, True, math.nan, message, resolved=False)
    if all(verdicts):
        shown = "falls to rounding level" if math.isnan(slope) else f"falls with slope {slope:.1f}"
        return TaylorResult(quantity, True, slope, f"Taylor remainder {shown}")
    worst = min(s for s, right in zip(slopes, verdicts, strict=True) if not right)
    return TaylorResult(
        quantity,
        False,
        worst,
        f"Taylor remainder falls with slope {worst:.1f} instead of {order}",
    )


def _verdict(sizes, remainders, levels, order):
    """Fitted slope (nan at rounding level) and whether the derivative is right."""
    sizes, remainders = np.array(sizes), np.array(remainders)
    floor = ROUNDING_FACTOR * np.array(levels)
    above = np.flatnonzero(remainders > floor)[-NUM_FITTED:]
    if above.size < NUM_FITTED:
        return math.nan, True
    heights, widths = np.log(remainders[above]), np.log(sizes[above])
    slope = float(np.polyfit(widths, heights, 1)[0])
    # where two orders cancel the fit is low, but then a local slope is high; a wrong derivative
    # has no high one
    steepest = float((np.diff(heights) / np.diff(widths)).max())
    last = above[-1]
    if last + 1 < sizes.size:
        fall = np.log(remainders[last] / floor[last + 1]) / np.log(sizes[last] / sizes[last + 1])
        steepest = max(steepest, float(fall))
    return slope, max(slope, steepest) >= order - SLOPE_MARGIN


def _agreement(quantity, one, other, terms, hint=""):
    # two orders of the same sum: far above its rounding, far below any mistake
    scale = max(_size(np.asarray(term)) for term in terms)
    difference = _size(one - other)
    right = difference <= 1e-9 * scale
    shown = f"difference {difference:.2g} at scale {scale:.2g}"
    if right:
        return TaylorResult(quantity, True, math.nan, f"agrees, {shown}")
    return TaylorResult(quantity, False, math.nan, f"disagrees, {shown}{hint}")


def _symmetry(problem, theta, directions, products, jitters):
    form = np.array([[u @ product for product in products] for u in directions])
    scale = max(_norm(product) for product in products)
    noise = max(
        _size(problem.hessian_product(theta + jitter, directions[0]) - products[0])
        for jitter in jitters
    )
    difference = _size(form - form.T)
    right = difference <= 1e-9 * scale + ROUNDING_FACTOR * math.sqrt(theta.size) * noise
    message = f"u^T H v and v^T H u differ by {difference:.2g} at scale {scale:.2g}"
    return TaylorResult("symmetry of hessian_product", right, math.nan, message)


def _norm(vector):
    return float(np.linalg.norm(vector))


def _size(value):
    return float(np.abs(value).max(initial=0.0))
