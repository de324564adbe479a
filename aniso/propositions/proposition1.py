"""Proposition 1, the benefit of anisotropic noise, with its finite-D constant.

Tr(H Sigma)/Tr(H Sigma_bar) >= a D lambda_1^2/(Tr H)^2 >= a D/(k + (D-k) D^-d)^2
"""

import autograd.numpy as anp
import numpy as np

from aniso import estimates
from aniso.matrices import indicators
from aniso.propositions import extremal_spectra, falsification, trained_networks
from aniso.propositions.check import Task, Verdict, compare, without_comparison

TITLE = "Proposition 1, the benefit of anisotropic noise, with its finite-D constant"

SOURCE = "Zhu et al. 2019, Proposition 1; constants derived, see docs/theory/propositions.md"


def tasks(settings):
    """Tasks of Proposition 1.

    Parameters
    ----------
    settings : aniso.propositions.check.Settings

    Returns
    -------
    list of aniso.propositions.check.Task
    """
    return [
        Task("random matrices", lambda: _random_matrices(settings)),
        Task("rate in D", lambda: _rate(settings)),
        Task("tightness and ceiling", lambda: _tightness(settings)),
        Task("trained networks", lambda: _trained_networks(settings)),
        Task("falsification", lambda: _falsification(settings)),
    ]


def _random_matrices(settings):
    rng = settings.rng("proposition1/random matrices")
    size, count = 24, settings.pick(20, 100, 2000)
    found = []
    for decay in (0.6, 0.8, 1.5):
        cases = [_random_case(rng, size, decay) for _ in range(count)]
        for name, column, claim in (
            ("first inequality", 1, "ratio ≥ a D λ₁² / (Tr H)², a measured"),
            ("second inequality", 2, "ratio ≥ a D / (k + (D-k) D^-d)^2, a measured"),
        ):
            ratio, bound = min(((c[0], c[column]) for c in cases), key=lambda c: c[0] / c[1])
            found.append(
                compare(
                    name,
                    ratio,
                    ">=",
                    bound,
                    claim=claim,
                    setting=f"worst of {count} random dense pairs, D = {size}, d = {decay:g}",
                    tolerance=64 * size * np.finfo(float).eps * bound,
                    tolerance_reason="rounding of an eigendecomposition, 64 D ε",
                    source=SOURCE,
                )
            )
    return found


def _random_case(rng, size, decay):
    """Ratio and both bounds for a random pair within the assumptions."""
    num_leading = int(rng.integers(1, 4))
    eigenvalues = extremal_spectra.spectrum(size, num_leading, decay) * rng.uniform(0, 1, size)
    eigenvalues[0] = 1.0
    basis, _ = np.linalg.qr(rng.standard_normal((size, size)))
    hessian = (basis * eigenvalues) @ basis.T
    rank = int(rng.integers(1, size + 1))
    factor = rng.standard_normal((rank, size)) * rng.uniform(0, 1, (rank, 1)) ** 4
    covariance = factor.T @ factor
    hessian, covariance = (hessian + hessian.T) / 2, (covariance + covariance.T) / 2
    coefficient = indicators.projection_coefficient(hessian, covariance)
    ratio = indicators.trace_ratio(hessian, covariance)
    first = coefficient * size / eigenvalues.sum() ** 2
    return ratio, first, extremal_spectra.guaranteed_ratio(size, num_leading, decay, coefficient)


def _rate(settings):
    """Exponent of D, from spectra up to a million dimensions."""
    largest = settings.pick(10**5, 10**6, 10**7)
    sizes = np.unique(np.geomspace(10**3, largest, settings.pick(7, 13, 25)).round().astype(int))
    found = []
    for decay in (0.6, 0.75, 0.9, 1.25, 1.5, 2.0):
        ratios, bounds = [], []
        for size in sizes:
            eigenvalues = extremal_spectra.spectrum(size, 1, decay)
            eigenvalues[-1] = 0.0
            ratios.append(
                extremal_spectra.spectral_trace_ratio(
                    eigenvalues, extremal_spectra.least_aligned_noise(eigenvalues, 1.0)
                )
            )
            bounds.append(extremal_spectra.guaranteed_ratio(size, 1, decay, 1.0))
        expected = min(2 * decay - 1, 1.0)
        slope = estimates.loglog_slope(sizes, ratios)
        # d log(bound) / d log D = 1 - 2 (1-d) D^(1-d) / (k + D^(1-d)) up to 1/D.
        power = float(sizes[0]) ** (1 - decay)
        bend = 2 * abs(1 - decay) * min(1, power) / (1 + power)
        finding = ""
        if decay > 1:
            published = float(largest) ** (2 * decay - 1)
            finding = (
                f"d = {decay:g}: the published rate a D^(2d-1) would be {published:.1e} at "
                f"D = {largest:.0e}; the ratio can't exceed D and is {ratios[-1]:.3g} for the "
                "least aligned noise. The exponent is min(2d-1, 1)."
            )
        found.append(
            compare(
                "rate in D" if decay < 1 else "saturation",
                slope.value,
                "==",
                expected,
                claim="log-log slope of the least ratio over D is min(2d-1, 1)",
                setting=f"d = {decay:g}, a = k = 1, D from 10³ to {largest:.0e}",
                tolerance=bend + 4 * slope.standard_error + 20 / sizes[0],
                tolerance_reason="finite-D bend of the bound at the smallest D, plus terms in 1/D",
                source=SOURCE,
                finding=finding,
                series={
                    "num_parameters": sizes,
                    "ratio": ratios,
                    "bound": bounds,
                    "published_rate": [float(size) ** (2 * decay - 1) for size in sizes],
                },
            )
        )
        worst = min(range(len(sizes)), key=lambda i: ratios[i] / bounds[i])
        found.append(
            compare(
                "finite-D bound",
                ratios[worst],
                ">=",
                bounds[worst],
                claim="the least ratio stays above a D / (k + (D-k) D^-d)^2",
                setting=f"d = {decay:g}, a = k = 1, worst at D = {sizes[worst]:,}",
                tolerance=64 * np.finfo(float).eps * np.sqrt(sizes[worst]) * bounds[worst],
                tolerance_reason="rounding of sums over D, 64 sqrt(D) ε",
                source=SOURCE,
            )
        )
    return found


def _tightness(settings):
    size = settings.pick(10**5, 10**6, 10**7)
    rounding = 64 * np.finfo(float).eps * np.sqrt(size)
    found = []
    for coefficient in (0.25, 1.0):
        eigenvalues = extremal_spectra.spectrum(size, 3, 0.75)
        eigenvalues[-1] = 0.0
        ratio = extremal_spectra.spectral_trace_ratio(
            eigenvalues, extremal_spectra.least_aligned_noise(eigenvalues, coefficient)
        )
        bound = coefficient * size / eigenvalues.sum() ** 2
        found.append(
            compare(
                "tightness",
                ratio,
                "==",
                bound,
                claim="equality when the noise outside u₁ lies in the null space of H",
                setting=f"D = {size:.0e}, k = 3, d = 0.75, a = {coefficient:g}",
                tolerance=rounding * bound,
                tolerance_reason="rounding of sums over D, 64 sqrt(D) ε",
                source=SOURCE,
            )
        )
    for decay in (0.75, 2.0):
        eigenvalues = extremal_spectra.spectrum(size, 1, decay)
        optimal = np.zeros(size)
        optimal[0] = 1.0
        ceiling = size / eigenvalues.sum()
        facts = {
            "setting": f"D = {size:.0e}, k = 1, d = {decay:g}",
            "tolerance": rounding * size,
            "tolerance_reason": "rounding of sums over D, 64 sqrt(D) ε",
            "source": SOURCE,
        }
        found.append(
            compare(
                "ceiling attained",
                extremal_spectra.spectral_trace_ratio(eigenvalues, optimal),
                "==",
                ceiling,
                claim="noise along u₁ alone reaches the largest ratio, λ₁ D / Tr H",
                **facts,
            )
        )
        found.append(
            compare(
                "ceiling",
                ceiling,
                "<=",
                size,
                claim="no noise exceeds the ratio D, whatever d",
                **facts,
            )
        )
    return found


def _trained_networks(settings):
    found = []
    for problem, epochs in trained_networks.runs(settings):
        if (problem.loss, problem.activation) != ("clipped squared", "relu"):
            continue
        facts = {
            "claim": "ratio ≥ a D λ₁² / (Tr H)² with the a of the network itself",
            "setting": str(problem),
            "source": SOURCE,
        }
        readings = trained_networks.readings_along_training(problem, epochs)
        if not readings or readings[-1].epoch < max(epochs):
            reason = "no active example after training: H = 0"
            found.append(without_comparison("trained network", Verdict.VACUOUS, reason, **facts))
            continue
        final = readings[-1]
        found.append(
            compare(
                "trained network",
                final.trace_ratio,
                ">=",
                final.guaranteed_ratio,
                tolerance=64 * final.rank * np.finfo(float).eps * final.guaranteed_ratio,
                tolerance_reason="rounding of an eigendecomposition, 64 r ε",
                **facts,
            )
        )
    return found


def _falsification(settings):
    size, num_leading = 6, 2
    rng = settings.rng("proposition1/falsification")
    num_variables = size - 1 + size**2
    starts = rng.standard_normal((settings.pick(4, 12, 60), num_variables))
    found = []
    for decay in (0.75, 1.5):
        small = float(size) ** -decay
        caps = np.array([1.0] * (num_leading - 1) + [small] * (size - num_leading))

        def sides(x, caps=caps):
            # H is diagonal without loss of generality: the claim is invariant under rotation.
            tail = caps / (1 + anp.exp(-x[: size - 1]))
            eigenvalues = anp.concatenate((anp.ones(1), tail))
            factor = anp.reshape(x[size - 1 :], (size, size))
            variances = anp.sum(factor**2, axis=0)
            total, trace = anp.sum(variances), anp.sum(eigenvalues)
            ratio = size * anp.dot(eigenvalues, variances) / (trace * total)
            return ratio, variances[0] * trace / total, trace

        def first_margin(x, sides=sides):
            ratio, coefficient, trace = sides(x)
            return ratio / (coefficient * size / trace**2) - 1

        def second_margin(x, sides=sides, decay=decay):
            ratio, coefficient, _ = sides(x)
            return (
                ratio / extremal_spectra.guaranteed_ratio(size, num_leading, decay, coefficient) - 1
            )

        def published_margin(x, sides=sides, decay=decay):
            ratio, coefficient, _ = sides(x)
            return ratio / (coefficient * size ** (2 * decay - 1)) - 1

        def inflated_margin(x, first_margin=first_margin):
            return (first_margin(x) + 1) / 1.05 - 1

        for name, margin, planted, false_claim in (
            ("first inequality", first_margin, inflated_margin, "the bound times 1.05"),
            ("second inequality", second_margin, published_margin, "ratio ≥ a D^(2d-1)"),
        ):
            found.extend(
                falsification.verdicts(
                    name + ", searched",
                    falsification.search(margin, starts),
                    falsification.search(planted, starts, target=-1e-6),
                    claim=f"{name} of Proposition 1, relative margin",
                    false_claim=false_claim,
                    setting=f"D = {size}, k = {num_leading}, d = {decay:g}, {len(starts)} starts",
                    tolerance=64 * size * np.finfo(float).eps,
                    tolerance_reason="rounding, 64 D ε, relative",
                    source=SOURCE,
                )
            )
    return found
