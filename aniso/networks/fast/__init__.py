"""Faster convolutions, and the choice among them."""
