"""Ensembles of the stochastic motion that the theory talks about, with independent streams."""

from aniso.langevin.linear_chain import ChainStatistics, simulate_linear_chain

__all__ = ["ChainStatistics", "simulate_linear_chain"]
