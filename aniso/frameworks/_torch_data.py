"""Data of a PyTorch problem: tensors or a loader, read into nested tensors once."""

import contextlib
import random

import numpy as np
import torch

from aniso import checks, memory
from aniso.frameworks import _trees

_FORMS = (
    "a pair (inputs, targets) of arrays or tensors, a dict of them, or a DataLoader of such batches"
)


def read(data):
    """Return the inputs and targets of all examples.

    Parameters
    ----------
    data : pair, dict, or iterable of batches
        A batch is a pair (inputs, targets) or a dict. Inputs and targets are tensors, arrays, or
        tuples, lists and dicts of them.

    Returns
    -------
    inputs, targets : nested tensors
        Examples along the first axes. Both are the dict where a batch is one.

    Raises
    ------
    InputError
        If the data have no known form or two, or are empty. If a loader can be read only once, has
        no end within the memory, or gives other batches at a second reading.
    """
    if isinstance(data, dict) or _is_pair(data):
        _require_no_batches(data)
        return _checked(data)
    if isinstance(data, torch.utils.data.Dataset) and not hasattr(data, "__iter__"):
        raise checks.InputError(
            f"data is a {type(data).__name__}, a dataset; expected a loader of it: "
            "torch.utils.data.DataLoader(dataset, batch_size=...)"
        )
    if not hasattr(data, "__iter__") or hasattr(data, "shape"):
        raise checks.InputError(f"data is a {type(data).__name__}; expected {_FORMS}")
    with unchanged_generators(), torch.inference_mode(mode=False):
        return _checked(_trees.joined(_batches(data), torch.cat))


def taken(tree, indices):
    """Return the examples `indices` of nested tensors."""
    return _trees.mapped(lambda part: part[indices], tree)


def spread(index, number):
    """Return `number` entries of an index, evenly from the first to the last; all if it has fewer.

    Examples
    --------
    >>> spread(torch.arange(10), 4)
    tensor([0, 3, 6, 9])
    """
    if len(index) <= number:
        return index
    return index[torch.arange(number, device=index.device) * (len(index) - 1) // (number - 1)]


def placed(tree, device, dtype):
    """Return nested tensors on a device; floating-point ones in the precision `dtype`."""

    def moved(part):
        part = part.detach()
        return part.to(device, dtype if part.is_floating_point() else part.dtype)

    return _trees.mapped(moved, tree)


@contextlib.contextmanager
def unchanged_generators():
    """Restore the random states of Python, NumPy and PyTorch at the end."""
    own, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(own)
            np.random.set_state(numpys)  # noqa: NPY002


def _is_pair(data):
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        return False
    arrays = (torch.Tensor, np.ndarray)
    if isinstance(data, list):
        # a list of two dicts, or of two pairs, is a list of batches
        return isinstance(data[0], (*arrays, dict)) and isinstance(data[1], arrays)
    return isinstance(data[1], (*arrays, dict)) and isinstance(
        data[0], (*arrays, dict, tuple, list)
    )


def _require_no_batches(data):
    """Refuse two dicts that may be inputs and targets, or two batches."""
    if isinstance(data, tuple) and all(isinstance(part, dict) for part in data):
        first, second = data
        if first.keys() == second.keys():
            raise checks.InputError(
                f"data is a tuple of two dicts with the same keys, {', '.join(map(str, first))}; "
                "expected a list [first, second] of batches, or [(inputs, targets)] for a pair"
            )


def _checked(batch):
    if isinstance(batch, dict):
        inputs = targets = _tensors(batch)
    else:
        inputs, targets = (_tensors(part) for part in batch)
    _trees.count("data", (inputs, targets))
    for part in _trees.leaves((inputs, targets)):
        if part.is_floating_point() and not bool(torch.isfinite(part).all()):
            raise checks.InputError("data holds numbers that are not finite; expected finite data")
    return inputs, targets


def _tensors(tree):
    def converted(part):
        if isinstance(part, torch.Tensor):
            if part.device.type == "meta" or part.is_complex():
                raise checks.InputError(
                    f"data holds a tensor on {part.device} of type {part.dtype}; expected real "
                    "numbers with values, complex ones as torch.view_as_real(data)"
                )
            with torch.inference_mode(mode=False):
                # tensors of inference mode take no part in derivatives
                return part.detach().clone() if part.is_inference() else part.detach()
        array = np.asarray(part)
        if array.dtype.kind not in "biuf":
            raise checks.InputError(
                f"data holds a {type(part).__name__} of type {array.dtype}; expected {_FORMS}"
            )
        return torch.as_tensor(np.ascontiguousarray(array))

    return _trees.mapped(converted, tree)


def _batches(loader):
    """Read a loader twice, and return its batches if both readings agree."""
    if iter(loader) is loader:
        raise checks.InputError(
            f"data is a {type(loader).__name__}, which can be read only once; expected {_FORMS}"
        )
    limit, read_bytes, found = memory.available_bytes() // 2, 0, []
    for batch in loader:
        if not isinstance(batch, dict) and not _is_pair(tuple(batch)):
            raise checks.InputError(
                f"a batch of data is a {type(batch).__name__} of {len(batch)} parts; expected a "
                "pair (inputs, targets) or a dict"
            )
        found.append(_tensors(batch if isinstance(batch, dict) else tuple(batch)))
        read_bytes += sum(part.numel() * part.element_size() for part in _trees.leaves(found[-1]))
        if read_bytes > limit or len(found) > _most_batches(loader):
            raise checks.InputError(
                f"data has more than {len(found) - 1} batches, {read_bytes} bytes; expected a "
                "loader that ends and whose examples fit into the memory: use a subset"
            )
    if not found:
        raise checks.InputError("data has no batch; expected at least one example")
    second = 0
    for batch in loader:
        if second == len(found) or not _agree(found[second], batch):
            _refuse_change(loader)
        second += 1
    if second != len(found):
        _refuse_change(loader)
    return found


def _most_batches(loader):
    try:
        return len(loader)
    except TypeError:
        return 10**6


def _agree(first, batch):
    one = _trees.leaves(first)
    other = _trees.leaves(_tensors(batch if isinstance(batch, dict) else tuple(batch)))
    return len(one) == len(other) and all(map(torch.equal, one, other))


def _refuse_change(loader):
    sampler = getattr(loader, "sampler", None)
    shuffles = isinstance(sampler, torch.utils.data.RandomSampler)
    reason = "it shuffles" if shuffles else "it shuffles, draws or augments"
    remedy = (
        "shuffle=False"
        if shuffles
        else "shuffle=False and fixed transformations; from_draws takes gradients of drawn batches"
    )
    raise checks.InputError(
        f"data gives other batches at a second reading: {reason}; expected a loader with a fixed "
        f"order and fixed examples, {remedy}"
    )
