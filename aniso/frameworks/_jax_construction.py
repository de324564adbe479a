"""The steps from a JAX loss, parameters and data to a problem."""

from aniso import checks, matrices
from aniso.frameworks import _jax_checks, _jax_data, _jax_tokens
from aniso.frameworks._jax_parameters import Parameters, ambient_precision, precision
from aniso.frameworks.jax_problem import JaxProblem
from aniso.frameworks.jax_token_problem import JaxTokenProblem


def problem_of(loss, params, data, *, example, blocks, chunk_size):
    """Return the problem of a JAX loss.

    Parameters
    ----------
    loss, params, data, example, blocks, chunk_size : object
        As in :func:`aniso.frameworks.from_jax`.

    Returns
    -------
    JaxProblem
    """
    if chunk_size is not None:
        checks.integer("chunk_size", chunk_size, low=1)
    if not isinstance(blocks, dict):
        checks.one_of("blocks", blocks, ["keys", "leaves"])
    checks.one_of("example", example, ["sequence", "token"])
    dtype, parameters = ambient_precision(), Parameters(params)
    start, host = parameters.theta_of(params), _jax_data.read(data)
    tokens = _jax_tokens.positions_of(host) if example == "token" else None
    checked = _jax_checks.check(loss, parameters, start, host, dtype, tokens, chunk_size)
    with precision(dtype):
        placed = _jax_data.placed(host, dtype)
    if tokens is None:
        problem = JaxProblem(parameters, checked, placed, dtype, chunk_size)
    else:
        problem = JaxTokenProblem(parameters, checked, placed, dtype, chunk_size, tokens)
    problem._start = checks.frozen(start.astype(dtype))
    if isinstance(blocks, dict):
        problem.blocks = matrices.operators.checked_blocks(blocks, parameters.num_parameters)
    else:
        problem.blocks = parameters.blocks(blocks)
    return problem
