"""Problems of PyTorch models and of JAX functions; a framework loads at its first use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from aniso import _extras

if TYPE_CHECKING:
    from aniso.frameworks.jax_problem import JaxProblem
    from aniso.frameworks.torch_problem import TorchProblem


def from_torch(
    model: Any,
    loss: Callable[..., Any],
    data: Any,
    *,
    parameters: str | Sequence[str] = "*",
    example: Literal["sequence", "token"] = "sequence",
    forward: Callable[..., Any] | None = None,
    blocks: Any = "modules",
    chunk_size: int | None = None,
    dtype: Literal["float32", "float64"] | None = None,
    engine: Literal["auto", "torch", "aniso"] = "auto",
) -> TorchProblem:
    """Return the problem of a PyTorch model: the mean of its loss over the examples of the data.

    Parameters
    ----------
    model : torch.nn.Module
        Copied, and never changed: its mode, buffers, gradients and parameters stay as they are.
        Layers that couple examples or draw random numbers are refused in training mode.
    loss : callable
        ``loss(outputs, targets) -> tensor``, a module or a function. It returns the mean over the
        batch, the sum, or one number for each example; the values tell which. It may use no
        parameters but by its outputs: a penalty on them is an output of `forward`.
    data : pair of tensors or arrays, dict, or DataLoader
        ``(inputs, targets)`` with examples along the first axes, or batches of this kind. Inputs
        may be a tuple (arguments of the model) or a dict (named arguments). Where a batch is a
        dict alone, the loss gets the dict as its targets. Tensors that are on the model's device
        and in its precision already are not copied: do not change them.
    parameters : str or sequence of str
        Names of the parameters that move, with wildcards; "*" takes all that require gradients.
        Any other pattern takes frozen parameters too. A shared parameter has all of its names, and
        is called by the first.
    example : {"sequence", "token"}
        "sequence": an example is one entry of the first axis, an image or a whole sequence. Its
        loss is the sum or the mean over its tokens as the loss says. "token": each token is one.
        Outputs are (N, T, ...), or (N, C, T) for PyTorch's cross-entropy, and targets (N, T, ...)
        or a dict with such "labels". Tokens with the target -100, or `ignore_index` of the loss,
        are left out.
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
        A :class:`TorchModel` where the model returns a single tensor, a :class:`TokenModel` of
        tokens, a :class:`TorchNetwork` with aniso's engine. All have `engine`, and `engine_reason`
        that says why it is not "aniso".

    Raises
    ------
    InputError
        If an argument breaks its rule, or derivatives of the model are wrong in PyTorch.
    InteractingExamples
        If the loss of an example depends on the other examples of its batch.
    ModuleNotFoundError
        If PyTorch is not installed.

    Notes
    -----
    Before it is returned, the problem is checked on at most eight examples in double precision,
    spread over the data: gradients against differences of losses, Hessian products against
    differences of gradients, in every way that PyTorch offers. Wrong ways are not used. The given
    loss of all examples is compared with their own losses once, a pass forward. The caller's
    random states are restored.
    Hooks of forward passes run, as they belong to the model; hooks of gradients do not.

    A token's loss depends on the tokens before it through attention, and its gradient is exact. The
    covariance of tokens is that of tokens drawn singly. Batches of whole sequences draw tokens of a
    sequence together: their noise is that of ``example="sequence"``. Gradients of single tokens as
    rows cost a pass over the whole sequence each; products with them cost as in sequences.

    Class weights and ignored targets make a weighted mean. A batch is then divided by the mean
    weight of all examples, as :attr:`TorchProblem.batch_assumption` says: PyTorch divides it by
    its own weights, which is another noise at first order.

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
    with _extras.needed_for("from_torch"):
        from aniso.frameworks import _torch_construction
    return _torch_construction.problem_of(
        model,
        loss,
        data,
        parameters=parameters,
        forward=forward,
        blocks=blocks,
        chunk_size=chunk_size,
        dtype=dtype,
        engine=engine,
        example=example,
    )


def from_jax(
    loss: Callable[..., Any],
    params: Any,
    data: Any,
    *,
    example: Literal["sequence", "token"] = "sequence",
    blocks: Any = "keys",
    chunk_size: int | None = None,
) -> JaxProblem:
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
        ``(inputs, targets)`` with examples along the first axes; copied.
    example : {"sequence", "token"}
        "sequence": an example is one entry of the first axis, an image or a whole sequence.
        "token": each token is one, the loss returns a number for each, (n, T), and targets are
        (N, T, ...) or a dict with such "labels". Tokens with the target -100 are left out.
    blocks : {"keys", "leaves"} or dict of str to slice
        Parts of theta: one for each top-level key of params, one for each array, or your own.
    chunk_size : int, optional
        Examples of one pass. If not given, a short timing of the gradient finds the number; of
        tokens it is 1024.

    Returns
    -------
    JaxProblem
        A :class:`JaxTokenProblem` of tokens.

    Raises
    ------
    InputError
        If an argument breaks its rule, or a first derivative is wrong.
    InteractingExamples
        If the loss of an example depends on the other examples of its batch.
    ModuleNotFoundError
        If JAX is not installed.

    Notes
    -----
    The precision is double where ``jax_enable_x64`` is on at this call, and single otherwise. The
    problem keeps it, and the caller's setting is never changed. Second-order quantities in single
    precision have four to six digits.

    It is checked on at most eight examples in double precision first, spread over the data:
    gradients against differences of losses, Hessian products against differences of gradients. The
    given loss of all examples is compared with their own losses once, two passes forward.

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
    with _extras.needed_for("from_jax"):
        from aniso.frameworks import _jax_construction
    return _jax_construction.problem_of(
        loss, params, data, example=example, blocks=blocks, chunk_size=chunk_size
    )
