"""A copy of a PyTorch model as a function of one parameter vector."""

import contextlib
import copy
import fnmatch
import hashlib
import inspect
import os
import threading
import warnings
import weakref

import numpy as np
import torch
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from aniso import checks
from aniso.frameworks import _torch_copies

_PRECISIONS = {"float32": torch.float32, "float64": torch.float64}

_turn = threading.RLock()


def _renew():
    # a forked process has no thread that would release it
    global _turn
    _turn = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def one_thread():
    """Return the lock of everything that calls a model or sets what PyTorch shares by threads.

    A call puts theta into the module of the problem. The kinds of attention kernels and the levels
    of forward mode are one for all threads.
    """
    return _turn


class VectorModel:
    """A model whose selected parameters are one vector, in the order of `model.parameters()`.

    Parameters
    ----------
    model : torch.nn.Module
        Copied: later changes of it have no effect, and it is never changed.
    patterns : str or sequence of str
        Names of the parameters that move, with wildcards. The pattern "*" alone takes all that
        require gradients. Other parameters keep their present values.
    forward : callable, optional
        ``(model, inputs) -> outputs``; by default the model is called with its inputs.
    dtype : {"float32", "float64"}, optional
        Precision of parameters and floating-point buffers; that of the model if not given.

    Attributes
    ----------
    names : tuple of str
        Names of the parameters that move.
    num_parameters : int
        D.
    dtype : torch.dtype
    device : torch.device
    calls_the_model : bool
        Whether the model is called with its inputs, without a function `forward`.
    """

    def __init__(self, model, patterns, forward, dtype):
        model = _torch_copies.plain_module(model)
        self.device, own = _torch_copies.one_place(model)
        self.dtype = own if dtype is None else _PRECISIONS[dtype]
        self.names = selected(model, patterns)
        self._given = {name: weakref.ref(part) for name, part in model.named_parameters()}
        self._all_names = frozenset(self._given)
        self._is_recurrent = any(
            isinstance(module, torch.nn.modules.rnn.RNNBase) for module in model.modules()
        )
        self._prefix = "model."
        self._forward, self.calls_the_model = forward or _called_with, forward is None
        self._module = _Caller(_torch_copies.copied(model), self._forward)
        self._module.to(self.dtype)
        self._module.requires_grad_(requires_grad=False)
        parameters = dict(self._module.model.named_parameters())
        self.shapes = [tuple(parameters[name].shape) for name in self.names]
        self.sizes = [parameters[name].numel() for name in self.names]
        self.num_parameters = sum(self.sizes)
        self._buffers = {
            name: buffer.detach().clone() for name, buffer in self._module.named_buffers()
        }
        self._rest, self._fixed = {}, {}

    def __getstate__(self):
        # the given model stays where it is
        return vars(self) | {"_given": {}}

    def given(self, name):
        """Return a parameter of the given model itself; None where it is not at hand."""
        return self._given[name]() if name in self._given else None

    def has_one_of(self, tensors):
        """Return whether one of some tensors is a parameter of the given model itself."""
        own = {id(self.given(name)) for name in self._given}
        return any(id(tensor) in own for tensor in tensors)

    def in_precision(self, dtype, device):
        """Return the same model in another precision, on another device."""
        other = copy.copy(self)
        with one_thread():
            other._module = _Caller(copy.deepcopy(self._module.model), self._forward)
        other._module.to(device, dtype)
        other._buffers = {
            name: buffer.detach().clone() for name, buffer in other._module.named_buffers()
        }
        other.dtype, other.device = dtype, torch.device(device)
        return other.with_rest(
            {
                name: part.to(device, dtype if part.is_floating_point() else part.dtype)
                for name, part in self._rest.items()
            }
        )

    def rest_that_differs(self, model):
        """Return what a model has beside theta, where it is not what this one has.

        Parameters
        ----------
        model : torch.nn.Module
            Of the same kind as the one that was copied.

        Returns
        -------
        dict of str to tensor
            Buffers and fixed parameters by name, copied. Counters of batches are left out: they
            have no effect in evaluation mode.
        """
        source = _torch_copies.plain_module(model)
        with one_thread():
            own = dict(self._module.named_parameters()) | self._fixed | self._buffers
            given = dict(source.named_parameters()) | dict(source.named_buffers())
        found = {}
        for name, part in given.items():
            kept = own.get(self._prefix + name)
            if kept is None or name in self.names or name.endswith("num_batches_tracked"):
                continue
            real = part.is_floating_point()
            now = part.detach().to(kept.device, kept.dtype if real else part.dtype)
            if now.shape != kept.shape or not torch.equal(now, kept):
                found[self._prefix + name] = now.clone()
        return found

    def digest_of_rest(self):
        """Return the SHA-256 of what :meth:`with_rest` replaced, with the names."""
        total = hashlib.sha256()
        for name, part in sorted(self._rest.items()):
            total.update(name.encode())
            total.update(np.ascontiguousarray(array(part)).data)
        return total.hexdigest()

    def plain_statistics(self):
        """Return 0 and 1 in the place of running means and variances, by name of the buffer."""
        values = {"running_mean": 0.0, "running_var": 1.0}
        kinds = {name: name.rpartition(".")[2] for name in self._buffers}
        return {
            name: torch.full_like(part, values[kinds[name]])
            for name, part in self._buffers.items()
            if kinds[name] in values
        }

    def with_rest(self, rest):
        """Return the same model with other buffers and fixed parameters, by name."""
        other = copy.copy(self)
        other._rest = self._rest | rest
        other._buffers = {
            name: other._rest.get(name, part) for name, part in other._buffers.items()
        }
        other._fixed = {n: part for n, part in other._rest.items() if n not in other._buffers}
        return other

    def parts(self, vectors):
        """Return vectors (..., D) as a tuple of their parts, one for each parameter that moves."""
        return tuple(
            part.reshape((*part.shape[:-1], *shape))
            for part, shape in zip(vectors.split(self.sizes, dim=-1), self.shapes, strict=True)
        )

    def joined(self, parts):
        """Return the vectors (..., D) of their parts."""
        return torch.cat(self.flat(parts), dim=-1)

    def write(self, parts, result):
        """Write the vectors of their parts into a tensor (n, D)."""
        for part, place in zip(self.flat(parts), result.split(self.sizes, dim=-1), strict=True):
            place.copy_(part)

    def flat(self, parts):
        """Return each part of vectors with its own axes made one, shape (..., size)."""
        return [
            part.reshape(*part.shape[: part.ndim - len(shape)], size)
            for part, shape, size in zip(parts, self.shapes, self.sizes, strict=True)
        ]

    def outputs(self, parts, inputs, calls=1):
        """Outputs of the model at the parts of theta, or at theta (D,), in its precision.

        Of several calls the last is returned; only the first starts from the buffers of the model.
        """
        parts = self.parts(parts) if isinstance(parts, torch.Tensor) else parts
        parameters = {
            self._prefix + name: part for name, part in zip(self.names, parts, strict=True)
        }
        parameters.update(self._fixed)
        # a model may write into its buffers
        parameters.update({name: buffer.clone() for name, buffer in self._buffers.items()})
        with self._plain_kernels():
            for _ in range(calls):
                outputs = functional_call(self._module, parameters, (inputs,))
        return outputs

    @contextlib.contextmanager
    def _plain_kernels(self):
        # the fast kernels of recurrent layers have no second derivatives
        if not self._is_recurrent:
            yield
            return
        name = "cudnn" if self.device.type == "cuda" else "mkldnn"
        with warnings.catch_warnings():
            # about TF32, which the flags of PyTorch set along
            warnings.simplefilter("ignore", UserWarning)
            with getattr(torch.backends, name).flags(enabled=False):
                yield

    def theta_of(self, model=None):
        """Parameters of a model of the same kind as a vector, shape (D,); of the copy if None."""
        source = self._module.model if model is None else _torch_copies.plain_module(model)
        with one_thread():
            parameters = dict(source.named_parameters())
        for name, shape in zip(self.names, self.shapes, strict=True):
            found = tuple(parameters[name].shape) if name in parameters else None
            if found != shape:
                raise checks.InputError(
                    f"parameter {name!r} of the model has shape {found}; expected {shape}, that "
                    "of the model from which the problem was made"
                )
        if model is not None and (grown := sorted(parameters.keys() - self._all_names)):
            raise checks.InputError(
                f"the model has the parameter {grown[0]!r}, which the one lacks from which the "
                "problem was made; expected a model of the same kind, or a problem of this one"
            )
        return torch.cat([parameters[name].detach().reshape(-1) for name in self.names])

    def blocks(self, kind):
        """Parts of theta by name, a dict of str to slice, by module or by parameter."""
        made, start, last = {}, 0, None
        for name, size in zip(self.names, self.sizes, strict=True):
            stop, module = start + size, name.rpartition(".")[0] or "model"
            if kind == "parameters" or (module in made and module != last):
                made[name] = slice(start, stop)
            else:
                made[module] = slice(made[module].start if module in made else start, stop)
            start, last = stop, module
        return made

    def vector(self, array):
        """Return an array as a tensor in the precision and on the device of the model."""
        # PyTorch shares the memory of an array, which must be contiguous and writable
        own = np.require(array, requirements=["C", "W"])
        with torch.inference_mode(mode=False):
            return torch.as_tensor(own, dtype=self.dtype, device=self.device)


@contextlib.contextmanager
def differentiable(device):
    """Run in a state where second derivatives exist; the caller's settings come back at the end.

    Attention runs in its plain form, which alone has them. Mixed precision and TF32 are off. Other
    threads wait.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(one_thread())
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(torch.autocast(device.type, enabled=False))
        if device.type == "cuda":
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
        yield


class _Caller(torch.nn.Module):
    """A module that calls another one in a given way."""

    def __init__(self, model, forward):
        super().__init__()
        self.model, self._call = model, forward
        self.train(model.training)
        # train() of this module reaches the modules inside, which keep their own modes
        for copied, given in zip(self.model.modules(), model.modules(), strict=True):
            copied.training = given.training

    def forward(self, inputs):
        return self._call(self.model, inputs)


def _called_with(model, inputs):
    """Call a model with a tensor, with a tuple of arguments, or with a dict of named ones."""
    if isinstance(inputs, dict):
        accepted = inspect.signature(model.forward).parameters
        if any(part.kind is part.VAR_KEYWORD for part in accepted.values()):
            return model(**inputs)
        named = {name: value for name, value in inputs.items() if name in accepted}
        return model(**named) if named else model(inputs)
    if isinstance(inputs, (tuple, list)):
        return model(*inputs)
    return model(inputs)


def selected(model, patterns):
    """Return the names of the parameters that match, in the order of the model's parameters.

    Examples
    --------
    >>> selected(torch.nn.Linear(2, 1), "b*")
    ('bias',)
    """
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    if not patterns:
        raise checks.InputError(f"parameters={patterns}; expected at least one name or pattern")
    parameters = dict(model.named_parameters())
    if patterns == ["*"]:
        names = [name for name, value in parameters.items() if value.requires_grad]
        if not names:
            raise checks.InputError(
                "no parameter of the model requires a gradient; expected parameters=PATTERN, names "
                "of those that move"
            )
        return tuple(names)
    # a parameter with several names has each of them
    shared = dict(model.named_parameters(remove_duplicate=False))
    matched = set()
    for pattern in patterns:
        found = [name for name in shared if fnmatch.fnmatchcase(name, pattern)]
        if not found:
            raise checks.InputError(
                f"parameters={pattern!r} matches none of {', '.join(shared)}; expected names of "
                "parameters, with wildcards"
            )
        matched.update(id(shared[name]) for name in found)
    return tuple(name for name, value in parameters.items() if id(value) in matched)


def array(tensor):
    """Return a tensor as a NumPy array, on the host."""
    return tensor.detach().cpu().numpy()
