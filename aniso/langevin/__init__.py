"""Ensembles of the stochastic motion that the theory talks about, with independent streams.

============================  ====================================================================
the equation                  `LangevinProblem`, `simulate_ensemble`, `simulate_paths`
first exits of the equation   `simulate_exits`
with mass or momentum         `underdamped_problem`, `heavy_ball_equation`
SGD on examples               `simulate_sgd_exits`, `example_chains.simulate_sgd`,
                              `example_chains.simulate_svag`
SGD on a quadratic            `simulate_linear_chain`
drifts                        `drifts.of_quadratic`, `drifts.of_polynomial`, `drifts.of_table`,
                              `drifts.of_function`
noise, constant or diagonal   `noises.constant`, `noises.diagonal`, `noises.low_rank`,
                              `noises.proportional`, `noises.state_dependent`
noise Sigma(theta)            `state_noises.covariance`, `state_noises.factor`,
                              `state_noises.diagonal`
regions, walls                `regions.interval`, `regions.half_space`, `regions.ball`,
                              `regions.sublevel_set`, `regions.custom`, `walls.reflecting_box`
sets of examples              `example_sets.least_squares`, `example_sets.shifted_quadratics`,
                              `example_sets.custom`
SGD as an equation            `modified_equations.first_order`, `modified_equations.second_order`
schemes and their orders      `schemes.scheme`, `convergence.measure_convergence`
============================  ====================================================================

>>> from aniso import langevin
>>> brownian = langevin.LangevinProblem(
...     langevin.drifts.of_quadratic([[0.0]]), langevin.noises.diagonal([1.0]), [0.0]
... )
>>> interval = langevin.regions.interval(-1, 1)
>>> exits = langevin.simulate_exits(brownian, interval, 0.1, 50.0, 9, seed=1)
>>> set(abs(exits.points).ravel().round(9).tolist())
{1.0}

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
