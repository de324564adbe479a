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
        "block_alignment",
        "centred_squares",
        "commutators",
        "convention",
        "covariance_arrays",
        "eigenpairs",
        "exact_traces",
        "factored",
        "gradients",
        "indicators",
        "noise",
        "operands",
        "operators",
        "spectral_density",
        "stochastic_alignment",
        "stochastic_traces",
        "structures",
        "subspaces",
    ],
    submod_attrs={
        "block_alignment": ["BlockAlignment", "alignment_by_block"],
        "commutators": ["Commutator", "relative_commutator"],
        "convention": ["Convention", "UnknownConvention", "convention_of", "minibatch_scale"],
        "covariance_arrays": ["CovarianceArray"],
        "eigenpairs": ["EigenPairs", "extreme_eigenvalues", "leading_eigenpairs"],
        "exact_traces": ["diagonal", "trace", "trace_of_product"],
        "factored": ["DiagonalCovariance", "FactoredCovariance"],
        "gradients": ["ArrayGradients", "ExampleGradients", "example_gradients"],
        "indicators": ["alignment", "escape_rate", "projection_coefficient", "trace_ratio"],
        "noise": [
            "GradientCovariance",
            "diffusion_covariance",
            "empirical_fisher",
            "gradient_covariance",
            "minibatch_covariance",
        ],
        "operators": ["PlacedOperator", "SymmetricOperator"],
        "spectral_density": ["lanczos_quadrature"],
        "stochastic_alignment": ["alignment_by_examples", "alignment_hutchinson"],
        "stochastic_traces": ["hutch_plus_plus", "hutchinson", "xtrace"],
        "structures": [
            "diagonal_part",
            "from_eigenpairs",
            "hessian_magnitude_part",
            "hessian_part",
            "isotropic_equivalent",
            "leading_part",
            "optimal_noise",
        ],
        "subspaces": ["captured_share", "principal_cosines", "subspace_overlap"],
    },
)
