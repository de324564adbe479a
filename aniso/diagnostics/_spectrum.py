"""Quantities of the spectrum of the Hessian."""

import numpy as np

from aniso import checks
from aniso import matrices as mat
from aniso.diagnostics._context import positive
from aniso.diagnostics._found import Found, ratio_error, rounding_of, shown

CONFIDENCE = 0.95


def spectral_density(context):
    """Share of negative eigenvalues; the density with its band is in the details."""
    density = context.density
    # zero to rounding is not negative
    floor = rounding_of(density.nodes, context.size)
    negative = density.mean_of(lambda nodes: (nodes < -floor).astype(float))
    low, high = density.band(CONFIDENCE)
    mean = density.mean_of(lambda nodes: nodes)
    return Found(
        negative.value,
        "The share {shown} of the eigenvalues of H is negative; they lie between "
        f"{float(density.nodes.min()):.3g} and {float(density.nodes.max()):.3g} with the mean "
        f"{shown(mean.value, mean.standard_error)}.",
        {"probes": negative.standard_error},
        {
            "eigenvalues": density.points.tolist(),
            "density": density.values.tolist(),
            "lower": low.tolist(),
            "upper": high.tolist(),
            "confidence": CONFIDENCE,
            "width": float(density.width),
            "smallest": float(density.nodes.min()),
            "largest": float(density.nodes.max()),
        },
        () if density.exact else ("The share counts nodes of the quadrature, not eigenvalues.",),
    )


def outliers(context):
    """Number of eigenvalues beyond the bulk."""
    found = mat.outliers_beyond_bulk(context.eigenvalues, context.density, confidence=CONFIDENCE)
    least = "" if found.all_given else "at least "
    return Found(
        found.count,
        f"Of the eigenvalues of H, {least}{found.count} stand above the bulk, which ends at "
        f"{found.edge:.3g}.",
        details={
            "values": found.values.tolist(),
            "edge": found.edge,
            "rule": found.rule,
            "all_given": found.all_given,
        },
    )


def hessian_rank(context):
    """Participation ratio of the eigenvalues of H.

    Parameters
    ----------
    context : Context

    Returns
    -------
    Found
    """
    # in a unit whose square is a floating-point number
    unit = float(np.abs(context.density.nodes).max()) or 1.0
    square = context.density.mean_of(lambda nodes: np.square(nodes / unit))
    curved = context.hessian_trace
    value = (curved.value / unit) ** 2 / positive("Tr H^2", square.value * context.size)
    error = np.hypot(2 * ratio_error(value, curved), ratio_error(value, square))
    sentence = f"The curvature is spread over about {{shown}} of {context.size} directions."
    negative, size = (
        context.density.mean_of(function).value for function in (_negative_part, np.abs)
    )
    share = negative / size if size > 0 else 0.0
    if share > _NEGLIGIBLE:
        sentence = (
            "(Tr H)^2 / Tr H^2 is {shown}; it counts no directions here, because negative "
            f"eigenvalues, {share:.2g} of the sum of all sizes, cancel positive ones."
        )
    return Found(value, sentence, {"probes": float(error)}, {"negative_share": share})


# of the sum of |lambda|: the participation ratio is then too small by less than a tenth
_NEGLIGIBLE = 0.025


def _negative_part(nodes):
    return np.maximum(-nodes, 0.0)


def noise_rank(context):
    """Participation ratio of the eigenvalues of Sigma."""
    norm = mat.frobenius_norm(context.noise) * context.correction
    if not norm > 0:
        raise checks.InputError("|Sigma|_F is 0; expected gradients that differ")
    value = (context.covariance_trace / norm) ** 2
    sentence = f"The noise is spread over about {{shown}} of {context.size} directions."
    used, count = context.used, context.request.num_examples
    if used == count:
        return Found(value, sentence)
    told = (
        f"The rank {value:.4g} of {used} examples is corrected to that of all {count} as for "
        "normal gradients."
    )
    return Found(_rank_of_all(value, used, count), sentence, assumptions=(told,))


def _rank_of_all(rank, used, count):
    # |Sigma|_F^2 of few examples exceeds that of all by about (Tr Sigma)^2 / (n - 1)
    inverse = 1 / rank - 1 / (used - 1) + 1 / (count - 1)
    if not inverse > 0:
        raise checks.InputError(
            f"{used} examples have noise of the rank {rank:.3g}, which tells none for all {count}; "
            "expected more num_examples"
        )
    return 1 / inverse
