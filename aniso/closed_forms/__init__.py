"""Closed forms of linear motion: diffusion, chain of SGD, momentum, and entropy production."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "chain",
        "diffusion",
        "heavy_ball",
        "non_equilibrium",
        "phase_covariance",
        "underdamped",
    ],
    submod_attrs={
        "_eigenbasis": ["check_definite"],
        "_exponential_sums": ["exponential_integral"],
        "diffusion": ["BeyondQuadraticModel"],
        "heavy_ball": [
            "checked_momentum",
            "heavy_ball_covariance_at",
            "heavy_ball_stationary_covariance",
        ],
        "phase_covariance": ["PhaseCovariance"],
        "underdamped": ["underdamped_covariance_at", "underdamped_stationary_covariance"],
    },
)
