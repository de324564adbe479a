"""Escape from a basin: short-time efficiency, mean exit times, exponents, and their error bars."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "censoring",
        "efficiency",
        "forecast_results",
        "forecasts",
        "kramers",
        "leading_models",
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
        "kramers": ["AsymptoticExitTime", "eyring_kramers_time", "kramers_time"],
        "quasi_potential": [
            "ExitExponent",
            "exit_from_ball",
            "exit_through_level",
            "exit_through_plane",
            "quasi_potential_at",
        ],
        "sgd_exit_time": ["simulate_sgd_mean_exit_time"],
        "simulation": [
            "ChainAndEquation",
            "simulate_chain_and_equation",
            "simulate_exit_points",
            "simulate_mean_exit_time",
        ],
        "two_basin_exit": ["exit_from_sharp_basin"],
    },
)
