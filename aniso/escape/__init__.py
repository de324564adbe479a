"""Escape from a basin: short-time efficiency, mean exit times, exponents, and their error bars.

============================  ====================================================================
from a network's theta        `forecast`, `leading_model`
exit times of SGD             `simulate_sgd_mean_exit_time`, `simulate_chain_and_equation`,
                              `simulate_mean_chain_exit_time`
exit times of the equation    `simulate_mean_exit_time`, `simulate_exit_points`,
                              `extrapolate_mean_exit_time`
exact, in one dimension       `quadrature.mean_exit_time`
at low noise                  `kramers_time`, `eyring_kramers_time`
exponents of rare exits       `quasi_potential_at`, `quasi_potential_on_line`,
                              `exit_through_plane`, `exit_through_level`, `exit_from_ball`
most likely paths             `minimise_action`, `exit_over_boundary`, `exit_from_sharp_basin`
short times                   `efficiency_by_slope`, `efficiency_by_closed_form`,
                              `simulate_efficiency`
censored exits                `censoring.estimate_mean_exit_time`
============================  ====================================================================

The equation has the covariance Sigma per unit of time, SGD the one of its batches; noise may depend
on theta. docs/how-to/chain-or-sde.md compares the two.

>>> import numpy as np
>>> from aniso import escape
>>> round(escape.quadrature.mean_exit_time(lambda x: 0 * x, 1.0, 0.0, -1.0, 1.0).value, 9)
1.0
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "censoring",
        "discretisation",
        "efficiency",
        "forecast_results",
        "forecasts",
        "kramers",
        "leading_models",
        "metrics",
        "minimum_action",
        "quadrature",
        "quasi_potential",
        "sgd_exit_time",
        "simulation",
        "two_basin_exit",
    ],
    submod_attrs={
        "minimum_action": ["MinimumAction", "exit_over_boundary", "minimise_action"],
        "censoring": ["MeanExitTime"],
        "forecast_results": ["EscapeForecast", "MotionForecast"],
        "forecasts": ["forecast"],
        "leading_models": ["LeadingModel", "leading_model"],
        "efficiency": [
            "EfficiencyCurve",
            "efficiency_by_closed_form",
            "simulate_efficiency",
            "efficiency_by_slope",
        ],
        "discretisation": ["extrapolate_mean_exit_time"],
        "kramers": ["AsymptoticExitTime", "eyring_kramers_time", "kramers_time"],
        "quasi_potential": [
            "ExitExponent",
            "exit_from_ball",
            "exit_through_level",
            "exit_through_plane",
            "quasi_potential_at",
            "quasi_potential_on_line",
        ],
        "sgd_exit_time": ["simulate_sgd_mean_exit_time"],
        "simulation": [
            "ChainAndEquation",
            "simulate_chain_and_equation",
            "simulate_exit_points",
            "simulate_mean_chain_exit_time",
            "simulate_mean_exit_time",
        ],
        "two_basin_exit": ["exit_from_sharp_basin"],
    },
)
