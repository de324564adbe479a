"""The drawing of a run: each group of quantities over the steps."""

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib import pyplot

from aniso import checks

# Okabe & Ito's palette, distinguishable with every common colour blindness
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_LIMIT = "#1c1c1a"
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.prop_cycle": matplotlib.cycler(color=_COLOURS),
    "legend.frameon": False,
}


@dataclass(frozen=True)
class _Panel:
    """Quantities that share an axis: names of readings and their labels."""

    title: str
    labels: dict
    logarithmic: bool = True
    limit: str = ""


_PANELS = (
    _Panel("loss", {"loss": "mean loss"}),
    _Panel(
        "curvature",
        {
            "leading_eigenvalue": "λ₁ of H",
            "preconditioned_sharpness": "λ₁ of P⁻½ H P⁻½",
            "directional_sharpness": "along the gradient",
            "batch_sharpness": "along gradients of batches",
        },
        logarithmic=False,
        limit="sharpness",
    ),
    _Panel(
        "learning rate",
        {"stability_threshold": "threshold of SGD"},
        logarithmic=False,
        limit="learning rate",
    ),
    _Panel(
        "noise scale, examples",
        {
            "noise_scale": "Tr Σ / |g|²",
            "curvature_noise_scale": "Tr(HΣ) / gᵀHg",
            "elementwise_noise_scale": "of steps along signs",
        },
        limit="batch size",
    ),
    _Panel("alignment", {"alignment": "Tr(HΣ)"}),
    _Panel(
        "alignment over that of isotropic noise",
        {
            "trace_ratio": "D Tr(HΣ) / (Tr H Tr Σ)",
            "projection_coefficient": "along the leading vector",
        },
        limit="isotropic",
    ),
)


def plot_run(record, figure=None):
    """Draw all quantities of a run that have a panel, with bands of one standard error.

    Parameters
    ----------
    record : RunRecord
    figure : matplotlib.figure.Figure, optional
        A new one of pyplot if not given.

    Returns
    -------
    list of matplotlib.axes.Axes

    Raises
    ------
    InputError
        If no panel has a quantity.
    """
    drawn = [panel for panel in _PANELS if set(panel.labels) & set(record.names)]
    if not drawn:
        known = ", ".join(name for panel in _PANELS for name in panel.labels)
        raise checks.InputError(
            f"the run has the readings {', '.join(record.names) or 'none'}; expected one of {known}"
        )
    columns = 1 if len(drawn) == 1 else 2
    rows = -(-len(drawn) // columns)
    with matplotlib.rc_context(_STYLE):
        if figure is None:
            size = (4.2 * columns, 2.6 * rows)
            figure = pyplot.figure(figsize=size, layout="constrained")
        found = [figure.add_subplot(rows, columns, i + 1) for i in range(len(drawn))]
        for axes, panel in zip(found, drawn, strict=True):
            _draw(axes, panel, record)
    return found


def _draw(axes, panel, record):
    lowest = np.inf
    for name, label in panel.labels.items():
        if name not in record.names:
            continue
        series = record.series(name)
        axes.plot(series.steps, series.values, "o-", ms=2, lw=1, label=label)
        if series.errors.any():
            low, high = series.values - series.errors, series.values + series.errors
            axes.fill_between(series.steps, low, high, alpha=0.25, lw=0)
        lowest = min(lowest, series.values.min())
    for label, steps, values in _limits(panel.limit, record):
        axes.plot(steps, values, "--", color=_LIMIT, lw=1, label=label)
    if panel.logarithmic and lowest > 0:
        axes.set_yscale("log")
    axes.set_title(panel.title, fontsize=9, loc="left")
    axes.set_xlabel("step")
    axes.legend(fontsize=8)


def _limits(kind, record):
    """Yield (label, steps, values) of the lines with which a panel is compared."""
    if kind == "sharpness":
        yield from _sharpness_limits(record)
    elif kind == "learning rate":
        rates = _settings(record, "learning_rate")
        if rates:
            yield "η", list(rates), list(rates.values())
    elif kind == "batch size":
        sizes = _settings(record, "batch_size")
        if sizes:
            yield "batch size", list(sizes), list(sizes.values())
    elif kind == "isotropic":
        steps = [record.steps[0], record.steps[-1]]
        yield "isotropic noise", steps, [1.0, 1.0]


def _sharpness_limits(record):
    """Yield the limit of the optimizer where a diagnosis has one, else 2/η of its learning rate."""
    limits, plain = {}, True
    for name in ("preconditioned_sharpness", "leading_eigenvalue"):
        for step, diagnosis in record.items():
            reading = diagnosis.readings.get(name)
            limit = None if reading is None else reading.details.get("limit")
            if limit is not None and step not in limits:
                limits[step] = limit
                rate = diagnosis.settings.get("learning_rate") or 0.0
                plain = plain and np.isclose(limit * rate, 2)
    if limits:
        steps = sorted(limits)
        label = "2/η" if plain else "limit of the optimizer"
        yield label, steps, [limits[step] for step in steps]
        return
    rates = {step: rate for step, rate in _settings(record, "learning_rate").items() if rate > 0}
    if rates:
        yield "2/η", list(rates), [2 / rate for rate in rates.values()]


def _settings(record, name):
    found = {step: each.settings.get(name) for step, each in record.items()}
    return {step: value for step, value in found.items() if value is not None}
