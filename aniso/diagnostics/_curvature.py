"""Quantities of the curvature, and of curvature and noise together."""

import numpy as np

from aniso import checks, problems
from aniso import matrices as mat
from aniso.arrays import transfer
from aniso.diagnostics._context import positive
from aniso.diagnostics._found import Found, ratio_error, shown
from aniso.diagnostics._stability import steps_rate
from aniso.matrices import exact_traces


def hessian_trace(context):
    """Trace of the Hessian."""
    found = context.hessian_trace
    return Found(
        found.value,
        f"The curvature sums to {{shown}} over {context.size} directions, on average "
        f"{found.value / context.size:.3g}.",
        {"probes": found.standard_error},
        _counts(found) | {"mean": found.value / context.size},
    )


def alignment(context):
    """Alignment of curvature and noise of one example."""
    found = context.alignment
    batch = found.scaled(context.batch_factor)
    verb = "raises" if found.value >= 0 else "changes"
    return Found(
        found.value,
        f"The noise of one example {verb} the loss by {{shown}} times half the squared learning "
        f"rate in a step; that of a batch of {context.request.batch_size} by "
        f"{shown(batch.value, batch.standard_error)}.",
        {"probes": found.standard_error},
        _counts(found)
        | {
            "batch": batch.value,
            "batch_error": batch.standard_error,
            "target_reached": bool(
                found.standard_error <= context.request.relative_error * abs(found.value)
            ),
        },
    )


def trace_ratio(context):
    """Alignment over that of isotropic noise of equal trace."""
    aligned, curved = context.alignment, context.hessian_trace
    _require("Tr H", curved)
    noise = positive("Tr Sigma", context.covariance_trace)
    value = context.size * aligned.value / (curved.value * noise)
    # both come from the same probes
    error = ratio_error(value, aligned) + ratio_error(value, curved)
    sentence = (
        "The noise is {shown} times as aligned with the curvature as isotropic noise of the same "
        "size."
    )
    if min(aligned.value, curved.value) < 0:
        sentence = (
            "The ratio to isotropic noise of the same size is {shown}. It is no measure of "
            f"alignment here: Tr(HΣ) is {aligned.value:.3g} and Tr H is {curved.value:.3g}, and a "
            "negative one means that negative curvature prevails."
        )
    return Found(
        value,
        sentence,
        {"probes": error},
        {"isotropic": curved.value * noise / context.size},
    )


def projection_coefficient(context):
    """Noise along the leading eigenvector over its share of the curvature."""
    value, vector = context.leading
    curved, noise = context.hessian_trace, positive("Tr Sigma", context.covariance_trace)
    _require("Tr H", curved)
    along = float(context.noise.quadratic_form(vector)) * context.correction
    unit = along / (value * noise)
    found = curved.scaled(unit)
    sentence = (
        "Along the leading eigenvector of H, the noise is {shown} times what it would be if the "
        "covariance were proportional to H."
    )
    if curved.value < 0:
        sentence = (
            f"The projection coefficient is {{shown}}. It compares with no share of the curvature: "
            f"Tr H is {curved.value:.3g}."
        )
    return Found(
        found.value,
        sentence,
        {"probes": found.standard_error},
        {"along": along, "leading_eigenvalue": value},
    )


def curvature_noise_scale(context):
    """Noise scale in the inner product of H."""
    along = positive("g^T H g", context.gradient_curvature)
    found = context.alignment.scaled(1 / along)
    factor = found.value * context.batch_factor
    sentence = (
        "Weighted with the curvature, noise and gradient are equally large at a batch of {shown} "
        f"examples; with batches of {context.request.batch_size} the noise costs {factor:.3g} "
        "times what the curvature along the gradient costs."
    )
    if found.value < 0:
        sentence = (
            "Weighted with the curvature, the noise scale is {shown}. It is no number of examples: "
            "Tr(HΣ) is negative, so that noise lowers the loss."
        )
    return Found(
        found.value,
        sentence,
        {"probes": found.standard_error},
        {"gradient_curvature": along},
    )


def loss_change(context):
    """Expected change of the loss in one step.

    Parameters
    ----------
    context : Context

    Returns
    -------
    Found
    """
    rate, asked = steps_rate(context), context.request
    noise = context.alignment.scaled(context.batch_factor)
    square = float(context.gradient @ context.gradient)
    change = mat.LossChange(
        rate, square, context.gradient_curvature, noise.value, noise.standard_error
    )
    details = {
        "slope": change.slope_part,
        "curvature": change.curvature_part,
        "noise": change.noise_part,
    }
    advice = "no learning rate is best, because the quadratic model falls without bound."
    if change.gradient_curvature + change.noise_curvature > 0:
        details["best_learning_rate"] = change.best_learning_rate
        advice = f"it falls most at the learning rate {change.best_learning_rate:.3g}."
    without, optimizer = "", asked.optimizer
    if optimizer is not None and optimizer.preconditioner is not None:
        without = f" without the {optimizer.name} preconditioner"
    elif optimizer is not None and optimizer.momentum != 0:
        without = " without momentum"
    return Found(
        change.total,
        f"In one step of SGD{without} with η = {rate:g} and batches of {asked.batch_size} the loss "
        f"changes by {{shown}} on average; {advice}",
        {"probes": change.total_error},
        details,
    )


def gradient_share(context):
    """Share of the gradient in the leading space of H."""
    return _share(context, _shares(context).gradient, "squared gradient")


def noise_share(context):
    """Share of the noise in the leading space of H."""
    return _share(context, _shares(context).noise, "noise")


def _share(context, shares, what):
    count = len(shares)
    return Found(
        float(shares[-1]),
        f"The {count} leading eigenvectors of H hold the share {{shown}} of the {what}; "
        f"{count} random directions would hold {count / context.size:.3g}.",
        details={"shares": shares.tolist(), "eigenvalues": context.pairs.values.tolist()},
    )


def between_blocks(context):
    """Share of the alignment that lies between different blocks, and all blocks.

    Parameters
    ----------
    context : Context

    Returns
    -------
    Found
    """
    names = list(context.request.blocks)
    if context.knows_blocks:
        found = context.exact_blocks
        sizes, aligned, curved = found.sizes, found.alignments, found.hessian_traces
        shares = [(value, 0.0) for value in found.shares.values()]
        noise, errors, columns = found.covariance_traces, {}, []
    else:
        aligned, shares = _aligned_by_block(context)
        traces, parts = context.block_curvatures, list(context.request.blocks.values())
        sizes = np.array([rows.stop - rows.start for rows in parts])
        curved = np.array([each.value for each in traces])
        diagonal = exact_traces.diagonal(context.noise)
        noise = np.array([diagonal[rows].sum() for rows in parts])
        shares = [(each.value, each.standard_error) for each in shares]
        errors = {"probes": shares[-1][1]}
        columns = [
            ("Tr H error", [each.standard_error for each in traces]),
            ("Tr(H Sigma) error", [each.standard_error * context.correction for each in aligned]),
            ("share error", [error for _, error in shares]),
        ]
        aligned = np.array([each.value for each in aligned])
    noise, aligned = noise * context.correction, aligned * context.correction
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = sizes * aligned / (curved * noise)
    columns = [
        ("size", sizes),
        ("Tr H", curved),
        ("Tr Sigma", noise),
        ("Tr(H Sigma)", aligned),
        ("ratio", ratios),
        ("share", [value for value, _ in shares]),
        *columns,
    ]
    blocks = {
        name: {
            column: float(values[number])
            for column, values in columns
            if np.isfinite(values[number])
        }
        for number, name in enumerate(names)
    }
    largest = max(names, key=lambda name: abs(blocks[name].get("share", 0.0)))
    value = shares[-1][0]
    positive("|Tr(H Sigma)|", abs(context.alignment.value))
    return Found(
        float(value),
        "The share {shown} of Tr(H Σ) lies between different blocks; within blocks the largest "
        f"share, {blocks[largest]['share']:.3g}, is that of {largest}.",
        errors,
        blocks=blocks,
    )


def _aligned_by_block(context):
    """Return estimates of Tr(H_bb Sigma_bb) of each block, and of all shares."""
    found, count = context.shared_alignment, len(context.request.blocks)
    if found is not None:
        shares = [found.share(number) for number in (*range(count), -1)]
        return [found.estimate(number) for number in range(count)], shares
    own = mat.estimate_alignment_by_block(
        context.hessian,
        context.noise,
        context.rng("between_blocks"),
        context.request.blocks,
        relative_error=context.request.relative_error,
        max_products=context.request.max_products,
        whole=context.own_alignment,
    )
    return own.alignments, list(own.shares.values())


def directional_sharpness(context):
    """Curvature along the gradient."""
    square = positive("|g|^2", float(context.gradient @ context.gradient))
    value, rate = context.gradient_curvature / square, context.request.learning_rate
    details, advice = {}, ""
    if rate:
        details["two_over_learning_rate"] = 2 / rate
        state = "lowers" if value < 2 / rate else "raises"
        advice = f" A full gradient step with η = {rate:g} {state} the quadratic model of the loss."
    return Found(value, "Along the gradient the curvature is {shown}." + advice, details=details)


def critical_sharpness(context):
    """Sharpness along the gradient, from values of the loss."""
    square = positive("|g|^2", float(context.gradient @ context.gradient))
    along = context.gradient_curvature / square
    found = problems.critical_sharpness(
        context.at.problem,
        transfer.to_numpy(context.at.theta),
        context.gradient,
        first_learning_rate=1 / along if along > 0 else 1e-3,
        tolerance=1e-4,
        max_losses=100,
    )
    return Found(
        found.sharpness,
        "Along the gradient the loss returns to its value at the learning rate "
        f"{found.learning_rate:.3g}, as a constant curvature of {{shown}} would make it.",
        {"iteration": found.sharpness * found.relative_error},
        {"critical_learning_rate": found.learning_rate, "num_losses": found.num_losses},
    )


def _shares(context):
    key = "shares"
    if key not in context.parts:
        context.parts[key] = mat.leading_shares(context.gradient, context.noise, context.pairs)
    return context.parts[key]


def _require(name, estimate):
    positive(f"|{name}|", abs(estimate.value))
    if abs(estimate.value) < 3 * estimate.standard_error:
        raise checks.InputError(
            f"{name} is {estimate}, within 3 standard errors of zero; expected a resolved number "
            "to divide by: lower relative_error or raise max_products"
        )


def _counts(found):
    details = {"num_samples": int(found.num_samples)}
    if hasattr(found, "num_products"):
        details |= {"num_products": int(found.num_products), "num_pairs": int(found.num_pairs)}
    return details
