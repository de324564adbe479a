"""Quantities recorded along a run: a registry by name.

A quantity is a function ``(at, plan, rng) -> dict`` of numbers or arrays by name, of the
:class:`aniso.problems.LocalGeometry` at an iterate, the :class:`Measurements` and a generator.
Sigma_1 is the centred covariance of one example's gradient;
:func:`aniso.matrices.convention.minibatch_scale` is the factor to the covariance of a mini-batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from aniso import checks
from aniso.arrays import transfer
from aniso.descent._labels import accuracy, require_labels
from aniso.descent.sharpness import expected_sharpness, require_pairs
from aniso.estimates import NotConverged
from aniso.matrices import eigenpairs, exact_traces
from aniso.problems import local_geometry, require_problem

if TYPE_CHECKING:
    from aniso.problems import Problem
    from aniso.typing import ArrayLike


_LANCZOS_BLOCK = 8
_EIGEN_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Measurements:
    """Quantities to record, and the steps at which they are recorded.

    Attributes
    ----------
    steps : tuple of int
        Iterations t at which theta_t is measured; 0 is the start, num_steps the end.
    quantities : tuple of str
        Names of the table below; "loss" is always recorded.
    test_problem : problems.Problem or None
        The same network on test data, for "test".
    radius, num_draws : float, int
        Of "sharpness", see :func:`aniso.descent.sharpness.expected_sharpness`.
    groups : mapping of str to problems.Problem
        The same network on groups of examples, for "groups": those with clean labels, say. None
        is called "test" where "test" is recorded too.
    origin : array_like, shape (D,), or None
        Point from which "distance" is measured. Copied.

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Notes
    -----
    Sigma_1 is the covariance of one example's gradient. Names that begin with "layer" are there for
    a problem with blocks.

    ================  ==============================================================================
    quantity          names in the records
    ================  ==============================================================================
    "loss"            loss
    "accuracy"        accuracy
    "test"            test_loss, test_accuracy
    "groups"          NAME_loss, NAME_accuracy for every NAME of `groups`
    "distance"        distance, the Euclidean norm of theta - origin
    "gradient_norm"   gradient_norm
    "noise"           example_noise_trace, Tr Sigma_1
    "curvature"       hessian_trace, example_noise_trace, alignment Tr(H Sigma_1),
                      isotropic_alignment Tr H Tr Sigma_1 / D, trace_ratio of the two,
                      layer_alignment, layer_isotropic_alignment, layer_hessian_trace,
                      layer_noise_trace
    "alignment"       estimated_alignment, an estimate of Tr(H Sigma_1) to 1 % from some twenty
                      Hessian products, estimated_alignment_error, estimated_alignment_products
    "leading"         leading_eigenvalue, leading_residual, projection_coefficient, hessian_trace,
                      example_noise_trace
    "sharpness"       expected_sharpness, expected_sharpness_error
    "stationarity"    position_gradient theta . g, gradient_square_norm, example_noise_trace, for
                      :func:`aniso.descent.stationarity_test`
    ================  ==============================================================================

    Examples
    --------
    >>> Measurements((0, 2.5))
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: steps=2.5; expected an integer with 0 <= steps
    """

    steps: tuple[int, ...]
    quantities: tuple[str, ...] = ()
    test_problem: object = field(default=None, repr=False)
    radius: float = 0.01
    num_draws: int = 100
    groups: Mapping[str, Problem] = field(default_factory=dict, repr=False)
    origin: object = field(default=None, repr=False)

    def __post_init__(self):
        steps = _listed("steps", self.steps, (0, 100))
        quantities = _listed("quantities", self.quantities, ("sharpness",))
        checked = {
            "steps": tuple(sorted({checks.integer("steps", step, low=0) for step in steps})),
            "quantities": tuple(
                name
                for name in quantities
                if checks.one_of("quantities", name, ["loss", *QUANTITIES]) != "loss"
            ),
            "radius": checks.number("radius", self.radius, low=0),
            "num_draws": checks.integer("num_draws", self.num_draws, low=2),
        }
        require_pairs(self.num_draws)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if "test" in self.quantities:
            if self.test_problem is None:
                raise checks.InputError("test_problem=None; 'test' needs the network on test data")
            require_labels(require_problem("test_problem", self.test_problem), "test")
        object.__setattr__(self, "groups", self._checked_groups())
        if "distance" in self.quantities and self.origin is None:
            raise checks.InputError("origin=None; 'distance' needs the point to measure from")
        if self.origin is not None:
            origin = checks.array("origin", self.origin, shape=(None,))
            object.__setattr__(self, "origin", origin.copy())

    def _checked_groups(self):
        if not isinstance(self.groups, Mapping):
            raise checks.InputError(
                f"groups has type {type(self.groups).__name__}; expected a dictionary of problems "
                "by name"
            )
        if "groups" in self.quantities and not self.groups:
            raise checks.InputError("groups={}; 'groups' needs a problem for each group")
        for name, problem in self.groups.items():
            if not isinstance(name, str):
                raise checks.InputError(
                    f"groups has the name {name!r}; expected text, for instance {str(name)!r}"
                )
            require_labels(require_problem(f"groups[{name!r}]", problem), "groups")
        if "test" in self.groups and {"test", "groups"} <= set(self.quantities):
            raise checks.InputError(
                "groups has the name 'test'; expected another one, because test_loss and "
                "test_accuracy are the records of test_problem"
            )
        return dict(self.groups)

    def check_run(self, problem: Problem, num_steps: int) -> None:
        """Refuse quantities or steps that a run of `problem` over `num_steps` steps can't record.

        Raises
        ------
        InputError
            If a step lies beyond `num_steps`, or the accuracy is wanted of a problem without
            outputs or of targets without labels.
        """
        if self.steps and self.steps[-1] > num_steps:
            raise checks.InputError(
                f"steps of the measurements go up to {self.steps[-1]}; expected steps <= "
                f"num_steps={num_steps}, the end of the run"
            )
        if "accuracy" in self.quantities:
            require_labels(problem, "accuracy")

    def parameters(self) -> dict[str, Any]:
        """Recorded quantities as plain data for a checkpoint, without steps and test data."""
        own = {
            "quantities": list(self.quantities),
            "radius": self.radius,
            "num_draws": self.num_draws,
        }
        if self.groups:
            own["groups"] = sorted(self.groups)
        if self.origin is not None:
            own["origin"] = hashlib.sha256(self.origin.data).hexdigest()[:16]
        return own

    def at(self, problem: Problem, theta: ArrayLike, rng: np.random.Generator) -> dict[str, Any]:
        """Return the recorded quantities at theta.

        Parameters
        ----------
        problem : problems.Problem
            Mean loss over N examples.
        theta : array_like, shape (D,)
            Point in parameter space.
        rng : numpy.random.Generator
            Draws the perturbations of "sharpness".

        Returns
        -------
        dict of str to float or ndarray

        Raises
        ------
        InputError
            If theta is not a finite vector of the right length.
        MissingFaculty
            If a quantity needs outputs and the problem has none.
        """
        at = problem.at(theta)
        record = {"loss": at.loss}
        for name in self.quantities:
            record |= QUANTITIES[name](at, self, rng)
        return record


def _listed(name, value, example):
    if isinstance(value, str) or not np.iterable(value):
        raise checks.InputError(f"{name}={value!r}; expected a sequence, for instance {example}")
    return tuple(value)


def _accuracy(at, plan, rng):  # noqa: ARG001
    return {"accuracy": accuracy(at.problem, at.theta)}


def _test(at, plan, rng):  # noqa: ARG001
    held_out, theta = plan.test_problem.on_host(), transfer.to_numpy(at.theta)
    return {
        "test_loss": float(held_out.loss(theta)),
        "test_accuracy": accuracy(held_out, theta),
    }


def _groups(at, plan, rng):  # noqa: ARG001
    record, theta = {}, transfer.to_numpy(at.theta)
    for name, problem in plan.groups.items():
        own = problem.on_host()
        record[f"{name}_loss"] = float(own.loss(theta))
        record[f"{name}_accuracy"] = accuracy(own, theta)
    return record


def _distance(at, plan, rng):  # noqa: ARG001
    theta = transfer.to_numpy(at.theta)
    origin = checks.array("origin", plan.origin, shape=theta.shape)
    return {"distance": float(np.linalg.norm(theta - origin))}


def _gradient_norm(at, plan, rng):  # noqa: ARG001
    return {"gradient_norm": float(np.linalg.norm(at.gradient))}


def _stationarity(at, plan, rng):  # noqa: ARG001
    theta, gradient = (np.asarray(transfer.to_numpy(each)) for each in (at.theta, at.gradient))
    return {
        "position_gradient": float(theta @ gradient),
        "gradient_square_norm": float(gradient @ gradient),
        "example_noise_trace": exact_traces.significant_trace(at.noise),
    }


def _noise(at, plan, rng):  # noqa: ARG001
    return {"example_noise_trace": exact_traces.significant_trace(at.noise)}


def _curvature(at, plan, rng):  # noqa: ARG001
    found = at.by_block()
    record = {
        "hessian_trace": found.hessian_trace,
        "example_noise_trace": found.covariance_trace,
        "alignment": found.alignment,
        "isotropic_alignment": found.isotropic,
        "trace_ratio": _ratio(found.alignment, found.isotropic),
    }
    if at.problem.blocks is not None:
        record |= {
            "layer_alignment": found.alignments,
            "layer_isotropic_alignment": found.block_isotropic,
            "layer_hessian_trace": found.hessian_traces,
            "layer_noise_trace": found.covariance_traces,
        }
    return record


def _alignment(at, plan, rng):  # noqa: ARG001
    try:
        found = at.estimate_alignment(rng)
    except NotConverged as missed:  # the record keeps the error that was reached
        found = missed.partial
    return {
        "estimated_alignment": found.value,
        "estimated_alignment_error": found.standard_error,
        "estimated_alignment_products": found.num_products,
    }


def _ratio(numerator, denominator):
    # NaN where the sign or the size of the denominator leaves the ratio without meaning
    return float(numerator / denominator) if denominator > 0 else np.nan


def _leading(at, plan, rng):  # noqa: ARG001
    pair = _leading_eigenpair(at)
    value = float(pair.values[0])
    projected = float(at.noise.quadratic_form(pair.vectors[:, 0]))
    curved, noisy = map(exact_traces.significant_trace, (at.hessian, at.noise))
    return {
        "leading_eigenvalue": value,
        "leading_residual": float(pair.residuals[0]),
        "projection_coefficient": _ratio(projected * curved, value * noisy),
        "hessian_trace": curved,
        "example_noise_trace": noisy,
    }


def _leading_eigenpair(at):
    size = at.num_parameters
    if size <= local_geometry.DENSE_DIMENSION:
        return eigenpairs.leading_eigenpairs(at.hessian.to_dense(), 1)
    return eigenpairs.leading_eigenpairs(
        at.hessian,
        1,
        method="block",
        tolerance=_EIGEN_TOLERANCE,
        block_size=min(_LANCZOS_BLOCK, size),
    )


def _sharpness(at, plan, rng):
    found = expected_sharpness(at.problem, at.theta, plan.radius, plan.num_draws, rng)
    return {
        "expected_sharpness": found.value,
        "expected_sharpness_error": found.standard_error,
    }


QUANTITIES = {
    "accuracy": _accuracy,
    "test": _test,
    "groups": _groups,
    "distance": _distance,
    "gradient_norm": _gradient_norm,
    "noise": _noise,
    "curvature": _curvature,
    "alignment": _alignment,
    "leading": _leading,
    "sharpness": _sharpness,
    "stationarity": _stationarity,
}
"""Quantities by name; the docstring of :class:`Measurements` says what each records."""
