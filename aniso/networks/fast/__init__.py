"""Faster convolutions for NumPy, and the choice among them."""
