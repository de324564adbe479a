"""Ensembles of the stochastic motion that the theory talks about, with independent streams.

Drifts are in :mod:`~aniso.langevin.drifts`, noises in :mod:`~aniso.langevin.noises`, schemes in
:mod:`~aniso.langevin.schemes`, regions in :mod:`~aniso.langevin.regions`.

Kernels are compiled when they are first called and kept in ``__pycache__``. Numba looks at the
file of a kernel only: whoever changes a function that a kernel of another file calls deletes that
folder.
"""

from aniso.langevin.ensembles import simulate_ensemble, simulate_paths
from aniso.langevin.first_passage import ExitTimes, simulate_exits
from aniso.langevin.linear_chain import ChainStatistics, simulate_linear_chain
from aniso.langevin.problems import LangevinProblem, NonFiniteState
from aniso.langevin.recording import EnsembleStatistics

__all__ = [
    "ChainStatistics",
    "EnsembleStatistics",
    "ExitTimes",
    "LangevinProblem",
    "NonFiniteState",
    "simulate_ensemble",
    "simulate_exits",
    "simulate_linear_chain",
    "simulate_paths",
]
