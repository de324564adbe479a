"""Quantities of stability: the leading eigenvalue against its limit, and batches."""

from aniso import checks, descent
from aniso import closed_forms as closed
from aniso.arrays import transfer
from aniso.diagnostics._found import Found, rounding_of
from aniso.diagnostics._shared_space import EIGEN_TOLERANCE

NUM_BATCHES = 32
"""Batches that the batch sharpness draws."""


def steps_rate(context):
    """Return the learning rate, given or that of the optimizer.

    Raises
    ------
    InputError
        If there is none.
    """
    rate = context.request.learning_rate
    if rate is None:
        raise checks.InputError("learning_rate=None; expected the learning rate η of the steps")
    return rate


def leading_eigenvalue(context):
    """Largest eigenvalue of the Hessian, against the limit of the optimizer.

    Parameters
    ----------
    context : Context

    Returns
    -------
    Found
    """
    pairs, asked = context.pairs, context.request
    value = float(pairs.values[0])
    details = {
        "eigenvalues": pairs.values.tolist(),
        "residuals": pairs.residuals.tolist(),
        "num_products": int(pairs.num_products),
    }
    sentence = "The curvature is at most {shown} in any direction."
    scaled = asked.optimizer is not None and asked.optimizer.preconditioner is not None
    if asked.learning_rate and not scaled:
        limit, told = _limit(asked)
        details["limit"] = limit
        sentence = _compared("The curvature is at most {shown}", value, limit, told)
        if value >= 0:
            sentence += _of_negative_curvature(context)
    elif scaled:
        sentence += (
            f" The steps of {asked.optimizer.name} are limited by the preconditioned sharpness."
        )
    return Found(value, sentence, {"iteration": float(pairs.residuals[0])}, details)


def preconditioned_sharpness(context):
    """Largest eigenvalue of the Hessian as the optimizer's preconditioner scales it.

    Parameters
    ----------
    context : Context

    Returns
    -------
    Found
    """
    asked = context.request
    if asked.optimizer is None or asked.optimizer.preconditioner is None:
        raise checks.InputError(
            "the optimizer has no preconditioner; expected an Adam or RMSprop with its state"
        )
    options = {}
    if not context.is_small:
        options = {
            "method": "block",
            "block_size": 4,
            "tolerance": EIGEN_TOLERANCE,
        }
    pairs = closed.preconditioned_sharpness(
        context.hessian, asked.optimizer.preconditioner, **options
    )
    value, details = float(pairs.values[0]), {}
    sentence = f"Scaled by {asked.optimizer.name}, the curvature is at most {{shown}}."
    if asked.learning_rate:
        limit, told = _limit(asked)
        details["limit"] = limit
        start = f"Scaled by {asked.optimizer.name}, the curvature is at most {{shown}}"
        sentence = _compared(start, value, limit, told)
    return Found(value, sentence, {"iteration": float(pairs.residuals[0])}, details)


def batch_sharpness(context):
    """Mean over batches of the curvature along the batch's own gradient."""
    asked = context.request
    found = descent.sample_batch_sharpness(
        context.at.problem,
        transfer.to_numpy(context.at.theta),
        asked.batch_size,
        NUM_BATCHES,
        context.rng("batch_sharpness"),
        replacement=asked.replacement,
    )
    means, ratio = found.mean_of_ratios, found.ratio_of_means
    sentence = (
        "Along its own gradient a batch has the curvature {shown} in the mean over batches of "
        f"{asked.batch_size}."
    )
    details = {
        "ratio_of_means": ratio.value,
        "ratio_of_means_error": ratio.standard_error,
        "num_samples": means.num_samples,
    }
    if asked.learning_rate:
        details["two_over_learning_rate"] = 2 / asked.learning_rate
        sentence += f" 2/η is {2 / asked.learning_rate:.3g}."
    return Found(means.value, sentence, {"probes": means.standard_error}, details)


def stability_threshold(context):
    """Largest learning rate at which SGD is stable in the mean square.

    Parameters
    ----------
    context : Context

    Returns
    -------
    Found
    """
    asked = context.request
    momentum, scale = 0.0, 1.0
    if asked.optimizer is not None:
        momentum, scale = asked.optimizer.momentum, asked.optimizer.gradient_scale
        plain = asked.optimizer.preconditioner is None and asked.optimizer.form == "heavy_ball"
        if not plain:
            raise checks.InputError(
                f"the optimizer is {asked.optimizer.name} ({asked.optimizer.form}); expected SGD "
                "or the heavy ball, of which alone the threshold with gradient noise is known"
            )
    found = closed.stability_threshold(
        context.at.example_curvatures,
        asked.batch_size,
        replacement=asked.replacement,
        momentum=momentum,
    )
    # the optimizer's own rate, of which the gradient gets a part
    value, full_batch = found.learning_rate / scale, found.full_batch / scale
    details = {
        "full_batch": full_batch,
        "residual": found.residual,
        "dimension": int(found.dimension),
    }
    sentence = (
        f"SGD with batches of {asked.batch_size} is stable in the mean square up to η = {{shown}}; "
        f"gradient descent is up to {full_batch:.3g}."
    )
    if asked.learning_rate:
        details["learning_rate"] = asked.learning_rate
        state = "below" if asked.learning_rate <= value else "above"
        sentence += f" The present η = {asked.learning_rate:g} is {state} it."
    rest = ()
    if not asked.replacement and context.used < asked.num_examples:
        rest = (f"Batches without replacement are drawn from the {context.used} used examples.",)
    return Found(value, sentence, {"iteration": float(found.error_bound) / scale}, details, rest)


def _limit(asked):
    if asked.optimizer is None:
        return closed.sharpness_limit(asked.learning_rate), "2/η ="
    return asked.optimizer.limit(asked.learning_rate), f"the limit of {asked.optimizer.name},"


def _compared(start, value, limit, told):
    if value < 0:
        return f"{start}, a negative number: steps grow along every direction at any learning rate."
    share = value / limit
    state = "stable" if share <= 1 else "unstable"
    return (
        f"{start}, {share:.3g} times {told} {limit:.3g}: steps without gradient noise are {state} "
        "along the leading directions."
    )


def _of_negative_curvature(context):
    """Return the sentence on directions of negative curvature, where all eigenvalues are known."""
    if not context.is_small:
        return ""
    eigenvalues = context.eigenvalues
    if not eigenvalues[-1] < -rounding_of(eigenvalues, context.size):
        return ""
    return (
        f" Along directions of negative curvature, down to {float(eigenvalues[-1]):.3g}, they grow "
        "at any learning rate."
    )
