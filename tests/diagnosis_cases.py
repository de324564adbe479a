"""Diagnoses to show: true numbers of a small network, and one whose words attack the page."""

import functools
import math

import numpy as np

from aniso import networks
from aniso.diagnostics import Diagnosis, Reading
from aniso.estimates import Estimate
from aniso.matrices import (
    alignment_by_block,
    alignment_hutchinson,
    hutchinson,
    lanczos_quadrature,
    leading_eigenpairs,
    outliers_beyond_bulk,
    projection_coefficient,
    simple_noise_scale,
    trace_ratio,
)
from aniso.problems import losses

NUM_EXAMPLES, BATCH_SIZE, LEARNING_RATE = 400, 10, 0.5
ATTACK = """<script>alert(1)</script><img src=x onerror="alert(2)">'"&${{7*7}}</style>"""


def reading(name, number, formula, sentence, source="", assumptions=(), **details):
    """A reading of a float or of an Estimate with random probes."""
    known = isinstance(number, Estimate)
    if known:
        details["num_samples"] = number.num_samples
    errors = {"probes": number.standard_error} if known else {}
    return Reading(name, float(number), errors, formula, source, assumptions, sentence, details)


@functools.cache
def geometry():
    """A trained network of 499 parameters at its iterate."""
    rng = np.random.default_rng(3)
    inputs = rng.standard_normal((NUM_EXAMPLES, 10))
    labels = (inputs[:, 0] > 0) + (inputs[:, 1] * inputs[:, 2] > 0.3).astype(int)
    stack = networks.multilayer_perceptron((10, 16, 16, 3), "tanh")
    network = networks.Network(stack, losses.SoftmaxCrossEntropy(), inputs, labels, num_threads=1)
    theta = 0.4 * rng.standard_normal(network.num_parameters)
    for _ in range(40):
        theta -= 0.3 * network.gradient(theta)
    return network.at(theta)


def spectrum(hessian, rng):
    """Readings of the spectrum: the leading eigenvalue, the density and the outliers."""
    pairs = leading_eigenpairs(hessian, 12)
    density = lanczos_quadrature(hessian, num_probes=8, num_steps=40, rng=rng)
    lower, upper = density.band()
    found = outliers_beyond_bulk(pairs.values, density)
    curves = {
        "eigenvalues": density.points.tolist(),
        "density": density.values.tolist(),
        "lower": lower.tolist(),
        "upper": upper.tolist(),
        "width": density.width,
    }
    leading, share = float(pairs.values[0]), density.share_above(found.edge)
    return [
        reading(
            "leading_eigenvalue",
            leading,
            "λ₁(H)",
            f"λ₁ = {leading:.3g} is below 2/η = {2 / LEARNING_RATE:g}: gradient descent of "
            "this step is stable along it.",
            "docs/theory/stability.md, Gradient descent",
        ),
        reading(
            "spectral_density",
            share,
            "(1/D) #{i : λᵢ > edge}",
            f"A share of {float(share):.2g} of the eigenvalues lies above the bulk.",
            "Ghorbani, Krishnan & Xiao 2019",
            ("The density is smoothed by a Gaussian of 1 % of the range.",),
            **curves,
        ),
        reading(
            "outliers",
            found.count,
            "#{i : λᵢ > edge}",
            f"{found.count} eigenvalues stand apart from the bulk, which ends at {found.edge:.2g}.",
            "docs/theory/estimates.md, Outliers",
            values=found.values.tolist(),
            edge=found.edge,
        ),
    ]


@functools.cache
def realistic():
    """A diagnosis of the network: exact numbers, estimates, a refusal, blocks, a spectrum."""
    at, rng = geometry(), np.random.default_rng(4)
    hessian, noise = at.hessian.to_dense(), at.noise.to_dense()
    squared, each = float(at.gradient @ at.gradient), at.problem.losses(at.theta)
    parts = alignment_by_block(hessian, noise, at.hessian.blocks)
    ratio = trace_ratio(hessian, noise)
    scale = simple_noise_scale(at.example_gradients)
    joint = alignment_hutchinson(hessian, noise, 400, rng)
    coefficient = projection_coefficient(hessian, noise)
    readings = [
        Reading(
            "loss",
            at.loss,
            {"examples": float(each.std(ddof=1)) / math.sqrt(len(each))},
            "L(θ)",
            sentence=f"The mean loss is {at.loss:.3g} per example.",
        ),
        reading(
            "gradient_norm",
            math.sqrt(squared),
            "|g|",
            "The gradient has not vanished: θ is not yet a critical point.",
        ),
        reading(
            "hessian_trace",
            hutchinson(hessian, 60, rng),
            "Tr H",
            "The curvature, summed over all directions.",
            "Hutchinson 1990",
            num_products=60,
        ),
        reading(
            "covariance_trace",
            float(np.trace(noise)),
            "Tr Σ",
            "The variance of one example's gradient, summed over all parameters.",
        ),
        Reading(
            "alignment",
            joint.value,
            {"probes": joint.standard_error, "examples": 0.6 * joint.standard_error},
            "Tr(H Σ)",
            "Zhu et al. 2019, eq. (7)",
            (
                "Σ is the centred covariance of one example's gradient.",
                "Batches are drawn without replacement.",
            ),
            "The loss rises at half this rate times η² / B while the noise leaves θ.",
            {"num_products": 400},
        ),
        reading(
            "trace_ratio",
            ratio,
            "Tr(H Σ) / Tr(H Σ̄)",
            f"The noise is {ratio:.3g} times as aligned with the curvature as isotropic noise "
            "of equal trace.",
            "Zhu et al. 2019, Proposition 1",
        ),
        reading(
            "projection_coefficient",
            coefficient,
            "u₁ᵀ Σ u₁ Tr H / (λ₁ Tr Σ)",
            f"Along the leading eigenvector the noise is {coefficient:.2g} times what it would "
            "be if Σ were proportional to H.",
            "Zhu et al. 2019, Proposition 3",
        ),
        reading(
            "noise_scale",
            scale.of_examples,
            "Tr Σ / |g|²",
            f"Batches above {scale.of_examples:.3g} examples bring little: the noise is then "
            "smaller than the gradient.",
            "McCandlish et al. 2018",
            ("The learning rate is small enough for the loss to be quadratic over a step.",),
        ),
        *spectrum(hessian, rng),
    ]
    shares, names = parts.shares, parts.names
    columns = zip(
        parts.hessian_traces, parts.covariance_traces, parts.alignments, parts.block_ratios,
        strict=True,
    )  # fmt: skip
    blocks = {
        name: dict(
            zip(
                ("Tr H", "Tr Sigma", "Tr(H Sigma)", "ratio", "share"),
                (*map(float, column), shares[name]),
                strict=True,
            )
        )
        for name, column in zip(names, columns, strict=True)
    }
    return Diagnosis(
        {each.name: each for each in readings},
        {
            "heavy_ball_threshold": "settings have no momentum; expected an optimizer with "
            "momentum, for instance optimizer={'momentum': 0.9}",
            "generalised_eigenvalues": "H has 37 negative eigenvalues, the smallest -0.0214; the "
            "pencil needs a positive definite H",
        },
        blocks,
        {
            "batch_size": BATCH_SIZE,
            "replacement": False,
            "learning_rate": LEARNING_RATE,
            "quantities": "standard",
            "relative_error": 0.05,
            "seed": 4,
        },
        {
            "kind": "Network",
            "num_examples": NUM_EXAMPLES,
            "num_parameters": len(at.theta),
            "dtype": "float64",
            "loss": "mean",
            "used_examples": NUM_EXAMPLES,
        },
        {"aniso": "0.1.0", "numpy": "2.3.4", "python": "3.11.7", "processor": "2 cores"},
        3.42,
    )


def hostile():
    """A diagnosis all of whose words are markup, mathematics or hundreds of letters."""
    curves = {"eigenvalues": [-1.0, 0.0, 2.0], "density": [0.1, 1.0, 0.0]}
    spectrum = reading(f"spectral{ATTACK}", 0.5, ATTACK, ATTACK, ATTACK, (ATTACK,), **curves)
    long = reading("w" * 200, 1e300, "f" * 200, "s" * 400, "https://example.org/" + "a" * 200)
    strange = {"zero": 0.0, "negative": -2.5e-9, "unknown": math.nan, "endless": -math.inf}
    readings = [spectrum, long, *(reading(name, value, "", "") for name, value in strange.items())]
    blocks = {
        name: {"Tr H": -1.5, ATTACK: 2.0, "ratio": 3.0, "share": share}
        for name, share in ((ATTACK, 0.25), ("layer$_1$" + "b" * 120, -0.1), ("empty", math.nan))
    }
    return Diagnosis(
        {each.name: each for each in readings},
        {ATTACK: ATTACK, "r" * 150: "n" * 500},
        blocks,
        {"learning_rate": 0.1, ATTACK: ATTACK, "optimizer": {"momentum": ATTACK, "x": [1, None]}},
        {"kind": ATTACK},
        {"processor": ATTACK},
        61.0,
    )


def bare():
    """A diagnosis with one exact reading and nothing else."""
    return Diagnosis({"loss": Reading("loss", 0.25)})
