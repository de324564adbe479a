"""Problems: a mean loss over examples, and its local geometry at one theta.

:class:`Problem` is the concept; :meth:`Problem.at` returns the :class:`LocalGeometry`.

============================  ====================================================================
a loss or model of your own   `AutogradProblem`, `AutogradModel`, `Problem`
losses of outputs             `SquaredLoss`, `ClippedSquaredLoss`, `LogisticLoss`,
                              `SoftmaxCrossEntropy`
toys                          `quadratic_problem`, `noise_rows`, `two_basin_problem`,
                              `two_basin_data`
from values of the loss       `directional_sharpness`, `critical_sharpness`
errors from the examples      `jackknife_over_examples`, `jackknife_error`
refusals                      `require_problem`, `MissingFaculty`, `LossFailed`, `FACULTIES`
============================  ====================================================================

>>> from aniso import problems
>>> bowl = problems.quadratic_problem([[2.0]], [0.0], [[1.0], [-1.0]])
>>> at = bowl.at([3.0])
>>> at.gradient, at.hessian.trace(), at.noise.trace()
(array([6.]), 2.0, 1.0)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "activations",
        "autograd_model",
        "autograd_problem",
        "derivative_check",
        "jackknife",
        "link_functions",
        "local_geometry",
        "losses",
        "mean_squared_loss",
        "problem",
        "problem_checks",
        "quadratic",
        "second_difference",
        "two_basin",
        "update_sharpness",
    ],
    submod_attrs={
        "autograd_model": ["AutogradModel"],
        "autograd_problem": ["AutogradProblem"],
        "jackknife": ["jackknife_error", "jackknife_over_examples"],
        "local_geometry": ["LocalGeometry"],
        "losses": ["ClippedSquaredLoss", "LogisticLoss", "SoftmaxCrossEntropy", "SquaredLoss"],
        "mean_squared_loss": ["MeanSquaredLoss"],
        "problem": ["FACULTIES", "MissingFaculty", "Problem", "require_problem"],
        "problem_checks": ["LossFailed"],
        "quadratic": ["noise_rows", "quadratic_problem"],
        "second_difference": ["directional_sharpness"],
        "update_sharpness": ["CriticalSharpness", "critical_sharpness"],
        "two_basin": ["two_basin_data", "two_basin_problem"],
    },
)
