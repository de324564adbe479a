"""Derivatives of a PyTorch model against differences of losses and of gradients."""

import torch

from aniso.frameworks import _torch_products

# a short step crosses no kink of a million units, a long one has little rounding
STEPS = {
    torch.float64: (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9),
    torch.float32: (3e-2, 1e-2, 3e-3),
}
# errors of differences: of the step's second order, and of rounding
SLACK = {torch.float64: 1e-5, torch.float32: 2e-2}
_SEED = 0


def directions_of(theta, slope):
    """Return directions with a part along the gradient and a fixed random part."""
    generator = torch.Generator().manual_seed(_SEED)
    made = []
    for sign in (1.0, -1.0):
        drawn = torch.randn(theta.shape, generator=generator, dtype=torch.float64).to(theta)
        along = slope / slope.norm() if float(slope.norm()) > 0 else torch.zeros_like(slope)
        # unequal lengths, so that the parts can't cancel
        made.append(0.7 * drawn / drawn.norm() + sign * along)
    return made


def near_differences(layout, products, losses, theta, directions, weights, tolerance):
    """Return whether each Hessian product is near a difference of gradients, at some step."""
    return all(
        any_near(_differences(layout, losses, theta, direction, weights), product, tolerance)
        for direction, product in zip(directions.T, products.T, strict=True)
    )


def _differences(layout, losses, theta, direction, weights):
    """Yield the product with a direction by differences of gradients, one for each step."""
    for step in STEPS[theta.dtype]:
        ahead, _ = _torch_products.gradient(layout, losses, theta + step * direction, weights)
        back, _ = _torch_products.gradient(layout, losses, theta - step * direction, weights)
        yield (ahead - back) / (2 * step)


def agrees(way, arguments, expected, tolerance):
    """Return whether a way gives what is expected, up to a tolerance; not if it raises."""
    try:
        found = way(*arguments)
    except Exception:
        return False
    return near(found, expected, tolerance * (1e-30 + float(expected.abs().max())))


def near(first, second, tolerance):
    """Return whether two tensors agree in shape, and in each entry up to a tolerance."""
    return first.shape == second.shape and bool((first - second).abs().max() <= tolerance)


def any_near(candidates, value, tolerance):
    """Return whether one of the candidates is near a tensor in each entry."""
    # a kink between two points spoils one step, not all
    return any(bool((part - value).abs().max() <= tolerance) for part in candidates)


def is_symmetric(products, directions, tolerance):
    """Return whether Hessian products with directions are those of a symmetric matrix."""
    mixed = directions.T @ products
    size = float(directions.norm() ** 2)
    return bool((mixed - mixed.T).abs().max() <= tolerance * size)
