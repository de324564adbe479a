"""Escape from a basin: short-time efficiency, mean exit times, exponents, and their error bars."""

from aniso.escape.asymptotic_times import AsymptoticExitTime, eyring_kramers
from aniso.escape.efficiency import EfficiencyCurve, by_closed_form, by_simulation, by_slope
from aniso.escape.exit_exponents import (
    ExitExponent,
    exit_from_ball,
    exit_through_level,
    exit_through_plane,
    quasi_potential,
)
from aniso.escape.exit_simulation import (
    ChainAndEquation,
    exit_points,
    simulate_chain_and_equation,
    simulate_mean_exit_time,
)
from aniso.escape.exit_statistics import MeanExitTime
from aniso.escape.geometric_action import MinimumAction, exit_over_boundary, minimum_action
from aniso.escape.two_basin_exit import exit_from_sharp_basin

__all__ = [
    "AsymptoticExitTime",
    "ChainAndEquation",
    "EfficiencyCurve",
    "ExitExponent",
    "MeanExitTime",
    "MinimumAction",
    "by_closed_form",
    "by_simulation",
    "by_slope",
    "exit_from_ball",
    "exit_from_sharp_basin",
    "exit_over_boundary",
    "exit_points",
    "exit_through_level",
    "exit_through_plane",
    "eyring_kramers",
    "minimum_action",
    "quasi_potential",
    "simulate_chain_and_equation",
    "simulate_mean_exit_time",
]
