"""Slow, obvious references of aniso.matrices: loops, enumeration, numerical integration.

Nothing here imports aniso.
"""

import itertools

import numpy as np
import scipy.integrate
import scipy.linalg


def random_symmetric(rng, dimension):
    """Symmetric matrix with eigenvalues of both signs."""
    matrix = rng.standard_normal((dimension, dimension))
    return matrix + matrix.T


def random_positive(rng, dimension, *, rank=None):
    """Positive semi-definite matrix of the given rank (full if not given)."""
    factor = rng.standard_normal((dimension, dimension if rank is None else rank))
    return factor @ factor.T / dimension


def with_spectrum(rng, eigenvalues):
    """Symmetric matrix with the given eigenvalues in random directions."""
    basis = np.linalg.qr(rng.standard_normal((len(eigenvalues), len(eigenvalues))))[0]
    return basis @ np.diag(eigenvalues) @ basis.T


def symmetrised(matrix):
    return (matrix + matrix.T) / 2


def covariance_by_loops(gradients, *, centred=True):
    """Second moment of rows by a double loop over parameters and examples."""
    num_examples, dimension = gradients.shape
    mean = [sum(gradients[:, j]) / num_examples if centred else 0.0 for j in range(dimension)]
    result = np.zeros((dimension, dimension))
    for a in range(dimension):
        for b in range(dimension):
            for row in gradients:
                result[a, b] += (row[a] - mean[a]) * (row[b] - mean[b]) / num_examples
    return result


def batch_covariance_by_enumeration(gradients, batch_size, *, replacement):
    """Covariance of the batch mean over every batch that can be drawn, all equally likely."""
    indices = range(len(gradients))
    if replacement:
        batches = list(itertools.product(indices, repeat=batch_size))
    else:
        batches = list(itertools.combinations(indices, batch_size))
    means = np.array([gradients[list(batch)].mean(axis=0) for batch in batches])
    deviations = means - gradients.mean(axis=0)
    return deviations.T @ deviations / len(batches)


def diffusion_covariance_by_van_loan(hessian, covariance, time):
    """Covariance of the diffusion from one block matrix exponential (Van Loan 1978)."""
    dimension = len(hessian)
    block = np.zeros((2 * dimension, 2 * dimension))
    block[:dimension, :dimension] = hessian
    block[:dimension, dimension:] = covariance
    block[dimension:, dimension:] = -hessian
    exponential = scipy.linalg.expm(block * time)
    return exponential[dimension:, dimension:].T @ exponential[:dimension, dimension:]


def diffusion_covariance_by_integration(hessian, covariance, time):
    """Covariance of the diffusion from dC/dt = Sigma - HC - CH, C_0 = 0."""
    dimension = len(hessian)

    def slope(_, flat):
        current = flat.reshape(dimension, dimension)
        return (covariance - hessian @ current - current @ hessian).ravel()

    solution = scipy.integrate.solve_ivp(
        slope, (0, time), np.zeros(dimension**2), method="DOP853", rtol=1e-11, atol=1e-13
    )
    return solution.y[:, -1].reshape(dimension, dimension)


def chain_covariance_by_recursion(hessian, covariance, learning_rate, num_steps):
    """Covariance of the chain from its recursion C <- A C A + eta^2 S."""
    step = np.eye(len(hessian)) - learning_rate * hessian
    result = np.zeros_like(hessian)
    for _ in range(num_steps):
        result = step @ result @ step + learning_rate**2 * covariance
    return result


def curvature_by_loops(jacobians, weights):
    """``(1/N) sum_i J_i^T S_i J_i`` by loops over examples and outputs."""
    num_examples, num_outputs, dimension = jacobians.shape
    result = np.zeros((dimension, dimension))
    for example in range(num_examples):
        for a in range(num_outputs):
            for b in range(num_outputs):
                outer = np.outer(jacobians[example, a], jacobians[example, b])
                result += weights[example, a, b] * outer / num_examples
    return result


def xtrace_by_separate_decompositions(matrix, vectors):
    """The leave-one-out estimates of XTrace with one QR decomposition each."""
    dimension, num_vectors = vectors.shape
    estimates = []
    for left_out in range(num_vectors):
        others = np.delete(np.arange(num_vectors), left_out)
        basis = np.linalg.qr(matrix @ vectors[:, others])[0]
        projector = np.eye(dimension) - basis @ basis.T
        probe = projector @ vectors[:, left_out]
        probe *= np.sqrt(dimension - num_vectors + 1) / np.linalg.norm(probe)
        estimates.append(np.trace(basis.T @ matrix @ basis) + probe @ matrix @ probe)
    return np.array(estimates)
