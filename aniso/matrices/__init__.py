"""Curvature and noise as matrices: arrays or linear operators of any framework.

==========================  ====================================================================
gradients, covariances      `gradient_covariance`, `empirical_fisher`, `minibatch_covariance`,
                            `diffusion_covariance`, `example_gradients`
alignment                   `alignment`, `trace_ratio`, `projection_coefficient`, `escape_rate`,
                            `alignment_by_block`, `relative_commutator`
in the Frobenius product    `frobenius_alignment`, `frobenius_norm`,
                            `cosine_alignment_hutchinson`
parameter by parameter      `noise_power_laws`, `fit_power_law`
subspaces                   `subspace_overlap`, `principal_cosines`, `captured_share`,
                            `leading_shares`
one step of SGD             `expected_loss_change`, `minibatch_regulariser`,
                            `label_noise_regulariser`, `label_noise_regulariser_estimated`
noise scales                `simple_noise_scale`, `curvature_noise_scale`,
                            `elementwise_noise_scale`, `noise_scale_of_batches`
eigenvalues                 `leading_eigenpairs`, `leading_space`, `extreme_eigenvalues`
spectra                     `lanczos_quadrature`, `density_of_eigenvalues`,
                            `outliers_beyond_bulk`, `outliers_beyond_noise`,
                            `marchenko_pastur_density`, `marchenko_pastur_edges`
traces with an error bar    `estimate_alignment`, `alignment_deflated`, `alignment_hutchinson`,
                            `alignment_by_examples`, `estimate_alignment_by_block`,
                            `estimate_trace_ratio`, `estimate_projection_coefficient`,
                            `trace_deflated`, `hutchinson`, `hutch_plus_plus`, `xtrace`;
                            of one space `draw_probes`, `trace_beyond`, `block_traces_beyond`,
                            `alignment_beyond`
noise of equal trace        `isotropic_equivalent`, `diagonal_part`, `leading_part`,
                            `hessian_part`, `hessian_magnitude_part`, `optimal_noise`
conventions                 `convention_of`, `minibatch_scale`, `dense_covariance`
checks of many calls        `checked_covariance`, `checked_symmetric`
operators                   `SymmetricOperator`, `GradientCovariance`, `FactoredCovariance`,
                            `DiagonalCovariance`, `from_eigenpairs`, `unit_columns`
Hessians of the examples    `example_curvatures`, `curvatures_from_factors`,
                            `curvatures_from_kernel`
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
        "block_compressions",
        "centred_squares",
        "convention",
        "covariance_arrays",
        "curvature_factors",
        "curvature_span",
        "curvatures",
        "deflated_traces",
        "eigenpairs",
        "estimated_blocks",
        "estimated_indicators",
        "exact_traces",
        "factored",
        "frobenius",
        "gradients",
        "implicit_regularisers",
        "indicators",
        "krylov_space",
        "marchenko_pastur",
        "noise",
        "noise_power_law",
        "noise_scale_batches",
        "noise_scales",
        "one_step_loss",
        "operands",
        "operators",
        "shares",
        "space_traces",
        "spectral_density",
        "spectral_outliers",
        "stochastic_alignment",
        "stochastic_traces",
        "structures",
        "subspaces",
        "trace_estimate",
    ],
    submod_attrs={
        "block_alignment": ["BlockAlignment", "alignment_by_block"],
        "convention": ["Convention", "UnknownConvention", "convention_of", "minibatch_scale"],
        "checked": ["checked_covariance", "checked_symmetric"],
        "covariance_arrays": ["CovarianceArray"],
        "curvature_span": ["CurvatureSpan"],
        "curvatures": ["ExampleCurvatures"],
        "curvature_factors": [
            "curvatures_from_factors",
            "curvatures_from_kernel",
            "example_curvatures",
        ],
        "deflated_traces": ["alignment_deflated", "trace_deflated"],
        "eigenpairs": ["EigenPairs", "extreme_eigenvalues", "leading_eigenpairs"],
        "estimated_blocks": ["BlockAlignmentEstimate", "estimate_alignment_by_block"],
        "estimated_indicators": ["estimate_projection_coefficient", "estimate_trace_ratio"],
        "factored": ["DiagonalCovariance", "FactoredCovariance"],
        "frobenius": [
            "FrobeniusAlignment",
            "cosine_alignment_hutchinson",
            "frobenius_alignment",
            "frobenius_norm",
        ],
        "gradients": ["ArrayGradients", "ExampleGradients", "example_gradients"],
        "implicit_regularisers": [
            "label_noise_regulariser",
            "label_noise_regulariser_estimated",
            "minibatch_regulariser",
        ],
        "indicators": [
            "Commutator",
            "alignment",
            "escape_rate",
            "projection_coefficient",
            "relative_commutator",
            "trace_ratio",
        ],
        "krylov_space": ["LeadingSpace", "leading_space"],
        "marchenko_pastur": ["marchenko_pastur_density", "marchenko_pastur_edges"],
        "noise": [
            "GradientCovariance",
            "diffusion_covariance",
            "empirical_fisher",
            "gradient_covariance",
            "minibatch_covariance",
        ],
        "noise_power_law": ["BlockPowerLaws", "PowerLaw", "fit_power_law", "noise_power_laws"],
        "noise_scale_batches": ["noise_scale_of_batches"],
        "noise_scales": [
            "NoiseScale",
            "curvature_noise_scale",
            "elementwise_noise_scale",
            "simple_noise_scale",
        ],
        "one_step_loss": ["LossChange", "expected_loss_change"],
        "operands": ["dense_covariance", "unit_columns"],
        "operators": ["PlacedOperator", "SymmetricOperator"],
        "shares": ["LeadingShares", "leading_shares"],
        "space_traces": [
            "Probes",
            "SpaceAlignment",
            "alignment_beyond",
            "block_traces_beyond",
            "draw_probes",
            "trace_beyond",
        ],
        "spectral_density": ["SpectralDensity", "density_of_eigenvalues", "lanczos_quadrature"],
        "spectral_outliers": ["SpectralOutliers", "outliers_beyond_bulk", "outliers_beyond_noise"],
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
