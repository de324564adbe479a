"""Ensembles of the stochastic motion that the theory talks about, with independent streams.

Drifts are in :mod:`~aniso.langevin.drifts`, noises in :mod:`~aniso.langevin.noises` and
:mod:`~aniso.langevin.state_noises`, schemes in :mod:`~aniso.langevin.schemes`, regions in
:mod:`~aniso.langevin.regions`, reflecting walls in :mod:`~aniso.langevin.walls`.

Kernels are compiled at their first call and kept in ``__pycache__``. They are compiled again when a
source file of their folder changes, see :mod:`aniso.arrays.kernel_cache`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "cells",
        "checkpoints",
        "convergence",
        "covariance_factor",
        "drift_functions",
        "drifts",
        "ensembles",
        "example_chains",
        "example_exits",
        "example_motion",
        "example_sets",
        "experiment_identity",
        "first_passage",
        "function_trials",
        "functions",
        "kernel_arguments",
        "linear_chain",
        "linear_schemes",
        "modified_equations",
        "noises",
        "plain_functions",
        "problems",
        "recording",
        "region_margins",
        "regions",
        "schemes",
        "state_noises",
        "two_basin_dynamics",
        "underdamped",
        "walls",
    ],
    submod_attrs={
        "ensembles": ["simulate_ensemble", "simulate_paths"],
        "example_exits": ["simulate_sgd_exits"],
        "first_passage": ["ExitTimes", "simulate_exits"],
        "linear_chain": ["ChainStatistics", "simulate_linear_chain"],
        "problems": ["LangevinProblem", "NonFiniteState"],
        "recording": ["EnsembleStatistics"],
        "underdamped": ["heavy_ball_equation", "underdamped_problem"],
    },
)
