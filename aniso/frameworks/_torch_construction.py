"""The steps from a PyTorch model, a loss and data to a problem."""

import warnings

import torch

from aniso import checks
from aniso.frameworks import _torch_checks, _torch_data, _torch_engine
from aniso.frameworks._torch_model import VectorModel
from aniso.frameworks._torch_tokens import Tokens
from aniso.frameworks.token_problem import TokenModel
from aniso.frameworks.torch_problem import TorchModel, TorchProblem


def problem_of(
    model, loss, data, *, parameters, forward, blocks, chunk_size, dtype, engine, example
):
    """Return the problem of a PyTorch model.

    Parameters
    ----------
    model, loss, data, parameters, example, forward, blocks, chunk_size, dtype, engine : object
        As in :func:`aniso.frameworks.from_torch`.

    Returns
    -------
    TorchProblem or TorchNetwork
    """
    if dtype is not None:
        checks.one_of("dtype", dtype, ["float32", "float64"])
    if chunk_size is not None:
        checks.integer("chunk_size", chunk_size, low=1)
    checks.one_of("engine", engine, ["auto", "torch", "aniso"])
    checks.one_of("example", example, ["sequence", "token"])
    if not isinstance(blocks, dict):
        checks.one_of("blocks", blocks, ["modules", "parameters"])
    with _torch_data.unchanged_generators(), torch.inference_mode(mode=False):
        vectors = VectorModel(model, parameters, forward, dtype)
        inputs, targets = _torch_data.read(data)
        tokens = Tokens.of_targets(loss, targets) if example == "token" else None
        with warnings.catch_warnings():
            # PyTorch itself still uses what it deprecates
            warnings.filterwarnings("ignore", "`torch.jit.script", FutureWarning)
            warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
            checked = _torch_checks.check(vectors, loss, inputs, targets, tokens, chunk_size)
        inputs, targets = _torch_data.placed((inputs, targets), vectors.device, vectors.dtype)
        if tokens is None:
            kind = TorchProblem if checked.output_shape is None else TorchModel
            problem = kind(vectors, checked, inputs, targets, chunk_size)
        else:
            tokens = tokens.moved(vectors.device)
            problem = TokenModel(vectors, checked, inputs, targets, chunk_size, tokens)
        problem.blocks = blocks if isinstance(blocks, dict) else vectors.blocks(blocks)
        if engine == "torch":
            return problem
        try:
            if tokens is not None:
                raise _torch_engine.Unknown("the examples are tokens")
            return _torch_engine.network_of(problem, vectors, checked, blocks, chunk_size)
        except _torch_engine.Unknown as reason:
            if engine == "aniso":
                raise checks.InputError(
                    f"engine='aniso' can't be used: {reason}; expected engine='torch' or 'auto'"
                ) from reason
            problem.engine_reason = str(reason)
    return problem
