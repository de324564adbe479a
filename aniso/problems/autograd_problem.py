"""Mean loss over examples and its derivatives, from any per-example loss a user writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import autograd.numpy as anp
import numpy as np

from aniso import _arguments, checks
from aniso.matrices import operands
from aniso.problems import _broadcasting, _example_rows, _members, _plans
from aniso.problems._tracing import largest_intermediate, plain, traced
from aniso.problems.problem import Problem, require_dense_hessian
from aniso.problems.problem_checks import (
    checked_data,
    checked_indices,
    checked_vectors,
    finite,
    require_independent_examples,
    returned_values,
    symmetrised,
)

if TYPE_CHECKING:
    from aniso.problems._plans import Plan
    from aniso.typing import Array, ArrayLike


class AutogradProblem(Problem):
    """Mean loss of any per-example loss, ``L(theta) = (1/N) sum_i l_i(theta)``, by autograd.

    Parameters
    ----------
    loss : callable
        ``loss(theta, inputs, targets) -> (N,)``, one number an example, written with
        ``autograd.numpy``.
    inputs : array_like, shape (N, ...)
        Finite numbers, taken as float64; copied.
    targets : array_like, shape (N, ...)
        Finite numbers; integers stay integers, as int64; copied.
    num_parameters : int, optional
        D. Where given, theta of another length is refused before the loss is called.
    blocks : dict of str to slice, optional
        Parts of theta by name, in the order of theta, for quantities by block.

    Raises
    ------
    InputError
        At construction, if the loss does not take (theta, inputs, targets), or the data are not
        finite, are empty or do not agree in N. At a call, if
        theta is not a finite vector. Also if the loss does not return finite real numbers of shape
        (N,), or autograd can't trace it.

    Notes
    -----
    The form of the loss decides the cost, which :meth:`plan` states beforehand.

    - A loss may broadcast over leading axes: theta (..., D), inputs (..., n, d) and targets
      (..., n) give (..., n). Then one traced pass gives all per-example gradients, and Hessian
      products take a block of vectors at a time. A test on three examples decides.
    - A loss may combine parameters with examples in matrix products or entry by entry, such as
      ``anp.dot(inputs, theta)``. Then one traced pass gives all per-example gradients too.
    - Any other loss is differentiated in a loop. A long loop gives a warning.

    Examples
    --------
    Least squares on two examples, ``L = ((theta - 1)^2 + (2 theta - 0)^2) / 2`` at theta = 1:

    >>> def loss(theta, x, y):
    ...     return (theta[..., 0, None] * x - y) ** 2
    >>> problem = AutogradProblem(loss, [1.0, 2.0], [1.0, 0.0])
    >>> problem.loss([1.0]), problem.gradient([1.0]), problem.hessian([1.0])
    (2.0, array([4.]), array([[5.]]))
    >>> problem.example_gradients([1.0])
    array([[0.],
           [8.]])
    """

    def __init__(
        self,
        loss: Callable[..., Any],
        inputs: ArrayLike,
        targets: ArrayLike,
        *,
        num_parameters: int | None = None,
        blocks: dict[str, slice] | None = None,
    ) -> None:
        if not callable(loss) or isinstance(loss, type):
            shape = f" of shape {np.shape(loss)}" if np.ndim(loss) else ""
            what = f"loss is a {type(loss).__name__}{shape}" if shape else f"loss={loss!r}"
            raise checks.InputError(
                f"{what}; expected a function (theta, inputs, targets) -> (N,), then the inputs, "
                "then the targets"
            )
        if hasattr(loss, "check_targets"):
            raise checks.InputError(
                f"loss={loss!r}, a loss of a model's outputs; expected a function (theta, inputs, "
                "targets) -> (N,): AutogradModel and networks.Network take a model "
                "and this loss"
            )
        if hasattr(loss, "state_dict"):
            raise checks.InputError(
                f"loss={loss!r}, a PyTorch module; expected a function (theta, inputs, targets) -> "
                "(N,) written with autograd.numpy, or a network rebuilt with networks.Stack"
            )
        found = _arguments.misfit(loss, ("theta", "inputs", "targets"))
        if found is not None:
            raise checks.InputError(
                f"loss takes {found}; expected a function (theta, inputs, targets) -> (N,); where "
                "it needs no targets: lambda theta, inputs, targets: loss(theta, inputs)"
            )
        self.inputs, self.targets = checked_data(inputs, targets)
        self.num_examples = len(self.inputs)
        self.num_parameters = num_parameters
        if num_parameters is not None:
            checks.integer("num_parameters", num_parameters, low=1)
        if blocks is not None:
            self.blocks = dict(blocks)
        self._loss = loss
        self._shapes, self._followed = {}, {}
        self._known = None, None  # last theta, and the gradient there
        # sizes of theta at which the examples were found independent
        self._independent = frozenset()
        self._warned = False

    def losses(self, theta: ArrayLike) -> Array:
        """Losses of the examples, l_i, shape (N,)."""
        return self._checked_losses(self.check_theta(theta))

    def gradient(self, theta: ArrayLike) -> Array:
        """Gradient of the mean loss, shape (D,)."""
        return self.loss_and_gradient(theta)[1]

    def loss_and_gradient(self, theta: ArrayLike) -> tuple[float, Array]:
        """Mean loss, float, and its gradient, shape (D,), from one pass."""
        theta = self.check_theta(theta)
        vjp, value = traced(self._mean_loss, theta)
        gradient = finite("the gradient of the loss", vjp(1.0))
        self._known = theta.copy(), gradient.copy()
        return float(value), gradient

    def example_gradients(self, theta: ArrayLike) -> Array:
        """Gradients of the losses l_i, shape (N, D), row i for example i.

        Raises
        ------
        AllocationRefused
            If N × D numbers do not fit.
        InteractingExamples
            If the rows' mean is not the gradient of the mean loss, as where the loss normalises
            over its batch: then there is no gradient of one example. They are compared at the
            first theta, and at each theta whose gradient was computed just before.

        Notes
        -----
        Cost as ``plan(theta)["per_example_gradients"]`` states, and one gradient at the first
        theta.
        """
        theta = self.check_theta(theta)
        _plans.require_matrix(
            self.num_examples,
            theta.size,
            "the matrix of per-example gradients",
            "use gradient, or subset of fewer examples",
        )
        plan = self._plan("per_example_gradients", theta)
        rows = np.empty((self.num_examples, theta.size))
        for chunk in plan.timed_chunks(self.num_examples, not self._warned):
            rows[chunk] = self._gradient_rows(theta, chunk, plan.method)
        self._warned |= plan.is_long
        self._require_independent(theta, finite("a per-example gradient", rows))
        return rows

    def hessian_product(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """Hessian of the mean loss times vectors, shape (D,) or (D, K), the shape of `vectors`.

        Notes
        -----
        Cost as ``plan(theta, K)["hessian_product"]`` states; exact to rounding.
        """
        theta = self.check_theta(theta)
        vectors, columns = checked_vectors(vectors, theta.size)
        products = self._columns(theta, columns.shape[1], lambda part: columns[:, part])
        return products.reshape(vectors.shape)

    def hessian(self, theta: ArrayLike) -> Array:
        """Dense Hessian of the mean loss, shape (D, D), exact to rounding and symmetric.

        Raises
        ------
        AllocationRefused
            If D × D numbers do not fit.
        InputError
            If the products are not symmetric to 1e-6: the loss has no Hessian there, or one of
            its derivatives is wrong (see :meth:`check`).

        Notes
        -----
        D Hessian products; ``plan(theta)["hessian_product"]`` states the passes.
        """
        theta = self.check_theta(theta)
        size = theta.size
        require_dense_hessian(size)
        matrix = self._columns(
            theta, size, lambda part: operands.unit_columns(size, part.start, part.stop)
        )
        return symmetrised(matrix)

    def subset(self, indices: ArrayLike) -> AutogradProblem:
        """Return the same loss on some of the examples, in the order of `indices`."""
        indices = checked_indices(indices, self.num_examples)
        part = AutogradProblem(
            self._loss,
            checks.frozen(self.inputs[indices]),
            checks.frozen(self.targets[indices]),
            num_parameters=self.num_parameters,
            blocks=self.blocks,
        )
        part._independent = self._independent
        return part

    def plan(self, theta: ArrayLike, num_vectors: int | None = None) -> dict[str, Plan]:
        """State how the derivatives at `theta` will be computed, and at what cost.

        Parameters
        ----------
        theta : array_like, shape (D,)
            Point in parameter space.
        num_vectors : int, optional
            Number of vectors of the Hessian product; D (a dense Hessian) if not given.

        Returns
        -------
        dict of str to Plan
            Under "per_example_gradients" and "hessian_product".
        """
        theta = self.check_theta(theta)
        num_vectors = theta.size if num_vectors is None else num_vectors
        checks.integer("num_vectors", num_vectors, low=1)
        return {
            "per_example_gradients": self._plan("per_example_gradients", theta),
            "hessian_product": self._plan("hessian_product", theta, num_vectors),
        }

    def _checked_losses(self, theta):
        values = returned_values(self._loss, theta, self.inputs, self.targets)
        expected = (self.num_examples,)
        if np.shape(values) != expected:
            raise checks.InputError(
                f"loss returned shape {np.shape(values)}; expected (N,)={expected}, one number an "
                "example" + _shape_remedy(np.shape(values), expected)
            )
        numbers = plain(values)
        if numbers.dtype.kind not in "biuf":
            raise checks.InputError(f"loss returned dtype {numbers.dtype}; expected real numbers")
        if not np.isfinite(numbers).all():
            index = int(np.argmin(np.isfinite(numbers)))
            raise checks.InputError(
                f"loss returned {numbers[index]} for example {index}; expected finite numbers at "
                "this theta"
            )
        return values

    def _mean_loss(self, theta):
        return anp.mean(self._checked_losses(theta))

    def _plan(self, quantity, theta, num_vectors=None):
        size = theta.size
        if size not in self._shapes:
            broadcasts = _broadcasting.broadcasts(self._loss, theta, self.inputs, self.targets)
            largest = largest_intermediate(self._checked_losses, theta)
            self._shapes[size] = largest, broadcasts
        if quantity == "per_example_gradients":
            return _plans.plan_rows(
                self.num_examples, size, *self._shapes[size], lambda: self._is_followed(theta)
            )
        return _plans.plan_products(num_vectors, size, *self._shapes[size])

    def _require_independent(self, theta, rows):
        # at the first theta of a size, and at a theta whose gradient is known already
        known, gradient = self._known
        if not np.array_equal(known, theta):
            if theta.size in self._independent:
                return
            gradient = self.gradient(theta)
        require_independent_examples(rows, gradient)
        if theta.size not in self._independent:
            # a mean over the batch that is a constant to theta shows in separate calls alone
            last = slice(self.num_examples - 1, None)
            alone = _example_rows.separate_rows(
                self._loss, theta, self.inputs[last], self.targets[last]
            )
            require_independent_examples(rows[last], alone[0])
        self._independent |= {theta.size}

    def _is_followed(self, theta):
        if theta.size not in self._followed:
            self._followed[theta.size] = _example_rows.is_followed(
                self._loss, theta, self.inputs, self.targets
            )
        return self._followed[theta.size]

    def _gradient_rows(self, theta, chunk, method):
        inputs, targets = self.inputs[chunk], self.targets[chunk]
        if method == "trace":
            return _example_rows.rows(self._loss, theta, inputs, targets)
        if method == "loop":
            return _example_rows.separate_rows(self._loss, theta, inputs, targets)
        inputs, targets = inputs[:, None], targets[:, None]
        tiled = np.tile(theta, (len(inputs), 1))
        vjp, _ = traced(lambda point: anp.sum(self._loss(point, inputs, targets)), tiled)
        return vjp(1.0)

    def _columns(self, theta, num_columns, columns):
        plan = self._plan("hessian_product", theta, num_columns)
        products = np.empty((theta.size, num_columns))
        loop_product = None
        for part in plan.timed_chunks(num_columns, not self._warned):
            block = columns(part)
            if plan.method == "broadcast" and block.shape[1] > 1:
                products[:, part] = self._block_product(theta, block)
            else:
                loop_product = loop_product or self._traced_product(theta)
                products[:, part] = loop_product(block[:, 0])[:, None]
        self._warned |= plan.is_long
        return finite("a Hessian product", products)

    def _traced_product(self, theta):
        # the gradient is traced once; every product is one pass back through that trace
        product, _ = traced(lambda point: traced(self._mean_loss, point)[0](1.0), theta)
        return product

    def _block_product(self, theta, block):
        tiled = np.tile(theta, (block.shape[1], 1))

        def gradients(thetas):
            return traced(self._sum_of_means, thetas)[0](1.0)

        product, _ = traced(gradients, tiled)
        return product(np.ascontiguousarray(block.T)).T

    def _sum_of_means(self, thetas):
        return anp.sum(self._loss(thetas, self.inputs, self.targets)) / self.num_examples


def _shape_remedy(found, expected):
    """Return the remedy for losses of a wrong shape: for a column, a matrix, or their mean."""
    if found == (*expected, 1):
        return ": loss[..., 0] of that column"
    if found == expected * 2:
        return ": a column (N, 1) met a row (N,) and made a matrix; use x[..., 0] of the column"
    if len(found) == 2 and found[0] == expected[0]:
        return ": autograd.numpy.sum(loss, axis=-1) where a row holds the terms of one example"
    return _members.ravel_remedy(found, expected) or ", not their sum or mean"
