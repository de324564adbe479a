"""Momentum and preconditioner of a PyTorch optimizer, in the order of theta."""

import numpy as np
import torch

from aniso import checks
from aniso.closed_forms import adam_preconditioner
from aniso.frameworks._torch_model import array

_KINDS = {"SGD", "Adam", "AdamW", "RMSprop"}
_STATE = ("step", "exp_avg_sq", "max_exp_avg_sq", "square_avg", "grad_avg")


def read_optimizer(vectors, optimizer, theta):
    """Return name, learning rate, momentum, form and preconditioner of an optimizer, a dict.

    Parameters
    ----------
    vectors : VectorModel
        Model of the problem.
    optimizer : torch.optim.Optimizer
        SGD, Adam, AdamW or RMSprop.
    theta : ndarray, shape (D,)
        The parameters, which the optimizer must have too.

    Returns
    -------
    dict
        Arguments of :class:`aniso.diagnostics.OptimizerState`.

    Raises
    ------
    InputError
        If the optimizer is of another kind or model, has made no step, does not move, or its groups
        differ in more than the learning rate. If equal parameters can't be told apart, or
        dampening is not below 1.
    """
    kind = type(optimizer).__name__
    if not isinstance(optimizer, torch.optim.Optimizer) or kind not in _KINDS:
        raise checks.InputError(
            f"optimizer is a {kind}; expected one of torch.optim: {', '.join(sorted(_KINDS))}, or "
            "diagnostics.OptimizerState with its momentum and preconditioner"
        )
    pairs = _in_order(vectors, optimizer, theta)
    groups = [group for _, group in pairs]
    if any(group.get("maximize") for group in groups):
        raise checks.InputError(f"{kind} has maximize=True; expected a loss that is minimised")
    rates = [float(group["lr"]) for group in groups]
    if min(rates) <= 0:
        raise checks.InputError(
            f"{kind} has the learning rate {min(rates):g}; expected positive ones for all "
            "parameters of theta"
        )
    found = {"name": kind, "learning_rate": rates[0]}
    if kind == "SGD":
        momentum, damping, nesterov = _shared(kind, groups, ("momentum", "dampening", "nesterov"))
        found |= {"momentum": momentum, "form": "nesterov" if nesterov else "heavy_ball"}
        if momentum:
            if damping >= 1:
                raise checks.InputError(
                    f"SGD has dampening={damping:g}, with which no gradient enters its momentum or "
                    "with the wrong sign; expected dampening below 1"
                )
            found["gradient_scale"] = 1.0 - damping
        parts = [np.ones(parameter.numel()) for parameter, _ in pairs]
        if len(set(rates)) == 1:
            return found
    elif kind == "RMSprop":
        momentum, floor, centred = _shared(kind, groups, ("momentum", "eps", "centered"))
        found |= {"momentum": momentum, "form": "heavy_ball"}
        parts = [_rms_root(optimizer, parameter, floor, centred) for parameter, _ in pairs]
    else:
        betas, floor, largest = _shared(kind, groups, ("betas", "eps", "amsgrad"))
        found |= {"momentum": float(betas[0]), "form": "averaged"}
        key = "max_exp_avg_sq" if largest else "exp_avg_sq"
        parts = [
            adam_preconditioner(
                _state(optimizer, parameter, key),
                decay_rates=tuple(map(float, betas)),
                num_steps=int(optimizer.state[parameter]["step"]),
                floor=floor,
            )
            for parameter, _ in pairs
        ]
    # a group with another learning rate is a preconditioner of its own
    scaled = [part * (rates[0] / rate) for part, rate in zip(parts, rates, strict=True)]
    return found | {"preconditioner": np.concatenate(scaled)}


def _in_order(vectors, optimizer, theta):
    """Return (parameter, group) for each part of theta, by itself, or by its values in a copy."""
    unused = [(part, group) for group in optimizer.param_groups for part in group["params"]]
    wanted, pairs = vectors.vector(np.array(theta)), []
    parts = wanted.split(vectors.sizes)
    for name, shape, part in zip(vectors.names, vectors.shapes, parts, strict=True):
        expected, given = part.reshape(shape), vectors.given(name)
        equal = [pair for pair in unused if pair[0] is given and _has_values(given, expected)]
        equal = equal or [pair for pair in unused if _has_values(pair[0], expected)]
        if not equal:
            raise checks.InputError(
                f"the {type(optimizer).__name__} has no parameter with shape and values of "
                f"{name!r} {shape}; expected the optimizer of the model of the problem, and the "
                "theta at which it stands: problem.theta_of(model)"
            )
        _require_alike(equal, name, optimizer)
        pairs.append(equal[0])
        unused = [pair for pair in unused if pair[0] is not equal[0][0]]
    return pairs


def _has_values(parameter, expected):
    return parameter.shape == expected.shape and torch.equal(
        parameter.detach().to(expected.device, expected.dtype), expected
    )


def _require_alike(equal, name, optimizer):
    """Refuse parameters with the same values and different settings or states."""
    first = _settings(optimizer, *equal[0])
    if not all(_are_equal(first, _settings(optimizer, *pair)) for pair in equal[1:]):
        raise checks.InputError(
            f"the {type(optimizer).__name__} has {len(equal)} parameters with shape and values of "
            f"{name!r}, which differ in their group or state; expected the optimizer of the very "
            "model that from_torch was given, in the same process, or diagnostics.OptimizerState "
            "with its preconditioner"
        )


def _settings(optimizer, parameter, group):
    """Return what is read of a parameter: the settings of its group, and its state."""
    own = {name: value for name, value in group.items() if name != "params"}
    state = optimizer.state.get(parameter, {})
    return own | {name: state[name] for name in _STATE if name in state}


def _are_equal(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(torch.as_tensor(value), torch.as_tensor(other[name]))
        if name in _STATE
        else value == other[name]
        for name, value in one.items()
    )


def _shared(kind, groups, names):
    values = [tuple(group.get(name) for name in names) for group in groups]
    if any(value != values[0] for value in values):
        raise checks.InputError(
            f"the groups of {kind} differ in {', '.join(names)}; expected groups that differ in "
            "the learning rate alone"
        )
    return values[0]


def _state(optimizer, parameter, key):
    if key not in optimizer.state.get(parameter, {}):
        raise checks.InputError(
            f"the {type(optimizer).__name__} has no {key} yet; expected an optimizer that has made "
            "a step"
        )
    return array(optimizer.state[parameter][key]).astype(np.float64).ravel()


def _rms_root(optimizer, parameter, floor, centred):
    squares = _state(optimizer, parameter, "square_avg")
    if centred:
        squares = np.maximum(squares - _state(optimizer, parameter, "grad_avg") ** 2, 0.0)
    return adam_preconditioner(squares, floor=floor)
