"""Problems of other frameworks: PyTorch models, JAX functions, drawn gradients, given matrices.

Each function returns a :class:`aniso.problems.Problem`, so that every quantity of aniso is there
for a model of one's own.

====================  =============================================================
:func:`from_torch`    a PyTorch module, a loss and data
====================  =============================================================
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["torch_network", "torch_problem"],
    submod_attrs={
        "torch_problem": ["TorchModel", "TorchProblem", "from_torch"],
        "torch_network": ["TorchNetwork"],
    },
)
