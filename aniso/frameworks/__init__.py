"""Problems of other frameworks: PyTorch models, JAX functions, drawn gradients, given matrices.

Three functions return a :class:`aniso.problems.Problem`, so that every quantity of aniso is there
for a model of one's own. Two return the geometry at a fixed theta, with the members of a
:class:`aniso.problems.LocalGeometry` that were given.

=====================  ===================================================================
:func:`from_torch`     a PyTorch module, a loss and data: a problem
:func:`from_jax`       a JAX function, a pytree of parameters and data: a problem
:func:`sharded`        examples that many processes hold, by ``torch.distributed``: a problem
:func:`own_examples`   which examples one of these processes takes
:func:`from_draws`     gradients that your own training step draws: a geometry
:func:`from_matrices`  matrices and operators of another program: a geometry
=====================  ===================================================================
"""

import lazy_loader

from aniso import _extras

_found, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "constructors",
        "drawn_gradients",
        "given_matrices",
        "jax_problem",
        "jax_token_problem",
        "matrix_geometry",
        "sharded_problem",
        "token_problem",
        "torch_network",
        "torch_problem",
    ],
    submod_attrs={
        "constructors": ["from_jax", "from_torch"],
        "drawn_gradients": ["DrawnGeometry", "from_draws"],
        "given_matrices": ["from_matrices"],
        "jax_problem": ["JaxProblem"],
        "jax_token_problem": ["JaxTokenProblem"],
        "matrix_geometry": ["MatrixGeometry"],
        "sharded_problem": ["LostRank", "RankFailed", "ShardedProblem", "own_examples", "sharded"],
        "token_problem": ["TokenModel"],
        "torch_network": ["TorchNetwork"],
        "torch_problem": ["TorchModel", "TorchProblem"],
    },
)


def __getattr__(name):
    with _extras.needed_for(name):
        return _found(name)
