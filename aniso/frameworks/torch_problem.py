"""A PyTorch model, a loss and data as a problem."""

import warnings
from dataclasses import replace

import numpy as np

from aniso import checks
from aniso.arrays import transfer
from aniso.frameworks._timing import Choices
from aniso.problems import Problem, problem_checks

try:
    import torch

    from aniso.frameworks import _torch_checks, _torch_data, _torch_engine, _trees
    from aniso.frameworks._torch_gradients import TorchGradients
    from aniso.frameworks._torch_model import VectorModel, array, differentiable
    from aniso.frameworks._torch_outputs import TensorOutputs
    from aniso.frameworks._torch_parameters import ModelParameters
    from aniso.frameworks._torch_passes import ChunkedPasses
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        "PyTorch is not installed; expected it for from_torch: pip install torch", name="torch"
    ) from error

_BLOCK = 16
"""Hessian products with more vectors are computed this many at a time."""


def from_torch(
    model,
    loss,
    data,
    *,
    parameters="*",
    forward=None,
    blocks="modules",
    chunk_size=None,
    dtype=None,
    engine="auto",
):
    """Return the problem of a PyTorch model: the mean of its loss over the examples of the data.

    Parameters
    ----------
    model : torch.nn.Module
        Copied, and never changed: its mode, buffers, gradients and parameters stay as they are.
        Layers that couple examples or draw random numbers are refused in training mode.
    loss : callable
        ``loss(outputs, targets) -> tensor``, a module or a function. It returns the mean over the
        batch, the sum, or one number for each example; the values tell which.
    data : pair of tensors or arrays, dict, or DataLoader
        ``(inputs, targets)`` with examples along the first axes, or batches of this kind. Inputs
        may be a tuple (arguments of the model) or a dict (named arguments). Where a batch is a
        dict alone, the loss gets the dict as its targets. An example is one entry of the first
        axis: of sequences, the whole sequence. Tensors that are on the model's device and in its
        precision already are not copied: do not change them.
    parameters : str or sequence of str
        Names of the parameters that move, with wildcards; "*" takes all that require gradients.
    forward : callable, optional
        ``forward(model, inputs) -> outputs`` where the model is not called with its inputs.
    blocks : {"modules", "parameters"} or dict of str to slice
        Parts of theta for quantities by block.
    chunk_size : int, optional
        Examples of one pass. If not given, a short timing finds the number for each kind of pass.
    dtype : {"float32", "float64"}, optional
        Precision of the computation; that of the model if not given.
    engine : {"auto", "torch", "aniso"}
        "aniso" computes with the engine of :mod:`aniso.networks`, which has exact traces and fast
        products, and refuses a model that it does not know. It knows ``torch.nn.Sequential`` of
        linear layers and convolutions with biases, pooling, and activations, with cross-entropy,
        binary cross-entropy or MSE, on the CPU. "auto" takes it where it can.

    Returns
    -------
    TorchProblem
        A :class:`TorchModel` where the model returns a single tensor; a :class:`TorchNetwork` with
        aniso's engine. All have `engine`, and `engine_reason` that says why it is not "aniso".

    Raises
    ------
    InputError
        If an argument breaks its rule, or derivatives of the model are wrong in PyTorch.
    InteractingExamples
        If the loss of an example depends on the other examples of its batch.

    Notes
    -----
    Before it is returned, the problem is checked on at most eight examples in double precision:
    gradients against differences of losses, Hessian products against differences of gradients, in
    every way that PyTorch offers. Wrong ways are not used. The caller's random states are restored.
    Hooks of forward passes run, as they belong to the model; hooks of gradients do not.

    Examples
    --------
    >>> import torch
    >>> from aniso import frameworks
    >>> model = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    >>> x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [0.0]])
    >>> problem = frameworks.from_torch(model, torch.nn.MSELoss(), (x, y))
    >>> problem.losses([1.0]), problem.gradient([1.0]), problem.hessian([1.0])
    (array([0., 4.]), array([4.]), array([[5.]]))
    """
    if dtype is not None:
        checks.one_of("dtype", dtype, ["float32", "float64"])
    if chunk_size is not None:
        checks.integer("chunk_size", chunk_size, low=1)
    checks.one_of("engine", engine, ["auto", "torch", "aniso"])
    if not isinstance(blocks, dict):
        checks.one_of("blocks", blocks, ["modules", "parameters"])
    with _torch_data.unchanged_generators(), torch.inference_mode(mode=False):
        vectors = VectorModel(model, parameters, forward, dtype)
        inputs, targets = _torch_data.read(data)
        with warnings.catch_warnings():
            # PyTorch itself still uses what it deprecates
            warnings.filterwarnings("ignore", "`torch.jit.script", FutureWarning)
            warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
            checked = _torch_checks.check(vectors, loss, inputs, targets)
        inputs, targets = _torch_data.placed((inputs, targets), vectors.device, vectors.dtype)
        kind = TorchProblem if checked.output_shape is None else TorchModel
        problem = kind(vectors, checked, inputs, targets, chunk_size)
        problem.blocks = blocks if isinstance(blocks, dict) else vectors.blocks(blocks)
        if engine == "torch":
            return problem
        try:
            return _torch_engine.network_of(problem, vectors, checked, blocks, chunk_size)
        except _torch_engine.Unknown as reason:
            if engine == "aniso":
                raise checks.InputError(
                    f"engine='aniso' can't be used: {reason}; expected engine='torch' or 'auto'"
                ) from reason
            problem.engine_reason = str(reason)
    return problem


class TorchProblem(ModelParameters, ChunkedPasses, Problem):
    """Mean loss of a PyTorch model over examples; :func:`from_torch` makes it.

    Attributes
    ----------
    num_examples, num_parameters : int
        N, and D in the order of ``torch.nn.utils.parameters_to_vector``.
    initial_theta : ndarray, shape (D,)
        Parameters of the model when the problem was made; read-only.
    blocks : dict of str to slice
        Parts of theta by name.
    dtype : numpy.dtype
        Precision of the computation.
    chunk_size : int
        Examples of one pass of the gradient.
    engine, engine_reason : str
        "torch", and why it is not aniso's own.
    """

    engine, engine_reason = "torch", "engine='torch' was chosen"

    def __init__(self, vectors, checked, inputs, targets, chunk_size):
        self._vectors, self._checked = vectors, checked
        self._inputs, self._targets = inputs, targets
        self.num_examples = _trees.count("data", (inputs, targets))
        self.num_parameters = vectors.num_parameters
        self.dtype = np.dtype(str(vectors.dtype).removeprefix("torch."))
        self.blocks = vectors.blocks("modules")
        self._given_chunk, self._choices = chunk_size, Choices()

    # ---- the six members

    def losses(self, theta):
        """Losses of the examples, l_i, shape (N,)."""
        theta = self._point(theta)
        with differentiable(self._vectors.device), torch.no_grad():
            parts = [self._losses_of(chunk)(theta) for chunk in self._chunks()]
        return problem_checks.finite("a loss", array(torch.cat(parts)))

    def gradient(self, theta):
        """Gradient of the mean loss, shape (D,)."""
        return self.loss_and_gradient(theta)[1]

    def loss_and_gradient(self, theta):
        """Mean loss, float, and its gradient, shape (D,), from one pass."""
        gradient, total = self._gradient(self._point(theta))
        gradient = problem_checks.finite("the gradient of the loss", array(gradient))
        return float(total) / self.num_examples, gradient

    def per_example_gradients(self, theta):
        """Gradients of the losses l_i as a NumPy array, shape (N, D); see `Problem`."""
        return transfer.to_numpy(super().per_example_gradients(theta))

    def example_gradients(self, theta):
        """Gradients of the examples, which are recomputed chunk by chunk where they are needed.

        Returns
        -------
        matrices.ExampleGradients
            A product with a vector costs about two gradients and never forms N x D numbers.
        """
        return TorchGradients(self, self.check_theta(theta))

    def hessian_product(self, theta, vectors):
        """Hessian of the mean loss times vectors, shape (D,) or (D, K), the shape of `vectors`.

        Raises
        ------
        InputError
            If PyTorch has no right second derivative of this model; the reason is named.
        """
        if not self._checked.hessian_ways:
            raise checks.InputError(
                f"second derivatives of this model do not exist: {self._checked.reason}; expected "
                "a model and a loss that PyTorch differentiates twice; first-order quantities, "
                "losses, gradient and noise are there"
            )
        point = self._point(theta)
        vectors, columns = problem_checks.checked_vectors(vectors, self.num_parameters)
        with differentiable(self._vectors.device):
            parts = []
            for start in range(0, columns.shape[1], _BLOCK):
                block = self._vectors.vector(
                    np.ascontiguousarray(columns[:, start : start + _BLOCK])
                )
                parts.append(array(self._hessian_block(point, block)))
        return problem_checks.finite("a Hessian product", np.concatenate(parts, axis=1)).reshape(
            vectors.shape
        )

    def subset(self, indices):
        """Return the same problem on some of the examples, in the order of `indices`."""
        indices = torch.as_tensor(
            problem_checks.checked_indices(indices, self.num_examples).astype(np.int64)
        )
        indices = indices.to(self._vectors.device)
        with torch.inference_mode(mode=False):
            inputs, targets = _torch_data.taken((self._inputs, self._targets), indices)
        return self._with(self._checked, inputs, targets)

    def _with(self, checked, inputs, targets):
        part = type(self)(self._vectors, checked, inputs, targets, self._given_chunk)
        part.blocks, part._choices = self.blocks, self._choices
        part.engine_reason = self.engine_reason
        return part

    def check(self, theta, rng):
        """Compare all derivatives with finite differences, in double precision.

        Parameters
        ----------
        theta : array_like, shape (D,)
            Point in parameter space.
        rng : numpy.random.Generator
            Draws the directions.

        Returns
        -------
        problems.derivative_check.DerivativeReport
        """
        if self.dtype == np.float64:
            return super().check(theta, rng)
        vectors = _torch_checks.in_double(self._vectors)
        inputs, targets = _torch_data.placed(
            (self._inputs, self._targets), vectors.device, vectors.dtype
        )
        double = type(self)(
            vectors, self._checked.moved(vectors), inputs, targets, self._given_chunk
        )
        return double.check(theta, rng)

    # ---- of PyTorch alone

    @property
    def reduction(self):
        """What the given loss does with a batch: "none", "mean", "sum" or "weighted mean"."""
        return self._checked.losses.reduction

    @property
    def mean_weight(self):
        """Mean weight of the examples in a weighted mean, by which losses are divided; else 1."""
        return 1 / self._checked.factor

    def with_mean_weight(self, weight):
        """Return the same problem with losses that are divided by another mean weight."""
        return self._with(replace(self._checked, factor=1 / weight), self._inputs, self._targets)

    def __repr__(self):
        checked = self._checked
        kind = {"none": "one for each example", "sum": "a sum, divided by N"}.get(
            checked.losses.reduction, f"a {checked.losses.reduction}"
        )
        second = "" if checked.hessian_ways else ", first order only"
        return (
            f"<{type(self).__name__}: N = {self.num_examples}, D = {self.num_parameters}, "
            f"{self.dtype} on {self._vectors.device}, loss: {kind}{second}>"
        )


class TorchModel(TensorOutputs, TorchProblem):
    """A :class:`TorchProblem` whose model returns one tensor, with Gauss-Newton and Fisher matrix.

    It has all members of :data:`aniso.problems.FACULTIES`.

    Examples
    --------
    >>> import torch
    >>> from aniso import frameworks
    >>> model = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    >>> x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [0.0]])
    >>> problem = frameworks.from_torch(model, torch.nn.MSELoss(), (x, y), engine="torch")
    >>> at = problem.at([1.0])  # J_i = x_i and S_i = 2
    >>> problem.outputs([1.0]), at.gauss_newton.trace()
    (array([[1.],
           [2.]]), 5.0)
    """
