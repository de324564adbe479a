"""Reflecting walls: a box whose sides mirror the paths, coordinate by coordinate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks

if TYPE_CHECKING:
    from aniso.typing import ArrayLike


@dataclass(frozen=True)
class Walls:
    """A box with reflecting sides, made by :func:`reflecting_box`.

    Attributes
    ----------
    low, high : numpy.ndarray, shape (D,)
        Ends of each coordinate; -inf and inf where there is no wall.
    """

    low: np.ndarray
    high: np.ndarray

    def __post_init__(self):
        for name in ("low", "high"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=float, order="C"))

    @property
    def ends(self):
        """Low and high ends, shape (2, D), as kernels take them."""
        return np.stack([self.low, self.high])


def reflecting_box(low: ArrayLike, high: ArrayLike) -> Walls:
    """Return a box that its paths never leave: its sides reflect them along the coordinates.

    Parameters
    ----------
    low, high : array_like, shape (D,)
        Ends of each coordinate, ``low < high``; -inf and inf where there is no wall.

    Returns
    -------
    Walls

    Raises
    ------
    InputError
        If an end is NaN, low is not below high, or there is no wall at all.

    Notes
    -----
    The equation gets a push ``dk`` at a side, along the inward normal of that side (Skorokhod).
    Each step of the scheme is mirrored at the sides that it passes. For Brownian motion this is
    exact, and at one smooth wall it has weak order 1 for any noise. Source: Bossy, Gobet and Talay
    (2004).

    Examples
    --------
    >>> reflecting_box([0.0, -np.inf], [1.0, np.inf]).ends.tolist()
    [[0.0, -inf], [1.0, inf]]
    """
    ends = []
    for name, value in (("low", low), ("high", high)):
        value = np.asarray(checks.real_array(name, value), dtype=float)
        if value.ndim != 1 or value.size == 0 or np.isnan(value).any():
            raise checks.InputError(
                f"{name} has shape {value.shape} or holds NaN; expected (D,) numbers, -inf and inf "
                "where there is no wall"
            )
        ends.append(value)
    low, high = ends
    if low.shape != high.shape or not (low < high).all():
        raise checks.InputError(
            f"low={low.tolist()}, high={high.tolist()}; expected as many ends, with low < high"
        )
    if np.isinf(ends).all():
        raise checks.InputError("the box is the whole space; expected one finite end")
    return Walls(low, high)


def require_inside(walls, start):
    """Refuse walls of another dimension, or a start outside of them.

    Examples
    --------
    >>> require_inside(reflecting_box([0.0], [1.0]), np.array([0.5]))
    """
    if not isinstance(walls, Walls) or walls.low.shape != start.shape:
        raise checks.InputError(
            f"walls={walls!r}; expected None or walls.reflecting_box(low, high) in {len(start)} "
            "dimensions"
        )
    outside = (start < walls.low) | (start > walls.high)
    if outside.any():
        i = int(np.argmax(outside))
        raise checks.InputError(
            f"start[{i}]={start[i]:.6g}; expected a number within the walls, from "
            f"{walls.low[i]:.6g} to {walls.high[i]:.6g}"
        )
