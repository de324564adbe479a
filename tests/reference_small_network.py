"""The searched networks and matrices of Propositions 1 to 3, written plainly for autograd.

Nothing is shared with `aniso`: no derivative is written out.
"""

import autograd.numpy as anp
import numpy as np


def quantities(x, loss, vector):
    """Quantities of the 2-4-1 network on 12 examples, with the direction u given.

    ``fisher, covariance, mean share, weight ratio, active fraction`` at parameters and inputs x.
    """
    weights, biases = anp.reshape(x[:8], (4, 2)), x[8:12]
    inputs = anp.reshape(x[12:], (12, 2))
    signs, labels = np.array([1.0, 1.0, -1.0, -1.0]), np.arange(12) % 2
    z = anp.dot(inputs, weights.T) + biases
    outputs = anp.dot(z * (z > 0), signs)
    slopes, curvatures, ratios, active = derivatives(outputs, labels, loss)
    rows = anp.concatenate([inputs, np.ones((12, 1))], axis=1)
    jacobian = anp.reshape(((z > 0) * signs)[:, :, None] * rows[:, None, :], (12, 12))
    hessian = anp.dot(jacobian.T, curvatures[:, None] * jacobian) / 12
    fisher = anp.dot(jacobian.T, slopes[:, None] ** 2 * jacobian) / 12
    gradient = anp.dot(jacobian.T, slopes) / 12
    covariance = fisher - anp.outer(gradient, gradient)
    # the derivative of u: one Newton step on (H - lambda) u = 0, |u| = 1 is exact to first order
    u = refined(hessian, vector)
    share = anp.trace(hessian) / anp.dot(u, anp.dot(hessian, u))
    return anp.array(
        [
            anp.dot(u, anp.dot(fisher, u)) * share / anp.trace(fisher),
            anp.dot(u, anp.dot(covariance, u)) * share / anp.trace(covariance),
            anp.dot(u, gradient) ** 2 * share / anp.trace(covariance),
            anp.min(ratios[active]) / anp.max(ratios[active]),
            1.0 * active.mean(),
        ]
    )


def refined(matrix, vector):
    """One Newton step for an eigenvector, from an exact one that does not depend on the matrix."""
    size = len(vector)
    eigenvalue = anp.dot(vector, anp.dot(matrix, vector))
    residual = anp.dot(matrix, vector) - eigenvalue * vector
    top = anp.concatenate([matrix - eigenvalue * np.eye(size), -vector[:, None]], axis=1)
    bottom = np.append(-vector, 0.0)[None]
    system = anp.concatenate([top, bottom], axis=0)
    step = anp.linalg.solve(system, anp.concatenate([-residual, np.zeros(1)]))
    moved = vector + step[:size]
    return moved / anp.sqrt(anp.dot(moved, moved))


def derivatives(outputs, labels, loss):
    """Slopes, curvatures and w_i of the losses in the outputs, and who is active."""
    if loss == "logistic":
        signs = 1 - 2 * labels
        probability = 1 / (1 + anp.exp(-signs * outputs))
        everyone = np.ones(12, dtype=bool)
        return (
            signs * probability,
            probability * (1 - probability),
            anp.exp(signs * outputs),
            everyone,
        )
    active = (outputs > 1e-3) & (outputs < 1 - 1e-3)
    residuals = outputs - labels
    return 2 * residuals * active, 2.0 * active, 2 * residuals**2, active


def leading_vector(x, loss):
    """Unit eigenvector of the largest eigenvalue of H at x, a constant."""
    weights, biases, inputs = x[:8].reshape(4, 2), x[8:12], x[12:].reshape(12, 2)
    z = inputs @ weights.T + biases
    signs = np.array([1.0, 1.0, -1.0, -1.0])
    _, curvatures, _, _ = derivatives((z * (z > 0)) @ signs, np.arange(12) % 2, loss)
    rows = np.c_[inputs, np.ones(12)]
    jacobian = np.array([np.outer((z[i] > 0) * signs, rows[i]).ravel() for i in range(12)])
    return np.linalg.eigh(jacobian.T @ (curvatures[:, None] * jacobian) / 12)[1][:, -1]


def sides(x, caps):
    """Trace ratio, projection coefficient and Tr H of a diagonal H and any Sigma."""
    size = len(caps) + 1
    eigenvalues = anp.concatenate((anp.ones(1), caps / (1 + anp.exp(-x[: size - 1]))))
    factor = anp.reshape(x[size - 1 :], (size, size))
    covariance, trace = anp.dot(factor.T, factor), anp.sum(eigenvalues)
    aligned = anp.sum(eigenvalues * anp.diag(covariance))
    total = anp.trace(covariance)
    return anp.array([size * aligned / (trace * total), covariance[0, 0] * trace / total, trace])
