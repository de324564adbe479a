"""The stochastic differential equation ``d theta = -grad L dt + Sigma^{1/2} dW`` and its start."""

from dataclasses import dataclass

import numpy as np

from aniso import checks
from aniso.langevin import functions, streams
from aniso.langevin.drifts import Drift
from aniso.langevin.noises import Noise


@dataclass(frozen=True)
class LangevinProblem:
    """Drift, noise and starting point of an Ito equation.

    Parameters
    ----------
    drift : aniso.langevin.drifts.Drift
    noise : aniso.langevin.noises.Noise
    start : array_like, shape (D,)
        Where every path begins.

    Raises
    ------
    InputError
        If the dimensions disagree.

    Examples
    --------
    >>> from aniso.langevin import drifts, noises
    >>> problem = LangevinProblem(drifts.of_quadratic(np.eye(2)), noises.diagonal([1, 1]), [0, 0])
    >>> problem.is_linear
    True
    """

    drift: Drift
    noise: Noise
    start: np.ndarray

    def __post_init__(self):
        if not isinstance(self.drift, Drift) or not isinstance(self.noise, Noise):
            raise checks.InputError(
                "expected a drift from aniso.langevin.drifts and a noise from aniso.langevin.noises"
            )
        if self.drift.dimension != self.noise.dimension:
            raise checks.InputError(
                f"the drift has dimension {self.drift.dimension} and the noise "
                f"{self.noise.dimension}; expected the same"
            )
        start = checks.array("start", self.start, shape=(self.drift.dimension,))
        object.__setattr__(self, "start", np.ascontiguousarray(start))

    @property
    def dimension(self):
        """D."""
        return self.drift.dimension

    @property
    def is_linear(self):
        """Whether the drift is linear and the noise constant, so that moments are exact."""
        return self.drift.hessian is not None and self.noise.factor is not None


class NonFiniteState(ArithmeticError):
    """A path whose state stopped being finite; `path` and `step` say where.

    The drift has produced a NaN, or the scheme is unstable at this step size.
    """

    def __init__(self, path, step):
        super().__init__(
            f"the state of path {path} is not finite after step {step}: the drift gave a number "
            "that is not finite, or the step size is too large for stability"
        )
        self.path = path
        self.step = step

    def __reduce__(self):
        return type(self), (self.path, self.step), self.__dict__


def require_own_component(noise, start, *, derivative):
    """Refuses an amplitude that mixes components or, if asked, has a wrong derivative.

    Parameters
    ----------
    noise : aniso.langevin.noises.Noise
        With an amplitude.
    start : numpy.ndarray, shape (D,)
        Where the amplitude is probed.
    derivative : bool
        Whether to check the derivative too.

    Raises
    ------
    InputError
        If g_i changes with another component of theta, or if the derivative disagrees with a
        central difference by more than 1e-4 of its scale.

    Examples
    --------
    >>> from aniso.langevin import noises
    >>> require_own_component(noises.proportional([0.5]), np.ones(1), derivative=True)
    """
    size = noise.dimension
    source = getattr(noise.amplitude, "py_func", noise.amplitude)

    def amplitude(point):
        panel = np.repeat(point[:, None], streams.LANES, axis=1)
        out = np.zeros((2 * size, streams.LANES))
        source(panel, noise.parameters, out)
        return out[:, 0]

    # an irrational offset, so that no symmetric function hides its dependence
    width = 1e-4 * np.sqrt(2.0) * max(1.0, np.abs(start).max())
    here = amplitude(start)
    for j in range(size):
        shift = np.zeros(size)
        shift[j] = width
        right, left = amplitude(start + shift), amplitude(start - shift)
        others = np.arange(size) != j
        if (right[:size] != here[:size])[others].any():
            raise checks.InputError(
                f"amplitude of another component changes with theta[{j}]; expected g_i to "
                "depend on theta_i alone"
            )
        slope, given = (right[j] - left[j]) / (2 * width), here[size + j]
        if derivative and abs(slope - given) > 1e-4 * max(abs(slope), abs(here[j]), 1e-8):
            raise checks.InputError(
                f"amplitude has the derivative {given:.6g} in theta[{j}] at the start, a central "
                f"difference gives {slope:.6g}; expected row D + i of out to hold dg_i/dtheta_i"
            )


def require_scheme(scheme, problem):
    """The scheme, after checking that it is meant for this form of noise.

    Raises
    ------
    InputError
        If not.
    """
    if scheme.name == "exact" and not problem.is_linear:
        raise checks.InputError(
            "scheme='exact' needs a quadratic loss with constant noise; expected another scheme, "
            "for instance 'sra1'"
        )
    if problem.noise.factor is None:
        if scheme.strong_order_diagonal is None:
            raise checks.InputError(
                f"scheme={scheme.name!r} is meant for constant noise; expected 'milstein', "
                "'stochastic_heun' or 'euler_maruyama' where the noise depends on theta"
            )
        require_own_component(
            problem.noise, problem.start, derivative=scheme.name != "euler_maruyama"
        )
    return scheme


def compiled_or_plain(drift):
    """Pointers of a drift's functions for the kernel, or the plain functions for the slow path.

    Returns
    -------
    tuple
        (drift function, potential function, whether both are compiled).
    """
    from aniso.langevin.drift_functions import no_potential

    potential = drift.potential or no_potential
    if not functions.is_compiled(drift.function):
        return drift.function, getattr(potential, "py_func", potential), False
    return (
        functions.pointer(drift.function, functions.PANEL_FUNCTION),
        functions.pointer(potential, functions.ROW_FUNCTION),
        True,
    )
