"""Simulated SGD on a quadratic against the closed form of its mean loss."""

import numpy as np

from aniso import langevin
from aniso.closed_forms import diffusion
from aniso.propositions import definition1_forms, trained_networks
from aniso.propositions.check import Statement, compare
from aniso.propositions.constants import snapshot

MAX_Z_SCORE = 4.0

SIMULATED = Statement(
    "simulated chain",
    "the mean loss of simulated SGD is the closed form of the chain at every recorded step",
    f"{MAX_Z_SCORE:g} standard errors at the worst recorded step",
    "docs/theory/motion.md, Chain on a quadratic",
)
REJECTED = Statement(
    "simulation rejects the SDE",
    "planted falsehood: at a coarse step the simulated losses differ from the closed form of the "
    "SDE; largest |z| of all recorded steps",
    "none: the difference must be significant",
    "docs/theory/motion.md, Weak order of the chain",
)


def simulation_checks(settings):
    """Check simulated SGD against the closed forms of the chain and of the SDE.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.check.Check
    """
    rng = settings.rng("definition1/simulation")
    eigenvalues = np.array([8.0, 3.0, 1.0, 0.4, 0.1, 0.0, -0.05, -0.1])
    hessian, covariance = definition1_forms.random_problem(rng, eigenvalues)
    learning_rate, num_steps = 0.2, 40
    num_paths = settings.pick(4_000, 20_000, 200_000)
    steps = np.array([1, 2, 5, 10, 20, num_steps])
    seed = settings.stream_seed("definition1/simulation paths")
    run = langevin.simulate_linear_chain(hessian, covariance, learning_rate, steps, num_paths, seed)
    setting = f"D = 8, ηλ₁ = 1.6, {num_paths:,} paths of {num_steps} steps"
    found = [_against_chain(run, hessian, covariance, learning_rate, setting)]
    with definition1_forms.at_any_time():
        continuous = diffusion.escaping_efficiency(
            hessian, learning_rate * covariance, learning_rate * steps
        )
    scores = [abs(loss.z_score(c)) for loss, c in zip(run.loss, continuous, strict=True)]
    found.append(compare(REJECTED.at(setting), max(scores), ">=", MAX_Z_SCORE))
    return found


def _against_chain(run, hessian, covariance, learning_rate, setting):
    """Check the simulated mean loss against the closed form, at the worst recorded step."""
    with definition1_forms.at_any_time():
        expected = [
            diffusion.chain_escaping_efficiency(hessian, covariance, learning_rate, int(step))
            for step in run.steps
        ]
    scores = [loss.z_score(value) for loss, value in zip(run.loss, expected, strict=True)]
    worst = int(np.argmax(np.abs(scores)))
    loss = run.loss[worst]
    at_worst = f"{setting}, step {int(run.steps[worst])} (z = {scores[worst]:+.1f})"
    return compare(
        SIMULATED.at(at_worst, MAX_Z_SCORE * loss.standard_error),
        loss.value,
        "==",
        expected[worst],
        standard_error=loss.standard_error,
        series={
            "steps": run.steps,
            "simulated": [item.value for item in run.loss],
            "standard_error": [item.standard_error for item in run.loss],
            "closed_form": expected,
        },
    )


def _image_case(settings):
    return trained_networks.TrainingCase(
        trained_networks.IMAGES, "clipped squared", "relu", 32, settings.seed
    )


def real_simulation_needs(settings):
    """Return the training that the check on real images shares with Proposition 2."""
    case = _image_case(settings)
    epochs = dict(trained_networks.runs(settings))[case]
    return (trained_networks.training_need(case, epochs),)


def real_simulation_checks(settings):
    """Check SGD on the quadratic model of a network trained on real images.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.check.Check
    """
    case = _image_case(settings)
    theta = trained_networks.trained_parameters(case)
    final = snapshot(trained_networks.training_objective(case), theta)
    eigenvalue, _ = final.leading_eigenpair
    learning_rate, batch_size = 0.5 / eigenvalue, 20
    covariance = final.gradient_covariance / batch_size
    num_paths = settings.pick(500, 2_000, 20_000)
    run = langevin.simulate_linear_chain(
        final.hessian,
        covariance,
        learning_rate,
        np.array([1, 3, 10, 30, 100]),
        num_paths,
        settings.stream_seed("definition1/FashionMNIST paths"),
    )
    setting = f"{case}, H and Σ of rank {len(final.hessian)}, m = {batch_size}, {num_paths:,} paths"
    return [_against_chain(run, final.hessian, covariance, learning_rate, setting)]
