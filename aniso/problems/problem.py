"""The central concept: a problem is a mean loss over examples, and its derivatives."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks
from aniso.matrices import operands
from aniso.problems import _members, _plans, derivative_check
from aniso.problems.local_geometry import LocalGeometry
from aniso.problems.problem_checks import symmetrised

if TYPE_CHECKING:
    from aniso.matrices import ExampleGradients
    from aniso.problems.derivative_check import DerivativeReport
    from aniso.typing import Array, ArrayLike


FACULTIES = {
    "outputs": "outputs(theta), the outputs f(x_i; theta) of a model, shape (N, C)",
    "targets": "targets, the data with which the outputs are compared",
    "output_loss": "output_loss, the loss as a function of outputs and targets",
    "jacobians": "jacobians(theta), the derivatives of the outputs in theta, shape (N, C, D)",
    "generalized_gauss_newton_product": (
        "generalized_gauss_newton_product(theta, vectors), shape of the vectors"
    ),
    "fisher_product": "fisher_product(theta, vectors), shape of the vectors",
}
"""Optional members of a problem by name, and their meaning. Models with outputs have them."""

_HAVE_OUTPUTS = "networks.Network and problems.AutogradModel have it"


class MissingFaculty(checks.InputError, AttributeError):
    """An optional member was used that the problem does not have."""


class Problem(abc.ABC):
    """Mean loss over examples, ``L(theta) = (1/N) sum_i l_i(theta)``, theta in R^D.

    A subclass defines six members:

    ==================================  ==========================================================
    `num_examples`                      N, an int
    `losses(theta)`                     l_i, shape (N,)
    `gradient(theta)`                   gradient of L, shape (D,)
    `example_gradients(theta)`          gradients of the l_i: an array of shape (N, D), or an
                                        object with the protocol of
                                        :class:`aniso.matrices.ExampleGradients`
    `hessian_product(theta, vectors)`   Hessian of L times vectors, (D,) or (D, K), same shape
    `subset(indices)`                   the same problem on some of the examples
    ==================================  ==========================================================

    Everything else follows from them: `loss`, `per_example_gradients`, the dense `hessian`,
    `check`, and the :class:`LocalGeometry` that `at(theta)` returns. A subclass may define the
    members of :data:`FACULTIES` too, `num_parameters` where D is known, and `blocks`.

    Attributes
    ----------
    num_examples : int
        N.
    num_parameters : int or None
        D where it is known beforehand.
    blocks : dict of str to slice, or None
        Parts of theta by name, in the order of theta; None means a single block.
    dtype : numpy.dtype
        Precision in which the derivatives are computed.

    Raises
    ------
    InputError
        At construction, if the class lacks required members or has them with other arguments; the
        message lists them.
    MissingFaculty
        At a call that uses an optional member which the problem does not have.

    Examples
    --------
    Mean of ``(theta - x_i)^2 / 2``, whose Hessian is 1 and whose noise is the variance of x:

    >>> class Spread(Problem):
    ...     def __init__(self, x):
    ...         self.x, self.num_examples = np.array(x), len(x)
    ...     def losses(self, theta):
    ...         return (theta[0] - self.x) ** 2 / 2
    ...     def gradient(self, theta):
    ...         return theta - self.x.mean()
    ...     def example_gradients(self, theta):
    ...         return (theta[0] - self.x)[:, None]
    ...     def hessian_product(self, theta, vectors):
    ...         return vectors
    ...     def subset(self, indices):
    ...         return Spread(self.x[indices])
    >>> at = Spread([0.0, 2.0]).at([5.0])
    >>> at.loss, at.gradient, at.noise.trace()
    (8.5, array([4.]), 1.0)
    >>> at.gauss_newton
    Traceback (most recent call last):
        ...
    aniso.problems.problem.MissingFaculty: Spread has no outputs(theta), the outputs f(x_i; theta) \
of a model, shape (N, C); networks.Network and problems.AutogradModel have it
    """

    num_examples: int

    num_parameters: int | None = None
    blocks: dict[str, slice] | None = None
    dtype: Any = np.dtype(np.float64)

    def __new__(cls, *args, **kwargs):  # noqa: ARG004
        _members.require_members(cls, Problem)
        return super().__new__(cls)

    def __getattr__(self, name):
        # Python calls it only where the attribute does not exist.
        kind = type(self).__name__
        if name in FACULTIES:
            raise MissingFaculty(f"{kind} has no {FACULTIES[name]}; {_HAVE_OUTPUTS}")
        if name == "num_examples":
            raise MissingFaculty(f"{kind} has no num_examples; set it to N in its __init__")
        raise AttributeError(f"{kind!r} object has no attribute {name!r}")

    def __repr__(self):
        size = "" if self.num_parameters is None else f", D = {self.num_parameters}"
        return f"<{type(self).__name__}: N = {getattr(self, 'num_examples', 'unknown')}{size}>"

    # ---- required

    @abc.abstractmethod
    def losses(self, theta: ArrayLike) -> Array:
        """Losses of the examples l_i, shape (N,)."""

    @abc.abstractmethod
    def gradient(self, theta: ArrayLike) -> Array:
        """Gradient of the mean loss, shape (D,)."""

    @abc.abstractmethod
    def example_gradients(self, theta: ArrayLike) -> Array | ExampleGradients:
        """Gradients of the losses l_i: an array (N, D), or an ExampleGradients."""

    @abc.abstractmethod
    def hessian_product(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """Hessian of the mean loss times vectors, shape (D,) or (D, K), the shape of `vectors`."""

    @abc.abstractmethod
    def subset(self, indices: ArrayLike) -> Problem:
        """Return the same problem on the examples `indices`."""

    # ---- derived

    @property
    def batch_assumption(self) -> str:
        """What the noise of a batch assumes beyond how it is drawn; every diagnosis says it."""
        return ""

    def loss(self, theta: ArrayLike) -> float:
        """Mean loss L, float."""
        losses = self.losses(theta)
        _members.of_shape(self, "losses", losses, "(N,)", (self.num_examples,))
        return float(np.mean(losses))

    def loss_and_gradient(self, theta: ArrayLike) -> tuple[float, Array]:
        """Mean loss, float, and its gradient, shape (D,)."""
        return self.loss(theta), self.gradient(theta)

    def per_example_gradients(self, theta: ArrayLike) -> Array:
        """Gradients of the losses l_i as an array, shape (N, D), row i for example i.

        Raises
        ------
        AllocationRefused
            If N × D numbers do not fit.
        """
        theta = self.check_theta(theta)
        _plans.require_matrix(
            self.num_examples,
            theta.size,
            "the matrix of per-example gradients",
            "use gradient, example_gradients, or subset of fewer examples",
        )
        gradients = self.example_gradients(theta)
        if isinstance(gradients, np.ndarray):
            return gradients
        return gradients.rows(0, self.num_examples)

    def hessian(self, theta: ArrayLike) -> Array:
        """Dense Hessian of the mean loss, shape (D, D), symmetric.

        Raises
        ------
        AllocationRefused
            If D × D numbers do not fit.
        InputError
            If the products are not symmetric to 1e-6.

        Notes
        -----
        D Hessian products.
        """
        theta = self.check_theta(theta)
        require_dense_hessian(theta.size)
        columns = []
        for start, stop in operands.ranges(theta.size, theta.size):
            units = operands.unit_columns(theta.size, start, stop)
            product = self.hessian_product(theta, units)
            columns.append(
                _members.of_shape(self, "hessian_product", product, "(D, K)", units.shape)
            )
        return symmetrised(np.concatenate(columns, axis=1))

    def output_gradients(self, theta: ArrayLike) -> Array:
        """Gradients of the losses in the outputs, shape (N, C).

        Raises
        ------
        MissingFaculty
            If the problem has no outputs.
        """
        return self.output_loss.gradient(self.outputs(theta), self.targets)

    def output_hessians(self, theta: ArrayLike) -> Array:
        """Hessians of the losses in the outputs, S_i, shape (N, C, C).

        Raises
        ------
        MissingFaculty
            If the problem has no outputs.
        """
        return self.output_loss.hessian(self.outputs(theta), self.targets)

    def check_theta(self, theta: ArrayLike) -> Array:
        """Return parameters as a finite vector of the right length, float64, shape (D,).

        Raises
        ------
        InputError
            If theta is empty, not a vector, not finite, or not of `num_parameters` entries.
        """
        theta = checks.parameters(theta, self.num_parameters)
        if theta.size == 0:
            raise checks.InputError("theta is empty; expected D >= 1 parameters, shape (D,)")
        return theta

    def at(self, theta: ArrayLike) -> LocalGeometry:
        """Return the local geometry at theta: its gradient, curvature and noise.

        Parameters
        ----------
        theta : array_like, shape (D,)
            Copied.

        Returns
        -------
        LocalGeometry

        Raises
        ------
        InputError
            If theta is not a finite vector of the right length.
        """
        return LocalGeometry(self, theta)

    def sgd_steps(self, theta: Array, batches: Array, learning_rates: Array) -> tuple[Array, int]:
        """Take the first of some steps of SGD together, where that is faster than one by one.

        Parameters
        ----------
        theta : ndarray, shape (D,)
            Start, which is not changed.
        batches : ndarray of int, shape (T, m)
            Numbers of the examples of every step.
        learning_rates : ndarray, shape (T,)
            eta of every step.

        Returns
        -------
        theta : ndarray, shape (D,)
            Point after these steps.
        num_steps : int
            Number of steps taken. It is 0 for a problem without a faster way, and less than T
            where a step has no finite result.

        Notes
        -----
        Each step is ``theta - eta subset(batch).gradient(theta)`` to the last bit.
        """
        del batches, learning_rates
        return theta, 0

    def on_host(self) -> Problem:
        """Return the problem with NumPy arrays as arguments and results: here the problem itself.

        A network on another device returns one that sends theta there and brings results back.
        """
        return self

    def has(self, faculty: str) -> bool:
        """Return whether the problem has the optional member `faculty`, a key of FACULTIES."""
        return hasattr(self, checks.one_of("faculty", faculty, list(FACULTIES)))

    def check(self, theta: ArrayLike, rng: np.random.Generator) -> DerivativeReport:
        """Compare all derivatives with finite differences.

        Parameters
        ----------
        theta : array_like, shape (D,)
            Point in parameter space.
        rng : numpy.random.Generator
            Draws the directions.

        Returns
        -------
        derivative_check.DerivativeReport
        """
        host = self.on_host()
        return derivative_check.check_derivatives(host, host.check_theta(theta), rng)


def require_dense_hessian(size):
    """Refuse a dense Hessian of `size` parameters that would not fit.

    Raises
    ------
    AllocationRefused
        If the matrix exceeds the memory budget.
    """
    _plans.require_matrix(
        size, size, "the dense Hessian", "use hessian_product, which needs no matrix"
    )


def require_problem(name: str, value: Any) -> Problem:
    """Return `value` if it is a :class:`Problem`; refuse it with the members that it lacks.

    Parameters
    ----------
    name : str
        Name for the message.
    value : object
        Argument to test.

    Returns
    -------
    Problem

    Raises
    ------
    InputError
        If it is no :class:`Problem`.

    Examples
    --------
    >>> require_problem("problem", np.zeros(2))
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: problem is of type ndarray, not a problem: it has no num_examples, \
losses, gradient, example_gradients, hessian_product, subset; expected \
AutogradProblem(loss, inputs, targets), a networks.Network, or a subclass of problems.Problem
    """
    if isinstance(value, Problem):
        return value
    raise checks.InputError(_members.not_a_problem(name, value))
