"""The alignment ``Tr(H Sigma)`` and its parts within and between blocks of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aniso import checks
from aniso.matrices import exact_traces, operands
from aniso.matrices.factored import is_factored
from aniso.matrices.operators import checked_blocks

if TYPE_CHECKING:
    from aniso.typing import Array, Matrix


_SHOWN = 20


@dataclass(frozen=True, repr=False)
class BlockAlignment:
    """Alignment of curvature and noise, in total and by block of parameters.

    Attributes
    ----------
    names : tuple of str
        Names of the B blocks, in the order of theta.
    sizes : ndarray of int, shape (B,)
        Parameters D_b of each block.
    hessian_traces, covariance_traces : ndarray, shape (B,)
        ``Tr H_bb`` and ``Tr Sigma_bb``; 0 where zero to rounding.
    alignments : ndarray, shape (B,)
        ``Tr(H_bb Sigma_bb)``; their sum lacks the terms between blocks.
    alignment : float
        ``Tr(H Sigma)``; 0 where the noise is zero to rounding.
    hessian_trace, covariance_trace : float
        ``Tr H`` and ``Tr Sigma``; 0 where zero to rounding.

    Examples
    --------
    >>> blocks = {"a": slice(0, 1), "b": slice(1, 3)}
    >>> alignment_by_block(np.diag([4.0, 1.0, 1.0]), np.diag([2.0, 0.0, 1.0]), blocks)
    <BlockAlignment: D = 3, Tr(H Sigma) = 9, isotropic 6, ratio 1.5>
    block              size        Tr H    Tr Sigma   Tr(H Sigma)      ratio      share
    a                     1           4           2             8          1     0.8889
    b                     2           2           1             1          1     0.1111
    between blocks                                              0                     0
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    hessian_traces: np.ndarray
    covariance_traces: np.ndarray
    alignments: np.ndarray
    alignment: float
    hessian_trace: float
    covariance_trace: float

    @property
    def isotropic(self) -> float:
        """``Tr H Tr Sigma / D``, the alignment of isotropic noise of equal trace."""
        return self.hessian_trace * self.covariance_trace / int(self.sizes.sum())

    @property
    def ratio(self) -> float:
        """``Tr(H Sigma) / Tr(H Sigma_bar)``, Sigma_bar isotropic of equal trace.

        Raises
        ------
        InputError
            If Tr H or Tr Sigma is zero to its rounding.
        """
        if self.isotropic == 0:
            raise checks.InputError(
                f"Tr H is {self.hessian_traces.sum():g} and Tr Sigma "
                f"{self.covariance_traces.sum():g}, one of them zero to its rounding; expected "
                "non-zero traces: a ratio to them has no meaning"
            )
        return self.alignment / self.isotropic

    @property
    def block_isotropic(self) -> Array:
        """``Tr H_bb Tr Sigma_bb / D_b``, shape (B,)."""
        return self.hessian_traces * self.covariance_traces / self.sizes

    @property
    def block_ratios(self) -> Array:
        """``D_b Tr(H_bb Sigma_bb) / (Tr H_bb Tr Sigma_bb)``, shape (B,); NaN for a zero trace."""
        return _divided(self.alignments, self.block_isotropic)

    @property
    def between_blocks(self) -> float:
        """Part of pairs of different blocks, ``Tr(H Sigma) - sum_b Tr(H_bb Sigma_bb)``."""
        return self.alignment - float(self.alignments.sum())

    @property
    def shares(self) -> dict[str, float]:
        """Shares of ``Tr(H Sigma)`` by name, "between blocks" last; their sum is 1."""
        parts = np.append(self.alignments, self.between_blocks)
        shares = _divided(parts, np.full(len(parts), self.alignment))
        return dict(zip((*self.names, "between blocks"), map(float, shares), strict=True))

    def __repr__(self):
        ratio = f"{self.ratio:.4g}" if self.isotropic != 0 else "undefined"
        lines = [
            f"<BlockAlignment: D = {int(self.sizes.sum())}, Tr(H Sigma) = {self.alignment:.4g}, "
            f"isotropic {self.isotropic:.4g}, ratio {ratio}>",
            f"{'block':<16}{'size':>7}{'Tr H':>12}{'Tr Sigma':>12}{'Tr(H Sigma)':>14}"
            f"{'ratio':>11}{'share':>11}",
        ]
        shares, ratios = list(self.shares.values()), self.block_ratios
        for b, name in enumerate(self.names[:_SHOWN]):
            lines.append(
                f"{name:<16}{self.sizes[b]:>7}{self.hessian_traces[b]:>12.4g}"
                f"{self.covariance_traces[b]:>12.4g}{self.alignments[b]:>14.4g}"
                f"{ratios[b]:>11.4g}{shares[b]:>11.4g}"
            )
        if len(self.names) > _SHOWN:
            lines.append(f"... {len(self.names) - _SHOWN} more blocks")
        lines.append(f"{'between blocks':<47}{self.between_blocks:>14.4g}{shares[-1]:>22.4g}")
        return "\n".join(lines)


def alignment_by_block(
    hessian: Matrix,
    covariance: Matrix,
    blocks: dict[str, slice] | None = None,
    *,
    max_products: int = operands.MAX_PRODUCTS,
) -> BlockAlignment:
    """Return ``Tr(H Sigma)`` and its parts by block of parameters, exact.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric.
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite.
    blocks : dict of str to slice, optional
        Parts that cover 0..D once. The blocks of `hessian` or of `covariance` if not given.
    max_products : int
        Largest number of products of an operator of unknown structure.

    Returns
    -------
    BlockAlignment

    Raises
    ------
    InputError
        If a matrix breaks its rule, the blocks overlap or leave a part out, or more than
        `max_products` products would be needed; the message then names the estimator.

    Notes
    -----
    Cost: D^2 for two arrays. For a covariance of n factor rows, n (B + 1) products of an operator
    that knows its diagonal, where these are fewer than D; D products of both operators otherwise.

    Examples
    --------
    >>> blocks = {"a": slice(0, 1), "b": slice(1, 2)}
    >>> found = alignment_by_block([[2.0, 1.0], [1.0, 2.0]], [[1.0, 0.5], [0.5, 1.0]], blocks)
    >>> found.alignment, found.shares
    (5.0, {'a': 0.4, 'b': 0.4, 'between blocks': 0.2})
    """
    hessian = operands.symmetric("hessian", hessian)
    dimension = hessian.shape[0]
    covariance = operands.covariance("covariance", covariance, size=dimension)
    blocks = covering_blocks(hessian, covariance, blocks)
    parts = list(blocks.values())
    if _rows_are_fewer(hessian, covariance, len(parts)):
        total, by_block = _by_rows(hessian, covariance, parts, max_products)
        diagonal = exact_traces.diagonal(hessian)
    else:
        total, by_block, diagonal = _by_columns(hessian, covariance, parts, max_products)
    variances = exact_traces.diagonal(covariance, max_products=max_products)
    noise = np.array([variances[part].sum() for part in parts])
    if exact_traces.significant_trace(covariance, max_products=max_products) == 0:
        total, noise = 0.0, np.zeros(len(parts))
    error = 8 * operands.rounding(hessian) * np.abs(diagonal)
    curvature, curvature_trace = block_traces(diagonal, error, parts)
    return BlockAlignment(
        tuple(blocks),
        np.array([part.stop - part.start for part in parts]),
        curvature,
        noise,
        np.where(noise == 0, 0.0, by_block),
        float(total),
        curvature_trace,
        float(noise.sum()),
    )


def block_traces(diagonal, rounding, parts):
    """Return the traces of diagonal blocks and their sum, 0 where not above their rounding.

    Parameters
    ----------
    diagonal, rounding : ndarray, shape (D,)
        The entries and the error of each.
    parts : list of slice
        Parts of theta, one for each block.

    Returns
    -------
    by_block : ndarray, shape (B,)
    total : float

    Examples
    --------
    >>> block_traces(np.array([1.0, 2.0, -2.0]), np.full(3, 1e-9), [slice(0, 1), slice(1, 3)])
    (array([1., 0.]), 1.0)
    """
    traces = np.array([diagonal[part].sum() for part in parts], dtype=np.float64)
    errors = np.array([rounding[part].sum() for part in parts], dtype=np.float64)
    total = float(traces.sum())
    if abs(total) <= errors.sum():
        total = 0.0
    return np.where(np.abs(traces) <= errors, 0.0, traces), total


def covering_blocks(hessian, covariance, blocks):
    """Return blocks that cover 0..D once, those of a matrix if none are given.

    Raises
    ------
    InputError
        If there are none, or they overlap or leave a part out.
    """
    dimension = hessian.shape[0]
    if blocks is None:
        known = getattr(hessian, "blocks", None), getattr(covariance, "blocks", None)
        blocks = next((each for each in known if each is not None), None)
    blocks, stop = checked_blocks(blocks, dimension), 0
    for part in (*blocks.values(), slice(dimension, dimension)):
        if part.start != stop:
            raise checks.InputError(
                f"blocks leave out {stop}..{part.start}; expected parts that cover 0..{dimension}"
            )
        stop = part.stop
    return blocks


def _rows_are_fewer(hessian, covariance, num_blocks):
    if not is_factored(covariance):
        return False
    known = operands.is_dense(hessian) or exact_traces.states(hessian, "diagonal")
    return known and covariance.num_rows * (num_blocks + 1) < hessian.shape[0]


def _by_rows(hessian, covariance, parts, max_products):
    num_rows, dimension = covariance.num_rows, hessian.shape[0]
    if not operands.is_dense(hessian):
        needed = num_rows * (len(parts) + 1)
        operands.require_products(needed, max_products, "estimate_alignment")
    total, by_block = 0.0, np.zeros(len(parts))
    largest = getattr(covariance, "rows_at_once", None)
    for start, stop in operands.ranges(num_rows, dimension, largest):
        rows = covariance.factor_rows(start, stop)
        total += _forms(hessian, rows)
        for number, part in enumerate(parts):
            own = np.zeros_like(rows)
            own[:, part] = rows[:, part]
            by_block[number] += _forms(hessian, own)
    return operands.finite_products(total), by_block


def _forms(matrix, rows):
    return float(np.einsum("ij,ji->", rows, matrix @ rows.T))


def _by_columns(hessian, covariance, parts, max_products):
    dimension = hessian.shape[0]
    if not (operands.is_dense(hessian) and operands.is_dense(covariance)):
        operands.require_products(dimension, max_products, "estimate_alignment")
    total, by_block, diagonal = 0.0, np.zeros(len(parts)), np.empty(dimension)
    for start, stop in operands.ranges(dimension, dimension):
        columns = operands.unit_columns(dimension, start, stop)
        first, second = (
            matrix[:, start:stop] if operands.is_dense(matrix) else matrix @ columns
            for matrix in (hessian, covariance)
        )
        diagonal[start:stop] = first[np.arange(start, stop), np.arange(stop - start)]
        total += float(np.einsum("ij,ij->", first, second))
        for number, part in enumerate(parts):
            low, high = max(part.start, start), min(part.stop, stop)
            if low < high:
                own = part, slice(low - start, high - start)
                by_block[number] += float(np.einsum("ij,ij->", first[own], second[own]))
    return operands.finite_products(total), by_block, diagonal


def _divided(numerators, denominators):
    result = np.full(len(numerators), np.nan)
    return np.divide(numerators, denominators, out=result, where=denominators != 0)
