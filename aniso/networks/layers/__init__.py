"""The layers of a network."""
