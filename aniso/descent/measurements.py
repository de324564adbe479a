"""What is recorded along a run: a registry of quantities, each a function of the place.

A quantity returns a dictionary of numbers or arrays by name. Sigma_1 is the centred covariance of
one example's gradient; :func:`aniso.matrices.convention.minibatch_scale` turns its numbers into
those of a mini-batch.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from aniso import checks
from aniso.descent.hosted import on_host
from aniso.descent.sharpness import expected_sharpness, require_pairs
from aniso.matrices import (
    eigenpairs,
    exact_traces,
    gradient_covariance,
    noise,
)
from aniso.problems import curvature, losses

_DENSE_DIMENSION = 2000
_LANCZOS_BLOCK = 8
_EIGEN_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Measurements:
    """What to record and when.

    Attributes
    ----------
    steps : tuple of int
        Iterations t at which theta_t is measured; 0 is the start, num_steps the end.
    quantities : tuple of str
        Names in :data:`QUANTITIES`; "loss" is always recorded.
    test_objective : object or None
        The same network on test data, for "test".
    radius, num_draws : float, int
        Of "sharpness", see :func:`aniso.descent.sharpness.expected_sharpness`.

    Raises
    ------
    InputError
        If an argument breaks its rule.

    Examples
    --------
    >>> Measurements((0, 2.5))
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: steps=2.5; expected an integer with 0 <= steps
    """

    steps: tuple
    quantities: tuple = ()
    test_objective: object = field(default=None, repr=False)
    radius: float = 0.01
    num_draws: int = 100

    def __post_init__(self):
        steps = _listed("steps", self.steps, (0, 100))
        quantities = _listed("quantities", self.quantities, ("sharpness",))
        checked = {
            "steps": tuple(sorted({checks.integer("steps", step, low=0) for step in steps})),
            "quantities": tuple(
                checks.one_of("quantities", name, list(QUANTITIES)) for name in quantities
            ),
            "radius": checks.number("radius", self.radius, low=0),
            "num_draws": checks.integer("num_draws", self.num_draws, low=2),
        }
        require_pairs(self.num_draws)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if "test" in self.quantities:
            if self.test_objective is None:
                raise checks.InputError(
                    "test_objective=None; 'test' needs the network on test data"
                )
            _require_outputs("test_objective", self.test_objective, "test")

    def check_run(self, objective, num_steps):
        """Refusal of what can't be recorded of `objective` within `num_steps` steps.

        Raises
        ------
        InputError
        """
        if self.steps and self.steps[-1] > num_steps:
            raise checks.InputError(
                f"steps of the measurements go up to {self.steps[-1]}; expected steps <= "
                f"num_steps={num_steps}, the end of the run"
            )
        if "accuracy" in self.quantities:
            _require_outputs("objective", objective, "accuracy")

    def parameters(self):
        """What is recorded, but when and on which test data, as plain data for a checkpoint."""
        return {
            "quantities": list(self.quantities),
            "radius": self.radius,
            "num_draws": self.num_draws,
        }

    def at(self, objective, theta, rng):
        """The recorded quantities at theta, a dictionary."""
        place = _Place(objective, theta, self, rng)
        record = {"loss": place.loss}
        for name in self.quantities:
            record |= QUANTITIES[name](place)
        return record


def _listed(name, value, example):
    if isinstance(value, str) or not np.iterable(value):
        raise checks.InputError(f"{name}={value!r}; expected a sequence, for instance {example}")
    return tuple(value)


def _require_outputs(name, objective, quantity):
    missing = [
        part for part in ("outputs", "targets", "output_loss") if not hasattr(objective, part)
    ]
    if missing:
        raise checks.InputError(
            f"{name} of type {type(objective).__name__} has no {', '.join(missing)}; {quantity!r} "
            "compares outputs with labels: expected a ModelObjective or networks.Network"
        )


class _Place:
    """An objective at theta, with what several quantities share."""

    def __init__(self, objective, theta, plan, rng):
        self.objective, self.theta, self.plan, self.rng = objective, theta, plan, rng

    @cached_property
    def loss(self):
        return float(self.objective.loss(self.theta))

    @cached_property
    def linearisation(self):
        return self.objective.linearise(self.theta)

    @property
    def is_network(self):
        return hasattr(self.objective, "linearise")

    @cached_property
    def hessian(self):
        if self.is_network:
            return self.linearisation.hessian_operator()
        if len(self.theta) <= _DENSE_DIMENSION:
            return curvature.hessian(self.objective, self.theta)
        return curvature.hessian_operator(self.objective, self.theta)

    @cached_property
    def covariance(self):
        if self.is_network:
            return gradient_covariance(self.linearisation.gradient_factors)
        gradients = self.objective.per_example_gradients(self.theta)
        return noise.gradient_covariance(gradients)

    @cached_property
    def leading_eigenpair(self):
        if len(self.theta) <= _DENSE_DIMENSION:
            return eigenpairs.leading_eigenpairs(self.hessian, 1)
        block_size = min(_LANCZOS_BLOCK, len(self.theta))
        return eigenpairs.leading_eigenpairs(
            self.hessian, 1, method="block", tolerance=_EIGEN_TOLERANCE, block_size=block_size
        )

    @cached_property
    def traces(self):
        """Tr H, Tr Sigma_1, Tr(H Sigma_1)."""
        aligned = exact_traces.trace_of_product(self.hessian, self.covariance)
        curved, noisy = map(exact_traces.significant_trace, (self.hessian, self.covariance))
        return curved, noisy, aligned if noisy != 0 else 0.0


def accuracy(objective, theta):
    """Share of examples whose largest output is that of their label.

    With one output, the label 1 is predicted above the middle of the outputs of the two labels:
    1/2 for squared losses, 0 for the logistic one.
    """
    outputs = objective.outputs(theta)
    if outputs.shape[1] > 1:
        return float(np.mean(outputs.argmax(axis=1) == objective.targets))
    middle = 0.0 if isinstance(objective.output_loss, losses.LogisticLoss) else 0.5
    labels = np.ravel(objective.targets) > 0.5
    return float(np.mean((outputs[:, 0] > middle) == labels))


def _accuracy(place):
    return {"accuracy": accuracy(place.objective, place.theta)}


def _test(place):
    held_out = on_host(place.plan.test_objective)
    return {
        "test_loss": float(held_out.loss(place.theta)),
        "test_accuracy": accuracy(held_out, place.theta),
    }


def _gradient_norm(place):
    return {"gradient_norm": float(np.linalg.norm(place.objective.gradient(place.theta)))}


def _noise(place):
    return {"example_noise_trace": exact_traces.significant_trace(place.covariance)}


def _curvature(place):
    if place.is_network:
        found = place.linearisation.noise_curvature()
        return {
            "hessian_trace": float(found.hessian_traces.sum()),
            "example_noise_trace": float(found.covariance_traces.sum()),
            "alignment": found.alignment,
            "isotropic_alignment": found.isotropic,
            "trace_ratio": _ratio(found.alignment, found.isotropic),
            "layer_alignment": found.alignments,
            "layer_isotropic_alignment": found.block_isotropic,
            "layer_hessian_trace": found.hessian_traces,
            "layer_noise_trace": found.covariance_traces,
        }
    curved, noisy, aligned = place.traces
    isotropic = curved * noisy / len(place.theta)
    return {
        "hessian_trace": curved,
        "example_noise_trace": noisy,
        "alignment": aligned,
        "isotropic_alignment": isotropic,
        "trace_ratio": _ratio(aligned, isotropic),
    }


def _ratio(numerator, denominator):
    # NaN where the sign or the size of the denominator leaves the ratio without meaning
    return float(numerator / denominator) if denominator > 0 else np.nan


def _leading(place):
    pair = place.leading_eigenpair
    vector = pair.vectors[:, 0]
    value = float(pair.values[0])
    projected = float(place.covariance.quadratic_form(vector))
    if place.is_network:
        curved = exact_traces.significant_trace(place.hessian)
        noisy = exact_traces.significant_trace(place.covariance)
    else:
        curved, noisy, _ = place.traces
    return {
        "leading_eigenvalue": value,
        "leading_residual": float(pair.residuals[0]),
        "projection_coefficient": _ratio(projected * curved, value * noisy),
    }


def _sharpness(place):
    plan = place.plan
    found = expected_sharpness(place.objective, place.theta, plan.radius, plan.num_draws, place.rng)
    return {
        "expected_sharpness": found.value,
        "expected_sharpness_error": found.standard_error,
    }


QUANTITIES = {
    "accuracy": _accuracy,
    "test": _test,
    "gradient_norm": _gradient_norm,
    "noise": _noise,
    "curvature": _curvature,
    "leading": _leading,
    "sharpness": _sharpness,
}
"""Quantities by name: "noise" is Tr Sigma_1, "curvature" Tr H, Tr(H Sigma_1), the isotropic
Tr H Tr Sigma_1 / D and their ratio (NaN where Tr H or Tr Sigma_1 is not positive), for layer
networks by layer as well (without ratio), "leading" lambda_1 and the projection coefficient,
"sharpness" the expected sharpness with its error bar."""
