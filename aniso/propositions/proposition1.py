"""Proposition 1, the benefit of anisotropic noise, with its finite-D constant.

Tr(H Sigma)/Tr(H Sigma_bar) >= a D lambda_1^2/(Tr H)^2 >= a D/(k + (D-k) D^-d)^2
"""

import numpy as np

from aniso import estimates
from aniso.matrices import indicators
from aniso.propositions import (
    extremal_spectra,
    falsification,
    searched_spectra,
    symbols,
    trained_networks,
)
from aniso.propositions.check import Statement, Verdict, compare, without_comparison
from aniso.propositions.settings import Task

TITLE = "Proposition 1, the benefit of anisotropic noise, with its finite-D constant"

LEGEND = (
    {"ratio": "Tr(HΣ)/Tr(HΣ_iso)"}
    | symbols.shared("H", "Σ", "Σ_iso", "Tr", "D", "λ₁", "u₁")
    | {
        "a": "projection coefficient, u₁ᵀΣu₁ = a λ₁ Tr Σ/Tr H",
        "k": "number of large eigenvalues",
        "d": "decay of the others, at most λ₁ D^-d",
        "r": "rank of the matrices",
        "h": "hidden units",
    }
    | symbols.shared("ε", "FashionMNIST 0/6 at 14×14")
)

_EIGEN_ROUNDING = "rounding of an eigendecomposition, 64 D ε"
_SUM_ROUNDING = "rounding of sums over D, 64 sqrt(D) ε"
_SEARCH_ROUNDING = "rounding, 64 D ε, relative"
_PROPOSITION = "docs/theory/propositions.md, Proposition 1"
_RATE = "docs/theory/propositions.md, Rate of Proposition 1 in the dimension"
_LARGEST = "docs/theory/noise.md, Largest alignment"

FIRST = Statement(
    "first inequality", "ratio ≥ a D λ₁² / (Tr H)², a measured", _EIGEN_ROUNDING, _PROPOSITION
)
SECOND = Statement(
    "second inequality",
    "ratio ≥ a D / (k + (D-k) D^-d)², a measured",
    _EIGEN_ROUNDING,
    _PROPOSITION,
)
RATE = Statement(
    "rate in D",
    "log-log slope of the least ratio over D is min(2d-1, 1), here for d < 1",
    "finite-D bend of the bound at the smallest D, plus terms in 1/D",
    _RATE,
)
SATURATION = Statement(
    "saturation",
    "log-log slope of the least ratio over D is min(2d-1, 1), here for d > 1",
    "finite-D bend of the bound at the smallest D, plus terms in 1/D",
    _RATE,
)
FINITE = Statement(
    "finite-D bound",
    "the least ratio stays above a D / (k + (D-k) D^-d)²",
    _SUM_ROUNDING,
    _PROPOSITION,
)
TIGHT = Statement(
    "tightness",
    "first inequality, with equality when the noise outside u₁ lies in the null space of H",
    _SUM_ROUNDING,
    _PROPOSITION,
)
ATTAINED = Statement(
    "ceiling attained",
    "noise along u₁ alone reaches the largest ratio, λ₁ D / Tr H",
    _SUM_ROUNDING,
    _LARGEST,
)
CEILING = Statement("ceiling", "no noise exceeds the ratio D, whatever d", _SUM_ROUNDING, _LARGEST)
TRAINED = Statement(
    "trained network",
    "ratio ≥ a D λ₁² / (Tr H)², a measured on the network after training",
    "rounding of an eigendecomposition, 64 r ε",
    _PROPOSITION,
)
FIRST_SEARCHED = Statement(
    "first inequality, worst case",
    "ratio / (a D λ₁² / (Tr H)²) - 1 ≥ 0",
    _SEARCH_ROUNDING,
    _PROPOSITION,
)
SECOND_SEARCHED = Statement(
    "second inequality, worst case",
    "ratio / (a D / (k + (D-k) D^-d)²) - 1 ≥ 0",
    _SEARCH_ROUNDING,
    _PROPOSITION,
)


def tasks(settings):
    """Return the tasks of Proposition 1.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.settings.Task
    """
    needs = tuple(trained_networks.training_need(*run) for run in _trained_runs(settings))
    return [
        Task("random matrices", lambda: _random_matrices(settings), 0.2),
        Task("rate in D", lambda: _rate(settings)),
        Task("tightness and ceiling", lambda: _tightness(settings)),
        Task("trained networks", lambda: _trained_networks(settings), needs=needs),
        Task("falsification", lambda: _falsification(settings), 1.5),
    ]


def _trained_runs(settings):
    return [
        (case, epochs)
        for case, epochs in trained_networks.runs(settings)
        if (case.loss, case.activation) == ("clipped squared", "relu")
    ]


def _random_matrices(settings):
    rng = settings.rng("proposition1/random matrices")
    size, count = 24, settings.pick(20, 100, 2000)
    found = []
    for decay in (0.6, 0.8, 1.5):
        cases = [_random_case(rng, size, decay) for _ in range(count)]
        setting = f"worst of {count} random dense pairs, D = {size}, d = {decay:g}"
        for statement, column in ((FIRST, 1), (SECOND, 2)):
            ratio, bound = min(((c[0], c[column]) for c in cases), key=lambda c: c[0] / c[1])
            rounding = 64 * size * np.finfo(float).eps * bound
            found.append(compare(statement.at(setting, rounding), ratio, ">=", bound))
    return found


def _random_case(rng, size, decay):
    """Return the ratio and both bounds for a random pair within the assumptions."""
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
    """Check the exponent of D on spectra of up to ten million dimensions."""
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
        statement = RATE if decay < 1 else SATURATION
        found.append(
            compare(
                statement.at(
                    f"d = {decay:g}, a = k = 1, D from 10³ to {largest:.0e}",
                    bend + 4 * slope.standard_error + 20 / sizes[0],
                ),
                slope.value,
                "==",
                expected,
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
        statement = FINITE.at(
            f"d = {decay:g}, a = k = 1, worst at D = {sizes[worst]:,}",
            64 * np.finfo(float).eps * np.sqrt(sizes[worst]) * bounds[worst],
        )
        found.append(compare(statement, ratios[worst], ">=", bounds[worst]))
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
        setting = f"D = {size:.0e}, k = 3, d = 0.75, a = {coefficient:g}"
        found.append(compare(TIGHT.at(setting, rounding * bound), ratio, "==", bound))
    for decay in (0.75, 2.0):
        eigenvalues = extremal_spectra.spectrum(size, 1, decay)
        optimal = np.zeros(size)
        optimal[0] = 1.0
        ceiling = size / eigenvalues.sum()
        facts = f"D = {size:.0e}, k = 1, d = {decay:g}", rounding * size
        attained = extremal_spectra.spectral_trace_ratio(eigenvalues, optimal)
        found.append(compare(ATTAINED.at(*facts), attained, "==", ceiling))
        found.append(compare(CEILING.at(*facts), ceiling, "<=", size))
    return found


def _trained_networks(settings):
    found = []
    for case, epochs in _trained_runs(settings):
        readings = trained_networks.readings_along_training(case, epochs)
        if not readings or readings[-1].epoch < max(epochs):
            reason = "no active example after training: H = 0"
            found.append(without_comparison(TRAINED.at(str(case)), Verdict.VACUOUS, reason))
            continue
        final = readings[-1]
        rounding = 64 * final.rank * np.finfo(float).eps * final.guaranteed_ratio
        statement = TRAINED.at(str(case), rounding)
        found.append(compare(statement, final.trace_ratio, ">=", final.guaranteed_ratio))
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

        def first_margin(x, caps=caps):
            ratio, coefficient, trace = searched_spectra.sides(x, caps)
            return ratio / (coefficient * size / trace**2) - 1

        def second_margin(x, caps=caps, decay=decay):
            ratio, coefficient, _ = searched_spectra.sides(x, caps)
            return (
                ratio / extremal_spectra.guaranteed_ratio(size, num_leading, decay, coefficient) - 1
            )

        def published_margin(x, caps=caps, decay=decay):
            ratio, coefficient, _ = searched_spectra.sides(x, caps)
            return ratio / (coefficient * size ** (2 * decay - 1)) - 1

        def inflated_margin(x, first_margin=first_margin):
            return (first_margin(x) + 1) / 1.05 - 1

        setting = f"D = {size}, k = {num_leading}, d = {decay:g}, {len(starts)} starts"
        rounding = 64 * size * np.finfo(float).eps
        for statement, margin, planted, false_claim in (
            (FIRST_SEARCHED, first_margin, inflated_margin, "the bound times 1.05"),
            (SECOND_SEARCHED, second_margin, published_margin, "ratio ≥ a D^(2d-1)"),
        ):
            found += falsification.verdicts(
                statement.at(setting, rounding),
                false_claim,
                falsification.search(margin, starts),
                falsification.search(planted, starts, target=-1e-6),
            )
    return found
