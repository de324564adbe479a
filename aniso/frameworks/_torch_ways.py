"""Ways in which PyTorch computes the derivatives of a model: those that are right.

PyTorch returns wrong second derivatives for some models in some ways, and raises in others. Each
way is compared with differences, in double precision, and only right ones are used.
"""

from dataclasses import replace

import torch

from aniso.frameworks import _torch_data, _torch_products, _trees
from aniso.frameworks._torch_differences import (
    SLACK,
    agrees,
    directions_of,
    is_symmetric,
    near,
    near_differences,
)
from aniso.frameworks._torch_model import differentiable

# numbers of the gradients of examples that are held together; of large models two examples
_ROW_NUMBERS = 2**27
_FEWEST_ROWS = 2
_SEED = 0


def right_ways(model, trial, theta, few, tolerance):
    """Return the right ways of all derivatives as arguments of :class:`CheckedModel`.

    Parameters
    ----------
    model : CheckedModel
        Losses and their factor.
    trial : VectorModel
        The model in the precision of the check.
    theta : tensor, shape (D,)
    few : pair of nested tensors
        A few examples.
    tolerance : float
        Relative error between two right ways.

    Returns
    -------
    dict
    """

    def losses(point):
        return model.losses_of(trial, point, *few)

    count = _trees.count("data", few)
    weights = torch.full((count,), 1 / count, dtype=theta.dtype, device=theta.device)
    slope, _ = _torch_products.gradient(trial, losses, theta, weights)
    directions = torch.stack(directions_of(theta, slope), dim=1)
    found, largest = _ways_of_rows(model, trial, theta, few, directions, tolerance)
    ways, reasons, exact = [], [], None
    for name, way in _torch_products.HESSIAN_PRODUCTS.items():
        try:
            products = way(trial, losses, theta, directions, 1 / count)
        except Exception as error:
            reasons.append(f"{name}: {type(error).__name__}, {first_line(error)}")
            continue
        size = float(products.abs().max()) + largest
        right = exact is None and near_differences(
            trial, products, losses, theta, directions, weights, SLACK[trial.dtype] * size
        )
        again = exact is not None and near(products, exact, tolerance * size)
        if (right or again) and is_symmetric(products, directions, tolerance * size):
            exact, ways = products, [*ways, name]
        else:
            reasons.append(f"{name}: wrong")
    return {**found, "hessian_ways": tuple(ways), "reason": "" if ways else "; ".join(reasons)}


def _ways_of_rows(model, trial, theta, few, directions, tolerance):
    """Return the right ways with the gradients of examples, and the largest entry of these."""
    few = _held_together(few, theta)

    def losses(point):
        return model.losses_of(trial, point, *few)

    def rows(*arguments):
        return trial.joined(replace(model, rows_together=True).rows_of(*arguments))

    reference = trial.joined(_torch_products.rows_one_by_one(trial, losses, theta))
    weights = _drawn((2, len(reference)), theta)
    found = {
        "projection_ways": _agreeing(
            _torch_products.PROJECTIONS,
            (trial, losses, theta, directions),
            reference @ directions,
            tolerance,
        ),
        "combination_ways": _agreeing(
            _torch_products.COMBINATIONS,
            (trial, losses, theta, weights),
            weights @ reference,
            tolerance,
        ),
        "rows_together": agrees(rows, (trial, theta, few), reference, tolerance),
    }
    return found, float(reference.abs().max())


def _held_together(few, theta):
    """Return the examples, or the first of them where gradients of all are too many numbers."""
    most = max(_FEWEST_ROWS, _ROW_NUMBERS // len(theta))
    return _torch_data.taken(few, slice(0, min(most, _trees.count("data", few))))


def _agreeing(ways, arguments, expected, tolerance):
    return tuple(name for name, way in ways.items() if agrees(way, arguments, expected, tolerance))


def that_run(model, vectors, few):
    """Return the right ways without those that PyTorch lacks in the model's own precision.

    Parameters
    ----------
    model : CheckedModel
        With the ways that are right in double precision.
    vectors : VectorModel
        The model in its own precision.
    few : pair of nested tensors
        A few examples.

    Returns
    -------
    dict
        As of :func:`right_ways`.
    """

    def losses(point):
        return model.losses_of(vectors, point, *few)

    theta, count = vectors.theta_of(), _trees.count("data", few)
    columns = torch.stack([torch.ones_like(theta), theta], dim=1)
    weights = _drawn((2, count), theta)
    with differentiable(vectors.device):
        reasons = {
            name: _failure(
                _torch_products.HESSIAN_PRODUCTS[name], vectors, losses, theta, columns, 1 / count
            )
            for name in model.hessian_ways
        }
        projections = [
            name
            for name in model.projection_ways
            if not _failure(_torch_products.PROJECTIONS[name], vectors, losses, theta, columns)
        ]
        combinations = [
            name
            for name in model.combination_ways
            if not _failure(_torch_products.COMBINATIONS[name], vectors, losses, theta, weights)
        ]
        some = _held_together(few, theta)
        together = model.rows_together and not _failure(model.rows_of, vectors, theta, some)
    ways = tuple(name for name, reason in reasons.items() if not reason)
    reason = "; ".join(f"{name}: {text}" for name, text in reasons.items() if text)
    return {
        "hessian_ways": ways,
        "projection_ways": tuple(projections),
        "combination_ways": tuple(combinations),
        "rows_together": together,
        "reason": "" if ways else model.reason or f'{reason}; dtype="float64" has them',
    }


def _failure(way, *arguments):
    """Return why a way raises, or "" if it does not."""
    try:
        way(*arguments)
    except Exception as error:
        return f"{type(error).__name__}, {first_line(error)}"
    return ""


def first_line(error):
    """Return the first line of the text of an error."""
    return (str(error).splitlines() or [""])[0]


def _drawn(shape, like):
    """Return fixed random numbers in the precision and on the device of a tensor."""
    generator = torch.Generator().manual_seed(_SEED)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(like)
