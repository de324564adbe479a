"""Empirical Fisher matrix F against Gauss-Newton matrix G, for a network of any depth.

    F_i <= kappa_i G_i,      kappa_i = r_i^T S_i^+ r_i,      hence      F <= max_i kappa_i G

r_i and S_i are gradient and Hessian of the loss of example i in its output. The constant is
``exp(l_i) - 1`` for the softmax cross-entropy and the logistic loss, ``2 l_i`` for the squared
loss. Where every S_i has rank 1 or 0, ``F_i = kappa_i G_i``, and the order holds from both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aniso import checks, memory
from aniso.arrays import transfer
from aniso.problems import LocalGeometry
from aniso.propositions import generalised_eigenvalues

_LOSS_MEMBERS = ("hessian_root", "whitened_gradient")


@dataclass(frozen=True)
class OrderConstants:
    """Constants in ``lowest * G <= F <= highest * G``, from outputs and targets alone.

    Attributes
    ----------
    of_examples : ndarray, shape (N,)
        ``kappa_i = r_i^T S_i^+ r_i``, the least constants with ``F_i <= kappa_i G_i``. They are 0
        for an example without slope and curvature.
    lowest, highest : float
        ``highest`` is the largest kappa_i. ``lowest`` is the smallest one of an active example if
        `two_sided`, else 0: no positive constant holds then.
    two_sided : bool
        Whether every S_i has rank 1 or 0, as for one output or two classes.
    num_active : int
        Number of examples whose loss has a curvature in the output.

    Examples
    --------
    >>> OrderConstants(np.array([0.5, 2.0]), 0.5, 2.0, True, 2).ratio
    0.25
    """

    of_examples: np.ndarray
    lowest: float
    highest: float
    two_sided: bool
    num_active: int

    @property
    def ratio(self) -> float:
        """``lowest / highest``, 0 where `highest` is 0."""
        return self.lowest / self.highest if self.highest > 0 else 0.0

    def __repr__(self):
        sides = "two-sided" if self.two_sided else "upper side only"
        return (
            f"<OrderConstants: N = {len(self.of_examples)}, {self.num_active} active, "
            f"{self.lowest:.6g} G <= F <= {self.highest:.6g} G, {sides}>"
        )


@dataclass(frozen=True)
class FisherOrder:
    """Measured order of F and G beside its constants.

    ``constants.lowest <= smallest <= mean <= largest <= constants.highest``, up to rounding.

    Attributes
    ----------
    constants : OrderConstants
        The promised bounds.
    smallest, largest : float
        Extremes of ``v^T F v / v^T G v`` over the range of G.
    mean : float
        ``Tr(F G) / Tr(G^2)``.
    direction : ndarray, shape (D,)
        Unit vector v at which the largest ratio is reached.
    num_factors, rank : int
        Rows n of the factor A in ``G = A^T A``, and their rank. With ``rank == num_factors`` the
        bounds are reached.
    """

    constants: OrderConstants
    smallest: float
    mean: float
    largest: float
    direction: np.ndarray
    num_factors: int
    rank: int

    def __repr__(self):
        return (
            f"<FisherOrder: F relative to G from {self.smallest:.6g} to {self.largest:.6g}, mean "
            f"{self.mean:.6g}; promised {self.constants.lowest:.6g} to "
            f"{self.constants.highest:.6g}; {self.num_factors} factors of rank {self.rank}>"
        )


def order_constants(geometry: LocalGeometry) -> OrderConstants:
    """Return the constants between the empirical Fisher and the Gauss-Newton matrix.

    Parameters
    ----------
    geometry : aniso.problems.LocalGeometry
        ``problem.at(theta)`` of a problem with outputs.

    Returns
    -------
    OrderConstants

    Raises
    ------
    InputError
        If `geometry` is none, if the loss has no `hessian_root` and `whitened_gradient`, or if a
        kappa_i overflows.
    MissingFaculty
        If the problem has no outputs.

    Notes
    -----
    One pass for the outputs; N C^2 numbers. Each kappa_i has relative accuracy, however large the
    loss is. Formulas: docs/theory/deep.md, Order of the Fisher and the Gauss-Newton matrix.

    Examples
    --------
    f = theta x at theta = 1, x = 1 and 2, y = 0: the losses are 1 and 4, kappa_i = 2 l_i.

    >>> from aniso import networks
    >>> from aniso.problems import losses
    >>> line = networks.Network(networks.Stack((networks.Dense(1),), (1,)),
    ...     losses.SquaredLoss(), inputs=[[1.0], [2.0]], targets=[[0.0], [0.0]])
    >>> order_constants(line.at([1.0, 0.0]))
    <OrderConstants: N = 2, 2 active, 2 G <= F <= 8 G, two-sided>
    """
    return _constants(*_whitened(geometry))


def fisher_gauss_newton_order(geometry: LocalGeometry) -> FisherOrder:
    """Return the extremes of ``v^T F v / v^T G v``, beside the constants that bound them.

    Parameters
    ----------
    geometry : aniso.problems.LocalGeometry
        ``problem.at(theta)`` of a problem with outputs and Jacobians.

    Returns
    -------
    FisherOrder

    Raises
    ------
    InputError
        As :func:`order_constants`; if G is 0, so that there is nothing to compare.
    MissingFaculty
        If the problem has no outputs or no Jacobians.
    AllocationRefused
        If the Jacobians, 8 N C D bytes, and as much again do not fit.

    Notes
    -----
    Works in the span of the n <= N C factors: 2 n D min(n, D) flops and decompositions of size
    min(n, D). With ten classes 300 examples take minutes: take a subset. Nothing of size D x D is
    formed where n < D. The errors are of the size of rounding relative to the bound on the same
    side. Directions whose singular value, with rows of unit length, is below 1e-11 of the largest
    are left out. Formulas: docs/theory/deep.md, Generalised eigenvalues in the span of the factors.

    Examples
    --------
    Two parameters and two examples: the bounds 2 and 8 are reached.

    >>> from aniso import networks
    >>> from aniso.problems import losses
    >>> line = networks.Network(networks.Stack((networks.Dense(1),), (1,)),
    ...     losses.SquaredLoss(), inputs=[[1.0], [2.0]], targets=[[0.0], [0.0]])
    >>> order = fisher_gauss_newton_order(line.at([1.0, 0.0]))
    >>> round(order.smallest, 9), round(order.largest, 9), order.rank
    (2.0, 8.0, 2)
    """
    roots, gradients = _whitened(geometry)
    constants = _constants(roots, gradients)
    if constants.num_active == 0:
        raise checks.InputError(
            "no example has a curvature in its output at this theta, so that G = F = 0; expected "
            "a theta at which some example is active"
        )
    problem = geometry.problem.on_host()
    num_examples, num_outputs = gradients.shape
    memory.require(
        3 * 8 * num_examples * num_outputs * geometry.num_parameters,
        f"the Jacobians of {num_examples} examples and their factors",
        "use problem.subset of fewer examples",
    )
    jacobians = problem.jacobians(transfer.to_numpy(geometry.theta))
    rows = np.swapaxes(roots, 1, 2) @ jacobians
    kept = roots.any(axis=1)
    factor = generalised_eigenvalues.Factor(
        rows[kept] / np.sqrt(num_examples), gradients[kept], np.nonzero(kept)[0]
    )
    found = factor.extremes(reached_below=constants.lowest > 0)
    return FisherOrder(
        constants,
        found.smallest,
        found.mean,
        found.largest,
        checks.frozen(found.direction),
        len(factor.rows),
        found.rank,
    )


def _whitened(geometry):
    """Roots L_i, shape (N, C, C), and whitened gradients w_i, shape (N, C), of every example."""
    if not isinstance(geometry, LocalGeometry):
        raise checks.InputError(
            f"geometry is of type {type(geometry).__name__}; expected the LocalGeometry of a "
            "problem with outputs, problem.at(theta)"
        )
    problem = geometry.problem.on_host()
    outputs = np.asarray(problem.outputs(transfer.to_numpy(geometry.theta)), dtype=np.float64)
    loss, targets = problem.output_loss, problem.targets
    lacking = [name for name in _LOSS_MEMBERS if not hasattr(loss, name)]
    if lacking:
        raise checks.InputError(
            f"output_loss={loss!r} has no {', '.join(lacking)}; expected a loss with them, as "
            "those of problems.losses: L with S = L L^T, and w with r = L w"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # infinite and NaN entries are refused below
        gradients = loss.whitened_gradient(outputs, targets)
        finite = np.isfinite(np.square(gradients).sum(axis=1))
    if not finite.all():
        first = int(np.argmin(finite))
        value = float(loss(outputs, targets)[first])
        raise checks.InputError(
            f"the loss {value:.6g} of example {first} makes its constant, exp(loss) - 1, too large "
            "for a float; expected losses below 709: use problem.subset without it"
        )
    return loss.hessian_root(outputs), gradients


def _constants(roots, gradients):
    of_examples = np.square(gradients).sum(axis=1)
    ranks = roots.any(axis=1).sum(axis=1)
    active = ranks > 0
    two_sided = bool((ranks <= 1).all())
    lowest = float(of_examples[active].min()) if two_sided and active.any() else 0.0
    return OrderConstants(
        checks.frozen(of_examples),
        lowest,
        float(of_examples.max()),
        two_sided,
        int(active.sum()),
    )
