"""Curvature and noise as matrices: arrays or linear operators of any framework.

==========================  ====================================================================
gradients, covariances      `gradient_covariance`, `empirical_fisher`, `minibatch_covariance`,
                            `diffusion_covariance`, `example_gradients`
alignment                   `alignment`, `trace_ratio`, `projection_coefficient`, `escape_rate`,
                            `alignment_by_block`, `relative_commutator`
subspaces                   `subspace_overlap`, `principal_cosines`, `captured_share`
eigenvalues                 `leading_eigenpairs`, `extreme_eigenvalues`, `lanczos_quadrature`
traces with an error bar    `estimate_alignment`, `alignment_deflated`, `alignment_hutchinson`,
                            `alignment_by_examples`, `estimate_alignment_by_block`,
                            `estimate_trace_ratio`, `estimate_projection_coefficient`,
                            `trace_deflated`, `hutchinson`, `hutch_plus_plus`, `xtrace`
noise of equal trace        `isotropic_equivalent`, `diagonal_part`, `leading_part`,
                            `hessian_part`, `hessian_magnitude_part`, `optimal_noise`
operators                   `SymmetricOperator`, `GradientCovariance`, `FactoredCovariance`,
                            `DiagonalCovariance`
==========================  ====================================================================

>>> import numpy as np
>>> from aniso import matrices
>>> matrices.alignment(np.diag([4.0, 1.0]), np.diag([2.0, 0.0]))
8.0
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "block_alignment",
        "centred_squares",
        "convention",
        "covariance_arrays",
        "deflated_traces",
        "eigenpairs",
        "estimated_blocks",
        "estimated_indicators",
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
        "trace_estimate",
    ],
    submod_attrs={
        "block_alignment": ["BlockAlignment", "alignment_by_block"],
        "convention": ["Convention", "UnknownConvention", "convention_of", "minibatch_scale"],
        "covariance_arrays": ["CovarianceArray"],
        "deflated_traces": ["alignment_deflated", "trace_deflated"],
        "eigenpairs": ["EigenPairs", "extreme_eigenvalues", "leading_eigenpairs"],
        "estimated_blocks": ["BlockAlignmentEstimate", "estimate_alignment_by_block"],
        "estimated_indicators": ["estimate_projection_coefficient", "estimate_trace_ratio"],
        "factored": ["DiagonalCovariance", "FactoredCovariance"],
        "gradients": ["ArrayGradients", "ExampleGradients", "example_gradients"],
        "indicators": [
            "Commutator",
            "alignment",
            "escape_rate",
            "projection_coefficient",
            "relative_commutator",
            "trace_ratio",
        ],
        "noise": [
            "GradientCovariance",
            "diffusion_covariance",
            "empirical_fisher",
            "gradient_covariance",
            "minibatch_covariance",
        ],
        "operands": ["dense_covariance", "unit_columns"],
        "operators": ["PlacedOperator", "SymmetricOperator"],
        "spectral_density": ["lanczos_quadrature"],
        "stochastic_alignment": [
            "alignment_by_examples",
            "alignment_hutchinson",
            "estimate_alignment",
        ],
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
        "trace_estimate": ["TraceEstimate"],
    },
)
