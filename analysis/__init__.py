"""Figures of Zhu et al. (2019) and of this laboratory: thin scripts, ``python -m analysis`` lists
them."""
