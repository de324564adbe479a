"""Compiled loops on raw arrays; their arguments are checked by the modules above."""
