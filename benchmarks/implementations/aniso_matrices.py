"""Tr(H Sigma) and the trace ratio of two arrays, which are checked first."""

from aniso import matrices
from benchmarks.implementations.plain_matrices import pair


def checked(size):
    """The quantities of arrays."""
    hessian, covariance = pair(size)
    return {
        "trace_ratio": lambda: matrices.trace_ratio(hessian, covariance),
        "alignment": lambda: matrices.alignment(hessian, covariance),
    }
