"""Gradients of the single examples: kept as factors, streamed, and their squares."""
