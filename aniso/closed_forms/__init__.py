"""Closed forms of linear motion: diffusion, chain of SGD, momentum, entropy, and stability.

============================  ====================================================================
the diffusion                 `diffusion.covariance_at`, `diffusion.stationary_covariance`,
                              `diffusion.escaping_efficiency`
the chain of SGD              `chain.chain_covariance_at`, `chain.chain_stationary_covariance`,
                              `chain.chain_escaping_efficiency`
momentum and mass             `heavy_ball_covariance_at`, `heavy_ball_stationary_covariance`,
                              `underdamped_covariance_at`, `underdamped_stationary_covariance`
currents, entropy production  `non_equilibrium.circulation`, `non_equilibrium.entropy_production`
stability of SGD              `stability_threshold`, `second_moment_growth`,
                              `directional_threshold`, `threshold_along`
stability of optimisers       `sharpness_limit`, `adam_preconditioner`, `preconditioned_hessian`,
                              `preconditioned_sharpness`
batch sharpness               `batch_sharpness_mean_of_ratios`, `batch_sharpness_ratio_of_means`,
                              `batch_sharpness_with_shared_hessian`, `batch_sharpness_of_draws`
============================  ====================================================================

>>> import numpy as np
>>> from aniso import closed_forms, matrices
>>> curvatures = matrices.curvatures_from_factors([[2.0, 0.0], [0.0, 1.0]])  # H = diag(2, 1/2)
>>> round(closed_forms.stability_threshold(curvatures, 1, replacement=True).learning_rate, 12)
0.5
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "batch_sharpness",
        "chain",
        "diffusion",
        "directional_stability",
        "heavy_ball",
        "non_equilibrium",
        "optimiser_limits",
        "phase_covariance",
        "stability",
        "underdamped",
    ],
    submod_attrs={
        "_eigenbasis": ["check_definite"],
        "_exponential_sums": ["exponential_integral", "geometric_sum"],
        "batch_sharpness": [
            "BatchSharpness",
            "batch_sharpness_mean_of_ratios",
            "batch_sharpness_of_draws",
            "batch_sharpness_ratio_of_means",
            "batch_sharpness_with_shared_hessian",
        ],
        "diffusion": ["BeyondQuadraticModel"],
        "directional_stability": ["directional_threshold", "threshold_along"],
        "optimiser_limits": [
            "adam_preconditioner",
            "preconditioned_hessian",
            "preconditioned_sharpness",
            "sharpness_limit",
        ],
        "stability": ["StabilityThreshold", "second_moment_growth", "stability_threshold"],
        "heavy_ball": [
            "checked_momentum",
            "heavy_ball_covariance_at",
            "heavy_ball_stationary_covariance",
        ],
        "phase_covariance": ["PhaseCovariance"],
        "underdamped": ["underdamped_covariance_at", "underdamped_stationary_covariance"],
    },
)
