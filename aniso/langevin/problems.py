"""The stochastic differential equation ``d theta = -grad L dt + Sigma^{1/2} dW`` and its start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aniso import checks
from aniso.langevin import function_trials, functions, state_noises
from aniso.langevin._kernels import state_noise
from aniso.langevin.drifts import Drift
from aniso.langevin.noises import Noise
from aniso.langevin.walls import Walls, require_inside


@dataclass(frozen=True)
class LangevinProblem:
    """Drift, noise and starting point of an Ito equation.

    Parameters
    ----------
    drift : aniso.langevin.drifts.Drift
        ``-grad L``, made by a function of :mod:`aniso.langevin.drifts`.
    noise : aniso.langevin.noises.Noise
        ``Sigma^{1/2} dW``, made by a function of :mod:`aniso.langevin.noises`.
    start : array_like, shape (D,)
        theta of every path at time 0.
    walls : aniso.langevin.walls.Walls, optional
        Box with reflecting sides, made by :func:`aniso.langevin.walls.reflecting_box`.

    Raises
    ------
    InputError
        If the dimensions disagree, or the start lies outside the walls.

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
    walls: Walls | None = None

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
        checks.array("start", self.start, shape=(self.drift.dimension,))
        functions.hold_arrays(self, "start")
        if self.walls is not None:
            require_inside(self.walls, self.start)

    @property
    def dimension(self) -> int:
        """D."""
        return self.drift.dimension

    @property
    def is_linear(self) -> bool:
        """Whether drift and noise are those of a quadratic loss without walls: exact moments."""
        constant = self.noise.factor is not None and self.walls is None
        return constant and self.drift.hessian is not None


def broken_path(problem, failure, theta):
    """Return the error for the `failure` of a kernel: flag, path and step.

    Parameters
    ----------
    problem : LangevinProblem
    failure : numpy.ndarray, shape (3,)
    theta : numpy.ndarray, shape (D,)
        State of the path before that step.

    Returns
    -------
    NonFiniteState or InputError
    """
    flag, path, step = failure.tolist()
    if flag == state_noise.NOT_SEMIDEFINITE:
        return state_noises.not_semidefinite(problem.noise, theta, path, step)
    return NonFiniteState(path, step)


class NonFiniteState(ArithmeticError):
    """The state of a path is not finite any more, after step `step` of path `path`.

    The drift has produced a NaN, or the scheme is unstable at this step size.
    """

    def __init__(self, path: int, step: int) -> None:
        super().__init__(
            f"the state of path {path} is not finite after step {step}: the drift gave a number "
            "that is not finite, or the step size is too large for stability"
        )
        self.path = path
        self.step = step

    def __reduce__(self):
        return type(self), (self.path, self.step), self.__dict__


def require_own_component(noise, start, *, derivative):
    """Refuse an amplitude that mixes components or, with `derivative`, has a wrong derivative.

    Parameters
    ----------
    noise : aniso.langevin.noises.Noise
        Noise with an amplitude.
    start : numpy.ndarray, shape (D,)
        Point at which, and around which, the amplitude is tested.
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
    points = function_trials.points_around(start)
    arguments = (noise.amplitude, functions.PANEL_FUNCTION)
    function_trials.require_sound(
        "amplitude", *arguments, points, noise.parameters, num_rows=2 * size
    )
    # an irrational offset, so that no symmetric function hides its dependence
    width = 1e-4 * np.sqrt(2.0) * max(1.0, np.abs(start).max())
    shifts = width * np.eye(size)
    for number, point in enumerate(points):
        places = np.concatenate([[point], point + shifts, point - shifts])
        values = function_trials.evaluate(*arguments, places, noise.parameters, 2 * size)
        if number > 0 and not np.isfinite(values).all():
            continue  # outside of where the amplitude is defined
        here, right, left = values[:, 0], values[:, 1 : 1 + size], values[:, 1 + size :]
        moved = np.abs(right[:size] - here[:size, None]) > 1e-9 * np.abs(here[:size]).max()
        changed = moved & ~np.eye(size, dtype=bool)
        if changed.any():
            j = int(np.argwhere(changed)[0, 1])
            raise checks.InputError(
                f"amplitude of another component changes with theta[{j}]; expected g_i to "
                "depend on theta_i alone"
            )
        if derivative:
            slopes = (np.diag(right[:size]) - np.diag(left[:size])) / (2 * width)
            _require_derivative(slopes, here[:size], here[size:], point)


def _require_derivative(slopes, amplitude, given, point):
    scale = np.maximum(np.maximum(np.abs(slopes), np.abs(amplitude)), 1e-8)
    wrong = np.abs(slopes - given) > 1e-4 * scale
    if wrong.any():
        j = int(np.argmax(wrong))
        raise checks.InputError(
            f"amplitude has the derivative {given[j]:.6g} in theta[{j}] at {point.tolist()}, a "
            f"central difference gives {slopes[j]:.6g}; expected row D + i of out to hold "
            "dg_i/dtheta_i"
        )


def require_scheme(scheme, problem):
    """Return the scheme, after checking that it is meant for the noise and the walls of a problem.

    Parameters
    ----------
    scheme : aniso.langevin.schemes.Scheme
    problem : LangevinProblem

    Returns
    -------
    aniso.langevin.schemes.Scheme

    Raises
    ------
    InputError
        If not, or if the function of the noise fails its trial.
    """
    if scheme.name == "exact" and not problem.is_linear:
        raise checks.InputError(
            "scheme='exact' needs a quadratic loss with constant noise and no walls; expected "
            "another scheme, for instance 'euler_maruyama'"
        )
    if scheme.name != "euler_maruyama" and problem.walls is not None:
        raise checks.InputError(
            f"scheme={scheme.name!r} knows no walls; expected 'euler_maruyama', whose steps are "
            "mirrored"
        )
    if problem.noise.kind in state_noises.FORMS:
        if scheme.name != "euler_maruyama":
            raise checks.InputError(
                f"scheme={scheme.name!r} is not meant for noise whose {problem.noise.kind} depends "
                "on all of theta; expected 'euler_maruyama'"
            )
        state_noises.require_sound(problem.noise, problem.start)
        return scheme
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


def compiled_or_plain(problem):
    """Return a drift's functions as kernels take them, after trials at the start and around it.

    Parameters
    ----------
    problem : LangevinProblem
        Drift, noise and start.

    Returns
    -------
    tuple
        (drift function, potential function, whether both are compiled): pointers, or the plain
        functions for the slow path.

    Raises
    ------
    InputError
        If a function of the user fails its trial.
    """
    from aniso.langevin.drift_functions import no_potential

    drift = problem.drift
    potential = drift.potential or no_potential
    compiled = functions.is_compiled(drift.function)
    points = function_trials.points_around(problem.start)
    function_trials.require_sound(
        "drift",
        drift.function,
        functions.PANEL_FUNCTION,
        points,
        drift.parameters,
        num_rows=drift.dimension,
        compiled=compiled,
    )
    function_trials.require_sound(
        "potential",
        potential,
        functions.ROW_FUNCTION,
        points,
        drift.parameters,
        finite=False,
        compiled=compiled,
    )
    if not compiled:
        return drift.function, getattr(potential, "py_func", potential), False
    return (
        functions.pointer(drift.function, functions.PANEL_FUNCTION),
        functions.pointer(potential, functions.ROW_FUNCTION),
        True,
    )
