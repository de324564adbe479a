"""Copies of PyTorch models whose derivatives are those of their loss, and models that have none."""

import copy
import importlib

import torch
from torch.nn.utils import parametrizations

from aniso import checks

_STOCHASTIC = torch.nn.modules.dropout._DropoutNd
_BATCH_NORM = torch.nn.modules.batchnorm._BatchNorm
_OLD_WEIGHT_NORM = importlib.import_module("torch.nn.utils.weight_norm").WeightNorm


def plain_module(model):
    """Return the module that a compiled one was made of, and any other module itself.

    Raises
    ------
    InputError
        If it is no module, or one without Python code.
    """
    if isinstance(model, torch.jit.ScriptModule):
        raise checks.InputError(
            f"model is a {type(model).__name__}, whose code PyTorch does not differentiate twice; "
            "expected the torch.nn.Module that it was compiled from"
        )
    # torch.compile keeps the module that it compiles, with the same parameters
    model = getattr(model, "_orig_mod", model)
    if not isinstance(model, torch.nn.Module):
        raise checks.InputError(
            f"model is a {type(model).__name__}; expected a torch.nn.Module: from_torch(model, "
            "loss, data)"
        )
    return model


def copied(model):
    """Return a copy of a model without what keeps it from being differentiated.

    Tensors that modules keep as attributes become constants, and hooks of the backward pass are
    dropped. Weight normalisation is written out: PyTorch's own has wrong second derivatives.

    Parameters
    ----------
    model : torch.nn.Module
        Not changed.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    InputError
        If modules draw random numbers or couple examples, or the model can't be copied.
    """
    for name, module in model.named_modules():
        coupled = isinstance(module, _BATCH_NORM) and (
            module.training or module.running_mean is None
        )
        drawn = isinstance(module, _STOCHASTIC) and module.training and module.p > 0
        if coupled or drawn:
            raise checks.InputError(
                f"module {name or 'model'!r} ({type(module).__name__}) "
                + (
                    "normalises over its batch, so that no example has a gradient of its own"
                    if coupled
                    else "draws random numbers, so that the loss is no function of theta"
                )
                + "; expected model.eval(), or gradients of whole batches by from_draws"
            )
    with torch.no_grad():
        kept = {
            id(value): value.detach().clone()
            for module in model.modules()
            for value in vars(module).values()
            if isinstance(value, torch.Tensor)
            and value.requires_grad
            and not isinstance(value, torch.nn.Parameter)
        }
    try:
        made = copy.deepcopy(model, kept)
    except Exception as error:
        raise checks.InputError(
            f"model can't be copied ({type(error).__name__}: {error}); expected a module that "
            "copy.deepcopy copies: clear tensors with a history that it keeps as attributes"
        ) from error
    for module in made.modules():
        if type(module) is parametrizations._WeightNorm:
            module.__class__ = _WrittenOut
        for hook in module._forward_pre_hooks.values():
            if type(hook) is _OLD_WEIGHT_NORM:
                hook.__class__ = _WrittenOutHook
        module._backward_hooks.clear()
        module._backward_pre_hooks.clear()
    return made


class _WrittenOut(parametrizations._WeightNorm):
    """Weight normalisation ``g v / |v|`` of operations that PyTorch differentiates twice."""

    def forward(self, weight_g, weight_v):
        return weight_v * (weight_g / torch.norm_except_dim(weight_v, 2, self.dim))


class _WrittenOutHook(_OLD_WEIGHT_NORM):  # type: ignore[valid-type]
    """The same as a hook, of ``torch.nn.utils.weight_norm``."""

    def compute_weight(self, module):
        size, direction = (getattr(module, f"{self.name}_{part}") for part in "gv")
        return direction * (size / torch.norm_except_dim(direction, 2, self.dim))


def one_place(model):
    """Return the device and the precision of a model.

    Raises
    ------
    InputError
        If it has no parameters, or they have no values, or lie on several devices or in several
        precisions, or in one that is not enough.

    Examples
    --------
    >>> one_place(torch.nn.Linear(2, 1))
    (device(type='cpu'), torch.float32)
    """
    parameters = list(model.parameters())
    if not parameters:
        raise checks.InputError("model has no parameters; expected at least one")
    if any(torch.nn.parameter.is_lazy(part) for part in parameters):
        raise checks.InputError(
            "model has parameters without a shape yet, of lazy modules; expected a model that has "
            "been called once: model(inputs)"
        )
    devices = sorted({str(part.device) for part in parameters})
    dtypes = sorted({str(part.dtype) for part in parameters})
    if len(devices) > 1 or len(dtypes) > 1:
        raise checks.InputError(
            f"parameters of the model are on {', '.join(devices)} in {', '.join(dtypes)}; expected "
            "one device and one precision: model.to(device, dtype)"
        )
    if parameters[0].device.type == "meta":
        raise checks.InputError(
            "parameters of the model are on the device meta, without values; expected a model with "
            "values: load its state_dict, or model.to_empty(device='cpu') and initialise it"
        )
    if parameters[0].dtype.is_complex:
        raise checks.InputError(
            f"parameters of the model are {dtypes[0]}; expected real ones: real and imaginary "
            "parts as two parameters, torch.complex(real, imaginary) in the model"
        )
    if parameters[0].dtype not in (torch.float32, torch.float64):
        raise checks.InputError(
            f"parameters of the model are {dtypes[0]}, in which second derivatives and centred "
            "covariances have no right digits; expected float32 or float64: model.float()"
        )
    return parameters[0].device, parameters[0].dtype
