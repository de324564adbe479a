"""What can be said of a Hessian and a covariance as arrays or linear operators alone.

Nothing here knows a loss or a model: matrices of any framework are welcome.

>>> import numpy as np
>>> from aniso.matrices import indicators
>>> indicators.alignment(np.diag([4.0, 1.0]), np.diag([2.0, 0.0]))
8.0
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "block_lanczos",
        "centred_squares",
        "commutators",
        "convention",
        "covariance_arrays",
        "eigenpairs",
        "exact_traces",
        "factored",
        "indicators",
        "network_noise",
        "noise",
        "operators",
        "placed_operators",
        "spectral_density",
        "stochastic_alignment",
        "stochastic_traces",
        "structures",
        "subspaces",
    ],
    submod_attrs={
        "factored": ["DiagonalCovariance", "FactoredCovariance"],
        "placed_operators": ["PlacedOperator"],
    },
)
