"""The quantities of a diagnosis by name, with formula, source, assumptions and cost.

>>> QUANTITIES["trace_ratio"].formula, QUANTITIES["trace_ratio"].tier
('D Tr(H Σ₁) / (Tr H Tr Σ₁)', 'curvature')
>>> len(chosen("standard")) == len(chosen("first_order")) + len(chosen("curvature"))
True
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aniso import checks
from aniso.diagnostics import _curvature, _first_order, _spectrum, _stability

TIERS = {
    "first_order": "the loss, its gradient, and the covariance of the gradients",
    "curvature": "products with the Hessian: traces, alignment, sharpness, stability",
    "spectrum": "the density of eigenvalues, outliers, ranks, the threshold of SGD",
}
"""Tiers by name, in the order of their cost."""
GROUPS = {"standard": ("first_order", "curvature"), "all": tuple(TIERS)}
"""Names of several tiers together."""

_CONVENTION = "Σ₁ is the centred covariance of one example's gradient."
_QUADRATIC = "The loss is quadratic over a step; its error is of order η³."
_DECAY = "The loss holds no weight decay but what the problem's own loss adds."


@dataclass(frozen=True)
class Quantity:
    """A quantity of a problem at one theta.

    Attributes
    ----------
    name : str
        Key in :data:`QUANTITIES`.
    tier : str
        Key in :data:`TIERS`.
    formula : str
    source : str
        Heading of the theory pages.
    compute : callable
        From the shared parts of a diagnosis to value, errors and sentence.
    needs : tuple of str
        Shared parts by name, keys of :data:`aniso.diagnostics.planning.PARTS`.
    assumptions : tuple of str
    """

    name: str
    tier: str
    formula: str
    source: str
    compute: Callable[..., Any]
    needs: tuple[str, ...]
    assumptions: tuple[str, ...] = ()


_ROWS = (
    Quantity(
        "loss",
        "first_order",
        "L(θ)",
        "docs/theory.md, Notation",
        _first_order.loss,
        ("losses",),
    ),
    Quantity(
        "gradient_norm",
        "first_order",
        "|g|",
        "docs/theory.md, Notation",
        _first_order.gradient_norm,
        ("gradient",),
    ),
    Quantity(
        "covariance_trace",
        "first_order",
        "Tr Σ₁",
        "docs/theory/noise.md, Gradient covariance of one example",
        _first_order.covariance_trace,
        ("example_gradients",),
        (_CONVENTION,),
    ),
    Quantity(
        "noise_scale",
        "first_order",
        "Tr Σ₁ / |g|²",
        "docs/theory/noise.md, Noise scales",
        _first_order.noise_scale,
        ("example_gradients",),
        (_CONVENTION,),
    ),
    Quantity(
        "elementwise_noise_scale",
        "first_order",
        "(Σ_j √(Σ₁)_jj / Σ_j |g_j|)²",
        "docs/theory/noise.md, Elementwise noise scale",
        _first_order.elementwise_noise_scale,
        ("example_gradients",),
        (_CONVENTION,),
    ),
    Quantity(
        "gradient_signal",
        "first_order",
        "|g|² / (|g|² + Tr S)",
        "docs/theory/noise.md, Noise scales",
        _first_order.gradient_signal,
        ("gradient", "example_gradients"),
    ),
    Quantity(
        "leading_eigenvalue",
        "curvature",
        "λ₁(H)",
        "docs/theory/stability.md, Limits of optimisers",
        _stability.leading_eigenvalue,
        ("pairs",),
        ("The limit is that of a quadratic without gradient noise.", _DECAY),
    ),
    Quantity(
        "preconditioned_sharpness",
        "curvature",
        "λ₁(P^{-1/2} H P^{-1/2})",
        "docs/theory/stability.md, Limits of optimisers",
        _stability.preconditioned_sharpness,
        ("preconditioned",),
        ("The preconditioner stays as it is at this step.", _DECAY),
    ),
    Quantity(
        "hessian_trace",
        "curvature",
        "Tr H",
        "docs/theory/estimates.md, Traces beyond a Krylov space",
        _curvature.hessian_trace,
        ("pairs", "hessian_trace"),
    ),
    Quantity(
        "alignment",
        "curvature",
        "Tr(H Σ₁)",
        "docs/theory/noise.md, Alignment",
        _curvature.alignment,
        ("example_gradients", "alignment"),
        (_CONVENTION,),
    ),
    Quantity(
        "trace_ratio",
        "curvature",
        "D Tr(H Σ₁) / (Tr H Tr Σ₁)",
        "docs/theory/noise.md, Alignment relative to isotropic noise",
        _curvature.trace_ratio,
        ("example_gradients", "pairs", "hessian_trace", "alignment"),
    ),
    Quantity(
        "projection_coefficient",
        "curvature",
        "u₁ᵀ Σ₁ u₁ Tr H / (λ₁ Tr Σ₁)",
        "docs/theory/noise.md, Projection coefficient",
        _curvature.projection_coefficient,
        ("example_gradients", "pairs", "hessian_trace"),
        ("The leading eigenvalue of H is simple.",),
    ),
    Quantity(
        "curvature_noise_scale",
        "curvature",
        "Tr(H Σ₁) / gᵀHg",
        "docs/theory/noise.md, Noise scales",
        _curvature.curvature_noise_scale,
        ("gradient", "example_gradients", "alignment", "hessian_gradient"),
        (_CONVENTION,),
    ),
    Quantity(
        "loss_change",
        "curvature",
        "−η |g|² + η² (gᵀHg + Tr(H S)) / 2",
        "docs/theory/noise.md, Expected change of the loss",
        _curvature.loss_change,
        ("gradient", "example_gradients", "alignment", "hessian_gradient"),
        (_QUADRATIC, _DECAY),
    ),
    Quantity(
        "gradient_share",
        "curvature",
        "|P_k g|² / |g|²",
        "docs/theory/noise.md, Shares in the leading space",
        _curvature.gradient_share,
        ("gradient", "example_gradients", "pairs"),
    ),
    Quantity(
        "noise_share",
        "curvature",
        "Tr(P_k Σ₁) / Tr Σ₁",
        "docs/theory/noise.md, Shares in the leading space",
        _curvature.noise_share,
        ("gradient", "example_gradients", "pairs"),
    ),
    Quantity(
        "directional_sharpness",
        "curvature",
        "gᵀHg / |g|²",
        "docs/theory/estimates.md, Critical and directional sharpness",
        _curvature.directional_sharpness,
        ("gradient", "hessian_gradient"),
    ),
    Quantity(
        "critical_sharpness",
        "curvature",
        "2 / η_c with L(θ − η_c g) = L(θ)",
        "docs/theory/estimates.md, Critical and directional sharpness",
        _curvature.critical_sharpness,
        ("gradient", "hessian_gradient", "line"),
    ),
    Quantity(
        "batch_sharpness",
        "curvature",
        "E[g_Bᵀ H_B g_B / |g_B|²]",
        "docs/theory/stability.md, Batch sharpness",
        _stability.batch_sharpness,
        ("batches",),
        ("It is not the limit of stability of SGD.",),
    ),
    Quantity(
        "between_blocks",
        "curvature",
        "1 − Σ_b Tr(H_bb Σ_bb) / Tr(H Σ)",
        "docs/theory/noise.md, Alignment",
        _curvature.between_blocks,
        ("example_gradients", "alignment", "pairs", "blocks"),
    ),
    Quantity(
        "spectral_density",
        "spectrum",
        "#{i : λ_i < 0} / D",
        "docs/theory/estimates.md, Spectral density",
        _spectrum.spectral_density,
        ("density",),
        ("The density is smoothed by a Gaussian of the width in the details.",),
    ),
    Quantity(
        "outliers",
        "spectrum",
        "#{i : λ_i > edge}",
        "docs/theory/estimates.md, Outliers beyond a measured bulk",
        _spectrum.outliers,
        ("pairs", "density"),
        ("The edge depends on the width of the density.",),
    ),
    Quantity(
        "stability_threshold",
        "spectrum",
        "η* = 2 / λ_max(C⁺ D)",
        "docs/theory/stability.md, Mean-square threshold of SGD",
        _stability.stability_threshold,
        ("factors",),
        (
            "The Hessians of the examples are their Gauss–Newton matrices, as at a minimum with "
            "the loss zero.",
        ),
    ),
    Quantity(
        "hessian_rank",
        "spectrum",
        "(Tr H)² / |H|_F²",
        "docs/theory/estimates.md, Participation ratio",
        _spectrum.hessian_rank,
        ("pairs", "hessian_trace", "density"),
    ),
    Quantity(
        "noise_rank",
        "spectrum",
        "(Tr Σ₁)² / |Σ₁|_F²",
        "docs/theory/estimates.md, Participation ratio",
        _spectrum.noise_rank,
        ("example_gradients",),
    ),
)

QUANTITIES = {quantity.name: quantity for quantity in _ROWS}
"""Quantities by name, in the order in which they are told."""


def chosen(quantities, optimizer=None):
    """Return quantities from names of quantities, tiers and groups, in the registry's order.

    Parameters
    ----------
    quantities : str or sequence of str
        "standard" is "first_order" with "curvature"; "all" is everything.
    optimizer : OptimizerState, optional
        Where it has no preconditioner, tiers leave out the preconditioned sharpness.

    Returns
    -------
    tuple of Quantity

    Raises
    ------
    InputError
        If a name is unknown, or there is none.

    Examples
    --------
    >>> [quantity.name for quantity in chosen(["alignment", "loss"])]
    ['loss', 'alignment']
    """
    names = [quantities] if isinstance(quantities, str) else quantities
    if not isinstance(names, (list, tuple)) or not names:
        raise checks.InputError(
            f"quantities={quantities!r}; expected 'standard', or a list of names, for instance "
            "['loss', 'alignment']"
        )
    known, wanted = [*GROUPS, *TIERS, *QUANTITIES], set()
    scaled = optimizer is not None and optimizer.preconditioner is not None
    for name in names:
        checks.one_of("quantities", name, known)
        if name in QUANTITIES:
            wanted.add(name)
            continue
        tiers = GROUPS.get(name, (name,))
        own = {each.name for each in _ROWS if each.tier in tiers}
        wanted |= own if scaled else own - {"preconditioned_sharpness"}
    return tuple(quantity for quantity in _ROWS if quantity.name in wanted)
