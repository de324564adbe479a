"""Closed forms of linear motion: the diffusion, the chain of SGD, and their entropy production."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["chain", "diffusion", "non_equilibrium"],
    submod_attrs={
        "_eigenbasis": ["check_definite"],
        "_exponential_sums": ["exponential_integral", "geometric_sum"],
        "diffusion": ["BeyondQuadraticModel"],
    },
)
