"""A JAX function of a pytree of parameters, with data, as a problem."""

import numpy as np

from aniso import checks, matrices
from aniso.frameworks._timing import Choices, equal_parts, sizes_for
from aniso.problems import Problem, problem_checks

try:
    import jax

    from aniso.frameworks import _jax_checks, _jax_data, _jax_products
    from aniso.frameworks._jax_gradients import JaxGradients
    from aniso.frameworks._jax_parameters import Parameters, ambient_precision, precision
except ModuleNotFoundError as error:
    if error.name != "jax":
        raise
    raise ModuleNotFoundError(
        "JAX is not installed; expected it for from_jax: pip install jax", name="jax"
    ) from error

_SIZES = (2048, 512, 8192)
"""Numbers of examples that are tried as the size of a chunk; the first is kept unless slow."""
_BLOCK_EXAMPLES = 1024
"""Largest number of examples of one pass with several vectors, if none is given."""


def from_jax(loss, params, data, *, blocks="keys", chunk_size=None):
    """Return the problem of a JAX loss: the mean of its losses over the examples of the data.

    Parameters
    ----------
    loss : callable
        ``loss(params, inputs, targets) -> array``, pure, of jax.numpy functions. It returns the
        mean over the batch, the sum, or one number for each example; the values tell which.
    params : pytree of arrays
        Parameters in single or double precision. theta has the order of
        ``jax.flatten_util.ravel_pytree``.
    data : pair of arrays or pytrees
        ``(inputs, targets)`` with examples along the first axes; copied. An example is one entry
        of the first axis: of sequences, the whole sequence.
    blocks : {"keys", "leaves"} or dict of str to slice
        Parts of theta: one for each top-level key of params, one for each array, or your own.
    chunk_size : int, optional
        Examples of one pass; found by a short timing of the gradient if not given.

    Returns
    -------
    JaxProblem

    Raises
    ------
    InputError
        If an argument breaks its rule, or a first derivative is wrong.
    InteractingExamples
        If the loss of an example depends on the other examples of its batch.

    Notes
    -----
    The precision is double where ``jax_enable_x64`` is on at this call, and single otherwise. The
    problem keeps it, and the caller's setting is never changed. Second-order quantities in single
    precision have four to six digits.

    It is checked on at most eight examples in double precision first: gradients against
    differences of losses, Hessian products against differences of gradients.

    Examples
    --------
    >>> import jax, numpy as np
    >>> from aniso import frameworks
    >>> def loss(params, x, y):
    ...     return ((params["w"] * x - y) ** 2).mean()
    >>> data = np.array([1.0, 2.0]), np.array([1.0, 0.0])
    >>> problem = frameworks.from_jax(loss, {"w": 1.0}, data)
    >>> problem.losses([1.0]).tolist(), problem.gradient([1.0]).tolist()
    ([0.0, 4.0], [4.0])
    >>> problem.hessian([1.0]).tolist()
    [[5.0]]
    """
    if chunk_size is not None:
        checks.integer("chunk_size", chunk_size, low=1)
    if not isinstance(blocks, dict):
        checks.one_of("blocks", blocks, ["keys", "leaves"])
    dtype, parameters = ambient_precision(), Parameters(params)
    start, host = parameters.theta_of(params), _jax_data.read(data)
    checked = _jax_checks.check(loss, parameters, start, host, dtype)
    with precision(dtype):
        placed = _jax_data.placed(host, dtype)
    problem = JaxProblem(parameters, checked, placed, dtype, chunk_size)
    problem._start = checks.frozen(start.astype(dtype))
    if isinstance(blocks, dict):
        problem.blocks = matrices.operators.checked_blocks(blocks, parameters.num_parameters)
    else:
        problem.blocks = parameters.blocks(blocks)
    return problem


class JaxProblem(Problem):
    """Mean of a JAX loss over examples; :func:`from_jax` makes it.

    Attributes
    ----------
    num_examples, num_parameters : int
        N, and D in the order of ``jax.flatten_util.ravel_pytree``.
    initial_theta : ndarray, shape (D,)
        Parameters from which the problem was made.
    blocks : dict of str to slice
        Parts of theta by name.
    dtype : numpy.dtype
        Precision of the computation.
    chunk_size : int
        Examples of one pass.
    """

    def __init__(self, parameters, checked, data, dtype, chunk_size):
        self._parameters, self._checked, self._data = parameters, checked, data
        self.num_examples, self.dtype = _jax_data.count(data), np.dtype(dtype)
        self.num_parameters, self._given_chunk = parameters.num_parameters, chunk_size
        self.blocks = parameters.blocks("keys")
        self._choices = Choices()

    # ---- the six members

    def losses(self, theta):
        """Losses of the examples, l_i, shape (N,)."""
        parts = [np.asarray(part) for _, part in self._passes("losses", self.check_theta(theta))]
        return problem_checks.finite("a loss", np.concatenate(parts))

    def gradient(self, theta):
        """Gradient of the mean loss, shape (D,)."""
        return self.loss_and_gradient(theta)[1]

    def loss_and_gradient(self, theta):
        """Mean loss, float, and its gradient, shape (D,), from one pass."""
        value, total = 0.0, np.zeros(self.num_parameters)
        # all chunks are under way before the first result is waited for
        for _, (part, slope) in list(self._passes("gradient", self.check_theta(theta))):
            value += float(part)
            total += np.asarray(slope)
        gradient = (total / self.num_examples).astype(self.dtype)
        return value / self.num_examples, problem_checks.finite(
            "the gradient of the loss", gradient
        )

    def example_gradients(self, theta):
        """Gradients of the examples, which are recomputed chunk by chunk where they are needed.

        Returns
        -------
        matrices.ExampleGradients
            A product with a vector costs about two gradients and never forms N x D numbers.
        """
        return JaxGradients(self, self.check_theta(theta))

    def hessian_product(self, theta, vectors):
        """Hessian of the mean loss times vectors, shape (D,) or (D, K), the shape of `vectors`.

        Raises
        ------
        InputError
            If JAX has no right second derivative of this loss; the reason is named.
        """
        way = self._checked.require_second_order()
        theta = self.check_theta(theta)
        vectors, columns = problem_checks.checked_vectors(vectors, self.num_parameters)
        columns = columns.astype(self.dtype)
        made = np.zeros(columns.shape)
        for start, stop, width in _jax_products.blocks(columns.shape[1]):
            block = _jax_products.padded(columns, start, stop, width)
            for _, part in list(self._passes(way, theta, block, chunks=self._chunks_for(width))):
                made[:, start:stop] += np.asarray(part)[:, : stop - start]
        made = (made / self.num_examples).astype(self.dtype)
        return problem_checks.finite("a Hessian product", made).reshape(vectors.shape)

    def subset(self, indices):
        """Return the same problem on some of the examples, in the order of `indices`."""
        indices = problem_checks.checked_indices(indices, self.num_examples).astype(np.int32)
        with precision(self.dtype):
            data = _jax_data.taken(self._data, indices)
        return self._on(data, self.dtype)

    def check(self, theta, rng):
        """Compare all derivatives with finite differences, in double precision; see `Problem`."""
        if self.dtype == np.float64:
            return super().check(theta, rng)
        with precision(np.float64):
            data = _jax_data.placed(jax.tree_util.tree_map(np.asarray, self._data), np.float64)
        return self._on(data, np.float64).check(theta, rng)

    # ---- of JAX alone

    @property
    def initial_theta(self):
        """Parameters from which the problem was made, shape (D,), a new array."""
        return self._start.copy()

    def theta_of(self, params):
        """Parameters of a pytree as theta, for instance after some training.

        Parameters
        ----------
        params : pytree
            Of the structure and the shapes of the problem's.

        Returns
        -------
        ndarray, shape (D,)

        Raises
        ------
        InputError
            If it has another structure or other shapes.
        """
        return self._parameters.theta_of(params).astype(self.dtype)

    def params_of(self, theta):
        """Return the pytree of a theta, shape (D,), in the precision of the problem."""
        theta = self.check_theta(theta).astype(self.dtype)
        with precision(self.dtype):
            return self._parameters.tree(jax.numpy.array(theta))

    def __repr__(self):
        kinds = {"none": "one for each example", "sum": "a sum, divided by N", "mean": "a mean"}
        kind = kinds[self._checked.products.losses_of_batch.reduction]
        second = "" if self._checked.hessian_way else ", first order only"
        return (
            f"<JaxProblem: N = {self.num_examples}, D = {self.num_parameters}, {self.dtype} on "
            f"{jax.default_backend()}, loss: {kind}{second}>"
        )

    # ---- passes over chunks

    def _on(self, data, dtype):
        made = JaxProblem(self._parameters, self._checked, data, dtype, self._given_chunk)
        made.blocks, made._start = self.blocks, self._start
        if made.dtype == self.dtype:
            made._choices = self._choices
        return made

    @property
    def chunk_size(self):
        """Examples of one pass: as given, or the fastest of a few sizes for the gradient."""
        count = self.num_examples
        if self._given_chunk is not None:
            return min(self._given_chunk, count)

        def gradient(_, chunk):
            for _, result in self._passes("gradient", self._start, chunks=[chunk]):
                jax.block_until_ready(result)

        sizes = sizes_for(count, _SIZES)
        # the first call compiles
        _, size = self._choices.fastest(
            "gradient", ("gradient",), sizes, count, gradient, prepare=gradient
        )
        return equal_parts(count, size)

    def _chunks_for(self, num_vectors):
        """Chunks of all examples for passes with so many vectors."""
        size = self.chunk_size
        if num_vectors > 1 and self._given_chunk is None:
            size = equal_parts(self.num_examples, min(size, _BLOCK_EXAMPLES))
        return self._chunks(size=size)

    def _chunks(self, start=0, stop=None, size=None):
        stop, size = stop or self.num_examples, size or self.chunk_size
        for first in range(start, stop, size):
            yield slice(first, min(first + size, stop))

    def _passes(self, name, theta, *given, weights=(), chunks=None):
        """Yield each chunk with the result of a compiled derivative on it."""
        with precision(self.dtype):
            theta, given, weights = jax.device_put(
                (np.asarray(theta, self.dtype), given, tuple(weights))
            )
        for chunk in self._chunks() if chunks is None else chunks:
            with precision(self.dtype):  # not while the caller has the result
                call = self._checked.products.of_chunk(name, chunk.stop - chunk.start)
                result = call(theta, self._data, chunk.start, given, weights)
            yield chunk, result
