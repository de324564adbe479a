"""Built-in drifts and potentials, on panels of paths."""

from aniso.arrays import (
    njit,
)
from aniso.langevin._kernels.panels import multiply_unpadded
from aniso.langevin._kernels.streams import KERNEL, LANES
from aniso.langevin._kernels.two_basin_loss import ROOT_TWO, basin_gradient, basin_loss


@njit(**KERNEL)
def quadratic_drift(theta, parameters, out):
    """Write ``-H theta``; parameters hold -H."""
    dimension = theta.shape[0]
    multiply_unpadded(parameters.reshape(dimension, dimension), theta, out)


@njit(**KERNEL)
def quadratic_potential(theta, parameters, out):
    """Write ``theta^T H theta / 2``; parameters hold -H."""
    dimension = theta.shape[0]
    for lane in range(LANES):
        out[lane] = 0.0
    for i in range(dimension):
        for j in range(dimension):
            entry = -0.5 * parameters[i * dimension + j]
            for lane in range(LANES):
                out[lane] += entry * theta[i, lane] * theta[j, lane]


@njit(**KERNEL)
def two_basin_drift(theta, parameters, out):
    """Write minus the mean gradient of the toy; parameters hold the data in rotated axes."""
    num_data = parameters.shape[0] // 2
    for lane in range(LANES):
        out[0, lane] = 0.0
        out[1, lane] = 0.0
    for i in range(num_data):
        a_datum, b_datum = parameters[i], parameters[num_data + i]
        for lane in range(LANES):
            a = (theta[0, lane] - theta[1, lane]) / ROOT_TWO - a_datum
            b = (theta[0, lane] + theta[1, lane]) / ROOT_TWO - b_datum
            g_a, g_b, _ = basin_gradient(a, b)
            out[0, lane] += g_a
            out[1, lane] += g_b
    scale = -1.0 / (num_data * ROOT_TWO)
    for lane in range(LANES):
        a, b = out[0, lane], out[1, lane]
        out[0, lane] = scale * (a + b)
        out[1, lane] = scale * (b - a)


@njit(**KERNEL)
def two_basin_potential(theta, parameters, out):
    """Write the mean loss of the toy over the data; parameters as in the drift."""
    num_data = parameters.shape[0] // 2
    for lane in range(LANES):
        out[lane] = 0.0
    for i in range(num_data):
        a_datum, b_datum = parameters[i], parameters[num_data + i]
        for lane in range(LANES):
            a = (theta[0, lane] - theta[1, lane]) / ROOT_TWO - a_datum
            b = (theta[0, lane] + theta[1, lane]) / ROOT_TWO - b_datum
            out[lane] += basin_loss(a, b) / num_data


@njit(**KERNEL)
def tabulated_drift(theta, parameters, out):
    """Write minus the derivative of a cubic spline; linear outside the table.

    parameters: left end, spacing, then four coefficients per interval, highest power first.
    """
    left, spacing = parameters[0], parameters[1]
    last = (parameters.shape[0] - 2) // 4 - 1
    for lane in range(LANES):
        x = min(max(theta[0, lane], left), left + (last + 1) * spacing)
        i = min(int((x - left) / spacing), last)
        u = x - (left + i * spacing)
        base = 2 + 4 * i
        slope = 3.0 * parameters[base] * u + 2.0 * parameters[base + 1]
        out[0, lane] = -(slope * u + parameters[base + 2])


@njit(**KERNEL)
def tabulated_potential(theta, parameters, out):
    """Write the cubic spline; linear outside the table."""
    left, spacing = parameters[0], parameters[1]
    last = (parameters.shape[0] - 2) // 4 - 1
    for lane in range(LANES):
        x = min(max(theta[0, lane], left), left + (last + 1) * spacing)
        i = min(int((x - left) / spacing), last)
        u = x - (left + i * spacing)
        base = 2 + 4 * i
        slope = 3.0 * parameters[base] * u + 2.0 * parameters[base + 1]
        value = (parameters[base] * u + parameters[base + 1]) * u + parameters[base + 2]
        value = value * u + parameters[base + 3]
        out[lane] = value + (slope * u + parameters[base + 2]) * (theta[0, lane] - x)


@njit(**KERNEL)
def no_potential(theta, parameters, out):  # noqa: ARG001
    """Write zero, where no potential is known."""
    for lane in range(LANES):
        out[lane] = 0.0


@njit(**KERNEL)
def no_drift(theta, parameters, out):  # noqa: ARG001
    """Write zero: Brownian motion."""
    for i in range(out.shape[0]):
        for lane in range(LANES):
            out[i, lane] = 0.0


@njit(**KERNEL)
def polynomial_drift(theta, parameters, out):
    """Write minus the derivative of a polynomial; parameters: its coefficients, c_0 first."""
    for lane in range(LANES):
        out[0, lane] = 0.0
    for k in range(parameters.shape[0] - 1, 0, -1):
        coefficient = k * parameters[k]
        for lane in range(LANES):
            out[0, lane] = out[0, lane] * theta[0, lane] - coefficient


@njit(**KERNEL)
def polynomial_potential(theta, parameters, out):
    """Write the polynomial; parameters: its coefficients, c_0 first."""
    for lane in range(LANES):
        out[lane] = 0.0
    for k in range(parameters.shape[0] - 1, -1, -1):
        for lane in range(LANES):
            out[lane] = out[lane] * theta[0, lane] + parameters[k]
