"""Functions that compute the quantities: of aniso, and of its peers.

Each returns a dict from the name of a quantity to a function without arguments. A module imports
one library under test besides NumPy, since every implementation runs in a process of its own.
"""
