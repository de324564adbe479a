"""Cases of pickling: results of the quantities of matrices, problems and runs."""

import numpy as np

from aniso import descent, diagnostics, matrices, problems
from aniso.diagnostics import Diagnosis, Reading

ROWS = np.array([[1.0, 0.0], [3.0, 1.0], [2.0, -1.0], [4.0, 1.5]]) + 9.0
HESSIAN = np.array([[2.0, 0.5], [0.5, 1.0]])


def exact_outliers():
    spectrum = np.array([0.0, 0.1, 0.2, 5.0])
    density = matrices.density_of_eigenvalues(spectrum, width=0.1)
    return matrices.outliers_beyond_bulk(spectrum, density)


# by name: how the object is made, and what is asked of it
QUANTITIES = {
    "loss change": (
        lambda: matrices.expected_loss_change([1.0, 2.0], HESSIAN, HESSIAN, 0.1),
        lambda made: made.total,
    ),
    "noise scale": (
        lambda: matrices.curvature_noise_scale(ROWS, HESSIAN),
        lambda made: [*made.interval(), made.of_examples],
    ),
    "leading shares": (
        lambda: matrices.leading_shares(
            [1.0, 2.0], HESSIAN, matrices.leading_eigenpairs(HESSIAN, 2)
        ),
        lambda made: made.noise,
    ),
    "Frobenius alignment": (
        lambda: matrices.frobenius_alignment(HESSIAN, np.eye(2)),
        lambda made: made.cosine,
    ),
    "power laws": (
        lambda: matrices.noise_power_laws(np.diag(np.arange(1.0, 13)), np.eye(12)),
        lambda made: made["theta"].high,
    ),
    "spectral outliers": (exact_outliers, lambda made: made.values),
    "critical sharpness": (
        lambda: problems.critical_sharpness(
            problems.quadratic_problem(HESSIAN, [0.0, 0.0], ROWS), [1.0, 2.0]
        ),
        lambda made: made.sharpness,
    ),
    "diagnosis": (
        lambda: Diagnosis({"loss": Reading("loss", 2.0)}, {"rank": "absent"}, seconds=1.5),
        lambda made: [made["loss"].value, len(made.refused), made.seconds],
    ),
    "reading": (lambda: Reading("loss", 2.0, {"probes": 0.5}), lambda made: made.standard_error),
    "record of a run": (
        lambda: diagnostics.RunRecord({3: Diagnosis({"loss": Reading("loss", 2.0)})}),
        lambda made: made.series("loss").values,
    ),
    "series of a run": (
        lambda: diagnostics.Series("loss", np.arange(2), np.ones(2), np.zeros(2)),
        lambda made: made.steps,
    ),
    "estimate of a trace": (
        lambda: matrices.estimate_alignment(HESSIAN, HESSIAN, np.random.default_rng(0)),
        lambda made: [made.value, *made.interval()],
    ),
    "estimates by block": (
        lambda: matrices.estimate_alignment_by_block(
            HESSIAN, HESSIAN, np.random.default_rng(0), {"a": slice(0, 1), "b": slice(1, 2)}
        ),
        repr,
    ),
    "mean squared loss": (problems.MeanSquaredLoss, lambda made: made(ROWS, 0 * ROWS)),
    "quantity of a diagnosis": (
        lambda: diagnostics.QUANTITIES["alignment"],
        lambda made: f"{made.tier}: {made.formula}",
    ),
    "state of an optimizer": (
        lambda: diagnostics.OptimizerState("own", 0.5, preconditioner=[1.0, 2.0]),
        lambda made: [made.limit(0.1), *made.preconditioner],
    ),
    "plan of a diagnosis": (
        lambda: diagnostics.Plan({"loss": 0.5}, {"loss": 8.0}, {"product": 0.1}, 2),
        lambda made: [made.total_seconds, made.peak_bytes],
    ),
    "stationarity test": (
        lambda: descent.stationarity_test(np.tile([0.9, 1.1], 100), np.full(200, 20.0), 0.1),
        lambda made: made.high,
    ),
}
