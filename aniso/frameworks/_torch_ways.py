"""Ways in which PyTorch computes the derivatives of a model: those that are right.

PyTorch returns wrong second derivatives for some models in some ways, and raises in others. Each
way is compared with differences, in double precision, and only right ones are used.
"""

from dataclasses import replace

import torch

from aniso.frameworks import _torch_products, _trees
from aniso.frameworks._torch_model import differentiable

STEPS = {torch.float64: (1e-4, 1e-5, 1e-6), torch.float32: (3e-2, 1e-2, 3e-3)}
"""Steps of differences."""
SLACK = {torch.float64: 1e-5, torch.float32: 2e-2}
"""Relative errors of differences: of the step's second order, and of rounding."""
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
    reference = trial.joined(_torch_products.rows_one_by_one(trial, losses, theta))
    directions = torch.stack(trial_directions(theta, reference.mean(dim=0)), dim=1)
    weights = _drawn((2, count), theta)
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
    }

    def rows(*arguments):
        return trial.joined(replace(model, rows_together=True).rows_of(*arguments))

    found["rows_together"] = _agrees(rows, (trial, theta, few), reference, tolerance)
    expected = _difference_products(trial, losses, theta, directions, count)
    ways, reasons, exact = [], [], None
    for name, way in _torch_products.HESSIAN_PRODUCTS.items():
        try:
            products = way(trial, losses, theta, directions, 1 / count)
        except Exception as error:
            reasons.append(f"{name}: {type(error).__name__}, {first_line(error)}")
            continue
        size = float(products.abs().max()) + float(reference.abs().max())
        right = exact is None and _all_columns_near(expected, products, SLACK[trial.dtype] * size)
        again = exact is not None and _near(products, exact, tolerance * size)
        if (right or again) and _is_symmetric(products, directions, tolerance * size):
            exact, ways = products, [*ways, name]
        else:
            reasons.append(f"{name}: wrong")
    return {**found, "hessian_ways": tuple(ways), "reason": "" if ways else "; ".join(reasons)}


def _agreeing(ways, arguments, expected, tolerance):
    return tuple(name for name, way in ways.items() if _agrees(way, arguments, expected, tolerance))


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
        together = model.rows_together and not _failure(model.rows_of, vectors, theta, few)
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


def trial_directions(theta, slope):
    """Return directions with a part along the gradient and a fixed random part."""
    generator = torch.Generator().manual_seed(_SEED)
    made = []
    for sign in (1.0, -1.0):
        drawn = torch.randn(theta.shape, generator=generator, dtype=torch.float64).to(theta)
        along = slope / slope.norm() if float(slope.norm()) > 0 else torch.zeros_like(slope)
        # unequal lengths, so that the parts can't cancel
        made.append(0.7 * drawn / drawn.norm() + sign * along)
    return made


def _drawn(shape, like):
    """Return fixed random numbers in the precision and on the device of a tensor."""
    generator = torch.Generator().manual_seed(_SEED)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(like)


def _difference_products(trial, losses, theta, directions, count):
    """Return Hessian products by differences of gradients, one estimate for each step."""
    weights = torch.full((count,), 1 / count, dtype=theta.dtype, device=theta.device)
    made = []
    for step in STEPS[trial.dtype]:
        columns = []
        for direction in directions.T:
            ahead, _ = _torch_products.gradient(trial, losses, theta + step * direction, weights)
            back, _ = _torch_products.gradient(trial, losses, theta - step * direction, weights)
            columns.append((ahead - back) / (2 * step))
        made.append(torch.stack(columns, dim=1))
    return made


def _agrees(way, arguments, expected, tolerance):
    try:
        found = way(*arguments)
    except Exception:
        return False
    return _near(found, expected, tolerance * (1e-30 + float(expected.abs().max())))


def _near(first, second, tolerance):
    return first.shape == second.shape and bool((first - second).abs().max() <= tolerance)


def any_near(candidates, value, tolerance):
    """Return whether one of a few differences is near a derivative."""
    # a kink between two points spoils one step, not all
    return any(bool((part - value).abs().max() <= tolerance) for part in candidates)


def _all_columns_near(candidates, products, tolerance):
    return all(
        any_near([part[:, k] for part in candidates], products[:, k], tolerance)
        for k in range(products.shape[1])
    )


def _is_symmetric(products, directions, tolerance):
    mixed = directions.T @ products
    size = float(directions.norm() ** 2)
    return bool((mixed - mixed.T).abs().max() <= tolerance * size)
