"""Noise and walls of a problem as kernels take them."""

from typing import NamedTuple

import numpy as np

from aniso.langevin import functions, noises, state_noises
from aniso.langevin._kernels import panels, state_noise


class NoiseArguments(NamedTuple):
    """Noise for kernels: form, factor, number of Wiener processes, functions and parameters.

    A constant factor is padded where it is full, and (D, 1) where the noise is diagonal. Noise that
    depends on theta has a factor of zeros with as many rows as its function writes.
    """

    form: int
    factor: np.ndarray
    rank: int
    amplitude: object
    parameters: np.ndarray
    increments: object


def of_noise(noise, scale=1.0):
    """Return the arguments of a noise.

    Parameters
    ----------
    noise : aniso.langevin.noises.Noise
    scale : float
        Number by which a constant full factor is multiplied.

    Examples
    --------
    >>> of_noise(noises.diagonal([4.0, 0.0])).factor.tolist()
    [[2.0], [0.0]]
    """
    function = functions.pointer(noise.amplitude or noises.no_amplitude, functions.PANEL_FUNCTION)
    parameters = np.zeros(0) if noise.parameters is None else noise.parameters
    if noise.factor is None:
        form = state_noises.FORMS.get(noise.kind, state_noise.OWN_COMPONENT)
        factor = np.zeros((state_noises.num_rows(noise), 1))
        increments = _increments(state_noise.increments_at_theta)
        return NoiseArguments(form, factor, noise.rank, function, parameters, increments)
    if noise.is_diagonal:
        factor = np.diag(noise.factor)[:, None].copy()
        form, rank = state_noise.DIAGONAL, noise.dimension
        increments = _increments(state_noise.no_increments)
        return NoiseArguments(form, factor, rank, function, parameters, increments)
    factor = panels.padded(noise.factor if scale == 1.0 else scale * noise.factor)
    form, rank = state_noise.FULL, noise.factor.shape[1]
    increments = _increments(state_noise.full_increments)
    return NoiseArguments(form, factor, rank, function, parameters, increments)


def _increments(function):
    return functions.pointer(function, functions.NOISE_FUNCTION)


def of_walls(walls):
    """Return the ends of reflecting walls, shape (2, D); (2, 0) where there are none.

    Examples
    --------
    >>> of_walls(None).shape
    (2, 0)
    """
    return np.zeros((2, 0)) if walls is None else walls.ends
