"""Power law between the variance of the noise and the curvature, parameter by parameter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from aniso import checks
from aniso.estimates import Estimate
from aniso.matrices import exact_traces, operands
from aniso.matrices.operators import checked_blocks

if TYPE_CHECKING:
    from aniso.typing import ArrayLike, Matrix


MIN_ENTRIES = 10
# a narrower range of log H_ii is that of rounding
_LEAST_SPREAD = 1e-9
_SHOWN = 20


@dataclass(frozen=True, repr=False)
class PowerLaw:
    """Least-squares fit of ``log C_ii = log a + gamma log H_ii``.

    Attributes
    ----------
    exponent : Estimate
        gamma; its number of samples is the number of parameters in the fit.
    low, high : float
        Interval of gamma at the confidence of the fit, from Student's distribution.
    prefactor : float
        a; inf or 0 beyond the range of floating-point numbers.
    r_squared : float
        Share of the variance of ``log C_ii`` that the fit explains; NaN where all C_ii are equal.
    num_left_out : int
        Parameters whose H_ii or C_ii is not positive.

    Examples
    --------
    >>> PowerLaw(Estimate(1.5, 0.1, 40), 1.3, 1.7, 2.0, 0.9, 3)
    <PowerLaw: exponent 1.5 ± 0.1, interval 1.3 to 1.7, R^2 0.9, 40 parameters, 3 left out>
    """

    exponent: Estimate
    low: float
    high: float
    prefactor: float
    r_squared: float
    num_left_out: int

    def __repr__(self):
        return (
            f"<PowerLaw: exponent {self.exponent}, interval {self.low:.4g} to {self.high:.4g}, "
            f"R^2 {self.r_squared:.4g}, {self.exponent.num_samples} parameters, "
            f"{self.num_left_out} left out>"
        )


@dataclass(frozen=True, repr=False)
class BlockPowerLaws:
    """Power laws of the blocks of theta, by name; a block without a fit is refused by its name.

    Attributes
    ----------
    fits : dict of str to PowerLaw
        The blocks with a fit, in the order of theta.
    refused : dict of str to str
        The other blocks, and the reason of each.

    Examples
    --------
    >>> BlockPowerLaws({}, {"bias": "2 of 3 entries are positive"})
    <BlockPowerLaws: 0 blocks, 1 refused>
    bias             refused: 2 of 3 entries are positive
    """

    fits: dict[str, PowerLaw]
    refused: dict[str, str]

    def __getitem__(self, name):
        if name in self.refused:
            raise checks.InputError(f"block {name!r} has no power law: {self.refused[name]}")
        if name not in self.fits:
            known = ", ".join([*self.fits, *self.refused])
            raise checks.InputError(f"block={name!r}; expected one of: {known}")
        return self.fits[name]

    def __repr__(self):
        lines = [f"<BlockPowerLaws: {len(self.fits)} blocks, {len(self.refused)} refused>"]
        lines += [
            f"{name:<16} exponent {fit.exponent}, {fit.low:.3g} to {fit.high:.3g}, "
            f"R^2 {fit.r_squared:.3g}, {fit.exponent.num_samples} parameters"
            for name, fit in self.fits.items()
        ]
        lines += [f"{name:<16} refused: {reason}" for name, reason in self.refused.items()]
        if len(lines) > _SHOWN + 1:
            lines[_SHOWN + 1 :] = [f"... {len(lines) - _SHOWN - 1} more blocks"]
        return "\n".join(lines)


def fit_power_law(
    curvatures: ArrayLike, variances: ArrayLike, *, confidence: float = 0.95
) -> PowerLaw:
    """Fit the exponent gamma of ``C_ii ~ H_ii^gamma`` by least squares of the logarithms.

    Parameters
    ----------
    curvatures : array_like, shape (n,)
        H_ii, or another measure of curvature, such as the mean square over the examples.
    variances : array_like, shape (n,)
        C_ii.
    confidence : float
        Confidence of the interval, within (0, 1).

    Returns
    -------
    PowerLaw

    Raises
    ------
    InputError
        If fewer than 10 pairs are positive, their curvatures are all equal, or an argument breaks
        its rule.

    Notes
    -----
    The interval holds for independent normal residuals of equal variance. Residuals of parameters
    of one layer are correlated as a rule; then the interval is too narrow. Pairs that are not
    positive are left out, which is a selection where many are.

    Examples
    --------
    >>> curvatures = np.arange(1.0, 13.0)
    >>> law = fit_power_law(curvatures, 3 * curvatures**2)
    >>> round(law.exponent.value, 12), round(law.prefactor, 12)
    (2.0, 3.0)
    """
    curvatures = checks.array("curvatures", curvatures, shape=(None,))
    variances = checks.array("variances", variances, shape=curvatures.shape)
    confidence = checks.number("confidence", confidence, low=0, high=1, strict=True)
    reason = _reason_against(curvatures, variances)
    if reason:
        raise checks.InputError(reason)
    return _fit(curvatures, variances, confidence)


def noise_power_laws(
    hessian: Matrix,
    covariance: Matrix,
    blocks: dict[str, slice] | None = None,
    *,
    confidence: float = 0.95,
    max_products: int = operands.MAX_PRODUCTS,
) -> BlockPowerLaws:
    """Fit ``C_ii ~ H_ii^gamma`` within each block of theta.

    Parameters
    ----------
    hessian : array_like (D, D) or LinearOperator
        Symmetric; its diagonal is used.
    covariance : array_like (D, D), LinearOperator or GradientCovariance
        Symmetric positive semi-definite; its diagonal is used.
    blocks : dict of str to slice, optional
        Parts of 0..D. The blocks of `hessian` or of `covariance` if not given; one block for all
        of theta if these have none.
    confidence : float
        Confidence of the intervals, within (0, 1).
    max_products : int
        Largest number of products of an operator that does not know its diagonal.

    Returns
    -------
    BlockPowerLaws
        ``laws[name]`` raises for a block with fewer than 10 positive pairs.

    Raises
    ------
    InputError
        If an argument breaks its rule, or no block has 10 positive pairs.

    Notes
    -----
    An empirical law: Zhang, Yang & Tu 2026 report exponents from 1 to 2. See
    :func:`fit_power_law` for the conditions of the interval. Formulas: docs/theory/noise.md.

    Examples
    --------
    >>> diagonal = np.arange(1.0, 12.0)
    >>> blocks = {"weights": slice(0, 10), "bias": slice(10, 11)}
    >>> noise_power_laws(np.diag(diagonal), np.diag(diagonal), blocks)
    <BlockPowerLaws: 1 blocks, 1 refused>
    weights          exponent 1 ± 0, 1 to 1, R^2 1, 10 parameters
    bias             refused: 1 of 1 pairs (H_ii, C_ii) are positive; expected at least 10
    """
    hessian = operands.symmetric("hessian", hessian)
    dimension = hessian.shape[0]
    covariance = operands.covariance("covariance", covariance, size=dimension)
    confidence = checks.number("confidence", confidence, low=0, high=1, strict=True)
    if blocks is None:
        known = getattr(hessian, "blocks", None), getattr(covariance, "blocks", None)
        blocks = next((each for each in known if each), {"theta": slice(0, dimension)})
    blocks = checked_blocks(blocks, dimension)
    curvatures, variances = (
        np.asarray(exact_traces.diagonal(matrix, max_products=max_products), dtype=np.float64)
        for matrix in (hessian, covariance)
    )
    fits, refused = {}, {}
    for name, part in blocks.items():
        reason = _reason_against(curvatures[part], variances[part])
        if reason:
            refused[name] = reason
        else:
            fits[name] = _fit(curvatures[part], variances[part], confidence)
    if not fits:
        reasons = "; ".join(f"{name!r}: {reason}" for name, reason in refused.items())
        raise checks.InputError(f"no block has a power law: {reasons}")
    return BlockPowerLaws(fits, refused)


def _reason_against(curvatures, variances):
    chosen = (curvatures > 0) & (variances > 0)
    count = int(chosen.sum())
    if count < MIN_ENTRIES:
        return (
            f"{count} of {chosen.size} pairs (H_ii, C_ii) are positive; expected at least "
            f"{MIN_ENTRIES}"
        )
    logarithms = np.log(curvatures[chosen])
    if np.ptp(logarithms) <= _LEAST_SPREAD:
        return (
            f"all {count} positive H_ii are equal up to a factor of 1 + "
            f"{np.expm1(np.ptp(logarithms)):.2g}; expected different ones"
        )
    return ""


def _fit(curvatures, variances, confidence):
    chosen = (curvatures > 0) & (variances > 0)
    u, v = np.log(curvatures[chosen]), np.log(variances[chosen])
    # centred, so that large logarithms take no digits from the slope
    found = scipy.stats.linregress(u - u.mean(), v - v.mean())
    with np.errstate(over="ignore", under="ignore"):
        prefactor = float(np.exp(v.mean() - found.slope * u.mean()))
    constant = np.ptp(v) == 0
    error = 0.0 if constant else float(found.stderr)
    exponent = Estimate(float(found.slope), error, int(chosen.sum()))
    quantile = float(scipy.stats.t.ppf(0.5 + confidence / 2, exponent.num_samples - 2))
    half = quantile * exponent.standard_error
    return PowerLaw(
        exponent,
        exponent.value - half,
        exponent.value + half,
        prefactor,
        math.nan if constant else float(found.rvalue) ** 2,
        int(chosen.size - chosen.sum()),
    )
