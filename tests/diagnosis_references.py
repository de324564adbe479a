"""The numbers of a diagnosis from dense matrices, by NumPy alone."""

import numpy as np


def batch_factor(count, size, replacement):
    """Variance of a batch mean over that of one example."""
    return 1 / size if replacement else (count - size) / (size * (count - 1))


def expected(losses, rows, hessian, *, size, replacement, rate, num_pairs, parts):
    """Readings by name from losses (N,), gradients (N, D) and H (D, D)."""
    count, dimension = rows.shape
    mean = rows.mean(axis=0)
    covariance = (rows - mean).T @ (rows - mean) / count
    factor = batch_factor(count, size, replacement)
    values, vectors = np.linalg.eigh(hessian)
    top, basis = vectors[:, -1], vectors[:, -num_pairs:]
    square, noise = mean @ mean, np.trace(covariance)
    along, joint = mean @ hessian @ mean, np.trace(hessian @ covariance)
    inner = sum(np.trace(hessian[p, p] @ covariance[p, p]) for p in parts.values())
    return {
        "loss": losses.mean(),
        "gradient_norm": np.sqrt(square),
        "covariance_trace": noise,
        "noise_scale": noise / square,
        "elementwise_noise_scale": (np.sqrt(np.diag(covariance)).sum() / np.abs(mean).sum()) ** 2,
        "gradient_signal": square / (square + factor * noise),
        "leading_eigenvalue": values[-1],
        "hessian_trace": np.trace(hessian),
        "alignment": joint,
        "trace_ratio": dimension * joint / (np.trace(hessian) * noise),
        "projection_coefficient": top @ covariance @ top * np.trace(hessian) / (values[-1] * noise),
        "curvature_noise_scale": joint / along,
        "loss_change": -rate * square + rate**2 / 2 * (along + factor * joint),
        "gradient_share": np.sum((basis.T @ mean) ** 2) / square,
        "noise_share": np.trace(basis.T @ covariance @ basis) / noise,
        "directional_sharpness": along / square,
        "between_blocks": 1 - inner / joint,
        "spectral_density": np.mean(values < -1e-12),
        "hessian_rank": np.trace(hessian) ** 2 / np.sum(hessian**2),
        "noise_rank": noise**2 / np.sum(covariance**2),
    }
